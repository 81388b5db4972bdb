// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 10, by content: a copy of the rest of the first and the last cache line of a buffer,
 * made when its device may write there and compared when it may no more. That finds writes
 * that do not trap: x++ where the compiler checks only the read, bytes that share a granule
 * with the buffer, code that the sanitizer does not see.
 *
 * No lock of its own: as content.c.
 */
#include "internal.h"

#include <linux/bitmap.h>

/* Of longer lines, the bytes that are nearest to the buffer. */
#define EDGE	128U

/**
 * struct edge - the rest of a line of which the device writes a part
 *
 * @start:	its first byte, physical
 * @nr:		how many bytes there are; 0 if there is no copy
 * @known:	which of them nobody has been seen writing to
 * @bytes:	the copy
 */
struct edge {
	u64 start;
	unsigned int nr;
	DECLARE_BITMAP(known, EDGE);
	u8 bytes[EDGE];
};

/* Before and after the buffer. */
struct dod_edges {
	struct edge edge[2];
};

static struct dod_pool pool;

/* What a device may only read has none. */
static struct dod_edges *edges_of(const struct dod_mapping *m)
{
	return m->content && m->dir != DMA_TO_DEVICE ? m->content->edges : NULL;
}

bool dod_edge_is_known(const struct dod_mapping *m, bool after)
{
	const struct dod_edges *edges = edges_of(m);

	return edges && edges->edge[after].nr;
}

static struct dod_edges *edges_get(void)
{
	struct dod_edges *edges = dod_pool_get(&pool);

	if (!edges) {
		dod_count(DOD_C_CONTENT_POOL_EMPTY);
		return NULL;
	}
	edges->edge[0].nr = 0;
	edges->edge[1].nr = 0;
	return edges;
}

void dod_edge_copy(struct dod_mapping *m, bool after, u64 start, u64 last)
{
	struct dod_content *c = dod_content_of(m);
	struct edge *e;
	unsigned int i;

	/* KFENCE checks its redzones itself, and can take its memory away. */
	if (!c || dod_is_kfence(start, last))
		return;
	if (!c->edges)
		c->edges = edges_get();
	if (!c->edges)
		return;
	if (last - start >= EDGE) {
		dod_count(DOD_C_CONTENT_PARTIAL);
		if (after)
			last = start + EDGE - 1;
		else
			start = last + 1 - EDGE;
	}
	e = &c->edges->edge[after];
	e->start = start;
	e->nr = last - start + 1;
	bitmap_zero(e->known, EDGE);
	for (i = 0; i < e->nr; i++) {
		e->bytes[i] = READ_ONCE(*(u8 *)phys_to_virt(start + i));
		__set_bit(i, e->known);
	}
	dod_count(DOD_C_CONTENT_EDGES);
}

void dod_edges_forget(struct dod_mapping *m, u64 start, u64 last)
{
	struct dod_edges *edges = edges_of(m);
	unsigned int side, i;

	if (!edges)
		return;
	for (side = 0; side < 2; side++) {
		struct edge *e = &edges->edge[side];

		for (i = 0; i < e->nr; i++)
			if (e->start + i >= start && e->start + i <= last)
				__clear_bit(i, e->known);
	}
}

void dod_edge_drop(struct dod_mapping *m, bool after)
{
	struct dod_edges *edges = edges_of(m);

	if (edges)
		edges->edge[after].nr = 0;
}

static void compare(const struct dod_mapping *m, struct edge *e, bool after,
		    struct dod_content_result *found)
{
	unsigned int i;

	for (i = 0; i < e->nr; i++) {
		u8 is = READ_ONCE(*(u8 *)phys_to_virt(e->start + i));

		if (likely(is == e->bytes[i]) || !test_bit(i, e->known))
			continue;
		if (dod_content_was_invalidated(m->content)) {
			dod_count(DOD_C_CONTENT_DOUBTED);
			break;
		}
		if (!(found->types & BIT_ULL(DOD_R_SHARED_LINE_WRITE))) {
			found->types |= BIT_ULL(DOD_R_SHARED_LINE_WRITE);
			found->edge = (struct dod_edge_change) {
				.after = after,
				.first = e->start + i,
			};
			dod_change_show(&found->edge.bytes, e->start + i, e->bytes + i, e->nr - i);
		}
		if (found->edge.after != after)
			break;
		found->edge.last = e->start + i;
		found->edge.nr++;
	}
	e->nr = 0;
}

void dod_edges_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		      struct dod_content_result *found)
{
	struct dod_edges *edges = m->content->edges;

	if (unmap || start < dod_line_of(m, m->start) + m->line)
		compare(m, &edges->edge[0], false, found);
	if (unmap || last >= dod_line_of(m, m->last))
		compare(m, &edges->edge[1], true, found);
}

void dod_edges_end(struct dod_content *c)
{
	dod_pool_put(&pool, c->edges);
	c->edges = NULL;
}

void dod_edges_report(const struct dod_content_result *found, const struct dod_mapping *m,
		      unsigned long at)
{
	const struct dod_edge_change *c = &found->edge;
	struct dod_finding f = {
		.type = DOD_R_SHARED_LINE_WRITE,
		.at = at,
		.object = phys_to_virt(m->start),
		.change = c->bytes,
	};

	dod_finding_add(&f, "%u byte%s %s the buffer, in its %s cache line of %u bytes, changed while the device owned it.\n",
			c->nr, c->nr == 1 ? "" : "s", c->after ? "after" : "before",
			c->after ? "last" : "first", m->line);
	dod_finding_add(&f, "No write was seen. First: %s%llu, was 0x%02x, is 0x%02x.\n",
			c->after ? "end+" : "start-",
			c->after ? c->first - m->last - 1 : m->start - c->first,
			c->bytes.was[0], c->bytes.is[0]);
	dod_reads_describe(&f, c->first, c->last, m);
	dod_report_mapping(&f, m);
}

int dod_edges_start(unsigned int max)
{
	return dod_pool_init(&pool, sizeof(struct dod_edges), 64, max);
}

void dod_edges_stop(void)
{
	dod_pool_destroy(&pool);
}
