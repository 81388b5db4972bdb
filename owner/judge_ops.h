/* SPDX-License-Identifier: GPL-2.0 */
/* What owner/ calls of judge/, mostly with a lock held: owner/ includes nothing else of it. */
#ifndef DOD_JUDGE_OPS_H
#define DOD_JUDGE_OPS_H

#include "../dma_owner_debug.h"

/**
 * struct dod_edge_change - what changed beside a buffer, in its first or last cache line
 *
 * @after:	the bytes follow the buffer
 * @nr:		how many bytes changed
 * @first:	physical address of the first of them
 * @last:	and of the last
 * @was:	what the first was
 * @is:		what it is
 */
struct dod_edge_change {
	bool after;
	unsigned int nr;
	u64 first, last;
	u8 was, is;
};

/**
 * struct dod_content_result - what was found while a lock was held, to be reported later
 *
 * @types:	bits of enum dod_report_type; other fields are valid for the types that are set
 * @blocks:	how many blocks changed
 * @from:	offset of the first byte of the first of them
 * @to:		offset of the last byte of the last of them
 * @untouched:	how many bytes the device did not write; they begin at @from
 * @touched:	the device wrote to memory that had been filled with a pattern
 * @overrun:	how many bytes changed past the end of the buffer
 * @far:	how far past the end the first of them is, from 0
 * @was:	what that byte was
 * @is:		what it is
 * @lost:	writes that no sync_for_device covered
 * @freed:	the range that was freed, unseen, while the device owned it
 * @edge:	what changed in a cache line that the device shares with the CPU
 * @m:		a copy of the mapping, if it may have ended since
 */
struct dod_content_result {
	u32 types;
	unsigned int blocks;
	u64 from, to, untouched;
	unsigned int overrun, far;
	u8 was, is;
	bool touched;
	struct dod_pending *lost;
	struct dod_range freed;
	struct dod_edge_change edge;
	struct dod_mapping *m;
};

struct bus_type;

/**
 * struct dod_judge_ops - what judge/judge.c implements
 *
 * With no lock held, of a mapping that only the caller can end:
 *
 * @map_single:		dma_map_single() of an address outside of the linear map
 * @map_before:		check a mapping before it is indexed, and shorten it up to its first
 *			bad byte. Returns whether its memory is allocated
 * @map_after:		check it against other mappings, when all of its call are there
 * @is_own_data:	does it contain its driver's own data: rule 11?
 * @has_own_lines:	do its cache lines begin with it: rule 10?
 * @content_begin:	decide whether to fingerprint it
 * @content_invalidate_all: a device may write to memory of which nothing is known
 * @content_report:	report what was found
 * @content_start:	get ready
 * @content_stop:	free everything
 * @memory_freed:	report memory that was freed, unseen, while a device owned it
 * @memory_reused:	report that another device may access it: its driver has left a mapping
 * @write_lost:		report a write that no sync_for_device covered
 * @see_bus:		the first device of a bus has mapped memory
 * @dmabuf_of_current:	which dma-buf is the task mapping? 0 if none
 *
 * With the physical lock of the mapping held:
 *
 * @content_end:	forget all content, because the mapping ends
 * @content_to_device:	fingerprint a range that the device owns from now on
 * @content_overlap:	a range has become another device's, too
 * @content_written:	the CPU writes a range
 * @content_watch:	a sync for the CPU is over: a write must be synced from now on
 * @content_watches:	of a range, which part is watched so?
 * @content_to_cpu:	compare a range before the CPU owns it
 * @edge_is_known:	is the content of a line edge known?
 * @edge_copy:		remember it
 * @edges_forget:	a range is written: forget the line edges in it
 * @edge_drop:		forget one line edge
 *
 * With devices_lock held:
 *
 * @wires:		the highest address that the device's wires carry: parameter wires
 */
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
				  const struct dod_range *range, bool fresh, bool shared,
				  bool writable);
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
