// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 9 and 10: what is legal on a coherent device and not on another one. Cache
 * lines that a device-writable buffer shares with something else, at the map and
 * at a write, and memory that is mapped twice. The devices of these tests are
 * coherent, and the parameter noncoherent has them judged as if they were not; but
 * for the last tests, for machines on which devices need not be coherent.
 *
 * dma-debug warns of two device-writable mappings that start in one cache line;
 * where that cannot be avoided it is kept quiet.
 */

#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/file.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "dod_test.h"

#define LINE	64
#define OBJECT	512
#define EDGE	0xd4

#define FIRST	"Its first cache line, of 64 bytes, also holds "
#define LAST	"Its last cache line, of 64 bytes, also holds "
#define BEFORE	" before the buffer, which the CPU may write."
#define BEHIND	" behind the buffer, which the CPU may write."
#define OTHER	"bytes of another mapping."

static const enum dma_data_direction directions[] = {
	DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
};
KUNIT_ARRAY_PARAM(direction, directions, kt_dir_desc);

/* A bounce buffer shares no line with anything. */
static int lines_test_init(struct kunit *test)
{
	int err = kt_test_init(test);

	if (is_swiotlb_force_bounce(kt_dev))
		kunit_skip(test, "all is bounced (swiotlb=force)");
	if (!err)
		kt_set(test, "noncoherent", "64");
	return err;
}

/* kmalloc() aligns such sizes to themselves. */
static u8 *object(struct kunit *test)
{
	u8 *buf = kt_buf(test, OBJECT);

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(virt_to_phys(buf), 2 * LINE));
	return buf;
}

static u8 *page_buf(struct kunit *test)
{
	return page_address(kt_page(test, 0));
}

static u32 hush(struct kunit *test)
{
	u32 *budget = kt_quiet_dma_debug(test), saved = 0;

	if (budget)
		swap(*budget, saved);
	return saved;
}

static void unhush(struct kunit *test, u32 saved)
{
	u32 *budget = kt_quiet_dma_debug(test);

	if (budget)
		*budget = saved;
}

static dma_addr_t map_hushed(struct kunit *test, struct device *dev, void *buf, size_t size,
			     enum dma_data_direction dir)
{
	u32 saved = hush(test);
	dma_addr_t dma = test_dma_map(test, dev, buf, size, dir);

	unhush(test, saved);
	return dma;
}

static dma_addr_t map_skip_sync(struct kunit *test, struct device *dev, void *buf, size_t size,
				enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single_attrs(dev, buf, size, dir, DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static kt_noinline int test_map_list(struct scatterlist *sg, int nents, enum dma_data_direction dir)
{
	return dma_map_sg(kt_dev, sg, nents, dir);
}

static void map_legally(struct kunit *test, u8 *buf, size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, size, dir);
}

#define EXPECT_TEXT(test, pattern)					\
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(pattern), "no line '%s'", pattern)
#define EXPECT_NO_TEXT(test, pattern)					\
	KUNIT_EXPECT_FALSE_MSG(test, kt_has(pattern), "a line '%s'", pattern)

/* === cacheline-sharing: the rest of the object ============================ */

static void middle_of_an_object(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 24, 200, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 200);
	EXPECT_TEXT(test, FIRST "24 bytes" BEFORE);
	EXPECT_TEXT(test, LAST "32 bytes" BEHIND);
	EXPECT_TEXT(test, "The object there:*");
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".0 is given these 200 bytes, *");
	EXPECT_TEXT(test, "The device is *; judged as if it were not (noncoherent=64).");
	EXPECT_TEXT(test, "Hint: give the buffer an allocation of its own, *");
	EXPECT_NO_TEXT(test, "The other mapping:*");
	dma_unmap_single(kt_dev, dma, 200, dir);
	EXPECT_CLEAN(test, buf, OBJECT);
}

/*
 * The rest of an object that a buffer begins is spare, until somebody writes there: rule 0.
 * As usb_get_string() does, which maps 255 of 256 bytes, and drivers/usb/core/hub.c.
 */
static void start_of_an_object(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_object_rest");
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 100, dir);

	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_object_rest"), unjudged + 1);
	if (kt_traps(test)) {
		test_dma_write(buf + 104, 8);
		EXPECT_REPORT(test, "shared-line-write", test_dma_write, buf + 104, 8);
	}
	dma_unmap_single(kt_dev, dma, 100, dir);
	map_legally(test, buf, OBJECT - 1, dir);
	map_legally(test, kt_buf(test, 8), 4, dir);

	kt_set(test, "strict", "1");
	dma = test_dma_map(test, kt_dev, buf, 100, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 100);
	EXPECT_TEXT(test, LAST "28 bytes" BEHIND);
	EXPECT_NO_TEXT(test, "Its first *");
	EXPECT_TEXT(test, "The object there:*");
	dma_unmap_single(kt_dev, dma, 100, dir);
}

static void end_of_an_object(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + OBJECT - 100, 100, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 100);
	EXPECT_TEXT(test, FIRST "28 bytes" BEFORE);
	EXPECT_NO_TEXT(test, "Its last *");
	EXPECT_TEXT(test, "The object there:*");
	dma_unmap_single(kt_dev, dma, 100, dir);
}

/* The smallest there is, below what a granule of the shadow can tell. */
static void one_byte(struct kunit *test)
{
	u8 *buf = object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + LINE, LINE - 1, DMA_FROM_DEVICE);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, LINE - 1);
	EXPECT_TEXT(test, LAST "1 byte" BEHIND);
	dma_unmap_single(kt_dev, dma, LINE - 1, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf + LINE + 1, LINE - 1, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, LINE - 1);
	EXPECT_TEXT(test, FIRST "1 byte" BEFORE);
	dma_unmap_single(kt_dev, dma, LINE - 1, DMA_FROM_DEVICE);
	map_legally(test, buf, LINE, DMA_FROM_DEVICE);
	map_legally(test, buf + LINE, LINE, DMA_FROM_DEVICE);
}

static void other_line_sizes(struct kunit *test)
{
	u8 *buf = object(test);
	dma_addr_t dma;

	map_legally(test, buf + 64, 64, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "128");
	dma = test_dma_map(test, kt_dev, buf + 64, 64, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 64);
	EXPECT_TEXT(test, "Its first cache line, of 128 bytes, also holds 64 bytes" BEFORE);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);

	kt_set(test, "noncoherent", "32");
	map_legally(test, buf + 32, 32, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf + 16, 32, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	EXPECT_TEXT(test, "Its first cache line, of 32 bytes, also holds 16 bytes" BEFORE);
	EXPECT_TEXT(test, "Its last cache line, of 32 bytes, also holds 16 bytes" BEHIND);
	dma_unmap_single(kt_dev, dma, 32, DMA_FROM_DEVICE);
}

/* However this kernel placed them: where lines count, each has its own. */
static void whole_objects(struct kunit *test)
{
	static const size_t sizes[] = { 1, 8, 13, 32, 64, 96, 100, 192, 200, 1000, 1514, 4096 };
	enum dma_data_direction dir = dir_of(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		map_legally(test, kt_buf(test, sizes[i]), sizes[i], dir);
}

static void neighbouring_objects(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma[64];
	u8 *buf[64];
	int i;

	kt_set(test, "noncoherent", "128");
	for (i = 0; i < ARRAY_SIZE(buf); i++) {
		buf[i] = kt_buf(test, 32);
		dma[i] = map_hushed(test, i % 2 ? kt_dev : kt_dev2, buf[i], 32, dir);
	}
	EXPECT_SILENCE(test);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		dma_unmap_single(i % 2 ? kt_dev : kt_dev2, dma[i], 32, dir);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		EXPECT_CLEAN(test, buf[i], 32);
}

static u8 *managed_buf(struct kunit *test, size_t size)
{
	u8 *buf;

	do {
		buf = devm_kmalloc(kt_dev, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
	} while (is_kfence_address(buf));
	return buf;
}

static void managed_action(void *data)
{
}

/*
 * devm_kmalloc() has a header of the driver core's before its memory, which changes when
 * something else is managed: on a machine with such lines it has one of its own.
 */
static void managed_memory(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = managed_buf(test, 200);
	dma_addr_t dma;
	size_t off;

	if (IS_ALIGNED(virt_to_phys(buf), LINE))
		kunit_skip(test, "it is aligned to lines on this machine");
	/* Neither its beginning nor a line's. */
	off = IS_ALIGNED(virt_to_phys(buf + 8), LINE) ? 16 : 8;
	dma = test_dma_map(test, kt_dev, buf, 200, dir);
	KUNIT_EXPECT_EQ(test, devm_add_action(kt_dev, managed_action, buf), 0);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	devm_remove_action(kt_dev, managed_action, buf);
	dma_unmap_single(kt_dev, dma, 200, dir);
	EXPECT_SILENCE(test);
	/* Lines are counted from its start. */
	map_legally(test, buf, 128, dir);
	dma = test_dma_map(test, kt_dev, buf, 100, dir);
	EXPECT_SILENCE(test);
	test_dma_write(buf + 120, 8);
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, buf + 120, 8);
	EXPECT_CPU_OWNS(test, buf + 128, 8);
	dma_unmap_single(kt_dev, dma, 100, dir);

	/* But for what begins elsewhere. */
	dma = test_dma_map(test, kt_dev, buf + off, 200 - off, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 200 - off);
	EXPECT_TEXT(test, FIRST "*" BEFORE);
	/* It writes to the header's first words: are they in the first line? */
	KUNIT_EXPECT_EQ(test, devm_add_action(kt_dev, managed_action, buf), 0);
	if (kt_traps(test) && off == 8)
		KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	devm_remove_action(kt_dev, managed_action, buf);
	dma_unmap_single(kt_dev, dma, 200 - off, dir);
	kt_take_all();
	EXPECT_CLEAN(test, buf, 200);
	devm_kfree(kt_dev, buf);
}

/* The device writes nothing, or owns nothing. */
static void nothing_is_written(struct kunit *test)
{
	u8 *buf = object(test);
	dma_addr_t dma;

	map_legally(test, buf + 24, 200, DMA_TO_DEVICE);
	dma = map_skip_sync(test, kt_dev, buf + 24, 200, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 200, DMA_FROM_DEVICE);
}

/* Nobody knows which bytes of a page are in use. */
static void pages_are_not_judged(struct kunit *test)
{
	long unjudged = dma_owner_debug_count("unjudged_shared_page");

	map_legally(test, page_buf(test) + 24, 200, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("unjudged_shared_page"), unjudged + 2);
}

static void aligned_parts(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma[OBJECT / LINE];
	u8 *buf = object(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma[i] = test_dma_map(test, kt_dev, buf + i * LINE, LINE, dir);
	EXPECT_SILENCE(test);
	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma_unmap_single(kt_dev, dma[i], LINE, dir);
	EXPECT_CLEAN(test, buf, OBJECT);
}

/* The devices are coherent: all of it is legal. */
static void coherent_devices(struct kunit *test)
{
	u8 *buf = object(test), *page = page_buf(test);
	dma_addr_t a, b;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));

	kt_set(test, "noncoherent", "0");
	map_legally(test, buf + 24, 200, DMA_FROM_DEVICE);
	a = test_dma_map(test, kt_dev, page, 16, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 32, 16, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, page + 16, 8);
	dma_unmap_single(kt_dev2, b, 16, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 16, DMA_FROM_DEVICE);
	a = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 128, 256, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev2, b, 256, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev, a, 256, DMA_FROM_DEVICE);
}

static void sharing_switched_off(struct kunit *test)
{
	u8 *buf = object(test);

	kt_set(test, "off_types", "cacheline-sharing,shared-line-write,overlapping-mapping");
	map_legally(test, buf + 24, 200, DMA_FROM_DEVICE);
}

/* === cacheline-sharing: lists ============================================= */

static void entries_are_checked(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf[3] = { object(test), object(test), object(test) };
	struct scatterlist sg[3];

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], buf[0], OBJECT);
	sg_set_buf(&sg[1], buf[1] + 40, 88);
	sg_set_buf(&sg[2], buf[2], 2 * LINE);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 3, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, 88);
	EXPECT_TEXT(test, FIRST "40 bytes" BEFORE);
	EXPECT_NO_TEXT(test, "Its last *");
	dma_unmap_sg(kt_dev, sg, 3, dir);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 3, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 3, DMA_TO_DEVICE);
}

/*
 * A list that divides an object inside a line: all of that line is given to the
 * device and taken back in one call, and gets dirty at no time in between.
 */
static void list_divides_an_object(struct kunit *test)
{
	static const int order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };
	static const struct {
		int at, size;
	} part[] = { { 0, 100 }, { 100, 9 }, { 109, OBJECT - 109 } };
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[3];
	u8 *buf = object(test);
	u32 saved = hush(test);
	int i, k, nents;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		sg_init_table(sg, 3);
		for (k = 0; k < 3; k++)
			sg_set_buf(&sg[k], buf + part[order[i][k]].at, part[order[i][k]].size);
		nents = test_map_list(sg, 3, dir);
		KUNIT_EXPECT_NE(test, nents, 0);
		EXPECT_SILENCE(test);
		if (nents)
			dma_unmap_sg(kt_dev, sg, 3, dir);
		EXPECT_CLEAN(test, buf, OBJECT);
	}
	unhush(test, saved);
}

/* What the list leaves out of that line is somebody's. */
static void list_with_a_gap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[2];
	u8 *buf = object(test);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 70);
	sg_set_buf(&sg[1], buf + 80, OBJECT - 80);
	kt_set(test, "dedup", "1");
	KUNIT_ASSERT_NE(test, test_map_list(sg, 2, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, OBJECT - 80);
	EXPECT_TEXT(test, FIRST "10 bytes" BEFORE);
	dma_unmap_sg(kt_dev, sg, 2, dir);

	/* Alone, each of the two finds its side of the gap. */
	kt_set(test, "dedup", "0");
	KUNIT_ASSERT_NE(test, test_map_list(sg + 1, 1, dir), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, OBJECT - 80);
	EXPECT_TEXT(test, FIRST "16 bytes" BEFORE);
	dma_unmap_sg(kt_dev, sg + 1, 1, dir);
}

/* The outer ends of what a list holds of an object count as those of one buffer. */
static void list_that_ends_in_a_line(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct scatterlist sg[2];
	u8 *buf = object(test);
	u32 saved;

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 100);
	sg_set_buf(&sg[1], buf + 100, 100);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 2, dir), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, dir);

	sg_set_buf(&sg[0], buf + LINE, 36);
	/* Two that start in one line: dma-debug does not know that it is one list. */
	saved = hush(test);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 2, dir), 0);
	unhush(test, saved);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, 100);
	EXPECT_TEXT(test, LAST "56 bytes" BEHIND);
	EXPECT_NO_TEXT(test, "Its first *");
	dma_unmap_sg(kt_dev, sg, 2, dir);
	EXPECT_CLEAN(test, buf, OBJECT);
}

/* Two calls may be taken back one by one. */
static void two_lists_divide_an_object(struct kunit *test)
{
	struct scatterlist sg[2];
	u8 *buf = object(test);

	sg_init_table(&sg[0], 1);
	sg_init_table(&sg[1], 1);
	sg_set_buf(&sg[0], buf, 100);
	sg_set_buf(&sg[1], buf + 100, OBJECT - 100);
	KUNIT_ASSERT_NE(test, test_map_list(&sg[0], 1, DMA_FROM_DEVICE), 0);
	EXPECT_SILENCE(test);
	KUNIT_ASSERT_NE(test, test_map_list(&sg[1], 1, DMA_FROM_DEVICE), 0);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_map_list, OBJECT - 100);
	EXPECT_TEXT(test, FIRST OTHER);
	EXPECT_TEXT(test, "The other mapping: device * 100 bytes, *");
	dma_unmap_sg(kt_dev, &sg[1], 1, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, &sg[0], 1, DMA_FROM_DEVICE);
}

#if IS_ENABLED(CONFIG_NET)
/* As drivers do when they are opened: the head is an object of kmalloc()'s. */
static void network_buffer(struct kunit *test, unsigned int size)
{
	struct sk_buff *skb = __netdev_alloc_skb_ip_align(NULL, size, GFP_KERNEL);
	bool slab;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	slab = PageSlab(virt_to_head_page(skb->head)) && !is_kfence_address(skb->head);
	if (slab) {
		map_legally(test, skb->data, size, DMA_FROM_DEVICE);
		map_legally(test, skb->data, size - 1, DMA_BIDIRECTIONAL);
		map_legally(test, skb->data + 3, size - 3, DMA_FROM_DEVICE);
	}
	kfree_skb(skb);
	if (!slab)
		kunit_skip(test, "the buffer is no slab memory");
}

static void large_network_buffer(struct kunit *test)
{
	network_buffer(test, 1522);
}

static void small_network_buffer(struct kunit *test)
{
	network_buffer(test, 123);
}

/* An object of that size that is none, whatever is in it, and one that is one no more. */
static void no_network_buffer(struct kunit *test)
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
		/* What follows the buffer in its line is the struct itself. */
		u8 *end = skb_end_pointer(skb);

		dma = test_dma_map(test, kt_dev, end - 1600, 1605, DMA_FROM_DEVICE);
		EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 1605);
		dma_unmap_single(kt_dev, dma, 1605, DMA_FROM_DEVICE);
	}
	kfree_skb(skb);
}
#else
static void large_network_buffer(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void small_network_buffer(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void no_network_buffer(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

/* === cacheline-sharing: another mapping =================================== */

struct two {
	enum dma_data_direction first, second;
};

static void two_desc(const struct two *two, char *desc)
{
	char first[KUNIT_PARAM_DESC_SIZE], second[KUNIT_PARAM_DESC_SIZE];

	kt_dir_desc(&two->first, first);
	kt_dir_desc(&two->second, second);
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, %s", first, second);
}

static const struct two twos[] = {
	{ DMA_FROM_DEVICE, DMA_TO_DEVICE },
	{ DMA_TO_DEVICE, DMA_FROM_DEVICE },
	{ DMA_FROM_DEVICE, DMA_FROM_DEVICE },
	{ DMA_BIDIRECTIONAL, DMA_TO_DEVICE },
	{ DMA_TO_DEVICE, DMA_BIDIRECTIONAL },
	{ DMA_BIDIRECTIONAL, DMA_BIDIRECTIONAL },
};

KUNIT_ARRAY_PARAM(two, twos, two_desc);

static const char *dir_text(enum dma_data_direction dir)
{
	return dir == DMA_TO_DEVICE ? "DMA_TO_DEVICE" :
	       dir == DMA_FROM_DEVICE ? "DMA_FROM_DEVICE" : "DMA_BIDIRECTIONAL";
}

/* Both parties: the one by device, size, direction and stack, the other one, too. */
static void expect_both(struct kunit *test, const char *other_dev, int other_size,
			enum dma_data_direction other_dir)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "The other mapping: device " KT_NAME " %s, %d bytes, %s, \\[*, *), dma 0x*",
		 other_dev, other_size, dir_text(other_dir));
	EXPECT_TEXT(test, line);
	EXPECT_TEXT(test, "Mapped by task * on cpu * at *");
}

static void two_fragments(struct kunit *test)
{
	const struct two *two = test->param_value;
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 32, two->first);
	EXPECT_SILENCE(test);
	b = map_hushed(test, kt_dev2, page + 32, 24, two->second);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 24);
	EXPECT_TEXT(test, FIRST OTHER);
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".1 is given these 24 bytes, *");
	expect_both(test, KT_NAME ".0", 32, two->first);
	dma_unmap_single(kt_dev2, b, 24, two->second);
	dma_unmap_single(kt_dev, a, 32, two->first);
	EXPECT_CLEAN(test, page, LINE);
}

/* The other way round, and on one device. */
static void fragment_behind(struct kunit *test)
{
	const struct two *two = test->param_value;
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page + 128 + 56, 8, two->first);
	b = test_dma_map(test, kt_dev, page, 128 + 16, two->second);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 128 + 16);
	EXPECT_TEXT(test, LAST OTHER);
	EXPECT_NO_TEXT(test, "Its first *");
	expect_both(test, KT_NAME ".0", 8, two->first);
	dma_unmap_single(kt_dev, b, 128 + 16, two->second);
	dma_unmap_single(kt_dev, a, 8, two->first);
}

static void fragments_to_device(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 32, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + 32, 32, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 32, DMA_TO_DEVICE);
}

/* What the CPU has of another mapping, the driver may be about to write. */
static void fragment_of_the_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 32, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, a, 32, DMA_FROM_DEVICE);
	b = map_hushed(test, kt_dev2, page + 32, 32, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, dir);
	dma_unmap_single(kt_dev, a, 32, DMA_FROM_DEVICE);

	a = map_skip_sync(test, kt_dev, page, 32, DMA_FROM_DEVICE);
	b = map_hushed(test, kt_dev2, page + 32, 32, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 32, dir);
	dma_unmap_single(kt_dev, a, 32, DMA_FROM_DEVICE);
}

/* Only the part of it that lies in the line counts. */
static void other_end_of_the_cpu(struct kunit *test)
{
	u8 *page = page_buf(test);
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

static void fragment_is_gone(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);

	map_legally(test, page, 32, dir);
	map_legally(test, page + 32, 32, dir);
}

static void neighbouring_lines(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, LINE, dir);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + LINE, LINE, dir);
	dma_addr_t c = test_dma_map(test, kt_dev2, page + 3 * LINE - 8, 8, dir);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, c, 8, dir);
	dma_unmap_single(kt_dev2, b, LINE, dir);
	dma_unmap_single(kt_dev, a, LINE, dir);
}

/* The rest of the object is not spare: it is mapped, too. */
static void parts_of_an_object(struct kunit *test)
{
	u8 *buf = object(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, buf, 80, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	b = test_dma_map(test, kt_dev2, buf + 80, 80, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 80);
	EXPECT_TEXT(test, FIRST OTHER);
	expect_both(test, KT_NAME ".0", 80, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, b, 80, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, a, 80, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, buf, OBJECT);
}

/* === shared-line-write ==================================================== */

#define EXPECT_EDGE(test, ptr, n) do {					\
	void *_p = (ptr);						\
	size_t _n = (n);						\
									\
	EXPECT_READ_OK(test, _p, _n);					\
	test_dma_write(_p, _n);						\
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, _p, _n);	\
} while (0)

static void write_beside(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test), *buf = page + LINE + 16;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 160, dir);

	EXPECT_SILENCE(test);
	EXPECT_CPU_OWNS(test, page + LINE - 8, 8);
	EXPECT_EDGE(test, buf - 16, 8);
	EXPECT_TEXT(test, "The access is 16 bytes before the buffer, in its first cache line *");
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".0 owns these 160 bytes, *");
	EXPECT_TEXT(test, "The device is *; judged as if it were not (noncoherent=64).");
	EXPECT_TEXT(test, "Hint: give the buffer an allocation of its own, *");
	EXPECT_EDGE(test, buf - 1, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 152, 8);
	EXPECT_EDGE(test, buf + 160, 1);
	EXPECT_TEXT(test, "The access is * behind the buffer, in its last cache line of 64 bytes.");
	EXPECT_EDGE(test, buf + 168, 8);
	EXPECT_TEXT(test, "The access is 9 bytes behind the buffer, in its last cache line *");
	EXPECT_CPU_OWNS(test, buf + 176, 8);
	dma_unmap_single(kt_dev, dma, 160, dir);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
	EXPECT_CPU_OWNS(test, buf - 16, 8);
}

static void write_beside_in_an_object(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 16, 32, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	EXPECT_EDGE(test, buf + 8, 4);
	EXPECT_TEXT(test, "The object there:*");
	EXPECT_EDGE(test, buf + 60, 4);
	EXPECT_CPU_OWNS(test, buf + LINE, 8);
	dma_unmap_single(kt_dev, dma, 32, dir);
	EXPECT_CLEAN(test, buf, OBJECT);
}

static void edges_of_other_sizes(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "128");
	dma = test_dma_map(test, kt_dev, page + 256, 8, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + 248, 8);
	EXPECT_EDGE(test, page + 264, 8);
	EXPECT_EDGE(test, page + 376, 8);
	EXPECT_TEXT(test, "* in its last cache line of 128 bytes.");
	EXPECT_CPU_OWNS(test, page + 384, 8);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);

	kt_set(test, "noncoherent", "32");
	dma = test_dma_map(test, kt_dev, page + 256, 8, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 280, 8);
	EXPECT_CPU_OWNS(test, page + 288, 8);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);

	/* As wide as it gets, and as narrow: a granule has no rest. */
	kt_set(test, "noncoherent", "1024");
	dma = test_dma_map(test, kt_dev, page + PAGE_SIZE - 8, 8, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + PAGE_SIZE - 1024, 8);
	EXPECT_CPU_OWNS(test, page + PAGE_SIZE - 1032, 8);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "8");
	dma = test_dma_map(test, kt_dev, page + 256, 8, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + 248, 8);
	EXPECT_CPU_OWNS(test, page + 264, 8);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* Clean lines are written back by nobody; whose line it is was decided at the map. */
static void no_edges(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t dma;

	dma = test_dma_map(test, kt_dev, page + 16, 160, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, page + 8, 8);
	EXPECT_CPU_OWNS(test, page + 176, 8);
	dma_unmap_single(kt_dev, dma, 160, DMA_TO_DEVICE);

	dma = map_skip_sync(test, kt_dev, page + 16, 160, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + 8, 8);
	dma_sync_single_for_device(kt_dev, dma, 160, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 8, 8);
	dma_unmap_single(kt_dev, dma, 160, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + 8, 8);

	dma = test_dma_map(test, kt_dev, page + LINE, 2 * LINE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + LINE - 8, 8);
	EXPECT_CPU_OWNS(test, page + 3 * LINE, 8);
	dma_unmap_single(kt_dev, dma, 2 * LINE, DMA_FROM_DEVICE);
}

static void parameter_changes(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t with, without;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));

	with = test_dma_map(test, kt_dev, page + 16, 160, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "0");
	without = test_dma_map(test, kt_dev, page + 512 + 16, 160, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	kt_set(test, "noncoherent", "32");
	EXPECT_EDGE(test, page + 176, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	dma_unmap_single(kt_dev, with, 160, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, without, 160, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* An edge lasts as long as the device owns something of its line. */
static void edges_follow_syncs(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test), *buf = page + 16;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 160, dir);

	kt_give_in_parts(kt_dev, dma, 160, 8, dir);
	/* The head: bytes [0, 48) of the buffer are in its first line. */
	dma_sync_single_for_cpu(kt_dev, dma, 40, dir);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 32, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 40, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, 40, 8, dir);
	EXPECT_CPU_OWNS(test, page + 8, 8);
	EXPECT_EDGE(test, buf + 160, 8);

	/* The tail: bytes [112, 160). */
	dma_sync_single_range_for_cpu(kt_dev, dma, 112, 48, dir);
	EXPECT_CPU_OWNS(test, buf + 152, 8);
	EXPECT_CPU_OWNS(test, buf + 160, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 48, 8);

	dma_sync_single_range_for_device(kt_dev, dma, 152, 8, dir);
	EXPECT_CPU_OWNS(test, buf + 144, 8);
	EXPECT_EDGE(test, buf + 160, 8);
	EXPECT_CPU_OWNS(test, page + 8, 8);
	dma_sync_single_for_device(kt_dev, dma, 160, dir);
	EXPECT_EDGE(test, page, 8);
	dma_sync_single_for_cpu(kt_dev, dma, 160, dir);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
	dma_unmap_single(kt_dev, dma, 160, dir);
}

/* A header in the middle of what the device owns: its driver's to sync. */
static void own_bytes_are_no_edge(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, page, 1024, dir);

	dma_sync_single_range_for_cpu(kt_dev, dma, 512 + 8, 24, dir);
	EXPECT_DEVICE_OWNS(test, dir, page + 512, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 24, 8);
	EXPECT_DEVICE_OWNS(test, dir, page + 512 + 32, 8);
	dma_unmap_single(kt_dev, dma, 1024, dir);
	EXPECT_CLEAN(test, page, 1024);
}

static void two_in_one_line(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 16, DMA_FROM_DEVICE);
	b = map_hushed(test, kt_dev2, page + 48, 16, DMA_BIDIRECTIONAL);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 16);
	EXPECT_EDGE(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, page + 8, 8);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, page + 48, 8);

	/* What was the one's own is now beside the other. */
	dma_unmap_single(kt_dev, a, 16, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_TEXT(test, "The access is 40 bytes before the buffer, *");
	EXPECT_TEXT(test, "Device * " KT_NAME ".1 owns *");
	EXPECT_EDGE(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, page + 48, 8);

	a = map_hushed(test, kt_dev, page, 16, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 16);
	dma_unmap_single(kt_dev2, b, 16, DMA_BIDIRECTIONAL);
	EXPECT_EDGE(test, page + 24, 8);
	EXPECT_EDGE(test, page + 56, 8);
	EXPECT_TEXT(test, "Device * " KT_NAME ".0 owns *");
	dma_sync_single_for_cpu(kt_dev, a, 16, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, page + 24, 8);
	dma_unmap_single(kt_dev, a, 16, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* What the other device reads is more than an edge, whichever was first. */
static void beside_what_goes_to_a_device(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t from, to;
	int to_first;

	for (to_first = 0; to_first < 2; to_first++) {
		if (to_first)
			to = test_dma_map(test, kt_dev2, page + 32, 16, DMA_TO_DEVICE);
		from = test_dma_map(test, kt_dev, page, 32, DMA_FROM_DEVICE);
		if (!to_first)
			to = test_dma_map(test, kt_dev2, page + 32, 16, DMA_TO_DEVICE);
		KUNIT_EXPECT_STREQ(test, kt_take_map_report("cacheline-sharing", test_dma_map,
							    to_first ? 32 : 16), "");

		KUNIT_EXPECT_EQ(test, kt_shadow(page + 32), 0xd1);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, page + 40, 8);
		KUNIT_EXPECT_EQ(test, kt_shadow(page + 48), EDGE);
		EXPECT_EDGE(test, page + 48, 8);
		if (to_first) {
			dma_unmap_single(kt_dev2, to, 16, DMA_TO_DEVICE);
			EXPECT_EDGE(test, page + 40, 8);
			dma_unmap_single(kt_dev, from, 32, DMA_FROM_DEVICE);
		} else {
			dma_unmap_single(kt_dev, from, 32, DMA_FROM_DEVICE);
			EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, page + 40, 8);
			EXPECT_CPU_OWNS(test, page + 48, 8);
			dma_unmap_single(kt_dev2, to, 16, DMA_TO_DEVICE);
		}
		EXPECT_CLEAN(test, page, PAGE_SIZE);
	}
}

#define AROUND 128

static void read_shadow(u8 *shadow, const u8 *buf)
{
	int i;

	for (i = 0; i < (AROUND + 256 + AROUND) / 8; i++)
		shadow[i] = kt_shadow(buf - AROUND + i * 8);
}

/* An edge ends where the object does, and KASAN's values stay KASAN's. */
static void redzones_stay(struct kunit *test)
{
	static const struct {
		int at, size;
	} part[] = { { 0, 205 }, { 0, 200 }, { 8, 192 }, { 0, 130 }, { 196, 9 }, { 201, 2 } };
	u8 before[(AROUND + 256 + AROUND) / 8], after[ARRAY_SIZE(before)];
	/* Of 205 bytes, the last granule has 5. */
	u8 *buf = kt_buf(test, 205);
	dma_addr_t dma;
	int i, k;

	kt_set(test, "noncoherent", "128");
	read_shadow(before, buf);
	KUNIT_ASSERT_EQ(test, kt_shadow(buf + 200), 5);
	for (i = 0; i < ARRAY_SIZE(part); i++) {
		dma = test_dma_map(test, kt_dev, buf + part[i].at, part[i].size,
				   DMA_FROM_DEVICE);
		if (!part[i].at)
			EXPECT_SILENCE(test);
		else
			EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, part[i].size);
		read_shadow(after, buf);
		for (k = 0; k < ARRAY_SIZE(before); k++) {
			bool inside = k >= AROUND / 8 && k < AROUND / 8 + 25;

			/* The granule of the object's end may be the mapping's end, too. */
			if (inside || k == AROUND / 8 + 25)
				continue;
			KUNIT_EXPECT_EQ_MSG(test, after[k], before[k], "part %d, offset %d", i,
					    k * 8 - AROUND);
		}
		dma_unmap_single(kt_dev, dma, part[i].size, DMA_FROM_DEVICE);
		read_shadow(after, buf);
		KUNIT_EXPECT_EQ(test, memcmp(before, after, sizeof(before)), 0);
	}
}

static kt_noinline void test_fill(void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(p, 0, size);
}

/* From the edge into the buffer, or the other way: the buffer is what counts. */
static void fill_across(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);

	dma = test_dma_map(test, kt_dev, page + 32, 64, DMA_FROM_DEVICE);
	test_fill(page + 8, 48);
	EXPECT_REPORT(test, "cpu-write", test_fill, page + 8, 48);
	EXPECT_TEXT(test, "The access is 0 bytes into the buffer.");
	test_fill(page + 80, 40);
	EXPECT_REPORT(test, "cpu-write", test_fill, page + 80, 40);
	test_fill(page, 256);
	EXPECT_REPORT(test, "cpu-write", test_fill, page, 256);
	test_fill(page, 24);
	EXPECT_REPORT(test, "shared-line-write", test_fill, page, 24);
	/* From memory of no interest into the edge. */
	test_fill(page + 104, 256);
	EXPECT_REPORT(test, "shared-line-write", test_fill, page + 104, 256);
	EXPECT_TEXT(test, "The access is 9 bytes behind the buffer, *");
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_fill(page, 256);
	EXPECT_SILENCE(test);
}

static void edges_of_entries(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], page + 16, 32);
	sg_set_buf(&sg[1], page + 1024, 96);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 2, dir), 0);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_EDGE(test, page + 48, 8);
	EXPECT_EDGE(test, page + 1024 + 96, 8);
	EXPECT_CPU_OWNS(test, page + 1016, 8);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, dir);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
	dma_sync_sg_for_device(kt_dev, sg, 2, dir);
	EXPECT_EDGE(test, page + 48, 8);
	dma_unmap_sg(kt_dev, sg, 2, dir);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* Mappings of two regions are kept elsewhere: see wide.c. */
static void edges_of_wide_mappings(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, get_order(2 * SZ_2M));
	u8 *mid = page_address(page) + SZ_2M, *buf = mid - 512 + 16;
	dma_addr_t dma, near;

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(page_to_phys(page), SZ_2M));
	dma = test_dma_map(test, kt_dev, buf, 1024 - 32, dir);
	EXPECT_CPU_OWNS(test, mid - 512 - 8, 8);
	EXPECT_EDGE(test, mid - 512, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid - 8, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid, 8);
	EXPECT_EDGE(test, mid + 512 - 16, 8);
	EXPECT_CPU_OWNS(test, mid + 512, 8);

	/* A narrow one in the same line, that comes and goes. */
	near = test_dma_map(test, kt_dev2, mid + 512 - 8, 8, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 8);
	expect_both(test, KT_NAME ".0", 1024 - 32, dir);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, mid + 512 - 8, 8);
	dma_unmap_single(kt_dev2, near, 8, DMA_TO_DEVICE);
	EXPECT_EDGE(test, mid + 512 - 8, 8);

	kt_give_in_parts(kt_dev, dma, 1024 - 32, 32, dir);
	dma_sync_single_for_cpu(kt_dev, dma, 512, dir);
	EXPECT_CPU_OWNS(test, mid - 512, 8);
	EXPECT_EDGE(test, mid + 512 - 16, 8);
	dma_sync_single_range_for_device(kt_dev, dma, 40, 8, dir);
	EXPECT_EDGE(test, mid - 512, 8);
	dma_unmap_single(kt_dev, dma, 1024 - 32, dir);
	EXPECT_CLEAN(test, mid - 1024, 2048);

	/* Just as wide as the lines on both sides of the boundary. */
	dma = test_dma_map(test, kt_dev, mid - 8, 16, dir);
	EXPECT_EDGE(test, mid - 64, 8);
	EXPECT_EDGE(test, mid + 56, 8);
	dma_unmap_single(kt_dev, dma, 16, dir);
	EXPECT_CLEAN(test, mid - 1024, 2048);
}

#define ROUNDS 2000

struct toucher {
	struct kt_thread thread;
	u8 *from;
	int size;
};

static int touch(void *arg)
{
	struct toucher *t = arg;
	int round;

	for (round = 0; round < 4 * ROUNDS; round++) {
		u8 *p = t->from + round * 8 % t->size;

		if (round & 1)
			test_dma_read(p, 8);
		else
			test_dma_write(p, 8);
		cond_resched();
	}
	return 0;
}

/* Two that share a line come and go while a third party writes all around. */
static void written_while_they_change(struct kunit *test)
{
	struct page *page = kt_page(test, get_order(2 * SZ_2M));
	u8 *mid = page_address(page) + SZ_2M;
	struct toucher t = { .from = mid - 192, .size = 384 };
	u32 saved = hush(test);
	dma_addr_t a, b;
	int round;

	kt_set(test, "dedup", "1");
	kt_thread_start(&t.thread, touch, &t);
	for (round = 0; round < ROUNDS; round++) {
		/* One wide, one narrow in its last line. */
		a = dma_map_single(kt_dev, mid - 100, 124, DMA_FROM_DEVICE);
		b = dma_map_single(kt_dev2, mid + 40, 60, round & 1 ? DMA_BIDIRECTIONAL :
								     DMA_TO_DEVICE);
		dma_sync_single_for_cpu(kt_dev, a, 124, DMA_FROM_DEVICE);
		dma_sync_single_for_device(kt_dev, a, 124, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev, a, 124, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev2, b, 60, round & 1 ? DMA_BIDIRECTIONAL :
							    DMA_TO_DEVICE);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, kt_thread_join(&t.thread), 0);
	unhush(test, saved);
	kt_take_all();

	/* It would have been disarmed by an inconsistency. */
	kt_set(test, "dedup", "0");
	EXPECT_CLEAN(test, mid - 1024, 2048);
	a = test_dma_map(test, kt_dev, mid - 100, 40, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, mid - 16, 8);
	dma_unmap_single(kt_dev, a, 40, DMA_FROM_DEVICE);
}

/* === overlapping-mapping ================================================== */

static const char *who_writes(enum dma_data_direction first, enum dma_data_direction second)
{
	return second == DMA_TO_DEVICE ? "the other mapping is" :
	       first == DMA_TO_DEVICE ? "this mapping is" : "both mappings are";
}

static void expect_overlap(struct kunit *test, int bytes, int from, const struct two *two)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "%d bytes of it, from byte %d on, are mapped already, and %s writable for the device.",
		 bytes, from, who_writes(two->first, two->second));
	EXPECT_TEXT(test, line);
}

static kt_noinline dma_addr_t test_map_first(struct kunit *test, u8 *buf, size_t size,
					  enum dma_data_direction dir)
{
	return test_dma_map(test, kt_dev, buf, size, dir);
}

static kt_noinline dma_addr_t test_map_second(struct kunit *test, u8 *buf, size_t size,
					   enum dma_data_direction dir)
{
	return test_dma_map(test, kt_dev2, buf, size, dir);
}

static void overlap(struct kunit *test)
{
	const struct two *two = test->param_value;
	u8 *page = page_buf(test);
	dma_addr_t a = test_map_first(test, page + 256, 256, two->first), b;

	/* Into its end. */
	b = test_map_second(test, page + 384, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	expect_overlap(test, 128, 0, two);
	expect_both(test, KT_NAME ".0", 256, two->first);
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".1 is given these 256 bytes, *");
	EXPECT_TEXT(test, " test_map_first+0x*");
	EXPECT_TEXT(test, " test_map_second+0x*");
	EXPECT_TEXT(test, "Hint: unmap the one before mapping the other, *");
	dma_unmap_single(kt_dev2, b, 256, two->second);

	/* Into its start, around it, inside it, and its last byte alone. */
	b = test_map_second(test, page + 64, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	expect_overlap(test, 64, 192, two);
	dma_unmap_single(kt_dev2, b, 256, two->second);
	b = test_map_second(test, page, 1024, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 1024);
	expect_overlap(test, 256, 256, two);
	dma_unmap_single(kt_dev2, b, 1024, two->second);
	b = test_map_second(test, page + 320, 64, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 64);
	expect_overlap(test, 64, 0, two);
	dma_unmap_single(kt_dev2, b, 64, two->second);
	b = test_map_second(test, page + 511, 129, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 129);
	expect_overlap(test, 1, 0, two);
	dma_unmap_single(kt_dev2, b, 129, two->second);

	/* Side by side. */
	b = test_map_second(test, page + 512, 128, two->second);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 128, two->second);
	dma_unmap_single(kt_dev, a, 256, two->first);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/*
 * Out and in, of the same bytes: an engine works in place. So does one that adds to what
 * it was given, as that of async_xor.c, for which it is both.
 */
static bool in_place(const struct two *two)
{
	return (two->first == DMA_TO_DEVICE) != (two->second == DMA_TO_DEVICE);
}

static void overlap_on_one_device(struct kunit *test)
{
	const struct two *two = test->param_value;
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 256, two->first);
	if (in_place(two)) {
		b = map_hushed(test, kt_dev, page, 256, two->second);
		EXPECT_SILENCE(test);
		dma_unmap_single(kt_dev, b, 256, two->second);
		kt_set(test, "strict", "1");
	}
	b = map_hushed(test, kt_dev, page, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	expect_overlap(test, 256, 0, two);
	expect_both(test, KT_NAME ".0", 256, two->first);
	dma_unmap_single(kt_dev, b, 256, two->second);
	kt_set(test, "strict", "0");
	/* Not the same bytes, be it one, and not the same device. */
	b = map_hushed(test, kt_dev, page, 255, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 255);
	dma_unmap_single(kt_dev, b, 255, two->second);
	b = map_hushed(test, kt_dev, page + 1, 255, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 255);
	dma_unmap_single(kt_dev, b, 255, two->second);
	b = map_hushed(test, kt_dev2, page, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	dma_unmap_single(kt_dev2, b, 256, two->second);
	dma_unmap_single(kt_dev, a, 256, two->first);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* An object mapped whole, twice: no line of it is shared with anything else. */
static void overlap_of_an_object(struct kunit *test)
{
	u8 *buf = kt_buf(test, 200);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, 200, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf, 200, DMA_FROM_DEVICE);

	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 200);
	dma_unmap_single(kt_dev2, b, 200, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, a, 200, DMA_TO_DEVICE);
}

/* The device writes to what it was also sent: legal, whoever looks at the content. */
static kt_noinline kt_unchecked void test_encrypts(u8 *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		WRITE_ONCE(p[i], READ_ONCE(p[i]) ^ 0x5a);
}

static void in_place_and_synced(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE), b;

	kt_set(test, "content", "on");
	b = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	test_encrypts(page, 256);
	dma_unmap_single(kt_dev, a, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, b, 256, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);

	/* The CPU did not stay away: it had the bytes, or some of them, in between. */
	a = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, a, 128, DMA_TO_DEVICE);
	b = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	dma_unmap_single(kt_dev, b, 256, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, a, 128, DMA_TO_DEVICE);
	b = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	dma_unmap_single(kt_dev, b, 256, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, a, 256, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

static void fill_list(struct scatterlist *sg, u8 *page, size_t last)
{
	sg_init_table(sg, 3);
	/* What is divided inside a line is of both lists. */
	sg_set_buf(&sg[0], page, 100);
	sg_set_buf(&sg[1], page + 100, 156);
	sg_set_buf(&sg[2], page + 1024, last);
}

static void in_place_lists(struct kunit *test)
{
	struct scatterlist out[3], in[3];
	u8 *page = page_buf(test);

	kt_set(test, "content", "on");
	fill_list(out, page, 256);
	fill_list(in, page, 256);
	KUNIT_ASSERT_NE(test, test_map_list(out, 3, DMA_TO_DEVICE), 0);
	KUNIT_ASSERT_NE(test, test_map_list(in, 3, DMA_FROM_DEVICE), 0);
	EXPECT_SILENCE(test);
	test_encrypts(page, 256);
	test_encrypts(page + 1024, 256);
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, out, 3, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	fill_list(in, page, 192);
	KUNIT_ASSERT_NE(test, test_map_list(out, 3, DMA_TO_DEVICE), 0);
	KUNIT_ASSERT_NE(test, test_map_list(in, 3, DMA_FROM_DEVICE), 0);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_map_list, 192);
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	kt_set(test, "strict", "1");
	KUNIT_ASSERT_NE(test, test_map_list(in, 3, DMA_FROM_DEVICE), 0);
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	kt_set(test, "strict", "0");
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, out, 3, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/*
 * A page of a pool holds a packet that is forwarded. What is past it is the device's
 * that received it, by the letter, but the page is one.
 */
static void part_of_a_received_page(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t rx = map_skip_sync(test, kt_dev, page, PAGE_SIZE, DMA_FROM_DEVICE), tx;
	struct scatterlist sg[2];

	kt_set(test, "watch_writes", "1");
	dma_sync_single_range_for_device(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	/* Bytes that did not come yet. */
	tx = test_dma_map(test, kt_dev2, page + 64, 100, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 100);
	dma_unmap_single(kt_dev2, tx, 100, DMA_TO_DEVICE);

	dma_sync_single_range_for_cpu(kt_dev, rx, 64, 100, DMA_FROM_DEVICE);
	test_dma_write(page + 64 + 22, 1);
	tx = test_dma_map(test, kt_dev2, page + 64, 100, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, tx, 100, DMA_TO_DEVICE);
	tx = test_dma_map(test, kt_dev, page + 64 + 14, 50, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, tx, 50, DMA_TO_DEVICE);
	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], page + 64, 20);
	sg_set_buf(&sg[1], page + 90, 74);
	KUNIT_ASSERT_NE(test, test_map_list(sg, 2, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);

	dma_sync_single_range_for_device(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	dma_unmap_page_attrs(kt_dev, rx, PAGE_SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	kt_take_all();
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

static void overlap_to_device(struct kunit *test)
{
	u8 *page = page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + 16, 256, DMA_TO_DEVICE);
	dma_addr_t c = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, c, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, b, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 256, DMA_TO_DEVICE);
}

/* Mapped is not owned. */
static void overlap_of_the_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 256, dir);
	b = map_skip_sync(test, kt_dev2, page + 64, 256, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 256, dir);

	dma_sync_single_for_cpu(kt_dev, a, 256, dir);
	b = test_dma_map(test, kt_dev2, page + 64, 256, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 256, dir);

	/* Half of it: the other half is the device's. */
	dma_sync_single_range_for_device(kt_dev, a, 0, 128, dir);
	b = test_dma_map(test, kt_dev2, page + 128, 64, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 64, dir);
	b = test_dma_map(test, kt_dev2, page + 64, 64, dir);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 64);
	dma_unmap_single(kt_dev2, b, 64, dir);
	dma_unmap_single(kt_dev, a, 256, dir);

	b = test_dma_map(test, kt_dev2, page + 64, 64, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 64, dir);
}

/* A list that names a page twice is one transfer. */
static void overlap_in_one_list(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = page_buf(test);
	struct scatterlist sg[3];
	u32 saved = hush(test);
	int nents;

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], page, 256);
	sg_set_buf(&sg[1], page + 1024, 256);
	sg_set_buf(&sg[2], page, 256);
	nents = test_map_list(sg, 3, dir);
	KUNIT_EXPECT_NE(test, nents, 0);
	EXPECT_SILENCE(test);
	if (nents) {
		dma_addr_t dma = test_dma_map(test, kt_dev2, page + 1024 + 64, 64, dir);

		EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 64);
		dma_unmap_single(kt_dev2, dma, 64, dir);
		dma_unmap_sg(kt_dev, sg, 3, dir);
	}
	unhush(test, saved);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

static void overlap_of_wide_mappings(struct kunit *test)
{
	struct page *page = kt_page(test, get_order(2 * SZ_2M));
	u8 *mid = page_address(page) + SZ_2M;
	dma_addr_t wide, narrow;

	wide = test_dma_map(test, kt_dev, mid - 512, 1024, DMA_FROM_DEVICE);
	narrow = test_dma_map(test, kt_dev2, mid + 128, 128, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 128);
	expect_both(test, KT_NAME ".0", 1024, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, wide, 1024, DMA_FROM_DEVICE);
	wide = test_dma_map(test, kt_dev, mid - 512, 1024, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 1024);
	expect_both(test, KT_NAME ".1", 128, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, narrow, 128, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, wide, 1024, DMA_FROM_DEVICE);
}

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)

static kt_noinline int test_export(struct device *dev, struct sg_table *sgt,
				enum dma_data_direction dir)
{
	return dma_map_sgtable(dev, sgt, dir, 0);
}

static struct sg_table *exporter_map(struct dma_buf_attachment *attachment,
				     enum dma_data_direction dir)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	int err = -ENOMEM;

	if (!sgt)
		return ERR_PTR(err);
	err = sg_alloc_table(sgt, 1, GFP_KERNEL);
	if (err)
		goto no_table;
	sg_set_page(sgt->sgl, attachment->dmabuf->priv, PAGE_SIZE, 0);
	err = test_export(attachment->dev, sgt, dir);
	if (!err)
		return sgt;
	sg_free_table(sgt);
no_table:
	kfree(sgt);
	return ERR_PTR(err);
}

static void exporter_unmap(struct dma_buf_attachment *attachment, struct sg_table *sgt,
			   enum dma_data_direction dir)
{
	dma_unmap_sgtable(attachment->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
}

/* The page is the test's. */
static void exporter_release(struct dma_buf *buf)
{
}

static const struct dma_buf_ops exporter_ops = {
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.release = exporter_release,
};

/* The importers of a buffer each map all of it; fences say whose turn it is. */
static void importers(struct kunit *test)
{
	struct device *dev[] = { kt_dev, kt_dev2, kt_dev };
	struct dma_buf_attachment *attachment[ARRAY_SIZE(dev)] = {};
	long allowed = dma_owner_debug_count("allowed_idioms");
	struct sg_table *sgt[ARRAY_SIZE(dev)] = {}, own;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct page *page = kt_page(test, 0);
	u32 saved = hush(test);
	struct dma_buf *buf;
	int i, mapped = 0, err;

	info.ops = &exporter_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = page;
	buf = dma_buf_export(&info);
	KUNIT_EXPECT_FALSE(test, IS_ERR(buf));
	if (IS_ERR(buf))
		goto out;
	for (i = 0; i < ARRAY_SIZE(dev); i++) {
		attachment[i] = dma_buf_attach(buf, dev[i]);
		if (IS_ERR(attachment[i]))
			break;
		sgt[i] = dma_buf_map_attachment_unlocked(attachment[i], DMA_BIDIRECTIONAL);
		if (IS_ERR(sgt[i])) {
			dma_buf_detach(buf, attachment[i]);
			break;
		}
		mapped++;
	}
	KUNIT_EXPECT_EQ(test, mapped, (int)ARRAY_SIZE(dev));
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("allowed_idioms"), allowed + mapped - 1);
	/* It is the device's all the same. */
	if (mapped) {
		EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, page_address(page), 8);
		/* What an importer can call. */
		if (IS_ENABLED(CONFIG_KASAN_GENERIC))
			EXPECT_TEXT(test, "Hint: call dma_buf_begin_cpu_access() before *");
	}
	for (i = 0; i < mapped; i++) {
		dma_buf_unmap_attachment_unlocked(attachment[i], sgt[i], DMA_BIDIRECTIONAL);
		dma_buf_detach(buf, attachment[i]);
	}
	dma_buf_put(buf);
	/* A kthread's last reference is dropped by a worker. */
	flush_delayed_fput();
	EXPECT_CLEAN(test, page_address(page), PAGE_SIZE);

	/* The same two mappings, and no dma-buf. */
	err = sg_alloc_table(&own, 1, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err) {
		dma_addr_t dma = test_dma_map(test, kt_dev2, page_address(page), PAGE_SIZE,
					      DMA_BIDIRECTIONAL);

		sg_set_page(own.sgl, page, PAGE_SIZE, 0);
		err = test_export(kt_dev, &own, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_EQ(test, err, 0);
		EXPECT_MAP_REPORT(test, "overlapping-mapping", test_export, PAGE_SIZE);
		if (!err)
			dma_unmap_sgtable(kt_dev, &own, DMA_BIDIRECTIONAL, 0);
		dma_unmap_single(kt_dev2, dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
		sg_free_table(&own);
	}
out:
	unhush(test, saved);
}

/* MODULE_IMPORT_NS() wants its argument in quotes from v6.13 on, and not before. */
MODULE_INFO(import_ns, "DMA_BUF");

#else

static void importers(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_DMA_SHARED_BUFFER");
}

#endif

/* === The parameter ======================================================== */

static void bad_line_sizes(struct kunit *test)
{
	static const char * const values[] = {
		"48", "4096", "x", "", "-64", "4", "1", "64x", "2048", "63"
	};
	u8 *buf = object(test);
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		char quoted[16];

		kt_reset();
		KUNIT_EXPECT_EQ_MSG(test, dma_owner_debug_param_set("noncoherent", values[i]),
				    -EINVAL, "noncoherent=%s", values[i]);
		snprintf(quoted, sizeof(quoted), "not \"%s\"", values[i]);
		KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "a power of two from 8 to 1024"),
				      "said '%s'", kt_note());
		KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), quoted), "said '%s'", kt_note());
	}
	/* What was set before is still in force. */
	dma = test_dma_map(test, kt_dev, buf + LINE, 48, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 48);
	EXPECT_TEXT(test, LAST "16 bytes" BEHIND);
	dma_unmap_single(kt_dev, dma, 48, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "0x80\n");
	kt_set(test, "noncoherent", "8");
	kt_set(test, "noncoherent", "1024");
}

/* === Devices that are really not coherent ================================= */

/*
 * The first device is not, until the test ends. Nothing is done with it, so that
 * cache maintenance changes nothing on a machine that is coherent.
 */
static void requires_noncoherent(struct kunit *test)
{
	dod_set_coherent(kt_dev, false);
	KT_REQUIRES(test, !dev_is_dma_coherent(kt_dev));
	KUNIT_ASSERT_GE(test, dod_cache_line(), 16);
	kt_set(test, "noncoherent", "0");
}

/* Of two lines and more in a row the kernel bounces nothing. */
#define LARGE(line)	(4 * max((line), 128))

static u8 *lines_of(struct kunit *test, size_t size)
{
	u8 *buf = kt_buf(test, roundup_pow_of_two(size));

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(virt_to_phys(buf), dod_cache_line()));
	return buf;
}

static void real_lines(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	int line = dod_cache_line(), size = LARGE(line);
	dma_addr_t dma;
	char text[128];
	u8 *buf;

	requires_noncoherent(test);
	buf = lines_of(test, size + 2 * line);
	dma = test_dma_map(test, kt_dev, buf + line - 8, size, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, size);
	snprintf(text, sizeof(text),
		 "Its first cache line, of %d bytes, also holds %d bytes" BEFORE, line, line - 8);
	EXPECT_TEXT(test, text);
	snprintf(text, sizeof(text),
		 "Its last cache line, of %d bytes, also holds 8 bytes" BEHIND, line);
	EXPECT_TEXT(test, text);
	EXPECT_TEXT(test, "The device is not cache-coherent, its mask is 0x*ffffffff.");
	dma_unmap_single(kt_dev, dma, size, dir);
	map_legally(test, buf + line, size, dir);
	map_legally(test, buf + line - 8, size, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, buf, size + 2 * line);
}

static void write_beside_real_lines(struct kunit *test)
{
	int line = dod_cache_line(), size = LARGE(line);
	dma_addr_t dma;
	u8 *page;

	requires_noncoherent(test);
	page = page_buf(test);
	dma = test_dma_map(test, kt_dev, page + line + 8, size, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_EDGE(test, page + line, 8);
	EXPECT_EDGE(test, page + line + 8 + size, 8);
	EXPECT_CPU_OWNS(test, page + line - 8, 8);
	EXPECT_CPU_OWNS(test, page + 2 * line + size, 8);
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/*
 * As small as to be bounced, kmalloc()ed or not: the device does not write to these
 * lines. What it cannot write to is not bounced, and dirties no line.
 */
static void small_and_bounced(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	int line = dod_cache_line();
	u8 *buf, *page;
	dma_addr_t dma;
	bool bounced;

	requires_noncoherent(test);
	buf = lines_of(test, 4 * line);
	dma = test_dma_map(test, kt_dev, buf, 16, dir);
	bounced = dma_to_phys(kt_dev, dma) != virt_to_phys(buf);
	dma_unmap_single(kt_dev, dma, 16, dir);
	if (!bounced) {
		kt_reset();
		kunit_skip(test, "this kernel does not bounce small buffers");
	}
	EXPECT_SILENCE(test);
	map_legally(test, buf + line - 8, 16, dir);
	map_legally(test, buf + line + 1, line / 2 - 1, dir);
	map_legally(test, buf + line - 8, 16, DMA_TO_DEVICE);
	page = page_buf(test);
	dma = test_dma_map(test, kt_dev, page + 8, 16, dir);
	EXPECT_CPU_OWNS(test, page, 8);
	EXPECT_CPU_OWNS(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, dir, page + 8, 16);
	dma_unmap_single(kt_dev, dma, 16, dir);
	/* Of a size that kmalloc() would align is not bounced, aligned or not. */
	dma = test_dma_map(test, kt_dev, buf + line - 8, line, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, line);
	dma_unmap_single(kt_dev, dma, line, dir);
}

/* What kmalloc() returns has its lines for itself, or is bounced. */
static void real_kmalloc(struct kunit *test)
{
	static const int slack[] = { 0, 1, 7, 8, 33 };
	enum dma_data_direction dir = dir_of(test);
	int size, i;

	requires_noncoherent(test);
	for (size = 8; size <= 4096; size += size < 512 ? 8 : 128) {
		for (i = 0; i < ARRAY_SIZE(slack) && slack[i] < size; i++) {
			u8 *buf = kmalloc(size - slack[i], GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, buf);
			map_legally(test, buf, size - slack[i], dir);
			kfree(buf);
		}
	}
}

/* Whether any two of the objects share a line. */
static bool map_neighbours(struct kunit *test, u8 **obj, int nr, int size)
{
	int line = dod_cache_line(), i, j;
	bool any = false;

	for (i = 0; i < nr; i++) {
		u8 *first = PTR_ALIGN_DOWN(obj[i], line);
		u8 *end = PTR_ALIGN(obj[i] + size, line);
		bool shares = false;
		dma_addr_t dma;

		if (is_kfence_address(obj[i]))
			continue;
		for (j = 0; j < nr; j++)
			if (j != i && obj[j] < end && obj[j] + size > first)
				shares = true;
		dma = test_dma_map(test, kt_dev, obj[i], size, DMA_FROM_DEVICE);
		if (shares)
			EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, size);
		else
			EXPECT_SILENCE(test);
		any |= shares;
		dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	}
	return any;
}

/*
 * Objects of a cache that nobody asked to align: the next one may begin in the last
 * line, behind a redzone, and only here does that count. KASAN leaves less than a line
 * between the small ones, and more between the others. Neither are bounced: kmalloc()
 * would have returned whole lines.
 */
static void real_neighbours(struct kunit *test)
{
	const int sizes[] = { dod_cache_line() - 24, LARGE(dod_cache_line()) + 8 };
	struct kmem_cache *cache;
	bool shared = false;
	u8 *obj[24];
	int s, i;

	requires_noncoherent(test);
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		cache = kmem_cache_create("dma_owner_lines", sizes[s], 8, 0, NULL);
		KUNIT_ASSERT_NOT_NULL(test, cache);
		for (i = 0; i < ARRAY_SIZE(obj); i++)
			obj[i] = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
		shared |= map_neighbours(test, obj, ARRAY_SIZE(obj), sizes[s]);
		for (i = 0; i < ARRAY_SIZE(obj); i++)
			kmem_cache_free(cache, obj[i]);
		kmem_cache_destroy(cache);
	}
	KUNIT_EXPECT_TRUE(test, shared);
}

#define TWO_CASE(_fn) KUNIT_CASE_PARAM(_fn, two_gen_params)
#define WRITTEN_CASE(_fn) KUNIT_CASE_PARAM(_fn, direction_gen_params)

static struct kunit_case lines_cases[] = {
	WRITTEN_CASE(middle_of_an_object),
	WRITTEN_CASE(start_of_an_object),
	WRITTEN_CASE(end_of_an_object),
	KUNIT_CASE(one_byte),
	KUNIT_CASE(other_line_sizes),
	WRITTEN_CASE(whole_objects),
	WRITTEN_CASE(neighbouring_objects),
	WRITTEN_CASE(managed_memory),
	KUNIT_CASE(nothing_is_written),
	KUNIT_CASE(pages_are_not_judged),
	WRITTEN_CASE(aligned_parts),
	KUNIT_CASE(coherent_devices),
	KUNIT_CASE(sharing_switched_off),
	WRITTEN_CASE(entries_are_checked),
	WRITTEN_CASE(list_divides_an_object),
	WRITTEN_CASE(list_with_a_gap),
	WRITTEN_CASE(list_that_ends_in_a_line),
	KUNIT_CASE(two_lists_divide_an_object),
	KUNIT_CASE(large_network_buffer),
	KUNIT_CASE(small_network_buffer),
	KUNIT_CASE(no_network_buffer),
	TWO_CASE(two_fragments),
	TWO_CASE(fragment_behind),
	KUNIT_CASE(fragments_to_device),
	WRITTEN_CASE(fragment_of_the_cpu),
	KUNIT_CASE(other_end_of_the_cpu),
	WRITTEN_CASE(fragment_is_gone),
	WRITTEN_CASE(neighbouring_lines),
	KUNIT_CASE(parts_of_an_object),
	WRITTEN_CASE(write_beside),
	WRITTEN_CASE(write_beside_in_an_object),
	KUNIT_CASE(edges_of_other_sizes),
	KUNIT_CASE(no_edges),
	KUNIT_CASE(parameter_changes),
	WRITTEN_CASE(edges_follow_syncs),
	WRITTEN_CASE(own_bytes_are_no_edge),
	KUNIT_CASE(two_in_one_line),
	KUNIT_CASE(beside_what_goes_to_a_device),
	KUNIT_CASE(redzones_stay),
	KUNIT_CASE(fill_across),
	WRITTEN_CASE(edges_of_entries),
	WRITTEN_CASE(edges_of_wide_mappings),
	KUNIT_CASE(written_while_they_change),
	TWO_CASE(overlap),
	TWO_CASE(overlap_on_one_device),
	KUNIT_CASE(overlap_of_an_object),
	KUNIT_CASE(in_place_and_synced),
	KUNIT_CASE(in_place_lists),
	KUNIT_CASE(part_of_a_received_page),
	KUNIT_CASE(overlap_to_device),
	WRITTEN_CASE(overlap_of_the_cpu),
	WRITTEN_CASE(overlap_in_one_list),
	KUNIT_CASE(overlap_of_wide_mappings),
	KUNIT_CASE(importers),
	KUNIT_CASE(bad_line_sizes),
	WRITTEN_CASE(real_lines),
	KUNIT_CASE(write_beside_real_lines),
	WRITTEN_CASE(small_and_bounced),
	WRITTEN_CASE(real_kmalloc),
	KUNIT_CASE(real_neighbours),
	{}
};

struct kunit_suite kt_lines_suite = {
	.name = "dma_owner_lines",
	.suite_init = kt_suite_init,
	.suite_exit = kt_suite_exit,
	.init = lines_test_init,
	.exit = kt_test_exit,
	.test_cases = lines_cases,
};
