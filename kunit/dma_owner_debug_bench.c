// SPDX-License-Identifier: GPL-2.0
/*
 * What a mapping costs: times the calls of the DMA API on a device of its own and
 * prints a line for each case when it is loaded. Under "qemu -icount shift=0" a
 * nanosecond is an instruction. Knows nothing of the tool: load it with and without.
 */

#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/sort.h>

static unsigned int live;
module_param(live, uint, 0400);
MODULE_PARM_DESC(live, "other mappings that are live meanwhile (default: 0)");

#define SG_ENTRIES 16

struct bench {
	struct device *dev;
	u8 *buf;		/* 64 KiB */
	struct scatterlist sg[SG_ENTRIES];
	dma_addr_t dma;		/* of a page that is mapped all the time */
};

static volatile u8 sink;

static void pair(struct bench *b, size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single(b->dev, b->buf, size, dir);

	if (!dma_mapping_error(b->dev, dma))
		dma_unmap_single(b->dev, dma, size, dir);
}

static void pair_64_to(struct bench *b)
{
	pair(b, 64, DMA_TO_DEVICE);
}

static void pair_64_from(struct bench *b)
{
	pair(b, 64, DMA_FROM_DEVICE);
}

static void pair_2k_to(struct bench *b)
{
	pair(b, 2048, DMA_TO_DEVICE);
}

static void pair_2k_from(struct bench *b)
{
	pair(b, 2048, DMA_FROM_DEVICE);
}

static void pair_64k_to(struct bench *b)
{
	pair(b, 65536, DMA_TO_DEVICE);
}

static void pair_64k_from(struct bench *b)
{
	pair(b, 65536, DMA_FROM_DEVICE);
}

static void pair_sg_from(struct bench *b)
{
	if (dma_map_sg(b->dev, b->sg, SG_ENTRIES, DMA_FROM_DEVICE))
		dma_unmap_sg(b->dev, b->sg, SG_ENTRIES, DMA_FROM_DEVICE);
}

static void sync_pair(struct bench *b)
{
	dma_sync_single_range_for_cpu(b->dev, b->dma, 1024, 256, DMA_TO_DEVICE);
	dma_sync_single_range_for_device(b->dev, b->dma, 1024, 256, DMA_TO_DEVICE);
}

/* Mapped TO_DEVICE: the tool allows it, and pays for looking. */
static void allowed_read(struct bench *b)
{
	sink = READ_ONCE(b->buf[65536]);
}

static void kmalloc_kfree(struct bench *b)
{
	kfree(kmalloc(256, GFP_KERNEL));
}

static void page_alloc_free(struct bench *b)
{
	__free_page(alloc_page(GFP_KERNEL));
}

static const struct {
	const char *name;
	void (*run)(struct bench *b);
} cases[] = {
	{ "pair_64_to", pair_64_to },
	{ "pair_64_from", pair_64_from },
	{ "pair_2k_to", pair_2k_to },
	{ "pair_2k_from", pair_2k_from },
	{ "pair_64k_to", pair_64k_to },
	{ "pair_64k_from", pair_64k_from },
	{ "pair_sg16_from", pair_sg_from },
	{ "sync_pair_256", sync_pair },
	{ "allowed_read", allowed_read },
	{ "kmalloc_kfree", kmalloc_kfree },
	{ "page_alloc_free", page_alloc_free },
};

#define BATCH	10
#define BATCHES	31

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The median of batches: an interrupt, or a page of the slab's, falls into some. */
static u64 time_case(struct bench *b, void (*run)(struct bench *b))
{
	u64 ns[BATCHES], start;
	unsigned int i, n;

	for (i = 0; i < BATCHES; i++) {
		start = ktime_get_ns();
		for (n = 0; n < BATCH; n++)
			run(b);
		ns[i] = ktime_get_ns() - start;
	}
	sort(ns, BATCHES, sizeof(ns[0]), by_value, NULL);
	return div_u64(ns[BATCHES / 2], BATCH);
}

static void run_cases(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		pr_info("dma_owner_bench: %s %llu\n", cases[i].name,
			time_case(b, cases[i].run));
}

/* Pages mapped TO_DEVICE, each a mapping of its own per 256 bytes. */
static int make_live(struct bench *b, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < live; i++) {
		struct page *page = pages[i / 16];

		if (!page) {
			page = alloc_page(GFP_KERNEL);
			if (!page)
				return -ENOMEM;
			pages[i / 16] = page;
		}
		if (dma_mapping_error(b->dev, dma_map_page(b->dev, page, i % 16 * 256, 256,
							   DMA_TO_DEVICE)))
			return -EIO;
	}
	return 0;
}

static void end_live(struct bench *b, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < live && pages[i / 16]; i++)
		dma_unmap_page(b->dev, page_to_phys(pages[i / 16]) + i % 16 * 256, 256,
			       DMA_TO_DEVICE);
	for (i = 0; i < DIV_ROUND_UP(live, 16) && pages[i]; i++)
		__free_page(pages[i]);
}

static int __init bench_init(void)
{
	struct platform_device *pdev;
	struct bench b = { };
	struct page **pages;
	int err, i;

	pdev = platform_device_register_simple("dma_owner_bench", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	b.dev = &pdev->dev;
	err = dma_coerce_mask_and_coherent(b.dev, DMA_BIT_MASK(64));
	b.buf = (u8 *)__get_free_pages(GFP_KERNEL, get_order(2 * 65536));
	pages = kvcalloc(DIV_ROUND_UP(live, 16) + 1, sizeof(*pages), GFP_KERNEL);
	if (!err && (!b.buf || !pages))
		err = -ENOMEM;
	if (err)
		goto out;

	sg_init_table(b.sg, SG_ENTRIES);
	for (i = 0; i < SG_ENTRIES; i++)
		sg_set_buf(&b.sg[i], b.buf + i * 4096, 4096);
	b.dma = dma_map_single(b.dev, b.buf + 65536, 4096, DMA_TO_DEVICE);
	err = dma_mapping_error(b.dev, b.dma);
	if (err)
		goto out;
	err = make_live(&b, pages);
	if (!err)
		run_cases(&b);
	end_live(&b, pages);
	dma_unmap_single(b.dev, b.dma, 4096, DMA_TO_DEVICE);
out:
	kvfree(pages);
	free_pages((unsigned long)b.buf, get_order(2 * 65536));
	platform_device_unregister(pdev);
	return err;
}

static void __exit bench_exit(void)
{
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Times the DMA API, with and without dma_owner_debug");
