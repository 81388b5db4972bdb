// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks of dma_alloc_coherent() and its family. Nobody owns such memory; what follows the buffer
 * in its last page is looked at, unless others get at it, too. No locks.
 */
#include "../judge/judge.h"
#include "hooks.h"

#include <linux/mm.h>

static bool all_hooked(const enum hook_id *id, unsigned int nr)
{
	while (nr--)
		if (dod_hooks[id[nr]].missing)
			return false;
	return true;
}

/* Not if it might be freed, or lent, unseen. */
static bool all_seen(void)
{
	static const enum hook_id needed[] = {
		FREE_COHERENT, MMAP_COHERENT, SGT_COHERENT, REMAP_PFN, INSERT_PFN, INSERT_PFN_PROT,
	};

	return all_hooked(needed, ARRAY_SIZE(needed)) &&
	       (!DOD_MMAP_PREPARE || !dod_hooks[DO_REMAP_PFN].missing ||
		!dod_hooks[REMAP_PFN_COMPLETE].missing);
}

static __always_inline void alloc_coherent(struct dod_call *call, const void *addr,
					   dma_addr_t dma_addr, size_t size, unsigned long attrs)
{
	if (!addr || !offset_in_page(size))
		return;
	/* Without a mapping, there is no address of the CPU's. */
	if (!offset_in_page(addr) && !(attrs & DMA_ATTR_NO_KERNEL_MAPPING) && all_seen())
		dod_coherent_alloc(call, addr, dma_addr, size);
	else
		dod_coherent_unseen();
}

#if DOD_BY_EVENTS
/* Tracepoint dma_alloc; nothing was allocated at NULL */
void dod_probe_alloc_coherent(void *data, struct device *dev, void *addr, dma_addr_t dma_addr,
			      size_t size, enum dma_data_direction dir, gfp_t gfp,
			      unsigned long attrs)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_COHERENT, DMA_BIDIRECTIONAL,
							       dev);

	if (dod_event_counts(data, dev))
		alloc_coherent(&call, addr, dma_addr, size, attrs);
}
#else
/* debug_dma_alloc_coherent(dev, size, dma_addr, virt, attrs) */
HOOK_HANDLER(dod_on_alloc_coherent)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_COHERENT, DMA_BIDIRECTIONAL, caller, fregs);

	alloc_coherent(&call, (const void *)dod_arg(fregs, 3), dod_arg_addr(fregs, 2),
		       dod_arg(fregs, 1), dod_arg(fregs, 4));
}
#endif

/* dma_free_attrs(dev, size, cpu_addr, dma_handle, attrs) */
HOOK_HANDLER(dod_on_free_coherent)
{
	dod_coherent_free((const void *)dod_arg(fregs, 2), caller);
}

/* dma_mmap_attrs(dev, vma, cpu_addr, dma_addr, size, attrs) */
HOOK_HANDLER(dod_on_mmap_coherent)
{
	dod_coherent_lent((const void *)dod_arg(fregs, 2));
}

/* dma_get_sgtable_attrs(dev, sgt, cpu_addr, dma_addr, size, attrs): for a dma-buf, mostly */
HOOK_HANDLER(dod_on_sgt_coherent)
{
	dod_coherent_lent((const void *)dod_arg(fregs, 2));
}

/* remap_pfn_range(vma, addr, pfn, size, prot): user space gets whole pages */
HOOK_HANDLER(dod_on_remap_pfn)
{
	dod_coherent_lent_pages(dod_arg(fregs, 2), PFN_UP((unsigned long)dod_arg(fregs, 3)));
}

/*
 * remap_pfn_range_complete(vma, ...), for what mmap_prepare() of a file asked for. What follows
 * differs between kernels, so all buffers count as lent, unless the next function tells.
 */
HOOK_HANDLER(dod_on_remap_complete)
{
	if (dod_hooks[DO_REMAP_PFN].missing)
		dod_coherent_lent_pages(0, ULONG_MAX);
}

/* vmf_insert_pfn(vma, addr, pfn), vmf_insert_pfn_prot(vma, addr, pfn, prot): in a page fault */
HOOK_HANDLER(dod_on_insert_pfn)
{
	dod_coherent_lent_pages(dod_arg(fregs, 2), 1);
}
