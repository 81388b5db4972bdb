// SPDX-License-Identifier: GPL-2.0
/*
 * KASAN's own reports beside the tool: they still come, and those about memory that is or was
 * mapped say by whom. A kthread makes the bad accesses, because a report of KASAN's fails the
 * test that runs in the current task.
 */

#include <linux/kfence.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

/*
 * KASAN shows only the first report after boot, unless kasan_multi_shot is set, which only
 * its own tests can do at run time.
 */
#if IS_ENABLED(CONFIG_KASAN_KUNIT_TEST)
#define CAN_REPORT true
#else
static bool kasan_save_enable_multi_shot(void) { return false; }
static void kasan_restore_multi_shot(bool enabled) {}
#define CAN_REPORT false
#endif

static int read_it(void *p)
{
	test_dma_read(p, 1);
	return 0;
}

static int write_it(void *p)
{
	test_dma_write(p, 1);
	return 0;
}

/* Returns the number of reports; the first one is then for kt_line() to see. */
static int in_kthread(struct kunit *test, int (*fn)(void *), void *p)
{
	bool multi_shot = kasan_save_enable_multi_shot();
	struct kt_thread thread;

	kt_thread_start(&thread, fn, p);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	kasan_restore_multi_shot(multi_shot);
	return kt_take_all();
}

static void require_kasan_reports(struct kunit *test)
{
	if (!CAN_REPORT)
		kunit_skip(test, "Test requires: CONFIG_KASAN_KUNIT_TEST (for kasan_multi_shot)");
}

/* An overrun next to a buffer that is mapped. */
static void overrun_of_mapped_names_device(struct kunit *test)
{
	u8 *buf = kt_buf(test, 61);
	dma_addr_t dma;

	require_kasan_reports(test);
	dma = test_dma_map(test, kt_dev, buf, 61, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, in_kthread(test, read_it, buf + 64), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: KASAN: slab-out-of-bounds in "),
			      "title '%s'", kt_line(0));
	/* The tool's values around it do not mislead KASAN, and the report names the device. */
	KUNIT_EXPECT_TRUE(test, kt_has("*belongs to the object at *"));
	KUNIT_EXPECT_TRUE(test, kt_has("DMA owner: *" KT_NAME ".0*"));
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 60, 1);
	dma_unmap_single(kt_dev, dma, 61, DMA_TO_DEVICE);
}

/*
 * The buffer and its object end in one granule, which has a value of the tool's. An access
 * to the bytes after the object is a fault all the same.
 */
static void overrun_in_last_granule_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 61);
	dma_addr_t dma;

	require_kasan_reports(test);
	dma = test_dma_map(test, kt_dev, buf, 61, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, in_kthread(test, read_it, buf + 61), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: KASAN: slab-out-of-bounds in "),
			      "title '%s'", kt_line(0));
	/* The device still owns the last byte. */
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 60, 1);
	dma_unmap_single(kt_dev, dma, 61, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 56), 5);
}

static void use_after_free_of_unmapped_annotated(struct kunit *test)
{
	dma_addr_t dma;
	u8 *buf;

	require_kasan_reports(test);
	buf = kt_own_buf(test, 64);
	dma = test_dma_map(test, kt_dev, buf, 64, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_EXPECT_EQ(test, in_kthread(test, write_it, buf + 8), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: KASAN: slab-use-after-free in ") ||
			      strstarts(kt_line(0), "BUG: KASAN: use-after-free in "),
			      "title '%s'", kt_line(0));
	KUNIT_EXPECT_TRUE(test, kt_has("DMA owner: *"));
}

/* Freed while it was mapped and the CPU owned it: only KASAN sees a fault. */
static void use_after_free_of_mapped_annotated(struct kunit *test)
{
	dma_addr_t dma;
	u8 *buf;

	require_kasan_reports(test);
	buf = kt_own_buf(test, 64);
	dma = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_TO_DEVICE);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_EXPECT_EQ(test, in_kthread(test, write_it, buf + 8), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: KASAN: slab-use-after-free in ") ||
			      strstarts(kt_line(0), "BUG: KASAN: use-after-free in "),
			      "title '%s'", kt_line(0));
	KUNIT_EXPECT_TRUE(test, kt_has("DMA owner: *" KT_NAME ".0*"));
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	/* KASAN's poison of the free stays. */
	KUNIT_EXPECT_GE(test, kt_shadow(buf + 8), 0x80);
	KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + 8));
}

/* Never mapped: KASAN's report as ever. */
static void overrun_of_unmapped_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 61);

	require_kasan_reports(test);
	KUNIT_EXPECT_EQ(test, in_kthread(test, read_it, buf + 64), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: KASAN: slab-out-of-bounds in "),
			      "title '%s'", kt_line(0));
}

/* A report of the tool does not use up KASAN's only one, and the other way round. */
static void kasan_and_owner_both_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, 61);
	dma_addr_t dma;

	require_kasan_reports(test);
	dma = test_dma_map(test, kt_dev, buf, 61, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, in_kthread(test, read_it, buf), 1);
	KUNIT_EXPECT_TRUE(test, strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-read in "));
	KUNIT_EXPECT_EQ(test, in_kthread(test, read_it, buf + 64), 1);
	KUNIT_EXPECT_TRUE(test, strstarts(kt_line(0), "BUG: KASAN: "));
	EXPECT_READ_TRAPS(test, buf, 1);
	dma_unmap_single(kt_dev, dma, 61, DMA_FROM_DEVICE);
}

/*
 * The tool does not ask KASAN about the bytes after an unaligned write: clang checks its first and
 * its last byte, and reports the last one with the size of the whole.
 */
static void unaligned_write_of_last_byte_silent(struct kunit *test)
{
	struct { u32 v; } __packed *p;
	u8 *buf = kt_buf(test, 25);
	dma_addr_t dma;

	require_kasan_reports(test);
	dma = test_dma_map(test, kt_dev, buf, 25, DMA_TO_DEVICE);
	/* Pending: this granule does not trap any more, and the object's last one does. */
	test_dma_write(buf + 16, 8);
	p = (void *)(buf + 21);
	OPTIMIZER_HIDE_VAR(p);
	p->v = 0x12345678;
	KUNIT_EXPECT_EQ(test, kt_take_all(), 0);
	dma_sync_single_for_device(kt_dev, dma, 25, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, 25, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 0);
}

static struct kunit_case native_cases[] = {
	KUNIT_CASE(unaligned_write_of_last_byte_silent),
	KUNIT_CASE(overrun_of_mapped_names_device),
	KUNIT_CASE(overrun_in_last_granule_reported),
	KUNIT_CASE(use_after_free_of_unmapped_annotated),
	KUNIT_CASE(use_after_free_of_mapped_annotated),
	KUNIT_CASE(overrun_of_unmapped_reported),
	KUNIT_CASE(kasan_and_owner_both_reported),
	{}
};

KT_SUITE(native);
