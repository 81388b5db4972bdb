// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is mapped and yet starts with the CPU: DMA_ATTR_SKIP_CPU_SYNC
 * (rule 1, what page_pool does), dma_alloc_pages(), dma_alloc_noncontiguous().
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "dod_test.h"

KT_DIRECTIONS;

/* === DMA_ATTR_SKIP_CPU_SYNC =============================================== */

static dma_addr_t map_skipping(struct kunit *test, struct page *page, size_t size,
			       enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_page_attrs(kt_dev, page, 0, size, dir, DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

static void map_gives_nothing(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = map_skipping(test, page, PAGE_SIZE, dir);

	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 8, 8);
	dma_sync_single_for_cpu(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
}

static void sync_gives_its_range(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = map_skipping(test, page, PAGE_SIZE, dir);

	dma_sync_single_range_for_device(kt_dev, dma, 64, 1536, dir);
	EXPECT_CPU_OWNS(test, buf + 56, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 64, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 1592, 8);
	EXPECT_CPU_OWNS(test, buf + 1600, 8);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf + 64, 8);
}

/* Without the attribute the same map call gives all of it. */
static void neighbour_without_attribute(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = dma_map_page_attrs(kt_dev, page, 0, PAGE_SIZE, dir,
					    DMA_ATTR_WEAK_ORDERING);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE - 8, 8);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
}

/* Rule 3: the attribute on unmap means a faster unmap, not half an unmap. */
static void unmap_skipping(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, PAGE_SIZE, dir);

	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, dir, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CLEAN(test, buf, PAGE_SIZE);
}

/*
 * page_pool: map once and skip, give what a packet may fill to the device, take
 * what it did fill for the CPU, recycle without unmapping.
 */
static void page_pool(struct kunit *test)
{
	const size_t headroom = 256, room = 1536, len = 342;
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = map_skipping(test, page, PAGE_SIZE, DMA_FROM_DEVICE);
	int round;

	for (round = 0; round < 4; round++) {
		dma_sync_single_range_for_device(kt_dev, dma, headroom, room, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, buf, 8);
		EXPECT_READ_TRAPS(test, buf + headroom, 8);

		dma_sync_single_range_for_cpu(kt_dev, dma, headroom, len, DMA_FROM_DEVICE);
		EXPECT_READ_OK(test, buf + headroom, 8);
		EXPECT_READ_OK(test, buf + headroom + len - 1, 1);
		EXPECT_READ_TRAPS(test, buf + headroom + 344, 8);
		EXPECT_READ_TRAPS(test, buf + headroom + room - 8, 8);
		/* The stack's shared info, behind what was ever given away. */
		EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 320, 8);
	}
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE,
			     DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING);
	EXPECT_CPU_OWNS(test, buf + headroom, 8);
	EXPECT_CPU_OWNS(test, buf + headroom + room - 8, 8);
}

static void map_sg_skipping(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf[2] = { kt_buf(test, 256), kt_buf(test, 256) };
	struct scatterlist sg[2];
	int i;

	sg_init_table(sg, 2);
	for (i = 0; i < 2; i++)
		sg_set_buf(&sg[i], buf[i], 256);
	KUNIT_ASSERT_NE(test, dma_map_sg_attrs(kt_dev, sg, 2, dir, DMA_ATTR_SKIP_CPU_SYNC), 0);
	EXPECT_CPU_OWNS(test, buf[0], 8);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	dma_sync_sg_for_device(kt_dev, sg, 2, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf[0], 8);
	EXPECT_DEVICE_OWNS(test, dir, buf[1] + 248, 8);
	dma_unmap_sg_attrs(kt_dev, sg, 2, dir, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CPU_OWNS(test, buf[0], 8);
	EXPECT_CPU_OWNS(test, buf[1] + 248, 8);
}

static struct kunit_case skip_cpu_sync_cases[] = {
	DIRECTION_CASE(map_gives_nothing),
	DIRECTION_CASE(sync_gives_its_range),
	DIRECTION_CASE(neighbour_without_attribute),
	DIRECTION_CASE(unmap_skipping),
	KUNIT_CASE(page_pool),
	DIRECTION_CASE(map_sg_skipping),
	{}
};

KT_SUITE(kt_skip_cpu_sync_suite, "skip_cpu_sync", skip_cpu_sync_cases);

/* === dma_alloc_pages(), dma_alloc_noncontiguous() ========================= */

static void alloc_pages_starts_with_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const size_t size = 2 * PAGE_SIZE;
	struct page *page;
	dma_addr_t dma;
	u8 *buf;
	int i;

	page = kt_dma_alloc_pages(kt_dev, size, &dma, dir);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	buf = page_address(page);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + size - 8, 8);

	dma_sync_single_for_device(kt_dev, dma, size, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + size - 8, 8);

	dma_sync_single_range_for_cpu(kt_dev, dma, PAGE_SIZE, 256, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE - 8, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE + 256, 8);

	/* Freed while the device has it: the driver has stopped the device. */
	dma_free_pages(kt_dev, size, page, dma, dir);
	for (i = 0; i < size; i += 8)
		KUNIT_EXPECT_FALSE(test, kt_painted(buf + i));
}

static void alloc_noncontiguous_starts_with_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const size_t size = 2 * PAGE_SIZE;
	struct sg_table *sgt;
	u8 *buf;
	int i;

	sgt = dma_alloc_noncontiguous(kt_dev, size, dir, GFP_KERNEL, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	buf = sg_virt(sgt->sgl);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + sgt->sgl->length - 8, 8);

	dma_sync_sgtable_for_device(kt_dev, sgt, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + sgt->sgl->length - 8, 8);

	dma_sync_sgtable_for_cpu(kt_dev, sgt, dir);
	EXPECT_CPU_OWNS(test, buf, 8);

	dma_sync_sgtable_for_device(kt_dev, sgt, dir);
	dma_free_noncontiguous(kt_dev, size, sgt, dir);
	for (i = 0; i < PAGE_SIZE; i += 8)
		KUNIT_EXPECT_FALSE(test, kt_painted(buf + i));
}

/* Many of them, one after another: the same pages come back unpoisoned. */
static void alloc_again(struct kunit *test)
{
	dma_addr_t dma;
	int i;

	for (i = 0; i < 64; i++) {
		struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_FROM_DEVICE);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
		EXPECT_CPU_OWNS(test, page_address(page), 8);
		dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
		KUNIT_EXPECT_TRUE(test, kt_painted(page_address(page)));
		dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_FROM_DEVICE);
	}
}

static struct kunit_case pages_cases[] = {
	DIRECTION_CASE(alloc_pages_starts_with_cpu),
	DIRECTION_CASE(alloc_noncontiguous_starts_with_cpu),
	KUNIT_CASE(alloc_again),
	{}
};

KT_SUITE(kt_pages_suite, "pages", pages_cases);
