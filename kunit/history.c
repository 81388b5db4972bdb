// SPDX-License-Identifier: GPL-2.0
/*
 * The history in a report: how the bytes of the access came to be whose they are, newest first,
 * at most four lines, and nothing of other bytes.
 */

#include <linux/delay.h>
#include <linux/glob.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE 256
#define HEADER "History of these bytes, newest first:"
#define LINE(owner, call, fn) " *.??????s ago  to the " owner "  " call "() *" fn "+0x*"
#define MAPPED LINE("device", "dma_map_single", "test_dma_map")
#define UNMAPPED LINE("CPU   ", "dma_unmap_single", "test_dma_unmap")
#define DROPPED " (not all syncs of this mapping are remembered)"
#define TO_CPU LINE("CPU   ", "dma_sync_single_for_cpu", "test_to_cpu")
#define TO_DEVICE LINE("device", "dma_sync_single_for_device", "test_to_device")

static kt_noinline void test_to_cpu(dma_addr_t dma, size_t off, size_t size)
{
	dma_sync_single_range_for_cpu(kt_dev, dma, off, size, DMA_FROM_DEVICE);
	barrier();
}

static kt_noinline void test_to_device(dma_addr_t dma, size_t off, size_t size)
{
	dma_sync_single_range_for_device(kt_dev, dma, off, size, DMA_FROM_DEVICE);
	barrier();
}

/* The n-th line of the history in the report taken last, "" if there is none. */
static const char *history(int n)
{
	int i;

	for (i = 0; i < kt_lines(); i++)
		if (!strcmp(kt_line(i), HEADER))
			break;
	return strstr(kt_line(i + n), " ago  ") || strstr(kt_line(i + n), "are remembered") ?
	       kt_line(i + n) : "";
}

#define EXPECT_HISTORY(test, n, pattern)					\
	KUNIT_EXPECT_TRUE_MSG(test, glob_match(pattern, history(n)),		\
			      "line %d is '%s', not '%s'", n, history(n), pattern)

/* One hand-over after the other, and then the access. */
static void syncs_listed_newest_first(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_to_cpu(dma, 0, SIZE);
	test_to_device(dma, 0, SIZE);
	EXPECT_READ_TRAPS(test, buf + 8, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, TO_CPU);
	EXPECT_HISTORY(test, 3, MAPPED);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* Syncs of other bytes say nothing of these; those of the bytes next to them do not, either. */
static void sync_elsewhere_not_listed(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_to_cpu(dma, 64, 64);
	test_to_device(dma, 64, 64);
	EXPECT_READ_TRAPS(test, buf + 56, 8);
	EXPECT_HISTORY(test, 1, MAPPED);
	EXPECT_READ_TRAPS(test, buf + 128, 8);
	EXPECT_HISTORY(test, 1, MAPPED);

	EXPECT_READ_TRAPS(test, buf + 64, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, TO_CPU);
	EXPECT_HISTORY(test, 3, MAPPED);
	/* The last of its bytes is enough. */
	EXPECT_READ_TRAPS(test, buf + 120, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* A sync that does nothing is no hand-over. */
static void idle_sync_not_listed(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	u32 saved;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	saved = kt_quiet_dma_debug();
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	kt_unquiet_dma_debug(saved);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, MAPPED);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* What was mapped there before, and how it ended. */
static void mapping_before_listed(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i;

	if (!kt_traps(test))
		return;
	for (i = 0; i < 3; i++) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		if (i < 2)
			test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
		/* The clock may be the tick. */
		msleep(20);
	}
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, MAPPED);
	EXPECT_HISTORY(test, 2, UNMAPPED);
	EXPECT_HISTORY(test, 3, MAPPED);
	EXPECT_HISTORY(test, 4, UNMAPPED);
	/* Each is another one, at another time. */
	KUNIT_EXPECT_STRNEQ(test, history(1), history(3));
	KUNIT_EXPECT_STRNEQ(test, history(2), history(4));
	/* The other map call is the fifth. */
	KUNIT_EXPECT_STREQ(test, history(5), "");
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* A mapping of the memory beside it is not. */
static void mapping_beside_not_listed(struct kunit *test)
{
	u8 *buf = kt_buf(test, 2 * SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + SIZE, SIZE, DMA_FROM_DEVICE);

	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	if (kt_traps(test)) {
		EXPECT_READ_TRAPS(test, buf + SIZE - 8, 8);
		EXPECT_HISTORY(test, 1, MAPPED);
		KUNIT_EXPECT_FALSE(test, glob_match(UNMAPPED, history(2)));
	}
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* Of many syncs the last are remembered, and it is said where others are not. */
static void dropped_syncs_said(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_to_cpu(dma, 128, 64);
	test_to_device(dma, 128, 64);
	/* Nothing is left out yet. */
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, MAPPED);
	/* Three are remembered where the last one is for the device. */
	test_to_cpu(dma, 128, 64);
	test_to_device(dma, 128, 64);
	EXPECT_READ_TRAPS(test, buf + 128, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, TO_CPU);
	EXPECT_HISTORY(test, 3, TO_DEVICE);
	EXPECT_HISTORY(test, 4, DROPPED);
	KUNIT_EXPECT_STREQ(test, history(5), "");

	/* However many syncs there were, what is not remembered is said. */
	for (i = 0; i < 9; i++) {
		test_to_cpu(dma, 64, 64);
		test_to_device(dma, 64, 64);
		EXPECT_READ_TRAPS(test, buf, 8);
		EXPECT_HISTORY(test, 1, DROPPED);
		EXPECT_HISTORY(test, 2, MAPPED);
		EXPECT_READ_TRAPS(test, buf + 64, 8);
		EXPECT_HISTORY(test, 1, TO_DEVICE);
		EXPECT_HISTORY(test, 2, TO_CPU);
	}
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* What is not remembered lies between those that are: the line does not say that it is older. */
static void dropped_sync_between_said(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int i;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	for (i = 0; i < 2; i++) {
		test_to_cpu(dma, 64, 64);
		test_to_device(dma, 64, 64);
	}
	msleep(20);
	test_to_cpu(dma, 64, 8);
	EXPECT_READ_TRAPS(test, buf + 120, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, TO_DEVICE);
	EXPECT_HISTORY(test, 3, DROPPED);
	EXPECT_HISTORY(test, 4, MAPPED);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* The last sync for the device is remembered for long. */
static void old_sync_after_newer_ones(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_to_cpu(dma, 64, 128);
	test_to_device(dma, 64, 128);
	msleep(20);
	test_to_cpu(dma, 72, 8);
	test_to_cpu(dma, 80, 8);
	test_to_cpu(dma, 88, 8);
	EXPECT_READ_TRAPS(test, buf + 128, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, DROPPED);
	EXPECT_HISTORY(test, 3, MAPPED);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

/* Memory that the CPU owned after the map call did not change hands by that. */
static void map_without_sync_not_listed(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = kt_map_skip_sync(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_to_device(dma, 0, SIZE);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	KUNIT_EXPECT_NULL(test, strstr(history(2), "dma_map_single"));
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

static void history_of_list(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg;

	sg_init_one(&sg, buf, SIZE);
	if (!kt_traps(test) || !test_dma_map_sg(&sg, 1, DMA_FROM_DEVICE))
		return;
	dma_sync_sg_for_cpu(kt_dev, &sg, 1, DMA_FROM_DEVICE);
	dma_sync_sg_for_device(kt_dev, &sg, 1, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, LINE("device", "dma_sync_sg_for_device", "history_of_list"));
	EXPECT_HISTORY(test, 2, LINE("CPU   ", "dma_sync_sg_for_cpu", "history_of_list"));
	EXPECT_HISTORY(test, 3, LINE("device", "dma_map_sg", "test_dma_map_sg"));
	dma_unmap_sg(kt_dev, &sg, 1, DMA_FROM_DEVICE);
}

/* A write that is reported at the unmap. */
static void history_of_lost_write(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf, 8);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 8);
	EXPECT_HISTORY(test, 1, MAPPED);
}

static void history_off_not_shown(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	kt_set(test, "history", "0");
	test_to_cpu(dma, 0, SIZE);
	test_to_device(dma, 0, SIZE);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_NO_TEXT(test, "History *");
	/* Of what was not remembered then, the last sync for the device is known. */
	kt_set(test, "history", "1");
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	EXPECT_HISTORY(test, 2, MAPPED);
	test_to_cpu(dma, 0, SIZE);
	test_to_device(dma, 0, SIZE);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_HISTORY(test, 1, TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
}

static struct kunit_case history_cases[] = {
	KUNIT_CASE(syncs_listed_newest_first),
	KUNIT_CASE(sync_elsewhere_not_listed),
	KUNIT_CASE(idle_sync_not_listed),
	KUNIT_CASE(mapping_before_listed),
	KUNIT_CASE(mapping_beside_not_listed),
	KUNIT_CASE(dropped_syncs_said),
	KUNIT_CASE(dropped_sync_between_said),
	KUNIT_CASE(old_sync_after_newer_ones),
	KUNIT_CASE(map_without_sync_not_listed),
	KUNIT_CASE(history_of_list),
	KUNIT_CASE(history_of_lost_write),
	KUNIT_CASE(history_off_not_shown),
	{}
};

KT_SUITE(history);
