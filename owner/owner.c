// SPDX-License-Identifier: GPL-2.0
/*
 * What each event of the DMA API changes: the table of transitions, and one change of the
 * owner of a range. The rules are those of Documentation/design.rst. The caller holds the
 * area of the mapping. That of a spanning mapping does not guard any shadow:
 * dod_spanning_end() poisons its regions later.
 */
#include "internal.h"

bool dod_any_bounced;

const struct dod_transition dod_transitions[] = {
	[DOD_SYNC_FOR_CPU] = {
		.api = DOD_API_SYNC_FOR_CPU, .hand_over = true,
		.for_cpu = true, .compare = true, .watch_writes = true,
		.count_unmatched = true, .counter = DOD_C_SYNCS_FOR_CPU,
	},
	[DOD_SYNC_PREPARE] = {
		.api = DOD_API_SYNC_FOR_DEVICE,
		.for_device = true, .bounced_only = true, .keep = KEEP_PENDING,
	},
	[DOD_SYNC_FOR_DEVICE] = {
		.api = DOD_API_SYNC_FOR_DEVICE, .hand_over = true,
		.for_device = true, .to_device = true, .stamp_sync = true,
		.count_unmatched = true, .counter = DOD_C_SYNCS_FOR_DEVICE,
	},
	[DOD_SYNC_IOVA] = {
		.api = DOD_API_SYNC_FOR_DEVICE, .hand_over = true,
		.for_device = true, .to_device = true,
	},
	[DOD_NO_SYNC_NEEDED] = { .api = DOD_API_NO_SYNC, .untrap = true, .unless_bounced = true },
	[DOD_SYNCS_SKIPPED] = { .api = DOD_API_NO_SYNC, .untrap = true },
};

/* Returns the last byte that it changed. */
u64 dod_to_cpu_single(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
		      enum keep keep)
{
	bool keeps = keep & (KEEP_PENDING | KEEP_WRITABLE) &&
		     m->kinds & (DOD_KIND_PENDING | DOD_KIND_WRITABLE);
	u64 to = last;

	stale_drop(a, start, last);
	if (!dod_ranges_to_cpu_from(m, &start, &last, keep) || m->trap == DOD_TRAP_NONE)
		return last;
	/* Whole granules, in which nothing is left: there is nothing to poison anew. */
	if (!keeps && last == to && IS_ALIGNED(last + 1, GRANULE) && !m->edges &&
	    dod_is_alone(m, start, last)) {
		dod_poison_ops.unpoison(start, last, m->memory & DOD_MEM_GOOD);
		return last;
	}
	to = last;
	dod_add_edges(m, &start, &last);
	dod_repoison(a, m, start, last);
	return to;
}

/* @lone: no other mapping of its tree overlaps it. */
void dod_to_device_single(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
			  u8 dir, bool lone)
{
	u64 to = last;
	bool owned;

	stale_drop(a, start, last);
	owned = dod_ranges_to_device(m, start, &last, dir);
	overlap_to_device(a, m, start, to, !owned, lone);
	if (m->trap == DOD_TRAP_NONE)
		return;
	dod_add_edges(m, &start, &last);
	/* A weaker direction may replace a stronger one. */
	if (owned)
		dod_repoison(a, m, start, last);
	else
		dod_poison_new(m, start, last, lone && !m->shared);
}

/*
 * A sync in the opposite direction does nothing, on any machine: a sync for the CPU does not
 * show what the device wrote, and a sync for the device sends nothing.
 */
static bool is_idle(const struct dod_call *call, struct dod_mapping *m, u64 start, u64 last)
{
	if (call->event->for_device)
		return call->dir == DMA_FROM_DEVICE && m->dir == DMA_TO_DEVICE;
	return call->event->for_cpu && call->dir == DMA_TO_DEVICE && m->dir != DMA_TO_DEVICE &&
	       dod_device_writes(m, start, last);
}

static enum keep what_to_keep(const struct dod_call *call)
{
	if (!call->event->for_cpu)
		return call->event->keep;
	/* Pending writes are sent, even if the device may write there: rule 4. */
	if (call->dir == DMA_TO_DEVICE)
		return KEEP_PENDING | KEEP_WRITABLE;
	return READ_ONCE(dod_params.strict) ? KEEP_NONE : FINISH;
}

/* The CPU may read what the device wrote: compares the content, and finds lost writes. */
static void compare(const struct dod_call *call, struct dod_mapping *m, u64 start, u64 last,
		    bool idle, struct dod_content_result *result)
{
	if (m->content && !idle)
		dod_judge_ops.content_to_cpu(call, m, start, last, false, result);
	if (unlikely(m->pending) && call->dir != DMA_TO_DEVICE) {
		dod_result_add_lost(result, m, start, last, true);
		dod_result_add_lost(result, m, start, last, false);
	}
	if (result_any(result))
		result->m = dod_copy_mapping(m);
}

/* What the trace, the history and the profile have of a change, before it is made. */
static __always_inline void observe(const struct dod_call *call, struct dod_mapping *m, u64 start,
				    u64 last, bool idle, struct dod_content_result *result)
{
	const struct dod_transition *event = call->event;

	if (dod_is_traced())
		dod_turn_begin(&result->turn, call, m, start, last);
	if (static_branch_likely(&dod_history_key) && event->hand_over && likely(!idle))
		note_handover(call, m, start, last);
	if (static_branch_likely(&dod_profiling) && event->count_unmatched && m->site &&
	    likely(!idle || event->for_cpu))
		dod_profile_sync(m, event->to_device, last - start + 1);
}

/*
 * Changes the owner of [start, *to], which lies inside the mapping. When no lock is held, the
 * caller passes @result to dod_report_sync(), and, if the return value is true, the range,
 * which may have grown, to dod_spanning_end().
 */
bool dod_change_owner(struct dod_area *a, const struct dod_call *call, struct dod_mapping *m,
		      u64 start, u64 *to, struct dod_content_result *result)
{
	const struct dod_transition *event = call->event;
	u64 last = *to;
	bool idle;

	assert_area_held(a);
	if (m->not_ram || m->freed || (event->bounced_only && !m->bounced))
		return false;
	idle = is_idle(call, m, start, last);
	if (dod_is_observed())
		observe(call, m, start, last, idle, result);
	if (unlikely(idle)) {
		/* The sync itself follows. */
		if (event->bounced_only)
			return false;
		dod_count(DOD_C_SYNCS_IDLE);
		if (event->for_device)
			return false;
		m->idle_sync = dod_frame_pack(call->caller);
	}
	if (event->stamp_sync) {
		m->sync = call->sync->who;
		/* All of it, in line: the kernel's function is instrumented. */
		memcpy(m->sync_frames, call->sync->frames, sizeof(m->sync_frames));
		m->sync_off = start - m->start;
		m->sync_len = last - start + 1;
	}
	if (event->untrap) {
		if ((event->unless_bounced && m->bounced) || m->trap == DOD_TRAP_NONE)
			return false;
		dod_count(DOD_C_UNTRAPPED_NO_SYNC);
		if (static_branch_likely(&dod_profiling) && m->site)
			dod_profile_untrap(m);
		dod_judge_ops.content_end(m);
	}
	if (event->compare)
		compare(call, m, start, last, idle, result);

	if (m->spanning) {
		dod_spanning_begin();
		if (event->to_device) {
			dod_ranges_to_device(m, start, to, call->dir);
			overlap_to_device(a, m, start, last, false, false);
		} else {
			dod_ranges_to_cpu_from(m, &start, to, what_to_keep(call));
		}
	} else {
		if (event->to_device)
			dod_to_device_single(a, m, start, last, call->dir, false);
		else
			last = dod_to_cpu_single(a, m, start, last, what_to_keep(call));
		if (unlikely(m->edges))
			dod_copy_edges(a, m);
		if (event->watch_writes && m->line)
			dod_judge_ops.content_watch(call, m, start, last);
	}
	if (event->untrap)
		m->trap = DOD_TRAP_NONE;
	if (unlikely(result->turn.device))
		dod_turn_end(&result->turn, m, m->spanning ? *to : last);
	return m->spanning;
}

static void free_all(void)
{
	dod_device_stop();
	dod_pool_destroy(&dod_pending_pool);
	dod_judge_ops.content_stop();
	dod_pool_destroy(&dod_range_pool);
	dod_record_stop();
	dod_index_stop();
	dod_profile_stop();
}

/**
 * dod_owner_start() - get ready for events
 * @reserve: records to keep free
 * @max: most records to allocate
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_owner_start(unsigned int reserve, unsigned int max)
{
	int err;

	dod_widest_line = 0;
	dod_any_bounced = false;
	atomic_set(&dod_nr_leaked, 0);
	err = dod_index_start() ?:
	      dod_record_start(reserve, max) ?:
	      dod_pool_init(&dod_range_pool, sizeof(struct dod_range), reserve / 8 + 64, max) ?:
	      dod_pool_init(&dod_device_pool, sizeof(struct dod_device), 64, MAX_DEVICES) ?:
	      dod_judge_ops.content_start(reserve / 2 + 64, max) ?:
	      dod_pool_init(&dod_pending_pool, sizeof(struct dod_pending), reserve / 8 + 64, max);
	if (err)
		free_all();
	else
		dod_profile_start();
	return err;
}

/**
 * dod_owner_stop() - forget everything, when no hook and no look-up runs any more
 *
 * Context: process, may sleep.
 */
void dod_owner_stop(void)
{
	unsigned int i;

	for (i = 0; i < NR_DMA_TREES; i++)
		dod_end_dma_tree(nth_dma_tree(i));
	for (i = 0; i < NR_TREES; i++)
		dod_end_tree(nth_tree(i));
	free_all();
}
