// SPDX-License-Identifier: GPL-2.0
/*
 * A counting filter over page frames: a free of memory that was never mapped returns
 * after one load. No locks here.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "mapped_pages.h"
#include "memory.h"
#include "pagemarks.h"
#include "params.h"
#include "pool.h"
#include "stack.h"
#include "state.h"
#include "stats.h"
#include "worker.h"

#include <linux/mm.h>

/*
 * Almost all memory that is freed was never mapped, and must not pay: how many
 * live mappings have to do with the pages of a hash value. A mapping inside one
 * folio is counted at the folio's head, where the free of an object looks; one
 * over several folios at each of its pages. Too large ones make all frees look.
 */
#define MARKED_PAGES	512

/* dod_mapping.mark: an index of the array, or one of these. */
#define MARK_EACH	((u32)DOD_NR_PAGE_MARKS)
#define MARK_ALL	((u32)DOD_NR_PAGE_MARKS + 1)

atomic_t dod_page_marks[DOD_NR_PAGE_MARKS];
atomic_t dod_nr_unmarked;

static atomic_t *mark_of(unsigned long pfn)
{
	return &dod_page_marks[pfn & (DOD_NR_PAGE_MARKS - 1)];
}

static void mark(const struct dod_mapping *m, int by)
{
	unsigned long pfn;

	if (m->mark < DOD_NR_PAGE_MARKS)
		atomic_add(by, &dod_page_marks[m->mark]);
	else if (m->mark == MARK_ALL)
		atomic_add(by, &dod_nr_unmarked);
	else
		for (pfn = PHYS_PFN(m->start); pfn <= PHYS_PFN(m->last); pfn++)
			atomic_add(by, mark_of(pfn));
}

/**
 * dod_mapped_pages_add() - memory is mapped: its free must not go unseen
 * @m: the mapping, of RAM
 *
 * Context: any.
 */
void dod_mapped_pages_add(struct dod_mapping *m)
{
	unsigned long first = PHYS_PFN(m->start), last = PHYS_PFN(m->last);
	struct folio *folio = page_folio(pfn_to_page(first));

	m->slab = folio_test_slab(folio);
	if (folio == page_folio(pfn_to_page(last)))
		m->mark = folio_pfn(folio) & (DOD_NR_PAGE_MARKS - 1);
	else if (last - first < MARKED_PAGES)
		m->mark = MARK_EACH;
	else
		m->mark = MARK_ALL;
	mark(m, 1);
}

/**
 * dod_mapped_pages_del() - memory is not mapped any more
 * @m: the mapping
 *
 * Its folio may be gone, or have been split, since.
 *
 * Context: any.
 */
void dod_mapped_pages_del(const struct dod_mapping *m)
{
	mark(m, -1);
}
