// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 8: memory that user space or the page cache can reach is tracked, and trapped only on
 * request. Never trapped: stacks, reserved pages, objects of KFENCE's.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kt.h"

KT_DIRECTIONS;

/* === Never ================================================================ */

/* The shadow of the zero page may be a page that all of the kernel shares, and read-only. */
static void zero_page_untrapped(struct kunit *test)
{
	struct page *page = ZERO_PAGE(0);
	long untrapped = dma_owner_debug_count("untrapped_reserved_pages");
	long maps = dma_owner_debug_count("maps");
	dma_addr_t dma;

	dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("maps"), maps + 1);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_reserved_pages"), untrapped);
	EXPECT_READ_OK(test, page_address(page), 8);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(page_address(page)));
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(page_address(page)));
}

/* RAID and crypto map the zero page in many places at once. */
static void zero_page_mapped_often_untrapped(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	dma_addr_t dma[8];
	int i;

	for (i = 0; i < ARRAY_SIZE(dma); i++) {
		dma[i] = dma_map_page(kt_dev, ZERO_PAGE(0), 0, PAGE_SIZE, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma[i]));
	}
	for (i = 0; i < ARRAY_SIZE(dma); i++)
		dma_unmap_page(kt_dev, dma[i], PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_READ_OK(test, page_address(ZERO_PAGE(0)), 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

static void reserved_page_untrapped(struct kunit *test)
{
	long untrapped = dma_owner_debug_count("untrapped_reserved_pages");
	struct page *page = kt_page(test, 0);
	dma_addr_t dma;

	SetPageReserved(page);
	dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		EXPECT_CPU_OWNS(test, page_address(page), 8);
		KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_reserved_pages"),
				untrapped);
		dma_unmap_page(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	}
	ClearPageReserved(page);

	/* The same page, no longer reserved. */
	dma = test_dma_map(test, kt_dev, page_address(page), PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, page_address(page), 8);
	dma_unmap_single(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
}

/* One page of four, whichever it is. */
static void reserved_page_among_others_untrapped(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 2);
	u8 *buf = page_address(page);
	dma_addr_t dma;
	int i, other;

	for (i = 0; i < 4; i++) {
		SetPageReserved(page + i);
		dma = test_dma_map(test, kt_dev, buf, 4 * PAGE_SIZE, DMA_FROM_DEVICE);
		for (other = 0; other < 4; other++)
			if (other == i)
				EXPECT_READ_OK(test, buf + other * PAGE_SIZE, 8);
			else
				EXPECT_READ_TRAPS(test, buf + other * PAGE_SIZE, 8);
		dma_unmap_single(kt_dev, dma, 4 * PAGE_SIZE, DMA_FROM_DEVICE);
		ClearPageReserved(page + i);
	}
	__free_pages(page, 2);
}

/*
 * A stack must not be mapped, and that is reported; but the next function call or interrupt
 * must not trap.
 */
static void mapped_stack_untrapped(struct kunit *test)
{
	u8 onstack[128] __aligned(64);
	long untrapped = dma_owner_debug_count("untrapped_stack");
	u32 saved;
	struct page *page;
	dma_addr_t dma;
	u8 *alias;

	KT_REQUIRES(test, kt_can_quiet_dma_debug());
	KUNIT_ASSERT_TRUE(test, object_is_on_stack(onstack));

	memset(onstack, 1, sizeof(onstack));
	page = is_vmalloc_addr(onstack) ? vmalloc_to_page(onstack) : virt_to_page(onstack);
	alias = (u8 *)page_address(page) + offset_in_page(onstack);
	saved = kt_quiet_dma_debug();
	dma = dma_map_page(kt_dev, page, offset_in_page(onstack), sizeof(onstack),
			   DMA_FROM_DEVICE);
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		EXPECT_MAP_REPORT(test, "stack-buffer", mapped_stack_untrapped, sizeof(onstack));
		EXPECT_CPU_OWNS(test, onstack, 8);
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(onstack));
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(alias));
		KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_stack"), untrapped);
		dma_unmap_page(kt_dev, dma, sizeof(onstack), DMA_FROM_DEVICE);
	}
	kt_unquiet_dma_debug(saved);
}

/* === Only on request ====================================================== */

#if IS_ENABLED(CONFIG_SHMEM)
static void put_shmem_page(struct file *file, struct page *page)
{
	put_page(page);
	fput(file);
}

/* A page of the page cache: a process could map it, truncate it, write it. */
static struct page *shmem_page(struct kunit *test, struct file **file)
{
	struct page *page;

	*file = shmem_file_setup("dma_owner_kunit", PAGE_SIZE, DOD_NO_VMA_FLAGS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, *file);
	page = shmem_read_mapping_page((*file)->f_mapping, 0);
	if (IS_ERR(page))
		fput(*file);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	return page;
}
#else
static void put_shmem_page(struct file *file, struct page *page) {}
static struct page *shmem_page(struct kunit *test, struct file **file)
{
	kunit_skip(test, "Test requires: CONFIG_SHMEM");
	return NULL;
}
#endif

static void user_page_untrapped(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	long untrapped = dma_owner_debug_count("untrapped_user_pages");
	long maps = dma_owner_debug_count("maps");
	struct file *file;
	struct page *page = shmem_page(test, &file);
	dma_addr_t dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, dir);

	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		EXPECT_CPU_OWNS(test, page_address(page), 8);
		KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_user_pages"), untrapped);
		KUNIT_EXPECT_GE(test, dma_owner_debug_count("maps"), maps + 1);
		dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
	}
	put_shmem_page(file, page);
}

static void user_page_on_request_traps(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct file *file;
	struct page *page = shmem_page(test, &file);
	dma_addr_t dma;

	kt_set(test, "trap_user", "1");
	dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, dir);
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		EXPECT_DEVICE_OWNS(test, dir, page_address(page), 8);
		dma_sync_single_for_cpu(kt_dev, dma, PAGE_SIZE, dir);
		EXPECT_CPU_OWNS(test, page_address(page), 8);
		dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, dir);
		EXPECT_DEVICE_OWNS(test, dir, page_address(page), 8);
		dma_unmap_page(kt_dev, dma, PAGE_SIZE, dir);
		EXPECT_CPU_OWNS(test, page_address(page), 8);
	}
	put_shmem_page(file, page);
}

/* The parameter changes while the page is mapped: no poison may be left. */
static void request_withdrawn_clean(struct kunit *test)
{
	struct file *file;
	struct page *page = shmem_page(test, &file);
	u8 *buf = page_address(page);
	dma_addr_t dma;
	int i;

	kt_set(test, "trap_user", "1");
	dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	kt_set(test, "trap_user", "0");
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, buf, 8);
		dma_unmap_page(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	}
	for (i = 0; i < PAGE_SIZE; i += 8)
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + i));
	put_shmem_page(file, page);
}

/* Slab memory overlays page->mapping with fields of its own: still trapped. */
static void slab_object_traps(struct kunit *test)
{
	long untrapped = dma_owner_debug_count("untrapped_user_pages");
	static const size_t sizes[] = { 32, 512, 2048 };
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *buf = kt_buf(test, sizes[i]);

		dma = test_dma_map(test, kt_dev, buf, sizes[i], DMA_FROM_DEVICE);
		EXPECT_READ_TRAPS(test, buf, 8);
		dma_unmap_single(kt_dev, dma, sizes[i], DMA_FROM_DEVICE);
	}
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untrapped_user_pages"), untrapped);
}

/* A tail page carries a marker where a head page has its mapping. */
static void tail_page_traps(struct kunit *test)
{
	struct page *page = kt_page(test, 2);
	u8 *buf = (u8 *)page_address(page) + PAGE_SIZE;
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, PAGE_SIZE, DMA_FROM_DEVICE);

	EXPECT_READ_TRAPS(test, buf, 8);
	dma_unmap_single(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
}

static struct kunit_case untrapped_cases[] = {
	KUNIT_CASE(zero_page_untrapped),
	KUNIT_CASE(zero_page_mapped_often_untrapped),
	KUNIT_CASE(reserved_page_untrapped),
	KUNIT_CASE(reserved_page_among_others_untrapped),
	KUNIT_CASE(mapped_stack_untrapped),
	DIRECTION_CASE(user_page_untrapped),
	DIRECTION_CASE(user_page_on_request_traps),
	KUNIT_CASE(request_withdrawn_clean),
	KUNIT_CASE(slab_object_traps),
	KUNIT_CASE(tail_page_traps),
	{}
};

KT_SUITE(untrapped);
