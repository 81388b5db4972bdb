// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs, for those who ask how bytes came to be whose they are: the history in a report, and
 * the trace events.
 *
 * The history costs an unmap nothing, and a map two stores. What it says of them is in the records of
 * mappings, of which those that ended last are kept: see record.c. Three syncs are in the record,
 * which the physical lock guards: the last one for the device, which is there anyway, the one
 * before that, and the last one for the CPU.
 *
 * What an event says is gathered under the physical lock, too, and emitted when that is dropped:
 * see report/trace.c. All of it is out of line, behind one static branch for each call.
 */
#include "internal.h"

/* === History ============================================================== */

DEFINE_STATIC_KEY_TRUE(dod_history_key);

/**
 * dod_owner_apply_history() - the parameter history was written. Process context
 */
void dod_owner_apply_history(void)
{
	dod_observe_by(&dod_history_key.key, READ_ONCE(dod_params.history));
}

/*
 * Whether the stack of a sync for the device begins in the DMA core depends on the compiler, which
 * may call the hooked function last, and with tracepoints on who else listens. Names are looked up
 * for the first syncs that are not as those before; after that, the return addresses in the core
 * are known.
 */
#define MOST_CORE_FRAMES	2	/* of a stack */
#define LOOKUPS			64

struct dod_core_entry dod_core_entries[DOD_IOVA + 1] = {
	[DOD_SINGLE ... DOD_IOVA].depth = U8_MAX,
};
static struct dod_frame core_frames[4];
static atomic_t lookups = ATOMIC_INIT(LOOKUPS);

static bool is_core(struct dod_frame frame)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(core_frames) && READ_ONCE(core_frames[i].off); i++)
		if (core_frames[i].off == frame.off)
			return true;
	return false;
}

static void learn_core(const struct dod_mapping *m, unsigned int nr)
{
	unsigned long site = dod_report_call_site(m->sync_frames, m->sync.nr_frames);
	unsigned int i, j;

	for (i = 0; i < nr && dod_frame_ip(m->sync_frames[i]) != site; i++)
		for (j = 0; j < ARRAY_SIZE(core_frames) && !is_core(m->sync_frames[i]); j++)
			cmpxchg(&core_frames[j].off, 0, m->sync_frames[i].off);
}

/* The first frame after those of the DMA core. The physical lock is held. */
noinline struct dod_frame dod_find_caller(const struct dod_mapping *m)
{
	unsigned int i = clamp(m->sync.nr_frames - 1, 0, MOST_CORE_FRAMES);
	struct dod_core_entry *entry = &dod_core_entries[m->sync_kind];

	if (i && atomic_read(&lookups) > 0 && atomic_dec_return(&lookups) >= 0)
		learn_core(m, i);
	while (i && !is_core(m->sync_frames[i - 1]))
		i--;
	/* Two CPUs may store at a time: the next sync that does not fit comes here again. */
	if (i < 2 && m->sync.nr_frames > 1) {
		WRITE_ONCE(entry->depth, i);
		WRITE_ONCE(entry->core.off, m->sync_frames[0].off);
	}
	return m->sync_frames[i];
}

static unsigned int add_line(struct dod_history_line *lines, unsigned int nr, u64 when,
			     enum dod_api api, u8 kind, unsigned long by)
{
	if (nr < DOD_HISTORY_LINES)
		lines[nr++] = (struct dod_history_line) {
			.when = when, .api = api, .kind = kind, .by = by,
		};
	return nr;
}

/* A sync, if it was one of [start, last]. */
static unsigned int add_sync(const struct dod_mapping *m, u64 start, u64 last,
			     const struct dod_handover *h, unsigned long by,
			     struct dod_history_line *lines, unsigned int nr)
{
	u64 from = m->start + h->first;
	u8 kind = h->how >> HANDOVER_KIND;

	if (from > last || from + (h->how & HANDOVER_LEN) <= start)
		return nr;
	/* What is for the device is @sync, or was it, but for dma_iova_sync(). */
	return add_line(lines, nr, h->when,
			h != &m->other_sync || kind == DOD_IOVA ?
			DOD_API_SYNC_FOR_DEVICE : DOD_API_SYNC_FOR_CPU, kind, by);
}

static void sort_newer_first(const struct dod_handover **a, const struct dod_handover **b)
{
	if ((*a)->when < (*b)->when)
		swap(*a, *b);
}

/* The syncs of [start, last], newest first, and the map call. */
static unsigned int add_mapping(const struct dod_mapping *m, u64 start, u64 last,
				struct dod_history_line *lines, unsigned int nr)
{
	const struct dod_handover sync = {
		.when = m->sync_len ? m->sync.when : 0, .first = m->sync_off,
		.how = handover_how(m->sync_len, m->sync_kind),
	};
	/* Of two at the same time, the one for the CPU was first. */
	const struct dod_handover *h[] = { &sync, &m->other_sync, &m->sync_before };
	unsigned int i;

	sort_newer_first(&h[0], &h[1]);
	sort_newer_first(&h[1], &h[2]);
	for (i = 0; i < ARRAY_SIZE(h) && h[i]->when; i++)
		nr = add_sync(m, start, last, h[i], h[i] != &sync ? dod_frame_ip(h[i]->by) :
			      dod_report_call_site(m->sync_frames, m->sync.nr_frames), lines, nr);
	if (m->forgot_sync)
		nr = add_line(lines, nr, 0, DOD_API_NO_SYNC, 0, 0);
	if (!m->cpu_at_map)
		nr = add_line(lines, nr, m->map.when, DOD_API_MAP, m->kind,
			      dod_report_map_frame(m));
	return nr;
}

/* Before that, the mappings of these bytes that had ended when this one began. */
static unsigned int get_history(const struct dod_mapping *m, u64 start, u64 last,
				struct dod_history_line *lines)
{
	unsigned int nr = add_mapping(m, start, last, lines, 0);
	struct dod_place p = { .at = start, .until = m->map.when };
	struct dod_mapping ended DOD_UNINITIALIZED;

	while (nr < DOD_HISTORY_LINES && dod_history_find(&p, &ended)) {
		nr = add_line(lines, nr, ended.ended, DOD_API_UNMAP, ended.kind, ended.ended_by);
		nr = add_mapping(&ended, start, last, lines, nr);
		/* With a clock that is the tick, or of several CPUs, it may be as late as its end. */
		p.until = min(ended.map.when, ended.ended - 1);
		if (!p.until)
			break;
	}
	return nr;
}

const struct dod_history_ops dod_history_ops = {
	.get = get_history,
};

/* === Trace events ========================================================= */

/* A write that waits for its sync does not make the CPU the owner: rule 4. */
static bool is_devices(struct dod_range *r)
{
	return r->state == DOD_OWNED ||
	       (r->state == DOD_PENDING && !pending_of(r)->synced_by);
}

/* How many bytes the device owns, and the first of them that are in a row. */
static u64 owned_bytes(struct dod_mapping *m, struct dod_turn *t)
{
	u64 owned = 0, end = 0;
	struct dod_range *r;

	for_each_range(r, m, m->start, m->last) {
		if (!is_devices(r))
			continue;
		if (!owned) {
			t->left_first = r->start - m->start;
			end = r->start;
		}
		if (end == r->start)
			end = r->last + 1;
		owned += r->last - r->start + 1;
	}
	t->left_len = owned ? end - m->start - t->left_first : 0;
	return owned;
}

/* Describes a call about [start, last] that has changed nothing yet. */
static void describe_turn(struct dod_turn *t, struct dod_mapping *m, enum dod_api api,
			  u64 start, u64 last, unsigned long caller)
{
	u8 generation = READ_ONCE(dod_trace_generation);

	*t = (struct dod_turn) {
		.device = m->device, .dma_addr = m->dma_addr, .phys = m->start,
		.index = m->index, .first = start - m->start, .len = last - start + 1,
		.dir = m->dir, .api = api, .generation = generation, .caller = caller,
	};
}

/* The physical lock is held, also until after dod_turn_end(). */
static void begin_turn(struct dod_turn *t, struct dod_mapping *m, enum dod_api api, u64 start,
		       u64 last, unsigned long caller)
{
	describe_turn(t, m, api, start, last, caller);
	t->before = owned_bytes(m, t);
	t->after = t->before;
	t->counted = m->traced == t->generation ? t->before : 0;
	m->traced = t->generation;
}

/* A sync, or an event like it, is about to change a mapping. */
noinline void dod_turn_begin(struct dod_turn *t, const struct dod_call *call,
			     struct dod_mapping *m, u64 start, u64 last)
{
	const struct dod_sync *sync = call->event->stamp_sync ? call->sync : NULL;

	begin_turn(t, m, call->event->api, start, last,
		   sync ? dod_report_call_site(sync->frames, sync->who.nr_frames) : call->caller);
	t->quiet = !call->event->hand_over;
}

/* It has changed what is up to @last. */
noinline void dod_turn_end(struct dod_turn *t, struct dod_mapping *m, u64 last)
{
	u64 end = last - m->start + 1;

	t->after = owned_bytes(m, t);
	if (t->after < t->before && end > t->first)
		t->len = end - t->first;
}

/* The memory of a mapping was freed: that ends the ownership, and is no event. */
noinline void dod_turn_free(struct dod_mapping *m)
{
	struct dod_turn t;
	u64 owned = owned_bytes(m, &t);

	m->slice_open = owned > 0;
	dod_trace_uncount(m->device, m->traced, owned);
}

/* A mapping is about to end, by m->ended_by. */
noinline void dod_turn_unmap(struct dod_turn *t, struct dod_mapping *m)
{
	begin_turn(t, m, DOD_API_UNMAP, m->start, m->last, m->ended_by);
	/* A free is no event, and does not end the slice. */
	if (m->freed && m->slice_open)
		t->before = t->len;
	t->after = 0;
}

/* Emits the events of a map call, whose mappings nobody can sync or end yet. */
noinline void dod_trace_map(const struct dod_call *call)
{
	unsigned long caller = dod_report_map_frame(call->leader);
	struct dod_mapping *m;
	struct dod_turn t;

	for (m = call->leader; m; m = m->next) {
		if (m->not_ram)
			continue;
		describe_turn(&t, m, DOD_API_MAP, m->start, m->last, caller);
		if (call->to_device && !m->freed)
			t.after = m->last - m->start + 1;
		m->traced = t.generation;
		dod_trace_turn(&t);
	}
}
