// SPDX-License-Identifier: GPL-2.0
/*
 * What is, or was lately, at a DMA address: for the faults of an IOMMU, and for whoever asks
 * through debugfs (lookup). lookup_lock protects what was asked last; owner/'s locks nest in it.
 */
#include "internal.h"

#include <linux/math64.h>
#include <linux/ratelimit.h>
#include <linux/seq_file.h>

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

	if (!dod_owner_find_mapping(dev, dma_addr, 0, &m) &&
	    !dod_owner_find_mapping(dev, dma_addr, PAGE_SIZE, &m)) {
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
	if (m.has_ended)
		scnprintf(text + len, size - len, ", unmapped %llu us ago by %pS",
			  us_ago(m.ended), (void *)m.ended_by);
}

/* Leaves the text as it is if there is no such device. */
static void describe_dma_addr(const char *device, u64 dma_addr, char *text, size_t size)
{
	struct dod_mapping m;
	struct dod_device d;
	bool found = false;
	int i;

	/* Of devices that had the same name, the one that has a mapping there. */
	for (i = 0; !dod_owner_next_device(i, &d); i++) {
		if (strcmp(d.name, device) ||
		    (found && !dod_owner_find_mapping(d.dev, dma_addr, 0, &m)))
			continue;
		describe(d.dev, dma_addr, text, size);
		found = true;
	}
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
	/* There may be an entry of one that has mapped nothing: of a call without a mapping. */
	if (!d || !READ_ONCE(d->since) || !__ratelimit(&limit))
		return;
	flags = dod_quiet_begin();
	describe(dev, dma_addr, text, sizeof(text));
	pr_err("IOMMU fault of %s %s at 0x%llx: %s\n", d->driver_name, d->name, dma_addr, text);
	dod_quiet_end(flags);
}

static DEFINE_MUTEX(lookup_lock);
static char lookup_device[48];			/* lookup_lock */
static unsigned long long lookup_dma_addr;	/* lookup_lock */

static int lookup_show(struct seq_file *seq, void *v)
{
	char text[400] = "a device that has mapped nothing";

	mutex_lock(&lookup_lock);
	if (*lookup_device) {
		describe_dma_addr(lookup_device, lookup_dma_addr, text, sizeof(text));
		seq_printf(seq, "%s 0x%llx: %s\n", lookup_device, lookup_dma_addr, text);
	} else {
		seq_puts(seq, "# write: <device> <bus address>\n");
	}
	mutex_unlock(&lookup_lock);
	return 0;
}

static int lookup_open(struct inode *inode, struct file *file)
{
	return single_open(file, lookup_show, NULL);
}

static ssize_t lookup_write(struct file *file, const char __user *ubuf, size_t count, loff_t *ppos)
{
	char line[80], name[sizeof(lookup_device)];
	unsigned long long dma_addr;

	if (count >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, ubuf, count))
		return -EFAULT;
	line[count] = '\0';
	if (sscanf(line, "%47s %lli", name, &dma_addr) != 2)
		return -EINVAL;
	mutex_lock(&lookup_lock);
	strscpy(lookup_device, name, sizeof(lookup_device));
	lookup_dma_addr = dma_addr;
	mutex_unlock(&lookup_lock);
	return count;
}

static const struct file_operations lookup_fops = {
	.owner = THIS_MODULE,
	.open = lookup_open,
	.read = seq_read,
	.write = lookup_write,
	.release = single_release,
};

void dod_lookup_start(void)
{
	dod_debugfs_add("lookup", 0600, &lookup_fops);
}
