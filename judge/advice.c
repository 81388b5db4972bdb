// SPDX-License-Identifier: GPL-2.0
/*
 * Advice: what costs more than it must, by what owner/profile.c has counted. Looked for every 10 s,
 * at unload, when the parameter profile is written, and when somebody reads summary; never by a map
 * call. It is no fault, so if in doubt there is none. The files profile and summary.
 *
 * Left out, because nobody can know it: that less of a synced range was read than synced, for reads
 * of the CPU's own memory do not trap; and that one list would do for several single mappings, which
 * depends on what the driver does with each.
 *
 * No locks. Context: process.
 */
#include "internal.h"

#include "../owner/profile.h"

#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/sort.h>

/* Documented in Documentation/reports.rst. Of a call site, below these there is no advice. */
#define LEAST_MAPS	1000U	/* fewer tell nothing */
#define LEAST_RATE	100U	/* mappings a second since the first one: fewer cost nothing */
#define SMALL_BYTES	64U	/* shorter than a cache line */
#define SMALL_PERCENT	80U
#define AGAIN_PERCENT	80U
#define PIECES_PERCENT	80U
#define BOUNCED_PERCENT	50U
#define POOL_RATE	1000U	/* received packets a second */

static unsigned int percent(u64 part, u64 all)
{
	return all ? div64_u64(100 * part, all) : 0;
}

static u64 maps_a_second(const struct dod_map_place *p)
{
	u64 ms = div_u64(dod_ago(p->sum.when, p->since), NSEC_PER_MSEC);

	return div64_u64(dod_profile_maps(&p->sum) * MSEC_PER_SEC, max(ms, 1ULL));
}

/* Mappings of less than @bytes, a power of two. */
static u64 shorter_than(const struct dod_profile *p, unsigned int bytes)
{
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < dod_profile_bin(bytes); i++)
		nr += p->sizes[i];
	return nr;
}

/* How long @percent of the mappings that have ended were there, at most: the end of a bin. */
static u64 percentile(const struct dod_profile *p, unsigned int percent)
{
	u64 left = div_u64(dod_profile_ended(p) * percent + 99, 100);
	unsigned int i;

	left -= min(left, p->times[DOD_PROFILE_BINS - 1]);
	for (i = 0; i < DOD_PROFILE_BINS - 2 && left > p->times[i]; i++)
		left -= p->times[i];
	return 2ULL << i;
}

/* === The rows ============================================================= */

/* Is it so there? Then half a sentence says what, after the number of mappings and the place. */
typedef bool find_fn(const struct dod_map_place *p, u64 maps, char *text, size_t size);

/* Entries of a list are mapped with others, and their memory is often somebody else's. */
static bool is_small(const struct dod_map_place *p, u64 maps, char *text, size_t size)
{
	unsigned int part = percent(shorter_than(&p->sum, SMALL_BYTES), maps);

	if (p->m.kind != DOD_SINGLE || part < SMALL_PERCENT)
		return false;
	snprintf(text, size, "%u%% of them have less than %u bytes", part, SMALL_BYTES);
	return true;
}

/*
 * Allocators serve the next request with what was freed last, and then it is no buffer that the
 * driver has kept. But KASAN holds freed objects of slabs back.
 */
static bool tells_objects_apart(void)
{
	return IS_ENABLED(CONFIG_KASAN_GENERIC);
}

static bool is_mapped_again(const struct dod_map_place *p, u64 maps, char *text, size_t size)
{
	unsigned int part = percent(p->sum.again, maps);

	if (!tells_objects_apart() || part < AGAIN_PERCENT)
		return false;
	snprintf(text, size, "%u%% of them are of the same buffer as the one before", part);
	return true;
}

/*
 * Between objects there is a redzone: what is mapped on and on, each mapping its size after the one
 * before, is one object.
 */
static bool is_in_pieces(const struct dod_map_place *p, u64 maps, char *text, size_t size)
{
	unsigned int part = percent(p->sum.onward, maps);

	if (!tells_objects_apart() || p->m.kind != DOD_SINGLE || part < PIECES_PERCENT)
		return false;
	snprintf(text, size, "%u%% of them continue the one before, in the same buffer", part);
	return true;
}

/* Only memory that the device cannot reach: others are bounced because somebody wants all to be. */
static bool is_bounced(const struct dod_map_place *p, u64 maps, char *text, size_t size)
{
	const struct dod_device *d = p->m.device;
	unsigned int part = percent(p->sum.beyond, maps);

	if (part < BOUNCED_PERCENT)
		return false;
	snprintf(text, size, "%u%% of them are bounced: their memory is above 0x%llx, which is all that the device reaches",
		 part, min_not_zero(d->mask, d->bus_limit));
	return true;
}

/* The first may be inlined in the second. */
static bool is_mapped_by_napi(const struct dod_mapping *m)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned int i;

	for (i = 0; i < m->map.nr_frames; i++) {
		dod_function_name(dod_frame_ip(m->map_frames[i]), name, sizeof(name));
		name[strcspn(name, " ")] = '\0';
		if (!strcmp(name, "__napi_poll") || !strcmp(name, "net_rx_action"))
			return true;
	}
	return false;
}

/* A page_pool maps with DMA_ATTR_SKIP_CPU_SYNC. Buffers of slab memory cannot come from one. */
static bool lacks_pool(const struct dod_map_place *p, u64 maps, char *text, size_t size)
{
	u64 pages = maps - min(maps, p->sum.slab + p->sum.untrapped[DOD_UNTRAPPED_USER] +
				     p->sum.untrapped[DOD_UNTRAPPED_NOT_RAM]);

	if (p->m.dir != DMA_FROM_DEVICE || p->m.kind != DOD_SINGLE || !p->m.owned_at_map ||
	    2 * pages < maps || maps_a_second(p) < POOL_RATE || !is_mapped_by_napi(&p->m))
		return false;
	snprintf(text, size, "it maps pages to receive packets, %llu a second", maps_a_second(p));
	return true;
}

static const struct {
	enum dod_report_type type;
	find_fn *find;
} rows[] = {
	{ DOD_R_MANY_SMALL_MAPS, is_small },
	{ DOD_R_MAPPED_AGAIN, is_mapped_again },
	{ DOD_R_MAPPED_IN_PIECES, is_in_pieces },
	{ DOD_R_MOSTLY_BOUNCED, is_bounced },
	{ DOD_R_NO_PAGE_POOL, lacks_pool },
};

/* === Places =============================================================== */

struct places {
	struct dod_profile device;	/* the sum of one: too large for a stack */
	unsigned int nr;
	struct dod_map_place place[];
};

/* Stacks that differ further out, or within the DMA API, are of one place. */
static bool same_place(const struct dod_map_place *a, const struct dod_map_place *b)
{
	return a->m.device == b->m.device && a->ip == b->ip && a->m.dir == b->m.dir &&
	       a->m.kind == b->m.kind && a->m.owned_at_map == b->m.owned_at_map;
}

static void merge(struct dod_map_place *to, const struct dod_map_place *from)
{
	to->since = min(to->since, from->since);
	dod_profile_add(&to->sum, &from->sum);
}

static int by_device(const void *a, const void *b)
{
	const struct dod_map_place *x = a, *y = b;
	u64 nx = dod_profile_maps(&x->sum), ny = dod_profile_maps(&y->sum);

	if (x->m.device != y->m.device)
		return x->m.device < y->m.device ? -1 : 1;
	return nx < ny ? 1 : -(nx > ny);
}

/* All places, by device, those with the most mappings first; NULL without memory. */
static struct places *read_places(void)
{
	unsigned int i, j, room = dod_profile_read(NULL, 0);
	struct places *all = kvzalloc(struct_size(all, place, room), GFP_KERNEL);

	if (!all)
		return NULL;
	room = min(room, dod_profile_read(all->place, room));
	for (i = 0; i < room; i++) {
		struct dod_map_place *p = &all->place[i];

		p->ip = dod_report_map_frame(&p->m);
		for (j = 0; j < all->nr && !same_place(&all->place[j], p); j++)
			;
		if (j < all->nr)
			merge(&all->place[j], p);
		else if (all->nr++ != i)
			all->place[j] = *p;
		cond_resched();
	}
	sort(all->place, all->nr, sizeof(all->place[0]), by_device, NULL);
	return all;
}

/* The place is named by code that was unloaded since. */
static bool is_gone(const struct dod_map_place *p)
{
	char name[KSYM_SYMBOL_LEN];

	return strstarts(dod_function_name(p->ip, name, sizeof(name)), "0x");
}

/* Advice about a place, of row @i; false if there is none. */
static bool advise(const struct dod_map_place *p, unsigned int i, char *text, size_t size)
{
	u64 maps = dod_profile_maps(&p->sum);
	int len;

	if (maps < LEAST_MAPS || maps_a_second(p) < LEAST_RATE ||
	    dod_report_is_off(rows[i].type) || is_gone(p))
		return false;
	len = scnprintf(text, size, "%llu mappings in %pS: ", maps, (void *)p->ip);
	return rows[i].find(p, maps, text + len, size - len);
}

static void print_notes(void)
{
	struct places *all = read_places();
	char text[320];
	unsigned int i, j;

	for (i = 0; all && i < all->nr; i++)
		for (j = 0; j < ARRAY_SIZE(rows); j++) {
			struct dod_map_place *p = &all->place[i];

			if (!test_bit(rows[j].type, p->m.device->noted) &&
			    advise(p, j, text, sizeof(text)))
				dod_report_note(rows[j].type, p->m.device, "%s", text);
		}
	kvfree(all);
}

#define SCAN_PERIOD	(10 * HZ)

static void scan(struct work_struct *work)
{
	if (READ_ONCE(dod_params.profile) && READ_ONCE(dod_armed))
		print_notes();
	schedule_delayed_work(to_delayed_work(work), SCAN_PERIOD);
}

static DECLARE_DEFERRABLE_WORK(scan_work, scan);

void dod_advice_start(void)
{
	schedule_delayed_work(&scan_work, SCAN_PERIOD);
}

void dod_advice_stop(void)
{
	cancel_delayed_work_sync(&scan_work);
	if (READ_ONCE(dod_params.profile))
		print_notes();
}

void dod_profile_changed(void)
{
	/* At load it is in force once the hooks are there. */
	if (!READ_ONCE(dod_armed))
		return;
	dod_profile_switch(READ_ONCE(dod_params.profile));
	print_notes();
}

/* === The files ============================================================ */

static const char *in_units(u64 ns, char *text, size_t size)
{
	static const char * const units[] = { "ns", "us", "ms", "s" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(units) - 1 && ns >= 1000; i++)
		ns = div_u64(ns, 1000);
	snprintf(text, size, "%llu%s", ns, units[i]);
	return text;
}

static void show_times(const struct dod_profile *p, char *text, size_t size)
{
	char a[24], b[24];

	if (!dod_profile_ended(p)) {
		strscpy(text, "-", size);
		return;
	}
	snprintf(text, size, "%s/%s", in_units(percentile(p, 50), a, sizeof(a)),
		 in_units(percentile(p, 99), b, sizeof(b)));
}

/* One line for a device. */
static void summary_line(struct seq_file *seq, const struct dod_device *d,
			 const struct dod_profile *p)
{
	u64 maps = dod_profile_maps(p), ended = dod_profile_ended(p);
	char name[sizeof(d->driver_name) + sizeof(d->name) + 1], times[48];

	snprintf(name, sizeof(name), "%s %s", d->driver_name, d->name);
	show_times(p, times, sizeof(times));
	seq_printf(seq, "%-36s %10llu %8llu %9llu %7u%% %13s %6u%% %8llu %7d\n", name, maps,
		   maps - min(maps, ended), div64_u64(p->bytes, max(maps, 1ULL)),
		   dod_profile_trapped(p), times, percent(shorter_than(p, 256), maps), p->bounced,
		   atomic_read((atomic_t *)&d->nr_reports));
}

static void show_advice(struct seq_file *seq, const struct places *all)
{
	unsigned int i, j;
	char text[320];

	for (i = 0; i < all->nr; i++)
		for (j = 0; j < ARRAY_SIZE(rows); j++) {
			const struct dod_map_place *p = &all->place[i];

			if (!advise(p, j, text, sizeof(text)) ||
			    dod_report_is_filtered(rows[j].type, p->m.device))
				continue;
			seq_printf(seq, "advice: %s %s: %s; %s\n", p->m.device->driver_name,
				   p->m.device->name, text, dod_report_hint(rows[j].type));
		}
}

static int summary_show(struct seq_file *seq, void *v)
{
	struct places *all = read_places();
	unsigned int i;

	if (!all)
		return -ENOMEM;
	seq_printf(seq, "%-36s %10s %8s %9s %8s %13s %7s %8s %7s\n", "# driver device", "maps",
		   "live", "bytes/map", "trapped", "mapped50/99", "<256B", "bounced", "reports");
	for (i = 0; i < all->nr; i++) {
		const struct dod_device *d = all->place[i].m.device;

		if (!i || all->place[i - 1].m.device != d)
			memset(&all->device, 0, sizeof(all->device));
		dod_profile_add(&all->device, &all->place[i].sum);
		if (i + 1 == all->nr || all->place[i + 1].m.device != d)
			summary_line(seq, d, &all->device);
	}
	show_advice(seq, all);
	kvfree(all);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(summary);

/* Bins that are not empty, each with its lower bound. The last one is for less than nothing. */
static void show_bins(struct seq_file *seq, const char *name, const u64 *bins)
{
	unsigned int i;

	seq_printf(seq, "  %s:", name);
	for (i = 0; i < DOD_PROFILE_BINS - 1; i++)
		if (bins[i])
			seq_printf(seq, " %llu:%llu", 1ULL << i, bins[i]);
	if (bins[i])
		seq_printf(seq, " <0:%llu", bins[i]);
	seq_putc(seq, '\n');
}

static void show_place(struct seq_file *seq, const struct dod_map_place *p)
{
	const struct dod_profile *s = &p->sum;
	u64 maps = dod_profile_maps(s);
	char times[48];

	show_times(s, times, sizeof(times));
	seq_printf(seq, "%s %s %s %pS\n", p->m.device->driver_name, p->m.device->name,
		   dod_report_dir(p->m.dir), (void *)p->ip);
	seq_printf(seq, "  maps %llu ended %llu a_second %llu bytes %llu mapped50/99 %s\n", maps,
		   dod_profile_ended(s), maps_a_second(p), s->bytes, times);
	seq_printf(seq, "  slab %llu again %llu onward %llu bounced %llu beyond_reach %llu\n",
		   s->slab, s->again, s->onward, s->bounced, s->beyond);
	seq_printf(seq, "  syncs_for_cpu %llu bytes %llu syncs_for_device %llu bytes %llu\n",
		   s->syncs_cpu, s->bytes_cpu, s->syncs_device, s->bytes_device);
	seq_puts(seq, "  trapped ");
	dod_profile_show_trapped(seq, s);
	seq_putc(seq, '\n');
	show_bins(seq, "sizes", s->sizes);
	show_bins(seq, "mapped_ns", s->times);
}

static int profile_show(struct seq_file *seq, void *v)
{
	struct places *all = read_places();
	unsigned int i;

	if (!all)
		return -ENOMEM;
	for (i = 0; i < all->nr; i++)
		show_place(seq, &all->place[i]);
	kvfree(all);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(profile);

void dod_advice_show_start(void)
{
	dod_debugfs_add("summary", 0400, &summary_fops);
	dod_debugfs_add("profile", 0400, &profile_fops);
}
