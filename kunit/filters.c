// SPDX-License-Identifier: GPL-2.0
/*
 * Filters by type, driver and device: what they silence and what they must not. And what each
 * parameter answers to a value that makes no sense.
 */

#include <linux/errno.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE 64

/* A DMA_FROM_DEVICE buffer on each of the two devices. */
struct pair {
	u8 *buf[2];
	dma_addr_t dma[2];
};

static struct pair map_pair(struct kunit *test)
{
	struct pair p;
	int i;

	for (i = 0; i < 2; i++) {
		p.buf[i] = kt_buf(test, SIZE);
		p.dma[i] = test_dma_map(test, i ? kt_dev2 : kt_dev, p.buf[i], SIZE,
					DMA_FROM_DEVICE);
	}
	return p;
}

static void unmap_pair(struct pair *p)
{
	dma_unmap_single(kt_dev, p->dma[0], SIZE, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev2, p->dma[1], SIZE, DMA_FROM_DEVICE);
}

static void expect_all_trap(struct kunit *test, const struct pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_READ_TRAPS(test, p->buf[i], 8);
		EXPECT_WRITE_TRAPS(test, p->buf[i], 8);
	}
}

static void type_off_silent(struct kunit *test)
{
	long filtered = dma_owner_debug_count("reports_filtered");
	long writes = dma_owner_debug_count("reports_cpu_write");
	struct pair p = map_pair(test);

	kt_set(test, "off_types", "cpu-write");
	EXPECT_WRITE_OK(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[0], 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_filtered"), filtered + 1);
	/* Reports are counted always. */
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_write"), writes + 1);

	kt_set(test, "off_types", "cpu-read");
	EXPECT_WRITE_TRAPS(test, p.buf[0], 8);
	EXPECT_READ_OK(test, p.buf[0], 8);

	kt_set(test, "off_types", "cpu-read,cpu-write");
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	EXPECT_CPU_OWNS(test, p.buf[1], 8);

	kt_set(test, "off_types", "");
	expect_all_trap(test, &p);
	unmap_pair(&p);
}

/* As echo writes it to /sys/module/dma_owner_debug/parameters. */
static void trailing_newline_accepted(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_types", "cpu-write\n");
	EXPECT_WRITE_OK(test, p.buf[0], 8);
	kt_set(test, "off_devices", KT_NAME ".0\n");
	EXPECT_READ_OK(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[1], 8);
	kt_set(test, "off_types", "\n");
	kt_set(test, "off_devices", "\n");
	expect_all_trap(test, &p);
	unmap_pair(&p);
}

static void device_off_silent(struct kunit *test)
{
	long filtered = dma_owner_debug_count("reports_filtered");
	struct pair p = map_pair(test);

	kt_set(test, "off_devices", KT_NAME ".0");
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_filtered"), filtered + 2);
	EXPECT_READ_TRAPS(test, p.buf[1], 8);
	EXPECT_WRITE_TRAPS(test, p.buf[1], 8);

	kt_set(test, "off_devices", "0000:*,*kunit.1");
	EXPECT_CPU_OWNS(test, p.buf[1], 8);
	EXPECT_READ_TRAPS(test, p.buf[0], 8);

	kt_set(test, "off_devices", KT_NAME ".?");
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	EXPECT_CPU_OWNS(test, p.buf[1], 8);

	/* The whole name must match. */
	kt_set(test, "off_devices", KT_NAME);
	expect_all_trap(test, &p);
	unmap_pair(&p);
}

static void driver_off_silent(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_drivers", "dma_owner_k*");
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	EXPECT_CPU_OWNS(test, p.buf[1], 8);
	kt_set(test, "off_drivers", "e1000*,nvme");
	expect_all_trap(test, &p);
	kt_set(test, "off_drivers", "e1000*," KT_NAME);
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	/* off_devices and off_drivers are different lists. */
	kt_set(test, "off_drivers", KT_NAME ".0");
	expect_all_trap(test, &p);
	unmap_pair(&p);
}

static void type_off_for_device_silent(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_devices", "cpu-read:" KT_NAME ".0,cpu-write:*.1");
	EXPECT_READ_OK(test, p.buf[0], 8);
	EXPECT_WRITE_TRAPS(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[1], 8);
	EXPECT_WRITE_OK(test, p.buf[1], 8);
	unmap_pair(&p);
}

static void type_off_for_driver_silent(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_drivers", "cpu-write:dma_owner_kunit");
	EXPECT_READ_TRAPS(test, p.buf[0], 8);
	EXPECT_WRITE_OK(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[1], 8);
	EXPECT_WRITE_OK(test, p.buf[1], 8);
	unmap_pair(&p);
}

/* A PCI device's name contains colons: only a known type is a prefix. */
static void colons_in_device_name_accepted(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_devices", "0000:00:03.0");
	expect_all_trap(test, &p);
	kt_set(test, "off_devices", "cpu-read:0000:00:03.0," KT_NAME ".0");
	EXPECT_CPU_OWNS(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[1], 8);
	unmap_pair(&p);
}

/* A filter hides a report; the access must go ahead all the same. */
static void filtered_write_takes_effect(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_types", "cpu-write");
	EXPECT_WRITE_OK(test, p.buf[0], 8);
	KUNIT_EXPECT_EQ(test, kt_peek(p.buf[0]), 0x5a);
	KUNIT_EXPECT_EQ(test, kt_peek(p.buf[0] + 7), 0x5a);
	unmap_pair(&p);
}

static struct kunit_case filters_cases[] = {
	KUNIT_CASE(type_off_silent),
	KUNIT_CASE(trailing_newline_accepted),
	KUNIT_CASE(device_off_silent),
	KUNIT_CASE(driver_off_silent),
	KUNIT_CASE(type_off_for_device_silent),
	KUNIT_CASE(type_off_for_driver_silent),
	KUNIT_CASE(colons_in_device_name_accepted),
	KUNIT_CASE(filtered_write_takes_effect),
	{}
};

KT_SUITE(filters);

/* === Bad values =========================================================== */

static void unknown_type_refused(struct kunit *test)
{
	struct pair p = map_pair(test);

	kt_set(test, "off_types", "cpu-write");
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("off_types", "cpu-wirte"), -EINVAL);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "cpu-wirte"), "said '%s'", kt_note());
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "cpu-write"), "said '%s'", kt_note());
	KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_note(), "cpu-read"), "said '%s'", kt_note());
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("off_types", "cpu-read,nonsense"),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("off_types", "cpu"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("off_types", "cpu-write2"), -EINVAL);
	/* The earlier value is still in force. */
	EXPECT_WRITE_OK(test, p.buf[0], 8);
	EXPECT_READ_TRAPS(test, p.buf[0], 8);
	unmap_pair(&p);
}

static void unknown_fault_refused(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", "badvalue"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", ""), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", "panicky"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", "report"), 0);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", "report\n"), 0);
}

static void bad_fault_value_no_panic(struct kunit *test)
{
	struct pair p = map_pair(test);

	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("fault", "badvalue"), -EINVAL);
	EXPECT_WRITE_TRAPS(test, p.buf[0], 8);
	unmap_pair(&p);
}

static void bad_numbers_refused(struct kunit *test)
{
	struct pair p = map_pair(test);

	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("report_burst", "many"), -EINVAL);
	KUNIT_EXPECT_NE(test, dma_owner_debug_param_set("report_burst", "-1"), 0);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("dedup", "maybe"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("trap_user", "2x"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("strict", "?"), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_param_set("kunit_fail", "?"), -EINVAL);
	/* Still no limit and no deduplication. */
	EXPECT_WRITE_TRAPS(test, p.buf[0], 8);
	EXPECT_WRITE_TRAPS(test, p.buf[0], 8);
	unmap_pair(&p);
}

static void unknown_names_refused(struct kunit *test)
{
	KUNIT_EXPECT_LT(test, dma_owner_debug_param_set("no_such_parameter", "1"), 0);
	KUNIT_EXPECT_LT(test, dma_owner_debug_param_set("", "1"), 0);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("no_such_counter"), -ENOENT);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count(""), -ENOENT);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("map"), -ENOENT);
}

/* Every name that the documentation promises. */
static void documented_counters_exist(struct kunit *test)
{
	static const char * const names[] = {
		"maps", "maps_bounced", "maps_linked", "unmaps", "syncs_for_cpu",
		"syncs_for_device", "live", "pool_free", "pool_records", "allowed_reads", "allowed_idioms",
		"traps_too_late",
		"reports_cpu_read", "reports_cpu_write", "reports_shown",
		"reports_deduplicated", "reports_ratelimited", "reports_filtered",
		"untracked_pool_empty", "untracked_failed_map", "untracked_mmio",
		"untracked_not_ram", "untracked_no_device", "unmatched_unmaps",
		"unmatched_syncs", "untrapped_user_pages", "untrapped_reserved_pages",
		"untrapped_kfence", "untrapped_stack", "untrapped_sub_granule",
		"ranges_exhausted",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		KUNIT_EXPECT_GE_MSG(test, dma_owner_debug_count(names[i]), 0, "%s", names[i]);
}

static struct kunit_case params_cases[] = {
	KUNIT_CASE(unknown_type_refused),
	KUNIT_CASE(unknown_fault_refused),
	KUNIT_CASE(bad_fault_value_no_panic),
	KUNIT_CASE(bad_numbers_refused),
	KUNIT_CASE(unknown_names_refused),
	KUNIT_CASE(documented_counters_exist),
	{}
};

KT_SUITE(params);
