// SPDX-License-Identifier: GPL-2.0
/*
 * The text of a report, line by line, and what decides whether there is one: duplicates, the
 * burst limit, the counters. Machines read the title, people the rest; both break when it
 * changes unnoticed.
 */

#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/glob.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/netdevice.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/utsname.h>

#include "kt.h"

#define SIZE 1514

KT_DIRECTIONS;

#ifdef MODULE
#define IN_MODULE " \\[dma_owner_debug_kunit\\]"
#else
#define IN_MODULE ""
#endif
#define FRAME(fn) " " fn "+0x*/0x*" IN_MODULE
#define ADDR(p) ((unsigned long)(p))
#define OWNS " owns %d bytes, %s"
#define WHERE " \\[%lx, %lx), dma 0x%llx; the access is %d bytes into the buffer"
#define HINT \
	"Hint: wait until the device is done with what was there, or use a second buffer; call dma_sync_%s_for_device() after this write; if the transfer is over, unmap the buffer before this write."
#define COHERENCE " The device is *cache-coherent, its mask is 0xffffffffffffffff."
#define WHO_AND_WHEN "by task %s/%d on cpu * at *.??????s (*.??????s ago):"

/* The n-th line of the report must match this glob; returns n + 1. */
static __printf(3, 4) int line_is(struct kunit *test, int n, const char *fmt, ...)
{
	char pattern[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(pattern, sizeof(pattern), fmt, args);
	va_end(args);
	KUNIT_EXPECT_TRUE_MSG(test, glob_match(pattern, kt_line(n)),
			      "line %d is '%s', expected '%s'", n, kt_line(n), pattern);
	return n + 1;
}

static int line_is_blank(struct kunit *test, int n)
{
	KUNIT_EXPECT_TRUE_MSG(test, n < kt_lines() && (!*kt_line(n) || !strcmp(kt_line(n), " ")),
			      "line %d is '%s', expected a blank one", n, kt_line(n));
	return n + 1;
}

/* One or more frames, alone on their lines. */
static int frames_follow(struct kunit *test, int n, const char *first)
{
	if (!strcmp(kt_line(n), "Call Trace:"))
		n++;
	n = line_is(test, n, "%s", first);
	while (glob_match(" *+0x*/0x*", kt_line(n)))
		n++;
	return n;
}

/* The same, and a blank line below them. */
static int stack_follows(struct kunit *test, int n, const char *first)
{
	return line_is_blank(test, frames_follow(test, n, first));
}

/* The history: history.c has what is in it. And a blank line below it. */
static int history_follows(struct kunit *test, int n)
{
	int first = line_is(test, n, "History of these bytes, newest first:");

	for (n = first; glob_match(" *.??????s ago  to the *() *+0x*/0x*", kt_line(n)); n++)
		;
	KUNIT_EXPECT_GT(test, n, first);
	KUNIT_EXPECT_LE(test, n, first + 4);
	return line_is_blank(test, n);
}

/* A line that the kernel prints in pieces, and a blank line below it. */
static int object_follows(struct kunit *test, int n)
{
	n = line_is(test, n, "The object there:*");
	while (n < kt_lines() && !strstarts(kt_line(n), "Mapped "))
		n++;
	line_is_blank(test, n - 1);
	return n;
}

static int title_follows(struct kunit *test, const char *type, const char *fn,
			 const char *access, size_t size, const void *addr)
{
	int n = line_is(test, 0, "BUG: DMA_OWNER: %s in %s+0x*/0x*" IN_MODULE, type, fn);

	n = line_is(test, n, "%s of size %zu at %lx by task %s/%d on cpu *", access, size,
		    ADDR(addr), current->comm, task_pid_nr(current));
	n = line_is(test, n, "Loses data: with bounce buffers or non-coherent caches. *n this machine*.");
	n = line_is_blank(test, n);
	n = line_is(test, n, "CPU: * UID: * PID: %d Comm: %s *ainted* %s #[0-9]*", task_pid_nr(current),
		    current->comm, init_utsname()->release);
	if (strstarts(kt_line(n), "Hardware name: "))
		n++;
	KUNIT_EXPECT_STREQ(test, kt_line(n), "Call Trace:");
	return n;
}

static void end_follows(struct kunit *test, int n)
{
	n = line_is(test, n, "dma_owner_debug " DOD_VERSION ": the access went ahead. See Documentation/usage.rst");
	n = line_is(test, n, "==============================================*");
	KUNIT_EXPECT_EQ(test, n, kt_lines());
}

static void write_reported_line_by_line(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int n;

	EXPECT_WRITE_TRAPS(test, buf + 16, 4);
	n = title_follows(test, "cpu-write", "test_dma_write", "Write", 4, buf + 16);
	n = stack_follows(test, n, FRAME("test_dma_write"));
	n = line_is(test, n, "Device " KT_NAME " " KT_NAME ".0" OWNS, SIZE, "DMA_TO_DEVICE");
	n = line_is(test, n, WHERE, ADDR(buf), ADDR(buf + SIZE), (u64)dma, 16);
	n = line_is(test, n, COHERENCE);
	n = object_follows(test, n);
	n = line_is(test, n, "Mapped " WHO_AND_WHEN, current->comm, task_pid_nr(current));
	n = frames_follow(test, n, FRAME("test_dma_map"));
	n = history_follows(test, n);
	n = line_is(test, n, HINT, "single");
	end_follows(test, n);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static kt_noinline void test_hand_over(dma_addr_t dma, size_t offset, size_t size)
{
	dma_sync_single_range_for_device(kt_dev, dma, offset, size, DMA_FROM_DEVICE);
}

/* The device owns a part of the mapping, since a sync. */
static void read_of_part_reported_line_by_line(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	int n;

	dma_sync_single_for_cpu(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	test_hand_over(dma, 256, 512);
	EXPECT_READ_TRAPS(test, buf + 300, 1);
	n = title_follows(test, "cpu-read", "test_dma_read", "Read", 1, buf + 300);
	n = stack_follows(test, n, FRAME("test_dma_read"));
	n = line_is(test, n, "Device " KT_NAME " " KT_NAME ".0" OWNS, 512, "DMA_FROM_DEVICE");
	n = line_is(test, n, WHERE, ADDR(buf + 256), ADDR(buf + 768), (u64)dma + 256, 300);
	n = line_is(test, n, " They are part of a buffer of %d bytes, \\[%lx, %lx).", SIZE,
		    ADDR(buf), ADDR(buf + SIZE));
	n = line_is(test, n, COHERENCE);
	n = object_follows(test, n);
	n = line_is(test, n, "Mapped " WHO_AND_WHEN, current->comm, task_pid_nr(current));
	n = stack_follows(test, n, FRAME("test_dma_map"));
	n = line_is(test, n, "Last dma_sync_single_for_device() "
		    WHO_AND_WHEN, current->comm, task_pid_nr(current));
	n = frames_follow(test, n, FRAME("test_hand_over"));
	n = history_follows(test, n);
	n = line_is(test, n, "Hint: when the device is done, call dma_sync_single_for_cpu() *");
	end_follows(test, n);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

static kt_noinline void test_copy(void *to, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(to, from, size);
}

/* The caller of memcpy() is in the title and on top of the stack. */
static void memcpy_title_names_caller(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE), *to = kt_buf(test, SIZE);
	dma_addr_t dma;
	int n;

	KT_REQUIRES(test, DOD_MEMCPY_CHECKED);

	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_BIDIRECTIONAL);
	test_copy(to, buf + 8, 100);
	EXPECT_REPORT(test, "cpu-read", test_copy, buf + 8, 100);
	n = title_follows(test, "cpu-read", "test_copy", "Read", 100, buf + 8);
	stack_follows(test, n, FRAME("test_copy"));
	KUNIT_EXPECT_TRUE(test, kt_has("Device * owns 1514 bytes, DMA_BIDIRECTIONAL"));
	dma_unmap_single(kt_dev, dma, SIZE, DMA_BIDIRECTIONAL);
}

/* Has the name of an inline function of dma-mapping.h that a compiler did not inline. */
static kt_noinline dma_addr_t inline_of_a_header(void *buf, size_t size)
	__asm__("dma_map_sgtable");

static kt_noinline dma_addr_t inline_of_a_header(void *buf, size_t size)
{
	dma_addr_t dma = dma_map_single(kt_dev, buf, size, DMA_TO_DEVICE);

	OPTIMIZER_HIDE_VAR(dma);
	return dma;
}

/* A driver's own function. Not quite the same code, or the compiler merges the two. */
static kt_noinline dma_addr_t dma_map_sgtable_kunit(void *buf, size_t size)
{
	dma_addr_t dma;

	OPTIMIZER_HIDE_VAR(buf);
	dma = dma_map_single(kt_dev, buf, size, DMA_TO_DEVICE);
	OPTIMIZER_HIDE_VAR(dma);
	return dma;
}

static kt_noinline void test_map_inline(struct kunit *test, void *buf, size_t size)
{
	dma_addr_t dma = inline_of_a_header(buf, size);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	dma_unmap_single(kt_dev, dma, size, DMA_TO_DEVICE);
}

static kt_noinline void test_map_own(struct kunit *test, void *buf, size_t size)
{
	dma_addr_t dma = dma_map_sgtable_kunit(buf, size);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(kt_dev, dma));
	dma_unmap_single(kt_dev, dma, size, DMA_TO_DEVICE);
}

/* The title must not name an inline function of a header: all faults would have one title. */
static void inline_title_names_caller(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100);

	test_map_inline(test, buf, 128);
	EXPECT_MAP_REPORT(test, "out-of-bounds-map", test_map_inline, 128);
	test_map_own(test, buf, 128);
	/* Built in, a name that begins like the DMA core's is taken for it. */
	EXPECT_MAP_REPORT(test, "out-of-bounds-map",
			  *IN_MODULE ? (void *)dma_map_sgtable_kunit : (void *)test_map_own,
			  128);
}

/* What drivers keep in their buffers, and kernel functions write to. */
struct kept {
	spinlock_t lock;
	struct completion done;
	struct timer_list timer;
	char text[8];
};

static void on_timer(struct timer_list *timer)
{
}

static kt_noinline void test_use_lock(struct kept *k)
{
	spin_lock(&k->lock);
	spin_unlock(&k->lock);
	barrier();
}

static kt_noinline void test_use_completion(struct kept *k)
{
	complete(&k->done);
	barrier();
}

static kt_noinline void test_use_timer(struct kept *k)
{
	mod_timer(&k->timer, jiffies + HZ * 1000);
	barrier();
}

/* simple_strtoul() is in no table of the tool. */
static kt_noinline void test_use_text(struct kept *k)
{
	KUNIT_EXPECT_EQ(current->kunit_test, simple_strtoul(k->text, NULL, 16), 0x1234);
}

/* The title names the driver's function, not the kernel's that it calls. */
static void kernel_helper_title_names_driver(struct kunit *test)
{
	static const struct {
		void (*use)(struct kept *k);
		bool only_modules;
	} uses[] = {
		{ test_use_lock },
		{ test_use_completion },
		{ test_use_timer },
		{ test_use_text, .only_modules = true },
	};
	struct kept *k = kt_buf(test, sizeof(*k));
	char title[128];
	dma_addr_t dma;
	int i, n;

	spin_lock_init(&k->lock);
	init_completion(&k->done);
	timer_setup(&k->timer, on_timer, 0);
	strscpy(k->text, "1234", sizeof(k->text));
	for (i = 0; i < ARRAY_SIZE(uses); i++) {
		if (uses[i].only_modules && !*IN_MODULE)
			continue;
		dma = test_dma_map(test, kt_dev, k, sizeof(*k), DMA_FROM_DEVICE);
		uses[i].use(k);
		dma_unmap_single(kt_dev, dma, sizeof(*k), DMA_FROM_DEVICE);
		n = kt_take_all();
		KUNIT_EXPECT_GT_MSG(test, n, 0, "%ps", uses[i].use);
		snprintf(title, sizeof(title), "%ps", uses[i].use);
		title[strcspn(title, " ")] = '\0';
		KUNIT_EXPECT_TRUE_MSG(test, strstr(kt_line(0), title),
				      "title '%s' does not name %s", kt_line(0), title);
	}
	timer_delete_sync(&k->timer);
}

static kt_noinline void test_wait_for_timer(struct kept *k)
{
	unsigned long end = jiffies + HZ;

	/* The timer runs on this CPU, in an interrupt of this function. */
	preempt_disable();
	while (READ_ONCE(k->timer.entry.pprev) && time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
}

/* The title of an access in an interrupt does not name the function that was interrupted. */
static void interrupt_title_names_handler_only(struct kunit *test)
{
	struct kept *k = kt_buf(test, 2 * sizeof(*k));
	dma_addr_t dma;
	int n;

	timer_setup(&k->timer, on_timer, 0);
	mod_timer(&k->timer, jiffies + 3);
	/* Only the first of the two: the loop below reads the second. */
	dma = test_dma_map(test, kt_dev, k, sizeof(*k), DMA_TO_DEVICE);
	test_wait_for_timer(k);
	dma_unmap_single(kt_dev, dma, sizeof(*k), DMA_TO_DEVICE);
	timer_delete_sync(&k->timer);
	n = kt_take_all();
	if (!n)
		kunit_skip(test, "the timer did not run on top of the test");
	KUNIT_EXPECT_TRUE_MSG(test, !strstr(kt_line(0), "test_wait_for_timer"),
			      "title '%s'", kt_line(0));
}

#if IS_ENABLED(CONFIG_NET)
static kt_noinline void test_free_later(struct sk_buff *skb)
{
	local_bh_disable();
	dev_kfree_skb_irq(skb);
	local_bh_enable();
	barrier();
}

/* Shared code frees the memory: the title names the function that mapped it. */
static void shared_free_title_names_mapper(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(1600, GFP_KERNEL);
	dma_addr_t dma;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	if (is_kfence_address(skb->head)) {
		kfree_skb(skb);
		kunit_skip(test, "the data are KFENCE's");
	}
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	test_free_later(skb);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has("BUG: DMA_OWNER: free-while-mapped in test_dma_map+0x*"),
			      "title '%s'", kt_line(0));
	KUNIT_EXPECT_TRUE(test, kt_has("This code frees for every driver: *"));
	KUNIT_EXPECT_TRUE(test, kt_has("Free of * bytes at *"));
	dma_unmap_single(kt_dev, dma, 1400, DMA_TO_DEVICE);

	/* The same after the unmap. */
	skb = alloc_skb(1600, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	dma = test_dma_map(test, kt_dev, skb_put(skb, 1400), 1400, DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, 1400, DMA_TO_DEVICE);
	test_free_later(skb);
	EXPECT_SILENCE(test);
}
#else
static void shared_free_title_names_mapper(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_NET");
}
#endif

static kt_noinline kt_unchecked void test_device_writes(u8 *p, size_t size, u8 value)
{
	while (size--)
		WRITE_ONCE(*p++, value);
}

static void expect_line_at(struct kunit *test, const void *addr, const char *rest)
{
	char pattern[160];

	snprintf(pattern, sizeof(pattern), " %lx: %s", ADDR(addr), rest);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(pattern), "no line '%s' in %s", pattern, kt_line(0));
}

/* Reports about bytes show them: what they were and are, or whose they are. */
static void bytes_shown(struct kunit *test)
{
	u8 *buf = kt_buf(test, 100), *object = kt_buf(test, 256);
	char from[32];
	dma_addr_t dma;

	KT_REQUIRES(test, IS_ENABLED(CONFIG_KASAN_GENERIC));

	dma = test_dma_map(test, kt_dev, buf, 100, DMA_FROM_DEVICE);
	test_device_writes(buf + 101, 3, 0xee);
	dma_unmap_single(kt_dev, dma, 100, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "device-overrun", test_dma_map, 100);
	snprintf(from, sizeof(from), "Bytes from %lx on:", ADDR(buf + 101));
	KUNIT_EXPECT_TRUE(test, kt_has(from));
	KUNIT_EXPECT_TRUE(test, kt_has(" was: ?? ?? ??*"));
	KUNIT_EXPECT_TRUE(test, kt_has(" is:  ee ee ee*"));

	kt_set(test, "noncoherent", "64");
	dma = test_dma_map(test, kt_dev, object + 24, 200, DMA_FROM_DEVICE);
	EXPECT_MAP_REPORT(test, "cacheline-sharing", test_dma_map, 200);
	expect_line_at(test, object,
		       "ccccccccccccccccccccccccDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
	expect_line_at(test, object + 192,
		       "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDcccccccccccccccccccccccccccccccc");
	test_dma_write(object + 8, 4);
	EXPECT_REPORT(test, "shared-line-write", test_dma_write, object + 8, 4);
	expect_line_at(test, object,
		       "ccccccccccccccccccccccccDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
	/* " ffff888012345600: ", and 8 bytes. */
	snprintf(from, sizeof(from), "%*s", (int)(2 * sizeof(long) + 3 + 8 + 4), "^^^^");
	KUNIT_EXPECT_TRUE(test, kt_has(from));
	dma_unmap_single(kt_dev, dma, 200, DMA_FROM_DEVICE);
}

/* === Calls that match no mapping ========================================== */

static kt_noinline void test_unmap_twice(dma_addr_t dma, size_t size)
{
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, dma, size, DMA_FROM_DEVICE);
}

static kt_noinline void test_sync_nothing(dma_addr_t dma, size_t size)
{
	dma_sync_single_for_cpu(kt_dev, dma, size, DMA_FROM_DEVICE);
}

/* The unmap of one buffer was given the address of another. */
static void unmatched_call_shown(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE), *other = kt_buf(test, SIZE);
	u32 saved = kt_quiet_dma_debug();
	dma_addr_t dma, wrong;

	kt_set(test, "off_types", "never-mapped");
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	wrong = test_dma_map(test, kt_dev, other, SIZE, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf, 1);
	KUNIT_EXPECT_FALSE(test, kt_has("* matched no mapping, *"));

	test_unmap_twice(wrong, SIZE);
	EXPECT_READ_TRAPS(test, buf, 1);
	KUNIT_EXPECT_TRUE(test, kt_has(" An unmap of dma 0x* matched no mapping, * ms ago in test_unmap_twice+0x*"));
	KUNIT_EXPECT_FALSE(test, kt_has(" A sync of *"));

	test_sync_nothing(wrong, SIZE);
	EXPECT_READ_TRAPS(test, buf, 1);
	KUNIT_EXPECT_TRUE(test, kt_has(" A sync of dma 0x* matched no mapping, * ms ago in test_sync_nothing+0x*"));
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);

	/* A call before the map does not count, nor one for another device. */
	dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	EXPECT_READ_TRAPS(test, buf, 1);
	KUNIT_EXPECT_FALSE(test, kt_has("* matched no mapping, *"));
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
	dma = test_dma_map(test, kt_dev2, buf, SIZE, DMA_FROM_DEVICE);
	test_unmap_twice(wrong, SIZE);
	EXPECT_READ_TRAPS(test, buf, 1);
	KUNIT_EXPECT_FALSE(test, kt_has("* matched no mapping, *"));
	dma_unmap_single(kt_dev2, dma, SIZE, DMA_FROM_DEVICE);
	kt_unquiet_dma_debug(saved);
}

/* The missing call may be the unmap, as on an error path. */
static void access_hint_names_missing_unmap(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, dir);

	if (dir != DMA_TO_DEVICE) {
		EXPECT_READ_TRAPS(test, buf, 1);
		KUNIT_EXPECT_TRUE(test, kt_has("Hint: *; if the transfer is over, the unmap is missing."));
	}
	EXPECT_WRITE_TRAPS(test, buf, 1);
	KUNIT_EXPECT_TRUE(test, kt_has(dir == DMA_TO_DEVICE ?
				       "Hint: *; if the transfer is over, unmap the buffer before this write." :
				       "Hint: *; if the transfer is over, the unmap is missing."));
	KUNIT_EXPECT_EQ(test, kt_has("Hint: wait until the device is done *, or use a second buffer; *"),
			dir == DMA_TO_DEVICE);
	dma_unmap_single(kt_dev, dma, SIZE, dir);
}

/* Machines compare titles: nothing volatile may be in them. */
static void same_fault_same_title(struct kunit *test)
{
	enum dma_data_direction dir = dir_of(test);
	static char first[256];
	u8 *buf = kt_buf(test, 512);
	dma_addr_t dma;

	dma = test_dma_map(test, kt_dev, buf, 512, dir);
	EXPECT_WRITE_TRAPS(test, buf + 8, 4);
	strscpy(first, kt_line(0), sizeof(first));
	dma_unmap_single(kt_dev, dma, 512, dir);

	dma = test_dma_map(test, kt_dev2, buf + 64, 128, dir);
	EXPECT_WRITE_TRAPS(test, buf + 128, 4);
	KUNIT_EXPECT_STREQ(test, kt_line(0), first);
	dma_unmap_single(kt_dev2, dma, 128, dir);
}

/* === Duplicates and limits ================================================ */

static kt_noinline void test_other_write(u8 *p)
{
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(*p, 1);
}

static void duplicate_not_shown(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	long all = dma_owner_debug_count("reports_cpu_write");
	long shown = dma_owner_debug_count("reports_shown");
	long dropped = dma_owner_debug_count("reports_deduplicated");
	int i;

	kt_set(test, "strict", "1");
	kt_set(test, "dedup", "1");
	test_dma_write(buf, 1);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 1);
	for (i = 0; i < 9; i++)
		EXPECT_WRITE_OK(test, buf + i, 1);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_write"), all + 10);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_shown"), shown + 1);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_deduplicated"), dropped + 9);

	/* Another place in the code is another report. */
	test_other_write(buf);
	EXPECT_REPORT(test, "cpu-write", test_other_write, buf, 1);
	test_other_write(buf);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);

	/* The same two places again, whatever the buffer: nothing new. */
	dma = test_dma_map(test, kt_dev2, buf + 512, 64, DMA_TO_DEVICE);
	EXPECT_WRITE_OK(test, buf + 512, 1);

	/* Writing the parameter, also the same value, forgets what was seen. */
	kt_set(test, "dedup", "1");
	test_dma_write(buf + 512, 1);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf + 512, 1);
	EXPECT_WRITE_OK(test, buf + 512, 1);
	dma_unmap_single(kt_dev2, dma, 64, DMA_TO_DEVICE);
}

/* As a compiler unrolls a copy: several instructions, one fault. */
static kt_noinline void test_unrolled(u8 *p)
{
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[0], 1);
	WRITE_ONCE(p[8], 1);
	WRITE_ONCE(p[16], 1);
	WRITE_ONCE(p[24], 1);
}

static kt_noinline void test_write_here(u8 *p)
{
	test_dma_write(p, 1);
	barrier();
}

/* Not the same code: gcc merges functions that are alike. */
static kt_noinline void test_write_there(u8 *p)
{
	test_dma_write(p, 1);
	barrier_data(p);
}

static kt_noinline dma_addr_t test_map_there(struct kunit *test, u8 *p)
{
	dma_addr_t dma = test_dma_map(test, kt_dev, p, 64, DMA_FROM_DEVICE);

	OPTIMIZER_HIDE_VAR(dma);
	return dma;
}

/* The same functions are one fault; the same helper with another caller is another fault. */
static void duplicate_by_function_not_shown(struct kunit *test)
{
	struct platform_device *pdev;
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_FROM_DEVICE);

	kt_set(test, "dedup", "1");
	test_unrolled(buf);
	EXPECT_REPORT(test, "cpu-write", test_unrolled, buf, 1);
	test_write_here(buf);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 1);
	test_write_there(buf);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 1);
	test_write_here(buf);
	test_write_there(buf);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);

	/* The same helper maps it, for another caller. */
	dma = test_map_there(test, buf);
	test_write_here(buf);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 1);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);

	/* Another driver. */
	pdev = platform_device_register_simple("dma_owner_nobody", 0, NULL, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pdev));
	KUNIT_EXPECT_EQ(test, dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	dma = test_dma_map(test, &pdev->dev, buf, 64, DMA_FROM_DEVICE);
	test_write_here(buf);
	EXPECT_REPORT(test, "cpu-write", test_dma_write, buf, 1);
	test_write_here(buf);
	EXPECT_SILENCE(test);
	dma_unmap_single(&pdev->dev, dma, 64, DMA_FROM_DEVICE);
	platform_device_unregister(pdev);
}

/* A report that the burst limit dropped is shown when the fault comes again. */
static void ratelimited_report_shown_later(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	long limited = dma_owner_debug_count("reports_ratelimited");

	kt_set(test, "dedup", "1");
	kt_set(test, "report_burst", "1");
	EXPECT_WRITE_TRAPS(test, buf, 1);
	test_other_write(buf);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_ratelimited"), limited + 1);
	kt_set(test, "report_burst", "0");
	test_other_write(buf);
	EXPECT_REPORT(test, "cpu-write", test_other_write, buf, 1);
	test_other_write(buf);
	EXPECT_SILENCE(test);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

#define AT_ONCE	20

static int write_often(void *p)
{
	int i;

	for (i = 0; i < AT_ONCE; i++)
		test_dma_write(p, 1);
	return 0;
}

/* Each report is whole, whichever CPU prints it; one that found no buffer is counted. */
static void reports_of_two_cpus_whole(struct kunit *test)
{
	long shown = dma_owner_debug_count("reports_shown");
	long dropped = dma_owner_debug_count("reports_no_buffer");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_FROM_DEVICE);
	struct kt_thread thread;
	int n;

	kt_thread_start(&thread, write_often, buf);
	write_often(buf + 64);
	KUNIT_EXPECT_EQ(test, kt_thread_join(&thread), 0);
	n = kt_take_all();
	shown = dma_owner_debug_count("reports_shown") - shown;
	dropped = dma_owner_debug_count("reports_no_buffer") - dropped;
	KUNIT_EXPECT_EQ(test, n, shown);
	KUNIT_EXPECT_EQ(test, shown + dropped, 2 * AT_ONCE);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_FROM_DEVICE);
}

/* The clocks of two CPUs differ a little: the difference must not be negative, or 584 years. */
static void clock_difference_never_negative(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, dod_ago(10, 3), 7);
	KUNIT_EXPECT_EQ(test, dod_ago(3, 3), 0);
	KUNIT_EXPECT_EQ(test, dod_ago(3, 10), 0);
	KUNIT_EXPECT_EQ(test, dod_ago(0, U64_MAX), 1);
}

static void dedup_off_duplicates_shown(struct kunit *test)
{
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 5; i++)
		EXPECT_WRITE_TRAPS(test, buf, 1);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static void burst_limit_stops_reports(struct kunit *test)
{
	long limited = dma_owner_debug_count("reports_ratelimited");
	long shown = dma_owner_debug_count("reports_shown");
	long all = dma_owner_debug_count("reports_cpu_write");
	u8 *buf = kt_buf(test, SIZE);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, SIZE, DMA_TO_DEVICE);
	int i;

	kt_set(test, "strict", "1");
	kt_set(test, "report_burst", "3");
	for (i = 0; i < 10; i++)
		test_dma_write(buf, 1);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 3);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_shown"), shown + 3);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_ratelimited"), limited + 7);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_write"), all + 10);
	kt_set(test, "report_burst", "0");
	for (i = 0; i < 4; i++)
		EXPECT_WRITE_TRAPS(test, buf, 1);
	dma_unmap_single(kt_dev, dma, SIZE, DMA_TO_DEVICE);
}

static void accesses_counted_by_type(struct kunit *test)
{
	long reads = dma_owner_debug_count("reports_cpu_read");
	long writes = dma_owner_debug_count("reports_cpu_write");
	long allowed = dma_owner_debug_count("allowed_reads");
	u8 *in = kt_buf(test, 64), *out = kt_buf(test, 64);
	dma_addr_t in_dma = test_dma_map(test, kt_dev, in, 64, DMA_FROM_DEVICE);
	dma_addr_t out_dma = test_dma_map(test, kt_dev, out, 64, DMA_TO_DEVICE);
	int i;

	for (i = 0; i < 3; i++)
		EXPECT_READ_TRAPS(test, in, 8);
	for (i = 0; i < 2; i++)
		EXPECT_WRITE_TRAPS(test, in, 8);
	for (i = 0; i < 5; i++)
		EXPECT_READ_OK(test, out, 8);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_read"), reads + 3);
	KUNIT_EXPECT_EQ(test, dma_owner_debug_count("reports_cpu_write"), writes + 2);
	/* Other drivers may have legal readers of their own. */
	KUNIT_EXPECT_GE(test, dma_owner_debug_count("allowed_reads"), allowed + 5);
	dma_unmap_single(kt_dev, in_dma, 64, DMA_FROM_DEVICE);
	dma_unmap_single(kt_dev, out_dma, 64, DMA_TO_DEVICE);
}

/* A report fails the running test, so that the tests of other drivers gain the check. */
static void report_fails_running_test(struct kunit *test)
{
	u8 *buf = kt_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_TO_DEVICE);
	int off, on;

	kt_set(test, "strict", "1");
	test_dma_write(buf, 1);
	off = READ_ONCE(test->status);
	kt_set(test, "kunit_fail", "1");
	test_dma_read(buf, 1);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	test_dma_write(buf, 1);
	on = READ_ONCE(test->status);
	/* The tool set this status: it is what the test expects. */
	WRITE_ONCE(test->status, KUNIT_SUCCESS);
	kt_set(test, "kunit_fail", "0");
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_EQ(test, off, (int)KUNIT_SUCCESS);
	KUNIT_EXPECT_EQ(test, on, (int)KUNIT_FAILURE);
	dma_unmap_single(kt_dev, dma, 64, DMA_TO_DEVICE);
}

static struct kunit_case report_cases[] = {
	KUNIT_CASE(write_reported_line_by_line),
	KUNIT_CASE(read_of_part_reported_line_by_line),
	KUNIT_CASE(memcpy_title_names_caller),
	KUNIT_CASE(inline_title_names_caller),
	KUNIT_CASE(kernel_helper_title_names_driver),
	KUNIT_CASE(interrupt_title_names_handler_only),
	KUNIT_CASE(shared_free_title_names_mapper),
	KUNIT_CASE(bytes_shown),
	KUNIT_CASE(unmatched_call_shown),
	DIRECTION_CASE(access_hint_names_missing_unmap),
	DIRECTION_CASE(same_fault_same_title),
	KUNIT_CASE(duplicate_not_shown),
	KUNIT_CASE(duplicate_by_function_not_shown),
	KUNIT_CASE(ratelimited_report_shown_later),
	KUNIT_CASE(reports_of_two_cpus_whole),
	KUNIT_CASE(clock_difference_never_negative),
	KUNIT_CASE(dedup_off_duplicates_shown),
	KUNIT_CASE(burst_limit_stops_reports),
	KUNIT_CASE(accesses_counted_by_type),
	KUNIT_CASE(report_fails_running_test),
	{}
};

KT_SUITE(report);
