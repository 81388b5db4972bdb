// SPDX-License-Identifier: GPL-2.0
/*
 * Unmap calls (rule 3): which mapping ends, what is found at its end, and how it ends. No
 * lock is held at entry. A mapping is unlinked first, so that nobody else finds it by its DMA
 * address; from then on only the caller that has unlinked it ends it.
 */
#include "internal.h"

#include <linux/scatterlist.h>

/*
 * Is all that the mapping had of a range poisoned for another mapping just as well? Nearly
 * always so among thousands of equal mappings: then nothing is to be cleared or looked up.
 */
static noinline bool stays_poisoned(struct dod_area *a, const struct dod_mapping *m,
				    const struct dod_range *range)
{
	struct dod_mapping *other;
	struct index_tree *tree;
	struct dod_range *r;
	int tries = 4;
	u64 at;

	if ((has_edges(m) && range->dir != DMA_TO_DEVICE) || range->state != DOD_OWNED)
		return false;
	for_each_area_tree(tree, at, a, range->start, range->last) {
		for_each_in_tree(other, tree, range->start, range->last) {
			if (!tries--)
				return false;
			if (other->trap != DOD_TRAP_ALL)
				continue;
			r = dod_range_first(other, range->start, range->start);
			if (r && r->state == DOD_OWNED && r->dir == range->dir &&
			    r->start <= range->start && r->last >= range->last)
				return true;
		}
	}
	return false;
}

/* What a range had of a mapping that is not indexed any more. Its area is locked. */
static __always_inline void end_range(struct dod_area *a, struct dod_mapping *m,
				      const struct dod_range *was)
{
	u64 start = was->start, last = was->last;
	bool alone, stale;

	if (m->trap == DOD_TRAP_NONE || was->state == DOD_PENDING ||
	    (m->shared && stays_poisoned(a, m, was)))
		return;
	stale = stays_stale(start, last);
	dod_add_edges(m, &start, &last);
	alone = dod_is_alone(m, start, last);
	dod_poison_ops.unpoison(start, last, alone && (m->memory & DOD_MEM_GOOD));
	if (!alone)
		dod_poison_region(a, start, last);
	if (unlikely(stale))
		dod_poison_stale(a, was->start, was->last);
}

/* All ranges. Nearly always there is one, which the record of the mapping has in it. */
static __always_inline void end_ranges(struct dod_area *a, struct dod_mapping *m)
{
	struct rb_node *rb = m->ranges.rb_node;

	if (likely(rb == &m->first.rb && !rb->rb_left && !rb->rb_right)) {
		m->ranges.rb_node = NULL;
		m->first_used = false;
		end_range(a, m, &m->first);
		return;
	}
	while ((rb = m->ranges.rb_node)) {
		struct dod_range *r = rb_entry(rb, struct dod_range, rb), was = *r;

		dod_range_remove(m, r);
		end_range(a, m, &was);
	}
}

/* The same for a spanning mapping; as nobody can reach it, no lock is needed for its ranges. */
static noinline void end_spanning_ranges(struct dod_mapping *m)
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

/* What was found when a mapping ended. */
struct ending {
	struct dod_content_result result;	/* if @compared */
	struct dod_range freed;		/* if @was_freed: what the device owned of freed memory */
	bool compared, was_freed;
	bool gone;			/* not kept for what is stale of it */
	struct dod_turn turn;		/* for the trace */
};

/* The content of a mapping at its end, and writes that are lost. Its area is locked. */
static void compare_at_end(const struct dod_call *call, struct dod_mapping *m,
			   struct dod_content_result *result)
{
	if (m->content)
		dod_judge_ops.content_to_cpu(call, m, m->start, m->last, true, result);
	if (likely(!m->pending))
		return;
	dod_result_add_lost(result, m, m->start, m->last, true);
	/* On a device with lines, does the unmap discard what the CPU wrote after a sync? */
	if (call->dir != DMA_TO_DEVICE && !call->frees && m->kind != DOD_PAGES &&
	    !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
		dod_result_add_lost(result, m, m->start, m->last, false);
}

static __always_inline void compare_ending(const struct dod_call *call, struct dod_mapping *m,
					   struct ending *e)
{
	e->compared = m->content || m->pending;
	if (!e->compared)
		return;
	result_init(&e->result);
	compare_at_end(call, m, &e->result);
}

/*
 * The CPU owns all of an unlinked mapping, whose area is locked. @stale: keep what is stale of
 * it: if there is any, it stays in the physical index, and is somebody else's then. @in_page: it
 * is known to be in one page.
 */
static __always_inline void __end_in_area(struct dod_area *a, struct dod_mapping *m, bool stale,
					  bool in_page, struct ending *e)
{
	struct dod_range *r = dod_freed_range(m, m->start, m->last);
	bool spanning = !in_page && m->spanning;

	e->gone = true;
	e->was_freed = r;
	e->turn.device = NULL;
	if (dod_is_traced())
		dod_turn_unmap(&e->turn, m);
	if (unlikely(r)) {
		e->freed = *r;
		stale = false;
	}
	if (spanning)
		dod_spanning_begin();
	if (m->content)
		dod_judge_ops.content_end(m);
	if (unlikely(m->leaked))
		atomic_dec(&dod_nr_leaked);
	if (unlikely(stale)) {
		m->ended = local_clock();
		m->has_ended = true;
		if (dod_stale_keep(a, m)) {
			m->leaked = false;
			e->gone = false;
			profile_unmap(m, m->ended);
			return;
		}
	}
	if (likely((in_page || a->page) && !a->region && m == only_mapping(a->page))) {
		WRITE_ONCE(a->page->nr, 0);
		a->page->root.rb_node = NULL;
	} else {
		dod_unindex_phys(a, tree_of(m), m);
	}
	if (!spanning)
		end_ranges(a, m);
}

static noinline void end_in_area(struct dod_area *a, struct dod_mapping *m, bool stale,
				 struct ending *e)
{
	__end_in_area(a, m, stale, false, e);
}

/* After end_in_area(), of a mapping that is gone. No lock is held. */
static __always_inline void end_beyond(struct dod_mapping *m, bool in_page)
{
	dod_mapped_pages_del(m);
	if (!in_page && m->spanning)
		end_spanning_ranges(m);
	dod_range_put_spare(m);
	wait_unwatched(m->start, m->last);
}

/* A mapping that was never linked ends. */
void dod_end_unlinked(struct dod_mapping *m)
{
	struct ending e DOD_UNINITIALIZED;
	struct dod_area a DOD_UNINITIALIZED;

	if (m->not_ram)
		return;
	dod_area_lock_mapping(&a, m);
	end_in_area(&a, m, false, &e);
	dod_area_unlock(&a);
	end_beyond(m, false);
}

/* It has ended, for an unmap call or, if @call is NULL, because the tool stops. */
static __always_inline void __finish(struct dod_mapping *m, const struct dod_call *call,
				     bool in_page, struct ending *e)
{
	struct dod_unwritten *list = call ? call->unwritten : NULL;
	bool is_ram = in_page || !m->not_ram;

	if (is_ram)
		end_beyond(m, in_page);
	if (call) {
		if (unlikely(e->compared) &&
		    (result_any(&e->result) || (e->result.touched && list)))
			dod_report_unmap(call, &e->result, m);
		dod_count(DOD_C_UNMAPS);
		/* It is a sync for the CPU, too, of what ended mappings have left stale there. */
		if (m->dir != DMA_TO_DEVICE && is_ram && !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
			dod_stale_forget(m->start, m->last);
		if (unlikely(e->was_freed))
			dod_judge_ops.memory_freed(m, &e->freed, "when it was unmapped");
		emit_turn(&e->turn);
	}
	/* The clock is read once for a list. Its entries end one after the other. */
	m->ended = list ? list->ended++ : local_clock();
	m->has_ended = true;
	profile_unmap(m, m->ended);
	if (call && m->dir != DMA_TO_DEVICE && (m->memory & DOD_MEM_SLAB))
		dod_judge_ops.unmapped(m);
	dod_history_put(m, list ? &list->left : NULL);
}

static noinline void finish(struct dod_mapping *m, const struct dod_call *call, struct ending *e)
{
	__finish(m, call, false, e);
}

static void check_content(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_content_result result DOD_UNINITIALIZED;
	struct dod_area a DOD_UNINITIALIZED;

	if (!READ_ONCE(m->content) && likely(!READ_ONCE(m->pending)))
		return;
	result_init(&result);
	dod_area_lock_mapping(&a, m);
	compare_at_end(call, m, &result);
	dod_area_unlock(&a);
	dod_report_unmap(call, &result, m);
}

/* Some of the mapping may be stale, and what is kept can go at once: it is compared before. */
static void end_stale(struct dod_mapping *m, const struct dod_call *call)
{
	u64 start = m->start, last = m->last;
	struct ending e DOD_UNINITIALIZED;
	struct dod_area a DOD_UNINITIALIZED;

	dod_area_lock_mapping(&a, m);
	end_in_area(&a, m, true, &e);
	dod_area_unlock(&a);
	e.compared = false;
	if (e.gone) {
		finish(m, call, &e);
		return;
	}
	wait_unwatched(start, last);
	emit_turn(&e.turn);
	dod_count(DOD_C_UNMAPS);
}

/* Ends an unlinked mapping. @compared: what it contains was compared. */
static void end_one(struct dod_mapping *m, const struct dod_call *call, bool compared)
{
	struct ending e DOD_UNINITIALIZED;
	struct dod_area a DOD_UNINITIALIZED;

	m->ended_by = call ? call->caller : 0;
	e.compared = false;
	e.was_freed = false;
	e.turn.device = NULL;
	if (call && unlikely(dod_stale_is_left(call, m))) {
		if (!compared)
			check_content(call, m);
		end_stale(m, call);
		return;
	}
	if (!m->not_ram) {
		dod_area_lock_mapping(&a, m);
		if (call && !compared)
			compare_ending(call, m, &e);
		end_in_area(&a, m, false, &e);
		dod_area_unlock(&a);
	}
	finish(m, call, &e);
}

/* The tool stops, and no hook runs any more. The leader, which others name, comes last. */
static void end_linked(struct dod_mapping *m)
{
	struct dod_mapping *leader = m->group, *next;

	if (!dod_unlink(leader)) {
		if (dod_unlink(m))
			end_one(m, NULL, true);
		return;
	}
	for (m = leader->next; m; m = next) {
		next = m->next;
		if (dod_unlink(m))
			end_one(m, NULL, true);
	}
	end_one(leader, NULL, true);
}

/* Ends every mapping of a tree of the index by DMA address. */
void dod_end_dma_tree(struct dma_tree *tree)
{
	struct dod_mapping *m;

	while ((m = dod_dma_iter_first(&tree->root, 0, U64_MAX)))
		end_linked(m);
}

/* After that, the direct ones. */
void dod_end_tree(struct index_tree *tree)
{
	struct dod_mapping *m;

	while ((m = dod_phys_first(tree, 0, U64_MAX)) && !WARN_ON(!m->linked))
		end_linked(m);
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
	 * Better to lose a mapping with poison than to keep one whose memory was freed. Ranges may
	 * be read without their lock: if they change just now, this is not what is unmapped.
	 */
	return 1 + 128 * !m->freed + 64 * (m->kind == call->kind) + 32 * matches +
	       16 * (m->dir == call->dir) + 8 * !!READ_ONCE(m->ranges.rb_node) +
	       4 * (m->owned_at_map == !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC)) +
	       2 * !READ_ONCE(m->pending);
}

/* What is unmapped, and how well the best mapping yet fits. */
struct unmap_search {
	const struct dod_call *call;
	u64 dma_addr, size, phys;
	struct scatterlist *sg;
	int nents, best;
};

static int fits_unmap(const struct unmap_search *s, const struct dod_mapping *m)
{
	return unmap_fits(m, s->call, s->size, s->sg, s->nents);
}

/* The better one of @leader, if there is one, and @m. Nearly always there is no other. */
static struct dod_mapping *better_unmap(struct unmap_search *s, struct dod_mapping *leader,
					struct dod_mapping *m)
{
	int fits;

	if (!leader && !s->best)
		return m;
	if (!s->best)
		s->best = fits_unmap(s, leader);
	fits = fits_unmap(s, m);
	if (fits <= s->best)
		return leader;
	s->best = fits;
	return m;
}

/*
 * The best leader in the index by DMA address, and its tree: the same memory may be mapped
 * several times at one DMA address. dma-debug chooses by best fit, too.
 */
static struct dod_mapping *find_unmap_indexed(struct unmap_search *s, struct dod_dma_walk *w,
					      struct dma_tree **in)
{
	struct dod_mapping *m, *leader = NULL;
	struct dma_tree *tree;
	unsigned int i;

	for_each_dma_tree(tree, i, w)
		for_each_dma(m, tree, s->dma_addr, s->dma_addr) {
			if (m->dev != s->call->dev || m->dma_addr != s->dma_addr || m->group != m)
				continue;
			if (better_unmap(s, leader, m) == m) {
				leader = m;
				*in = tree;
			}
			if (s->best == UNMAP_FITS)
				return leader;
		}
	return leader;
}

/* Is it direct, and does it begin at the address? */
static __always_inline bool is_unmap_leader(const struct unmap_search *s,
					    const struct dod_mapping *m)
{
	return m->dma_addr == s->dma_addr && m->group == m &&
	       is_direct_at(m, s->call->dev, s->dma_addr, s->phys);
}

/* The better one of @leader and the direct ones in a tree of the area that is locked. */
static struct dod_mapping *find_unmap_direct(struct unmap_search *s, struct index_tree *tree,
					     struct dod_mapping *leader)
{
	struct dod_mapping *m;

	for_each_in_tree(m, tree, s->phys, s->phys) {
		if (is_unmap_leader(s, m))
			leader = better_unmap(s, leader, m);
		if (s->best == UNMAP_FITS)
			break;
	}
	return leader;
}

/*
 * Unlinks a direct mapping in its area, and ends it at once if it is not the leader of others and
 * nothing of it can stay stale. Returns whether it has ended.
 */
static __always_inline bool unlink_in_area(struct dod_area *a, struct dod_mapping *m,
					   const struct dod_call *call, bool in_page,
					   struct ending *e)
{
	m->linked = false;
	if ((m->next && m->group == m) || (call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
		return false;
	m->ended_by = call->caller;
	compare_ending(call, m, e);
	__end_in_area(a, m, false, in_page, e);
	return true;
}

/* The same, out of line. */
static noinline bool unlink_any(struct dod_area *a, struct dod_mapping *m,
				const struct dod_call *call, struct ending *e)
{
	return unlink_in_area(a, m, call, false, e);
}

/* The best direct leader of all that are there; the area of its first page is locked. */
static noinline struct dod_mapping *unlink_best(struct unmap_search *s, struct dod_area *a,
						struct ending *e, bool *ended)
{
	struct dod_mapping *m = NULL, *better;
	struct index_tree *tree;
	struct dod_area all;
	u64 at;

	for_each_area_tree(tree, at, a, s->phys, s->phys)
		m = find_unmap_direct(s, tree, m);
	if (READ_ONCE(dod_by_phys->spanning.nr)) {
		dod_area_lock_spanning(&all);
		better = find_unmap_direct(s, all.spanning, m);
		if (better != m)
			*ended = unlink_any(&all, better, s->call, e);
		dod_area_unlock(&all);
		if (better != m)
			return better;
	}
	if (m)
		*ended = unlink_any(a, m, s->call, e);
	return m;
}

/* Unlinks the best direct leader, if it is better than the best yet. *ended: it has ended. */
static __always_inline struct dod_mapping *unlink_direct(struct unmap_search *s,
							 struct ending *e, bool *ended)
{
	struct dod_area a DOD_UNINITIALIZED;
	struct dod_mapping *m;

	s->phys = dod_direct_phys(s->call->dev, s->dma_addr);
	dod_area_lock_page(&a, s->phys);
	m = only_in_area(&a);
	/* Nearly always there is no other. Where the region has no user, it is in the page. */
	if (unlikely(!m || !is_unmap_leader(s, m) || s->best))
		m = unlink_best(s, &a, e, ended);
	else if (likely(!a.region))
		*ended = unlink_in_area(&a, m, s->call, true, e);
	else
		*ended = unlink_any(&a, m, s->call, e);
	dod_area_unlock_page(&a);
	return m;
}

/* Finds and unlinks in one go: other CPUs may unmap equal mappings. */
static noinline struct dod_mapping *unlink_indexed(struct unmap_search *s, bool direct,
						   struct ending *e, bool *ended)
{
	struct dod_mapping *leader, *m = NULL;
	struct dma_tree *tree = NULL;
	struct dod_dma_walk w;

	dod_dma_lock(&w, s->call->dev, s->dma_addr);
	leader = find_unmap_indexed(s, &w, &tree);
	/* How well it fits must be known, to be compared with the others. */
	if (leader && direct && !s->best)
		s->best = fits_unmap(s, leader);
	/* The device may have been behind an IOMMU, or not, only since the map. */
	if (direct || !leader)
		m = unlink_direct(s, e, ended);
	if (leader && !m)
		dod_unlink_locked(tree, leader);
	dod_dma_unlock(&w);
	return m ?: leader;
}

/* Ends a direct entry of a list, if nobody has done so. @in_page: it is known to be in one page. */
static __always_inline void end_direct_entry(struct dod_mapping *m, const struct dod_call *call,
					     bool in_page)
{
	struct dod_area a DOD_UNINITIALIZED;
	struct ending e DOD_UNINITIALIZED;
	bool linked, ended = false;

	if (in_page)
		dod_area_lock_page(&a, m->start);
	else
		dod_area_lock_mapping(&a, m);
	/* Pairs with smp_store_release() in dod_link(). */
	linked = smp_load_acquire(&m->linked);
	if (likely(linked))
		ended = unlink_in_area(&a, m, call, in_page, &e);
	if (in_page)
		dod_area_unlock_page(&a);
	else
		dod_area_unlock(&a);
	if (likely(ended))
		__finish(m, call, in_page, &e);
	else if (linked)
		end_one(m, call, false);
}

/* Of several pages, or not in the index of memory. */
static noinline void end_other_entry(struct dod_mapping *m, const struct dod_call *call)
{
	if (m->direct)
		end_direct_entry(m, call, false);
	else if (dod_unlink(m))
		end_one(m, call, false);
}

static __always_inline void end_entry(struct dod_mapping *m, const struct dod_call *call)
{
	if (likely(m->direct && m->in_page))
		end_direct_entry(m, call, true);
	else
		end_other_entry(m, call);
}

/* A list of mappings ends, or one that was not ended at once. */
static noinline void end_call(struct dod_mapping *leader, struct dod_call *call)
{
	struct dod_unwritten unwritten = {};
	struct dod_mapping *m, *next;

	if (leader->next) {
		unwritten.ended = local_clock();
		call->unwritten = &unwritten;
	}
	check_content(call, leader);
	for (m = leader->next; m; m = next) {
		next = m->next;
		end_entry(m, call);
	}
	if (unlikely(unwritten.m))
		dod_report_list(call, &unwritten);
	end_one(leader, call, true);
	dod_pool_put_list(&dod_mapping_pool, &unwritten.left);
}

/**
 * dod_owner_unmap() - a mapping ends; the CPU owns the memory
 * @call: the call
 * @dma_addr: the address it was mapped at
 * @size: bytes; of a scatterlist, those of its first entry that is not empty
 * @sg: the scatterlist of dma_unmap_sg(), else NULL
 * @nents: its length
 *
 * Before the kernel unmaps it: a bounce buffer is copied back then, and the address can be used
 * again. A scatterlist ends with all entries that were mapped together, whatever it is now.
 */
void dod_owner_unmap(struct dod_call *call, u64 dma_addr, u64 size,
		     struct scatterlist *sg, int nents)
{
	struct unmap_search s = {
		.call = call, .dma_addr = dma_addr, .size = size, .sg = sg, .nents = nents,
	};
	bool direct = dod_maps_directly(call->dev), ended = false;
	struct ending e DOD_UNINITIALIZED;
	struct dod_mapping *leader;

	if (!size && !sg)
		return;
	if (unlikely(!direct || dod_dma_may_have(call->dev, dma_addr)))
		leader = unlink_indexed(&s, direct, &e, &ended);
	else
		leader = unlink_direct(&s, &e, &ended);
	if (likely(ended)) {
		finish(leader, call, &e);
	} else if (leader) {
		end_call(leader, call);
	} else {
		dod_count(DOD_C_UNMATCHED_UNMAPS);
		dod_note_unmatched(call, DOD_UNMAP, dma_addr, size);
	}
}

/* The first mapping of dma_iova_link() that begins in a range. The tree is locked. */
struct dod_mapping *dod_find_iova(struct dma_tree *tree, const struct dod_call *call,
				  u64 start, u64 last)
{
	struct dod_mapping *m;

	for_each_dma(m, tree, start, last)
		if (m->kind == DOD_IOVA && m->dev == call->dev && m->dma_addr >= start)
			return m;
	return NULL;
}

static bool end_iova(struct dma_tree *tree, const struct dod_call *call, u64 start, u64 last)
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
	end_one(m, call, false);
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
	for_each_region(from, to, dma_addr, last) {
		while (end_iova(dma_region(call->dev, from), call, from, to))
			;
		for (; from <= to; from = (from | ~PAGE_MASK) + 1)
			while (end_iova(dma_page(call->dev, from), call, from,
					min(from | ~PAGE_MASK, to)))
				;
	}
}
