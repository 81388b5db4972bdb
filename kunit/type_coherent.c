// SPDX-License-Identifier: GPL-2.0
/*
 * coherent-overrun: what follows a buffer of dma_alloc_coherent() in its last page was written.
 * It is found at the free, at the unbind, and when stats is read.
 */

#include <linux/anon_inodes.h>
#include <linux/dma-map-ops.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>

#include "kt.h"

#define SIZE 1000

static kt_noinline u8 *test_alloc_coherent(struct kunit *test, size_t size, dma_addr_t *dma)
{
	u8 *buf;

	KT_REQUIRES(test, dma_owner_debug_count("coherent_watched") >= 0);
	buf = dma_alloc_coherent(kt_dev, size, dma, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static void write_past_end_reported_at_free(struct kunit *test)
{
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	kt_device_writes(buf + SIZE + 8, 16, 0x5a);
	EXPECT_SILENCE(test);
	dma_free_coherent(kt_dev, SIZE, buf, dma);
	KUNIT_EXPECT_STREQ(test, kt_take_coherent_report(test_alloc_coherent, SIZE), "");
	EXPECT_TEXT(test, "16 of the * bytes that follow it in its last page were written. They were zero.");
	EXPECT_TEXT(test, "From end+8 on there is: 5a 5a *");
	EXPECT_TEXT(test, "Found when it was freed, in write_past_end_reported_at_free+0x*");
}

/* The last byte of the page; several pages. */
static void write_of_last_byte_reported_at_stats(struct kunit *test)
{
	size_t size = PAGE_SIZE + 1;
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, size, &dma);

	kt_device_writes(buf + 2 * PAGE_SIZE - 1, 1, 1);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("coherent_watched"), 0L);
	KUNIT_EXPECT_STREQ(test, kt_take_coherent_report(test_alloc_coherent, size), "");
	EXPECT_TEXT(test, "1 of the * bytes that follow it in its last page were written. *");
	EXPECT_TEXT(test, "Found when stats was read.");
	/* Once. */
	dma_free_coherent(kt_dev, size, buf, dma);
	EXPECT_SILENCE(test);
}

static void write_past_end_reported_at_unbind(struct kunit *test)
{
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	kt_device_writes(buf + SIZE, 1, 1);
	device_release_driver(kt_dev);
	KUNIT_EXPECT_STREQ(test, kt_take_coherent_report(test_alloc_coherent, SIZE), "");
	EXPECT_TEXT(test, "Found when the driver was unbound.");
	dma_free_coherent(kt_dev, SIZE, buf, dma);
	KUNIT_ASSERT_EQ(test, device_attach(kt_dev), 1);
}

/* The whole buffer, and a buffer of whole pages, are the driver's. */
static void write_inside_silent(struct kunit *test)
{
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	kt_device_writes(buf, SIZE, 0x5a);
	dma_free_coherent(kt_dev, SIZE, buf, dma);
	EXPECT_SILENCE(test);
	buf = test_alloc_coherent(test, PAGE_SIZE, &dma);
	kt_device_writes(buf, PAGE_SIZE, 0x5a);
	dma_free_coherent(kt_dev, PAGE_SIZE, buf, dma);
	EXPECT_SILENCE(test);
}

/* Whoever gets the pages may write to all of them: that is what a page table can say. */
static void write_to_lent_pages_silent(struct kunit *test)
{
	long before = dma_owner_debug_count("unjudged_coherent");
	struct sg_table sgt;
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	KUNIT_ASSERT_EQ(test, dma_get_sgtable(kt_dev, &sgt, buf, dma, SIZE), 0);
	kt_device_writes(buf + SIZE, 8, 0x5a);
	dma_free_coherent(kt_dev, SIZE, buf, dma);
	sg_free_table(&sgt);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_coherent"), before + 1);
}

/* Written past its end, and freed: silent, because it was lent. */
static void expect_lent(struct kunit *test, u8 *buf, dma_addr_t dma, long before)
{
	kt_device_writes(buf + SIZE, 8, 0x5a);
	dma_free_coherent(kt_dev, SIZE, buf, dma);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unjudged_coherent"), before + 1);
}

/* It fails, and before remap_pfn_range(), which would tell, too. */
static void write_after_dma_mmap_silent(struct kunit *test)
{
	long before = dma_owner_debug_count("unjudged_coherent");
	struct vm_area_struct *vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);
	dma_addr_t dma, other_dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);
	u8 *other = test_alloc_coherent(test, SIZE, &other_dma);

	KUNIT_ASSERT_NOT_NULL(test, vma);
	vma->vm_end = PAGE_SIZE;
	vma->vm_pgoff = 16;
	KUNIT_EXPECT_NE(test, dma_mmap_coherent(kt_dev, vma, buf, dma, SIZE), 0);
	expect_lent(test, buf, dma, before);
	/* The other one is still looked at. */
	kt_device_writes(other + SIZE, 1, 1);
	dma_free_coherent(kt_dev, SIZE, other, other_dma);
	KUNIT_EXPECT_STREQ(test, kt_take_coherent_report(test_alloc_coherent, SIZE), "");
}

/* It fails, too: the address is not in the area. */
static void write_after_insert_pfn_silent(struct kunit *test)
{
	const struct vm_area_struct area = {
		.vm_start = PAGE_SIZE, .vm_end = 2 * PAGE_SIZE, .vm_flags = VM_PFNMAP,
	};
	long before = dma_owner_debug_count("unjudged_coherent");
	struct vm_area_struct *vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	KUNIT_ASSERT_NOT_NULL(test, vma);
	KT_REQUIRES(test, virt_addr_valid(buf));
	memcpy(vma, &area, sizeof(*vma));
	KUNIT_EXPECT_EQ(test, (int)vmf_insert_pfn(vma, 0, PHYS_PFN(virt_to_phys(buf))),
			(int)VM_FAULT_SIGBUS);
	expect_lent(test, buf, dma, before);
}

#if DOD_KUNIT_MMAP
static int remap_it(struct file *file, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, PHYS_PFN(virt_to_phys(file->private_data)),
			       PAGE_SIZE, vma->vm_page_prot);
}

static const struct file_operations remap_fops = { .owner = THIS_MODULE, .mmap = remap_it };

static void write_after_remap_silent(struct kunit *test)
{
	long before = dma_owner_debug_count("unjudged_coherent");
	unsigned long at;
	struct file *file;
	dma_addr_t dma;
	u8 *buf = test_alloc_coherent(test, SIZE, &dma);

	KT_REQUIRES(test, virt_addr_valid(buf));
	file = anon_inode_getfile("dma_owner_kunit", &remap_fops, buf, O_RDWR);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	at = kunit_vm_mmap(test, file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	KUNIT_EXPECT_FALSE(test, IS_ERR_VALUE(at));
	if (!IS_ERR_VALUE(at))
		vm_munmap(at, PAGE_SIZE);
	fput(file);
	expect_lent(test, buf, dma, before);
}
#else
static void write_after_remap_silent(struct kunit *test)
{
	kunit_skip(test, "KUnit maps no files before v6.12");
}
#endif

static struct kunit_case coherent_cases[] = {
	KUNIT_CASE(write_past_end_reported_at_free),
	KUNIT_CASE(write_of_last_byte_reported_at_stats),
	KUNIT_CASE(write_past_end_reported_at_unbind),
	KUNIT_CASE(write_inside_silent),
	KUNIT_CASE(write_to_lent_pages_silent),
	KUNIT_CASE(write_after_dma_mmap_silent),
	KUNIT_CASE(write_after_insert_pfn_silent),
	KUNIT_CASE(write_after_remap_silent),
	{}
};

KT_SUITE(coherent);
