/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit suites of dma_owner_debug share: kt_fixture.c has devices, buffers and
 * accesses; kt_log.c reads the reports where the user reads them, in the kernel log; kt_skip.c
 * says what a kernel cannot do.
 */
#ifndef DMA_OWNER_DEBUG_KUNIT_KT_H
#define DMA_OWNER_DEBUG_KUNIT_KT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include "../base/compat.h"
#include "../dma_owner_debug.h"

#define KT_REQUIRES(test, cond) do {					\
	if (!(cond))							\
		kunit_skip((test), "Test requires: " #cond);		\
} while (0)

/* With the name that it has in the source, whatever the compiler makes of it. */
#define kt_noinline noinline __noclone

/* What no sanitizer of the kernel's checks. */
#define kt_unchecked __no_sanitize_address __no_kcsan

/*
 * dma_alloc_pages(), the result of which v6.1's dma-debug takes for one of
 * dma_map_page(), which has to be checked.
 */
static inline struct page *kt_dma_alloc_pages(struct device *dev, size_t size, dma_addr_t *dma,
					      enum dma_data_direction dir)
{
	struct page *page = dma_alloc_pages(dev, size, dma, dir, GFP_KERNEL);

	return page && !dma_mapping_error(dev, *dma) ? page : NULL;
}

/* Two platform devices with a driver and a 64-bit mask: same rules, no wires. */
#define KT_NAME "dma_owner_kunit"
extern struct device *kt_dev, *kt_dev2;

/* === Suites =============================================================== */

int kt_suite_init(struct kunit_suite *suite);
void kt_suite_exit(struct kunit_suite *suite);
int kt_test_init(struct kunit *test);
void kt_test_exit(struct kunit *test);

#define KT_SUITE_PREFIX "dma_owner_"

#define KT_SUITE_INIT(_name, _init)					\
	static struct kunit_suite _name##_suite = {			\
		.name = KT_SUITE_PREFIX #_name,				\
		.suite_init = kt_suite_init,				\
		.suite_exit = kt_suite_exit,				\
		.init = _init,						\
		.exit = kt_test_exit,					\
		.test_cases = _name##_cases,				\
	};								\
	kunit_test_suite(_name##_suite)

/* The suite of that name: its cases are in _name##_cases. */
#define KT_SUITE(_name) KT_SUITE_INIT(_name, kt_test_init)

/* The three directions as parameters of a test; dir_of() is the current one. */
#define KT_DIRECTIONS							\
	static const enum dma_data_direction directions[] = {		\
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL	\
	};								\
	KUNIT_ARRAY_PARAM(direction, directions, kt_dir_desc)

#define DIRECTION_CASE(_fn) KUNIT_CASE_PARAM(_fn, direction_gen_params)
#define DIRECTION_CASE_SLOW(_fn) KUNIT_CASE_PARAM_ATTR(_fn, direction_gen_params, kt_slow)

#define kt_slow ((struct kunit_attributes){ .speed = KUNIT_SPEED_SLOW })

void kt_dir_desc(const enum dma_data_direction *dir, char *desc);

static inline enum dma_data_direction dir_of(struct kunit *test)
{
	return *(const enum dma_data_direction *)test->param_value;
}

/* === Skips ================================================================ */

void kt_skip_start(const struct kunit_suite *suite);
void kt_skip_unable(struct kunit *test);
bool kt_traps(struct kunit *test);

/* === Buffers ============================================================== */

void *kt_buf(struct kunit *test, size_t size);
void *kt_own_buf(struct kunit *test, size_t size);
u8 *kt_kfence_buf(struct kunit *test, size_t size);
struct page *kt_page(struct kunit *test, unsigned int order);
u8 *kt_page_buf(struct kunit *test);
u8 *kt_boundary(struct kunit *test);
struct page *kt_own_pages(struct kunit *test, gfp_t gfp, unsigned int order);
bool kt_get_this_page(struct page *page);

/* === Mappings ============================================================= */

/* As page_pool maps and unmaps. */
#define KT_POOL_ATTRS (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING)

dma_addr_t test_dma_map(struct kunit *test, struct device *dev, void *buf, size_t size,
			enum dma_data_direction dir);
void test_dma_unmap(dma_addr_t dma, size_t size, enum dma_data_direction dir);
dma_addr_t test_dma_map_page(struct kunit *test, struct page *page, size_t offset, size_t size,
			     enum dma_data_direction dir);
int test_dma_map_sg(struct scatterlist *sg, int nents, enum dma_data_direction dir);
dma_addr_t test_pool_map(struct kunit *test, struct page *page, enum dma_data_direction dir);
void test_pool_unmap(dma_addr_t dma, enum dma_data_direction dir);
dma_addr_t kt_map_skip_sync(struct kunit *test, struct device *dev, void *buf, size_t size,
			    enum dma_data_direction dir);
dma_addr_t kt_map_quietly(struct kunit *test, struct device *dev, void *buf, size_t size,
			  enum dma_data_direction dir);
void kt_map_legally(struct kunit *test, u8 *buf, size_t size, enum dma_data_direction dir);

/* Makes several hand-overs of @size bytes that a device owns: rule 6b goes by them. */
static inline void kt_hand_over_parts(struct device *dev, dma_addr_t dma, size_t size, size_t part,
				      enum dma_data_direction dir)
{
	size_t at;

	for (at = 0; at < size; at += part)
		dma_sync_single_range_for_device(dev, dma, at, part, dir);
}

/* === Parameters, and dma-debug ============================================ */

void kt_set(struct kunit *test, const char *name, const char *val);
bool kt_can_quiet_dma_debug(void);
u32 kt_quiet_dma_debug(void);
void kt_unquiet_dma_debug(u32 saved);

/* === Accesses ============================================================= */

void test_dma_read(const void *p, size_t size);
void test_dma_write(void *p, size_t size);
void kt_write_strictly(void *p, size_t size);
u8 kt_peek(const void *p);
u8 kt_shadow(const void *p);
bool kt_is_poisoned(const void *p);
int kt_first_inaccessible(const void *p, int size);
void kt_device_writes(void *p, size_t size, u8 value);
void kt_device_changes(u8 *p);

/* === Frees ================================================================ */

void test_kfree(const void *buf);
void test_free_pages(struct page *page, unsigned int order);
void test_vfree(const void *buf);
void kt_late_unmap(struct kunit *test, dma_addr_t dma, size_t size, enum dma_data_direction dir);

/* === Threads ============================================================== */

/* A thread that is not the test's: starts at once, is gone after the join. */
struct kt_thread {
	struct task_struct *task;
	int (*fn)(void *arg);
	void *arg;
	int ret;
	struct completion done;
};

void kt_thread_start(struct kt_thread *t, int (*fn)(void *arg), void *arg);
int kt_thread_join(struct kt_thread *t);

/* Exported for tests, but declared only in mm/kasan/kasan.h. */
#if IS_ENABLED(CONFIG_KASAN_KUNIT_TEST)
bool kasan_save_enable_multi_shot(void);
void kasan_restore_multi_shot(bool enabled);
#endif

/* === What the log says ==================================================== */

int kt_log_start(void);
void kt_log_stop(void);
void kt_reset(void);
const char *kt_take_silence(void);
const char *kt_take_report(const char *type, void *fn, const void *addr, size_t size);
const char *kt_take_map_report(const char *type, void *fn, size_t size);
const char *kt_take_free_report(void *fn, const void *addr, size_t size);
const char *kt_take_unmatched_report(const char *call, void *fn, size_t size);
const char *kt_take_coherent_report(void *fn, size_t size);
int kt_take_all(void);
bool kt_pending(void);
int kt_lines(void);
const char *kt_line(int n);
bool kt_has(const char *pattern);
const char *kt_note(void);

/*
 * Exactly one report since the last check, of this type, function and access. Where
 * accesses do not trap, this is skipped and the test goes on: the legal neighbours must be
 * silent on every kernel.
 */
#define EXPECT_REPORT(test, type, fn, addr, size) do {			\
	if (kt_traps(test))						\
		KUNIT_EXPECT_STREQ(test,				\
				   kt_take_report(type, fn, addr, size), ""); \
} while (0)

/* The same of a map-time check: @fn mapped @size bytes. */
#define EXPECT_MAP_REPORT(test, type, fn, size)				\
	KUNIT_EXPECT_STREQ(test, kt_take_map_report(type, fn, size), "")

/* The same of a free. */
#define EXPECT_FREE_REPORT(test, fn, addr, size)			\
	KUNIT_EXPECT_STREQ(test, kt_take_free_report(fn, addr, size), "")

/* At least one such report, by a guard that finds accesses by chance. */
#define EXPECT_RACE(test, type, fn, addr, size)				\
	KUNIT_EXPECT_STREQ(test, kt_take_report(type, fn, addr, size), "")

#define EXPECT_SILENCE(test) KUNIT_EXPECT_STREQ(test, kt_take_silence(), "")

#define EXPECT_READ_TRAPS(test, ptr, n) do {				\
	const void *_p = (ptr);						\
	size_t _n = (n);						\
									\
	if (!kt_traps(test))						\
		break;							\
	test_dma_read(_p, _n);						\
	EXPECT_REPORT(test, "cpu-read", test_dma_read, _p, _n);		\
} while (0)

#define EXPECT_WRITE_TRAPS(test, ptr, n) do {				\
	void *_p = (ptr);						\
	size_t _n = (n);						\
									\
	if (!kt_traps(test))						\
		break;							\
	kt_write_strictly(_p, _n);					\
	EXPECT_REPORT(test, "cpu-write", test_dma_write, _p, _n);		\
} while (0)

#define EXPECT_READ_OK(test, ptr, n) do {				\
	test_dma_read(ptr, n);						\
	EXPECT_SILENCE(test);						\
} while (0)

#define EXPECT_WRITE_OK(test, ptr, n) do {				\
	test_dma_write(ptr, n);						\
	EXPECT_SILENCE(test);						\
} while (0)

/* Rule 4 of the design, and strict=1. */
#define EXPECT_DEVICE_OWNS(test, dir, ptr, n) do {			\
	struct kunit *_test = (test);					\
	void *_owned = (ptr);						\
	size_t _size = (n);						\
									\
	if ((dir) == DMA_TO_DEVICE)					\
		EXPECT_READ_OK(_test, _owned, _size);			\
	else								\
		EXPECT_READ_TRAPS(_test, _owned, _size);		\
	EXPECT_WRITE_TRAPS(_test, _owned, _size);			\
} while (0)

#define EXPECT_CPU_OWNS(test, ptr, n) do {				\
	void *_owned = (ptr);						\
	size_t _size = (n);						\
									\
	test_dma_read(_owned, _size);					\
	test_dma_write(_owned, _size);					\
	EXPECT_SILENCE(test);						\
} while (0)

/* Rule 6b: it may be written, and not read. The device still owns DMA_TO_DEVICE bytes. */
#define EXPECT_NOT_SYNCED(test, dir, ptr, n) do {			\
	if ((dir) == DMA_TO_DEVICE)					\
		EXPECT_DEVICE_OWNS(test, dir, ptr, n);			\
	else								\
		EXPECT_READ_TRAPS(test, ptr, n);			\
} while (0)

#define EXPECT_TEXT(test, pattern)					\
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(pattern), "no line '%s'", pattern)
#define EXPECT_NO_TEXT(test, pattern)					\
	KUNIT_EXPECT_FALSE_MSG(test, kt_has(pattern), "a line '%s'", pattern)

/* All of it is accessible again: no value of the tool's is left. */
#define EXPECT_CLEAN(test, ptr, n)					\
	KUNIT_EXPECT_EQ(test, kt_first_inaccessible(ptr, n), -1)

#endif /* DMA_OWNER_DEBUG_KUNIT_KT_H */
