/* SPDX-License-Identifier: GPL-2.0 */
/* How an access is noticed. */
#ifndef DOD_GUARD_H
#define DOD_GUARD_H

#include "../dma_owner_debug.h"

/**
 * struct dod_poison_ops - make accesses to memory of a device noticeable; NULL: cannot
 *
 * @poison:	guard what the device owns of [start, last] from now on, or with
 *		DMA_NONE what is stale: it may be written and not read. Only whole
 *		granules inside the range, and the partial granule in which the
 *		mapping ends. Phys lock held, in the context of who hands it over
 * @unpoison:	stop guarding every granule that [start, last] touches. Phys lock
 *		held
 * @wait_unwatched:	after @unpoison, when no lock of ours is held and before the CPU may
 *		access [start, last]: return when nothing notices that any more.
 *		Default: that is so at once
 * @is_poisoned:	whether the granule of a linear-map address is guarded
 * @poison_line_edge:	let nobody write what is alive of [start, last], which touches the
 *		mapping on one side, from there on outwards. Phys lock held.
 *		Default: they may
 * @watch:	tell dod_owner_write() of writes to the whole granules of
 *		[start, last], unless they are guarded; or not any more. Phys lock
 *		held. Default: it cannot
 */
struct dod_poison_ops {
	void (*poison)(const struct dod_mapping *m, u64 start, u64 last, u8 dir);
	void (*unpoison)(u64 start, u64 last);
	void (*wait_unwatched)(u64 start, u64 last);
	bool (*is_poisoned)(const void *addr);
	void (*poison_line_edge)(const struct dod_mapping *m, u64 start, u64 last);
	void (*watch)(u64 start, u64 last, bool on);
};

extern const struct dod_poison_ops dod_poison_ops;

/**
 * struct dod_mem_ops - what the sanitizer knows of memory; NULL: cannot
 *
 * @classify:	which memory of a new mapping may be guarded; counts what may not
 * @accessible_bytes:	how many bytes on that side of [start, last] are accessible, from
 *		the mapping outwards; guarded ones are. Too few where that is not
 *		known
 * @object_size:	how many bytes an object has that is being freed; 0 if it is not alive
 * @first_bad_byte: the first byte of a range that must not be accessed for a
 *		reason of the sanitizer's own, and what it is; NULL if there is
 *		none, or if that cannot be told
 * @redzone_bytes:	how many bytes behind a mapping nobody may write to, and which is
 *		the first; not what the allocator or the sanitizer keeps there.
 *		Default: it is not known
 * @freed:	whether some of a range was freed, as far as one granule of each page
 *		tells. Default: it is not known
 * @state:	what the sanitizer itself makes of the granule of a byte: to be
 *		compared only. Comes with @redzone_bytes
 */
struct dod_mem_ops {
	enum dod_trap (*classify)(const struct dod_mapping *m);
	u64 (*accessible_bytes)(u64 start, u64 last, bool after);
	u64 (*object_size)(const void *addr);
	const char *(*first_bad_byte)(u64 start, u64 last, u64 *bad, bool *freed);
	unsigned int (*redzone_bytes)(const struct dod_mapping *m, unsigned int most,
				      u64 *start);
	bool (*freed)(u64 start, u64 last);
	u8 (*state)(u64 phys);
};

extern const struct dod_mem_ops dod_mem_ops;

/**
 * struct dod_guard - what notices an access to memory that a device owns
 *
 * @name:	as the load banner shows it
 * @means:	and behind that, what it means; NULL if everything works
 * @unseen:	sentences about content that has changed without a trap
 * @traps:	each access traps at once, and @is_poisoned can be asked
 * @start:	get ready to notice; called before the first @poison
 * @stop:	after the last @unpoison; returns when no trap can run any more
 */
struct dod_guard {
	const char *name, *means, *unseen;
	bool traps;
	int (*start)(void);
	void (*stop)(void);
};

extern const struct dod_guard dod_guard;


/* Of guards that mark nothing. */
#define DOD_BLIND_MEANS \
	"checks that read KASAN's shadow are off (out-of-bounds-map, use-after-free-map, shared-line-write, device-overrun, missing-sync-for-device, cacheline-sharing with slab objects)"

void dod_guard_blind_poison(const struct dod_mapping *m, u64 start, u64 last,
			    u8 dir);
void dod_guard_blind_unpoison(u64 start, u64 last);
bool dod_guard_blind_is_poisoned(const void *addr);
u64 dod_guard_blind_accessible_bytes(u64 start, u64 last, bool after);
u64 dod_guard_blind_object_size(const void *addr);
const char *dod_guard_blind_first_bad_byte(u64 start, u64 last, u64 *bad,
					   bool *freed);

#endif /* DOD_GUARD_H */
