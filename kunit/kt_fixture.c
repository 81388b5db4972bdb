// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites work with: devices, buffers, mappings, accesses, threads, frees, and the
 * tool's parameters, which are the same at the start of each test.
 */

#include <linux/debugfs.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swiotlb.h>
#include <linux/vmalloc.h>

#include "kt_lines.h"
#include "one_access.h"

/* === Accesses ============================================================= */

/**
 * test_dma_read() - Read memory with one instrumented load.
 * @p: where
 * @size: 1, 2, 4, 8 or 16
 */
kt_noinline void test_dma_read(const void *p, size_t size)
{
	one_load(p, size);
}

/**
 * test_dma_write() - Write memory with one instrumented store of 0x5a bytes.
 * @p: where
 * @size: 1, 2, 4, 8 or 16
 */
kt_noinline void test_dma_write(void *p, size_t size)
{
	one_store(p, size);
}

/**
 * kt_peek() - Read a byte of a buffer without the sanitizer's checks.
 * @p: where
 *
 * Return: the byte.
 */
kt_noinline kt_unchecked u8 kt_peek(const void *p)
{
	return READ_ONCE(*(const u8 *)p);
}

/**
 * kt_shadow() - KASAN's shadow byte of an address, 0 if there is no shadow.
 * @p: the address
 *
 * Return: the value.
 */
kt_noinline kt_unchecked u8 kt_shadow(const void *p)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(*(const u8 *)kasan_mem_to_shadow(p));
#else
	return 0;
#endif
}

/**
 * kt_is_poisoned() - Does the shadow byte of an address carry a value of the tool?
 * @p: the address
 *
 * Return: true if it does.
 */
bool kt_is_poisoned(const void *p)
{
	u8 value = kt_shadow(p);

	return (value >= 0xd1 && value <= 0xd6) ||
	       (value > 0x88 && value < 0xa0 && (value & 7));
}

/**
 * kt_first_inaccessible() - The first granule that is not wholly accessible.
 * @p: the memory, of whole granules
 * @size: its size
 *
 * Return: its offset, -1 if there is none.
 */
int kt_first_inaccessible(const void *p, int size)
{
	int i;

	for (i = 0; i < size; i += 8)
		if (kt_shadow(p + i))
			return i;
	return -1;
}

/**
 * kt_device_writes() - Write as a device does, or code that no sanitizer sees.
 * @p: where
 * @size: how many bytes
 * @value: the value of each
 */
kt_noinline kt_unchecked void kt_device_writes(void *p, size_t size, u8 value)
{
	u8 *byte = p;

	while (size--)
		WRITE_ONCE(*byte++, value);
}

/**
 * kt_device_changes() - Change a byte as kt_device_writes() does.
 * @p: where
 */
kt_noinline kt_unchecked void kt_device_changes(u8 *p)
{
	WRITE_ONCE(*p, READ_ONCE(*p) + 1);
}

/* === Buffers ============================================================== */

/**
 * kt_buf() - A zeroed kmalloc() buffer that the tool can guard.
 * @test: the test that owns it; it is freed after the test
 * @size: its size
 *
 * KFENCE takes over some kmalloc() calls and the tool leaves its objects alone,
 * so a test that expects a trap would fail now and then.
 *
 * Return: the buffer; the test has failed if there is no memory.
 */
void *kt_buf(struct kunit *test, size_t size)
{
	void *buf;

	do {
		buf = kunit_kzalloc(test, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	} while (is_kfence_address(buf));
	return buf;
}

/**
 * kt_own_buf() - As kt_buf(), but the test frees it itself.
 * @test: the test
 * @size: its size
 *
 * Return: the buffer.
 */
void *kt_own_buf(struct kunit *test, size_t size)
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

/**
 * kt_kfence_buf() - A zeroed object of KFENCE's, for the test to free.
 * @test: the test; it is skipped if there is none
 * @size: its size
 *
 * KFENCE takes an allocation now and then: this allocates until it does.
 *
 * Return: the object.
 */
u8 *kt_kfence_buf(struct kunit *test, size_t size)
{
	unsigned long until = jiffies + 10 * HZ;
	u8 *buf;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KFENCE));
	do {
		buf = kzalloc(size, GFP_KERNEL);
		if (is_kfence_address(buf))
			return buf;
		kfree(buf);
		cond_resched();
	} while (time_before(jiffies, until));
	kunit_skip(test, "no KFENCE object within 10 s (kfence.sample_interval=0?)");
	return NULL;
}

static int page_init(struct kunit_resource *res, void *order)
{
	res->data = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP, (unsigned long)order);
	return res->data ? 0 : -ENOMEM;
}

static void page_free(struct kunit_resource *res)
{
	put_page(res->data);
}

/**
 * kt_page() - A zeroed page that is neither slab nor page cache.
 * @test: the test that owns it; it is freed after the test
 * @order: its order
 *
 * Return: the first page.
 */
struct page *kt_page(struct kunit *test, unsigned int order)
{
	struct page *page = kunit_alloc_resource(test, page_init, page_free, GFP_KERNEL,
						 (void *)(unsigned long)order);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	return page;
}

/**
 * kt_page_buf() - The memory of one page of kt_page().
 * @test: the test
 *
 * Return: its first byte.
 */
u8 *kt_page_buf(struct kunit *test)
{
	return page_address(kt_page(test, 0));
}

/**
 * kt_boundary() - The first byte of a region, with the end of another region before it.
 * @test: the test that owns the memory: a region on either side
 *
 * The tool divides memory into regions of 2 MiB, and keeps mappings that span two of them in
 * a tree of their own.
 *
 * Return: that byte.
 */
u8 *kt_boundary(struct kunit *test)
{
	struct page *page = kt_page(test, get_order(2 * SZ_2M));

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(page_to_phys(page), SZ_2M));
	return (u8 *)page_address(page) + SZ_2M;
}

/**
 * kt_own_pages() - Pages that the test frees itself.
 * @test: the test; it is skipped if there are none
 * @gfp: flags besides GFP_KERNEL
 * @order: their order
 *
 * Return: the first page.
 */
struct page *kt_own_pages(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | gfp, order);

	if (!page)
		kunit_skip(test, "no %lu pages in a row", BIT(order));
	return page;
}

#define PAGES_TRIED	64

/**
 * kt_get_this_page() - Allocate pages until it is this one, which was freed.
 * @page: the page
 *
 * Return: whether it is allocated now; another CPU may be faster.
 */
bool kt_get_this_page(struct page *page)
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

/* === Mappings ============================================================= */

/**
 * test_dma_map() - dma_map_single() that must succeed.
 * @test: the running test
 * @dev: the device
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 *
 * Return: the DMA address.
 */
kt_noinline dma_addr_t test_dma_map(struct kunit *test, struct device *dev, void *buf, size_t size,
				    enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single(dev, buf, size, dir);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

/**
 * test_dma_unmap() - dma_unmap_single() of the first device.
 * @dma: the DMA address
 * @size: the size
 * @dir: the direction
 */
kt_noinline void test_dma_unmap(dma_addr_t dma, size_t size, enum dma_data_direction dir)
{
	dma_unmap_single(kt_dev, dma, size, dir);
	/* Not the last call, or its frame is not in the stack. */
	barrier();
}

/**
 * test_dma_map_page() - dma_map_page() for the first device, that must succeed.
 * @test: the running test
 * @page: the page
 * @offset: where in it the buffer begins
 * @size: its size
 * @dir: the direction
 *
 * Return: the DMA address.
 */
kt_noinline dma_addr_t test_dma_map_page(struct kunit *test, struct page *page, size_t offset,
					 size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_page(kt_dev, page, offset, size, dir);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

/**
 * test_dma_map_sg() - dma_map_sg() for the first device.
 * @sg: the list
 * @nents: number of its entries
 * @dir: the direction
 *
 * Return: number of entries that were mapped, 0 for an error.
 */
kt_noinline int test_dma_map_sg(struct scatterlist *sg, int nents, enum dma_data_direction dir)
{
	return dma_map_sg(kt_dev, sg, nents, dir);
}

/**
 * test_pool_map() - Map a page as page_pool does: it stays with the CPU until a sync.
 * @test: the running test
 * @page: the page
 * @dir: the direction
 *
 * Return: the DMA address.
 */
kt_noinline dma_addr_t test_pool_map(struct kunit *test, struct page *page,
				     enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_page_attrs(kt_dev, page, 0, PAGE_SIZE, dir, KT_POOL_ATTRS);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

/**
 * test_pool_unmap() - Unmap a page as page_pool does.
 * @dma: the DMA address
 * @dir: the direction
 */
kt_noinline void test_pool_unmap(dma_addr_t dma, enum dma_data_direction dir)
{
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, dir, KT_POOL_ATTRS);
	barrier();
}

/**
 * kt_map_skip_sync() - Map with DMA_ATTR_SKIP_CPU_SYNC; it must succeed.
 * @test: the running test
 * @dev: the device
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 *
 * Return: the DMA address.
 */
dma_addr_t kt_map_skip_sync(struct kunit *test, struct device *dev, void *buf, size_t size,
			    enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single_attrs(dev, buf, size, dir, DMA_ATTR_SKIP_CPU_SYNC);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

/**
 * kt_map_quietly() - test_dma_map() of what dma-debug takes for an overlap.
 * @test: the running test
 * @dev: the device
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 *
 * Return: the DMA address.
 */
dma_addr_t kt_map_quietly(struct kunit *test, struct device *dev, void *buf, size_t size,
			  enum dma_data_direction dir)
{
	u32 saved = kt_quiet_dma_debug();
	dma_addr_t dma = test_dma_map(test, dev, buf, size, dir);

	kt_unquiet_dma_debug(saved);
	return dma;
}

/**
 * kt_map_legally() - Map and unmap, of which there must be no report.
 * @test: the running test
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 */
void kt_map_legally(struct kunit *test, u8 *buf, size_t size, enum dma_data_direction dir)
{
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);

	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, size, dir);
}

/**
 * kt_dir_desc() - The name of a direction, for parameterised tests.
 * @dir: the direction
 * @desc: where to write it
 */
void kt_dir_desc(const enum dma_data_direction *dir, char *desc)
{
	static const char * const names[] = {
		[DMA_BIDIRECTIONAL] = "bidirectional",
		[DMA_TO_DEVICE] = "to_device",
		[DMA_FROM_DEVICE] = "from_device",
	};

	strscpy(desc, names[*dir], KUNIT_PARAM_DESC_SIZE);
}

/* === Frees ================================================================ */

/**
 * test_kfree() - kfree(), for a report to name.
 * @buf: the object
 */
kt_noinline void test_kfree(const void *buf)
{
	kfree(buf);
	barrier();
}

/**
 * test_free_pages() - __free_pages(), for a report to name.
 * @page: the first page
 * @order: their order
 */
kt_noinline void test_free_pages(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	barrier();
}

/**
 * test_vfree() - vfree(), for a report to name.
 * @buf: the memory
 */
kt_noinline void test_vfree(const void *buf)
{
	vfree(buf);
	barrier();
}

/**
 * kt_late_unmap() - An unmap after the free: it finds its mapping, and is silent.
 * @test: the running test
 * @dma: the DMA address
 * @size: the size
 * @dir: the direction
 */
void kt_late_unmap(struct kunit *test, dma_addr_t dma, size_t size, enum dma_data_direction dir)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	long live = dma_owner_debug_count("live");

	dma_unmap_page(kt_dev, dma, size, dir);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live - 1);
}

/* === Cache lines ========================================================== */

/**
 * kt_object() - An object of KT_OBJECT bytes that begins with a cache line.
 * @test: the test that owns it
 *
 * Return: the object.
 */
u8 *kt_object(struct kunit *test)
{
	/* kmalloc() aligns such sizes to themselves. */
	u8 *buf = kt_buf(test, KT_OBJECT);

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(virt_to_phys(buf), 2 * LINE));
	return buf;
}

/**
 * kt_lines_test_init() - kt_test_init(), with devices judged as if they were not coherent.
 * @test: the test; a bounce buffer shares no line with anything, so it is skipped then
 *
 * Return: 0, or a negative errno, which fails the test.
 */
int kt_lines_test_init(struct kunit *test)
{
	int err = kt_test_init(test);

	if (is_swiotlb_force_bounce(kt_dev))
		kunit_skip(test, "all is bounced (swiotlb=force)");
	if (!err)
		kt_set(test, "noncoherent", "64");
	return err;
}

/**
 * kt_two_desc() - The name of a pair of directions, for parameterised tests.
 * @two: the pair
 * @desc: where to write it
 */
void kt_two_desc(const struct kt_two *two, char *desc)
{
	char first[KUNIT_PARAM_DESC_SIZE], second[KUNIT_PARAM_DESC_SIZE];

	kt_dir_desc(&two->first, first);
	kt_dir_desc(&two->second, second);
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, %s", first, second);
}

static const char *dir_text(enum dma_data_direction dir)
{
	return dir == DMA_TO_DEVICE ? "DMA_TO_DEVICE" :
	       dir == DMA_FROM_DEVICE ? "DMA_FROM_DEVICE" : "DMA_BIDIRECTIONAL";
}

/**
 * kt_expect_other_mapping() - Does the report name the other mapping as well?
 * @test: the running test
 * @dev: the name of its device
 * @size: its size
 * @dir: its direction
 */
void kt_expect_other_mapping(struct kunit *test, const char *dev, int size,
			     enum dma_data_direction dir)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "The other mapping: device " KT_NAME " %s, %d bytes, %s",
		 dev, size, dir_text(dir));
	EXPECT_TEXT(test, line);
	EXPECT_TEXT(test, "Mapped by task * on cpu * at *");
}

/* === Parameters, and dma-debug ============================================ */

static bool strict;

/**
 * kt_set() - Set a parameter of the tool; it must take the value.
 * @test: the running test
 * @name: the parameter
 * @val: the value
 */
void kt_set(struct kunit *test, const char *name, const char *val)
{
	KUNIT_ASSERT_EQ_MSG(test, dma_owner_debug_param_set(name, val), 0,
			    "%s=%s", name, val);
	if (!strcmp(name, "strict"))
		strict = !strcmp(val, "1");
}

/**
 * kt_write_strictly() - A write that is reported at once, whatever comes later.
 * @p: first byte
 * @size: bytes
 *
 * Without strict=1, a write to what a device only reads is pending (rule 4).
 */
kt_noinline void kt_write_strictly(void *p, size_t size)
{
	dma_owner_debug_param_set("strict", "1");
	test_dma_write(p, size);
	dma_owner_debug_param_set("strict", strict ? "1" : "0");
}

/* dma-debug's budget of warnings, NULL if it cannot be reached. */
static u32 *dma_debug_budget;

static void find_dma_debug(void)
{
	struct dentry *dir = debugfs_lookup("dma-api", NULL), *file = NULL;

	dma_debug_budget = NULL;
	if (dir) {
		file = debugfs_lookup("num_errors", dir);
		dput(dir);
	}
	if (file) {
		dma_debug_budget = d_inode(file)->i_private;
		dput(file);
	}
}

/**
 * kt_can_quiet_dma_debug() - Can dma-debug be kept from warning?
 *
 * Return: true if it can, or if there is none.
 */
bool kt_can_quiet_dma_debug(void)
{
	return dma_debug_budget || !IS_ENABLED(CONFIG_DMA_API_DEBUG);
}

/**
 * kt_quiet_dma_debug() - Keep dma-debug from warning for a while. Any context.
 *
 * It rightly warns about what a few tests do on purpose, and would put a backtrace into the
 * log of a good run.
 *
 * Return: for kt_unquiet_dma_debug().
 */
u32 kt_quiet_dma_debug(void)
{
	return dma_debug_budget ? xchg(dma_debug_budget, 0) : 0;
}

/**
 * kt_unquiet_dma_debug() - dma-debug may warn again.
 * @saved: what kt_quiet_dma_debug() returned
 */
void kt_unquiet_dma_debug(u32 saved)
{
	if (dma_debug_budget)
		WRITE_ONCE(*dma_debug_budget, saved);
}

/* === Threads ============================================================== */

/* Waits to be joined: the module must not go while its code is on the stack. */
static int thread_main(void *arg)
{
	struct kt_thread *t = arg;

	t->ret = t->fn(t->arg);
	complete(&t->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/**
 * kt_thread_start() - Run a function in a kthread.
 * @t: the thread
 * @fn: the function
 * @arg: its argument
 */
void kt_thread_start(struct kt_thread *t, int (*fn)(void *arg), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	init_completion(&t->done);
	t->task = kthread_run(thread_main, t, "dma_owner_kunit");
}

/**
 * kt_thread_join() - Wait for a thread to end.
 * @t: the thread
 *
 * Return: what its function returned, or why it could not be started.
 */
int kt_thread_join(struct kt_thread *t)
{
	if (IS_ERR(t->task))
		return PTR_ERR(t->task);
	wait_for_completion(&t->done);
	kthread_stop(t->task);
	return t->ret;
}

/* === Suites =============================================================== */

struct device *kt_dev, *kt_dev2;

static struct platform_device *pdev[2];
static bool started;

static struct platform_driver kt_driver = {
	.driver.name = KT_NAME,
};

static const struct {
	const char *name, *for_tests, *by_default;
} params[] = {
	{ "fault", "report", "report" },
	{ "strict", "0", "0" },
	{ "trap_user", "0", "0" },
	{ "off_types", "", "" },
	{ "off_drivers", "", "" },
	{ "off_devices", "", "" },
	{ "dedup", "0", "1" },
	{ "history", "1", "1" },
	{ "report_burst", "0", "20" },
	{ "kunit_fail", "0", "1" },
	{ "noncoherent", "0", "0" },
	{ "wires", "", "" },
	{ "content", "on", "on" },
	{ "content_sample", "16", "16" },
	{ "untested_after", "60", "60" },
	{ "pending_after", "60", "60" },
	{ "content_max", "4096", "4096" },
	{ "watch_writes", "0", "64" },
	{ "canary", "0", "0" },
	{ "watch_cpu", "20", "20" },
	{ "watch_recent", "75", "75" },
	{ "map_frames", "12", "12" },
};

static struct device *add_device(int id)
{
	struct platform_device *p = platform_device_register_simple(KT_NAME, id, NULL, 0);
	int err;

	if (IS_ERR(p))
		return ERR_CAST(p);
	pdev[id] = p;
	err = dma_coerce_mask_and_coherent(&p->dev, DMA_BIT_MASK(64));
	return err ? ERR_PTR(err) : &p->dev;
}

static void remove_devices(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(pdev); i++)
		platform_device_unregister(pdev[i]);
	memset(pdev, 0, sizeof(pdev));
	platform_driver_unregister(&kt_driver);
}

/**
 * kt_suite_init() - Set up the observer, the devices and the tool's parameters.
 * @suite: the suite
 *
 * Return: 0, or a negative errno, which fails the suite.
 */
int kt_suite_init(struct kunit_suite *suite)
{
	int i, err;

	kt_skip_start(suite);
	find_dma_debug();
	err = kt_log_start();
	if (err)
		return err;
	err = dod_test_driver_register(&kt_driver);
	if (err)
		goto no_driver;
	kt_dev = add_device(0);
	kt_dev2 = add_device(1);
	err = PTR_ERR_OR_ZERO(kt_dev) ?: PTR_ERR_OR_ZERO(kt_dev2);
	for (i = 0; !err && i < ARRAY_SIZE(params); i++)
		err = dma_owner_debug_param_set(params[i].name, params[i].for_tests);
	if (!err) {
		started = true;
		return 0;
	}

	/* suite_exit() is called only by some kernels when suite_init() failed. */
	remove_devices();
no_driver:
	kt_log_stop();
	return err;
}

/**
 * kt_suite_exit() - Undo kt_suite_init(); the parameters are set to their defaults.
 * @suite: the suite
 */
void kt_suite_exit(struct kunit_suite *suite)
{
	int i;

	if (!started)
		return;
	started = false;
	for (i = 0; i < ARRAY_SIZE(params); i++)
		dma_owner_debug_param_set(params[i].name, params[i].by_default);
	remove_devices();
	kt_log_stop();
}

/**
 * kt_test_init() - Start a test with known parameters and an empty log.
 * @test: the test
 *
 * Return: 0, or a negative errno, which fails the test.
 */
int kt_test_init(struct kunit *test)
{
	int i, err = 0;

	kt_skip_unable(test);
	for (i = 0; !err && i < ARRAY_SIZE(params); i++)
		err = dma_owner_debug_param_set(params[i].name, params[i].for_tests);
	strict = false;
	/* The rules are those of a coherent device, until a test says otherwise. */
	dod_set_coherent(kt_dev, true);
	dod_set_coherent(kt_dev2, true);
	kt_reset();
	return err;
}

/**
 * kt_test_exit() - A report that the test did not ask about fails it.
 * @test: the test
 */
void kt_test_exit(struct kunit *test)
{
	EXPECT_SILENCE(test);
}

/* Where KASAN's exports for tests are; older kernels export them to all. */
MODULE_INFO(import_ns, "EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit suites of dma_owner_debug");
