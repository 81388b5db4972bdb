// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 9: what is a fault on this device is reported; what would be one only elsewhere needs
 * noncoherent=<line size>. Coherent devices, the parameter itself, and devices that are really
 * not coherent, on machines on which devices need not be.
 */

#include <linux/dma-direct.h>
#include <linux/kfence.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt_lines.h"

KT_WRITABLE_DIRECTIONS;

/* On coherent devices all of this is legal. */
static void coherent_device_silent(struct kunit *test)
{
	u8 *buf = kt_object(test), *page = kt_page_buf(test);
	dma_addr_t a, b;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));

	kt_set(test, "noncoherent", "0");
	kt_map_legally(test, buf + 24, 200, DMA_FROM_DEVICE);
	a = test_dma_map(test, kt_dev, page, 16, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 32, 16, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, page + 16, 8);
	dma_unmap_single(kt_dev2, b, 16, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, a, 16, DMA_FROM_DEVICE);
	a = test_dma_map(test, kt_dev, page, 256, DMA_FROM_DEVICE);
	b = test_dma_map(test, kt_dev2, page + 128, 256, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev2, b, 256, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev, a, 256, DMA_FROM_DEVICE);
}

static void parameter_changed_while_mapped_kept(struct kunit *test)
{
	u8 *page = kt_page_buf(test);
	dma_addr_t with, without;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));

	with = test_dma_map(test, kt_dev, page + 16, 160, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "0");
	without = test_dma_map(test, kt_dev, page + 512 + 16, 160, DMA_FROM_DEVICE);
	EXPECT_EDGE(test, page + 8, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	kt_set(test, "noncoherent", "32");
	EXPECT_EDGE(test, page + 176, 8);
	EXPECT_CPU_OWNS(test, page + 512 + 8, 8);
	dma_unmap_single(kt_dev, with, 160, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, without, 160, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/* === The parameter ======================================================== */

static void bad_line_sizes_refused(struct kunit *test)
{
	static const char * const values[] = {
		"48", "4096", "x", "", "-64", "4", "1", "64x", "2048", "63"
	};
	u8 *buf = kt_object(test);
	dma_addr_t dma;
	int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		char quoted[16];

		kt_reset();
		KUNIT_EXPECT_EQ_MSG(test, dma_owner_debug_param_set("noncoherent", values[i]),
				    -EINVAL, "noncoherent=%s", values[i]);
		snprintf(quoted, sizeof(quoted), "not \"%s\"", values[i]);
		KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "a power of two from 8 to 1024"),
				      "said '%s'", kt_note());
		KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), quoted), "said '%s'", kt_note());
	}
	/* The earlier value is still in force. */
	dma = test_dma_map(test, kt_dev, buf + LINE, 48, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 48);
	EXPECT_TEXT(test, LAST "16 bytes" AFTER);
	dma_unmap_single(kt_dev, dma, 48, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "0x80\n");
	kt_set(test, "noncoherent", "8");
	kt_set(test, "noncoherent", "1024");
}

/* === Devices that are really not coherent ================================= */

/*
 * Makes the first device one that is not coherent, until the test ends. No data are
 * transferred, so cache maintenance changes nothing on a coherent machine.
 */
static void requires_noncoherent(struct kunit *test)
{
	dod_set_coherent(kt_dev, false);
	KT_REQUIRES(test, !dev_is_dma_coherent(kt_dev));
	/* riscv without instructions for caches: none of its devices is anything but coherent. */
	if (IS_ENABLED(CONFIG_RISCV) && dod_cache_line() == 1)
		kunit_skip(test, "this processor has no instructions for its caches");
	KUNIT_ASSERT_GE(test, dod_cache_line(), 16);
	kt_set(test, "noncoherent", "0");
}

/* The kernel does not bounce what has this size. */
#define LARGE(line)	(4 * max((line), 128))

static u8 *lines_of(struct kunit *test, size_t size)
{
	u8 *buf = kt_buf(test, roundup_pow_of_two(size));

	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(virt_to_phys(buf), dod_cache_line()));
	return buf;
}

static void real_line_shared_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	int line = dod_cache_line(), size = LARGE(line);
	dma_addr_t dma;
	char text[128];
	u8 *buf;

	requires_noncoherent(test);
	buf = lines_of(test, size + 2 * line);
	dma = test_dma_map(test, kt_dev, buf + line - 8, size, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, size);
	snprintf(text, sizeof(text),
		 "Its first cache line, of %d bytes, also holds %d bytes" BEFORE, line, line - 8);
	EXPECT_TEXT(test, text);
	snprintf(text, sizeof(text),
		 "Its last cache line, of %d bytes, also holds 8 bytes" AFTER, line);
	EXPECT_TEXT(test, text);
	EXPECT_TEXT(test, " The device is not cache-coherent, its mask is 0x*ffffffff.");
	dma_unmap_single(kt_dev, dma, size, dir);
	kt_map_legally(test, buf + line, size, dir);
	kt_map_legally(test, buf + line - 8, size, DMA_TO_DEVICE);
	EXPECT_CLEAN(test, buf, size + 2 * line);
}

static void real_edge_written_reported(struct kunit *test)
{
	int line = dod_cache_line(), size = LARGE(line);
	dma_addr_t dma;
	u8 *page;

	requires_noncoherent(test);
	page = kt_page_buf(test);
	dma = test_dma_map(test, kt_dev, page + line + 8, size, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_EDGE(test, page + line, 8);
	EXPECT_EDGE(test, page + line + 8 + size, 8);
	EXPECT_CPU_OWNS(test, page + line - 8, 8);
	EXPECT_CPU_OWNS(test, page + 2 * line + size, 8);
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, page, PAGE_SIZE);
}

/*
 * Buffers so small that the kernel bounces them, of kmalloc() or not: the device does not
 * write to their lines. DMA_TO_DEVICE is not bounced, and dirties no line.
 */
static void small_bounced_silent(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	int line = dod_cache_line();
	u8 *buf, *page;
	dma_addr_t dma;
	bool bounced;

	requires_noncoherent(test);
	buf = lines_of(test, 4 * line);
	dma = test_dma_map(test, kt_dev, buf, 16, dir);
	bounced = dma_to_phys(kt_dev, dma) != virt_to_phys(buf);
	dma_unmap_single(kt_dev, dma, 16, dir);
	if (!bounced) {
		kt_reset();
		kunit_skip(test, "this kernel does not bounce small buffers");
	}
	EXPECT_SILENCE(test);
	kt_map_legally(test, buf + line - 8, 16, dir);
	kt_map_legally(test, buf + line + 1, line / 2 - 1, dir);
	kt_map_legally(test, buf + line - 8, 16, DMA_TO_DEVICE);
	page = kt_page_buf(test);
	dma = test_dma_map(test, kt_dev, page + 8, 16, dir);
	EXPECT_CPU_OWNS(test, page, 8);
	EXPECT_CPU_OWNS(test, page + 24, 8);
	EXPECT_DEVICE_OWNS(test, dir, page + 8, 16);
	dma_unmap_single(kt_dev, dma, 16, dir);
	/* A size that kmalloc() would align is not bounced, aligned or not. */
	dma = test_dma_map(test, kt_dev, buf + line - 8, line, dir);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, line);
	dma_unmap_single(kt_dev, dma, line, dir);
}

/* An object of kmalloc() has its lines for itself, or is bounced. */
static void real_kmalloc_silent(struct kunit *test)
{
	static const int slack[] = { 0, 1, 7, 8, 33 };
	enum dma_data_direction dir = dir_of(test);
	int size, i;

	requires_noncoherent(test);
	for (size = 8; size <= 4096; size += size < 512 ? 8 : 128) {
		for (i = 0; i < ARRAY_SIZE(slack) && slack[i] < size; i++) {
			u8 *buf = kmalloc(size - slack[i], GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, buf);
			kt_map_legally(test, buf, size - slack[i], dir);
			kfree(buf);
		}
	}
}

/* Returns whether any two of the objects share a line. */
static bool map_neighbours(struct kunit *test, u8 **obj, int nr, int size)
{
	int line = dod_cache_line(), i, j;
	bool any = false;

	for (i = 0; i < nr; i++) {
		u8 *first = PTR_ALIGN_DOWN(obj[i], line);
		u8 *end = PTR_ALIGN(obj[i] + size, line);
		bool shares = false;
		dma_addr_t dma;

		if (is_kfence_address(obj[i]))
			continue;
		for (j = 0; j < nr; j++)
			if (j != i && obj[j] < end && obj[j] + size > first)
				shares = true;
		dma = test_dma_map(test, kt_dev, obj[i], size, DMA_FROM_DEVICE);
		if (shares)
			EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, size);
		else if (IS_ENABLED(CONFIG_KASAN_GENERIC))
			EXPECT_SILENCE(test);
		else	/* Without it a neighbour that is free counts as well. */
			kt_take_all();
		any |= shares;
		dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	}
	return any;
}

/*
 * Objects of a cache without alignment: the next object may begin in the last line, after a
 * redzone, which counts on real lines only. KASAN leaves less than a line between the small
 * ones, and more between the others. Neither are bounced: kmalloc() would have returned
 * whole lines.
 */
static void real_neighbours_reported(struct kunit *test)
{
	const int sizes[] = { dod_cache_line() - 24, LARGE(dod_cache_line()) + 8 };
	struct kmem_cache *cache;
	bool shared = false;
	u8 *obj[24];
	int s, i;

	requires_noncoherent(test);
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		cache = kmem_cache_create("dma_owner_lines", sizes[s], 8, 0, NULL);
		KUNIT_ASSERT_NOT_NULL(test, cache);
		for (i = 0; i < ARRAY_SIZE(obj); i++)
			obj[i] = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
		shared |= map_neighbours(test, obj, ARRAY_SIZE(obj), sizes[s]);
		for (i = 0; i < ARRAY_SIZE(obj); i++)
			kmem_cache_free(cache, obj[i]);
		kmem_cache_destroy(cache);
	}
	KUNIT_EXPECT_TRUE(test, shared);
}

static struct kunit_case noncoherent_cases[] = {
	KUNIT_CASE(coherent_device_silent),
	KUNIT_CASE(parameter_changed_while_mapped_kept),
	KUNIT_CASE(bad_line_sizes_refused),
	DIRECTION_CASE(real_line_shared_reported),
	KUNIT_CASE(real_edge_written_reported),
	DIRECTION_CASE(small_bounced_silent),
	DIRECTION_CASE(real_kmalloc_silent),
	KUNIT_CASE(real_neighbours_reported),
	{}
};

KT_SUITE_INIT(noncoherent, kt_lines_test_init);
