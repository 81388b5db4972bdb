// SPDX-License-Identifier: GPL-2.0
/*
 * Where KCSAN is the guard, a wrong access is found by chance: after how many tries each kind
 * of it is, and that the legal neighbours are silent however long one tries.
 */

#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE 256

KT_DIRECTIONS;

/* KCSAN shows a race again only after this time, in ms. */
#define AGAIN_MS	(CONFIG_KCSAN_REPORT_ONCE_IN_MS + 20)
#define RUNS		(AGAIN_MS < 300 ? 50 : 5)
/* An access each 10 us. Emulated processors on a busy machine seldom run at once. */
#define MOST_TRIES	2000000U

static void access(void *p, size_t size, bool write)
{
	if (write)
		test_dma_write(p, size);
	else
		test_dma_read(p, size);
}

/* Accesses memory until there is a report; returns how often, 0 for in vain. */
static unsigned int try(void *p, size_t size, bool write)
{
	unsigned int tries;

	for (tries = 1; tries <= MOST_TRIES; tries++) {
		access(p, size, write);
		udelay(10);
		if (kt_pending())
			return tries;
		if (!(tries % 64))
			cond_resched();
	}
	return 0;
}

/* === What is found ======================================================== */

static const struct rule {
	const char *name;
	enum dma_data_direction dir;
	bool write;
} rules[] = {
	{ "read_from_device", DMA_FROM_DEVICE, false },
	{ "write_from_device", DMA_FROM_DEVICE, true },
	{ "read_bidirectional", DMA_BIDIRECTIONAL, false },
	{ "write_bidirectional", DMA_BIDIRECTIONAL, true },
	{ "write_to_device", DMA_TO_DEVICE, true },
};

static void rule_desc(const struct rule *rule, char *desc)
{
	strscpy(desc, rule->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(rule, rules, rule_desc);

static int by_number(const void *a, const void *b)
{
	return *(const unsigned int *)a < *(const unsigned int *)b ? -1 : 1;
}

static void race_found(struct kunit *test)
{
	const struct rule *rule = test->param_value;
	const char *title = rule->write ?
		"BUG: DMA_OWNER: cpu-write in test_dma_write+0x" :
		"BUG: DMA_OWNER: cpu-read in test_dma_read+0x";
	unsigned int tries[RUNS];
	u8 *buf = kt_buf(test, SIZE);
	int i;

	kt_set(test, "content", "off");
	for (i = 0; i < RUNS; i++) {
		dma_addr_t dma;

		msleep(AGAIN_MS);
		kt_reset();
		dma = test_dma_map(test, kt_dev, buf, SIZE, rule->dir);
		tries[i] = try(buf + 64, 8, rule->write);
		dma_unmap_single(kt_dev, dma, SIZE, rule->dir);
		if (!tries[i]) {
			KUNIT_FAIL(test, "not found by %u accesses", MOST_TRIES);
			return;
		}
		KUNIT_EXPECT_GE(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), title),
				      "title '%s' instead of '%s'", kt_line(0), title);
	}
	sort(tries, RUNS, sizeof(tries[0]), by_number, NULL);
	kunit_info(test, "found at access %u in the middle, %u at worst, of %u runs",
		   tries[RUNS / 2], tries[RUNS - 1], RUNS);
	kt_reset();
}

/* The report has all that one of another guard has. */
static void race_report_complete(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	msleep(AGAIN_MS);
	kt_reset();
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GT(test, try(buf + 16, 4, false), 0);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_RACE(test, "cpu-read", test_dma_read, buf + 16, 4);
	KUNIT_EXPECT_TRUE(test, kt_has(" race_report_complete+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Device " KT_NAME " " KT_NAME ".0 owns 256 bytes, DMA_FROM_DEVICE*"));
	KUNIT_EXPECT_TRUE(test, kt_has("*; the access is 16 bytes into the buffer"));
	KUNIT_EXPECT_TRUE(test, kt_has("Mapped by task *"));
	KUNIT_EXPECT_TRUE(test, kt_has(" test_dma_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: *call dma_sync_single_for_cpu() before*"));
	kt_reset();
}

/* KCSAN compares the content of 1, 2, 4 and 8 bytes, which a device changes legally. */
static void race_on_small_buffer_found(struct kunit *test)
{
	static const size_t sizes[] = { 3, 4, 7, 8, 9 };
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *buf = kt_buf(test, 16);
		dma_addr_t dma;

		msleep(AGAIN_MS);
		kt_reset();
		dma = test_dma_map(test, kt_dev, buf, sizes[i], DMA_FROM_DEVICE);
		KUNIT_EXPECT_GT_MSG(test, try(buf, 1, true), 0, "%zu bytes", sizes[i]);
		dma_unmap_single(kt_dev, dma, sizes[i], DMA_FROM_DEVICE);
		kt_reset();
	}
}

/* Any part of a long buffer. */
static void race_on_long_buffer_found(struct kunit *test)
{
	static const size_t at[] = { 0, PAGE_SIZE + 100, 6 * PAGE_SIZE, 8 * PAGE_SIZE - 8 };
	u8 *buf = page_address(kt_page(test, 3));
	int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		dma_addr_t dma;

		msleep(AGAIN_MS);
		kt_reset();
		dma = test_dma_map(test, kt_dev, buf, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
		KUNIT_EXPECT_GT_MSG(test, try(buf + at[i], 8, true), 0, "byte %zu", at[i]);
		dma_unmap_single(kt_dev, dma, 8 * PAGE_SIZE, DMA_FROM_DEVICE);
		kt_reset();
	}
}

/* The test that made the access fails, at its next DMA call. */
static void race_fails_running_test(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	int on;

	msleep(AGAIN_MS);
	kt_reset();
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	kt_set(test, "kunit_fail", "1");
	KUNIT_EXPECT_GT(test, try(buf, 8, true), 0);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	on = READ_ONCE(test->status);
	/* The tool set this status: it is what the test expects. */
	WRITE_ONCE(test->status, KUNIT_SUCCESS);
	kt_set(test, "kunit_fail", "0");
	KUNIT_EXPECT_EQ(test, on, (int)KUNIT_FAILURE);
	kt_reset();
}

/* === What is silent ======================================================= */

/* Runs for so many ms. */
#define for_a_while(end, ms)						\
	for ((end) = ktime_add_ms(ktime_get(), ms);			\
	     ktime_before(ktime_get(), end); cond_resched())

static void read_of_to_device_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	ktime_t end;

	for_a_while(end, 1000)
		test_dma_read(buf + 64, 8);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static void bytes_beside_mapping_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf + 64, 128, dir_of(test));
	ktime_t end;

	for_a_while(end, 500) {
		test_dma_write(buf + 63, 1);
		test_dma_write(buf + 192, 8);
		test_dma_read(buf, 8);
	}
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 128, dir_of(test));
}

/* Code that copies reads whole words, and so past the synced part. */
static void rounded_up_read_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	ktime_t end;

	dma_sync_single_for_cpu(kt_dev, dma, 61, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma + 131, SIZE - 131, DMA_FROM_DEVICE);
	for_a_while(end, 1000) {
		test_dma_read(buf + 56, 8);
		test_dma_read(buf + 128, 8);
	}
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

/* KCSAN's own report cannot be held back: filtered mappings are not watched. */
static void filtered_race_silent(struct kunit *test)
{
	long before = dma_owner_debug_count("reports_filtered");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;
	ktime_t end;

	kt_set(test, "off_drivers", "cpu-read:" KT_NAME);
	msleep(AGAIN_MS);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	for_a_while(end, 1000)
		test_dma_read(buf + 64, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_filtered"), before);
	EXPECT_SILENCE(test);
}

/* What the device writes is no race, of whatever size the buffer is. */
static void device_write_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE), value = 0;
	size_t size;
	ktime_t end;

	for (size = 1; size <= SIZE; size *= 2) {
		dma_addr_t dma = test_dma_map(test, kt_dev, buf, size, DMA_FROM_DEVICE);

		for_a_while(end, 200)
			kt_device_writes(buf, size, value++);
		dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	}
	EXPECT_SILENCE(test);
}

/* The guard's thread may be watching the memory when it is synced for the CPU or unmapped. */
static int hand_back(void *arg)
{
	u8 *buf = arg;
	int round, errors = 0;

	for (round = 0; round < 4000; round++) {
		enum dma_data_direction dir = directions[round % 3];
		dma_addr_t dma;

		test_dma_write(buf, 8);
		dma = dma_map_single(kt_dev, buf, SIZE, dir);
		if (dma_mapping_error(kt_dev, dma)) {
			errors++;
			continue;
		}
		udelay(round % 97);
		if (round % 2) {
			dma_sync_single_for_cpu(kt_dev, dma, SIZE / 2, dir);
			test_dma_read(buf, 8);
			if (dir != DMA_FROM_DEVICE)
				test_dma_write(buf + 8, 8);
			dma_sync_single_for_device(kt_dev, dma, SIZE / 2, dir);
			udelay(round % 89);
		}
		dma_unmap_single(kt_dev, dma, SIZE, dir);
		test_dma_write(buf + round % 31 * 8, 8);
		test_dma_read(buf + SIZE - 8, 8);
		if (!(round % 16))
			cond_resched();
	}
	return errors;
}

static void access_after_unmap_silent(struct kunit *test)
{
	long waits = dma_owner_debug_count("kcsan_waits");
	long watches = dma_owner_debug_count("kcsan_watches");
	long give_ups = dma_owner_debug_count("kcsan_wait_give_ups");
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct kt_thread thread;

	kt_thread_start(&thread, hand_back, b);
	KUNIT_EXPECT_EQ(test, hand_back(a), 0);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kcsan_watches"), watches);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("kcsan_wait_give_ups"), give_ups);
	kunit_info(test, "hooks waited %ld times, the longest so far %ld us; %ld looks",
		   dma_owner_debug_count("kcsan_waits") - waits,
		   dma_owner_debug_count("kcsan_longest_wait_us"),
		   dma_owner_debug_count("kcsan_watches") - watches);
}

/* The next user of the memory is not reported. */
static void memory_reused_after_free_silent(struct kunit *test)
{
	int round;

	for (round = 0; round < 50; round++) {
		u8 *buf = kmalloc(SIZE, GFP_KERNEL);
		dma_addr_t dma;

		KUNIT_ASSERT_NOT_NULL(test, buf);
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		udelay(100 + round);
		kfree(buf);
		buf = kmalloc(SIZE, GFP_KERNEL);
		if (buf)
			test_dma_write(buf, 8);
		kfree(buf);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in memory_reused_after_free_silent+0x*"));
		dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	}
	EXPECT_SILENCE(test);
}

/* === Unknown origin ======================================================= */

static u32 last_read;

static kt_noinline void test_plain_read(const u32 *p)
{
	u32 value = *p;

	/* Or compilers leave the read out. */
	WRITE_ONCE(last_read, value);
}

static bool stop_writing;

static int write_on(void *buf)
{
	u8 value = 0;

	while (!READ_ONCE(stop_writing)) {
		kt_device_writes(buf, SIZE, value++);
		cond_resched();
	}
	return 0;
}

/* A race that KCSAN knows only one side of: the other is the device. */
static void unknown_origin_named(struct kunit *test)
{
	long annotated = dma_owner_debug_count("kcsan_reports_annotated");
	u8 *buf = kt_buf(test, SIZE);
	struct kt_thread thread;
	dma_addr_t dma;
	ktime_t end;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KCSAN_REPORT_RACE_UNKNOWN_ORIGIN));
	/* The guard itself watches nothing meanwhile. */
	kt_set(test, "watch_cpu", "0");
	msleep(AGAIN_MS);
	kt_reset();
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	WRITE_ONCE(stop_writing, false);
	kt_thread_start(&thread, write_on, buf);
	for_a_while(end, 20000) {
		int i;

		for (i = 0; i < 1000; i++)
			test_plain_read((u32 *)buf);
		if (dma_owner_debug_count("kcsan_reports_annotated") > annotated)
			break;
	}
	WRITE_ONCE(stop_writing, true);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("kcsan_reports_annotated"), annotated);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "the unknown origin is this device"),
			      "the log says '%s'", kt_note());
	EXPECT_SILENCE(test);
}

static struct kunit_case kcsan_cases[] = {
	KUNIT_CASE_PARAM(race_found, rule_gen_params),
	KUNIT_CASE(race_report_complete),
	KUNIT_CASE(race_on_small_buffer_found),
	KUNIT_CASE(race_on_long_buffer_found),
	KUNIT_CASE(race_fails_running_test),
	KUNIT_CASE(read_of_to_device_silent),
	DIRECTION_CASE(bytes_beside_mapping_silent),
	KUNIT_CASE(rounded_up_read_silent),
	KUNIT_CASE(filtered_race_silent),
	KUNIT_CASE(device_write_silent),
	KUNIT_CASE(access_after_unmap_silent),
	KUNIT_CASE(memory_reused_after_free_silent),
	KUNIT_CASE(unknown_origin_named),
	{}
};

KT_SUITE(kcsan);
