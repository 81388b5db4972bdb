/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms of judge/ call of each other. Others include judge.h.
 *
 * Context: any but NMI, where nothing else is said. "physical lock" is the lock of the index
 * by physical address that a mapping is in.
 */
#ifndef DOD_JUDGE_INTERNAL_H
#define DOD_JUDGE_INTERNAL_H

#include "../base/lock.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "judge.h"
#include "permissive.h"

#include <linux/hash.h>
#include <linux/sched/clock.h>

static inline struct folio *dod_folio(u64 phys)
{
	return page_folio(pfn_to_page(PHYS_PFN(phys)));
}

static inline u64 dod_folio_start(struct folio *folio)
{
	return PFN_PHYS(folio_pfn(folio));
}

/* A word of an object that may be gone, or may never have been one; NULL if it is not there. */
static inline const void *dod_peek(const void *at)
{
	unsigned long word;
	bool there;

	if (unlikely(is_kfence_address(at)))
		there = dod_memory_read(virt_to_phys((void *)at), (u8 *)&word, sizeof(word));
	else
		there = dod_read_word(at, &word);
	return there ? (const void *)word : NULL;
}

/* Adds sentences to the text of a finding, with a newline after each. The rest is cut off. */
__printf(2, 3)
void dod_finding_add(struct dod_finding *f, const char *fmt, ...);

/* A row of map.c: finds a fault of @m, and says in @f->text what it is. No lock of ours held. */
typedef bool dod_check_fn(const struct dod_mapping *m, struct dod_finding *f);

/* map_kind.c */
dod_check_fn dod_check_vmalloc_stack, dod_check_kernel_image, dod_check_module_image;
dod_check_fn dod_check_image_in_vmalloc, dod_check_vmalloc, dod_check_stack;
void dod_learn_images(void);

/* map_bounds.c */
dod_check_fn dod_check_bad_byte, dod_check_not_contiguous;

/**
 * dod_scan_memory() - find the first byte of a mapping that is not of its allocation
 * @m: the mapping, of RAM
 * @f: @f->what, @f->bad, @f->freed, @f->ram and @f->next are set
 *
 * Called before the rows, also where their types are off: what is past that byte is somebody
 * else's and must not be poisoned.
 */
void dod_scan_memory(const struct dod_mapping *m, struct dod_finding *f);

/* map_mask.c */
dod_check_fn dod_check_mask, dod_check_mask_never_set, dod_check_mask_wider_than_bus;
dod_check_fn dod_check_mask_untested, dod_check_config_not_inherited;

/* Fast path: do the rows of advice find nothing? */
bool dod_needs_no_advice(const struct dod_call *call, const struct dod_mapping *m);

/* map_lines.c */
dod_check_fn dod_check_overlap, dod_check_line_of_other_mapping, dod_check_line_neighbours;
void dod_learn_devres(void);

/* So many bytes past the end of a buffer are compared. */
#define DOD_BYTES_AFTER	64U

/**
 * struct dod_content - what is known of a mapping's content (physical lock)
 *
 * @invalidations: how often all content had been invalidated when this began; constant
 *
 * Of a DMA_TO_DEVICE mapping, which has room for @slots blocks only:
 *
 * @slots:	how many blocks have a fingerprint in @block; constant
 * @head:	how many of them are at the start, the others are at the end; constant
 * @summed:	all fingerprints count, and @sum is of all
 * @sum:	one for all of them, with 32 bits
 * @valid:	bits: the slots whose fingerprints count
 * @changed:	bits: those whose blocks had changed at a sync for the CPU, and were not synced
 *		for the device since
 * @block:	fingerprints of blocks of DOD_BLOCK bytes that the device owns and may only read
 *
 * Of any other:
 *
 * @watching:	the CPU's writes to [@watch, @watch_last] are to be remembered
 * @canary:	what is synced for the device is filled with a pattern first; constant
 * @filled:	[@fill, @fill_last] was filled, and the device owns it since
 * @redzone_nr:	how many bytes of @bytes count
 * @edges:	copies of the rest of the first and the last cache line, or NULL: line_edges.c
 * @redzone:	address of the first of @bytes
 * @fill:	what was filled
 * @fill_last:	and its last byte
 * @watch:	what was last synced for the CPU
 * @watch_last:	and its last byte
 * @synced_by:	return address of that sync
 * @bytes:	a copy of the bytes past the end of the buffer, which nobody may write
 * @state:	the shadow of their granules then
 */
struct dod_content {
	u32 invalidations;
	union {
		struct {
			u8 slots, head;
			bool summed;
			u32 sum;
			u64 valid, changed;
			u16 block[DOD_BLOCKS];
		};
		struct {
			bool watching, canary, filled;
			u8 redzone_nr;
			struct dod_edges *edges;
			u64 redzone;
			u64 fill, fill_last;
			u64 watch, watch_last;
			struct dod_frame synced_by;
			u8 bytes[DOD_BYTES_AFTER];
			u8 state[DOD_BYTES_AFTER / DOD_GRANULE + 1];
		};
	};
};

/* content.c */

/**
 * dod_content_get() - what is known of a mapping's content, begun if nothing is
 * @m: the mapping, not DMA_TO_DEVICE; physical lock held, or it is being made
 *
 * Return: NULL if there is no room.
 */
struct dod_content *dod_content_get(struct dod_mapping *m);

/* The same, but NULL also where content is not to be compared: see the parameter content. */
struct dod_content *dod_content_of(struct dod_mapping *m);

/* Did dod_content_invalidate_all() run since it began? By counting: clocks of CPUs differ. */
bool dod_content_was_invalidated(const struct dod_content *c);

/* Report what was found; @at is the return address of the call. */
typedef void dod_content_report_fn(const struct dod_content_result *found,
				   const struct dod_mapping *m, unsigned long at);
dod_content_report_fn dod_content_report, dod_redzone_report, dod_canary_report, dod_edges_report;

/* received.c. Events come from content.c, with the physical lock held. */

/* A mapping that is owned at once, and that the device may write, is made. */
void dod_redzone_begin(const struct dod_call *call, struct dod_mapping *m);
/* It is unmapped. */
void dod_redzone_end(struct dod_mapping *m, struct dod_content_result *found);

/* A mapping is made, with canary=1. */
void dod_canary_begin(const struct dod_call *call, struct dod_mapping *m);
/* [start, last] is synced for the device. @alone: it owned none of it, through no mapping. */
void dod_canary_to_device(struct dod_content *c, u64 start, u64 last, bool alone);
/* [start, last] is synced for the CPU or unmapped, with something filled. */
void dod_canary_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		       struct dod_content_result *found);

/* line_edges.c. Events come from content.c, with the physical lock held and with edges. */

void dod_edges_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		      struct dod_content_result *found);
void dod_edges_end(struct dod_content *c);
int dod_edges_start(unsigned int max);
void dod_edges_stop(void);

/* lost_writes.c */

/* [start, last] is synced for the device, with something watched; physical lock held. */
void dod_watch_to_device(struct dod_content *c, u64 start, u64 last);
/* Nothing is watched any more; physical lock held. */
void dod_watch_stop(struct dod_content *c);
void dod_scan_writes_start(void);
void dod_scan_writes_stop(void);

/* advice.c */
void dod_advice_start(void);
void dod_advice_stop(void);

/* Says in @f who read [start, last] last, since its mapping @m was made. */
void dod_reads_describe(struct dod_finding *f, u64 start, u64 last, const struct dod_mapping *m);

/* Can, or could, user space write to a dma-buf? True also if @number is 0, or not known. */
bool dod_dmabuf_is_lent(u32 number);

/* coherent.c: the device's driver was unbound. Process context. */
void dod_coherent_unbound(const struct device *dev);
void dod_coherent_start(void);
void dod_coherent_stop(void);
void dod_late_stop(void);

void dod_free_start(void);
void dod_free_stop(void);
void dod_unbind_start(void);
void dod_unbind_stop(void);

/* The rest are slots of dod_judge_ops: owner/judge_ops.h. */

/* map_kind.c */
void dod_check_single(const struct dod_mapping *m, const void *addr);
/* map.c */
bool dod_check_before(const struct dod_call *call, struct dod_mapping *m);
void dod_check_after(const struct dod_call *call, const struct dod_mapping *m);
/* map_lines.c */
bool dod_has_own_lines(const struct dod_call *call, const struct dod_mapping *m);
/* map_mask.c */
u64 dod_wires_of(const struct dod_device *d);
/* content.c */
void dod_content_begin(const struct dod_call *call, struct dod_mapping *m);
void dod_content_end(struct dod_mapping *m);
void dod_content_to_device(struct dod_mapping *m, u64 start, u64 last,
			   const struct dod_range *range, bool fresh, bool shared, bool writable);
void dod_content_to_cpu(const struct dod_call *call, struct dod_mapping *m,
			u64 start, u64 last, bool unmap, struct dod_content_result *found);
void dod_content_overlap(struct dod_mapping *m, u64 start, u64 last, bool writable);
void dod_content_written(struct dod_mapping *m, u64 start, u64 last);
int dod_content_start(unsigned int reserve, unsigned int max);
void dod_content_stop(void);
/* line_edges.c */
bool dod_edge_is_known(const struct dod_mapping *m, bool after);
void dod_edge_copy(struct dod_mapping *m, bool after, u64 start, u64 last);
void dod_edge_drop(struct dod_mapping *m, bool after);
void dod_edges_forget(struct dod_mapping *m, u64 start, u64 last);
/* lost_writes.c */
void dod_watch_to_cpu(const struct dod_call *call, struct dod_mapping *m, u64 start, u64 last);
bool dod_watch_covers(const struct dod_mapping *m, u64 *start, u64 *last,
		      unsigned long *synced_by);
void dod_write_lost(const struct dod_pending *p, const struct dod_mapping *m,
		    enum dod_lost how, unsigned long at);
/* late_write.c: memory that the device could write to, of slab, was unmapped */
void dod_late_unmapped(const struct dod_mapping *m);
/* never_mapped.c */
void dod_check_unmatched(const struct dod_call *call, struct dod_device *device,
			 enum dod_unmatched_call what, u64 dma_addr, u64 size);
/* free.c, unbind.c, dmabuf.c */
void dod_free_unseen(const struct dod_mapping *m, const struct dod_range *range,
		     const char *found);
void dod_leak_reused(const struct dod_mapping *leak, const struct dod_range *range,
		     const struct dod_mapping *m);
void dod_watch_bus(const struct bus_type *bus);
u32 dod_dmabuf_of_current(void);

#endif /* DOD_JUDGE_INTERNAL_H */
