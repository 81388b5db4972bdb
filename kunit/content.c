// SPDX-License-Identifier: GPL-2.0
/*
 * What changes without an access that the sanitizer sees: content of buffers that
 * a device may only read, and what lies behind those it may write; and what the
 * CPU writes and does not give back. The tests play the device: they write where
 * nothing is checked.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "dod_test.h"

#define SIZE 2048

KT_DIRECTIONS;

/* The device, or a part of the kernel that is not instrumented. */
static kt_noinline kt_unchecked void device_writes(void *p, size_t size, u8 value)
{
	u8 *byte = p;

	while (size--)
		WRITE_ONCE(*byte++, value);
}

#define EXPECT_CHANGED(test, size)					\
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, size)

static kt_noinline void unmap(dma_addr_t dma, size_t size, enum dma_data_direction dir)
{
	dma_unmap_single(kt_dev, dma, size, dir);
	/* Not the last call, or its frame is not in the stack. */
	barrier();
}

/* === to-device-changed ==================================================== */

static void changed_until_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	device_writes(buf + 70, 1, 1);
	EXPECT_SILENCE(test);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 127 (64-byte block) of its 2048 bytes changed while the device owned them*"));
	KUNIT_EXPECT_TRUE(test, kt_has("It was found when the CPU got them back, at unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: *DMA_BIDIRECTIONAL*"));
}

static void changed_until_sync(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	device_writes(buf + 100, 100, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* The CPU's, and no change. */
	test_dma_write(buf + 1024, 8);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 255 (3 blocks of 64 bytes) of its 2048 *"));
}

/* Rule 4: who wrote it need not have been seen, and it is given to the device. */
static void changed_and_given_back(struct kunit *test)
{
	long given = dma_owner_debug_count("content_given_back");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	device_writes(buf + 100, 100, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_given_back"), given + 1);

	/* Elsewhere is not there. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf + 100, 100, 2);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 1024, 1024, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);

	/* Nor is what lies between two changes, or one of the two. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf + 64, 1, 3);
	device_writes(buf + 1024, 1, 3);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 512, 256, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 64 to 1087 (2 blocks of 64 bytes) of its 2048 *"));

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf + 64, 1, 4);
	device_writes(buf + 1024, 1, 4);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Bytes 1024 to 1087 (64-byte block) of its 2048 *"));

	/* Both, each by itself. */
	given = dma_owner_debug_count("content_given_back");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf + 64, 1, 5);
	device_writes(buf + 1024, 1, 5);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 1024, 8, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_given_back"), given + 2);
}

/* Who may write, when: any number of turns. */
static void unchanged(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int round;

	for (round = 0; round < 3; round++) {
		test_dma_read(buf, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		test_dma_write(buf + 64 * round, 8);
		device_writes(buf + 512, 512, round);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	}
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* And what was given back last is known by what it was then. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	device_writes(buf, 8, 7);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static void other_directions(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	device_writes(buf, SIZE, 1);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	device_writes(buf, SIZE, 2);
	/* A one-way sync says what the device is to do next, not what it can do. */
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	device_writes(buf, SIZE, 3);
	unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
}

/* A write that trapped is reported as such, and not again as a change. */
static void written_by_cpu(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	EXPECT_WRITE_TRAPS(test, buf + 60, 8);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* Of the blocks around it there is more to say. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf + 64, 8);
	device_writes(buf, 1, 9);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static kt_noinline void arm_lpae_kunit_write(u64 *pte)
{
	WRITE_ONCE(*pte, 0x5a5a);
}

static void written_by_idiom(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	arm_lpae_kunit_write((u64 *)buf);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	/* A row's name, and in a module it is not the row's function. */
	if (__is_defined(MODULE))
		EXPECT_REPORT(test, "cpu-write", arm_lpae_kunit_write, buf, 8);
	else
		EXPECT_SILENCE(test);
}

static void written_filtered(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	kt_set(test, "off_types", "cpu-write");
	test_dma_write(buf, 8);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Bytes change hands, not mappings. */
static void part_of_it(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	test_dma_write(buf + 256, 8);
	dma_sync_single_for_device(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 1024, 128, DMA_TO_DEVICE);
	test_dma_write(buf + 1024, 8);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 256, 128, DMA_TO_DEVICE);
	device_writes(buf + 255, 1, 1);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

/* A block of which the CPU owns some may change. */
static void part_of_a_block(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 8);
	dma_sync_single_for_device(kt_dev, dma + 64, 4, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 4);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	/* All of it again the device's: as good as any. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	test_dma_write(buf + 72, 8);
	dma_sync_single_for_device(kt_dev, dma + 72, 8, DMA_TO_DEVICE);
	device_writes(buf + 64, 1, 1);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

static void odd_place_and_size(struct kunit *test)
{
	u8 *buf = kt_buf(test, 256);
	static const int at[] = { 0, 63, 64, 130, 132 };
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		dma = test_dma_map(test, kt_dev, buf + 3, 133, DMA_TO_DEVICE);
		device_writes(buf + 3 + at[i], 1, i + 1);
		unmap(dma, 133, DMA_TO_DEVICE);
		EXPECT_CHANGED(test, 133);
	}
	dma = test_dma_map(test, kt_dev, buf + 3, 133, DMA_TO_DEVICE);
	device_writes(buf, 3, 0xff);
	device_writes(buf + 3 + 133, 8, 0xff);
	unmap(dma, 133, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Of a long buffer both ends are known. */
static void long_buffer(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 3));
	size_t size = 8 * PAGE_SIZE - 10;
	long partial = dma_owner_debug_count("content_partial");
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_partial"), partial + 1);
	device_writes(buf + 2048, size - 2 * 2048 - 64, 1);
	unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	device_writes(buf + 2047, 1, 2);
	unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, size);
	dma = test_dma_map(test, kt_dev, buf, size, DMA_TO_DEVICE);
	device_writes(buf + size - 1, 1, 2);
	unmap(dma, size, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, size);

	kt_set(test, "content_max", "128");
	dma = test_dma_map(test, kt_dev, buf, 256, DMA_TO_DEVICE);
	device_writes(buf + 64, 128, 3);
	unmap(dma, 256, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* A cipher in place: what one mapping reads, the other writes. */
static void in_place(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);

	device_writes(buf + 64, 64, 1);
	unmap(src, SIZE, DMA_TO_DEVICE);
	unmap(dst, 64, DMA_FROM_DEVICE);
	/* The other way round, and with another device. */
	dst = dma_map_single(kt_dev2, buf, SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev2, dst));
	src = test_dma_map(test, kt_dev, buf + 64, 256, DMA_TO_DEVICE);
	device_writes(buf + 64, 64, 2);
	dma_unmap_single(kt_dev2, dst, SIZE, DMA_BIDIRECTIONAL);
	unmap(src, 256, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Only what is written is exempt, and only as long as it can be written. */
static void beside_in_place(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);

	device_writes(buf + 128, 1, 1);
	unmap(dst, 64, DMA_FROM_DEVICE);
	unmap(src, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);

	src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dst = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	device_writes(buf + 64, 64, 2);
	unmap(dst, 64, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, src, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, src, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	device_writes(buf + 64, 64, 3);
	unmap(src, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
}

/* Two readers: each finds it. */
static void mapped_twice(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev, buf + 64, 64, DMA_TO_DEVICE);

	device_writes(buf + 64, 1, 1);
	unmap(a, SIZE, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, SIZE);
	unmap(b, 64, DMA_TO_DEVICE);
	EXPECT_CHANGED(test, 64);
}

static void switched_off(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i, found;

	kt_set(test, "content", "off");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf, 1, 1);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	kt_set(test, "content", "on");
	kt_set(test, "off_types", "to-device-changed");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	device_writes(buf, 1, 2);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kt_set(test, "off_types", "");

	kt_set(test, "content", "sample");
	kt_set(test, "content_sample", "4");
	migrate_disable();
	for (i = 0; i < 16; i++) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
		device_writes(buf, 1, i + 3);
		unmap(dma, SIZE, DMA_TO_DEVICE);
	}
	migrate_enable();
	found = kt_take_all();
	/* Other drivers may map, too. */
	KUNIT_EXPECT_GE(test, found, 1);
	KUNIT_EXPECT_LE(test, found, 8);
}

static kt_noinline int test_map_sg(struct device *dev, struct scatterlist *sg, int nents,
				enum dma_data_direction dir)
{
	return dma_map_sg(dev, sg, nents, dir);
}

static void entry_of_a_list(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg[2];

	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], buf, 256);
	sg_set_buf(&sg[1], buf + 1024, 512);
	KUNIT_ASSERT_EQ(test, test_map_sg(kt_dev, sg, 2, DMA_TO_DEVICE), 2);
	device_writes(buf + 1024, 1, 1);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_map_sg, 512);
	KUNIT_ASSERT_EQ(test, test_map_sg(kt_dev, sg, 2, DMA_TO_DEVICE), 2);
	device_writes(buf, 1, 1);
	device_writes(buf + 512, 256, 1);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_map_sg, 256);
}

/* Drivers lend such memory to user space, which knows no syncs. */
static void from_alloc_pages(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_TO_DEVICE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	device_writes(page_address(page), 8, 1);
	dma_sync_single_for_cpu(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* === device-overrun ======================================================= */

#define EXPECT_OVERRUN(test, size)					\
	EXPECT_MAP_REPORT(test, "device-overrun", test_dma_map, size)

static void overrun(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, dir);

	/* kmalloc(100) is served with 128 bytes, or with 112. */
	device_writes(buf + 101, 3, 0xee);
	EXPECT_SILENCE(test);
	unmap(dma, 100, dir);
	if (dir == DMA_TO_DEVICE) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_OVERRUN(test, 100);
	KUNIT_EXPECT_TRUE(test, kt_has("3 bytes behind the buffer changed while it was mapped, where nothing may write; the first is 2 bytes behind its end: it was 0x?? and is 0xee."));
	KUNIT_EXPECT_TRUE(test, kt_has("The object there:*"));
}

static void no_overrun(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100), *part = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);

	device_writes(buf, 100, 0xee);
	unmap(dma, 100, DMA_FROM_DEVICE);
	/* What the driver may write to is not the tool's to judge. */
	dma = test_dma_map(test, kt_dev, part, 64, DMA_FROM_DEVICE);
	device_writes(part, 256, 0xee);
	test_dma_write(part + 64, 8);
	unmap(dma, 64, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* There may be a few bytes of the object between the two. */
static void overrun_from_the_middle(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 32, 48, DMA_FROM_DEVICE);

	test_dma_write(buf + 80, 8);
	device_writes(buf + 80, 21, 0xee);
	unmap(dma, 48, DMA_FROM_DEVICE);
	EXPECT_OVERRUN(test, 48);
	KUNIT_EXPECT_TRUE(test, kt_has("1 byte behind the buffer changed *; the first is 21 bytes behind its end: *"));
}

/* Behind a large kmalloc() is the rest of its pages. */
static void overrun_of_pages(struct kunit *test)
{
	size_t size = 3 * PAGE_SIZE - 5;
	u8 *buf = kt_buf(test, size);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_BIDIRECTIONAL);

	device_writes(buf + size + 63, 1, 0xee);
	unmap(dma, size, DMA_BIDIRECTIONAL);
	EXPECT_OVERRUN(test, size);
	/* Too far away, and only where something is behind. */
	dma = test_dma_map(test, kt_dev, buf, size, DMA_BIDIRECTIONAL);
	device_writes(buf + size + 64, 16, 0xdd);
	unmap(dma, size, DMA_BIDIRECTIONAL);
	buf = page_address(kt_page(test, 1));
	dma = test_dma_map(test, kt_dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	device_writes(buf, 2 * PAGE_SIZE, 0xdd);
	unmap(dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
}

struct with_rcu {
	struct rcu_head rcu;
	u8 buf[128 - sizeof(struct rcu_head)];
};

static void rcu_done(struct rcu_head *rcu)
{
}

/*
 * KASAN notes who called call_rcu() behind the object, where the shadow is that of
 * padding. An object that fills its slot has no padding.
 */
static void kasan_metadata(struct kunit *test)
{
	struct with_rcu *p = kt_buf(test, sizeof(*p));
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_EQ(test, ksize(p), sizeof(*p));
	for (i = 0; i < 2; i++) {
		dma = test_dma_map(test, kt_dev, p->buf, sizeof(p->buf), DMA_FROM_DEVICE);
		call_rcu(&p->rcu, rcu_done);
		rcu_barrier();
		unmap(dma, sizeof(p->buf), DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
	}
	/* All that is behind: none of it is padding. */
	dma = test_dma_map(test, kt_dev, p->buf, sizeof(p->buf), DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, kt_shadow(p + 1), 0x80);
	unmap(dma, sizeof(p->buf), DMA_FROM_DEVICE);
}

/* An object of a cache of its own, whose size is no multiple of 8. */
static void kasan_metadata_of_a_cache(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 100, 0, 0, NULL);
	dma_addr_t dma;
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	p = kmem_cache_alloc(cache, GFP_KERNEL);
	dma = dma_map_single(kt_dev, p, 80, DMA_FROM_DEVICE);
	if (!dma_mapping_error(kt_dev, dma)) {
		call_rcu((struct rcu_head *)(p + 80), rcu_done);
		rcu_barrier();
		unmap(dma, 80, DMA_FROM_DEVICE);
	}
	kmem_cache_free(cache, p);
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void overrun_switched_off(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma;

	kt_set(test, "content", "off");
	dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	device_writes(buf + 100, 1, 0xee);
	unmap(dma, 100, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* === missing-sync-for-device ============================================== */

#define EXPECT_LOST(test, addr, size)					\
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, addr, size)

static u8 *line_buf(struct kunit *test)
{
	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	return kt_buf(test, SIZE);
}

static void lost_by_unmap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
	test_dma_read(buf, 8);
	test_dma_write(buf + 16, 8);
	EXPECT_SILENCE(test);
	unmap(dma, SIZE, dir);
	if (dir == DMA_TO_DEVICE) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_LOST(test, buf + 16, 8);
	KUNIT_EXPECT_TRUE(test, kt_has("The write is 16 bytes into the buffer."));
	KUNIT_EXPECT_TRUE(test, kt_has("The CPU got the buffer for reading, at lost_by_unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("The write was not synced for the device before dma_unmap_single() in unmap+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: call dma_sync_single_for_device() after this write*"));
	EXPECT_CLEAN(test, buf, SIZE);
}

static void lost_by_sync(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, 128, DMA_FROM_DEVICE);
	test_dma_write(buf, 1);
	/* Another part of it is another matter. */
	dma_sync_single_for_cpu(kt_dev, dma + 128, 128, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	kt_set(test, "watch_writes", "0");
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_LOST(test, buf, 1);
	/* Said once. */
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* The middle is given back, and what is written beside it later is another matter. */
static void middle_given_back(struct kunit *test)
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
		unmap(dma, SIZE, DMA_FROM_DEVICE);
		if (all)
			EXPECT_SILENCE(test);
		else
			EXPECT_LOST(test, buf + 1024, 8);
	}
	EXPECT_CLEAN(test, buf, SIZE);
}

static void given_back_in_time(struct kunit *test)
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
	unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	/* A part given back: the head, which is what was written. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_FROM_DEVICE);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* What a device both reads and writes is not sent to it by a sync for writing. */
static void given_back_for_writing(struct kunit *test)
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
	/* The sync may come later, and the write be another's by then. */
	test_dma_write(buf + 128, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 128, 8, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* Rule 6. */
static void only_read(struct kunit *test)
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
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* What page_pool does with a page that the stack has written to. */
static void skip_cpu_sync(struct kunit *test)
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

static void coherent_device(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma;
	long watched = dma_owner_debug_count("watched_ranges");

	kt_set(test, "noncoherent", "0");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	test_dma_write(buf, 8);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("watched_ranges"), watched);
}

/* What one mapping gives back goes to memory, whichever mapping it was. */
static void given_back_by_another(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE), other;

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf + 64, 8);
	other = test_dma_map(test, kt_dev, buf + 64, 64, DMA_TO_DEVICE);
	unmap(other, 64, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void watches_switched_off(struct kunit *test)
{
	u8 *buf = line_buf(test);
	dma_addr_t dma;

	kt_set(test, "watch_writes", "0");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	test_dma_write(buf, 8);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* The first byte of an object is what ksize() and krealloc() look at. */
static void object_is_alive(struct kunit *test)
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
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, resized, SIZE);
	kfree(resized);
}

/* The tool asks for the size of what is mapped itself: nobody writes to padding then. */
static void own_question(struct kunit *test)
{
	u8 *buf = kt_buf(test, 1000);
	dma_addr_t command, data;
	long doubted;

	/* Others' questions, of the test before, are forgotten after 100 ms. */
	msleep(200);
	doubted = dma_owner_debug_count("content_doubted");
	command = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	data = test_dma_map(test, kt_dev, buf + 512, 1000 - 512, DMA_FROM_DEVICE);
	unmap(data, 1000 - 512, DMA_FROM_DEVICE);
	unmap(command, 64, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("content_doubted"), doubted);
	EXPECT_SILENCE(test);
}

/* === device-wrote-nothing ================================================= */

#define EXPECT_NOTHING(test, size)					\
	EXPECT_MAP_REPORT(test, "device-wrote-nothing", test_dma_map, size)

/* Where no shadow tells how long a slab object is, none is filled. */
static u8 *filled_buf(struct kunit *test)
{
	return IS_ENABLED(CONFIG_KASAN_GENERIC) ? kt_buf(test, SIZE) :
						  page_address(kt_page(test, 0));
}

static void wrote_nothing(struct kunit *test)
{
	u8 *buf = filled_buf(test);
	dma_addr_t dma;

	kt_set(test, "canary", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_NOTHING(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("None of the 2048 bytes from byte 0 on was written to *"));
	KUNIT_EXPECT_TRUE(test, kt_has("* whether it was done. An error, a short answer, *"));

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	device_writes(buf, 1, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(kt_dev, dma + 512, 512, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 512, 512, DMA_FROM_DEVICE);
	EXPECT_NOTHING(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("None of the 512 bytes from byte 512 on was written to *"));
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

static void wrote_something(struct kunit *test)
{
	u8 *buf = filled_buf(test);
	dma_addr_t dma;

	kt_set(test, "canary", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	device_writes(buf + SIZE - 1, 1, 1);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	/* Of what comes back in parts, the one may be untouched. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	/* The driver has filled it in, and the device may read it. */
	device_writes(buf, SIZE, 0x11);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	KUNIT_EXPECT_EQ(test, buf[SIZE - 1], 0x11);
}

static kt_noinline void map_list(struct kunit *test, struct scatterlist *sg, u8 *a, u8 *b)
{
	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_EQ(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 2);
}

/* A short answer fills the beginning of a list, which is one buffer to the device. */
static void wrote_some_of_a_list(struct kunit *test)
{
	u8 *a = filled_buf(test), *b = filled_buf(test);
	struct scatterlist sg[2];

	kt_set(test, "canary", "1");
	map_list(test, sg, a, b);
	device_writes(a, 8, 1);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	map_list(test, sg, a, b);
	device_writes(b, 8, 1);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

static void wrote_nothing_of_a_list(struct kunit *test)
{
	u8 *a = filled_buf(test), *b = filled_buf(test);
	struct scatterlist sg[2];

	kt_set(test, "canary", "1");
	kt_set(test, "dedup", "0");
	map_list(test, sg, a, b);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("None of the 4096 bytes from byte 0 on was written to *"));
	map_list(test, sg, a, b);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: device-wrote-nothing in map_list+0x*"));
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* What may be longer than what was allocated: the rest is somebody else's. */
static void not_filled_blindly(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_canary");
	u8 *buf = kt_buf(test, SIZE), *page = page_address(kt_page(test, 1));
	dma_addr_t dma;

	KT_REQUIRES(test, !IS_ENABLED(CONFIG_KASAN_GENERIC));
	kt_set(test, "canary", "1");
	device_writes(buf, SIZE, 0x11);
	device_writes(page + PAGE_SIZE, SIZE, 0x11);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unmap(dma, SIZE, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, page, PAGE_SIZE + SIZE, DMA_FROM_DEVICE);
	unmap(dma, PAGE_SIZE + SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	KUNIT_EXPECT_EQ(test, page[PAGE_SIZE], 0x11);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_canary"), unjudged + 2);
}

/* What must keep its content keeps it. */
static void not_filled(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src, dst;

	device_writes(buf, SIZE, 0x11);
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);

	kt_set(test, "canary", "1");
	kt_set(test, "off_devices", "device-wrote-nothing:" KT_NAME ".0");
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	kt_set(test, "off_devices", "");

	/* A cipher in place is about to read it. */
	src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dst = test_dma_map(test, kt_dev, buf + 64, SIZE - 64, DMA_FROM_DEVICE);
	unmap(dst, SIZE - 64, DMA_FROM_DEVICE);
	unmap(src, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	KUNIT_EXPECT_EQ(test, buf[64], 0x11);
	/* The device owns it already, and may have begun to write. */
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	device_writes(buf, SIZE, 0x22);
	dma_sync_single_for_device(kt_dev, dst, SIZE, DMA_FROM_DEVICE);
	unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x22);
	EXPECT_SILENCE(test);
}

static struct kunit_case content_cases[] = {
	KUNIT_CASE(changed_until_unmap),
	KUNIT_CASE(changed_until_sync),
	KUNIT_CASE(changed_and_given_back),
	KUNIT_CASE(unchanged),
	KUNIT_CASE(other_directions),
	KUNIT_CASE(written_by_cpu),
	KUNIT_CASE(written_by_idiom),
	KUNIT_CASE(written_filtered),
	KUNIT_CASE(part_of_it),
	KUNIT_CASE(part_of_a_block),
	KUNIT_CASE(odd_place_and_size),
	KUNIT_CASE(long_buffer),
	KUNIT_CASE(in_place),
	KUNIT_CASE(beside_in_place),
	KUNIT_CASE(mapped_twice),
	KUNIT_CASE(switched_off),
	KUNIT_CASE(entry_of_a_list),
	KUNIT_CASE(from_alloc_pages),
	DIRECTION_CASE(overrun),
	KUNIT_CASE(no_overrun),
	KUNIT_CASE(overrun_from_the_middle),
	KUNIT_CASE(overrun_of_pages),
	KUNIT_CASE(kasan_metadata),
	KUNIT_CASE(kasan_metadata_of_a_cache),
	KUNIT_CASE(overrun_switched_off),
	DIRECTION_CASE(lost_by_unmap),
	KUNIT_CASE(lost_by_sync),
	KUNIT_CASE(given_back_in_time),
	KUNIT_CASE(middle_given_back),
	KUNIT_CASE(given_back_for_writing),
	KUNIT_CASE(only_read),
	KUNIT_CASE(skip_cpu_sync),
	KUNIT_CASE(coherent_device),
	KUNIT_CASE(given_back_by_another),
	KUNIT_CASE(watches_switched_off),
	KUNIT_CASE(object_is_alive),
	KUNIT_CASE(own_question),
	KUNIT_CASE(wrote_nothing),
	KUNIT_CASE(wrote_something),
	KUNIT_CASE(wrote_some_of_a_list),
	KUNIT_CASE(wrote_nothing_of_a_list),
	KUNIT_CASE(not_filled_blindly),
	KUNIT_CASE(not_filled),
	{}
};

KT_SUITE(kt_content_suite, "content", content_cases);
