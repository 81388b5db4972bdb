// SPDX-License-Identifier: GPL-2.0
/*
 * late-device-write: the device writes to memory that was unmapped and freed. Only where KASAN
 * keeps what is freed for a while.
 */

#include <linux/delay.h>
#include <linux/poison.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 512

static int late_init(struct kunit *test)
{
	int err = kt_test_init(test);

	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kunit_skip(test, "Test requires: CONFIG_KASAN_GENERIC=y");
	kt_set(test, "late_ms", "400");
	return err;
}

static kt_noinline dma_addr_t test_late_map(struct kunit *test, u8 *buf,
					    enum dma_data_direction dir)
{
	return test_dma_map(test, kt_dev, buf, SIZE, dir);
}

static long watched(void)
{
	return dma_owner_debug_count("late_watched");
}

/* Until a counter is above @before; for a tick of the tool's worker, on a slow machine. */
static bool wait_above(const char *counter, long before)
{
	int i;

	for (i = 0; i < 300; i++) {
		if (dma_owner_debug_count(counter) > before)
			return true;
		msleep(20);
	}
	return false;
}

/* Mapped, unmapped and freed, and seen to be free. */
static u8 *freed_buf(struct kunit *test, enum dma_data_direction dir)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_late_map(test, buf, dir);
	long before = watched();

	/* A bounce buffer would be written instead. */
	KT_REQUIRES(test, dma == virt_to_phys(buf));
	test_dma_unmap(dma, SIZE, dir);
	kfree(buf);
	if (dir == DMA_TO_DEVICE)
		msleep(200);
	else
		KUNIT_EXPECT_TRUE(test, wait_above("late_watched", before));
	return buf;
}

static void write_after_free_reported(struct kunit *test)
{
	long before = dma_owner_debug_count("reports_shown");
	u8 *buf = freed_buf(test, DMA_FROM_DEVICE);

	kt_device_writes(buf + 128, 128, 0x5a);
	wait_above("reports_shown", before);
	dma_owner_debug_flush();
	KUNIT_EXPECT_STREQ(test, kt_take_map_report("late-device-write", NULL, SIZE), "");
	EXPECT_TEXT(test, "Unmapped in test_dma_unmap+0x*");
	EXPECT_TEXT(test, "Then the memory was freed. Since then * of its first 64 words of 8 bytes have changed: by");
	EXPECT_TEXT(test, " is:  5a 5a 5a 5a *");
}

static void no_write_after_free_silent(struct kunit *test)
{
	freed_buf(test, DMA_FROM_DEVICE);
	msleep(600);
	EXPECT_SILENCE(test);
}

/* As much as the allocators write there themselves. */
static void few_words_written_silent(struct kunit *test)
{
	u8 *buf = freed_buf(test, DMA_BIDIRECTIONAL);

	/* Not where KASAN has its own: it would follow it. */
	kt_device_writes(buf + 64, 40, 0x5a);
	msleep(600);
	EXPECT_SILENCE(test);
}

/* What page_poison=1 and slub_debug write before the shadow changes. */
static void allocators_pattern_silent(struct kunit *test)
{
	u8 *buf = freed_buf(test, DMA_FROM_DEVICE);

	kt_device_writes(buf + 128, 128, PAGE_POISON);
	kt_device_writes(buf + 256, 128, SLUB_RED_ACTIVE);
	msleep(600);
	EXPECT_SILENCE(test);
}

/* What the device may only read is no business of this check. */
static void write_after_free_of_sent_silent(struct kunit *test)
{
	u8 *buf = freed_buf(test, DMA_TO_DEVICE);

	kt_device_writes(buf + 128, 128, 0x5a);
	msleep(600);
	EXPECT_SILENCE(test);
}

/* While the object has not been freed, its content is the driver's. */
static void write_before_free_silent(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_late_map(test, buf, DMA_FROM_DEVICE);
	long before = watched();

	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	msleep(100);
	memset(buf, 0x5a, SIZE);
	kfree(buf);
	KUNIT_EXPECT_TRUE(test, wait_above("late_watched", before));
	msleep(900);
	EXPECT_SILENCE(test);
}

static int write_half(void *p)
{
	int i;

	for (i = 0; i < 128; i += 8)
		test_dma_write(p + 128 + i, 8);
	return 0;
}

static long faults(void)
{
	return dma_owner_debug_count("reports_shown") +
	       dma_owner_debug_count("reports_deduplicated");
}

/* KASAN's to report, or not even that after its first report: no device's. */
static void cpu_write_after_free_silent(struct kunit *test)
{
	long found = faults(), before = dma_owner_debug_count("late_given_up");
	u8 *buf = freed_buf(test, DMA_FROM_DEVICE);
	struct kt_thread thread;

	kt_thread_start(&thread, write_half, buf);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	KUNIT_EXPECT_TRUE(test, wait_above("late_given_up", before));
	msleep(600);
	KUNIT_EXPECT_EQ(test, faults(), found);
	kt_take_all();
}

/* Either device may have written. */
static void mapped_by_two_devices_silent(struct kunit *test)
{
	long before = dma_owner_debug_count("late_given_up");
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_late_map(test, buf, DMA_FROM_DEVICE), other;

	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	other = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, other, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
	KUNIT_EXPECT_TRUE(test, wait_above("late_given_up", before));
	kt_device_writes(buf + 128, 128, 0x5a);
	msleep(900);
	EXPECT_SILENCE(test);
}

#define NR_OBJECTS 64

#define NR_SLOTS 32	/* judge/late_write.c */

/* The next slot that is taken is before the one that was taken last, unless that was the first. */
static void take_all_but_one(struct kunit *test, u8 *live)
{
	int i;

	for (i = 0; i < NR_SLOTS - 2; i++)
		test_dma_unmap(test_late_map(test, live, DMA_FROM_DEVICE), SIZE, DMA_FROM_DEVICE);
}

/*
 * The object has a second life, in which it is written, and is free again when it is compared.
 * @live: the device does that, in a mapping whose slot is looked at before the first life's;
 * a buffer for more mappings.
 */
static void live_twice(struct kunit *test, u8 *live)
{
	long before = watched();
	struct kmem_cache *cache = kmem_cache_create("dma_owner_late", SIZE, 8, 0, NULL);
	u8 *buf, *again[NR_OBJECTS] = {};
	bool found = false;
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	buf = kmem_cache_zalloc(cache, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, buf);
	if (!buf)
		goto out;
	dma = test_late_map(test, buf, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	/* Its slab is not to be freed. */
	again[0] = kmem_cache_alloc(cache, GFP_KERNEL);
	kmem_cache_free(cache, buf);
	KUNIT_EXPECT_TRUE(test, wait_above("late_watched", before));
	/* Before it is allocated, or the worker notices that first. */
	if (live)
		take_all_but_one(test, live);
	/* It leaves KASAN's quarantine. */
	kmem_cache_shrink(cache);
	for (i = 1; i < NR_OBJECTS && !found; i++) {
		again[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		found = again[i] == buf;
	}
	if (found && live) {
		dma = test_late_map(test, buf, DMA_FROM_DEVICE);
		kt_device_writes(buf, SIZE, 0x5a);
		test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	} else if (found) {
		memset(buf, 0x5a, SIZE);
	}
	for (i = 0; i < NR_OBJECTS; i++)
		if (again[i])
			kmem_cache_free(cache, again[i]);
	msleep(600);
	EXPECT_SILENCE(test);
out:
	kmem_cache_destroy(cache);
	if (!found)
		kunit_skip(test, "the object was not allocated again");
}

static void write_in_second_life_silent(struct kunit *test)
{
	live_twice(test, NULL);
}

static void device_write_in_second_life_silent(struct kunit *test)
{
	u8 *live = kt_buf(test, SIZE);

	live_twice(test, live);
	/* Once more, from another slot: the first one has none before it. */
	test_dma_unmap(test_late_map(test, live, DMA_FROM_DEVICE), SIZE, DMA_FROM_DEVICE);
	live_twice(test, live);
}

/* It leaves the quarantine, and stays free: the allocator links it into its list. */
static void release_from_quarantine_silent(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_late", SIZE, 8, 0, NULL);
	long before = watched();
	u8 *buf, *other;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	buf = kmem_cache_zalloc(cache, GFP_KERNEL);
	other = kmem_cache_alloc(cache, GFP_KERNEL);
	if (buf && other) {
		memset(buf, 0x77, SIZE);
		dma = test_late_map(test, buf, DMA_FROM_DEVICE);
		test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
		kmem_cache_free(cache, buf);
		KUNIT_EXPECT_TRUE(test, wait_above("late_watched", before));
		kmem_cache_shrink(cache);
		msleep(600);
		EXPECT_SILENCE(test);
		kmem_cache_free(cache, other);
	}
	kmem_cache_destroy(cache);
}

static struct kunit_case late_cases[] = {
	KUNIT_CASE(write_after_free_reported),
	KUNIT_CASE(no_write_after_free_silent),
	KUNIT_CASE(few_words_written_silent),
	KUNIT_CASE(allocators_pattern_silent),
	KUNIT_CASE(write_after_free_of_sent_silent),
	KUNIT_CASE(write_before_free_silent),
	KUNIT_CASE(cpu_write_after_free_silent),
	KUNIT_CASE(mapped_by_two_devices_silent),
	KUNIT_CASE(write_in_second_life_silent),
	KUNIT_CASE(device_write_in_second_life_silent),
	KUNIT_CASE(release_from_quarantine_silent),
	{}
};

KT_SUITE_INIT(late, late_init);
