/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Facts about pages and devices. No locks here; all may be called in any context, if not
 * said otherwise.
 */
#ifndef DOD_MEMORY_H
#define DOD_MEMORY_H

#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "../dma_owner_debug.h"
#include "compat.h"

/**
 * dod_memory_goes_on() - is there a struct page, if there is one for the page before?
 * @pfn: the page
 *
 * Memory has them in pieces of 2 MiB at least (SUBSECTION_SIZE in linux/mmzone.h).
 *
 * Return: true if there is one.
 */
static inline bool dod_memory_goes_on(unsigned long pfn)
{
	return pfn % (SZ_2M / PAGE_SIZE) || pfn_valid(pfn);
}

/**
 * dod_folio_last() - the last page of what a page was allocated with
 * @pfn: the page, of memory
 *
 * Pages without __GFP_COMP are each one of their own.
 *
 * Return: the page frame number; of memory that was freed any, but not less than @pfn.
 */
static inline unsigned long dod_folio_last(unsigned long pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	if (!folio_test_large(folio))
		return pfn;
	return max(pfn, folio_pfn(folio) + folio_nr_pages(folio) - 1);
}

/**
 * dod_page_end() - the last byte of a page, or of a range in it
 * @phys: a byte of the page
 * @last: last byte of the range
 *
 * Return: its physical address.
 */
static inline u64 dod_page_end(u64 phys, u64 last)
{
	return min(phys | (PAGE_SIZE - 1), last);
}

/**
 * dod_read_word() - read a word that may not be there, without a fault
 * @at: where, aligned
 * @word: for the word
 *
 * Return: false if it is not there.
 */
static inline bool dod_read_word(const void *at, unsigned long *word)
{
	pagefault_disable();
	__get_kernel_nofault(word, at, unsigned long, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

static inline u8 *dod_kfence_pool(void)
{
#ifdef CONFIG_KFENCE
	return __kfence_pool;
#else
	return NULL;
#endif
}

/**
 * dod_is_kfence() - is some of a range in KFENCE's pool?
 * @start: first byte, physical
 * @last: last byte
 *
 * Return: true if it is: then it is to be read by dod_memory_read().
 */
static inline bool dod_is_kfence(u64 start, u64 last)
{
#ifdef CONFIG_KFENCE
	u8 *pool = dod_kfence_pool(), *first = phys_to_virt(start);

	return pool && first < pool + KFENCE_POOL_SIZE && first + (last - start) >= pool;
#else
	return false;
#endif
}

/**
 * dod_is_linear() - is an address one that virt_to_page() understands?
 * @addr: as a driver passed it to dma_map_single(), which refuses vmalloc space
 *
 * Return: true if it is.
 */
static inline bool dod_is_linear(const void *addr)
{
	return !dod_is_module_addr(addr);
}

/* Pages */
enum dod_trap dod_memory_classify(const struct dod_mapping *m);
bool dod_memory_can_trap(u64 phys);
bool dod_memory_may_change(u64 phys);
bool dod_memory_read(u64 start, u8 *to, unsigned int nr);
const char *dod_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed);
bool dod_memory_on_stack(const struct page *page);
bool dod_memory_near_stack(u64 start, u64 last);

/* Devices */
u16 dod_device_line(struct device *dev);
bool dod_is_bounced(struct device *dev, u64 phys, u64 dma_addr);

#endif /* DOD_MEMORY_H */
