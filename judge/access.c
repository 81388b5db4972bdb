// SPDX-License-Identifier: GPL-2.0
/*
 * The trap path: whether an access that a guard noticed is a fault. Known exceptions are
 * in permissive.h. No locks here: entries of the cache are single words.
 */
#include "../base/lock.h"
#include "../base/params.h"
#include "../base/stack.h"
#include "../base/stats.h"
#include "../report/report.h"
#include "judge.h"
#include "permissive.h"

#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/module.h>
#include <linux/notifier.h>

/*
 * What was found out of the last accesses: a ring is written from few places, and names
 * take long to look up. By strict, verdict, direction and hash. Emptied when a module
 * comes or goes.
 */
#define KNOWN_BITS	4
static unsigned long known[2][2][DMA_NONE + 1][1 << KNOWN_BITS];

/* Only rows of stale bytes go by the caller: of other accesses he makes no difference. */
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
	legal = dod_permitted(dod_function_name(ip, name, sizeof(name)), caller_name, dir,
			      strict);
	WRITE_ONCE(known[strict][legal][dir][slot], key);
	return legal;
}

/* As dod_report_stack() has found it. */
static bool stack_permitted(const unsigned long *frames, unsigned int nr, unsigned long inner,
			    u8 dir)
{
	return permitted(frames[0], nr > 1 ? frames[1] : 0, dir) ||
	       permitted(inner, frames[0], dir);
}

static int on_module(struct notifier_block *nb, unsigned long state, void *mod)
{
	if (state == MODULE_STATE_COMING || state == MODULE_STATE_GOING)
		memset(known, 0, sizeof(known));
	return NOTIFY_OK;
}

static struct notifier_block module_nb = { .notifier_call = on_module };

/**
 * dod_access_report() - report a CPU access, unless it is a known exception
 * @type: what it is
 * @access: the access
 * @m: a copy of the mapping
 * @range: what the device owns of it, around access->bad
 *
 * Context: any, with any locks of the kernel held, none of ours. Prints, may
 * panic if the user asked for it.
 */
void dod_access_report(enum dod_report_type type, const struct dod_access *access,
		       const struct dod_mapping *m, const struct dod_range *range)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner;
	u8 dir = range->state == DOD_STALE ? DMA_NONE : range->dir;
	unsigned long flags = dod_quiet_begin();
	unsigned int nr = dod_report_stack(frames, access->ip, &inner);

	if (stack_permitted(frames, nr, inner, dir) ||
	    (!READ_ONCE(dod_params.strict) && dod_map_permitted(type, m)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		dod_report_access(type, access, m, range, frames, nr);
	dod_quiet_end(flags);
}

/**
 * dod_access_race() - report a CPU access that raced with a device's
 * @race: the access, with at least one frame
 * @m: a copy of the mapping
 * @range: what the device owned of it
 *
 * Context: process, no lock of ours held. As dod_access_report().
 */
void dod_access_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range)
{
	/* Found by a thread, without KASAN: nothing traps. */
	if (dod_permitted(race->frames[0], "", range->dir, READ_ONCE(dod_params.strict)))
		dod_count(DOD_C_ALLOWED_IDIOMS);
	else
		dod_report_race(race, m, range);
}

/**
 * dod_access_is_watchable() - would every access to a mapping be reported?
 * @m: a copy of the mapping
 * @dir: how the device owns it
 *
 * Who reports before it asks cannot go by who accesses: not where somebody may
 * whose accesses permissive.h lets pass.
 *
 * Context: one thread.
 */
bool dod_access_is_watchable(const struct dod_mapping *m, u8 dir)
{
	static struct {
		u32 key;
		bool known, watchable;
	} cache[64];
	bool strict = READ_ONCE(dod_params.strict);
	u32 key = jhash(m->map_frames,
			m->map.nr_frames * sizeof(m->map_frames[0]),
			dir << 1 | strict);
	typeof(cache[0]) *c = &cache[key % ARRAY_SIZE(cache)];

	if (c->known && c->key == key)
		return c->watchable;
	c->known = true;
	c->key = key;
	c->watchable = strict ||
		(!dod_mapped_by_idiom(m, dir) &&
		 !dod_map_permitted(DOD_R_CPU_READ, m) &&
		 !dod_map_permitted(DOD_R_CPU_WRITE, m));
	return c->watchable;
}

/**
 * dod_access_note_write() - remember a write
 * @access: the write
 * @dir: the direction of the mapping
 * @write: filled in
 *
 * Context: the write's, any but NMI.
 *
 * Return: false for what permissive.h lets pass.
 */
bool dod_access_note_write(const struct dod_access *access, u8 dir,
			   struct dod_write *write)
{
	unsigned long frames[DOD_REPORT_FRAMES], inner;
	unsigned long flags = dod_quiet_begin();
	unsigned int nr = dod_report_stack(frames, access->ip, &inner);
	struct dod_who *who = &write->who;
	bool legal = stack_permitted(frames, nr, inner, dir);

	dod_quiet_end(flags);
	if (legal)
		return false;
	write->addr = access->addr;
	write->size = access->size;
	dod_note_who(who);
	who->nr_frames = min(nr, DOD_MAP_FRAMES);
	memcpy(write->frames, frames, who->nr_frames * sizeof(frames[0]));
	return true;
}

/**
 * dod_access_start() - get ready
 *
 * Context: process.
 *
 * Return: 0 or a negative errno.
 */
int dod_access_start(void)
{
	return register_module_notifier(&module_nb);
}

/**
 * dod_access_stop() - no access is judged any more
 *
 * Context: process.
 */
void dod_access_stop(void)
{
	unregister_module_notifier(&module_nb);
}
