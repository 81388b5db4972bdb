// SPDX-License-Identifier: GPL-2.0
/*
 * The guard on generic KASAN: paints the shadow of memory that a device owns,
 * and judges each access that KASAN then finds bad.
 *
 * The shadow is changed under the phys shard lock of its region, and with cmpxchg
 * where the allocators may change it at the same time: see poison_words(). Only
 * granules that are accessible are painted, and only our own values are cleared:
 * redzones and freed memory are KASAN's and stay so.
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
#include "../attach/attach.h"
#include "../judge/judge.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "guard.h"

#include <linux/instruction_pointer.h>
#include <linux/kallsyms.h>
#include <linux/kasan-checks.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/kprobes.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <trace/events/error_report.h>

/*
 * Our values in the shadow. All are >= 0x80 and used by no kernel: see
 * mm/kasan/kasan.h. The direction can be read off without a lock:
 *
 *   0xd1, 0xd2, 0xd3	a whole granule, TO_DEVICE, FROM_DEVICE, BIDIRECTIONAL
 *   0x80 | dir << 3 | n	the granule in which both a mapping and its memory
 *			end: n bytes of it exist, dir is 1, 2, 3 as above
 *
 *	0xd4		the CPU's, but in a cache line that a device is writing:
 *			read it, do not write it
 *	0xd5		the CPU's, and its next write is to be known
 *	0xd6		the device is done with it, but it was not synced for the CPU:
 *			write it, do not read it
 */
#define SHADOW_TO_DEVICE	0xd1
#define SHADOW_FROM_DEVICE	0xd2
#define SHADOW_BIDIRECTIONAL	0xd3
#define SHADOW_EDGE		0xd4
#define SHADOW_WATCHED		0xd5
#define SHADOW_STALE		0xd6
#define SHADOW_DIR		0x03
#define SHADOW_TAIL		0x80
#define SHADOW_TAIL_DIR_SHIFT	3
#define SHADOW_TAIL_BYTES	0x07

/* KASAN's own, of what lies behind an object: mm/kasan/kasan.h. */
#define SHADOW_SLAB_REDZONE	0xfc
#define SHADOW_PAGE_REDZONE	0xfe
/* And of what was freed. */
#define SHADOW_PAGE_FREE	0xff
#define SHADOW_SLAB_FREE	0xfb
#define SHADOW_SLAB_FREE_META	0xfa

#define GRANULE		BIT(KASAN_SHADOW_SCALE_SHIFT)
#define WORD_BYTES	(GRANULE * sizeof(u64))

/* How far from a mapping KASAN's find may lie to have to do with it, in bytes. */
#define NEAR		64ULL

static const u8 shadow_values[] = {
	[DMA_TO_DEVICE]		= SHADOW_TO_DEVICE,
	[DMA_FROM_DEVICE]	= SHADOW_FROM_DEVICE,
	[DMA_BIDIRECTIONAL]	= SHADOW_BIDIRECTIONAL,
	[DMA_NONE]		= SHADOW_STALE,
};

/* The functions of KASAN that we stand in for, and which decides when. */
enum { REPORT, CHECK_BYTE, INVALID_FREE, NR_PROBES };

static struct kprobe probes[NR_PROBES];

static bool is_whole(u8 value)
{
	return value >= SHADOW_TO_DEVICE && value <= SHADOW_STALE;
}

/* Where a granule is painted twice, the value that forbids more wins. */
static int strength(u8 value)
{
	switch (value) {
	case SHADOW_WATCHED:
		return 0;
	case SHADOW_EDGE:
		return 1;
	case SHADOW_STALE:
		return 2;
	default:
		return value;
	}
}

static u8 tail_value(u8 whole, u8 bytes)
{
	return SHADOW_TAIL | (whole & SHADOW_DIR) << SHADOW_TAIL_DIR_SHIFT |
	       bytes;
}

static u8 tail_bytes(u8 value)
{
	return value & SHADOW_TAIL_BYTES;
}

static bool is_tail(u8 value)
{
	return value >= tail_value(SHADOW_TO_DEVICE, 1) &&
	       value <= tail_value(SHADOW_BIDIRECTIONAL, 7) && tail_bytes(value);
}

static bool is_ours(u8 value)
{
	return is_whole(value) || is_tail(value);
}

/* Only reads of what goes to the device are allowed. */
static bool forbids(u8 value, bool write)
{
	return write ||
	       !(value == SHADOW_TO_DEVICE || value == SHADOW_EDGE ||
		 value == SHADOW_WATCHED ||
		 value == tail_value(SHADOW_TO_DEVICE, tail_bytes(value)));
}

static u64 repeat(u8 value)
{
	return value * 0x0101010101010101ULL;
}

/* === Painting ============================================================= */

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

/* The granule's first bytes are the device's, and no others exist. */
static bool poison_tail(u8 *shadow, u8 whole, u8 bytes)
{
	u8 value = tail_value(whole, bytes), old = READ_ONCE(*shadow);

	while (old == bytes ||
	       (is_tail(old) && tail_bytes(old) == bytes && old < value))
		if (try_cmpxchg(shadow, &old, value))
			return true;
	return is_tail(old) && tail_bytes(old) == bytes;
}

/*
 * So many words are looked at before any of them is changed. By plain reads, which the
 * compiler makes a part of the instructions that compare: nobody else changes them, see
 * poison_words().
 */
#define WORDS	8

static bool words_are(const unsigned long *w, unsigned long value)
{
	return w[0] == value && w[1] == value && w[2] == value && w[3] == value &&
	       w[4] == value && w[5] == value && w[6] == value && w[7] == value;
}

static bool words_are_zero(const unsigned long *w)
{
	return !(w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]);
}

static void store_words(unsigned long *w, unsigned long value)
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
 * Nearly always all of a word is accessible, or all of it is ours and alike. Then it is
 * stored, and not exchanged. A word that is to be painted lies inside of the range. One
 * that has our values, but for edges, belongs to a live mapping, which cannot end, and
 * give its memory back, without the lock of the region. So KASAN changes the word at the
 * same time only if somebody frees what is mapped, and then may forget that it was freed.
 * Edges are others' memory, and are exchanged.
 */
static void poison_words(unsigned long *w, const unsigned long *end, u8 value)
{
	unsigned long pattern = repeat(value);
	const unsigned long *stop;
	int i;

	do {
		for (; end - w >= WORDS && words_are_zero(w); w += WORDS)
			store_words(w, pattern);
		for (stop = end - w < WORDS ? end : w + WORDS; w < stop; w++) {
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

static void clear_words(unsigned long *w, const unsigned long *end)
{
	unsigned long alike = repeat(SHADOW_TO_DEVICE), old;
	const unsigned long *stop;
	int i;

	do {
		for (; end - w >= WORDS && words_are(w, alike); w += WORDS)
			store_words(w, 0);
		for (stop = end - w < WORDS ? end : w + WORDS; w < stop; w++) {
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

/* Both are aligned. */
static __always_inline void change_words(u8 *p, u8 *e, u8 value)
{
	if (value)
		poison_words((unsigned long *)p, (unsigned long *)e, value);
	else
		clear_words((unsigned long *)p, (unsigned long *)e);
}

/* value 0 clears. @start and @end are physical and multiples of GRANULE. */
static void poison_range(u64 start, u64 end, u8 value)
{
	u8 *p = kasan_mem_to_shadow(phys_to_virt(start));
	u8 *e = p + (end - start) / GRANULE;
	u8 *first, *after;

	if (likely(IS_ALIGNED((unsigned long)p | (unsigned long)e, sizeof(long)) &&
		   value != SHADOW_EDGE)) {
		change_words(p, e, value);
		return;
	}
	first = PTR_ALIGN(p, sizeof(long));
	after = PTR_ALIGN_DOWN(e, sizeof(long));
	if (first < after && value != SHADOW_EDGE) {
		change_words(first, after, value);
	} else {
		first = e;
		after = e;
	}
	for (; p < first; p++)
		value ? poison_byte(p, value) : clear_byte(p);
	for (p = after; p < e; p++)
		value ? poison_byte(p, value) : clear_byte(p);
}

/* === The breakpoints are there ============================================ */

/*
 * Everybody may switch all kprobes off, /sys/kernel/debug/kprobes/enabled. From then on
 * each access to what is painted is one of KASAN's reports, legal or not. A probe's
 * opcode is what its breakpoint has replaced, and is in its place again then.
 */
static bool is_armed(void)
{
	const struct kprobe *p = &probes[REPORT];

	return READ_ONCE(*p->addr) != p->opcode;
}

/* Asked before anything is painted. */
static bool is_gone(void)
{
	if (likely(is_armed()))
		return false;
	dod_stop("the breakpoint on kasan_report() is gone (are kprobes switched off?)");
	return true;
}

/* === Guard interface ====================================================== */

/* The mapping ends in a granule of which not all bytes exist. */
static bool own_tail(const struct dod_mapping *m, u8 value)
{
	u64 granule = round_down(m->last + 1, GRANULE);

	if (m->trap == DOD_TRAP_SOME && !dod_memory_can_trap(granule))
		return false;
	return poison_tail(kasan_mem_to_shadow(phys_to_virt(granule)), value,
			   m->last + 1 - granule);
}

static void poison(const struct dod_mapping *m, u64 start, u64 last, u8 dir)
{
	u64 from = round_up(start, GRANULE), to = round_down(last + 1, GRANULE);
	bool odd_end = !IS_ALIGNED(last + 1, GRANULE);
	u8 value = shadow_values[dir];
	u64 phys;

	if (is_gone())
		return;
	if (odd_end && last == m->last && start <= to && dir != DMA_NONE &&
	    own_tail(m, value))
		odd_end = false;
	if (odd_end || !IS_ALIGNED(start, GRANULE))
		dod_count(DOD_C_UNTRAPPED_SUB_GRANULE);
	if (from >= to)
		return;
	if (m->trap == DOD_TRAP_ALL) {
		poison_range(from, to, value);
		return;
	}
	for (phys = from; phys < to;
	     phys = dod_page_end(phys, to - 1) + 1)
		if (dod_memory_can_trap(phys))
			poison_range(phys, dod_page_end(phys, to - 1) + 1,
				     value);
}

static void unpoison(u64 start, u64 last)
{
	poison_range(round_down(start, GRANULE), round_up(last + 1, GRANULE), 0);
}

static bool is_poisoned(const void *addr)
{
	u8 value = READ_ONCE(*(u8 *)kasan_mem_to_shadow(addr));

	return is_ours(value) && value != SHADOW_WATCHED;
}

static void watch(u64 start, u64 last, bool on)
{
	u64 from = round_up(start, GRANULE), to = round_down(last + 1, GRANULE);
	u8 *p = kasan_mem_to_shadow(phys_to_virt(from));
	u8 old;

	if (on && from < to && !is_gone())
		poison_range(from, to, SHADOW_WATCHED);
	/* No other value of ours must go. */
	for (; !on && from < to; from += GRANULE, p++) {
		old = SHADOW_WATCHED;
		if (READ_ONCE(*p) == old)
			try_cmpxchg(p, &old, 0);
	}
}

static u8 shadow_of(u64 phys)
{
	return READ_ONCE(*(u8 *)kasan_mem_to_shadow(phys_to_virt(phys)));
}

/* How many bytes of the granule exist, whoever owns them. */
static unsigned int existing(u8 value)
{
	if (!value || is_whole(value))
		return GRANULE;
	if (is_tail(value))
		return tail_bytes(value);
	return value < GRANULE ? value : 0;
}

/*
 * Memory is one piece from the mapping outwards, up to the first byte that is not
 * accessible: what lies behind a redzone is another object, and lies elsewhere
 * where the kernel lays memory out for cache lines of that size.
 */
static u64 accessible_bytes(u64 start, u64 last, bool after)
{
	u64 phys, granule;

	if (after) {
		for (phys = start; phys <= last; phys = granule + GRANULE) {
			unsigned int bytes;

			granule = round_down(phys, GRANULE);
			bytes = existing(shadow_of(granule));
			if (bytes < GRANULE)
				return max(granule + bytes, phys) - start;
		}
		return last + 1 - start;
	}
	for (phys = last + 1; phys > start; phys = granule) {
		granule = round_down(phys - 1, GRANULE);
		if (granule + existing(shadow_of(granule)) < phys)
			return last + 1 - phys;
	}
	return last + 1 - start;
}

/* As long as it is accessible; nothing of it is if it was freed before. */
static u64 object(const void *addr)
{
	struct folio *folio = virt_to_folio(addr);

	/* KASAN leaves KFENCE's pool alone. */
	if (is_kfence_address(addr))
		return ksize(addr);
	return accessible_bytes(virt_to_phys((void *)addr),
				PFN_PHYS(folio_pfn(folio)) + folio_size(folio) - 1, true);
}

static void poison_line_edge(const struct dod_mapping *m, u64 start, u64 last)
{
	bool after = start > m->last;
	u64 nr = accessible_bytes(start, last, after);

	if (after)
		last = start + nr - 1;
	else
		start = last + 1 - nr;
	start = round_up(start, GRANULE);
	last = round_down(last + 1, GRANULE);
	if (start < last && !is_gone())
		poison_range(start, last, SHADOW_EDGE);
}

/* KASAN's values: mm/kasan/kasan.h, the same in all kernels. */
static const struct {
	u8 value;
	bool freed;
	const char *name;
} kasan_values[] = {
	{ SHADOW_PAGE_FREE, true, "a freed page" },
	{ SHADOW_PAGE_REDZONE, false, "the redzone behind a large kmalloc() buffer" },
	{ SHADOW_SLAB_REDZONE, false, "a slab redzone" },
	{ SHADOW_SLAB_FREE, true, "a freed slab object" },
	{ SHADOW_SLAB_FREE_META, true, "a freed slab object" },
	{ 0xf9, false, "the redzone of a global variable" },
};

/* What KASAN calls a granule of which some bytes must not be accessed. */
static const char *kasan_name(u8 value, bool *freed)
{
	unsigned int i;

	*freed = false;
	/* The redzone begins inside the granule. */
	if (value < GRANULE || is_tail(value))
		return "a redzone";
	for (i = 0; i < ARRAY_SIZE(kasan_values); i++)
		if (kasan_values[i].value == value) {
			*freed = kasan_values[i].freed;
			return kasan_values[i].name;
		}
	return NULL;
}

/* The first byte of the shadow from @p on that is not 0, @end if there is none. */
static const u8 *skip_accessible(const u8 *p, const u8 *end)
{
	while (p < end && !IS_ALIGNED((unsigned long)p, sizeof(long)) && !*p)
		p++;
	if (IS_ALIGNED((unsigned long)p, sizeof(long))) {
		const unsigned long *w = (const unsigned long *)p;
		const unsigned long *after =
			(const unsigned long *)PTR_ALIGN_DOWN(end, sizeof(long));

		while (after - w >= WORDS && words_are_zero(w))
			w += WORDS;
		while (w < after && !*w)
			w++;
		p = (const u8 *)w;
	}
	while (p < end && !*p)
		p++;
	return p;
}

static bool is_whole_granule(u64 phys)
{
	u8 value = shadow_of(phys);

	return !value || is_whole(value);
}

/*
 * Of pages that belong to no slab all is accessible, or nothing, or what precedes the
 * redzone of a large kmalloc() buffer: their last granule tells. Variables of the kernel,
 * with redzones between them, are in reserved memory.
 */
static bool is_of_whole_pages(u64 start, u64 last)
{
	unsigned long pfn, last_pfn = PHYS_PFN(last);

	for (pfn = PHYS_PFN(start); ; pfn++) {
		struct page *page = pfn_to_page(pfn);

		if (PageReserved(page) || folio_test_slab(page_folio(page)))
			return false;
		if (pfn != last_pfn)
			pfn = min(dod_folio_last(pfn), last_pfn);
		if (!is_whole_granule(min(PFN_PHYS(pfn + 1) - 1, last)))
			return false;
		if (pfn == last_pfn)
			return true;
	}
}

static const char *first_bad_byte(u64 start, u64 last, u64 *bad, bool *freed)
{
	const u8 *p = kasan_mem_to_shadow(phys_to_virt(start)), *first = p;
	const u8 *end = kasan_mem_to_shadow(phys_to_virt(last)) + 1;

	if (end - p == sizeof(long) && IS_ALIGNED((unsigned long)p, sizeof(long)) &&
	    !READ_ONCE(*(unsigned long *)p))
		return NULL;
	if (is_of_whole_pages(start, last))
		return NULL;
	for (; (p = skip_accessible(p, end)) < end; p++) {
		u64 granule = round_down(start, GRANULE) + (p - first) * GRANULE;
		u8 value = READ_ONCE(*p);
		unsigned int bytes = existing(value);
		const char *name;

		if (bytes == GRANULE || last < granule + bytes)
			continue;
		name = kasan_name(value, freed);
		if (!name) {
			dod_count(DOD_C_UNJUDGED_SHADOW);
			return NULL;
		}
		*bad = max(granule + bytes, start);
		return name;
	}
	return NULL;
}

/*
 * Whoever frees an object or a page poisons all of it, so that one granule of what was
 * allocated at once tells. What was allocated again since is not seen.
 */
static bool freed(u64 start, u64 last)
{
	unsigned long pfn = PHYS_PFN(start), last_pfn = PHYS_PFN(last);

	for (;;) {
		u8 value = shadow_of(start);

		if (value == SHADOW_PAGE_FREE || value == SHADOW_SLAB_FREE ||
		    value == SHADOW_SLAB_FREE_META)
			return true;
		if (pfn == last_pfn)
			return false;
		pfn = dod_folio_last(pfn) + 1;
		if (pfn > last_pfn)
			return false;
		start = PFN_PHYS(pfn);
	}
}

/* What KASAN itself says of the granule. */
static u8 state(u64 phys)
{
	u8 value = shadow_of(phys);

	if (is_whole(value))
		return 0;
	return is_tail(value) ? tail_bytes(value) : value;
}

/* The first byte of the accessible run that @phys is in, not before @first. */
static u64 run_start(u64 phys, u64 first)
{
	const u8 *begin = kasan_mem_to_shadow(phys_to_virt(first));
	const u8 *p = kasan_mem_to_shadow(phys_to_virt(phys));

	while (p > begin) {
		if (IS_ALIGNED((unsigned long)p, sizeof(u64)) &&
		    p - begin >= sizeof(u64) && !*(const u64 *)(p - sizeof(u64)))
			p -= sizeof(u64);
		else if (existing(READ_ONCE(p[-1])) == GRANULE)
			p--;
		else
			break;
	}
	return first + (p - begin) * GRANULE;
}

/*
 * Where the memory ends that the allocator gave out, if @from on is padding: the
 * rest of a slab object or of the pages of a large one. Behind a slab object is what
 * KASAN and the slab allocator know of it, with the same values in the shadow.
 */
static u64 object_end(const struct dod_mapping *m, struct folio *folio,
		      u64 from, u8 *redzone)
{
	u64 first = PFN_PHYS(folio_pfn(folio)), object;
	unsigned long flags;
	size_t size;

	*redzone = SHADOW_PAGE_REDZONE;
	if (!folio_test_slab(folio))
		return first + folio_size(folio);
	*redzone = SHADOW_SLAB_REDZONE;
	/* The rest of its last granule is the object's for sure. */
	if (DOD_KSIZE_UNPOISONS)
		return round_up(from, GRANULE);
	object = run_start(m->start, first);
	flags = dod_quiet_begin();
	size = ksize(phys_to_virt(object));
	dod_quiet_end(flags);
	return object + size;
}

static unsigned int redzone_bytes(const struct dod_mapping *m, unsigned int most,
				  u64 *start)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(m->last)));
	u64 end = PFN_PHYS(folio_pfn(folio)) + folio_size(folio), from, to;
	u8 value, redzone;

	if (folio != page_folio(pfn_to_page(PHYS_PFN(m->start))))
		return 0;
	end = min(end, m->last + 1 + most);
	from = m->last + 1;
	if (from >= end)
		return 0;
	from += accessible_bytes(from, end - 1, true);
	value = from < end ? state(from) : 0;
	/* Accessible, or something else again. */
	if (!value || (value >= GRANULE && value != SHADOW_SLAB_REDZONE &&
		       value != SHADOW_PAGE_REDZONE))
		return 0;
	end = min(end, object_end(m, folio, from, &redzone));
	for (to = from; to < end; to = round_down(to, GRANULE) + GRANULE)
		if (state(to) != redzone && !(to == from && value < GRANULE))
			break;
	to = min(to, end);
	*start = from;
	return to > from ? to - from : 0;
}

/* === Judging an access ==================================================== */

/**
 * struct verdict - what is bad about an access, in the order KASAN looks at it
 *
 * @ours:	first byte that a device owns and this access must not touch; if there is
 *		none, the first that is stale and is read
 * @edge:	first byte that shares a cache line with what a device writes, and
 *		that this access must not touch
 * @watched:	first byte whose write is to be known, or is legal and ends that the
 *		byte is stale, if it is one
 * @foreign:	first byte that is bad without us
 * @seen:	some granule of the access is ours, forbidden or not
 * @tail:	@foreign lies in a granule that we painted as well
 */
struct verdict {
	unsigned long ours, edge, watched, foreign;
	bool seen, tail;
};

static bool is_foreign(u8 value, unsigned long granule, unsigned long last)
{
	if (value >= 0x80)
		return true;
	/* The first value bytes of the granule exist. */
	return value && last >= granule + value;
}

/*
 * clang checks an access that may be unaligned at its first and at its last byte,
 * and reports the address of the last byte with the size of the whole (LLVM's
 * instrumentUnusualSizeOrAlignment()). What lies behind it has not been accessed.
 * Its other inline checks look at one granule.
 */
static bool may_be_last_byte(unsigned long addr, size_t size)
{
	const u8 *shadow = kasan_mem_to_shadow((void *)addr);

	return IS_ENABLED(CONFIG_CC_IS_CLANG) && size > 1 && size < 16 &&
	       (!is_power_of_2(size) || !IS_ALIGNED(addr, size) ||
		is_ours(READ_ONCE(*shadow)));
}

/*
 * Was it an inline check that found the access? Those report through
 * __asan_report_*(), which may have jumped: then kasan_report() returns to the
 * access itself. Checks of whole ranges, as for memcpy(), know what they say.
 */
static bool is_inline_check(unsigned long caller, unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];

	if (caller == ip)
		return true;
	sprint_symbol_no_offset(name, caller);
	return strstarts(name, "__asan_report_");
}

/*
 * Looks at the shadow of an access as KASAN has done, without a lock: what has
 * been handed back meanwhile is not bad any more.
 */
static struct verdict look(unsigned long addr, unsigned long last, bool write)
{
	unsigned long granule, stale = 0;
	struct verdict v = {};
	const u8 *shadow;

	for (granule = round_down(addr, GRANULE); granule <= last;
	     granule += GRANULE) {
		u8 value;

		shadow = kasan_mem_to_shadow((void *)granule);
		if (IS_ALIGNED((unsigned long)shadow, sizeof(u64)) &&
		    last - granule >= WORD_BYTES) {
			u64 word = READ_ONCE(*(u64 *)shadow);

			if (!word ||
			    (!write && (word == repeat(SHADOW_TO_DEVICE) ||
					word == repeat(SHADOW_WATCHED)))) {
				v.seen |= !!word;
				granule += WORD_BYTES - GRANULE;
				continue;
			}
		}
		value = READ_ONCE(*shadow);
		if (!value)
			continue;
		if (!is_ours(value)) {
			if (!is_foreign(value, granule, last))
				continue;
			v.foreign = max(addr, granule);
			break;
		}
		v.seen = true;
		if (is_tail(value) && last >= granule + tail_bytes(value)) {
			v.foreign = max(addr, granule);
			v.tail = true;
			break;
		}
		if (!forbids(value, write))
			continue;
		if (value == SHADOW_WATCHED || (value == SHADOW_STALE && write))
			v.watched = v.watched ?: max(addr, granule);
		else if (value == SHADOW_EDGE)
			v.edge = v.edge ?: max(addr, granule);
		else if (value == SHADOW_STALE)
			stale = stale ?: max(addr, granule);
		else
			v.ours = v.ours ?: max(addr, granule);
	}
	/* Rows of permissive.h that let stale bytes pass excuse no byte that is owned. */
	v.ours = v.ours ?: stale;
	return v;
}

static struct verdict judge(const struct dod_access *access, unsigned long caller)
{
	unsigned long addr = access->addr;
	struct verdict v = look(addr, addr + access->size - 1, access->write);

	if (v.foreign && may_be_last_byte(addr, access->size) &&
	    is_inline_check(caller, access->ip))
		v = look(addr, addr, access->write);
	return v;
}

/*
 * Is it KASAN's alone, for sure? That must be told without a function of the kernel's:
 * see on_kasan_report(). Where in doubt it is judged, and KASAN asked then.
 */
static bool is_foreign_only(const struct dod_access *access)
{
	unsigned long addr = access->addr;
	struct verdict v = look(addr, addr + access->size - 1, access->write);

	return v.foreign && !v.seen &&
	       !(may_be_last_byte(addr, access->size) &&
		 !look(addr, addr, access->write).foreign);
}

/*
 * What is legal so far: to be remembered, and not to trap again. Or it is excused, and
 * not guarded any more. @m and @range are to work with. Returns whether it is remembered.
 */
static bool note_write(const struct dod_access *access, const struct verdict *v,
		       struct dod_mapping *m, struct dod_range *range)
{
	u8 dir = v->ours ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	struct dod_write write;

	if (!READ_ONCE(dod_armed))
		return false;
	if (!dod_owner_write(access, NULL))
		return true;
	if (v->ours && dod_owner_find(virt_to_phys((void *)v->ours), true, m, range) &&
	    dod_owner_excuse(virt_to_phys((void *)v->ours), m))
		return false;
	if (!dod_access_note_write(access, dir, &write))
		return false;
	dod_owner_write(access, &write);
	return true;
}

/* The device has given the byte back since. It may be stale now; a write ends that. */
static void too_late(const struct dod_access *access)
{
	dod_count(DOD_C_TRAPS_TOO_LATE);
	if (access->write)
		dod_owner_write(access, NULL);
}

/* Does a device only read what must not be written? */
static bool is_sent(unsigned long addr)
{
	u8 value = READ_ONCE(*(u8 *)kasan_mem_to_shadow((void *)addr));

	return value == SHADOW_TO_DEVICE ||
	       (is_tail(value) && value == tail_value(SHADOW_TO_DEVICE, tail_bytes(value)));
}

/* So often another CPU may sync it for the device while a write is being noted. */
#define NOTE_TRIES	4

/* Whose access report_foreign() asks KASAN about on this CPU. */
struct asked {
	unsigned long addr, ip;
};

static DEFINE_PER_CPU(struct asked, foreign);

/*
 * KASAN's own find behind ours: KASAN itself is asked, and finds it. The handler lets
 * that through, because the first bad byte is not ours, and tells whose access it is.
 *
 * kasan_report() cannot be called: it is not exported, and an indirect call of what
 * kallsyms knows is no legal one where the processor (IBT, BTI) or the compiler (CFI)
 * checks those. The kernel takes the landing pads away from functions that it never
 * calls so itself.
 *
 * Returns whether KASAN says that the access must not go ahead.
 */
static bool report_foreign(const struct dod_access *access, unsigned long bad)
{
	unsigned long flags, rest = access->addr + access->size - bad;
	unsigned int size = min_t(unsigned long, rest, UINT_MAX);
	bool ok;

	local_irq_save(flags);
	raw_cpu_write(foreign.addr, bad);
	raw_cpu_write(foreign.ip, access->ip);
	if (access->write)
		ok = __kasan_check_write((void *)bad, size);
	else
		ok = __kasan_check_read((void *)bad, size);
	raw_cpu_write(foreign.addr, 0);
	local_irq_restore(flags);
	return !ok;
}

/* A read of what goes to the device, by one instruction. */
static bool is_allowed_read(const void *addr, size_t size)
{
	return size <= GRANULE &&
	       READ_ONCE(*(u8 *)kasan_mem_to_shadow(addr)) == SHADOW_TO_DEVICE &&
	       READ_ONCE(*(u8 *)kasan_mem_to_shadow(addr + size - 1)) == SHADOW_TO_DEVICE;
}

/*
 * Runs in the place of kasan_report(), in the context of the access, for
 * accesses in which the first bad byte is ours or was a moment ago.
 *
 * Returns false, and so does whoever called us: the access goes ahead. True
 * would make memcpy() skip the copy. Unlike kasan_report() it leaves access to
 * user memory as it is, which objtool forbids modules to change: interrupts are
 * off around all that could schedule.
 */
static bool report_access(const void *addr, size_t size, bool write,
			  unsigned long ip)
{
	struct dod_access access = {
		.addr = (unsigned long)addr,
		.size = size,
		.write = write,
		.ip = ip,
	};
	struct dod_mapping m DOD_UNINITIALIZED;
	struct dod_range range DOD_UNINITIALIZED;
	unsigned long flags = dod_quiet_begin();
	struct verdict v;
	bool reported, recorded = false;
	unsigned int i;

	if (likely(!write && is_allowed_read(addr, size))) {
		dod_reads_note(virt_to_phys((void *)addr), size, ip);
		dod_count(DOD_C_ALLOWED_READS);
		dod_quiet_end(flags);
		return false;
	}
	v = judge(&access, _RET_IP_);
	if (v.ours && write) {
		if (!dod_may_lock())
			dod_content_invalidate_all();
		else
			dod_owner_seen_write(virt_to_phys((void *)addr), size);
	}
	if (write && (v.ours || v.watched) && dod_may_lock()) {
		bool foreign = v.foreign, tail = v.tail;
		unsigned long first = v.foreign;

		/* Then it is to be noted once more: the write itself is yet to come. */
		for (i = 0; i < NOTE_TRIES; i++) {
			recorded = note_write(&access, &v, &m, &range);
			v = look(access.addr, access.addr + size - 1, write);
			if (!recorded || !v.ours || !is_sent(v.ours))
				break;
		}
		recorded = true;
		if (foreign) {
			v.foreign = first;
			v.tail = tail;
		}
	}
	if (v.edge && write) {
		if (!dod_may_lock())
			dod_content_invalidate_all();
		else
			dod_owner_seen_edge_write(virt_to_phys((void *)v.edge),
						  virt_to_phys((void *)addr) + size - 1);
	}
	if (v.ours) {
		access.bad = virt_to_phys((void *)v.ours);
		if (!dod_may_lock())
			dod_count(DOD_C_TRAPS_IN_NMI);
		else if (!dod_owner_find(access.bad, write, &m, &range))
			too_late(&access);
		else if (dod_hooks_selftest_access(&m, write) ||
			 dod_owner_excuse(access.bad, &m))
			;
		else if (READ_ONCE(dod_armed))
			dod_access_report(access.write ? DOD_R_CPU_WRITE : DOD_R_CPU_READ, &access, &m, &range);
		else
			dod_count(DOD_C_TRAPS_TOO_LATE);
	} else if (v.edge) {
		access.bad = virt_to_phys((void *)v.edge);
		if (!dod_may_lock())
			dod_count(DOD_C_TRAPS_IN_NMI);
		else if (READ_ONCE(dod_armed) &&
			 dod_owner_find_edge(access.bad, &m, &range))
			dod_access_report(DOD_R_SHARED_LINE_WRITE, &access, &m, &range);
		else
			dod_count(DOD_C_TRAPS_TOO_LATE);
	} else if (v.seen && !write) {
		dod_reads_note(virt_to_phys((void *)addr), size, ip);
		dod_count(DOD_C_ALLOWED_READS);
	} else if (!v.foreign && !recorded) {
		dod_count(DOD_C_TRAPS_TOO_LATE);
	}
	dod_quiet_end(flags);
	if (!v.foreign)
		return false;

	/* The last granule tells KASAN how many bytes of it exist while it reports. */
	if (v.tail)
		clear_byte(kasan_mem_to_shadow((void *)v.foreign));
	reported = report_foreign(&access, v.seen ? v.foreign : access.addr);
	if (v.tail && dod_may_lock())
		dod_owner_guard_again(virt_to_phys((void *)v.foreign));
	return reported;
}

/* kasan_report() is also called for user and for wild addresses. */
static bool in_linear_map(unsigned long addr, size_t size)
{
	unsigned long last = addr + size - 1;

	return size && last >= addr && virt_addr_valid((void *)addr) &&
	       (!((addr ^ last) & PAGE_MASK) || virt_addr_valid((void *)last));
}

/* Runs in the place of kasan_report() for an access of the tool itself. */
static bool let_through(const void *addr, size_t size, bool write, unsigned long ip)
{
	return false;
}

/*
 * Breakpoint context, perhaps inside of another probe's handler: only decide. No lock,
 * no printing, no unwinding, and no function of the kernel that may be probed, or may
 * be instrumented: kprobes cannot take one more breakpoint there.
 */
static int __kprobes on_kasan_report(struct kprobe *p, struct pt_regs *regs)
{
	struct dod_access access = {
		.addr = regs_get_kernel_argument(regs, 0),
		.size = regs_get_kernel_argument(regs, 1),
		.write = (u8)regs_get_kernel_argument(regs, 2),
		.ip = regs_get_kernel_argument(regs, 3),
	};

	if (!in_linear_map(access.addr, access.size))
		return 0;
	if (raw_cpu_read(dod_quiet) &&
	    is_ours(READ_ONCE(*(u8 *)kasan_mem_to_shadow((void *)access.addr)))) {
		/* Once more is never: whatever this is, it must end. */
		dod_count(DOD_C_TRAPS_NESTED);
		instruction_pointer_set(regs, (unsigned long)let_through);
		return 1;
	}
	/* As report_suppressed_sw(): whoever reads poison on purpose. */
	if (current->kasan_depth)
		return 0;
	if (unlikely(raw_cpu_read(foreign.addr) == access.addr)) {
		dod_set_arg3(regs, raw_cpu_read(foreign.ip));
		return 0;
	}
	if (is_foreign_only(&access)) {
		/* It goes ahead where KASAN has had its only report. */
		if (access.write)
			dod_content_invalidate_all();
		return 0;
	}
	instruction_pointer_set(regs, (unsigned long)report_access);
	return 1;
}

/*
 * Runs in the place of __kasan_check_byte(), with which ksize() and krealloc() ask
 * whether an object is alive: it is, whoever owns it.
 */
static bool byte_is_alive(const void *addr, unsigned long ip)
{
	/* krealloc() may clear padding; our own ksize() does not. */
	if (!raw_cpu_read(dod_quiet))
		dod_content_invalidate_all();
	return true;
}

/* Breakpoint context, too. */
static int __kprobes on_check_byte(struct kprobe *p, struct pt_regs *regs)
{
	unsigned long addr = regs_get_kernel_argument(regs, 0);

	if (!in_linear_map(addr, 1) ||
	    !is_ours(READ_ONCE(*(u8 *)kasan_mem_to_shadow((void *)addr))))
		return 0;
	instruction_pointer_set(regs, (unsigned long)byte_is_alive);
	return 1;
}

/*
 * Runs in the place of kasan_report_invalid_free(): KASAN takes an object whose first
 * granule is ours for freed, where no hook has seen the free. Its caller does not free
 * the object now; the device may still write to it.
 */
static void invalid_free(void *object, unsigned long ip, int type)
{
	dod_free_object(object, ip);
}

/* Breakpoint context, too. enum kasan_report_type is in mm/kasan/kasan.h. */
static int __kprobes on_invalid_free(struct kprobe *p, struct pt_regs *regs)
{
	const int double_free = 2;
	unsigned long addr = regs_get_kernel_argument(regs, 0);

	if ((int)regs_get_kernel_argument(regs, 2) != double_free ||
	    !in_linear_map(addr, 1) ||
	    !is_ours(READ_ONCE(*(u8 *)kasan_mem_to_shadow((void *)addr))))
		return 0;
	instruction_pointer_set(regs, (unsigned long)invalid_free);
	return 1;
}

/* Its presence keeps the probe a breakpoint: a jump could not redirect. */
static void after_probe(struct kprobe *p, struct pt_regs *regs,
			unsigned long flags)
{
}

/*
 * Was it our own mark that KASAN has just reported? What it has found is the first value
 * from the access on; how long that was is not told.
 */
static bool reported_ours(unsigned long addr)
{
	unsigned long granule, end = round_up(addr + 1, PAGE_SIZE);

	for (granule = round_down(addr, GRANULE); granule < end; granule += GRANULE) {
		u8 value = READ_ONCE(*(u8 *)kasan_mem_to_shadow((void *)granule));

		if (value)
			return is_ours(value);
	}
	return false;
}

static void on_error_report_end(void *data, enum error_detector detector,
				unsigned long addr)
{
	struct dod_mapping m;
	unsigned long flags;
	u64 phys;

	if (detector != ERROR_DETECTOR_KASAN || !dod_may_lock() ||
	    !in_linear_map(addr, 1))
		return;
	phys = virt_to_phys((void *)addr);
	flags = dod_quiet_begin();
	if (dod_owner_find_mapping(phys, NEAR, &m)) {
		dod_report_annotate(&m, phys);
		dod_count(DOD_C_KASAN_ANNOTATED);
	}
	if (reported_ours(addr)) {
		dod_count(DOD_C_MISSED_TRAPS);
		dod_report_annotate_missed();
		is_gone();
	}
	dod_quiet_end(flags);
}

static const struct {
	const char *function;
	kprobe_pre_handler_t handler;
} probed[NR_PROBES] = {
	[REPORT] = { "kasan_report", on_kasan_report },
	[CHECK_BYTE] = { "__kasan_check_byte", on_check_byte },
	[INVALID_FREE] = { "kasan_report_invalid_free", on_invalid_free },
};

/* === Breakpoints inside of another probe's handler ======================== */

/*
 * Where kprobes sit on ftrace's calls, or are jumps, handlers run with interrupts on. A
 * breakpoint that is hit meanwhile has no pre_handler called, but the instruction that
 * it has replaced is carried out. We carry that out ourselves, and look first: a read
 * of DMA_TO_DEVICE memory in such an interrupt is legal, and no "unknown-crash".
 */
#ifdef DOD_KPROBES_EMULATE
/* The number of the register that an instruction pushes, -1 if it is no push. */
static int pushed_register(const struct kprobe *p)
{
	const u8 *insn = p->ainsn.insn;

	if (p->ainsn.size == 1 && (insn[0] & 0xf8) == 0x50)
		return insn[0] & 7;
	if (p->ainsn.size == 2 && insn[0] == 0x41 && (insn[1] & 0xf8) == 0x50)
		return 8 + (insn[1] & 7);
	return -1;
}

static void __kprobes judge_or_push(struct kprobe *p, struct pt_regs *regs)
{
	const unsigned long values[] = {
		regs->ax, regs->cx, regs->dx, regs->bx, regs->sp, regs->bp,
		regs->si, regs->di, regs->r8, regs->r9, regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15,
	};
	unsigned int i = 0;

	while (i < NR_PROBES - 1 && p->addr != probes[i].addr)
		i++;
	/* A second look, where the pre_handler has been called and left it to KASAN. */
	if (probed[i].handler(p, regs))
		return;
	int3_emulate_push(regs, values[pushed_register(p)]);
	int3_emulate_jmp(regs, (unsigned long)p->addr + p->ainsn.size);
}

/*
 * Kprobes look at one struct for each address: ours, or a copy of it that stands for all
 * probes there, and outlives ours if there is another.
 */
static struct kprobe *acting_probe(struct kprobe *p)
{
	struct kprobe *other, *acting = p;
	char name[KSYM_SYMBOL_LEN];

	rcu_read_lock();
	list_for_each_entry_rcu(other, &p->list, list) {
		sprint_symbol_no_offset(name, (unsigned long)other->pre_handler);
		if (!strcmp(name, "aggr_pre_handler"))
			acting = other;
	}
	rcu_read_unlock();
	return acting;
}

/* If it begins otherwise, such accesses stay missed: missed_traps counts them. */
static void step_ourselves(struct kprobe *p)
{
	struct kprobe *acting = acting_probe(p);

	if (acting->ainsn.insn && !acting->ainsn.emulate_op && pushed_register(acting) >= 0)
		WRITE_ONCE(acting->ainsn.emulate_op, judge_or_push);
}

static void step_no_more(struct kprobe *p)
{
	struct kprobe *acting = acting_probe(p);

	if (acting->ainsn.emulate_op == judge_or_push)
		WRITE_ONCE(acting->ainsn.emulate_op, NULL);
}
#else
static void step_ourselves(struct kprobe *p) {}
static void step_no_more(struct kprobe *p) {}
#endif

/* === Start and stop ======================================================= */

static void remove_probes(unsigned int nr)
{
	while (nr--) {
		step_no_more(&probes[nr]);
		unregister_kprobe(&probes[nr]);
	}
}

static int start(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < NR_PROBES; i++) {
		/* A probe that was unregistered must be set up anew. */
		probes[i] = (struct kprobe) {
			.symbol_name = probed[i].function,
			.pre_handler = probed[i].handler,
			.post_handler = after_probe,
		};
		err = register_kprobe(&probes[i]);
		if (err) {
			pr_err("cannot probe %s(): error %d\n",
			       probed[i].function, err);
			remove_probes(i);
			return err;
		}
		step_ourselves(&probes[i]);
	}
	if (!is_armed()) {
		pr_err("cannot load: kprobes are switched off: write 1 to /sys/kernel/debug/kprobes/enabled\n");
		remove_probes(NR_PROBES);
		return -EOPNOTSUPP;
	}
	err = register_trace_error_report_end(on_error_report_end, NULL);
	if (err) {
		pr_err("cannot attach to tracepoint error_report_end: error %d\n",
		       err);
		remove_probes(NR_PROBES);
	}
	return err;
}

static void stop(void)
{
	unregister_trace_error_report_end(on_error_report_end, NULL);
	remove_probes(NR_PROBES);
	tracepoint_synchronize_unregister();
	/*
	 * report_access() runs in the context of the access, where it can be
	 * preempted: wait for tasks, and for interrupts of idle CPUs.
	 */
	synchronize_rcu_tasks();
	synchronize_rcu();
}

/* Where the compiler leaves memcpy() and memset() unchecked: see compat.h. */
#define MEMCPY_NOTE \
	"memcpy() is not checked: build the kernel with gcc 13 or clang 15"

const struct dod_poison_ops dod_poison_ops = {
	.poison = poison,
	.unpoison = unpoison,
	.is_poisoned = is_poisoned,
	.poison_line_edge = poison_line_edge,
	.watch = watch,
};

const struct dod_mem_ops dod_mem_ops = {
	.classify = dod_memory_classify,
	.accessible_bytes = accessible_bytes,
	.object_size = object,
	.first_bad_byte = first_bad_byte,
	.redzone_bytes = redzone_bytes,
	.freed = freed,
	.state = state,
};

const struct dod_guard dod_guard = {
	.name = "KASAN",
	.means = DOD_MEMCPY_CHECKED ? NULL : MEMCPY_NOTE,
	.unseen = "No CPU write was seen: the device wrote there, or code that KASAN does not check.\n"
		  "That is assembler, another alias, or x++ where the compiler checks only the read.",
	.traps = true,
	.start = start,
	.stop = stop,
};
