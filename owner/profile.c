// SPDX-License-Identifier: GPL-2.0
/*
 * How memory is mapped, by call site. A site is a device, a direction and the innermost frames of
 * the stack. A hash table finds it and is written only when a site is new; each CPU counts for
 * itself, so that map calls share no line that is written. Sites are never removed while the
 * module is loaded.
 *
 * Context: any but NMI, where nothing else is said. sites_lock nests no other.
 */
#include "internal.h"

#include <linux/dma-direct.h>
#include <linux/math64.h>
#include <linux/slab.h>

#include "../base/worker.h"

#define MAX_SITES	256U	/* of all devices; one more is counted, and not in the profile */
#define SPARE_SITES	16U	/* so many new ones are there, and are soon again */

DEFINE_STATIC_KEY_FALSE(dod_profiling);

struct dod_map_site *dod_sites[NR_SITE_SLOTS];
static struct dod_map_site *spare_sites;		/* sites_lock */
static unsigned int nr_spare, nr_sites;		/* sites_lock */
static DEFINE_RAW_SPINLOCK(sites_lock);

/* Sites for new places, as many as there shall be. May sleep. */
static void make_sites(struct work_struct *work)
{
	struct dod_map_site *site;
	unsigned long flags;

	while (READ_ONCE(nr_spare) < SPARE_SITES && READ_ONCE(nr_sites) < MAX_SITES) {
		site = kzalloc(sizeof(*site), GFP_KERNEL);
		if (!site)
			return;
		site->profile = alloc_percpu(struct dod_profile);
		if (!site->profile) {
			kfree(site);
			return;
		}
		dod_lock_irqsave(&sites_lock, flags);
		site->next = spare_sites;
		spare_sites = site;
		nr_spare++;
		nr_sites++;
		dod_unlock_irqrestore(&sites_lock, flags);
	}
}

static DEFINE_DOD_WORKER(sites_worker, make_sites);

static void init_site(struct dod_map_site *site, u64 key, const struct dod_mapping *m)
{
	site->key = key;
	site->since = m->map.when;
	site->device = m->device;
	site->kind = m->kind;
	site->dir = m->dir;
	site->owned_at_map = m->owned_at_map;
	site->nr_frames = m->map.nr_frames;
	memcpy(site->frames, m->map_frames, sizeof(site->frames));
}

/* The slot that has a key, or is free for it, NULL if there is none. */
static struct dod_map_site **find_slot(u64 key)
{
	unsigned int i, slot = site_slot(key);

	for (i = 0; i < SITE_PROBES; i++, slot++) {
		/* Pairs with smp_store_release() in new_site(). */
		const struct dod_map_site *site = smp_load_acquire(&dod_sites[slot]);

		if (!site || site->key == key)
			return &dod_sites[slot];
	}
	return NULL;
}

/* Takes a slot for a key, unless another CPU has done so meanwhile. */
static void new_site(u64 key, const struct dod_mapping *m)
{
	struct dod_map_site **slot, *site;
	unsigned long flags;
	bool low;

	dod_lock_irqsave(&sites_lock, flags);
	slot = find_slot(key);
	site = spare_sites;
	if (slot && !*slot && site) {
		spare_sites = site->next;
		nr_spare--;
		init_site(site, key, m);
		/* Pairs with smp_load_acquire() in find_slot(). */
		smp_store_release(slot, site);
	}
	low = nr_spare < SPARE_SITES / 2 && nr_sites < MAX_SITES;
	dod_unlock_irqrestore(&sites_lock, flags);
	if (low)
		dod_worker_wake(&sites_worker);
}

/* The site of a mapping that is not in the slot tried first; 0 if there is no room for it. */
noinline unsigned int dod_site_search(const struct dod_mapping *m)
{
	struct dod_frame frames[SITE_FRAMES] = {};
	struct dod_map_site **slot;
	u64 key;

	memcpy(frames, m->map_frames,
	       min_t(unsigned int, m->map.nr_frames, SITE_FRAMES) * sizeof(frames[0]));
	key = site_key(m, (const unsigned long *)frames);
	slot = find_slot(key);
	if (slot && !READ_ONCE(*slot))
		new_site(key, m);
	if (slot && READ_ONCE(*slot) && (*slot)->key == key)
		return slot - dod_sites + 1;
	dod_count(DOD_C_UNPROFILED);
	return 0;
}

static enum dod_untrapped why_untrapped(const struct dod_mapping *m)
{
	if (m->not_ram)
		return DOD_UNTRAPPED_NOT_RAM;
	if (m->freed)
		return DOD_UNTRAPPED_BAD;
	if (m->trap == DOD_TRAP_SOME)
		return DOD_UNTRAPPED_SOME;
	if (m->memory & DOD_MEM_ODD)
		return DOD_UNTRAPPED_SPECIAL;
	return m->memory & DOD_MEM_USER ? DOD_UNTRAPPED_USER : DOD_UNTRAPPED_OWN_DATA;
}

/* A mapping that is bounced, or not all of which can trap. */
noinline void dod_profile_map_odd(const struct dod_call *call, const struct dod_mapping *m,
				  struct dod_profile __percpu *p)
{
	if (m->trap != DOD_TRAP_ALL)
		this_cpu_inc(p->untrapped[why_untrapped(m)]);
	if (!m->bounced || !dod_maps_directly(call->dev))
		return;
	this_cpu_inc(p->bounced);
	if (phys_to_dma(call->dev, m->last) > min_not_zero(dma_get_mask(call->dev),
							   call->dev->bus_dma_limit))
		this_cpu_inc(p->beyond);
}

/* A sync of some bytes of a mapping. Its area is locked. */
void dod_profile_sync(const struct dod_mapping *m, bool to_device, u64 bytes)
{
	struct dod_profile __percpu *p = site_of(m)->profile;

	if (to_device) {
		this_cpu_inc(p->syncs_device);
		this_cpu_add(p->bytes_device, bytes);
	} else {
		this_cpu_inc(p->syncs_cpu);
		this_cpu_add(p->bytes_cpu, bytes);
	}
}

/* Its driver skips syncs: it does not trap any more. */
void dod_profile_untrap(const struct dod_mapping *m)
{
	this_cpu_inc(site_of(m)->profile->untrapped[DOD_UNTRAPPED_NO_SYNC]);
}

/* === What readers call ==================================================== */

/**
 * dod_profile_add() - add up what was counted
 * @sum: is added to
 * @p: what is added; may change meanwhile
 */
void dod_profile_add(struct dod_profile *sum, const struct dod_profile *p)
{
	const u64 *from = (const u64 *)p;
	u64 *to = (u64 *)sum;
	unsigned int i;

	for (i = 0; i < offsetof(struct dod_profile, when) / sizeof(u64); i++)
		to[i] += READ_ONCE(from[i]);
	sum->when = max(sum->when, READ_ONCE(p->when));
}

static u64 sum_of(const u64 *bins)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < DOD_PROFILE_BINS; i++)
		sum += bins[i];
	return sum;
}

/**
 * dod_profile_maps() - how many mappings were made
 * @p: of what was counted
 *
 * Return: the number.
 */
u64 dod_profile_maps(const struct dod_profile *p)
{
	return sum_of(p->sizes);
}

/**
 * dod_profile_ended() - how many of them have ended
 * @p: of what was counted
 *
 * Return: the number.
 */
u64 dod_profile_ended(const struct dod_profile *p)
{
	return sum_of(p->times);
}

/**
 * dod_profile_trapped() - which share of the mappings can trap as a whole?
 * @p: what was counted of them
 *
 * Return: percent.
 */
unsigned int dod_profile_trapped(const struct dod_profile *p)
{
	u64 maps = dod_profile_maps(p), untrapped = 0;
	unsigned int i;

	for (i = 0; i < DOD_UNTRAPPED_COUNT; i++)
		untrapped += p->untrapped[i];
	return maps ? div64_u64(100 * (maps - min(maps, untrapped)), maps) : 0;
}

static void add_site(struct dod_profile *sum, const struct dod_map_site *site)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		dod_profile_add(sum, per_cpu_ptr(site->profile, cpu));
}

/* What was counted of a device, of which @copy is a copy. */
void dod_profile_of_device(const struct dod_device *copy, struct dod_profile *sum)
{
	unsigned int slot;

	memset(sum, 0, sizeof(*sum));
	for (slot = 0; slot < NR_SITE_SLOTS; slot++) {
		const struct dod_map_site *site = smp_load_acquire(&dod_sites[slot]);

		if (site && site->device->dev == copy->dev && site->device->since == copy->since)
			add_site(sum, site);
	}
}

static void read_site(const struct dod_map_site *site, struct dod_map_place *place)
{
	memset(place, 0, sizeof(*place));
	place->m.device = site->device;
	place->m.dev = site->device->dev;
	place->m.kind = site->kind;
	place->m.dir = site->dir;
	place->m.owned_at_map = site->owned_at_map;
	place->m.map.nr_frames = site->nr_frames;
	memcpy(place->m.map_frames, site->frames, sizeof(site->frames));
	place->since = site->since;
	add_site(&place->sum, site);
}

/**
 * dod_profile_read() - read what was counted at all sites
 * @places: filled in, but for their @ip; NULL: only count them
 * @room: for so many
 *
 * Context: process.
 *
 * Return: how many there are, of which @room at most were read.
 */
unsigned int dod_profile_read(struct dod_map_place *places, unsigned int room)
{
	unsigned int slot, nr = 0;

	for (slot = 0; slot < NR_SITE_SLOTS; slot++) {
		const struct dod_map_site *site = smp_load_acquire(&dod_sites[slot]);

		if (!site)
			continue;
		if (places && nr < room)
			read_site(site, places + nr);
		nr++;
		cond_resched();
	}
	return nr;
}

/**
 * dod_profile_switch() - count from now on, or do not
 * @on: which
 *
 * Context: process, may sleep.
 */
void dod_profile_switch(bool on)
{
	dod_observe_by(&dod_profiling.key, on);
}

/*
 * What the self-test maps is not counted: the profile is switched on after it. Without memory for
 * sites, mappings are not in the profile, and are counted.
 */
void dod_profile_start(void)
{
	BUILD_BUG_ON(NR_SITE_SLOTS >= U16_MAX);
	make_sites(NULL);
}

static void free_site(struct dod_map_site *site)
{
	if (!site)
		return;
	free_percpu(site->profile);
	kfree(site);
}

void dod_profile_stop(void)
{
	struct dod_map_site *site;
	unsigned int slot;

	dod_profile_switch(false);
	dod_worker_cancel(&sites_worker);
	for (slot = 0; slot < NR_SITE_SLOTS; slot++) {
		free_site(dod_sites[slot]);
		dod_sites[slot] = NULL;
	}
	while ((site = spare_sites)) {
		spare_sites = site->next;
		free_site(site);
	}
	nr_spare = 0;
	nr_sites = 0;
}
