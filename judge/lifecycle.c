// SPDX-License-Identifier: GPL-2.0
/*
 * Lifecycle: memory that is freed, drivers that are unbound, systems that are shut
 * down while a device owns memory; and what a device was doing at an address that
 * it should have left alone.
 *
 * No lock here. Frees are seen in any context, with any lock of the kernel held but
 * none of ours; unbinding in process context, with the device's lock held; the end
 * of the system with preemption off. All take the owner's locks and report's.
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
#include "../guard/guard.h"
#include "../owner/judge_ops.h"
#include "../owner/owner.h"
#include "../owner/pending.h"
#include "../report/report.h"
#include "content.h"
#include "dmabuf.h"
#include "judge.h"
#include "permissive.h"

#include <linux/instruction_pointer.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>
#include <trace/events/iommu.h>
#include <trace/events/kmem.h>

static bool started;

/* === Frees ================================================================ */

/* Is it a mapping that was found to be too long, and begins before what is freed? */
static bool runs_into(const struct dod_mapping *m, unsigned long addr)
{
	return dod_size(m) != m->last - m->start + 1 &&
	       m->start < virt_to_phys((void *)addr);
}

/* The page of an object that was freed before: by nobody who has to do with it now. */
static void report_freed(const struct dod_free *f, const struct dod_mapping *m,
			 const struct dod_range *range, bool object)
{
	if (!object && (m->slab || runs_into(m, f->addr)))
		dod_count(DOD_C_UNJUDGED_FREE);
	else if (READ_ONCE(dod_armed))
		dod_report_free(f, m, range);
}

static void report_frees(u64 start, u64 last, bool object, unsigned long ip)
{
	struct dod_free f = {
		.addr = (unsigned long)phys_to_virt(start),
		.size = last - start + 1,
		.ip = ip,
	};
	struct dod_freed freed;
	struct dod_pending *p;

	while (dod_owner_free(&start, last, object, &freed)) {
		while ((p = freed.lost)) {
			freed.lost = p->next;
			dod_pending_report(p, &freed.m, DOD_LOST_AT_FREE, ip);
			dod_pending_put(p);
		}
		if (freed.owned)
			report_freed(&f, &freed.m, &freed.range, object);
	}
}

/**
 * dod_lifecycle_freed() - memory that a device owns was freed, and nobody saw it
 * @m: a copy of the mapping, or one that nobody else knows of
 * @range: what the device owned of the memory
 * @found: when that was found, as a part of a sentence
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_lifecycle_freed(const struct dod_mapping *m, const struct dod_range *range,
			 const char *found)
{
	struct dod_free f = {
		.addr = (unsigned long)phys_to_virt(range->start),
		.size = range->last - range->start + 1,
		.found = found,
	};

	if (READ_ONCE(dod_armed))
		dod_report_free(&f, m, range);
}

/*
 * Where the guard knows that it was freed before, that is the sanitizer's to report.
 * Else KASAN must not find a value of ours in the object, whatever put it there, for it
 * takes that for a double free.
 */
static noinline void free_object(const void *ptr, unsigned long ip)
{
	u64 start = virt_to_phys((void *)ptr);
	u64 size;

	if (!dod_may_lock()) {
		dod_count(DOD_C_UNJUDGED_FREE);
		return;
	}
	size = dod_mem_ops.object_size(ptr);
	if (!size)
		return;
	report_frees(start, start + size - 1, true, ip);
	dod_owner_free_end(start, start + size - 1);
}

static void on_object(const void *ptr, unsigned long ip)
{
	struct folio *folio;

	if (ZERO_OR_NULL_PTR(ptr))
		return;
	folio = virt_to_folio(ptr);
	if (dod_page_is_mapped(folio_pfn(folio)) || dod_page_is_mapped(PHYS_PFN(virt_to_phys((void *)ptr))) ||
	    dod_all_pages_are_mapped())
		free_object(ptr, ip);
}

/* A probe has the prototype of its tracepoint, after @data: kCFI panics at another. */
static void on_kfree(void *data, unsigned long call_site, const void *ptr)
{
	on_object(ptr, _RET_IP_);
}

static void on_kmem_cache_free(void *data, unsigned long call_site, const void *ptr,
			       const struct kmem_cache *cache)
{
	on_object(ptr, _RET_IP_);
}

/* Of a folio, or of pages that never were one. */
static __always_inline void on_pages(struct page *page, unsigned int order, unsigned long ip)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + BIT(order), i = pfn;

	do {
		if (dod_page_is_mapped(i))
			break;
	} while (++i < end);
	if (likely(i == end && !dod_all_pages_are_mapped()) || PageHighMem(page))
		return;
	if (!dod_may_lock()) {
		dod_count(DOD_C_UNJUDGED_FREE);
		return;
	}
	report_frees(PFN_PHYS(pfn), PFN_PHYS(end) - 1, false, ip);
	dod_owner_free_end(PFN_PHYS(pfn), PFN_PHYS(end) - 1);
}

static void on_mm_page_free(void *data, struct page *page, unsigned int order)
{
	on_pages(page, order, _RET_IP_);
}

/**
 * dod_free_object() - an object is freed, where no tracepoint says so
 * @ptr: the object
 * @ip: return address of the function that frees it
 *
 * Context: any.
 */
void dod_free_object(const void *ptr, unsigned long ip)
{
	if (READ_ONCE(started))
		on_object(ptr, ip);
}

/**
 * dod_free_to_pool() - an element is given back to a memory pool
 * @element: the element
 * @pool: the pool
 * @ip: return address of mempool_free()
 *
 * Whether the pool keeps it or frees it: the memory is nobody's. A pool with functions
 * of its driver's own keeps elements of which only the driver knows what they are, and
 * may keep them mapped.
 *
 * Context: any.
 */
void dod_free_to_pool(void *element, const mempool_t *pool, unsigned long ip)
{
	if (!READ_ONCE(started) || !element)
		return;
	/* One that is full hands it to its own function, which may unmap it first. */
	if (READ_ONCE(pool->curr_nr) >= pool->min_nr && pool->free != mempool_free_slab &&
	    pool->free != mempool_kfree && pool->free != mempool_free_pages)
		return;
	if (pool->alloc == mempool_alloc_slab || pool->alloc == mempool_kmalloc)
		on_object(element, ip);
	/* Who else holds a page, as the network core does, is the one to free it. */
	else if (pool->alloc == mempool_alloc_pages && page_ref_count(element) == 1)
		on_pages(element, (unsigned long)pool->pool_data, ip);
}

/* === What is looked at from time to time ================================== */

#define LOOK_PERIOD	(5 * HZ)

/*
 * kfree_rcu() of kernels that free its objects with a function of the allocator's own,
 * and whatever else there will be: the guard can tell.
 */
static void look_for_freed(void)
{
	struct dod_range range;
	struct dod_mapping m;
	unsigned int shard = 0;
	u64 start = 0;

	while (dod_owner_next_freed(&shard, &start, &m, &range)) {
		if (range.start <= range.last)
			dod_lifecycle_freed(&m, &range, "by a look at all mappings");
		cond_resched();
	}
}

static void look(struct work_struct *work);
static DECLARE_DEFERRABLE_WORK(look_work, look);

static void look(struct work_struct *work)
{
	dod_pagemarks_check();
	look_for_freed();
	schedule_delayed_work(&look_work, LOOK_PERIOD);
}

/* === Mappings that are left =============================================== */

static bool same_stack(const struct dod_mapping *a, const struct dod_mapping *b)
{
	return a->map.nr_frames == b->map.nr_frames &&
	       !memcmp(a->map_frames, b->map_frames,
		       a->map.nr_frames * sizeof(a->map_frames[0]));
}

/* Where there are too many places, the later ones are only counted. */
static void add_leak(struct dod_leaks *l, const struct dod_mapping *m, u64 bytes)
{
	unsigned int i;

	l->all.nr++;
	l->all.bytes += bytes;
	for (i = 0; i < l->nr && !same_stack(&l->places[i].m, m); i++)
		;
	if (i == ARRAY_SIZE(l->places))
		return;
	if (i == l->nr) {
		l->nr++;
		l->places[i].m = *m;
	}
	l->places[i].nr++;
	l->places[i].bytes += bytes;
}

static int by_size(const void *a, const void *b)
{
	const struct dod_leak *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : -(x->bytes > y->bytes);
}

/* Which mappings of a device are looked for. */
struct wanted {
	const struct device *dev;
	const char *name;
	const u16 *binding;	/* of its driver then; NULL for all */
	bool writable;		/* only what it may write to, and owns */
	bool suspect;		/* only what dod_owner_note_suspects() has marked */
};

static bool is_wanted(const struct wanted *w, const struct dod_mapping *m, u64 written)
{
	return m->dev == w->dev &&
	       (!w->binding || m->binding == *w->binding) &&
	       !strncmp(m->device->name, w->name, sizeof(m->device->name) - 1) &&
	       (!w->writable || written) && (!w->suspect || m->suspect);
}

static void find_leaks(struct dod_leaks *l, const struct wanted *w)
{
	u64 start = 0;
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;

	while (dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		/* Thousands may begin at one address; at a restart preemption may be off. */
		if (preemptible())
			cond_resched();
		if (!is_wanted(w, &m, sum.writable) ||
		    dod_map_permitted(l->type, &m))
			continue;
		/* Who uses the memory next is to hear of it. */
		if (l->type == DOD_R_LEAK_AT_UNBIND)
			dod_owner_mark_leaked(&m);
		/* What was freed was reported then. */
		if (!m.freed)
			add_leak(l, &m, w->writable ? sum.writable : dod_size(&m));
	}
	sort(l->places, l->nr, sizeof(l->places[0]), by_size, NULL);
}

static const char *plural(unsigned int nr)
{
	return nr == 1 ? "" : "s";
}

/* === Drivers that are unbound ============================================= */

static void unbound(const struct device *dev)
{
	struct dod_device *d = dod_owner_device(dev, dev_name(dev));
	struct dod_leaks *l;
	u16 binding;

	if (!d)
		return;
	/* Not by the time: the clocks of CPUs may differ. */
	binding = d->binding;
	WRITE_ONCE(d->binding, binding + 1);
	l = kzalloc(sizeof(*l), GFP_KERNEL);
	if (!l) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	l->type = DOD_R_LEAK_AT_UNBIND;
	find_leaks(l, &(struct wanted){ .dev = dev, .name = d->name, .binding = &binding });
	if (l->nr) {
		unsigned long flags = dod_quiet_begin();

		snprintf(l->text, sizeof(l->text),
			 "Driver %s was unbound from device %s by task %s/%d on cpu %d.\n"
			 "It left %u mapping%s of %llu bytes.\n",
			 d->driver_name, d->name, current->comm,
			 task_pid_nr(current), raw_smp_processor_id(), l->all.nr,
			 plural(l->all.nr), l->all.bytes);
		dod_report_leaks(l);
		dod_quiet_end(flags);
	}
	kfree(l);
}

/*
 * Leaks of freed memory that was mapped again, to be reported by the worker: who maps
 * may not allocate, and the report is too large for a stack.
 */
static struct reuse {
	struct dod_mapping *leak;	/* a copy, of the pool */
	const struct dod_device *user;
	u64 bytes;
} reuses[8];				/* reuses_lock */

static DEFINE_RAW_SPINLOCK(reuses_lock);

static bool take_reuse(struct reuse *reuse)
{
	unsigned long flags;
	unsigned int i;

	dod_lock_irqsave(&reuses_lock, flags);
	for (i = 0; i < ARRAY_SIZE(reuses) && !reuses[i].leak; i++)
		;
	if (i < ARRAY_SIZE(reuses)) {
		*reuse = reuses[i];
		reuses[i].leak = NULL;
	}
	dod_unlock_irqrestore(&reuses_lock, flags);
	return i < ARRAY_SIZE(reuses);
}

static void report_reuse(const struct reuse *reuse)
{
	struct dod_leaks *l = kzalloc(sizeof(*l), GFP_KERNEL);
	unsigned long flags;
	size_t at;

	if (!l) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	l->type = DOD_R_LEAK_AT_UNBIND;
	add_leak(l, reuse->leak, dod_size(reuse->leak));
	flags = dod_quiet_begin();
	at = READ_ONCE(reuse->leak->device->binding) == reuse->leak->binding ?
	     scnprintf(l->text, sizeof(l->text),
		       "The memory was freed while device %s %s had it mapped, and was not unmapped since.\n",
		       reuse->leak->device->driver_name, reuse->leak->device->name) :
	     scnprintf(l->text, sizeof(l->text),
		       "Driver %s was unbound from device %s, and has left memory mapped that was freed.\n",
		       reuse->leak->device->driver_name, reuse->leak->device->name);
	scnprintf(l->text + at, sizeof(l->text) - at,
		  "Device %s %s maps %llu bytes of it now.\n",
		  reuse->user->driver_name, reuse->user->name, reuse->bytes);
	dod_report_leaks(l);
	dod_quiet_end(flags);
	kfree(l);
}

static void report_reuses(struct work_struct *work)
{
	struct reuse reuse;

	while (take_reuse(&reuse)) {
		if (READ_ONCE(dod_armed))
			report_reuse(&reuse);
		dod_pool_put(&dod_mapping_pool, reuse.leak);
	}
}

static DEFINE_DOD_WORKER(reuses_worker, report_reuses);

static bool add_reuse(const struct dod_mapping *leak, const struct dod_device *user, u64 bytes)
{
	struct dod_mapping *copy = dod_pool_get(&dod_mapping_pool);
	unsigned long flags;
	unsigned int i;

	if (!copy)
		return false;
	*copy = *leak;
	dod_lock_irqsave(&reuses_lock, flags);
	for (i = 0; i < ARRAY_SIZE(reuses) && reuses[i].leak; i++)
		;
	if (i < ARRAY_SIZE(reuses))
		reuses[i] = (struct reuse){ copy, user, bytes };
	dod_unlock_irqrestore(&reuses_lock, flags);
	if (i == ARRAY_SIZE(reuses))
		dod_pool_put(&dod_mapping_pool, copy);
	else
		dod_worker_wake(&reuses_worker);
	return i < ARRAY_SIZE(reuses);
}

/**
 * dod_lifecycle_reused() - what a driver left when it was unbound is mapped again
 * @leak: a copy of what was left
 * @range: what its device owns of the memory, or may own
 * @m: the new mapping
 *
 * If it was freed, that was reported then.
 *
 * Context: any but NMI, no lock of ours held.
 */
void dod_lifecycle_reused(const struct dod_mapping *leak, const struct dod_range *range,
			  const struct dod_mapping *m)
{
	if (!leak->freed)
		dod_lifecycle_freed(leak, range, "when it was mapped again");
	else if (!add_reuse(leak, m->device, range->last - range->start + 1))
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
}

/*
 * A probe() that has failed. When the bus says so, what the driver core frees for the
 * driver (devres) is still there, and may unmap memory. That is over when the lock of
 * the device is free; the core may probe it with another driver before.
 */
struct failed_probe {
	struct list_head node;		/* probes_lock */
	struct device *dev;		/* a reference */
	struct dod_device *device;
	u16 binding;
	pid_t pid;
	int cpu;
	char comm[TASK_COMM_LEN];
	char driver[sizeof_field(struct dod_device, driver_name)];
};

static LIST_HEAD(failed_probes);
static DEFINE_SPINLOCK(probes_lock);

static void report_failed_probe(const struct failed_probe *p)
{
	struct dod_leaks *l = kzalloc(sizeof(*l), GFP_KERNEL);

	if (!l) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	l->type = DOD_R_LEAK_AT_UNBIND;
	find_leaks(l, &(struct wanted){
		.dev = p->dev,
		.name = p->device->name,
		.binding = &p->binding,
		.suspect = true,
	});
	if (l->nr) {
		unsigned long flags = dod_quiet_begin();

		snprintf(l->text, sizeof(l->text),
			 "Driver %s is not bound to device %s: its probe() failed, in task %s/%d on cpu %d.\n"
			 "It left %u mapping%s of %llu bytes.\n",
			 p->driver, p->device->name, p->comm, p->pid, p->cpu,
			 l->all.nr, plural(l->all.nr), l->all.bytes);
		dod_report_leaks(l);
		dod_quiet_end(flags);
	}
	kfree(l);
}

static void look_at_failed_probes(struct work_struct *work);
static DECLARE_DELAYED_WORK(probes_work, look_at_failed_probes);

/* Never waits for the lock of a device: one that hangs must not hold up the others. */
static void look_at_failed_probes(struct work_struct *work)
{
	struct failed_probe *p, *next;
	LIST_HEAD(todo);

	spin_lock(&probes_lock);
	list_splice_init(&failed_probes, &todo);
	spin_unlock(&probes_lock);
	list_for_each_entry_safe(p, next, &todo, node) {
		if (!device_trylock(p->dev))
			continue;
		device_unlock(p->dev);
		if (READ_ONCE(dod_armed))
			report_failed_probe(p);
		list_del(&p->node);
		put_device(p->dev);
		kfree(p);
	}
	if (list_empty(&todo))
		return;
	spin_lock(&probes_lock);
	list_splice(&todo, &failed_probes);
	spin_unlock(&probes_lock);
	schedule_delayed_work(&probes_work, HZ / 20);
}

static void not_bound(struct device *dev)
{
	struct dod_device *d = dod_owner_device(dev, dev_name(dev));
	struct failed_probe *p;
	u16 binding;

	if (!d || !dev->driver)
		return;
	binding = d->binding;
	WRITE_ONCE(d->binding, binding + 1);
	if (!dod_owner_note_suspects(dev, binding, dev->driver))
		return;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	p->dev = get_device(dev);
	p->device = d;
	p->binding = binding;
	p->pid = task_pid_nr(current);
	p->cpu = raw_smp_processor_id();
	strscpy(p->comm, current->comm, sizeof(p->comm));
	strscpy(p->driver, dev_driver_string(dev), sizeof(p->driver));
	spin_lock(&probes_lock);
	list_add_tail(&p->node, &failed_probes);
	spin_unlock(&probes_lock);
	schedule_delayed_work(&probes_work, 0);
}

/* What is mapped before probe() runs, by the bus or by others, is not the driver's. */
static void begins_to_bind(const struct device *dev)
{
	struct dod_device *d = dod_owner_device(dev, dev_name(dev));

	if (d)
		WRITE_ONCE(d->binding, d->binding + 1);
}

/* The device is locked: its bindings begin and end one after the other. */
static int on_bus_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
	if (!READ_ONCE(dod_armed))
		return NOTIFY_DONE;
	switch (event) {
	case BUS_NOTIFY_BIND_DRIVER:
		begins_to_bind(data);
		break;
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		not_bound(data);
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
		unbound(data);
		break;
	}
	return NOTIFY_DONE;
}

/*
 * The buses whose devices map memory. An entry is claimed once, in any context, and
 * registered by the worker. Those of modules are left out: nothing would keep them
 * there until they are unregistered.
 */
static struct watched_bus {
	const struct bus_type *bus;
	bool registered;		/* the worker's */
	struct notifier_block nb;
} buses[16];

static bool watching;

static void register_buses(struct work_struct *work)
{
	struct watched_bus *b;

	for (b = buses; b < buses + ARRAY_SIZE(buses) && READ_ONCE(b->bus); b++) {
		if (b->registered)
			continue;
		b->nb.notifier_call = on_bus_event;
		b->registered = !bus_register_notifier(dod_bus(b->bus), &b->nb);
	}
}

static DEFINE_DOD_WORKER(buses_worker, register_buses);

/**
 * dod_lifecycle_see() - a device of this bus maps memory
 * @bus: the bus, may be NULL
 *
 * Context: any but NMI.
 */
void dod_lifecycle_see(const struct bus_type *bus)
{
	unsigned int i;

	if (!bus)
		return;
	if (dod_is_module_addr(bus)) {
		dod_count(DOD_C_UNWATCHED_BUSES);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(buses); i++) {
		const struct bus_type *was = cmpxchg(&buses[i].bus, NULL, bus);

		if (was == bus)
			return;
		if (!was)
			break;
	}
	if (i == ARRAY_SIZE(buses)) {
		dod_count(DOD_C_UNWATCHED_BUSES);
		return;
	}
	/* cmpxchg() is a barrier, too: the worker or this sees the other. */
	if (READ_ONCE(watching))
		dod_worker_wake(&buses_worker);
}

static void watch_buses(void)
{
#if IS_ENABLED(CONFIG_PCI)
	dod_lifecycle_see(&pci_bus_type);
#endif
	dod_lifecycle_see(&platform_bus_type);
	WRITE_ONCE(watching, true);
	/* Pairs with the cmpxchg() in dod_lifecycle_see(). */
	smp_mb();
	schedule_work(&buses_worker.work);
	flush_work(&buses_worker.work);
}

/* No hook runs any more. */
static void unwatch_buses(void)
{
	struct failed_probe *p, *next;
	struct watched_bus *b;

	WRITE_ONCE(watching, false);
	dod_worker_cancel(&buses_worker);
	for (b = buses; b < buses + ARRAY_SIZE(buses); b++)
		if (b->registered)
			bus_unregister_notifier(dod_bus(b->bus), &b->nb);
	memset(buses, 0, sizeof(buses));
	cancel_delayed_work_sync(&probes_work);
	list_for_each_entry_safe(p, next, &failed_probes, node) {
		list_del(&p->node);
		put_device(p->dev);
		kfree(p);
	}
}

/* === The end of the system ================================================ */

/* Has nobody told the device to stop, and can it still write to memory? */
enum shutdown {
	STOPPED,
	MASTERS,	/* a PCI device, whose driver has no shutdown() */
	NO_SHUTDOWN,	/* of another bus: there is no bit to read */
};

/*
 * The driver is the child's, and maps for the parent. virtio: the child's bus has reset
 * the device, or that driver's shutdown() has. Platform devices that a driver made, and
 * no firmware: xHCI maps for the controller with two roles that made it (usb_create_hcd()'s
 * sysdev), and for that one's parent on PCI.
 */
static int is_stopped_child(struct device *child, void *unused)
{
	if (!child->bus)
		return 0;
	if (child->bus != &platform_bus_type)
		return child->driver && child->bus->shutdown &&
		       !strcmp(child->bus->name, "virtio");
	if (child->driver && to_platform_driver(child->driver)->shutdown && !dev_fwnode(child))
		return 1;
	return device_for_each_child(child, NULL, is_stopped_child);
}

static bool is_stopped_by_child(struct device *dev)
{
	return device_for_each_child(dev, NULL, is_stopped_child);
}

/*
 * A driver that has a shutdown() is believed to have stopped the device, whatever a bit
 * of its bus says: it may have reset it, and need not have unmapped.
 */
#if IS_ENABLED(CONFIG_PCI)
static bool is_pci(const struct device *dev, enum shutdown *how)
{
	struct pci_dev *pdev = NULL;
	u16 command;

	for_each_pci_dev(pdev)
		if (&pdev->dev == dev)
			break;
	if (!pdev)
		return false;
	*how = STOPPED;
	if (!(pdev->driver && pdev->driver->shutdown) && !is_stopped_by_child(&pdev->dev) &&
	    !pci_read_config_word(pdev, PCI_COMMAND, &command) &&
	    command != (u16)~0 && (command & PCI_COMMAND_MASTER))
		*how = MASTERS;
	pci_dev_put(pdev);
	return true;
}
#else
static bool is_pci(const struct device *dev, enum shutdown *how)
{
	return false;
}
#endif

static int is_device(struct device *dev, const void *wanted)
{
	return dev == wanted;
}

/* What is not bound to a driver any more has been unbound, which is another report. */
static bool has_shutdown(struct device *dev)
{
	if (!dev->driver)
		return true;
	if (dev->bus == &platform_bus_type)
		return to_platform_driver(dev->driver)->shutdown;
	return dev->driver->shutdown || dev->bus->shutdown;
}

static enum shutdown how_shut_down(const struct device *identity)
{
	enum shutdown how = STOPPED;
	unsigned int i;

	if (is_pci(identity, &how))
		return how;
	for (i = 0; i < ARRAY_SIZE(buses) && buses[i].bus; i++) {
		struct device *dev = bus_find_device(dod_bus(buses[i].bus), NULL, identity,
						     is_device);

		if (!dev)
			continue;
		if (!has_shutdown(dev) && !is_stopped_by_child(dev))
			how = NO_SHUTDOWN;
		put_device(dev);
		break;
	}
	return how;
}

static void shut_down(struct dod_leaks *l, const struct dod_device *d)
{
	enum shutdown how = how_shut_down(d->dev);
	unsigned long flags;

	if (how == STOPPED)
		return;
	memset(l, 0, sizeof(*l));
	l->type = DOD_R_OWNED_AT_SHUTDOWN;
	find_leaks(l, &(struct wanted){ .dev = d->dev, .name = d->name, .writable = true });
	if (!l->nr)
		return;
	flags = dod_quiet_begin();
	snprintf(l->text, sizeof(l->text),
		 "The system goes down, and device %s %s can still write to memory: %s.\n"
		 "It owns %llu bytes of %u mapping%s.\n",
		 d->driver_name, d->name,
		 how == MASTERS ? "it is a bus master, and its driver has no shutdown()" :
				  "its driver has no shutdown()",
		 l->all.bytes, l->all.nr, plural(l->all.nr));
	dod_report_leaks(l);
	dod_quiet_end(flags);
}

/**
 * dod_check_shutdown() - the drivers' shutdown() has run, the system goes down
 *
 * Context: process; preemption may be off.
 */
void dod_check_shutdown(void)
{
	struct dod_device d;
	struct dod_leaks *l;
	int i;

	if (!READ_ONCE(dod_armed))
		return;
	l = kmalloc(sizeof(*l), GFP_ATOMIC);
	if (!l)
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
	for (i = 0; l && !dod_owner_next_device(i, &d); i++)
		shut_down(l, &d);
	kfree(l);
}

/* === What was at an address =============================================== */

/* Half a sentence about a DMA address. */
static void describe(const struct device *dev, u64 dma_addr, char *text, size_t size)
{
	u64 now = local_clock(), far, age, ago;
	struct dod_mapping m;
	const char *where;
	int len;

	if (!dod_owner_find_dma(dev, dma_addr, 0, &m) &&
	    !dod_owner_find_dma(dev, dma_addr, PAGE_SIZE, &m)) {
		snprintf(text, size, "not near any mapping, of now or of late");
		return;
	}
	where = "into";
	far = dma_addr - m.dma_addr;
	if (dma_addr < m.dma_addr) {
		where = "before";
		far = m.dma_addr - dma_addr;
	} else if (dma_addr > dod_dma_last(&m)) {
		where = "behind";
		far = dma_addr - dod_dma_last(&m);
	}
	age = dod_ago(now, m.map.when);
	do_div(age, NSEC_PER_USEC);
	len = scnprintf(text, size,
			"%llu bytes %s a mapping of %llu bytes, %s, at 0x%llx, mapped %llu us ago by %pS",
			far, where, dod_size(&m), dod_report_dir(m.dir),
			m.dma_addr, age, (void *)dod_report_map_frame(&m));
	if (!m.ended)
		return;
	ago = dod_ago(now, m.ended);
	do_div(ago, NSEC_PER_USEC);
	scnprintf(text + len, size - len, ", unmapped %llu us ago by %pS", ago,
		  (void *)m.ended_by);
}

/**
 * dod_describe_dma_addr() - what is, or was lately, at a DMA address?
 * @device: the name of the device
 * @dma_addr: the address
 * @text: filled in
 * @size: its size
 *
 * Context: process.
 *
 * Return: false if such a device is not known.
 */
bool dod_describe_dma_addr(const char *device, u64 dma_addr, char *text, size_t size)
{
	struct dod_mapping m;
	struct dod_device d;
	bool found = false;
	int i;

	/* Of devices that had the same name, the one that was there. */
	for (i = 0; !dod_owner_next_device(i, &d); i++) {
		if (strcmp(d.name, device))
			continue;
		if (found && !dod_owner_find_dma(d.dev, dma_addr, 0, &m))
			continue;
		describe(d.dev, dma_addr, text, size);
		found = true;
	}
	return found;
}

/* io_page_fault(dev, iova, flags): an IOMMU has stopped a device */
static void on_iommu_fault(void *data, struct device *dev, unsigned long iova,
			   int flags)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);
	struct dod_device *d;
	unsigned long irqs;
	char text[320];

	if (!dev || !dod_may_lock() || !READ_ONCE(dod_armed))
		return;
	d = dod_owner_device(dev, dev_name(dev));
	if (!d || !__ratelimit(&limit))
		return;
	irqs = dod_quiet_begin();
	describe(dev, iova, text, sizeof(text));
	pr_err("IOMMU fault of %s %s at 0x%lx: %s\n", d->driver_name, d->name,
	       iova, text);
	dod_quiet_end(irqs);
}

/* === Start and stop ======================================================= */

/* Not all are exported to modules: found by name. */
static struct probe {
	const char *name;
	void *function;
	bool optional;
	struct tracepoint *tp;
} probes[] = {
	{ "kfree", on_kfree },
	{ "kmem_cache_free", on_kmem_cache_free },
	{ "mm_page_free", on_mm_page_free },
	{ "io_page_fault", on_iommu_fault, .optional = true },
};

/* The compiler is to compare the prototypes, which the table does not keep. */
static void check_prototypes(void)
{
	check_trace_callback_type_kfree(on_kfree);
	check_trace_callback_type_kmem_cache_free(on_kmem_cache_free);
	check_trace_callback_type_mm_page_free(on_mm_page_free);
	check_trace_callback_type_io_page_fault(on_iommu_fault);
}

static void find_tracepoint(struct tracepoint *tp, void *ignore)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tp = tp;
}

static void detach_probes(unsigned int nr)
{
	while (nr--)
		if (probes[nr].tp)
			tracepoint_probe_unregister(probes[nr].tp,
						    probes[nr].function, NULL);
	tracepoint_synchronize_unregister();
}

static int attach_probes(void)
{
	unsigned int i;
	int err;

	check_prototypes();
	for_each_kernel_tracepoint(find_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!probes[i].tp && probes[i].optional)
			continue;
		err = probes[i].tp ?
		      tracepoint_probe_register(probes[i].tp,
						probes[i].function, NULL) :
		      -ENOENT;
		if (err) {
			pr_err("cannot load: cannot attach to tracepoint %s, error %d\n",
			       probes[i].name, err);
			detach_probes(i);
			return err;
		}
	}
	return 0;
}

/**
 * dod_lifecycle_start() - watch what becomes of mapped memory
 *
 * Context: process, may sleep; after the hooks.
 *
 * Return: 0, or an error after a line that says what is missing.
 */
int dod_lifecycle_start(void)
{
	int err;

	WRITE_ONCE(started, true);
	err = attach_probes();
	if (err)
		return err;
	watch_buses();
	schedule_delayed_work(&look_work, LOOK_PERIOD);
	return 0;
}

/**
 * dod_lifecycle_stop() - watch no more
 *
 * Context: process, may sleep; nothing is owned and no hook runs any more.
 */
void dod_lifecycle_stop(void)
{
	dod_worker_cancel(&reuses_worker);
	/* Nothing is armed: only puts the copies back. */
	report_reuses(NULL);
	cancel_delayed_work_sync(&look_work);
	unwatch_buses();
	detach_probes(ARRAY_SIZE(probes));
}
