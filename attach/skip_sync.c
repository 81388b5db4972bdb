// SPDX-License-Identifier: GPL-2.0
/*
 * Without CONFIG_DMA_API_DEBUG the kernel skips the syncs of a device that is coherent: a bit of
 * struct device, dma_skip_sync, says so, which dma_set_mask() sets. An ownership whose end nobody
 * can see must not begin: each map call clears the bit, before the driver knows the address, or
 * is not tracked.
 *
 * dod_see_syncs() is called in any context but NMI. No locks.
 */
#include "hooks.h"

#if DOD_BY_EVENTS
#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/slab.h>

#ifdef DOD_DEVICE_FLAGS
#define skips_syncs(dev)	dev_dma_skip_sync(dev)
#define clear_skip_sync(dev)	dev_clear_dma_skip_sync(dev)

int dod_skip_sync_start(void)
{
	return 0;
}
#else
#define skips_syncs(dev)	((dev)->dma_skip_sync)

/*
 * The bit is one of a bit-field, whose other bits the driver core writes without atomic
 * operations. Ours is one: it cannot undo theirs. Theirs can undo ours; the next map call then
 * does it again.
 */
static unsigned int skip_sync_bit;

static void clear_skip_sync(struct device *dev)
{
	clear_bit(skip_sync_bit, (unsigned long *)dev);
}

/* Where is it? Nothing else tells. */
int dod_skip_sync_start(void)
{
	const unsigned int size = sizeof(struct device) * BITS_PER_BYTE;
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int err = 0;

	BUILD_BUG_ON(sizeof(*dev) % sizeof(long));
	if (!dev) {
		pr_err("cannot load: no memory for the hooks\n");
		return -ENOMEM;
	}
	dev->dma_skip_sync = true;
	skip_sync_bit = find_first_bit((unsigned long *)dev, size);
	clear_skip_sync(dev);
	if (skip_sync_bit == size || dev->dma_skip_sync) {
		pr_err("cannot load: dma_skip_sync was not found in struct device\n");
		err = -EOPNOTSUPP;
	}
	kfree(dev);
	return err;
}
#endif

/**
 * dod_see_syncs() - have the kernel call what it skips otherwise
 * @dev: a device that memory was just mapped for
 *
 * The bit stays clear, also when the tool is unloaded: where it is clear the kernel may not skip
 * what it could, and nothing else changes.
 *
 * Return: false if the memory must not be tracked.
 */
bool dod_see_syncs(struct device *dev)
{
	if (likely(!skips_syncs(dev)))
		return true;
	clear_skip_sync(dev);
	return true;
}
#endif /* DOD_BY_EVENTS */
