// SPDX-License-Identifier: GPL-2.0
/*
 * What the log says: collects whole reports, line by line, through the console tracepoint
 * (as mm/kfence/kfence_test.c does), for the cases to read.
 *
 * Locks: seen.lock is taken inside printk, in any context, and nests nothing.
 */

#include <linux/glob.h>
#include <linux/kasan.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "kt.h"

#define REPORTS_KEPT	4
#define LINES_KEPT	128
#define LINE_LENGTH	512

struct seen_report {
	int nlines;
	char line[LINES_KEPT][LINE_LENGTH];
};

static struct {
	raw_spinlock_t lock;
	/* Who printed a bar last; a title counts only directly below a bar. */
	struct task_struct *bar_by;
	/* Whose report is being read; lines of other tasks in between are not its. */
	struct task_struct *reporter;
	int nreports;	/* Complete reports since the last check, kept or not. */
	int nraces;	/* Reports of KCSAN about the guard's own accesses. */
	struct seen_report report[REPORTS_KEPT];
	char note[512];	/* The tool's last line outside of a report. */
} seen = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(seen.lock),
};

/* The report that kt_take_report() or kt_take_all() took last. */
static struct seen_report taken;

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static bool is_bar(const char *text, size_t len)
{
	return starts_with(text, len, "==============================");
}

static void keep_line(const char *text, size_t len)
{
	struct seen_report *r;

	if (seen.nreports >= REPORTS_KEPT)
		return;
	r = &seen.report[seen.nreports];
	/* A wrapped hint is one line for the tests. */
	if (r->nlines && starts_with(text, len, "      ") &&
	    strstarts(r->line[r->nlines - 1], "Hint: ")) {
		char *last = r->line[r->nlines - 1];
		size_t had = strlen(last);

		strscpy(last + had, text + 5, min(len - 5 + 1, LINE_LENGTH - had));
		return;
	}
	if (r->nlines < LINES_KEPT)
		strscpy(r->line[r->nlines++], text, min(len + 1, (size_t)LINE_LENGTH));
}

/* @text is not NUL-terminated. Unused without CONFIG_TRACEPOINTS. */
static void __maybe_unused probe_console(void *ignore, const char *text, size_t len)
{
	unsigned long flags;

	while (len && text[len - 1] == '\n')
		len--;

	raw_spin_lock_irqsave(&seen.lock, flags);
	if (starts_with(text, len, "BUG: KCSAN: ") &&
	    strnstr(text, "dma_owner_device_access", len))
		seen.nraces++;
	if (seen.reporter) {
		if (seen.reporter == current) {
			keep_line(text, len);
			if (is_bar(text, len)) {
				seen.reporter = NULL;
				WRITE_ONCE(seen.nreports, seen.nreports + 1);
			}
		}
	} else if (is_bar(text, len)) {
		seen.bar_by = current;
	} else if (seen.bar_by == current &&
		   (starts_with(text, len, "BUG: DMA_OWNER: ") ||
		    starts_with(text, len, "BUG: KASAN: "))) {
		if (seen.nreports < REPORTS_KEPT)
			seen.report[seen.nreports].nlines = 0;
		seen.reporter = current;
		seen.bar_by = NULL;
		keep_line(text, len);
	} else if (starts_with(text, len, "dma_owner_debug: ")) {
		strscpy(seen.note, text, min(len + 1, sizeof(seen.note)));
	} else if (seen.bar_by == current) {
		seen.bar_by = NULL;
	}
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

static struct tracepoint *console_tp;

static void find_console(struct tracepoint *tp, void *ignore)
{
	if (!strcmp(tp->name, "console"))
		console_tp = tp;
}

/**
 * kt_log_start() - Begin to read the log.
 *
 * Return: 0, or a negative errno.
 */
int kt_log_start(void)
{
	int err;

	for_each_kernel_tracepoint(find_console, NULL);
	if (!console_tp)
		return -ENOENT;
	err = tracepoint_probe_register(console_tp, probe_console, NULL);
	if (err)
		console_tp = NULL;
	return err;
}

/**
 * kt_log_stop() - Read the log no longer.
 */
void kt_log_stop(void)
{
	if (!console_tp)
		return;
	tracepoint_probe_unregister(console_tp, probe_console, NULL);
	tracepoint_synchronize_unregister();
	console_tp = NULL;
}

/**
 * kt_reset() - Forget what the log said so far.
 */
void kt_reset(void)
{
	unsigned long flags;

	dma_owner_debug_flush();
	raw_spin_lock_irqsave(&seen.lock, flags);
	seen.nreports = 0;
	seen.nraces = 0;
	seen.reporter = NULL;
	seen.bar_by = NULL;
	seen.note[0] = '\0';
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

/**
 * kt_take_all() - Take every report since the last check.
 *
 * Return: how many there were; the first of them is what kt_line() shows.
 */
int kt_take_all(void)
{
	unsigned long flags;
	int n;

	/* Another CPU may be printing it. */
	dma_owner_debug_flush();
	raw_spin_lock_irqsave(&seen.lock, flags);
	n = seen.nreports;
	taken.nlines = 0;
	if (n)
		memcpy(&taken, &seen.report[0], sizeof(taken));
	else if (seen.reporter)
		n = -1;		/* Begun, never ended. */
	seen.nreports = 0;
	seen.reporter = NULL;
	raw_spin_unlock_irqrestore(&seen.lock, flags);
	return n;
}

/**
 * kt_pending() - Has there been a report since the last check?
 *
 * Return: true if there has.
 */
bool kt_pending(void)
{
	dma_owner_debug_flush();
	return READ_ONCE(seen.nreports);
}

/**
 * kt_lines() - Number of lines of the report taken last, from its title to its closing bar.
 *
 * Return: the number, 0 if no report was taken.
 */
int kt_lines(void)
{
	return taken.nlines;
}

/**
 * kt_line() - A line of the report taken last.
 * @n: number of the line; 0 is the title
 *
 * Return: the line, "" beyond the last one.
 */
const char *kt_line(int n)
{
	return n < taken.nlines ? taken.line[n] : "";
}

/**
 * kt_has() - Does a line of the report taken last match a glob?
 * @pattern: the glob, for the whole line
 *
 * Return: true if one does.
 */
bool kt_has(const char *pattern)
{
	int i;

	for (i = 0; i < taken.nlines; i++)
		if (glob_match(pattern, taken.line[i]))
			return true;
	return false;
}

/**
 * kt_note() - The tool's last line in the log that was not part of a report.
 *
 * Return: the line.
 */
const char *kt_note(void)
{
	return seen.note;
}

static char why[2 * LINE_LENGTH];

/**
 * kt_take_silence() - Was there no report since the last check?
 *
 * Return: "" if so, else what was there.
 */
const char *kt_take_silence(void)
{
	int n = kt_take_all(), races = xchg(&seen.nraces, 0);

	why[0] = '\0';
	if (n)
		scnprintf(why, sizeof(why), "%d report(s), first: %s / %s", n,
			  kt_line(0), kt_line(1));
	else if (races)
		scnprintf(why, sizeof(why), "%d report(s) of KCSAN's", races);
	return why;
}

/* Does the title name type and function? @want is filled in with what it should be. */
static bool is_title(const char *type, void *fn, char *want, size_t size)
{
	char *module;

	scnprintf(want, size, "BUG: DMA_OWNER: %s in ", type);
	if (!strstarts(kt_line(0), want))
		return false;
	if (!fn)
		return true;
	/* "name [module]": the offset goes in between. */
	scnprintf(want + strlen(want), size - strlen(want), "%ps", fn);
	module = strstr(want, " [");
	if (module && !strstr(kt_line(0), module))
		return false;
	if (module)
		*module = '\0';
	scnprintf(want + strlen(want), size - strlen(want), "+0x");
	return strstarts(kt_line(0), want);
}

/* Was there one report since the last check, with this title and such a third line? */
static const char *take_report(const char *type, void *fn, const char *third)
{
	char want[LINE_LENGTH];
	int n = kt_take_all();

	why[0] = '\0';
	if (n != 1)
		scnprintf(why, sizeof(why), "%d reports instead of one %s in %ps%s%s", n,
			  type, fn, n > 0 ? ", first: " : "", kt_line(0));
	else if (!is_title(type, fn, want, sizeof(want)))
		scnprintf(why, sizeof(why), "title '%s' instead of '%s'", kt_line(0), want);
	else if (!strstarts(kt_line(1), third))
		scnprintf(why, sizeof(why), "third line '%s' instead of '%s'", kt_line(1),
			  third);
	return why;
}

/**
 * kt_take_report() - Was there exactly this one report since the last check?
 * @type: report type, as in the title
 * @fn: function the title must name, NULL for any
 * @addr: address the access line must give
 * @size: size the access line must give
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_report(const char *type, void *fn, const void *addr, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "%s of size %zu at %lx by task ",
		  strstr(type, "read") ? "Read" : "Write", size,
		  (unsigned long)kasan_reset_tag(addr));
	return take_report(type, fn, third);
}

/**
 * kt_take_map_report() - Was there exactly this one report of a map-time check?
 * @type: report type, as in the title
 * @fn: function the title must name, NULL for any
 * @size: size of the mapping
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_map_report(const char *type, void *fn, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "Map of size %zu at ", size);
	return take_report(type, fn, third);
}

/**
 * kt_take_unmatched_report() - Was there exactly this one report of a call without a mapping?
 * @call: "Unmap" or "Sync"
 * @fn: function the title must name, NULL for any
 * @size: what the call said
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_unmatched_report(const char *call, void *fn, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "%s of size %zu at dma 0x", call, size);
	return take_report("never-mapped", fn, third);
}

/**
 * kt_take_coherent_report() - Was there exactly this one report of a coherent buffer?
 * @fn: function the title must name, NULL for any
 * @size: size of the buffer
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_coherent_report(void *fn, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "Allocation of size %zu at ", size);
	return take_report("coherent-overrun", fn, third);
}

/**
 * kt_take_free_report() - Was there exactly this one report of memory that is freed?
 * @fn: function the title must name, NULL for any
 * @addr: first byte that is freed
 * @size: how many are
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_free_report(void *fn, const void *addr, size_t size)
{
	char third[LINE_LENGTH];
	const char *wrong;

	scnprintf(third, sizeof(third), "Free of %zu bytes at %lx by task ", size,
		  (unsigned long)kasan_reset_tag(addr));
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return take_report("free-while-mapped", fn, third);

	/* The size of the allocation is known, which is no less. */
	wrong = take_report("free-while-mapped", fn, "Free of ");
	if (!*wrong && !strstr(kt_line(1), strstr(third, " bytes at ")))
		scnprintf(why, sizeof(why), "third line '%s' instead of '%s'",
			  kt_line(1), third);
	return why;
}
