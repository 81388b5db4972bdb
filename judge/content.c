// SPDX-License-Identifier: GPL-2.0
/*
 * The content of mapped memory. What a device may only read has fingerprints, which are
 * compared when the device is done: that is to-device-changed. What a device may write is
 * received.c's, line_edges.c's and lost_writes.c's; their events come through here.
 *
 * No lock of its own: the content of a mapping is protected by its physical lock, except
 * while the mapping is made or ended. What is found under that lock is put into a struct
 * dod_content_result, and reported after all locks are dropped.
 */
#include "internal.h"
#include "fingerprint.h"

/* An event that may have changed content unseen counts for this long as well. */
#define UNSURE_NS	(100ULL * NSEC_PER_MSEC)

/* Most DMA_TO_DEVICE mappings have no more, and objects of a pool that have no room for more. */
#define FEW_BLOCKS	32

static struct dod_pool pool, few_pool;
static bool has_crc;		/* constant after dod_content_start() */
static u64 invalidated;		/* local_clock() of the last such event */
static atomic_t invalidations;	/* how many there were */

static DEFINE_PER_CPU(unsigned int, content_turn);

/* === What is known ======================================================== */

/* As the parameter content says: with content=sample, true for every so many calls. */
static bool is_chosen(void)
{
	u8 content = READ_ONCE(dod_params.content);

	if (content == DOD_CONTENT_SAMPLE)
		return !(this_cpu_inc_return(content_turn) %
			 max(READ_ONCE(dod_params.content_sample), 1U));
	return content != DOD_CONTENT_OFF;
}

static struct dod_content *begin_content(struct dod_mapping *m, struct dod_pool *from)
{
	struct dod_content *c = dod_pool_get(from);

	if (!c) {
		dod_count(DOD_C_CONTENT_POOL_EMPTY);
		return NULL;
	}
	c->invalidations = atomic_read(&invalidations);
	m->content = c;
	return c;
}

struct dod_content *dod_content_get(struct dod_mapping *m)
{
	struct dod_content *c = m->content;

	if (c)
		return c;
	c = begin_content(m, &pool);
	if (c) {
		c->edges = NULL;
		c->redzone_nr = 0;
		c->watching = false;
		c->canary = false;
		c->filled = false;
	}
	return c;
}

void dod_content_invalidate_all(void)
{
	WRITE_ONCE(invalidated, local_clock());
	atomic_inc(&invalidations);
}

/* May it still change unseen, a short time after dod_content_invalidate_all()? */
static bool is_unsure(const struct dod_mapping *m)
{
	return m->map.when <= READ_ONCE(invalidated) + UNSURE_NS;
}

bool dod_content_was_invalidated(const struct dod_content *c)
{
	return c->invalidations != atomic_read(&invalidations);
}

struct dod_content *dod_content_of(struct dod_mapping *m)
{
	if (m->content || (READ_ONCE(dod_params.content) != DOD_CONTENT_OFF && !is_unsure(m)))
		return dod_content_get(m);
	return NULL;
}

/* === Fingerprints ========================================================= */

/* Adds a block to a sum. @store: remember its fingerprint. */
static __always_inline u32 sum_block(u32 sum, const u8 *p, u16 *block, bool store, bool crc)
{
	u32 h = dod_hash_block(p, crc);

	if (store)
		*block = h;
	return sum * GOLDEN_RATIO_32 + h;
}

static __always_inline u32 sum_blocks(u32 sum, const u8 *p, const u8 *end, u16 *block, bool store,
				      bool crc)
{
	for (; crc && end - p >= 4 * DOD_BLOCK; p += 4 * DOD_BLOCK, block += 4) {
		sum = sum_block(sum, p, block, store, crc);
		sum = sum_block(sum, p + DOD_BLOCK, block + 1, store, crc);
		sum = sum_block(sum, p + 2 * DOD_BLOCK, block + 2, store, crc);
		sum = sum_block(sum, p + 3 * DOD_BLOCK, block + 3, store, crc);
	}
	for (; p < end; p += DOD_BLOCK, block++)
		sum = sum_block(sum, p, block, store, crc);
	return sum;
}

/* Of all blocks: those at the start, the others at the end, and the last one if it is short. */
static __always_inline u32 sum_all(const struct dod_mapping *m, bool store, bool crc)
{
	const u8 *start = phys_to_virt(m->start), *end = start + (m->last - m->start + 1);
	unsigned int rest = (m->last - m->start + 1) % DOD_BLOCK;
	unsigned int whole = m->content->slots - (rest ? 1 : 0);
	unsigned int head = min_t(unsigned int, m->content->head, whole);
	u16 *block = m->content->block;
	u32 sum, h;

	end -= rest;
	sum = sum_blocks(0, start, start + head * DOD_BLOCK, block, store, crc);
	if (head < whole)
		sum = sum_blocks(sum, end - (whole - head) * DOD_BLOCK, end, block + head, store,
				 crc);
	if (!rest)
		return sum;
	h = dod_hash_bytes(end, rest, crc);
	if (store)
		block[whole] = h;
	return sum * GOLDEN_RATIO_32 + h;
}

static u32 hash_all(const struct dod_mapping *m)
{
	return has_crc ? sum_all(m, true, true) : sum_all(m, true, false);
}

static bool is_unchanged(const struct dod_mapping *m)
{
	return m->content->sum == (has_crc ? sum_all(m, false, true) : sum_all(m, false, false));
}

static bool is_all(const struct dod_mapping *m, u64 start, u64 last)
{
	return start <= m->start && last >= m->last;
}

/* How many blocks in the middle of a long mapping have no slot. */
static u64 nr_skipped(const struct dod_mapping *m)
{
	return (m->last - m->start) / DOD_BLOCK + 1 - m->content->slots;
}

/* Blocks count from the start of the mapping. */
static void block_at(const struct dod_mapping *m, unsigned int slot, u64 *start, u64 *last)
{
	u64 block = slot < m->content->head ? slot : slot + nr_skipped(m);

	*start = m->start + block * DOD_BLOCK;
	*last = min(*start + DOD_BLOCK - 1, m->last);
}

static u16 hash_bytes(const u8 *p, unsigned int nr)
{
	return has_crc ? dod_hash_bytes(p, nr, true) : dod_hash_bytes(p, nr, false);
}

static noinline bool hash_kfence(u64 start, unsigned int nr, u16 *fingerprint)
{
	u8 copy[DOD_BLOCK];

	if (!dod_memory_read(start, copy, nr))
		return false;
	*fingerprint = hash_bytes(copy, nr);
	return true;
}

/* @kfence: the memory may be KFENCE's. Returns false if it is not there any more. */
static bool hash_slot(const struct dod_mapping *m, unsigned int slot, bool kfence,
		      u16 *fingerprint)
{
	u64 start, last;

	block_at(m, slot, &start, &last);
	if (unlikely(kfence))
		return hash_kfence(start, last - start + 1, fingerprint);
	*fingerprint = hash_bytes(phys_to_virt(start), last - start + 1);
	return true;
}

static void begin_fingerprints(struct dod_mapping *m)
{
	u64 blocks = (m->last - m->start) / DOD_BLOCK + 1;
	struct dod_content *c;
	unsigned int slots;

	if (dod_report_is_off(DOD_R_TO_DEVICE_CHANGED) || !is_chosen())
		return;
	if (!dod_guard.traps && dod_memory_may_change(m->start)) {
		dod_count(DOD_C_UNJUDGED_CONTENT);
		return;
	}
	if (is_unsure(m)) {
		dod_count(DOD_C_CONTENT_DOUBTED);
		return;
	}
	slots = clamp(READ_ONCE(dod_params.content_max) / DOD_BLOCK, 2U, DOD_BLOCKS);
	slots = min_t(u64, blocks, slots);
	c = begin_content(m, slots <= FEW_BLOCKS ? &few_pool : &pool);
	if (!c)
		return;
	c->slots = slots;
	c->head = slots < blocks ? slots / 2 : slots;
	c->summed = false;
	c->valid = 0;
	c->changed = 0;
	if (slots < blocks)
		dod_count(DOD_C_CONTENT_PARTIAL);
	dod_count(DOD_C_CONTENT_MAPPINGS);
}

/* The slots of the blocks that [start, last] touches, as bits. */
static u64 slots_touched(const struct dod_mapping *m, u64 start, u64 last)
{
	u64 from = (max(start, m->start) - m->start) / DOD_BLOCK;
	u64 to = (min(last, m->last) - m->start) / DOD_BLOCK;
	u64 head = m->content->head, skipped = nr_skipped(m);

	/* What begins in the middle begins with the end; what ends there ends with the head. */
	if (from >= head)
		from = max(from, head + skipped) - skipped;
	if (to >= head)
		to = to >= head + skipped ? to - skipped : head - 1;
	return from <= to ? GENMASK_ULL(to, from) : 0;
}

/* The same, but only of blocks that are wholly in @range, which has @start. */
static u64 slots_within(const struct dod_mapping *m, u64 start, u64 last,
			const struct dod_range *range)
{
	u64 slots = slots_touched(m, start, min(last, range->last));
	unsigned int first, final;

	if (!slots)
		return 0;
	/* All between these two are. */
	first = __ffs64(slots);
	final = fls64(slots) - 1;
	block_at(m, first, &start, &last);
	if (start < range->start)
		slots &= ~BIT_ULL(first);
	block_at(m, final, &start, &last);
	if (last > range->last)
		slots &= ~BIT_ULL(final);
	return slots;
}

/* The lowest slot of a set that is not empty, removed from it. */
static unsigned int next_slot(u64 *slots)
{
	unsigned int slot = __ffs64(*slots);

	*slots &= *slots - 1;
	return slot;
}

static void forget_blocks(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;

	c->valid &= ~slots_touched(m, start, last);
	c->summed = false;
}

/* The blocks of [start, last] that are wholly in @range. */
static noinline void hash_some(struct dod_mapping *m, u64 start, u64 last,
			       const struct dod_range *range)
{
	u64 slots = slots_within(m, start, last, range);
	bool kfence = dod_is_kfence(m->start, m->last);
	struct dod_content *c = m->content;

	c->summed = false;
	while (slots) {
		unsigned int slot = next_slot(&slots);

		if (hash_slot(m, slot, kfence, &c->block[slot]))
			c->valid |= BIT_ULL(slot);
		else
			c->valid &= ~BIT_ULL(slot);
	}
}

static void hash_blocks(struct dod_mapping *m, u64 start, u64 last, const struct dod_range *range)
{
	struct dod_content *c = m->content;

	if (!is_all(m, start, min(last, range->last)) || dod_is_kfence(m->start, m->last)) {
		hash_some(m, start, last, range);
		return;
	}
	c->sum = hash_all(m);
	c->valid = GENMASK_ULL(c->slots - 1, 0);
	c->summed = true;
}

/*
 * A block that changed is only noted: the CPU may have written it unseen, and rule 4 lets it
 * sync the block for the device later. The unmap reports what is left. Returns whether one was
 * found, or there is no reason to look further.
 */
static noinline bool compare_some(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	u64 slots = c->valid & slots_touched(m, start, last);
	bool invalid = dod_content_was_invalidated(c), found = invalid;
	bool kfence = dod_is_kfence(m->start, m->last);
	u16 now;

	c->valid &= ~slots;
	while (slots) {
		unsigned int slot = next_slot(&slots);

		/* What was freed meanwhile is not there any more. */
		if (unlikely(!hash_slot(m, slot, kfence, &now)) || likely(c->block[slot] == now))
			continue;
		found = true;
		if (invalid)
			dod_count(DOD_C_CONTENT_DOUBTED);
		else
			c->changed |= BIT_ULL(slot);
	}
	return found;
}

/*
 * Returns whether some block has changed, and it is not known which: with one in 65536, what is
 * remembered of its fingerprint is the same.
 */
static bool compare_blocks(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	bool summed = c->summed && is_all(m, start, last);

	c->summed = false;
	if (likely(summed && is_unchanged(m))) {
		c->valid = 0;
		return false;
	}
	return !compare_some(m, start, last) && summed;
}

/* Blocks that changed and are synced for the device are no fault: rule 4. */
static void forget_changed(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	u64 slots;

	slots = likely(!c->changed) ? 0 : c->changed & slots_touched(m, start, last);
	if (!slots)
		return;
	c->changed &= ~slots;
	dod_count(DOD_C_CONTENT_GIVEN_BACK);
}

/* @somewhere: also if it is not known which block changed. */
static void find_changed(const struct dod_mapping *m, bool somewhere,
			 struct dod_content_result *found)
{
	u64 changed = m->content->changed, start = m->start, last = m->last, ignored;

	if (!changed && !somewhere)
		return;
	if (changed) {
		block_at(m, __ffs64(changed), &start, &ignored);
		block_at(m, fls64(changed) - 1, &ignored, &last);
	}
	found->types |= BIT_ULL(DOD_R_TO_DEVICE_CHANGED);
	found->blocks = hweight64(changed);
	found->from = start - m->start;
	found->to = last - m->start;
}

/* === Events, with the physical lock held ====================================== */

/*
 * Memory that a map call does not sync for the device has no fingerprints: drivers lend
 * memory of dma_alloc_noncontiguous() to user space, or use it through a vmap.
 */
void dod_content_begin(const struct dod_call *call, struct dod_mapping *m)
{
	if (call->wrong)
		return;
	if (call->to_device && m->dir == DMA_TO_DEVICE)
		begin_fingerprints(m);
	else if (call->to_device && dod_mem_ops.redzone_bytes && is_chosen() && !is_unsure(m))
		dod_redzone_begin(call, m);
	/* Also for memory that is synced for the device later. */
	if (m->kind != DOD_PAGES && unlikely(READ_ONCE(dod_params.canary)))
		dod_canary_begin(call, m);
}

void dod_content_end(struct dod_mapping *m)
{
	struct dod_content *c = m->content;
	bool sent = m->dir == DMA_TO_DEVICE;

	if (!c)
		return;
	if (!sent && c->watching)
		dod_watch_stop(c);
	if (!sent && c->edges)
		dod_edges_end(c);
	dod_pool_put(sent && c->slots <= FEW_BLOCKS ? &few_pool : &pool, c);
	m->content = NULL;
}

void dod_content_to_device(struct dod_mapping *m, u64 start, u64 last,
			   const struct dod_range *range, bool fresh, bool shared, bool writable)
{
	struct dod_content *c = m->content;

	if (m->dir != DMA_TO_DEVICE) {
		if (c->watching)
			dod_watch_to_device(c, start, last);
		if (c->canary)
			dod_canary_to_device(c, start, last, fresh && !shared);
		return;
	}
	forget_changed(m, start, last);
	if (writable)
		dod_count(DOD_C_CONTENT_SHARED);
	if (writable || !range || range->dir != DMA_TO_DEVICE)
		forget_blocks(m, start, last);
	else
		hash_blocks(m, start, last, range);
}

/*
 * In-place ciphers map the same bytes DMA_TO_DEVICE and DMA_FROM_DEVICE. And what the CPU
 * wrote to one of several mappings is synced for the device through any of them.
 */
void dod_content_overlap(struct dod_mapping *m, u64 start, u64 last, bool writable)
{
	struct dod_content *c = m->content;

	if (m->dir != DMA_TO_DEVICE) {
		if (c->watching)
			dod_watch_to_device(c, start, last);
		c->filled = false;
	} else if (writable) {
		forget_blocks(m, start, last);
	}
}

void dod_content_written(struct dod_mapping *m, u64 start, u64 last)
{
	if (m->dir == DMA_TO_DEVICE)
		forget_blocks(m, start, last);
}

void dod_content_to_cpu(const struct dod_call *call, struct dod_mapping *m,
			u64 start, u64 last, bool unmap, struct dod_content_result *found)
{
	struct dod_content *c = m->content;
	bool somewhere;

	if (m->dir == DMA_TO_DEVICE) {
		somewhere = compare_blocks(m, start, last);
		if (unmap)
			find_changed(m, somewhere, found);
		return;
	}
	if (c->edges)
		dod_edges_to_cpu(m, start, last, unmap, found);
	if (c->filled)
		dod_canary_to_cpu(m, start, last, unmap, found);
	if (unmap && c->redzone_nr)
		dod_redzone_end(m, found);
}

/* === Reports, without locks =============================================== */

/*
 * Page tables of user space do not show in the shadow. Pages that only the kernel uses
 * are in none, but drivers can map theirs there.
 */
static bool is_mapped_by_user(const struct dod_mapping *m)
{
	struct folio *folio = dod_folio(m->start);

	return !folio_test_slab(folio) && folio_mapped(folio);
}

static void report_changed(const struct dod_content_result *found,
			   const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = { .type = DOD_R_TO_DEVICE_CHANGED, .at = at };

	/* What the driver wrote before its data were known as its own was seen by nobody. */
	if (dod_map_permitted(f.type, m) || is_mapped_by_user(m) ||
	    (!dod_guard.traps && dod_is_own_data(m))) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	dod_finding_add(&f, "%s %llu to %llu", found->blocks ? "Bytes" : "Some of bytes",
			found->from, found->to);
	if (found->blocks == 1)
		dod_finding_add(&f, " (%u-byte block)", DOD_BLOCK);
	else if (found->blocks)
		dod_finding_add(&f, " (%u blocks of %u bytes)", found->blocks, DOD_BLOCK);
	dod_finding_add(&f, " of its %llu bytes changed while the device owned them.\n%s\n",
			m->last - m->start + 1, dod_guard.unseen);
	dod_reads_describe(&f, m->start + found->from, m->start + found->to, m);
	dod_report_mapping(&f, m);
}

void dod_content_report(const struct dod_content_result *found,
			const struct dod_mapping *m, unsigned long at)
{
	unsigned long flags;

	if (!READ_ONCE(dod_armed))
		return;
	flags = dod_quiet_begin();
	if (found->types & BIT_ULL(DOD_R_TO_DEVICE_CHANGED))
		report_changed(found, m, at);
	if (found->types & BIT_ULL(DOD_R_SHARED_LINE_WRITE))
		dod_edges_report(found, m, at);
	if (found->types & BIT_ULL(DOD_R_DEVICE_OVERRUN))
		dod_redzone_report(found, m, at);
	if (found->types & BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING))
		dod_canary_report(found, m, at);
	dod_quiet_end(flags);
}

/* === Start and stop ======================================================= */

int dod_content_start(unsigned int reserve, unsigned int max)
{
	/* A mapping that was made before may overlap one that is made now. */
	dod_content_invalidate_all();
	has_crc = dod_has_crc();
	return dod_pool_init(&pool, sizeof(struct dod_content), reserve, max) ?:
	       dod_pool_init(&few_pool, offsetof(struct dod_content, block[FEW_BLOCKS]), reserve,
			     max) ?:
	       dod_edges_start(max);
}

void dod_content_stop(void)
{
	dod_edges_stop();
	dod_pool_destroy(&few_pool);
	dod_pool_destroy(&pool);
}
