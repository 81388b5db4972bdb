// SPDX-License-Identifier: GPL-2.0
/*
 * Reads that were allowed and may have been writes: compilers check an address once
 * for both halves of x++, at the read. Where content turns out to have changed, the
 * last reader is who is to be asked first.
 *
 * No locks. Entries are written and read at any time; one whose sum is wrong was being
 * written, and does not count.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "../guard/guard.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/hash.h>
#include <linux/sched/clock.h>

/* Memory that is next to each other shares an entry: the newest read stays. */
#define PIECE_SHIFT	6
#define TABLE_BITS	10

/* No x++ is wider. */
#define WIDEST		16

struct entry {
	u64 phys, when;
	unsigned long ip;
	u64 size;
	u64 sum;
};

static struct entry entries[1 << TABLE_BITS];

static struct entry *entry_of(u64 phys)
{
	return &entries[hash_64(phys >> PIECE_SHIFT, TABLE_BITS)];
}

static u64 sum_of(const struct entry *e)
{
	return e->phys ^ rol64(e->when, 13) ^ rol64(e->ip, 29) ^ rol64(e->size, 47);
}

/**
 * dod_reads_note() - an access was allowed, because it looks like a read
 * @phys: first byte
 * @size: bytes
 * @ip: return address of the access
 *
 * Context: any; interrupts are off.
 */
void dod_reads_note(u64 phys, size_t size, unsigned long ip)
{
	struct entry *e = entry_of(phys), new = {
		.phys = phys,
		.when = local_clock(),
		.ip = ip,
		.size = size,
	};

	if (size > WIDEST)
		return;
	new.sum = sum_of(&new);
	*e = new;
}

static bool read_entry(const struct entry *e, struct entry *copy)
{
	copy->phys = READ_ONCE(e->phys);
	copy->when = READ_ONCE(e->when);
	copy->ip = READ_ONCE(e->ip);
	copy->size = READ_ONCE(e->size);
	copy->sum = READ_ONCE(e->sum);
	return copy->size && copy->sum == sum_of(copy);
}

/**
 * dod_reads_describe() - who read a piece of memory last, in a sentence
 * @start: first byte, physical
 * @last: last byte
 * @since: local_clock(); not before that
 * @m: a mapping there
 * @text: the sentence, with a newline, is appended
 * @size: its size
 *
 * Context: any.
 */
void dod_reads_describe(u64 start, u64 last, u64 since, const struct dod_mapping *m,
			char *text, size_t size)
{
	u64 piece = round_down(start - min(start, WIDEST - 1ULL), BIT_ULL(PIECE_SHIFT));
	size_t len = strlen(text);
	struct entry e, newest = {};
	s64 at;

	for (; piece <= last; piece += BIT_ULL(PIECE_SHIFT))
		if (read_entry(entry_of(piece), &e) && e.phys <= last &&
		    e.phys + e.size > start && (s64)(e.when - since) >= 0 &&
		    (!newest.size || (s64)(e.when - newest.when) > 0))
			newest = e;
	if (!newest.size)
		return;
	at = newest.phys - m->start;
	scnprintf(text + len, size - len,
		  "The CPU's last read there, of %llu bytes at byte %lld, is in %pS. If it is x++ or x |= y, the write is, too: compilers check the two as one read.\n",
		  newest.size, at, (void *)newest.ip);
}
