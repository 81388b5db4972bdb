/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which page frames may be mapped: a counting filter, so that the free of memory that was
 * never mapped returns after one load. No locks here; all may be called in any context.
 */
#ifndef DOD_MAPPED_PAGES_H
#define DOD_MAPPED_PAGES_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/pfn.h>

#include "../dma_owner_debug.h"

#define DOD_NR_MAPPED_COUNTS	BIT(16)

/* By page frame, how many mappings have to do with it. */
extern atomic_t dod_mapped_counts[DOD_NR_MAPPED_COUNTS];

/*
 * CPUs that map neighbouring pages must not write to one cache line: those of 16 counts that share
 * a line are 4,096 pages apart.
 */
static inline u16 dod_mapped_count(unsigned long pfn)
{
	return rol16(pfn, 4);
}

/* How many mappings are too large for that. */
extern atomic_t dod_nr_uncounted;

/* Called for each free: some ten instructions. */
static inline int dod_page_is_mapped(unsigned long pfn)
{
	return atomic_read(&dod_mapped_counts[dod_mapped_count(pfn)]);
}

/* Then any page may be mapped. */
static inline int dod_all_pages_are_mapped(void)
{
	return atomic_read(&dod_nr_uncounted);
}

void dod_mapped_pages_choose(struct dod_mapping *m);
void dod_mapped_pages_count(const struct dod_mapping *m, int by);

static __always_inline void __dod_mapped_pages_add(const struct dod_mapping *m, int by)
{
	if (likely(m->counted_at < DOD_NR_MAPPED_COUNTS))
		atomic_add(by, &dod_mapped_counts[m->counted_at]);
	else
		dod_mapped_pages_count(m, by);
}

/* Memory is mapped: its free must be seen from now on. @m is of RAM. */
static __always_inline void dod_mapped_pages_add(struct dod_mapping *m)
{
	if (m->memory & (DOD_MEM_LARGE | DOD_MEM_SEVERAL)) {
		dod_mapped_pages_choose(m);
	} else {
		m->slab = !!(m->memory & DOD_MEM_SLAB);
		m->counted_at = dod_mapped_count(PHYS_PFN(m->start));
	}
	__dod_mapped_pages_add(m, 1);
}

/* It is not mapped any more. The folio may have been freed or split since. */
static __always_inline void dod_mapped_pages_del(const struct dod_mapping *m)
{
	__dod_mapped_pages_add(m, -1);
}

#endif /* DOD_MAPPED_PAGES_H */
