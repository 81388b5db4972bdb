// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about pages and devices: which memory may be poisoned at all, what is a stack,
 * which device shares cache lines with the CPU. No locks here.
 */
#include "lock.h"
#include "memory.h"

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu.h>
#include <linux/magic.h>
#include <linux/sched/task_stack.h>

unsigned long dod_linear_size;
bool dod_kfence_traps;

/* To be called once at load, before all others. Memory that is plugged in later is not counted. */
void dod_memory_start(void)
{
	if (IS_ENABLED(CONFIG_64BIT))
		dod_linear_size = (unsigned long)high_memory - PAGE_OFFSET;
}

/* Can user space or the page cache reach it, without the driver? Rule 8. */
static bool is_user_reachable(struct folio *folio)
{
	/* A slab folio uses the words of ->mapping for itself. */
	if (folio_test_slab(folio))
		return false;
	return folio->mapping || folio_test_swapcache(folio);
}

/* Of how many pages a task's stack is: kernel/fork.c asserts it. Loops over them are unrolled. */
#define STACK_PAGES	(THREAD_SIZE / PAGE_SIZE)

/* Is a page, which is not of a compound one, of the current task's stack? */
static __always_inline bool is_of_stack(const struct page *page)
{
#ifdef CONFIG_VMAP_STACK
	const struct vm_struct *vm = task_stack_vm_area(current);
	unsigned int i;

	for (i = 0; vm && i < STACK_PAGES; i++)
		if (vm->pages[i] == page)
			return true;
	return false;
#else
	return true;	/* perhaps */
#endif
}

static bool are_of_stack(unsigned long pfn, unsigned long last)
{
#ifdef CONFIG_VMAP_STACK
	const struct vm_struct *vm = task_stack_vm_area(current);
	unsigned int i;

	for (i = 0; vm && i < STACK_PAGES; i++)
		if (page_to_pfn(vm->pages[i]) - pfn <= last - pfn)
			return true;
	return false;
#else
	return true;
#endif
}

/*
 * Memory that firmware reserved, at the edge of what the kernel knows, need not be in the
 * linear map, and has no shadow then. KFENCE's pool is reserved, too, and is memory even where
 * KFENCE has unmapped it.
 */
static noinline bool is_in_linear_map(struct page *page)
{
	unsigned long word;

	return !PageReserved(page) || is_kfence_address(page_address(page)) ||
	       dod_read_word(page_address(page), &word);
}

/* What is to be known of a page, bits of enum dod_memory_facts. */
static __always_inline u8 facts_of(struct page *page, struct folio *folio)
{
	u8 facts = folio_test_large(folio) ? DOD_MEM_LARGE : 0;

	if (unlikely(PageReserved(page)))
		facts |= DOD_MEM_ODD;
	if (folio_test_slab(folio))
		return facts | DOD_MEM_SLAB;
	if (unlikely(PageBuddy(page)))
		facts |= DOD_MEM_ODD;
	return is_user_reachable(folio) ? facts | DOD_MEM_USER : facts;
}

/* Memory, too, and what precedes it may be mapped with it: rule 7. */
static __always_inline bool is_not_ours(const struct page *page)
{
	return is_zone_device_page(page) || PageHighMem(page);
}

/* look_at_one() of a page whose facts in @found may not be all. */
static noinline u64 look_closer(u64 phys, u64 size, struct page *page, u8 found, u8 *facts)
{
	if ((found & DOD_MEM_ODD) && !is_in_linear_map(page))
		return 0;
	if (is_of_stack(page) || is_kfence_address(phys_to_virt(phys)))
		found |= DOD_MEM_ODD;
	*facts = found;
	return size;
}

/* The same as dod_memory_look(), of memory in one folio. It calls nothing for most memory. */
static __always_inline u64 look_at_one(u64 phys, u64 size, struct page *page, struct folio *folio,
				       u8 *facts)
{
	u8 found = facts_of(page, folio);

	if (is_not_ours(page))
		return 0;
	/* Where they are known, stacks are of single pages. */
	if (unlikely(found & DOD_MEM_ODD) || !IS_ENABLED(CONFIG_VMAP_STACK) ||
	    !(found & (DOD_MEM_SLAB | DOD_MEM_USER | DOD_MEM_LARGE)))
		return look_closer(phys, size, page, found, facts);
	if (unlikely(is_kfence_address(phys_to_virt(phys))))
		found |= DOD_MEM_ODD;
	*facts = found;
	return size;
}

/*
 * Is it a page after the first one of an allocation without __GFP_COMP? Of its facts there is
 * nothing to know then.
 */
static __always_inline bool is_plain_tail(struct page *page)
{
	struct folio *folio = (struct folio *)page;

	return !PageCompound(page) && !page_ref_count(page) && !PageReserved(page) &&
	       !PageBuddy(page) && !folio_test_slab(folio) && !is_user_reachable(folio) &&
	       !is_not_ours(page);
}

static noinline u64 look_at_several(u64 phys, u64 size, u8 *facts)
{
	u64 end = phys + min(size - 1, U64_MAX - phys);
	unsigned long pfn = PHYS_PFN(phys), last = PHYS_PFN(end);
	u8 found = DOD_MEM_SEVERAL;

	for (;;) {
		struct page *page = pfn_to_page(pfn);
		struct folio *folio = page_folio(page);

		found |= facts_of(page, folio);
		if (unlikely(found & DOD_MEM_ODD) &&
		    (!is_in_linear_map(page) || (PageBuddy(page) && pfn != PHYS_PFN(phys))))
			goto cut;
		if (is_not_ours(page))
			return 0;
		if (folio_test_large(folio))
			pfn = max(pfn, folio_pfn(folio) + folio_nr_pages(folio) - 1);
		do {
			if (pfn >= last)
				goto out;
			if (!dod_memory_goes_on(++pfn))
				goto cut;
			page = pfn_to_page(pfn);
		} while (is_plain_tail(page));
		if (page_ref_count(page))
			found |= DOD_MEM_APART;
	}
out:
	if (found & (DOD_MEM_SLAB | DOD_MEM_USER | DOD_MEM_LARGE))
		found |= DOD_MEM_APART;
	if (are_of_stack(PHYS_PFN(phys), last) || dod_is_kfence(phys, end))
		found |= DOD_MEM_ODD;
	*facts = found;
	return size;
cut:
	*facts = found | DOD_MEM_ODD;
	return max_t(u64, PFN_PHYS(pfn), phys) - phys;
}

static __always_inline u64 look(u64 phys, u64 size, u8 *facts)
{
	struct page *page = pfn_to_page(PHYS_PFN(phys));
	struct folio *folio = page_folio(page);

	if (likely(size <= PAGE_SIZE - offset_in_page(phys)) ||
	    (folio_test_large(folio) &&
	     size <= PFN_PHYS(folio_pfn(folio) + folio_nr_pages(folio)) - phys))
		return look_at_one(phys, size, page, folio, facts);
	return look_at_several(phys, size, facts);
}

static noinline u64 look_if_valid(u64 phys, u64 size, u8 *facts)
{
	return pfn_valid(PHYS_PFN(phys)) ? look(phys, size, facts) : 0;
}

/**
 * dod_memory_look() - which memory is being mapped?
 * @phys: first byte
 * @size: bytes, more than 0. Can be anything, also a negative number: the first free page or
 *	the end of RAM ends the search
 * @facts: filled in: what is known of it, bits of enum dod_memory_facts
 *
 * The only look at each of its pages for most mappings.
 *
 * Return: how many bytes from @phys on are memory that the tool may look at (rule 7): none, all
 * of them, or those before the first hole or free page.
 */
u64 dod_memory_look(u64 phys, u64 size, u8 *facts)
{
	if (likely(dod_pfn_is_early(PHYS_PFN(phys))))
		return look(phys, size, facts);
	return look_if_valid(phys, size, facts);
}

/* Why a page must not be poisoned. */
enum no_trap { MAY_TRAP, KFENCE, RESERVED, STACK, USER };

static const enum dod_counter no_trap_counters[] = {
	[KFENCE] = DOD_C_UNTRAPPED_KFENCE,
	[RESERVED] = DOD_C_UNTRAPPED_RESERVED,
	[STACK] = DOD_C_UNTRAPPED_STACK,
	[USER] = DOD_C_UNTRAPPED_USER,
};

static enum no_trap no_trap_reason(u64 phys)
{
	struct page *page = pfn_to_page(PHYS_PFN(phys));

	/* KFENCE's pool is reserved memory as well: name the closer reason. */
	if (is_kfence_address(phys_to_virt(phys)))
		return READ_ONCE(dod_kfence_traps) ? MAY_TRAP : KFENCE;
	/* Memory holes are reserved; their shadow is one read-only page. */
	if (PageReserved(page))
		return RESERVED;
	/* Every function on a poisoned stack would trap. */
	if (dod_memory_on_stack(page))
		return STACK;
	if (!dod_params.trap_user && is_user_reachable(page_folio(page)))
		return USER;
	return MAY_TRAP;
}

/* May the page at an address of RAM be poisoned? */
bool dod_memory_can_trap(u64 phys)
{
	return no_trap_reason(phys) == MAY_TRAP;
}

/* The same as dod_memory_classify(), page by page. */
enum dod_trap dod_memory_classify_pages(u64 start, u64 end)
{
	unsigned long pfn, last = PHYS_PFN(end);
	bool some = false, all = true;

	for (pfn = PHYS_PFN(start); pfn <= last; pfn = dod_folio_last(pfn) + 1) {
		enum no_trap why = no_trap_reason(PFN_PHYS(pfn));

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
 * Legal exceptions go by who writes (permissive_rows.h), which only a guard that traps
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
	/* It may be a page that we protect. */
	unsigned long flags = dod_quiet_begin();
	const u8 *from = phys_to_virt(start);

	pagefault_disable();
	for (; nr; nr--, from++, to++)
		__get_kernel_nofault(to, from, u8, fault);
fault:
	pagefault_enable();
	dod_quiet_end(flags);
	return !nr;
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
bool dod_memory_on_stack(struct page *page)
{
#ifdef CONFIG_VMAP_STACK
	return !PageCompound(page) && is_of_stack(page);
#else
	unsigned long magic;

	return dod_read_word((void *)round_down((unsigned long)page_address(page), THREAD_SIZE),
			     &magic) && magic == STACK_END_MAGIC;
#endif
}

/**
 * dod_dma_domain() - the IOMMU domain in which the DMA API maps for a device
 * @dev: the device, which is not mapped directly
 *
 * Operations of a bus or hypervisor map without one.
 *
 * Return: the domain, or NULL.
 */
struct iommu_domain *dod_dma_domain(struct device *dev)
{
#if IS_ENABLED(CONFIG_IOMMU_API)
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && (domain->type & __IOMMU_DOMAIN_DMA_API) ? domain : NULL;
#else
	return NULL;
#endif
}

/**
 * dod_is_bounced() - does the device use a bounce buffer for some memory?
 * @dev: the device
 * @phys: first byte of the memory
 * @dma_addr: its address as the device sees it
 * @unknown: what to say where that cannot be asked: drivers of IOMMUs, as that of virtio, take
 *	     locks for it which sleep with PREEMPT_RT
 *
 * Return: true if it does, as far as is known.
 */
bool dod_is_bounced(struct device *dev, u64 phys, u64 dma_addr, bool unknown)
{
	struct iommu_domain *domain;

	if (dod_maps_directly(dev))
		return dma_to_phys(dev, dma_addr) != phys;
	if (!dod_may_ask_iommu())
		return unknown;
	domain = iommu_get_domain_for_dev(dev);
	return domain && iommu_iova_to_phys(domain, dma_addr) != phys;
}
