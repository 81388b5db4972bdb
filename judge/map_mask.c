// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of map.c: DMA addresses that the device cannot reach, by its mask, its bus and the
 * address lines that the user declared; and advice about how devices are set up.
 *
 * wires_lock protects what the user declared. It nests in owner/'s devices_lock.
 */
#include "internal.h"

#include <linux/dma-direct.h>
#include <linux/glob.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/property.h>

#define NR_WIRES	16
#define GLOB_CHARS	64

struct wires {
	unsigned int bits;
	char glob[GLOB_CHARS];
};

static struct wires wires[NR_WIRES];	/* wires_lock */
static unsigned int nr_wires;		/* wires_lock */
static DEFINE_RAW_SPINLOCK(wires_lock);

/* <glob>:<bits>. Names of PCI devices have colons as well. */
static int parse_wires(char *item, struct wires *w)
{
	char *colon = strrchr(item, ':');

	if (colon)
		*colon = '\0';
	if (colon && !kstrtouint(colon + 1, 10, &w->bits) && w->bits && w->bits <= 64 &&
	    *item && strscpy(w->glob, item, GLOB_CHARS) >= 0)
		return 0;
	pr_err("wires is <device or driver glob>:<bits from 1 to 64>, as in wires=*edu*:28, not \"%s%s%s\"\n",
	       item, colon ? ":" : "", colon ? colon + 1 : "");
	return -EINVAL;
}

int dod_wires_set(const char *val)
{
	static struct wires new[NR_WIRES];
	char copy[512], *rest = copy, *item;
	unsigned int nr = 0;
	unsigned long flags;

	if (strscpy(copy, val, sizeof(copy)) < 0) {
		pr_err("wires has more than %zu characters\n", sizeof(copy) - 1);
		return -EINVAL;
	}
	while ((item = strsep(&rest, ","))) {
		item = strim(item);
		if (!*item)
			continue;
		if (nr == NR_WIRES) {
			pr_err("wires has more than %d items\n", NR_WIRES);
			return -EINVAL;
		}
		if (parse_wires(item, &new[nr++]))
			return -EINVAL;
	}
	raw_spin_lock_irqsave(&wires_lock, flags);
	memcpy(wires, new, sizeof(wires));
	nr_wires = nr;
	raw_spin_unlock_irqrestore(&wires_lock, flags);
	return 0;
}

static bool name_matches(const char *glob, const char *name)
{
	return IS_ENABLED(CONFIG_GLOB) ? glob_match(glob, name) : !strcmp(glob, name);
}

u64 dod_wires_of(const struct dod_device *d)
{
	u64 highest = U64_MAX;
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&wires_lock, flags);
	for (i = 0; i < nr_wires; i++)
		if (name_matches(wires[i].glob, d->name) ||
		    name_matches(wires[i].glob, d->driver_name)) {
			highest = DMA_BIT_MASK(wires[i].bits);
			break;
		}
	raw_spin_unlock_irqrestore(&wires_lock, flags);
	return highest;
}

bool dod_check_mask(const struct dod_mapping *m, struct dod_finding *f)
{
	const struct dod_call *call = f->call;
	const struct dod_device *d = m->device;
	/*
	 * Allocations go by the coherent mask. But behind an IOMMU dma_alloc_pages()
	 * allocates a page anywhere, and maps it (dma_common_alloc_pages()).
	 */
	bool coherent = call->allocated && (call->kind == DOD_SG || dod_maps_directly(call->dev));
	u64 mask = coherent ? call->dev->coherent_dma_mask : d->mask;
	u64 bus_limit = d->bus_limit ?: U64_MAX;
	u64 wired = READ_ONCE(d->wires), last = dod_dma_last(m);

	if (likely(last <= mask && last <= bus_limit && last <= wired))
		return false;
	if (last > wired) {
		u64 cut = max(m->dma_addr, wired + 1);

		dod_finding_add(f, "It ends at 0x%llx, but only %d address lines are wired (parameter wires).\n",
				last, fls64(wired));
		dod_finding_add(f, "The device may access 0x%llx instead of 0x%llx.\n",
				cut & wired, cut);
	}
	if (last > mask)
		dod_finding_add(f, "It ends at 0x%llx, above the device's %smask 0x%llx.\n",
				last, coherent ? "coherent " : "", mask);
	if (last > bus_limit)
		dod_finding_add(f, "It ends at 0x%llx, above the limit of its bus, 0x%llx.\n",
				last, bus_limit);
	return true;
}

bool dod_check_mask_never_set(const struct dod_mapping *m, struct dod_finding *f)
{
	if (likely(!m->bounced) || m->device->mask != DMA_BIT_MASK(32) ||
	    !dod_maps_directly(f->call->dev) || phys_to_dma(f->call->dev, m->last) <= m->device->mask)
		return false;
	dod_finding_add(f, "its transfers are copied through bounce buffers, because its mask is the default of 32 bits");
	return true;
}

bool dod_check_mask_wider_than_bus(const struct dod_mapping *m, struct dod_finding *f)
{
	const struct dod_device *d = m->device;

	if (likely(!d->bus_limit) || d->mask <= d->bus_limit)
		return false;
	dod_finding_add(f, "its mask is 0x%llx, but its bus carries no more than 0x%llx",
			d->mask, d->bus_limit);
	return true;
}

static bool is_untested(const struct dod_mapping *m)
{
	const struct dod_device *d = m->device;

	return d->mask > DMA_BIT_MASK(32) && d->highest <= DMA_BIT_MASK(32) &&
	       dod_ago(m->map.when, d->since) >=
	       (u64)READ_ONCE(dod_params.untested_after) * NSEC_PER_SEC;
}

bool dod_check_mask_untested(const struct dod_mapping *m, struct dod_finding *f)
{
	const struct dod_device *d = m->device;

	if (!is_untested(m))
		return false;
	dod_finding_add(f, "its mask has %d address bits, but no address above 4 GiB was used yet",
			fls64(d->mask));
	return true;
}

/* PCI devices have the configuration of the host bridge, whose child they are. */
static __always_inline bool inherits_config(const struct device *dev)
{
	const struct device *parent = dev->parent;

	/* As dev_fwnode(), in line. */
	return dev->fwnode || dev->of_node || dev_is_pci(dev) || !parent || !parent->dma_mask;
}

static const char *lead(const struct dod_finding *f)
{
	return f->text[0] ? "; " :
	       "it has no firmware node, and its DMA configuration is not its parent's; ";
}

bool dod_check_config_not_inherited(const struct dod_mapping *m, struct dod_finding *f)
{
	struct device *dev = f->call->dev, *parent = dev->parent;

	if (likely(inherits_config(dev)))
		return false;
	if (dev_is_dma_coherent(dev) != dev_is_dma_coherent(parent))
		dod_finding_add(f, "%sit is %scoherent", lead(f),
				dev_is_dma_coherent(dev) ? "" : "not ");
	if (dev->bus_dma_limit != parent->bus_dma_limit)
		dod_finding_add(f, "%sbus limit 0x%llx, not 0x%llx", lead(f), dev->bus_dma_limit,
				parent->bus_dma_limit);
	if (dev->dma_range_map != parent->dma_range_map)
		dod_finding_add(f, "%s%s dma-ranges", lead(f), dev->dma_range_map ? "other" : "no");
	if (dma_get_mask(dev) != dma_get_mask(parent))
		dod_finding_add(f, "%smask 0x%llx, not 0x%llx", lead(f), dma_get_mask(dev),
				dma_get_mask(parent));
	if (iommu_get_domain_for_dev(dev) != iommu_get_domain_for_dev(parent))
		dod_finding_add(f, "%sanother IOMMU domain", lead(f));
	return f->text[0];
}

bool dod_needs_no_advice(const struct dod_call *call, const struct dod_mapping *m)
{
	const struct dod_device *d = m->device;

	return !m->bounced && !d->bus_limit && inherits_config(call->dev) &&
	       (test_bit(DOD_R_MASK_UNTESTED, d->noted) || !is_untested(m));
}
