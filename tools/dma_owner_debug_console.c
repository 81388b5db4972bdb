// SPDX-License-Identifier: GPL-2.0
/*
 * A console whose driver maps memory to print, as that of a network card does, and makes
 * mistakes. One CPU makes reports without a pause. The other prints, and so owns the console
 * while the first waits for it in printk(). Nobody may wait for a lock of the tool there, a
 * report about the console's driver must not cause the next one, and the lines of two reports
 * must not mix. scripts/tests.d/console.sh loads this.
 *
 * Locks: seen.lock (raw, taken inside printk, nests nothing).
 */

#include <linux/console.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "../base/compat.h"
#include "../kunit/one_access.h"

#define NAME	"dma_owner_console"
#define SIZE	256

static unsigned int seconds = 5;
module_param(seconds, uint, 0400);
MODULE_PARM_DESC(seconds, "how long (default: 5)");

static bool panics;
module_param(panics, bool, 0400);
MODULE_PARM_DESC(panics, "panic at the end, while all goes on (default: N)");

static bool quiet;
module_param(quiet, bool, 0400);
MODULE_PARM_DESC(quiet, "only the console's driver is wrong (default: N)");

static struct platform_device *pdev[2];
static u8 *buf[2];
static atomic_t writes;

/* === What the log says ==================================================== */

/* A report's lines are all of one CPU, and nobody else's report begins among them. */
static struct {
	raw_spinlock_t lock;
	bool bar, inside;
	int cpu;
	unsigned int reports, of_console, mixed;
} seen = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(seen.lock),
};

static struct tracepoint *console_tp;

static bool begins(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static void read_line(const char *text, size_t len)
{
	bool bar = begins(text, len, "==============================");
	bool title = begins(text, len, "BUG: DMA_OWNER: ");

	if (seen.inside && seen.cpu == raw_smp_processor_id()) {
		seen.inside = !bar;
		seen.mixed += title;
		seen.reports += bar;
	} else if (bar || title) {
		seen.mixed += seen.inside;
		if (title) {
			seen.mixed += !seen.bar;
			seen.inside = true;
			seen.of_console += !!strnstr(text, "console_write", len);
		}
		seen.bar = bar;
		seen.cpu = raw_smp_processor_id();
	}
}

/* @text is not NUL-terminated. Unused without CONFIG_TRACEPOINTS. */
static void __maybe_unused probe_console(void *ignore, const char *text, size_t len)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&seen.lock, flags);
	read_line(text, len);
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

static void find_console(struct tracepoint *tp, void *ignore)
{
	if (!strcmp(tp->name, "console"))
		console_tp = tp;
}

/* === The console ========================================================== */

/* Another fault, not a duplicate. */
static noinline __noclone void read_in_panic(const u8 *p)
{
	one_load(p, 1);
}

/*
 * Refills a receive ring, wrongly: with the middle of an object, which shares its cache
 * lines (noncoherent=), and the device writes nothing (canary=1). And reads what the device
 * owns.
 */
static noinline __noclone void console_write(struct console *con, const char *text,
					     unsigned int len)
{
	struct device *dev = &pdev[1]->dev;
	dma_addr_t dma = dma_map_single(dev, buf[1] + 8, 40, DMA_FROM_DEVICE);

	atomic_inc(&writes);
	if (dma_mapping_error(dev, dma))
		return;
	one_load(buf[1] + 16, 4);
	if (READ_ONCE(oops_in_progress))
		read_in_panic(buf[1] + 16);
	udelay(100);
	dma_unmap_single(dev, dma, 40, DMA_FROM_DEVICE);
}

static struct console con = {
	.name = "dodcon",
	.write = console_write,
	.flags = CON_ENABLED,
	.index = -1,
};

/* === The two CPUs ========================================================= */

static noinline __noclone void console_read(const u8 *p)
{
	one_load(p, 1);
}

static int make_reports(void *unused)
{
	while (!kthread_should_stop()) {
		if (!quiet)
			console_read(buf[0] + 9);
		usleep_range(200, 400);
	}
	return 0;
}

static int talk(void *unused)
{
	while (!kthread_should_stop()) {
		pr_info(NAME ": talk\n");
		usleep_range(100, 200);
	}
	return 0;
}

static struct task_struct *start(int (*fn)(void *arg), unsigned int cpu)
{
	struct task_struct *task = kthread_create(fn, NULL, NAME);

	if (IS_ERR(task))
		return task;
	kthread_bind(task, cpu);
	wake_up_process(task);
	return task;
}

static int run(void)
{
	struct task_struct *reporter, *talker;
	struct device *dev = &pdev[0]->dev;
	dma_addr_t dma = dma_map_single(dev, buf[0], SIZE, DMA_FROM_DEVICE);

	if (dma_mapping_error(dev, dma))
		return -EIO;
	register_console(&con);
	reporter = start(make_reports, 0);
	talker = start(talk, 1);
	ssleep(seconds);
	if (panics)
		panic(NAME ": as asked");
	if (!IS_ERR(reporter))
		kthread_stop(reporter);
	if (!IS_ERR(talker))
		kthread_stop(talker);
	unregister_console(&con);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	return PTR_ERR_OR_ZERO(reporter) ?: PTR_ERR_OR_ZERO(talker);
}

static int prepare(int i)
{
	pdev[i] = platform_device_register_simple(NAME, i, NULL, 0);
	if (IS_ERR(pdev[i]))
		return PTR_ERR(pdev[i]);
	buf[i] = kzalloc(SIZE, GFP_KERNEL);
	if (!buf[i])
		return -ENOMEM;
	return dma_coerce_mask_and_coherent(&pdev[i]->dev, DMA_BIT_MASK(64));
}

/* The whole test runs here: the last line of the log has the result. */
static int __init run_init(void)
{
	int i, err;

	for_each_kernel_tracepoint(find_console, NULL);
	err = console_tp ? tracepoint_probe_register(console_tp, probe_console, NULL) : -ENOENT;
	if (err)
		return err;
	err = prepare(0) ?: prepare(1) ?: run();
	for (i = 0; i < ARRAY_SIZE(pdev); i++) {
		if (!IS_ERR_OR_NULL(pdev[i]))
			platform_device_unregister(pdev[i]);
		kfree(buf[i]);
	}
	tracepoint_probe_unregister(console_tp, probe_console, NULL);
	tracepoint_synchronize_unregister();
	pr_info(NAME ": error %d, %u reports, %u of the console's driver, %u mixed, %d writes\n",
		err, seen.reports, seen.of_console, seen.mixed, atomic_read(&writes));
	return err;
}

static void __exit run_exit(void) {}

module_init(run_init);
module_exit(run_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A console whose driver uses DMA wrongly, for the tests of dma_owner_debug");
