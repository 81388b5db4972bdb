// SPDX-License-Identifier: GPL-2.0
/*
 * Sync calls (rules 1, 2 and 6), and others that change the owner of mapped memory: which
 * mapping is meant, and its change as dod_transitions[] has it. No lock is held at entry. A
 * lock of the DMA index, or the physical lock of the mapping, keeps the mapping alive.
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
	bool changes = call->event->for_device ? !owns_all(m, start, to) :
						 !!dod_range_first(m, start, to);

	return FITS + FITS_SIZE * (last <= m->last) + FITS_DIR * (m->dir == call->dir) +
	       FITS_CHANGES * changes + FITS_ALLOCATED * !m->freed;
}

static int sync_fits_locked(struct dod_mapping *m, const struct dod_call *call, u64 dma_addr,
			    u64 size)
{
	struct index_tree *phys = tree_of(m);
	u64 start = m->start + (dma_addr - m->dma_addr);
	int fits;

	dod_lock(&phys->lock);
	fits = sync_fits(m, call, start, start + size - 1);
	dod_unlock(&phys->lock);
	return fits;
}

/* The mapping of a locked tree that fits a sync better than *best; of @group, if that is known. */
static struct dod_mapping *find_sync(struct index_tree *tree, const struct dod_call *call,
				     u64 dma_addr, u64 size, const struct dod_mapping *group,
				     int *best)
{
	bool several = READ_ONCE(dod_by_dma->spanning.nr);
	struct dod_mapping *m, *found = NULL;
	int fits;

	for_each_dma(m, tree, dma_addr, dma_addr) {
		if (m->dev != call->dev || (group && m->group != group))
			continue;
		/* Nearly always there is no other. One that spans regions comes too late now. */
		if (!found && !several) {
			found = m;
			*best = SYNC_FITS;
			continue;
		}
		if (!several)
			*best = sync_fits_locked(found, call, dma_addr, size);
		several = true;
		if (*best == SYNC_FITS)
			break;
		fits = sync_fits_locked(m, call, dma_addr, size);
		if (fits > *best) {
			found = m;
			*best = fits;
		}
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
static bool is_known_by_dma(const struct device *dev, u64 dma_addr)
{
	struct index_tree *tree;
	struct dod_mapping *m;
	struct dod_walk w;
	bool known = false;

	dod_walk_lock(&w, dod_by_dma, dma_shard(dev, dma_addr));
	dod_for_each_tree(tree, &w)
		for_each_dma(m, tree, dma_addr, dma_addr)
			known |= m->dev == dev;
	dod_walk_unlock(&w);
	return known;
}

static void note_unmatched_sync(const struct dod_call *call, u64 dma_addr)
{
	if (call->event->count_unmatched) {
		dod_count(DOD_C_UNMATCHED_SYNCS);
		dod_note_unmatched(call, DOD_SYNC_CALL, dma_addr);
	}
}

/* The part of a mapping that was synced: @start to @last; @done bytes of the call. */
struct synced {
	u64 start, last, done;
	bool spanning;
};

/* The physical lock of the mapping is held; @s says which part, and then what has changed. */
static __always_inline void sync_locked(const struct dod_call *call, struct dod_mapping *m,
					struct synced *s, struct dod_content_result *result)
{
	/* Memory that a sync for the device covers is the CPU's until then: it may be freed. */
	if (call->event->compare && unlikely(dod_find_freed(m, s->start, s->last, result))) {
		s->start = m->start;
		s->last = m->last;
		s->spanning = m->spanning;
	} else {
		s->spanning = dod_change_owner(call, m, s->start, &s->last, result);
	}
}

/* A lock of the DMA index keeps the mapping alive; interrupts are off. */
static __always_inline struct synced
sync_mapping(const struct dod_call *call, struct dod_mapping *m, u64 dma_addr, u64 size,
	     struct dod_content_result *result)
{
	struct index_tree *phys = tree_of(m);
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
	dod_lock(&phys->lock);
	sync_locked(call, m, &s, result);
	dod_unlock(&phys->lock);
	return s;
}

/* Syncs up to the end of the mapping at a DMA address; returns how far, 0 if there is none. */
static u64 sync_one(const struct dod_call *call, u64 dma_addr, u64 size,
		    const struct dod_mapping **group)
{
	struct dod_content_result result DOD_UNINITIALIZED;
	struct dod_mapping *m = NULL;
	struct synced s = {};
	struct index_tree *tree;
	struct dod_walk w;
	int best = 0;

	result_init(&result);
	dod_walk_lock(&w, dod_by_dma, dma_shard(call->dev, dma_addr));
	dod_for_each_tree(tree, &w)
		m = find_sync(tree, call, dma_addr, size, *group, &best) ?: m;
	if (m) {
		s = sync_mapping(call, m, dma_addr, size, &result);
		*group = m->group;
	}
	dod_walk_unlock(&w);
	if (s.spanning)
		dod_spanning_end(s.start, s.last);
	if (s.last)
		wait_unwatched(s.start, s.last);
	if (result_any(&result))
		dod_report_sync(call, &result);
	return s.done;
}

/*
 * An IOMMU merges the DMA addresses of a list, so entries are found by their memory. No
 * walk: the change of a mapping of the shard takes the lock of spanning mappings itself.
 */
static void sync_entry(const struct dod_call *call, struct scatterlist *sg)
{
	u64 start = sg_phys(sg), last = start + sg->length - 1;
	struct index_tree *shard = phys_shard(start), *spanning = &dod_by_phys->spanning;
	struct synced s = { .start = start, .last = last };
	struct dod_content_result result DOD_UNINITIALIZED;
	struct dod_mapping *m, *better = NULL;
	unsigned long flags;
	int best = 0;

	result_init(&result);
	dod_lock_irqsave(&shard->lock, flags);
	m = find_sync_phys(shard, call, start, last, &best);
	if (READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		better = find_sync_phys(spanning, call, start, last, &best);
		if (better) {
			s.last = min(last, better->last);
			sync_locked(call, better, &s, &result);
		}
		dod_unlock(&spanning->lock);
	}
	if (m && !better) {
		s.last = min(last, m->last);
		sync_locked(call, m, &s, &result);
	}
	dod_unlock_irqrestore(&shard->lock, flags);
	if (s.spanning)
		dod_spanning_end(s.start, s.last);
	wait_unwatched(s.start, s.last);
	dod_report_sync(call, &result);
	if (!m && !better && !is_known_by_dma(call->dev, sg_dma_address(sg)))
		note_unmatched_sync(call, sg_dma_address(sg));
}

/* Returns false if the event can change nothing. */
static bool begin_event(struct dod_call *call, enum dod_event event, struct dod_sync *sync)
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
	}
	return true;
}

/**
 * dod_owner_sync() - a range of mapped memory changes its owner (rule 2)
 * @call: the call
 * @event: what it is
 * @dma_addr: first byte as the device sees it
 * @size: bytes; 1, of any byte of the mapping, for DOD_NO_SYNC_NEEDED
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
			note_unmatched_sync(call, dma_addr);
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
static void iova_to_device(struct index_tree *tree, struct dod_call *call, u64 dma_addr, u64 last)
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
	iova_to_device(&dod_by_dma->spanning, call, dma_addr, last);
	for_each_region(from, to, dma_addr, last)
		iova_to_device(dma_shard(call->dev, from), call, from, to);
}
