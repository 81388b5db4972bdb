// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is freed while it is mapped, and mappings that a driver has left when it was
 * unbound. No lock is held at entry, unless a function says otherwise. Spanning mappings have a
 * turn of their own, because dod_spanning_end() needs all areas of their memory: no walk here.
 */
#include "internal.h"

atomic_t dod_nr_leaked;	/* mappings that drivers have left: hardly ever any */

/* The first range that the device owns of freed memory. The physical lock is held. */
struct dod_range *dod_freed_range(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	if (likely(!was_freed(m, start, last)))
		return NULL;
	for_each_range(r, m, start, last)
		if (r->state == DOD_OWNED &&
		    dod_mem_ops.freed(max(r->start, start), min(r->last, last)))
			break;
	return r;
}

/*
 * The memory of a mapping was freed: the CPU owns all of it, for good, because its next user
 * knows nothing of the mapping. Its area is locked; a spanning one needs dod_spanning_end().
 */
static void end_ownership(struct dod_area *a, struct dod_mapping *m)
{
	struct dod_range *r;
	u64 to = m->last;

	dod_judge_ops.content_end(m);
	if (dod_is_traced())
		dod_turn_free(m);
	m->freed = true;
	if (m->spanning) {
		dod_spanning_begin();
		dod_ranges_to_cpu(m, m->start, &to, KEEP_NONE);
	}
	while ((r = dod_range_first(m, m->start, m->last)))
		dod_to_cpu_single(a, m, r->start, r->last, KEEP_NONE);
	m->trap = DOD_TRAP_NONE;
}

/* A sync says that the memory is in use. Was it freed unseen? The physical lock is held. */
bool dod_find_freed(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
		    struct dod_content_result *result)
{
	struct dod_range *r = dod_freed_range(m, start, last);

	if (likely(!r))
		return false;
	result->freed = *r;
	result->types = BIT_ULL(DOD_R_FREE_WHILE_MAPPED);
	result->m = dod_copy_mapping(m);
	m->was_owned = true;
	end_ownership(a, m);
	return true;
}

/* Returns whether there is something to report of [start, last]. Its area is locked. */
static bool free_one(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
		     struct dod_freed *freed)
{
	struct dod_content_result result DOD_UNINITIALIZED;
	struct dod_range *r;

	result_init(&result);
	freed->m = *m;
	freed->owned = false;
	for_each_range(r, m, start, last) {
		freed->owned = r->state != DOD_PENDING;
		freed->range = *r;
		if (freed->owned)
			break;
	}
	dod_result_add_lost(&result, m, start, last, true);
	freed->lost = result.lost;
	m->was_owned = freed->owned;
	end_ownership(a, m);
	return freed->owned || freed->lost;
}

/* A mapping of the area, and not before @first, that is not known to be freed. */
static struct dod_mapping *find_unfreed(struct dod_area *a, u64 start, u64 to, u64 first)
{
	struct index_tree *tree = a->spanning;
	struct dod_mapping *m;
	u64 at = start;

	while (tree || (tree = next_tree(a, &at, to))) {
		for_each_in_tree(m, tree, start, to)
			if (!m->freed && m->start >= first)
				return m;
		tree = NULL;
	}
	return NULL;
}

/* [start, to] is in one region. Mappings before @first are left out. Is there one to report? */
static bool free_part(bool spanning, u64 start, u64 to, u64 last, u64 first,
		      struct dod_freed *freed)
{
	struct dod_mapping *m;
	struct dod_area a;
	bool found = false;

	if (spanning && !READ_ONCE(dod_by_phys->spanning.nr))
		return false;
	do {
		if (spanning)
			dod_area_lock_spanning(&a);
		else
			dod_area_lock(&a, start, to);
		m = find_unfreed(&a, start, to, first);
		if (m)
			found = free_one(&a, m, start, last, freed);
		dod_area_unlock(&a);
		if (m && freed->m.spanning)
			dod_spanning_end(freed->m.start, freed->m.last);
	} while (m && !found);
	return found;
}

/**
 * dod_owner_free() - memory is being freed
 * @start: first byte, physical; where to go on, if the answer is yes
 * @last: last byte, physical
 * @object: an object: a mapping that begins before it is that of another one, and too long
 * @freed: filled in if the answer is yes; the caller puts back @freed->lost
 *
 * To be called until the answer is no. No device owns any of the memory afterwards.
 *
 * Return: whether a device owned some of the memory by one more mapping, or a write is pending.
 */
bool dod_owner_free(u64 *start, u64 last, bool object, struct dod_freed *freed)
{
	u64 first = object ? *start : 0, to;

	dod_stale_forget(*start, last);
	for (; *start <= last; *start = to + 1) {
		to = min(region_last(*start), last);
		if (free_part(false, *start, to, last, first, freed) ||
		    free_part(true, *start, to, last, first, freed)) {
			wait_unwatched(freed->m.start, freed->m.last);
			return true;
		}
	}
	return false;
}

/* A mapping that begins before @start, and has ranges in [start, last]. */
static struct dod_mapping *find_earlier(struct index_tree *tree, u64 start, u64 last)
{
	struct dod_mapping *m;

	for_each_in_tree(m, tree, start, last)
		if (m->start < start && dod_range_first(m, start, last))
			break;
	return m;
}

/* The CPU owns [start, last] of spanning mappings that begin before it. */
static void free_end_spanning(u64 start, u64 last)
{
	struct index_tree *spanning = &dod_by_phys->spanning;
	struct dod_mapping *m;
	unsigned long flags;
	u64 to, end = 0;

	if (!READ_ONCE(spanning->nr))
		return;
	dod_spanning_begin();
	dod_lock_irqsave(&spanning->lock, flags);
	while ((m = find_earlier(spanning, start, last))) {
		to = min(m->last, last);
		dod_ranges_to_cpu(m, start, &to, KEEP_NONE);
		end = max(end, to);
	}
	dod_unlock_irqrestore(&spanning->lock, flags);
	if (end)
		dod_poison_spanning(start, end);
	atomic_dec(&dod_spanning_changes);
}

static void free_end_region(struct dod_area *a, u64 start, u64 last)
{
	struct index_tree *tree;
	struct dod_mapping *m;
	u64 at;

	for_each_area_tree(tree, at, a, start, last)
		while ((m = find_earlier(tree, start, last)))
			dod_to_cpu_single(a, m, start, min(m->last, last), KEEP_NONE);
	dod_poison_ops.unpoison(start, last, false);
}

/**
 * dod_owner_free_end() - no device owns any of freed memory, and none of it is poisoned
 * @start: first byte, physical
 * @last: last byte, physical
 *
 * After dod_owner_free(). A mapping that begins before it was too long: its device must not own
 * memory of the next user. What is poisoned there as the rest of a line is cleared as well.
 */
void dod_owner_free_end(u64 start, u64 last)
{
	free_end_spanning(start, last);
	in_each_region(start, last, free_end_region);
}

static void set_leaked(struct dod_mapping *m)
{
	m->leaked = true;
	atomic_inc(&dod_nr_leaked);
}

/*
 * Memory that was freed is often unmapped a moment later. If it is not, it is a leak:
 * virtio_input and virtio_scsi reset the device and free its buffers, of which the device
 * that is bound is the parent. The next user of the memory must be warned.
 */
static void note_scan(struct dod_mapping *m)
{
	if (likely(!m->freed) || !m->was_owned || m->freed_scans == 2)
		return;
	m->freed_scans++;
	if (m->freed_scans == 2 && !m->leaked)
		set_leaked(m);
}

#define SCANNED	128	/* mappings are visited with interrupts off */

/* Visits mappings from @start on. Returns where it stopped, and in *range what was freed there. */
static struct dod_mapping *scan(struct index_tree *tree, u64 start, struct dod_range **range)
{
	struct dod_mapping *m;
	unsigned int nr = 0;
	u64 at = 0;

	*range = NULL;
	for_each_in_tree(m, tree, start, U64_MAX) {
		if (m->start < start)
			continue;
		if (nr++ >= SCANNED && m->start != at)
			break;
		at = m->start;
		note_scan(m);
		*range = dod_freed_range(m, m->start, m->last);
		if (*range)
			break;
	}
	return m;
}

/**
 * dod_owner_next_freed() - scan for mapped memory that was freed unseen
 * @shard: part of the index, 0 to begin with
 * @start: physical address to go on from, 0 to begin with
 * @copy: filled in if there is some
 * @range: what the device owned of it; empty if there is none
 *
 * The CPU owns what is found from then on. One call visits only some mappings, but all of those
 * that begin at one address.
 *
 * Return: false at the end.
 */
bool dod_owner_next_freed(unsigned int *shard, u64 *start, struct dod_mapping *copy,
			  struct dod_range *range)
{
	struct dod_mapping *m;
	struct dod_range *r;
	struct dod_area a;

	range->start = 1;
	range->last = 0;
	for (; *shard < NR_TREES && !READ_ONCE(nth_tree(*shard)->nr); (*shard)++)
		*start = 0;
	if (*shard == NR_TREES)
		return false;
	dod_area_lock_nth(&a, *shard);
	m = scan(nth_tree(*shard), *start, &r);
	*start = m ? m->start : 0;
	*shard += !m;
	if (r) {
		*copy = *m;
		*range = *r;
		m->was_owned = true;
		end_ownership(&a, m);
	}
	dod_area_unlock(&a);
	if (r && copy->spanning)
		dod_spanning_end(copy->start, copy->last);
	return true;
}

/**
 * dod_owner_mark_leaked() - the driver is unbound, and has left a mapping
 * @copy: a copy of it
 */
void dod_owner_mark_leaked(const struct dod_mapping *copy)
{
	struct dod_mapping *m;
	struct dod_area a;

	dod_area_lock_mapping(&a, copy);
	for_each_in_tree(m, tree_of(copy), copy->start, copy->start)
		if (m->dev == copy->dev && m->dma_addr == copy->dma_addr && !m->leaked &&
		    m->map.when == copy->map.when) {
			set_leaked(m);
			break;
		}
	dod_area_unlock(&a);
}

/* A mapping whose device can still access what somebody else maps now: *range. */
static struct dod_mapping *find_leaked(struct index_tree *tree, u64 start, u64 last,
				       struct dod_range *range)
{
	struct dod_mapping *m;
	struct dod_range *r;

	for_each_in_tree(m, tree, start, last) {
		if (likely(!m->leaked))
			continue;
		range->start = max(m->start, start);
		range->last = min(m->last, last);
		range->dir = m->dir;
		if (m->freed && m->was_owned)
			return m;
		for_each_range(r, m, start, last)
			if (r->state == DOD_OWNED) {
				*range = *r;
				return m;
			}
	}
	return NULL;
}

static struct dod_mapping *find_leaked_in_area(struct dod_area *a, u64 start, u64 last,
					       struct dod_range *range)
{
	struct dod_mapping *m = NULL;
	struct index_tree *tree;
	u64 at;

	if (a->spanning)
		return find_leaked(a->spanning, start, last, range);
	for_each_area_tree(tree, at, a, start, last) {
		m = find_leaked(tree, start, last, range);
		if (m)
			break;
	}
	return m;
}

/* It is reported once, and its device owns nothing of it any more: the next user is not. */
static bool check_leaked(const struct dod_mapping *by, bool spanning, u64 start, u64 last)
{
	struct dod_range range DOD_UNINITIALIZED;
	struct dod_mapping leak DOD_UNINITIALIZED;
	struct dod_mapping *m;
	struct dod_area a;

	if (spanning)
		dod_area_lock_spanning(&a);
	else
		dod_area_lock(&a, start, last);
	m = find_leaked_in_area(&a, start, last, &range);
	if (m) {
		leak = *m;
		m->leaked = false;
		atomic_dec(&dod_nr_leaked);
		if (!leak.freed)
			end_ownership(&a, m);
	}
	dod_area_unlock(&a);
	if (!m)
		return false;
	if (leak.spanning && !leak.freed)
		dod_spanning_end(leak.start, leak.last);
	dod_judge_ops.memory_reused(&leak, &range, by);
	return true;
}

/* @m is mapped, but in no index yet: can the device of a leaked mapping access its memory? */
noinline void dod_check_reuse(const struct dod_mapping *m)
{
	u64 from, to;

	while (check_leaked(m, true, m->start, m->last))
		;
	for_each_region(from, to, m->start, m->last)
		while (check_leaked(m, false, from, to))
			;
}
