/* SPDX-License-Identifier: GPL-2.0 */
/* What owner/ asks of judge/, of which it includes nothing: judge/judge.c has the struct. */
#ifndef DOD_JUDGE_OPS_H
#define DOD_JUDGE_OPS_H

#include "../dma_owner_debug.h"
#include "../report/report.h"

/* What changed next to a buffer, in its first or last line. */
struct dod_edge_change {
	bool after;			/* it follows the buffer */
	unsigned int nr;		/* how many bytes changed */
	u64 first, last;		/* physical addresses of the first and the last of them */
	struct dod_change bytes;	/* what the first of them were, and are */
};

/* What was found while a lock was held. Only what @types names is set, and @lost. */
struct dod_content_result {
	u64 types;			/* bits of enum dod_report_type */
	unsigned int blocks;		/* how many blocks changed, 0 if that is not known */
	u64 from, to;			/* offsets of the first and the last byte of them */
	u64 untouched;			/* how many bytes, from @from, the device did not write */
	unsigned int overrun, far;	/* how many changed past the end, and how far from it */
	struct dod_change bytes;	/* what the first of them were, and are */
	bool touched;			/* the device wrote to what was filled with a pattern */
	struct dod_pending *lost;	/* CPU writes that the device never sees */
	struct dod_range freed;		/* was freed, unseen, while the device owned it */
	struct dod_edge_change edge;	/* in a line that the device shares with others */
	struct dod_mapping *m;		/* a copy of the mapping, if it may have ended since */
	struct dod_turn turn;		/* for the trace */
};

struct bus_type;

/**
 * struct dod_judge_ops - what owner/ asks of judge/
 *
 * Context: any but NMI. From @content_end to @edges_forget, the physical lock of the mapping is
 * held, and nothing is printed. Elsewhere no lock of ours is held, unless it says so. [start,
 * last] are physical addresses of a mapping's bytes. (c): only for mappings with a content.
 *
 * @map_single:	an address outside of the linear map is about to be mapped
 * @map_before:	before it is indexed: ends a mapping at its first bad byte; false if there is one
 * @map_after:	all mappings of the call are in the index by physical address; once for each
 * @is_own_data: is the driver's own data in a DMA_TO_DEVICE mapping? Any lock may be held
 * @maps_own_data: the same of one that is being made
 * @has_own_lines: does a cache line begin where the new mapping does (rule 10)?
 * @wires:	the highest address that a device's wires can carry, U64_MAX if that is not
 *		declared. When a device is new, or the parameter changes; devices_lock held
 * @see_bus:	a device of this bus maps memory for the first time; may be NULL
 * @dmabuf_of_current: the number of the dma-buf that this task maps, 0 if it maps none
 * @content_begin: what is to be known of the content? After @map_before, if that was true, of
 *		memory that may be poisoned as a whole
 * @content_end: nothing is to be known of it any more
 * @content_to_device: (c) the device owns [start, last] from now on, as a part of @range. @fresh:
 *		it owned none of it before; @shared: another mapping overlaps it; @writable: one
 *		to which its device may write
 * @content_to_cpu: (c) [start, last] is about to be synced for the CPU, or with @unmap unmapped:
 *		adds what has changed to @found
 * @content_overlap: (c) a device owns it through another mapping, and may write if @writable
 * @content_written: (c) the guard has seen the CPU write it
 * @content_watch: [start, last] was synced for the CPU: remember the CPU's writes there?
 * @content_watches: (c) narrows it to what is watched so; returns whether there is any
 * @edge_is_known: is there a copy of the rest of the first line, or with @after of the last one?
 * @edge_copy:	the device writes to that line from now on: copy [start, last], the rest of it
 * @edge_drop:	it does not any more
 * @edges_forget: others may write to [start, last] from now on, and that is no fault
 * @content_report: report what was found under the lock; @at: return address of the call
 * @content_invalidate_all: content may have changed unseen. Also in NMI; any lock may be held
 * @content_start: get ready for so many mappings; -ENOMEM if that fails. Process
 * @content_stop: no mapping has a content any more: free all. Process
 * @write_lost:	a CPU write never reaches the device; @how, and @at by which call
 * @unmapped:	a mapping has ended: is it to be looked at for late writes of its device?
 * @unmatched:	an unmap or a sync has an address at which nothing is mapped
 * @memory_freed: memory that a device owns was freed unseen; @found says when that was found
 * @memory_reused: @m maps memory that a driver has left mapped as @leak
 */
struct dod_judge_ops {
	void (*map_single)(const struct dod_mapping *m, const void *addr);
	bool (*map_before)(const struct dod_call *call, struct dod_mapping *m);
	void (*map_after)(const struct dod_call *call, const struct dod_mapping *m);
	bool (*is_own_data)(const struct dod_mapping *m);
	bool (*maps_own_data)(const struct dod_call *call, const struct dod_mapping *m);
	bool (*has_own_lines)(const struct dod_call *call, const struct dod_mapping *m);
	u64 (*wires)(const struct dod_device *d);
	void (*see_bus)(const struct bus_type *bus);
	u32 (*dmabuf_of_current)(void);
	void (*content_begin)(const struct dod_call *call, struct dod_mapping *m);

	void (*content_end)(struct dod_mapping *m);
	void (*content_to_device)(struct dod_mapping *m, u64 start, u64 last,
				  const struct dod_range *range, bool fresh, bool shared,
				  bool writable);
	void (*content_to_cpu)(const struct dod_call *call, struct dod_mapping *m, u64 start,
			       u64 last, bool unmap, struct dod_content_result *found);
	void (*content_overlap)(struct dod_mapping *m, u64 start, u64 last, bool writable);
	void (*content_written)(struct dod_mapping *m, u64 start, u64 last);
	void (*content_watch)(const struct dod_call *call, struct dod_mapping *m, u64 start,
			      u64 last);
	bool (*content_watches)(const struct dod_mapping *m, u64 *start, u64 *last,
				unsigned long *synced_by);
	bool (*edge_is_known)(const struct dod_mapping *m, bool after);
	void (*edge_copy)(struct dod_mapping *m, bool after, u64 start, u64 last);
	void (*edge_drop)(struct dod_mapping *m, bool after);
	void (*edges_forget)(struct dod_mapping *m, u64 start, u64 last);

	void (*content_report)(const struct dod_content_result *found, const struct dod_mapping *m,
			       unsigned long at);
	void (*content_invalidate_all)(void);
	int (*content_start)(unsigned int reserve, unsigned int max);
	void (*content_stop)(void);
	void (*write_lost)(const struct dod_pending *p, const struct dod_mapping *m,
			   enum dod_lost how, unsigned long at);
	void (*unmapped)(const struct dod_mapping *m);
	void (*unmatched)(const struct dod_call *call, struct dod_device *device,
			  enum dod_unmatched_call what, u64 dma_addr, u64 size);
	void (*memory_freed)(const struct dod_mapping *m, const struct dod_range *range,
			     const char *found);
	void (*memory_reused)(const struct dod_mapping *leak, const struct dod_range *range,
			      const struct dod_mapping *m);
};

extern const struct dod_judge_ops dod_judge_ops;

#endif /* DOD_JUDGE_OPS_H */
