// SPDX-License-Identifier: GPL-2.0
/*
 * Rule 6b: a sync for the CPU of the leading part of a hand-over says that the device is done
 * with all of it. The rest may be written, and then read; to read what nobody wrote there is
 * a fault. It does not hold where the synced part begins later than the hand-over.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "kt.h"

#define SIZE 1536
#define HEADROOM 128

KT_DIRECTIONS;

/* bpf_xdp_adjust_tail(), an ESP trailer, padding, skb_shared_info. */
static void tailroom_written_silent_read_traps(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *data = p + HEADROOM;
	enum dma_data_direction dir = dir_of(test);
	dma_addr_t dma;
	int i;

	KT_REQUIRES(test, dir != DMA_TO_DEVICE);
	dma = test_pool_map(test, page, dir);
	for (i = 0; i < 3; i++) {
		dma_sync_single_range_for_device(kt_dev, dma, HEADROOM, SIZE, dir);
		kt_device_writes(data, 64, 0x11);
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
			KUNIT_EXPECT_TRUE(test, kt_has(" Not synced for the CPU: *"));
		}
	}
	test_pool_unmap(dma, dir);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* The network core pulls data together, from the last bytes of the packet on. */
static void write_across_packet_end_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *from = kt_buf(test, 2048);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_for_device(kt_dev, dma, 2048, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(kt_dev, dma, 128, DMA_FROM_DEVICE);
	memcpy(p + 120, from, 1448);
	test_dma_read(p + 112, 1456);
	EXPECT_SILENCE(test);
	EXPECT_READ_TRAPS(test, p + 120 + 1448, 8);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
}

/* One hand-over holds several packets: the sync of one says nothing of the others. */
static void middle_synced_rest_traps(struct kunit *test)
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
 * A page whose packet begins after headroom, as those of ENA do. What is too long to be
 * headroom holds another packet.
 */
static void headroom_written_silent(struct kunit *test)
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
	/* skb_push(), the header of a BPF program, which no sanitizer sees, and skb_shared_info. */
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
 * mvneta keeps the page mapped while its packet travels, and a crypto engine writes an ICV
 * into the tailroom. What another device only reads stays stale.
 */
static void tailroom_synced_by_other_device_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE), other;

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
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/*
 * The page allocator turns KASAN off while it clears a page. TCP, in an interrupt of that,
 * writes into the tailroom of an earlier packet, and nobody sees it.
 */
static void unseen_write_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *other = kt_buf(test, 64);
	long doubted = dma_owner_debug_count("stale_doubted");
	dma_addr_t dma, passing;
	int round;

	KT_REQUIRES(test, kt_traps(test));
	dma = test_pool_map(test, page, DMA_FROM_DEVICE);
	for (round = 0; round < 3; round++) {
		dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
		/* Round 2: also the call that makes it stale is not seen. */
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
	test_pool_unmap(dma, DMA_FROM_DEVICE);
	EXPECT_CLEAN(test, p, PAGE_SIZE);
}

/* Two halves of a page are two hand-overs, although they are adjacent. */
static void other_hand_over_traps(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_range_for_device(kt_dev, dma, 0, 2048, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 2048, 2048, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 64, 8);
	EXPECT_WRITE_TRAPS(test, p + 2048, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, 2048, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 2048 + 64, 8);
	EXPECT_READ_TRAPS(test, p + 2048 + 72, 8);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
}

/*
 * A pool syncs a whole page for the device, and its driver then the part with its buffer
 * (mt76): what is left of the first hand-over holds no packet.
 */
static void rest_of_wider_hand_over_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);

	dma_sync_single_range_for_device(kt_dev, dma, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 0, 1728, DMA_FROM_DEVICE);
	dma_sync_single_range_for_device(kt_dev, dma, 2048, 1728, DMA_FROM_DEVICE);
	dma_sync_single_range_for_cpu(kt_dev, dma, 0, 1728, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 1728, 320);
	EXPECT_WRITE_TRAPS(test, p + 2048, 8);
	dma_sync_single_range_for_cpu(kt_dev, dma, 2048, 64, DMA_FROM_DEVICE);
	EXPECT_WRITE_OK(test, p + 2048 + 1728, 320);
	EXPECT_READ_TRAPS(test, p + 2048 + 72, 8);
	test_pool_unmap(dma, DMA_FROM_DEVICE);
}

/*
 * virtio_net with a page pool, since v7.3: several buffers in a page that is synced as one.
 * After each packet is room for the struct skb_shared_info of build_skb().
 */
static void page_fragment_synced_others_trap(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	u8 *p = page_address(page), *data;
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);
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

/* The device owns the byte when the write traps, and no longer when the trap is judged. */
static void write_during_sync_harmless(struct kunit *test)
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

	/* An inconsistency would have stopped the tool. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 512, 8);
	dma_sync_single_for_cpu(kt_dev, dma, 64, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf + 512, 8);
	EXPECT_WRITE_OK(test, buf + 512, 8);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

#if IS_ENABLED(CONFIG_NET)
#define PACKET	64

/* A packet in a page that the device owned: only the packet was synced for the CPU. */
static struct sk_buff *receive(struct kunit *test, struct page *page, dma_addr_t dma)
{
	struct sk_buff *skb;

	dma_sync_single_for_device(kt_dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	kt_device_writes(page_address(page) + HEADROOM, PACKET, 0x11);
	dma_sync_single_range_for_cpu(kt_dev, dma, HEADROOM, PACKET, DMA_FROM_DEVICE);
	get_page(page);
	skb = build_skb(page_address(page), PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, HEADROOM);
	skb_put(skb, PACKET);
	return skb;
}

/* The copy includes the headroom, and members of struct skb_shared_info that nobody has set. */
static void skb_copy_silent(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);
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
	test_pool_unmap(dma, DMA_FROM_DEVICE);
}

/* The same functions copy what a device owns, and bytes that are not part of the packet. */
static void skb_copy_of_unsynced_reported(struct kunit *test)
{
	struct page *page = kt_page(test, 0);
	dma_addr_t dma = test_pool_map(test, page, DMA_FROM_DEVICE);
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
		KUNIT_EXPECT_FALSE(test, kt_has(" Not synced for the CPU: *"));
	}

	skb = receive(test, page, dma);
	skb_put(skb, PACKET);
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, PACKET, to, PACKET), 0);
	kfree_skb(skb);
	if (kt_traps(test)) {
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		KUNIT_EXPECT_TRUE(test, kt_has(" skb_copy_bits+0x*"));
	}
	test_pool_unmap(dma, DMA_FROM_DEVICE);
}
#else
static void skb_copy_silent(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}

static void skb_copy_of_unsynced_reported(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

static struct kunit_case received_cases[] = {
	DIRECTION_CASE(tailroom_written_silent_read_traps),
	KUNIT_CASE(write_across_packet_end_silent),
	DIRECTION_CASE(middle_synced_rest_traps),
	KUNIT_CASE(headroom_written_silent),
	KUNIT_CASE(tailroom_synced_by_other_device_silent),
	KUNIT_CASE(unseen_write_silent),
	KUNIT_CASE(other_hand_over_traps),
	KUNIT_CASE(rest_of_wider_hand_over_silent),
	KUNIT_CASE(page_fragment_synced_others_trap),
	KUNIT_CASE(write_during_sync_harmless),
	KUNIT_CASE(skb_copy_silent),
	KUNIT_CASE(skb_copy_of_unsynced_reported),
	{}
};

KT_SUITE(received);
