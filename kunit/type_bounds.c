// SPDX-License-Identifier: GPL-2.0
/*
 * out-of-bounds-map and use-after-free-map: the mapped range runs into a redzone, a guard page
 * of KFENCE, or freed memory. Each alone and as an entry of a list between good ones, and the
 * longest mapping that is right.
 */

#include <linux/irqflags.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kt_misuse.h"

KT_WAYS;

/* For the test to free itself. Nothing after this may skip the test before it does. */
static u8 *own_buf(struct kunit *test, size_t size)
{
	kt_requires_quiet(test);
	return kt_own_buf(test, size);
}

/* === Out of bounds ======================================================== */

/* 100 bytes are 12.5 granules, and kmalloc() serves them with 112 or 128 bytes. */
static void past_object_end_reported(struct kunit *test)
{
	static const size_t sizes[] = { 101, 104, 105, 128, 129 };
	u8 *buf = kt_buf(test, 100);
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		kt_map_buf(test, buf, sizes[i]);
		EXPECT_MISUSE(test, "out-of-bounds-map", sizes[i]);
		kt_says(test, "Byte 100 of its %zu is in a redzone.", sizes[i]);
		kt_says_where(test, buf, sizes[i]);
		kt_says_object(test, buf, 0);
		kt_says(test, "Hint: map no more bytes than were allocated.");
	}
	/* The unmap did not make the redzone accessible. */
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 104), 0xfc);
	kt_map_buf(test, buf, 100);
	kt_map_buf(test, buf, 99);
	kt_map_buf(test, buf, 96);
	kt_map_buf(test, buf, 1);
	EXPECT_SILENCE(test);
}

/* The redzone begins with a granule of its own. */
static void past_granule_end_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 104);

	kt_map_buf(test, buf, 105);
	EXPECT_MISUSE(test, "out-of-bounds-map", 105);
	kt_says(test, "Byte 104 of its 105 is in a slab redzone.");
	kt_map_buf(test, buf, 104);
	EXPECT_SILENCE(test);
}

static void from_middle_past_end_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);

	kt_map_buf(test, buf + 50, 51);
	EXPECT_MISUSE(test, "out-of-bounds-map", 51);
	kt_says(test, "Byte 50 of its 51 is in a redzone.");
	kt_says_object(test, buf, 50);
	kt_map_buf(test, buf + 99, 2);
	EXPECT_MISUSE(test, "out-of-bounds-map", 2);
	kt_says(test, "Byte 1 of its 2 is in a redzone.");
	kt_map_buf(test, buf + 50, 50);
	kt_map_buf(test, buf + 99, 1);
	kt_map_buf(test, buf + 3, 4);
	EXPECT_SILENCE(test);
}

/* None of the range is in the object. */
static void after_object_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);

	kt_map_buf(test, buf + 100, 4);
	EXPECT_MISUSE(test, "out-of-bounds-map", 4);
	kt_says(test, "Byte 0 of its 4 is in a redzone.");
	kt_map_buf(test, buf + 112, 8);
	EXPECT_MISUSE(test, "out-of-bounds-map", 8);
	kt_says(test, "Byte 0 of its 8 is in a slab redzone.");
	kt_says_object(test, buf, 112);
}

static void past_one_byte_object_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 1);

	kt_map_buf(test, buf, 2);
	EXPECT_MISUSE(test, "out-of-bounds-map", 2);
	kt_says(test, "Byte 1 of its 2 is in a redzone.");
	kt_map_buf(test, buf, 1);
	EXPECT_SILENCE(test);
}

/* A caller of kmalloc_size_roundup() may use the whole size. */
static void rounded_up_size_silent(struct kunit *test)
{
	size_t size = kmalloc_size_roundup(100);
	u8 *buf = kt_buf(test, size);

	KUNIT_ASSERT_GT(test, size, 100);
	kt_map_buf(test, buf, size);
	EXPECT_SILENCE(test);
	kt_map_buf(test, buf, size + 1);
	EXPECT_MISUSE(test, "out-of-bounds-map", size + 1);
	kt_says(test, "Byte %zu of its %zu is in a slab redzone.", size, size + 1);
}

/* Larger than any slab object: pages, the last of which is not used in full. */
static void past_large_kmalloc_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 10000), *odd = kt_buf(test, 10001);

	kt_map_buf(test, buf, 10001);
	EXPECT_MISUSE(test, "out-of-bounds-map", 10001);
	kt_says(test, "Byte 10000 of its 10001 is in the redzone after a large kmalloc() buffer.");
	KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));
	kt_map_buf(test, odd, 10002);
	EXPECT_MISUSE(test, "out-of-bounds-map", 10002);
	kt_says(test, "Byte 10001 of its 10002 is in a redzone.");
	kt_map_buf(test, buf + 9000, 1001);
	EXPECT_MISUSE(test, "out-of-bounds-map", 1001);
	kt_says(test, "Byte 1000 of its 1001 is in the redzone after a large kmalloc() buffer.");
	kt_map_buf(test, buf, 10000);
	kt_map_buf(test, buf + 9000, 1000);
	kt_map_buf(test, odd, 10001);
	EXPECT_SILENCE(test);
}

/* krealloc() shrinks an object in place. */
static void past_shrunk_end_reported(struct kunit *test)
{
	u8 *buf = own_buf(test, 100), *less = krealloc(buf, 70, GFP_KERNEL);

	KUNIT_EXPECT_PTR_EQ(test, less, buf);
	kt_map_buf(test, less, 71);
	EXPECT_MISUSE(test, "out-of-bounds-map", 71);
	kt_says(test, "Byte 70 of its 71 is in a redzone.");
	kt_map_buf(test, less, 70);
	EXPECT_SILENCE(test);
	kfree(less);
}

/* One byte too many is a fault in each direction, and the redzone is not poisoned. */
static void past_end_any_direction_reported(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};
	u8 *buf = kt_buf(test, 100);
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		kt_map_page(test, virt_to_page(buf), offset_in_page(buf), 101, dirs[i]);
		EXPECT_MISUSE(test, "out-of-bounds-map", 101);
		KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
		kt_map_page(test, virt_to_page(buf), offset_in_page(buf), 100, dirs[i]);
		EXPECT_SILENCE(test);
	}
}

/* The redzone is found although another mapping has poisoned the last granule. */
static void past_end_while_mapped_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, 100, DMA_TO_DEVICE);

	kt_map_buf(test, buf, 101);
	EXPECT_MISUSE(test, "out-of-bounds-map", 101);
	kt_says(test, "Byte 100 of its 101 is in a redzone.");
	kt_map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 99, 1);
	dma_unmap_single(kt_dev2, dma, 100, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
}

/* === Entries of a list ==================================================== */

static struct kt_target prepare_list(struct kunit *test, int nents)
{
	struct kt_target t = {
		.nents = nents, .dir = DMA_TO_DEVICE,
	};

	sg_init_table(t.sg, ARRAY_SIZE(t.sg));
	return t;
}

/* The report is about the bad entry, whichever it is. */
static void bad_entry_reported(struct kunit *test)
{
	struct kt_target t = prepare_list(test, 5);
	int i, bad;
	u8 *buf[5];

	for (i = 0; i < t.nents; i++)
		buf[i] = kt_buf(test, 100 + i);
	for (bad = 0; bad < t.nents; bad++) {
		for (i = 0; i < t.nents; i++)
			sg_set_buf(&t.sg[i], buf[i], 100 + i + (i == bad));
		KUNIT_EXPECT_TRUE(test, kt_target_map(&t));
		EXPECT_MISUSE(test, "out-of-bounds-map", 101 + bad);
		kt_says_where(test, buf[bad], 101 + bad);
		kt_says_object(test, buf[bad], 0);
	}
}

static void each_bad_entry_reported(struct kunit *test)
{
	struct kt_target t = prepare_list(test, 5);
	u8 *buf[5];
	int i;

	for (i = 0; i < t.nents; i++) {
		buf[i] = kt_buf(test, 100);
		sg_set_buf(&t.sg[i], buf[i], 101);
	}
	KUNIT_EXPECT_TRUE(test, kt_target_map(&t));
	KUNIT_EXPECT_EQ(test, kt_take_all(), 5);
	for (i = 0; i < t.nents; i++)
		sg_set_buf(&t.sg[i], buf[i], 100);
	KUNIT_EXPECT_TRUE(test, kt_target_map(&t));
	EXPECT_SILENCE(test);
}

/* Entries after the last one that the call maps do not count. */
static void entries_not_mapped_silent(struct kunit *test)
{
	struct kt_target t = prepare_list(test, 2);
	u8 *buf = kt_buf(test, 100);

	sg_set_buf(&t.sg[0], buf, 50);
	sg_set_buf(&t.sg[1], buf + 50, 50);
	sg_set_buf(&t.sg[2], buf, 101);
	KUNIT_EXPECT_TRUE(test, kt_target_map(&t));
	EXPECT_SILENCE(test);
}

/* === Freed ================================================================ */

/* KASAN's quarantine keeps a freed object from being allocated again. */
static void freed_object_reported(struct kunit *test)
{
	u8 *buf = own_buf(test, 100);

	kt_map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);

	kt_map_buf(test, buf, 100);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	kt_says(test, "Byte 0 of its 100 is in a freed slab object.");
	kt_says_where(test, buf, 100);
	kt_says_object(test, buf, 0);
	kt_says(test, "Hint: keep the memory allocated until it is unmapped*");
	kt_map_buf(test, buf + 32, 8);
	EXPECT_MISUSE(test, "use-after-free-map", 8);
	kt_says(test, "Byte 0 of its 8 is in a freed slab object.");
	kt_says_object(test, buf, 32);
	KUNIT_EXPECT_GE(test, kt_shadow(buf), 0xfa);

	kt_map_buf(test, kt_buf(test, 100), 100);
	EXPECT_SILENCE(test);
}

/* Writes as an allocator does, without the sanitizer's checks. */
static noinline kt_unchecked u8 allocator_writes(u8 *p, u8 value)
{
	u8 old = READ_ONCE(*p);

	WRITE_ONCE(*p, value);
	return old;
}

/*
 * An object may leave KASAN's quarantine while it is mapped, and the allocator writes to
 * it. That is no second fault.
 */
static void freed_object_changed_reported_once(struct kunit *test)
{
	u8 *buf = own_buf(test, 100), *at = buf + 24, old;
	struct kt_target t = kt_target_of(test, virt_to_page(buf), offset_in_page(buf), 100,
				  DMA_TO_DEVICE);

	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_ASSERT_TRUE(test, test_map_target(&t));
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	/* Not where a link of the quarantine or of a free list may be. */
	old = allocator_writes(at, 0x5a);
	test_unmap_target(&t);
	allocator_writes(at, old);
	EXPECT_SILENCE(test);
}

/* Freed and mapped with interrupts off: nobody else can allocate it in between. */
static void freed_page_reported(struct kunit *test)
{
	struct page *page;
	struct kt_target t;
	unsigned long flags;
	bool mapped;

	kt_requires_quiet(test);
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	t = kt_target_of(test, page, 16, 100, DMA_TO_DEVICE);
	local_irq_save(flags);
	mapped = kt_target_map(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_SILENCE(test);

	local_irq_save(flags);
	__free_page(page);
	mapped = kt_target_map(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	kt_says(test, "Byte 0 of its 100 is in a freed page.");
	KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));

	/* Most likely the same page, allocated again. */
	page = kt_page(test, 0);
	kt_map_page(test, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Begins in memory that is not freed, and runs into some that is. */
static void into_freed_page_reported(struct kunit *test)
{
	struct page *page;
	struct kt_target t;
	unsigned long flags;
	bool mapped;

	kt_requires_quiet(test);
	page = alloc_pages(GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, page);
	split_page(page, 1);
	t = kt_target_of(test, page, 1000, PAGE_SIZE, DMA_TO_DEVICE);
	local_irq_save(flags);
	mapped = kt_target_map(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_SILENCE(test);

	local_irq_save(flags);
	__free_page(page + 1);
	mapped = kt_target_map(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_MISUSE(test, "use-after-free-map", PAGE_SIZE);
	kt_says(test, "Byte %lu of its %lu is in a freed page.", PAGE_SIZE - 1000, PAGE_SIZE);

	kt_map_page(test, page, 1000, PAGE_SIZE - 1000, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	__free_page(page);
}

/* === Objects of KFENCE ==================================================== */

static u8 *kfence_buf(struct kunit *test, size_t size)
{
	kt_requires_quiet(test);
	return kt_kfence_buf(test, size);
}

/*
 * Is the page present? An access to one that is not would have KFENCE report it, and make
 * it present.
 */
static bool is_there(const u8 *p)
{
	u8 byte;

	pagefault_disable();
	__get_kernel_nofault(&byte, p, u8, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

static void freed_kfence_object_reported(struct kunit *test)
{
	u8 *buf = kfence_buf(test, 100);
	struct kt_target t;

	kt_map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_ASSERT_FALSE(test, is_there(buf));

	kt_set(test, "content", "on");
	kt_map_buf(test, buf, 100);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	kt_says(test, "Byte 0 of its 100 is in a freed object of KFENCE's.");
	kt_says_where(test, buf, 100);
	KUNIT_EXPECT_FALSE(test, is_there(buf));
	kt_map_buf(test, buf + 36, 8);
	EXPECT_MISUSE(test, "use-after-free-map", 8);

	/* No canary for a list: nobody writes to its other entries, either. */
	kt_set(test, "canary", kt_is_list(test) ? "0" : "1");
	kt_set(test, "noncoherent", "64");
	t = kt_target_of_buf(test, buf, 100, DMA_FROM_DEVICE);
	kt_target_keep_mapped(test, &t);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	kt_target_sync(&t, false);
	kt_target_sync(&t, true);
	kt_target_unmap(&t);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, is_there(buf));
}

/* The page after that of an object is never present. */
static void past_kfence_object_reported(struct kunit *test)
{
	u8 *buf = kfence_buf(test, 100), *end = (u8 *)PAGE_ALIGN((unsigned long)buf + 1);

	kt_map_buf(test, buf, end - buf + 10);
	EXPECT_MISUSE(test, "out-of-bounds-map", end - buf + 10);
	/* Other guards ask KFENCE for the size of its object: see objects.c. */
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		kt_says(test, "Byte %zu of its %zu is in a guard page of KFENCE's.", end - buf,
			end - buf + 10);
	KUNIT_EXPECT_FALSE(test, is_there(end));
	kt_map_buf(test, buf, IS_ENABLED(CONFIG_KASAN_GENERIC) ? end - buf : 100);
	EXPECT_SILENCE(test);
	kfree(buf);
}

/* After the free, a sync or the unmap must not read its content. */
static void kfence_object_freed_while_mapped_reported(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		u8 *buf = kfence_buf(test, 100);
		struct kt_target t;

		kt_set(test, "content", "on");
		kt_set(test, "canary", kt_is_list(test) ? "0" : "1");
		kt_set(test, "noncoherent", i == 2 ? "64" : "0");
		kt_set(test, "watch_writes", "1");
		t = kt_target_of_buf(test, buf, 100, dirs[i]);
		kt_target_keep_mapped(test, &t);
		EXPECT_SILENCE(test);
		kfree(buf);
		OPTIMIZER_HIDE_VAR(buf);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		kt_says(test, "BUG: DMA_OWNER: free-while-mapped in *");
		kt_says(test, "Free of 100 bytes at %lx by task *", (unsigned long)buf);
		KUNIT_EXPECT_FALSE(test, is_there(buf));
		kt_target_sync(&t, false);
		kt_target_sync(&t, true);
		kt_target_unmap(&t);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_FALSE(test, is_there(buf));
	}
}

static struct kunit_case out_of_bounds_cases[] = {
	BOTH_WAYS(past_object_end_reported),
	BOTH_WAYS(past_granule_end_reported),
	BOTH_WAYS(from_middle_past_end_reported),
	BOTH_WAYS(after_object_reported),
	BOTH_WAYS(past_one_byte_object_reported),
	BOTH_WAYS(rounded_up_size_silent),
	BOTH_WAYS(past_large_kmalloc_reported),
	BOTH_WAYS(past_shrunk_end_reported),
	BOTH_WAYS(past_end_any_direction_reported),
	BOTH_WAYS(past_end_while_mapped_reported),
	KUNIT_CASE(bad_entry_reported),
	KUNIT_CASE(each_bad_entry_reported),
	KUNIT_CASE(entries_not_mapped_silent),
	BOTH_WAYS(freed_object_reported),
	BOTH_WAYS(freed_object_changed_reported_once),
	BOTH_WAYS(freed_page_reported),
	BOTH_WAYS(into_freed_page_reported),
	BOTH_WAYS(freed_kfence_object_reported),
	BOTH_WAYS(past_kfence_object_reported),
	BOTH_WAYS(kfence_object_freed_while_mapped_reported),
	{}
};

KT_SUITE(out_of_bounds);
