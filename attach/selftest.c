// SPDX-License-Identifier: GPL-2.0
/*
 * The self-test at load: a round of all calls on a device of our own. A kernel that inlines or
 * renames one of the functions, or passes arguments otherwise, must not be trusted.
 *
 * One thread, process context, no locks.
 */
#include "../guard/guard.h"
#include "../owner/owner.h"
#include "attach.h"
#include "hooks.h"

#include <linux/bitmap.h>
#include <linux/kallsyms.h>
#include <linux/kasan-checks.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#define TEST_SIZE 256

struct test {
	struct platform_device *pdev;
	struct device *dev;
	u8 *buf;
	const char *wrong;	/* what did not work, NULL so far */
	char text[192];		/* that; the longest has 180 characters */
};

/* === What is expected ===================================================== */

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
static bool expect(struct test *t, enum hook_id id, u64 phys, u64 dma_addr, u64 size, int dir)
{
	const char *function = dod_hooks[id].function;
	struct seen seen = dod_hooks[id].seen;

	dod_hooks[id].seen = (struct seen) {};
	if (t->wrong)
		return false;
	if (dod_hooks[id].presence == ABSENT)
		return true;
	if (seen.calls != 1)
		return fail(t, "hook %s ran %u times instead of once", function, seen.calls);
	if ((phys && seen.phys != phys) || seen.dma_addr != dma_addr ||
	    seen.size != size || seen.dir != dir)
		return fail(t, "hook %s read %llx %llx %llu %d, not %llx %llx %llu %d",
			    function, seen.phys, seen.dma_addr, seen.size,
			    seen.dir, phys, dma_addr, size, dir);
	return true;
}

/* By the guard, or where that cannot tell by what it would be asked to poison. */
static bool expect_guarded(struct test *t, const char *when, bool guarded)
{
	struct dod_mapping m;
	struct dod_range range;
	bool is;

	if (t->wrong)
		return false;
	is = dod_guard.traps ? dod_poison_ops.is_poisoned(t->buf) :
	     dod_owner_find(virt_to_phys(t->buf), true, &m, &range) &&
	     m.trap != DOD_TRAP_NONE;
	if (is != guarded)
		return fail(t, "memory is %s after %s",
			    guarded ? "not guarded" : "still guarded", when);
	return true;
}

/* The engine is not instrumented: ask the sanitizer to check for us. */
static bool expect_trap(struct test *t)
{
	unsigned int before = READ_ONCE(dod_selftest.traps);

	if (t->wrong)
		return false;
	if (!dod_guard.traps)
		return true;
	__kasan_check_read(t->buf, 1);
	if (READ_ONCE(dod_selftest.traps) == before)
		return fail(t, "an access to memory that a device owns was not trapped");
	return true;
}

/*
 * Where pages are unmapped through dma_unmap_phys(), each of the two functions can be called
 * alone, or the compiler has made a copy of the one in the other. Of two calls for one unmap
 * the second could end an equal mapping: only the one whose caller is the driver counts. That
 * is the second if the first jumps to it.
 */
static void expect_unmap(struct test *t, u64 dma_addr, int dir)
{
	struct hook *page = &dod_hooks[UNMAP_PAGE], *phys = &dod_hooks[UNMAP_PHYS];
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
	expect(t, page->missing ? UNMAP_PHYS : UNMAP_PAGE, 0, dma_addr, TEST_SIZE, dir);
}

/* === The round ============================================================ */

/*
 * x |= y reads and writes. Compilers check an address once for both, at the read, unless clang
 * is told otherwise. One of the kernel's functions that does it shows how the kernel was
 * built; nobody can tell how drivers were.
 */
static void test_rmw(struct test *t)
{
	unsigned int before = READ_ONCE(dod_selftest.write_traps);

	if (t->wrong || !dod_guard.traps)
		return;
	__bitmap_set((unsigned long *)t->buf, 0, 4);
	dod_selftest.rmw_is_write = READ_ONCE(dod_selftest.write_traps) != before;
}

/* Maps @t->buf and checks the two hooks of dma_map_single(). */
static bool map_single(struct test *t, int dir, unsigned long attrs, dma_addr_t *dma_addr)
{
	*dma_addr = dma_map_single_attrs(t->dev, t->buf, TEST_SIZE, dir, attrs);
	if (dma_mapping_error(t->dev, *dma_addr))
		return fail(t, "the self-test could not map memory");
	expect(t, MAP_SINGLE, (unsigned long)t->buf, 0, TEST_SIZE, 0);
	expect(t, MAP_PAGE, virt_to_phys(t->buf), *dma_addr, TEST_SIZE, dir);
	return true;
}

static void test_single(struct test *t)
{
	int dir = DMA_FROM_DEVICE;
	dma_addr_t dma_addr;

	if (!map_single(t, dir, 0, &dma_addr))
		return;
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
	if (!map_single(t, dir, DMA_ATTR_SKIP_CPU_SYNC, &dma_addr))
		return;
	expect_guarded(t, "dma_map_single_attrs(DMA_ATTR_SKIP_CPU_SYNC)", false);
	dma_unmap_single_attrs(t->dev, dma_addr, TEST_SIZE, dir, DMA_ATTR_SKIP_CPU_SYNC);
	expect_unmap(t, dma_addr, dir);
}

/* Syncs of what is mapped may be skipped then, until the next map: of test_need_sync(). */
static void test_set_mask(struct test *t)
{
	int dir = DMA_FROM_DEVICE;
	dma_addr_t dma_addr;

	if (dod_hooks[SET_MASK].presence == ABSENT || !map_single(t, dir, 0, &dma_addr))
		return;
	if (dma_set_mask(t->dev, DMA_BIT_MASK(64)))
		fail(t, "dma_set_mask() failed in the self-test");
	expect(t, SET_MASK, 0, 0, 0, 0);
	expect_guarded(t, "dma_set_mask()", !dev_is_dma_coherent(t->dev));
	dma_unmap_single(t->dev, dma_addr, TEST_SIZE, dir);
	expect_unmap(t, dma_addr, dir);
}

static void test_need_sync(struct test *t)
{
	int dir = DMA_TO_DEVICE;
	dma_addr_t dma_addr;
	bool needed;

	if (!map_single(t, dir, 0, &dma_addr))
		return;
	needed = dma_need_sync(t->dev, dma_addr);
	expect(t, NEED_SYNC, 0, dma_addr, 0, DMA_BIDIRECTIONAL);
	expect_guarded(t, needed ? "dma_map_single()" : "dma_need_sync()", needed);
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
	WRITE_ONCE(dod_hooks[UNMAP_SG_LIST].nested, dod_hooks[UNMAP_SG_LIST].seen.caller);
	expect(t, UNMAP_SG_LIST, phys, dma_addr, TEST_SIZE, dir);
	expect_guarded(t, "dma_unmap_sg()", false);
}

static void test_alloc_pages(struct test *t)
{
	bool announced_as_map = dod_hooks[ALLOC_PAGES].missing;
	int dir = DMA_FROM_DEVICE;
	dma_addr_t dma_addr;
	struct page *page;

	page = dma_alloc_pages(t->dev, PAGE_SIZE, &dma_addr, dir, GFP_KERNEL);
	if (!page) {
		fail(t, "dma_alloc_pages() failed in the self-test");
		return;
	}
	/* Where debug_dma_map_page() announces it, dma-debug expects to be asked. */
	if (announced_as_map && dma_mapping_error(t->dev, dma_addr))
		fail(t, "dma_alloc_pages() has no bus address");
	t->buf = page_address(page);
	expect(t, announced_as_map ? MAP_PAGE : ALLOC_PAGES, page_to_phys(page), dma_addr,
	       PAGE_SIZE, dir);
	expect_guarded(t, "dma_alloc_pages()", false);
	dma_free_pages(t->dev, PAGE_SIZE, page, dma_addr, dir);
	expect(t, FREE_PAGES, page_to_phys(page), dma_addr, PAGE_SIZE, dir);
}

static void test_alloc_noncontiguous(struct test *t)
{
	int dir = DMA_FROM_DEVICE;
	dma_addr_t dma_addr;
	struct sg_table *sgt;
	u64 phys, size;

	sgt = dma_alloc_noncontiguous(t->dev, PAGE_SIZE, dir, GFP_KERNEL, 0);
	if (!sgt) {
		fail(t, "dma_alloc_noncontiguous() failed in the self-test");
		return;
	}
	phys = sg_phys(sgt->sgl);
	size = sgt->sgl->length;
	dma_addr = sg_dma_address(sgt->sgl);
	t->buf = sg_virt(sgt->sgl);
	expect(t, dod_hooks[ALLOC_SGT].missing ? MAP_SG : ALLOC_SGT, phys, dma_addr, size, dir);
	expect_guarded(t, "dma_alloc_noncontiguous()", false);
	dma_free_noncontiguous(t->dev, PAGE_SIZE, sgt, dir);
	expect(t, UNMAP_SG_LIST, phys, dma_addr, size, dir);
	expect(t, FREE_SGT, phys, dma_addr, size, dir);
}

static void test_resource(struct test *t)
{
	phys_addr_t phys = SZ_1G;
	dma_addr_t dma_addr;

	/* Any address outside RAM will do: nothing is accessed. */
	while (pfn_valid(PHYS_PFN(phys)))
		phys *= 2;
	dma_addr = dma_map_resource(t->dev, phys, PAGE_SIZE, DMA_TO_DEVICE, 0);
	expect(t, dod_hooks[MAP_RESOURCE].missing ? MAP_PAGE : MAP_RESOURCE, phys,
	       dma_addr, PAGE_SIZE, DMA_TO_DEVICE);
	if (!dma_mapping_error(t->dev, dma_addr))
		dma_unmap_resource(t->dev, dma_addr, PAGE_SIZE, DMA_TO_DEVICE, 0);
}

static int run(struct test *t)
{
	static void (*const tests[])(struct test *t) = {
		test_single, test_set_mask, test_need_sync, test_sg, test_alloc_pages,
		test_alloc_noncontiguous, test_resource,
	};
	unsigned int i;

	WRITE_ONCE(dod_selftest.dev, t->dev);
	for (i = 0; i < ARRAY_SIZE(tests) && !t->wrong; i++)
		tests[i](t);
	WRITE_ONCE(dod_selftest.dev, NULL);
	if (!t->wrong)
		return 0;
	pr_err("cannot load: %s\n", t->wrong);
	return -EOPNOTSUPP;
}

/**
 * dod_hooks_selftest() - prove each hook; called once they are in place, for one device only
 *
 * Return: 0, or an error after one line that names the hook.
 */
int dod_hooks_selftest(void)
{
	struct test t = { };
	u8 *buf;
	int err;

	/* Not kmalloc(): KFENCE may serve it, and its objects are not poisoned. */
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
	if (err)
		pr_err("cannot load: no DMA mask for the self-test, error %d\n", err);
	else
		err = run(&t);
out:
	if (!IS_ERR_OR_NULL(t.pdev))
		platform_device_unregister(t.pdev);
	free_page((unsigned long)buf);
	return err;
}
