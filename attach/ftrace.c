// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks: one table of the kernel's functions that are hooked, what calls its rows, and the
 * events outside the DMA API.
 *
 * Hooks run in the context of the caller, which is any but NMI (panic() excepted). No locks
 * here.
 */
#include "../base/lock.h"
#include "../base/params.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../judge/judge.h"
#include "../owner/owner.h"
#include "attach.h"
#include "hooks.h"

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/workqueue.h>

/* === Frees that have no tracepoint ======================================== */

/* kmem_cache_free_bulk(cache, nr, objects): also kfree_bulk(), and so kfree_rcu() */
static HOOK_HANDLER(on_free_bulk)
{
	void **objects = (void **)dod_arg(fregs, 2);
	size_t nr = dod_arg(fregs, 1), i;

	for (i = 0; i < nr; i++)
		dod_free_object(objects[i], caller);
}

/* kfree_nolock(object) */
static HOOK_HANDLER(on_free_nolock)
{
	dod_free_object((void *)dod_arg(fregs, 0), caller);
}

/* mempool_free(element, pool) */
static HOOK_HANDLER(on_pool_free)
{
	dod_free_to_pool((void *)dod_arg(fregs, 0), (mempool_t *)dod_arg(fregs, 1), caller);
}

/* mempool_free_bulk(pool, elements, nr) */
static HOOK_HANDLER(on_pool_free_bulk)
{
	void **elements = (void **)dod_arg(fregs, 1);
	unsigned int nr = dod_arg(fregs, 2), i;

	for (i = 0; i < nr; i++)
		dod_free_to_pool(elements[i], (mempool_t *)dod_arg(fregs, 0), caller);
}

/* === dma-bufs ============================================================= */

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
/* dma_buf_map_attachment(attachment, direction), and _unlocked() with a copy of it in it */
static HOOK_HANDLER(on_dmabuf_map)
{
	const struct dma_buf_attachment *attachment = (void *)dod_arg(fregs, 0);

	if (attachment && attachment->dmabuf)
		dod_dmabuf_map(attachment->dmabuf);
}

/* dma_buf_mmap(dmabuf, vma, pgoff): through another file */
static HOOK_HANDLER(on_dmabuf_mmap)
{
	const struct dma_buf *buf = (void *)dod_arg(fregs, 0);

	if (buf)
		dod_dmabuf_mmap(buf);
}

/* dma_buf_mmap_internal(file, vma): through its own */
static HOOK_HANDLER(on_dmabuf_mmap_internal)
{
	const struct file *file = (void *)dod_arg(fregs, 0);

	dod_dmabuf_mmap(file->private_data);
}
#else
#define on_dmabuf_map		NULL
#define on_dmabuf_mmap		NULL
#define on_dmabuf_mmap_internal	NULL
#endif

/* === The end ============================================================== */

/*
 * Restart and kexec leave the memory to whoever boots next. After power-off and halt nobody
 * reads it.
 */
static bool memory_lives_on(void)
{
	if (READ_ONCE(dod_params.strict))
		return system_state > SYSTEM_RUNNING && system_state <= SYSTEM_RESTART;
	return system_state == SYSTEM_RESTART;
}

/*
 * cpu_hotplug_disable(): restart, halt, power-off and kexec call it when the drivers'
 * shutdown() has run, through migrate_to_reboot_cpu(), which compilers inline. Others call it,
 * too.
 */
static HOOK_HANDLER(on_shutdown)
{
	static const char * const callers[] = {
		"migrate_to_reboot_cpu", "kernel_restart", "kernel_halt",
		"kernel_power_off", "kernel_kexec",
	};
	char name[KSYM_SYMBOL_LEN];

	if (!memory_lives_on())
		return;
	sprint_symbol_no_offset(name, caller);
	if (match_string(callers, ARRAY_SIZE(callers), name) >= 0)
		dod_check_shutdown();
}

/* panic(): before it stops the other CPUs and prints anything. Also in NMI. */
static HOOK_HANDLER(on_panic)
{
	WRITE_ONCE(dod_panicking, true);
}

/* === The table ============================================================ */

#define ON_PHYS		(DOD_MAPS_PHYS ? REQUIRED : ABSENT)
#define ON_RESOURCE	(DOD_MAPS_PHYS ? ABSENT : REQUIRED)
/* Without CONFIG_IOMMU_DMA the API is there, and never used. */
#define ON_IOVA		(DOD_LINKS_IOVA ? OPTIONAL : ABSENT)
#define ON_DMABUF	(IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) ? OPTIONAL : ABSENT)

/*
 * What a device owns from the end of a call on: a function of dma-debug's, or, without that, a
 * tracepoint. dma_map_single() then has none that tells its argument.
 */
#if DOD_BY_EVENTS
#define AT_END(_function, _handler, _event, _probe)	.function = _event, .probe = _probe
#define ON_EVENTS	REQUIRED
#define OFF_EVENTS	ABSENT
#else
#define AT_END(_function, _handler, _event, _probe)	.function = _function, .handler = _handler
#define ON_EVENTS	ABSENT
#define OFF_EVENTS	REQUIRED
#define dod_on_free_sgt	NULL
#define dod_on_set_mask	NULL
#endif

struct hook dod_hooks[NR_HOOKS] = {
	[MAP_SINGLE] = { "debug_dma_map_single", dod_on_map_single, .presence = OFF_EVENTS },
#if DOD_MAPS_PHYS
	[MAP_PAGE] = { AT_END("debug_dma_map_phys", dod_on_map_phys,
			      "dma_map_phys", dod_probe_map), .to_device = true,
		       .wide = BIT(1) | BIT(4) },
#else
	[MAP_PAGE] = { AT_END("debug_dma_map_page", dod_on_map_page,
			      "dma_map_page", dod_probe_map), .to_device = true,
		       .wide = BIT(5) },
#endif
	[UNMAP_PAGE] = { "dma_unmap_page_attrs", dod_on_unmap_page, .wide = BIT(1) },
	[UNMAP_PHYS] = { "dma_unmap_phys", dod_on_unmap_page, .presence = ON_PHYS,
			 .wide = BIT(1) },
	[MAP_SG] = { AT_END("debug_dma_map_sg", dod_on_map_sg, "dma_map_sg", dod_probe_map_sg),
		     .to_device = true },
	[UNMAP_SG] = { "dma_unmap_sg_attrs", dod_on_unmap_sg },
	[UNMAP_SG_LIST] = { "debug_dma_unmap_sg", dod_on_unmap_sg_list, .presence = OFF_EVENTS },
	[ALLOC_SGT] = { AT_END("", NULL, "dma_alloc_sgt", dod_probe_alloc_sgt),
			.to_device = true, .presence = ON_EVENTS },
	[FREE_SGT] = { "dma_free_noncontiguous", dod_on_free_sgt, .presence = ON_EVENTS },
	[SYNC_CPU] = { DOD_SYNC_SINGLE_FOR_CPU, dod_on_sync, .sync = DOD_SYNC_FOR_CPU,
		       .wide = BIT(1) },
	/* The entry of dma_sync_*_for_device(), before the kernel copies to a bounce buffer. */
	[SYNC_PREPARE] = { DOD_SYNC_SINGLE_FOR_DEVICE, dod_on_prepare, .sync = DOD_SYNC_PREPARE,
			   .wide = BIT(1) },
	[SYNC_DEVICE] = { AT_END("debug_dma_sync_single_for_device", dod_on_sync,
				 "dma_sync_single_for_device", dod_probe_sync_for_device),
			  .to_device = true, .sync = DOD_SYNC_FOR_DEVICE, .wide = BIT(1) },
	[SYNC_SG_CPU] = { DOD_SYNC_SG_FOR_CPU, dod_on_sync_sg, .sync = DOD_SYNC_FOR_CPU },
	[SYNC_SG_PREPARE] = { DOD_SYNC_SG_FOR_DEVICE, dod_on_prepare_sg,
			      .sync = DOD_SYNC_PREPARE },
	[SYNC_SG_DEVICE] = { AT_END("debug_dma_sync_sg_for_device", dod_on_sync_sg,
				    "dma_sync_sg_for_device", dod_probe_sync_sg_for_device),
			     .to_device = true, .sync = DOD_SYNC_FOR_DEVICE },
	[ALLOC_PAGES] = { AT_END("debug_dma_alloc_pages", dod_on_alloc_pages,
				 "dma_alloc_pages", dod_probe_alloc_pages),
			  .to_device = true, .presence = DOD_BY_EVENTS ? REQUIRED : OPTIONAL,
			  .wide = BIT(4) },
	[FREE_PAGES] = { "debug_dma_free_pages", dod_on_free_pages, .presence = OPTIONAL,
			 .wide = BIT(4) },
	[API_FREE_PAGES] = { "dma_free_pages", dod_on_api_free_pages, .presence = FALLBACK,
			     .wide = BIT(3) },
	[NEED_SYNC] = { DOD_NEED_SYNC, dod_on_need_sync, .wide = BIT(1) },
	[SET_MASK] = { "dma_set_mask", dod_on_set_mask, .presence = ON_EVENTS },
	[MAP_RESOURCE] = { AT_END("debug_dma_map_resource", dod_on_map_resource,
				  "dma_map_resource", dod_probe_map_resource),
			   .presence = ON_RESOURCE, .wide = BIT(1) | BIT(4) },
	[IOVA_LINK] = { "dma_iova_link", dod_on_iova_link, .to_device = true, .presence = ON_IOVA,
			.wide = BIT(2) },
	[IOVA_SYNC] = { "dma_iova_sync", dod_on_iova_sync, .to_device = true, .presence = ON_IOVA },
	[IOVA_UNLINK] = { "dma_iova_unlink", dod_on_iova_unlink, .presence = ON_IOVA },
	[IOVA_DESTROY] = { "dma_iova_destroy", dod_on_iova_destroy, .presence = ON_IOVA },
	[IOVA_FREE] = { "dma_iova_free", dod_on_iova_free, .presence = ON_IOVA },
	/* The self-test cannot call the others. */
	[SHUTDOWN] = { "cpu_hotplug_disable", on_shutdown, .presence = OPTIONAL },
	[PANIC] = { "panic", on_panic, .presence = OPTIONAL },
	[FREE_BULK] = { "kmem_cache_free_bulk", on_free_bulk, .presence = OPTIONAL },
	[FREE_NOLOCK] = { "kfree_nolock", on_free_nolock, .presence = OPTIONAL },
	[POOL_FREE] = { "mempool_free", on_pool_free, .presence = OPTIONAL },
	[POOL_FREE_BULK] = { "mempool_free_bulk", on_pool_free_bulk, .presence = OPTIONAL },
	[ALLOC_COHERENT] = { AT_END("debug_dma_alloc_coherent", dod_on_alloc_coherent,
				    "dma_alloc", dod_probe_alloc_coherent),
			     .presence = DOD_BY_EVENTS ? REQUIRED : OPTIONAL, .wide = BIT(2) },
	[FREE_COHERENT] = { "dma_free_attrs", dod_on_free_coherent, .presence = OPTIONAL },
	[MMAP_COHERENT] = { "dma_mmap_attrs", dod_on_mmap_coherent, .presence = OPTIONAL },
	[SGT_COHERENT] = { "dma_get_sgtable_attrs", dod_on_sgt_coherent, .presence = OPTIONAL },
	[REMAP_PFN] = { "remap_pfn_range", dod_on_remap_pfn, .presence = OPTIONAL },
	[DO_REMAP_PFN] = { "do_remap_pfn_range", dod_on_remap_pfn, .presence = OPTIONAL },
	[REMAP_PFN_COMPLETE] = { "remap_pfn_range_complete", dod_on_remap_complete,
				 .presence = OPTIONAL },
	[REMAP_NOTRACK] = { "remap_pfn_range_notrack", dod_on_remap_pfn, .presence = OPTIONAL },
	[INSERT_PFN] = { "vmf_insert_pfn", dod_on_insert_pfn, .presence = OPTIONAL },
	[INSERT_PFN_PROT] = { "vmf_insert_pfn_prot", dod_on_insert_pfn, .presence = OPTIONAL },
	[DMABUF_MAP] = { "dma_buf_map_attachment", on_dmabuf_map, .presence = ON_DMABUF },
	[DMABUF_MAP_UNLOCKED] = { "dma_buf_map_attachment_unlocked", on_dmabuf_map,
				  .presence = ON_DMABUF },
	[DMABUF_MMAP] = { "dma_buf_mmap", on_dmabuf_mmap, .presence = ON_DMABUF },
	[DMABUF_MMAP_INTERNAL] = { "dma_buf_mmap_internal", on_dmabuf_mmap_internal,
				   .presence = ON_DMABUF },
};

/* === A call =============================================================== */

/*
 * Which calls count. Never track a mapping whose unmap might be missed: the first map counts when
 * all hooks are in place, and they stay until no device owns anything.
 */
static enum {
	SELFTEST,	/* those of one device */
	ALL,
	NOT_TO_DEVICE,	/* what ends a device's ownership */
} hooking;

static bool wanted(const struct hook *hook, const struct device *dev)
{
	switch (READ_ONCE(hooking)) {
	case ALL:
		return true;
	case NOT_TO_DEVICE:
		return !hook->to_device;
	default:
		return dev && is_test_dev(dev);
	}
}

/* By "function+0x20/0x100". Its caller has such a name on the stack, too. */
static noinline_for_stack unsigned long first_instruction(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];
	const char *plus;

	if (!DOD_COPIES_ARGS)
		return 0;
	sprint_symbol(name, ip);
	plus = strchr(name, '+');
	return ip - (plus ? simple_strtoul(plus + 1, NULL, 16) : 0);
}

/* The self-test already resolved every frequently called hook, so this is slow-path only. */
static struct hook *hook_by_name(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned int i;

	dod_function_name(ip, name, sizeof(name));
	for (i = 0; i < NR_HOOKS; i++)
		if (!dod_hooks[i].probe && !strcmp(name, dod_hooks[i].function)) {
			WRITE_ONCE(dod_hooks[i].entry, first_instruction(ip));
			WRITE_ONCE(dod_hooks[i].ip, ip);
			return &dod_hooks[i];
		}
	return NULL;
}

/* Most rows are found at once; those that share a slot with another are searched for. */
static struct hook *by_ip[256];

static noinline struct hook *search_hook(unsigned long ip, struct hook **slot)
{
	unsigned int i;

	for (i = 0; i < NR_HOOKS; i++)
		if (READ_ONCE(dod_hooks[i].ip) == ip)
			break;
	if (i == NR_HOOKS)
		return hook_by_name(ip);
	if (!READ_ONCE(*slot) && !dod_hooks[i].missing)
		WRITE_ONCE(*slot, &dod_hooks[i]);
	return &dod_hooks[i];
}

static noinline void on_rare_call(unsigned long ip, unsigned long parent_ip, struct hook **slot,
				  struct ftrace_regs *fregs)
{
	struct hook *hook = READ_ONCE(*slot);
	struct dod_args args;

	if (!hook || READ_ONCE(hook->ip) != ip)
		hook = search_hook(ip, slot);
	if (!hook || hook->missing)
		return;
	fregs = dod_copy_args(&args, fregs, ip, hook->entry, hook->wide);
	if (!wanted(hook, arg_dev(fregs)))
		return;
	if (dod_kasan_is_off())
		dod_owner_note_unseen();
	hook->handler(hook, parent_ip, fregs);
}

static void on_call(unsigned long ip, unsigned long parent_ip,
		    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct hook **slot = &by_ip[(ip >> 4) % ARRAY_SIZE(by_ip)];
	struct hook *hook = READ_ONCE(*slot);
	struct dod_args args;

	/* Panic: a console driver may still call us; ignore it. */
	if (dod_in_panic())
		return;
	if (likely(hook && READ_ONCE(hook->ip) == ip && READ_ONCE(hooking) == ALL &&
		   !dod_kasan_is_off()))
		hook->handler(hook, parent_ip,
			      dod_copy_args(&args, fregs, ip, hook->entry, hook->wide));
	else
		on_rare_call(ip, parent_ip, slot, fregs);
}

/* The same for a probe: does this call count? */
bool dod_event_counts(const struct hook *hook, const struct device *dev)
{
	if (dod_in_panic() || !wanted(hook, dev))
		return false;
	if (dod_kasan_is_off())
		dod_owner_note_unseen();
	return true;
}

/*
 * PERMANENT: the sysctl ftrace_enabled=0 must not stop us, a missed unmap would be a false
 * report. Neither RECURSION nor RCU: all hooked functions run where RCU watches, and no
 * callback calls one of them, but by printing to a console that does DMA, which is seen like
 * any other call.
 */
static struct ftrace_ops ops = {
	.func = on_call,
	.flags = FTRACE_OPS_FL_PERMANENT | DOD_FTRACE_FLAGS,
};

/* === When ftrace stops ==================================================== */

/*
 * ftrace stops after a bug of its own, or of another that patches code. Once ftrace has failed,
 * the hooks cannot be removed, so pin the module; poll, because exit cannot refuse.
 */
static bool are_stuck(void)
{
	static struct ftrace_ops asking;

	/* There is no function at 0: -EINVAL, and nothing has changed. */
	return ftrace_set_filter_ip(&asking, 0, 1, 0) == -ENODEV;
}

#define CHECK_PERIOD	(5 * HZ)

/* Without its hooks the tool knows nothing; with them it cannot go. */
static void check_hooks(struct work_struct *work)
{
	if (!are_stuck()) {
		schedule_delayed_work(to_delayed_work(work), CHECK_PERIOD);
		return;
	}
	__module_get(THIS_MODULE);
	pr_err("ftrace has stopped, and does not remove the hooks: this module cannot be unloaded\n");
	dod_stop("ftrace has stopped");
}

static DECLARE_DEFERRABLE_WORK(check_work, check_hooks);

/*
 * What the hooks call must stay as long as they do, and an exit function cannot refuse: where
 * ftrace has stopped since it was asked last, this does not return.
 */
void dod_unhook(struct ftrace_ops *ops)
{
	int err = unregister_ftrace_function(ops);

	if (!err)
		return;
	pr_err("ftrace does not remove the hooks, error %d: this module cannot go, and whoever unloads it waits until the next boot\n",
	       err);
	for (;;)
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

/* === Start and stop ======================================================= */

static int set_filter(struct hook *hook)
{
	char name[64];
	int err;

	hook->missing = hook->presence == ABSENT ||
			(hook->presence == FALLBACK && !hook[-1].missing);
	if (hook->missing || hook->probe)
		return 0;
	/* ftrace_set_filter() wants a buffer that it may write to. */
	strscpy(name, hook->function, sizeof(name));
	err = ftrace_set_filter(&ops, name, strlen(name), 0);
	if (err == -EINVAL && hook->presence == OPTIONAL) {
		hook->missing = true;
		return 0;
	}
	if (err == -EINVAL)
		pr_err("cannot load: this kernel has no function %s() to hook\n", hook->function);
	else if (err)
		pr_err("cannot load: function %s() cannot be hooked, error %d\n",
		       hook->function, err);
	return err;
}

static int set_filters(unsigned int *nr)
{
	unsigned int i;
	int err;

	*nr = 0;
	for (i = 0; i < NR_HOOKS; i++) {
		err = set_filter(&dod_hooks[i]);
		if (err)
			return err;
		*nr += !dod_hooks[i].missing;
	}
	return 0;
}

/**
 * dod_hooks_start() - hook the DMA functions and prove that it works
 * @nr: number of hooks
 *
 * Return: 0, or an error after one line that names the hook; nothing is hooked then.
 */
int dod_hooks_start(unsigned int *nr)
{
	int err = set_filters(nr);

	if (err)
		goto err_filter;
	err = dod_skip_sync_start();
	if (err)
		goto err_filter;
	err = register_ftrace_function(&ops);
	if (err) {
		pr_err("cannot load: ftrace refused the hooks, error %d (is kernel.ftrace_enabled 0?)\n",
		       err);
		goto err_skip_sync;
	}
	err = dod_events_start();
	if (err)
		goto err_hooks;
	err = dod_hooks_selftest();
	if (err)
		goto err_events;
	dod_counters_reset();
	dod_dmabuf_start(!dod_hooks[DMABUF_MAP].missing && !dod_hooks[DMABUF_MMAP].missing &&
			 !dod_hooks[DMABUF_MMAP_INTERNAL].missing);
	/* Now an unmap cannot be missed: see all devices. */
	WRITE_ONCE(hooking, ALL);
	dod_skip_sync_all_seen();
	schedule_delayed_work(&check_work, CHECK_PERIOD);
	return 0;

err_events:
	dod_events_stop();
err_hooks:
	dod_unhook(&ops);
err_skip_sync:
	dod_skip_sync_stop();
err_filter:
	ftrace_free_filter(&ops);
	return err;
}

/**
 * dod_hooks_stop_to_device() - from now on no device comes to own memory
 *
 * What a device owns already still ends with the driver's unmap or sync.
 */
void dod_hooks_stop_to_device(void)
{
	WRITE_ONCE(hooking, NOT_TO_DEVICE);
	/* Hooks run in tasks, preemptibly, and in interrupts of idle CPUs. */
	synchronize_rcu_tasks();
	synchronize_rcu();
}

/**
 * dod_hooks_stop() - unhook; no hook runs afterwards
 *
 * No device may own anything, as after dod_hooks_stop_to_device() and
 * dod_owner_stop_guarding(): what is poisoned when the last hook goes would stay poisoned
 * after its unmap.
 */
void dod_hooks_stop(void)
{
	cancel_delayed_work_sync(&check_work);
	WRITE_ONCE(hooking, SELFTEST);
	dod_events_stop();
	dod_unhook(&ops);
	dod_skip_sync_stop();
	ftrace_free_filter(&ops);
}
