// SPDX-License-Identifier: GPL-2.0
/*
 * For scripts/tests.d/harm.sh: maps a buffer DMA_TO_DEVICE when it is loaded, reads it,
 * legally, when it is unloaded, and then unmaps it. No locks.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "one_access.h"

#define SIZE 512

static struct platform_device *pdev;
static dma_addr_t dma;
static u8 *buf;

static noinline void dma_owner_hold_read(const void *p)
{
	one_load(p, 8);
}

static int __init dma_owner_hold_init(void)
{
	pdev = platform_device_register_simple("dma_owner_hold", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	/* A page: KFENCE cannot have it. */
	buf = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!buf)
		goto err_device;
	dma = dma_map_single(&pdev->dev, buf, SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(&pdev->dev, dma))
		goto err_page;
	dma_owner_hold_read(buf);
	return 0;

err_page:
	free_page((unsigned long)buf);
err_device:
	platform_device_unregister(pdev);
	return -ENOMEM;
}

static void __exit dma_owner_hold_exit(void)
{
	dma_owner_hold_read(buf);
	dma_unmap_single(&pdev->dev, dma, SIZE, DMA_TO_DEVICE);
	free_page((unsigned long)buf);
	platform_device_unregister(pdev);
}

module_init(dma_owner_hold_init);
module_exit(dma_owner_hold_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Holds a mapping from insmod to rmmod");
