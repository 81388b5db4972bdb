/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where slab objects begin and end, by the allocator's own records: for guards that have no shadow
 * to ask. Takes no locks.
 */
#ifndef DOD_GUARD_SLAB_H
#define DOD_GUARD_SLAB_H

#include <linux/types.h>

/**
 * struct dod_object - where a slab object lies, as its cache lays objects out
 *
 * @start:	its first byte, physical
 * @end:	first byte after it, as its cache was made. The caller of kmalloc() can have asked
 *		for less
 * @next:	where the next object begins; after the last one, where the slab ends. What is
 *		between @end and @next is nobody's
 * @unused:	first byte after all objects of the slab
 * @slab_end:	first byte after the slab
 */
struct dod_object {
	u64 start, end, next, unused, slab_end;
};

bool dod_slab_learn(void);
bool dod_slab_is_frozen(void);
bool dod_slab_has_cache(u64 phys);
bool dod_slab_object(u64 phys, struct dod_object *o);

#endif /* DOD_GUARD_SLAB_H */
