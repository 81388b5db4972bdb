/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites about cache lines share: simulated lines of 64 bytes, and the lines of
 * their reports.
 */
#ifndef DMA_OWNER_DEBUG_KUNIT_KT_LINES_H
#define DMA_OWNER_DEBUG_KUNIT_KT_LINES_H

#include "kt.h"

#define LINE		64
#define KT_OBJECT	512

#define FIRST	"Its first cache line, of 64 bytes, also holds "
#define LAST	"Its last cache line, of 64 bytes, also holds "
#define BEFORE	" before the buffer, which the CPU may write."
#define AFTER	" after the buffer, which the CPU may write."
#define OTHER	"bytes of another mapping."

/* The two directions in which a device may write, as KT_DIRECTIONS has all three. */
#define KT_WRITABLE_DIRECTIONS						\
	static const enum dma_data_direction directions[] = {		\
		DMA_FROM_DEVICE, DMA_BIDIRECTIONAL			\
	};								\
	KUNIT_ARRAY_PARAM(direction, directions, kt_dir_desc)

/* Two mappings of which a device may write to one at least, as parameters of a test. */
struct kt_two {
	enum dma_data_direction first, second;
};

#define KT_TWO_DIRECTIONS						\
	static const struct kt_two twos[] = {				\
		{ DMA_FROM_DEVICE, DMA_TO_DEVICE },			\
		{ DMA_TO_DEVICE, DMA_FROM_DEVICE },			\
		{ DMA_FROM_DEVICE, DMA_FROM_DEVICE },			\
		{ DMA_BIDIRECTIONAL, DMA_TO_DEVICE },			\
		{ DMA_TO_DEVICE, DMA_BIDIRECTIONAL },			\
		{ DMA_BIDIRECTIONAL, DMA_BIDIRECTIONAL },		\
	};								\
	KUNIT_ARRAY_PARAM(two, twos, kt_two_desc)

#define TWO_CASE(_fn) KUNIT_CASE_PARAM(_fn, two_gen_params)

void kt_two_desc(const struct kt_two *two, char *desc);
int kt_lines_test_init(struct kunit *test);
u8 *kt_object(struct kunit *test);
void kt_expect_other_mapping(struct kunit *test, const char *dev, int size,
			     enum dma_data_direction dir);

/* The CPU may read it, and must not write it. */
#define EXPECT_EDGE(test, ptr, n) do {					\
	void *_p = (ptr);						\
	size_t _n = (n);						\
									\
	EXPECT_READ_OK(test, _p, _n);					\
	test_dma_write(_p, _n);						\
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, _p, _n);	\
} while (0)

#endif /* DMA_OWNER_DEBUG_KUNIT_KT_LINES_H */
