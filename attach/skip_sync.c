// SPDX-License-Identifier: GPL-2.0
/*
 * Without CONFIG_DMA_API_DEBUG the kernel skips the syncs of a device that is coherent: a bit of
 * struct device, dma_skip_sync, says so, which dma_set_mask() sets. An ownership whose end nobody
 * can see must not begin: each map call clears the bit, before the driver knows the address, or
 * is not tracked.
 *
 * dod_see_syncs() is called in any context but NMI. No locks but that of an xarray, which the
 * notifiers of buses take in process context.
 */
#include "../base/stats.h"
#include "../owner/owner.h"
#include "hooks.h"

#if DOD_BY_EVENTS
#include <linux/bitmap.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

/* === The bit ============================================================== */

#ifdef DOD_DEVICE_FLAGS
#define skips_syncs(dev)	dev_dma_skip_sync(dev)
#define clear_skip_sync(dev)	dev_clear_dma_skip_sync(dev)

static int find_bit_of_device(void)
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
static int find_bit_of_device(void)
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

/* === Whose bit may be cleared ============================================= */

#if DOD_SKIPS_UNMAPS
/*
 * Here drivers ask dma_need_unmap(), which goes by the same bit, and must get the same answer all
 * the time that something is mapped: nvme frees by it what it has allocated by it. So the bit is
 * only cleared for a driver that was bound, or a device that was added, since the load: by its
 * first map call, so that the driver has not had the other answer.
 *
 * Nor for a device whose memory user space maps through hmm: hmm_dma_map_alloc() refuses that
 * where the bit is clear. These are the devices of RDMA with paging on demand, which has one
 * driver; the rest of it has no device of its own.
 */
static const char * const pages_on_demand[] = { "mlx5_core" };

/* The devices that may be cleared, by address. */
static DEFINE_XARRAY(clearable);

/* All map calls are seen: of a driver that is bound from now on, also the first. */
static bool all_seen;

/* Events of a device come one after the other. */
static int on_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct device *dev = data;
	const struct device_driver *driver = READ_ONCE(dev->driver);

	if (event != BUS_NOTIFY_ADD_DEVICE && event != BUS_NOTIFY_BIND_DRIVER &&
	    event != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;
	/* Pairs with smp_store_release() in dod_skip_sync_all_seen(). */
	if (!smp_load_acquire(&all_seen))
		return NOTIFY_DONE;
	if (event == BUS_NOTIFY_REMOVED_DEVICE ||
	    (driver && match_string(pages_on_demand, ARRAY_SIZE(pages_on_demand),
				    driver->name) >= 0))
		xa_erase(&clearable, (unsigned long)dev);
	else
		/* Without memory the device is not tracked, and that is counted. */
		xa_store(&clearable, (unsigned long)dev, xa_mk_value(1), GFP_KERNEL);
	return NOTIFY_DONE;
}

/* Devices on other buses map memory by one of these, nearly always. */
static struct {
	const struct bus_type *bus;
	struct notifier_block nb;
} watched[] = {
	{ &platform_bus_type, { .notifier_call = on_bus_event } },
#if IS_ENABLED(CONFIG_PCI)
	{ &pci_bus_type, { .notifier_call = on_bus_event } },
#endif
};

static int watch_buses(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		err = bus_register_notifier(dod_bus(watched[i].bus), &watched[i].nb);
		if (!err)
			continue;
		while (i--)
			bus_unregister_notifier(dod_bus(watched[i].bus), &watched[i].nb);
		pr_err("cannot load: no notifier of a bus, error %d\n", err);
		return err;
	}
	return 0;
}

void dod_skip_sync_all_seen(void)
{
	/* Pairs with smp_load_acquire() in on_bus_event(). */
	smp_store_release(&all_seen, true);
}

/* After the last dod_see_syncs(). */
void dod_skip_sync_stop(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(watched); i++)
		bus_unregister_notifier(dod_bus(watched[i].bus), &watched[i].nb);
	xa_destroy(&clearable);
}

static bool may_clear(const struct device *dev)
{
	return is_test_dev(dev) || xa_load(&clearable, (unsigned long)dev);
}
#else
static int watch_buses(void)
{
	return 0;
}

void dod_skip_sync_all_seen(void) {}
void dod_skip_sync_stop(void) {}

static bool may_clear(const struct device *dev)
{
	return true;
}
#endif

/* === Clearing it ========================================================== */

/**
 * dod_skip_sync_start() - get ready for dod_see_syncs()
 *
 * Return: 0, or an error after a line that says what is wrong.
 */
int dod_skip_sync_start(void)
{
	return find_bit_of_device() ?: watch_buses();
}

/**
 * dod_see_syncs() - have the kernel call what it skips otherwise
 * @dev: a device that memory was just mapped for
 *
 * The bit stays clear, also when the tool is unloaded: then the kernel does what it could skip.
 *
 * Return: false if it may not be cleared: the memory must not be tracked.
 */
bool dod_see_syncs(struct device *dev)
{
	if (likely(!skips_syncs(dev)))
		return true;
	if (!may_clear(dev)) {
		dod_count(DOD_C_UNTRACKED_SKIPPED);
		dod_owner_lose_track(dev);
		return false;
	}
	clear_skip_sync(dev);
	return true;
}

/*
 * What is mapped for the device is not judged any more, or, if @end, is unmapped. Returns whether
 * there is any.
 */
static bool forget_mapped(unsigned long caller, struct ftrace_regs *fregs, bool end)
{
	unsigned int shard = 0, skip = 0;
	bool any = false;
	struct dod_mapping m;
	struct dod_sum sum;
	u64 start = 0;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		struct dod_call call DOD_UNINITIALIZED;

		if (m.dev != arg_dev(fregs) || (end && !sum.leads))
			continue;
		any = true;
		call = call_begin(m.kind, m.dir, caller, fregs);
		if (!end) {
			dod_owner_sync(&call, DOD_SYNCS_SKIPPED, m.dma_addr, 1);
			continue;
		}
		if (m.kind == DOD_IOVA)
			dod_owner_iova_end(&call, m.dma_addr, dod_size(&m));
		else
			dod_owner_unmap(&call, m.dma_addr, dod_size(&m), NULL, 0);
		/* Others begin there, too, and some may have ended with it. */
		skip = 0;
	}
	return any;
}

/*
 * dma_set_mask(dev, mask) sets the bit again. Nothing is known any more of what is mapped: syncs
 * are skipped until the next map call, also of bounce buffers and behind an IOMMU. Where unmaps
 * are, too, it ends, once there is nothing left to compare.
 */
HOOK_HANDLER(dod_on_set_mask)
{
	note_seen(hook, arg_dev(fregs), 0, 0, 0, 0, 0);
	if (!dev_is_dma_coherent(arg_dev(fregs)))
		return;
	forget_mapped(caller, fregs, false);
	if (DOD_SKIPS_UNMAPS && forget_mapped(caller, fregs, true))
		dod_owner_lose_track(arg_dev(fregs));
}
#endif /* DOD_BY_EVENTS */
