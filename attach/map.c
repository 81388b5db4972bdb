// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks of the functions that map memory: single, page, scatterlist, pages, resource, IOVA.
 * Each is seen after the kernel has filled a bounce buffer.
 *
 * cache_lock protects additions to the cache of callers, wrong_lock the calls of
 * dma_map_single() that began with a wrong address. Both nest in nothing.
 */
#include "../base/memory.h"
#include "../base/stack.h"
#include "../base/stats.h"
#include "../owner/owner.h"
#include "hooks.h"

#include <linux/dma-direct.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

/* === The memory =========================================================== */

/* Does the kernel perhaps use a bounce buffer? Behind an IOMMU only the IOMMU knows. */
static bool may_bounce(struct device *dev, u64 phys, u64 dma_addr)
{
	return !dod_maps_directly(dev) || dma_to_phys(dev, dma_addr) != phys;
}

static void count_ignored(unsigned long attrs)
{
	dod_count(attrs & DOD_ATTR_MMIO ? DOD_C_UNTRACKED_MMIO : DOD_C_UNTRACKED_COHERENT);
}

static noinline void count_map(const struct dod_call *call, u64 ram)
{
	if (is_ignored(call->attrs))
		count_ignored(call->attrs);
	else if (!ram)
		dod_count(DOD_C_UNTRACKED_NOT_RAM);
	else if (dod_maps_directly(call->dev))
		dod_count(DOD_C_MAPS_BOUNCED);
}

/* Inlined: its callers are the hooks of map calls, and have what it needs in registers. */
static __always_inline void map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr)
{
	u64 ram = call->wrong || !size ? 0 : dod_memory_look(phys, size, &call->memory);
	bool bounced = may_bounce(call->dev, phys, dma_addr);

	if (unlikely(is_ignored(call->attrs) || !ram || bounced))
		count_map(call, ram);
	dod_owner_map(call, phys, size, dma_addr, ram, bounced);
}

/* === dma_map_single() of a wrong address ================================== */

/*
 * dma_map_single() of an address outside the linear map goes on with a page that has nothing
 * to do with it. That page may well be memory of somebody else: no fault of that memory is
 * this driver's, and no access to it is a fault.
 */
#define NR_WRONG 4

static struct {
	const struct task_struct *task;
	u64 phys;
} wrong[NR_WRONG];			/* wrong_lock */
static unsigned int next_wrong;		/* wrong_lock */
static bool any_wrong;			/* wrong_lock, read without */
static DEFINE_RAW_SPINLOCK(wrong_lock);

/* There is hardly ever more than one. One too many is treated as if it were right. */
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
 * Is that what the call of this task that began with a wrong address maps? @any: forget all
 * that have begun, whatever they map.
 */
static noinline bool __end_wrong(u64 phys, bool any)
{
	unsigned long flags;
	bool found = false;
	unsigned int i;

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

static __always_inline bool end_wrong(u64 phys, bool any)
{
	return unlikely(READ_ONCE(any_wrong)) && __end_wrong(phys, any);
}

static noinline void check_addr(unsigned long caller, struct ftrace_regs *fregs, const void *addr,
				size_t size)
{
	struct dod_call call;

	if (!dod_is_module_addr(addr))
		return;
	call = call_begin(DOD_SINGLE, DMA_NONE, caller, fregs);
	dod_owner_map_single(&call, addr, size);
	note_wrong(dod_wrong_phys(addr));
}

/* debug_dma_map_single(dev, addr, len): dma_map_single() begins with it */
HOOK_HANDLER(dod_on_map_single)
{
	const void *addr = (const void *)dod_arg(fregs, 1);
	size_t size = dod_arg(fregs, 2);

	note_seen(hook, arg_dev(fregs), (unsigned long)addr, 0, size, 0, 0);
	/* Of an earlier call, which failed before it mapped anything. */
	end_wrong(0, true);
	if (unlikely(!dod_is_linear(addr)))
		check_addr(caller, fregs, addr, size);
}

/* === Single mappings ====================================================== */

/*
 * Some allocations announce their memory as mapped although the CPU owns it:
 * dma_alloc_noncontiguous() by debug_dma_map_sg(), and where debug_dma_alloc_pages() does not
 * exist dma_alloc_pages() by debug_dma_map_page(). Each has one return address, whose function
 * is looked up once.
 */
static bool allocates(unsigned long caller)
{
	static struct {
		unsigned long caller;
		bool allocates;
	} cache[16];
	static DEFINE_RAW_SPINLOCK(cache_lock);
	char name[KSYM_SYMBOL_LEN];
	unsigned long flags;
	unsigned int i;
	bool result;

	for (i = 0; i < ARRAY_SIZE(cache); i++) {
		/* Pairs with smp_store_release() below. */
		unsigned long known = smp_load_acquire(&cache[i].caller);

		if (known == caller)
			return cache[i].allocates;
		if (!known)
			break;
	}
	dod_function_name(caller, name, sizeof(name));
	result = !strcmp(name, "dma_alloc_noncontiguous") || !strcmp(name, "dma_alloc_pages");

	raw_spin_lock_irqsave(&cache_lock, flags);
	for (i = 0; i < ARRAY_SIZE(cache) && cache[i].caller != caller; i++)
		if (!cache[i].caller) {
			cache[i].allocates = result;
			/* Pairs with smp_load_acquire() above. */
			smp_store_release(&cache[i].caller, caller);
			break;
		}
	raw_spin_unlock_irqrestore(&cache_lock, flags);
	return result;
}

/* Inlined in all callers: each kernel has one of them. */
static __always_inline void map_one(struct hook *hook, struct dod_call *call, u64 phys,
				    size_t size, dma_addr_t dma_addr, unsigned long attrs)
{
	bool is_wrong = end_wrong(phys, false);

	note_seen(hook, call->dev, phys, dma_addr, size, call->dir, attrs);
	/* Whatever it maps: drivers must get one answer of dma_need_unmap(). */
	if (!dod_see_syncs(call->dev))
		return;
	if (dma_addr == DMA_MAPPING_ERROR) {
		dod_count(DOD_C_UNTRACKED_FAILED_MAP);
		return;
	}
	if (is_ignored(attrs)) {
		count_ignored(attrs);
		dod_owner_lose_track(call->dev);
		return;
	}
	call->allocated = dod_hooks[ALLOC_PAGES].missing && allocates(call->caller);
	if (call->allocated)
		call->kind = DOD_PAGES;
	call->attrs = attrs;
	call->to_device = !call->allocated && !(attrs & DMA_ATTR_SKIP_CPU_SYNC);
	call->wrong = is_wrong;
	map(call, phys, size, dma_addr);
	dod_owner_map_end(call);
}

static __always_inline void alloc_pages_one(struct hook *hook, struct dod_call *call, u64 phys,
					    size_t size, dma_addr_t dma_addr)
{
	note_seen(hook, call->dev, phys, dma_addr, size, call->dir, 0);
	if (!dod_see_syncs(call->dev))
		return;
	call->allocated = true;
	map(call, phys, size, dma_addr);
	dod_owner_map_end(call);
}

#if DOD_BY_EVENTS
/* Tracepoint dma_map_page, or dma_map_phys */
void dod_probe_map(void *data, struct device *dev, phys_addr_t phys, dma_addr_t dma_addr,
		   size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_SINGLE, dir, dev);

	if (dod_event_counts(data, dev))
		map_one(data, &call, phys, size, dma_addr, attrs);
}

/* Tracepoint dma_alloc_pages; nothing was allocated at NULL */
void dod_probe_alloc_pages(void *data, struct device *dev, void *addr, dma_addr_t dma_addr,
			   size_t size, enum dma_data_direction dir, gfp_t gfp,
			   unsigned long attrs)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_PAGES, dir, dev);

	if (addr && dod_event_counts(data, dev))
		alloc_pages_one(data, &call, virt_to_phys(addr), size, dma_addr);
}

/* Tracepoint dma_map_resource */
void dod_probe_map_resource(void *data, struct device *dev, phys_addr_t phys,
			    dma_addr_t dma_addr, size_t size, enum dma_data_direction dir,
			    unsigned long attrs)
{
	if (!dod_event_counts(data, dev))
		return;
	note_seen(data, dev, phys, dma_addr, size, dir, 0);
	if (dod_see_syncs(dev))
		dod_count(DOD_C_UNTRACKED_MMIO);
	dod_owner_lose_track(dev);
}
#else

/* debug_dma_map_page(dev, page, offset, size, dir, dma_addr, attrs) */
HOOK_HANDLER(dod_on_map_page)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SINGLE, (int)dod_arg(fregs, 4), caller, fregs);
	struct page *page = (struct page *)dod_arg(fregs, 1);
	u64 phys = page_to_phys(page) + (size_t)dod_arg(fregs, 2);

	map_one(hook, &call, phys, dod_arg(fregs, 3), dod_arg_addr(fregs, 5), dod_arg6(fregs));
}

/* debug_dma_map_phys(dev, phys, size, dir, dma_addr, attrs) */
HOOK_HANDLER(dod_on_map_phys)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SINGLE, (int)dod_arg(fregs, 3), caller, fregs);

	map_one(hook, &call, dod_arg_addr(fregs, 1), dod_arg(fregs, 2), dod_arg_addr(fregs, 4),
		dod_arg(fregs, 5));
}

/* debug_dma_alloc_pages(dev, page, size, dir, dma_addr, attrs) */
HOOK_HANDLER(dod_on_alloc_pages)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_PAGES, (int)dod_arg(fregs, 3), caller, fregs);
	u64 phys = page_to_phys((struct page *)dod_arg(fregs, 1));

	alloc_pages_one(hook, &call, phys, dod_arg(fregs, 2), dod_arg_addr(fregs, 4));
}

/* debug_dma_map_resource(dev, phys_addr, size, dir, dma_addr, attrs) */
HOOK_HANDLER(dod_on_map_resource)
{
	note_seen(hook, arg_dev(fregs), dod_arg_addr(fregs, 1), dod_arg_addr(fregs, 4),
		  (size_t)dod_arg(fregs, 2), (int)dod_arg(fregs, 3), 0);
	dod_count(DOD_C_UNTRACKED_MMIO);
	dod_owner_lose_track(arg_dev(fregs));
}
#endif

/* === Scatterlists ========================================================= */

/*
 * The DMA addresses of a list. An IOMMU may have merged entries: then fewer ranges of DMA
 * addresses stand for the runs of memory, both in order and of the same length in sum.
 */
struct dma_walk {
	struct scatterlist *sg;	/* has the address of the next run */
	int left;		/* ranges, with this one */
	unsigned int used;	/* bytes of this one */
};

/* The DMA address of the next run of memory. */
static u64 dma_of_run(struct dma_walk *w, struct scatterlist *run)
{
	u64 dma_addr;

	/* What an IOMMU made of empty entries. */
	while (w->left > 1 && !sg_dma_len(w->sg)) {
		w->sg = sg_next(w->sg);
		w->left--;
	}
	dma_addr = sg_dma_address(w->sg) + w->used;
	w->used += run->length;
	if (w->used >= sg_dma_len(w->sg) && w->left > 1) {
		w->sg = sg_next(w->sg);
		w->used = 0;
		w->left--;
	}
	return dma_addr;
}

/* As sg_next(), which is instrumented; @sg is not the last one. */
static __always_inline struct scatterlist *next_run(struct scatterlist *sg)
{
	sg++;
	return unlikely(sg_is_chain(sg)) ? sg_chain_ptr(sg) : sg;
}

/* Of a list whose entries were merged. */
static noinline void map_merged(struct dod_call *call, struct scatterlist *sg, int nents,
				int mapped)
{
	struct dma_walk w = { .sg = sg, .left = mapped };

	for (; nents-- > 0; sg = nents ? next_run(sg) : NULL)
		if (sg->length)
			map(call, sg_phys(sg), sg->length, dma_of_run(&w, sg));
}

static __always_inline void map_each(struct dod_call *call, struct scatterlist *sg, int nents)
{
	for (;; sg = next_run(sg)) {
		if (likely(sg->length))
			map(call, sg_phys(sg), sg->length, sg_dma_address(sg));
		if (!--nents)
			break;
	}
}

/* All but the memory is in @call already. */
static __always_inline void map_list(struct hook *hook, struct dod_call *call,
				     struct scatterlist *sg, int nents, int mapped)
{
	if (mapped <= 0) {
		dod_count(DOD_C_UNTRACKED_FAILED_MAP);
		return;
	}
	note_seen(hook, call->dev, sg_phys(sg), sg_dma_address(sg), sg->length, call->dir, nents);
	if (!dod_see_syncs(call->dev))
		return;
	call->runs = nents - 1;
	/* The unmap does not have the attributes in all kernels, and must find it. */
	call->wrong = is_ignored(call->attrs);
	call->to_device = !(call->attrs & DMA_ATTR_SKIP_CPU_SYNC) && !call->allocated;
	if (likely(mapped == nents))
		map_each(call, sg, nents);
	else
		map_merged(call, sg, nents, mapped);
	dod_owner_map_end(call);
}

#if DOD_BY_EVENTS
/* Tracepoint dma_map_sg */
void dod_probe_map_sg(void *data, struct device *dev, struct scatterlist *sg, int nents,
		      int mapped, enum dma_data_direction dir, unsigned long attrs)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_SG, dir, dev);

	call.attrs = attrs;
	if (dod_event_counts(data, dev))
		map_list(data, &call, sg, nents, mapped);
}

/* Tracepoint dma_alloc_sgt: the CPU owns what dma_alloc_noncontiguous() has allocated */
void dod_probe_alloc_sgt(void *data, struct device *dev, struct sg_table *sgt, size_t size,
			 enum dma_data_direction dir, gfp_t gfp, unsigned long attrs)
{
	struct dod_call call DOD_UNINITIALIZED = call_of_probe(DOD_SG, dir, dev);

	call.attrs = attrs;
	call.allocated = true;
	if (dod_event_counts(data, dev))
		map_list(data, &call, sgt->sgl, sgt->orig_nents, 1);
}
#else
/* debug_dma_map_sg(dev, sg, nents, mapped_ents, dir, attrs) */
HOOK_HANDLER(dod_on_map_sg)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_SG, (int)dod_arg(fregs, 4), caller, fregs);

	call.attrs = dod_arg(fregs, 5);
	call.allocated = allocates(caller);
	map_list(hook, &call, (struct scatterlist *)dod_arg(fregs, 1), (int)dod_arg(fregs, 2),
		 (int)dod_arg(fregs, 3));
}
#endif

/* === IOVA ================================================================= */

/*
 * dma_iova_link(dev, state, phys, offset, size, dir, attrs)
 *
 * Memory is linked piece by piece, and the device owns all of it after dma_iova_sync(): only
 * then is it known that the links worked.
 */
HOOK_HANDLER(dod_on_iova_link)
{
	struct dod_call call DOD_UNINITIALIZED =
		call_begin(DOD_IOVA, (int)dod_arg(fregs, 5), caller, fregs);

	call.attrs = dod_arg(fregs, 6);
	if (is_ignored(call.attrs)) {
		count_ignored(call.attrs);
		dod_owner_lose_track(call.dev);
		return;
	}
	if (!dod_see_syncs(call.dev))
		return;
	dod_count(DOD_C_MAPS_LINKED);
	map(&call, dod_arg_addr(fregs, 2), (size_t)dod_arg(fregs, 4),
	    arg_iova(fregs)->addr + (size_t)dod_arg(fregs, 3));
	dod_owner_map_end(&call);
}

/* dma_iova_sync(dev, state, offset, size) */
HOOK_HANDLER(dod_on_iova_sync)
{
	struct dod_call call DOD_UNINITIALIZED = call_begin(DOD_IOVA, DMA_NONE, caller, fregs);

	dod_owner_iova_to_device(&call, arg_iova(fregs)->addr + (size_t)dod_arg(fregs, 2),
				 (size_t)dod_arg(fregs, 3));
}
