/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which page frames may be mapped: a counting filter, so that the free of memory that was
 * never mapped returns after one load. No locks here; all may be called in any context.
 */
#ifndef DOD_MAPPED_PAGES_H
#define DOD_MAPPED_PAGES_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bits.h>

#include "../dma_owner_debug.h"

#define DOD_NR_MAPPED_COUNTS	BIT(16)

/* By page frame, how many mappings have to do with it. */
extern atomic_t dod_mapped_counts[DOD_NR_MAPPED_COUNTS];
/* How many mappings are too large for that. */
extern atomic_t dod_nr_uncounted;

/* Neighbours are 128 bytes apart: CPUs that map neighbouring pages write to no common line. */
static inline unsigned int dod_mapped_count_of(unsigned long pfn)
{
	return rol16(pfn, 5);
}

/* Called for each free: some ten instructions. */
static inline bool dod_page_is_mapped(unsigned long pfn)
{
	return atomic_read(&dod_mapped_counts[dod_mapped_count_of(pfn)]);
}

/* Then any page may be mapped. */
static inline bool dod_all_pages_are_mapped(void)
{
	return atomic_read(&dod_nr_uncounted);
}

void dod_mapped_pages_add(struct dod_mapping *m);
void dod_mapped_pages_del(const struct dod_mapping *m);

#endif /* DOD_MAPPED_PAGES_H */
