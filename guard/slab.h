/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where slab objects begin and end, by the allocator's own records: for guards that have no shadow
 * to ask, and for the file exposure. Takes no locks.
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

/**
 * struct dod_slab - the slab that a page is of, as its cache lays objects out
 *
 * @cache:	identity of the cache, and for dod_slab_name()
 * @first:	its first byte, physical, and that of its first object
 * @end:	first byte after all objects
 * @size:	from object to object
 * @object_size: of an object
 */
struct dod_slab {
	const void *cache;
	u64 first, end;
	u32 size, object_size;
};

#define DOD_SLAB_NAME	32

bool dod_slab_learn(void);
bool dod_slab_find(u64 phys, struct dod_slab *slab);
void dod_slab_name(const void *cache, char *name);
bool dod_slab_is_frozen(void);
bool dod_slab_has_cache(u64 phys);
bool dod_slab_object(u64 phys, struct dod_object *o);

#endif /* DOD_GUARD_SLAB_H */
