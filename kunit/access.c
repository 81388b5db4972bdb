// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 1, 3 and 4: single loads and stores. What a device owns traps as its
 * direction says, at every size and at both ends of the buffer; what it does
 * not own, and what lies next to it, stays silent.
 */

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "dod_test.h"

KT_DIRECTIONS;

/* Every size of access, at the first and at the last bytes of the buffer. */
static void owned_by_device(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 256, dir);
	size_t size;

	for (size = 1; size <= 16; size *= 2) {
		EXPECT_DEVICE_OWNS(test, dir, buf, size);
		EXPECT_DEVICE_OWNS(test, dir, buf + 256 - size, size);
	}
	dma_unmap_single(kt_dev, dma, 256, dir);
}

static void owned_by_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma;
	size_t size;
	int round;

	for (round = 0; round < 3; round++) {
		for (size = 1; size <= 16; size *= 2) {
			EXPECT_CPU_OWNS(test, buf, size);
			EXPECT_CPU_OWNS(test, buf + 256 - size, size);
		}
		dma = test_dma_map(test, kt_dev, buf, 256, dir);
		EXPECT_WRITE_TRAPS(test, buf + 128, 4);
		dma_unmap_single(kt_dev, dma, 256, dir);
	}
}

/* A mapping in the middle of an object leaves the rest of it alone. */
static void neighbours(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 128, dir);

	EXPECT_CPU_OWNS(test, buf, 16);
	EXPECT_CPU_OWNS(test, buf + 63, 1);
	EXPECT_CPU_OWNS(test, buf + 192, 1);
	EXPECT_CPU_OWNS(test, buf + 240, 16);
	EXPECT_DEVICE_OWNS(test, dir, buf + 64, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 191, 1);
	dma_unmap_single(kt_dev, dma, 128, dir);
	EXPECT_CPU_OWNS(test, buf + 64, 16);
}

/* An access of which the device owns only the end, or only the beginning. */
static void straddling(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_ARCH_SUPPORTS_INT128));

	dma = test_dma_map(test, kt_dev, buf + 64, 128, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf + 56, 16);
	EXPECT_DEVICE_OWNS(test, dir, buf + 184, 16);
	dma_unmap_single(kt_dev, dma, 128, dir);
}

/*
 * A buffer that ends within a granule, at the end of its object: its last byte
 * is guarded too, and unmap puts back exactly the shadow that was there.
 */
static void odd_sizes(struct kunit *test)
{
	static const size_t sizes[] = { 1, 3, 7, 9, 13, 31, 61, 1514 };
	enum dma_data_direction dir = dir_of(test);
	u8 before[DIV_ROUND_UP(1514, 8) + 1];
	int i, g;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];
		u8 *buf = kt_buf(test, size);
		dma_addr_t dma;

		for (g = 0; g * 8 < size + 8; g++)
			before[g] = kt_shadow(buf + 8 * g);
		EXPECT_CPU_OWNS(test, buf + size - 1, 1);
		dma = test_dma_map(test, kt_dev, buf, size, dir);
		EXPECT_DEVICE_OWNS(test, dir, buf, 1);
		EXPECT_DEVICE_OWNS(test, dir, buf + size - 1, 1);
		dma_unmap_single(kt_dev, dma, size, dir);
		EXPECT_CPU_OWNS(test, buf + size - 1, 1);
		for (g = 0; g * 8 < size + 8; g++)
			KUNIT_EXPECT_EQ_MSG(test, kt_shadow(buf + 8 * g), before[g],
					    "size %zu, granule %d", size, g);
	}
}

/* The last granule also holds a byte that is not mapped: hands off. */
static void tail_shared_with_cpu(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	long untrapped = dma_owner_debug_count("untrapped_sub_granule");
	u8 *buf = kt_buf(test, 13);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 12, dir);

	EXPECT_CPU_OWNS(test, buf + 12, 1);
	EXPECT_DEVICE_OWNS(test, dir, buf + 7, 1);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("untrapped_sub_granule"), untrapped);
	dma_unmap_single(kt_dev, dma, 12, dir);
	EXPECT_CPU_OWNS(test, buf + 12, 1);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 8), 5);
}

/* Three bytes that the compiler checks at both ends, wherever they lie. */
struct odd_field {
	u32 value:24;
} __packed;

static kt_noinline u32 test_read_odd_field(const volatile struct odd_field *field)
{
	return field->value;
}

/* Up to the last byte of an object: what is behind it has not been touched. */
static void odd_field_at_the_end(struct kunit *test)
{
	u8 *buf = kt_buf(test, 8);
	dma_addr_t dma;

	memset(buf, 0x11, 8);
	dma = test_dma_map(test, kt_dev, buf, 8, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, test_read_odd_field((void *)(buf + 5)), 0x111111);
	KUNIT_EXPECT_EQ(test, test_read_odd_field((void *)buf), 0x111111);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 8, DMA_TO_DEVICE);
}

/* A report stops nobody: the store lands, and so does the next one. */
static void write_goes_ahead(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, dir);

	EXPECT_WRITE_TRAPS(test, buf + 8, 1);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 8), 0x5a);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 9), 0);
	EXPECT_WRITE_TRAPS(test, buf + 16, 8);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 16), 0x5a);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 23), 0x5a);
	EXPECT_WRITE_TRAPS(test, buf + 16, 8);
	dma_unmap_single(kt_dev, dma, 64, dir);
}

static kt_noinline u32 test_load(const u32 *p)
{
	OPTIMIZER_HIDE_VAR(p);
	return READ_ONCE(*p);
}

/* The load behind a trap sees the memory, whether or not it is reported. */
static void read_goes_ahead(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u32 *buf = kt_buf(test, 64);
	dma_addr_t dma;

	buf[3] = 0xfeedc0de;
	dma = test_dma_map(test, kt_dev, buf, 64, dir);
	KUNIT_EXPECT_EQ(test, test_load(buf + 3), 0xfeedc0de);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		EXPECT_REPORT(test, "cpu-read", test_load, buf + 3, 4);
	dma_unmap_single(kt_dev, dma, 64, dir);
}

static kt_noinline int test_atomic_read(atomic_t *v)
{
	return atomic_read(v);
}

static kt_noinline void test_atomic_inc(atomic_t *v)
{
	atomic_inc(v);
}

static kt_noinline void test_set_bit(unsigned long *word)
{
	set_bit(3, word);
}

/*
 * Written in assembly, and yet checked: explicitly, and on some architectures
 * once more by the compiler, so that one access is reported twice.
 */
static void expect_reports(struct kunit *test, const char *title)
{
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), title), "title '%s' instead of '%s'",
			      kt_line(0), title);
}

static void atomics(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	unsigned long *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, dir);
	atomic_t *v = (atomic_t *)buf;

	kt_set(test, "strict", "1");
	KUNIT_EXPECT_EQ(test, test_atomic_read(v), 0);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		expect_reports(test, "BUG: DMA_OWNER: cpu-read in test_atomic_read+0x");

	/* A read-modify-write is a write, whatever it reads. */
	test_atomic_inc(v);
	expect_reports(test, "BUG: DMA_OWNER: cpu-write in test_atomic_inc+0x");
	KUNIT_EXPECT_EQ(test, kt_peek(v), IS_ENABLED(CONFIG_CPU_BIG_ENDIAN) ? 0 : 1);

	test_set_bit(buf + 1);
	expect_reports(test, "BUG: DMA_OWNER: cpu-write in test_set_bit+0x");
	dma_unmap_single(kt_dev, dma, 64, dir);

	/* A bounce buffer may have undone what was written into a device's memory. */
	atomic_set(v, 1);
	test_atomic_inc(v);
	test_set_bit(buf + 1);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, test_atomic_read(v), 2);
}

/* Pages that are not slab, several of them in one mapping. */
static void several_pages(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct page *page = kt_page(test, 2);
	u8 *buf = page_address(page);
	dma_addr_t dma;
	int i;

	dma = dma_map_page(kt_dev, page, 64, 4 * PAGE_SIZE - 128, dir);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	EXPECT_CPU_OWNS(test, buf + 56, 8);
	for (i = 1; i < 4; i++) {
		EXPECT_DEVICE_OWNS(test, dir, buf + i * PAGE_SIZE - 8, 8);
		EXPECT_DEVICE_OWNS(test, dir, buf + i * PAGE_SIZE, 8);
	}
	EXPECT_CPU_OWNS(test, buf + 4 * PAGE_SIZE - 64, 8);
	dma_unmap_page(kt_dev, dma, 4 * PAGE_SIZE - 128, dir);
	EXPECT_CLEAN(test, buf, 4 * PAGE_SIZE);
}

/* A kmalloc() so large that it is made of pages. */
static void large_kmalloc(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	const size_t size = 3 * PAGE_SIZE + 100;
	u8 *buf = kt_buf(test, size);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, dir);

	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + PAGE_SIZE, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + size - 1, 1);
	dma_unmap_single(kt_dev, dma, size, dir);
	EXPECT_CPU_OWNS(test, buf + size - 1, 1);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + size - 1), 4);
}

/* Objects of a cache of one's own lie closer together than kmalloc()'s. */
static void neighbour_objects(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	struct kmem_cache *cache = kmem_cache_create("dma_owner_kunit", 104, 8, 0, NULL);
	u8 *obj[16];
	dma_addr_t dma;
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, cache);
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		obj[i] = kmem_cache_zalloc(cache, GFP_KERNEL);
	/* The third one: with 16 in a row, KFENCE can have taken one at most. */
	dma = dma_map_single(kt_dev, obj[3], 104, dir);
	if (dma_mapping_error(kt_dev, dma)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		for (i = 0; i < ARRAY_SIZE(obj); i++) {
			if (i != 3) {
				EXPECT_CPU_OWNS(test, obj[i], 8);
				EXPECT_CPU_OWNS(test, obj[i] + 96, 8);
			}
		}
		dma_unmap_single(kt_dev, dma, 104, dir);
	}
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		kmem_cache_free(cache, obj[i]);
	kmem_cache_destroy(cache);
}

static struct kunit_case access_cases[] = {
	DIRECTION_CASE(owned_by_device),
	DIRECTION_CASE(owned_by_cpu),
	DIRECTION_CASE(neighbours),
	DIRECTION_CASE(straddling),
	DIRECTION_CASE(odd_sizes),
	DIRECTION_CASE(tail_shared_with_cpu),
	KUNIT_CASE(odd_field_at_the_end),
	DIRECTION_CASE(write_goes_ahead),
	DIRECTION_CASE(read_goes_ahead),
	DIRECTION_CASE(atomics),
	DIRECTION_CASE(several_pages),
	DIRECTION_CASE(large_kmalloc),
	DIRECTION_CASE(neighbour_objects),
	{}
};

KT_SUITE(kt_access_suite, "access", access_cases);
