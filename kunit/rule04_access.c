// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 4: the CPU may read what a device owns DMA_TO_DEVICE, and may neither read nor write
 * the other directions. Loads, stores, atomics, memcpy() and its kin, copies to and from user
 * space, checksums: each is judged, and does its work whether it is reported or not.
 */

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/jhash.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <net/checksum.h>

#include "kt.h"

#define SIZE 200

KT_DIRECTIONS;

/* === Words ================================================================ */

/* Three bytes that the compiler checks at both ends, wherever they lie. */
struct odd_field {
	u32 value:24;
} __packed;

static kt_noinline u32 test_read_odd_field(const volatile struct odd_field *field)
{
	return field->value;
}

/* Up to the last byte of an object: what follows it was not accessed. */
static void bit_field_at_object_end_silent(struct kunit *test)
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

/* A report does not stop the store, nor the next one. */
static void reported_write_takes_effect(struct kunit *test)
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

/* The load that trapped reads the memory, whether it is reported or not. */
static void reported_read_returns_data(struct kunit *test)
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
 * Atomics are written in assembly and checked explicitly, on some architectures once more
 * by the compiler: one access can have two reports.
 */
static void expect_reports(struct kunit *test, const char *title)
{
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), title), "title '%s' instead of '%s'",
			      kt_line(0), title);
}

static void atomics_reported(struct kunit *test)
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

	/* A read-modify-write is a write. */
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

/* === Whole buffers ======================================================== */

/* noinline and with a hidden size, so that the compiler must call memcpy(). */
static kt_noinline void test_memcpy(void *to, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(to, from, size);
}

static kt_noinline void test_memmove(void *to, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memmove(to, from, size);
}

static kt_noinline void test_memset(void *to, int c, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(to, c, size);
}

static u8 *filled(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	int i;

	for (i = 0; i < SIZE; i++)
		buf[i] = i ^ 0x33;
	return buf;
}

/* Compares without the sanitizer's checks. */
static bool is_filled(const u8 *buf)
{
	int i;

	for (i = 0; i < SIZE; i++)
		if (kt_peek(buf + i) != (u8)(i ^ 0x33))
			return false;
	return true;
}

static void memcpy_out_is_a_read(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test), *to = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);

	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	test_memcpy(to, buf, SIZE);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		EXPECT_REPORT(test, "cpu-read", test_memcpy, buf, SIZE);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	KUNIT_EXPECT_TRUE(test, is_filled(to));
	KUNIT_EXPECT_TRUE(test, is_filled(buf));
}

static void memcpy_in_is_a_write(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE), *from = filled(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	kt_set(test, "strict", "1");

	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	test_memcpy(buf, from, SIZE);
	EXPECT_REPORT(test, "cpu-write", test_memcpy, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, is_filled(buf));
	dma_unmap_single(kt_dev, dma, SIZE, dir);
}

/* The device owns only the last bytes of what is copied. */
static void memcpy_across_edge_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE), *from = filled(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	kt_set(test, "strict", "1");

	dma = test_dma_map(test, kt_dev, buf + 192, 8, dir);
	test_memcpy(buf, from, 192);
	EXPECT_SILENCE(test);
	test_memcpy(buf, from, SIZE);
	EXPECT_REPORT(test, "cpu-write", test_memcpy, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, is_filled(buf));
	dma_unmap_single(kt_dev, dma, 8, dir);
}

static void memmove_into_mapped_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	kt_set(test, "strict", "1");

	/* From what the CPU owns into what the device owns, and overlapping. */
	dma = test_dma_map(test, kt_dev, buf + 64, 64, dir);
	test_memmove(buf + 40, buf, 64);
	EXPECT_REPORT(test, "cpu-write", test_memmove, buf + 40, 64);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 40), 0 ^ 0x33);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + 103), 63 ^ 0x33);
	dma_unmap_single(kt_dev, dma, 64, dir);
}

static void memset_of_mapped_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	kt_set(test, "strict", "1");

	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	test_memset(buf, 0x77, SIZE);
	EXPECT_REPORT(test, "cpu-write", test_memset, buf, SIZE);
	KUNIT_EXPECT_EQ(test, kt_peek(buf), 0x77);
	KUNIT_EXPECT_EQ(test, kt_peek(buf + SIZE - 1), 0x77);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	test_memset(buf, 0x78, SIZE);
	EXPECT_SILENCE(test);
}

/* A device owns both sides: one report for each. */
static void memcpy_between_mapped_reported_twice(struct kunit *test)
{
	u8 *from = filled(test), *to = kt_buf(test, SIZE);
	dma_addr_t from_dma, to_dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	kt_set(test, "strict", "1");

	from_dma = test_dma_map(test, kt_dev, from, SIZE, DMA_FROM_DEVICE);
	to_dma = test_dma_map(test, kt_dev, to, SIZE, DMA_TO_DEVICE);
	test_memcpy(to, from, SIZE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 2);
	KUNIT_EXPECT_TRUE(test, is_filled(to));
	dma_unmap_single(kt_dev, from_dma, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, to_dma, SIZE, DMA_TO_DEVICE);
}

/*
 * The copies to and from user space check the kernel's buffer before they access the
 * user's. Nothing is ever mapped in page 0, so nothing is copied.
 */
#define NOWHERE ((void __user *)16)

static kt_noinline unsigned long test_copy_to_user(const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return copy_to_user(NOWHERE, from, size);
}

static kt_noinline unsigned long test_copy_from_user(void *to, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return __copy_from_user_inatomic(to, NOWHERE, size);
}

static void copy_to_user_is_a_read(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	KUNIT_EXPECT_EQ(test, test_copy_to_user(buf, SIZE), SIZE);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		EXPECT_REPORT(test, "cpu-read", test_copy_to_user, buf, SIZE);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	KUNIT_EXPECT_EQ(test, test_copy_to_user(buf, SIZE), SIZE);
	EXPECT_SILENCE(test);
}

static void copy_from_user_is_a_write(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	kt_set(test, "strict", "1");
	pagefault_disable();
	test_copy_from_user(buf, SIZE);
	pagefault_enable();
	EXPECT_REPORT(test, "cpu-write", test_copy_from_user, buf, SIZE);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	pagefault_disable();
	test_copy_from_user(buf, SIZE);
	pagefault_enable();
	EXPECT_SILENCE(test);
}

static kt_noinline size_t test_copy_to_iter(const void *from, size_t size, void *to)
{
	struct kvec vec = { .iov_base = to, .iov_len = size };
	struct iov_iter iter;

	/* READ: the iterator is what is read into. */
	iov_iter_kvec(&iter, READ, &vec, 1, size);
	return copy_to_iter(from, size, &iter);
}

static void copy_to_iter_is_a_read(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = filled(test), *to = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);

	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	KUNIT_EXPECT_EQ(test, test_copy_to_iter(buf, SIZE, to), SIZE);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		EXPECT_REPORT(test, "cpu-read", test_copy_to_iter, buf, SIZE);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	KUNIT_EXPECT_TRUE(test, is_filled(to));
}

static kt_noinline u32 test_jhash(const void *buf, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return jhash(buf, size, 0);
}

/* Reads every byte with instrumented loads, correctly. */
static void hash_of_to_device_silent(struct kunit *test)
{
	u8 *buf = filled(test);
	u32 hash = test_jhash(buf, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	long allowed = dma_owner_debug_count("allowed_reads");

	KUNIT_EXPECT_EQ(test, test_jhash(buf, SIZE), hash);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("allowed_reads"), allowed + SIZE / 4);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static void hash_of_from_device_reported(struct kunit *test)
{
	u8 *buf = filled(test);
	u32 hash = test_jhash(buf, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	KUNIT_EXPECT_EQ(test, test_jhash(buf, SIZE), hash);
	KUNIT_EXPECT_GE(test, kt_take_all(), SIZE / 4);
	KUNIT_EXPECT_TRUE(test, strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-read in test_jhash+0x"));
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

/* csum_partial() is written in assembly on most architectures: never checked. */
static void checksum_of_to_device_silent(struct kunit *test)
{
	u8 *buf = filled(test);
	__wsum sum = csum_partial(buf, SIZE, 0);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, (__force u32)csum_partial(buf, SIZE, 0), (__force u32)sum);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static struct kunit_case access_cases[] = {
	KUNIT_CASE(bit_field_at_object_end_silent),
	DIRECTION_CASE(reported_write_takes_effect),
	DIRECTION_CASE(reported_read_returns_data),
	DIRECTION_CASE(atomics_reported),
	DIRECTION_CASE(memcpy_out_is_a_read),
	DIRECTION_CASE(memcpy_in_is_a_write),
	DIRECTION_CASE(memcpy_across_edge_reported),
	DIRECTION_CASE(memmove_into_mapped_reported),
	DIRECTION_CASE(memset_of_mapped_reported),
	KUNIT_CASE(memcpy_between_mapped_reported_twice),
	DIRECTION_CASE(copy_to_user_is_a_read),
	DIRECTION_CASE(copy_from_user_is_a_write),
	DIRECTION_CASE(copy_to_iter_is_a_read),
	KUNIT_CASE(hash_of_to_device_silent),
	KUNIT_CASE(hash_of_from_device_reported),
	KUNIT_CASE(checksum_of_to_device_silent),
	{}
};

KT_SUITE(access);
