// SPDX-License-Identifier: GPL-2.0
/*
 * Which reports are shown: the parameters off_*, what was reported before (dedup), and
 * how many may come at once (report_burst).
 *
 * No locks. Context of all functions, where not said otherwise: any.
 */
#include "internal.h"

#include "../base/params.h"
#include "../base/stack.h"

#include <linux/bitops.h>
#include <linux/glob.h>
#include <linux/jhash.h>
#include <linux/string.h>
#include <linux/timex.h>

#define NR_RULES	32
#define RULE_CHARS	64

/* Types that are off where a name matches the glob. */
struct rule {
	u64 type_mask;
	char glob[RULE_CHARS];
};

struct filter {
	unsigned int nr;
	struct rule rules[NR_RULES];
};

static_assert(DOD_REPORT_COUNT <= 64);

/*
 * Readers take the copy that @version says, and read @version again: it was written
 * to meanwhile only if that has changed. Of a copy that is being written to they may
 * read any mixture, but none that leads out of it: the last byte of a glob is always 0.
 */
static struct {
	unsigned int version;
	struct filter copy[2];
} filters[DOD_BY_COUNT];
u64 dod_types_off;

static int type_mask(const char *name, u64 *mask)
{
	char known[768] = "";
	unsigned int i;
	size_t len = 0;

	for (i = 0; i < DOD_REPORT_COUNT; i++) {
		if (!strcmp(name, dod_types[i].name)) {
			*mask = BIT_ULL(i);
			return 0;
		}
		len += scnprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
				 dod_types[i].name);
	}
	pr_err("unknown report type \"%s\", known are: %s\n", name, known);
	return -EINVAL;
}

/*
 * "type" for off_types, "[type:]glob" for the others. Device names hold colons, too, but
 * digits before the first.
 */
static int parse_rule(struct rule *rule, enum dod_filter_by by, char *item)
{
	size_t len = strspn(item, "abcdefghijklmnopqrstuvwxyz-");
	const char *glob = item;

	if (by == DOD_BY_TYPE) {
		glob = "*";
	} else if (len && item[len] == ':') {
		item[len] = '\0';
		glob = item + len + 1;
	}
	rule->type_mask = ~0ULL;
	if (glob != item && type_mask(item, &rule->type_mask))
		return -EINVAL;
	if (!*glob || strscpy(rule->glob, glob, RULE_CHARS) < 0) {
		pr_err("\"%s\" is empty or longer than %d characters\n", item, RULE_CHARS - 1);
		return -EINVAL;
	}
	return 0;
}

/**
 * dod_report_set_filter() - replace one of the off_* lists
 * @by: which one
 * @val: comma-separated; empty for none
 *
 * Context: process. Callers are serialised by the lock of the parameters.
 * Return: 0, or -EINVAL after a line that says what is wrong; the list in force stays then.
 */
int dod_report_set_filter(enum dod_filter_by by, const char *val)
{
	static struct filter new;
	static char copy[512];
	char *rest = copy, *item;
	unsigned int version;
	u64 off = 0;

	if (strscpy(copy, val, sizeof(copy)) < 0) {
		pr_err("a filter of more than %zu characters\n", sizeof(copy) - 1);
		return -EINVAL;
	}
	new.nr = 0;
	while ((item = strsep(&rest, ","))) {
		item = strim(item);
		if (!*item)
			continue;
		if (new.nr == NR_RULES) {
			pr_err("a filter of more than %d items\n", NR_RULES);
			return -EINVAL;
		}
		if (parse_rule(&new.rules[new.nr], by, item))
			return -EINVAL;
		off |= new.rules[new.nr++].type_mask;
	}
	version = filters[by].version + 1;
	/* Its readers can see by now that it is out of date: pairs with smp_rmb(). */
	smp_wmb();
	filters[by].copy[version % 2] = new;
	/* Pairs with smp_load_acquire() in filter_hits(). */
	smp_store_release(&filters[by].version, version);
	if (by == DOD_BY_TYPE)
		WRITE_ONCE(dod_types_off, off);
	return 0;
}

static bool filter_hits(enum dod_filter_by by, enum dod_report_type type, const char *name)
{
	unsigned int version, nr, i;
	const struct filter *f;
	bool hit;

	do {
		/* Pairs with smp_store_release() in dod_report_set_filter(). */
		version = smp_load_acquire(&filters[by].version);
		f = &filters[by].copy[version % 2];
		nr = min(READ_ONCE(f->nr), NR_RULES);
		hit = false;
		for (i = 0; i < nr && !hit; i++)
			hit = (f->rules[i].type_mask & BIT_ULL(type)) && IS_ENABLED(CONFIG_GLOB) &&
			      glob_match(f->rules[i].glob, name);
		/* Pairs with smp_wmb() there. */
		smp_rmb();
	} while (READ_ONCE(filters[by].version) != version);
	return hit;
}

/**
 * dod_report_is_filtered() - is a type off for a device?
 * @type: the type
 * @device: the device
 * Return: whether it is.
 */
bool dod_report_is_filtered(enum dod_report_type type, const struct dod_device *device)
{
	return filter_hits(DOD_BY_TYPE, type, "") ||
	       filter_hits(DOD_BY_DRIVER, type, device->driver_name) ||
	       filter_hits(DOD_BY_DEVICE, type, device->name);
}

#define NR_SEEN		1024	/* slots, by the key's hash */
#define SEEN_PROBES	16	/* and how many of them a key may be in */

#define BURST_PERIOD	(5ULL * NSEC_PER_SEC)

static u32 seen[NR_SEEN];	/* keys, 0 where there is none; by cmpxchg() */
static atomic64_t burst_start;
static atomic_t burst_nr, burst_lost;

/*
 * Was the fault of this key reported before? With @add, it is from now on. Where there
 * is no room, another one is forgotten: better twice than never.
 */
bool dod_seen(u32 key, bool add)
{
	unsigned int i;
	u32 *slot, old;

	for (i = 0; i < SEEN_PROBES; i++) {
		slot = &seen[(key + i) % NR_SEEN];
		old = add ? cmpxchg(slot, 0, key) : READ_ONCE(*slot);
		if (old == key)
			return true;
		if (add && !old)
			return false;
	}
	if (add)
		WRITE_ONCE(seen[(key + get_cycles() % SEEN_PROBES) % NR_SEEN], key);
	return false;
}

/* Counts a report. Is it one too many? */
bool dod_burst_is_over(u64 now)
{
	unsigned int limit = READ_ONCE(dod_params.report_burst);
	s64 start = atomic64_read(&burst_start);

	if (!limit)
		return false;
	if (dod_ago(now, start) > BURST_PERIOD && atomic64_try_cmpxchg(&burst_start, &start, now))
		atomic_set(&burst_nr, 0);
	if (atomic_inc_return(&burst_nr) <= limit)
		return false;
	atomic_inc(&burst_lost);
	return true;
}

/* How many were one too many since this was asked last? */
unsigned int dod_burst_take_lost(void)
{
	return atomic_xchg(&burst_lost, 0);
}

/**
 * dod_report_forget() - report everything anew: dedup is written
 */
void dod_report_forget(void)
{
	unsigned int i;

	for (i = 0; i < NR_SEEN; i++)
		WRITE_ONCE(seen[i], 0);
	atomic_set(&burst_nr, 0);
	atomic_set(&burst_lost, 0);
}

/* Of the function, not of the instruction. */
static u32 hash_function(const char *name, u32 hash)
{
	const char *in = dod_frame_module(name);

	hash = jhash(name, strcspn(name, "+. "), hash);
	return in ? jhash(in, strlen(in), hash) : hash;
}

/* The first two functions of drivers that mapped the memory. */
static u32 hash_map(const struct dod_mapping *m, u32 hash)
{
	unsigned int i = 0, n;
	char name[NAME_CHARS];

	for (n = 0; n < 2; n++, i++) {
		i = dod_frames_find_map(m, i);
		if (i >= m->map.nr_frames)
			break;
		hash = hash_function(dod_function_name(dod_frame_ip(m->map_frames[i]), name,
						       sizeof(name)), hash);
	}
	return hash;
}

/*
 * What a fault is known by, never 0: the type, the driver, and the places in its code, of
 * the access and of the mapping. Of each the first two functions that are a driver's, for
 * the first may be a helper that serves several.
 */
u32 dod_seen_key(const struct report *r)
{
	const char *driver = r->m->device->driver_name;
	u32 hash = jhash(driver, strlen(driver), r->type);
	unsigned int i = r->culprit, n;
	char name[NAME_CHARS];

	for (n = 0; n < 2 && i < r->stack.nr; n++) {
		hash = hash_function(dod_frame_name(&r->stack, i, name, sizeof(name)), hash);
		i = dod_frames_find_driver(&r->stack, r->m, i + 1);
	}
	hash = hash_map(r->m, hash);
	if (r->kind == &dod_kind_finding && r->finding->other)
		hash = hash_map(r->finding->other, hash);
	return hash ?: 1;
}
