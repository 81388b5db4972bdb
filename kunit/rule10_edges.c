// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 10: on a device that is not coherent, the rest of the first and last cache line is
 * shared: the CPU may read it, and must not write it while the device owns a device-writable
 * buffer there. shared-line-write, and the same bytes when nothing there is owned.
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "kt_lines.h"

#define EDGE	0xd4

KT_WRITABLE_DIRECTIONS;

static void write_beside_buffer_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test), *buf = page + LINE + 16;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 160, dir);

	EXPECT_SILENCE(test);
	EXPECT_CPU_OWNS(test, page + LINE - 8, 8);
	EXPECT_EDGE(test, buf - 16, 8);
	EXPECT_TEXT(test, " The access is 16 bytes before the buffer, in its first cache line *");
	EXPECT_TEXT(test, "Device " KT_NAME " " KT_NAME ".0 owns 160 bytes, *");
	EXPECT_TEXT(test, "Simulated: this device is cache-coherent (noncoherent=64).");
	EXPECT_TEXT(test, "Hint: allocate the buffer separately, or align it *");
	EXPECT_EDGE(test, buf - 1, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 152, 8);
	EXPECT_EDGE(test, buf + 160, 1);
	EXPECT_TEXT(test, " The access is * after the buffer, in its last cache line of 64 bytes.");
	EXPECT_EDGE(test, buf + 168, 8);
	EXPECT_TEXT(test, " The access is 9 bytes after the buffer, in its last cache line *");
	EXPECT_CPU_OWNS(test, buf + 176, 8);
	dma_unmap_single(kt_dev, dma, 160, dir);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
	EXPECT_CPU_OWNS(test, buf - 16, 8);
}

static void write_beside_buffer_in_object_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 16, 32, dir);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	EXPECT_EDGE(test, buf + 8, 4);
	EXPECT_TEXT(test, "The object there:*");
	EXPECT_EDGE(test, buf + 60, 4);
	EXPECT_CPU_OWNS(test, buf + LINE, 8);
	dma_unmap_single(kt_dev, dma, 32, dir);
	EXPECT_CLEAN(test, buf, KT_OBJECT);
}

static void edges_of_other_sizes_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
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

	/* The longest line there is, and the shortest: a granule, in which nothing is left. */
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

/*
 * No edge traps: a device that only reads writes no line, nor does one that owns nothing;
 * and a buffer of whole lines has no edges.
 */
static void no_edge_silent(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t dma;

	dma = test_dma_map(test, kt_dev, page + 16, 160, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, page + 8, 8);
	EXPECT_CPU_OWNS(test, page + 176, 8);
	dma_unmap_single(kt_dev, dma, 160, DMA_TO_DEVICE);

	dma = kt_map_skip_sync(test, kt_dev, page + 16, 160, DMA_FROM_DEVICE);
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

/* An edge traps as long as the device owns a byte of its line. */
static void edge_after_sync_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test), *buf = page + 16;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 160, dir);

	kt_hand_over_parts(kt_dev, dma, 160, 8, dir);
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

/* A header in the middle of the mapping, synced for the CPU, is no edge. */
static void synced_header_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, page, 1024, dir);

	dma_sync_single_range_for_cpu(kt_dev, dma, 512 + 8, 24, dir);
	EXPECT_DEVICE_OWNS(test, dir, page + 512, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 24, 8);
	EXPECT_DEVICE_OWNS(test, dir, page + 512 + 32, 8);
	dma_unmap_single(kt_dev, dma, 1024, dir);
	EXPECT_CLEAN(test, page, 1024);
}

static void two_buffers_in_line_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t a, b;

	a = test_dma_map(test, kt_dev, page, 16, DMA_FROM_DEVICE);
	b = kt_map_quietly(test, kt_dev2, page + 48, 16, DMA_BIDIRECTIONAL);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 16);
	EXPECT_EDGE(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, page + 8, 8);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, page + 48, 8);

	/* The buffer of the one is now in the edge of the other. */
	dma_unmap_single(kt_dev, a, 16, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_TEXT(test, " The access is 40 bytes before the buffer, *");
	EXPECT_TEXT(test, "Device * " KT_NAME ".1 owns *");
	EXPECT_EDGE(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, page + 48, 8);

	a = kt_map_quietly(test, kt_dev, page, 16, DMA_FROM_DEVICE);
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

/* Memory that a device owns DMA_TO_DEVICE is no mere edge, whichever mapping was first. */
static void beside_to_device_buffer_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
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

/* An edge ends where the object does, and KASAN's own values stay. */
static void redzones_unchanged(struct kunit *test)
{
	static const struct {
		int at, size;
	} part[] = { { 0, 205 }, { 0, 200 }, { 8, 192 }, { 0, 130 }, { 196, 9 }, { 201, 2 } };
	u8 before[(AROUND + 256 + AROUND) / 8], after[ARRAY_SIZE(before)];
	/* The last granule has 5 of the 205 bytes. */
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

			/* The mapping may end in the granule of the object's end. */
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

/* From the edge into the buffer, or the other way round: reported as an access to the buffer. */
static void fill_across_edge_reported(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);

	dma = test_dma_map(test, kt_dev, page + 32, 64, DMA_FROM_DEVICE);
	test_fill(page + 8, 48);
	EXPECT_REPORT(test, "cpu-write", test_fill, page + 8, 48);
	EXPECT_TEXT(test, "*; the access is 0 bytes into the buffer");
	test_fill(page + 80, 40);
	EXPECT_REPORT(test, "cpu-write", test_fill, page + 80, 40);
	test_fill(page, 256);
	EXPECT_REPORT(test, "cpu-write", test_fill, page, 256);
	test_fill(page, 24);
	EXPECT_REPORT(test, "shared-line-write", test_fill, page, 24);
	/* From memory beside the edge into the edge. */
	test_fill(page + 104, 256);
	EXPECT_REPORT(test, "shared-line-write", test_fill, page + 104, 256);
	EXPECT_TEXT(test, " The access is 9 bytes after the buffer, *");
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_fill(page, 256);
	EXPECT_SILENCE(test);
}

static void edges_of_list_entries_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *page = kt_page_buf(test);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], page + 16, 32);
	sg_set_buf(&sg[1], page + 1024, 96);
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, dir), 0);
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

/* A mapping that spans two regions: see regions.c. */
static void edges_of_spanning_mapping_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *mid = kt_boundary(test), *buf = mid - 512 + 16;
	dma_addr_t dma, near;

	dma = test_dma_map(test, kt_dev, buf, 1024 - 32, dir);
	EXPECT_CPU_OWNS(test, mid - 512 - 8, 8);
	EXPECT_EDGE(test, mid - 512, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid - 8, 8);
	EXPECT_DEVICE_OWNS(test, dir, mid, 8);
	EXPECT_EDGE(test, mid + 512 - 16, 8);
	EXPECT_CPU_OWNS(test, mid + 512, 8);

	/* A mapping in one region, in the same line, that is made and ended. */
	near = test_dma_map(test, kt_dev2, mid + 512 - 8, 8, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 8);
	kt_expect_other_mapping(test, KT_NAME ".0", 1024 - 32, dir);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, mid + 512 - 8, 8);
	dma_unmap_single(kt_dev2, near, 8, DMA_TO_DEVICE);
	EXPECT_EDGE(test, mid + 512 - 8, 8);

	kt_hand_over_parts(kt_dev, dma, 1024 - 32, 32, dir);
	dma_sync_single_for_cpu(kt_dev, dma, 512, dir);
	EXPECT_CPU_OWNS(test, mid - 512, 8);
	EXPECT_EDGE(test, mid + 512 - 16, 8);
	dma_sync_single_range_for_device(kt_dev, dma, 40, 8, dir);
	EXPECT_EDGE(test, mid - 512, 8);
	dma_unmap_single(kt_dev, dma, 1024 - 32, dir);
	EXPECT_CLEAN(test, mid - 1024, 2048);

	/* A mapping within the two lines beside the boundary. */
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

/* Two mappings that share a line are made and ended while a thread writes all around. */
static void write_during_sync_harmless(struct kunit *test)
{
	u8 *mid = kt_boundary(test);
	struct toucher t = { .from = mid - 192, .size = 384 };
	u32 saved = kt_quiet_dma_debug();
	dma_addr_t a, b;
	int round;

	kt_set(test, "dedup", "1");
	kt_thread_start(&t.thread, touch, &t);
	for (round = 0; round < ROUNDS; round++) {
		/* One spans two regions, the other is in its last line. */
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
	kt_unquiet_dma_debug(saved);
	kt_take_all();

	/* An inconsistency would have stopped the tool. */
	kt_set(test, "dedup", "0");
	EXPECT_CLEAN(test, mid - 1024, 2048);
	a = test_dma_map(test, kt_dev, mid - 100, 40, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, mid - 16, 8);
	dma_unmap_single(kt_dev, a, 40, DMA_FROM_DEVICE);
}

static struct kunit_case edges_cases[] = {
	DIRECTION_CASE(write_beside_buffer_reported),
	DIRECTION_CASE(write_beside_buffer_in_object_reported),
	KUNIT_CASE(edges_of_other_sizes_reported),
	KUNIT_CASE(no_edge_silent),
	DIRECTION_CASE(edge_after_sync_silent),
	DIRECTION_CASE(synced_header_silent),
	KUNIT_CASE(two_buffers_in_line_reported),
	KUNIT_CASE(beside_to_device_buffer_reported),
	KUNIT_CASE(redzones_unchanged),
	KUNIT_CASE(fill_across_edge_reported),
	DIRECTION_CASE(edges_of_list_entries_reported),
	DIRECTION_CASE(edges_of_spanning_mapping_reported),
	KUNIT_CASE(write_during_sync_harmless),
	{}
};

KT_SUITE_INIT(edges, kt_lines_test_init);
