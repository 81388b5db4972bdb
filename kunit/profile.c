// SPDX-License-Identifier: GPL-2.0
/*
 * Advice, by the profile of map calls: what costs more than it must is noted once a device, and its
 * legal neighbour is not. Each test has a device of its own, of which nothing was counted yet.
 */

#include <linux/glob.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/swiotlb.h>

#include "kt.h"

#define NAME	"dma_owner_profile"
#define NR	1000	/* LEAST_MAPS of judge/advice.c */
#define ROOM	4096
#define SLOTS	16	/* of ROOM: no two in a row are neighbours or the same */
#define STRIDE	(ROOM / SLOTS)

static int device_init(struct kunit_resource *res, void *unused)
{
	static int id;
	struct platform_device_info info = {
		.name = NAME, .id = id++, .dma_mask = DMA_BIT_MASK(64),
	};

	res->data = platform_device_register_full(&info);
	return PTR_ERR_OR_ZERO(res->data);
}

static void device_free(struct kunit_resource *res)
{
	struct platform_device *pdev = res->data;

	pdev->dev.bus_dma_limit = 0;
	platform_device_unregister(pdev);
}

static struct device *new_device(struct kunit *test)
{
	struct platform_device *pdev = kunit_alloc_resource(test, device_init, device_free,
							    GFP_KERNEL, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pdev);
	return &pdev->dev;
}

/* How a driver maps: @nr times, @slots places one after the other, @stride bytes apart. */
struct pattern {
	size_t size;
	int nr, slots;
	size_t stride;
	enum dma_data_direction dir;
	unsigned long attrs;
};

static kt_noinline void map_often(struct kunit *test, struct device *dev, u8 *buf,
				  const struct pattern *p)
{
	int i;

	for (i = 0; i < p->nr; i++) {
		u8 *at = buf + i % p->slots * p->stride;
		dma_addr_t dma = dma_map_single_attrs(dev, at, p->size, p->dir, p->attrs);

		KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
		dma_unmap_single_attrs(dev, dma, p->size, p->dir, p->attrs);
		cond_resched();
	}
}

static void look_for_advice(struct kunit *test)
{
	kt_set(test, "profile", "1");
}

/* Without content, which most of the time would go to. What is said of others is said now. */
static void begin(struct kunit *test)
{
	kt_set(test, "content", "off");
	look_for_advice(test);
	kt_reset();
}

static void expect_advice(struct kunit *test, struct device *dev, const char *type,
			  const char *text)
{
	char line[400];

	look_for_advice(test);
	snprintf(line, sizeof(line), "dma_owner_debug: note: %s: platform %s: * mappings in %s",
		 type, dev_name(dev), text);
	KUNIT_EXPECT_TRUE_MSG(test, glob_match(line, kt_note()), "said '%s', not '%s'",
			      kt_note(), line);
	/* It fails no test, and is said once. */
	KUNIT_EXPECT_TRUE(test, !*kt_take_silence());
	kt_reset();
	look_for_advice(test);
	KUNIT_EXPECT_FALSE_MSG(test, strstr(kt_note(), dev_name(dev)), "again '%s'", kt_note());
}

static void expect_none(struct kunit *test, struct device *dev)
{
	look_for_advice(test);
	KUNIT_EXPECT_FALSE_MSG(test, strstr(kt_note(), dev_name(dev)), "said '%s'", kt_note());
	EXPECT_SILENCE(test);
}

/* === many-small-maps ====================================================== */

static const struct pattern small = {
	.size = 63, .nr = NR, .slots = SLOTS, .stride = STRIDE, .dir = DMA_TO_DEVICE,
};

static void small_maps_noted(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	kt_set(test, "kunit_fail", "1");
	map_often(test, dev, kt_buf(test, ROOM), &small);
	expect_advice(test, dev, "many-small-maps",
		      "map_often+*: 100% of them have less than 64 bytes; dma_pool, *");
	KUNIT_EXPECT_EQ(test, READ_ONCE(test->status), KUNIT_SUCCESS);
}

static void maps_of_a_line_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = small;

	p.size = 64;
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &p);
	expect_none(test, dev);
}

static void few_small_maps_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = small;

	p.nr = NR - 1;
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &p);
	expect_none(test, dev);
}

/* Three of four: below SMALL_PERCENT. */
static void mixed_sizes_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	u8 *buf = kt_buf(test, ROOM);
	struct pattern p = small;
	int i;

	begin(test);
	for (i = 0; i < NR / 4; i++) {
		p.nr = 3;
		p.size = 32;
		map_often(test, dev, buf, &p);
		p.nr = 1;
		p.size = 128;
		map_often(test, dev, buf + 3 * STRIDE, &p);
	}
	expect_none(test, dev);
}

/* What is in a list is often somebody else's, and mapped with the rest. */
static void small_entries_of_list_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	u8 *buf = kt_buf(test, ROOM);
	struct scatterlist sg[4];
	int i;

	begin(test);
	for (i = 0; i < NR; i++) {
		sg_init_table(sg, ARRAY_SIZE(sg));
		sg_set_buf(&sg[0], buf, 16);
		sg_set_buf(&sg[1], buf + 2 * STRIDE, 16);
		sg_set_buf(&sg[2], buf + 1 * STRIDE, 16);
		sg_set_buf(&sg[3], buf + 3 * STRIDE, 16);
		KUNIT_ASSERT_GT(test, dma_map_sg(dev, sg, ARRAY_SIZE(sg), DMA_TO_DEVICE), 0);
		dma_unmap_sg(dev, sg, ARRAY_SIZE(sg), DMA_TO_DEVICE);
		cond_resched();
	}
	expect_none(test, dev);
}

/* Switched off, nothing is counted. */
static void not_profiled_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	kt_set(test, "profile", "0");
	map_often(test, dev, kt_buf(test, ROOM), &small);
	expect_none(test, dev);
}

static void advice_off_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	kt_set(test, "off_types", "many-small-maps");
	map_often(test, dev, kt_buf(test, ROOM), &small);
	expect_none(test, dev);
	kt_set(test, "off_types", "");
	expect_advice(test, dev, "many-small-maps", "*");
}

/* === mapped-again ========================================================= */

static const struct pattern again = {
	.size = 512, .nr = NR, .slots = 1, .dir = DMA_TO_DEVICE,
};

static void same_buffer_noted(struct kunit *test)
{
	struct device *dev = new_device(test);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &again);
	expect_advice(test, dev, "mapped-again",
		      "map_often+*: 99% of them are of the same buffer as the one before; map it once*");
}

static void two_buffers_in_turn_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = again;

	p.slots = 2;
	p.stride = 1024;
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &p);
	expect_none(test, dev);
}

/* It may be another one each time: the allocator serves what was freed last. */
static void same_page_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	map_often(test, dev, kt_page_buf(test), &again);
	expect_none(test, dev);
}

/* KASAN keeps freed objects, so that each of them is another one. */
static void new_object_each_time_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = again;
	int i;

	p.nr = 1;
	begin(test);
	for (i = 0; i < NR; i++) {
		u8 *buf = kt_own_buf(test, 512);

		map_often(test, dev, buf, &p);
		kfree(buf);
	}
	expect_none(test, dev);
}

/* === mapped-in-pieces ===================================================== */

static const struct pattern pieces = {
	.size = STRIDE, .nr = NR, .slots = SLOTS, .stride = STRIDE, .dir = DMA_TO_DEVICE,
};

static void pieces_of_buffer_noted(struct kunit *test)
{
	struct device *dev = new_device(test);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &pieces);
	expect_advice(test, dev, "mapped-in-pieces",
		      "map_often+*: 93% of them continue the one before, in the same buffer; map all*");
}

static void pieces_with_gaps_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = pieces;

	p.size = STRIDE - 8;
	begin(test);
	map_often(test, dev, kt_buf(test, ROOM), &p);
	expect_none(test, dev);
}

/* === mostly-bounced ======================================================= */

static const struct pattern bounced = {
	.size = 512, .nr = NR, .slots = 2, .stride = 1024, .dir = DMA_TO_DEVICE,
};

static void require_bounces(struct kunit *test, struct device *dev)
{
	if (!is_swiotlb_force_bounce(dev))
		kunit_skip(test, "Test requires: bounce buffers (boot with swiotlb=force)");
}

/* A bus that reaches all bounce buffers, which are in one piece, but not this memory. */
static void memory_beyond_reach_noted(struct kunit *test)
{
	struct device *dev = new_device(test);
	u8 *buf = kt_page_buf(test);
	dma_addr_t dma;

	require_bounces(test, dev);
	dma = test_dma_map(test, dev, buf, 512, DMA_TO_DEVICE);
	dma_unmap_single(dev, dma, 512, DMA_TO_DEVICE);
	if (dma > virt_to_phys(buf))
		kunit_skip(test, "Test requires: bounce buffers below other memory");
	dev->bus_dma_limit = virt_to_phys(buf) - 1;
	begin(test);
	map_often(test, dev, buf, &bounced);
	expect_advice(test, dev, "mostly-bounced", "map_often+*: *% of them are bounced: their memory is above *");
}

/* Somebody wants all to be bounced: no mask helps. */
static void all_bounced_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	require_bounces(test, dev);
	begin(test);
	map_often(test, dev, kt_page_buf(test), &bounced);
	expect_none(test, dev);
}

/* === no-page-pool ========================================================= */

/* What the kernel calls a driver's poll function from, to receive. */
static kt_noinline void __napi_poll(struct kunit *test, struct device *dev, u8 *buf,
				    const struct pattern *p)
{
	map_often(test, dev, buf, p);
}

static const struct pattern receive = {
	.size = 256, .nr = 2 * NR, .slots = SLOTS / 2, .stride = 2 * STRIDE, .dir = DMA_FROM_DEVICE,
};

/* Half of the packets that count for a device that is busy, in the time that they took. */
static void receive_quickly(struct kunit *test, struct device *dev, u8 *buf)
{
	ktime_t start = ktime_get();

	__napi_poll(test, dev, buf, &receive);
	if (ktime_ms_delta(ktime_get(), start) > receive.nr * 9 / 10)
		kunit_skip(test, "Test requires: a machine that maps more than 1100 times a second");
}

static void receive_in_pages_noted(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	receive_quickly(test, dev, kt_page_buf(test));
	expect_advice(test, dev, "no-page-pool",
		      "map_often+*: it maps pages to receive packets, * a second; a page_pool *");
}

static void receive_in_objects_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	receive_quickly(test, dev, kt_buf(test, ROOM));
	expect_none(test, dev);
}

static void send_from_pages_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = receive;

	p.dir = DMA_TO_DEVICE;
	begin(test);
	__napi_poll(test, dev, kt_page_buf(test), &p);
	expect_none(test, dev);
}

static void page_pool_silent(struct kunit *test)
{
	struct device *dev = new_device(test);
	struct pattern p = receive;

	p.attrs = KT_POOL_ATTRS;
	begin(test);
	__napi_poll(test, dev, kt_page_buf(test), &p);
	expect_none(test, dev);
}

static void no_network_silent(struct kunit *test)
{
	struct device *dev = new_device(test);

	begin(test);
	map_often(test, dev, kt_page_buf(test), &receive);
	expect_none(test, dev);
}

static struct kunit_case profile_cases[] = {
	KUNIT_CASE(small_maps_noted),
	KUNIT_CASE(maps_of_a_line_silent),
	KUNIT_CASE(few_small_maps_silent),
	KUNIT_CASE(mixed_sizes_silent),
	KUNIT_CASE(small_entries_of_list_silent),
	KUNIT_CASE(not_profiled_silent),
	KUNIT_CASE(advice_off_silent),
	KUNIT_CASE(same_buffer_noted),
	KUNIT_CASE(two_buffers_in_turn_silent),
	KUNIT_CASE(same_page_silent),
	KUNIT_CASE(new_object_each_time_silent),
	KUNIT_CASE(pieces_of_buffer_noted),
	KUNIT_CASE(pieces_with_gaps_silent),
	KUNIT_CASE(memory_beyond_reach_noted),
	KUNIT_CASE(all_bounced_silent),
	KUNIT_CASE(receive_in_pages_noted),
	KUNIT_CASE(receive_in_objects_silent),
	KUNIT_CASE(send_from_pages_silent),
	KUNIT_CASE(page_pool_silent),
	KUNIT_CASE(no_network_silent),
	{}
};

KT_SUITE(profile);
