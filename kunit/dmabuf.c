// SPDX-License-Identifier: GPL-2.0
/*
 * What an importer maps of a dma-buf and a device only reads: it may change if user space can
 * write to it, and else not; f_fs maps with the directions exchanged. Importers of one buffer
 * may map it at the same time, whatever the directions.
 */

#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "kt.h"

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

/* Nobody accesses what is mapped. */
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

static void import_for(struct kunit *test, struct import *i, struct device *dev,
		       enum dma_data_direction dir)
{
	i->dir = dir;
	i->attachment = dma_buf_attach(i->buf, dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(i->attachment));
	i->sgt = dma_buf_map_attachment_unlocked(i->attachment, dir);
	KUNIT_ASSERT_FALSE(test, IS_ERR(i->sgt));
}

static void import(struct kunit *test, struct import *i, enum dma_data_direction dir)
{
	import_for(test, i, kt_dev, dir);
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
static void change(const struct import *i)
{
	kt_device_changes((u8 *)page_address(i->page) + 100);
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
	/* Without traps, pages are not judged by content: see dod_memory_may_change(). */
	if (!err && kt_traps(test))
		kt_set(test, "content", "on");
	return err;
}

static void wrong_direction_reported(struct kunit *test)
{
	struct import i;

	export(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	expect_reported(test, &i);
	/* The right direction is silent, and the wrong one where nothing changes. */
	import(test, &i, DMA_FROM_DEVICE);
	change(&i);
	import_no_more(&i);
	import(test, &i, DMA_TO_DEVICE);
	import_no_more(&i);
	EXPECT_SILENCE(test);
	put(&i);
}

static void mmap_after_import_excused(struct kunit *test)
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

static void mmap_before_import_excused(struct kunit *test)
{
	struct import i;

	export(test, &i);
	map_to_user(test, &i);
	import(test, &i, DMA_TO_DEVICE);
	expect_excused(test, &i);
	put(&i);
}

/* Before the tool was loaded. */
static void mmap_before_load_excused(struct kunit *test)
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

/* Each dma-buf counts by itself, whatever becomes of the others and their memory. */
static void mmap_of_other_buffer_reported(struct kunit *test)
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
	/* A new dma-buf, perhaps at the address of the first one. */
	for (i = 0; i < 4; i++) {
		export(test, &a);
		import(test, &a, DMA_TO_DEVICE);
		kt_reset();
		expect_reported(test, &a);
		put(&a);
	}
}

/* A later mapping by the same task, of the same memory, is no dma-buf. */
static void mapping_outside_dmabuf_reported(struct kunit *test)
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

/* The importers of a buffer each map all of it; fences say whose turn it is. */
static void overlap_of_importers_silent(struct kunit *test)
{
	struct device *dev[] = { kt_dev, kt_dev2, kt_dev };
	long allowed = dma_owner_debug_count("allowed_idioms");
	struct import i[ARRAY_SIZE(dev)];
	u8 *buf;
	u32 saved;
	int n;

	kt_set(test, "noncoherent", "64");
	export(test, &i[0]);
	buf = page_address(i[0].page);
	saved = kt_quiet_dma_debug();
	for (n = 0; n < ARRAY_SIZE(dev); n++) {
		i[n].buf = i[0].buf;
		import_for(test, &i[n], dev[n], DMA_BIDIRECTIONAL);
	}
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("allowed_idioms"),
			allowed + (int)ARRAY_SIZE(dev) - 1);
	/* The device owns it all the same. */
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, buf, 8);
	/* What an importer can call. */
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		EXPECT_TEXT(test, "Hint: call dma_buf_begin_cpu_access() before *");
	for (n = 0; n < ARRAY_SIZE(dev); n++)
		import_no_more(&i[n]);
	kt_unquiet_dma_debug(saved);
	EXPECT_CLEAN(test, buf, PAGE_SIZE);
	put(&i[0]);
}

/* The same two mappings, and no dma-buf. */
static void overlap_outside_dmabuf_reported(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	struct sg_table sgt;
	dma_addr_t dma;
	u32 saved;
	int err;

	kt_set(test, "noncoherent", "64");
	KUNIT_ASSERT_EQ(test, sg_alloc_table(&sgt, 1, GFP_KERNEL), 0);
	sg_set_page(sgt.sgl, page, PAGE_SIZE, 0);
	saved = kt_quiet_dma_debug();
	dma = test_dma_map(test, kt_dev2, page_address(page), PAGE_SIZE, DMA_BIDIRECTIONAL);
	err = test_export(kt_dev, &sgt, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, err, 0);
	EXPECT_MAP_REPORT(test, "overlapping-mapping", test_export, PAGE_SIZE);
	if (!err)
		dma_unmap_sgtable(kt_dev, &sgt, DMA_BIDIRECTIONAL, 0);
	dma_unmap_single(kt_dev2, dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	kt_unquiet_dma_debug(saved);
	sg_free_table(&sgt);
}

/* MODULE_IMPORT_NS() wants its argument in quotes from v6.13 on, and not before. */
MODULE_INFO(import_ns, "DMA_BUF");

static struct kunit_case dmabuf_cases[] = {
	KUNIT_CASE(overlap_of_importers_silent),
	KUNIT_CASE(overlap_outside_dmabuf_reported),
	KUNIT_CASE(wrong_direction_reported),
	KUNIT_CASE(mmap_after_import_excused),
	KUNIT_CASE(mmap_before_import_excused),
	KUNIT_CASE(mmap_before_load_excused),
	KUNIT_CASE(mmap_of_other_buffer_reported),
	KUNIT_CASE(mapping_outside_dmabuf_reported),
	{}
};

#else

static int dmabuf_test_init(struct kunit *test)
{
	return kt_test_init(test);
}

static void dmabuf_not_configured(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_DMA_SHARED_BUFFER");
}

static struct kunit_case dmabuf_cases[] = {
	KUNIT_CASE(dmabuf_not_configured),
	{}
};

#endif

KT_SUITE_INIT(dmabuf, dmabuf_test_init);
