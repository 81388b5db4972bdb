// SPDX-License-Identifier: GPL-2.0
/*
 * What an importer maps of a dma-buf and a device only reads: it may change if user space
 * can write to it, and else not. f_fs maps with the directions exchanged.
 */

#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "dod_test.h"

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)

static kt_noinline int test_export(struct device *dev, struct sg_table *sgt,
				   enum dma_data_direction dir)
{
	return dma_map_sgtable(dev, sgt, dir, 0);
}

static struct sg_table *exporter_map(struct dma_buf_attachment *attachment,
				     enum dma_data_direction dir)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	int err = -ENOMEM;

	if (!sgt)
		return ERR_PTR(err);
	err = sg_alloc_table(sgt, 1, GFP_KERNEL);
	if (err)
		goto no_table;
	sg_set_page(sgt->sgl, attachment->dmabuf->priv, PAGE_SIZE, 0);
	err = test_export(attachment->dev, sgt, dir);
	if (!err)
		return sgt;
	sg_free_table(sgt);
no_table:
	kfree(sgt);
	return ERR_PTR(err);
}

static void exporter_unmap(struct dma_buf_attachment *attachment, struct sg_table *sgt,
			   enum dma_data_direction dir)
{
	dma_unmap_sgtable(attachment->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
}

/* The page is the test's. */
static void exporter_release(struct dma_buf *buf)
{
}

/* Nobody looks at what is mapped. */
static int exporter_mmap(struct dma_buf *buf, struct vm_area_struct *vma)
{
	return 0;
}

static const struct dma_buf_ops exporter_ops = {
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.release = exporter_release,
	.mmap = exporter_mmap,
};

struct import {
	struct page *page;
	struct dma_buf *buf;
	struct dma_buf_attachment *attachment;
	struct sg_table *sgt;
	enum dma_data_direction dir;
};

static void export(struct kunit *test, struct import *i)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	i->page = kt_page(test, 0);
	info.ops = &exporter_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = i->page;
	i->buf = dma_buf_export(&info);
	KUNIT_ASSERT_FALSE(test, IS_ERR(i->buf));
}

static void import(struct kunit *test, struct import *i, enum dma_data_direction dir)
{
	i->dir = dir;
	i->attachment = dma_buf_attach(i->buf, kt_dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(i->attachment));
	i->sgt = dma_buf_map_attachment_unlocked(i->attachment, dir);
	KUNIT_ASSERT_FALSE(test, IS_ERR(i->sgt));
}

static void import_no_more(struct import *i)
{
	dma_buf_unmap_attachment_unlocked(i->attachment, i->sgt, i->dir);
	dma_buf_detach(i->buf, i->attachment);
}

static void put(struct import *i)
{
	dma_buf_put(i->buf);
	/* A kthread's last reference is dropped by a worker. */
	flush_delayed_fput();
}

/* As the device that is to read it, or user space. */
static kt_noinline kt_unchecked void change(const struct import *i)
{
	u8 *p = page_address(i->page);

	WRITE_ONCE(p[100], READ_ONCE(p[100]) + 1);
}

/* As user space that maps it through another file, a DRM driver's. */
static void map_to_user(struct kunit *test, const struct import *i)
{
	struct vm_area_struct *vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vma);
	vma->vm_end = PAGE_SIZE;
	get_file(i->buf->file);
	vma->vm_file = i->buf->file;
	KUNIT_EXPECT_EQ(test, dma_buf_mmap(i->buf, vma, 0), 0);
	fput(vma->vm_file);
}

static void expect_reported(struct kunit *test, struct import *i)
{
	change(i);
	import_no_more(i);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_export, PAGE_SIZE);
}

static void expect_excused(struct kunit *test, struct import *i)
{
	long allowed = dma_owner_debug_count("allowed_idioms");

	change(i);
	import_no_more(i);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_idioms"), allowed + 1);
}

static int dmabuf_test_init(struct kunit *test)
{
	int err = kt_test_init(test);

	if (is_swiotlb_force_bounce(kt_dev))
		kunit_skip(test, "all is bounced (swiotlb=force)");
	/* Without traps, pages are not judged by content: see dod_guard_may_change(). */
	if (!err && kt_traps(test))
		kt_set(test, "content", "on");
	return err;
}

static void direction_is_wrong(struct kunit *test)
{
	struct import i;

	export(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	expect_reported(test, &i);
	/* As it should be, and as it is where nothing changes. */
	import(test, &i, DMA_FROM_DEVICE);
	change(&i);
	import_no_more(&i);
	import(test, &i, DMA_TO_DEVICE);
	import_no_more(&i);
	EXPECT_SILENCE(test);
	put(&i);
}

static void user_space_maps_it_later(struct kunit *test)
{
	struct import i;

	export(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	map_to_user(test, &i);
	expect_excused(test, &i);
	/* It may still be mapped. */
	import(test, &i, DMA_TO_DEVICE);
	expect_excused(test, &i);
	put(&i);
}

static void user_space_has_mapped_it(struct kunit *test)
{
	struct import i;

	export(test, &i);
	map_to_user(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	expect_excused(test, &i);
	put(&i);
}

/* Before the tool was loaded. */
static void user_space_had_mapped_it(struct kunit *test)
{
	struct rb_root_cached *vmas;
	struct vm_area_struct *vma;
	struct import i;

	vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vma);
	export(test, &i);
	vmas = &i.buf->file->f_mapping->i_mmap;
	rb_link_node(&vma->shared.rb, NULL, &vmas->rb_root.rb_node);
	import(test, &i, DMA_TO_DEVICE);
	vmas->rb_root.rb_node = NULL;
	expect_excused(test, &i);
	put(&i);
}

/* Each goes by itself, whatever becomes of the others, and of their memory. */
static void user_space_maps_another(struct kunit *test)
{
	struct import a, b;
	int i;

	export(test, &a);
	export(test, &b);
	import(test, &b, DMA_TO_DEVICE);
	import(test, &a, DMA_TO_DEVICE);
	map_to_user(test, &a);
	expect_reported(test, &b);
	expect_excused(test, &a);
	put(&a);
	put(&b);
	/* Perhaps where the first one was. */
	for (i = 0; i < 4; i++) {
		export(test, &a);
		import(test, &a, DMA_TO_DEVICE);
		kt_reset();
		expect_reported(test, &a);
		put(&a);
	}
}

/* What the same task maps afterwards, and the same memory, are no dma-buf. */
static void no_dmabuf(struct kunit *test)
{
	struct import i;
	dma_addr_t dma;

	export(test, &i);
	map_to_user(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	import_no_more(&i);
	dma = test_dma_map(test, kt_dev, page_address(i.page), PAGE_SIZE, DMA_TO_DEVICE);
	change(&i);
	dma_unmap_single(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, PAGE_SIZE);
	put(&i);
}

static struct kunit_case dmabuf_cases[] = {
	KUNIT_CASE(direction_is_wrong),
	KUNIT_CASE(user_space_maps_it_later),
	KUNIT_CASE(user_space_has_mapped_it),
	KUNIT_CASE(user_space_had_mapped_it),
	KUNIT_CASE(user_space_maps_another),
	KUNIT_CASE(no_dmabuf),
	{}
};

#else

static int dmabuf_test_init(struct kunit *test)
{
	return kt_test_init(test);
}

static void no_dmabufs(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_DMA_SHARED_BUFFER");
}

static struct kunit_case dmabuf_cases[] = {
	KUNIT_CASE(no_dmabufs),
	{}
};

#endif

struct kunit_suite kt_dmabuf_suite = {
	.name = "dma_owner_dmabuf",
	.suite_init = kt_suite_init,
	.suite_exit = kt_suite_exit,
	.init = dmabuf_test_init,
	.exit = kt_test_exit,
	.test_cases = dmabuf_cases,
};
