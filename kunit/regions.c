// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings that span two regions of 2 MiB, by which the tool divides memory: they live in
 * another tree, and change their owner in two steps. All rules hold for them, alone and where they
 * share memory with a mapping inside one region.
 */

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "kt.h"

KT_DIRECTIONS;

#define HALF	512

static void mapping_of_two_regions_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *mid = kt_boundary(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, mid - HALF, 2 * HALF, dir);

	EXPECT_CPU_OWNS(test, mid - HALF - 8, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid - HALF, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid - 8, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid + HALF - 8, 8);
	EXPECT_CPU_OWNS(test, mid + HALF, 8);

	dma_sync_single_range_for_cpu(kt_dev, dma, HALF - 64, 128, dir);
	EXPECT_DEVICE_OWNS(test, dir, mid - 72, 8);
	EXPECT_CPU_OWNS(test, mid - 64, 8);
	EXPECT_CPU_OWNS(test, mid + 56, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid + 64, 8);
	dma_sync_single_range_for_device(kt_dev, dma, HALF - 64, 128, dir);
	EXPECT_DEVICE_OWNS(test, dir, mid - 64, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid + 56, 8);

	dma_unmap_single(kt_dev, dma, 2 * HALF, dir);
	EXPECT_CLEAN(test, mid - HALF, 2 * HALF);
}

/* One DMA address, two trees: an unmap ends the mapping of its size, whichever was first. */
static void unmap_by_size_ends_its_own(struct kunit *test)
{
	u8 *mid = kt_boundary(test), *buf = mid - HALF;
	int single_first;

	for (single_first = 0; single_first < 2; single_first++) {
		dma_addr_t spanning = 0, single;

		if (!single_first)
			spanning = test_dma_map(test, kt_dev, buf, 2 * HALF, DMA_TO_DEVICE);
		single = test_dma_map(test, kt_dev, buf, HALF, DMA_TO_DEVICE);
		if (single_first)
			spanning = test_dma_map(test, kt_dev, buf, 2 * HALF, DMA_TO_DEVICE);

		dma_unmap_single(kt_dev, single, HALF, DMA_TO_DEVICE);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, mid, 8);
		single = test_dma_map(test, kt_dev, buf, HALF, DMA_TO_DEVICE);
		dma_unmap_single(kt_dev, spanning, 2 * HALF, DMA_TO_DEVICE);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_CPU_OWNS(test, mid, 8);
		dma_unmap_single(kt_dev, single, HALF, DMA_TO_DEVICE);
		EXPECT_CLEAN(test, buf, 2 * HALF);
	}
}

/* A sync reaches the mapping of its direction, in whichever tree that is. */
static void sync_by_direction_reaches_its_own(struct kunit *test)
{
	u8 *mid = kt_boundary(test), *buf = mid - HALF;
	dma_addr_t spanning = test_dma_map(test, kt_dev, buf, 2 * HALF, DMA_TO_DEVICE);
	dma_addr_t single = test_dma_map(test, kt_dev, buf, HALF, DMA_FROM_DEVICE);
	u32 saved;

	/* In some kernels dma-debug takes one for the other. */
	saved = kt_quiet_dma_debug();
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_sync_single_for_cpu(kt_dev, single, HALF, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	dma_sync_single_for_device(kt_dev, single, HALF, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_sync_single_for_cpu(kt_dev, spanning, 2 * HALF, DMA_TO_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	EXPECT_CPU_OWNS(test, mid, 8);
	dma_sync_single_for_cpu(kt_dev, single, HALF, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(kt_dev, single, HALF, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, spanning, 2 * HALF, DMA_TO_DEVICE);
	kt_unquiet_dma_debug(saved);
}

#define ROUNDS 2000

struct toucher {
	struct kt_thread thread;
	u8 *buf;
};

/* The reads may be legal or wrong: the tool must stay consistent. */
static int touch(void *arg)
{
	struct toucher *u = arg;
	int round;

	for (round = 0; round < 4 * ROUNDS; round++) {
		test_dma_read(u->buf + round * 8 % (2 * HALF), 8);
		cond_resched();
	}
	return 0;
}

/*
 * An access that traps during a sync finds poison without an owner for a moment. That is no
 * inconsistency, and the tool goes on.
 */
static void access_during_sync_harmless(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct toucher u = { .buf = kt_boundary(test) - HALF };
	dma_addr_t dma;
	int round;

	kt_set(test, "dedup", "1");
	kt_thread_start(&u.thread, touch, &u);
	for (round = 0; round < ROUNDS; round++) {
		dma = dma_map_single(kt_dev, u.buf, 2 * HALF, dir);
		if (dma_mapping_error(kt_dev, dma))
			continue;
		dma_sync_single_for_cpu(kt_dev, dma, 2 * HALF, dir);
		dma_sync_single_for_device(kt_dev, dma, 2 * HALF, dir);
		dma_unmap_single(kt_dev, dma, 2 * HALF, dir);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, kt_thread_join(&u.thread), 0);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	kt_take_all();

	/* An inconsistency would have stopped the tool. */
	kt_set(test, "dedup", "0");
	EXPECT_CLEAN(test, u.buf, 2 * HALF);
	dma = test_dma_map(test, kt_dev, u.buf, 2 * HALF, dir);
	EXPECT_WRITE_TRAPS(test, u.buf + HALF, 8);
	dma_unmap_single(kt_dev, dma, 2 * HALF, dir);
}

static void content_of_two_regions_reported(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, mid - HALF, 2 * HALF, DMA_TO_DEVICE);

	kt_device_changes(mid - 1);
	dma_sync_single_for_cpu(kt_dev, dma, 2 * HALF, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, 2 * HALF, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, 2 * HALF);
	dma = test_dma_map(test, kt_dev, mid - HALF, 2 * HALF, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 2 * HALF, DMA_TO_DEVICE);
	test_dma_write(mid - 8, 16);
	dma_sync_single_for_device(kt_dev, dma, 2 * HALF, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, mid - 64, 8);
	dma_unmap_single(kt_dev, dma, 2 * HALF, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Ciphers in place: mappings of one region and of two, in either order. */
static void in_place_of_two_regions_silent(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	int i;

	for (i = 0; i < 4; i++) {
		bool spanning_src = i & 1, src_first = i & 2;
		u8 *src = spanning_src ? mid - HALF : mid, *dst = spanning_src ? mid : mid - HALF;
		size_t src_size = spanning_src ? 2 * HALF : HALF, dst_size = 3 * HALF - src_size;
		dma_addr_t src_dma, dst_dma;

		if (src_first)
			src_dma = test_dma_map(test, kt_dev, src, src_size, DMA_TO_DEVICE);
		dst_dma = test_dma_map(test, kt_dev, dst, dst_size, DMA_FROM_DEVICE);
		if (!src_first)
			src_dma = test_dma_map(test, kt_dev, src, src_size, DMA_TO_DEVICE);
		kt_device_changes(mid);
		kt_device_changes(mid + HALF - 1);
		dma_unmap_single(kt_dev, dst_dma, dst_size, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev, src_dma, src_size, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
}

static struct kunit_case regions_cases[] = {
	DIRECTION_CASE(mapping_of_two_regions_traps),
	KUNIT_CASE(unmap_by_size_ends_its_own),
	KUNIT_CASE(sync_by_direction_reaches_its_own),
	DIRECTION_CASE_SLOW(access_during_sync_harmless),
	KUNIT_CASE(content_of_two_regions_reported),
	KUNIT_CASE(in_place_of_two_regions_silent),
	{}
};

KT_SUITE(regions);
