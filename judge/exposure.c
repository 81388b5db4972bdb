// SPDX-License-Identifier: GPL-2.0
/*
 * The file exposure. An IOMMU maps whole pages: with a buffer, a device can reach all that shares
 * its pages. Found out when the file is read, from a copy of the live mappings; what is mapped,
 * unmapped or freed meanwhile may count or not.
 *
 * exposure_lock lets one reader at a time collect mappings. No lock of ours is held for longer
 * than it takes to copy one. Context of all functions: process, may sleep.
 */
#include "internal.h"

#include "../guard/slab.h"

#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>

/* A live mapping. @reached: the last byte of this and of those of the device before it. */
struct reach {
	struct dod_device *device;
	u64 start, last, reached;
	u8 dir;
};

/* Sorted by device, then by start. */
struct reaches {
	struct reach *all;
	size_t nr, room;
};

#define NR_CACHES	32
#define CACHES_SHOWN	8

struct cache {
	const void *cache;
	char name[DOD_SLAB_NAME];
	unsigned long objects;
};

/* What a device can reach, and was not given. */
struct exposed {
	unsigned long pages, objects;
	unsigned long unknown;		/* pages of slabs whose layout is not known */
	u64 bytes, beside;		/* of objects; of other pages, beside its buffers */
	unsigned int nr;
	unsigned long others;		/* objects of more caches than there is room for */
	struct cache caches[NR_CACHES];
};

static DEFINE_MUTEX(exposure_lock);

/* === Mappings ============================================================= */

static bool add_reach(struct reaches *r, const struct dod_mapping *m)
{
	struct reach *all;

	if (r->nr == r->room) {
		all = kvmalloc_array(r->room * 2 + 256, sizeof(*all), GFP_KERNEL);
		if (!all)
			return false;
		if (r->nr)
			memcpy(all, r->all, r->nr * sizeof(*all));
		kvfree(r->all);
		r->all = all;
		r->room = r->room * 2 + 256;
	}
	r->all[r->nr++] = (struct reach) {
		.device = m->device, .start = m->start, .last = m->last, .dir = m->dir,
	};
	return true;
}

static int by_device(const void *a, const void *b)
{
	const struct reach *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Does the kernel bounce it for certain? What a device that is not trusted gets of a page is copied
 * (dev_use_swiotlb() in drivers/iommu/dma-iommu.c). @m->bounced says that it may.
 */
static bool is_bounced(const struct dod_mapping *m)
{
	return m->device->translated && m->device->untrusted &&
	       !IS_ALIGNED(m->start | dod_size(m), PAGE_SIZE);
}

/* False if there is no memory for that. Through a bounce buffer, no page is reached. */
static bool collect(struct reaches *r)
{
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;
	u64 start = 0;
	size_t i;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		cond_resched();
		if (!is_bounced(&m) && !add_reach(r, &m))
			return false;
	}
	sort(r->all, r->nr, sizeof(*r->all), by_device, NULL);
	for (i = 0; i < r->nr; i++) {
		struct reach *at = &r->all[i];

		at->reached = at->last;
		if (i && at[-1].device == at->device)
			at->reached = max(at->reached, at[-1].reached);
	}
	return true;
}

/* Those of one device. */
static struct reaches reaches_of(const struct reaches *r, const struct dod_device *device)
{
	struct reaches own = {};
	size_t i;

	for (i = 0; i < r->nr; i++)
		if (r->all[i].device == device) {
			own.all = own.all ?: &r->all[i];
			own.nr++;
		}
	return own;
}

/* How many begin at or before a byte? Whether any of them touches [start, ...] tells @reached. */
static size_t nr_up_to(const struct reaches *own, u64 last)
{
	size_t from = 0, to = own->nr;

	while (from < to) {
		size_t i = from + (to - from) / 2;

		if (own->all[i].start <= last)
			from = i + 1;
		else
			to = i;
	}
	return from;
}

/* Did the device get some of [start, last], in whatever direction? */
static bool was_given(const struct reaches *own, u64 start, u64 last)
{
	size_t nr = nr_up_to(own, last);

	return nr && own->all[nr - 1].reached >= start;
}

/* How many bytes of a page were mapped? */
static u64 bytes_given(const struct reaches *own, u64 page)
{
	u64 end = page + PAGE_SIZE, from, to, at = page, bytes = 0;
	size_t nr = nr_up_to(own, end - 1), i = nr;

	while (i && own->all[i - 1].reached >= page)
		i--;
	for (; i < nr; i++) {
		from = max(own->all[i].start, at);
		to = min(own->all[i].last + 1, end);
		if (to > from) {
			bytes += to - from;
			at = to;
		}
	}
	return bytes;
}

/* === What else is in a page =============================================== */

static void add_object(struct exposed *e, const void *cache)
{
	unsigned int i;

	e->objects++;
	for (i = 0; i < e->nr && e->caches[i].cache != cache; i++)
		;
	if (i == NR_CACHES) {
		e->others++;
		return;
	}
	if (i == e->nr) {
		e->nr++;
		e->caches[i].cache = cache;
		dod_slab_name(cache, e->caches[i].name);
	}
	e->caches[i].objects++;
}

/* @counted: what reaches into this page from the one before was counted there. */
static void add_slab_page(struct exposed *e, const struct reaches *own, const struct dod_slab *s,
			  u64 page, bool counted)
{
	u64 at = s->first + (u32)(page - s->first) / s->size * s->size, end;

	for (; at < min(page + PAGE_SIZE, s->end); at += s->size) {
		end = at + s->object_size;
		/* What is after an object is nobody's. */
		if (end <= page || was_given(own, at, at + s->size - 1) ||
		    (dod_mem_ops.allocated && !dod_mem_ops.allocated(at, at + s->size - 1)))
			continue;
		e->bytes += min(end, page + PAGE_SIZE) - max(at, page);
		if (at >= page || !counted)
			add_object(e, s->cache);
	}
}

static void add_page(struct exposed *e, const struct reaches *own, u64 page, bool counted)
{
	struct dod_slab slab;

	e->pages++;
	if (dod_slab_find(page, &slab))
		add_slab_page(e, own, &slab, page, counted);
	else if (is_kfence_address(phys_to_virt(page)))
		;	/* its object is alone there */
	else if (folio_test_slab(dod_folio(page)))
		e->unknown++;
	else
		e->beside += PAGE_SIZE - bytes_given(own, page);
}

/* All pages that mappings of these directions open, each once. */
static void expose(struct exposed *e, const struct reaches *own, bool write)
{
	u64 next = 0, page;
	size_t i;

	memset(e, 0, sizeof(*e));
	for (i = 0; i < own->nr; i++) {
		const struct reach *r = &own->all[i];

		if (r->dir == (write ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
			continue;
		page = max(r->start & PAGE_MASK, next);
		for (; page <= r->last; page = next) {
			add_page(e, own, page, page && page == next);
			next = page + PAGE_SIZE;
			cond_resched();
		}
	}
}

/* === What people read ===================================================== */

static int by_objects(const void *a, const void *b)
{
	const struct cache *x = a, *y = b;

	return x->objects < y->objects ? 1 : -(x->objects > y->objects);
}

/* "112 objects it was not given: 84 kmalloc-512, 20 skbuff_head_cache", with the larger first. */
static void describe(struct exposed *e, char *text, size_t size)
{
	unsigned long more = e->others;
	unsigned int i;
	int len;

	sort(e->caches, e->nr, sizeof(e->caches[0]), by_objects, NULL);
	len = scnprintf(text, size, "%lu %s it was not given: ", e->objects,
			e->objects == 1 ?
			dod_mem_ops.allocated ? "object" : "place of an object, used or free," :
			dod_mem_ops.allocated ? "objects" : "places of objects, used or free,");
	for (i = 0; i < e->nr; i++)
		if (i < CACHES_SHOWN)
			len += scnprintf(text + len, size - len, "%s%lu %s", i ? ", " : "",
					 e->caches[i].objects, e->caches[i].name);
		else
			more += e->caches[i].objects;
	if (more)
		len += scnprintf(text + len, size - len, ", %lu of other caches", more);
	scnprintf(text + len, size - len, " (%llu bytes)", e->bytes);
}

static void show_kind(struct seq_file *seq, struct dod_device *device, struct exposed *e,
		      bool write)
{
	char text[480];

	if (!e->pages)
		return;
	seq_printf(seq, "%s can %s %lu page%s", device->name, write ? "write" : "read", e->pages,
		   e->pages == 1 ? "" : "s");
	if (e->objects) {
		describe(e, text, sizeof(text));
		seq_printf(seq, " that also hold%s %s", e->pages == 1 ? "s" : "", text);
	}
	if (e->beside)
		seq_printf(seq, "; %llu byte%s beside its buffers, in pages of no slab", e->beside,
			   e->beside == 1 ? "" : "s");
	if (e->unknown)
		seq_printf(seq, "; %lu page%s of slabs whose layout is not known", e->unknown,
			   e->unknown == 1 ? "" : "s");
	if (!e->objects && !e->beside && !e->unknown)
		seq_printf(seq, " that hold%s nothing else", e->pages == 1 ? "s" : "");
	seq_puts(seq, "\n");
	if (write && e->objects)
		dod_report_note(DOD_R_NEIGHBOURS_EXPOSED, device,
				"it can write %lu page%s that also hold%s %s", e->pages,
				e->pages == 1 ? "" : "s", e->pages == 1 ? "s" : "", text);
}

static void show_device(struct seq_file *seq, const struct reaches *all, struct dod_device *device,
			struct exposed *e, bool translated)
{
	struct reaches own = reaches_of(all, device);

	if (!own.nr)
		return;
	if (!translated) {
		seq_printf(seq, "%s can read and write all of memory: no IOMMU translates for it\n",
			   device->name);
		return;
	}
	expose(e, &own, false);
	show_kind(seq, device, e, false);
	expose(e, &own, true);
	show_kind(seq, device, e, true);
}

/* Of @only, as if an IOMMU translated for it; of all devices as they are, if it is NULL. */
static int show(struct seq_file *seq, struct dod_device *only)
{
	struct exposed *e = kmalloc(sizeof(*e), GFP_KERNEL);
	struct dod_device *device, d;
	struct reaches all = {};
	int i, err = -ENOMEM;

	mutex_lock(&exposure_lock);
	dod_slab_learn();
	if (!e || !collect(&all))
		goto out;
	err = 0;
	if (only)
		show_device(seq, &all, only, e, true);
	for (i = 0; !only && !dod_owner_next_device(i, &d); i++) {
		device = dod_owner_device(d.dev, d.name);
		if (device)
			show_device(seq, &all, device, e, READ_ONCE(device->translated));
	}
out:
	mutex_unlock(&exposure_lock);
	kvfree(all.all);
	kfree(e);
	return err;
}

static int exposure_show(struct seq_file *seq, void *only)
{
	seq_puts(seq, "# what devices with live mappings can reach\n");
	return show(seq, NULL);
}

static int exposure_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, exposure_show, NULL, SZ_16K);
}

static const struct file_operations exposure_fops = {
	.owner = THIS_MODULE,
	.open = exposure_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

/* exposure_show() of one device, by its entry. */
static struct dod_device *shown_for_test;

static int test_show(struct seq_file *seq, void *v)
{
	return show(seq, shown_for_test);
}

/**
 * dma_owner_debug_exposure() - what exposure would say of a device behind an IOMMU
 * @dev: the device; NULL for the file as it is
 * @buf: for the text
 * @size: its size; what does not fit is left out
 *
 * For tests, one at a time.
 *
 * Return: 0, or -ENODEV if the device has mapped nothing yet.
 */
int dma_owner_debug_exposure(const struct device *dev, char *buf, size_t size)
{
	shown_for_test = dev ? dod_owner_device(dev, dev_name(dev)) : NULL;
	if (dev && !shown_for_test)
		return -ENODEV;
	dod_debugfs_show(test_show, buf, size);
	return 0;
}
EXPORT_SYMBOL_GPL(dma_owner_debug_exposure);

void dod_exposure_start(void)
{
	dod_debugfs_add("exposure", 0400, &exposure_fops);
}
