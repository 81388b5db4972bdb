/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Accesses that depart from the letter of the DMA API and are not reported.
 * Each row names the function that makes the access, what it may do, the code
 * it was made for and the reason. Keep the list short: a row hides bugs.
 */
#ifndef DMA_OWNER_DEBUG_PERMISSIVE_H
#define DMA_OWNER_DEBUG_PERMISSIVE_H

#include <linux/dma-direction.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>

/**
 * struct dod_idiom - a row
 *
 * @prefix:	of the function that accesses the memory, inlined or not
 * @dirs:	directions it is allowed for, as a mask of BIT(dma_data_direction)
 * @core:	the kernel itself, not a module with such a name: allowed with
 *		strict=1, too
 */
struct dod_idiom {
	const char *prefix;
	u8 dirs;
	bool core;
};

#define DOD_ANY_DIR (BIT(DMA_TO_DEVICE) | BIT(DMA_FROM_DEVICE) | \
		     BIT(DMA_BIDIRECTIONAL))

static const struct dod_idiom dod_idioms[] = {
	/*
	 * kernel/dma/swiotlb.c copies between a buffer and its bounce slot, on
	 * behalf of the device. Our hooks run before it hands back and after it
	 * hands over, but another mapping of the same memory, which is legal,
	 * may own the bytes meanwhile.
	 */
	{ "swiotlb_", DOD_ANY_DIR, .core = true },
	{ "__swiotlb_", DOD_ANY_DIR, .core = true },
	/* The same, where that copy is a tail call of kernel/dma/mapping.c's. */
	{ "dma_map_", DOD_ANY_DIR, .core = true },
	{ "__dma_map_", DOD_ANY_DIR, .core = true },
	{ "dma_unmap_", DOD_ANY_DIR, .core = true },
	{ "dma_sync_", DOD_ANY_DIR, .core = true },
	{ "__dma_sync_", DOD_ANY_DIR, .core = true },
	{ "dma_direct_", DOD_ANY_DIR, .core = true },
	{ "iommu_dma_", DOD_ANY_DIR, .core = true },
	/*
	 * drivers/iommu/io-pgtable-arm.c maps a page table TO_DEVICE once, writes entries
	 * whenever they change, and syncs them: rule 4. Only then, arm_lpae_install_table()
	 * sets a bit that is its own (ARM_LPAE_PTE_SW_SYNC), and that no walker reads.
	 */
	{ "__arm_lpae_", BIT(DMA_TO_DEVICE) },
	{ "arm_lpae_", BIT(DMA_TO_DEVICE) },
	/*
	 * drivers/md/md-bitmap.c sets bits in pages of its own while an earlier
	 * write of the same page is in flight, and writes the page again later:
	 * as writeback does without stable pages (rule 8).
	 */
	{ "md_bitmap_", BIT(DMA_TO_DEVICE) },
	{ "bitmap_update_sb", BIT(DMA_TO_DEVICE) },
	{ "bitmap_daemon_work", BIT(DMA_TO_DEVICE) },
};

/* Is an access by a function, as %ps names it, to such memory one of the rows? */
static inline bool dod_permitted(const char *function, u8 dir, bool strict)
{
	bool in_module = strchr(function, '[');
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dod_idioms); i++) {
		const struct dod_idiom *idiom = &dod_idioms[i];

		if ((idiom->dirs & BIT(dir)) &&
		    (idiom->core ? !in_module : !strict) &&
		    !strncmp(function, idiom->prefix, strlen(idiom->prefix)))
			return true;
	}
	return false;
}

/* Has a function that is one of the rows mapped the memory, for itself? */
static inline bool dod_mapped_by_idiom(const unsigned long *frames,
				       unsigned int nr, u8 dir)
{
	unsigned int f, i;
	char name[64];

	for (f = 0; f < nr; f++) {
		dod_function_name(frames[f], name, sizeof(name));
		for (i = 0; i < ARRAY_SIZE(dod_idioms); i++)
			if (!dod_idioms[i].core &&
			    (dod_idioms[i].dirs & BIT(dir)) &&
			    strstarts(name, dod_idioms[i].prefix))
				return true;
	}
	return false;
}

/**
 * struct dod_map_idiom - a mapping that is not reported
 *
 * @type:	what it would be reported as
 * @prefix:	of a function in the stack of the mapping
 * @module:	which may be in this module, too; else only in the kernel itself
 */
struct dod_map_idiom {
	u8 type;
	const char *prefix;
	const char *module;
};

static const struct dod_map_idiom dod_map_idioms[] = {
	/*
	 * drivers/dma-buf/dma-buf.c: every importer of a buffer maps all of it,
	 * and a fence says whose turn it is.
	 */
	{ DOD_R_OVERLAPPING_MAPPING, "dma_buf_map_attachment" },
	/*
	 * block/blk-merge.c: a segment of a request can span pages that follow
	 * each other by chance, and drivers map it as one.
	 */
	{ DOD_R_NOT_CONTIGUOUS, "blk_mq_" },
	{ DOD_R_NOT_CONTIGUOUS, "__blk_mq_" },
	{ DOD_R_NOT_CONTIGUOUS, "scsi_queue_rq" },
	/*
	 * net/core/page_pool.c: pages that sockets still hold when the driver goes
	 * are unmapped when they come back; the pool waits for them.
	 */
	{ DOD_R_LEAK_AT_UNBIND, "page_pool_" },
	{ DOD_R_LEAK_AT_UNBIND, "__page_pool_" },
	/*
	 * drivers/dma-buf/heaps: user space writes to the buffer whenever it likes.
	 * Page tables of an IOMMU: those of an SMMU that sets access and dirty bits
	 * itself, which are mapped DMA_TO_DEVICE all the same.
	 */
	{ DOD_R_TO_DEVICE_CHANGED, "dma_buf_map_attachment" },
	{ DOD_R_TO_DEVICE_CHANGED, "__arm_lpae_" },
	{ DOD_R_TO_DEVICE_CHANGED, "arm_lpae_" },
	{ DOD_R_TO_DEVICE_CHANGED, "__arm_v7s_" },
	/*
	 * drivers/iommu/generic_pt, since v6.19, on IOMMUs that are not coherent: a
	 * software bit of a new table's entry is set after its flush, and no hardware
	 * looks at it.
	 */
	{ DOD_R_CPU_WRITE, "iommu_pages_start_incoherent" },
	{ DOD_R_TO_DEVICE_CHANGED, "iommu_pages_start_incoherent" },
	/*
	 * drivers/gpu/drm/ttm/ttm_pool.c maps the pages of a buffer object for as
	 * long as they live, for a GPU that snoops; fences say whose turn it is.
	 */
	{ DOD_R_CPU_READ, "ttm_pool_", "ttm" },
	{ DOD_R_CPU_WRITE, "ttm_pool_", "ttm" },
	/*
	 * drivers/net/virtio_net.c with a page pool, in v7.3: a page is given to the
	 * device as a whole, and of a buffer in it the packet alone is synced for the
	 * CPU. Behind the packet is room that the device was not told of, in which
	 * build_skb() has its struct skb_shared_info.
	 */
	{ DOD_R_CPU_READ, "try_fill_recv", "virtio_net" },
	{ DOD_R_CPU_WRITE, "try_fill_recv", "virtio_net" },
	/*
	 * drivers/virtio/virtio_ring.c maps the parts of a request one by one, and the
	 * answer may be shorter than the room for it.
	 */
	{ DOD_R_DEVICE_WROTE_NOTHING, "virtqueue_add", "virtio_ring" },
	/*
	 * drivers/scsi/scsi_lib.c has the block layer copy what does not fill cache
	 * lines, on machines that are not coherent: only one that is asks for less.
	 */
	{ DOD_R_CACHELINE_SHARING, "scsi_queue_rq" },
};

/* Is one of the rows in the stack of a mapping? Only asked before a report. */
static inline bool dod_map_permitted(u8 type, const unsigned long *frames,
				     unsigned int nr)
{
	unsigned int i, f;
	char name[64];

	for (f = 0; f < nr; f++) {
		const char *in;

		dod_function_name(frames[f], name, sizeof(name));
		in = strchr(name, '[');
		for (i = 0; i < ARRAY_SIZE(dod_map_idioms); i++) {
			const struct dod_map_idiom *idiom = &dod_map_idioms[i];

			if (idiom->type == type &&
			    strstarts(name, idiom->prefix) &&
			    (!in || (idiom->module &&
				     strstarts(in + 1, idiom->module))))
				return true;
		}
	}
	return false;
}

#endif /* DMA_OWNER_DEBUG_PERMISSIVE_H */
