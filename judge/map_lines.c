// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of map.c: who else uses the bytes of a mapping, or the cache lines that it begins
 * and ends in (rules 9 and 10). What changes in such a line later is line_edges.c's.
 *
 * Takes no locks but owner/'s, by its look-ups.
 */
#include "internal.h"

#include <linux/platform_device.h>
#include <linux/skbuff.h>

/* Is the line not there, but only imagined by the parameter? */
static bool is_simulated(bool coherent)
{
	return coherent || READ_ONCE(dod_params.noncoherent);
}

static u64 first_of_lines(const struct dod_mapping *m)
{
	return dod_line_of(m, m->start);
}

static u64 last_of_lines(const struct dod_mapping *m)
{
	return dod_line_of(m, m->last) + m->line - 1;
}

/* Of [start, last], on one side of a mapping, the @nr bytes that are next to it. */
static void keep_nearest(u64 *start, u64 *last, u64 nr, bool after)
{
	if (after)
		*last = *start + nr - 1;
	else
		*start = *last + 1 - nr;
}

/* === Memory of devm_kmalloc() ============================================= */

/*
 * devm_kmalloc() puts a header of the driver core's before its memory, in one object of
 * kmalloc()'s. What the header looks like is constant after load.
 */
static struct {
	u64 size;		/* of the header; 0 if it is not known */
	u64 release_at;		/* offset in it of the pointer to devm_kmalloc_release() */
	u64 size_at;		/* offset in it of the size that was asked for */
	const void *release;	/* that pointer */
} devres;

#define TRIED_SIZE	200UL

static void learn_header(const u8 *data)
{
	struct folio *folio = virt_to_folio(data);
	char name[DOD_NAME_CHARS];
	bool sized = false;
	u64 nr, at;

	if (!folio_test_slab(folio))
		return;
	nr = dod_mem_ops.accessible_bytes(dod_folio_start(folio),
					  virt_to_phys((void *)data) - 1, false);
	devres.release = NULL;
	for (at = 0; at + sizeof(long) <= nr; at += sizeof(long)) {
		unsigned long word = *(const unsigned long *)(data - nr + at);

		dod_function_name(word, name, sizeof(name));
		if (word == TRIED_SIZE) {
			devres.size_at = at;
			sized = true;
		} else if (dod_is_function(name, "devm_kmalloc_release")) {
			devres.release_at = at;
			devres.release = (const void *)word;
		}
	}
	if (sized && devres.release)
		devres.size = nr;
}

/* KFENCE may serve many allocations, but not more than it has objects. */
void dod_learn_devres(void)
{
	struct platform_device *pdev = platform_device_alloc("dma_owner_debug-load",
							     PLATFORM_DEVID_NONE);
	unsigned int tries;

	devres.size = 0;
	for (tries = 0; pdev && tries < DOD_KFENCE_OBJECTS + 2; tries++) {
		const u8 *data = devm_kmalloc(&pdev->dev, TRIED_SIZE, GFP_KERNEL);

		if (data && !is_kfence_address(data)) {
			learn_header(data);
			break;
		}
	}
	platform_device_put(pdev);
}

static const void *peek_header(const struct dod_mapping *m, u64 at)
{
	return dod_peek(phys_to_virt(m->start - devres.size + at));
}

/* Does the mapping begin where such memory does? */
static bool is_managed(const struct dod_mapping *m)
{
	struct folio *folio = dod_folio(m->start);
	u64 first = dod_folio_start(folio);

	if (!devres.size || !folio_test_slab(folio) || m->start - first < devres.size)
		return false;
	first = max(first, m->start - devres.size - 1);
	return dod_mem_ops.accessible_bytes(first, m->start - 1, false) == devres.size &&
	       peek_header(m, devres.release_at) == devres.release;
}

/* The rest of its object is nobody's. 0 if the mapping begins elsewhere. */
static u64 managed_end(const struct dod_mapping *m)
{
	return is_managed(m) ? m->start + (unsigned long)peek_header(m, devres.size_at) : 0;
}

/*
 * On a machine that has such lines devm_kmalloc() aligns its memory to them. On this one
 * the header before it, which changes when other memory of the device comes and goes, is
 * in the first line.
 */
bool dod_has_own_lines(const struct dod_call *call, const struct dod_mapping *m)
{
	return m->dir != DMA_TO_DEVICE && !IS_ALIGNED(m->start, m->line) &&
	       is_simulated(dev_is_dma_coherent(call->dev)) && is_managed(m);
}

/* === Neighbours in a line ================================================= */

/*
 * The bytes in a line that somebody else may write, and how far away they begin.
 * @other: they are certainly in another object than the mapping
 */
struct neighbours {
	u64 start, nr, distance;
	bool other;
};

/* There are no redzones between objects: the next one is told by its bounds. */
static struct neighbours find_next_object(u64 start, u64 last, bool after)
{
	struct neighbours n = { .other = true };
	u64 from = start, to = last;

	if (!dod_mem_ops.next_object(&from, &to, after))
		return n;
	n.start = from;
	n.nr = to - from + 1;
	n.distance = after ? from - start : last - to;
	return n;
}

/*
 * Those in [start, last], from the mapping outwards. Only a slab object has bounds that
 * tell: in other pages all bytes are accessible, used or not. What is past a redzone
 * counts on the machine that it lies on; on another it would lie elsewhere (rule 10).
 *
 * Entries of one list are synced together, so that no line of theirs is dirtied in
 * between: what is past the next entry is that one's neighbour.
 */
static struct neighbours find_neighbours(const struct dod_mapping *m, u64 start, u64 last,
					 bool after)
{
	struct neighbours n = {};

	if (start > last)
		return n;
	if (!folio_test_slab(dod_folio(start))) {
		dod_count(DOD_C_UNJUDGED_SHARED_PAGE);
		return n;
	}
	/* What is beside an object of KFENCE's is nobody's, and KASAN has no redzone there. */
	if (unlikely(dod_is_kfence(start, last)))
		return n;
	if (m->kind == DOD_SG) {
		u64 nr = dod_owner_up_to_group(m, start, last, after);

		if (!nr)
			return n;
		keep_nearest(&start, &last, nr, after);
	}
	n.nr = dod_mem_ops.accessible_bytes(start, last, after);
	if (!n.nr && dod_mem_ops.next_object && !is_simulated(m->device->coherent))
		return find_next_object(start, last, after);
	while (!n.nr && start < last && !is_simulated(m->device->coherent)) {
		n.distance++;
		n.nr = dod_mem_ops.accessible_bytes(after ? ++start : start,
						    after ? last : --last, after);
	}
	n.start = after ? start : last + 1 - n.nr;
	return n;
}

/*
 * Where does the struct skb_shared_info of a network buffer begin that is mapped for receiving?
 * alloc_skb() has it end with the object, and clears what precedes its count of references,
 * which begins with 1. What is before it is of one buffer, which nobody writes meanwhile: it
 * has cache lines of its own (SKB_DATA_ALIGN). 0 if the object is something else.
 */
static u64 skb_end(const struct dod_mapping *m)
{
	struct folio *folio = dod_folio(m->last);
	u64 last = dod_folio_start(folio) + folio_size(folio) - 1, end = m->last + 1;
	const struct skb_shared_info *info;

	if (end > last)
		return 0;
	end += dod_bytes_beside(m, end, last, true);
	if (end < m->last + 1 + SKB_DATA_ALIGN(sizeof(*info)) || !IS_ALIGNED(end, SMP_CACHE_BYTES))
		return 0;
	end -= SKB_DATA_ALIGN(sizeof(*info));
	info = phys_to_virt(end);
	if (atomic_read(&info->dataref) != 1 ||
	    memchr_inv(info, 0, offsetof(struct skb_shared_info, dataref)))
		return 0;
	return end;
}

/*
 * A buffer that begins its object often does not fill it: the rest is spare (256 bytes
 * allocated, 255 mapped), and nobody writes there. If somebody does, that is a
 * shared-line-write (rules 0 and 10). The same holds for the last of some entries of a
 * list that follow each other.
 */
static bool begins_object(const struct dod_mapping *m)
{
	const struct dod_mapping *entry, *previous = NULL;
	u64 start = m->start;
	struct folio *folio;

	for (entry = m->group; entry; previous = entry, entry = entry->next) {
		if (!previous || previous->last + 1 != entry->start)
			start = entry->start;
		if (entry == m)
			break;
	}
	folio = dod_folio(start);
	if (!folio_test_slab(folio))
		return false;
	return start == dod_folio_start(folio) ||
	       !dod_mem_ops.accessible_bytes(start - 1, start - 1, false) ||
	       (start == m->start && is_managed(m));
}

/* Of objects that the kernel lays out, what of the line is nobody else's does not count. */
static void exempt_known_objects(const struct dod_mapping *m, struct neighbours *before,
				 struct neighbours *after)
{
	u64 last = last_of_lines(m), end = skb_end(m);

	if (end) {
		before->nr = 0;
		*after = find_neighbours(m, end, last, true);
		return;
	}
	end = managed_end(m);
	if (end)
		*after = find_neighbours(m, m->last + 1, min(last, end - 1), true);
}

static void exempt_spare_rest(const struct dod_mapping *m, struct neighbours *after)
{
	u64 spare = after->nr;

	/* Without a shadow it is not known whether somebody has asked for it. */
	if (dod_mem_ops.object_end && m->last < last_of_lines(m) &&
	    dod_mem_ops.object_end(m->last) > m->last + 1)
		dod_count(DOD_C_UNJUDGED_OBJECT_REST);
	if (!spare || after->other || after->distance || READ_ONCE(dod_params.strict) ||
	    !begins_object(m))
		return;
	dod_count(DOD_C_UNJUDGED_OBJECT_REST);
	*after = find_neighbours(m, m->last + 1 + spare, last_of_lines(m), true);
	after->distance += spare;
}

static void add_neighbours(struct dod_finding *f, const struct dod_mapping *m,
			   const struct neighbours *n, bool after)
{
	if (!n->nr)
		return;
	dod_finding_add(f, "Its %s cache line, of %u bytes, also holds %llu byte%s %s the buffer, which the CPU may write.\n",
			after ? "last" : "first", m->line, n->nr, n->nr == 1 ? "" : "s",
			after ? "after" : "before");
	if (n->distance)
		dod_finding_add(f, "The nearest of them is %llu byte%s away.\n", n->distance,
				n->distance == 1 ? "" : "s");
	f->object = phys_to_virt(after ? n->start : n->start + n->nr - 1);
}

bool dod_check_line_neighbours(const struct dod_mapping *m, struct dod_finding *f)
{
	struct neighbours before, after;

	if (m->dir == DMA_TO_DEVICE)
		return false;
	before = find_neighbours(m, first_of_lines(m), m->start - 1, false);
	after = find_neighbours(m, m->last + 1, last_of_lines(m), true);
	if (unlikely(before.nr || after.nr))
		exempt_known_objects(m, &before, &after);
	exempt_spare_rest(m, &after);
	if (!before.nr && !after.nr)
		return false;
	if (is_simulated(m->device->coherent) && dod_map_permitted(DOD_R_CACHELINE_SHARING, m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return false;
	}
	f->shared[0] = (struct dod_bytes){ before.start, before.nr };
	f->shared[1] = (struct dod_bytes){ after.start, after.nr };
	add_neighbours(f, m, &before, false);
	add_neighbours(f, m, &after, true);
	return true;
}

/* === Other mappings ======================================================= */

/* Does a part of the rest of a line, [start, last], that counts belong to another one? */
static bool other_in_rest(const struct dod_mapping *m, u64 start, u64 last, bool after,
			  struct dod_mapping *other)
{
	if (start > last)
		return false;
	if (is_simulated(m->device->coherent)) {
		u64 nr = dod_bytes_beside(m, start, last, after);

		if (!nr)
			return false;
		keep_nearest(&start, &last, nr, after);
	}
	return dod_owner_find_other(m, start, last, m->dir == DMA_TO_DEVICE, other);
}

bool dod_check_line_of_other_mapping(const struct dod_mapping *m, struct dod_finding *f)
{
	bool first = other_in_rest(m, first_of_lines(m), m->start - 1, false, f->other);

	if (!first && !other_in_rest(m, m->last + 1, last_of_lines(m), true, f->other))
		return false;
	dod_finding_add(f, "Its %s cache line, of %u bytes, also holds bytes of another mapping.\n",
			first ? "first" : "last", m->line);
	return true;
}

static const char *writable_mapping(const struct dod_mapping *m, const struct dod_mapping *other)
{
	if (m->dir == DMA_TO_DEVICE)
		return "the other mapping";
	return other->dir == DMA_TO_DEVICE ? "this mapping" : "both mappings";
}

/* Rule 9. A second mapping that the device does not own does no harm. */
bool dod_check_overlap(const struct dod_mapping *m, struct dod_finding *f)
{
	struct dod_mapping *other = f->other;

	if (!dod_owner_find_other(m, m->start, m->last, m->dir == DMA_TO_DEVICE, other))
		return false;
	if (dod_map_permitted(DOD_R_OVERLAPPING_MAPPING, m) ||
	    dod_map_permitted(DOD_R_OVERLAPPING_MAPPING, other)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return false;
	}
	dod_finding_add(f, "Bytes %llu to %llu are already mapped, and the device may write through %s.\n",
			max(m->start, other->start) - m->start,
			min(m->last, other->last) - m->start, writable_mapping(m, other));
	return true;
}
