// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: reads the log, line by line, and finds for each report the worker that waits for it.
 * A report that nobody waits for is a failure, and so is what a healthy kernel does not print.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "torture.h"

/* === Failures ============================================================= */

static DEFINE_RAW_SPINLOCK(failure_lock);
char failures[FAILURES_KEPT][FAILURE_LENGTH];	/* failure_lock */
int nr_failures;					/* failure_lock */

__printf(1, 2)
void fail(const char *fmt, ...)
{
	unsigned long flags;
	va_list args;

	if (!go_on)
		WRITE_ONCE(stopped, true);
	raw_spin_lock_irqsave(&failure_lock, flags);
	if (nr_failures < FAILURES_KEPT) {
		va_start(args, fmt);
		vscnprintf(failures[nr_failures], FAILURE_LENGTH, fmt, args);
		va_end(args);
	}
	nr_failures++;
	raw_spin_unlock_irqrestore(&failure_lock, flags);
}

atomic_t unexpected, complaints;

/* === The log ============================================================== */

struct report {
	char title[LINE_LENGTH], third[LINE_LENGTH], device[LINE_LENGTH];
};

/* A report is printed with interrupts off: all its lines are of one CPU. */
struct reader {
	bool bar, inside;
	int line;
	struct report report;
};

static DEFINE_PER_CPU(struct reader, readers);
static struct tracepoint *console_tp;

static bool begins(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static void keep(char *line, const char *text, size_t len)
{
	strscpy(line, text, min_t(size_t, len + 1, LINE_LENGTH));
}

static bool is_wanted(const struct want *want, const struct report *r)
{
	const char *title = r->title + strlen("BUG: DMA_OWNER: ");
	size_t len = strlen(want->type), size;
	unsigned long addr;

	if (strncmp(title, want->type, len) || strncmp(title + len, " in ", 4))
		return false;
	title += len + 4;
	len = strlen(want->fn);
	if (strncmp(title, want->fn, len) || title[len] != '+')
		return false;
	if (sscanf(r->third, "%*s of size %zu at %lx", &size, &addr) != 2 &&
	    sscanf(r->third, "%*s of %zu bytes at %lx", &size, &addr) != 2)
		return false;
	return addr == want->addr && size == want->size;
}

static int device_of(const struct report *r)
{
	const char *id = strstr(r->device, NAME ".");
	int device;

	return id && sscanf(id + strlen(NAME "."), "%d", &device) == 1 ? device : -1;
}

/*
 * Which segment of a mapping that loses a write is it about? One that has had its report
 * already, if there is no other: equal mappings, and the segments of a list, can have the
 * same bytes.
 */
static bool find_losing(struct buffer *b, int device, size_t addr, size_t size, bool again)
{
	struct map *m;
	unsigned int i;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		for (i = 0; m->loses && m->id == device && i < m->nr; i++) {
			size_t start = max3(addr, m->losing, (size_t)m->segment[i].start);
			size_t end = min3(addr + size, m->losing_end,
					  (size_t)m->segment[i].start + m->segment[i].size);

			if (!again && (m->reported & BIT(i)))
				continue;
			if (!any_bit(&m->pending, start, end) && !any_bit(&m->hazy, start, end))
				continue;
			m->reported |= BIT(i);
			return true;
		}
	return false;
}

/* Is the report about a write that is lost now? */
static bool is_lost(const struct want *want, const struct report *r)
{
	struct buffer *b = want->loses;
	unsigned long addr, size;

	if (!b || !begins(r->title, strlen(r->title), "BUG: DMA_OWNER: cpu-write in torture_") ||
	    sscanf(r->third, "Write of size %lu at %lx", &size, &addr) != 2)
		return false;
	addr -= (unsigned long)b->mem;
	return find_losing(b, device_of(r), addr, size, false) ||
	       find_losing(b, device_of(r), addr, size, true);
}

/* A report is complete: finds the worker that waits for it. */
static void deliver(const struct report *r)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++) {
		struct want *want = workers[i] ? &workers[i]->want : NULL;

		if (!want)
			continue;
		/* Pairs with smp_store_release() in begin_want(). */
		if (!smp_load_acquire(&want->active))
			continue;
		if (is_lost(want, r)) {
			atomic_inc(&want->lost);
			return;
		}
		if (!want->type || !is_wanted(want, r))
			continue;
		want->device = device_of(r);
		memcpy(want->last[0], r->title, LINE_LENGTH);
		memcpy(want->last[1], r->third, LINE_LENGTH);
		memcpy(want->last[2], r->device, LINE_LENGTH);
		atomic_inc(&want->reports);
		return;
	}
	atomic_inc(&unexpected);
	fail("false report, nobody's:\n%s\n%s\n%s\n", r->title, r->third, r->device);
}

/* How lines begin that a healthy kernel does not print. */
static const char * const complaint[] = {
	"BUG: ", "WARNING: ", "INFO: ", "[ BUG: ", "ODEBUG: ", "DMA-API: ", "rcu: INFO: ",
	"general protection fault", "Oops: ", "Kernel panic", "Unable to handle ",
	"watchdog: ", "list_add corruption", "list_del corruption",
};

static void read_line(struct reader *r, const char *text, size_t len)
{
	bool bar = begins(text, len, "==============================");
	unsigned int i;

	if (r->inside) {
		r->line++;
		if (r->line == 1)
			keep(r->report.third, text, len);
		else if (!*r->report.device && begins(text, len, "Device ") &&
			 strnstr(text, NAME ".", len))
			keep(r->report.device, text, len);
		r->inside = !bar;
		if (bar)
			deliver(&r->report);
		return;
	}
	if (r->bar && begins(text, len, "BUG: DMA_OWNER: ")) {
		r->inside = true;
		r->line = 0;
		memset(&r->report, 0, sizeof(r->report));
		keep(r->report.title, text, len);
	}
	r->bar = bar;
	for (i = 0; !r->inside && i < ARRAY_SIZE(complaint); i++)
		if (begins(text, len, complaint[i])) {
			atomic_inc(&complaints);
			fail("complaint: %.*s\n", (int)len, text);
			break;
		}
}

/* @text is not NUL-terminated. Unused without CONFIG_TRACEPOINTS. */
static void __maybe_unused probe_console(void *ignore, const char *text, size_t len)
{
	unsigned long flags;

	while (len && text[len - 1] == '\n')
		len--;
	local_irq_save(flags);
	read_line(this_cpu_ptr(&readers), text, len);
	local_irq_restore(flags);
}

static void find_console(struct tracepoint *tp, void *ignore)
{
	if (!strcmp(tp->name, "console"))
		console_tp = tp;
}

int log_start(void)
{
	int err;

	for_each_kernel_tracepoint(find_console, NULL);
	err = console_tp ? tracepoint_probe_register(console_tp, probe_console, NULL) : -ENOENT;
	if (err)
		console_tp = NULL;
	return err;
}

void log_stop(void)
{
	if (!console_tp)
		return;
	tracepoint_probe_unregister(console_tp, probe_console, NULL);
	tracepoint_synchronize_unregister();
}

/* === What a worker waits for ============================================== */

void begin_want(struct worker *w, const char *type, const char *fn, const void *addr,
		size_t size)
{
	struct want *want = &w->want;

	want->type = type;
	want->fn = fn;
	want->addr = (unsigned long)addr;
	want->size = size;
	want->loses = NULL;
	atomic_set(&want->reports, 0);
	atomic_set(&want->lost, 0);
	/* Pairs with smp_load_acquire() in deliver(). */
	smp_store_release(&want->active, true);
}

/* Of the tool, which need not be there. */
void dma_owner_debug_flush(void);

/*
 * Another CPU may be printing the report. While the tool comes or goes it may be without
 * its symbols for a moment, and report all the same.
 */
void wait_for_report(struct worker *w)
{
	void (*flush)(void) = symbol_get(dma_owner_debug_flush);
	unsigned int i;

	if (flush) {
		flush();
		symbol_put(dma_owner_debug_flush);
	} else if (PROMISE(get_state()) == LOOSE) {
		for (i = 0; i < 100 && !atomic_read(&w->want.reports) &&
		     !atomic_read(&w->want.lost); i++)
			udelay(100);
	}
}

int end_want(struct worker *w)
{
	WRITE_ONCE(w->want.active, false);
	w->counters[REPORTS] += atomic_read(&w->want.reports) + atomic_read(&w->want.lost);
	return atomic_read(&w->want.reports);
}
