// SPDX-License-Identifier: GPL-2.0
/*
 * What debugfs shows of owner/: the files mappings and devices, and the gauges in stats.
 * No locks: copies are shown. Context: process.
 */
#include "internal.h"

#include <linux/seq_file.h>
#include <linux/slab.h>

/* Exact only while nobody maps or unmaps. */
static long live(void)
{
	long nr = atomic_read(&dod_nr_not_ram) - atomic_read(&dod_nr_stale);
	unsigned int i;

	for (i = 0; i < NR_TREES; i++)
		nr += READ_ONCE(nth_tree(i)->nr);
	return nr;
}

static long pool_free(void)
{
	return dod_pool_nr_free(&dod_mapping_pool);
}

static long pool_records(void)
{
	return atomic_long_read(&dod_mapping_pool.total);
}

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

	++*pos;
	if (!dod_owner_next(&c->shard, &c->start, &c->skip, &c->m, &c->sum))
		return NULL;
	c->pos = *pos;
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

static u64 us_ago(u64 when)
{
	return div_u64(dod_ago(local_clock(), when), NSEC_PER_USEC);
}

static int mappings_show(struct seq_file *seq, void *v)
{
	static const char * const dirs[] = {
		[DMA_BIDIRECTIONAL] = "bidirectional",
		[DMA_TO_DEVICE] = "to-device", [DMA_FROM_DEVICE] = "from-device",
	};
	static const char * const traps[] = {
		[DOD_TRAP_ALL] = "all", [DOD_TRAP_SOME] = "some", [DOD_TRAP_NONE] = "none",
	};
	const struct cursor *c = v;
	const char *owner;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "# driver device direction owner size phys dma trapped age_us pending pending_us mapped_by\n");
		return 0;
	}
	owner = !c->sum.owned ? "cpu" :
		c->sum.owned == c->m.last - c->m.start + 1 ? "device" : "both";
	seq_printf(seq, "%s %s %s %s %llu 0x%llx 0x%llx %s %llu %llu %llu %pS\n",
		   c->m.device->driver_name, c->m.device->name, dirs[c->m.dir], owner,
		   dod_size(&c->m), c->m.start, c->m.dma_addr, traps[c->m.trap],
		   us_ago(c->m.map.when), c->sum.pending, c->sum.pending ? us_ago(c->sum.since) : 0,
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

/**
 * dod_profile_show_trapped() - show which share of mappings can trap, and why others cannot
 * @seq: where
 * @p: what was counted of them
 */
void dod_profile_show_trapped(struct seq_file *seq, const struct dod_profile *p)
{
	static const char * const whys[] = {
		[DOD_UNTRAPPED_NOT_RAM] = "not_ram", [DOD_UNTRAPPED_BAD] = "not_allocated",
		[DOD_UNTRAPPED_SOME] = "some_pages", [DOD_UNTRAPPED_USER] = "user_pages",
		[DOD_UNTRAPPED_SPECIAL] = "special_pages", [DOD_UNTRAPPED_OWN_DATA] = "own_data",
		[DOD_UNTRAPPED_NO_SYNC] = "no_sync_needed",
	};
	unsigned int i;
	char sep = ' ';

	static_assert(ARRAY_SIZE(whys) == DOD_UNTRAPPED_COUNT);
	seq_printf(seq, "%u%%", dod_profile_trapped(p));
	for (i = 0; i < DOD_UNTRAPPED_COUNT; i++)
		if (p->untrapped[i]) {
			seq_printf(seq, "%c%s:%llu", sep, whys[i], p->untrapped[i]);
			sep = ',';
		}
	if (sep == ' ')
		seq_puts(seq, " -");
}

static int devices_show(struct seq_file *seq, void *v)
{
	struct dod_profile *p = kmalloc(sizeof(*p), GFP_KERNEL);
	struct dod_device d;
	int i;

	if (!p)
		return -ENOMEM;
	seq_puts(seq, "# driver device coherent mask bus_limit wires highest_dma trapped untrapped\n");
	for (i = 0; !dod_owner_next_device(i, &d); i++) {
		seq_printf(seq, "%s %s %s 0x%llx 0x%llx 0x%llx 0x%llx ",
			   d.driver_name, d.name, d.coherent ? "yes" : "no",
			   d.mask, d.bus_limit ?: U64_MAX, d.wires, d.highest);
		dod_profile_of_device(&d, p);
		if (dod_profile_maps(p))
			dod_profile_show_trapped(seq, p);
		else
			seq_puts(seq, "- -");
		seq_putc(seq, '\n');
	}
	kfree(p);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(devices);

/**
 * dod_owner_show_start() - add what debugfs shows of owner/; after dod_debugfs_start()
 */
void dod_owner_show_start(void)
{
	dod_debugfs_add_gauge("live", live);
	dod_debugfs_add_gauge("pool_free", pool_free);
	dod_debugfs_add_gauge("pool_records", pool_records);
	dod_debugfs_add("mappings", 0400, &mappings_fops);
	dod_debugfs_add("devices", 0400, &devices_fops);
}
