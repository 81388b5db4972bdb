// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 10, by content: a copy of what shares the first and the last cache line of a
 * buffer while its device writes there, compared when that ends. It finds what does
 * not trap: x++ where the compiler checks only the read, bytes that share a granule
 * with the buffer, code that the sanitizer does not see.
 *
 * No lock of its own. What a mapping has here is protected by its phys lock.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/bitmap.h>
#include <linux/mm.h>

/* Of longer lines, the bytes that are nearest to the buffer. */
#define EDGE	128U

/**
 * struct edge - the rest of a line of which the device writes a part
 *
 * @start:	its first byte, physical
 * @nr:		how many bytes there are; 0 if nothing is known
 * @known:	which of them nobody has written to, as far as is known
 * @bytes:	what they were
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

/**
 * dod_edges_known() - is there a copy already?
 * @m: the mapping
 * @after: of what follows it, not of what precedes it
 *
 * Context: any but NMI, phys lock held.
 */
bool dod_edges_known(const struct dod_mapping *m, bool after)
{
	return m->content && m->content->edges && m->content->edges->edge[after].nr;
}

/**
 * dod_edges_copy() - the device writes to a line from now on
 * @m: the mapping
 * @after: the line in which it ends, not the one in which it begins
 * @start: first byte of the rest of that line that exists
 * @last: last byte
 *
 * Context: any but NMI, phys lock held.
 */
void dod_edges_copy(struct dod_mapping *m, bool after, u64 start, u64 last)
{
	struct dod_content *c = dod_content_of(m);
	struct edge *e;
	unsigned int i;

	/* KFENCE looks after what it has put there, and can take it away. */
	if (!c || dod_is_kfence(start, last))
		return;
	if (!c->edges) {
		c->edges = dod_pool_get(&pool);
		if (!c->edges) {
			dod_count(DOD_C_CONTENT_POOL_EMPTY);
			return;
		}
		c->edges->edge[0].nr = 0;
		c->edges->edge[1].nr = 0;
	}
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

/**
 * dod_edges_forget() - somebody may change what shares a line, and that is known
 * @m: the mapping
 * @start: first byte that may change
 * @last: last byte
 *
 * Context: any but NMI, phys lock held.
 */
void dod_edges_forget(struct dod_mapping *m, u64 start, u64 last)
{
	unsigned int side, i;

	if (!m->content || !m->content->edges)
		return;
	for (side = 0; side < 2; side++) {
		struct edge *e = &m->content->edges->edge[side];

		for (i = 0; i < e->nr; i++)
			if (e->start + i >= start && e->start + i <= last)
				__clear_bit(i, e->known);
	}
}

/**
 * dod_edges_drop() - the device does not write to a line any more
 * @m: the mapping
 * @after: as for dod_edges_copy()
 *
 * Context: any but NMI, phys lock held.
 */
void dod_edges_drop(struct dod_mapping *m, bool after)
{
	if (m->content && m->content->edges)
		m->content->edges->edge[after].nr = 0;
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
		if (!(found->types & BIT(DOD_R_SHARED_LINE_WRITE))) {
			found->types |= BIT(DOD_R_SHARED_LINE_WRITE);
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

/**
 * dod_edges_to_cpu() - the CPU is about to get a range
 * @m: the mapping, which has a content
 * @start: first byte
 * @last: last byte
 * @unmap: and all the rest
 * @found: what was found
 *
 * Context: any but NMI, phys lock held.
 */
void dod_edges_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		      struct dod_content_result *found)
{
	struct dod_edges *edges = m->content->edges;

	if (likely(!edges))
		return;
	if (unmap || start < dod_line_of(m, m->start) + m->line)
		compare(m, &edges->edge[0], false, found);
	if (unmap || last >= dod_line_of(m, m->last))
		compare(m, &edges->edge[1], true, found);
}

/**
 * dod_edges_end() - know nothing of a mapping's lines any more
 * @c: its content
 *
 * Context: any but NMI, phys lock held.
 */
void dod_edges_end(struct dod_content *c)
{
	if (c->edges)
		dod_pool_put(&pool, c->edges);
	c->edges = NULL;
}

/**
 * dod_edges_report() - report what changed beside a buffer
 * @found: what
 * @m: the mapping, or a copy of it
 * @at: return address of the call that found it
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_edges_report(const struct dod_content_result *found, const struct dod_mapping *m,
		      unsigned long at)
{
	const struct dod_edge_change *c = &found->edge;
	u64 far = c->after ? c->first - m->last : m->start - c->first;
	struct dod_finding f = {
		.type = DOD_R_SHARED_LINE_WRITE,
		.at = at,
		.object = phys_to_virt(m->start),
		.change = c->bytes,
	};

	scnprintf(f.text, sizeof(f.text),
		  "%u byte%s %s the buffer, in its %s cache line of %u bytes, changed while the device owned that line, and no write was seen. The first is %llu byte%s %s: it was 0x%02x and is 0x%02x.\n",
		  c->nr, c->nr == 1 ? "" : "s", c->after ? "after" : "before",
		  c->after ? "last" : "first", m->line, far, far == 1 ? "" : "s",
		  c->after ? "after its end" : "before its start", c->bytes.was[0],
		  c->bytes.is[0]);
	dod_reads_describe(c->first, c->last, m->map.when, m, f.text, sizeof(f.text));
	dod_report_mapping(&f, m);
}

/**
 * dod_edges_start() - get ready
 * @max: most mappings whose lines can be known
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_edges_start(unsigned int max)
{
	return dod_pool_init(&pool, sizeof(struct dod_edges), 64, max);
}

/**
 * dod_edges_stop() - free everything
 *
 * Context: process, may sleep; no mapping has a content any more.
 */
void dod_edges_stop(void)
{
	dod_pool_destroy(&pool);
}
