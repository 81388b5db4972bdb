// SPDX-License-Identifier: GPL-2.0
/*
 * What KASAN's shadow tells about memory, whoever owns it: which bytes are accessible, which
 * are redzones, which were freed. Only reads the shadow, but for a mark of freed memory; no locks.
 */
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/memory.h"
#include "../base/stats.h"
#include "kasan.h"

#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* KASAN's own values: mm/kasan/kasan.h, the same in all kernels. */
#define SHADOW_PAGE_FREE	0xff
#define SHADOW_PAGE_REDZONE	0xfe
#define SHADOW_SLAB_REDZONE	0xfc
#define SHADOW_SLAB_FREE	0xfb
#define SHADOW_SLAB_FREE_META	0xfa
#define SHADOW_GLOBAL_REDZONE	0xf9

static const struct {
	u8 value;
	bool freed;
	const char *name;
} kasan_values[] = {
	{ SHADOW_PAGE_FREE, true, "a freed page" },
	{ SHADOW_PAGE_REDZONE, false, "the redzone after a large kmalloc() buffer" },
	{ SHADOW_SLAB_REDZONE, false, "a slab redzone" },
	{ SHADOW_SLAB_FREE, true, "a freed slab object" },
	{ SHADOW_SLAB_FREE_META, true, "a freed slab object" },
	{ SHADOW_GLOBAL_REDZONE, false, "the redzone of a global variable" },
};

/* What KASAN calls a granule of which some bytes must not be accessed. */
static const char *kasan_name(u8 value, bool *freed)
{
	unsigned int i;

	*freed = false;
	/* The redzone begins inside the granule. */
	if (value < GRANULE || is_tail(value))
		return "a redzone";
	for (i = 0; i < ARRAY_SIZE(kasan_values); i++)
		if (kasan_values[i].value == value) {
			*freed = kasan_values[i].freed;
			return kasan_values[i].name;
		}
	return NULL;
}

/* How many bytes of a granule are accessible, whoever owns them. */
static unsigned int bytes_of(u8 value)
{
	if (!value || is_whole(value))
		return GRANULE;
	if (is_tail(value))
		return tail_bytes(value);
	return value < GRANULE ? value : 0;
}

/*
 * The memory is one piece from the mapping outwards up to the first byte that is not
 * accessible. What follows a redzone is another object, which lies elsewhere where the kernel
 * lays memory out for cache lines of that size.
 */
static u64 accessible_bytes(u64 start, u64 last, bool after)
{
	u64 phys, granule;
	unsigned int bytes;

	if (after) {
		for (phys = start; phys <= last; phys = granule + GRANULE) {
			granule = round_down(phys, GRANULE);
			bytes = bytes_of(shadow_at(granule));
			if (bytes < GRANULE)
				return max(granule + bytes, phys) - start;
		}
		return last + 1 - start;
	}
	for (phys = last + 1; phys > start; phys = granule) {
		granule = round_down(phys - 1, GRANULE);
		if (granule + bytes_of(shadow_at(granule)) < phys)
			return last + 1 - phys;
	}
	return last + 1 - start;
}

/* The object ends where accessible memory does. One that was freed before has none. */
static u64 object_size(const void *addr)
{
	struct folio *folio = virt_to_folio(addr);

	/* KASAN does not poison KFENCE's pool. */
	if (is_kfence_address(addr))
		return ksize(addr);
	return accessible_bytes(virt_to_phys((void *)addr),
				PFN_PHYS(folio_pfn(folio)) + folio_size(folio) - 1, true);
}

/* The first byte of the shadow from @p on that is not 0, @end if there is none. */
static const u8 *skip_accessible(const u8 *p, const u8 *end)
{
	while (p < end && !IS_ALIGNED((unsigned long)p, sizeof(long)) && !*p)
		p++;
	if (IS_ALIGNED((unsigned long)p, sizeof(long))) {
		const unsigned long *w = (const unsigned long *)p;
		const unsigned long *after =
			(const unsigned long *)PTR_ALIGN_DOWN(end, sizeof(long));

		while (after - w >= SHADOW_WORDS && words_are_zero(w))
			w += SHADOW_WORDS;
		while (w < after && !*w)
			w++;
		p = (const u8 *)w;
	}
	while (p < end && !*p)
		p++;
	return p;
}

/*
 * Fast path. Pages that belong to no slab are accessible as a whole, or not at all, or up to
 * the redzone of a large kmalloc() buffer: the last granule tells. Variables of the kernel,
 * with redzones between them, are in reserved memory.
 */
static bool is_of_whole_pages(u64 start, u64 last)
{
	unsigned long pfn, last_pfn = PHYS_PFN(last);

	for (pfn = PHYS_PFN(start); ; pfn++) {
		struct page *page = pfn_to_page(pfn);

		if (PageReserved(page) || folio_test_slab(page_folio(page)))
			return false;
		if (pfn != last_pfn)
			pfn = min(dod_folio_last(pfn), last_pfn);
		if (bytes_of(shadow_at(min(PFN_PHYS(pfn + 1) - 1, last))) < GRANULE)
			return false;
		if (pfn == last_pfn)
			return true;
	}
}

/* There are redzones between allocations: @merged does not matter. */
static const char *first_bad_byte(const struct dod_mapping *m, bool merged, u64 *bad, bool *freed)
{
	u64 start = m->start, last = m->last;
	const u8 *p = shadow_of(phys_to_virt(start)), *first = p;
	const u8 *end = shadow_of(phys_to_virt(last)) + 1;

	if (end - p == sizeof(long) && IS_ALIGNED((unsigned long)p, sizeof(long)) &&
	    !READ_ONCE(*(unsigned long *)p))
		return NULL;
	if (is_of_whole_pages(start, last))
		return NULL;
	for (; (p = skip_accessible(p, end)) < end; p++) {
		u64 granule = round_down(start, GRANULE) + (p - first) * GRANULE;
		u8 value = READ_ONCE(*p);
		unsigned int bytes = bytes_of(value);
		const char *name;

		if (bytes == GRANULE || last < granule + bytes)
			continue;
		name = kasan_name(value, freed);
		if (!name) {
			dod_count(DOD_C_UNJUDGED_SHADOW);
			return NULL;
		}
		*bad = max(granule + bytes, start);
		return name;
	}
	return NULL;
}

/* All of a slab object, or the last granule of each of several pages. */
static noinline bool all_accessible(const struct dod_mapping *m)
{
	const u8 *start = shadow_of(phys_to_virt(m->start));
	const u8 *last = shadow_of(phys_to_virt(m->last)), *p;

	if (m->memory & DOD_MEM_SLAB)
		return skip_accessible(start, last + 1) > last;
	for (p = start + (PAGE_SIZE - 1 - offset_in_page(m->start)) / GRANULE; p < last;
	     p += PAGE_SIZE / GRANULE)
		if (unlikely(READ_ONCE(*p)))
			return false;
	return !READ_ONCE(*last);
}

/*
 * Finds the same as first_bad_byte(), by what is known of the pages; see is_of_whole_pages().
 * What is poisoned is for first_bad_byte() to judge, and so is a last granule of which not all is
 * accessible.
 */
static bool accessible(const struct dod_mapping *m)
{
	if (likely(!(m->memory & (DOD_MEM_SLAB | DOD_MEM_SEVERAL)) && !shadow_at(m->last)))
		return true;
	return all_accessible(m);
}

static __always_inline bool is_freed(u8 value)
{
	return unlikely(value >= SHADOW_SLAB_FREE_META) &&
	       (value == SHADOW_PAGE_FREE || value <= SHADOW_SLAB_FREE);
}

/* By one granule of each page: faster than to tell allocations apart. */
static noinline bool pages_freed(u64 start, u64 last)
{
	const u8 *p = shadow_of(phys_to_virt(start)), *end = shadow_of(phys_to_virt(last));

	for (; p <= end; p += PAGE_SIZE / GRANULE)
		if (is_freed(READ_ONCE(*p)))
			return true;
	return false;
}

static noinline bool folios_freed(u64 start, u64 last)
{
	for (; start <= last; start = PFN_PHYS(dod_folio_last(PHYS_PFN(start)) + 1))
		if (is_freed(shadow_at(start)))
			return true;
	return false;
}

/*
 * A free poisons the whole object or page, so one granule of each allocation tells. What was
 * allocated again since is not seen.
 */
static bool freed(u64 start, u64 last)
{
	if (is_freed(shadow_at(start)))
		return true;
	start = (start | (PAGE_SIZE - 1)) + 1;
	if (likely(start > last))
		return false;
	return last - start < SZ_64K ? pages_freed(start, last) : folios_freed(start, last);
}

/* Memory that was freed may have been removed, and its shadow with it. */
static bool all_freed(u64 start, u64 last)
{
	const u8 *p = shadow_of(phys_to_virt(start)), *end = shadow_of(phys_to_virt(last));
	bool freed = true;
	u8 value;

	pagefault_disable();
	for (; p <= end && freed; p++) {
		__get_kernel_nofault(&value, p, u8, fault);
		freed = value == SHADOW_SLAB_FREE || value == SHADOW_SLAB_FREE_META;
	}
	pagefault_enable();
	return freed;
fault:
	pagefault_enable();
	return false;
}

/*
 * KASAN itself has that value at the start of an object only, and both mean freed memory in its
 * reports. An allocation and a free each write all of the object's shadow.
 */
static bool mark_freed(u64 start, u64 last)
{
	u8 old = SHADOW_SLAB_FREE;

	return all_freed(start, last) &&
	       try_cmpxchg(shadow_of(phys_to_virt(last)), &old, SHADOW_SLAB_FREE_META);
}

static bool is_marked_freed(u64 start, u64 last)
{
	/* What was read before must not be newer. */
	smp_mb();
	return all_freed(start, last) && shadow_at(last) == SHADOW_SLAB_FREE_META;
}

static void unmark_freed(u64 last)
{
	u8 old = SHADOW_SLAB_FREE_META;

	if (all_freed(last, last))
		try_cmpxchg(shadow_of(phys_to_virt(last)), &old, SHADOW_SLAB_FREE);
}

/* What KASAN itself says about the granule. */
static u8 state(u64 phys)
{
	u8 value = shadow_at(phys);

	if (is_whole(value))
		return 0;
	return is_tail(value) ? tail_bytes(value) : value;
}

/* Neither a freed object nor a place that never was one has an accessible byte. */
static bool allocated(u64 start, u64 last)
{
	for (start = round_down(start, GRANULE); start <= last; start += GRANULE)
		if (bytes_of(shadow_at(start)))
			return true;
	return false;
}

/* The first byte of the accessible run that @phys is in, not before @first. */
static u64 run_start(u64 phys, u64 first)
{
	const u8 *begin = shadow_of(phys_to_virt(first));
	const u8 *p = shadow_of(phys_to_virt(phys));

	while (p > begin) {
		if (IS_ALIGNED((unsigned long)p, sizeof(u64)) &&
		    p - begin >= sizeof(u64) && !*(const u64 *)(p - sizeof(u64)))
			p -= sizeof(u64);
		else if (bytes_of(READ_ONCE(p[-1])) == GRANULE)
			p--;
		else
			break;
	}
	return first + (p - begin) * GRANULE;
}

/*
 * Where the allocator's memory ends, if it is padding from @from on: the rest of a slab object
 * or of the pages of a large one. After a slab object come KASAN's and the allocator's own
 * data, which have the same values in the shadow.
 */
static u64 object_end(const struct dod_mapping *m, struct folio *folio, u64 from, u8 *redzone)
{
	u64 first = PFN_PHYS(folio_pfn(folio)), object;
	unsigned long flags;
	size_t size;

	*redzone = SHADOW_PAGE_REDZONE;
	if (!folio_test_slab(folio))
		return first + folio_size(folio);
	*redzone = SHADOW_SLAB_REDZONE;
	/* The rest of its last granule certainly belongs to the object. */
	if (DOD_KSIZE_UNPOISONS)
		return round_up(from, GRANULE);
	object = run_start(m->start, first);
	flags = dod_quiet_begin();
	size = ksize(phys_to_virt(object));
	dod_quiet_end(flags);
	return object + size;
}

static unsigned int redzone_bytes(const struct dod_mapping *m, unsigned int most, u64 *start)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(m->last)));
	u64 end = PFN_PHYS(folio_pfn(folio)) + folio_size(folio), from, to;
	u8 value, redzone;

	if (folio != page_folio(pfn_to_page(PHYS_PFN(m->start))))
		return 0;
	end = min(end, m->last + 1 + most);
	from = m->last + 1;
	if (from >= end)
		return 0;
	from += accessible_bytes(from, end - 1, true);
	value = from < end ? state(from) : 0;
	/* Accessible, or something else again. */
	if (!value || (value >= GRANULE && value != SHADOW_SLAB_REDZONE &&
		       value != SHADOW_PAGE_REDZONE))
		return 0;
	end = min(end, object_end(m, folio, from, &redzone));
	for (to = from; to < end; to = round_down(to, GRANULE) + GRANULE)
		if (state(to) != redzone && !(to == from && value < GRANULE))
			break;
	to = min(to, end);
	*start = from;
	return to > from ? to - from : 0;
}

const struct dod_mem_ops dod_mem_ops = {
	.accessible_bytes = accessible_bytes,
	.object_size = object_size,
	.first_bad_byte = first_bad_byte,
	.accessible = accessible,
	.redzone_bytes = redzone_bytes,
	.freed = freed,
	.mark_freed = mark_freed,
	.is_marked_freed = is_marked_freed,
	.unmark_freed = unmark_freed,
	.state = state,
	.allocated = allocated,
};
