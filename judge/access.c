// SPDX-License-Identifier: GPL-2.0
/*
 * The trap path: is an access that a guard noticed a fault? The guard says what is wrong with
 * the bytes, owner/ says which mapping owns them, permissive_rows.h lists the known exceptions.
 *
 * No locks: entries of the caches are single words, or one thread's.
 */
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/params.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../owner/owner.h"
#include "access.h"
#include "judge.h"
#include "permissive.h"

#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/module.h>
#include <linux/notifier.h>

/* === Known exceptions ===================================================== */

/*
 * The results of the last look-ups by name, which take long: a ring is written from few
 * places. By strict, result, direction and hash. Emptied when a module comes or goes.
 */
#define KNOWN_BITS	4
static unsigned long known[2][2][DMA_NONE + 1][1 << KNOWN_BITS];

/* Only the rows of permissive_rows.h for stale bytes name a caller. */
static bool permitted(unsigned long ip, unsigned long caller, u8 dir)
{
	bool strict = READ_ONCE(dod_params.strict), legal;
	char name[DOD_NAME_CHARS], caller_name[DOD_NAME_CHARS] = "";
	unsigned long key = ip;
	unsigned int slot;

	if (dir == DMA_NONE)
		key ^= hash_long(caller, BITS_PER_LONG);
	slot = hash_long(key, KNOWN_BITS);
	if (READ_ONCE(known[strict][false][dir][slot]) == key)
		return false;
	if (READ_ONCE(known[strict][true][dir][slot]) == key)
		return true;
	if (dir == DMA_NONE && caller)
		dod_function_name(caller, caller_name, sizeof(caller_name));
	legal = dod_permitted(dod_function_name(ip, name, sizeof(name)), caller_name, dir, strict);
	WRITE_ONCE(known[strict][legal][dir][slot], key);
	return legal;
}

static bool acts_for_caller(unsigned long ip)
{
	char name[DOD_NAME_CHARS];

	return dod_acts_for_caller(dod_function_name(ip, name, sizeof(name)));
}

/*
 * Arguments as dod_report_stack() has found them. KASAN says who called memcpy(); a fault is
 * inside of it.
 */
static bool stack_permitted(const struct dod_access *access, const unsigned long *frames,
			    unsigned int nr, unsigned long inner, u8 dir)
{
	unsigned int i;

	if (permitted(frames[0], nr > 1 ? frames[1] : 0, dir) || permitted(inner, frames[0], dir))
		return true;
	if (likely(!access->fault))
		return false;
	for (i = 1; i < nr && acts_for_caller(frames[i - 1]); i++)
		if (permitted(frames[i], i + 1 < nr ? frames[i + 1] : 0, dir))
			return true;
	return false;
}

static int on_module(struct notifier_block *nb, unsigned long state, void *mod)
{
	if (state == MODULE_STATE_COMING || state == MODULE_STATE_GOING)
		memset(known, 0, sizeof(known));
	return NOTIFY_OK;
}

static struct notifier_block module_nb = { .notifier_call = on_module };

/**
 * dod_access_is_watchable() - would every access to a mapping be reported?
 * @m: a copy of the mapping
 * @dir: how the device owns it
 *
 * A guard whose reports come before anybody is asked (KCSAN prints its own) cannot go by who
 * accesses. It must leave memory alone to which permissive_rows.h allows an access. Called by
 * one thread only.
 *
 * Return: whether it would.
 */
bool dod_access_is_watchable(const struct dod_mapping *m, u8 dir)
{
	static struct {
		u32 key;
		bool known, watchable;
	} cache[64];
	bool strict = READ_ONCE(dod_params.strict);
	u32 key = jhash(m->map_frames, m->map.nr_frames * sizeof(m->map_frames[0]),
			dir << 1 | strict);
	typeof(cache[0]) *c = &cache[key % ARRAY_SIZE(cache)];

	if (c->known && c->key == key)
		return c->watchable;
	c->known = true;
	c->key = key;
	c->watchable = strict ||
		(!dod_mapped_by_idiom(m, dir) && !dod_map_permitted(DOD_R_CPU_READ, m) &&
		 !dod_map_permitted(DOD_R_CPU_WRITE, m));
	return c->watchable;
}

/* === A trapped access ===================================================== */

/* Copies of what owns a byte, to work with. */
struct owner {
	struct dod_mapping m;
	struct dod_range range;
};

struct dod_selftest dod_selftest;

static bool is_selftest(const struct dod_mapping *m, bool write)
{
	if (!m->dev || m->dev != READ_ONCE(dod_selftest.dev))
		return false;
	WRITE_ONCE(dod_selftest.traps, dod_selftest.traps + 1);
	if (write)
		WRITE_ONCE(dod_selftest.write_traps, dod_selftest.write_traps + 1);
	return true;
}

static u64 phys_of(unsigned long addr)
{
	return virt_to_phys((void *)addr);
}

static void report(enum dod_report_type type, const struct dod_access *access,
		   const struct owner *o)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner;
	u8 dir = o->range.state == DOD_STALE ? DMA_NONE : o->range.dir;
	unsigned int nr = dod_report_stack(frames, access->ip, &inner);

	if (stack_permitted(access, frames, nr, inner, dir) ||
	    (!READ_ONCE(dod_params.strict) && dod_map_permitted(type, &o->m)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		dod_report_access(type, access, &o->m, &o->range, frames, nr);
}

/* Record who writes; false if permissive_rows.h lists the writer. */
static bool describe_write(const struct dod_access *access, u8 dir, struct dod_write *write)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner;
	unsigned int nr = dod_report_stack(frames, access->ip, &inner);
	struct dod_who *who = &write->who;

	if (stack_permitted(access, frames, nr, inner, dir))
		return false;
	write->addr = access->addr;
	write->size = access->size;
	dod_note_who(who);
	who->nr_frames = min(nr, DOD_WRITE_FRAMES);
	dod_frames_pack(write->frames, frames, who->nr_frames);
	return true;
}

/*
 * A write that is legal so far (rules 4 and 6b) is recorded, and does not trap again. An
 * excused one is not, and its mapping is not poisoned any more. Returns whether the write is
 * recorded.
 */
static bool record_write(const struct dod_access *access, const struct dod_access_verdict *v,
			 struct owner *o)
{
	u8 dir = v->owned ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	struct dod_write write;

	if (!READ_ONCE(dod_armed))
		return false;
	if (!dod_owner_write(access, NULL))
		return true;
	if (v->owned && dod_owner_find(phys_of(v->owned), true, &o->m, &o->range) &&
	    dod_owner_excuse(phys_of(v->owned), &o->m))
		return false;
	if (!describe_write(access, dir, &write))
		return false;
	dod_owner_write(access, &write);
	return true;
}

#define RECORD_TRIES	4

/* Retry if another CPU syncs the bytes meanwhile: the write happens after that sync. */
static void record_write_until_kept(const struct dod_access *access,
				    struct dod_access_verdict *v, struct owner *o)
{
	unsigned long foreign = v->foreign;
	bool tail = v->tail, recorded;
	unsigned int i;

	for (i = 0; i < RECORD_TRIES; i++) {
		recorded = record_write(access, v, o);
		*v = dod_poison_ops.scan_shadow(access->addr, v->last, true);
		if (!recorded || !v->owned || !v->sent)
			break;
	}
	/* The rescan must not lose what KASAN found first. */
	if (foreign) {
		v->foreign = foreign;
		v->tail = tail;
	}
}

/* The content changes, whether the write is a fault or not. Returns whether it was recorded. */
static bool note_write(const struct dod_access *access, struct dod_access_verdict *v,
		       struct owner *o)
{
	bool recorded = v->owned || v->watched;

	if (v->owned)
		dod_owner_seen_write(phys_of(access->addr), access->size);
	if (recorded)
		record_write_until_kept(access, v, o);
	if (v->edge)
		dod_owner_seen_edge_write(phys_of(v->edge),
					  phys_of(access->addr) + access->size - 1);
	return recorded;
}

static void report_owned(struct dod_access *access, struct owner *o)
{
	if (!dod_owner_find(access->bad, access->write, &o->m, &o->range)) {
		/* Unmapped or synced since. The byte may be stale now; a write ends that. */
		dod_count(DOD_C_TRAPS_TOO_LATE);
		if (access->write)
			dod_owner_write(access, NULL);
	} else if (is_selftest(&o->m, access->write) || dod_owner_excuse(access->bad, &o->m)) {
		return;
	} else if (READ_ONCE(dod_armed)) {
		report(access->write ? DOD_R_CPU_WRITE : DOD_R_CPU_READ, access, o);
	} else {
		dod_count(DOD_C_TRAPS_TOO_LATE);
	}
}

static void report_edge(struct dod_access *access, struct owner *o)
{
	if (READ_ONCE(dod_armed) && dod_owner_find_edge(access->bad, &o->m, &o->range))
		report(DOD_R_SHARED_LINE_WRITE, access, o);
	else
		dod_count(DOD_C_TRAPS_TOO_LATE);
}

/* Let a read of what the device only reads go ahead. Called as dod_access_trapped(). */
void dod_access_allow_read(unsigned long addr, size_t size, unsigned long ip)
{
	dod_reads_note(phys_of(addr), size, ip);
	dod_count(DOD_C_ALLOWED_READS);
}

/**
 * dod_access_trapped() - decide about an access, and report it if it is a fault
 * @access: the access, which has not happened yet; @access->bad is filled in
 * @v: what the guard says about it; updated by what changed meanwhile
 *
 * Prints, and may panic if the user asked for it.
 *
 * Context: the access's, which is any, with any lock of the kernel held and none of ours,
 * after dod_quiet_begin().
 */
void dod_access_trapped(struct dod_access *access, struct dod_access_verdict *v)
{
	struct owner o DOD_UNINITIALIZED;
	bool recorded = false;

	if (dod_may_lock()) {
		if (access->write)
			recorded = note_write(access, v, &o);
	} else if (v->owned || v->edge) {
		dod_count(DOD_C_TRAPS_IN_NMI);
		if (access->write)
			dod_content_invalidate_all();
		return;
	}
	access->bad = phys_of(v->owned ?: v->edge ?: access->addr);
	if (v->owned)
		report_owned(access, &o);
	else if (v->edge)
		report_edge(access, &o);
	else if (v->poisoned && !access->write)
		dod_access_allow_read(access->addr, access->size, access->ip);
	else if (!v->foreign && !recorded)
		dod_count(DOD_C_TRAPS_TOO_LATE);
}

/**
 * dod_access_race() - report a CPU access that raced with a device's
 * @race: the access, with at least one frame
 * @m: a copy of the mapping
 * @range: what the device owned of it
 *
 * Context: process, no lock of ours held. Prints, and may panic if the user asked for it.
 */
void dod_access_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	/* A thread found it, without KASAN: nothing traps. */
	if (dod_permitted(race->frames[0], "", range->dir, READ_ONCE(dod_params.strict)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		dod_report_race(race, m, range);
}

/* === Start and stop ======================================================= */

/**
 * dod_access_start() - get ready; called before the guard can trap anything
 *
 * Return: 0 or a negative errno.
 */
int dod_access_start(void)
{
	return register_module_notifier(&module_nb);
}

/* Called when no access traps any more. */
void dod_access_stop(void)
{
	unregister_module_notifier(&module_nb);
}
