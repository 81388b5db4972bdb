// SPDX-License-Identifier: GPL-2.0
/*
 * to-device-changed: the content of a DMA_TO_DEVICE buffer changed while the device owned it,
 * and no access of the CPU was seen. The tests play the device: they write where nothing is
 * checked.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../judge/fingerprint.h"
#include "kt.h"

#define SIZE 2048

#define EXPECT_CHANGED(test, size)					\
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, size)

static void changed_before_unmap_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_device_writes(buf + 70, 1, 1);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 127 (64-byte block) of its 2048 bytes changed while the device owned them."));
	KUNIT_EXPECT_TRUE(test, kt_has("Found when the buffer came back to the CPU, in test_dma_unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: *DMA_BIDIRECTIONAL*"));
}

static void changed_before_sync_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_device_writes(buf + 100, 100, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* The CPU owns it: no change. */
	test_dma_write(buf + 1024, 8);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 255 (3 blocks of 64 bytes) of its 2048 *"));
}

/* Rule 4: a write of the CPU may be unseen, and is good if it is synced for the device. */
static void changed_and_synced_silent(struct kunit *test)
{
	long given = dma_owner_debug_count("content_given_back");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_device_writes(buf + 100, 100, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_given_back"), given + 1);

	/* A sync of other bytes does not help. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + 100, 100, 2);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 1024, 1024, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);

	/* Nor does a sync of bytes between two changes, or of one of the two. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 1, 3);
	kt_device_writes(buf + 1024, 1, 3);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 512, 256, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 1087 (2 blocks of 64 bytes) of its 2048 *"));

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 1, 4);
	kt_device_writes(buf + 1024, 1, 4);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 1024 to 1087 (64-byte block) of its 2048 *"));

	/* A sync of each of the two does. */
	given = dma_owner_debug_count("content_given_back");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 1, 5);
	kt_device_writes(buf + 1024, 1, 5);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 1024, 8, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_given_back"), given + 2);
}

/* The CPU writes while it owns the buffer, any number of times. */
static void unchanged_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int round;

	for (round = 0; round < 3; round++) {
		test_dma_read(buf, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		test_dma_write(buf + 64 * round, 8);
		kt_device_writes(buf + 512, 512, round);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	}
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* The content is compared with that at the last sync for the device. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf, 8, 7);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static void written_by_device_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	kt_device_writes(buf, SIZE, 1);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	kt_device_writes(buf, SIZE, 2);
	/* A one-way sync says what the device is to do next, not what it is able to do. */
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf, SIZE, 3);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
}

/* A write that trapped is reported as such, and not again as a change. */
static void trapped_write_is_no_change(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	EXPECT_WRITE_TRAPS(test, buf + 60, 8);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* A change of the blocks around it is reported. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf + 64, 8);
	kt_device_writes(buf, 1, 9);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static kt_noinline void arm_lpae_kunit_write(u64 *pte)
{
	WRITE_ONCE(*pte, 0x5a5a);
}

static void excused_write_is_no_change(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	arm_lpae_kunit_write((u64 *)buf);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	/* The name of a row, but in a module it is not the row's function. */
	if (__is_defined(MODULE))
		EXPECT_REPORT(test, "cpu-write", arm_lpae_kunit_write, buf, 8);
	else
		EXPECT_SILENCE(test);
}

static void filtered_write_is_no_change(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_set(test, "off_types", "cpu-write");
	test_dma_write(buf, 8);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Ownership is per byte, not per mapping. */
static void synced_part_changed_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	test_dma_write(buf + 256, 8);
	dma_sync_single_for_device(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 1024, 128, DMA_TO_DEVICE);
	test_dma_write(buf + 1024, 8);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	kt_device_writes(buf + 255, 1, 1);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

/* A block may change if the CPU owns a part of it. */
static void part_of_block_changed_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 8);
	dma_sync_single_for_device(kt_dev, dma + 64, 4, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 4);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* The device owns all of the block again: a change is reported. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 8);
	dma_sync_single_for_device(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 1, 1);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static void odd_range_changed_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 256);
	static const int at[] = { 0, 63, 64, 130, 132 };
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		dma = test_dma_map(test, kt_dev, buf + 3, 133, DMA_TO_DEVICE);
		kt_device_writes(buf + 3 + at[i], 1, i + 1);
		test_dma_unmap(dma, 133, DMA_TO_DEVICE);
		EXPECT_CHANGED(test, 133);
	}
	dma = test_dma_map(test, kt_dev, buf + 3, 133, DMA_TO_DEVICE);
	kt_device_writes(buf, 3, 0xff);
	kt_device_writes(buf + 3 + 133, 8, 0xff);
	test_dma_unmap(dma, 133, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Blocks are hashed by fours, one by one, and the last one by what there is of it. */
static void each_block_changed_reported(struct kunit *test)
{
	static const int at[] = { 0, 63, 64, 191, 192, 255, 256, 319, 320, 384, 391, 392 };
	int size = 6 * DOD_BLOCK + 9, i;
	u8 *buf = kt_buf(test, 512);
	dma_addr_t dma;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
		kt_device_changes(buf + at[i]);
		test_dma_unmap(dma, size, DMA_TO_DEVICE);
		EXPECT_CHANGED(test, size);
	}
	dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	kt_device_changes(buf + size);
	test_dma_unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* The bytes are the same ones, but in other places. */
static void moved_content_reported(struct kunit *test)
{
	static const int to[] = { 1, 8, 16, DOD_BLOCK, 2 * DOD_BLOCK, SIZE / 2, SIZE - 1 };
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(to); i++) {
		buf[0] = 0xff;
		buf[to[i]] = 0;
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
		kt_device_writes(buf, 1, 0);
		kt_device_writes(buf + to[i], 1, 0xff);
		test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
		EXPECT_CHANGED(test, SIZE);
	}
}

static u32 fingerprint(const u8 *p, unsigned int nr, bool crc)
{
	return crc ? dod_hash_bytes(p, nr, true) : dod_hash_bytes(p, nr, false);
}

/*
 * Of 65536 changes of a block one leaves the 16 bits as they were that are remembered of its
 * fingerprint. These do, of a block of zeros. The fingerprint of all blocks has 32 bits.
 */
static void changed_with_same_fingerprint_reported(struct kunit *test)
{
	static const struct { u8 at, nr, value; } changes[] = { { 43, 2, 0x85 }, { 46, 6, 0x54 } };
	u8 was[DOD_BLOCK] = {}, is[DOD_BLOCK] = {}, *buf = kt_buf(test, SIZE);
	int crc = dod_has_crc(), at = changes[crc].at, nr = changes[crc].nr;
	dma_addr_t dma;

	memset(is + at, changes[crc].value, nr);
	KUNIT_EXPECT_EQ(test, (u16)fingerprint(is, DOD_BLOCK, crc),
			(u16)fingerprint(was, DOD_BLOCK, crc));

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + DOD_BLOCK + at, nr, changes[crc].value);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Some of bytes 0 to 2047 of its 2048 *"));

	/* The block of another change is known. */
	memset(buf, 0, SIZE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + DOD_BLOCK + at, nr, changes[crc].value);
	kt_device_writes(buf + 1024, 1, 1);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 1024 to 1087 (64-byte block) of its 2048 *"));

	/* Synced for the device it is no fault. */
	memset(buf, 0, SIZE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf + DOD_BLOCK + at, nr, changes[crc].value);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Only both ends of a long buffer are fingerprinted. */
static void ends_of_long_buffer_reported(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 3));
	size_t size = 8 * PAGE_SIZE - 10;
	long partial = dma_owner_debug_count("content_partial");
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_partial"), partial + 1);
	kt_device_writes(buf + 2048, size - 2 * 2048 - 64, 1);
	test_dma_unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	kt_device_writes(buf + 2047, 1, 2);
	test_dma_unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, size);
	dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	kt_device_writes(buf + size - 1, 1, 2);
	test_dma_unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, size);

	kt_set(test, "content_max", "128");
	dma = test_dma_map(test, kt_dev, buf, 256, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 128, 3);
	test_dma_unmap(dma, 256, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* A cipher in place: what one mapping reads, the other writes. */
static void in_place_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);

	kt_device_writes(buf + 64, 64, 1);
	test_dma_unmap(src, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dst, 64, DMA_FROM_DEVICE);
	/* The other way round, and with another device. */
	dst = dma_map_single(kt_dev2, buf, SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev2, dst));
	src = test_dma_map(test, kt_dev, buf + 64, 256, DMA_TO_DEVICE);
	kt_device_writes(buf + 64, 64, 2);
	dma_unmap_single(kt_dev2, dst, SIZE, DMA_BIDIRECTIONAL);
	test_dma_unmap(src, 256, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Only bytes that a device may write are exempt, and only as long as it may. */
static void beside_in_place_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);

	kt_device_writes(buf + 128, 1, 1);
	test_dma_unmap(dst, 64, DMA_FROM_DEVICE);
	test_dma_unmap(src, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);

	src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	kt_device_writes(buf + 64, 64, 2);
	test_dma_unmap(dst, 64, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, src, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, src, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kt_device_writes(buf + 64, 64, 3);
	test_dma_unmap(src, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

/* Two mappings: each reports the change. */
static void mapped_twice_each_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev, buf + 64, 64, DMA_TO_DEVICE);

	kt_device_writes(buf + 64, 1, 1);
	test_dma_unmap(a, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	test_dma_unmap(b, 64, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, 64);
}

static void content_off_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i, found;

	kt_set(test, "content", "off");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf, 1, 1);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	kt_set(test, "content", "on");
	kt_set(test, "off_types", "to-device-changed");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	kt_device_writes(buf, 1, 2);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kt_set(test, "off_types", "");

	kt_set(test, "content", "sample");
	kt_set(test, "content_sample", "4");
	migrate_disable();
	for (i = 0; i < 16; i++) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
		kt_device_writes(buf, 1, i + 3);
		test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	}
	migrate_enable();
	found = kt_take_all();
	/* Other drivers may map, too. */
	KUNIT_EXPECT_GE(test, found, 1);
	KUNIT_EXPECT_LE(test, found, 8);
}

static void list_entry_changed_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg[2];

	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], buf, 256);
	sg_set_buf(&sg[1], buf + 1024, 512);
	KUNIT_ASSERT_EQ(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 2);
	kt_device_writes(buf + 1024, 1, 1);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map_sg, 512);
	KUNIT_ASSERT_EQ(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 2);
	kt_device_writes(buf, 1, 1);
	kt_device_writes(buf + 512, 256, 1);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map_sg, 256);
}

/* Drivers let user space map such memory, which makes no syncs. */
static void alloc_pages_changed_silent(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_TO_DEVICE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	kt_device_writes(page_address(page), 8, 1);
	dma_sync_single_for_cpu(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* The tool calls ksize() itself at a map: that is no reason to doubt fingerprints. */
static void own_ksize_doubts_nothing(struct kunit *test)
{
	u8 *buf = kt_buf(test, 1000);
	dma_addr_t command, data;
	long doubted;

	/* A ksize() of the test before is forgotten after 100 ms. */
	msleep(200);
	doubted = dma_owner_debug_count("content_doubted");
	command = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	data = test_dma_map(test, kt_dev, buf + 512, 1000 - 512, DMA_FROM_DEVICE);
	test_dma_unmap(data, 1000 - 512, DMA_FROM_DEVICE);
	test_dma_unmap(command, 64, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_doubted"), doubted);
	EXPECT_SILENCE(test);
}

/* Fingerprints by themselves, of both kinds if the processor has a CRC. */

#define NR_CONTENTS 4

/* Nothing, everything, as in text, and words that only differ in their top bits. */
static void fill(u8 *block, unsigned int content)
{
	unsigned int i;

	for (i = 0; i < DOD_BLOCK; i++) {
		if (content < 2)
			block[i] = content ? 0xff : 0;
		else if (content == 2)
			block[i] = ' ' + i * i % 89;
		else
			block[i] = i % 8 == 7 && i % 3 ? 0x80 : 0;
	}
}

static void any_changed_byte_found(struct kunit *test)
{
	static const u8 sizes[] = { 1, 7, 8, 9, 63, DOD_BLOCK };
	unsigned int content, crc, i, nr, by, missed = 0;
	u8 block[DOD_BLOCK];
	u32 was, is;

	for (crc = 0; crc <= dod_has_crc(); crc++) {
		for (content = 0; content < NR_CONTENTS; content++) {
			fill(block, content);
			was = fingerprint(block, DOD_BLOCK, crc);
			KUNIT_EXPECT_EQ(test, fingerprint(block, DOD_BLOCK, crc), was);
			for (i = 0; i < DOD_BLOCK * 255; i++) {
				block[i / 255] ^= i % 255 + 1;
				is = fingerprint(block, DOD_BLOCK, crc);
				missed += is == was || (crc && (u16)is == (u16)was);
				block[i / 255] ^= i % 255 + 1;
			}
			for (i = 0; i < ARRAY_SIZE(sizes) * DOD_BLOCK * 8; i++) {
				nr = sizes[i / (DOD_BLOCK * 8)];
				by = i / 8 % DOD_BLOCK;
				was = fingerprint(block, nr, crc);
				block[by] ^= BIT(i % 8);
				/* What is past the end does not count. */
				missed += (fingerprint(block, nr, crc) == was) != (by >= nr);
				block[by] ^= BIT(i % 8);
			}
		}
	}
	KUNIT_EXPECT_EQ(test, missed, 0);
}

static void any_two_changed_bits_found(struct kunit *test)
{
	unsigned int crc, i, j, missed = 0;
	unsigned long block[DOD_BLOCK / sizeof(long)] = {};
	u32 was;

	for (crc = 0; crc <= dod_has_crc(); crc++) {
		was = fingerprint((u8 *)block, DOD_BLOCK, crc);
		for (i = 1; i < DOD_BLOCK * 8; i++) {
			__change_bit(i, block);
			for (j = 0; j < i; j++) {
				__change_bit(j, block);
				missed += fingerprint((u8 *)block, DOD_BLOCK, crc) == was;
				__change_bit(j, block);
			}
			__change_bit(i, block);
		}
	}
	KUNIT_EXPECT_EQ(test, missed, 0);
}

static void any_swap_and_shift_found(struct kunit *test)
{
	unsigned int content, crc, i, j, missed = 0;
	u8 was[DOD_BLOCK], is[DOD_BLOCK];
	u32 print;

	for (crc = 0; crc <= dod_has_crc(); crc++) {
		for (content = 0; content < NR_CONTENTS; content++) {
			fill(was, content);
			print = fingerprint(was, DOD_BLOCK, crc);
			for (i = 0; i < DOD_BLOCK * DOD_BLOCK; i++) {
				memcpy(is, was, DOD_BLOCK);
				swap(is[i / DOD_BLOCK], is[i % DOD_BLOCK]);
				missed += (fingerprint(is, DOD_BLOCK, crc) == print) !=
					  !memcmp(is, was, DOD_BLOCK);
			}
			for (i = 0; i < DOD_BLOCK; i += 8) {
				for (j = 0; j < i; j += 8) {
					memcpy(is, was, DOD_BLOCK);
					memcpy(is + i, was + j, 8);
					memcpy(is + j, was + i, 8);
					missed += (fingerprint(is, DOD_BLOCK, crc) == print) !=
						  !memcmp(is, was, DOD_BLOCK);
				}
			}
			/* In to zeros, and round. */
			for (i = 1; i < 2 * DOD_BLOCK; i++) {
				j = i % DOD_BLOCK;
				memcpy(is, was + j, DOD_BLOCK - j);
				memcpy(is + DOD_BLOCK - j, was, j);
				if (i >= DOD_BLOCK)
					memset(is + DOD_BLOCK - j, 0, j);
				missed += (fingerprint(is, DOD_BLOCK, crc) == print) !=
					  !memcmp(is, was, DOD_BLOCK);
			}
		}
	}
	KUNIT_EXPECT_EQ(test, missed, 0);
}

static struct kunit_case content_cases[] = {
	KUNIT_CASE(changed_before_unmap_reported),
	KUNIT_CASE(changed_before_sync_reported),
	KUNIT_CASE(changed_and_synced_silent),
	KUNIT_CASE(unchanged_silent),
	KUNIT_CASE(written_by_device_silent),
	KUNIT_CASE(trapped_write_is_no_change),
	KUNIT_CASE(excused_write_is_no_change),
	KUNIT_CASE(filtered_write_is_no_change),
	KUNIT_CASE(synced_part_changed_silent),
	KUNIT_CASE(part_of_block_changed_silent),
	KUNIT_CASE(odd_range_changed_reported),
	KUNIT_CASE(each_block_changed_reported),
	KUNIT_CASE(moved_content_reported),
	KUNIT_CASE(changed_with_same_fingerprint_reported),
	KUNIT_CASE(ends_of_long_buffer_reported),
	KUNIT_CASE(in_place_silent),
	KUNIT_CASE(beside_in_place_reported),
	KUNIT_CASE(mapped_twice_each_reported),
	KUNIT_CASE(content_off_silent),
	KUNIT_CASE(list_entry_changed_reported),
	KUNIT_CASE(alloc_pages_changed_silent),
	KUNIT_CASE(own_ksize_doubts_nothing),
	KUNIT_CASE(any_changed_byte_found),
	KUNIT_CASE(any_two_changed_bits_found),
	KUNIT_CASE(any_swap_and_shift_found),
	{}
};

KT_SUITE(content);
