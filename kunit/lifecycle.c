// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is freed while a device owns it is reported, at the free, and once:
 * KASAN finds no double free, a late unmap and a late sync are silent, and whoever
 * gets the memory next does not notice. What a driver leaves mapped is reported when
 * it is unbound.
 */

#include <linux/glob.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dod_test.h"

#define SIZE 512

KT_DIRECTIONS;

/* Freed by the test itself, unlike kt_buf(); and not KFENCE's, whose size differs. */
static void *buf_alloc(struct kunit *test, size_t size)
{
	void *buf;

	for (;;) {
		buf = kzalloc(size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		if (!is_kfence_address(buf))
			return buf;
		kfree(buf);
	}
}

static struct page *page_alloc(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | gfp, order);

	if (!page)
		kunit_skip(test, "no %lu pages in a row", BIT(order));
	return page;
}

static kt_noinline dma_addr_t test_map_page(struct kunit *test, struct page *page, size_t offset,
					 size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_page(kt_dev, page, offset, size, dir);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

static kt_noinline void test_free(const void *buf)
{
	kfree(buf);
	barrier();
}

static kt_noinline void test_cache_free(struct kmem_cache *cache, void *buf)
{
	kmem_cache_free(cache, buf);
	barrier();
}

static kt_noinline void test_free_pages(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	barrier();
}

static kt_noinline void test_vfree(const void *buf)
{
	vfree(buf);
	barrier();
}

/* A late unmap finds its mapping, and says nothing. */
static void late_unmap(struct kunit *test, dma_addr_t dma, size_t size,
		       enum dma_data_direction dir)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	long live = dma_owner_debug_count("live");

	dma_unmap_page(kt_dev, dma, size, dir);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live - 1);
}

/* === Objects ============================================================== */

static void object(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Device " KT_NAME " " KT_NAME ".0 owns these 512 bytes*"));
	KUNIT_EXPECT_TRUE(test, kt_has(" kfree+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: unmap it with dma_unmap_single() before*"));
	late_unmap(test, dma, SIZE, dir_of(test));
}

/* KASAN looks at an object's first byte only, and would not have seen these. */
static void part_of_an_object(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 128, 64, DMA_TO_DEVICE);

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	late_unmap(test, dma, 64, DMA_TO_DEVICE);
}

static void part_is_the_devices(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, 256, DMA_FROM_DEVICE);
	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("*may have written these 256 bytes*"));
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* Of an odd size: its last granule has a value of its own. */
static void odd_object(struct kunit *test)
{
	u8 *buf = buf_alloc(test, 77);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 77, DMA_FROM_DEVICE);

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, 77);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf + 72));
	late_unmap(test, dma, 77, DMA_FROM_DEVICE);
}

/* kmalloc() hands the larger ones to the page allocator: one report all the same. */
static void large_object(struct kunit *test)
{
	u8 *buf = buf_alloc(test, 4 * PAGE_SIZE + 100);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + PAGE_SIZE, SIZE, DMA_TO_DEVICE);

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, 4 * PAGE_SIZE + 100);
	late_unmap(test, dma, SIZE, DMA_TO_DEVICE);
}

static void object_of_a_cache(struct kunit *test)
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
		late_unmap(test, dma, 320, DMA_TO_DEVICE);
	}
	/* This lets KASAN's quarantine go, and frees the slab. */
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_NOT_NULL(test, buf);
}

static void sg_entry(struct kunit *test)
{
	struct scatterlist sg[2];
	u8 *a = buf_alloc(test, SIZE), *b = buf_alloc(test, SIZE);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_EQ(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 2);
	test_free(b);
	EXPECT_FREE_REPORT(test, test_free, b, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: unmap it with dma_unmap_sg()*"));
	/* The other entry is as it was. */
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, a, 8);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, a, 8);
	kfree(a);
}

/* Rule 5: each mapping that gives it to a device is a fault of its own. */
static void mapped_twice(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t a = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_addr_t b = test_dma_map(test, kt_dev2, buf + 64, 64, DMA_TO_DEVICE);

	test_free(buf);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 2);
	dma_unmap_single(kt_dev, a, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, b, 64, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

static void of_the_cpu(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_free(buf);
	EXPECT_SILENCE(test);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void skip_cpu_sync(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = dma_map_single_attrs(kt_dev, buf, SIZE, DMA_FROM_DEVICE,
					      DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	test_free(buf);
	EXPECT_SILENCE(test);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void after_the_unmap(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	dma_unmap_single(kt_dev, dma, SIZE, dir_of(test));
	test_free(buf);
	EXPECT_SILENCE(test);
}

/* In the same slab, perhaps beside it. */
static void neighbours(struct kunit *test)
{
	u8 *buf[32];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = buf_alloc(test, 64);
	dma = test_dma_map(test, kt_dev, buf[16], 64, DMA_FROM_DEVICE);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		if (i != 16)
			test_free(buf[i]);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf[16], 16);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_free(buf[16]);
	EXPECT_SILENCE(test);
}

/* It runs into the next object: its driver's fault, not that of whoever frees that. */
static void neighbour_of_a_long_mapping(struct kunit *test)
{
	u8 *buf[32], *a = NULL, *b = NULL;
	dma_addr_t dma;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = buf_alloc(test, 64);
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
				test_free(b);
				buf[i] = NULL;
			}
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_FALSE(test, kt_painted(b));
		EXPECT_WRITE_TRAPS(test, a, 8);
		dma_unmap_single(kt_dev, dma, b - a + 16, DMA_TO_DEVICE);
	}
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		kfree(buf[i]);
	if (!a)
		kunit_skip(test, "no objects beside each other");
}

/* The start of the object is in the cache line that the device writes to. */
static void guarded_edge(struct kunit *test)
{
	u8 *buf;
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "off_types", "cacheline-sharing");
	buf = buf_alloc(test, SIZE);
	dma = test_dma_map(test, kt_dev, buf + 16, 200, DMA_FROM_DEVICE);
	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	late_unmap(test, dma, 200, DMA_FROM_DEVICE);
}

/* The CPU got it back, and its next write would have been noted. */
static void watched_byte(struct kunit *test)
{
	u8 *buf;
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	buf = buf_alloc(test, SIZE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_free(buf);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static kt_noinline void test_free_bulk(struct kmem_cache *cache, size_t nr, void **bufs)
{
	kmem_cache_free_bulk(cache, nr, bufs);
	barrier();
}

static void bulk(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	u8 *buf;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = buf_alloc(test, SIZE);
	buf = bufs[2];
	dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));
	test_free_bulk(NULL, ARRAY_SIZE(bufs), bufs);
	EXPECT_FREE_REPORT(test, test_free_bulk, buf, SIZE);
	late_unmap(test, dma, SIZE, dir_of(test));
}

static void bulk_of_a_cache(struct kunit *test)
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
	late_unmap(test, dma, 64, DMA_FROM_DEVICE);
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void bulk_after_the_unmap(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = buf_alloc(test, SIZE);
	dma = test_dma_map(test, kt_dev, bufs[1], SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_free_bulk(NULL, ARRAY_SIZE(bufs), bufs);
	EXPECT_SILENCE(test);
}

/* === Objects that go after a grace period ================================= */

struct by_rcu {
	u8 head[64];
	u8 buf[256];
	struct rcu_head rcu;
};

/*
 * Since 6.18 a CPU's sheaf of the slab allocator keeps what was passed to kfree_rcu()
 * until it is full: of objects of this size some 30.
 */
#define SHEAF	64

static void sheaf_alloc(struct kunit *test, struct by_rcu **others)
{
	unsigned int i;

	for (i = 0; i < SHEAF; i++)
		others[i] = buf_alloc(test, sizeof(**others));
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
 * It may be freed some seconds later, and what no hook has seen is found by the look at
 * all mappings.
 */
static void wait_for_report(void)
{
	int i;

	for (i = 0; i < 150 && !kt_pending(); i++)
		msleep(100);
}

static void member_by_rcu(struct kunit *test)
{
	struct by_rcu *obj = buf_alloc(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = test_dma_map(test, kt_dev, obj->buf, 256, DMA_FROM_DEVICE);

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	wait_for_report();
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map+0x*"));
	late_unmap(test, dma, 256, DMA_FROM_DEVICE);
}

/* Its first granule is the device's: KASAN takes that for a double free. */
static void start_by_rcu(struct kunit *test)
{
	struct by_rcu *obj = buf_alloc(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = test_dma_map(test, kt_dev, obj, 256, DMA_TO_DEVICE);

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	wait_for_report();
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in *"));
	late_unmap(test, dma, 256, DMA_TO_DEVICE);
}

/* A reader may unmap it until the grace period is over. */
static void by_rcu_after_the_unmap(struct kunit *test)
{
	struct by_rcu *obj = buf_alloc(test, sizeof(*obj)), *others[SHEAF];
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
/* As KASAN makes of an object that is freed. */
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

static void unseen_found_by_unmap(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir_of(test));

	set_shadow(buf, SIZE, 0xfb);
	dma_unmap_single(kt_dev, dma, SIZE, dir_of(test));
	expect_found(test, "Found when it was unmapped, *");
	set_shadow(buf, SIZE, 0);
}

static void unseen_found_by_sync(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	set_shadow(buf, SIZE, 0xfb);
	dma_sync_single_for_cpu(kt_dev, dma + 128, 64, DMA_FROM_DEVICE);
	expect_found(test, "Found when it was synced, *");
	set_shadow(buf, SIZE, 0);
	/* Whoever has the memory now does not notice. */
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void unseen_found_by_sync_sg(struct kunit *test)
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

/* One page of many, over a border of the tool's index. */
static void unseen_page(struct kunit *test)
{
	struct page *page = page_alloc(test, 0, 10);
	u8 *buf = page_address(page);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 1024 * PAGE_SIZE, DMA_FROM_DEVICE);

	set_shadow(buf + 700 * PAGE_SIZE, PAGE_SIZE, 0xff);
	dma_unmap_single(kt_dev, dma, 1024 * PAGE_SIZE, DMA_FROM_DEVICE);
	expect_found(test, "Found when it was unmapped, *");
	set_shadow(buf + 700 * PAGE_SIZE, PAGE_SIZE, 0);
	__free_pages(page, 10);
	EXPECT_SILENCE(test);
}

static void unseen_found_by_scan(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	set_shadow(buf, SIZE, 0xfb);
	wait_for_report();
	expect_found(test, "Found by a look at all mappings, *");
	set_shadow(buf, SIZE, 0);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* What the CPU owns may be freed, and what was freed when it was mapped is another fault. */
static void unseen_of_the_cpu(struct kunit *test)
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
 * A pool takes back what it lacks, and it lacks nothing while the allocator has memory:
 * the first @lacking of its four elements are put aside meanwhile.
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

/* Two elements that the pool keeps, and one that it gives to the allocator. */
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
	/* What is unmapped before is nobody's concern. */
	dma_unmap_single(kt_dev, dma[0], size, dir);
	test_pool_free(element[0], pool);
	EXPECT_SILENCE(test);
	for (i = 1; i < 4; i++) {
		test_pool_free(element[i], pool);
		EXPECT_FREE_REPORT(test, test_pool_free, buf[i], size);
		late_unmap(test, dma[i], size, dir);
	}
	/* KASAN has not kept one back as freed twice. */
	KUNIT_EXPECT_EQ(test, pool->curr_nr, 4);
	lack_no_more(pool, 3);
	mempool_destroy(pool);
	EXPECT_SILENCE(test);
}

static void pool_of_objects(struct kunit *test)
{
	check_pool(test, mempool_create_kmalloc_pool(4, SIZE), SIZE, false);
}

static void pool_of_a_cache(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 320, 0, 0, NULL);

	KUNIT_ASSERT_NOT_NULL(test, cache);
	check_pool(test, mempool_create_slab_pool(4, cache), 320, false);
	kmem_cache_destroy(cache);
}

static void pool_of_pages(struct kunit *test)
{
	check_pool(test, mempool_create_page_pool(4, 0), PAGE_SIZE, true);
}

/* The network core holds a reference for as long as it sends the page. */
static void pool_page_of_others(struct kunit *test)
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
	KUNIT_EXPECT_EQ(test, kt_painted(page_address(page)), IS_ENABLED(CONFIG_KASAN_GENERIC));
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

/* A driver may keep what is mapped in a pool of its own. */
static void pool_of_mapped_buffers(struct kunit *test)
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

static void null_pointers(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_free(NULL);
	test_free(ZERO_SIZE_PTR);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

/* === Values of the tool's that no mapping accounts for ==================== */

#if IS_ENABLED(CONFIG_KASAN_GENERIC)
/*
 * A mapping, so that the free is looked at, and all of it the CPU's; and at the start of
 * the object, where KASAN looks for a double free, in its middle and at its end, values
 * that nobody knows of. Whoever's they are, a free clears them, and KASAN frees it.
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
	late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

static void left_in_an_object(struct kunit *test)
{
	static const size_t sizes[] = { SIZE, 2048, 3 * PAGE_SIZE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *buf = buf_alloc(test, sizes[i]);
		dma_addr_t dma = leave_values(test, buf, sizes[i]);

		test_free(buf);
		expect_freed(test, buf, sizes[i], dma);
	}
}

static void left_in_an_object_of_a_cache(struct kunit *test)
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
	/* Nothing of it is left over, which would be a warning. */
	kmem_cache_destroy(cache);
	EXPECT_SILENCE(test);
}

static void left_in_bulk(struct kunit *test)
{
	void *bufs[4];
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = buf_alloc(test, SIZE);
	dma = leave_values(test, bufs[1], SIZE);
	kfree_bulk(ARRAY_SIZE(bufs), bufs);
	expect_freed(test, bufs[1], SIZE, dma);
}

/* Where no hook sees it, KASAN does, and asks. */
static void left_to_rcu(struct kunit *test)
{
	struct by_rcu *obj = buf_alloc(test, sizeof(*obj)), *others[SHEAF];
	dma_addr_t dma = leave_values(test, (u8 *)obj, round_down(sizeof(*obj), 16));
	int i;

	sheaf_alloc(test, others);
	free_by_rcu(obj, others);
	rcu_barrier();
	for (i = 0; i < 150 && kt_painted(obj); i++)
		msleep(100);
	for (i = 0; i < sizeof(*obj); i += 8)
		KUNIT_EXPECT_FALSE(test, kt_painted((u8 *)obj + i));
	EXPECT_SILENCE(test);
	late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

/* Kept by the pool, and given to the allocator. */
static void left_in_a_pool(struct kunit *test)
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

static void left_in_pages(struct kunit *test)
{
	struct page *page = page_alloc(test, 0, 1);
	u8 *buf = page_address(page), *mem;
	dma_addr_t dma = leave_values(test, buf, 2 * PAGE_SIZE);

	test_free_pages(page, 1);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	late_unmap(test, dma, 64, DMA_FROM_DEVICE);

	mem = vmalloc(2 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	buf = page_address(vmalloc_to_page(mem));
	dma = leave_values(test, buf, PAGE_SIZE);
	test_vfree(mem);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	late_unmap(test, dma, 64, DMA_FROM_DEVICE);
}

/* Whoever frees an object that was never mapped pays nothing, and clears nothing. */
static void left_in_the_neighbour(struct kunit *test)
{
	u8 *a = buf_alloc(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);

	test_free(a);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, b, 8);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, b + SIZE - 8, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, b, SIZE);
}
#endif

/* === Pages ================================================================ */

static void check_pages(struct kunit *test, gfp_t gfp, unsigned int order, size_t offset,
			size_t size)
{
	struct page *page = page_alloc(test, gfp, order);
	dma_addr_t dma = test_map_page(test, page, offset, size, DMA_FROM_DEVICE);

	test_free_pages(page, order);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE << order);
	KUNIT_EXPECT_TRUE(test, kt_has(" test_map_page+0x*"));
	late_unmap(test, dma, size, DMA_FROM_DEVICE);
}

static void page(struct kunit *test)
{
	check_pages(test, 0, 0, 0, PAGE_SIZE);
}

static void part_of_a_page(struct kunit *test)
{
	check_pages(test, 0, 0, 1024, 256);
}

static void tail_of_a_compound_page(struct kunit *test)
{
	check_pages(test, __GFP_COMP, 3, 5 * PAGE_SIZE + 64, SIZE);
}

/* Each page of it is a folio of its own. */
static void pages_that_are_no_folio(struct kunit *test)
{
	check_pages(test, 0, 3, 3 * PAGE_SIZE + 64, SIZE);
	check_pages(test, 0, 3, PAGE_SIZE, 3 * PAGE_SIZE);
}

/* Not the first one, and the others thereafter: one report. */
static void page_of_many(struct kunit *test)
{
	struct page *page = page_alloc(test, 0, 3);
	dma_addr_t dma;
	int i;

	split_page(page, 3);
	dma = test_map_page(test, page, 0, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
	test_free_pages(page + 5, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page + 5), PAGE_SIZE);
	for (i = 0; i < 8; i++)
		if (i != 5)
			test_free_pages(page + i, 0);
	EXPECT_SILENCE(test);
	late_unmap(test, dma, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
}

/* More than the tool marks one by one, and more than a region of its index. */
static void huge(struct kunit *test)
{
	check_pages(test, 0, 10, PAGE_SIZE, 1000 * PAGE_SIZE);
}

static void huge_folio(struct kunit *test)
{
	check_pages(test, __GFP_COMP, 10, PAGE_SIZE, 1000 * PAGE_SIZE);
}

/* The last reference frees it, and only that. */
static void last_reference(struct kunit *test)
{
	struct page *page = page_alloc(test, 0, 0);
	dma_addr_t dma = test_map_page(test, page, 0, SIZE, DMA_TO_DEVICE);

	get_page(page);
	put_page(page);
	EXPECT_SILENCE(test);
	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE);
	late_unmap(test, dma, SIZE, DMA_TO_DEVICE);
}

static void vmalloc_pages(struct kunit *test)
{
	u8 *buf = vzalloc(3 * PAGE_SIZE);
	struct page *page;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	page = vmalloc_to_page(buf + PAGE_SIZE);
	dma = test_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
	test_vfree(buf);
	EXPECT_FREE_REPORT(test, test_vfree, page_address(page), PAGE_SIZE);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

static void pages_after_the_unmap(struct kunit *test)
{
	struct page *page = page_alloc(test, __GFP_COMP, 2);
	dma_addr_t dma = test_map_page(test, page, 64, 2 * PAGE_SIZE, DMA_FROM_DEVICE);

	dma_unmap_page(kt_dev, dma, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
	test_free_pages(page, 2);
	page = page_alloc(test, 0, 10);
	dma = test_map_page(test, page, 0, 1024 * PAGE_SIZE, DMA_TO_DEVICE);
	dma_unmap_page(kt_dev, dma, 1024 * PAGE_SIZE, DMA_TO_DEVICE);
	test_free_pages(page, 10);
	EXPECT_SILENCE(test);
}

/* dma_free_pages() is unmap and free in one. */
static void dma_pages(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = kt_dma_alloc_pages(kt_dev, PAGE_SIZE, &dma, DMA_FROM_DEVICE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* === Afterwards =========================================================== */

#define PAGES_TRIED	64

/* Allocates pages until it is this one. */
static bool get_this(struct page *page)
{
	struct page *got, *wrong[PAGES_TRIED];
	int n = 0;

	while ((got = alloc_page(GFP_KERNEL)) && got != page && n < PAGES_TRIED)
		wrong[n++] = got;
	while (n--)
		__free_page(wrong[n]);
	if (got && got != page)
		__free_page(got);
	return got == page;
}

/* Frees a page that is mapped, and gets it again. Another CPU may be faster. */
static struct page *get_again(struct kunit *test, dma_addr_t *dma)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		struct page *page = page_alloc(test, 0, 0);

		*dma = test_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
		test_free_pages(page, 0);
		EXPECT_FREE_REPORT(test, test_free_pages, page_address(page), PAGE_SIZE);
		if (get_this(page))
			return page;
		dma_unmap_page(kt_dev, *dma, SIZE, DMA_FROM_DEVICE);
	}
	kunit_skip(test, "the page is somebody else's now");
	return NULL;
}

static void late_sync(struct kunit *test)
{
	dma_addr_t dma;
	struct page *page = get_again(test, &dma);
	u8 *buf = page_address(page);

	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CLEAN(test, buf, SIZE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	/* Its next owner does not free mapped memory. */
	test_free_pages(page, 0);
	EXPECT_SILENCE(test);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* An unmap or a sync means the mapping that is alive, where there are equal ones. */
static void mapped_again(struct kunit *test)
{
	dma_addr_t dma, dma2;
	struct page *page = get_again(test, &dma);
	u32 *budget = kt_quiet_dma_debug(test), was = 0;
	u8 *buf = page_address(page);

	/* dma-debug takes it for an overlap, and the one for the other. */
	if (budget)
		was = xchg(budget, 0);
	dma2 = test_map_page(test, page, 0, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_sync_single_for_cpu(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_sync_single_for_device(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
	dma_unmap_page(kt_dev, dma2, SIZE, DMA_FROM_DEVICE);
	if (budget)
		*budget = was;
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CLEAN(test, buf, SIZE);
	test_free_pages(page, 0);
	EXPECT_SILENCE(test);
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* The CPU's mapping of freed memory is silent, and must not come back to life. */
static void late_sync_of_the_cpus(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_free(buf);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_FALSE(test, kt_painted(buf));
	late_unmap(test, dma, SIZE, DMA_FROM_DEVICE);
}

/* === Network buffers ====================================================== */

#if IS_ENABLED(CONFIG_NET)
static kt_noinline void test_skb_free(struct sk_buff *skb)
{
	kfree_skb(skb);
	barrier();
}

/* The data are in the middle of an object: neither its start nor its end is mapped. */
static void skb_data(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL);
	dma_addr_t dma;
	u8 *head;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	if (is_kfence_address(skb->head)) {
		kfree_skb(skb);
		kunit_skip(test, "the data are KFENCE's");
	}
	head = skb->head;
	skb_reserve(skb, 66);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	test_skb_free(skb);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in test_skb_free+0x*"));
	KUNIT_EXPECT_FALSE(test, kt_painted(head + 128));
	late_unmap(test, dma, 1400, DMA_TO_DEVICE);
}

static void skb_after_the_unmap(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL);
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, 1400, DMA_FROM_DEVICE);
	test_skb_free(skb);
	EXPECT_SILENCE(test);
}

/* A clone that goes takes nothing with it: the data have another reference. */
static void clone_of_an_skb(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL), *clone;
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	clone = skb_clone(skb, GFP_KERNEL);
	if (clone)
		test_skb_free(clone);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 1400, DMA_TO_DEVICE);
	test_skb_free(skb);
	EXPECT_SILENCE(test);
}
#endif

/* === Drivers that are unbound ============================================= */

#define LEAVER "dma_owner_leaver"

static struct platform_driver leaver_driver = {
	.driver.name = LEAVER,
};

static struct device *leaver_get(struct kunit *test)
{
	struct platform_device *pdev;

	KUNIT_ASSERT_EQ(test, dod_test_driver_register(&leaver_driver), 0);
	pdev = platform_device_register_simple(LEAVER, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		platform_driver_unregister(&leaver_driver);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pdev));
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	return &pdev->dev;
}

static void leaver_put(struct device *dev)
{
	platform_device_unregister(to_platform_device(dev));
	platform_driver_unregister(&leaver_driver);
}

/* dma-debug warns of the same. */
static void unbind(struct kunit *test, struct device *dev)
{
	u32 *budget = kt_quiet_dma_debug(test), was = 0;

	if (budget)
		was = xchg(budget, 0);
	device_release_driver(dev);
	if (budget)
		*budget = was;
}

static kt_noinline dma_addr_t leaver_map_rx(struct kunit *test, struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, SIZE, DMA_FROM_DEVICE);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static kt_noinline dma_addr_t leaver_map_tx(struct kunit *test, struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, 64, DMA_TO_DEVICE);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static void leak(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf[3] = { kt_buf(test, SIZE), kt_buf(test, SIZE), kt_buf(test, 64) };
	dma_addr_t dma[3];
	int i, n = 2;

	/* One place, not two. */
	OPTIMIZER_HIDE_VAR(n);
	dma[2] = leaver_map_tx(test, dev, buf[2]);
	for (i = 0; i < n; i++)
		dma[i] = leaver_map_rx(test, dev, buf[i]);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device " LEAVER " *"));
	KUNIT_EXPECT_TRUE(test, kt_has("It left 3 mappings of 1088 bytes."));
	KUNIT_EXPECT_TRUE(test, kt_has("2 mappings of 1024 bytes in all, one of them, DMA_FROM*"));
	KUNIT_EXPECT_TRUE(test, kt_has("1 mapping of 64 bytes, DMA_TO_DEVICE, *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" leaver_map_tx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: stop the device and unmap all *dma_unmap_single()*"));
	/* The device was not stopped: its memory stays guarded. */
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf[1], 8);

	/* The next driver has nothing to do with it. */
	KUNIT_EXPECT_EQ(test, device_attach(dev), 1);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	for (i = 0; i < 2; i++)
		dma_unmap_single(dev, dma[i], SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(dev, dma[2], 64, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	leaver_put(dev);
}

/* A mapping is left, whoever owns the memory. */
static void leak_of_the_cpus(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = leaver_map_rx(test, dev, buf);

	dma_sync_single_for_cpu(dev, dma, SIZE, DMA_FROM_DEVICE);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("It left 1 mapping of 512 bytes."));
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

static void no_leak(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t other = test_dma_map(test, kt_dev, kt_buf(test, 64), 64, DMA_TO_DEVICE);

	dma_unmap_single(dev, leaver_map_rx(test, dev, buf), SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(dev, leaver_map_tx(test, dev, buf), 64, DMA_TO_DEVICE);
	/* Another device's mapping is not its concern. */
	unbind(test, dev);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, other, 64, DMA_TO_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/* That was reported before, and there is nothing left to guard. */
static void leak_of_freed_memory(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma = leaver_map_rx(test, dev, buf);

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

/* One mapping that a driver leaves, and that is reported when it is unbound. */
static struct device *leave(struct kunit *test, void *buf, dma_addr_t *dma)
{
	struct device *dev = leaver_get(test);

	*dma = leaver_map_rx(test, dev, buf);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
	return dev;
}

/* dma-debug takes it for an overlap. */
static dma_addr_t map_again(struct kunit *test, void *buf, size_t size,
			    enum dma_data_direction dir)
{
	u32 *budget = kt_quiet_dma_debug(test), was = 0;
	dma_addr_t dma;

	if (budget)
		was = xchg(budget, 0);
	dma = test_dma_map(test, kt_dev, buf, size, dir);
	if (budget)
		*budget = was;
	return dma;
}

/* It may be written to while somebody else uses it: who left it is named, once. */
static void leak_is_mapped_again(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma, again;
	struct device *dev = leave(test, buf, &dma);

	again = map_again(test, buf + 64, 128, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in leaver_map_rx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device " LEAVER
				       ", and has left this memory mapped."));
	KUNIT_EXPECT_TRUE(test, kt_has("Found when it was mapped again, *"));
	/* The new owner is not reported for what the leak says. */
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 64, 8);
	EXPECT_CPU_OWNS(test, buf, 64);
	dma_unmap_single(kt_dev, again, 128, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

static void leak_is_freed(struct kunit *test)
{
	u8 *buf = buf_alloc(test, SIZE);
	dma_addr_t dma;
	struct device *dev = leave(test, buf, &dma);

	test_free(buf);
	EXPECT_FREE_REPORT(test, test_free, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device *"));
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/* remove() frees it, and whoever gets the memory next maps it. */
static void freed_leak_is_mapped_again(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	struct page *page = page_alloc(test, 0, 0);
	dma_addr_t dma, again;
	u8 *buf = page_address(page);
	int i;

	dma = leaver_map_rx(test, dev, buf);
	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, buf, PAGE_SIZE);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	if (get_this(page)) {
		again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
		for (i = 0; i < 50 && !kt_pending(); i++)
			msleep(20);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test,
				  kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
		KUNIT_EXPECT_TRUE(test, kt_has("Device " KT_NAME " " KT_NAME
					       ".0 maps 512 bytes of it now."));
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
		again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
		msleep(50);
		EXPECT_SILENCE(test);
		test_free_pages(page, 0);
	}
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/*
 * As virtio_input and virtio_scsi, which free what the device of their parent has mapped:
 * that one stays bound. Two looks at all mappings later the next user is told of it, once.
 */
static void freed_is_mapped_again(struct kunit *test)
{
	struct page *page = page_alloc(test, 0, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE), again;
	int round, i;

	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, buf, PAGE_SIZE);
	if (!get_this(page)) {
		dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
		return;
	}
	/* It may be unmapped in a moment: not yet. */
	again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	msleep(2 * 5500);
	for (round = 0; round < 2; round++) {
		again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
		for (i = 0; i < (round ? 3 : 50) && !kt_pending(); i++)
			msleep(20);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1 - round);
		if (!round)
			KUNIT_EXPECT_TRUE(test,
					  kt_has("The memory was freed while device " KT_NAME " "
						 KT_NAME ".1 had it mapped, *"));
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	}
	dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
	again = map_again(test, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	msleep(50);
	EXPECT_SILENCE(test);
	test_free_pages(page, 0);
}

/* What was unmapped late is no leak any more, and of the CPU's nothing can be lost. */
static void leak_that_ended(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma, again;
	struct device *dev = leave(test, buf, &dma);

	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	again = map_again(test, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	leaver_put(dev);
	dev = leaver_get(test);
	kt_set(test, "dedup", "0");
	dma = leaver_map_rx(test, dev, buf);
	dma_sync_single_for_cpu(dev, dma, SIZE, DMA_FROM_DEVICE);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	again = map_again(test, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

/* === Drivers whose probe() fails ========================================== */

#define FAILER "dma_owner_failer"

/* What the next probe() is to do, and what it has done. */
static struct {
	struct kunit *test;
	int err;
	bool maps, managed, by_thread;
	u8 *buf;
	dma_addr_t dma;
	struct module *owner;
	int calls;
} failer;

static kt_noinline dma_addr_t failer_map(struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, SIZE, DMA_FROM_DEVICE);

	KUNIT_EXPECT_FALSE(failer.test, dma_mapping_error(dev, dma));
	return dma;
}

static void failer_unmap(void *dev)
{
	dma_unmap_single(dev, failer.dma, SIZE, DMA_FROM_DEVICE);
}

static int failer_map_in_thread(void *dev)
{
	failer.dma = failer_map(dev, failer.buf);
	return 0;
}

static int failer_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;

	failer.owner = dev->driver->owner;
	failer.calls++;
	if (failer.by_thread) {
		struct kt_thread t;

		/* So that this module's functions are another driver's. */
		dev->driver->owner = NULL;
		kt_thread_start(&t, failer_map_in_thread, dev);
		kt_thread_join(&t);
	} else if (failer.maps) {
		failer.dma = failer_map(dev, failer.buf);
	}
	if (failer.managed)
		KUNIT_EXPECT_EQ(failer.test, devm_add_action(dev, failer_unmap, dev), 0);
	/* Where it is tried again, it leaves nothing more. */
	failer.maps = false;
	failer.managed = false;
	failer.by_thread = false;
	return failer.err;
}

static struct platform_driver failer_driver = {
	.probe = failer_probe,
	.driver.name = FAILER,
};

static struct device *failer_get(struct kunit *test)
{
	struct platform_device *pdev;

	memset(&failer, 0, sizeof(failer));
	failer.test = test;
	failer.buf = kt_buf(test, SIZE);
	failer.err = -ENODEV;
	pdev = platform_device_register_simple(FAILER, PLATFORM_DEVID_NONE, NULL, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pdev));
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	return &pdev->dev;
}

/* One probe(); what it has left is looked at when the device is not locked any more. */
static void failer_fail(struct kunit *test)
{
	u32 *budget = kt_quiet_dma_debug(test), was = 0;
	int i;

	if (budget)
		was = xchg(budget, 0);
	KUNIT_ASSERT_EQ(test, dod_test_driver_register(&failer_driver), 0);
	for (i = 0; i < 20 && !kt_pending(); i++)
		msleep(20);
	failer_driver.driver.owner = failer.owner;
	platform_driver_unregister(&failer_driver);
	if (budget)
		*budget = was;
	KUNIT_EXPECT_GE(test, failer.calls, 1);
}

/* The same device with a driver that leaves nothing. */
static void failer_next_driver(struct kunit *test)
{
	failer.err = 0;
	failer_fail(test);
	EXPECT_SILENCE(test);
}

static void check_failed_probe(struct kunit *test, int err)
{
	struct device *dev = failer_get(test);

	failer.err = err;
	failer.maps = true;
	failer_fail(test);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in failer_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " FAILER " is not bound to device " FAILER
				       ": its probe() failed, in task *"));
	KUNIT_EXPECT_TRUE(test, kt_has("It left 1 mapping of 512 bytes."));
	KUNIT_EXPECT_TRUE(test, kt_has(" failer_probe+0x*"));
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, failer.buf, 8);
	failer_next_driver(test);
	failer_unmap(dev);
	EXPECT_CPU_OWNS(test, failer.buf, 8);
	platform_device_unregister(to_platform_device(dev));
	EXPECT_SILENCE(test);
}

static void failed_probe(struct kunit *test)
{
	check_failed_probe(test, -ENODEV);
}

static void deferred_probe(struct kunit *test)
{
	check_failed_probe(test, -EPROBE_DEFER);
}

/* What the driver core takes back after a failed probe() is not left. */
static void failed_probe_managed(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.maps = true;
	failer.managed = true;
	failer_fail(test);
	EXPECT_SILENCE(test);
	EXPECT_CPU_OWNS(test, failer.buf, 8);
	platform_device_unregister(to_platform_device(dev));
}

/* By the bus, or by the device's user before. */
static void mapped_before_a_failed_probe(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.dma = failer_map(dev, failer.buf);
	failer_fail(test);
	failer_next_driver(test);
	failer_unmap(dev);
	EXPECT_SILENCE(test);
	platform_device_unregister(to_platform_device(dev));
}

/* Another driver maps for the device, as for a DMA engine, while this one is probed. */
static void others_map_during_a_failed_probe(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.by_thread = true;
	failer_fail(test);
	EXPECT_SILENCE(test);
	failer_unmap(dev);
	platform_device_unregister(to_platform_device(dev));
	EXPECT_SILENCE(test);
}

/* === IOMMU faults ========================================================= */

#if IS_ENABLED(CONFIG_IOMMU_API)
/* As an IOMMU's driver does it. */
static bool fault_says(struct device *dev, dma_addr_t dma, const char *pattern)
{
	static struct iommu_domain domain;

	kt_reset();
	report_iommu_fault(&domain, dev, dma, IOMMU_FAULT_WRITE);
	if (*pattern ? glob_match(pattern, kt_note()) : !*kt_note())
		return true;
	pr_info("note is '%s'\n", kt_note());
	return false;
}

static void iommu_fault(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	/* A device that was never seen: the IOMMU itself, perhaps. */
	KUNIT_EXPECT_TRUE(test, fault_says(dev, 0x1000, ""));
	dma = leaver_map_rx(test, dev, buf);
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + 16, "dma_owner_debug: IOMMU fault of "
		LEAVER " " LEAVER " at 0x*: 16 bytes into a mapping of 512 bytes, "
		"DMA_FROM_DEVICE, at 0x*, mapped * us ago by leaver_map_rx+0x*"));
	KUNIT_EXPECT_FALSE(test, strstr(kt_note(), "unmapped"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + SIZE + 9, "*: 10 bytes behind a mapping*"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma - 7, "*: 7 bytes before a mapping*"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + SZ_16M, "*: not near any mapping*"));
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma, "*: 0 bytes into a mapping *, "
					   "unmapped * us ago by *+0x*"));
	unbind(test, dev);
	leaver_put(dev);
}
#endif

static struct kunit_case lifecycle_cases[] = {
	DIRECTION_CASE(object),
	KUNIT_CASE(part_of_an_object),
	KUNIT_CASE(part_is_the_devices),
	KUNIT_CASE(odd_object),
	KUNIT_CASE(large_object),
	KUNIT_CASE(object_of_a_cache),
	KUNIT_CASE(sg_entry),
	KUNIT_CASE(mapped_twice),
	KUNIT_CASE(of_the_cpu),
	KUNIT_CASE(skip_cpu_sync),
	DIRECTION_CASE(after_the_unmap),
	KUNIT_CASE(neighbours),
	KUNIT_CASE(neighbour_of_a_long_mapping),
	KUNIT_CASE(guarded_edge),
	KUNIT_CASE(watched_byte),
	DIRECTION_CASE(bulk),
	KUNIT_CASE(bulk_of_a_cache),
	KUNIT_CASE(bulk_after_the_unmap),
	KUNIT_CASE(member_by_rcu),
	KUNIT_CASE(start_by_rcu),
	KUNIT_CASE(by_rcu_after_the_unmap),
#if IS_ENABLED(CONFIG_KASAN_GENERIC)
	DIRECTION_CASE(unseen_found_by_unmap),
	KUNIT_CASE(unseen_found_by_sync),
	KUNIT_CASE(unseen_found_by_sync_sg),
	KUNIT_CASE(unseen_page),
	KUNIT_CASE(unseen_found_by_scan),
	KUNIT_CASE(unseen_of_the_cpu),
	KUNIT_CASE(left_in_an_object),
	KUNIT_CASE(left_in_an_object_of_a_cache),
	KUNIT_CASE(left_in_bulk),
	KUNIT_CASE(left_to_rcu),
	KUNIT_CASE(left_in_a_pool),
	KUNIT_CASE(left_in_pages),
	KUNIT_CASE(left_in_the_neighbour),
#endif
	KUNIT_CASE(pool_of_objects),
	KUNIT_CASE(pool_of_a_cache),
	KUNIT_CASE(pool_of_pages),
	KUNIT_CASE(pool_page_of_others),
	KUNIT_CASE(pool_of_mapped_buffers),
	KUNIT_CASE(null_pointers),
	KUNIT_CASE(page),
	KUNIT_CASE(part_of_a_page),
	KUNIT_CASE(tail_of_a_compound_page),
	KUNIT_CASE(pages_that_are_no_folio),
	KUNIT_CASE(page_of_many),
	KUNIT_CASE(huge),
	KUNIT_CASE(huge_folio),
	KUNIT_CASE(last_reference),
	KUNIT_CASE(vmalloc_pages),
	KUNIT_CASE(pages_after_the_unmap),
	KUNIT_CASE(dma_pages),
	KUNIT_CASE(late_sync),
	KUNIT_CASE(mapped_again),
	KUNIT_CASE(late_sync_of_the_cpus),
#if IS_ENABLED(CONFIG_NET)
	KUNIT_CASE(skb_data),
	KUNIT_CASE(skb_after_the_unmap),
	KUNIT_CASE(clone_of_an_skb),
#endif
	KUNIT_CASE(leak),
	KUNIT_CASE(leak_of_the_cpus),
	KUNIT_CASE(no_leak),
	KUNIT_CASE(leak_of_freed_memory),
	KUNIT_CASE(leak_is_mapped_again),
	KUNIT_CASE(leak_is_freed),
	KUNIT_CASE(freed_leak_is_mapped_again),
	KUNIT_CASE(freed_is_mapped_again),
	KUNIT_CASE(leak_that_ended),
	KUNIT_CASE(failed_probe),
	KUNIT_CASE(deferred_probe),
	KUNIT_CASE(failed_probe_managed),
	KUNIT_CASE(mapped_before_a_failed_probe),
	KUNIT_CASE(others_map_during_a_failed_probe),
#if IS_ENABLED(CONFIG_IOMMU_API)
	KUNIT_CASE(iommu_fault),
#endif
	{}
};

KT_SUITE(kt_lifecycle_suite, "lifecycle", lifecycle_cases);
