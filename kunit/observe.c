// SPDX-License-Identifier: GPL-2.0
/*
 * The ground the KUnit suites stand on: devices, buffers, accesses, and the
 * observer that collects whole reports from the kernel log, line by line,
 * through the console tracepoint (as mm/kfence/kfence_test.c does).
 *
 * Locks: seen.lock is taken inside printk, in any context, and nests nothing.
 */

#include <linux/debugfs.h>
#include <linux/glob.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "dod_test.h"
#include "one_access.h"

/* === Observer ============================================================= */

#define REPORTS_KEPT	4
#define LINES_KEPT	128
#define LINE_LENGTH	512

struct seen_report {
	int nlines;
	char line[LINES_KEPT][LINE_LENGTH];
};

static struct {
	raw_spinlock_t lock;
	/* Who printed a bar last; a title counts only directly below a bar. */
	struct task_struct *bar_by;
	/* Whose report is being read; lines of other tasks in between are not its. */
	struct task_struct *reporter;
	int nreports;	/* Complete ones since the last check, kept or not. */
	int nraces;	/* What KCSAN said of the guard's own accesses. */
	struct seen_report report[REPORTS_KEPT];
	char note[512];	/* The tool's last line outside of a report. */
} seen = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(seen.lock),
};

/* The report that kt_take_report() or kt_take_all() took last. */
static struct seen_report taken;

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static bool is_bar(const char *text, size_t len)
{
	return starts_with(text, len, "==============================");
}

static void keep_line(const char *text, size_t len)
{
	struct seen_report *r;

	if (seen.nreports >= REPORTS_KEPT)
		return;
	r = &seen.report[seen.nreports];
	/* A hint is one line for the tests, however it is broken. */
	if (r->nlines && starts_with(text, len, "      ") &&
	    strstarts(r->line[r->nlines - 1], "Hint: ")) {
		char *last = r->line[r->nlines - 1];
		size_t had = strlen(last);

		strscpy(last + had, text + 5, min(len - 5 + 1, LINE_LENGTH - had));
		return;
	}
	if (r->nlines < LINES_KEPT)
		strscpy(r->line[r->nlines++], text, min(len + 1, (size_t)LINE_LENGTH));
}

/* @text is not NUL-terminated. Unused without CONFIG_TRACEPOINTS. */
static void __maybe_unused probe_console(void *ignore, const char *text, size_t len)
{
	unsigned long flags;

	while (len && text[len - 1] == '\n')
		len--;

	raw_spin_lock_irqsave(&seen.lock, flags);
	if (starts_with(text, len, "BUG: KCSAN: ") &&
	    strnstr(text, "dma_owner_device_access", len))
		seen.nraces++;
	if (seen.reporter) {
		if (seen.reporter == current) {
			keep_line(text, len);
			if (is_bar(text, len)) {
				seen.reporter = NULL;
				WRITE_ONCE(seen.nreports, seen.nreports + 1);
			}
		}
	} else if (is_bar(text, len)) {
		seen.bar_by = current;
	} else if (seen.bar_by == current &&
		   (starts_with(text, len, "BUG: DMA_OWNER: ") ||
		    starts_with(text, len, "BUG: KASAN: "))) {
		if (seen.nreports < REPORTS_KEPT)
			seen.report[seen.nreports].nlines = 0;
		seen.reporter = current;
		seen.bar_by = NULL;
		keep_line(text, len);
	} else if (starts_with(text, len, "dma_owner_debug: ")) {
		strscpy(seen.note, text, min(len + 1, sizeof(seen.note)));
	} else if (seen.bar_by == current) {
		seen.bar_by = NULL;
	}
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

/**
 * kt_reset() - Forget what the log said so far.
 */
void kt_reset(void)
{
	unsigned long flags;

	dma_owner_debug_flush();
	raw_spin_lock_irqsave(&seen.lock, flags);
	seen.nreports = 0;
	seen.nraces = 0;
	seen.reporter = NULL;
	seen.bar_by = NULL;
	seen.note[0] = '\0';
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

/**
 * kt_take_all() - Take every report since the last check.
 *
 * Return: how many there were; the first of them is what kt_line() shows.
 */
int kt_take_all(void)
{
	unsigned long flags;
	int n;

	/* Another CPU may be printing it. */
	dma_owner_debug_flush();
	raw_spin_lock_irqsave(&seen.lock, flags);
	n = seen.nreports;
	taken.nlines = 0;
	if (n)
		memcpy(&taken, &seen.report[0], sizeof(taken));
	else if (seen.reporter)
		n = -1;		/* Begun, never ended. */
	seen.nreports = 0;
	seen.reporter = NULL;
	raw_spin_unlock_irqrestore(&seen.lock, flags);
	return n;
}

/**
 * kt_pending() - Has there been a report since the last check?
 */
bool kt_pending(void)
{
	dma_owner_debug_flush();
	return READ_ONCE(seen.nreports);
}

/**
 * kt_lines() - Number of lines of the report taken last, from its title to its closing bar.
 */
int kt_lines(void)
{
	return taken.nlines;
}

/**
 * kt_line() - A line of the report taken last.
 * @n: number of the line; 0 is the title
 *
 * Return: the line, "" beyond the last one.
 */
const char *kt_line(int n)
{
	return n < taken.nlines ? taken.line[n] : "";
}

/**
 * kt_has() - Does a line of the report taken last match a glob?
 * @pattern: the glob, for the whole line
 */
bool kt_has(const char *pattern)
{
	int i;

	for (i = 0; i < taken.nlines; i++)
		if (glob_match(pattern, taken.line[i]))
			return true;
	return false;
}

/**
 * kt_note() - The tool's last line in the log that was not part of a report.
 */
const char *kt_note(void)
{
	return seen.note;
}

static char why[2 * LINE_LENGTH];

/**
 * kt_take_silence() - Was there no report since the last check?
 *
 * Return: "" if so, else what was there.
 */
const char *kt_take_silence(void)
{
	int n = kt_take_all(), races = xchg(&seen.nraces, 0);

	why[0] = '\0';
	if (n)
		scnprintf(why, sizeof(why), "%d report(s), first: %s / %s", n,
			  kt_line(0), kt_line(2));
	else if (races)
		scnprintf(why, sizeof(why), "%d report(s) of KCSAN's", races);
	return why;
}

/* Does the title name type and function? @want is filled in with what it should be. */
static bool is_title(const char *type, void *fn, char *want, size_t size)
{
	char *module;

	scnprintf(want, size, "BUG: DMA_OWNER: %s in ", type);
	if (!strstarts(kt_line(0), want))
		return false;
	if (!fn)
		return true;
	/* "name [module]": the offset goes in between. */
	scnprintf(want + strlen(want), size - strlen(want), "%ps", fn);
	module = strstr(want, " [");
	if (module && !strstr(kt_line(0), module))
		return false;
	if (module)
		*module = '\0';
	scnprintf(want + strlen(want), size - strlen(want), "+0x");
	return strstarts(kt_line(0), want);
}

/* Was there one report since the last check, with this title and such a third line? */
static const char *take_report(const char *type, void *fn, const char *third)
{
	char want[LINE_LENGTH];
	int n = kt_take_all();

	why[0] = '\0';
	if (n != 1)
		scnprintf(why, sizeof(why), "%d reports instead of one %s in %ps%s%s", n,
			  type, fn, n > 0 ? ", first: " : "", kt_line(0));
	else if (!is_title(type, fn, want, sizeof(want)))
		scnprintf(why, sizeof(why), "title '%s' instead of '%s'", kt_line(0), want);
	else if (!strstarts(kt_line(2), third))
		scnprintf(why, sizeof(why), "third line '%s' instead of '%s'", kt_line(2),
			  third);
	return why;
}

/**
 * kt_take_report() - Was there exactly this one report since the last check?
 * @type: report type, as in the title
 * @fn: function the title must name, NULL for any
 * @addr: address the access line must give
 * @size: size the access line must give
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_report(const char *type, void *fn, const void *addr, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "%s of size %zu at %lx by task ",
		  strstr(type, "read") ? "Read" : "Write", size,
		  (unsigned long)kasan_reset_tag(addr));
	return take_report(type, fn, third);
}

/**
 * kt_take_map_report() - Was there exactly this one report of a map-time check?
 * @type: report type, as in the title
 * @fn: function the title must name, NULL for any
 * @size: size of the mapping
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_map_report(const char *type, void *fn, size_t size)
{
	char third[LINE_LENGTH];

	scnprintf(third, sizeof(third), "Map of size %zu at ", size);
	return take_report(type, fn, third);
}

/**
 * kt_take_free_report() - Was there exactly this one report of memory that is freed?
 * @fn: function the title must name, NULL for any
 * @addr: first byte that is freed
 * @size: how many are
 *
 * Return: "" if so, else what is wrong with it.
 */
const char *kt_take_free_report(void *fn, const void *addr, size_t size)
{
	char third[LINE_LENGTH];
	const char *wrong;

	scnprintf(third, sizeof(third), "Free of %zu bytes at %lx by task ", size,
		  (unsigned long)kasan_reset_tag(addr));
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return take_report("free-while-mapped", fn, third);

	/* What the allocator gave out, which is no less. */
	wrong = take_report("free-while-mapped", fn, "Free of ");
	if (!*wrong && !strstr(kt_line(2), strstr(third, " bytes at ")))
		scnprintf(why, sizeof(why), "third line '%s' instead of '%s'",
			  kt_line(2), third);
	return why;
}

/* === Accesses ============================================================= */

/**
 * test_dma_read() - Read memory with one instrumented load.
 * @p: where
 * @size: 1, 2, 4, 8 or 16
 */
kt_noinline void test_dma_read(const void *p, size_t size)
{
	one_load(p, size);
}

/**
 * test_dma_write() - Write memory with one instrumented store of 0x5a bytes.
 * @p: where
 * @size: 1, 2, 4, 8 or 16
 */
kt_noinline void test_dma_write(void *p, size_t size)
{
	one_store(p, size);
}

/**
 * kt_peek() - Read a byte of a buffer behind the sanitizer's back.
 * @p: where
 */
kt_noinline kt_unchecked u8 kt_peek(const void *p)
{
	return READ_ONCE(*(const u8 *)p);
}

/**
 * kt_shadow() - KASAN's shadow byte of an address, 0 if there is no shadow.
 * @p: the address
 */
kt_noinline kt_unchecked u8 kt_shadow(const void *p)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(*(const u8 *)kasan_mem_to_shadow(p));
#else
	return 0;
#endif
}

/**
 * kt_painted() - Does the shadow byte of an address carry a value of the tool?
 * @p: the address
 */
bool kt_painted(const void *p)
{
	u8 value = kt_shadow(p);

	return (value >= 0xd1 && value <= 0xd6) ||
	       (value > 0x88 && value < 0xa0 && (value & 7));
}

/**
 * kt_first_unclean() - The first granule that is not wholly accessible.
 * @p: the memory, of whole granules
 * @size: its size
 *
 * Return: its offset, -1 if there is none.
 */
int kt_first_unclean(const void *p, int size)
{
	int i;

	for (i = 0; i < size; i += 8)
		if (kt_shadow(p + i))
			return i;
	return -1;
}

/* === Buffers, mappings, parameters ======================================== */

/**
 * kt_buf() - A zeroed kmalloc() buffer that the tool can guard.
 * @test: the test that owns it; it is freed after the test
 * @size: its size
 *
 * KFENCE takes over some kmalloc() calls and the tool leaves its objects alone,
 * so a test that expects a trap would fail now and then.
 */
void *kt_buf(struct kunit *test, size_t size)
{
	void *buf;

	do {
		buf = kunit_kzalloc(test, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	} while (is_kfence_address(buf));
	return buf;
}

static int page_init(struct kunit_resource *res, void *order)
{
	res->data = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP, (unsigned long)order);
	return res->data ? 0 : -ENOMEM;
}

static void page_free(struct kunit_resource *res)
{
	put_page(res->data);
}

/**
 * kt_page() - A zeroed page that is neither slab nor page cache.
 * @test: the test that owns it; it is freed after the test
 * @order: its order
 */
struct page *kt_page(struct kunit *test, unsigned int order)
{
	struct page *page = kunit_alloc_resource(test, page_init, page_free, GFP_KERNEL,
						 (void *)(unsigned long)order);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	return page;
}

/**
 * test_dma_map() - dma_map_single() that must succeed.
 * @test: the running test
 * @dev: the device
 * @buf: the buffer
 * @size: its size
 * @dir: the direction
 *
 * Return: the bus address.
 */
kt_noinline dma_addr_t test_dma_map(struct kunit *test, struct device *dev, void *buf, size_t size,
				    enum dma_data_direction dir)
{
	dma_addr_t dma = dma_map_single(dev, buf, size, dir);

	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	return dma;
}

static bool strict;

/**
 * kt_set() - Set a parameter of the tool; it must take the value.
 * @test: the running test
 * @name: the parameter
 * @val: the value
 */
void kt_set(struct kunit *test, const char *name, const char *val)
{
	KUNIT_ASSERT_EQ_MSG(test, dma_owner_debug_param_set(name, val), 0,
			    "%s=%s", name, val);
	if (!strcmp(name, "strict"))
		strict = !strcmp(val, "1");
}

/**
 * kt_quiet_dma_debug() - Find dma-debug's budget of warnings.
 * @test: the running test
 *
 * dma-debug rightly warns about what a few tests do on purpose, and would put a
 * backtrace into the log of a good run. The test sets the budget to 0 and back.
 *
 * Return: dma-debug's num_errors, NULL if it cannot be reached.
 */
u32 *kt_quiet_dma_debug(struct kunit *test)
{
	struct dentry *dir = debugfs_lookup("dma-api", NULL), *file = NULL;
	u32 *budget = NULL;

	if (dir) {
		file = debugfs_lookup("num_errors", dir);
		dput(dir);
	}
	if (file) {
		budget = d_inode(file)->i_private;
		dput(file);
	}
	return budget;
}

/* Waits to be joined: the module must not go while its code is on the stack. */
static int thread_main(void *arg)
{
	struct kt_thread *t = arg;

	t->ret = t->fn(t->arg);
	complete(&t->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/**
 * kt_thread_start() - Run a function in a kthread.
 * @t: the thread
 * @fn: the function
 * @arg: its argument
 */
void kt_thread_start(struct kt_thread *t, int (*fn)(void *arg), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	init_completion(&t->done);
	t->task = kthread_run(thread_main, t, "dma_owner_kunit");
}

/**
 * kt_thread_join() - Wait for a thread to end.
 * @t: the thread
 *
 * Return: what its function returned, or why it could not be started.
 */
int kt_thread_join(struct kt_thread *t)
{
	if (IS_ERR(t->task))
		return PTR_ERR(t->task);
	wait_for_completion(&t->done);
	kthread_stop(t->task);
	return t->ret;
}

/**
 * kt_dir_desc() - The name of a direction, for parameterised tests.
 * @dir: the direction
 * @desc: where to write it
 */
void kt_dir_desc(const enum dma_data_direction *dir, char *desc)
{
	static const char * const names[] = {
		[DMA_BIDIRECTIONAL] = "bidirectional",
		[DMA_TO_DEVICE] = "to_device",
		[DMA_FROM_DEVICE] = "from_device",
	};

	strscpy(desc, names[*dir], KUNIT_PARAM_DESC_SIZE);
}

/* === Kernels without KASAN ================================================= */

#define NO_TRAPS "Test requires: accesses that trap (CONFIG_KASAN_GENERIC)"
#define NO_SHADOW "Test requires: KASAN's shadow (CONFIG_KASAN_GENERIC)"

/*
 * Cases that cannot be run where accesses do not trap, by suite and name: they make
 * wrong ones themselves, or are about what only the shadow tells.
 */
static const struct {
	const char *glob, *why;
} need_kasan[] = {
	{ "access.tail_shared_with_cpu", NO_SHADOW },
	{ "access.write_goes_ahead", NO_TRAPS },
	{ "access.read_goes_ahead", NO_TRAPS },
	{ "access.atomics", NO_TRAPS },
	{ "access.large_kmalloc", NO_SHADOW },
	{ "copy.*", NO_TRAPS },
	{ "content.written_by_idiom", NO_TRAPS },
	{ "content.written_filtered", NO_TRAPS },
	/* Not of slab memory. */
	{ "content.long_buffer", NO_TRAPS },
	{ "wide.content_changes", NO_TRAPS },
	{ "content.overrun*", NO_SHADOW },
	{ "content.kasan_metadata*", NO_SHADOW },
	{ "content.lost_*", NO_TRAPS },
	{ "context.irq_wrong", NO_TRAPS },
	{ "context.irq_map", NO_TRAPS },
	{ "context.irqs_off", NO_TRAPS },
	{ "filters.by_*", NO_TRAPS },
	{ "idioms.page_table*", NO_TRAPS },
	{ "idioms.bounce_copy", NO_TRAPS },
	{ "pending.*", NO_TRAPS },
	{ "bounced.*", NO_TRAPS },
	{ "stale.tailroom_is_lost", NO_TRAPS },
	{ "stale.other_bytes_given_back", NO_TRAPS },
	{ "stale.list_skips_the_sync", NO_TRAPS },
	{ "lifecycle.neighbour_of_a_long_mapping", NO_SHADOW },
	/* A device must not get the address of the one before. */
	{ "lifecycle.iommu_fault", NO_SHADOW },
	{ "lines.middle_of_an_object", NO_SHADOW },
	{ "lines.start_of_an_object", NO_SHADOW },
	{ "lines.end_of_an_object", NO_SHADOW },
	{ "lines.one_byte", NO_SHADOW },
	{ "lines.other_line_sizes", NO_SHADOW },
	{ "lines.entries_are_checked", NO_SHADOW },
	{ "lines.list_*", NO_SHADOW },
	{ "lines.two_*", NO_SHADOW },
	{ "lines.parts_of_an_object", NO_SHADOW },
	{ "lines.write_beside*", NO_TRAPS },
	{ "lines.edges_of_other_sizes", NO_TRAPS },
	{ "lines.beside_what_goes_to_a_device", NO_SHADOW },
	{ "lines.redzones_stay", NO_SHADOW },
	{ "lines.fill_across", NO_TRAPS },
	{ "lines.real_lines", NO_SHADOW },
	{ "lines.small_and_bounced", NO_SHADOW },
	{ "lines.real_neighbours", NO_SHADOW },
	{ "lines.bad_line_sizes", NO_SHADOW },
	{ "memory.be*", NO_SHADOW },
	{ "memory.from_within_the_object", NO_SHADOW },
	{ "memory.smallest_object", NO_SHADOW },
	{ "memory.rounded_up", NO_SHADOW },
	{ "memory.large_kmalloc", NO_SHADOW },
	{ "memory.shrunk", NO_SHADOW },
	{ "memory.every_direction", NO_SHADOW },
	{ "memory.while_mapped", NO_SHADOW },
	{ "memory.the_bad_entry", NO_SHADOW },
	{ "memory.all_entries", NO_SHADOW },
	{ "memory.freed_*", NO_SHADOW },
	{ "memory.runs_into_freed_page", NO_SHADOW },
	{ "negative.many_live", NO_SHADOW },
	{ "overlap.names_the_right_device", NO_TRAPS },
	{ "overlap.unmap_of_the_other_device", NO_TRAPS },
	{ "overlap.odd_tails", NO_SHADOW },
	{ "pages.alloc_again", NO_SHADOW },
	{ "report.*", NO_TRAPS },
	{ "sg.table", NO_SHADOW },
	{ "sg.report_speaks_of_sg", NO_TRAPS },
	{ "sub_range.parts_merge", NO_SHADOW },
	{ "sub_range.random_ranges", NO_SHADOW },
	{ "sub_range.many_parts", NO_SHADOW },
	{ "sync.odd_size", NO_SHADOW },
};

static const char *suite_name;

static void skip_without_kasan(struct kunit *test)
{
	char name[96];
	int i;

	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return;
	snprintf(name, sizeof(name), "%s.%s", suite_name, test->name);
	for (i = 0; i < ARRAY_SIZE(need_kasan); i++)
		if (glob_match(need_kasan[i].glob, name))
			kunit_skip(test, "%s", need_kasan[i].why);
}

/* === Suites =============================================================== */

struct device *kt_dev, *kt_dev2;

static struct platform_device *pdev[2];
static struct tracepoint *console_tp;

static struct platform_driver kt_driver = {
	.driver.name = KT_NAME,
};

static const struct {
	const char *name, *for_tests, *by_default;
} params[] = {
	{ "fault", "report", "report" },
	{ "strict", "0", "0" },
	{ "trap_user", "0", "0" },
	{ "off_types", "", "" },
	{ "off_drivers", "", "" },
	{ "off_devices", "", "" },
	{ "dedup", "0", "1" },
	{ "report_burst", "0", "20" },
	{ "kunit_fail", "0", "1" },
	{ "noncoherent", "0", "0" },
	{ "wires", "", "" },
	{ "content", "on", "on" },
	{ "content_sample", "16", "16" },
	{ "untested_after", "60", "60" },
	{ "pending_after", "60", "60" },
	{ "content_max", "4096", "4096" },
	{ "watch_writes", "0", "64" },
	{ "canary", "0", "0" },
	{ "watch_cpu", "20", "20" },
	{ "watch_recent", "75", "75" },
};

/**
 * kt_write_strictly() - A write that is reported at once, whatever comes later.
 * @p: first byte
 * @size: bytes
 *
 * Without strict=1, a write to what a device only reads is pending (rule 4).
 */
kt_noinline void kt_write_strictly(void *p, size_t size)
{
	dma_owner_debug_param_set("strict", "1");
	test_dma_write(p, size);
	dma_owner_debug_param_set("strict", strict ? "1" : "0");
}

static void find_console(struct tracepoint *tp, void *ignore)
{
	if (!strcmp(tp->name, "console"))
		console_tp = tp;
}

static struct device *add_device(int id)
{
	struct platform_device *p = platform_device_register_simple(KT_NAME, id, NULL, 0);
	int err;

	if (IS_ERR(p))
		return ERR_CAST(p);
	pdev[id] = p;
	err = dma_coerce_mask_and_coherent(&p->dev, DMA_BIT_MASK(64));
	return err ? ERR_PTR(err) : &p->dev;
}

/**
 * kt_suite_init() - Set up the observer, the devices and the tool's parameters.
 * @suite: the suite
 *
 * Return: 0, or a negative errno, which fails the suite.
 */
int kt_suite_init(struct kunit_suite *suite)
{
	int i, err;

	suite_name = suite->name + strlen("dma_owner_");
	for_each_kernel_tracepoint(find_console, NULL);
	if (!console_tp)
		return -ENOENT;
	err = tracepoint_probe_register(console_tp, probe_console, NULL);
	if (err)
		return err;
	err = dod_test_driver_register(&kt_driver);
	if (err)
		goto no_driver;
	kt_dev = add_device(0);
	kt_dev2 = add_device(1);
	err = PTR_ERR_OR_ZERO(kt_dev) ?: PTR_ERR_OR_ZERO(kt_dev2);
	for (i = 0; !err && i < ARRAY_SIZE(params); i++)
		err = dma_owner_debug_param_set(params[i].name, params[i].for_tests);
	if (!err)
		return 0;

	/* suite_exit() is called only by some kernels when suite_init() failed. */
	for (i = 0; i < ARRAY_SIZE(pdev); i++)
		platform_device_unregister(pdev[i]);
	memset(pdev, 0, sizeof(pdev));
	platform_driver_unregister(&kt_driver);
no_driver:
	tracepoint_probe_unregister(console_tp, probe_console, NULL);
	tracepoint_synchronize_unregister();
	console_tp = NULL;
	return err;
}

/**
 * kt_suite_exit() - Undo kt_suite_init(); the parameters get their defaults.
 * @suite: the suite
 */
void kt_suite_exit(struct kunit_suite *suite)
{
	int i;

	if (!console_tp)
		return;
	for (i = 0; i < ARRAY_SIZE(params); i++)
		dma_owner_debug_param_set(params[i].name, params[i].by_default);
	for (i = 0; i < ARRAY_SIZE(pdev); i++)
		platform_device_unregister(pdev[i]);
	memset(pdev, 0, sizeof(pdev));
	platform_driver_unregister(&kt_driver);
	tracepoint_probe_unregister(console_tp, probe_console, NULL);
	tracepoint_synchronize_unregister();
	console_tp = NULL;
}

/**
 * kt_traps() - Does an access to what a device owns trap at once?
 * @test: the test that asks; if not, it counts as skipped, though it goes on
 */
bool kt_traps(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return true;
	if (test->status == KUNIT_SUCCESS)
		kunit_mark_skipped(test, NO_TRAPS);
	return false;
}

/**
 * kt_test_init() - Start a test with known parameters and an empty log.
 * @test: the test
 *
 * Return: 0, or a negative errno, which fails the test.
 */
int kt_test_init(struct kunit *test)
{
	int i, err = 0;

	skip_without_kasan(test);
	for (i = 0; !err && i < ARRAY_SIZE(params); i++)
		err = dma_owner_debug_param_set(params[i].name, params[i].for_tests);
	strict = false;
	/* The rules are those of a coherent device, until a test says otherwise. */
	dod_set_coherent(kt_dev, true);
	dod_set_coherent(kt_dev2, true);
	kt_reset();
	return err;
}

/**
 * kt_test_exit() - A report that the test did not ask about fails it.
 * @test: the test
 */
void kt_test_exit(struct kunit *test)
{
	EXPECT_SILENCE(test);
}

kunit_test_suites(&kt_access_suite, &kt_copy_suite, &kt_never_trap_suite,
		  &kt_user_pages_suite, &kt_sync_suite, &kt_sub_range_suite,
		  &kt_skip_cpu_sync_suite, &kt_pages_suite, &kt_overlap_suite,
		  &kt_wide_suite, &kt_sg_suite, &kt_report_suite,
		  &kt_filters_suite, &kt_params_suite, &kt_ignored_suite,
		  &kt_idioms_suite, &kt_native_suite, &kt_context_suite,
		  &kt_negative_suite, &kt_lines_suite, &kt_masks_suite,
		  &kt_memory_suite, &kt_content_suite, &kt_lifecycle_suite, &kt_pending_suite,
		  &kt_stale_suite, &kt_bounced_suite, &kt_harm_suite, &kt_rmw_suite,
		  &kt_dmabuf_suite);

/* Where KASAN's exports for tests are; older kernels export them to all. */
MODULE_INFO(import_ns, "EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit suites of dma_owner_debug");
