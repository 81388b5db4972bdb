// SPDX-License-Identifier: GPL-2.0
/*
 * free-while-mapped, of objects: reported at the free, and once. KASAN finds no double free, a
 * late unmap is silent, and the next user of the memory does not notice. Rule 12: a free clears
 * every value of ours in the object.
 */

#include <linux/delay.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kt.h"

#define SIZE 512

KT_DIRECTIONS;

static kt_noinline void test_cache_free(struct kmem_cache *cache, void *buf)
{
	kmem_cache_free(cache, buf);
	barrier();
}

/* === Objects ============================================================== */

static void object_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Device " KT_NAME " " KT_NAME ".0 owns 512 bytes*"));
	KUNIT_EXPECT_TRUE(test, kt_has(" kfree+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: stop the device, then dma_unmap_single(), then free."));
	kt_late_unmap(test, dma, SIZE, dir_of(test));
}

/* KASAN checks only the first byte of an object, and would not have seen these. */
static void part_mapped_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 128, 64, DMA_TO_DEVICE);

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	kt_late_unmap(test, dma, 64, DMA_TO_DEVICE);
}

static void part_device_owns_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, 256, DMA_FROM_DEVICE);
	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("*may have written 256 bytes*"));
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* The last granule of an odd size has a shadow value of its own. */
static void odd_object_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, 77);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 77, DMA_FROM_DEVICE);

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, 77);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + 72));
	kt_late_unmap(test, dma, 77, DMA_FROM_DEVICE);
}

/* kmalloc() allocates pages for the larger sizes: one report all the same. */
static void large_object_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, 4 * PAGE_SIZE + 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + PAGE_SIZE, SIZE, DMA_TO_DEVICE);

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, 4 * PAGE_SIZE + 100);
	kt_late_unmap(test, dma, SIZE, DMA_TO_DEVICE);
}

static void cache_object_freed_reported(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 320, 0, 0, NULL);
	dma_addr_t dma;
	u8 *buf;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	do {
		buf = kmem_cache_alloc(cache, GFP_KERNEL);
	} while (is_kfence_address(buf));
	if (buf) {
		dma = test_dma_map(test, kt_dev, buf, 320, DMA_TO_DEVICE);
		test_cache_free(cache, buf);
		EXPECT_FREE_REPORT(test, test_cache_free, buf, 320);
		kt_late_unmap(test, dma, 320, DMA_TO_DEVICE);
	}
	/* This empties KASAN's quarantine, and frees the slab. */
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_NOT_NULL(test, buf);
}

static void list_entry_freed_reported(struct kunit *test)
{
	struct scatterlist sg[2];
	u8 *a = kt_own_buf(test, SIZE), *b = kt_own_buf(test, SIZE);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_EQ(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 2);
	test_kfree(b);
	EXPECT_FREE_REPORT(test, test_kfree, b, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: stop the device, then dma_unmap_sg(), then free."));
	/* The other entry is as it was. */
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, a, 8);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, a, 8);
	kfree(a);
}

/* Rule 5: each mapping by which a device owns the object is a fault of its own. */
static void mapped_twice_freed_reported_twice(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf + 64, 64, DMA_TO_DEVICE);

	test_kfree(buf);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 2);
	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, b, 64, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

static void cpu_owned_freed_silent(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_kfree(buf);
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void never_synced_freed_silent(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = dma_map_single_attrs(kt_dev, buf, SIZE, DMA_FROM_DEVICE,
					      DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	test_kfree(buf);
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void freed_after_unmap_silent(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	dma_unmap_single(kt_dev, dma, SIZE, dir_of(test));
	test_kfree(buf);
	EXPECT_SILENCE(test);
}

/* Objects of the same slab, perhaps adjacent. */
static void neighbours_freed_silent(struct kunit *test)
{
	u8 *buf[32];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = kt_own_buf(test, 64);
	dma = test_dma_map(test, kt_dev, buf[16], 64, DMA_FROM_DEVICE);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		if (i != 16)
			test_kfree(buf[i]);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf[16], 16);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_kfree(buf[16]);
	EXPECT_SILENCE(test);
}

/*
 * The mapping runs into the next object: the fault of its driver, not of whoever frees that
 * object.
 */
static void neighbour_of_long_mapping_freed_silent(struct kunit *test)
{
	u8 *buf[32], *a = NULL, *b = NULL;
	dma_addr_t dma;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = kt_own_buf(test, 64);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		for (j = 0; j < ARRAY_SIZE(buf); j++)
			if (buf[j] > buf[i] && buf[j] - buf[i] <= 256) {
				a = buf[i];
				b = buf[j];
			}
	if (a) {
		dma = test_dma_map(test, kt_dev, a, b - a + 16, DMA_TO_DEVICE);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: out-of-bounds-map in *"));
		for (i = 0; i < ARRAY_SIZE(buf); i++)
			if (buf[i] == b) {
				test_kfree(b);
				buf[i] = NULL;
			}
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(b));
		EXPECT_WRITE_TRAPS(test, a, 8);
		dma_unmap_single(kt_dev, dma, b - a + 16, DMA_TO_DEVICE);
	}
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		kfree(buf[i]);
	if (!a)
		kunit_skip(test, "no objects beside each other");
}

/* The start of the object is in the cache line that the device writes to. */
static void edge_at_object_start_freed_reported(struct kunit *test)
{
	u8 *buf;
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "off_types", "cacheline-sharing");
	buf = kt_own_buf(test, SIZE);
	dma = test_dma_map(test, kt_dev, buf + 16, 200, DMA_FROM_DEVICE);
	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	kt_late_unmap(test, dma, 200, DMA_FROM_DEVICE);
}

/* The buffer was synced for the CPU, and watch_writes waits for the next write. */
static void watched_object_freed_silent(struct kunit *test)
{
	u8 *buf;
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	buf = kt_own_buf(test, SIZE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_kfree(buf);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static kt_noinline void test_free_bulk(struct kmem_cache *cache, size_t nr, void **bufs)
{
	kmem_cache_free_bulk(cache, nr, bufs);
	barrier();
}

static void bulk_freed_reported(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	u8 *buf;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = kt_own_buf(test, SIZE);
	buf = bufs[2];
	dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));
	test_free_bulk(NULL, ARRAY_SIZE(bufs), bufs);
	EXPECT_FREE_REPORT(test, test_free_bulk, buf, SIZE);
	kt_late_unmap(test, dma, SIZE, dir_of(test));
}

static void cache_bulk_freed_reported(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 320, 0, 0, NULL);
	void *bufs[3];
	dma_addr_t dma;
	u8 *buf;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		do {
			bufs[i] = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
		} while (is_kfence_address(bufs[i]));
	buf = bufs[0];
	dma = test_dma_map(test, kt_dev, buf + 128, 64, DMA_FROM_DEVICE);
	test_free_bulk(cache, ARRAY_SIZE(bufs), bufs);
	EXPECT_FREE_REPORT(test, test_free_bulk, buf, 320);
	kt_late_unmap(test, dma, 64, DMA_FROM_DEVICE);
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void bulk_freed_after_unmap_silent(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = kt_own_buf(test, SIZE);
	dma = test_dma_map(test, kt_dev, bufs[1], SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_free_bulk(NULL, ARRAY_SIZE(bufs), bufs);
	EXPECT_SILENCE(test);
}

/* === Objects freed after a grace period =================================== */

struct by_rcu {
	u8 head[64];
	u8 buf[256];
	struct rcu_head rcu;
};

/*
 * Since 6.18, the slab allocator keeps what was passed to kfree_rcu() in a sheaf of the CPU
 * until that is full: some 30 objects of this size.
 */
#define SHEAF	64

static void sheaf_alloc(struct kunit *test, struct by_rcu **others)
{
	unsigned int i;

	for (i = 0; i < SHEAF; i++)
		others[i] = kt_own_buf(test, sizeof(**others));
}

static void free_by_rcu(struct by_rcu *obj, struct by_rcu **others)
{
	unsigned int i;

	preempt_disable();
	kfree_rcu(obj, rcu);
	for (i = 0; i < SHEAF; i++)
		kfree_rcu(others[i], rcu);
	preempt_enable();
}

/*
 * The object may be freed some seconds later. A free that no hook has seen is found by the
 * periodic scan of all mappings.
 */
static void wait_for_report(void)
{
	int i;

	for (i = 0; i < 150 && !kt_pending(); i++)
		msleep(100);
}

static void member_freed_by_rcu_reported(struct kunit *test)
{
	struct by_rcu *obj = kt_own_buf(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = test_dma_map(test, kt_dev, obj->buf, 256, DMA_FROM_DEVICE);

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	wait_for_report();
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map+0x*"));
	kt_late_unmap(test, dma, 256, DMA_FROM_DEVICE);
}

/* The device owns the first granule, which KASAN takes for a double free. */
static void start_freed_by_rcu_reported(struct kunit *test)
{
	struct by_rcu *obj = kt_own_buf(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = test_dma_map(test, kt_dev, obj, 256, DMA_TO_DEVICE);

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	wait_for_report();
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in *"));
	kt_late_unmap(test, dma, 256, DMA_TO_DEVICE);
}

/* A reader may unmap the buffer until the grace period is over. */
static void freed_by_rcu_after_unmap_silent(struct kunit *test)
{
	struct by_rcu *obj = kt_own_buf(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = test_dma_map(test, kt_dev, obj->buf, 256, DMA_FROM_DEVICE);

	sheaf_alloc(test, others);
	rcu_read_lock();
	free_by_rcu(obj, others);
	dma_unmap_single(kt_dev, dma, 256, DMA_FROM_DEVICE);
	rcu_read_unlock();
	rcu_barrier();
	EXPECT_SILENCE(test);
}

/* === Frees that are not hooked ============================================ */

#if IS_ENABLED(CONFIG_KASAN_GENERIC)
/* Sets the shadow as KASAN does for a freed object. */
static kt_unchecked void set_shadow(const u8 *buf, size_t size, u8 value)
{
	u8 *p = kasan_mem_to_shadow(buf), *end = kasan_mem_to_shadow(buf + size);

	for (; p < end; p++)
		WRITE_ONCE(*p, value);
}

static void expect_found(struct kunit *test, const char *when)
{
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in test_dma_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has(when));
}

static void unseen_free_found_at_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	set_shadow(buf, SIZE, 0xfb);
	dma_unmap_single(kt_dev, dma, SIZE, dir_of(test));
	expect_found(test, "Found when it was unmapped, *");
	set_shadow(buf, SIZE, 0);
}

static void unseen_free_found_at_sync(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	set_shadow(buf, SIZE, 0xfb);
	dma_sync_single_for_cpu(kt_dev, dma + 128, 64, DMA_FROM_DEVICE);
	expect_found(test, "Found when it was synced, *");
	set_shadow(buf, SIZE, 0);
	/* The next user of the memory does not notice. */
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void unseen_free_found_at_sync_sg(struct kunit *test)
{
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_EQ(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 2);
	set_shadow(b, SIZE, 0xfb);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in *"));
	set_shadow(b, SIZE, 0);
	EXPECT_CPU_OWNS(test, a, SIZE);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* One page of many, in a mapping that spans two regions. */
static void unseen_free_of_page_found_at_unmap(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 10);
	u8 *buf = page_address(page);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024 * PAGE_SIZE, DMA_FROM_DEVICE);

	set_shadow(buf + 700 * PAGE_SIZE, PAGE_SIZE, 0xff);
	dma_unmap_single(kt_dev, dma, 1024 * PAGE_SIZE, DMA_FROM_DEVICE);
	expect_found(test, "Found when it was unmapped, *");
	set_shadow(buf + 700 * PAGE_SIZE, PAGE_SIZE, 0);
	__free_pages(page, 10);
	EXPECT_SILENCE(test);
}

/* Each of three pages: an unmap clears what is its own, and no page that KASAN says was freed. */
static void unseen_free_of_page_kept_at_unmap(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 2);
	u8 *buf = page_address(page), *freed, *p;
	size_t size = 3 * PAGE_SIZE - 128;
	dma_addr_t dma;

	for (freed = buf; freed < buf + 3 * PAGE_SIZE; freed += PAGE_SIZE) {
		dma = test_dma_map(test, kt_dev, buf + 64, size, DMA_FROM_DEVICE);
		set_shadow(freed, PAGE_SIZE, 0xff);
		dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
		expect_found(test, "Found when it was unmapped, *");
		for (p = buf; p < buf + 3 * PAGE_SIZE; p += 8)
			if (kt_shadow(p) != (p >= freed && p < freed + PAGE_SIZE ? 0xff : 0))
				break;
		KUNIT_EXPECT_PTR_EQ(test, p, buf + 3 * PAGE_SIZE);
		set_shadow(freed, PAGE_SIZE, 0);
	}
	__free_pages(page, 2);
}

static void unseen_free_found_by_scan(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	set_shadow(buf, SIZE, 0xfb);
	wait_for_report();
	expect_found(test, "Found by a scan of all mappings, *");
	set_shadow(buf, SIZE, 0);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	kt_late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* What the CPU owns may be freed; and memory that was freed before the map is another fault. */
static void unseen_free_cpu_owned_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	set_shadow(buf, SIZE, 0xfb);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	kt_set(test, "off_types", "use-after-free-map");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	set_shadow(buf, SIZE, 0);
}
#endif

/* === Memory pools ========================================================= */

static kt_noinline void test_pool_free(void *element, mempool_t *pool)
{
	mempool_free(element, pool);
	barrier();
}

/*
 * A pool keeps a freed element only if it lacks one, which it does not while the allocator
 * has memory: so the first @lacking of its four elements are put aside.
 */
static bool lack(mempool_t *pool, int lacking)
{
	void **elements = kcalloc(4 + lacking, sizeof(*elements), GFP_KERNEL);

	if (!elements)
		return false;
	memcpy(elements + 4, pool->elements + 4 - lacking, lacking * sizeof(*elements));
	memcpy(elements, pool->elements, (4 - lacking) * sizeof(*elements));
	kfree(pool->elements);
	pool->elements = elements;
	pool->curr_nr = 4 - lacking;
	return true;
}

static void lack_no_more(mempool_t *pool, int lacking)
{
	pool->curr_nr += lacking;
	pool->min_nr = pool->curr_nr;
}

/* Two elements that the pool keeps, and one that it frees. */
static void check_pool(struct kunit *test, mempool_t *pool, size_t size, bool pages)
{
	enum dma_data_direction dir = DMA_FROM_DEVICE;
	void *element[4], *buf[4];
	dma_addr_t dma[4];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_TRUE(test, lack(pool, 3));
	for (i = 0; i < 4; i++) {
		for (;;) {
			element[i] = mempool_alloc(pool, GFP_KERNEL);
			buf[i] = pages ? page_address(element[i]) : element[i];
			if (!is_kfence_address(buf[i]))
				break;
			pool->free(element[i], pool->pool_data);
		}
		dma[i] = test_dma_map(test, kt_dev, buf[i], size, dir);
	}
	/* Unmapped before: silent. */
	dma_unmap_single(kt_dev, dma[0], size, dir);
	test_pool_free(element[0], pool);
	EXPECT_SILENCE(test);
	for (i = 1; i < 4; i++) {
		test_pool_free(element[i], pool);
		EXPECT_FREE_REPORT(test, test_pool_free, buf[i], size);
		kt_late_unmap(test, dma[i], size, dir);
	}
	/* KASAN has not refused one as freed twice. */
	KUNIT_EXPECT_EQ(test, pool->curr_nr, 4);
	lack_no_more(pool, 3);
	mempool_destroy(pool);
	EXPECT_SILENCE(test);
}

static void mempool_object_freed_reported(struct kunit *test)
{
	check_pool(test, mempool_create_kmalloc_pool(4, SIZE), SIZE, false);
}

static void mempool_cache_object_freed_reported(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 320, 0, 0, NULL);

	KUNIT_ASSERT_NOT_NULL(test, cache);
	check_pool(test, mempool_create_slab_pool(4, cache), 320, false);
	kmem_cache_destroy(cache);
}

static void mempool_page_freed_reported(struct kunit *test)
{
	check_pool(test, mempool_create_page_pool(4, 0), PAGE_SIZE, true);
}

/* The network core holds a reference for as long as it sends the page. */
static void mempool_page_with_reference_silent(struct kunit *test)
{
	mempool_t *pool = mempool_create_page_pool(1, 0);
	struct page *page;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	page = mempool_alloc(pool, GFP_KERNEL);
	dma = test_dma_map(test, kt_dev, page_address(page), PAGE_SIZE, DMA_TO_DEVICE);
	get_page(page);
	test_pool_free(page, pool);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, kt_is_poisoned(page_address(page)), IS_ENABLED(CONFIG_KASAN_GENERIC));
	dma_unmap_single(kt_dev, dma, PAGE_SIZE, DMA_TO_DEVICE);
	put_page(page);
	mempool_destroy(pool);
	EXPECT_SILENCE(test);
}

struct mapped_element {
	void *buf;
	dma_addr_t dma;
};

static void *mapped_alloc(gfp_t gfp, void *data)
{
	struct mapped_element *e = kzalloc(sizeof(*e), gfp);

	if (!e)
		return NULL;
	e->buf = kzalloc(SIZE, gfp);
	if (e->buf)
		e->dma = dma_map_single(kt_dev, e->buf, SIZE, DMA_FROM_DEVICE);
	if (e->buf && !dma_mapping_error(kt_dev, e->dma))
		return e;
	kfree(e->buf);
	kfree(e);
	return NULL;
}

static void mapped_free(void *element, void *data)
{
	struct mapped_element *e = element;

	dma_unmap_single(kt_dev, e->dma, SIZE, DMA_FROM_DEVICE);
	kfree(e->buf);
	kfree(e);
}

/* A driver may keep mapped buffers in a pool of its own. */
static void mempool_of_mapped_buffers_silent(struct kunit *test)
{
	mempool_t *pool = mempool_create(2, mapped_alloc, mapped_free, NULL);
	void *element[3];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	for (i = 0; i < ARRAY_SIZE(element); i++)
		element[i] = mempool_alloc(pool, GFP_KERNEL);
	for (i = 0; i < ARRAY_SIZE(element); i++)
		mempool_free(element[i], pool);
	EXPECT_SILENCE(test);
	mempool_destroy(pool);
	EXPECT_SILENCE(test);
}

static void null_freed_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_kfree(NULL);
	test_kfree(ZERO_SIZE_PTR);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

/* === Values left in freed memory (rule 12) ================================ */

#if IS_ENABLED(CONFIG_KASAN_GENERIC)
/*
 * Maps a part of the object, so that its free is checked, and syncs that for the CPU. At
 * the start of the object, where KASAN looks for a double free, in its middle and at its
 * end it leaves values of ours that no mapping accounts for. The free must clear them, and
 * KASAN must free the object.
 */
static dma_addr_t leave_values(struct kunit *test, u8 *buf, size_t size)
{
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 128, 64, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	set_shadow(buf, 64, 0xd2);
	set_shadow(buf + 64, 16, 0xd4);
	set_shadow(buf + 192, 32, 0xd6);
	set_shadow(buf + size - 16, 16, 0xd5);
	return dma;
}

static void expect_freed(struct kunit *test, const u8 *buf, size_t size, dma_addr_t dma)
{
	size_t at;

	for (at = 0; at < size; at += 8)
		if (kt_shadow(buf + at) < 0xfa)
			break;
	KUNIT_EXPECT_EQ_MSG(test, at, size, "its shadow is 0x%02x there",
			    kt_shadow(buf + min(at, size - 8)));
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

static void values_in_object_cleared(struct kunit *test)
{
	static const size_t sizes[] = { SIZE, 2048, 3 * PAGE_SIZE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *buf = kt_own_buf(test, sizes[i]);
		dma_addr_t dma = leave_values(test, buf, sizes[i]);

		test_kfree(buf);
		expect_freed(test, buf, sizes[i], dma);
	}
}

static void values_in_cache_object_cleared(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 320, 0, 0, NULL);
	void *bufs[3];
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, cache);
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		do {
			bufs[i] = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
		} while (is_kfence_address(bufs[i]));
	dma = leave_values(test, bufs[0], 320);
	test_cache_free(cache, bufs[0]);
	expect_freed(test, bufs[0], 320, dma);
	dma = leave_values(test, bufs[2], 320);
	test_free_bulk(cache, 2, bufs + 1);
	expect_freed(test, bufs[2], 320, dma);
	/* An object that is left would cause a warning. */
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void values_in_bulk_cleared(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = kt_own_buf(test, SIZE);
	dma = leave_values(test, bufs[1], SIZE);
	kfree_bulk(ARRAY_SIZE(bufs), bufs);
	expect_freed(test, bufs[1], SIZE, dma);
}

/* No hook sees this free, but KASAN does, and reports a double free to the tool. */
static void values_left_to_rcu_cleared(struct kunit *test)
{
	struct by_rcu *obj = kt_own_buf(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = leave_values(test, (u8 *)obj, round_down(sizeof(*obj), 16));
	int i;

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	for (i = 0; i < 150 && kt_is_poisoned(obj); i++)
		msleep(100);
	for (i = 0; i < sizeof(*obj); i += 8)
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned((u8 *)obj + i));
	EXPECT_SILENCE(test);
	kt_late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

/* Once kept by the pool, once freed. */
static void values_in_mempool_cleared(struct kunit *test)
{
	mempool_t *pool = mempool_create_kmalloc_pool(4, SIZE);
	dma_addr_t dma;
	void *element;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_TRUE(test, i || lack(pool, 1));
		do {
			element = mempool_alloc(pool, GFP_KERNEL);
		} while (is_kfence_address(element));
		dma = leave_values(test, element, SIZE);
		mempool_free(element, pool);
		expect_freed(test, element, SIZE, dma);
		if (!i)
			lack_no_more(pool, 1);
	}
	mempool_destroy(pool);
	EXPECT_SILENCE(test);
}

static void values_in_pages_cleared(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 1);
	u8 *buf = page_address(page), *mem;
	dma_addr_t dma = leave_values(test, buf, 2 * PAGE_SIZE);

	test_free_pages(page, 1);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	kt_late_unmap(test, dma, 64, DMA_FROM_DEVICE);

	mem = vmalloc(2 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	buf = page_address(vmalloc_to_page(mem));
	dma = leave_values(test, buf, PAGE_SIZE);
	test_vfree(mem);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf));
	kt_late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

/* The free of an object that was never mapped clears nothing of the next object. */
static void values_in_neighbour_kept(struct kunit *test)
{
	u8 *a = kt_own_buf(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);

	test_kfree(a);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, b, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, b + SIZE - 8, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, b, SIZE);
}
#endif

static struct kunit_case free_cases[] = {
	DIRECTION_CASE(object_freed_reported),
	KUNIT_CASE(part_mapped_freed_reported),
	KUNIT_CASE(part_device_owns_freed_reported),
	KUNIT_CASE(odd_object_freed_reported),
	KUNIT_CASE(large_object_freed_reported),
	KUNIT_CASE(cache_object_freed_reported),
	KUNIT_CASE(list_entry_freed_reported),
	KUNIT_CASE(mapped_twice_freed_reported_twice),
	KUNIT_CASE(cpu_owned_freed_silent),
	KUNIT_CASE(never_synced_freed_silent),
	DIRECTION_CASE(freed_after_unmap_silent),
	KUNIT_CASE(neighbours_freed_silent),
	KUNIT_CASE(neighbour_of_long_mapping_freed_silent),
	KUNIT_CASE(edge_at_object_start_freed_reported),
	KUNIT_CASE(watched_object_freed_silent),
	DIRECTION_CASE(bulk_freed_reported),
	KUNIT_CASE(cache_bulk_freed_reported),
	KUNIT_CASE(bulk_freed_after_unmap_silent),
	KUNIT_CASE_SLOW(member_freed_by_rcu_reported),
	KUNIT_CASE_SLOW(start_freed_by_rcu_reported),
	KUNIT_CASE(freed_by_rcu_after_unmap_silent),
#if IS_ENABLED(CONFIG_KASAN_GENERIC)
	DIRECTION_CASE(unseen_free_found_at_unmap),
	KUNIT_CASE(unseen_free_found_at_sync),
	KUNIT_CASE(unseen_free_found_at_sync_sg),
	KUNIT_CASE(unseen_free_of_page_found_at_unmap),
	KUNIT_CASE(unseen_free_of_page_kept_at_unmap),
	KUNIT_CASE(unseen_free_found_by_scan),
	KUNIT_CASE(unseen_free_cpu_owned_silent),
#endif
	KUNIT_CASE(mempool_object_freed_reported),
	KUNIT_CASE(mempool_cache_object_freed_reported),
	KUNIT_CASE(mempool_page_freed_reported),
	KUNIT_CASE(mempool_page_with_reference_silent),
	KUNIT_CASE(mempool_of_mapped_buffers_silent),
	KUNIT_CASE(null_freed_silent),
#if IS_ENABLED(CONFIG_KASAN_GENERIC)
	KUNIT_CASE(values_in_object_cleared),
	KUNIT_CASE(values_in_cache_object_cleared),
	KUNIT_CASE(values_in_bulk_cleared),
	KUNIT_CASE_SLOW(values_left_to_rcu_cleared),
	KUNIT_CASE(values_in_mempool_cleared),
	KUNIT_CASE(values_in_pages_cleared),
	KUNIT_CASE(values_in_neighbour_kept),
#endif
	{}
};

KT_SUITE(free);
