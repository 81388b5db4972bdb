// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 7: MMIO, memory without a struct page of RAM, DMA_ATTR_REQUIRE_COHERENT and coherent
 * memory are ignored; so are failed maps, and calls that match no mapping. Each is counted by
 * its reason, and leaves nothing behind.
 */

#include <linux/ioport.h>
#include <linux/kfence.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>

#include "kt.h"

/* A mapping that fails without a WARN: it needs a bounce buffer, and is too large for one. */
static void failed_map_untracked(struct kunit *test)
{
	const size_t size = SZ_1M;
	struct page *page = kt_page(test, get_order(size));
	u8 *buf = page_address(page);
	long failed = dma_owner_debug_count("untracked_failed_map");
	u64 mask = *kt_dev->dma_mask;
	dma_addr_t dma;
	int i;

	/*
	 * Without bounce buffers, the direct mapping of what the device cannot reach WARNs,
	 * once. The log of a good run should have none.
	 */
#ifdef CONFIG_SWIOTLB
	if (!kt_dev->dma_io_tlb_mem || !kt_dev->dma_io_tlb_mem->nslabs)
		kunit_skip(test, "Test requires: bounce buffers (boot with swiotlb=force)");
#else
	kunit_skip(test, "Test requires: CONFIG_SWIOTLB");
#endif
	*kt_dev->dma_mask = DMA_BIT_MASK(16);
	dma = dma_map_page_attrs(kt_dev, page, 0, size, DMA_FROM_DEVICE, DMA_ATTR_NO_WARN);
	*kt_dev->dma_mask = mask;
	KUNIT_EXPECT_TRUE(test, dma_mapping_error(kt_dev, dma));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untracked_failed_map"), failed + 1);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + size - 8, 8);
	for (i = 0; i < size; i += PAGE_SIZE)
		KUNIT_EXPECT_FALSE(test, kt_is_poisoned(buf + i));
}

/* The kernel's image, which on arm64 need not be in the linear map, either. */
static bool is_image(u64 phys)
{
	const struct resource *ram, *part;

	for (ram = iomem_resource.child; ram; ram = ram->sibling)
		for (part = ram->child; part; part = part->sibling)
			if (phys >= part->start && phys <= part->end && part->name &&
			    strstarts(part->name, "Kernel "))
				return true;
	return false;
}

/* A page that firmware reserved, of which the kernel has no mapping. */
static struct page *unmapped_page(struct kunit *test)
{
	unsigned long pfn, word;

	for (pfn = 1; pfn < PHYS_PFN(SZ_4G); pfn++) {
		if (!pfn_valid(pfn) || !PageReserved(pfn_to_page(pfn)) ||
		    is_zone_device_page(pfn_to_page(pfn)) || is_image(PFN_PHYS(pfn)) ||
		    is_kfence_address(page_address(pfn_to_page(pfn))))
			continue;
		pagefault_disable();
		__get_kernel_nofault(&word, page_address(pfn_to_page(pfn)), unsigned long, fault);
		pagefault_enable();
		continue;
fault:
		pagefault_enable();
		return pfn_to_page(pfn);
	}
	kunit_skip(test, "the kernel has a mapping of every page");
	return NULL;
}

static void firmware_memory_untracked(struct kunit *test)
{
	struct page *page = unmapped_page(test);
	long not_ram = dma_owner_debug_count("untracked_not_ram");
	dma_addr_t dma;

	/* A bounce buffer would be filled from it. */
	KT_REQUIRES(test, !dma_owner_debug_count("maps_bounced"));
	dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untracked_not_ram"), not_ram + 1);
	dma_unmap_page(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
}

/* The first address at which there is no memory. */
static phys_addr_t mmio_address(struct kunit *test)
{
	phys_addr_t phys;

	for (phys = SZ_2G; phys; phys <<= 1)
		if (!pfn_valid(PHYS_PFN(phys)) && phys <= dma_get_mask(kt_dev))
			return phys;
	kunit_skip(test, "no address without memory");
	return 0;
}

/* Rule 7: a peer device's registers, as for a DMA engine that feeds a FIFO. */
static void mmio_untracked(struct kunit *test)
{
	phys_addr_t phys = mmio_address(test);
	long mmio = dma_owner_debug_count("untracked_mmio");
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	dma_addr_t dma = dma_map_resource(kt_dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untracked_mmio"), mmio + 1);
	dma_unmap_resource(kt_dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
	EXPECT_SILENCE(test);
}

/* Rule 7: user space's memory, coherent by contract, as RDMA maps it. */
static void require_coherent_untracked(struct kunit *test)
{
	long ignored = dma_owner_debug_count("untracked_require_coherent");
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	u8 *buf[2] = { kt_buf(test, 64), kt_buf(test, 64) };
	struct scatterlist sg[2];
	dma_addr_t dma;

	KT_REQUIRES(test, DOD_ATTR_COHERENT != 0);
	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	dma = dma_map_single_attrs(kt_dev, buf[0], 64, DMA_BIDIRECTIONAL, DOD_ATTR_COHERENT);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untracked_require_coherent"), ignored + 1);
	EXPECT_CPU_OWNS(test, buf[0], 8);
	dma_unmap_single_attrs(kt_dev, dma, 64, DMA_BIDIRECTIONAL, DOD_ATTR_COHERENT);

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf[0], 64);
	sg_set_buf(&sg[1], buf[1], 64);
	KUNIT_ASSERT_NE(test, dma_map_sg_attrs(kt_dev, sg, 2, DMA_BIDIRECTIONAL,
					       DOD_ATTR_COHERENT), 0);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("untracked_require_coherent"), ignored + 3);
	EXPECT_CPU_OWNS(test, buf[0], 8);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	dma_unmap_sg_attrs(kt_dev, sg, 2, DMA_BIDIRECTIONAL, DOD_ATTR_COHERENT);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
}

/* Both the CPU and the device own coherent memory, at any time. */
static void coherent_memory_untracked(struct kunit *test)
{
	long maps = dma_owner_debug_count("maps");
	dma_addr_t dma;
	u8 *buf = dma_alloc_coherent(kt_dev, PAGE_SIZE, &dma, GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	EXPECT_CPU_OWNS(test, buf, 8);
	EXPECT_CPU_OWNS(test, buf + PAGE_SIZE - 8, 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("maps"), maps);
	dma_free_coherent(kt_dev, PAGE_SIZE, buf, dma);
}

/*
 * A sync of memory that is not mapped changes no owner. dma-debug accepts a sync of
 * coherent memory, so it does not warn.
 */
static void unmatched_sync_counted(struct kunit *test)
{
	long unmatched = dma_owner_debug_count("unmatched_syncs");
	dma_addr_t dma;
	u8 *buf;

	buf = dma_alloc_coherent(kt_dev, PAGE_SIZE, &dma, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_syncs"), unmatched + 1);
	dma_sync_single_for_device(kt_dev, dma, 64, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_GT(test, dma_owner_debug_count("unmatched_syncs"), unmatched + 1);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_free_coherent(kt_dev, PAGE_SIZE, buf, dma);
}

/* An unmap without a mapping: it is the second one. */
static void unmatched_unmap_counted(struct kunit *test)
{
	u8 *buf = kt_buf(test, 64), *other = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	dma_addr_t other_dma = test_dma_map(test, kt_dev, other, 64, DMA_FROM_DEVICE);
	u32 saved;
	long unmatched = dma_owner_debug_count("unmatched_unmaps");
	bool direct = dma == virt_to_phys(buf);

	/* type_never_mapped.c has the report. */
	kt_set(test, "off_types", "never-mapped");
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched);
	/* What is bounced or translated must not be unmapped twice, not even here. */
	if (kt_can_quiet_dma_debug() && direct) {
		saved = kt_quiet_dma_debug();
		dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
		kt_unquiet_dma_debug(saved);
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("unmatched_unmaps"), unmatched + 1);
		EXPECT_CPU_OWNS(test, buf, 8);
	}
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, other, 8);
	dma_unmap_single(kt_dev, other_dma, 64, DMA_FROM_DEVICE);
	if (!kt_can_quiet_dma_debug() || !direct)
		kunit_skip(test, "Test requires: dma-debug in debugfs and direct mappings");
}

static struct kunit_case ignored_cases[] = {
	KUNIT_CASE(failed_map_untracked),
	KUNIT_CASE(firmware_memory_untracked),
	KUNIT_CASE(mmio_untracked),
	KUNIT_CASE(require_coherent_untracked),
	KUNIT_CASE(coherent_memory_untracked),
	KUNIT_CASE(unmatched_sync_counted),
	KUNIT_CASE(unmatched_unmap_counted),
	{}
};

KT_SUITE(ignored);
