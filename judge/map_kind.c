// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of map.c: memory of a kind that must not be mapped. Stacks, vmalloc space, and the
 * images of the kernel and of modules.
 *
 * Takes no locks. Where the images are is constant after load.
 */
#include "internal.h"

#include <linux/kallsyms.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

static void add_unrelated(struct dod_finding *f)
{
	dod_finding_add(f, "virt_to_page() does not work there: the device accesses unrelated memory.\n");
}

static void add_stack(struct dod_finding *f, struct task_struct *task)
{
	dod_finding_add(f, "The buffer is on the stack of task %.*s/%d.\n", TASK_COMM_LEN - 1,
			task->comm, task_pid_nr(task));
}

/* Whose stack is it? Only before a report: there may be many tasks. */
static bool add_owner_of_stack(struct dod_finding *f, const void *addr)
{
	struct task_struct *process, *task;
	bool found = false;

	rcu_read_lock();
	for_each_process_thread(process, task) {
		const void *stack = READ_ONCE(task->stack);

		found = stack && addr >= stack && addr < stack + THREAD_SIZE;
		if (found) {
			add_stack(f, task);
			goto out;
		}
	}
out:
	rcu_read_unlock();
	return found;
}

/*
 * The address in vmalloc space that was put through virt_to_page(), which phys_to_virt()
 * undoes; NULL if it was another one. What has a struct page is a peer's memory, which
 * can lie as high as that.
 */
static const void *in_vmalloc(const struct dod_mapping *m)
{
	const void *addr = dod_wrong_vmalloc(m->start);

	if (pfn_valid(PHYS_PFN(m->start)))
		return NULL;
	return is_vmalloc_addr(addr) && vmalloc_to_page(addr) ? addr : NULL;
}

bool dod_check_vmalloc_stack(const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = in_vmalloc(m);

	if (!addr || !add_owner_of_stack(f, addr))
		return false;
	dod_finding_add(f, "It is not in the linear map: the device accesses unrelated memory.\n");
	return true;
}

/* Of a stack in the linear map only the list of tasks proves that it is one. */
bool dod_check_stack(const struct dod_mapping *m, struct dod_finding *f)
{
	if (likely(!(m->memory & DOD_MEM_ODD)) ||
	    !dod_memory_on_stack(pfn_to_page(PHYS_PFN(m->start))))
		return false;
	if (!IS_ENABLED(CONFIG_VMAP_STACK))
		return add_owner_of_stack(f, phys_to_virt(m->start));
	add_stack(f, current);
	return true;
}

bool dod_check_vmalloc(const struct dod_mapping *m, struct dod_finding *f)
{
	if (!in_vmalloc(m))
		return false;
	dod_finding_add(f, "The address is in vmalloc space: vmalloc(), vmap(), ioremap() or percpu memory.\n");
	add_unrelated(f);
	return true;
}

/* Variables have names only with CONFIG_KALLSYMS_ALL. */
static void add_module_image(struct dod_finding *f, const void *addr)
{
	char name[64];

	dod_function_name((unsigned long)addr, name, sizeof(name));
	dod_finding_add(f, "The buffer is in the image of a module: %s.\n",
			strstarts(name, "0x") ? "a static variable or constant" : name);
	add_unrelated(f);
}

/* With KASLR, arm64 has modules in vmalloc space as well. Only before a report. */
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

bool dod_check_module_image(const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = dod_wrong_addr(m->start);

	if (pfn_valid(PHYS_PFN(m->start)) || !is_module(addr) || !vmalloc_to_page(addr))
		return false;
	f->addr = (unsigned long)addr;
	add_module_image(f, addr);
	return true;
}

void dod_check_single(const struct dod_mapping *m, const void *addr)
{
	struct dod_finding f = {
		.type = DOD_R_IMAGE_BUFFER,
		.addr = (unsigned long)addr,
	};

	if (dod_report_is_off(f.type))
		return;
	add_module_image(&f, addr);
	dod_report_mapping(&f, m);
}

/* Only x86 and riscv have resources of their own for constants and bss. */
static struct image {
	const char *name, *what;
	bool data;
	u64 start, last;
} images[] = {
	{ "Kernel code", IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_RISCV) ? "text" :
								      "text or constants" },
	{ "Kernel rodata", "read-only data" },
	{ "Kernel data", "data", true },
	{ "Kernel bss", "bss", true },
};

static void learn_image(const struct resource *res)
{
	struct image *i;

	for (i = images; i < images + ARRAY_SIZE(images); i++) {
		if (!res->name || strcmp(res->name, i->name))
			continue;
		i->start = res->start;
		i->last = res->end;
	}
}

/* Called with resource_lock held: none of them is freed meanwhile. */
static void find_images(void *found)
{
	const struct resource *ram, *tree, *part;

	if (*(bool *)found)
		return;
	*(bool *)found = true;
	for (ram = iomem_resource.child; ram; ram = ram->sibling)
		for (tree = ram->child; tree; tree = tree->sibling) {
			learn_image(tree);
			/* riscv has one for all of the image in between. */
			for (part = tree->child; part; part = part->sibling)
				learn_image(part);
		}
}

DOD_DEFINE_ALIGNF(alignf_find_images, find_images);

/*
 * Resources are freed when memory or devices go. Their lock is static, and the walks that
 * are exported do not tell names. But allocate_resource() calls its alignment function
 * with the lock held, for each gap, and fails here: no two bytes begin with the last one.
 */
void dod_learn_images(void)
{
	struct resource none = { .name = "dma_owner_debug", .flags = IORESOURCE_MEM };
	bool found = false;

	if (!allocate_resource(&iomem_resource, &none, 2, 0, -1, 1, alignf_find_images, &found))
		release_resource(&none);
	WARN_ON_ONCE(!found);
}

/* Names the image that an address is in; not its data, unless that counts. */
static bool add_image(struct dod_finding *f, const void *addr, bool data_counts)
{
	const struct image *i;

	for (i = images; i < images + ARRAY_SIZE(images); i++) {
		if (!i->last || addr < dod_image_addr(i->start) || addr > dod_image_addr(i->last) ||
		    (i->data && !data_counts))
			continue;
		dod_finding_add(f, "The buffer is in the image of the kernel, in its %s: %ps.\n",
				i->what, addr);
		return true;
	}
	return false;
}

/* arm64 has its image in vmalloc space. Elsewhere virt_to_page() is right. */
bool dod_check_image_in_vmalloc(const struct dod_mapping *m, struct dod_finding *f)
{
	const void *addr = in_vmalloc(m);

	if (!addr || !add_image(f, addr, true))
		return false;
	add_unrelated(f);
	return true;
}

/*
 * Documentation/core-api/dma-api-howto.rst, "What memory is DMA'able?": "you may
 * use neither kernel image addresses (items in data/text/bss segments), nor module
 * image addresses, nor stack addresses for DMA." A DMA_TO_DEVICE mapping of a static
 * variable of built-in code works on every machine all the same, and is not reported.
 * What a device writes overwrites its neighbours' lines.
 *
 * Since 7.x, arm64 does not have its data in the linear map (arch/arm64/mm/mmu.c: "Map the
 * kernel data/bss as invalid in the linear map"): this check is for NOT_RAM, too.
 */
bool dod_check_kernel_image(const struct dod_mapping *m, struct dod_finding *f)
{
	if (!pfn_valid(PHYS_PFN(m->start)) || !PageReserved(pfn_to_page(PHYS_PFN(m->start))))
		return false;
	/* Lists are padded with the zero page, which newer kernels have in read-only data. */
	if (pfn_to_page(PHYS_PFN(m->start)) == ZERO_PAGE(0) && m->dir == DMA_TO_DEVICE)
		return false;
	return add_image(f, dod_image_addr(m->start), m->dir != DMA_TO_DEVICE);
}
