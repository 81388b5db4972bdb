// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about pages and devices: which memory may be poisoned at all, what is a stack,
 * which pages of KFENCE are gone, which device shares cache lines with the CPU. No locks here.
 */
#include "memory.h"
#include "compat.h"
#include "params.h"
#include "stats.h"

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu.h>
#include <linux/magic.h>
#include <linux/sched/task_stack.h>

/* Can user space or the page cache reach it, without the driver? Rule 8. */
static bool is_user_reachable(struct folio *folio)
{
	/* A slab folio uses the words of ->mapping for itself. */
	if (folio_test_slab(folio))
		return false;
	return folio->mapping || folio_test_swapcache(folio);
}

/* Why a page must not be poisoned. */
enum no_trap { MAY_TRAP, KFENCE, RESERVED, STACK, USER };

static const enum dod_counter no_trap_counters[] = {
	[KFENCE] = DOD_C_UNTRAPPED_KFENCE,
	[RESERVED] = DOD_C_UNTRAPPED_RESERVED,
	[STACK] = DOD_C_UNTRAPPED_STACK,
	[USER] = DOD_C_UNTRAPPED_USER,
};

static enum no_trap no_trap_reason(u64 phys, bool near_stack)
{
	struct page *page = pfn_to_page(PHYS_PFN(phys));

	/* KFENCE's pool is reserved memory as well: name the closer reason. */
	if (is_kfence_address(phys_to_virt(phys)))
		return KFENCE;
	/* Memory holes are reserved; their shadow is one read-only page. */
	if (PageReserved(page))
		return RESERVED;
	/* Every function on a poisoned stack would trap. */
	if (near_stack && dod_memory_on_stack(page))
		return STACK;
	if (!dod_params.trap_user && is_user_reachable(page_folio(page)))
		return USER;
	return MAY_TRAP;
}

/* May the page at an address of RAM be poisoned? */
bool dod_memory_can_trap(u64 phys)
{
	return no_trap_reason(phys, true) == MAY_TRAP;
}

/**
 * dod_memory_classify() - which memory of a new mapping may be poisoned?
 * @m: the mapping
 *
 * Counts what may not.
 *
 * Return: whether all, some or none of its pages.
 */
enum dod_trap dod_memory_classify(const struct dod_mapping *m)
{
	unsigned long pfn, last = PHYS_PFN(m->last);
	bool some = false, all = true;

	for (pfn = PHYS_PFN(m->start); pfn <= last; pfn = dod_folio_last(pfn) + 1) {
		enum no_trap why = no_trap_reason(PFN_PHYS(pfn), m->near_stack);

		if (why == MAY_TRAP) {
			some = true;
		} else {
			all = false;
			dod_count(no_trap_counters[why]);
		}
	}
	if (all)
		return DOD_TRAP_ALL;
	return some ? DOD_TRAP_SOME : DOD_TRAP_NONE;
}

/**
 * dod_memory_may_change() - may the CPU write to memory that it only sends?
 * @phys: a byte of it
 *
 * Legal exceptions go by who writes (permissive.h), which only a guard that traps
 * each access sees. The others go by the memory: what md writes to while a disk reads
 * it are pages of its own, and no slab objects.
 *
 * Return: true if it may.
 */
bool dod_memory_may_change(u64 phys)
{
	return !READ_ONCE(dod_params.strict) &&
	       !folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(phys))));
}

/*
 * Each object of KFENCE's has a page of its own, which is mapped while the object is allocated.
 * The pages of freed objects, and the guard pages between objects, are not mapped.
 */

/**
 * dod_memory_read() - read memory that may not be there, without a fault
 * @start: first byte, physical
 * @to: for what is there
 * @nr: how many bytes
 *
 * Return: false if some of it is not there.
 */
bool dod_memory_read(u64 start, u8 *to, unsigned int nr)
{
	const u8 *from = phys_to_virt(start);

	pagefault_disable();
	for (; nr; nr--, from++, to++)
		__get_kernel_nofault(to, from, u8, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

/**
 * dod_kfence_hole() - is some of a range a page that KFENCE has unmapped?
 * @start: first byte, physical
 * @last: last byte
 * @bad: filled in: the first byte that is not there
 * @freed: filled in: it is of an object that was freed
 *
 * Return: what that byte is in, NULL if all is there.
 */
const char *dod_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed)
{
	u64 pool, page;
	u8 byte;

	if (!dod_is_kfence(start, last))
		return NULL;
	pool = virt_to_phys(dod_kfence_pool());
	for (page = max(round_down(start, PAGE_SIZE), pool); page <= last; page += PAGE_SIZE) {
		if (!dod_is_kfence(page, page))
			return NULL;
		if (dod_memory_read(page, &byte, 1))
			continue;
		*bad = max(page, start);
		/* Objects are in every second page, after the first two. */
		*freed = page - pool >= 2 * PAGE_SIZE && !((page - pool) / PAGE_SIZE % 2);
		return *freed ? "a freed object of KFENCE's" : "a guard page of KFENCE's";
	}
	return NULL;
}

/**
 * dod_memory_on_stack() - is a page part of a task's stack?
 * @page: the page
 *
 * With VMAP_STACK only the current task's stack is known by its pages. Without, a
 * stack in the linear map ends with a magic value, which can be there by chance, and
 * may be unmapped (debug_pagealloc).
 *
 * Return: true if it is, as far as that is known.
 */
bool dod_memory_on_stack(const struct page *page)
{
#ifdef CONFIG_VMAP_STACK
	u64 phys = PFN_PHYS(page_to_pfn(page));

	return dod_memory_near_stack(phys, phys);
#else
	unsigned long magic;

	return dod_read_word((void *)round_down((unsigned long)page_address(page), THREAD_SIZE),
			     &magic) && magic == STACK_END_MAGIC;
#endif
}

/**
 * dod_memory_near_stack() - may any page of a range be part of a task's stack?
 * @start: first byte, of memory
 * @last: last byte
 *
 * Return: false only if dod_memory_on_stack() is false for each of its pages.
 */
bool dod_memory_near_stack(u64 start, u64 last)
{
#ifdef CONFIG_VMAP_STACK
	unsigned long pfn = PHYS_PFN(start), nr = PHYS_PFN(last) - pfn;
	struct page *page = pfn_to_page(pfn);
	const struct vm_struct *vm;
	unsigned int i;

	/* Stacks are of single pages. */
	if (!nr && PageCompound(page))
		return false;
	vm = task_stack_vm_area(current);
	if (!vm)
		return false;
	if (!nr) {
		/* kernel/fork.c asserts that; a constant, so that the loop is unrolled. */
		for (i = 0; i < THREAD_SIZE / PAGE_SIZE; i++)
			if (vm->pages[i] == page)
				return true;
		return false;
	}
	for (i = 0; i < vm->nr_pages; i++)
		if (page_to_pfn(vm->pages[i]) - pfn <= nr)
			return true;
	return false;
#else
	return true;
#endif
}

/**
 * dod_device_line() - the cache lines that a device shares with the CPU
 * @dev: the device
 *
 * Return: their size in bytes, 0 if the device is coherent and is not to be checked as
 * if it were not (noncoherent=).
 */
u16 dod_device_line(struct device *dev)
{
	u16 line = READ_ONCE(dod_params.noncoherent);

	if (!line && !dev_is_dma_coherent(dev))
		line = min_t(int, dod_cache_line(), PAGE_SIZE);
	return line;
}

/**
 * dod_is_bounced() - does the device use a bounce buffer for some memory?
 * @dev: the device
 * @phys: first byte of the memory
 * @dma_addr: its address as the device sees it
 *
 * Return: true if it does, as far as is known.
 */
bool dod_is_bounced(struct device *dev, u64 phys, u64 dma_addr)
{
	struct iommu_domain *domain;

	if (dod_maps_directly(dev))
		return dma_to_phys(dev, dma_addr) != phys;
	domain = iommu_get_domain_for_dev(dev);
	return domain && iommu_iova_to_phys(domain, dma_addr) != phys;
}
