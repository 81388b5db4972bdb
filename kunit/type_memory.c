// SPDX-License-Identifier: GPL-2.0
/*
 * vmalloc-buffer, stack-buffer, image-buffer: memory that must not be mapped. Each alone and
 * as an entry of a list between good ones, and what the hint of the report advises instead.
 */

#include <linux/completion.h>
#include <linux/ctype.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "kt_misuse.h"

KT_WAYS;

/* === vmalloc space ======================================================== */

/* The address that virt_to_page() makes of one outside of the linear map. */
static u64 phys_of(const void *addr)
{
#ifdef CONFIG_X86_64
	return __phys_addr_nodebug((unsigned long)addr);
#elif defined(CONFIG_RISCV)
	return dod_wrong_phys(addr);
#else
	const void *base = page_address(ZERO_PAGE(0));

	return page_to_phys(ZERO_PAGE(0)) + (addr - base);
#endif
}

static const bool any_page_has_a_pointer =
	!IS_ENABLED(CONFIG_SPARSEMEM) || IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP);

/* page_to_virt() asks struct page for its memory's tag. */
static const bool page_has_a_tag =
	IS_ENABLED(CONFIG_KASAN_SW_TAGS) || IS_ENABLED(CONFIG_KASAN_HW_TAGS);

/*
 * Such a page may not exist. Then only some memory models have a pointer to it, which
 * P2PDMA would follow, and dma-debug where pages have tags. Without a pointer, the test
 * maps at an offset from another page.
 */
static void requires_no_page(struct kunit *test)
{
	if (kt_is_list(test)) {
		KT_REQUIRES(test, any_page_has_a_pointer);
		KT_REQUIRES(test, !IS_ENABLED(CONFIG_PCI_P2PDMA));
		KT_REQUIRES(test, !page_has_a_tag);
	}
	kt_requires_quiet(test);
}

static void map_no_page(struct kunit *test, const void *addr, size_t size)
{
	u64 phys = phys_of(addr);

	if (IS_ENABLED(CONFIG_RISCV) && is_vmalloc_addr(addr))
		kunit_skip(test, "virt_to_page() leads elsewhere on riscv, and is not recognised yet");
	if (kt_is_list(test))
		kt_map_page(test, pfn_to_page(PHYS_PFN(phys)), offset_in_page(addr), size,
			    DMA_TO_DEVICE);
	else
		kt_map_page(test, ZERO_PAGE(0), phys - page_to_phys(ZERO_PAGE(0)), size,
			    DMA_TO_DEVICE);
}

static void says_vmalloc(struct kunit *test, const void *addr, size_t size)
{
	kt_says(test, "The address is in vmalloc space: *");
	kt_says(test, "virt_to_page() does not work there: *");
	kt_says_where(test, addr, size);
	kt_says(test, "Hint: use kmalloc() memory, or map the pages one by one: *");
}

static void vmalloc_reported(struct kunit *test)
{
	u8 *buf;
	int i;

	requires_no_page(test);
	buf = vmalloc(3 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	map_no_page(test, buf, 256);
	EXPECT_MISUSE(test, "vmalloc-buffer", 256);
	says_vmalloc(test, buf, 256);
	map_no_page(test, buf + PAGE_SIZE + 100, 1);
	EXPECT_MISUSE(test, "vmalloc-buffer", 1);
	says_vmalloc(test, buf + PAGE_SIZE + 100, 1);
	map_no_page(test, buf, 3 * PAGE_SIZE);
	EXPECT_MISUSE(test, "vmalloc-buffer", 3 * PAGE_SIZE);

	/* Page by page, as it should be. */
	for (i = 0; i < 3; i++)
		kt_map_page(test, vmalloc_to_page(buf + i * PAGE_SIZE), 0, PAGE_SIZE,
			    DMA_FROM_DEVICE);
	kt_map_page(test, vmalloc_to_page(buf + PAGE_SIZE + 100), 100, PAGE_SIZE - 100,
		    DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	vfree(buf);
}

static void vmap_reported(struct kunit *test)
{
	struct page *pages[] = { kt_page(test, 0), kt_page(test, 0) };
	u8 *buf;

	requires_no_page(test);
	buf = vmap(pages, 2, VM_MAP, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	map_no_page(test, buf + 64, 128);
	EXPECT_MISUSE(test, "vmalloc-buffer", 128);
	says_vmalloc(test, buf + 64, 128);
	kt_map_page(test, vmalloc_to_page(buf), 64, 128, DMA_TO_DEVICE);
	kt_map_page(test, vmalloc_to_page(buf + PAGE_SIZE), 0, PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	vunmap(buf);
}

/* The first percpu chunk may be in the linear map, and is soon full. */
static void percpu_reported(struct kunit *test)
{
	void __percpu *mem[8];
	u8 *buf = NULL;
	int n = 0;

	requires_no_page(test);
	while (n < ARRAY_SIZE(mem)) {
		mem[n] = __alloc_percpu(SZ_16K, 64);
		if (!mem[n])
			break;
		buf = raw_cpu_ptr(mem[n++]);
		if (is_vmalloc_addr(buf))
			break;
	}
	if (n && is_vmalloc_addr(buf)) {
		map_no_page(test, buf, 64);
		EXPECT_MISUSE(test, "vmalloc-buffer", 64);
		says_vmalloc(test, buf, 64);
		kt_map_page(test, vmalloc_to_page(buf), offset_in_page(buf), 64,
			    DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	while (n)
		free_percpu(mem[--n]);
	if (!is_vmalloc_addr(buf))
		kunit_skip(test, "percpu memory is all in the linear map");
}

/* What the hint advises: a table of the pages, neighbours merged. */
static void vmalloc_pages_as_table_silent(struct kunit *test)
{
	u8 *buf = vmalloc(16 * PAGE_SIZE);
	struct page *pages[16];
	struct sg_table sgt;
	int i, err;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < 16; i++)
		pages[i] = vmalloc_to_page(buf + i * PAGE_SIZE);
	err = sg_alloc_table_from_pages(&sgt, pages, 16, 100, 16 * PAGE_SIZE - 200,
					GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err) {
		err = dma_map_sgtable(kt_dev, &sgt, DMA_BIDIRECTIONAL, 0);
		KUNIT_EXPECT_EQ(test, err, 0);
		if (!err)
			dma_unmap_sgtable(kt_dev, &sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(&sgt);
	}
	EXPECT_SILENCE(test);
	vfree(buf);
}

/* === Stacks =============================================================== */

static void says_stack(struct kunit *test, struct task_struct *task,
		       const void *addr, size_t size)
{
	kt_says(test, "The buffer is on the stack of task %s/%d.", task->comm,
		task_pid_nr(task));
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		kt_says(test, "It is not in the linear map: *");
	kt_says_where(test, addr, size);
	kt_says(test, "Hint: use kmalloc() memory: a stack *");
}

static void requires_stack(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		requires_no_page(test);
	else
		kt_requires_quiet(test);
}

static void map_stack(struct kunit *test, const void *addr, size_t size)
{
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		map_no_page(test, addr, size);
	else
		kt_map_buf(test, addr, size);
}

static void own_stack_reported(struct kunit *test)
{
	u8 local[64] __aligned(64);
	u8 *copy = kt_buf(test, sizeof(local));

	requires_stack(test);
	memset(local, 1, sizeof(local));
	map_stack(test, local, sizeof(local));
	EXPECT_MISUSE(test, "stack-buffer", sizeof(local));
	says_stack(test, current, local, sizeof(local));
	map_stack(test, local + 5, 3);
	EXPECT_MISUSE(test, "stack-buffer", 3);
	says_stack(test, current, local + 5, 3);

	memcpy(copy, local, sizeof(local));
	kt_map_buf(test, copy, sizeof(local));
	EXPECT_SILENCE(test);
}

/* A driver that translates the address of its stack itself. */
static void page_of_stack_reported(struct kunit *test)
{
	u8 local[64] __aligned(64);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_VMAP_STACK));
	memset(local, 1, sizeof(local));
	kt_map_page(test, vmalloc_to_page(local), offset_in_page(local), sizeof(local),
		    DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "stack-buffer", sizeof(local));
	kt_says(test, "The buffer is on the stack of task %s/%d.", current->comm,
		task_pid_nr(current));
	kt_says(test, "Device * maps %zu bytes, DMA_TO_DEVICE", sizeof(local));
	KUNIT_EXPECT_FALSE(test, kt_has("It is not in the linear map*"));
	KUNIT_EXPECT_EQ(test, local[0], 1);
}

struct lender {
	struct completion lent, returned;
	u8 *local;
};

static int lend_stack(void *arg)
{
	struct lender *lender = arg;
	u8 local[64] __aligned(64), *p = local;

	memset(local, 1, sizeof(local));
	OPTIMIZER_HIDE_VAR(p);
	lender->local = p;
	complete(&lender->lent);
	wait_for_completion(&lender->returned);
	return p[0] == 1 ? 0 : -EIO;
}

static void stack_of_other_task_reported(struct kunit *test)
{
	struct lender lender = {
		.lent = COMPLETION_INITIALIZER_ONSTACK(lender.lent),
		.returned = COMPLETION_INITIALIZER_ONSTACK(lender.returned),
	};
	struct kt_thread thread;

	requires_stack(test);
	kt_thread_start(&thread, lend_stack, &lender);
	if (!IS_ERR(thread.task)) {
		wait_for_completion(&lender.lent);
		map_stack(test, lender.local, 64);
		EXPECT_MISUSE(test, "stack-buffer", 64);
		says_stack(test, thread.task, lender.local, 64);
		complete(&lender.returned);
	}
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
}

/* === Images =============================================================== */

static char own_data[64] = "of a module, or of the kernel if built in";

static const char own_rodata[64] = "that must not be mapped, either";

/* Maps the image of the kernel, also where virt_to_page() of it would be wrong. */
static void map_kernel_image(struct kunit *test, const void *addr, size_t size,
			     enum dma_data_direction dir)
{
	kt_map_page(test, pfn_to_page(PHYS_PFN(__pa_symbol(addr))), offset_in_page(addr),
		    size, dir);
}

#ifdef MODULE
/*
 * dma_map_single() maps what virt_to_page() returns, which can be anybody's memory.
 * The first report is about the address; what is said about that memory depends.
 */
static kt_noinline void test_map_own(struct kunit *test, const void *addr, size_t size)
{
	dma_addr_t dma;
	u32 saved;

	kt_requires_quiet(test);
	KT_REQUIRES(test, !IS_ENABLED(CONFIG_DEBUG_VIRTUAL));
	/* The address itself is not seen. */
	KT_REQUIRES(test, !DOD_BY_EVENTS);
	KT_REQUIRES(test, (any_page_has_a_pointer && !page_has_a_tag) ||
		    pfn_valid(PHYS_PFN(phys_of(addr))));
	saved = kt_quiet_dma_debug();
	dma = dma_map_single_attrs(kt_dev, (void *)addr, size, DMA_TO_DEVICE,
				   DMA_ATTR_SKIP_CPU_SYNC);
	if (!dma_mapping_error(kt_dev, dma))
		dma_unmap_single_attrs(kt_dev, dma, size, DMA_TO_DEVICE,
				       DMA_ATTR_SKIP_CPU_SYNC);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	kt_says(test, "BUG: DMA_OWNER: image-buffer in test_map_own+0x*");
	kt_says(test, "Map of size %zu at %lx by task *", size, (unsigned long)addr);
	kt_says(test, GIVEN "*", size);
	kt_says(test, " \\[%lx, %lx)*", (unsigned long)addr, (unsigned long)addr + size);
	kt_says(test, "The buffer is in the image of a module: *");
	kt_says(test, "virt_to_page() does not work there: *");
	kt_says(test, "Hint: copy the data to kmalloc() memory with kmemdup(): *");
}

static void module_image_reported(struct kunit *test)
{
	test_map_own(test, own_data, sizeof(own_data));
	test_map_own(test, own_data + 5, 3);
	test_map_own(test, own_rodata, sizeof(own_rodata));
}
#else
static void module_image_reported(struct kunit *test)
{
	map_kernel_image(test, own_data, 64, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	map_kernel_image(test, own_data, 64, DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 64);
	kt_says(test, "The buffer is in the image of the kernel, in its data: *");
	map_kernel_image(test, own_rodata, 64, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 64);
	kt_says(test, "The buffer is in the image of the kernel, in its *: *");
}
#endif

/* virt_to_page() of a module's address: no memory, or somebody else's. */
static void module_image_page_reported(struct kunit *test)
{
	KT_REQUIRES(test, __is_defined(MODULE) &&
		    (is_vmalloc_addr(own_data) || dod_is_module_addr(own_data)));
	requires_no_page(test);
	if (pfn_valid(PHYS_PFN(phys_of(own_data))))
		kunit_skip(test, "there is memory at what virt_to_page() returns");
	map_no_page(test, own_data, 16);
	EXPECT_MISUSE(test, "image-buffer", 16);
	kt_says(test, "The buffer is in the image of a module: *");
	kt_says(test, "virt_to_page() does not work there: *");
	kt_says_where(test, own_data, 16);
}

/*
 * virt_to_page() of the kernel's own variables: right on x86. On arm64 no direction
 * works, and dma_map_single() refuses to try.
 */
static void kernel_image_address_reported(struct kunit *test)
{
	const void *var = &iomem_resource, *fn = kfree;

	OPTIMIZER_HIDE_VAR(var);
	OPTIMIZER_HIDE_VAR(fn);
	KT_REQUIRES(test, is_vmalloc_addr(var));
	requires_no_page(test);
	map_no_page(test, var, sizeof(iomem_resource));
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
	kt_says(test, "The buffer is in the image of the kernel, in its data: *");
	kt_says(test, "virt_to_page() does not work there: *");
	kt_says_where(test, var, sizeof(iomem_resource));
	map_no_page(test, fn, 16);
	EXPECT_MISUSE(test, "image-buffer", 16);
	kt_says(test, "The buffer is in the image of the kernel, in its text or constants: kfree.");
	kt_says_where(test, fn, 16);
}

static void copy_of_image_silent(struct kunit *test)
{
	char *copy = kt_buf(test, sizeof(own_data));

	memcpy(copy, own_data, sizeof(own_data));
	kt_map_buf(test, copy, sizeof(own_data));
	EXPECT_SILENCE(test);
}

static void kernel_text_reported(struct kunit *test)
{
	const void *fn = kfree;

	OPTIMIZER_HIDE_VAR(fn);
	map_kernel_image(test, fn, 16, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 16);
	kt_says(test, "The buffer is in the image of the kernel, in its text*: kfree.");
	kt_says(test, "Hint: copy the data to kmalloc() memory with kmemdup(): *");
}

static void kernel_rodata_reported(struct kunit *test)
{
	map_kernel_image(test, _ctype, 256, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 256);
	kt_says(test, IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_RISCV) ?
	     "The buffer is in the image of the kernel, in its read-only data: *" :
	     "The buffer is in the image of the kernel, in its text or constants: *");
	kt_says(test, "Device * maps 256 bytes, DMA_TO_DEVICE");
}

/* DMA_TO_DEVICE of kernel data works everywhere, and is tolerated. */
static void kernel_data_from_device_reported(struct kunit *test)
{
	const void *var = &iomem_resource;

	OPTIMIZER_HIDE_VAR(var);
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
	kt_says(test, "The buffer is in the image of the kernel, in its data: *");
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_BIDIRECTIONAL);
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
}

/* The zero page is in the image as well, and many drivers map it for padding. */
static void zero_page_from_device_reported(struct kunit *test)
{
	kt_map_page(test, ZERO_PAGE(0), 0, PAGE_SIZE, DMA_TO_DEVICE);
	kt_map_page(test, ZERO_PAGE(0), 512, 512, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	kt_map_page(test, ZERO_PAGE(0), 512, 512, DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 512);
	kt_says(test, "The buffer is in the image of the kernel, in its *: *");
}

static struct kunit_case memory_cases[] = {
	BOTH_WAYS(vmalloc_reported),
	BOTH_WAYS(vmap_reported),
	BOTH_WAYS(percpu_reported),
	KUNIT_CASE(vmalloc_pages_as_table_silent),
	BOTH_WAYS(own_stack_reported),
	BOTH_WAYS(page_of_stack_reported),
	BOTH_WAYS(stack_of_other_task_reported),
	KUNIT_CASE(module_image_reported),
	BOTH_WAYS(module_image_page_reported),
	BOTH_WAYS(kernel_image_address_reported),
	BOTH_WAYS(copy_of_image_silent),
	BOTH_WAYS(kernel_text_reported),
	BOTH_WAYS(kernel_rodata_reported),
	BOTH_WAYS(kernel_data_from_device_reported),
	BOTH_WAYS(zero_page_from_device_reported),
	{}
};

KT_SUITE(memory);
