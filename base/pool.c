// SPDX-License-Identifier: GPL-2.0
/*
 * Objects for the hooks, which run in any context and may not allocate. They come from a
 * list for each CPU, and a worker keeps enough of them free. No list lock nests in another; any
 * lock may be held around them.
 *
 * Objects are cut out of pages. A slab cache would add a quarter to a record with KASAN, whose
 * redzones are of no use: the tool's own code is not instrumented.
 *
 * dod_pool_init() and dod_pool_destroy() may sleep. The others are called in any context but NMI,
 * with interrupts off and raw locks held.
 */
#include "pool.h"
#include "lock.h"

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

/* The most objects that are moved from one list to another at once. */
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

/* Adds @nr objects, linked from @first to @last. */
static void shard_add(struct dod_pool_shard *shard, struct dod_pool_object *first,
		      struct dod_pool_object *last, unsigned int nr)
{
	unsigned long flags;

	dod_lock_irqsave(&shard->lock, flags);
	last->next = shard->free;
	shard->free = first;
	WRITE_ONCE(shard->nr, shard->nr + nr);
	dod_unlock_irqrestore(&shard->lock, flags);
}

/*
 * The list of this CPU is empty: move half of another one here. Where one CPU maps and
 * another unmaps, each object would otherwise be moved by itself.
 */
static struct dod_pool_object *steal(struct dod_pool *pool, unsigned int own)
{
	struct dod_pool_object *obj, *last;
	unsigned int i, nr;

	for (i = 1; i < pool->nr_shards; i++) {
		struct dod_pool_shard *other = &pool->shards[(own + i) % pool->nr_shards];

		nr = min(DIV_ROUND_UP(READ_ONCE(other->nr), 2), BATCH);
		obj = nr ? shard_take(other, &nr) : NULL;
		if (!obj)
			continue;
		if (obj->next) {
			for (last = obj->next; last->next; last = last->next)
				;
			shard_add(&pool->shards[own], obj->next, last, nr - 1);
		}
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
 * Large blocks leave little over. Where memory is fragmented, single pages will do, as for
 * the slab allocator: nothing is reclaimed by force, and no task is killed for the pool.
 */
static bool new_block(struct dod_pool *pool)
{
	unsigned int order = get_order(SZ_32K);
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, order);

	if (!block) {
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

/* One caller at a time: dod_pool_init(), and then the worker. */
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
	while (dod_pool_nr_free(pool) < pool->reserve &&
	       atomic_long_read(&pool->total) < pool->max) {
		struct dod_pool_object *obj = new_object(pool);

		if (!obj)
			return -ENOMEM;
		atomic_long_inc(&pool->total);
		shard_add(emptiest(pool), obj, obj, 1);
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
 * Return: an object with undefined content, NULL if none is left.
 */
void *dod_pool_get(struct dod_pool *pool)
{
	unsigned int own = raw_smp_processor_id() % pool->nr_shards, nr = 1;
	struct dod_pool_shard *shard = &pool->shards[own];
	struct dod_pool_object *obj = NULL;

	if (likely(READ_ONCE(shard->nr)))
		obj = shard_take(shard, &nr);
	if (unlikely(!obj))
		obj = steal(pool, own);
	/*
	 * The hooks live on half of the reserve until the worker has run. Adding up all
	 * lists takes long: not at each call.
	 */
	nr = READ_ONCE(shard->nr);
	if (unlikely(nr <= pool->low && !(nr % pool->step)) &&
	    dod_pool_nr_free(pool) <= pool->reserve / 2 &&
	    atomic_long_read(&pool->total) < pool->max)
		dod_worker_wake(&pool->refill);
	return obj;
}

/**
 * dod_pool_put() - return an object
 * @pool: the pool it was taken from
 * @obj: the object
 */
void dod_pool_put(struct dod_pool *pool, void *obj)
{
	shard_add(&pool->shards[raw_smp_processor_id() % pool->nr_shards], obj, obj, 1);
}

/* How many objects are free; exact only while nobody takes or returns one. */
long dod_pool_nr_free(const struct dod_pool *pool)
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
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve, unsigned int max)
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
	pool->shards = kcalloc(pool->nr_shards, sizeof(*pool->shards), GFP_KERNEL);
	/* Unbound: the CPU that maps so much may run nothing else. */
	pool->refill.queue = alloc_workqueue("dma_owner_debug", WQ_UNBOUND | WQ_HIGHPRI, 0);
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
	/* Is an object lost? No other tool would notice. */
	WARN_ON(pool->shards && dod_pool_nr_free(pool) != atomic_long_read(&pool->total));
	list_for_each_entry_safe(block, next, &pool->blocks, lru) {
		unsigned int order = page_private(block);

		set_page_private(block, 0);
		__free_pages(block, order);
	}
	kfree(pool->shards);
	pool->shards = NULL;
	pool->nr_shards = 0;
}
