// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: the steps. A worker maps, maps again, syncs, unmaps, and has the device write, at
 * random, and tells the model; what a call loses of pending writes is to be reported.
 */

#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "torture.h"

bool ending;

/* Pending writes to [start, end) of a mapping that a call loses must be reported. */
void expect_loss(struct worker *w, struct buffer *b, struct map *m, size_t start,
		 size_t end, u32 now)
{
	m->losing = start;
	m->losing_end = end;
	m->reported = 0;
	m->loses = knows(m, now) != UNKNOWN &&
		   (any_bit(&m->pending, start, end) || any_bit(&m->hazy, start, end));
	if (m->loses)
		w->want.loses = b;
}

/* The call has been made. */
void check_loss(struct worker *w, struct buffer *b, struct map *m, u32 before, u32 after)
{
	bool sure = before == after && knows(m, before) == KNOWN;
	unsigned int i;

	for (i = 0; m->loses && sure && !READ_ONCE(ending) && i < m->nr; i++) {
		size_t end = m->segment[i].start + m->segment[i].size;
		struct access lost = { .op = OP_FILL };

		lost.start = max_t(size_t, m->losing, m->segment[i].start);
		end = min(m->losing_end, end);
		if (!any_bit(&m->pending, lost.start, end))
			continue;
		count(w, LOST);
		if (m->reported & BIT(i))
			continue;
		count(w, MISSES);
		/* The first byte that was lost. */
		while (!get_bit(&m->pending, lost.start))
			lost.start++;
		lost.size = min_t(size_t, end - lost.start, 64);
		fail_access(w, "missed loss of a write", b, &lost, atomic_read(&w->want.lost),
			    before, after);
	}
	m->loses = false;
	set_bits(&m->pending, m->losing, m->losing_end, false);
	set_bits(&m->hazy, m->losing, m->losing_end, false);
}

static struct map *free_slot(struct buffer *b)
{
	struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (!m->live)
			return m;
	return NULL;
}

static struct map *random_map(struct worker *w, struct buffer *b)
{
	struct map *m = &b->map[rnd(w, NR_MAPS)];

	return m->live ? m : NULL;
}

static bool has_device(const struct buffer *b, const struct device *dev)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && m->dev == dev)
			return true;
	return false;
}

static void choose_segments(struct worker *w, const struct buffer *b, struct map *m)
{
	size_t at = rnd(w, b->size);

	m->nr = 0;
	if (!m->list) {
		m->segment[0].start = rnd(w, 2) ? 0 : at;
		at = m->segment[0].start;
		m->segment[0].size = rnd(w, 2) ? b->size - at : 1 + rnd(w, b->size - at);
		m->nr = 1;
		return;
	}
	/* Granules in between: no granule has two segments. */
	for (at /= 4; m->nr < NR_SEGMENTS && at < b->size; m->nr++) {
		m->segment[m->nr].start = at;
		m->segment[m->nr].size = 1 + rnd(w, b->size - at);
		if (rnd(w, 4))
			m->segment[m->nr].size = min_t(u32, m->segment[m->nr].size,
						       1 + rnd(w, 1024));
		at += m->segment[m->nr].size + GRANULE + rnd(w, 128);
	}
}

static bool map_memory(struct buffer *b, struct map *m, unsigned long attrs)
{
	unsigned int i;

	if (!m->list) {
		m->segment[0].dma = dma_map_single_attrs(m->dev, b->mem + m->segment[0].start,
							 m->segment[0].size, m->dir, attrs);
		return !dma_mapping_error(m->dev, m->segment[0].dma);
	}
	sg_init_table(m->sg, m->nr);
	for (i = 0; i < m->nr; i++)
		sg_set_buf(&m->sg[i], b->mem + m->segment[i].start, m->segment[i].size);
	return dma_map_sg_attrs(m->dev, m->sg, m->nr, m->dir, attrs);
}

static void begin_map(struct buffer *b, struct map *m, unsigned long attrs, u32 now)
{
	unsigned int i;

	m->born = now;
	m->noncoherent = noncoherent;
	m->skips = attrs & DMA_ATTR_SKIP_CPU_SYNC;
	memset(&m->owned, 0, sizeof(m->owned));
	memset(&m->pending, 0, sizeof(m->pending));
	memset(&m->hazy, 0, sizeof(m->hazy));
	memset(&m->stale, 0, sizeof(m->stale));
	memset(&m->dim, 0, sizeof(m->dim));
	m->hand_overs = 0;
	m->loses = false;
	m->spanning = false;
	m->live = true;
	for (i = 0; i < m->nr; i++) {
		size_t start = m->segment[i].start, end = start + m->segment[i].size;

		m->spanning |= b->source == WINDOW && start < b->size / 2 && end > b->size / 2;
		forget_stale(b, start, end, knows(m, now));
		dim_beside(b, start, end);
		if (!attrs) {
			freshen_others(b, m, start, end, now);
			hand_over(m, start, end, m->dir);
		}
	}
}

static void sync_call(struct map *m, size_t start, size_t size, u8 dir, bool to_device)
{
	dma_addr_t dma = m->segment[0].dma;

	if (m->list && to_device)
		dma_sync_sg_for_device(m->dev, m->sg, m->nr, dir);
	else if (m->list)
		dma_sync_sg_for_cpu(m->dev, m->sg, m->nr, dir);
	else if (to_device)
		dma_sync_single_range_for_device(m->dev, dma, start, size, dir);
	else
		dma_sync_single_range_for_cpu(m->dev, dma, start, size, dir);
}

/* [start, end) of the buffer was synced: rules 2, 4 and 6b. */
static void end_sync(struct buffer *b, struct map *m, size_t start, size_t end, u8 dir,
		     bool to_device, u32 now)
{
	enum knowledge known = knows(m, now);
	size_t i;

	dim_beside(b, start, end);
	if (to_device) {
		/* It sends nothing, and the device cannot write, either: no effect. */
		if (dir == DMA_FROM_DEVICE && m->dir == DMA_TO_DEVICE)
			return;
		forget_stale(b, start, end, known);
		freshen_others(b, m, start, end, now);
		hand_over(m, start, end, dir);
	} else if (dir != DMA_TO_DEVICE) {
		forget_stale(b, start, end, known);
		note_sync_for_cpu(m, start, end);
	} else {
		/* It copies nothing back: the device still owns what it may write. */
		forget_stale(b, start, end, min(known, MAYBE));
		for (i = start; i < end; i++)
			if (get_bit(&m->owned, i) && dir_of_byte(m, i) == DMA_TO_DEVICE)
				set_bits(&m->owned, i, i + 1, false);
	}
}

/* A sync of all segments of a list, or of @size bytes of another mapping, from @start on. */
static void sync(struct worker *w, struct buffer *b, struct map *m, size_t start, size_t size,
		 u8 dir, bool to_device)
{
	bool brings = !to_device && dir != DMA_TO_DEVICE;
	u32 before = get_state(), after;
	unsigned int i;

	if (m->hand_overs + m->nr > MAX_HAND_OVERS)
		return;
	start += m->segment[0].start;
	if (brings && !m->list && !is_clear(m, start, start + size))
		return;
	count(w, dir == m->dir || m->dir == DMA_BIDIRECTIONAL ? SYNCS : SYNCS_IDLE);
	begin_want(w, NULL, NULL, NULL, 0);
	if (brings)
		expect_loss(w, b, m, m->list ? 0 : start, m->list ? b->size : start + size,
			    before);
	sync_call(m, start - m->segment[0].start, size, dir, to_device);
	if (w->want.loses)
		wait_for_report(w);
	end_want(w);
	after = get_state();
	if (brings)
		check_loss(w, b, m, before, after);
	for (i = 0; i < m->nr; i++)
		end_sync(b, m, m->list ? m->segment[i].start : start,
			 m->list ? m->segment[i].start + m->segment[i].size : start + size,
			 dir, to_device, both_states(before, after));
}

static bool owns_something(const struct map *m)
{
	return !is_empty(&m->owned) || !is_empty(&m->pending) || !is_empty(&m->hazy);
}

static bool is_alike(const struct map *m, const struct map *other)
{
	return m->born == other->born && m->noncoherent == other->noncoherent &&
	       m->skips == other->skips &&
	       !memcmp(&m->owned, &other->owned, sizeof(m->owned)) &&
	       !memcmp(&m->pending, &other->pending, sizeof(m->pending)) &&
	       !memcmp(&m->hazy, &other->hazy, sizeof(m->hazy)) &&
	       !memcmp(&m->stale, &other->stale, sizeof(m->stale)) &&
	       (m->dir == DMA_TO_DEVICE ||
		(m->hand_overs == other->hand_overs &&
		 !memcmp(m->hand_over, other->hand_over, sizeof(m->hand_over))));
}

/* Would a sync of [start, end) change the state of the mapping? */
static bool is_changed(const struct map *m, size_t start, size_t end, bool to_device)
{
	size_t i;

	for (i = start; i < end; i++)
		if (to_device ? !get_bit(&m->owned, i) || get_bit(&m->pending, i) :
				get_bit(&m->owned, i) || get_bit(&m->pending, i))
			return true;
	return false;
}

/* The tool does not know who owns the rest of a granule to which a write is pending. */
static bool is_vague(const struct map *m, size_t start, size_t end)
{
	for (; start < end; start++)
		if (m->hazy.byte[start / 8] || m->stale.byte[start / 8] ||
		    (m->pending.byte[start / 8] && !get_bit(&m->pending, start)))
			return true;
	return false;
}

/*
 * Which of two equal mappings is meant by a sync of [start, end)? The one that it changes;
 * NULL if that does not tell.
 */
static struct map *which_syncs(struct map *m, size_t start, size_t end, bool to_device)
{
	bool changed, other;

	if (!m->twin || is_alike(m, m->twin))
		return m;
	if (m->born != m->twin->born || is_vague(m, start, end) ||
	    is_vague(m->twin, start, end))
		return NULL;
	changed = is_changed(m, start, end, to_device);
	other = is_changed(m->twin, start, end, to_device);
	if (changed == other)
		return NULL;
	return changed ? m : m->twin;
}

static void step_sync(struct worker *w, struct buffer *b, bool to_device)
{
	struct map *m = random_map(w, b);
	size_t start, size;
	u8 dir;

	if (!m)
		return;
	start = rnd(w, 3) ? rnd(w, m->segment[0].size) : 0;
	size = rnd(w, 3) ? 1 + rnd(w, m->segment[0].size - start) : m->segment[0].size - start;
	/* Whole granules every other time. */
	if (rnd(w, 2)) {
		size = round_up(size, GRANULE);
		start = round_down(start, GRANULE);
		size = min_t(size_t, size, m->segment[0].size - start);
	}
	dir = m->dir;
	/* Synced for the device in two directions: the rules do not say what it owns. */
	if (!rnd(w, 6) && (!to_device || m->dir != DMA_FROM_DEVICE))
		dir = rnd(w, 2) ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
	/* An idle sync may mean either of two equal mappings. */
	if (m->twin && dir != m->dir)
		return;
	m = which_syncs(m, m->segment[0].start + start, m->segment[0].start + start + size,
			to_device);
	if (m)
		sync(w, b, m, start, size, dir, to_device);
}

static void step_map(struct worker *w, struct buffer *b)
{
	static const u8 dirs[] = { DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL };
	unsigned long attrs = rnd(w, 8) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	unsigned int device = rnd(w, NR_DEVICES);
	struct map *m = free_slot(b);
	u32 before;

	if (!m || has_device(b, w->dev[device]))
		return;
	m->dev = w->dev[device];
	m->id = w->first_id + device;
	m->dir = dirs[rnd(w, ARRAY_SIZE(dirs))];
	m->list = !rnd(w, 4);
	m->twin = NULL;
	choose_segments(w, b, m);

	before = get_state();
	if (!map_memory(b, m, attrs)) {
		count(w, MAP_ERRORS);
		return;
	}
	begin_map(b, m, attrs, both_states(before, get_state()));
	count(w, m->list ? LISTS : MAPS);
}

/*
 * Maps the same memory once more for the same device. Rule 3c says which of the two an
 * unmap ends.
 */
static void step_map_twin(struct worker *w, struct buffer *b)
{
	unsigned long attrs = rnd(w, 4) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	struct map *m = random_map(w, b), *twin = free_slot(b);
	u32 before;

	if (!m || !twin || m->list || m->twin)
		return;
	*twin = *m;
	twin->live = false;
	before = get_state();
	if (!map_memory(b, twin, attrs)) {
		count(w, MAP_ERRORS);
		return;
	}
	begin_map(b, twin, attrs, both_states(before, get_state()));
	twin->twin = m;
	m->twin = twin;
	count(w, TWINS);
}

/* Rule 3c: which of two equal mappings ends? NULL if that does not say it. */
static struct map *which_ends(struct map *m, unsigned long attrs)
{
	struct map *twin = m->twin;

	if (!twin || is_alike(m, twin))
		return m;
	/* Rule 3c does not say whether stale bytes count as owned; and the tool must know both. */
	if (m->born != twin->born || !is_empty(&m->stale) || !is_empty(&twin->stale) ||
	    !is_empty(&m->hazy) || !is_empty(&twin->hazy))
		return NULL;
	if (owns_something(m) != owns_something(twin))
		return owns_something(m) ? m : twin;
	if (m->skips != twin->skips)
		return m->skips == !!attrs ? m : twin;
	return NULL;
}

static void unmap_call(struct map *m, unsigned long attrs)
{
	/* Not live any more: no access is due to it meanwhile. */
	m->live = false;
	if (m->list)
		dma_unmap_sg_attrs(m->dev, m->sg, m->nr, m->dir, attrs);
	else
		dma_unmap_single_attrs(m->dev, m->segment[0].dma, m->segment[0].size, m->dir,
				       attrs);
}

/* It has ended: rules 3 and 4. */
static void end_map(struct worker *w, struct buffer *b, struct map *m, unsigned long attrs,
		    u32 before, u32 after)
{
	u32 now = both_states(before, after);
	unsigned int i;

	count(w, UNMAPS);
	check_loss(w, b, m, before, after);
	m->twin = NULL;
	if (attrs & DMA_ATTR_SKIP_CPU_SYNC && m->dir != DMA_TO_DEVICE)
		leave_stale(b, m, now);
	/* Also stale bytes of one entry of a list beside the next. */
	for (i = 0; i < m->nr; i++)
		dim_beside(b, m->segment[i].start, m->segment[i].start + m->segment[i].size);
	if (attrs & DMA_ATTR_SKIP_CPU_SYNC)
		return;
	/* It is a sync for the CPU, too. */
	for (i = 0; m->dir != DMA_TO_DEVICE && i < m->nr; i++)
		forget_stale(b, m->segment[i].start, m->segment[i].start + m->segment[i].size,
			     knows(m, now));
}

static void unmap(struct worker *w, struct buffer *b, struct map *m)
{
	unsigned long attrs = rnd(w, 8) ? 0 : DMA_ATTR_SKIP_CPU_SYNC;
	struct map *ends = which_ends(m, attrs), *other = m->twin;
	u32 before = get_state(), after;

	/* If that is not known, both are unmapped: then the order does not matter. */
	if (ends)
		other = NULL;
	else
		ends = m;
	begin_want(w, NULL, NULL, NULL, 0);
	expect_loss(w, b, ends, 0, b->size, before);
	if (other)
		expect_loss(w, b, other, 0, b->size, before);
	if (!other && ends->twin)
		ends->twin->twin = NULL;
	unmap_call(ends, attrs);
	if (other)
		unmap_call(other, attrs);
	if (w->want.loses)
		wait_for_report(w);
	end_want(w);
	after = get_state();
	end_map(w, b, ends, attrs, before, after);
	if (other)
		end_map(w, b, other, attrs, before, after);
}

static void step_unmap(struct worker *w, struct buffer *b)
{
	struct map *m = random_map(w, b);

	/* Syncs pending writes first, as a good driver does. */
	if (m && rnd(w, 2) && !m->twin && !is_empty(&m->pending))
		sync(w, b, m, 0, m->segment[0].size, m->dir, true);
	if (m)
		unmap(w, b, m);
}

void unmap_all(struct worker *w, struct buffer *b)
{
	struct map *m;

	/* An unmap may end an equal mapping instead. */
	for (m = b->map; m < b->map + NR_MAPS; m++)
		while (m->live)
			unmap(w, b, m);
}

/* The device writes to what it owns, unless another device owns that to read. */
static void step_device_write(struct worker *w, struct buffer *b)
{
	size_t start = rnd(w, b->size), end, i;
	const struct map *m;

	end = min_t(size_t, b->size, start + 64);
	for (i = start; i < end; i++) {
		bool writes = false, reads = false;

		for (m = b->map; m < b->map + NR_MAPS; m++) {
			if (!m->live)
				continue;
			reads |= get_bit(&m->pending, i) || get_bit(&m->hazy, i);
			if (!get_bit(&m->owned, i))
				continue;
			reads |= dir_of_byte(m, i) == DMA_TO_DEVICE;
			writes |= dir_of_byte(m, i) != DMA_TO_DEVICE;
		}
		if (writes && !reads)
			poke(b->mem + i, rnd(w, 256));
	}
	count(w, DEVICE_WRITES);
}

static void one_step(struct worker *w, struct buffer *b)
{
	unsigned int what = rnd(w, 20);

	/* A DMA call where KASAN is off would make the tool doubt all stale bytes. */
	if (what < 10 && is_unchecked())
		return;
	switch (what) {
	case 0 ... 2:
		step_map(w, b);
		break;
	case 3:
		step_map_twin(w, b);
		break;
	case 4:
		step_unmap(w, b);
		break;
	case 5 ... 6:
		step_sync(w, b, false);
		break;
	case 7 ... 9:
		step_sync(w, b, true);
		break;
	case 10:
		step_device_write(w, b);
		break;
	default:
		step_access(w, b);
	}
}

void run_steps(struct worker *w)
{
	unsigned int n;

	for (n = 0; n < w->steps && !READ_ONCE(stopped); n++) {
		struct buffer *b = &w->buffer[rnd(w, NR_BUFFERS)];
		unsigned long flags;

		if (!rnd(w, 5)) {
			b = shared[rnd(w, NR_SHARED)];
			raw_spin_lock_irqsave(&b->lock, flags);
			one_step(w, b);
			raw_spin_unlock_irqrestore(&b->lock, flags);
		} else if (b->mem) {
			one_step(w, b);
		}
	}
}
