// SPDX-License-Identifier: GPL-2.0
/*
 * mask-exceeded: an address that the device cannot reach. And the notes about what drivers say
 * of their devices: one line per device, never a report. What was said of a device is
 * remembered, so that each test has devices of its own.
 */

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/glob.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "kt.h"

KT_DIRECTIONS;

#define SIZE	256
#define NAME	"dma_owner_masks"

static u64 last_of(const u8 *buf, size_t size)
{
	return virt_to_phys((void *)buf) + size - 1;
}

static void set_wires(struct kunit *test, const char *fmt, int bits)
{
	char val[128];

	snprintf(val, sizeof(val), fmt, bits);
	kt_set(test, "wires", val);
}

static void expect_exceeded(struct kunit *test, struct device *dev, u8 *buf, int bits)
{
	dma_addr_t dma = test_dma_map(test, dev, buf, SIZE, DMA_TO_DEVICE);
	char line[128];

	EXPECT_MAP_REPORT(test, "mask-exceeded", test_dma_map, SIZE);
	snprintf(line, sizeof(line),
		 "It ends at 0x%llx, but only %d address lines are wired (parameter wires).",
		 (u64)dma + SIZE - 1, bits);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(line), "no line '%s'", line);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
}

static void expect_reached(struct kunit *test, struct device *dev, u8 *buf)
{
	dma_addr_t dma = test_dma_map(test, dev, buf, SIZE, DMA_TO_DEVICE);

	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
}

/* A buffer whose DMA address is its physical address. */
static u8 *direct_buf(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);

	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	if (dma != virt_to_phys(buf) || dma < SZ_1M)
		kunit_skip(test, "bus addresses are not those of memory, or below 1 MiB");
	return buf;
}

/* === mask-exceeded ======================================================== */

/* The last bit that is needed, and the first one that is missing. */
static void missing_wire_reported(struct kunit *test)
{
	u8 *buf = direct_buf(test);
	int needed = fls64(last_of(buf, SIZE));

	set_wires(test, KT_NAME ".0:%d", needed);
	expect_reached(test, kt_dev, buf);
	set_wires(test, KT_NAME ".0:%d", needed - 1);
	expect_exceeded(test, kt_dev, buf, needed - 1);
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: *dma_set_mask_and_coherent()*"));
	KUNIT_EXPECT_TRUE(test, kt_has(" The device is *, its mask is 0xffffffffffffffff."));
	set_wires(test, KT_NAME ".0:%d", 64);
	expect_reached(test, kt_dev, buf);
	set_wires(test, KT_NAME ".0:%d", 1);
	expect_exceeded(test, kt_dev, buf, 1);
	kt_set(test, "wires", "");
	expect_reached(test, kt_dev, buf);
}

static void missing_wire_any_direction_reported(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = direct_buf(test);
	dma_addr_t dma;

	kt_set(test, "wires", KT_NAME ".0:20");
	dma = test_dma_map(test, kt_dev, buf, SIZE, dir);
	EXPECT_MAP_REPORT(test, "mask-exceeded", test_dma_map, SIZE);
	/* It is a mapping like any other. */
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
	EXPECT_CPU_OWNS(test, buf, 8);
}

static void missing_wire_of_list_reported(struct kunit *test)
{
	u8 *buf = direct_buf(test);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], buf, 64);
	sg_set_buf(&sg[1], buf + 128, 32);
	kt_set(test, "wires", KT_NAME ".0:20");
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 0);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 2);
	KUNIT_EXPECT_TRUE(test, kt_has("Map of size 64 at *"));
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
	kt_set(test, "wires", KT_NAME ".1:20");
	KUNIT_ASSERT_NE(test, test_dma_map_sg(sg, 2, DMA_TO_DEVICE), 0);
	EXPECT_SILENCE(test);
	dma_unmap_sg(kt_dev, sg, 2, DMA_TO_DEVICE);
}

static void wires_of_device_reported(struct kunit *test)
{
	u8 *buf = direct_buf(test);

	kt_set(test, "wires", KT_NAME ".1:20");
	expect_reached(test, kt_dev, buf);
	expect_exceeded(test, kt_dev2, buf, 20);
	kt_set(test, "wires", "*kunit.?:20");
	expect_exceeded(test, kt_dev, buf, 20);
	expect_exceeded(test, kt_dev2, buf, 20);
	kt_set(test, "wires", "0000:00:03.0:20");
	expect_reached(test, kt_dev, buf);
}

/* The driver's name, without a number. */
static void wires_of_driver_reported(struct kunit *test)
{
	u8 *buf = direct_buf(test);

	kt_set(test, "wires", KT_NAME ":20");
	expect_exceeded(test, kt_dev, buf, 20);
	expect_exceeded(test, kt_dev2, buf, 20);
	kt_set(test, "wires", KT_NAME "_other:20");
	expect_reached(test, kt_dev, buf);
}

/* The first item that fits counts. */
static void first_matching_wires_reported(struct kunit *test)
{
	u8 *buf = direct_buf(test);

	kt_set(test, "wires", "0000:00:03.0:28, " KT_NAME ".1:20,*:19\n");
	expect_exceeded(test, kt_dev2, buf, 20);
	expect_exceeded(test, kt_dev, buf, 19);
	kt_set(test, "wires", KT_NAME ".1:64,,*:19,");
	expect_reached(test, kt_dev2, buf);
	expect_exceeded(test, kt_dev, buf, 19);
}

static void mask_exceeded_off_silent(struct kunit *test)
{
	u8 *buf = direct_buf(test);

	kt_set(test, "wires", KT_NAME ":20");
	kt_set(test, "off_types", "mask-exceeded");
	expect_reached(test, kt_dev, buf);
	kt_set(test, "off_types", "");
	kt_set(test, "off_devices", "mask-exceeded:" KT_NAME ".0");
	expect_reached(test, kt_dev, buf);
	expect_exceeded(test, kt_dev2, buf, 20);
}

static void bad_wires_refused(struct kunit *test)
{
	static const char * const values[] = {
		"edu", "edu:0", "edu:65", ":28", ":", "edu:", "edu:x", "edu:-1", "edu:28x",
		"edu:28,virtio", "edu:28, :28",
		"a-name-that-is-far-longer-than-the-name-of-any-device-or-driver-is:28",
		"1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2,1:2",
	};
	u8 *buf = direct_buf(test);
	int i;

	kt_set(test, "wires", KT_NAME ".0:20");
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		kt_reset();
		KUNIT_EXPECT_EQ_MSG(test, dma_owner_debug_param_set("wires", values[i]), -EINVAL,
				    "wires=%s", values[i]);
		KUNIT_EXPECT_TRUE_MSG(test, strstarts(kt_note(), "dma_owner_debug: wires "),
				      "wires=%s said '%s'", values[i], kt_note());
	}
	kt_reset();
	dma_owner_debug_param_set("wires", "0000:00:03.0:65");
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "not \"0000:00:03.0:65\""), "said '%s'",
			      kt_note());
	/* The earlier value is still in force. */
	expect_exceeded(test, kt_dev, buf, 20);
	expect_reached(test, kt_dev2, buf);
}

/* === Notes ================================================================ */

static int device_init(struct kunit_resource *res, void *parent)
{
	/* Never the same name: notes are remembered by it. */
	static int id;
	struct platform_device_info info = {
		.name = NAME,
		.id = id++,
		.parent = parent,
		.dma_mask = DMA_BIT_MASK(64),
	};

	res->data = platform_device_register_full(&info);
	return PTR_ERR_OR_ZERO(res->data);
}

static void device_free(struct kunit_resource *res)
{
	struct platform_device *pdev = res->data;

	pdev->dev.bus_dma_limit = 0;
	pdev->dev.dma_range_map = NULL;
	platform_device_unregister(pdev);
}

/* A device without a note so far; children are removed before their parents. */
static struct device *new_device(struct kunit *test, struct device *parent)
{
	struct platform_device *pdev = kunit_alloc_resource(test, device_init, device_free,
							    GFP_KERNEL, parent);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pdev);
	return &pdev->dev;
}

/* === Memory that is allocated for the device ============================== */

static kt_noinline struct page *test_alloc_pages(struct device *dev, dma_addr_t *dma)
{
	return kt_dma_alloc_pages(dev, PAGE_SIZE, dma, DMA_BIDIRECTIONAL);
}

static void alloc_pages_silently(struct kunit *test, struct device *dev)
{
	struct page *page;
	dma_addr_t dma;

	page = test_alloc_pages(dev, &dma);
	KUNIT_EXPECT_NOT_NULL(test, page);
	EXPECT_SILENCE(test);
	if (page)
		dma_free_pages(dev, PAGE_SIZE, page, dma, DMA_BIDIRECTIONAL);
}

static void alloc_list_silently(struct kunit *test, struct device *dev)
{
	struct sg_table *sgt = dma_alloc_noncontiguous(dev, PAGE_SIZE, DMA_BIDIRECTIONAL,
						       GFP_KERNEL, 0);

	KUNIT_EXPECT_NOT_NULL(test, sgt);
	EXPECT_SILENCE(test);
	if (sgt)
		dma_free_noncontiguous(dev, PAGE_SIZE, sgt, DMA_BIDIRECTIONAL);
}

/*
 * dma_alloc_pages() goes by the coherent mask, which can be wider than the streaming mask:
 * then the pages are where only that mask reaches.
 */
static void wider_coherent_mask_silent(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);

	KT_REQUIRES(test, !is_swiotlb_force_bounce(dev));
	KUNIT_ASSERT_PTR_NE(test, dev->dma_mask, &dev->coherent_dma_mask);
	*dev->dma_mask = DMA_BIT_MASK(20);
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	alloc_pages_silently(test, dev);
	alloc_list_silently(test, dev);
}

static void narrower_coherent_mask_silent(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);
	u8 *buf = direct_buf(test);

	dev->coherent_dma_mask = DMA_BIT_MASK(32);
	alloc_pages_silently(test, dev);
	alloc_list_silently(test, dev);
	/* A streaming mapping has nothing to do with it. */
	dev->coherent_dma_mask = DMA_BIT_MASK(20);
	expect_reached(test, dev, buf);
}

#ifdef CONFIG_PCI
/* A device behind an IOMMU, without a driver. */
static struct device *device_behind_an_iommu(void)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev)
		if (!dod_maps_directly(&pdev->dev) && !pdev->dev.driver)
			return &pdev->dev;
	return NULL;
}

/* With an IOMMU, pages are mapped by the streaming mask, and lists by the coherent one. */
static void pages_by_iommu_silent(struct kunit *test)
{
	struct device *dev = device_behind_an_iommu();
	u64 mask, coherent;

	KT_REQUIRES(test, dev);
	mask = *dev->dma_mask;
	coherent = dev->coherent_dma_mask;
	*dev->dma_mask = DMA_BIT_MASK(32);
	dev->coherent_dma_mask = DMA_BIT_MASK(24);
	alloc_pages_silently(test, dev);
	*dev->dma_mask = DMA_BIT_MASK(24);
	dev->coherent_dma_mask = DMA_BIT_MASK(32);
	alloc_list_silently(test, dev);
	*dev->dma_mask = mask;
	dev->coherent_dma_mask = coherent;
	put_device(dev);
}
#else
static void pages_by_iommu_silent(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_PCI");
}
#endif

/* Both masks may be wrong. */
static void missing_wire_of_alloc_pages_reported(struct kunit *test)
{
	struct page *page;
	dma_addr_t dma;

	direct_buf(test);
	kt_set(test, "wires", KT_NAME ".0:19");
	page = test_alloc_pages(kt_dev, &dma);
	KUNIT_ASSERT_NOT_NULL(test, page);
	if (dma >> 19)
		EXPECT_MAP_REPORT(test, "mask-exceeded", test_alloc_pages, PAGE_SIZE);
	dma_free_pages(kt_dev, PAGE_SIZE, page, dma, DMA_BIDIRECTIONAL);
	EXPECT_SILENCE(test);
}

static void use(struct kunit *test, struct device *dev)
{
	/* Within 32 bits, whatever the machine has. */
	u8 *buf = kunit_kmalloc(test, SIZE, GFP_KERNEL | GFP_DMA);
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);

	kt_reset();
	dma = test_dma_map(test, dev, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
}

/* The last use() printed exactly this line. */
#define EXPECT_NOTE(test, dev, type, text) do {				\
	char _line[300];						\
									\
	snprintf(_line, sizeof(_line),					\
		 "dma_owner_debug: note: " type ": platform %s: " text,	\
		 dev_name(dev));					\
	KUNIT_EXPECT_TRUE_MSG(test, glob_match(_line, kt_note()),	\
			      "said '%s', not '%s'", kt_note(), _line);	\
} while (0)

/* There may be notes about other devices meanwhile. */
#define EXPECT_NO_NOTE(test, dev)					\
	KUNIT_EXPECT_FALSE_MSG(test, strstr(kt_note(), dev_name(dev)),	\
			       "said '%s'", kt_note())

#define INHERIT "it has no firmware node, and its DMA configuration is not its parent's; "
#define COPY "; map with the parent, or copy its configuration: *"

/* A device on a bus with fewer address bits than its own mask. */
static struct device *narrow_device(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);

	dev->bus_dma_limit = DMA_BIT_MASK(40);
	return dev;
}

static void mask_wider_than_bus_noted(struct kunit *test)
{
	long shown = dma_owner_debug_count("notes_shown");
	long all = dma_owner_debug_count("notes_mask_wider_than_bus");
	struct device *a = narrow_device(test), *b = narrow_device(test);

	/* It fails no test. */
	kt_set(test, "kunit_fail", "1");
	use(test, a);
	EXPECT_NOTE(test, a, "mask-wider-than-bus",
		    "its mask is 0xffffffffffffffff, but its bus carries no more than 0xffffffffff; the smaller one counts; *");
	KUNIT_EXPECT_EQ(test, READ_ONCE(test->status), KUNIT_SUCCESS);
	/* Once for each device. */
	use(test, a);
	EXPECT_NO_NOTE(test, a);
	use(test, b);
	EXPECT_NOTE(test, b, "mask-wider-than-bus", "*");
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("notes_shown"), shown + 2);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("notes_mask_wider_than_bus"), all + 2);
}

static void mask_as_wide_as_bus_silent(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);

	use(test, dev);
	EXPECT_NO_NOTE(test, dev);
	dev->bus_dma_limit = DMA_BIT_MASK(64);
	use(test, dev);
	EXPECT_NO_NOTE(test, dev);
	KUNIT_ASSERT_EQ(test, dma_set_mask(dev, DMA_BIT_MASK(36)), 0);
	dev->bus_dma_limit = DMA_BIT_MASK(36);
	use(test, dev);
	EXPECT_NO_NOTE(test, dev);
	dev->bus_dma_limit = DMA_BIT_MASK(36) - 1;
	use(test, dev);
	EXPECT_NOTE(test, dev, "mask-wider-than-bus", "its mask is 0xfffffffff, *");
}

static void note_off_silent(struct kunit *test)
{
	struct device *a = narrow_device(test), *b = narrow_device(test);
	long found = dma_owner_debug_count("notes_mask_wider_than_bus");

	/* A check that is off everywhere is not made. */
	kt_set(test, "off_types", "mask-wider-than-bus");
	use(test, a);
	EXPECT_NO_NOTE(test, a);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("notes_mask_wider_than_bus"), found);
	kt_set(test, "off_types", "mask-untested,cpu-read");
	use(test, b);
	EXPECT_NOTE(test, b, "mask-wider-than-bus", "*");
}

static void note_off_for_device_silent(struct kunit *test)
{
	struct device *a = narrow_device(test), *b = narrow_device(test);

	kt_set(test, "off_devices", dev_name(a));
	use(test, a);
	EXPECT_NO_NOTE(test, a);
	use(test, b);
	EXPECT_NOTE(test, b, "mask-wider-than-bus", "*");
}

static void child_with_other_mask_noted(struct kunit *test)
{
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);

	KUNIT_ASSERT_EQ(test, dma_set_mask(child, DMA_BIT_MASK(40)), 0);
	use(test, child);
	EXPECT_NOTE(test, child, "dma-config-not-inherited",
		    INHERIT "mask 0xffffffffff, not 0xffffffffffffffff" COPY);
	use(test, child);
	EXPECT_NO_NOTE(test, child);
	use(test, parent);
	EXPECT_NO_NOTE(test, parent);
}

static void child_with_other_limit_noted(struct kunit *test)
{
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);

	parent->bus_dma_limit = DMA_BIT_MASK(40);
	use(test, child);
	EXPECT_NOTE(test, child, "dma-config-not-inherited",
		    INHERIT "bus limit 0x0, not 0xffffffffff" COPY);
}

/* As of_dma_get_range() makes it, but DMA addresses are physical addresses. */
static const struct bus_dma_region identity[] = {
	{ .cpu_start = 0, .dma_start = 0, .size = SZ_1T },
	{}
};

static void child_with_other_ranges_noted(struct kunit *test)
{
	struct device *parent = new_device(test, NULL);
	struct device *a = new_device(test, parent), *b = new_device(test, parent);

	parent->dma_range_map = identity;
	use(test, a);
	EXPECT_NOTE(test, a, "dma-config-not-inherited", INHERIT "no dma-ranges" COPY);
	parent->dma_range_map = NULL;
	b->dma_range_map = identity;
	use(test, b);
	EXPECT_NOTE(test, b, "dma-config-not-inherited", INHERIT "other dma-ranges" COPY);
}

/* All differences are in one line. */
static void child_with_all_different_noted(struct kunit *test)
{
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);

	parent->dma_range_map = identity;
	parent->bus_dma_limit = DMA_BIT_MASK(44);
	KUNIT_ASSERT_EQ(test, dma_set_mask(child, DMA_BIT_MASK(40)), 0);
	use(test, child);
	EXPECT_NOTE(test, child, "dma-config-not-inherited",
		    INHERIT "bus limit 0x0, not 0xfffffffffff; no dma-ranges; mask 0xffffffffff, not *" COPY);
}

static void child_like_parent_silent(struct kunit *test)
{
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);

	use(test, child);
	EXPECT_NO_NOTE(test, child);
	KUNIT_ASSERT_EQ(test, dma_set_mask(parent, DMA_BIT_MASK(36)), 0);
	KUNIT_ASSERT_EQ(test, dma_set_mask(child, DMA_BIT_MASK(36)), 0);
	parent->bus_dma_limit = DMA_BIT_MASK(36);
	child->bus_dma_limit = DMA_BIT_MASK(36);
	parent->dma_range_map = identity;
	child->dma_range_map = identity;
	use(test, child);
	EXPECT_NO_NOTE(test, child);
}

/* Firmware described it: the difference is meant. */
static void child_with_firmware_node_silent(struct kunit *test)
{
	static const struct software_node node = { .name = NAME };
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);
	int err = device_add_software_node(child, &node);

	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, dma_set_mask(child, DMA_BIT_MASK(40)), 0);
	use(test, child);
	EXPECT_NO_NOTE(test, child);
	device_remove_software_node(child);
	use(test, child);
	EXPECT_NOTE(test, child, "dma-config-not-inherited", "*");
}

/* A bus that does no DMA has no configuration to inherit. */
static void child_of_bus_without_dma_silent(struct kunit *test)
{
	struct device *parent = new_device(test, NULL), *child = new_device(test, parent);
	u64 *mask = parent->dma_mask;

	KUNIT_ASSERT_EQ(test, dma_set_mask(child, DMA_BIT_MASK(40)), 0);
	parent->dma_mask = NULL;
	use(test, child);
	EXPECT_NO_NOTE(test, child);
	parent->dma_mask = mask;
}

/* A kernel with bounce buffers limits what a device with few bits may map at once. */
static bool can_bounce(struct device *dev)
{
	u64 mask = *dev->dma_mask;
	bool ret;

	*dev->dma_mask = DMA_BIT_MASK(24);
	ret = dma_max_mapping_size(dev) < SZ_1G;
	*dev->dma_mask = mask;
	return ret;
}

/*
 * The DMA address of the page is above 4 GiB; that of all other memory, also of bounce
 * buffers, is its physical address.
 */
static void high_page(struct page *page, struct bus_dma_region map[4])
{
	u64 start = page_to_phys(page), end = start + PAGE_SIZE;

	map[0] = (struct bus_dma_region) {
		.cpu_start = start, .dma_start = start + SZ_1T, .size = PAGE_SIZE,
	};
	map[1] = (struct bus_dma_region) { .size = start };
	map[2] = (struct bus_dma_region) {
		.cpu_start = end, .dma_start = end, .size = SZ_1T - end,
	};
	map[3] = (struct bus_dma_region) {};
}

static void use_page(struct kunit *test, struct device *dev, struct page *page)
{
	dma_addr_t dma;

	kt_reset();
	dma = test_dma_map(test, dev, page_address(page), SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_TO_DEVICE);
}

static void mask_never_set_noted(struct kunit *test)
{
	struct device *dev = new_device(test, NULL), *able = new_device(test, NULL);
	struct page *page = kt_page(test, 0);
	struct bus_dma_region map[4];

	if (!can_bounce(dev))
		kunit_skip(test, "no bounce buffers: needs memory above 4 GiB, or swiotlb=force");

	high_page(page, map);
	dev->dma_range_map = map;
	able->dma_range_map = map;
	/* The default, as the driver core sets it. */
	KUNIT_EXPECT_EQ(test, dma_set_mask(dev, DMA_BIT_MASK(32)), 0);
	use_page(test, dev, page);
	EXPECT_NOTE(test, dev, "mask-never-set",
		    "its transfers are copied through bounce buffers, because its mask is the default of 32 bits; if the device can do more, call dma_set_mask_and_coherent() in probe");
	use_page(test, dev, page);
	EXPECT_NO_NOTE(test, dev);
	use_page(test, able, page);
	EXPECT_NO_NOTE(test, able);
	/* Not the default: a driver has chosen it. */
	KUNIT_EXPECT_EQ(test, dma_set_mask(able, DMA_BIT_MASK(36)), 0);
	use_page(test, able, page);
	EXPECT_NO_NOTE(test, able);
	dev->dma_range_map = NULL;
	able->dma_range_map = NULL;
}

/* The default is enough, bounced for another reason or not. */
static void default_mask_that_fits_silent(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);
	struct page *page = kt_page(test, 0);

	if (upper_32_bits(page_to_phys(page)))
		kunit_skip(test, "the page is above 4 GiB");
	KUNIT_ASSERT_EQ(test, dma_set_mask(dev, DMA_BIT_MASK(32)), 0);
	use_page(test, dev, page);
	EXPECT_NO_NOTE(test, dev);
}

/* Too early for a note. */
static void mask_untested_at_first_silent(struct kunit *test)
{
	struct device *dev = new_device(test, NULL);
	int i;

	for (i = 0; i < 100; i++) {
		use(test, dev);
		EXPECT_NO_NOTE(test, dev);
	}
}

static void mask_untested_noted(struct kunit *test)
{
	struct device *dev = new_device(test, NULL), *narrow = new_device(test, NULL);

	kt_set(test, "untested_after", "0");
	use(test, dev);
	EXPECT_NOTE(test, dev, "mask-untested", "its mask has 64 address bits, *");
	use(test, dev);
	EXPECT_NO_NOTE(test, dev);

	/* A mask that is no wider than the addresses in use needs no test. */
	KUNIT_ASSERT_EQ(test, dma_set_mask(narrow, DMA_BIT_MASK(32)), 0);
	use(test, narrow);
	EXPECT_NO_NOTE(test, narrow);
}

static struct kunit_case masks_cases[] = {
	KUNIT_CASE(mask_untested_noted),
	KUNIT_CASE(missing_wire_reported),
	DIRECTION_CASE(missing_wire_any_direction_reported),
	KUNIT_CASE(missing_wire_of_list_reported),
	KUNIT_CASE(wires_of_device_reported),
	KUNIT_CASE(wires_of_driver_reported),
	KUNIT_CASE(first_matching_wires_reported),
	KUNIT_CASE(mask_exceeded_off_silent),
	KUNIT_CASE(bad_wires_refused),
	KUNIT_CASE(wider_coherent_mask_silent),
	KUNIT_CASE(narrower_coherent_mask_silent),
	KUNIT_CASE(pages_by_iommu_silent),
	KUNIT_CASE(missing_wire_of_alloc_pages_reported),
	KUNIT_CASE(mask_wider_than_bus_noted),
	KUNIT_CASE(mask_as_wide_as_bus_silent),
	KUNIT_CASE(note_off_silent),
	KUNIT_CASE(note_off_for_device_silent),
	KUNIT_CASE(child_with_other_mask_noted),
	KUNIT_CASE(child_with_other_limit_noted),
	KUNIT_CASE(child_with_other_ranges_noted),
	KUNIT_CASE(child_with_all_different_noted),
	KUNIT_CASE(child_like_parent_silent),
	KUNIT_CASE(child_with_firmware_node_silent),
	KUNIT_CASE(child_of_bus_without_dma_silent),
	KUNIT_CASE(mask_never_set_noted),
	KUNIT_CASE(default_mask_that_fits_silent),
	KUNIT_CASE(mask_untested_at_first_silent),
	{}
};

KT_SUITE(masks);
