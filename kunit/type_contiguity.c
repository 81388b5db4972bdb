// SPDX-License-Identifier: GPL-2.0
/*
 * not-contiguous: the range spans pages that are not one physically contiguous allocation,
 * alone and as an entry of a list, where its maker has looked; and what is one allocation, in
 * whatever way it was made.
 */

#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kt_misuse.h"

KT_WAYS;

#define NBLOCKS 512

/* Blocks of pages, all allocated at a time: some of them follow each other. */
struct blocks {
	unsigned int order, nr;
	struct page *page[NBLOCKS];
};

static struct blocks *get_blocks(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->order = order;
	for (; b->nr < NBLOCKS; b->nr++) {
		b->page[b->nr] = alloc_pages(GFP_KERNEL | gfp, order);
		if (!b->page[b->nr])
			break;
	}
	return b;
}

static void put_blocks(struct blocks *b)
{
	while (b->nr)
		__free_pages(b->page[--b->nr], b->order);
}

/* The last page of a block that another block follows, NULL if there is none. */
static struct page *last_before_block(const struct blocks *b)
{
	unsigned long nr = 1UL << b->order;
	unsigned int i, j;

	for (i = 0; i < b->nr; i++)
		for (j = 0; j < b->nr; j++)
			if (page_to_pfn(b->page[i]) + nr == page_to_pfn(b->page[j]))
				return pfn_to_page(page_to_pfn(b->page[i]) + nr - 1);
	return NULL;
}

static long unjudged(void)
{
	return dma_owner_debug_count("unjudged_contiguity");
}

/*
 * The bug itself: memory that is contiguous in vmalloc space is mapped as if it were
 * contiguous. In a list it may be one entry: whoever made the list has checked it.
 */
static void map_vmapped(struct kunit *test, struct page *first, struct page *second,
			size_t offset, size_t size)
{
	struct page *pages[] = { first, second };
	u8 *buf = vmap(pages, 2, VM_MAP, PAGE_KERNEL);

	KUNIT_EXPECT_NOT_NULL(test, buf);
	if (!buf)
		return;
	kt_map_page(test, vmalloc_to_page(buf), offset, size, DMA_TO_DEVICE);
	vunmap(buf);
}

static void expect_contiguity_report(struct kunit *test, size_t offset, size_t size)
{
	if (kt_is_list(test)) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_MISUSE(test, "not-contiguous", size);
	kt_says(test, "Bytes %lu to %zu belong to another allocation.",
		PAGE_SIZE - offset, size - 1);
	kt_says(test, "Device * maps %zu bytes, DMA_TO_DEVICE", size);
	kt_says(test, "Hint: map the pages one by one, as a scatterlist: *");
}

static void across_compound_pages_reported(struct kunit *test)
{
	struct page *other = kt_page(test, 0), *page;
	struct blocks *b;

	kt_requires_quiet(test);
	b = get_blocks(test, __GFP_COMP, 1);
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		map_vmapped(test, page, other, 0, 2 * PAGE_SIZE);
		expect_contiguity_report(test, 0, 2 * PAGE_SIZE);
		KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));
		map_vmapped(test, page, other, 100, PAGE_SIZE - 99);
		expect_contiguity_report(test, 100, PAGE_SIZE - 99);
		/* One byte less is right. */
		map_vmapped(test, page, other, 100, PAGE_SIZE - 100);
		EXPECT_SILENCE(test);
		/* All of one block is right. */
		kt_map_page(test, compound_head(page), 0, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two blocks follow each other");
}

/* The next block has another owner, who goes on writing to it. */
static void next_block_stays_cpu_owned(struct kunit *test)
{
	struct page *page;
	struct blocks *b;
	struct kt_target t;
	u8 *buf, *other;

	kt_requires_quiet(test);
	b = get_blocks(test, __GFP_COMP, 1);
	page = last_before_block(b);
	if (page) {
		buf = page_address(compound_head(page));
		other = page_address(page) + PAGE_SIZE;
		t = kt_target_of_buf(test, buf, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
		kt_target_keep_mapped(test, &t);
		EXPECT_MISUSE(test, "not-contiguous", 3 * PAGE_SIZE);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 2 * PAGE_SIZE - 8, 8);
		EXPECT_CPU_OWNS(test, other, 8);
		kt_target_sync(&t, false);
		kt_target_sync(&t, true);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		EXPECT_CPU_OWNS(test, other, 8);
		kt_target_unmap(&t);
		EXPECT_CLEAN(test, buf, 3 * PAGE_SIZE);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two blocks follow each other");
}

/*
 * Single pages, and objects of that size in between: a slab that begins with one of the
 * objects follows a page. KASAN leaves no more of a slab to map.
 */
static void before_slab(struct kunit *test, size_t block_size, size_t size, int per_block)
{
	const int n = 128, nobj = n * per_block;
	void **obj = kunit_kcalloc(test, nobj, sizeof(*obj), GFP_KERNEL);
	u8 **block = kunit_kcalloc(test, n, sizeof(*block), GFP_KERNEL);
	struct page *page = NULL, *other = kt_page(test, 0);
	int i, j, slab = 0;

	KUNIT_ASSERT_TRUE(test, obj && block);
	kt_requires_quiet(test);
	for (i = 0; i < nobj; i++) {
		if (i % per_block == 0)
			block[i / per_block] = alloc_pages_exact(block_size, GFP_KERNEL);
		obj[i] = kmalloc(size, GFP_KERNEL);
	}
	for (j = 0; j < nobj && !page; j++)
		for (i = 0; i < n && PAGE_ALIGNED(obj[j]) && !page; i++)
			if (block[i] && block[i] + block_size == obj[j]) {
				page = virt_to_page(obj[j] - PAGE_SIZE);
				slab = j;
			}
	if (page) {
		map_vmapped(test, page, other, 0, PAGE_SIZE + size);
		expect_contiguity_report(test, 0, PAGE_SIZE + size);
		if (!kt_is_list(test))
			kt_says_object(test, obj[slab], 0);
		map_vmapped(test, page, other, 0, PAGE_SIZE);
		kt_map_buf(test, obj[slab], size);
		EXPECT_SILENCE(test);
	}
	for (i = 0; i < n; i++)
		if (block[i])
			free_pages_exact(block[i], block_size);
	for (j = 0; j < nobj; j++)
		kfree(obj[j]);
	if (!page)
		kunit_skip(test, "no slab follows a page");
}

static void page_before_slab_reported(struct kunit *test)
{
	before_slab(test, 8 * PAGE_SIZE, PAGE_SIZE, 1);
}

/* A slab of one page is no compound page. */
static void page_before_small_slab_reported(struct kunit *test)
{
	before_slab(test, PAGE_SIZE, 64, PAGE_SIZE / 128);
}

/* One allocation, in whatever way it was made. */
static void one_allocation_silent(struct kunit *test)
{
	long before = unjudged();
	struct page *page;
	void *exact;

	kt_requires_quiet(test);
	page = alloc_pages(GFP_KERNEL, 2);
	KUNIT_ASSERT_NOT_NULL(test, page);
	kt_map_page(test, page, 0, 4 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	kt_map_page(test, page + 1, 100, 2 * PAGE_SIZE, DMA_TO_DEVICE);
	__free_pages(page, 2);
	kt_map_page(test, kt_page(test, 2), 0, 4 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	kt_map_buf(test, kt_buf(test, 5 * PAGE_SIZE), 5 * PAGE_SIZE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before);

	exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, exact);
	kt_map_buf(test, exact, 3 * PAGE_SIZE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before + !kt_is_list(test));
	free_pages_exact(exact, 3 * PAGE_SIZE);
}

/* CMA, where there is one: pages of their own that are one allocation. */
static void dma_alloc_pages_silent(struct kunit *test)
{
	struct page *page;
	dma_addr_t dma;

	kt_requires_quiet(test);
	page = kt_dma_alloc_pages(kt_dev2, SZ_32K, &dma, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	kt_map_page(test, page, 0, SZ_32K, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_free_pages(kt_dev2, SZ_32K, page, dma, DMA_BIDIRECTIONAL);
}

/* Pages that follow each other by chance, or were split: nobody can tell which. */
static void single_pages_silent(struct kunit *test)
{
	struct page *page, *other = kt_page(test, 0);
	struct blocks *b;

	kt_requires_quiet(test);
	b = get_blocks(test, 0, 0);
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		map_vmapped(test, page, other, 0, 2 * PAGE_SIZE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !kt_is_list(test));
		map_vmapped(test, page, other, 0, PAGE_SIZE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !kt_is_list(test));
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two pages follow each other");
}

/* === Contiguity, where the kernel knows who allocated a page ============== */

static void requires_marks(struct kunit *test)
{
	if (!dma_owner_debug_count("page_marks"))
		kunit_skip(test, "this kernel does not mark pages by who allocates them");
	kt_requires_quiet(test);
}

static kt_noinline struct page *alloc_here(unsigned int order)
{
	return alloc_pages(GFP_KERNEL, order);
}

static kt_noinline struct page *alloc_there(unsigned int order)
{
	return alloc_pages(GFP_KERNEL, order);
}

/* As get_blocks(), but every second block has another owner. */
static struct blocks *get_mixed_blocks(struct kunit *test, unsigned int order)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->order = order;
	for (; b->nr < NBLOCKS; b->nr++) {
		b->page[b->nr] = b->nr % 2 ? alloc_there(order) : alloc_here(order);
		if (!b->page[b->nr])
			break;
	}
	return b;
}

/* A block that one of the other kind follows, NULL if there is none. */
static struct page *block_before_other(const struct blocks *b)
{
	unsigned long nr = 1UL << b->order;
	unsigned int i, j;

	for (i = 0; i < b->nr; i++)
		for (j = (i + 1) % 2; j < b->nr; j += 2)
			if (page_to_pfn(b->page[i]) + nr == page_to_pfn(b->page[j]))
				return b->page[i];
	return NULL;
}

static void pages_of_other_owner_reported(struct kunit *test)
{
	unsigned int order;
	bool any = false;

	requires_marks(test);
	for (order = 0; order < 3; order++) {
		struct blocks *b = get_mixed_blocks(test, order);
		struct page *page = block_before_other(b);
		size_t size = PAGE_SIZE << order;

		if (page) {
			any = true;
			kt_map_page(test, page, 0, 2 * size, DMA_TO_DEVICE);
			if (kt_is_list(test)) {
				EXPECT_SILENCE(test);
			} else {
				EXPECT_MISUSE(test, "not-contiguous", 2 * size);
				kt_says(test, "Bytes %zu to %zu belong to another allocation.",
					size, 2 * size - 1);
			}
			/* Begins with the last page of several. */
			kt_map_page(test, page + (1 << order) - 1, 100, PAGE_SIZE - 99,
				    DMA_FROM_DEVICE);
			if (kt_is_list(test))
				EXPECT_SILENCE(test);
			else
				EXPECT_MISUSE(test, "not-contiguous", PAGE_SIZE - 99);
			/* All of the block, and no more. */
			kt_map_page(test, page, 0, size, DMA_BIDIRECTIONAL);
			EXPECT_SILENCE(test);
		}
		put_blocks(b);
	}
	if (!any)
		kunit_skip(test, "no two blocks follow each other");
}

/* The next page has another owner, who goes on using it. */
static void page_of_other_owner_stays_cpu_owned(struct kunit *test)
{
	struct page *page;
	struct blocks *b;
	struct kt_target t;
	u8 *buf;

	requires_marks(test);
	b = get_mixed_blocks(test, 0);
	page = block_before_other(b);
	if (page) {
		buf = page_address(page);
		t = kt_target_of_buf(test, buf, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		kt_target_keep_mapped(test, &t);
		EXPECT_MISUSE(test, "not-contiguous", 2 * PAGE_SIZE);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + PAGE_SIZE - 8, 8);
		EXPECT_CPU_OWNS(test, buf + PAGE_SIZE, 8);
		kt_target_unmap(&t);
		EXPECT_CLEAN(test, buf, 2 * PAGE_SIZE);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two pages follow each other");
}

/* Pages of vmalloc() follow each other by chance; here, other pages are in between. */
static void page_after_vmalloc_page_reported(struct kunit *test)
{
	u8 **mem = kunit_kcalloc(test, NBLOCKS / 2, sizeof(*mem), GFP_KERNEL);
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct page *page = NULL, *next = NULL;
	int i, j, k;

	KUNIT_ASSERT_TRUE(test, mem && b);
	requires_marks(test);
	for (i = 0; i < NBLOCKS / 2; i++) {
		mem[i] = vmalloc(PAGE_SIZE);
		b->page[b->nr] = alloc_here(0);
		b->nr += !!b->page[b->nr];
	}
	for (i = 0; i < NBLOCKS / 2 && !page; i++)
		for (j = 0; j < b->nr && mem[i] && !page; j++)
			if (vmalloc_to_pfn(mem[i]) + 1 == page_to_pfn(b->page[j]))
				page = vmalloc_to_page(mem[i]);
	if (page) {
		kt_map_page(test, page, 0, 2 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_MISUSE(test, "not-contiguous", 2 * PAGE_SIZE);
		kt_map_page(test, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	put_blocks(b);
	for (i = 0; i < NBLOCKS / 2; i++)
		vfree(mem[i]);
	/* Pages of one allocation that follow each other may be mapped as one. */
	mem[0] = vmalloc(64 * PAGE_SIZE);
	for (k = 0; k < 63 && mem[0] && !next; k++)
		if (vmalloc_to_pfn(mem[0] + k * PAGE_SIZE) + 1 ==
		    vmalloc_to_pfn(mem[0] + (k + 1) * PAGE_SIZE))
			next = vmalloc_to_page(mem[0] + k * PAGE_SIZE);
	if (next) {
		kt_map_page(test, next, 0, 2 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	vfree(mem[0]);
	if (!page)
		kunit_skip(test, "no page follows one of vmalloc()");
}

/* One allocation, however it was made or divided. */
static void split_allocation_silent(struct kunit *test)
{
	struct page *page;
	unsigned int i;
	void *exact;

	requires_marks(test);
	for (i = 0; i < 8; i++) {
		page = alloc_here(3);
		KUNIT_ASSERT_NOT_NULL(test, page);
		kt_map_page(test, page, 0, 8 * PAGE_SIZE, DMA_BIDIRECTIONAL);
		split_page(page, 3);
		kt_map_page(test, page, 0, 8 * PAGE_SIZE, DMA_BIDIRECTIONAL);
		kt_map_page(test, page + 2, 100, 3 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		/* One page of it is freed; the rest is still one allocation. */
		__free_page(page + 7);
		kt_map_page(test, page, 0, 7 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		free_pages_exact(page_address(page), 7 * PAGE_SIZE);

		exact = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, exact);
		kt_map_buf(test, exact, 5 * PAGE_SIZE);
		EXPECT_SILENCE(test);
		free_pages_exact(exact, 5 * PAGE_SIZE);
	}
}

#if IS_ENABLED(CONFIG_SHMEM)
/* The block layer makes one segment of pages that happen to follow each other. */
static void page_cache_silent(struct kunit *test)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct file *file;
	struct page *page;

	KUNIT_ASSERT_NOT_NULL(test, b);
	kt_requires_quiet(test);
	file = shmem_file_setup("dma_owner_kunit", NBLOCKS * PAGE_SIZE, DOD_NO_VMA_FLAGS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	for (; b->nr < NBLOCKS; b->nr++) {
		page = shmem_read_mapping_page(file->f_mapping, b->nr);
		if (IS_ERR(page))
			break;
		b->page[b->nr] = page;
	}
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		kt_map_page(test, page, 0, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !kt_is_list(test));
		kt_map_page(test, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !kt_is_list(test));
	}
	while (b->nr)
		put_page(b->page[--b->nr]);
	fput(file);
	if (!page)
		kunit_skip(test, "no two pages of the file follow each other");
}
#else
static void page_cache_silent(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_SHMEM");
}
#endif

static struct kunit_case contiguity_cases[] = {
	BOTH_WAYS(across_compound_pages_reported),
	KUNIT_CASE(next_block_stays_cpu_owned),
	BOTH_WAYS(page_before_slab_reported),
	BOTH_WAYS(page_before_small_slab_reported),
	BOTH_WAYS(one_allocation_silent),
	BOTH_WAYS(dma_alloc_pages_silent),
	BOTH_WAYS(single_pages_silent),
	BOTH_WAYS(pages_of_other_owner_reported),
	KUNIT_CASE(page_of_other_owner_stays_cpu_owned),
	KUNIT_CASE(page_after_vmalloc_page_reported),
	BOTH_WAYS(split_allocation_silent),
	BOTH_WAYS(page_cache_silent),
	{}
};

KT_SUITE(contiguity);
