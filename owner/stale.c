// SPDX-License-Identifier: GPL-2.0
/*
 * Stale bytes: the device is done with them, but they were not synced for the CPU. They are
 * what rule 6b leaves of a live mapping, or what rule 3b leaves of one that has ended and
 * stays in the index for them. The caller holds the lock of the shard, unless a function says
 * otherwise. No spanning mapping has stale bytes.
 */
#include "internal.h"

/* So many ended mappings at most: they hold records, which map calls need more. */
#define MAX_STALE	1024

atomic_t dod_nr_stale;

/*
 * Counts calls of the DMA API where KASAN is off: in interrupts of code that has turned it
 * off for itself, as the page allocator does while it clears a page. Writes there do not
 * trap, such as TCP's to the tailroom of a packet. So what became stale before such a call
 * is no longer certain to be stale.
 */
static atomic_t nr_unseen;

/**
 * dod_owner_note_unseen() - the DMA API is called where KASAN is off
 */
void dod_owner_note_unseen(void)
{
	atomic_inc(&nr_unseen);
}

/* To be called before some of the mapping becomes stale. */
void dod_stale_begin(struct dod_mapping *m)
{
	if (!dod_has_state(m, DOD_STALE))
		m->unseen = (u8)atomic_read(&nr_unseen);
}

/* Nothing of an ended mapping is stale any more. */
void dod_stale_end(struct index_tree *shard, struct dod_mapping *m)
{
	dod_unindex_phys(shard, m);
	atomic_dec(&dod_nr_stale);
	dod_mapped_pages_del(m);
	dod_history_put(m);
}

static void repoison(struct index_tree *shard, u64 start, u64 last)
{
	dod_poison_ops.unpoison(start, last);
	dod_poison_region(shard, start, last);
}

/*
 * [start, last], which lies in one region, is written, mapped, synced or freed: no ended
 * mapping's bytes there are stale any more. See stale_drop().
 */
void __dod_stale_drop(struct index_tree *shard, u64 start, u64 last)
{
	struct dod_mapping *m, *next;

	for_each_indexed_safe(m, next, shard, start, last) {
		u64 from = max(start, m->start), to = min(last, m->last);

		if (!m->ended || !dod_ranges_to_cpu(m, from, &to, KEEP_NONE))
			continue;
		repoison(shard, from, to);
		if (RB_EMPTY_ROOT(&m->ranges.rb_root))
			dod_stale_end(shard, m);
	}
}

/* The same for any range. No lock is held. */
void dod_stale_forget(u64 start, u64 last)
{
	if (unlikely(atomic_read(&dod_nr_stale)))
		in_each_region(start, last, stale_drop);
}

/* Drops the stale ranges at a byte that writes may have changed unseen; returns if any. */
bool dod_stale_drop_uncertain(struct index_tree *shard, u64 byte)
{
	struct dod_mapping *m, *next;
	bool dropped = false;

	for_each_indexed_safe(m, next, shard, byte, byte) {
		struct dod_range *r = dod_range_first(m, byte, byte);
		u64 from, to;

		if (!r || r->state != DOD_STALE || m->unseen == (u8)atomic_read(&nr_unseen))
			continue;
		from = r->start;
		to = r->last;
		dod_ranges_to_cpu(m, from, &to, KEEP_NONE);
		repoison(shard, from, to);
		if (m->ended && RB_EMPTY_ROOT(&m->ranges.rb_root))
			dod_stale_end(shard, m);
		dod_count(DOD_C_STALE_DOUBTED);
		dropped = true;
	}
	return dropped;
}

/*
 * Rule 3b: does an unmap with DMA_ATTR_SKIP_CPU_SYNC leave stale what the device owned and
 * may have written? Spanning mappings are only counted. No lock is held.
 */
bool dod_stale_is_left(const struct dod_call *call, const struct dod_mapping *m)
{
	if (likely(!(call->attrs & DMA_ATTR_SKIP_CPU_SYNC)) || m->dir == DMA_TO_DEVICE ||
	    m->not_ram || m->freed || m->trap == DOD_TRAP_NONE || !READ_ONCE(dod_armed))
		return false;
	if (!m->line && !(m->bounced && dod_is_bounced(call->dev, m->start, m->dma_addr)))
		return false;
	if (m->spanning || atomic_read(&dod_nr_stale) >= MAX_STALE || !DOD_MEMCPY_CHECKED) {
		dod_count(DOD_C_UNTRACKED_STALE);
		return false;
	}
	return true;
}

/* The mapping has ended, and stays indexed if any of it is stale: returns whether. */
bool dod_stale_keep(struct index_tree *shard, struct dod_mapping *m)
{
	struct dod_range *r, *next;

	dod_stale_begin(m);
	for_each_range_safe(r, next, m, m->start, m->last) {
		u64 start = r->start, last = r->last;
		bool was_pending = r->state == DOD_PENDING;

		if (was_pending || r->dir == DMA_TO_DEVICE)
			dod_range_remove(m, r);
		else
			r->state = DOD_STALE;
		if (was_pending)
			continue;
		dod_add_edges(m, &start, &last);
		repoison(shard, start, last);
	}
	if (RB_EMPTY_ROOT(&m->ranges.rb_root))
		return false;
	atomic_inc(&dod_nr_stale);
	dod_count(DOD_C_STALE_MAPPINGS);
	/* dod_poison_region() leaves it out: the memory may have another owner one day. */
	dod_poison_ranges(m, m->start, m->last);
	return true;
}
