// SPDX-License-Identifier: GPL-2.0
/*
 * What the user reads: filters, deduplication, the text of a report. Nothing
 * here decides what is a fault.
 *
 * report_lock orders reports and protects the filters and what was reported;
 * it is taken with interrupts off and nests in nothing of ours.
 */
#include "dma_owner_debug.h"
#include "compat.h"
#include "permissive.h"

#include <kunit/test.h>
#include <linux/glob.h>
#include <linux/jhash.h>
#include <linux/kallsyms.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/panic.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/clock.h>
#include <linux/utsname.h>

/* Reports have no prefix; what else is said here spells it out. */
#undef pr_fmt
#define pr_fmt(fmt) fmt
#define PREFIX "dma_owner_debug: "

#define REPORT_FRAMES	64
#define BURST_PERIOD	(5ULL * NSEC_PER_SEC)

/**
 * struct report_type - a row of the one table of report types
 *
 * @name:	in the title and in the parameters
 * @hint:	what to do; "%s" becomes the family of calls that made the
 *		mapping, "single" or "sg", or the function that ends it
 * @hint_receiving: what to do where the device only writes, if that is different
 * @hint_linked: what to do with memory of dma_iova_link(), if that is different
 * @ending:	"%s" is that function
 * @advice:	no fault: a line per device, never a report
 */
struct report_type {
	const char *name;
	const char *hint;
	const char *hint_receiving;
	const char *hint_linked;
	bool ending;
	bool advice;
};

#define HINT_LINKED \
	"memory of dma_iova_link() cannot be synced for the CPU: make this access before dma_iova_link(), or after dma_iova_unlink() or dma_iova_destroy()."

static const struct report_type types[] = {
	[DOD_R_CPU_READ] = {
		"cpu-read",
		"when the device is done, call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() before the device uses the buffer again, or access it after the unmap.",
		.hint_linked = HINT_LINKED,
	},
	[DOD_R_CPU_WRITE] = {
		"cpu-write",
		"call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() after it.",
		"the device writes here until it is done: wait for that, and call dma_sync_%s_for_cpu() before this access, or access it after the unmap.",
		.hint_linked = HINT_LINKED,
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
		"check the address and length that the device was told, its mask, and whether it was done; where buffers come back unused on purpose, as at ifdown, switch this off for the driver, off_drivers=device-wrote-nothing:<driver>.",
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

static DEFINE_RAW_SPINLOCK(report_lock);
/* The CPU that prints: what it traps meanwhile must not print, too. */
static int report_cpu = -1;

/* Does this CPU print a report already? Interrupts are off. */
static bool nested(void)
{
	return READ_ONCE(report_cpu) == raw_smp_processor_id();
}

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

static struct filter filters[DOD_BY_COUNT];	/* report_lock */
u32 dod_types_off;			/* report_lock, read without */

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
	unsigned long flags;
	unsigned int i;
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
	raw_spin_lock_irqsave(&report_lock, flags);
	filters[by] = new;
	if (by == DOD_BY_TYPE)
		WRITE_ONCE(dod_types_off, off);
	raw_spin_unlock_irqrestore(&report_lock, flags);
	return 0;
}

static bool filter_hits(enum dod_filter_by by, enum dod_report_type type,
			const char *name)
{
	const struct filter *f = &filters[by];
	unsigned int i;

	for (i = 0; i < f->nr; i++)
		if ((f->rules[i].type_mask & BIT(type)) &&
		    IS_ENABLED(CONFIG_GLOB) && glob_match(f->rules[i].glob, name))
			return true;
	return false;
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
 * Context: any but NMI, no lock of ours held.
 */
bool dod_report_is_filtered(enum dod_report_type type,
			    const struct dod_device *device)
{
	unsigned long flags;
	bool off;

	local_irq_save(flags);
	/* A console that maps memory to print our own report: say nothing. */
	off = nested();
	if (!off) {
		raw_spin_lock(&report_lock);
		off = filtered(type, device);
		raw_spin_unlock(&report_lock);
	}
	local_irq_restore(flags);
	return off;
}

/* === What was reported before ============================================= */

#define NR_SEEN 512

static u32 seen[NR_SEEN];		/* report_lock */
static unsigned int nr_seen;		/* report_lock */
static u64 burst_start;			/* report_lock */
static unsigned int burst_nr;		/* report_lock */
static unsigned int burst_lost;		/* report_lock */

/* The oldest are forgotten where there are too many: better twice than never. */
static bool seen_before(enum dod_report_type type, unsigned long frame,
			unsigned long map_frame)
{
	u32 key = jhash_3words(hash_long(frame, 32), hash_long(map_frame, 32),
			       type, 0);
	unsigned int i;

	for (i = 0; i < min(nr_seen, NR_SEEN); i++)
		if (seen[i] == key)
			return true;
	seen[nr_seen++ % NR_SEEN] = key;
	return false;
}

static bool over_burst(u64 now)
{
	unsigned int limit = READ_ONCE(dod_params.report_burst);

	if (!limit)
		return false;
	if (now - burst_start > BURST_PERIOD) {
		if (burst_lost)
			pr_warn(PREFIX "%u reports were not shown: more than report_burst=%u in 5 s\n",
				burst_lost, limit);
		burst_start = now;
		burst_nr = 0;
		burst_lost = 0;
	}
	if (burst_nr++ < limit)
		return false;
	burst_lost++;
	return true;
}

/**
 * dod_report_forget() - report everything anew
 *
 * Context: any but NMI.
 */
void dod_report_forget(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&report_lock, flags);
	nr_seen = 0;
	burst_nr = 0;
	burst_lost = 0;
	raw_spin_unlock_irqrestore(&report_lock, flags);
}

/* === Frames =============================================================== */

static bool has_prefix(const char *name, const char * const *prefixes,
		       unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
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
 * A bus' core that maps for its drivers, built in or as that module: named, it would
 * stand for all of them.
 */
static const struct {
	const char *prefix, *module;
} bus_core[] = {
	{ "virtqueue_", "virtio_ring" },
	{ "usb_hcd_map_urb_", "usbcore" },
	{ "usb_hcd_submit_urb", "usbcore" },
	{ "usb_submit_urb", "usbcore" },
	{ "usb_start_wait_urb", "usbcore" },
	{ "usb_control_msg", "usbcore" },
	{ "usb_internal_control_msg", "usbcore" },
	{ "usb_bulk_msg", "usbcore" },
	{ "scsi_dma_map", "scsi_mod" },
};

static const char * const helpers[] = {
	"memcpy", "__memcpy", "memmove", "__memmove", "memset", "__memset",
	"memcmp", "memchr", "str", "__asan_", "kasan_", "__kasan_",
	"_copy_", "__copy_", "copy_", "csum_", "crc", "hex_dump_",
	"print_hex_dump", "sg_copy_", "sg_pcopy_", "skb_copy_", "__skb_",
	"swab", "scatterwalk_", "bitmap_", "_find_", "chksum_", "xxh", "xxhash",
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

/**
 * dod_function_name() - the function or variable that an address is in, as %ps has it
 * @ip: the address
 * @buf: for the name
 * @size: its size
 *
 * Context: any.
 *
 * Return: @buf.
 */
const char *dod_function_name(unsigned long ip, char *buf, size_t size)
{
	unsigned long flags = dod_judge_begin();

	snprintf(buf, size, "%ps", (void *)ip);
	dod_judge_end(flags);
	return buf;
}

/* @name as "function.suffix [module]": what is appended does not count. */
static bool is_inline(const char *name)
{
	size_t len = strcspn(name, "+. ");
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(inlines); i++)
		if (strlen(inlines[i]) == len && !strncmp(name, inlines[i], len))
			return true;
	return false;
}

/* @name as "function" or "function [module]" */
static bool is_bus_core(const char *name)
{
	const char *module = strchr(name, '[');
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(bus_core); i++) {
		if (strncmp(name, bus_core[i].prefix, strlen(bus_core[i].prefix)))
			continue;
		len = strlen(bus_core[i].module);
		if (!module || (!strncmp(module + 1, bus_core[i].module, len) &&
				module[1 + len] == ']'))
			return true;
	}
	return false;
}

/* A driver may use names that begin so, too: of modules only inlines are skipped. */
static bool acts_for_caller(unsigned long ip, const char * const *prefixes,
			    unsigned int nr)
{
	char name[64];

	dod_function_name(ip, name, sizeof(name));
	if (prefixes == dma_core && is_bus_core(name))
		return true;
	if (strchr(name, '['))
		return is_inline(name);
	return has_prefix(name, prefixes, nr);
}

static unsigned int skip_frames(const unsigned long *frames, unsigned int nr,
				const char * const *prefixes,
				unsigned int nr_prefixes)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!acts_for_caller(frames[i], prefixes, nr_prefixes))
			return i;
	return 0;
}

/**
 * dod_report_map_frame() - where a driver mapped memory
 * @m: the mapping
 *
 * Context: any.
 *
 * Return: the innermost frame outside the DMA core, 0 if no stack is known.
 */
unsigned long dod_report_map_frame(const struct dod_mapping *m)
{
	unsigned long flags;
	unsigned int skip;

	if (!m->map.nr_frames)
		return 0;
	flags = dod_judge_begin();
	skip = skip_frames(m->map_frames, m->map.nr_frames, dma_core,
			   ARRAY_SIZE(dma_core));
	dod_judge_end(flags);
	return m->map_frames[skip];
}

/*
 * From the access outwards; what lies inside is KASAN's and ours, but for the
 * function that asked KASAN, where the access is not its own: @inner.
 */
static unsigned int access_stack(unsigned long *frames, unsigned long ip,
				 unsigned long *inner)
{
	unsigned int nr = stack_trace_save(frames, REPORT_FRAMES, 0), i;

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

static bool permitted(unsigned long ip, u8 dir)
{
	char name[64];

	return dod_permitted(dod_function_name(ip, name, sizeof(name)), dir,
			     READ_ONCE(dod_params.strict));
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

static void print_frames(const unsigned long *frames, unsigned int nr)
{
	unsigned int i;

	if (!nr)
		pr_err(" (stack is not available)\n");
	for (i = 0; i < nr; i++)
		pr_err(" %pS\n", (void *)frames[i]);
}

static void print_who(const char *what, const struct dod_who *who, u64 now,
		      const unsigned long *frames)
{
	unsigned int skip = skip_frames(frames, who->nr_frames, dma_core,
					ARRAY_SIZE(dma_core));
	u64 when = who->when, ago = now - when;
	u32 when_us = do_div(when, NSEC_PER_SEC) / NSEC_PER_USEC;
	u32 ago_us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

	pr_err("%s by task %s/%d on cpu %u at %llu.%06us (%llu.%06us ago):\n",
	       what, who->comm, who->pid, who->cpu, when, when_us, ago, ago_us);
	print_frames(frames + skip, who->nr_frames - skip);
}

static unsigned long virt(u64 phys)
{
	return (unsigned long)phys_to_virt(phys);
}

/* What the device is like: half of what goes wrong has to do with it. */
static void print_device(const struct dod_mapping *m)
{
	const struct dod_device *d = m->device;

	if (d->coherent && !m->line)
		pr_err("The device is cache-coherent, its mask is 0x%llx.\n",
		       d->mask);
	else if (d->coherent)
		pr_err("The device is cache-coherent, its mask is 0x%llx; judged as if it were not (noncoherent=%u).\n",
		       d->mask, m->line);
	else
		pr_err("The device is not cache-coherent, its mask is 0x%llx.\n",
		       d->mask);
}

static void print_mapping(const struct dod_mapping *m,
			  const struct dod_range *range)
{
	u64 start = max(range->start, m->start);
	u64 last = min(range->last, m->last);

	pr_err("Device %s %s owns these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	       m->device->driver_name, m->device->name, last - start + 1,
	       dod_report_dir(range->dir), virt(start), virt(last) + 1,
	       m->bus + (start - m->start));
	if (last - start + 1 != dod_size(m))
		pr_err("They are part of a mapping of %llu bytes, [%lx, %lx).\n",
		       dod_size(m), virt(m->start),
		       virt(m->start) + (unsigned long)dod_size(m));
}

static void print_place(const struct dod_mapping *m, u64 bad)
{
	if (bad < m->start)
		pr_err("The access is %llu bytes before the buffer, in its first cache line of %u bytes.\n",
		       m->start - bad, m->line);
	else if (bad > m->last)
		pr_err("The access is %llu bytes behind the buffer, in its last cache line of %u bytes.\n",
		       bad - m->last, m->line);
	else
		pr_err("The access is %llu bytes into the buffer.\n",
		       bad - m->start);
	print_device(m);
}

/* As mem_dump_obj() knows it; it ends the line, and only for slab memory in full. */
static void print_object(const void *addr)
{
	if (!addr || !virt_addr_valid(addr) ||
	    !folio_test_slab(virt_to_folio(addr)))
		return;
	pr_err("The object there:");
	mem_dump_obj((void *)addr);
}

/* An address outside of the linear map has no other one. */
static void print_new_mapping(const struct dod_mapping *m,
			      const struct dod_finding *f)
{
	unsigned long addr = f->addr ?: virt(m->start);
	u64 size = dod_size(m);

	if (m->bus == DMA_MAPPING_ERROR)
		pr_err("Device %s %s is given these %llu bytes, [%lx, %lx)\n",
		       m->device->driver_name, m->device->name, size, addr,
		       addr + (unsigned long)size);
	else
		pr_err("Device %s %s %s given these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
		       m->device->driver_name, m->device->name,
		       f->at ? "was" : "is", size, dod_report_dir(m->dir),
		       addr, addr + (unsigned long)size, m->bus);
}

/* Sentences, each with a newline. */
static void print_text(const char *line)
{
	const char *end;

	for (; (end = strchr(line, '\n')); line = end + 1)
		pr_err("%.*s\n", (int)(end - line), line);
}

static void print_history(const struct dod_mapping *m,
			  const struct dod_range *range, u64 now)
{
	u64 handed = m->start + m->handed;
	char what[64];

	pr_err("\n");
	print_who(m->kind == DOD_PAGES ? "Allocated with dma_alloc_pages()" :
					 "Mapped",
		  &m->map, now, m->map_frames);
	/* Another part's last sync has nothing to do with this access. */
	if (!m->handed_len || handed > range->last ||
	    handed + m->handed_len <= range->start)
		return;
	pr_err("\n");
	snprintf(what, sizeof(what),
		 "Last given to the device by dma_sync_%s_for_device()",
		 family(m));
	print_who(what, &m->sync, now, m->sync_frames);
}

static void print_bar(void)
{
	pr_err("==================================================================\n");
}

static void begin_report(void)
	__acquires(&report_lock)
{
	/* As KASAN: the access may have been made with any lock held. */
	lockdep_off();
	raw_spin_lock(&report_lock);
	WRITE_ONCE(report_cpu, raw_smp_processor_id());
}

static void end_report(void)
	__releases(&report_lock)
{
	WRITE_ONCE(report_cpu, -1);
	raw_spin_unlock(&report_lock);
	lockdep_on();
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
 * @write:	the CPU's write that was lost; NULL if it is not that
 * @synced_by:	return address of the sync before it
 * @lost_by:	return address of the call that discards it
 * @frames:	stack of the access, the map, the free
 * @nr:		its length
 * @guilty:	the frame that the title names
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
	const struct dod_write *write;
	unsigned long synced_by, lost_by;
	const unsigned long *frames;
	unsigned int nr, guilty;
};

/* The task of the last race; its test, if it runs one, is its own alone to fail. */
static int blamed = -1;

static void fail_kunit_test(void)
{
#if IS_ENABLED(CONFIG_KUNIT)
	struct kunit *test = current->kunit_test;

	if (test && READ_ONCE(dod_params.kunit_fail))
		kunit_set_failure(test);
#endif
}

/**
 * dod_report_blame() - fail the KUnit test of a task that a race was about
 *
 * Context: any but NMI, of a call of the DMA API.
 */
void dod_report_blame(void)
{
	if (likely(READ_ONCE(blamed) < 0) || !in_task() ||
	    READ_ONCE(blamed) != task_pid_nr(current))
		return;
	WRITE_ONCE(blamed, -1);
	fail_kunit_test();
}

/* What makes a fault another one of its type: where it is. */
static unsigned long frame_of(const struct report *r)
{
	const char *frame;

	if (!r->race)
		return r->frames[r->guilty];
	frame = r->race->frames[r->guilty];
	return jhash(frame, strlen(frame), 0);
}

/* Whether a report is to be printed; counts why not. report_lock held. */
static bool to_be_shown(const struct report *r, unsigned long map_frame, u64 now)
{
	if (filtered(r->type, r->m->device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
		return false;
	}
	/* A repeated fault still fails the test that runs now. */
	if (r->race)
		WRITE_ONCE(blamed, r->race->pid);
	else
		fail_kunit_test();
	if (READ_ONCE(dod_params.dedup) &&
	    seen_before(r->type, frame_of(r), map_frame)) {
		dod_count(DOD_C_REPORTS_DEDUPLICATED);
		return false;
	}
	if (over_burst(now)) {
		dod_count(DOD_C_REPORTS_RATELIMITED);
		return false;
	}
	dod_count(DOD_C_REPORTS_SHOWN);
	return true;
}

static const char *hint_of(enum dod_report_type type, u8 dir,
			   enum dod_kind kind)
{
	if (kind == DOD_IOVA && types[type].hint_linked)
		return types[type].hint_linked;
	if (dir == DMA_FROM_DEVICE && types[type].hint_receiving)
		return types[type].hint_receiving;
	return types[type].hint;
}

static void print_access(const struct report *r)
{
	pr_err("%s of size %zu at %lx by task %s/%d on cpu %d:\n",
	       r->access->write ? "Write" : "Read", r->access->size,
	       r->access->addr, current->comm, task_pid_nr(current),
	       raw_smp_processor_id());
	print_frames(r->frames, r->nr);
	pr_err("\n");
	print_mapping(r->m, r->range);
	print_place(r->m, r->access->bad);
	if (r->type == DOD_R_SHARED_LINE_WRITE)
		print_object((void *)r->access->addr);
}

static void print_race(const struct report *r)
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
		pr_err("%s of size %zu at %lx by an interrupt on cpu %d:\n",
		       race->write ? "Write" : "Read", race->size, race->addr,
		       race->cpu);
	else
		pr_err("%s of size %zu at %lx by task %s/%d on cpu %d:\n",
		       race->write ? "Write" : "Read", race->size, race->addr,
		       comm, race->pid, race->cpu);
	for (i = 0; i < race->nr_frames; i++)
		pr_err(" %s\n", race->frames[i]);
	pr_err("\n");
	print_mapping(r->m, r->range);
	print_place(r->m, max(phys, r->range->start));
}

static void print_free(const struct report *r)
{
	pr_err("Free of %llu bytes at %lx by task %s/%d on cpu %d:\n",
	       r->free->size, r->free->addr, current->comm,
	       task_pid_nr(current), raw_smp_processor_id());
	print_frames(r->frames, r->nr);
	pr_err("\n");
	print_mapping(r->m, r->range);
	print_device(r->m);
}

#define PLACES_SHOWN	8

static void print_leaks(const struct dod_leaks *l, u64 now)
{
	unsigned int i, nr = l->all.nr;
	u64 bytes = l->all.bytes;

	print_text(l->text);
	print_device(&l->places[0].m);
	for (i = 0; i < min(l->nr, PLACES_SHOWN); i++) {
		const struct dod_leak *leak = &l->places[i];
		const struct dod_mapping *m = &leak->m;

		nr -= leak->nr;
		bytes -= leak->bytes;
		pr_err("\n");
		pr_err("%u mapping%s of %llu bytes%s, %s, [%lx, %lx), dma 0x%llx\n",
		       leak->nr, leak->nr == 1 ? "" : "s", leak->bytes,
		       leak->nr == 1 ? "" : " in all, one of them",
		       dod_report_dir(m->dir), virt(m->start),
		       virt(m->start) + (unsigned long)dod_size(m), m->bus);
		print_who("Mapped", &m->map, now, m->map_frames);
	}
	if (nr)
		pr_err("\nAnd %u of %llu bytes, mapped elsewhere.\n", nr, bytes);
}

static void print_map(const struct report *r)
{
	const struct dod_finding *f = r->finding;
	const struct dod_mapping *m = r->m, *other = f->other;

	pr_err("Map of size %llu at %lx by task %s/%d on cpu %d:\n",
	       dod_size(m), f->addr ?: virt(m->start), m->map.comm,
	       m->map.pid, m->map.cpu);
	print_frames(r->frames, r->nr);
	pr_err("\n");
	print_new_mapping(m, f);
	print_text(f->text);
	if (f->at)
		pr_err("It was found when the CPU got them back, at %pS\n",
		       (void *)f->at);
	print_device(m);
	print_object(f->object);
	if (!other)
		return;
	pr_err("\n");
	pr_err("The other mapping: device %s %s, %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	       other->device->driver_name, other->device->name,
	       dod_size(other), dod_report_dir(other->dir), virt(other->start),
	       virt(other->start) + (unsigned long)dod_size(other), other->bus);
}

static void print_write(const struct report *r)
{
	const struct dod_write *w = r->write;
	const struct dod_mapping *m = r->m;

	pr_err("Write of size %zu at %lx by task %s/%d on cpu %d:\n", w->size,
	       w->addr, w->who.comm, w->who.pid, w->who.cpu);
	print_frames(r->frames, r->nr);
	pr_err("\n");
	pr_err("Device %s %s was given these %llu bytes, %s, [%lx, %lx), dma 0x%llx\n",
	       m->device->driver_name, m->device->name, dod_size(m),
	       dod_report_dir(m->dir), virt(m->start),
	       virt(m->start) + (unsigned long)dod_size(m), m->bus);
	if (w->addr >= virt(m->start))
		pr_err("The write is %lu bytes into the buffer.\n",
		       w->addr - virt(m->start));
	pr_err("The CPU got it for reading, at %pS\n", (void *)r->synced_by);
	pr_err("and it was not given back when its content was discarded, at %pS\n",
	       (void *)r->lost_by);
	print_device(m);
}

static void print_lost(const struct report *r, u64 now)
{
	pr_err("\n");
	print_who("Mapped", &r->m->map, now, r->m->map_frames);
}

/* Interrupts are off and report_lock is held. */
static void print_report(const struct report *r, u64 now)
{
	const struct dod_mapping *m = r->m;
	u8 dir = r->range ? r->range->dir : m->dir;
	char hint[320];
	const char *name;

	print_bar();
	if (r->race)
		pr_err("BUG: DMA_OWNER: %s in %s\n", types[r->type].name,
		       r->race->frames[r->guilty]);
	else
		pr_err("BUG: DMA_OWNER: %s in %pS\n", types[r->type].name,
		       (void *)r->frames[r->guilty]);
	pr_err("\n");
	if (r->access)
		print_access(r);
	else if (r->race)
		print_race(r);
	else if (r->free)
		print_free(r);
	else if (r->leaks)
		print_leaks(r->leaks, now);
	else if (r->write)
		print_write(r);
	else
		print_map(r);
	if (r->range)
		print_history(m, r->range, now);
	if (r->write)
		print_lost(r, now);
	else if (!r->range && r->finding && r->finding->other)
		print_who("Mapped", &r->finding->other->map, now,
			  r->finding->other->map_frames);
	pr_err("\n");
	name = types[r->type].ending ? ending(m) : family(m);
	snprintf(hint, sizeof(hint), hint_of(r->type, dir, m->kind), name, name);
	pr_err("Hint: %s\n", hint);
	pr_err("\n");
	pr_err("CPU: %d PID: %d Comm: %s %s %s\n",
	       raw_smp_processor_id(), task_pid_nr(current), current->comm,
	       init_utsname()->release, init_utsname()->version);
	print_bar();
	add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
}

/* @other_frame: what makes it another report, besides the frame of its title. */
static void make_report(const struct report *r, unsigned long other_frame)
{
	unsigned long flags = dod_judge_begin();
	u64 now = local_clock();
	bool shown = false;

	if (nested()) {
		dod_count(DOD_C_REPORTS_NESTED);
		dod_judge_end(flags);
		return;
	}
	begin_report();
	atomic_long_inc(&type_counts[r->type]);
	if (to_be_shown(r, other_frame, now)) {
		print_report(r, now);
		shown = true;
	}
	end_report();
	dod_judge_end(flags);
	/* Whoever reboots wants no panic. */
	if (shown && READ_ONCE(dod_params.panic) &&
	    r->type != DOD_R_OWNED_AT_SHUTDOWN)
		panic("dma_owner_debug.fault=panic set ...\n");
}

static void report_access(enum dod_report_type type,
			  const struct dod_access *access,
			  const struct dod_mapping *m,
			  const struct dod_range *range)
{
	unsigned long frames[REPORT_FRAMES], inner;
	struct report r = {
		.type = type,
		.m = m,
		.range = range,
		.access = access,
		.frames = frames,
	};
	unsigned long flags = dod_judge_begin();

	r.nr = access_stack(frames, access->ip, &inner);
	r.guilty = skip_frames(frames, r.nr, helpers, ARRAY_SIZE(helpers));
	if (permitted(frames[0], range->dir) || permitted(inner, range->dir) ||
	    (!READ_ONCE(dod_params.strict) &&
	     dod_map_permitted(type, m->map_frames, m->map.nr_frames)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		make_report(&r, dod_report_map_frame(m));
	dod_judge_end(flags);
}

/**
 * dod_report_access() - report a CPU access to memory that a device owns
 * @access: the access
 * @m: a copy of the mapping
 * @range: what the device owns of it, around access->bad
 *
 * Context: any, with any locks of the kernel held, none of ours. Prints, may
 * panic if the user asked for it.
 */
void dod_report_access(const struct dod_access *access,
		       const struct dod_mapping *m,
		       const struct dod_range *range)
{
	report_access(access->write ? DOD_R_CPU_WRITE : DOD_R_CPU_READ, access,
		      m, range);
}

static unsigned int race_guilty(const struct dod_race *race)
{
	unsigned int i;

	for (i = 0; i < race->nr_frames; i++) {
		const char *name = race->frames[i];

		if (strchr(name, '[') ? !is_inline(name) :
		    !has_prefix(name, helpers, ARRAY_SIZE(helpers)))
			return i;
	}
	return 0;
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
		.guilty = race_guilty(race),
	};

	/* Found by a thread, without KASAN: nothing traps. */
	if (dod_permitted(race->frames[0], range->dir,
			  READ_ONCE(dod_params.strict))) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return;
	}
	make_report(&r, dod_report_map_frame(m));
}

/**
 * dod_report_is_watchable() - would every access to a mapping be reported?
 * @m: a copy of the mapping
 * @dir: how the device owns it
 *
 * Who reports before it asks cannot go by who accesses: not where somebody may
 * whose accesses permissive.h lets pass.
 *
 * Context: one thread.
 */
bool dod_report_is_watchable(const struct dod_mapping *m, u8 dir)
{
	static struct {
		u32 key;
		bool known, watchable;
	} cache[64];
	bool strict = READ_ONCE(dod_params.strict);
	u32 key = jhash(m->map_frames,
			m->map.nr_frames * sizeof(m->map_frames[0]),
			dir << 1 | strict);
	typeof(cache[0]) *c = &cache[key % ARRAY_SIZE(cache)];

	if (c->known && c->key == key)
		return c->watchable;
	c->known = true;
	c->key = key;
	c->watchable = strict ||
		(!dod_mapped_by_idiom(m->map_frames, m->map.nr_frames, dir) &&
		 !dod_map_permitted(DOD_R_CPU_READ, m->map_frames,
				    m->map.nr_frames) &&
		 !dod_map_permitted(DOD_R_CPU_WRITE, m->map_frames,
				    m->map.nr_frames));
	return c->watchable;
}

/**
 * dod_report_shared_line() - report a write beside what a device writes to
 * @access: the write
 * @m: a copy of the mapping whose first or last cache line it is in
 * @range: what the device owns of that line
 *
 * Context: as dod_report_access().
 */
void dod_report_shared_line(const struct dod_access *access,
			    const struct dod_mapping *m,
			    const struct dod_range *range)
{
	report_access(DOD_R_SHARED_LINE_WRITE, access, m, range);
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
	unsigned long frames[REPORT_FRAMES], inner;
	struct report r = {
		.type = DOD_R_FREE_WHILE_MAPPED,
		.m = m,
		.range = range,
		.free = f,
		.frames = frames,
	};
	unsigned long flags = dod_judge_begin();

	r.nr = access_stack(frames, f->ip, &inner);
	r.guilty = skip_frames(frames, r.nr, freeing, ARRAY_SIZE(freeing));
	make_report(&r, dod_report_map_frame(m));
	dod_judge_end(flags);
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
	unsigned long flags = dod_judge_begin();

	r.guilty = skip_frames(r.frames, r.nr, dma_core, ARRAY_SIZE(dma_core));
	make_report(&r, 0);
	dod_judge_end(flags);
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
	unsigned long flags = dod_judge_begin();
	unsigned int skip = skip_frames(r.frames, r.nr, dma_core,
					ARRAY_SIZE(dma_core));

	r.frames += skip;
	r.nr -= skip;
	make_report(&r, f->other ? dod_report_map_frame(f->other) : 0);
	dod_judge_end(flags);
}

/**
 * dod_report_note_write() - remember a write
 * @access: the write
 * @write: filled in
 *
 * Context: the write's, any but NMI.
 *
 * Return: false for what permissive.h lets pass.
 */
bool dod_report_note_write(const struct dod_access *access,
			   struct dod_write *write)
{
	unsigned long frames[REPORT_FRAMES], inner;
	unsigned long flags = dod_judge_begin();
	unsigned int nr = access_stack(frames, access->ip, &inner);
	struct dod_who *who = &write->who;
	bool legal = permitted(frames[0], DMA_FROM_DEVICE) ||
		     permitted(inner, DMA_FROM_DEVICE);

	dod_judge_end(flags);
	if (legal)
		return false;
	write->addr = access->addr;
	write->size = access->size;
	dod_owner_note_who(who);
	who->nr_frames = min(nr, DOD_MAP_FRAMES);
	memcpy(write->frames, frames, who->nr_frames * sizeof(frames[0]));
	return true;
}

/**
 * dod_report_lost_write() - report a write of the CPU that was not given back
 * @m: the mapping
 * @write: the write
 * @synced_by: return address of the sync before it
 * @at: return address of the call that discards it
 *
 * Context: any but NMI, no lock of ours held. As dod_report_access().
 */
void dod_report_lost_write(const struct dod_mapping *m,
			   const struct dod_write *write,
			   unsigned long synced_by, unsigned long at)
{
	struct report r = {
		.type = DOD_R_MISSING_SYNC_FOR_DEVICE,
		.m = m,
		.write = write,
		.synced_by = synced_by,
		.lost_by = at,
		.frames = write->frames,
		.nr = write->who.nr_frames,
	};
	unsigned long flags = dod_judge_begin();

	r.guilty = skip_frames(r.frames, r.nr, helpers, ARRAY_SIZE(helpers));
	make_report(&r, dod_report_map_frame(m));
	dod_judge_end(flags);
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

	if (test_and_set_bit(type, &device->noted))
		return false;
	atomic_long_inc(&type_counts[type]);
	if (dod_report_is_filtered(type, device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
		return false;
	}
	dod_count(DOD_C_NOTES_SHOWN);
	flags = dod_judge_begin();
	va_start(args, fmt);
	text.va = &args;
	pr_notice(PREFIX "note: %s: %s %s: %pV; %s\n", types[type].name,
		  device->driver_name, device->name, &text, types[type].hint);
	va_end(args);
	dod_judge_end(flags);
	return true;
}

/**
 * dod_report_annotate() - say inside a KASAN report who maps, or mapped, it
 * @m: a copy of the mapping
 * @phys: the byte the report is about
 *
 * Context: KASAN's, with its report lock held.
 */
void dod_report_annotate(const struct dod_mapping *m, u64 phys)
{
	u64 now = local_clock();

	pr_err("DMA owner: device %s %s, %s, %llu bytes at dma 0x%llx\n",
	       m->device->driver_name, m->device->name, dod_report_dir(m->dir),
	       dod_size(m), m->bus);
	if (phys < m->start)
		pr_err("DMA owner: the address is %llu bytes before the buffer\n",
		       m->start - phys);
	else if (phys > m->last)
		pr_err("DMA owner: the address is %llu bytes behind the buffer\n",
		       phys - m->last);
	else
		pr_err("DMA owner: the address is %llu bytes into the buffer\n",
		       phys - m->start);
	print_who("DMA owner: mapped", &m->map, now, m->map_frames);
	if (m->ended) {
		u64 ago = now - m->ended;
		u32 us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

		pr_err("DMA owner: unmapped %llu.%06us ago by:\n", ago,
		       us);
		pr_err(" %pS\n", (void *)m->ended_by);
	}
}
