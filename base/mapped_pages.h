/* SPDX-License-Identifier: GPL-2.0 */
/* Which page frames may be mapped: a counting filter for frees. */
#ifndef DOD_MAPPED_PAGES_H
#define DOD_MAPPED_PAGES_H

#include <linux/atomic.h>
#include <linux/bits.h>

#include "../dma_owner_debug.h"

#define DOD_NR_PAGE_MARKS	BIT(16)

extern atomic_t dod_page_marks[DOD_NR_PAGE_MARKS];
extern atomic_t dod_nr_unmarked;

/* Called for each free: some ten instructions. */
static inline bool dod_page_is_mapped(unsigned long pfn)
{
	return atomic_read(&dod_page_marks[pfn & (DOD_NR_PAGE_MARKS - 1)]);
}

static inline bool dod_all_pages_are_mapped(void)
{
	return atomic_read(&dod_nr_unmarked);
}

void dod_mapped_pages_add(struct dod_mapping *m);
void dod_mapped_pages_del(const struct dod_mapping *m);

#endif /* DOD_MAPPED_PAGES_H */
