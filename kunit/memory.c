// SPDX-License-Identifier: GPL-2.0
/*
 * The map-time checks of what memory is mapped: each misuse alone and as an entry
 * of a scatterlist between good ones, and the legal mapping that is closest to it.
 *
 * What a misuse maps is somebody else's memory, or none: no device is behind these
 * mappings, and they last no longer than it takes to make them.
 */

#include <linux/completion.h>
#include <linux/ctype.h>
#include <linux/dma-map-ops.h>
#include <linux/ioport.h>
#include <linux/irqflags.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "dod_test.h"

/* === Mapping ============================================================== */

/* How a test maps: alone, or as the middle one of three entries. */
static const bool ways[] = { false, true };

static void way_desc(const bool *way, char *desc)
{
	strscpy(desc, *way ? "sg" : "single", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(way, ways, way_desc);

#define BOTH_WAYS(_fn) KUNIT_CASE_PARAM(_fn, way_gen_params)

static bool is_list(struct kunit *test)
{
	return test->param_value && *(const bool *)test->param_value;
}

/* To be mapped: a list of @nents entries, or what @page and so on say if that is 0. */
struct target {
	struct page *page;
	size_t offset, size;
	struct scatterlist sg[5];
	int nents;
	enum dma_data_direction dir;
	u32 *budget;
	dma_addr_t dma;
};

/* The function that titles name. */
static kt_noinline bool test_map(struct target *t)
{
	if (t->nents)
		return dma_map_sg(kt_dev, t->sg, t->nents, t->dir);
	t->dma = dma_map_page(kt_dev, t->page, t->offset, t->size, t->dir);
	return !dma_mapping_error(kt_dev, t->dma);
}

static void test_unmap(struct target *t)
{
	if (t->nents)
		dma_unmap_sg(kt_dev, t->sg, t->nents, t->dir);
	else
		dma_unmap_page(kt_dev, t->dma, t->size, t->dir);
}

/*
 * Bouncing would copy memory that must not be touched. dma-debug has its own
 * opinion about some of it, and would say so with a backtrace.
 */
static u32 *quiet(struct kunit *test)
{
	u32 *budget = kt_quiet_dma_debug(test);

	KT_REQUIRES(test, !is_swiotlb_force_bounce(kt_dev));
	KT_REQUIRES(test, budget);
	return budget;
}

/* In any context: the memory may be such as nobody else must get hold of meanwhile. */
static bool map_quietly(struct target *t)
{
	u32 saved = xchg(t->budget, 0);
	bool mapped = test_map(t);

	if (mapped)
		test_unmap(t);
	WRITE_ONCE(*t->budget, saved);
	return mapped;
}

static struct target prepare(struct kunit *test, struct page *page, size_t offset,
			     size_t size, enum dma_data_direction dir)
{
	struct target t = {
		.page = page, .offset = offset, .size = size,
		.dir = dir, .budget = quiet(test),
	};

	if (is_list(test)) {
		t.nents = 3;
		sg_init_table(t.sg, t.nents);
		sg_set_buf(&t.sg[0], kt_buf(test, 64), 64);
		sg_set_page(&t.sg[1], page, size, offset);
		sg_set_buf(&t.sg[2], kt_buf(test, 64), 64);
	}
	return t;
}

static void map_page(struct kunit *test, struct page *page, size_t offset, size_t size,
		     enum dma_data_direction dir)
{
	struct target t = prepare(test, page, offset, size, dir);

	KUNIT_EXPECT_TRUE(test, map_quietly(&t));
}

static void map_buf(struct kunit *test, const void *buf, size_t size)
{
	map_page(test, virt_to_page(buf), offset_in_page(buf), size, DMA_TO_DEVICE);
}

/* A line of the report, as a glob. */
static __printf(2, 3) void says(struct kunit *test, const char *fmt, ...)
{
	char pattern[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(pattern, sizeof(pattern), fmt, args);
	va_end(args);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(pattern), "no line '%s' in: %s", pattern,
			      kt_line(0));
}

#define GIVEN "Device " KT_NAME " " KT_NAME ".0 is given these %zu bytes"

#define EXPECT_MISUSE(test, type, size)	EXPECT_MAP_REPORT(test, type, test_map, size)

/* Where it was mapped, and what the device is given there. */
static void says_where(struct kunit *test, const void *addr, size_t size)
{
	/* Of memory, not of a pointer to it. */
	unsigned long at = (unsigned long)kasan_reset_tag(addr);

	says(test, "Map of size %zu at %lx by task *", size, at);
	says(test, GIVEN ", DMA_*, \\[%lx, %lx), dma 0x*", size, at, at + size);
}

/* mem_dump_obj() continues a line, which the observer gets piece by piece. */
static void says_object(struct kunit *test, const void *start, size_t offset)
{
	says(test, "The object there:*");
	says(test, "* slab *");
	says(test, "* start %lx*", (unsigned long)start);
	says(test, "* pointer offset %zu*", offset);
}

/* === Out of bounds ======================================================== */

/* A good deal of its size is not the object's: 100 bytes are 12.5 granules. */
static void beyond_the_object(struct kunit *test)
{
	static const size_t sizes[] = { 101, 104, 105, 128, 129 };
	u8 *buf = kt_buf(test, 100);
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		map_buf(test, buf, sizes[i]);
		EXPECT_MISUSE(test, "out-of-bounds-map", sizes[i]);
		says(test, "Byte 100 of its %zu is in a redzone.", sizes[i]);
		says_where(test, buf, sizes[i]);
		says_object(test, buf, 0);
		says(test, "Hint: map no more bytes than were allocated.");
	}
	/* The unmap did not make the redzone accessible. */
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 104), 0xfc);
	map_buf(test, buf, 100);
	map_buf(test, buf, 99);
	map_buf(test, buf, 96);
	map_buf(test, buf, 1);
	EXPECT_SILENCE(test);
}

/* The redzone begins with a granule of its own. */
static void beyond_a_granule(struct kunit *test)
{
	u8 *buf = kt_buf(test, 104);

	map_buf(test, buf, 105);
	EXPECT_MISUSE(test, "out-of-bounds-map", 105);
	says(test, "Byte 104 of its 105 is in a slab redzone.");
	map_buf(test, buf, 104);
	EXPECT_SILENCE(test);
}

static void from_within_the_object(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);

	map_buf(test, buf + 50, 51);
	EXPECT_MISUSE(test, "out-of-bounds-map", 51);
	says(test, "Byte 50 of its 51 is in a redzone.");
	says_object(test, buf, 50);
	map_buf(test, buf + 99, 2);
	EXPECT_MISUSE(test, "out-of-bounds-map", 2);
	says(test, "Byte 1 of its 2 is in a redzone.");
	map_buf(test, buf + 50, 50);
	map_buf(test, buf + 99, 1);
	map_buf(test, buf + 3, 4);
	EXPECT_SILENCE(test);
}

/* None of it is the object's. */
static void behind_the_object(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);

	map_buf(test, buf + 100, 4);
	EXPECT_MISUSE(test, "out-of-bounds-map", 4);
	says(test, "Byte 0 of its 4 is in a redzone.");
	map_buf(test, buf + 112, 8);
	EXPECT_MISUSE(test, "out-of-bounds-map", 8);
	says(test, "Byte 0 of its 8 is in a slab redzone.");
	says_object(test, buf, 112);
}

static void smallest_object(struct kunit *test)
{
	u8 *buf = kt_buf(test, 1);

	map_buf(test, buf, 2);
	EXPECT_MISUSE(test, "out-of-bounds-map", 2);
	says(test, "Byte 1 of its 2 is in a redzone.");
	map_buf(test, buf, 1);
	EXPECT_SILENCE(test);
}

/* Who asks how much there really is may use it all. */
static void rounded_up(struct kunit *test)
{
	size_t size = kmalloc_size_roundup(100);
	u8 *buf = kt_buf(test, size);

	KUNIT_ASSERT_GT(test, size, 100);
	map_buf(test, buf, size);
	EXPECT_SILENCE(test);
	map_buf(test, buf, size + 1);
	EXPECT_MISUSE(test, "out-of-bounds-map", size + 1);
	says(test, "Byte %zu of its %zu is in a slab redzone.", size, size + 1);
}

/* Larger than any slab object: pages, of which the last is not used in full. */
static void large_kmalloc(struct kunit *test)
{
	u8 *buf = kt_buf(test, 10000), *odd = kt_buf(test, 10001);

	map_buf(test, buf, 10001);
	EXPECT_MISUSE(test, "out-of-bounds-map", 10001);
	says(test, "Byte 10000 of its 10001 is in the redzone behind a large kmalloc() buffer.");
	KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));
	map_buf(test, odd, 10002);
	EXPECT_MISUSE(test, "out-of-bounds-map", 10002);
	says(test, "Byte 10001 of its 10002 is in a redzone.");
	map_buf(test, buf + 9000, 1001);
	EXPECT_MISUSE(test, "out-of-bounds-map", 1001);
	says(test, "Byte 1000 of its 1001 is in the redzone behind a large kmalloc() buffer.");
	map_buf(test, buf, 10000);
	map_buf(test, buf + 9000, 1000);
	map_buf(test, odd, 10001);
	EXPECT_SILENCE(test);
}

/* As kt_buf(), but the test frees it; it does not return between the two. */
static u8 *own_buf(struct kunit *test, size_t size)
{
	bool kfence;
	u8 *buf;

	quiet(test);
	do {
		buf = kmalloc(size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		kfence = is_kfence_address(buf);
		if (kfence)
			kfree(buf);
	} while (kfence);
	return buf;
}

/* What krealloc() took away, in place. */
static void shrunk(struct kunit *test)
{
	u8 *buf = own_buf(test, 100), *less = krealloc(buf, 70, GFP_KERNEL);

	KUNIT_EXPECT_PTR_EQ(test, less, buf);
	map_buf(test, less, 71);
	EXPECT_MISUSE(test, "out-of-bounds-map", 71);
	says(test, "Byte 70 of its 71 is in a redzone.");
	map_buf(test, less, 70);
	EXPECT_SILENCE(test);
	kfree(less);
}

/* A byte too many is one in each direction; neither is the redzone painted. */
static void every_direction(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};
	u8 *buf = kt_buf(test, 100);
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		map_page(test, virt_to_page(buf), offset_in_page(buf), 101, dirs[i]);
		EXPECT_MISUSE(test, "out-of-bounds-map", 101);
		KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
		map_page(test, virt_to_page(buf), offset_in_page(buf), 100, dirs[i]);
		EXPECT_SILENCE(test);
	}
}

/* The redzone is seen through what another mapping has painted over the tail. */
static void while_mapped(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);
	dma_addr_t dma = test_dma_map(test, kt_dev2, buf, 100, DMA_TO_DEVICE);

	map_buf(test, buf, 101);
	EXPECT_MISUSE(test, "out-of-bounds-map", 101);
	says(test, "Byte 100 of its 101 is in a redzone.");
	map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf + 99, 1);
	dma_unmap_single(kt_dev2, dma, 100, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kt_shadow(buf + 96), 4);
}

/* === What a bad length runs into ========================================== */

static struct target prepare_buf(struct kunit *test, void *buf, size_t size,
				 enum dma_data_direction dir)
{
	return prepare(test, virt_to_page(buf), offset_in_page(buf), size, dir);
}

/* As map_quietly(), but it stays mapped. */
static void keep_mapped(struct kunit *test, struct target *t)
{
	u32 saved = xchg(t->budget, 0);

	KUNIT_EXPECT_TRUE(test, test_map(t));
	WRITE_ONCE(*t->budget, saved);
}

static void sync_all(struct target *t, bool for_device)
{
	u32 saved = xchg(t->budget, 0);

	if (t->nents && for_device)
		dma_sync_sg_for_device(kt_dev, t->sg, t->nents, t->dir);
	else if (t->nents)
		dma_sync_sg_for_cpu(kt_dev, t->sg, t->nents, t->dir);
	else if (for_device)
		dma_sync_single_for_device(kt_dev, t->dma, t->size, t->dir);
	else
		dma_sync_single_for_cpu(kt_dev, t->dma, t->size, t->dir);
	WRITE_ONCE(*t->budget, saved);
}

static void unmap_quietly(struct target *t)
{
	u32 saved = xchg(t->budget, 0);

	test_unmap(t);
	WRITE_ONCE(*t->budget, saved);
}

#define NOBJECTS	64
#define OBJECT		512

/* Objects of which one is followed by another one in the same page. */
struct objects {
	u8 *all[NOBJECTS], *culprit, *innocent;
};

static struct objects *get_objects(struct kunit *test)
{
	struct objects *o = kunit_kzalloc(test, sizeof(*o), GFP_KERNEL);
	int i, j;

	KUNIT_ASSERT_NOT_NULL(test, o);
	for (i = 0; i < NOBJECTS; i++)
		o->all[i] = kt_buf(test, OBJECT);
	for (i = 0; i < NOBJECTS; i++)
		for (j = 0; j < NOBJECTS; j++)
			if (o->all[j] > o->all[i] && o->all[j] < o->all[i] + 3 * OBJECT &&
			    virt_to_page(o->all[i]) == virt_to_page(o->all[j])) {
				o->culprit = o->all[i];
				o->innocent = o->all[j];
				return o;
			}
	kunit_skip(test, "no two objects follow each other");
	return NULL;
}

/* It is the culprit's fault, and stays his: not that of who owns what he maps. */
static void blames_nobody_else(struct kunit *test, size_t size, enum dma_data_direction dir)
{
	struct objects *o = get_objects(test);
	struct target t = prepare_buf(test, o->culprit, size, dir);

	keep_mapped(test, &t);
	EXPECT_MISUSE(test, "out-of-bounds-map", size);
	says(test, "Only its first %d bytes are allocated.", OBJECT);
	EXPECT_CPU_OWNS(test, o->innocent, OBJECT);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit, 8);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit + OBJECT - 8, 8);

	sync_all(&t, false);
	EXPECT_CPU_OWNS(test, o->culprit, OBJECT);
	sync_all(&t, true);
	EXPECT_CPU_OWNS(test, o->innocent, OBJECT);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit, 8);
	EXPECT_DEVICE_OWNS(test, dir, o->culprit + OBJECT - 8, 8);

	/* The neighbour's own mapping has nothing to do with it either. */
	dma_unmap_single(kt_dev2, test_dma_map(test, kt_dev2, o->innocent, OBJECT, dir),
			 OBJECT, dir);
	EXPECT_CPU_OWNS(test, o->innocent, OBJECT);

	unmap_quietly(&t);
	EXPECT_CLEAN(test, o->culprit, OBJECT);
	EXPECT_CLEAN(test, o->innocent, OBJECT);
	EXPECT_SILENCE(test);
}

static void into_the_next_object(struct kunit *test)
{
	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	blames_nobody_else(test, 8 * OBJECT, DMA_TO_DEVICE);
	blames_nobody_else(test, 8 * OBJECT, DMA_FROM_DEVICE);
	kt_set(test, "noncoherent", "64");
	blames_nobody_else(test, 8 * OBJECT + 12, DMA_BIDIRECTIONAL);
}

/* Over several of the regions in which the tool keeps its books. */
static void into_everything(struct kunit *test)
{
	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	blames_nobody_else(test, SZ_4M, DMA_TO_DEVICE);
	blames_nobody_else(test, SZ_16M, DMA_FROM_DEVICE);
}

/* Nothing of it is the driver's: no device owns any of it, whatever it syncs. */
static void into_another_object(struct kunit *test)
{
	struct objects *o = get_objects(test);
	struct target t = prepare_buf(test, o->innocent - 8, 8 + OBJECT, DMA_FROM_DEVICE);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));
	keep_mapped(test, &t);
	EXPECT_MISUSE(test, "out-of-bounds-map", 8 + OBJECT);
	EXPECT_CPU_OWNS(test, o->innocent, OBJECT);
	sync_all(&t, false);
	sync_all(&t, true);
	EXPECT_CPU_OWNS(test, o->innocent, OBJECT);
	unmap_quietly(&t);
	EXPECT_CLEAN(test, o->innocent, OBJECT);
}

/* len - header, where len is too small: the report comes, and quickly, and is over. */
static void negative_length(struct kunit *test)
{
	static const size_t sizes[] = { 0xfffffffcU, 0xfffffff8U, (size_t)-4, (size_t)-4096 };
	long live = dma_owner_debug_count("live");
	u8 *buf = kt_buf(test, 256);
	int i;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	KT_REQUIRES(test, sizeof(size_t) == sizeof(u64));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct target t;
		u64 start;

		if (is_list(test) && sizes[i] > U32_MAX)
			continue;
		t = prepare_buf(test, buf, sizes[i], DMA_FROM_DEVICE);
		start = ktime_get_ns();
		keep_mapped(test, &t);
		sync_all(&t, false);
		sync_all(&t, true);
		KUNIT_EXPECT_LT(test, ktime_get_ns() - start, (u64)NSEC_PER_SEC);
		EXPECT_MISUSE(test, "out-of-bounds-map", sizes[i]);
		says(test, "Only its first 256 bytes are allocated.");
		says(test, "It leaves RAM after *");
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 248, 8);
		unmap_quietly(&t);
		EXPECT_CLEAN(test, buf, 256);
		KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live);
	}
	map_buf(test, buf, 256);
	EXPECT_SILENCE(test);
}

/* Pages: what follows them is somebody else's, or free, but above all it is too long. */
static void negative_length_of_pages(struct kunit *test)
{
	u8 *buf = page_address(kt_page(test, 0));
	long live = dma_owner_debug_count("live");
	struct target t;

	KT_REQUIRES(test, dev_is_dma_coherent(kt_dev));
	t = prepare_buf(test, buf, 0xfffffffcU, DMA_TO_DEVICE);
	keep_mapped(test, &t);
	if (kt_has("*not-contiguous*"))
		EXPECT_MISUSE(test, "not-contiguous", 0xfffffffcUL);
	else
		EXPECT_MISUSE(test, "out-of-bounds-map", 0xfffffffcUL);
	EXPECT_DEVICE_OWNS(test, DMA_TO_DEVICE, buf, 8);
	unmap_quietly(&t);
	EXPECT_CLEAN(test, buf, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("live"), live);
}

/* === Entries of a list ==================================================== */

static struct target prepare_list(struct kunit *test, int nents)
{
	struct target t = {
		.nents = nents, .dir = DMA_TO_DEVICE, .budget = quiet(test),
	};

	sg_init_table(t.sg, ARRAY_SIZE(t.sg));
	return t;
}

/* Whichever is the bad one, it is the one that the report is about. */
static void the_bad_entry(struct kunit *test)
{
	struct target t = prepare_list(test, 5);
	int i, bad;
	u8 *buf[5];

	for (i = 0; i < t.nents; i++)
		buf[i] = kt_buf(test, 100 + i);
	for (bad = 0; bad < t.nents; bad++) {
		for (i = 0; i < t.nents; i++)
			sg_set_buf(&t.sg[i], buf[i], 100 + i + (i == bad));
		KUNIT_EXPECT_TRUE(test, map_quietly(&t));
		EXPECT_MISUSE(test, "out-of-bounds-map", 101 + bad);
		says_where(test, buf[bad], 101 + bad);
		says_object(test, buf[bad], 0);
	}
}

static void all_entries(struct kunit *test)
{
	struct target t = prepare_list(test, 5);
	u8 *buf[5];
	int i;

	for (i = 0; i < t.nents; i++) {
		buf[i] = kt_buf(test, 100);
		sg_set_buf(&t.sg[i], buf[i], 101);
	}
	KUNIT_EXPECT_TRUE(test, map_quietly(&t));
	KUNIT_EXPECT_EQ(test, kt_take_all(), 5);
	for (i = 0; i < t.nents; i++)
		sg_set_buf(&t.sg[i], buf[i], 100);
	KUNIT_EXPECT_TRUE(test, map_quietly(&t));
	EXPECT_SILENCE(test);
}

/* Entries behind those that the call is about do not count. */
static void entries_not_mapped(struct kunit *test)
{
	struct target t = prepare_list(test, 2);
	u8 *buf = kt_buf(test, 100);

	sg_set_buf(&t.sg[0], buf, 50);
	sg_set_buf(&t.sg[1], buf + 50, 50);
	sg_set_buf(&t.sg[2], buf, 101);
	KUNIT_EXPECT_TRUE(test, map_quietly(&t));
	EXPECT_SILENCE(test);
}

/* === Freed ================================================================ */

/* Its quarantine keeps a freed object from being used again. */
static void freed_object(struct kunit *test)
{
	u8 *buf = own_buf(test, 100);

	map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);

	map_buf(test, buf, 100);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	says(test, "Byte 0 of its 100 is in a freed slab object.");
	says_where(test, buf, 100);
	says_object(test, buf, 0);
	says(test, "Hint: keep the memory allocated until it is unmapped*");
	map_buf(test, buf + 32, 8);
	EXPECT_MISUSE(test, "use-after-free-map", 8);
	says(test, "Byte 0 of its 8 is in a freed slab object.");
	says_object(test, buf, 32);
	KUNIT_EXPECT_GE(test, kt_shadow(buf), 0xfa);

	map_buf(test, kt_buf(test, 100), 100);
	EXPECT_SILENCE(test);
}

/* As an allocator does, which the sanitizer does not look at. */
static noinline kt_unchecked u8 allocator_writes(u8 *p, u8 value)
{
	u8 old = READ_ONCE(*p);

	WRITE_ONCE(*p, value);
	return old;
}

/*
 * What leaves KASAN's quarantine, or is allocated anew, while it is mapped is written
 * to by the allocator. That is no other fault.
 */
static void freed_object_that_changes(struct kunit *test)
{
	u8 *buf = own_buf(test, 100), *at = buf + 24, old;
	struct target t = prepare(test, virt_to_page(buf), offset_in_page(buf), 100,
				  DMA_TO_DEVICE);

	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_ASSERT_TRUE(test, test_map(&t));
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	/* Not where a link of the quarantine or of a free list may be. */
	old = allocator_writes(at, 0x5a);
	test_unmap(&t);
	allocator_writes(at, old);
	EXPECT_SILENCE(test);
}

/* Freed by the time of the map, with interrupts off: nobody else can get it yet. */
static void freed_page(struct kunit *test)
{
	struct page *page;
	struct target t;
	unsigned long flags;
	bool mapped;

	quiet(test);
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	t = prepare(test, page, 16, 100, DMA_TO_DEVICE);
	local_irq_save(flags);
	mapped = map_quietly(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_SILENCE(test);

	local_irq_save(flags);
	__free_page(page);
	mapped = map_quietly(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	says(test, "Byte 0 of its 100 is in a freed page.");
	KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));

	/* Most likely the very same page, and no longer freed. */
	page = kt_page(test, 0);
	map_page(test, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
}

/* Begins in memory that is not freed, and runs into some that is. */
static void runs_into_freed_page(struct kunit *test)
{
	struct page *page;
	struct target t;
	unsigned long flags;
	bool mapped;

	quiet(test);
	page = alloc_pages(GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, page);
	split_page(page, 1);
	t = prepare(test, page, 1000, PAGE_SIZE, DMA_TO_DEVICE);
	local_irq_save(flags);
	mapped = map_quietly(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_SILENCE(test);

	local_irq_save(flags);
	__free_page(page + 1);
	mapped = map_quietly(&t);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, mapped);
	EXPECT_MISUSE(test, "use-after-free-map", PAGE_SIZE);
	says(test, "Byte %lu of its %lu is in a freed page.", PAGE_SIZE - 1000, PAGE_SIZE);

	map_page(test, page, 1000, PAGE_SIZE - 1000, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	__free_page(page);
}

/* === Memory of KFENCE's =================================================== */

/* It takes an allocation now and then. */
static u8 *kfence_buf(struct kunit *test, size_t size)
{
	unsigned long until = jiffies + 10 * HZ;
	u8 *buf;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KFENCE));
	quiet(test);
	do {
		buf = kzalloc(size, GFP_KERNEL);
		if (is_kfence_address(buf))
			return buf;
		kfree(buf);
		cond_resched();
	} while (time_before(jiffies, until));
	kunit_skip(test, "no KFENCE object within 10 s (kfence.sample_interval=0?)");
	return NULL;
}

/* Whoever touches a page that is not, has KFENCE report that, and put it there. */
static bool is_there(const u8 *p)
{
	u8 byte;

	pagefault_disable();
	__get_kernel_nofault(&byte, p, u8, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

static void freed_kfence_object(struct kunit *test)
{
	u8 *buf = kfence_buf(test, 100);
	struct target t;

	map_buf(test, buf, 100);
	EXPECT_SILENCE(test);
	kfree(buf);
	OPTIMIZER_HIDE_VAR(buf);
	KUNIT_ASSERT_FALSE(test, is_there(buf));

	kt_set(test, "content", "on");
	map_buf(test, buf, 100);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	says(test, "Byte 0 of its 100 is in a freed object of KFENCE's.");
	says_where(test, buf, 100);
	KUNIT_EXPECT_FALSE(test, is_there(buf));
	map_buf(test, buf + 36, 8);
	EXPECT_MISUSE(test, "use-after-free-map", 8);

	/* Of a list, the other entries are written to by nobody, either. */
	kt_set(test, "canary", is_list(test) ? "0" : "1");
	kt_set(test, "noncoherent", "64");
	t = prepare_buf(test, buf, 100, DMA_FROM_DEVICE);
	keep_mapped(test, &t);
	EXPECT_MISUSE(test, "use-after-free-map", 100);
	sync_all(&t, false);
	sync_all(&t, true);
	unmap_quietly(&t);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_FALSE(test, is_there(buf));
}

/* The page after each object's is never there. */
static void beyond_a_kfence_object(struct kunit *test)
{
	u8 *buf = kfence_buf(test, 100), *end = (u8 *)PAGE_ALIGN((unsigned long)buf + 1);

	map_buf(test, buf, end - buf + 10);
	EXPECT_MISUSE(test, "out-of-bounds-map", end - buf + 10);
	says(test, "Byte %zu of its %zu is in a guard page of KFENCE's.", end - buf,
	     end - buf + 10);
	KUNIT_EXPECT_FALSE(test, is_there(end));
	map_buf(test, buf, end - buf);
	EXPECT_SILENCE(test);
	kfree(buf);
}

/* Its content must not be looked at any more, at a sync or at the unmap. */
static void kfence_object_freed_meanwhile(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		u8 *buf = kfence_buf(test, 100);
		struct target t;

		kt_set(test, "content", "on");
		kt_set(test, "canary", is_list(test) ? "0" : "1");
		kt_set(test, "noncoherent", i == 2 ? "64" : "0");
		kt_set(test, "watch_writes", "1");
		t = prepare_buf(test, buf, 100, dirs[i]);
		keep_mapped(test, &t);
		EXPECT_SILENCE(test);
		kfree(buf);
		OPTIMIZER_HIDE_VAR(buf);
		KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
		says(test, "BUG: DMA_OWNER: free-while-mapped in *");
		says(test, "Free of 100 bytes at %lx by task *", (unsigned long)buf);
		KUNIT_EXPECT_FALSE(test, is_there(buf));
		sync_all(&t, false);
		sync_all(&t, true);
		unmap_quietly(&t);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_FALSE(test, is_there(buf));
	}
}

/* === vmalloc space ======================================================== */

/* Where virt_to_page() of an address outside of the linear map leads. */
static u64 phys_of(const void *addr)
{
#ifdef CONFIG_X86_64
	return __phys_addr_nodebug((unsigned long)addr);
#else
	const void *base = page_address(ZERO_PAGE(0));

	return page_to_phys(ZERO_PAGE(0)) + (addr - base);
#endif
}

static const bool any_page_has_a_pointer =
	!IS_ENABLED(CONFIG_SPARSEMEM) || IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP);

/* page_to_virt() asks struct page for its memory's tag. */
static const bool page_has_a_tag =
	IS_ENABLED(CONFIG_KASAN_SW_TAGS) || IS_ENABLED(CONFIG_KASAN_HW_TAGS);

/*
 * Such a page may not exist, and then only some memory models have a pointer to it,
 * which P2PDMA would follow, and dma-debug where it has a tag. Without a pointer, it is
 * at an offset from another page.
 */
static void requires_no_page(struct kunit *test)
{
	if (is_list(test)) {
		KT_REQUIRES(test, any_page_has_a_pointer);
		KT_REQUIRES(test, !IS_ENABLED(CONFIG_PCI_P2PDMA));
		KT_REQUIRES(test, !page_has_a_tag);
	}
	quiet(test);
}

static void map_no_page(struct kunit *test, const void *addr, size_t size)
{
	u64 phys = phys_of(addr);

	if (is_list(test))
		map_page(test, pfn_to_page(PHYS_PFN(phys)), offset_in_page(addr), size,
			 DMA_TO_DEVICE);
	else
		map_page(test, ZERO_PAGE(0), phys - page_to_phys(ZERO_PAGE(0)), size,
			 DMA_TO_DEVICE);
}

static void says_vmalloc(struct kunit *test, const void *addr, size_t size)
{
	says(test, "The address is in vmalloc space: *");
	says(test, "virt_to_page() is wrong there: *");
	says_where(test, addr, size);
	says(test, "Hint: use kmalloc() memory, or map the pages one by one: *");
}

static void vmalloc_memory(struct kunit *test)
{
	u8 *buf;
	int i;

	requires_no_page(test);
	buf = vmalloc(3 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	map_no_page(test, buf, 256);
	EXPECT_MISUSE(test, "vmalloc-buffer", 256);
	says_vmalloc(test, buf, 256);
	map_no_page(test, buf + PAGE_SIZE + 100, 1);
	EXPECT_MISUSE(test, "vmalloc-buffer", 1);
	says_vmalloc(test, buf + PAGE_SIZE + 100, 1);
	map_no_page(test, buf, 3 * PAGE_SIZE);
	EXPECT_MISUSE(test, "vmalloc-buffer", 3 * PAGE_SIZE);

	/* Page by page, as it should be. */
	for (i = 0; i < 3; i++)
		map_page(test, vmalloc_to_page(buf + i * PAGE_SIZE), 0, PAGE_SIZE,
			 DMA_FROM_DEVICE);
	map_page(test, vmalloc_to_page(buf + PAGE_SIZE + 100), 100, PAGE_SIZE - 100,
		 DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	vfree(buf);
}

static void vmapped_memory(struct kunit *test)
{
	struct page *pages[] = { kt_page(test, 0), kt_page(test, 0) };
	u8 *buf;

	requires_no_page(test);
	buf = vmap(pages, 2, VM_MAP, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	map_no_page(test, buf + 64, 128);
	EXPECT_MISUSE(test, "vmalloc-buffer", 128);
	says_vmalloc(test, buf + 64, 128);
	map_page(test, vmalloc_to_page(buf), 64, 128, DMA_TO_DEVICE);
	map_page(test, vmalloc_to_page(buf + PAGE_SIZE), 0, PAGE_SIZE, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	vunmap(buf);
}

/* The first chunk may be in the linear map, and is soon full. */
static void percpu_memory(struct kunit *test)
{
	void __percpu *mem[8];
	u8 *buf = NULL;
	int n = 0;

	requires_no_page(test);
	while (n < ARRAY_SIZE(mem)) {
		mem[n] = __alloc_percpu(SZ_16K, 64);
		if (!mem[n])
			break;
		buf = raw_cpu_ptr(mem[n++]);
		if (is_vmalloc_addr(buf))
			break;
	}
	if (n && is_vmalloc_addr(buf)) {
		map_no_page(test, buf, 64);
		EXPECT_MISUSE(test, "vmalloc-buffer", 64);
		says_vmalloc(test, buf, 64);
		map_page(test, vmalloc_to_page(buf), offset_in_page(buf), 64,
			 DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	while (n)
		free_percpu(mem[--n]);
	if (!is_vmalloc_addr(buf))
		kunit_skip(test, "percpu memory is all in the linear map");
}

/* What the hint advises: a table of the pages, neighbours merged. */
static void vmalloc_as_table(struct kunit *test)
{
	u8 *buf = vmalloc(16 * PAGE_SIZE);
	struct page *pages[16];
	struct sg_table sgt;
	int i, err;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < 16; i++)
		pages[i] = vmalloc_to_page(buf + i * PAGE_SIZE);
	err = sg_alloc_table_from_pages(&sgt, pages, 16, 100, 16 * PAGE_SIZE - 200,
					GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err) {
		err = dma_map_sgtable(kt_dev, &sgt, DMA_BIDIRECTIONAL, 0);
		KUNIT_EXPECT_EQ(test, err, 0);
		if (!err)
			dma_unmap_sgtable(kt_dev, &sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(&sgt);
	}
	EXPECT_SILENCE(test);
	vfree(buf);
}

/* === Stacks =============================================================== */

static void says_stack(struct kunit *test, struct task_struct *task,
		       const void *addr, size_t size)
{
	says(test, "The buffer is on the stack of task %s/%d.", task->comm,
	     task_pid_nr(task));
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		says(test, "It is not in the linear map: *");
	says_where(test, addr, size);
	says(test, "Hint: use kmalloc() memory: a stack *");
}

static void requires_stack(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		requires_no_page(test);
	else
		quiet(test);
}

static void map_stack(struct kunit *test, const void *addr, size_t size)
{
	if (IS_ENABLED(CONFIG_VMAP_STACK))
		map_no_page(test, addr, size);
	else
		map_buf(test, addr, size);
}

static void stack_of_current(struct kunit *test)
{
	u8 local[64] __aligned(64);
	u8 *copy = kt_buf(test, sizeof(local));

	requires_stack(test);
	memset(local, 1, sizeof(local));
	map_stack(test, local, sizeof(local));
	EXPECT_MISUSE(test, "stack-buffer", sizeof(local));
	says_stack(test, current, local, sizeof(local));
	map_stack(test, local + 5, 3);
	EXPECT_MISUSE(test, "stack-buffer", 3);
	says_stack(test, current, local + 5, 3);

	memcpy(copy, local, sizeof(local));
	map_buf(test, copy, sizeof(local));
	EXPECT_SILENCE(test);
}

/* A driver that knows that stacks are in vmalloc space, and not why. */
static void page_of_the_stack(struct kunit *test)
{
	u8 local[64] __aligned(64);

	KT_REQUIRES(test, IS_ENABLED(CONFIG_VMAP_STACK));
	memset(local, 1, sizeof(local));
	map_page(test, vmalloc_to_page(local), offset_in_page(local), sizeof(local),
		 DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "stack-buffer", sizeof(local));
	says(test, "The buffer is on the stack of task %s/%d.", current->comm,
	     task_pid_nr(current));
	says(test, "Device * is given these %zu bytes, DMA_TO_DEVICE, *", sizeof(local));
	KUNIT_EXPECT_FALSE(test, kt_has("It is not in the linear map*"));
	KUNIT_EXPECT_EQ(test, local[0], 1);
}

struct lender {
	struct completion lent, returned;
	u8 *local;
};

static int lend_stack(void *arg)
{
	struct lender *lender = arg;
	u8 local[64] __aligned(64), *p = local;

	memset(local, 1, sizeof(local));
	OPTIMIZER_HIDE_VAR(p);
	lender->local = p;
	complete(&lender->lent);
	wait_for_completion(&lender->returned);
	return p[0] == 1 ? 0 : -EIO;
}

static void stack_of_another(struct kunit *test)
{
	struct lender lender = {
		.lent = COMPLETION_INITIALIZER_ONSTACK(lender.lent),
		.returned = COMPLETION_INITIALIZER_ONSTACK(lender.returned),
	};
	struct kt_thread thread;

	requires_stack(test);
	kt_thread_start(&thread, lend_stack, &lender);
	if (!IS_ERR(thread.task)) {
		wait_for_completion(&lender.lent);
		map_stack(test, lender.local, 64);
		EXPECT_MISUSE(test, "stack-buffer", 64);
		says_stack(test, thread.task, lender.local, 64);
		complete(&lender.returned);
	}
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
}

/* === Images =============================================================== */

static char own_data[64] = "of a module, or of the kernel if built in";
static const char own_rodata[64] = "that must not be mapped, either";

/* Of built-in code, or of the kernel; virt_to_page() does for it on some machines. */
static void map_kernel_image(struct kunit *test, const void *addr, size_t size,
			     enum dma_data_direction dir)
{
	map_page(test, pfn_to_page(PHYS_PFN(__pa_symbol(addr))), offset_in_page(addr),
		 size, dir);
}

#ifdef MODULE
/*
 * dma_map_single() maps what virt_to_page() returns, which can be anybody's memory.
 * The first report is about the address; what is said about that memory depends.
 */
static kt_noinline void test_map_own(struct kunit *test, const void *addr, size_t size)
{
	u32 *budget = quiet(test), saved;
	dma_addr_t dma;

	KT_REQUIRES(test, !IS_ENABLED(CONFIG_DEBUG_VIRTUAL));
	KT_REQUIRES(test, (any_page_has_a_pointer && !page_has_a_tag) ||
		    pfn_valid(PHYS_PFN(phys_of(addr))));
	saved = xchg(budget, 0);
	dma = dma_map_single_attrs(kt_dev, (void *)addr, size, DMA_TO_DEVICE,
				   DMA_ATTR_SKIP_CPU_SYNC);
	if (!dma_mapping_error(kt_dev, dma))
		dma_unmap_single_attrs(kt_dev, dma, size, DMA_TO_DEVICE,
				       DMA_ATTR_SKIP_CPU_SYNC);
	WRITE_ONCE(*budget, saved);
	KUNIT_EXPECT_GE(test, kt_take_all(), 1);
	says(test, "BUG: DMA_OWNER: image-buffer in test_map_own+0x*");
	says(test, "Map of size %zu at %lx by task *", size, (unsigned long)addr);
	says(test, GIVEN ", \\[%lx, %lx)", size, (unsigned long)addr,
	     (unsigned long)addr + size);
	says(test, "The buffer is in the image of a module: *");
	says(test, "virt_to_page() is wrong there: *");
	says(test, "Hint: copy the data to kmalloc() memory with kmemdup(): *");
}

static void own_image(struct kunit *test)
{
	test_map_own(test, own_data, sizeof(own_data));
	test_map_own(test, own_data + 5, 3);
	test_map_own(test, own_rodata, sizeof(own_rodata));
}
#else
static void own_image(struct kunit *test)
{
	map_kernel_image(test, own_data, 64, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	map_kernel_image(test, own_data, 64, DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 64);
	says(test, "The buffer is in the image of the kernel, in its data: *");
	map_kernel_image(test, own_rodata, 64, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 64);
	says(test, "The buffer is in the image of the kernel, in its *: *");
}
#endif

/* virt_to_page() of a module's address: no memory, or somebody else's. */
static void own_page(struct kunit *test)
{
	KT_REQUIRES(test, __is_defined(MODULE) &&
		    (is_vmalloc_addr(own_data) || dod_is_module_addr(own_data)));
	requires_no_page(test);
	if (pfn_valid(PHYS_PFN(phys_of(own_data))))
		kunit_skip(test, "there is memory at what virt_to_page() returns");
	map_no_page(test, own_data, 16);
	EXPECT_MISUSE(test, "image-buffer", 16);
	says(test, "The buffer is in the image of a module: *");
	says(test, "virt_to_page() is wrong there: *");
	says_where(test, own_data, 16);
}

/*
 * virt_to_page() of the kernel's own variables: right on x86. On arm64 no direction
 * works, and dma_map_single() refuses to try.
 */
static void wrong_page_of_the_kernel(struct kunit *test)
{
	const void *var = &iomem_resource, *fn = kfree;

	OPTIMIZER_HIDE_VAR(var);
	OPTIMIZER_HIDE_VAR(fn);
	KT_REQUIRES(test, is_vmalloc_addr(var));
	requires_no_page(test);
	map_no_page(test, var, sizeof(iomem_resource));
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
	says(test, "The buffer is in the image of the kernel, in its data: *");
	says(test, "virt_to_page() is wrong there: *");
	says_where(test, var, sizeof(iomem_resource));
	map_no_page(test, fn, 16);
	EXPECT_MISUSE(test, "image-buffer", 16);
	says(test, "The buffer is in the image of the kernel, in its text or constants: kfree.");
	says_where(test, fn, 16);
}

static void copy_of_image(struct kunit *test)
{
	char *copy = kt_buf(test, sizeof(own_data));

	memcpy(copy, own_data, sizeof(own_data));
	map_buf(test, copy, sizeof(own_data));
	EXPECT_SILENCE(test);
}

static void kernel_text(struct kunit *test)
{
	const void *fn = kfree;

	OPTIMIZER_HIDE_VAR(fn);
	map_kernel_image(test, fn, 16, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 16);
	says(test, "The buffer is in the image of the kernel, in its text*: kfree.");
	says(test, "Hint: copy the data to kmalloc() memory with kmemdup(): *");
}

static void kernel_rodata(struct kunit *test)
{
	map_kernel_image(test, _ctype, 256, DMA_TO_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 256);
	says(test, IS_ENABLED(CONFIG_X86) ?
	     "The buffer is in the image of the kernel, in its read-only data: *" :
	     "The buffer is in the image of the kernel, in its text or constants: *");
	says(test, "Device * is given these 256 bytes, DMA_TO_DEVICE, *");
}

/* What is only sent works everywhere, and is tolerated. */
static void kernel_data(struct kunit *test)
{
	const void *var = &iomem_resource;

	OPTIMIZER_HIDE_VAR(var);
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
	says(test, "The buffer is in the image of the kernel, in its data: *");
	map_kernel_image(test, var, sizeof(iomem_resource), DMA_BIDIRECTIONAL);
	EXPECT_MISUSE(test, "image-buffer", sizeof(iomem_resource));
}

/* The zero page is in the image as well, and mapped by everybody who pads. */
static void zero_page(struct kunit *test)
{
	map_page(test, ZERO_PAGE(0), 0, PAGE_SIZE, DMA_TO_DEVICE);
	map_page(test, ZERO_PAGE(0), 512, 512, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	map_page(test, ZERO_PAGE(0), 512, 512, DMA_FROM_DEVICE);
	EXPECT_MISUSE(test, "image-buffer", 512);
	says(test, "The buffer is in the image of the kernel, in its *: *");
}

/* === Contiguity =========================================================== */

#define NBLOCKS 512

/* Blocks of pages, all there at a time: some of them follow each other. */
struct blocks {
	unsigned int order, nr;
	struct page *page[NBLOCKS];
};

static struct blocks *get_blocks(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->order = order;
	for (; b->nr < NBLOCKS; b->nr++) {
		b->page[b->nr] = alloc_pages(GFP_KERNEL | gfp, order);
		if (!b->page[b->nr])
			break;
	}
	return b;
}

static void put_blocks(struct blocks *b)
{
	while (b->nr)
		__free_pages(b->page[--b->nr], b->order);
}

/* The last page of a block that another block follows, NULL if there is none. */
static struct page *last_before_block(const struct blocks *b)
{
	unsigned long nr = 1UL << b->order;
	unsigned int i, j;

	for (i = 0; i < b->nr; i++)
		for (j = 0; j < b->nr; j++)
			if (page_to_pfn(b->page[i]) + nr == page_to_pfn(b->page[j]))
				return pfn_to_page(page_to_pfn(b->page[i]) + nr - 1);
	return NULL;
}

static long unjudged(void)
{
	return dma_owner_debug_count("unjudged_contiguity");
}

/*
 * The bug itself: contiguous in vmalloc space, mapped as if it were so in memory.
 * Only in a list it may be one entry, which its maker has looked at.
 */
static void map_vmapped(struct kunit *test, struct page *first, struct page *second,
			size_t offset, size_t size)
{
	struct page *pages[] = { first, second };
	u8 *buf = vmap(pages, 2, VM_MAP, PAGE_KERNEL);

	KUNIT_EXPECT_NOT_NULL(test, buf);
	if (!buf)
		return;
	map_page(test, vmalloc_to_page(buf), offset, size, DMA_TO_DEVICE);
	vunmap(buf);
}

static void expect_contiguity_report(struct kunit *test, size_t offset, size_t size)
{
	if (is_list(test)) {
		EXPECT_SILENCE(test);
		return;
	}
	EXPECT_MISUSE(test, "not-contiguous", size);
	says(test, "From byte %lu of its %zu on it is another allocation.",
	     PAGE_SIZE - offset, size);
	says(test, "Device * is given these %zu bytes, DMA_TO_DEVICE, *", size);
	says(test, "Hint: map each page of its own, as a scatterlist: *");
}

static void compound_pages(struct kunit *test)
{
	struct page *other = kt_page(test, 0), *page;
	struct blocks *b;

	quiet(test);
	b = get_blocks(test, __GFP_COMP, 1);
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		map_vmapped(test, page, other, 0, 2 * PAGE_SIZE);
		expect_contiguity_report(test, 0, 2 * PAGE_SIZE);
		KUNIT_EXPECT_FALSE(test, kt_has("The object there*"));
		map_vmapped(test, page, other, 100, PAGE_SIZE - 99);
		expect_contiguity_report(test, 100, PAGE_SIZE - 99);
		/* A byte less. */
		map_vmapped(test, page, other, 100, PAGE_SIZE - 100);
		EXPECT_SILENCE(test);
		/* All of the one. */
		map_page(test, compound_head(page), 0, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two blocks follow each other");
}

/* What follows is another's, who may go on writing to it. */
static void into_another_block(struct kunit *test)
{
	struct page *page;
	struct blocks *b;
	struct target t;
	u8 *buf, *other;

	quiet(test);
	b = get_blocks(test, __GFP_COMP, 1);
	page = last_before_block(b);
	if (page) {
		buf = page_address(compound_head(page));
		other = page_address(page) + PAGE_SIZE;
		t = prepare_buf(test, buf, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
		keep_mapped(test, &t);
		EXPECT_MISUSE(test, "not-contiguous", 3 * PAGE_SIZE);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + 2 * PAGE_SIZE - 8, 8);
		EXPECT_CPU_OWNS(test, other, 8);
		sync_all(&t, false);
		sync_all(&t, true);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf, 8);
		EXPECT_CPU_OWNS(test, other, 8);
		unmap_quietly(&t);
		EXPECT_CLEAN(test, buf, 3 * PAGE_SIZE);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two blocks follow each other");
}

/*
 * Pages of their own, and objects of that size in between: one page is followed by a
 * slab that begins with one of the objects. KASAN leaves no more of a slab to map.
 */
static void before_slab(struct kunit *test, size_t block_size, size_t size, int per_block)
{
	const int n = 128, nobj = n * per_block;
	void **obj = kunit_kcalloc(test, nobj, sizeof(*obj), GFP_KERNEL);
	u8 **block = kunit_kcalloc(test, n, sizeof(*block), GFP_KERNEL);
	struct page *page = NULL, *other = kt_page(test, 0);
	int i, j, slab = 0;

	KUNIT_ASSERT_TRUE(test, obj && block);
	quiet(test);
	for (i = 0; i < nobj; i++) {
		if (i % per_block == 0)
			block[i / per_block] = alloc_pages_exact(block_size, GFP_KERNEL);
		obj[i] = kmalloc(size, GFP_KERNEL);
	}
	for (j = 0; j < nobj && !page; j++)
		for (i = 0; i < n && PAGE_ALIGNED(obj[j]) && !page; i++)
			if (block[i] && block[i] + block_size == obj[j]) {
				page = virt_to_page(obj[j] - PAGE_SIZE);
				slab = j;
			}
	if (page) {
		map_vmapped(test, page, other, 0, PAGE_SIZE + size);
		expect_contiguity_report(test, 0, PAGE_SIZE + size);
		if (!is_list(test))
			says_object(test, obj[slab], 0);
		map_vmapped(test, page, other, 0, PAGE_SIZE);
		map_buf(test, obj[slab], size);
		EXPECT_SILENCE(test);
	}
	for (i = 0; i < n; i++)
		if (block[i])
			free_pages_exact(block[i], block_size);
	for (j = 0; j < nobj; j++)
		kfree(obj[j]);
	if (!page)
		kunit_skip(test, "no slab follows a page");
}

static void page_before_slab(struct kunit *test)
{
	before_slab(test, 8 * PAGE_SIZE, PAGE_SIZE, 1);
}

/* A slab of one page is no compound page. */
static void page_before_small_slab(struct kunit *test)
{
	before_slab(test, PAGE_SIZE, 64, PAGE_SIZE / 128);
}

/* One allocation, in whatever way it was made. */
static void one_allocation(struct kunit *test)
{
	long before = unjudged();
	struct page *page;
	void *exact;

	quiet(test);
	page = alloc_pages(GFP_KERNEL, 2);
	KUNIT_ASSERT_NOT_NULL(test, page);
	map_page(test, page, 0, 4 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	map_page(test, page + 1, 100, 2 * PAGE_SIZE, DMA_TO_DEVICE);
	__free_pages(page, 2);
	map_page(test, kt_page(test, 2), 0, 4 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	map_buf(test, kt_buf(test, 5 * PAGE_SIZE), 5 * PAGE_SIZE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before);

	exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, exact);
	map_buf(test, exact, 3 * PAGE_SIZE);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, unjudged(), before + !is_list(test));
	free_pages_exact(exact, 3 * PAGE_SIZE);
}

/* CMA, where there is one: pages of their own that are one allocation. */
static void allocated_for_dma(struct kunit *test)
{
	struct page *page;
	dma_addr_t dma;

	quiet(test);
	page = kt_dma_alloc_pages(kt_dev2, SZ_32K, &dma, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	map_page(test, page, 0, SZ_32K, DMA_TO_DEVICE);
	EXPECT_SILENCE(test);
	dma_free_pages(kt_dev2, SZ_32K, page, dma, DMA_BIDIRECTIONAL);
}

/* Pages that follow each other by chance, or were split: it cannot be told. */
static void single_pages(struct kunit *test)
{
	struct page *page, *other = kt_page(test, 0);
	struct blocks *b;

	quiet(test);
	b = get_blocks(test, 0, 0);
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		map_vmapped(test, page, other, 0, 2 * PAGE_SIZE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !is_list(test));
		map_vmapped(test, page, other, 0, PAGE_SIZE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !is_list(test));
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two pages follow each other");
}

/* === Contiguity, where the kernel knows who allocated a page ============== */

static void requires_marks(struct kunit *test)
{
	if (!dma_owner_debug_count("page_marks"))
		kunit_skip(test, "this kernel does not mark pages by who allocates them");
	quiet(test);
}

static kt_noinline struct page *alloc_here(unsigned int order)
{
	return alloc_pages(GFP_KERNEL, order);
}

static kt_noinline struct page *alloc_there(unsigned int order)
{
	return alloc_pages(GFP_KERNEL, order);
}

/* As get_blocks(), but every second one is somebody else's. */
static struct blocks *get_mixed_blocks(struct kunit *test, unsigned int order)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->order = order;
	for (; b->nr < NBLOCKS; b->nr++) {
		b->page[b->nr] = b->nr % 2 ? alloc_there(order) : alloc_here(order);
		if (!b->page[b->nr])
			break;
	}
	return b;
}

/* A block that one of the other kind follows, NULL if there is none. */
static struct page *block_before_other(const struct blocks *b)
{
	unsigned long nr = 1UL << b->order;
	unsigned int i, j;

	for (i = 0; i < b->nr; i++)
		for (j = (i + 1) % 2; j < b->nr; j += 2)
			if (page_to_pfn(b->page[i]) + nr == page_to_pfn(b->page[j]))
				return b->page[i];
	return NULL;
}

static void somebody_elses_pages(struct kunit *test)
{
	unsigned int order;
	bool any = false;

	requires_marks(test);
	for (order = 0; order < 3; order++) {
		struct blocks *b = get_mixed_blocks(test, order);
		struct page *page = block_before_other(b);
		size_t size = PAGE_SIZE << order;

		if (page) {
			any = true;
			map_page(test, page, 0, 2 * size, DMA_TO_DEVICE);
			if (is_list(test)) {
				EXPECT_SILENCE(test);
			} else {
				EXPECT_MISUSE(test, "not-contiguous", 2 * size);
				says(test, "From byte %zu of its %zu on it is another allocation.",
				     size, 2 * size);
			}
			/* Begins with the last page of several. */
			map_page(test, page + (1 << order) - 1, 100, PAGE_SIZE - 99,
				 DMA_FROM_DEVICE);
			if (is_list(test))
				EXPECT_SILENCE(test);
			else
				EXPECT_MISUSE(test, "not-contiguous", PAGE_SIZE - 99);
			/* All of it, and no more. */
			map_page(test, page, 0, size, DMA_BIDIRECTIONAL);
			EXPECT_SILENCE(test);
		}
		put_blocks(b);
	}
	if (!any)
		kunit_skip(test, "no two blocks follow each other");
}

/* What follows is somebody else's, who goes on using it. */
static void into_somebody_elses_page(struct kunit *test)
{
	struct page *page;
	struct blocks *b;
	struct target t;
	u8 *buf;

	requires_marks(test);
	b = get_mixed_blocks(test, 0);
	page = block_before_other(b);
	if (page) {
		buf = page_address(page);
		t = prepare_buf(test, buf, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		keep_mapped(test, &t);
		EXPECT_MISUSE(test, "not-contiguous", 2 * PAGE_SIZE);
		EXPECT_DEVICE_OWNS(test, DMA_FROM_DEVICE, buf + PAGE_SIZE - 8, 8);
		EXPECT_CPU_OWNS(test, buf + PAGE_SIZE, 8);
		unmap_quietly(&t);
		EXPECT_CLEAN(test, buf, 2 * PAGE_SIZE);
	}
	put_blocks(b);
	if (!page)
		kunit_skip(test, "no two pages follow each other");
}

/* The pages of vmalloc() follow each other by chance, and here others are in between. */
static void run_of_vmalloc_pages(struct kunit *test)
{
	struct page *page = NULL, *next = NULL;
	u8 *mem[NBLOCKS / 8];
	struct blocks *b;
	int i, j, k;

	requires_marks(test);
	b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b);
	for (i = 0; i < ARRAY_SIZE(mem); i++) {
		mem[i] = vmalloc(PAGE_SIZE);
		b->page[b->nr] = alloc_here(0);
		b->nr += !!b->page[b->nr];
	}
	for (i = 0; i < ARRAY_SIZE(mem) && !page; i++)
		for (j = 0; j < b->nr && mem[i] && !page; j++)
			if (vmalloc_to_pfn(mem[i]) + 1 == page_to_pfn(b->page[j]))
				page = vmalloc_to_page(mem[i]);
	if (page) {
		map_page(test, page, 0, 2 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_MISUSE(test, "not-contiguous", 2 * PAGE_SIZE);
		map_page(test, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	put_blocks(b);
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		vfree(mem[i]);
	/* All of one allocation: whoever has looked may map them as one. */
	mem[0] = vmalloc(64 * PAGE_SIZE);
	for (k = 0; k < 63 && mem[0] && !next; k++)
		if (vmalloc_to_pfn(mem[0] + k * PAGE_SIZE) + 1 ==
		    vmalloc_to_pfn(mem[0] + (k + 1) * PAGE_SIZE))
			next = vmalloc_to_page(mem[0] + k * PAGE_SIZE);
	if (next) {
		map_page(test, next, 0, 2 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
	}
	vfree(mem[0]);
	if (!page)
		kunit_skip(test, "no page follows one of vmalloc()");
}

/* However it was divided, or got: it is one allocation. */
static void one_allocation_of_pages(struct kunit *test)
{
	struct page *page;
	unsigned int i;
	void *exact;

	requires_marks(test);
	for (i = 0; i < 8; i++) {
		page = alloc_here(3);
		KUNIT_ASSERT_NOT_NULL(test, page);
		map_page(test, page, 0, 8 * PAGE_SIZE, DMA_BIDIRECTIONAL);
		split_page(page, 3);
		map_page(test, page, 0, 8 * PAGE_SIZE, DMA_BIDIRECTIONAL);
		map_page(test, page + 2, 100, 3 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		/* Some of it, which is now another's, and the rest, which is not. */
		__free_page(page + 7);
		map_page(test, page, 0, 7 * PAGE_SIZE, DMA_TO_DEVICE);
		EXPECT_SILENCE(test);
		free_pages_exact(page_address(page), 7 * PAGE_SIZE);

		exact = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, exact);
		map_buf(test, exact, 5 * PAGE_SIZE);
		EXPECT_SILENCE(test);
		free_pages_exact(exact, 5 * PAGE_SIZE);
	}
}

#if IS_ENABLED(CONFIG_SHMEM)
/* The block layer makes one segment of pages that happen to follow each other. */
static void page_cache(struct kunit *test)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct file *file;
	struct page *page;

	KUNIT_ASSERT_NOT_NULL(test, b);
	quiet(test);
	file = shmem_file_setup("dma_owner_kunit", NBLOCKS * PAGE_SIZE, DOD_NO_VMA_FLAGS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	for (; b->nr < NBLOCKS; b->nr++) {
		page = shmem_read_mapping_page(file->f_mapping, b->nr);
		if (IS_ERR(page))
			break;
		b->page[b->nr] = page;
	}
	page = last_before_block(b);
	if (page) {
		long before = unjudged();

		map_page(test, page, 0, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !is_list(test));
		map_page(test, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
		EXPECT_SILENCE(test);
		KUNIT_EXPECT_EQ(test, unjudged(), before + !is_list(test));
	}
	while (b->nr)
		put_page(b->page[--b->nr]);
	fput(file);
	if (!page)
		kunit_skip(test, "no two pages of the file follow each other");
}
#else
static void page_cache(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_SHMEM");
}
#endif

static struct kunit_case memory_cases[] = {
	BOTH_WAYS(beyond_the_object),
	BOTH_WAYS(beyond_a_granule),
	BOTH_WAYS(from_within_the_object),
	BOTH_WAYS(behind_the_object),
	BOTH_WAYS(smallest_object),
	BOTH_WAYS(rounded_up),
	BOTH_WAYS(large_kmalloc),
	BOTH_WAYS(shrunk),
	BOTH_WAYS(every_direction),
	BOTH_WAYS(while_mapped),
	BOTH_WAYS(into_the_next_object),
	BOTH_WAYS(into_everything),
	BOTH_WAYS(into_another_object),
	BOTH_WAYS(negative_length),
	BOTH_WAYS(negative_length_of_pages),
	KUNIT_CASE(the_bad_entry),
	KUNIT_CASE(all_entries),
	KUNIT_CASE(entries_not_mapped),
	BOTH_WAYS(freed_object),
	BOTH_WAYS(freed_object_that_changes),
	BOTH_WAYS(freed_page),
	BOTH_WAYS(runs_into_freed_page),
	BOTH_WAYS(freed_kfence_object),
	BOTH_WAYS(beyond_a_kfence_object),
	BOTH_WAYS(kfence_object_freed_meanwhile),
	BOTH_WAYS(vmalloc_memory),
	BOTH_WAYS(vmapped_memory),
	BOTH_WAYS(percpu_memory),
	KUNIT_CASE(vmalloc_as_table),
	BOTH_WAYS(stack_of_current),
	BOTH_WAYS(page_of_the_stack),
	BOTH_WAYS(stack_of_another),
	KUNIT_CASE(own_image),
	BOTH_WAYS(own_page),
	BOTH_WAYS(wrong_page_of_the_kernel),
	BOTH_WAYS(copy_of_image),
	BOTH_WAYS(kernel_text),
	BOTH_WAYS(kernel_rodata),
	BOTH_WAYS(kernel_data),
	BOTH_WAYS(zero_page),
	BOTH_WAYS(compound_pages),
	KUNIT_CASE(into_another_block),
	BOTH_WAYS(page_before_slab),
	BOTH_WAYS(page_before_small_slab),
	BOTH_WAYS(one_allocation),
	BOTH_WAYS(allocated_for_dma),
	BOTH_WAYS(single_pages),
	BOTH_WAYS(page_cache),
	BOTH_WAYS(somebody_elses_pages),
	KUNIT_CASE(into_somebody_elses_page),
	KUNIT_CASE(run_of_vmalloc_pages),
	BOTH_WAYS(one_allocation_of_pages),
	{}
};

KT_SUITE(kt_memory_suite, "memory", memory_cases);
