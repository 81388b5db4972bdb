/* SPDX-License-Identifier: GPL-2.0 */
/* What people read. Decides nothing: who calls has found a fault, and report/ says so. */
#ifndef DOD_REPORT_H
#define DOD_REPORT_H

#include <linux/compiler.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/jump_label.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "../base/compat.h"
#include "../base/state.h"
#include "../dma_owner_debug.h"

struct seq_file;

/* What can be wrong: a row of types.h each. */
enum dod_report_type {
#define DOD_TYPE(id, ...) DOD_R_##id,
#include "types.h"
	DOD_REPORT_COUNT
};

#define DOD_BYTES_SHOWN	16

/* Bytes that changed: @nr of them are shown, whether each changed or not; 0 for none. */
struct dod_change {
	u64 start;	/* the first that changed, physical */
	unsigned int nr;
	u8 was[DOD_BYTES_SHOWN], is[DOD_BYTES_SHOWN];
};

/**
 * dod_change_show() - remember what is to be shown of bytes that changed. KASAN is off
 * @c: filled in
 * @start: the first of them, physical
 * @was: what they were
 * @nr: how many are known; the first DOD_BYTES_SHOWN of them are shown
 */
static inline void dod_change_show(struct dod_change *c, u64 start, const u8 *was, unsigned int nr)
{
	unsigned int i;

	c->start = start;
	c->nr = min(nr, DOD_BYTES_SHOWN);
	for (i = 0; i < c->nr; i++) {
		c->was[i] = was[i];
		c->is[i] = READ_ONCE(*(u8 *)phys_to_virt(start + i));
	}
}

/* Some bytes, from the physical address @start on; @nr is 0 for none. */
struct dod_bytes {
	u64 start, nr;
};

/**
 * struct dod_finding - what a check found about a mapping
 * @type:	what is wrong
 * @at:		return address of the call that found it; 0 for the map call
 * @text:	sentences that say what was found, with a newline after each
 * @addr:	the buffer's address where that is not in the linear map, else 0
 * @object:	an address whose object is to be named, NULL for none
 * @other:	the other party, NULL if there is none
 * @shared:	what shares the first line, and the last, and the CPU may write; only
 *		for DOD_R_CACHELINE_SHARING without @other
 * @change:	what changed; only for DOD_R_DEVICE_OVERRUN, DOD_R_SHARED_LINE_WRITE and
 *		DOD_R_LATE_DEVICE_WRITE
 * @freed:	what the first bad byte is in has been freed
 * @call:	the map call; for judge/map_*.c, as what follows
 * @bad:	the first byte that must not be accessed
 * @what:	what it is in, NULL if there is none
 * @ram:	after how many bytes the mapping leaves RAM then, 0 if it does not
 * @next:	the first byte of another allocation, 0 if there is none
 */
struct dod_finding {
	enum dod_report_type type;
	unsigned long at;
	char text[512];
	unsigned long addr;
	const void *object;
	struct dod_mapping *other;
	struct dod_bytes shared[2];
	struct dod_change change;
	bool freed;
	const struct dod_call *call;
	u64 bad;
	const char *what;
	u64 ram, next;
};

/* What the filter parameters go by, in the order of their names. */
enum dod_filter_by {
	DOD_BY_TYPE,	/* off_types */
	DOD_BY_DRIVER,	/* off_drivers */
	DOD_BY_DEVICE,	/* off_devices */
	DOD_BY_COUNT
};

#define DOD_REPORT_FRAMES	64	/* of the stack of a report */
#define DOD_RACE_FRAMES		32
#define DOD_RACE_CHARS		120

/* The CPU access of a race that KCSAN has reported. */
struct dod_race {
	unsigned long addr;
	size_t size;
	bool write;
	int pid, cpu;		/* of the task that did it; @pid is -1 in an interrupt */
	u64 when;		/* local_clock() when KCSAN began to say so */
	unsigned int nr_frames;
	/* As KCSAN printed them, from the access outwards. */
	char frames[DOD_RACE_FRAMES][DOD_RACE_CHARS];
};

/* Memory is being freed. */
struct dod_free {
	unsigned long addr;
	u64 size;
	unsigned long ip;	/* return address into the function that frees it */
	const char *found;	/* it was freed unseen: when that was found; else NULL */
};

/* Mappings that were made in one place and are left. */
struct dod_leak {
	struct dod_mapping m;	/* a copy of one of them */
	unsigned int nr;
	u64 bytes;		/* of all of them */
};

/* Mappings of a device that are left. */
struct dod_leaks {
	enum dod_report_type type;
	char text[320];			/* sentences that say what was found, a line each */
	struct dod_leak all;		/* of all mappings; @all.m is not used */
	unsigned int nr;
	struct dod_leak places[32];	/* largest first */
};

/* A fault was found. */
void dod_report_access(enum dod_report_type type, const struct dod_access *access,
		       const struct dod_mapping *m, const struct dod_range *range,
		       unsigned long *frames, unsigned int nr);
void dod_report_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range);
void dod_report_free(const struct dod_free *f, const struct dod_mapping *m,
		     const struct dod_range *range);
void dod_report_leaks(const struct dod_leaks *leaks);
void dod_report_mapping(const struct dod_finding *f, const struct dod_mapping *m);
void dod_report_unmatched(const struct dod_finding *f, const struct dod_mapping *m,
			  enum dod_unmatched_call what);
void dod_report_lost_write(const struct dod_mapping *m, const struct dod_pending *p,
			   enum dod_lost how, unsigned long at);

/* Something is worth a line, once a device. */
bool dod_report_note(enum dod_report_type type, struct dod_device *device,
		     const char *fmt, ...) __printf(3, 4);

/* KASAN reports memory that is, or was lately, mapped. */
void dod_report_annotate(const struct dod_mapping *m, u64 phys);
void dod_report_annotate_missed(void);

/**
 * dod_report_stack() - the stack of an access: further in are only KASAN and the tool
 * @frames: filled in, DOD_REPORT_FRAMES at most
 * @ip: return address of the access, as the compiler gave it
 * @inner: the function that asked KASAN, where that is another one, or @ip
 *
 * In line: one more function to unwind makes a write to a mapped ring 6 % slower.
 * Return: the number of frames.
 */
static inline unsigned int dod_report_stack(unsigned long *frames, unsigned long ip,
					    unsigned long *inner)
{
	unsigned int nr = stack_trace_save(frames, DOD_REPORT_FRAMES, 0), i;

	for (i = 1; i < nr; i++)
		if (frames[i] == ip) {
			*inner = frames[i - 1];
			memmove(frames, frames + i, (nr - i) * sizeof(*frames));
			return nr - i;
		}
	*inner = ip;
	frames[0] = ip;
	return 1;
}

/* In each call of the DMA API, and in one whose address is of no mapping. */
void dod_report_fail_raced_test(void);
void dod_report_note_unmatched(struct dod_device *device, enum dod_unmatched_call what,
			       u64 dma_addr, unsigned long caller);

/* Names, for debugfs and texts. */
unsigned long dod_report_map_frame(const struct dod_mapping *m);
const char *dod_report_dir(u8 dir);

/* A parameter is written. */
int dod_report_set_filter(enum dod_filter_by by, const char *val);
void dod_report_forget(void);

bool dod_report_is_filtered(enum dod_report_type type, const struct dod_device *device);

/* === History ============================================================== */

#define DOD_HISTORY_LINES	4

/**
 * struct dod_history_line - bytes of a mapping changed hands
 * @when:	local_clock()
 * @api:	the call; DOD_API_NO_SYNC: older syncs of the mapping may be missing here
 * @kind:	its family
 * @by:		the caller, 0 if it is not known
 */
struct dod_history_line {
	u64 when;
	enum dod_api api;
	enum dod_kind kind;
	unsigned long by;
};

/**
 * struct dod_history_ops - what report/ asks of owner/, of which it includes nothing
 *
 * @get:	how did bytes come to be whose they are? @start and @last are physical, of @m, a
 *		copy. Fills in at most DOD_HISTORY_LINES, newest first, and returns how many. Any
 *		lock of the kernel may be held, none of ours
 */
struct dod_history_ops {
	unsigned int (*get)(const struct dod_mapping *m, u64 start, u64 last,
			    struct dod_history_line *lines);
};

extern const struct dod_history_ops dod_history_ops;

unsigned long dod_report_call_site(const struct dod_frame *frames, unsigned int nr);

/* === Trace events ========================================================= */

/**
 * struct dod_turn - what a call changed of one mapping, for the trace events
 * @device:	its device; NULL if there is nothing to trace
 * @dma_addr:	first byte of the mapping, as the device sees it
 * @phys:	the same, physical
 * @index:	of its record
 * @first:	offset of the first byte that the call is about
 * @len:	how many bytes
 * @left_first:	offset of the first byte that the device owns after it
 * @left_len:	how many it owns in a row there
 * @before:	bytes of the mapping that the device owned before the call
 * @after:	and after it
 * @counted:	how many of @before are in the device's counter
 * @dir:	enum dma_data_direction of the mapping
 * @api:	the call
 * @generation:	of the counter
 * @quiet:	say nothing if it has changed nothing
 * @caller:	the driver's call
 */
struct dod_turn {
	struct dod_device *device;
	u64 dma_addr, phys;
	u32 index, first, len, left_first, left_len;
	u64 before, after, counted;
	u8 dir, api, generation;
	bool quiet;
	unsigned long caller;
};

DECLARE_STATIC_KEY_FALSE(dod_trace_key);
DECLARE_STATIC_KEY_TRUE(dod_observed_key);
extern u8 dod_trace_generation;

/* Does anybody listen to the hand-overs? A jump over nothing if not. */
static __always_inline bool dod_is_traced(void)
{
	return static_branch_unlikely(&dod_trace_key);
}

/* Does anything want to know of syncs besides who owns what? One question for three. */
static __always_inline bool dod_is_observed(void)
{
	return static_branch_likely(&dod_observed_key);
}

/* One of them begins to, or does not any more. Process context. */
static inline void dod_observe(bool on)
{
	if (on)
		static_branch_inc(&dod_observed_key);
	else
		static_branch_dec(&dod_observed_key);
}

/* The same of one that has a key of its own, and may be what it is to be. */
static inline void dod_observe_by(struct static_key *key, bool on)
{
	if (on == static_key_enabled(key))
		return;
	if (on)
		static_key_enable(key);
	else
		static_key_disable(key);
	dod_observe(on);
}

void dod_trace_turn(struct dod_turn *t);
void dod_trace_uncount(struct dod_device *device, u8 generation, u64 bytes);

/* At load and at unload, when nothing is found yet or any more. */
void dod_report_start(void);
void dod_report_stop(void);

/* debugfs.c. Between start and stop, files may be added. */
void dod_debugfs_start(const char *guard);
void dod_debugfs_stop(void);
void dod_debugfs_add(const char *name, umode_t mode, const struct file_operations *fops);
void dod_debugfs_add_gauge(const char *name, long (*read)(void));
void dod_debugfs_show(int (*show)(struct seq_file *seq, void *v), char *buf, size_t size);

extern u64 dod_types_off;	/* bits; filter.c */
static_assert(DOD_REPORT_COUNT <= 64);

/**
 * dod_report_is_off() - is a type off everywhere, so that its check can be left out?
 * @type: the type
 * Return: whether it is.
 */
static inline bool dod_report_is_off(enum dod_report_type type)
{
	return READ_ONCE(dod_types_off) & BIT_ULL(type);
}

/* What to do about it, as notes say. */
const char *dod_report_hint(enum dod_report_type type);

#endif /* DOD_REPORT_H */
