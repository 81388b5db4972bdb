// SPDX-License-Identifier: GPL-2.0
/*
 * Sync calls (rules 1, 2 and 6), and others that change the owner of mapped memory: which
 * mapping is meant, and its change as dod_transitions[] has it. No lock is held at entry. A
 * lock of the DMA index, or the area of the mapping, keeps the mapping alive.
 */
#include "internal.h"

#include <linux/scatterlist.h>

/*
 * How well a mapping fits a sync: the sum of what is true of it. If several hold the address,
 * the one is chosen whose owner the call changes, so that syncs of two equal ones reach both.
 */
enum {
	FITS		= 1,
	FITS_CHANGES	= 2,
	FITS_DIR	= 4,
	FITS_SIZE	= 8,
	FITS_LIST	= 16,	/* an entry of a list, for a sync of a list */
	FITS_ALLOCATED	= 32,
	SYNC_FITS	= FITS + FITS_CHANGES + FITS_DIR + FITS_SIZE + FITS_ALLOCATED,
};

/* Does the device own all of [start, last], as it is? */
static bool owns_all(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for (r = dod_range_first(m, start, last); r && r->start <= start;
	     r = dod_range_next(r, last)) {
		/* A pending write is what a sync is for. */
		if (r->state != DOD_OWNED)
			return false;
		if (r->last >= last)
			return true;
		start = r->last + 1;
	}
	return false;
}

static int sync_fits(struct dod_mapping *m, const struct dod_call *call, u64 start, u64 last)
{
	u64 to = min(last, m->last);
	bool changes;

	if (call->event->untrap)
		changes = m->trap != DOD_TRAP_NONE;
	else if (call->event->for_device)
		changes = !owns_all(m, start, to);
	else
		changes = dod_range_first(m, start, to);
	return FITS + FITS_SIZE * (last <= m->last) + FITS_DIR * (m->dir == call->dir) +
	       FITS_CHANGES * changes + FITS_ALLOCATED * !m->freed;
}

/* What is looked for, and how well the best mapping yet fits. */
struct sync_search {
	const struct dod_call *call;
	u64 dma_addr, size, phys;
	const struct dod_mapping *group;	/* it is of this one, if that is known */
	bool several;				/* @best is known: there may be another one */
	int best;
};

/* @locked: the area of the mapping is. */
static int search_fits(const struct sync_search *s, struct dod_mapping *m, bool locked)
{
	u64 start = m->start + (s->dma_addr - m->dma_addr), last = start + s->size - 1;
	struct dod_area a DOD_UNINITIALIZED;
	int fits;

	if (locked)
		return sync_fits(m, s->call, start, last);
	dod_area_lock_mapping(&a, m);
	fits = sync_fits(m, s->call, start, last);
	dod_area_unlock(&a);
	return fits;
}

/* The better one of @found, if there is one, and @m. Nearly always there is no other. */
static __always_inline struct dod_mapping *
better_sync(struct sync_search *s, struct dod_mapping *found, struct dod_mapping *m, bool locked)
{
	int fits;

	if (s->group && m->group != s->group)
		return found;
	if (!found && !s->several)
		return m;
	if (!s->several)
		s->best = search_fits(s, found, locked);
	s->several = true;
	fits = search_fits(s, m, locked);
	if (fits <= s->best)
		return found;
	s->best = fits;
	return m;
}

/* There is none that fits better. */
static bool is_sync_found(const struct sync_search *s)
{
	return s->several && s->best == SYNC_FITS;
}

/* By DMA address. */
static struct dod_mapping *find_sync_indexed(struct sync_search *s, struct dod_dma_walk *w)
{
	struct dod_mapping *m, *found = NULL;
	struct dma_tree *tree;
	unsigned int i;

	for_each_dma_tree(tree, i, w)
		for_each_dma(m, tree, s->dma_addr, s->dma_addr) {
			if (m->dev == s->call->dev)
				found = better_sync(s, found, m, false);
			if (is_sync_found(s))
				return found;
		}
	return found;
}

/* A direct mapping in a tree of the area that is locked. */
static __always_inline struct dod_mapping *
find_sync_direct(struct sync_search *s, struct index_tree *tree, struct dod_mapping *found)
{
	struct dod_mapping *m;

	for_each_in_tree(m, tree, s->phys, s->phys) {
		if (is_direct_at(m, s->call->dev, s->dma_addr, s->phys))
			found = better_sync(s, found, m, true);
		if (is_sync_found(s))
			break;
	}
	return found;
}

/* The same by physical address. */
static struct dod_mapping *find_sync_phys(struct index_tree *tree, const struct dod_call *call,
					  u64 start, u64 last, int *best)
{
	struct dod_mapping *m, *found = NULL;
	int fits;

	for_each_in_tree(m, tree, start, start) {
		if (m->dev != call->dev)
			continue;
		fits = sync_fits(m, call, start, last) + FITS_LIST * (m->kind == DOD_SG);
		if (fits > *best) {
			found = m;
			*best = fits;
		}
		if (fits == SYNC_FITS + FITS_LIST)
			break;
	}
	return found;
}

/* Memory that must not be touched is known by its DMA address alone. */
bool dod_dma_is_known(const struct device *dev, u64 dma_addr)
{
	struct dod_dma_walk w;
	struct dma_tree *tree;
	struct dod_mapping *m;
	bool known = false;
	unsigned int i;

	dod_dma_lock(&w, dev, dma_addr);
	for_each_dma_tree(tree, i, &w)
		for_each_dma(m, tree, dma_addr, dma_addr)
			known |= m->dev == dev;
	dod_dma_unlock(&w);
	return known;
}

static void note_unmatched_sync(const struct dod_call *call, u64 dma_addr, u64 size)
{
	if (call->event->count_unmatched) {
		dod_count(DOD_C_UNMATCHED_SYNCS);
		dod_note_unmatched(call, DOD_SYNC_CALL, dma_addr, size);
	}
}

/* The part of a mapping that was synced: @start to @last; @done bytes of the call. */
struct synced {
	u64 start, last, done;
	bool spanning;
};

/* The area of the mapping is locked; @s says which part, and then what has changed. */
static __always_inline void sync_locked(struct dod_area *a, const struct dod_call *call,
					struct dod_mapping *m, struct synced *s,
					struct dod_content_result *result)
{
	/* Memory that a sync for the device covers is the CPU's until then: it may be freed. */
	if (call->event->compare && unlikely(was_freed(m, s->start, s->last)) &&
	    dod_find_freed(a, m, s->start, s->last, result)) {
		s->start = m->start;
		s->last = m->last;
		s->spanning = m->spanning;
	} else {
		s->spanning = dod_change_owner(a, call, m, s->start, &s->last, result);
	}
}

/* The area of the mapping is locked. */
static __always_inline struct synced
sync_in_area(struct dod_area *a, const struct dod_call *call, struct dod_mapping *m, u64 dma_addr,
	     u64 size, struct dod_content_result *result)
{
	struct synced s = { .start = m->start + (dma_addr - m->dma_addr) };

	/* Lengths that drivers compute can be any, also negative ones. */
	s.done = min(size - 1, dod_dma_last(m) - dma_addr) + 1;
	/* Nothing is known of what follows the first bad byte. */
	if (dma_addr - m->dma_addr > m->last - m->start)
		return s;
	s.last = s.start + min(s.done - 1, m->last - s.start);
	if (call->event->untrap) {
		s.start = m->start;
		s.last = m->last;
	}
	sync_locked(a, call, m, &s, result);
	return s;
}

/* A lock of the DMA index keeps the mapping alive. */
static struct synced sync_mapping(const struct dod_call *call, struct dod_mapping *m, u64 dma_addr,
				  u64 size, struct dod_content_result *result)
{
	struct dod_area a DOD_UNINITIALIZED;
	struct synced s;

	dod_area_lock_mapping(&a, m);
	s = sync_in_area(&a, call, m, dma_addr, size, result);
	dod_area_unlock(&a);
	return s;
}

/* The best of all direct mappings that are there; the area of the page is locked. */
static noinline struct synced sync_best(struct sync_search *s, struct dod_area *a,
					struct dod_content_result *result)
{
	struct dod_mapping *m = NULL, *found;
	struct synced synced = {};
	struct index_tree *tree;
	struct dod_area all;
	u64 at;

	for_each_area_tree(tree, at, a, s->phys, s->phys)
		m = find_sync_direct(s, tree, m);
	if (READ_ONCE(dod_by_phys->spanning.nr)) {
		dod_area_lock_spanning(&all);
		found = find_sync_direct(s, all.spanning, m);
		if (found != m) {
			s->group = found->group;
			synced = sync_in_area(&all, s->call, found, s->dma_addr, s->size, result);
			m = NULL;
		}
		dod_area_unlock(&all);
	}
	if (m) {
		s->group = m->group;
		synced = sync_in_area(a, s->call, m, s->dma_addr, s->size, result);
	}
	return synced;
}

/* Syncs a direct mapping, if one fits better than what was found before. Sets the group then. */
static struct synced sync_direct(struct sync_search *s, struct dod_content_result *result)
{
	struct dod_area a DOD_UNINITIALIZED;
	struct synced synced;

	s->phys = dod_direct_phys(s->call->dev, s->dma_addr);
	dod_area_lock_page(&a, s->phys);
	synced = sync_best(s, &a, result);
	dod_area_unlock(&a);
	return synced;
}

/* The same for one in the index by DMA address, or a direct one that fits better. */
static struct synced sync_indexed(struct sync_search *s, bool direct,
				  struct dod_content_result *result)
{
	struct synced synced = {};
	struct dod_dma_walk w;
	struct dod_mapping *m;

	dod_dma_lock(&w, s->call->dev, s->dma_addr);
	/* How well it fits must be known, to be compared with the others. */
	s->several = direct;
	m = find_sync_indexed(s, &w);
	s->several = m;
	/* The device may have been behind an IOMMU, or not, only since the map. */
	if (direct || !m)
		synced = sync_direct(s, result);
	if (m && !synced.done) {
		s->group = m->group;
		synced = sync_mapping(s->call, m, s->dma_addr, s->size, result);
	}
	dod_dma_unlock(&w);
	return synced;
}

/* Any mapping that there is. */
static noinline struct synced sync_searched(const struct dod_call *call, u64 dma_addr, u64 size,
					    const struct dod_mapping **group,
					    struct dod_content_result *result)
{
	struct sync_search search = {
		.call = call, .dma_addr = dma_addr, .size = size, .group = *group,
	};
	bool direct = dod_maps_directly(call->dev);
	struct synced synced;

	if (!direct || dod_dma_may_have(call->dev, dma_addr))
		synced = sync_indexed(&search, direct, result);
	else
		synced = sync_direct(&search, result);
	*group = search.group;
	return synced;
}

/* One of several direct mappings; the area of the page is locked. */
static noinline struct synced sync_one_of(struct dod_area *a, const struct dod_call *call,
					  u64 dma_addr, u64 size, u64 phys,
					  const struct dod_mapping **group,
					  struct dod_content_result *result)
{
	struct sync_search search = {
		.call = call, .dma_addr = dma_addr, .size = size, .phys = phys,
	};
	struct synced synced = sync_best(&search, a, result);

	*group = search.group;
	return synced;
}

/* A direct mapping. Nearly always there is no other. */
static __always_inline struct synced sync_page(const struct dod_call *call, u64 dma_addr, u64 size,
					       const struct dod_mapping **group,
					       struct dod_content_result *result)
{
	u64 phys = dod_direct_phys(call->dev, dma_addr);
	struct dod_area a DOD_UNINITIALIZED;
	struct dod_mapping *m;
	struct synced synced;

	dod_area_lock_page(&a, phys);
	m = only_in_area(&a);
	if (likely(m && m->start <= phys && m->last >= phys &&
		   is_direct_at(m, call->dev, dma_addr, phys))) {
		*group = m->group;
		synced = sync_in_area(&a, call, m, dma_addr, size, result);
	} else {
		synced = sync_one_of(&a, call, dma_addr, size, phys, group, result);
	}
	dod_area_unlock_page(&a);
	return synced;
}

/* Syncs up to the end of the mapping at a DMA address; returns how far, 0 if there is none. */
static __always_inline u64 sync_one(const struct dod_call *call, u64 dma_addr, u64 size,
				    const struct dod_mapping **group)
{
	struct dod_content_result result DOD_UNINITIALIZED;
	struct synced s;

	result_init(&result);
	if (likely(!*group && dod_maps_directly(call->dev) &&
		   !dod_dma_may_have(call->dev, dma_addr)))
		s = sync_page(call, dma_addr, size, group, &result);
	else
		s = sync_searched(call, dma_addr, size, group, &result);
	if (s.spanning)
		dod_spanning_end(s.start, s.last);
	if (s.last)
		wait_unwatched(s.start, s.last);
	emit_turn(&result.turn);
	if (result_any(&result))
		dod_report_sync(call, &result);
	return s.done;
}

/*
 * An IOMMU merges the DMA addresses of a list, so entries are found by their memory. No
 * walk: the change of a mapping takes the lock of spanning mappings itself.
 */
static void sync_entry(const struct dod_call *call, struct scatterlist *sg)
{
	u64 start = sg_phys(sg), last = start + sg->length - 1;
	struct synced s = { .start = start, .last = last };
	struct dod_content_result result DOD_UNINITIALIZED;
	struct dod_mapping *m = NULL, *spanning = NULL;
	struct dod_area a DOD_UNINITIALIZED, all;
	struct index_tree *tree;
	int best = 0;
	u64 at;

	result_init(&result);
	dod_area_lock_page(&a, start);
	for_each_area_tree(tree, at, &a, start, start)
		m = find_sync_phys(tree, call, start, last, &best) ?: m;
	if (READ_ONCE(dod_by_phys->spanning.nr)) {
		dod_area_lock_spanning(&all);
		spanning = find_sync_phys(all.spanning, call, start, last, &best);
		if (spanning) {
			s.last = min(last, spanning->last);
			sync_locked(&all, call, spanning, &s, &result);
		}
		dod_area_unlock(&all);
	}
	if (m && !spanning) {
		s.last = min(last, m->last);
		sync_locked(&a, call, m, &s, &result);
	}
	dod_area_unlock(&a);
	if (s.spanning)
		dod_spanning_end(s.start, s.last);
	wait_unwatched(s.start, s.last);
	emit_turn(&result.turn);
	dod_report_sync(call, &result);
	if (!m && !spanning && !dod_dma_is_known(call->dev, sg_dma_address(sg)))
		note_unmatched_sync(call, sg_dma_address(sg), sg->length);
}

/* Returns false if the event can change nothing. */
static __always_inline bool begin_event(struct dod_call *call, enum dod_event event,
					struct dod_sync *sync)
{
	const struct dod_transition *t = &dod_transitions[event];

	call->event = t;
	if (t->bounced_only && !READ_ONCE(dod_any_bounced))
		return false;
	if (t->count_unmatched)
		dod_count(t->counter);
	if (t->stamp_sync) {
		dod_note_caller(call, &sync->who, sync->frames, DOD_SYNC_FRAMES);
		call->sync = sync;
	} else if (static_branch_likely(&dod_history_key) && t->hand_over) {
		call->when = local_clock();
	}
	return true;
}

/**
 * dod_owner_sync() - a range of mapped memory changes its owner (rule 2)
 * @call: the call
 * @event: what it is
 * @dma_addr: first byte as the device sees it
 * @size: bytes; 1, of any byte of the mapping, for DOD_NO_SYNC_NEEDED and DOD_SYNCS_SKIPPED
 *
 * An IOMMU merges runs of memory, so that the range can be in several mappings of a group.
 */
void dod_owner_sync(struct dod_call *call, enum dod_event event, u64 dma_addr, u64 size)
{
	const struct dod_mapping *group = NULL;
	struct dod_sync sync DOD_UNINITIALIZED;
	u64 done;

	if (!begin_event(call, event, &sync))
		return;
	for (; size; dma_addr += done, size -= done) {
		done = sync_one(call, dma_addr, size, &group);
		if (!done) {
			note_unmatched_sync(call, dma_addr, size);
			return;
		}
	}
}

/**
 * dod_owner_sync_sg() - as dod_owner_sync(), for the entries of a list
 * @call: the call
 * @event: what it is
 * @sg: the list
 * @nents: its length
 */
void dod_owner_sync_sg(struct dod_call *call, enum dod_event event, struct scatterlist *sg,
		       int nents)
{
	struct dod_sync sync DOD_UNINITIALIZED;
	struct dod_unwritten unwritten = {};
	struct scatterlist *s;
	int i;

	if (!begin_event(call, event, &sync))
		return;
	call->unwritten = &unwritten;
	for_each_sg(sg, s, nents, i)
		if (s->length)
			sync_entry(call, s);
	if (unlikely(unwritten.m))
		dod_report_list(call, &unwritten);
}

/* The device owns all that is linked in a range of DMA addresses, as it was linked. */
static void iova_to_device(struct dma_tree *tree, struct dod_call *call, u64 dma_addr, u64 last)
{
	struct dod_content_result result = {};
	struct dod_mapping *m;
	unsigned long flags;
	u64 next = dma_addr;

	while (next <= last && READ_ONCE(tree->nr)) {
		struct synced s = {};

		dod_lock_irqsave(&tree->lock, flags);
		m = dod_find_iova(tree, call, next, last);
		if (m) {
			next = m->dma_addr + 1;
			call->dir = m->dir;
			if (m->owned_at_map)
				s = sync_mapping(call, m, m->dma_addr, dod_size(m), &result);
		}
		dod_unlock_irqrestore(&tree->lock, flags);
		if (s.spanning)
			dod_spanning_end(s.start, s.last);
		emit_turn(&result.turn);
		if (!m)
			return;
	}
}

/**
 * dod_owner_iova_to_device() - dma_iova_sync(): the device owns what is linked (rule 1)
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes
 */
void dod_owner_iova_to_device(struct dod_call *call, u64 dma_addr, u64 size)
{
	u64 from, to, last = dma_addr + size - 1;

	if (!size)
		return;
	call->event = &dod_transitions[DOD_SYNC_IOVA];
	call->when = local_clock();
	iova_to_device(&dod_by_dma->spanning, call, dma_addr, last);
	for_each_region(from, to, dma_addr, last) {
		iova_to_device(dma_region(call->dev, from), call, from, to);
		for (; from <= to; from = (from | ~PAGE_MASK) + 1)
			iova_to_device(dma_page(call->dev, from), call, from,
				       min(from | ~PAGE_MASK, to));
	}
}
