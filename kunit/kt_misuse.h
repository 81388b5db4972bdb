/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites about memory share that must not be mapped: a mapping of it, alone or as
 * an entry of a list, that lasts no longer than it takes to make it, and what is said of it.
 */
#ifndef DMA_OWNER_DEBUG_KUNIT_KT_MISUSE_H
#define DMA_OWNER_DEBUG_KUNIT_KT_MISUSE_H

#include <linux/scatterlist.h>

#include "kt.h"

/* How a test maps: alone, or as the middle one of three entries. */
#define KT_WAYS								\
	static const bool ways[] = { false, true };			\
	KUNIT_ARRAY_PARAM(way, ways, kt_way_desc)

#define BOTH_WAYS(_fn) KUNIT_CASE_PARAM(_fn, way_gen_params)

void kt_way_desc(const bool *way, char *desc);

static inline bool kt_is_list(struct kunit *test)
{
	return test->param_value && *(const bool *)test->param_value;
}

/* To be mapped: a list of @nents entries, or what @page and so on say if that is 0. */
struct kt_target {
	struct page *page;
	size_t offset, size;
	struct scatterlist sg[5];
	int nents;
	enum dma_data_direction dir;
	dma_addr_t dma;
};

void kt_requires_quiet(struct kunit *test);
struct kt_target kt_target_of(struct kunit *test, struct page *page, size_t offset,
			      size_t size, enum dma_data_direction dir);
struct kt_target kt_target_of_buf(struct kunit *test, void *buf, size_t size,
				  enum dma_data_direction dir);

bool test_map_target(struct kt_target *t);
void test_unmap_target(struct kt_target *t);
bool kt_target_map(struct kt_target *t);
void kt_target_keep_mapped(struct kunit *test, struct kt_target *t);
void kt_target_sync(struct kt_target *t, bool for_device);
void kt_target_unmap(struct kt_target *t);
void kt_map_page(struct kunit *test, struct page *page, size_t offset, size_t size,
		 enum dma_data_direction dir);
void kt_map_buf(struct kunit *test, const void *buf, size_t size);

#define EXPECT_MISUSE(test, type, size) \
	EXPECT_MAP_REPORT(test, type, test_map_target, size)

__printf(2, 3) void kt_says(struct kunit *test, const char *fmt, ...);
void kt_says_where(struct kunit *test, const void *addr, size_t size);
void kt_says_object(struct kunit *test, const void *start, size_t offset);

#define GIVEN "Device " KT_NAME " " KT_NAME ".0 maps %zu bytes"

#endif /* DMA_OWNER_DEBUG_KUNIT_KT_MISUSE_H */
