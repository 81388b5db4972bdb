// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of map.c: memory that is not, or not all, of one live allocation. Redzones, freed
 * memory, the end of RAM, and pages that are next to each other by chance.
 *
 * Takes no locks: allocators may change what is read here at any time.
 */
#include "internal.h"
#include "../guard/kfence.h"

static bool is_free_page(u64 phys)
{
	return PageBuddy(pfn_to_page(PHYS_PFN(phys)));
}

/*
 * After how many bytes does a mapping leave RAM? 0 if it does not. Its length can be any,
 * also a negative one. Only before a report: it takes a step for each 2 MiB of RAM.
 */
static u64 leaves_ram_after(const struct dod_mapping *m)
{
	u64 size = dod_size(m), room = U64_MAX - m->start;
	unsigned long pfn = PHYS_PFN(m->last);

	if (size - 1 <= room && pfn_valid(PHYS_PFN(m->start + size - 1)))
		return 0;
	while (pfn_valid(round_up(pfn + 1, SZ_2M / PAGE_SIZE)))
		pfn = round_up(pfn + 1, SZ_2M / PAGE_SIZE);
	while (pfn_valid(pfn))
		pfn++;
	return PFN_PHYS(pfn) - m->start;
}

static void find_bad_byte(const struct dod_mapping *m, struct dod_finding *f)
{
	bool is_free = is_free_page(m->start), single = m->kind == DOD_SINGLE;

	f->freed = false;
	f->what = dod_mem_ops.first_bad_byte(m, !single, &f->bad, &f->freed);
	/* Where objects are adjacent, it is a matter of contiguity: who maps several as one? */
	if (unlikely(f->what && !f->freed && single && dod_mem_ops.object_end &&
		     dod_map_permitted(DOD_R_NOT_CONTIGUOUS, m))) {
		f->what = dod_mem_ops.first_bad_byte(m, true, &f->bad, &f->freed);
		if (!f->what)
			dod_count(DOD_C_UNJUDGED_CONTIGUITY);
	}
	if (unlikely(!f->what && dod_is_kfence(m->start, m->last)))
		f->what = dod_kfence_hole(m->start, m->last, &f->bad, &f->freed);
	/* The hooks have cut m->last off where RAM ends, or a page is free. */
	if (!f->what && (is_free || m->last - m->start < dod_size(m) - 1)) {
		f->bad = is_free ? m->start : m->last + 1;
		f->freed = is_free || (pfn_valid(PHYS_PFN(f->bad)) && is_free_page(f->bad));
		f->what = f->freed ? "a freed page" : "no RAM";
	}
	if (unlikely(f->what))
		f->ram = leaves_ram_after(m);
}

/* For two types: use-after-free-map and out-of-bounds-map. */
bool dod_check_bad_byte(const struct dod_mapping *m, struct dod_finding *f)
{
	bool freed = f->freed;

	/* If the range leaves RAM its length is wrong, whatever was freed in it. */
	if (f->what && f->ram && f->bad != m->start)
		freed = false;
	if (likely(!f->what) || freed != (f->type == DOD_R_USE_AFTER_FREE_MAP))
		return false;
	dod_finding_add(f, "Byte %llu of its %llu is in %s.\n", f->bad - m->start, dod_size(m),
			f->what);
	/* The line about the slab object has its rounded size. */
	if (!freed && f->bad != m->start)
		dod_finding_add(f, "Only its first %llu bytes are allocated.\n",
				f->bad - m->start);
	if (f->ram)
		dod_finding_add(f, "It leaves RAM after %llu bytes.\n", f->ram);
	/* The kernel WARNs if it is asked for the object in the unused end of a slab. */
	if (!freed && f->bad == m->start && dod_mem_ops.object_end)
		f->object = NULL;
	else
		f->object = phys_to_virt(freed ? f->bad : m->start);
	return true;
}

enum contiguity { CONTIGUOUS, DIFFERENT, UNKNOWN };

/* The mark of the allocation that a single page is of: its first page has it. */
static const void *mark_of(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	const void *mark = dod_pagemark(pfn);
	unsigned int i;

	for (i = 1; !mark && i < MAX_ORDER_NR_PAGES && !page_ref_count(page); i++) {
		if (!pfn_valid(pfn - i))
			break;
		page = pfn_to_page(pfn - i);
		if (PageBuddy(page) || folio_test_slab(page_folio(page)) ||
		    folio_test_large(page_folio(page)))
			break;
		mark = dod_pagemark(pfn - i);
	}
	return mark;
}

/* Different calls have allocated them. */
static bool marks_differ(struct page *page, struct page *next)
{
	const void *mark = dod_pagemarks_known() ? dod_pagemark(page_to_pfn(next)) : NULL;
	const void *before = mark ? mark_of(page_to_pfn(page)) : NULL;

	return before && before != mark;
}

/*
 * Do two adjacent pages belong to one allocation? Single pages do not tell: split_page()
 * and alloc_pages_exact() make them of one allocation, and so does the block layer where
 * pages of the page cache are adjacent by chance.
 */
static enum contiguity contiguity_of(struct folio *a, struct folio *b, struct page *page,
				     struct page *next)
{
	if (a == b)
		return CONTIGUOUS;
	if (folio_test_slab(a) || folio_test_slab(b))
		return DIFFERENT;
	if (a->mapping || b->mapping)
		return UNKNOWN;
	if (folio_test_large(a) || folio_test_large(b))
		return DIFFERENT;
	/* The tail of an allocation without __GFP_COMP. */
	if (!page_ref_count(next))
		return CONTIGUOUS;
	return marks_differ(page, next) ? DIFFERENT : UNKNOWN;
}

/*
 * Scatterlists merge what is adjacent, whoever allocated it: only DOD_SINGLE counts. What
 * is past the first bad byte is not looked at.
 */
static void find_next_allocation(const struct dod_mapping *m, struct dod_finding *f)
{
	unsigned long pfn, last = PHYS_PFN(f->what ? f->bad : m->last);
	enum contiguity all = CONTIGUOUS;
	struct folio *folio;

	f->next = 0;
	if (m->kind != DOD_SINGLE || PHYS_PFN(m->start) == last)
		return;
	folio = dod_folio(m->start);
	for (pfn = PHYS_PFN(m->start); pfn < last && all != DIFFERENT; pfn++) {
		struct folio *before = folio;
		enum contiguity one;

		if (folio_test_large(folio))
			pfn = min(dod_folio_last(pfn), last - 1);
		if (!dod_memory_goes_on(pfn + 1))
			break;
		folio = page_folio(pfn_to_page(pfn + 1));
		one = contiguity_of(before, folio, pfn_to_page(pfn), pfn_to_page(pfn + 1));
		if (one != CONTIGUOUS)
			all = one;
	}
	if (all == DIFFERENT && dod_map_permitted(DOD_R_NOT_CONTIGUOUS, m))
		all = UNKNOWN;
	if (all == DIFFERENT)
		f->next = PFN_PHYS(pfn);
	else if (all == UNKNOWN)
		dod_count(DOD_C_UNJUDGED_CONTIGUITY);
}

bool dod_check_not_contiguous(const struct dod_mapping *m, struct dod_finding *f)
{
	if (likely(!f->next))
		return false;
	dod_finding_add(f, "Bytes %llu to %llu belong to another allocation.\n",
			f->next - m->start, dod_size(m) - 1);
	f->object = phys_to_virt(f->next);
	return true;
}

void dod_scan_memory(const struct dod_mapping *m, struct dod_finding *f)
{
	find_bad_byte(m, f);
	find_next_allocation(m, f);
}
