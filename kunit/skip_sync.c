// SPDX-License-Identifier: GPL-2.0
/*
 * Without CONFIG_DMA_API_DEBUG the kernel skips the syncs of coherent devices: from the first map
 * call on it does not, and what is mapped when dma_set_mask() lets it skip them again is not
 * judged. With CONFIG_DMA_API_DEBUG no sync is skipped, and these cases hold as well.
 */

#include <linux/dma-map-ops.h>
#include <linux/scatterlist.h>

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

/* The same for a write that the CPU made between two syncs, of which the second was skipped. */
static void set_mask_after_write_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_BY_EVENTS);
	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf, 1);
	set_mask(test, kt_dev);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/*
 * Entries of a list end with the first one, which is not the first in memory, and may begin where
 * others do.
 */
static void set_mask_while_list_mapped_silent(struct kunit *test)
{
	long unmaps = dma_owner_debug_count("unmaps");
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	u8 *buf = kt_buf(test, 4 * SIZE);
	struct scatterlist sg[3];
	dma_addr_t dma[3];
	int i;

	KT_REQUIRES(test, DOD_BY_EVENTS);
	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], buf + 2 * SIZE, SIZE);
	sg_set_buf(&sg[1], buf, SIZE);
	sg_set_buf(&sg[2], buf, SIZE);
	KUNIT_ASSERT_GT(test, test_dma_map_sg(sg, ARRAY_SIZE(sg), DMA_TO_DEVICE), 0);
	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma[i] = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	set_mask(test, kt_dev);
	if (DOD_SKIPS_UNMAPS) {
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmaps"), unmaps + 6);
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
	}
	for (i = 0; i < 4; i++)
		kt_device_changes(buf + i * SIZE);
	for (i = 0; i < ARRAY_SIZE(dma); i++)
		test_dma_unmap(dma[i], SIZE, DMA_TO_DEVICE);
	dma_unmap_sg(kt_dev, sg, ARRAY_SIZE(sg), DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmaps"), unmaps + 6);
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
	KUNIT_CASE(set_mask_after_write_silent),
	KUNIT_CASE(set_mask_while_list_mapped_silent),
	KUNIT_CASE(set_mask_of_other_device_reported),
	{}
};

KT_SUITE(skip_sync);
