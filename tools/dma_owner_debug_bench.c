// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of a mapping: at load, this module times calls of the DMA API on a device of its
 * own. Under "qemu -icount shift=0" a nanosecond is an instruction. It does not depend on
 * the tool: load it with the tool and without.
 */

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "mark.h"

static unsigned int live;
module_param(live, uint, 0400);
MODULE_PARM_DESC(live, "other mappings, of 256 bytes, that are live meanwhile (default: 0)");

static unsigned int zero;
module_param(zero, uint, 0400);
MODULE_PARM_DESC(zero, "entries of lists of the zero page that are live meanwhile (default: 0)");

static bool atomic;
module_param(atomic, bool, 0400);
MODULE_PARM_DESC(atomic, "make those without letting anything else run on the CPU (default: N)");

static char *only;
module_param(only, charp, 0400);
MODULE_PARM_DESC(only, "the one case to run, or \"none\" (default: all)");

static unsigned int repeat = 1;
module_param(repeat, uint, 0400);
MODULE_PARM_DESC(repeat, "run it, or all of them, so many times, to be profiled meanwhile (default: 1)");

static unsigned int threads;
module_param(threads, uint, 0400);
MODULE_PARM_DESC(threads, "instead of the cases, map and unmap on so many CPUs (default: 0)");

static bool apart;
module_param(apart, bool, 0400);
MODULE_PARM_DESC(apart, "the threads' buffers are 2 MiB apart, not in neighbouring pages (default: N)");

static unsigned int ms = 500;
module_param(ms, uint, 0400);
MODULE_PARM_DESC(ms, "how long the threads run (default: 500)");

static struct platform_device *pdev;

/* === Memory =============================================================== */

/*
 * All buffers are close together, where an index of mappings by address is fullest. They
 * are in blocks, the first of which begins with the buffers of the cases.
 */
#define BLOCK		SZ_2M
#define LIVE_SIZE	256UL
#define SG_ENTRIES	16

enum {
	BUFFER = 0,				/* mapped and unmapped */
	HELD_TO = SZ_64K,			/* mapped all the time, by direction */
	HELD_FROM = HELD_TO + SZ_4K,
	FIRST_LIVE = SZ_128K,
};

static void **blocks;
static unsigned int nr_blocks;
static dma_addr_t *live_dma;
static unsigned int nr_live;			/* how many of them are mapped */
static struct scatterlist sg[SG_ENTRIES];

static void *at(size_t offset)
{
	return blocks[offset / BLOCK] + offset % BLOCK;
}

static void free_memory(void)
{
	unsigned int i;

	for (i = 0; blocks && i < nr_blocks; i++)
		free_pages((unsigned long)blocks[i], get_order(BLOCK));
	kvfree(blocks);
	kvfree(live_dma);
}

/* === Lists of the zero page =============================================== */

#define ZERO_ENTRIES	64

static struct sg_table zero_list, *zero_lists;
static unsigned int nr_zero;			/* how many of @zero_lists are mapped */

static int zero_table(struct sg_table *t)
{
	struct scatterlist *s;
	int i, err = sg_alloc_table(t, ZERO_ENTRIES, GFP_KERNEL);

	if (err)
		return err;
	for_each_sg(t->sgl, s, ZERO_ENTRIES, i)
		sg_set_page(s, ZERO_PAGE(0), PAGE_SIZE, 0);
	return 0;
}

static int get_zero_lists(void)
{
	int err;

	zero_lists = kvcalloc(zero / ZERO_ENTRIES + 1, sizeof(*zero_lists), GFP_KERNEL);
	if (!zero_lists)
		return -ENOMEM;
	err = zero_table(&zero_list);
	for (; !err && nr_zero < zero / ZERO_ENTRIES; nr_zero++) {
		err = zero_table(&zero_lists[nr_zero]);
		if (!err && !dma_map_sg(&pdev->dev, zero_lists[nr_zero].sgl, ZERO_ENTRIES,
					DMA_TO_DEVICE)) {
			sg_free_table(&zero_lists[nr_zero]);
			err = -ENOMEM;
		}
		if (err)
			break;
	}
	return err;
}

static void put_zero_lists(void)
{
	while (nr_zero) {
		dma_unmap_sg(&pdev->dev, zero_lists[--nr_zero].sgl, ZERO_ENTRIES, DMA_TO_DEVICE);
		sg_free_table(&zero_lists[nr_zero]);
	}
	sg_free_table(&zero_list);
	kvfree(zero_lists);
}

static int get_memory(void)
{
	unsigned int i;

	nr_blocks = max_t(size_t, threads, DIV_ROUND_UP(FIRST_LIVE + live * LIVE_SIZE, BLOCK));
	blocks = kvcalloc(nr_blocks, sizeof(*blocks), GFP_KERNEL);
	live_dma = kvcalloc(live + 1, sizeof(*live_dma), GFP_KERNEL);
	if (!blocks || !live_dma)
		return -ENOMEM;
	for (i = 0; i < nr_blocks; i++) {
		blocks[i] = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, get_order(BLOCK));
		if (!blocks[i])
			return -ENOMEM;
	}
	sg_init_table(sg, SG_ENTRIES);
	for (i = 0; i < SG_ENTRIES; i++)
		sg_set_buf(&sg[i], at(BUFFER + i * SZ_4K), SZ_4K);
	return 0;
}

/* === Cases ================================================================ */

#define BATCH	10
#define BATCHES	31

static dma_addr_t held_to, held_from;
static void *objects[BATCH];

/* @run is timed for each of a batch, @prepare before it is not. */
struct bench_case {
	const char *name;
	void (*run)(const struct bench_case *c, unsigned int n);
	enum dma_data_direction dir;
	size_t size;
	void (*prepare)(const struct bench_case *c, unsigned int n);
};

static void map_unmap(void *buf, size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single(&pdev->dev, buf, size, dir);

	if (!dma_mapping_error(&pdev->dev, dma))
		dma_unmap_single(&pdev->dev, dma, size, dir);
}

/* As a disk is zeroed: one page, many times. */
static void zero_pair(const struct bench_case *c, unsigned int n)
{
	if (dma_map_sg(&pdev->dev, zero_list.sgl, ZERO_ENTRIES, c->dir))
		dma_unmap_sg(&pdev->dev, zero_list.sgl, ZERO_ENTRIES, c->dir);
}

static void nothing(const struct bench_case *c, unsigned int n)
{
}

static void pair(const struct bench_case *c, unsigned int n)
{
	map_unmap(at(BUFFER), c->size, c->dir);
}

static void sg_pair(const struct bench_case *c, unsigned int n)
{
	if (dma_map_sg(&pdev->dev, sg, SG_ENTRIES, c->dir))
		dma_unmap_sg(&pdev->dev, sg, SG_ENTRIES, c->dir);
}

static void sync_pair(const struct bench_case *c, unsigned int n)
{
	dma_addr_t dma = c->dir == DMA_TO_DEVICE ? held_to : held_from;

	dma_sync_single_range_for_cpu(&pdev->dev, dma, 1024, c->size, c->dir);
	dma_sync_single_range_for_device(&pdev->dev, dma, 1024, c->size, c->dir);
}

/* A UART's transmit ring, as 8250_dma has it: mapped once, written, then synced. */
static void write_and_sync(const struct bench_case *c, unsigned int n)
{
	static const u8 data[64] = "0123456789abcdef";
	static unsigned int head;

	memcpy(at(HELD_TO + head), data, c->size);
	dma_sync_single_range_for_device(&pdev->dev, held_to, head, c->size, c->dir);
	head = (head + c->size) % SZ_4K;
}

/* A legal read, for the device only reads there: the cost of the trap. */
static void read_held(const struct bench_case *c, unsigned int n)
{
	(void)READ_ONCE(*(u8 *)at(HELD_TO));
}

static void alloc_object(const struct bench_case *c, unsigned int n)
{
	objects[n] = kmalloc(c->size, GFP_KERNEL);
}

static void free_object(const struct bench_case *c, unsigned int n)
{
	kfree(objects[n]);
}

static void alloc_one_page(const struct bench_case *c, unsigned int n)
{
	objects[n] = (void *)__get_free_page(GFP_KERNEL);
}

static void free_one_page(const struct bench_case *c, unsigned int n)
{
	free_page((unsigned long)objects[n]);
}

static const struct bench_case cases[] = {
	{ "nothing", nothing },
	{ "pair_64_to", pair, DMA_TO_DEVICE, 64 },
	{ "pair_64_from", pair, DMA_FROM_DEVICE, 64 },
	{ "pair_2k_to", pair, DMA_TO_DEVICE, SZ_2K },
	{ "pair_2k_from", pair, DMA_FROM_DEVICE, SZ_2K },
	{ "pair_64k_to", pair, DMA_TO_DEVICE, SZ_64K },
	{ "pair_64k_from", pair, DMA_FROM_DEVICE, SZ_64K },
	{ "sg16_to", sg_pair, DMA_TO_DEVICE },
	{ "sg16_from", sg_pair, DMA_FROM_DEVICE },
	{ "zero64", zero_pair, DMA_TO_DEVICE },
	{ "sync_256_to", sync_pair, DMA_TO_DEVICE, 256 },
	{ "sync_256_from", sync_pair, DMA_FROM_DEVICE, 256 },
	{ "ring_16", write_and_sync, DMA_TO_DEVICE, 16 },
	{ "read", read_held },
	{ "kfree", free_object, DMA_NONE, 256, alloc_object },
	{ "page_free", free_one_page, DMA_NONE, 0, alloc_one_page },
};

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The median of the batches: some have an interrupt, or a new slab. */
static u64 time_case(const struct bench_case *c)
{
	u64 ns[BATCHES], start;
	unsigned int i, n;

	for (i = 0; i < BATCHES; i++) {
		for (n = 0; c->prepare && n < BATCH; n++)
			c->prepare(c, n);
		mark_begin();
		start = ktime_get_ns();
		for (n = 0; n < BATCH; n++)
			c->run(c, n);
		ns[i] = ktime_get_ns() - start;
		mark_end();
	}
	sort(ns, BATCHES, sizeof(ns[0]), by_value, NULL);
	return div_u64(ns[BATCHES / 2], BATCH);
}

static void run_cases(void)
{
	unsigned int i, n;

	for (n = 0; n < repeat; n++)
		for (i = 0; i < ARRAY_SIZE(cases); i++)
			if (only ? !strcmp(only, cases[i].name) : cases[i].run != zero_pair)
				pr_info("dma_owner_bench: %s %llu\n", cases[i].name,
					time_case(&cases[i]));
}

/* === Threads ============================================================== */

struct worker {
	struct task_struct *task;
	void *buf;
	unsigned long pairs;	/* written by the thread alone */
};

static int work(void *data)
{
	struct worker *w = data;

	while (!kthread_should_stop()) {
		map_unmap(w->buf, SZ_2K, DMA_TO_DEVICE);
		map_unmap(w->buf, SZ_2K, DMA_FROM_DEVICE);
		WRITE_ONCE(w->pairs, w->pairs + 2);
		cond_resched();
	}
	return 0;
}

static u64 pairs_of(const struct worker *w)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < threads; i++)
		sum += READ_ONCE(w[i].pairs);
	return sum;
}

static int run_threads(void)
{
	struct worker *w = kcalloc(threads, sizeof(*w), GFP_KERNEL);
	unsigned int i;
	int err = 0;
	u64 pairs, ns;

	if (!w)
		return -ENOMEM;
	for (i = 0; i < threads && !err; i++) {
		w[i].buf = at(apart ? i * (size_t)BLOCK : i * PAGE_SIZE);
		w[i].task = kthread_run_on_cpu(work, &w[i], cpumask_local_spread(i, NUMA_NO_NODE),
					       "dma_owner_bench/%u");
		err = PTR_ERR_OR_ZERO(w[i].task);
	}
	if (!err) {
		pairs = pairs_of(w);
		ns = ktime_get_ns();
		msleep(ms);
		pairs = pairs_of(w) - pairs;
		ns = ktime_get_ns() - ns;
		pr_info("dma_owner_bench: pairs_per_second %llu\n",
			div64_u64(pairs * NSEC_PER_SEC, ns));
	}
	for (i = 0; i < threads; i++)
		if (!IS_ERR_OR_NULL(w[i].task))
			kthread_stop(w[i].task);
	kfree(w);
	return err;
}

/* === Start and stop ======================================================= */

static int map_held(enum dma_data_direction dir, size_t offset, dma_addr_t *dma)
{
	*dma = dma_map_single(&pdev->dev, at(offset), SZ_4K, dir);
	return dma_mapping_error(&pdev->dev, *dma);
}

static int map_live(void)
{
	int err = 0;

	if (atomic)
		preempt_disable();
	while (nr_live < live && !err) {
		dma_addr_t dma = dma_map_single(&pdev->dev, at(FIRST_LIVE + nr_live * LIVE_SIZE),
						LIVE_SIZE, DMA_TO_DEVICE);

		err = dma_mapping_error(&pdev->dev, dma);
		if (!err)
			live_dma[nr_live++] = dma;
	}
	if (atomic)
		preempt_enable();
	return err;
}

static void unmap_live(void)
{
	while (nr_live)
		dma_unmap_single(&pdev->dev, live_dma[--nr_live], LIVE_SIZE, DMA_TO_DEVICE);
}

static int __init bench_init(void)
{
	int err;

	if (threads > num_online_cpus())
		return -EINVAL;
	pdev = platform_device_register_simple("dma_owner_bench", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)) ?: get_memory();
	if (err)
		goto err_memory;
	err = map_held(DMA_TO_DEVICE, HELD_TO, &held_to);
	if (err)
		goto err_memory;
	err = map_held(DMA_FROM_DEVICE, HELD_FROM, &held_from);
	if (err)
		goto err_to;
	err = map_live() ?: get_zero_lists();
	if (!err && threads)
		err = run_threads();
	else if (!err)
		run_cases();
	/* Live mappings stay until the module is unloaded. */
	if (!err)
		return 0;

	put_zero_lists();
	unmap_live();
	dma_unmap_single(&pdev->dev, held_from, SZ_4K, DMA_FROM_DEVICE);
err_to:
	dma_unmap_single(&pdev->dev, held_to, SZ_4K, DMA_TO_DEVICE);
err_memory:
	free_memory();
	platform_device_unregister(pdev);
	return err;
}

static void __exit bench_exit(void)
{
	put_zero_lists();
	unmap_live();
	dma_unmap_single(&pdev->dev, held_from, SZ_4K, DMA_FROM_DEVICE);
	dma_unmap_single(&pdev->dev, held_to, SZ_4K, DMA_TO_DEVICE);
	free_memory();
	platform_device_unregister(pdev);
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Times the DMA API, with and without dma_owner_debug");
