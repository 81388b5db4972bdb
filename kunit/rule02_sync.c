// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 2: a sync changes the owner of exactly its range: ownership is per byte, never per
 * mapping. A sync for the CPU with DMA_TO_DEVICE, of memory that the device may write, changes
 * nothing.
 */

#include <linux/bitmap.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "kt.h"

#define SIZE 128

KT_DIRECTIONS;

/* === Whole mappings ======================================================= */

static void syncs_in_turn_change_owner(struct kunit *test)
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

/* A sync for the device of what it owns already is legal, and changes nothing. */
static void synced_for_device_twice_silent(struct kunit *test)
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

/* The sync of one buffer is not the sync of the next one. */
static void sync_of_other_buffer_changes_nothing(struct kunit *test)
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
static void one_way_sync_of_bidirectional_traps(struct kunit *test)
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

static void odd_size_synced_shadow_restored(struct kunit *test)
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

static void calls_counted(struct kunit *test)
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
	/* Other drivers may make calls, too. */
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("maps"), maps + 1);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("unmaps"), unmaps + 1);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("syncs_for_cpu"), for_cpu + 5);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("syncs_for_device"), for_device + 5);
}

/* A sync for the CPU with DMA_TO_DEVICE does nothing on any machine. */
static void idle_sync_read_reported(struct kunit *test)
{
	u32 saved;
	long idle = dma_owner_debug_count("syncs_idle");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	saved = kt_quiet_dma_debug();
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_idle"), idle + 1);
	if (kt_traps(test)) {
		test_dma_read(buf, 8);
		KUNIT_EXPECT_STREQ(test, kt_take_report("cpu-read", test_dma_read, buf, 8), "");
		KUNIT_EXPECT_TRUE(test, kt_has(" The last sync for the CPU was DMA_TO_DEVICE, *idle_*"));
	}
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

static void idle_sync_of_list_read_traps(struct kunit *test)
{
	u32 saved;
	long idle = dma_owner_debug_count("syncs_idle");
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 0);
	saved = kt_quiet_dma_debug();
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_TO_DEVICE);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_idle"), idle + 2);
	EXPECT_READ_TRAPS(test, b, 8);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) ||
			  kt_has(" The last sync for the CPU was DMA_TO_DEVICE, *"));
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, a, 8);
	EXPECT_CPU_OWNS(test, b, 8);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
}

/* === Parts of a mapping =================================================== */

static void part_synced_for_cpu_others_trap(struct kunit *test)
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

static void part_synced_for_device_others_silent(struct kunit *test)
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

/* A driver that uses the two halves of a page in turns. */
static void half_page_synced_other_half_traps(struct kunit *test)
{
	u8 *buf = kt_page_buf(test);
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

/* One large mapping, used as a ring of which the CPU owns one part at a time. */
static void ring_element_synced_next_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 16 * 128);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 16 * 128, dir);
	int i;

	kt_hand_over_parts(kt_dev, dma, 16 * 128, 128, dir);
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

/* Every other part is synced for the CPU; then all of it for the device, and for the CPU. */
static void alternate_parts_synced_merge(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);
	int i;

	kt_hand_over_parts(kt_dev, dma, 1024, 128, dir);
	for (i = 0; i < 1024; i += 256)
		dma_sync_single_range_for_cpu(kt_dev, dma, i, 128, dir);
	for (i = 0; i < 1024; i += 256) {
		EXPECT_CPU_OWNS(test, buf + i, 8);
		EXPECT_WRITE_TRAPS(test, buf + i + 128, 8);
	}
	dma_sync_single_for_device(kt_dev, dma, 1024, dir);
	/* Once more: parts that did not merge would show. */
	dma_sync_single_range_for_cpu(kt_dev, dma, 64, 128, dir);
	for (i = 0; i < 1024; i += 8)
		KUNIT_EXPECT_EQ_MSG(test, kt_is_poisoned(buf + i), i < 64 || i >= 192,
				    "offset %d", i);
	dma_sync_single_for_cpu(kt_dev, dma, 1024, dir);
	EXPECT_CLEAN(test, buf, 1024);
	dma_unmap_single(kt_dev, dma, 1024, dir);
}

/* A sync need not have the range of an earlier one. */
static void overlapping_syncs_last_one_counts(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 1024);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024, dir);

	kt_hand_over_parts(kt_dev, dma, 1024, 256, dir);
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

/* Neither end is on a granule: an access to any byte that the CPU owns is silent. */
static void unaligned_sync_cpu_bytes_silent(struct kunit *test)
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

/* Synced for the device in two calls that meet within a granule: it is whole again, and traps. */
static void granule_synced_in_halves_traps(struct kunit *test)
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

/*
 * A thousand sync calls with random ranges of whole granules. A bitmap follows rule 2, and
 * the shadow must agree with it granule by granule.
 */
static void random_syncs_match_bitmap(struct kunit *test)
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
			if (kt_is_poisoned(buf + 8 * g) == !!test_bit(g, device_owns))
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
 * As many parts as a mapping can have. If the tool runs out of room for them, it must be
 * silent about the rest and count that.
 */
static void many_parts_cpu_bytes_silent(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 2));
	const size_t size = 4 * PAGE_SIZE;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_FROM_DEVICE);
	long exhausted = dma_owner_debug_count("ranges_exhausted");
	int i, wrong = 0, untrapped = 0;

	for (i = 0; i < size; i += 16)
		dma_sync_single_range_for_cpu(kt_dev, dma, i, 8, DMA_FROM_DEVICE);
	for (i = 0; i < size; i += 16) {
		wrong += kt_is_poisoned(buf + i);
		untrapped += !kt_is_poisoned(buf + i + 8);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	if (dma_owner_debug_count("ranges_exhausted") == exhausted)
		KUNIT_EXPECT_EQ(test, untrapped, 0);
	EXPECT_CPU_OWNS(test, buf + size - 16, 8);
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, buf, size);
}

/* A driver computes a negative length. A coherent machine ignores it, and dma-debug only warns. */
static void negative_sync_length_harmless(struct kunit *test)
{
	u8 *buf = kt_buf(test, 2048);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 2048, DMA_TO_DEVICE);
	u32 saved;
	bool able = kt_can_quiet_dma_debug() && dma == virt_to_phys(buf) &&
		    dev_is_dma_coherent(kt_dev);
	int offset;

	for (offset = 0; able && offset <= 64; offset += 64) {
		saved = kt_quiet_dma_debug();
		dma_sync_single_range_for_device(kt_dev, dma, offset, (size_t)-9, DMA_TO_DEVICE);
		kt_unquiet_dma_debug(saved);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 2040, 8);
	}
	dma_unmap_single(kt_dev, dma, 2048, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, buf, 2048);
	if (!able)
		kunit_skip(test, "Test requires: dma-debug in debugfs, direct mappings, coherent devices");
}

static struct kunit_case sync_cases[] = {
	DIRECTION_CASE(syncs_in_turn_change_owner),
	DIRECTION_CASE(synced_for_device_twice_silent),
	DIRECTION_CASE(sync_of_other_buffer_changes_nothing),
	KUNIT_CASE(one_way_sync_of_bidirectional_traps),
	DIRECTION_CASE(odd_size_synced_shadow_restored),
	KUNIT_CASE(calls_counted),
	KUNIT_CASE(idle_sync_read_reported),
	KUNIT_CASE(idle_sync_of_list_read_traps),
	DIRECTION_CASE(part_synced_for_cpu_others_trap),
	DIRECTION_CASE(part_synced_for_device_others_silent),
	KUNIT_CASE(half_page_synced_other_half_traps),
	DIRECTION_CASE(ring_element_synced_next_traps),
	DIRECTION_CASE(alternate_parts_synced_merge),
	DIRECTION_CASE(overlapping_syncs_last_one_counts),
	DIRECTION_CASE(unaligned_sync_cpu_bytes_silent),
	DIRECTION_CASE(granule_synced_in_halves_traps),
	DIRECTION_CASE(random_syncs_match_bitmap),
	KUNIT_CASE(many_parts_cpu_bytes_silent),
	KUNIT_CASE(negative_sync_length_harmless),
	{}
};

KT_SUITE(sync);
