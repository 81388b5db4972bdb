// SPDX-License-Identifier: GPL-2.0
/*
 * Several mappings of the same memory: what the device of one writes changes what is known
 * of the content of the others, of their line edges and of the writes pending to them. The
 * caller holds the area of the mapping, unless a function says otherwise.
 */
#include "internal.h"

/*
 * The CPU owns the ranges of a state, apart from writes that were pending before any sync for
 * the CPU: a write after it is synced with any mapping of the memory.
 */
static void drop(struct dod_mapping *m, u64 start, u64 last, enum dod_state state)
{
	struct dod_range *r, *next;

	for_each_range_safe(r, next, m, start, last) {
		u64 from = max(r->start, start), to = min(r->last, last);

		if (r->state == state && r->dir != DMA_TO_DEVICE)
			dod_ranges_to_cpu(m, from, &to, KEEP_NONE);
	}
}

static void set_shared(struct dod_mapping *m)
{
	m->shared = true;
	if (m->kinds & DOD_KIND_LONE)
		dod_change_kinds(m, DOD_KIND_LONE, 0);
}

/* The device of @by owns [start, last] of @m, too. */
static void tell(struct dod_mapping *m, const struct dod_mapping *by, u64 start, u64 last)
{
	if (unlikely(m->pending))
		drop(m, start, last, DOD_PENDING);
	if (m->content)
		dod_judge_ops.content_overlap(m, start, last, by->dir != DMA_TO_DEVICE);
}

/* Tells the others of a tree. Returns whether there is one; *writable: a device may write it. */
static bool tell_others(struct index_tree *tree, struct dod_mapping *m, u64 start, u64 last,
			bool *writable)
{
	u8 concerned = DOD_KIND_PENDING | DOD_KIND_CONTENT;
	struct dod_mapping *other;

	other = first_overlap(tree, start, last);
	if (other == m)
		other = next_overlap(other, start, last);
	if (!other)
		return false;
	while ((other = dod_kind_first(tree, start, last, DOD_KIND_LONE)))
		set_shared(other);
	m->shared = true;
	/* A device that only reads changes nothing of what other devices read. */
	if (m->dir != DMA_TO_DEVICE) {
		concerned |= DOD_KIND_SENT_CONTENT;
		/* What it may write is stale for no other mapping. */
		for_each_in_tree_of(other, tree, start, last, DOD_KIND_STALE)
			if (other != m)
				drop(other, start, last, DOD_STALE);
	}
	for_each_in_tree_of(other, tree, start, last, concerned)
		if (other != m)
			tell(other, m, start, last);
	/* Only a mapping whose device reads needs to know. */
	*writable |= m->dir == DMA_TO_DEVICE &&
		     dod_kind_first(tree, start, last, DOD_KIND_WRITABLE);
	return true;
}

/* A device or the CPU writes [start, last]: forget it as a line edge of other mappings. */
void __dod_forget_edges(struct dod_area *a, u64 start, u64 last, u64 margin)
{
	u64 from = start - min(start, margin), at;
	struct index_tree *tree;
	struct dod_mapping *m;

	/* Spanning mappings have none. */
	for_each_area_tree(tree, at, a, start, last)
		for_each_in_tree(m, tree, from, last + margin)
			dod_judge_ops.edges_forget(m, start, last);
}

/*
 * overlap_to_device() where it matters. No walk: each tree must be asked for several kinds in turn,
 * and @m may be a spanning mapping.
 */
void __dod_overlap_to_device(struct dod_area *a, struct dod_mapping *m, u64 start,
			     u64 last, bool fresh, bool lone)
{
	struct index_tree *spanning = &dod_by_phys->spanning, *tree;
	const struct index_tree *own = lone ? tree_of(m) : NULL;
	bool writable = false, shared = false;
	u64 at;

	for_each_area_tree(tree, at, a, start, last)
		if (tree != own)
			shared |= tell_others(tree, m, start, last, &writable);
	if (m->dir != DMA_TO_DEVICE)
		forget_edges(a, start, last);

	if (m->spanning) {
		shared = !lone && tell_others(spanning, m, start, last, &writable);
	} else if (READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		shared |= tell_others(spanning, m, start, last, &writable);
		dod_unlock(&spanning->lock);
	}
	if (m->content)
		dod_judge_ops.content_to_device(m, start, last, dod_range_first(m, start, start),
						fresh, shared, writable);
}

/* Does the device of another mapping write there? */
static bool others_write(struct dod_area *a, const struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_mapping *other;
	struct dod_walk w;
	bool found = false;

	dod_walk_begin(&w, a, start, last);
	dod_for_each_overlap(other, &w, start, last) {
		found = other != m && dod_device_writes(other, start, last);
		if (found)
			break;
	}
	dod_walk_end(&w);
	return found;
}

static void copy_edge(struct dod_area *a, struct dod_mapping *m, bool after)
{
	u64 start, last, nr;

	line_edge(m, after, &start, &last);
	if (start > last)
		return;
	if (!device_writes_line(m, after)) {
		dod_judge_ops.edge_drop(m, after);
		return;
	}
	if (dod_judge_ops.edge_is_known(m, after))
		return;
	nr = dod_bytes_beside(m, start, last, after);
	if (!nr)
		return;
	if (after)
		last = start + nr - 1;
	else
		start = last + 1 - nr;
	if (!others_write(a, m, start, last))
		dod_judge_ops.edge_copy(m, after, start, last);
}

/*
 * The owner of some of the mapping has changed: remembers the line edges beside what the
 * device writes. Not for a spanning mapping: those of its regions could not be asked. Reading
 * a line that a device writes brings it into the cache. That is harmless where the CPU may do
 * so by itself: there the kernel invalidates such lines at a sync for the CPU. Where nothing traps,
 * only slab objects have bounds that tell whose bytes these are.
 */
void dod_copy_edges(struct dod_area *a, struct dod_mapping *m)
{
	if (m->dir == DMA_TO_DEVICE || m->spanning || !has_edges(m) ||
	    !(dod_poison_ops.poison_line_edge || m->slab) ||
	    !(m->device->coherent || IS_ENABLED(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU)) ||
	    dod_report_is_off(DOD_R_SHARED_LINE_WRITE) || !READ_ONCE(dod_armed))
		return;
	copy_edge(a, m, false);
	copy_edge(a, m, true);
}

/* The device of each of the two owns some of the memory of both. */
static void tell_both(struct dod_mapping *m, struct dod_mapping *s, u64 start, u64 last)
{
	set_shared(m);
	set_shared(s);
	tell(m, s, start, last);
	if (unlikely(s->pending))
		drop(s, start, last, DOD_PENDING);
	if (s->content)
		dod_judge_ops.content_overlap(s, m->start, m->last, m->dir != DMA_TO_DEVICE);
}

/* No walk: each spanning mapping is compared with each other one. */
static void overlap_region(struct dod_area *a, u64 start, u64 last)
{
	struct index_tree *spanning = &dod_by_phys->spanning, *tree;
	struct dod_mapping *m, *s;
	u64 at;

	dod_lock(&spanning->lock);
	for_each_in_tree(s, spanning, start, last) {
		u64 from = max(start, s->start), to = min(last, s->last);

		if (s->dir != DMA_TO_DEVICE)
			forget_edges(a, from, to);
		for_each_area_tree(tree, at, a, from, to)
			for_each_in_tree(m, tree, from, to)
				tell_both(m, s, from, to);
	}
	dod_unlock(&spanning->lock);
}

/* A device owns [start, last] of a spanning mapping from now on. No lock is held. */
void dod_overlap_spanning(u64 start, u64 last)
{
	in_each_region(start, last, overlap_region);
}
