// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose buffer is an object of KFENCE, for scripts/tests.d/stock.sh: is its page present
 * when the image for a hibernation is made? That has no page which is reserved and not present.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-mapping.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#define SIZE	256
#define TRIES	10000000

static struct platform_device *pdev;
static u8 *buf;
static dma_addr_t dma;
static int mapped, imaged = -1, over = -1;

static int is_present(void)
{
#ifdef CONFIG_X86_64
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)buf, &level);

	return pte_val(READ_ONCE(*pte)) & _PAGE_PRESENT;
#else
	return -1;
#endif
}

static int on_pm_event(struct notifier_block *block, unsigned long event, void *unused)
{
	if (event == PM_HIBERNATION_PREPARE)
		imaged = is_present();
	else if (event == PM_POST_HIBERNATION)
		over = is_present();
	return NOTIFY_OK;
}

/* After the tool's. */
static struct notifier_block nb = { .notifier_call = on_pm_event, .priority = -1 };

static int __init image_init(void)
{
	int i, err;

	pdev = platform_device_register_simple("dma_owner_image", -1, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_device;
	for (i = 0; i < TRIES && !is_kfence_address(buf); i++) {
		kfree(buf);
		buf = kzalloc(SIZE, GFP_KERNEL);
		cond_resched();
	}
	err = -ENOMEM;
	if (!is_kfence_address(buf))
		goto err_buf;
	dma = dma_map_single(&pdev->dev, buf, SIZE, DMA_FROM_DEVICE);
	if (dma_mapping_error(&pdev->dev, dma))
		goto err_buf;
	mapped = is_present();
	err = register_pm_notifier(&nb);
	if (!err)
		return 0;
	dma_unmap_single(&pdev->dev, dma, SIZE, DMA_FROM_DEVICE);
err_buf:
	kfree(buf);
err_device:
	platform_device_unregister(pdev);
	return err;
}

static void __exit image_exit(void)
{
	unregister_pm_notifier(&nb);
	pr_info("present: %d when mapped, %d in the image, %d after it\n", mapped, imaged, over);
	dma_unmap_single(&pdev->dev, dma, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
	platform_device_unregister(pdev);
}

module_init(image_init);
module_exit(image_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("For the tests of dma_owner_debug: a buffer while the machine hibernates");
