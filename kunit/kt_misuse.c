// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of memory that must not be mapped. What a misuse maps is somebody else's memory,
 * or none: no device uses these mappings, and they last no longer than it takes to make
 * them. dma-debug is kept quiet meanwhile.
 */

#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>

#include "kt_misuse.h"

/**
 * kt_way_desc() - The name of a way to map, for parameterised tests.
 * @way: the way
 * @desc: where to write it
 */
void kt_way_desc(const bool *way, char *desc)
{
	strscpy(desc, *way ? "sg" : "single", KUNIT_PARAM_DESC_SIZE);
}

/**
 * kt_requires_quiet() - Skip a test where such a mapping does harm, or makes noise.
 * @test: the test
 *
 * Bouncing would copy memory that must not be touched. dma-debug has its own opinion about
 * some of it, and would say so with a backtrace.
 */
void kt_requires_quiet(struct kunit *test)
{
	KT_REQUIRES(test, !is_swiotlb_force_bounce(kt_dev));
	KT_REQUIRES(test, kt_can_quiet_dma_debug());
}

/**
 * test_map_target() - Map a target: the function that titles name.
 * @t: the target
 *
 * Return: whether it is mapped.
 */
kt_noinline bool test_map_target(struct kt_target *t)
{
	if (t->nents)
		return dma_map_sg(kt_dev, t->sg, t->nents, t->dir);
	t->dma = dma_map_page(kt_dev, t->page, t->offset, t->size, t->dir);
	return !dma_mapping_error(kt_dev, t->dma);
}

/**
 * test_unmap_target() - Unmap a target.
 * @t: the target
 */
void test_unmap_target(struct kt_target *t)
{
	if (t->nents)
		dma_unmap_sg(kt_dev, t->sg, t->nents, t->dir);
	else
		dma_unmap_page(kt_dev, t->dma, t->size, t->dir);
}

/**
 * kt_target_map() - Map and unmap a target, without a word of dma-debug's.
 * @t: the target
 *
 * Any context: the memory may be such as nobody else must get hold of meanwhile.
 *
 * Return: whether it could be mapped.
 */
bool kt_target_map(struct kt_target *t)
{
	u32 saved = kt_quiet_dma_debug();
	bool mapped = test_map_target(t);

	if (mapped)
		test_unmap_target(t);
	kt_unquiet_dma_debug(saved);
	return mapped;
}

/**
 * kt_target_keep_mapped() - As kt_target_map(), but it stays mapped.
 * @test: the running test
 * @t: the target
 */
void kt_target_keep_mapped(struct kunit *test, struct kt_target *t)
{
	u32 saved = kt_quiet_dma_debug();

	KUNIT_EXPECT_TRUE(test, test_map_target(t));
	kt_unquiet_dma_debug(saved);
}

/**
 * kt_target_sync() - Sync all of a target.
 * @t: the target
 * @for_device: for the device, or for the CPU
 */
void kt_target_sync(struct kt_target *t, bool for_device)
{
	u32 saved = kt_quiet_dma_debug();

	if (t->nents && for_device)
		dma_sync_sg_for_device(kt_dev, t->sg, t->nents, t->dir);
	else if (t->nents)
		dma_sync_sg_for_cpu(kt_dev, t->sg, t->nents, t->dir);
	else if (for_device)
		dma_sync_single_for_device(kt_dev, t->dma, t->size, t->dir);
	else
		dma_sync_single_for_cpu(kt_dev, t->dma, t->size, t->dir);
	kt_unquiet_dma_debug(saved);
}

/**
 * kt_target_unmap() - Unmap what was kept mapped.
 * @t: the target
 */
void kt_target_unmap(struct kt_target *t)
{
	u32 saved = kt_quiet_dma_debug();

	test_unmap_target(t);
	kt_unquiet_dma_debug(saved);
}

/**
 * kt_target_of() - What a test maps: alone, or between two good entries.
 * @test: the running test, whose parameter says which
 * @page: the page
 * @offset: where in it the buffer begins
 * @size: its size
 * @dir: the direction
 *
 * Return: the target.
 */
struct kt_target kt_target_of(struct kunit *test, struct page *page, size_t offset,
			      size_t size, enum dma_data_direction dir)
{
	struct kt_target t = {
		.page = page, .offset = offset, .size = size,
		.dir = dir,
	};

	if (kt_is_list(test)) {
		t.nents = 3;
		sg_init_table(t.sg, t.nents);
		sg_set_buf(&t.sg[0], kt_buf(test, 64), 64);
		sg_set_page(&t.sg[1], page, size, offset);
		sg_set_buf(&t.sg[2], kt_buf(test, 64), 64);
	}
	return t;
}

/**
 * kt_target_of_buf() - The same of a buffer in the linear map.
 * @test: the running test
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 *
 * Return: the target.
 */
struct kt_target kt_target_of_buf(struct kunit *test, void *buf, size_t size,
				  enum dma_data_direction dir)
{
	return kt_target_of(test, virt_to_page(buf), offset_in_page(buf), size, dir);
}

/**
 * kt_map_page() - kt_target_map() of a part of a page.
 * @test: the running test
 * @page: the page
 * @offset: where in it the buffer begins
 * @size: its size
 * @dir: the direction
 */
void kt_map_page(struct kunit *test, struct page *page, size_t offset, size_t size,
		 enum dma_data_direction dir)
{
	struct kt_target t = kt_target_of(test, page, offset, size, dir);

	KUNIT_EXPECT_TRUE(test, kt_target_map(&t));
}

/**
 * kt_map_buf() - kt_map_page() of a buffer, DMA_TO_DEVICE.
 * @test: the running test
 * @buf: the buffer
 * @size: its size
 */
void kt_map_buf(struct kunit *test, const void *buf, size_t size)
{
	kt_map_page(test, virt_to_page(buf), offset_in_page(buf), size, DMA_TO_DEVICE);
}

/**
 * kt_says() - Is this a line of the report?
 * @test: the running test
 * @fmt: a glob, with arguments
 */
void kt_says(struct kunit *test, const char *fmt, ...)
{
	char pattern[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(pattern, sizeof(pattern), fmt, args);
	va_end(args);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(pattern), "no line '%s' in: %s", pattern,
			      kt_line(0));
}

/**
 * kt_says_where() - Does the report say where it was mapped, and what the device owns?
 * @test: the running test
 * @addr: where
 * @size: how many bytes
 */
void kt_says_where(struct kunit *test, const void *addr, size_t size)
{
	/* Of memory, not of a pointer to it. */
	unsigned long at = (unsigned long)kasan_reset_tag(addr);

	kt_says(test, "Map of size %zu at %lx by task *", size, at);
	kt_says(test, GIVEN ", DMA_*", size);
	kt_says(test, " \\[%lx, %lx), dma 0x*", at, at + size);
}

/**
 * kt_says_object() - Does the report describe the slab object that is there?
 * @test: the running test
 * @start: its first byte
 * @offset: where in it the buffer begins
 *
 * mem_dump_obj() continues a line, which the log has piece by piece.
 */
void kt_says_object(struct kunit *test, const void *start, size_t offset)
{
	kt_says(test, "The object there:*");
	kt_says(test, "* slab *");
	kt_says(test, "* start %lx*", (unsigned long)start);
	kt_says(test, "* pointer offset %zu*", offset);
}
