// SPDX-License-Identifier: GPL-2.0
/*
 * Objects of KFENCE of which a device owns a part, and the CPU or another mapping the rest. The
 * page traps as a whole: what is legal there, what is not, and what is only counted.
 */

#include <linux/delay.h>
#include <linux/slab.h>

#include <asm/word-at-a-time.h>

#include "kt_kfence.h"

#define SIZE KT_KFENCE_SIZE

static void beside_mapping_silent(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	long beside = dma_owner_debug_count("kfence_beside");

	test_dma_read(buf, 8);
	test_dma_write(buf + 56, 8);
	test_dma_write(buf + 128, 8);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kfence_beside"), beside);
	kt_until_closed(buf);
	/* The first byte and the last, and an access of which only the end is owned. */
	test_dma_read(buf + 64, 1);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 64, 1);
	kt_until_closed(buf);
	test_dma_write(buf + 127, 1);
	EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf + 127, 1);
	kt_until_closed(buf);
	test_dma_read(buf + 62, 4);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 62, 4);
	test_dma_unmap(dma, 64, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* As csum_partial() does where less than a word is left. */
static kt_noinline unsigned long test_word_read(const void *p)
{
	return load_unaligned_zeropad(p);
}

static void word_read_too_far_silent(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 100, 100, DMA_FROM_DEVICE);
	long overread = dma_owner_debug_count("kfence_overread");

	test_word_read(buf + 96);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kfence_overread"), overread);
	kt_until_closed(buf);
	/* Writes are not like that, nor is what begins in the mapping, and runs out of it. */
	test_dma_write(buf + 96, 8);
	EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf + 96, 8);
	kt_until_closed(buf);
	test_word_read(buf + 196);
	EXPECT_TRAPPED(test, "cpu-read", test_word_read, buf + 196, 8);
	test_dma_unmap(dma, 100, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* How much it reads is not known to the tool. */
static kt_noinline void test_unsized_read(const void *p)
{
	asm volatile("verw %0" : : "m" (*(const u16 *)p) : "cc");
}

static void access_of_unknown_size_beside_counted(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	long unsized = dma_owner_debug_count("kfence_unsized");

	test_unsized_read(buf + 62);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kfence_unsized"), unsized);
	kt_until_closed(buf);
	test_unsized_read(buf + 64);
	kt_expect_titled(test, "BUG: DMA_OWNER: cpu-read in test_unsized_read+*");
	KUNIT_EXPECT_TRUE(test, kt_has("Read of size at least 1 at *"));
	test_dma_unmap(dma, 64, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* A driver that keeps data of its own beside the buffer. */
static void often_accessed_beside_left_open(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	long left_open = dma_owner_debug_count("kfence_left_open");
	int i;

	for (i = 0; i < 10; i++) {
		test_dma_read(buf, 8);
		msleep(CLOSED_AGAIN);
	}
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kfence_left_open"), left_open);
	test_dma_read(buf + 64, 8);
	EXPECT_SILENCE(test);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_read(buf + 64, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 64, 8);
	test_dma_unmap(dma, 64, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

static void part_synced_silent(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	kt_hand_over_parts(kt_dev, dma, SIZE, 64, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 64, 64, DMA_FROM_DEVICE);
	test_dma_read(buf + 64, 8);
	test_dma_read(buf + 120, 8);
	EXPECT_SILENCE(test);
	kt_until_closed(buf);
	test_dma_read(buf + 128, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 128, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* Rule 6b: not each write traps, so what was written may be read, and what was not as well. */
static void stale_bytes_silent(struct kunit *test)
{
	long stale = dma_owner_debug_count("kfence_stale");
	dma_addr_t dma;
	u8 *buf;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	buf = kt_protected_object(test);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kfence_stale"), stale);
	test_dma_write(buf + 64, 8);
	test_dma_write(buf + 128, 8);
	msleep(CLOSED_AGAIN);
	test_dma_read(buf + 128, 8);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_read(buf + 128, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 128, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* Two mappings that meet inside a granule of KASAN's. */
static void mapping_beside_ends_still_trapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t first = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	dma_addr_t second = kt_map_quietly(test, kt_dev, buf + 100, 100, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, first, 100, DMA_FROM_DEVICE);
	test_dma_read(buf + 99, 1);
	EXPECT_SILENCE(test);
	kt_until_closed(buf);
	test_dma_read(buf + 100, 1);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 100, 1);
	test_dma_unmap(second, 100, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, first, 100, DMA_FROM_DEVICE);
	second = kt_map_quietly(test, kt_dev, buf + 100, 100, DMA_FROM_DEVICE);
	test_dma_unmap(first, 100, DMA_FROM_DEVICE);
	test_dma_read(buf + 99, 1);
	EXPECT_SILENCE(test);
	kt_until_closed(buf);
	test_dma_read(buf + 101, 1);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 101, 1);
	test_dma_unmap(second, 100, DMA_FROM_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

static void overlapping_mappings_trap(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t sent = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t received = test_dma_map(test, kt_dev2, buf, 64, DMA_FROM_DEVICE);

	test_dma_read(buf, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf, 8);
	dma_unmap_single(kt_dev2, received, 64, DMA_FROM_DEVICE);
	test_dma_read(buf, 8);
	EXPECT_SILENCE(test);
	kt_write_strictly(buf, 8);
	EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf, 8);
	test_dma_unmap(sent, SIZE, DMA_TO_DEVICE);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

static struct kunit_case kfence_parts_cases[] = {
	KUNIT_CASE(beside_mapping_silent),
	KUNIT_CASE(word_read_too_far_silent),
	KUNIT_CASE(access_of_unknown_size_beside_counted),
	KUNIT_CASE(often_accessed_beside_left_open),
	KUNIT_CASE(part_synced_silent),
	KUNIT_CASE(stale_bytes_silent),
	KUNIT_CASE(mapping_beside_ends_still_trapped),
	KUNIT_CASE(overlapping_mappings_trap),
	{}
};

KT_SUITE_INIT(kfence_parts, kt_kfence_init);
