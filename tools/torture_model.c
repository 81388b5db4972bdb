// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: the model. It knows who owns each byte of each buffer by the rules of the design, and
 * what the tool can know of it, and so what is right about an access: to be reported, to be
 * silent, or either.
 */

#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "torture.h"

/* === What the tool can know =============================================== */

u32 state = LOOSE;
/* The promise does not change while a reader holds it. */
DECLARE_RWSEM(state_sem);

enum knowledge noncoherent = UNKNOWN;
bool strict;

void set_state(enum promise promise)
{
	u32 era, seq;

	down_write(&state_sem);
	era = ERA(state) + (promise == OUT);
	seq = (state + 4) & 0xfffc;
	/* Pairs with smp_mb() in get_state(). */
	smp_store_release(&state, era << 16 | seq | promise);
	up_write(&state_sem);
}

u32 get_state(void)
{
	u32 word;

	/* Accesses before the load must not be seen after it, nor later ones before it. */
	smp_mb();
	word = READ_ONCE(state);
	smp_mb();
	return word;
}

/* The state, LOOSE if it has changed meanwhile. */
u32 both_states(u32 before, u32 after)
{
	return before == after ? before : (before & ~3U) | LOOSE;
}

/* === The model ============================================================ */

enum knowledge knows(const struct map *m, u32 now)
{
	if (PROMISE(m->born) == OUT || ERA(m->born) != ERA(now))
		return UNKNOWN;
	return PROMISE(now) == STRICT && m->born == now ? KNOWN : MAYBE;
}

void set_bits(struct bits *bits, size_t start, size_t end, bool on)
{
	size_t i;

	for (i = start; i < end; i++) {
		if (i % 8 == 0 && end - i >= 8) {
			bits->byte[i / 8] = on ? 0xff : 0;
			i += 7;
		} else if (on) {
			bits->byte[i / 8] |= BIT(i % 8);
		} else {
			bits->byte[i / 8] &= ~BIT(i % 8);
		}
	}
}

bool is_empty(const struct bits *bits)
{
	return !memchr_inv(bits->byte, 0, sizeof(bits->byte));
}

/* The bits of the granules that [start, end) touches. */
static void clear_granules(struct bits *bits, size_t start, size_t end)
{
	set_bits(bits, round_down(start, GRANULE), round_up(end, GRANULE), false);
}

/* In which direction the device owns a byte. */
u8 dir_of_byte(const struct map *m, size_t i)
{
	return m->hand_dir[m->hand_over[i]];
}

/* The bytes of a granule that exist. */
static u8 existing(const struct buffer *b, size_t granule)
{
	return b->source == KMALLOC && granule == b->size / GRANULE ?
	       BIT(b->size % GRANULE) - 1 : 0xff;
}

/*
 * Is a granule poisoned for this mapping? Its device must own all 8 bytes, in one
 * direction; or all that exist, where the mapping ends with the memory. It is not if a
 * write to it is pending, and only maybe if that is not sure.
 */
static enum knowledge guards(const struct buffer *b, const struct map *m, size_t granule)
{
	size_t i = granule * GRANULE;
	u8 dir = dir_of_byte(m, i);

	if (m->owned.byte[granule] != existing(b, granule) || m->pending.byte[granule])
		return UNKNOWN;
	for (; i < b->size && i < (granule + 1) * GRANULE; i++)
		if (dir_of_byte(m, i) != dir)
			return UNKNOWN;
	return m->hazy.byte[granule] ? MAYBE : KNOWN;
}

/* The bytes of a granule that an access touches. */
static u8 touched_by(const struct access *a, size_t granule)
{
	u8 touched = 0xff;

	if (granule == a->start / GRANULE)
		touched &= 0xff << a->start % GRANULE;
	if (granule == (a->start + a->size - 1) / GRANULE)
		touched &= 0xff >> (7 - (a->start + a->size - 1) % GRANULE);
	return touched;
}

/* The bytes of a granule that the device owns: to read only, or also to write. */
static u8 owned_to(const struct map *m, size_t granule, bool read)
{
	u8 owned = m->owned.byte[granule], mask = 0;
	unsigned int i;

	for (i = 0; i < GRANULE; i++)
		if ((owned & BIT(i)) &&
		    (dir_of_byte(m, granule * GRANULE + i) == DMA_TO_DEVICE) == read)
			mask |= BIT(i);
	return mask;
}

static void forbid(struct answer *answer, enum knowledge known, enum knowledge guarded)
{
	if (guarded == UNKNOWN) {
		answer->unseen = true;
		return;
	}
	answer->may = true;
	answer->must |= known == KNOWN && guarded == KNOWN;
}

/* Does another mapping own a granule whose device only reads? Then reads do not trap. */
static bool is_read_elsewhere(const struct buffer *b, size_t granule)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && owned_to(m, granule, true))
			return true;
	return false;
}

/* Rules 4, 5 and 6b, of one mapping. */
static void ask_map(const struct buffer *b, const struct access *a, const struct map *m,
		    u32 now, struct answer *answer)
{
	size_t first = a->start / GRANULE, last = (a->start + a->size - 1) / GRANULE, g;
	enum knowledge known = knows(m, now);
	bool write = ops[a->op].write;

	for (g = first; g <= last; g++) {
		enum knowledge guarded = guards(b, m, g);
		u8 touched = touched_by(a, g), forbidden = owned_to(m, g, false);
		u8 sent = write ? owned_to(m, g, true) : 0;

		if (strict) {
			forbidden |= sent;
			sent = 0;
		}
		if (write && known != UNKNOWN)
			answer->seen = max(answer->seen, min(known, guarded));
		if (sent & touched & ~m->pending.byte[g] && known != UNKNOWN) {
			answer->pends = true;
			answer->needs = max(answer->needs, known);
		}
		if (m->stale.byte[g] && known != UNKNOWN) {
			enum knowledge stale = m->dim.byte[g] ? MAYBE : known;

			if (write) {
				answer->freshens = true;
				answer->needs = max(answer->needs, stale);
				answer->seen = max(answer->seen, stale);
			} else {
				answer->legal = false;
				answer->devices |= BIT_ULL(m->id);
				forbid(answer, stale, is_read_elsewhere(b, g) ? MAYBE : KNOWN);
			}
		} else if (m->stale.byte[g] && !write) {
			answer->legal = false;
		}
		if (!(forbidden & touched))
			continue;
		answer->legal = false;
		if (known == UNKNOWN)
			continue;
		answer->devices |= BIT_ULL(m->id);
		forbid(answer, known, guarded);
	}
}

/* What is known now of the stale bytes of mappings that ended. */
static enum knowledge knows_stale(const struct buffer *b, u32 now)
{
	if (ERA(b->stale_since) != ERA(now))
		return UNKNOWN;
	return PROMISE(now) == STRICT && b->stale_since == now ? KNOWN : MAYBE;
}

/* Rule 3b. */
static void ask_stale(const struct buffer *b, const struct access *a, u32 now,
		      struct answer *answer)
{
	size_t first = a->start / GRANULE, last = (a->start + a->size - 1) / GRANULE, g;
	enum knowledge known = knows_stale(b, now);

	for (g = first; g <= last; g++) {
		bool sure = b->stale.byte[g] && known == KNOWN;

		if (known == UNKNOWN || !(b->stale.byte[g] | b->perhaps_stale.byte[g]))
			continue;
		if (ops[a->op].write) {
			answer->freshens = true;
			answer->needs = max(answer->needs, sure ? KNOWN : MAYBE);
			answer->seen = max(answer->seen, sure ? KNOWN : MAYBE);
			continue;
		}
		answer->legal = false;
		answer->devices |= b->stale_devices;
		forbid(answer, sure ? KNOWN : MAYBE, is_read_elsewhere(b, g) ? MAYBE : KNOWN);
	}
}

struct answer ask(const struct buffer *b, const struct access *a, u32 now)
{
	struct answer answer = { .legal = true };
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			ask_map(b, a, m, now, &answer);
	ask_stale(b, a, now, &answer);
	return answer;
}

/* Is a byte owned by a device that may write to it? */
static enum knowledge is_writable(const struct buffer *b, size_t i, u32 now)
{
	enum knowledge most = UNKNOWN;
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && get_bit(&m->owned, i) && dir_of_byte(m, i) != DMA_TO_DEVICE)
			most = max(most, knows(m, now));
	return most;
}

/* Rule 4: the tool noticed a write to bytes that devices own to read. */
static void note_pending(struct buffer *b, const struct access *a, struct map *m, u32 now,
			 enum knowledge seen)
{
	enum knowledge known = min(knows(m, now), seen), writable;
	size_t i;

	for (i = a->start; known != UNKNOWN && i < a->start + a->size; i++) {
		if (!get_bit(&m->owned, i) || dir_of_byte(m, i) != DMA_TO_DEVICE ||
		    get_bit(&m->pending, i))
			continue;
		/* Reported at once. */
		writable = is_writable(b, i, now);
		if (writable == KNOWN)
			continue;
		set_bits(writable == UNKNOWN && known == KNOWN ? &m->pending : &m->hazy,
			 i, i + 1, true);
	}
}

/* The write was made. */
void note_write(struct buffer *b, const struct access *a, const struct answer *answer,
		u32 now)
{
	struct map *m;

	if (!strict && answer->pends)
		for (m = b->map; m < b->map + NR_MAPS; m++)
			if (m->live)
				note_pending(b, a, m, now, answer->seen);
	if (!answer->freshens)
		return;
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			clear_granules(&m->stale, a->start, a->start + a->size);
	clear_granules(&b->stale, a->start, a->start + a->size);
	clear_granules(&b->perhaps_stale, a->start, a->start + a->size);
}

/*
 * Mapped, or synced: the stale bytes of other mappings are no longer stale, if the tool
 * knows of this mapping.
 */
void forget_stale(struct buffer *b, size_t start, size_t end, enum knowledge known)
{
	size_t g;

	if (known == KNOWN) {
		clear_granules(&b->stale, start, end);
		clear_granules(&b->perhaps_stale, start, end);
		return;
	}
	for (g = start / GRANULE; known == MAYBE && g <= (end - 1) / GRANULE; g++) {
		b->perhaps_stale.byte[g] |= b->stale.byte[g];
		b->stale.byte[g] = 0;
	}
}

/*
 * The device of @m may write to [start, end): the stale bytes of other mappings are not
 * stale there. The tool does not look in other regions for that.
 */
void freshen_others(struct buffer *b, const struct map *m, size_t start, size_t end,
		    u32 now)
{
	enum knowledge known = b->source == WINDOW ? min(knows(m, now), MAYBE) : knows(m, now);
	struct map *o;

	if (m->dir == DMA_TO_DEVICE || known == UNKNOWN)
		return;
	for (o = b->map; o < b->map + NR_MAPS; o++) {
		size_t g;

		if (o == m || !o->live)
			continue;
		for (g = start / GRANULE; g <= (end - 1) / GRANULE; g++)
			if (known == MAYBE || o->stale.byte[g])
				o->dim.byte[g] = 0xff;
		/* Of a granule at the border only a part is. */
		if (known == KNOWN && round_up(start, GRANULE) < round_down(end, GRANULE))
			clear_granules(&o->stale, round_up(start, GRANULE),
				       round_down(end, GRANULE));
	}
}

/*
 * [start, end) has another owner. Stale bytes of ended mappings beside it, in the same
 * line, may have lost their poison.
 */
void dim_beside(struct buffer *b, size_t start, size_t end)
{
	size_t from = (start - min_t(size_t, start, 128)) / GRANULE;
	size_t to = min_t(size_t, end + 128, MAX_SIZE) / GRANULE, g;

	for (g = from; g < to; g++) {
		if (g >= DIV_ROUND_UP(start, GRANULE) && g < end / GRANULE)
			continue;
		b->perhaps_stale.byte[g] |= b->stale.byte[g];
		b->stale.byte[g] = 0;
	}
}

void clear_stale(struct buffer *b)
{
	memset(&b->stale, 0, sizeof(b->stale));
	memset(&b->perhaps_stale, 0, sizeof(b->perhaps_stale));
}

/* What is left of other hand-overs is not whole any more. */
static void cut_others(struct map *m, size_t start, size_t end)
{
	size_t i;

	for (i = start; i < end; i++)
		if (!m->owned.byte[i / 8])
			i |= 7;
		else if (get_bit(&m->owned, i))
			m->hand_several[m->hand_over[i]] = true;
}

/*
 * A map or a sync of [start, end) for the device. With DMA_FROM_DEVICE it sends nothing:
 * pending writes stay pending.
 */
void hand_over(struct map *m, size_t start, size_t end, u8 dir)
{
	unsigned int nr = m->hand_overs++;
	size_t i;

	m->hand_dir[nr] = dir;
	m->hand_start[nr] = start;
	m->hand_several[nr] = false;
	clear_granules(&m->stale, start, end);
	cut_others(m, start, end);
	if (dir == DMA_FROM_DEVICE &&
	    (any_bit(&m->pending, start, end) || any_bit(&m->hazy, start, end))) {
		for (i = start; i < end; i++)
			if (!get_bit(&m->pending, i) && !get_bit(&m->hazy, i)) {
				set_bits(&m->owned, i, i + 1, true);
				m->hand_over[i] = nr;
			}
		return;
	}
	memset(&m->hand_over[start], nr, end - start);
	set_bits(&m->owned, start, end, true);
	set_bits(&m->pending, start, end, false);
	set_bits(&m->hazy, start, end, false);
}

/* The hand-over that a sync for the CPU of [start, end) ends in, -1 if in none. */
static int cut_hand_over(const struct map *m, size_t start, size_t end)
{
	size_t segment_end = m->segment[0].start + m->segment[0].size;

	return end < segment_end && get_bit(&m->owned, end - 1) && get_bit(&m->owned, end) &&
	       m->hand_over[end - 1] == m->hand_over[end] &&
	       dir_of_byte(m, end) != DMA_TO_DEVICE ? m->hand_over[end] : -1;
}

/* Does a sync begin after what may be headroom, of a page? The tool has more conditions. */
static bool skips_headroom(const struct map *m, size_t start)
{
	return m->segment[0].size >= PAGE_SIZE && start > m->segment[0].start &&
	       get_bit(&m->owned, start - 1) &&
	       start - m->hand_start[m->hand_over[start - 1]] <= MOST_HEADROOM;
}

/*
 * Rule 6b leaves open what a sync says of a hand-over that holds several packets, and of
 * the rest of such a hand-over beside one packet.
 */
bool is_clear(const struct map *m, size_t start, size_t end)
{
	size_t segment_end = m->segment[0].start + m->segment[0].size, i = end;
	int nr = cut_hand_over(m, start, end);

	if (skips_headroom(m, start))
		return false;
	if (nr >= 0 && start > m->hand_start[nr])
		return true;
	if (nr >= 0 && m->hand_several[nr])
		return false;
	while (nr >= 0 && i < segment_end && get_bit(&m->owned, i) && m->hand_over[i] == nr)
		i++;
	return i >= segment_end || !get_bit(&m->owned, i) ||
	       dir_of_byte(m, i) == DMA_TO_DEVICE || !m->hand_several[m->hand_over[i]];
}

/* A sync of [start, end) for the CPU that is not idle. */
void note_sync_for_cpu(struct map *m, size_t start, size_t end)
{
	int nr = cut_hand_over(m, start, end);
	size_t i;

	cut_others(m, start, end);
	set_bits(&m->owned, start, end, false);
	clear_granules(&m->stale, start, end);
	if (nr < 0 || start > m->hand_start[nr] || strict)
		return;
	/* The leading part: the device is done with the rest. */
	for (i = end; i < m->segment[0].start + m->segment[0].size &&
	     get_bit(&m->owned, i) && m->hand_over[i] == nr; i++)
		;
	set_bits(&m->owned, end, i, false);
	if (!m->spanning && round_up(end, GRANULE) < round_down(i, GRANULE)) {
		set_bits(&m->stale, round_up(end, GRANULE), round_down(i, GRANULE), true);
		set_bits(&m->dim, round_up(end, GRANULE), round_down(i, GRANULE), false);
	}
}

/* Rule 3b: whole granules that the device still owned, and may have written, are stale. */
void leave_stale(struct buffer *b, const struct map *m, u32 now)
{
	enum knowledge known = min(knows(m, now), m->noncoherent);
	size_t g, first, last;
	unsigned int i;

	if (known == UNKNOWN)
		return;
	if (knows_stale(b, now) == UNKNOWN ||
	    (is_empty(&b->stale) && is_empty(&b->perhaps_stale))) {
		clear_stale(b);
		b->stale_devices = 0;
		b->stale_since = now;
	} else if (b->stale_since != now) {
		b->stale_since = (b->stale_since & ~3U) | LOOSE;
	}
	for (i = 0; i < m->nr; i++) {
		enum knowledge sure = known;

		first = m->segment[i].start / GRANULE;
		last = (m->segment[i].start + m->segment[i].size - 1) / GRANULE;
		/* Those of mappings that cross a border of 2 MiB are not remembered. */
		if (b->source == WINDOW && first < b->size / 2 / GRANULE &&
		    last >= b->size / 2 / GRANULE)
			sure = MAYBE;
		for (g = first; g <= last; g++) {
			if (m->stale.byte[g] != 0xff &&
			    (m->owned.byte[g] != 0xff || owned_to(m, g, true)))
				continue;
			b->stale_devices |= BIT_ULL(m->id);
			/* A granule with two directions is not poisoned. */
			if (sure == KNOWN && (m->stale.byte[g] ? !m->dim.byte[g] :
					      guards(b, m, g) == KNOWN))
				b->stale.byte[g] = 0xff;
			else
				b->perhaps_stale.byte[g] = 0xff;
		}
	}
}

/* For a failure: the mappings of a buffer, and the granules of an access. */
static int describe(char *text, size_t size, const struct buffer *b,
		    const struct access *a, u32 now)
{
	static const char * const dirs[] = { "bidir", "to", "from" };
	static const char * const knowledge[] = { "unknown", "maybe", "known" };
	unsigned int i, n = 0;
	const struct map *m;
	size_t g;

	n += scnprintf(text + n, size - n, "buffer %px size %zu source %d%s, state %x\n",
		       b->mem, b->size, b->source, b->shared ? " shared" : "", now);
	for (m = b->map; m < b->map + NR_MAPS; m++) {
		if (!m->live)
			continue;
		n += scnprintf(text + n, size - n, " device %d %s born %x %s%s%s%s", m->id,
			       dirs[m->dir], m->born, knowledge[knows(m, now)],
			       m->skips ? " skips" : "",
			       m->list ? " list" : "", m->twin ? " twin" : "");
		for (i = 0; i < m->nr; i++)
			n += scnprintf(text + n, size - n, " [%u, %u)", m->segment[i].start,
				       m->segment[i].start + m->segment[i].size);
		n += scnprintf(text + n, size - n,
			       ", from granule %zu owned/to read/pending/hazy/stale:",
			       a->start / GRANULE);
		for (g = a->start / GRANULE;
		     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
			n += scnprintf(text + n, size - n, " %02x/%02x/%02x/%02x/%02x",
				       m->owned.byte[g], owned_to(m, g, true),
				       m->pending.byte[g], m->hazy.byte[g], m->stale.byte[g]);
		n += scnprintf(text + n, size - n, "\n");
	}
	n += scnprintf(text + n, size - n, "stale, perhaps, since %x:", b->stale_since);
	for (g = a->start / GRANULE;
	     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
		n += scnprintf(text + n, size - n, " %02x/%02x", b->stale.byte[g],
			       b->perhaps_stale.byte[g]);
	n += scnprintf(text + n, size - n, "\n");
	n += scnprintf(text + n, size - n, "shadow now:");
	for (g = a->start / GRANULE;
	     g <= (a->start + a->size - 1) / GRANULE && g < a->start / GRANULE + 16; g++)
		n += scnprintf(text + n, size - n, " %02x", shadow_of(b->mem + g * GRANULE));
	return n + scnprintf(text + n, size - n, "\n");
}

void fail_access(struct worker *w, const char *what, const struct buffer *b,
		 const struct access *a, int reports, u32 before, u32 after)
{
	/* The first failure stops all: one buffer will do. */
	static char text[FAILURE_LENGTH / 2];

	describe(text, sizeof(text), b, a, before);
	fail("%s: %s of %zu bytes at offset %zu in %s, %d reports, state %x to %x\n%s%s\n%s\n%s\n",
	     what, ops[a->op].fn, a->size, a->start, context_names[w->context], reports,
	     before, after, text, reports ? w->want.last[0] : "",
	     reports ? w->want.last[1] : "", reports ? w->want.last[2] : "");
}
