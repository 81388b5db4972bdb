/* SPDX-License-Identifier: GPL-2.0 */
/* Objects for the hooks, which run in any context and may not allocate. */
#ifndef DOD_POOL_H
#define DOD_POOL_H

#include <linux/list.h>
#include <linux/types.h>

#include "worker.h"

struct dod_pool_shard;

/**
 * struct dod_pool - objects that a hook can take in any context
 *
 * @size:	of an object, bytes
 * @blocks:	the pages that they are cut out of, by their lru
 * @uncut:	the rest of the newest block
 * @nr_uncut:	and how many objects there are in it
 * @shards:	one free list per possible CPU
 * @nr_shards:	how many
 * @reserve:	objects to keep free
 * @max:	most objects to allocate
 * @low:	a list that is not longer is a reason to see how many are free
 * @step:	when its length is a multiple of this
 * @total:	objects allocated
 * @refill:	what fills it up
 */
struct dod_pool {
	size_t size;
	struct list_head blocks;
	void *uncut;
	unsigned int nr_uncut;
	struct dod_pool_shard *shards;
	unsigned int nr_shards;
	unsigned int reserve, max, low, step;
	atomic_long_t total;
	struct dod_worker refill;
};

int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve, unsigned int max);
void dod_pool_destroy(struct dod_pool *pool);
void *dod_pool_get(struct dod_pool *pool);
void dod_pool_put(struct dod_pool *pool, void *obj);
long dod_pool_nr_free(const struct dod_pool *pool);

#endif /* DOD_POOL_H */
