// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of one page, and of several: the tool keeps them apart, and locks them differently.
 * All rules hold for both, alone and where they share memory.
 */

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "kt.h"

KT_DIRECTIONS;

/* A mapping of three pages, and one inside the second. */
#define LONG	(3 * PAGE_SIZE)
#define SHORT	512
#define AT	(PAGE_SIZE + 1024)

static u8 *four_pages(struct kunit *test)
{
	return page_address(kt_page(test, 2));
}

/* Every order of two maps and two unmaps, and both directions of the other one. */
static void both_in_every_order_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test), other;
	u8 *buf = four_pages(test);
	int i;

	for (i = 0; i < 8; i++) {
		bool short_first = i & 1, short_ends_first = i & 2;
		dma_addr_t dma = 0, in;

		other = i & 4 ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
		if (!short_first)
			dma = test_dma_map(test, kt_dev, buf, LONG, dir);
		in = test_dma_map(test, kt_dev2, buf + AT, SHORT, other);
		if (short_first)
			dma = test_dma_map(test, kt_dev, buf, LONG, dir);
		EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE - 8, 8);
		EXPECT_DEVICE_OWNS(test, dir, buf + AT - 8, 8);
		EXPECT_DEVICE_OWNS(test, other == DMA_TO_DEVICE ? dir : other, buf + AT, 8);
		EXPECT_DEVICE_OWNS(test, dir, buf + LONG - 8, 8);
		EXPECT_CPU_OWNS(test, buf + LONG, 8);
		if (short_ends_first)
			dma_unmap_single(kt_dev2, in, SHORT, other);
		else
			dma_unmap_single(kt_dev, dma, LONG, dir);
		EXPECT_DEVICE_OWNS(test, short_ends_first ? dir : other, buf + AT, 8);
		if (short_ends_first)
			EXPECT_DEVICE_OWNS(test, dir, buf + AT + SHORT, 8);
		else
			EXPECT_CPU_OWNS(test, buf + AT + SHORT, 8);
		if (short_ends_first)
			dma_unmap_single(kt_dev, dma, LONG, dir);
		else
			dma_unmap_single(kt_dev2, in, SHORT, other);
		EXPECT_CLEAN(test, buf, 4 * PAGE_SIZE);
		EXPECT_SILENCE(test);
	}
}

/* A sync of one leaves the other, whichever is synced. */
static void sync_of_one_leaves_other(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = four_pages(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, LONG, dir);
	dma_addr_t in = test_dma_map(test, kt_dev2, buf + AT, SHORT, dir);

	dma_sync_single_for_cpu(kt_dev, dma, LONG, dir);
	EXPECT_CPU_OWNS(test, buf + AT - 8, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + AT, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + AT + SHORT - 8, 8);
	EXPECT_CPU_OWNS(test, buf + AT + SHORT, 8);
	dma_sync_single_for_device(kt_dev, dma, LONG, dir);
	dma_sync_single_for_cpu(kt_dev2, in, SHORT, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + AT, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, AT, SHORT, dir);
	EXPECT_CPU_OWNS(test, buf + AT, SHORT);
	EXPECT_DEVICE_OWNS(test, dir, buf + AT - 8, 8);
	dma_sync_single_for_device(kt_dev2, in, SHORT, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + AT, 8);
	dma_unmap_single(kt_dev, dma, LONG, dir);
	dma_unmap_single(kt_dev2, in, SHORT, dir);
	EXPECT_CLEAN(test, buf, 4 * PAGE_SIZE);
}

/* The same device, the same first byte: each call means the mapping of its size. */
static void same_start_by_size_told_apart(struct kunit *test)
{
	u8 *buf = four_pages(test);
	int short_first;

	for (short_first = 0; short_first < 2; short_first++) {
		dma_addr_t dma = 0, in;

		if (!short_first)
			dma = test_dma_map(test, kt_dev, buf, LONG, DMA_TO_DEVICE);
		in = test_dma_map(test, kt_dev, buf, SHORT, DMA_TO_DEVICE);
		if (short_first)
			dma = test_dma_map(test, kt_dev, buf, LONG, DMA_TO_DEVICE);
		dma_unmap_single(kt_dev, in, SHORT, DMA_TO_DEVICE);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + LONG - 8, 8);
		in = test_dma_map(test, kt_dev, buf, SHORT, DMA_TO_DEVICE);
		dma_unmap_single(kt_dev, dma, LONG, DMA_TO_DEVICE);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		EXPECT_CPU_OWNS(test, buf + SHORT, 8);
		EXPECT_CPU_OWNS(test, buf + PAGE_SIZE, 8);
		dma_unmap_single(kt_dev, in, SHORT, DMA_TO_DEVICE);
		EXPECT_CLEAN(test, buf, LONG);
	}
}

/*
 * Of a mapping that ends outside of its memory the tool knows only the first part. So it is
 * found in another way than one that does not, at the same address, and an unmap
 * chooses between both.
 */
static void bad_and_good_by_size_told_apart(struct kunit *test)
{
	u8 *buf = kt_buf(test, SHORT);
	dma_addr_t bad, good;
	int bad_ends_first;
	u32 saved;

	/* In some kernels dma-debug takes one for the other. */
	saved = kt_quiet_dma_debug();
	for (bad_ends_first = 0; bad_ends_first < 2; bad_ends_first++) {
		good = test_dma_map(test, kt_dev, buf, SHORT, DMA_TO_DEVICE);
		bad = test_dma_map(test, kt_dev, buf, SHORT + 64, DMA_FROM_DEVICE);
		EXPECT_MAP_REPORT(test, "out-of-bounds-map", test_dma_map, SHORT + 64);
		dma_sync_single_for_cpu(kt_dev, bad, SHORT, DMA_FROM_DEVICE);
		EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
		dma_sync_single_for_device(kt_dev, bad, SHORT, DMA_FROM_DEVICE);
		EXPECT_READ_TRAPS(test, buf, 8);
		dma_sync_single_for_cpu(kt_dev, good, SHORT, DMA_TO_DEVICE);
		EXPECT_READ_TRAPS(test, buf, 8);
		dma_sync_single_for_device(kt_dev, good, SHORT, DMA_TO_DEVICE);
		if (bad_ends_first) {
			dma_unmap_single(kt_dev, bad, SHORT + 64, DMA_FROM_DEVICE);
			EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
			dma_unmap_single(kt_dev, good, SHORT, DMA_TO_DEVICE);
		} else {
			dma_unmap_single(kt_dev, good, SHORT, DMA_TO_DEVICE);
			EXPECT_READ_TRAPS(test, buf, 8);
			dma_unmap_single(kt_dev, bad, SHORT + 64, DMA_FROM_DEVICE);
		}
		kt_take_all();
		EXPECT_CLEAN(test, buf, SHORT);
	}
	kt_unquiet_dma_debug(saved);
}

/* A write to memory of both must reach both devices. */
static void write_synced_for_one_reported(struct kunit *test)
{
	u8 *buf = four_pages(test);
	int i;

	for (i = 0; i < 4; i++) {
		dma_addr_t dma = test_dma_map(test, kt_dev, buf, LONG, DMA_TO_DEVICE);
		dma_addr_t in = test_dma_map(test, kt_dev2, buf + AT, SHORT, DMA_TO_DEVICE);
		bool sync = i & 1, sync_in = i & 2;

		test_dma_write(buf + AT + 64, 8);
		if (sync)
			dma_sync_single_for_device(kt_dev, dma, LONG, DMA_TO_DEVICE);
		if (sync_in)
			dma_sync_single_for_device(kt_dev2, in, SHORT, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		dma_unmap_single(kt_dev, dma, LONG, DMA_TO_DEVICE);
		if (!sync)
			EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + AT + 64, 8);
		dma_unmap_single(kt_dev2, in, SHORT, DMA_TO_DEVICE);
		if (!sync_in)
			EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + AT + 64, 8);
		EXPECT_SILENCE(test);
		EXPECT_CLEAN(test, buf, LONG);
	}
}

/* One device reads what the other may write, as in spanning mappings: rule 4. */
static void write_to_other_from_device_reported(struct kunit *test)
{
	u8 *buf = four_pages(test);
	int long_reads;

	for (long_reads = 0; long_reads < 2; long_reads++) {
		enum dma_data_direction dir = long_reads ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
		enum dma_data_direction other = long_reads ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
		dma_addr_t dma = test_dma_map(test, kt_dev, buf, LONG, dir);
		dma_addr_t in = test_dma_map(test, kt_dev2, buf + AT, SHORT, other);

		test_dma_write(buf + AT, 8);
		EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + AT, 8);
		dma_unmap_single(kt_dev2, in, SHORT, other);
		dma_unmap_single(kt_dev, dma, LONG, dir);
		EXPECT_SILENCE(test);
	}
}

static void write_unsynced_reported(struct kunit *test)
{
	u8 *buf = four_pages(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, LONG, DMA_TO_DEVICE);

	/* Over the border of two pages. */
	test_dma_write(buf + PAGE_SIZE - 8, 16);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, LONG, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + PAGE_SIZE - 8, 16);
	EXPECT_CLEAN(test, buf, LONG);
}

/* Two mappings of one page each, side by side, and a write over both. */
static void write_to_two_pages_reported(struct kunit *test)
{
	u8 *buf = four_pages(test), *mid = buf + PAGE_SIZE;
	dma_addr_t dma = test_dma_map(test, kt_dev, mid - SHORT, SHORT, DMA_TO_DEVICE);
	dma_addr_t next = test_dma_map(test, kt_dev, mid, SHORT, DMA_TO_DEVICE);

	test_dma_write(mid - 8, 16);
	dma_sync_single_for_device(kt_dev, dma, SHORT, DMA_TO_DEVICE);
	dma_sync_single_for_device(kt_dev, next, SHORT, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, SHORT, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, next, SHORT, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma = test_dma_map(test, kt_dev, mid - SHORT, SHORT, DMA_TO_DEVICE);
	next = test_dma_map(test, kt_dev, mid, SHORT, DMA_FROM_DEVICE);
	test_dma_read(mid - 8, 16);
	EXPECT_REPORT(test, "cpu-read", test_dma_read, mid - 8, 16);
	dma_unmap_single(kt_dev, next, SHORT, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, mid - 8, 8);
	EXPECT_CPU_OWNS(test, mid, 8);
	dma_unmap_single(kt_dev, dma, SHORT, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, buf, 2 * PAGE_SIZE);
}

/* Memory that only a device of either kind writes is not what another one reads. */
static void in_place_of_both_silent(struct kunit *test)
{
	u8 *buf = four_pages(test);
	int i;

	for (i = 0; i < 4; i++) {
		bool long_src = i & 1, src_first = i & 2;
		u8 *src = long_src ? buf : buf + AT, *dst = long_src ? buf + AT : buf;
		size_t src_size = long_src ? LONG : SHORT, dst_size = long_src ? SHORT : LONG;
		dma_addr_t src_dma = 0, dst_dma;

		if (src_first)
			src_dma = test_dma_map(test, kt_dev, src, src_size, DMA_TO_DEVICE);
		dst_dma = test_dma_map(test, kt_dev, dst, dst_size, DMA_FROM_DEVICE);
		if (!src_first)
			src_dma = test_dma_map(test, kt_dev, src, src_size, DMA_TO_DEVICE);
		kt_device_changes(buf + AT);
		kt_device_changes(buf + AT + SHORT - 1);
		dma_unmap_single(kt_dev, dst_dma, dst_size, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev, src_dma, src_size, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
}

/* Pages that are freed while both have them: a report of each. */
static void free_of_both_reported(struct kunit *test)
{
	struct page *page = kt_own_pages(test, __GFP_COMP, 2);
	dma_addr_t dma = test_dma_map_page(test, page, 0, LONG, DMA_FROM_DEVICE);
	dma_addr_t in = test_dma_map_page(test, page, AT, SHORT, DMA_TO_DEVICE);

	test_free_pages(page, 2);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 2);
	kt_late_unmap(test, in, SHORT, DMA_TO_DEVICE);
	kt_late_unmap(test, dma, LONG, DMA_FROM_DEVICE);
}

/* The free of one page ends a mapping of several. */
static void free_of_one_page_reported(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 2);
	dma_addr_t dma;

	split_page(page, 2);
	dma = test_dma_map_page(test, page, 0, LONG, DMA_FROM_DEVICE);
	test_free_pages(page + 1, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page + 1), PAGE_SIZE);
	EXPECT_CLEAN(test, page_address(page), PAGE_SIZE);
	EXPECT_CLEAN(test, page_address(page + 2), 2 * PAGE_SIZE);
	kt_late_unmap(test, dma, LONG, DMA_FROM_DEVICE);
	test_free_pages(page, 0);
	test_free_pages(page + 2, 0);
	test_free_pages(page + 3, 0);
	EXPECT_SILENCE(test);
}

#define LINE	1024

/*
 * A mapping of one page whose last line ends in the next one: lines are counted from the start
 * of the memory, which the header of the driver core precedes.
 */
static void line_in_next_page_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = devm_kmalloc(kt_dev, PAGE_SIZE + 2 * LINE, GFP_KERNEL), *rest;
	size_t size = PAGE_SIZE - offset_in_page(buf) - 64;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	rest = buf + round_up(size, LINE) - 16;
	kt_set(test, "noncoherent", "1024");
	if (IS_ALIGNED(virt_to_phys(buf), LINE) || PAGE_ALIGN((unsigned long)buf) >
	    (unsigned long)rest)
		kunit_skip(test, "it is aligned to lines on this machine");
	dma = kt_map_quietly(test, kt_dev, buf, size, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	if (dir != DMA_TO_DEVICE) {
		test_dma_write(rest, 8);
		EXPECT_REPORT(test, "shared-line-write", test_dma_write, rest, 8);
	}
	EXPECT_CPU_OWNS(test, rest + 16, 8);
	dma_unmap_single(kt_dev, dma, size, dir);
	/* Found by content. */
	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kt_take_all();
	EXPECT_CLEAN(test, buf, PAGE_SIZE + 2 * LINE);
	EXPECT_CPU_OWNS(test, rest, 8);
	devm_kfree(kt_dev, buf);
}

/* === Threads ============================================================== */

#define ROUNDS	400
#define MAPPERS	3

/* All threads change something at the same time, then all look. */
struct mapper {
	struct kt_thread thread;
	u8 *buf;
	size_t size;
	enum dma_data_direction dir;
	unsigned int id;
	bool traps;
	atomic_t *arrived;
};

static void wait_for_all(const struct mapper *w, int nth)
{
	atomic_inc(w->arrived);
	while (atomic_read(w->arrived) < nth * MAPPERS)
		cond_resched();
}

/* Of memory that the device owns, how many pieces can be accessed? */
static int lost(const struct mapper *w)
{
	int nr = 0;
	size_t at;

	for (at = 0; w->traps && at < w->size; at += 256)
		nr += !kt_is_poisoned(w->buf + at);
	return nr;
}

static int map_and_look(void *arg)
{
	const struct mapper *w = arg;
	dma_addr_t dma = 0;
	int round, errors = 0;

	for (round = 1; round <= ROUNDS; round++) {
		if (!dma) {
			dma = dma_map_single(kt_dev, w->buf, w->size, w->dir);
			errors += !!dma_mapping_error(kt_dev, dma);
		} else if ((round + w->id) % 3) {
			dma_sync_single_for_cpu(kt_dev, dma, w->size, w->dir);
			dma_sync_single_for_device(kt_dev, dma, w->size, w->dir);
		} else {
			dma_unmap_single(kt_dev, dma, w->size, w->dir);
			dma = 0;
		}
		wait_for_all(w, 2 * round - 1);
		errors += dma ? lost(w) : 0;
		wait_for_all(w, 2 * round);
	}
	if (dma)
		dma_unmap_single(kt_dev, dma, w->size, w->dir);
	return errors;
}

/*
 * Two threads map a page each, and a third one parts of both. What a device owns is poisoned
 * whatever the others do, and all is clean in the end.
 */
static void threads_on_neighbouring_pages_trap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = four_pages(test);
	atomic_t arrived = ATOMIC_INIT(0);
	struct mapper w[MAPPERS] = {
		{ .buf = buf, .size = PAGE_SIZE, .dir = DMA_FROM_DEVICE },
		{ .buf = buf + PAGE_SIZE, .size = 1024, .dir = DMA_BIDIRECTIONAL },
		{ .buf = buf + 1024, .size = PAGE_SIZE, .dir = dir },
	};
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	u32 saved = kt_quiet_dma_debug();
	int i;

	for (i = 0; i < MAPPERS; i++) {
		w[i].id = i;
		w[i].traps = kt_traps(test);
		w[i].arrived = &arrived;
		kt_thread_start(&w[i].thread, map_and_look, &w[i]);
	}
	for (i = 0; i < MAPPERS; i++)
		KUNIT_EXPECT_EQ(test, kt_thread_join(&w[i].thread), 0);
	kt_unquiet_dma_debug(saved);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

static struct kunit_case pages_cases[] = {
	DIRECTION_CASE_SLOW(both_in_every_order_trap),
	DIRECTION_CASE(sync_of_one_leaves_other),
	KUNIT_CASE(same_start_by_size_told_apart),
	KUNIT_CASE(bad_and_good_by_size_told_apart),
	KUNIT_CASE(write_synced_for_one_reported),
	KUNIT_CASE(write_to_other_from_device_reported),
	KUNIT_CASE(write_unsynced_reported),
	KUNIT_CASE(write_to_two_pages_reported),
	KUNIT_CASE(in_place_of_both_silent),
	KUNIT_CASE(free_of_both_reported),
	KUNIT_CASE(free_of_one_page_reported),
	DIRECTION_CASE(line_in_next_page_traps),
	DIRECTION_CASE_SLOW(threads_on_neighbouring_pages_trap),
	{}
};

KT_SUITE(pages);
