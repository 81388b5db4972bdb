// SPDX-License-Identifier: GPL-2.0
/*
 * The disjoint ranges of a mapping: the bytes that the device owns, that are stale, or
 * that the CPU wrote and no sync_for_device has covered yet. The CPU owns all other bytes.
 *
 * No locks here: the caller holds the physical lock of the mapping. The record of a write is
 * the caller's alone once the write is lost, and is reported.
 */
#include "internal.h"

struct dod_pool dod_range_pool, dod_pending_pool;
static atomic_t nr_pending __cacheline_aligned_in_smp;

/* === The tree ============================================================= */

/*
 * Most mappings have one range, and two or three while the CPU owns a part of them. Trees so
 * small are changed here: the kernel's functions are instrumented.
 */

static void make_tree(struct rb_root *root, struct rb_node *left, struct rb_node *mid,
		      struct rb_node *right)
{
	left->rb_left = NULL;
	left->rb_right = NULL;
	rb_set_parent_color(left, mid, RB_RED);
	right->rb_left = NULL;
	right->rb_right = NULL;
	rb_set_parent_color(right, mid, RB_RED);
	mid->rb_left = left;
	mid->rb_right = right;
	rb_set_parent_color(mid, NULL, RB_BLACK);
	root->rb_node = mid;
}

/* A red node was added below a red one. Of three nodes, the middle one becomes the root. */
static void balance_tree(struct rb_root *root, struct rb_node *node, struct rb_node *parent)
{
	struct rb_node *top = root->rb_node;
	bool left = node == parent->rb_left;

	if (top != rb_parent(parent) || (top->rb_left && top->rb_right))
		rb_insert_color(node, root);
	else if (parent == top->rb_left)
		make_tree(root, left ? node : parent, left ? parent : node, top);
	else
		make_tree(root, top, left ? node : parent, left ? parent : node);
}

static void link_range(struct rb_root *root, struct dod_range *r)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = r->start < rb_entry(parent, struct dod_range, rb)->start ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&r->rb, parent, link);
	/* A new node is red: below a black one, nothing is out of balance. */
	if (!parent)
		rb_set_parent_color(&r->rb, NULL, RB_BLACK);
	else if (rb_is_red(parent))
		balance_tree(root, &r->rb, parent);
}

static void no_propagate(struct rb_node *rb, struct rb_node *stop) { }
static void no_copy(struct rb_node *old, struct rb_node *new) { }

/* With callbacks of our own, what only takes a node out is in line. */
static void unlink_range(struct rb_root *root, struct dod_range *r)
{
	static const struct rb_augment_callbacks none = {
		.propagate = no_propagate, .copy = no_copy, .rotate = no_copy,
	};

	rb_erase_augmented(&r->rb, root, &none);
}

/* As rb_next(). */
static struct dod_range *range_after(struct dod_range *r)
{
	struct rb_node *rb = r->rb.rb_right, *child = &r->rb;

	if (rb) {
		while (rb->rb_left)
			rb = rb->rb_left;
	} else {
		while ((rb = rb_parent(child)) && child == rb->rb_right)
			child = rb;
	}
	return rb_entry_safe(rb, struct dod_range, rb);
}

/* The first range that has bytes of [start, last], NULL if none. */
struct dod_range *dod_range_first(struct dod_mapping *m, u64 start, u64 last)
{
	struct rb_node *rb = m->ranges.rb_node;
	struct dod_range *r, *found = NULL;

	while (rb) {
		r = rb_entry(rb, struct dod_range, rb);
		if (r->last < start) {
			rb = rb->rb_right;
			continue;
		}
		found = r;
		if (r->start <= start)
			break;
		rb = rb->rb_left;
	}
	return found && found->start <= last ? found : NULL;
}

/* The next one; ranges are disjoint. */
struct dod_range *dod_range_next(struct dod_range *r, u64 last)
{
	if (r->last >= last)
		return NULL;
	r = range_after(r);
	return r && r->start <= last ? r : NULL;
}

/* === Writes that wait for a sync_for_device: rules 4 and 6b =============== */

/* A record of a write, of no range yet; NULL if there is none, which is counted. */
struct dod_pending *dod_pending_get(void)
{
	struct dod_pending *p = dod_pool_get(&dod_pending_pool);

	if (p)
		atomic_inc(&nr_pending);
	else
		dod_count(DOD_C_PENDING_POOL_EMPTY);
	return p;
}

/* The same write once more, for a part of its range. */
struct dod_pending *dod_pending_copy(const struct dod_pending *p)
{
	struct dod_pending *copy = dod_pending_get();

	if (copy)
		*copy = *p;
	return copy;
}

/**
 * dod_pending_put() - a record is not needed any more
 * @p: the record
 */
void dod_pending_put(struct dod_pending *p)
{
	atomic_dec(&nr_pending);
	dod_pool_put(&dod_pending_pool, p);
}

/**
 * dod_pending_any() - does any mapping have a pending write?
 *
 * Return: whether one has, for a scan that is not worth it otherwise.
 */
bool dod_pending_any(void)
{
	return atomic_read(&nr_pending);
}

/* Is all of [start, last] known to have been written? */
bool dod_pending_wrote_all(const struct dod_pending *p, u64 start, u64 last)
{
	if (start < p->wrote_first || last > p->wrote_last)
		return false;
	if (p->wrote_bytes == ALL_BYTES)
		return true;
	for (; start <= last; start++)
		if (!(p->wrote_bytes & BIT(start % GRANULE)))
			return false;
	return true;
}

/* === One range ============================================================ */

static struct dod_range *range_get(struct dod_mapping *m)
{
	struct dod_range *r = &m->first;

	if (!m->first_used) {
		m->first_used = true;
	} else if (m->spare) {
		r = m->spare;
		m->spare = NULL;
	} else {
		r = dod_pool_get(&dod_range_pool);
		if (!r)
			dod_count(DOD_C_RANGES_EXHAUSTED);
	}
	return r;
}

/* A part of a mapping that is synced for the CPU mostly comes to the device again: keep one. */
static void range_put(struct dod_mapping *m, struct dod_range *r)
{
	if (r->state == DOD_PENDING)
		dod_pending_put(pending_of(r));
	else if (r == &m->first)
		m->first_used = false;
	else if (!m->spare)
		m->spare = r;
	else
		dod_pool_put(&dod_range_pool, r);
}

/* The mapping has ended, and has no range. */
void dod_range_put_spare(struct dod_mapping *m)
{
	if (likely(!m->spare))
		return;
	dod_pool_put(&dod_range_pool, m->spare);
	m->spare = NULL;
}

void dod_range_remove(struct dod_mapping *m, struct dod_range *r)
{
	unlink_range(&m->ranges, r);
	range_put(m, r);
}

void dod_range_add(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last, u8 dir,
		   enum dod_state state)
{
	r->start = start;
	r->last = last;
	r->dir = dir;
	r->state = state;
	r->leads = false;
	r->rest_synced = false;
	link_range(&m->ranges, r);
}

/* The ranges before and after it stay so: its place in the tree does not change. */
void dod_range_resize(struct dod_range *r, u64 start, u64 last)
{
	r->start = start;
	r->last = last;
}

/* The part of a range from @at on, as a range of its own; all of it if there is no record. */
static __always_inline struct dod_range *__range_from(struct dod_mapping *m, struct dod_range *r,
						      u64 at)
{
	struct dod_range *right;
	struct dod_pending *p;
	u64 last = r->last;

	if (at <= r->start || at > last)
		return r;
	if (r->state == DOD_PENDING) {
		p = dod_pending_copy(pending_of(r));
		right = p ? &p->range : NULL;
	} else {
		right = range_get(m);
	}
	if (!right)
		return r;
	dod_range_resize(r, r->start, at - 1);
	dod_range_add(m, right, at, last, r->dir, r->state);
	right->rest_synced = r->rest_synced;
	return right;
}

/* The same, out of line. */
static noinline struct dod_range *range_from(struct dod_mapping *m, struct dod_range *r, u64 at)
{
	return __range_from(m, r, at);
}

bool dod_has_state(struct dod_mapping *m, u8 state)
{
	struct dod_range *r;

	for_each_range(r, m, m->start, m->last)
		if (r->state == state)
			break;
	return r;
}

/* The first range of [start, last] that the device owns and may write, NULL if none. */
struct dod_range *dod_device_writes(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for_each_range(r, m, start, last)
		if (r->dir != DMA_TO_DEVICE && r->state == DOD_OWNED)
			break;
	return r;
}

/* === To the CPU =========================================================== */

/*
 * Rule 6b: the device is done with what is left of a range, which becomes stale. Only
 * whole granules do: a write to part of a granule does not trap, and what the CPU may
 * have written is not stale.
 */
static void finish_range(struct dod_mapping *m, struct dod_range *r)
{
	u64 start = round_up(r->start, GRANULE), end = round_down(r->last + 1, GRANULE);

	dod_count(DOD_C_FINISHED_RANGES);
	/* Where writes do not trap, nobody knows later what was written. */
	if (start >= end || m->spanning || !DOD_MEMCPY_CHECKED || dod_kasan_is_off()) {
		dod_range_remove(m, r);
		return;
	}
	dod_stale_begin(m);
	dod_range_resize(r, start, end - 1);
	r->state = DOD_STALE;
	r->leads = false;
	if (!(m->kinds & DOD_KIND_STALE))
		dod_change_kinds(m, 0, DOD_KIND_STALE);
}

/*
 * A sync that copies nothing back to the CPU leaves pending what is pending of
 * [start, last]. But the bytes of these granules that the CPU has not written are synced.
 */
static void mark_rest_synced(struct dod_mapping *m, struct dod_range *r, u64 start, u64 last)
{
	start = max(start, r->start);
	last = min(last, r->last);
	if (r->rest_synced || dod_pending_wrote_all(pending_of(r), start, last))
		return;
	r = range_from(m, r, start);
	range_from(m, r, last + 1);
	r->rest_synced = true;
}

static bool is_kept(const struct dod_range *r, enum keep keep)
{
	if (r->state == DOD_PENDING)
		return keep & KEEP_PENDING;
	return (keep & KEEP_WRITABLE) && r->dir != DMA_TO_DEVICE;
}

/* Rule 6b: does a sync of its leading part for the CPU finish the rest of the range? */
static bool is_finished(const struct dod_range *r, enum keep keep)
{
	return (keep & FINISH) && r->leads && r->state == DOD_OWNED && r->dir != DMA_TO_DEVICE;
}

/* Is the next range left from an earlier, wider sync, as page_pool makes them? It is no packet. */
static bool leaves_rest(struct dod_range *r)
{
	const struct dod_range *next = range_after(r);

	return next && next->start == r->last + 1 && !next->leads &&
	       next->state == DOD_OWNED && next->dir != DMA_TO_DEVICE;
}

#define MOST_HEADROOM	320	/* XDP_PACKET_HEADROOM and NET_SKB_PAD */

/*
 * Is what precedes @start in the range the headroom of a network buffer? A driver such as
 * ENA maps a page, has the device start some bytes into it, and syncs the packet for the
 * CPU: that is the leading part. The headroom is the CPU's alone: a BPF program writes
 * headers there, and these writes do not trap.
 */
static bool is_headroom(const struct dod_mapping *m, const struct dod_range *r, u64 start,
			enum keep keep)
{
	return is_finished(r, keep) && !m->slab && !m->spanning &&
	       IS_ALIGNED(r->start, PAGE_SIZE) && r->last - r->start >= PAGE_SIZE - 1 &&
	       start - r->start <= MOST_HEADROOM;
}

/* A range begins before @start. *first and *last are those of dod_ranges_to_cpu_from(). */
static void cut_middle(struct dod_mapping *m, struct dod_range *r, u64 start, u64 to,
		       u64 *first, u64 *last, enum keep keep)
{
	bool headroom = is_headroom(m, r, start, keep);
	u64 r_last = r->last;
	struct dod_range *right = __range_from(m, r, to + 1);

	dod_range_resize(r, r->start, start - 1);
	if (r_last > to && (headroom || right == r))
		*last = r_last;
	if (!headroom)
		return;
	*first = r->start;
	if (right != r)
		finish_range(m, right);
	dod_range_remove(m, r);
}

/* The same for a range that begins at @to or before, and ends after it. */
static bool cut_head(struct dod_mapping *m, struct dod_range *r, u64 to, u64 *last, enum keep keep)
{
	bool finished = is_finished(r, keep), rest = finished && leaves_rest(r);
	u64 r_last = r->last;

	dod_range_resize(r, to + 1, r_last);
	r->leads = false;
	if (finished) {
		finish_range(m, r);
		*last = r_last;
	}
	return rest;
}

/* As dod_ranges_to_cpu_from(), with the first range that has some of it. */
static noinline bool all_to_cpu(struct dod_mapping *m, struct dod_range *r, u64 *first, u64 *last,
				enum keep keep)
{
	bool is_poisoned = false, was_pending = false, rest = false;
	u64 start = *first, to = *last;
	struct dod_range *next;

	for (; r; r = next) {
		next = dod_range_next(r, to);
		if (is_kept(r, keep)) {
			if (r->state == DOD_PENDING && keep != KEEP_PENDING)
				mark_rest_synced(m, r, start, to);
			continue;
		}
		is_poisoned |= r->state != DOD_PENDING;
		was_pending |= r->state == DOD_PENDING;
		if (r->start < start) {
			cut_middle(m, r, start, to, first, last, keep);
		} else if (r->last > to) {
			rest = cut_head(m, r, to, last, keep);
		} else {
			rest = r->last == to && is_finished(r, keep) && leaves_rest(r);
			dod_range_remove(m, r);
		}
	}
	while (unlikely(rest)) {
		r = dod_range_first(m, *last + 1, *last + 1);
		*last = r->last;
		rest = leaves_rest(r);
		finish_range(m, r);
	}
	if (unlikely(was_pending) && !dod_has_state(m, DOD_PENDING))
		WRITE_ONCE(m->pending, false);
	return is_poisoned;
}

/*
 * The CPU owns [*first, *last] from now on, but for what @keep says. Where that splits a
 * range and there is no record for the second half, the CPU owns that half, too, and *last
 * grows: rather trap too little than too much. Both also say how far FINISH changed what is
 * beside the range.
 *
 * Returns whether any of it can have been poisoned.
 */
bool dod_ranges_to_cpu_from(struct dod_mapping *m, u64 *first, u64 *last, enum keep keep)
{
	struct dod_range *r = dod_range_first(m, *first, *last);

	if (!r)
		return false;
	/* A sync of a part is mostly in the middle of one range, or it is one. */
	if (r->state != DOD_PENDING && !is_kept(r, keep)) {
		if (r->start < *first && r->last > *last) {
			cut_middle(m, r, *first, *last, first, last, keep);
			return true;
		}
		if (r->start == *first && r->last == *last &&
		    !(is_finished(r, keep) && leaves_rest(r))) {
			dod_range_remove(m, r);
			return true;
		}
	}
	return all_to_cpu(m, r, first, last, keep);
}

/* The same, where nothing before @start can change. */
bool dod_ranges_to_cpu(struct dod_mapping *m, u64 start, u64 *last, enum keep keep)
{
	return dod_ranges_to_cpu_from(m, &start, last, keep & ~FINISH);
}

/* === To the device ======================================================== */

/*
 * The ranges before and after [start, last], as far as the mapping goes. Returns false if
 * there are some in it, too: then *@right is the first of them.
 */
static bool find_gap(struct dod_mapping *m, u64 start, u64 last, struct dod_range **left,
		     struct dod_range **right)
{
	struct dod_range *r = dod_range_first(m, start > m->start ? start - 1 : start, m->last);

	*left = NULL;
	if (r && r->last < start) {
		*left = r;
		r = range_after(r);
	}
	*right = r;
	return !r || r->start > last;
}

/*
 * A sync_for_device covered all that the CPU wrote of some granules, but not all bytes of
 * them. The device owns these bytes again, if there is a record for them.
 */
static void unpend_rest(struct dod_mapping *m, u64 byte)
{
	struct dod_range *r = dod_range_first(m, byte, byte);
	bool was_owned;
	u64 start, last;

	if (!r || r->state != DOD_PENDING || dod_pending_wrote(pending_of(r), r->start, r->last))
		return;
	start = r->start;
	last = r->last;
	was_owned = r->dir == DMA_TO_DEVICE && !r->rest_synced;
	dod_range_remove(m, r);
	if (!dod_has_state(m, DOD_PENDING))
		WRITE_ONCE(m->pending, false);
	if (!was_owned)
		return;
	r = range_get(m);
	if (r)
		dod_range_add(m, r, start, last, DMA_TO_DEVICE, DOD_OWNED);
}

static bool can_merge(const struct dod_range *r)
{
	return r && r->dir == DMA_TO_DEVICE && r->state == DOD_OWNED;
}

/* Adds [start, last], between *@left and *@right. Returns false if there is no record. */
static bool add_owned(struct dod_mapping *m, u64 start, u64 last, u8 dir,
		      struct dod_range *left, struct dod_range *right)
{
	struct dod_range *r;

	if (dir == DMA_TO_DEVICE) {
		bool before = can_merge(left);	/* it ends at @start - 1: see find_gap() */
		bool after = can_merge(right) && right->start == last + 1;

		if (before && after) {
			last = right->last;
			dod_range_remove(m, right);
		}
		if (before || after) {
			r = before ? left : right;
			dod_range_resize(r, before ? r->start : start, before ? last : r->last);
			return true;
		}
	}
	r = range_get(m);
	if (!r)
		return false;
	dod_range_add(m, r, start, last, dir, DOD_OWNED);
	r->leads = true;
	return true;
}

static bool all_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir)
{
	struct dod_range *left, *right;
	bool is_poisoned = false;
	u64 to = *last;

	if (unlikely(!find_gap(m, start, to, &left, &right) || m->pending)) {
		is_poisoned = dod_ranges_to_cpu(m, start, last, KEEP_NONE);
		if (m->pending && start > m->start)
			unpend_rest(m, start - 1);
		if (m->pending && to < m->last)
			unpend_rest(m, to + 1);
		find_gap(m, start, to, &left, &right);
	}
	if (unlikely(dir != DMA_TO_DEVICE && m->dir == DMA_TO_DEVICE))
		dod_change_kinds(m, 0, DOD_KIND_WRITABLE);
	return !add_owned(m, start, to, dir, left, right) || is_poisoned;
}

/* The first range of [start, last] with a write that waits for a sync_for_device. */
static struct dod_range *first_unsent(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_range *r;

	for_each_range(r, m, start, last)
		if (r->state == DOD_PENDING && r->dir != DMA_FROM_DEVICE)
			break;
	return r;
}

/* dod_ranges_to_device() of a mapping that may have ranges. */
static noinline bool change_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir)
{
	bool is_poisoned = false;
	u64 to = *last, end;

	if (likely(dir != DMA_FROM_DEVICE || !m->pending))
		return all_to_device(m, start, last, dir);
	while (start <= to) {
		struct dod_range *r = first_unsent(m, start, to);
		u64 next = r ? r->last + 1 : to + 1;

		end = r ? r->start - 1 : to;
		if (!r || r->start > start) {
			is_poisoned |= all_to_device(m, start, &end, dir);
			*last = max(*last, end);
		}
		start = next;
	}
	return is_poisoned;
}

/*
 * The device owns [start, *last] from now on; *last grows as in dod_ranges_to_cpu_from().
 * Ranges that the device may write are not merged: rule 6b depends on where each call
 * began. A sync with DMA_FROM_DEVICE sends nothing, so what is pending stays pending.
 *
 * Returns whether any of it can have been poisoned before, or there was no record.
 */
bool dod_ranges_to_device(struct dod_mapping *m, u64 start, u64 *last, u8 dir)
{
	/* Most mappings are new, or all of them was the CPU's. */
	if (unlikely(m->ranges.rb_node || dir != m->dir))
		return change_to_device(m, start, last, dir);
	first_range_new(m, start, *last);
	return false;
}
