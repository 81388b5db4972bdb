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

#include "../base/compat.h"
#include "one_access.h"

#define NAME		"dma_owner_torture"

#define MAX_WORKERS	16
#define NR_DEVICES	3	/* of a worker */
#define NR_BUFFERS	4	/* of a worker */
#define NR_SHARED	3
#define NR_MAPS		4	/* of a buffer at a time */
#define NR_SEGMENTS	3	/* of a scatterlist */
#define MAX_SIZE	8192U	/* of a buffer */
#define MOST_HEADROOM	320	/* rule 6b, in the tool */
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
	MAPS, LISTS, TWINS, UNMAPS, SYNCS, SYNCS_IDLE, DEVICE_WRITES, LEGAL, PENDING, STALE,
	ILLEGAL, FREES, LOST, REPORTS, ILLEGAL_UNKNOWN, ILLEGAL_IN_GRANULE,
	ILLEGAL_UNCHECKED, ILLEGAL_EITHER, EITHER_REPORTED,
	MISSES, FALSE_REPORTS, WRONG_DATA, MAP_ERRORS, BUFFERS, NO_MEMORY, NR_COUNTERS
};

static const char * const counter_names[NR_COUNTERS] = {
	[MAPS] = "maps",
	[LISTS] = "maps_of_lists",
	[TWINS] = "maps_of_what_is_mapped",
	[UNMAPS] = "unmaps",
	[SYNCS] = "syncs",
	/* In a direction in which nothing changes hands. */
	[SYNCS_IDLE] = "syncs_idle",
	[DEVICE_WRITES] = "device_writes",
	[LEGAL] = "legal_accesses",
	/* Of these, writes that are to be synced, and that left stale bytes fresh. */
	[PENDING] = "writes_pending",
	[STALE] = "writes_to_stale",
	/* To be reported once each: */
	[ILLEGAL] = "illegal_accesses",
	[FREES] = "illegal_frees",
	/* Mappings, or entries of them, that lost a pending write: a report of each at least. */
	[LOST] = "lost_writes",
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

/*
 * With which parameters, as the script says while the workers are at rest: whether the
 * devices count as ones that are not coherent (noncoherent=), and strict=1.
 */
static enum knowledge lined = UNKNOWN;
static bool strict;

/* === Buffers and mappings ================================================= */

/* Bits of the bytes of a buffer, bit n % 8 of bytes[n / 8], so that a byte is a granule. */
struct bits {
	u8 byte[MAX_SIZE / 8];
};

#define MAX_HAND_OVERS	256

/*
 * A mapping, and what is the case with the bytes of the buffer by it. A byte is owned by
 * the device since a hand-over, the call that gave it: of each the direction, where it
 * began, and whether a sync for the CPU of a part in its middle said that it holds several
 * packets (rule 6b), or that cannot be told.
 */
struct map {
	bool live, list, skips;		/* mapped with DMA_ATTR_SKIP_CPU_SYNC */
	u8 dir, nr;
	enum knowledge lined;
	struct device *dev;
	int id;				/* of the device */
	u32 born;			/* state when it was mapped */
	struct map *twin;		/* an equal one of the same device */
	struct {
		u32 start, size;
		dma_addr_t dma;
	} segment[NR_SEGMENTS];
	struct scatterlist sg[NR_SEGMENTS];

	struct bits owned;
	/* Of what a device reads: rule 4. What is only perhaps known to the tool is hazy. */
	struct bits pending, hazy;
	/* Of whole granules: rule 6b. What the tool perhaps knows to be fresh is dim. */
	struct bits stale, dim;
	bool wide;			/* it crosses a border of 2 MiB */
	u8 hand_over[MAX_SIZE];		/* since which it is owned */
	unsigned int hand_overs;
	u8 hand_dir[MAX_HAND_OVERS];
	u16 hand_start[MAX_HAND_OVERS];
	bool hand_several[MAX_HAND_OVERS];

	/* What a call loses now, for deliver(): of [losing, losing_end). */
	bool loses;
	size_t losing, losing_end;
	unsigned long reported;		/* bits: of which segments it was reported */
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
	/* What mappings that ended have left (rule 3b), whose, and what was known then. */
	struct bits stale, perhaps_stale;
	u64 stale_devices;
	u32 stale_since;
};

/* What a worker does now, and what the log said to it. */
struct want {
	bool active;
	const char *type, *fn;
	unsigned long addr;
	size_t size;
	struct buffer *loses;		/* of which mappings may lose writes */
	atomic_t reports, lost;
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

static int device_of(const struct report *r)
{
	const char *id = strstr(r->device, NAME ".");
	int device;

	return id && sscanf(id + strlen(NAME "."), "%d", &device) == 1 ? device : -1;
}

static bool any_bit(const struct bits *bits, size_t start, size_t end)
{
	while (start < end) {
		if (bits->byte[start / 8] & BIT(start % 8))
			return true;
		start = bits->byte[start / 8] ? start + 1 : round_up(start + 1, 8);
	}
	return false;
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

/* Is it about a write that is lost now? */
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

/* A report is complete: whose is it? */
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

static bool get_bit(const struct bits *bits, size_t i)
{
	return bits->byte[i / 8] & BIT(i % 8);
}

static void set_bits(struct bits *bits, size_t start, size_t end, bool on)
{
	size_t i;

	for (i = start; i < end; i++) {
		if (i % 8 == 0 && end - i >= 8) {
			bits->byte[i / 8] = on ? 0xff : 0;
			i += 7;
		} else if (on) {
			bits->byte[i / 8] |= BIT(i % 8);
		} else {
			bits->byte[i / 8] &= ~BIT(i % 8);
		}
	}
}

static bool is_empty(const struct bits *bits)
{
	return !memchr_inv(bits->byte, 0, sizeof(bits->byte));
}

/* The bits of the granules that [start, end) touches. */
static void clear_granules(struct bits *bits, size_t start, size_t end)
{
	set_bits(bits, round_down(start, GRANULE), round_up(end, GRANULE), false);
}

/* In which direction the device owns a byte. */
static u8 dir_of_byte(const struct map *m, size_t i)
{
	return m->hand_dir[m->hand_over[i]];
}

/* The bytes of a granule that exist. */
static u8 existing(const struct buffer *b, size_t granule)
{
	return b->source == KMALLOC && granule == b->size / GRANULE ?
	       BIT(b->size % GRANULE) - 1 : 0xff;
}

/*
 * Is a granule guarded by this mapping? Its device must own all 8 bytes, in one direction;
 * or all that exist, where the mapping ends with the memory. Not if a write to it is
 * pending, and only perhaps if that is not sure.
 */
static enum knowledge guards(const struct buffer *b, const struct map *m, size_t granule)
{
	size_t i = granule * GRANULE;
	u8 dir = dir_of_byte(m, i);

	if (m->owned.byte[granule] != existing(b, granule) || m->pending.byte[granule])
		return UNKNOWN;
	for (; i < b->size && i < (granule + 1) * GRANULE; i++)
		if (dir_of_byte(m, i) != dir)
			return UNKNOWN;
	return m->hazy.byte[granule] ? MAYBE : KNOWN;
}

/* What is right about an access. */
struct answer {
	bool legal;	/* no device owns any of it, or it may be read, or written and synced */
	bool must;	/* it is to be reported */
	bool may;	/* it can be */
	bool unseen;	/* a byte is in a granule that is not guarded */
	u64 devices;	/* that the report may name, as bits */
	/* Of a write: whether the guard notices it, and whether it must. */
	enum knowledge seen, needs;
	bool pends, freshens;
};

/* The bytes of a granule that an access touches. */
static u8 touched_by(const struct access *a, size_t granule)
{
	u8 touched = 0xff;

	if (granule == a->start / GRANULE)
		touched &= 0xff << a->start % GRANULE;
	if (granule == (a->start + a->size - 1) / GRANULE)
		touched &= 0xff >> (7 - (a->start + a->size - 1) % GRANULE);
	return touched;
}

/* Of the bytes of a granule those that the device owns to read (or else, also to write). */
static u8 owned_to(const struct map *m, size_t granule, bool read)
{
	u8 owned = m->owned.byte[granule], mask = 0;
	unsigned int i;

	for (i = 0; i < GRANULE; i++)
		if ((owned & BIT(i)) &&
		    (dir_of_byte(m, granule * GRANULE + i) == DMA_TO_DEVICE) == read)
			mask |= BIT(i);
	return mask;
}

static void forbid(struct answer *answer, enum knowledge known, enum knowledge guarded)
{
	if (guarded == UNKNOWN) {
		answer->unseen = true;
		return;
	}
	answer->may = true;
	answer->must |= known == KNOWN && guarded == KNOWN;
}

/* Does another mapping own a granule whose device only reads? Then reads do not trap. */
static bool is_read_elsewhere(const struct buffer *b, size_t granule)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && owned_to(m, granule, true))
			return true;
	return false;
}

/* Rules 4, 5 and 6b, of one mapping. */
static void ask_map(const struct buffer *b, const struct access *a, const struct map *m,
		    u32 now, struct answer *answer)
{
	size_t first = a->start / GRANULE, last = (a->start + a->size - 1) / GRANULE, g;
	enum knowledge known = knows(m, now);
	bool write = ops[a->op].write;

	for (g = first; g <= last; g++) {
		enum knowledge guarded = guards(b, m, g);
		u8 touched = touched_by(a, g), forbidden = owned_to(m, g, false);
		u8 sent = write ? owned_to(m, g, true) : 0;

		if (strict) {
			forbidden |= sent;
			sent = 0;
		}
		if (write && known != UNKNOWN)
			answer->seen = max(answer->seen, min(known, guarded));
		if (sent & touched & ~m->pending.byte[g] && known != UNKNOWN) {
			answer->pends = true;
			answer->needs = max(answer->needs, known);
		}
		if (m->stale.byte[g] && known != UNKNOWN) {
			enum knowledge stale = m->dim.byte[g] ? MAYBE : known;

			if (write) {
				answer->freshens = true;
				answer->needs = max(answer->needs, stale);
				answer->seen = max(answer->seen, stale);
			} else {
				answer->legal = false;
				answer->devices |= BIT_ULL(m->id);
				forbid(answer, stale, is_read_elsewhere(b, g) ? MAYBE : KNOWN);
			}
		} else if (m->stale.byte[g] && !write) {
			answer->legal = false;
		}
		if (!(forbidden & touched))
			continue;
		answer->legal = false;
		if (known == UNKNOWN)
			continue;
		answer->devices |= BIT_ULL(m->id);
		forbid(answer, known, guarded);
	}
}

/* What is known now of what ended mappings have left. */
static enum knowledge knows_stale(const struct buffer *b, u32 now)
{
	if (ERA(b->stale_since) != ERA(now))
		return UNKNOWN;
	return PROMISE(now) == STRICT && b->stale_since == now ? KNOWN : MAYBE;
}

/* Rule 3b. */
static void ask_stale(const struct buffer *b, const struct access *a, u32 now,
		      struct answer *answer)
{
	size_t first = a->start / GRANULE, last = (a->start + a->size - 1) / GRANULE, g;
	enum knowledge known = knows_stale(b, now);

	for (g = first; g <= last; g++) {
		bool sure = b->stale.byte[g] && known == KNOWN;

		if (known == UNKNOWN || !(b->stale.byte[g] | b->perhaps_stale.byte[g]))
			continue;
		if (ops[a->op].write) {
			answer->freshens = true;
			answer->needs = max(answer->needs, sure ? KNOWN : MAYBE);
			answer->seen = max(answer->seen, sure ? KNOWN : MAYBE);
			continue;
		}
		answer->legal = false;
		answer->devices |= b->stale_devices;
		forbid(answer, sure ? KNOWN : MAYBE, is_read_elsewhere(b, g) ? MAYBE : KNOWN);
	}
}

static struct answer ask(const struct buffer *b, const struct access *a, u32 now)
{
	struct answer answer = { .legal = true };
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			ask_map(b, a, m, now, &answer);
	ask_stale(b, a, now, &answer);
	return answer;
}

/* Is a byte owned by a device that may write to it? */
static enum knowledge is_writable(const struct buffer *b, size_t i, u32 now)
{
	enum knowledge most = UNKNOWN;
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && get_bit(&m->owned, i) && dir_of_byte(m, i) != DMA_TO_DEVICE)
			most = max(most, knows(m, now));
	return most;
}

/* Rule 4: a write was noticed, of what devices own to read. */
static void note_pending(struct buffer *b, const struct access *a, struct map *m, u32 now,
			 enum knowledge seen)
{
	enum knowledge known = min(knows(m, now), seen), writable;
	size_t i;

	for (i = a->start; known != UNKNOWN && i < a->start + a->size; i++) {
		if (!get_bit(&m->owned, i) || dir_of_byte(m, i) != DMA_TO_DEVICE ||
		    get_bit(&m->pending, i))
			continue;
		/* Reported at once. */
		writable = is_writable(b, i, now);
		if (writable == KNOWN)
			continue;
		set_bits(writable == UNKNOWN && known == KNOWN ? &m->pending : &m->hazy,
			 i, i + 1, true);
	}
}

/* The write was made. */
static void note_write(struct buffer *b, const struct access *a, const struct answer *answer,
		       u32 now)
{
	struct map *m;

	if (!strict && answer->pends)
		for (m = b->map; m < b->map + NR_MAPS; m++)
			if (m->live)
				note_pending(b, a, m, now, answer->seen);
	if (!answer->freshens)
		return;
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			clear_granules(&m->stale, a->start, a->start + a->size);
	clear_granules(&b->stale, a->start, a->start + a->size);
	clear_granules(&b->perhaps_stale, a->start, a->start + a->size);
}

/*
 * Mapped, or synced: what others have left there is stale no more, if the tool knows of the
 * mapping.
 */
static void forget_stale(struct buffer *b, size_t start, size_t end, enum knowledge known)
{
	size_t g;

	if (known == KNOWN) {
		clear_granules(&b->stale, start, end);
		clear_granules(&b->perhaps_stale, start, end);
		return;
	}
	for (g = start / GRANULE; known == MAYBE && g <= (end - 1) / GRANULE; g++) {
		b->perhaps_stale.byte[g] |= b->stale.byte[g];
		b->stale.byte[g] = 0;
	}
}

/*
 * The device of @m may write to [start, end): what packets of others have left there is
 * fresh. The tool does not look across the border of a region for that.
 */
static void freshen_others(struct buffer *b, const struct map *m, size_t start, size_t end,
			   u32 now)
{
	enum knowledge known = b->source == WINDOW ? min(knows(m, now), MAYBE) : knows(m, now);
	struct map *o;

	if (m->dir == DMA_TO_DEVICE || known == UNKNOWN)
		return;
	for (o = b->map; o < b->map + NR_MAPS; o++) {
		size_t g;

		if (o == m || !o->live)
			continue;
		for (g = start / GRANULE; g <= (end - 1) / GRANULE; g++)
			if (known == MAYBE || o->stale.byte[g])
				o->dim.byte[g] = 0xff;
		/* Of a granule at the border only a part is. */
		if (known == KNOWN && round_up(start, GRANULE) < round_down(end, GRANULE))
			clear_granules(&o->stale, round_up(start, GRANULE),
				       round_down(end, GRANULE));
	}
}

/*
 * [start, end) has changed hands. What ended mappings have left stale beside it, in the
 * same line, may have lost its poison.
 */
static void dim_beside(struct buffer *b, size_t start, size_t end)
{
	size_t from = (start - min_t(size_t, start, 128)) / GRANULE;
	size_t to = min_t(size_t, end + 128, MAX_SIZE) / GRANULE, g;

	for (g = from; g < to; g++) {
		if (g >= DIV_ROUND_UP(start, GRANULE) && g < end / GRANULE)
			continue;
		b->perhaps_stale.byte[g] |= b->stale.byte[g];
		b->stale.byte[g] = 0;
	}
}

static void clear_stale(struct buffer *b)
{
	memset(&b->stale, 0, sizeof(b->stale));
	memset(&b->perhaps_stale, 0, sizeof(b->perhaps_stale));
}

/* What is left of other hand-overs is not all of a call's any more. */
static void cut_others(struct map *m, size_t start, size_t end)
{
	size_t i;

	for (i = start; i < end; i++)
		if (!m->owned.byte[i / 8])
			i |= 7;
		else if (get_bit(&m->owned, i))
			m->hand_several[m->hand_over[i]] = true;
}

/*
 * A call gives [start, end) to the device. One with DMA_FROM_DEVICE sends nothing: what is
 * pending stays so.
 */
static void hand_over(struct map *m, size_t start, size_t end, u8 dir)
{
	unsigned int nr = m->hand_overs++;
	size_t i;

	m->hand_dir[nr] = dir;
	m->hand_start[nr] = start;
	m->hand_several[nr] = false;
	clear_granules(&m->stale, start, end);
	cut_others(m, start, end);
	if (dir == DMA_FROM_DEVICE &&
	    (any_bit(&m->pending, start, end) || any_bit(&m->hazy, start, end))) {
		for (i = start; i < end; i++)
			if (!get_bit(&m->pending, i) && !get_bit(&m->hazy, i)) {
				set_bits(&m->owned, i, i + 1, true);
				m->hand_over[i] = nr;
			}
		return;
	}
	memset(&m->hand_over[start], nr, end - start);
	set_bits(&m->owned, start, end, true);
	set_bits(&m->pending, start, end, false);
	set_bits(&m->hazy, start, end, false);
}

/* The hand-over that a sync for the CPU of [start, end) ends in, -1 if in none. */
static int cut_hand_over(const struct map *m, size_t start, size_t end)
{
	size_t segment_end = m->segment[0].start + m->segment[0].size;

	return end < segment_end && get_bit(&m->owned, end - 1) && get_bit(&m->owned, end) &&
	       m->hand_over[end - 1] == m->hand_over[end] &&
	       dir_of_byte(m, end) != DMA_TO_DEVICE ? m->hand_over[end] : -1;
}

/* Does a sync begin after what may be headroom, of a page? The tool judges by more. */
static bool skips_headroom(const struct map *m, size_t start)
{
	return m->segment[0].size >= PAGE_SIZE && start > m->segment[0].start &&
	       get_bit(&m->owned, start - 1) &&
	       start - m->hand_start[m->hand_over[start - 1]] <= MOST_HEADROOM;
}

/*
 * Rule 6b leaves open what a sync says of a hand-over that was not one packet before, and
 * of what is left of such beside one that is.
 */
static bool is_clear(const struct map *m, size_t start, size_t end)
{
	size_t segment_end = m->segment[0].start + m->segment[0].size, i = end;
	int nr = cut_hand_over(m, start, end);

	if (skips_headroom(m, start))
		return false;
	if (nr >= 0 && start > m->hand_start[nr])
		return true;
	if (nr >= 0 && m->hand_several[nr])
		return false;
	while (nr >= 0 && i < segment_end && get_bit(&m->owned, i) && m->hand_over[i] == nr)
		i++;
	return i >= segment_end || !get_bit(&m->owned, i) ||
	       dir_of_byte(m, i) == DMA_TO_DEVICE || !m->hand_several[m->hand_over[i]];
}

/* The CPU gets [start, end) by a sync that brings something back, or of what is only read. */
static void take_back(struct map *m, size_t start, size_t end)
{
	int nr = cut_hand_over(m, start, end);
	size_t i;

	cut_others(m, start, end);
	set_bits(&m->owned, start, end, false);
	clear_granules(&m->stale, start, end);
	if (nr < 0 || start > m->hand_start[nr] || strict)
		return;
	/* The leading part: the device is done with the rest. */
	for (i = end; i < m->segment[0].start + m->segment[0].size &&
	     get_bit(&m->owned, i) && m->hand_over[i] == nr; i++)
		;
	set_bits(&m->owned, end, i, false);
	if (!m->wide && round_up(end, GRANULE) < round_down(i, GRANULE)) {
		set_bits(&m->stale, round_up(end, GRANULE), round_down(i, GRANULE), true);
		set_bits(&m->dim, round_up(end, GRANULE), round_down(i, GRANULE), false);
	}
}

/* Rule 3b: what the device still owned, and may have written, of whole granules. */
static void leave_stale(struct buffer *b, const struct map *m, u32 now)
{
	enum knowledge known = min(knows(m, now), m->lined);
	size_t g, first, last;
	unsigned int i;

	if (known == UNKNOWN)
		return;
	if (knows_stale(b, now) == UNKNOWN ||
	    (is_empty(&b->stale) && is_empty(&b->perhaps_stale))) {
		clear_stale(b);
		b->stale_devices = 0;
		b->stale_since = now;
	} else if (b->stale_since != now) {
		b->stale_since = (b->stale_since & ~3U) | LOOSE;
	}
	for (i = 0; i < m->nr; i++) {
		enum knowledge sure = known;

		first = m->segment[i].start / GRANULE;
		last = (m->segment[i].start + m->segment[i].size - 1) / GRANULE;
		/* Those of mappings that cross a border of 2 MiB are not remembered. */
		if (b->source == WINDOW && first < b->size / 2 / GRANULE &&
		    last >= b->size / 2 / GRANULE)
			sure = MAYBE;
		for (g = first; g <= last; g++) {
			if (m->stale.byte[g] != 0xff &&
			    (m->owned.byte[g] != 0xff || owned_to(m, g, true)))
				continue;
			b->stale_devices |= BIT_ULL(m->id);
			/* Of two directions, each is left alone. */
			if (sure == KNOWN && (m->stale.byte[g] ? !m->dim.byte[g] :
					      guards(b, m, g) == KNOWN))
				b->stale.byte[g] = 0xff;
			else
				b->perhaps_stale.byte[g] = 0xff;
		}
	}
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
		n += scnprintf(text + n, size - n, " device %d %s born %x %s%s%s%s", m->id,
			       dirs[m->dir], m->born, knowledge[knows(m, now)],
			       m->skips ? " skips" : "",
			       m->list ? " list" : "", m->twin ? " twin" : "");
		for (i = 0; i < m->nr; i++)
			n += scnprintf(text + n, size - n, " [%u, %u)", m->segment[i].start,
				       m->segment[i].start + m->segment[i].size);
		n += scnprintf(text + n, size - n,
			       ", from granule %zu owned/to read/pending/hazy/stale:",
			       a->start / GRANULE);
		for (g = a->start / GRANULE;
		     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
			n += scnprintf(text + n, size - n, " %02x/%02x/%02x/%02x/%02x",
				       m->owned.byte[g], owned_to(m, g, true),
				       m->pending.byte[g], m->hazy.byte[g], m->stale.byte[g]);
		n += scnprintf(text + n, size - n, "\n");
	}
	n += scnprintf(text + n, size - n, "stale, perhaps, since %x:", b->stale_since);
	for (g = a->start / GRANULE;
	     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
		n += scnprintf(text + n, size - n, " %02x/%02x", b->stale.byte[g],
			       b->perhaps_stale.byte[g]);
	n += scnprintf(text + n, size - n, "\n");
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
static void wait_for_report(struct worker *w)
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

static int end_want(struct worker *w)
{
	WRITE_ONCE(w->want.active, false);
	w->counters[REPORTS] += atomic_read(&w->want.reports) + atomic_read(&w->want.lost);
	return atomic_read(&w->want.reports);
}

/* The mappings are gone, and the log is not read any more. */
static bool ending;

/* What a call loses of the pending writes to [start, end) of a mapping is to be reported. */
static void expect_loss(struct worker *w, struct buffer *b, struct map *m, size_t start,
			size_t end, u32 now)
{
	m->losing = start;
	m->losing_end = end;
	m->reported = 0;
	m->loses = knows(m, now) != UNKNOWN &&
		   (any_bit(&m->pending, start, end) || any_bit(&m->hazy, start, end));
	if (m->loses)
		w->want.loses = b;
}

/* The call has been made. */
static void check_loss(struct worker *w, struct buffer *b, struct map *m, u32 before, u32 after)
{
	bool sure = before == after && knows(m, before) == KNOWN;
	unsigned int i;

	for (i = 0; m->loses && sure && !READ_ONCE(ending) && i < m->nr; i++) {
		size_t end = m->segment[i].start + m->segment[i].size;
		struct access lost = { .op = OP_FILL };

		lost.start = max_t(size_t, m->losing, m->segment[i].start);
		end = min(m->losing_end, end);
		if (!any_bit(&m->pending, lost.start, end))
			continue;
		count(w, LOST);
		if (m->reported & BIT(i))
			continue;
		count(w, MISSES);
		/* The first that was lost. */
		while (!get_bit(&m->pending, lost.start))
			lost.start++;
		lost.size = min_t(size_t, end - lost.start, 64);
		fail_access(w, "missed loss of a write", b, &lost, atomic_read(&w->want.lost),
			    before, after);
	}
	m->loses = false;
	set_bits(&m->pending, m->losing, m->losing_end, false);
	set_bits(&m->hazy, m->losing, m->losing_end, false);
}

/* What is known if the state has changed meanwhile. */
static u32 both_states(u32 before, u32 after)
{
	return before == after ? before : (before & ~3U) | LOOSE;
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
	/* Nor is it known to be pending then, or that what was stale is fresh. */
	if (ops[a.op].write && answer.needs != UNKNOWN &&
	    (unchecked || answer.seen < answer.needs))
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
	if (ops[a.op].write) {
		note_write(b, &a, &answer, both_states(before, after));
		w->counters[PENDING] += answer.pends;
		w->counters[STALE] += answer.freshens;
	}

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

static void begin_map(struct buffer *b, struct map *m, unsigned long attrs, u32 now)
{
	unsigned int i;

	m->born = now;
	m->lined = lined;
	m->skips = attrs & DMA_ATTR_SKIP_CPU_SYNC;
	memset(&m->owned, 0, sizeof(m->owned));
	memset(&m->pending, 0, sizeof(m->pending));
	memset(&m->hazy, 0, sizeof(m->hazy));
	memset(&m->stale, 0, sizeof(m->stale));
	memset(&m->dim, 0, sizeof(m->dim));
	m->hand_overs = 0;
	m->loses = false;
	m->wide = false;
	m->live = true;
	for (i = 0; i < m->nr; i++) {
		size_t start = m->segment[i].start, end = start + m->segment[i].size;

		m->wide |= b->source == WINDOW && start < b->size / 2 && end > b->size / 2;
		forget_stale(b, start, end, knows(m, now));
		dim_beside(b, start, end);
		if (!attrs) {
			freshen_others(b, m, start, end, now);
			hand_over(m, start, end, m->dir);
		}
	}
}

static void sync_call(struct map *m, size_t start, size_t size, u8 dir, bool to_device)
{
	dma_addr_t dma = m->segment[0].dma;

	if (m->list && to_device)
		dma_sync_sg_for_device(m->dev, m->sg, m->nr, dir);
	else if (m->list)
		dma_sync_sg_for_cpu(m->dev, m->sg, m->nr, dir);
	else if (to_device)
		dma_sync_single_range_for_device(m->dev, dma, start, size, dir);
	else
		dma_sync_single_range_for_cpu(m->dev, dma, start, size, dir);
}

/* [start, end) of the buffer was synced: rules 2, 4 and 6b. */
static void end_sync(struct buffer *b, struct map *m, size_t start, size_t end, u8 dir,
		     bool to_device, u32 now)
{
	enum knowledge known = knows(m, now);
	size_t i;

	dim_beside(b, start, end);
	if (to_device) {
		/* It sends nothing, and the device cannot write either. */
		if (dir == DMA_FROM_DEVICE && m->dir == DMA_TO_DEVICE)
			return;
		forget_stale(b, start, end, known);
		freshen_others(b, m, start, end, now);
		hand_over(m, start, end, dir);
	} else if (dir != DMA_TO_DEVICE) {
		forget_stale(b, start, end, known);
		take_back(m, start, end);
	} else {
		/* It brings nothing back: what the device may write stays its own. */
		forget_stale(b, start, end, min(known, MAYBE));
		for (i = start; i < end; i++)
			if (get_bit(&m->owned, i) && dir_of_byte(m, i) == DMA_TO_DEVICE)
				set_bits(&m->owned, i, i + 1, false);
	}
}

/* Of all segments of a list, or of some bytes of what is none, from its start on. */
static void sync(struct worker *w, struct buffer *b, struct map *m, size_t start, size_t size,
		 u8 dir, bool to_device)
{
	bool brings = !to_device && dir != DMA_TO_DEVICE;
	u32 before = get_state(), after;
	unsigned int i;

	if (m->hand_overs + m->nr > MAX_HAND_OVERS)
		return;
	start += m->segment[0].start;
	if (brings && !m->list && !is_clear(m, start, start + size))
		return;
	count(w, dir == m->dir || m->dir == DMA_BIDIRECTIONAL ? SYNCS : SYNCS_IDLE);
	begin_want(w, NULL, NULL, NULL, 0);
	if (brings)
		expect_loss(w, b, m, m->list ? 0 : start, m->list ? b->size : start + size,
			    before);
	sync_call(m, start - m->segment[0].start, size, dir, to_device);
	if (w->want.loses)
		wait_for_report(w);
	end_want(w);
	after = get_state();
	if (brings)
		check_loss(w, b, m, before, after);
	for (i = 0; i < m->nr; i++)
		end_sync(b, m, m->list ? m->segment[i].start : start,
			 m->list ? m->segment[i].start + m->segment[i].size : start + size,
			 dir, to_device, both_states(before, after));
}

static bool owns_something(const struct map *m)
{
	return !is_empty(&m->owned) || !is_empty(&m->pending) || !is_empty(&m->hazy);
}

static bool is_alike(const struct map *m, const struct map *other)
{
	return m->born == other->born && m->lined == other->lined && m->skips == other->skips &&
	       !memcmp(&m->owned, &other->owned, sizeof(m->owned)) &&
	       !memcmp(&m->pending, &other->pending, sizeof(m->pending)) &&
	       !memcmp(&m->hazy, &other->hazy, sizeof(m->hazy)) &&
	       !memcmp(&m->stale, &other->stale, sizeof(m->stale)) &&
	       (m->dir == DMA_TO_DEVICE ||
		(m->hand_overs == other->hand_overs &&
		 !memcmp(m->hand_over, other->hand_over, sizeof(m->hand_over))));
}

/* Would a sync of [start, end) change what it gives to the device, or takes? */
static bool is_changed(const struct map *m, size_t start, size_t end, bool to_device)
{
	size_t i;

	for (i = start; i < end; i++)
		if (to_device ? !get_bit(&m->owned, i) || get_bit(&m->pending, i) :
				get_bit(&m->owned, i) || get_bit(&m->pending, i))
			return true;
	return false;
}

/* Of 8 bytes to which a write is pending the tool does not know whose the rest is. */
static bool is_vague(const struct map *m, size_t start, size_t end)
{
	for (; start < end; start++)
		if (m->hazy.byte[start / 8] || m->stale.byte[start / 8] ||
		    (m->pending.byte[start / 8] && !get_bit(&m->pending, start)))
			return true;
	return false;
}

/*
 * Which of two equal mappings is meant by a sync of [start, end)? The one that it changes;
 * NULL if that does not tell.
 */
static struct map *which_syncs(struct map *m, size_t start, size_t end, bool to_device)
{
	bool changed, other;

	if (!m->twin || is_alike(m, m->twin))
		return m;
	if (m->born != m->twin->born || is_vague(m, start, end) ||
	    is_vague(m->twin, start, end))
		return NULL;
	changed = is_changed(m, start, end, to_device);
	other = is_changed(m->twin, start, end, to_device);
	if (changed == other)
		return NULL;
	return changed ? m : m->twin;
}

static void step_sync(struct worker *w, struct buffer *b, bool to_device)
{
	struct map *m = random_map(w, b);
	size_t start, size;
	u8 dir;

	if (!m)
		return;
	start = rnd(w, 3) ? rnd(w, m->segment[0].size) : 0;
	size = rnd(w, 3) ? 1 + rnd(w, m->segment[0].size - start) : m->segment[0].size - start;
	/* Whole granules as often as not. */
	if (rnd(w, 2)) {
		size = round_up(size, GRANULE);
		start = round_down(start, GRANULE);
		size = min_t(size_t, size, m->segment[0].size - start);
	}
	dir = m->dir;
	/* For the device in two directions: it is not said what it owns then. */
	if (!rnd(w, 6) && (!to_device || m->dir != DMA_FROM_DEVICE))
		dir = rnd(w, 2) ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
	/* A mistake can go to either of two. */
	if (m->twin && dir != m->dir)
		return;
	m = which_syncs(m, m->segment[0].start + start, m->segment[0].start + start + size,
			to_device);
	if (m)
		sync(w, b, m, start, size, dir, to_device);
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

	before = get_state();
	if (!map_memory(b, m, attrs)) {
		count(w, MAP_ERRORS);
		return;
	}
	begin_map(b, m, attrs, both_states(before, get_state()));
	count(w, m->list ? LISTS : MAPS);
}

/* The same memory once more for the same device. Rule 3c says which an unmap ends. */
static void step_map_twin(struct worker *w, struct buffer *b)
{
	unsigned long attrs = rnd(w, 4) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	struct map *m = random_map(w, b), *twin = free_slot(b);
	u32 before;

	if (!m || !twin || m->list || m->twin)
		return;
	*twin = *m;
	twin->live = false;
	before = get_state();
	if (!map_memory(b, twin, attrs)) {
		count(w, MAP_ERRORS);
		return;
	}
	begin_map(b, twin, attrs, both_states(before, get_state()));
	twin->twin = m;
	m->twin = twin;
	count(w, TWINS);
}

/* Rule 3c: which of two equal mappings ends? NULL if that does not say it. */
static struct map *which_ends(struct map *m, unsigned long attrs)
{
	struct map *twin = m->twin;

	if (!twin || is_alike(m, twin))
		return m;
	/* What the device is done with, is that its own? And did the tool know both? */
	if (m->born != twin->born || !is_empty(&m->stale) || !is_empty(&twin->stale) ||
	    !is_empty(&m->hazy) || !is_empty(&twin->hazy))
		return NULL;
	if (owns_something(m) != owns_something(twin))
		return owns_something(m) ? m : twin;
	if (m->skips != twin->skips)
		return m->skips == !!attrs ? m : twin;
	return NULL;
}

static void unmap_call(struct map *m, unsigned long attrs)
{
	/* Dead before: what happens meanwhile is nobody's access. */
	m->live = false;
	if (m->list)
		dma_unmap_sg_attrs(m->dev, m->sg, m->nr, m->dir, attrs);
	else
		dma_unmap_single_attrs(m->dev, m->segment[0].dma, m->segment[0].size, m->dir,
				       attrs);
}

/* It has ended: rules 3 and 4. */
static void end_map(struct worker *w, struct buffer *b, struct map *m, unsigned long attrs,
		    u32 before, u32 after)
{
	u32 now = both_states(before, after);
	unsigned int i;

	count(w, UNMAPS);
	check_loss(w, b, m, before, after);
	m->twin = NULL;
	if (attrs & DMA_ATTR_SKIP_CPU_SYNC && m->dir != DMA_TO_DEVICE)
		leave_stale(b, m, now);
	/* Also what one entry of a list has left beside the next. */
	for (i = 0; i < m->nr; i++)
		dim_beside(b, m->segment[i].start, m->segment[i].start + m->segment[i].size);
	if (attrs & DMA_ATTR_SKIP_CPU_SYNC)
		return;
	/* It is a sync for the CPU, too. */
	for (i = 0; m->dir != DMA_TO_DEVICE && i < m->nr; i++)
		forget_stale(b, m->segment[i].start, m->segment[i].start + m->segment[i].size,
			     knows(m, now));
}

static void unmap(struct worker *w, struct buffer *b, struct map *m)
{
	unsigned long attrs = rnd(w, 8) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	struct map *ends = which_ends(m, attrs), *other = m->twin;
	u32 before = get_state(), after;

	/* Then both end: that is the same whichever is the first. */
	if (ends)
		other = NULL;
	else
		ends = m;
	begin_want(w, NULL, NULL, NULL, 0);
	expect_loss(w, b, ends, 0, b->size, before);
	if (other)
		expect_loss(w, b, other, 0, b->size, before);
	if (!other && ends->twin)
		ends->twin->twin = NULL;
	unmap_call(ends, attrs);
	if (other)
		unmap_call(other, attrs);
	if (w->want.loses)
		wait_for_report(w);
	end_want(w);
	after = get_state();
	end_map(w, b, ends, attrs, before, after);
	if (other)
		end_map(w, b, other, attrs, before, after);
}

static void step_unmap(struct worker *w, struct buffer *b)
{
	struct map *m = random_map(w, b);

	/* As a good driver does. */
	if (m && rnd(w, 2) && !m->twin && !is_empty(&m->pending))
		sync(w, b, m, 0, m->segment[0].size, m->dir, true);
	if (m)
		unmap(w, b, m);
}

static void unmap_all(struct worker *w, struct buffer *b)
{
	struct map *m;

	/* The first may end another one, equal to it. */
	for (m = b->map; m < b->map + NR_MAPS; m++)
		while (m->live)
			unmap(w, b, m);
}

/* The device writes to what it owns, if no device that owns it may only read it. */
static void step_device_write(struct worker *w, struct buffer *b)
{
	size_t start = rnd(w, b->size), end, i;
	const struct map *m;

	end = min_t(size_t, b->size, start + 64);
	for (i = start; i < end; i++) {
		bool writes = false, reads = false;

		for (m = b->map; m < b->map + NR_MAPS; m++) {
			if (!m->live)
				continue;
			reads |= get_bit(&m->pending, i) || get_bit(&m->hazy, i);
			if (!get_bit(&m->owned, i))
				continue;
			reads |= dir_of_byte(m, i) == DMA_TO_DEVICE;
			writes |= dir_of_byte(m, i) != DMA_TO_DEVICE;
		}
		if (writes && !reads)
			poke(b->mem + i, rnd(w, 256));
	}
	count(w, DEVICE_WRITES);
}

static void one_step(struct worker *w, struct buffer *b)
{
	unsigned int what = rnd(w, 20);

	/* A call there would put all that is stale in doubt. */
	if (what < 10 && is_unchecked())
		return;
	switch (what) {
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

/* Is a write to some of a granule pending, of whichever mapping? */
static bool is_pending(const struct buffer *b, size_t g)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && (m->pending.byte[g] | m->hazy.byte[g]))
			return true;
	return false;
}

/*
 * How many reports the free of a buffer has, at @least so known: one of each mapping whose
 * device owns something. The rest of 8 bytes to which a write is pending counts or does
 * not, of all mappings, and so does what is stale.
 */
static int reports_of_free(const struct buffer *b, u32 now, enum knowledge least)
{
	const struct map *m;
	unsigned int i;
	int n = 0;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		for (i = 0; m->live && knows(m, now) >= least && i < m->nr; i++) {
			size_t g = m->segment[i].start / GRANULE;
			size_t last = (m->segment[i].start + m->segment[i].size - 1) / GRANULE;

			for (; g <= last; g++)
				if (least == KNOWN ?
				    m->owned.byte[g] && !is_pending(b, g) :
				    m->owned.byte[g] | m->stale.byte[g])
					break;
			n += g <= last;
		}
	return n;
}

/* Only while nothing comes and goes: the tool sees frees later than maps. */
static void free_while_mapped(struct worker *w, struct buffer *b)
{
	int least, most, reports;
	struct map *m;

	down_read(&state_sem);
	if (PROMISE(state) == LOOSE) {
		up_read(&state_sem);
		return;
	}
	least = reports_of_free(b, state, KNOWN);
	most = reports_of_free(b, state, MAYBE);
	begin_want(w, "free-while-mapped", "torture_free", b->mem, b->size);
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			expect_loss(w, b, m, 0, b->size, state);
	torture_free(b);
	wait_for_report(w);
	reports = end_want(w);
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			check_loss(w, b, m, state, state);
	if (reports < least || reports > most) {
		struct access all = { .size = b->size };

		count(w, reports < least ? MISSES : FALSE_REPORTS);
		fail_access(w, reports < least ? "missed free" : "false report of a free", b,
			    &all, reports, state, state);
	}
	w->counters[FREES] += least;
	w->counters[EITHER_REPORTED] += reports - least;
	unmap_all(w, b);
	up_read(&state_sem);
	clear_stale(b);
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
	clear_stale(b);
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
	static const char * const commands[] = {
		"loose", "strict", "out", "pause", "resume",
		/* With the workers at rest, or the tool out. */
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
		WRITE_ONCE(lined, UNKNOWN + err - 5);
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
	WRITE_ONCE(ending, true);
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
