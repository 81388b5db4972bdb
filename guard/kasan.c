// SPDX-License-Identifier: GPL-2.0
/*
 * The guard on generic KASAN: poisons the shadow of memory that a device owns, and reads the
 * shadow of an access that KASAN found bad. What that means is judge/access.c's to decide.
 *
 * The shadow of a page changes in an area of owner/'s that has it, and by cmpxchg where an
 * allocator may change it at the same time: see poison_words(). Only accessible granules are
 * poisoned, and only our own values are cleared: redzones and freed memory stay KASAN's.
 */
#include "../base/compat.h"
#include "../base/memory.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "kasan.h"
#include "kfence.h"

#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>

#define WORD_BYTES	(GRANULE * sizeof(u64))

static const u8 shadow_values[] = {
	[DMA_TO_DEVICE]		= SHADOW_TO_DEVICE,
	[DMA_FROM_DEVICE]	= SHADOW_FROM_DEVICE,
	[DMA_BIDIRECTIONAL]	= SHADOW_BIDIRECTIONAL,
	[DMA_NONE]		= SHADOW_STALE,
};

/* A granule that is poisoned twice keeps the value that forbids more. */
static int strength(u8 value)
{
	return value == SHADOW_WATCHED ? 0 : value == SHADOW_EDGE ? 1 :
	       value == SHADOW_STALE ? 2 : value;
}

/* Reads are allowed but of what the device writes and of what is stale. */
static bool forbids(u8 value, bool write)
{
	return write || !(is_sent(value) || value == SHADOW_EDGE || value == SHADOW_WATCHED);
}

static u64 repeat(u8 value)
{
	return value * 0x0101010101010101ULL;
}

/* === Bytes and words of shadow ============================================ */

static void poison_byte(u8 *shadow, u8 value)
{
	u8 old = READ_ONCE(*shadow);

	while (!old || (is_whole(old) && strength(old) < strength(value)))
		if (try_cmpxchg(shadow, &old, value))
			break;
}

static void clear_byte(u8 *shadow)
{
	u8 old = READ_ONCE(*shadow);

	while (is_ours(old)) {
		u8 value = is_whole(old) ? 0 : tail_bytes(old);

		if (try_cmpxchg(shadow, &old, value))
			break;
	}
}

/* The device owns the granule's first bytes, and no others are accessible. */
static bool poison_tail(u8 *shadow, u8 whole, u8 bytes)
{
	u8 value = tail_value(whole, bytes), old = READ_ONCE(*shadow);

	while (old == bytes || (is_tail(old) && tail_bytes(old) == bytes && old < value))
		if (try_cmpxchg(shadow, &old, value))
			return true;
	return is_tail(old) && tail_bytes(old) == bytes;
}

/*
 * Plain reads, which the compiler makes a part of the instructions that compare: nobody else
 * changes these words, see poison_words().
 */
static bool words_are(const unsigned long *w, unsigned long value)
{
	return w[0] == value && w[1] == value && w[2] == value && w[3] == value &&
	       w[4] == value && w[5] == value && w[6] == value && w[7] == value;
}

static __always_inline void store_words(unsigned long *w, unsigned long value)
{
	WRITE_ONCE(w[0], value);
	WRITE_ONCE(w[1], value);
	WRITE_ONCE(w[2], value);
	WRITE_ONCE(w[3], value);
	WRITE_ONCE(w[4], value);
	WRITE_ONCE(w[5], value);
	WRITE_ONCE(w[6], value);
	WRITE_ONCE(w[7], value);
}

/*
 * rep stosq on x86: it takes as long to begin as some twenty stores, and then writes a cache line
 * a cycle. Where an architecture has nothing of its own, memset_l() is instrumented.
 */
static __always_inline void fill_words(unsigned long *w, unsigned long value, unsigned long nr)
{
#ifdef __HAVE_ARCH_MEMSET64
	memset_l(w, value, nr);
#else
	for (; nr >= SHADOW_WORDS; nr -= SHADOW_WORDS, w += SHADOW_WORDS)
		store_words(w, value);
	while (nr--)
		WRITE_ONCE(*w++, value);
#endif
}

/* So many words are the shadow of a page. */
#define PAGE_WORDS	(PAGE_SIZE / GRANULE / sizeof(long))

/*
 * All of the words were @from, in one piece, and nobody but an allocator can have changed them:
 * it changes all of a page or of an object, up to its end (krealloc()). The memory is of one
 * mapping's own, no longer than its allocation. So where the first and the last word of up to a
 * page are unchanged, all are, but for bytes that are ours or 0. Returns where that ends.
 */
static noinline unsigned long *change_alike(unsigned long *w, const unsigned long *end,
					    unsigned long from, unsigned long to)
{
	unsigned long nr;

	for (; w < end; w += nr) {
		nr = min_t(unsigned long, end - w, PAGE_WORDS);
		if (unlikely(READ_ONCE(*w) != from || READ_ONCE(w[nr - 1]) != from))
			break;
		fill_words(w, to, nr);
	}
	return w;
}

/*
 * Nearly always all of a word is accessible, or all of it has one value of ours. Then it is
 * stored, not exchanged. A word to be poisoned is inside the range. A word with our values,
 * except line edges, belongs to a live mapping, which cannot end and whose memory cannot be
 * freed legally without the lock of its page. So KASAN changes the word at the same time
 * only if somebody frees mapped memory, and then that free may be lost in the shadow. Line
 * edges are other people's memory, and are exchanged.
 */
static noinline void poison_words(unsigned long *w, const unsigned long *end, u8 value)
{
	unsigned long pattern = repeat(value);
	const unsigned long *stop;
	int i;

	do {
		for (; end - w >= SHADOW_WORDS && words_are_zero(w); w += SHADOW_WORDS)
			store_words(w, pattern);
		for (stop = end - w < SHADOW_WORDS ? end : w + SHADOW_WORDS; w < stop; w++) {
			if (likely(!READ_ONCE(*w))) {
				WRITE_ONCE(*w, pattern);
				continue;
			}
			for (i = 0; i < sizeof(*w); i++)
				poison_byte((u8 *)w + i, value);
		}
	} while (w < end);
}

/* Is a word all one value of ours, of a mapping's own memory? */
static bool is_alike(unsigned long word)
{
	u8 value = word;

	return is_whole(value) && value != SHADOW_EDGE && word == (unsigned long)repeat(value);
}

static noinline void clear_words(unsigned long *w, const unsigned long *end)
{
	unsigned long alike = repeat(SHADOW_TO_DEVICE), old;
	const unsigned long *stop;
	int i;

	do {
		for (; end - w >= SHADOW_WORDS && words_are(w, alike); w += SHADOW_WORDS)
			store_words(w, 0);
		for (stop = end - w < SHADOW_WORDS ? end : w + SHADOW_WORDS; w < stop; w++) {
			old = READ_ONCE(*w);
			if (unlikely(old != alike) && is_alike(old))
				alike = old;
			if (likely(old == alike))
				WRITE_ONCE(*w, 0);
			else if (old)
				for (i = 0; i < sizeof(*w); i++)
					clear_byte((u8 *)w + i);
		}
	} while (w < end);
}

/* Both ends are aligned to words. @alike: see change_alike(). */
static __always_inline void change_words(u8 *p, u8 *e, u8 value, bool alike)
{
	unsigned long *w = (unsigned long *)p, *end = (unsigned long *)e, first = READ_ONCE(*w);
	unsigned long to = repeat(value);

	if (likely(value ? !first : is_alike(first))) {
		if (end - w == 1) {
			WRITE_ONCE(*w, to);
			return;
		}
		if (likely(alike && end - w > SHADOW_WORDS))
			w = change_alike(w, end, first, to);
		if (w == end)
			return;
	}
	if (value)
		poison_words(w, end, value);
	else
		clear_words(w, end);
}

/* Not whole words, or line edges. */
static noinline void change_bytes(u8 *p, u8 *e, u8 value, bool alike)
{
	u8 *first = PTR_ALIGN(p, sizeof(long)), *after = PTR_ALIGN_DOWN(e, sizeof(long));

	if (first < after && value != SHADOW_EDGE) {
		change_words(first, after, value, alike);
	} else {
		first = e;
		after = e;
	}
	for (; p < first; p++)
		value ? poison_byte(p, value) : clear_byte(p);
	for (p = after; p < e; p++)
		value ? poison_byte(p, value) : clear_byte(p);
}

/*
 * @value 0 clears. @start and @end are physical and multiples of GRANULE, and not equal. @alike:
 * nothing of it is, or was, poisoned for another mapping.
 */
static __always_inline void poison_range(u64 start, u64 end, u8 value, bool alike)
{
	u8 *p = shadow_of(phys_to_virt(start));
	u8 *e = p + (end - start) / GRANULE;

	if (likely(IS_ALIGNED((unsigned long)p | (unsigned long)e, sizeof(long)) &&
		   value != SHADOW_EDGE))
		change_words(p, e, value, alike);
	else
		change_bytes(p, e, value, alike);
}

/* === The breakpoint on kasan_report() ===================================== */

/* A probe's opcode is what its breakpoint has replaced, and what is there once it is gone. */
static struct {
	const kprobe_opcode_t *addr;
	kprobe_opcode_t opcode;
} breakpoint;

static bool has_breakpoint(void)
{
	return READ_ONCE(*breakpoint.addr) != breakpoint.opcode;
}

/**
 * dod_kasan_set_breakpoint() - what traps accesses; called before anything is poisoned
 * @p: the registered probe of kasan_report()
 *
 * Return: false if kprobes are switched off.
 */
bool dod_kasan_set_breakpoint(const struct kprobe *p)
{
	breakpoint.addr = p->addr;
	breakpoint.opcode = p->opcode;
	return has_breakpoint();
}

/**
 * dod_kasan_lost_breakpoint() - stop the tool if the breakpoint is gone
 *
 * Everybody may switch all kprobes off, /sys/kernel/debug/kprobes/enabled. From then on each
 * access to poisoned memory is a report of KASAN's, legal or not. Called before anything is
 * poisoned, and when KASAN has reported our poison.
 *
 * Return: whether it is gone.
 */
bool dod_kasan_lost_breakpoint(void)
{
	if (likely(has_breakpoint()))
		return false;
	dod_stop("the breakpoint on kasan_report() is gone (are kprobes switched off?)");
	return true;
}

/* === Poison =============================================================== */

/* The mapping ends in a granule of which not all bytes are accessible. */
static bool poison_last_granule(const struct dod_mapping *m, u8 value)
{
	u64 granule = round_down(m->last + 1, GRANULE);

	if (m->trap == DOD_TRAP_SOME && !dod_memory_can_trap(granule))
		return false;
	return poison_tail(shadow_of(phys_to_virt(granule)), value, m->last + 1 - granule);
}

/* The granules at the ends that the range has only a part of. */
static noinline void poison_ends(const struct dod_mapping *m, u64 start, u64 last, u8 dir)
{
	u64 from = round_up(start, GRANULE), to = round_down(last + 1, GRANULE);
	bool odd_end = to != last + 1;

	if (odd_end && last == m->last && start <= to && dir != DMA_NONE &&
	    poison_last_granule(m, shadow_values[dir]))
		odd_end = false;
	if (odd_end || from != start)
		dod_count(DOD_C_UNTRAPPED_SUB_GRANULE);
}

/* Not whole words of shadow, or not all pages. */
static noinline void poison_odd(const struct dod_mapping *m, u64 start, u64 last, u8 dir,
				bool fresh)
{
	u64 from = round_up(start, GRANULE), to = round_down(last + 1, GRANULE), phys;
	u8 value = shadow_values[dir];

	if ((start | (last + 1)) % GRANULE)
		poison_ends(m, start, last, dir);
	if (from >= to)
		return;
	if (m->trap == DOD_TRAP_ALL) {
		poison_range(from, to, value, fresh);
		return;
	}
	for (phys = from; phys < to; phys = dod_page_end(phys, to - 1) + 1)
		if (dod_memory_can_trap(phys))
			poison_range(phys, dod_page_end(phys, to - 1) + 1, value, false);
}

static void poison(const struct dod_mapping *m, u64 start, u64 last, u8 dir, bool fresh)
{
	u8 *p = shadow_of(phys_to_virt(start));

	if (dod_kasan_lost_breakpoint())
		return;
	/* Nobody clears the shadow of KFENCE's objects when they are freed. */
	if (unlikely(m->memory & DOD_MEM_ODD) && dod_is_kfence(start, last)) {
		dod_kfence_poison(start, last, dir);
		return;
	}
	if (likely(!((start | (last + 1)) % WORD_BYTES) && m->trap == DOD_TRAP_ALL))
		change_words(p, p + (last + 1 - start) / GRANULE, shadow_values[dir], fresh);
	else
		poison_odd(m, start, last, dir, fresh);
}

static void unpoison(u64 start, u64 last, bool alone)
{
	/* What is @alone is not odd. */
	if (unlikely(!alone) && dod_is_kfence(start, last))
		dod_kfence_unpoison(start, last);
	poison_range(round_down(start, GRANULE), round_up(last + 1, GRANULE), 0, alone);
}

static bool is_poisoned(const void *addr)
{
	u8 value = READ_ONCE(*shadow_of(addr));

	return (is_ours(value) && value != SHADOW_WATCHED) || dod_kfence_is_poisoned(addr);
}

static void poison_line_edge(const struct dod_mapping *m, u64 start, u64 last)
{
	bool after = start > m->last;
	u64 nr = dod_mem_ops.accessible_bytes(start, last, after);

	/* Where KFENCE has put the object in its page is not where others begin. */
	if (unlikely(dod_is_kfence(start, last)))
		return;
	if (after)
		last = start + nr - 1;
	else
		start = last + 1 - nr;
	start = round_up(start, GRANULE);
	last = round_down(last + 1, GRANULE);
	if (start < last && !dod_kasan_lost_breakpoint())
		poison_range(start, last, SHADOW_EDGE, false);
}

static void watch(u64 start, u64 last, bool on)
{
	u64 from = round_up(start, GRANULE), to = round_down(last + 1, GRANULE);
	u8 *p = shadow_of(phys_to_virt(from));
	u8 old;

	if (unlikely(dod_is_kfence(start, last))) {
		dod_kfence_watch(start, last, on);
		return;
	}
	if (on && from < to && !dod_kasan_lost_breakpoint())
		poison_range(from, to, SHADOW_WATCHED, false);
	/* Our other values must stay. */
	for (; !on && from < to; from += GRANULE, p++) {
		old = SHADOW_WATCHED;
		if (READ_ONCE(*p) == old)
			try_cmpxchg(p, &old, 0);
	}
}

/* === The shadow of an access ============================================== */

/* Is a granule bad without us for an access that ends at @last? */
static bool is_foreign(u8 value, unsigned long granule, unsigned long last)
{
	/* Below 0x80, the first @value bytes of the granule are accessible. */
	return value >= 0x80 || (value && last >= granule + value);
}

/* Does a whole word of shadow allow the access? */
static bool word_allows(const u8 *shadow, bool write, bool *poisoned)
{
	u64 word;

	if (!IS_ALIGNED((unsigned long)shadow, sizeof(u64)))
		return false;
	word = READ_ONCE(*(u64 *)shadow);
	if (word && (write || (word != repeat(SHADOW_TO_DEVICE) &&
			       word != repeat(SHADOW_WATCHED))))
		return false;
	*poisoned |= !!word;
	return true;
}

static struct dod_access_verdict scan_shadow(unsigned long addr, unsigned long last, bool write)
{
	struct dod_access_verdict v = { .last = last };
	unsigned long granule, first, stale = 0;
	const u8 *shadow;
	u8 value;

	if (is_kfence_address((void *)addr))
		return dod_kfence_scan(addr, last, write);
	for (granule = round_down(addr, GRANULE); granule <= last; granule += GRANULE) {
		first = max(addr, granule);
		shadow = shadow_of((void *)granule);
		if (last - granule >= WORD_BYTES && word_allows(shadow, write, &v.poisoned)) {
			granule += WORD_BYTES - GRANULE;
			continue;
		}
		value = READ_ONCE(*shadow);
		if (!is_ours(value)) {
			if (!is_foreign(value, granule, last))
				continue;
			v.foreign = first;
			break;
		}
		v.poisoned = true;
		if (is_tail(value) && last >= granule + tail_bytes(value)) {
			v.foreign = first;
			v.tail = true;
			break;
		}
		if (!forbids(value, write))
			continue;
		if (value == SHADOW_WATCHED || (value == SHADOW_STALE && write)) {
			v.watched = v.watched ?: first;
		} else if (value == SHADOW_EDGE) {
			v.edge = v.edge ?: first;
		} else if (value == SHADOW_STALE) {
			stale = stale ?: first;
		} else if (!v.owned) {
			v.owned = first;
			v.sent = is_sent(value);
		}
	}
	/* A known exception for stale bytes must not excuse a byte that is owned. */
	v.owned = v.owned ?: stale;
	return v;
}

/*
 * clang checks an access that may be unaligned at its first and at its last byte, and reports
 * the address of the last byte with the size of the whole (LLVM's
 * instrumentUnusualSizeOrAlignment()). The bytes after it were not accessed. Its other inline
 * checks look at one granule.
 */
static bool may_be_last_byte(unsigned long addr, size_t size)
{
	return IS_ENABLED(CONFIG_CC_IS_CLANG) && size > 1 && size < 16 &&
	       (!is_power_of_2(size) || !IS_ALIGNED(addr, size) || is_ours_at(addr));
}

/*
 * Was it an inline check that found the access? Those report through __asan_report_*(), which
 * may have jumped to kasan_report(): that then returns to the access itself. Checks of whole
 * ranges, as for memcpy(), report what they checked.
 */
static noinline bool is_inline_check(unsigned long caller, unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];

	if (caller == ip)
		return true;
	sprint_symbol_no_offset(name, caller);
	return strstarts(name, "__asan_report_");
}

/**
 * dod_kasan_classify_access() - what is wrong with an access that KASAN reports?
 * @access: the access
 * @caller: return address of kasan_report(); 0 in breakpoint context, where no function of the
 *	kernel may be called: then what may not have been accessed is left out
 *
 * Return: the verdict about the bytes that were really checked.
 */
struct dod_access_verdict dod_kasan_classify_access(const struct dod_access *access,
						    unsigned long caller)
{
	unsigned long addr = access->addr;
	struct dod_access_verdict v = scan_shadow(addr, addr + access->size - 1, access->write);

	if (v.foreign && may_be_last_byte(addr, access->size) &&
	    (!caller || is_inline_check(caller, access->ip)))
		v = scan_shadow(addr, addr, access->write);
	return v;
}

const struct dod_poison_ops dod_poison_ops = {
	.poison = poison,
	.unpoison = unpoison,
	.is_poisoned = is_poisoned,
	.poison_line_edge = poison_line_edge,
	.watch = watch,
	.scan_shadow = scan_shadow,
};

const struct dod_guard dod_guard = {
	.name = "KASAN",
	.means = DOD_MEMCPY_CHECKED ? NULL :
		 "memcpy() is not checked: build the kernel with gcc 13 or clang 15",
	.unseen = "No CPU write was seen: the device wrote there, or code that KASAN does not check.\n"
		  "That is assembler, another alias, or x++ where the compiler checks only the read.",
	.traps = true,
};
