// SPDX-License-Identifier: GPL-2.0
/*
 * Rules 6b, 3b and 2: what the device is done with, and nobody has synced for the CPU. It
 * may be written, and then is what was written; to read it is a fault.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "dod_test.h"

#define SIZE 1536
#define HEADROOM 128
#define POOL_ATTRS (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING)

KT_DIRECTIONS;

/* As page_pool maps: the page stays the CPU's until a sync. */
static dma_addr_t pool_map(struct kunit *test, struct page *page, enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_page_attrs(kt_dev, page, 0, PAGE_SIZE, dir, POOL_ATTRS);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	return dma;
}

static kt_noinline void pool_unmap(dma_addr_t dma, enum dma_data_direction dir)
{
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, dir, POOL_ATTRS);
	barrier();
}

static kt_noinline kt_unchecked void device_fills(u8 *p, size_t size)
{
	while (size--)
		WRITE_ONCE(p[size], size);
}

/* bpf_xdp_adjust_tail(), an ESP trailer, padding, skb_shared_info. */
static void tailroom_of_a_packet(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *data = p + HEADROOM;
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma;
	int i;

	KT_REQUIRES(test, dir != DMA_TO_DEVICE);
	dma = pool_map(test, page, dir);
	for (i = 0; i < 3; i++) {
		dma_sync_single_range_for_device(kt_dev, dma, HEADROOM, SIZE, dir);
		device_fills(data, 64);
		dma_sync_single_range_for_cpu(kt_dev, dma, HEADROOM, 64, dir);
		EXPECT_CPU_OWNS(test, data, 64);
		memset(data + 64, 0, 24);
		test_dma_read(data + 56, 32);
		test_dma_write(data + 1024, 8);
		test_dma_read(data + 1024, 8);
		EXPECT_SILENCE(test);
		/* Nobody wrote there. */
		EXPECT_READ_TRAPS(test, data + 96, 8);
		if (kt_traps(test) && !i) {
			test_dma_read(data + 104, 8);
			KUNIT_EXPECT_STREQ(test, kt_take_report("cpu-read", test_dma_read,
								data + 104, 8), "");
			KUNIT_EXPECT_TRUE(test, kt_has("They were not synced for the CPU: *"));
		}
	}
	pool_unmap(dma, dir);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* From the packet's last bytes on: the network core pulls data together. */
static void across_the_border(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *from = kt_buf(test, 2048);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 128, DMA_FROM_DEVICE);
	memcpy(p + 120, from, 1448);
	test_dma_read(p + 112, 1456);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 120 + 1448, 8);
	pool_unmap(dma, DMA_FROM_DEVICE);
}

/* One hand-over of several packets: the sync of one says nothing of the others. */
static void several_in_one(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	dma_sync_single_range_for_cpu(kt_dev, dma, 256, 256, dir);
	EXPECT_DEVICE_OWNS(test, dir, buf, 8);
	EXPECT_CPU_OWNS(test, buf + 256, 8);
	EXPECT_DEVICE_OWNS(test, dir, buf + 512, 8);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
}

/*
 * A page whose packets begin after headroom, as those of ENA do. What a driver would not
 * call headroom is another packet's.
 */
static void headroom_before_a_packet(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = dma_map_page(kt_dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	dma_sync_single_range_for_cpu(kt_dev, dma, 512, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_TRAPS(test, p + 64, 8);
	EXPECT_WRITE_TRAPS(test, p + 1024, 8);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_sync_single_range_for_cpu(kt_dev, dma, 320, 64, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, p + 320, 64);
	/* skb_push(), a BPF program's header, which is not seen, and skb_shared_info. */
	EXPECT_WRITE_OK(test, p + 300, 20);
	EXPECT_CPU_OWNS(test, p + 128, 8);
	EXPECT_WRITE_OK(test, p + 3072, 320);
	test_dma_read(p + 3072, 320);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 1024, 8);
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/*
 * mvneta's page stays mapped while its packet travels; a crypto engine writes an ICV into
 * the tailroom, and hands that over. What another device only reads stays stale.
 */
static void tailroom_of_another_device(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE), other;

	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 512, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, p + 1024, 8);
	other = test_dma_map(test, kt_dev2, p + 256, 1024, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev2, other, 1024, DMA_TO_DEVICE);
	EXPECT_READ_TRAPS(test, p + 1024, 8);
	other = test_dma_map(test, kt_dev2, p + 256, 1024, DMA_BIDIRECTIONAL);
	EXPECT_DEVICE_OWNS(test, DMA_BIDIRECTIONAL, p + 1024, 8);
	dma_unmap_single(kt_dev2, other, 1024, DMA_BIDIRECTIONAL);
	EXPECT_CPU_OWNS(test, p + 256, 1024);
	EXPECT_READ_TRAPS(test, p + 1280, 8);
	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, p + 1024, 8);
	pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/*
 * In an interrupt of code that has turned KASAN off, as the page allocator does while it
 * clears a page, TCP writes into the tailroom of an earlier packet, and nobody sees it.
 */
static void written_unseen(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *other = kt_buf(test, 64);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE), passing;
	long doubted = dma_owner_debug_count("stale_doubted");
	int round;

	KT_REQUIRES(test, kt_traps(test));
	for (round = 0; round < 3; round++) {
		dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
		/* 2: also what the first call makes stale. */
		if (round == 2)
			kasan_disable_current();
		dma_sync_single_for_cpu(kt_dev, dma, 512, DMA_FROM_DEVICE);
		if (round == 2)
			kasan_enable_current();
		if (round == 1) {
			kasan_disable_current();
			passing = test_dma_map(test, kt_dev2, other, 64, DMA_TO_DEVICE);
			dma_unmap_single(kt_dev2, passing, 64, DMA_TO_DEVICE);
			memset(p + 600, 1, 8);
			kasan_enable_current();
		}
		if (round)
			EXPECT_READ_OK(test, p + 600, 8);
		else
			EXPECT_READ_TRAPS(test, p + 600, 8);
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("stale_doubted"),
				doubted + (round > 0));
	}
	pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* Two halves of a page are two hand-overs, whatever they touch. */
static void two_hand_overs(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_range_for_device(kt_dev, dma, 0, 2048, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 2048, 2048, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 64, 8);
	EXPECT_WRITE_TRAPS(test, p + 2048, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, 2048, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 2048 + 64, 8);
	EXPECT_READ_TRAPS(test, p + 2048 + 72, 8);
	pool_unmap(dma, DMA_FROM_DEVICE);
}

/*
 * A pool gives a whole page, and its driver then the part that it has a buffer in (mt76):
 * what is left of the first hand-over is no other packet's.
 */
static void narrower_hand_over(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_range_for_device(kt_dev, dma, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 0, 1728, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 2048, 1728, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 1728, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 1728, 320);
	EXPECT_WRITE_TRAPS(test, p + 2048, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, 2048, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 2048 + 1728, 320);
	EXPECT_READ_TRAPS(test, p + 2048 + 72, 8);
	pool_unmap(dma, DMA_FROM_DEVICE);
}

/* Written to the tailroom, and given back, or not: as after any sync. */
static void tailroom_is_lost(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	test_dma_write(buf + 256, 8);
	dma_sync_single_for_device(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_SILENCE(test);
	test_dma_write(buf + 512, 8);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, buf + 512, 8);
}

/* Two writes, of which the first alone is given back (stmmac's page_pool offset). */
static void other_bytes_given_back(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_dma_write(buf, 8);
	test_dma_write(buf + 1024, 8);
	dma_sync_single_for_device(kt_dev, dma, 512, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, buf + 1024, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

/* Rule 3b. */
static void unmap_skips_the_sync(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);
	int lined;

	for (lined = 0; lined < 2; lined++) {
		kt_set(test, "noncoherent", lined ? "64" : "0");
		if (lined)
			dma = pool_map(test, page, DMA_FROM_DEVICE);
		dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
		device_fills(p, 128);
		pool_unmap(dma, DMA_FROM_DEVICE);
		/* A bounce buffer loses it on this machine. */
		if (!lined && dma == page_to_phys(page)) {
			EXPECT_CPU_OWNS(test, p, 8);
			EXPECT_CLEAN(test, p, PAGE_SIZE);
			continue;
		}
		if (!kt_traps(test))
			continue;
		test_dma_read(p + 40, 8);
		KUNIT_EXPECT_STREQ(test, kt_take_report("cpu-read", test_dma_read, p + 40, 8), "");
		KUNIT_EXPECT_TRUE(test, kt_has("They were unmapped with DMA_ATTR_SKIP_CPU_SYNC at pool_unmap+0x*"));
		EXPECT_CPU_OWNS(test, p + 2048, 8);
		/* What is written may be read. */
		test_dma_write(p + 40, 8);
		test_dma_read(p + 40, 8);
		EXPECT_SILENCE(test);
		EXPECT_READ_TRAPS(test, p + 48, 8);
		/* What is mapped again is another mapping's. */
		dma = pool_map(test, page, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, p + 48, 8);
		EXPECT_CLEAN(test, p, PAGE_SIZE);
		pool_unmap(dma, DMA_FROM_DEVICE);
	}
}

/* The same of a list, and what was written to it. */
static void list_skips_the_sync(struct kunit *test)
{
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];
	int skips;

	kt_set(test, "noncoherent", "64");
	kt_set(test, "watch_writes", "1");
	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	for (skips = 0; skips < 2; skips++) {
		KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 0);
		/* dma-debug wants a list synced as a whole, but not a part of it. */
		dma_sync_single_for_cpu(kt_dev, sg_dma_address(&sg[0]), SIZE, DMA_FROM_DEVICE);
		test_dma_write(a + 64, 8);
		dma_unmap_sg_attrs(kt_dev, sg, 2, DMA_FROM_DEVICE,
				   skips ? DMA_ATTR_SKIP_CPU_SYNC : 0);
		if (!skips) {
			EXPECT_REPORT(test, "missing-sync-for-device", test_dma_write, a + 64, 8);
			EXPECT_CPU_OWNS(test, b, 8);
			continue;
		}
		EXPECT_SILENCE(test);
		EXPECT_CPU_OWNS(test, a, 8);
		EXPECT_READ_TRAPS(test, b + 8, 8);
	}
	test_dma_write(b, 8);
	EXPECT_CPU_OWNS(test, b, 8);
}

/* Whoever gets the page next knows nothing of it. */
static void stale_is_freed(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t dma;
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, page);
	p = page_address(page);
	kt_set(test, "noncoherent", "64");
	dma = pool_map(test, page, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	pool_unmap(dma, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) || kt_painted(p));
	__free_page(page);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, kt_painted(p));
}

/*
 * A hand-over that ends inside of a granule, and the next begins there. That the CPU
 * writes to what is left of the first is not seen: it is not stale then, whatever the
 * other is.
 */
static void parts_of_granules(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	dma = pool_map(test, page, DMA_FROM_DEVICE);
	if (dma != page_to_phys(page))
		kunit_skip(test, "it is bounced");
	dma_sync_single_range_for_device(kt_dev, dma, 0, 100, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 100, 100, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 62, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, p, 62);
	test_dma_write(p + 62, 2);
	test_dma_write(p + 96, 4);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 64, 8);
	EXPECT_READ_TRAPS(test, p + 88, 8);
	pool_unmap(dma, DMA_FROM_DEVICE);
	test_dma_read(p + 62, 2);
	test_dma_read(p + 96, 4);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 88, 8);
	EXPECT_READ_TRAPS(test, p + 104, 8);
}

/* Each of the ways in which what is stale ends, to the byte. */
static void stale_no_more(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma, part;

	kt_set(test, "noncoherent", "64");
	dma = pool_map(test, page, DMA_FROM_DEVICE);
	if (dma != page_to_phys(page))
		kunit_skip(test, "it is bounced");
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	pool_unmap(dma, DMA_FROM_DEVICE);
	/* Written, and not what is beside it. */
	EXPECT_READ_TRAPS(test, p + 56, 8);
	test_dma_write(p + 64, 8);
	EXPECT_READ_OK(test, p + 64, 8);
	EXPECT_READ_TRAPS(test, p + 72, 8);
	/* Mapped, and so on. */
	part = test_dma_map(test, kt_dev2, p + 128, 64, DMA_TO_DEVICE);
	EXPECT_READ_OK(test, p + 128, 64);
	EXPECT_READ_TRAPS(test, p + 120, 8);
	EXPECT_READ_TRAPS(test, p + 192, 8);
	dma_unmap_single(kt_dev2, part, 64, DMA_TO_DEVICE);
	EXPECT_READ_OK(test, p + 128, 64);
	EXPECT_READ_TRAPS(test, p + 192, 8);
	/* Left stale while it is mapped elsewhere, too: the other's unmap is a sync. */
	dma = pool_map(test, page, DMA_FROM_DEVICE);
	part = dma_map_single_attrs(kt_dev2, p + 256, 64, DMA_FROM_DEVICE, POOL_ATTRS);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev2, part));
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, p + 256, 8);
	dma_unmap_single(kt_dev2, part, 64, DMA_FROM_DEVICE);
	EXPECT_READ_OK(test, p + 256, 64);
	EXPECT_READ_TRAPS(test, p + 248, 8);
	EXPECT_READ_TRAPS(test, p + 320, 8);
}

struct writer {
	struct kt_thread thread;
	u8 *at;
	bool stop;
};

static int write_on(void *arg)
{
	struct writer *w = arg;
	unsigned int i;

	for (i = 0; !READ_ONCE(w->stop); i++) {
		test_dma_write(w->at, 8);
		udelay(i * 7 % 199);
		cond_resched();
	}
	return 0;
}

/* A device owns it when the write traps, and is done with it before that is judged. */
static void stale_while_it_is_written(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	struct writer w = { .at = buf + 512 };
	unsigned long until;
	dma_addr_t dma;

	kt_set(test, "off_types", "cpu-write");
	kt_thread_start(&w.thread, write_on, &w);
	for (until = jiffies + HZ; time_before(jiffies, until); cond_resched()) {
		dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
		udelay(100);
		dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
		udelay(50);
		dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	}
	WRITE_ONCE(w.stop, true);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&w.thread), 0);
	kt_set(test, "off_types", "");
	EXPECT_SILENCE(test);
	EXPECT_CLEAN(test, buf, SIZE);

	/* It would have been disarmed by an inconsistency. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 512, 8);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf + 512, 8);
	EXPECT_WRITE_OK(test, buf + 512, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

#if IS_ENABLED(CONFIG_NET)
#define PACKET	64

/* A packet in a page that the device was given, of which that alone was synced. */
static struct sk_buff *receive(struct kunit *test, struct page *page, dma_addr_t dma)
{
	struct sk_buff *skb;

	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	device_fills(page_address(page) + HEADROOM, PACKET);
	dma_sync_single_range_for_cpu(kt_dev, dma, HEADROOM, PACKET, DMA_FROM_DEVICE);
	get_page(page);
	skb = build_skb(page_address(page), PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, HEADROOM);
	skb_put(skb, PACKET);
	return skb;
}

/* Its headroom is copied with it, and what nobody has set of its struct skb_shared_info. */
static void packet_is_copied(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);
	struct sk_buff *skb, *copy;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	skb = receive(test, page, dma);
	copy = skb_copy(skb, GFP_KERNEL);
	kfree_skb(copy);
	copy = skb_copy_expand(skb, 256, 0, GFP_KERNEL);
	kfree_skb(copy);
	KUNIT_EXPECT_EQ(test, pskb_expand_head(skb, 64, 64, GFP_KERNEL), 0);
	kfree_skb(skb);
	EXPECT_SILENCE(test);
	pool_unmap(dma, DMA_FROM_DEVICE);
}

/* By the same functions: what a device owns, and as a packet what did not come. */
static void packet_is_not_there(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);
	u8 *to = kt_buf(test, 2 * PACKET);
	struct sk_buff *skb;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);
	skb = receive(test, page, dma);
	dma_sync_single_range_for_device(kt_dev, dma, 64, 8, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, pskb_expand_head(skb, 64, 64, GFP_KERNEL), 0);
	kfree_skb(skb);
	if (kt_traps(test)) {
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test, kt_has(" pskb_expand_head+0x*"));
		KUNIT_EXPECT_FALSE(test, kt_has("They were not synced for the CPU: *"));
	}

	skb = receive(test, page, dma);
	skb_put(skb, PACKET);
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, PACKET, to, PACKET), 0);
	kfree_skb(skb);
	if (kt_traps(test)) {
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test, kt_has(" skb_copy_bits+0x*"));
	}
	pool_unmap(dma, DMA_FROM_DEVICE);
}
#else
static void packet_is_copied(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void packet_is_not_there(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

/* What was synced before the unmap is the CPU's. */
static void synced_before_unmap(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma;

	kt_set(test, "noncoherent", "64");
	dma = pool_map(test, page, DMA_FROM_DEVICE);
	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, p, 8);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* A sync for the CPU in the direction of the device does nothing on any machine. */
static void idle_sync(struct kunit *test)
{
	u32 *budget = kt_quiet_dma_debug(test), saved = 0;
	long idle = dma_owner_debug_count("syncs_idle");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);

	if (budget)
		swap(saved, *budget);
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_TO_DEVICE);
	if (budget)
		swap(saved, *budget);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_idle"), idle + 1);
	if (kt_traps(test)) {
		test_dma_read(buf, 8);
		KUNIT_EXPECT_STREQ(test, kt_take_report("cpu-read", test_dma_read, buf, 8), "");
		KUNIT_EXPECT_TRUE(test, kt_has("The last sync for the CPU had the direction DMA_TO_DEVICE, *idle_*"));
	}
	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

static void idle_sync_of_a_list(struct kunit *test)
{
	u32 *budget = kt_quiet_dma_debug(test), saved = 0;
	long idle = dma_owner_debug_count("syncs_idle");
	u8 *a = kt_buf(test, SIZE), *b = kt_buf(test, SIZE);
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], a, SIZE);
	sg_set_buf(&sg[1], b, SIZE);
	KUNIT_ASSERT_NE(test, dma_map_sg(kt_dev, sg, 2, DMA_FROM_DEVICE), 0);
	if (budget)
		swap(saved, *budget);
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_TO_DEVICE);
	if (budget)
		swap(saved, *budget);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("syncs_idle"), idle + 2);
	EXPECT_READ_TRAPS(test, b, 8);
	KUNIT_EXPECT_TRUE(test, !kt_traps(test) ||
			  kt_has("The last sync for the CPU had the direction DMA_TO_DEVICE, *"));
	dma_sync_sg_for_cpu(kt_dev, sg, 2, DMA_FROM_DEVICE);
	EXPECT_CPU_OWNS(test, a, 8);
	EXPECT_CPU_OWNS(test, b, 8);
	dma_unmap_sg(kt_dev, sg, 2, DMA_FROM_DEVICE);
}

/*
 * virtio_net with a page pool, since v7.3: several buffers in a page that is given as one.
 * After each packet is room for build_skb()'s struct skb_shared_info.
 */
static void fragments_of_a_page(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *data;
	dma_addr_t dma = pool_map(test, page, DMA_FROM_DEVICE);
	int i;

	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	for (i = 0; i < 2; i++) {
		data = p + i * (PAGE_SIZE / 2) + 64;
		EXPECT_READ_TRAPS(test, data, 8);
		dma_sync_single_range_for_cpu(kt_dev, dma, data - p, 128, DMA_FROM_DEVICE);
		EXPECT_CPU_OWNS(test, data, 128);
		EXPECT_READ_TRAPS(test, data + 256, 8);
		EXPECT_WRITE_OK(test, data + 1600, 320);
		EXPECT_READ_OK(test, data + 1600, 320);
	}
	dma_unmap_page_attrs(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* Rule 3c. */
static void lasting_and_passing(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t lasting, passing;

	lasting = dma_map_single_attrs(kt_dev, buf, SIZE, DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, lasting));
	passing = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, passing, SIZE, DMA_TO_DEVICE);
	EXPECT_CPU_OWNS(test, buf, 8);
	passing = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	EXPECT_WRITE_TRAPS(test, buf, 8);
	dma_unmap_single(kt_dev, passing, SIZE, DMA_TO_DEVICE);
	dma_unmap_single_attrs(kt_dev, lasting, SIZE, DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
	EXPECT_CLEAN(test, buf, SIZE);
}

static struct kunit_case stale_cases[] = {
	DIRECTION_CASE(tailroom_of_a_packet),
	KUNIT_CASE(across_the_border),
	DIRECTION_CASE(several_in_one),
	KUNIT_CASE(headroom_before_a_packet),
	KUNIT_CASE(tailroom_of_another_device),
	KUNIT_CASE(written_unseen),
	KUNIT_CASE(two_hand_overs),
	KUNIT_CASE(narrower_hand_over),
	KUNIT_CASE(tailroom_is_lost),
	KUNIT_CASE(other_bytes_given_back),
	KUNIT_CASE(unmap_skips_the_sync),
	KUNIT_CASE(list_skips_the_sync),
	KUNIT_CASE(parts_of_granules),
	KUNIT_CASE(stale_no_more),
	KUNIT_CASE(stale_is_freed),
	KUNIT_CASE(stale_while_it_is_written),
	KUNIT_CASE(packet_is_copied),
	KUNIT_CASE(packet_is_not_there),
	KUNIT_CASE(synced_before_unmap),
	KUNIT_CASE(idle_sync),
	KUNIT_CASE(idle_sync_of_a_list),
	KUNIT_CASE(fragments_of_a_page),
	KUNIT_CASE(lasting_and_passing),
	{}
};

KT_SUITE(kt_stale_suite, "stale", stale_cases);
