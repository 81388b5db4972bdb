/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of owner/ share; nobody else includes this.
 *
 * Memory is divided into regions. A mapping inside one region is in the tree of the shard
 * that the region hashes to. A mapping that crosses a boundary is in the tree of spanning
 * mappings, which every look-up visits, too, unless it is empty. There are two such
 * indexes: by physical address and by DMA address.
 *
 * Locks nest: DMA shard -> DMA spanning -> physical shard -> physical spanning -> pool.
 * A mapping stays alive while the lock of a tree that it is in is held. Its physical lock,
 * that of tree_of(), guards what the device owns. The shadow of a region changes only under
 * the lock of its physical shard. Context: any but NMI, where nothing else is said.
 */
#ifndef DOD_OWNER_INTERNAL_H
#define DOD_OWNER_INTERNAL_H

#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../guard/guard.h"
#include "../report/report.h"
#include "judge_ops.h"
#include "owner.h"

#include <linux/hash.h>
#include <linux/sched/clock.h>

/* Called by other files of owner/. In one unit they are static: one caller costs nothing then. */
#ifdef DOD_BUILD_OWNER
#define __owner		static
#else
#define __owner
#endif

#define REGION_SHIFT	21
#define SHARD_BITS	6
#define NR_SHARDS	((unsigned int)BIT(SHARD_BITS))
#define GRANULE		((u64)DOD_GRANULE)
#define ALL_BYTES	0xff	/* of a granule, as bits */
#define MAX_DEVICES	16384

struct index_tree {
	raw_spinlock_t lock;
	struct rb_root_cached root;	/* lock */
	unsigned int nr;		/* lock, read without */
} ____cacheline_aligned_in_smp;

struct index {
	struct index_tree shard[NR_SHARDS];
	struct index_tree spanning;
};

/* index.c */
extern struct index *dod_by_phys, *dod_by_dma;

__owner int dod_index_start(void);
__owner void dod_index_stop(void);

static inline bool crosses_region(u64 start, u64 last)
{
	return (start ^ last) >> REGION_SHIFT;
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

static inline struct index_tree *phys_shard(u64 phys)
{
	return &dod_by_phys->shard[hash_64(phys >> REGION_SHIFT, SHARD_BITS)];
}

/* Calls @fn for the part of [start, last] in each region, with the lock of its shard held. */
static __always_inline void in_each_region(u64 start, u64 last,
					   void (*fn)(struct index_tree *shard, u64 from, u64 to))
{
	u64 from, to;

	for_each_region(from, to, start, last) {
		struct index_tree *shard = phys_shard(from);
		unsigned long flags;

		dod_lock_irqsave(&shard->lock, flags);
		fn(shard, from, to);
		dod_unlock_irqrestore(&shard->lock, flags);
	}
}

/* The tree by physical address that a mapping is in, and so its physical lock. */
static inline struct index_tree *tree_of(const struct dod_mapping *m)
{
	return m->spanning ? &dod_by_phys->spanning : phys_shard(m->start);
}

static inline struct index_tree *dma_shard(const struct device *dev, u64 dma_addr)
{
	return &dod_by_dma->shard[hash_64((dma_addr >> REGION_SHIFT) ^ (unsigned long)dev,
					  SHARD_BITS)];
}

/* The trees of an index in turn: the shards, and last that of spanning mappings. */
static inline struct index_tree *nth_tree(struct index *index, unsigned int n)
{
	return n == NR_SHARDS ? &index->spanning : &index->shard[n];
}

__owner bool dod_index_phys(struct index_tree *tree, struct dod_mapping *m);
__owner void dod_unindex_phys(struct index_tree *tree, struct dod_mapping *m);
__owner void dod_change_kinds(struct dod_mapping *m, u8 without, u8 with);
__owner struct dod_mapping *dod_phys_first(struct index_tree *tree, u64 start, u64 last);
__owner struct dod_mapping *dod_phys_next(struct dod_mapping *m, u64 start, u64 last);
__owner struct dod_mapping *dod_kind_first(struct index_tree *tree, u64 start, u64 last, u8 kinds);
__owner struct dod_mapping *dod_kind_next(struct dod_mapping *m, u64 start, u64 last, u8 kinds);
__owner struct dod_mapping *dod_skip_ended(struct dod_mapping *m, u64 start, u64 last, u8 kinds);

__owner void dod_index_dma(struct dod_mapping *m);
__owner bool dod_unlink(struct dod_mapping *m);
__owner void dod_unlink_locked(struct index_tree *tree, struct dod_mapping *m);
__owner void dod_dma_insert(struct dod_mapping *m, struct rb_root_cached *root);
__owner void dod_dma_remove(struct dod_mapping *m, struct rb_root_cached *root);
__owner struct dod_mapping *dod_dma_iter_first(struct rb_root_cached *root, u64 start, u64 last);
__owner struct dod_mapping *dod_dma_iter_next(struct dod_mapping *m, u64 start, u64 last);

static inline struct dod_mapping *first_overlap(struct index_tree *tree, u64 start, u64 last)
{
	struct dod_mapping *m = dod_phys_first(tree, start, last);

	return likely(!m || !m->ended) ? m : dod_skip_ended(m, start, last, 0);
}

static inline struct dod_mapping *next_overlap(struct dod_mapping *m, u64 start, u64 last)
{
	m = dod_phys_next(m, start, last);
	return likely(!m || !m->ended) ? m : dod_skip_ended(m, start, last, 0);
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
/* By DMA address; devices share a tree. */
#define for_each_dma(m, tree, start, last)				\
	for ((m) = dod_dma_iter_first(&(tree)->root, start, last); (m);	\
	     (m) = dod_dma_iter_next(m, start, last))

/**
 * struct dod_walk - a look-up in both trees that can have what is looked for
 *
 * @index:	by what is looked up
 * @shard:	its tree of the region, locked
 * @spanning:	the tree of spanning mappings, locked, or NULL: not before the shard was visited
 * @flags:	of interrupts, as dod_walk_lock() found them
 */
struct dod_walk {
	struct index *index;
	struct index_tree *shard, *spanning;
	unsigned long flags;
};

/* The caller holds the lock of the shard. */
static __always_inline void dod_walk_begin(struct dod_walk *w, struct index *index,
					   struct index_tree *shard)
{
	w->index = index;
	w->shard = shard;
	w->spanning = NULL;
}

static __always_inline void dod_walk_end(struct dod_walk *w)
{
	if (unlikely(w->spanning))
		dod_unlock(&w->spanning->lock);
}

static __always_inline void dod_walk_lock(struct dod_walk *w, struct index *index,
					  struct index_tree *shard)
{
	dod_lock_irqsave(&shard->lock, w->flags);
	dod_walk_begin(w, index, shard);
}

static __always_inline void dod_walk_unlock(struct dod_walk *w)
{
	dod_walk_end(w);
	dod_unlock_irqrestore(&w->shard->lock, w->flags);
}

/*
 * One lock for the whole machine, so it is taken last, and only if there is a spanning
 * mapping. One that is indexed right now is missed, and visits each of its regions later:
 * dod_overlap_spanning().
 */
static __always_inline struct index_tree *walk_spanning(struct dod_walk *w)
{
	if (likely(!READ_ONCE(w->index->spanning.nr)))
		return NULL;
	if (!w->spanning) {
		w->spanning = &w->index->spanning;
		dod_lock(&w->spanning->lock);
	}
	return w->spanning;
}

static __always_inline struct dod_mapping *walk_rest(struct dod_walk *w, u64 start, u64 last)
{
	struct index_tree *spanning = walk_spanning(w);

	return likely(!spanning) ? NULL : first_overlap(spanning, start, last);
}

static __always_inline struct dod_mapping *walk_first(struct dod_walk *w, u64 start, u64 last)
{
	return first_overlap(w->shard, start, last) ?: walk_rest(w, start, last);
}

static __always_inline struct dod_mapping *walk_next(struct dod_walk *w, struct dod_mapping *m,
						     u64 start, u64 last)
{
	struct dod_mapping *next = next_overlap(m, start, last);

	return next || m->spanning ? next : walk_rest(w, start, last);
}

/* The live mappings that overlap [start, last], which lies in the region of the shard. */
#define dod_for_each_overlap(m, w, start, last)				\
	for ((m) = walk_first(w, start, last); (m); (m) = walk_next(w, m, start, last))
/* The trees in turn, where that is not enough, or mappings that have ended count. */
#define dod_for_each_tree(tree, w)					\
	for ((tree) = (w)->shard; (tree);				\
	     (tree) = (tree) == (w)->shard ? walk_spanning(w) : NULL)

/* ranges.c */
extern struct dod_pool dod_range_pool, dod_pending_pool;

/* What a change to the CPU leaves alone, as bits, and what else it does. */
enum keep {
	KEEP_NONE	= 0,
	KEEP_PENDING	= BIT(0),	/* writes that wait for a sync_for_device */
	KEEP_WRITABLE	= BIT(1),	/* what the device owns and may write */
	FINISH		= BIT(2),	/* the device is done with what follows: rule 6b */
};

__owner struct dod_range *dod_range_first(struct dod_mapping *m, u64 start, u64 last);
__owner struct dod_range *dod_range_next(struct dod_range *r, u64 start, u64 last);

#define for_each_range(r, m, start, last)				\
	for ((r) = dod_range_first(m, start, last); (r);		\
	     (r) = dod_range_next(r, start, last))
/* The same, where @r may be removed, but not the range after it. */
#define for_each_range_safe(r, next, m, start, last)			\
	for ((r) = dod_range_first(m, start, last);			\
	     (r) && ((next) = dod_range_next(r, start, last), true);	\
	     (r) = (next))

static inline struct dod_pending *pending_of(struct dod_range *r)
{
	return container_of(r, struct dod_pending, range);
}

__owner struct dod_pending *dod_pending_get(void);
__owner struct dod_pending *dod_pending_copy(const struct dod_pending *p);
__owner bool dod_pending_wrote_all(const struct dod_pending *p, u64 start, u64 last);
__owner void dod_range_put(struct dod_mapping *m, struct dod_range *r);
__owner void dod_range_remove(struct dod_mapping *m, struct dod_range *r);
__owner void dod_range_add(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last, u8 dir,
			   enum dod_state state);
__owner void dod_range_resize(struct dod_range *r, u64 start, u64 last);
__owner bool dod_has_state(const struct dod_mapping *m, u8 state);
__owner bool dod_ranges_to_cpu(struct dod_mapping *m, u64 start, u64 *last, enum keep keep);
__owner bool dod_ranges_to_cpu_from(struct dod_mapping *m, u64 *start, u64 *last, enum keep keep);
__owner bool dod_ranges_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir);
__owner struct dod_range *dod_device_writes(struct dod_mapping *m, u64 start, u64 last);

/* Up to its first bad byte a mapping is its driver's; what follows has no lines of its own. */
static inline bool has_whole_lines(const struct dod_mapping *m)
{
	return m->line && m->last - m->start == m->dma_last - m->dma_addr;
}

static inline bool has_edges(const struct dod_mapping *m)
{
	return m->edges && m->trap == DOD_TRAP_ALL;
}

/* Rule 10: the rest of its first line, or with @after of its last. Empty if *start > *last. */
static __always_inline void line_edge(const struct dod_mapping *m, bool after, u64 *start, u64 *last)
{
	*start = after ? m->last + 1 : dod_line_of(m, m->start);
	*last = after ? dod_line_of(m, m->last) + m->line - 1 : m->start - 1;
}

/* What the device writes of that line, NULL if nothing. */
static inline struct dod_range *device_writes_line(struct dod_mapping *m, bool after)
{
	u64 line = dod_line_of(m, after ? m->last : m->start);

	return dod_device_writes(m, line, line + m->line - 1);
}

/* poison.c */
/* The longest cache line that was ever in force: line edges are looked for so far. */
extern u16 dod_widest_line;
extern atomic_t dod_spanning_changes, dod_nr_stale;

__owner void dod_add_edges(const struct dod_mapping *m, u64 *start, u64 *last);
__owner void dod_poison_new(struct dod_mapping *m, u64 start, u64 last, bool lone);
__owner void dod_poison_region(struct index_tree *shard, u64 start, u64 last);
__owner void dod_repoison_region(struct index_tree *shard, u64 start, u64 last);
__owner bool dod_is_alone(const struct dod_mapping *m, u64 start, u64 last);
__owner void dod_repoison(struct index_tree *shard, struct dod_mapping *m, u64 start, u64 last);
__owner void dod_spanning_begin(void);
__owner void dod_poison_spanning(u64 start, u64 last);
__owner void dod_spanning_end(u64 start, u64 last);

/*
 * The CPU may access [start, last] as soon as we return, and a guard that acts by itself
 * may be watching it. No lock is held: the CPU that we wait for may be printing, to a
 * console whose driver waits for us.
 */
static inline void wait_unwatched(u64 start, u64 last)
{
	if (dod_poison_ops.wait_unwatched)
		dod_poison_ops.wait_unwatched(start, last);
}

__owner void dod_stale_begin(struct dod_mapping *m);
__owner void __dod_stale_drop(struct index_tree *shard, u64 start, u64 last);
__owner void dod_stale_forget(u64 start, u64 last);
__owner bool dod_stale_drop_uncertain(struct index_tree *shard, u64 byte);
__owner bool dod_stale_is_left(const struct dod_call *call, const struct dod_mapping *m);
__owner bool dod_stale_keep(struct index_tree *shard, struct dod_mapping *m);

static inline void stale_drop(struct index_tree *shard, u64 start, u64 last)
{
	if (unlikely(atomic_read(&dod_nr_stale)))
		__dod_stale_drop(shard, start, last);
}

/* overlap.c */
__owner void __dod_forget_edges(struct index_tree *tree, u64 start, u64 last, u64 margin);
__owner void dod_overlap_to_device(struct index_tree *tree, struct dod_mapping *m, u64 start,
				   u64 last, bool fresh, bool lone);
__owner void dod_copy_edges(struct index_tree *shard, struct dod_mapping *m);
__owner void dod_overlap_spanning(u64 start, u64 last);

static inline void forget_edges(struct index_tree *tree, u64 start, u64 last)
{
	u64 margin = READ_ONCE(dod_widest_line);

	if (unlikely(margin))
		__dod_forget_edges(tree, start, last, margin);
}

/* record.c */
/* An address, physical or of a device. */
struct dod_place {
	const struct device *dev;	/* NULL: physical */
	u64 at, near;
};

static inline u64 dod_distance(const struct dod_mapping *m, const struct dod_place *p)
{
	u64 start = p->dev ? m->dma_addr : m->start;
	u64 last = p->dev ? dod_dma_last(m) : m->last;

	return p->at < start ? start - p->at : p->at > last ? p->at - last : 0;
}

__owner int dod_record_start(unsigned int reserve, unsigned int max);
__owner void dod_record_stop(void);
__owner struct dod_mapping *dod_record_new(const struct dod_call *call, struct dod_device *device,
					   u64 dma_addr, u64 size);
__owner void dod_note_caller(const struct dod_call *call, struct dod_who *who,
			     unsigned long *frames, unsigned int depth);
__owner void dod_history_put(struct dod_mapping *m);
__owner bool dod_history_find(const struct dod_place *p, struct dod_mapping *copy);

/* device.c */
extern struct dod_pool dod_device_pool;
__owner void dod_device_stop(void);
__owner struct dod_device *dod_device_get(const struct device *dev);

/* result.c */
/* What the device did not write of a list. */
struct dod_unwritten {
	struct dod_mapping *m;	/* a copy of the first entry of which it wrote nothing, or NULL */
	u64 from;		/* where what it could have written of that begins */
	u64 bytes;		/* in all */
	bool touched;		/* it wrote to another entry: a short answer fills some of a list */
};

__owner struct dod_mapping *dod_copy_mapping(const struct dod_mapping *m);
__owner void dod_result_add_lost(struct dod_content_result *result, struct dod_mapping *m,
				 u64 start, u64 last, bool was_owned);
__owner void dod_report_list(const struct dod_call *call, struct dod_unwritten *u);
__owner void dod_report_sync(const struct dod_call *call, struct dod_content_result *result);
__owner void dod_report_unmap(const struct dod_call *call, struct dod_content_result *result,
			      const struct dod_mapping *m);

static inline void result_init(struct dod_content_result *result)
{
	result->types = 0;
	result->touched = false;
	result->lost = NULL;
	result->m = NULL;
}

static inline bool result_any(const struct dod_content_result *result)
{
	return unlikely(result->types || result->lost);
}

/* owner.c */
/* What an event does to a range of a mapping. */
struct dod_transition {
	bool for_cpu;		/* a sync: idle with DMA_TO_DEVICE of what the device may write */
	bool for_device;	/* a sync: idle with DMA_FROM_DEVICE of what it only reads */
	bool to_device;		/* the device owns the range then; else the CPU does */
	bool stamp_sync;	/* note who calls as the last sync_for_device */
	bool bounced_only;	/* only for mappings that may be bounced */
	bool compare;		/* the content, and look for lost writes and for freed memory */
	bool watch_writes;	/* a write of the CPU must be synced from now on (rule 9) */
	bool untrap;		/* all of the mapping: accesses do not trap any more */
	bool count_unmatched;	/* count the calls, in @counter, and those for no mapping */
	enum dod_counter counter;
	enum keep keep;		/* what stays as it is where the CPU owns it, unless @for_cpu */
};

extern const struct dod_transition dod_transitions[];
extern bool dod_any_bounced;

__owner u64 dod_to_cpu_single(struct index_tree *shard, struct dod_mapping *m, u64 start, u64 last,
			      enum keep keep);
__owner void dod_to_device_single(struct index_tree *shard, struct dod_mapping *m, u64 start,
				  u64 last, u8 dir, bool lone);
__owner bool dod_change_owner(const struct dod_call *call, struct dod_mapping *m, u64 start,
			      u64 *to, struct dod_content_result *result);

/* unmap.c */
__owner bool dod_to_cpu_all(struct dod_mapping *m, bool stale, struct dod_range *freed);
__owner void dod_end_tree(struct index_tree *tree);
__owner void dod_note_unmatched(const struct dod_call *call, enum dod_unmatched_call what,
				u64 dma_addr);
__owner struct dod_mapping *dod_find_iova(struct index_tree *tree, const struct dod_call *call,
					  u64 start, u64 last);

/* free.c */
extern atomic_t dod_nr_leaked;

__owner struct dod_range *dod_freed_range(struct dod_mapping *m, u64 start, u64 last);
__owner bool dod_find_freed(struct dod_mapping *m, u64 start, u64 last,
			    struct dod_content_result *result);
__owner void dod_check_reuse(const struct dod_mapping *m);

#endif /* DOD_OWNER_INTERNAL_H */
