// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of a device to memory that was unmapped and freed (late-device-write). A worker looks at
 * some of what was unmapped lately: once it is freed, its content is kept, and compared for late_ms.
 *
 * What is compared must have been free all the time. That the shadow says so now is no proof: it
 * may have been allocated and freed again. So one granule of the freed object is marked, by a
 * value that stands for freed memory as well; KASAN writes the others over it when it is allocated.
 * The mark is the memory's and not a slot's: whoever sets it drops all others that rely on it.
 *
 * KASAN may report one fault and no more, but it is asked about each access to freed memory, and
 * attach/ tells of those: what the CPU may have written is dropped.
 *
 * While it is free, the allocators write to some words of their own in it: KASAN at the start
 * (struct kasan_free_meta), SLUB where it has its list. So few words that changed are no fault.
 *
 * A slot is the unmapper's while it is TAKEN, and the worker's from UNMAPPED on. No locks.
 */
#include "internal.h"

#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/poison.h>

#define NR_SLOTS	32
#define SLOTS_TRIED	4
#define TICK		max(HZ / 100, 1)
#define NR_WORDS	128	/* of each that are compared, from the first one on */
#define LEAST_WORDS	16	/* of smaller ones the allocators' own words are too many */
#define LEAST_CHANGED	8	/* more than those */

enum { NONE, TAKEN, UNMAPPED, FREED };

static struct slot {
	atomic_t state;
	bool touched;			/* by the CPU, when it was free */
	unsigned int nr;		/* words; the last one is the granule that is marked */
	u64 start;			/* of the first one, physical */
	unsigned long until;		/* jiffies: then it is looked at no more */
	struct dod_mapping m;		/* a copy */
	u64 words[NR_WORDS];
} slots[NR_SLOTS];

/* Where a CPU looks for a slot next. Mostly all are taken: no CPU writes for that what others do. */
static DEFINE_PER_CPU(unsigned int, next_slot);
static bool ticking;

static u64 last_of(const struct slot *s)
{
	return s->start + s->nr * sizeof(u64) - 1;
}

static unsigned long late_jiffies(void)
{
	return msecs_to_jiffies(min(READ_ONCE(dod_params.late_ms), 10000U));
}

static void tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(tick_work, tick);

static void start_ticking(struct work_struct *work)
{
	if (!xchg(&ticking, true))
		schedule_delayed_work(&tick_work, 1);
}

static DEFINE_DOD_WORKER(ticker, start_ticking);

/* Can it be told that memory was freed, and that it is as it was left then? */
static bool can_watch(const struct dod_mapping *m)
{
	return dod_mem_ops.mark_freed && READ_ONCE(dod_armed) && READ_ONCE(dod_params.late_ms) &&
	       READ_ONCE(dod_params.content) != DOD_CONTENT_OFF && m->trap == DOD_TRAP_ALL &&
	       !m->bounced && !m->freed && m->last - m->start >= LEAST_WORDS * sizeof(u64) &&
	       !dod_report_is_off(DOD_R_LATE_DEVICE_WRITE);
}

void dod_late_unmapped(const struct dod_mapping *m)
{
	unsigned int i;
	struct slot *s;

	if (!can_watch(m))
		return;
	for (i = 0; i < SLOTS_TRIED; i++) {
		s = &slots[this_cpu_inc_return(next_slot) % NR_SLOTS];
		if (atomic_read(&s->state) == NONE &&
		    atomic_cmpxchg(&s->state, NONE, TAKEN) == NONE)
			break;
	}
	if (i == SLOTS_TRIED) {
		dod_count(DOD_C_UNJUDGED_LATE);
		return;
	}
	s->m = *m;
	s->start = round_up(m->start, sizeof(u64));
	s->nr = min_t(u64, (m->last + 1 - s->start) / sizeof(u64), NR_WORDS);
	s->until = jiffies + late_jiffies();
	WRITE_ONCE(s->touched, false);
	/* A full barrier: pairs with the smp_mb() in tick(). */
	atomic_xchg(&s->state, UNMAPPED);
	if (!READ_ONCE(ticking))
		dod_worker_wake(&ticker);
}

static bool read_words(const struct slot *s, u64 *words)
{
	return dod_memory_read(s->start, (u8 *)words, s->nr * sizeof(u64));
}

/**
 * dod_late_accessed() - the CPU is about to access memory that KASAN says it must not
 * @phys: first byte
 * @last: last byte
 *
 * Context: any, also in the handler of a breakpoint.
 */
void dod_late_accessed(u64 phys, u64 last)
{
	struct slot *s;

	/* KASAN takes x++ for a read, so reads count. */
	for (s = slots; s < slots + NR_SLOTS; s++)
		if (atomic_read_acquire(&s->state) >= UNMAPPED && s->start <= last &&
		    last_of(s) >= phys)
			WRITE_ONCE(s->touched, true);
	/* Pairs with that of is_marked_freed(): who sees the write sees @touched. */
	smp_mb();
}

static void give_up(struct slot *s)
{
	dod_count(DOD_C_LATE_GIVEN_UP);
	atomic_set(&s->state, NONE);
}

/* The mark is new, so they are of a life of that memory that is over. */
static void drop_older(const struct slot *marked)
{
	struct slot *s;

	for (s = slots; s < slots + NR_SLOTS; s++)
		if (s != marked && atomic_read(&s->state) == FREED && last_of(s) == last_of(marked))
			give_up(s);
}

/* Could another device have written to it as well? Then none is blamed. */
static bool drop_shared(const struct slot *of)
{
	struct dod_mapping m;
	bool any = false;
	struct slot *s;

	for (s = slots; s < slots + NR_SLOTS; s++)
		if (s != of && atomic_read_acquire(&s->state) == UNMAPPED &&
		    s->m.dev != of->m.dev && s->start <= last_of(of) && last_of(s) >= of->start) {
			give_up(s);
			any = true;
		}
	/* Its slot may be gone, or there was none. */
	return any || (dod_owner_find_mapping(NULL, of->start, 0, &m) && m.dev != of->m.dev &&
		       m.dir != DMA_TO_DEVICE);
}

/* Keeps the content if it was freed, and is mapped by nobody. */
static void begin(struct slot *s)
{
	if (!dod_mem_ops.mark_freed(s->start, last_of(s)))
		return;
	drop_older(s);
	if (drop_shared(s) ||
	    dod_owner_is_mapped(s->m.dev, s->m.dma_addr, s->start,
				dod_page_end(s->start, last_of(s))) ||
	    !read_words(s, s->words)) {
		dod_mem_ops.unmark_freed(last_of(s));
		give_up(s);
		return;
	}
	s->until = jiffies + late_jiffies();
	dod_count(DOD_C_LATE_WATCHED);
	atomic_set(&s->state, FREED);
}

/*
 * What slub_debug writes when the object leaves KASAN's quarantine and before it is allocated again,
 * what page_poison=1 writes when its page is freed, and what clears memory. Some of that comes
 * before the shadow changes.
 */
static bool is_allocators(u64 word)
{
	const u64 bytes = 0x0101010101010101ULL, poison = POISON_FREE * bytes;

	return !word || word == poison || word == PAGE_POISON * bytes ||
	       word == SLUB_RED_ACTIVE * bytes || word == SLUB_RED_INACTIVE * bytes ||
	       word == (poison ^ (u64)(POISON_FREE ^ POISON_END) << 56);
}

/*
 * How many words changed, but for those that the allocators may have written. *@first: where the
 * most of them in a row begin, for these are the device's.
 */
static unsigned int count_changed(const struct slot *s, const u64 *now, unsigned int *first)
{
	unsigned int i, nr = 0, run = 0, longest = 0;

	for (i = 0; i < s->nr; i++) {
		if (now[i] == s->words[i] || is_allocators(now[i])) {
			run = 0;
			continue;
		}
		nr++;
		if (++run > longest) {
			longest = run;
			*first = i + 1 - run;
		}
	}
	return nr;
}

static noinline void report(const struct slot *s, const u64 *now, unsigned int nr,
			    unsigned int first)
{
	struct dod_finding f = { .type = DOD_R_LATE_DEVICE_WRITE };
	unsigned int left = min_t(unsigned int, (s->nr - first) * sizeof(u64), DOD_BYTES_SHOWN);

	dod_finding_add(&f, "Unmapped in %pS\n", (void *)s->m.ended_by);
	dod_finding_add(&f, "Then the memory was freed. Since then %u of its first %u words of 8 bytes have changed: by\nthe device, or by the CPU in code that KASAN does not check.\n",
			nr, s->nr);
	f.change.start = s->start + first * sizeof(u64);
	f.change.nr = left;
	memcpy(f.change.was, s->words + first, left);
	memcpy(f.change.is, now + first, left);
	if (READ_ONCE(dod_armed))
		dod_report_mapping(&f, &s->m);
}

static void compare(struct slot *s)
{
	static u64 now[NR_WORDS];	/* the worker's */
	unsigned int nr, first = 0;
	bool over = time_after_eq(jiffies, s->until);

	/* The mark is asked for last: then it was free while it was read. */
	if (!read_words(s, now) || !dod_mem_ops.is_marked_freed(s->start, last_of(s))) {
		give_up(s);
		return;
	}
	if (READ_ONCE(s->touched)) {
		dod_mem_ops.unmark_freed(last_of(s));
		give_up(s);
		return;
	}
	nr = count_changed(s, now, &first);
	if (nr < LEAST_CHANGED && !over)
		return;
	dod_mem_ops.unmark_freed(last_of(s));
	if (nr >= LEAST_CHANGED)
		report(s, now, nr, first);
	atomic_set(&s->state, NONE);
}

/* Is there anything left? */
static bool look_at_all(void)
{
	bool any = false;
	struct slot *s;

	for (s = slots; s < slots + NR_SLOTS; s++) {
		/* Pairs with atomic_xchg() in dod_late_unmapped(). */
		int state = atomic_read_acquire(&s->state);

		if (state == UNMAPPED)
			begin(s);
		else if (state == FREED)
			compare(s);
		if (atomic_read_acquire(&s->state) == UNMAPPED &&
		    time_after_eq(jiffies, s->until))
			give_up(s);
		any |= atomic_read(&s->state) >= UNMAPPED;
	}
	return any;
}

static void tick(struct work_struct *work)
{
	if (!look_at_all()) {
		WRITE_ONCE(ticking, false);
		/* Pairs with atomic_xchg() in dod_late_unmapped(): one of us sees the other. */
		smp_mb();
		if (!look_at_all() || xchg(&ticking, true))
			return;
	}
	schedule_delayed_work(&tick_work, TICK);
}

/* No hook runs any more. */
void dod_late_stop(void)
{
	struct slot *s;

	dod_worker_cancel(&ticker);
	cancel_delayed_work_sync(&tick_work);
	for (s = slots; s < slots + NR_SLOTS; s++)
		if (atomic_xchg(&s->state, NONE) == FREED)
			dod_mem_ops.unmark_freed(last_of(s));
	WRITE_ONCE(ticking, false);
}
