// SPDX-License-Identifier: GPL-2.0
/*
 * Where slab objects begin and end. SLUB lays them out one after the other, from the first byte
 * of a slab on. How long one is its cache knows, and the slab knows the cache; but struct slab and
 * struct kmem_cache are private to mm/, and differ between kernels.
 *
 * So it is found out where they have what is wanted, with caches of our own whose every object is
 * known. What is not understood (another allocator, slub_debug) is not known at all.
 *
 * Takes no locks. A slab that is freed meanwhile is read without a fault, and counts as unknown.
 */
#include "../base/compat.h"
#include "../base/memory.h"
#include "slab.h"

#include <linux/bitops.h>
#include <linux/ctype.h>
#include <linux/gcd.h>
#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

/* Offsets and facts; constant once @known. */
static struct {
	bool known;
	bool frozen;			/* pages of slabs have no references */
	const void *caches;		/* the cache that caches are objects of */
	unsigned int cache;		/* in struct slab, of the pointer to its cache */
	unsigned int size;		/* in struct kmem_cache, from object to object */
	unsigned int object_size;	/* in it, of an object */
	unsigned int name;		/* in it, of the pointer to its name; 0 if unknown */
} layout;

static const void *cache_of(const struct folio *folio, unsigned int offset)
{
	return READ_ONCE(*(const void *const *)((const u8 *)folio + offset));
}

static bool read_u32(const void *at, u32 *value)
{
	pagefault_disable();
	__get_kernel_nofault(value, at, u32, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

/* As much of a string as can be read, and is text. @from may be anything. */
static void read_name(const char *from, char *name, size_t size)
{
	size_t i = 0;

	/* Addresses of the kernel's are canonical; what is not there has no end but this. */
	if ((unsigned long)from >= PAGE_OFFSET) {
		pagefault_disable();
		for (; i < size - 1; i++) {
			__get_kernel_nofault(name + i, from + i, char, fault);
			if (!isascii(name[i]) || !isgraph(name[i]))
				break;
		}
fault:
		pagefault_enable();
	}
	name[i] = '\0';
}

/* === Where it is ========================================================== */

/*
 * Objects of a cache of ours: enough for some to be adjacent, whatever their order. KFENCE may
 * serve the first ones, but not more than it has.
 */
#define NR_TRIED	64
#define MOST_TRIED	(NR_TRIED + DOD_KFENCE_OBJECTS)

/* struct kmem_cache is longer, but has what is wanted in the first 256 bytes. */
#define NR_FIELDS	64

/* What can still be meant, as bits. */
struct candidates {
	u64 cache;		/* words of struct slab */
	u64 size, object_size;	/* u32 fields of struct kmem_cache */
	u64 name;		/* words of it */
};

/* A cache with a constructor is merged with no other. */
static void construct(void *object) {}

/*
 * Offsets in the slab, of which the greatest common divisor is the distance between objects: the
 * first one is at the start of the slab, and those of KFENCE are elsewhere. Returns 0 if unknown.
 */
static unsigned int measure(struct kmem_cache *cache, struct candidates *c)
{
	unsigned int nr = 0, tries, distance = 0;
	void **object, *last = NULL;

	for (tries = 0; nr < NR_TRIED && tries < MOST_TRIED; tries++) {
		struct folio *folio;
		unsigned int word;

		object = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOWARN);
		if (!object)
			break;
		*object = last;
		last = object;
		if (is_kfence_address(object))
			continue;
		nr++;
		folio = virt_to_folio(object);
		if (!folio_test_slab(folio))
			c->cache = 0;
		if (!folio_ref_count(folio))
			layout.frozen = true;
		for (word = 0; word < sizeof(struct page) / sizeof(long); word++)
			if (cache_of(folio, word * sizeof(long)) != cache)
				c->cache &= ~BIT_ULL(word);
		distance = gcd(distance, (u8 *)kasan_reset_tag(object) -
					 (u8 *)kasan_reset_tag(folio_address(folio)));
	}
	while ((object = last)) {
		last = *object;
		kmem_cache_free(cache, object);
	}
	return distance;
}

/* Does the struct have a pointer to its name there? The kernel has made a copy of ours. */
static bool is_name(const struct kmem_cache *cache, unsigned int word, const char *name)
{
	char found[DOD_SLAB_NAME];
	unsigned long at;

	if (!dod_read_word((const unsigned long *)cache + word, &at) ||
	    !dod_is_linear(kasan_reset_tag((void *)at)))
		return false;
	read_name(kasan_reset_tag((void *)at), found, sizeof(found));
	return !strcmp(found, name);
}

/* Which fields of the struct have these values? It is a slab object itself. */
static void compare(const struct kmem_cache *cache, const char *name, unsigned int cache_offset,
		    u32 size, u32 object_size, struct candidates *c)
{
	const void *own = cache_of(virt_to_folio(cache), cache_offset);
	u32 length, value;
	unsigned int i;

	layout.caches = own;
	length = dod_is_linear(kasan_reset_tag(own)) ?
		 kmem_cache_size((struct kmem_cache *)own) / sizeof(value) : 0;
	for (i = 0; i < NR_FIELDS; i++) {
		bool there = i < length && read_u32((const u32 *)cache + i, &value);

		if (!there || value != size)
			c->size &= ~BIT_ULL(i);
		if (!there || value != object_size)
			c->object_size &= ~BIT_ULL(i);
	}
	length = length * sizeof(value) / sizeof(long);
	for (i = 0; i < NR_FIELDS; i++)
		if (i >= min_t(u32, length, NR_FIELDS * sizeof(value) / sizeof(long)) ||
		    !is_name(cache, i, name))
			c->name &= ~BIT_ULL(i);
}

/* With one cache; the sizes must be such as no other field has. */
static bool learn_from(const char *name, unsigned int object_size, struct candidates *c)
{
	char copied[DOD_SLAB_NAME];
	struct kmem_cache *cache;
	bool learned = false;
	unsigned int size;

	/* Of a constant that is built in, kmem_cache_create() makes no copy: see is_name(). */
	strscpy(copied, name, sizeof(copied));
	cache = kmem_cache_create(copied, object_size, 0, 0, construct);
	if (!cache)
		return false;
	size = measure(cache, c);
	if (size > object_size && hweight64(c->cache) == 1) {
		compare(cache, name, __ffs64(c->cache) * sizeof(long), size, object_size, c);
		learned = true;
	}
	kmem_cache_destroy(cache);
	return learned;
}

/**
 * dod_slab_learn() - find out how this kernel records slab objects
 *
 * Called at load, or by the first who needs it: one after the other. May sleep.
 *
 * Return: whether objects can be found.
 */
bool dod_slab_learn(void)
{
	struct candidates c = {
		.cache = GENMASK_ULL(sizeof(struct page) / sizeof(long) - 1, 0),
		.size = U64_MAX,
		.object_size = U64_MAX,
		.name = U64_MAX,
	};

	if (layout.known)
		return true;

	static_assert(sizeof(struct page) / sizeof(long) < 64);
	/* Sizes that neither the rounded size of an object nor its alignment can be. */
	if (!learn_from("dma_owner_debug-1100", 1100, &c) ||
	    !learn_from("dma_owner_debug-500", 500, &c) ||
	    hweight64(c.size) != 1 || hweight64(c.object_size) != 1)
		return false;
	layout.cache = __ffs64(c.cache) * sizeof(long);
	layout.size = __ffs64(c.size) * sizeof(u32);
	layout.object_size = __ffs64(c.object_size) * sizeof(u32);
	/* The object in sysfs has another, further on, which is not that of merged caches. */
	if (c.name)
		layout.name = __ffs64(c.name) * sizeof(long);
	layout.known = true;
	return true;
}

/* === Objects ============================================================== */

/*
 * With SLAB_RED_ZONE an object does not begin where its place does: slub_debug=Z adds two words
 * at least to what an object has without. Larger padding, as of SLAB_HWCACHE_ALIGN, cannot be told
 * from it.
 */
static bool begins_its_place(u32 size, u32 object_size)
{
	return object_size && object_size <= size && size - object_size < 2 * sizeof(long);
}

/* Whatever is freed meanwhile: the folio is a slab of that cache before and after. */
static bool read_sizes(const struct folio *folio, u32 *size, u32 *object_size)
{
	const void *cache = cache_of(folio, layout.cache), *at = kasan_reset_tag(cache);

	if (!dod_is_linear(at) || !read_u32(at + layout.size, size) ||
	    !read_u32(at + layout.object_size, object_size))
		return false;
	/* A slab that is freed loses its flag before its page has another owner. */
	smp_rmb();
	return folio_test_slab((struct folio *)folio) && cache_of(folio, layout.cache) == cache &&
	       *object_size && *size >= *object_size;
}

/**
 * dod_slab_is_frozen() - do slabs of this kernel have pages without references?
 *
 * Return: whether they have; false before dod_slab_learn().
 */
bool dod_slab_is_frozen(void)
{
	return layout.frozen;
}

/**
 * dod_slab_has_cache() - is a page certainly one of a slab whose cache is there?
 * @phys: a byte of it, in RAM
 *
 * All pages of KFENCE's for objects are marked as slabs, also those that never were an object: they
 * have no cache, but whatever was in their struct page before.
 *
 * Context: any.
 *
 * Return: false also if it is not known.
 */
bool dod_slab_has_cache(u64 phys)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(phys)));
	const void *cache;

	if (!layout.known || !folio_test_slab(folio))
		return false;
	cache = cache_of(folio, layout.cache);
	/* It can be anything: is it a cache? */
	if (!dod_is_linear(kasan_reset_tag(cache)) ||
	    !pfn_valid(PHYS_PFN(virt_to_phys((void *)cache))))
		return false;
	folio = virt_to_folio(cache);
	return folio_test_slab(folio) && cache_of(folio, layout.cache) == layout.caches;
}

/**
 * dod_slab_object() - the slab object, or its padding, that a byte is in
 * @phys: the byte, in RAM
 * @o: filled in; past the last object, @start and @end are where the unused rest begins
 *
 * Context: any. It may be freed at any time: then it is some object, or none.
 *
 * Return: false if it is in no slab, or the cache has a layout that is not known.
 */
bool dod_slab_object(u64 phys, struct dod_object *o)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(phys)));
	u64 first = PFN_PHYS(folio_pfn(folio));
	u32 size, object_size, bytes, index;

	if (!layout.known || !folio_test_slab(folio) || is_kfence_address(phys_to_virt(phys)) ||
	    !read_sizes(folio, &size, &object_size) || !begins_its_place(size, object_size))
		return false;
	bytes = folio_size(folio);
	index = (u32)(phys - first) / size;
	o->unused = first + bytes / size * size;
	o->slab_end = first + bytes;
	o->start = first + index * size;
	if (o->start >= o->unused) {
		o->start = o->unused;
		o->end = o->unused;
		o->next = o->slab_end;
		return true;
	}
	o->end = o->start + object_size;
	o->next = o->start + size;
	return true;
}

/**
 * dod_slab_find() - the slab that a page is of
 * @phys: a byte of the page, in RAM
 * @slab: filled in
 *
 * With slub_debug an object begins later than its place, by less than what the cache has between
 * objects. Context: any.
 *
 * Return: false if it is of none, or of KFENCE, or the cache has a layout that is not known.
 */
bool dod_slab_find(u64 phys, struct dod_slab *slab)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(phys)));

	if (!layout.known || !folio_test_slab(folio) || is_kfence_address(phys_to_virt(phys)))
		return false;
	slab->cache = kasan_reset_tag(cache_of(folio, layout.cache));
	if (!read_sizes(folio, &slab->size, &slab->object_size))
		return false;
	slab->first = PFN_PHYS(folio_pfn(folio));
	slab->end = slab->first + (u32)folio_size(folio) / slab->size * slab->size;
	return true;
}

/**
 * dod_slab_name() - the name of a cache
 * @cache: the cache, of dod_slab_find(); may be destroyed meanwhile
 * @name: filled in, DOD_SLAB_NAME characters
 */
void dod_slab_name(const void *cache, char *name)
{
	unsigned long at;

	*name = '\0';
	if (layout.name && dod_is_linear(cache) && dod_read_word(cache + layout.name, &at))
		read_name(kasan_reset_tag((void *)at), name, DOD_SLAB_NAME);
	if (!*name)
		strscpy(name, "(unknown)", DOD_SLAB_NAME);
}
