// SPDX-License-Identifier: GPL-2.0
/*
 * Which bytes of memory must be poisoned: those that a device owns through any mapping
 * (rule 5), stale bytes, and the rest of cache lines that a device writes (rule 10). Bytes are
 * stale that the device is done with, but that were not synced for the CPU: rule 6b leaves
 * them in a live mapping, rule 3b in one that has ended and stays in the index for them. No
 * spanning mapping has any. The caller holds the area of the memory, unless a function says
 * otherwise; in it, the tree of spanning mappings is locked.
 */
#include "internal.h"

u16 dod_widest_line;
/* Not in a line with what each call reads. */
atomic_t dod_spanning_changes __cacheline_aligned_in_smp;
atomic_t dod_nr_stale;

#define MAX_STALE	1024	/* ended mappings: they hold records, which map calls need more */

/*
 * Counts calls of the DMA API where KASAN is off: in interrupts of code that has turned it
 * off for itself, as the page allocator does while it clears a page. Writes there do not
 * trap, such as TCP's to the tailroom of a packet. So what became stale before such a call
 * is no longer certain to be stale.
 */
static atomic_t nr_unseen;

/* @r is the first that has some of [start, last]. */
static void poison_from(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last)
{
	struct dod_range *next;

	for (; r; r = next) {
		u64 from = max(r->start, start);

		/* Two ranges that meet inside a granule have all of it together. */
		while ((next = dod_range_next(r, last)) && next->start == r->last + 1 &&
		       next->dir == r->dir && next->state == r->state)
			r = next;
		if (r->state != DOD_PENDING)
			dod_poison_ops.poison(m, from, min(r->last, last),
				      r->state == DOD_STALE ? DMA_NONE : r->dir, false);
	}
}

/* Poisons what its ranges have of [start, last]. @fresh: see dod_poison_new(). */
static __always_inline void poison_ranges(struct dod_mapping *m, u64 start, u64 last, bool fresh)
{
	struct dod_range *r = dod_range_first(m, start, last);

	if (!r || m->trap == DOD_TRAP_NONE)
		return;
	/* Most mappings have one range. */
	if (likely(r->state == DOD_OWNED &&
		   (r->last >= last || (m->ranges.rb_node == &r->rb && !r->rb.rb_right))))
		dod_poison_ops.poison(m, max(r->start, start), min(r->last, last), r->dir, fresh);
	else
		poison_from(m, r, start, last);
}

/*
 * Rule 10: while the device writes to the first or last line, nobody else may write to the
 * rest of it. Bytes of the line inside the mapping are no line edge: its driver syncs them.
 */
static void poison_edges(struct dod_mapping *m, u64 start, u64 last)
{
	unsigned int after;
	u64 from, to;

	if (!has_edges(m) || !dod_poison_ops.poison_line_edge)
		return;
	for (after = 0; after < 2; after++) {
		line_edge(m, after, &from, &to);
		if (from <= to && from <= last && to >= start && device_writes_line(m, after))
			dod_poison_ops.poison_line_edge(m, from, to);
	}
}

static __always_inline void poison_mapping(struct dod_mapping *m, u64 start, u64 last, bool fresh)
{
	if (unlikely(m->edges))
		poison_edges(m, start, last);
	poison_ranges(m, start, last, fresh);
}

/* Where the owner of [start, last] changes, the rest of their lines may change, too. */
void dod_add_edges(const struct dod_mapping *m, u64 *start, u64 *last)
{
	u64 from, to;

	if (!has_edges(m))
		return;
	line_edge(m, false, &from, &to);
	if (*start < from + m->line)
		*start = from;
	line_edge(m, true, &from, &to);
	if (*last + m->line > to)
		*last = to;
}

/* The granules of [start, last]: they were cleared of what this mapping had poisoned. */
static __always_inline void poison_granules(struct dod_mapping *m, u64 start, u64 last, bool fresh)
{
	poison_mapping(m, round_down(start, GRANULE), round_up(last + 1, GRANULE) - 1, fresh);
}

/*
 * Fast path: the device owned nothing of the range through this mapping, so no shadow was
 * cleared. Only add this mapping's poison. @fresh: no other mapping overlaps it, and it was
 * checked a moment ago.
 */
void dod_poison_new(struct dod_mapping *m, u64 start, u64 last, bool fresh)
{
	/* Line edges of others may be there. */
	fresh = fresh && (m->memory & DOD_MEM_GOOD) && !READ_ONCE(dod_widest_line);
	poison_granules(m, start, last, fresh);
}

/* The same for all of a new mapping that has no line edges. */
void dod_poison_plain(struct dod_mapping *m, bool fresh)
{
	fresh = fresh && (m->memory & DOD_MEM_GOOD) && !READ_ONCE(dod_widest_line);
	dod_poison_ops.poison(m, m->start, m->last, m->dir, fresh);
}

/* Poisons the granules of [start, last], which lies in the area and was cleared. */
void dod_poison_region(struct dod_area *a, u64 start, u64 last)
{
	u64 margin = READ_ONCE(dod_widest_line), from, to;
	struct dod_mapping *m;
	struct dod_walk w;

	start = round_down(start, GRANULE);
	last = round_up(last + 1, GRANULE) - 1;
	from = start - min(start, margin);
	to = last + margin;

	/* Without mappings that have ended: see dod_stale_keep(). */
	dod_walk_begin(&w, a, start, last);
	dod_for_each_overlap(m, &w, from, to)
		poison_mapping(m, start, last, false);
	dod_walk_end(&w);
}

/* Poisons what is stale of ended mappings, which dod_poison_region() leaves out. */
void dod_poison_stale(struct dod_area *a, u64 start, u64 last)
{
	struct dod_mapping *m, *next;
	struct index_tree *tree;
	u64 at;

	for_each_area_tree(tree, at, a, start, last)
		for_each_indexed_safe(m, next, tree, start, last)
			if (m->has_ended)
				poison_ranges(m, start, last, false);
}

void dod_repoison_region(struct dod_area *a, u64 start, u64 last)
{
	dod_poison_ops.unpoison(start, last, false);
	dod_poison_region(a, start, last);
}

/*
 * Is nothing of [start, last] poisoned for another mapping? Another mapping may end in the
 * granule that @start is in. Where devices share lines with the CPU, the bytes may be line
 * edges of another mapping, unless their lines lie inside this one.
 */
bool dod_is_alone(const struct dod_mapping *m, u64 start, u64 last)
{
	u64 line = READ_ONCE(dod_widest_line);

	if (m->shared || !IS_ALIGNED(start, GRANULE))
		return false;
	return !line || (round_down(start, line) >= m->start && (last | (line - 1)) <= m->last);
}

/* What this mapping's device owned of [start, last] has changed. */
void dod_repoison(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last)
{
	bool alone = dod_is_alone(m, start, last);

	dod_poison_ops.unpoison(start, last, alone && (m->memory & DOD_MEM_GOOD));
	if (alone)
		poison_granules(m, start, last, false);
	else
		dod_poison_region(a, start, last);
}

/**
 * dod_owner_repoison() - poison a granule whose shadow somebody else has changed
 * @phys: a byte of it
 */
void dod_owner_repoison(u64 phys)
{
	in_each_region(phys, phys, dod_poison_region);
}

/*
 * A spanning mapping changes in two steps: first its ranges, between dod_spanning_begin()
 * and dod_spanning_end(), then the shadow of each region, without the lock of the mapping.
 * Until the second call there may be poison that no mapping accounts for.
 */
void dod_spanning_begin(void)
{
	atomic_inc(&dod_spanning_changes);
	/* Pairs with smp_rmb() in dod_owner_find(). */
	smp_mb__after_atomic();
}

static void repoison_region(struct dod_area *a, u64 start, u64 last)
{
	stale_drop(a, start, last);
	dod_repoison_region(a, start, last);
}

/*
 * The ranges of [start, last] of a spanning mapping have changed: poison each region anew.
 * No lock is held. The mapping may be gone: the trees say what is owned now.
 */
void dod_poison_spanning(u64 start, u64 last)
{
	u64 margin = READ_ONCE(dod_widest_line);

	/* Line edges, if there are any: they lie in the same pages. */
	start = max(round_down(start, PAGE_SIZE), start - min(start, margin));
	last = min(last | (PAGE_SIZE - 1), last + margin);
	in_each_region(start, last, repoison_region);
}

/* No lock is held. */
void dod_spanning_end(u64 start, u64 last)
{
	dod_poison_spanning(start, last);
	atomic_dec(&dod_spanning_changes);
	dod_overlap_spanning(start, last);
}

/**
 * dod_owner_note_unseen() - the DMA API is called where KASAN is off
 */
void dod_owner_note_unseen(void)
{
	atomic_inc(&nr_unseen);
}

/* To be called before some of the mapping becomes stale. */
void dod_stale_begin(struct dod_mapping *m)
{
	if (!dod_has_state(m, DOD_STALE))
		m->unseen = (u8)atomic_read(&nr_unseen);
}

/* Nothing of an ended mapping is stale any more. */
static void stale_end(struct dod_area *a, struct dod_mapping *m)
{
	dod_unindex_phys(a, tree_of(m), m);
	atomic_dec(&dod_nr_stale);
	dod_mapped_pages_del(m);
	dod_range_put_spare(m);
	dod_history_put(m, NULL);
}

/* A part of a region is written, mapped, synced or freed: no ended mapping's is stale any more. */
void __dod_stale_drop(struct dod_area *a, u64 start, u64 last)
{
	struct dod_mapping *m, *next;
	struct index_tree *tree;
	u64 at;

	for_each_area_tree(tree, at, a, start, last) {
		for_each_indexed_safe(m, next, tree, start, last) {
			u64 from = max(start, m->start), to = min(last, m->last);

			if (!m->has_ended || !dod_ranges_to_cpu(m, from, &to, KEEP_NONE))
				continue;
			dod_repoison_region(a, from, to);
			if (RB_EMPTY_ROOT(&m->ranges))
				stale_end(a, m);
		}
	}
}

/* Where any ended mapping has some. */
void __dod_stale_forget(u64 start, u64 last)
{
	in_each_region(start, last, stale_drop);
}

static bool drop_uncertain(struct dod_area *a, struct index_tree *tree, u64 byte)
{
	struct dod_mapping *m, *next;
	bool dropped = false;

	for_each_indexed_safe(m, next, tree, byte, byte) {
		struct dod_range *r = dod_range_first(m, byte, byte);
		u64 from, to;

		if (!r || r->state != DOD_STALE || m->unseen == (u8)atomic_read(&nr_unseen))
			continue;
		from = r->start;
		to = r->last;
		dod_ranges_to_cpu(m, from, &to, KEEP_NONE);
		dod_repoison_region(a, from, to);
		if (m->has_ended && RB_EMPTY_ROOT(&m->ranges))
			stale_end(a, m);
		dod_count(DOD_C_STALE_DOUBTED);
		dropped = true;
	}
	return dropped;
}

/* Drops the stale ranges at a byte that writes may have changed unseen; returns if any. */
bool dod_stale_drop_uncertain(struct dod_area *a, u64 byte)
{
	struct index_tree *tree;
	bool dropped = false;
	u64 at;

	for_each_area_tree(tree, at, a, byte, byte)
		dropped |= drop_uncertain(a, tree, byte);
	return dropped;
}

/*
 * Rule 3b: does an unmap with DMA_ATTR_SKIP_CPU_SYNC leave stale what the device owned and
 * may have written? Spanning mappings are only counted. No lock is held.
 */
bool dod_stale_is_left(const struct dod_call *call, const struct dod_mapping *m)
{
	if (likely(!(call->attrs & DMA_ATTR_SKIP_CPU_SYNC)) || m->dir == DMA_TO_DEVICE ||
	    m->not_ram || m->freed || m->trap == DOD_TRAP_NONE || !READ_ONCE(dod_armed) ||
	    (!m->line &&
	     !(m->bounced && dod_is_bounced(call->dev, m->start, m->dma_addr, false))))
		return false;
	if (m->spanning || atomic_read(&dod_nr_stale) >= MAX_STALE || !DOD_MEMCPY_CHECKED) {
		dod_count(DOD_C_UNTRACKED_STALE);
		return false;
	}
	return true;
}

/* The mapping has ended, and stays indexed if any of it is stale: returns whether. */
bool dod_stale_keep(struct dod_area *a, struct dod_mapping *m)
{
	struct dod_range *r, *next;

	dod_stale_begin(m);
	for_each_range_safe(r, next, m, m->start, m->last) {
		u64 start = r->start, last = r->last;
		bool was_pending = r->state == DOD_PENDING, stale;
		u64 from = start, to = last;

		if (was_pending || r->dir == DMA_TO_DEVICE)
			dod_range_remove(m, r);
		else
			r->state = DOD_STALE;
		if (was_pending)
			continue;
		stale = stays_stale(from, to);
		dod_add_edges(m, &start, &last);
		dod_repoison_region(a, start, last);
		if (unlikely(stale))
			dod_poison_stale(a, from, to);
	}
	if (RB_EMPTY_ROOT(&m->ranges))
		return false;
	atomic_inc(&dod_nr_stale);
	dod_count(DOD_C_STALE_MAPPINGS);
	/* dod_poison_region() leaves it out: the memory may have another owner one day. */
	poison_ranges(m, m->start, m->last, false);
	return true;
}

/* Leaves the mappings mapped: an unmap that comes meanwhile finds its memory not poisoned. */
static void unpoison_tree(unsigned int n)
{
	struct dod_mapping *m, *next;
	struct dod_range *r;
	struct dod_area a;

	dod_area_lock_nth(&a, n);
	for_each_indexed_safe(m, next, nth_tree(n), 0, U64_MAX) {
		dod_judge_ops.content_end(m);
		while ((r = dod_range_first(m, 0, U64_MAX))) {
			u64 start = r->start, last = r->last;

			dod_add_edges(m, &start, &last);
			if (m->trap != DOD_TRAP_NONE)
				dod_poison_ops.unpoison(start, last, false);
			dod_range_remove(m, r);
		}
		if (m->has_ended)
			stale_end(&a, m);
	}
	dod_area_unlock(&a);
}

/**
 * dod_owner_stop_guarding() - the CPU owns all memory: clear all poison
 *
 * To be called when the hooks do not make a device the owner any more; unmaps, syncs for the
 * CPU and look-ups may go on. As nothing is poisoned meanwhile, the area of a spanning mapping's
 * memory is not needed.
 */
void dod_owner_stop_guarding(void)
{
	unsigned int i = NR_TREES;

	while (i--)
		if (READ_ONCE(nth_tree(i)->nr))
			unpoison_tree(i);
	wait_unwatched(0, U64_MAX);
}
