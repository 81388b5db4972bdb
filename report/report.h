/* SPDX-License-Identifier: GPL-2.0 */
/* What people read. Decides nothing: who calls has found a fault, and report/ says so. */
#ifndef DOD_REPORT_H
#define DOD_REPORT_H

#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "../base/compat.h"
#include "../base/state.h"
#include "../dma_owner_debug.h"

/* What can be wrong: a row of types.h each. */
enum dod_report_type {
#define DOD_TYPE(id, ...) DOD_R_##id,
#include "types.h"
	DOD_REPORT_COUNT
};

#define DOD_BYTES_SHOWN	16

/**
 * struct dod_change - bytes that changed
 *
 * @start:	the first of them, physical
 * @nr:		how many are shown from there on, changed or not; 0 for none
 * @was:	what they were
 * @is:		what they are
 */
struct dod_change {
	u64 start;
	unsigned int nr;
	u8 was[DOD_BYTES_SHOWN], is[DOD_BYTES_SHOWN];
};

/**
 * dod_change_show() - remember what is to be shown of bytes that changed
 * @c: filled in
 * @start: the first of them, physical
 * @was: what they were
 * @nr: how many are known; the first DOD_BYTES_SHOWN of them are shown
 *
 * Context: any, KASAN off.
 */
static inline void dod_change_show(struct dod_change *c, u64 start, const u8 *was,
				   unsigned int nr)
{
	unsigned int i;

	c->start = start;
	c->nr = min(nr, DOD_BYTES_SHOWN);
	for (i = 0; i < c->nr; i++) {
		c->was[i] = was[i];
		c->is[i] = READ_ONCE(*(u8 *)phys_to_virt(start + i));
	}
}

/**
 * struct dod_bytes - some bytes
 *
 * @start:	the first of them, physical
 * @nr:		how many; 0 for none
 */
struct dod_bytes {
	u64 start, nr;
};

/**
 * struct dod_finding - what a check found about a mapping
 *
 * @type:	what is wrong
 * @at:		return address of the call that found it; 0 for the map call
 * @text:	sentences that say what was found, with a newline after each
 * @addr:	the buffer's address where that is not in the linear map, else 0
 * @object:	an address whose object is to be named, NULL for none
 * @other:	the other party, NULL if there is none
 * @shared:	what shares the first line, and the last, and the CPU may write; only
 *		for DOD_R_CACHELINE_SHARING without @other
 * @change:	what changed; only for DOD_R_DEVICE_OVERRUN and DOD_R_SHARED_LINE_WRITE
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

/* The stack of a report. */
#define DOD_REPORT_FRAMES	64

#define DOD_RACE_FRAMES	32
#define DOD_RACE_CHARS	120

/**
 * struct dod_race - the CPU access of a race that KCSAN has reported
 *
 * @addr:	first byte accessed
 * @size:	bytes accessed
 * @write:	a write
 * @pid:	of the task that did it, -1 in an interrupt
 * @cpu:	where
 * @when:	local_clock() when KCSAN began to say so
 * @nr_frames:	how many of @frames there are
 * @frames:	as KCSAN printed them, from the access outwards
 */
struct dod_race {
	unsigned long addr;
	size_t size;
	bool write;
	int pid, cpu;
	u64 when;
	unsigned int nr_frames;
	char frames[DOD_RACE_FRAMES][DOD_RACE_CHARS];
};

/**
 * struct dod_free - memory is being freed
 *
 * @addr:	its first byte
 * @size:	bytes
 * @ip:		return address into the function that frees it
 * @found:	it was freed some time ago, unseen: when that was found; else NULL
 */
struct dod_free {
	unsigned long addr;
	u64 size;
	unsigned long ip;
	const char *found;
};

/**
 * struct dod_leak - mappings that were made in one place and are left
 *
 * @m:		a copy of one of them
 * @nr:		how many
 * @bytes:	in all
 */
struct dod_leak {
	struct dod_mapping m;
	unsigned int nr;
	u64 bytes;
};

/**
 * struct dod_leaks - mappings of a device that are left
 *
 * @type:	at what occasion
 * @text:	sentences that say what was found, with a newline after each
 * @all:	of all mappings; @all.m is not used
 * @nr:		how many places
 * @places:	largest first
 */
struct dod_leaks {
	enum dod_report_type type;
	char text[320];
	struct dod_leak all;
	unsigned int nr;
	struct dod_leak places[32];
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
void dod_report_lost_write(const struct dod_mapping *m, const struct dod_pending *p,
			   enum dod_lost how, unsigned long at);

/* Something is worth a line, once a device. */
bool dod_report_note(enum dod_report_type type, struct dod_device *device,
		     const char *fmt, ...) __printf(3, 4);

/* KASAN reports memory that is, or was lately, mapped. */
void dod_report_annotate(const struct dod_mapping *m, u64 phys);
void dod_report_annotate_missed(void);

/**
 * dod_report_stack() - the stack of an access that trapped, for dod_report_access()
 * @frames: filled in, DOD_REPORT_FRAMES at most
 * @ip: return address of the access, as the compiler gave it
 * @inner: the function that asked KASAN, or @ip
 *
 * It begins with the access: further in are only KASAN and the tool. Where the access is
 * not that of the function which asked KASAN, that function is @inner.
 *
 * In line: one more function to unwind makes a write to a mapped ring 6 % slower.
 *
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
const char *dod_report_name(enum dod_report_type type);
const char *dod_report_dir(u8 dir);
bool dod_report_is_advice(enum dod_report_type type);
long dod_report_count(enum dod_report_type type);

/* A parameter is written. */
int dod_report_set_filter(enum dod_filter_by by, const char *val);
void dod_report_forget(void);

bool dod_report_is_filtered(enum dod_report_type type, const struct dod_device *device);

/* At load and at unload, when nothing is found yet or any more. */
void dod_report_start(void);
void dod_report_stop(void);

extern u32 dod_types_off;	/* bits; filter.c */

/**
 * dod_report_is_off() - is a type off everywhere?
 * @type: the type
 *
 * What is only there to find it need not be done.
 *
 * Context: any.
 *
 * Return: whether it is.
 */
static inline bool dod_report_is_off(enum dod_report_type type)
{
	return READ_ONCE(dod_types_off) & BIT(type);
}

#endif /* DOD_REPORT_H */
