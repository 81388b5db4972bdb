// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that can still write to memory when the system goes down (owned-at-shutdown).
 *
 * Takes no locks but owner/'s and report/'s. Preemption may be off.
 */
#include "../base/state.h"
#include "../base/stats.h"
#include "../owner/owner.h"
#include "internal.h"
#include "judge.h"

#include <linux/device.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

/* Has nobody stopped the device, and can it still write to memory? */
enum shutdown {
	STOPPED,
	MASTERS,	/* a PCI device, whose driver has no shutdown() */
	NO_SHUTDOWN,	/* of another bus: there is no bit to read */
};

/*
 * The driver is the child's, and maps for the parent. virtio: the child's bus has reset
 * the device, or that driver's shutdown() has. Platform devices that a driver made, and
 * no firmware: xHCI maps for the controller with two roles that made it (usb_create_hcd()'s
 * sysdev), and for that one's parent on PCI.
 */
static int is_stopped_child(struct device *child, void *unused)
{
	if (!child->bus)
		return 0;
	if (child->bus != &platform_bus_type)
		return child->driver && child->bus->shutdown &&
		       !strcmp(child->bus->name, "virtio");
	if (child->driver && to_platform_driver(child->driver)->shutdown && !dev_fwnode(child))
		return 1;
	return device_for_each_child(child, NULL, is_stopped_child);
}

static bool is_stopped_by_child(struct device *dev)
{
	return device_for_each_child(dev, NULL, is_stopped_child);
}

/*
 * A driver that has a shutdown() is trusted to have stopped the device, whatever a bit
 * of its bus says: it may have reset it, and need not have unmapped.
 */
#if IS_ENABLED(CONFIG_PCI)
static bool is_pci(const struct device *dev, enum shutdown *how)
{
	struct pci_dev *pdev = NULL;
	u16 command;

	for_each_pci_dev(pdev)
		if (&pdev->dev == dev)
			break;
	if (!pdev)
		return false;
	*how = STOPPED;
	if (!(pdev->driver && pdev->driver->shutdown) && !is_stopped_by_child(&pdev->dev) &&
	    !pci_read_config_word(pdev, PCI_COMMAND, &command) &&
	    command != (u16)~0 && (command & PCI_COMMAND_MASTER))
		*how = MASTERS;
	pci_dev_put(pdev);
	return true;
}
#else
static bool is_pci(const struct device *dev, enum shutdown *how)
{
	return false;
}
#endif

/* A device without a driver was unbound, which is another report. */
static bool has_shutdown(struct device *dev)
{
	if (!dev->driver)
		return true;
	if (dev->bus == &platform_bus_type)
		return to_platform_driver(dev->driver)->shutdown;
	return dev->driver->shutdown || dev->bus->shutdown;
}

static enum shutdown how_shut_down(const struct device *identity)
{
	enum shutdown how = STOPPED;
	struct device *dev;

	if (is_pci(identity, &how))
		return how;
	dev = dod_find_on_buses(identity);
	if (dev && !has_shutdown(dev) && !is_stopped_by_child(dev))
		how = NO_SHUTDOWN;
	put_device(dev);
	return how;
}

static void check_device(struct dod_leaks *l, const struct dod_device *d)
{
	enum shutdown how = how_shut_down(d->dev);

	if (how == STOPPED)
		return;
	memset(l, 0, sizeof(*l));
	l->type = DOD_R_OWNED_AT_SHUTDOWN;
	dod_leaks_find(l, &(struct dod_wanted) {
		.dev = d->dev, .name = d->name, .writable = true
	});
	if (!l->nr)
		return;
	dod_leaks_report(l, "The system is going down, and device %s %s can still write to memory.\n"
			 "%s driver has no shutdown().\n"
			 "It owns %llu bytes of %u mapping%s.\n",
			 d->driver_name, d->name,
			 how == MASTERS ? "It is a bus master, and its" : "Its",
			 l->all.bytes, l->all.nr, l->all.nr == 1 ? "" : "s");
}

void dod_check_shutdown(void)
{
	struct dod_device d;
	struct dod_leaks *l;
	int i;

	if (!READ_ONCE(dod_armed))
		return;
	l = dod_leaks_alloc(DOD_R_OWNED_AT_SHUTDOWN, GFP_ATOMIC);
	for (i = 0; l && !dod_owner_next_device(i, &d); i++)
		check_device(l, &d);
	kfree(l);
}
