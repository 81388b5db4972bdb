// SPDX-License-Identifier: GPL-2.0
/*
 * The only file that knows the kernel's DMA functions: turns their calls into
 * the events map, unmap, sync for the CPU and sync for the device, and proves
 * at load that each hook works.
 *
 * Hooks run in the context of the caller, which is any but NMI, and take no
 * lock here. cache_lock protects additions to the caches of symbol names and
 * nests in nothing; nor does wrong_lock, which protects the calls of
 * dma_map_single() that have begun with a wrong address.
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
#include "../report/report.h"
#include "attach.h"

#include <linux/bitmap.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kasan-checks.h>
#include <linux/kernel.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* What a hook saw of the self-test's device. */
struct seen {
	unsigned int calls;
	unsigned long caller;	/* of an unmap */
	u64 phys, dma_addr, size;
	int dir, nents;
};

enum hook_id {
	MAP_SINGLE, MAP_PAGE, UNMAP_PAGE, UNMAP_PHYS, MAP_SG, UNMAP_SG, UNMAP_SG_LIST,
	SYNC_CPU,
	SYNC_PREPARE, SYNC_DEVICE, SYNC_SG_CPU, SYNC_SG_PREPARE, SYNC_SG_DEVICE,
	ALLOC_PAGES, FREE_PAGES, API_FREE_PAGES, NEED_SYNC, MAP_RESOURCE,
	IOVA_LINK, IOVA_SYNC, IOVA_UNLINK, IOVA_DESTROY, IOVA_FREE, SHUTDOWN,
	PANIC, FREE_BULK, FREE_NOLOCK, POOL_FREE, POOL_FREE_BULK,
	DMABUF_MAP, DMABUF_MAP_UNLOCKED, DMABUF_MMAP, DMABUF_MMAP_INTERNAL,
	NR_HOOKS
};

/* What a row needs not to be an error where the kernel lacks its function. */
enum presence {
	REQUIRED,
	OPTIONAL,
	FALLBACK,	/* hooked only where the row before is missing */
	ABSENT,		/* not hooked in this kernel */
};

struct hook {
	const char *function;
	void (*event)(struct hook *hook, unsigned long caller,
		      struct ftrace_regs *fregs);
	bool gives;		/* a device may own more after it */
	u8 presence;		/* enum presence */
	bool missing;		/* set at load: not hooked */
	unsigned long ip;	/* of the hooked function, once it was called */
	/*
	 * Return address into another hooked function, that calls this one for the same
	 * event; constant after load.
	 */
	unsigned long nested;
	struct seen seen;
};

/*
 * Which events count. A mapping must not be known longer than its unmap can be
 * seen: everything begins with the hooks in place, and ends with them in place
 * until nothing is owned any more.
 */
static enum {
	SELFTEST,	/* those of one device */
	ALL,
	NO_GIVING,	/* what takes back */
} hooking;

static struct hook hooks[NR_HOOKS];

static const struct device *test_dev;	/* the self-test's, while it runs */
static unsigned int test_traps, test_write_traps;

static DEFINE_RAW_SPINLOCK(cache_lock);

/* === Arguments ============================================================ */

static struct device *arg_dev(struct ftrace_regs *fregs)
{
	return (struct device *)dod_arg(fregs, 0);
}

static struct dod_call call_begin(struct device *dev, int dir,
				  enum dod_kind kind, unsigned long caller,
				  struct ftrace_regs *fregs)
{
	return (struct dod_call) {
		.dev = dev,
		.dir = dir,
		.kind = kind,
		.caller = caller,
		.sp = dod_caller_sp(fregs),
		.bp = dod_caller_bp(fregs),
	};
}

static bool wanted(const struct hook *hook, const struct device *dev)
{
	switch (READ_ONCE(hooking)) {
	case ALL:
		return true;
	case NO_GIVING:
		return !hook->gives;
	default:
		return dev && dev == READ_ONCE(test_dev);
	}
}

static void note_seen(struct hook *hook, const struct device *dev, u64 phys,
		      u64 dma_addr, u64 size, int dir, int nents)
{
	if (likely(dev != READ_ONCE(test_dev)))
		return;
	hook->seen.calls++;
	hook->seen.phys = phys;
	hook->seen.dma_addr = dma_addr;
	hook->seen.size = size;
	hook->seen.dir = dir;
	hook->seen.nents = nents;
}

/*
 * What firmware reserved, at the edge of the memory that the kernel knows, need not
 * be in the linear map, and has no shadow then. Nor is what KFENCE, whose pool is
 * reserved, has taken away: that is memory all the same.
 */
static bool is_mapped(struct page *page)
{
	unsigned long word;

	if (likely(!PageReserved(page)) || is_kfence_address(page_address(page)))
		return true;
	pagefault_disable();
	__get_kernel_nofault(&word, page_address(page), unsigned long, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

/*
 * How many bytes from @phys on are memory that is ours to look at (rule 7): none, all of
 * them, or those up to where no memory is, or where it is free. Any length can come in,
 * also a negative one: the first free page, or the end of RAM, ends the loop.
 */
static u64 leading_ram(u64 phys, u64 size)
{
	unsigned long pfn, last = PHYS_PFN(phys + min(size - 1, U64_MAX - phys));

	if (!pfn_valid(PHYS_PFN(phys)))
		return 0;
	for (pfn = PHYS_PFN(phys); pfn <= last; pfn++) {
		struct page *page = dod_memory_goes_on(pfn) ? pfn_to_page(pfn) : NULL;

		if (!page || !is_mapped(page) ||
		    (pfn != PHYS_PFN(phys) && PageBuddy(page)))
			return max_t(u64, PFN_PHYS(pfn), phys) - phys;
		/* Memory, too, and what precedes it may be mapped with it. */
		if (is_zone_device_page(page) || PageHighMem(page))
			return 0;
		if (pfn != last)
			pfn = dod_folio_last(pfn);
	}
	return size;
}

/*
 * Does the kernel perhaps copy this mapping to and from a bounce buffer? Behind
 * an IOMMU only the IOMMU knows.
 */
static bool may_bounce(struct device *dev, u64 phys, u64 dma_addr)
{
	return !dod_maps_directly(dev) || dma_to_phys(dev, dma_addr) != phys;
}

/*
 * dma_map_single() of an address outside of the linear map goes on with a page that
 * has nothing to do with it. It may well be memory, and somebody else's: no fault
 * of that memory is this driver's, and no access to it a fault.
 */
#define NR_WRONG 4

static struct {
	const struct task_struct *task;
	u64 phys;
} wrong[NR_WRONG];			/* wrong_lock */
static unsigned int next_wrong;		/* wrong_lock */
static bool any_wrong;			/* wrong_lock, read without */
static DEFINE_RAW_SPINLOCK(wrong_lock);

/* There is hardly ever more than one. One too many is judged as if it were right. */
static void note_wrong(u64 phys)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&wrong_lock, flags);
	wrong[next_wrong].task = current;
	wrong[next_wrong].phys = phys;
	next_wrong = (next_wrong + 1) % NR_WRONG;
	WRITE_ONCE(any_wrong, true);
	raw_spin_unlock_irqrestore(&wrong_lock, flags);
}

/*
 * Is that what the call of this task that began with a wrong address maps? @any: of all
 * that have begun, whatever they map.
 */
static bool take_wrong(u64 phys, bool any)
{
	unsigned long flags;
	bool found = false;
	unsigned int i;

	if (likely(!READ_ONCE(any_wrong)))
		return false;
	raw_spin_lock_irqsave(&wrong_lock, flags);
	WRITE_ONCE(any_wrong, false);
	for (i = 0; i < NR_WRONG; i++) {
		if (wrong[i].task == current && (any || wrong[i].phys == phys)) {
			wrong[i].task = NULL;
			found = true;
		}
		if (wrong[i].task)
			WRITE_ONCE(any_wrong, true);
	}
	raw_spin_unlock_irqrestore(&wrong_lock, flags);
	return found;
}

/* === map ================================================================== */

/* Rule 7: by its attributes not memory that changes hands. */
static bool is_ignored(unsigned long attrs)
{
	return attrs & (DOD_ATTR_MMIO | DOD_ATTR_COHERENT);
}

static void count_ignored(unsigned long attrs)
{
	dod_count(attrs & DOD_ATTR_MMIO ? DOD_C_UNTRACKED_MMIO :
					  DOD_C_UNTRACKED_COHERENT);
}

static void map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr)
{
	u64 ram = call->wrong || !size ? 0 : leading_ram(phys, size);
	bool bounced = may_bounce(call->dev, phys, dma_addr);

	if (is_ignored(call->attrs))
		count_ignored(call->attrs);
	else if (!ram)
		dod_count(DOD_C_UNTRACKED_NOT_RAM);
	else if (bounced && dod_maps_directly(call->dev))
		dod_count(DOD_C_MAPS_BOUNCED);
	dod_owner_map(call, phys, size, dma_addr, ram, bounced);
}

/* debug_dma_map_single(dev, addr, len): dma_map_single() begins with it */
static void on_map_single(struct hook *hook, unsigned long caller,
			  struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs), DMA_NONE, DOD_SINGLE,
					  caller, fregs);
	const void *addr = (const void *)dod_arg(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	note_seen(hook, call.dev, (unsigned long)addr, 0, size, 0, 0);
	/* Of an earlier call, that has failed before it came to map anything. */
	take_wrong(0, true);
	if (dod_owner_map_single(&call, addr, size))
		note_wrong(dod_wrong_phys(addr));
}

/*
 * Allocations that announce their memory as mapped, and do not give it to the
 * device: dma_alloc_noncontiguous() with debug_dma_map_sg(), and where
 * debug_dma_alloc_pages() does not exist dma_alloc_pages() with
 * debug_dma_map_page(). Their return address is a constant each; who a return
 * address belongs to is looked up once.
 */
enum announcer { MAPS, ALLOCATES };

static enum announcer announcer_of(unsigned long caller)
{
	static struct {
		unsigned long caller;
		enum announcer kind;
	} cache[16];
	char name[KSYM_SYMBOL_LEN];
	enum announcer kind;
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cache); i++) {
		/* Pairs with smp_store_release() below. */
		unsigned long known = smp_load_acquire(&cache[i].caller);

		if (known == caller)
			return cache[i].kind;
		if (!known)
			break;
	}
	dod_function_name(caller, name, sizeof(name));
	kind = !strcmp(name, "dma_alloc_noncontiguous") ||
	       !strcmp(name, "dma_alloc_pages") ? ALLOCATES : MAPS;

	raw_spin_lock_irqsave(&cache_lock, flags);
	for (i = 0; i < ARRAY_SIZE(cache) && cache[i].caller != caller; i++)
		if (!cache[i].caller) {
			cache[i].kind = kind;
			/* Pairs with smp_load_acquire() above. */
			smp_store_release(&cache[i].caller, caller);
			break;
		}
	raw_spin_unlock_irqrestore(&cache_lock, flags);
	return kind;
}

static void map_one(struct hook *hook, unsigned long caller,
		    struct ftrace_regs *fregs, struct device *dev, u64 phys, size_t size, int dir,
		    dma_addr_t dma_addr, unsigned long attrs)
{
	bool is_wrong = take_wrong(phys, false);
	struct dod_call call;

	note_seen(hook, dev, phys, dma_addr, size, dir, attrs);
	if (dma_addr == DMA_MAPPING_ERROR) {
		dod_count(DOD_C_UNTRACKED_FAILED_MAP);
		return;
	}
	if (is_ignored(attrs)) {
		count_ignored(attrs);
		return;
	}
	call = call_begin(dev, dir, DOD_SINGLE, caller, fregs);
	call.allocated = hooks[ALLOC_PAGES].missing && announcer_of(caller) == ALLOCATES;
	if (call.allocated)
		call.kind = DOD_PAGES;
	call.attrs = attrs;
	call.to_device = !call.allocated &&
			 !(attrs & DMA_ATTR_SKIP_CPU_SYNC);
	call.wrong = is_wrong;
	map(&call, phys, size, dma_addr);
	dod_owner_map_end(&call);
}

/* debug_dma_map_page(dev, page, offset, size, dir, dma_addr, attrs) */
static void on_map_page(struct hook *hook, unsigned long caller,
			struct ftrace_regs *fregs)
{
	struct page *page = (struct page *)dod_arg(fregs, 1);
	u64 phys = page_to_phys(page) + (size_t)dod_arg(fregs, 2);

	map_one(hook, caller, fregs, arg_dev(fregs), phys, dod_arg(fregs, 3),
		(int)dod_arg(fregs, 4), dod_arg(fregs, 5), dod_arg6(fregs));
}

/* debug_dma_map_phys(dev, phys, size, dir, dma_addr, attrs) */
static void on_map_phys(struct hook *hook, unsigned long caller,
			struct ftrace_regs *fregs)
{
	map_one(hook, caller, fregs, arg_dev(fregs), dod_arg(fregs, 1),
		dod_arg(fregs, 2), (int)dod_arg(fregs, 3), dod_arg(fregs, 4),
		dod_arg(fregs, 5));
}

/* debug_dma_alloc_pages(dev, page, size, dir, dma_addr, attrs) */
static void on_alloc_pages(struct hook *hook, unsigned long caller,
			   struct ftrace_regs *fregs)
{
	struct device *dev = arg_dev(fregs);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 1));
	size_t size = dod_arg(fregs, 2);
	int dir = (int)dod_arg(fregs, 3);
	dma_addr_t dma_addr = dod_arg(fregs, 4);
	struct dod_call call = call_begin(dev, dir, DOD_PAGES, caller, fregs);

	note_seen(hook, dev, phys, dma_addr, size, dir, 0);
	call.allocated = true;
	map(&call, phys, size, dma_addr);
	dod_owner_map_end(&call);
}

/* debug_dma_map_resource(dev, phys_addr, size, dir, dma_addr, attrs) */
static void on_map_resource(struct hook *hook, unsigned long caller,
			    struct ftrace_regs *fregs)
{
	note_seen(hook, arg_dev(fregs), dod_arg(fregs, 1), dod_arg(fregs, 4),
		  (size_t)dod_arg(fregs, 2), (int)dod_arg(fregs, 3), 0);
	dod_count(DOD_C_UNTRACKED_MMIO);
}

/*
 * debug_dma_map_sg(dev, sg, nents, mapped_ents, dir, attrs)
 *
 * An IOMMU may have merged entries: there are @mapped bus ranges for @nents
 * runs of memory, both in order and of the same length in sum.
 */
static void on_map_sg(struct hook *hook, unsigned long caller,
		      struct ftrace_regs *fregs)
{
	struct device *dev = arg_dev(fregs);
	struct scatterlist *sg = (struct scatterlist *)dod_arg(fregs, 1), *s;
	int nents = (int)dod_arg(fregs, 2), mapped = (int)dod_arg(fregs, 3);
	int dir = (int)dod_arg(fregs, 4);
	unsigned long attrs = dod_arg(fregs, 5);
	struct dod_call call = call_begin(dev, dir, DOD_SG, caller, fregs);
	struct scatterlist *dma_addr = sg;
	bool merged = mapped != nents;
	unsigned int used = 0;
	int i;

	if (mapped <= 0) {
		dod_count(DOD_C_UNTRACKED_FAILED_MAP);
		return;
	}
	note_seen(hook, dev, sg_phys(sg), sg_dma_address(sg), sg->length, dir,
		  nents);
	call.attrs = attrs;
	/* The unmap does not have the attributes in all kernels, and must find it. */
	call.wrong = is_ignored(attrs);
	call.allocated = announcer_of(caller) == ALLOCATES;
	call.to_device = !(attrs & DMA_ATTR_SKIP_CPU_SYNC) && !call.allocated;
	for_each_sg(sg, s, nents, i) {
		if (!s->length)
			continue;
		/* What an IOMMU made of entries that are empty. */
		while (mapped > 1 && !sg_dma_len(dma_addr)) {
			dma_addr = sg_next(dma_addr);
			mapped--;
		}
		if (!merged) {
			map(&call, sg_phys(s), s->length, sg_dma_address(s));
			continue;
		}
		map(&call, sg_phys(s), s->length, sg_dma_address(dma_addr) + used);
		used += s->length;
		if (used >= sg_dma_len(dma_addr) && mapped > 1) {
			dma_addr = sg_next(dma_addr);
			used = 0;
			mapped--;
		}
	}
	dod_owner_map_end(&call);
}

/* === unmap ================================================================ */

/* dma_unmap_page_attrs(dev, dma_addr, size, dir, attrs) */
static void on_unmap_page(struct hook *hook, unsigned long caller,
			  struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_SINGLE,
					  caller, fregs);
	dma_addr_t dma_addr = dod_arg(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	if (caller == READ_ONCE(hook->nested))
		return;
	call.attrs = dod_arg(fregs, 4);
	note_seen(hook, call.dev, 0, dma_addr, size, call.dir, 0);
	if (call.dev == READ_ONCE(test_dev))
		hook->seen.caller = caller;
	if (!is_ignored(dod_arg(fregs, 4)))
		dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

/* debug_dma_free_pages(dev, page, size, dir, dma_addr) */
static void on_free_pages(struct hook *hook, unsigned long caller,
			  struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_PAGES,
					  caller, fregs);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 1));
	size_t size = dod_arg(fregs, 2);
	dma_addr_t dma_addr = dod_arg(fregs, 4);

	note_seen(hook, call.dev, phys, dma_addr, size, call.dir, 0);
	dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

/* dma_free_pages(dev, size, page, dma_addr, dir), where only it can be seen */
static void on_api_free_pages(struct hook *hook, unsigned long caller,
			      struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 4), DOD_PAGES,
					  caller, fregs);
	size_t size = dod_arg(fregs, 1);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 2));
	dma_addr_t dma_addr = dod_arg(fregs, 3);

	note_seen(&hooks[FREE_PAGES], call.dev, phys, dma_addr, size, call.dir, 0);
	dod_owner_unmap(&call, dma_addr, size, NULL, 0);
}

/* Begins with device, list, length and direction, as both functions do. */
static void unmap_list(struct hook *hook, unsigned long caller, unsigned long attrs,
		       bool frees, struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_SG,
					  caller, fregs);
	struct scatterlist *sg = (struct scatterlist *)dod_arg(fregs, 1);
	int nents = (int)dod_arg(fregs, 2);
	struct scatterlist *first;
	int i;

	/* Nothing to look at: there may be no list. */
	if (nents <= 0)
		return;
	call.attrs = attrs;
	call.frees = frees;
	note_seen(hook, call.dev, sg_phys(sg), sg_dma_address(sg), sg->length,
		  call.dir, nents);
	for_each_sg(sg, first, nents, i)
		if (sg_dma_len(first))
			break;
	/* The mapping begins where the first entry does that is not empty. */
	if (i < nents)
		dod_owner_unmap(&call, sg_dma_address(first), 0, sg, nents);
	else
		dod_count(DOD_C_UNMATCHED_UNMAPS);
}

/* dma_unmap_sg_attrs(dev, sg, nents, dir, attrs) */
static void on_unmap_sg(struct hook *hook, unsigned long caller,
			struct ftrace_regs *fregs)
{
	unmap_list(hook, caller, dod_arg(fregs, 4), false, fregs);
}

/*
 * debug_dma_unmap_sg(dev, sg, nelems, dir), which the other calls, too. By itself it is
 * dma_free_noncontiguous().
 */
static void on_unmap_sg_list(struct hook *hook, unsigned long caller,
			     struct ftrace_regs *fregs)
{
	if (caller == READ_ONCE(hook->nested))
		return;
	if (arg_dev(fregs) == READ_ONCE(test_dev))
		hook->seen.caller = caller;
	unmap_list(hook, caller, 0, true, fregs);
}

/* === iova ================================================================= */

static struct dma_iova_state *arg_iova(struct ftrace_regs *fregs)
{
	return (struct dma_iova_state *)dod_arg(fregs, 1);
}

/*
 * dma_iova_link(dev, state, phys, offset, size, dir, attrs)
 *
 * Memory is linked, piece by piece, and the device gets all of it with
 * dma_iova_sync(): only then is it known that the links worked.
 */
static void on_iova_link(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	struct dma_iova_state *state = arg_iova(fregs);
	unsigned long attrs = dod_arg(fregs, 6);
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 5), DOD_IOVA,
					  caller, fregs);

	if (is_ignored(attrs)) {
		count_ignored(attrs);
		return;
	}
	call.attrs = attrs;
	dod_count(DOD_C_MAPS_LINKED);
	map(&call, dod_arg(fregs, 2), (size_t)dod_arg(fregs, 4),
	    state->addr + (size_t)dod_arg(fregs, 3));
	dod_owner_map_end(&call);
}

/* dma_iova_sync(dev, state, offset, size) */
static void on_iova_sync(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	struct dma_iova_state *state = arg_iova(fregs);
	struct dod_call call = call_begin(arg_dev(fregs), DMA_NONE, DOD_IOVA,
					  caller, fregs);

	dod_owner_iova_to_device(&call, state->addr + (size_t)dod_arg(fregs, 2),
				 (size_t)dod_arg(fregs, 3));
}

/* dma_iova_unlink(dev, state, offset, size, dir, attrs) */
static void on_iova_unlink(struct hook *hook, unsigned long caller,
			   struct ftrace_regs *fregs)
{
	struct dma_iova_state *state = arg_iova(fregs);
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 4), DOD_IOVA,
					  caller, fregs);

	call.attrs = dod_arg(fregs, 5);
	dod_owner_iova_end(&call, state->addr + (size_t)dod_arg(fregs, 2),
			   (size_t)dod_arg(fregs, 3));
}

/*
 * dma_iova_destroy(dev, state, mapped_len, dir, attrs): what is still linked, and what
 * could not be, ends with the addresses.
 */
static void on_iova_destroy(struct hook *hook, unsigned long caller,
			    struct ftrace_regs *fregs)
{
	struct dma_iova_state *state = arg_iova(fregs);
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_IOVA,
					  caller, fregs);

	call.attrs = dod_arg(fregs, 4);
	dod_owner_iova_end(&call, state->addr, dma_iova_size(state));
}

/* dma_iova_free(dev, state): likewise, of what was linked in vain */
static void on_iova_free(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	struct dma_iova_state *state = arg_iova(fregs);
	struct dod_call call = call_begin(arg_dev(fregs), DMA_NONE, DOD_IOVA,
					  caller, fregs);

	dod_owner_iova_end(&call, state->addr, dma_iova_size(state));
}

/* === sync ================================================================= */

/* All of dma_sync_single_*(dev, dma_addr, size, dir) */
static void on_sync(struct hook *hook, unsigned long caller,
		    struct ftrace_regs *fregs,
		    void (*event)(struct dod_call *call, u64 dma_addr, u64 size))
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_SINGLE,
					  caller, fregs);
	dma_addr_t dma_addr = dod_arg(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	note_seen(hook, call.dev, 0, dma_addr, size, call.dir, 0);
	event(&call, dma_addr, size);
}

/* All of dma_sync_sg_*(dev, sg, nelems, dir) */
static void on_sync_sg(struct hook *hook, unsigned long caller,
		       struct ftrace_regs *fregs,
		       void (*event)(struct dod_call *call,
				     struct scatterlist *sg, int nents))
{
	struct dod_call call = call_begin(arg_dev(fregs),
					  (int)dod_arg(fregs, 3), DOD_SG,
					  caller, fregs);
	struct scatterlist *sg = (struct scatterlist *)dod_arg(fregs, 1);
	int nents = (int)dod_arg(fregs, 2);

	/* Nothing to look at: there may be no list. */
	if (nents <= 0)
		return;
	note_seen(hook, call.dev, sg_phys(sg), sg_dma_address(sg), sg->length,
		  call.dir, nents);
	event(&call, sg, nents);
}

/*
 * dma_need_sync(dev, dma_addr): where the answer is no, syncs may be skipped,
 * and for such memory nobody can tell who owns it.
 */
static void on_need_sync(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	struct dod_call call = call_begin(arg_dev(fregs), DMA_BIDIRECTIONAL,
					  DOD_SINGLE, caller, fregs);
	dma_addr_t dma_addr = dod_arg(fregs, 1);

	note_seen(hook, call.dev, 0, dma_addr, 0, call.dir, 0);
	if (dev_is_dma_coherent(call.dev))
		dod_owner_no_sync(&call, dma_addr);
}

/* === The end ============================================================== */

/*
 * Restart and kexec leave the memory to whoever boots next. After power-off and halt
 * nobody reads it.
 */
static bool memory_lives_on(void)
{
	if (READ_ONCE(dod_params.strict))
		return system_state > SYSTEM_RUNNING && system_state <= SYSTEM_RESTART;
	return system_state == SYSTEM_RESTART;
}

/*
 * cpu_hotplug_disable(): restart, halt, power-off and kexec call it when the drivers'
 * shutdown() has run, through migrate_to_reboot_cpu(), which compilers inline. Others
 * call it, too.
 */
static void on_shutdown(struct hook *hook, unsigned long caller,
			struct ftrace_regs *fregs)
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

/* panic(): before it stops the other CPUs, and says anything. Also in NMI. */
static void on_panic(struct hook *hook, unsigned long caller,
		     struct ftrace_regs *fregs)
{
	WRITE_ONCE(dod_panicking, true);
}

/* === Frees that have no tracepoint ======================================== */

/* kmem_cache_free_bulk(cache, nr, objects): also kfree_bulk(), and so kfree_rcu() */
static void on_free_bulk(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	void **objects = (void **)dod_arg(fregs, 2);
	size_t nr = dod_arg(fregs, 1), i;

	for (i = 0; i < nr; i++)
		dod_free_object(objects[i], caller);
}

/* kfree_nolock(object) */
static void on_free_nolock(struct hook *hook, unsigned long caller,
			   struct ftrace_regs *fregs)
{
	dod_free_object((void *)dod_arg(fregs, 0), caller);
}

/* mempool_free(element, pool) */
static void on_pool_free(struct hook *hook, unsigned long caller,
			 struct ftrace_regs *fregs)
{
	dod_free_to_pool((void *)dod_arg(fregs, 0), (mempool_t *)dod_arg(fregs, 1), caller);
}

/* mempool_free_bulk(pool, elements, nr) */
static void on_pool_free_bulk(struct hook *hook, unsigned long caller,
			      struct ftrace_regs *fregs)
{
	void **elements = (void **)dod_arg(fregs, 1);
	unsigned int nr = dod_arg(fregs, 2), i;

	for (i = 0; i < nr; i++)
		dod_free_to_pool(elements[i], (mempool_t *)dod_arg(fregs, 0), caller);
}

/* === dma-bufs ============================================================= */

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
/* dma_buf_map_attachment(attachment, direction), and _unlocked() with a copy of it in it */
static void on_dmabuf_map(struct hook *hook, unsigned long caller,
			  struct ftrace_regs *fregs)
{
	const struct dma_buf_attachment *attachment = (void *)dod_arg(fregs, 0);

	if (attachment && attachment->dmabuf)
		dod_dmabuf_map(attachment->dmabuf);
}

/* dma_buf_mmap(dmabuf, vma, pgoff): by another file */
static void on_dmabuf_mmap(struct hook *hook, unsigned long caller,
			   struct ftrace_regs *fregs)
{
	const struct dma_buf *buf = (void *)dod_arg(fregs, 0);

	if (buf)
		dod_dmabuf_mmap(buf);
}

/* dma_buf_mmap_internal(file, vma): by its own */
static void on_dmabuf_mmap_internal(struct hook *hook, unsigned long caller,
				    struct ftrace_regs *fregs)
{
	const struct file *file = (void *)dod_arg(fregs, 0);

	dod_dmabuf_mmap(file->private_data);
}
#else
#define on_dmabuf_map		NULL
#define on_dmabuf_mmap		NULL
#define on_dmabuf_mmap_internal	NULL
#endif

#define DMABUF_PRESENCE (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) ? OPTIONAL : ABSENT)

#define DEFINE_SYNC(name, on, owner_event)				\
static void name(struct hook *hook, unsigned long caller,		\
		 struct ftrace_regs *fregs)				\
{									\
	on(hook, caller, fregs, owner_event);				\
}

DEFINE_SYNC(on_sync_cpu, on_sync, dod_owner_sync_for_cpu)
DEFINE_SYNC(on_sync_prepare, on_sync, dod_owner_sync_prepare)
DEFINE_SYNC(on_sync_device, on_sync, dod_owner_sync_for_device)
DEFINE_SYNC(on_sync_sg_cpu, on_sync_sg, dod_owner_sync_sg_for_cpu)
DEFINE_SYNC(on_sync_sg_prepare, on_sync_sg, dod_owner_sync_sg_prepare)
DEFINE_SYNC(on_sync_sg_device, on_sync_sg, dod_owner_sync_sg_for_device)

/* === The hooks ============================================================ */

/*
 * One row per function. Maps are seen after the kernel has filled a bounce
 * buffer, and everything that takes back before it is copied out.
 */
static struct hook hooks[NR_HOOKS] = {
	[MAP_SINGLE]	 = { "debug_dma_map_single", on_map_single },
	[MAP_PAGE]	 = { DOD_MAPS_PHYS ? "debug_dma_map_phys" :
					     "debug_dma_map_page",
			     DOD_MAPS_PHYS ? on_map_phys : on_map_page,
			     .gives = true },
	[UNMAP_PAGE]	 = { "dma_unmap_page_attrs", on_unmap_page },
	[UNMAP_PHYS]	 = { "dma_unmap_phys", on_unmap_page,
			     .presence = DOD_MAPS_PHYS ? REQUIRED : ABSENT },
	[MAP_SG]	 = { "debug_dma_map_sg", on_map_sg, .gives = true },
	[UNMAP_SG]	 = { "dma_unmap_sg_attrs", on_unmap_sg },
	[UNMAP_SG_LIST]	 = { "debug_dma_unmap_sg", on_unmap_sg_list },
	[SYNC_CPU]	 = { DOD_SYNC_SINGLE_FOR_CPU, on_sync_cpu },
	[SYNC_PREPARE]	 = { DOD_SYNC_SINGLE_FOR_DEVICE, on_sync_prepare },
	[SYNC_DEVICE]	 = { "debug_dma_sync_single_for_device", on_sync_device,
			     .gives = true },
	[SYNC_SG_CPU]	 = { DOD_SYNC_SG_FOR_CPU, on_sync_sg_cpu },
	[SYNC_SG_PREPARE] = { DOD_SYNC_SG_FOR_DEVICE, on_sync_sg_prepare },
	[SYNC_SG_DEVICE] = { "debug_dma_sync_sg_for_device", on_sync_sg_device,
			     .gives = true },
	[ALLOC_PAGES]	 = { "debug_dma_alloc_pages", on_alloc_pages,
			     .gives = true, .presence = OPTIONAL },
	[FREE_PAGES]	 = { "debug_dma_free_pages", on_free_pages,
			     .presence = OPTIONAL },
	[API_FREE_PAGES] = { "dma_free_pages", on_api_free_pages,
			     .presence = FALLBACK },
	[NEED_SYNC]	 = { DOD_NEED_SYNC, on_need_sync },
	[MAP_RESOURCE]	 = { "debug_dma_map_resource", on_map_resource,
			     .presence = DOD_MAPS_PHYS ? ABSENT : REQUIRED },
	/* Without CONFIG_IOMMU_DMA the API is there, and never used. */
	[IOVA_LINK]	 = { "dma_iova_link", on_iova_link, .gives = true,
			     .presence = DOD_LINKS_IOVA ? OPTIONAL : ABSENT },
	[IOVA_SYNC]	 = { "dma_iova_sync", on_iova_sync, .gives = true,
			     .presence = DOD_LINKS_IOVA ? OPTIONAL : ABSENT },
	[IOVA_UNLINK]	 = { "dma_iova_unlink", on_iova_unlink,
			     .presence = DOD_LINKS_IOVA ? OPTIONAL : ABSENT },
	[IOVA_DESTROY]	 = { "dma_iova_destroy", on_iova_destroy,
			     .presence = DOD_LINKS_IOVA ? OPTIONAL : ABSENT },
	[IOVA_FREE]	 = { "dma_iova_free", on_iova_free,
			     .presence = DOD_LINKS_IOVA ? OPTIONAL : ABSENT },
	/* Those that the self-test cannot call; not in every kernel. */
	[SHUTDOWN]	 = { "cpu_hotplug_disable", on_shutdown,
			     .presence = OPTIONAL },
	[PANIC]		 = { "panic", on_panic, .presence = OPTIONAL },
	/* Nor these, whose arguments are no device. */
	[FREE_BULK]	 = { "kmem_cache_free_bulk", on_free_bulk,
			     .presence = OPTIONAL },
	[FREE_NOLOCK]	 = { "kfree_nolock", on_free_nolock,
			     .presence = OPTIONAL },
	[POOL_FREE]	 = { "mempool_free", on_pool_free,
			     .presence = OPTIONAL },
	[POOL_FREE_BULK] = { "mempool_free_bulk", on_pool_free_bulk,
			     .presence = OPTIONAL },
	[DMABUF_MAP]	 = { "dma_buf_map_attachment", on_dmabuf_map,
			     .presence = DMABUF_PRESENCE },
	[DMABUF_MAP_UNLOCKED] = { "dma_buf_map_attachment_unlocked", on_dmabuf_map,
			     .presence = DMABUF_PRESENCE },
	[DMABUF_MMAP]	 = { "dma_buf_mmap", on_dmabuf_mmap,
			     .presence = DMABUF_PRESENCE },
	[DMABUF_MMAP_INTERNAL] = { "dma_buf_mmap_internal", on_dmabuf_mmap_internal,
			     .presence = DMABUF_PRESENCE },
};

/* The self-test calls all that are called often: none is looked up here later. */
static struct hook *hook_by_name(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned int i;

	dod_function_name(ip, name, sizeof(name));
	for (i = 0; i < NR_HOOKS; i++)
		if (!strcmp(name, hooks[i].function)) {
			WRITE_ONCE(hooks[i].ip, ip);
			return &hooks[i];
		}
	return NULL;
}

/* Most rows are found at once; those that share a place with another are looked for. */
static struct hook *by_ip[256];

static noinline struct hook *search_hook(unsigned long ip, struct hook **slot)
{
	unsigned int i;

	for (i = 0; i < NR_HOOKS; i++)
		if (READ_ONCE(hooks[i].ip) == ip)
			break;
	if (i == NR_HOOKS)
		return hook_by_name(ip);
	if (!READ_ONCE(*slot))
		WRITE_ONCE(*slot, &hooks[i]);
	return &hooks[i];
}

static __always_inline struct hook *find_hook(unsigned long ip)
{
	struct hook **slot = &by_ip[(ip >> 4) % ARRAY_SIZE(by_ip)];
	struct hook *hook = READ_ONCE(*slot);

	if (likely(hook && READ_ONCE(hook->ip) == ip))
		return hook;
	return search_hook(ip, slot);
}

static void on_call(unsigned long ip, unsigned long parent_ip,
		    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct hook *hook;

	/* A console's driver: nothing is counted on any more. */
	if (dod_in_panic())
		return;
	hook = find_hook(ip);
	if (unlikely(!hook || hook->missing) || !wanted(hook, arg_dev(fregs)))
		return;
	if (unlikely(dod_kasan_is_off()))
		dod_owner_note_unseen();
	hook->event(hook, parent_ip, fregs);
}

/*
 * PERMANENT: the sysctl ftrace_enabled=0 must not stop us, a missed unmap would
 * be a false report. Neither RECURSION nor RCU: all run where RCU watches, and no
 * callback calls a hooked function but by printing to a console that does DMA,
 * which is seen like any other call.
 */
static struct ftrace_ops ops = {
	.func = on_call,
	.flags = FTRACE_OPS_FL_PERMANENT | DOD_FTRACE_FLAGS,
};

/* === Self-test ============================================================ */

#define TEST_SIZE 256

struct test {
	struct platform_device *pdev;
	struct device *dev;
	u8 *buf;
	const char *wrong;	/* what did not work, NULL so far */
	char text[192];		/* that; the longest has 180 characters */
};

__printf(2, 3)
static bool fail(struct test *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vscnprintf(t->text, sizeof(t->text), fmt, args);
	t->wrong = t->text;
	va_end(args);
	return false;
}

/* Did the last calls reach exactly this hook, once, with these arguments? */
static bool expect(struct test *t, enum hook_id id, u64 phys, u64 dma_addr, u64 size,
		   int dir)
{
	struct seen seen = hooks[id].seen;

	hooks[id].seen = (struct seen) {};
	if (t->wrong)
		return false;
	if (seen.calls != 1)
		return fail(t, "hook %s ran %u times instead of once",
			    hooks[id].function, seen.calls);
	if ((phys && seen.phys != phys) || seen.dma_addr != dma_addr ||
	    seen.size != size || seen.dir != dir)
		return fail(t, "hook %s read %llx %llx %llu %d, not %llx %llx %llu %d",
			    hooks[id].function, seen.phys, seen.dma_addr, seen.size,
			    seen.dir, phys, dma_addr, size, dir);
	return true;
}

/* By the guard, or where that cannot tell by what it would be asked to guard. */
static bool expect_guarded(struct test *t, const char *when, bool is_poisoned)
{
	struct dod_mapping m;
	struct dod_range range;
	bool is;

	if (t->wrong)
		return false;
	is = dod_guard.traps ? dod_poison_ops.is_poisoned(t->buf) :
	     dod_owner_find(virt_to_phys(t->buf), true, &m, &range) &&
	     m.trap != DOD_TRAP_NONE;
	if (is != is_poisoned)
		return fail(t, "memory is %s after %s",
			    is_poisoned ? "not guarded" : "still guarded", when);
	return true;
}

static bool rmw_is_write;

/*
 * x |= y reads and writes. Compilers check an address once for both, at the read, unless
 * clang is told otherwise. What the kernel was built with can be seen by one of its
 * functions that does it; what drivers were, by nobody.
 */
static void test_rmw(struct test *t)
{
	unsigned int before = READ_ONCE(test_write_traps);

	if (t->wrong || !dod_guard.traps)
		return;
	__bitmap_set((unsigned long *)t->buf, 0, 4);
	rmw_is_write = READ_ONCE(test_write_traps) != before;
}

/* The engine is not instrumented: ask the sanitizer to check for us. */
static bool expect_trap(struct test *t)
{
	unsigned int before = READ_ONCE(test_traps);

	if (t->wrong)
		return false;
	if (!dod_guard.traps)
		return true;
	__kasan_check_read(t->buf, 1);
	if (READ_ONCE(test_traps) == before)
		return fail(t, "an access to memory that a device owns was not trapped");
	return true;
}

/*
 * Where pages are unmapped by way of dma_unmap_phys(), each of the two functions
 * can be called alone, or the compiler has made a copy of the one in the other. Of
 * two calls for one unmap the second could end an equal mapping; what counts is the
 * one whose caller is the driver. That is the second if the first jumps to it.
 */
static void expect_unmap(struct test *t, u64 dma_addr, int dir)
{
	struct hook *page = &hooks[UNMAP_PAGE], *phys = &hooks[UNMAP_PHYS];
	char caller[KSYM_SYMBOL_LEN];

	if (!page->missing && phys->seen.calls && page->seen.calls) {
		sprint_symbol_no_offset(caller, phys->seen.caller);
		if (!strcmp(caller, page->function)) {
			WRITE_ONCE(phys->nested, phys->seen.caller);
			phys->seen = (struct seen) {};
		} else {
			page->seen = (struct seen) {};
			page->missing = true;
		}
	}
	expect(t, page->missing ? UNMAP_PHYS : UNMAP_PAGE, 0, dma_addr, TEST_SIZE,
	       dir);
}

static void test_single(struct test *t)
{
	int dir = DMA_FROM_DEVICE;
	dma_addr_t dma_addr;

	dma_addr = dma_map_single(t->dev, t->buf, TEST_SIZE, dir);
	if (dma_mapping_error(t->dev, dma_addr)) {
		fail(t, "the self-test could not map memory");
		return;
	}
	expect(t, MAP_SINGLE, (unsigned long)t->buf, 0, TEST_SIZE, 0);
	expect(t, MAP_PAGE, virt_to_phys(t->buf), dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_map_single()", true);
	expect_trap(t);
	test_rmw(t);
	dma_sync_single_for_cpu(t->dev, dma_addr, TEST_SIZE, dir);
	expect(t, SYNC_CPU, 0, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_sync_single_for_cpu()", false);
	dma_sync_single_for_device(t->dev, dma_addr, TEST_SIZE, dir);
	expect(t, SYNC_PREPARE, 0, dma_addr, TEST_SIZE, dir);
	expect(t, SYNC_DEVICE, 0, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_sync_single_for_device()", true);
	dma_unmap_single(t->dev, dma_addr, TEST_SIZE, dir);
	expect_unmap(t, dma_addr, dir);
	expect_guarded(t, "dma_unmap_single()", false);

	/* The last argument, which some architectures pass on the stack. */
	dma_addr = dma_map_single_attrs(t->dev, t->buf, TEST_SIZE, dir,
					DMA_ATTR_SKIP_CPU_SYNC);
	if (dma_mapping_error(t->dev, dma_addr)) {
		fail(t, "the self-test could not map memory");
		return;
	}
	expect(t, MAP_SINGLE, (unsigned long)t->buf, 0, TEST_SIZE, 0);
	expect(t, MAP_PAGE, virt_to_phys(t->buf), dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_map_single_attrs(DMA_ATTR_SKIP_CPU_SYNC)", false);
	dma_unmap_single_attrs(t->dev, dma_addr, TEST_SIZE, dir,
			       DMA_ATTR_SKIP_CPU_SYNC);
	expect_unmap(t, dma_addr, dir);
}

static void test_need_sync(struct test *t)
{
	int dir = DMA_TO_DEVICE;
	dma_addr_t dma_addr;
	bool needed;

	dma_addr = dma_map_single(t->dev, t->buf, TEST_SIZE, dir);
	if (dma_mapping_error(t->dev, dma_addr)) {
		fail(t, "the self-test could not map memory");
		return;
	}
	expect(t, MAP_SINGLE, (unsigned long)t->buf, 0, TEST_SIZE, 0);
	expect(t, MAP_PAGE, virt_to_phys(t->buf), dma_addr, TEST_SIZE, dir);
	needed = dma_need_sync(t->dev, dma_addr);
	expect(t, NEED_SYNC, 0, dma_addr, 0, DMA_BIDIRECTIONAL);
	expect_guarded(t, needed ? "dma_map_single()" : "dma_need_sync()",
		       needed);
	dma_unmap_single(t->dev, dma_addr, TEST_SIZE, dir);
	expect_unmap(t, dma_addr, dir);
}

static void test_sg(struct test *t)
{
	int dir = DMA_BIDIRECTIONAL;
	u64 phys = virt_to_phys(t->buf);
	struct scatterlist sg[2];
	u64 dma_addr;

	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], t->buf, TEST_SIZE);
	sg_set_buf(&sg[1], t->buf + 2 * TEST_SIZE, TEST_SIZE);
	if (!dma_map_sg(t->dev, sg, ARRAY_SIZE(sg), dir)) {
		fail(t, "the self-test could not map a scatterlist");
		return;
	}
	dma_addr = sg_dma_address(sg);
	expect(t, MAP_SG, phys, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_map_sg()", true);
	dma_sync_sg_for_cpu(t->dev, sg, ARRAY_SIZE(sg), dir);
	expect(t, SYNC_SG_CPU, phys, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_sync_sg_for_cpu()", false);
	dma_sync_sg_for_device(t->dev, sg, ARRAY_SIZE(sg), dir);
	expect(t, SYNC_SG_PREPARE, phys, dma_addr, TEST_SIZE, dir);
	expect(t, SYNC_SG_DEVICE, phys, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_sync_sg_for_device()", true);
	dma_unmap_sg(t->dev, sg, ARRAY_SIZE(sg), dir);
	expect(t, UNMAP_SG, phys, dma_addr, TEST_SIZE, dir);
	WRITE_ONCE(hooks[UNMAP_SG_LIST].nested, hooks[UNMAP_SG_LIST].seen.caller);
	expect(t, UNMAP_SG_LIST, phys, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_unmap_sg()", false);
}

static void test_pages(struct test *t)
{
	int dir = DMA_FROM_DEVICE;
	struct sg_table *sgt;
	struct page *page;
	dma_addr_t dma_addr;

	page = dma_alloc_pages(t->dev, PAGE_SIZE, &dma_addr, dir, GFP_KERNEL);
	if (page) {
		/* Where debug_dma_map_page() announces it, it wants to be asked. */
		if (hooks[ALLOC_PAGES].missing && dma_mapping_error(t->dev, dma_addr))
			fail(t, "dma_alloc_pages() has no bus address");
		t->buf = page_address(page);
		expect(t, hooks[ALLOC_PAGES].missing ? MAP_PAGE : ALLOC_PAGES,
		       page_to_phys(page), dma_addr, PAGE_SIZE, dir);
		expect_guarded(t, "dma_alloc_pages()", false);
		dma_free_pages(t->dev, PAGE_SIZE, page, dma_addr, dir);
		expect(t, FREE_PAGES, page_to_phys(page), dma_addr, PAGE_SIZE, dir);
	} else {
		fail(t, "dma_alloc_pages() failed in the self-test");
	}

	sgt = dma_alloc_noncontiguous(t->dev, PAGE_SIZE, dir, GFP_KERNEL, 0);
	if (sgt) {
		u64 phys = sg_phys(sgt->sgl), size = sgt->sgl->length;

		dma_addr = sg_dma_address(sgt->sgl);
		t->buf = sg_virt(sgt->sgl);
		expect(t, MAP_SG, phys, dma_addr, size, dir);
		expect_guarded(t, "dma_alloc_noncontiguous()", false);
		dma_free_noncontiguous(t->dev, PAGE_SIZE, sgt, dir);
		expect(t, UNMAP_SG_LIST, phys, dma_addr, size, dir);
	} else {
		fail(t, "dma_alloc_noncontiguous() failed in the self-test");
	}
}

static void test_resource(struct test *t)
{
	phys_addr_t phys = SZ_1G;
	dma_addr_t dma_addr;

	/* Any address outside RAM will do: nothing is accessed. */
	while (pfn_valid(PHYS_PFN(phys)))
		phys *= 2;
	dma_addr = dma_map_resource(t->dev, phys, PAGE_SIZE, DMA_TO_DEVICE, 0);
	expect(t, hooks[MAP_RESOURCE].missing ? MAP_PAGE : MAP_RESOURCE, phys,
	       dma_addr, PAGE_SIZE, DMA_TO_DEVICE);
	if (!dma_mapping_error(t->dev, dma_addr))
		dma_unmap_resource(t->dev, dma_addr, PAGE_SIZE, DMA_TO_DEVICE, 0);
}

/*
 * A round of all calls on a device of our own: a kernel that inlines or renames
 * one of the functions, or passes arguments otherwise, must not be trusted.
 */
static int selftest(void)
{
	struct test t = { };
	u8 *buf;
	int err;

	/* Not kmalloc(): KFENCE may serve it, and its objects are not guarded. */
	buf = (u8 *)__get_free_page(GFP_KERNEL);
	t.pdev = platform_device_register_simple("dma_owner_debug-load",
						 PLATFORM_DEVID_NONE, NULL, 0);
	if (!buf || IS_ERR(t.pdev)) {
		pr_err("cannot load: no memory for the self-test\n");
		err = -ENOMEM;
		goto out;
	}
	t.buf = buf;
	t.dev = &t.pdev->dev;
	err = dma_coerce_mask_and_coherent(t.dev, DMA_BIT_MASK(64));
	if (err) {
		pr_err("cannot load: no DMA mask for the self-test, error %d\n",
		       err);
		goto out;
	}

	WRITE_ONCE(test_dev, t.dev);
	test_single(&t);
	if (!t.wrong)
		test_need_sync(&t);
	if (!t.wrong)
		test_sg(&t);
	if (!t.wrong)
		test_pages(&t);
	if (!t.wrong)
		test_resource(&t);
	WRITE_ONCE(test_dev, NULL);
	if (t.wrong) {
		pr_err("cannot load: %s\n", t.wrong);
		err = -EOPNOTSUPP;
	}
out:
	if (!IS_ERR_OR_NULL(t.pdev))
		platform_device_unregister(t.pdev);
	free_page((unsigned long)buf);
	return err;
}

/**
 * dod_hooks_rmw_is_write() - does the kernel's compiler check the write of x |= y?
 *
 * Context: any; known after dod_hooks_start(), where accesses trap.
 */
bool dod_hooks_rmw_is_write(void)
{
	return rmw_is_write;
}

/**
 * dod_hooks_selftest_access() - was this trap the self-test's?
 * @m: the mapping that was accessed
 * @write: a write
 *
 * Context: any.
 */
bool dod_hooks_selftest_access(const struct dod_mapping *m, bool write)
{
	if (!m->dev || m->dev != READ_ONCE(test_dev))
		return false;
	WRITE_ONCE(test_traps, test_traps + 1);
	if (write)
		WRITE_ONCE(test_write_traps, test_write_traps + 1);
	return true;
}

/*
 * Must this module stay?
 *
 * After a bug of its own, or of whoever patches code beside it, ftrace stops: hooks stay
 * in place, and cannot be removed. To be asked from time to time, so that whoever unloads
 * the module is refused: when it is unloaded it is too late for that.
 */
static bool are_stuck(void)
{
	static struct ftrace_ops asking;

	/* There is no function at 0: -EINVAL, and nothing has changed. */
	return ftrace_set_filter_ip(&asking, 0, 1, 0) == -ENODEV;
}

#define LOOK_PERIOD	(5 * HZ)

/* Without its hooks the tool knows nothing; with them it cannot go. */
static void look_for_hooks(struct work_struct *work)
{
	if (!are_stuck()) {
		schedule_delayed_work(to_delayed_work(work), LOOK_PERIOD);
		return;
	}
	__module_get(THIS_MODULE);
	pr_err("ftrace has stopped, and does not remove the hooks: this module cannot be unloaded\n");
	dod_stop("ftrace has stopped");
}

static DECLARE_DEFERRABLE_WORK(look_work, look_for_hooks);

/* === Start and stop ======================================================= */

/*
 * What the hooks call must stay as long as they do, and an exit function cannot refuse:
 * where ftrace has died since it was asked last, it does not return.
 */
static void unhook(void)
{
	int err = unregister_ftrace_function(&ops);

	if (!err)
		return;
	pr_err("ftrace does not remove the hooks, error %d: this module cannot go, and whoever unloads it waits until the next boot\n",
	       err);
	for (;;)
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

/**
 * dod_hooks_start() - hook the DMA functions and prove that it works
 * @nr: number of hooks
 *
 * Context: process, may sleep.
 *
 * Return: 0, or an error after one line that names the hook; nothing is hooked
 * then.
 */
int dod_hooks_start(unsigned int *nr)
{
	unsigned int i;
	int err;

	*nr = 0;
	for (i = 0; i < NR_HOOKS; i++) {
		char name[64];

		hooks[i].missing = hooks[i].presence == ABSENT ||
				   (hooks[i].presence == FALLBACK &&
				    !hooks[i - 1].missing);
		if (hooks[i].missing)
			continue;
		/* ftrace_set_filter() wants a buffer that it may write to. */
		strscpy(name, hooks[i].function, sizeof(name));
		err = ftrace_set_filter(&ops, name, strlen(name), !i);
		if (err == -EINVAL && hooks[i].presence == OPTIONAL) {
			hooks[i].missing = true;
			continue;
		}
		if (err == -EINVAL)
			pr_err("cannot load: this kernel has no function %s() to hook\n",
			       hooks[i].function);
		else if (err)
			pr_err("cannot load: function %s() cannot be hooked, error %d\n",
			       hooks[i].function, err);
		if (err)
			goto err_filter;
		++*nr;
	}
	err = register_ftrace_function(&ops);
	if (err) {
		pr_err("cannot load: ftrace refused the hooks, error %d (is kernel.ftrace_enabled 0?)\n",
		       err);
		goto err_filter;
	}
	err = selftest();
	if (err) {
		unhook();
		goto err_filter;
	}
	dod_counters_reset();
	/* Now an unmap cannot be missed: see all devices. */
	dod_dmabuf_start(!hooks[DMABUF_MAP].missing && !hooks[DMABUF_MMAP].missing &&
			 !hooks[DMABUF_MMAP_INTERNAL].missing);
	WRITE_ONCE(hooking, ALL);
	schedule_delayed_work(&look_work, LOOK_PERIOD);
	return 0;

err_filter:
	ftrace_free_filter(&ops);
	return err;
}

/**
 * dod_hooks_stop_giving() - no device gets memory any more that we know of
 *
 * What a device owns is still taken back when the driver says so.
 *
 * Context: process, may sleep.
 */
void dod_hooks_stop_giving(void)
{
	WRITE_ONCE(hooking, NO_GIVING);
	/* Hooks run in tasks, preemptibly, and in interrupts of idle CPUs. */
	synchronize_rcu_tasks();
	synchronize_rcu();
}

/**
 * dod_hooks_stop() - unhook; no hook runs afterwards
 *
 * No device may own anything, as after dod_hooks_stop_giving() and
 * dod_owner_stop_guarding(): what is poisoned when the last hook goes would stay
 * so after its unmap.
 *
 * Context: process, may sleep.
 */
void dod_hooks_stop(void)
{
	cancel_delayed_work_sync(&look_work);
	WRITE_ONCE(hooking, SELFTEST);
	unhook();
	ftrace_free_filter(&ops);
}
