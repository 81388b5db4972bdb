// SPDX-License-Identifier: GPL-2.0
/*
 * Objects for the hooks, which run in any context and may not allocate: taken
 * from lists that a worker keeps filled. No list lock nests in another.
 *
 * Objects are cut out of pages. A slab cache would add a quarter to a record with
 * KASAN, whose redzones are for nothing: the tool's own code is not instrumented.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "mapped_pages.h"
#include "memory.h"
#include "pagemarks.h"
#include "params.h"
#include "pool.h"
#include "stack.h"
#include "state.h"
#include "stats.h"
#include "worker.h"

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

struct dod_pool_object {
	struct dod_pool_object *next;
};

struct dod_pool_shard {
	raw_spinlock_t lock;
	struct dod_pool_object *free;	/* lock */
	unsigned int nr;		/* length of free; lock, read without */
} ____cacheline_aligned_in_smp;

/* So many objects are moved from list to list at once, and looked for at most. */
#define BATCH	64U

/* Takes up to @nr objects, linked; *nr says how many there are. */
static struct dod_pool_object *shard_take(struct dod_pool_shard *shard, unsigned int *nr)
{
	struct dod_pool_object *first, *last;
	unsigned long flags;
	unsigned int i = 0;

	dod_lock_irqsave(&shard->lock, flags);
	first = shard->free;
	for (last = first; last && ++i < *nr && last->next; last = last->next)
		;
	if (last) {
		shard->free = last->next;
		last->next = NULL;
		WRITE_ONCE(shard->nr, shard->nr - i);
	}
	dod_unlock_irqrestore(&shard->lock, flags);
	*nr = i;
	return first;
}

static struct dod_pool_object *shard_get(struct dod_pool_shard *shard)
{
	unsigned int nr = 1;

	return shard_take(shard, &nr);
}

static void shard_put(struct dod_pool_shard *shard, struct dod_pool_object *obj)
{
	unsigned long flags;

	dod_lock_irqsave(&shard->lock, flags);
	obj->next = shard->free;
	shard->free = obj;
	WRITE_ONCE(shard->nr, shard->nr + 1);
	dod_unlock_irqrestore(&shard->lock, flags);
}

/* A chain of @nr objects goes in front of the list. */
static void shard_add(struct dod_pool_shard *shard, struct dod_pool_object *first,
		      unsigned int nr)
{
	struct dod_pool_object *last = first;
	unsigned long flags;

	while (last->next)
		last = last->next;
	dod_lock_irqsave(&shard->lock, flags);
	last->next = shard->free;
	shard->free = first;
	WRITE_ONCE(shard->nr, shard->nr + nr);
	dod_unlock_irqrestore(&shard->lock, flags);
}

/*
 * The list of this CPU is empty: half of another's, or it would be taken object by
 * object where one CPU maps and another unmaps.
 */
static struct dod_pool_object *steal(struct dod_pool *pool, unsigned int poison)
{
	struct dod_pool_object *obj;
	unsigned int i, n, nr;

	for (i = 1; i < pool->nr_shards; i++) {
		n = poison + i < pool->nr_shards ? poison + i : poison + i - pool->nr_shards;
		nr = min(DIV_ROUND_UP(READ_ONCE(pool->shards[n].nr), 2), BATCH);
		if (!nr)
			continue;
		obj = shard_take(&pool->shards[n], &nr);
		if (!obj)
			continue;
		if (obj->next)
			shard_add(&pool->shards[poison], obj->next, nr - 1);
		return obj;
	}
	return NULL;
}

static struct dod_pool_shard *emptiest(struct dod_pool *pool)
{
	struct dod_pool_shard *least = pool->shards;
	unsigned int i;

	for (i = 1; i < pool->nr_shards; i++)
		if (READ_ONCE(pool->shards[i].nr) < READ_ONCE(least->nr))
			least = &pool->shards[i];
	return least;
}

/*
 * In large blocks little is left over, but nobody is to suffer for them: as the slab
 * allocator does, take single pages where memory is in pieces.
 */
static bool new_block(struct dod_pool *pool)
{
	unsigned int order = get_order(SZ_32K);
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, order);

	if (!block) {
		/* Nobody is to be killed for them, either. */
		order = 0;
		block = alloc_pages(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN, order);
	}
	if (!block)
		return false;
	set_page_private(block, order);
	list_add(&block->lru, &pool->blocks);
	pool->uncut = page_address(block);
	pool->nr_uncut = (PAGE_SIZE << order) / pool->size;
	return true;
}

/* Only one caller at a time: who sets up the pool, and then its worker. */
static struct dod_pool_object *new_object(struct dod_pool *pool)
{
	struct dod_pool_object *obj;

	if (!pool->nr_uncut && !new_block(pool))
		return NULL;
	obj = pool->uncut;
	pool->uncut += pool->size;
	pool->nr_uncut--;
	return obj;
}

static int fill(struct dod_pool *pool)
{
	while (dod_pool_free(pool) < pool->reserve &&
	       atomic_long_read(&pool->total) < pool->max) {
		struct dod_pool_object *obj;

		obj = new_object(pool);
		if (!obj)
			return -ENOMEM;
		atomic_long_inc(&pool->total);
		shard_put(emptiest(pool), obj);
		cond_resched();
	}
	return 0;
}

static void refill(struct work_struct *work)
{
	/* On failure the next dod_pool_get() asks again. */
	fill(container_of(work, struct dod_pool, refill.work));
}

/**
 * dod_pool_get() - take an object
 * @pool: the pool
 *
 * Context: any but NMI; may be called with interrupts off and raw locks held.
 *
 * Return: an object with undefined content, NULL if none is left.
 */
void *dod_pool_get(struct dod_pool *pool)
{
	unsigned int poison = raw_smp_processor_id() % pool->nr_shards, nr;
	struct dod_pool_shard *shard = &pool->shards[poison];
	struct dod_pool_object *obj = NULL;

	if (likely(READ_ONCE(shard->nr)))
		obj = shard_get(shard);
	if (unlikely(!obj))
		obj = steal(pool, poison);
	/*
	 * Half of the reserve is what the hooks live on until the worker has run. To add
	 * up all lists takes long: once in a while.
	 */
	nr = READ_ONCE(shard->nr);
	if (unlikely(nr <= pool->low && !(nr % pool->step)) &&
	    dod_pool_free(pool) <= pool->reserve / 2 &&
	    atomic_long_read(&pool->total) < pool->max)
		dod_worker_wake(&pool->refill);
	return obj;
}

/**
 * dod_pool_put() - give an object back
 * @pool: the pool it was taken from
 * @obj: the object
 *
 * Context: as dod_pool_get().
 */
void dod_pool_put(struct dod_pool *pool, void *obj)
{
	shard_put(&pool->shards[raw_smp_processor_id() % pool->nr_shards], obj);
}

/**
 * dod_pool_free() - objects that are free now
 * @pool: the pool
 *
 * Context: any.
 *
 * Return: how many; exact only while nobody takes or gives back.
 */
long dod_pool_free(const struct dod_pool *pool)
{
	unsigned int i;
	long nr = 0;

	for (i = 0; i < pool->nr_shards; i++)
		nr += READ_ONCE(pool->shards[i].nr);
	return nr;
}

/**
 * dod_pool_init() - set up a pool and fill it
 * @pool: the pool
 * @size: of an object, bytes
 * @reserve: how many to keep free
 * @max: how many to allocate at most
 *
 * Context: process, may sleep.
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve,
		  unsigned int max)
{
	unsigned int i;

	init_irq_work(&pool->refill.irq, dod_worker_ask);
	INIT_WORK(&pool->refill.work, refill);
	atomic_long_set(&pool->total, 0);
	pool->reserve = reserve;
	pool->max = max;
	pool->nr_shards = num_possible_cpus();
	pool->low = reserve / pool->nr_shards / 2;
	pool->step = clamp(pool->low / 4, 1U, BATCH);
	pool->size = ALIGN(size, __alignof__(u64));
	pool->nr_uncut = 0;
	INIT_LIST_HEAD(&pool->blocks);
	pool->shards = kcalloc(pool->nr_shards, sizeof(*pool->shards),
			       GFP_KERNEL);
	/* Not bound: the CPU that maps so much may let nothing else run. */
	pool->refill.queue = alloc_workqueue("dma_owner_debug",
					     WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!pool->shards || !pool->refill.queue)
		goto err;
	for (i = 0; i < pool->nr_shards; i++)
		raw_spin_lock_init(&pool->shards[i].lock);
	if (!fill(pool))
		return 0;
err:
	dod_pool_destroy(pool);
	return -ENOMEM;
}

/**
 * dod_pool_destroy() - free a pool
 * @pool: the pool, with every object back; or one that was never set up
 *
 * Context: process, may sleep.
 */
void dod_pool_destroy(struct dod_pool *pool)
{
	struct page *block, *next;

	if (!pool->nr_shards)
		return;
	if (pool->refill.queue) {
		dod_worker_cancel(&pool->refill);
		destroy_workqueue(pool->refill.queue);
	}
	/* None is lost: no other tool would notice. */
	WARN_ON(pool->shards && dod_pool_free(pool) != atomic_long_read(&pool->total));
	list_for_each_entry_safe(block, next, &pool->blocks, lru) {
		unsigned int order = page_private(block);

		set_page_private(block, 0);
		__free_pages(block, order);
	}
	kfree(pool->shards);
	pool->shards = NULL;
	pool->nr_shards = 0;
}
