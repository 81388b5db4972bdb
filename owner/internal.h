/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of owner/ share; nobody else includes this.
 *
 * Locks nest: DMA page -> DMA region -> DMA spanning -> page -> region -> spanning -> pool. What
 * they guard is in index.h. A mapping stays alive while a tree that it is in is locked. Its
 * physical lock is the area that dod_area_lock_mapping() locks: it guards what the device owns
 * of it and, unless the mapping is a spanning one, the shadow of its memory. Context: any but
 * NMI, where nothing else is said.
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
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../guard/guard.h"
#include "../report/report.h"
#include "judge_ops.h"
#include "owner.h"
#include "profile.h"

#include <linux/hash.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/clock.h>

/* Called by other files of owner/. In one unit they are static: one caller costs nothing then. */
#ifdef DOD_BUILD_OWNER
#define __owner		static
#else
#define __owner
#endif

#define GRANULE		((u64)DOD_GRANULE)
#define ALL_BYTES	0xff	/* of a granule, as bits */
#define MAX_DEVICES	16384

#include "index.h"

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
__owner struct dod_range *dod_range_next(struct dod_range *r, u64 last);

#define for_each_range(r, m, start, last)				\
	for ((r) = dod_range_first(m, start, last); (r);		\
	     (r) = dod_range_next(r, last))
/* The same, where @r may be removed, but not the range after it. */
#define for_each_range_safe(r, next, m, start, last)			\
	for ((r) = dod_range_first(m, start, last);			\
	     (r) && ((next) = dod_range_next(r, last), true);		\
	     (r) = (next))

static inline struct dod_pending *pending_of(struct dod_range *r)
{
	return container_of(r, struct dod_pending, range);
}

__owner struct dod_pending *dod_pending_get(void);
__owner struct dod_pending *dod_pending_copy(const struct dod_pending *p);
__owner bool dod_pending_wrote_all(const struct dod_pending *p, u64 start, u64 last);
__owner void dod_range_put_spare(struct dod_mapping *m);
__owner void dod_range_remove(struct dod_mapping *m, struct dod_range *r);
__owner void dod_range_add(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last, u8 dir,
			   enum dod_state state);
__owner void dod_range_resize(struct dod_range *r, u64 start, u64 last);
__owner bool dod_has_state(struct dod_mapping *m, u8 state);
__owner bool dod_ranges_to_cpu(struct dod_mapping *m, u64 start, u64 *last, enum keep keep);
__owner bool dod_ranges_to_cpu_from(struct dod_mapping *m, u64 *start, u64 *last, enum keep keep);
__owner bool dod_ranges_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir);
__owner struct dod_range *dod_device_writes(struct dod_mapping *m, u64 start, u64 last);

/* The device owns [start, last] of a mapping without ranges, by a call of the same direction. */
static __always_inline void first_range_new(struct dod_mapping *m, u64 start, u64 last)
{
	m->first = (struct dod_range) {
		.start = start, .last = last, .dir = m->dir, .state = DOD_OWNED, .leads = true,
	};
	m->first_used = true;
	rb_set_parent_color(&m->first.rb, NULL, RB_BLACK);
	m->ranges.rb_node = &m->first.rb;
}

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
__owner void dod_poison_new(struct dod_mapping *m, u64 start, u64 last, bool fresh);
__owner void dod_poison_plain(struct dod_mapping *m, bool fresh);
__owner void dod_poison_region(struct dod_area *a, u64 start, u64 last);
__owner void dod_repoison_region(struct dod_area *a, u64 start, u64 last);
__owner bool dod_is_alone(const struct dod_mapping *m, u64 start, u64 last);
__owner void dod_repoison(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last);
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

__owner void dod_poison_stale(struct dod_area *a, u64 start, u64 last);
__owner void dod_stale_begin(struct dod_mapping *m);
__owner void __dod_stale_drop(struct dod_area *a, u64 start, u64 last);
__owner void __dod_stale_forget(u64 start, u64 last);
__owner bool dod_stale_drop_uncertain(struct dod_area *a, u64 byte);
__owner bool dod_stale_is_left(const struct dod_call *call, const struct dod_mapping *m);
__owner bool dod_stale_keep(struct dod_area *a, struct dod_mapping *m);

/*
 * The CPU owns [start, last] of a mapping from now on: may bytes of ended mappings stay stale
 * there? While the poison stands, the memory has not been freed.
 */
static inline bool stays_stale(u64 start, u64 last)
{
	if (likely(!atomic_read(&dod_nr_stale)) || !dod_poison_ops.is_poisoned)
		return false;
	start = round_up(start, GRANULE);
	return start <= last && dod_poison_ops.is_poisoned(phys_to_virt(start));
}

/* For any range. No lock is held. */
static inline void dod_stale_forget(u64 start, u64 last)
{
	if (unlikely(atomic_read(&dod_nr_stale)))
		__dod_stale_forget(start, last);
}

static inline void stale_drop(struct dod_area *a, u64 start, u64 last)
{
	if (unlikely(atomic_read(&dod_nr_stale)))
		__dod_stale_drop(a, start, last);
}

/* overlap.c */
__owner void __dod_forget_edges(struct dod_area *a, u64 start, u64 last, u64 margin);
__owner void __dod_overlap_to_device(struct dod_area *a, struct dod_mapping *m, u64 start,
				     u64 last, bool fresh, bool lone);
__owner void dod_copy_edges(struct dod_area *a, struct dod_mapping *m);
__owner void dod_overlap_spanning(u64 start, u64 last);

/*
 * The device of @m owns [start, last] since dod_ranges_to_device(). @fresh: it owned nothing
 * of that before. @lone: it is known that no other mapping of its tree overlaps @m.
 */
static __always_inline void overlap_to_device(struct dod_area *a, struct dod_mapping *m, u64 start,
					      u64 last, bool fresh, bool lone)
{
	/* Nearly always there is no other mapping, and no line of any. */
	if (likely(!m->content && !a->region && !READ_ONCE(dod_by_phys->spanning.nr) &&
		   (lone || only_mapping(a->page) == m)) &&
	    (m->dir == DMA_TO_DEVICE || !READ_ONCE(dod_widest_line)))
		return;
	__dod_overlap_to_device(a, m, start, last, fresh, lone);
}

static inline void forget_edges(struct dod_area *a, u64 start, u64 last)
{
	u64 margin = READ_ONCE(dod_widest_line);

	if (unlikely(margin))
		__dod_forget_edges(a, start, last, margin);
}

/* record.c */
/* An address, physical or of a device. */
struct dod_place {
	const struct device *dev;	/* NULL: physical */
	u64 at, near;
	u64 until;			/* of ended mappings, one that had ended by then; 0: any */
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
__owner struct dod_mapping *dod_record_next(struct dod_call *call, struct dod_mapping *leader,
					    u64 dma_addr, u64 size);
__owner void __dod_records_put(struct dod_call *call);
__owner void dod_note_caller(const struct dod_call *call, struct dod_who *who,
			     struct dod_frame *frames, unsigned int depth);
__owner void dod_history_put(struct dod_mapping *m, struct dod_pool_list *left);
__owner bool dod_history_find(const struct dod_place *p, struct dod_mapping *copy);

/* device.c */
extern struct dod_pool dod_device_pool;
__owner void dod_device_stop(void);
__owner struct dod_device *dod_device_get(const struct device *dev);
__owner void dod_note_unmatched(const struct dod_call *call, enum dod_unmatched_call what,
				u64 dma_addr, u64 size);
__owner bool dod_device_maps_directly(const struct device *dev);

/* result.c */
/* What the device did not write of a list. */
struct dod_unwritten {
	struct dod_mapping *m;	/* a copy of the first entry of which it wrote nothing, or NULL */
	u64 from;		/* where what it could have written of that begins */
	u64 bytes;		/* in all */
	bool touched;		/* it wrote to another entry: a short answer fills some of a list */
	u64 ended;		/* of an unmap: when the next entry ends, by local_clock() */
	struct dod_pool_list left;	/* records that are free again */
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
	result->turn.device = NULL;
}

static inline bool result_any(const struct dod_content_result *result)
{
	return unlikely(result->types || result->lost);
}

/* owner.c */
/* What an event does to a range of a mapping. */
struct dod_transition {
	enum dod_api api;	/* for the trace */
	bool hand_over;		/* the history has it, and the trace if it changes nothing, too */
	bool for_cpu;		/* a sync: idle with DMA_TO_DEVICE of what the device may write */
	bool for_device;	/* a sync: idle with DMA_FROM_DEVICE of what it only reads */
	bool to_device;		/* the device owns the range then; else the CPU does */
	bool stamp_sync;	/* note who calls as the last sync_for_device */
	bool bounced_only;	/* only for mappings that may be bounced */
	bool unless_bounced;	/* not for these: they do need syncs */
	bool compare;		/* the content, and look for lost writes and for freed memory */
	bool watch_writes;	/* a write of the CPU must be synced from now on (rule 9) */
	bool untrap;		/* all of the mapping: accesses do not trap any more */
	bool count_unmatched;	/* count the calls, in @counter, and those for no mapping */
	enum dod_counter counter;
	enum keep keep;		/* what stays as it is where the CPU owns it, unless @for_cpu */
};

extern const struct dod_transition dod_transitions[];

/* sync.c */
__owner bool dod_dma_is_known(const struct device *dev, u64 dma_addr);

__owner u64 dod_to_cpu_single(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
			      enum keep keep);
__owner void dod_to_device_single(struct dod_area *a, struct dod_mapping *m, u64 start,
				  u64 last, u8 dir, bool lone);
__owner bool dod_change_owner(struct dod_area *a, const struct dod_call *call,
			      struct dod_mapping *m, u64 start, u64 *to,
			      struct dod_content_result *result);

/* handover.c */
DECLARE_STATIC_KEY_TRUE(dod_history_key);

__owner struct dod_frame dod_find_caller(const struct dod_mapping *m);

/* How the stacks of syncs for the device begin: with the core's frame, unless @depth is 0. */
struct dod_core_entry {
	struct dod_frame core;
	u8 depth;
};

extern struct dod_core_entry dod_core_entries[DOD_IOVA + 1];

/* The same as dod_find_caller(), of most syncs. */
static __always_inline struct dod_frame caller_of_sync(const struct dod_mapping *m)
{
	const struct dod_core_entry *entry = &dod_core_entries[m->sync_kind];
	u8 depth = READ_ONCE(entry->depth);

	if (likely(!depth || (depth == 1 && m->sync.nr_frames > 1 &&
			      m->sync_frames[0].off == READ_ONCE(entry->core.off))))
		return m->sync_frames[depth];
	return dod_find_caller(m);
}

/* A length as far as it fits, and enum dod_kind of the call. */
#define HANDOVER_KIND	30
#define HANDOVER_LEN	(BIT(HANDOVER_KIND) - 1)

static __always_inline u32 handover_how(u64 len, u8 kind)
{
	return (u32)min_t(u64, len, HANDOVER_LEN) | (u32)kind << HANDOVER_KIND;
}

/*
 * Remembers a sync of [start, last]. The last one for the device is in @sync, with its stack; what
 * was there is kept. The physical lock is held.
 */
static __always_inline void note_handover(const struct dod_call *call, struct dod_mapping *m,
					  u64 start, u64 last)
{
	if (!call->event->stamp_sync) {
		if (m->other_sync.when)
			m->forgot_sync = true;
		m->other_sync.how = handover_how(last - start + 1, call->kind);
		m->other_sync.when = call->when;
		m->other_sync.first = start - m->start;
		m->other_sync.by = dod_frame_pack(call->caller);
		return;
	}
	if (m->sync_len) {
		if (m->sync_before.when)
			m->forgot_sync = true;
		m->sync_before.when = m->sync.when;
		m->sync_before.first = m->sync_off;
		m->sync_before.how = handover_how(m->sync_len, m->sync_kind);
		m->sync_before.by = caller_of_sync(m);
	}
	m->sync_kind = call->kind;
}

__owner void dod_turn_begin(struct dod_turn *t, const struct dod_call *call,
			    struct dod_mapping *m, u64 start, u64 last);
__owner void dod_turn_end(struct dod_turn *t, struct dod_mapping *m, u64 last);
__owner void dod_turn_unmap(struct dod_turn *t, struct dod_mapping *m);
__owner void dod_turn_free(struct dod_mapping *m);
__owner void dod_trace_map(const struct dod_call *call);

/* What was gathered is emitted. No lock is held. */
static __always_inline void emit_turn(struct dod_turn *t)
{
	if (unlikely(t->device))
		dod_trace_turn(t);
}

/* unmap.c */
__owner void dod_end_unlinked(struct dod_mapping *m);
__owner void dod_end_dma_tree(struct dma_tree *tree);
__owner void dod_end_tree(struct index_tree *tree);
__owner struct dod_mapping *dod_find_iova(struct dma_tree *tree, const struct dod_call *call,
					  u64 start, u64 last);

/* profile.c */
#define SITE_BITS	9
#define SITE_PROBES	8U
#define NR_SITE_SLOTS	(BIT(SITE_BITS) + SITE_PROBES)
#define SITE_FRAMES	6U
#define SITE_WORDS	(SITE_FRAMES * sizeof(struct dod_frame) / sizeof(long))

/* Where memory is mapped for a device. Constant once it is in the table. */
struct dod_map_site {
	u64 key;			/* site_key(): 64 bits, so that no two are equal */
	struct dod_profile __percpu *profile;
	struct dod_map_site *next;	/* of the spare ones */
	struct dod_device *device;
	u64 since;			/* local_clock() of the first mapping */
	u8 kind, dir, nr_frames;
	bool owned_at_map;
	struct dod_frame frames[DOD_MAP_FRAMES];	/* of the first mapping */
};

extern struct dod_map_site *dod_sites[NR_SITE_SLOTS];

__owner unsigned int dod_site_search(const struct dod_mapping *m);
__owner void dod_profile_map_odd(const struct dod_call *call, const struct dod_mapping *m,
				 struct dod_profile __percpu *p);
__owner void dod_profile_sync(const struct dod_mapping *m, bool to_device, u64 bytes);
__owner void dod_profile_untrap(const struct dod_mapping *m);
__owner void dod_profile_of_device(const struct dod_device *copy, struct dod_profile *sum);
__owner void dod_profile_start(void);
__owner void dod_profile_stop(void);

/* The device, the direction in its lowest bits, and the innermost frames, mixed. */
static __always_inline u64 site_key(const struct dod_mapping *m, const unsigned long *frames)
{
	u64 key = (unsigned long)m->device | m->dir;
	unsigned int i;

	for (i = 0; i < SITE_WORDS; i++)
		key = (key ^ frames[i]) * GOLDEN_RATIO_64;
	return key;
}

/* The first slot that is tried. */
static __always_inline unsigned int site_slot(u64 key)
{
	return key >> (64 - SITE_BITS);
}

/* m->site is one more than a slot. */
static __always_inline struct dod_map_site *site_of(const struct dod_mapping *m)
{
	return (dod_sites - 1)[m->site];
}

/* Sets the site of a new mapping; NULL if there is no room for it. */
static __always_inline const struct dod_map_site *find_site(struct dod_mapping *m)
{
	const struct dod_map_site *site;
	unsigned int slot;
	u64 key;

	static_assert(IS_ALIGNED(offsetof(struct dod_mapping, map_frames), sizeof(long)));
	if (likely(m->map.nr_frames >= SITE_FRAMES)) {
		key = site_key(m, (const unsigned long *)m->map_frames);
		slot = site_slot(key);
		site = READ_ONCE(dod_sites[slot]);
		if (likely(site && site->key == key)) {
			m->site = slot + 1;
			return site;
		}
	}
	m->site = dod_site_search(m);
	return m->site ? site_of(m) : NULL;
}

/* Counts a new mapping, which nobody can end yet. @size: its bytes. */
static __always_inline void profile_count(const struct dod_call *call, const struct dod_mapping *m,
					  const struct dod_map_site *site, u64 size)
{
	struct dod_profile __percpu *p = site->profile;
	u64 start = m->start, far;

	this_cpu_inc(p->sizes[fls64(size) - 1]);
	this_cpu_add(p->bytes, size);
	this_cpu_write(p->when, m->map.when);
	if (m->memory & DOD_MEM_SLAB) {
		this_cpu_inc(p->slab);
		far = start - this_cpu_read(p->start);
		if (!far)
			this_cpu_inc(p->again);
		else if (far == size)
			this_cpu_inc(p->onward);
		this_cpu_write(p->start, start);
	}
	if (unlikely(m->bounced || m->trap != DOD_TRAP_ALL))
		dod_profile_map_odd(call, m, p);
}

/* A single mapping, or the first one of a list. */
static __always_inline void profile_map(const struct dod_call *call, struct dod_mapping *m,
					u64 size)
{
	const struct dod_map_site *site;

	if (!static_branch_likely(&dod_profiling))
		return;
	site = find_site(m);
	if (likely(site))
		profile_count(call, m, site, size);
}

/* The next one of a list, which has the site of the first. */
static __always_inline void profile_map_next(const struct dod_call *call, struct dod_mapping *m,
					     const struct dod_mapping *leader, u64 size)
{
	if (!static_branch_likely(&dod_profiling) || !leader->site)
		return;
	m->site = leader->site;
	profile_count(call, m, site_of(m), size);
}

/* A mapping that was counted has ended at @now. Clocks differ: the last bin is for less than 0. */
static __always_inline void profile_unmap(const struct dod_mapping *m, u64 now)
{
	if (static_branch_likely(&dod_profiling) && likely(m->site))
		this_cpu_inc(site_of(m)->profile->times[dod_profile_bin(now - m->map.when)]);
}

/* free.c */
extern atomic_t dod_nr_leaked;

/* Was some of [start, last] freed, as far as the guard knows? The physical lock is held. */
static __always_inline bool was_freed(const struct dod_mapping *m, u64 start, u64 last)
{
	return dod_mem_ops.freed && m->trap != DOD_TRAP_NONE && !m->unfit && !m->freed &&
	       unlikely(dod_mem_ops.freed(start, last));
}

__owner struct dod_range *dod_freed_range(struct dod_mapping *m, u64 start, u64 last);
__owner bool dod_find_freed(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
			    struct dod_content_result *result);
__owner void dod_check_reuse(const struct dod_mapping *m);

#endif /* DOD_OWNER_INTERNAL_H */
