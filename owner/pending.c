// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of the CPU that a device is to get (rules 4 and 6b): the records of who made
 * them, and a look now and then at those that nobody syncs.
 *
 * No lock of its own: a record belongs to a range of a mapping, and to its phys lock;
 * or, when it was lost, to who is to report it.
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
#include "pending.h"

#include <linux/sched/clock.h>

#define GRANULE		8

static struct dod_pool pool;
static atomic_t nr_pending;

static struct dod_pending *get(void)
{
	struct dod_pending *p = dod_pool_get(&pool);

	if (!p) {
		dod_count(DOD_C_PENDING_POOL_EMPTY);
		return NULL;
	}
	atomic_inc(&nr_pending);
	return p;
}

/**
 * dod_pending_get() - a record of a write
 * @write: the write, the first one of the range
 *
 * Context: any but NMI; raw locks may be held.
 *
 * Return: the record, of no range yet; NULL if there is none, which is counted.
 */
struct dod_pending *dod_pending_get(const struct dod_write *write)
{
	struct dod_pending *p = get();

	if (!p)
		return NULL;
	p->next = NULL;
	p->write.addr = write->addr;
	p->write.size = write->size;
	p->write.who = write->who;
	memcpy(p->write.frames, write->frames,
	       write->who.nr_frames * sizeof(write->frames[0]));
	dod_count(DOD_C_PENDING_WRITES);
	return p;
}

/**
 * dod_pending_copy() - the same write once more, for a part of its range
 * @p: the record
 *
 * Context: as dod_pending_get().
 */
struct dod_pending *dod_pending_copy(const struct dod_pending *p)
{
	struct dod_pending *copy = get();

	if (copy)
		*copy = *p;
	return copy;
}

/**
 * dod_pending_put() - a record is not needed any more
 * @p: the record
 *
 * Context: as dod_pending_get().
 */
void dod_pending_put(struct dod_pending *p)
{
	atomic_dec(&nr_pending);
	dod_pool_put(&pool, p);
}

/* === Start and stop ======================================================= */

/**
 * dod_pending_start() - get ready
 * @reserve: records to keep free
 * @max: most records to allocate
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_pending_start(unsigned int reserve, unsigned int max)
{
	return dod_pool_init(&pool, sizeof(struct dod_pending), reserve, max);
}

/**
 * dod_pending_stop() - free everything
 *
 * Context: process, may sleep; no mapping has a pending range any more.
 */
void dod_pending_stop(void)
{
	dod_pool_destroy(&pool);
}

/**
 * dod_pending_any() - does any mapping have a pending write?
 *
 * Context: any.
 */
bool dod_pending_any(void)
{
	return atomic_read(&nr_pending);
}
