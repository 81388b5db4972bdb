// SPDX-License-Identifier: GPL-2.0
/*
 * Where drivers really are when they map and access memory: hard interrupts, interrupts off,
 * several CPUs at once; the stacks of mappings made there. And long lives in which everything is
 * legal, and silent.
 */

#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE 256

KT_DIRECTIONS;

/* === Interrupts =========================================================== */

struct in_irq {
	struct irq_work work;
	u8 *buf;
	dma_addr_t dma;
	enum dma_data_direction dir;
	bool in_hardirq, failed;
};

/* Everything legal, all of it in the interrupt. */
static void legal_in_irq(struct irq_work *work)
{
	struct in_irq *w = container_of(work, struct in_irq, work);

	w->in_hardirq = in_hardirq();
	test_dma_write(w->buf, 8);
	w->dma = dma_map_single(kt_dev, w->buf, SIZE, w->dir);
	w->failed = dma_mapping_error(kt_dev, w->dma);
	if (w->failed)
		return;
	dma_sync_single_for_cpu(kt_dev, w->dma, SIZE, w->dir);
	test_dma_read(w->buf, 8);
	test_dma_write(w->buf + SIZE - 8, 8);
	dma_sync_single_for_device(kt_dev, w->dma, SIZE, w->dir);
	dma_unmap_single(kt_dev, w->dma, SIZE, w->dir);
	test_dma_write(w->buf, 8);
}

static void wrong_in_irq(struct irq_work *work)
{
	struct in_irq *w = container_of(work, struct in_irq, work);

	w->in_hardirq = in_hardirq();
	test_dma_write(w->buf + 16, 4);
}

/* Mapped in the interrupt, as by a receive ring's refill. */
static void map_in_irq(struct irq_work *work)
{
	struct in_irq *w = container_of(work, struct in_irq, work);

	w->in_hardirq = in_hardirq();
	w->dma = dma_map_single(kt_dev, w->buf, SIZE, w->dir);
	w->failed = dma_mapping_error(kt_dev, w->dma);
}

static void run_in_irq(struct kunit *test, struct in_irq *w, void (*fn)(struct irq_work *))
{
	w->work = IRQ_WORK_INIT_HARD(fn);
	irq_work_queue(&w->work);
	irq_work_sync(&w->work);
	KUNIT_EXPECT_TRUE(test, w->in_hardirq);
	KUNIT_EXPECT_FALSE(test, w->failed);
}

static void legal_calls_in_irq_silent(struct kunit *test)
{
	struct in_irq *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	w->dir = dir_of(test);
	w->buf = kt_buf(test, SIZE);
	for (i = 0; i < 10; i++)
		run_in_irq(test, w, legal_in_irq);
	EXPECT_SILENCE(test);
}

static void write_in_irq_reported(struct kunit *test)
{
	struct in_irq *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	w->buf = kt_buf(test, SIZE);
	kt_set(test, "strict", "1");
	dma = test_dma_map(test, kt_dev, w->buf, SIZE, dir_of(test));
	run_in_irq(test, w, wrong_in_irq);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, w->buf + 16, 4);
	KUNIT_EXPECT_EQ(test, kt_peek(w->buf + 16), 0x5a);
	dma_unmap_single(kt_dev, dma, SIZE, dir_of(test));
	run_in_irq(test, w, wrong_in_irq);
	EXPECT_SILENCE(test);
}

static void mapped_in_irq_traps(struct kunit *test)
{
	struct in_irq *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	w->dir = dir_of(test);
	w->buf = kt_buf(test, SIZE);
	run_in_irq(test, w, map_in_irq);
	EXPECT_DEVICE_OWNS(test, w->dir, w->buf, 8);
	KUNIT_EXPECT_TRUE(test, kt_has(" map_in_irq+0x*"));
	dma_unmap_single(kt_dev, w->dma, SIZE, w->dir);
	EXPECT_CPU_OWNS(test, w->buf, 8);
}

/* === Stacks =============================================================== */

/* A mapping, and its stack as the kernel's unwinder sees it. */
struct mapper {
	struct irq_work work;
	u8 *buf;
	dma_addr_t dma;
	unsigned long frames[10];
	unsigned int nr;
	bool in_hardirq, failed;
};

static kt_noinline void map_leaf(struct mapper *w)
{
	w->nr = stack_trace_save(w->frames, ARRAY_SIZE(w->frames), 0);
	w->dma = dma_map_single(kt_dev, w->buf, SIZE, DMA_FROM_DEVICE);
	w->failed = dma_mapping_error(kt_dev, w->dma);
}

static kt_noinline void map_middle(struct mapper *w)
{
	map_leaf(w);
}

/* Two call chains of the same depth, with the same functions at both ends. */
static kt_noinline void map_one_way(struct mapper *w)
{
	map_middle(w);
}

static kt_noinline void map_other_way(struct mapper *w)
{
	map_middle(w);
}

/* An aligned frame: its size depends on the caller. */
static kt_noinline void map_aligned(struct mapper *w)
{
	u8 pad[64] __aligned(64);

	pad[w->nr % sizeof(pad)] = 0;
	OPTIMIZER_HIDE_VAR(w);
	map_middle(w);
	w->failed |= READ_ONCE(pad[w->nr % sizeof(pad)]) == 1;
}

/* Most of such a frame is a gap, which nobody writes to. */
static kt_noinline __no_sanitize_address void map_padded(struct mapper *w)
{
	u8 pad[64] __aligned(1024) DOD_UNINITIALIZED;

	OPTIMIZER_HIDE_VAR(w);
	barrier_data(pad);
	map_middle(w);
	barrier_data(pad);
}

static kt_noinline void map_deeper(struct mapper *w)
{
	unsigned long pad[3];

	pad[0] = w->nr;
	OPTIMIZER_HIDE_VAR(w);
	map_aligned(w);
	w->failed |= READ_ONCE(pad[0]) == ~0UL;
}

#define DEFINE_FRAME(name, words, callee)				\
static kt_noinline __no_sanitize_address void name(struct mapper *w)	\
{									\
	/* Of an array, the frame would be aligned. */			\
	struct {							\
		unsigned long pad[words];				\
	} frame DOD_UNINITIALIZED;					\
									\
	OPTIMIZER_HIDE_VAR(w);						\
	barrier_data(&frame);						\
	callee(w);							\
	barrier_data(&frame);						\
}

/*
 * Callers of map_padded() with frames of different sizes. The return address of one call
 * stays in the gap of the next one, and the frames inside are in the same place.
 */
DEFINE_FRAME(map_small_frame, 2, map_padded)
DEFINE_FRAME(map_large_frame, 20, map_padded)

/* In the same place both chains have a return address of a function, whose frames differ. */
DEFINE_FRAME(map_small_inside, 2, map_middle)
DEFINE_FRAME(map_large_inside, 20, map_middle)
DEFINE_FRAME(map_small_outside, 2, map_large_inside)
DEFINE_FRAME(map_large_outside, 20, map_small_inside)

static void (*const ways[])(struct mapper *w) = {
	map_one_way, map_other_way, map_aligned, map_deeper, map_small_frame, map_large_frame,
	map_small_outside, map_large_outside,
};

/* The report has all the frames, and only those of the call chain that was taken. */
static void expect_stack(struct kunit *test, const struct mapper *w, unsigned int way)
{
	char line[KSYM_SYMBOL_LEN], *in;
	unsigned int i;

	KUNIT_ASSERT_FALSE(test, w->failed);
	EXPECT_WRITE_TRAPS(test, w->buf, 8);
	/* The first frame is the call of stack_trace_save(). */
	for (i = 1; i < w->nr; i++) {
		snprintf(line, sizeof(line), " %pS", (void *)w->frames[i]);
		/* In a glob, '[' would begin a class of characters. */
		in = strchr(line, '[');
		if (in)
			*in = '?';
		KUNIT_EXPECT_TRUE_MSG(test, kt_has(line), "way %u has no line%s", way, line);
	}
	KUNIT_EXPECT_TRUE(test, kt_has(" map_leaf+0x*"));
	KUNIT_EXPECT_EQ(test, kt_has(" map_one_way+0x*"), way == 0);
	KUNIT_EXPECT_EQ(test, kt_has(" map_other_way+0x*"), way == 1);
	KUNIT_EXPECT_EQ(test, kt_has(" map_aligned+0x*"), way == 2 || way == 3);
	KUNIT_EXPECT_EQ(test, kt_has(" map_deeper+0x*"), way == 3);
	KUNIT_EXPECT_EQ(test, kt_has(" map_small_frame+0x*"), way == 4);
	KUNIT_EXPECT_EQ(test, kt_has(" map_large_frame+0x*"), way == 5);
	KUNIT_EXPECT_EQ(test, kt_has(" map_small_outside+0x*"), way == 6);
	KUNIT_EXPECT_EQ(test, kt_has(" map_large_outside+0x*"), way == 7);
	dma_unmap_single(kt_dev, w->dma, SIZE, DMA_FROM_DEVICE);
}

static struct mapper *mapper_new(struct kunit *test)
{
	struct mapper *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	w->buf = kt_buf(test, SIZE);
	return w;
}

/* In turns, so that the cache of the unwinder has another chain's frames each time. */
static void stacks_of_mappings_complete(struct kunit *test)
{
	struct mapper *w = mapper_new(test);
	int i;

	if (!kt_traps(test))
		return;
	for (i = 0; i < 5 * ARRAY_SIZE(ways); i++) {
		ways[i % ARRAY_SIZE(ways)](w);
		expect_stack(test, w, i % ARRAY_SIZE(ways));
	}
	EXPECT_SILENCE(test);
}

/* What was the return address of a frame in the middle is still there, but is none any more. */
static void stacks_differ_in_middle(struct kunit *test)
{
	struct mapper *w[] = { mapper_new(test), mapper_new(test) };
	int round, i;

	if (!kt_traps(test))
		return;
	for (round = 0; round < 8; round++) {
		unsigned int way[] = { 4 + round % 4, 4 + (round % 4 ^ 1) };

		/* Nothing comes between, which would use the stack. */
		for (i = 0; i < 2; i++)
			ways[way[i]](w[i]);
		for (i = 0; i < 2; i++)
			expect_stack(test, w[i], way[i]);
	}
	EXPECT_SILENCE(test);
}

/* A loop that is unrolled: another return address in the same place, of the same function. */
static void stacks_of_unrolled_loop_complete(struct kunit *test)
{
	struct mapper *w = mapper_new(test);

	if (!kt_traps(test))
		return;
	map_one_way(w);
	expect_stack(test, w, 0);
	map_one_way(w);
	expect_stack(test, w, 0);
	map_one_way(w);
	expect_stack(test, w, 0);
	EXPECT_SILENCE(test);
}

static void map_frames_limits_stack(struct kunit *test)
{
	struct mapper *w = mapper_new(test);

	if (!kt_traps(test))
		return;
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("map_frames", "0"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("map_frames", "13"), -EINVAL);
	kt_set(test, "map_frames", "1");
	map_one_way(w);
	EXPECT_WRITE_TRAPS(test, w->buf, 8);
	KUNIT_EXPECT_FALSE(test, kt_has(" map_middle+0x*"));
	dma_unmap_single(kt_dev, w->dma, SIZE, DMA_FROM_DEVICE);
	kt_set(test, "map_frames", "12");
	map_one_way(w);
	expect_stack(test, w, 0);
	KUNIT_EXPECT_TRUE(test, kt_has(" map_middle+0x*"));
	EXPECT_SILENCE(test);
}

static void map_way_in_irq(struct irq_work *work)
{
	struct mapper *w = container_of(work, struct mapper, work);

	w->in_hardirq = in_hardirq();
	map_other_way(w);
}

/* In an interrupt, and the same in the task that it interrupts. */
static void stacks_in_irq_complete(struct kunit *test)
{
	struct mapper *w = mapper_new(test);
	int i;

	if (!kt_traps(test))
		return;
	for (i = 0; i < 6; i++) {
		w->work = IRQ_WORK_INIT_HARD(map_way_in_irq);
		irq_work_queue(&w->work);
		irq_work_sync(&w->work);
		KUNIT_EXPECT_TRUE(test, w->in_hardirq);
		expect_stack(test, w, 1);
		KUNIT_EXPECT_TRUE(test, kt_has(" map_way_in_irq+0x*"));
		map_other_way(w);
		expect_stack(test, w, 1);
		KUNIT_EXPECT_FALSE(test, kt_has(" map_way_in_irq+0x*"));
	}
	EXPECT_SILENCE(test);
}

static void write_with_irqs_off_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	unsigned long flags;
	dma_addr_t dma;

	local_irq_save(flags);
	dma = dma_map_single(kt_dev, buf, SIZE, dir);
	if (!dma_mapping_error(kt_dev, dma)) {
		test_dma_write(buf, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
		test_dma_write(buf, 8);
		dma_unmap_single(kt_dev, dma, SIZE, dir);
		test_dma_write(buf, 8);
	}
	KUNIT_EXPECT_TRUE(test, irqs_disabled());
	local_irq_restore(flags);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 8);
}

/* === Several CPUs ========================================================= */

#define ROUNDS 1000

struct worker {
	struct kt_thread thread;
	u8 *buf;
	dma_addr_t dma;
	u8 id;
};

/* Runs @n workers, the i-th with @buf + i * @step; returns the sum of their errors. */
static int run_workers(struct kunit *test, int (*fn)(void *worker), int n, u8 *buf,
		       size_t step, dma_addr_t dma)
{
	struct worker *w = kunit_kcalloc(test, n, sizeof(*w), GFP_KERNEL);
	int i, errors = 0;
	u32 saved;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	/* dma-debug takes two CPUs that map the same lines for one that maps them twice. */
	saved = kt_quiet_dma_debug();
	for (i = 0; i < n; i++) {
		w[i].buf = buf + i * step;
		w[i].dma = dma + i * step;
		w[i].id = i + 1;
		kt_thread_start(&w[i].thread, fn, &w[i]);
	}
	for (i = 0; i < n; i++)
		errors += !!kt_thread_join(&w[i].thread);
	kt_unquiet_dma_debug(saved);
	return errors;
}

/* Writes while it owns its part, and checks what it finds there. */
static int sync_my_part(void *arg)
{
	struct worker *w = arg;
	int round, errors = 0;

	for (round = 0; round < ROUNDS; round++) {
		dma_sync_single_for_cpu(kt_dev, w->dma, 1024, DMA_BIDIRECTIONAL);
		if (round && READ_ONCE(w->buf[round % 1024]) != w->id)
			errors++;
		if (!round)
			memset(w->buf, w->id, 1024);
		WRITE_ONCE(w->buf[(round + 1) % 1024], w->id);
		dma_sync_single_for_device(kt_dev, w->dma, 1024, DMA_BIDIRECTIONAL);
		cond_resched();
	}
	return errors;
}

/* Each thread syncs its own part of one mapping. */
static void threads_syncing_parts_silent(struct kunit *test)
{
	u8 *buf = kt_page_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 4096, DMA_BIDIRECTIONAL);

	KUNIT_EXPECT_EQ(test, run_workers(test, sync_my_part, 4, buf, 1024, dma), 0);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, buf, 8);
	EXPECT_READ_TRAPS(test, buf + 4088, 8);
	dma_unmap_single(kt_dev, dma, 4096, DMA_BIDIRECTIONAL);
	EXPECT_CPU_OWNS(test, buf, 8);
}

static int map_my_part(void *arg)
{
	struct worker *w = arg;
	int round, errors = 0;

	for (round = 0; round < ROUNDS; round++) {
		enum dma_data_direction dir = directions[round % 3];
		size_t size = 64 + round * 8 % 960;
		dma_addr_t dma;

		WRITE_ONCE(w->buf[0], w->id);
		WRITE_ONCE(w->buf[1023], w->id);
		dma = dma_map_single(kt_dev, w->buf, size, dir);
		if (dma_mapping_error(kt_dev, dma)) {
			errors++;
			continue;
		}
		dma_unmap_single(kt_dev, dma, size, dir);
		if (READ_ONCE(w->buf[0]) != w->id || READ_ONCE(w->buf[1023]) != w->id)
			errors++;
		cond_resched();
	}
	return errors;
}

/* Mappings side by side in one page, made and ended by several threads. */
static void threads_mapping_parts_silent(struct kunit *test)
{
	u8 *buf = kt_page_buf(test);

	KUNIT_EXPECT_EQ(test, run_workers(test, map_my_part, 4, buf, 1024, 0), 0);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, 4096);
}

static int map_to_device_and_read(void *arg)
{
	struct worker *w = arg;
	int round, errors = 0;

	for (round = 0; round < ROUNDS; round++) {
		dma_addr_t dma = dma_map_single(kt_dev, w->buf, SIZE, DMA_TO_DEVICE);

		if (dma_mapping_error(kt_dev, dma)) {
			errors++;
			continue;
		}
		if (READ_ONCE(w->buf[round % SIZE]) != 0x11)
			errors++;
		dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
		cond_resched();
	}
	return errors;
}

/*
 * All threads map and read the same buffer: a read that traps while another thread unmaps
 * is legal, whichever is first.
 */
static void threads_reading_mapped_silent(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	u8 *buf = kt_buf(test, SIZE);

	memset(buf, 0x11, SIZE);
	KUNIT_EXPECT_EQ(test, run_workers(test, map_to_device_and_read, 4, buf, 0, 0), 0);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

/* Every thread has a list of its own, over the same memory. */
static int map_list_and_read(void *arg)
{
	struct worker *w = arg;
	struct scatterlist sg[4];
	int round, i, errors = 0;

	for (round = 0; round < ROUNDS; round++) {
		sg_init_table(sg, 4);
		for (i = 0; i < 4; i++)
			sg_set_buf(&sg[i], w->buf + 256 * i, 128);
		if (!dma_map_sg(kt_dev, sg, 4, DMA_TO_DEVICE)) {
			errors++;
			continue;
		}
		if (READ_ONCE(w->buf[256 * (round % 4)]) != 0x22)
			errors++;
		dma_unmap_sg(kt_dev, sg, 4, DMA_TO_DEVICE);
		cond_resched();
	}
	return errors;
}

static void threads_mapping_same_list_silent(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	u8 *buf = kt_buf(test, 1024);

	memset(buf, 0x22, 1024);
	KUNIT_EXPECT_EQ(test, run_workers(test, map_list_and_read, 4, buf, 0, 0), 0);
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, 1024);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

static struct kunit_case context_cases[] = {
	DIRECTION_CASE(legal_calls_in_irq_silent),
	DIRECTION_CASE(write_in_irq_reported),
	DIRECTION_CASE(mapped_in_irq_traps),
	KUNIT_CASE(stacks_of_mappings_complete),
	KUNIT_CASE(stacks_in_irq_complete),
	KUNIT_CASE(stacks_differ_in_middle),
	KUNIT_CASE(stacks_of_unrolled_loop_complete),
	KUNIT_CASE(map_frames_limits_stack),
	DIRECTION_CASE(write_with_irqs_off_reported),
	KUNIT_CASE(threads_syncing_parts_silent),
	KUNIT_CASE(threads_mapping_parts_silent),
	KUNIT_CASE(threads_reading_mapped_silent),
	KUNIT_CASE(threads_mapping_same_list_silent),
	{}
};

KT_SUITE(context);

/* === Legal lives ========================================================== */

static kt_noinline void test_fill(u8 *buf, u8 value, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(buf, value, size);
}

static kt_noinline bool test_all(const u8 *buf, u8 value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (READ_ONCE(buf[i]) != value)
			return false;
	return true;
}

/* The whole life of a driver's buffers, of many sizes, with all calls in their places. */
static void legal_life_silent(struct kunit *test)
{
	long reads = dma_owner_debug_count("reports_cpu_read");
	long writes = dma_owner_debug_count("reports_cpu_write");
	long unmaps = dma_owner_debug_count("unmatched_unmaps");
	long syncs = dma_owner_debug_count("unmatched_syncs");
	int round;

	for (round = 0; round < 300; round++) {
		enum dma_data_direction dir = directions[round % 3];
		size_t size = 1 + round * 37 % 3000, half = size / 2;
		u8 *buf = kmalloc(size, GFP_KERNEL), value = round;
		dma_addr_t dma;

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		test_fill(buf, value, size);
		dma = dma_map_single(kt_dev, buf, size, dir);
		if (dma_mapping_error(kt_dev, dma)) {
			KUNIT_FAIL(test, "cannot map");
			kfree(buf);
			break;
		}
		if (dir == DMA_TO_DEVICE)
			KUNIT_EXPECT_TRUE(test, test_all(buf, value, size));
		dma_sync_single_for_cpu(kt_dev, dma, size, dir);
		KUNIT_EXPECT_TRUE(test, test_all(buf, value, size));
		/* The CPU does not write to DMA_FROM_DEVICE. */
		if (dir != DMA_FROM_DEVICE)
			test_fill(buf, ++value, size);
		dma_sync_single_for_device(kt_dev, dma, size, dir);
		if (half) {
			dma_sync_single_range_for_cpu(kt_dev, dma, size - half, half, dir);
			KUNIT_EXPECT_TRUE(test, test_all(buf + size - half, value, half));
			dma_sync_single_range_for_device(kt_dev, dma, size - half, half, dir);
		}
		dma_unmap_single(kt_dev, dma, size, dir);
		KUNIT_EXPECT_TRUE(test, test_all(buf, value, size));
		test_fill(buf, 0, size);
		kfree(buf);
	}
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_read"), reads);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_write"), writes);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmaps);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_syncs"), syncs);
}

/* Many mappings at a time, ended in another order than they were made. */
static void many_live_mappings_silent(struct kunit *test)
{
	const int n = 1000;
	long live = dma_owner_debug_count("live");
	long empty = dma_owner_debug_count("untracked_pool_empty");
	dma_addr_t *dma = kunit_kcalloc(test, n, sizeof(*dma), GFP_KERNEL);
	u8 **buf = kunit_kcalloc(test, n, sizeof(*buf), GFP_KERNEL);
	int i, j, mapped = 0, poisoned = 0, left = 0;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	for (i = 0; i < n; i++) {
		buf[i] = kt_buf(test, 64);
		dma[i] = dma_map_single(kt_dev, buf[i], 64, DMA_FROM_DEVICE);
		mapped += !dma_mapping_error(kt_dev, dma[i]);
	}
	KUNIT_EXPECT_EQ(test, mapped, n);
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("live"), live + n / 2);
	for (i = 0; i < n; i++)
		poisoned += kt_is_poisoned(buf[i]);
	if (dma_owner_debug_count("untracked_pool_empty") == empty)
		KUNIT_EXPECT_EQ(test, poisoned, n);
	for (i = 0; i < n; i++) {
		j = i * 7 % n;		/* 7 and n have no common divisor. */
		dma_unmap_single(kt_dev, dma[j], 64, DMA_FROM_DEVICE);
		left += kt_is_poisoned(buf[j]);
	}
	KUNIT_EXPECT_EQ(test, left, 0);
	for (i = 0; i < n; i++)
		test_dma_write(buf[i], 8);
	EXPECT_SILENCE(test);
}

/* Freed and allocated again after the unmap: no poison is left for the new user. */
static void reused_memory_silent(struct kunit *test)
{
	int round;

	for (round = 0; round < 500; round++) {
		u8 *buf = kmalloc(192, GFP_KERNEL);
		dma_addr_t dma;

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		test_fill(buf, round, 192);
		dma = dma_map_single(kt_dev, buf, 192, DMA_FROM_DEVICE);
		if (dma_mapping_error(kt_dev, dma)) {
			KUNIT_FAIL(test, "cannot map");
			kfree(buf);
			break;
		}
		dma_unmap_single(kt_dev, dma, 192, DMA_FROM_DEVICE);
		kfree(buf);
	}
	EXPECT_SILENCE(test);
}

static struct kunit_case legal_cases[] = {
	KUNIT_CASE(legal_life_silent),
	KUNIT_CASE(many_live_mappings_silent),
	KUNIT_CASE(reused_memory_silent),
	{}
};

KT_SUITE(legal);
