/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is a fault: what attach/ and dma_owner_debug.c call. owner/ calls through struct
 * dod_judge_ops instead.
 *
 * Context: any but NMI, no lock of ours held, where nothing else is said.
 */
#ifndef DOD_JUDGE_H
#define DOD_JUDGE_H

#include "../dma_owner_debug.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../report/report.h"

#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/slab.h>

struct dma_buf;

/* Called once at load, before the first hook: what map-time checks need to know. Process. */
void dod_map_checks_start(void);

/**
 * dod_wires_set() - which address lines devices really have
 * @val: comma-separated <glob>:<bits>; empty for none
 *
 * The parameter wires is written. Context: process, the lock of the parameters held.
 *
 * Return: 0, or -EINVAL after a line that says what is wrong; the list in force stays then.
 */
int dod_wires_set(const char *val);

/* At load, after the hooks: watches frees and buses, and begins the scans. May sleep. */
void dod_judge_start(void);

/* Stops that, when no hook runs any more and no device owns anything. May sleep. */
void dod_judge_stop(void);

void dod_free_mapped_object(const void *ptr, unsigned long ip);
void dod_free_mapped_pages(unsigned long pfn, unsigned int order, unsigned long ip);

/**
 * dod_free_object() - an object of kmalloc() or of a slab cache is about to be freed
 * @ptr: the object; may be NULL
 * @ip: return address of the function that frees it
 *
 * Called for each free: returns at once for memory that was never mapped. Context: any.
 */
static __always_inline void dod_free_object(const void *ptr, unsigned long ip)
{
	struct page *page;
	unsigned long pfn;
	int nr;

	if (likely(dod_is_linear(ptr)))
		pfn = PHYS_PFN(dod_linear_to_phys(ptr));
	else if (!ZERO_OR_NULL_PTR(ptr))
		pfn = PHYS_PFN(virt_to_phys((void *)ptr));
	else
		return;
	page = pfn_to_page(pfn);
	nr = dod_page_is_mapped(pfn) | dod_all_pages_are_mapped();
	if (PageTail(page))
		nr |= dod_page_is_mapped(folio_pfn(page_folio(page)));
	if (unlikely(nr))
		dod_free_mapped_object(ptr, ip);
}

/**
 * dod_free_pages() - the same for pages
 * @page: the first one
 * @order: how many, as a power of two
 * @ip: return address of the function that frees them
 */
static __always_inline void dod_free_pages(struct page *page, unsigned int order, unsigned long ip)
{
	unsigned long pfn = page_to_pfn(page), end, i;
	int nr = dod_page_is_mapped(pfn) | dod_all_pages_are_mapped();

	/* Most are single pages. */
	if (order) {
		end = pfn + BIT(order);
		for (i = pfn + 1; i < end && !nr; i++)
			nr = dod_page_is_mapped(i);
	}
	if (unlikely(nr) && !PageHighMem(page))
		dod_free_mapped_pages(pfn, order, ip);
}

/**
 * dod_free_to_pool() - an element is returned to a memory pool
 * @element: the element; may be NULL
 * @pool: the pool, which keeps or frees it
 * @ip: return address of mempool_free(); any context
 */
void dod_free_to_pool(void *element, const mempool_t *pool, unsigned long ip);

/**
 * dod_check_shutdown() - report which devices can still write to memory
 *
 * Called when the drivers' shutdown() have run. Context: process; preemption may be off.
 */
void dod_check_shutdown(void);

/**
 * dod_iommu_fault() - an IOMMU has stopped an access of a device
 * @dev: the device, NULL if the IOMMU does not know
 * @dma_addr: the address
 *
 * Prints what is, or was lately, mapped there. Context: any.
 */
void dod_iommu_fault(struct device *dev, u64 dma_addr);

/* Adds the file lookup, after dod_debugfs_start(). */
void dod_lookup_start(void);

/* Adds the file exposure, after dod_debugfs_start(). */
void dod_exposure_start(void);

/**
 * dod_content_invalidate_all() - content may change now, or may have changed, unseen
 *
 * Called where an access cannot be attributed. The content of what was mapped before, or
 * a moment after, is not compared. Context: any, also NMI.
 */
void dod_content_invalidate_all(void);

/**
 * dod_reads_note() - remember a read that was allowed, and that may be half an x++
 * @phys: first byte
 * @size: bytes
 * @ip: return address of the access
 *
 * Context: any; interrupts are off.
 */
void dod_reads_note(u64 phys, size_t size, unsigned long ip);

/* Adds the files profile and summary, after dod_debugfs_start(). */
void dod_advice_show_start(void);

/* The parameter profile is written: count or do not, and look for advice now. Process context. */
void dod_profile_changed(void);

/* The parameter pending_after is written: look for writes that nobody syncs now. */
void dod_scan_writes_now(void);

struct dod_call;

void dod_coherent_alloc(const struct dod_call *call, const void *addr, u64 dma_addr, u64 size);
void dod_coherent_free(const void *addr, unsigned long ip);
void dod_coherent_lent(const void *addr);
void dod_coherent_lent_pages(unsigned long pfn, unsigned long nr);
void dod_coherent_unseen(void);

/* judge/late_write.c: KASAN is asked about an access that it would report. */
void dod_late_accessed(u64 phys, u64 last);

/* Before the first event of a dma-buf. @seen: all hooks that tell of them are there. */
void dod_dmabuf_start(bool seen);

/* A driver is about to map a dma-buf that it imports. Context: process. */
void dod_dmabuf_map(const struct dma_buf *buf);

/* User space is about to map a dma-buf. Context: process. */
void dod_dmabuf_mmap(const struct dma_buf *buf);

#endif /* DOD_JUDGE_H */
