// SPDX-License-Identifier: GPL-2.0
/*
 * Writes by the CPU that trap: which of them are legal if a sync_for_device follows (rules
 * 4, 6b and 9), and what is known of the memory no longer. No lock is held at entry. The area
 * of each region's part is locked, and in it the tree of spanning mappings.
 */
#include "internal.h"

/* A write that traps, and what came of it for the mappings visited so far. */
struct writing {
	u64 start, last;		/* what is written, to the byte */
	const struct dod_write *record;	/* NULL: none has been made */
	bool strict, wanted;		/* a record is to be made */
	u64 far;			/* last byte that the CPU owns now */
	u64 far_spanning;		/* the same of spanning mappings, 0 if not beyond @last */
};

/* The CPU owns [start, last]; and the rest of a range that this splits, if there is no record. */
static void to_cpu(struct dod_mapping *m, u64 start, u64 last, struct writing *w)
{
	u64 to = last;

	dod_ranges_to_cpu(m, start, &to, KEEP_NONE);
	if (likely(to == last))
		return;
	if (!m->spanning) {
		w->far = max(w->far, to);
		return;
	}
	if (!w->far_spanning)
		dod_spanning_begin();
	w->far_spanning = max(w->far_spanning, to);
}

/* The same code, called in the same way by the same task: a loop. It has one record. */
static bool is_same_writer(const struct dod_pending *p, const struct dod_write *write)
{
	const struct dod_who *who = &write->who;

	return p->write.who.pid == who->pid && p->write.who.nr_frames == who->nr_frames &&
	       !memcmp(p->write.frames, write->frames, who->nr_frames * sizeof(write->frames[0]));
}

/* The bytes of [start, last] in each of its granules, as bits; 0 if they differ. */
static u8 bytes_of(u64 start, u64 last)
{
	if (start / GRANULE == last / GRANULE)
		return GENMASK(last % GRANULE, start % GRANULE);
	return IS_ALIGNED(start, GRANULE) && IS_ALIGNED(last + 1, GRANULE) ? ALL_BYTES : 0;
}

/*
 * The same writer writes [start, last], too. One record holds both if they are one piece or
 * the same bytes of each granule. Of a loop only one write in each granule traps: whether
 * it wrote the other bytes is not known, and a sync may leave them out. The range may have
 * become smaller since. Returns whether @p holds both now.
 */
static bool join_pending(struct dod_pending *p, u64 start, u64 last)
{
	u64 first = max(p->wrote_first, p->range.start);
	u64 end = min(p->wrote_last, p->range.last);
	u8 bytes = p->wrote_bytes;

	if (!dod_pending_wrote(p, first, end))
		return false;
	if (bytes != ALL_BYTES || start > end + 1 || last + 1 < first) {
		if (bytes == ALL_BYTES)
			bytes = bytes_of(first, end);
		if (!bytes || bytes != bytes_of(start, last))
			return false;
	}
	p->wrote_first = min(first, start);
	p->wrote_last = max(end, last);
	p->wrote_bytes = bytes;
	return true;
}

/* The pending range beside [start, last] whose record is made to hold that, too. */
static struct dod_range *join_beside(struct dod_mapping *m, u64 start, u64 last, u8 dir,
				     unsigned long synced_by, const struct writing *w)
{
	struct dod_pending *p;
	struct dod_range *r;
	unsigned int i;

	if (!m->pending)
		return NULL;
	for (i = 0; i < 2; i++) {
		u64 at = i ? last + 1 : start - 1;

		r = dod_range_first(m, at, at);
		if (!r || r->state != DOD_PENDING || r->dir != dir || r->rest_synced)
			continue;
		p = pending_of(r);
		if (p->synced_by == synced_by && is_same_writer(p, w->record) &&
		    join_pending(p, max(start, w->start), min(last, w->last)))
			return r;
	}
	return NULL;
}

/* The CPU owns [start, last], and writes some of it now. */
static void pend_new(struct dod_mapping *m, u64 start, u64 last, u8 dir,
		     unsigned long synced_by, const struct writing *w)
{
	const struct dod_write *write = w->record;
	struct dod_pending *p = dod_pending_get();

	if (!p)
		return;
	p->next = NULL;
	p->write.addr = write->addr;
	p->write.size = write->size;
	p->write.who = write->who;
	memcpy(p->write.frames, write->frames, write->who.nr_frames * sizeof(write->frames[0]));
	dod_count(DOD_C_PENDING_WRITES);
	p->synced_by = synced_by;
	p->wrote_first = max(start, w->start);
	p->wrote_last = min(last, w->last);
	p->wrote_bytes = ALL_BYTES;
	dod_range_add(m, &p->range, start, last, dir, DOD_PENDING);
	WRITE_ONCE(m->pending, true);
	dod_change_kinds(m, 0, DOD_KIND_PENDING);
}

/*
 * [start, last] of a mapping, which is whole granules as far as they are in one range,
 * becomes pending. @dir is DMA_TO_DEVICE where the device owned it, whatever the mapping's is.
 */
static void pend(struct dod_mapping *m, u64 start, u64 last, u8 dir, unsigned long synced_by,
		 struct writing *w)
{
	struct dod_range *beside;

	/* Of a granule with several ranges, only the range that is written. */
	if (start > w->last || last < w->start)
		return;
	if (!w->record) {
		w->wanted = true;
		return;
	}
	beside = join_beside(m, start, last, dir, synced_by, w);
	to_cpu(m, start, last, w);
	if (beside)
		dod_range_resize(beside, min(beside->start, start), max(beside->last, last));
	else
		pend_new(m, start, last, dir, synced_by, w);
}

/*
 * A pending range is written once more; that trapped because of another mapping, or of
 * bytes beside it. Adds the newly written bytes to the record.
 */
static void pend_again(struct dod_mapping *m, struct dod_pending *p, u64 start, u64 last,
		       struct writing *w)
{
	unsigned long synced_by = p->synced_by;
	u8 dir = p->range.dir;

	start = max(start, w->start);
	last = min(last, w->last);
	if (p->range.rest_synced || start > last || dod_pending_wrote_all(p, start, last))
		return;
	if (!w->record) {
		w->wanted = true;
		return;
	}
	to_cpu(m, start, last, w);
	pend_new(m, start, last, dir, synced_by, w);
}

/* [start, last] is in one range, pending or owned by a device that reads. */
static void pend_one(struct dod_mapping *m, u64 start, u64 last, struct writing *w)
{
	struct dod_range *r = dod_range_first(m, start, start);

	if (r && r->state == DOD_PENDING)
		pend_again(m, pending_of(r), start, last, w);
	else
		pend(m, start, last, DMA_TO_DEVICE, 0, w);
}

/* Finds the first range of a tree that a device may write, from @start up to *from. */
static bool find_writable(struct index_tree *tree, u64 start, u64 *from, u64 *to)
{
	struct dod_mapping *m;
	bool found = false;

	for_each_in_tree(m, tree, start, *from) {
		struct dod_range *r = dod_device_writes(m, start, *from);

		if (!r)
			continue;
		found = true;
		*from = max(r->start, start);
		*to = r->last;
	}
	return found;
}

/*
 * The device reads [start, last]: the write is pending where no other device may write. No
 * walk: the lock of spanning mappings is held if @m is one.
 */
static void pend_sent(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
		      struct writing *w)
{
	struct index_tree *spanning = &dod_by_phys->spanning, *tree;

	while (start <= last) {
		u64 from = last, to, at;
		bool found = false;

		for_each_area_tree(tree, at, a, start, last)
			found |= find_writable(tree, start, &from, &to);
		if (READ_ONCE(spanning->nr)) {
			if (!m->spanning)
				dod_lock(&spanning->lock);
			found |= find_writable(spanning, start, &from, &to);
			if (!m->spanning)
				dod_unlock(&spanning->lock);
		}
		if (!found) {
			pend_one(m, start, last, w);
			return;
		}
		if (from > start)
			pend_one(m, start, from - 1, w);
		start = to + 1;
	}
}

/* What the CPU owns since a sync, and whose writes are watched, becomes pending, too. */
static void pend_watched(struct dod_mapping *m, u64 start, u64 last, struct writing *w)
{
	unsigned long synced_by;
	struct dod_range *r;

	if (!m->content || !dod_judge_ops.content_watches(m, &start, &last, &synced_by))
		return;
	while (start <= last) {
		r = dod_range_first(m, start, last);
		if (!r || r->start > start)
			pend(m, start, r ? r->start - 1 : last, m->dir, synced_by, w);
		if (!r)
			break;
		start = r->last + 1;
	}
}

static void write_mapping(struct dod_area *a, struct dod_mapping *m, u64 start, u64 last,
			  struct writing *w)
{
	struct dod_range *r, *next;

	/* User space writes there, or the driver to its own data: rules 8 and 11. */
	if (m->trap == DOD_TRAP_NONE)
		return;
	for_each_range_safe(r, next, m, start, last) {
		u64 from = max(r->start, start), to = min(r->last, last);

		if (r->state == DOD_STALE)
			to_cpu(m, from, to, w);
		else if (!w->strict && (r->state == DOD_PENDING || r->dir == DMA_TO_DEVICE))
			pend_sent(a, m, from, to, w);
	}
	pend_watched(m, start, last, w);
}

static void write_tree(struct dod_area *a, struct index_tree *tree, u64 start, u64 last,
		       struct writing *w)
{
	struct dod_mapping *m, *next;

	for_each_indexed_safe(m, next, tree, start, last)
		if (!m->has_ended)
			write_mapping(a, m, start, last, w);
}

/* No walk: a mapping that is not a spanning one takes the lock of those itself. */
static void write_region(u64 start, u64 last, struct writing *w)
{
	struct index_tree *spanning = &dod_by_phys->spanning, *tree;
	struct dod_area a;
	u64 end, at;

	dod_area_lock(&a, start, last);
	stale_drop(&a, start, last);
	for_each_area_tree(tree, at, &a, start, last)
		write_tree(&a, tree, start, last, w);
	if (READ_ONCE(spanning->nr)) {
		dod_lock(&spanning->lock);
		write_tree(&a, spanning, start, last, w);
		dod_unlock(&spanning->lock);
	}
	/* What is beyond is of a mapping of several pages, and so in the area, too. */
	end = min(max(last, w->far), region_last(start));
	dod_repoison_region(&a, start, end);
	dod_area_unlock(&a);
}

/**
 * dod_owner_write() - the CPU is about to write to poisoned memory
 * @access: the write
 * @record: who writes, NULL if that is not known yet
 *
 * Rule 4: memory that a device only reads may be written, if a sync_for_device follows. Rule
 * 6b: so may memory that the device is done with. Rule 9: a write after a sync for the CPU
 * must be synced, too. What is still poisoned when we return must not be written.
 *
 * Return: whether to call again with a record.
 */
bool dod_owner_write(const struct dod_access *access, const struct dod_write *record)
{
	struct writing w = {
		.start = virt_to_phys((void *)access->addr),
		.record = record,
		.strict = READ_ONCE(dod_params.strict),
	};
	u64 start, last, from, to;

	w.last = w.start + access->size - 1;
	start = round_down(w.start, GRANULE);
	last = round_up(w.last + 1, GRANULE) - 1;
	for_each_region(from, to, start, last)
		write_region(from, to, &w);
	if (unlikely(w.far_spanning)) {
		dod_poison_spanning(last, w.far_spanning);
		atomic_dec(&dod_spanning_changes);
	}
	return w.wanted;
}

/**
 * dod_owner_seen_write() - the CPU is about to write to memory that a device owns
 * @phys: first byte
 * @size: bytes
 *
 * Its content is not known any more. The write has been reported, or need not be.
 */
void dod_owner_seen_write(u64 phys, u64 size)
{
	u64 last = phys + size - 1, from, to;
	struct dod_mapping *m;
	struct dod_area a;
	struct dod_walk w;

	for_each_region(from, to, phys, last) {
		dod_area_lock(&a, from, to);
		dod_walk_begin(&w, &a, from, to);
		dod_for_each_overlap(m, &w, from, to)
			if (m->content)
				dod_judge_ops.content_written(m, from, to);
		dod_walk_end(&w);
		forget_edges(&a, from, to);
		dod_area_unlock(&a);
	}
}

/**
 * dod_owner_seen_edge_write() - the CPU is about to write beside what a device writes
 * @phys: first byte
 * @last: last byte
 *
 * As dod_owner_seen_write(), for the rest of a cache line.
 */
void dod_owner_seen_edge_write(u64 phys, u64 last)
{
	in_each_region(phys, last, forget_edges);
}

/**
 * dod_owner_excuse() - was a driver's own data written to?
 * @phys: a byte that was
 * @copy: a copy of the mapping
 *
 * Return: whether it was: then the mapping is not poisoned any more.
 */
bool dod_owner_excuse(u64 phys, const struct dod_mapping *copy)
{
	struct dod_mapping *m;
	struct dod_area a;

	if (likely(!dod_judge_ops.is_own_data(copy)))
		return false;
	dod_area_lock_mapping(&a, copy);
	for_each_in_tree(m, tree_of(copy), phys, phys)
		if (m->dev == copy->dev && m->start == copy->start && m->last == copy->last &&
		    m->dir == copy->dir && m->trap != DOD_TRAP_NONE)
			break;
	if (m) {
		dod_count(DOD_C_UNTRAPPED_OWN_DATA);
		dod_judge_ops.content_end(m);
		m->trap = DOD_TRAP_NONE;
		if (!copy->spanning)
			dod_repoison_region(&a, copy->start, copy->last);
	}
	dod_area_unlock(&a);
	if (m && copy->spanning)
		dod_poison_spanning(copy->start, copy->last);
	return true;
}
