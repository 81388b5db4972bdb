/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, compilers and architectures. The rest of the code reads as if
 * written for the newest kernel; attach/ftrace.c's table says which hooks some kernels lack.
 * Detect by header or symbol where possible: distributions back-port.
 */
#ifndef DMA_OWNER_DEBUG_COMPAT_H
#define DMA_OWNER_DEBUG_COMPAT_H

#include <linux/dma-map-ops.h>
#include <linux/ftrace.h>
#include <linux/instruction_pointer.h>
#include <linux/ioport.h>
#include <linux/moduleparam.h>
#include <linux/ptrace.h>
#include <linux/stacktrace.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
/* sparse 0.6.4 does not know it, and is for 6.12 and later: they have them all. */
#ifdef __CHECKER__
#define __has_include(header)	1
#endif
/* Moved by "move asm/unaligned.h to linux/unaligned.h" in v6.12. */
#if __has_include(<linux/unaligned.h>)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif
#if __has_include(<linux/iommu-dma.h>)
#include <linux/iommu-dma.h>
#endif

/* The versions that this was tried with. */
#define DOD_IS_VERSION(a, b)	(LINUX_VERSION_CODE >= KERNEL_VERSION(a, b, 0) && \
				 LINUX_VERSION_CODE <= KERNEL_VERSION(a, b, 255))
#define DOD_UNTRIED		(!DOD_IS_VERSION(6, 1) && !DOD_IS_VERSION(6, 12) && \
				 !DOD_IS_VERSION(7, 3))

/*
 * Argument n of a hooked function, at its entry. Since "ftrace: abstract
 * DYNAMIC_FTRACE_WITH_ARGS accesses" in v6.2 the few registers that ftrace saves anyway are
 * enough, where the architecture has that option; elsewhere and before, all have to be saved.
 * The getter is a macro or an inline function, of several headers: Kbuild searches them.
 */
#if defined(CONFIG_ARM) && !defined(CONFIG_THUMB2_KERNEL) && \
	LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define DOD_COPIES_ARGS		1
#else
#define DOD_COPIES_ARGS		0
#endif
#if DOD_COPIES_ARGS
#define dod_arg(fregs, n)	((unsigned long)dod_arg_addr(fregs, n))
#elif defined(DOD_FTRACE_GETTER)
#define dod_arg(fregs, n)	ftrace_regs_get_argument(fregs, n)
#else
#define dod_arg(fregs, n)	regs_get_kernel_argument(ftrace_get_regs(fregs), n)
#endif
#if defined(DOD_FTRACE_GETTER) && defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#define DOD_FTRACE_FLAGS	0
#else
#define DOD_FTRACE_FLAGS	FTRACE_OPS_FL_SAVE_REGS
#endif

/*
 * 32-bit arm calls the tracer after the prologue. The first four words are still in registers:
 * gcc schedules nothing before that call, clang only copies them. The others are on the caller's
 * stack. With -pg clang always makes a frame pointer, gcc where the kernel is unwound by it;
 * otherwise the prologue tells how far the stack pointer has moved. The self-test at load proves
 * it for each hook.
 *
 * dod_arg_addr() is an argument of the type dma_addr_t or phys_addr_t.
 */
#if DOD_COPIES_ARGS
struct dod_args {
	u64 v[7];
	unsigned long sp, bp;	/* the caller's */
};

#define dod_arg_addr(fregs, n)	(((const struct dod_args *)(fregs))->v[n])

static inline const u32 *dod_stack_args(const struct pt_regs *regs, unsigned long ip,
					unsigned long entry)
{
#if defined(CONFIG_CC_IS_CLANG)
	return (const u32 *)(regs->ARM_fp + 8);
#elif defined(CONFIG_FRAME_POINTER)
	return (const u32 *)(regs->ARM_fp + 4);
#else
	unsigned long sp = regs->ARM_sp;
	const u32 *insn;

	for (insn = (const u32 *)entry; insn < (const u32 *)ip - 1; insn++)
		if ((*insn & 0xffff0000) == 0xe92d0000)		/* push {...} */
			sp += 4 * hweight16(*insn & 0xffff);
		else if ((*insn & 0xfffff000) == 0xe24dd000)	/* sub sp, sp, # */
			sp += ror32(*insn & 0xff, (*insn >> 7) & 0x1e);
	return (const u32 *)sp;
#endif
}

static inline unsigned long dod_bp_of_caller(const struct pt_regs *regs)
{
#if defined(CONFIG_CC_IS_CLANG)
	return *(const u32 *)regs->ARM_fp;
#elif defined(CONFIG_FRAME_POINTER)
	return *(const u32 *)(regs->ARM_fp - 12);
#else
	return regs->ARM_fp;
#endif
}

static inline u32 dod_arg_word(const struct pt_regs *regs, const u32 *stack, unsigned int slot)
{
	return slot < 4 ? regs->uregs[slot] : READ_ONCE(stack[slot - 4]);
}

/*
 * Arguments in the layout of AAPCS: 64 bits begin at an even word. @wide are those of dma_addr_t
 * and phys_addr_t, @entry is the function's first instruction. Returns what dod_arg() takes.
 */
static inline struct ftrace_regs *dod_copy_args(struct dod_args *args, struct ftrace_regs *fregs,
						unsigned long ip, unsigned long entry,
						unsigned int wide)
{
	const struct pt_regs *regs = ftrace_get_regs(fregs);
	const u32 *stack = dod_stack_args(regs, ip, entry);
	unsigned int n, slot = 0;

	for (n = 0; n < ARRAY_SIZE(args->v); n++) {
		bool two = sizeof(dma_addr_t) > sizeof(u32) && (wide & BIT(n));

		slot = two ? ALIGN(slot, 2) : slot;
		args->v[n] = dod_arg_word(regs, stack, slot++);
		if (two)
			args->v[n] |= (u64)dod_arg_word(regs, stack, slot++) << 32;
	}
	args->sp = (unsigned long)stack;
	args->bp = dod_bp_of_caller(regs);
	return (struct ftrace_regs *)args;
}
#else
struct dod_args {};

#define dod_arg_addr(fregs, n)				dod_arg(fregs, n)
#define dod_copy_args(args, fregs, ip, entry, wide)	((void)(args), (void)(wide), fregs)
#endif

/*
 * What base/stack_orc.c and base/stack_walk.c begin with: the registers that the caller of a
 * hooked function has when that returns. Frame and stack pointer are among those that ftrace saves
 * anyway.
 */
#if defined(CONFIG_X86_64) && defined(CONFIG_UNWINDER_ORC)
#define DOD_UNWINDS_ORC
#if __has_include(<linux/ftrace_regs.h>)
#define dod_saved_regs(fregs)	(&arch_ftrace_regs(fregs)->regs)
#else
#define dod_saved_regs(fregs)	(&(fregs)->regs)
#endif
#define dod_caller_sp(fregs)	(dod_saved_regs(fregs)->sp + sizeof(long))
/* The seventh argument follows the return address on the stack, and is always there. */
#define dod_arg6(fregs)		(((unsigned long *)dod_saved_regs(fregs)->sp)[1])
#define dod_caller_bp(fregs)	(dod_saved_regs(fregs)->bp)
#elif defined(CONFIG_RISCV) && defined(CONFIG_FRAME_POINTER)
#define DOD_WALKS_STACK
/* The frame pointer is not saved without CONFIG_FUNCTION_GRAPH_TRACER. */
#ifndef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
#define dod_caller_sp(fregs)	kernel_stack_pointer(ftrace_get_regs(fregs))
#elif __has_include(<linux/ftrace_regs.h>)
#define dod_caller_sp(fregs)	(arch_ftrace_regs(fregs)->sp)
#else
#define dod_caller_sp(fregs)	((fregs)->sp)
#endif
#define dod_arg6(fregs)		dod_arg(fregs, 6)
#define dod_caller_bp(fregs)	((void)(fregs), 0UL)
#elif DOD_COPIES_ARGS && defined(CONFIG_STACKTRACE)
#define DOD_WALKS_STACK
#define dod_arg6(fregs)		dod_arg(fregs, 6)
#define dod_caller_sp(fregs)	(((const struct dod_args *)(fregs))->sp)
#define dod_caller_bp(fregs)	(((const struct dod_args *)(fregs))->bp)
#else
#define dod_arg6(fregs)		dod_arg(fregs, 6)
#define dod_caller_sp(fregs)	((void)(fregs), 0UL)
#define dod_caller_bp(fregs)	((void)(fregs), 0UL)
#endif

/*
 * The same at the beginning of a tracepoint's probe, whose caller is the function with the
 * tracepoint, or what calls all probes of it. A function that asks for the address of its frame
 * has saved the frame pointer there, below the return address.
 */
#ifdef DOD_UNWINDS_ORC
#define dod_probe_site()							\
({										\
	unsigned long *__frame = __builtin_frame_address(0);			\
										\
	(struct dod_site){ _RET_IP_, (unsigned long)(__frame + 2), __frame[0] };	\
})
#elif defined(CONFIG_RISCV) && defined(DOD_WALKS_STACK)
/* The frame pointer is what the stack pointer was. */
#define dod_probe_site()	\
	((struct dod_site){ _RET_IP_, (unsigned long)__builtin_frame_address(0), 0 })
#else
#define dod_probe_site()	((struct dod_site){ _RET_IP_, 0, 0 })
#endif

/*
 * Large variables that are written before they are read, where
 * CONFIG_INIT_STACK_ALL_ZERO costs more than all the rest. For gcc since 12.
 */
#if __has_attribute(uninitialized)
#define DOD_UNINITIALIZED	__attribute__((uninitialized))
#else
#define DOD_UNINITIALIZED
#endif

/*
 * Of a function at its first instruction. Without it, as on 32-bit arm before v6.2 or in Thumb, the
 * module builds and refuses to load.
 */
#ifndef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API
#if DOD_COPIES_ARGS
#define regs_get_kernel_argument(regs, n)	((regs)->uregs[n])
#else
#define regs_get_kernel_argument(regs, n)	((void)(regs), (void)(n), 0UL)
#endif
#endif

/*
 * The out-of-line sync functions. Commit f406c8e4b770 ("dma: avoid redundant
 * calls for sync operations") in v6.10 put inline wrappers before them, and made
 * CONFIG_DMA_NEED_SYNC, which DMA_API_DEBUG selects.
 */
#ifdef CONFIG_DMA_NEED_SYNC
#define DOD_SYNC_PREFIX "__"
#else
#define DOD_SYNC_PREFIX ""
#endif
#define DOD_SYNC_SINGLE_FOR_CPU		DOD_SYNC_PREFIX "dma_sync_single_for_cpu"
#define DOD_SYNC_SINGLE_FOR_DEVICE	DOD_SYNC_PREFIX "dma_sync_single_for_device"
#define DOD_SYNC_SG_FOR_CPU		DOD_SYNC_PREFIX "dma_sync_sg_for_cpu"
#define DOD_SYNC_SG_FOR_DEVICE		DOD_SYNC_PREFIX "dma_sync_sg_for_device"
#define DOD_NEED_SYNC			DOD_SYNC_PREFIX "dma_need_sync"

/*
 * Without CONFIG_DMA_API_DEBUG there is no debug_dma_*() to hook. What they tell is told by
 * tracepoints at the same places, since "dma-mapping: trace dma_alloc/free direction" and its
 * series in v6.13, which v6.12.48 has, too: Kbuild looks for the last of them. And syncs are
 * skipped unless attach/skip_sync.c sees to it.
 */
#if !IS_ENABLED(CONFIG_DMA_API_DEBUG) && IS_ENABLED(CONFIG_DMA_NEED_SYNC) && \
	defined(DOD_DMA_EVENTS)
#define DOD_BY_EVENTS		1
#else
#define DOD_BY_EVENTS		0
#endif

/*
 * Pages became physical addresses, and MMIO an attribute, with "dma-debug: refactor
 * to use physical addresses for page mapping" and its series in v6.18.
 */
#ifdef DMA_ATTR_MMIO
#define DOD_MAPS_PHYS		1
#define DOD_ATTR_MMIO		DMA_ATTR_MMIO
#else
#define DOD_MAPS_PHYS		0
#define DOD_ATTR_MMIO		0
#endif

/*
 * User space's memory, and coherent by contract: "dma-mapping: Introduce DMA require
 * coherency attribute" in v7.1.
 */
#ifdef DMA_ATTR_REQUIRE_COHERENT
#define DOD_ATTR_COHERENT	DMA_ATTR_REQUIRE_COHERENT
#else
#define DOD_ATTR_COHERENT	0
#endif

/* "dma-mapping: Implement link/unlink ranges API" in v6.16. */
#ifdef DMA_IOVA_USE_SWIOTLB
#define DOD_LINKS_IOVA		1
#else
#define DOD_LINKS_IOVA		0
struct dma_iova_state {
	dma_addr_t addr;
};

#define dma_iova_size(state)					((void)(state), 0)
#define dma_iova_try_alloc(dev, state, phys, size)		((void)(phys), false)
#define dma_iova_free(dev, state)				((void)(state))
#define dma_iova_destroy(dev, state, len, dir, attrs)		((void)(state))
#define dma_iova_sync(dev, state, offset, size)			(-EOPNOTSUPP)
#define dma_iova_link(dev, state, phys, offset, size, dir, attrs) (-EOPNOTSUPP)
#define dma_iova_unlink(dev, state, offset, size, dir, attrs)	((void)(state))
#endif

/*
 * dma_need_unmap() tells drivers that they may skip unmaps, too: "dma-mapping: add a
 * dma_need_unmap helper" in v6.16, of the same series.
 */
#define DOD_SKIPS_UNMAPS	DOD_LINKS_IOVA

/*
 * As dma_map_direct(): neither an IOMMU nor operations of the device. Since commit b5c58b2fdc42
 * ("dma-mapping: direct calls for dma-iommu") in v6.12 IOMMUs have no dma_map_ops.
 */
static inline bool dod_maps_directly(struct device *dev)
{
#if __has_include(<linux/iommu-dma.h>)
	if (use_dma_iommu(dev))
		return false;
#endif
	return !get_dma_ops(dev);
}

/*
 * Memory of module images, which is not in the linear map; dma_map_single() itself refuses
 * vmalloc space. v6.1 does not export is_vmalloc_or_module_addr().
 */
static inline bool dod_is_module_addr(const void *addr)
{
#if defined(CONFIG_RISCV) && defined(CONFIG_64BIT) && defined(CONFIG_MODULES)
	/* MODULES_VADDR and MODULES_END are made of symbols that modules do not get. */
	unsigned long image = kernel_map.virt_addr;

	return (unsigned long)addr < image && !is_vmalloc_addr(addr) &&
	       (unsigned long)addr >= PFN_ALIGN(image + kernel_map.size) - SZ_2G;
#elif defined(CONFIG_MODULES) && defined(MODULES_VADDR)
	return (unsigned long)addr >= MODULES_VADDR &&
	       (unsigned long)addr < MODULES_END && !is_vmalloc_addr(addr);
#else
	return false;
#endif
}

/*
 * The images of the kernel and of modules are not in the linear map. On x86 and riscv both are
 * one mapping, at an offset from physical memory that virt_to_page() knows; on arm64
 * it knows none, and treats every address as one in the linear map.
 *
 * dod_image_addr() is where the kernel's image has its memory at @phys, and
 * dod_wrong_addr() the address in an image whose virt_to_page() led to @phys, where
 * no memory is; dod_wrong_vmalloc() the same for vmalloc space. dod_wrong_phys() is where
 * virt_to_page() of any address leads, without what CONFIG_DEBUG_VIRTUAL thinks of such: it
 * checks each on x86, and on arm64 makes virt_to_page() know about images.
 */
#ifdef CONFIG_X86_64
#define dod_image_addr(phys)	\
	((const void *)((phys) - phys_base + __START_KERNEL_map))
#define dod_wrong_addr(phys)	dod_image_addr(phys)
#define dod_wrong_phys(addr)	((u64)__phys_addr_nodebug((unsigned long)(addr)))
#elif defined(CONFIG_ARM64)
#define dod_image_addr(phys)	((const void *)__phys_to_kimg(phys))
#define dod_wrong_addr(phys)	((const void *)phys_to_virt(phys))
#define dod_wrong_phys(addr)						\
	((u64)(IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) &&			\
	       !IS_ENABLED(CONFIG_DEBUG_VIRTUAL) ?			\
	       __lm_to_phys((unsigned long)(addr)) :			\
	       __virt_to_phys_nodebug((unsigned long)(addr))))
#elif defined(CONFIG_RISCV) && defined(CONFIG_64BIT)
#define dod_image_addr(phys)	((const void *)kernel_mapping_pa_to_va(phys))
#define dod_wrong_addr(phys)	dod_image_addr(phys)
#define dod_wrong_phys(addr)	((u64)__va_to_pa_nodebug((unsigned long)(addr)))
#else
#define dod_image_addr(phys)	((const void *)phys_to_virt(phys))
#define dod_wrong_addr(phys)	((const void *)phys_to_virt(phys))
#define dod_wrong_phys(addr)	((u64)virt_to_phys((void *)(addr)))
#endif
/* To riscv all that is not in the linear map is its image. */
#if defined(CONFIG_RISCV) && defined(CONFIG_64BIT)
#define dod_wrong_vmalloc(phys)	dod_wrong_addr(phys)
#else
#define dod_wrong_vmalloc(phys)	((const void *)phys_to_virt(phys))
#endif

/*
 * "I know that I share these cache lines, and never dirty them": "dma-mapping: add
 * DMA_ATTR_CPU_CACHE_CLEAN" in v7.0, which "dma-mapping: Clarify valid conditions for
 * CPU cache line overlap" in v7.1 gave another name.
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

/*
 * Before "mm: Make ksize() a reporting-only function" in v6.2 the caller of ksize() may use
 * all of the object: ksize() removes the redzone, and our poison in the object.
 */
#define DOD_KSIZE_UNPOISONS	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0))

/*
 * Pages without a reference that are in use: "mm/page_alloc: add __alloc_frozen_pages()" and its
 * series in v6.14. Before, only the later pages of an allocation without __GFP_COMP were such.
 */
#define DOD_FROZEN_PAGES	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0))
/*
 * Of a file with mmap_prepare() the kernel itself maps the pages, and not by remap_pfn_range():
 * "mm: add remap_pfn_range_prepare(), remap_pfn_range_complete()" in v6.19.
 */
#define DOD_MMAP_PREPARE	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0))

/* For tests: cases have a speed since "kunit: Add speed attribute" in v6.6. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define KUNIT_CASE_SLOW				KUNIT_CASE
#define KUNIT_CASE_PARAM_ATTR(fn, gen, attrs)	KUNIT_CASE_PARAM(fn, gen)
#endif

/* For tests: kunit_vm_mmap(), since v6.12. */
#define DOD_KUNIT_MMAP	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && IS_ENABLED(CONFIG_MMU))

/*
 * For tests. The suites of a module run before it is in sysfs, in v6.1, where its
 * drivers would be. v6.12 has them later.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define dod_test_driver_register(drv)	__platform_driver_register(drv, NULL)
#else
#define dod_test_driver_register(drv)	platform_driver_register(drv)
#endif

/*
 * The size of this machine's cache lines. On arm64 dma_get_cache_alignment() was that of the
 * longest line of any processor, before CONFIG_DMA_BOUNCE_UNALIGNED_KMALLOC.
 */
#ifdef CONFIG_ARM64
#define dod_cache_line()	cache_line_size()
#else
#define dod_cache_line()	dma_get_cache_alignment()
#endif

/*
 * The processor's CRC-32C of eight bytes, which need not be aligned: without FPU registers, and
 * without a call of lib/crc32.c, which is instrumented. Only if dod_has_crc(), of all processors.
 */
#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#define dod_has_crc()	boot_cpu_has(X86_FEATURE_XMM4_2)
#elif defined(CONFIG_ARM64)
#include <asm/cpufeature.h>
#define dod_has_crc()	cpu_have_named_feature(CRC32)
#else
#define dod_has_crc()	false
#endif

static __always_inline u64 dod_crc_word(u64 crc, const u8 *at)
{
#ifdef CONFIG_X86_64
	struct unaligned {
		u64 word;
	} __packed;

	asm("crc32q %1, %0" : "+r" (crc) : "m" (*(const struct unaligned *)at));
#elif defined(CONFIG_ARM64)
	asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1"
	    : "+r" (crc) : "r" (get_unaligned((const u64 *)at)));
#endif
	return crc;
}

/*
 * For tests. Elsewhere all devices are coherent. Since "driver core: Replace
 * dev->dma_coherent with dev_dma_coherent()" in v7.2 it is a bit of device.flags, of which
 * no macro tells: Kbuild searches the header.
 */
#if !defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE) && \
	!defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU) && \
	!defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL)
#define dod_set_coherent(dev, coherent)	do { } while (0)
#elif defined(DOD_DEVICE_FLAGS)
#define dod_set_coherent(dev, coherent)	dev_assign_dma_coherent(dev, coherent)
#else
#define dod_set_coherent(dev, coherent)	((dev)->dma_coherent = (coherent))
#endif

/*
 * Before "entry, kasan, x86: Disallow overriding mem*() functions" in v6.3 KASAN's own memcpy()
 * checked whatever the compiler did. Since then, on x86_64, compilers without the prefix option
 * leave memcpy() and memset() unchecked (select GENERIC_ENTRY in arch/x86/Kconfig).
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define DOD_MEMCPY_CHECKED	1
#else
#define DOD_MEMCPY_CHECKED	(!IS_ENABLED(CONFIG_X86_64) || \
				 !IS_ENABLED(CONFIG_GENERIC_ENTRY) || \
				 IS_ENABLED(CONFIG_CC_HAS_KASAN_MEMINTRINSIC_PREFIX))
#endif

/* Const since "driver core: bus: constify bus_register/unregister_notifier()" in v6.3. */
#define dod_bus(bus)		((struct bus_type *)(bus))

/* For tests. "hrtimers: Introduce hrtimer_setup() to replace hrtimer_init()" in v6.13. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define dod_hrtimer_setup(timer, fn, clock, mode)			\
	do {								\
		hrtimer_init(timer, clock, mode);			\
		(timer)->function = fn;					\
	} while (0)
#else
#define dod_hrtimer_setup(timer, fn, clock, mode) hrtimer_setup(timer, fn, clock, mode)
#endif

/* "mm: update shmem_[kernel]_file_*() functions to use vma_flags_t" in v7.0. */
#ifdef EMPTY_VMA_FLAGS
#define DOD_NO_VMA_FLAGS	EMPTY_VMA_FLAGS
#else
#define DOD_NO_VMA_FLAGS	0
#endif

/* Where a function returns to, at its first instruction. */
#ifdef CONFIG_X86
#define dod_return_address(regs)	regs_get_kernel_stack_nth(regs, 0)
#elif defined(CONFIG_ARM)
#define dod_return_address(regs)	((regs)->ARM_lr)
#elif defined(CONFIG_RISCV)
#define dod_return_address(regs)	((regs)->ra)
#else
#define dod_return_address(regs)	procedure_link_pointer(regs)
#endif

/*
 * Kprobes that carry out, or copy, the instruction they replace through a function
 * pointer of the probe's: "x86/kprobes: Use int3 instead of debug trap for single-step"
 * in v5.13. On arm64 handlers run with interrupts off, and nothing comes between.
 */
#if defined(CONFIG_X86_64) && defined(CONFIG_KPROBES)
#include <asm/text-patching.h>
#define DOD_KPROBES_EMULATE
#endif

/* Argument 3 of a function, at its first instruction. */
#if defined(CONFIG_X86_64)
#define dod_set_arg3(fn_regs, value)	((fn_regs)->cx = (value))
#elif defined(CONFIG_ARM64)
#define dod_set_arg3(fn_regs, value)	((fn_regs)->regs[3] = (value))
#elif defined(CONFIG_ARM)
#define dod_set_arg3(fn_regs, value)	((fn_regs)->ARM_r3 = (value))
#elif defined(CONFIG_RISCV)
#define dod_set_arg3(fn_regs, value)	((fn_regs)->a3 = (value))
#else
#define dod_set_arg3(fn_regs, value)	((void)(fn_regs), (void)(value))
#endif

/*
 * Defines name(), which allocate_resource() calls for each gap: it calls function(data) and
 * accepts no gap. "resource: Pass full extent of empty space to resource_alignf CB" in v7.1
 * added an argument.
 */
#define DOD_DEFINE_ALIGNF(name, function)						\
static resource_size_t __maybe_unused							\
name##_4(void *data, const struct resource *gap, resource_size_t size,			\
	 resource_size_t align)								\
{											\
	function(data);									\
	return (resource_size_t)-1;							\
}											\
static resource_size_t __maybe_unused							\
name##_5(void *data, const struct resource *gap, const struct resource *all,		\
	 resource_size_t size, resource_size_t align)					\
{											\
	function(data);									\
	return (resource_size_t)-1;							\
}											\
static const typeof(DOD_ALIGNF(name)) name = DOD_ALIGNF(name)

#define DOD_ALIGNF(name) __builtin_choose_expr(						\
	__builtin_types_compatible_p(typeof(allocate_resource),				\
		int(struct resource *, struct resource *, resource_size_t,		\
		    resource_size_t, resource_size_t, resource_size_t,			\
		    typeof(&name##_4), void *)),					\
	&name##_4, &name##_5)

/* Without STACKTRACE the module still builds, and refuses to load. */
#ifndef CONFIG_STACKTRACE
static inline unsigned int stack_trace_save(unsigned long *store, unsigned int size,
					    unsigned int skipnr)
{
	return 0;
}
#endif

/* The same without TRACEPOINTS. */
#ifndef CONFIG_TRACEPOINTS
#include <linux/tracepoint.h>
#define for_each_kernel_tracepoint(fn, data)		((void)(fn))
#define tracepoint_probe_register(tp, fn, data)		(-EOPNOTSUPP)
#define tracepoint_probe_unregister(tp, fn, data)	((void)(tp))
#endif

/* In a trace event; Kbuild searches the header. */
#ifdef DOD_ASSIGN_STR_SRC
#define dod_assign_str(field, src)	__assign_str(field, src)
#else
#define dod_assign_str(field, src)	__assign_str(field)
#endif

/* What a suite of base/ calls. Their own macro came in v6.2, and its syntax changed in v6.13. */
#if IS_ENABLED(CONFIG_KUNIT)
#define EXPORT_SYMBOL_FOR_KUNIT(symbol)	EXPORT_SYMBOL_GPL(symbol)
#else
#define EXPORT_SYMBOL_FOR_KUNIT(symbol)
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
