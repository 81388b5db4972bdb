// SPDX-License-Identifier: GPL-2.0
/*
 * The counters. No locks here.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "mapped_pages.h"
#include "memory.h"
#include "pagemarks.h"
#include "params.h"
#include "pool.h"
#include "stack.h"
#include "state.h"
#include "stats.h"
#include "worker.h"

#include <linux/atomic.h>
#include <linux/math64.h>
#include <linux/percpu.h>
#include <linux/time64.h>

static const char * const counter_names[] = {
	[DOD_C_MAPS] = "maps",
	[DOD_C_MAPS_BOUNCED] = "maps_bounced",
	[DOD_C_MAPS_LINKED] = "maps_linked",
	[DOD_C_UNMAPS] = "unmaps",
	[DOD_C_SYNCS_FOR_CPU] = "syncs_for_cpu",
	[DOD_C_SYNCS_FOR_DEVICE] = "syncs_for_device",
	[DOD_C_ALLOWED_READS] = "allowed_reads",
	[DOD_C_ALLOWED_IDIOMS] = "allowed_idioms",
	[DOD_C_TRAPS_TOO_LATE] = "traps_too_late",
	[DOD_C_TRAPS_IN_NMI] = "traps_in_nmi",
	[DOD_C_TRAPS_NESTED] = "traps_nested",
	[DOD_C_MISSED_TRAPS] = "missed_traps",
	[DOD_C_UNMATCHED_UNMAPS] = "unmatched_unmaps",
	[DOD_C_UNMATCHED_SYNCS] = "unmatched_syncs",
	[DOD_C_UNTRACKED_POOL_EMPTY] = "untracked_pool_empty",
	[DOD_C_UNTRACKED_FAILED_MAP] = "untracked_failed_map",
	[DOD_C_UNTRACKED_MMIO] = "untracked_mmio",
	[DOD_C_UNTRACKED_COHERENT] = "untracked_require_coherent",
	[DOD_C_UNTRACKED_NOT_RAM] = "untracked_not_ram",
	[DOD_C_UNTRACKED_NO_DEVICE] = "untracked_no_device",
	[DOD_C_UNTRAPPED_USER] = "untrapped_user_pages",
	[DOD_C_UNTRAPPED_RESERVED] = "untrapped_reserved_pages",
	[DOD_C_UNTRAPPED_KFENCE] = "untrapped_kfence",
	[DOD_C_UNTRAPPED_STACK] = "untrapped_stack",
	[DOD_C_UNTRAPPED_SUB_GRANULE] = "untrapped_sub_granule",
	[DOD_C_UNTRAPPED_NO_SYNC] = "untrapped_no_sync_needed",
	[DOD_C_UNTRAPPED_OWN_DATA] = "untrapped_own_data",
	[DOD_C_RANGES_EXHAUSTED] = "ranges_exhausted",
	[DOD_C_UNJUDGED_CONTIGUITY] = "unjudged_contiguity",
	[DOD_C_UNJUDGED_SHARED_PAGE] = "unjudged_shared_page",
	[DOD_C_UNJUDGED_OBJECT_REST] = "unjudged_object_rest",
	[DOD_C_UNJUDGED_FREE] = "unjudged_free",
	[DOD_C_UNJUDGED_CONTENT] = "unjudged_content",
	[DOD_C_UNTRACKED_STALE] = "untracked_stale",
	[DOD_C_STALE_MAPPINGS] = "stale_mappings",
	[DOD_C_STALE_DOUBTED] = "stale_doubted",
	[DOD_C_FINISHED_RANGES] = "finished_ranges",
	[DOD_C_PENDING_WRITES] = "pending_writes",
	[DOD_C_PENDING_POOL_EMPTY] = "pending_pool_empty",
	[DOD_C_FINDINGS_POOL_EMPTY] = "findings_pool_empty",
	[DOD_C_SYNCS_IDLE] = "syncs_idle",
	[DOD_C_RACES_PENDING] = "kcsan_races_pending",
	[DOD_C_CONTENT_GIVEN_BACK] = "content_given_back",
	[DOD_C_UNJUDGED_SHADOW] = "unjudged_shadow",
	[DOD_C_CONTENT_MAPPINGS] = "content_mappings",
	[DOD_C_CONTENT_PARTIAL] = "content_partial",
	[DOD_C_CONTENT_SHARED] = "content_shared",
	[DOD_C_CONTENT_DOUBTED] = "content_doubted",
	[DOD_C_CONTENT_POOL_EMPTY] = "content_pool_empty",
	[DOD_C_CONTENT_EDGES] = "content_shared_lines",
	[DOD_C_WATCHED_RANGES] = "watched_ranges",
	[DOD_C_CANARIES] = "canaries",
	[DOD_C_UNJUDGED_CANARY] = "unjudged_canary",
	[DOD_C_UNWATCHED_BUSES] = "unwatched_buses",
	[DOD_C_REPORTS_SHOWN] = "reports_shown",
	[DOD_C_REPORTS_DEDUPLICATED] = "reports_deduplicated",
	[DOD_C_REPORTS_RATELIMITED] = "reports_ratelimited",
	[DOD_C_REPORTS_FILTERED] = "reports_filtered",
	[DOD_C_REPORTS_NESTED] = "reports_nested",
	[DOD_C_REPORTS_NO_BUFFER] = "reports_no_buffer",
	[DOD_C_NOTES_SHOWN] = "notes_shown",
	[DOD_C_KASAN_ANNOTATED] = "kasan_reports_annotated",
	[DOD_C_KCSAN_ANNOTATED] = "kcsan_reports_annotated",
	[DOD_C_WATCHES] = "kcsan_watches",
	[DOD_C_WATCHES_UNFIT] = "kcsan_watches_unfit",
	[DOD_C_WATCH_WAITS] = "kcsan_waits",
	[DOD_C_WATCH_GIVE_UPS] = "kcsan_wait_give_ups",
};

static_assert(ARRAY_SIZE(counter_names) == DOD_COUNTER_COUNT);

static DEFINE_PER_CPU(long [DOD_COUNTER_COUNT], counters);

/**
 * dod_count() - count an event
 * @counter: which
 *
 * Context: any.
 */
void dod_count(enum dod_counter counter)
{
	this_cpu_inc(counters[counter]);
}

/**
 * dod_counter_read() - sum of a counter over the CPUs
 * @counter: which
 *
 * Context: any.
 */
long dod_counter_read(enum dod_counter counter)
{
	unsigned int cpu;
	long sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(counters, cpu)[counter]);
	return sum;
}

static atomic64_t longest_wait;

/**
 * dod_count_wait() - a hook has waited for a guard that acts by itself
 * @ns: how long
 *
 * Context: any.
 */
void dod_count_wait(u64 ns)
{
	s64 longest = atomic64_read(&longest_wait);

	dod_count(DOD_C_WATCH_WAITS);
	while (longest < (s64)ns &&
	       !atomic64_try_cmpxchg(&longest_wait, &longest, ns))
		;
}

long dod_longest_wait_us(void)
{
	u64 us = atomic64_read(&longest_wait);

	do_div(us, NSEC_PER_USEC);
	return us;
}

/**
 * dod_counters_reset() - forget the events of the self-test
 *
 * Context: before any others.
 */
void dod_counters_reset(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		memset(per_cpu(counters, cpu), 0, sizeof(counters));
}

/**
 * dod_counter_name() - as it is in debugfs
 * @counter: which
 */
const char *dod_counter_name(enum dod_counter counter)
{
	return counter_names[counter];
}
