/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels, and nothing else. The rest of the code
 * reads as if written for the newest kernel. Detect by header or symbol where
 * possible: distributions back-port.
 */
#ifndef DMA_OWNER_DEBUG_COMPAT_H
#define DMA_OWNER_DEBUG_COMPAT_H

#include <linux/dma-map-ops.h>
#include <linux/ftrace.h>
#include <linux/iommu-dma.h>
#include <linux/moduleparam.h>
#include <linux/stacktrace.h>

/*
 * Argument n of a hooked function, at its entry. ftrace_regs_get_argument() is
 * there wherever DYNAMIC_FTRACE_WITH_ARGS is, from v6.2 on.
 */
#define dod_arg(fregs, n)	ftrace_regs_get_argument(fregs, n)
#define DOD_FTRACE_FLAGS	0

/*
 * The out-of-line sync functions. Commit f406c8e4b770 ("dma: avoid redundant
 * calls for sync operations") in v6.10 put inline wrappers before them.
 */
#define DOD_SYNC_SINGLE_FOR_CPU		"__dma_sync_single_for_cpu"
#define DOD_SYNC_SINGLE_FOR_DEVICE	"__dma_sync_single_for_device"
#define DOD_SYNC_SG_FOR_CPU		"__dma_sync_sg_for_cpu"
#define DOD_SYNC_SG_FOR_DEVICE		"__dma_sync_sg_for_device"
#define DOD_NEED_SYNC			"__dma_need_sync"

/*
 * As dma_map_direct(): neither an IOMMU nor operations of the device's own. Since
 * commit b5c58b2fdc42 ("dma-mapping: direct calls for dma-iommu") in v6.12 IOMMUs
 * have no dma_map_ops.
 */
static inline bool dod_maps_directly(struct device *dev)
{
	return !get_dma_ops(dev) && !use_dma_iommu(dev);
}

/*
 * Where the kernel's or a module's image would have the address whose virt_to_page()
 * led to @phys. On x86 both are one mapping, at an offset from physical memory; on
 * arm64 modules are as far from the linear map as vmalloc space is.
 */
static inline const void *dod_image_alias(u64 phys)
{
#ifdef CONFIG_X86_64
	return (const void *)(phys - phys_base + __START_KERNEL_map);
#elif defined(CONFIG_ARM64)
	const void *addr = phys_to_virt(phys);

	return pfn_valid(PHYS_PFN(phys)) ?
	       (const void *)__phys_to_kimg(phys) : addr;
#else
	return phys_to_virt(phys);
#endif
}

/*
 * "I know that I share these cache lines, and never dirty them": added by the
 * commits "dma-mapping: add DMA_ATTR_CPU_CACHE_CLEAN" and "dma-debug: track cache
 * clean flag in entries", v7.0, renamed since.
 */
#ifdef DMA_ATTR_CPU_CACHE_CLEAN
#define DOD_ATTR_CACHE_CLEAN	DMA_ATTR_CPU_CACHE_CLEAN
#else
#define DOD_ATTR_CACHE_CLEAN	0
#endif
#ifdef DMA_ATTR_DEBUGGING_IGNORE_CACHELINES
#define DOD_ATTR_IGNORE_LINES	DMA_ATTR_DEBUGGING_IGNORE_CACHELINES
#else
#define DOD_ATTR_IGNORE_LINES	0
#endif
#define DOD_ATTR_OWN_LINES	(DOD_ATTR_CACHE_CLEAN | DOD_ATTR_IGNORE_LINES)

/* Where a function returns to, at its first instruction. */
#ifdef CONFIG_X86
#define dod_return_address(regs)	regs_get_kernel_stack_nth(regs, 0)
#else
#define dod_return_address(regs)	procedure_link_pointer(regs)
#endif

/* Without STACKTRACE the module still builds, and refuses to load. */
#ifndef CONFIG_STACKTRACE
static inline unsigned int stack_trace_save(unsigned long *store,
					    unsigned int size,
					    unsigned int skipnr)
{
	return 0;
}
#endif

/* Built in, the parameters of the whole kernel are in one list. */
#ifdef MODULE
#define DOD_FIRST_PARAM	(THIS_MODULE->kp)
#define DOD_END_OF_PARAMS	(THIS_MODULE->kp + THIS_MODULE->num_kp)
#define DOD_PARAM_PREFIX	""
#else
extern const struct kernel_param __start___param[], __stop___param[];
#define DOD_FIRST_PARAM	__start___param
#define DOD_END_OF_PARAMS	__stop___param
#define DOD_PARAM_PREFIX	KBUILD_MODNAME "."
#endif

#endif /* DMA_OWNER_DEBUG_COMPAT_H */
