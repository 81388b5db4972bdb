// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that accesses for the devices what they own, and the parser of what KCSAN then
 * prints about races with it. guard/kcsan.c says how a watch and an unmap meet.
 *
 * seen.lock protects what was read of KCSAN's report. It is taken inside printk(), in any
 * context but NMI, with any lock of the kernel held, and nests nothing.
 */
#include "../base/compat.h"
#include "../base/memory.h"
#include "../base/params.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../guard/kcsan.h"
#include "../judge/access.h"
#include "../owner/owner.h"
#include "../report/report.h"
#include "attach.h"

#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kcsan-checks.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sched/clock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

/* Calls with interrupts off; KCSAN takes one in some thousand (kcsan.skip_watch). */
#define BATCH		64
/* The thread works so long, and then rests as long as its share demands. */
#define SLICE		(1ULL * NSEC_PER_MSEC)
#define LONGEST_REST	(100U * USEC_PER_MSEC)
#define IDLE_REST	(5U * USEC_PER_MSEC)
/*
 * So long no race is reported around a wait that was given up: a report of KCSAN's takes less,
 * on any console.
 */
#define INVALID_TIME	(10ULL * NSEC_PER_SEC)
/* Of KASAN, and of what copying code rounds up to. */
#define GRANULE		8ULL

static struct task_struct *watcher;

/* === What KCSAN prints ==================================================== */

/* The thread's function, as in KCSAN's titles: race in <this> / <the driver's>. */
#define DEVICE_ACCESS "dma_owner_device_access"

static struct {
	raw_spinlock_t lock;
	/* Who printed a bar last, and whose report is being read. */
	const struct task_struct *bar_by, *reporter;
	bool ours;		/* it is about an access of the thread's */
	bool in_access;		/* and the lines that come are about the CPU's access */
	bool complete;		/* @race is, and was not reported yet */
	struct dod_race race;
	char line[256];
	unsigned long unknown;	/* where something of unknown origin wrote */
} seen = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(seen.lock),
};

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(text, prefix, strlen(prefix));
}

static bool is_bar(const char *text, size_t len)
{
	static const char bar[] =
		"==================================================================";

	return len == sizeof(bar) - 1 && !memcmp(text, bar, len);
}

/* In interrupt context, when KCSAN has released its lock. */
static void on_unknown(struct irq_work *work)
{
	unsigned long addr = READ_ONCE(seen.unknown);
	struct dod_mapping m;
	struct dod_range range;
	u64 phys;

	if (!READ_ONCE(dod_armed) || !virt_addr_valid((void *)addr))
		return;
	phys = virt_to_phys((void *)addr);
	if (!dod_owner_find(phys, false, &m, &range))
		return;
	pr_err("the unknown origin is this device, if not code that KCSAN does not see:\n");
	dod_report_annotate(&m, phys);
	dod_count(DOD_C_KCSAN_ANNOTATED);
}

static DEFINE_IRQ_WORK(unknown_work, on_unknown);

/* "<kind of access> to 0x<address> of <n> bytes by <task n or interrupt> on cpu <n>:" */
static void read_access(const char *line)
{
	const char *to = strstr(line, " to 0x"), *by = strstr(line, " bytes by ");
	struct dod_race *r = &seen.race;

	/* The thread's own, or a check that nobody else uses memory, as before a free. */
	if (strstarts(line, "assert ") || !to || !by ||
	    sscanf(to, " to 0x%lx of %zu bytes", &r->addr, &r->size) != 2)
		return;
	r->write = !strstarts(line, "read ");
	r->pid = -1;
	r->cpu = 0;
	if (sscanf(by, " bytes by task %d on cpu %d", &r->pid, &r->cpu) != 2)
		sscanf(by, " bytes by interrupt on cpu %d", &r->cpu);
	r->nr_frames = 0;
	seen.in_access = true;
}

static void read_line(const char *line)
{
	static const char unknown[] = "race at unknown origin, with ";
	struct dod_race *r = &seen.race;

	if (strstarts(line, unknown)) {
		const char *to = strstr(line, " to 0x");

		if (to && sscanf(to, " to 0x%lx", &seen.unknown) == 1)
			irq_work_queue(&unknown_work);
		seen.reporter = NULL;
	} else if (!seen.ours) {
		return;
	} else if (strstr(line, " bytes by ")) {
		read_access(line);
	} else if (!line[0]) {
		seen.in_access = false;
	} else if (seen.in_access && line[0] == ' ' && line[1] != ' ' &&
		   r->nr_frames < DOD_RACE_FRAMES) {
		strscpy(r->frames[r->nr_frames++], line + 1, DOD_RACE_CHARS);
	}
}

static void read_text(const char *text, size_t len)
{
	if (is_bar(text, len)) {
		if (seen.reporter == current) {
			seen.reporter = NULL;
			seen.complete |= seen.ours;
		} else {
			seen.bar_by = current;
		}
	} else if (seen.reporter == current) {
		memcpy(seen.line, text, min(len, sizeof(seen.line) - 1));
		seen.line[min(len, sizeof(seen.line) - 1)] = '\0';
		read_line(seen.line);
	} else if (seen.bar_by == current &&
		   starts_with(text, len, "BUG: KCSAN: ") && !seen.complete) {
		seen.reporter = current;
		seen.bar_by = NULL;
		seen.in_access = false;
		seen.ours = strnstr(text, DEVICE_ACCESS, len);
		if (seen.ours) {
			seen.race.nr_frames = 0;
			seen.race.when = local_clock();
		}
	}
}

/* Tracepoint console, for each line of the log; @text is not terminated. */
static void on_console(void *data, const char *text, size_t len)
{
	unsigned long flags;

	if (!dod_may_lock())
		return;
	while (len && text[len - 1] == '\n')
		len--;
	/* Others print without waiting for one another. */
	if (likely(READ_ONCE(seen.reporter) != current && !starts_with(text, len, "=====") &&
		   !starts_with(text, len, "BUG: KCSAN: ")))
		return;
	if (current == READ_ONCE(watcher) && is_bar(text, len))
		WRITE_ONCE(dod_kcsan_watch.printing, true);
	raw_spin_lock_irqsave(&seen.lock, flags);
	read_text(text, len);
	raw_spin_unlock_irqrestore(&seen.lock, flags);
}

/* === Races ================================================================ */

/* All of these are the thread's alone. */
static struct rnd_state rnd;
static struct dod_mapping mapping;
static struct dod_range range;
static struct dod_race race;

/* Did a device own the memory when KCSAN began to report the access? */
static bool was_owned(u64 phys)
{
	if (!dod_owner_find_mapping(NULL, phys, 0, &mapping) || mapping.map.when > race.when ||
	    (mapping.sync_len && mapping.sync.when > race.when) ||
	    (mapping.has_ended && mapping.ended < race.when) ||
	    (mapping.dir == DMA_TO_DEVICE && !race.write))
		return false;
	range.start = mapping.start;
	range.last = mapping.last;
	range.dir = mapping.dir;
	range.state = DOD_OWNED;
	return true;
}

/* Somebody did not wait for the end of a watch, and it may have been this one. */
static bool is_invalid(void)
{
	u64 given_up = READ_ONCE(dod_kcsan_watch.given_up);

	return given_up && race.when + INVALID_TIME > given_up &&
	       race.when < given_up + INVALID_TIME;
}

static bool next_race(void)
{
	unsigned long flags;
	bool complete;

	raw_spin_lock_irqsave(&seen.lock, flags);
	complete = seen.complete;
	if (complete)
		race = seen.race;
	seen.complete = false;
	raw_spin_unlock_irqrestore(&seen.lock, flags);
	return complete;
}

/* [start, last] is where @mapping was watched; empty if it was not just now. */
static void report_race(u64 start, u64 last)
{
	u64 phys;

	if (!next_race() || !READ_ONCE(dod_armed))
		return;
	if (is_invalid()) {
		dod_count(DOD_C_TRAPS_TOO_LATE);
		return;
	}
	if (!race.nr_frames) {
		/* A free that has no tracepoint checks that nobody uses the memory. */
		if (start <= last) {
			dod_report_annotate(&mapping, start);
			dod_count(DOD_C_KCSAN_ANNOTATED);
		}
		return;
	}
	phys = virt_to_phys((void *)race.addr);
	/* A race with an earlier watch, that another CPU has reported. */
	if ((phys > last || phys + race.size <= start) && !was_owned(phys)) {
		dod_count(DOD_C_TRAPS_TOO_LATE);
		return;
	}
	/* Rule 4: it may be synced yet. If not, its content tells at the end. */
	if (race.write && range.dir == DMA_TO_DEVICE && !READ_ONCE(dod_params.strict)) {
		dod_count(DOD_C_RACES_PENDING);
		return;
	}
	if (race.write)
		dod_owner_seen_write(phys, race.size);
	if (!dod_owner_excuse(phys, &mapping))
		dod_access_race(&race, &mapping, &range);
}

/* === What to watch ======================================================== */

static u64 below(u64 limit)
{
	u64 r = prandom_u32_state(&rnd);

	return limit > U32_MAX ? r : (r * limit) >> 32;
}

/*
 * KCSAN itself remembers an access by its first page, and finds it from there and from the
 * next one.
 */
static void shorten(u64 *start, u64 *last)
{
	u64 size = *last - *start + 1;

	/* Of a long one, the page of any byte and the next. */
	if (size > PAGE_SIZE)
		*start = max(*start, round_down(*start + below(size), PAGE_SIZE));
	*last = min(*last, (*start | (PAGE_SIZE - 1)) + PAGE_SIZE);
}

/* Each mapping in its turn. */
static bool pick_any(u64 *start, u64 *last)
{
	static unsigned int shard, skip;
	static u64 at;
	struct dod_sum sum;

	if (!dod_owner_next(&shard, &at, &skip, &mapping, &sum)) {
		shard = 0;
		skip = 0;
		at = 0;
		return false;
	}
	*start = mapping.start;
	*last = mapping.last;
	return sum.owned;
}

static bool pick(u64 *start, u64 *last)
{
	if (below(100) >= READ_ONCE(dod_params.watch_recent))
		return pick_any(start, last);
	return dod_kcsan_recent(below(nr_cpu_ids), below(DOD_KCSAN_RECENT), start, last);
}

/*
 * Code that copies rounds up the length that was synced for the CPU, and so reads some bytes
 * that the device still owns, and ignores them (atlantic, fm10k, wangxun). As in KASAN's guard,
 * bytes that share a granule with the rest of their mapping do not count.
 */
static void leave_granules(u64 *start, u64 *last)
{
	if (range.start > mapping.start)
		*start = max(*start, round_up(range.start, GRANULE));
	if (range.last < mapping.last)
		*last = min(*last, round_down(range.last + 1, GRANULE) - 1);
}

/* Would a race there be filtered? KCSAN prints its own report in any case. */
static bool is_filtered(const struct dod_device *device, u8 dir)
{
	return dod_report_is_filtered(DOD_R_CPU_WRITE, device) ||
	       (dir != DMA_TO_DEVICE && dod_report_is_filtered(DOD_R_CPU_READ, device));
}

/* May what a device owns be watched, and how much of it? */
static bool is_fit(u64 start, u64 *last)
{
	u64 phys;

	if (start > *last || (range.dir == DMA_TO_DEVICE && dod_memory_may_change(start)))
		return false;
	for (phys = start; phys <= *last; phys = dod_page_end(phys, *last) + 1) {
		if (dod_memory_can_trap(phys))
			continue;
		if (phys == start)
			return false;
		*last = phys - 1;
	}
	/*
	 * KCSAN compares the value of 1, 2, 4 and 8 bytes as well, and would find that the
	 * device has written, as it should.
	 */
	if (*last - start + 1 == 4 || *last - start + 1 == 8)
		--*last;
	return *last - start + 1 > 2 && dod_access_is_watchable(&mapping, range.dir);
}

/* === The thread =========================================================== */

/* The device's access. Not inlined: KCSAN names it. */
static noinline __noclone void dma_owner_device_access(const void *memory, size_t size, int type)
{
	unsigned int i;

	for (i = 0; i < BATCH && !READ_ONCE(dod_kcsan_watch.printing) &&
	     !READ_ONCE(dod_kcsan_watch.wanted); i++)
		__kcsan_check_access(memory, size, type);
}

/*
 * Interrupts are off, and [start, *last] is announced. Returns whether @device owns some of it
 * in direction @dir, and where it was watched: nowhere if *start > *last.
 */
static bool watch_announced(const struct dod_device *device, u8 dir, u64 *start, u64 *last)
{
	if (!dod_owner_find_guardable(*start, last, &mapping, &range) ||
	    mapping.device != device || range.dir != dir)
		return false;
	leave_granules(start, last);
	if (is_fit(*start, last)) {
		dod_count(DOD_C_WATCHES);
		dma_owner_device_access(phys_to_virt(*start), *last - *start + 1,
					KCSAN_ACCESS_ASSERT |
					(dir == DMA_TO_DEVICE ? 0 : KCSAN_ACCESS_WRITE));
	} else {
		dod_count(DOD_C_WATCHES_UNFIT);
	}
	return true;
}

/* Returns whether a device owns some of it. */
static bool watch(u64 start, u64 last)
{
	const struct dod_device *device;
	bool found, printed;
	unsigned long flags;
	u64 end = last;
	u8 dir;

	/* The filter's lock is held while printing: not to be taken in the watch. */
	if (!dod_owner_find_guardable(start, &end, &mapping, &range))
		return false;
	device = mapping.device;
	dir = range.dir;
	if (is_filtered(device, dir)) {
		dod_count(DOD_C_WATCHES_UNFIT);
		return true;
	}

	WRITE_ONCE(dod_kcsan_watch.printing, false);
	WRITE_ONCE(dod_kcsan_watch.wanted, false);
	local_irq_save(flags);
	WRITE_ONCE(dod_kcsan_watch.last, last);
	WRITE_ONCE(dod_kcsan_watch.start, start);
	/* With the lock of an unmap or sync: that sees the announcement, or we see that. */
	smp_mb();
	found = watch_announced(device, dir, &start, &last);
	printed = found && READ_ONCE(dod_kcsan_watch.printing);
	/* Nobody waits any more once this is seen. */
	smp_store_release(&dod_kcsan_watch.start, DOD_NOWHERE);
	local_irq_restore(flags);

	if (unlikely(READ_ONCE(seen.complete)))
		report_race(printed ? start : 1, printed ? last : 0);
	return found;
}

/* Returns whether there was something to watch. */
static bool work(void)
{
	u64 begin = local_clock(), start, last;
	unsigned int missed = 0;
	bool any = false;

	while (local_clock() - begin < SLICE && missed < 4 * DOD_KCSAN_RECENT) {
		if (!pick(&start, &last)) {
			missed++;
			continue;
		}
		shorten(&start, &last);
		if (watch(start, last))
			any = true;
		else
			missed++;
	}
	return any;
}

static int watch_main(void *unused)
{
	while (!kthread_should_stop()) {
		unsigned int share = READ_ONCE(dod_params.watch_cpu);
		u64 begin = local_clock(), rest = LONGEST_REST;

		if (READ_ONCE(seen.complete))
			report_race(1, 0);
		if (share) {
			bool any = work();
			u64 spent = local_clock() - begin;

			rest = div_u64(spent * (100 - share), share);
			rest = div_u64(rest, NSEC_PER_USEC);
			rest = any ? rest : max_t(u64, rest, IDLE_REST);
		}
		rest = min_t(u64, rest, LONGEST_REST);
		if (rest)
			usleep_range_state(rest, rest + rest / 8 + 1, TASK_IDLE);
		else
			cond_resched();
	}
	return 0;
}

/* === Start and stop ======================================================= */

static struct tracepoint *console;

static void find_console(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "console"))
		console = tp;
}

/* What keeps KCSAN from finding anything, or from being right. */
static void say_limits(void)
{
	if (!IS_ENABLED(CONFIG_KCSAN_EARLY_ENABLE))
		pr_info("no access is found before \"on\" is written to /sys/kernel/debug/kcsan: CONFIG_KCSAN_EARLY_ENABLE is not set\n");
	if (num_possible_cpus() == 1)
		pr_info("no access is found: there is one CPU, and the thread that looks for them needs another\n");
	if (IS_ENABLED(CONFIG_KCSAN_WEAK_MEMORY))
		pr_info("with CONFIG_KCSAN_WEAK_MEMORY an access before a map in an interrupt can be reported\n");
}

/**
 * dod_traps_start() - watch memory from now on
 *
 * Return: 0, or an error after a line that says what is missing.
 */
int dod_traps_start(void)
{
	struct task_struct *task;
	int err = -ENOENT;

	prandom_seed_state(&rnd, local_clock());
	for_each_kernel_tracepoint(find_console, NULL);
	if (console)
		err = tracepoint_probe_register(console, on_console, NULL);
	if (err) {
		pr_err("cannot load: no tracepoint console to read KCSAN's reports at, error %d\n",
		       err);
		return err;
	}
	task = kthread_run(watch_main, NULL, "dma_owner_watch");
	if (IS_ERR(task)) {
		pr_err("cannot load: cannot start thread dma_owner_watch, error %ld\n", PTR_ERR(task));
		tracepoint_probe_unregister(console, on_console, NULL);
		tracepoint_synchronize_unregister();
		return PTR_ERR(task);
	}
	WRITE_ONCE(watcher, task);
	say_limits();
	return 0;
}

/* Watch no more. Nothing runs here afterwards. */
void dod_traps_stop(void)
{
	kthread_stop(watcher);
	WRITE_ONCE(watcher, NULL);
	tracepoint_probe_unregister(console, on_console, NULL);
	tracepoint_synchronize_unregister();
	irq_work_sync(&unknown_work);
}
