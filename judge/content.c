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

/* An event that may have changed content unseen counts for this long as well. */
#define UNSURE_NS	(100ULL * NSEC_PER_MSEC)

static struct dod_pool pool;
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

struct dod_content *dod_content_get(struct dod_mapping *m)
{
	struct dod_content *c = m->content ?: dod_pool_get(&pool);

	if (!c) {
		dod_count(DOD_C_CONTENT_POOL_EMPTY);
	} else if (!m->content) {
		memset(c, 0, offsetof(struct dod_content, block));
		c->invalidations = atomic_read(&invalidations);
		m->content = c;
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

/*
 * No function of lib/: those are instrumented, and the memory is poisoned. The hash need
 * not withstand an attacker, only notice bytes that changed.
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

	if (likely(end - p == DOD_BLOCK)) {
		/* Unrolled: this is most of what fingerprints cost. */
		for (i = 0; i < DOD_BLOCK; i += sizeof(u64))
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

static noinline bool hash_kfence(u64 start, unsigned int nr, u32 *fingerprint)
{
	u8 copy[DOD_BLOCK];

	if (!dod_memory_read(start, copy, nr))
		return false;
	*fingerprint = hash_bytes(copy, copy + nr);
	return true;
}

/* @kfence: the memory may be KFENCE's. Returns false if it is not there any more. */
static __always_inline bool hash_block(u64 start, u64 last, bool kfence, u32 *fingerprint)
{
	const u8 *p = phys_to_virt(start), *end = p + (last - start + 1);

	if (unlikely(kfence))
		return hash_kfence(start, end - p, fingerprint);
	*fingerprint = hash_bytes(p, end);
	return true;
}

/* Blocks count from the start of the mapping. In the middle of a long one they have no slot. */
static void block_at(const struct dod_mapping *m, unsigned int slot, u64 *start, u64 *last)
{
	const struct dod_content *c = m->content;
	u64 block = slot < c->head ? slot : slot + c->skipped;

	*start = m->start + block * DOD_BLOCK;
	*last = min(*start + DOD_BLOCK - 1, m->last);
}

static void begin_fingerprints(struct dod_mapping *m)
{
	u64 blocks = DIV_ROUND_UP(m->last - m->start + 1, DOD_BLOCK);
	struct dod_content *c;
	unsigned int most;

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
	c = dod_content_get(m);
	if (!c)
		return;
	most = clamp(READ_ONCE(dod_params.content_max) / DOD_BLOCK, 2U, DOD_BLOCKS);
	c->slots = min(blocks, most);
	c->head = c->slots < blocks ? c->slots / 2 : c->slots;
	c->skipped = blocks - c->slots;
	if (c->skipped)
		dod_count(DOD_C_CONTENT_PARTIAL);
	dod_count(DOD_C_CONTENT_MAPPINGS);
}

/* The slots of the blocks that [start, last] touches, as bits; most touch few. */
static u64 slots_touched(const struct dod_mapping *m, u64 start, u64 last)
{
	const struct dod_content *c = m->content;
	u64 from = (max(start, m->start) - m->start) / DOD_BLOCK;
	u64 to = (min(last, m->last) - m->start) / DOD_BLOCK;

	/* What begins in the middle begins with the end; what ends there ends with the head. */
	if (from >= c->head)
		from = max_t(u64, from, c->head + c->skipped) - c->skipped;
	if (to >= c->head)
		to = to >= c->head + c->skipped ? to - c->skipped : c->head - 1ULL;
	return from <= to ? GENMASK_ULL(to, from) : 0;
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
static void hash_blocks(struct dod_mapping *m, u64 start, u64 last, const struct dod_range *range)
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
 * A block that changed is only noted: the CPU may have written it unseen, and rule 4 lets
 * it sync the block for the device later. The unmap reports what is left.
 */
static void compare_blocks(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_content *c = m->content;
	u64 slots = c->valid & slots_touched(m, start, last), from, to;
	bool kfence = dod_is_kfence(m->start, m->last);
	bool invalid = dod_content_was_invalidated(c);
	u32 now;

	c->valid &= ~slots;
	while (slots) {
		unsigned int slot = next_slot(&slots);

		block_at(m, slot, &from, &to);
		/* What was freed meanwhile is not there any more. */
		if (unlikely(!hash_block(from, to, kfence, &now)) || likely(c->block[slot] == now))
			continue;
		if (invalid)
			dod_count(DOD_C_CONTENT_DOUBTED);
		else
			c->changed |= BIT_ULL(slot);
	}
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

static void find_changed(const struct dod_mapping *m, struct dod_content_result *found)
{
	u64 changed = m->content->changed, start, last;

	if (!changed)
		return;
	found->types |= BIT(DOD_R_TO_DEVICE_CHANGED);
	found->blocks = hweight64(changed);
	block_at(m, __ffs64(changed), &start, &last);
	found->from = start - m->start;
	block_at(m, fls64(changed) - 1, &start, &last);
	found->to = last - m->start;
}

/* === Events, with the physical lock held ====================================== */

/*
 * Memory that a map call does not sync for the device has no fingerprints: drivers lend
 * memory of dma_alloc_noncontiguous() to user space, or use it through a vmap.
 */
void dod_content_begin(const struct dod_call *call, struct dod_mapping *m)
{
	if (m->trap != DOD_TRAP_ALL || call->wrong)
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

	if (!c)
		return;
	if (c->watching)
		dod_watch_stop(c);
	if (c->edges)
		dod_edges_end(c);
	dod_pool_put(&pool, c);
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

	if (m->dir == DMA_TO_DEVICE) {
		compare_blocks(m, start, last);
		if (unmap)
			find_changed(m, found);
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

	if (dod_map_permitted(f.type, m) || is_mapped_by_user(m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	dod_finding_add(&f, "Bytes %llu to %llu", found->from, found->to);
	if (found->blocks == 1)
		dod_finding_add(&f, " (%u-byte block)", DOD_BLOCK);
	else
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
	if (found->types & BIT(DOD_R_TO_DEVICE_CHANGED))
		report_changed(found, m, at);
	if (found->types & BIT(DOD_R_SHARED_LINE_WRITE))
		dod_edges_report(found, m, at);
	if (found->types & BIT(DOD_R_DEVICE_OVERRUN))
		dod_redzone_report(found, m, at);
	if (found->types & BIT(DOD_R_DEVICE_WROTE_NOTHING))
		dod_canary_report(found, m, at);
	dod_quiet_end(flags);
}

/* === Start and stop ======================================================= */

int dod_content_start(unsigned int reserve, unsigned int max)
{
	/* A mapping that was made before may overlap one that is made now. */
	dod_content_invalidate_all();
	return dod_pool_init(&pool, sizeof(struct dod_content), reserve, max) ?:
	       dod_edges_start(max);
}

void dod_content_stop(void)
{
	dod_edges_stop();
	dod_pool_destroy(&pool);
}
