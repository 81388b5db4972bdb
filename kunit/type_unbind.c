// SPDX-License-Identifier: GPL-2.0
/*
 * leak-at-unbind: the device still owns memory when its driver is gone, or its probe() failed;
 * and who is named when that memory has another user. IOMMU faults, which name the nearest
 * mapping of the device.
 */

#include <linux/delay.h>
#include <linux/glob.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 512

/* === Drivers that are unbound ============================================= */

#define LEAVER "dma_owner_leaver"

static struct platform_driver leaver_driver = {
	.driver.name = LEAVER,
};

static struct device *leaver_get(struct kunit *test)
{
	struct platform_device *pdev;

	KUNIT_ASSERT_EQ(test, dod_test_driver_register(&leaver_driver), 0);
	pdev = platform_device_register_simple(LEAVER, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		platform_driver_unregister(&leaver_driver);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pdev));
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	return &pdev->dev;
}

static void leaver_put(struct device *dev)
{
	platform_device_unregister(to_platform_device(dev));
	platform_driver_unregister(&leaver_driver);
}

/* dma-debug warns of the same fault. */
static void unbind(struct kunit *test, struct device *dev)
{
	u32 saved = kt_quiet_dma_debug();

	device_release_driver(dev);
	kt_unquiet_dma_debug(saved);
}

static kt_noinline dma_addr_t leaver_map_rx(struct kunit *test, struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, SIZE, DMA_FROM_DEVICE);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static kt_noinline dma_addr_t leaver_map_tx(struct kunit *test, struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, 64, DMA_TO_DEVICE);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static void leak_reported(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf[3] = { kt_buf(test, SIZE), kt_buf(test, SIZE), kt_buf(test, 64) };
	dma_addr_t dma[3];
	int i, n = 2;

	/* One call in the stack, not two. */
	OPTIMIZER_HIDE_VAR(n);
	dma[2] = leaver_map_tx(test, dev, buf[2]);
	for (i = 0; i < n; i++)
		dma[i] = leaver_map_rx(test, dev, buf[i]);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device " LEAVER " *"));
	KUNIT_EXPECT_TRUE(test, kt_has("It left 3 mappings of 1088 bytes."));
	KUNIT_EXPECT_TRUE(test, kt_has("2 mappings of 1024 bytes in all, one of them, DMA_FROM*"));
	KUNIT_EXPECT_TRUE(test, kt_has("1 mapping of 64 bytes, DMA_TO_DEVICE"));
	KUNIT_EXPECT_TRUE(test, kt_has(" leaver_map_tx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Hint: stop the device and unmap all *dma_unmap_single()*"));
	/* The device was not stopped: its memory stays poisoned. */
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf[1], 8);

	/* The next driver is not reported for it. */
	KUNIT_EXPECT_EQ(test, device_attach(dev), 1);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	for (i = 0; i < 2; i++)
		dma_unmap_single(dev, dma[i], SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(dev, dma[2], 64, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf[1], 8);
	leaver_put(dev);
}

/* A mapping is left, though the CPU owns the memory. */
static void leak_cpu_owned_reported(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = leaver_map_rx(test, dev, buf);

	dma_sync_single_for_cpu(dev, dma, SIZE, DMA_FROM_DEVICE);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("It left 1 mapping of 512 bytes."));
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

static void no_leak_silent(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t other = test_dma_map(test, kt_dev, kt_buf(test, 64), 64, DMA_TO_DEVICE);

	dma_unmap_single(dev, leaver_map_rx(test, dev, buf), SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(dev, leaver_map_tx(test, dev, buf), 64, DMA_TO_DEVICE);
	/* A mapping of another device does not count. */
	unbind(test, dev);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, other, 64, DMA_TO_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/* The free was reported before. */
static void leak_of_freed_reported_once(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma = leaver_map_rx(test, dev, buf);

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

/* Leaves one mapping, which is reported when the driver is unbound. */
static struct device *leave(struct kunit *test, void *buf, dma_addr_t *dma)
{
	struct device *dev = leaver_get(test);

	*dma = leaver_map_rx(test, dev, buf);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
	return dev;
}

/* The device may write to it while somebody else uses it: the report names who left it, once. */
static void leak_mapped_again_reported(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma, again;
	struct device *dev = leave(test, buf, &dma);

	again = kt_map_quietly(test, kt_dev, buf + 64, 128, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: free-while-mapped in leaver_map_rx+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device " LEAVER
				       ", and has left this memory mapped."));
	KUNIT_EXPECT_TRUE(test, kt_has("Found when it was mapped again, *"));
	/* The leaked mapping does not count for the new user. */
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 64, 8);
	EXPECT_CPU_OWNS(test, buf, 64);
	dma_unmap_single(kt_dev, again, 128, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	dma_sync_single_for_device(dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, SIZE);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

static void leak_freed_reported(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, SIZE);
	dma_addr_t dma;
	struct device *dev = leave(test, buf, &dma);

	test_kfree(buf);
	EXPECT_FREE_REPORT(test, test_kfree, buf, SIZE);
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " LEAVER " was unbound from device *"));
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/* remove() frees the memory, and its next user maps it. */
static void freed_leak_mapped_again_reported(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	struct page *page = kt_own_pages(test, 0, 0);
	dma_addr_t dma, again;
	u8 *buf = page_address(page);
	int i;

	dma = leaver_map_rx(test, dev, buf);
	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, buf, PAGE_SIZE);
	unbind(test, dev);
	EXPECT_SILENCE(test);
	if (kt_get_this_page(page)) {
		again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		for (i = 0; i < 50 && !kt_pending(); i++)
			msleep(20);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test,
				  kt_has("BUG: DMA_OWNER: leak-at-unbind in leaver_map_rx+0x*"));
		KUNIT_EXPECT_TRUE(test, kt_has("Device " KT_NAME " " KT_NAME
					       ".0 maps 512 bytes of it now."));
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
		again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
		msleep(50);
		EXPECT_SILENCE(test);
		test_free_pages(page, 0);
	}
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
	EXPECT_SILENCE(test);
}

/*
 * As virtio_input and virtio_scsi, which free what the device of their parent has mapped,
 * which stays bound. Two scans of all mappings later, the next map of that memory has a
 * report, once.
 */
static void freed_mapped_again_reported(struct kunit *test)
{
	struct page *page = kt_own_pages(test, 0, 0);
	u8 *buf = page_address(page);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE), again;
	int round, i;

	test_free_pages(page, 0);
	EXPECT_FREE_REPORT(test, test_free_pages, buf, PAGE_SIZE);
	if (!kt_get_this_page(page)) {
		dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
		return;
	}
	/* The unmap may come in a moment: no report yet. */
	again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	msleep(2 * 5500);
	for (round = 0; round < 2; round++) {
		again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		for (i = 0; i < (round ? 3 : 50) && !kt_pending(); i++)
			msleep(20);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1 - round);
		if (!round)
			KUNIT_EXPECT_TRUE(test,
					  kt_has("Device " KT_NAME " "
						 KT_NAME ".1 had the memory mapped when it was freed."));
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	}
	dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
	again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_FROM_DEVICE);
	msleep(50);
	EXPECT_SILENCE(test);
	test_free_pages(page, 0);
}

/* A leak that was unmapped late counts no longer, nor does one of memory that the CPU owns. */
static void leak_unmapped_late_silent(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma, again;
	struct device *dev = leave(test, buf, &dma);

	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	leaver_put(dev);
	dev = leaver_get(test);
	kt_set(test, "dedup", "0");
	dma = leaver_map_rx(test, dev, buf);
	dma_sync_single_for_cpu(dev, dma, SIZE, DMA_FROM_DEVICE);
	unbind(test, dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	again = kt_map_quietly(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, again, SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	leaver_put(dev);
}

/* === Drivers whose probe() fails ========================================== */

#define FAILER "dma_owner_failer"

/* What the next probe() does, and what it has done. */
static struct {
	struct kunit *test;
	int err;
	bool maps, managed, by_thread;
	u8 *buf;
	dma_addr_t dma;
	struct module *owner;
	int calls;
} failer;

static kt_noinline dma_addr_t failer_map(struct device *dev, void *buf)
{
	dma_addr_t dma = dma_map_single(dev, buf, SIZE, DMA_FROM_DEVICE);

	KUNIT_EXPECT_FALSE(failer.test, dma_mapping_error(dev, dma));
	return dma;
}

static void failer_unmap(void *dev)
{
	dma_unmap_single(dev, failer.dma, SIZE, DMA_FROM_DEVICE);
}

static int failer_map_in_thread(void *dev)
{
	failer.dma = failer_map(dev, failer.buf);
	return 0;
}

static int failer_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;

	failer.owner = dev->driver->owner;
	failer.calls++;
	if (failer.by_thread) {
		struct kt_thread t;

		/* This makes the functions of this module count as another driver's. */
		dev->driver->owner = NULL;
		kt_thread_start(&t, failer_map_in_thread, dev);
		kt_thread_join(&t);
	} else if (failer.maps) {
		failer.dma = failer_map(dev, failer.buf);
	}
	if (failer.managed)
		KUNIT_EXPECT_EQ(failer.test, devm_add_action(dev, failer_unmap, dev), 0);
	/* A second probe() leaves nothing more. */
	failer.maps = false;
	failer.managed = false;
	failer.by_thread = false;
	return failer.err;
}

static struct platform_driver failer_driver = {
	.probe = failer_probe,
	.driver.name = FAILER,
};

static struct device *failer_get(struct kunit *test)
{
	struct platform_device *pdev;

	memset(&failer, 0, sizeof(failer));
	failer.test = test;
	failer.buf = kt_buf(test, SIZE);
	failer.err = -ENODEV;
	pdev = platform_device_register_simple(FAILER, PLATFORM_DEVID_NONE, NULL, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pdev));
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	return &pdev->dev;
}

/* One probe(). What it has left is checked when the device is no longer locked. */
static void failer_fail(struct kunit *test)
{
	u32 saved;
	int i;

	saved = kt_quiet_dma_debug();
	KUNIT_ASSERT_EQ(test, dod_test_driver_register(&failer_driver), 0);
	for (i = 0; i < 20 && !kt_pending(); i++)
		msleep(20);
	failer_driver.driver.owner = failer.owner;
	platform_driver_unregister(&failer_driver);
	kt_unquiet_dma_debug(saved);
	KUNIT_EXPECT_GE(test, failer.calls, 1);
}

/* The same device with a driver that leaves nothing. */
static void failer_next_driver(struct kunit *test)
{
	failer.err = 0;
	failer_fail(test);
	EXPECT_SILENCE(test);
}

static void check_failed_probe(struct kunit *test, int err)
{
	struct device *dev = failer_get(test);

	failer.err = err;
	failer.maps = true;
	failer_fail(test);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE(test, kt_has("BUG: DMA_OWNER: leak-at-unbind in failer_map+0x*"));
	KUNIT_EXPECT_TRUE(test, kt_has("Driver " FAILER " is not bound to device " FAILER
				       ": its probe() failed, in task *"));
	KUNIT_EXPECT_TRUE(test, kt_has("It left 1 mapping of 512 bytes."));
	KUNIT_EXPECT_TRUE(test, kt_has(" failer_probe+0x*"));
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, failer.buf, 8);
	failer_next_driver(test);
	failer_unmap(dev);
	EXPECT_CPU_OWNS(test, failer.buf, 8);
	platform_device_unregister(to_platform_device(dev));
	EXPECT_SILENCE(test);
}

static void failed_probe_leak_reported(struct kunit *test)
{
	check_failed_probe(test, -ENODEV);
}

static void deferred_probe_leak_reported(struct kunit *test)
{
	check_failed_probe(test, -EPROBE_DEFER);
}

/* What the driver core unmaps after a failed probe() is no leak. */
static void failed_probe_managed_silent(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.maps = true;
	failer.managed = true;
	failer_fail(test);
	EXPECT_SILENCE(test);
	EXPECT_CPU_OWNS(test, failer.buf, 8);
	platform_device_unregister(to_platform_device(dev));
}

/* Mapped before the probe(), by the bus or by a user of the device. */
static void mapped_before_failed_probe_silent(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.dma = failer_map(dev, failer.buf);
	failer_fail(test);
	failer_next_driver(test);
	failer_unmap(dev);
	EXPECT_SILENCE(test);
	platform_device_unregister(to_platform_device(dev));
}

/* Another driver maps for the device, as for a DMA engine, during the probe(). */
static void mapped_by_others_in_failed_probe_silent(struct kunit *test)
{
	struct device *dev = failer_get(test);

	failer.by_thread = true;
	failer_fail(test);
	EXPECT_SILENCE(test);
	failer_unmap(dev);
	platform_device_unregister(to_platform_device(dev));
	EXPECT_SILENCE(test);
}

/* === IOMMU faults ========================================================= */

#if IS_ENABLED(CONFIG_IOMMU_API)
/* Reports a fault as the driver of an IOMMU does. */
static bool fault_says(struct device *dev, dma_addr_t dma, const char *pattern)
{
	static struct iommu_domain domain;

	kt_reset();
	report_iommu_fault(&domain, dev, dma, IOMMU_FAULT_WRITE);
	if (*pattern ? glob_match(pattern, kt_note()) : !*kt_note())
		return true;
	pr_info("note is '%s'\n", kt_note());
	return false;
}

static void iommu_fault_named(struct kunit *test)
{
	struct device *dev = leaver_get(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	/* A device that never mapped anything: no note. */
	KUNIT_EXPECT_TRUE(test, fault_says(dev, 0x1000, ""));
	dma = leaver_map_rx(test, dev, buf);
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + 16, "dma_owner_debug: IOMMU fault of "
		LEAVER " " LEAVER " at 0x*: 16 bytes into a mapping of 512 bytes, "
		"DMA_FROM_DEVICE, at 0x*, mapped * us ago by leaver_map_rx+0x*"));
	KUNIT_EXPECT_FALSE(test, strstr(kt_note(), "unmapped"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + SIZE + 9, "*: 10 bytes past the end of a mapping*"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma - 7, "*: 7 bytes before a mapping*"));
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma + SZ_16M, "*: not near any mapping*"));
	dma_unmap_single(dev, dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, fault_says(dev, dma, "*: 0 bytes into a mapping *, "
					   "unmapped * us ago by *+0x*"));
	unbind(test, dev);
	leaver_put(dev);
}
#endif

static struct kunit_case unbind_cases[] = {
	KUNIT_CASE(leak_reported),
	KUNIT_CASE(leak_cpu_owned_reported),
	KUNIT_CASE(no_leak_silent),
	KUNIT_CASE(leak_of_freed_reported_once),
	KUNIT_CASE(leak_mapped_again_reported),
	KUNIT_CASE(leak_freed_reported),
	KUNIT_CASE(freed_leak_mapped_again_reported),
	KUNIT_CASE_SLOW(freed_mapped_again_reported),
	KUNIT_CASE(leak_unmapped_late_silent),
	KUNIT_CASE(failed_probe_leak_reported),
	KUNIT_CASE(deferred_probe_leak_reported),
	KUNIT_CASE(failed_probe_managed_silent),
	KUNIT_CASE(mapped_before_failed_probe_silent),
	KUNIT_CASE(mapped_by_others_in_failed_probe_silent),
#if IS_ENABLED(CONFIG_IOMMU_API)
	KUNIT_CASE(iommu_fault_named),
#endif
	{}
};

KT_SUITE(unbind);
