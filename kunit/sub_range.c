// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 2: ownership is per byte range, never per mapping. What was synced is
 * what changes hands, to the byte on the side of the CPU: a byte the CPU owns
 * never traps, even if the granule of shadow it is in is shared.
 */

#include <linux/bitmap.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "dod_test.h"

KT_DIRECTIONS;

static void part_for_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);

	dma_sync_single_range_for_cpu(kt_dev, dma, 256, 256, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 255, 1);
	EXPECT_CPU_OWNS(test, buf + 256, 1);
	EXPECT_CPU_OWNS(test, buf + 511, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 512, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 1023, 1);
	dma_unmap_single(kt_dev, dma, 1024, dir);
	EXPECT_CPU_OWNS(test, buf + 255, 1);
	EXPECT_CPU_OWNS(test, buf + 512, 1);
}

static void part_for_device(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);

	dma_sync_single_for_cpu(kt_dev, dma, 1024, dir);
	dma_sync_single_range_for_device(kt_dev, dma, 256, 256, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 255, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 256, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 511, 1);
	EXPECT_CPU_OWNS(test, buf + 512, 1);
	dma_unmap_single(kt_dev, dma, 1024, dir);
	EXPECT_CPU_OWNS(test, buf + 256, 1);
}

/* A driver that hands out a page in two halves, in turns. */
static void half_page_reuse(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 0));
	const size_t half = PAGE_SIZE / 2;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, PAGE_SIZE, DMA_FROM_DEVICE);
	size_t mine = 0;
	int round;

	for (round = 0; round < 4; round++, mine ^= half) {
		dma_sync_single_range_for_cpu(kt_dev, dma, mine, half, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, buf + mine, 8);
		EXPECT_CPU_OWNS(test, buf + mine + half - 8, 8);
		EXPECT_READ_TRAPS(test, buf + (mine ^ half), 8);
		EXPECT_READ_TRAPS(test, buf + (mine ^ half) + half - 8, 8);
		dma_sync_single_range_for_device(kt_dev, dma, mine, half, DMA_FROM_DEVICE);
	}
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
}

/* Fragments of a page, each a mapping of its own. */
static void fragments(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = page_address(kt_page(test, 0));
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

/* One large mapping, used as a ring of which the CPU has one part at a time. */
static void ring(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 16 * 128);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 16 * 128, dir);
	int i;

	kt_give_in_parts(kt_dev, dma, 16 * 128, 128, dir);
	for (i = 0; i < 32; i++) {
		u8 *mine = buf + i % 16 * 128, *next = buf + (i + 1) % 16 * 128;

		dma_sync_single_range_for_cpu(kt_dev, dma, mine - buf, 128, dir);
		EXPECT_CPU_OWNS(test, mine, 8);
		EXPECT_CPU_OWNS(test, mine + 120, 8);
		EXPECT_WRITE_TRAPS(test, next, 1);
		dma_sync_single_range_for_device(kt_dev, dma, mine - buf, 128, dir);
	}
	dma_unmap_single(kt_dev, dma, 16 * 128, dir);
}

/* Every other part goes to the CPU; then all of it to the device, and back. */
static void parts_merge(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);
	int i;

	kt_give_in_parts(kt_dev, dma, 1024, 128, dir);
	for (i = 0; i < 1024; i += 256)
		dma_sync_single_range_for_cpu(kt_dev, dma, i, 128, dir);
	for (i = 0; i < 1024; i += 256) {
		EXPECT_CPU_OWNS(test, buf + i, 8);
		EXPECT_WRITE_TRAPS(test, buf + i + 128, 8);
	}
	dma_sync_single_for_device(kt_dev, dma, 1024, dir);
	/* Once more, so that parts that did not merge would show. */
	dma_sync_single_range_for_cpu(kt_dev, dma, 64, 128, dir);
	for (i = 0; i < 1024; i += 8)
		KUNIT_EXPECT_EQ_MSG(test, kt_painted(buf + i), i < 64 || i >= 192,
				    "offset %d", i);
	dma_sync_single_for_cpu(kt_dev, dma, 1024, dir);
	EXPECT_CLEAN(test, buf, 1024);
	dma_unmap_single(kt_dev, dma, 1024, dir);
}

/* The ranges of the sync calls need not be those of earlier ones. */
static void ranges_overlap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);

	kt_give_in_parts(kt_dev, dma, 1024, 256, dir);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 512, dir);
	dma_sync_single_range_for_cpu(kt_dev, dma, 256, 512, dir);
	dma_sync_single_range_for_device(kt_dev, dma, 128, 192, dir);
	EXPECT_CPU_OWNS(test, buf + 127, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 128, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 319, 1);
	EXPECT_CPU_OWNS(test, buf + 320, 1);
	EXPECT_CPU_OWNS(test, buf + 767, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 768, 1);
	dma_unmap_single(kt_dev, dma, 1024, dir);
}

/* Neither end on a granule: every byte the CPU owns is silent. */
static void unaligned_sync(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 128);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 128, dir);
	int i;

	dma_sync_single_range_for_cpu(kt_dev, dma, 13, 38, dir);
	for (i = 13; i < 51; i++)
		EXPECT_CPU_OWNS(test, buf + i, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 7, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 56, 1);
	dma_sync_single_range_for_device(kt_dev, dma, 13, 38, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 24, 1);
	dma_unmap_single(kt_dev, dma, 128, dir);
	EXPECT_CLEAN(test, buf, 128);
}

/* Given back in two calls that meet within a granule: whole again, it traps. */
static void granule_in_two_calls(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, dir);

	dma_sync_single_for_cpu(kt_dev, dma, 64, dir);
	dma_sync_single_range_for_device(kt_dev, dma, 16, 12, dir);
	EXPECT_CPU_OWNS(test, buf + 28, 4);
	dma_sync_single_range_for_device(kt_dev, dma, 28, 12, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 24, 8);
	EXPECT_CPU_OWNS(test, buf + 40, 8);
	dma_unmap_single(kt_dev, dma, 64, dir);
}

/* As network drivers do for an aligned IP header: buffers begin at 2 modulo 4. */
static void unaligned_map(struct kunit *test)
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
static void mappings_meet_in_a_granule(struct kunit *test)
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

/*
 * A thousand sync calls with ranges at random, whole granules, against a bitmap
 * that does what rule 2 says: the shadow must agree granule by granule.
 */
static void random_ranges(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const unsigned int granules = 128, size = 8 * granules;
	u8 *buf = kt_buf(test, size);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);
	long exhausted = dma_owner_debug_count("ranges_exhausted");
	DECLARE_BITMAP(device_owns, 128);
	unsigned int round, g;
	u32 seed = 1;

	bitmap_fill(device_owns, granules);
	for (round = 0; round < 1000; round++) {
		unsigned int first, n;

		seed = seed * 1664525 + 1013904223;
		first = (seed >> 8) % granules;
		n = 1 + (seed >> 20) % min(granules - first, 24U);
		if (seed >> 31) {
			dma_sync_single_range_for_cpu(kt_dev, dma, 8 * first, 8 * n, dir);
			bitmap_clear(device_owns, first, n);
		} else {
			dma_sync_single_range_for_device(kt_dev, dma, 8 * first, 8 * n, dir);
			bitmap_set(device_owns, first, n);
		}
		for (g = 0; g < granules; g++) {
			if (kt_painted(buf + 8 * g) == !!test_bit(g, device_owns))
				continue;
			KUNIT_FAIL(test, "round %u, granule %u: device owns %d, shadow %02x",
				   round, g, test_bit(g, device_owns), kt_shadow(buf + 8 * g));
			round = 1000;
			break;
		}
	}
	dma_unmap_single(kt_dev, dma, size, dir);
	for (g = 0; g < granules; g++)
		KUNIT_EXPECT_EQ_MSG(test, kt_shadow(buf + 8 * g), 0, "granule %u", g);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("ranges_exhausted"), exhausted);
	EXPECT_SILENCE(test);
}

/*
 * As many parts as a mapping can have: should the tool run out of room for them,
 * it must err on the side of silence and say so in its counter.
 */
static void many_parts(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 2));
	const size_t size = 4 * PAGE_SIZE;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_FROM_DEVICE);
	long exhausted = dma_owner_debug_count("ranges_exhausted");
	int i, wrong = 0, untrapped = 0;

	for (i = 0; i < size; i += 16)
		dma_sync_single_range_for_cpu(kt_dev, dma, i, 8, DMA_FROM_DEVICE);
	for (i = 0; i < size; i += 16) {
		wrong += kt_painted(buf + i);
		untrapped += !kt_painted(buf + i + 8);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	if (dma_owner_debug_count("ranges_exhausted") == exhausted)
		KUNIT_EXPECT_EQ(test, untrapped, 0);
	EXPECT_CPU_OWNS(test, buf + size - 16, 8);
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, buf, size);
}

/*
 * A driver computes a length and gets a negative one, which no coherent machine minds,
 * and dma-debug only warns of.
 */
static void negative_length(struct kunit *test)
{
	u8 *buf = kt_buf(test, 2048);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 2048, DMA_TO_DEVICE);
	u32 *budget = kt_quiet_dma_debug(test), saved;
	bool able = budget && dma == virt_to_phys(buf) && dev_is_dma_coherent(kt_dev);
	int offset;

	for (offset = 0; able && offset <= 64; offset += 64) {
		saved = xchg(budget, 0);
		dma_sync_single_range_for_device(kt_dev, dma, offset, (size_t)-9, DMA_TO_DEVICE);
		WRITE_ONCE(*budget, saved);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 2040, 8);
	}
	dma_unmap_single(kt_dev, dma, 2048, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, buf, 2048);
	if (!able)
		kunit_skip(test, "Test requires: dma-debug in debugfs, direct mappings, coherent devices");
}

static struct kunit_case sub_range_cases[] = {
	DIRECTION_CASE(part_for_cpu),
	DIRECTION_CASE(part_for_device),
	KUNIT_CASE(half_page_reuse),
	DIRECTION_CASE(fragments),
	DIRECTION_CASE(ring),
	DIRECTION_CASE(parts_merge),
	DIRECTION_CASE(ranges_overlap),
	DIRECTION_CASE(unaligned_sync),
	DIRECTION_CASE(granule_in_two_calls),
	DIRECTION_CASE(unaligned_map),
	DIRECTION_CASE(mappings_meet_in_a_granule),
	DIRECTION_CASE(random_ranges),
	KUNIT_CASE(many_parts),
	KUNIT_CASE(negative_length),
	{}
};

KT_SUITE(kt_sub_range_suite, "sub_range", sub_range_cases);
