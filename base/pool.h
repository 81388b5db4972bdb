/* SPDX-License-Identifier: GPL-2.0 */
/* Objects for the hooks, which run in any context and may not allocate. */
#ifndef DOD_POOL_H
#define DOD_POOL_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct dod_pool_cpu;
struct dod_pool_object;

/**
 * struct dod_pool - objects that a hook can take in any context
 *
 * @cpus:	what each CPU has
 * @batch:	so many objects move between a CPU and the depot
 * @size:	of an object, bytes
 * @reserve:	objects to keep in the depot
 * @low:	the depot is filled when it has no more than these
 * @max:	most objects to allocate
 * @queue:	for @refill
 * @refill:	fills the depot where the irq_work of a CPU could not
 * @emptied:	when it last took what the CPUs had, in jiffies
 * @lock:	guards what follows
 * @batches:	the depot
 * @nr:		objects in it; also read without the lock
 * @blocks:	the pages that all objects are cut out of, by their lru
 * @total:	objects allocated; atomic instead
 */
struct dod_pool {
	struct dod_pool_cpu __percpu *cpus;
	unsigned int batch;
	size_t size;
	unsigned int reserve, low, max;
	struct workqueue_struct *queue;
	struct work_struct refill;
	unsigned long emptied;

	/* All of the above is read for each object, and written never or hardly ever. */
	raw_spinlock_t lock ____cacheline_aligned_in_smp;
	struct dod_pool_object *batches;
	unsigned int nr;
	struct list_head blocks;
	atomic_long_t total;
};

/**
 * struct dod_pool_list - objects on their way back, for dod_pool_put_list()
 * @first:	the one that was added last
 * @last:	the one that was added first
 * @nr:		how many; 0: the others mean nothing
 */
struct dod_pool_list {
	struct dod_pool_object *first, *last;
	unsigned int nr;
};

int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve, unsigned int max);
void dod_pool_destroy(struct dod_pool *pool);
void *dod_pool_get(struct dod_pool *pool);
void *dod_pool_get_list(struct dod_pool *pool, unsigned int nr);
void dod_pool_put(struct dod_pool *pool, void *obj);
void dod_pool_put_list(struct dod_pool *pool, struct dod_pool_list *list);
long dod_pool_nr_free(const struct dod_pool *pool);

/* The object after one of dod_pool_get_list(), which has not been written to yet; NULL: none. */
static inline void *dod_pool_next(const void *obj)
{
	return *(void *const *)obj;
}

static inline void dod_pool_list_add(struct dod_pool_list *list, void *obj)
{
	*(void **)obj = list->first;
	list->first = obj;
	if (!list->nr++)
		list->last = obj;
}

#endif /* DOD_POOL_H */
