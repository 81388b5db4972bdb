// SPDX-License-Identifier: GPL-2.0
/*
 * A counting filter over page frames. A mapping inside one folio is counted at the folio's
 * head, where the free of an object looks; one over several folios at each of its pages.
 * No locks here.
 */
#include "mapped_pages.h"

#include <linux/mm.h>

/* A mapping of more pages is not counted: each free searches for it. */
#define MOST_PAGES	512

/* dod_mapping.counted_at: an index of dod_mapped_counts[], or one of these. */
#define EACH_PAGE	((u32)DOD_NR_MAPPED_COUNTS)
#define UNCOUNTED	((u32)DOD_NR_MAPPED_COUNTS + 1)

atomic_t dod_mapped_counts[DOD_NR_MAPPED_COUNTS] ____cacheline_aligned_in_smp;
atomic_t dod_nr_uncounted __cacheline_aligned_in_smp;

/* A mapping over several folios. */
void dod_mapped_pages_count(const struct dod_mapping *m, int by)
{
	unsigned long pfn, last = PHYS_PFN(m->last);

	if (m->counted_at == UNCOUNTED)
		atomic_add(by, &dod_nr_uncounted);
	else
		for (pfn = PHYS_PFN(m->start); pfn <= last; pfn++)
			atomic_add(by, &dod_mapped_counts[dod_mapped_count(pfn)]);
}

/* Where a mapping is counted whose page is not alone. */
void dod_mapped_pages_choose(struct dod_mapping *m)
{
	unsigned long first = PHYS_PFN(m->start), last = PHYS_PFN(m->last);
	struct folio *folio = page_folio(pfn_to_page(first));

	m->slab = folio_test_slab(folio);
	if (likely(folio == page_folio(pfn_to_page(last))))
		m->counted_at = dod_mapped_count(folio_pfn(folio));
	else if (last - first < MOST_PAGES)
		m->counted_at = EACH_PAGE;
	else
		m->counted_at = UNCOUNTED;
}
