// SPDX-License-Identifier: GPL-2.0
/*
 * Drivers that leave memory mapped. leak-at-unbind: when they are unbound, when their
 * probe() fails, and when somebody else maps what they left. owned-at-shutdown: when the
 * system goes down and their devices can still write.
 *
 * Bus notifiers run in process context with the device's lock held. reuses_lock and
 * probes_lock protect what the workers are to report; nothing nests in them.
 */
#include "internal.h"

#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sort.h>

/* === Mappings that are left =============================================== */

static bool same_stack(const struct dod_mapping *a, const struct dod_mapping *b)
{
	return a->map.nr_frames == b->map.nr_frames &&
	       !memcmp(a->map_frames, b->map_frames, a->map.nr_frames * sizeof(a->map_frames[0]));
}

/* Beyond the room for places, mappings are only counted. */
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
	const struct dod_device *device;
	bool shutdown;		/* only what it owns and may write to; of all drivers */
	u16 binding;		/* else: only of that driver */
	bool suspect;		/* and only what dod_owner_note_suspects() has marked */
};

static bool is_wanted(const struct wanted *w, const struct dod_mapping *m, u64 writable)
{
	if (m->dev != w->device->dev || strcmp(m->device->name, w->device->name))
		return false;
	return w->shutdown ? writable :
	       m->binding == w->binding && (!w->suspect || m->suspect);
}

static struct dod_leaks *leaks_alloc(enum dod_report_type type, gfp_t gfp)
{
	struct dod_leaks *l = kzalloc(sizeof(*l), gfp);

	if (l)
		l->type = type;
	else
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
	return l;
}

/* For report_leaks(); NULL if there are none. */
static struct dod_leaks *find_leaks(const struct wanted *w)
{
	struct dod_leaks *l = w->shutdown ? leaks_alloc(DOD_R_OWNED_AT_SHUTDOWN, GFP_ATOMIC) :
					    leaks_alloc(DOD_R_LEAK_AT_UNBIND, GFP_KERNEL);
	unsigned int shard = 0, skip = 0;
	struct dod_mapping m;
	struct dod_sum sum;
	u64 start = 0;

	while (l && dod_owner_next(&shard, &start, &skip, &m, &sum)) {
		/* Thousands may begin at one address; at a restart preemption may be off. */
		if (preemptible())
			cond_resched();
		if (!is_wanted(w, &m, sum.writable) || dod_map_permitted(l->type, &m))
			continue;
		/* Whoever maps the memory next is told of the leak. */
		if (!w->shutdown)
			dod_owner_mark_leaked(&m);
		/* What was freed was reported then. */
		if (!m.freed)
			add_leak(l, &m, w->shutdown ? sum.writable : dod_size(&m));
	}
	if (!l || !l->nr) {
		kfree(l);
		return NULL;
	}
	sort(l->places, l->nr, sizeof(l->places[0]), by_size, NULL);
	return l;
}

__printf(2, 3)
static void report_leaks(struct dod_leaks *l, const char *fmt, ...)
{
	unsigned long flags = dod_quiet_begin();
	va_list args;

	va_start(args, fmt);
	vscnprintf(l->text, sizeof(l->text), fmt, args);
	va_end(args);
	dod_report_leaks(l);
	dod_quiet_end(flags);
	kfree(l);
}

/* === Unbinding, and a probe() that failed ================================== */

/*
 * At BUS_NOTIFY_DRIVER_NOT_BOUND the driver core has yet to free what it manages for the
 * driver (devres), which may unmap memory. That is over when the lock of the device is
 * free; before that, the core may probe it with another driver.
 */
struct failed_probe {
	struct list_head node;		/* probes_lock */
	struct device *dev;		/* a reference */
	struct wanted wanted;
	struct dod_who who;
	char driver[sizeof_field(struct dod_device, driver_name)];
};

static LIST_HEAD(failed_probes);
static DEFINE_SPINLOCK(probes_lock);

static void report_left(const struct wanted *w, const char *driver, const struct dod_who *who)
{
	struct dod_leaks *l = find_leaks(w);

	if (l)
		report_leaks(l, w->suspect ?
			     "Driver %s is not bound to device %s: its probe() failed, in task %s/%d on cpu %d.\n"
			     "It left %u mapping%s of %llu bytes.\n" :
			     "Driver %s was unbound from device %s by task %s/%d on cpu %d.\n"
			     "It left %u mapping%s of %llu bytes.\n",
			     driver, w->device->name, who->comm, who->pid, who->cpu,
			     l->all.nr, l->all.nr == 1 ? "" : "s", l->all.bytes);
}

static void failed_probe_free(struct failed_probe *p)
{
	list_del(&p->node);
	put_device(p->dev);
	kfree(p);
}

static void report_failed_probes(struct work_struct *work);
static DECLARE_DELAYED_WORK(probes_work, report_failed_probes);

/* Never waits for the lock of a device: one that hangs must not hold up the others. */
static void report_failed_probes(struct work_struct *work)
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
			report_left(&p->wanted, p->driver, &p->who);
		failed_probe_free(p);
	}
	if (list_empty(&todo))
		return;
	spin_lock(&probes_lock);
	list_splice(&todo, &failed_probes);
	spin_unlock(&probes_lock);
	schedule_delayed_work(&probes_work, HZ / 20);
}

static void on_not_bound(struct device *dev, const struct dod_device *d, u16 binding)
{
	struct failed_probe *p;

	if (!dod_owner_note_suspects(dev, binding, dev->driver))
		return;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	p->dev = get_device(dev);
	p->wanted = (struct wanted){ .device = d, .binding = binding, .suspect = true };
	dod_note_who(&p->who);
	strscpy(p->driver, dev_driver_string(dev), sizeof(p->driver));
	spin_lock(&probes_lock);
	list_add_tail(&p->node, &failed_probes);
	spin_unlock(&probes_lock);
	schedule_delayed_work(&probes_work, 0);
}

static void on_unbound(const struct dod_device *d, u16 binding)
{
	struct dod_who who;

	dod_note_who(&who);
	report_left(&(struct wanted){ .device = d, .binding = binding }, d->driver_name, &who);
}

/* === Leaks that somebody else maps ======================================== */

/*
 * Leaks of memory that was freed and mapped again. A worker reports them: the map call may
 * not allocate, and the report is too large for a stack.
 */
static struct reuse {
	struct dod_mapping *leak;	/* a copy, of the pool */
	const struct dod_device *user;
	u64 bytes;
} reuses[8];				/* reuses_lock */

static DEFINE_RAW_SPINLOCK(reuses_lock);

/* Copies an entry that has a leak, or has none, and puts another one there. */
static bool exchange_reuse(bool used, struct reuse *old, struct reuse new)
{
	unsigned long flags;
	unsigned int i;

	dod_lock_irqsave(&reuses_lock, flags);
	for (i = 0; i < ARRAY_SIZE(reuses) && !!reuses[i].leak != used; i++)
		;
	if (i < ARRAY_SIZE(reuses)) {
		*old = reuses[i];
		reuses[i] = new;
	}
	dod_unlock_irqrestore(&reuses_lock, flags);
	return i < ARRAY_SIZE(reuses);
}

static void report_reuse(const struct reuse *reuse)
{
	struct dod_leaks *l = leaks_alloc(DOD_R_LEAK_AT_UNBIND, GFP_KERNEL);
	const struct dod_device *d = reuse->leak->device, *user = reuse->user;

	if (!l)
		return;
	add_leak(l, reuse->leak, dod_size(reuse->leak));
	report_leaks(l, READ_ONCE(d->binding) == reuse->leak->binding ?
		     "Device %s %s had the memory mapped when it was freed.\n"
		     "It was not unmapped since.\n"
		     "Device %s %s maps %llu bytes of it now.\n" :
		     "Driver %s was unbound from device %s, and left memory mapped that was freed.\n"
		     "Device %s %s maps %llu bytes of it now.\n",
		     d->driver_name, d->name, user->driver_name, user->name, reuse->bytes);
}

static void report_reuses(struct work_struct *work)
{
	struct reuse reuse;

	while (exchange_reuse(true, &reuse, (struct reuse) {})) {
		if (READ_ONCE(dod_armed))
			report_reuse(&reuse);
		dod_pool_put(&dod_mapping_pool, reuse.leak);
	}
}

static DEFINE_DOD_WORKER(reuses_worker, report_reuses);

static bool add_reuse(const struct dod_mapping *leak, const struct dod_device *user, u64 bytes)
{
	struct dod_mapping *copy = dod_pool_get(&dod_mapping_pool);
	struct reuse none;

	if (!copy)
		return false;
	*copy = *leak;
	if (!exchange_reuse(false, &none, (struct reuse) { copy, user, bytes })) {
		dod_pool_put(&dod_mapping_pool, copy);
		return false;
	}
	dod_worker_wake(&reuses_worker);
	return true;
}

/* If the memory was freed, that was reported then. */
void dod_leak_reused(const struct dod_mapping *leak, const struct dod_range *range,
		     const struct dod_mapping *m)
{
	if (!leak->freed)
		dod_free_unseen(leak, range, "when it was mapped again");
	else if (!add_reuse(leak, m->device, range->last - range->start + 1))
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
}

/* === Buses ================================================================ */

/*
 * The device is locked: its bindings begin and end one after the other. Each has a number for
 * what is mapped from then on: the clocks of CPUs may differ.
 */
static int on_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;
	struct dod_device *d;
	u16 binding;

	if (event == BUS_NOTIFY_REMOVED_DEVICE)
		dod_owner_remove_device(dev);
	else if (event == BUS_NOTIFY_ADD_DEVICE && READ_ONCE(dod_armed))
		dod_owner_add_device(dev);
	/* What the bus or others map before probe() runs is not the driver's. */
	if (!READ_ONCE(dod_armed) ||
	    (event != BUS_NOTIFY_BIND_DRIVER && event != BUS_NOTIFY_UNBOUND_DRIVER &&
	     (event != BUS_NOTIFY_DRIVER_NOT_BOUND || !dev->driver)))
		return NOTIFY_DONE;
	if (event == BUS_NOTIFY_UNBOUND_DRIVER)
		dod_coherent_unbound(dev);
	d = dod_owner_device(dev, dev_name(dev));
	if (!d)
		return NOTIFY_DONE;
	binding = d->binding;
	WRITE_ONCE(d->binding, binding + 1);
	/* It has never mapped anything. */
	if (!d->since)
		return NOTIFY_DONE;
	if (event == BUS_NOTIFY_DRIVER_NOT_BOUND)
		on_not_bound(dev, d, binding);
	else if (event == BUS_NOTIFY_UNBOUND_DRIVER)
		on_unbound(d, binding);
	return NOTIFY_DONE;
}

/*
 * The buses whose devices map memory. An entry is filled once, in any context, and
 * registered by the worker. Buses of modules are left out: nothing would keep them
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

void dod_watch_bus(const struct bus_type *bus)
{
	unsigned int i;

	if (!bus)
		return;
	for (i = 0; i < ARRAY_SIZE(buses) && !dod_is_module_addr(bus); i++) {
		const struct bus_type *was = cmpxchg(&buses[i].bus, NULL, bus);

		if (was && was != bus)
			continue;
		/* cmpxchg() is a barrier, too: pairs with the smp_mb() in dod_unbind_start(). */
		if (!was && READ_ONCE(watching))
			dod_worker_wake(&buses_worker);
		return;
	}
	dod_count(DOD_C_UNWATCHED_BUSES);
}

void dod_unbind_start(void)
{
#if IS_ENABLED(CONFIG_PCI)
	dod_watch_bus(&pci_bus_type);
#endif
	dod_watch_bus(&platform_bus_type);
	WRITE_ONCE(watching, true);
	/* Pairs with the cmpxchg() in dod_watch_bus(): the worker sees the entry, or that this. */
	smp_mb();
	schedule_work(&buses_worker.work);
	flush_work(&buses_worker.work);
}

void dod_unbind_stop(void)
{
	struct failed_probe *p, *next;
	struct watched_bus *b;

	dod_worker_cancel(&reuses_worker);
	/* Nothing is armed: this only frees the copies. */
	report_reuses(NULL);
	WRITE_ONCE(watching, false);
	dod_worker_cancel(&buses_worker);
	for (b = buses; b < buses + ARRAY_SIZE(buses); b++)
		if (b->registered)
			bus_unregister_notifier(dod_bus(b->bus), &b->nb);
	memset(buses, 0, sizeof(buses));
	cancel_delayed_work_sync(&probes_work);
	list_for_each_entry_safe(p, next, &failed_probes, node)
		failed_probe_free(p);
}

/* === The end of the system ================================================ */

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

/*
 * A driver that has a shutdown() is trusted to have stopped the device, whatever a bit
 * of its bus says: it may have reset it, and need not have unmapped. A device without a
 * driver was unbound, which is another report; but one on PCI may be a bus master still.
 */
static bool has_shutdown(struct device *dev)
{
	if (dev_is_pci(dev))
		return to_pci_dev(dev)->driver && to_pci_dev(dev)->driver->shutdown;
	if (!dev->driver)
		return true;
	if (dev->bus == &platform_bus_type)
		return to_platform_driver(dev->driver)->shutdown;
	return dev->driver->shutdown || dev->bus->shutdown;
}

/* Of other buses there is no bit to read. */
static bool may_be_master(struct device *dev)
{
	u16 command;

	return !dev_is_pci(dev) ||
	       (!pci_read_config_word(to_pci_dev(dev), PCI_COMMAND, &command) &&
		command != (u16)~0 && (command & PCI_COMMAND_MASTER));
}

static int is_device(struct device *dev, const void *wanted)
{
	return dev == wanted;
}

/* Can it still write to memory, because nobody has stopped it? */
static void check_device(const struct dod_device *d)
{
	struct dod_leaks *l = NULL;
	struct device *dev = NULL;
	bool master = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(buses) && buses[i].bus && !dev; i++)
		dev = bus_find_device(dod_bus(buses[i].bus), NULL, d->dev, is_device);
	if (dev && !has_shutdown(dev) && !device_for_each_child(dev, NULL, is_stopped_child) &&
	    may_be_master(dev)) {
		l = find_leaks(&(struct wanted){ .device = d, .shutdown = true });
		master = dev_is_pci(dev);
	}
	put_device(dev);
	if (l)
		report_leaks(l, "The system is going down, and device %s %s can still write to memory.\n"
			     "%s driver has no shutdown().\n"
			     "It owns %llu bytes of %u mapping%s.\n",
			     d->driver_name, d->name, master ? "It is a bus master, and its" : "Its",
			     l->all.bytes, l->all.nr, l->all.nr == 1 ? "" : "s");
}

void dod_check_shutdown(void)
{
	struct dod_device d;
	int i;

	for (i = 0; READ_ONCE(dod_armed) && !dod_owner_next_device(i, &d); i++)
		check_device(&d);
}
