// SPDX-License-Identifier: GPL-2.0
/*
 * What can be read in debugfs, and the counters behind it. Writes no state.
 * No locks of its own.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../judge/judge.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "debugfs.h"
#include "report.h"

#include <linux/debugfs.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

static struct dentry *dir;

/* === stats ================================================================ */

static long mappings_live(void)
{
	return dod_owner_live();
}

static long pool_free(void)
{
	return dod_pool_nr_free(&dod_mapping_pool);
}

static long pool_records(void)
{
	return atomic_long_read(&dod_mapping_pool.total);
}

static long page_marks(void)
{
	return dod_pagemarks_known();
}

/* States, in the same list as the counters but not counted. */
static const struct gauge {
	const char *name;
	long (*read)(void);
} gauges[] = {
	{ "live", mappings_live },
	{ "pool_free", pool_free },
	{ "pool_records", pool_records },
	{ "kcsan_longest_wait_us", dod_longest_wait_us },
	{ "page_marks", page_marks },
};

/* The name of the type, spelt like the other counters; advice is no report. */
static void report_counter_name(char *buf, size_t size, unsigned int type)
{
	snprintf(buf, size, "%s_%s",
		 dod_report_is_advice(type) ? "notes" : "reports",
		 dod_report_name(type));
	strreplace(buf, '-', '_');
}

static int stats_show(struct seq_file *seq, void *v)
{
	unsigned int i;
	char name[64];

	seq_printf(seq, "guard: %s\n", dod_guard.name);
	for (i = 0; i < ARRAY_SIZE(gauges); i++)
		seq_printf(seq, "%s: %ld\n", gauges[i].name, gauges[i].read());
	for (i = 0; i < DOD_COUNTER_COUNT; i++)
		seq_printf(seq, "%s: %ld\n", dod_counter_name(i),
			   dod_counter_read(i));
	for (i = 0; i < DOD_REPORT_COUNT; i++) {
		report_counter_name(name, sizeof(name), i);
		seq_printf(seq, "%s: %ld\n", name, dod_report_count(i));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/**
 * dma_owner_debug_count() - read one line of stats
 * @name: as in the file
 *
 * For the KUnit suites, which run without a file system.
 *
 * Context: process.
 *
 * Return: the value, or -ENOENT.
 */
long dma_owner_debug_count(const char *name)
{
	unsigned int i;
	char report[64];

	for (i = 0; i < ARRAY_SIZE(gauges); i++)
		if (!strcmp(name, gauges[i].name))
			return gauges[i].read();
	for (i = 0; i < DOD_COUNTER_COUNT; i++)
		if (!strcmp(name, dod_counter_name(i)))
			return dod_counter_read(i);
	for (i = 0; i < DOD_REPORT_COUNT; i++) {
		report_counter_name(report, sizeof(report), i);
		if (!strcmp(name, report))
			return dod_report_count(i);
	}
	return -ENOENT;
}
EXPORT_SYMBOL_GPL(dma_owner_debug_count);

/* === mappings ============================================================= */

struct cursor {
	loff_t pos;
	unsigned int shard, skip;
	u64 start;
	struct dod_mapping m;
	struct dod_sum sum;
};

static void *mappings_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct cursor *c = seq->private;

	if (!dod_owner_next(&c->shard, &c->start, &c->skip, &c->m, &c->sum)) {
		++*pos;
		return NULL;
	}
	c->pos = ++*pos;
	return c;
}

/* Position 0 is the headline; a mapping is never stepped back to. */
static void *mappings_start(struct seq_file *seq, loff_t *pos)
{
	struct cursor *c = seq->private;

	/* Read from the start again, the list is made anew. */
	if (!*pos) {
		memset(c, 0, sizeof(*c));
		return SEQ_START_TOKEN;
	}
	return *pos == c->pos ? c : NULL;
}

static void mappings_stop(struct seq_file *seq, void *v)
{
}

static const char *owner_name(const struct cursor *c)
{
	if (!c->sum.owned)
		return "cpu";
	return c->sum.owned == c->m.last - c->m.start + 1 ? "device" : "both";
}

static int mappings_show(struct seq_file *seq, void *v)
{
	static const char * const dirs[] = {
		[DMA_BIDIRECTIONAL] = "bidirectional",
		[DMA_TO_DEVICE] = "to-device",
		[DMA_FROM_DEVICE] = "from-device",
	};
	static const char * const traps[] = {
		[DOD_TRAP_ALL] = "all",
		[DOD_TRAP_SOME] = "some",
		[DOD_TRAP_NONE] = "none",
	};
	const struct cursor *c = v;
	u64 now = local_clock(), age, pending = 0;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "# driver device direction owner size phys dma trapped age_us pending pending_us mapped_by\n");
		return 0;
	}
	age = dod_ago(now, c->m.map.when);
	do_div(age, NSEC_PER_USEC);
	if (c->sum.pending)
		pending = dod_ago(now, c->sum.since);
	do_div(pending, NSEC_PER_USEC);
	seq_printf(seq, "%s %s %s %s %llu 0x%llx 0x%llx %s %llu %llu %llu %pS\n",
		   c->m.device->driver_name, c->m.device->name, dirs[c->m.dir],
		   owner_name(c), dod_size(&c->m), c->m.start,
		   c->m.dma_addr, traps[c->m.trap], age, c->sum.pending, pending,
		   (void *)dod_report_map_frame(&c->m));
	return 0;
}

static const struct seq_operations mappings_sops = {
	.start = mappings_start,
	.next = mappings_next,
	.stop = mappings_stop,
	.show = mappings_show,
};

static int mappings_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &mappings_sops, sizeof(struct cursor));
}

static const struct file_operations mappings_fops = {
	.owner = THIS_MODULE,
	.open = mappings_open,
	.read = seq_read,
	.release = seq_release_private,
};

/* === devices ============================================================== */

static int devices_show(struct seq_file *seq, void *v)
{
	struct dod_device d;
	int i;

	seq_puts(seq, "# driver device coherent mask bus_limit wires highest_dma\n");
	for (i = 0; !dod_owner_next_device(i, &d); i++)
		seq_printf(seq, "%s %s %s 0x%llx 0x%llx 0x%llx 0x%llx\n",
			   d.driver_name, d.name, d.coherent ? "yes" : "no",
			   d.mask, d.bus_limit ?: U64_MAX, d.wires, d.highest);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(devices);

/* === lookup =============================================================== */

static DEFINE_MUTEX(lookup_lock);
static char lookup_device[48];		/* lookup_lock */
static unsigned long long lookup_dma_addr;	/* lookup_lock */

static int lookup_show(struct seq_file *seq, void *v)
{
	char text[400];

	mutex_lock(&lookup_lock);
	if (!*lookup_device)
		seq_puts(seq, "# write: <device> <bus address>\n");
	else if (dod_describe_dma_addr(lookup_device, lookup_dma_addr, text,
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
	char line[80], name[48];
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
 * dod_debugfs_start() - create the files
 *
 * Context: process.
 */
void dod_debugfs_start(void)
{
	dir = debugfs_create_dir("dma_owner_debug", NULL);
	debugfs_create_file("stats", 0400, dir, NULL, &stats_fops);
	debugfs_create_file("mappings", 0400, dir, NULL, &mappings_fops);
	debugfs_create_file("lookup", 0600, dir, NULL, &lookup_fops);
	debugfs_create_file("devices", 0400, dir, NULL, &devices_fops);
}

/**
 * dod_debugfs_stop() - remove the files; nobody reads them afterwards
 *
 * Context: process, may sleep.
 */
void dod_debugfs_stop(void)
{
	debugfs_remove(dir);
	dir = NULL;
}
