// SPDX-License-Identifier: GPL-2.0
/*
 * Reads that were allowed and may have been writes: compilers check an address once for both
 * halves of x++, at the read. When content has changed, the report names the last reader.
 *
 * No locks: entries are written and read at any time. One whose sum is wrong was being
 * written, and does not count.
 */
#include "internal.h"

/* Adjacent memory shares an entry, which has the newest read. */
#define PIECE_SHIFT	6
#define TABLE_BITS	10

/* No x++ is wider. */
#define WIDEST		16

static struct entry {
	u64 phys, when;
	unsigned long ip;
	u64 size, sum;
} entries[1 << TABLE_BITS];

static struct entry *entry_of(u64 phys)
{
	return &entries[hash_64(phys >> PIECE_SHIFT, TABLE_BITS)];
}

static u64 sum_of(const struct entry *e)
{
	return e->phys ^ rol64(e->when, 13) ^ rol64(e->ip, 29) ^ rol64(e->size, 47);
}

void dod_reads_note(u64 phys, size_t size, unsigned long ip)
{
	struct entry new = { .phys = phys, .when = local_clock(), .ip = ip, .size = size };

	if (size > WIDEST)
		return;
	new.sum = sum_of(&new);
	*entry_of(phys) = new;
}

void dod_reads_describe(struct dod_finding *f, u64 start, u64 last, const struct dod_mapping *m)
{
	u64 piece = round_down(start - min(start, WIDEST - 1ULL), BIT_ULL(PIECE_SHIFT));
	struct entry e, newest = {};

	for (; piece <= last; piece += BIT_ULL(PIECE_SHIFT)) {
		e = *entry_of(piece);
		/* From now on only the copy counts. */
		barrier();
		if (e.size && e.sum == sum_of(&e) && e.phys <= last &&
		    e.phys + e.size > start && (s64)(e.when - m->map.when) >= 0 &&
		    (!newest.size || (s64)(e.when - newest.when) > 0))
			newest = e;
	}
	if (!newest.size)
		return;
	dod_finding_add(f, "The CPU's last read there was of %llu bytes at byte %lld, in %pS.\n",
			newest.size, (s64)(newest.phys - m->start), (void *)newest.ip);
	dod_finding_add(f, "If that is x++ or x |= y, it is the write as well: compilers check both as one read.\n");
}
