// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that holds a mapping. For scripts/tests.d/harm.sh it maps a buffer DMA_TO_DEVICE at
 * load, reads it, legally, at unload, and unmaps it. For lifecycle.sh, receive=1: it maps
 * DMA_FROM_DEVICE, and has no shutdown(); child=1: a child of the device has one, as with
 * dwc3's xHCI. For reports.sh, writes=1: it writes to the buffer, and syncs that at unload.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "../kunit/one_access.h"

#define SIZE 512

static bool receive;
module_param(receive, bool, 0400);
MODULE_PARM_DESC(receive, "map DMA_FROM_DEVICE (default: N)");

static bool child;
module_param(child, bool, 0400);
MODULE_PARM_DESC(child, "give the device a child that is shut down (default: N)");

static bool writes;
module_param(writes, bool, 0400);
MODULE_PARM_DESC(writes, "write to it, and sync that when unloaded (default: N)");

static struct platform_device *pdev, *child_pdev;
static dma_addr_t dma;
static u8 *buf;

static noinline void dma_owner_hold_read(const void *p)
{
	one_load(p, 8);
}

static noinline void dma_owner_hold_write(void *p)
{
	one_store(p, 8);
}

static int bind(struct platform_device *bound)
{
	return 0;
}

static void shut_down(struct platform_device *bound)
{
}

static struct platform_driver driver = {
	.probe = bind,
	.driver.name = "dma_owner_hold",
};

static struct platform_driver child_driver = {
	.probe = bind,
	.shutdown = shut_down,
	.driver.name = "dma_owner_hold_child",
};

static int add_child(void)
{
	const struct platform_device_info info = {
		.parent = &pdev->dev,
		.name = "dma_owner_hold_child",
		.id = PLATFORM_DEVID_NONE,
	};
	int err = platform_driver_register(&child_driver);

	if (err)
		return err;
	child_pdev = platform_device_register_full(&info);
	if (!IS_ERR(child_pdev))
		return 0;
	platform_driver_unregister(&child_driver);
	return PTR_ERR(child_pdev);
}

static void remove_child(void)
{
	platform_device_unregister(child_pdev);
	platform_driver_unregister(&child_driver);
}

static enum dma_data_direction dir(void)
{
	return receive ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
}

static int __init dma_owner_hold_init(void)
{
	int err = platform_driver_register(&driver);

	if (err)
		return err;
	pdev = platform_device_register_simple("dma_owner_hold", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev)) {
		platform_driver_unregister(&driver);
		return PTR_ERR(pdev);
	}
	dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	err = child ? add_child() : 0;
	if (err)
		goto err_device;
	err = -ENOMEM;
	/* A page is never an object of KFENCE. */
	buf = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!buf)
		goto err_child;
	dma = dma_map_single(&pdev->dev, buf, SIZE, dir());
	if (dma_mapping_error(&pdev->dev, dma))
		goto err_page;
	if (!receive)
		dma_owner_hold_read(buf);
	if (writes)
		dma_owner_hold_write(buf);
	return 0;

err_page:
	free_page((unsigned long)buf);
err_child:
	if (child)
		remove_child();
err_device:
	platform_device_unregister(pdev);
	platform_driver_unregister(&driver);
	return err;
}

static void __exit dma_owner_hold_exit(void)
{
	if (!receive)
		dma_owner_hold_read(buf);
	if (writes)
		dma_sync_single_for_device(&pdev->dev, dma, SIZE, dir());
	dma_unmap_single(&pdev->dev, dma, SIZE, dir());
	free_page((unsigned long)buf);
	if (child)
		remove_child();
	platform_device_unregister(pdev);
	platform_driver_unregister(&driver);
}

module_init(dma_owner_hold_init);
module_exit(dma_owner_hold_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Holds a mapping from insmod to rmmod");
