// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events: each call of the DMA API gives some, slices of a mapping nest, and nothing is
 * gathered when nobody listens.
 *
 * Locks: seen.lock is taken in a probe, in any context, and nests nothing.
 */

#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "kt.h"
#include "../report/trace.h"

#define SIZE 256
#define SEEN 16

struct seen_event {
	char type;
	char slice[80], track[80];
	u32 index, first, len;
	u64 dma, phys;
	u8 call;
	unsigned long caller;
};

static struct {
	raw_spinlock_t lock;
	unsigned int nr;
	struct seen_event events[SEEN];
	unsigned int nr_values;
	u64 values[SEEN];
} seen = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(seen.lock),
};

static bool listens_owner, listens_counter, listens_report;

static void keep(char type, const char *slice, const char *track, const struct dod_turn *t,
		 u64 dma, u64 phys, u32 first, u32 len)
{
	struct seen_event *e;
	unsigned long flags;

	if (t->device->dev != kt_dev)
		return;
	raw_spin_lock_irqsave(&seen.lock, flags);
	if (seen.nr < SEEN) {
		e = &seen.events[seen.nr++];
		*e = (struct seen_event) {
			.type = type, .index = t->index, .first = first, .len = len, .dma = dma,
			.phys = phys, .call = t->api, .caller = t->caller,
		};
		strscpy(e->slice, slice, sizeof(e->slice));
		strscpy(e->track, track, sizeof(e->track));
	}
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

static void probe_owner(void *data, char type, const char *slice, const char *track,
			const struct dod_turn *t, u32 first, u32 len)
{
	keep(type, slice, track, t, t->dma_addr + first, t->phys + first, first, len);
}

static void probe_report(void *data, const char *title, const char *track,
			 const struct dod_turn *t)
{
	keep('I', title, track, t, t->dma_addr, t->phys, t->first, t->len);
}

static void probe_counter(void *data, const char *track, u64 bytes)
{
	unsigned long flags;

	if (strcmp(track, dev_name(kt_dev)))
		return;
	raw_spin_lock_irqsave(&seen.lock, flags);
	if (seen.nr_values < SEEN)
		seen.values[seen.nr_values++] = bytes;
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

static void forget(void)
{
	seen.nr = 0;
	seen.nr_values = 0;
}

static void listen_owner(struct kunit *test)
{
	forget();
	KUNIT_ASSERT_EQ(test, register_trace_owner(probe_owner, NULL), 0);
	listens_owner = true;
}

static void listen_counter(struct kunit *test)
{
	forget();
	KUNIT_ASSERT_EQ(test, register_trace_device_owned(probe_counter, NULL), 0);
	listens_counter = true;
}

static void listen_no_more(void)
{
	if (listens_owner)
		unregister_trace_owner(probe_owner, NULL);
	if (listens_counter)
		unregister_trace_device_owned(probe_counter, NULL);
	if (listens_report)
		unregister_trace_report(probe_report, NULL);
	listens_owner = listens_counter = listens_report = false;
	tracepoint_synchronize_unregister();
}

/* The next event, from @n on, is this one. Returns the number of the one after it. */
static unsigned int event_is(struct kunit *test, unsigned int n, char type, u8 call,
			     const char *slice, u32 first, u32 len)
{
	const struct seen_event *e = &seen.events[n];

	KUNIT_EXPECT_LT(test, n, seen.nr);
	if (n >= seen.nr)
		return n;
	KUNIT_EXPECT_TRUE_MSG(test, e->type == type && e->call == call &&
			      !strcmp(e->slice, slice) && e->first == first && e->len == len,
			      "event %u is %c call %u '%s' first %u len %u, not %c call %u '%s' first %u len %u",
			      n, e->type, e->call, e->slice, e->first, e->len, type, call, slice,
			      first, len);
	return n + 1;
}

/* A track has at most one slice at a time, and none is left. */
static void expect_nested(struct kunit *test)
{
	unsigned int i, depth = 0;

	for (i = 0; i < seen.nr; i++) {
		if (seen.events[i].type == 'B')
			KUNIT_EXPECT_EQ(test, depth++, 0);
		else if (seen.events[i].type == 'E')
			KUNIT_EXPECT_EQ(test, depth--, 1);
	}
	KUNIT_EXPECT_EQ(test, depth, 0);
}

#define FROM(n)		"device FROM_DEVICE " #n " B"
#define TO(n)		"device TO_DEVICE " #n " B"

static void map_and_unmap_seen(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	unsigned int n = 0;
	char track[80];
	dma_addr_t dma;

	listen_owner(test);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();

	n = event_is(test, n, 'B', DOD_API_MAP, FROM(256), 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_UNMAP, FROM(256), 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	expect_nested(test);
	snprintf(track, sizeof(track), "%s dma 0x%llx", dev_name(kt_dev), (u64)dma);
	KUNIT_EXPECT_STREQ(test, seen.events[0].track, track);
	KUNIT_EXPECT_STREQ(test, seen.events[1].track, track);
	KUNIT_EXPECT_EQ(test, seen.events[0].dma, (u64)dma);
	KUNIT_EXPECT_EQ(test, seen.events[0].phys, (u64)virt_to_phys(buf));
	KUNIT_EXPECT_EQ(test, seen.events[0].index, seen.events[1].index);
	KUNIT_EXPECT_NE(test, seen.events[0].caller, 0);
	KUNIT_EXPECT_NE(test, seen.events[1].caller, 0);
}

/* The rest of the mapping stays the device's: its slice ends, and one of the rest begins. */
static void part_synced_slices_nest(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	unsigned int n = 0;
	dma_addr_t dma;

	listen_owner(test);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 128, 64, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 128, 64, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();

	n = event_is(test, n, 'B', DOD_API_MAP, FROM(256), 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_CPU, FROM(256), 128, 64);
	n = event_is(test, n, 'B', DOD_API_SYNC_FOR_CPU, FROM(192), 0, 128);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_DEVICE, FROM(192), 128, 64);
	n = event_is(test, n, 'B', DOD_API_SYNC_FOR_DEVICE, FROM(256), 128, 64);
	n = event_is(test, n, 'E', DOD_API_UNMAP, FROM(256), 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	expect_nested(test);
}

/* Rule 6b: a sync of the leading part finishes all that the call handed over. */
static void leading_part_synced_all_ends(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	unsigned int n = 0;
	dma_addr_t dma;

	listen_owner(test);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();

	n = event_is(test, n, 'B', DOD_API_MAP, FROM(256), 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_CPU, FROM(256), 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_UNMAP, "unmap", 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	expect_nested(test);
}

static void call_without_change_is_instant(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	unsigned int n = 0;
	dma_addr_t dma;

	listen_owner(test);
	dma = kt_map_skip_sync(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();

	n = event_is(test, n, 'I', DOD_API_MAP, "map", 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_SYNC_FOR_CPU, "sync for the CPU", 0, SIZE);
	n = event_is(test, n, 'B', DOD_API_SYNC_FOR_DEVICE, FROM(256), 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_SYNC_FOR_DEVICE, "sync for the device", 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_CPU, FROM(256), 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_UNMAP, "unmap", 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	expect_nested(test);
}

/* A write that waits for its sync does not end the slice. */
static void pending_write_keeps_slice(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	unsigned int n = 0;
	dma_addr_t dma;

	listen_owner(test);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	test_dma_write(buf + 64, 64);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 64, DMA_TO_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_TO_DEVICE);
	listen_no_more();
	EXPECT_SILENCE(test);

	n = event_is(test, n, 'B', DOD_API_MAP, TO(256), 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_SYNC_FOR_DEVICE, "sync for the device", 64, 64);
	n = event_is(test, n, 'E', DOD_API_UNMAP, TO(256), 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	expect_nested(test);
}

/* A list is a mapping for each entry. */
static void list_has_track_for_each(struct kunit *test)
{
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];
	unsigned int n = 0;

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	listen_owner(test);
	if (test_dma_map_sg(sg, 2, DMA_FROM_DEVICE)) {
		dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
		dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
	}
	listen_no_more();

	n = event_is(test, n, 'B', DOD_API_MAP, FROM(256), 0, SIZE);
	n = event_is(test, n, 'B', DOD_API_MAP, FROM(256), 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_CPU, FROM(256), 0, SIZE);
	n = event_is(test, n, 'E', DOD_API_SYNC_FOR_CPU, FROM(256), 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_UNMAP, "unmap", 0, SIZE);
	n = event_is(test, n, 'I', DOD_API_UNMAP, "unmap", 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
	KUNIT_EXPECT_NE(test, seen.events[0].index, seen.events[1].index);
	KUNIT_EXPECT_EQ(test, seen.events[0].index, seen.events[2].index);
	KUNIT_EXPECT_EQ(test, seen.events[1].index, seen.events[3].index);
}

/* The static branch is off: nothing is gathered, and nothing comes. */
static void nobody_listens_nothing_seen(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	KT_REQUIRES(test, !trace_owner_enabled() && !trace_device_owned_enabled());
	listen_owner(test);
	KUNIT_EXPECT_TRUE(test, trace_owner_enabled());
	listen_no_more();
	KUNIT_EXPECT_FALSE(test, trace_owner_enabled());
	forget();
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, seen.nr, 0);
	KUNIT_EXPECT_EQ(test, seen.nr_values, 0);
}

/* What ends was seen by nobody when it began. */
static void begun_before_ends(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unsigned int n = 0;

	listen_owner(test);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	n = event_is(test, n, 'E', DOD_API_UNMAP, FROM(256), 0, SIZE);
	KUNIT_EXPECT_EQ(test, n, seen.nr);
}

/* A free ends no slice that the CPU's turn has ended before; and one that it leaves open ends once. */
static void freed_slice_ends_once(struct kunit *test)
{
	u8 *a = kt_own_buf(test, SIZE), *b = kt_own_buf(test, SIZE);
	dma_addr_t a_dma, b_dma;

	listen_owner(test);
	a_dma = test_dma_map(test, kt_dev, a, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, a_dma, SIZE, DMA_FROM_DEVICE);
	kfree(a);
	kt_late_unmap(test, a_dma, SIZE, DMA_FROM_DEVICE);
	expect_nested(test);
	b_dma = kt_map_skip_sync(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, b_dma, SIZE, DMA_FROM_DEVICE);
	test_kfree(b);
	EXPECT_FREE_REPORT(test, test_kfree, b, SIZE);
	kt_late_unmap(test, b_dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	expect_nested(test);
}

static void values_are(struct kunit *test, const u64 *values, unsigned int nr)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(test, seen.nr_values, nr);
	for (i = 0; i < min(nr, seen.nr_values); i++)
		KUNIT_EXPECT_EQ(test, seen.values[i], values[i]);
}

static void bytes_of_device_counted(struct kunit *test)
{
	static const u64 values[] = { 256, 512, 448, 512, 256, 0 };
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t a_dma, b_dma;

	listen_counter(test);
	a_dma = test_dma_map(test, kt_dev, a, SIZE, DMA_FROM_DEVICE);
	b_dma = test_dma_map(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, a_dma, 128, 64, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, a_dma, 128, 64, DMA_FROM_DEVICE);
	test_dma_unmap(a_dma, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(b_dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	values_are(test, values, ARRAY_SIZE(values));
}

/* The device owns none of it after the free, which is no event: the next one has the sum without it. */
static void freed_bytes_counted(struct kunit *test)
{
	static const u64 values[] = { 256, 512, 0 };
	u8 *a = kt_own_buf(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t a_dma, b_dma;

	listen_counter(test);
	a_dma = test_dma_map(test, kt_dev, a, SIZE, DMA_FROM_DEVICE);
	b_dma = test_dma_map(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);
	test_kfree(a);
	EXPECT_FREE_REPORT(test, test_kfree, a, SIZE);
	kt_late_unmap(test, a_dma, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(b_dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	values_are(test, values, ARRAY_SIZE(values));
}

static u8 *nested_buf;
static dma_addr_t nested_dma;

/* Maps memory as a console's driver does: that is no event of its own. */
static void probe_mapping(void *data, char type, const char *slice, const char *track,
			  const struct dod_turn *t, u32 first, u32 len)
{
	u8 *buf = nested_buf;

	if (t->device->dev != kt_dev || type != 'B' || !buf)
		return;
	nested_buf = NULL;
	nested_dma = dma_map_single(kt_dev, buf, SIZE, DMA_FROM_DEVICE);
}

static void nested_bytes_counted(struct kunit *test)
{
	static const u64 values[] = { 512, 256, 0 };
	long nested = dma_owner_debug_count("events_nested");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	nested_dma = DMA_MAPPING_ERROR;
	nested_buf = kt_buf(test, SIZE);
	listen_counter(test);
	KUNIT_ASSERT_EQ(test, register_trace_owner(probe_mapping, NULL), 0);
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	unregister_trace_owner(probe_mapping, NULL);
	KUNIT_EXPECT_FALSE(test, dma_mapping_error(kt_dev, nested_dma));
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("events_nested"), nested + 1);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	if (!dma_mapping_error(kt_dev, nested_dma))
		test_dma_unmap(nested_dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	values_are(test, values, ARRAY_SIZE(values));
}

/* Each who begins to listen begins anew: nobody counted before. */
static void begun_before_not_counted(struct kunit *test)
{
	static const u64 values[] = { 256, 0, 256, 0 };
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	dma_addr_t a_dma, b_dma;

	listen_counter(test);
	a_dma = test_dma_map(test, kt_dev, a, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	listen_counter(test);
	b_dma = test_dma_map(test, kt_dev, b, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(b_dma, SIZE, DMA_FROM_DEVICE);
	/* It is seen, and is in the sum from then on. */
	dma_sync_single_for_device(kt_dev, a_dma, SIZE, DMA_FROM_DEVICE);
	test_dma_unmap(a_dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	values_are(test, values, ARRAY_SIZE(values));
}

static void report_seen(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	const struct seen_event *e = &seen.events[1];
	dma_addr_t dma;

	if (!kt_traps(test))
		return;
	listen_owner(test);
	KUNIT_ASSERT_EQ(test, register_trace_report(probe_report, NULL), 0);
	listens_report = true;
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	test_dma_read(buf + 16, 8);
	EXPECT_REPORT(test, "cpu-read", test_dma_read, buf + 16, 8);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();

	KUNIT_ASSERT_EQ(test, seen.nr, 3);
	KUNIT_EXPECT_EQ(test, e->type, 'I');
	/* The title, as it is in the log. */
	KUNIT_EXPECT_TRUE(test, strstarts(kt_line(0), "BUG: DMA_OWNER: "));
	KUNIT_EXPECT_STREQ(test, e->slice, kt_line(0) + strlen("BUG: DMA_OWNER: "));
	KUNIT_EXPECT_STREQ(test, e->track, seen.events[0].track);
	KUNIT_EXPECT_EQ(test, e->index, seen.events[0].index);
	KUNIT_EXPECT_EQ(test, e->first, 16);
	KUNIT_EXPECT_EQ(test, e->len, 8);
	KUNIT_EXPECT_EQ(test, e->dma, (u64)dma + 16);
	KUNIT_EXPECT_EQ(test, e->phys, (u64)virt_to_phys(buf + 16));
	KUNIT_EXPECT_NE(test, e->caller, 0);
}

/* What is not printed is no event. */
static void hidden_report_not_seen(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	kt_set(test, "off_types", "cpu-read");
	forget();
	KUNIT_ASSERT_EQ(test, register_trace_report(probe_report, NULL), 0);
	listens_report = true;
	test_dma_read(buf, 8);
	EXPECT_SILENCE(test);
	test_dma_unmap(dma, SIZE, DMA_FROM_DEVICE);
	listen_no_more();
	KUNIT_EXPECT_EQ(test, seen.nr, 0);
}

/* An assertion may have failed while it listened. */
static void trace_exit(struct kunit *test)
{
	listen_no_more();
	kt_test_exit(test);
}

static struct kunit_case trace_cases[] = {
	KUNIT_CASE(map_and_unmap_seen),
	KUNIT_CASE(part_synced_slices_nest),
	KUNIT_CASE(leading_part_synced_all_ends),
	KUNIT_CASE(call_without_change_is_instant),
	KUNIT_CASE(pending_write_keeps_slice),
	KUNIT_CASE(list_has_track_for_each),
	KUNIT_CASE(nobody_listens_nothing_seen),
	KUNIT_CASE(begun_before_ends),
	KUNIT_CASE(freed_slice_ends_once),
	KUNIT_CASE(bytes_of_device_counted),
	KUNIT_CASE(freed_bytes_counted),
	KUNIT_CASE(nested_bytes_counted),
	KUNIT_CASE(begun_before_not_counted),
	KUNIT_CASE(report_seen),
	KUNIT_CASE(hidden_report_not_seen),
	{}
};

static struct kunit_suite trace_suite = {
	.name = KT_SUITE_PREFIX "trace",
	.suite_init = kt_suite_init,
	.suite_exit = kt_suite_exit,
	.init = kt_test_init,
	.exit = trace_exit,
	.test_cases = trace_cases,
};

kunit_test_suite(trace_suite);
