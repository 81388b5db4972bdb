// SPDX-License-Identifier: GPL-2.0
/*
 * The file lookup in debugfs: what is, or was lately, at a DMA address.
 *
 * lookup_lock protects what was asked last; nothing of ours is taken below it but what
 * dod_lifecycle_lookup() takes.
 */
#include "judge.h"

#include "../report/debugfs.h"

#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(lookup_lock);
static char lookup_device[48];			/* lookup_lock */
static unsigned long long lookup_dma_addr;	/* lookup_lock */

static int lookup_show(struct seq_file *seq, void *v)
{
	char text[400];

	mutex_lock(&lookup_lock);
	if (!*lookup_device)
		seq_puts(seq, "# write: <device> <bus address>\n");
	else if (dod_lifecycle_lookup(lookup_device, lookup_dma_addr, text,
				      sizeof(text)))
		seq_printf(seq, "%s 0x%llx: %s\n", lookup_device, lookup_dma_addr,
			   text);
	else
		seq_printf(seq, "%s 0x%llx: a device that has mapped nothing\n",
			   lookup_device, lookup_dma_addr);
	mutex_unlock(&lookup_lock);
	return 0;
}

static int lookup_open(struct inode *inode, struct file *file)
{
	return single_open(file, lookup_show, NULL);
}

static ssize_t lookup_write(struct file *file, const char __user *ubuf,
			    size_t count, loff_t *ppos)
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

/**
 * dod_lookup_start() - add the file
 *
 * After dod_debugfs_start().
 *
 * Context: process.
 */
void dod_lookup_start(void)
{
	dod_debugfs_add("lookup", 0600, &lookup_fops);
}
