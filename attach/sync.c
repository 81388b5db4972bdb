// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks of the functions that unmap memory and sync it. What ends a device's ownership is seen
 * before the kernel copies a bounce buffer back. No locks.
 */
#include "../base/stats.h"
#include "../owner/owner.h"
#include "hooks.h"

#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

/* dma_unmap_page_attrs(dev, dma_addr, size, dir, attrs), and dma_unmap_phys() */
HOOK_HANDLER(dod_on_unmap_page)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SINGLE, (int)dod_arg(fregs, 3), caller, fregs);
	dma_addr_t dma_addr = dod_arg_addr(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	if (caller == READ_ONCE(hook->nested))
		return;
	call.attrs = dod_arg(fregs, 4);
	note_seen(hook, call.dev, 0, dma_addr, size, call.dir, 0);
	if (is_test_dev(call.dev))
		hook->seen.caller = caller;
	if (!is_ignored(call.attrs))
		dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

/* debug_dma_free_pages(dev, page, size, dir, dma_addr) */
HOOK_HANDLER(dod_on_free_pages)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_PAGES, (int)dod_arg(fregs, 3), caller, fregs);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 1));
	size_t size = dod_arg(fregs, 2);
	dma_addr_t dma_addr = dod_arg_addr(fregs, 4);

	note_seen(hook, call.dev, phys, dma_addr, size, call.dir, 0);
	dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

/* dma_free_pages(dev, size, page, dma_addr, dir), where only it can be seen */
HOOK_HANDLER(dod_on_api_free_pages)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_PAGES, (int)dod_arg(fregs, 4), caller, fregs);
	size_t size = dod_arg(fregs, 1);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 2));
	dma_addr_t dma_addr = dod_arg_addr(fregs, 3);

	note_seen(&dod_hooks[FREE_PAGES], call.dev, phys, dma_addr, size, call.dir, 0);
	dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

static __always_inline void unmap_list(struct hook *hook, struct dod_call *call,
				       struct scatterlist *sg, int nents)
{
	struct scatterlist *first;
	int i;

	/* There may be no list. */
	if (nents <= 0)
		return;
	note_seen(hook, call->dev, sg_phys(sg), sg_dma_address(sg), sg->length, call->dir, nents);
	for_each_sg(sg, first, nents, i)
		if (sg_dma_len(first))
			break;
	/* The mapping begins at the first entry that is not empty. */
	if (i < nents)
		dod_owner_unmap(call, sg_dma_address(first), first->length, sg, nents);
	else
		dod_count(DOD_C_UNMATCHED_UNMAPS);
}

/* Both functions begin with device, list, length and direction. */
static void unmap_args(struct hook *hook, unsigned long caller, unsigned long attrs,
		       bool frees, struct ftrace_regs *fregs)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SG, (int)dod_arg(fregs, 3), caller, fregs);

	call.attrs = attrs;
	call.frees = frees;
	unmap_list(hook, &call, (struct scatterlist *)dod_arg(fregs, 1), (int)dod_arg(fregs, 2));
}

/* dma_unmap_sg_attrs(dev, sg, nents, dir, attrs) */
HOOK_HANDLER(dod_on_unmap_sg)
{
	unmap_args(hook, caller, dod_arg(fregs, 4), false, fregs);
}

/*
 * debug_dma_unmap_sg(dev, sg, nelems, dir), which the former calls, too. Called by itself it is
 * dma_free_noncontiguous().
 */
HOOK_HANDLER(dod_on_unmap_sg_list)
{
	if (caller == READ_ONCE(hook->nested))
		return;
	if (is_test_dev(arg_dev(fregs)))
		hook->seen.caller = caller;
	unmap_args(hook, caller, 0, true, fregs);
}

/* dma_iova_unlink(dev, state, offset, size, dir, attrs) */
HOOK_HANDLER(dod_on_iova_unlink)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_IOVA, (int)dod_arg(fregs, 4), caller, fregs);

	call.attrs = dod_arg(fregs, 5);
	dod_owner_iova_end(&call, arg_iova(fregs)->addr + (size_t)dod_arg(fregs, 2),
			   (size_t)dod_arg(fregs, 3));
}

/*
 * dma_iova_destroy(dev, state, mapped_len, dir, attrs): what is still linked ends with the
 * addresses, and so does what could not be linked.
 */
HOOK_HANDLER(dod_on_iova_destroy)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_IOVA, (int)dod_arg(fregs, 3), caller, fregs);

	call.attrs = dod_arg(fregs, 4);
	dod_owner_iova_end(&call, arg_iova(fregs)->addr, dma_iova_size(arg_iova(fregs)));
}

/* dma_iova_free(dev, state): likewise, after a link that failed */
HOOK_HANDLER(dod_on_iova_free)
{
	struct dod_call call DOD_UNINITIALIZED = call_begin(DOD_IOVA, DMA_NONE, caller, fregs);

	dod_owner_iova_end(&call, arg_iova(fregs)->addr, dma_iova_size(arg_iova(fregs)));
}

/* All of dma_sync_single_*(dev, dma_addr, size, dir) */
HOOK_HANDLER(dod_on_sync)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SINGLE, (int)dod_arg(fregs, 3), caller, fregs);
	dma_addr_t dma_addr = dod_arg_addr(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	note_seen(hook, call.dev, 0, dma_addr, size, call.dir, 0);
	dod_owner_sync(&call, hook->sync, dma_addr, size);
}

/* All of dma_sync_sg_*(dev, sg, nelems, dir) */
HOOK_HANDLER(dod_on_sync_sg)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SG, (int)dod_arg(fregs, 3), caller, fregs);
	struct scatterlist *sg = (struct scatterlist *)dod_arg(fregs, 1);
	int nents = (int)dod_arg(fregs, 2);

	/* There may be no list. */
	if (nents <= 0)
		return;
	note_seen(hook, call.dev, sg_phys(sg), sg_dma_address(sg), sg->length, call.dir, nents);
	dod_owner_sync_sg(&call, hook->sync, sg, nents);
}

#if DOD_BY_EVENTS
/* dma_free_noncontiguous(dev, size, sgt, dir) */
HOOK_HANDLER(dod_on_free_sgt)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SG, (int)dod_arg(fregs, 3), caller, fregs);
	struct sg_table *sgt = (struct sg_table *)dod_arg(fregs, 2);

	call.frees = true;
	unmap_list(hook, &call, sgt->sgl, sgt->orig_nents);
}

/* Tracepoint dma_sync_single_for_device */
void dod_probe_sync_for_device(void *data, struct device *dev, dma_addr_t dma_addr, size_t size,
			       enum dma_data_direction dir)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_SINGLE, dir, dev);

	if (!dod_event_counts(data, dev))
		return;
	note_seen(data, dev, 0, dma_addr, size, dir, 0);
	dod_owner_sync(&call, DOD_SYNC_FOR_DEVICE, dma_addr, size);
}

/* Tracepoint dma_sync_sg_for_device */
void dod_probe_sync_sg_for_device(void *data, struct device *dev, struct scatterlist *sg,
				  int nents, enum dma_data_direction dir)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_SG, dir, dev);

	if (nents <= 0 || !dod_event_counts(data, dev))
		return;
	note_seen(data, dev, sg_phys(sg), sg_dma_address(sg), sg->length, dir, nents);
	dod_owner_sync_sg(&call, DOD_SYNC_FOR_DEVICE, sg, nents);
}
#endif

/* DOD_SYNC_PREPARE is about memory that is bounced: mostly there is none. */
static bool prepares_nothing(struct ftrace_regs *fregs)
{
	return likely(!READ_ONCE(dod_any_bounced)) && !is_test_dev(arg_dev(fregs));
}

/* dma_sync_single_for_device(dev, dma_addr, size, dir), before its copy */
HOOK_HANDLER(dod_on_prepare)
{
	if (!prepares_nothing(fregs))
		dod_on_sync(hook, caller, fregs);
}

/* dma_sync_sg_for_device(dev, sg, nelems, dir), before its copies */
HOOK_HANDLER(dod_on_prepare_sg)
{
	if (!prepares_nothing(fregs))
		dod_on_sync_sg(hook, caller, fregs);
}

/*
 * dma_need_sync(dev, dma_addr): where the answer is no, syncs may be skipped, and nobody can
 * tell who owns such memory.
 */
HOOK_HANDLER(dod_on_need_sync)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SINGLE, DMA_BIDIRECTIONAL, caller, fregs);
	dma_addr_t dma_addr = dod_arg_addr(fregs, 1);

	note_seen(hook, call.dev, 0, dma_addr, 0, call.dir, 0);
	if (dev_is_dma_coherent(call.dev))
		dod_owner_sync(&call, DOD_NO_SYNC_NEEDED, dma_addr, 1);
}
