// SPDX-License-Identifier: GPL-2.0
/*
 * never-mapped: an unmap or a sync of what is not mapped, by a device all of whose mappings are
 * known. dma-debug is kept quiet: to it, most of the legal neighbours are wrong as well.
 */

#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 512

static u32 saved_budget;

/* What is bounced or translated must not be unmapped twice, not even here. */
static int never_mapped_init(struct kunit *test)
{
	int err = kt_test_init(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	if (err)
		return err;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	if (!kt_can_quiet_dma_debug() || dma != virt_to_phys(buf))
		kunit_skip(test, "Test requires: dma-debug in debugfs and direct mappings");
	saved_budget = kt_quiet_dma_debug();
	return 0;
}

static void never_mapped_exit(struct kunit *test)
{
	kt_unquiet_dma_debug(saved_budget);
	kt_test_exit(test);
}

static kt_noinline void test_sync(struct device *dev, dma_addr_t dma, size_t size)
{
	dma_sync_single_for_cpu(dev, dma, size, DMA_FROM_DEVICE);
	/* Not the last call, or its frame is not in the stack. */
	barrier();
}

static long unjudged(void)
{
	return dma_owner_debug_count("unjudged_unmatched");
}

/* Silent, and counted. */
#define EXPECT_UNJUDGED(test, before) do {				\
	EXPECT_SILENCE(test);						\
	KUNIT_EXPECT_EQ(test, unjudged(), (before) + 1);		\
} while (0)

static void second_unmap_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Unmap", test_dma_unmap, SIZE), "");
	EXPECT_TEXT(test, "It was mapped, and unmapped before this call.");
	EXPECT_TEXT(test, "Mapped there last: device " KT_NAME " * 512 bytes, DMA_TO_DEVICE");
	EXPECT_TEXT(test, "Unmapped (0.*s ago) in test_dma_unmap+0x*");
	EXPECT_TEXT(test, "Mapped by task *");
}

/* The same of pages, which could be the device's without a mapping only if it were coherent. */
static void second_unmap_of_page_reported(struct kunit *test)
{
	u8 *buf = kt_page_buf(test);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Unmap", test_dma_unmap, SIZE), "");
}

static void sync_of_unmapped_object_reported(struct kunit *test)
{
	test_sync(kt_dev, virt_to_phys(kt_buf(test, SIZE)), SIZE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Sync", test_sync, SIZE), "");
	EXPECT_TEXT(test, "Device " KT_NAME " * has nothing mapped at dma 0x*");
	EXPECT_TEXT(test, "Loses data: with bounce buffers, * caches. Not on this machine.");
	EXPECT_TEXT(test, "Hint: pass the address that dma_map_single() has returned, *");
}

/* Another device's mapping is not what the driver unmaps twice. */
static void sync_of_what_other_device_had_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE);

	dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
	test_sync(kt_dev, dma, SIZE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Sync", test_sync, SIZE), "");
	EXPECT_TEXT(test, "Something else was mapped there before.");
}

/* To a device that reaches 4 GiB, the pointer is no address at all. */
static void unmap_of_pointer_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE), *other = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_64BIT));
	KUNIT_ASSERT_EQ(test, dma_set_mask(kt_dev, DMA_BIT_MASK(48)), 0);
	/* Until then the kernel may skip syncs. */
	dma = test_dma_map(test, kt_dev, other, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_sync(kt_dev, (dma_addr_t)(uintptr_t)buf, SIZE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Sync", test_sync, SIZE), "");
	EXPECT_TEXT(test, "This is an address of the CPU's: a pointer, *");
	KUNIT_ASSERT_EQ(test, dma_set_mask(kt_dev, DMA_BIT_MASK(64)), 0);
}

static void second_unmap_of_list_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg[1];

	sg_init_one(sg, buf, SIZE);
	KUNIT_ASSERT_EQ(test, test_dma_map_sg(sg, 1, DMA_TO_DEVICE), 1);
	dma_unmap_sg(kt_dev, sg, 1, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Unmap", second_unmap_of_list_reported,
							  SIZE), "");
}

/* === The legal neighbours ================================================= */

static void call_for_part_of_mapping_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE / 2, DMA_FROM_DEVICE);
	long before = unjudged();

	test_sync(kt_dev, dma + 8, 8);
	KUNIT_EXPECT_EQ(test, unjudged(), before);
	/* It ends after the mapping, it begins at its end, and before it. */
	test_sync(kt_dev, dma, SIZE);
	EXPECT_UNJUDGED(test, before);
	test_sync(kt_dev, dma + SIZE / 2, 8);
	EXPECT_UNJUDGED(test, before + 1);
	/* An unmap of some of it: the mapping stays. */
	test_dma_unmap(dma + 64, 64, DMA_FROM_DEVICE);
	EXPECT_UNJUDGED(test, before + 2);
	dma_unmap_single(kt_dev, dma, SIZE / 2, DMA_FROM_DEVICE);
}

/* As a child of the device that has mapped it. */
static void call_for_mapping_of_other_device_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE);
	long before = unjudged();

	test_sync(kt_dev, dma, SIZE);
	EXPECT_UNJUDGED(test, before);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_UNJUDGED(test, before + 1);
	dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
}

static void sync_of_coherent_memory_silent(struct kunit *test)
{
	long before = unjudged();
	dma_addr_t dma;
	void *buf = dma_alloc_coherent(kt_dev, PAGE_SIZE, &dma, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	test_sync(kt_dev, dma, 64);
	EXPECT_UNJUDGED(test, before);
	dma_free_coherent(kt_dev, PAGE_SIZE, buf, dma);
}

/* Of nothing, of what could not be mapped, and of no address. */
static void call_for_no_address_silent(struct kunit *test)
{
	dma_addr_t dma = virt_to_phys(kt_buf(test, SIZE));
	long before = unjudged();

	test_sync(kt_dev, dma, 0);
	test_dma_unmap(dma, 0, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before);
	test_sync(kt_dev, DMA_MAPPING_ERROR, 64);
	EXPECT_UNJUDGED(test, before);
	test_sync(kt_dev, 0, 64);
	EXPECT_UNJUDGED(test, before + 1);
}

/* The first one ends the list; then nothing of the others is mapped any more. */
static void entries_unmapped_one_by_one_silent(struct kunit *test)
{
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	long before = unjudged();
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_EQ(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 2);
	test_dma_unmap(sg_dma_address(&sg[0]), SIZE, DMA_TO_DEVICE);
	test_dma_unmap(sg_dma_address(&sg[1]), SIZE, DMA_TO_DEVICE);
	EXPECT_UNJUDGED(test, before);
}

/* As drivers of graphics write back caches: there is no other call for that. */
static void sync_of_unmapped_list_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct scatterlist sg[1];

	sg_init_one(sg, buf, SIZE);
	sg_dma_address(sg) = sg_phys(sg);
	sg_dma_len(sg) = SIZE;
	dma_sync_sg_for_device(kt_dev, sg, 1, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Nobody drives it, and all of its mappings are seen: that may change. */
static void call_of_unbound_device_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	long before = unjudged();
	struct platform_device *p;
	dma_addr_t dma;

	p = platform_device_register_simple("dma_owner_unbound", -1, NULL, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, p);
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&p->dev, DMA_BIT_MASK(64)), 0);
	dma = dma_map_single(&p->dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(&p->dev, dma, SIZE, DMA_FROM_DEVICE);
	test_sync(&p->dev, dma, SIZE / 2);
	EXPECT_UNJUDGED(test, before);
	platform_device_unregister(p);
}

/*
 * One that was not seen being added, as all that are older than the tool: it has no bus. To the
 * tool, the driver of the tests is bound to it.
 */
static struct device *old_device(struct kunit *test)
{
	/* Without an owner: before 6.12 a module has no kobject while it is loaded. */
	struct device *dev = __root_device_register("dma_owner_old", NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);
	dod_set_coherent(dev, true);
	dev->driver = kt_dev->driver;
	return dev;
}

static void old_device_unregister(struct device *dev)
{
	dev->driver = NULL;
	root_device_unregister(dev);
}

static kt_noinline void test_unmap_of(struct device *dev, dma_addr_t dma)
{
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	barrier();
}

/* It may have mapped anything before, also where another mapping has ended since. */
static void call_of_old_device_silent(struct kunit *test)
{
	dma_addr_t never = virt_to_phys(kt_buf(test, SIZE)), dma;
	struct device *dev = old_device(test);
	u8 *buf = kt_buf(test, SIZE);
	long before = unjudged();

	/* Of a device of which nothing is known yet, if the kernel does not skip its syncs. */
	if (!DOD_BY_EVENTS) {
		test_sync(dev, never, SIZE);
		EXPECT_UNJUDGED(test, before);
		before++;
	}
	dma = test_dma_map(test, dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	test_sync(dev, never, SIZE);
	EXPECT_UNJUDGED(test, before);
	/* Another size, direction, device. */
	test_sync(dev, dma, SIZE / 2);
	EXPECT_UNJUDGED(test, before + 1);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_UNJUDGED(test, before + 2);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_single(dev, dma, SIZE, DMA_BIDIRECTIONAL);
	EXPECT_UNJUDGED(test, before + 3);
	old_device_unregister(dev);
}

/* Of two equal mappings, which rule 5 allows, one was made before the load. */
static void equal_mappings_of_old_device_silent(struct kunit *test)
{
	struct device *dev = old_device(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, dev, buf, SIZE, DMA_TO_DEVICE);
	long before = unjudged();

	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
	EXPECT_UNJUDGED(test, before);
	old_device_unregister(dev);
}

static void second_unmap_of_old_device_reported(struct kunit *test)
{
	struct device *dev = old_device(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, dev, buf, SIZE, DMA_FROM_DEVICE);

	test_unmap_of(dev, dma);
	EXPECT_SILENCE(test);
	test_unmap_of(dev, dma);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Unmap", test_unmap_of, SIZE), "");
	EXPECT_TEXT(test, "It was mapped, and unmapped before this call.");
	old_device_unregister(dev);
}

/* What was mapped unseen makes all doubtful, also when a driver is bound anew. */
static void call_after_untracked_map_silent(struct kunit *test)
{
	dma_addr_t mmio, dma = virt_to_phys(kt_buf(test, SIZE));
	phys_addr_t phys = SZ_2G;
	long before;

	test_sync(kt_dev2, dma, SIZE);
	KUNIT_EXPECT_STREQ(test, kt_take_unmatched_report("Sync", test_sync, SIZE), "");
	EXPECT_SILENCE(test);

	while (pfn_valid(PHYS_PFN(phys)))
		phys <<= 1;
	mmio = dma_map_resource(kt_dev2, phys, PAGE_SIZE, DMA_FROM_DEVICE, 0);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev2, mmio));
	dma_unmap_resource(kt_dev2, mmio, PAGE_SIZE, DMA_FROM_DEVICE, 0);
	before = unjudged();
	test_sync(kt_dev2, dma, SIZE);
	EXPECT_UNJUDGED(test, before);

	device_release_driver(kt_dev2);
	KUNIT_ASSERT_EQ(test, device_attach(kt_dev2), 1);
	test_sync(kt_dev2, dma, SIZE);
	EXPECT_UNJUDGED(test, before + 1);
}

static struct kunit_case never_mapped_cases[] = {
	KUNIT_CASE(second_unmap_reported),
	KUNIT_CASE(second_unmap_of_page_reported),
	KUNIT_CASE(sync_of_unmapped_object_reported),
	KUNIT_CASE(sync_of_what_other_device_had_reported),
	KUNIT_CASE(unmap_of_pointer_reported),
	KUNIT_CASE(second_unmap_of_list_reported),
	KUNIT_CASE(call_for_part_of_mapping_silent),
	KUNIT_CASE(call_for_mapping_of_other_device_silent),
	KUNIT_CASE(sync_of_coherent_memory_silent),
	KUNIT_CASE(call_for_no_address_silent),
	KUNIT_CASE(entries_unmapped_one_by_one_silent),
	KUNIT_CASE(sync_of_unmapped_list_silent),
	KUNIT_CASE(call_of_unbound_device_silent),
	KUNIT_CASE(call_of_old_device_silent),
	KUNIT_CASE(equal_mappings_of_old_device_silent),
	KUNIT_CASE(second_unmap_of_old_device_reported),
	KUNIT_CASE(call_after_untracked_map_silent),
	{}
};

static struct kunit_suite never_mapped_suite = {
	.name = KT_SUITE_PREFIX "never_mapped",
	.suite_init = kt_suite_init,
	.suite_exit = kt_suite_exit,
	.init = never_mapped_init,
	.exit = never_mapped_exit,
	.test_cases = never_mapped_cases,
};
kunit_test_suite(never_mapped_suite);
