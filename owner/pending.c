// SPDX-License-Identifier: GPL-2.0
/*
 * The records of writes by the CPU that wait for a sync_for_device (rules 4 and 6b).
 *
 * No locks here. A record belongs to a range of a mapping, whose physical lock is held; or,
 * once the write is lost, to the caller that reports it.
 */
#include "internal.h"

struct dod_pool dod_pending_pool;
static atomic_t nr_pending;

static struct dod_pending *new_pending(void)
{
	struct dod_pending *p = dod_pool_get(&dod_pending_pool);

	if (!p) {
		dod_count(DOD_C_PENDING_POOL_EMPTY);
		return NULL;
	}
	atomic_inc(&nr_pending);
	return p;
}

/* A record of the first write of a range; NULL if there is none, which is counted. */
struct dod_pending *dod_pending_get(const struct dod_write *write)
{
	struct dod_pending *p = new_pending();

	if (!p)
		return NULL;
	p->next = NULL;
	p->write.addr = write->addr;
	p->write.size = write->size;
	p->write.who = write->who;
	memcpy(p->write.frames, write->frames, write->who.nr_frames * sizeof(write->frames[0]));
	dod_count(DOD_C_PENDING_WRITES);
	return p;
}

/* The same write once more, for a part of its range. */
struct dod_pending *dod_pending_copy(const struct dod_pending *p)
{
	struct dod_pending *copy = new_pending();

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
bool dod_pending_join(struct dod_pending *p, u64 start, u64 last)
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
