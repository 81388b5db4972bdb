// SPDX-License-Identifier: GPL-2.0
/*
 * What the user reads: filters, deduplication, the text of a report.
 *
 * Nothing here is locked, and nobody waits. Whoever finds a fault formats the whole
 * report into a text of its own and puts that on a list; then one CPU prints what is
 * there, see print_texts(). A console's driver may itself map memory, on the CPU that
 * prints or on the one that has the console, and must find no lock of ours taken.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../judge/judge.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "debugfs.h"
#include "report.h"

#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/glob.h>
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/kallsyms.h>
#include <linux/llist.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/clock.h>
#include <linux/utsname.h>
#include <linux/workqueue.h>

/* Reports have no prefix; what else is said here spells it out. */
#undef pr_fmt
#define pr_fmt(fmt) fmt
#define PREFIX "dma_owner_debug: "

#define BURST_PERIOD	(5ULL * NSEC_PER_SEC)

/* More than the longest report has, which is one of PLACES_SHOWN leaks. */
#define TEXT_SIZE	12288
#define TEXT_END	256
#define NR_TEXTS	16
/* How many a CPU prints that has found a fault; the rest is printed by a worker. */
#define TEXTS_AT_ONCE	4

/**
 * struct report_type - a row of the one table of report types
 *
 * @name:	in the title and in the parameters
 * @hint:	what to do; "%s" becomes the family of calls that made the
 *		mapping, "single" or "sg", or the function that ends it
 * @hint_receiving: what to do where the device only writes, if that is different
 * @hint_sending: what to do where the device only reads, if that is different
 * @hint_linked: what to do with memory of dma_iova_link(), if that is different
 * @hint_dma_buf: what to do with a buffer of another driver's, if that is different
 * @ending:	"%s" is that function
 * @advice:	no fault: a line per device, never a report
 */
struct report_type {
	const char *name;
	const char *hint;
	const char *hint_receiving;
	const char *hint_sending;
	const char *hint_linked;
	const char *hint_dma_buf;
	bool ending;
	bool advice;
};

#define HINT_LINKED \
	"memory of dma_iova_link() cannot be synced for the CPU: make this access before dma_iova_link(), or after dma_iova_unlink() or dma_iova_destroy()."

/* An importer has no scatterlist to sync, and the exporter knows who else maps it. */
#define HINT_DMA_BUF \
	"call dma_buf_begin_cpu_access() before this access and dma_buf_end_cpu_access() after it: this is memory of a dma-buf, which importers do not sync themselves; if the transfer is over, dma_buf_unmap_attachment() is missing."

/* The driver may have forgotten the mapping, as on the way out of an error. */
#define HINT_OVER "; if the transfer is over, the unmap is missing."

static const struct report_type types[] = {
	[DOD_R_CPU_READ] = {
		"cpu-read",
		"when the device is done, call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() before the device uses the buffer again, or access it after the unmap" HINT_OVER,
		.hint_linked = HINT_LINKED,
		.hint_dma_buf = HINT_DMA_BUF,
	},
	[DOD_R_CPU_WRITE] = {
		"cpu-write",
		"call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() after it" HINT_OVER,
		.hint_receiving = "the device writes here until it is done: wait for that, and call dma_sync_%s_for_cpu() before this access, or access it after the unmap" HINT_OVER,
		.hint_sending = "wait until the device is done with what was there, or use a second buffer; call dma_sync_%s_for_device() after this write" HINT_OVER,
		.hint_linked = HINT_LINKED,
		.hint_dma_buf = HINT_DMA_BUF,
	},
	[DOD_R_SHARED_LINE_WRITE] = {
		"shared-line-write",
		"give the buffer an allocation of its own, or align it and its size to dma_get_cache_alignment(): on hardware that is not coherent one of the two writes is lost.",
	},
	[DOD_R_CACHELINE_SHARING] = {
		"cacheline-sharing",
		"give the buffer an allocation of its own, or align it and its size to dma_get_cache_alignment(); in a struct, make it and the member behind it ____cacheline_aligned, or put it between __dma_from_device_group_begin() and _end() if this kernel has them.",
	},
	[DOD_R_OVERLAPPING_MAPPING] = {
		"overlapping-mapping",
		"unmap the one before mapping the other, or map the memory once, DMA_BIDIRECTIONAL.",
	},
	[DOD_R_OUT_OF_BOUNDS_MAP] = {
		"out-of-bounds-map",
		"map no more bytes than were allocated.",
	},
	[DOD_R_USE_AFTER_FREE_MAP] = {
		"use-after-free-map",
		"keep the memory allocated until it is unmapped. With slub_debug=U on the kernel command line, a report shows who allocated the object.",
	},
	[DOD_R_VMALLOC_BUFFER] = {
		"vmalloc-buffer",
		"use kmalloc() memory, or map the pages one by one: vmalloc_to_page(), or sg_alloc_table_from_pages().",
	},
	[DOD_R_STACK_BUFFER] = {
		"stack-buffer",
		"use kmalloc() memory: a stack shares cache lines, and need not be in the linear map.",
	},
	[DOD_R_IMAGE_BUFFER] = {
		"image-buffer",
		"copy the data to kmalloc() memory with kmemdup(): static variables must not be mapped.",
	},
	[DOD_R_NOT_CONTIGUOUS] = {
		"not-contiguous",
		"map each page of its own, as a scatterlist: pages that follow each other in vmalloc space need not do so in memory.",
	},
	[DOD_R_MASK_EXCEEDED] = {
		"mask-exceeded",
		"tell the kernel how many address bits the device really has: dma_set_mask_and_coherent(), or dma-ranges of its bus.",
	},
	[DOD_R_TO_DEVICE_CHANGED] = {
		"to-device-changed",
		"check the address that the device was told; if it is to write to this buffer, map it DMA_FROM_DEVICE or DMA_BIDIRECTIONAL; if code of the kernel does, call dma_sync_%s_for_cpu() before and dma_sync_%s_for_device() after it, and flush what it writes through another alias.",
	},
	[DOD_R_DEVICE_OVERRUN] = {
		"device-overrun",
		"the device wrote more than it was given: allocate and map as many bytes as it was told, or tell it how many there are.",
	},
	[DOD_R_MISSING_SYNC_FOR_DEVICE] = {
		"missing-sync-for-device",
		"call dma_sync_%s_for_device() after this write, or write after the unmap: on hardware that is not coherent the unmap, or the next sync for the CPU, discards it.",
	},
	[DOD_R_DEVICE_WROTE_NOTHING] = {
		"device-wrote-nothing",
		"check the address and length that the device was told, its mask, and whether it was done. An error, a short answer, and the end of a ring leave a buffer as it was: a driver that takes them for what they are is right; switch this off for it, off_drivers=device-wrote-nothing:<driver>.",
	},
	[DOD_R_MASK_NEVER_SET] = {
		"mask-never-set",
		"if the device can do more, call dma_set_mask_and_coherent() in probe",
		.advice = true,
	},
	[DOD_R_MASK_WIDER_THAN_BUS] = {
		"mask-wider-than-bus",
		"the smaller one counts; memory above it is bounced",
		.advice = true,
	},
	[DOD_R_MASK_UNTESTED] = {
		"mask-untested",
		"test it on a machine with more memory",
		.advice = true,
	},
	[DOD_R_CONFIG_NOT_INHERITED] = {
		"dma-config-not-inherited",
		"map with the parent, or copy its configuration: of_dma_configure() with the parent's node",
		.advice = true,
	},
	[DOD_R_WRITE_NEVER_SYNCED] = {
		"write-never-synced",
		"where the device is to have it, call dma_sync_single_for_device() after the write",
		.advice = true,
	},
	[DOD_R_FREE_WHILE_MAPPED] = {
		"free-while-mapped",
		"unmap it with %s() before freeing it; stop the device first.",
		.ending = true,
	},
	[DOD_R_LEAK_AT_UNBIND] = {
		"leak-at-unbind",
		"stop the device and unmap all that was mapped, with %s(), before remove() returns.",
		.ending = true,
	},
	[DOD_R_OWNED_AT_SHUTDOWN] = {
		"owned-at-shutdown",
		"stop the device in the driver's shutdown(), and call pci_clear_master() if it is a PCI device: what boots next uses this memory for something else. %s() is not needed there.",
		.ending = true,
	},
};

static_assert(ARRAY_SIZE(types) == DOD_REPORT_COUNT);

static atomic_long_t type_counts[DOD_REPORT_COUNT];

/*
 * This CPU formats or prints a report: what it finds meanwhile, be it in a console's
 * driver, must not make another. Interrupts are off for as long as it is set.
 */
static DEFINE_PER_CPU(bool, reporting);

/**
 * dod_report_name() - a type as titles and parameters spell it
 * @type: the type
 *
 * Context: any.
 */
const char *dod_report_name(enum dod_report_type type)
{
	return types[type].name;
}

/**
 * dod_report_is_advice() - is a type a note, and no fault?
 * @type: the type
 *
 * Context: any.
 */
bool dod_report_is_advice(enum dod_report_type type)
{
	return types[type].advice;
}

/**
 * dod_report_count() - how often a type was found, shown or not
 * @type: the type
 *
 * Context: any.
 */
long dod_report_count(enum dod_report_type type)
{
	return atomic_long_read(&type_counts[type]);
}

/* === Filters ============================================================== */

#define NR_RULES	32
#define RULE_CHARS	64

/* Types that are off where a name matches the glob. */
struct rule {
	u32 type_mask;
	char glob[RULE_CHARS];
};

struct filter {
	unsigned int nr;
	struct rule rules[NR_RULES];
};

static_assert(DOD_REPORT_COUNT <= 32);

/*
 * Readers take the copy that @version says, and look at @version again: it was written
 * to meanwhile only if that has changed. Of a copy that is being written to they may
 * read any mixture, but none that leads out of it: the last byte of a glob is always 0.
 */
static struct {
	unsigned int version;
	struct filter copy[2];
} filters[DOD_BY_COUNT];
u32 dod_types_off;

static int type_mask(const char *name, u32 *mask)
{
	unsigned int i;

	for (i = 0; i < DOD_REPORT_COUNT; i++)
		if (!strcmp(name, types[i].name)) {
			*mask = BIT(i);
			return 0;
		}
	return -EINVAL;
}

static void list_types(const char *wrong)
{
	char known[768] = "";
	unsigned int i;

	for (i = 0; i < DOD_REPORT_COUNT; i++) {
		if (i)
			strlcat(known, ", ", sizeof(known));
		strlcat(known, types[i].name, sizeof(known));
	}
	pr_err(PREFIX "unknown report type \"%s\", known are: %s\n", wrong, known);
}

/*
 * Where the type in "[type:]glob" ends, NULL if there is none. Device names
 * hold colons, too, but digits before the first.
 */
static char *end_of_type(char *item)
{
	size_t len = strspn(item, "abcdefghijklmnopqrstuvwxyz-");

	return len && item[len] == ':' ? item + len : NULL;
}

/* "type" for off_types, "[type:]glob" for the others. */
static int parse_rule(struct rule *rule, enum dod_filter_by by, char *item)
{
	char *type = item, *glob = item, *colon = NULL;

	if (by != DOD_BY_TYPE)
		colon = end_of_type(item);
	rule->type_mask = ~0U;
	if (colon) {
		*colon = '\0';
		glob = colon + 1;
	}
	if (by == DOD_BY_TYPE || colon) {
		if (type_mask(type, &rule->type_mask)) {
			list_types(type);
			return -EINVAL;
		}
	}
	if (by == DOD_BY_TYPE)
		glob = "*";
	if (!*glob || strscpy(rule->glob, glob, RULE_CHARS) < 0) {
		pr_err(PREFIX "\"%s\" is empty or longer than %d characters\n", item,
		       RULE_CHARS - 1);
		return -EINVAL;
	}
	return 0;
}

/**
 * dod_report_set_filter() - replace one of the off_* lists
 * @by: which one
 * @val: comma-separated; empty for none
 *
 * Context: process. Callers are serialised by the lock of the parameters.
 *
 * Return: 0, or -EINVAL after a line that says what is wrong; the list in force
 * stays then.
 */
int dod_report_set_filter(enum dod_filter_by by, const char *val)
{
	static struct filter new;
	static char copy[512];
	char *rest = copy, *item;
	unsigned int i, version;
	u32 off = 0;
	int err;

	if (strscpy(copy, val, sizeof(copy)) < 0) {
		pr_err(PREFIX "a filter of more than %zu characters\n",
		       sizeof(copy) - 1);
		return -EINVAL;
	}
	new.nr = 0;
	while ((item = strsep(&rest, ","))) {
		item = strim(item);
		if (!*item)
			continue;
		if (new.nr == NR_RULES) {
			pr_err(PREFIX "a filter of more than %d items\n", NR_RULES);
			return -EINVAL;
		}
		err = parse_rule(&new.rules[new.nr], by, item);
		if (err)
			return err;
		new.nr++;
	}
	for (i = 0; i < new.nr; i++)
		off |= new.rules[i].type_mask;
	version = filters[by].version + 1;
	/* Its readers can see by now that it is out of date: pairs with smp_rmb(). */
	smp_wmb();
	filters[by].copy[version % 2] = new;
	/* Pairs with smp_load_acquire() in filter_hits(). */
	smp_store_release(&filters[by].version, version);
	if (by == DOD_BY_TYPE)
		WRITE_ONCE(dod_types_off, off);
	return 0;
}

static bool filter_hits(enum dod_filter_by by, enum dod_report_type type,
			const char *name)
{
	unsigned int version, nr, i;
	const struct filter *f;
	bool hit;

	do {
		/* Pairs with smp_store_release() in dod_report_set_filter(). */
		version = smp_load_acquire(&filters[by].version);
		f = &filters[by].copy[version % 2];
		nr = min(READ_ONCE(f->nr), NR_RULES);
		hit = false;
		for (i = 0; i < nr && !hit; i++)
			hit = (f->rules[i].type_mask & BIT(type)) &&
			      IS_ENABLED(CONFIG_GLOB) &&
			      glob_match(f->rules[i].glob, name);
		/* Pairs with smp_wmb() there. */
		smp_rmb();
	} while (READ_ONCE(filters[by].version) != version);
	return hit;
}

static bool filtered(enum dod_report_type type, const struct dod_device *d)
{
	return filter_hits(DOD_BY_TYPE, type, "") ||
	       filter_hits(DOD_BY_DRIVER, type, d->driver_name) ||
	       filter_hits(DOD_BY_DEVICE, type, d->name);
}

/**
 * dod_report_is_filtered() - is a type off for a device?
 * @type: the type
 * @device: the device
 *
 * Context: any.
 */
bool dod_report_is_filtered(enum dod_report_type type,
			    const struct dod_device *device)
{
	return filtered(type, device);
}

/* === What was reported before ============================================= */

#define NR_SEEN		1024	/* slots, by the key's hash */
#define SEEN_PROBES	16	/* and how many of them a key may be in */

static u32 seen[NR_SEEN];	/* keys, 0 where there is none; by cmpxchg() */
static atomic64_t burst_start;
static atomic_t burst_nr, burst_lost;

static u32 *seen_slot(u32 key, unsigned int probe)
{
	return &seen[(key + probe) % NR_SEEN];
}

static bool was_seen(u32 key)
{
	unsigned int i;

	for (i = 0; i < SEEN_PROBES; i++)
		if (READ_ONCE(*seen_slot(key, i)) == key)
			return true;
	return false;
}

/*
 * Returns false if it was noted already. Where there is no room, another one is
 * forgotten: better twice than never.
 */
static bool note_seen(u32 key)
{
	unsigned int i;
	u32 old;

	for (i = 0; i < SEEN_PROBES; i++) {
		old = cmpxchg(seen_slot(key, i), 0, key);
		if (!old)
			return true;
		if (old == key)
			return false;
	}
	WRITE_ONCE(*seen_slot(key, get_cycles() % SEEN_PROBES), key);
	return true;
}

static bool over_burst(u64 now)
{
	unsigned int limit = READ_ONCE(dod_params.report_burst);
	s64 start = atomic64_read(&burst_start);

	if (!limit)
		return false;
	if (dod_ago(now, start) > BURST_PERIOD &&
	    atomic64_try_cmpxchg(&burst_start, &start, now))
		atomic_set(&burst_nr, 0);
	if (atomic_inc_return(&burst_nr) <= limit)
		return false;
	atomic_inc(&burst_lost);
	return true;
}

/**
 * dod_report_forget() - report everything anew
 *
 * Context: any.
 */
void dod_report_forget(void)
{
	unsigned int i;

	for (i = 0; i < NR_SEEN; i++)
		WRITE_ONCE(seen[i], 0);
	atomic_set(&burst_nr, 0);
	atomic_set(&burst_lost, 0);
}

/* === Frames =============================================================== */

/* @name as "function+offset [module]" or a part of that. A prefix that ends in $ is a name. */
static bool has_prefix(const char *name, const char * const *prefixes,
		       unsigned int nr)
{
	size_t function = strcspn(name, "+. ");
	unsigned int i;

	for (i = 0; i < nr; i++) {
		size_t len = strlen(prefixes[i]);
		bool whole = prefixes[i][len - 1] == '$';

		len -= whole;
		if ((!whole || len == function) && !strncmp(name, prefixes[i], len))
			return true;
	}
	return false;
}

/*
 * Functions that act for their caller: a report that named them would be the
 * same for every driver.
 */
static const char * const dma_core[] = {
	"dma_map_", "__dma_map_", "dma_unmap_", "dma_sync_", "__dma_sync_",
	"dma_alloc_", "dma_free_", "dma_iova_", "debug_dma_", "dmam_",
};

/*
 * A bus' core that works for its drivers, built in or as that module: named, it would
 * stand for all of them.
 */
static const struct {
	const char *prefix, *module;
} bus_core[] = {
	{ "virtqueue_", "virtio_ring" },
	{ "vring_", "virtio_ring" },
	{ "virtio_dev_", "virtio" },
	{ "vp_", "virtio_pci" },
	{ "usb_hcd_", "usbcore" },
	{ "usb_submit_urb", "usbcore" },
	{ "usb_start_wait_urb", "usbcore" },
	{ "usb_control_msg", "usbcore" },
	{ "usb_internal_control_msg", "usbcore" },
	{ "usb_bulk_msg", "usbcore" },
	{ "usb_free_urb", "usbcore" },
	{ "urb_destroy", "usbcore" },
	{ "scsi_dma_map", "scsi_mod" },
	{ "scsi_host_", "scsi_mod" },
	{ "scsi_device_", "scsi_mod" },
};

/* For drivers that are built in: of others, what is in the kernel itself is skipped. */
static const char * const helpers[] = {
	/* strings and blocks of memory */
	"memcpy", "__memcpy", "memmove", "__memmove", "memset", "__memset",
	"memcmp", "memchr", "str", "__asan_", "kasan_", "__kasan_",
	"_copy_", "__copy_", "copy_", "csum_", "crc", "hex_dump_",
	"print_hex_dump", "sg_copy_", "sg_pcopy_", "skb_copy_", "__skb_",
	"swab", "scatterwalk_", "bitmap_", "_find_", "chksum_", "xxh", "xxhash",
	"kmemdup", "memdup_", "vsnprintf$", "snprintf$", "scnprintf$", "sprintf$",
	"seq_", "kfifo_", "__kfifo_", "iov_iter_",
	/* locks */
	"_raw_", "do_raw_", "queued_", "native_queued_", "osq_", "mcs_", "mutex_",
	"__mutex_", "ww_mutex_", "rt_mutex_", "rt_spin_", "rt_read_", "rt_write_",
	"rwsem_", "__down", "__up", "down$", "down_", "up$", "up_", "lock_acquire$",
	"lock_release$", "lockdep_", "__lock_", "lock_is_held", "register_lock_class$",
	"percpu_down_", "percpu_up_", "__percpu_", "seqcount_", "bit_spin_",
	/* reference counts */
	"refcount_", "kref_", "percpu_ref_", "kobject_", "get_device$", "put_device$",
	"atomic_", "lockref_",
	/* completions and wait queues */
	"complete$", "complete_all$", "complete_with_flags$", "wait_for_", "__wait_for_",
	"do_wait_for_", "try_wait_for_", "completion_", "__init_swait", "swake_up_",
	"__wake_up", "wake_up_", "prepare_to_", "finish_", "__finish_", "add_wait_queue",
	"remove_wait_queue", "init_wait_", "__init_wait", "autoremove_wake_", "wait_woken$",
	"__prepare_to_", "try_to_wake_up$",
	/* lists and trees */
	"list_", "__list_", "llist_", "klist_", "plist_", "hlist_", "rb_", "__rb_",
	"interval_tree_", "ida_", "idr_", "xa_", "__xa_", "xas_", "radix_tree_", "mas_",
	"mtree_", "sbitmap_", "__sbitmap_", "rhashtable_", "__rhashtable_", "rht_",
	/* timers and work */
	"timer_", "__timer_", "add_timer", "mod_timer", "__mod_timer", "del_timer",
	"try_to_del_timer", "init_timer", "detach_", "enqueue_timer", "hrtimer_",
	"__hrtimer_", "queue_work", "__queue_work", "queue_delayed_", "__queue_delayed_",
	"mod_delayed_", "queue_rcu_", "insert_work", "cancel_work", "__cancel_work",
	"cancel_delayed_", "enable_work", "enable_delayed_", "disable_work",
	"disable_delayed_", "flush_work", "__flush_work", "flush_delayed_", "work_",
	"try_to_grab_", "start_flush_", "clear_work_", "get_work_", "delayed_work_",
	"tasklet_", "__tasklet_", "irq_work_", "__irq_work_", "debug_object_",
	"__debug_object_", "debug_timer_", "debug_work_",
};

/*
 * Inline functions of the kernel's headers, of which a compiler may make functions
 * of the driver's. A driver cannot have others of these names.
 */
static const char * const inlines[] = {
	"dma_map_single_attrs", "dma_map_sgtable", "dma_sync_single_for_device",
	"dma_sync_single_range_for_device", "dma_sync_sg_for_device",
	"dma_sync_sgtable_for_device", "skb_frag_dma_map",
};

/* What stands between a driver and the tracepoints of the allocators. */
static const char * const freeing[] = {
	"trace_", "__traceiter_", "__do_trace_", "kfree", "__kfree", "kvfree", "vfree",
	"__vfree", "__vunmap", "kmem_cache_free",
	"mempool_", "free_", "__free_", "___free_", "slab_free", "put_page",
	"__put_page", "folio_", "__folio_", "release_pages", "page_frag_free",
	"skb_", "__skb_", "sk_skb_", "consume_skb", "__consume_", "napi_consume_",
	"napi_skb_", "__napi_kfree_", "dev_kfree_", "dev_consume_", "krealloc",
	"devm_kfree", "devm_free_", "devm_kmalloc_", "devm_page",
};

/* Who calls those for everybody: that he frees memory says nothing of who forgot it. */
static const char * const freers[] = {
	"device_", "__device_", "driver_", "bus_", "kobject_", "kref_", "klist_",
	"put_device$", "devres_", "release_nodes$", "platform_", "virtio_dev_",
	"pci_", "usb_", "urb_destroy$", "scsi_", "rcu_", "__rcu_", "kvfree_", "kfree_rcu",
	"delayed_", "process_one_work$", "worker_thread$", "kthread$", "ret_from_fork",
	"task_work_", "__fput", "tcp_", "__tcp_", "udp_", "__udp_", "ip_", "ip6_", "inet_",
	"sk_", "__sk_", "sock_", "__sock_", "netif_", "__netif_", "net_", "dev_", "__dev_",
	"napi_", "__napi_", "page_pool_", "__page_pool_", "blk_", "__blk_", "bio_",
	"tlb_", "zap_", "unmap_", "exit_mmap$", "truncate_", "shrink_", "swap_",
	"do_exit$", "handle_softirqs$", "__do_softirq$", "run_ksoftirqd$",
};

/* Below these is what was interrupted, and has nothing to do with it. */
static const char * const interrupts[] = {
	"asm_", "common_interrupt$", "__common_interrupt$", "sysvec_", "__sysvec_",
	"do_IRQ$", "irq_exit", "__irq_exit", "handle_softirqs$", "__do_softirq$",
	"do_softirq", "el1h_", "el1_", "el0t_", "el0_", "call_on_irq_stack$",
};

/* What prints the log to the consoles. */
static const char * const consoles[] = {
	"console_unlock$", "__console_unlock$", "console_flush_all$",
	"console_emit_next_record$", "console_flush_one_record$", "call_console_drivers$",
	"legacy_kthread_func$", "nbcon_emit_", "__nbcon_atomic_flush", "nbcon_atomic_",
	"nbcon_kthread_func$",
};

/**
 * struct stack - a stack, by addresses or as somebody has printed it
 *
 * @frames:	the addresses, NULL if it is the other kind
 * @names:	"function+offset/size [module]"
 * @nr:		how many there are
 */
struct stack {
	const unsigned long *frames;
	const char (*names)[DOD_RACE_CHARS];
	unsigned int nr;
};

/* Longer ones lose their end, and their module. */
#define NAME_CHARS	192

static const char *frame_name(const struct stack *stack, unsigned int i,
			      char *buf, size_t size)
{
	return stack->frames ? dod_function_name(stack->frames[i], buf, size) :
			       stack->names[i];
}

static const char *module_of(const char *name)
{
	return strchr(name, '[');
}

/* What is appended to the name of a function does not count. */
static bool is_inline(const char *name)
{
	size_t len = strcspn(name, "+. ");
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(inlines); i++)
		if (strlen(inlines[i]) == len && !strncmp(name, inlines[i], len))
			return true;
	return false;
}

static bool is_module(const char *in, const char *module)
{
	size_t len = strlen(module);

	return in && len && !strncmp(in + 1, module, len) && in[1 + len] == ']';
}

static bool is_bus_core(const char *name)
{
	const char *in = module_of(name);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bus_core); i++)
		if (!strncmp(name, bus_core[i].prefix, strlen(bus_core[i].prefix)) &&
		    (!in || is_module(in, bus_core[i].module)))
			return true;
	return false;
}

static bool is_interrupt(const char *name)
{
	return !module_of(name) && has_prefix(name, interrupts, ARRAY_SIZE(interrupts));
}

/* A driver may use names that begin so, too: of modules only inlines are skipped. */
static bool acts_for_caller(const char *name, const char * const *prefixes,
			    unsigned int nr)
{
	if (is_bus_core(name))
		return true;
	if (module_of(name))
		return is_inline(name);
	return has_prefix(name, prefixes, nr);
}

/* Returns the number of frames if they all act for their callers. */
static unsigned int skip_frames(const struct stack *stack, unsigned int from,
				const char * const *prefixes,
				unsigned int nr_prefixes)
{
	char name[NAME_CHARS];
	unsigned int i;

	for (i = from; i < stack->nr; i++)
		if (!acts_for_caller(frame_name(stack, i, name, sizeof(name)),
				     prefixes, nr_prefixes))
			break;
	return i;
}

/* The first frame in a module, in that one if @module is not NULL; else their number. */
static unsigned int find_module_frame(const struct stack *stack, unsigned int from,
				      const char *module)
{
	char buf[NAME_CHARS];
	unsigned int i;

	for (i = from; i < stack->nr; i++) {
		const char *name = frame_name(stack, i, buf, sizeof(buf));
		const char *in = module_of(name);

		if (is_interrupt(name))
			break;
		if (in && !is_inline(name) && !is_bus_core(name) &&
		    (!module || is_module(in, module)))
			return i;
	}
	return stack->nr;
}

/*
 * Where a driver mapped memory: in its own module, whatever of the kernel's or of
 * another's it used for that.
 */
static unsigned int find_map_frame(const struct dod_mapping *m, unsigned int from)
{
	struct stack stack = { .frames = m->map_frames, .nr = m->map.nr_frames };
	unsigned int i = stack.nr;

	if (m->device->module[0])
		i = find_module_frame(&stack, from, m->device->module);
	if (i == stack.nr)
		i = skip_frames(&stack, from, dma_core, ARRAY_SIZE(dma_core));
	return i;
}

/**
 * dod_report_map_frame() - where a driver mapped memory
 * @m: the mapping
 *
 * Context: any.
 *
 * Return: the innermost frame of the driver, 0 if no stack is known.
 */
unsigned long dod_report_map_frame(const struct dod_mapping *m)
{
	unsigned long flags;
	unsigned int i;

	if (!m->map.nr_frames)
		return 0;
	flags = dod_quiet_begin();
	i = find_map_frame(m, 0);
	dod_quiet_end(flags);
	return m->map_frames[i < m->map.nr_frames ? i : 0];
}

/* Of a stack of the DMA API: where its core ends, 0 if nowhere. */
static unsigned int skip_core(const unsigned long *frames, unsigned int nr)
{
	struct stack stack = { .frames = frames, .nr = nr };
	unsigned int i = skip_frames(&stack, 0, dma_core, ARRAY_SIZE(dma_core));

	return i < nr ? i : 0;
}

/* Is the driver that made a mapping a module? */
static bool is_of_module(const struct dod_mapping *m)
{
	char name[NAME_CHARS];

	return module_of(dod_function_name(dod_report_map_frame(m), name, sizeof(name)));
}

/*
 * The next frame that is a driver's. Where the driver is a module, the kernel's own
 * functions work for it or for another module.
 */
static unsigned int find_driver_frame(const struct stack *stack, unsigned int from,
				      bool of_module)
{
	unsigned int i = stack->nr;

	if (of_module)
		i = find_module_frame(stack, from, NULL);
	if (i == stack->nr)
		i = skip_frames(stack, from, helpers, ARRAY_SIZE(helpers));
	return i;
}

/*
 * Who frees memory that is mapped, or the number of frames if that is code which frees
 * for everybody. A module that is not the driver's is to blame where it frees it
 * itself, and not where it happens to have called who does.
 */
static unsigned int find_freeing_frame(const struct stack *stack,
				       const struct dod_mapping *m)
{
	unsigned int i = skip_frames(stack, 0, freeing, ARRAY_SIZE(freeing));
	char name[NAME_CHARS], owner[NAME_CHARS], *end;
	const char *in;

	if (i == stack->nr)
		return i;
	frame_name(stack, i, name, sizeof(name));
	if (module_of(name))
		return i;
	in = module_of(dod_function_name(dod_report_map_frame(m), owner, sizeof(owner)));
	if (!in)
		return has_prefix(name, freers, ARRAY_SIZE(freers)) ? stack->nr : i;
	end = strchr(in, ']');
	if (end)
		*end = '\0';
	return find_module_frame(stack, i, in + 1);
}

/**
 * dod_report_stack() - the stack of an access
 * @frames: filled in, DOD_REPORT_FRAMES at most
 * @ip: return address of the access, as the compiler gave it
 * @inner: the function that asked KASAN, or @ip
 *
 * From the access outwards; what lies inside is KASAN's and ours, but for the
 * function that asked KASAN, where the access is not its own: @inner.
 */
unsigned int dod_report_stack(unsigned long *frames, unsigned long ip, unsigned long *inner)
{
	unsigned int nr = stack_trace_save(frames, DOD_REPORT_FRAMES, 0), i;

	for (i = 1; i < nr; i++)
		if (frames[i] == ip) {
			*inner = frames[i - 1];
			memmove(frames, frames + i, (nr - i) * sizeof(*frames));
			return nr - i;
		}
	*inner = ip;
	frames[0] = ip;
	return 1;
}

/* === Text ================================================================= */

/**
 * dod_report_dir() - the name of a direction
 * @dir: the direction
 *
 * Context: any.
 */
const char *dod_report_dir(u8 dir)
{
	switch (dir) {
	case DMA_TO_DEVICE:
		return "DMA_TO_DEVICE";
	case DMA_FROM_DEVICE:
		return "DMA_FROM_DEVICE";
	default:
		return "DMA_BIDIRECTIONAL";
	}
}

static const char *family(const struct dod_mapping *m)
{
	return m->kind == DOD_SG ? "sg" : "single";
}

static const char *ending(const struct dod_mapping *m)
{
	switch (m->kind) {
	case DOD_SG:
		return "dma_unmap_sg";
	case DOD_PAGES:
		return "dma_free_pages";
	case DOD_IOVA:
		return "dma_iova_destroy";
	default:
		return "dma_unmap_single";
	}
}

/**
 * dod_report_note_unmatched() - a call of the API has an address that is nobody's
 * @device: the device
 * @what: the call
 * @dma_addr: the address
 * @caller: its return address
 *
 * The last one is remembered: a later report can be due to it.
 *
 * Context: any.
 */
void dod_report_note_unmatched(struct dod_device *device,
			       enum dod_unmatched_call what, u64 dma_addr,
			       unsigned long caller)
{
	struct dod_unmatched *u = &device->unmatched[what];
	u32 version = READ_ONCE(u->version);

	/* Of two at the same time one is as good as the other. */
	if (version % 2 || cmpxchg(&u->version, version, version + 1) != version)
		return;
	u->when = local_clock();
	u->dma_addr = dma_addr;
	u->caller = caller;
	/* Pairs with smp_load_acquire() in read_unmatched(). */
	smp_store_release(&u->version, version + 2);
}

/* Returns false if there is none, or it is just being written. */
static bool read_unmatched(const struct dod_unmatched *u, struct dod_unmatched *copy)
{
	/* Pairs with smp_store_release() in dod_report_note_unmatched(). */
	u32 version = smp_load_acquire(&u->version);

	*copy = *u;
	/* Pairs with cmpxchg() there. */
	smp_rmb();
	return version && version % 2 == 0 && READ_ONCE(u->version) == version;
}

/**
 * struct text - a report as it is to be printed
 *
 * @node:	in @texts, from when it is complete
 * @generation:	how often it was printed
 * @now:	local_clock() when it was begun
 * @panic:	panic when it is printed
 * @cut:	something did not fit
 * @lost:	how many reports were not shown before it
 * @object:	what mem_dump_obj() is to print, NULL for none
 * @object_at:	before which character
 * @len:	characters in @chars
 * @chars:	lines, each with a newline
 * @frames:	for whoever formats it
 */
struct text {
	struct llist_node node;
	unsigned int generation;
	u64 now;
	bool panic, cut;
	unsigned int lost;
	const void *object;
	unsigned int object_at, len;
	char chars[TEXT_SIZE];
	unsigned long frames[DOD_REPORT_FRAMES];
};

/* What does not fit is left out, up to the end, for which there is TEXT_END. */
static __printf(2, 3) void put(struct text *t, const char *fmt, ...)
{
	unsigned int room = TEXT_SIZE - TEXT_END - t->len;
	va_list args;
	int n;

	if (t->cut)
		return;
	va_start(args, fmt);
	n = vsnprintf(t->chars + t->len, room, fmt, args);
	va_end(args);
	if (n < room)
		t->len += n;
	else
		t->cut = true;
}

static void put_frames(struct text *t, const unsigned long *frames, unsigned int nr)
{
	unsigned int i;

	if (!nr)
		put(t, " (stack is not available)\n");
	for (i = 0; i < nr; i++)
		put(t, " %pS\n", (void *)frames[i]);
}

static void put_who(struct text *t, const char *what, const struct dod_who *who,
		    u64 now, const unsigned long *frames)
{
	u64 when = who->when, ago = dod_ago(now, when);
	unsigned int skip = skip_core(frames, who->nr_frames);
	u32 when_us = do_div(when, NSEC_PER_SEC) / NSEC_PER_USEC;
	u32 ago_us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

	put(t, "%s by task %s/%d on cpu %u at %llu.%06us (%llu.%06us ago):\n",
	    what, who->comm, who->pid, who->cpu, when, when_us, ago, ago_us);
	put_frames(t, frames + skip, who->nr_frames - skip);
}

static unsigned long virt(u64 phys)
{
	return (unsigned long)phys_to_virt(phys);
}

/* Where a mapping ends as it was asked for, however much of that is memory of its own. */
static unsigned long virt_end(const struct dod_mapping *m)
{
	return virt(m->start) + (unsigned long)dod_size(m);
}

/*
 * Calls with an address that is nobody's, since the memory was mapped: one of them may
 * have been meant for it.
 */
static void put_unmatched(struct text *t, const struct dod_mapping *m)
{
	static const char * const what[] = {
		[DOD_UNMAP] = "An unmap",
		[DOD_SYNC_CALL] = "A sync",
	};
	struct dod_unmatched u;
	unsigned int i;
	u64 ago;

	for (i = 0; i < ARRAY_SIZE(what); i++) {
		if (!read_unmatched(&m->device->unmatched[i], &u) ||
		    !dod_ago(u.when, m->map.when))
			continue;
		ago = dod_ago(t->now, u.when);
		do_div(ago, NSEC_PER_MSEC);
		put(t, "%s at dma 0x%llx matched no mapping, in %pS, %llu ms ago\n",
		    what[i], u.dma_addr, (void *)u.caller, ago);
	}
}

/* What the device is like: half of what goes wrong has to do with it. */
static void put_device_state(struct text *t, const struct dod_mapping *m)
{
	const struct dod_device *d = m->device;

	if (d->coherent && !m->line)
		put(t, "The device is cache-coherent, its mask is 0x%llx.\n",
		    d->mask);
	else if (d->coherent)
		put(t, "The device is cache-coherent, its mask is 0x%llx; judged as if it were not (noncoherent=%u).\n",
		    d->mask, m->line);
	else
		put(t, "The device is not cache-coherent, its mask is 0x%llx.\n",
		    d->mask);
	put_unmatched(t, m);
}

static void put_mapping(struct text *t, const struct dod_mapping *m,
			const struct dod_range *range)
{
	u64 start = max(range->start, m->start);
	u64 last = min(range->last, m->last);

	put(t, "Device %s %s %s these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	    m->device->driver_name, m->device->name,
	    range->state == DOD_OWNED ? "owns" : "may have written", last - start + 1,
	    dod_report_dir(range->dir), virt(start), virt(last) + 1,
	    m->dma_addr + (start - m->start));
	if (last - start + 1 != dod_size(m))
		put(t, "They are part of a mapping of %llu bytes, [%lx, %lx).\n",
		    dod_size(m), virt(m->start), virt_end(m));
}

static void put_place(struct text *t, const struct dod_mapping *m, u64 bad)
{
	if (bad < m->start)
		put(t, "The access is %llu bytes before the buffer, in its first cache line of %u bytes.\n",
		    m->start - bad, m->line);
	else if (bad > m->last)
		put(t, "The access is %llu bytes behind the buffer, in its last cache line of %u bytes.\n",
		    bad - m->last, m->line);
	else
		put(t, "The access is %llu bytes into the buffer.\n",
		    bad - m->start);
	put_device_state(t, m);
}

static bool is_slab(const void *addr)
{
	return virt_addr_valid(addr) && folio_test_slab(virt_to_folio(addr));
}

/* mem_dump_obj() prints: see print_text(). */
static void put_object(struct text *t, const void *addr)
{
	if (!addr || !is_slab(addr))
		return;
	t->object = addr;
	t->object_at = t->len;
}

/* An address outside of the linear map has no other one. */
static void put_new_mapping(struct text *t, const struct dod_mapping *m,
			    const struct dod_finding *f)
{
	unsigned long addr = f->addr ?: virt(m->start);
	u64 size = dod_size(m);

	if (m->dma_addr == DMA_MAPPING_ERROR)
		put(t, "Device %s %s is given these %llu bytes, [%lx, %lx)\n",
		    m->device->driver_name, m->device->name, size, addr,
		    addr + (unsigned long)size);
	else
		put(t, "Device %s %s %s given these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
		    m->device->driver_name, m->device->name,
		    f->at ? "was" : "is", size, dod_report_dir(m->dir),
		    addr, addr + (unsigned long)size, m->dma_addr);
}

/* Sentences, each with a newline. */
static void put_text(struct text *t, const char *line)
{
	const char *end;

	for (; (end = strchr(line, '\n')); line = end + 1)
		put(t, "%.*s\n", (int)(end - line), line);
}

static void put_history(struct text *t, const struct dod_mapping *m,
			const struct dod_range *range, u64 now)
{
	u64 sync_off = m->start + m->sync_off;
	char what[64];

	if (m->ended)
		put(t, "They were unmapped with DMA_ATTR_SKIP_CPU_SYNC at %pS, and never synced for the CPU.\n",
		    (void *)m->ended_by);
	else if (range->state == DOD_STALE)
		put(t, "They were not synced for the CPU: the last sync ended before them.\n");
	if (m->idle_sync)
		put(t, "The last sync for the CPU had the direction DMA_TO_DEVICE, and so did nothing, at %pS\n",
		    (void *)m->idle_sync);
	put(t, "\n");
	put_who(t, m->kind == DOD_PAGES ? "Allocated with dma_alloc_pages()" : "Mapped",
		&m->map, now, m->map_frames);
	/* Another part's last sync has nothing to do with this access. */
	if (!m->sync_len || sync_off > range->last ||
	    sync_off + m->sync_len <= range->start)
		return;
	put(t, "\n");
	snprintf(what, sizeof(what),
		 "Last given to the device by dma_sync_%s_for_device()",
		 family(m));
	put_who(t, what, &m->sync, now, m->sync_frames);
}

#define BAR "==================================================================\n"

/* The last line is there whatever was left out: readers go by it. */
static void put_end(struct text *t)
{
	t->len += scnprintf(t->chars + t->len, TEXT_SIZE - t->len, "%s" BAR,
			    t->cut ? "\nThe rest of this report did not fit.\n" : "");
}

/**
 * struct report - all that a report shows
 *
 * @type:	its type
 * @m:		the mapping
 * @range:	what the device owns of it; NULL for a finding
 * @access:	the access; NULL if it is not that
 * @race:	the access, as another has reported it; NULL if it is not that
 * @finding:	what was found at the map; NULL if it is not that
 * @free:	the memory that is being freed; NULL if it is not that
 * @leaks:	mappings that are left; NULL if it is not that
 * @lost:	the CPU's write that the device will not get; NULL if it is not that
 * @how:	by what it was lost
 * @lost_by:	return address of the call that lost it
 * @frames:	stack of the access, the map, the free; not used for a @race
 * @nr:		its length
 * @culprit:	the frame that the title names; @nr if that is where @m was mapped
 */
struct report {
	enum dod_report_type type;
	const struct dod_mapping *m;
	const struct dod_range *range;
	const struct dod_access *access;
	const struct dod_race *race;
	const struct dod_finding *finding;
	const struct dod_free *free;
	const struct dod_leaks *leaks;
	const struct dod_pending *lost;
	enum dod_lost how;
	unsigned long lost_by;
	const unsigned long *frames;
	unsigned int nr, culprit;
};

static struct stack stack_of(const struct report *r)
{
	return (struct stack) {
		.frames = r->race ? NULL : r->frames,
		.names = r->race ? r->race->frames : NULL,
		.nr = r->race ? r->race->nr_frames : r->nr,
	};
}

/* The task of the last race; its test, if it runs one, is its own alone to fail. */
static int raced_test_failed = -1;

static void fail_kunit_test(void)
{
#if IS_ENABLED(CONFIG_KUNIT)
	struct kunit *test = current->kunit_test;

	if (test && READ_ONCE(dod_params.kunit_fail))
		kunit_set_failure(test);
#endif
}

/**
 * dod_report_fail_raced_test() - fail the KUnit test of a task that a race was about
 *
 * Context: any but NMI, of a call of the DMA API.
 */
void dod_report_fail_raced_test(void)
{
	if (likely(READ_ONCE(raced_test_failed) < 0) || !in_task() ||
	    READ_ONCE(raced_test_failed) != task_pid_nr(current))
		return;
	WRITE_ONCE(raced_test_failed, -1);
	fail_kunit_test();
}

/* === What makes a fault another one of its type =========================== */

/* Of the function, not of the instruction. */
static u32 hash_function(const char *name, u32 hash)
{
	const char *in = module_of(name);

	hash = jhash(name, strcspn(name, "+. "), hash);
	return in ? jhash(in, strlen(in), hash) : hash;
}

/* The first two functions of drivers that mapped the memory. */
static u32 hash_map(const struct dod_mapping *m, u32 hash)
{
	unsigned int i = 0, n;
	char name[NAME_CHARS];

	for (n = 0; n < 2; n++, i++) {
		i = find_map_frame(m, i);
		if (i >= m->map.nr_frames)
			break;
		dod_function_name(m->map_frames[i], name, sizeof(name));
		hash = hash_function(name, hash);
	}
	return hash;
}

/*
 * The same driver, in the same places: those of the access, or what else it is, and
 * those of the mapping. Of each the first two functions that are a driver's, for the
 * first may be a helper that serves several.
 */
static u32 key_of(const struct report *r)
{
	const char *driver = r->m->device->driver_name;
	u32 hash = jhash(driver, strnlen(driver, sizeof(r->m->device->driver_name)),
			 r->type);
	struct stack stack = stack_of(r);
	unsigned int i = r->culprit, n;
	char name[NAME_CHARS];

	if (r->access || r->race || r->free || r->lost) {
		bool of_module = is_of_module(r->m);

		for (n = 0; n < 2 && i < stack.nr; n++) {
			hash = hash_function(frame_name(&stack, i, name, sizeof(name)),
					     hash);
			i = find_driver_frame(&stack, i + 1, of_module);
		}
	}
	hash = hash_map(r->m, hash);
	if (r->finding && r->finding->other)
		hash = hash_map(r->finding->other, hash);
	return hash ?: 1;
}

/* Memory of an exporter's, that drivers import. */
static bool is_dma_buf(const struct dod_mapping *m)
{
	char name[NAME_CHARS];
	unsigned int i;

	for (i = 0; i < m->map.nr_frames; i++) {
		dod_function_name(m->map_frames[i], name, sizeof(name));
		if (!module_of(name) && strstarts(name, "dma_buf_map_attachment"))
			return true;
	}
	return false;
}

static const char *hint_of(enum dod_report_type type, u8 dir,
			   const struct dod_mapping *m)
{
	if (m->kind == DOD_IOVA && types[type].hint_linked)
		return types[type].hint_linked;
	if (types[type].hint_dma_buf && is_dma_buf(m))
		return types[type].hint_dma_buf;
	if (dir == DMA_FROM_DEVICE && types[type].hint_receiving)
		return types[type].hint_receiving;
	if (dir == DMA_TO_DEVICE && types[type].hint_sending)
		return types[type].hint_sending;
	return types[type].hint;
}

#define HINT_CHARS	512
#define HINT_COLUMNS	76

/* Broken at blanks, the lines after the first indented. */
static void put_hint(struct text *t, const struct report *r)
{
	u8 dir = r->range ? r->range->dir : r->m->dir;
	const char *name = types[r->type].ending ? ending(r->m) : family(r->m);
	const char *label = "Hint: ";
	char hint[HINT_CHARS], *line = hint;

	snprintf(hint, sizeof(hint), hint_of(r->type, dir, r->m), name, name);
	for (;;) {
		size_t room = HINT_COLUMNS - strlen(label), len = strlen(line);
		char *end = line + room;

		if (len <= room)
			break;
		while (end > line && *end != ' ')
			end--;
		if (end == line)
			end = line + strcspn(line, " ");
		if (!*end)
			break;
		put(t, "%s%.*s\n", label, (int)(end - line), line);
		label = "      ";
		line = end + 1;
	}
	put(t, "%s%s\n", label, line);
}

static void put_access(struct text *t, const struct report *r)
{
	put(t, "%s of size %zu at %lx by task %s/%d on cpu %d:\n",
	    r->access->write ? "Write" : "Read", r->access->size,
	    r->access->addr, current->comm, task_pid_nr(current),
	    raw_smp_processor_id());
	put_frames(t, r->frames, r->nr);
	put(t, "\n");
	put_mapping(t, r->m, r->range);
	put_place(t, r->m, r->access->bad);
	if (r->type == DOD_R_SHARED_LINE_WRITE)
		put_object(t, (void *)r->access->addr);
}

static void put_race(struct text *t, const struct report *r)
{
	const struct dod_race *race = r->race;
	u64 phys = virt_to_phys((void *)race->addr);
	char comm[TASK_COMM_LEN] = "?";
	struct task_struct *task;
	unsigned int i;

	/* It has gone on since. */
	rcu_read_lock();
	task = pid_task(find_pid_ns(race->pid, &init_pid_ns), PIDTYPE_PID);
	if (task)
		strscpy(comm, task->comm, sizeof(comm));
	rcu_read_unlock();
	if (race->pid < 0)
		put(t, "%s of size %zu at %lx by an interrupt on cpu %d:\n",
		    race->write ? "Write" : "Read", race->size, race->addr,
		    race->cpu);
	else
		put(t, "%s of size %zu at %lx by task %s/%d on cpu %d:\n",
		    race->write ? "Write" : "Read", race->size, race->addr,
		    comm, race->pid, race->cpu);
	for (i = 0; i < race->nr_frames; i++)
		put(t, " %s\n", race->frames[i]);
	put(t, "\n");
	put_mapping(t, r->m, r->range);
	put_place(t, r->m, max(phys, r->range->start));
}

static void put_left(struct text *t, const struct dod_mapping *m)
{
	if (m->leaked)
		put(t, "Driver %s was unbound from device %s, and has left this memory mapped.\n",
		    m->device->driver_name, m->device->name);
}

static void put_free(struct text *t, const struct report *r)
{
	if (r->free->found) {
		if (!r->m->leaked)
			put(t, "The memory at %lx was freed by a function that is not hooked, as for kfree_rcu().\n",
			    r->free->addr);
		put(t, "Found %s, by task %s/%d on cpu %d\n", r->free->found,
		    current->comm, task_pid_nr(current), raw_smp_processor_id());
		put(t, "\n");
		put_mapping(t, r->m, r->range);
		put_left(t, r->m);
		put_device_state(t, r->m);
		return;
	}
	put(t, "Free of %llu bytes at %lx by task %s/%d on cpu %d:\n",
	    r->free->size, r->free->addr, current->comm,
	    task_pid_nr(current), raw_smp_processor_id());
	put_frames(t, r->frames, r->nr);
	put(t, "\n");
	if (r->culprit == r->nr)
		put(t, "What frees it frees for everybody: the title names where it is mapped.\n");
	put_mapping(t, r->m, r->range);
	put_left(t, r->m);
	put_device_state(t, r->m);
}

#define PLACES_SHOWN	8

static void put_leaks(struct text *t, const struct dod_leaks *l, u64 now)
{
	unsigned int i, nr = l->all.nr;
	u64 bytes = l->all.bytes;

	put_text(t, l->text);
	put_device_state(t, &l->places[0].m);
	for (i = 0; i < min(l->nr, PLACES_SHOWN); i++) {
		const struct dod_leak *leak = &l->places[i];
		const struct dod_mapping *m = &leak->m;

		nr -= leak->nr;
		bytes -= leak->bytes;
		put(t, "\n");
		put(t, "%u mapping%s of %llu bytes%s, %s, [%lx, %lx), dma 0x%llx\n",
		    leak->nr, leak->nr == 1 ? "" : "s", leak->bytes,
		    leak->nr == 1 ? "" : " in all, one of them",
		    dod_report_dir(m->dir), virt(m->start), virt_end(m),
		    m->dma_addr);
		put_who(t, "Mapped", &m->map, now, m->map_frames);
	}
	if (nr)
		put(t, "\nAnd %u of %llu bytes, mapped elsewhere.\n", nr, bytes);
}

static void put_map(struct text *t, const struct report *r)
{
	const struct dod_finding *f = r->finding;
	const struct dod_mapping *m = r->m, *other = f->other;

	put(t, "Map of size %llu at %lx by task %s/%d on cpu %d:\n",
	    dod_size(m), f->addr ?: virt(m->start), m->map.comm, m->map.pid,
	    m->map.cpu);
	put_frames(t, r->frames, r->nr);
	put(t, "\n");
	put_new_mapping(t, m, f);
	put_text(t, f->text);
	if (f->at)
		put(t, "It was found when the CPU got them back, at %pS\n",
		    (void *)f->at);
	put_device_state(t, m);
	put_object(t, f->object);
	if (!other)
		return;
	put(t, "\n");
	put(t, "The other mapping: device %s %s, %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	    other->device->driver_name, other->device->name,
	    dod_size(other), dod_report_dir(other->dir), virt(other->start),
	    virt_end(other), other->dma_addr);
}

/* The call that lost a write, as drivers know it. */
static const char *losing_call(const struct report *r)
{
	if (r->how != DOD_LOST_AT_SYNC)
		return ending(r->m);
	return r->m->kind == DOD_SG ? "dma_sync_sg_for_cpu" : "dma_sync_single_for_cpu";
}

/* Where what is lost begins, and how many bytes it is in one piece. */
static unsigned long lost_bytes(const struct dod_pending *p, size_t *size)
{
	u64 start = max(p->range.start, p->wrote_first);
	u64 last = min(p->range.last, p->wrote_last), end;

	while (start < last && !dod_pending_wrote(p, start, start))
		start++;
	for (end = start; end < last && dod_pending_wrote(p, end + 1, end + 1); end++)
		;
	*size = end - start + 1;
	return virt(start);
}

static void put_write(struct text *t, const struct report *r)
{
	const struct dod_pending *p = r->lost;
	const struct dod_write *w = &p->write;
	const struct dod_mapping *m = r->m;
	u64 start = virt_to_phys((void *)w->addr);
	unsigned long addr = w->addr;
	size_t size = w->size;
	bool first;

	/* Of a loop the first write is remembered, which need not be one that is lost. */
	first = dod_pending_wrote(p, max(start, p->range.start),
				  min(start + size - 1, p->range.last));
	if (!first)
		addr = lost_bytes(p, &size);
	put(t, "Write of size %zu at %lx by task %s/%d on cpu %d:\n", size, addr,
	    w->who.comm, w->who.pid, w->who.cpu);
	put_frames(t, r->frames, r->nr);
	if (!first)
		put(t, "It is one of several there; the first was of %zu bytes at %lx.\n",
		    w->size, w->addr);
	put(t, "\n");
	put(t, "Device %s %s was given these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	    m->device->driver_name, m->device->name, dod_size(m),
	    dod_report_dir(m->dir), virt(m->start), virt_end(m), m->dma_addr);
	if (addr >= virt(m->start))
		put(t, "The write is %lu bytes into the buffer.\n",
		    addr - virt(m->start));
	if (p->synced_by)
		put(t, "The CPU got the buffer for reading, at %pS\n",
		    (void *)p->synced_by);
	if (r->how == DOD_LOST_AT_FREE)
		put(t, "The write was not synced for the device before the memory was freed at %pS\n",
		    (void *)r->lost_by);
	else
		put(t, "The write was not synced for the device before %s() in %pS\n",
		    losing_call(r), (void *)r->lost_by);
	put_device_state(t, m);
}

static void put_lost(struct text *t, const struct report *r, u64 now)
{
	put(t, "\n");
	put_who(t, "Mapped", &r->m->map, now, r->m->map_frames);
}

static void put_report(struct text *t, const struct report *r, u64 now)
{
	const struct dod_mapping *m = r->m;

	put(t, BAR);
	if (r->race && r->culprit < r->race->nr_frames)
		put(t, "BUG: DMA_OWNER: %s in %s\n", types[r->type].name,
		    r->race->frames[r->culprit]);
	else
		put(t, "BUG: DMA_OWNER: %s in %pS\n", types[r->type].name,
		    (void *)(!r->race && r->culprit < r->nr ? r->frames[r->culprit] :
			     dod_report_map_frame(m)));
	put(t, "\n");
	if (r->access)
		put_access(t, r);
	else if (r->race)
		put_race(t, r);
	else if (r->free)
		put_free(t, r);
	else if (r->leaks)
		put_leaks(t, r->leaks, now);
	else if (r->lost)
		put_write(t, r);
	else
		put_map(t, r);
	if (r->range)
		put_history(t, m, r->range, now);
	if (r->lost)
		put_lost(t, r, now);
	else if (!r->range && r->finding && r->finding->other)
		put_who(t, "Mapped", &r->finding->other->map, now,
			r->finding->other->map_frames);
	put(t, "\n");
	put_hint(t, r);
	put(t, "\n");
	put(t, "CPU: %d PID: %d Comm: %s %s %s\n",
	    raw_smp_processor_id(), task_pid_nr(current), current->comm,
	    init_utsname()->release, init_utsname()->version);
	put_end(t);
}

/* === Printing ============================================================= */

/*
 * A text is claimed, written, put on the list, printed, and let go. Whoever puts one
 * there looks whether somebody prints, and if not prints himself; whoever prints looks
 * at the list once more when he has let go of @printing. So no text is left, and nobody
 * ever waits for another CPU.
 */
static struct text texts[NR_TEXTS];
static DECLARE_BITMAP(texts_used, NR_TEXTS);
static LLIST_HEAD(written);		/* the newest first */
static struct llist_node *to_print;	/* taken from there, the oldest first; @printing */
static atomic_t printing;

static struct text *claim_text(void)
{
	unsigned int i;

	for (i = 0; i < NR_TEXTS; i++) {
		struct text *t = &texts[i];

		if (test_bit(i, texts_used) || test_and_set_bit_lock(i, texts_used))
			continue;
		t->now = local_clock();
		t->panic = false;
		t->cut = false;
		t->lost = 0;
		t->object = NULL;
		t->len = 0;
		return t;
	}
	return NULL;
}

static void release_text(struct text *t)
{
	WRITE_ONCE(t->generation, t->generation + 1);
	clear_bit_unlock(t - texts, texts_used);
}

static void print_object(const void *addr)
{
	/* It is some time ago. */
	if (!is_slab(addr))
		return;
	pr_err("The object there:");
	/* It ends the line. */
	mem_dump_obj((void *)addr);
}

static void print_text(const struct text *t)
{
	const char *line = t->chars, *end = line + t->len, *next;

	if (t->lost)
		pr_warn(PREFIX "%u reports were not shown: more than report_burst in 5 s\n",
			t->lost);
	for (; line < end; line = next + 1) {
		if (t->object && line == t->chars + t->object_at)
			print_object(t->object);
		next = memchr(line, '\n', end - line);
		pr_err("%.*s\n", (int)(next - line), line);
	}
}

/* @printing is ours. */
static struct text *next_text(void)
{
	struct llist_node *node;

	if (!to_print)
		to_print = llist_reverse_order(llist_del_all(&written));
	node = to_print;
	if (!node)
		return NULL;
	WRITE_ONCE(to_print, node->next);
	return llist_entry(node, struct text, node);
}

static bool is_text_left(void)
{
	return !llist_empty(&written) || READ_ONCE(to_print);
}

/*
 * Prints what is complete, unless another CPU does so: that one will see what is there.
 * Stops after @nr texts, and after one that asks for a panic, which is not ours to do:
 * *@dead. Interrupts are off.
 *
 * Returns whether somebody must go on.
 */
static bool print_texts(unsigned int nr, bool *dead)
{
	while (is_text_left()) {
		struct text *t;

		if (!nr || *dead)
			return true;
		if (atomic_cmpxchg(&printing, 0, 1))
			return false;
		while (nr && !*dead && (t = next_text())) {
			print_text(t);
			add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
			*dead = t->panic;
			release_text(t);
			nr--;
		}
		/* Ordered: before we look again. */
		atomic_xchg(&printing, 0);
	}
	return false;
}

/* Returns false if this CPU does so already. */
static bool begin_reporting(unsigned long *flags)
{
	*flags = dod_quiet_begin();
	if (__this_cpu_read(reporting)) {
		dod_quiet_end(*flags);
		return false;
	}
	__this_cpu_write(reporting, true);
	/* As KASAN: an access may have been made with any lock held. */
	lockdep_off();
	return true;
}

static void end_reporting(unsigned long flags)
{
	lockdep_on();
	__this_cpu_write(reporting, false);
	dod_quiet_end(flags);
}


static void panic_on_fault(void)
{
	/* What the panic finds on its way is nobody's business any more. */
	WRITE_ONCE(dod_panicking, true);
	panic("dma_owner_debug.fault=panic set ...\n");
}

/* One at a time, for as long as others are quicker. */
static void print_rest(struct work_struct *work)
{
	bool dead = false, left = false;
	unsigned long flags;

	do {
		if (begin_reporting(&flags)) {
			left = print_texts(1, &dead);
			end_reporting(flags);
		}
		if (dead)
			panic_on_fault();
		cond_resched();
	} while (left);
}

static DEFINE_DOD_WORKER(rest_worker, print_rest);

/**
 * dma_owner_debug_flush() - wait until what was reported before is in the log
 *
 * For tests. Prints itself what nobody prints: whoever else does has interrupts off.
 *
 * Context: any but NMI.
 */
void dma_owner_debug_flush(void)
{
	unsigned int generation[NR_TEXTS], i;
	bool dead = false, left = false;
	DECLARE_BITMAP(used, NR_TEXTS);
	unsigned long flags;

	bitmap_copy(used, texts_used, NR_TEXTS);
	for_each_set_bit(i, used, NR_TEXTS)
		generation[i] = READ_ONCE(texts[i].generation);
	for_each_set_bit(i, used, NR_TEXTS)
		while (test_bit(i, texts_used) &&
		       READ_ONCE(texts[i].generation) == generation[i] && !dead) {
			if (!begin_reporting(&flags))
				return;
			left = print_texts(1, &dead);
			end_reporting(flags);
			cpu_relax();
		}
	/* Those that came later may rely on us. */
	if (left)
		dod_worker_wake(&rest_worker);
	if (dead)
		panic_on_fault();
}
EXPORT_SYMBOL_GPL(dma_owner_debug_flush);

/**
 * dod_report_stop() - print what is left
 *
 * Context: process, may sleep; nothing is reported any more.
 */
void dod_report_stop(void)
{
	dma_owner_debug_flush();
	dod_worker_cancel(&rest_worker);
}

/* === Whether there is a report ============================================ */

/*
 * Does what happens here happen in a console's driver, so that a report of it feeds
 * itself? An interrupt that came while it printed has nothing to do with it.
 */
static bool is_console(struct text *t)
{
	unsigned int nr = stack_trace_save(t->frames, DOD_REPORT_FRAMES, 0), i;
	char name[64];

	for (i = 0; i < nr; i++) {
		dod_function_name(t->frames[i], name, sizeof(name));
		if (has_prefix(name, interrupts, ARRAY_SIZE(interrupts)))
			return false;
		if (has_prefix(name, consoles, ARRAY_SIZE(consoles)))
			return true;
	}
	return false;
}

/*
 * Whether a report is to be printed, and where it is to be written then; counts why
 * not. What is not printed for want of a place or of time is not known as seen.
 */
static struct text *begin_text(const struct report *r, u64 now)
{
	bool dedup = READ_ONCE(dod_params.dedup);
	u32 key = key_of(r);
	struct text *t;

	if (dedup && was_seen(key)) {
		dod_count(DOD_C_REPORTS_DEDUPLICATED);
		return NULL;
	}
	if (over_burst(now)) {
		dod_count(DOD_C_REPORTS_RATELIMITED);
		return NULL;
	}
	t = claim_text();
	if (!t) {
		dod_count(DOD_C_REPORTS_NO_BUFFER);
		return NULL;
	}
	if ((dedup || is_console(t)) && !note_seen(key)) {
		dod_count(dedup ? DOD_C_REPORTS_DEDUPLICATED : DOD_C_REPORTS_NESTED);
		release_text(t);
		return NULL;
	}
	/* Whoever reboots wants no panic. */
	t->panic = READ_ONCE(dod_params.fault) == DOD_FAULT_PANIC &&
		   r->type != DOD_R_OWNED_AT_SHUTDOWN;
	t->lost = atomic_xchg(&burst_lost, 0);
	dod_count(DOD_C_REPORTS_SHOWN);
	return t;
}

static void make_report(const struct report *r)
{
	u64 now = local_clock();
	unsigned long flags;
	bool dead = false;
	struct text *t;

	if (dod_in_panic())
		return;
	if (!begin_reporting(&flags)) {
		dod_count(DOD_C_REPORTS_NESTED);
		return;
	}
	atomic_long_inc(&type_counts[r->type]);
	if (filtered(r->type, r->m->device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
	} else {
		/* A repeated fault still fails the test that runs now. */
		if (r->race)
			WRITE_ONCE(raced_test_failed, r->race->pid);
		else
			fail_kunit_test();
		t = begin_text(r, now);
		if (t) {
			put_report(t, r, now);
			llist_add(&t->node, &written);
		}
		if (print_texts(TEXTS_AT_ONCE, &dead))
			dod_worker_wake(&rest_worker);
	}
	end_reporting(flags);
	if (dead)
		panic_on_fault();
}

/* Of an access. */
static void find_culprit(struct report *r)
{
	struct stack stack = stack_of(r);

	r->culprit = find_driver_frame(&stack, 0, is_of_module(r->m));
	if (r->culprit == stack.nr)
		r->culprit = 0;
}

/**
 * dod_report_access() - report a CPU access to memory that a device owns
 * @type: what it is
 * @access: the access
 * @m: a copy of the mapping
 * @range: what the device owns of it, around access->bad
 * @frames: the stack, from the access outwards
 * @nr: how many frames
 *
 * Context: between dod_quiet_begin() and dod_quiet_end(), with any locks of the kernel
 * held, none of ours. Prints, may panic if the user asked for it.
 */
void dod_report_access(enum dod_report_type type, const struct dod_access *access,
		       const struct dod_mapping *m, const struct dod_range *range,
		       unsigned long *frames, unsigned int nr)
{
	struct report r = {
		.type = type,
		.m = m,
		.range = range,
		.access = access,
		.frames = frames,
		.nr = nr,
	};

	find_culprit(&r);
	make_report(&r);
}

/**
 * dod_report_race() - report a CPU access that raced with a device's
 * @race: the access, with at least one frame
 * @m: a copy of the mapping
 * @range: what the device owned of it
 *
 * Context: process, no lock of ours held. As dod_report_access().
 */
void dod_report_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	struct report r = {
		.type = race->write ? DOD_R_CPU_WRITE : DOD_R_CPU_READ,
		.m = m,
		.range = range,
		.race = race,
	};

	find_culprit(&r);
	make_report(&r);
}

/**
 * dod_report_free() - report that memory is freed while a device owns it
 * @f: the free
 * @m: a copy of the mapping
 * @range: what the device owned of that memory
 *
 * Context: as dod_report_access().
 */
void dod_report_free(const struct dod_free *f, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner;
	struct report r = {
		.type = DOD_R_FREE_WHILE_MAPPED,
		.m = m,
		.range = range,
		.free = f,
		.frames = frames,
	};
	unsigned long flags = dod_quiet_begin();
	struct stack stack;

	if (f->found) {
		/* Nobody knows who freed it. */
		r.frames = m->map_frames;
		r.nr = m->map.nr_frames;
		r.culprit = r.nr;
	} else {
		r.nr = dod_report_stack(frames, f->ip, &inner);
		stack = stack_of(&r);
		r.culprit = find_freeing_frame(&stack, m);
	}
	make_report(&r);
	dod_quiet_end(flags);
}

/**
 * dod_report_leaks() - report mappings that are left
 * @leaks: the mappings, at least one
 *
 * Context: any but NMI, no lock of ours held. As dod_report_access().
 */
void dod_report_leaks(const struct dod_leaks *leaks)
{
	const struct dod_mapping *m = &leaks->places[0].m;
	struct report r = {
		.type = leaks->type,
		.m = m,
		.leaks = leaks,
		.frames = m->map_frames,
		.nr = m->map.nr_frames,
	};

	r.culprit = r.nr;
	make_report(&r);
}

/**
 * dod_report_mapping() - report what a check has found
 * @f: what it is
 * @m: the mapping
 *
 * Context: any but NMI, no lock of ours held. As dod_report_access().
 */
void dod_report_mapping(const struct dod_finding *f,
			const struct dod_mapping *m)
{
	struct report r = {
		.type = f->type,
		.m = m,
		.finding = f,
		.frames = m->map_frames,
		.nr = m->map.nr_frames,
	};
	unsigned long flags = dod_quiet_begin();
	unsigned int skip = skip_core(r.frames, r.nr);

	r.frames += skip;
	r.nr -= skip;
	r.culprit = r.nr;
	make_report(&r);
	dod_quiet_end(flags);
}

/**
 * dod_report_lost_write() - report a write of the CPU that the device will not get
 * @m: the mapping
 * @p: the write
 * @how: by what it was lost
 * @at: return address of that call
 *
 * Context: any but NMI, no lock of ours held. As dod_report_access().
 */
void dod_report_lost_write(const struct dod_mapping *m, const struct dod_pending *p,
			   enum dod_lost how, unsigned long at)
{
	struct report r = {
		.type = p->range.dir == DMA_TO_DEVICE ? DOD_R_CPU_WRITE :
							DOD_R_MISSING_SYNC_FOR_DEVICE,
		.m = m,
		.lost = p,
		.how = how,
		.lost_by = at,
		.frames = p->write.frames,
		.nr = p->write.who.nr_frames,
	};
	unsigned long flags = dod_quiet_begin();

	find_culprit(&r);
	make_report(&r);
	dod_quiet_end(flags);
}

/**
 * dod_report_note() - give advice about a device, once
 * @type: the advice
 * @device: the device
 * @fmt: what is the case, in half a sentence
 *
 * Context: any but NMI, no lock of ours held.
 *
 * Return: whether it was given now.
 */
bool dod_report_note(enum dod_report_type type, struct dod_device *device,
		     const char *fmt, ...)
{
	struct va_format text = { .fmt = fmt };
	unsigned long flags;
	va_list args;

	if (dod_in_panic())
		return false;
	if (test_and_set_bit(type, &device->noted))
		return false;
	atomic_long_inc(&type_counts[type]);
	if (dod_report_is_filtered(type, device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
		return false;
	}
	dod_count(DOD_C_NOTES_SHOWN);
	flags = dod_quiet_begin();
	va_start(args, fmt);
	text.va = &args;
	pr_notice(PREFIX "note: %s: %s %s: %pV; %s\n", types[type].name,
		  device->driver_name, device->name, &text, types[type].hint);
	va_end(args);
	dod_quiet_end(flags);
	return true;
}

/**
 * dod_report_annotate() - say inside a KASAN report who maps, or mapped, it
 * @m: a copy of the mapping
 * @phys: the byte the report is about
 *
 * Context: KASAN's, with its report lock held. Prints at once.
 */
void dod_report_annotate(const struct dod_mapping *m, u64 phys)
{
	u64 now = local_clock();
	unsigned long flags;
	struct text *t;

	if (dod_in_panic() || !begin_reporting(&flags))
		return;
	t = claim_text();
	if (!t) {
		dod_count(DOD_C_REPORTS_NO_BUFFER);
		goto out;
	}
	put(t, "DMA owner: device %s %s, %s, %llu bytes at dma 0x%llx\n",
	    m->device->driver_name, m->device->name, dod_report_dir(m->dir),
	    dod_size(m), m->dma_addr);
	if (phys < m->start)
		put(t, "DMA owner: the address is %llu bytes before the buffer\n",
		    m->start - phys);
	else if (phys > m->last)
		put(t, "DMA owner: the address is %llu bytes behind the buffer\n",
		    phys - m->last);
	else
		put(t, "DMA owner: the address is %llu bytes into the buffer\n",
		    phys - m->start);
	put_who(t, "DMA owner: mapped", &m->map, now, m->map_frames);
	if (m->ended) {
		u64 ago = dod_ago(now, m->ended);
		u32 us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

		put(t, "DMA owner: unmapped %llu.%06us ago by:\n", ago, us);
		put(t, " %pS\n", (void *)m->ended_by);
	}
	print_text(t);
	release_text(t);
out:
	end_reporting(flags);
}

/**
 * dod_report_annotate_missed() - say inside a KASAN report that it is about our mark
 *
 * Context: as dod_report_annotate().
 */
void dod_report_annotate_missed(void)
{
	pr_err("DMA owner: KASAN has found a mark of the tool's, no memory that is freed or out of bounds.\n");
	pr_err("DMA owner: The probe on kasan_report() was missed, and nobody has judged this. An access\n");
	pr_err("DMA owner: may be legal, as a read of DMA_TO_DEVICE memory is. A free is not.\n");
}
