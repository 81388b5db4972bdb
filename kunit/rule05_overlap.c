// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 5: the same memory mapped several times. A byte is device-owned while any mapping owns
 * it; ending one mapping re-evaluates the others. dma-debug warns of two device-writable
 * mappings that start in one cache line, so those that overlap here start in different ones.
 */

#include <linux/mm.h>
#include <linux/swiotlb.h>

#include "kt.h"

#define SIZE 512

static void two_readers_owned_until_last_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf, SIZE, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_single(kt_dev2, b, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* The same device, so the same DMA address as well, unless it is bounced. */
static void equal_mappings_owned_until_last_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_single(kt_dev, b, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* The same DMA address, different sizes: each unmap must end its own mapping. */
static void unmap_by_size_ends_its_own(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);

	/* The younger one first, then the older one. */
	dma_unmap_single(kt_dev, b, 64, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 64, 8);
	b = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 64, 8);
	dma_unmap_single(kt_dev, b, 64, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* In-place crypto: source and destination are the same memory. */
static void in_place_owned_until_last_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	/* The younger one first, then the older one. */
	dma_unmap_single(kt_dev, dst, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, src, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_unmap_single(kt_dev, dst, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/*
 * As async_xor.c: all blocks are mapped DMA_TO_DEVICE, and one of them once more,
 * DMA_BIDIRECTIONAL. That is in place; a mapping of only a part of that block is not.
 */
static void in_place_update_silent(struct kunit *test)
{
	u8 *a = kt_page_buf(test), *b = kt_page_buf(test);
	dma_addr_t src[2], dst;

	if (is_swiotlb_force_bounce(kt_dev))
		kunit_skip(test, "a bounce buffer is nobody else's");
	kt_set(test, "noncoherent", "64");
	src[0] = test_dma_map(test, kt_dev, a, SIZE, DMA_TO_DEVICE);
	src[1] = test_dma_map(test, kt_dev, b, SIZE, DMA_TO_DEVICE);
	dst = test_dma_map(test, kt_dev, a, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, a, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, b, 8);
	dma_unmap_single(kt_dev, src[0], SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, a, 8);
	dma_unmap_single(kt_dev, dst, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_CPU_OWNS(test, a, 8);

	dst = test_dma_map(test, kt_dev, b + 64, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, SIZE);
	dma_unmap_single(kt_dev, dst, SIZE, DMA_BIDIRECTIONAL);
	/* strict=1 also reports what loses nothing. */
	kt_set(test, "strict", "1");
	dst = test_dma_map(test, kt_dev, b, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, SIZE);
	dma_unmap_single(kt_dev, dst, SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev, src[1], SIZE, DMA_TO_DEVICE);
}

static void writer_ends_first_reader_owns(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t to = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t from = test_dma_map(test, kt_dev2, buf + 128, 256, DMA_FROM_DEVICE);

	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 120, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 128, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 376, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 384, 8);
	dma_unmap_single(kt_dev2, from, 256, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 128, 8);
	dma_unmap_single(kt_dev, to, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
}

static void reader_ends_first_writer_owns(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t to = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t from = test_dma_map(test, kt_dev2, buf + 128, 256, DMA_FROM_DEVICE);

	dma_unmap_single(kt_dev, to, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 120, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 128, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 376, 8);
	EXPECT_CPU_OWNS(test, buf + 384, 8);
	dma_unmap_single(kt_dev2, from, 256, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
}

/* The order of the map calls makes no difference. */
static void writer_mapped_first_both_own(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t from = test_dma_map(test, kt_dev2, buf + 128, 256, DMA_FROM_DEVICE);
	dma_addr_t to = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 128, 8);
	dma_unmap_single(kt_dev2, from, 256, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 128, 8);
	dma_unmap_single(kt_dev, to, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
}

/* One of two mappings is synced for the CPU; the other is not. */
static void sync_of_one_device_other_owns(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_sync_single_for_cpu(kt_dev2, b, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_single(kt_dev2, b, SIZE, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* The other mapping covers only a part of what is synced. */
static void sync_over_other_mapping_other_owns(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t all = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_addr_t part = test_dma_map(test, kt_dev2, buf + 128, 64, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, all, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 120, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 128, 8);
	EXPECT_CPU_OWNS(test, buf + 192, 8);
	dma_sync_single_for_device(kt_dev, all, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 128, 8);
	dma_unmap_single(kt_dev, all, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 120, 8);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 128, 8);
	dma_unmap_single(kt_dev2, part, 64, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
}

/* RAID 6: one block goes to many places. */
static void many_readers_owned_until_last_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma[20];
	int i;

	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma[i] = test_dma_map(test, i % 2 ? kt_dev2 : kt_dev, buf + i * 8, 256,
				      DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	for (i = 0; i < ARRAY_SIZE(dma); i++) {
		/* Of the mappings left, only the oldest covers this granule. */
		EXPECT_WRITE_TRAPS(test, buf + i * 8, 8);
		dma_unmap_single(i % 2 ? kt_dev2 : kt_dev, dma[i], 256, DMA_TO_DEVICE);
		EXPECT_CPU_OWNS(test, buf + i * 8, 8);
	}
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Two device-writable mappings: a read is wrong as long as one of them lasts. */
static void two_writers_owned_until_last_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, 256, DMA_FROM_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf + 128, 256, DMA_BIDIRECTIONAL);

	dma_unmap_single(kt_dev, a, 256, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 127, 1);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, buf + 128, 1);
	dma_unmap_single(kt_dev2, b, 256, DMA_BIDIRECTIONAL);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
}

/* The report names the device that owns the byte, not just any that has it mapped. */
static void access_report_names_owner(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t to = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t from = test_dma_map(test, kt_dev2, buf + 128, 256, DMA_FROM_DEVICE);

	EXPECT_READ_TRAPS(test, buf + 128, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("Device * " KT_NAME ".1 owns *DMA_FROM_DEVICE*"));
	EXPECT_WRITE_TRAPS(test, buf, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("Device * " KT_NAME ".0 owns *DMA_TO_DEVICE*"));
	dma_unmap_single(kt_dev2, from, 256, DMA_FROM_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf + 128, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("Device * " KT_NAME ".0 owns *DMA_TO_DEVICE*"));
	dma_unmap_single(kt_dev, to, SIZE, DMA_TO_DEVICE);
}

/* Two devices, one DMA address: unmap goes by device. */
static void unmap_by_device_ends_its_own(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf, 64, DMA_FROM_DEVICE);

	dma_unmap_single(kt_dev2, b, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("Device * " KT_NAME ".0 owns *DMA_TO_DEVICE*"));
	dma_unmap_single(kt_dev, a, 64, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* The odd end of one mapping inside another: KASAN's own value is restored by the last unmap. */
static void odd_tails_shadow_restored(struct kunit *test)
{
	u8 *buf = kt_buf(test, 77);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, 77, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf + 64, 13, DMA_FROM_DEVICE);

	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 76, 1);
	dma_unmap_single(kt_dev2, b, 13, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 76, 1);
	dma_unmap_single(kt_dev, a, 77, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 76, 1);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 72), 5);
}

static struct kunit_case overlap_cases[] = {
	KUNIT_CASE(two_readers_owned_until_last_unmap),
	KUNIT_CASE(equal_mappings_owned_until_last_unmap),
	KUNIT_CASE(unmap_by_size_ends_its_own),
	KUNIT_CASE(in_place_owned_until_last_unmap),
	KUNIT_CASE(in_place_update_silent),
	KUNIT_CASE(writer_ends_first_reader_owns),
	KUNIT_CASE(reader_ends_first_writer_owns),
	KUNIT_CASE(writer_mapped_first_both_own),
	KUNIT_CASE(sync_of_one_device_other_owns),
	KUNIT_CASE(sync_over_other_mapping_other_owns),
	KUNIT_CASE(many_readers_owned_until_last_unmap),
	KUNIT_CASE(two_writers_owned_until_last_unmap),
	KUNIT_CASE(access_report_names_owner),
	KUNIT_CASE(unmap_by_device_ends_its_own),
	KUNIT_CASE(odd_tails_shadow_restored),
	{}
};

KT_SUITE(overlap);
