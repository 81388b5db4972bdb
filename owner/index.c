// SPDX-License-Identifier: GPL-2.0
/*
 * The two indexes of mappings: by physical address, which also knows which kinds of
 * mappings a subtree has, and by DMA address. Functions that change a tree or look into it need
 * its lock, or an area that has it, unless they say otherwise: see index.h.
 */
#include "internal.h"

#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

struct phys_index *dod_by_phys;
struct dma_index *dod_by_dma;
atomic_t dod_nr_not_ram;
bool dod_dma_used;

#define DMA_START(node)	((node)->dma_addr)
#define DMA_LAST(node)	dod_dma_last(node)

INTERVAL_TREE_DEFINE(struct dod_mapping, dma_rb, u64, dma_max, DMA_START, DMA_LAST,
		     __owner, dod_dma)

static struct dma_tree *dma_tree_of(const struct dod_mapping *m)
{
	u64 last = dod_dma_last(m);

	if (!crosses_page(m->dma_addr, last))
		return dma_page(m->dev, m->dma_addr);
	return crosses_region(m->dma_addr, last) ? &dod_by_dma->spanning :
						   dma_region(m->dev, m->dma_addr);
}

/* dod_link() of a mapping that is not direct. */
void dod_link_dma(struct dod_mapping *m)
{
	struct dma_tree *tree;
	unsigned long flags;

	if (m->not_ram)
		atomic_inc(&dod_nr_not_ram);
	if (!READ_ONCE(dod_dma_used))
		WRITE_ONCE(dod_dma_used, true);
	tree = dma_tree_of(m);
	dod_lock_irqsave(&tree->lock, flags);
	dod_dma_insert(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr + 1);
	m->linked = true;
	dod_unlock_irqrestore(&tree->lock, flags);
}

/* Nobody else finds the mapping by its DMA address any more: the caller is to end it. */
void dod_unlink_locked(struct dma_tree *tree, struct dod_mapping *m)
{
	dod_dma_remove(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr - 1);
	m->linked = false;
	if (m->not_ram)
		atomic_dec(&dod_nr_not_ram);
}

/* The same, if nobody has done so. No lock is held. Returns true to one caller only. */
bool dod_unlink(struct dod_mapping *m)
{
	struct dma_tree *tree;
	unsigned long flags;
	struct dod_area a;
	bool unlinked;

	if (likely(m->direct)) {
		dod_area_lock_mapping(&a, m);
		/* Pairs with smp_store_release() in dod_link(). */
		unlinked = smp_load_acquire(&m->linked);
		m->linked = false;
		dod_area_unlock(&a);
		return unlinked;
	}
	tree = dma_tree_of(m);
	dod_lock_irqsave(&tree->lock, flags);
	unlinked = m->linked;
	if (unlinked)
		dod_unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	return unlinked;
}

/* No lock of ours is held. Trees without a mapping are left out. */
void dod_dma_lock(struct dod_dma_walk *w, const struct device *dev, u64 dma_addr)
{
	struct dma_tree *tree;
	unsigned int i;

	w->tree[0] = dma_page(dev, dma_addr);
	w->tree[1] = dma_region(dev, dma_addr);
	w->tree[2] = &dod_by_dma->spanning;
	local_irq_save(w->flags);
	for_each_dma_tree(tree, i, w) {
		if (READ_ONCE(tree->nr))
			dod_lock(&tree->lock);
		else
			w->tree[i] = NULL;
	}
}

void dod_dma_unlock(struct dod_dma_walk *w)
{
	unsigned int i = ARRAY_SIZE(w->tree);

	while (i--)
		if (w->tree[i])
			dod_unlock(&w->tree[i]->lock);
	local_irq_restore(w->flags);
}

/* === Areas ================================================================ */

static noinline void wait_unlocked(struct index_tree *page)
{
	dod_lock(&page->lock);
	dod_unlock(&page->lock);
}

/*
 * The region has a user from now on. Whoever has locked one of these pages and has not seen
 * that is waited for; such a CPU waits for nobody who waits for us, who hold no lock of this
 * index. Neighbours of a hash share trees, so the lock can be taken just now: by another page's.
 */
static void raise(struct dod_area *a, u64 start, u64 last)
{
	atomic_inc(&a->region->users);
	a->raised = 1;
	/* Pairs with smp_mb__after_spinlock() in lock_page_tree(). */
	smp_mb__after_atomic();
	while (start <= last) {
		struct index_tree *page = page_in_region(a->nr, start);
		unsigned int nr = pages_in_row(start, last);
		const struct index_tree *end = page + nr * SPREAD;

		for (; page < end; page += SPREAD)
			if (unlikely(raw_spin_is_locked(&page->lock)))
				wait_unlocked(page);
		start = (start & PAGE_MASK) + nr * PAGE_SIZE;
	}
	/* What was changed under these locks is seen. */
	smp_acquire__after_ctrl_dep();
}

/* dod_area_lock() for several pages. */
void dod_area_lock_pages(struct dod_area *a, u64 start, u64 last)
{
	a->nr = region_nr(start);
	a->page = NULL;
	a->region = &dod_by_phys->region[a->nr];
	a->spanning = NULL;
	local_irq_save(a->flags);
	raise(a, start, last);
	dod_lock(&a->region->tree.lock);
}

/* The tree nth_tree(n), to do something with each mapping that is in it. */
void dod_area_lock_nth(struct dod_area *a, unsigned int n)
{
	if (n < NR_PAGES) {
		a->nr = n >> PAGE_BITS;
		lock_page_tree(a, nth_tree(n));
		return;
	}
	if (n - NR_PAGES == NR_REGIONS) {
		dod_area_lock_spanning(a);
		return;
	}
	/* Each mapping there is a user. */
	lock_region(a, n - NR_PAGES);
}

struct index_tree *dod_next_in_region(const struct dod_area *a, u64 *at, u64 last)
{
	while (*at <= last) {
		struct index_tree *page = page_in_region(a->nr, *at);
		unsigned int nr = pages_in_row(*at, last);
		const struct index_tree *end = page + nr * SPREAD;

		while (page < end && !page->root.rb_node)
			page += SPREAD;
		*at = (*at & PAGE_MASK) + nr * PAGE_SIZE;
		if (page < end) {
			*at -= (end - page) / SPREAD * PAGE_SIZE - PAGE_SIZE;
			return page;
		}
	}
	if (*at == U64_MAX)
		return NULL;
	*at = U64_MAX;
	return &a->region->tree;
}

/* After the last change of what was locked. */
void dod_area_lower(struct dod_area *a)
{
	/* Pairs with atomic_read_acquire() in lock_page_tree(). */
	smp_mb__before_atomic();
	atomic_sub(a->raised, &a->region->users);
}

/*
 * By physical address. An interval tree like those of interval_tree_generic.h, in which each
 * node also knows the kinds of mappings in its subtree. A list of zeros for a disk is one page
 * that is mapped thousands of times: those of some kinds are found without the others.
 */
static u64 add_sums(u64 a, u64 b)
{
	return max(a, b) | ((a | b) & 0xff);
}

#define phys_entry(rb)	rb_entry_safe(rb, struct dod_mapping, phys_rb)

static bool sum_up(struct dod_mapping *m, bool exit)
{
	struct dod_mapping *left = phys_entry(m->phys_rb.rb_left);
	struct dod_mapping *right = phys_entry(m->phys_rb.rb_right);
	u64 sum = dod_own_sum(m);

	if (left)
		sum = add_sums(sum, left->phys_sum);
	if (right)
		sum = add_sums(sum, right->phys_sum);
	if (exit && m->phys_sum == sum)
		return true;
	m->phys_sum = sum;
	return false;
}

RB_DECLARE_CALLBACKS(static, phys_augment, struct dod_mapping, phys_rb, phys_sum, sum_up)

/* Can the subtree have a mapping of these kinds, or of any if @kinds is 0, that reaches @start? */
static __always_inline bool may_have(const struct rb_node *rb, u64 start, u8 kinds)
{
	const struct dod_mapping *m = phys_entry(rb);

	return m && m->phys_sum >= start << 8 && (!kinds || (m->phys_sum & kinds));
}

/*
 * The area of dod_area_lock_new(). A mapping of several pages is the user of its region in place
 * of the area. Returns whether any other mapping of the tree may overlap it.
 */
bool dod_index_phys(struct dod_area *a, struct dod_mapping *m)
{
	struct index_tree *tree = a->spanning ?: a->page ?: &a->region->tree;
	struct rb_node **link = &tree->root.rb_node, *parent = NULL;
	const struct dod_mapping *next = NULL;
	bool overlaps = false;

	if (!m->in_page && !m->spanning)
		a->raised--;
	WRITE_ONCE(tree->nr, tree->nr + 1);

	m->phys_sum = dod_own_sum(m);
	while (*link) {
		struct dod_mapping *at = phys_entry(*link);

		parent = *link;
		at->phys_sum = add_sums(at->phys_sum, m->phys_sum);
		if (m->start < at->start) {
			/* In the end, the next one by address. */
			next = at;
			link = &parent->rb_left;
		} else {
			overlaps |= at->last >= m->start || may_have(parent->rb_left, m->start, 0);
			link = &parent->rb_right;
		}
	}
	rb_link_node(&m->phys_rb, parent, link);
	/* Nearly always there is nothing to balance: the kernel's function is instrumented. */
	if (!parent)
		rb_set_parent_color(&m->phys_rb, NULL, RB_BLACK);
	else if (!rb_is_black(parent))
		rb_insert_augmented(&m->phys_rb, &tree->root, &phys_augment);
	return overlaps || (next && next->start <= m->last);
}

/*
 * @tree is tree_of(m). The area becomes the user of the region, if the mapping is one: its pages
 * may be changed yet.
 */
void dod_unindex_phys(struct dod_area *a, struct index_tree *tree, struct dod_mapping *m)
{
	struct rb_node *rb = &m->phys_rb;

	if (!m->in_page && !m->spanning)
		a->raised++;
	WRITE_ONCE(tree->nr, tree->nr - 1);
	if (likely(m == only_mapping(tree)))
		tree->root.rb_node = NULL;
	else
		rb_erase_augmented(rb, &tree->root, &phys_augment);
}

/* In the order of their start. @left: the left subtree of @rb, and @rb, were not visited. */
static __always_inline struct dod_mapping *phys_search(struct rb_node *rb, u64 start, u64 last,
						       u8 kinds, bool left)
{
	for (;;) {
		struct rb_node *parent;
		struct dod_mapping *m;

		while (left && may_have(rb->rb_left, start, kinds))
			rb = rb->rb_left;
		m = phys_entry(rb);
		if (m->start > last)
			return NULL;
		if (left && m->last >= start && (!kinds || (m->kinds & kinds)))
			return m;
		left = may_have(rb->rb_right, start, kinds);
		if (left) {
			rb = rb->rb_right;
			continue;
		}
		while ((parent = rb_parent(rb)) && rb == parent->rb_right)
			rb = parent;
		if (!parent)
			return NULL;
		/* Its left subtree was visited. */
		m = phys_entry(parent);
		if (m->start > last)
			return NULL;
		if (m->last >= start && (!kinds || (m->kinds & kinds)))
			return m;
		rb = parent;
	}
}

static __always_inline struct dod_mapping *phys_first(struct index_tree *tree, u64 start,
						      u64 last, u8 kinds)
{
	struct rb_node *rb = tree->root.rb_node;

	return may_have(rb, start, kinds) ? phys_search(rb, start, last, kinds, true) : NULL;
}

/* Kept out of line: it is large, and has many callers. */
noinline struct dod_mapping *dod_phys_first(struct index_tree *tree, u64 start, u64 last)
{
	return phys_first(tree, start, last, 0);
}

noinline struct dod_mapping *dod_phys_next(struct dod_mapping *m, u64 start, u64 last)
{
	return phys_search(&m->phys_rb, start, last, 0, false);
}

/* The first live mapping from @m on. */
struct dod_mapping *dod_skip_ended(struct dod_mapping *m, u64 start, u64 last, u8 kinds)
{
	while (m && unlikely(m->has_ended))
		m = phys_search(&m->phys_rb, start, last, kinds, false);
	return m;
}

struct dod_mapping *dod_kind_first(struct index_tree *tree, u64 start, u64 last, u8 kinds)
{
	return dod_skip_ended(phys_first(tree, start, last, kinds), start, last, kinds);
}

struct dod_mapping *dod_kind_next(struct dod_mapping *m, u64 start, u64 last, u8 kinds)
{
	m = phys_search(&m->phys_rb, start, last, kinds, false);
	return dod_skip_ended(m, start, last, kinds);
}

void dod_change_kinds(struct dod_mapping *m, u8 without, u8 with)
{
	m->kinds = (m->kinds & ~without) | with;
	phys_augment.propagate(&m->phys_rb, NULL);
}

/* To lockdep, each kind of tree has one kind of lock. */
static struct lock_class_key page_key, region_key, spanning_key, dma_keys[3];

int dod_index_start(void)
{
	unsigned int i;

	dod_by_phys = kvzalloc(sizeof(*dod_by_phys), GFP_KERNEL);
	dod_by_dma = kvzalloc(sizeof(*dod_by_dma), GFP_KERNEL);
	if (!dod_by_phys || !dod_by_dma)
		return -ENOMEM;
	for (i = 0; i < NR_TREES; i++) {
		struct index_tree *tree = nth_tree(i);

		raw_spin_lock_init(&tree->lock);
		lockdep_set_class(&tree->lock, i < NR_PAGES ? &page_key :
				  i < NR_TREES - 1 ? &region_key : &spanning_key);
	}
	for (i = 0; i < NR_DMA_TREES; i++) {
		struct dma_tree *tree = nth_dma_tree(i);

		raw_spin_lock_init(&tree->lock);
		lockdep_set_class(&tree->lock, &dma_keys[tree == &dod_by_dma->spanning ? 2 :
							 tree >= dod_by_dma->region]);
		tree->root = RB_ROOT_CACHED;
	}
	return 0;
}

void dod_index_stop(void)
{
	kvfree(dod_by_dma);
	kvfree(dod_by_phys);
	dod_by_dma = NULL;
	dod_by_phys = NULL;
}
