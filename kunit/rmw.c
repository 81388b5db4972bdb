// SPDX-License-Identifier: GPL-2.0
/*
 * x++, x |= y and bit-fields (rules 4, 6 and 10): a read and a write, of which compilers check
 * the read alone unless clang is told otherwise. Where the write does not trap, the content
 * tells; each misuse next to its legal neighbour, each with both kinds of driver.
 */

#include <linux/slab.h>
#include <linux/string.h>

#include "kt_lines.h"
#include "rmw.h"

#define SIZE	512

RMW_DEFINE(test_rmw)

struct rmw {
	const char *name;
	void (*both)(struct rmw_words *w);	/* checked twice, if the compiler can */
	void (*once)(struct rmw_words *w);	/* never */
	size_t offset;
};

static const struct rmw rmws[] = {
	{ "add", test_rmw_add, test_once_add, offsetof(struct rmw_words, count) },
	{ "or", test_rmw_or, test_once_or, offsetof(struct rmw_words, flags) },
	{ "bit_field", test_rmw_bit_field, test_once_bit_field,
	  offsetofend(struct rmw_words, flags) },
};

static void rmw_desc(const struct rmw *rmw, char *desc)
{
	strscpy(desc, rmw->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(rmw, rmws, rmw_desc);
#define RMW_CASE(_fn) KUNIT_CASE_PARAM(_fn, rmw_gen_params)

static const struct rmw *rmw_of(struct kunit *test)
{
	return test->param_value;
}

/* Does KASAN check the write? Memory that a device writes to traps each access. */
static bool traps_write(struct kunit *test, void (*fn)(struct rmw_words *w))
{
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	bool write;
	int n;

	fn((void *)buf);
	n = kt_take_all();
	write = n == 2 || strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-write");
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GE(test, n, 1);
	return write;
}

/* The other tests rely on this. gcc checks the write of bit-fields, and the read of the others. */
static void compiler_checks_as_expected(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	bool both, once;

	if (!kt_traps(test))
		return;
	both = traps_write(test, rmw->both);
	once = traps_write(test, rmw->once);
	if (IS_ENABLED(CONFIG_CC_IS_CLANG)) {
		KUNIT_EXPECT_TRUE(test, both);
		KUNIT_EXPECT_FALSE(test, once);
	} else {
		KUNIT_EXPECT_EQ(test, both, once);
	}
}

static bool is_write(struct kunit *test)
{
	return kt_traps(test) && traps_write(test, rmw_of(test)->both);
}

/* A write that nobody sees, unless the compiler checks it always. */
static bool is_unseen(struct kunit *test)
{
	if (!kt_traps(test))
		return false;
	if (traps_write(test, rmw_of(test)->once))
		kunit_skip(test, "Test requires: a compiler that does not check this write");
	return true;
}

/* === Memory that the device reads ========================================= */

static void rmw_to_device_reported(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	bool write = is_write(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	rmw->both((void *)(buf + LINE));
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	if (write)
		EXPECT_REPORT(test, "cpu-write", rmw->both, buf + LINE + rmw->offset, 4);
	else
		EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, SIZE);
}

/* A driver that is built otherwise: found at the unmap, with the likely writer. */
static void unseen_rmw_to_device_reported(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	if (!is_unseen(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_read(buf, 8);
	rmw->once((void *)(buf + LINE));
	test_dma_read(buf + 4 * LINE, 8);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_MAP_REPORT(test, "to-device-changed", test_dma_map, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("*last read there was of *, in test_once_*"));
}

static void rmw_in_turn_silent(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	rmw->both((void *)buf);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	rmw->both((void *)buf);
	rmw->once((void *)(buf + LINE));
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	rmw->once((void *)buf);
	EXPECT_SILENCE(test);
}

/* === Memory beside what the device writes ================================= */

/* Words in the first line of the buffer, and in its last. */
static u8 *words_before(u8 *buf)
{
	return buf + 2 * LINE;
}

static u8 *words_after(u8 *buf)
{
	return buf + 4 * LINE + 32;
}

/* The first granule, and the last, also hold bytes beside the buffer. */
static dma_addr_t map_between(struct kunit *test, u8 *buf)
{
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 2 * LINE + 20,
				      2 * LINE + 10, DMA_FROM_DEVICE);

	if (kt_traps(test))
		EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 2 * LINE + 10);
	return dma;
}

static void unmap_between(dma_addr_t dma)
{
	dma_unmap_single(kt_dev, dma, 2 * LINE + 10, DMA_FROM_DEVICE);
}

static void rmw_in_shared_line_reported(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	bool write = is_write(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	kt_set(test, "noncoherent", "64");
	dma = map_between(test, buf);
	rmw->both((void *)words_before(buf));
	if (write)
		EXPECT_REPORT(test, "shared-line-write", rmw->both,
			      words_before(buf) + rmw->offset, 4);
	unmap_between(dma);
	if (!write)
		EXPECT_MAP_REPORT(test, "shared-line-write", test_dma_map, 2 * LINE + 10);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void unseen_rmw_in_shared_line_reported(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	if (!is_unseen(test))
		return;
	kt_set(test, "noncoherent", "64");
	dma = map_between(test, buf);
	rmw->once((void *)words_before(buf));
	EXPECT_SILENCE(test);
	unmap_between(dma);
	EXPECT_MAP_REPORT(test, "shared-line-write", test_dma_map, 2 * LINE + 10);
	KUNIT_EXPECT_TRUE(test, kt_has("1 byte before the buffer, in its first cache line *"));
	KUNIT_EXPECT_TRUE(test, kt_has("*last read there was of *, in test_once_*"));

	/* The same at the end of the buffer, found by a sync. */
	dma = map_between(test, buf);
	rmw->once((void *)words_after(buf));
	rmw->once((void *)words_after(buf));
	dma_sync_single_for_cpu(kt_dev, dma + LINE, 16, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_for_cpu(kt_dev, dma + 2 * LINE, 10, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "shared-line-write", test_dma_map, 2 * LINE + 10);
	KUNIT_EXPECT_TRUE(test, kt_has("1 byte after the buffer, in its last cache line *"));
	unmap_between(dma);
	EXPECT_SILENCE(test);
}

/* A write to bytes that share a granule with the buffer cannot trap. */
static void write_in_shared_granule_reported(struct kunit *test)
{
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	kt_set(test, "noncoherent", "64");
	dma = map_between(test, buf);
	test_dma_write(buf + 2 * LINE + 19, 1);
	unmap_between(dma);
	EXPECT_MAP_REPORT(test, "shared-line-write", test_dma_map, 2 * LINE + 10);
	KUNIT_EXPECT_TRUE(test, kt_has("*First: start-1, was 0x00, is 0x5a."));
}

/* Writes that are legal, that were reported already, or that another device made. */
static void rmw_beside_in_turn_silent(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma, other;

	if (!kt_traps(test))
		return;
	kt_set(test, "noncoherent", "64");
	rmw->once((void *)words_before(buf));
	dma = map_between(test, buf);
	/* Writes to other lines, and reads. */
	rmw->once((void *)(buf + LINE));
	rmw->once((void *)(buf + 5 * LINE));
	test_dma_read(words_before(buf), 8);
	/* The CPU owns the first line, the device the last one. */
	dma_sync_single_for_cpu(kt_dev, dma, LINE, DMA_FROM_DEVICE);
	rmw->once((void *)words_before(buf));
	dma_sync_single_for_device(kt_dev, dma, LINE, DMA_FROM_DEVICE);
	unmap_between(dma);
	rmw->once((void *)words_before(buf));
	EXPECT_SILENCE(test);

	/* A write that trapped is not reported again. */
	dma = map_between(test, buf);
	test_dma_write(words_after(buf), 8);
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, words_after(buf), 8);
	unmap_between(dma);
	EXPECT_SILENCE(test);

	/* Another device wrote there: that was reported at the map. */
	dma = map_between(test, buf);
	kt_set(test, "off_types", "cacheline-sharing");
	other = test_dma_map(test, kt_dev2, words_after(buf), 16, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, other, 16, DMA_FROM_DEVICE);
	kt_device_writes(words_after(buf), 4, 1);
	unmap_between(dma);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

/* === Memory synced for the CPU ============================================ */

static void rmw_then_unmap_reported(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	bool write = is_write(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	/* The device may write what changes here, if the CPU has only read (rule 6). */
	if (!write)
		kunit_skip(test, "Test requires: a compiler that checks both halves of x++");
	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	rmw->both((void *)buf);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "missing-sync-for-device", rmw->both, buf + rmw->offset, 4);
	EXPECT_CLEAN(test, buf, SIZE);
}

static void rmw_then_sync_silent(struct kunit *test)
{
	const struct rmw *rmw = rmw_of(test);
	u8 *buf = kt_object(test);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	rmw->both((void *)buf);
	rmw->once((void *)(buf + LINE));
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
}

static struct kunit_case rmw_cases[] = {
	RMW_CASE(compiler_checks_as_expected),
	RMW_CASE(rmw_to_device_reported),
	RMW_CASE(unseen_rmw_to_device_reported),
	RMW_CASE(rmw_in_turn_silent),
	RMW_CASE(rmw_in_shared_line_reported),
	RMW_CASE(unseen_rmw_in_shared_line_reported),
	KUNIT_CASE(write_in_shared_granule_reported),
	RMW_CASE(rmw_beside_in_turn_silent),
	RMW_CASE(rmw_then_unmap_reported),
	RMW_CASE(rmw_then_sync_silent),
	{}
};

KT_SUITE(rmw);
