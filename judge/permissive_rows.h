/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of rule 11: accesses and mappings that depart from the letter of the DMA API and
 * are not reported. Each row names the function and the module that it is in, what it may
 * do, the code it was made for and the reason. Keep the list short: a row hides bugs.
 *
 * A row does not match a function of the same name in another module. A row's module can be
 * built into the kernel as well.
 *
 * Only for permissive.c, and for the KUnit suite that tests the rows by themselves.
 */
#ifndef DOD_PERMISSIVE_ROWS_H
#define DOD_PERMISSIVE_ROWS_H

#include "../report/report.h"
#include "permissive.h"

/*
 * Does a function, as %ps or KCSAN names it, begin with the prefix, and is it built in or
 * in that module? NULL: there is no such module.
 */
static inline bool row_matches(const char *function, const char *prefix, const char *module)
{
	const char *in = strchr(function, '[');
	size_t len;

	if (!strstarts(function, prefix))
		return false;
	if (!in)
		return true;
	if (!module)
		return false;
	len = strlen(module);
	return !strncmp(in + 1, module, len) && in[1 + len] == ']';
}

/**
 * struct access_row - accesses that are not reported
 *
 * @prefix:	of the function that accesses the memory, inlined or not
 * @module:	the module it is in; NULL if it can only be built in
 * @dirs:	directions it is allowed for, as a mask of BIT(dma_data_direction)
 * @core:	it works for the device itself: allowed with strict=1 as well
 * @caller:	only for that function of the kernel's own; NULL for all
 */
struct access_row {
	const char *prefix, *module;
	u8 dirs;
	bool core;
	const char *caller;
};

/* Stale bytes, which no device owns any more. Only reads of them are reported. */
#define STALE_BYTES BIT(DMA_NONE)

#define ANY_DIR (BIT(DMA_TO_DEVICE) | BIT(DMA_FROM_DEVICE) | \
		 BIT(DMA_BIDIRECTIONAL) | STALE_BYTES)

static const struct access_row access_rows[] = {
	/*
	 * kernel/dma/swiotlb.c copies between a buffer and its bounce slot, on behalf of
	 * the device. Our hooks run before it copies in and after it copies out, but the
	 * device may own the bytes meanwhile through another, legal mapping.
	 */
	{ "swiotlb_", NULL, ANY_DIR, .core = true },
	{ "__swiotlb_", NULL, ANY_DIR, .core = true },
	/* The same, where that copy is a tail call of kernel/dma/mapping.c's. */
	{ "dma_map_", NULL, ANY_DIR, .core = true },
	{ "__dma_map_", NULL, ANY_DIR, .core = true },
	{ "dma_unmap_", NULL, ANY_DIR, .core = true },
	{ "dma_sync_", NULL, ANY_DIR, .core = true },
	{ "__dma_sync_", NULL, ANY_DIR, .core = true },
	{ "dma_direct_", NULL, ANY_DIR, .core = true },
	{ "iommu_dma_", NULL, ANY_DIR, .core = true },
	/*
	 * mm/kmemleak.c looks for pointers in all memory, and mm/maccess.c reads for debuggers.
	 * KASAN does not check them; the pages of KFENCE's objects trap.
	 */
	{ "scan_block", NULL, ANY_DIR, .core = true },
	{ "scan_object", NULL, ANY_DIR, .core = true },
	{ "kmemleak_scan", NULL, ANY_DIR, .core = true },
	{ "update_checksum", NULL, ANY_DIR, .core = true },
	{ "hex_dump_object", NULL, ANY_DIR, .core = true },
	{ "copy_from_kernel_nofault", NULL, ANY_DIR, .core = true },
	{ "strncpy_from_kernel_nofault", NULL, ANY_DIR, .core = true },
	/*
	 * drivers/iommu/io-pgtable-arm.c maps a page table TO_DEVICE once, writes entries
	 * whenever they change, and syncs them: rule 4. Only then, arm_lpae_install_table()
	 * sets a bit that is its own (ARM_LPAE_PTE_SW_SYNC), and that no walker reads.
	 */
	{ "__arm_lpae_", NULL, BIT(DMA_TO_DEVICE) },
	{ "arm_lpae_", NULL, BIT(DMA_TO_DEVICE) },
	/*
	 * drivers/md/md-bitmap.c sets bits in pages of its own while an earlier
	 * write of the same page is in flight, and writes the page again later:
	 * as writeback does without stable pages (rule 8).
	 */
	{ "md_bitmap_", "md_mod", BIT(DMA_TO_DEVICE) },
	{ "bitmap_update_sb", "md_mod", BIT(DMA_TO_DEVICE) },
	{ "bitmap_daemon_work", "md_mod", BIT(DMA_TO_DEVICE) },
	/*
	 * net/core/skbuff.c copies the whole headroom of a packet with it, and members of
	 * struct skb_shared_info that nobody has set: bytes of the packet's page that were
	 * not synced, and that nobody reads in the copy.
	 */
	{ "pskb_expand_head", NULL, STALE_BYTES },
	{ "skb_copy_bits", NULL, STALE_BYTES, .caller = "skb_copy" },
	{ "skb_copy_bits", NULL, STALE_BYTES, .caller = "skb_copy_expand" },
	/*
	 * drivers/net/wireless/intel/iwlwifi/fw/paging.c maps the pages of its firmware
	 * before it fills them and syncs them, and the firmware is told of them then.
	 * iwl_init_paging() is what the others are inlined into.
	 */
	{ "iwl_fill_paging_mem", "iwlwifi", BIT(DMA_BIDIRECTIONAL) },
	{ "iwl_save_fw_paging", "iwlwifi", BIT(DMA_BIDIRECTIONAL) },
	{ "iwl_init_paging", "iwlwifi", BIT(DMA_BIDIRECTIONAL) },
	/*
	 * drivers/net/ethernet/freescale/dpaa2/dpaa2-eth.c keeps what it needs for the unmap
	 * in the buffer, in words that the device does not write.
	 */
	{ "dpaa2_eth_free_tx_fd", "fsl_dpaa2_eth", BIT(DMA_BIDIRECTIONAL) },
	/*
	 * drivers/net/wireless/ath/ath9k/recv.c clears the status in a buffer that it has
	 * mapped, syncs that much for the device, and only then tells it of the buffer.
	 */
	{ "ath_rx_edma_buf_link", "ath9k", BIT(DMA_BIDIRECTIONAL) },
	/*
	 * drivers/crypto/talitos.c links a descriptor to the one before it, and syncs it.
	 * dma_map_request() is inlined into talitos_submit().
	 */
	{ "dma_map_request", "talitos", BIT(DMA_BIDIRECTIONAL) },
	{ "talitos_submit", "talitos", BIT(DMA_BIDIRECTIONAL) },
	/*
	 * drivers/md/dm-integrity.c writes tags to a buffer of dm-bufio's that is being
	 * written to the disk: it is dirty again, and written again after that (rule 8).
	 */
	{ "dm_integrity_rw_tag", "dm_integrity", BIT(DMA_TO_DEVICE) },
};

/* See dod_permitted(). */
static inline bool is_permitted_access(const char *function, const char *caller, u8 dir,
				       bool strict)
{
	const struct access_row *row;

	for (row = access_rows; row < access_rows + ARRAY_SIZE(access_rows); row++)
		if ((row->dirs & BIT(dir)) && (row->core || !strict) &&
		    row_matches(function, row->prefix, row->module) &&
		    (!row->caller || dod_is_function(caller, row->caller)))
			return true;
	return false;
}

/*
 * What accesses memory for its caller, whose row counts: arch/x86/lib and lib/crc32.c, and what
 * kmemleak shows a leak with.
 */
static const char * const callees[] = {
	"memcpy", "memmove", "memset", "memcmp", "memchr", "__memcpy", "__memmove", "__memset",
	"__asan_mem", "rep_movs_", "rep_stos_", "crc", "__crc", "csum_", "do_csum",
	"hex_dump_to_buffer", "print_hex_dump", "seq_hex_dump", "warn_or_seq_hex_dump",
};

/* See dod_acts_for_caller(). */
static inline bool acts_for_caller(const char *function)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(callees); i++)
		if (row_matches(function, callees[i], NULL))
			return true;
	return false;
}

/**
 * struct map_row - a mapping that is not reported
 *
 * @types:	what it would be reported as, as a mask of BIT(enum dod_report_type)
 * @prefix:	of a function in the stack of the mapping, which maps such memory only
 * @module:	the module it is in; NULL if it can only be built in
 * @kinds:	which mappings, as a mask of BIT(enum dod_kind); 0 for all
 * @lent:	only of dma-bufs that user space can reach: see dmabuf.c
 * @both:	only of what the device reads and writes, DMA_BIDIRECTIONAL
 */
struct map_row {
	u64 types;
	const char *prefix, *module;
	u8 kinds;
	bool lent, both;
};

#define ACCESSES (BIT_ULL(DOD_R_CPU_READ) | BIT_ULL(DOD_R_CPU_WRITE))

static const struct map_row map_rows[] = {
	/*
	 * drivers/dma-buf/dma-buf.c: every importer of a buffer maps all of it,
	 * and a fence says whose turn it is.
	 */
	{ BIT_ULL(DOD_R_OVERLAPPING_MAPPING), "dma_buf_map_attachment" },
	/*
	 * block/blk-merge.c: a segment of a request can span pages that follow
	 * each other by chance, and drivers map it as one.
	 */
	{ BIT_ULL(DOD_R_NOT_CONTIGUOUS), "blk_mq_" },
	{ BIT_ULL(DOD_R_NOT_CONTIGUOUS), "__blk_mq_" },
	{ BIT_ULL(DOD_R_NOT_CONTIGUOUS), "scsi_queue_rq", "scsi_mod" },
	/*
	 * drivers/usb/core/message.c: for a host controller that takes no lists, each entry
	 * of a storage device's request is a transfer of its own.
	 */
	{ BIT_ULL(DOD_R_NOT_CONTIGUOUS), "usb_sg_wait", "usbcore" },
	/*
	 * net/core/page_pool.c: pages that sockets still hold when the driver goes
	 * are unmapped when they come back; the pool waits for them.
	 */
	{ BIT_ULL(DOD_R_LEAK_AT_UNBIND), "page_pool_" },
	{ BIT_ULL(DOD_R_LEAK_AT_UNBIND), "__page_pool_" },
	/*
	 * drivers/dma-buf/heaps: user space that has mapped the buffer writes to it
	 * whenever it likes.
	 */
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "dma_buf_map_attachment", .lent = true },
	/*
	 * Page tables of an IOMMU: those of an SMMU that sets access and dirty bits
	 * itself, which are mapped DMA_TO_DEVICE all the same.
	 */
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "__arm_lpae_" },
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "arm_lpae_" },
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "__arm_v7s_" },
	/*
	 * drivers/iommu/generic_pt, since v6.19, on IOMMUs that are not coherent: a software
	 * bit of a new table's entry is set after its flush, and no hardware looks at it.
	 */
	{ BIT_ULL(DOD_R_CPU_WRITE) | BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "iommu_pages_start_incoherent" },
	/*
	 * drivers/gpu/drm/ttm/ttm_pool.c maps the pages of a buffer object for as
	 * long as they live, for a GPU that snoops; fences say whose turn it is.
	 */
	{ ACCESSES, "ttm_pool_", "ttm" },
	/*
	 * drivers/mmc/host/sdhci.c has a bounce buffer of its own, which it fills and syncs
	 * for the card (sdhci_pre_dma_transfer()), and syncs for the CPU only to read it.
	 */
	{ BIT_ULL(DOD_R_CPU_WRITE), "sdhci_setup_host", "sdhci", .both = true },
	/*
	 * drivers/crypto/caam writes a new key, and descriptors with it, to what it has
	 * mapped for as long as a transform lives, and syncs them. Meanwhile no request
	 * uses them. What the device writes there, keys that it has derived, the CPU does
	 * not read; what it reads, as how long a descriptor is, the device does not write.
	 */
	{ ACCESSES, "caam_init_common", "caam_jr", .both = true },
	{ ACCESSES, "caam_aead_init", "caam_jr", .both = true },
	{ ACCESSES, "caam_hash_cra_init", "caam_jr", .both = true },
	{ ACCESSES, "caam_cra_init", "dpaa2_caam", .both = true },
	{ ACCESSES, "caam_hash_cra_init", "dpaa2_caam", .both = true },
	{ ACCESSES, "caam_drv_ctx_init", "caam", .both = true },
	/*
	 * drivers/crypto/talitos.c maps the table of a request before it fills it, and
	 * syncs that before it submits the request.
	 */
	{ ACCESSES, "talitos_edesc_alloc", "talitos", .both = true },
	/*
	 * A UART's transmit ring is mapped for as long as the port is open, and synced
	 * where it is sent. What it still holds when the port is closed is thrown away on
	 * purpose (drivers/tty/serial: 8250_dma.c, sh-sci.c, samsung_tty.c, atmel_serial.c).
	 */
	{ BIT_ULL(DOD_R_CPU_WRITE), "serial8250_request_dma", "8250_base" },
	{ BIT_ULL(DOD_R_CPU_WRITE), "sci_request_dma", "sh_sci" },
	{ BIT_ULL(DOD_R_CPU_WRITE), "s3c24xx_serial_request_dma", "samsung_tty" },
	{ BIT_ULL(DOD_R_CPU_WRITE), "atmel_prepare_tx_" },
	/*
	 * net/sunrpc/xprtrdma maps its buffers once, writes to them, and registers them with
	 * the device, which maps them again, and reads them there.
	 */
	{ BIT_ULL(DOD_R_CPU_WRITE), "__rpcrdma_regbuf_dma_map", "rpcrdma" },
	/*
	 * User space fills what drivers/firewire and drivers/accel/qaic have mapped for it,
	 * and they sync what it submits. The rest was never sent.
	 */
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "fw_iso_buffer_map_dma", "firewire_core" },
	{ BIT_ULL(DOD_R_TO_DEVICE_CHANGED), "qaic_", "qaic" },
	/*
	 * drivers/virtio/virtio_ring.c maps the parts of a request one by one, and the
	 * answer may be shorter than the room for it.
	 */
	{ BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING), "virtqueue_add", "virtio_ring" },
	/*
	 * drivers/scsi/scsi_lib.c has the block layer copy what does not fill cache
	 * lines, on machines that are not coherent: only one that is asks for less. What
	 * scsi_dma_map() maps is a request's memory, whoever calls it when; esp_scsi.c
	 * does in its interrupt. Others map the list themselves while they queue the
	 * request, or have virtio_ring.c map it piece by piece; what else they map there
	 * is their own. (The answers of virtio_scsi.c are in pages of the block layer.)
	 */
	{ BIT_ULL(DOD_R_CACHELINE_SHARING), "scsi_dma_map", "scsi_mod", BIT(DOD_SG) },
	{ BIT_ULL(DOD_R_CACHELINE_SHARING), "scsi_queue_rq", "scsi_mod", BIT(DOD_SG) },
	{ BIT_ULL(DOD_R_CACHELINE_SHARING), "virtscsi_queuecommand", "virtio_scsi" },
};

/* The row for such a mapping with that function, as %ps names it, in its stack; or NULL. */
static inline const struct map_row *find_map_row(u8 type, u8 kind, const char *function)
{
	const struct map_row *row;

	for (row = map_rows; row < map_rows + ARRAY_SIZE(map_rows); row++)
		if ((row->types & BIT_ULL(type)) && (!row->kinds || (row->kinds & BIT(kind))) &&
		    row_matches(function, row->prefix, row->module))
			return row;
	return NULL;
}

/*
 * Functions map_dma_buf() of exporters whose dma-bufs user space may reach, unseen: through
 * files of their drivers, and seldom through the dma-buf's.
 */
static const struct exporter_row {
	const char *prefix, *module;
} exporter_rows[] = {
	/* drivers/gpu/drm */
	{ "drm_gem_", "drm" },
	{ "amdgpu_dma_buf_", "amdgpu" },
	{ "armada_gem_", "armada" },
	{ "i915_gem_", "i915" },
	{ "omap_gem_", "omapdrm" },
	{ "tegra_gem_", "tegra_drm" },
	{ "virtgpu_gem_", "virtio_gpu" },
	{ "xe_dma_buf_", "xe" },
	/* drivers/media/common/videobuf2 */
	{ "vb2_dc_", "videobuf2_dma_contig" },
	{ "vb2_dma_sg_", "videobuf2_dma_sg" },
	{ "vb2_vmalloc_", "videobuf2_vmalloc" },
	/* drivers/xen */
	{ "dmabuf_exp_ops_", "xen_gntdev" },
};

/* See dod_is_lending_exporter(). */
static inline bool is_lending_exporter(const char *function)
{
	const struct exporter_row *row;

	for (row = exporter_rows; row < exporter_rows + ARRAY_SIZE(exporter_rows); row++)
		if (row_matches(function, row->prefix, row->module))
			return true;
	return false;
}

#endif /* DOD_PERMISSIVE_ROWS_H */
