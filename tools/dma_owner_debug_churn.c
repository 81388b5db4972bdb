// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose buffers come and go, rightly, for scripts/tests.d/cycles.sh: some of them are
 * objects of KFENCE. Uses nothing of the tool, which comes and goes meanwhile.
 */

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>

#define SIZE	512
#define NR	32

static struct platform_device *pdev;
static struct task_struct *task;

static struct buffer {
	u8 *mem;
	dma_addr_t dma;
	enum dma_data_direction dir;
} buffers[NR];

static void begin(struct buffer *b, enum dma_data_direction dir)
{
	b->mem = kmalloc(SIZE, GFP_KERNEL);
	if (!b->mem)
		return;
	memset(b->mem, dir, SIZE);
	b->dir = dir;
	b->dma = dma_map_single(&pdev->dev, b->mem, SIZE, dir);
	if (dma_mapping_error(&pdev->dev, b->dma)) {
		kfree(b->mem);
		b->mem = NULL;
	}
}

static void end(struct buffer *b)
{
	if (!b->mem)
		return;
	dma_unmap_single(&pdev->dev, b->dma, SIZE, b->dir);
	if (memchr_inv(b->mem, b->dir, SIZE))
		pr_err("wrong data\n");
	kfree(b->mem);
	b->mem = NULL;
}

/* What a driver does with a buffer that it keeps. */
static void use(struct buffer *b)
{
	if (!b->mem)
		return;
	dma_sync_single_for_cpu(&pdev->dev, b->dma, SIZE, b->dir);
	memset(b->mem, b->dir, SIZE);
	dma_sync_single_for_device(&pdev->dev, b->dma, SIZE, b->dir);
}

static int churn(void *unused)
{
	unsigned int i;

	for (i = 0; !kthread_should_stop(); i++) {
		end(&buffers[i % NR]);
		begin(&buffers[i % NR], i % (DMA_FROM_DEVICE + 1));
		use(&buffers[(i + NR / 2) % NR]);
		usleep_range(500, 1000);
	}
	for (i = 0; i < NR; i++)
		end(&buffers[i]);
	return 0;
}

static int __init dma_owner_churn_init(void)
{
	pdev = platform_device_register_simple("dma_owner_churn", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	task = kthread_run(churn, NULL, "dma_owner_churn");
	if (!IS_ERR(task))
		return 0;
	platform_device_unregister(pdev);
	return PTR_ERR(task);
}

static void __exit dma_owner_churn_exit(void)
{
	kthread_stop(task);
	platform_device_unregister(pdev);
}

module_init(dma_owner_churn_init);
module_exit(dma_owner_churn_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Maps and unmaps small buffers all the time");
