// SPDX-License-Identifier: GPL-2.0
/*
 * The devices that ever mapped memory: their names, their drivers' names and what the
 * drivers have configured. An entry stays until the module is unloaded. devices_lock nests
 * nothing but the pool's lock. Look-ups need RCU only.
 */
#include "internal.h"

#include <linux/module.h>
#include <linux/rcupdate.h>

#include <asm/word-at-a-time.h>

#define DEVICE_BITS	8

static struct hlist_head devices[1 << DEVICE_BITS];
static DEFINE_RAW_SPINLOCK(devices_lock);
struct dod_pool dod_device_pool;

/*
 * strcmp(), without the kernel's checks and by words, because every map call needs it.
 * A name that is aligned, as nearly all are, can be read past its end in whole words.
 */
static bool has_name(const struct dod_device *d, const char *name)
{
	const struct word_at_a_time zero = WORD_AT_A_TIME_CONSTANTS;
	unsigned int i = 0;

	while (IS_ALIGNED((unsigned long)name, sizeof(long)) && i + sizeof(long) < sizeof(d->name)) {
		unsigned long word = *(const unsigned long *)(d->name + i), end;
		unsigned long differs = word ^ *(const unsigned long *)(name + i);

		if (has_zero(word, &end, &zero)) {
			end = create_zero_mask(prep_zero_mask(word, end, &zero));
			/* The end itself, too. */
			return !(differs & zero_bytemask(end)) && !name[i + find_zero(end)];
		}
		if (differs)
			return false;
		i += sizeof(long);
	}
	for (; i < sizeof(d->name) - 1; i++) {
		if (d->name[i] != name[i])
			return false;
		if (!name[i])
			break;
	}
	return true;
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

	rcu_read_lock();
	hlist_for_each_entry_rcu(d, &devices[hash_ptr(dev, DEVICE_BITS)], node)
		if (d->dev == dev && has_name(d, name))
			break;
	rcu_read_unlock();
	return d;
}

/* devices_lock held. */
static void note_driver(struct dod_device *d, const struct device *dev)
{
	const struct device_driver *driver = READ_ONCE(dev->driver);

	strscpy(d->module, driver && driver->owner ? module_name(driver->owner) : "",
		sizeof(d->module));
	strscpy(d->driver_name, dev_driver_string(dev), sizeof(d->driver_name));
	d->translated = !dod_maps_directly((struct device *)dev);
	WRITE_ONCE(d->wires, dod_judge_ops.wires(d));
	WRITE_ONCE(d->driver, dev->driver);
}

/* devices_lock held. */
static struct dod_device *new_device(const struct device *dev, const char *name)
{
	struct dod_device *d = dod_pool_get(&dod_device_pool);

	if (!d)
		return NULL;
	memset(d, 0, sizeof(*d));
	d->dev = dev;
	d->since = local_clock();
	strscpy(d->name, name, sizeof(d->name));
	note_driver(d, dev);
	hlist_add_head_rcu(&d->node, &devices[hash_ptr(dev, DEVICE_BITS)]);
	return d;
}

/*
 * The entry of a device, made at its first mapping; NULL if there are too many. A new
 * device at the address of an old one has an entry of its own, so that the mappings of
 * the old one keep their names.
 */
struct dod_device *dod_device_get(const struct device *dev)
{
	const char *name = dev_name(dev) ?: "(unnamed)";
	struct dod_device *d = dod_owner_device(dev, name);
	unsigned long flags;
	bool is_new = false;

	if (likely(d && READ_ONCE(d->driver) == dev->driver))
		return d;

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

	rcu_read_lock();
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		hlist_for_each_entry_rcu(d, &devices[i], node)
			if (!skip--) {
				*copy = *d;
				rcu_read_unlock();
				return 0;
			}
	rcu_read_unlock();
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
	dod_pool_destroy(&dod_device_pool);
}
