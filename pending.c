// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of the CPU that a device is to get (rules 4 and 6b): the records of who made
 * them, and a look now and then at those that nobody syncs.
 *
 * No lock of its own: a record belongs to a range of a mapping, and to its phys lock;
 * or, when it was lost, to who is to report it.
 */
#include "dma_owner_debug.h"
#include "permissive.h"

#include <linux/sched/clock.h>

/* How often to look for writes that nobody syncs. */
#define SCAN_PERIOD	(10 * HZ)

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

/**
 * dod_pending_wrote() - is some of a range known to have been written?
 * @p: the record of the write
 * @start: first byte, physical
 * @last: last byte
 *
 * What is pending are granules, which is more.
 *
 * Context: any, the lock of its mapping held or @p a copy.
 */
bool dod_pending_wrote(const struct dod_pending *p, u64 start, u64 last)
{
	start = max(start, p->wrote_first);
	last = min(last, p->wrote_last);
	for (; start <= last; start++)
		if (p->wrote_bytes & BIT(start % GRANULE))
			return true;
	return false;
}

/**
 * dod_pending_report() - a write is lost: the device will not get it
 * @p: its record
 * @m: the mapping, or a copy of it
 * @how: by what it was lost
 * @at: return address of that call
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_pending_report(const struct dod_pending *p, const struct dod_mapping *m,
			enum dod_lost how, unsigned long at)
{
	if (!READ_ONCE(dod_armed))
		return;
	/* Its driver may have said so since it was written to. */
	if (dod_checks_own_data(m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	if (!READ_ONCE(dod_params.strict) &&
	    dod_map_permitted(p->range.dir == DMA_TO_DEVICE ? DOD_R_CPU_WRITE :
			      DOD_R_MISSING_SYNC_FOR_DEVICE, m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	dod_report_lost_write(m, p, how, at);
}

/* === Writes that nobody syncs ============================================= */

/*
 * A mapping that lives for ever must not hide them. It is no fault yet: who fills the
 * buffer of a stopped UART will send it one day.
 */
static void look_for_old_ones(void)
{
	unsigned int after = READ_ONCE(dod_params.pending_after);
	u64 start = 0, now = local_clock();
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		cond_resched();
		if (!sum.pending || dod_ago(now, sum.since) < (u64)after * NSEC_PER_SEC ||
		    dod_checks_own_data(&m))
			continue;
		dod_report_note(DOD_R_WRITE_NEVER_SYNCED, m.device,
				"%llu bytes of a DMA_TO_DEVICE mapping were written by %pS over %u s ago, and not synced for the device since",
				sum.pending, (void *)sum.writer, after);
	}
}

static void scan(struct work_struct *work)
{
	if (atomic_read(&nr_pending) && READ_ONCE(dod_armed) &&
	    !dod_report_is_off(DOD_R_WRITE_NEVER_SYNCED))
		look_for_old_ones();
	schedule_delayed_work(to_delayed_work(work), SCAN_PERIOD);
}

static DECLARE_DEFERRABLE_WORK(scan_work, scan);

/**
 * dod_pending_look() - look for writes that nobody syncs now
 *
 * Context: any but NMI.
 */
void dod_pending_look(void)
{
	if (READ_ONCE(dod_armed))
		mod_delayed_work(system_wq, &scan_work, 0);
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
	int err = dod_pool_init(&pool, sizeof(struct dod_pending), reserve, max);

	if (!err)
		schedule_delayed_work(&scan_work, SCAN_PERIOD);
	return err;
}

/**
 * dod_pending_stop() - free everything
 *
 * Context: process, may sleep; no mapping has a pending range any more.
 */
void dod_pending_stop(void)
{
	if (pool.nr_shards)
		cancel_delayed_work_sync(&scan_work);
	dod_pool_destroy(&pool);
}
