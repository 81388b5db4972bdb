// SPDX-License-Identifier: GPL-2.0
/*
 * What guards share: which memory may be guarded at all, and what those answer that
 * cannot know who else uses a piece of memory.
 *
 * No locks here.
 */
#include "dma_owner_debug.h"

#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* See dma_owner_debug.h. */
DEFINE_PER_CPU(unsigned int, dod_judging);

/* === Which memory may be guarded ========================================== */

/* Can user space or the page cache reach it behind the driver's back? Rule 8 */
static bool is_user_reachable(struct folio *folio)
{
	/* A slab folio uses the words of ->mapping for itself. */
	if (folio_test_slab(folio))
		return false;
	return folio->mapping || folio_test_swapcache(folio);
}

static enum dod_counter untrapped(u64 phys, bool near_stack)
{
	struct page *page = pfn_to_page(PHYS_PFN(phys));

	/* KFENCE's pool is reserved memory as well: name the closer reason. */
	if (is_kfence_address(phys_to_virt(phys)))
		return DOD_C_UNTRAPPED_KFENCE;
	/* Memory holes are reserved; their shadow is one read-only page. */
	if (PageReserved(page))
		return DOD_C_UNTRAPPED_RESERVED;
	/* Every function on a painted stack would trap. */
	if (near_stack && dod_checks_on_stack(page))
		return DOD_C_UNTRAPPED_STACK;
	if (!dod_params.trap_user && is_user_reachable(page_folio(page)))
		return DOD_C_UNTRAPPED_USER;
	return DOD_COUNTER_COUNT;
}

/**
 * dod_guard_untrapped() - why is the page at an address not to be guarded?
 * @phys: the address, of RAM
 *
 * Context: any.
 *
 * Return: the counter of the reason, DOD_COUNTER_COUNT if it may be guarded.
 */
enum dod_counter dod_guard_untrapped(u64 phys)
{
	return untrapped(phys, true);
}

/* === Memory of KFENCE's =================================================== */

/*
 * Each of its objects has a page of its own, that is there while the object is allocated:
 * the page of a freed one is not, nor are those in between.
 */

/**
 * dod_guard_read() - read memory that may go away, without a fault
 * @start: first byte, physical
 * @to: for what is there
 * @nr: how many bytes
 *
 * Context: any.
 *
 * Return: false if some of it is not there.
 */
bool dod_guard_read(u64 start, u8 *to, unsigned int nr)
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
 * dod_guard_kfence_hole() - is some of a range not there, because KFENCE has taken it?
 * @start: first byte, physical
 * @last: last byte
 * @bad: the first byte that is not there
 * @freed: an object that was freed was
 *
 * Context: any.
 *
 * Return: what it is in, or NULL.
 */
const char *dod_guard_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed)
{
	u64 pool, page;
	u8 byte;

	if (!dod_guard_is_kfence(start, last))
		return NULL;
	pool = virt_to_phys(dod_kfence_pool());
	for (page = max(round_down(start, PAGE_SIZE), pool); page <= last; page += PAGE_SIZE) {
		if (!dod_guard_is_kfence(page, page))
			return NULL;
		if (dod_guard_read(page, &byte, 1))
			continue;
		*bad = max(page, start);
		/* Objects are in every second page, after the first two. */
		*freed = page - pool >= 2 * PAGE_SIZE && !((page - pool) / PAGE_SIZE % 2);
		return *freed ? "a freed object of KFENCE's" : "a guard page of KFENCE's";
	}
	return NULL;
}

/**
 * dod_guard_page_end() - the last byte of a page, or of a range in it
 * @phys: a byte of the page
 * @last: last byte of the range
 *
 * Context: any.
 */
u64 dod_guard_page_end(u64 phys, u64 last)
{
	return min(phys | (PAGE_SIZE - 1), last);
}

/**
 * dod_guard_classify() - which memory of a new mapping may be guarded?
 * @m: the mapping
 *
 * Counts what may not.
 *
 * Context: any.
 */
enum dod_trap dod_guard_classify(const struct dod_mapping *m)
{
	unsigned long pfn, last = PHYS_PFN(m->last);
	bool some = false, all = true;

	for (pfn = PHYS_PFN(m->start); pfn <= last; pfn = dod_folio_last(pfn) + 1) {
		enum dod_counter why = untrapped(PFN_PHYS(pfn), m->near_stack);

		if (why == DOD_COUNTER_COUNT) {
			some = true;
		} else {
			all = false;
			dod_count(why);
		}
	}
	if (all)
		return DOD_TRAP_ALL;
	return some ? DOD_TRAP_SOME : DOD_TRAP_NONE;
}

/**
 * dod_guard_may_change() - may the CPU write to memory that it only sends?
 * @phys: a byte of it
 *
 * Legal exceptions go by who writes (permissive.h), which only a guard that traps
 * each access sees. The others go by the memory: what md writes to while a disk reads
 * it are pages of its own, and no slab objects.
 *
 * Context: any.
 */
bool dod_guard_may_change(u64 phys)
{
	return !READ_ONCE(dod_params.strict) &&
	       !folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(phys))));
}

/* === Guards without a shadow ============================================== */

/**
 * dod_guard_blind_accessible_bytes() - as dod_guard.alive, of pages
 * @start: first byte
 * @last: last byte
 * @after: the mapping ends before it
 *
 * Pages that somebody maps a part of are accessible as a whole. Where the objects
 * of a slab end only the allocator knows.
 *
 * Context: any.
 */
u64 dod_guard_blind_accessible_bytes(u64 start, u64 last, bool after)
{
	if (folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(start)))))
		return 0;
	return last + 1 - start;
}

/**
 * dod_guard_blind_object_size() - as dod_guard.object: what the allocator gave out
 * @addr: where the object begins
 *
 * It may be more than was asked for, and is never a part of another object.
 *
 * Context: any but NMI.
 */
u64 dod_guard_blind_object_size(const void *addr)
{
	struct folio *folio = virt_to_folio(addr);
	u64 size;

	if (!folio_test_slab(folio))
		return folio_size(folio) - offset_in_folio(folio, addr);
	/* KASAN with tags knows whether it is alive, and reports that itself. */
	kasan_disable_current();
	size = ksize(addr);
	kasan_enable_current();
	return size;
}

/**
 * dod_guard_blind_poison() - as dod_guard.own, of a guard that marks nothing
 * @m: the mapping
 * @start: first byte
 * @last: last byte
 * @dir: direction
 *
 * Context: any but NMI.
 */
void dod_guard_blind_poison(const struct dod_mapping *m, u64 start, u64 last,
			    u8 dir)
{
}

/**
 * dod_guard_blind_unpoison() - as dod_guard.disown
 * @start: first byte
 * @last: last byte
 *
 * Context: any but NMI.
 */
void dod_guard_blind_unpoison(u64 start, u64 last)
{
}

/**
 * dod_guard_blind_is_poisoned() - as dod_guard.guarded
 * @addr: the address
 *
 * Context: any.
 */
bool dod_guard_blind_is_poisoned(const void *addr)
{
	return false;
}

/**
 * dod_guard_blind_first_bad_byte() - as dod_guard.inaccessible
 * @start: first byte
 * @last: last byte
 * @bad: ignored
 * @freed: ignored
 *
 * Context: any.
 */
const char *dod_guard_blind_first_bad_byte(u64 start, u64 last, u64 *bad,
					   bool *freed)
{
	return NULL;
}
