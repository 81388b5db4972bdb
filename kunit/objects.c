// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of memory without KASAN: where slab objects begin and end, and which pages are
 * free. Mappings that leave their object, freed pages, and who shares a cache line with a part of
 * an object. Each with what is not known, and must be silent.
 */

#include <linux/device.h>
#include <linux/irqflags.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kt_lines.h"
#include "kt_misuse.h"

KT_WAYS;

/* A size of kmalloc()'s, so that objects are adjacent. */
#define SIZE 256

static int objects_test_init(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		kunit_skip(test, "KASAN's shadow knows more");
	return kt_lines_test_init(test);
}

static long unjudged(void)
{
	return dma_owner_debug_count("unjudged_object");
}

/* With slub_debug the layout of a cache is another one. */
static u8 *known_buf(struct kunit *test, size_t size)
{
	u8 *buf = kt_buf(test, size);
	long before = unjudged();

	kt_map_buf(test, buf, size);
	EXPECT_SILENCE(test);
	if (unjudged() != before)
		kunit_skip(test, "the bounds of slab objects are not known");
	return buf;
}

/* === Bounds =============================================================== */

/* Entries of a list may be adjacent objects that were merged, whoever allocated them. */
static void past_object_reported(struct kunit *test)
{
	u8 *buf = known_buf(test, SIZE);
	long before = unjudged();

	kt_map_buf(test, buf, SIZE + 1);
	if (kt_is_list(test)) {
		EXPECT_SILENCE(test);
	} else {
		EXPECT_MISUSE(test, "out-of-bounds-map", SIZE + 1);
		kt_says(test, "Byte %u of its %u is in the memory after its slab object.", SIZE,
			SIZE + 1);
		kt_says(test, "Only its first %u bytes are allocated.", SIZE);
		kt_says_where(test, buf, SIZE + 1);
		kt_says_object(test, buf, 0);
		kt_says(test, "Hint: map no more bytes than were allocated.");
	}
	kt_map_buf(test, buf + 100, SIZE - 100);
	kt_map_buf(test, buf + SIZE - 1, 1);
	kt_map_buf(test, buf, 1);
	EXPECT_SILENCE(test);
	kt_map_buf(test, buf + 100, SIZE - 99);
	if (kt_is_list(test)) {
		EXPECT_SILENCE(test);
	} else {
		EXPECT_MISUSE(test, "out-of-bounds-map", SIZE - 99);
		kt_says_object(test, buf, 100);
	}
	KUNIT_EXPECT_EQ(test, unjudged(), before);
}

/* Only the allocator knows its caller's size: up to the end of the object nothing is said. */
static void rounded_up_rest_silent(struct kunit *test)
{
	u8 *buf = known_buf(test, 200);

	KT_REQUIRES(test, kmalloc_size_roundup(200) == SIZE);
	kt_map_buf(test, buf, 201);
	kt_map_buf(test, buf, SIZE);
	EXPECT_SILENCE(test);
}

/* What KASAN would find is the report, and not what follows from it. */
static void past_object_reported_once(struct kunit *test)
{
	u8 *buf = known_buf(test, SIZE), *other = kt_buf(test, SIZE);
	struct kt_target t = kt_target_of_buf(test, buf, 3 * SIZE, DMA_FROM_DEVICE);

	kt_requires_quiet(test);
	KT_REQUIRES(test, !kt_is_list(test));
	kt_target_keep_mapped(test, &t);
	EXPECT_MISUSE(test, "out-of-bounds-map", 3 * SIZE);
	/* The next object is somebody else's, who goes on using it. */
	kt_map_buf(test, other, SIZE);
	kt_target_sync(&t, false);
	kt_target_sync(&t, true);
	kt_target_unmap(&t);
	EXPECT_SILENCE(test);
}

static void construct(void *object)
{
}

/* An object of a cache; the test frees both. */
static u8 *cache_object(struct kunit *test, struct kmem_cache *cache)
{
	u8 *object;

	do {
		object = kmem_cache_alloc(cache, GFP_KERNEL);
	} while (is_kfence_address(object));
	return object;
}

/* 8 bytes are asked for less than a multiple: nobody has what is between two objects. */
static void padding_reported(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit-100", 100, 0, 0, construct);
	long before = unjudged();
	u8 *object;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	object = cache_object(test, cache);
	kt_map_buf(test, object, 100);
	EXPECT_SILENCE(test);
	if (unjudged() == before) {
		kt_map_buf(test, object, 101);
		EXPECT_MISUSE(test, "out-of-bounds-map", 101);
		kt_says(test, "Byte 100 of its 101 is in the padding between slab objects.");
		kt_map_buf(test, object + 100, 4);
		EXPECT_MISUSE(test, "out-of-bounds-map", 4);
		kt_says(test, "Byte 0 of its 4 is in the padding between slab objects.");
	}
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

/* Where the padding is such as slub_debug's redzones, it is not known where objects begin. */
static void unknown_layout_silent(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit-80", 80, 128, 0, construct);
	long before = unjudged();
	u8 *object;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	object = cache_object(test, cache);
	kt_map_buf(test, object, 80);
	kt_map_buf(test, object, 100);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before + 2);
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

/* After the last object of a slab. */
static void unused_end_of_slab_reported(struct kunit *test)
{
	const unsigned int size = 1504;
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit-1504", size - 8, 0, 0,
						     construct);
	u8 *object[64] = {}, *last = NULL, *end = NULL;
	long before = unjudged();
	int i;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	for (i = 0; i < ARRAY_SIZE(object) && !last; i++) {
		struct folio *folio;

		object[i] = cache_object(test, cache);
		folio = virt_to_folio(object[i]);
		end = folio_address(folio) + folio_size(folio);
		if (end - object[i] > size && end - object[i] < 2 * size)
			last = object[i];
	}
	if (last)
		kt_map_buf(test, last, size - 8);
	EXPECT_SILENCE(test);
	if (last && unjudged() == before) {
		kt_map_buf(test, last + size, end - last - size);
		EXPECT_MISUSE(test, "out-of-bounds-map", end - last - size);
		kt_says(test, "Byte 0 of its %zu is in the unused end of a slab.",
			(size_t)(end - last - size));
	}
	while (i--)
		kmem_cache_free(cache, object[i]);
	kmem_cache_destroy(cache);
	if (!last)
		kunit_skip(test, "no slab has an unused end");
}

/* KFENCE knows how much was asked for. */
static void past_kfence_object_reported(struct kunit *test)
{
	u8 *buf;

	kt_requires_quiet(test);
	buf = kt_kfence_buf(test, 100);
	kt_map_buf(test, buf, 101);
	EXPECT_MISUSE(test, "out-of-bounds-map", 101);
	kt_says(test, "Byte 100 of its 101 is in the memory after its object of KFENCE's.");
	kt_map_buf(test, buf, 100);
	kt_map_buf(test, buf + 1, 99);
	EXPECT_SILENCE(test);
	kfree(buf);
}

#ifdef CONFIG_KFENCE
/* Is the page there, and all of it zero? One that is or was an object has KFENCE's pattern. */
static bool never_used(const u64 *page)
{
	unsigned int i;
	u64 word;

	pagefault_disable();
	for (i = 0; i < PAGE_SIZE / sizeof(word); i++) {
		__get_kernel_nofault(&word, page + i, u64, fault);
		if (word)
			break;
	}
	pagefault_enable();
	return i == PAGE_SIZE / sizeof(word);
fault:
	pagefault_enable();
	return false;
}

/* It is marked as a slab, and has no cache. KFENCE takes its pages in order, from the first on. */
static void unused_kfence_page_silent(struct kunit *test)
{
	u8 *page = __kfence_pool;
	long before;
	int i;

	KT_REQUIRES(test, page);
	page += 2 * CONFIG_KFENCE_NUM_OBJECTS * PAGE_SIZE;
	for (i = 0; i < CONFIG_KFENCE_NUM_OBJECTS / 2 && !never_used((u64 *)page); i++)
		page -= 2 * PAGE_SIZE;
	KT_REQUIRES(test, never_used((u64 *)page));
	before = unjudged();
	kt_map_buf(test, page, 100);
	kt_map_buf(test, page, PAGE_SIZE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before + 2);
}
#endif

/* === Freed pages ========================================================== */

static bool map_freed(struct kunit *test, struct page *page, unsigned int order)
{
	struct kt_target t = kt_target_of(test, page, 16, 100, DMA_TO_DEVICE);
	unsigned long flags;
	bool mapped;

	local_irq_save(flags);
	__free_pages(page, order);
	mapped = kt_target_map(&t);
	local_irq_restore(flags);
	return mapped;
}

/*
 * Freed and mapped with interrupts off: nobody else can allocate it in between. What is before
 * it cannot be the first page of an allocation that it is in: that would be aligned.
 */
static void freed_page_reported(struct kunit *test)
{
	struct page *page;

	kt_requires_quiet(test);
	KT_REQUIRES(test, !DOD_FROZEN_PAGES);
	page = alloc_pages(GFP_KERNEL, 2);
	KUNIT_ASSERT_NOT_NULL(test, page);
	split_page(page, 2);
	kt_map_page(test, page + 2, 16, 100, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_TRUE(test, map_freed(test, page + 2, 0));
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	kt_says(test, "Byte 0 of its 100 is in a freed page.");
	KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));

	/* Could be a later page of an allocation that begins with the one before it. */
	KUNIT_EXPECT_TRUE(test, map_freed(test, page + 1, 0));
	EXPECT_SILENCE(test);
	__free_page(page);
	__free_page(page + 3);
}

/* The later pages of an allocation without __GFP_COMP have no references, either. */
static void later_pages_silent(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	for (i = 0; i < 8; i++) {
		KUNIT_EXPECT_EQ(test, page_ref_count(page + i), !i);
		kt_map_page(test, page + i, 16, 100, DMA_TO_DEVICE);
	}
	kt_map_page(test, page + 3, 0, 5 * PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	__free_pages(page, 3);

	page = kt_page(test, 3);
	for (i = 0; i < 8; i++)
		kt_map_page(test, page + i, 16, 100, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* === Cache lines ========================================================== */

/* What is before it in its object is in use. What is after it may not have been asked for. */
static void part_of_object_reported(struct kunit *test)
{
	long rest = dma_owner_debug_count("unjudged_object_rest");
	u8 *buf = known_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 24, 100, DMA_FROM_DEVICE);

	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 100);
	EXPECT_TEXT(test, FIRST "24 bytes" BEFORE);
	EXPECT_NO_TEXT(test, "Its last *");
	EXPECT_TEXT(test, "The object there:*");
	dma_unmap_single(kt_dev, dma, 100, DMA_FROM_DEVICE);

	/* From the start of a line on, and all of it. */
	kt_map_legally(test, buf + LINE, 100, DMA_FROM_DEVICE);
	kt_map_legally(test, buf + LINE, SIZE - LINE, DMA_FROM_DEVICE);
	kt_map_legally(test, buf, 100, DMA_FROM_DEVICE);
	kt_map_legally(test, buf, SIZE, DMA_FROM_DEVICE);
	kt_map_legally(test, buf + 24, 100, DMA_TO_DEVICE);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("unjudged_object_rest"), rest);
}

/* On a machine with such lines, objects have lines of their own. */
static void neighbouring_objects_silent(struct kunit *test)
{
	u8 *buf[8];
	int i;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = known_buf(test, 16);
	for (i = 0; i < ARRAY_SIZE(buf); i++) {
		dma_addr_t dma = test_dma_map(test, kt_dev, buf[i], 16, DMA_FROM_DEVICE);

		kt_device_writes(buf[(i + 1) % ARRAY_SIZE(buf)], 16, i);
		dma_unmap_single(kt_dev, dma, 16, DMA_FROM_DEVICE);
	}
	EXPECT_SILENCE(test);
}

static void other_mapping_in_object_reported(struct kunit *test)
{
	u8 *buf = known_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 96, DMA_FROM_DEVICE), dma2;

	EXPECT_SILENCE(test);
	dma2 = test_dma_map(test, kt_dev2, buf + 96, 32, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 32);
	EXPECT_TEXT(test, FIRST OTHER);
	dma_unmap_single(kt_dev2, dma2, 32, DMA_TO_DEVICE);
	dma2 = test_dma_map(test, kt_dev2, buf + 128, 32, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev2, dma2, 32, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, 96, DMA_FROM_DEVICE);
}

/* No write traps, but the content tells. */
static void write_beside_reported(struct kunit *test)
{
	u8 *buf = known_buf(test, SIZE);
	dma_addr_t dma;

	kt_set(test, "content", "on");
	dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	kt_device_changes(buf + 101);
	test_dma_unmap(dma, 100, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "shared-line-write", test_dma_map, 100);
	EXPECT_TEXT(test, "1 byte after the buffer, in its last cache line of 64 bytes, changed *");

	dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	/* The next line, the buffer, and what is the CPU's again. */
	kt_device_changes(buf + 128);
	kt_device_changes(buf + 99);
	dma_sync_single_for_cpu(kt_dev, dma, 100, DMA_FROM_DEVICE);
	kt_device_changes(buf + 101);
	test_dma_unmap(dma, 100, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

static struct kunit_case objects_cases[] = {
	BOTH_WAYS(past_object_reported),
	BOTH_WAYS(rounded_up_rest_silent),
	BOTH_WAYS(past_object_reported_once),
	BOTH_WAYS(padding_reported),
	BOTH_WAYS(unknown_layout_silent),
	BOTH_WAYS(unused_end_of_slab_reported),
	BOTH_WAYS(past_kfence_object_reported),
#ifdef CONFIG_KFENCE
	BOTH_WAYS(unused_kfence_page_silent),
#endif
	BOTH_WAYS(freed_page_reported),
	BOTH_WAYS(later_pages_silent),
	KUNIT_CASE(part_of_object_reported),
	KUNIT_CASE(neighbouring_objects_silent),
	KUNIT_CASE(other_mapping_in_object_reported),
	KUNIT_CASE(write_beside_reported),
	{}
};

KT_SUITE_INIT(objects, objects_test_init);
