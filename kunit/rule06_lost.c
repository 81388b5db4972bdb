// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 6: FROM_DEVICE memory that the CPU only read may be synced for the CPU again without a
 * sync for the device. What the CPU wrote is lost then, and at the unmap, on a device that is
 * not coherent: missing-sync-for-device.
 */

#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE 2048

KT_DIRECTIONS;

/* Rule 6: what was only read needs no sync_for_device in between. */
static void synced_for_cpu_twice_silent(struct kunit *test)
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

#define EXPECT_LOST(test, addr, size)					\
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, addr, size)

static u8 *line_buf(struct kunit *test)
{
	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	return kt_buf(test, SIZE);
}

static void write_then_unmap_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
	test_dma_read(buf, 8);
	test_dma_write(buf + 16, 8);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, dir);
	if (dir == DMA_TO_DEVICE) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_LOST(test, buf + 16, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("*; the write is 16 bytes into the buffer"));
	KUNIT_EXPECT_TRUE(test, kt_has("Synced for the CPU in write_then_unmap_reported+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("No dma_sync_single_for_device() before dma_unmap_single() in test_dma_unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: call dma_sync_single_for_device() after this write*"));
	EXPECT_CLEAN(test, buf, SIZE);
}

static void write_then_sync_for_cpu_reported(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, 128, DMA_FROM_DEVICE);
	test_dma_write(buf, 1);
	/* The sync of another part does not matter. */
	dma_sync_single_for_cpu(kt_dev, dma + 128, 128, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	kt_set(test, "watch_writes", "0");
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_LOST(test, buf, 1);
	/* Reported once. */
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* The middle is synced for the device; a later write beside it is lost all the same. */
static void write_beside_synced_middle_reported(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma;
	int all;

	for (all = 0; all < 2; all++) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
		dma_sync_single_range_for_device(kt_dev, dma, 512, 64, DMA_FROM_DEVICE);
		test_dma_write(buf + 1024, 8);
		EXPECT_SILENCE(test);
		if (all)
			dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
		test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
		if (all)
			EXPECT_SILENCE(test);
		else
			EXPECT_LOST(test, buf + 1024, 8);
	}
	EXPECT_CLEAN(test, buf, SIZE);
}

static void write_then_sync_for_device_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	int round;

	for (round = 0; round < 3; round++) {
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
		test_dma_read(buf + 8, 8);
		test_dma_write(buf, 8);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	}
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, buf, 8);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	/* Only the head is synced for the device, and only that was written. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* A sync with DMA_FROM_DEVICE does not send the device what it also reads. */
static void write_then_sync_from_device_reported(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	enum dma_data_direction dir;

	for (dir = DMA_BIDIRECTIONAL; dir <= DMA_FROM_DEVICE; dir++) {
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
		test_dma_write(buf + 64, 8);
		dma_sync_single_for_device(kt_dev, dma, SIZE, dir);
		EXPECT_SILENCE(test);
		if (dir != DMA_TO_DEVICE)
			EXPECT_READ_TRAPS(test, buf + 72, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
		if (dir == DMA_FROM_DEVICE)
			EXPECT_LOST(test, buf + 64, 8);
		else
			EXPECT_SILENCE(test);
	}
	/* The sync may come later. */
	test_dma_write(buf + 128, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 128, 8, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Rule 6. */
static void only_read_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	u64 copy[8];
	int round;

	for (round = 0; round < 3; round++) {
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
		test_dma_read(buf, 8);
		memcpy(copy, buf + 64, sizeof(copy));
		EXPECT_SILENCE(test);
	}
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* page_pool does this with a page that the network stack has written to. */
static void write_then_skipping_unmap_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = dma_map_single_attrs(kt_dev, buf, SIZE, DMA_FROM_DEVICE,
					      DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	dma_unmap_single_attrs(kt_dev, dma, SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void coherent_device_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma;
	long watched = dma_owner_debug_count("watched_ranges");

	kt_set(test, "noncoherent", "0");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	test_dma_write(buf, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("watched_ranges"), watched);
}

/* A sync of one mapping writes to memory, whichever mapping it is. */
static void synced_by_other_mapping_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE), other;

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf + 64, 8);
	other = test_dma_map(test, kt_dev, buf + 64, 64, DMA_TO_DEVICE);
	test_dma_unmap(other, 64, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void watch_writes_off_silent(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma;

	kt_set(test, "watch_writes", "0");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	test_dma_write(buf, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* The first byte of an object is what ksize() and krealloc() look at. */
static void ksize_of_watched_silent(struct kunit *test)
{
	u8 *buf = kmalloc(SIZE, GFP_KERNEL), *resized;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, ksize(buf), SIZE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, ksize(buf), SIZE);
	resized = krealloc(buf, SIZE, GFP_KERNEL);
	KUNIT_EXPECT_PTR_EQ(test, resized, buf);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, resized, SIZE);
	kfree(resized);
}

/* === Past the synced part (rule 6b) ======================================= */

/* A write to the tailroom must be synced for the device, as after any sync. */
static void tailroom_write_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_write(buf + 256, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	test_dma_write(buf + 512, 8);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, buf + 512, 8);
}

/* Two writes, of which only the first is synced for the device (stmmac's page_pool offset). */
static void write_beside_synced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	test_dma_write(buf + 1024, 8);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, buf + 1024, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

static struct kunit_case lost_cases[] = {
	DIRECTION_CASE(synced_for_cpu_twice_silent),
	DIRECTION_CASE(write_then_unmap_reported),
	KUNIT_CASE(write_then_sync_for_cpu_reported),
	KUNIT_CASE(write_beside_synced_middle_reported),
	KUNIT_CASE(write_then_sync_for_device_silent),
	KUNIT_CASE(write_then_sync_from_device_reported),
	KUNIT_CASE(only_read_silent),
	KUNIT_CASE(write_then_skipping_unmap_silent),
	KUNIT_CASE(coherent_device_silent),
	KUNIT_CASE(synced_by_other_mapping_silent),
	KUNIT_CASE(watch_writes_off_silent),
	KUNIT_CASE(ksize_of_watched_silent),
	KUNIT_CASE(tailroom_write_unsynced_reported),
	KUNIT_CASE(write_beside_synced_reported),
	{}
};

KT_SUITE(lost);
