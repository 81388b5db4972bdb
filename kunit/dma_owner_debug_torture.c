// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: workers map, sync in parts, overlap, unmap, free and touch random memory in
 * every context, and know who owns each byte: each access has one right answer, which
 * is compared with the log. The tool may come and go: scripts/guest/torture.sh says when.
 *
 * Locks: state_sem > lock of a shared buffer (raw, interrupts off, around calls of the
 * DMA API and accesses) > failure_lock (raw, taken inside printk, nests nothing).
 */

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/prandom.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "../compat.h"
#include "one_access.h"

#define NAME		"dma_owner_torture"

#define MAX_WORKERS	16
#define NR_DEVICES	3	/* of a worker */
#define NR_BUFFERS	4	/* of a worker */
#define NR_SHARED	3
#define NR_MAPS		4	/* of a buffer at a time */
#define NR_SEGMENTS	3	/* of a scatterlist */
#define MAX_SIZE	8192U	/* of a buffer */
#define MAX_RANGE	200U	/* of an access to more than a word */
#define GRANULE		8
#define LINE_LENGTH	160

#define torture_noinline noinline __noclone
#define torture_unchecked __no_sanitize_address __no_kcsan

static unsigned int nr_workers = 6;
module_param_named(workers, nr_workers, uint, 0400);
MODULE_PARM_DESC(workers, "threads, each with an interrupt of every kind (default: 6)");

static unsigned int seed = 1;
module_param(seed, uint, 0400);
MODULE_PARM_DESC(seed, "of the random numbers (default: 1)");

static bool go_on;
module_param(go_on, bool, 0400);
MODULE_PARM_DESC(go_on, "do not stop at the first failure (default: N)");

/* === What is counted ====================================================== */

enum counter {
	MAPS, LISTS, TWINS, UNMAPS, SYNCS, DEVICE_WRITES, LEGAL, ILLEGAL, FREES,
	REPORTS, ILLEGAL_UNKNOWN, ILLEGAL_IN_GRANULE, ILLEGAL_UNCHECKED, ILLEGAL_EITHER,
	EITHER_REPORTED,
	MISSES, FALSE_REPORTS, WRONG_DATA, MAP_ERRORS, BUFFERS, NO_MEMORY, NR_COUNTERS
};

static const char * const counter_names[NR_COUNTERS] = {
	[MAPS] = "maps",
	[LISTS] = "maps_of_lists",
	[TWINS] = "maps_of_what_is_mapped",
	[UNMAPS] = "unmaps",
	[SYNCS] = "syncs",
	[DEVICE_WRITES] = "device_writes",
	[LEGAL] = "legal_accesses",
	/* To be reported once each: */
	[ILLEGAL] = "illegal_accesses",
	[FREES] = "illegal_frees",
	[REPORTS] = "reports",
	/* To be silent: the tool was not there at the map. */
	[ILLEGAL_UNKNOWN] = "illegal_unknown",
	/* To be silent: only of a part of 8 bytes. */
	[ILLEGAL_IN_GRANULE] = "illegal_in_granule",
	/* To be silent: in an interrupt of code that KASAN is not to check. */
	[ILLEGAL_UNCHECKED] = "illegal_unchecked",
	/* While the tool comes or goes: either is right. */
	[ILLEGAL_EITHER] = "illegal_either",
	[EITHER_REPORTED] = "illegal_either_reported",
	[MISSES] = "misses",
	[FALSE_REPORTS] = "false_reports",
	[WRONG_DATA] = "wrong_data",
	[MAP_ERRORS] = "map_errors",
	[BUFFERS] = "buffers",
	[NO_MEMORY] = "buffers_no_memory",
};

/* Where a batch of steps runs. */
enum context {
	IN_TASK, BH_OFF, IRQS_OFF, IN_TASKLET, IN_TIMER, IN_HRTIMER, IN_IRQ_WORK,
	NR_CONTEXTS
};

static const char * const context_names[NR_CONTEXTS] = {
	[IN_TASK] = "task",
	[BH_OFF] = "bh_off",
	[IRQS_OFF] = "irqs_off",
	[IN_TASKLET] = "tasklet",
	[IN_TIMER] = "timer",
	[IN_HRTIMER] = "hrtimer",
	[IN_IRQ_WORK] = "irq_work",
};

/* Of reports that no worker waited for, and complaints of the kernel's. */
static atomic_t unexpected, complaints;

/* === What the tool can know =============================================== */

/*
 * What the script promises: STRICT, the tool is loaded and stays; OUT, it is not
 * loaded, and has forgotten all; LOOSE, it may come, go, or be out of records. The word
 * also has a sequence number, new with each promise, and an era, new with each OUT.
 */
enum promise { LOOSE, STRICT, OUT };

#define PROMISE(word)	((word) & 3)
#define ERA(word)	((word) >> 16)

static u32 state = LOOSE;
/* Nothing changes while a reader is in there. */
static DECLARE_RWSEM(state_sem);

static void set_state(enum promise promise)
{
	u32 era, seq;

	down_write(&state_sem);
	era = ERA(state) + (promise == OUT);
	seq = (state + 4) & 0xfffc;
	/* Pairs with smp_mb() in get_state(). */
	smp_store_release(&state, era << 16 | seq | promise);
	up_write(&state_sem);
}

static u32 get_state(void)
{
	u32 word;

	/* What came before must not be seen later, nor what comes sooner. */
	smp_mb();
	word = READ_ONCE(state);
	smp_mb();
	return word;
}

enum knowledge { UNKNOWN, MAYBE, KNOWN };

/* === Buffers and mappings ================================================= */

/* A mapping, and what the device owns of the buffer by it: bit n % 8 of byte n / 8. */
struct map {
	bool live, list;
	u8 dir, nr;
	struct device *dev;
	int id;				/* of the device */
	u32 born;			/* state when it was mapped */
	struct map *twin;		/* an equal one of the same device */
	struct {
		u32 start, size;
		dma_addr_t dma;
	} segment[NR_SEGMENTS];
	struct scatterlist sg[NR_SEGMENTS];
	u8 owned[MAX_SIZE / 8];
};

enum source { KMALLOC, PAGES, WINDOW };

/*
 * Of one worker, or of all: those have a lock. A buffer has one mapping of a device at
 * a time, or two equal ones: else the API itself leaves open which one a call means.
 */
struct buffer {
	raw_spinlock_t lock;
	bool shared;
	enum source source;
	unsigned int order;
	u8 *mem;
	size_t size;
	struct map map[NR_MAPS];
};

/* What a worker does now, and what the log said to it. */
struct want {
	bool active;
	const char *type, *fn;
	unsigned long addr;
	size_t size;
	atomic_t reports;
	int device;			/* that the last report named */
	char last[3][LINE_LENGTH];
};

struct worker {
	struct task_struct *task;
	struct rnd_state rnd;
	struct device *dev[NR_DEVICES];
	int first_id;
	struct buffer buffer[NR_BUFFERS];
	struct page *block;		/* that a WINDOW is of */
	struct want want;
	unsigned long counters[NR_COUNTERS];
	unsigned long batches[NR_CONTEXTS];

	enum context context;
	unsigned int steps;
	struct completion done;
	struct tasklet_struct tasklet;
	struct timer_list timer;
	struct hrtimer hrtimer;
	struct irq_work irq_work;
	u8 scratch[MAX_RANGE];
};

static struct worker *workers[MAX_WORKERS];
static struct buffer *shared[NR_SHARED];
static struct platform_device *devices[MAX_WORKERS * NR_DEVICES];

static bool stopped, paused;
static atomic_t parked;
static DECLARE_WAIT_QUEUE_HEAD(parking);

static u32 rnd(struct worker *w, u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

static void count(struct worker *w, enum counter counter)
{
	w->counters[counter]++;
}

/* === Failures ============================================================= */

#define FAILURES_KEPT	6
#define FAILURE_LENGTH	2048

static DEFINE_RAW_SPINLOCK(failure_lock);
static char failures[FAILURES_KEPT][FAILURE_LENGTH];	/* failure_lock */
static int nr_failures;					/* failure_lock */

__printf(1, 2)
static void fail(const char *fmt, ...)
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

/* A report is complete: whose is it? */
static void deliver(const struct report *r)
{
	unsigned int i;
	const char *id;

	for (i = 0; i < nr_workers; i++) {
		struct want *want = workers[i] ? &workers[i]->want : NULL;

		/* Pairs with smp_store_release() in begin_want(). */
		if (!want || !smp_load_acquire(&want->active) || !is_wanted(want, r))
			continue;
		id = strstr(r->device, NAME ".");
		want->device = id ? simple_strtol(id + strlen(NAME "."), NULL, 10) : -1;
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
		if (r->line == 2)
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

/* === Accesses ============================================================= */

/* Of one access. */
#define WIDEST		(IS_ENABLED(CONFIG_ARCH_SUPPORTS_INT128) ? 16 : 8)

static torture_noinline void torture_read(const void *p, size_t size)
{
	one_load(p, size);
}

static torture_noinline void torture_write(void *p, size_t size)
{
	one_store(p, size);
}

static torture_noinline void torture_atomic(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	atomic_or(WRITTEN, p);
}

static torture_noinline void torture_copy_from(void *to, const void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(to, p, size);
}

static torture_noinline void torture_copy_to(void *p, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(p, from, size);
}

static torture_noinline void torture_fill(void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(p, WRITTEN, size);
}

static torture_noinline void torture_free(struct buffer *b)
{
	if (b->source == KMALLOC)
		kfree(b->mem);
	else
		__free_pages(virt_to_page(b->mem), b->order);
}

/* What a device does, and what no sanitizer sees. */
static noinline torture_unchecked void poke(u8 *p, u8 value)
{
	WRITE_ONCE(*p, value);
}

static noinline torture_unchecked u8 peek(const u8 *p)
{
	return READ_ONCE(*p);
}

/* For a failure: what the guard has made of a granule. */
static noinline torture_unchecked u8 shadow_of(const u8 *p)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(*(const u8 *)kasan_mem_to_shadow(p));
#else
	return 0;
#endif
}

enum op { OP_READ, OP_WRITE, OP_ATOMIC, OP_COPY_FROM, OP_COPY_TO, OP_FILL, NR_OPS };

static const struct {
	const char *fn;
	bool write, range;
} ops[NR_OPS] = {
	[OP_READ] = { "torture_read" },
	[OP_WRITE] = { "torture_write", .write = true },
	[OP_ATOMIC] = { "torture_atomic", .write = true },
	[OP_COPY_FROM] = { "torture_copy_from", .range = true },
	[OP_COPY_TO] = { "torture_copy_to", .write = true, .range = true },
	[OP_FILL] = { "torture_fill", .write = true, .range = true },
};

struct access {
	enum op op;
	size_t start, size;
};

/*
 * Is KASAN off for the code that runs here? In an interrupt that is the task's that was
 * interrupted, as while it clears new pages: KASAN keeps count by task.
 */
static bool is_unchecked(void)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(current->kasan_depth);
#else
	return true;
#endif
}

static void perform(struct worker *w, struct buffer *b, const struct access *a)
{
	u8 *p = b->mem + a->start;

	switch (a->op) {
	case OP_READ:
		torture_read(p, a->size);
		break;
	case OP_WRITE:
		torture_write(p, a->size);
		break;
	case OP_ATOMIC:
		torture_atomic(p);
		break;
	case OP_COPY_FROM:
		torture_copy_from(w->scratch, p, a->size);
		break;
	case OP_COPY_TO:
		torture_copy_to(p, w->scratch, a->size);
		break;
	default:
		torture_fill(p, a->size);
	}
}

/* === The model ============================================================ */

static enum knowledge knows(const struct map *m, u32 now)
{
	if (PROMISE(m->born) == OUT || ERA(m->born) != ERA(now))
		return UNKNOWN;
	return PROMISE(now) == STRICT && m->born == now ? KNOWN : MAYBE;
}

/* Rule 4. */
static bool forbids(const struct map *m, bool write)
{
	return write || m->dir != DMA_TO_DEVICE;
}

/*
 * Is a granule guarded by this mapping? Its device must own all 8 bytes; or all that
 * exist, where the mapping ends with the memory.
 */
static bool guarded(const struct buffer *b, const struct map *m, size_t granule)
{
	u8 existing = 0xff;

	if (b->source == KMALLOC && granule == b->size / GRANULE)
		existing = BIT(b->size % GRANULE) - 1;
	return m->owned[granule] == existing;
}

/* What is right about an access. */
struct answer {
	bool legal;	/* no device owns any of it, or it may be read */
	bool must;	/* it is to be reported */
	bool may;	/* it can be */
	bool unseen;	/* a byte is in a granule that is not guarded */
	u64 devices;	/* that the report may name, as bits */
};

static struct answer ask(const struct buffer *b, const struct access *a, u32 now)
{
	size_t first = a->start / GRANULE, last = (a->start + a->size - 1) / GRANULE, g;
	struct answer answer = { .legal = true };
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++) {
		enum knowledge known = knows(m, now);

		if (!m->live || !forbids(m, ops[a->op].write))
			continue;
		for (g = first; g <= last; g++) {
			u8 touched = 0xff;

			if (g == first)
				touched &= 0xff << a->start % GRANULE;
			if (g == last)
				touched &= 0xff >> (7 - (a->start + a->size - 1) % GRANULE);
			if (!(m->owned[g] & touched))
				continue;
			answer.legal = false;
			if (known == UNKNOWN)
				continue;
			answer.devices |= BIT_ULL(m->id);
			if (!guarded(b, m, g)) {
				answer.unseen = true;
				continue;
			}
			answer.may = true;
			answer.must |= known == KNOWN;
		}
	}
	return answer;
}

static void set_owned(struct map *m, size_t start, size_t size, bool owned)
{
	size_t i;

	for (i = start; i < start + size; i++) {
		if (i % 8 == 0 && start + size - i >= 8) {
			m->owned[i / 8] = owned ? 0xff : 0;
			i += 7;
		} else if (owned) {
			m->owned[i / 8] |= BIT(i % 8);
		} else {
			m->owned[i / 8] &= ~BIT(i % 8);
		}
	}
}

static void set_all_owned(struct map *m, bool owned)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		set_owned(m, m->segment[i].start, m->segment[i].size, owned);
}

static bool owns_any(const struct map *m, size_t start, size_t size)
{
	size_t i;

	for (i = start; i < start + size; i++)
		if (m->owned[i / 8] & BIT(i % 8))
			return true;
	return false;
}

static bool owns_all(const struct map *m)
{
	size_t start = m->segment[0].start, i;

	for (i = start; i < start + m->segment[0].size; i++)
		if (!(m->owned[i / 8] & BIT(i % 8)))
			return false;
	return true;
}

/* For a failure: the mappings of a buffer, and the granules of an access. */
static int describe(char *text, size_t size, const struct buffer *b,
		    const struct access *a, u32 now)
{
	static const char * const dirs[] = { "bidir", "to", "from" };
	static const char * const knowledge[] = { "unknown", "maybe", "known" };
	unsigned int i, n = 0;
	const struct map *m;
	size_t g;

	n += scnprintf(text + n, size - n, "buffer %px size %zu source %d%s, state %x\n",
		       b->mem, b->size, b->source, b->shared ? " shared" : "", now);
	for (m = b->map; m < b->map + NR_MAPS; m++) {
		if (!m->live)
			continue;
		n += scnprintf(text + n, size - n, " device %d %s born %x %s%s%s", m->id,
			       dirs[m->dir], m->born, knowledge[knows(m, now)],
			       m->list ? " list" : "", m->twin ? " twin" : "");
		for (i = 0; i < m->nr; i++)
			n += scnprintf(text + n, size - n, " [%u, %u)", m->segment[i].start,
				       m->segment[i].start + m->segment[i].size);
		n += scnprintf(text + n, size - n, ", owned from granule %zu:",
			       a->start / GRANULE);
		for (g = a->start / GRANULE;
		     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
			n += scnprintf(text + n, size - n, " %02x", m->owned[g]);
		n += scnprintf(text + n, size - n, "\n");
	}
	n += scnprintf(text + n, size - n, "shadow now:");
	for (g = a->start / GRANULE;
	     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
		n += scnprintf(text + n, size - n, " %02x", shadow_of(b->mem + g * GRANULE));
	return n + scnprintf(text + n, size - n, "\n");
}

static void fail_access(struct worker *w, const char *what, const struct buffer *b,
			const struct access *a, int reports, u32 before, u32 after)
{
	/* Who fails stops: one at a time will do. */
	static char text[FAILURE_LENGTH / 2];

	describe(text, sizeof(text), b, a, before);
	fail("%s: %s of %zu bytes at offset %zu in %s, %d reports, state %x to %x\n%s%s\n%s\n%s\n",
	     what, ops[a->op].fn, a->size, a->start, context_names[w->context], reports,
	     before, after, text, reports ? w->want.last[0] : "",
	     reports ? w->want.last[1] : "", reports ? w->want.last[2] : "");
}

/* === Steps ================================================================ */

static void begin_want(struct worker *w, const char *type, const char *fn, const void *addr,
		       size_t size)
{
	struct want *want = &w->want;

	want->type = type;
	want->fn = fn;
	want->addr = (unsigned long)addr;
	want->size = size;
	atomic_set(&want->reports, 0);
	/* Pairs with smp_load_acquire() in deliver(). */
	smp_store_release(&want->active, true);
}

/* Of the tool, which need not be there. */
void dma_owner_debug_flush(void);

/*
 * Another CPU may be printing the report. While the tool comes or goes it may be without
 * its symbols for a moment, and report all the same.
 */
static void wait_for_report(struct worker *w)
{
	void (*flush)(void) = symbol_get(dma_owner_debug_flush);
	unsigned int i;

	if (flush) {
		flush();
		symbol_put(dma_owner_debug_flush);
	} else if (PROMISE(get_state()) == LOOSE) {
		for (i = 0; i < 100 && !atomic_read(&w->want.reports); i++)
			udelay(100);
	}
}

static int end_want(struct worker *w)
{
	WRITE_ONCE(w->want.active, false);
	return atomic_read(&w->want.reports);
}

static bool random_access(struct worker *w, const struct buffer *b, struct access *a)
{
	a->op = rnd(w, DOD_MEMCPY_CHECKED ? NR_OPS : OP_COPY_FROM);
	a->start = rnd(w, b->size);
	if (ops[a->op].range) {
		a->size = 1 + rnd(w, min_t(size_t, MAX_RANGE, b->size - a->start));
		return true;
	}
	a->size = a->op == OP_ATOMIC ? 4 : 1U << rnd(w, WIDEST == 16 ? 5 : 4);
	/* Aligned as its type is: else the compiler looks at one end of it only. */
	a->start -= ((unsigned long)b->mem + a->start) % a->size;
	return a->start < b->size && a->start + a->size <= b->size;
}

static void step_access(struct worker *w, struct buffer *b)
{
	bool wanted = rnd(w, 6) != 0;
	bool unchecked = is_unchecked();
	struct answer answer;
	struct access a;
	u32 before, after;
	int i, reports;

	before = get_state();
	for (i = 0; i < 6; i++) {
		if (!random_access(w, b, &a))
			continue;
		answer = ask(b, &a, before);
		if (answer.legal == wanted)
			break;
	}
	if (i == 6)
		return;
	/* A write that nobody sees to what a device may only read is another fault. */
	if (!answer.legal && ops[a.op].write &&
	    (unchecked || (answer.unseen && !answer.must)))
		return;
	if (unchecked) {
		answer.must = false;
		answer.may = false;
	}

	begin_want(w, ops[a.op].write ? "cpu-write" : "cpu-read", ops[a.op].fn,
		   b->mem + a.start, a.size);
	perform(w, b, &a);
	/* Of what is legal a report is false whenever it comes. */
	if (!answer.legal)
		wait_for_report(w);
	reports = end_want(w);
	after = get_state();

	if (answer.must && before == after) {
		count(w, ILLEGAL);
		if (!reports) {
			count(w, MISSES);
			fail_access(w, "miss", b, &a, reports, before, after);
		}
	} else if (answer.legal) {
		count(w, LEGAL);
	} else if (unchecked) {
		count(w, ILLEGAL_UNCHECKED);
	} else if (answer.may) {
		count(w, ILLEGAL_EITHER);
		w->counters[EITHER_REPORTED] += !!reports;
	} else {
		count(w, answer.unseen ? ILLEGAL_IN_GRANULE : ILLEGAL_UNKNOWN);
	}
	if (reports)
		count(w, REPORTS);
	if (reports > 1 || (reports && !answer.may)) {
		count(w, FALSE_REPORTS);
		fail_access(w, "false report", b, &a, reports, before, after);
	} else if (reports && (w->want.device < 0 || !(answer.devices & BIT_ULL(w->want.device)))) {
		count(w, FALSE_REPORTS);
		fail_access(w, "report that names the wrong device", b, &a, reports, before, after);
	}
	if ((a.op == OP_WRITE || a.op == OP_FILL) &&
	    (peek(b->mem + a.start) != WRITTEN ||
	     peek(b->mem + a.start + a.size - 1) != WRITTEN)) {
		count(w, WRONG_DATA);
		fail_access(w, "lost write", b, &a, reports, before, after);
	}
}

static struct map *free_slot(struct buffer *b)
{
	struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (!m->live)
			return m;
	return NULL;
}

static struct map *random_map(struct worker *w, struct buffer *b)
{
	struct map *m = &b->map[rnd(w, NR_MAPS)];

	return m->live ? m : NULL;
}

static bool has_device(const struct buffer *b, const struct device *dev)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && m->dev == dev)
			return true;
	return false;
}

static void choose_segments(struct worker *w, const struct buffer *b, struct map *m)
{
	size_t at = rnd(w, b->size);

	m->nr = 0;
	if (!m->list) {
		m->segment[0].start = rnd(w, 2) ? 0 : at;
		at = m->segment[0].start;
		m->segment[0].size = rnd(w, 2) ? b->size - at : 1 + rnd(w, b->size - at);
		m->nr = 1;
		return;
	}
	/* Granules between them: no granule is of two. */
	for (at /= 4; m->nr < NR_SEGMENTS && at < b->size; m->nr++) {
		m->segment[m->nr].start = at;
		m->segment[m->nr].size = 1 + rnd(w, b->size - at);
		if (rnd(w, 4))
			m->segment[m->nr].size = min_t(u32, m->segment[m->nr].size,
						       1 + rnd(w, 1024));
		at += m->segment[m->nr].size + GRANULE + rnd(w, 128);
	}
}

/* Before and after the map call. */
static u32 born(u32 before, u32 after)
{
	return before == after ? before : (before & ~3U) | LOOSE;
}

static bool map_memory(struct buffer *b, struct map *m, unsigned long attrs)
{
	unsigned int i;

	if (!m->list) {
		m->segment[0].dma = dma_map_single_attrs(m->dev, b->mem + m->segment[0].start,
							 m->segment[0].size, m->dir, attrs);
		return !dma_mapping_error(m->dev, m->segment[0].dma);
	}
	sg_init_table(m->sg, m->nr);
	for (i = 0; i < m->nr; i++)
		sg_set_buf(&m->sg[i], b->mem + m->segment[i].start, m->segment[i].size);
	return dma_map_sg_attrs(m->dev, m->sg, m->nr, m->dir, attrs);
}

static void step_map(struct worker *w, struct buffer *b)
{
	static const u8 dirs[] = { DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL };
	unsigned long attrs = rnd(w, 8) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	unsigned int device = rnd(w, NR_DEVICES);
	struct map *m = free_slot(b);
	u32 before;

	if (!m || has_device(b, w->dev[device]))
		return;
	m->dev = w->dev[device];
	m->id = w->first_id + device;
	m->dir = dirs[rnd(w, ARRAY_SIZE(dirs))];
	m->list = !rnd(w, 4);
	m->twin = NULL;
	choose_segments(w, b, m);
	memset(m->owned, 0, sizeof(m->owned));

	before = get_state();
	if (!map_memory(b, m, attrs)) {
		count(w, MAP_ERRORS);
		return;
	}
	m->born = born(before, get_state());
	m->live = true;
	if (!attrs)
		set_all_owned(m, true);
	count(w, m->list ? LISTS : MAPS);
}

/* The same memory once more for the same device: which is unmapped first is all the same. */
static void step_map_twin(struct worker *w, struct buffer *b)
{
	struct map *m = random_map(w, b), *twin = free_slot(b);
	u32 before;

	if (!m || !twin || m->list || m->twin || !owns_all(m))
		return;
	*twin = *m;
	twin->live = false;
	before = get_state();
	if (!map_memory(b, twin, 0)) {
		count(w, MAP_ERRORS);
		return;
	}
	twin->born = born(before, get_state());
	twin->live = true;
	twin->twin = m;
	m->twin = twin;
	count(w, TWINS);
}

static void unmap(struct worker *w, struct map *m)
{
	unsigned long attrs = rnd(w, 8) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;

	/* Dead before: what happens meanwhile is nobody's access. */
	m->live = false;
	if (m->list)
		dma_unmap_sg_attrs(m->dev, m->sg, m->nr, m->dir, attrs);
	else
		dma_unmap_single_attrs(m->dev, m->segment[0].dma, m->segment[0].size, m->dir,
				       attrs);
	count(w, UNMAPS);
	if (!m->twin)
		return;
	/* If the tool knew one of them, that one has ended. */
	if (m->twin->born != m->born)
		m->twin->born = get_state() & ~3U;
	m->twin->twin = NULL;
}

static void step_unmap(struct worker *w, struct buffer *b)
{
	struct map *m = random_map(w, b);

	if (m)
		unmap(w, m);
}

static void unmap_all(struct worker *w, struct buffer *b)
{
	struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			unmap(w, m);
}

static void step_sync(struct worker *w, struct buffer *b, bool to_device)
{
	struct map *m = random_map(w, b);
	size_t start, size;
	dma_addr_t dma;

	if (!m || m->twin)
		return;
	count(w, SYNCS);
	if (m->list) {
		if (to_device)
			dma_sync_sg_for_device(m->dev, m->sg, m->nr, m->dir);
		else
			dma_sync_sg_for_cpu(m->dev, m->sg, m->nr, m->dir);
		set_all_owned(m, to_device);
		return;
	}
	start = rnd(w, 3) ? rnd(w, m->segment[0].size) : 0;
	size = rnd(w, 3) ? 1 + rnd(w, m->segment[0].size - start) : m->segment[0].size - start;
	/* Whole granules as often as not. */
	if (rnd(w, 2)) {
		size = round_up(size, GRANULE);
		start = round_down(start, GRANULE);
		size = min_t(size_t, size, m->segment[0].size - start);
	}
	dma = m->segment[0].dma;
	if (to_device)
		dma_sync_single_range_for_device(m->dev, dma, start, size, m->dir);
	else
		dma_sync_single_range_for_cpu(m->dev, dma, start, size, m->dir);
	set_owned(m, m->segment[0].start + start, size, to_device);
}

/* The device writes to what it owns, if no device that owns it may only read it. */
static void step_device_write(struct worker *w, struct buffer *b)
{
	size_t start = rnd(w, b->size), end, i;
	const struct map *m;

	end = min_t(size_t, b->size, start + 64);
	for (i = start; i < end; i++) {
		bool writes = false, reads = false;

		for (m = b->map; m < b->map + NR_MAPS; m++)
			if (m->live && (m->owned[i / 8] & BIT(i % 8))) {
				reads |= m->dir == DMA_TO_DEVICE;
				writes |= m->dir != DMA_TO_DEVICE;
			}
		if (writes && !reads)
			poke(b->mem + i, rnd(w, 256));
	}
	count(w, DEVICE_WRITES);
}

static void one_step(struct worker *w, struct buffer *b)
{
	switch (rnd(w, 20)) {
	case 0 ... 2:
		step_map(w, b);
		break;
	case 3:
		step_map_twin(w, b);
		break;
	case 4:
		step_unmap(w, b);
		break;
	case 5 ... 6:
		step_sync(w, b, false);
		break;
	case 7 ... 9:
		step_sync(w, b, true);
		break;
	case 10:
		step_device_write(w, b);
		break;
	default:
		step_access(w, b);
	}
}

static void run_steps(struct worker *w)
{
	unsigned int n;

	for (n = 0; n < w->steps && !READ_ONCE(stopped); n++) {
		struct buffer *b = &w->buffer[rnd(w, NR_BUFFERS)];
		unsigned long flags;

		if (!rnd(w, 5)) {
			b = shared[rnd(w, NR_SHARED)];
			raw_spin_lock_irqsave(&b->lock, flags);
			one_step(w, b);
			raw_spin_unlock_irqrestore(&b->lock, flags);
		} else if (b->mem) {
			one_step(w, b);
		}
	}
}

/* === Contexts ============================================================= */

static void on_tasklet(struct tasklet_struct *tasklet)
{
	struct worker *w = container_of(tasklet, struct worker, tasklet);

	run_steps(w);
	complete(&w->done);
}

static void on_timer(struct timer_list *timer)
{
	struct worker *w = container_of(timer, struct worker, timer);

	run_steps(w);
	complete(&w->done);
}

static enum hrtimer_restart on_hrtimer(struct hrtimer *timer)
{
	struct worker *w = container_of(timer, struct worker, hrtimer);

	run_steps(w);
	complete(&w->done);
	return HRTIMER_NORESTART;
}

static void on_irq_work(struct irq_work *work)
{
	struct worker *w = container_of(work, struct worker, irq_work);

	run_steps(w);
	complete(&w->done);
}

static void run_batch(struct worker *w)
{
	unsigned long flags;

	w->context = rnd(w, NR_CONTEXTS);
	/* A report takes milliseconds here. */
	w->steps = 1 + rnd(w, w->context == IN_TASK ? 64 : 12);
	w->batches[w->context]++;
	reinit_completion(&w->done);

	switch (w->context) {
	case IN_TASK:
		run_steps(w);
		return;
	case BH_OFF:
		local_bh_disable();
		run_steps(w);
		local_bh_enable();
		return;
	case IRQS_OFF:
		local_irq_save(flags);
		run_steps(w);
		local_irq_restore(flags);
		return;
	case IN_TASKLET:
		tasklet_schedule(&w->tasklet);
		break;
	case IN_TIMER:
		mod_timer(&w->timer, jiffies + 1);
		break;
	case IN_HRTIMER:
		hrtimer_start(&w->hrtimer, ns_to_ktime(rnd(w, 500000)), HRTIMER_MODE_REL_HARD);
		break;
	default:
		irq_work_queue(&w->irq_work);
	}
	wait_for_completion(&w->done);
}

/* === Memory =============================================================== */

static void allocate(struct worker *w, struct buffer *b)
{
	unsigned int size = 1 + rnd(w, 1U << (3 + rnd(w, 11)));

	b->source = rnd(w, 4) ? KMALLOC : PAGES;
	if (b->source == KMALLOC) {
		b->size = min(size, MAX_SIZE);
		b->mem = kmalloc(b->size, GFP_KERNEL | __GFP_NOWARN);
	} else {
		b->order = rnd(w, 2);
		b->size = PAGE_SIZE << b->order;
		b->mem = b->size > MAX_SIZE ? NULL :
			 (u8 *)__get_free_pages(GFP_KERNEL | __GFP_NOWARN, b->order);
	}
	/* KFENCE's objects are not guarded. */
	if (b->mem && is_kfence_address(b->mem)) {
		torture_free(b);
		b->mem = NULL;
	}
	if (b->mem)
		torture_fill(b->mem, b->size);
	count(w, b->mem ? BUFFERS : NO_MEMORY);
}

/* How many reports the free of a buffer has, at @least so known: one of each mapping. */
static int reports_of_free(const struct buffer *b, u32 now, enum knowledge least)
{
	const struct map *m;
	unsigned int i;
	int n = 0;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		for (i = 0; m->live && knows(m, now) >= least && i < m->nr; i++)
			n += owns_any(m, m->segment[i].start, m->segment[i].size);
	return n;
}

/* Only while nothing comes and goes: the tool sees frees later than maps. */
static void free_while_mapped(struct worker *w, struct buffer *b)
{
	int least, most, reports;

	down_read(&state_sem);
	if (PROMISE(state) == LOOSE) {
		up_read(&state_sem);
		return;
	}
	least = reports_of_free(b, state, KNOWN);
	most = reports_of_free(b, state, MAYBE);
	begin_want(w, "free-while-mapped", "torture_free", b->mem, b->size);
	torture_free(b);
	wait_for_report(w);
	reports = end_want(w);
	if (reports < least || reports > most) {
		struct access all = { .size = b->size };

		count(w, reports < least ? MISSES : FALSE_REPORTS);
		fail_access(w, reports < least ? "missed free" : "false report of a free", b,
			    &all, reports, state, state);
	}
	w->counters[FREES] += least;
	w->counters[EITHER_REPORTED] += reports - least;
	w->counters[REPORTS] += reports;
	unmap_all(w, b);
	up_read(&state_sem);
	b->mem = NULL;
}

static bool is_mapped(const struct buffer *b)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			return true;
	return false;
}

static void renew(struct worker *w, struct buffer *b)
{
	w->context = IN_TASK;
	if (b->source == WINDOW)
		return;
	if (!b->mem) {
		allocate(w, b);
		return;
	}
	if (is_mapped(b) && !rnd(w, 8)) {
		free_while_mapped(w, b);
		return;
	}
	unmap_all(w, b);
	torture_free(b);
	b->mem = NULL;
}

/* Around the border of 2 MiB, at which the tool divides memory. */
static struct page *make_window(struct buffer *b)
{
	unsigned int order = get_order(SZ_4M);
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	if (!block)
		return NULL;
	b->source = WINDOW;
	b->size = 4096;
	b->mem = (u8 *)page_address(block) + SZ_2M - b->size / 2;
	memset(b->mem, WRITTEN, b->size);
	return block;
}

static int work(void *arg)
{
	struct worker *w = arg;

	set_user_nice(current, MAX_NICE);
	while (!kthread_should_stop()) {
		if (READ_ONCE(paused) || READ_ONCE(stopped)) {
			atomic_inc(&parked);
			wake_up_all(&parking);
			wait_event_idle(parking, kthread_should_stop() ||
					(!READ_ONCE(paused) && !READ_ONCE(stopped)));
			atomic_dec(&parked);
			continue;
		}
		run_batch(w);
		if (!rnd(w, 3) && !READ_ONCE(stopped))
			renew(w, &w->buffer[rnd(w, NR_BUFFERS)]);
		if (!rnd(w, 4))
			usleep_range(100, 1000);
		cond_resched();
	}
	return 0;
}

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
	static const char * const commands[] = { "loose", "strict", "out", "pause", "resume" };
	char text[16] = "";
	int err = 0;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, len))
		return -EFAULT;
	switch (sysfs_match_string(commands, text)) {
	case 0:
		set_state(LOOSE);
		break;
	case 1:
		set_state(STRICT);
		break;
	case 2:
		set_state(OUT);
		break;
	case 3:
		err = pause_all();
		break;
	case 4:
		WRITE_ONCE(paused, false);
		wake_up_all(&parking);
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
	init_completion(&w->done);
	tasklet_setup(&w->tasklet, on_tasklet);
	timer_setup(&w->timer, on_timer, 0);
	dod_hrtimer_setup(&w->hrtimer, on_hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	w->irq_work = IRQ_WORK_INIT_HARD(on_irq_work);
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
	for (i = 0; i < nr_workers; i++)
		if (workers[i] && workers[i]->task)
			kthread_stop(workers[i]->task);
	if (console_tp) {
		tracepoint_probe_unregister(console_tp, probe_console, NULL);
		tracepoint_synchronize_unregister();
	}
	/* Timers have completed their batch, and may be at their last instructions. */
	synchronize_rcu();
	for (i = 0; i < nr_workers && workers[i]; i++) {
		struct worker *w = workers[i];

		if (w->irq_work.func) {
			tasklet_kill(&w->tasklet);
			hrtimer_cancel(&w->hrtimer);
			irq_work_sync(&w->irq_work);
		}
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
	for_each_kernel_tracepoint(find_console, NULL);
	err = console_tp ? tracepoint_probe_register(console_tp, probe_console, NULL) : -ENOENT;
	if (err) {
		console_tp = NULL;
		goto err;
	}
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
