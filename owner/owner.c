// SPDX-License-Identifier: GPL-2.0
/*
 * The heart: which memory is mapped, which bytes of it a device owns, and what
 * each event changes. Rules are those of Documentation/dma_owner_debug.rst.
 *
 * Locks nest bus shard -> bus wide -> phys shard -> phys wide -> pool. A record
 * is alive while the lock of an index that it is in is held. Memory is divided in
 * regions; a record inside one region lives in the shard that the region hashes
 * to, the others live in one tree "wide", which every look-up visits, too, if it
 * is not empty. The shadow of a region is changed under its phys shard lock only.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../report/report.h"
#include "judge_ops.h"
#include "owner.h"
#include "pending.h"

#include <linux/hash.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include <asm/word-at-a-time.h>

#define REGION_SHIFT	21
#define SHARD_BITS	6
#define NR_SHARDS	((unsigned int)BIT(SHARD_BITS))
#define GRANULE		8ULL
#define ALL_BYTES	0xff

/* Ended mappings that are remembered, for each possible CPU. */
#define NR_ENDED	64

struct index_tree {
	raw_spinlock_t lock;
	struct rb_root_cached root;	/* lock */
	unsigned int nr;		/* lock, read without */
} ____cacheline_aligned_in_smp;

struct index {
	struct index_tree shard[NR_SHARDS];
	struct index_tree spanning;
};

struct ended {
	raw_spinlock_t lock;
	struct dod_mapping *ring[NR_ENDED];	/* lock */
	unsigned int head;			/* lock */
} ____cacheline_aligned_in_smp;

struct dod_pool dod_mapping_pool;

static struct index *by_phys, *by_dma;
static struct ended *ended;
static struct dod_pool range_pool, device_pool;

/* Some memory that was mapped may have a bounce buffer: else nothing is prepared. */
static bool any_bounced;

/* The widest cache line that was ever in force; edges are looked for so far. */
static u16 widest_line;

#define DEVICE_BITS 8
static struct hlist_head devices[1 << DEVICE_BITS];
static DEFINE_RAW_SPINLOCK(devices_lock);

#define START(node)	((node)->start)
#define LAST(node)	((node)->last)
#define BUS_START(node)	((node)->dma_addr)
#define BUS_LAST(node)	dod_dma_last(node)

INTERVAL_TREE_DEFINE(struct dod_mapping, dma_rb, u64, dma_max, BUS_START,
		     BUS_LAST, static __maybe_unused, dma_tree)
INTERVAL_TREE_DEFINE(struct dod_range, rb, u64, subtree_last, START, LAST,
		     static __maybe_unused, range_tree)

/* === Devices ============================================================== */

/*
 * As strncmp(), but without the kernel's checks, and by words: this is done for each
 * mapping. Names are aligned, nearly all: then a word can be read as a whole, even if
 * the name ends in it.
 */
static bool has_name(const struct dod_device *d, const char *name)
{
	const struct word_at_a_time zero = WORD_AT_A_TIME_CONSTANTS;
	unsigned int i = 0;

	while (IS_ALIGNED((unsigned long)name, sizeof(long)) &&
	       i + sizeof(long) < sizeof(d->name)) {
		unsigned long word = *(const unsigned long *)(d->name + i), end;
		unsigned long differs = word ^ *(const unsigned long *)(name + i);

		if (has_zero(word, &end, &zero)) {
			end = create_zero_mask(prep_zero_mask(word, end, &zero));
			/* The end itself, too. */
			return !(differs & zero_bytemask(end)) && !name[i + find_zero(end)];
		}
		if (differs)
			return false;
		i += sizeof(long);
	}
	for (; i < sizeof(d->name) - 1; i++) {
		if (d->name[i] != name[i])
			return false;
		if (!name[i])
			break;
	}
	return true;
}

static struct dod_device *find_device(const struct device *dev,
				      const char *name)
{
	struct dod_device *d;

	hlist_for_each_entry_rcu(d, &devices[hash_ptr(dev, DEVICE_BITS)], node,
				 lockdep_is_held(&devices_lock))
		if (d->dev == dev && has_name(d, name))
			return d;
	return NULL;
}

/* devices_lock held. */
static void note_driver(struct dod_device *d, const struct device *dev)
{
	const struct device_driver *driver = READ_ONCE(dev->driver);

	strscpy(d->module, driver && driver->owner ? module_name(driver->owner) : "",
		sizeof(d->module));
	strscpy(d->driver_name, dev_driver_string(dev), sizeof(d->driver_name));
	d->translated = !dod_maps_directly((struct device *)dev);
	WRITE_ONCE(d->wires, dod_judge_ops.wires(d));
	WRITE_ONCE(d->driver, dev->driver);
}

/* Drivers set these before they map; written only where they have changed. */
static void note_config(struct dod_device *d, struct device *dev, u64 dma_last)
{
	u64 mask = dma_get_mask(dev);

	if (d->mask != mask)
		WRITE_ONCE(d->mask, mask);
	if (d->bus_limit != dev->bus_dma_limit)
		WRITE_ONCE(d->bus_limit, dev->bus_dma_limit);
	if (d->coherent != dev_is_dma_coherent(dev))
		WRITE_ONCE(d->coherent, dev_is_dma_coherent(dev));
	if (d->highest < dma_last)
		WRITE_ONCE(d->highest, dma_last);
}

/*
 * The names of a device, copied at its first mapping, and its driver's when
 * that has changed. An address that is used again for another device gets an
 * entry of its own, so that old mappings keep their names.
 */
static struct dod_device *get_device_names(const struct device *dev)
{
	const char *name = dev_name(dev) ?: "(unnamed)";
	struct dod_device *d;
	unsigned long flags;
	bool first = false;

	rcu_read_lock();
	d = find_device(dev, name);
	rcu_read_unlock();
	if (likely(d && READ_ONCE(d->driver) == dev->driver))
		return d;

	dod_lock_irqsave(&devices_lock, flags);
	d = find_device(dev, name);
	if (!d) {
		d = dod_pool_get(&device_pool);
		if (d) {
			memset(d, 0, sizeof(*d));
			d->dev = dev;
			d->since = local_clock();
			strscpy(d->name, name, sizeof(d->name));
			note_driver(d, dev);
			first = true;
			hlist_add_head_rcu(&d->node,
					   &devices[hash_ptr(dev, DEVICE_BITS)]);
		}
	} else if (d->driver != dev->driver) {
		note_driver(d, dev);
	}
	dod_unlock_irqrestore(&devices_lock, flags);
	if (first)
		dod_judge_ops.see_bus(dev->bus);
	return d;
}

/**
 * dod_owner_device() - what is known of a device
 * @dev: the device, identity only
 * @name: its name
 *
 * Context: any but NMI.
 *
 * Return: its entry, which stays while the module is loaded, NULL if it never
 * mapped memory.
 */
struct dod_device *dod_owner_device(const struct device *dev, const char *name)
{
	struct dod_device *d;

	rcu_read_lock();
	d = find_device(dev, name);
	rcu_read_unlock();
	return d;
}

/**
 * dod_owner_set_wires() - the parameter wires has changed
 *
 * Context: any but NMI.
 */
void dod_owner_set_wires(void)
{
	struct dod_device *d;
	unsigned long flags;
	unsigned int i;

	dod_lock_irqsave(&devices_lock, flags);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry(d, &devices[i], node)
			WRITE_ONCE(d->wires, dod_judge_ops.wires(d));
	dod_unlock_irqrestore(&devices_lock, flags);
}

/**
 * dod_owner_next_device() - step through the devices that ever mapped memory
 * @skip: how many to skip
 * @copy: filled in
 *
 * Context: process.
 *
 * Return: 0, or -ENOENT at the end.
 */
int dod_owner_next_device(int skip, struct dod_device *copy)
{
	struct dod_device *d;
	int err = -ENOENT;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; err && i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry_rcu(d, &devices[i], node) {
			if (skip--)
				continue;
			*copy = *d;
			err = 0;
			break;
		}
	rcu_read_unlock();
	return err;
}

/* === Index ================================================================ */

static bool crosses_region(u64 start, u64 last)
{
	return (start ^ last) >> REGION_SHIFT;
}

static u64 region_last(u64 addr)
{
	return addr | ((1ULL << REGION_SHIFT) - 1);
}

/* Each [from, to] of [start, last] that lies in one region. */
#define for_each_region(from, to, start, last)				\
	for ((from) = (start), (to) = min(region_last(from), last);	\
	     (from) <= (last);						\
	     (from) = (to) + 1, (to) = min(region_last(from), last))

static struct index_tree *phys_shard(u64 phys)
{
	return &by_phys->shard[hash_64(phys >> REGION_SHIFT, SHARD_BITS)];
}

/* Where a mapping lives; its phys lock. */
static struct index_tree *phys_tree(const struct dod_mapping *m)
{
	return m->spanning ? &by_phys->spanning : phys_shard(m->start);
}

static struct index_tree *dma_shard(const struct device *dev, u64 dma_addr)
{
	return &by_dma->shard[hash_64((dma_addr >> REGION_SHIFT) ^ (unsigned long)dev,
				      SHARD_BITS)];
}

static struct index_tree *dma_part(const struct dod_mapping *m)
{
	if (crosses_region(m->dma_addr, dod_dma_last(m)))
		return &by_dma->spanning;
	return dma_shard(m->dev, m->dma_addr);
}

static void index_dma(struct dod_mapping *m)
{
	struct index_tree *tree = dma_part(m);
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	dma_tree_insert(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr + 1);
	m->in_dma_index = true;
	dod_unlock_irqrestore(&tree->lock, flags);
}

/* Takes a mapping out of the index: it is the caller's to end now. Bus lock held */
static void unlink_locked(struct index_tree *tree, struct dod_mapping *m)
{
	dma_tree_remove(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr - 1);
	m->in_dma_index = false;
}

/* Only one of several callers gets true. */
static bool unlink(struct dod_mapping *m)
{
	struct index_tree *tree = dma_part(m);
	unsigned long flags;
	bool unlinked;

	dod_lock_irqsave(&tree->lock, flags);
	unlinked = m->in_dma_index;
	if (unlinked)
		unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	return unlinked;
}

/*
 * The index by physical address: an interval tree, as those of interval_tree_generic.h,
 * that also knows which kinds of mappings there are in a subtree. So those of a kind are
 * found without a look at the others, of which there can be thousands: a list of zeros
 * for a disk is one page, many times.
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

/* Can there be one of these kinds, of any if they are 0, that reaches @start? */
static __always_inline bool may_have(const struct rb_node *rb, u64 start, u8 kinds)
{
	const struct dod_mapping *m = phys_entry(rb);

	return m && m->phys_sum >= start << 8 && (!kinds || (m->phys_sum & kinds));
}

/* Returns whether any other may touch it. */
static bool phys_tree_insert(struct dod_mapping *m, struct rb_root_cached *root)
{
	struct rb_node **link = &root->rb_root.rb_node, *parent = NULL;
	const struct dod_mapping *next = NULL;
	bool leftmost = true, touched = false;

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
			touched |= at->last >= m->start || may_have(parent->rb_left, m->start, 0);
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	rb_link_node(&m->phys_rb, parent, link);
	rb_insert_augmented_cached(&m->phys_rb, root, leftmost, &phys_augment);
	return touched || (next && next->start <= m->last);
}

static void phys_tree_remove(struct dod_mapping *m, struct rb_root_cached *root)
{
	rb_erase_augmented_cached(&m->phys_rb, root, &phys_augment);
}

/* In the order of their start; @rb and what is left of it is still to be looked at. */
static __always_inline struct dod_mapping *
phys_tree_search(struct rb_node *rb, u64 start, u64 last, u8 kinds, bool left)
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
		/* What is left of it is behind us. */
		m = phys_entry(parent);
		if (m->start > last)
			return NULL;
		if (m->last >= start && (!kinds || (m->kinds & kinds)))
			return m;
		rb = parent;
	}
}

static __always_inline struct dod_mapping *
phys_tree_first_of(struct rb_root_cached *root, u64 start, u64 last, u8 kinds)
{
	struct rb_node *rb = root->rb_root.rb_node;

	return may_have(rb, start, kinds) ?
	       phys_tree_search(rb, start, last, kinds, true) : NULL;
}

static __always_inline struct dod_mapping *
phys_tree_next_of(struct dod_mapping *m, u64 start, u64 last, u8 kinds)
{
	return phys_tree_search(&m->phys_rb, start, last, kinds, false);
}

static noinline struct dod_mapping *phys_tree_iter_first(struct rb_root_cached *root, u64 start,
							 u64 last)
{
	return phys_tree_first_of(root, start, last, 0);
}

static noinline struct dod_mapping *phys_tree_iter_next(struct dod_mapping *m, u64 start,
							u64 last)
{
	return phys_tree_next_of(m, start, last, 0);
}

/* The lock of its part is held, in whose index it is. */
static void change_kinds(struct dod_mapping *m, u8 without, u8 with)
{
	m->kinds = (m->kinds & ~without) | with;
	phys_augment.propagate(&m->phys_rb, NULL);
}

/*
 * The mappings of a part that touch [start, last], all or those of some kinds; the part's
 * lock is held. Those that have ended, and left stale bytes, are not among them: see
 * phys_tree_iter_first().
 */
static struct dod_mapping *skip_ended(struct dod_mapping *m, u64 start, u64 last, u8 kinds)
{
	while (m && unlikely(m->ended))
		m = phys_tree_next_of(m, start, last, kinds);
	return m;
}

static struct dod_mapping *first_of(struct index_tree *tree, u64 start, u64 last, u8 kinds)
{
	return skip_ended(phys_tree_first_of(&tree->root, start, last, kinds), start, last,
			  kinds);
}

static struct dod_mapping *next_of(struct dod_mapping *m, u64 start, u64 last, u8 kinds)
{
	return skip_ended(phys_tree_next_of(m, start, last, kinds), start, last, kinds);
}

static struct dod_mapping *first_touching(struct index_tree *tree, u64 start,
					  u64 last)
{
	struct dod_mapping *m = phys_tree_iter_first(&tree->root, start, last);

	return likely(!m || !m->ended) ? m : skip_ended(m, start, last, 0);
}

static struct dod_mapping *next_touching(struct dod_mapping *m, u64 start,
					 u64 last)
{
	m = phys_tree_iter_next(m, start, last);
	return likely(!m || !m->ended) ? m : skip_ended(m, start, last, 0);
}

/* === What a mapping's device owns ========================================= */

static struct dod_pending *pending_of(struct dod_range *r)
{
	return container_of(r, struct dod_pending, range);
}

static struct dod_range *range_get(struct dod_mapping *m)
{
	struct dod_range *r = &m->first;

	if (m->first_used) {
		r = dod_pool_get(&range_pool);
		if (!r)
			dod_count(DOD_C_RANGES_EXHAUSTED);
	}
	m->first_used = true;
	return r;
}

static void range_put(struct dod_mapping *m, struct dod_range *r)
{
	if (r->state == DOD_PENDING)
		dod_pending_put(pending_of(r));
	else if (r == &m->first)
		m->first_used = false;
	else
		dod_pool_put(&range_pool, r);
}

/* For the second half of a range that is split. */
static struct dod_range *range_like(struct dod_mapping *m, struct dod_range *r)
{
	struct dod_pending *p;

	if (r->state != DOD_PENDING)
		return range_get(m);
	p = dod_pending_copy(pending_of(r));
	return p ? &p->range : NULL;
}

static void range_add(struct dod_mapping *m, struct dod_range *r, u64 start,
		      u64 last, u8 dir, enum dod_state state)
{
	r->start = start;
	r->last = last;
	r->dir = dir;
	r->state = state;
	r->leads = false;
	r->taken = false;
	range_tree_insert(r, &m->ranges);
}

/* In its place: the ranges beside it stay before and behind it. */
static void range_resize(struct dod_range *r, u64 start, u64 last)
{
	r->start = start;
	r->last = last;
	range_tree_augment.propagate(&r->rb, NULL);
}

/* Is all of [start, last] known to have been written? */
static bool all_written(const struct dod_pending *p, u64 start, u64 last)
{
	if (start < p->wrote_first || last > p->wrote_last)
		return false;
	if (p->wrote_bytes == ALL_BYTES)
		return true;
	for (; start <= last; start++)
		if (!(p->wrote_bytes & BIT(start % GRANULE)))
			return false;
	return true;
}

/* The bytes of [start, last] in each of its granules, as bits; 0 if they differ. */
static u8 bytes_of(u64 start, u64 last)
{
	if (start / GRANULE == last / GRANULE)
		return GENMASK(last % GRANULE, start % GRANULE);
	return IS_ALIGNED(start, GRANULE) && IS_ALIGNED(last + 1, GRANULE) ? ALL_BYTES : 0;
}

/*
 * [start, last] is written beside what the same writer wrote: is that one piece, or just
 * the same bytes of each granule? Of a loop one write in each granule traps: whether it
 * has written the other bytes is not known, and a sync may leave them out. @p, whose range
 * has become smaller perhaps, is made to hold both if so.
 */
static bool join_written(struct dod_pending *p, u64 start, u64 last)
{
	u64 first = max(p->wrote_first, p->range.start);
	u64 end = min(p->wrote_last, p->range.last);
	u8 bytes = p->wrote_bytes;

	if (!dod_pending_wrote(p, first, end))
		return false;
	if (bytes != ALL_BYTES || start > end + 1 || last + 1 < first) {
		if (bytes == ALL_BYTES)
			bytes = bytes_of(first, end);
		if (!bytes || bytes != bytes_of(start, last))
			return false;
	}
	p->wrote_first = min(first, start);
	p->wrote_last = max(end, last);
	p->wrote_bytes = bytes;
	return true;
}

/* What range_to_cpu() leaves alone, as bits; and what else it does. */
enum take {
	TAKE_ALL	= 0,
	KEEP_PENDING	= BIT(0),	/* writes that the device has not got */
	KEEP_WRITABLE	= BIT(1),	/* what the device may write */
	FINISH		= BIT(2),	/* rule 6b */
};

static bool has_state(const struct dod_mapping *m, u8 state)
{
	struct rb_node *rb;

	for (rb = rb_first_cached(&m->ranges); rb; rb = rb_next(rb))
		if (rb_entry(rb, struct dod_range, rb)->state == state)
			return true;
	return false;
}

/* Is a write pending to any of the mapping? For @pending of it. */
static bool any_pending(struct dod_mapping *m)
{
	return has_state(m, DOD_PENDING);
}

/*
 * How often the DMA API was called where KASAN is off: in interrupts of code that has
 * turned it off for itself, as the page allocator does while it clears a page. What they
 * write, as TCP does into the tailroom of a packet, is not seen, so that nothing that was
 * stale before is certainly stale after it.
 */
static atomic_t nr_unseen;

/* Some of the mapping becomes stale. */
static void note_stale(struct dod_mapping *m)
{
	if (!has_state(m, DOD_STALE))
		m->unseen = (u8)atomic_read(&nr_unseen);
}

/*
 * Rule 6b: the device is done with what is left of a range. Of whole granules only: a write
 * to a part of one is not seen, and what was written is not stale.
 */
static void finish_range(struct dod_mapping *m, struct dod_range *r)
{
	u64 start = round_up(r->start, GRANULE), end = round_down(r->last + 1, GRANULE);

	dod_count(DOD_C_FINISHED_RANGES);
	/* Where memset() is not seen, or nothing is, nobody knows what is written now. */
	if (start >= end || m->spanning || !DOD_MEMCPY_CHECKED || dod_kasan_is_off()) {
		range_tree_remove(r, &m->ranges);
		range_put(m, r);
		return;
	}
	note_stale(m);
	if (start != r->start || end - 1 != r->last) {
		range_tree_remove(r, &m->ranges);
		range_add(m, r, start, end - 1, r->dir, DOD_STALE);
	}
	r->state = DOD_STALE;
	if (!(m->kinds & DOD_KIND_STALE))
		change_kinds(m, 0, DOD_KIND_STALE);
}

/* The part of a range from @at on, as a range; all of it if no other can be had. */
static struct dod_range *range_from(struct dod_mapping *m, struct dod_range *r, u64 at)
{
	struct dod_range *right;
	u64 last = r->last;

	if (at <= r->start || at > last)
		return r;
	right = range_like(m, r);
	if (!right)
		return r;
	range_resize(r, r->start, at - 1);
	range_add(m, right, at, last, r->dir, r->state);
	right->taken = r->taken;
	return right;
}

/*
 * What is pending of [start, last] stays so when the CPU gets that by a sync which brings
 * nothing back. But what it has not written of these granules is its own.
 */
static void take_rest(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last)
{
	start = max(start, r->start);
	last = min(last, r->last);
	if (r->taken || all_written(pending_of(r), start, last))
		return;
	r = range_from(m, r, start);
	range_from(m, r, last + 1);
	r->taken = true;
}

static bool is_kept(const struct dod_range *r, enum take how)
{
	if (r->state == DOD_PENDING)
		return how & KEEP_PENDING;
	return (how & KEEP_WRITABLE) && r->dir != DMA_TO_DEVICE;
}

/* Is what follows of it done with, where the leading part is synced for the CPU: rule 6b? */
static bool is_finished(const struct dod_range *r, enum take how)
{
	return (how & FINISH) && r->leads && r->state == DOD_OWNED && r->dir != DMA_TO_DEVICE;
}

/* What a hand-over has left of an earlier one, as a pool's does: nobody else's packet. */
static bool leaves_rest(const struct dod_range *r)
{
	const struct rb_node *rb = rb_next(&r->rb);
	const struct dod_range *next = rb_entry_safe(rb, struct dod_range, rb);

	return next && next->start == r->last + 1 && !next->leads &&
	       next->state == DOD_OWNED && next->dir != DMA_TO_DEVICE;
}

/* XDP_PACKET_HEADROOM and NET_SKB_PAD. */
#define MOST_HEADROOM	320

/*
 * Is what precedes a sync for the CPU, in the same hand-over, the headroom of a network
 * buffer? Drivers give a page, have the device begin some bytes into it, and sync the
 * packet (ENA): that is the leading part. What precedes it is nobody's but the CPU's: a
 * BPF program writes headers there, and that is not seen.
 */
static bool is_headroom(const struct dod_mapping *m, const struct dod_range *r, u64 start,
			enum take how)
{
	return is_finished(r, how) && !m->slab && !m->spanning && IS_ALIGNED(r->start, PAGE_SIZE) &&
	       r->last - r->start >= PAGE_SIZE - 1 && start - r->start <= MOST_HEADROOM;
}

/*
 * The CPU gets [*first, *last]. Where that splits a range and no second half can
 * be had, the CPU gets that half, too, and *last says so: too little is guarded,
 * never too much. Both also say how far FINISH changed what is beside it.
 *
 * Returns whether any of it was guarded.
 */
static bool range_to_cpu_from(struct dod_mapping *m, u64 *first, u64 *last, enum take how)
{
	struct dod_range *r, *next, *right;
	u64 start = *first, to = *last;
	bool is_poisoned = false, sent = false, rest = false;

	for (r = range_tree_iter_first(&m->ranges, start, to); r; r = next) {
		u64 r_last = r->last;

		next = range_tree_iter_next(r, start, to);
		if (is_kept(r, how)) {
			if (r->state == DOD_PENDING && how != KEEP_PENDING)
				take_rest(m, r, start, to);
			continue;
		}
		is_poisoned |= r->state != DOD_PENDING;
		sent |= r->state == DOD_PENDING;
		if (r->start < start) {
			bool finished = is_headroom(m, r, start, how);

			range_resize(r, r->start, start - 1);
			right = r_last > to ? range_like(m, r) : NULL;
			if (right) {
				range_add(m, right, to + 1, r_last, r->dir, r->state);
				right->taken = r->taken;
			}
			if (r_last > to && (finished || !right))
				*last = r_last;
			if (finished) {
				*first = r->start;
				range_tree_remove(r, &m->ranges);
				range_put(m, r);
				if (right)
					finish_range(m, right);
			}
		} else if (r_last > to) {
			bool finished = is_finished(r, how);

			rest = finished && leaves_rest(r);
			range_resize(r, to + 1, r_last);
			r->leads = false;
			if (finished) {
				finish_range(m, r);
				*last = r_last;
			}
		} else {
			rest = r_last == to && is_finished(r, how) && leaves_rest(r);
			range_tree_remove(r, &m->ranges);
			range_put(m, r);
		}
	}
	while (unlikely(rest)) {
		r = range_tree_iter_first(&m->ranges, *last + 1, *last + 1);
		*last = r->last;
		rest = leaves_rest(r);
		finish_range(m, r);
	}
	if (unlikely(sent) && !any_pending(m))
		WRITE_ONCE(m->pending, false);
	return is_poisoned;
}

/* The same, where nothing before it can change. */
static bool range_to_cpu(struct dod_mapping *m, u64 start, u64 *last, enum take how)
{
	return range_to_cpu_from(m, &start, last, how & ~FINISH);
}

/* The range at a byte, if what is given to the device beside it can be one with it. */
static struct dod_range *range_at(struct dod_mapping *m, u64 byte)
{
	struct dod_range *r = range_tree_iter_first(&m->ranges, byte, byte);

	return r && r->dir == DMA_TO_DEVICE && r->state == DOD_OWNED ? r : NULL;
}

/*
 * A sync has left of what the CPU wrote, in whole granules, some bytes that are not known
 * to have been written: they are the device's again, if there is a record for them.
 */
static void unpend_rest(struct dod_mapping *m, u64 byte)
{
	struct dod_range *r = range_tree_iter_first(&m->ranges, byte, byte);
	u64 start, last;
	bool sent;

	if (!r || r->state != DOD_PENDING || dod_pending_wrote(pending_of(r), r->start, r->last))
		return;
	start = r->start;
	last = r->last;
	sent = r->dir == DMA_TO_DEVICE && !r->taken;
	range_tree_remove(r, &m->ranges);
	range_put(m, r);
	if (!any_pending(m))
		WRITE_ONCE(m->pending, false);
	if (!sent)
		return;
	r = range_get(m);
	if (r)
		range_add(m, r, start, last, DMA_TO_DEVICE, DOD_OWNED);
}

/* The device gets [start, *last]: see range_to_device(). */
static bool ranges_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir)
{
	struct dod_range *before = NULL, *after = NULL, *r;
	u64 to = *last;
	bool is_poisoned = false;

	if (!RB_EMPTY_ROOT(&m->ranges.rb_root))
		is_poisoned = range_to_cpu(m, start, last, TAKE_ALL);
	if (unlikely(m->pending)) {
		if (start > m->start)
			unpend_rest(m, start - 1);
		if (to < m->last)
			unpend_rest(m, to + 1);
	}
	if (unlikely(dir != DMA_TO_DEVICE && m->dir == DMA_TO_DEVICE))
		change_kinds(m, 0, DOD_KIND_WRITABLE);
	if (dir == DMA_TO_DEVICE && start > m->start)
		before = range_at(m, start - 1);
	if (dir == DMA_TO_DEVICE && to < m->last)
		after = range_at(m, to + 1);
	if (before && after) {
		to = after->last;
		range_tree_remove(after, &m->ranges);
		range_put(m, after);
	}
	if (before) {
		range_resize(before, before->start, to);
	} else if (after) {
		range_resize(after, start, after->last);
	} else {
		r = range_get(m);
		if (!r)
			return true;
		range_add(m, r, start, to, dir, DOD_OWNED);
		r->leads = true;
	}
	return is_poisoned;
}

/* The first of [start, last] that the CPU wrote, and of which the device is to get that. */
static struct dod_range *first_unsent(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for (r = range_tree_iter_first(&m->ranges, start, last); r;
	     r = range_tree_iter_next(r, start, last))
		if (r->state == DOD_PENDING && r->dir != DMA_FROM_DEVICE)
			break;
	return r;
}

/*
 * The device gets [start, *last]; *last as for range_to_cpu(). What it may write keeps
 * the borders of the calls that handed it over: rule 6b goes by them. A sync with
 * DMA_FROM_DEVICE sends nothing, and what is pending stays so.
 *
 * Returns whether any of it was guarded before, or could not be given.
 */
static bool range_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir)
{
	u64 to = *last, end;
	bool is_poisoned = false;

	if (likely(dir != DMA_FROM_DEVICE || !m->pending))
		return ranges_to_device(m, start, last, dir);
	while (start <= to) {
		struct dod_range *r = first_unsent(m, start, to);
		u64 next = r ? r->last + 1 : to + 1;

		end = r ? r->start - 1 : to;
		if (!r || r->start > start) {
			is_poisoned |= ranges_to_device(m, start, &end, dir);
			*last = max(*last, end);
		}
		start = next;
	}
	return is_poisoned;
}

/* === Guarding what devices own ============================================ */

static void guard_ranges(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r, *next;

	if (m->trap == DOD_TRAP_NONE)
		return;
	for (r = range_tree_iter_first(&m->ranges, start, last); r; r = next) {
		u64 from = max(r->start, start);

		/* Two that meet inside of a granule: together they have all of it. */
		while ((next = range_tree_iter_next(r, start, last)) &&
		       next->start == r->last + 1 && next->dir == r->dir &&
		       next->state == r->state)
			r = next;
		if (r->state != DOD_PENDING)
			dod_poison_ops.poison(m, from, min(r->last, last),
				      r->state == DOD_STALE ? DMA_NONE : r->dir);
	}
}

/* The rest of the first and of the last cache line; empty if start > last. */
static void head_edge(const struct dod_mapping *m, u64 *start, u64 *last)
{
	*start = dod_line_of(m, m->start);
	*last = m->start - 1;
}

static void tail_edge(const struct dod_mapping *m, u64 *start, u64 *last)
{
	*start = m->last + 1;
	*last = dod_line_of(m, m->last) + m->line - 1;
}

/* What the device writes of [start, last], NULL if nothing. */
static struct dod_range *written(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for (r = range_tree_iter_first(&m->ranges, start, last); r;
	     r = range_tree_iter_next(r, start, last))
		if (r->dir != DMA_TO_DEVICE && r->state == DOD_OWNED)
			break;
	return r;
}

/* What the device writes of the line that begins or ends the mapping. */
static struct dod_range *written_at(struct dod_mapping *m, bool tail)
{
	u64 line = dod_line_of(m, tail ? m->last : m->start);

	return written(m, line, line + m->line - 1);
}

/* Up to its first bad byte a mapping is its driver's, past it are no lines of its. */
static bool has_whole_lines(const struct dod_mapping *m)
{
	return m->line && m->last - m->start == m->dma_last - m->dma_addr;
}

static bool ends_in_line(const struct dod_mapping *m)
{
	return has_whole_lines(m) &&
	       (dod_line_of(m, m->start) != m->start ||
		dod_line_of(m, m->last) + m->line - 1 != m->last);
}

static bool has_edges(const struct dod_mapping *m)
{
	return m->edges && m->trap == DOD_TRAP_ALL;
}

/*
 * Rule 10: while the device writes to the first or the last line, nobody else
 * may write to the rest of it. What belongs to the mapping itself is its driver's
 * to sync, and not an edge.
 */
static void guard_edges(struct dod_mapping *m, u64 start, u64 last)
{
	u64 from, to;

	if (!has_edges(m) || !dod_poison_ops.poison_line_edge)
		return;
	head_edge(m, &from, &to);
	if (from <= to && from <= last && to >= start && written_at(m, false))
		dod_poison_ops.poison_line_edge(m, from, to);
	tail_edge(m, &from, &to);
	if (from <= to && from <= last && to >= start && written_at(m, true))
		dod_poison_ops.poison_line_edge(m, from, to);
}

/* What its device owns of [start, last], and what shares a line with what that writes. */
static __always_inline void guard_mapping(struct dod_mapping *m, u64 start, u64 last)
{
	guard_ranges(m, start, last);
	if (m->edges)
		guard_edges(m, start, last);
}

/* A change of hands of [start, last] concerns the rest of their lines, too. */
static void add_edges(const struct dod_mapping *m, u64 *start, u64 *last)
{
	u64 from, to;

	if (!has_edges(m))
		return;
	head_edge(m, &from, &to);
	if (*start < from + m->line)
		*start = from;
	tail_edge(m, &from, &to);
	if (*last + m->line > to)
		*last = to;
}

/*
 * Guards what any device owns of the granules that [start, last] touches.
 * A byte is the device's while any mapping of it is (rule 5). The range lies in
 * one region, whose shard lock is held.
 */
static void guard_region(struct index_tree *shard, u64 start, u64 last)
{
	u64 margin = READ_ONCE(widest_line), from, to;
	struct dod_mapping *m;

	start = round_down(start, GRANULE);
	last = round_up(last + 1, GRANULE) - 1;
	from = start - min(start, margin);
	to = last + margin;

	/* Not what has ended: see keep_stale(). */
	for (m = first_touching(shard, from, to); m;
	     m = next_touching(m, from, to))
		guard_mapping(m, start, last);

	if (READ_ONCE(by_phys->spanning.nr)) {
		dod_lock(&by_phys->spanning.lock);
		for (m = first_touching(&by_phys->spanning, from, to); m;
		     m = next_touching(m, from, to))
			guard_mapping(m, start, last);
		dod_unlock(&by_phys->spanning.lock);
	}
}

/*
 * The same where none of [start, last] was this mapping's device's before: nothing was
 * cleared, so that what other mappings make of it is there, and stays.
 */
static void guard_fresh(struct dod_mapping *m, u64 start, u64 last)
{
	start = round_down(start, GRANULE);
	last = round_up(last + 1, GRANULE) - 1;
	guard_mapping(m, start, last);
}

/*
 * Is what is cleared of [start, last] certainly no other mapping's? See share_content(). In
 * the granule that it begins in, another mapping may end; and where devices share lines
 * with the CPU, these bytes may be an edge of another one, unless the lines are its own.
 */
static bool is_alone(const struct dod_mapping *m, u64 start, u64 last)
{
	u64 line = READ_ONCE(widest_line);

	if (m->shared || !IS_ALIGNED(start, GRANULE))
		return false;
	return !line || (round_down(start, line) >= m->start && (last | (line - 1)) <= m->last);
}

/* What devices own of [start, last], of which this mapping's has changed. */
static void guard_again(struct index_tree *shard, struct dod_mapping *m, u64 start, u64 last)
{
	dod_poison_ops.unpoison(start, last);
	if (is_alone(m, start, last))
		guard_fresh(m, start, last);
	else
		guard_region(shard, start, last);
}

/* === Stale bytes of mappings that have ended (rule 3b) ===================== */

/* So many at most: they hold records, and those who map come first. */
#define MAX_STALE	1024

static atomic_t nr_stale;

/* Its time and who ended it are noted before. */
static void history_put(struct dod_mapping *m)
{
	struct ended *e = &ended[raw_smp_processor_id()];
	struct dod_mapping *old;
	unsigned long flags;

	dod_lock_irqsave(&e->lock, flags);
	old = e->ring[e->head];
	e->ring[e->head] = m;
	e->head = (e->head + 1) % NR_ENDED;
	dod_unlock_irqrestore(&e->lock, flags);
	if (old)
		dod_pool_put(&dod_mapping_pool, old);
}

/* The lock of its part is held. */
static void stale_end(struct index_tree *tree, struct dod_mapping *m)
{
	phys_tree_remove(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr - 1);
	atomic_dec(&nr_stale);
	dod_mapped_pages_del(m);
	history_put(m);
}

/*
 * [start, last] is written, mapped, synced or freed: nothing there is stale any more.
 * It lies in one region, whose lock is held.
 */
static void stale_drop(struct index_tree *shard, u64 start, u64 last)
{
	struct dod_mapping *m, *next;

	if (likely(!atomic_read(&nr_stale)))
		return;
	for (m = phys_tree_iter_first(&shard->root, start, last); m; m = next) {
		u64 from = max(start, m->start), to = min(last, m->last);

		next = phys_tree_iter_next(m, start, last);
		if (!m->ended || !range_to_cpu(m, from, &to, TAKE_ALL))
			continue;
		dod_poison_ops.unpoison(from, to);
		guard_region(shard, from, to);
		if (RB_EMPTY_ROOT(&m->ranges.rb_root))
			stale_end(shard, m);
	}
}

/* Nobody knows whether a byte is stale: it is the CPU's. Its region's lock is held. */
static bool drop_invalid(struct index_tree *shard, u64 byte)
{
	struct dod_mapping *m, *next;
	bool dropped = false;

	for (m = phys_tree_iter_first(&shard->root, byte, byte); m; m = next) {
		struct dod_range *r = range_tree_iter_first(&m->ranges, byte, byte);
		u64 from, to;

		next = phys_tree_iter_next(m, byte, byte);
		if (!r || r->state != DOD_STALE || m->unseen == (u8)atomic_read(&nr_unseen))
			continue;
		from = r->start;
		to = r->last;
		range_to_cpu(m, from, &to, TAKE_ALL);
		dod_poison_ops.unpoison(from, to);
		guard_region(shard, from, to);
		if (m->ended && RB_EMPTY_ROOT(&m->ranges.rb_root))
			stale_end(shard, m);
		dod_count(DOD_C_STALE_DOUBTED);
		dropped = true;
	}
	return dropped;
}

/* As stale_drop(), of any range; no lock is held. */
static void stale_forget(u64 start, u64 last)
{
	u64 from, to;

	if (likely(!atomic_read(&nr_stale)))
		return;
	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		stale_drop(shard, from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/* === Guarding what several regions hold =================================== */

/*
 * [start, last] of a wide mapping has changed hands: look at each region.
 * Needs no record: it is enough that the change is visible in the index.
 */
static void poison_spanning(u64 start, u64 last)
{
	u64 margin = READ_ONCE(widest_line), from, to;

	/* Edges, if there are any: they lie in the same pages. */
	start = max(round_down(start, PAGE_SIZE), start - min(start, margin));
	last = min(last | (PAGE_SIZE - 1), last + margin);
	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		stale_drop(shard, from, to);
		dod_poison_ops.unpoison(from, to);
		guard_region(shard, from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/*
 * Wide mappings change hands in two steps, the index and then the shadow. In
 * between there may be poison that nobody owns.
 */
static atomic_t spanning_changes;

static void begin_spanning(void)
{
	atomic_inc(&spanning_changes);
	/* Pairs with smp_rmb() in dod_owner_find(). */
	smp_mb__after_atomic();
}

/*
 * The CPU may access [start, last] as soon as we return, and a guard that acts by
 * itself may be looking at it. No lock of ours is held: who it waits for may be
 * printing, to a console whose driver waits for us.
 */
static void wait_unwatched(u64 start, u64 last)
{
	if (dod_poison_ops.wait_unwatched)
		dod_poison_ops.wait_unwatched(start, last);
}

/* === Content ============================================================== */

/* What the CPU wrote to one of several mappings is given back with any of them. */
static void pending_given(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r, *next;

	for (r = range_tree_iter_first(&m->ranges, start, last); r; r = next) {
		u64 from = max(r->start, start), to = min(r->last, last);

		next = range_tree_iter_next(r, start, last);
		if (r->state == DOD_PENDING && r->dir != DMA_TO_DEVICE)
			range_to_cpu(m, from, &to, TAKE_ALL);
	}
}

/* Some of its memory is another mapping's, too. The lock of its part is held. */
static void set_shared(struct dod_mapping *m)
{
	m->shared = true;
	if (m->kinds & DOD_KIND_LONE)
		change_kinds(m, DOD_KIND_LONE, 0);
}

/*
 * The device of @by gets [start, last], and may write there. What rule 6b has made stale
 * there, of other mappings, is stale no more. The lock of the part is held.
 */
static void unstale(struct index_tree *tree, const struct dod_mapping *by, u64 start,
		    u64 last)
{
	struct dod_range *r, *next;
	struct dod_mapping *m;

	for (m = first_of(tree, start, last, DOD_KIND_STALE); m;
	     m = next_of(m, start, last, DOD_KIND_STALE)) {
		if (m == by)
			continue;
		for (r = range_tree_iter_first(&m->ranges, start, last); r; r = next) {
			u64 to = min(r->last, last);

			next = range_tree_iter_next(r, start, last);
			if (r->state == DOD_STALE)
				range_to_cpu(m, max(r->start, start), &to, TAKE_ALL);
		}
	}
}

/*
 * A range is given to the device of @m: what is known of the content of other
 * mappings of a part that hold some of it? The part's lock is held.
 *
 * Returns whether there is one, and in *writable whether one's device may write.
 */
static bool share_content(struct index_tree *tree, struct dod_mapping *m,
			  u64 start, u64 last, bool *writable)
{
	u8 concerned = DOD_KIND_PENDING | DOD_KIND_CONTENT;
	struct dod_mapping *other, *next;

	other = first_touching(tree, start, last);
	if (other == m)
		other = next_touching(other, start, last);
	if (!other)
		return false;
	for (other = first_of(tree, start, last, DOD_KIND_LONE); other; other = next) {
		next = next_of(other, start, last, DOD_KIND_LONE);
		set_shared(other);
	}
	m->shared = true;
	/* What is sent does not change what others send. */
	if (m->dir != DMA_TO_DEVICE) {
		concerned |= DOD_KIND_SENT_CONTENT;
		unstale(tree, m, start, last);
	}
	for (other = first_of(tree, start, last, concerned); other;
	     other = next_of(other, start, last, concerned)) {
		if (other == m)
			continue;
		if (unlikely(other->pending))
			pending_given(other, start, last);
		if (other->content)
			dod_judge_ops.content_overlap(other, start, last,
					    m->dir != DMA_TO_DEVICE);
	}
	/* Who asks is one whose device only reads. */
	*writable |= m->dir == DMA_TO_DEVICE &&
		     first_of(tree, start, last, DOD_KIND_WRITABLE);
	return true;
}

/* [start, last] is written to from now on: what is known of it as others' edges? */
static void forget_edges(struct index_tree *tree, u64 start, u64 last)
{
	u64 margin = READ_ONCE(widest_line), from = start - min(start, margin);
	struct dod_mapping *m;

	if (likely(!margin))
		return;
	for (m = first_touching(tree, from, last + margin); m;
	     m = next_touching(m, from, last + margin))
		dod_judge_ops.edges_forget(m, start, last);
}

/* Does another mapping's device write there? The part's lock is held. */
static bool others_write(struct index_tree *tree, const struct dod_mapping *m, u64 start,
			 u64 last)
{
	struct dod_mapping *other;

	for (other = first_touching(tree, start, last); other;
	     other = next_touching(other, start, last))
		if (other != m && written(other, start, last))
			return true;
	return false;
}

static void copy_edge(struct index_tree *shard, struct dod_mapping *m, bool after, u64 start,
		      u64 last)
{
	struct index_tree *spanning = &by_phys->spanning;
	bool others;
	u64 nr;

	if (start > last)
		return;
	if (!written_at(m, after)) {
		dod_judge_ops.edge_drop(m, after);
		return;
	}
	if (dod_judge_ops.edge_is_known(m, after))
		return;
	nr = dod_mem_ops.accessible_bytes(start, last, after);
	if (!nr)
		return;
	if (after)
		last = start + nr - 1;
	else
		start = last + 1 - nr;
	others = others_write(shard, m, start, last);
	if (READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		others |= others_write(spanning, m, start, last);
		dod_unlock(&spanning->lock);
	}
	if (!others)
		dod_judge_ops.edge_copy(m, after, start, last);
}

/*
 * To look at a line that a device writes brings it into the cache. Where the CPU may do
 * that by itself, the kernel throws such lines away when the CPU gets them.
 */
static bool may_look_at_lines(const struct dod_mapping *m)
{
	return m->device->coherent || IS_ENABLED(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU);
}

/*
 * Some of the mapping has changed hands: know what shares a line with what the device
 * writes. The lock of its shard is held. Not of a wide mapping: other mappings of its
 * regions could not be asked.
 */
static void copy_edges(struct index_tree *shard, struct dod_mapping *m)
{
	u64 start, last;

	if (likely(!m->edges) || m->dir == DMA_TO_DEVICE || m->spanning || !has_edges(m) ||
	    !dod_poison_ops.poison_line_edge || !may_look_at_lines(m) ||
	    dod_report_is_off(DOD_R_SHARED_LINE_WRITE) || !READ_ONCE(dod_armed))
		return;
	head_edge(m, &start, &last);
	copy_edge(shard, m, false, start, last);
	tail_edge(m, &start, &last);
	copy_edge(shard, m, true, start, last);
}

/* After range_to_device(); the lock of the mapping's part is held. */
static void content_to_device(struct index_tree *tree, struct dod_mapping *m,
			      u64 start, u64 last, bool fresh, bool lone)
{
	struct index_tree *spanning = &by_phys->spanning;
	bool writable = false, shared;

	shared = !lone && share_content(tree, m, start, last, &writable);
	if (m->dir != DMA_TO_DEVICE)
		forget_edges(tree, start, last);

	if (tree != spanning && READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		shared |= share_content(spanning, m, start, last, &writable);
		dod_unlock(&spanning->lock);
	}
	if (m->content)
		dod_judge_ops.content_to_device(m, start, last,
				      range_tree_iter_first(&m->ranges, start, start),
				      fresh, shared, writable);
}

/* Mappings of a region and wide ones: what the one may write the other forgets. */
static void share_region(struct index_tree *shard, u64 start, u64 last)
{
	struct index_tree *spanning = &by_phys->spanning;
	struct dod_mapping *m, *w;

	dod_lock(&spanning->lock);
	for (w = first_touching(spanning, start, last); w;
	     w = next_touching(w, start, last)) {
		u64 from = max(start, w->start), to = min(last, w->last);

		if (w->dir != DMA_TO_DEVICE)
			forget_edges(shard, from, to);
		for (m = first_touching(shard, from, to); m;
		     m = next_touching(m, from, to)) {
			set_shared(m);
			set_shared(w);
			if (unlikely(m->pending))
				pending_given(m, from, to);
			if (unlikely(w->pending))
				pending_given(w, from, to);
			if (m->content)
				dod_judge_ops.content_overlap(m, from, to,
						    w->dir != DMA_TO_DEVICE);
			if (w->content)
				dod_judge_ops.content_overlap(w, m->start, m->last,
						    m->dir != DMA_TO_DEVICE);
		}
	}
	dod_unlock(&spanning->lock);
}

/* [start, last] of a wide mapping was given to its device. */
static void share_spanning(u64 start, u64 last)
{
	u64 from, to;

	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		share_region(shard, from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

static void end_spanning(u64 start, u64 last)
{
	poison_spanning(start, last);
	atomic_dec(&spanning_changes);
	share_spanning(start, last);
}

/* One write can have several ranges, where a sync has given a part of it. */
static bool is_same_write(const struct dod_pending *p, const struct dod_pending *lost)
{
	return lost && p->write.addr == lost->write.addr &&
	       p->write.who.when == lost->write.who.when &&
	       p->write.who.pid == lost->write.who.pid;
}

/*
 * Writes to [start, last] that no sync gave to the device: copies for @found, which are
 * to be reported when no lock is held. The lock of the mapping's part is.
 */
static void find_lost(struct dod_mapping *m, u64 start, u64 last, bool sent,
		      struct dod_content_result *found)
{
	struct dod_range *r;

	for (r = range_tree_iter_first(&m->ranges, start, last); r;
	     r = range_tree_iter_next(r, start, last)) {
		struct dod_pending *p, *copy;

		if (r->state != DOD_PENDING || sent != (r->dir == DMA_TO_DEVICE))
			continue;
		p = pending_of(r);
		if (!dod_pending_wrote(p, max(r->start, start), min(r->last, last)) ||
		    is_same_write(p, found->lost))
			continue;
		copy = dod_pending_copy(p);
		if (!copy)
			continue;
		copy->range.start = max(r->start, start);
		copy->range.last = min(r->last, last);
		copy->next = found->lost;
		found->lost = copy;
	}
}

static void found_begin(struct dod_content_result *found)
{
	found->types = 0;
	found->touched = false;
	found->lost = NULL;
	found->m = NULL;
}

static bool found_any(const struct dod_content_result *found)
{
	return unlikely(found->types || found->lost);
}

/* The mapping may end as soon as the lock is dropped that is held now. */
static void copy_found(struct dod_content_result *found, const struct dod_mapping *m)
{
	found->m = dod_pool_get(&dod_mapping_pool);
	if (found->m)
		*found->m = *m;
	else
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
}

static void report_lost(const struct dod_call *call, struct dod_content_result *found,
			const struct dod_mapping *m, enum dod_lost how)
{
	struct dod_pending *p, *next;

	for (p = found->lost; p; p = next) {
		next = p->next;
		if (m)
			dod_judge_ops.write_lost(p, m, how, call->caller);
		dod_pending_put(p);
	}
}

/**
 * struct dod_unwritten - what the device did not write of a list
 *
 * @m:		a copy of the first entry of which it wrote nothing, NULL if there is none
 * @from:	where what it could have written of that begins
 * @bytes:	in all
 * @touched:	it wrote to another entry: a short answer fills some of a list
 */
struct dod_unwritten {
	struct dod_mapping *m;
	u64 from, bytes;
	bool touched;
};

/* An entry of a list is not judged alone. */
static void note_unwritten(const struct dod_call *call, struct dod_content_result *found,
			   const struct dod_mapping *m)
{
	struct dod_unwritten *u = call->unwritten;

	if (likely(!u))
		return;
	u->touched |= found->touched;
	if (!(found->types & BIT(DOD_R_DEVICE_WROTE_NOTHING)))
		return;
	found->types &= ~BIT(DOD_R_DEVICE_WROTE_NOTHING);
	u->bytes += found->untouched;
	if (u->m || !m)
		return;
	u->m = dod_pool_get(&dod_mapping_pool);
	u->from = found->from;
	if (u->m)
		*u->m = *m;
	else
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
}

static noinline void check_list(const struct dod_call *call, struct dod_unwritten *u)
{
	struct dod_content_result found = {
		.types = BIT(DOD_R_DEVICE_WROTE_NOTHING),
		.from = u->from,
		.untouched = u->bytes,
	};

	if (!u->touched)
		dod_judge_ops.content_report(&found, u->m, call->caller);
	dod_pool_put(&dod_mapping_pool, u->m);
}

/* All entries of the list were looked at. */
static void report_unwritten(const struct dod_call *call, struct dod_unwritten *u)
{
	if (unlikely(u->m))
		check_list(call, u);
}

/* What a sync has found. */
static void report_found(const struct dod_call *call, struct dod_content_result *found)
{
	if (likely(!call->unwritten && !found_any(found)))
		return;
	note_unwritten(call, found, found->m);
	if ((found->types & BIT(DOD_R_FREE_WHILE_MAPPED)) && found->m)
		dod_judge_ops.memory_freed(found->m, &found->freed, "when it was synced");
	else if (found->types && found->m)
		dod_judge_ops.content_report(found, found->m, call->caller);
	report_lost(call, found, found->m, DOD_LOST_AT_SYNC);
	if (found->m)
		dod_pool_put(&dod_mapping_pool, found->m);
}

/* Does an unmap discard what the CPU wrote after a sync, on a device with a line? */
static bool unmap_discards(const struct dod_call *call, const struct dod_mapping *m)
{
	return call->dir != DMA_TO_DEVICE && !call->frees && m->kind != DOD_PAGES &&
	       !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC);
}

/* A mapping that is claimed, and so not to end before the caller ends it. */
static void check_mapping(const struct dod_call *call, struct dod_mapping *m)
{
	struct index_tree *tree = phys_tree(m);
	struct dod_content_result found DOD_UNINITIALIZED;
	unsigned long flags;

	found_begin(&found);
	dod_lock_irqsave(&tree->lock, flags);
	if (m->content)
		dod_judge_ops.content_to_cpu(call, m, m->start, m->last, true, &found);
	if (m->pending) {
		find_lost(m, m->start, m->last, true, &found);
		if (unmap_discards(call, m))
			find_lost(m, m->start, m->last, false, &found);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	note_unwritten(call, &found, m);
	if (found.types)
		dod_judge_ops.content_report(&found, m, call->caller);
	report_lost(call, &found, m, DOD_LOST_AT_UNMAP);
}

/*
 * Rule 3b: what the device may have written, and nobody has synced, stays stale after
 * an unmap with DMA_ATTR_SKIP_CPU_SYNC. Only those of one region: longer ones are counted.
 */
static bool leaves_stale(const struct dod_call *call, const struct dod_mapping *m)
{
	if (likely(!(call->attrs & DMA_ATTR_SKIP_CPU_SYNC)) || m->dir == DMA_TO_DEVICE ||
	    m->not_ram || m->freed || m->trap == DOD_TRAP_NONE || !READ_ONCE(dod_armed))
		return false;
	if (!m->line && !(m->bounced && dod_is_bounced(call->dev, m->start, m->dma_addr)))
		return false;
	if (m->spanning || atomic_read(&nr_stale) >= MAX_STALE || !DOD_MEMCPY_CHECKED) {
		dod_count(DOD_C_UNTRACKED_STALE);
		return false;
	}
	return true;
}

/* === Changes of hands ===================================================== */

/* Returns the last byte that it changed. */
static u64 to_cpu_single(struct index_tree *shard, struct dod_mapping *m,
			 u64 start, u64 last, enum take how)
{
	u64 to;

	stale_drop(shard, start, last);
	if (!range_to_cpu_from(m, &start, &last, how) || m->trap == DOD_TRAP_NONE)
		return last;
	to = last;
	add_edges(m, &start, &last);
	guard_again(shard, m, start, last);
	return to;
}

/* @lone: no other mapping of the part touches it. */
static void to_device_single(struct index_tree *shard, struct dod_mapping *m,
			     u64 start, u64 last, u8 dir, bool lone)
{
	u64 to = last;
	bool owned;

	stale_drop(shard, start, last);
	owned = range_to_device(m, start, &last, dir);
	content_to_device(shard, m, start, to, !owned, lone);
	if (m->trap == DOD_TRAP_NONE)
		return;
	add_edges(m, &start, &last);
	if (!owned) {
		guard_fresh(m, start, last);
		return;
	}
	/* A weaker direction may replace a stronger one. */
	guard_again(shard, m, start, last);
}

static void note_sync(const struct dod_call *call, struct dod_mapping *m,
		      u64 start, u64 last)
{
	m->sync = call->sync->who;
	memcpy(m->sync_frames, call->sync->frames,
	       m->sync.nr_frames * sizeof(m->sync_frames[0]));
	m->sync_off = start - m->start;
	m->sync_len = last - start + 1;
}

/* === Mappings that drivers have left ======================================= */

/* How many there are: hardly ever any. */
static atomic_t nr_leaked;

/**
 * dod_owner_mark_leaked() - the driver is unbound, and has left a mapping
 * @copy: a copy of it
 *
 * Context: any but NMI.
 */
void dod_owner_mark_leaked(const struct dod_mapping *copy)
{
	struct index_tree *tree = phys_tree(copy);
	struct dod_mapping *m;
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	for (m = first_touching(tree, copy->start, copy->start); m;
	     m = next_touching(m, copy->start, copy->start))
		if (m->dev == copy->dev && m->dma_addr == copy->dma_addr && !m->leaked &&
		    m->map.when == copy->map.when) {
			m->leaked = true;
			atomic_inc(&nr_leaked);
			break;
		}
	dod_unlock_irqrestore(&tree->lock, flags);
}

/*
 * The first of the ranges of [start, last] that the device owns, and of which something
 * was freed in a way that is not hooked. The lock of the mapping's part is held.
 */
static struct dod_range *freed_range(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	if (!dod_mem_ops.freed || m->trap == DOD_TRAP_NONE || m->unfit || m->freed ||
	    likely(!dod_mem_ops.freed(start, last)))
		return NULL;
	for (r = range_tree_iter_first(&m->ranges, start, last); r;
	     r = range_tree_iter_next(r, start, last))
		if (r->state == DOD_OWNED &&
		    dod_mem_ops.freed(max(r->start, start), min(r->last, last)))
			return r;
	return NULL;
}

/*
 * Gives all of a mapping to the CPU, for good: its memory was freed. The lock of its
 * part is held. That of a wide one needs end_spanning() for all of the mapping then.
 */
static void take_freed(struct index_tree *tree, struct dod_mapping *m)
{
	struct dod_range *r;
	u64 to = m->last;

	dod_judge_ops.content_end(m);
	m->freed = true;
	if (m->spanning) {
		begin_spanning();
		range_to_cpu(m, m->start, &to, TAKE_ALL);
	}
	while ((r = range_tree_iter_first(&m->ranges, m->start, m->last)))
		to_cpu_single(tree, m, r->start, r->last, TAKE_ALL);
	m->trap = DOD_TRAP_NONE;
}

/* One whose device can still write to, or read, what somebody else maps now. */
static struct dod_mapping *find_leaked(struct index_tree *tree, u64 start, u64 last,
				       struct dod_range *range)
{
	struct dod_mapping *m;
	struct dod_range *r;

	for (m = first_touching(tree, start, last); m; m = next_touching(m, start, last)) {
		if (likely(!m->leaked))
			continue;
		range->start = max(m->start, start);
		range->last = min(m->last, last);
		range->dir = m->dir;
		if (m->freed && m->was_owned)
			return m;
		for (r = range_tree_iter_first(&m->ranges, start, last); r;
		     r = range_tree_iter_next(r, start, last))
			if (r->state == DOD_OWNED) {
				*range = *r;
				return m;
			}
	}
	return NULL;
}

/*
 * A leak of which [start, last] holds a part. It is said once, and nothing of it is its
 * device's any more: whoever has the memory now must not be reported for using it.
 */
static bool take_leaked(struct index_tree *tree, u64 start, u64 last,
			struct dod_mapping *copy, struct dod_range *range)
{
	struct dod_mapping *m;
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	m = find_leaked(tree, start, last, range);
	if (m) {
		*copy = *m;
		m->leaked = false;
		atomic_dec(&nr_leaked);
		if (!copy->freed)
			take_freed(tree, m);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	if (m && copy->spanning && !copy->freed)
		end_spanning(copy->start, copy->last);
	return m;
}

/* The memory of @m, in no index yet, is somebody else's to a device. No lock is held. */
static noinline void check_reuse(const struct dod_mapping *m)
{
	struct dod_range range DOD_UNINITIALIZED;
	struct dod_mapping leak DOD_UNINITIALIZED;
	u64 from, to;

	while (take_leaked(&by_phys->spanning, m->start, m->last, &leak, &range))
		dod_judge_ops.memory_reused(&leak, &range, m);
	for_each_region(from, to, m->start, m->last)
		while (take_leaked(phys_shard(from), from, to, &leak, &range))
			dod_judge_ops.memory_reused(&leak, &range, m);
}

/* GIVE is TO_DEVICE without a sync call. */
enum change { TO_CPU, PREPARE, TO_DEVICE, GIVE, NO_SYNC };

/*
 * A sync in the other direction does nothing, on any machine: for the CPU, it shows
 * nothing of what the device writes; for the device, it sends nothing to it.
 */
static bool is_idle(const struct dod_call *call, struct dod_mapping *m, u64 start,
		    u64 last, enum change change)
{
	if (change == TO_DEVICE || change == PREPARE)
		return call->dir == DMA_FROM_DEVICE && m->dir == DMA_TO_DEVICE;
	return change == TO_CPU && call->dir == DMA_TO_DEVICE &&
	       m->dir != DMA_TO_DEVICE && written(m, start, last);
}

static enum take how_to_take(const struct dod_call *call, enum change change)
{
	switch (change) {
	case TO_CPU:
		/* Sent is what was written, whoever may write now: rule 4. */
		if (call->dir == DMA_TO_DEVICE)
			return KEEP_PENDING | KEEP_WRITABLE;
		return READ_ONCE(dod_params.strict) ? TAKE_ALL : FINISH;
	case PREPARE:
		return KEEP_PENDING;
	default:
		return TAKE_ALL;
	}
}

/*
 * Changes the owner of [start, last], which lies inside the mapping. The
 * mapping's phys lock is held. @found is for who is to call report_found() then.
 *
 * Returns true where the caller has to call end_spanning() for the range, which may
 * have grown, after letting go of the locks.
 */
static bool change_owner(const struct dod_call *call, struct dod_mapping *m,
			 u64 start, u64 *to, enum change change,
			 struct dod_content_result *found)
{
	u64 last = *to;
	struct index_tree *tree = phys_tree(m);
	enum take how = how_to_take(call, change);
	bool idle;

	lockdep_assert_held(&tree->lock);
	if (m->not_ram || m->freed)
		return false;
	if (change == PREPARE && !m->bounced)
		return false;
	idle = is_idle(call, m, start, last, change);
	if (unlikely(idle)) {
		/* It is followed by the sync itself. */
		if (change == PREPARE)
			return false;
		dod_count(DOD_C_SYNCS_IDLE);
		if (change == TO_DEVICE)
			return false;
		m->idle_sync = call->caller;
	}
	if (change == TO_DEVICE)
		note_sync(call, m, start, last);
	if (change == NO_SYNC) {
		/* A bounced mapping does need syncs. */
		if (m->bounced || m->trap == DOD_TRAP_NONE)
			return false;
		dod_count(DOD_C_UNTRAPPED_NO_SYNC);
		dod_judge_ops.content_end(m);
	}
	if (change == TO_CPU) {
		if (m->content && !idle)
			dod_judge_ops.content_to_cpu(call, m, start, last, false, found);
		if (unlikely(m->pending) && call->dir != DMA_TO_DEVICE) {
			find_lost(m, start, last, true, found);
			find_lost(m, start, last, false, found);
		}
		if (found_any(found))
			copy_found(found, m);
	}

	if (m->spanning) {
		if (change == NO_SYNC)
			m->trap = DOD_TRAP_NONE;
		begin_spanning();
		if (change == TO_DEVICE || change == GIVE) {
			range_to_device(m, start, to, call->dir);
			content_to_device(tree, m, start, last, false, false);
		} else {
			range_to_cpu_from(m, &start, to, how);
		}
		return true;
	}
	if (change == TO_DEVICE || change == GIVE)
		to_device_single(tree, m, start, last, call->dir, false);
	else
		last = to_cpu_single(tree, m, start, last, how);
	copy_edges(tree, m);
	if (change == TO_CPU)
		dod_judge_ops.content_watch(call, m, start, last);
	if (change == NO_SYNC)
		m->trap = DOD_TRAP_NONE;
	return false;
}

/* === Events =============================================================== */

/* Who calls, and the stack from the return address of the hooked function outwards. */
static void note_caller(const struct dod_call *call, struct dod_who *who,
			unsigned long *frames, unsigned int depth)
{
	struct dod_site site = { call->caller, call->sp, call->bp };

	dod_note_who(who);
	who->nr_frames = dod_stack_save(&site, frames, depth);
}

/* All entries of a scatterlist are mapped by the same call. */
static void note_map(const struct dod_call *call, struct dod_mapping *m)
{
	const struct dod_mapping *leader = call->leader;

	if (!leader) {
		note_caller(call, &m->map, m->map_frames, DOD_MAP_FRAMES);
		return;
	}
	m->map = leader->map;
	memcpy(m->map_frames, leader->map_frames,
	       leader->map.nr_frames * sizeof(m->map_frames[0]));
}

/* Rather forget an ended mapping than not know a live one. */
static struct dod_mapping *history_take(void)
{
	struct dod_mapping *m = NULL;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct ended *e = &ended[cpu];
		unsigned long flags;

		dod_lock_irqsave(&e->lock, flags);
		for (i = 0; !m && i < NR_ENDED; i++)
			m = xchg(&e->ring[(e->head + i) % NR_ENDED], NULL);
		dod_unlock_irqrestore(&e->lock, flags);
		if (m)
			break;
	}
	return m;
}

/*
 * Is what a mapping had of [start, last] poisoned for another one just as well? Of thousands
 * of equal ones nearly any is, and there is nothing to clear, and nothing to look for.
 */
static bool stays_guarded(struct index_tree *shard, const struct dod_mapping *m,
			  const struct dod_range *range)
{
	struct dod_mapping *other;
	struct dod_range *r;
	int tries = 4;

	if (!m->shared || (has_edges(m) && range->dir != DMA_TO_DEVICE) ||
	    range->state != DOD_OWNED)
		return false;
	for (other = first_touching(shard, range->start, range->last); other && tries--;
	     other = next_touching(other, range->start, range->last)) {
		if (other->trap != DOD_TRAP_ALL)
			continue;
		r = range_tree_iter_first(&other->ranges, range->start, range->start);
		if (r && r->state == DOD_OWNED && r->dir == range->dir &&
		    r->start <= range->start && r->last >= range->last)
			return true;
	}
	return false;
}

/* All of a mapping that ends. The lock of its part is held. */
static void end_ranges(struct index_tree *shard, struct dod_mapping *m)
{
	struct dod_range *r, *next;

	rbtree_postorder_for_each_entry_safe(r, next, &m->ranges.rb_root, rb) {
		struct dod_range was = *r;
		u64 start = was.start, last = was.last;

		range_put(m, r);
		if (m->trap == DOD_TRAP_NONE || was.state == DOD_PENDING ||
		    stays_guarded(shard, m, &was))
			continue;
		add_edges(m, &start, &last);
		dod_poison_ops.unpoison(start, last);
		if (!is_alone(m, start, last))
			guard_region(shard, start, last);
	}
	m->ranges = RB_ROOT_CACHED;
}

/*
 * The mapping has ended, and stays in the index for what is stale of it: see
 * leaves_stale(). The lock of its part is held. Returns whether anything is.
 */
static bool keep_stale(struct index_tree *shard, struct dod_mapping *m)
{
	struct dod_range *r, *next;

	note_stale(m);
	for (r = range_tree_iter_first(&m->ranges, m->start, m->last); r; r = next) {
		u64 start = r->start, last = r->last;

		next = range_tree_iter_next(r, m->start, m->last);
		if (r->state == DOD_PENDING || r->dir == DMA_TO_DEVICE) {
			bool is_poisoned = r->state != DOD_PENDING;

			range_tree_remove(r, &m->ranges);
			range_put(m, r);
			if (!is_poisoned)
				continue;
		} else {
			r->state = DOD_STALE;
		}
		add_edges(m, &start, &last);
		dod_poison_ops.unpoison(start, last);
		guard_region(shard, start, last);
	}
	if (RB_EMPTY_ROOT(&m->ranges.rb_root))
		return false;
	atomic_inc(&nr_stale);
	dod_count(DOD_C_STALE_MAPPINGS);
	/* Not by guard_region(): its memory may be somebody else's one day. */
	guard_ranges(m, m->start, m->last);
	return true;
}

/*
 * Takes a claimed mapping out of the physical index and gives all to the CPU. Returns
 * false if it stays there, because some of it is stale. *freed is what was freed of it
 * that its device owned, and empty if nothing was.
 */
static bool to_cpu_all(struct dod_mapping *m, bool stale, struct dod_range *freed)
{
	struct index_tree *tree = phys_tree(m);
	struct dod_range *r;
	unsigned long flags;

	freed->start = 1;
	freed->last = 0;
	if (m->not_ram)
		return true;

	dod_lock_irqsave(&tree->lock, flags);
	r = freed_range(m, m->start, m->last);
	if (unlikely(r)) {
		*freed = *r;
		stale = false;
	}
	if (m->spanning)
		begin_spanning();
	dod_judge_ops.content_end(m);
	if (unlikely(stale)) {
		m->ended = local_clock();
		if (keep_stale(tree, m)) {
			if (unlikely(m->leaked))
				atomic_dec(&nr_leaked);
			m->leaked = false;
			dod_unlock_irqrestore(&tree->lock, flags);
			wait_unwatched(m->start, m->last);
			return false;
		}
	}
	phys_tree_remove(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr - 1);
	if (unlikely(m->leaked))
		atomic_dec(&nr_leaked);
	if (!m->spanning)
		end_ranges(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	dod_mapped_pages_del(m);
	if (m->spanning) {
		/* It is reachable by nobody now; its ranges are ours alone. */
		while ((r = range_tree_iter_first(&m->ranges, m->start,
						  m->last))) {
			range_tree_remove(r, &m->ranges);
			if (m->trap != DOD_TRAP_NONE && r->state != DOD_PENDING)
				poison_spanning(r->start, r->last);
			range_put(m, r);
		}
		atomic_dec(&spanning_changes);
	}
	wait_unwatched(m->start, m->last);
	return true;
}

static void end_one(struct dod_mapping *m, const struct dod_call *call)
{
	struct dod_range freed DOD_UNINITIALIZED;
	bool gone;

	m->ended_by = call ? call->caller : 0;
	gone = to_cpu_all(m, call && leaves_stale(call, m), &freed);
	/* It is a sync for the CPU, too: of what others have left stale there. */
	if (call && m->dir != DMA_TO_DEVICE && !m->not_ram &&
	    !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
		stale_forget(m->start, m->last);
	if (unlikely(freed.start <= freed.last) && call)
		dod_judge_ops.memory_freed(m, &freed, "when it was unmapped");
	if (call)
		dod_count(DOD_C_UNMAPS);
	if (!gone)
		return;
	m->ended = local_clock();
	history_put(m);
}

/* Ends all mappings of a call, for @call or without. The caller has claimed the leader. */
static void end_group(struct dod_mapping *leader, const struct dod_call *call)
{
	struct dod_mapping *m, *next;

	for (m = leader->next; m; m = next) {
		next = m->next;
		if (unlink(m))
			end_one(m, call);
	}
	end_one(leader, call);
}

/*
 * Half a scatterlist must not be tracked: its unmap would be found by its first
 * entry. Nobody else knows of these mappings yet.
 */
static void drop_call(struct dod_call *call)
{
	struct dod_mapping *m, *next;
	struct dod_range freed;

	for (m = call->leader; m; m = next) {
		next = m->next;
		to_cpu_all(m, false, &freed);
		dod_pool_put(&dod_mapping_pool, m);
	}
	call->leader = NULL;
	call->dropped = true;
}

/* Whose mapping is not there to be judged: the self-test's, a broken tool's. */
static bool checks_enabled(void)
{
	return READ_ONCE(dod_armed);
}

/* Kept apart: the record on the stack is large, and hardly ever needed. */
static noinline void check_single(const struct dod_call *call, const void *addr,
				  u64 size)
{
	struct dod_mapping m = {
		.dev = call->dev,
		.dma_addr = DMA_MAPPING_ERROR,
		.kind = DOD_SINGLE,
		.dir = DMA_NONE,
	};

	m.device = get_device_names(call->dev);
	if (!m.device) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	m.start = dod_wrong_phys(addr);
	m.last = m.start + size - 1;
	m.dma_last = m.dma_addr + size - 1;
	note_caller(call, &m.map, m.map_frames, DOD_MAP_FRAMES);
	dod_judge_ops.map_single(&m, addr);
}

/**
 * dod_owner_map_single() - dma_map_single() is about to map memory
 * @call: the call
 * @addr: the address the driver gave
 * @size: bytes
 *
 * Behind this call only a page is known, and for an address outside of the
 * linear map that is a wrong one.
 *
 * Context: any but NMI.
 *
 * Return: whether it is such an address.
 */
bool dod_owner_map_single(struct dod_call *call, const void *addr, u64 size)
{
	if (likely(dod_is_linear(addr)))
		return false;
	if (size && checks_enabled())
		check_single(call, addr, size);
	return true;
}

/**
 * dod_owner_map() - a device can reach memory from now on
 * @call: the call; one call may map several runs of memory
 * @phys: first byte
 * @size: bytes
 * @dma_addr: first byte as the device sees it
 * @ram: so many bytes of it are memory that may be touched; the rest, or if it is 0 all
 *	of it, is only to be known at the unmap
 * @bounced: the kernel may copy the memory to and from a bounce buffer
 *
 * Rule 1: the memory is the device's if call->to_device. dod_owner_map_end()
 * must follow.
 *
 * Context: any but NMI.
 */
void dod_owner_map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr,
		   u64 ram, bool bounced)
{
	struct index_tree *tree;
	struct dod_device *device;
	struct dod_mapping *m;
	bool judged, good, to_device, lone;
	unsigned long flags;

	if (!size || call->dropped)
		return;

	device = call->leader ? call->leader->device : get_device_names(call->dev);
	if (!device) {
		dod_count(DOD_C_UNTRACKED_NO_DEVICE);
		goto drop;
	}
	m = dod_pool_get(&dod_mapping_pool) ?: history_take();
	if (!m) {
		dod_count(DOD_C_UNTRACKED_POOL_EMPTY);
		goto drop;
	}

	m->start = phys;
	m->last = phys + min((ram ?: size) - 1, U64_MAX - phys);
	m->dma_addr = dma_addr;
	m->dma_last = dma_addr + size - 1;
	m->ranges = RB_ROOT_CACHED;
	m->dev = call->dev;
	m->device = device;
	m->group = call->leader ?: m;
	m->next = NULL;
	m->content = NULL;
	m->ended = 0;
	m->sync_off = 0;
	m->sync_len = 0;
	m->idle_sync = 0;
	m->pending = false;
	m->kind = call->kind;
	m->dir = call->dir;
	m->not_ram = !ram;
	m->bounced = bounced;
	m->owned_at_map = !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC);
	m->first_used = false;
	m->freed = false;
	m->shared = false;
	m->kinds = DOD_KIND_LONE;
	m->binding = READ_ONCE(device->binding);
	m->suspect = false;
	m->leaked = false;
	m->was_owned = false;
	m->freed_looks = 0;
	note_map(call, m);
	m->dmabuf = dod_judge_ops.dmabuf_of_current();
	m->line = ram ? dod_device_line(call->dev) : 0;
	if (m->line && bounced && dod_is_bounced(call->dev, phys, dma_addr))
		m->line = 0;
	m->own_lines = m->line && dod_judge_ops.has_own_lines(call, m);
	if (bounced && !READ_ONCE(any_bounced))
		WRITE_ONCE(any_bounced, true);
	note_config(device, call->dev, dod_dma_last(m));
	m->near_stack = ram && dod_memory_near_stack(m->start, m->last);
	judged = checks_enabled() && !call->wrong;
	good = !judged || dod_judge_ops.map_before(call, m);
	m->edges = ends_in_line(m);
	if (m->edges && m->line > READ_ONCE(widest_line))
		WRITE_ONCE(widest_line, m->line);
	/* All of what is good is accessible. */
	m->unfit = ram && !(judged && good) && dod_mem_ops.freed &&
		   dod_mem_ops.freed(m->start, m->last);
	m->spanning = crosses_region(m->start, m->last);
	m->trap = m->not_ram || m->freed ? DOD_TRAP_NONE : dod_mem_ops.classify(m);
	if (m->dir == DMA_TO_DEVICE && m->trap != DOD_TRAP_NONE && dod_judge_ops.is_own_data(m)) {
		dod_count(DOD_C_UNTRAPPED_OWN_DATA);
		m->trap = DOD_TRAP_NONE;
	}
	/* What changes memory that is not allocated is no device. */
	if (good)
		dod_judge_ops.content_begin(call, m);

	if (m->dir != DMA_TO_DEVICE)
		m->kinds |= DOD_KIND_WRITABLE;
	if (m->content)
		m->kinds |= m->dir == DMA_TO_DEVICE ? DOD_KIND_SENT_CONTENT :
						      DOD_KIND_CONTENT;

	if (call->leader)
		call->tail->next = m;
	else
		call->leader = m;
	call->tail = m;
	if (m->not_ram)
		return;

	if (unlikely(atomic_read(&nr_leaked)) && checks_enabled())
		check_reuse(m);
	dod_mapped_pages_add(m);
	if (!call->to_device || m->spanning)
		stale_forget(m->start, m->last);
	tree = phys_tree(m);
	dod_lock_irqsave(&tree->lock, flags);
	lone = !phys_tree_insert(m, &tree->root);
	WRITE_ONCE(tree->nr, tree->nr + 1);
	to_device = call->to_device && !m->freed;
	if (to_device) {
		u64 last = m->last;

		if (m->spanning) {
			range_to_device(m, m->start, &last, m->dir);
			content_to_device(tree, m, m->start, m->last, false, lone);
		} else {
			to_device_single(tree, m, m->start, last, m->dir, lone);
			copy_edges(tree, m);
		}
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	/* Nobody can end it yet. */
	if (to_device && m->spanning) {
		share_spanning(m->start, m->last);
		if (m->trap != DOD_TRAP_NONE)
			poison_spanning(m->start, m->last);
	}
	return;
drop:
	/* Nobody knows what a device writes there. */
	if (call->dir != DMA_TO_DEVICE)
		dod_judge_ops.content_invalidate_all();
	drop_call(call);
}

/**
 * dod_owner_map_end() - all runs of memory of a call are mapped
 * @call: the call
 *
 * Only now can an unmap find them: another CPU may unmap an equal mapping of the
 * same device at any time, and which of the two ends is all the same. The leader
 * comes last, because it stands for the rest.
 *
 * Context: any but NMI.
 */
void dod_owner_map_end(struct dod_call *call)
{
	struct dod_mapping *m, *leader = call->leader;

	if (!leader)
		return;
	if (checks_enabled() && dod_device_line(call->dev))
		for (m = leader; m; m = m->next)
			dod_judge_ops.map_after(call, m);
	for (m = leader->next; m; m = m->next) {
		dod_count(DOD_C_MAPS);
		index_dma(m);
	}
	dod_count(DOD_C_MAPS);
	index_dma(leader);
}

/* Does the group consist of just the entries of this scatterlist? */
static bool group_matches(const struct dod_mapping *leader,
			  struct scatterlist *sg, int nents)
{
	const struct dod_mapping *m = leader;
	struct scatterlist *s;
	int i;

	for_each_sg(sg, s, nents, i) {
		if (!s->length)
			continue;
		if (!m || m->start != sg_phys(s) ||
		    dod_size(m) != s->length)
			return false;
		m = m->next;
	}
	return !m;
}

/* The best there can be: no other needs to be looked at. */
#define UNMAP_FITS	(1 + 128 + 64 + 32 + 16 + 8 + 4 + 2)

/*
 * How well does a mapping that begins at the right address fit an unmap? Of several
 * that are equal the one ends that owns something, and then the one that was mapped
 * with the attributes of the unmap: rule 3c. And then one whose writes were all synced:
 * the other may be synced yet.
 */
static int unmap_fits(const struct dod_mapping *m, const struct dod_call *call,
		      u64 size, struct scatterlist *sg, int nents)
{
	int fits = 1;

	/* Rather lose one that guards nothing than keep one that does. */
	if (!m->freed)
		fits += 128;
	if (m->kind == call->kind)
		fits += 64;
	if (m->dir == call->dir)
		fits += 16;
	/* Without its lock: what changes hands now is not what is unmapped now. */
	if (READ_ONCE(m->ranges.rb_root.rb_node))
		fits += 8;
	if (!READ_ONCE(m->pending))
		fits += 2;
	if (m->owned_at_map == !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC))
		fits += 4;
	if (call->kind == DOD_SG)
		fits += 32 * group_matches(m, sg, nents);
	else
		fits += 32 * (dod_size(m) == size);
	return fits;
}

/*
 * The leader that an unmap fits best. The same memory may be mapped several times
 * at the same bus address; dma-debug chooses by best fit, too. The part's lock is
 * held.
 */
static struct dod_mapping *find_unmap(struct index_tree *tree,
				      const struct dod_call *call, u64 dma_addr,
				      u64 size, struct scatterlist *sg,
				      int nents, int *best)
{
	struct dod_mapping *m, *leader = NULL;

	for (m = dma_tree_iter_first(&tree->root, dma_addr, dma_addr); m;
	     m = dma_tree_iter_next(m, dma_addr, dma_addr)) {
		int fits;

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

/* Finds and claims under one lock: other CPUs may unmap equal mappings. */
static struct dod_mapping *unlink_unmapped(const struct dod_call *call, u64 dma_addr,
					   u64 size, struct scatterlist *sg,
					   int nents)
{
	struct index_tree *tree = dma_shard(call->dev, dma_addr);
	struct index_tree *spanning = &by_dma->spanning;
	struct dod_mapping *m, *wider = NULL;
	unsigned long flags;
	int best = 0;

	dod_lock_irqsave(&tree->lock, flags);
	m = find_unmap(tree, call, dma_addr, size, sg, nents, &best);
	if (READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		wider = find_unmap(spanning, call, dma_addr, size, sg, nents, &best);
		if (wider)
			unlink_locked(spanning, wider);
		dod_unlock(&spanning->lock);
	}
	if (m && !wider)
		unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	return wider ?: m;
}

static void note_unmatched(const struct dod_call *call,
			   enum dod_unmatched_call what, u64 dma_addr)
{
	struct dod_device *device = dod_owner_device(call->dev, dev_name(call->dev));

	if (device)
		dod_report_note_unmatched(device, what, dma_addr, call->caller);
}

/**
 * dod_owner_unmap() - a mapping ends; the memory is the CPU's
 * @call: the call
 * @dma_addr: the address it was mapped at
 * @size: bytes; ignored for scatterlists
 * @sg: the scatterlist of dma_unmap_sg(), else NULL
 * @nents: its length
 *
 * Rule 3. A scatterlist ends with all the entries that were mapped together,
 * whatever the driver made of the list meanwhile.
 *
 * Context: any but NMI.
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
		note_unmatched(call, DOD_UNMAP, dma_addr);
		return;
	}
	if (leader->next)
		call->unwritten = &unwritten;
	for (m = leader; m; m = m->next)
		if (READ_ONCE(m->content) || unlikely(READ_ONCE(m->pending)))
			check_mapping(call, m);
	report_unwritten(call, &unwritten);
	end_group(leader, call);
}

/* The first mapping of dma_iova_link() that begins in a bus range. Lock held. */
static struct dod_mapping *find_iova(struct index_tree *tree,
				     const struct dod_call *call, u64 start,
				     u64 last)
{
	struct dod_mapping *m;

	for (m = dma_tree_iter_first(&tree->root, start, last); m;
	     m = dma_tree_iter_next(m, start, last))
		if (m->kind == DOD_IOVA && m->dev == call->dev &&
		    m->dma_addr >= start)
			return m;
	return NULL;
}

static bool end_iova(struct index_tree *tree, const struct dod_call *call,
		     u64 start, u64 last)
{
	struct dod_mapping *m;
	unsigned long flags;

	if (!READ_ONCE(tree->nr))
		return false;
	dod_lock_irqsave(&tree->lock, flags);
	m = find_iova(tree, call, start, last);
	if (m)
		unlink_locked(tree, m);
	dod_unlock_irqrestore(&tree->lock, flags);
	if (!m)
		return false;
	check_mapping(call, m);
	end_one(m, call);
	return true;
}

/**
 * dod_owner_iova_end() - what is linked in a bus range ends
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes; nothing may be linked there
 *
 * Context: any but NMI.
 */
void dod_owner_iova_end(struct dod_call *call, u64 dma_addr, u64 size)
{
	u64 from, to, last = dma_addr + size - 1;

	if (!size)
		return;
	while (end_iova(&by_dma->spanning, call, dma_addr, last))
		;
	for_each_region(from, to, dma_addr, last)
		while (end_iova(dma_shard(call->dev, from), call, from, to))
			;
}

/*
 * Which of several mappings that hold the address is meant? One that the call
 * would change: syncing one of two equal mappings twice must reach both.
 */
#define SYNC_FITS	(1 + 32 + 8 + 4 + 2)

/* Does the device own all of [start, last], as it is? */
static bool owns_all(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for (r = range_tree_iter_first(&m->ranges, start, last); r && r->start <= start;
	     r = range_tree_iter_next(r, start, last)) {
		/* What was written and not sent yet is what a sync is for. */
		if (r->state != DOD_OWNED)
			return false;
		if (r->last >= last)
			return true;
		start = r->last + 1;
	}
	return false;
}

static int sync_fits(struct dod_mapping *m, const struct dod_call *call,
		     u64 start, u64 last, enum change change)
{
	u64 to = min(last, m->last);
	bool changes;

	if (change == TO_DEVICE || change == PREPARE)
		changes = !owns_all(m, start, to);
	else
		changes = range_tree_iter_first(&m->ranges, start, to);
	return 1 + 8 * (last <= m->last) + 4 * (m->dir == call->dir) + 2 * changes +
	       32 * !m->freed;
}

static int sync_fits_locked(struct dod_mapping *m, const struct dod_call *call,
			    u64 dma_addr, u64 size, enum change change)
{
	struct index_tree *phys = phys_tree(m);
	u64 start = m->start + (dma_addr - m->dma_addr);
	int fits;

	dod_lock(&phys->lock);
	fits = sync_fits(m, call, start, start + size - 1, change);
	dod_unlock(&phys->lock);
	return fits;
}

/*
 * The mapping at a bus address that a sync fits best, of a group if that is
 * known. The part's lock is held, interrupts are off.
 */
static struct dod_mapping *find_sync(struct index_tree *tree,
				     const struct dod_call *call, u64 dma_addr,
				     u64 size, enum change change,
				     const struct dod_mapping *group, int *best)
{
	bool several = READ_ONCE(by_dma->spanning.nr);
	struct dod_mapping *m, *found = NULL;

	for (m = dma_tree_iter_first(&tree->root, dma_addr, dma_addr); m;
	     m = dma_tree_iter_next(m, dma_addr, dma_addr)) {
		int fits;

		if (m->dev != call->dev || (group && m->group != group))
			continue;
		/* Nearly always there is no other. */
		if (!found && !several) {
			found = m;
			*best = 1;
			continue;
		}
		if (!several)
			*best = sync_fits_locked(found, call, dma_addr, size, change);
		several = true;
		if (*best == SYNC_FITS)
			break;
		fits = sync_fits_locked(m, call, dma_addr, size, change);
		if (fits > *best) {
			found = m;
			*best = fits;
		}
	}
	return found;
}

/*
 * A sync says that the memory is there. Was it freed, unseen? Then all of the mapping is
 * the CPU's, as after a free that was seen. The mapping's phys lock is held.
 */
static bool found_freed(struct dod_mapping *m, u64 start, u64 last, enum change change,
			struct dod_content_result *found)
{
	struct dod_range *r;

	/* What a sync for the device gives is the CPU's until then. */
	if (change != TO_CPU)
		return false;
	r = freed_range(m, start, last);
	if (likely(!r))
		return false;
	found->freed = *r;
	found->types = BIT(DOD_R_FREE_WHILE_MAPPED);
	copy_found(found, m);
	m->was_owned = true;
	take_freed(phys_tree(m), m);
	return true;
}

/* What sync_one() has done. */
struct synced {
	u64 start, last, done;
	bool spanning;
};

/* A lock of the bus index keeps the mapping alive; interrupts are off. */
static __always_inline struct synced
sync_mapping(const struct dod_call *call, struct dod_mapping *m, u64 dma_addr, u64 size,
	     enum change change, struct dod_content_result *found)
{
	struct index_tree *phys = phys_tree(m);
	struct synced s = { .start = m->start + (dma_addr - m->dma_addr) };

	/* Lengths that drivers compute can be any, also negative ones. */
	s.done = min(size - 1, dod_dma_last(m) - dma_addr) + 1;
	/* Nothing is known of what lies past the first bad byte. */
	if (dma_addr - m->dma_addr > m->last - m->start)
		return s;
	s.last = s.start + min(s.done - 1, m->last - s.start);
	if (change == NO_SYNC) {
		s.start = m->start;
		s.last = m->last;
	}
	dod_lock(&phys->lock);
	if (unlikely(found_freed(m, s.start, s.last, change, found))) {
		s.start = m->start;
		s.last = m->last;
		s.spanning = m->spanning;
	} else {
		s.spanning = change_owner(call, m, s.start, &s.last, change, found);
	}
	dod_unlock(&phys->lock);
	return s;
}

/*
 * Syncs up to the end of the mapping at a bus address; @group as in find_sync(),
 * filled in. Returns the number of bytes, 0 if there is no mapping.
 */
static u64 sync_one(const struct dod_call *call, u64 dma_addr, u64 size,
		    enum change change, const struct dod_mapping **group)
{
	struct index_tree *tree = dma_shard(call->dev, dma_addr);
	struct index_tree *spanning = &by_dma->spanning;
	struct dod_content_result found DOD_UNINITIALIZED;
	struct synced s = {};
	struct dod_mapping *m;
	unsigned long flags;
	bool any_spanning;
	int best = 0;

	found_begin(&found);
	dod_lock_irqsave(&tree->lock, flags);
	m = find_sync(tree, call, dma_addr, size, change, *group, &best);
	any_spanning = READ_ONCE(spanning->nr);
	if (unlikely(any_spanning)) {
		dod_lock(&spanning->lock);
		m = find_sync(spanning, call, dma_addr, size, change, *group, &best) ?: m;
	}
	if (m) {
		s = sync_mapping(call, m, dma_addr, size, change, &found);
		*group = m->group;
	}
	if (unlikely(any_spanning))
		dod_unlock(&spanning->lock);
	dod_unlock_irqrestore(&tree->lock, flags);
	if (s.spanning)
		end_spanning(s.start, s.last);
	if (s.last)
		wait_unwatched(s.start, s.last);
	report_found(call, &found);
	return s.done;
}

/* A preparation is followed by the sync itself, and a question is no sync. */
static void note_unmatched_sync(const struct dod_call *call, u64 dma_addr,
				enum change change)
{
	if (change != TO_CPU && change != TO_DEVICE)
		return;
	dod_count(DOD_C_UNMATCHED_SYNCS);
	note_unmatched(call, DOD_SYNC_CALL, dma_addr);
}

static bool touches_dma(struct index_tree *tree, const struct device *dev, u64 dma_addr)
{
	struct dod_mapping *m;

	for (m = dma_tree_iter_first(&tree->root, dma_addr, dma_addr); m;
	     m = dma_tree_iter_next(m, dma_addr, dma_addr))
		if (m->dev == dev)
			return true;
	return false;
}

/* Memory that is not ours to look at is known by its bus address alone. */
static bool is_known_by_dma(const struct device *dev, u64 dma_addr)
{
	struct index_tree *tree = dma_shard(dev, dma_addr), *spanning = &by_dma->spanning;
	unsigned long flags;
	bool known;

	dod_lock_irqsave(&tree->lock, flags);
	known = touches_dma(tree, dev, dma_addr);
	if (!known && READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		known = touches_dma(spanning, dev, dma_addr);
		dod_unlock(&spanning->lock);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	return known;
}

/* What an IOMMU has merged into one bus range are several mappings of a group. */
static void sync_single(struct dod_call *call, u64 dma_addr, u64 size,
			enum change change)
{
	const struct dod_mapping *group = NULL;
	struct dod_sync sync DOD_UNINITIALIZED;

	if (change == TO_DEVICE) {
		note_caller(call, &sync.who, sync.frames, DOD_SYNC_FRAMES);
		call->sync = &sync;
	}
	while (size) {
		u64 done = sync_one(call, dma_addr, size, change, &group);

		if (!done) {
			note_unmatched_sync(call, dma_addr, change);
			return;
		}
		dma_addr += done;
		size -= done;
	}
}

/* The same by memory. The part's lock is held. */
static struct dod_mapping *find_sync_phys(struct index_tree *tree,
					  const struct dod_call *call,
					  u64 start, u64 last,
					  enum change change, int *best)
{
	struct dod_mapping *m, *found = NULL;

	for (m = first_touching(tree, start, start); m;
	     m = next_touching(m, start, start)) {
		int fits;

		if (m->dev != call->dev)
			continue;
		fits = sync_fits(m, call, start, last, change) +
		       16 * (m->kind == DOD_SG);
		if (fits > *best) {
			found = m;
			*best = fits;
		}
		if (fits == SYNC_FITS + 16)
			break;
	}
	return found;
}

/* An IOMMU merges bus addresses of scatterlists: entries go by their memory. */
static void sync_entry(const struct dod_call *call, struct scatterlist *s,
		       enum change change)
{
	u64 start = sg_phys(s), last = start + s->length - 1;
	struct index_tree *shard = phys_shard(start), *tree = &by_phys->spanning;
	struct dod_mapping *m, *wider = NULL;
	struct dod_content_result found DOD_UNINITIALIZED;
	unsigned long flags;
	bool spanning = false;
	int best = 0;

	found_begin(&found);
	dod_lock_irqsave(&shard->lock, flags);
	m = find_sync_phys(shard, call, start, last, change, &best);
	if (READ_ONCE(tree->nr)) {
		dod_lock(&tree->lock);
		wider = find_sync_phys(tree, call, start, last, change, &best);
		if (wider) {
			last = min(last, wider->last);
			if (found_freed(wider, start, last, change, &found)) {
				start = wider->start;
				last = wider->last;
				spanning = true;
			} else {
				spanning = change_owner(call, wider, start, &last, change,
							&found);
			}
		}
		dod_unlock(&tree->lock);
	}
	/* The wide lock nests in here, and must not be held. */
	if (m && !wider) {
		last = min(last, m->last);
		if (!found_freed(m, start, last, change, &found))
			change_owner(call, m, start, &last, change, &found);
	}
	dod_unlock_irqrestore(&shard->lock, flags);
	if (spanning)
		end_spanning(start, last);
	wait_unwatched(start, last);
	report_found(call, &found);
	if (!m && !wider && !is_known_by_dma(call->dev, sg_dma_address(s)))
		note_unmatched_sync(call, sg_dma_address(s), change);
}

static void sync_sg(struct dod_call *call, struct scatterlist *sg, int nents,
		    enum change change)
{
	struct dod_sync sync DOD_UNINITIALIZED;
	struct dod_unwritten unwritten = {};
	struct scatterlist *s;
	int i;

	if (change == TO_DEVICE) {
		note_caller(call, &sync.who, sync.frames, DOD_SYNC_FRAMES);
		call->sync = &sync;
	}
	call->unwritten = &unwritten;
	for_each_sg(sg, s, nents, i)
		if (s->length)
			sync_entry(call, s, change);
	report_unwritten(call, &unwritten);
}

/**
 * dod_owner_sync_for_cpu() - the CPU gets a byte range (rule 2)
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes
 *
 * Context: any but NMI.
 */
void dod_owner_sync_for_cpu(struct dod_call *call, u64 dma_addr, u64 size)
{
	dod_count(DOD_C_SYNCS_FOR_CPU);
	sync_single(call, dma_addr, size, TO_CPU);
}

/**
 * dod_owner_sync_prepare() - the kernel is about to give a range to the device
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes
 *
 * A bounce buffer is filled from the range now. If the device owns it already,
 * which is legal, that copy must not be taken for the driver's.
 *
 * Context: any but NMI.
 */
void dod_owner_sync_prepare(struct dod_call *call, u64 dma_addr, u64 size)
{
	if (READ_ONCE(any_bounced))
		sync_single(call, dma_addr, size, PREPARE);
}

/**
 * dod_owner_sync_for_device() - the device gets a byte range (rule 2)
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes
 *
 * Context: any but NMI.
 */
void dod_owner_sync_for_device(struct dod_call *call, u64 dma_addr, u64 size)
{
	dod_count(DOD_C_SYNCS_FOR_DEVICE);
	sync_single(call, dma_addr, size, TO_DEVICE);
}

/* Gives away all that is linked in a bus range, in the direction of its link. */
static void iova_to_device(struct index_tree *tree, struct dod_call *call, u64 dma_addr,
			   u64 last)
{
	struct dod_content_result found = {};
	struct dod_mapping *m;
	unsigned long flags;
	u64 next = dma_addr;

	while (next <= last && READ_ONCE(tree->nr)) {
		struct synced s = {};

		dod_lock_irqsave(&tree->lock, flags);
		m = find_iova(tree, call, next, last);
		if (m) {
			next = m->dma_addr + 1;
			call->dir = m->dir;
			if (m->owned_at_map)
				s = sync_mapping(call, m, m->dma_addr,
						 dod_size(m), GIVE,
						 &found);
		}
		dod_unlock_irqrestore(&tree->lock, flags);
		if (s.spanning)
			end_spanning(s.start, s.last);
		if (!m)
			return;
	}
}

/**
 * dod_owner_iova_to_device() - the device gets what is linked in a bus range (rule 1)
 * @call: the call
 * @dma_addr: first byte as the device sees it
 * @size: bytes
 *
 * Context: any but NMI.
 */
void dod_owner_iova_to_device(struct dod_call *call, u64 dma_addr, u64 size)
{
	u64 from, to, last = dma_addr + size - 1;

	if (!size)
		return;
	iova_to_device(&by_dma->spanning, call, dma_addr, last);
	for_each_region(from, to, dma_addr, last)
		iova_to_device(dma_shard(call->dev, from), call, from, to);
}

/**
 * dod_owner_no_sync() - a driver was told that it may skip syncs
 * @call: the call
 * @dma_addr: an address inside the mapping
 *
 * The API says so where a coherent device's mapping is not bounced. A driver
 * that asks is a driver that skips them: its accesses cannot be judged.
 *
 * Context: any but NMI.
 */
void dod_owner_no_sync(struct dod_call *call, u64 dma_addr)
{
	sync_single(call, dma_addr, 1, NO_SYNC);
}

/**
 * dod_owner_sync_sg_for_cpu() - the CPU gets the entries of a list (rule 2)
 * @call: the call
 * @sg: the list
 * @nents: its length
 *
 * Context: any but NMI.
 */
void dod_owner_sync_sg_for_cpu(struct dod_call *call, struct scatterlist *sg,
			       int nents)
{
	dod_count(DOD_C_SYNCS_FOR_CPU);
	sync_sg(call, sg, nents, TO_CPU);
}

/**
 * dod_owner_sync_sg_prepare() - as dod_owner_sync_prepare(), for a list
 * @call: the call
 * @sg: the list
 * @nents: its length
 *
 * Context: any but NMI.
 */
void dod_owner_sync_sg_prepare(struct dod_call *call, struct scatterlist *sg,
			       int nents)
{
	if (READ_ONCE(any_bounced))
		sync_sg(call, sg, nents, PREPARE);
}

/**
 * dod_owner_sync_sg_for_device() - the device gets the entries of a list
 * @call: the call
 * @sg: the list
 * @nents: its length
 *
 * Context: any but NMI.
 */
void dod_owner_sync_sg_for_device(struct dod_call *call, struct scatterlist *sg,
				  int nents)
{
	dod_count(DOD_C_SYNCS_FOR_DEVICE);
	sync_sg(call, sg, nents, TO_DEVICE);
}

/* === Look-ups ============================================================= */

static bool allows(const struct dod_range *range, bool write)
{
	return !write && range->dir == DMA_TO_DEVICE;
}

/* Whoever else owns it. */
static bool forbids_all(const struct dod_range *r)
{
	return r->dir != DMA_TO_DEVICE && r->state == DOD_OWNED;
}

/* A stale byte may be written, and then is read as it was written. */
static bool concerns(const struct dod_range *r, bool write)
{
	return r->state == DOD_OWNED || (r->state == DOD_STALE && !write);
}

/*
 * Copies the mapping that owns a byte; where there are several, one that forbids
 * the access whatever comes later. Mappings that have ended, too: their stale bytes.
 * One may have been @found in another part. Returns whether there is one.
 */
static bool find_owner(struct index_tree *tree, u64 phys, bool write, bool found,
		       struct dod_mapping *copy, struct dod_range *range)
{
	struct dod_mapping *m;

	for (m = phys_tree_iter_first(&tree->root, phys, phys); m;
	     m = phys_tree_iter_next(m, phys, phys)) {
		struct dod_range *r;

		r = range_tree_iter_first(&m->ranges, phys, phys);
		if (!r || !concerns(r, write) || (found && r->dir == DMA_TO_DEVICE))
			continue;
		*copy = *m;
		*range = *r;
		found = true;
		if (forbids_all(r))
			break;
	}
	return found;
}

/* The same in the shard of the byte, whose lock is held, and among wide mappings. */
static bool find_any_owner(struct index_tree *shard, u64 phys, bool write,
			   struct dod_mapping *copy, struct dod_range *range)
{
	struct index_tree *spanning = &by_phys->spanning;
	bool found = find_owner(shard, phys, write, false, copy, range);

	if (READ_ONCE(spanning->nr) && (!found || !forbids_all(range))) {
		dod_lock(&spanning->lock);
		found = find_owner(spanning, phys, write, found, copy, range);
		dod_unlock(&spanning->lock);
	}
	return found;
}

/*
 * Which mapping makes a byte the rest of a cache line that a device writes to?
 * The part's lock is held.
 */
static bool find_edge(struct index_tree *tree, u64 phys,
		      struct dod_mapping *copy, struct dod_range *range)
{
	u64 margin = READ_ONCE(widest_line), from = phys - min(phys, margin);
	struct dod_range *r = NULL;
	struct dod_mapping *m;
	u64 start, last;

	for (m = first_touching(tree, from, phys + margin); m;
	     m = next_touching(m, from, phys + margin)) {
		if (!has_edges(m))
			continue;
		head_edge(m, &start, &last);
		if (phys >= start && phys <= last)
			r = written_at(m, false);
		tail_edge(m, &start, &last);
		if (phys >= start && phys <= last)
			r = written_at(m, true);
		if (r)
			break;
	}
	if (m && copy) {
		*copy = *m;
		*range = *r;
	}
	return m;
}

/*
 * Is the granule painted as an edge, and whose? The shard's lock is held. @copy and
 * @range are filled in then, and may be NULL.
 */
static bool is_edge(struct index_tree *shard, u64 phys, struct dod_mapping *copy,
		    struct dod_range *range)
{
	struct index_tree *spanning = &by_phys->spanning;
	bool found = find_edge(shard, phys, copy, range);

	if (!found && READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		found = find_edge(spanning, phys, copy, range);
		dod_unlock(&spanning->lock);
	}
	return found;
}

/**
 * dod_owner_find_edge() - which device writes to the cache line of a byte?
 * @phys: the byte, which no mapping holds
 * @copy: filled in if there is one
 * @range: what the device owns of that line; filled in with it
 *
 * Context: any but NMI.
 *
 * Return: whether there is one.
 */
bool dod_owner_find_edge(u64 phys, struct dod_mapping *copy,
			 struct dod_range *range)
{
	struct index_tree *shard = phys_shard(phys);
	unsigned long flags;
	bool found;

	dod_lock_irqsave(&shard->lock, flags);
	found = is_edge(shard, phys, copy, range);
	dod_unlock_irqrestore(&shard->lock, flags);
	return found;
}

/**
 * dod_owner_note_unseen() - the DMA API is called where KASAN is off
 *
 * Context: any but NMI.
 */
void dod_owner_note_unseen(void)
{
	atomic_inc(&nr_unseen);
}

/**
 * dod_owner_find() - which mapping makes a device the owner of a byte?
 * @phys: the byte
 * @write: the access that asks is a write
 * @copy: filled in if there is one
 * @range: what the device owns around the byte; filled in with it
 *
 * Context: any but NMI, which may have interrupted a holder of the locks.
 *
 * Return: whether a device owns the byte.
 */
bool dod_owner_find(u64 phys, bool write, struct dod_mapping *copy,
		    struct dod_range *range)
{
	struct index_tree *shard = phys_shard(phys);
	bool found, broken = false;
	unsigned long flags;

	dod_lock_irqsave(&shard->lock, flags);
	found = find_any_owner(shard, phys, write, copy, range);
	if (unlikely(found && range->state == DOD_STALE) && drop_invalid(shard, phys))
		found = find_any_owner(shard, phys, write, copy, range);
	/*
	 * Owner and shadow change under this lock, but for wide mappings. Poison
	 * that is nobody's is our mistake, not the driver's. Of a write the byte may have
	 * become stale since it has trapped: that is poison, and no owner's.
	 */
	if (!found && dod_poison_ops.is_poisoned(phys_to_virt(phys)) &&
	    !(write && find_any_owner(shard, phys, false, copy, range)) &&
	    !is_edge(shard, phys, NULL, NULL)) {
		dod_poison_ops.unpoison(phys, phys);
		/* Pairs with smp_mb__after_atomic() in begin_spanning(). */
		smp_rmb();
		broken = !atomic_read(&spanning_changes);
	}
	dod_unlock_irqrestore(&shard->lock, flags);
	/* The one that forbade it has ended meanwhile. */
	if (found && allows(range, write))
		found = false;
	if (broken)
		dod_broken("poison without an owner");
	return found;
}

static bool find_guardable(struct index_tree *tree, u64 start, u64 *last,
			   struct dod_mapping *copy, struct dod_range *range)
{
	if (!find_owner(tree, start, false, false, copy, range) ||
	    range->state != DOD_OWNED || copy->trap == DOD_TRAP_NONE || copy->shared)
		return false;
	*last = min(*last, range->last);
	return true;
}

/**
 * dod_owner_find_guardable() - does a device own a byte, and how many behind it?
 * @start: the byte
 * @last: the last one of interest; the last one that is owned likewise, if it does
 * @copy: filled in if there is one
 * @range: what the device owns around them; filled in with it
 *
 * For a guard that acts by itself. Not of memory that is, or was, mapped several
 * times: what the kernel does for one of the mappings, as to copy to and from its
 * bounce buffer, is legal, and cannot be told from what is not.
 *
 * Context: any but NMI, no lock of ours held.
 *
 * Return: whether a device owns the byte, and it may be guarded.
 */
bool dod_owner_find_guardable(u64 start, u64 *last, struct dod_mapping *copy,
			      struct dod_range *range)
{
	struct index_tree *shard = phys_shard(start), *spanning = &by_phys->spanning;
	unsigned long flags;
	bool found;

	dod_lock_irqsave(&shard->lock, flags);
	found = find_guardable(shard, start, last, copy, range);
	if (!found && READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		found = find_guardable(spanning, start, last, copy, range);
		dod_unlock(&spanning->lock);
	}
	dod_unlock_irqrestore(&shard->lock, flags);
	return found;
}

/**
 * dod_owner_guard_again() - guard what is owned of a granule
 * @phys: a byte of it
 *
 * Context: any but NMI.
 */
void dod_owner_guard_again(u64 phys)
{
	struct index_tree *shard = phys_shard(phys);
	unsigned long flags;

	dod_lock_irqsave(&shard->lock, flags);
	guard_region(shard, phys, phys);
	dod_unlock_irqrestore(&shard->lock, flags);
}

static void written_content(struct index_tree *tree, u64 start, u64 last)
{
	struct dod_mapping *m;

	for (m = first_touching(tree, start, last); m;
	     m = next_touching(m, start, last))
		if (m->content)
			dod_judge_ops.content_written(m, start, last);
}

/**
 * dod_owner_seen_write() - the CPU is about to write to what a device owns
 * @phys: first byte
 * @size: bytes
 *
 * Context: any but NMI.
 */
void dod_owner_seen_write(u64 phys, u64 size)
{
	u64 last = phys + size - 1, from, to;

	for_each_region(from, to, phys, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		written_content(shard, from, to);
		forget_edges(shard, from, to);
		if (READ_ONCE(by_phys->spanning.nr)) {
			dod_lock(&by_phys->spanning.lock);
			written_content(&by_phys->spanning, from, to);
			dod_unlock(&by_phys->spanning.lock);
		}
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/**
 * dod_owner_seen_edge_write() - the CPU is about to write beside what a device writes
 * @phys: first byte
 * @last: last byte
 *
 * It is reported, or is not to be; what changes there is known to be the CPU's.
 *
 * Context: any but NMI.
 */
void dod_owner_seen_edge_write(u64 phys, u64 last)
{
	u64 from, to;

	for_each_region(from, to, phys, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		forget_edges(shard, from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/* The mapping of a byte of which @copy is a copy. The part's lock is held. */
static struct dod_mapping *find_copied(struct index_tree *tree, u64 phys,
				       const struct dod_mapping *copy)
{
	struct dod_mapping *m;

	for (m = first_touching(tree, phys, phys); m;
	     m = next_touching(m, phys, phys))
		if (m->dev == copy->dev && m->start == copy->start &&
		    m->last == copy->last && m->dir == copy->dir &&
		    m->trap != DOD_TRAP_NONE)
			break;
	return m;
}

/**
 * dod_owner_excuse() - is it a driver's own data that were written to?
 * @phys: a byte that was
 * @copy: a copy of the mapping
 *
 * The mapping is not guarded any more then: see dod_judge_ops.is_own_data().
 *
 * Context: any but NMI, no lock of ours held.
 *
 * Return: whether it is.
 */
bool dod_owner_excuse(u64 phys, const struct dod_mapping *copy)
{
	struct index_tree *tree = copy->spanning ? &by_phys->spanning : phys_shard(copy->start);
	struct dod_mapping *m;
	unsigned long flags;

	if (likely(!dod_judge_ops.is_own_data(copy)))
		return false;
	dod_lock_irqsave(&tree->lock, flags);
	m = find_copied(tree, phys, copy);
	if (m) {
		dod_count(DOD_C_UNTRAPPED_OWN_DATA);
		dod_judge_ops.content_end(m);
		m->trap = DOD_TRAP_NONE;
		if (!copy->spanning) {
			dod_poison_ops.unpoison(copy->start, copy->last);
			guard_region(tree, copy->start, copy->last);
		}
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	if (m && copy->spanning)
		poison_spanning(copy->start, copy->last);
	return true;
}

/* === Writes that the device is to get (rules 4 and 6b) ==================== */

/* A write that traps; what it has to do with one mapping after the other. */
struct writing {
	u64 start, last;		/* what is written, to the byte */
	const struct dod_write *record;	/* NULL: none has been made */
	bool strict, wanted;		/* one is to be made */
	u64 far;			/* last byte that the CPU has got */
	bool spanning;			/* of a wide mapping: poison_spanning() is to see to it */
};

/*
 * The CPU gets [start, last], and where that splits a range, and there is no record for
 * the second half, that half.
 */
static void take_for_write(struct dod_mapping *m, u64 start, u64 last, struct writing *w)
{
	u64 to = last;

	range_to_cpu(m, start, &to, TAKE_ALL);
	if (likely(to == last))
		return;
	w->far = max(w->far, to);
	if (m->spanning && !w->spanning) {
		w->spanning = true;
		begin_spanning();
	}
}

/* The same code, called in the same way by the same task: a loop. It has one record. */
static bool is_same_writer(const struct dod_pending *p, const struct dod_write *write)
{
	const struct dod_who *who = &write->who;

	return p->write.who.pid == who->pid && p->write.who.nr_frames == who->nr_frames &&
	       !memcmp(p->write.frames, write->frames,
		       who->nr_frames * sizeof(write->frames[0]));
}

/* The pending range beside [start, last] that is made to hold that, too. */
static struct dod_range *pending_beside(struct dod_mapping *m, u64 start, u64 last, u8 dir,
					unsigned long synced_by, const struct writing *w)
{
	struct dod_pending *p;
	struct dod_range *r;
	unsigned int i;

	if (!m->pending)
		return NULL;
	for (i = 0; i < 2; i++) {
		u64 at = i ? last + 1 : start - 1;

		r = range_tree_iter_first(&m->ranges, at, at);
		if (!r || r->state != DOD_PENDING || r->dir != dir || r->taken)
			continue;
		p = pending_of(r);
		if (p->synced_by == synced_by && is_same_writer(p, w->record) &&
		    join_written(p, max(start, w->start), min(last, w->last)))
			return r;
	}
	return NULL;
}

/* The CPU has [start, last], and of it wrote what it writes now. */
static void pend_new(struct dod_mapping *m, u64 start, u64 last, u8 dir,
		     unsigned long synced_by, const struct writing *w)
{
	struct dod_pending *p = dod_pending_get(w->record);

	if (!p)
		return;
	p->synced_by = synced_by;
	p->wrote_first = max(start, w->start);
	p->wrote_last = min(last, w->last);
	p->wrote_bytes = ALL_BYTES;
	range_add(m, &p->range, start, last, dir, DOD_PENDING);
	WRITE_ONCE(m->pending, true);
	change_kinds(m, 0, DOD_KIND_PENDING);
}

/*
 * [start, last] of a mapping is whole granules as far as they are in one range. @dir is
 * DMA_TO_DEVICE where the device owned it, whatever the mapping's is.
 */
static void pend(struct dod_mapping *m, u64 start, u64 last, u8 dir, unsigned long synced_by,
		 struct writing *w)
{
	struct dod_range *beside;

	/* Of a granule that has several ranges, not the one that is written. */
	if (start > w->last || last < w->start)
		return;
	if (!w->record) {
		w->wanted = true;
		return;
	}
	beside = pending_beside(m, start, last, dir, synced_by, w);
	take_for_write(m, start, last, w);
	if (beside)
		range_resize(beside, min(beside->start, start), max(beside->last, last));
	else
		pend_new(m, start, last, dir, synced_by, w);
}

/*
 * A range that is pending is written once more, and that trapped for the sake of another
 * mapping, or of bytes beside it. What is not known to have been written is now.
 */
static void pend_again(struct dod_mapping *m, struct dod_pending *p, u64 start, u64 last,
		       struct writing *w)
{
	unsigned long synced_by = p->synced_by;
	u8 dir = p->range.dir;

	start = max(start, w->start);
	last = min(last, w->last);
	if (p->range.taken || start > last || all_written(p, start, last))
		return;
	if (!w->record) {
		w->wanted = true;
		return;
	}
	take_for_write(m, start, last, w);
	pend_new(m, start, last, dir, synced_by, w);
}

/* [start, last] is in one range, which the device has to read or has not got yet. */
static void pend_tree(struct dod_mapping *m, u64 start, u64 last, struct writing *w)
{
	struct dod_range *r = range_tree_iter_first(&m->ranges, start, start);

	if (r && r->state == DOD_PENDING)
		pend_again(m, pending_of(r), start, last, w);
	else
		pend(m, start, last, DMA_TO_DEVICE, 0, w);
}

/* Where the first range that a device may write begins in [start, last], and ends. */
static bool find_writable(struct index_tree *tree, u64 start, u64 *from, u64 *to)
{
	struct dod_mapping *m;
	bool found = false;

	for (m = first_touching(tree, start, *from); m; m = next_touching(m, start, *from)) {
		struct dod_range *r = written(m, start, *from);

		if (!r)
			continue;
		found = true;
		*from = max(r->start, start);
		*to = r->last;
	}
	return found;
}

/* [start, last] is the device's to read: it is not if another may write there. */
static void pend_sent(struct index_tree *shard, struct dod_mapping *m, u64 start,
		      u64 last, struct writing *w)
{
	while (start <= last) {
		u64 from = last, to;
		bool found = find_writable(shard, start, &from, &to);

		/* The wide lock is held if @m is wide, and there is one if it counts. */
		if (READ_ONCE(by_phys->spanning.nr)) {
			if (!m->spanning)
				dod_lock(&by_phys->spanning.lock);
			found |= find_writable(&by_phys->spanning, start, &from, &to);
			if (!m->spanning)
				dod_unlock(&by_phys->spanning.lock);
		}
		if (!found) {
			pend_tree(m, start, last, w);
			return;
		}
		if (from > start)
			pend_tree(m, start, from - 1, w);
		start = to + 1;
	}
}

static void write_mapping(struct index_tree *shard, struct dod_mapping *m, u64 start,
			  u64 last, struct writing *w)
{
	u64 watch, watch_last;
	unsigned long synced_by;
	struct dod_range *r, *next;

	/* User space writes there, or the driver to its own data: rules 8 and 11. */
	if (m->trap == DOD_TRAP_NONE)
		return;
	for (r = range_tree_iter_first(&m->ranges, start, last); r; r = next) {
		u64 from = max(r->start, start), to = min(r->last, last);

		next = range_tree_iter_next(r, start, last);
		if (r->state == DOD_STALE)
			take_for_write(m, from, to, w);
		else if (!w->strict && (r->state == DOD_PENDING || r->dir == DMA_TO_DEVICE))
			pend_sent(shard, m, from, to, w);
	}
	watch = start;
	watch_last = last;
	if (!m->content || !dod_judge_ops.content_watches(m, &watch, &watch_last, &synced_by))
		return;
	while (watch <= watch_last) {
		r = range_tree_iter_first(&m->ranges, watch, watch_last);
		if (!r || r->start > watch)
			pend(m, watch, r ? r->start - 1 : watch_last, m->dir,
			     synced_by, w);
		if (!r)
			break;
		watch = r->last + 1;
	}
}

static void write_tree(struct index_tree *shard, struct index_tree *tree, u64 start,
		       u64 last, struct writing *w)
{
	struct dod_mapping *m, *next;

	for (m = phys_tree_iter_first(&tree->root, start, last); m; m = next) {
		next = phys_tree_iter_next(m, start, last);
		if (!m->ended)
			write_mapping(shard, m, start, last, w);
	}
}

/**
 * dod_owner_write() - the CPU is about to write to what the guard marks
 * @access: the write
 * @record: who it is, NULL if that is not known yet
 *
 * Rule 4: what a device only reads may be written, if it is synced for it later. Rule
 * 6b: so may what the device is done with. Rule 9: and what the CPU got by a sync, if
 * it is given back. All this is not guarded any more when we return; what is still
 * guarded is not to be written.
 *
 * Context: any but NMI.
 *
 * Return: whether to call again with a record.
 */
bool dod_owner_write(const struct dod_access *access, const struct dod_write *record)
{
	struct writing w = {
		.start = virt_to_phys((void *)access->addr),
		.record = record,
		.strict = READ_ONCE(dod_params.strict),
	};
	u64 start, last, from, to, end;

	w.last = w.start + access->size - 1;
	start = round_down(w.start, GRANULE);
	last = round_up(w.last + 1, GRANULE) - 1;
	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		stale_drop(shard, from, to);
		write_tree(shard, shard, from, to, &w);
		if (READ_ONCE(by_phys->spanning.nr)) {
			dod_lock(&by_phys->spanning.lock);
			write_tree(shard, &by_phys->spanning, from, to, &w);
			dod_unlock(&by_phys->spanning.lock);
		}
		end = min(max(to, w.far), region_last(from));
		dod_poison_ops.unpoison(from, end);
		guard_region(shard, from, end);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
	if (unlikely(w.spanning)) {
		poison_spanning(last, w.far);
		atomic_dec(&spanning_changes);
	}
	return w.wanted;
}

/* An engine that adds to its output has that DMA_BIDIRECTIONAL: async_xor.c. */
static bool is_opposite(const struct dod_mapping *a, const struct dod_mapping *b)
{
	return (a->dir == DMA_TO_DEVICE) != (b->dir == DMA_TO_DEVICE);
}

/*
 * Rule 5b: an engine works in place on the bytes of @other, which it has been given by
 * the map, and which nobody has synced since. The call that makes @m maps just these
 * bytes, too, the other way. Its mappings cannot end yet.
 */
static bool is_in_place(const struct dod_mapping *m, struct dod_mapping *other)
{
	const struct dod_mapping *same;
	struct dod_range *r;

	if (m->dev != other->dev || !is_opposite(m, other) || other->sync_len ||
	    READ_ONCE(dod_params.strict))
		return false;
	r = range_tree_iter_first(&other->ranges, other->start, other->start);
	if (!r || r->state != DOD_OWNED || r->start != other->start ||
	    r->last != other->last)
		return false;
	for (same = m->group; same; same = same->next)
		if (same->start == other->start && same->last == other->last)
			return true;
	return false;
}

/*
 * Rule 10: what is mapped for sending inside of another mapping of the same memory, as
 * a part of a received page that is forwarded, is judged by its bytes, and not by the
 * rest of their lines.
 */
static bool is_part_of(const struct dod_mapping *m, const struct dod_mapping *other)
{
	return m->dir == DMA_TO_DEVICE && other->start <= m->start &&
	       other->last >= m->last;
}

static bool find_other(struct index_tree *tree, const struct dod_mapping *m,
		       u64 start, u64 last, bool writable,
		       struct dod_mapping *copy)
{
	bool rest_of_line = last < m->start || start > m->last;
	u8 kinds = writable ? DOD_KIND_WRITABLE : 0;
	struct dod_mapping *other;

	/* Of memory that many devices read, all mappings are skipped at once. */
	for (other = first_of(tree, start, last, kinds); other;
	     other = next_of(other, start, last, kinds)) {
		if (other->group == m->group || !has_whole_lines(other) ||
		    other->trap != DOD_TRAP_ALL)
			continue;
		if (writable ? !written(other, start, last) :
		    !range_tree_iter_first(&other->ranges, start, last))
			continue;
		if ((rest_of_line && is_part_of(m, other)) || is_in_place(m, other))
			continue;
		*copy = *other;
		return true;
	}
	return false;
}

/**
 * dod_owner_find_other() - which other mapping gives a device some of a range?
 * @m: whose other one
 * @start: first byte, physical, of its bytes or of the rest of its first or last line
 * @last: last byte, physical
 * @writable: only if the device may write to it
 * @copy: filled in if there is one
 *
 * Of the mappings on devices that are not coherent. What was mapped by the same
 * call does not count, nor what is mapped in place.
 *
 * Context: any but NMI.
 *
 * Return: whether there is one.
 */
bool dod_owner_find_other(const struct dod_mapping *m, u64 start, u64 last,
			  bool writable, struct dod_mapping *copy)
{
	struct index_tree *tree = &by_phys->spanning;
	unsigned long flags;
	bool found = false;
	u64 from, to;

	if (READ_ONCE(tree->nr)) {
		dod_lock_irqsave(&tree->lock, flags);
		found = find_other(tree, m, start, last, writable, copy);
		dod_unlock_irqrestore(&tree->lock, flags);
	}
	for_each_region(from, to, start, last) {
		if (found)
			break;
		tree = phys_shard(from);
		dod_lock_irqsave(&tree->lock, flags);
		found = find_other(tree, m, from, to, writable, copy);
		dod_unlock_irqrestore(&tree->lock, flags);
	}
	return found;
}

static u64 up_to_group(struct index_tree *tree, const struct dod_mapping *m,
		       u64 start, u64 last, bool after)
{
	u64 nr = last - start + 1;
	struct dod_mapping *other;

	for (other = first_touching(tree, start, last); other;
	     other = next_touching(other, start, last)) {
		if (other->group != m->group)
			continue;
		if (after)
			nr = min(nr, max(other->start, start) - start);
		else
			nr = min(nr, last - min(other->last, last));
	}
	return nr;
}

/**
 * dod_owner_up_to_group() - how far is it to what the same call has mapped?
 * @m: a mapping of the call
 * @start: first byte, physical
 * @last: last byte, physical; of the line in which @m ends or begins
 * @after: the range lies behind @m, not before it
 *
 * Context: any but NMI.
 *
 * Return: how many bytes of the range, from @m outwards, are none of the call's.
 */
u64 dod_owner_up_to_group(const struct dod_mapping *m, u64 start, u64 last,
			  bool after)
{
	struct index_tree *tree = phys_shard(start);
	unsigned long flags;
	u64 nr;

	dod_lock_irqsave(&tree->lock, flags);
	nr = up_to_group(tree, m, start, last, after);
	tree = &by_phys->spanning;
	if (READ_ONCE(tree->nr)) {
		dod_lock(&tree->lock);
		nr = min(nr, up_to_group(tree, m, start, last, after));
		dod_unlock(&tree->lock);
	}
	dod_unlock_irqrestore(&phys_shard(start)->lock, flags);
	return nr;
}

/* An address, of memory or on a device's bus. */
struct place {
	const struct device *dev;	/* whose bus, NULL for memory */
	u64 at, near;
};

static u64 distance(const struct dod_mapping *m, const struct place *p)
{
	u64 start = p->dev ? m->dma_addr : m->start;
	u64 last = p->dev ? dod_dma_last(m) : m->last;

	if (p->at < start)
		return start - p->at;
	return p->at > last ? p->at - last : 0;
}

/* Copies a mapping if it is nearer than what was copied before. */
static bool copy_nearer(const struct dod_mapping *m, const struct place *p,
			struct dod_mapping *copy, bool found)
{
	if ((p->dev && m->dev != p->dev) ||
	    (found && distance(m, p) >= distance(copy, p)))
		return found;
	*copy = *m;
	return true;
}

/* Copies the one that ended last of those that were near. */
static bool copy_ended(const struct place *p, struct dod_mapping *copy)
{
	bool found = false;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct ended *e = &ended[cpu];
		unsigned long flags;

		dod_lock_irqsave(&e->lock, flags);
		for (i = 0; i < NR_ENDED; i++) {
			struct dod_mapping *m = e->ring[i];

			if (!m || (p->dev && m->dev != p->dev) ||
			    distance(m, p) > p->near)
				continue;
			if (found && m->ended < copy->ended)
				continue;
			*copy = *m;
			found = true;
		}
		dod_unlock_irqrestore(&e->lock, flags);
	}
	return found;
}

static bool copy_nearest(struct index_tree *tree, const struct place *p,
			 struct dod_mapping *copy, bool found)
{
	u64 start = p->at - min(p->at, p->near), last = p->at + p->near;
	struct dod_mapping *m;
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	for (m = first_touching(tree, start, last); m;
	     m = next_touching(m, start, last))
		found = copy_nearer(m, p, copy, found);
	dod_unlock_irqrestore(&tree->lock, flags);
	return found;
}

/**
 * dod_owner_find_mapping() - which mapping holds, or lately held, a byte?
 * @phys: the byte
 * @near: as good if it ends or begins so many bytes away; the nearest wins, or
 *	  where none is live, the one that ended last
 * @copy: filled in if there is one; copy->ended tells which
 *
 * Context: any but NMI.
 *
 * Return: whether there is one.
 */
bool dod_owner_find_mapping(u64 phys, u64 near, struct dod_mapping *copy)
{
	struct place p = { .at = phys, .near = near };
	bool found;

	found = copy_nearest(phys_shard(phys - min(phys, near)), &p, copy, false);
	found = copy_nearest(phys_shard(phys + near), &p, copy, found);
	found = copy_nearest(&by_phys->spanning, &p, copy, found);
	return found || copy_ended(&p, copy);
}

/*
 * Takes back a mapping whose memory is being freed; for good, because whoever
 * gets that memory next knows nothing of it. The part's lock is held.
 *
 * Returns whether there is something to say about [start, last].
 */
static bool free_one(struct index_tree *tree, struct dod_mapping *m, u64 start,
		     u64 last, struct dod_freed *freed)
{
	struct dod_content_result found DOD_UNINITIALIZED;
	struct dod_range *r;

	found_begin(&found);
	freed->m = *m;
	freed->owned = false;
	for (r = range_tree_iter_first(&m->ranges, start, last); r && !freed->owned;
	     r = range_tree_iter_next(r, start, last)) {
		freed->owned = r->state != DOD_PENDING;
		freed->range = *r;
	}
	find_lost(m, start, last, true, &found);
	freed->lost = found.lost;
	m->was_owned = freed->owned;
	take_freed(tree, m);
	return freed->owned || freed->lost;
}

/* The first mapping there whose memory was not freed before. */
static struct dod_mapping *find_unfreed(struct index_tree *tree, u64 start,
					u64 last, u64 first)
{
	struct dod_mapping *m;

	for (m = first_touching(tree, start, last); m;
	     m = next_touching(m, start, last))
		if (!m->freed && m->start >= first)
			return m;
	return NULL;
}

/**
 * dod_owner_free() - memory is being freed
 * @start: first byte, physical; where to go on, if the answer is yes
 * @last: last byte, physical
 * @object: an object of an allocator: what begins before it is another's mapping
 *	    that is too long, and is reported as such
 * @freed: filled in if the answer is yes; who asks puts back @freed->lost
 *
 * To be called until the answer is no. No mapping of the memory gives any of it
 * to a device afterwards.
 *
 * Context: any but NMI.
 *
 * Return: whether there was one more mapping of which a device owned some of the
 * memory, or was to get a write to it.
 */
bool dod_owner_free(u64 *start, u64 last, bool object, struct dod_freed *freed)
{
	u64 first = object ? *start : 0, to;

	stale_forget(*start, last);
	for (; *start <= last; *start = to + 1) {
		struct index_tree *tree = phys_shard(*start);
		struct dod_mapping *m;
		bool found = false;
		unsigned long flags;

		to = min(region_last(*start), last);
		dod_lock_irqsave(&tree->lock, flags);
		while (!found && (m = find_unfreed(tree, *start, to, first)))
			found = free_one(tree, m, *start, last, freed);
		dod_unlock_irqrestore(&tree->lock, flags);
		if (found) {
			wait_unwatched(freed->m.start, freed->m.last);
			return true;
		}

		tree = &by_phys->spanning;
		while (!found && READ_ONCE(tree->nr)) {
			dod_lock_irqsave(&tree->lock, flags);
			m = find_unfreed(tree, *start, to, first);
			if (m)
				found = free_one(tree, m, *start, last, freed);
			dod_unlock_irqrestore(&tree->lock, flags);
			if (!m)
				break;
			end_spanning(freed->m.start, freed->m.last);
		}
		if (found) {
			wait_unwatched(freed->m.start, freed->m.last);
			return true;
		}
	}
	return false;
}

/* A mapping that begins before @start, and of which something is left in [start, last]. */
static struct dod_mapping *find_earlier(struct index_tree *tree, u64 start, u64 last)
{
	struct dod_mapping *m;

	for (m = first_touching(tree, start, last); m; m = next_touching(m, start, last))
		if (m->start < start &&
		    range_tree_iter_first(&m->ranges, start, last))
			return m;
	return NULL;
}

/**
 * dod_owner_free_end() - no device owns any of freed memory, and none of it is guarded
 * @start: first byte, physical
 * @last: last byte, physical
 *
 * After dod_owner_free(), and before the allocator looks at the memory. A mapping that
 * begins before it was too long: it must not take the memory from who gets it next.
 * What others have guarded there, as the rest of a cache line, goes as well.
 *
 * Context: any but NMI.
 */
void dod_owner_free_end(u64 start, u64 last)
{
	struct index_tree *spanning = &by_phys->spanning;
	u64 from, to, end = 0;
	struct dod_mapping *m;
	unsigned long flags;

	if (READ_ONCE(spanning->nr)) {
		begin_spanning();
		dod_lock_irqsave(&spanning->lock, flags);
		while ((m = find_earlier(spanning, start, last))) {
			to = min(m->last, last);
			range_to_cpu(m, start, &to, TAKE_ALL);
			end = max(end, to);
		}
		dod_unlock_irqrestore(&spanning->lock, flags);
		if (end)
			poison_spanning(start, end);
		atomic_dec(&spanning_changes);
	}
	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);

		dod_lock_irqsave(&shard->lock, flags);
		while ((m = find_earlier(shard, from, to)))
			to_cpu_single(shard, m, from, min(m->last, to), TAKE_ALL);
		dod_poison_ops.unpoison(from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/*
 * What was freed is often unmapped a moment later. What is not is a leak: virtio_input and
 * virtio_scsi reset the device and free its buffers, of which the one that is bound is the
 * parent. Who uses the memory next is to hear of it.
 */
static void look_at_freed(struct dod_mapping *m)
{
	if (likely(!m->freed) || !m->was_owned || m->freed_looks == 2)
		return;
	m->freed_looks++;
	if (m->freed_looks < 2 || m->leaked)
		return;
	m->leaked = true;
	atomic_inc(&nr_leaked);
}

/* How many mappings are looked at with interrupts off. */
#define SCANNED	128

/**
 * dod_owner_next_freed() - look for mapped memory that was freed, and nobody saw it
 * @shard: part of the index, 0 to begin with
 * @start: physical address to go on from, 0 to begin with
 * @copy: filled in if there is some
 * @range: what the device owned of it; empty if there is none
 *
 * What is found is the CPU's from then on, for good. Of mappings that begin at one
 * address so many are looked at as fit in one step.
 *
 * Context: process.
 *
 * Return: false at the end.
 */
bool dod_owner_next_freed(unsigned int *shard, u64 *start, struct dod_mapping *copy,
			  struct dod_range *range)
{
	struct index_tree *tree = *shard == NR_SHARDS ? &by_phys->spanning :
							&by_phys->shard[*shard];
	struct dod_range *r = NULL;
	unsigned int nr = 0;
	struct dod_mapping *m;
	unsigned long flags;
	u64 at = 0;

	range->start = 1;
	range->last = 0;
	if (*shard > NR_SHARDS)
		return false;
	dod_lock_irqsave(&tree->lock, flags);
	for (m = first_touching(tree, *start, U64_MAX); m;
	     m = next_touching(m, *start, U64_MAX)) {
		if (m->start < *start)
			continue;
		if (nr++ >= SCANNED && m->start != at)
			break;
		at = m->start;
		look_at_freed(m);
		r = freed_range(m, m->start, m->last);
		if (r)
			break;
	}
	if (m) {
		*start = m->start;
	} else {
		*start = 0;
		++*shard;
	}
	if (r) {
		*copy = *m;
		*range = *r;
		m->was_owned = true;
		take_freed(tree, m);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
	if (r && copy->spanning)
		end_spanning(copy->start, copy->last);
	return true;
}

/* As copy_nearest(), by bus address. */
static bool copy_nearest_dma(struct index_tree *tree, const struct place *p,
			     struct dod_mapping *copy, bool found)
{
	u64 start = p->at - min(p->at, p->near);
	u64 last = p->at + min(U64_MAX - p->at, p->near);
	struct dod_mapping *m;
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	for (m = dma_tree_iter_first(&tree->root, start, last); m;
	     m = dma_tree_iter_next(m, start, last))
		found = copy_nearer(m, p, copy, found);
	dod_unlock_irqrestore(&tree->lock, flags);
	return found;
}

/**
 * dod_owner_find_dma() - which mapping holds, or lately held, a bus address?
 * @dev: the device, identity only
 * @dma_addr: the address
 * @near: as for dod_owner_find_mapping()
 * @copy: filled in if there is one; copy->ended tells which. What the device owns
 *	  of it, and the last sync, may change meanwhile
 *
 * Context: any but NMI.
 *
 * Return: whether there is one.
 */
bool dod_owner_find_dma(const struct device *dev, u64 dma_addr, u64 near,
			struct dod_mapping *copy)
{
	u64 before = dma_addr - min(dma_addr, near), after = dma_addr + min(U64_MAX - dma_addr, near);
	struct place p = { .dev = dev, .at = dma_addr, .near = near };
	bool found;

	found = copy_nearest_dma(dma_shard(dev, before), &p, copy, false);
	found = copy_nearest_dma(dma_shard(dev, after), &p, copy, found);
	found = copy_nearest_dma(&by_dma->spanning, &p, copy, found);
	return found || copy_ended(&p, copy);
}

/* The lock of the mapping's part is held. */
static void add_up(struct dod_mapping *m, struct dod_sum *sum)
{
	struct dod_range *r;

	memset(sum, 0, sizeof(*sum));
	for (r = range_tree_iter_first(&m->ranges, 0, U64_MAX); r;
	     r = range_tree_iter_next(r, 0, U64_MAX)) {
		u64 size = r->last - r->start + 1;

		if (r->state == DOD_OWNED) {
			sum->owned += size;
			sum->writable += r->dir != DMA_TO_DEVICE ? size : 0;
		} else if (r->state == DOD_PENDING && r->dir == DMA_TO_DEVICE) {
			const struct dod_write *w = &pending_of(r)->write;

			if (!sum->pending || w->who.when < sum->since) {
				sum->since = w->who.when;
				sum->writer = w->frames[0];
			}
			sum->pending += size;
		}
	}
}

/**
 * dod_owner_next() - step through the live mappings
 * @shard: part of the index, 0 to begin with
 * @start: physical address to go on from, 0 to begin with
 * @skip: mappings at that address to skip, 0 to begin with
 * @copy: filled in
 * @sum: what is the case with its bytes
 *
 * A mapping that comes or goes meanwhile may be seen or not.
 *
 * Context: process.
 *
 * Return: false at the end.
 */
bool dod_owner_next(unsigned int *shard, u64 *start, unsigned int *skip,
		    struct dod_mapping *copy, struct dod_sum *sum)
{
	for (; *shard <= NR_SHARDS; (*shard)++, *start = 0, *skip = 0) {
		struct index_tree *tree = *shard == NR_SHARDS ?
					  &by_phys->spanning :
					  &by_phys->shard[*shard];
		unsigned int skipped = 0;
		struct dod_mapping *m;
		unsigned long flags;

		dod_lock_irqsave(&tree->lock, flags);
		for (m = first_touching(tree, *start, U64_MAX); m;
		     m = next_touching(m, *start, U64_MAX)) {
			if (m->start < *start)
				continue;
			if (m->start == *start && skipped < *skip) {
				skipped++;
				continue;
			}
			*skip = m->start == *start ? *skip + 1 : 1;
			*start = m->start;
			*copy = *m;
			add_up(m, sum);
			dod_unlock_irqrestore(&tree->lock, flags);
			return true;
		}
		dod_unlock_irqrestore(&tree->lock, flags);
	}
	return false;
}

/**
 * dod_owner_note_suspects() - a driver's probe() has failed: what did it map?
 * @dev: the device, identity only
 * @binding: the device's, while it was probed
 * @driver: the driver, as yet there
 *
 * Others may have mapped memory for the device meanwhile: a mapping is the driver's if
 * this task has made it, or a function of the driver's module.
 *
 * Context: process, in the task that has called probe().
 *
 * Return: how many mappings there are, each of which is marked.
 */
unsigned int dod_owner_note_suspects(const struct device *dev, u16 binding,
				     const struct device_driver *driver)
{
	unsigned int i, n, nr = 0;
	struct dod_mapping *m;
	unsigned long flags;

	for (i = 0; i <= NR_SHARDS; i++) {
		struct index_tree *tree = i == NR_SHARDS ? &by_phys->spanning :
							   &by_phys->shard[i];

		if (!READ_ONCE(tree->nr))
			continue;
		dod_lock_irqsave(&tree->lock, flags);
		for (m = first_touching(tree, 0, U64_MAX); m;
		     m = next_touching(m, 0, U64_MAX)) {
			if (m->dev != dev || m->binding != binding)
				continue;
			m->suspect = m->map.pid == task_pid_nr(current);
			for (n = 0; driver->owner && !m->suspect && n < m->map.nr_frames; n++)
				m->suspect = within_module(m->map_frames[n], driver->owner);
			nr += m->suspect;
		}
		dod_unlock_irqrestore(&tree->lock, flags);
	}
	return nr;
}

/**
 * dod_owner_live() - mappings that are live
 *
 * Context: any.
 *
 * Return: how many; exact only while nobody maps or unmaps.
 */
long dod_owner_live(void)
{
	long nr = READ_ONCE(by_dma->spanning.nr);
	unsigned int i;

	for (i = 0; i < NR_SHARDS; i++)
		nr += READ_ONCE(by_dma->shard[i].nr);
	return nr;
}

/* === Start and stop ======================================================= */

/* To lockdep, the parts of the two indexes are four kinds of locks. */
static struct lock_class_key by_dma_keys[2], by_phys_keys[2];

static struct index *index_new(struct lock_class_key *keys)
{
	struct index *index = kvzalloc(sizeof(*index), GFP_KERNEL);
	unsigned int i;

	if (!index)
		return NULL;
	for (i = 0; i < NR_SHARDS; i++) {
		raw_spin_lock_init(&index->shard[i].lock);
		lockdep_set_class(&index->shard[i].lock, &keys[0]);
		index->shard[i].root = RB_ROOT_CACHED;
	}
	raw_spin_lock_init(&index->spanning.lock);
	lockdep_set_class(&index->spanning.lock, &keys[1]);
	index->spanning.root = RB_ROOT_CACHED;
	return index;
}

/*
 * Clears what the mappings of a part own, and leaves them mapped. An unmap that
 * comes meanwhile waits for the lock, and finds its memory not poisoned.
 */
static void unpoison_part(struct index_tree *tree)
{
	struct dod_mapping *m, *next;
	struct dod_range *r;
	unsigned long flags;

	dod_lock_irqsave(&tree->lock, flags);
	for (m = phys_tree_iter_first(&tree->root, 0, U64_MAX); m; m = next) {
		next = phys_tree_iter_next(m, 0, U64_MAX);
		dod_judge_ops.content_end(m);
		while ((r = range_tree_iter_first(&m->ranges, 0, U64_MAX))) {
			u64 start = r->start, last = r->last;

			range_tree_remove(r, &m->ranges);
			add_edges(m, &start, &last);
			if (m->trap != DOD_TRAP_NONE)
				dod_poison_ops.unpoison(start, last);
			range_put(m, r);
		}
		if (m->ended)
			stale_end(tree, m);
	}
	dod_unlock_irqrestore(&tree->lock, flags);
}

/**
 * dod_owner_stop_guarding() - give everything to the CPU
 *
 * The hooks must give nothing to devices any more; they may still take back.
 * Without painting there is no need for the lock of a region to clear it.
 *
 * Context: process; look-ups may go on.
 */
void dod_owner_stop_guarding(void)
{
	unsigned int i;

	unpoison_part(&by_phys->spanning);
	for (i = 0; i < NR_SHARDS; i++)
		unpoison_part(&by_phys->shard[i]);
	wait_unwatched(0, U64_MAX);
}

/* Ends every mapping of a part of the bus index; no hook runs. */
static void end_tree(struct index_tree *tree)
{
	struct dod_mapping *m;

	while ((m = dma_tree_iter_first(&tree->root, 0, U64_MAX))) {
		if (unlink(m->group))
			end_group(m->group, NULL);
		else if (unlink(m))
			end_one(m, NULL);
	}
}

static void free_all(void)
{
	struct dod_device *d;
	struct hlist_node *tmp;
	unsigned int i, n;

	for (i = 0; ended && i < nr_cpu_ids; i++)
		for (n = 0; n < NR_ENDED; n++)
			if (ended[i].ring[n])
				dod_pool_put(&dod_mapping_pool, ended[i].ring[n]);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry_safe(d, tmp, &devices[i], node) {
			hlist_del_rcu(&d->node);
			dod_pool_put(&device_pool, d);
		}
	dod_pending_stop();
	dod_judge_ops.content_stop();
	dod_pool_destroy(&device_pool);
	dod_pool_destroy(&range_pool);
	dod_pool_destroy(&dod_mapping_pool);
	kvfree(ended);
	kvfree(by_dma);
	kvfree(by_phys);
	ended = NULL;
	by_dma = NULL;
	by_phys = NULL;
}

/**
 * dod_owner_start() - get ready for events
 * @reserve: records to keep free
 * @max: most records to allocate
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_owner_start(unsigned int reserve,
		    unsigned int max)
{
	unsigned int i;
	int err;

	widest_line = 0;
	any_bounced = false;
	atomic_set(&nr_leaked, 0);
	by_phys = index_new(by_phys_keys);
	by_dma = index_new(by_dma_keys);
	ended = kvcalloc(nr_cpu_ids, sizeof(*ended), GFP_KERNEL);
	err = dod_pool_init(&dod_mapping_pool, sizeof(struct dod_mapping),
			    reserve, max);
	if (!err)
		err = dod_pool_init(&range_pool, sizeof(struct dod_range),
				    reserve / 8 + 64, max);
	if (!err)
		err = dod_pool_init(&device_pool, sizeof(struct dod_device),
				    64, 16384);
	if (!err)
		err = dod_judge_ops.content_start(reserve / 2 + 64, max);
	if (!err)
		err = dod_pending_start(reserve / 8 + 64, max);
	if (err || !by_phys || !by_dma || !ended) {
		free_all();
		return -ENOMEM;
	}
	for (i = 0; i < nr_cpu_ids; i++)
		raw_spin_lock_init(&ended[i].lock);
	return 0;
}

/**
 * dod_owner_stop() - forget everything
 *
 * When no hook runs and nobody can look anything up any more.
 *
 * Context: process, may sleep.
 */
void dod_owner_stop(void)
{
	unsigned int i;

	for (i = 0; i < NR_SHARDS; i++)
		end_tree(&by_dma->shard[i]);
	end_tree(&by_dma->spanning);
	free_all();
}
