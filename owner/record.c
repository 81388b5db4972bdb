// SPDX-License-Identifier: GPL-2.0
/*
 * The records of mappings: the pool, a new one for a map call, and a ring for each CPU of
 * those that ended last, which reports name. The lock of a ring nests nothing.
 */
#include "internal.h"

#include <linux/slab.h>

#define NR_ENDED	64	/* ended mappings that are remembered, for each possible CPU */

struct history {
	raw_spinlock_t lock;
	struct dod_mapping *ring[NR_ENDED];	/* lock */
	unsigned int head;			/* lock */
} ____cacheline_aligned_in_smp;

struct dod_pool dod_mapping_pool;
static struct history *history;

/* Remembers a mapping that has ended. */
void dod_history_put(struct dod_mapping *m)
{
	struct history *h = &history[raw_smp_processor_id()];
	struct dod_mapping *old;
	unsigned long flags;

	dod_lock_irqsave(&h->lock, flags);
	old = h->ring[h->head];
	h->ring[h->head] = m;
	h->head = (h->head + 1) % NR_ENDED;
	dod_unlock_irqrestore(&h->lock, flags);
	if (old)
		dod_pool_put(&dod_mapping_pool, old);
}

/* The pool is empty: better to forget an ended mapping than not to know a live one. */
static struct dod_mapping *history_pop(void)
{
	struct dod_mapping *m = NULL;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct history *h = &history[cpu];
		unsigned long flags;

		dod_lock_irqsave(&h->lock, flags);
		for (i = 0; !m && i < NR_ENDED; i++)
			m = xchg(&h->ring[(h->head + i) % NR_ENDED], NULL);
		dod_unlock_irqrestore(&h->lock, flags);
		if (m)
			break;
	}
	return m;
}

/* Copies the ended mapping that is near, and of several the one that ended last. */
bool dod_history_find(const struct dod_place *p, struct dod_mapping *copy)
{
	bool found = false;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct history *h = &history[cpu];
		unsigned long flags;

		dod_lock_irqsave(&h->lock, flags);
		for (i = 0; i < NR_ENDED; i++) {
			struct dod_mapping *m = h->ring[i];

			if (!m || (p->dev && m->dev != p->dev) || dod_distance(m, p) > p->near ||
			    (found && m->ended < copy->ended))
				continue;
			*copy = *m;
			found = true;
		}
		dod_unlock_irqrestore(&h->lock, flags);
	}
	return found;
}

/* Who calls, and the stack from the return address of the hooked function outwards. */
void dod_note_caller(const struct dod_call *call, struct dod_who *who, struct dod_frame *frames,
		     unsigned int depth)
{
	dod_note_who(who);
	who->nr_frames = dod_stack_save(&call->site, frames, depth);
}

/* A record with what the call says; of the memory nothing is known yet. NULL if there is none. */
struct dod_mapping *dod_record_new(const struct dod_call *call, struct dod_device *device,
				   u64 dma_addr, u64 size)
{
	struct dod_mapping *m = dod_pool_get(&dod_mapping_pool) ?: history_pop();
	const struct dod_mapping *leader = call->leader;

	if (!m)
		return NULL;
	/* All from @next up to the stacks, which are large. */
	memset((void *)m + offsetof(struct dod_mapping, next), 0,
	       offsetof(struct dod_mapping, map) - offsetof(struct dod_mapping, next));
	m->dma_addr = dma_addr;
	m->dma_last = dma_addr + size - 1;
	m->ranges = RB_ROOT_CACHED;
	m->dev = call->dev;
	m->device = device;
	m->group = call->leader ?: m;
	m->kind = call->kind;
	m->dir = call->dir;
	m->owned_at_map = !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC);
	m->kinds = DOD_KIND_LONE;
	m->binding = READ_ONCE(device->binding);
	if (!leader) {
		dod_note_caller(call, &m->map, m->map_frames, DOD_MAP_FRAMES);
	} else {
		/* All entries of a scatterlist are mapped by the same call. */
		m->map = leader->map;
		memcpy(m->map_frames, leader->map_frames,
		       leader->map.nr_frames * sizeof(m->map_frames[0]));
	}
	m->dmabuf = dod_judge_ops.dmabuf_of_current();
	return m;
}

int dod_record_start(unsigned int reserve, unsigned int max)
{
	unsigned int i;

	history = kvcalloc(nr_cpu_ids, sizeof(*history), GFP_KERNEL);
	if (!history)
		return -ENOMEM;
	for (i = 0; i < nr_cpu_ids; i++)
		raw_spin_lock_init(&history[i].lock);
	return dod_pool_init(&dod_mapping_pool, sizeof(struct dod_mapping), reserve, max);
}

/* The pool is destroyed last: others may still put records. */
void dod_record_stop(void)
{
	unsigned int i, n;

	for (i = 0; history && i < nr_cpu_ids; i++)
		for (n = 0; n < NR_ENDED; n++)
			if (history[i].ring[n])
				dod_pool_put(&dod_mapping_pool, history[i].ring[n]);
	dod_pool_destroy(&dod_mapping_pool);
	kvfree(history);
	history = NULL;
}
