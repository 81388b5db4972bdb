// SPDX-License-Identifier: GPL-2.0
/*
 * The two indexes of mappings: by physical address, which also knows which kinds of
 * mappings a subtree has, and by DMA address. Each tree has a lock of its own. Functions
 * that change a tree and take one need its lock, unless they say otherwise.
 */
#include "internal.h"

#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

struct index *dod_by_phys, *dod_by_dma;

#define DMA_START(node)	((node)->dma_addr)
#define DMA_LAST(node)	dod_dma_last(node)

INTERVAL_TREE_DEFINE(struct dod_mapping, dma_rb, u64, dma_max, DMA_START, DMA_LAST,
		     __owner, dod_dma)

static struct index_tree *dma_tree_of(const struct dod_mapping *m)
{
	return crosses_region(m->dma_addr, dod_dma_last(m)) ? &dod_by_dma->spanning :
							       dma_shard(m->dev, m->dma_addr);
}

/* Unmaps and syncs find the mapping from now on. No lock is held. */
void dod_index_dma(struct dod_mapping *m)
{
	struct index_tree *tree = dma_tree_of(m);
	unsigned long flags;

	dod_count(DOD_C_MAPS);
	dod_lock_irqsave(&tree->lock, flags);
	dod_dma_insert(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr + 1);
	m->in_dma_index = true;
	dod_unlock_irqrestore(&tree->lock, flags);
}

/* Nobody else finds the mapping by its DMA address any more: the caller is to end it. */
void dod_unlink_locked(struct index_tree *tree, struct dod_mapping *m)
{
	dod_dma_remove(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr - 1);
	m->in_dma_index = false;
}

/* The same, if nobody has done so. No lock is held. Returns true to one caller only. */
bool dod_unlink(struct dod_mapping *m)
{
	struct index_tree *tree = dma_tree_of(m);
	unsigned long flags;
	bool unlinked;

	dod_lock_irqsave(&tree->lock, flags);
	unlinked = m->in_dma_index;
	if (unlinked)
		dod_unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	return unlinked;
}

/*
 * By physical address. An interval tree like those of interval_tree_generic.h, in which each
 * node also knows the kinds of mappings in its subtree. A list of zeros for a disk is one page
 * that is mapped thousands of times: those of some kinds are found without the others.
 */
static u64 own_sum(const struct dod_mapping *m)
{
	return m->last << 8 | m->kinds;
}

static u64 add_sums(u64 a, u64 b)
{
	return max(a, b) | ((a | b) & 0xff);
}

#define phys_entry(rb)	rb_entry_safe(rb, struct dod_mapping, phys_rb)

static bool sum_up(struct dod_mapping *m, bool exit)
{
	struct dod_mapping *left = phys_entry(m->phys_rb.rb_left);
	struct dod_mapping *right = phys_entry(m->phys_rb.rb_right);
	u64 sum = own_sum(m);

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

/* Returns whether any other mapping of the tree may overlap it. */
bool dod_index_phys(struct index_tree *tree, struct dod_mapping *m)
{
	struct rb_node **link = &tree->root.rb_root.rb_node, *parent = NULL;
	const struct dod_mapping *next = NULL;
	bool leftmost = true, overlaps = false;

	m->phys_sum = own_sum(m);
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
			leftmost = false;
		}
	}
	rb_link_node(&m->phys_rb, parent, link);
	rb_insert_augmented_cached(&m->phys_rb, &tree->root, leftmost, &phys_augment);
	WRITE_ONCE(tree->nr, tree->nr + 1);
	return overlaps || (next && next->start <= m->last);
}

void dod_unindex_phys(struct index_tree *tree, struct dod_mapping *m)
{
	rb_erase_augmented_cached(&m->phys_rb, &tree->root, &phys_augment);
	WRITE_ONCE(tree->nr, tree->nr - 1);
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
	struct rb_node *rb = tree->root.rb_root.rb_node;

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
	while (m && unlikely(m->ended))
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

/* To lockdep, the trees of the two indexes are four kinds of locks. */
static struct lock_class_key by_dma_keys[2], by_phys_keys[2];

static struct index *index_new(struct lock_class_key *keys)
{
	struct index *index = kvzalloc(sizeof(*index), GFP_KERNEL);
	unsigned int i;

	for (i = 0; index && i <= NR_SHARDS; i++) {
		struct index_tree *tree = nth_tree(index, i);

		raw_spin_lock_init(&tree->lock);
		lockdep_set_class(&tree->lock, &keys[i == NR_SHARDS]);
		tree->root = RB_ROOT_CACHED;
	}
	return index;
}

int dod_index_start(void)
{
	dod_by_phys = index_new(by_phys_keys);
	dod_by_dma = index_new(by_dma_keys);
	return dod_by_phys && dod_by_dma ? 0 : -ENOMEM;
}

void dod_index_stop(void)
{
	kvfree(dod_by_dma);
	kvfree(dod_by_phys);
	dod_by_dma = NULL;
	dod_by_phys = NULL;
}
