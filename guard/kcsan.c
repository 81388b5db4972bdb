// SPDX-License-Identifier: GPL-2.0
/*
 * The guard on KCSAN: a thread (attach/kcsan.c) accesses for the devices what they own, so that
 * KCSAN finds the CPU's accesses to be races. It watches a little memory at a time, and so
 * finds each access by chance only.
 *
 * What the CPU owns again must not be watched. The thread announces a range, then asks owner/
 * whether a device still owns it, and watches, all with interrupts off. An unmap or a sync for
 * the CPU changes the owner under owner/'s lock, and then waits in wait_unwatched() until no
 * announced range overlaps. Whichever comes first under that lock, the other one sees it.
 *
 * No locks here.
 */
#include "../base/stats.h"
#include "../report/report.h"
#include "kcsan.h"

#include <linux/delay.h>
#include <linux/kcsan-checks.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>

/* Waiting so long is rather a bug of ours than a watch that takes so long. */
#define LONGEST_WAIT	USEC_PER_SEC

/* Ranges that devices came to own last. Lossy: what comes out is checked. */
struct recent {
	struct {
		u64 start, last;
	} range[DOD_KCSAN_RECENT];
	unsigned int next;
};

static DEFINE_PER_CPU(struct recent, recent);

struct dod_kcsan_watch dod_kcsan_watch = {
	.start = DOD_NOWHERE,
};

static void poison(const struct dod_mapping *m, u64 start, u64 last, u8 dir, bool fresh)
{
	struct recent *r = this_cpu_ptr(&recent);
	unsigned int i = r->next++ % DOD_KCSAN_RECENT;

	/*
	 * With CONFIG_KCSAN_WEAK_MEMORY an access is watched until the next barrier, as if it
	 * happened only then. Those before the map happen before it.
	 */
	__kcsan_mb();
	WRITE_ONCE(r->range[i].start, start);
	WRITE_ONCE(r->range[i].last, last);
}

/* The thread asks owner/, which knows already. */
static void unpoison(u64 start, u64 last, bool alone) {}

/**
 * dod_kcsan_recent() - a range that a device came to own lately
 * @cpu: on which CPU
 * @i: which one, less than DOD_KCSAN_RECENT
 * @start: its first byte, physical
 * @last: its last byte
 *
 * Called by the thread when it looks for something to watch.
 *
 * Return: false if there is none.
 */
bool dod_kcsan_recent(unsigned int cpu, unsigned int i, u64 *start, u64 *last)
{
	const struct recent *r;

	if (!cpu_possible(cpu))
		return false;
	r = per_cpu_ptr(&recent, cpu);
	*start = READ_ONCE(r->range[i].start);
	*last = READ_ONCE(r->range[i].last);
	return *last > *start;
}

static bool is_watched(u64 start, u64 last)
{
	u64 at = READ_ONCE(dod_kcsan_watch.start);

	return at != DOD_NOWHERE && at <= last && READ_ONCE(dod_kcsan_watch.last) >= start;
}

/*
 * The wait ends at once when KCSAN prints what it has found: the driver of that console may be
 * who waits here.
 */
static void wait_for_watch(u64 start, u64 last)
{
	unsigned int us = 0;

	WRITE_ONCE(dod_kcsan_watch.wanted, true);
	while (is_watched(start, last) && !READ_ONCE(dod_kcsan_watch.printing) &&
	       us < LONGEST_WAIT) {
		udelay(1);
		us++;
	}
	if (us == LONGEST_WAIT) {
		WRITE_ONCE(dod_kcsan_watch.given_up, local_clock());
		dod_count(DOD_C_WATCH_GIVE_UPS);
	}
	dod_count_wait(us * NSEC_PER_USEC);
}

static void wait_unwatched(u64 start, u64 last)
{
	if (unlikely(is_watched(start, last)))
		wait_for_watch(start, last);
	dod_report_fail_raced_test();
}

const struct dod_poison_ops dod_poison_ops = {
	.poison = poison,
	.unpoison = unpoison,
	.wait_unwatched = wait_unwatched,
};

const struct dod_guard dod_guard = {
	.name = "KCSAN",
	.means = "accesses are found by chance (parameters watch_cpu, watch_recent); " DOD_NO_SHADOW_MEANS,
	.unseen = "No CPU write was seen: the device wrote there, or the CPU did. KCSAN samples few accesses.",
};
