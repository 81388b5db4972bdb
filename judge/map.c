// SPDX-License-Identifier: GPL-2.0
/*
 * The map-time checks: a table, one function per row, each of which looks at a
 * mapping that is being made and says what is wrong with it. Nothing is
 * remembered here but what was declared or read at load.
 *
 * Run in the hooks, with none of the owner's locks held. wires_lock protects what
 * the user declared, and nests in the owner's devices_lock.
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
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/dma-direct.h>
#include <linux/glob.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/kallsyms.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/skbuff.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

__printf(2, 3)
static void finding_add(struct dod_finding *f, const char *fmt, ...)
{
	unsigned long flags = dod_quiet_begin();
	size_t len = strlen(f->text);
	va_list args;

	va_start(args, fmt);
	vscnprintf(f->text + len, sizeof(f->text) - len, fmt, args);
	va_end(args);
	dod_quiet_end(flags);
}

/* === Addresses that are no memory ========================================= */

/*
 * A virtual address outside of the linear map that was put through virt_to_page()
 * is an address all the same: these functions find it again.
 */
static const void *as_linear(u64 phys)
{
	return phys_to_virt(phys);
}

/* Whose stack is that? In the error path only: there may be many tasks. */
static bool find_stack(const void *addr, char *comm, pid_t *pid)
{
	struct task_struct *process, *task;
	bool found = false;

	rcu_read_lock();
	for_each_process_thread(process, task) {
		const void *stack = READ_ONCE(task->stack);

		if (!stack || addr < stack || addr >= stack + THREAD_SIZE)
			continue;
		memcpy(comm, task->comm, TASK_COMM_LEN);
		comm[TASK_COMM_LEN - 1] = '\0';
		*pid = task_pid_nr(task);
		found = true;
		goto out;
	}
out:
	rcu_read_unlock();
	return found;
}

static void say_whose_stack(struct dod_finding *f, const char *comm, pid_t pid)
{
	finding_add(f, "The buffer is on the stack of task %s/%d.\n", comm, pid);
}

static void say_wrong_page(struct dod_finding *f)
{
	finding_add(f, "virt_to_page() is wrong there: the device gets an address that has nothing to do with it.\n");
}

/* Variables have names only with CONFIG_KALLSYMS_ALL. */
static void say_which_module_memory(struct dod_finding *f, const void *addr)
{
	char name[64];

	dod_function_name((unsigned long)addr, name, sizeof(name));
	finding_add(f, "The buffer is in the image of a module: %s.\n",
		    strstarts(name, "0x") ? "a static variable or constant" : name);
	say_wrong_page(f);
}

/* vmalloc() memory that was never in the linear map, and so maps to nothing. */
static const void *in_vmalloc(const struct dod_mapping *m)
{
	const void *addr = as_linear(m->start);

	/* It has a page: a peer's memory, which can lie as high as that. */
	if (pfn_valid(PHYS_PFN(m->start)))
		return NULL;
	return is_vmalloc_addr(addr) && vmalloc_to_page(addr) ? addr : NULL;
}

static bool vmalloc_stack(const struct dod_call *call,
			  const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = in_vmalloc(m);
	char comm[TASK_COMM_LEN];
	pid_t pid;

	if (!addr || !find_stack(addr, comm, &pid))
		return false;
	say_whose_stack(f, comm, pid);
	finding_add(f, "It is not in the linear map: the device gets an address that has nothing to do with it.\n");
	return true;
}

static bool vmalloc_buffer(const struct dod_call *call,
			   const struct dod_mapping *m, struct dod_finding *f)
{
	if (!in_vmalloc(m))
		return false;
	finding_add(f, "The address is in vmalloc space: vmalloc(), vmap(), ioremap() or percpu memory.\n");
	say_wrong_page(f);
	return true;
}

/* With KASLR, arm64 has modules in vmalloc space, too. In the error path only. */
static bool is_module(const void *addr)
{
	char name[64];

	if (dod_is_module_addr(addr))
		return true;
	if (!is_vmalloc_addr(addr))
		return false;
	dod_function_name((unsigned long)addr, name, sizeof(name));
	return strchr(name, '[');
}

static bool module_image(const struct dod_call *call,
			 const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = dod_wrong_addr(m->start);

	if (pfn_valid(PHYS_PFN(m->start)) || !is_module(addr) ||
	    !vmalloc_to_page(addr))
		return false;
	f->addr = (unsigned long)addr;
	say_which_module_memory(f, addr);
	return true;
}

/* Where the kernel's image is; constant after load. */
static struct image {
	u64 start, last;
	const char *what;
	bool data;
} image[4];
static unsigned int nr_image;

static void add_image(const struct resource *res)
{
	/* Only x86 has resources of their own for constants and bss. */
	static const struct {
		const char *name, *what;
		bool data;
	} kinds[] = {
		{ "Kernel code", IS_ENABLED(CONFIG_X86) ? "text" :
							  "text or constants" },
		{ "Kernel rodata", "read-only data" },
		{ "Kernel data", "data", true },
		{ "Kernel bss", "bss", true },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds) && nr_image < ARRAY_SIZE(image); i++)
		if (res->name && !strcmp(res->name, kinds[i].name)) {
			image[nr_image].start = res->start;
			image[nr_image].last = res->end;
			image[nr_image].what = kinds[i].what;
			image[nr_image++].data = kinds[i].data;
		}
}

/* Called with resource_lock held: none of them goes away. */
static void find_images(void *found)
{
	const struct resource *ram, *tree;

	if (*(bool *)found)
		return;
	*(bool *)found = true;
	for (ram = iomem_resource.child; ram; ram = ram->sibling)
		for (tree = ram->child; tree; tree = tree->sibling)
			add_image(tree);
}

DOD_DEFINE_ALIGNF(look_at_gap, find_images);

/*
 * Resources come and go with memory and devices, and are freed then. Their lock is
 * static, and what walks them for others does not tell their names. But who asks for
 * room among them is called with the lock held, for each gap, and need not like any: no
 * two bytes begin with the last one.
 */
static void learn_images(void)
{
	struct resource none = { .name = "dma_owner_debug", .flags = IORESOURCE_MEM };
	bool found = false;

	nr_image = 0;
	if (!allocate_resource(&iomem_resource, &none, 2, 0, -1, 1, look_at_gap, &found))
		release_resource(&none);
	WARN_ON_ONCE(!found);
}

static void say_which_image(struct dod_finding *f, const struct image *in,
			    const void *addr)
{
	finding_add(f, "The buffer is in the image of the kernel, in its %s: %ps.\n",
		    in->what, addr);
}

/* On arm64 it is in vmalloc space. Where it is not, virt_to_page() is right. */
static bool image_in_vmalloc(const struct dod_call *call,
			     const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = in_vmalloc(m);
	unsigned int i;

	for (i = 0; addr && i < nr_image; i++) {
		if (addr < dod_image_addr(image[i].start) ||
		    addr > dod_image_addr(image[i].last))
			continue;
		say_which_image(f, &image[i], addr);
		say_wrong_page(f);
		return true;
	}
	return false;
}

/* === Memory that must not be mapped ======================================= */

/* In the linear map the tasks prove it, and say whose it is. */
static bool page_of_stack(const struct dod_call *call,
			  const struct dod_mapping *m, struct dod_finding *f)
{
	pid_t pid = task_pid_nr(current);
	char comm[TASK_COMM_LEN];

	if (likely(!m->near_stack) ||
	    !dod_memory_on_stack(pfn_to_page(PHYS_PFN(m->start))))
		return false;
	strscpy(comm, current->comm, sizeof(comm));
	if (!IS_ENABLED(CONFIG_VMAP_STACK) &&
	    !find_stack(as_linear(m->start), comm, &pid))
		return false;
	say_whose_stack(f, comm, pid);
	return true;
}

/*
 * Documentation/core-api/dma-api-howto.rst, "What memory is DMA'able?": "you may
 * use neither kernel image addresses (items in data/text/bss segments), nor module
 * image addresses, nor stack addresses for DMA." What goes to the device from a
 * static variable of built-in code works on every machine all the same, and is
 * not reported; what comes from the device overwrites its neighbours' lines.
 *
 * arm64 has its data not in the linear map since 7.x (arch/arm64/mm/mmu.c: "Map the
 * kernel data/bss as invalid in the linear map"): no memory to look at, and still it.
 */
static bool kernel_image(const struct dod_call *call,
			 const struct dod_mapping *m, struct dod_finding *f)
{
	unsigned int i;

	if (!pfn_valid(PHYS_PFN(m->start)) ||
	    !PageReserved(pfn_to_page(PHYS_PFN(m->start))))
		return false;
	/* Made to be mapped: lists are padded with it. Read-only data in newer kernels. */
	if (pfn_to_page(PHYS_PFN(m->start)) == ZERO_PAGE(0) &&
	    m->dir == DMA_TO_DEVICE)
		return false;
	for (i = 0; i < nr_image; i++) {
		if (m->start < image[i].start || m->start > image[i].last)
			continue;
		if (image[i].data && m->dir == DMA_TO_DEVICE)
			return false;
		say_which_image(f, &image[i], dod_image_addr(m->start));
		return true;
	}
	return false;
}

/*
 * After how many bytes does a mapping leave RAM? 0 if it does not. Its length can be any,
 * also a negative one. In the error path only: it takes a step for each 2 MiB of RAM.
 */
static u64 leaves_ram_after(const struct dod_mapping *m)
{
	u64 size = dod_size(m), room = U64_MAX - m->start;
	unsigned long pfn = PHYS_PFN(m->last);

	if (size - 1 <= room && pfn_valid(PHYS_PFN(m->start + size - 1)))
		return 0;
	while (pfn_valid(round_up(pfn + 1, SZ_2M / PAGE_SIZE)))
		pfn = round_up(pfn + 1, SZ_2M / PAGE_SIZE);
	while (pfn_valid(pfn))
		pfn++;
	return PFN_PHYS(pfn) - m->start;
}

/*
 * Looked at once, for the rows and for what may be guarded: whatever a report looks
 * like or whether there is one, what lies past the first bad byte is somebody else's.
 */
static void look(const struct dod_mapping *m, struct dod_finding *f)
{
	bool is_free = PageBuddy(pfn_to_page(PHYS_PFN(m->start)));

	f->freed = false;
	f->what = dod_mem_ops.first_bad_byte ?
		  dod_mem_ops.first_bad_byte(m->start, m->last, &f->bad, &f->freed) : NULL;
	if (unlikely(!f->what && dod_is_kfence(m->start, m->last)))
		f->what = dod_kfence_hole(m->start, m->last, &f->bad, &f->freed);
	/* hooks.c looks no further than that. */
	if (!f->what && (is_free || m->last - m->start < dod_size(m) - 1)) {
		f->bad = is_free ? m->start : m->last + 1;
		f->freed = is_free ||
			   (pfn_valid(PHYS_PFN(f->bad)) &&
			    PageBuddy(pfn_to_page(PHYS_PFN(f->bad))));
		f->what = f->freed ? "a freed page" : "no RAM";
	}
	if (unlikely(f->what))
		f->ram = leaves_ram_after(m);
}

static bool bad_memory(const struct dod_mapping *m, struct dod_finding *f,
		       bool want_freed)
{
	bool freed = f->freed;

	/* No memory has such a length: it is that which is wrong. */
	if (f->what && f->ram && f->bad != m->start)
		freed = false;
	if (likely(!f->what) || freed != want_freed)
		return false;
	finding_add(f, "Byte %llu of its %llu is in %s.\n", f->bad - m->start,
		    dod_size(m), f->what);
	/* The size of a slab object, which comes next, is the rounded one. */
	if (!freed && f->bad != m->start)
		finding_add(f, "Only its first %llu bytes are allocated.\n",
			    f->bad - m->start);
	if (f->ram)
		finding_add(f, "It leaves RAM after %llu bytes.\n", f->ram);
	f->object = as_linear(freed ? f->bad : m->start);
	return true;
}

static bool use_after_free(const struct dod_call *call,
			   const struct dod_mapping *m, struct dod_finding *f)
{
	return bad_memory(m, f, true);
}

static bool out_of_bounds(const struct dod_call *call,
			  const struct dod_mapping *m, struct dod_finding *f)
{
	return bad_memory(m, f, false);
}

enum contiguity { CONTIGUOUS, DIFFERENT, UNKNOWN };

/* The mark of the allocation that a single page is of: its first page has it. */
static const void *mark_of(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	const void *mark = dod_pagemark(pfn);
	unsigned int i;

	for (i = 1; !mark && i < MAX_ORDER_NR_PAGES && !page_ref_count(page); i++) {
		if (!pfn_valid(pfn - i))
			break;
		page = pfn_to_page(pfn - i);
		if (PageBuddy(page) || folio_test_slab(page_folio(page)) ||
		    folio_test_large(page_folio(page)))
			break;
		mark = dod_pagemark(pfn - i);
	}
	return mark;
}

/*
 * Do two pages that follow each other belong to one allocation? Pages of their
 * own say nothing: split_page() and alloc_pages_exact() make such of one, and so
 * does the block layer where pages of the page cache happen to follow each other.
 * But pages that different calls have allocated are two allocations.
 */
static enum contiguity follow(struct folio *a, struct folio *b, struct page *page,
			      struct page *next)
{
	if (a == b)
		return CONTIGUOUS;
	if (folio_test_slab(a) || folio_test_slab(b))
		return DIFFERENT;
	if (a->mapping || b->mapping)
		return UNKNOWN;
	if (folio_test_large(a) || folio_test_large(b))
		return DIFFERENT;
	/* The tail of an allocation without __GFP_COMP. */
	if (!page_ref_count(next))
		return CONTIGUOUS;
	if (dod_pagemarks_known()) {
		const void *mark = dod_pagemark(page_to_pfn(next));

		if (mark) {
			const void *before = mark_of(page_to_pfn(page));

			if (before && before != mark)
				return DIFFERENT;
		}
	}
	return UNKNOWN;
}

/*
 * Where does another allocation begin? Lists are made of what follows each other,
 * whoever allocated it. Past the first bad byte nothing is looked at.
 */
static void look_for_next(const struct dod_mapping *m, struct dod_finding *f)
{
	unsigned long pfn, last = PHYS_PFN(f->what ? f->bad : m->last);
	enum contiguity all = CONTIGUOUS;
	struct folio *folio;

	f->next = 0;
	if (m->kind != DOD_SINGLE || PHYS_PFN(m->start) == last)
		return;
	folio = page_folio(pfn_to_page(PHYS_PFN(m->start)));
	for (pfn = PHYS_PFN(m->start); pfn < last && all != DIFFERENT; pfn++) {
		struct folio *before = folio;
		enum contiguity one;

		if (folio_test_large(folio))
			pfn = min(dod_folio_last(pfn), last - 1);
		if (!dod_memory_goes_on(pfn + 1))
			break;
		folio = page_folio(pfn_to_page(pfn + 1));
		one = follow(before, folio, pfn_to_page(pfn), pfn_to_page(pfn + 1));
		if (one != CONTIGUOUS)
			all = one;
	}
	if (all == DIFFERENT &&
	    dod_map_permitted(DOD_R_NOT_CONTIGUOUS, m))
		all = UNKNOWN;
	if (all == DIFFERENT)
		f->next = PFN_PHYS(pfn);
	else if (all == UNKNOWN)
		dod_count(DOD_C_UNJUDGED_CONTIGUITY);
}

static bool not_contiguous(const struct dod_call *call,
			   const struct dod_mapping *m, struct dod_finding *f)
{
	if (likely(!f->next))
		return false;
	finding_add(f, "From byte %llu of its %llu on it is another allocation.\n",
		    f->next - m->start, dod_size(m));
	f->object = as_linear(f->next);
	return true;
}

/* === A driver's own data ================================================== */

/* Of an object that may be gone, or may never have been one: whatever is there, or NULL. */
static const void *peek(const void *at)
{
	unsigned long value;

	pagefault_disable();
	__get_kernel_nofault(&value, at, unsigned long, fault);
	pagefault_enable();
	return (const void *)value;
fault:
	pagefault_enable();
	return NULL;
}

static bool contains(const struct dod_mapping *m, const void *addr)
{
	unsigned long start = (unsigned long)phys_to_virt(m->start);

	return (unsigned long)kasan_reset_tag(addr) - start <= m->last - m->start;
}

/* A mapping that begins with the data and ends in the middle of them is of a member. */
static bool is_member(const struct dod_mapping *m, const void *data)
{
	u64 end = m->last + 1, object_end;
	struct folio *folio;

	if ((unsigned long)kasan_reset_tag(data) != (unsigned long)phys_to_virt(m->start))
		return false;
	folio = page_folio(pfn_to_page(PHYS_PFN(m->start)));
	object_end = PFN_PHYS(folio_pfn(folio)) + folio_size(folio);
	return folio_test_slab(folio) && end < object_end &&
	       dod_mem_ops.accessible_bytes(end, object_end - 1, true) >= SMP_CACHE_BYTES;
}

/*
 * Nobody says what a driver's data are. Those of a network driver are most often a struct
 * net_device, known by its device, or until that is set by its namespace.
 */
static bool is_net_device(const struct net_device *net, const struct device *dev)
{
#if IS_ENABLED(CONFIG_NET)
	if (peek(&net->dev.parent) == dev)
		return true;
#ifdef CONFIG_NET_NS
	return peek(&net->nd_net.net) == &init_net;
#endif
#endif
	return false;
}

static __always_inline bool is_data_of(const struct dod_mapping *m, const struct device *dev)
{
	const void *data = dev ? peek(&dev->driver_data) : NULL;

	if (!data)
		return false;
	if (contains(m, data))
		return !is_member(m, data);
	return contains(m, netdev_priv(data)) && is_net_device(data, dev);
}

/**
 * dod_checks_own_data() - are a driver's own data in what it sends? (rule 11)
 * @m: the mapping, or a copy of it
 *
 * vmxnet3 maps all of its struct vmxnet3_adapter DMA_TO_DEVICE, with locks and work in
 * it, for as long as it is bound, and the device never reads it.
 *
 * Drivers may say what their data are after they have mapped them: ask again before
 * something is reported. The device may be gone by then.
 *
 * Context: any.
 *
 * Return: true if the mapping is to be excused, and not to be guarded.
 */
bool dod_checks_own_data(const struct dod_mapping *m)
{
	if (likely(m->dir != DMA_TO_DEVICE) || READ_ONCE(dod_params.strict))
		return false;
	return is_data_of(m, m->dev) || is_data_of(m, peek(&m->dev->parent));
}

/* === Addresses ============================================================ */

#define NR_WIRES	16
#define GLOB_CHARS	64

struct wires {
	unsigned int bits;
	char glob[GLOB_CHARS];
};

static struct wires wires[NR_WIRES];	/* wires_lock */
static unsigned int nr_wires;		/* wires_lock */
static DEFINE_RAW_SPINLOCK(wires_lock);

/**
 * dod_wires_set() - which address lines devices really have
 * @val: comma-separated <glob>:<bits>; empty for none
 *
 * Context: process. Callers are serialised by the lock of the parameters.
 *
 * Return: 0, or -EINVAL after a line that says what is wrong; the list in force
 * stays then.
 */
int dod_wires_set(const char *val)
{
	static struct wires new[NR_WIRES];
	char copy[512], *rest = copy, *item, *colon;
	unsigned int nr = 0;
	unsigned long flags;

	if (strscpy(copy, val, sizeof(copy)) < 0) {
		pr_err("wires has more than %zu characters\n", sizeof(copy) - 1);
		return -EINVAL;
	}
	while ((item = strsep(&rest, ","))) {
		item = strim(item);
		if (!*item)
			continue;
		if (nr == NR_WIRES) {
			pr_err("wires has more than %d items\n", NR_WIRES);
			return -EINVAL;
		}
		/* Names of PCI devices have colons, too. */
		colon = strrchr(item, ':');
		if (colon)
			*colon = '\0';
		if (!colon || kstrtouint(colon + 1, 10, &new[nr].bits) ||
		    !new[nr].bits || new[nr].bits > 64 || !*item ||
		    strscpy(new[nr].glob, item, GLOB_CHARS) < 0) {
			pr_err("wires is <device or driver glob>:<bits from 1 to 64>, as in wires=*edu*:28, not \"%s%s%s\"\n",
			       item, colon ? ":" : "", colon ? colon + 1 : "");
			return -EINVAL;
		}
		nr++;
	}
	raw_spin_lock_irqsave(&wires_lock, flags);
	memcpy(wires, new, sizeof(wires));
	nr_wires = nr;
	raw_spin_unlock_irqrestore(&wires_lock, flags);
	return 0;
}

static bool name_matches(const char *glob, const char *name)
{
	return IS_ENABLED(CONFIG_GLOB) ? glob_match(glob, name) :
					 !strcmp(glob, name);
}

/**
 * dod_checks_wires() - the highest address that a device's wires can carry
 * @d: the device
 *
 * Context: any but NMI.
 *
 * Return: as declared, U64_MAX if it is not.
 */
u64 dod_checks_wires(const struct dod_device *d)
{
	u64 highest = U64_MAX;
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&wires_lock, flags);
	for (i = 0; i < nr_wires; i++)
		if (name_matches(wires[i].glob, d->name) ||
		    name_matches(wires[i].glob, d->driver_name)) {
			highest = DMA_BIT_MASK(wires[i].bits);
			break;
		}
	raw_spin_unlock_irqrestore(&wires_lock, flags);
	return highest;
}

/*
 * What is allocated goes by the coherent mask. But behind an IOMMU dma_alloc_pages()
 * allocates a page anywhere, and maps it (dma_common_alloc_pages()).
 */
static bool goes_by_coherent_mask(const struct dod_call *call)
{
	return call->allocated && (call->kind == DOD_SG || dod_maps_directly(call->dev));
}

static bool mask_exceeded(const struct dod_call *call,
			  const struct dod_mapping *m, struct dod_finding *f)
{
	const struct dod_device *d = m->device;
	bool coherent = goes_by_coherent_mask(call);
	u64 mask = coherent ? call->dev->coherent_dma_mask : d->mask;
	u64 bus_limit = d->bus_limit ?: U64_MAX;
	u64 wires = READ_ONCE(d->wires), last = dod_dma_last(m);

	if (likely(last <= mask && last <= bus_limit && last <= wires))
		return false;
	if (last > wires)
		finding_add(f, "It ends at 0x%llx, but only %d address lines are wired (parameter wires).\n"
		       "The device may take 0x%llx for 0x%llx.\n",
			    last, fls64(wires), max(m->dma_addr, wires + 1),
			    max(m->dma_addr, wires + 1) & wires);
	if (last > mask)
		finding_add(f, "It ends at 0x%llx, but the device's %smask is 0x%llx.\n",
			    last, coherent ? "coherent " : "", mask);
	if (last > bus_limit)
		finding_add(f, "It ends at 0x%llx, but the bus carries no more than 0x%llx.\n",
			    last, bus_limit);
	return true;
}

/* === Cache lines ========================================================== */

/* Is the line there, or only imagined by the parameter? */
static bool is_simulated(const struct dod_call *call)
{
	return dev_is_dma_coherent(call->dev) ||
	       READ_ONCE(dod_params.noncoherent);
}

/*
 * devm_kmalloc() puts a header of the driver core's before its memory, in one object of
 * kmalloc()'s. What the header looks like is constant after load.
 */
static struct {
	u64 size;		/* of the header; 0 if it is not known */
	u64 release_at;		/* offset in it of the pointer to devm_kmalloc_release() */
	u64 size_at;		/* offset in it of the size that was asked for */
	const void *release;	/* that pointer */
} devres;

#define TRIED_SIZE	200UL

static void learn_header(const u8 *data)
{
	struct folio *folio = virt_to_folio(data);
	char name[DOD_NAME_CHARS];
	bool sized = false;
	u64 nr, at;

	if (!folio_test_slab(folio) || is_kfence_address(data))
		return;
	nr = dod_mem_ops.accessible_bytes(PFN_PHYS(folio_pfn(folio)), virt_to_phys((void *)data) - 1, false);
	devres.release = NULL;
	for (at = 0; at + sizeof(long) <= nr; at += sizeof(long)) {
		unsigned long word = *(const unsigned long *)(data - nr + at);

		dod_function_name(word, name, sizeof(name));
		if (word == TRIED_SIZE) {
			devres.size_at = at;
			sized = true;
		} else if (dod_is_function(name, "devm_kmalloc_release")) {
			devres.release_at = at;
			devres.release = (const void *)word;
		}
	}
	if (sized && devres.release)
		devres.size = nr;
}

/* KFENCE may serve one of two allocations, but not both. */
static void learn_devres(void)
{
	struct platform_device *pdev = platform_device_alloc("dma_owner_debug-load",
							     PLATFORM_DEVID_NONE);
	unsigned int tries;

	devres.size = 0;
	for (tries = 0; pdev && tries < 2 && !devres.size; tries++) {
		const u8 *data = devm_kmalloc(&pdev->dev, TRIED_SIZE, GFP_KERNEL);

		if (data)
			learn_header(data);
	}
	platform_device_put(pdev);
}

static const void *peek_header(const struct dod_mapping *m, u64 at)
{
	return peek(as_linear(m->start - devres.size + at));
}

/* Does it begin where such memory does? */
static bool is_managed(const struct dod_mapping *m)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(m->start)));
	u64 first = PFN_PHYS(folio_pfn(folio));

	if (!devres.size || !folio_test_slab(folio) || m->start - first < devres.size)
		return false;
	first = max(first, m->start - devres.size - 1);
	return dod_mem_ops.accessible_bytes(first, m->start - 1, false) == devres.size &&
	       peek_header(m, devres.release_at) == devres.release;
}

/* What follows it in its object is nobody's. 0 if the mapping begins elsewhere. */
static u64 managed_end(const struct dod_mapping *m)
{
	return is_managed(m) ? m->start + (unsigned long)peek_header(m, devres.size_at) : 0;
}

/**
 * dod_checks_own_lines() - does a mapping begin a line, wherever it is? (rule 10)
 * @call: the call that makes it
 * @m: the mapping, in no index yet
 *
 * On a machine that has such lines devm_kmalloc() aligns its memory to them. On this one
 * the header before it, which changes when other memory of the device comes and goes, is
 * in the first line.
 *
 * Context: any.
 */
bool dod_checks_own_lines(const struct dod_call *call, const struct dod_mapping *m)
{
	return m->dir != DMA_TO_DEVICE && !IS_ALIGNED(m->start, m->line) &&
	       is_simulated(call) && is_managed(m);
}

/*
 * Bytes of the rest of a line that are in use, from the mapping outwards, and how
 * far they are away. Only a slab object has bounds that tell: in other pages all
 * is accessible, used or not. What lies behind a redzone counts on the machine
 * that it lies on; on another it would lie elsewhere (rule 10).
 *
 * Entries of one list are given and taken back together, so that no line of theirs
 * gets dirty in between: what lies beyond the next entry is that one's neighbour.
 */
static u64 neighbours(const struct dod_call *call, const struct dod_mapping *m,
		      u64 start, u64 last, bool after, u64 *distance)
{
	u64 nr;

	*distance = 0;
	if (start > last)
		return 0;
	if (!folio_test_slab(page_folio(pfn_to_page(PHYS_PFN(start))))) {
		dod_count(DOD_C_UNJUDGED_SHARED_PAGE);
		return 0;
	}
	if (call->kind == DOD_SG) {
		nr = dod_owner_up_to_group(m, start, last, after);
		if (!nr)
			return 0;
		if (after)
			last = start + nr - 1;
		else
			start = last + 1 - nr;
	}
	nr = dod_mem_ops.accessible_bytes(start, last, after);
	if (nr || is_simulated(call))
		return nr;
	for (*distance = 1; *distance <= last - start; ++*distance) {
		if (after)
			nr = dod_mem_ops.accessible_bytes(start + *distance, last, true);
		else
			nr = dod_mem_ops.accessible_bytes(start, last - *distance, false);
		if (nr)
			break;
	}
	return nr;
}

/*
 * Where does the struct skb_shared_info of a network buffer begin that is mapped to be
 * received into? alloc_skb() has it end with the object, and clears what precedes its
 * count of references, which begins with 1. What is before it is of one buffer, that
 * nobody writes to meanwhile: it has cache lines of its own (SKB_DATA_ALIGN). 0 if the
 * object is something else.
 */
static u64 skb_end(const struct dod_mapping *m)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(m->last)));
	u64 last = PFN_PHYS(folio_pfn(folio)) + folio_size(folio) - 1, end;
	const struct skb_shared_info *info;

	end = m->last + 1;
	if (end > last)
		return 0;
	end += dod_mem_ops.accessible_bytes(end, last, true);
	if (end < m->last + 1 + SKB_DATA_ALIGN(sizeof(*info)) ||
	    !IS_ALIGNED(end, SMP_CACHE_BYTES))
		return 0;
	end -= SKB_DATA_ALIGN(sizeof(*info));
	info = as_linear(end);
	if (atomic_read(&info->dataref) != 1 ||
	    memchr_inv(info, 0, offsetof(struct skb_shared_info, dataref)))
		return 0;
	return end;
}

/*
 * A buffer that begins its object often does not fill it: the rest is spare (256 bytes
 * allocated, 255 mapped), and nobody writes there. If somebody does, that is a
 * shared-line-write (rules 0 and 10). So does the last of some entries of a list that
 * follow each other.
 */
static bool begins_object(const struct dod_call *call, const struct dod_mapping *m)
{
	const struct dod_mapping *entry, *previous = NULL;
	u64 start = m->start;
	struct folio *folio;

	for (entry = call->leader; entry; previous = entry, entry = entry->next) {
		if (!previous || previous->last + 1 != entry->start)
			start = entry->start;
		if (entry == m)
			break;
	}
	folio = page_folio(pfn_to_page(PHYS_PFN(start)));
	if (!folio_test_slab(folio))
		return false;
	return start == PFN_PHYS(folio_pfn(folio)) ||
	       !dod_mem_ops.accessible_bytes(start - 1, start - 1, false) ||
	       (start == m->start && is_managed(m));
}

static void say_neighbours(struct dod_finding *f, const struct dod_mapping *m,
			   u64 nr, u64 distance, bool after)
{
	finding_add(f, "Its %s cache line, of %u bytes, also holds %llu byte%s %s the buffer",
		    after ? "last" : "first", m->line, nr, nr == 1 ? "" : "s",
		    after ? "behind" : "before");
	if (distance)
		finding_add(f, ", %llu away", distance);
	finding_add(f, ", which the CPU may write.\n");
	f->object = as_linear(after ? m->last + 1 + distance :
				       m->start - 1 - distance);
}

static bool is_checked_for_lines(const struct dod_call *call,
				 const struct dod_mapping *m)
{
	return m->line && m->trap == DOD_TRAP_ALL && call->to_device &&
	       !(call->attrs & DOD_ATTR_OWN_LINES);
}

static u64 last_of_lines(const struct dod_mapping *m)
{
	return dod_line_of(m, m->last) + m->line - 1;
}

static bool cacheline_sharing(const struct dod_call *call,
			      const struct dod_mapping *m,
			      struct dod_finding *f)
{
	u64 before, after, far_before, far_after;

	if (!is_checked_for_lines(call, m) || m->dir == DMA_TO_DEVICE)
		return false;
	before = neighbours(call, m, dod_line_of(m, m->start), m->start - 1, false,
			    &far_before);
	after = neighbours(call, m, m->last + 1, last_of_lines(m), true, &far_after);
	if (unlikely(before || after)) {
		u64 end = skb_end(m);

		if (end) {
			before = 0;
			after = neighbours(call, m, end, last_of_lines(m), true,
					   &far_after);
		} else if ((end = managed_end(m))) {
			after = neighbours(call, m, m->last + 1,
					   min(last_of_lines(m), end - 1), true,
					   &far_after);
		}
	}
	if (after && !far_after && !READ_ONCE(dod_params.strict) && begins_object(call, m)) {
		u64 poison = after;

		dod_count(DOD_C_UNJUDGED_OBJECT_REST);
		after = neighbours(call, m, m->last + 1 + poison, last_of_lines(m), true,
				   &far_after);
		far_after += poison;
	}
	if ((before || after) && is_simulated(call) &&
	    dod_map_permitted(DOD_R_CACHELINE_SHARING, m)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return false;
	}
	if (before)
		say_neighbours(f, m, before, far_before, false);
	if (after)
		say_neighbours(f, m, after, far_after, true);
	return before || after;
}

/* The part of a line's rest that another mapping's bytes count in. */
static bool other_in_rest(const struct dod_call *call,
			  const struct dod_mapping *m, u64 start, u64 last,
			  bool after, struct dod_mapping *other)
{
	if (start > last)
		return false;
	if (is_simulated(call)) {
		u64 nr = dod_mem_ops.accessible_bytes(start, last, after);

		if (!nr)
			return false;
		if (after)
			last = start + nr - 1;
		else
			start = last + 1 - nr;
	}
	return dod_owner_find_other(m, start, last, m->dir == DMA_TO_DEVICE,
				    other);
}

static bool line_shared_with_mapping(const struct dod_call *call,
				     const struct dod_mapping *m,
				     struct dod_finding *f)
{
	struct dod_mapping *other = f->other;
	bool first, last;

	if (!is_checked_for_lines(call, m))
		return false;
	first = other_in_rest(call, m, dod_line_of(m, m->start), m->start - 1, false, other);
	last = !first && other_in_rest(call, m, m->last + 1, last_of_lines(m), true, other);
	if (!first && !last)
		return false;
	finding_add(f, "Its %s cache line, of %u bytes, also holds bytes of another mapping.\n",
		    first ? "first" : "last", m->line);
	return true;
}

/* Rule 9. A second mapping that hands nothing over is no harm. */
static bool overlapping(const struct dod_call *call,
			const struct dod_mapping *m, struct dod_finding *f)
{
	struct dod_mapping *other = f->other;
	u64 start, last;

	if (!is_checked_for_lines(call, m) ||
	    !dod_owner_find_other(m, m->start, m->last,
				  m->dir == DMA_TO_DEVICE, other))
		return false;
	if (dod_map_permitted(DOD_R_OVERLAPPING_MAPPING, m) ||
	    dod_map_permitted(DOD_R_OVERLAPPING_MAPPING, other)) {
		dod_count(DOD_C_ALLOWED_IDIOMS);
		return false;
	}
	start = max(m->start, other->start);
	last = min(m->last, other->last);
	finding_add(f, "%llu bytes of it, from byte %llu on, are mapped already, and %s writable for the device.\n",
		    last - start + 1, start - m->start,
		    m->dir == DMA_TO_DEVICE ? "the other mapping is" :
		    other->dir == DMA_TO_DEVICE ? "this mapping is" :
					  "both mappings are");
	return true;
}

/* === Advice =============================================================== */

static bool mask_never_set(const struct dod_call *call,
			   const struct dod_mapping *m, struct dod_finding *f)
{
	if (likely(!m->bounced) || m->device->mask != DMA_BIT_MASK(32) ||
	    !dod_maps_directly(call->dev) ||
	    phys_to_dma(call->dev, m->last) <= m->device->mask)
		return false;
	finding_add(f, "its transfers are copied through bounce buffers, because its mask is the default of 32 bits");
	return true;
}

static bool mask_wider_than_bus(const struct dod_call *call,
				const struct dod_mapping *m,
				struct dod_finding *f)
{
	const struct dod_device *d = m->device;

	if (likely(!d->bus_limit) || d->mask <= d->bus_limit)
		return false;
	finding_add(f, "its mask is 0x%llx, but its bus carries no more than 0x%llx",
		    d->mask, d->bus_limit);
	return true;
}

static bool mask_untested(const struct dod_call *call,
			  const struct dod_mapping *m, struct dod_finding *f)
{
	const struct dod_device *d = m->device;

	if (d->mask <= DMA_BIT_MASK(32) || d->highest > DMA_BIT_MASK(32) ||
	    dod_ago(m->map.when, d->since) <
	    (u64)READ_ONCE(dod_params.untested_after) * NSEC_PER_SEC)
		return false;
	finding_add(f, "it claims %d address bits, but has not used an address above 4 GiB yet: the claim is untested",
		    fls64(d->mask));
	return true;
}

__printf(2, 3)
static void differs(struct dod_finding *f, const char *fmt, ...)
{
	struct va_format what = { .fmt = fmt };
	va_list args;

	if (!f->text[0])
		finding_add(f, "it has no firmware node, and its DMA configuration is not its parent's");
	va_start(args, fmt);
	what.va = &args;
	finding_add(f, "; %pV", &what);
	va_end(args);
}

/* PCI devices get theirs from the host bridge, whose child they are. */
static bool config_not_inherited(const struct dod_call *call,
				 const struct dod_mapping *m,
				 struct dod_finding *f)
{
	struct device *dev = call->dev, *parent = dev->parent;

	if (likely(dev_fwnode(dev) || dev->of_node || dev_is_pci(dev)) ||
	    !parent || !parent->dma_mask)
		return false;
	if (dev_is_dma_coherent(dev) != dev_is_dma_coherent(parent))
		differs(f, "it is %scoherent",
			dev_is_dma_coherent(dev) ? "" : "not ");
	if (dev->bus_dma_limit != parent->bus_dma_limit)
		differs(f, "bus limit 0x%llx, not 0x%llx", dev->bus_dma_limit,
			parent->bus_dma_limit);
	if (dev->dma_range_map != parent->dma_range_map)
		differs(f, "%s dma-ranges", dev->dma_range_map ? "other" : "no");
	if (dma_get_mask(dev) != dma_get_mask(parent))
		differs(f, "mask 0x%llx, not 0x%llx", dma_get_mask(dev),
			dma_get_mask(parent));
	if (iommu_get_domain_for_dev(dev) != iommu_get_domain_for_dev(parent))
		differs(f, "another IOMMU domain");
	return f->text[0];
}

/* === The table ============================================================ */

/* What a check can look at, and when. */
enum stage {
	NO_MEMORY,	/* behind the address is no memory */
	MEMORY,		/* before the guard changes anything */
	OTHERS,		/* all of the call is in the index: other mappings */
	ALONE,		/* likewise, where those have nothing to do with it */
	ADVICE,		/* a line per device, no report */
	NR_STAGES
};

/*
 * One row per check, by stage. Of the rows of a stage the first that finds something
 * ends it.
 */
static const struct check {
	enum stage stage;
	enum dod_report_type type;
	bool (*find)(const struct dod_call *call, const struct dod_mapping *m,
		     struct dod_finding *f);
} checks[] = {
	{ NO_MEMORY, DOD_R_STACK_BUFFER, vmalloc_stack },
	{ NO_MEMORY, DOD_R_IMAGE_BUFFER, kernel_image },
	{ NO_MEMORY, DOD_R_IMAGE_BUFFER, module_image },
	{ NO_MEMORY, DOD_R_IMAGE_BUFFER, image_in_vmalloc },
	{ NO_MEMORY, DOD_R_VMALLOC_BUFFER, vmalloc_buffer },
	{ MEMORY, DOD_R_STACK_BUFFER, page_of_stack },
	{ MEMORY, DOD_R_IMAGE_BUFFER, kernel_image },
	{ MEMORY, DOD_R_USE_AFTER_FREE_MAP, use_after_free },
	{ MEMORY, DOD_R_OUT_OF_BOUNDS_MAP, out_of_bounds },
	{ MEMORY, DOD_R_NOT_CONTIGUOUS, not_contiguous },
	{ MEMORY, DOD_R_MASK_EXCEEDED, mask_exceeded },
	{ OTHERS, DOD_R_OVERLAPPING_MAPPING, overlapping },
	{ OTHERS, DOD_R_CACHELINE_SHARING, line_shared_with_mapping },
	{ ALONE, DOD_R_CACHELINE_SHARING, cacheline_sharing },
	{ ADVICE, DOD_R_MASK_NEVER_SET, mask_never_set },
	{ ADVICE, DOD_R_MASK_WIDER_THAN_BUS, mask_wider_than_bus },
	{ ADVICE, DOD_R_MASK_UNTESTED, mask_untested },
	{ ADVICE, DOD_R_CONFIG_NOT_INHERITED, config_not_inherited },
};

/* Where the rows of a stage begin, and which types they are of. */
static u8 first_of[NR_STAGES + 1];
static u32 types_of[NR_STAGES];

static void find_stages(void)
{
	unsigned int stage, i;

	for (stage = 0, i = 0; stage < NR_STAGES; stage++) {
		first_of[stage] = i;
		types_of[stage] = 0;
		for (; i < ARRAY_SIZE(checks) && checks[i].stage == stage; i++)
			types_of[stage] |= BIT(checks[i].type);
	}
	first_of[NR_STAGES] = i;
	/* A row in the wrong place would never run. */
	WARN_ON(i != ARRAY_SIZE(checks));
}

/* Returns whether there was a report. */
static bool run(enum stage stage, const struct dod_call *call,
		const struct dod_mapping *m, struct dod_finding *f)
{
	unsigned int i;

	if (!(types_of[stage] & ~READ_ONCE(dod_types_off)))
		return false;
	f->text[0] = '\0';
	for (i = first_of[stage]; i < first_of[stage + 1]; i++) {
		if (dod_report_is_off(checks[i].type))
			continue;
		f->type = checks[i].type;
		if (stage == ADVICE && test_bit(f->type, &m->device->noted))
			continue;
		if (!checks[i].find(call, m, f))
			continue;
		if (stage == ADVICE)
			dod_report_note(f->type, m->device, "%s", f->text);
		else
			dod_report_mapping(f, m);
		if (stage != ADVICE)
			return true;
		f->text[0] = '\0';
	}
	return false;
}

/**
 * dod_checks_single() - report an address that is not in the linear map
 * @m: what is known of the mapping
 * @addr: the address
 *
 * Context: any but NMI.
 */
void dod_checks_single(const struct dod_mapping *m, const void *addr)
{
	struct dod_finding f = {
		.type = DOD_R_IMAGE_BUFFER,
		.addr = (unsigned long)addr,
	};

	if (dod_report_is_off(f.type))
		return;
	say_which_module_memory(&f, addr);
	dod_report_mapping(&f, m);
}

/* Not the whole text: each mapping is judged, and hardly any has one. */
static void finding_begin(struct dod_finding *f)
{
	f->at = 0;
	f->text[0] = '\0';
	f->addr = 0;
	f->object = NULL;
	f->other = NULL;
	f->what = NULL;
	f->next = 0;
}

/* What the memory checks have found to be somebody else's, or nobody's, is not ours. */
static bool keep_good(struct dod_mapping *m, const struct dod_finding *f)
{
	u64 end = U64_MAX;

	if (likely(!f->what && !f->next))
		return true;
	if (f->what)
		end = f->bad;
	if (f->next)
		end = min(end, f->next);
	m->freed = end == m->start;
	m->last = m->freed ? m->start : end - 1;
	return false;
}

/**
 * dod_checks_before() - judge a mapping before its memory is guarded
 * @call: the call that makes it
 * @m: the mapping, in no index yet; ends at its first bad byte afterwards
 *
 * Context: any but NMI, no lock held.
 *
 * Return: whether all of its memory is allocated, and for it; if not, others may write
 * to it, and nobody knows what belongs there.
 */
bool dod_checks_before(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_finding f DOD_UNINITIALIZED;

	finding_begin(&f);
	if (likely(!m->not_ram)) {
		look(m, &f);
		look_for_next(m, &f);
	}
	run(m->not_ram ? NO_MEMORY : MEMORY, call, m, &f);
	run(ADVICE, call, m, &f);
	return keep_good(m, &f);
}

/**
 * dod_checks_after() - judge a mapping by what shares its cache lines
 * @call: the call that makes it, and that has no more to map
 * @m: the mapping; it cannot end before its call does
 *
 * Context: any but NMI, no lock held.
 */
void dod_checks_after(const struct dod_call *call, const struct dod_mapping *m)
{
	struct dod_mapping other DOD_UNINITIALIZED;
	struct dod_finding f DOD_UNINITIALIZED;

	finding_begin(&f);
	f.other = &other;
	if (!m->line || run(OTHERS, call, m, &f))
		return;
	f.other = NULL;
	run(ALONE, call, m, &f);
}

/**
 * dod_map_checks_start() - learn what the machine looks like
 *
 * Context: process.
 */
void dod_map_checks_start(void)
{
	find_stages();
	learn_images();
	learn_devres();
}
