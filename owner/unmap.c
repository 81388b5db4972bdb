// SPDX-License-Identifier: GPL-2.0
/*
 * Unmap calls (rule 3): which mapping ends, what is found at its end, and how it ends. No
 * lock is held at entry. A mapping is unlinked from the DMA index first; from then on only
 * the caller that has unlinked it ends it.
 */
#include "internal.h"

#include <linux/scatterlist.h>

/*
 * Is all that the mapping had of a range poisoned for another mapping just as well? Nearly
 * always so among thousands of equal mappings: then nothing is to be cleared or looked up.
 */
static bool stays_poisoned(struct index_tree *shard, const struct dod_mapping *m,
			   const struct dod_range *range)
{
	struct dod_mapping *other;
	struct dod_range *r;
	int tries = 4;

	if (!m->shared || (has_edges(m) && range->dir != DMA_TO_DEVICE) ||
	    range->state != DOD_OWNED)
		return false;
	for (other = first_overlap(shard, range->start, range->last); other && tries--;
	     other = next_overlap(other, range->start, range->last)) {
		if (other->trap != DOD_TRAP_ALL)
			continue;
		r = dod_range_first(other, range->start, range->start);
		if (r && r->state == DOD_OWNED && r->dir == range->dir &&
		    r->start <= range->start && r->last >= range->last)
			return true;
	}
	return false;
}

/* Removes all ranges of a mapping that is not indexed any more. The shard's lock is held. */
static void end_ranges(struct index_tree *shard, struct dod_mapping *m)
{
	struct dod_range *r, *next;

	rbtree_postorder_for_each_entry_safe(r, next, &m->ranges.rb_root, rb) {
		struct dod_range was = *r;
		u64 start = was.start, last = was.last;
		bool alone;

		dod_range_put(m, r);
		if (m->trap == DOD_TRAP_NONE || was.state == DOD_PENDING ||
		    stays_poisoned(shard, m, &was))
			continue;
		dod_add_edges(m, &start, &last);
		alone = dod_is_alone(m, start, last);
		dod_poison_ops.unpoison(start, last, alone && (m->memory & DOD_MEM_GOOD));
		if (!alone)
			dod_poison_region(shard, start, last);
	}
	m->ranges = RB_ROOT_CACHED;
}

/* The same for a spanning mapping; as nobody can reach it, no lock is needed for its ranges. */
static void end_spanning_ranges(struct dod_mapping *m)
{
	struct dod_range *r;

	while ((r = dod_range_first(m, m->start, m->last))) {
		struct dod_range was = *r;

		dod_range_remove(m, r);
		if (m->trap != DOD_TRAP_NONE && was.state != DOD_PENDING)
			dod_poison_spanning(was.start, was.last);
	}
	atomic_dec(&dod_spanning_changes);
}

/*
 * The CPU owns all of an unlinked mapping. @stale: keep what is stale of it, and return false
 * if there is any: it stays in the physical index. In *freed is what its device owned of
 * memory that was freed unseen; it is empty if there is none.
 */
bool dod_to_cpu_all(struct dod_mapping *m, bool stale, struct dod_range *freed)
{
	struct index_tree *tree = tree_of(m);
	struct dod_range *r;
	unsigned long flags;

	freed->start = 1;
	freed->last = 0;
	if (m->not_ram)
		return true;

	dod_lock_irqsave(&tree->lock, flags);
	r = dod_freed_range(m, m->start, m->last);
	if (unlikely(r)) {
		*freed = *r;
		stale = false;
	}
	if (m->spanning)
		dod_spanning_begin();
	dod_judge_ops.content_end(m);
	if (unlikely(m->leaked))
		atomic_dec(&dod_nr_leaked);
	if (unlikely(stale)) {
		m->ended = local_clock();
		if (dod_stale_keep(tree, m)) {
			m->leaked = false;
			dod_unlock_irqrestore(&tree->lock, flags);
			wait_unwatched(m->start, m->last);
			return false;
		}
	}
	dod_unindex_phys(tree, m);
	if (!m->spanning)
		end_ranges(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	dod_mapped_pages_del(m);
	if (m->spanning)
		end_spanning_ranges(m);
	wait_unwatched(m->start, m->last);
	return true;
}

/* Ends an unlinked mapping, for an unmap call or, if @call is NULL, because the tool stops. */
static void end_one(struct dod_mapping *m, const struct dod_call *call)
{
	struct dod_range freed DOD_UNINITIALIZED;
	bool gone;

	m->ended_by = call ? call->caller : 0;
	gone = dod_to_cpu_all(m, call && dod_stale_is_left(call, m), &freed);
	if (call) {
		dod_count(DOD_C_UNMAPS);
		/* It is a sync for the CPU, too, of what ended mappings have left stale there. */
		if (m->dir != DMA_TO_DEVICE && !m->not_ram &&
		    !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
			dod_stale_forget(m->start, m->last);
		if (unlikely(freed.start <= freed.last))
			dod_judge_ops.memory_freed(m, &freed, "when it was unmapped");
	}
	if (gone) {
		m->ended = local_clock();
		dod_history_put(m);
	}
}

/* Ends all mappings of a call, whose leader is unlinked. */
static void end_group(struct dod_mapping *leader, const struct dod_call *call)
{
	struct dod_mapping *m, *next;

	for (m = leader->next; m; m = next) {
		next = m->next;
		if (dod_unlink(m))
			end_one(m, call);
	}
	end_one(leader, call);
}

/* Ends every mapping of a tree of the DMA index; no hook runs any more. */
void dod_end_tree(struct index_tree *tree)
{
	struct dod_mapping *m;

	while ((m = dod_dma_iter_first(&tree->root, 0, U64_MAX))) {
		if (dod_unlink(m->group))
			end_group(m->group, NULL);
		else if (dod_unlink(m))
			end_one(m, NULL);
	}
}

static void check_content(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_content_result result DOD_UNINITIALIZED;
	struct index_tree *tree = tree_of(m);
	unsigned long flags;

	result_init(&result);
	dod_lock_irqsave(&tree->lock, flags);
	if (m->content)
		dod_judge_ops.content_to_cpu(call, m, m->start, m->last, true, &result);
	if (m->pending) {
		dod_result_add_lost(&result, m, m->start, m->last, true);
		/* On a device with lines, does the unmap discard what the CPU wrote after a sync? */
		if (call->dir != DMA_TO_DEVICE && !call->frees && m->kind != DOD_PAGES &&
		    !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
			dod_result_add_lost(&result, m, m->start, m->last, false);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	dod_report_unmap(call, &result, m);
}

void dod_note_unmatched(const struct dod_call *call, enum dod_unmatched_call what, u64 dma_addr)
{
	struct dod_device *device = dod_owner_device(call->dev, dev_name(call->dev));

	if (device)
		dod_report_note_unmatched(device, what, dma_addr, call->caller);
}

/* Does the group consist of just the entries of this scatterlist? */
static bool group_matches(const struct dod_mapping *leader, struct scatterlist *sg, int nents)
{
	const struct dod_mapping *m = leader;
	struct scatterlist *s;
	int i;

	for_each_sg(sg, s, nents, i) {
		if (!s->length)
			continue;
		if (!m || m->start != sg_phys(s) || dod_size(m) != s->length)
			return false;
		m = m->next;
	}
	return !m;
}

/* The best there can be: the search ends. */
#define UNMAP_FITS	(1 + 128 + 64 + 32 + 16 + 8 + 4 + 2)

/*
 * How well does a mapping that begins at the right address fit an unmap? Rule 3c: of
 * several equal ones, that ends which owns something, then that which was mapped with the
 * attributes of the unmap, then one without pending writes: the other may be synced yet.
 */
static int unmap_fits(const struct dod_mapping *m, const struct dod_call *call, u64 size,
		      struct scatterlist *sg, int nents)
{
	bool matches = sg ? group_matches(m, sg, nents) : dod_size(m) == size;

	/*
	 * Better to lose a mapping with poison than to keep one whose memory was freed. Ranges
	 * are read without their lock: if they change just now, this is not what is unmapped.
	 */
	return 1 + 128 * !m->freed + 64 * (m->kind == call->kind) + 32 * matches +
	       16 * (m->dir == call->dir) + 8 * !!READ_ONCE(m->ranges.rb_root.rb_node) +
	       4 * (m->owned_at_map == !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC)) +
	       2 * !READ_ONCE(m->pending);
}

/*
 * The leader in a locked tree that fits an unmap better than *best: the same memory may be
 * mapped several times at one DMA address. dma-debug chooses by best fit, too.
 */
static struct dod_mapping *find_unmap(struct index_tree *tree, const struct dod_call *call,
				      u64 dma_addr, u64 size, struct scatterlist *sg,
				      int nents, int *best)
{
	struct dod_mapping *m, *leader = NULL;
	int fits;

	for_each_dma(m, tree, dma_addr, dma_addr) {
		if (m->dev != call->dev || m->dma_addr != dma_addr || m->group != m)
			continue;
		fits = unmap_fits(m, call, size, sg, nents);
		if (fits > *best) {
			leader = m;
			*best = fits;
		}
		if (fits == UNMAP_FITS)
			break;
	}
	return leader;
}

/* Finds and unlinks it under one lock: other CPUs may unmap equal mappings. */
static struct dod_mapping *unlink_unmapped(const struct dod_call *call, u64 dma_addr, u64 size,
					   struct scatterlist *sg, int nents)
{
	struct dod_mapping *leader = NULL, *m;
	struct index_tree *tree, *in = NULL;
	struct dod_walk w;
	int best = 0;

	dod_walk_lock(&w, dod_by_dma, dma_shard(call->dev, dma_addr));
	dod_for_each_tree(tree, &w) {
		m = find_unmap(tree, call, dma_addr, size, sg, nents, &best);
		if (m) {
			leader = m;
			in = tree;
		}
	}
	if (leader)
		dod_unlink_locked(in, leader);
	dod_walk_unlock(&w);
	return leader;
}

/**
 * dod_owner_unmap() - a mapping ends; the CPU owns the memory
 * @call: the call
 * @dma_addr: the address it was mapped at
 * @size: bytes; ignored for scatterlists
 * @sg: the scatterlist of dma_unmap_sg(), else NULL
 * @nents: its length
 *
 * Before the kernel unmaps it: a bounce buffer is copied back then, and the address can be used
 * again. A scatterlist ends with all entries that were mapped together, whatever it is now.
 */
void dod_owner_unmap(struct dod_call *call, u64 dma_addr, u64 size,
		     struct scatterlist *sg, int nents)
{
	struct dod_unwritten unwritten = {};
	struct dod_mapping *leader, *m;

	if (!size && !sg)
		return;
	leader = unlink_unmapped(call, dma_addr, size, sg, nents);
	if (!leader) {
		dod_count(DOD_C_UNMATCHED_UNMAPS);
		dod_note_unmatched(call, DOD_UNMAP, dma_addr);
		return;
	}
	if (leader->next)
		call->unwritten = &unwritten;
	for (m = leader; m; m = m->next)
		if (READ_ONCE(m->content) || unlikely(READ_ONCE(m->pending)))
			check_content(call, m);
	if (unlikely(unwritten.m))
		dod_report_list(call, &unwritten);
	end_group(leader, call);
}

/* The first mapping of dma_iova_link() that begins in a range. The tree is locked. */
struct dod_mapping *dod_find_iova(struct index_tree *tree, const struct dod_call *call,
				  u64 start, u64 last)
{
	struct dod_mapping *m;

	for_each_dma(m, tree, start, last)
		if (m->kind == DOD_IOVA && m->dev == call->dev && m->dma_addr >= start)
			return m;
	return NULL;
}

static bool end_iova(struct index_tree *tree, const struct dod_call *call, u64 start, u64 last)
{
	struct dod_mapping *m;
	unsigned long flags;

	if (!READ_ONCE(tree->nr))
		return false;
	dod_lock_irqsave(&tree->lock, flags);
	m = dod_find_iova(tree, call, start, last);
	if (m)
		dod_unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	if (!m)
		return false;
	check_content(call, m);
	end_one(m, call);
	return true;
}

/**
 * dod_owner_iova_end() - what is linked in a range of DMA addresses ends
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes; nothing may be linked there
 */
void dod_owner_iova_end(struct dod_call *call, u64 dma_addr, u64 size)
{
	u64 from, to, last = dma_addr + size - 1;

	if (!size)
		return;
	while (end_iova(&dod_by_dma->spanning, call, dma_addr, last))
		;
	for_each_region(from, to, dma_addr, last)
		while (end_iova(dma_shard(call->dev, from), call, from, to))
			;
}
