// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 11: what the kernel relies on although it departs from the rules is listed in permissive,
 * each row by what is mapped or by whose code it is. Each excused access and mapping, with the
 * neighbour that is reported; and memory whose driver was told that it need not sync.
 */

#include <linux/etherdevice.h>
#include <linux/kfence.h>
#include <linux/netdevice.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <linux/vmalloc.h>

#include "kt.h"
#include "../judge/permissive_rows.h"

#if IS_BUILTIN(CONFIG_SCSI)
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>
#endif

KT_DIRECTIONS;

#ifdef MODULE
#define IN_MODULE true
#else
#define IN_MODULE false
#endif

/* The rows go by the name of the function and its module: these functions have such names. */
static kt_noinline void arm_lpae_kunit_set_pte(u64 *pte)
{
	WRITE_ONCE(*pte, 0x5a5a);
}

static kt_noinline u64 swiotlb_kunit_bounce(const u64 *from)
{
	return READ_ONCE(*from);
}

static kt_noinline void test_set_pte(u64 *pte)
{
	WRITE_ONCE(*pte, 0xa5a5);
}

/* A page table: mapped once, written when it changes, then synced. */
static void page_table_written_excused(struct kunit *test)
{
	long allowed = dma_owner_debug_count("allowed_idioms");
	u64 *pte = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, pte, 64, DMA_TO_DEVICE);

	arm_lpae_kunit_set_pte(pte);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"), allowed + !IN_MODULE);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_TO_DEVICE);
	test_set_pte(pte + 1);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_set_pte, pte + 1, 8);
	KUNIT_EXPECT_EQ(test, pte[0], 0x5a5a);
	KUNIT_EXPECT_EQ(test, pte[1], 0xa5a5);
}

/* The code that the row is for is never a module. */
static void page_table_in_module_reported(struct kunit *test)
{
	u64 *pte = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, pte, 64, DMA_TO_DEVICE);

	arm_lpae_kunit_set_pte(pte);
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	if (IN_MODULE)
		EXPECT_REPORT(test, "cpu-write", arm_lpae_kunit_set_pte, pte, 8);
	else
		EXPECT_SILENCE(test);
}

static void access_rows_match_exactly(struct kunit *test)
{
	static const struct {
		const char *function;
		bool permitted, strictly;
	} names[] = {
		{ "arm_lpae_map_pages", true, false },
		{ "__arm_lpae_set_pte", true, false },
		{ "arm_lpae_map_pages [io_pgtable]", false, false },
		{ "md_bitmap_startwrite", true, false },
		{ "md_bitmap_startwrite [md_mod]", true, false },
		{ "md_bitmap_startwrite [md]", false, false },
		{ "md_bitmap_startwrite [md_mod2]", false, false },
		{ "md_bitmap_startwrite+0x10/0x80 [md_mod]", true, false },
		{ "md_bitmap_startwrite+0x10/0x80 [amd_mod]", false, false },
		{ "swiotlb_bounce", true, true },
		{ "swiotlb_bounce [md_mod]", false, false },
		{ "my_swiotlb_bounce", false, false },
		{ "", false, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = names[i].function;

		KUNIT_EXPECT_EQ_MSG(test, is_permitted_access(name, "", DMA_TO_DEVICE, false),
				    names[i].permitted, "%s", name);
		KUNIT_EXPECT_EQ_MSG(test, is_permitted_access(name, "", DMA_TO_DEVICE, true),
				    names[i].strictly, "%s, strict=1", name);
	}
	KUNIT_EXPECT_FALSE(test, is_permitted_access("md_bitmap_x [md_mod]", "", DMA_FROM_DEVICE, false));
}

static void callees_match_exactly(struct kunit *test)
{
	static const struct {
		const char *function;
		bool acts;
	} names[] = {
		{ "memcpy", true },
		{ "memcpy_orig+0x1c/0x140", true },
		{ "__memmove", true },
		{ "__asan_memcpy", true },
		{ "rep_movs_alternative", true },
		{ "crc32_le_base", true },
		{ "csum_partial", true },
		{ "memcpy_to_ring [my_net]", false },
		{ "mempool_free", false },
		{ "my_memcpy", false },
		{ "", false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		KUNIT_EXPECT_EQ_MSG(test, acts_for_caller(names[i].function), names[i].acts, "%s",
				    names[i].function);
}

static void direction_rows_match_exactly(struct kunit *test)
{
	static const struct {
		const char *function, *caller;
		u8 dir;
		bool permitted;
	} rows[] = {
		/* Rows for stale bytes, not for what a device owns. */
		{ "pskb_expand_head", "", DMA_NONE, true },
		{ "pskb_expand_head", "", DMA_FROM_DEVICE, false },
		{ "pskb_expand_head [nf]", "", DMA_NONE, false },
		{ "skb_copy_bits", "skb_copy", DMA_NONE, true },
		{ "skb_copy_bits", "skb_copy.part.0", DMA_NONE, true },
		{ "skb_copy_bits+0x10/0x80", "skb_copy_expand+0x10/0x80", DMA_NONE, true },
		{ "skb_copy_bits", "skb_copy", DMA_BIDIRECTIONAL, false },
		{ "skb_copy_bits", "skb_copy_bits", DMA_NONE, false },
		{ "skb_copy_bits", "skb_copy [nf]", DMA_NONE, false },
		{ "skb_copy_bits", "", DMA_NONE, false },
		/* Rows for writes that come before the device is told of the buffer. */
		{ "iwl_fill_paging_mem [iwlwifi]", "", DMA_BIDIRECTIONAL, true },
		{ "iwl_fill_paging_mem [iwlwifi]", "", DMA_FROM_DEVICE, false },
		{ "iwl_fill_paging_mem [iwldvm]", "", DMA_BIDIRECTIONAL, false },
		{ "dpaa2_eth_free_tx_fd [fsl_dpaa2_eth]", "", DMA_BIDIRECTIONAL, true },
		{ "dpaa2_eth_free_tx_fd [fsl_dpaa2_eth]", "", DMA_TO_DEVICE, false },
		{ "ath_rx_edma_buf_link+0x10/0x80 [ath9k]", "", DMA_BIDIRECTIONAL, true },
		{ "ath_rx_edma_buf_link [ath9k]", "", DMA_FROM_DEVICE, false },
		{ "talitos_submit [talitos]", "", DMA_BIDIRECTIONAL, true },
		{ "dm_integrity_rw_tag [dm_integrity]", "", DMA_TO_DEVICE, true },
		{ "dm_integrity_rw_tag [dm_integrity]", "", DMA_BIDIRECTIONAL, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		KUNIT_EXPECT_EQ_MSG(test, is_permitted_access(rows[i].function, rows[i].caller,
							rows[i].dir, false),
				    rows[i].permitted, "row %u", i);
		KUNIT_EXPECT_FALSE_MSG(test, is_permitted_access(rows[i].function, rows[i].caller,
							   rows[i].dir, true), "row %u", i);
	}
}

static void mapping_rows_match_exactly(struct kunit *test)
{
	static const struct {
		u8 type, kind;
		const char *function;
		bool permitted;
	} names[] = {
		{ DOD_R_CACHELINE_SHARING, DOD_SG, "scsi_dma_map", true },
		{ DOD_R_CACHELINE_SHARING, DOD_SG, "scsi_dma_map [scsi_mod]", true },
		{ DOD_R_CACHELINE_SHARING, DOD_SG, "scsi_dma_map [my_scsi]", false },
		{ DOD_R_CACHELINE_SHARING, DOD_SG, "scsi_queue_rq [scsi_mod]", true },
		{ DOD_R_CACHELINE_SHARING, DOD_SINGLE, "scsi_queue_rq [scsi_mod]", false },
		{ DOD_R_CACHELINE_SHARING, DOD_SINGLE, "scsi_queue_rq", false },
		{ DOD_R_OVERLAPPING_MAPPING, DOD_SG, "scsi_dma_map", false },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "scsi_queue_rq [scsi_mod]", true },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "serial8250_request_dma [8250_base]", true },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "serial8250_request_dma [my_uart]", false },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "__rpcrdma_regbuf_dma_map [rpcrdma]", true },
		{ DOD_R_TO_DEVICE_CHANGED, DOD_SINGLE, "fw_iso_buffer_map_dma [firewire_core]", true },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "fw_iso_buffer_map_dma [firewire_core]", false },
		{ DOD_R_DEVICE_WROTE_NOTHING, DOD_SINGLE, "virtqueue_add_split [virtio_ring]", true },
		{ DOD_R_DEVICE_WROTE_NOTHING, DOD_SINGLE, "virtqueue_add_split [my_ring]", false },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "blk_mq_dispatch_rq_list", true },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "blk_mq_dispatch_rq_list [scsi_mod]", false },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "usb_sg_wait [usbcore]", true },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "usb_sg_wait [my_usb]", false },
		{ DOD_R_NOT_CONTIGUOUS, DOD_SINGLE, "usb_hcd_map_urb_for_dma [usbcore]", false },
		{ DOD_R_CPU_READ, DOD_SINGLE, "ttm_pool_map [ttm]", true },
		{ DOD_R_CPU_READ, DOD_SINGLE, "ttm_pool_map [ttm_helpers]", false },
		{ DOD_R_CPU_READ, DOD_SINGLE, "ttm_pool_map [nottm]", false },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "sdhci_setup_host [sdhci]", true },
		{ DOD_R_CPU_READ, DOD_SINGLE, "sdhci_setup_host [sdhci]", false },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "caam_init_common [caam_jr]", true },
		{ DOD_R_CPU_WRITE, DOD_SINGLE, "caam_init_common [caam_jr2]", false },
		{ DOD_R_LEAK_AT_UNBIND, DOD_SINGLE, "page_pool_dma_map", true },
		{ DOD_R_LEAK_AT_UNBIND, DOD_SINGLE, "page_pool_dma_map [my_net]", false },
	};
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, is_lending_exporter("drm_gem_map_dma_buf [drm]"));
	KUNIT_EXPECT_TRUE(test, is_lending_exporter("vb2_dc_dmabuf_ops_map"));
	KUNIT_EXPECT_FALSE(test, is_lending_exporter("drm_gem_map_dma_buf [usb_f_fs]"));
	KUNIT_EXPECT_FALSE(test, is_lending_exporter("system_heap_map_dma_buf"));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		KUNIT_EXPECT_EQ_MSG(test, !!find_map_row(names[i].type, names[i].kind,
							names[i].function),
				    names[i].permitted, "%u, %u, %s", names[i].type,
				    names[i].kind, names[i].function);
}

/* === SCSI requests ======================================================== */

static kt_noinline int test_map_list(struct scatterlist *sg)
{
	return dma_map_sg(kt_dev, sg, 1, DMA_FROM_DEVICE);
}

/* Has the name of a row, but is not its code. */
static kt_noinline int scsi_dma_map_kunit(struct scatterlist *sg)
{
	return dma_map_sg(kt_dev, sg, 1, DMA_FROM_DEVICE);
}

static void map_and_unmap(struct kunit *test, struct scatterlist *sg,
			  int (*map)(struct scatterlist *sg))
{
	int nr = map(sg);

	KUNIT_EXPECT_EQ(test, nr, 1);
	if (nr)
		dma_unmap_sg(kt_dev, sg, 1, DMA_FROM_DEVICE);
}

/* 36 bytes of an object, as the answer to INQUIRY. */
static void scsi_name_elsewhere_reported(struct kunit *test)
{
	struct scatterlist sg;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	KT_REQUIRES(test, !is_swiotlb_force_bounce(kt_dev));
	kt_set(test, "noncoherent", "64");
	sg_init_one(&sg, (u8 *)kt_buf(test, 256) + 64, 36);
	map_and_unmap(test, &sg, test_map_list);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, 36);
	map_and_unmap(test, &sg, scsi_dma_map_kunit);
	if (IN_MODULE)
		EXPECT_MAP_REPORT(test, "cacheline-sharing", scsi_dma_map_kunit, 36);
	else
		EXPECT_SILENCE(test);
}

#if IS_BUILTIN(CONFIG_SCSI)
/* As esp_scsi.c does in its interrupt: no scsi_queue_rq() is in sight. */
static void scsi_request_excused(struct kunit *test)
{
	struct scsi_device *sdev = kunit_kzalloc(test, sizeof(*sdev), GFP_KERNEL);
	struct Scsi_Host *host = kunit_kzalloc(test, sizeof(*host), GFP_KERNEL);
	struct scsi_cmnd *cmd = kunit_kzalloc(test, sizeof(*cmd), GFP_KERNEL);
	long allowed = dma_owner_debug_count("allowed_idioms");
	struct scatterlist sg;

	KUNIT_ASSERT_TRUE(test, sdev && host && cmd);
	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	KT_REQUIRES(test, !is_swiotlb_force_bounce(kt_dev));
	kt_set(test, "noncoherent", "64");
	host->dma_dev = kt_dev;
	sdev->host = host;
	cmd->device = sdev;
	cmd->sc_data_direction = DMA_FROM_DEVICE;
	sg_init_one(&sg, (u8 *)kt_buf(test, 256) + 64, 36);
	cmd->sdb.table.sgl = &sg;
	cmd->sdb.table.nents = 1;
	cmd->sdb.length = 36;
	KUNIT_EXPECT_EQ(test, scsi_dma_map(cmd), 1);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"),
			allowed + 1);
	scsi_dma_unmap(cmd);
	EXPECT_SILENCE(test);
}
#else
static void scsi_request_excused(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_SCSI=y");
}
#endif

/* The row is for DMA_TO_DEVICE, and strict=1 ignores all rows. */
static void page_table_from_device_reported(struct kunit *test)
{
	u64 *pte = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, pte, 64, DMA_FROM_DEVICE);

	arm_lpae_kunit_set_pte(pte);
	EXPECT_REPORT(test, "cpu-write", arm_lpae_kunit_set_pte, pte, 8);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);

	dma = test_dma_map(test, kt_dev, pte, 64, DMA_TO_DEVICE);
	kt_set(test, "strict", "1");
	arm_lpae_kunit_set_pte(pte);
	EXPECT_REPORT(test, "cpu-write", arm_lpae_kunit_set_pte, pte, 8);
	kt_set(test, "strict", "0");
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
}

/*
 * The DMA core copies on behalf of the device: not even strict=1 reports that. Built in,
 * this function counts as the core's by its name; in a module it does not.
 */
static void bounce_copy_excused(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u64 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, dir);

	kt_set(test, "strict", "1");
	swiotlb_kunit_bounce(buf);
	if (IN_MODULE && dir != DMA_TO_DEVICE)
		EXPECT_REPORT(test, "cpu-read", swiotlb_kunit_bounce, buf, 8);
	else
		EXPECT_SILENCE(test);
	kt_set(test, "strict", "0");
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	dma_unmap_single(kt_dev, dma, 64, dir);
}

/* ksize() asks whether the object is allocated, not what is in it. */
static void ksize_of_mapped_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma;

	KT_REQUIRES(test, !DOD_KSIZE_UNPOISONS);
	dma = test_dma_map(test, kt_dev, buf, 64, dir_of(test));
	KUNIT_EXPECT_GE(test, ksize(buf), 64);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, dir_of(test), buf, 8);
	dma_unmap_single(kt_dev, dma, 64, dir_of(test));
}

/*
 * A driver may skip its syncs if dma_need_sync() says that none is needed. One that does
 * not ask must sync.
 */
static void sync_not_needed_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *asked = kt_buf(test, 256), *other = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, asked, 256, dir);
	dma_addr_t other_dma = test_dma_map(test, kt_dev, other, 256, dir);

	if (dma_need_sync(kt_dev, dma + 64)) {
		EXPECT_DEVICE_OWNS(test, dir, asked, 8);
	} else {
		EXPECT_WRITE_OK(test, asked, 8);
		EXPECT_READ_OK(test, asked + 248, 8);
		dma_sync_single_for_device(kt_dev, dma, 256, dir);
		EXPECT_WRITE_OK(test, asked + 128, 8);
	}
	EXPECT_DEVICE_OWNS(test, dir, other, 8);
	dma_unmap_single(kt_dev, dma, 256, dir);
	dma_unmap_single(kt_dev, other_dma, 256, dir);

	/* That does not hold for the next mapping of the memory. */
	dma = test_dma_map(test, kt_dev, asked, 256, dir);
	EXPECT_DEVICE_OWNS(test, dir, asked, 8);
	dma_unmap_single(kt_dev, dma, 256, dir);
}

/* === A driver's own data ================================================== */

#define DATA	512

static long own_data(void)
{
	return dma_owner_debug_count("untrapped_own_data");
}

static void expect_excused(struct kunit *test, u8 *data, size_t size)
{
	long before = own_data();
	dma_addr_t dma = test_dma_map(test, kt_dev, data, size, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, own_data(), before + 1);
	EXPECT_CPU_OWNS(test, data, 8);
	EXPECT_CPU_OWNS(test, data + size - 8, 8);
	kt_device_changes(data + 64);
	dma_sync_single_for_device(kt_dev, dma, size, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, data + 64, 8);
	dma_unmap_single(kt_dev, dma, size, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, own_data(), before + 1);
	EXPECT_CLEAN(test, data, size);
}

static void expect_judged(struct kunit *test, u8 *buf, size_t size,
			  enum dma_data_direction dir)
{
	long before = own_data();
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);

	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + size - 8, 8);
	dma_unmap_single(kt_dev, dma, size, dir);
	KUNIT_EXPECT_EQ(test, own_data(), before);
	/* The report of a write may come at the unmap. */
	kt_take_all();
}

/* As vmxnet3: the struct with its locks is mapped for good, and the device never reads it. */
static void own_struct_excused(struct kunit *test)
{
	u8 *data = kt_buf(test, DATA), *beside = kt_buf(test, DATA);
	void *saved = dev_get_drvdata(kt_dev);

	kt_set(test, "content", "on");
	dev_set_drvdata(kt_dev, data);
	expect_excused(test, data, DATA);
	expect_judged(test, beside, DATA, DMA_TO_DEVICE);
	/* Only DMA_TO_DEVICE is excused. */
	expect_judged(test, data, DATA, DMA_FROM_DEVICE);
	expect_judged(test, data, DATA, DMA_BIDIRECTIONAL);
	/* A buffer that is a member of it is not excused. */
	expect_judged(test, data + 64, 64, DMA_TO_DEVICE);
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		expect_judged(test, data, 64, DMA_TO_DEVICE);
	/* The driver's data may begin in the middle of the mapping. */
	dev_set_drvdata(kt_dev, data + 64);
	expect_excused(test, data, DATA);
	dev_set_drvdata(kt_dev, data);
	kt_set(test, "strict", "1");
	expect_judged(test, data, DATA, DMA_TO_DEVICE);
	kt_set(test, "strict", "0");
	dev_set_drvdata(kt_dev, NULL);
	expect_judged(test, data, DATA, DMA_TO_DEVICE);
	dev_set_drvdata(kt_dev, saved);
}

/* A driver calls dev_set_drvdata() after it has mapped its data. */
static void own_struct_named_later_excused(struct kunit *test)
{
	u8 *data = kt_buf(test, DATA);
	void *saved = dev_get_drvdata(kt_dev);
	long before = own_data();
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	dev_set_drvdata(kt_dev, NULL);
	dma = test_dma_map(test, kt_dev, data, DATA, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, kt_is_poisoned(data));
	dev_set_drvdata(kt_dev, data);
	EXPECT_WRITE_OK(test, data + 8, 8);
	KUNIT_EXPECT_EQ(test, own_data(), before + 1);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(data));
	EXPECT_CPU_OWNS(test, data, DATA);
	dma_unmap_single(kt_dev, dma, DATA, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, data, DATA);
	dev_set_drvdata(kt_dev, saved);
}

/* And writes to them in between. What is not its own data it must sync. */
static void own_struct_written_before_excused(struct kunit *test)
{
	u8 *data = kt_buf(test, DATA), *beside = kt_buf(test, DATA);
	void *saved = dev_get_drvdata(kt_dev);
	dma_addr_t dma, other;

	dev_set_drvdata(kt_dev, NULL);
	dma = test_dma_map(test, kt_dev, data, DATA, DMA_TO_DEVICE);
	other = test_dma_map(test, kt_dev, beside, DATA, DMA_TO_DEVICE);
	test_dma_write(data + 8, 8);
	test_dma_write(beside + 8, 8);
	dev_set_drvdata(kt_dev, data);
	/* One more write, also excused. */
	test_dma_write(data + 128, 8);
	dma_unmap_single(kt_dev, dma, DATA, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, other, DATA, DMA_TO_DEVICE);
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		EXPECT_REPORT(test, "cpu-write", test_dma_write, beside + 8, 8);
	else
		EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, DATA);

	dev_set_drvdata(kt_dev, NULL);
	dma = test_dma_map(test, kt_dev, data, DATA, DMA_TO_DEVICE);
	test_dma_write(data + 8, 8);
	dev_set_drvdata(kt_dev, data);
	dma_unmap_single(kt_dev, dma, DATA, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, data, DATA);
	dev_set_drvdata(kt_dev, saved);
}

/* A driver that maps for a child device: the parent's data are its own, too. */
static void struct_of_parent_excused(struct kunit *test)
{
	struct device *parent = kt_dev->parent;
	u8 *data = kt_buf(test, DATA);
	void *saved;

	KT_REQUIRES(test, parent);
	saved = dev_get_drvdata(parent);
	dev_set_drvdata(parent, data);
	expect_excused(test, data, DATA);
	dev_set_drvdata(parent, saved);
	expect_judged(test, data, DATA, DMA_TO_DEVICE);
}

#if IS_ENABLED(CONFIG_NET)
/* The data of a network driver are a net_device, with its netdev_priv(). */
static void netdev_priv_excused(struct kunit *test)
{
	struct net_device *net = alloc_etherdev(DATA);
	void *saved = dev_get_drvdata(kt_dev);
	u8 *priv, *other;

	KUNIT_ASSERT_NOT_NULL(test, net);
	priv = netdev_priv(net);
	/* An access opens the whole page of an object of KFENCE's. */
	if (is_vmalloc_addr(priv) || is_kfence_address(priv)) {
		free_netdev(net);
		kunit_skip(test, "no memory for a net_device in the linear map, outside KFENCE's");
	}
	dev_set_drvdata(kt_dev, net);
	expect_excused(test, priv, DATA);
	SET_NETDEV_DEV(net, kt_dev);
	expect_excused(test, priv, DATA);
	expect_judged(test, priv, DATA, DMA_FROM_DEVICE);
	expect_judged(test, priv + 128, 64, DMA_TO_DEVICE);

	/* The same offset from other data than a net_device is not excused. */
	other = kt_buf(test, 2 * PAGE_SIZE);
	dev_set_drvdata(kt_dev, other);
	priv = netdev_priv((struct net_device *)other);
	expect_judged(test, priv, DATA, DMA_TO_DEVICE);
	dev_set_drvdata(kt_dev, saved);
	free_netdev(net);
}
#else
static void netdev_priv_excused(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

/*
 * The listed idioms write to a DMA_TO_DEVICE buffer and then sync it. With strict=1, a
 * driver that is not on the list is reported.
 */
static void write_of_unlisted_driver_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, DATA);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, DATA, DMA_TO_DEVICE);
	long idioms = dma_owner_debug_count("allowed_idioms");

	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, DATA, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"), idioms);
	dma_unmap_single(kt_dev, dma, DATA, DMA_TO_DEVICE);
}

static struct kunit_case idioms_cases[] = {
	KUNIT_CASE(write_of_unlisted_driver_reported),
	KUNIT_CASE(own_struct_excused),
	KUNIT_CASE(own_struct_named_later_excused),
	KUNIT_CASE(own_struct_written_before_excused),
	KUNIT_CASE(struct_of_parent_excused),
	KUNIT_CASE(netdev_priv_excused),
	KUNIT_CASE(page_table_written_excused),
	KUNIT_CASE(page_table_in_module_reported),
	KUNIT_CASE(page_table_from_device_reported),
	KUNIT_CASE(access_rows_match_exactly),
	KUNIT_CASE(callees_match_exactly),
	KUNIT_CASE(direction_rows_match_exactly),
	KUNIT_CASE(mapping_rows_match_exactly),
	KUNIT_CASE(scsi_name_elsewhere_reported),
	KUNIT_CASE(scsi_request_excused),
	DIRECTION_CASE(bounce_copy_excused),
	DIRECTION_CASE(ksize_of_mapped_silent),
	DIRECTION_CASE(sync_not_needed_silent),
	{}
};

KT_SUITE(idioms);
