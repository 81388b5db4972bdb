// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 12: a mapping found bad is poisoned up to its first bad byte and no further. Only the
 * driver that maps too much is reported, whatever its length runs into.
 */

#include <linux/dma-map-ops.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "kt_misuse.h"

KT_WAYS;

#define NOBJECTS	64
#define SIZE		512

/* Objects, two of which follow each other in a page: the first is mapped too long. */
struct objects {
	u8 *all[NOBJECTS], *culprit, *innocent;
};

static struct objects *get_objects(struct kunit *test)
{
	struct objects *o = kunit_kzalloc(test, sizeof(*o), GFP_KERNEL);
	int i, j;

	KUNIT_ASSERT_NOT_NULL(test, o);
	for (i = 0; i < NOBJECTS; i++)
		o->all[i] = kt_buf(test, SIZE);
	for (i = 0; i < NOBJECTS; i++)
		for (j = 0; j < NOBJECTS; j++)
			if (o->all[j] > o->all[i] && o->all[j] < o->all[i] + 3 * SIZE &&
			    virt_to_page(o->all[i]) == virt_to_page(o->all[j])) {
				o->culprit = o->all[i];
				o->innocent = o->all[j];
				return o;
			}
	kunit_skip(test, "no two objects follow each other");
	return NULL;
}

/* Only the driver that maps too much is reported, not the owner of the next object. */
static void expect_only_culprit_reported(struct kunit *test, size_t size,
					 enum dma_data_direction dir)
{
	struct objects *o = get_objects(test);
	struct kt_target t = kt_target_of_buf(test, o->culprit, size, dir);

	kt_target_keep_mapped(test, &t);
	EXPECT_MISUSE(test, "out-of-bounds-map", size);
	kt_says(test, "Only its first %d bytes are allocated.", SIZE);
	EXPECT_CPU_OWNS(test, o->innocent, SIZE);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit, 8);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit + SIZE - 8, 8);

	kt_target_sync(&t, false);
	EXPECT_CPU_OWNS(test, o->culprit, SIZE);
	kt_target_sync(&t, true);
	EXPECT_CPU_OWNS(test, o->innocent, SIZE);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit, 8);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit + SIZE - 8, 8);

	/* A mapping of the next object is silent, too. */
	dma_unmap_single(kt_dev2, test_dma_map(test, kt_dev2, o->innocent, SIZE, dir),
			 SIZE, dir);
	EXPECT_CPU_OWNS(test, o->innocent, SIZE);

	kt_target_unmap(&t);
	EXPECT_CLEAN(test, o->culprit, SIZE);
	EXPECT_CLEAN(test, o->innocent, SIZE);
	EXPECT_SILENCE(test);
}

static void length_into_next_object_harmless(struct kunit *test)
{
	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	expect_only_culprit_reported(test, 8 * SIZE, DMA_TO_DEVICE);
	expect_only_culprit_reported(test, 8 * SIZE, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "64");
	expect_only_culprit_reported(test, 8 * SIZE + 12, DMA_BIDIRECTIONAL);
}

/* Over several regions of the tool's index. */
static void length_of_megabytes_harmless(struct kunit *test)
{
	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	expect_only_culprit_reported(test, SZ_4M, DMA_TO_DEVICE);
	expect_only_culprit_reported(test, SZ_16M, DMA_FROM_DEVICE);
}

/* The mapping begins with a bad byte: no device owns any of it, whatever is synced. */
static void length_from_redzone_harmless(struct kunit *test)
{
	struct objects *o = get_objects(test);
	struct kt_target t = kt_target_of_buf(test, o->innocent - 8, 8 + SIZE, DMA_FROM_DEVICE);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	kt_target_keep_mapped(test, &t);
	EXPECT_MISUSE(test, "out-of-bounds-map", 8 + SIZE);
	EXPECT_CPU_OWNS(test, o->innocent, SIZE);
	kt_target_sync(&t, false);
	kt_target_sync(&t, true);
	EXPECT_CPU_OWNS(test, o->innocent, SIZE);
	kt_target_unmap(&t);
	EXPECT_CLEAN(test, o->innocent, SIZE);
}

/* len - header, where len is too small: one report, within a second. */
static void negative_length_reported_in_time(struct kunit *test)
{
	static const size_t sizes[] = { 0xfffffffcU, 0xfffffff8U, (size_t)-4, (size_t)-4096 };
	long live = dma_owner_debug_count("live");
	u8 *buf = kt_buf(test, 256);
	int i;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	KT_REQUIRES(test, sizeof(size_t) == sizeof(u64));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kt_target t;
		u64 start;

		if (kt_is_list(test) && sizes[i] > U32_MAX)
			continue;
		t = kt_target_of_buf(test, buf, sizes[i], DMA_FROM_DEVICE);
		start = ktime_get_ns();
		kt_target_keep_mapped(test, &t);
		kt_target_sync(&t, false);
		kt_target_sync(&t, true);
		KUNIT_EXPECT_LT(test, ktime_get_ns() - start, (u64)NSEC_PER_SEC);
		EXPECT_MISUSE(test, "out-of-bounds-map", sizes[i]);
		/* Without KASAN, what follows may be another entry that was merged. */
		if (IS_ENABLED(CONFIG_KASAN_GENERIC) || !kt_is_list(test))
			kt_says(test, "Only its first 256 bytes are allocated.");
		kt_says(test, "It leaves RAM after *");
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 248, 8);
		kt_target_unmap(&t);
		EXPECT_CLEAN(test, buf, 256);
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live);
	}
	kt_map_buf(test, buf, 256);
	EXPECT_SILENCE(test);
}

/* The same from a page on: what follows is somebody else's, or free. */
static void negative_length_of_pages_reported(struct kunit *test)
{
	u8 *buf = kt_page_buf(test);
	long live = dma_owner_debug_count("live");
	struct kt_target t;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	t = kt_target_of_buf(test, buf, 0xfffffffcU, DMA_TO_DEVICE);
	kt_target_keep_mapped(test, &t);
	if (kt_has("*not-contiguous*"))
		EXPECT_MISUSE(test, "not-contiguous", 0xfffffffcUL);
	else
		EXPECT_MISUSE(test, "out-of-bounds-map", 0xfffffffcUL);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	kt_target_unmap(&t);
	EXPECT_CLEAN(test, buf, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live);
}

static struct kunit_case bad_length_cases[] = {
	BOTH_WAYS(length_into_next_object_harmless),
	BOTH_WAYS(length_of_megabytes_harmless),
	BOTH_WAYS(length_from_redzone_harmless),
	BOTH_WAYS(negative_length_reported_in_time),
	BOTH_WAYS(negative_length_of_pages_reported),
	{}
};

KT_SUITE(bad_length);
