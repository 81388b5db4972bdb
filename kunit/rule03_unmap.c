// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 3: unmap ends the ownership. (b) With DMA_ATTR_SKIP_CPU_SYNC, on a device that is not
 * coherent or through a bounce buffer, what the device still owned is stale: to read it is a
 * fault until it is written, mapped, synced or freed. (c) Which of two equal mappings ends.
 */

#include <linux/dma-direct.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 1536

KT_DIRECTIONS;

static void unmap_of_cpu_owned_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	long unmatched = dma_owner_debug_count("unmatched_unmaps");

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

/* With the attribute, the unmap is faster, and still a whole unmap. */
static void unmap_skipping_sync_cpu_owns(struct kunit *test)
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

/* === Stale bytes ========================================================== */

/* Rule 3b. */
static void read_after_skipping_unmap_reported(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	int lined;

	for (lined = 0; lined < 2; lined++) {
		kt_set(test, "noncoherent", lined ? "64" : "0");
		if (lined)
			dma = test_pool_map(test, page, DMA_FROM_DEVICE);
		dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
		kt_device_writes(p, 128, 0x11);
		test_pool_unmap(dma, DMA_FROM_DEVICE);
		/* With a bounce buffer, the data are lost on this machine. */
		if (!lined && dma == page_to_phys(page)) {
			EXPECT_CPU_OWNS(test, p, 8);
			EXPECT_CLEAN(test, p, PAGE_SIZE);
			continue;
		}
		if (!kt_traps(test))
			continue;
		test_dma_read(p + 40, 8);
		KUNIT_EXPECT_STREQ(test, kt_take_report("cpu-read", test_dma_read, p + 40, 8), "");
		KUNIT_EXPECT_TRUE(test, kt_has(" Never synced for the CPU: unmapped with DMA_ATTR_SKIP_CPU_SYNC in test_pool_unmap+0x*"));
		EXPECT_CPU_OWNS(test, p + 2048, 8);
		/* What was written may be read. */
		test_dma_write(p + 40, 8);
		test_dma_read(p + 40, 8);
		EXPECT_SILENCE(test);
		EXPECT_READ_TRAPS(test, p + 48, 8);
		/* Mapped again, the bytes are no longer stale. */
		dma = test_pool_map(test, page, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, p + 48, 8);
		EXPECT_CLEAN(test, p, PAGE_SIZE);
		test_pool_unmap(dma, DMA_FROM_DEVICE);
	}
}

/* The CPU owns what was synced before the unmap. */
static void synced_before_skipping_unmap_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, p, 8);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* The same for a list, and for a write to it. */
static void list_read_after_skipping_unmap_traps(struct kunit *test)
{
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];
	int skips;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	for (skips = 0; skips < 2; skips++) {
		KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 0);
		/*
		 * dma-debug accepts no sync of a whole list but dma_sync_sg_*(), and
		 * accepts one of a part.
		 */
		dma_sync_single_for_cpu(kt_dev, sg_dma_address(&sg[0]), SIZE, DMA_FROM_DEVICE);
		test_dma_write(a + 64, 8);
		dma_unmap_sg_attrs(kt_dev, sg, 2, DMA_FROM_DEVICE,
				   skips ? DMA_ATTR_SKIP_CPU_SYNC : 0);
		if (!skips) {
			EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, a + 64, 8);
			EXPECT_CPU_OWNS(test, b, 8);
			continue;
		}
		EXPECT_SILENCE(test);
		EXPECT_CPU_OWNS(test, a, 8);
		EXPECT_READ_TRAPS(test, b + 8, 8);
	}
	test_dma_write(b, 8);
	EXPECT_CPU_OWNS(test, b, 8);
}

/* The driver core forgets what a bus adds to addresses at an unbind. An unmap may follow. */
static void unmap_after_ranges_forgotten_matches(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	struct page *page = kt_page(test, 0);
	u64 phys = page_to_phys(page);
	struct {
		phys_addr_t cpu_start;
		dma_addr_t dma_start;
		u64 size;
		u64 offset;	/* before v6.10 */
	} ranges[2] = { { phys, phys + SZ_1G, PAGE_SIZE, -SZ_1G } };
	struct bus_dma_region one[2] = {};
	dma_addr_t dma;

	memcpy(one, ranges, sizeof(one[0]));
	kt_dev->dma_range_map = one;
	dma = test_dma_map(test, kt_dev, page_address(page), 64, DMA_FROM_DEVICE);
	kt_dev->dma_range_map = NULL;
	KUNIT_EXPECT_EQ(test, dma, phys + SZ_1G);
	EXPECT_READ_TRAPS(test, page_address(page), 8);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page_address(page), 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

/* Each way in which bytes stop being stale, to the byte. */
static void stale_written_or_mapped_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma, part;

	kt_set(test, "noncoherent", "64");
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	if (dma != page_to_phys(page))
		kunit_skip(test, "it is bounced");
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	/* Written: only these bytes. */
	EXPECT_READ_TRAPS(test, p + 56, 8);
	test_dma_write(p + 64, 8);
	EXPECT_READ_OK(test, p + 64, 8);
	EXPECT_READ_TRAPS(test, p + 72, 8);
	/* Mapped and unmapped. */
	part = test_dma_map(test, kt_dev2, p + 128, 64, DMA_TO_DEVICE);
	EXPECT_READ_OK(test, p + 128, 64);
	EXPECT_READ_TRAPS(test, p + 120, 8);
	EXPECT_READ_TRAPS(test, p + 192, 8);
	dma_unmap_single(kt_dev2, part, 64, DMA_TO_DEVICE);
	EXPECT_READ_OK(test, p + 128, 64);
	EXPECT_READ_TRAPS(test, p + 192, 8);
	/* Stale while another device has it mapped: the other's unmap is a sync for the CPU. */
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	part = dma_map_single_attrs(kt_dev2, p + 256, 64, DMA_FROM_DEVICE, KT_POOL_ATTRS);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev2, part));
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, p + 256, 8);
	dma_unmap_single(kt_dev2, part, 64, DMA_FROM_DEVICE);
	EXPECT_READ_OK(test, p + 256, 64);
	EXPECT_READ_TRAPS(test, p + 248, 8);
	EXPECT_READ_TRAPS(test, p + 320, 8);
	/* One that the device only reads brings nothing back. */
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	part = test_dma_map(test, kt_dev2, p + 512, 64, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, part, 64, DMA_TO_DEVICE);
	EXPECT_READ_TRAPS(test, p + 512, 8);
}

/* The next user of the page does not notice. */
static void stale_page_freed_clean(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t dma;
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, page);
	p = page_address(page);
	kt_set(test, "noncoherent", "64");
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_is_poisoned(p));
	__free_page(page);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(p));
}

/*
 * One hand-over ends inside a granule, and the next begins there. A write to the rest of
 * that granule is not seen, so it does not become stale.
 */
static void stale_part_of_granule_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	if (dma != page_to_phys(page))
		kunit_skip(test, "it is bounced");
	dma_sync_single_range_for_device(kt_dev, dma, 0, 100, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 100, 100, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 62, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, p, 62);
	test_dma_write(p + 62, 2);
	test_dma_write(p + 96, 4);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 64, 8);
	EXPECT_READ_TRAPS(test, p + 88, 8);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	test_dma_read(p + 62, 2);
	test_dma_read(p + 96, 4);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 88, 8);
	EXPECT_READ_TRAPS(test, p + 104, 8);
}

/* === Equal mappings ======================================================= */

/* Rule 3c. */
static void unmap_by_attribute_ends_its_own(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t lasting, passing;

	lasting = dma_map_single_attrs(kt_dev, buf, SIZE, DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, lasting));
	passing = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, passing, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	passing = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_unmap_single(kt_dev, passing, SIZE, DMA_TO_DEVICE);
	dma_unmap_single_attrs(kt_dev, lasting, SIZE, DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CLEAN(test, buf, SIZE);
}

static struct kunit_case unmap_cases[] = {
	DIRECTION_CASE(unmap_of_cpu_owned_silent),
	DIRECTION_CASE(unmap_skipping_sync_cpu_owns),
	KUNIT_CASE(unmap_after_ranges_forgotten_matches),
	KUNIT_CASE(read_after_skipping_unmap_reported),
	KUNIT_CASE(synced_before_skipping_unmap_silent),
	KUNIT_CASE(list_read_after_skipping_unmap_traps),
	KUNIT_CASE(stale_written_or_mapped_silent),
	KUNIT_CASE(stale_page_freed_clean),
	KUNIT_CASE(stale_part_of_granule_silent),
	KUNIT_CASE(unmap_by_attribute_ends_its_own),
	{}
};

KT_SUITE(unmap);
