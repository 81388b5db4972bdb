// SPDX-License-Identifier: GPL-2.0
/*
 * Whose frame is it? Which function of a stack a report names, and what a fault is known
 * by. All of it goes by names: a driver's function is what is left when the kernel's are
 * skipped.
 *
 * No locks. Context of all functions: any.
 */
#include "internal.h"

#include "../base/lock.h"
#include "../base/stack.h"

#include <linux/stacktrace.h>
#include <linux/string.h>

/*
 * Does a name, "function+offset [module]" or a part of that, begin with one of @prefixes,
 * of which NULL is the last? A prefix that ends in $ is the whole name of a function.
 */
static bool has_prefix(const char *name, const char * const *prefixes)
{
	size_t function = strcspn(name, "+. ");

	for (; *prefixes; prefixes++) {
		size_t len = strlen(*prefixes);
		bool whole = (*prefixes)[len - 1] == '$';

		len -= whole;
		if ((!whole || len == function) && !strncmp(name, *prefixes, len))
			return true;
	}
	return false;
}

/*
 * Functions that act for their caller: a report that named them would be the
 * same for every driver.
 */
static const char * const dma_core[] = {
	"dma_map_", "__dma_map_", "dma_unmap_", "dma_sync_", "__dma_sync_", "dma_alloc_",
	"dma_free_", "dma_iova_", "debug_dma_", "dmam_", "trace_dma_", "__traceiter_dma_",
	"__do_trace_dma_", NULL,
};

/*
 * The core of a bus works for its drivers, built in or as that module. A report that
 * named it would be the same for all of them.
 */
static const struct {
	const char *prefix, *module;
} bus_core[] = {
	{ "virtqueue_", "virtio_ring" }, { "vring_", "virtio_ring" }, { "virtio_dev_", "virtio" },
	{ "vp_", "virtio_pci" }, { "usb_hcd_", "usbcore" }, { "usb_submit_urb", "usbcore" },
	{ "usb_start_wait_urb", "usbcore" }, { "usb_control_msg", "usbcore" },
	{ "usb_internal_control_msg", "usbcore" }, { "usb_bulk_msg", "usbcore" },
	{ "usb_free_urb", "usbcore" }, { "urb_destroy", "usbcore" },
	{ "scsi_dma_map", "scsi_mod" }, { "scsi_host_", "scsi_mod" },
	{ "scsi_device_", "scsi_mod" },
};

/*
 * What drivers that are built in call. Of a driver that is a module, all of the kernel's
 * own functions are skipped.
 */
static const char * const helpers[] = {
	/* strings and blocks of memory */
	"memcpy", "__memcpy", "memmove", "__memmove", "memset", "__memset", "memcmp", "memchr",
	"str", "__asan_", "kasan_", "__kasan_", "_copy_", "__copy_", "copy_", "csum_", "crc",
	"hex_dump_", "print_hex_dump", "sg_copy_", "sg_pcopy_", "skb_copy_", "__skb_", "swab",
	"scatterwalk_", "bitmap_", "_find_", "chksum_", "xxh", "kmemdup", "memdup_", "vsnprintf$",
	"snprintf$", "scnprintf$", "sprintf$", "seq_", "kfifo_", "__kfifo_", "iov_iter_",
	/* locks */
	"_raw_", "do_raw_", "queued_", "native_queued_", "osq_", "mcs_", "mutex_", "__mutex_",
	"ww_mutex_", "rt_mutex_", "rt_spin_", "rt_read_", "rt_write_", "rwsem_", "__down", "__up",
	"down$", "down_", "up$", "up_", "lock_acquire$", "lock_release$", "lockdep_", "__lock_",
	"lock_is_held", "register_lock_class$", "percpu_down_", "percpu_up_", "__percpu_",
	"seqcount_", "bit_spin_",
	/* reference counts, completions and wait queues */
	"refcount_", "kref_", "percpu_ref_", "kobject_", "get_device$", "put_device$", "atomic_",
	"lockref_", "complete$", "complete_all$", "complete_with_flags$", "wait_for_",
	"__wait_for_", "do_wait_for_", "try_wait_for_", "completion_", "__init_swait", "swake_up_",
	"__wake_up", "wake_up_", "prepare_to_", "finish_", "__finish_", "add_wait_queue",
	"remove_wait_queue", "init_wait_", "__init_wait", "autoremove_wake_", "wait_woken$",
	"__prepare_to_", "try_to_wake_up$",
	/* lists and trees */
	"list_", "__list_", "llist_", "klist_", "plist_", "hlist_", "rb_", "__rb_",
	"interval_tree_", "ida_", "idr_", "xa_", "__xa_", "xas_", "radix_tree_", "mas_", "mtree_",
	"sbitmap_", "__sbitmap_", "rhashtable_", "__rhashtable_", "rht_",
	/* timers and work */
	"timer_", "__timer_", "add_timer", "mod_timer", "__mod_timer", "del_timer",
	"try_to_del_timer", "init_timer", "detach_", "enqueue_timer", "hrtimer_", "__hrtimer_",
	"queue_work", "__queue_work", "queue_delayed_", "__queue_delayed_", "mod_delayed_",
	"queue_rcu_", "insert_work", "cancel_work", "__cancel_work", "cancel_delayed_",
	"enable_work", "enable_delayed_", "disable_work", "disable_delayed_", "flush_work",
	"__flush_work", "flush_delayed_", "work_", "try_to_grab_", "start_flush_", "clear_work_",
	"get_work_", "delayed_work_", "tasklet_", "__tasklet_", "irq_work_", "__irq_work_",
	"debug_object_", "__debug_object_", "debug_timer_", "debug_work_", NULL,
};

/*
 * Inline functions of the kernel's headers. A compiler may put them into a module as
 * functions of their own; the module's author cannot have others of these names.
 */
static const char * const inlines[] = {
	"dma_map_single_attrs$", "dma_map_sgtable$", "dma_sync_single_for_device$",
	"dma_sync_single_range_for_device$", "dma_sync_sg_for_device$",
	"dma_sync_sgtable_for_device$", "skb_frag_dma_map$", NULL,
};

/* Between a driver and the tracepoints of the allocators. */
static const char * const freeing[] = {
	"trace_", "__traceiter_", "__do_trace_", "kfree", "__kfree", "kvfree", "vfree", "__vfree",
	"__vunmap", "kmem_cache_free", "mempool_", "free_", "__free_", "___free_", "slab_free",
	"put_page", "__put_page", "folio_", "__folio_", "release_pages", "page_frag_free", "skb_",
	"__skb_", "sk_skb_", "consume_skb", "__consume_", "napi_consume_", "napi_skb_",
	"__napi_kfree_", "dev_kfree_", "dev_consume_", "krealloc", "devm_kfree", "devm_free_",
	"devm_kmalloc_", "devm_page", NULL,
};

/* Code that frees for every driver: it did not forget the unmap. */
static const char * const freers[] = {
	"device_", "__device_", "driver_", "bus_", "kobject_", "kref_", "klist_", "put_device$",
	"devres_", "release_nodes$", "platform_", "virtio_dev_", "pci_", "usb_", "urb_destroy$",
	"scsi_", "rcu_", "__rcu_", "kvfree_", "kfree_rcu", "delayed_", "process_one_work$",
	"worker_thread$", "kthread$", "ret_from_fork", "task_work_", "__fput", "tcp_", "__tcp_",
	"udp_", "__udp_", "ip_", "ip6_", "inet_", "sk_", "__sk_", "sock_", "__sock_", "netif_",
	"__netif_", "net_", "dev_", "__dev_", "napi_", "__napi_", "page_pool_", "__page_pool_",
	"blk_", "__blk_", "bio_", "tlb_", "zap_", "unmap_", "exit_mmap$", "truncate_", "shrink_",
	"swap_", "do_exit$", "handle_softirqs$", "__do_softirq$", "run_ksoftirqd$", NULL,
};

/* The frames further out are of what was interrupted, which has nothing to do with it. */
static const char * const interrupts[] = {
	"asm_", "common_interrupt$", "__common_interrupt$", "sysvec_", "__sysvec_", "do_IRQ$",
	"irq_exit", "__irq_exit", "handle_softirqs$", "__do_softirq$", "do_softirq", "el1h_",
	"el1_", "el0t_", "el0_", "call_on_irq_stack$", NULL,
};

/* Functions that print the log to the consoles. */
static const char * const consoles[] = {
	"console_unlock$", "__console_unlock$", "console_flush_all$", "console_emit_next_record$",
	"console_flush_one_record$", "call_console_drivers$", "legacy_kthread_func$", "nbcon_emit_",
	"__nbcon_atomic_flush", "nbcon_atomic_", "nbcon_kthread_func$", NULL,
};

/* The address of a frame that nobody has printed; 0 if it is not known. */
unsigned long dod_frame_address(const struct stack *stack, unsigned int i)
{
	return stack->packed ? dod_frame_ip(stack->packed[i]) : stack->frames[i];
}

/* The name of a frame, with the module if there is one: in @buf, if it must be made. */
const char *dod_frame_name(const struct stack *stack, unsigned int i, char *buf, size_t size)
{
	unsigned long ip;

	if (stack->names)
		return stack->names[i];
	ip = dod_frame_address(stack, i);
	return ip ? dod_function_name(ip, buf, size) : UNKNOWN_CODE;
}

/* "[module]" in the name of a frame, NULL if the function is the kernel's own. */
const char *dod_frame_module(const char *name)
{
	return strchr(name, '[');
}

static bool is_module(const char *in, const char *module)
{
	return in && *module && strstarts(in + 1, module) && in[1 + strlen(module)] == ']';
}

static bool is_bus_core(const char *name)
{
	const char *in = dod_frame_module(name);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bus_core); i++)
		if (strstarts(name, bus_core[i].prefix) &&
		    (!in || is_module(in, bus_core[i].module)))
			return true;
	return false;
}

/*
 * The next frame that does not act for its caller; the number of frames if all do. A
 * driver's functions may begin like @prefixes, too: of modules only inlines are skipped.
 */
static unsigned int skip_frames(const struct stack *stack, unsigned int from,
				const char * const *prefixes)
{
	char buf[NAME_CHARS];
	unsigned int i;

	for (i = from; i < stack->nr; i++) {
		const char *name = dod_frame_name(stack, i, buf, sizeof(buf));

		if (!is_bus_core(name) &&
		    !has_prefix(name, dod_frame_module(name) ? inlines : prefixes))
			break;
	}
	return i;
}

/* The first frame in a module, in that one if @module is not NULL; else their number. */
static unsigned int find_module_frame(const struct stack *stack, unsigned int from,
				      const char *module)
{
	char buf[NAME_CHARS];
	unsigned int i;

	for (i = from; i < stack->nr; i++) {
		const char *name = dod_frame_name(stack, i, buf, sizeof(buf));
		const char *in = dod_frame_module(name);

		if (!in && has_prefix(name, interrupts))
			break;
		if (in && !has_prefix(name, inlines) && !is_bus_core(name) &&
		    (!module || is_module(in, module)))
			return i;
	}
	return stack->nr;
}

/*
 * Where a driver mapped memory, from frame @from on; the number of frames if nowhere. That
 * is in the driver's own module, whatever it used of the kernel's or of another's.
 */
unsigned int dod_frames_find_map(const struct dod_mapping *m, unsigned int from)
{
	struct stack stack = { .packed = m->map_frames, .nr = m->map.nr_frames };
	unsigned int i = stack.nr;

	if (m->device->module[0])
		i = find_module_frame(&stack, from, m->device->module);
	return i < stack.nr ? i : skip_frames(&stack, from, dma_core);
}

/**
 * dod_report_map_frame() - where a driver mapped memory
 * @m: the mapping
 * Return: the innermost frame of the driver, 0 if no stack is known.
 */
unsigned long dod_report_map_frame(const struct dod_mapping *m)
{
	unsigned long flags;
	unsigned int i;

	if (!m->map.nr_frames)
		return 0;
	flags = dod_quiet_begin();
	i = dod_frames_find_map(m, 0);
	dod_quiet_end(flags);
	return dod_frame_ip(m->map_frames[i < m->map.nr_frames ? i : 0]);
}

/* The stack of a call of the DMA API, from the first frame outside of it on, if one is. */
struct stack dod_stack_of_caller(const struct dod_who *who, const struct dod_frame *frames)
{
	struct stack stack = { .packed = frames, .nr = who->nr_frames };
	unsigned int i = skip_frames(&stack, 0, dma_core);

	if (i < stack.nr) {
		stack.packed += i;
		stack.nr -= i;
	}
	return stack;
}

/**
 * dod_report_call_site() - where a driver called the DMA API
 * @frames: the stack of the call, or its innermost frames
 * @nr: how many, not 0
 * Return: the first one outside of the DMA core, else the last.
 */
unsigned long dod_report_call_site(const struct dod_frame *frames, unsigned int nr)
{
	struct stack stack = { .packed = frames, .nr = nr };
	unsigned long flags = dod_quiet_begin();
	unsigned int i = skip_frames(&stack, 0, dma_core);

	dod_quiet_end(flags);
	return dod_frame_ip(frames[min(i, nr - 1)]);
}

/* The module of the driver that made a mapping, as dod_frame_module() has it. */
static const char *module_of_map(const struct dod_mapping *m, char *buf, size_t size)
{
	return dod_frame_module(dod_function_name(dod_report_map_frame(m), buf, size));
}

/*
 * The next frame that is a driver's, from frame @from on; the number of frames if none is.
 * Where the driver that made @m is a module, the kernel's own functions work for it or for
 * another module.
 */
unsigned int dod_frames_find_driver(const struct stack *stack, const struct dod_mapping *m,
				    unsigned int from)
{
	unsigned int i = stack->nr;
	char name[NAME_CHARS];

	if (module_of_map(m, name, sizeof(name)))
		i = find_module_frame(stack, from, NULL);
	return i < stack->nr ? i : skip_frames(stack, from, helpers);
}

/* The frame of an access that the title names. */
unsigned int dod_culprit_frame(const struct stack *stack, const struct dod_mapping *m)
{
	unsigned int i = dod_frames_find_driver(stack, m, 0);

	return i < stack->nr ? i : 0;
}

/*
 * The same of a free; the number of frames if that is code which frees for every driver. A
 * module that is not the driver's is the culprit where it frees the memory itself, but not
 * where it only calls who does.
 */
unsigned int dod_culprit_frame_of_free(const struct stack *stack, const struct dod_mapping *m)
{
	unsigned int i = skip_frames(stack, 0, freeing);
	char name[NAME_CHARS], owner[NAME_CHARS], *end;
	const char *in;

	if (i == stack->nr)
		return i;
	dod_frame_name(stack, i, name, sizeof(name));
	if (dod_frame_module(name))
		return i;
	in = module_of_map(m, owner, sizeof(owner));
	if (!in)
		return has_prefix(name, freers) ? stack->nr : i;
	end = strchr(in, ']');
	if (end)
		*end = '\0';
	return find_module_frame(stack, i, in + 1);
}

/* Is it memory of an exporter, that drivers import? */
bool dod_frames_of_dma_buf(const struct dod_mapping *m)
{
	char name[NAME_CHARS];
	unsigned int i;

	for (i = 0; i < m->map.nr_frames; i++) {
		dod_function_name(dod_frame_ip(m->map_frames[i]), name, sizeof(name));
		if (!dod_frame_module(name) && strstarts(name, "dma_buf_map_attachment"))
			return true;
	}
	return false;
}

/*
 * Does a console's driver run, so that a report of what it does would cause the next one?
 * An interrupt that came while it printed has nothing to do with it. @frames is filled in.
 */
bool dod_is_console(unsigned long *frames)
{
	unsigned int nr = stack_trace_save(frames, DOD_REPORT_FRAMES, 1), i;
	char name[64];

	for (i = 0; i < nr; i++) {
		dod_function_name(frames[i], name, sizeof(name));
		if (has_prefix(name, interrupts))
			return false;
		if (has_prefix(name, consoles))
			return true;
	}
	return false;
}
