// SPDX-License-Identifier: GPL-2.0
/*
 * What owner/ asks of judge/. No locks here.
 */
#include "judge.h"

#include "../owner/judge_ops.h"
#include "../owner/pending.h"
#include "content.h"
#include "dmabuf.h"

const struct dod_judge_ops dod_judge_ops = {
	.map_single = dod_checks_single,
	.map_before = dod_checks_before,
	.map_after = dod_checks_after,
	.is_own_data = dod_checks_own_data,
	.has_own_lines = dod_checks_own_lines,
	.wires = dod_checks_wires,
	.content_begin = dod_content_begin,
	.content_end = dod_content_end,
	.content_to_device = dod_content_to_device,
	.content_overlap = dod_content_overlap,
	.content_written = dod_content_written,
	.content_watch = dod_content_watch,
	.content_watches = dod_content_watches,
	.content_to_cpu = dod_content_to_cpu,
	.content_report = dod_content_report,
	.content_invalidate_all = dod_content_invalidate_all,
	.content_start = dod_content_start,
	.content_stop = dod_content_stop,
	.edge_is_known = dod_edges_known,
	.edge_copy = dod_edges_copy,
	.edges_forget = dod_edges_forget,
	.edge_drop = dod_edges_drop,
	.memory_freed = dod_lifecycle_freed,
	.memory_reused = dod_lifecycle_reused,
	.see_bus = dod_lifecycle_see,
	.write_lost = dod_pending_report,
	.dmabuf_of_current = dod_dmabuf_of_current,
};
