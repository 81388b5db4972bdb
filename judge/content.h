/* SPDX-License-Identifier: GPL-2.0 */
/* What is known of the content of mapped memory. */
#ifndef DOD_CONTENT_H
#define DOD_CONTENT_H

#include "../dma_owner_debug.h"
#include "../owner/judge_ops.h"


/**
 * struct dod_content - what is known of a mapping's content (phys lock)
 *
 * @valid:	bits: the slots of @block that hold
 * @slots:	how many slots there are; constant
 * @head:	how many of them are blocks from the start on, the others are those
 *		at the end; constant
 * @invalidations:	how often content was doubted before it was mapped; constant
 * @skipped:	how many blocks in the middle have none; constant
 * @changed:	bits: the slots of blocks that had changed when the CPU got them by a sync,
 *		and were not given back since
 * @nr_after:	how many bytes of @bytes hold
 * @watching:	the CPU's writes to [@watch, @watch_last] are to be known
 * @canary:	what the device gets is filled with a pattern first; constant
 * @filled:	[@fill, @fill_last] was, and is the device's since
 * @after:	address of the first byte of @bytes
 * @edges:	what shares the first and the last cache line, NULL if nothing is known;
 *		see edges.c
 * @block:	fingerprints of blocks of DOD_BLOCK bytes that the device owns and
 *		may only read
 * @bytes:	bytes behind what the device may write, that nobody may write to
 * @state:	what the guard said of their granules
 * @fill:	first byte that was filled
 * @fill_last:	last one
 * @watch:	first byte that the CPU got with dma_sync_*_for_cpu()
 * @watch_last:	last one
 * @synced_by:	return address of that call
 */
struct dod_content {
	u64 valid;
	u8 slots, head, nr_after;
	bool watching, canary, filled;
	u32 invalidations;
	u64 changed, skipped, after;
	struct dod_edges *edges;
	/* What follows is not cleared. By the direction of the mapping: */
	union {
		u32 block[DOD_BLOCKS];
		struct {
			u8 bytes[DOD_BYTES_AFTER];
			u8 state[DOD_BYTES_AFTER / 8 + 1];
			u64 fill, fill_last;
			u64 watch, watch_last;
			unsigned long synced_by;
		};
	};
};


void dod_content_begin(const struct dod_call *call, struct dod_mapping *m);
void dod_content_end(struct dod_mapping *m);
void dod_content_to_device(struct dod_mapping *m, u64 start, u64 last,
			   const struct dod_range *range, bool fresh, bool shared,
			   bool writable);
void dod_content_overlap(struct dod_mapping *m, u64 start, u64 last,
			 bool writable);
void dod_content_written(struct dod_mapping *m, u64 start, u64 last);
void dod_content_watch(const struct dod_call *call, struct dod_mapping *m,
		       u64 start, u64 last);
bool dod_content_watches(const struct dod_mapping *m, u64 *start, u64 *last,
			 unsigned long *synced_by);
void dod_content_to_cpu(const struct dod_call *call, struct dod_mapping *m,
			u64 start, u64 last, bool unmap, struct dod_content_result *found);
void dod_content_report(const struct dod_content_result *found,
			const struct dod_mapping *m, unsigned long at);
void dod_content_invalidate_all(void);
bool dod_content_was_invalidated(const struct dod_content *c);
struct dod_content *dod_content_of(struct dod_mapping *m);
int dod_content_start(unsigned int reserve,
		      unsigned int max);
void dod_content_stop(void);

bool dod_edges_known(const struct dod_mapping *m, bool after);
void dod_edges_copy(struct dod_mapping *m, bool after, u64 start, u64 last);
void dod_edges_forget(struct dod_mapping *m, u64 start, u64 last);
void dod_edges_drop(struct dod_mapping *m, bool after);
void dod_edges_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		      struct dod_content_result *found);
void dod_edges_end(struct dod_content *c);
void dod_edges_report(const struct dod_content_result *found, const struct dod_mapping *m,
		      unsigned long at);
int dod_edges_start(unsigned int max);
void dod_edges_stop(void);

void dod_reads_note(u64 phys, size_t size, unsigned long ip);
void dod_reads_describe(u64 start, u64 last, u64 since, const struct dod_mapping *m,
			char *text, size_t size);

#endif /* DOD_CONTENT_H */
