// SPDX-License-Identifier: GPL-2.0
/*
 * The devices that ever mapped memory: their names, their drivers' names and what the
 * drivers have configured. An entry stays until the module is unloaded, so that look-ups need
 * no lock. devices_lock nests nothing but the pool's lock.
 */
#include "internal.h"

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/xarray.h>

#define DEVICE_BITS	8

static struct hlist_head devices[1 << DEVICE_BITS];
static DEFINE_RAW_SPINLOCK(devices_lock);
struct dod_pool dod_device_pool;

/* The one that this CPU has mapped memory for last. */
static DEFINE_PER_CPU(struct dod_device *, last_device);

/* Devices that were added since the load, by address: all of their mappings are seen. */
static DEFINE_XARRAY(added);

/* There was no entry for a device: what it has mapped is not known. */
static bool lost_devices;

/*
 * strcmp(), without the kernel's checks and by words, because every map call needs it. A
 * name that is aligned, as nearly all are, can be read past its end up to a whole word. @name
 * has no end before the word that is read: the words before it are equal to those of d->name,
 * which has none in them.
 */
static __always_inline bool has_name(const struct dod_device *d, const char *name)
{
	unsigned int i, size = d->name_size;

	if (unlikely(size < sizeof(long) || !IS_ALIGNED((unsigned long)name, sizeof(long)))) {
		for (i = 0; i < size && d->name[i] == name[i]; i++)
			;
		return i == size;
	}
	for (i = 0; i + sizeof(long) < size; i += sizeof(long))
		if (*(const unsigned long *)(d->name + i) != *(const unsigned long *)(name + i))
			return false;
	i = size - sizeof(long);
	return get_unaligned((const unsigned long *)(d->name + i)) ==
	       get_unaligned((const unsigned long *)(name + i));
}

/**
 * dod_owner_device() - what is known of a device
 * @dev: the device, identity only
 * @name: its name
 *
 * Return: its entry, which stays; NULL if the device never mapped memory.
 */
struct dod_device *dod_owner_device(const struct device *dev, const char *name)
{
	struct dod_device *d;

	/* No RCU: entries only come, as long as anybody looks. */
	hlist_for_each_entry_rcu(d, &devices[hash_ptr(dev, DEVICE_BITS)], node, true)
		if (d->dev == dev && has_name(d, name))
			break;
	return d;
}

void dod_note_unmatched(const struct dod_call *call, enum dod_unmatched_call what, u64 dma_addr,
			u64 size)
{
	struct dod_device *device = dod_device_get(call->dev);

	if (!device)
		return;
	dod_judge_ops.unmatched(call, device, what, dma_addr, size);
	dod_report_note_unmatched(device, what, dma_addr, call->caller);
}

/* Can memory of the device, or of one that was at its address, be mapped without a translation? */
bool dod_device_maps_directly(const struct device *dev)
{
	struct dod_device *d;

	hlist_for_each_entry_rcu(d, &devices[hash_ptr(dev, DEVICE_BITS)], node, true)
		if (d->dev == dev && !READ_ONCE(d->translated))
			return true;
	return false;
}

/* devices_lock held. */
static void note_driver(struct dod_device *d, const struct device *dev)
{
	const struct device_driver *driver = READ_ONCE(dev->driver);

	strscpy(d->module, driver && driver->owner ? module_name(driver->owner) : "",
		sizeof(d->module));
	strscpy(d->driver_name, dev_driver_string(dev), sizeof(d->driver_name));
	d->translated = !dod_maps_directly((struct device *)dev);
	d->untrusted = IS_ENABLED(CONFIG_SWIOTLB) && dev_is_pci(dev) && to_pci_dev(dev)->untrusted;
	WRITE_ONCE(d->wires, dod_judge_ops.wires(d));
	WRITE_ONCE(d->driver, dev->driver);
}

/* devices_lock held. */
static struct dod_device *new_device(const struct device *dev, const char *name)
{
	struct dod_device *d = dod_pool_get(&dod_device_pool);

	if (!d) {
		WRITE_ONCE(lost_devices, true);
		return NULL;
	}
	memset(d, 0, sizeof(*d));
	d->dev = dev;
	d->lost_track = READ_ONCE(lost_devices);
	strscpy(d->name, name, sizeof(d->name));
	/* With its end; a longer one is compared as far as it is kept. */
	d->name_size = min(strlen(name) + 1, sizeof(d->name) - 1);
	note_driver(d, dev);
	hlist_add_head_rcu(&d->node, &devices[hash_ptr(dev, DEVICE_BITS)]);
	return d;
}

static noinline struct dod_device *search_device(const struct device *dev, const char *name)
{
	struct dod_device *d = dod_owner_device(dev, name);
	unsigned long flags;
	bool is_new = false;

	if (likely(d && READ_ONCE(d->driver) == dev->driver)) {
		raw_cpu_write(last_device, d);
		return d;
	}
	dod_lock_irqsave(&devices_lock, flags);
	d = dod_owner_device(dev, name);
	if (!d) {
		d = new_device(dev, name);
		is_new = d;
	} else if (d->driver != dev->driver) {
		note_driver(d, dev);
	}
	dod_unlock_irqrestore(&devices_lock, flags);
	if (is_new)
		dod_judge_ops.see_bus(dev->bus);
	return d;
}

/*
 * The entry of a device, made when it first maps memory; NULL if there are too many. A new
 * device at the address of an old one has an entry of its own, so that the mappings of
 * the old one keep their names.
 */
struct dod_device *dod_device_get(const struct device *dev)
{
	const char *name = dev_name(dev) ?: "(unnamed)";
	struct dod_device *d = raw_cpu_read(last_device);

	if (likely(d && d->dev == dev && READ_ONCE(d->driver) == dev->driver && has_name(d, name)))
		return d;
	return search_device(dev, name);
}

/**
 * dod_owner_add_device() - a device is being added
 * @dev: the device
 *
 * From now on all of its mappings are seen. Nothing is left of one that was at its address before:
 * whatever is still mapped for that one holds a reference to it. Context: process.
 */
void dod_owner_add_device(const struct device *dev)
{
	struct dod_device *d = dod_owner_device(dev, dev_name(dev) ?: "(unnamed)");

	if (d)
		WRITE_ONCE(d->lost_track, READ_ONCE(lost_devices));
	/* Without memory its mappings are taken as not seen. */
	xa_store(&added, (unsigned long)dev, xa_mk_value(1), GFP_KERNEL);
}

/**
 * dod_owner_remove_device() - a device was removed. Context: process
 * @dev: the device
 */
void dod_owner_remove_device(const struct device *dev)
{
	xa_erase(&added, (unsigned long)dev);
}

/**
 * dod_owner_sees_all() - were all mappings of a device seen?
 * @dev: the device
 *
 * A driver that is bound anew proves nothing: pages of a page_pool stay mapped when the one before
 * it is unbound.
 *
 * Return: whether it was added since the load, and a driver is bound to it.
 */
bool dod_owner_sees_all(const struct device *dev)
{
	return READ_ONCE(dev->driver) && xa_load(&added, (unsigned long)dev);
}

/**
 * dod_owner_lose_track() - something was mapped that is not tracked
 * @dev: the device
 *
 * From now on an address without a known mapping proves nothing.
 */
void dod_owner_lose_track(const struct device *dev)
{
	struct dod_device *d = dod_device_get(dev);

	/* Some drivers' maps all come here: read by others, and written once. */
	if (d && !READ_ONCE(d->lost_track))
		WRITE_ONCE(d->lost_track, true);
}

/**
 * dod_owner_set_wires() - apply a new value of the parameter wires to all devices
 */
void dod_owner_set_wires(void)
{
	struct dod_device *d;
	unsigned long flags;
	unsigned int i;

	dod_lock_irqsave(&devices_lock, flags);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry(d, &devices[i], node)
			WRITE_ONCE(d->wires, dod_judge_ops.wires(d));
	dod_unlock_irqrestore(&devices_lock, flags);
}

/**
 * dod_owner_next_device() - step through the devices that ever mapped memory
 * @skip: how many to skip
 * @copy: filled in
 *
 * Return: 0, or -ENOENT at the end.
 */
int dod_owner_next_device(int skip, struct dod_device *copy)
{
	struct dod_device *d;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry_rcu(d, &devices[i], node, true)
			if (READ_ONCE(d->since) && !skip--) {
				*copy = *d;
				return 0;
			}
	return -ENOENT;
}

void dod_device_stop(void)
{
	struct hlist_node *tmp;
	struct dod_device *d;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry_safe(d, tmp, &devices[i], node) {
			hlist_del_rcu(&d->node);
			dod_pool_put(&dod_device_pool, d);
		}
	xa_destroy(&added);
	dod_pool_destroy(&dod_device_pool);
}
