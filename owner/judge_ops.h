/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What owner/ asks while it holds its locks or must know what judge/ makes of an event:
 * owner/ includes nothing else of judge/.
 */
#ifndef DOD_JUDGE_OPS_H
#define DOD_JUDGE_OPS_H

#include "../dma_owner_debug.h"
#include "../report/report.h"

/**
 * struct dod_edge_change - what changed beside a buffer, in its first or last line
 *
 * @after:	it follows the buffer
 * @nr:		how many bytes changed
 * @first:	physical address of the first of them
 * @last:	and of the last
 * @bytes:	what the first of them were, and are
 */
struct dod_edge_change {
	bool after;
	unsigned int nr;
	u64 first, last;
	struct dod_change bytes;
};

/**
 * struct dod_content_result - what was found while a lock was held
 *
 * @types:	bits of enum dod_report_type; the rest counts only for what is set
 * @blocks:	how many blocks changed
 * @from:	offset of the first byte of the first of them
 * @to:		offset of the last byte of the last of them
 * @untouched:	how many bytes the device left alone, and where they begin: @from
 * @touched:	the device wrote to what had been filled with a pattern
 * @overrun:	how many bytes changed behind the buffer
 * @far:	how far behind it the first of them is, from 0
 * @bytes:	what it and the bytes after it were, and are
 * @lost:	writes that the device will not get
 * @freed:	what was freed, unseen, while the device owned it
 * @edge:	what changed in a line that the device shares with others
 * @m:		a copy of the mapping, if it may have ended since
 */
struct dod_content_result {
	u32 types;
	unsigned int blocks;
	u64 from, to, untouched;
	unsigned int overrun, far;
	struct dod_change bytes;
	bool touched;
	struct dod_pending *lost;
	struct dod_range freed;
	struct dod_edge_change edge;
	struct dod_mapping *m;
};

struct bus_type;

/* judge/judge.c has it. */
struct dod_judge_ops {
	void (*map_single)(const struct dod_mapping *m, const void *addr);
	bool (*map_before)(const struct dod_call *call, struct dod_mapping *m);
	void (*map_after)(const struct dod_call *call, const struct dod_mapping *m);
	bool (*is_own_data)(const struct dod_mapping *m);
	bool (*has_own_lines)(const struct dod_call *call, const struct dod_mapping *m);
	u64 (*wires)(const struct dod_device *d);
	void (*content_begin)(const struct dod_call *call, struct dod_mapping *m);
	void (*content_end)(struct dod_mapping *m);
	void (*content_to_device)(struct dod_mapping *m, u64 start, u64 last,
				  const struct dod_range *range, bool fresh, bool shared, bool writable);
	void (*content_overlap)(struct dod_mapping *m, u64 start, u64 last, bool writable);
	void (*content_written)(struct dod_mapping *m, u64 start, u64 last);
	void (*content_watch)(const struct dod_call *call, struct dod_mapping *m, u64 start,
			      u64 last);
	bool (*content_watches)(const struct dod_mapping *m, u64 *start, u64 *last,
				unsigned long *synced_by);
	void (*content_to_cpu)(const struct dod_call *call, struct dod_mapping *m,
			       u64 start, u64 last, bool unmap, struct dod_content_result *found);
	void (*content_report)(const struct dod_content_result *found,
			       const struct dod_mapping *m, unsigned long at);
	void (*content_invalidate_all)(void);
	int (*content_start)(unsigned int reserve, unsigned int max);
	void (*content_stop)(void);
	bool (*edge_is_known)(const struct dod_mapping *m, bool after);
	void (*edge_copy)(struct dod_mapping *m, bool after, u64 start, u64 last);
	void (*edges_forget)(struct dod_mapping *m, u64 start, u64 last);
	void (*edge_drop)(struct dod_mapping *m, bool after);
	void (*memory_freed)(const struct dod_mapping *m, const struct dod_range *range,
			     const char *found);
	void (*memory_reused)(const struct dod_mapping *leak, const struct dod_range *range,
			      const struct dod_mapping *m);
	void (*see_bus)(const struct bus_type *bus);
	void (*write_lost)(const struct dod_pending *p, const struct dod_mapping *m,
			   enum dod_lost how, unsigned long at);
	u32 (*dmabuf_of_current)(void);
};

extern const struct dod_judge_ops dod_judge_ops;

#endif /* DOD_JUDGE_OPS_H */
