// SPDX-License-Identifier: GPL-2.0
/*
 * Without CONFIG_DMA_API_DEBUG the kernel skips the syncs of coherent devices: from the first map
 * call on it does not, and what is mapped when dma_set_mask() lets it skip them again is not
 * judged. With CONFIG_DMA_API_DEBUG no sync is skipped, and these cases hold as well.
 */

#include <linux/dma-map-ops.h>

#include "kt.h"

#define SIZE 512

static void set_mask(struct kunit *test, struct device *dev)
{
	KUNIT_ASSERT_EQ(test, dma_set_mask(dev, *dev->dma_mask), 0);
}

/* As a driver's probe() does it. */
static void syncs_after_set_mask_seen(struct kunit *test)
{
	long cpu = dma_owner_debug_count("syncs_for_cpu");
	long device = dma_owner_debug_count("syncs_for_device");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	set_mask(test, kt_dev);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	buf[0]++;
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_for_cpu"), cpu + 1);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_for_device"), device + 1);
	EXPECT_SILENCE(test);
}

static void write_after_set_mask_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	set_mask(test, kt_dev);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_changes(buf);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, SIZE);
}

/* The sync before the write may have been skipped. */
static void set_mask_while_mapped_silent(struct kunit *test)
{
	long unmaps = dma_owner_debug_count("unmaps");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_BY_EVENTS);
	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	set_mask(test, kt_dev);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	kt_device_changes(buf);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmaps"), unmaps + 1);
}

static void set_mask_of_other_device_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	set_mask(test, kt_dev2);
	kt_device_changes(buf);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, SIZE);
}

static struct kunit_case skip_sync_cases[] = {
	KUNIT_CASE(syncs_after_set_mask_seen),
	KUNIT_CASE(write_after_set_mask_reported),
	KUNIT_CASE(set_mask_while_mapped_silent),
	KUNIT_CASE(set_mask_of_other_device_reported),
	{}
};

KT_SUITE(skip_sync);
