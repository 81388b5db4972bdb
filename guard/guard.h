/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How an access is noticed, and what the sanitizer knows about memory. Kbuild links one guard:
 * KASAN's, KCSAN's or none. owner/ and judge/ call its operations, which call neither of them.
 */
#ifndef DOD_GUARD_H
#define DOD_GUARD_H

#include "../dma_owner_debug.h"

/**
 * struct dod_access_verdict - what is wrong with an access, by the shadow of its bytes
 *
 * Addresses are those of the access, 0 where there is no such byte.
 *
 * @owned:	first byte that a device owns and that the access must not touch; if there is
 *		none, the first stale byte that it reads
 * @edge:	first byte that it writes in a cache line that a device writes
 * @watched:	first byte that it writes whose writes are recorded, or that was stale until
 *		now
 * @foreign:	first byte that is bad for a reason of KASAN's own
 * @last:	last byte that was checked
 * @sent:	the device only reads @owned
 * @poisoned:	some granule has a value of ours, whether it forbids the access or not
 * @tail:	@foreign is in a granule that we poisoned as well
 */
struct dod_access_verdict {
	unsigned long owned, edge, watched, foreign, last;
	bool sent, poisoned, tail;
};

/**
 * struct dod_poison_ops - make accesses to memory of a device noticeable
 *
 * All but the first two can be NULL: the guard cannot.
 *
 * @poison:	from now on notice accesses to what the device owns of [start, last], or to
 *		stale bytes if the direction is DMA_NONE: those may be written, not read. Only
 *		whole granules inside the range, and the partial granule in which the mapping
 *		ends. @fresh: nothing of the range is poisoned, and all was found accessible.
 *		Called with the phys lock held, in the context of the mapping call
 * @unpoison:	forget every granule that [start, last] touches. @alone: nothing of it is
 *		poisoned for another mapping, and all was accessible. Phys lock held
 * @wait_unwatched: return when nothing notices an access to [start, last] any more. Called
 *		after @unpoison and before the CPU may access it, no lock of ours held
 * @is_poisoned: whether accesses to the granule of a linear-map address are noticed
 * @poison_line_edge: let nobody write the accessible bytes of [start, last], which touches
 *		the mapping on one side, from the mapping outwards. Phys lock held
 * @watch:	make writes to the whole granules of [start, last] that are not poisoned trap, or
 *		no longer; judge/access.c records them. Phys lock held
 * @scan_shadow: what is wrong with an access to [addr, last]. Takes no lock: what was
 *		unpoisoned since it trapped is not wrong any more
 */
struct dod_poison_ops {
	void (*poison)(const struct dod_mapping *m, u64 start, u64 last, u8 dir, bool fresh);
	void (*unpoison)(u64 start, u64 last, bool alone);
	void (*wait_unwatched)(u64 start, u64 last);
	bool (*is_poisoned)(const void *addr);
	void (*poison_line_edge)(const struct dod_mapping *m, u64 start, u64 last);
	void (*watch)(u64 start, u64 last, bool on);
	struct dod_access_verdict (*scan_shadow)(unsigned long addr, unsigned long last,
						 bool write);
};

extern const struct dod_poison_ops dod_poison_ops;

/**
 * struct dod_mem_ops - what the sanitizer knows about memory
 *
 * Called in any context, with any lock of ours held. Only @accessible_bytes, @object_size,
 * @first_bad_byte and @accessible must be there; the others can be NULL: the guard cannot tell.
 *
 * @accessible_bytes: how many bytes on that side of a mapping are accessible, from the
 *		mapping outwards, poisoned ones included; @after: [start, last] follows the
 *		mapping. Too few where that is not known
 * @next_object: on a machine with cache lines that are really shared, after @accessible_bytes has
 *		found nothing: narrow [start, last], on that side of a mapping, to what of it is in
 *		the slab object that is nearest to the mapping and not its own. False if nothing is,
 *		or it is not known. NULL if between objects there are bytes that are not accessible
 * @object_size: the size of an object that is being freed, 0 if it is not allocated
 * @first_bad_byte: the first byte of a mapping that must not be accessed for a reason of the
 *		sanitizer's own, whether it was freed, and what it is in; NULL if there is none.
 *		@merged: it may be of several allocations that follow each other
 * @accessible:	is all of a mapping certainly accessible? Its memory is not odd, and it is not
 *		poisoned. Asked before @first_bad_byte, which is slower
 * @redzone_bytes: how many bytes after a mapping nobody may write, @most at most, and the
 *		first of them. The allocator's and the sanitizer's own data are left out
 * @freed:	whether some of a range was freed, by one granule of each allocation
 * @mark_freed:	if all of [start, last] is of a freed slab object, mark it, until it is allocated
 *		again; whole granules, and not its first one alone. Comes with the next two
 * @is_marked_freed: is all of it still free, and has been since it was marked?
 * @unmark_freed: the mark of a range that ends at @last is not needed any more
 * @state:	what the sanitizer itself says about the granule of a byte: only to be
 *		compared. Comes with @redzone_bytes
 * @object_end:	the first byte after the slab object that a byte is in, 0 if it is not known. Its
 *		user may have asked for less: there are no @redzone_bytes
 * @allocated:	whether some of the place of a slab object is allocated. NULL if only the allocator
 *		knows
 * @start:	get ready; called once at load, may sleep. What the banner is to add, or NULL
 */
struct dod_mem_ops {
	u64 (*accessible_bytes)(u64 start, u64 last, bool after);
	bool (*next_object)(u64 *start, u64 *last, bool after);
	u64 (*object_size)(const void *addr);
	const char *(*first_bad_byte)(const struct dod_mapping *m, bool merged, u64 *bad,
				      bool *freed);
	bool (*accessible)(const struct dod_mapping *m);
	unsigned int (*redzone_bytes)(const struct dod_mapping *m, unsigned int most, u64 *start);
	bool (*freed)(u64 start, u64 last);
	bool (*mark_freed)(u64 start, u64 last);
	bool (*is_marked_freed)(u64 start, u64 last);
	void (*unmark_freed)(u64 last);
	u8 (*state)(u64 phys);
	u64 (*object_end)(u64 phys);
	bool (*allocated)(u64 start, u64 last);
	const char *(*start)(void);
};

extern const struct dod_mem_ops dod_mem_ops;

/*
 * How many bytes on that side of a mapping belong to its object, from the mapping outwards: those
 * that are accessible, or may be. [start, last] is not empty.
 */
static inline u64 dod_bytes_beside(const struct dod_mapping *m, u64 start, u64 last, bool after)
{
	u64 nr = dod_mem_ops.accessible_bytes(start, last, after), end;

	if (nr || !after || !dod_mem_ops.object_end)
		return nr;
	end = dod_mem_ops.object_end(m->last);
	return end > start ? min(end, last + 1) - start : 0;
}

/**
 * struct dod_guard - the guard in words
 *
 * @name:	as the load banner shows it
 * @means:	what else the banner says; NULL if everything works
 * @unseen:	sentences of a report about content that changed without a trap
 * @traps:	each access traps at once, and @is_poisoned is there
 */
struct dod_guard {
	const char *name, *means, *unseen;
	bool traps;
};

extern const struct dod_guard dod_guard;

/* What is missing without KASAN's shadow. */
#define DOD_NO_SHADOW_MEANS \
	"without KASAN's shadow there is no device-overrun, no missing-sync-for-device, and less of out-of-bounds-map, use-after-free-map, cacheline-sharing and shared-line-write (see usage.rst)"

#endif /* DOD_GUARD_H */
