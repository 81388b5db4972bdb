/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Facts about pages and devices. No locks here; all may be called in any context,
 * dod_is_bounced() not in NMI.
 */
#ifndef DOD_MEMORY_H
#define DOD_MEMORY_H

#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "../dma_owner_debug.h"
#include "compat.h"
#include "params.h"
#include "stats.h"

/* Is there memory that was there at boot? pfn_valid() asks RCU whether there is other memory. */
static __always_inline bool dod_pfn_is_early(unsigned long pfn)
{
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_HAVE_ARCH_PFN_VALID)
	unsigned long nr = pfn_to_section_nr(pfn);

	if (likely(nr < NR_MEM_SECTIONS)) {
		struct mem_section *ms = __nr_to_section(nr);

		return likely(valid_section(ms) && early_section(ms));
	}
#endif
	return false;
}

/*
 * Is there a struct page, if there is one for the page before? Memory has them in pieces of 2 MiB
 * at least (SUBSECTION_SIZE in linux/mmzone.h).
 */
static inline bool dod_memory_goes_on(unsigned long pfn)
{
	return pfn % (SZ_2M / PAGE_SIZE) || pfn_valid(pfn);
}

/*
 * The last page of what a page of memory was allocated with; pages without __GFP_COMP are each one
 * of their own. Of memory that was freed it is any page, but none before @pfn.
 */
static inline unsigned long dod_folio_last(unsigned long pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	if (!folio_test_large(folio))
		return pfn;
	return max(pfn, folio_pfn(folio) + folio_nr_pages(folio) - 1);
}

/* How long the linear map was at load. */
extern unsigned long dod_linear_size;

/* Is it certainly an address of the linear map, and so of no image? Not NULL, nor a tagged one. */
static inline bool dod_is_linear(const void *addr)
{
	return (unsigned long)addr - PAGE_OFFSET < dod_linear_size;
}

static inline u64 dod_linear_to_phys(const void *addr)
{
#ifdef CONFIG_X86_64
	/* virt_to_phys() also knows of the kernel's image. */
	return (unsigned long)addr - PAGE_OFFSET;
#else
	return virt_to_phys((void *)addr);
#endif
}

/* The last byte of the page of @phys, or of a range that ends in it at @last. */
static inline u64 dod_page_end(u64 phys, u64 last)
{
	return min(phys | (PAGE_SIZE - 1), last);
}

/* Read an aligned word that may not be there, without a fault; false if it is not there. */
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

/* Is some of a range in KFENCE's pool? Then it is to be read by dod_memory_read(). */
static inline bool dod_is_kfence(u64 start, u64 last)
{
#ifdef CONFIG_KFENCE
	u8 *pool = dod_kfence_pool(), *first = phys_to_virt(start);

	return pool && first < pool + KFENCE_POOL_SIZE && first + (last - start) >= pool;
#else
	return false;
#endif
}

/* So many allocations in a row KFENCE may serve, if it is told to (kfence.burst). */
#ifdef CONFIG_KFENCE
#define DOD_KFENCE_OBJECTS	CONFIG_KFENCE_NUM_OBJECTS
#else
#define DOD_KFENCE_OBJECTS	0
#endif

/* Pages of KFENCE's objects can be protected, which guard/kfence.c does. */
extern bool dod_kfence_traps;

void dod_memory_start(void);

/* Pages */
u64 dod_memory_look(u64 phys, u64 size, u8 *facts);
enum dod_trap dod_memory_classify_pages(u64 start, u64 end);
bool dod_memory_can_trap(u64 phys);
bool dod_memory_may_change(u64 phys);
bool dod_memory_read(u64 start, u8 *to, unsigned int nr);
bool dod_memory_on_stack(struct page *page);

/**
 * dod_memory_classify() - which memory of a new mapping may be poisoned?
 * @m: the mapping
 *
 * Counts what may not.
 *
 * Return: whether all, some or none of its pages.
 */
static inline enum dod_trap dod_memory_classify(const struct dod_mapping *m)
{
	u8 why = m->memory & (DOD_MEM_USER | DOD_MEM_ODD | DOD_MEM_SEVERAL);

	if (likely(!(why & (DOD_MEM_USER | DOD_MEM_ODD))))
		return DOD_TRAP_ALL;
	/* One folio, of which nothing else is to be said. */
	if (likely(why == DOD_MEM_USER)) {
		if (dod_params.trap_user)
			return DOD_TRAP_ALL;
		dod_count(DOD_C_UNTRAPPED_USER);
		return DOD_TRAP_NONE;
	}
	return dod_memory_classify_pages(m->start, m->last);
}

/* Devices */
struct iommu_domain *dod_dma_domain(struct device *dev);
bool dod_is_bounced(struct device *dev, u64 phys, u64 dma_addr, bool unknown);

/* Drivers of IOMMUs take locks to say what is translated, and sleep for them with PREEMPT_RT. */
static inline bool dod_may_ask_iommu(void)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT) || preemptible();
}

/**
 * dod_device_line() - the cache lines that a device shares with the CPU
 * @dev: the device
 *
 * Return: their size in bytes, 0 if the device is coherent and is not to be checked as
 * if it were not (noncoherent=).
 */
static inline u16 dod_device_line(struct device *dev)
{
	u16 line = READ_ONCE(dod_params.noncoherent);

	if (!line && !dev_is_dma_coherent(dev))
		line = min_t(int, dod_cache_line(), PAGE_SIZE);
	return line;
}

#endif /* DOD_MEMORY_H */
