// SPDX-License-Identifier: GPL-2.0
/*
 * cacheline-sharing: the first or last cache line of a device-writable buffer also holds live
 * data or another mapping. The devices are coherent, and noncoherent=64 has them judged as if
 * they were not.
 */

#include <linux/device.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt_lines.h"

KT_WRITABLE_DIRECTIONS;
KT_TWO_DIRECTIONS;

/* === cacheline-sharing: the rest of the object ============================ */

static void middle_of_object_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 24, 200, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 200);
	EXPECT_TEXT(test, FIRST "24 bytes" BEFORE);
	EXPECT_TEXT(test, LAST "32 bytes" AFTER);
	EXPECT_TEXT(test, "The object there:*");
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".0 maps 200 bytes, *");
	EXPECT_TEXT(test, "Simulated: this device is cache-coherent (noncoherent=64).");
	EXPECT_TEXT(test, "Hint: allocate the buffer separately, or align it *");
	EXPECT_NO_TEXT(test, "The other mapping:*");
	dma_unmap_single(kt_dev, dma, 200, dir);
	EXPECT_CLEAN(test, buf, KT_OBJECT);
}

/*
 * Rule 0: the rest of an object is spare until somebody writes there. As in
 * usb_get_string(), which maps 255 of 256 bytes, and drivers/usb/core/hub.c.
 */
static void start_of_object_silent(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_object_rest");
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, dir);

	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_object_rest"), unjudged + 1);
	if (kt_traps(test)) {
		test_dma_write(buf + 104, 8);
		EXPECT_REPORT(test, "shared-line-write", test_dma_write, buf + 104, 8);
	}
	dma_unmap_single(kt_dev, dma, 100, dir);
	kt_map_legally(test, buf, KT_OBJECT - 1, dir);
	kt_map_legally(test, kt_buf(test, 8), 4, dir);

	kt_set(test, "strict", "1");
	dma = test_dma_map(test, kt_dev, buf, 100, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 100);
	EXPECT_TEXT(test, LAST "28 bytes" AFTER);
	EXPECT_NO_TEXT(test, "Its first *");
	EXPECT_TEXT(test, "The object there:*");
	dma_unmap_single(kt_dev, dma, 100, dir);
}

static void end_of_object_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + KT_OBJECT - 100, 100, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 100);
	EXPECT_TEXT(test, FIRST "28 bytes" BEFORE);
	EXPECT_NO_TEXT(test, "Its last *");
	EXPECT_TEXT(test, "The object there:*");
	dma_unmap_single(kt_dev, dma, 100, dir);
}

/* A single byte, which a granule of the shadow cannot tell. */
static void one_byte_of_line_reported(struct kunit *test)
{
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + LINE, LINE - 1, DMA_FROM_DEVICE);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, LINE - 1);
	EXPECT_TEXT(test, LAST "1 byte" AFTER);
	dma_unmap_single(kt_dev, dma, LINE - 1, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf + LINE + 1, LINE - 1, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, LINE - 1);
	EXPECT_TEXT(test, FIRST "1 byte" BEFORE);
	dma_unmap_single(kt_dev, dma, LINE - 1, DMA_FROM_DEVICE);
	kt_map_legally(test, buf, LINE, DMA_FROM_DEVICE);
	kt_map_legally(test, buf + LINE, LINE, DMA_FROM_DEVICE);
}

static void other_line_sizes_reported(struct kunit *test)
{
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	kt_map_legally(test, buf + 64, 64, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "128");
	dma = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 64);
	EXPECT_TEXT(test, "Its first cache line, of 128 bytes, also holds 64 bytes" BEFORE);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);

	kt_set(test, "noncoherent", "32");
	kt_map_legally(test, buf + 32, 32, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf + 16, 32, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	EXPECT_TEXT(test, "Its first cache line, of 32 bytes, also holds 16 bytes" BEFORE);
	EXPECT_TEXT(test, "Its last cache line, of 32 bytes, also holds 16 bytes" AFTER);
	dma_unmap_single(kt_dev, dma, 32, DMA_FROM_DEVICE);
}

/* Wherever this kernel placed them: on a machine where lines count, each object has its own. */
static void whole_objects_silent(struct kunit *test)
{
	static const size_t sizes[] = { 1, 8, 13, 32, 64, 96, 100, 192, 200, 1000, 1514, 4096 };
	enum dma_data_direction dir = dir_of(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		kt_map_legally(test, kt_buf(test, sizes[i]), sizes[i], dir);
}

static void neighbouring_objects_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma[64];
	u8 *buf[64];
	int i;

	kt_set(test, "noncoherent", "128");
	for (i = 0; i < ARRAY_SIZE(buf); i++) {
		buf[i] = kt_buf(test, 32);
		dma[i] = kt_map_quietly(test, i % 2 ? kt_dev : kt_dev2, buf[i], 32, dir);
	}
	EXPECT_SILENCE(test);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		dma_unmap_single(i % 2 ? kt_dev : kt_dev2, dma[i], 32, dir);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		EXPECT_CLEAN(test, buf[i], 32);
}

static u8 *devm_buf(struct kunit *test, size_t size)
{
	u8 *buf;

	do {
		buf = devm_kmalloc(kt_dev, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
	} while (is_kfence_address(buf));
	return buf;
}

static void devm_action(void *data)
{
}

/*
 * devm_kmalloc() puts a header of the driver core before the memory, which changes with
 * each managed resource: on a machine with such lines, the header has a line of its own.
 */
static void devm_memory_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = devm_buf(test, 200);
	dma_addr_t dma;
	size_t off;

	if (IS_ALIGNED(virt_to_phys(buf), LINE))
		kunit_skip(test, "it is aligned to lines on this machine");
	/* An offset that begins neither the memory nor a line. */
	off = IS_ALIGNED(virt_to_phys(buf + 8), LINE) ? 16 : 8;
	dma = test_dma_map(test, kt_dev, buf, 200, dir);
	KUNIT_EXPECT_EQ(test, devm_add_action(kt_dev, devm_action, buf), 0);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	devm_remove_action(kt_dev, devm_action, buf);
	dma_unmap_single(kt_dev, dma, 200, dir);
	EXPECT_SILENCE(test);
	/* Lines are counted from its start. */
	kt_map_legally(test, buf, 128, dir);
	dma = test_dma_map(test, kt_dev, buf, 100, dir);
	EXPECT_SILENCE(test);
	test_dma_write(buf + 120, 8);
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, buf + 120, 8);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
	dma_unmap_single(kt_dev, dma, 100, dir);
	/* Found by content, if that was not the same before. */
	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kt_take_all();

	/* A buffer that begins elsewhere is reported. */
	dma = test_dma_map(test, kt_dev, buf + off, 200 - off, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 200 - off);
	EXPECT_TEXT(test, FIRST "*" BEFORE);
	/* This writes to the first words of the header: are they in the first line? */
	KUNIT_EXPECT_EQ(test, devm_add_action(kt_dev, devm_action, buf), 0);
	if (kt_traps(test) && off == 8)
		KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	devm_remove_action(kt_dev, devm_action, buf);
	dma_unmap_single(kt_dev, dma, 200 - off, dir);
	kt_take_all();
	EXPECT_CLEAN(test, buf, 200);
	devm_kfree(kt_dev, buf);
}

/* The device only reads, or owns nothing. */
static void read_only_mapping_silent(struct kunit *test)
{
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	kt_map_legally(test, buf + 24, 200, DMA_TO_DEVICE);
	dma = kt_map_skip_sync(test, kt_dev, buf + 24, 200, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 200, DMA_FROM_DEVICE);
}

/* Nobody knows which bytes of a page are in use. */
static void pages_silent(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_shared_page");

	kt_map_legally(test, kt_page_buf(test) + 24, 200, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("unjudged_shared_page"), unjudged + 2);
}

static void aligned_parts_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma[KT_OBJECT / LINE];
	u8 *buf = kt_object(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma[i] = test_dma_map(test, kt_dev, buf + i * LINE, LINE, dir);
	EXPECT_SILENCE(test);
	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma_unmap_single(kt_dev, dma[i], LINE, dir);
	EXPECT_CLEAN(test, buf, KT_OBJECT);
}

static void types_off_silent(struct kunit *test)
{
	u8 *buf = kt_object(test);

	kt_set(test, "off_types", "cacheline-sharing,shared-line-write,overlapping-mapping");
	kt_map_legally(test, buf + 24, 200, DMA_FROM_DEVICE);
}

/* === cacheline-sharing: lists ============================================= */

static void list_entry_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf[3] = { kt_object(test), kt_object(test), kt_object(test) };
	struct scatterlist sg[3];

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], buf[0], KT_OBJECT);
	sg_set_buf(&sg[1], buf[1] + 40, 88);
	sg_set_buf(&sg[2], buf[2], 2 * LINE);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 3, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map_sg, 88);
	EXPECT_TEXT(test, FIRST "40 bytes" BEFORE);
	EXPECT_NO_TEXT(test, "Its last *");
	dma_unmap_sg(kt_dev, sg, 3, dir);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 3, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 3, DMA_TO_DEVICE);
}

/*
 * A list that divides an object inside a line: one call maps all of that line, one unmaps
 * it, and no CPU writes to it in between.
 */
static void list_of_whole_object_silent(struct kunit *test)
{
	static const int order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };
	static const struct {
		int at, size;
	} part[] = { { 0, 100 }, { 100, 9 }, { 109, KT_OBJECT - 109 } };
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[3];
	u8 *buf = kt_object(test);
	u32 saved = kt_quiet_dma_debug();
	int i, k, nents;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		sg_init_table(sg, 3);
		for (k = 0; k < 3; k++)
			sg_set_buf(&sg[k], buf + part[order[i][k]].at, part[order[i][k]].size);
		nents = test_dma_map_sg(sg, 3, dir);
		KUNIT_EXPECT_NE(test, nents, 0);
		EXPECT_SILENCE(test);
		if (nents)
			dma_unmap_sg(kt_dev, sg, 3, dir);
		EXPECT_CLEAN(test, buf, KT_OBJECT);
	}
	kt_unquiet_dma_debug(saved);
}

/* The list leaves bytes of a line out, which the CPU may write. */
static void list_with_gap_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[2];
	u8 *buf = kt_object(test);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 70);
	sg_set_buf(&sg[1], buf + 80, KT_OBJECT - 80);
	kt_set(test, "dedup", "1");
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map_sg, KT_OBJECT - 80);
	EXPECT_TEXT(test, FIRST "10 bytes" BEFORE);
	dma_unmap_sg(kt_dev, sg, 2, dir);

	/* Mapped alone, an entry has its side of the gap. */
	kt_set(test, "dedup", "0");
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg + 1, 1, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map_sg, KT_OBJECT - 80);
	EXPECT_TEXT(test, FIRST "16 bytes" BEFORE);
	dma_unmap_sg(kt_dev, sg + 1, 1, dir);
}

/* The entries of a list that are in one object count as one buffer. */
static void list_ending_in_line_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[2];
	u8 *buf = kt_object(test);
	u32 saved;

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 100);
	sg_set_buf(&sg[1], buf + 100, 100);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, dir), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, dir);

	sg_set_buf(&sg[0], buf + LINE, 36);
	/* Two entries start in one line: dma-debug does not know that it is one list. */
	saved = kt_quiet_dma_debug();
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, dir), 0);
	kt_unquiet_dma_debug(saved);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map_sg, 100);
	EXPECT_TEXT(test, LAST "56 bytes" AFTER);
	EXPECT_NO_TEXT(test, "Its first *");
	dma_unmap_sg(kt_dev, sg, 2, dir);
	EXPECT_CLEAN(test, buf, KT_OBJECT);
}

/* Two lists may be unmapped one by one. */
static void two_lists_of_object_reported(struct kunit *test)
{
	struct scatterlist sg[2];
	u8 *buf = kt_object(test);

	sg_init_table(&sg[0], 1);
	sg_init_table(&sg[1], 1);
	sg_set_buf(&sg[0], buf, 100);
	sg_set_buf(&sg[1], buf + 100, KT_OBJECT - 100);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(&sg[0], 1, DMA_FROM_DEVICE), 0);
	EXPECT_SILENCE(test);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(&sg[1], 1, DMA_FROM_DEVICE), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map_sg, KT_OBJECT - 100);
	EXPECT_TEXT(test, FIRST OTHER);
	EXPECT_TEXT(test, "The other mapping: device * 100 bytes, *");
	dma_unmap_sg(kt_dev, &sg[1], 1, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, &sg[0], 1, DMA_FROM_DEVICE);
}

#if IS_ENABLED(CONFIG_NET)
/* As drivers allocate when they are opened: the head is a kmalloc() object. */
static void network_buffer(struct kunit *test, unsigned int size)
{
	struct sk_buff *skb = __netdev_alloc_skb_ip_align(NULL, size, GFP_KERNEL);
	bool slab;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	slab = PageSlab(virt_to_head_page(skb->head)) && !is_kfence_address(skb->head);
	if (slab) {
		kt_map_legally(test, skb->data, size, DMA_FROM_DEVICE);
		kt_map_legally(test, skb->data, size - 1, DMA_BIDIRECTIONAL);
		kt_map_legally(test, skb->data + 3, size - 3, DMA_FROM_DEVICE);
	}
	kfree_skb(skb);
	if (!slab)
		kunit_skip(test, "the buffer is no slab memory");
}

static void large_skb_silent(struct kunit *test)
{
	network_buffer(test, 1522);
}

static void small_skb_silent(struct kunit *test)
{
	network_buffer(test, 123);
}

/*
 * An object of that size that is no network buffer, whatever is in it, and a buffer that
 * runs into the struct at its end.
 */
static void no_skb_reported(struct kunit *test)
{
	struct sk_buff *skb = __netdev_alloc_skb_ip_align(NULL, 1522, GFP_KERNEL);
	u8 *buf = kt_buf(test, 2048);
	dma_addr_t dma;
	int value;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	for (value = 0; value < 2; value++) {
		memset(buf, value, 2048);
		dma = test_dma_map(test, kt_dev, buf + 64, 1522, DMA_FROM_DEVICE);
		EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 1522);
		dma_unmap_single(kt_dev, dma, 1522, DMA_FROM_DEVICE);
	}
	if (PageSlab(virt_to_head_page(skb->head)) && !is_kfence_address(skb->head)) {
		/* What follows the buffer in its line is struct skb_shared_info. */
		u8 *end = skb_end_pointer(skb);

		dma = test_dma_map(test, kt_dev, end - 1600, 1605, DMA_FROM_DEVICE);
		EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 1605);
		dma_unmap_single(kt_dev, dma, 1605, DMA_FROM_DEVICE);
	}
	kfree_skb(skb);
}
#else
static void large_skb_silent(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void small_skb_silent(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void no_skb_reported(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

/* === cacheline-sharing: another mapping =================================== */

static void fragment_after_other_reported(struct kunit *test)
{
	const struct kt_two *two = test->param_value;
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 32, two->first);
	EXPECT_SILENCE(test);
	b = kt_map_quietly(test, kt_dev2, page + 32, 24, two->second);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 24);
	EXPECT_TEXT(test, FIRST OTHER);
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".1 maps 24 bytes, *");
	kt_expect_other_mapping(test, KT_NAME ".0", 32, two->first);
	dma_unmap_single(kt_dev2, b, 24, two->second);
	dma_unmap_single(kt_dev, a, 32, two->first);
	EXPECT_CLEAN(test, page, LINE);
}

/* The other way round, and by one device. */
static void fragment_before_other_reported(struct kunit *test)
{
	const struct kt_two *two = test->param_value;
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page + 128 + 56, 8, two->first);
	b = test_dma_map(test, kt_dev, page, 128 + 16, two->second);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 128 + 16);
	EXPECT_TEXT(test, LAST OTHER);
	EXPECT_NO_TEXT(test, "Its first *");
	kt_expect_other_mapping(test, KT_NAME ".0", 8, two->first);
	dma_unmap_single(kt_dev, b, 128 + 16, two->second);
	dma_unmap_single(kt_dev, a, 8, two->first);
}

static void fragments_to_device_silent(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 32, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + 32, 32, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 32, DMA_TO_DEVICE);
}

/* Not reported if the CPU owns the other mapping. */
static void fragment_cpu_owns_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 32, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, a, 32, DMA_FROM_DEVICE);
	b = kt_map_quietly(test, kt_dev2, page + 32, 32, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, dir);
	dma_unmap_single(kt_dev, a, 32, DMA_FROM_DEVICE);

	a = kt_map_skip_sync(test, kt_dev, page, 32, DMA_FROM_DEVICE);
	b = kt_map_quietly(test, kt_dev2, page + 32, 32, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, dir);
	dma_unmap_single(kt_dev, a, 32, DMA_FROM_DEVICE);
}

/* Only who owns the part of it that lies in the line counts. */
static void other_end_cpu_owns_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 160, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, a, 128, 32, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 160, 32, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(kt_dev, a, 128, 32, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, a, 0, 128, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 160, 32, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	dma_unmap_single(kt_dev2, b, 32, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 160, DMA_FROM_DEVICE);
}

static void fragment_unmapped_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);

	kt_map_legally(test, page, 32, dir);
	kt_map_legally(test, page + 32, 32, dir);
}

static void neighbouring_lines_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, LINE, dir);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + LINE, LINE, dir);
	dma_addr_t c = test_dma_map(test, kt_dev2, page + 3 * LINE - 8, 8, dir);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, c, 8, dir);
	dma_unmap_single(kt_dev2, b, LINE, dir);
	dma_unmap_single(kt_dev, a, LINE, dir);
}

/* The rest of the object is not spare: it is mapped, too. */
static void parts_of_object_reported(struct kunit *test)
{
	u8 *buf = kt_object(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, buf, 80, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	b = test_dma_map(test, kt_dev2, buf + 80, 80, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 80);
	EXPECT_TEXT(test, FIRST OTHER);
	kt_expect_other_mapping(test, KT_NAME ".0", 80, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, b, 80, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, a, 80, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, buf, KT_OBJECT);
}

static struct kunit_case lines_cases[] = {
	DIRECTION_CASE(middle_of_object_reported),
	DIRECTION_CASE(start_of_object_silent),
	DIRECTION_CASE(end_of_object_reported),
	KUNIT_CASE(one_byte_of_line_reported),
	KUNIT_CASE(other_line_sizes_reported),
	DIRECTION_CASE(whole_objects_silent),
	DIRECTION_CASE(neighbouring_objects_silent),
	DIRECTION_CASE(devm_memory_silent),
	KUNIT_CASE(read_only_mapping_silent),
	KUNIT_CASE(pages_silent),
	DIRECTION_CASE(aligned_parts_silent),
	KUNIT_CASE(types_off_silent),
	DIRECTION_CASE(list_entry_reported),
	DIRECTION_CASE(list_of_whole_object_silent),
	DIRECTION_CASE(list_with_gap_reported),
	DIRECTION_CASE(list_ending_in_line_reported),
	KUNIT_CASE(two_lists_of_object_reported),
	KUNIT_CASE(large_skb_silent),
	KUNIT_CASE(small_skb_silent),
	KUNIT_CASE(no_skb_reported),
	TWO_CASE(fragment_after_other_reported),
	TWO_CASE(fragment_before_other_reported),
	KUNIT_CASE(fragments_to_device_silent),
	DIRECTION_CASE(fragment_cpu_owns_silent),
	KUNIT_CASE(other_end_cpu_owns_reported),
	DIRECTION_CASE(fragment_unmapped_silent),
	DIRECTION_CASE(neighbouring_lines_silent),
	KUNIT_CASE(parts_of_object_reported),
	{}
};

KT_SUITE_INIT(lines, kt_lines_test_init);
