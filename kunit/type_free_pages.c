// SPDX-License-Identifier: GPL-2.0
/*
 * free-while-mapped, of pages and network buffers: reported at the free, and once. A late sync
 * or unmap is silent, and the next user of the memory does not notice.
 */

#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <linux/vmalloc.h>

#include "kt.h"

#define SIZE 512

/* === Pages ================================================================ */

static void check_pages(struct kunit *test, gfp_t gfp, unsigned int order, size_t offset,
			size_t size)
{
	struct page *page = kt_own_pages(test, gfp, order);
	dma_addr_t dma = test_dma_map_page(test, page, offset, size, DMA_FROM_DEVICE);

	test_free_pages(page, order);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE << order);
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map_page+0x*"));
	kt_late_unmap(test, dma, size, DMA_FROM_DEVICE);
}

static void page_freed_reported(struct kunit *test)
{
	check_pages(test, 0, 0, 0, PAGE_SIZE);
}

static void part_of_page_freed_reported(struct kunit *test)
{
	check_pages(test, 0, 0, 1024, 256);
}

static void compound_tail_freed_reported(struct kunit *test)
{
	check_pages(test, __GFP_COMP, 3, 5 * PAGE_SIZE + 64, SIZE);
}

/* Each page of it is a folio of its own. */
static void pages_of_no_folio_freed_reported(struct kunit *test)
{
	check_pages(test, 0, 3, 3 * PAGE_SIZE + 64, SIZE);
	check_pages(test, 0, 3, PAGE_SIZE, 3 * PAGE_SIZE);
}

/* A page in the middle first, then the others: one report. */
static void one_of_many_pages_freed_reported(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 3);
	dma_addr_t dma;
	int i;

	split_page(page, 3);
	dma = test_dma_map_page(test, page, 0, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
	test_free_pages(page + 5, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page + 5), PAGE_SIZE);
	for (i = 0; i < 8; i++)
		if (i != 5)
			test_free_pages(page + i, 0);
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
}

/* More pages than the tool marks one by one, and more than a region. */
static void huge_block_freed_reported(struct kunit *test)
{
	check_pages(test, 0, 10, PAGE_SIZE, 1000 * PAGE_SIZE);
}

static void huge_folio_freed_reported(struct kunit *test)
{
	check_pages(test, __GFP_COMP, 10, PAGE_SIZE, 1000 * PAGE_SIZE);
}

/* The last reference frees it, and only that. */
static void last_reference_dropped_reported(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 0);
	dma_addr_t dma = test_dma_map_page(test, page, 0, SIZE, DMA_TO_DEVICE);

	get_page(page);
	put_page(page);
	EXPECT_SILENCE(test);
	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE);
	kt_late_unmap(test, dma, SIZE, DMA_TO_DEVICE);
}

static void vfree_of_mapped_reported(struct kunit *test)
{
	u8 *buf = vzalloc(3 * PAGE_SIZE);
	struct page *page;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	page = vmalloc_to_page(buf + PAGE_SIZE);
	dma = test_dma_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
	test_vfree(buf);
	EXPECT_FREE_REPORT(test, test_vfree, page_address(page), PAGE_SIZE);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void pages_freed_after_unmap_silent(struct kunit *test)
{
	struct page *page = kt_own_pages(test, __GFP_COMP, 2);
	dma_addr_t dma = test_dma_map_page(test, page, 64, 2 * PAGE_SIZE, DMA_FROM_DEVICE);

	dma_unmap_page(kt_dev, dma, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
	test_free_pages(page, 2);
	page = kt_own_pages(test, 0, 10);
	dma = test_dma_map_page(test, page, 0, 1024 * PAGE_SIZE, DMA_TO_DEVICE);
	dma_unmap_page(kt_dev, dma, 1024 * PAGE_SIZE, DMA_TO_DEVICE);
	test_free_pages(page, 10);
	EXPECT_SILENCE(test);
}

/* dma_free_pages() is an unmap and a free in one. */
static void dma_free_pages_silent(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_FROM_DEVICE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* === After the free ======================================================= */

/* Frees a page that is mapped, and allocates it again. Another CPU may be faster. */
static struct page *get_again(struct kunit *test, dma_addr_t *dma)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		struct page *page = kt_own_pages(test, 0, 0);

		*dma = test_dma_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
		test_free_pages(page, 0);
		EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE);
		if (kt_get_this_page(page))
			return page;
		dma_unmap_page(kt_dev, *dma, SIZE, DMA_FROM_DEVICE);
	}
	kunit_skip(test, "the page is somebody else's now");
	return NULL;
}

static void late_sync_changes_nothing(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = get_again(test, &dma);
	u8 *buf = page_address(page);

	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CLEAN(test, buf, SIZE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	/* Its next owner does not free mapped memory. */
	test_free_pages(page, 0);
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* Of two equal mappings, an unmap or a sync means the one whose memory is not freed. */
static void mapped_again_unmap_ends_live_one(struct kunit *test)
{
	dma_addr_t dma, dma2;
	struct page *page = get_again(test, &dma);
	u32 saved;
	u8 *buf = page_address(page);

	/* dma-debug takes the two for an overlap, and one for the other. */
	saved = kt_quiet_dma_debug();
	dma2 = test_dma_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_sync_single_for_cpu(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_unmap_page(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	kt_unquiet_dma_debug(saved);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CLEAN(test, buf, SIZE);
	test_free_pages(page, 0);
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* The CPU owned the memory when it was freed: a late sync must not poison it. */
static void late_sync_of_cpu_owned_changes_nothing(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_kfree(buf);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* === Network buffers ====================================================== */

#if IS_ENABLED(CONFIG_NET)
static kt_noinline void test_skb_free(struct sk_buff *skb)
{
	kfree_skb(skb);
	barrier();
}

/* The data are in the middle of an object: neither its first nor its last byte is mapped. */
static void skb_freed_reported(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL);
	dma_addr_t dma;
	u8 *head;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	if (is_kfence_address(skb->head)) {
		kfree_skb(skb);
		kunit_skip(test, "the data are KFENCE's");
	}
	head = skb->head;
	skb_reserve(skb, 66);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	test_skb_free(skb);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in test_skb_free+0x*"));
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(head + 128));
	kt_late_unmap(test, dma, 1400, DMA_TO_DEVICE);
}

static void skb_freed_after_unmap_silent(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL);
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, 1400, DMA_FROM_DEVICE);
	test_skb_free(skb);
	EXPECT_SILENCE(test);
}

/* The free of a clone frees no data: they have another reference. */
static void skb_clone_freed_silent(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL), *clone;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	clone = skb_clone(skb, GFP_KERNEL);
	if (clone)
		test_skb_free(clone);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 1400, DMA_TO_DEVICE);
	test_skb_free(skb);
	EXPECT_SILENCE(test);
}
#endif

static struct kunit_case free_pages_cases[] = {
	KUNIT_CASE(page_freed_reported),
	KUNIT_CASE(part_of_page_freed_reported),
	KUNIT_CASE(compound_tail_freed_reported),
	KUNIT_CASE(pages_of_no_folio_freed_reported),
	KUNIT_CASE(one_of_many_pages_freed_reported),
	KUNIT_CASE(huge_block_freed_reported),
	KUNIT_CASE(huge_folio_freed_reported),
	KUNIT_CASE(last_reference_dropped_reported),
	KUNIT_CASE(vfree_of_mapped_reported),
	KUNIT_CASE(pages_freed_after_unmap_silent),
	KUNIT_CASE(dma_free_pages_silent),
	KUNIT_CASE(late_sync_changes_nothing),
	KUNIT_CASE(mapped_again_unmap_ends_live_one),
	KUNIT_CASE(late_sync_of_cpu_owned_changes_nothing),
#if IS_ENABLED(CONFIG_NET)
	KUNIT_CASE(skb_freed_reported),
	KUNIT_CASE(skb_freed_after_unmap_silent),
	KUNIT_CASE(skb_clone_freed_silent),
#endif
	{}
};

KT_SUITE(free_pages);
