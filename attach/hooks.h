/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of hooks share. ftrace.c has the table and calls a row's handler when the kernel
 * calls its function; map.c and sync.c have most handlers; selftest.c proves the rows. Without
 * CONFIG_DMA_API_DEBUG some rows are tracepoints: events.c attaches their probes, which stand in
 * map.c and sync.c, too, and skip_sync.c lets the kernel call what it skips otherwise.
 *
 * Handlers and probes run in the context of the caller, which is any but NMI.
 */
#ifndef DOD_HOOKS_H
#define DOD_HOOKS_H

#include "../base/compat.h"
#include "../judge/access.h"

enum hook_id {
	MAP_SINGLE, MAP_PAGE, UNMAP_PAGE, UNMAP_PHYS, MAP_SG, UNMAP_SG, UNMAP_SG_LIST,
	ALLOC_SGT, FREE_SGT,
	SYNC_CPU, SYNC_PREPARE, SYNC_DEVICE, SYNC_SG_CPU, SYNC_SG_PREPARE, SYNC_SG_DEVICE,
	ALLOC_PAGES, FREE_PAGES, API_FREE_PAGES, NEED_SYNC, SET_MASK, MAP_RESOURCE,
	IOVA_LINK, IOVA_SYNC, IOVA_UNLINK, IOVA_DESTROY, IOVA_FREE,
	SHUTDOWN, PANIC, FREE_BULK, FREE_NOLOCK, POOL_FREE, POOL_FREE_BULK,
	ALLOC_COHERENT, FREE_COHERENT, MMAP_COHERENT, SGT_COHERENT, REMAP_PFN,
	DO_REMAP_PFN, REMAP_PFN_COMPLETE, REMAP_NOTRACK, INSERT_PFN, INSERT_PFN_PROT,
	DMABUF_MAP, DMABUF_MAP_UNLOCKED, DMABUF_MMAP, DMABUF_MMAP_INTERNAL,
	NR_HOOKS
};

/* Is it an error if the kernel lacks a row's function? */
enum presence {
	REQUIRED,
	OPTIONAL,
	FALLBACK,	/* hooked only where the row before is missing */
	ABSENT,		/* not hooked in this kernel */
};

/* What a hook saw of the self-test's device. */
struct seen {
	unsigned int calls;
	unsigned long caller;	/* of an unmap */
	u64 phys, dma_addr, size;
	int dir, nents;
};

/* A row of the table. */
struct hook {
	const char *function;
	void (*handler)(struct hook *hook, unsigned long caller, struct ftrace_regs *fregs);
	/* Of a tracepoint, whose name @function is then; its data is the row. */
	void *probe;
	struct tracepoint *tp;	/* while the probe is attached */
	bool to_device;		/* a device may own more after it */
	u8 presence;		/* enum presence */
	u8 sync;		/* enum dod_event, of a sync */
	u8 wide;		/* a bit for each argument that is a dma_addr_t or phys_addr_t */
	bool missing;		/* not hooked; set at load */
	unsigned long ip;	/* of the hooked function, once it was called */
	unsigned long entry;	/* its first instruction */
	/* Return address into a hooked function that calls this one as well; set at load. */
	unsigned long nested;
	struct seen seen;
};

extern struct hook dod_hooks[NR_HOOKS];

int dod_hooks_selftest(void);
bool dod_event_counts(const struct hook *hook, const struct device *dev);

#if DOD_BY_EVENTS
int dod_events_start(void);
void dod_events_stop(void);
int dod_skip_sync_start(void);
void dod_skip_sync_all_seen(void);
void dod_skip_sync_stop(void);
bool dod_see_syncs(struct device *dev);
#else
static inline int dod_events_start(void)
{
	return 0;
}

static inline void dod_events_stop(void) {}

static inline int dod_skip_sync_start(void)
{
	return 0;
}

static inline void dod_skip_sync_all_seen(void) {}
static inline void dod_skip_sync_stop(void) {}

static inline bool dod_see_syncs(struct device *dev)
{
	return true;
}
#endif

#define HOOK_HANDLER(name) \
	void name(struct hook *hook, unsigned long caller, struct ftrace_regs *fregs)

HOOK_HANDLER(dod_on_map_single);
HOOK_HANDLER(dod_on_map_page);
HOOK_HANDLER(dod_on_map_phys);
HOOK_HANDLER(dod_on_alloc_pages);
HOOK_HANDLER(dod_on_map_resource);
HOOK_HANDLER(dod_on_map_sg);
HOOK_HANDLER(dod_on_alloc_coherent);
HOOK_HANDLER(dod_on_free_coherent);
HOOK_HANDLER(dod_on_mmap_coherent);
HOOK_HANDLER(dod_on_sgt_coherent);
HOOK_HANDLER(dod_on_remap_pfn);
HOOK_HANDLER(dod_on_remap_complete);
HOOK_HANDLER(dod_on_insert_pfn);
HOOK_HANDLER(dod_on_iova_link);
HOOK_HANDLER(dod_on_iova_sync);

HOOK_HANDLER(dod_on_unmap_page);
HOOK_HANDLER(dod_on_free_pages);
HOOK_HANDLER(dod_on_api_free_pages);
HOOK_HANDLER(dod_on_unmap_sg);
HOOK_HANDLER(dod_on_unmap_sg_list);
HOOK_HANDLER(dod_on_iova_unlink);
HOOK_HANDLER(dod_on_iova_destroy);
HOOK_HANDLER(dod_on_iova_free);
HOOK_HANDLER(dod_on_sync);
HOOK_HANDLER(dod_on_sync_sg);
HOOK_HANDLER(dod_on_prepare);
HOOK_HANDLER(dod_on_prepare_sg);
HOOK_HANDLER(dod_on_need_sync);
HOOK_HANDLER(dod_on_free_sgt);
HOOK_HANDLER(dod_on_set_mask);

/* A probe has the prototype of its tracepoint, after @data: kCFI panics at another. */
void dod_probe_map(void *data, struct device *dev, phys_addr_t phys, dma_addr_t dma_addr,
		   size_t size, enum dma_data_direction dir, unsigned long attrs);
void dod_probe_map_resource(void *data, struct device *dev, phys_addr_t phys,
			    dma_addr_t dma_addr, size_t size, enum dma_data_direction dir,
			    unsigned long attrs);
void dod_probe_alloc_pages(void *data, struct device *dev, void *addr, dma_addr_t dma_addr,
			   size_t size, enum dma_data_direction dir, gfp_t gfp,
			   unsigned long attrs);
void dod_probe_alloc_coherent(void *data, struct device *dev, void *addr, dma_addr_t dma_addr,
			      size_t size, enum dma_data_direction dir, gfp_t gfp,
			      unsigned long attrs);
void dod_probe_map_sg(void *data, struct device *dev, struct scatterlist *sg, int nents,
		      int mapped, enum dma_data_direction dir, unsigned long attrs);
void dod_probe_alloc_sgt(void *data, struct device *dev, struct sg_table *sgt, size_t size,
			 enum dma_data_direction dir, gfp_t gfp, unsigned long attrs);
void dod_probe_sync_for_device(void *data, struct device *dev, dma_addr_t dma_addr, size_t size,
			       enum dma_data_direction dir);
void dod_probe_sync_sg_for_device(void *data, struct device *dev, struct scatterlist *sg,
				  int nents, enum dma_data_direction dir);

static inline struct device *arg_dev(struct ftrace_regs *fregs)
{
	return (struct device *)dod_arg(fregs, 0);
}

static inline struct dma_iova_state *arg_iova(struct ftrace_regs *fregs)
{
	return (struct dma_iova_state *)dod_arg(fregs, 1);
}

/*
 * Of all functions of the DMA API the first argument is the device. Writes all members: callers
 * need not initialise what it fills in.
 */
static __always_inline struct dod_call call_begin(enum dod_kind kind, int dir,
						  unsigned long caller, struct ftrace_regs *fregs)
{
	return (struct dod_call) {
		.dev = arg_dev(fregs),
		.dir = dir,
		.kind = kind,
		.site = { caller, dod_caller_sp(fregs), dod_caller_bp(fregs) },
	};
}

/* The same in a probe. */
#define call_of_probe(_kind, _dir, _dev)					\
	((struct dod_call) {							\
		.dev = (_dev), .dir = (_dir), .kind = (_kind),			\
		.site = dod_probe_site(),					\
	})

static inline bool is_test_dev(const struct device *dev)
{
	return dev == READ_ONCE(dod_selftest.dev);
}

static inline void note_seen(struct hook *hook, const struct device *dev, u64 phys,
			     u64 dma_addr, u64 size, int dir, int nents)
{
	if (likely(!is_test_dev(dev)))
		return;
	hook->seen.calls++;
	hook->seen.phys = phys;
	hook->seen.dma_addr = dma_addr;
	hook->seen.size = size;
	hook->seen.dir = dir;
	hook->seen.nents = nents;
}

/* Rule 7: by its attributes it is memory whose owner does not change. */
static inline bool is_ignored(unsigned long attrs)
{
	return attrs & (DOD_ATTR_MMIO | DOD_ATTR_COHERENT);
}

#endif /* DOD_HOOKS_H */
