// SPDX-License-Identifier: GPL-2.0
/*
 * The file reports: a line for each distinct fault since the load, or since the file was written
 * to. A log wraps, dedup hides; this list does neither. Faults are told apart as dedup does it.
 *
 * faults_lock protects the table. Nothing nests in it, and no text is made while it is held.
 */
#include "internal.h"

#include "../base/lock.h"
#include "../base/stats.h"

#include <linux/math64.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>

#define NR_FAULTS	256

/* Times are local_clock(). */
struct fault {
	enum dod_report_type type;
	char where[160];	/* of the title: the function, with its module */
	char driver[sizeof_field(struct dod_device, driver_name)];
	char device[sizeof_field(struct dod_device, name)];	/* the first that had it */
	unsigned long count, printed;
	u64 first, last;
};

/* faults_lock. In the order in which they were found. */
static struct {
	unsigned int nr;
	unsigned long unlisted;		/* reports for which there was no room */
	u32 keys[NR_FAULTS];		/* apart from the rest: they are searched */
	struct fault rows[NR_FAULTS];
} faults;

static DEFINE_RAW_SPINLOCK(faults_lock);

/* As put_title() in text.c has it. */
static void describe(struct fault *f, const struct report *r)
{
	bool known = r->culprit < r->stack.nr;
	unsigned long ip;

	f->type = r->type;
	strscpy(f->driver, r->m->device->driver_name, sizeof(f->driver));
	strscpy(f->device, r->m->device->name, sizeof(f->device));
	if (known && r->stack.names) {
		strscpy(f->where, r->stack.names[r->culprit], sizeof(f->where));
		return;
	}
	ip = known ? dod_frame_address(&r->stack, r->culprit) : dod_report_map_frame(r->m);
	if (ip)
		snprintf(f->where, sizeof(f->where), "%pS", (void *)ip);
	else
		strscpy(f->where, UNKNOWN_CODE, sizeof(f->where));
}

/* Counts a fault that is in the table. With @new, adds it if it is not, and there is room. */
static bool count_fault(u32 key, bool printed, const struct fault *new)
{
	u64 now = local_clock();
	unsigned long flags;
	struct fault *f;
	unsigned int i;

	dod_lock_irqsave(&faults_lock, flags);
	for (i = 0; i < faults.nr && faults.keys[i] != key; i++)
		;
	if (i == faults.nr && new && i < NR_FAULTS) {
		faults.rows[i] = *new;
		faults.rows[i].first = now;
		faults.keys[i] = key;
		faults.nr++;
	}
	if (i < faults.nr) {
		f = &faults.rows[i];
		f->count++;
		f->printed += printed;
		f->last = max(f->last, now);
	} else if (new) {
		faults.unlisted++;
	}
	i = i < faults.nr;
	dod_unlock_irqrestore(&faults_lock, flags);
	return i;
}

/*
 * A fault was found that no filter has switched off. @key is dod_seen_key(). @printed: it is in
 * the log; else it was printed before, is beyond report_burst, or found no buffer.
 */
void dod_fault_add(const struct report *r, u32 key, bool printed)
{
	struct fault new = {};

	if (count_fault(key, printed, NULL))
		return;
	describe(&new, r);
	if (!count_fault(key, printed, &new))
		dod_count(DOD_C_REPORTS_UNLISTED);
}

static void forget(void)
{
	unsigned long flags;

	dod_lock_irqsave(&faults_lock, flags);
	faults.nr = 0;
	faults.unlisted = 0;
	dod_unlock_irqrestore(&faults_lock, flags);
}

/* Copies a row; false at the end. */
static bool copy_fault(unsigned int i, struct fault *f, unsigned long *unlisted)
{
	unsigned long flags;
	bool found;

	dod_lock_irqsave(&faults_lock, flags);
	found = i < faults.nr;
	if (found)
		*f = faults.rows[i];
	*unlisted = faults.unlisted;
	dod_unlock_irqrestore(&faults_lock, flags);
	return found;
}

/* As printk shows time. */
static void show_time(struct seq_file *seq, u64 when, char end)
{
	u32 ns;

	when = div_u64_rem(when, NSEC_PER_SEC, &ns);
	seq_printf(seq, "%llu.%06lu%c", when, ns / NSEC_PER_USEC, end);
}

static int reports_show(struct seq_file *seq, void *v)
{
	unsigned long unlisted;
	struct fault f;
	unsigned int i;

	seq_puts(seq, "# type\ttitle\tdriver\tdevice\tcount\tprinted\tfirst\tlast\n");
	for (i = 0; copy_fault(i, &f, &unlisted); i++) {
		seq_printf(seq, "%s\t%s in %s\t%s\t%s\t%lu\t%lu\t", dod_types[f.type].name,
			   dod_types[f.type].name, f.where, f.driver, f.device, f.count,
			   f.printed);
		show_time(seq, f.first, '\t');
		show_time(seq, f.last, '\n');
	}
	if (unlisted)
		seq_printf(seq, "# %lu report%s of other faults: there is room for %d faults\n",
			   unlisted, unlisted == 1 ? "" : "s", NR_FAULTS);
	return 0;
}

static int reports_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, reports_show, NULL, SZ_16K);
}

/* Whatever is written. What comes again is printed again, too. */
static ssize_t reports_write(struct file *file, const char __user *ubuf, size_t count,
			     loff_t *ppos)
{
	forget();
	dod_report_forget();
	return count;
}

const struct file_operations dod_faults_fops = {
	.owner = THIS_MODULE,
	.open = reports_open,
	.read = seq_read,
	.write = reports_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/**
 * dma_owner_debug_reports() - read the file reports, or write to it
 * @buf: for the text, NULL to forget all
 * @size: its size; what does not fit is left out
 *
 * For tests.
 */
void dma_owner_debug_reports(char *buf, size_t size)
{
	if (buf)
		dod_debugfs_show(reports_show, buf, size);
	else
		reports_write(NULL, NULL, 1, NULL);
}
EXPORT_SYMBOL_GPL(dma_owner_debug_reports);
