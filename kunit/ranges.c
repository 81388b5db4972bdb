// SPDX-License-Identifier: GPL-2.0
/*
 * Random syncs and writes of one mapping, and a model of rules 2, 4 and 6b that knows bytes
 * only, no ranges. After each call the shadow must be the model's, granule by granule.
 */

#include <linux/mm.h>
#include <linux/string.h>

#include "kt.h"

#define SIZE		PAGE_SIZE
#define ROUNDS		3000
#define MOST_HEADROOM	320	/* rule 6b, in the tool */

KT_DIRECTIONS;

enum state { CPU, OWNED, STALE, PENDING };

/* A byte; what the device owns since one call has the same number, but for what came later. */
struct byte {
	u8 state, dir;
	bool first;		/* of the call */
	unsigned int call;
};

struct model {
	u8 *buf;
	dma_addr_t dma;
	enum dma_data_direction dir;
	bool slab;
	unsigned int nr_calls;
	struct byte bytes[];
};

static void set(struct model *m, unsigned int start, unsigned int end, enum state state)
{
	for (; start < end; start++)
		m->bytes[start].state = state;
}

static bool has(const struct model *m, unsigned int start, unsigned int end, enum state state)
{
	for (; start < end; start++)
		if (m->bytes[start].state == state)
			return true;
	return false;
}

/* Does the device own a byte that it may write? */
static bool is_received(const struct model *m, unsigned int at)
{
	return at < SIZE && m->bytes[at].state == OWNED && m->bytes[at].dir != DMA_TO_DEVICE;
}

static bool is_same_call(const struct model *m, unsigned int at, unsigned int other)
{
	return is_received(m, at) && is_received(m, other) &&
	       m->bytes[at].call == m->bytes[other].call;
}

static unsigned int run_start(const struct model *m, unsigned int at)
{
	while (at && is_same_call(m, at - 1, at))
		at--;
	return at;
}

static unsigned int run_end(const struct model *m, unsigned int at)
{
	while (is_same_call(m, at, at + 1))
		at++;
	return at + 1;
}

/* Whole granules become stale. */
static void finish(struct model *m, unsigned int start, unsigned int end)
{
	set(m, start, end, CPU);
	if (DOD_MEMCPY_CHECKED)
		set(m, round_up(start, 8), round_down(end, 8), STALE);
}

static bool is_headroom(const struct model *m, unsigned int start, unsigned int end,
			unsigned int at)
{
	return !m->slab && !start && end == SIZE && at <= MOST_HEADROOM;
}

/* Rule 6b: [start, end) is synced for the CPU, and may finish what follows. */
static void finish_calls(struct model *m, unsigned int start, unsigned int end)
{
	unsigned int at, from, to;

	for (at = start; at < end; at = to) {
		to = at + 1;
		if (!is_received(m, at))
			continue;
		from = run_start(m, at);
		to = run_end(m, at);
		if (!m->bytes[from].first)
			continue;
		if (from < start) {
			if (!is_headroom(m, from, to, start))
				continue;
			set(m, from, start, CPU);
		}
		if (to < end)
			continue;
		finish(m, end, to);
		/* What an earlier, longer sync has left follows. */
		while (from >= start && is_received(m, to) && !m->bytes[to].first) {
			unsigned int next = run_end(m, to);

			finish(m, to, next);
			to = next;
		}
	}
}

static void for_cpu(struct model *m, unsigned int start, unsigned int end,
		    enum dma_data_direction dir)
{
	unsigned int at;

	dma_sync_single_range_for_cpu(kt_dev, m->dma, start, end - start, dir);
	if (dir != DMA_TO_DEVICE) {
		finish_calls(m, start, end);
		set(m, start, end, CPU);
		return;
	}
	for (at = start; at < end; at++)
		if (m->bytes[at].state == OWNED && m->bytes[at].dir == DMA_TO_DEVICE)
			m->bytes[at].state = CPU;
}

static void own(struct model *m, unsigned int start, unsigned int end,
		enum dma_data_direction dir)
{
	bool first = true;

	for (; start < end; start++) {
		struct byte *b = &m->bytes[start];

		/* That sends nothing. */
		if (dir == DMA_FROM_DEVICE && b->state == PENDING) {
			first = true;
			continue;
		}
		m->nr_calls += first;
		*b = (struct byte) { OWNED, dir, first, m->nr_calls };
		first = false;
	}
}

static void for_device(struct model *m, unsigned int start, unsigned int end,
		       enum dma_data_direction dir)
{
	dma_sync_single_range_for_device(kt_dev, m->dma, start, end - start, dir);
	own(m, start, end, dir);
}

static u8 expected(const struct model *m, unsigned int granule)
{
	const struct byte *b = &m->bytes[granule];
	unsigned int i;

	for (i = 1; i < 8; i++)
		if (b[i].state != b->state || (b->state == OWNED && b[i].dir != b->dir))
			return 0;
	if (b->state == OWNED)
		return b->dir == DMA_TO_DEVICE ? 0xd1 : b->dir == DMA_FROM_DEVICE ? 0xd2 : 0xd3;
	return b->state == STALE ? 0xd6 : 0;
}

static bool matches(struct kunit *test, const struct model *m, unsigned int round)
{
	unsigned int at;

	for (at = 0; at < SIZE; at += 8)
		if (kt_shadow(m->buf + at) != expected(m, at)) {
			KUNIT_FAIL(test, "round %u, byte %u: shadow %02x instead of %02x", round,
				   at, kt_shadow(m->buf + at), expected(m, at));
			return false;
		}
	return true;
}

/* Rule 4: the device reads a granule, and the CPU writes it. */
static void write(struct model *m, unsigned int at)
{
	at = round_down(at, 8);
	if (expected(m, at) != 0xd1)
		return;
	test_dma_write(m->buf + at, 8);
	set(m, at, at + 8, PENDING);
}

static u32 rnd(u32 *seed, u32 below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static enum dma_data_direction some_dir(const struct model *m, u32 *seed)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};

	return m->dir == DMA_BIDIRECTIONAL ? dirs[rnd(seed, 3)] : m->dir;
}

/* Mostly a part goes to the CPU and back, as a driver's buffer does. */
static void some_range(u32 *seed, unsigned int *start, unsigned int *end)
{
	switch (rnd(seed, 8)) {
	case 0:
		*start = 0;
		*end = SIZE;
		break;
	case 1:
		*start = rnd(seed, 512);
		*end = *start + 1 + rnd(seed, 512);
		break;
	case 2:
	case 3:
		*start = rnd(seed, SIZE);
		*end = *start + 1 + rnd(seed, min_t(u32, SIZE - *start, 300));
		break;
	case 4:
		*start = round_down(rnd(seed, SIZE), 8);
		*end = *start + 8 + round_down(rnd(seed, min_t(u32, SIZE - *start, 300)), 8);
		*end = min_t(unsigned int, *end, SIZE);
	}
}

static void step(struct model *m, u32 *seed, unsigned int *start, unsigned int *end)
{
	enum dma_data_direction dir = some_dir(m, seed);

	some_range(seed, start, end);
	switch (rnd(seed, 8)) {
	case 0:
		write(m, *start);
		break;
	case 1:
	case 2:
	case 3:
		/* A write that waits for a sync would be lost, and reported. */
		if (dir == DMA_TO_DEVICE || !has(m, *start, *end, PENDING)) {
			for_cpu(m, *start, *end, dir);
			break;
		}
		dir = DMA_TO_DEVICE;
		fallthrough;
	default:
		for_device(m, *start, *end, dir);
	}
}

static void match_model(struct kunit *test, u8 *buf, bool slab)
{
	struct model *m = kunit_kzalloc(test, struct_size(m, bytes, SIZE), GFP_KERNEL);
	unsigned int round, start = 0, end = SIZE;
	u32 seed = 1;

	KUNIT_ASSERT_NOT_NULL(test, m);
	/* On a device that is not coherent, it would poison what the CPU owns. */
	kt_set(test, "watch_writes", "0");
	m->buf = buf;
	m->slab = slab;
	m->dir = dir_of(test);
	m->dma = test_dma_map(test, kt_dev, buf, SIZE, m->dir);
	own(m, 0, SIZE, m->dir);
	for (round = 0; round < ROUNDS && matches(test, m, round); round++)
		step(m, &seed, &start, &end);
	dma_sync_single_for_device(kt_dev, m->dma, SIZE, m->dir);
	dma_unmap_single(kt_dev, m->dma, SIZE, m->dir);
	EXPECT_CLEAN(test, buf, SIZE);
	EXPECT_SILENCE(test);
}

static void random_calls_in_object_match_model(struct kunit *test)
{
	match_model(test, kt_buf(test, SIZE), true);
}

/* Rule 6b knows the headroom of a network buffer in a page. */
static void random_calls_in_page_match_model(struct kunit *test)
{
	match_model(test, kt_page_buf(test), false);
}

static struct kunit_case ranges_cases[] = {
	DIRECTION_CASE(random_calls_in_object_match_model),
	DIRECTION_CASE(random_calls_in_page_match_model),
	{}
};

KT_SUITE(ranges);
