// SPDX-License-Identifier: GPL-2.0
/*
 * The directory in debugfs, its files, and the file stats: gauges, counters, and how often each
 * type was found. The order of its lines is the order of the tables. No locks.
 *
 * Context of all functions: process.
 */
#include "internal.h"

#include "../base/pagemarks.h"
#include "../base/stats.h"

#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/string.h>

static struct dentry *dir;
static const char *guard_name;

static long page_marks(void)
{
	return dod_pagemarks_known();
}

#define NR_ADDED	4

/* States, in the same list as the counters but not counted. Those of other rooms first. */
static struct gauge {
	const char *name;
	long (*read)(void);
} gauges[] = {
	[NR_ADDED] = { "kcsan_longest_wait_us", dod_longest_wait_us },
	{ "page_marks", page_marks },
};

#define NR_GAUGES	ARRAY_SIZE(gauges)
#define NR_LINES	(NR_GAUGES + DOD_COUNTER_COUNT + DOD_REPORT_COUNT)

/* A line of stats, by its number; "" for a gauge that nobody has added. */
static void line_name(unsigned int i, char *name, size_t size)
{
	const struct report_type *type;

	if (i < NR_GAUGES) {
		strscpy(name, gauges[i].name ?: "", size);
	} else if (i < NR_GAUGES + DOD_COUNTER_COUNT) {
		strscpy(name, dod_counter_name(i - NR_GAUGES), size);
	} else {
		/* Advice is no report. */
		type = &dod_types[i - NR_GAUGES - DOD_COUNTER_COUNT];
		snprintf(name, size, "%s_%s", type->loses == ADVICE ? "notes" : "reports",
			 type->name);
		strreplace(name, '-', '_');
	}
}

static long line_value(unsigned int i)
{
	if (i < NR_GAUGES)
		return gauges[i].read();
	if (i < NR_GAUGES + DOD_COUNTER_COUNT)
		return dod_counter_read(i - NR_GAUGES);
	return dod_report_count(i - NR_GAUGES - DOD_COUNTER_COUNT);
}

static int stats_show(struct seq_file *seq, void *v)
{
	unsigned int i;
	char name[64];

	seq_printf(seq, "guard: %s\n", guard_name);
	for (i = 0; i < NR_LINES; i++) {
		line_name(i, name, sizeof(name));
		if (*name)
			seq_printf(seq, "%s: %ld\n", name, line_value(i));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/**
 * dma_owner_debug_count() - read one line of stats
 * @name: as in the file
 * Return: the value, or -ENOENT.
 */
long dma_owner_debug_count(const char *name)
{
	unsigned int i;
	char line[64];

	for (i = 0; *name && i < NR_LINES; i++) {
		line_name(i, line, sizeof(line));
		if (!strcmp(name, line))
			return line_value(i);
	}
	return -ENOENT;
}
EXPORT_SYMBOL_GPL(dma_owner_debug_count);

/**
 * dod_debugfs_add() - add a file
 * @name: the file
 * @mode: what root may do with it. Others may nothing: the files tell addresses
 * @fops: how
 */
void dod_debugfs_add(const char *name, umode_t mode, const struct file_operations *fops)
{
	debugfs_create_file(name, mode & 0600, dir, NULL, fops);
}

/**
 * dod_debugfs_show() - make the text of a file without the file; for tests
 * @show: of the file
 * @buf: for the text, which ends with a 0
 * @size: its size; what does not fit is left out
 */
void dod_debugfs_show(int (*show)(struct seq_file *seq, void *v), char *buf, size_t size)
{
	struct seq_file seq = { .buf = buf, .size = size };

	show(&seq, NULL);
	buf[min(seq.count, size - 1)] = '\0';
}

/**
 * dod_debugfs_add_gauge() - add a line to stats
 * @name: of the line, which is there only once; NR_ADDED at most
 * @read: its value
 */
void dod_debugfs_add_gauge(const char *name, long (*read)(void))
{
	unsigned int i;

	for (i = 0; i < NR_ADDED - 1 && gauges[i].name && strcmp(gauges[i].name, name); i++)
		;
	gauges[i].read = read;
	gauges[i].name = name;
}

/**
 * dod_debugfs_start() - make the directory and the files stats and reports
 * @guard: the name of the guard
 */
void dod_debugfs_start(const char *guard)
{
	guard_name = guard;
	dir = debugfs_create_dir("dma_owner_debug", NULL);
	dod_debugfs_add("stats", 0400, &stats_fops);
	dod_debugfs_add("reports", 0600, &dod_faults_fops);
}

/**
 * dod_debugfs_stop() - remove all files; nobody reads them afterwards
 */
void dod_debugfs_stop(void)
{
	debugfs_remove(dir);
	dir = NULL;
}
