// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: loads, stores, atomics, copies and fills of random bytes. Each has one right answer,
 * that of the model, which is compared with the log, and with the memory.
 */

#include <linux/kasan.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../kunit/one_access.h"
#include "torture.h"

/* === Accesses ============================================================= */

/* Of one access. */
#define WIDEST		(IS_ENABLED(CONFIG_ARCH_SUPPORTS_INT128) ? 16 : 8)

static torture_noinline void torture_read(const void *p, size_t size)
{
	one_load(p, size);
}

static torture_noinline void torture_write(void *p, size_t size)
{
	one_store(p, size);
}

static torture_noinline void torture_atomic(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	atomic_or(WRITTEN, p);
}

static torture_noinline void torture_copy_from(void *to, const void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(to, p, size);
}

static torture_noinline void torture_copy_to(void *p, const void *from, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memcpy(p, from, size);
}

torture_noinline void torture_fill(void *p, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	memset(p, WRITTEN, size);
}

torture_noinline void torture_free(struct buffer *b)
{
	if (b->source == KMALLOC)
		kfree(b->mem);
	else
		__free_pages(virt_to_page(b->mem), b->order);
}

/* Writes as a device does: no sanitizer sees it. */
noinline torture_unchecked void poke(u8 *p, u8 value)
{
	WRITE_ONCE(*p, value);
}

static noinline torture_unchecked u8 peek(const u8 *p)
{
	return READ_ONCE(*p);
}

/* For a failure: the shadow byte of a granule. */
noinline torture_unchecked u8 shadow_of(const u8 *p)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(*(const u8 *)kasan_mem_to_shadow(p));
#else
	return 0;
#endif
}

const struct op_row ops[NR_OPS] = {
	[OP_READ] = { "torture_read" },
	[OP_WRITE] = { "torture_write", .write = true },
	[OP_ATOMIC] = { "torture_atomic", .write = true },
	[OP_COPY_FROM] = { "torture_copy_from", .range = true },
	[OP_COPY_TO] = { "torture_copy_to", .write = true, .range = true },
	[OP_FILL] = { "torture_fill", .write = true, .range = true },
};

/*
 * Is KASAN off for the code that runs here? KASAN counts by task: in an interrupt, it is
 * off if the interrupted task turned it off, as to clear new pages.
 */
bool is_unchecked(void)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(current->kasan_depth);
#else
	return true;
#endif
}

static void perform(struct worker *w, struct buffer *b, const struct access *a)
{
	u8 *p = b->mem + a->start;

	switch (a->op) {
	case OP_READ:
		torture_read(p, a->size);
		break;
	case OP_WRITE:
		torture_write(p, a->size);
		break;
	case OP_ATOMIC:
		torture_atomic(p);
		break;
	case OP_COPY_FROM:
		torture_copy_from(w->scratch, p, a->size);
		break;
	case OP_COPY_TO:
		torture_copy_to(p, w->scratch, a->size);
		break;
	default:
		torture_fill(p, a->size);
	}
}

static bool random_access(struct worker *w, const struct buffer *b, struct access *a)
{
	a->op = rnd(w, DOD_MEMCPY_CHECKED ? NR_OPS : OP_COPY_FROM);
	a->start = rnd(w, b->size);
	if (ops[a->op].range) {
		a->size = 1 + rnd(w, min_t(size_t, MAX_RANGE, b->size - a->start));
		return true;
	}
	a->size = a->op == OP_ATOMIC ? 4 : 1U << rnd(w, WIDEST == 16 ? 5 : 4);
	/* Aligned as its type is: else the compiler looks at one end of it only. */
	a->start -= ((unsigned long)b->mem + a->start) % a->size;
	return a->start < b->size && a->start + a->size <= b->size;
}

void step_access(struct worker *w, struct buffer *b)
{
	bool wanted = rnd(w, 6) != 0;
	bool unchecked = is_unchecked();
	struct answer answer;
	struct access a;
	u32 before, after;
	int i, reports;

	before = get_state();
	for (i = 0; i < 6; i++) {
		if (!random_access(w, b, &a))
			continue;
		answer = ask(b, &a, before);
		if (answer.legal == wanted)
			break;
	}
	if (i == 6)
		return;
	/*
	 * A write that the tool does not see, to what a device only reads, would be another
	 * fault.
	 */
	if (!answer.legal && ops[a.op].write &&
	    (unchecked || (answer.unseen && !answer.must)))
		return;
	/* Nor would the tool know that it is pending, or that the bytes are no longer stale. */
	if (ops[a.op].write && answer.needs != UNKNOWN &&
	    (unchecked || answer.seen < answer.needs))
		return;
	if (unchecked) {
		answer.must = false;
		answer.may = false;
	}

	begin_want(w, ops[a.op].write ? "cpu-write" : "cpu-read", ops[a.op].fn,
		   b->mem + a.start, a.size);
	perform(w, b, &a);
	/* A report of a legal access is false whenever it comes: no need to wait. */
	if (!answer.legal)
		wait_for_report(w);
	reports = end_want(w);
	after = get_state();
	if (ops[a.op].write) {
		note_write(b, &a, &answer, both_states(before, after));
		w->counters[PENDING] += answer.pends;
		w->counters[STALE] += answer.freshens;
	}

	if (answer.must && before == after) {
		count(w, ILLEGAL);
		if (!reports) {
			count(w, MISSES);
			fail_access(w, "miss", b, &a, reports, before, after);
		}
	} else if (answer.legal) {
		count(w, LEGAL);
	} else if (unchecked) {
		count(w, ILLEGAL_UNCHECKED);
	} else if (answer.may) {
		count(w, ILLEGAL_EITHER);
		w->counters[EITHER_REPORTED] += !!reports;
	} else {
		count(w, answer.unseen ? ILLEGAL_IN_GRANULE : ILLEGAL_UNKNOWN);
	}
	if (reports > 1 || (reports && !answer.may)) {
		count(w, FALSE_REPORTS);
		fail_access(w, "false report", b, &a, reports, before, after);
	} else if (reports && (w->want.device < 0 || !(answer.devices & BIT_ULL(w->want.device)))) {
		count(w, FALSE_REPORTS);
		fail_access(w, "report that names the wrong device", b, &a, reports, before, after);
	}
	if ((a.op == OP_WRITE || a.op == OP_FILL) &&
	    (peek(b->mem + a.start) != WRITTEN ||
	     peek(b->mem + a.start + a.size - 1) != WRITTEN)) {
		count(w, WRONG_DATA);
		fail_access(w, "lost write", b, &a, reports, before, after);
	}
}
