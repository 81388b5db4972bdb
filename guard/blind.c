// SPDX-License-Identifier: GPL-2.0
/*
 * What guards answer that cannot know who else uses a piece of memory.
 *
 * No locks here.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "guard.h"

#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/slab.h>

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
