/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of report/ share. */
#ifndef DOD_REPORT_INTERNAL_H
#define DOD_REPORT_INTERNAL_H

#include <linux/llist.h>

#include "report.h"

/* Names of functions. Longer ones lose their end, and their module. */
#define NAME_CHARS	192

/**
 * struct stack - a stack, by addresses or as somebody has printed it
 *
 * @frames:	the addresses, NULL if it is the other kind
 * @names:	"function+offset/size [module]"
 * @nr:		how many there are
 */
struct stack {
	const unsigned long *frames;
	const char (*names)[DOD_RACE_CHARS];
	unsigned int nr;
};

/* More than the longest report has, which is one of PLACES_SHOWN leaks. */
#define TEXT_SIZE	12288
#define TEXT_END	256

/**
 * struct text - a report as it is to be printed
 *
 * @node:	in @written of report.c, from when it is complete
 * @generation:	how often it was printed
 * @now:	local_clock() when it was begun
 * @panic:	panic when it is printed
 * @cut:	something did not fit
 * @traced:	it has a stack already
 * @lost:	how many reports were not shown before it
 * @object:	what mem_dump_obj() is to print, NULL for none
 * @object_at:	before which character
 * @len:	characters in @chars
 * @chars:	lines, each with a newline
 * @frames:	for whoever formats it
 */
struct text {
	struct llist_node node;
	unsigned int generation;
	u64 now;
	bool panic, cut, traced;
	unsigned int lost;
	const void *object;
	unsigned int object_at, len;
	char chars[TEXT_SIZE];
	unsigned long frames[DOD_REPORT_FRAMES];
};

struct report;

/**
 * struct report_kind - what a report consists of
 *
 * @head:	the line below the title: what happened, and who did it
 * @body:	the stack, the device and its mapping
 * @tail:	how the memory came to be the device's; NULL for nothing
 * @by_code:	it is about code of the driver's: two places in it are two faults
 */
struct report_kind {
	void (*head)(struct text *t, const struct report *r);
	void (*body)(struct text *t, const struct report *r);
	void (*tail)(struct text *t, const struct report *r);
	bool by_code;
};

extern const struct report_kind dod_kind_access, dod_kind_race, dod_kind_free, dod_kind_leaks,
	dod_kind_finding, dod_kind_lost_write;

/**
 * struct report - all that a report shows
 *
 * @type:	its type
 * @kind:	which of the pointers below is valid
 * @m:		the mapping
 * @range:	what the device owns of it; NULL for findings, leaks, lost writes
 * @access:	the access
 * @race:	the access, as another has reported it
 * @finding:	what a check has found
 * @free:	the memory that is being freed
 * @leaks:	mappings that are left
 * @lost:	the CPU's write that is lost
 * @how:	by what it was lost
 * @lost_by:	return address of the call that lost it
 * @stack:	of the access, the map, the free
 * @culprit:	its frame that the title names; @stack.nr for where @m was mapped
 */
struct report {
	enum dod_report_type type;
	const struct report_kind *kind;
	const struct dod_mapping *m;
	const struct dod_range *range;
	union {
		const struct dod_access *access;
		const struct dod_race *race;
		const struct dod_finding *finding;
		const struct dod_free *free;
		const struct dod_leaks *leaks;
		const struct dod_pending *lost;
	};
	enum dod_lost how;
	unsigned long lost_by;
	struct stack stack;
	unsigned int culprit;
};

/* text.c */
__printf(2, 3) void dod_put(struct text *t, const char *fmt, ...);
void dod_put_call_trace(struct text *t);
void dod_put_frames(struct text *t, const unsigned long *frames, unsigned int nr);
void dod_put_who(struct text *t, const char *what, const struct dod_who *who,
		 const unsigned long *frames);
const char *dod_family(const struct dod_mapping *m);
const char *dod_ending(const struct dod_mapping *m);
void dod_text_report(struct text *t, const struct report *r);
void dod_text_annotation(struct text *t, const struct dod_mapping *m, u64 phys);
const char *dod_report_hint(enum dod_report_type type);

/* frames.c */
const char *dod_frame_name(const struct stack *stack, unsigned int i, char *buf, size_t size);
const char *dod_frame_module(const char *name);
unsigned int dod_frames_skip_core(const unsigned long *frames, unsigned int nr);
unsigned int dod_frames_find_map(const struct dod_mapping *m, unsigned int from);
unsigned int dod_frames_find_driver(const struct stack *stack, const struct dod_mapping *m,
				    unsigned int from);
unsigned int dod_culprit_frame(const struct stack *stack, const struct dod_mapping *m);
unsigned int dod_culprit_frame_of_free(const struct stack *stack, const struct dod_mapping *m);
bool dod_frames_of_dma_buf(const struct dod_mapping *m);
bool dod_frames_of_console(const unsigned long *frames, unsigned int nr);

/* filter.c */
u32 dod_seen_key(const struct report *r);
bool dod_seen(u32 key);
bool dod_seen_add(u32 key);
bool dod_burst_is_over(u64 now);
unsigned int dod_burst_take_lost(void);

#endif /* DOD_REPORT_INTERNAL_H */
