// SPDX-License-Identifier: GPL-2.0
/*
 * Look-ups for a trap, a report, a check or a scan. They fill in copies, because the mapping
 * may end as soon as its lock is dropped. No lock is held at entry.
 */
#include "internal.h"

#include <linux/module.h>

/* Whoever else owns the byte. */
static bool forbids_all(const struct dod_range *r)
{
	return r->dir != DMA_TO_DEVICE && r->state == DOD_OWNED;
}

/*
 * Copies a mapping of a tree that owns a byte, or to which the byte is stale, ended mappings
 * included. If there are several, prefers one whose device may write the byte. @found: there is one
 * in another tree.
 */
static bool find_owner(struct index_tree *tree, u64 phys, bool write, bool found,
		       struct dod_mapping *copy, struct dod_range *range)
{
	struct dod_mapping *m;

	for (m = dod_phys_first(tree, phys, phys); m; m = dod_phys_next(m, phys, phys)) {
		struct dod_range *r = dod_range_first(m, phys, phys);

		/* A stale byte may be written, and read after that. */
		if (!r || r->state == DOD_PENDING || (r->state == DOD_STALE && write) ||
		    (found && r->dir == DMA_TO_DEVICE))
			continue;
		*copy = *m;
		*range = *r;
		found = true;
		if (forbids_all(r))
			break;
	}
	return found;
}

/* The same in all trees; the area of the byte is locked. */
static bool find_any_owner(struct dod_area *a, u64 phys, bool write,
			   struct dod_mapping *copy, struct dod_range *range)
{
	struct index_tree *tree;
	struct dod_walk w;
	bool found = false;

	dod_walk_begin(&w, a, phys, phys);
	dod_for_each_tree(tree, &w)
		if (!found || !forbids_all(range))
			found = find_owner(tree, phys, write, found, copy, range);
	dod_walk_end(&w);
	return found;
}

/* What the device writes of the first or last line, if @phys is in the rest of that line. */
static struct dod_range *writes_beside(struct dod_mapping *m, u64 phys)
{
	unsigned int after;
	u64 start, last;

	for (after = 0; has_edges(m) && after < 2; after++) {
		line_edge(m, after, &start, &last);
		if (phys >= start && phys <= last)
			return device_writes_line(m, after);
	}
	return NULL;
}

/* Does a device write the rest of the line of a byte? @copy may be NULL. The area is locked. */
static bool find_edge(struct dod_area *a, u64 phys, struct dod_mapping *copy,
		      struct dod_range *range)
{
	u64 margin = READ_ONCE(dod_widest_line), from = phys - min(phys, margin);
	struct dod_range *r = NULL;
	struct dod_mapping *m;
	struct dod_walk w;

	dod_walk_begin(&w, a, phys, phys);
	dod_for_each_overlap(m, &w, from, phys + margin) {
		r = writes_beside(m, phys);
		if (!r)
			continue;
		if (copy) {
			*copy = *m;
			*range = *r;
		}
		break;
	}
	dod_walk_end(&w);
	return r;
}

/**
 * dod_owner_find_edge() - which device writes to the cache line of a byte?
 * @phys: the byte, which no mapping holds
 * @copy: filled in if there is one
 * @range: what the device owns of that line; filled in with it
 *
 * Return: whether there is one.
 */
bool dod_owner_find_edge(u64 phys, struct dod_mapping *copy, struct dod_range *range)
{
	struct dod_area a;
	bool found;

	dod_area_lock_page(&a, phys);
	found = find_edge(&a, phys, copy, range);
	dod_area_unlock(&a);
	return found;
}

/**
 * dod_owner_find() - which mapping makes a device the owner of a byte?
 * @phys: the byte
 * @write: the access that trapped is a write
 * @copy: filled in if there is one
 * @range: what the device owns around the byte; filled in with it
 *
 * Return: whether a device owns the byte.
 */
bool dod_owner_find(u64 phys, bool write, struct dod_mapping *copy, struct dod_range *range)
{
	bool found, broken = false;
	struct dod_area a;

	dod_area_lock_page(&a, phys);
	found = find_any_owner(&a, phys, write, copy, range);
	if (unlikely(found && range->state == DOD_STALE) && dod_stale_drop_uncertain(&a, phys))
		found = find_any_owner(&a, phys, write, copy, range);
	/*
	 * Owner and shadow change in this area, except those of spanning mappings. Poison
	 * that no mapping accounts for is a bug of the tool, not of the driver. But a byte may
	 * have become stale since a write to it trapped: it is poisoned, and may be written.
	 */
	if (!found && dod_poison_ops.is_poisoned &&
	    dod_poison_ops.is_poisoned(phys_to_virt(phys)) &&
	    !(write && find_any_owner(&a, phys, false, copy, range)) &&
	    !find_edge(&a, phys, NULL, NULL)) {
		dod_poison_ops.unpoison(phys, phys, false);
		/* Pairs with smp_mb__after_atomic() in dod_spanning_begin(). */
		smp_rmb();
		broken = !atomic_read(&dod_spanning_changes);
	}
	dod_area_unlock(&a);
	if (broken)
		dod_broken("poison without an owner");
	/* If the access is allowed, the mapping that forbade it has ended meanwhile. */
	return found && (write || range->dir != DMA_TO_DEVICE);
}

/**
 * dod_owner_find_guardable() - does a device own a byte, and how many that follow it?
 * @start: the byte
 * @last: the last one of interest, and then that the device owns, too
 * @copy: filled in if there is one
 * @range: what the device owns around them; filled in with it
 *
 * For a guard that watches memory of its own choice. Not where memory is or was mapped several
 * times: what the kernel does for one mapping, such as a copy to its bounce buffer, is legal.
 *
 * Return: whether a device owns the byte, and it may be watched.
 */
bool dod_owner_find_guardable(u64 start, u64 *last, struct dod_mapping *copy,
			      struct dod_range *range)
{
	struct index_tree *tree;
	bool found = false;
	struct dod_area a;
	struct dod_walk w;

	dod_area_lock_page(&a, start);
	dod_walk_begin(&w, &a, start, start);
	dod_for_each_tree(tree, &w)
		found = found || (find_owner(tree, start, false, false, copy, range) &&
				  range->state == DOD_OWNED && copy->trap != DOD_TRAP_NONE &&
				  !copy->shared);
	dod_walk_end(&w);
	dod_area_unlock(&a);
	if (found)
		*last = min(*last, range->last);
	return found;
}

/*
 * Rule 5b: does an engine work in place on the bytes of @other, which it owns since the map
 * and nobody has synced? Then the call of @m maps just these bytes, too, in the opposite
 * direction: an engine that adds to its output has it mapped DMA_BIDIRECTIONAL, async_xor.c.
 * Mappings of that call cannot end yet.
 */
static bool is_in_place(const struct dod_mapping *m, struct dod_mapping *other)
{
	bool opposite = (m->dir == DMA_TO_DEVICE) != (other->dir == DMA_TO_DEVICE);
	const struct dod_mapping *same;
	struct dod_range *r;

	if (m->dev != other->dev || !opposite || other->sync_len || READ_ONCE(dod_params.strict))
		return false;
	r = dod_range_first(other, other->start, other->start);
	if (!r || r->state != DOD_OWNED || r->start != other->start || r->last != other->last)
		return false;
	for (same = m->group; same; same = same->next)
		if (same->start == other->start && same->last == other->last)
			return true;
	return false;
}

/*
 * Rule 10: a TO_DEVICE mapping inside another mapping of the same memory, such as a part of
 * a received page that is forwarded, is checked by its bytes, not by the rest of their lines.
 * The tree is locked.
 */
static bool find_other(struct index_tree *tree, const struct dod_mapping *m, u64 start,
		       u64 last, bool writable, struct dod_mapping *copy)
{
	bool sent_rest = m->dir == DMA_TO_DEVICE && (last < m->start || start > m->last);
	u8 kinds = writable ? DOD_KIND_WRITABLE : 0;
	struct dod_mapping *other;
	struct dod_range *r;

	/* Of memory that many devices read, all mappings are skipped at once. */
	for_each_in_tree_of(other, tree, start, last, kinds) {
		if (other->group == m->group || !has_whole_lines(other) ||
		    other->trap != DOD_TRAP_ALL ||
		    (sent_rest && other->start <= m->start && other->last >= m->last))
			continue;
		r = writable ? dod_device_writes(other, start, last) :
			       dod_range_first(other, start, last);
		if (!r || is_in_place(m, other))
			continue;
		*copy = *other;
		return true;
	}
	return false;
}

static bool find_other_in_area(struct dod_area *a, const struct dod_mapping *m, u64 start,
			       u64 last, bool writable, struct dod_mapping *copy)
{
	struct index_tree *tree;
	u64 at;

	for_each_area_tree(tree, at, a, start, last)
		if (find_other(tree, m, start, last, writable, copy))
			return true;
	return false;
}

/**
 * dod_owner_find_other() - does a device own some of a range through another mapping?
 * @m: a mapping that is checked
 * @start: first byte, physical, of its bytes or of the rest of its first or last line
 * @last: last byte, physical
 * @writable: only if the device may write to it
 * @copy: the other mapping; filled in if there is one
 *
 * Only on devices that are not coherent. What the same call has mapped does not count, nor
 * what is mapped in place (rule 5b). No walk: spanning mappings come first, and only once.
 *
 * Return: whether there is one.
 */
bool dod_owner_find_other(const struct dod_mapping *m, u64 start, u64 last, bool writable,
			  struct dod_mapping *copy)
{
	bool found = false;
	struct dod_area a;
	u64 from, to;

	if (READ_ONCE(dod_by_phys->spanning.nr)) {
		dod_area_lock_spanning(&a);
		found = find_other(a.spanning, m, start, last, writable, copy);
		dod_area_unlock(&a);
	}
	if (found)
		return true;
	for_each_region(from, to, start, last) {
		dod_area_lock(&a, from, to);
		found = find_other_in_area(&a, m, from, to, writable, copy);
		dod_area_unlock(&a);
		if (found)
			break;
	}
	return found;
}

/**
 * dod_owner_up_to_group() - how far is it to what the same call has mapped?
 * @m: a mapping of the call
 * @start: first byte, physical
 * @last: last byte, physical; of the line in which @m ends or begins
 * @after: the range follows @m, and does not precede it
 *
 * Return: how many bytes of the range, from @m outwards, the call has not mapped.
 */
u64 dod_owner_up_to_group(const struct dod_mapping *m, u64 start, u64 last, bool after)
{
	u64 nr = last - start + 1;
	struct dod_mapping *other;
	struct dod_area a;
	struct dod_walk w;

	dod_area_lock(&a, start, min(last, region_last(start)));
	dod_walk_begin(&w, &a, start, min(last, region_last(start)));
	dod_for_each_overlap(other, &w, start, last)
		if (other->group == m->group)
			nr = min(nr, after ? max(other->start, start) - start :
					     last - min(other->last, last));
	dod_walk_end(&w);
	dod_area_unlock(&a);
	return nr;
}

/* Copies a mapping if it is nearer than what was copied before. */
static bool copy_nearer(const struct dod_mapping *m, const struct dod_place *p,
			struct dod_mapping *copy, bool found)
{
	if ((p->dev && m->dev != p->dev) || (found && dod_distance(m, p) >= dod_distance(copy, p)))
		return found;
	*copy = *m;
	return true;
}

/* By physical address. */
static bool nearest_phys(const struct dod_place *p, u64 first, u64 last, struct dod_mapping *copy)
{
	struct dod_mapping *m;
	bool found = false;
	struct dod_area a;
	struct dod_walk w;
	u64 at;

	for (at = first; at >= first && at <= last; at = (at | ~PAGE_MASK) + 1) {
		dod_area_lock_page(&a, at);
		dod_walk_begin(&w, &a, at, at);
		dod_for_each_overlap(m, &w, first, last)
			found = copy_nearer(m, p, copy, found);
		dod_walk_end(&w);
		dod_area_unlock(&a);
	}
	return found;
}

/* Only the device could tell where the memory of a direct mapping is: all are asked. */
static bool nearest_direct(const struct dod_place *p, struct dod_mapping *copy, bool found)
{
	struct dod_mapping *m;
	struct dod_area a;
	unsigned int i;

	for (i = 0; i < NR_TREES; i++) {
		if (!READ_ONCE(nth_tree(i)->nr))
			continue;
		dod_area_lock_nth(&a, i);
		for_each_in_tree(m, nth_tree(i), 0, U64_MAX)
			if (m->direct && m->linked && dod_distance(m, p) <= p->near)
				found = copy_nearer(m, p, copy, found);
		dod_area_unlock(&a);
	}
	return found;
}

static bool nearest_in(struct dma_tree *tree, const struct dod_place *p, u64 first, u64 last,
		       struct dod_mapping *copy, bool found)
{
	struct dod_mapping *m;
	unsigned long flags;

	if (!READ_ONCE(tree->nr))
		return found;
	dod_lock_irqsave(&tree->lock, flags);
	for_each_dma(m, tree, first, last)
		found = copy_nearer(m, p, copy, found);
	dod_unlock_irqrestore(&tree->lock, flags);
	return found;
}

/* By DMA address. */
static bool nearest_dma(const struct dod_place *p, u64 first, u64 last, struct dod_mapping *copy)
{
	bool found = nearest_in(&dod_by_dma->spanning, p, first, last, copy, false);
	u64 at;

	found = nearest_in(dma_region(p->dev, first), p, first, last, copy, found);
	found = nearest_in(dma_region(p->dev, last), p, first, last, copy, found);
	for (at = first; at >= first && at <= last; at = (at | ~PAGE_MASK) + 1)
		found = nearest_in(dma_page(p->dev, at), p, first, last, copy, found);
	/* What holds the address is as near as can be. */
	if ((found && !dod_distance(copy, p)) || !dod_device_maps_directly(p->dev))
		return found;
	return nearest_direct(p, copy, found);
}

/**
 * dod_owner_find_mapping() - which mapping holds, or lately held, an address?
 * @dev: whose DMA address it is, identity only; NULL for a physical address
 * @at: the address
 * @near: as good if it is so many bytes away, a page or so; the nearest wins, then the one that
 *	  ended last
 * @copy: filled in if there is one; copy->has_ended tells which. What the device owns of it, and
 *	  the last sync, may change meanwhile if @dev is set
 *
 * Return: whether there is one.
 */
bool dod_owner_find_mapping(const struct device *dev, u64 at, u64 near, struct dod_mapping *copy)
{
	struct dod_place p = { .dev = dev, .at = at, .near = near };
	u64 first = at - min(at, near), last = at + min(U64_MAX - at, near);
	bool found;

	if (dev)
		found = nearest_dma(&p, first, last, copy);
	else
		found = nearest_phys(&p, first, last, copy);
	return found || dod_history_find(&p, copy);
}

/**
 * dod_owner_find_ended() - the same, of mappings that have ended
 * @dev: as above
 * @at: the address
 * @copy: filled in if there is one
 *
 * Return: whether there is one.
 */
bool dod_owner_find_ended(const struct device *dev, u64 at, struct dod_mapping *copy)
{
	struct dod_place p = { .dev = dev, .at = at };

	return dod_history_find(&p, copy);
}

/**
 * dod_owner_is_mapped() - is an address of a device, or memory, mapped?
 * @dev: the device, of which memory that is not at a direct address is looked for
 * @dma_addr: the address
 * @phys: first byte of the memory, for any device
 * @last: last byte, in the same page; less than @phys if the memory is not known
 *
 * Return: whether there is a live mapping.
 */
bool dod_owner_is_mapped(const struct device *dev, u64 dma_addr, u64 phys, u64 last)
{
	bool found = dod_dma_may_have(dev, dma_addr) && dod_dma_is_known(dev, dma_addr);
	struct dod_mapping *m;
	struct dod_area a;
	struct dod_walk w;

	if (found || last < phys)
		return found;
	dod_area_lock_page(&a, phys);
	dod_walk_begin(&w, &a, phys, phys);
	dod_for_each_overlap(m, &w, phys, last)
		found |= !m->has_ended;
	dod_walk_end(&w);
	dod_area_unlock(&a);
	return found;
}

/* The physical lock of the mapping is held. */
static void add_up(struct dod_mapping *m, struct dod_sum *sum)
{
	struct dod_range *r;

	memset(sum, 0, sizeof(*sum));
	/* As in end_direct_entry(). */
	sum->leads = smp_load_acquire(&m->linked) && m->group == m;
	for_each_range(r, m, 0, U64_MAX) {
		u64 size = r->last - r->start + 1;

		if (r->state == DOD_OWNED) {
			sum->owned += size;
			sum->writable += r->dir != DMA_TO_DEVICE ? size : 0;
		} else if (r->state == DOD_PENDING && r->dir == DMA_TO_DEVICE) {
			const struct dod_write *w = &pending_of(r)->write;

			if (!sum->pending || w->who.when < sum->since) {
				sum->since = w->who.when;
				sum->writer = dod_frame_ip(w->frames[0]);
			}
			sum->pending += size;
		}
	}
}

/**
 * dod_owner_next() - step through the live mappings
 * @shard: part of the index, 0 to begin with
 * @start: physical address to go on from, 0 to begin with
 * @skip: mappings at that address to skip, 0 to begin with
 * @copy: filled in
 * @sum: its state, and that of its bytes
 *
 * Return: false at the end. A mapping that begins or ends meanwhile may be visited or not; a
 * caller that ends one itself sets *@skip to 0, and visits the others at that address again.
 */
bool dod_owner_next(unsigned int *shard, u64 *start, unsigned int *skip,
		    struct dod_mapping *copy, struct dod_sum *sum)
{
	for (; *shard < NR_TREES; (*shard)++, *start = 0, *skip = 0) {
		struct index_tree *tree = nth_tree(*shard);
		unsigned int skipped = 0;
		struct dod_mapping *m;
		struct dod_area a;

		if (!READ_ONCE(tree->nr))
			continue;
		dod_area_lock_nth(&a, *shard);
		for_each_in_tree(m, tree, *start, U64_MAX) {
			if (m->start < *start)
				continue;
			if (m->start == *start && skipped < *skip) {
				skipped++;
				continue;
			}
			*skip = m->start == *start ? *skip + 1 : 1;
			*start = m->start;
			*copy = *m;
			add_up(m, sum);
			dod_area_unlock(&a);
			return true;
		}
		dod_area_unlock(&a);
	}
	return false;
}

/* Has this task made it, or a function of the driver's module? */
static bool is_suspect(const struct dod_mapping *m, const struct device_driver *driver)
{
	unsigned int i;

	if (m->map.pid == task_pid_nr(current))
		return true;
	for (i = 0; driver->owner && i < m->map.nr_frames; i++)
		if (within_module(dod_frame_ip(m->map_frames[i]), driver->owner))
			return true;
	return false;
}

/**
 * dod_owner_note_suspects() - a driver's probe() has failed: what did it map?
 * @dev: the device, identity only
 * @binding: the device's, while it was probed
 * @driver: the driver, which is still there
 *
 * In the task that has called probe(). Others may have mapped memory for the device meanwhile.
 *
 * Return: how many mappings are the driver's, each of which is marked.
 */
unsigned int dod_owner_note_suspects(const struct device *dev, u16 binding,
				     const struct device_driver *driver)
{
	struct dod_mapping *m;
	unsigned int i, nr = 0;
	struct dod_area a;

	for (i = 0; i < NR_TREES; i++) {
		struct index_tree *tree = nth_tree(i);

		if (!READ_ONCE(tree->nr))
			continue;
		dod_area_lock_nth(&a, i);
		for_each_in_tree(m, tree, 0, U64_MAX) {
			if (m->dev != dev || m->binding != binding)
				continue;
			m->suspect = is_suspect(m, driver);
			nr += m->suspect;
		}
		dod_area_unlock(&a);
	}
	return nr;
}
