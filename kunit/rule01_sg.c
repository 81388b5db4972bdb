// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 1 to 5 for scatterlists: ownership goes by the memory of each entry, however the
 * DMA side was merged. Lists may be chained, long, repeat a page, and be synced as a list
 * or entry by entry.
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>

#include "kt.h"

#define SIZE 192

KT_DIRECTIONS;

static void mapped_entries_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[4];
	u8 *buf[4];
	int i;

	sg_init_table(sg, 4);
	for (i = 0; i < 4; i++) {
		buf[i] = kt_buf(test, 256);
		sg_set_buf(&sg[i], buf[i], 64 * (i + 1) - 32);
	}
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 4, dir), 0);
	for (i = 0; i < 4; i++) {
		EXPECT_DEVICE_OWNS(test, dir, buf[i], 8);
		EXPECT_DEVICE_OWNS(test, dir, buf[i] + 64 * (i + 1) - 33, 1);
		EXPECT_CPU_OWNS(test, buf[i] + 64 * (i + 1) - 32, 1);
	}
	dma_unmap_sg(kt_dev, sg, 4, dir);
	for (i = 0; i < 4; i++)
		EXPECT_CPU_OWNS(test, buf[i], 8);
}

/* Only as many entries as the call says. */
static void entries_not_mapped_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[4];
	u8 *buf[4];
	int i;

	sg_init_table(sg, 4);
	for (i = 0; i < 4; i++) {
		buf[i] = kt_buf(test, SIZE);
		sg_set_buf(&sg[i], buf[i], SIZE);
	}
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, dir), 0);
	EXPECT_DEVICE_OWNS(test, dir, buf[0], 8);
	EXPECT_DEVICE_OWNS(test, dir, buf[1], 8);
	EXPECT_CPU_OWNS(test, buf[2], 8);
	EXPECT_CPU_OWNS(test, buf[3], 8);
	dma_unmap_sg(kt_dev, sg, 2, dir);
	EXPECT_CPU_OWNS(test, buf[1], 8);
}

/* As in requests for ciphers without associated data: the list begins with an empty entry. */
static void empty_entries_silent(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[4];
	u8 *buf[4];
	int i;

	/* A bounce buffer cannot be empty. */
	KT_REQUIRES(test, !is_swiotlb_force_bounce(kt_dev));
	sg_init_table(sg, 4);
	for (i = 0; i < 4; i++) {
		buf[i] = kt_buf(test, SIZE);
		sg_set_buf(&sg[i], buf[i] + 8, i % 2 ? SIZE - 8 : 0);
	}
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 4, dir), 0);
	for (i = 0; i < 4; i++)
		if (i % 2)
			EXPECT_DEVICE_OWNS(test, dir, buf[i] + 8, 8);
		else
			EXPECT_CPU_OWNS(test, buf[i] + 8, 8);
	dma_sync_sg_for_cpu(kt_dev, sg, 4, dir);
	EXPECT_CPU_OWNS(test, buf[1] + 8, 8);
	dma_sync_sg_for_device(kt_dev, sg, 4, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf[3] + 8, 8);
	dma_unmap_sg(kt_dev, sg, 4, dir);
	for (i = 0; i < 4; i++)
		EXPECT_CPU_OWNS(test, buf[i] + 8, 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

static void synced_list_cpu_owns(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[3];
	u8 *buf[3];
	int i, round;

	sg_init_table(sg, 3);
	for (i = 0; i < 3; i++) {
		buf[i] = kt_buf(test, SIZE);
		sg_set_buf(&sg[i], buf[i], SIZE);
	}
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 3, dir), 0);
	for (round = 0; round < 2; round++) {
		dma_sync_sg_for_cpu(kt_dev, sg, 3, dir);
		for (i = 0; i < 3; i++)
			EXPECT_CPU_OWNS(test, buf[i] + SIZE - 8, 8);
		dma_sync_sg_for_device(kt_dev, sg, 3, dir);
		for (i = 0; i < 3; i++)
			EXPECT_DEVICE_OWNS(test, dir, buf[i] + SIZE - 8, 8);
	}
	dma_unmap_sg(kt_dev, sg, 3, dir);
}

/* A driver that reads the header in one entry. */
static void synced_entry_others_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[3];
	u8 *buf[3];
	int i;

	sg_init_table(sg, 3);
	for (i = 0; i < 3; i++) {
		buf[i] = kt_buf(test, SIZE);
		sg_set_buf(&sg[i], buf[i], SIZE);
	}
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 3, dir), 0);
	/* Merged entries have no DMA addresses of their own; these cannot be merged. */
	dma_sync_single_for_cpu(kt_dev, sg_dma_address(&sg[1]), 64, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf[0], 8);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	EXPECT_CPU_OWNS(test, buf[1] + 63, 1);
	EXPECT_NOT_SYNCED(test, dir, buf[1] + 64, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf[2], 8);
	dma_sync_single_for_device(kt_dev, sg_dma_address(&sg[1]), 64, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf[1], 8);
	dma_unmap_sg(kt_dev, sg, 3, dir);
	EXPECT_CPU_OWNS(test, buf[1], 8);
}

/* struct sg_table, with its own map and sync calls, and more entries than one page holds. */
static void table_of_300_entries_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const int n = 300;
	struct sg_table sgt;
	struct scatterlist *sg;
	u8 *buf = kt_buf(test, n * 64);
	int i, err;

	KUNIT_ASSERT_EQ(test, sg_alloc_table(&sgt, n, GFP_KERNEL), 0);
	for_each_sgtable_sg(&sgt, sg, i)
		sg_set_buf(sg, buf + (n - 1 - i) * 64, 32);
	err = dma_map_sgtable(kt_dev, &sgt, dir, 0);
	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err) {
		for (i = 0; i < n * 64; i += 8)
			KUNIT_EXPECT_EQ_MSG(test, kt_is_poisoned(buf + i), i % 64 < 32,
					    "offset %d", i);
		EXPECT_DEVICE_OWNS(test, dir, buf, 8);
		EXPECT_DEVICE_OWNS(test, dir, buf + (n - 1) * 64, 8);
		EXPECT_CPU_OWNS(test, buf + 32, 8);
		dma_sync_sgtable_for_cpu(kt_dev, &sgt, dir);
		EXPECT_CLEAN(test, buf, n * 64);
		dma_sync_sgtable_for_device(kt_dev, &sgt, dir);
		EXPECT_DEVICE_OWNS(test, dir, buf + 150 * 64, 8);
		dma_unmap_sgtable(kt_dev, &sgt, dir, 0);
		EXPECT_CLEAN(test, buf, n * 64);
	}
	sg_free_table(&sgt);
}

static void chained_list_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist first[3], second[2];
	u8 *buf[4];
	int i;

	KT_REQUIRES(test, !IS_ENABLED(CONFIG_ARCH_NO_SG_CHAIN));

	for (i = 0; i < 4; i++)
		buf[i] = kt_buf(test, SIZE);
	sg_init_table(first, 3);
	sg_init_table(second, 2);
	sg_set_buf(&first[0], buf[0], SIZE);
	sg_set_buf(&first[1], buf[1], SIZE);
	sg_chain(first, 3, second);
	sg_set_buf(&second[0], buf[2], SIZE);
	sg_set_buf(&second[1], buf[3], SIZE);

	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, first, 4, dir), 0);
	for (i = 0; i < 4; i++)
		EXPECT_DEVICE_OWNS(test, dir, buf[i], 8);
	dma_sync_sg_for_cpu(kt_dev, first, 4, dir);
	for (i = 0; i < 4; i++)
		EXPECT_CPU_OWNS(test, buf[i], 8);
	dma_sync_sg_for_device(kt_dev, first, 4, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf[3], 8);
	dma_unmap_sg(kt_dev, first, 4, dir);
	for (i = 0; i < 4; i++)
		EXPECT_CPU_OWNS(test, buf[i], 8);
}

/* Rule 5 within one list: zero padding often is one page, many times. */
static void page_listed_twice_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE), *other = kt_buf(test, SIZE);
	struct scatterlist sg[3];

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], buf, SIZE);
	sg_set_buf(&sg[1], other, SIZE);
	sg_set_buf(&sg[2], buf, SIZE);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 3, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, other, 8);
	dma_sync_sg_for_cpu(kt_dev, sg, 3, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_sg_for_device(kt_dev, sg, 3, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_sg(kt_dev, sg, 3, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, other, 8);
}

/* Offsets into pages, adjacent in memory: an IOMMU or the block layer merges them. */
static void adjacent_entries_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 1);
	u8 *buf = page_address(page);
	struct scatterlist sg[3];

	sg_init_table(sg, 3);
	/* sg_set_page(entry, page, length, offset); the third begins where the second ends. */
	sg_set_page(&sg[0], page, 512, 512);
	sg_set_page(&sg[1], page, 1024, PAGE_SIZE - 512);
	sg_set_page(&sg[2], page, 1024, PAGE_SIZE + 512);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 3, dir), 0);
	EXPECT_CPU_OWNS(test, buf + 504, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 512, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 1023, 1);
	EXPECT_CPU_OWNS(test, buf + 1024, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 520, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE - 512, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE + 1535, 1);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE + 1536, 8);
	dma_unmap_sg(kt_dev, sg, 3, dir);
	EXPECT_CPU_OWNS(test, buf + 512, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE + 512, 8);
}

/* The hint names the call for lists: dma_sync_sg_for_cpu(). */
static void report_of_list_names_sg_calls(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg;

	sg_init_one(&sg, buf, SIZE);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, &sg, 1, DMA_FROM_DEVICE), 0);
	EXPECT_READ_TRAPS(test, buf + 24, 4);
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: *dma_sync_sg_for_cpu()*"));
	KUNIT_EXPECT_TRUE(test, kt_has("*; the access is 24 bytes into the buffer"));
	KUNIT_EXPECT_FALSE(test, kt_has("Last dma_sync_*"));
	dma_sync_sg_for_cpu(kt_dev, &sg, 1, DMA_FROM_DEVICE);
	dma_sync_sg_for_device(kt_dev, &sg, 1, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf + 24, 4);
	KUNIT_EXPECT_TRUE(test, kt_has("Last dma_sync_sg_for_device() *"));
	dma_unmap_sg(kt_dev, &sg, 1, DMA_FROM_DEVICE);
}

/*
 * An IOMMU merges entries into one range of DMA addresses, which is synced as one though it
 * is several runs of memory. Adjacent entries look the same.
 */
static void sync_across_entries_cpu_owns(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_page_buf(test);
	u32 saved;
	struct scatterlist sg[3];
	dma_addr_t dma;
	int i;

	sg_init_table(sg, 3);
	for (i = 0; i < 3; i++)
		sg_set_buf(&sg[i], buf + 256 * i, 256);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 3, dir), 0);
	dma = sg_dma_address(&sg[0]);
	if (sg_dma_address(&sg[2]) != dma + 512) {
		dma_unmap_sg(kt_dev, sg, 3, dir);
		kunit_skip(test, "the entries are not contiguous for the device");
	}
	/* dma-debug knows the entries, not the merged range. */
	saved = kt_quiet_dma_debug();
	dma_sync_single_for_cpu(kt_dev, dma + 128, 512, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 120, 8);
	for (i = 128; i < 640; i += 128)
		EXPECT_CPU_OWNS(test, buf + i, 8);
	EXPECT_NOT_SYNCED(test, dir, buf + 640, 8);
	dma_sync_single_for_device(kt_dev, dma + 128, 512, dir);
	kt_unquiet_dma_debug(saved);
	EXPECT_NOT_SYNCED(test, dir, buf + 640, 8);
	for (i = 0; i < 640; i += 128)
		EXPECT_DEVICE_OWNS(test, dir, buf + i, 8);
	dma_unmap_sg(kt_dev, sg, 3, dir);
	EXPECT_CLEAN(test, buf, 768);
}

/* The unmap of a list that was never mapped ends nothing, and is counted. */
static void unmap_of_unmapped_list_counted(struct kunit *test)
{
	u32 saved;
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	struct scatterlist sg[2];
	u8 *buf = kt_buf(test, SIZE);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 64);
	sg_set_buf(&sg[1], buf + 64, 64);
	saved = kt_quiet_dma_debug();
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched + 1);

	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_TO_DEVICE), 0);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched + 1);
	EXPECT_SILENCE(test);
}

static struct kunit_case sg_cases[] = {
	DIRECTION_CASE(sync_across_entries_cpu_owns),
	DIRECTION_CASE(mapped_entries_trap),
	DIRECTION_CASE(entries_not_mapped_silent),
	DIRECTION_CASE(empty_entries_silent),
	DIRECTION_CASE(synced_list_cpu_owns),
	DIRECTION_CASE(synced_entry_others_trap),
	DIRECTION_CASE(table_of_300_entries_traps),
	DIRECTION_CASE(chained_list_traps),
	KUNIT_CASE(page_listed_twice_silent),
	DIRECTION_CASE(adjacent_entries_trap),
	KUNIT_CASE(unmap_of_unmapped_list_counted),
	KUNIT_CASE(report_of_list_names_sg_calls),
	{}
};

KT_SUITE(sg);
