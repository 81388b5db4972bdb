// SPDX-License-Identifier: GPL-2.0
/*
 * Whether there is a report, and how it gets into the log. What it says is in text.c.
 *
 * Nothing here is locked, and nobody waits, but for a moment of faults.c. Whoever finds a fault
 * formats the whole report into a text and puts that on a list; then one CPU prints what is there,
 * see print_texts(). A console's driver may itself map memory, on the CPU that prints or on the one
 * that has the console, and must find no lock of ours taken.
 *
 * Context of all functions, where not said otherwise: any but NMI, no lock of ours held.
 * What reports prints, and panics if the user asked for it.
 */
#include "internal.h"

#include "../base/lock.h"
#include "../base/params.h"
#include "../base/stats.h"
#include "../base/worker.h"

#include <kunit/test.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/panic.h>
#include <linux/sched/clock.h>

/* Reports have no prefix; what else is said here spells it out. */
#undef pr_fmt
#define pr_fmt(fmt) fmt
#define PREFIX "dma_owner_debug: "

#define NR_TEXTS	16
#define TEXTS_AT_ONCE	4	/* by a CPU that has found a fault; a worker prints the rest */

static atomic_long_t type_counts[DOD_REPORT_COUNT];

/*
 * This CPU formats or prints a report: what it finds meanwhile, be it in a console's
 * driver, must not make another. Interrupts are off for as long as it is set.
 */
static DEFINE_PER_CPU(bool, reporting);

/* How often a type was found, shown or not. */
long dod_report_count(enum dod_report_type type)
{
	return atomic_long_read(&type_counts[type]);
}

/* The task of the last race: only it may fail its own KUnit test. */
static int raced_test = -1;

static void fail_kunit_test(void)
{
#if IS_ENABLED(CONFIG_KUNIT)
	struct kunit *test = current->kunit_test;

	if (test && READ_ONCE(dod_params.kunit_fail))
		kunit_set_failure(test);
#endif
}

/**
 * dod_report_fail_raced_test() - fail the KUnit test of a task that a race was about
 *
 * Called in each call of the DMA API: a race is found by another task.
 */
void dod_report_fail_raced_test(void)
{
	if (likely(READ_ONCE(raced_test) < 0) || !in_task() ||
	    READ_ONCE(raced_test) != task_pid_nr(current))
		return;
	WRITE_ONCE(raced_test, -1);
	fail_kunit_test();
}

/* === Printing ============================================================= */

/*
 * A text is taken, written, put on the list, printed, and released. Whoever puts one on
 * the list prints it, unless another CPU prints; whoever prints looks at the list once
 * more after it has cleared @printing. So no text is left, and no CPU waits for another.
 */
static struct text texts[NR_TEXTS];
static DECLARE_BITMAP(texts_used, NR_TEXTS);
static LLIST_HEAD(written);		/* the newest first */
static struct llist_node *to_print;	/* taken from there, the oldest first; @printing */
static atomic_t printing;

static struct text *take_text(void)
{
	unsigned int i;

	for (i = 0; i < NR_TEXTS; i++) {
		struct text *t = &texts[i];

		if (test_bit(i, texts_used) || test_and_set_bit_lock(i, texts_used))
			continue;
		t->now = local_clock();
		memset_startat(t, 0, panic);
		return t;
	}
	return NULL;
}

static void release_text(struct text *t)
{
	WRITE_ONCE(t->generation, t->generation + 1);
	clear_bit_unlock(t - texts, texts_used);
}

static void print_text(const struct text *t)
{
	const char *line = t->chars, *end = line + t->len, *next;

	if (t->lost)
		pr_warn(PREFIX "%u reports were not shown: more than report_burst in 5 s\n",
			t->lost);
	for (; line < end; line = next + 1) {
		/* It was slab memory when the text was written. mem_dump_obj() ends the line. */
		if (t->object && line == t->chars + t->object_at && virt_addr_valid(t->object) &&
		    folio_test_slab(virt_to_folio(t->object))) {
			pr_err("The object there:");
			mem_dump_obj((void *)t->object);
		}
		next = memchr(line, '\n', end - line);
		pr_err("%.*s\n", (int)(next - line), line);
	}
}

/* Called with @printing set by this CPU. */
static struct text *next_text(void)
{
	struct llist_node *node;

	if (!to_print)
		to_print = llist_reverse_order(llist_del_all(&written));
	node = to_print;
	if (!node)
		return NULL;
	WRITE_ONCE(to_print, node->next);
	return llist_entry(node, struct text, node);
}

/*
 * Prints what is complete, unless another CPU does so: that one will see what is there.
 * Stops after @nr texts, and after one that asks for a panic, which is not ours to do:
 * *@dead. Interrupts are off.
 *
 * Returns whether somebody must go on.
 */
static bool print_texts(unsigned int nr, bool *dead)
{
	while (!llist_empty(&written) || READ_ONCE(to_print)) {
		struct text *t;

		if (!nr || *dead)
			return true;
		if (atomic_cmpxchg(&printing, 0, 1))
			return false;
		while (nr && !*dead && (t = next_text())) {
			print_text(t);
			add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
			*dead = t->panic;
			release_text(t);
			nr--;
		}
		/* A full barrier: the list is read again after it. */
		atomic_xchg(&printing, 0);
	}
	return false;
}

/* Returns false if this CPU does so already. */
static bool begin_reporting(unsigned long *flags)
{
	*flags = dod_quiet_begin();
	if (__this_cpu_read(reporting)) {
		dod_quiet_end(*flags);
		return false;
	}
	__this_cpu_write(reporting, true);
	/* As KASAN: an access may have been made with any lock held. */
	lockdep_off();
	return true;
}

/* Panics if @dead. */
static void end_reporting(unsigned long flags, bool dead)
{
	lockdep_on();
	__this_cpu_write(reporting, false);
	dod_quiet_end(flags);
	if (!dead)
		return;
	/* What the panic finds on its way is not reported any more. */
	WRITE_ONCE(dod_panicking, true);
	panic("dma_owner_debug.fault=panic set ...\n");
}

/* One at a time, for as long as others are quicker. */
static void print_rest(struct work_struct *work)
{
	bool dead = false, left = false;
	unsigned long flags;

	do {
		if (begin_reporting(&flags)) {
			left = print_texts(1, &dead);
			end_reporting(flags, dead);
		}
		cond_resched();
	} while (left);
}

static DEFINE_DOD_WORKER(rest_worker, print_rest);

/**
 * dma_owner_debug_flush() - wait until what was reported before is in the log
 *
 * For tests. Prints itself what nobody prints: whoever else does has interrupts off.
 */
void dma_owner_debug_flush(void)
{
	unsigned int generation[NR_TEXTS], i;
	bool dead = false, left = false;
	DECLARE_BITMAP(used, NR_TEXTS);
	unsigned long flags;

	bitmap_copy(used, texts_used, NR_TEXTS);
	for_each_set_bit(i, used, NR_TEXTS)
		generation[i] = READ_ONCE(texts[i].generation);
	for_each_set_bit(i, used, NR_TEXTS)
		while (test_bit(i, texts_used) && READ_ONCE(texts[i].generation) == generation[i]) {
			if (!begin_reporting(&flags))
				return;
			left = print_texts(1, &dead);
			end_reporting(flags, dead);
			cpu_relax();
		}
	/* Texts that came later may have been left to this CPU. */
	if (left)
		dod_worker_wake(&rest_worker);
}
EXPORT_SYMBOL_GPL(dma_owner_debug_flush);

/**
 * dod_report_stop() - print what is left; nothing is reported any more. Process context
 */
void dod_report_stop(void)
{
	dma_owner_debug_flush();
	dod_worker_cancel(&rest_worker);
}

/* === Whether there is a report ============================================ */

/*
 * Where to write a report, NULL if it is not to be printed; counts why not. Only what is
 * printed counts as seen. @key is dod_seen_key().
 */
static struct text *begin_text(const struct report *r, u32 key)
{
	bool dedup = READ_ONCE(dod_params.dedup);
	struct text *t;

	if (dedup && dod_seen(key, false)) {
		dod_count(DOD_C_REPORTS_DEDUPLICATED);
		return NULL;
	}
	if (dod_burst_is_over(local_clock())) {
		dod_count(DOD_C_REPORTS_RATELIMITED);
		return NULL;
	}
	t = take_text();
	if (!t) {
		dod_count(DOD_C_REPORTS_NO_BUFFER);
		return NULL;
	}
	/* What a console's driver does is reported once, or it would go on for ever. */
	if ((dedup || dod_is_console(t->frames)) && dod_seen(key, true)) {
		dod_count(dedup ? DOD_C_REPORTS_DEDUPLICATED : DOD_C_REPORTS_NESTED);
		release_text(t);
		return NULL;
	}
	/* Whoever reboots wants no panic. */
	t->panic = READ_ONCE(dod_params.fault) == DOD_FAULT_PANIC &&
		   r->type != DOD_R_OWNED_AT_SHUTDOWN;
	t->lost = dod_burst_take_lost();
	dod_count(DOD_C_REPORTS_SHOWN);
	return t;
}

static void make_report(struct report *r)
{
	unsigned long flags;
	bool dead = false;
	struct text *t;
	u32 key;

	if (dod_in_panic())
		return;
	if (!begin_reporting(&flags)) {
		dod_count(DOD_C_REPORTS_NESTED);
		return;
	}
	atomic_long_inc(&type_counts[r->type]);
	if (dod_report_is_filtered(r->type, r->m->device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
	} else {
		atomic_inc(&r->m->device->nr_reports);
		/* A repeated fault still fails the test that runs now. */
		if (r->kind == &dod_kind_race)
			WRITE_ONCE(raced_test, r->race->pid);
		else
			fail_kunit_test();
		r->culprit = r->kind->culprit ? r->kind->culprit(&r->stack, r->m) : r->stack.nr;
		key = dod_seen_key(r);
		t = begin_text(r, key);
		dod_fault_add(r, key, t);
		if (t) {
			dod_text_report(t, r);
			dod_trace_report(t, r);
			llist_add(&t->node, &written);
		}
		if (print_texts(TEXTS_AT_ONCE, &dead))
			dod_worker_wake(&rest_worker);
	}
	end_reporting(flags, dead);
}

/**
 * dod_report_access() - report a CPU access to memory that a device owns
 * @type: what it is
 * @access: the access
 * @m: a copy of the mapping
 * @range: what the device owns of it, around access->bad
 * @frames: the stack, from the access outwards
 * @nr: how many frames
 *
 * Context: between dod_quiet_begin() and dod_quiet_end(), with any locks of the kernel
 * held, none of ours.
 */
void dod_report_access(enum dod_report_type type, const struct dod_access *access,
		       const struct dod_mapping *m, const struct dod_range *range,
		       unsigned long *frames, unsigned int nr)
{
	make_report(&(struct report){
		.type = type, .kind = &dod_kind_access, .m = m, .range = range, .access = access,
		.stack = { .frames = frames, .nr = nr },
	});
}

/**
 * dod_report_race() - report a CPU access that raced with a device's. Process context
 * @race: the access, with at least one frame
 * @m: a copy of the mapping
 * @range: what the device owned of it
 */
void dod_report_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	make_report(&(struct report){
		.type = race->write ? DOD_R_CPU_WRITE : DOD_R_CPU_READ,
		.kind = &dod_kind_race, .m = m, .range = range, .race = race,
		.stack = { .names = race->frames, .nr = race->nr_frames },
	});
}

/**
 * dod_report_free() - report that memory is freed while a device owns it
 * @f: the free
 * @m: a copy of the mapping
 * @range: what the device owned of that memory
 */
void dod_report_free(const struct dod_free *f, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner, flags = dod_quiet_begin();
	/* Of memory that was freed unseen, nobody knows who freed it. */
	unsigned int nr = f->found ? 0 : dod_report_stack(frames, f->ip, &inner);

	make_report(&(struct report){
		.type = DOD_R_FREE_WHILE_MAPPED, .kind = &dod_kind_free, .m = m, .range = range,
		.free = f, .stack = { .frames = frames, .nr = nr },
	});
	dod_quiet_end(flags);
}

/**
 * dod_report_leaks() - report mappings that are left
 * @leaks: the mappings, at least one
 */
void dod_report_leaks(const struct dod_leaks *leaks)
{
	make_report(&(struct report){
		.type = leaks->type, .kind = &dod_kind_leaks, .m = &leaks->places[0].m,
		.leaks = leaks,
	});
}

/**
 * dod_report_mapping() - report what a check has found
 * @f: what it is
 * @m: the mapping
 */
void dod_report_mapping(const struct dod_finding *f, const struct dod_mapping *m)
{
	make_report(&(struct report){
		.type = f->type, .kind = &dod_kind_finding, .m = m, .finding = f,
	});
}

/**
 * dod_report_unmatched() - report a call of the DMA API with an address that is not mapped
 * @f: what was found; @f->other is what was mapped there last, or NULL
 * @m: the call, as dod_owner_describe_call() has it
 * @what: which call it was
 */
void dod_report_unmatched(const struct dod_finding *f, const struct dod_mapping *m,
			  enum dod_unmatched_call what)
{
	make_report(&(struct report){
		.type = f->type, .kind = &dod_kind_unmatched, .m = m, .finding = f, .what = what,
	});
}

/**
 * dod_report_lost_write() - report a write of the CPU that the device does not see
 * @m: the mapping
 * @p: the write
 * @how: by what it was lost
 * @at: return address of that call
 */
void dod_report_lost_write(const struct dod_mapping *m, const struct dod_pending *p,
			   enum dod_lost how, unsigned long at)
{
	make_report(&(struct report){
		.type = p->range.dir == DMA_TO_DEVICE ? DOD_R_CPU_WRITE :
							DOD_R_MISSING_SYNC_FOR_DEVICE,
		.kind = &dod_kind_lost_write, .m = m, .lost = p, .how = how, .lost_by = at,
		.stack = { .packed = p->write.frames, .nr = p->write.who.nr_frames },
	});
}

/**
 * dod_report_note() - print advice about a device, once
 * @type: the advice
 * @device: the device
 * @fmt: what is the case, in half a sentence
 * Return: whether it was printed now.
 */
bool dod_report_note(enum dod_report_type type, struct dod_device *device, const char *fmt, ...)
{
	struct va_format text = { .fmt = fmt };
	unsigned long flags;
	va_list args;

	if (dod_in_panic() || test_and_set_bit(type, device->noted))
		return false;
	atomic_long_inc(&type_counts[type]);
	if (dod_report_is_filtered(type, device)) {
		dod_count(DOD_C_REPORTS_FILTERED);
		return false;
	}
	dod_count(DOD_C_NOTES_SHOWN);
	flags = dod_quiet_begin();
	va_start(args, fmt);
	text.va = &args;
	pr_notice(PREFIX "note: %s: %s %s: %pV; %s\n", dod_types[type].name,
		  device->driver_name, device->name, &text, dod_types[type].hint);
	va_end(args);
	dod_quiet_end(flags);
	return true;
}

/**
 * dod_report_hint() - what to do about something
 * @type: what is the case, a note
 * Return: half a sentence.
 */
const char *dod_report_hint(enum dod_report_type type)
{
	return dod_types[type].hint;
}

/**
 * dod_report_annotate() - say inside a KASAN report who maps, or mapped, its memory
 * @m: a copy of the mapping
 * @phys: the byte the report is about
 *
 * Context: KASAN's, with its report lock held. Prints at once.
 */
void dod_report_annotate(const struct dod_mapping *m, u64 phys)
{
	unsigned long flags;
	struct text *t;

	if (dod_in_panic() || !begin_reporting(&flags))
		return;
	t = take_text();
	if (t) {
		dod_text_annotation(t, m, phys);
		print_text(t);
		release_text(t);
	} else {
		dod_count(DOD_C_REPORTS_NO_BUFFER);
	}
	end_reporting(flags, false);
}

/**
 * dod_report_annotate_missed() - say there that it is about our mark
 */
void dod_report_annotate_missed(void)
{
	pr_err("DMA owner: KASAN has found a mark of the tool's, no memory that is freed or out of bounds.\n");
	pr_err("DMA owner: The probe on kasan_report() was missed, so nobody checked this access. It\n");
	pr_err("DMA owner: may be legal, as a read of DMA_TO_DEVICE memory is. A free is not.\n");
}
