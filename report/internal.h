/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of report/ share. */
#ifndef DOD_REPORT_INTERNAL_H
#define DOD_REPORT_INTERNAL_H

#include <linux/llist.h>

#include "report.h"

/* On which machines a fault of a type loses data. */
enum loses {
	ADVICE,			/* it is no fault */
	LOSES_EARLY,		/* bounces, caches; on every machine while the transfer runs */
	LOSES_CHANGE,		/* on every machine, or an IOMMU stops the device */
	LOSES_LINES,		/* caches that are not coherent */
	LOSES_COPIES,		/* bounce buffers, caches that are not coherent */
	LOSES_STATIC,		/* caches, or everywhere if it is not in the linear map */
	LOSES_EVERYWHERE,
	LOSES_UNSTOPPED,
	LOSES_ADDRESS,
	LOSES_UNWRITTEN,
	LOSES_PAST_PAGE,	/* the rest of the page is nobody's */
};

/*
 * A row of the table of types. In a hint, "%s" becomes the family of calls that made the
 * mapping, "single" or "sg", or with @ending the function that ends it.
 */
struct report_type {
	const char *name;		/* in the title and in the parameters */
	enum loses loses;
	const char *hint;		/* what to do */
	/* What to do instead, if that is different, where the device only writes, or reads, */
	const char *hint_receiving, *hint_sending;
	/* with memory of dma_iova_link(), and with a buffer of another driver's. */
	const char *hint_linked, *hint_dma_buf;
	bool ending;
};

extern const struct report_type dod_types[];

/* How a frame of which no address is known is printed. */
#define UNKNOWN_CODE	"(code outside of the kernel and its modules)"

/* Names of functions. Longer ones lose their end, and their module. */
#define NAME_CHARS	192

/* A stack: packed, or by addresses, or as somebody has printed it. One of the three is there. */
struct stack {
	const struct dod_frame *packed;
	const unsigned long *frames;
	const char (*names)[DOD_RACE_CHARS];	/* "function+offset/size [module]" */
	unsigned int nr;
};

/* More than the longest report has, which is one of PLACES_SHOWN leaks. */
#define TEXT_SIZE	12288
#define TEXT_END	256

/* A report as it is to be printed. */
struct text {
	struct llist_node node;		/* in @written of report.c, once it is complete */
	unsigned int generation;	/* how often it was printed */
	char chars[TEXT_SIZE];		/* lines, each with a newline */
	unsigned long frames[DOD_REPORT_FRAMES];	/* for whoever formats it */
	u64 now;			/* local_clock() when it was begun */
	/* This and the rest is cleared then. */
	bool panic;			/* panic when it is printed */
	bool cut;			/* something did not fit */
	bool traced;			/* it has a stack already */
	unsigned int lost;		/* how many reports were not shown before it */
	const void *object;		/* what mem_dump_obj() is to print, NULL for none */
	unsigned int object_at;		/* before which character */
	unsigned int len;		/* characters in @chars */
};

struct report;

/* What a report consists of. */
struct report_kind {
	/* The line below the title: what happened, and who did it. */
	void (*head)(struct text *t, const struct report *r);
	/* The stack, the device and its mapping. */
	void (*body)(struct text *t, const struct report *r);
	/* How the memory came to be the device's; NULL for nothing. */
	void (*tail)(struct text *t, const struct report *r);
	/* Which frame the title names; NULL for the place where the memory was mapped. */
	unsigned int (*culprit)(const struct stack *stack, const struct dod_mapping *m);
};

extern const struct report_kind dod_kind_access, dod_kind_race, dod_kind_free, dod_kind_leaks,
	dod_kind_finding, dod_kind_unmatched, dod_kind_lost_write;

/* All that a report shows. @kind says which member of the union is valid. */
struct report {
	enum dod_report_type type;
	const struct report_kind *kind;
	const struct dod_mapping *m;
	const struct dod_range *range;	/* what the device owns of it, or NULL */
	union {
		const struct dod_access *access;
		const struct dod_race *race;
		const struct dod_finding *finding;
		const struct dod_free *free;
		const struct dod_leaks *leaks;
		const struct dod_pending *lost;
	};
	enum dod_unmatched_call what;	/* of @kind dod_kind_unmatched: the call */
	enum dod_lost how;		/* @lost was lost by what */
	unsigned long lost_by;		/* return address of the call that lost it */
	struct stack stack;		/* of the access, or the free */
	unsigned int culprit;		/* which frame of it the title names; or @stack.nr */
};

/* text.c */
__printf(2, 3) void dod_put(struct text *t, const char *fmt, ...);
void dod_put_ago(struct text *t, u64 when);
void dod_put_stack(struct text *t, const struct stack *stack);
void dod_put_who(struct text *t, const char *what, const struct dod_who *who,
		 const struct dod_frame *frames);
const char *dod_family(const struct dod_mapping *m);
const char *dod_ending(enum dod_kind kind);
void dod_text_report(struct text *t, const struct report *r);
void dod_text_annotation(struct text *t, const struct dod_mapping *m, u64 phys);

/* kinds.c */
void dod_bytes_of_report(const struct report *r, u64 *start, u64 *last);

/* trace.c */
void dod_trace_report(const struct text *text, const struct report *r);

/* frames.c */
unsigned long dod_frame_address(const struct stack *stack, unsigned int i);
const char *dod_frame_name(const struct stack *stack, unsigned int i, char *buf, size_t size);
const char *dod_frame_module(const char *name);
struct stack dod_stack_of_caller(const struct dod_who *who, const struct dod_frame *frames);
unsigned int dod_frames_find_map(const struct dod_mapping *m, unsigned int from);
unsigned int dod_frames_find_driver(const struct stack *stack, const struct dod_mapping *m,
				    unsigned int from);
unsigned int dod_culprit_frame(const struct stack *stack, const struct dod_mapping *m);
unsigned int dod_culprit_frame_of_free(const struct stack *stack, const struct dod_mapping *m);
bool dod_frames_of_dma_buf(const struct dod_mapping *m);
bool dod_is_console(unsigned long *frames);

/* filter.c */
u32 dod_seen_key(const struct report *r);
bool dod_seen(u32 key, bool add);
bool dod_burst_is_over(u64 now);
unsigned int dod_burst_take_lost(void);

/* faults.c */
extern const struct file_operations dod_faults_fops;
void dod_fault_add(const struct report *r, u32 key, bool printed);

long dod_report_count(enum dod_report_type type);	/* report.c */

#endif /* DOD_REPORT_INTERNAL_H */
