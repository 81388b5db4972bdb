// SPDX-License-Identifier: GPL-2.0
/*
 * The tool does no harm (rule 12): whatever a driver maps by mistake, the report of
 * it ends, and so does each report of what follows.
 */

#include <linux/irqflags.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "dod_test.h"

/* The granule of the current task in which RCU counts its readers. */
static void *readers_granule(void)
{
#ifdef CONFIG_PREEMPT_RCU
	return PTR_ALIGN_DOWN((void *)&current->rcu_read_lock_nesting, 8);
#else
	return NULL;
#endif
}

/*
 * A thread maps the part of its own task that each look-up of a symbol works on, and
 * the report of the first access there needs many of them. Interrupts are off: none
 * must see the thread so.
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

static void report_uses_what_it_reports(struct kunit *test)
{
	long nested = dma_owner_debug_count("traps_nested");
	struct kt_thread thread;
	int reports;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_PREEMPT_RCU));
	if (!kt_traps(test))
		return;
	kt_thread_start(&thread, test_map_own_task, NULL);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	reports = kt_take_all();
	/* A read and a write in each of the two functions, if the compiler checks both. */
	KUNIT_EXPECT_GT(test, reports, 0);
	KUNIT_EXPECT_LE(test, reports, 4);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-"),
			      "title '%s'", kt_line(0));
	/* The report's own accesses were let through, and counted. */
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("traps_nested"), nested);
	EXPECT_SILENCE(test);
}

/* What the report reads is somebody's buffer: that is not an access of its owner's. */
static int read_own_name(void *unused)
{
	dma_addr_t dma = dma_map_single(kt_dev, current->comm, 8, DMA_FROM_DEVICE);

	if (dma_mapping_error(kt_dev, dma))
		return -EIO;
	test_dma_read(current->comm, 1);
	dma_unmap_single(kt_dev, dma, 8, DMA_FROM_DEVICE);
	return 0;
}

static void report_reads_what_it_reports(struct kunit *test)
{
	struct kt_thread thread;

	KT_REQUIRES(test, IS_ALIGNED(offsetof(struct task_struct, comm), 8));
	if (!kt_traps(test))
		return;
	kt_thread_start(&thread, read_own_name, NULL);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test,
			      strstarts(kt_line(0), "BUG: DMA_OWNER: cpu-read in test_dma_read+"),
			      "title '%s'", kt_line(0));
}

static struct kunit_case harm_cases[] = {
	KUNIT_CASE(report_uses_what_it_reports),
	KUNIT_CASE(report_reads_what_it_reports),
	{}
};

KT_SUITE(kt_harm_suite, "harm", harm_cases);
