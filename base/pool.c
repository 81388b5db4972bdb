// SPDX-License-Identifier: GPL-2.0
/*
 * Objects for the hooks, which run in any context and may not allocate. Each CPU has a list of
 * its own, which nobody else touches, so that interrupts off guard it. Whole batches of objects
 * move between these lists and the depot, which all CPUs share: where one CPU maps and another
 * unmaps, both of them write to shared memory once in a batch.
 *
 * The depot is filled again by an irq_work of the CPU that finds it half empty, before anything
 * else can run there, or by a worker. The lock of the depot is the only one, and nests nothing;
 * any lock may be held around it.
 *
 * Objects are cut out of pages. A slab cache would add a quarter to a record with KASAN, whose
 * redzones are of no use: the tool's own code is not instrumented.
 *
 * dod_pool_init() and dod_pool_destroy() may sleep. The others are called in any context but NMI,
 * with interrupts off and raw locks held.
 */
#include "pool.h"
#include "compat.h"
#include "lock.h"

#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/smp.h>

/*
 * A free object. @next comes first, for dod_pool_next(); what is after it is of the first object
 * of a batch.
 */
struct dod_pool_object {
	struct dod_pool_object *next;
	struct dod_pool_object *next_batch;
	unsigned int nr;			/* objects of the batch */
};

/*
 * What a CPU has: changed by that CPU with interrupts off, @nr and @full are read without.
 * Of two batches one can be taken from and added to for ever without the depot.
 */
struct dod_pool_cpu {
	struct dod_pool_object *first;
	unsigned int nr;			/* length of first */
	struct dod_pool_object *full;		/* one more batch, full, or NULL */
	struct dod_pool *pool;
	struct irq_work refill;
};

/* Blocks that leave little over. */
#define BLOCK_ORDER	get_order(SZ_32K)

/* About so many objects are a batch, if the pool is not small. */
#define BATCH		64U

/* === The depot ============================================================ */

static struct dod_pool_object *depot_take(struct dod_pool *pool)
{
	struct dod_pool_object *batch;
	unsigned long flags;

	dod_lock_irqsave(&pool->lock, flags);
	batch = pool->batches;
	if (batch) {
		pool->batches = batch->next_batch;
		WRITE_ONCE(pool->nr, pool->nr - batch->nr);
	}
	dod_unlock_irqrestore(&pool->lock, flags);
	return batch;
}

static void depot_add(struct dod_pool *pool, struct dod_pool_object *batch, unsigned int nr)
{
	unsigned long flags;

	batch->nr = nr;
	dod_lock_irqsave(&pool->lock, flags);
	batch->next_batch = pool->batches;
	pool->batches = batch;
	WRITE_ONCE(pool->nr, pool->nr + nr);
	dod_unlock_irqrestore(&pool->lock, flags);
}

/* How many of @nr objects may be allocated. They count as allocated from now on. */
static unsigned int claim(struct dod_pool *pool, unsigned int nr)
{
	long over = atomic_long_add_return(nr, &pool->total) - (long)pool->max;

	over = clamp(over, 0L, (long)nr);
	if (over)
		atomic_long_sub(over, &pool->total);
	return nr - over;
}

/* Makes @nr objects of a block. */
static void cut(struct dod_pool *pool, struct page *block, unsigned int nr)
{
	struct dod_pool_object *obj = page_address(block), *first;
	unsigned int left, i;

	for (left = nr; left; left -= nr) {
		nr = min(left, pool->batch);
		first = obj;
		for (i = 1; i < nr; i++, obj = obj->next)
			obj->next = (void *)obj + pool->size;
		obj->next = NULL;
		obj = (void *)obj + pool->size;
		depot_add(pool, first, nr);
	}
}

/*
 * Adds a block to the depot. Where memory is fragmented, a single page will do, as for the slab
 * allocator. Nothing is reclaimed by force, and no task is killed for the pool. Several may do
 * this at once: the irq_work of each CPU, and the worker. Returns how many objects it made.
 */
static unsigned int grow(struct dod_pool *pool, gfp_t gfp)
{
	unsigned int order = BLOCK_ORDER, nr = claim(pool, (PAGE_SIZE << order) / pool->size);
	unsigned int in_page = min_t(unsigned int, nr, PAGE_SIZE / pool->size);
	struct page *block;
	unsigned long flags;

	if (!nr)
		return 0;
	block = alloc_pages(gfp | __GFP_NORETRY | __GFP_NOWARN, order);
	if (!block) {
		order = 0;
		atomic_long_sub(nr - in_page, &pool->total);
		nr = in_page;
		block = alloc_pages(gfp | __GFP_RETRY_MAYFAIL | __GFP_NOWARN, order);
	}
	if (!block) {
		atomic_long_sub(nr, &pool->total);
		return 0;
	}
	set_page_private(block, order);
	dod_lock_irqsave(&pool->lock, flags);
	list_add(&block->lru, &pool->blocks);
	dod_unlock_irqrestore(&pool->lock, flags);
	cut(pool, block, nr);
	return nr;
}

/* === What a CPU has ======================================================= */

/* Nobody else may touch the lists of @cpu meanwhile: it is this one, or offline. */
static void empty_cpu(struct dod_pool *pool, struct dod_pool_cpu *cpu)
{
	if (cpu->first)
		depot_add(pool, cpu->first, cpu->nr);
	if (cpu->full)
		depot_add(pool, cpu->full, pool->batch);
	cpu->first = NULL;
	WRITE_ONCE(cpu->nr, 0);
	WRITE_ONCE(cpu->full, NULL);
}

static unsigned int nr_of_cpu(const struct dod_pool *pool, int nr)
{
	const struct dod_pool_cpu *cpu = per_cpu_ptr(pool->cpus, nr);

	return READ_ONCE(cpu->nr) + (READ_ONCE(cpu->full) ? pool->batch : 0);
}

static bool has_objects(int cpu, void *pool)
{
	return nr_of_cpu(pool, cpu);
}

static void empty_this_cpu(void *info)
{
	struct dod_pool *pool = info;

	empty_cpu(pool, raw_cpu_ptr(pool->cpus));
}

/* No memory, or the most objects there may be: what the CPUs have is for all of them. */
static void empty_all_cpus(struct dod_pool *pool)
{
	int cpu;

	cpus_read_lock();
	on_each_cpu_cond(has_objects, empty_this_cpu, pool, true);
	for_each_possible_cpu(cpu)
		if (!cpu_online(cpu))
			empty_cpu(pool, per_cpu_ptr(pool->cpus, cpu));
	cpus_read_unlock();
}

/* === Refill =============================================================== */

static bool may_grow(const struct dod_pool *pool)
{
	return atomic_long_read(&pool->total) < (long)pool->max;
}

static int fill(struct dod_pool *pool)
{
	while (READ_ONCE(pool->nr) < pool->reserve && may_grow(pool)) {
		if (!grow(pool, GFP_KERNEL))
			return may_grow(pool) ? -ENOMEM : 0;
		cond_resched();
	}
	return 0;
}

static void refill(struct work_struct *work)
{
	struct dod_pool *pool = container_of(work, struct dod_pool, refill);

	/* On failure the next dod_pool_get() that finds too few asks again. */
	fill(pool);
	/* Where nothing is left for long, not all CPUs are interrupted again and again. */
	if (!READ_ONCE(pool->nr) && time_after(jiffies, pool->emptied + HZ / 100)) {
		pool->emptied = jiffies;
		empty_all_cpus(pool);
	}
}

/*
 * Twice what was taken from the depot, so that it is soon half full again where many were taken
 * with interrupts off; but a refill from nothing would take too long here.
 *
 * The page allocator may be called in a hard interrupt, by its own rules. What is interrupted has
 * interrupts on, so it holds no lock that is taken with interrupts off, as zone->lock is, and those
 * of page_owner, of KASAN's stacks, and what wakes kswapd. Others are only tried there. Lockdep
 * lets an irq_work take them, unless it is IRQ_WORK_HARD_IRQ. With PREEMPT_RT this is a task with
 * real-time priority, which is not for such work: it is left to the worker.
 *
 * __GFP_NOMEMALLOC keeps away from what is reserved for allocations that cannot wait.
 */
static void refill_now(struct irq_work *irq)
{
	struct dod_pool *pool = container_of(irq, struct dod_pool_cpu, refill)->pool;
	unsigned int nr = 0, made = !IS_ENABLED(CONFIG_PREEMPT_RT);

	while (made && nr < 2 * pool->batch && READ_ONCE(pool->nr) <= pool->low) {
		made = grow(pool, GFP_NOWAIT | __GFP_NOMEMALLOC);
		nr += made;
	}
	if (!made || READ_ONCE(pool->nr) <= pool->low / 2)
		queue_work(pool->queue, &pool->refill);
}

/* === Take and return ====================================================== */

static __always_inline void *pop(struct dod_pool_cpu *own)
{
	struct dod_pool_object *obj = own->first;

	own->first = obj->next;
	own->nr--;
	return obj;
}

static __always_inline void push(struct dod_pool_cpu *own, struct dod_pool_object *obj)
{
	obj->next = own->first;
	own->first = obj;
	own->nr++;
}

/* Half of the reserve is for the time until the interrupt, which comes once they are on. */
static void ask_for_more(struct dod_pool *pool, struct dod_pool_cpu *own)
{
	/* Locks of the kernel may be held here. */
	if (READ_ONCE(pool->nr) <= pool->low && (may_grow(pool) || !own->first))
		irq_work_queue(&own->refill);
}

/* The list of this CPU is empty: once in a batch. It stays so where there is no more. */
static noinline void next_batch(struct dod_pool *pool, struct dod_pool_cpu *own)
{
	own->first = own->full;
	if (own->first) {
		WRITE_ONCE(own->full, NULL);
		WRITE_ONCE(own->nr, pool->batch);
		return;
	}
	own->first = depot_take(pool);
	if (own->first)
		WRITE_ONCE(own->nr, own->first->nr);
	ask_for_more(pool, own);
}

/**
 * dod_pool_get() - take an object
 * @pool: the pool
 *
 * Return: an object with undefined content, NULL if none is left.
 */
void *dod_pool_get(struct dod_pool *pool)
{
	struct dod_pool_cpu *own;
	unsigned long flags;
	void *obj = NULL;

	local_irq_save(flags);
	own = raw_cpu_ptr(pool->cpus);
	if (unlikely(!own->first))
		next_batch(pool, own);
	if (likely(own->first))
		obj = pop(own);
	local_irq_restore(flags);
	return obj;
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_get);

/**
 * dod_pool_get_list() - take several objects at once
 * @pool: the pool
 * @nr: how many at most, not 0: interrupts are off meanwhile
 *
 * Return: the first, for dod_pool_next(). There are fewer than @nr where the CPU has fewer; NULL
 * if none is left.
 */
void *dod_pool_get_list(struct dod_pool *pool, unsigned int nr)
{
	struct dod_pool_object *first, *last;
	struct dod_pool_cpu *own;
	unsigned long flags;
	unsigned int i;

	local_irq_save(flags);
	own = raw_cpu_ptr(pool->cpus);
	if (unlikely(!own->first))
		next_batch(pool, own);
	first = own->first;
	if (likely(first)) {
		nr = min(nr, own->nr);
		for (i = 1, last = first; i < nr; i++)
			last = last->next;
		own->first = last->next;
		own->nr -= nr;
		last->next = NULL;
	}
	local_irq_restore(flags);
	return first;
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_get_list);

/* The list of this CPU is a batch: once in a batch. It is empty afterwards. */
static noinline void put_batch_away(struct dod_pool *pool, struct dod_pool_cpu *own)
{
	if (own->full)
		depot_add(pool, own->full, pool->batch);
	WRITE_ONCE(own->full, own->first);
	own->first = NULL;
	WRITE_ONCE(own->nr, 0);
}

/**
 * dod_pool_put() - return an object
 * @pool: the pool it was taken from
 * @obj: the object
 */
void dod_pool_put(struct dod_pool *pool, void *obj)
{
	struct dod_pool_cpu *own;
	unsigned long flags;

	local_irq_save(flags);
	own = raw_cpu_ptr(pool->cpus);
	if (unlikely(own->nr == pool->batch))
		put_batch_away(pool, own);
	push(own, obj);
	local_irq_restore(flags);
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_put);

/**
 * dod_pool_put_list() - return several objects
 * @pool: the pool they were taken from
 * @list: the objects; empty afterwards
 */
void dod_pool_put_list(struct dod_pool *pool, struct dod_pool_list *list)
{
	struct dod_pool_object *last, *rest;
	struct dod_pool_cpu *own;
	unsigned long flags;
	unsigned int i, nr;

	local_irq_save(flags);
	own = raw_cpu_ptr(pool->cpus);
	for (; list->nr; list->first = rest, list->nr -= nr) {
		if (unlikely(own->nr == pool->batch))
			put_batch_away(pool, own);
		nr = list->nr;
		last = list->last;
		if (unlikely(nr > pool->batch - own->nr)) {
			nr = pool->batch - own->nr;
			for (i = 1, last = list->first; i < nr; i++)
				last = last->next;
		}
		rest = last->next;
		last->next = own->first;
		own->first = list->first;
		own->nr += nr;
	}
	local_irq_restore(flags);
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_put_list);

/* How many objects are free; exact only while nobody takes or returns one. */
long dod_pool_nr_free(const struct dod_pool *pool)
{
	long nr = READ_ONCE(pool->nr);
	int cpu;

	for_each_possible_cpu(cpu)
		nr += nr_of_cpu(pool, cpu);
	return nr;
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_nr_free);

/* === Start and stop ======================================================= */

/**
 * dod_pool_init() - set up a pool and fill it
 * @pool: the pool
 * @size: of an object, bytes
 * @reserve: how many to keep free for any CPU
 * @max: how many to allocate at most
 *
 * Return: 0 or -ENOMEM, with nothing left allocated.
 */
int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve, unsigned int max)
{
	unsigned int in_block;
	int cpu;

	raw_spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->blocks);
	INIT_WORK(&pool->refill, refill);
	atomic_long_set(&pool->total, 0);
	pool->batches = NULL;
	pool->nr = 0;
	pool->reserve = reserve;
	pool->max = max;
	pool->low = reserve / 2;
	pool->emptied = jiffies - HZ;
	pool->size = ALIGN(max(size, sizeof(struct dod_pool_object)), __alignof__(u64));
	/* Little of a block is left over, and the CPUs do not keep more than a sixteenth of all. */
	in_block = (PAGE_SIZE << BLOCK_ORDER) / pool->size;
	pool->batch = clamp(max / num_possible_cpus() / 32, 1U,
			    in_block / max(in_block / BATCH, 1U));
	pool->cpus = alloc_percpu(struct dod_pool_cpu);
	/* Unbound: the CPU that maps so much may run nothing else. */
	pool->queue = alloc_workqueue("dma_owner_debug", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!pool->cpus || !pool->queue)
		goto err;
	for_each_possible_cpu(cpu) {
		struct dod_pool_cpu *own = per_cpu_ptr(pool->cpus, cpu);

		own->pool = pool;
		init_irq_work(&own->refill, refill_now);
	}
	if (!fill(pool))
		return 0;
err:
	dod_pool_destroy(pool);
	return -ENOMEM;
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_init);

static void stop_refill(struct dod_pool *pool)
{
	int cpu;

	for_each_possible_cpu(cpu)
		irq_work_sync(&per_cpu_ptr(pool->cpus, cpu)->refill);
	cancel_work_sync(&pool->refill);
}

/**
 * dod_pool_destroy() - free a pool
 * @pool: the pool, with every object back; or one that was never set up
 */
void dod_pool_destroy(struct dod_pool *pool)
{
	struct page *block, *next;

	if (pool->cpus && pool->queue) {
		stop_refill(pool);
		/* Is an object lost? No other tool would notice. */
		WARN_ON(dod_pool_nr_free(pool) != atomic_long_read(&pool->total));
		list_for_each_entry_safe(block, next, &pool->blocks, lru) {
			unsigned int order = page_private(block);

			set_page_private(block, 0);
			__free_pages(block, order);
		}
	}
	if (pool->queue)
		destroy_workqueue(pool->queue);
	free_percpu(pool->cpus);
	pool->queue = NULL;
	pool->cpus = NULL;
}
EXPORT_SYMBOL_FOR_KUNIT(dod_pool_destroy);
