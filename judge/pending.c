// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that a device does not get (rules 4 and 6b): what is reported of them, and a
 * look now and then at those that nobody syncs. No locks here.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/sched/clock.h>
#include <linux/workqueue.h>

/* How often to look for writes that nobody syncs. */
#define SCAN_PERIOD	(10 * HZ)

/**
 * dod_pending_report() - a write is lost: the device will not get it
 * @p: its record
 * @m: the mapping, or a copy of it
 * @how: by what it was lost
 * @at: return address of that call
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_pending_report(const struct dod_pending *p, const struct dod_mapping *m,
			enum dod_lost how, unsigned long at)
{
	if (!READ_ONCE(dod_armed))
		return;
	/* Its driver may have said so since it was written to. */
	if (dod_checks_own_data(m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	if (!READ_ONCE(dod_params.strict) &&
	    dod_map_permitted(p->range.dir == DMA_TO_DEVICE ? DOD_R_CPU_WRITE :
			      DOD_R_MISSING_SYNC_FOR_DEVICE, m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	dod_report_lost_write(m, p, how, at);
}

/*
 * A mapping that lives for ever must not hide them. It is no fault yet: who fills the
 * buffer of a stopped UART will send it one day.
 */
static void look_for_old_ones(void)
{
	unsigned int after = READ_ONCE(dod_params.pending_after);
	u64 start = 0, now = local_clock();
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		cond_resched();
		if (!sum.pending || dod_ago(now, sum.since) < (u64)after * NSEC_PER_SEC ||
		    dod_checks_own_data(&m))
			continue;
		dod_report_note(DOD_R_WRITE_NEVER_SYNCED, m.device,
				"%llu bytes of a DMA_TO_DEVICE mapping were written by %pS over %u s ago, and not synced for the device since",
				sum.pending, (void *)sum.writer, after);
	}
}

static void scan(struct work_struct *work)
{
	if (dod_pending_any() && READ_ONCE(dod_armed) &&
	    !dod_report_is_off(DOD_R_WRITE_NEVER_SYNCED))
		look_for_old_ones();
	schedule_delayed_work(to_delayed_work(work), SCAN_PERIOD);
}

static DECLARE_DEFERRABLE_WORK(scan_work, scan);

/**
 * dod_scan_writes_now() - look for writes that nobody syncs now
 *
 * Context: any but NMI.
 */
void dod_scan_writes_now(void)
{
	if (READ_ONCE(dod_armed))
		mod_delayed_work(system_wq, &scan_work, 0);
}

/**
 * dod_pending_look_start() - look for them from now on
 *
 * Context: process.
 */
void dod_pending_look_start(void)
{
	schedule_delayed_work(&scan_work, SCAN_PERIOD);
}

/**
 * dod_pending_look_stop() - and no more
 *
 * Context: process, may sleep.
 */
void dod_pending_look_stop(void)
{
	cancel_delayed_work_sync(&scan_work);
}
