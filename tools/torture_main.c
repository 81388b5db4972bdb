// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: workers map, sync in parts, overlap, unmap, free and access random memory in every
 * context, and know who owns each byte: each access has one right answer, which is compared
 * with the log. The tool may come and go: scripts/guest/torture.sh says when.
 */

#include <linux/debugfs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "torture.h"

unsigned int nr_workers = 6;
module_param_named(workers, nr_workers, uint, 0400);
MODULE_PARM_DESC(workers, "threads, each with an interrupt of every kind (default: 6)");

static unsigned int seed = 1;
module_param(seed, uint, 0400);
MODULE_PARM_DESC(seed, "of the random numbers (default: 1)");

bool go_on;
module_param(go_on, bool, 0400);
MODULE_PARM_DESC(go_on, "do not stop at the first failure (default: N)");

/* === What is counted ====================================================== */

static const char * const counter_names[NR_COUNTERS] = {
	[MAPS] = "maps",
	[LISTS] = "maps_of_lists",
	[TWINS] = "maps_of_what_is_mapped",
	[UNMAPS] = "unmaps",
	[SYNCS] = "syncs",
	/* In a direction that changes no owner. */
	[SYNCS_IDLE] = "syncs_idle",
	[DEVICE_WRITES] = "device_writes",
	[LEGAL] = "legal_accesses",
	/* Of these: writes that must be synced, and writes to stale bytes. */
	[PENDING] = "writes_pending",
	[STALE] = "writes_to_stale",
	/* These must be reported once each: */
	[ILLEGAL] = "illegal_accesses",
	[FREES] = "illegal_frees",
	/* Mappings, or entries of lists, that lost a pending write: at least one report of each. */
	[LOST] = "lost_writes",
	[REPORTS] = "reports",
	/* These must be silent: the tool was not loaded at the map. */
	[ILLEGAL_UNKNOWN] = "illegal_unknown",
	/* These must be silent: only a part of a granule is owned. */
	[ILLEGAL_IN_GRANULE] = "illegal_in_granule",
	/* These must be silent: in an interrupt of code that KASAN does not check. */
	[ILLEGAL_UNCHECKED] = "illegal_unchecked",
	/* While the tool is loaded or unloaded: either is right. */
	[ILLEGAL_EITHER] = "illegal_either",
	[EITHER_REPORTED] = "illegal_either_reported",
	[MISSES] = "misses",
	[FALSE_REPORTS] = "false_reports",
	[WRONG_DATA] = "wrong_data",
	[MAP_ERRORS] = "map_errors",
	[BUFFERS] = "buffers",
	[NO_MEMORY] = "buffers_no_memory",
};

const char * const context_names[NR_CONTEXTS] = {
	[IN_TASK] = "task",
	[BH_OFF] = "bh_off",
	[IRQS_OFF] = "irqs_off",
	[IN_TASKLET] = "tasklet",
	[IN_TIMER] = "timer",
	[IN_HRTIMER] = "hrtimer",
	[IN_IRQ_WORK] = "irq_work",
};

struct worker *workers[MAX_WORKERS];
struct buffer *shared[NR_SHARED];
static struct platform_device *devices[MAX_WORKERS * NR_DEVICES];

/* === debugfs ============================================================== */

static struct dentry *dir;

static int results_show(struct seq_file *seq, void *v)
{
	unsigned long sum;
	unsigned int i, n;

	for (n = 0; n < NR_COUNTERS; n++) {
		sum = n == FALSE_REPORTS ? atomic_read(&unexpected) : 0;
		for (i = 0; i < nr_workers; i++)
			sum += READ_ONCE(workers[i]->counters[n]);
		seq_printf(seq, "%s: %lu\n", counter_names[n], sum);
	}
	for (n = 0; n < NR_CONTEXTS; n++) {
		sum = 0;
		for (i = 0; i < nr_workers; i++)
			sum += READ_ONCE(workers[i]->batches[n]);
		seq_printf(seq, "batches_%s: %lu\n", context_names[n], sum);
	}
	seq_printf(seq, "complaints: %d\n", atomic_read(&complaints));
	seq_printf(seq, "failures: %d\n", READ_ONCE(nr_failures));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

static int failures_show(struct seq_file *seq, void *v)
{
	int i;

	for (i = 0; i < min(READ_ONCE(nr_failures), FAILURES_KEPT); i++)
		seq_printf(seq, "%s\n", failures[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(failures);

static int pause_all(void)
{
	WRITE_ONCE(paused, true);
	return wait_event_timeout(parking, atomic_read(&parked) == nr_workers, 60 * HZ) ? 0 :
	       -ETIMEDOUT;
}

static ssize_t control_write(struct file *file, const char __user *ubuf, size_t len,
			     loff_t *pos)
{
	static const char * const commands[] = {
		"loose", "strict", "out", "pause", "resume",
		/* With the workers at rest, or the tool not loaded. */
		"not lined", "perhaps lined", "lined", "pending", "at once",
	};
	char text[16] = "";
	int err = 0;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, len))
		return -EFAULT;
	err = sysfs_match_string(commands, text);
	switch (err) {
	case 0:
		set_state(LOOSE);
		break;
	case 1:
		set_state(STRICT);
		err = 0;
		break;
	case 2:
		set_state(OUT);
		err = 0;
		break;
	case 3:
		err = pause_all();
		break;
	case 4:
		WRITE_ONCE(paused, false);
		wake_up_all(&parking);
		err = 0;
		break;
	case 5 ... 7:
		WRITE_ONCE(noncoherent, UNKNOWN + err - 5);
		err = 0;
		break;
	case 8 ... 9:
		WRITE_ONCE(strict, err == 9);
		err = 0;
		break;
	default:
		err = -EINVAL;
	}
	return err ?: len;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = control_write,
};

/* === Start and stop ======================================================= */

static struct device *add_device(int id)
{
	struct platform_device *p = platform_device_register_simple(NAME, id, NULL, 0);
	int err;

	if (IS_ERR(p))
		return NULL;
	devices[id] = p;
	err = dma_coerce_mask_and_coherent(&p->dev, DMA_BIT_MASK(64));
	if (err)
		return NULL;
	/* The rules are those of a coherent device. */
	dod_set_coherent(&p->dev, true);
	return &p->dev;
}

static bool add_worker(unsigned int n)
{
	struct worker *w = vzalloc(sizeof(*w));
	unsigned int i;

	if (!w)
		return false;
	workers[n] = w;
	w->first_id = n * NR_DEVICES;
	for (i = 0; i < NR_DEVICES; i++) {
		w->dev[i] = add_device(w->first_id + i);
		if (!w->dev[i])
			return false;
	}
	prandom_seed_state(&w->rnd, seed * MAX_WORKERS + n);
	start_contexts(w);
	if (n < 2)
		w->block = make_window(&w->buffer[0]);
	return true;
}

static bool add_shared(unsigned int n)
{
	struct buffer *b = vzalloc(sizeof(*b));

	if (!b)
		return false;
	shared[n] = b;
	raw_spin_lock_init(&b->lock);
	b->shared = true;
	b->source = PAGES;
	b->size = PAGE_SIZE;
	b->mem = (u8 *)get_zeroed_page(GFP_KERNEL);
	return b->mem;
}

static void stop(void)
{
	unsigned int i, n;

	debugfs_remove(dir);
	WRITE_ONCE(ending, true);
	for (i = 0; i < nr_workers; i++)
		if (workers[i] && workers[i]->task)
			kthread_stop(workers[i]->task);
	log_stop();
	/* Timers have completed their batch, and may be at their last instructions. */
	synchronize_rcu();
	for (i = 0; i < nr_workers && workers[i]; i++) {
		struct worker *w = workers[i];

		stop_contexts(w);
		for (n = 0; n < NR_BUFFERS; n++) {
			struct buffer *b = &w->buffer[n];

			unmap_all(w, b);
			if (b->mem && b->source != WINDOW)
				torture_free(b);
		}
		for (n = 0; n < NR_SHARED; n++)
			if (shared[n])
				unmap_all(w, shared[n]);
		if (w->block)
			__free_pages(w->block, get_order(SZ_4M));
	}
	for (n = 0; n < NR_SHARED; n++) {
		if (shared[n])
			free_page((unsigned long)shared[n]->mem);
		vfree(shared[n]);
	}
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		platform_device_unregister(devices[i]);
	for (i = 0; i < nr_workers; i++)
		vfree(workers[i]);
}

static int __init torture_init(void)
{
	int err = -ENOMEM;
	unsigned int i;

	if (!nr_workers || nr_workers > MAX_WORKERS)
		return -EINVAL;
	for (i = 0; i < nr_workers; i++)
		if (!add_worker(i))
			goto err;
	for (i = 0; i < NR_SHARED; i++)
		if (!add_shared(i))
			goto err;
	err = log_start();
	if (err)
		goto err;
	/* They wait for the first "resume". */
	paused = true;
	for (i = 0; i < nr_workers; i++) {
		struct task_struct *task = kthread_run(work, workers[i], "torture/%u", i);

		if (IS_ERR(task)) {
			err = PTR_ERR(task);
			goto err;
		}
		workers[i]->task = task;
	}
	dir = debugfs_create_dir(NAME, NULL);
	debugfs_create_file("control", 0200, dir, NULL, &control_fops);
	debugfs_create_file("results", 0400, dir, NULL, &results_fops);
	debugfs_create_file("failures", 0400, dir, NULL, &failures_fops);
	pr_info(NAME ": %u workers, seed %u\n", nr_workers, seed);
	return 0;

err:
	stop();
	return err;
}

static void __exit torture_exit(void)
{
	stop();
}

module_init(torture_init);
module_exit(torture_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Torture of dma_owner_debug, with a model that knows the right answers");
