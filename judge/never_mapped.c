// SPDX-License-Identifier: GPL-2.0
/*
 * Unmaps and syncs of addresses at which nothing is mapped (never-mapped).
 *
 * That the tool knows of no mapping proves nothing by itself: there must not be one that it
 * could have missed. So the device was added under its eyes, or the same mapping is remembered,
 * and has ended; and it lost track of no mapping of that device. And the address must be one that
 * can be of no memory which needs no mapping, as that of dma_alloc_coherent(). Whatever is not
 * proven is silent, and counted.
 *
 * No locks. owner/ calls this where it has found nothing.
 */
#include "internal.h"

#include <linux/dma-direct.h>
#include <linux/iommu.h>
#include <linux/math64.h>
#include <linux/ratelimit.h>

/* An address of the CPU's that the device cannot even have: a pointer, cast. */
static bool is_pointer(struct device *dev, u64 dma_addr)
{
	return IS_ENABLED(CONFIG_64BIT) && dma_addr > dma_get_mask(dev) &&
	       dod_is_linear((const void *)(unsigned long)dma_addr);
}

/*
 * An IOMMU translates whatever may be accessed, be it mapped or allocated: what it does not
 * translate is nothing. Other mappings by operations of a bus or hypervisor have no such domain.
 *
 * To be asked last: the driver of an SMMU v2 prints what it does not translate, and wakes the SMMU
 * up for that, as it does to unmap, but not to sync.
 */
static bool is_untranslated(struct device *dev, enum dod_unmatched_call what, u64 dma_addr)
{
	struct iommu_domain *domain = dod_dma_domain(dev);

	if (!dod_may_ask_iommu() || (what != DOD_UNMAP && !preemptible()))
		return false;
	return domain && !iommu_iova_to_phys(domain, dma_addr);
}

/* The same, of what no IOMMU has to translate. */
static bool is_translated_by_none(struct device *dev, enum dod_unmatched_call what, u64 dma_addr)
{
	return dod_maps_directly(dev) || is_pointer(dev, dma_addr) ||
	       is_untranslated(dev, what, dma_addr);
}

/*
 * Coherent memory is never slab memory. To sync it does nothing, and is done; to unmap it is
 * wrong, but it may be unmapped by the device's parent, say: then some device has it mapped.
 */
static bool is_streaming(u64 phys, enum dod_unmatched_call what)
{
	struct page *page;

	if (!pfn_valid(PHYS_PFN(phys)))
		return false;
	page = pfn_to_page(PHYS_PFN(phys));
	if (folio_test_slab(page_folio(page)))
		return true;
	return what == DOD_UNMAP && !PageReserved(page) && page_count(page);
}

/*
 * Some of it, or what it follows, is mapped, by whatever device: a part of a mapping, a length
 * that is too long, or a parent's mapping, which lose nothing.
 */
static bool is_mapped_in_part(struct device *dev, u64 dma_addr, u64 phys, u64 size)
{
	/* Lengths that drivers compute can be any. */
	u64 last = dod_page_end(phys, phys + min_t(u64, size, PAGE_SIZE) - 1);

	return dod_owner_is_mapped(dev, dma_addr, phys, last) ||
	       (phys && dod_owner_is_mapped(dev, dma_addr - 1, phys - 1, phys - 1));
}

/*
 * Is nothing mapped there, but for what an IOMMU says? Sets *@phys to the memory, U64_MAX if there
 * is none.
 */
static bool is_proven(struct device *dev, enum dod_unmatched_call what, u64 dma_addr, u64 size,
		      u64 *phys)
{
	*phys = U64_MAX;
	if (is_pointer(dev, dma_addr)) {
		*phys = dod_linear_to_phys((const void *)(unsigned long)dma_addr);
		return true;
	}
	if (!dod_maps_directly(dev))
		return !dod_owner_is_mapped(dev, dma_addr, 1, 0) &&
		       !dod_owner_is_mapped(dev, dma_addr - 1, 1, 0);
	*phys = dma_to_phys(dev, dma_addr);
	return is_streaming(*phys, what) && !is_mapped_in_part(dev, dma_addr, *phys, size);
}

/*
 * Drivers sync lists that they never mapped, to write back caches: rockchip_gem_get_pages(),
 * tegra_bo_get_pages(). And a mapping that failed, or none, is often unmapped or synced unseen.
 */
static bool needs_no_mapping(const struct dod_call *call, enum dod_unmatched_call what,
			     u64 dma_addr)
{
	return !dma_addr || dma_addr == DMA_MAPPING_ERROR || call->frees ||
	       (call->kind != DOD_SINGLE && (call->kind != DOD_SG || what != DOD_UNMAP));
}

/* What was mapped there last, if that is remembered; of the device, if the memory is not known. */
static bool find_last(const struct dod_call *call, u64 dma_addr, u64 phys, bool sees_all,
		      struct dod_mapping *last)
{
	if (!sees_all)
		return dod_owner_find_ended(call->dev, dma_addr, last);
	if (phys != U64_MAX)
		return dod_owner_find_mapping(NULL, phys, 0, last) && last->has_ended;
	return dod_owner_find_mapping(call->dev, dma_addr, 0, last) && last->has_ended;
}

static bool is_of_call(const struct dod_call *call, u64 dma_addr, const struct dod_mapping *m)
{
	return m->dev == call->dev && m->dma_addr == dma_addr;
}

/*
 * Of a device that was there before the tool, any mapping can have been missed: what ended last was
 * the call's, but for equal ones of what the device only reads, of which the first may have been
 * mapped before the load.
 */
static bool may_be_certain(const struct dod_call *call)
{
	return call->dir != DMA_TO_DEVICE;
}

/*
 * To search what has ended takes long on many CPUs, and a driver may sync a buffer for each packet
 * that it mapped before the load: so many searches a second.
 */
static struct ratelimit_state searches =
	RATELIMIT_STATE_INIT_FLAGS(searches, HZ, 64, RATELIMIT_MSG_ON_RELEASE);

/* @last: what is remembered, NULL if nothing. @sees_all: no other mapping can have been missed. */
static bool is_certain(const struct dod_call *call, u64 dma_addr, u64 size, bool sees_all,
		       const struct dod_mapping *last)
{
	/* The entries of a list end with its first one. */
	if (last && last->kind == DOD_SG && call->kind != DOD_SG)
		return false;
	return sees_all || (last && is_of_call(call, dma_addr, last) && dod_size(last) == size &&
			    last->dir == call->dir && last->kind == call->kind);
}

static noinline void report(const struct dod_call *call, enum dod_unmatched_call what,
			    u64 dma_addr, u64 size, u64 phys, bool sees_all)
{
	struct dod_mapping *last = dod_pool_get(&dod_mapping_pool);
	struct dod_finding f = { .type = DOD_R_NEVER_MAPPED };
	struct dod_mapping m;

	if (!last) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	if (find_last(call, dma_addr, phys, sees_all, last))
		f.other = last;
	if (!is_certain(call, dma_addr, size, sees_all, f.other) ||
	    (!sees_all && !is_translated_by_none(call->dev, what, dma_addr)) ||
	    !dod_owner_describe_call(call, dma_addr, size, &m)) {
		dod_count(DOD_C_UNJUDGED_UNMATCHED);
		goto out;
	}
	if (phys != U64_MAX)
		f.object = phys_to_virt(phys);
	if (is_pointer(call->dev, dma_addr))
		dod_finding_add(&f, "This is an address of the CPU's: a pointer, and not what a map call returned.\n");
	else if (!f.other)
		dod_finding_add(&f, "It was never mapped, or it was unmapped long ago.\n");
	else if (is_of_call(call, dma_addr, last))
		dod_finding_add(&f, "It was mapped, and unmapped before this call.\n");
	else
		dod_finding_add(&f, "Something else was mapped there before.\n");
	dod_report_unmatched(&f, &m, what);
out:
	dod_pool_put(&dod_mapping_pool, last);
}

void dod_check_unmatched(const struct dod_call *call, struct dod_device *device,
			 enum dod_unmatched_call what, u64 dma_addr, u64 size)
{
	bool sees_all;
	u64 phys;

	if (!READ_ONCE(dod_armed) || !size || dod_report_is_off(DOD_R_NEVER_MAPPED))
		return;
	sees_all = dod_owner_sees_all(call->dev);
	if (!READ_ONCE(device->lost_track) && !needs_no_mapping(call, what, dma_addr) &&
	    (sees_all || may_be_certain(call)) &&
	    is_proven(call->dev, what, dma_addr, size, &phys) &&
	    (sees_all ? is_translated_by_none(call->dev, what, dma_addr) : __ratelimit(&searches)))
		report(call, what, dma_addr, size, phys, sees_all);
	else
		dod_count(DOD_C_UNJUDGED_UNMATCHED);
}
