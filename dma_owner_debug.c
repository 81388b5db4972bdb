// SPDX-License-Identifier: GPL-2.0
/*
 * The module: parameters, prerequisites, order of start and stop. For more info see
 * Documentation/usage.rst. No locks here.
 */
#include "dma_owner_debug.h"
#include "attach/attach.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/pagemarks.h"
#include "base/params.h"
#include "base/stack.h"
#include "base/state.h"
#include "guard/guard.h"
#include "judge/access.h"
#include "judge/judge.h"
#include "owner/owner.h"
#include "report/report.h"

#include <linux/init.h>
#include <linux/module.h>

/* Parameters whose change concerns another file. The list is base/params_list.h. */

/* A value, after whose change @then is called. */
#define DEFINE_VALUE_OPS(name, type, then)					\
static int name##_set(const char *val, const struct kernel_param *kp)		\
{										\
	int err = param_set_##type(val, kp);					\
										\
	if (!err)								\
		then();								\
	return err;								\
}										\
										\
static const struct kernel_param_ops name##_ops = {				\
	.set = name##_set,							\
	.get = param_get_##type,						\
}

DEFINE_VALUE_OPS(dedup, bool, dod_report_forget);
DEFINE_VALUE_OPS(history, bool, dod_owner_apply_history);
DEFINE_VALUE_OPS(pending_after, uint, dod_scan_writes_now);
DEFINE_VALUE_OPS(profile, bool, dod_profile_changed);

/* A list that @apply puts in force. */
#define DEFINE_LIST_OPS(name, apply)						\
static int name##_apply(const char *text)					\
{										\
	return apply;								\
}										\
										\
static int name##_set(const char *val, const struct kernel_param *kp)		\
{										\
	return dod_param_set_list(val, kp, name##_apply);			\
}										\
										\
static const struct kernel_param_ops name##_ops = {				\
	.set = name##_set,							\
	.get = dod_param_get_list,						\
}

static int set_wires(const char *text)
{
	int err = dod_wires_set(text);

	if (!err)
		dod_owner_set_wires();
	return err;
}

DEFINE_LIST_OPS(off_types, dod_report_set_filter(DOD_BY_TYPE, text));
DEFINE_LIST_OPS(off_drivers, dod_report_set_filter(DOD_BY_DRIVER, text));
DEFINE_LIST_OPS(off_devices, dod_report_set_filter(DOD_BY_DEVICE, text));
DEFINE_LIST_OPS(wires, set_wires(text));

/* Others than root may not even read them: they name drivers and devices. */
#define DOD_PARAM(name, type, value, ops, mode, text)			\
	static_assert(!((mode) & 077));					\
	module_param_cb(name, &ops, &dod_params.name, mode);		\
	MODULE_PARM_DESC(name, text);
#include "base/params_list.h"

/* What the module cannot do without. The text is what a user can act on. */
static const struct {
	bool there;
	const char *text;
} needs[] = {
	{ IS_ENABLED(CONFIG_DMA_API_DEBUG) || DOD_BY_EVENTS,
	  "CONFIG_DMA_API_DEBUG=y: before 6.12.48 the tool cannot do without" },
	{ !IS_ENABLED(CONFIG_KASAN_GENERIC) || IS_ENABLED(CONFIG_KPROBES),
	  "CONFIG_KPROBES=y: accesses are checked in a probe of kasan_report()" },
	{ IS_ENABLED(CONFIG_DYNAMIC_FTRACE),
	  "CONFIG_FUNCTION_TRACER=y, CONFIG_DYNAMIC_FTRACE=y: the hooks are ftrace's" },
	{ (IS_ENABLED(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API) || DOD_COPIES_ARGS) &&
	  (IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) ||
	   IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_REGS)),
	  "an architecture with HAVE_FUNCTION_ARG_ACCESS_API and DYNAMIC_FTRACE_WITH_ARGS: the hooks read arguments" },
	{ !IS_ENABLED(CONFIG_ARM) || !IS_ENABLED(CONFIG_KASAN) ||
	  IS_ENABLED(CONFIG_CC_HAS_KASAN_MEMINTRINSIC_PREFIX),
	  "a compiler that leaves memcpy() alone: gcc 13, clang 15 or later, on 32-bit arm with KASAN" },
	{ IS_ENABLED(CONFIG_TRACEPOINTS),
	  "CONFIG_TRACEPOINTS=y: frees are seen by the kernel's tracepoints" },
	{ IS_ENABLED(CONFIG_STACKTRACE),
	  "CONFIG_STACKTRACE=y: reports show who mapped the memory" },
	{ !IS_ENABLED(CONFIG_LTO),
	  "CONFIG_LTO_NONE=y: linking with optimisation makes copies of the functions that are hooked" },
};

/* Somebody has found that the tool must not go on: see base/state.c. */
static void stop_guarding(bool broken)
{
	/* Where the traps are gone, poison must go before anything is printed. */
	if (!broken)
		dod_owner_stop_guarding();
	dod_state_explain();
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
}

/* Compilers check x++ once, at the read. See Documentation/usage.rst. */
#define RMW_NOTE \
	"; x++ and x |= y count as reads: build the kernel with clang and KCFLAGS=\"-mllvm -asan-opt-same-temp=0\""

/* Without page marks, see base/pagemarks.c. */
#define MARKS_NOTE \
	"; a run of single pages of several allocations is not recognised: build the kernel (6.10 and later) with CONFIG_MEM_ALLOC_PROFILING=y, and switch it on"

/* How what debug_dma_*() tell is seen without them. */
#if DOD_BY_EVENTS
#define HOOKS_NOTE \
	"; without CONFIG_DMA_API_DEBUG, map calls are seen by tracepoints" HOOKS_BOUND_NOTE
#else
#define HOOKS_NOTE ""
#endif
#if DOD_SKIPS_UNMAPS
#define HOOKS_BOUND_NOTE ", those of coherent devices if the driver was bound after the load"
#else
#define HOOKS_BOUND_NOTE ""
#endif

static void __init print_banner(unsigned int nr_hooks, unsigned int nr_records, const char *lacks)
{
	pr_info("guarding streaming DMA with %s, %u hooks, version " DOD_VERSION ", %u records of %zu bytes%s%s%s%s%s%s%s\n",
		dod_guard.name, nr_hooks, nr_records, sizeof(struct dod_mapping),
		dod_guard.means ? "; " : "", dod_guard.means ?: "", lacks ? "; " : "", lacks ?: "",
		dod_guard.traps && !dod_selftest.rmw_is_write ? RMW_NOTE : "",
		dod_pagemarks_known() ? "" : MARKS_NOTE, HOOKS_NOTE);
	if (DOD_UNTRIED)
		pr_info("not tried with this kernel yet: what it needs is there, and the self-test passed\n");
}

static int __init dma_owner_debug_init(void)
{
	unsigned int reserve = min(dod_params.pool_reserve, dod_params.pool_max);
	unsigned int i, nr_hooks;
	const char *lacks;
	int err;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		if (!needs[i].there) {
			pr_err("cannot load: this kernel lacks %s\n", needs[i].text);
			return -EOPNOTSUPP;
		}

	dod_state_start(stop_guarding);
	dod_memory_start();
	dod_report_start();
	lacks = dod_mem_ops.start ? dod_mem_ops.start() : NULL;
	dod_map_checks_start();
	dod_pagemarks_start();
	err = dod_owner_start(reserve, dod_params.pool_max);
	if (err) {
		pr_err("cannot load: no memory for %u records (pool_reserve)\n", reserve);
		return err;
	}
	err = dod_access_start();
	if (err)
		goto err_owner;
	err = dod_orc_start();
	if (err)
		goto err_access;
	/* Traps before hooks: poison that nobody expects is a report of KASAN's. */
	err = dod_traps_start();
	if (err)
		goto err_stack;
	err = dod_hooks_start(&nr_hooks);
	if (err)
		goto err_guard;
	err = dod_tracepoints_start();
	if (err)
		goto err_hooks;
	dod_judge_start();
	dod_debugfs_start(dod_guard.name);
	dod_owner_show_start();
	dod_lookup_start();
	dod_exposure_start();
	dod_advice_show_start();
	dod_kfence_start();
	WRITE_ONCE(dod_armed, true);
	dod_profile_changed();
	print_banner(nr_hooks, reserve, lacks);
	return 0;

err_hooks:
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
	dod_hooks_stop();
err_guard:
	dod_owner_stop_guarding();
	dod_traps_stop();
err_stack:
	dod_orc_stop();
err_access:
	dod_report_stop();
	dod_access_stop();
err_owner:
	dod_owner_stop();
	return err;
}

static void __exit dma_owner_debug_exit(void)
{
	/* Parameters can be written until we return: what that starts must not outlive the rest. */
	kernel_param_lock(THIS_MODULE);
	WRITE_ONCE(dod_armed, false);
	kernel_param_unlock(THIS_MODULE);
	dod_debugfs_stop();
	dod_state_stop();
	/*
	 * First no poison is added, then none is left, then the hooks go, and the guard
	 * last. Memory that is still poisoned when its unmap is not seen is freed next,
	 * and KASAN takes that for a double free.
	 */
	dod_hooks_stop_to_device();
	dod_owner_stop_guarding();
	dod_hooks_stop();
	dod_tracepoints_stop();
	dod_judge_stop();
	dod_kfence_stop();
	dod_traps_stop();
	dod_orc_stop();
	/* Nobody can call dod_broken() or dod_stop() any more. */
	dod_state_stop();
	dod_report_stop();
	dod_access_stop();
	dod_owner_stop();
}

/*
 * Built in: before any driver probes, which is when mappings begin. Devices are found from
 * arch_initcall on. Earlier, debugfs and RCU's grace periods for tasks and tracepoints would not be
 * there yet (core_initcall), and buses could not be watched (PCI's and AMBA's: postcore_initcall).
 * ftrace, kprobes, workqueues and platform devices are there before all of these.
 */
postcore_initcall_sync(dma_owner_debug_init);
module_exit(dma_owner_debug_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The dma_owner_debug authors");
MODULE_DESCRIPTION("Reports CPU accesses to streaming-DMA memory that a device owns");
MODULE_VERSION(DOD_VERSION);
