// SPDX-License-Identifier: GPL-2.0
/*
 * The content of what devices own: fingerprints of what they may only read, a
 * copy of what lies behind what they may write, patterns that they are to
 * overwrite, and the CPU's writes to what it does not give back.
 *
 * No lock of its own. What a mapping has here is protected by its phys lock (its
 * shard's, or the wide one), but for its making and its end. What is found under
 * that lock is put into a struct dod_content_result, and printed after all locks.
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
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/hash.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>

#define BLOCK		DOD_BLOCK
/* An event that may have changed content unseen counts for so long, too. */
#define DOUBT		(100ULL * NSEC_PER_MSEC)

#define GRANULE		8ULL

static struct dod_pool pool;
static u64 doubted;	/* local_clock() of the last such event */
static atomic_t invalidations;	/* how many there were */

static DEFINE_PER_CPU(unsigned int, content_turn);
static DEFINE_PER_CPU(unsigned int, watch_turn);

static u64 size_of(const struct dod_mapping *m)
{
	return m->last - m->start + 1;
}

static bool overlap(u64 start, u64 last, u64 from, u64 to)
{
	return start <= to && last >= from;
}

/* Is it this mapping's turn? */
static bool chosen(void)
{
	unsigned int every = max(READ_ONCE(dod_params.content_sample), 1U);

	switch (READ_ONCE(dod_params.content)) {
	case DOD_CONTENT_OFF:
		return false;
	case DOD_CONTENT_SAMPLE:
		return !(this_cpu_inc_return(content_turn) % every);
	default:
		return true;
	}
}

static struct dod_content *content_get(void)
{
	struct dod_content *c = dod_pool_get(&pool);

	if (!c) {
		dod_count(DOD_C_CONTENT_POOL_EMPTY);
		return NULL;
	}
	memset(c, 0, offsetof(struct dod_content, block));
	c->invalidations = atomic_read(&invalidations);
	return c;
}

/**
 * dod_content_invalidate_all() - content may change now, or have changed, unseen
 *
 * What was mapped before, or is just being mapped, is not judged by its content.
 *
 * Context: any, also NMI.
 */
void dod_content_invalidate_all(void)
{
	WRITE_ONCE(doubted, local_clock());
	atomic_inc(&invalidations);
}

/* Is the mapping so young that what is doubted may still go on? */
static bool is_invalid(const struct dod_mapping *m)
{
	return m->map.when <= READ_ONCE(doubted) + DOUBT;
}

/**
 * dod_content_was_invalidated() - has content been doubted since it was known?
 * @c: what is known
 *
 * By counting: the clocks of CPUs may differ.
 *
 * Context: any.
 */
bool dod_content_was_invalidated(const struct dod_content *c)
{
	return c->invalidations != atomic_read(&invalidations);
}

/**
 * dod_content_of() - what is known of a mapping's content, begun if nothing is
 * @m: the mapping
 *
 * Context: any but NMI, phys lock held.
 *
 * Return: NULL where nothing can be known.
 */
struct dod_content *dod_content_of(struct dod_mapping *m)
{
	if (!m->content && READ_ONCE(dod_params.content) != DOD_CONTENT_OFF &&
	    !is_invalid(m))
		m->content = content_get();
	return m->content;
}

/* === Fingerprints ========================================================= */

/*
 * No function of lib/: those are instrumented, and the memory is poisoned. What
 * is to be noticed are bytes that changed, not somebody who wants to deceive.
 */
static u64 hash_word(u64 h, u64 word)
{
	return rol64(h ^ word, 29) * GOLDEN_RATIO_64;
}

/* At most a block. */
static u32 hash_bytes(const u8 *p, const u8 *end)
{
	u64 h = 0, word = 0;
	unsigned int i;

	if (likely(end - p == BLOCK)) {
		/* Unrolled: this is most of what knowing the content costs. */
		for (i = 0; i < BLOCK; i += sizeof(u64))
			h = hash_word(h, get_unaligned((const u64 *)(p + i)));
		return h ^ h >> 32;
	}
	for (; end - p >= sizeof(u64); p += sizeof(u64))
		h = hash_word(h, get_unaligned((const u64 *)p));
	while (p < end)
		word = word << 8 | *p++;
	h = hash_word(h, word);
	return h ^ h >> 32;
}

static noinline bool hash_kfence(u64 start, unsigned int nr, u32 *print)
{
	u8 copy[BLOCK];

	if (!dod_memory_read(start, copy, nr))
		return false;
	*print = hash_bytes(copy, copy + nr);
	return true;
}

/* @kfence: memory of KFENCE's, perhaps. False if it is not there any more. */
static __always_inline bool hash_block(u64 start, u64 last, bool kfence, u32 *print)
{
	const u8 *p = phys_to_virt(start), *end = p + (last - start + 1);

	if (unlikely(kfence))
		return hash_kfence(start, end - p, print);
	*print = hash_bytes(p, end);
	return true;
}

/* Blocks go by where they are in the mapping; the middle of a long one has none. */
static void block_at(const struct dod_mapping *m, unsigned int slot, u64 *start,
		     u64 *last)
{
	const struct dod_content *c = m->content;
	u64 block = slot < c->head ? slot : slot + c->skipped;

	*start = m->start + block * BLOCK;
	*last = min(*start + BLOCK - 1, m->last);
}

static void begin_fingerprints(struct dod_mapping *m)
{
	u64 blocks = DIV_ROUND_UP(size_of(m), BLOCK);
	struct dod_content *c;
	unsigned int most;

	if (dod_report_is_off(DOD_R_TO_DEVICE_CHANGED) || !chosen())
		return;
	if (!dod_guard.traps && dod_memory_may_change(m->start)) {
		dod_count(DOD_C_UNJUDGED_CONTENT);
		return;
	}
	if (is_invalid(m)) {
		dod_count(DOD_C_CONTENT_DOUBTED);
		return;
	}
	c = content_get();
	if (!c)
		return;
	most = clamp(READ_ONCE(dod_params.content_max) / BLOCK, 2U, DOD_BLOCKS);
	c->slots = min(blocks, most);
	c->head = c->slots < blocks ? c->slots / 2 : c->slots;
	c->skipped = blocks - c->slots;
	if (c->skipped)
		dod_count(DOD_C_CONTENT_PARTIAL);
	dod_count(DOD_C_CONTENT_MAPPINGS);
	m->content = c;
}

/* The slots of the blocks that [start, last] touches, as bits; most touch few. */
static u64 slots_touched(const struct dod_mapping *m, u64 start, u64 last)
{
	const struct dod_content *c = m->content;
	u64 from = (max(start, m->start) - m->start) / BLOCK;
	u64 to = (min(last, m->last) - m->start) / BLOCK;

	/* Into slots; what is in the middle begins with the end and ends with the head. */
	if (from >= c->head)
		from = max_t(u64, from, c->head + c->skipped) - c->skipped;
	if (to >= c->head)
		to = to >= c->head + c->skipped ? to - c->skipped : c->head - 1ULL;
	return from <= to ? GENMASK_ULL(to, from) : 0;
}

/* The lowest slot of a set that is not empty, taken out of it. */
static unsigned int next_slot(u64 *slots)
{
	unsigned int slot = __ffs64(*slots);

	*slots &= *slots - 1;
	return slot;
}

static void forget_blocks(struct dod_mapping *m, u64 start, u64 last)
{
	m->content->valid &= ~slots_touched(m, start, last);
}

/* The slots of the blocks that are wholly in a range. */
static u64 slots_in(const struct dod_mapping *m, const struct dod_range *range)
{
	u64 slots = slots_touched(m, range->start, range->last), in = slots, from, to;

	while (slots) {
		unsigned int slot = next_slot(&slots);

		block_at(m, slot, &from, &to);
		if (from < range->start || to > range->last)
			in &= ~BIT_ULL(slot);
	}
	return in;
}

/* The blocks of [start, last] that are wholly in @range. */
static void hash_blocks(struct dod_mapping *m, u64 start, u64 last,
			const struct dod_range *range)
{
	u64 slots = slots_touched(m, start, last), gone = 0, from, to;
	bool kfence = dod_is_kfence(m->start, m->last);
	struct dod_content *c = m->content;

	if (m->start < range->start || m->last > range->last)
		slots &= slots_in(m, range);
	c->valid |= slots;
	while (slots) {
		unsigned int slot = next_slot(&slots);

		block_at(m, slot, &from, &to);
		if (!hash_block(from, to, kfence, &c->block[slot]))
			gone |= BIT_ULL(slot);
	}
	c->valid &= ~gone;
}

/*
 * A sync for the CPU does not lose what changed: nobody but the sanitizer may have
 * overlooked who wrote it, and rule 4 lets the CPU sync it for the device later.
 */
static void compare_blocks(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	u64 slots = c->valid & slots_touched(m, start, last), from, to;
	bool kfence = dod_is_kfence(m->start, m->last);
	bool doubtful = dod_content_was_invalidated(c);
	u32 print;

	c->valid &= ~slots;
	while (slots) {
		unsigned int slot = next_slot(&slots);

		block_at(m, slot, &from, &to);
		/* What has been freed meanwhile is not there any more. */
		if (unlikely(!hash_block(from, to, kfence, &print)) || likely(c->block[slot] == print))
			continue;
		if (doubtful) {
			dod_count(DOD_C_CONTENT_DOUBTED);
			continue;
		}
		c->changed |= BIT_ULL(slot);
	}
}

/* Of what was found at a sync these blocks are the device's again: as a whole, perhaps. */
static void changed_given(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	u64 slots;

	if (likely(!c->changed))
		return;
	slots = slots_touched(m, start, last);
	if (!(c->changed & slots))
		return;
	c->changed &= ~slots;
	dod_count(DOD_C_CONTENT_GIVEN_BACK);
}

static void changed_found(const struct dod_mapping *m, struct dod_content_result *found)
{
	u64 changed = m->content->changed, start, last;

	found->types |= BIT(DOD_R_TO_DEVICE_CHANGED);
	found->blocks = hweight64(changed);
	block_at(m, __ffs64(changed), &start, &last);
	found->from = start - m->start;
	block_at(m, fls64(changed) - 1, &start, &last);
	found->to = last - m->start;
}

/*
 * Page tables of user space do not show in the shadow. Pages that only the kernel
 * uses are in none, but drivers can lend theirs.
 */
static bool is_lent(const struct dod_mapping *m)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(m->start)));

	return !folio_test_slab(folio) && folio_mapped(folio);
}

/* === Behind the buffer ==================================================== */

/*
 * The device may be behind an IOMMU: then only that knows whether it writes to
 * the buffer itself.
 */
static bool is_bounced(const struct dod_call *call, const struct dod_mapping *m)
{
	return m->bounced && dod_is_bounced(call->dev, m->start, m->dma_addr);
}

/* Reading it would pull a line that a device writes into the cache. */
static bool is_checked_after(const struct dod_call *call,
			     const struct dod_mapping *m)
{
	return m->device->coherent && !dod_report_is_off(DOD_R_DEVICE_OVERRUN) &&
	       !is_bounced(call, m) && !is_invalid(m);
}

static void begin_after(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_content *c;
	unsigned int nr, i;
	u64 start;

	if (!dod_mem_ops.redzone_bytes || !chosen() || !is_checked_after(call, m) ||
	    dod_is_kfence(m->start, m->last))
		return;
	nr = dod_mem_ops.redzone_bytes(m, DOD_BYTES_AFTER, &start);
	if (!nr)
		return;
	c = content_get();
	if (!c)
		return;
	c->after = start;
	c->nr_after = nr;
	for (i = 0; i < nr; i++) {
		c->bytes[i] = READ_ONCE(*(u8 *)phys_to_virt(start + i));
		c->state[(start % GRANULE + i) / GRANULE] = dod_mem_ops.state(start + i);
	}
	m->content = c;
}

static void compare_after(struct dod_mapping *m, struct dod_content_result *found)
{
	struct dod_content *c = m->content;
	unsigned int i;

	found->overrun = 0;
	for (i = 0; i < c->nr_after; i++) {
		u64 at = c->after + i;
		u8 is = READ_ONCE(*(u8 *)phys_to_virt(at));

		if (likely(is == c->bytes[i]))
			continue;
		/* The object was resized, or is another one by now. */
		if (c->state[(c->after % GRANULE + i) / GRANULE] !=
		    dod_mem_ops.state(at))
			continue;
		if (dod_content_was_invalidated(c)) {
			dod_count(DOD_C_CONTENT_DOUBTED);
			return;
		}
		if (!found->overrun++) {
			found->far = at - m->last - 1;
			dod_change_show(&found->bytes, at, c->bytes + i, c->nr_after - i);
		}
	}
	if (found->overrun)
		found->types |= BIT(DOD_R_DEVICE_OVERRUN);
}

/* === Canaries ============================================================= */

#define CANARY	0xcadab1e5cadab1e5ULL

static u8 canary_byte(u64 phys)
{
	return CANARY >> phys % sizeof(u64) * 8;
}

/*
 * Not where the device would not write to this memory, and not where the pattern
 * would stay in the cache: on a device that is not coherent it would be written
 * back over what comes in. Nor in what KFENCE can take away.
 *
 * And not what may be a neighbour's. A guard without a shadow does not know of a mapping
 * that it is longer than its object; where pages end that were allocated as one, is known.
 */
static bool may_be_filled(const struct dod_call *call, const struct dod_mapping *m)
{
	if (!m->device->coherent || is_bounced(call, m) ||
	    dod_is_kfence(m->start, m->last))
		return false;
	if (dod_mem_ops.first_bad_byte != dod_guard_blind_first_bad_byte)
		return true;
	return page_ref_count(pfn_to_page(PHYS_PFN(m->start))) > 0 &&
	       !folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(m->start)))) &&
	       PHYS_PFN(m->last) <= dod_folio_last(PHYS_PFN(m->start));
}

static void begin_canary(const struct dod_call *call, struct dod_mapping *m)
{
	if (likely(!READ_ONCE(dod_params.canary)) || m->dir != DMA_FROM_DEVICE ||
	    m->spanning || dod_report_is_off(DOD_R_DEVICE_WROTE_NOTHING) ||
	    !READ_ONCE(dod_armed))
		return;
	if (!may_be_filled(call, m)) {
		dod_count(DOD_C_UNJUDGED_CANARY);
		return;
	}
	if (dod_report_is_filtered(DOD_R_DEVICE_WROTE_NOTHING, m->device))
		return;
	if (!m->content)
		m->content = content_get();
	if (m->content)
		m->content->canary = true;
}

static void fill(struct dod_content *c, u64 start, u64 last)
{
	u64 at;

	for (at = start; at <= last; at++)
		WRITE_ONCE(*(u8 *)phys_to_virt(at), canary_byte(at));
	c->fill = start;
	c->fill_last = last;
	c->filled = true;
	dod_count(DOD_C_CANARIES);
}

static bool is_untouched(const struct dod_content *c)
{
	u64 at;

	for (at = c->fill; at <= c->fill_last; at++)
		if (READ_ONCE(*(u8 *)phys_to_virt(at)) != canary_byte(at))
			return false;
	return true;
}

/* A part of it that comes back says nothing of the rest. */
static void compare_fill(struct dod_mapping *m, u64 start, u64 last, bool unmap,
			 struct dod_content_result *found)
{
	struct dod_content *c = m->content;

	if (!c->filled || !overlap(c->fill, c->fill_last, start, last))
		return;
	c->filled = false;
	if ((start == c->fill && last == c->fill_last) ||
	    (unmap && start <= c->fill && last >= c->fill_last)) {
		if (dod_content_was_invalidated(c) || !is_untouched(c)) {
			found->touched = true;
			return;
		}
		found->types |= BIT(DOD_R_DEVICE_WROTE_NOTHING);
		found->from = c->fill - m->start;
		found->untouched = c->fill_last - c->fill + 1;
	}
}

/* === Writes that are to be given back ===================================== */

static void unwatch(struct dod_content *c)
{
	if (c->watching)
		dod_poison_ops.watch(c->watch, c->watch_last, false);
	c->watching = false;
}

/* Some of [start, last] is the device's again: of a watch the rest goes on. */
static void given_back(struct dod_content *c, u64 start, u64 last)
{
	if (!c->watching || !overlap(c->watch, c->watch_last, start, last))
		return;
	if (start <= c->watch && last >= c->watch_last) {
		unwatch(c);
	} else if (start <= c->watch) {
		dod_poison_ops.watch(c->watch, last, false);
		c->watch = last + 1;
	} else if (last >= c->watch_last) {
		dod_poison_ops.watch(start, c->watch_last, false);
		c->watch_last = start - 1;
	} else {
		/* What is in the middle is not looked at while the device has it. */
		dod_poison_ops.watch(start, last, false);
	}
}

/* === Events, with the phys lock held ====================================== */

/**
 * dod_content_begin() - decide what to know of a new mapping's content
 * @call: the call that maps
 * @m: the mapping, in no index yet
 *
 * Memory that a map call does not hand over is left alone: drivers lend what
 * dma_alloc_noncontiguous() gives them to user space, or use it through a vmap.
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_content_begin(const struct dod_call *call, struct dod_mapping *m)
{
	if (m->trap != DOD_TRAP_ALL || call->wrong)
		return;
	if (m->dir != DMA_TO_DEVICE && call->to_device)
		begin_after(call, m);
	else if (call->to_device)
		begin_fingerprints(m);
	/* What is given by a sync later counts, too. */
	if (m->kind != DOD_PAGES)
		begin_canary(call, m);
}

/**
 * dod_content_end() - know nothing of a mapping's content any more
 * @m: the mapping
 *
 * Context: any but NMI, phys lock held.
 */
void dod_content_end(struct dod_mapping *m)
{
	if (!m->content)
		return;
	if (m->dir != DMA_TO_DEVICE)
		unwatch(m->content);
	dod_edges_end(m->content);
	dod_pool_put(&pool, m->content);
	m->content = NULL;
}

/**
 * dod_content_to_device() - the device has got a range
 * @m: the mapping, which has a content
 * @start: first byte
 * @last: last byte
 * @range: the range that it is now in, NULL if there is none
 * @fresh: the device had none of it before
 * @shared: another mapping overlaps it
 * @writable: one to which its device may write
 *
 * Context: any but NMI, phys lock held.
 */
void dod_content_to_device(struct dod_mapping *m, u64 start, u64 last,
			   const struct dod_range *range, bool fresh, bool shared,
			   bool writable)
{
	struct dod_content *c = m->content;

	if (m->dir != DMA_TO_DEVICE) {
		given_back(c, start, last);
		if (!c->canary)
			return;
		/* What one mapping is to send must not be overwritten. */
		if (fresh && !shared)
			fill(c, start, last);
		else
			c->filled = false;
		return;
	}
	changed_given(m, start, last);
	if (writable)
		dod_count(DOD_C_CONTENT_SHARED);
	if (writable || !range || range->dir != DMA_TO_DEVICE)
		forget_blocks(m, start, last);
	else
		hash_blocks(m, start, last, range);
}

/**
 * dod_content_overlap() - another mapping gives the device some of this one's
 * @m: this one, which has a content
 * @start: first byte that is given
 * @last: last byte
 * @writable: the device may write to it
 *
 * In-place ciphers map the same bytes DMA_TO_DEVICE and DMA_FROM_DEVICE. And what
 * the CPU wrote to one of several mappings is given back with any of them.
 *
 * Context: any but NMI, phys lock held.
 */
void dod_content_overlap(struct dod_mapping *m, u64 start, u64 last,
			 bool writable)
{
	if (m->dir != DMA_TO_DEVICE) {
		given_back(m->content, start, last);
		m->content->filled = false;
	} else if (writable) {
		forget_blocks(m, start, last);
	}
}

/**
 * dod_content_written() - the CPU writes, and the guard has noticed
 * @m: the mapping, which has a content
 * @start: first byte written
 * @last: last byte
 *
 * It has been reported or is not to be; what changes is known to be the CPU's.
 *
 * Context: any but NMI, phys lock held.
 */
void dod_content_written(struct dod_mapping *m, u64 start, u64 last)
{
	if (m->dir == DMA_TO_DEVICE)
		forget_blocks(m, start, last);
}

/**
 * dod_content_to_cpu() - the CPU is about to get a range
 * @call: the sync or unmap call
 * @m: the mapping, which has a content
 * @start: first byte
 * @last: last byte
 * @unmap: and all the rest
 * @found: what was found is added
 *
 * Context: any but NMI, phys lock held.
 */
void dod_content_to_cpu(const struct dod_call *call, struct dod_mapping *m,
			u64 start, u64 last, bool unmap, struct dod_content_result *found)
{
	if (m->dir == DMA_TO_DEVICE) {
		compare_blocks(m, start, last);
		if (unmap && m->content->changed)
			changed_found(m, found);
		return;
	}
	dod_edges_to_cpu(m, start, last, unmap, found);
	compare_fill(m, start, last, unmap, found);
	if (unmap)
		compare_after(m, found);
}

/**
 * dod_content_watch() - the CPU has got a range by a sync
 * @call: the sync
 * @m: the mapping
 * @start: first byte
 * @last: last byte
 *
 * Its writes to it are remembered, because an unmap or another sync would discard
 * them. A mapping has one such range at a time, the last one.
 *
 * Context: any but NMI, phys lock held; the range is not guarded any more.
 */
void dod_content_watch(const struct dod_call *call, struct dod_mapping *m,
		       u64 start, u64 last)
{
	unsigned int every = READ_ONCE(dod_params.watch_writes);
	struct dod_content *c = m->content;

	if (likely(!m->line) || !dod_poison_ops.watch || !every || m->dir == DMA_TO_DEVICE ||
	    call->dir == DMA_TO_DEVICE || m->trap != DOD_TRAP_ALL || m->spanning ||
	    !READ_ONCE(dod_armed) ||
	    dod_report_is_off(DOD_R_MISSING_SYNC_FOR_DEVICE))
		return;
	if (this_cpu_inc_return(watch_turn) % every)
		return;
	if (c) {
		unwatch(c);
	} else {
		c = content_get();
		if (!c)
			return;
		m->content = c;
	}
	c->watch = start;
	c->watch_last = last;
	c->synced_by = call->caller;
	c->watching = true;
	dod_poison_ops.watch(start, last, true);
	dod_count(DOD_C_WATCHED_RANGES);
}

/**
 * dod_content_watches() - which writes of the CPU are to be remembered?
 * @m: a mapping, which has a content
 * @start: first byte that is written; of these, the first of interest
 * @last: last byte; likewise
 * @synced_by: return address of the sync for the CPU before them
 *
 * Context: any but NMI, phys lock held.
 *
 * Return: whether there are any.
 */
bool dod_content_watches(const struct dod_mapping *m, u64 *start, u64 *last,
			 unsigned long *synced_by)
{
	const struct dod_content *c = m->content;

	if (m->dir == DMA_TO_DEVICE || !c->watching ||
	    !overlap(c->watch, c->watch_last, *start, *last))
		return false;
	*start = max(*start, c->watch);
	*last = min(*last, c->watch_last);
	*synced_by = c->synced_by;
	return true;
}

/* === What was found, without locks ======================================== */

static bool changed_legally(const struct dod_mapping *m)
{
	if (!dod_map_permitted(DOD_R_TO_DEVICE_CHANGED, m) && !is_lent(m))
		return false;
	dod_count(DOD_C_ALLOWED_IDIOMS);
	return true;
}

static void report_changed(const struct dod_content_result *found,
			   const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = { .type = DOD_R_TO_DEVICE_CHANGED, .at = at };

	if (changed_legally(m))
		return;
	if (found->blocks == 1)
		scnprintf(f.text, sizeof(f.text),
			  "Bytes %llu to %llu (%u-byte block) of its %llu bytes",
			  found->from, found->to, BLOCK, size_of(m));
	else
		scnprintf(f.text, sizeof(f.text),
			  "Bytes %llu to %llu (%u blocks of %u bytes) of its %llu bytes",
			  found->from, found->to, found->blocks, BLOCK,
			  size_of(m));
	strlcat(f.text, " changed while the device owned them", sizeof(f.text));
	strlcat(f.text, dod_guard.unseen, sizeof(f.text));
	strlcat(f.text, ".\n", sizeof(f.text));
	dod_reads_describe(m->start + found->from, m->start + found->to, m->map.when, m,
			   f.text, sizeof(f.text));
	dod_report_mapping(&f, m);
}

static void report_overrun(const struct dod_content_result *found,
			   const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = {
		.type = DOD_R_DEVICE_OVERRUN,
		.at = at,
		.object = phys_to_virt(m->start),
		.change = found->bytes,
	};

	scnprintf(f.text, sizeof(f.text),
		  "%u byte%s behind the buffer changed while it was mapped, where nothing may write; the first is %u byte%s behind its end: it was 0x%02x and is 0x%02x.\n",
		  found->overrun, found->overrun == 1 ? "" : "s",
		  found->far + 1, found->far ? "s" : "",
		  found->bytes.was[0], found->bytes.is[0]);
	dod_report_mapping(&f, m);
}

static void report_untouched(const struct dod_content_result *found,
			     const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = { .type = DOD_R_DEVICE_WROTE_NOTHING, .at = at };

	if (dod_map_permitted(f.type, m)) {
		dod_count(DOD_C_UNJUDGED_CANARY);
		return;
	}
	scnprintf(f.text, sizeof(f.text),
		  "None of the %llu bytes from byte %llu on was written to while the device owned them (parameter canary).\n",
		  found->untouched, found->from);
	dod_report_mapping(&f, m);
}

/**
 * dod_content_report() - report what was found
 * @found: what
 * @m: the mapping, or a copy of it
 * @at: return address of the call that found it
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_content_report(const struct dod_content_result *found,
			const struct dod_mapping *m, unsigned long at)
{
	unsigned long flags;

	if (!READ_ONCE(dod_armed))
		return;
	flags = dod_quiet_begin();
	if (found->types & BIT(DOD_R_TO_DEVICE_CHANGED))
		report_changed(found, m, at);
	if (found->types & BIT(DOD_R_SHARED_LINE_WRITE))
		dod_edges_report(found, m, at);
	if (found->types & BIT(DOD_R_DEVICE_OVERRUN))
		report_overrun(found, m, at);
	if (found->types & BIT(DOD_R_DEVICE_WROTE_NOTHING))
		report_untouched(found, m, at);
	dod_quiet_end(flags);
}

/* === Start and stop ======================================================= */

/**
 * dod_content_start() - get ready
 * @reserve: mappings whose content can be known without allocating
 * @max: most mappings whose content can be known
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_content_start(unsigned int reserve,
		      unsigned int max)
{
	/* A mapping that was made before may belong to one that is made now. */
	dod_content_invalidate_all();
	return dod_pool_init(&pool, sizeof(struct dod_content), reserve, max) ?:
	       dod_edges_start(max);
}

/**
 * dod_content_stop() - free everything
 *
 * Context: process, may sleep; no mapping has a content any more.
 */
void dod_content_stop(void)
{
	dod_edges_stop();
	dod_pool_destroy(&pool);
}
