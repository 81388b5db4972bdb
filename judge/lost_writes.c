// SPDX-License-Identifier: GPL-2.0
/*
 * CPU writes that the device never sees, or that a sync or unmap discards (rules 4 and
 * 6b): which are remembered, what is reported of them, and a periodic scan for those
 * that nobody syncs.
 *
 * No lock of its own: what a mapping has here is protected by its physical lock.
 */
#include "internal.h"

static DEFINE_PER_CPU(unsigned int, watch_turn);

/* An unmap or another sync for the CPU would discard them. */
void dod_watch_to_cpu(const struct dod_call *call, struct dod_mapping *m, u64 start, u64 last)
{
	unsigned int every = READ_ONCE(dod_params.watch_writes);
	struct dod_content *c;

	if (likely(!m->line) || !dod_poison_ops.watch || !every || m->dir == DMA_TO_DEVICE ||
	    call->dir == DMA_TO_DEVICE || m->trap != DOD_TRAP_ALL || m->spanning ||
	    !READ_ONCE(dod_armed) || dod_report_is_off(DOD_R_MISSING_SYNC_FOR_DEVICE))
		return;
	if (this_cpu_inc_return(watch_turn) % every)
		return;
	c = dod_content_get(m);
	if (!c)
		return;
	if (c->watching)
		dod_watch_stop(c);
	c->watch = start;
	c->watch_last = last;
	c->synced_by = dod_frame_pack(call->caller);
	c->watching = true;
	dod_poison_ops.watch(start, last, true);
	dod_count(DOD_C_WATCHED_RANGES);
}

void dod_watch_stop(struct dod_content *c)
{
	dod_poison_ops.watch(c->watch, c->watch_last, false);
	c->watching = false;
}

void dod_watch_to_device(struct dod_content *c, u64 start, u64 last)
{
	if (start > c->watch_last || last < c->watch)
		return;
	dod_poison_ops.watch(max(start, c->watch), min(last, c->watch_last), false);
	/* In the middle it is poisoned while the device owns it, and both ends stay watched. */
	if (start <= c->watch && last >= c->watch_last)
		c->watching = false;
	else if (start <= c->watch)
		c->watch = last + 1;
	else if (last >= c->watch_last)
		c->watch_last = start - 1;
}

bool dod_watch_covers(const struct dod_mapping *m, u64 *start, u64 *last, unsigned long *synced_by)
{
	const struct dod_content *c = m->content;

	if (m->dir == DMA_TO_DEVICE || !c->watching || *start > c->watch_last || *last < c->watch)
		return false;
	*start = max(*start, c->watch);
	*last = min(*last, c->watch_last);
	*synced_by = dod_frame_ip(c->synced_by);
	return true;
}

void dod_write_lost(const struct dod_pending *p, const struct dod_mapping *m,
		    enum dod_lost how, unsigned long at)
{
	u8 type = p->range.dir == DMA_TO_DEVICE ? DOD_R_CPU_WRITE :
						  DOD_R_MISSING_SYNC_FOR_DEVICE;

	if (!READ_ONCE(dod_armed))
		return;
	/* Its driver may have set its driver data since the write. */
	if (dod_is_own_data(m) || (!READ_ONCE(dod_params.strict) && dod_map_permitted(type, m)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		dod_report_lost_write(m, p, how, at);
}

#define SCAN_PERIOD	(10 * HZ)

/*
 * A mapping that is never unmapped must not hide them. They are advice and no fault: what
 * is in the buffer of a stopped UART will be sent one day.
 */
static void find_old_writes(void)
{
	unsigned int after = READ_ONCE(dod_params.pending_after);
	u64 start = 0, now = local_clock();
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		cond_resched();
		if (!sum.pending || dod_ago(now, sum.since) < (u64)after * NSEC_PER_SEC ||
		    dod_is_own_data(&m))
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
		find_old_writes();
	schedule_delayed_work(to_delayed_work(work), SCAN_PERIOD);
}

static DECLARE_DEFERRABLE_WORK(scan_work, scan);

void dod_scan_writes_now(void)
{
	if (!READ_ONCE(dod_armed))
		return;
	/* Not mod_delayed_work(), which asks for a queue by name: 7.3 warns of the old name. */
	cancel_delayed_work(&scan_work);
	schedule_delayed_work(&scan_work, 0);
}

void dod_scan_writes_start(void)
{
	schedule_delayed_work(&scan_work, SCAN_PERIOD);
}

void dod_scan_writes_stop(void)
{
	cancel_delayed_work_sync(&scan_work);
}
