// SPDX-License-Identifier: GPL-2.0
/*
 * device-overrun: bytes next to the buffer, that nothing may write, changed while it was
 * mapped. device-wrote-nothing (canary=1): a FROM_DEVICE buffer came back untouched. The tests
 * play the device: they write where nothing is checked.
 */

#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 2048

KT_DIRECTIONS;

/* === device-overrun ======================================================= */

#define EXPECT_OVERRUN(test, size)					\
	EXPECT_MAP_REPORT(test, "device-overrun", test_dma_map, size)

static void overrun_of_object_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, dir);

	/* kmalloc(100) is served with 128 bytes, or with 112. */
	kt_device_writes(buf + 101, 3, 0xee);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, 100, dir);
	if (dir == DMA_TO_DEVICE) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_OVERRUN(test, 100);
	KUNIT_EXPECT_TRUE(test, kt_has("3 bytes past the end of the buffer changed while it was mapped. First: end+1, was 0x??, is 0xee."));
	KUNIT_EXPECT_TRUE(test, kt_has("The object there:*"));
}

static void no_overrun_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100), *part = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);

	kt_device_writes(buf, 100, 0xee);
	test_dma_unmap(dma, 100, DMA_FROM_DEVICE);
	/* Bytes that the driver may write to are not checked. */
	dma = test_dma_map(test, kt_dev, part, 64, DMA_FROM_DEVICE);
	kt_device_writes(part, 256, 0xee);
	test_dma_write(part + 64, 8);
	test_dma_unmap(dma, 64, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* There may be a few bytes of the object between the buffer and the redzone. */
static void overrun_from_middle_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 32, 48, DMA_FROM_DEVICE);

	test_dma_write(buf + 80, 8);
	kt_device_writes(buf + 80, 21, 0xee);
	test_dma_unmap(dma, 48, DMA_FROM_DEVICE);
	EXPECT_OVERRUN(test, 48);
	KUNIT_EXPECT_TRUE(test, kt_has("1 byte past the end of the buffer changed *. First: end+20, *"));
}

/* After a large kmalloc() buffer is the rest of its pages. */
static void overrun_of_large_kmalloc_reported(struct kunit *test)
{
	size_t size = 3 * PAGE_SIZE - 5;
	u8 *buf = kt_buf(test, size);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_BIDIRECTIONAL);

	kt_device_writes(buf + size + 63, 1, 0xee);
	test_dma_unmap(dma, size, DMA_BIDIRECTIONAL);
	EXPECT_OVERRUN(test, size);
	/* Too far after the end; and no redzone follows a page. */
	dma = test_dma_map(test, kt_dev, buf, size, DMA_BIDIRECTIONAL);
	kt_device_writes(buf + size + 64, 16, 0xdd);
	test_dma_unmap(dma, size, DMA_BIDIRECTIONAL);
	buf = page_address(kt_page(test, 1));
	dma = test_dma_map(test, kt_dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	kt_device_writes(buf, 2 * PAGE_SIZE, 0xdd);
	test_dma_unmap(dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
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
 * KASAN writes who called call_rcu() after the object, where the shadow is that of padding.
 * An object that fills its slot has no padding.
 */
static void kasan_metadata_silent(struct kunit *test)
{
	struct with_rcu *p = kt_buf(test, sizeof(*p));
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_EQ(test, ksize(p), sizeof(*p));
	for (i = 0; i < 2; i++) {
		dma = test_dma_map(test, kt_dev, p->buf, sizeof(p->buf), DMA_FROM_DEVICE);
		call_rcu(&p->rcu, rcu_done);
		rcu_barrier();
		test_dma_unmap(dma, sizeof(p->buf), DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
	}
	/* None of what follows is padding. */
	dma = test_dma_map(test, kt_dev, p->buf, sizeof(p->buf), DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, kt_shadow(p + 1), 0x80);
	test_dma_unmap(dma, sizeof(p->buf), DMA_FROM_DEVICE);
}

/* An object of a cache of its own, whose size is no multiple of 8. */
static void kasan_metadata_of_cache_silent(struct kunit *test)
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
		test_dma_unmap(dma, 80, DMA_FROM_DEVICE);
	}
	kmem_cache_free(cache, p);
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void overrun_off_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma;

	kt_set(test, "content", "off");
	dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	kt_device_writes(buf + 100, 1, 0xee);
	test_dma_unmap(dma, 100, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* === device-wrote-nothing ================================================= */

#define EXPECT_NOTHING(test, size)					\
	EXPECT_MAP_REPORT(test, "device-wrote-nothing", test_dma_map, size)

/* A buffer that canary=1 fills: without a shadow, no slab object, for its length is not known. */
static u8 *filled_buf(struct kunit *test)
{
	return IS_ENABLED(CONFIG_KASAN_GENERIC) ? kt_buf(test, SIZE) :
						  kt_page_buf(test);
}

static void wrote_nothing_reported(struct kunit *test)
{
	u8 *buf = filled_buf(test);
	dma_addr_t dma;

	kt_set(test, "canary", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_NOTHING(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("The device wrote none of bytes 0 to 2047 (canary=1)."));
	KUNIT_EXPECT_TRUE(test, kt_has("* whether it was done. An error, a short answer, *"));

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	kt_device_writes(buf, 1, 1);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(kt_dev, dma + 512, 512, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 512, 512, DMA_FROM_DEVICE);
	EXPECT_NOTHING(test, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("The device wrote none of bytes 512 to 1023 (canary=1)."));
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

static void wrote_something_silent(struct kunit *test)
{
	u8 *buf = filled_buf(test);
	dma_addr_t dma;

	kt_set(test, "canary", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	kt_device_writes(buf + SIZE - 1, 1, 1);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	/* One part of a buffer that is synced in parts may be untouched. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	/* The driver has written the buffer, and the device may read it: it is not filled. */
	kt_device_writes(buf, SIZE, 0x11);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
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

/* A short answer fills the beginning of a list, which is one buffer for the device. */
static void wrote_some_of_list_silent(struct kunit *test)
{
	u8 *a = filled_buf(test), *b = filled_buf(test);
	struct scatterlist sg[2];

	kt_set(test, "canary", "1");
	map_list(test, sg, a, b);
	kt_device_writes(a, 8, 1);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	map_list(test, sg, a, b);
	kt_device_writes(b, 8, 1);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

static void wrote_nothing_of_list_reported(struct kunit *test)
{
	u8 *a = filled_buf(test), *b = filled_buf(test);
	struct scatterlist sg[2];

	kt_set(test, "canary", "1");
	kt_set(test, "dedup", "0");
	map_list(test, sg, a, b);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("The device wrote none of bytes 0 to 4095 (canary=1)."));
	map_list(test, sg, a, b);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: device-wrote-nothing in map_list+0x*"));
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* The mapping may be longer than the allocation, and the rest somebody else's memory. */
static void unknown_size_not_filled(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_canary");
	struct page *pages;
	dma_addr_t dma;
	u8 *page;

	KT_REQUIRES(test, !IS_ENABLED(CONFIG_KASAN_GENERIC));
	/* Not compound. */
	pages = kt_own_pages(test, 0, 1);
	page = page_address(pages);
	kt_set(test, "canary", "1");
	kt_device_writes(page + PAGE_SIZE, SIZE, 0x11);
	dma = test_dma_map(test, kt_dev, page, PAGE_SIZE + SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dma, PAGE_SIZE + SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, page[PAGE_SIZE], 0x11);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_canary"), unjudged + 1);
	__free_pages(pages, 1);
}

/* Each case in which the buffer must keep its content. */
static void content_to_keep_not_filled(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t src, dst;

	kt_device_writes(buf, SIZE, 0x11);
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);

	kt_set(test, "canary", "1");
	kt_set(test, "off_devices", "device-wrote-nothing:" KT_NAME ".0");
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	kt_set(test, "off_devices", "");

	/* A cipher works in place: another mapping reads it. */
	src = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dst = test_dma_map(test, kt_dev, buf + 64, SIZE - 64, DMA_FROM_DEVICE);
	test_dma_unmap(dst, SIZE - 64, DMA_FROM_DEVICE);
	test_dma_unmap(src, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x11);
	KUNIT_EXPECT_EQ(test, buf[64], 0x11);
	/* A sync of what the device owns already: it may have begun to write. */
	dst = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	kt_device_writes(buf, SIZE, 0x22);
	dma_sync_single_for_device(kt_dev, dst, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dst, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, buf[0], 0x22);
	EXPECT_SILENCE(test);
}

static struct kunit_case device_writes_cases[] = {
	DIRECTION_CASE(overrun_of_object_reported),
	KUNIT_CASE(no_overrun_silent),
	KUNIT_CASE(overrun_from_middle_reported),
	KUNIT_CASE(overrun_of_large_kmalloc_reported),
	KUNIT_CASE(kasan_metadata_silent),
	KUNIT_CASE(kasan_metadata_of_cache_silent),
	KUNIT_CASE(overrun_off_silent),
	KUNIT_CASE(wrote_nothing_reported),
	KUNIT_CASE(wrote_something_silent),
	KUNIT_CASE(wrote_some_of_list_silent),
	KUNIT_CASE(wrote_nothing_of_list_reported),
	KUNIT_CASE(unknown_size_not_filled),
	KUNIT_CASE(content_to_keep_not_filled),
	{}
};

KT_SUITE(device_writes);
