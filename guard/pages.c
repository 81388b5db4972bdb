// SPDX-License-Identifier: GPL-2.0
/*
 * What guards without a shadow know about memory: pages, and slab objects as the allocator lays
 * them out. Used with kcsan.c and none.c. No locks.
 *
 * They know less than KASAN: not how much of its object the caller of kmalloc() has asked for, and
 * not whether an object of a slab in use is allocated.
 */
#include "../base/compat.h"
#include "../base/memory.h"
#include "../base/stats.h"
#include "guard.h"
#include "kfence.h"
#include "slab.h"

#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/slab.h>

static bool is_slab(u64 phys)
{
	return folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(phys))));
}

/* There are pages in use without references, other than later ones of an allocation. */
static bool pages_are_frozen(void)
{
	return DOD_FROZEN_PAGES || dod_slab_is_frozen();
}

/*
 * A page is accessible as a whole. In a slab, what is before a mapping in its object is in use,
 * because all that was asked for begins where the object does. What is after it may be spare.
 */
static u64 accessible_bytes(u64 start, u64 last, bool after)
{
	struct dod_object o;

	if (!is_slab(after ? start : last))
		return last + 1 - start;
	if (after || !dod_slab_object(last, &o) || last + 1 >= o.end)
		return 0;
	return last + 1 - max(start, o.start);
}

/* What is before the mapping in its own object is accessible, and not asked about here. */
static bool next_object(u64 *start, u64 *last, bool after)
{
	struct dod_object o;

	if (!dod_slab_object(after ? *start : *last, &o))
		return false;
	if (!after) {
		*last = min(*last, o.end - 1);
		*start = max(*start, o.start);
		return *start <= *last;
	}
	/* In the mapping's own, or in the padding after it. */
	if (o.start < *start && (o.next >= o.unused || !dod_slab_object(o.next, &o)))
		return false;
	*start = o.start;
	*last = min(*last, o.end - 1);
	return *start <= *last;
}

/* Can be more than was asked for, but never reaches into another object. */
static u64 object_size(const void *addr)
{
	struct folio *folio = virt_to_folio(addr);
	u64 size;

	if (!folio_test_slab(folio))
		return folio_size(folio) - offset_in_folio(folio, addr);
	/* KASAN with tags knows whether the object is allocated, and reports that itself. */
	kasan_disable_current();
	size = ksize(addr);
	kasan_enable_current();
	return size;
}

static u64 object_end(u64 phys)
{
	struct dod_object o;

	return dod_slab_object(phys, &o) && phys < o.end ? o.end : 0;
}

/* === Freed pages ========================================================== */

/* Can a page be a later one of an allocation without __GFP_COMP, or a free one that is no head? */
static bool has_no_owner(struct page *page)
{
	return !page_ref_count(page) && !PageCompound(page) && !PageReserved(page) &&
	       !page_has_type(page) && !PageSlab(page);
}

/* Can it be the first page of such an allocation that has @nr more pages? */
static bool may_be_first(unsigned long pfn, unsigned int nr)
{
	struct page *page = pfn_to_page(pfn);

	return page_ref_count(page) && !PageCompound(page) && !page_has_type(page) &&
	       !PageSlab(page) && (!pfn || nr < BIT(__ffs(pfn)));
}

/*
 * A page that was freed, and that the buddy allocator does not have yet: it is kept for its CPU,
 * and has no references. Nor have the later pages of an allocation without __GFP_COMP, which all
 * follow each other; the first has some, and is aligned to the size of the allocation. So of pages
 * that follow one that cannot be it, it is certain.
 */
static bool is_freed_page(unsigned long pfn)
{
	unsigned int nr;

	if (pages_are_frozen() || !has_no_owner(pfn_to_page(pfn)))
		return false;
	for (nr = 1; nr < MAX_ORDER_NR_PAGES && nr <= pfn; nr++) {
		if (!pfn_valid(pfn - nr))
			return true;
		if (!has_no_owner(pfn_to_page(pfn - nr)))
			return !may_be_first(pfn - nr, nr);
	}
	return true;
}

/* === Bounds =============================================================== */

static bool accessible(const struct dod_mapping *m)
{
	struct dod_object o;

	if (!(m->memory & DOD_MEM_SLAB))
		return pages_are_frozen() ||
		       folio_ref_count(page_folio(pfn_to_page(PHYS_PFN(m->start))));
	return !(m->memory & DOD_MEM_SEVERAL) && dod_slab_object(m->start, &o) && m->last < o.end;
}

/*
 * Objects that follow each other may have been merged to one, whoever allocated them: only a
 * mapping of its own must not leave its object. But nobody has what is between objects, or after
 * them.
 */
static const char *leaves_object(const struct dod_mapping *m, bool merged, u64 *bad)
{
	struct dod_object o;

	if (!dod_slab_object(m->start, &o)) {
		dod_count(DOD_C_UNJUDGED_OBJECT);
		return NULL;
	}
	*bad = max(m->start, o.end);
	if (m->last < *bad)
		return NULL;
	if (o.end < min(o.next, o.unused))
		return "the padding between slab objects";
	if (merged || o.end == o.unused) {
		*bad = max(m->start, o.unused);
		if (m->last >= *bad && o.unused < o.slab_end)
			return "the unused end of a slab";
	}
	return merged ? NULL : "the memory after its slab object";
}

/*
 * KFENCE knows how much was asked for, but tells nobody where in its page that begins. A page that
 * is not there is a hole: see judge/map_bounds.c. One that never was an object is there, and
 * ksize() would look for its cache.
 */
static const char *leaves_kfence_object(const struct dod_mapping *m, u64 *bad)
{
	u64 size;

	if (!is_slab(m->start) || !dod_kfence_present(m->start))
		return NULL;
	if (!dod_slab_has_cache(m->start)) {
		dod_count(DOD_C_UNJUDGED_OBJECT);
		return NULL;
	}
	size = object_size(phys_to_virt(m->start));
	*bad = m->start + size;
	return size && m->last >= *bad ? "the memory after its object of KFENCE's" : NULL;
}

static const char *first_bad_byte(const struct dod_mapping *m, bool merged, u64 *bad, bool *freed)
{
	*freed = false;
	if (dod_is_kfence(m->start, m->start))
		return leaves_kfence_object(m, bad);
	if (is_slab(m->start))
		return leaves_object(m, merged, bad);
	*freed = is_freed_page(PHYS_PFN(m->start));
	*bad = m->start;
	return *freed ? "a freed page" : NULL;
}

/* Without the layout of slabs the banner says so. */
static const char *start(void)
{
	return dod_slab_learn() ? NULL : "the bounds of slab objects are not known in this kernel";
}

const struct dod_mem_ops dod_mem_ops = {
	.accessible_bytes = accessible_bytes,
	.next_object = next_object,
	.object_size = object_size,
	.first_bad_byte = first_bad_byte,
	.accessible = accessible,
	.object_end = object_end,
	.start = start,
};
