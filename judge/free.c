// SPDX-License-Identifier: GPL-2.0
/*
 * Frees of memory that a device owns (free-while-mapped), and a periodic scan for frees
 * that nobody saw.
 *
 * Takes no locks but owner/'s and report/'s. Frees come in any context, with any lock of
 * the kernel held and none of ours.
 */
#include "internal.h"

/*
 * Slab pages are freed long after their objects, by somebody who never used those. And what
 * was found to be too long may run into what is freed.
 */
static void report_freed(const struct dod_free *f, const struct dod_mapping *m,
			 const struct dod_range *range, bool object)
{
	bool too_long = dod_size(m) != m->last - m->start + 1;

	if (!object && (m->slab || (too_long && m->start < virt_to_phys((void *)f->addr))))
		dod_count(DOD_C_UNJUDGED_FREE);
	else if (READ_ONCE(dod_armed))
		dod_report_free(f, m, range);
}

static void report_frees(u64 start, u64 last, bool object, unsigned long ip)
{
	struct dod_free f = {
		.addr = (unsigned long)phys_to_virt(start),
		.size = last - start + 1,
		.ip = ip,
	};
	struct dod_freed freed;
	struct dod_pending *p;
	u64 from = start;

	while (dod_owner_free(&from, last, object, &freed)) {
		while ((p = freed.lost)) {
			freed.lost = p->next;
			dod_write_lost(p, &freed.m, DOD_LOST_AT_FREE, ip);
			dod_pending_put(p);
		}
		if (freed.owned)
			report_freed(&f, &freed.m, &freed.range, object);
	}
	dod_owner_free_end(start, last);
}

void dod_free_unseen(const struct dod_mapping *m, const struct dod_range *range, const char *found)
{
	struct dod_free f = {
		.addr = (unsigned long)phys_to_virt(range->start),
		.size = range->last - range->start + 1,
		.found = found,
	};

	if (READ_ONCE(dod_armed))
		dod_report_free(&f, m, range);
}

/*
 * A double free is the sanitizer's to report. Of a first free KASAN must not find a shadow
 * value of ours in the object, whatever put it there, for it takes that for a double free.
 */
void dod_free_mapped_object(const void *ptr, unsigned long ip)
{
	u64 start = virt_to_phys((void *)ptr), size;

	if (!dod_may_lock()) {
		dod_count(DOD_C_UNJUDGED_FREE);
		return;
	}
	size = dod_mem_ops.object_size(ptr);
	if (size)
		report_frees(start, start + size - 1, true, ip);
}

void dod_free_mapped_pages(unsigned long pfn, unsigned int order, unsigned long ip)
{
	if (dod_may_lock())
		report_frees(PFN_PHYS(pfn), PFN_PHYS(pfn + BIT(order)) - 1, false, ip);
	else
		dod_count(DOD_C_UNJUDGED_FREE);
}

/*
 * Whether the pool keeps the element or frees it, nobody owns it any more. Only the driver
 * knows what the elements of a pool with functions of its own are, and it may keep them mapped.
 */
void dod_free_to_pool(void *element, const mempool_t *pool, unsigned long ip)
{
	if (!element)
		return;
	/* A full pool passes it to its own free function, which may unmap it first. */
	if (READ_ONCE(pool->curr_nr) >= pool->min_nr && pool->free != mempool_free_slab &&
	    pool->free != mempool_kfree && pool->free != mempool_free_pages)
		return;
	if (pool->alloc == mempool_alloc_slab || pool->alloc == mempool_kmalloc)
		dod_free_object(element, ip);
	/* A page with other references, such as the network core's, is not freed here. */
	else if (pool->alloc == mempool_alloc_pages && page_ref_count(element) == 1)
		dod_free_pages(element, (unsigned long)pool->pool_data, ip);
}

#define SCAN_PERIOD	(5 * HZ)

/*
 * kfree_rcu() of kernels that free its objects by a function of the allocator's own, and
 * whatever else there will be: the guard can tell that the memory was freed.
 */
static void scan_frees(struct work_struct *work)
{
	struct dod_range range;
	struct dod_mapping m;
	unsigned int shard = 0;
	u64 start = 0;

	dod_pagemarks_check();
	while (dod_owner_next_freed(&shard, &start, &m, &range)) {
		if (range.start <= range.last)
			dod_free_unseen(&m, &range, "by a scan of all mappings");
		cond_resched();
	}
	schedule_delayed_work(to_delayed_work(work), SCAN_PERIOD);
}

static DECLARE_DEFERRABLE_WORK(scan_work, scan_frees);

void dod_free_start(void)
{
	schedule_delayed_work(&scan_work, SCAN_PERIOD);
}

void dod_free_stop(void)
{
	cancel_delayed_work_sync(&scan_work);
}
