// SPDX-License-Identifier: GPL-2.0
/*
 * What guards without a shadow know about memory: pages, and objects as the allocator made
 * them. Used with kcsan.c and none.c. No locks.
 */
#include "guard.h"

#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* A page is accessible as a whole. Only the allocator knows where a slab's objects end. */
static u64 accessible_bytes(u64 start, u64 last, bool after)
{
	if (folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(start)))))
		return 0;
	return last + 1 - start;
}

/* Can be more than was asked for, but never reaches into another object. */
static u64 object_size(const void *addr)
{
	struct folio *folio = virt_to_folio(addr);
	u64 size;

	if (!folio_test_slab(folio))
		return folio_size(folio) - offset_in_folio(folio, addr);
	/* KASAN with tags knows whether the object is allocated, and reports that itself. */
	kasan_disable_current();
	size = ksize(addr);
	kasan_enable_current();
	return size;
}

const struct dod_mem_ops dod_mem_ops = {
	.accessible_bytes = accessible_bytes,
	.object_size = object_size,
};
