// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 2, 3 and 6 for whole mappings: the sync calls move a buffer to and fro,
 * and unmap ends it whoever owns it.
 */

#include "dod_test.h"

#define SIZE 128

KT_DIRECTIONS;

static void to_and_fro(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	int round;

	for (round = 0; round < 3; round++) {
		EXPECT_DEVICE_OWNS(test, dir, buf, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
		EXPECT_CPU_OWNS(test, buf, 8);
		EXPECT_CPU_OWNS(test, buf + SIZE - 8, 8);
		dma_sync_single_for_device(kt_dev, dma, SIZE, dir);
		EXPECT_DEVICE_OWNS(test, dir, buf + SIZE - 8, 8);
	}
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
}

/* Rule 6: what was only read needs no sync_for_device in between. */
static void for_cpu_twice(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	int round;

	for (round = 0; round < 4; round++) {
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
		EXPECT_READ_OK(test, buf, 8);
		EXPECT_READ_OK(test, buf + SIZE - 8, 8);
	}
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	EXPECT_READ_OK(test, buf, 8);
}

/* What the device owns already is given to it again: legal, changes nothing. */
static void for_device_twice(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	dma_sync_single_for_device(kt_dev, dma, SIZE, dir);
	dma_sync_single_for_device(kt_dev, dma, SIZE, dir);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
}

static void unmap_what_the_cpu_owns(struct kunit *test)
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

/* The sync of one buffer is not the sync of the next one. */
static void other_buffer(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t a_dma = test_dma_map(test, kt_dev, a, SIZE, dir);
	dma_addr_t b_dma = test_dma_map(test, kt_dev, b, SIZE, dir);

	dma_sync_single_for_cpu(kt_dev, a_dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, a, 8);
	EXPECT_DEVICE_OWNS(test, dir, b, 8);
	dma_unmap_single(kt_dev, a_dma, SIZE, dir);
	EXPECT_DEVICE_OWNS(test, dir, b, 8);
	dma_unmap_single(kt_dev, b_dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, b, 8);
}

/*
 * A DMA_BIDIRECTIONAL mapping may be synced in one direction only, which says
 * what the device is about to do with it, not what it can do.
 */
static void one_way_sync_of_bidirectional(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_CPU_OWNS(test, buf, 8);
}

static void odd_size(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 13);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 13, dir);
	int round;

	for (round = 0; round < 2; round++) {
		EXPECT_DEVICE_OWNS(test, dir, buf + 12, 1);
		dma_sync_single_for_cpu(kt_dev, dma, 13, dir);
		EXPECT_CPU_OWNS(test, buf + 12, 1);
		KUNIT_EXPECT_EQ(test, kt_shadow(buf + 8), 5);
		dma_sync_single_for_device(kt_dev, dma, 13, dir);
	}
	dma_unmap_single(kt_dev, dma, 13, dir);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 8), 5);
}

static void counted(struct kunit *test)
{
	long maps = dma_owner_debug_count("maps");
	long unmaps = dma_owner_debug_count("unmaps");
	long for_cpu = dma_owner_debug_count("syncs_for_cpu");
	long for_device = dma_owner_debug_count("syncs_for_device");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	int i;

	for (i = 0; i < 5; i++) {
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	}
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	/* Other drivers may be at work, too. */
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("maps"), maps + 1);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("unmaps"), unmaps + 1);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("syncs_for_cpu"), for_cpu + 5);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("syncs_for_device"), for_device + 5);
}

/*
 * Rule 11: writing a DMA_TO_DEVICE buffer and then calling sync_for_device is
 * what the listed idioms do. A driver that is not on the list gets its report.
 */
static void write_then_sync_for_device(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	long idioms = dma_owner_debug_count("allowed_idioms");

	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"), idioms);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static struct kunit_case sync_cases[] = {
	DIRECTION_CASE(to_and_fro),
	DIRECTION_CASE(for_cpu_twice),
	DIRECTION_CASE(for_device_twice),
	DIRECTION_CASE(unmap_what_the_cpu_owns),
	DIRECTION_CASE(other_buffer),
	KUNIT_CASE(one_way_sync_of_bidirectional),
	DIRECTION_CASE(odd_size),
	KUNIT_CASE(counted),
	KUNIT_CASE(write_then_sync_for_device),
	{}
};

KT_SUITE(kt_sync_suite, "sync", sync_cases);
