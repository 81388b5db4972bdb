// SPDX-License-Identifier: GPL-2.0
/*
 * overlapping-mapping: the same bytes mapped twice, and one of the mappings is device-writable
 * (rule 9). Out and in of exactly the same bytes, by one device, loses nothing (rule 5b).
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>

#include "kt_lines.h"

KT_WRITABLE_DIRECTIONS;
KT_TWO_DIRECTIONS;

static const char *who_writes(enum dma_data_direction first, enum dma_data_direction second)
{
	return second == DMA_TO_DEVICE ? "the other mapping" :
	       first == DMA_TO_DEVICE ? "this mapping" : "both mappings";
}

static void expect_overlap(struct kunit *test, int bytes, int from, const struct kt_two *two)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "Bytes %d to %d are already mapped, and the device may write through %s.",
		 from, from + bytes - 1, who_writes(two->first, two->second));
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

static void overlap_of_two_devices_reported(struct kunit *test)
{
	const struct kt_two *two = test->param_value;
	u8 *page = kt_page_buf(test);
	dma_addr_t a = test_map_first(test, page + 256, 256, two->first), b;

	/* Into its end. */
	b = test_map_second(test, page + 384, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	expect_overlap(test, 128, 0, two);
	kt_expect_other_mapping(test, KT_NAME ".0", 256, two->first);
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".1 maps 256 bytes, *");
	EXPECT_TEXT(test, " test_map_first+0x*");
	EXPECT_TEXT(test, " test_map_second+0x*");
	EXPECT_TEXT(test, "Hint: unmap one before mapping the other, *");
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
 * DMA_TO_DEVICE and DMA_FROM_DEVICE of the same bytes: an engine works in place. So does
 * DMA_BIDIRECTIONAL, as in async_xor.c.
 */
static bool in_place(const struct kt_two *two)
{
	return (two->first == DMA_TO_DEVICE) != (two->second == DMA_TO_DEVICE);
}

static void overlap_of_one_device_reported(struct kunit *test)
{
	const struct kt_two *two = test->param_value;
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 256, two->first);
	if (in_place(two)) {
		b = kt_map_quietly(test, kt_dev, page, 256, two->second);
		EXPECT_SILENCE(test);
		dma_unmap_single(kt_dev, b, 256, two->second);
		kt_set(test, "strict", "1");
	}
	b = kt_map_quietly(test, kt_dev, page, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	expect_overlap(test, 256, 0, two);
	kt_expect_other_mapping(test, KT_NAME ".0", 256, two->first);
	dma_unmap_single(kt_dev, b, 256, two->second);
	kt_set(test, "strict", "0");
	/* Not the same bytes, though it is one byte less; and not the same device. */
	b = kt_map_quietly(test, kt_dev, page, 255, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 255);
	dma_unmap_single(kt_dev, b, 255, two->second);
	b = kt_map_quietly(test, kt_dev, page + 1, 255, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 255);
	dma_unmap_single(kt_dev, b, 255, two->second);
	b = kt_map_quietly(test, kt_dev2, page, 256, two->second);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 256);
	dma_unmap_single(kt_dev2, b, 256, two->second);
	dma_unmap_single(kt_dev, a, 256, two->first);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* An object mapped whole, twice: no line of it is shared with anything else. */
static void overlap_of_object_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 200);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, 200, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf, 200, DMA_FROM_DEVICE);

	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 200);
	dma_unmap_single(kt_dev2, b, 200, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, a, 200, DMA_TO_DEVICE);
}

/* The device writes in place: no change of content to report. */
static kt_noinline kt_unchecked void test_encrypts(u8 *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		WRITE_ONCE(p[i], READ_ONCE(p[i]) ^ 0x5a);
}

static void in_place_silent_synced_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE), b;

	kt_set(test, "content", "on");
	b = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	test_encrypts(page, 256);
	dma_unmap_single(kt_dev, a, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, b, 256, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);

	/* Not in place if the CPU owned the bytes, or some of them, in between. */
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
	/* Both lists divide a line at the same byte. */
	sg_set_buf(&sg[0], page, 100);
	sg_set_buf(&sg[1], page + 100, 156);
	sg_set_buf(&sg[2], page + 1024, last);
}

static void in_place_lists_silent(struct kunit *test)
{
	struct scatterlist out[3], in[3];
	u8 *page = kt_page_buf(test);

	kt_set(test, "content", "on");
	fill_list(out, page, 256);
	fill_list(in, page, 256);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(out, 3, DMA_TO_DEVICE), 0);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(in, 3, DMA_FROM_DEVICE), 0);
	EXPECT_SILENCE(test);
	test_encrypts(page, 256);
	test_encrypts(page + 1024, 256);
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, out, 3, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);

	fill_list(in, page, 192);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(out, 3, DMA_TO_DEVICE), 0);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(in, 3, DMA_FROM_DEVICE), 0);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map_sg, 192);
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	kt_set(test, "strict", "1");
	KUNIT_ASSERT_NE(test, test_dma_map_sg(in, 3, DMA_FROM_DEVICE), 0);
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	kt_set(test, "strict", "0");
	dma_unmap_sg(kt_dev, in, 3, DMA_FROM_DEVICE);
	dma_unmap_sg(kt_dev, out, 3, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/*
 * A packet in a page of a pool is forwarded. The receiving device still owns what follows
 * the packet in its last line, by the letter.
 */
static void forwarded_packet_silent(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t rx = kt_map_skip_sync(test, kt_dev, page, PAGE_SIZE, DMA_FROM_DEVICE), tx;
	struct scatterlist sg[2];

	kt_set(test, "watch_writes", "1");
	dma_sync_single_range_for_device(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	/* Bytes that were not received yet. */
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
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);

	dma_sync_single_range_for_device(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, rx, 64, 1536, DMA_FROM_DEVICE);
	dma_unmap_page_attrs(kt_dev, rx, PAGE_SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	kt_take_all();
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

static void overlap_to_device_silent(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t a = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, page + 16, 256, DMA_TO_DEVICE);
	dma_addr_t c = test_dma_map(test, kt_dev, page, 256, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, c, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, b, 256, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 256, DMA_TO_DEVICE);
}

/* A mapping by which no device owns anything is no overlap. */
static void overlap_cpu_owns_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 256, dir);
	b = kt_map_skip_sync(test, kt_dev2, page + 64, 256, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 256, dir);

	dma_sync_single_for_cpu(kt_dev, a, 256, dir);
	b = test_dma_map(test, kt_dev2, page + 64, 256, dir);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, b, 256, dir);

	/* One half is synced for the device. */
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
static void overlap_in_one_list_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	struct scatterlist sg[3];
	u32 saved = kt_quiet_dma_debug();
	int nents;

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], page, 256);
	sg_set_buf(&sg[1], page + 1024, 256);
	sg_set_buf(&sg[2], page, 256);
	nents = test_dma_map_sg(sg, 3, dir);
	KUNIT_EXPECT_NE(test, nents, 0);
	EXPECT_SILENCE(test);
	if (nents) {
		dma_addr_t dma = test_dma_map(test, kt_dev2, page + 1024 + 64, 64, dir);

		EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 64);
		dma_unmap_single(kt_dev2, dma, 64, dir);
		dma_unmap_sg(kt_dev, sg, 3, dir);
	}
	kt_unquiet_dma_debug(saved);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

static void overlap_of_spanning_mapping_reported(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	dma_addr_t spanning, single;

	spanning = test_dma_map(test, kt_dev, mid - 512, 1024, DMA_FROM_DEVICE);
	single = test_dma_map(test, kt_dev2, mid + 128, 128, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 128);
	kt_expect_other_mapping(test, KT_NAME ".0", 1024, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, spanning, 1024, DMA_FROM_DEVICE);
	spanning = test_dma_map(test, kt_dev, mid - 512, 1024, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_dma_map, 1024);
	kt_expect_other_mapping(test, KT_NAME ".1", 128, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, single, 128, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, spanning, 1024, DMA_FROM_DEVICE);
}

static struct kunit_case overlapping_cases[] = {
	TWO_CASE(overlap_of_two_devices_reported),
	TWO_CASE(overlap_of_one_device_reported),
	KUNIT_CASE(overlap_of_object_reported),
	KUNIT_CASE(in_place_silent_synced_reported),
	KUNIT_CASE(in_place_lists_silent),
	KUNIT_CASE(forwarded_packet_silent),
	KUNIT_CASE(overlap_to_device_silent),
	DIRECTION_CASE(overlap_cpu_owns_silent),
	DIRECTION_CASE(overlap_in_one_list_silent),
	KUNIT_CASE(overlap_of_spanning_mapping_reported),
	{}
};

KT_SUITE_INIT(overlapping, kt_lines_test_init);
