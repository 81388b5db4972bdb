// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 1: after a map call the device owns its range, to the byte at both ends, and nothing
 * beside it. With DMA_ATTR_SKIP_CPU_SYNC, and from dma_alloc_pages() and
 * dma_alloc_noncontiguous(), the CPU owns the range until it is synced for the device.
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

KT_DIRECTIONS;

/* Every size of access, at the first and at the last bytes of the buffer. */
static void mapped_bytes_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 256, dir);
	size_t size;

	for (size = 1; size <= 16; size *= 2) {
		EXPECT_DEVICE_OWNS(test, dir, buf, size);
		EXPECT_DEVICE_OWNS(test, dir, buf + 256 - size, size);
	}
	dma_unmap_single(kt_dev, dma, 256, dir);
}

static void unmapped_bytes_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma;
	size_t size;
	int round;

	for (round = 0; round < 3; round++) {
		for (size = 1; size <= 16; size *= 2) {
			EXPECT_CPU_OWNS(test, buf, size);
			EXPECT_CPU_OWNS(test, buf + 256 - size, size);
		}
		dma = test_dma_map(test, kt_dev, buf, 256, dir);
		EXPECT_WRITE_TRAPS(test, buf + 128, 4);
		dma_unmap_single(kt_dev, dma, 256, dir);
	}
}

/* A mapping in the middle of an object leaves the rest of it alone. */
static void bytes_beside_mapping_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 128, dir);

	EXPECT_CPU_OWNS(test, buf, 16);
	EXPECT_CPU_OWNS(test, buf + 63, 1);
	EXPECT_CPU_OWNS(test, buf + 192, 1);
	EXPECT_CPU_OWNS(test, buf + 240, 16);
	EXPECT_DEVICE_OWNS(test, dir, buf + 64, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 191, 1);
	dma_unmap_single(kt_dev, dma, 128, dir);
	EXPECT_CPU_OWNS(test, buf + 64, 16);
}

/* The device owns only the end, or only the beginning, of what is accessed. */
static void access_across_edge_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_ARCH_SUPPORTS_INT128));

	dma = test_dma_map(test, kt_dev, buf + 64, 128, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 56, 16);
	EXPECT_DEVICE_OWNS(test, dir, buf + 184, 16);
	dma_unmap_single(kt_dev, dma, 128, dir);
}

/*
 * A buffer that ends within a granule, at the end of its object: its last byte traps too,
 * and unmap restores exactly the shadow that was there.
 */
static void last_partial_granule_traps(struct kunit *test)
{
	static const size_t sizes[] = { 1, 3, 7, 9, 13, 31, 61, 1514 };
	enum dma_data_direction dir = dir_of(test);
	u8 before[DIV_ROUND_UP(1514, 8) + 1];
	int i, g;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];
		u8 *buf = kt_buf(test, size);
		dma_addr_t dma;

		for (g = 0; g * 8 < size + 8; g++)
			before[g] = kt_shadow(buf + 8 * g);
		EXPECT_CPU_OWNS(test, buf + size - 1, 1);
		dma = test_dma_map(test, kt_dev, buf, size, dir);
		EXPECT_DEVICE_OWNS(test, dir, buf, 1);
		EXPECT_DEVICE_OWNS(test, dir, buf + size - 1, 1);
		dma_unmap_single(kt_dev, dma, size, dir);
		EXPECT_CPU_OWNS(test, buf + size - 1, 1);
		for (g = 0; g * 8 < size + 8; g++)
			KUNIT_EXPECT_EQ_MSG(test, kt_shadow(buf + 8 * g), before[g],
					    "size %zu, granule %d", size, g);
	}
}

/* The last granule also holds a byte that is not mapped: it must not be poisoned. */
static void granule_shared_with_cpu_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	long untrapped = dma_owner_debug_count("untrapped_sub_granule");
	u8 *buf = kt_buf(test, 13);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 12, dir);

	EXPECT_CPU_OWNS(test, buf + 12, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 7, 1);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_sub_granule"), untrapped);
	dma_unmap_single(kt_dev, dma, 12, dir);
	EXPECT_CPU_OWNS(test, buf + 12, 1);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 8), 5);
}

/* Pages that are not slab, several of them in one mapping. */
static void mapping_of_pages_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 2);
	u8 *buf = page_address(page);
	dma_addr_t dma;
	int i;

	dma = dma_map_page(kt_dev, page, 64, 4 * PAGE_SIZE - 128, dir);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	EXPECT_CPU_OWNS(test, buf + 56, 8);
	for (i = 1; i < 4; i++) {
		EXPECT_DEVICE_OWNS(test, dir, buf + i * PAGE_SIZE - 8, 8);
		EXPECT_DEVICE_OWNS(test, dir, buf + i * PAGE_SIZE, 8);
	}
	EXPECT_CPU_OWNS(test, buf + 4 * PAGE_SIZE - 64, 8);
	dma_unmap_page(kt_dev, dma, 4 * PAGE_SIZE - 128, dir);
	EXPECT_CLEAN(test, buf, 4 * PAGE_SIZE);
}

/* A kmalloc() so large that it is made of pages. */
static void mapping_of_large_kmalloc_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const size_t size = 3 * PAGE_SIZE + 100;
	u8 *buf = kt_buf(test, size);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);

	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + size - 1, 1);
	dma_unmap_single(kt_dev, dma, size, dir);
	EXPECT_CPU_OWNS(test, buf + size - 1, 1);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + size - 1), 4);
}

/* Objects of a private cache lie closer together than those of kmalloc(). */
static void neighbouring_objects_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 104, 8, 0, NULL);
	u8 *obj[16];
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, cache);
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		obj[i] = kmem_cache_zalloc(cache, GFP_KERNEL);
	/* The third one: with 16 in a row, KFENCE can have taken one at most. */
	dma = dma_map_single(kt_dev, obj[3], 104, dir);
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		for (i = 0; i < ARRAY_SIZE(obj); i++) {
			if (i != 3) {
				EXPECT_CPU_OWNS(test, obj[i], 8);
				EXPECT_CPU_OWNS(test, obj[i] + 96, 8);
			}
		}
		dma_unmap_single(kt_dev, dma, 104, dir);
	}
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		kmem_cache_free(cache, obj[i]);
	kmem_cache_destroy(cache);
}

/* Fragments of a page, each a mapping of its own. */
static void fragment_unmapped_others_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_page_buf(test);
	const size_t frag = PAGE_SIZE / 4;
	dma_addr_t dma[4];
	int i;

	for (i = 0; i < 4; i++)
		dma[i] = test_dma_map(test, kt_dev, buf + i * frag, frag, dir);
	dma_unmap_single(kt_dev, dma[1], frag, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + frag - 1, 1);
	EXPECT_CPU_OWNS(test, buf + frag, 8);
	EXPECT_CPU_OWNS(test, buf + 2 * frag - 1, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 2 * frag, 1);
	dma_unmap_single(kt_dev, dma[3], frag, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 3 * frag - 1, 1);
	EXPECT_CPU_OWNS(test, buf + 3 * frag, 8);
	dma_unmap_single(kt_dev, dma[0], frag, dir);
	dma_unmap_single(kt_dev, dma[2], frag, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 2 * frag, 8);
}

/* As network drivers do for an aligned IP header: buffers begin at 2 modulo 4. */
static void unaligned_map_neighbours_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 128);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 18, 60, dir);
	int i;

	for (i = 0; i < 18; i++)
		EXPECT_CPU_OWNS(test, buf + i, 1);
	for (i = 78; i < 96; i++)
		EXPECT_CPU_OWNS(test, buf + i, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 24, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 71, 1);
	dma_unmap_single(kt_dev, dma, 60, dir);
	EXPECT_CPU_OWNS(test, buf + 24, 1);
}

/* Two mappings that meet within a granule: each end of the other is silent. */
static void mappings_meeting_in_granule_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t low = test_dma_map(test, kt_dev, buf, 100, dir);
	dma_addr_t high = test_dma_map(test, kt_dev, buf + 100, 100, dir);

	dma_unmap_single(kt_dev, low, 100, dir);
	EXPECT_CPU_OWNS(test, buf + 96, 4);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 104, 1);
	low = test_dma_map(test, kt_dev, buf, 100, dir);
	dma_unmap_single(kt_dev, high, 100, dir);
	EXPECT_CPU_OWNS(test, buf + 100, 4);
	EXPECT_CPU_OWNS(test, buf + 104, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 95, 1);
	dma_unmap_single(kt_dev, low, 100, dir);
	EXPECT_CPU_OWNS(test, buf + 96, 8);
}

/* === DMA_ATTR_SKIP_CPU_SYNC =============================================== */

static void map_skipping_sync_cpu_owns(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = kt_map_skip_sync(test, kt_dev, buf, PAGE_SIZE, dir);

	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 8, 8);
	dma_sync_single_for_cpu(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
}

static void sync_after_skipping_map_device_owns(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = kt_map_skip_sync(test, kt_dev, buf, PAGE_SIZE, dir);

	dma_sync_single_range_for_device(kt_dev, dma, 64, 1536, dir);
	EXPECT_CPU_OWNS(test, buf + 56, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 64, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 1592, 8);
	EXPECT_CPU_OWNS(test, buf + 1600, 8);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
	EXPECT_CPU_OWNS(test, buf + 64, 8);
}

/* Without the attribute, the same call maps all of it for the device. */
static void map_with_other_attribute_device_owns(struct kunit *test)
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

/*
 * page_pool: map once without a sync, sync for the device what a packet may fill, sync for
 * the CPU what it did fill, recycle without unmapping.
 */
static void page_pool_cycle_unsynced_traps(struct kunit *test)
{
	const size_t headroom = 256, room = 1536, len = 342;
	struct page *page = kt_page(test, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = kt_map_skip_sync(test, kt_dev, buf, PAGE_SIZE, DMA_FROM_DEVICE);
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
		/* The network stack's shared info, after what was ever synced for the device. */
		EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 320, 8);
	}
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE,
			     DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING);
	EXPECT_CPU_OWNS(test, buf + headroom, 8);
	EXPECT_CPU_OWNS(test, buf + headroom + room - 8, 8);
}

static void map_sg_skipping_sync_cpu_owns(struct kunit *test)
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

/* === dma_alloc_pages(), dma_alloc_noncontiguous() ========================= */

static void alloc_pages_cpu_owns(struct kunit *test)
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

	/* Freed while the device owns it: the driver has stopped the device. */
	dma_free_pages(kt_dev, size, page, dma, dir);
	for (i = 0; i < size; i += 8)
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + i));
}

static void alloc_noncontiguous_cpu_owns(struct kunit *test)
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
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + i));
}

/* Many, one after another: the same pages are allocated again, and are not poisoned. */
static void pages_allocated_again_clean(struct kunit *test)
{
	dma_addr_t dma;
	int i;

	for (i = 0; i < 64; i++) {
		struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_FROM_DEVICE);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
		EXPECT_CPU_OWNS(test, page_address(page), 8);
		dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
		KUNIT_EXPECT_TRUE(test, kt_is_poisoned(page_address(page)));
		dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_FROM_DEVICE);
	}
}

static struct kunit_case map_cases[] = {
	DIRECTION_CASE(mapped_bytes_trap),
	DIRECTION_CASE(unmapped_bytes_silent),
	DIRECTION_CASE(bytes_beside_mapping_silent),
	DIRECTION_CASE(access_across_edge_traps),
	DIRECTION_CASE(last_partial_granule_traps),
	DIRECTION_CASE(granule_shared_with_cpu_silent),
	DIRECTION_CASE(mapping_of_pages_traps),
	DIRECTION_CASE(mapping_of_large_kmalloc_traps),
	DIRECTION_CASE(neighbouring_objects_silent),
	DIRECTION_CASE(fragment_unmapped_others_trap),
	DIRECTION_CASE(unaligned_map_neighbours_silent),
	DIRECTION_CASE(mappings_meeting_in_granule_silent),
	DIRECTION_CASE(map_skipping_sync_cpu_owns),
	DIRECTION_CASE(sync_after_skipping_map_device_owns),
	DIRECTION_CASE(map_with_other_attribute_device_owns),
	KUNIT_CASE(page_pool_cycle_unsynced_traps),
	DIRECTION_CASE(map_sg_skipping_sync_cpu_owns),
	DIRECTION_CASE(alloc_pages_cpu_owns),
	DIRECTION_CASE(alloc_noncontiguous_cpu_owns),
	KUNIT_CASE(pages_allocated_again_clean),
	{}
};

KT_SUITE(map);
