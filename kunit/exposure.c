// SPDX-License-Identifier: GPL-2.0
/*
 * The file exposure: which memory shares pages with what is mapped. The devices of the tests are
 * shown as if they were behind an IOMMU.
 */

#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

#define TEXT	8192
#define CACHE	"dma_owner_kunit-lodgers"

/* An odd size: no other cache of the kernel has it. */
#define SIZE	328
#define NR	256

static char *text_buf(struct kunit *test)
{
	char *buf = kunit_kzalloc(test, TEXT, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

/* What the device of the tests can reach; "" if nothing. */
static const char *exposure(struct kunit *test)
{
	char *buf = text_buf(test);

	KUNIT_ASSERT_EQ(test, dma_owner_debug_exposure(kt_dev, buf, TEXT), 0);
	return buf;
}

static void construct(void *object)
{
}

struct lodgers {
	struct kmem_cache *cache;
	u8 *object[NR];
	unsigned int fullest, nr;	/* an object, and how many others are in its page */
};

static unsigned long first_page(const u8 *object)
{
	return (unsigned long)object >> PAGE_SHIFT;
}

static unsigned long last_page(const u8 *object)
{
	return (unsigned long)(object + SIZE - 1) >> PAGE_SHIFT;
}

/* How many other objects reach into the pages of this one? */
static unsigned int others_beside(const struct lodgers *l, unsigned int i)
{
	const u8 *object = l->object[i];
	unsigned int j, nr = 0;

	for (j = 0; j < NR; j++)
		nr += j != i && l->object[j] && last_page(l->object[j]) >= first_page(object) &&
		      first_page(l->object[j]) <= last_page(object);
	return nr;
}

/* Another object that lies wholly in the page in which the fullest begins; NR if there is none. */
static unsigned int neighbour(const struct lodgers *l)
{
	unsigned long page = first_page(l->object[l->fullest]);
	unsigned int i;

	for (i = 0; i < NR; i++)
		if (i != l->fullest && l->object[i] && first_page(l->object[i]) == page &&
		    last_page(l->object[i]) == page)
			break;
	return i;
}

static void lodgers_init(struct kunit *test, struct lodgers *l)
{
	unsigned int i;

	memset(l, 0, sizeof(*l));
	l->cache = kmem_cache_create(CACHE, SIZE, 0, 0, construct);
	KUNIT_ASSERT_NOT_NULL(test, l->cache);
	for (i = 0; i < NR; i++) {
		l->object[i] = kmem_cache_alloc(l->cache, GFP_KERNEL);
		if (is_kfence_address(l->object[i])) {
			kmem_cache_free(l->cache, l->object[i]);
			l->object[i] = NULL;
		}
	}
	for (i = 0; i < NR; i++)
		if (l->object[i] && others_beside(l, i) > l->nr) {
			l->fullest = i;
			l->nr = others_beside(l, i);
		}
}

static void lodgers_free(struct lodgers *l)
{
	unsigned int i;

	for (i = 0; i < NR; i++)
		if (l->object[i])
			kmem_cache_free(l->cache, l->object[i]);
	kmem_cache_destroy(l->cache);
}

/* Where a cache has a layout that is not known, as with some slub_debug, nothing is counted. */
static void requires_layout(struct kunit *test)
{
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	bool known = !strstr(exposure(test), "layout is not known");

	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	KT_REQUIRES(test, known);
}

/* "can write 1 page that also holds 11 objects it was not given: 11 <cache>" */
static void expect_lodgers(struct kunit *test, const char *kind, unsigned int nr)
{
	const char *text = exposure(test), *objects = strstr(text, "it was not given: ");
	char want[80];

	snprintf(want, sizeof(want), KT_NAME ".0 can %s ", kind);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(text, want), "no '%s' in: %s", want, text);
	snprintf(want, sizeof(want), " %u %s it was not given: ", nr,
		 nr == 1 ?
		 IS_ENABLED(CONFIG_KASAN_GENERIC) ? "object" : "place of an object, used or free," :
		 IS_ENABLED(CONFIG_KASAN_GENERIC) ? "objects" : "places of objects, used or free,");
	KUNIT_EXPECT_TRUE_MSG(test, strstr(text, want), "no '%s' in: %s", want, text);
	snprintf(want, sizeof(want), "it was not given: %u " CACHE " (", nr);
	KUNIT_EXPECT_TRUE_MSG(test, objects && strstarts(objects, want), "no '%s' in: %s", want,
			      text);
}

static void neighbours_counted(struct kunit *test)
{
	long notes = dma_owner_debug_count("notes_neighbours_exposed");
	struct lodgers *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	u8 *object;
	dma_addr_t dma;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, l);
	requires_layout(test);
	lodgers_init(test, l);
	object = l->object[l->fullest];
	KUNIT_EXPECT_GT(test, l->nr, 2);

	/* One that the device only reads: no note. */
	dma = test_dma_map(test, kt_dev, object, SIZE, DMA_TO_DEVICE);
	expect_lodgers(test, "read", l->nr);
	KUNIT_EXPECT_NULL(test, strstr(exposure(test), "can write"));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("notes_neighbours_exposed"), notes);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);

	dma = test_dma_map(test, kt_dev, object, SIZE, DMA_FROM_DEVICE);
	expect_lodgers(test, "write", l->nr);
	KUNIT_EXPECT_NULL(test, strstr(exposure(test), "can read"));

	/* A neighbour of its own is given, in whatever direction. */
	i = neighbour(l);
	if (i < NR) {
		dma_addr_t other = test_dma_map(test, kt_dev, l->object[i], 8, DMA_FROM_DEVICE);

		expect_lodgers(test, "write", l->nr - 1);
		dma_unmap_single(kt_dev, other, 8, DMA_FROM_DEVICE);
		/* One that is free is there no more, where KASAN tells. */
		if (IS_ENABLED(CONFIG_KASAN_GENERIC)) {
			kmem_cache_free(l->cache, l->object[i]);
			l->object[i] = NULL;
			expect_lodgers(test, "write", l->nr - 1);
		}
	}
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, exposure(test), "");
	lodgers_free(l);
	/* Once a device, if at all: earlier runs count. */
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("notes_neighbours_exposed"), notes ?: 1);
	EXPECT_SILENCE(test);
}

static void own_pages_silent(struct kunit *test)
{
	long notes = dma_owner_debug_count("notes_neighbours_exposed");
	struct page *page = kt_page(test, 1);
	u8 *buf = page_address(page);
	dma_addr_t dma;

	dma = test_dma_map(test, kt_dev, buf, 2 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, exposure(test),
			   KT_NAME ".0 can read 2 pages that hold nothing else\n"
			   KT_NAME ".0 can write 2 pages that hold nothing else\n");
	dma_unmap_single(kt_dev, dma, 2 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("notes_neighbours_exposed"), notes);
	EXPECT_SILENCE(test);
}

/* Pages of no slab: what is beside the buffers, which overlap, counts once. */
static void rest_of_page_counted(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 1));
	dma_addr_t dma[3];
	char want[160];

	dma[0] = test_dma_map(test, kt_dev, buf + 64, 256, DMA_TO_DEVICE);
	dma[1] = test_dma_map(test, kt_dev, buf + 128, 64, DMA_TO_DEVICE);
	dma[2] = test_dma_map(test, kt_dev, buf + PAGE_SIZE - 64, 128, DMA_TO_DEVICE);
	snprintf(want, sizeof(want),
		 KT_NAME ".0 can read 2 pages; %lu bytes beside its buffers, in pages of no slab\n",
		 2 * PAGE_SIZE - 256 - 128);
	KUNIT_EXPECT_STREQ(test, exposure(test), want);
	dma_unmap_single(kt_dev, dma[2], 128, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma[1], 64, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma[0], 256, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Rule 3b: it is remembered for what the CPU reads there, but the device reaches nothing of it. */
static void stale_not_counted(struct kunit *test)
{
	long stale = dma_owner_debug_count("stale_mappings");
	struct page *page = kt_page(test, 0);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	kt_set(test, "noncoherent", "64");
	dma = test_dma_map(test, kt_dev, page_address(page), PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STRNEQ(test, exposure(test), "");
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("stale_mappings"), stale + 1);
	KUNIT_EXPECT_STREQ(test, exposure(test), "");
	EXPECT_SILENCE(test);
}

/* As the file has it: nothing translates for the device of the tests. */
static void untranslated_said(struct kunit *test)
{
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_FROM_DEVICE);
	char *text = text_buf(test);

	KUNIT_ASSERT_EQ(test, dma_owner_debug_exposure(NULL, text, TEXT), 0);
	KUNIT_EXPECT_TRUE(test, strstr(text, KT_NAME ".0 can read and write all of memory"));
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	dma_owner_debug_exposure(NULL, text, TEXT);
	KUNIT_EXPECT_NULL(test, strstr(text, KT_NAME ".0 "));
	EXPECT_SILENCE(test);
}

static struct kunit_case exposure_cases[] = {
	KUNIT_CASE(neighbours_counted),
	KUNIT_CASE(own_pages_silent),
	KUNIT_CASE(rest_of_page_counted),
	KUNIT_CASE(stale_not_counted),
	KUNIT_CASE(untranslated_said),
	{}
};

KT_SUITE(exposure);
