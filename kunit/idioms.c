// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 11, the accesses that permissive.h lets pass, and memory whose driver was
 * told that it need not sync. Each with the neighbour that is reported.
 */

#include <linux/slab.h>

#include "dod_test.h"

KT_DIRECTIONS;

#ifdef MODULE
#define IN_MODULE true
#else
#define IN_MODULE false
#endif

/* The rows go by the name of the function: these two bear such names. */
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
static void page_table(struct kunit *test)
{
	long allowed = dma_owner_debug_count("allowed_idioms");
	u64 *pte = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, pte, 64, DMA_TO_DEVICE);

	arm_lpae_kunit_set_pte(pte);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"), allowed + 1);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_TO_DEVICE);
	test_set_pte(pte + 1);
	EXPECT_REPORT(test, "cpu-write", test_set_pte, pte + 1, 8);
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, pte[0], 0x5a5a);
	KUNIT_EXPECT_EQ(test, pte[1], 0xa5a5);
}

/* The row is for what goes to the device, and strict=1 knows no rows. */
static void page_table_limits(struct kunit *test)
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
 * The DMA core copies on behalf of the device: not even strict=1 minds. Which is
 * the core and which is a module with such a name depends on how this is built.
 */
static void bounce_copy(struct kunit *test)
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

/* Asks whether the object is alive, not what is in it. */
static void object_size(struct kunit *test)
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
 * A driver that asks dma_need_sync() and hears no skips its syncs, legally. One
 * that does not ask, or hears yes, must sync.
 */
static void no_sync_needed(struct kunit *test)
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

	/* The next mapping of the memory is judged anew. */
	dma = test_dma_map(test, kt_dev, asked, 256, dir);
	EXPECT_DEVICE_OWNS(test, dir, asked, 8);
	dma_unmap_single(kt_dev, dma, 256, dir);
}

static struct kunit_case idioms_cases[] = {
	KUNIT_CASE(page_table),
	KUNIT_CASE(page_table_limits),
	DIRECTION_CASE(bounce_copy),
	DIRECTION_CASE(object_size),
	DIRECTION_CASE(no_sync_needed),
	{}
};

KT_SUITE(kt_idioms_suite, "idioms", idioms_cases);
