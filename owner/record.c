// SPDX-License-Identifier: GPL-2.0
/*
 * The records of mappings: the pool, a new one for a map call, and a ring for each CPU of
 * those that ended last, which reports name.
 */
#include "internal.h"

#include <linux/percpu.h>

#define NR_ENDED	64	/* ended mappings that are remembered, for each possible CPU */

/*
 * Who takes an entry out of a ring, or the spare record, owns it: there is no lock. Those who
 * read an entry take it out meanwhile, one at a time, so that nobody misses what another reads.
 */
struct history {
	struct dod_mapping *ring[NR_ENDED];
	unsigned int head;		/* counts the entries put in */
	/*
	 * The one that left the ring last, for the next map call: of a CPU that maps and
	 * unmaps in turns no record goes through the pool.
	 */
	struct dod_mapping *spare;
};

struct dod_pool dod_mapping_pool;
static struct history __percpu *history;
static DEFINE_RAW_SPINLOCK(readers_lock);

/* Remembers a mapping that has ended. A record that is free then goes to @left, unless NULL. */
__always_inline void dod_history_put(struct dod_mapping *m, struct dod_pool_list *left)
{
	unsigned int i = this_cpu_inc_return(history->head) % NR_ENDED;

	/* Interrupts and migration may come between: then another ring has one more. */
	m = xchg(&raw_cpu_ptr(history)->ring[i], m);
	if (likely(m))
		m = this_cpu_xchg(history->spare, m);
	if (m && left)
		dod_pool_list_add(left, m);
	else if (m)
		dod_pool_put(&dod_mapping_pool, m);
}

/* The pool is empty: better to forget an ended mapping than not to know a live one. */
static noinline struct dod_mapping *history_pop(void)
{
	struct dod_mapping *m = NULL;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct history *h = per_cpu_ptr(history, cpu);
		unsigned int head = READ_ONCE(h->head);

		for (i = 1; !m && i <= NR_ENDED; i++)
			m = xchg(&h->ring[(head + i) % NR_ENDED], NULL);
		if (m)
			break;
	}
	return m;
}

/* Copies the ended mapping that is near, and of several the one that ended last. */
bool dod_history_find(const struct dod_place *p, struct dod_mapping *copy)
{
	bool found = false;
	unsigned long flags;
	unsigned int cpu, i;

	dod_lock_irqsave(&readers_lock, flags);
	for_each_possible_cpu(cpu) {
		struct history *h = per_cpu_ptr(history, cpu);

		for (i = 0; i < NR_ENDED; i++) {
			struct dod_mapping *m = xchg(&h->ring[i], NULL);

			if (!m)
				continue;
			if ((!p->dev || m->dev == p->dev) && dod_distance(m, p) <= p->near &&
			    (!p->until || m->ended <= p->until) &&
			    (!found || m->ended >= copy->ended)) {
				*copy = *m;
				found = true;
			}
			/* There may be a newer one by now. */
			if (cmpxchg(&h->ring[i], NULL, m))
				dod_pool_put(&dod_mapping_pool, m);
		}
	}
	dod_unlock_irqrestore(&readers_lock, flags);
	return found;
}

/* Who calls, and the stack from the return address of the hooked function outwards. */
void dod_note_caller(const struct dod_call *call, struct dod_who *who, struct dod_frame *frames,
		     unsigned int depth)
{
	dod_note_who(who);
	who->nr_frames = dod_stack_save(&call->site, frames, depth);
}

/* What the call says. @leader: of the list, NULL for itself. */
static __always_inline void fill(struct dod_mapping *m, const struct dod_call *call,
				 struct dod_mapping *leader, struct dod_device *device,
				 u64 dma_addr, u64 size)
{
	/* All from @next up to the stacks, which are large. */
	memset((void *)m + offsetof(struct dod_mapping, next), 0,
	       offsetof(struct dod_mapping, map) - offsetof(struct dod_mapping, next));
	m->sync_before.when = 0;
	m->other_sync.when = 0;
	m->dma_addr = dma_addr;
	m->dma_last = dma_addr + size - 1;
	m->ranges = RB_ROOT;
	m->dev = call->dev;
	m->device = device;
	m->group = leader ?: m;
	m->kind = call->kind;
	m->dir = call->dir;
	m->owned_at_map = !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC);
	m->kinds = DOD_KIND_LONE;
	m->binding = READ_ONCE(device->binding);
	/* Records are 256 bytes apart or more. */
	m->index = ((unsigned long)m - PAGE_OFFSET) >> 8;
}

/* A record with what the call says; of the memory nothing is known yet. NULL if there is none. */
struct dod_mapping *dod_record_new(const struct dod_call *call, struct dod_device *device,
				   u64 dma_addr, u64 size)
{
	struct dod_mapping *m = this_cpu_xchg(history->spare, NULL);

	m = m ?: dod_pool_get(&dod_mapping_pool) ?: history_pop();
	if (!m)
		return NULL;
	fill(m, call, NULL, device, dma_addr, size);
	dod_note_caller(call, &m->map, m->map_frames, READ_ONCE(dod_params.map_frames));
	m->dmabuf = dod_judge_ops.dmabuf_of_current();
	return m;
}

/* So many at once: interrupts are off meanwhile. */
#define MOST_RECORDS	16U

/* The first of several records for a list; @call has the others. NULL if there is none. */
static noinline struct dod_mapping *take_records(struct dod_call *call)
{
	unsigned int nr = clamp(call->runs, 1U, MOST_RECORDS);

	call->runs -= min(call->runs, nr);
	return dod_pool_get_list(&dod_mapping_pool, nr);
}

/* After the last entry: those that were too many, as of runs without a byte. */
void __dod_records_put(struct dod_call *call)
{
	struct dod_mapping *m;

	while ((m = call->records)) {
		call->records = dod_pool_next(m);
		dod_pool_put(&dod_mapping_pool, m);
	}
}

/* The same for the next entry of a scatterlist: all are mapped by the same call. */
struct dod_mapping *dod_record_next(struct dod_call *call, struct dod_mapping *leader,
				    u64 dma_addr, u64 size)
{
	/* The leader has taken the spare one. */
	struct dod_mapping *m = call->records ?: take_records(call);

	if (likely(m))
		call->records = dod_pool_next(m);
	else
		m = history_pop();
	if (!m)
		return NULL;
	fill(m, call, leader, leader->device, dma_addr, size);
	m->map = leader->map;
	memcpy(m->map_frames, leader->map_frames, sizeof(m->map_frames));
	m->dmabuf = leader->dmabuf;
	return m;
}

int dod_record_start(unsigned int reserve, unsigned int max)
{
	history = alloc_percpu(struct history);
	if (!history)
		return -ENOMEM;
	return dod_pool_init(&dod_mapping_pool, sizeof(struct dod_mapping), reserve, max);
}

/* The pool is destroyed last: others may still put records. */
void dod_record_stop(void)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct history *h = history ? per_cpu_ptr(history, cpu) : NULL;

		for (i = 0; h && i < NR_ENDED; i++)
			if (h->ring[i])
				dod_pool_put(&dod_mapping_pool, h->ring[i]);
		if (h && h->spare)
			dod_pool_put(&dod_mapping_pool, h->spare);
	}
	dod_pool_destroy(&dod_mapping_pool);
	free_percpu(history);
	history = NULL;
}
