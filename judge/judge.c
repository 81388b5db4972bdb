// SPDX-License-Identifier: GPL-2.0
/* What is a fault: what owner/ asks of judge/, start and stop. No locks. */
#include "internal.h"

const struct dod_judge_ops dod_judge_ops = {
	.map_single = dod_check_single,
	.map_before = dod_check_before,
	.map_after = dod_check_after,
	.is_own_data = dod_is_own_data,
	.maps_own_data = dod_maps_own_data,
	.has_own_lines = dod_has_own_lines,
	.wires = dod_wires_of,
	.content_begin = dod_content_begin,
	.content_end = dod_content_end,
	.content_to_device = dod_content_to_device,
	.content_to_cpu = dod_content_to_cpu,
	.content_overlap = dod_content_overlap,
	.content_written = dod_content_written,
	.content_watch = dod_watch_to_cpu,
	.content_watches = dod_watch_covers,
	.content_report = dod_content_report,
	.content_invalidate_all = dod_content_invalidate_all,
	.content_start = dod_content_start,
	.content_stop = dod_content_stop,
	.edge_is_known = dod_edge_is_known,
	.edge_copy = dod_edge_copy,
	.edge_drop = dod_edge_drop,
	.edges_forget = dod_edges_forget,
	.write_lost = dod_write_lost,
	.unmapped = dod_late_unmapped,
	.unmatched = dod_check_unmatched,
	.memory_freed = dod_free_unseen,
	.memory_reused = dod_leak_reused,
	.see_bus = dod_watch_bus,
	.dmabuf_of_current = dod_dmabuf_of_current,
};

void dod_judge_start(void)
{
	dod_free_start();
	dod_unbind_start();
	dod_scan_writes_start();
	dod_advice_start();
	dod_coherent_start();
}

void dod_judge_stop(void)
{
	dod_free_stop();
	dod_unbind_stop();
	dod_scan_writes_stop();
	dod_advice_stop();
	dod_coherent_stop();
	dod_late_stop();
}
