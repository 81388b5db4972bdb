// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 2, 3b and 4 where the device has a copy of the memory, which a bounce buffer is: boot
 * with swiotlb=force. On a coherent machine this is where a missing sync loses data.
 */

#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "kt.h"

#define SIZE 1024

static dma_addr_t map(struct kunit *test, void *buf, enum dma_data_direction dir,
		      unsigned long attrs)
{
	dma_addr_t dma;

	if (!is_swiotlb_force_bounce(kt_dev))
		kunit_skip(test, "Test requires: bounce buffers (boot with swiotlb=force)");
	dma = dma_map_single_attrs(kt_dev, buf, SIZE, dir, attrs);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

/* A sync copies pending writes into the bounce buffer, and what it has already. */
static void write_then_sync_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = map(test, buf, DMA_TO_DEVICE, 0);

	test_dma_write(buf + 64, 8);
	dma_sync_single_range_for_device(kt_dev, dma, 0, 128, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 0, 128, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 16);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 8, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 16);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* This sync sends nothing, and the device still owns the buffer. */
static void write_then_sync_from_device_reported(struct kunit *test)
{
	u32 saved;
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = map(test, buf, DMA_TO_DEVICE, 0);

	saved = kt_quiet_dma_debug();
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_is_poisoned(buf + 64));
	EXPECT_READ_OK(test, buf + 64, 8);
	test_dma_write(buf + 64, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* The bounce buffer is not copied back. */
static void read_after_skipping_unmap_traps(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = map(test, buf, DMA_FROM_DEVICE, 0);

	dma_sync_single_range_for_cpu(kt_dev, dma, 512, 512, DMA_FROM_DEVICE);
	dma_unmap_single_attrs(kt_dev, dma, SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CPU_OWNS(test, buf + 512, 8);
	EXPECT_READ_TRAPS(test, buf + 504, 8);
	EXPECT_WRITE_OK(test, buf + 64, 8);
	EXPECT_READ_OK(test, buf + 64, 8);
	EXPECT_READ_TRAPS(test, buf + 72, 8);
	dma = map(test, buf, DMA_FROM_DEVICE, 0);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 72, 8);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Nothing is copied back in this direction, either. */
static void idle_sync_read_traps(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = map(test, buf, DMA_BIDIRECTIONAL, 0);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_READ_TRAPS(test, buf + 64, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf + 64, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_CLEAN(test, buf, SIZE);
}

/*
 * What is copied into one device's bounce buffer, and back, may be another device's meanwhile. It
 * is memcpy() that is trapped; the row for such copies names its caller.
 */
static void copy_of_kfence_object_silent(struct kunit *test)
{
	long allowed = dma_owner_debug_count("allowed_idioms");
	dma_addr_t dma, other;
	u8 *buf;

	KT_REQUIRES(test, is_swiotlb_force_bounce(kt_dev));
	buf = kt_kfence_buf(test, SIZE);
	dma = map(test, buf, DMA_FROM_DEVICE, 0);
	other = kt_map_quietly(test, kt_dev2, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	if (IS_ENABLED(CONFIG_X86_64))
		KUNIT_EXPECT_GT(test, dma_owner_debug_count("allowed_idioms"), allowed);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, other, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kfree(buf);
}

static struct kunit_case bounced_cases[] = {
	KUNIT_CASE(copy_of_kfence_object_silent),
	KUNIT_CASE(write_then_sync_silent),
	KUNIT_CASE(write_then_sync_from_device_reported),
	KUNIT_CASE(read_after_skipping_unmap_traps),
	KUNIT_CASE(idle_sync_read_traps),
	{}
};

KT_SUITE(bounced);
