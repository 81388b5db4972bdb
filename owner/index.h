/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two indexes of mappings, and who may change what is in them. Part of internal.h.
 *
 * Physical memory is divided into pages and regions of 2 MiB. A mapping in one page, with the
 * rest of its cache lines, is in the tree of that page. One of several pages in one region is
 * in the tree of the region, and one that crosses a boundary of regions in the tree of
 * spanning mappings. Nearly all trees of pages have no mapping, or one. Regions, and their
 * pages, share trees by a hash. So two pages that share a tree share that of their region, too.
 *
 * A mapping of memory that its device reaches without a translation is found by its DMA
 * address, too, because that says where its memory is: it is @direct. Others are in the index
 * by DMA address as well, which has trees of pages, of regions and of spanning mappings.
 *
 * Locks: an area is some memory whose owners and whose shadow only the holder changes.
 *
 * - To change one page, its tree is locked. Then no other page is concerned, nor any CPU
 *   that works on another page.
 * - To change several pages of a region, as all that a mapping of several pages has, the
 *   region's lock is held. The region has a user then: its count was raised before, and each
 *   of the pages was found not to be locked after that. Whoever locks a page later sees the
 *   count, and locks the region, too, before it looks at anything. So the lock of the region
 *   is as good as those of all these pages, and it also guards their trees.
 * - A mapping in the tree of its region is a user of the region all the time. The last change
 *   of a page that it has comes before the count falls.
 *
 * So pages without mappings of several pages around them have no lock in common, and a map of
 * one page writes to nothing that other pages have.
 */
#ifndef DOD_OWNER_INDEX_H
#define DOD_OWNER_INDEX_H

#include <linux/dma-direct.h>

#define REGION_SHIFT	21
#define REGION_BITS	6
#define NR_REGIONS	((unsigned int)BIT(REGION_BITS))
#define PAGE_BITS	(REGION_SHIFT - PAGE_SHIFT)
#define NR_PAGES	((unsigned int)BIT(REGION_BITS + PAGE_BITS))
#define NR_TREES	(NR_PAGES + NR_REGIONS + 1)

struct index_tree {
	raw_spinlock_t lock;
	unsigned int nr;		/* lock, read without */
	struct rb_root root;		/* lock; of a page, or that of its region with a user */
};

struct index_region {
	struct index_tree tree;
	atomic_t users;			/* mappings of the tree, and areas of several pages */
} ____cacheline_aligned_in_smp;

struct phys_index {
	struct index_tree page[NR_PAGES];
	struct index_region region[NR_REGIONS];
	struct index_tree spanning ____cacheline_aligned_in_smp;
};

/* index.c */
extern struct phys_index *dod_by_phys;

__owner int dod_index_start(void);
__owner void dod_index_stop(void);

static inline bool crosses_region(u64 start, u64 last)
{
	return (start ^ last) >> REGION_SHIFT;
}

static inline bool crosses_page(u64 start, u64 last)
{
	return (start ^ last) >> PAGE_SHIFT;
}

static inline u64 region_last(u64 addr)
{
	return addr | ((1ULL << REGION_SHIFT) - 1);
}

/* Each [from, to] of [start, last] that lies in one region. */
#define for_each_region(from, to, start, last)				\
	for ((from) = (start), (to) = min(region_last(from), last);	\
	     (from) <= (last);						\
	     (from) = (to) + 1, (to) = min(region_last(from), last))

static inline unsigned int region_nr(u64 phys)
{
	return hash_64(phys >> REGION_SHIFT, REGION_BITS);
}

/* The trees of neighbours are so far apart: not in one cache line, nor in two that are fetched. */
#define SPREAD_BITS	3
#define SPREAD		BIT(SPREAD_BITS)
/* So many pages in a row have their trees in a row. */
#define ROW		BIT(PAGE_BITS - SPREAD_BITS)

/* The tree of a page in the region of that number. */
static inline struct index_tree *page_in_region(unsigned int region, u64 phys)
{
	unsigned int page = (phys >> PAGE_SHIFT) & (BIT(PAGE_BITS) - 1);

	return &dod_by_phys->page[region << PAGE_BITS | page % ROW * SPREAD | page / ROW];
}

/* How many pages of [start, last], from the first on, have their trees in a row: each SPREAD. */
static __always_inline unsigned int pages_in_row(u64 start, u64 last)
{
	return min_t(u64, (last >> PAGE_SHIFT) - (start >> PAGE_SHIFT) + 1,
		     ROW - (start >> PAGE_SHIFT) % ROW);
}

/* The last byte of the memory and of its last line, if the lines are the mapping's own. */
static inline u64 dod_lines_last(const struct dod_mapping *m)
{
	return m->edges && m->own_lines ? dod_line_of(m, m->last) + m->line - 1 : m->last;
}

/* The tree by physical address that a mapping is in. */
static inline struct index_tree *tree_of(const struct dod_mapping *m)
{
	unsigned int region = region_nr(m->start);

	if (likely(m->in_page))
		return page_in_region(region, m->start);
	return m->spanning ? &dod_by_phys->spanning : &dod_by_phys->region[region].tree;
}

/* The trees of pages, of regions and of spanning mappings, in turn. */
static inline struct index_tree *nth_tree(unsigned int n)
{
	if (n < NR_PAGES)
		return &dod_by_phys->page[n];
	n -= NR_PAGES;
	return n < NR_REGIONS ? &dod_by_phys->region[n].tree : &dod_by_phys->spanning;
}

/* === Areas ================================================================ */

/**
 * struct dod_area - memory whose owners and whose shadow nobody else changes
 *
 * @page:	the tree of the page, locked; NULL if the area is of several pages
 * @region:	the region, whose tree is locked; NULL if the area is of one page, and its region
 *		has no user
 * @spanning:	the tree of spanning mappings, locked, to change one of them: then there is no
 *		@page, no @region, and no shadow that may be changed
 * @nr:		the number of the region
 * @raised:	how much to lower the region's count when the area is unlocked
 * @flags:	of interrupts
 */
struct dod_area {
	struct index_tree *page;
	struct index_region *region;
	struct index_tree *spanning;
	unsigned int nr, raised;
	unsigned long flags;
};

__owner void dod_area_lock_pages(struct dod_area *a, u64 start, u64 last);
__owner void dod_area_lock_nth(struct dod_area *a, unsigned int n);
__owner void dod_area_lower(struct dod_area *a);

static __always_inline void lock_page_tree(struct dod_area *a, struct index_tree *page)
{
	struct index_region *region = &dod_by_phys->region[a->nr];

	a->page = page;
	a->region = NULL;
	a->spanning = NULL;
	a->raised = 0;
	dod_lock_irqsave(&page->lock, a->flags);
	/*
	 * Either the one who raises the count sees our lock, or we see the count: pairs with
	 * smp_mb__after_atomic() in raise(). If the count has fallen, all changes of the page
	 * are seen: pairs with smp_mb__before_atomic() in dod_area_lower().
	 */
	smp_mb__after_spinlock();
	if (unlikely(atomic_read_acquire(&region->users))) {
		a->region = region;
		dod_lock(&region->tree.lock);
	}
}

/* For mappings of its tree: each is a user. */
static __always_inline void lock_region(struct dod_area *a, unsigned int nr)
{
	a->nr = nr;
	a->page = NULL;
	a->region = &dod_by_phys->region[nr];
	a->spanning = NULL;
	a->raised = 0;
	dod_lock_irqsave(&a->region->tree.lock, a->flags);
}

/* The page of a byte. */
static __always_inline void dod_area_lock_page(struct dod_area *a, u64 phys)
{
	a->nr = region_nr(phys);
	lock_page_tree(a, page_in_region(a->nr, phys));
}

/* [start, last], which lies in one region. */
static __always_inline void dod_area_lock(struct dod_area *a, u64 start, u64 last)
{
	if (likely(!crosses_page(start, last)))
		dod_area_lock_page(a, start);
	else
		dod_area_lock_pages(a, start, last);
}

/* Spanning mappings, but none of their memory. Inside another area: interrupts are restored. */
static __always_inline void dod_area_lock_spanning(struct dod_area *a)
{
	a->page = NULL;
	a->region = NULL;
	a->spanning = &dod_by_phys->spanning;
	a->raised = 0;
	dod_lock_irqsave(&a->spanning->lock, a->flags);
}

/* All that an indexed mapping has: of a spanning one, its ranges, but not its shadow. */
static __always_inline void dod_area_lock_mapping(struct dod_area *a, const struct dod_mapping *m)
{
	if (likely(m->in_page)) {
		dod_area_lock_page(a, m->start);
		return;
	}
	if (m->spanning) {
		dod_area_lock_spanning(a);
		return;
	}
	/* It is a user since it was indexed, and its pages were found not to be locked then. */
	lock_region(a, region_nr(m->start));
}

/* The same for a mapping that is to be indexed: its lines, too, as far as the region goes. */
static __always_inline void dod_area_lock_new(struct dod_area *a, const struct dod_mapping *m)
{
	if (likely(m->in_page))
		dod_area_lock_page(a, m->start);
	else if (m->spanning)
		dod_area_lock_spanning(a);
	else
		dod_area_lock_pages(a, m->start, min(dod_lines_last(m), region_last(m->start)));
}

static __always_inline void unlock_region(struct dod_area *a)
{
	if (likely(!a->region))
		return;
	if (a->raised)
		dod_area_lower(a);
	dod_unlock(&a->region->tree.lock);
}

static __always_inline void dod_area_unlock(struct dod_area *a)
{
	if (unlikely(a->spanning))
		dod_unlock(&a->spanning->lock);
	unlock_region(a);
	if (likely(a->page))
		dod_unlock(&a->page->lock);
	local_irq_restore(a->flags);
}

/* The same, of an area as dod_area_lock_page() locks it. */
static __always_inline void dod_area_unlock_page(struct dod_area *a)
{
	unlock_region(a);
	dod_unlock_irqrestore(&a->page->lock, a->flags);
}

static inline void assert_area_held(const struct dod_area *a)
{
	lockdep_assert_held(a->spanning ? &a->spanning->lock :
			    a->page ? &a->page->lock : &a->region->tree.lock);
}

/* The next tree, where the area has the lock of a region. */
__owner struct index_tree *dod_next_in_region(const struct dod_area *a, u64 *at, u64 last);

/*
 * The next tree, but that of spanning mappings, that can have mappings of a range up to @last:
 * those of its pages, then that of the region. *at is its first byte to begin with. NULL at the
 * end. Of an area of one page the range may have other pages only if a mapping in the tree
 * of the region has them.
 */
static __always_inline struct index_tree *next_tree(const struct dod_area *a, u64 *at, u64 last)
{
	if (unlikely(a->region))
		return dod_next_in_region(a, at, last);
	if (*at == U64_MAX)
		return NULL;
	*at = U64_MAX;
	return a->page;
}

#define for_each_area_tree(tree, at, a, start, last)			\
	for ((at) = (start); ((tree) = next_tree(a, &(at), last)); )

/* Calls @fn for the part of [start, last] in each region. No lock is held. */
static __always_inline void in_each_region(u64 start, u64 last,
					   void (*fn)(struct dod_area *a, u64 from, u64 to))
{
	struct dod_area a DOD_UNINITIALIZED;
	u64 from, to;

	for_each_region(from, to, start, last) {
		dod_area_lock(&a, from, to);
		fn(&a, from, to);
		dod_area_unlock(&a);
	}
}

/* === Mappings by physical address ========================================= */

__owner bool dod_index_phys(struct dod_area *a, struct dod_mapping *m);
__owner void dod_unindex_phys(struct dod_area *a, struct index_tree *tree, struct dod_mapping *m);
__owner void dod_change_kinds(struct dod_mapping *m, u8 without, u8 with);
__owner struct dod_mapping *dod_phys_first(struct index_tree *tree, u64 start, u64 last);
__owner struct dod_mapping *dod_phys_next(struct dod_mapping *m, u64 start, u64 last);
__owner struct dod_mapping *dod_kind_first(struct index_tree *tree, u64 start, u64 last, u8 kinds);
__owner struct dod_mapping *dod_kind_next(struct dod_mapping *m, u64 start, u64 last, u8 kinds);
__owner struct dod_mapping *dod_skip_ended(struct dod_mapping *m, u64 start, u64 last, u8 kinds);

static inline u64 dod_own_sum(const struct dod_mapping *m)
{
	return m->last << 8 | m->kinds;
}

/* As dod_index_phys(), if it is the first one in the tree of its page. Returns whether it is. */
static __always_inline bool dod_index_first(struct index_tree *page, struct dod_mapping *m)
{
	if (unlikely(page->root.rb_node))
		return false;
	WRITE_ONCE(page->nr, 1);
	m->phys_sum = dod_own_sum(m);
	rb_link_node(&m->phys_rb, NULL, &page->root.rb_node);
	rb_set_parent_color(&m->phys_rb, NULL, RB_BLACK);
	return true;
}

/* The mapping of a tree that has no other; NULL if it has none, or several. */
static __always_inline struct dod_mapping *only_mapping(const struct index_tree *tree)
{
	struct rb_node *rb = tree->root.rb_node;

	return rb && !rb->rb_left && !rb->rb_right ?
	       rb_entry(rb, struct dod_mapping, phys_rb) : NULL;
}

/* The only mapping of an area of one page, as far as that can be told at a glance. */
static __always_inline struct dod_mapping *only_in_area(const struct dod_area *a)
{
	if (unlikely(READ_ONCE(dod_by_phys->spanning.nr)))
		return NULL;
	if (likely(!a->region))
		return only_mapping(a->page);
	return a->page->root.rb_node ? NULL : only_mapping(&a->region->tree);
}

static inline struct dod_mapping *first_overlap(struct index_tree *tree, u64 start, u64 last)
{
	struct dod_mapping *m = dod_phys_first(tree, start, last);

	return likely(!m || !m->has_ended) ? m : dod_skip_ended(m, start, last, 0);
}

static inline struct dod_mapping *next_overlap(struct dod_mapping *m, u64 start, u64 last)
{
	m = dod_phys_next(m, start, last);
	return likely(!m || !m->has_ended) ? m : dod_skip_ended(m, start, last, 0);
}

/*
 * The mappings of a tree that overlap [start, last], in the order of their start; its lock is
 * held. Mappings that have ended, and are there for their stale bytes (rule 3b), are left out.
 */
#define for_each_in_tree(m, tree, start, last)				\
	for ((m) = first_overlap(tree, start, last); (m);		\
	     (m) = next_overlap(m, start, last))
/* Only those of some kinds: enum dod_mapping_kind, as bits. 0 is any. */
#define for_each_in_tree_of(m, tree, start, last, kinds)		\
	for ((m) = dod_kind_first(tree, start, last, kinds); (m);	\
	     (m) = dod_kind_next(m, start, last, kinds))
/* Those that have ended, too; @m may be removed. */
#define for_each_indexed_safe(m, next, tree, start, last)		\
	for ((m) = dod_phys_first(tree, start, last);			\
	     (m) && ((next) = dod_phys_next(m, start, last), true);	\
	     (m) = (next))

/* === Walks ================================================================ */

/**
 * struct dod_walk - a look-up in all trees that can have mappings of a range
 *
 * @area:	the range is in it
 * @at:		the first page whose tree was not visited, or past @last
 * @last:	of the range
 * @tree:	is visited now
 * @spanning:	the tree of spanning mappings, locked, or NULL: it is visited last
 */
struct dod_walk {
	const struct dod_area *area;
	u64 at, last;
	struct index_tree *tree, *spanning;
};

/*
 * The memory at [start, last] is looked at. Lines of mappings in its pages are, too, where a
 * larger range is looked up: those of a mapping of one page are in that page.
 */
static __always_inline void dod_walk_begin(struct dod_walk *w, const struct dod_area *a,
					   u64 start, u64 last)
{
	w->area = a;
	w->at = start;
	w->last = last;
	w->spanning = NULL;
}

static __always_inline void dod_walk_end(struct dod_walk *w)
{
	if (unlikely(w->spanning))
		dod_unlock(&w->spanning->lock);
}

/*
 * One lock for the whole machine, so it is taken last, and only if there is a spanning
 * mapping. One that is indexed right now is missed, and visits each of its regions later:
 * dod_overlap_spanning().
 */
static __always_inline struct index_tree *walk_tree(struct dod_walk *w)
{
	w->tree = next_tree(w->area, &w->at, w->last);
	if (!w->tree && !w->spanning && unlikely(READ_ONCE(dod_by_phys->spanning.nr))) {
		w->tree = &dod_by_phys->spanning;
		w->spanning = w->tree;
		dod_lock(&w->tree->lock);
	}
	return w->tree;
}

static __always_inline struct dod_mapping *walk_trees(struct dod_walk *w, u64 start, u64 last)
{
	struct dod_mapping *m = NULL;

	while (!m && walk_tree(w))
		m = first_overlap(w->tree, start, last);
	return m;
}

static __always_inline struct dod_mapping *walk_next(struct dod_walk *w, struct dod_mapping *m,
						     u64 start, u64 last)
{
	return next_overlap(m, start, last) ?: walk_trees(w, start, last);
}

/* The live mappings that overlap [start, last]: the range of the walk, and lines beside it. */
#define dod_for_each_overlap(m, w, start, last)				\
	for ((m) = walk_trees(w, start, last); (m); (m) = walk_next(w, m, start, last))
/* The trees in turn, where that is not enough, or mappings that have ended count. */
#define dod_for_each_tree(tree, w)					\
	for (; ((tree) = walk_tree(w)); )

/* === Mappings by DMA address ============================================== */

#define DMA_PAGE_BITS	10
#define DMA_REGION_BITS	6

struct dma_tree {
	raw_spinlock_t lock;
	unsigned int nr;		/* lock, read without */
	struct rb_root_cached root;	/* lock */
} ____cacheline_aligned_in_smp;

/* Nothing but the trees is guarded: each has its own lock, and the walk locks what is needed. */
struct dma_index {
	struct dma_tree page[1 << DMA_PAGE_BITS];
	struct dma_tree region[1 << DMA_REGION_BITS];
	struct dma_tree spanning;
};

#define NR_DMA_TREES	((1 << DMA_PAGE_BITS) + (1 << DMA_REGION_BITS) + 1)

extern struct dma_index *dod_by_dma;
/* How many linked mappings are not in the index by physical address. */
extern atomic_t dod_nr_not_ram;
/* It has, or had, a mapping. Where nothing is translated or bounced, it never has. */
extern bool dod_dma_used;

static inline struct dma_tree *dma_page(const struct device *dev, u64 dma_addr)
{
	return &dod_by_dma->page[hash_64((dma_addr >> PAGE_SHIFT) ^ (unsigned long)dev,
					 DMA_PAGE_BITS)];
}

static inline struct dma_tree *dma_region(const struct device *dev, u64 dma_addr)
{
	return &dod_by_dma->region[hash_64((dma_addr >> REGION_SHIFT) ^ (unsigned long)dev,
					   DMA_REGION_BITS)];
}

static inline struct dma_tree *nth_dma_tree(unsigned int n)
{
	if (n < 1 << DMA_PAGE_BITS)
		return &dod_by_dma->page[n];
	n -= 1 << DMA_PAGE_BITS;
	return n < 1 << DMA_REGION_BITS ? &dod_by_dma->region[n] : &dod_by_dma->spanning;
}

__owner void dod_link_dma(struct dod_mapping *m);
__owner bool dod_unlink(struct dod_mapping *m);
__owner void dod_unlink_locked(struct dma_tree *tree, struct dod_mapping *m);
__owner void dod_dma_insert(struct dod_mapping *m, struct rb_root_cached *root);
__owner void dod_dma_remove(struct dod_mapping *m, struct rb_root_cached *root);
__owner struct dod_mapping *dod_dma_iter_first(struct rb_root_cached *root, u64 start, u64 last);
__owner struct dod_mapping *dod_dma_iter_next(struct dod_mapping *m, u64 start, u64 last);

/*
 * Unmaps and syncs find the mapping from now on. No lock is held. Another CPU may end a direct
 * mapping as soon as it is linked.
 */
static __always_inline void dod_link(struct dod_mapping *m)
{
	dod_count(DOD_C_MAPS);
	if (likely(m->direct))
		/* Pairs with smp_load_acquire() in is_direct_at() and dod_unlink(). */
		smp_store_release(&m->linked, true);
	else
		dod_link_dma(m);
}

/* By DMA address; devices share a tree. */
#define for_each_dma(m, tree, start, last)				\
	for ((m) = dod_dma_iter_first(&(tree)->root, start, last); (m);	\
	     (m) = dod_dma_iter_next(m, start, last))

/* The trees that can have a mapping of a DMA address, all locked; NULL: it has none. */
struct dod_dma_walk {
	struct dma_tree *tree[3];
	unsigned long flags;
};

__owner void dod_dma_lock(struct dod_dma_walk *w, const struct device *dev, u64 dma_addr);
__owner void dod_dma_unlock(struct dod_dma_walk *w);

/* The tree with number *i, or the next one that is locked; NULL at the end. */
static inline struct dma_tree *dma_tree_from(const struct dod_dma_walk *w, unsigned int *i)
{
	while (*i < ARRAY_SIZE(w->tree) && !w->tree[*i])
		++*i;
	return *i < ARRAY_SIZE(w->tree) ? w->tree[*i] : NULL;
}

#define for_each_dma_tree(tree, i, w)					\
	for ((i) = 0; ((tree) = dma_tree_from(w, &(i))); (i)++)

/*
 * May one of these trees have a mapping? The answer is right for a mapping that was complete
 * before the call that asks, as that which an unmap ends.
 */
static inline bool dod_dma_may_have(const struct device *dev, u64 dma_addr)
{
	return unlikely(READ_ONCE(dod_dma_used)) &&
	       (READ_ONCE(dma_page(dev, dma_addr)->nr) ||
		READ_ONCE(dma_region(dev, dma_addr)->nr) ||
		READ_ONCE(dod_by_dma->spanning.nr));
}

/* The memory at a DMA address, if the device reaches it directly; otherwise anything. */
static inline u64 dod_direct_phys(struct device *dev, u64 dma_addr)
{
	/* Not the last page, where a loop over pages wraps. */
	return min_t(u64, dma_to_phys(dev, dma_addr), U64_MAX - PAGE_SIZE);
}

/* Has a mapping that is found by its memory this DMA address, where @phys is its memory? */
static inline bool is_direct_at(const struct dod_mapping *m, const struct device *dev,
				u64 dma_addr, u64 phys)
{
	return m->direct && m->dev == dev && dma_addr - m->dma_addr == phys - m->start &&
	       /* Pairs with smp_store_release() in dod_link(). */
	       smp_load_acquire(&m->linked);
}

#endif /* DOD_OWNER_INDEX_H */
