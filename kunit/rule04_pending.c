// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 4: a write to what a device owns DMA_TO_DEVICE is pending: good if a sync for the device
 * that covers its bytes comes before the mapping ends, before they are synced for the CPU and
 * before their free; else it is reported then, with the writer's own stack.
 */

#include <linux/delay.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 1024

static kt_noinline void other_write(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(*(u64 *)p, 7);
}

/* A UART's transmit ring, an IOMMU's page tables: mapped once, written, synced. */
static void write_then_sync_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 4; i++) {
		test_dma_write(buf + i * 64, 8);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		test_dma_write(buf + i * 64 + 13, 1);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		test_dma_write(buf + i * 64 + 32, 8);
		dma_sync_single_range_for_device(kt_dev, dma, i * 64 + 32, 8, DMA_TO_DEVICE);
	}
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void write_then_unmap_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 16, 8);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + 16));
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_is_poisoned(buf + 24));
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 16, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("No dma_sync_single_for_device() before dma_unmap_single() in test_dma_unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("*; the write is 16 bytes into the buffer"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	EXPECT_CLEAN(test, buf, SIZE);
}

/* A sync of a part leaves the rest pending, also of a single write. */
static void write_synced_in_part_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 8);
	test_dma_write(buf + 512, 8);
	dma_sync_single_range_for_device(kt_dev, dma, 0, 512, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 512, 8);

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	memset(buf + 64, 1, 64);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 32, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_range_for_device(kt_dev, dma, 96, 32, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* The rest of a granule is not known to have been written. */
static void part_of_granule_synced_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 4);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 4, DMA_TO_DEVICE);
	test_dma_write(buf + 132, 4);
	dma_sync_single_range_for_device(kt_dev, dma, 132, 4, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/*
 * The CPU owns the rest of a granule that was synced for it, whatever is synced for the
 * device next.
 */
static void rest_of_granule_cpu_owns(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 4);
	dma_sync_single_range_for_cpu(kt_dev, dma, 64, 8, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 4, DMA_TO_DEVICE);
	test_dma_write(buf + 68, 4);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	/* But its write must be synced as before. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 4);
	dma_sync_single_range_for_cpu(kt_dev, dma, 64, 8, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 68, 4, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 4);
	EXPECT_CLEAN(test, buf, SIZE);
}

/*
 * A ring of messages of any length, each synced by itself: the next message begins in the
 * granule where the last one ended, and the same instruction writes both.
 */
static void odd_messages_synced_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i, size, at;

	for (size = 1; size < 24; size++)
		for (at = size % 8, i = 0; i < 8; at += size, i++) {
			memset(buf + at, i, size);
			dma_sync_single_range_for_device(kt_dev, dma, at, size, DMA_TO_DEVICE);
		}
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	/* The device owns the rest of the granule again: a write to it must be seen. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 4);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 4, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_is_poisoned(buf + 64));
	other_write(buf + 64);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, buf + 64, 8);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* One member of each element of an array is written, and only these are synced. */
static void array_members_synced_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 64; i += 8)
		test_dma_write(buf + 128 + i, 4);
	for (i = 0; i < 64; i += 8)
		dma_sync_single_range_for_device(kt_dev, dma, 128 + i, 4, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	for (i = 0; i < 64; i += 8)
		test_dma_write(buf + 128 + i, 4);
	for (i = 0; i < 56; i += 8)
		dma_sync_single_range_for_device(kt_dev, dma, 128 + i, 4, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 184, 4);
}

/* More writes than there are records: none may leave a mark without a record. */
static void many_writes_synced_silent(struct kunit *test)
{
	const size_t size = 4 * PAGE_SIZE;
	u8 *buf = page_address(kt_page(test, 2));
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < size; i += 64)
		other_write(buf + i);
	for (i = 32; i < size; i += 64)
		other_write(buf + i);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(kt_dev, dma, size, DMA_TO_DEVICE);
	test_dma_unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, size);
}

/* One CPU writes to its part of a ring while another syncs all of it. */
static int write_my_part(void *arg)
{
	u8 *part = arg;
	int i;

	for (i = 0; i < 1000; i++)
		test_dma_write(part + i % 512, 1);
	return 0;
}

static void synced_by_other_cpu_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	struct kt_thread thread = {};

	kt_thread_start(&thread, write_my_part, buf + 512);
	while (!try_wait_for_completion(&thread.done)) {
		test_dma_write(buf, 8);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		cond_resched();
	}
	complete(&thread.done);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Byte by byte: one writer, one record, one report. */
static void loop_of_writes_reported_once(struct kunit *test)
{
	long writes = dma_owner_debug_count("pending_writes");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 256; i++)
		test_dma_write(buf + 64 + i, 1);
	KUNIT_EXPECT_LE(test, dma_owner_debug_count("pending_writes"), writes + 1);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 1);
}

/* Each writer is reported with its own stack. */
static void second_writer_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 8);
	other_write(buf + 72);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 8, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, buf + 72, 8);
}

static kt_noinline void first_caller(void *p)
{
	test_dma_write(p, 8);
	barrier();
}

/* Not quite the same code: gcc merges two functions that are alike. */
static kt_noinline void second_caller(void *p)
{
	test_dma_write(p, 8);
	barrier();
	barrier();
}

/* The same instruction, called from elsewhere, is another writer. */
static void second_caller_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	first_caller(buf + 64);
	second_caller(buf + 72);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 8, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 72, 8);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_has(" second_caller+0x*"));
	KUNIT_EXPECT_FALSE(test, kt_has(" first_caller+0x*"));
}

/* The first write of a loop is remembered; the one that is lost may be another. */
static void loop_synced_in_part_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 256; i++)
		other_write(buf + 8 * (i % 64));
	dma_sync_single_range_for_device(kt_dev, dma, 0, 256, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, buf + 256, 256);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) ||
			  kt_has("It is one of several there; the first was of 8 bytes at *"));

	/* Both ends of one write are lost: one report. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	for (i = 0; i < 256; i++)
		other_write(buf + 8 * (i % 64));
	dma_sync_single_range_for_device(kt_dev, dma, 128, 64, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, buf, 8);
}

static kt_noinline void fill(void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(p, 3, size);
	barrier();
}

/* The same code writes half of one granule and all of the next. */
static void whole_granule_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	for (i = 0; i < 256; i++)
		fill(buf + 64 + 8 * (i % 2), i % 2 ? 8 : 4);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 12, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", fill, buf + 72, 8);
}

/* A bounce buffer would be copied over the write. */
static void write_then_sync_for_cpu_reported(struct kunit *test)
{
	u32 saved;
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	saved = kt_quiet_dma_debug();
	test_dma_write(buf + 64, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("No dma_sync_single_for_device() before dma_sync_single_for_cpu() in write_then_*"));
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);

	/* A sync for the device with DMA_FROM_DEVICE sends nothing. */
	test_dma_write(buf + 128, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	kt_unquiet_dma_debug(saved);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 128, 8);
}

static void write_then_free_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma;

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kfree(buf);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("No dma_sync_single_for_device() before the memory was freed in *"));
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Entries of a list, and the pages that an IOMMU would merge. */
static void list_entry_unsynced_reported(struct kunit *test)
{
	struct scatterlist sg[2];
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_TO_DEVICE), 0);
	test_dma_write(a, 8);
	test_dma_write(b, 8);
	dma_sync_sg_for_device(kt_dev, sg, 2, DMA_TO_DEVICE);
	test_dma_write(b + 8, 8);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, b + 8, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("* before dma_unmap_sg() in *"));
}

/* Two devices read the same memory, as with RAID: the write must be synced for each. */
static void two_devices_one_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t one = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t two = test_dma_map(test, kt_dev2, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 8);
	dma_sync_single_for_device(kt_dev, one, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev2, two, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 8);
	dma_sync_single_for_device(kt_dev, one, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(one, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, two, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Equal mappings of one device: each needs a sync, and the one that was synced ends first. */
static void equal_mappings_one_unsynced_reported(struct kunit *test)
{
	u32 saved;
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t one, two;
	int round;

	/* dma-debug finds none of two equal mappings to sync. */
	saved = kt_quiet_dma_debug();
	for (round = 0; round < 4; round++) {
		one = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
		two = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
		test_dma_write(buf + 64, 8);
		dma_sync_single_for_device(kt_dev, one, SIZE, DMA_TO_DEVICE);
		if (round & 1)
			test_dma_unmap(one, SIZE, DMA_TO_DEVICE);
		if (round < 2)
			dma_sync_single_for_device(kt_dev, two, SIZE, DMA_TO_DEVICE);
		if (!(round & 1))
			test_dma_unmap(one, SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		test_dma_unmap(two, SIZE, DMA_TO_DEVICE);
		if (round < 2)
			EXPECT_SILENCE(test);
		else
			EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	}
	kt_unquiet_dma_debug(saved);
	EXPECT_CLEAN(test, buf, SIZE);
}

/*
 * The first write is synced for one device only, which then traps the second write: that
 * must be synced for both.
 */
static void second_write_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t one = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t two = test_dma_map(test, kt_dev2, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 64, 4);
	dma_sync_single_for_device(kt_dev2, two, SIZE, DMA_TO_DEVICE);
	other_write(buf + 64);
	dma_sync_single_range_for_device(kt_dev, one, 64, 4, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev2, two, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	test_dma_unmap(one, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, buf + 64, 8);
	dma_unmap_single(kt_dev2, two, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* The device had to read the write; a sync that lets it write there sends nothing. */
static void write_then_sync_from_device_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);

	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);

	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, buf + 56, 8);
	EXPECT_READ_TRAPS(test, buf + 72, 8);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Two mappings, one of them spanning two regions: one device reads what the other may write. */
static void write_to_spanning_from_device_reported(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	dma_addr_t in = test_dma_map(test, kt_dev2, mid - SIZE, 2 * SIZE, DMA_FROM_DEVICE);
	dma_addr_t out = test_dma_map(test, kt_dev, mid, SIZE, DMA_TO_DEVICE);

	test_dma_write(mid + 64, 8);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, mid + 64, 8);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_has("Device * DMA_FROM_DEVICE*"));
	test_dma_unmap(out, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, in, 2 * SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* What another device may write must not be written meanwhile, with a sync or without. */
static void write_to_other_from_device_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t out = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t in = test_dma_map(test, kt_dev2, buf + 256, 256, DMA_FROM_DEVICE);

	test_dma_write(buf + 256, 8);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 256, 8);
	test_dma_write(buf + 512, 8);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, in, 256, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, out, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(out, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

static void strict_write_reported_at_once(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_set(test, "strict", "1");
	test_dma_write(buf + 64, 8);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 64, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* A mapping that spans two regions. */
static void spanning_write_unsynced_reported(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, mid - SIZE, 2 * SIZE, DMA_TO_DEVICE);

	memset(mid - 32, 3, 64);
	other_write(mid - 128);
	dma_sync_single_range_for_device(kt_dev, dma, SIZE - 32, 64, DMA_TO_DEVICE);
	test_dma_unmap(dma, 2 * SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", other_write, mid - 128, 8);
	EXPECT_CLEAN(test, mid - SIZE, 2 * SIZE);
}

/* Without a free record there is no report, but a count: scripts/tests.d/pool.sh has so few. */
static void no_record_left_counted(struct kunit *test)
{
	u32 saved;
	u8 *buf = kt_buf(test, SIZE), *other = kt_buf(test, 64 * 64);
	long empty, dropped;
	dma_addr_t dma, more[64];
	int nr = 0;

	if (dma_owner_debug_count("pool_records") > 64)
		kunit_skip(test, "Test requires: few records (pool_max=16)");
	KT_REQUIRES(test, kt_traps(test));
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 8);
	empty = dma_owner_debug_count("untracked_pool_empty");
	while (nr < ARRAY_SIZE(more) && dma_owner_debug_count("untracked_pool_empty") == empty) {
		more[nr] = test_dma_map(test, kt_dev, other + nr * 64, 64, DMA_TO_DEVICE);
		nr++;
	}
	dropped = dma_owner_debug_count("findings_pool_empty");
	saved = kt_quiet_dma_debug();
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("findings_pool_empty"), dropped);
	EXPECT_SILENCE(test);
	while (nr--)
		dma_unmap_single(kt_dev, more[nr], 64, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
}

/* The note about this test's device comes within some seconds. */
static bool is_noted(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (strstr(kt_note(), "write-never-synced"))
			return true;
		msleep(50);
	}
	return false;
}

/* No fault, as with a stopped UART, but a mapping that lives for ever must not hide it: a note. */
static void write_never_synced_noted(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kt_set(test, "pending_after", "0");
	msleep(100);
	KUNIT_EXPECT_FALSE(test, strstr(kt_note(), "write-never-synced"));
	test_dma_write(buf + 64, 8);
	msleep(20);
	kt_set(test, "pending_after", "0");
	KUNIT_EXPECT_TRUE_MSG(test, is_noted(), "said '%s'", kt_note());
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "8 bytes of a DMA_TO_DEVICE mapping were written by test_dma_write+0x"),
			      "said '%s'", kt_note());
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

static struct kunit_case pending_cases[] = {
	KUNIT_CASE(write_then_sync_silent),
	KUNIT_CASE(write_then_unmap_reported),
	KUNIT_CASE(write_synced_in_part_reported),
	KUNIT_CASE(part_of_granule_synced_silent),
	KUNIT_CASE(rest_of_granule_cpu_owns),
	KUNIT_CASE(odd_messages_synced_silent),
	KUNIT_CASE(array_members_synced_silent),
	KUNIT_CASE(many_writes_synced_silent),
	KUNIT_CASE(synced_by_other_cpu_silent),
	KUNIT_CASE(loop_of_writes_reported_once),
	KUNIT_CASE(second_writer_unsynced_reported),
	KUNIT_CASE(second_caller_unsynced_reported),
	KUNIT_CASE(loop_synced_in_part_reported),
	KUNIT_CASE(whole_granule_unsynced_reported),
	KUNIT_CASE(write_then_sync_for_cpu_reported),
	KUNIT_CASE(write_then_free_reported),
	KUNIT_CASE(list_entry_unsynced_reported),
	KUNIT_CASE(two_devices_one_unsynced_reported),
	KUNIT_CASE(equal_mappings_one_unsynced_reported),
	KUNIT_CASE(second_write_unsynced_reported),
	KUNIT_CASE(write_then_sync_from_device_reported),
	KUNIT_CASE(write_to_spanning_from_device_reported),
	KUNIT_CASE(write_to_other_from_device_reported),
	KUNIT_CASE(strict_write_reported_at_once),
	KUNIT_CASE(spanning_write_unsynced_reported),
	KUNIT_CASE(no_record_left_counted),
	KUNIT_CASE(write_never_synced_noted),
	{}
};

KT_SUITE(pending);
