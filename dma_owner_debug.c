// SPDX-License-Identifier: GPL-2.0
/*
 * The front door: parameters, prerequisites, order of start and stop. For more
 * info see Documentation/dma_owner_debug.rst.
 *
 * param_lock serialises writers of the filter strings; it is a mutex and
 * nothing of ours is held around it.
 */
#include "dma_owner_debug.h"
#include "attach/attach.h"
#include "base/compat.h"
#include "base/lock.h"
#include "base/mapped_pages.h"
#include "base/memory.h"
#include "base/pagemarks.h"
#include "base/params.h"
#include "base/pool.h"
#include "base/stack.h"
#include "base/state.h"
#include "base/stats.h"
#include "base/worker.h"
#include "guard/guard.h"
#include "judge/access.h"
#include "judge/judge.h"
#include "owner/owner.h"
#include "report/debugfs.h"
#include "report/report.h"

#include <linux/init.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>

/* === Parameters =========================================================== */

static unsigned int pool_reserve = 8192;
static unsigned int pool_max = 1048576;

static int fault_set(const char *val, const struct kernel_param *kp)
{
	static const char * const names[] = { "report", "panic" };
	int i = sysfs_match_string(names, val);

	if (i < 0) {
		pr_err("fault is \"report\" or \"panic\", not \"%.*s\"\n",
		       (int)strcspn(val, "\n"), val);
		return -EINVAL;
	}
	WRITE_ONCE(dod_params.panic, i);
	return 0;
}

static int fault_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", dod_params.panic ? "panic" : "report");
}

static const struct kernel_param_ops fault_ops = {
	.set = fault_set,
	.get = fault_get,
};

static const char * const content_names[] = {
	[DOD_CONTENT_OFF] = "off",
	[DOD_CONTENT_SAMPLE] = "sample",
	[DOD_CONTENT_ON] = "on",
};

static int content_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(content_names, val);

	if (i < 0) {
		pr_err("content is \"off\", \"sample\" or \"on\", not \"%.*s\"\n",
		       (int)strcspn(val, "\n"), val);
		return -EINVAL;
	}
	WRITE_ONCE(dod_params.content, i);
	return 0;
}

static int content_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", content_names[dod_params.content]);
}

static const struct kernel_param_ops content_ops = {
	.set = content_set,
	.get = content_get,
};

static int content_max_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 2 * DOD_BLOCK,
				     DOD_BLOCK * DOD_BLOCKS);
}

static const struct kernel_param_ops content_max_ops = {
	.set = content_max_set,
	.get = param_get_uint,
};

static int pending_after_set(const char *val, const struct kernel_param *kp)
{
	int err = param_set_uint(val, kp);

	if (!err)
		dod_pending_look();
	return err;
}

static const struct kernel_param_ops pending_after_ops = {
	.set = pending_after_set,
	.get = param_get_uint,
};

static int dedup_set(const char *val, const struct kernel_param *kp)
{
	int err = param_set_bool(val, kp);

	if (!err)
		dod_report_forget();
	return err;
}

static const struct kernel_param_ops dedup_ops = {
	.set = dedup_set,
	.get = param_get_bool,
};

static int count_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, 1 << 24);
}

static const struct kernel_param_ops count_ops = {
	.set = count_set,
	.get = param_get_uint,
};

static int percent_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, 100);
}

static const struct kernel_param_ops percent_ops = {
	.set = percent_set,
	.get = param_get_uint,
};

/* A parameter that is a list, and is read as it was written. */
struct list_param {
	int (*set)(enum dod_filter_by by, const char *val);
	enum dod_filter_by by;
	char text[512];
};

static int set_wires(enum dod_filter_by by, const char *val)
{
	int err = dod_checks_set_wires(val);

	if (!err)
		dod_owner_set_wires();
	return err;
}

static struct list_param off_types = { dod_report_set_filter, DOD_BY_TYPE };
static struct list_param off_drivers = { dod_report_set_filter, DOD_BY_DRIVER };
static struct list_param off_devices = { dod_report_set_filter, DOD_BY_DEVICE };
static struct list_param wires = { set_wires };

static DEFINE_MUTEX(param_lock);

static int list_set(const char *val, const struct kernel_param *kp)
{
	struct list_param *param = kp->arg;
	char text[sizeof(param->text)];
	size_t len = strcspn(val, "\n");
	int err;

	/* What is read must be what is in force, and can be written again. */
	if (len >= sizeof(text) || (val[len] && val[len + 1])) {
		pr_err("%s is one line of at most %zu characters\n", kp->name,
		       sizeof(text) - 1);
		return -EINVAL;
	}
	strscpy(text, val, len + 1);
	mutex_lock(&param_lock);
	err = param->set(param->by, text);
	if (!err)
		strscpy(param->text, text, sizeof(param->text));
	mutex_unlock(&param_lock);
	return err;
}

static int list_get(char *buf, const struct kernel_param *kp)
{
	struct list_param *param = kp->arg;
	int len;

	mutex_lock(&param_lock);
	len = sysfs_emit(buf, "%s\n", param->text);
	mutex_unlock(&param_lock);
	return len;
}

static const struct kernel_param_ops list_ops = {
	.set = list_set,
	.get = list_get,
};

static int noncoherent_set(const char *val, const struct kernel_param *kp)
{
	unsigned int line;

	if (kstrtouint(val, 0, &line) ||
	    (line && (!is_power_of_2(line) || line < 8 || line > 1024))) {
		pr_err("noncoherent is 0, or the size of a cache line: a power of two from 8 to 1024, not \"%.*s\"\n",
		       (int)strcspn(val, "\n"), val);
		return -EINVAL;
	}
	WRITE_ONCE(dod_params.noncoherent, line);
	return 0;
}

static const struct kernel_param_ops noncoherent_ops = {
	.set = noncoherent_set,
	.get = param_get_uint,
};

module_param_cb(fault, &fault_ops, &dod_params.panic, 0600);
MODULE_PARM_DESC(fault,
		 "after a report: \"report\" goes on, \"panic\" panics (default: report)");
module_param_cb(strict, &param_ops_bool, &dod_params.strict, 0600);
MODULE_PARM_DESC(strict,
		 "go by the letter of the DMA API: report also its known departures, and what loses nothing, or not yet (default: N)");
module_param_cb(trap_user, &param_ops_bool, &dod_params.trap_user, 0600);
MODULE_PARM_DESC(trap_user,
		 "trap also in memory that user space or the page cache can reach, where legal races exist (default: N)");
module_param_cb(off_types, &list_ops, &off_types, 0600);
MODULE_PARM_DESC(off_types,
		 "report types to switch off, comma-separated (default: none)");
module_param_cb(off_drivers, &list_ops, &off_drivers, 0600);
MODULE_PARM_DESC(off_drivers,
		 "drivers not to report, as [type:]glob, comma-separated (default: none)");
module_param_cb(off_devices, &list_ops, &off_devices, 0600);
MODULE_PARM_DESC(off_devices,
		 "devices not to report, as [type:]glob, comma-separated (default: none)");
module_param_cb(dedup, &dedup_ops, &dod_params.dedup, 0600);
MODULE_PARM_DESC(dedup,
		 "report the same fault once; writing it forgets what was reported (default: Y)");
module_param_cb(report_burst, &param_ops_uint, &dod_params.report_burst, 0600);
MODULE_PARM_DESC(report_burst,
		 "most reports in 5 s, 0 for no limit (default: 20)");
module_param_cb(kunit_fail, &param_ops_bool, &dod_params.kunit_fail, 0600);
MODULE_PARM_DESC(kunit_fail,
		 "a report fails the KUnit test that runs (default: Y)");
module_param_cb(noncoherent, &noncoherent_ops, &dod_params.noncoherent, 0600);
MODULE_PARM_DESC(noncoherent,
		 "judge all devices as if they were not cache-coherent, with lines of so many bytes; 0 judges each as it is (default: 0)");
module_param_cb(untested_after, &param_ops_uint, &dod_params.untested_after,
		0600);
MODULE_PARM_DESC(untested_after,
		 "seconds of use without an address above 4 GiB, after which a wider mask is noted as untested (default: 60)");
module_param_cb(pending_after, &pending_after_ops, &dod_params.pending_after,
		0600);
MODULE_PARM_DESC(pending_after,
		 "seconds after which a write to a DMA_TO_DEVICE mapping that nobody syncs is noted (default: 60)");
module_param_cb(wires, &list_ops, &wires, 0600);
MODULE_PARM_DESC(wires,
		 "address lines that devices really have, as <device or driver glob>:<bits>, comma-separated (default: none)");
module_param_cb(content, &content_ops, NULL, 0600);
MODULE_PARM_DESC(content,
		 "notice what changes content unseen: \"off\", \"sample\" for one mapping in content_sample, \"on\" for all (default: on)");
module_param_cb(content_sample, &count_ops, &dod_params.content_sample, 0600);
MODULE_PARM_DESC(content_sample,
		 "with content=sample, look at one mapping in so many (default: 16)");
module_param_cb(content_max, &content_max_ops, &dod_params.content_max, 0600);
MODULE_PARM_DESC(content_max,
		 "most bytes of a mapping whose content is looked at, half of them at each end, 128 to 4096 (default: 4096)");
module_param_cb(watch_writes, &param_ops_uint, &dod_params.watch_writes, 0600);
MODULE_PARM_DESC(watch_writes,
		 "where a cache line is in force, remember the CPU's first write to one of so many ranges synced for it, 1 for all, 0 for none (default: 64)");
module_param_cb(canary, &param_ops_bool, &dod_params.canary, 0600);
MODULE_PARM_DESC(canary,
		 "fill DMA_FROM_DEVICE memory with a pattern when a device gets it, and report what comes back untouched: changes what drivers find in buffers that the device did not use (default: N)");
module_param_cb(watch_cpu, &percent_ops, &dod_params.watch_cpu, 0600);
MODULE_PARM_DESC(watch_cpu,
		 "with KCSAN, percent of a CPU's time that looking for wrong accesses may take, 0 to stop (default: 20)");
module_param_cb(watch_recent, &percent_ops, &dod_params.watch_recent, 0600);
MODULE_PARM_DESC(watch_recent,
		 "with KCSAN, percent of the looks that go to what devices got last, the others to any mapping (default: 75)");
module_param_cb(pool_reserve, &count_ops, &pool_reserve, 0400);
MODULE_PARM_DESC(pool_reserve,
		 "records kept free for new mappings (default: 8192)");
module_param_cb(pool_max, &count_ops, &pool_max, 0400);
MODULE_PARM_DESC(pool_max,
		 "most records to allocate (default: 1048576)");

/**
 * dma_owner_debug_param_set() - write a parameter as through sysfs
 * @name: of the parameter
 * @val: as it would be written
 *
 * For the KUnit suites, which run without a file system.
 *
 * Context: process, may sleep.
 *
 * Return: 0, -ENOENT if there is no such parameter, -EPERM if it cannot be
 * changed at run time, or what the parameter says to the value.
 */
int dma_owner_debug_param_set(const char *name, const char *val)
{
	const struct kernel_param *kp;
	int err = -ENOENT;

	kernel_param_lock(THIS_MODULE);
	for (kp = DOD_FIRST_PARAM; kp < DOD_END_OF_PARAMS; kp++) {
		size_t prefix = strlen(DOD_PARAM_PREFIX);

		if (strncmp(kp->name, DOD_PARAM_PREFIX, prefix) ||
		    strcmp(kp->name + prefix, name))
			continue;
		err = kp->perm & 0200 ? kp->ops->set(val, kp) : -EPERM;
		break;
	}
	kernel_param_unlock(THIS_MODULE);
	return err;
}
EXPORT_SYMBOL_GPL(dma_owner_debug_param_set);

/* === Workers ============================================================== */

/* === Start and stop ======================================================= */

/* What the module cannot do without; the text is what a user can act on. */
static const struct {
	bool there;
	const char *text;
} needs[] = {
	{ IS_ENABLED(CONFIG_DMA_API_DEBUG),
	  "CONFIG_DMA_API_DEBUG=y: without it the kernel skips syncs and unmaps" },
	{ !IS_ENABLED(CONFIG_KASAN_GENERIC) || IS_ENABLED(CONFIG_KPROBES),
	  "CONFIG_KPROBES=y: accesses are judged in a probe of kasan_report()" },
	{ IS_ENABLED(CONFIG_DYNAMIC_FTRACE),
	  "CONFIG_FUNCTION_TRACER=y, CONFIG_DYNAMIC_FTRACE=y: the hooks are ftrace's" },
	{ IS_ENABLED(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API) &&
	  (IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) ||
	   IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_REGS)),
	  "an architecture with HAVE_FUNCTION_ARG_ACCESS_API and DYNAMIC_FTRACE_WITH_ARGS: the hooks read arguments" },
	{ IS_ENABLED(CONFIG_TRACEPOINTS),
	  "CONFIG_TRACEPOINTS=y: frees are seen by the kernel's tracepoints" },
	{ IS_ENABLED(CONFIG_STACKTRACE),
	  "CONFIG_STACKTRACE=y: reports show who mapped the memory" },
	{ !IS_ENABLED(CONFIG_LTO),
	  "CONFIG_LTO_NONE=y: linking with optimisation makes copies of the functions that are hooked" },
};

/*
 * Our own mistake must not be reported as a driver's, nor what nobody can judge. After
 * the first such event, everything is given back to the CPUs and nothing is reported any
 * more; the system goes on, and the module can be unloaded.
 */
static struct {
	const char *what;
	bool taken_away;	/* by somebody else: no bug */
	unsigned long frames[16];
	unsigned int nr;
} broken;

static void say_broken(void)
{
	unsigned int i;

	if (broken.taken_away) {
		pr_err("stopped: %s. No memory is guarded any more; nothing else is affected. Unload the module and load it again to go on.\n",
		       broken.what);
		return;
	}
	for (i = 0; i < broken.nr; i++)
		pr_err(" %pS\n", (void *)broken.frames[i]);
	WARN(1, "dma_owner_debug: %s, as seen above. This is a bug of the tool, which stops working now; nothing else is affected.\n",
	     broken.what);
}

static void stop_guarding(struct work_struct *work)
{
	/* What nobody judges must go at once, and nothing is painted any more. */
	if (broken.taken_away)
		dod_owner_stop_guarding();
	say_broken();
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
}

static DEFINE_DOD_WORKER(broken_worker, stop_guarding);

/**
 * dod_stop() - somebody has taken away what the tool needs: stop
 * @why: what is gone
 *
 * Says so once, later, because locks may be held.
 *
 * Context: any but NMI.
 */
void dod_stop(const char *why)
{
	if (!xchg(&dod_armed, false))
		return;
	broken.what = why;
	broken.taken_away = true;
	dod_worker_wake(&broken_worker);
}

/**
 * dod_broken() - something inside is inconsistent: stop
 * @what: what was found
 *
 * Prints nothing here, where any lock may be held.
 *
 * Context: any but NMI.
 */
void dod_broken(const char *what)
{
	if (!xchg(&dod_armed, false))
		return;
	broken.what = what;
	broken.nr = stack_trace_save(broken.frames, ARRAY_SIZE(broken.frames), 0);
	dod_worker_wake(&broken_worker);
}

/* For what the compiler checks once, at the read: see Documentation, Usage. */
#define RMW_NOTE \
	"; x++ and x |= y count as reads: build the kernel with clang and KCFLAGS=\"-mllvm -asan-opt-same-temp=0\""

/* Where two pages are of two allocations. */
#define MARKS_NOTE \
	"; a run of single pages of several allocations is not recognised: build the kernel (6.10 and later) with CONFIG_MEM_ALLOC_PROFILING=y, and switch it on"

static int __init dma_owner_debug_init(void)
{
	unsigned int i, nr_hooks;
	int err;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		if (!needs[i].there) {
			pr_err("cannot load: this kernel lacks %s\n",
			       needs[i].text);
			return -EOPNOTSUPP;
		}

	dod_checks_start();
	dod_pagemarks_start();
	err = dod_owner_start(min(pool_reserve, pool_max), pool_max);
	if (err) {
		pr_err("cannot load: no memory for %u records (pool_reserve)\n",
		       min(pool_reserve, pool_max));
		return err;
	}
	err = dod_access_start();
	if (err)
		goto err_owner;
	err = dod_stack_start();
	if (err)
		goto err_report;
	/* The guard before the hooks: poison nobody judges is a KASAN report. */
	err = dod_traps_start();
	if (err)
		goto err_stack;
	err = dod_hooks_start(&nr_hooks);
	if (err)
		goto err_guard;
	err = dod_lifecycle_start();
	if (err)
		goto err_hooks;
	dod_pending_look_start();
	dod_debugfs_start();
	WRITE_ONCE(dod_armed, true);
	pr_info("guarding streaming DMA with %s, %u hooks, %u records of %zu bytes%s%s%s%s\n",
		dod_guard.name, nr_hooks, min(pool_reserve, pool_max),
		sizeof(struct dod_mapping), dod_guard.means ? "; " : "",
		dod_guard.means ?: "",
		dod_guard.traps && !dod_hooks_rmw_is_write() ? RMW_NOTE : "",
		dod_pagemarks_known() ? "" : MARKS_NOTE);
	if (DOD_UNTRIED)
		pr_info("not tried with this kernel yet: what it needs is there, and the self-test passed\n");
	return 0;

err_hooks:
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
	dod_hooks_stop();
err_guard:
	dod_owner_stop_guarding();
	dod_traps_stop();
err_stack:
	dod_stack_stop();
err_report:
	dod_access_stop();
err_owner:
	dod_owner_stop();
	return err;
}

static void __exit dma_owner_debug_exit(void)
{
	WRITE_ONCE(dod_armed, false);
	dod_debugfs_stop();
	dod_worker_cancel(&broken_worker);
	/*
	 * The hooks go when nothing is poisoned, and the guard goes last: memory
	 * that is still poisoned when its unmap goes unseen is next freed, and
	 * KASAN takes that for a double free.
	 */
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
	dod_hooks_stop();
	dod_lifecycle_stop();
	dod_pending_look_stop();
	dod_traps_stop();
	dod_stack_stop();
	/* Who was about to find an inconsistency has done so. */
	dod_worker_cancel(&broken_worker);
	dod_report_stop();
	dod_access_stop();
	dod_owner_stop();
}

/* Built in: after ftrace and the drivers' buses, before the KUnit suites. */
late_initcall(dma_owner_debug_init);
module_exit(dma_owner_debug_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The dma_owner_debug authors");
MODULE_DESCRIPTION("Reports CPU accesses to streaming-DMA memory that a device owns");
