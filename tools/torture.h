/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Torture: what its files share. torture_main.c starts and stops it, and has debugfs;
 * torture_work.c has the workers, their contexts and memory; torture_steps.c what a worker
 * does with a mapping, torture_access.c an access to it; torture_model.c knows the right
 * answer; torture_log.c reads what the tool says, and keeps failures.
 *
 * Locks: state_sem > lock of a shared buffer (raw, interrupts off, around calls of the DMA
 * API and accesses) > failure_lock (raw, taken inside printk, nests nothing).
 */
#ifndef DMA_OWNER_DEBUG_TOOLS_TORTURE_H
#define DMA_OWNER_DEBUG_TOOLS_TORTURE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/prandom.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>

#include "../base/compat.h"

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

/* === What is counted ====================================================== */

enum counter {
	MAPS, LISTS, TWINS, UNMAPS, SYNCS, SYNCS_IDLE, DEVICE_WRITES, LEGAL, PENDING, STALE,
	ILLEGAL, FREES, LOST, REPORTS, ILLEGAL_UNKNOWN, ILLEGAL_IN_GRANULE,
	ILLEGAL_UNCHECKED, ILLEGAL_EITHER, EITHER_REPORTED,
	MISSES, FALSE_REPORTS, WRONG_DATA, MAP_ERRORS, BUFFERS, NO_MEMORY, NR_COUNTERS
};

/* Where a batch of steps runs. */
enum context {
	IN_TASK, BH_OFF, IRQS_OFF, IN_TASKLET, IN_TIMER, IN_HRTIMER, IN_IRQ_WORK,
	NR_CONTEXTS
};

extern const char * const context_names[NR_CONTEXTS];

/* === What the tool can know =============================================== */

/*
 * What the script promises: STRICT, the tool is loaded and stays; OUT, it is not loaded;
 * LOOSE, it may be loaded, unloaded, or be out of records. The word also has a sequence
 * number, new with each promise, and an era, new with each OUT: nothing is known of an
 * earlier era.
 */
enum promise { LOOSE, STRICT, OUT };

#define PROMISE(word)	((word) & 3)
#define ERA(word)	((word) >> 16)

enum knowledge { UNKNOWN, MAYBE, KNOWN };

extern u32 state;
extern struct rw_semaphore state_sem;

/*
 * The tool's parameters, set by the script while the workers are at rest: whether devices
 * are judged as if they were not coherent (noncoherent=), and strict=1.
 */
extern enum knowledge noncoherent;
extern bool strict;

void set_state(enum promise promise);
u32 get_state(void);
u32 both_states(u32 before, u32 after);

/* === Buffers and mappings ================================================= */

/* A bit for each byte of a buffer: bit n % 8 of byte[n / 8]. So each byte here is a granule. */
struct bits {
	u8 byte[MAX_SIZE / 8];
};

#define MAX_HAND_OVERS	256

/*
 * A mapping, and the state of each byte of the buffer in it. The device owns a byte since a
 * hand-over: a map or a sync for the device. Of each hand-over the model keeps the
 * direction, where it began, and whether it holds several packets (rule 6b), as a sync for
 * the CPU of a part in its middle says, or whether that cannot be told.
 */
struct map {
	bool live, list, skips;		/* mapped with DMA_ATTR_SKIP_CPU_SYNC */
	u8 dir, nr;
	enum knowledge noncoherent;
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
	/* Rule 4, for bytes that a device only reads. Hazy: the tool may know of the write. */
	struct bits pending, hazy;
	/* Rule 6b, for whole granules. Dim: the tool may know that they are not stale. */
	struct bits stale, dim;
	bool spanning;			/* it crosses a border of 2 MiB */
	u8 hand_over[MAX_SIZE];		/* since which it is owned */
	unsigned int hand_overs;
	u8 hand_dir[MAX_HAND_OVERS];
	u16 hand_start[MAX_HAND_OVERS];
	bool hand_several[MAX_HAND_OVERS];

	/* The call that runs now loses pending writes to [losing, losing_end): for deliver(). */
	bool loses;
	size_t losing, losing_end;
	unsigned long reported;		/* bits: of which segments it was reported */
};

enum source { KMALLOC, PAGES, WINDOW };

/*
 * A buffer of one worker, or of all workers: those have a lock. It has one mapping of a
 * device at a time, or two equal ones: else the API leaves open which one a call means.
 */
struct buffer {
	raw_spinlock_t lock;
	bool shared;
	enum source source;
	unsigned int order;
	u8 *mem;
	size_t size;
	struct map map[NR_MAPS];
	/* Stale bytes of mappings that ended (rule 3b), their devices, and the state then. */
	struct bits stale, perhaps_stale;
	u64 stale_devices;
	u32 stale_since;
};

/* What a worker does now, and which reports of it were in the log. */
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

extern unsigned int nr_workers;
extern struct worker *workers[MAX_WORKERS];
extern struct buffer *shared[NR_SHARED];

extern bool go_on, stopped, paused;
/* Workers at rest, while paused or stopped. */
extern atomic_t parked;
extern wait_queue_head_t parking;

static inline u32 rnd(struct worker *w, u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

static inline void count(struct worker *w, enum counter counter)
{
	w->counters[counter]++;
}

/* === Accesses ============================================================= */

enum op { OP_READ, OP_WRITE, OP_ATOMIC, OP_COPY_FROM, OP_COPY_TO, OP_FILL, NR_OPS };

struct op_row {
	const char *fn;
	bool write, range;
};

extern const struct op_row ops[NR_OPS];

struct access {
	enum op op;
	size_t start, size;
};

void torture_fill(void *p, size_t size);
void torture_free(struct buffer *b);
void poke(u8 *p, u8 value);
u8 shadow_of(const u8 *p);
bool is_unchecked(void);
void step_access(struct worker *w, struct buffer *b);

/* === The model ============================================================ */

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

static inline bool get_bit(const struct bits *bits, size_t i)
{
	return bits->byte[i / 8] & BIT(i % 8);
}

static inline bool any_bit(const struct bits *bits, size_t start, size_t end)
{
	while (start < end) {
		if (bits->byte[start / 8] & BIT(start % 8))
			return true;
		start = bits->byte[start / 8] ? start + 1 : round_up(start + 1, 8);
	}
	return false;
}

enum knowledge knows(const struct map *m, u32 now);
void set_bits(struct bits *bits, size_t start, size_t end, bool on);
bool is_empty(const struct bits *bits);
u8 dir_of_byte(const struct map *m, size_t i);
struct answer ask(const struct buffer *b, const struct access *a, u32 now);
void note_write(struct buffer *b, const struct access *a, const struct answer *answer,
		u32 now);
void forget_stale(struct buffer *b, size_t start, size_t end, enum knowledge known);
void freshen_others(struct buffer *b, const struct map *m, size_t start, size_t end,
		    u32 now);
void dim_beside(struct buffer *b, size_t start, size_t end);
void clear_stale(struct buffer *b);
void hand_over(struct map *m, size_t start, size_t end, u8 dir);
void note_sync_for_cpu(struct map *m, size_t start, size_t end);
bool is_clear(const struct map *m, size_t start, size_t end);
void leave_stale(struct buffer *b, const struct map *m, u32 now);
void fail_access(struct worker *w, const char *what, const struct buffer *b,
		 const struct access *a, int reports, u32 before, u32 after);

/* === The log, and failures ================================================ */

#define FAILURES_KEPT	6
#define FAILURE_LENGTH	2048

extern char failures[FAILURES_KEPT][FAILURE_LENGTH];
extern int nr_failures;
/* Reports that no worker waited for, and complaints of the kernel's. */
extern atomic_t unexpected, complaints;

int log_start(void);
void log_stop(void);

__printf(1, 2)
void fail(const char *fmt, ...);

void begin_want(struct worker *w, const char *type, const char *fn, const void *addr,
		size_t size);
void wait_for_report(struct worker *w);
int end_want(struct worker *w);

/* === Steps ================================================================ */

/* The mappings are gone, and the log is not read any more. */
extern bool ending;

void expect_loss(struct worker *w, struct buffer *b, struct map *m, size_t start,
		 size_t end, u32 now);
void check_loss(struct worker *w, struct buffer *b, struct map *m, u32 before, u32 after);
void unmap_all(struct worker *w, struct buffer *b);
void run_steps(struct worker *w);

/* === Workers ============================================================== */

struct page *make_window(struct buffer *b);
int work(void *arg);
void start_contexts(struct worker *w);
void stop_contexts(struct worker *w);

#endif /* DMA_OWNER_DEBUG_TOOLS_TORTURE_H */
