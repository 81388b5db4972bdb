// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 12: the tool does no harm. Whatever a driver maps by mistake, the report of it ends, and
 * so does each report of what follows. Lengths that are wrong: rule12_bad_length.c.
 */

#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/kfence.h>
#include <linux/kprobes.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

/* The granule of the current task in which RCU counts its readers. */
static void *readers_granule(void)
{
#ifdef CONFIG_PREEMPT_RCU
	return PTR_ALIGN_DOWN((void *)&current->rcu_read_lock_nesting, 8);
#else
	return NULL;
#endif
}

static int unless_kfence(void *fn)
{
	return is_kfence_address(current) ? -EAGAIN : ((int (*)(void *))fn)(NULL);
}

/* In a task that is no object of KFENCE's, for the page of such a task is never protected. */
static int run_in_task(int (*fn)(void *unused))
{
	struct kt_thread thread;
	int ret;

	do {
		kt_thread_start(&thread, unless_kfence, fn);
		ret = kt_thread_join(&thread);
	} while (ret == -EAGAIN);
	return ret;
}

/*
 * A thread maps the part of its own task that each look-up of a symbol writes to; the
 * report of the first access there makes many look-ups. Interrupts are off: none must see
 * the task so.
 */
static kt_noinline int test_map_own_task(void *unused)
{
	void *granule = readers_granule();
	unsigned long flags;
	dma_addr_t dma;

	local_irq_save(flags);
	dma = dma_map_single(kt_dev, granule, 8, DMA_FROM_DEVICE);
	if (dma_mapping_error(kt_dev, dma)) {
		local_irq_restore(flags);
		return -EIO;
	}
	rcu_read_lock();
	rcu_read_unlock();
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);
	local_irq_restore(flags);
	return 0;
}

static void report_of_own_task_ends(struct kunit *test)
{
	int reports;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_PREEMPT_RCU));
	if (!kt_traps(test))
		return;
	KUNIT_EXPECT_EQ(test, run_in_task(test_map_own_task), 0);
	reports = kt_take_all();
	/*
	 * Reports of the two functions, and of dma-debug: 7.3 makes many look-ups while it
	 * unwinds.
	 */
	KUNIT_EXPECT_GT(test, reports, 0);
	KUNIT_EXPECT_LT(test, reports, 2000);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-"),
			      "title '%s'", kt_line(0));
	EXPECT_SILENCE(test);
}

/* The report itself reads the buffer: that is no access to report. */
static int read_own_name(void *unused)
{
	dma_addr_t dma = dma_map_single(kt_dev, current->comm, 8, DMA_FROM_DEVICE);

	if (dma_mapping_error(kt_dev, dma))
		return -EIO;
	test_dma_read(current->comm, 1);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);
	return 0;
}

static void report_of_task_name_ends(struct kunit *test)
{
	long nested = dma_owner_debug_count("traps_nested");

	KT_REQUIRES(test, IS_ALIGNED(offsetof(struct task_struct, comm), 8));
	if (!kt_traps(test))
		return;
	KUNIT_EXPECT_EQ(test, run_in_task(read_own_name), 0);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test,
			      strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-read in test_dma_read+"),
			      "title '%s'", kt_line(0));
	/* The report's own accesses are let through, and counted. */
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("traps_nested"), nested);
}

/* === Mappings that are too long =========================================== */

#define TOO_LONG	SZ_64M
#define ROUNDS		100

/* Allocates, writes and frees objects like the one that the bad mapping begins with. */
static int neighbour(void *stop)
{
	u8 *obj[32] = {};
	unsigned int i;

	for (i = 0; !READ_ONCE(*(bool *)stop); i++) {
		u8 **o = &obj[i % ARRAY_SIZE(obj)];

		kfree(*o);
		*o = kmalloc(512, GFP_KERNEL);
		if (*o)
			memset(*o, i, 512);
		if (!(i % 64))
			schedule_timeout_uninterruptible(1);
	}
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		kfree(obj[i]);
	return 0;
}

static kt_noinline int test_map_too_long(u8 *buf)
{
	dma_addr_t dma = dma_map_single(kt_dev, buf, TOO_LONG, DMA_FROM_DEVICE);

	if (dma_mapping_error(kt_dev, dma))
		return -EIO;
	schedule_timeout_uninterruptible(1);
	dma_unmap_single(kt_dev, dma, TOO_LONG, DMA_FROM_DEVICE);
	return 0;
}

/* An object with enough memory after it, if possible with the current task in it. */
static u8 *object_before_others(struct kunit *test)
{
	u8 *buf, *found = NULL;
	int i;

	for (i = 0; i < 256; i++) {
		buf = kt_buf(test, 512);
		if (!pfn_valid(PHYS_PFN(virt_to_phys(buf) + TOO_LONG)))
			continue;
		found = buf;
		if (buf < (u8 *)current && (u8 *)current - buf < TOO_LONG)
			break;
	}
	return found;
}

/*
 * A length that is wrong by a factor: the driver is reported, and nobody who accesses his
 * own memory there, which may be a task.
 */
static void mapping_of_64_mib_reported(struct kunit *test)
{
	long maps = dma_owner_debug_count("reports_out_of_bounds_map");
	u8 *buf = object_before_others(test);
	struct kt_thread threads[2];
	bool stop = false;
	int i, errors = 0;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	KT_REQUIRES(test, buf);
	kt_set(test, "dedup", "Y");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		kt_thread_start(&threads[i], neighbour, &stop);
	for (i = 0; i < ROUNDS; i++)
		errors += !!test_map_too_long(buf);
	WRITE_ONCE(stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		kt_thread_join(&threads[i]);
	KUNIT_EXPECT_EQ(test, errors, 0);
	/* Shown once and counted each time; no other report. */
	EXPECT_MAP_REPORT(test, "out-of-bounds-map", test_map_too_long, TOO_LONG);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_out_of_bounds_map"),
			maps + ROUNDS);
	EXPECT_SILENCE(test);
}

/* === Interrupts of a kprobe's handler ===================================== */

#ifdef CONFIG_KPROBES_ON_FTRACE
static struct {
	struct hrtimer timer;
	u8 *buf;
	bool write, done;
} irq;

static enum hrtimer_restart access_in_irq(struct hrtimer *timer)
{
	if (irq.write)
		test_dma_write(irq.buf, 8);
	else
		test_dma_read(irq.buf, 8);
	WRITE_ONCE(irq.done, true);
	return HRTIMER_NORESTART;
}

static kt_noinline void test_probed(void)
{
	barrier();
}

/* A tracer's handler, with interrupts on, as those of kprobes on ftrace sites run. */
static int wait_for_irq(struct kprobe *p, struct pt_regs *regs)
{
	u64 end = ktime_get_ns() + NSEC_PER_SEC;

	while (!READ_ONCE(irq.done) && ktime_get_ns() < end)
		cpu_relax();
	return 0;
}

static void access_in_handler(struct kunit *test, u8 *buf, bool write)
{
	struct kprobe p = {
		.addr = (kprobe_opcode_t *)test_probed,
		.pre_handler = wait_for_irq,
	};

	irq.buf = buf;
	irq.write = write;
	irq.done = false;
	KUNIT_ASSERT_EQ(test, register_kprobe(&p), 0);
	dod_hrtimer_setup(&irq.timer, access_in_irq, CLOCK_MONOTONIC,
			  HRTIMER_MODE_REL_PINNED_HARD);
	preempt_disable();
	hrtimer_start(&irq.timer, ns_to_ktime(NSEC_PER_MSEC), HRTIMER_MODE_REL_PINNED_HARD);
	test_probed();
	preempt_enable();
	hrtimer_cancel(&irq.timer);
	unregister_kprobe(&p);
	KUNIT_EXPECT_TRUE(test, irq.done);
}

/*
 * An access in an interrupt of such a handler: kprobes call no handler for the breakpoint
 * that it hits.
 */
static void access_in_kprobe_handler_judged(struct kunit *test)
{
	long missed = dma_owner_debug_count("missed_traps");
	long reads = dma_owner_debug_count("allowed_reads");
	u8 *buf = kt_buf(test, 256);
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_X86_64));
	if (!kt_traps(test))
		return;
	dma = test_dma_map(test, kt_dev, buf, 256, DMA_TO_DEVICE);
	access_in_handler(test, buf, false);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("allowed_reads"), reads + 1);
	dma_unmap_single(kt_dev, dma, 256, DMA_TO_DEVICE);

	dma = test_dma_map(test, kt_dev, buf, 256, DMA_FROM_DEVICE);
	access_in_handler(test, buf, false);
	EXPECT_REPORT(test, "cpu-read", test_dma_read, buf, 8);
	access_in_handler(test, buf, true);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 8);
	dma_unmap_single(kt_dev, dma, 256, DMA_FROM_DEVICE);

	access_in_handler(test, buf, true);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("missed_traps"), missed);
}
#else
static void access_in_kprobe_handler_judged(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_KPROBES_ON_FTRACE (no interrupt comes then)");
}
#endif

static struct kunit_case harm_cases[] = {
	KUNIT_CASE(mapping_of_64_mib_reported),
	KUNIT_CASE(access_in_kprobe_handler_judged),
	KUNIT_CASE(report_of_own_task_ends),
	KUNIT_CASE(report_of_task_name_ends),
	{}
};

KT_SUITE(harm);
