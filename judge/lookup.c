// SPDX-License-Identifier: GPL-2.0
/*
 * What is, or was lately, at a DMA address: for the faults of an IOMMU, and for whoever
 * asks through debugfs (lookup). Takes no locks but owner/'s.
 */
#include "../base/lock.h"
#include "../base/state.h"
#include "../owner/owner.h"
#include "internal.h"
#include "judge.h"

#include <linux/math64.h>
#include <linux/ratelimit.h>
#include <linux/sched/clock.h>

static u64 us_ago(u64 when)
{
	return div_u64(dod_ago(local_clock(), when), NSEC_PER_USEC);
}

/* Half a sentence. */
static void describe(const struct device *dev, u64 dma_addr, char *text, size_t size)
{
	const char *where = "into";
	struct dod_mapping m;
	u64 far;
	int len;

	if (!dod_owner_find_dma(dev, dma_addr, 0, &m) &&
	    !dod_owner_find_dma(dev, dma_addr, PAGE_SIZE, &m)) {
		snprintf(text, size, "not near any mapping, live or recent");
		return;
	}
	far = dma_addr - m.dma_addr;
	if (dma_addr < m.dma_addr) {
		where = "before";
		far = m.dma_addr - dma_addr;
	} else if (dma_addr > dod_dma_last(&m)) {
		where = "past the end of";
		far = dma_addr - dod_dma_last(&m);
	}
	len = scnprintf(text, size,
			"%llu bytes %s a mapping of %llu bytes, %s, at 0x%llx, mapped %llu us ago by %pS",
			far, where, dod_size(&m), dod_report_dir(m.dir),
			m.dma_addr, us_ago(m.map.when), (void *)dod_report_map_frame(&m));
	if (m.ended)
		scnprintf(text + len, size - len, ", unmapped %llu us ago by %pS",
			  us_ago(m.ended), (void *)m.ended_by);
}

bool dod_describe_dma_addr(const char *device, u64 dma_addr, char *text, size_t size)
{
	struct dod_mapping m;
	struct dod_device d;
	bool found = false;
	int i;

	/* Of devices that had the same name, the one that has a mapping there. */
	for (i = 0; !dod_owner_next_device(i, &d); i++) {
		if (strcmp(d.name, device))
			continue;
		if (found && !dod_owner_find_dma(d.dev, dma_addr, 0, &m))
			continue;
		describe(d.dev, dma_addr, text, size);
		found = true;
	}
	return found;
}

void dod_iommu_fault(struct device *dev, u64 dma_addr)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);
	struct dod_device *d;
	unsigned long flags;
	char text[320];

	if (!dev || !dod_may_lock() || !READ_ONCE(dod_armed))
		return;
	d = dod_owner_device(dev, dev_name(dev));
	if (!d || !__ratelimit(&limit))
		return;
	flags = dod_quiet_begin();
	describe(dev, dma_addr, text, sizeof(text));
	pr_err("IOMMU fault of %s %s at 0x%llx: %s\n", d->driver_name, d->name,
	       dma_addr, text);
	dod_quiet_end(flags);
}
