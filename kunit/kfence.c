// SPDX-License-Identifier: GPL-2.0
/*
 * Objects of KFENCE whose pages are protected: what traps there, what does not, and that nothing
 * stays protected. On kernels with KASAN and without; there the suite says how many tries it took
 * to get an object. Where the CPU owns a part of the object: kfence_parts.c.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kfence.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "kt_kfence.h"

#define SIZE KT_KFENCE_SIZE

KT_DIRECTIONS;

/* === Objects ============================================================== */

static unsigned int tries[256], nr_tries;

/* KFENCE takes one allocation in a sample interval, of the whole system. */
static u8 *kfence_object(struct kunit *test)
{
	unsigned long until = jiffies + 10 * HZ;
	unsigned int n = 0;
	u8 *buf;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KFENCE));
	do {
		buf = kzalloc(SIZE, GFP_KERNEL);
		n++;
		if (is_kfence_address(buf)) {
			tries[nr_tries++ % ARRAY_SIZE(tries)] = n;
			return buf;
		}
		kfree(buf);
		cond_resched();
	} while (time_before(jiffies, until));
	kunit_skip(test, "no KFENCE object in %u tries (kfence.sample_interval=0?)", n);
	return NULL;
}

/* Does the guard leave it alone, and count it? */
static bool is_untrapped(struct kunit *test, u8 *buf)
{
	long untrapped = dma_owner_debug_count("untrapped_kfence");
	dma_addr_t dma = dma_map_single(kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	bool is = dma_owner_debug_count("untrapped_kfence") > untrapped;

	if (dma_mapping_error(kt_dev, dma))
		return is;
	if (is)
		test_dma_read(buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	return is;
}

/* An object that the guard protects; the caller frees it. */
u8 *kt_protected_object(struct kunit *test)
{
	u8 *buf = kfence_object(test);

	if (!is_untrapped(test, buf))
		return buf;
	kfree(buf);
	kunit_skip(test, "the KFENCE guard is off, or this kernel has none");
	return NULL;
}

/* kfence=off. */
static void without_guard_untrapped(struct kunit *test)
{
	u8 *buf = kfence_object(test);
	bool untrapped = is_untrapped(test, buf);

	kfree(buf);
	KT_REQUIRES(test, untrapped);
}

static int do_nothing(void *unused)
{
	return 0;
}

/* A task that KFENCE has allocated and that never ran; NULL if there is none. */
static struct task_struct *kfence_task(void)
{
	unsigned long until = jiffies + 20 * HZ;
	struct task_struct *task;

	do {
		task = kthread_create(do_nothing, NULL, "dod_kfence_task");
		if (IS_ERR(task))
			return NULL;
		if (is_kfence_address(task))
			return task;
		kthread_stop(task);
		cond_resched();
	} while (time_before(jiffies, until));
	return NULL;
}

/* The entry of exceptions reads the task that runs. */
static void page_of_task_untrapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	struct task_struct *task;

	kfree(buf);
	task = kfence_task();
	KT_REQUIRES(test, task);
	KUNIT_EXPECT_TRUE(test, is_untrapped(test, (u8 *)task));
	kthread_stop(task);
}

static int compare_tries(const void *a, const void *b)
{
	return (int)(*(const unsigned int *)a - *(const unsigned int *)b);
}

static void objects_found(struct kunit *test)
{
	unsigned int nr = min_t(unsigned int, nr_tries, ARRAY_SIZE(tries));

	KT_REQUIRES(test, nr);
	sort(tries, nr, sizeof(tries[0]), compare_tries, NULL);
	kunit_info(test, "%u objects of KFENCE, tries: median %u, worst %u\n", nr, tries[nr / 2],
		   tries[nr - 1]);
}

/* The worker that closes pages can be late on a machine under load. */
void kt_until_closed(const u8 *buf)
{
#ifdef CONFIG_X86_64
	unsigned long until = jiffies + 10 * HZ;
	unsigned int level;
	const pte_t *pte = lookup_address((unsigned long)buf, &level);

	while (pte && pte_flags(*pte) & _PAGE_PRESENT && time_before(jiffies, until))
		msleep(20);
#endif
}

/* Nothing of it traps, and nothing was in the way. */
void kt_expect_unprotected(struct kunit *test, u8 *buf)
{
	long opened = kt_nr_opened();

	test_dma_read(buf, 8);
	test_dma_write(buf + 8, 8);
	test_dma_write(buf + SIZE - 8, 8);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, kt_nr_opened(), opened);
}

/* === Reads and writes ===================================================== */

static void read_trapped(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	long opened = kt_nr_opened();

	test_dma_read(buf + 16, 4);
	if (dir == DMA_TO_DEVICE) {
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, kt_nr_opened(), opened);
	} else {
		EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 16, 4);
		EXPECT_TEXT(test, "Mapped by task *");
	}
	test_dma_unmap(dma, SIZE, dir);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

static void write_trapped(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_protected_object(test);
	unsigned int size;
	dma_addr_t dma;

	for (size = 1; size <= 8; size *= 2) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
		kt_write_strictly(buf + 16, size);
		EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf + 16, size);
		test_dma_unmap(dma, SIZE, dir);
		KUNIT_EXPECT_EQ(test, buf[16 + size - 1], 0x5a);
		KUNIT_EXPECT_EQ(test, buf[16 + size], 0);
		EXPECT_SILENCE(test);
	}
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* Rule 4. */
static void sent_write_synced_silent(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 16, 8);
	test_dma_write(buf + 64, 8);
	memset(buf + 128, 1, 100);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kfree(buf);
}

static void sent_write_unsynced_reported(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_write(buf + 16, 8);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf + 16, 8);
	kfree(buf);
}

/* The page is closed when a device owns it again, and after a while. */
static void each_hand_over_traps(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	int i;

	for (i = 0; i < 3; i++) {
		test_dma_read(buf + 8 * i, 8);
		EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 8 * i, 8);
		dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
		kt_expect_unprotected(test, buf);
		dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	}
	test_dma_read(buf + 64, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 64, 8);
	kt_until_closed(buf);
	test_dma_read(buf + 72, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 72, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
}

/* A page opened for a read is still protected against writes. */
static void write_after_read_trapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);

	test_dma_read(buf, 8);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf, 8);
	test_dma_write(buf, 8);
	EXPECT_TRAPPED(test, "cpu-write", test_dma_write, buf, 8);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	kt_expect_unprotected(test, buf);
	kfree(buf);
}

/* === What KASAN does not see ============================================== */

static kt_noinline kt_unchecked u8 test_unchecked_read(const u8 *p)
{
	return READ_ONCE(*p);
}

static kt_noinline void test_rep_stos(void *p, size_t size)
{
	asm volatile("rep stosb" : "+D" (p), "+c" (size) : "a" (0x77) : "memory");
}

static kt_noinline void test_copy_from(void *to, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(to, from, size);
	barrier();
}

static kt_noinline int test_nofault_read(const u64 *p, u64 *to)
{
	__get_kernel_nofault(to, p, u64, fault);
	return 0;
fault:
	return -EFAULT;
}

static void unchecked_read_trapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	test_unchecked_read(buf + 3);
	EXPECT_TRAPPED(test, "cpu-read", test_unchecked_read, buf + 3, 1);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
}

static void string_instruction_trapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	test_rep_stos(buf, 100);
	EXPECT_TRAPPED(test, "cpu-write", test_rep_stos, buf, 100);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(buf, 0x77, 100), NULL);
	KUNIT_EXPECT_EQ(test, buf[100], 0);
	kfree(buf);
}

/* The fault is in memcpy(), which acts for its caller. */
static void copy_trapped(struct kunit *test)
{
	u8 *buf = kt_protected_object(test), copy[100];
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	test_copy_from(copy, buf, sizeof(copy));
	kt_expect_titled(test, "BUG: DMA_OWNER: cpu-read in test_copy_from+*");
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
}

/* What has an entry in the exception table does its work all the same. */
static void nofault_read_has_data(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	u64 value = 0;
	dma_addr_t dma;

	memset(buf, 0x33, SIZE);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, test_nofault_read((u64 *)buf, &value), 0);
	EXPECT_TRAPPED(test, "cpu-read", test_nofault_read, buf, 8);
	KUNIT_EXPECT_EQ(test, value, 0x3333333333333333ULL);
	test_dma_unmap(dma, SIZE, DMA_BIDIRECTIONAL);
	kfree(buf);
}

#define COPIED 16

static kt_noinline unsigned long test_user_read(void *to, const void __user *from)
{
	unsigned long left = copy_from_user(to, from, COPIED);

	barrier();
	return left;
}

static kt_noinline unsigned long test_user_write(void __user *to, const void *from)
{
	unsigned long left = copy_to_user(to, from, COPIED);

	barrier();
	return left;
}

/* The arguments of the first process are copied, and copied back as they were. */
static void user_copies_have_data(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_protected_object(test), args[COPIED];
	struct pid *first = find_get_pid(1);
	struct task_struct *task = get_pid_task(first, PIDTYPE_PID);
	struct mm_struct *mm = task ? get_task_mm(task) : NULL;
	void __user *user;
	dma_addr_t dma;

	if (task)
		put_task_struct(task);
	put_pid(first);
	if (!mm) {
		kfree(buf);
		kunit_skip(test, "no first process");
	}
	user = (void __user *)mm->arg_start;
	kthread_use_mm(mm);
	KUNIT_EXPECT_EQ(test, copy_from_user(args, user, COPIED), 0);
	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	KUNIT_EXPECT_EQ(test, test_user_read(buf, user), 0);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		kt_expect_titled(test, "BUG: DMA_OWNER: cpu-write in test_user_read+*");
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, dir);
	KUNIT_EXPECT_EQ(test, memcmp(buf, args, COPIED), 0);
	dma_sync_single_for_device(kt_dev, dma, SIZE, dir);
	KUNIT_EXPECT_EQ(test, test_user_write(user, buf), 0);
	if (dir == DMA_TO_DEVICE)
		EXPECT_SILENCE(test);
	else
		kt_expect_titled(test, "BUG: DMA_OWNER: cpu-read in test_user_write+*");
	memset(args, 0, COPIED);
	KUNIT_EXPECT_EQ(test, copy_from_user(args, user, COPIED), 0);
	kthread_unuse_mm(mm);
	mmput(mm);
	test_dma_unmap(dma, SIZE, dir);
	KUNIT_EXPECT_EQ(test, memcmp(buf, args, COPIED), 0);
	EXPECT_SILENCE(test);
	kfree(buf);
}

/* === Contexts ============================================================= */

static long read_on_cpu(void *p)
{
	test_dma_read(p, 8);
	return 0;
}

/* A CPU that has the page in its TLB. */
static void read_on_other_cpu_trapped(struct kunit *test)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	u8 *buf;
	int i;

	KT_REQUIRES(test, cpu < nr_cpu_ids);
	buf = kt_protected_object(test);
	for (i = 0; i < 5; i++) {
		dma_addr_t dma;

		work_on_cpu(cpu, read_on_cpu, buf);
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		/* Until the interrupt is taken that makes it forget. */
		msleep(20);
		work_on_cpu(cpu, read_on_cpu, buf + 8 * i);
		EXPECT_TRAPPED(test, "cpu-read", test_dma_read, buf + 8 * i, 8);
		test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	}
	kfree(buf);
}

struct in_irq {
	struct irq_work work;
	u8 *buf;
};

static void read_in_irq(struct irq_work *work)
{
	test_dma_read(container_of(work, struct in_irq, work)->buf, 8);
}

static void read_in_irq_trapped(struct kunit *test)
{
	struct in_irq in = { .work = IRQ_WORK_INIT_HARD(read_in_irq) };
	dma_addr_t dma;

	in.buf = kt_protected_object(test);
	dma = test_dma_map(test, kt_dev, in.buf, SIZE, DMA_FROM_DEVICE);
	irq_work_queue(&in.work);
	irq_work_sync(&in.work);
	EXPECT_TRAPPED(test, "cpu-read", test_dma_read, in.buf, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kfree(in.buf);
}

static struct {
	u8 *buf;
	bool came;
} nmi;

static kt_noinline notrace void test_breakpoint(void)
{
	barrier();
}

/* Beside the mapping, which opens the page, and then inside of it, which nobody sees. */
static kt_unchecked int write_in_nmi(struct kprobe *p, struct pt_regs *regs)
{
	nmi.came = in_nmi();
	WRITE_ONCE(nmi.buf[0], 1);
	WRITE_ONCE(nmi.buf[100], 1);
	return 0;
}

/* With one, a kprobe stays a breakpoint. */
static void after_write(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
}

/* What changes then is not said to have been changed by the device. */
static void unseen_write_in_nmi_silent(struct kunit *test)
{
	struct kprobe p = {
		.addr = (kprobe_opcode_t *)test_breakpoint,
		.pre_handler = write_in_nmi,
		.post_handler = after_write,
	};
	long doubted;
	dma_addr_t dma;

	nmi.buf = kt_protected_object(test);
	nmi.came = false;
	/* What was not certain before is certain by then. */
	msleep(200);
	dma = test_dma_map(test, kt_dev, nmi.buf + 64, 64, DMA_TO_DEVICE);
	doubted = dma_owner_debug_count("content_doubted");
	KUNIT_EXPECT_EQ(test, register_kprobe(&p), 0);
	test_breakpoint();
	unregister_kprobe(&p);
	KUNIT_EXPECT_TRUE(test, nmi.came);
	test_dma_unmap(dma, 64, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("content_doubted"), doubted);
	KUNIT_EXPECT_EQ(test, nmi.buf[100], 1);
	kt_expect_unprotected(test, nmi.buf);
	kfree(nmi.buf);
}

/* === Frees ================================================================ */

static kt_noinline void test_bulk_free(void *buf)
{
	kfree_bulk(1, &buf);
}

static void free_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	test_kfree(buf);
	KUNIT_EXPECT_STREQ(test, kt_take_free_report(test_kfree, buf, SIZE), "");
	kt_late_unmap(test, dma, SIZE, dir);
	EXPECT_SILENCE(test);
}

/* No tracepoint shows it. */
static void bulk_free_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	test_bulk_free(buf);
	KUNIT_EXPECT_STREQ(test, kt_take_free_report(test_bulk_free, buf, SIZE), "");
	kt_late_unmap(test, dma, SIZE, dir);
	EXPECT_SILENCE(test);
}

/* KFENCE reads the rest of the page then. */
static void freed_after_unmap_silent(struct kunit *test)
{
	u8 *buf = kt_protected_object(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	kfree(buf);
	EXPECT_SILENCE(test);
}

static struct kunit_case kfence_cases[] = {
	DIRECTION_CASE(read_trapped),
	DIRECTION_CASE(write_trapped),
	KUNIT_CASE(sent_write_synced_silent),
	KUNIT_CASE(sent_write_unsynced_reported),
	KUNIT_CASE(each_hand_over_traps),
	KUNIT_CASE(write_after_read_trapped),
	KUNIT_CASE(unchecked_read_trapped),
	KUNIT_CASE(string_instruction_trapped),
	KUNIT_CASE(copy_trapped),
	KUNIT_CASE(nofault_read_has_data),
	DIRECTION_CASE(user_copies_have_data),
	KUNIT_CASE(read_on_other_cpu_trapped),
	KUNIT_CASE(read_in_irq_trapped),
	KUNIT_CASE(unseen_write_in_nmi_silent),
	DIRECTION_CASE(free_reported),
	DIRECTION_CASE(bulk_free_reported),
	KUNIT_CASE(freed_after_unmap_silent),
	KUNIT_CASE_SLOW(page_of_task_untrapped),
	KUNIT_CASE(without_guard_untrapped),
	KUNIT_CASE(objects_found),
	{}
};

int kt_kfence_init(struct kunit *test)
{
	int err = kt_test_init(test);

	return err ?: dma_owner_debug_param_set("dedup", "1");
}

KT_SUITE_INIT(kfence, kt_kfence_init);
