// SPDX-License-Identifier: GPL-2.0
/*
 * The guard on KFENCE: the page of an object is made not present while a device owns some of it,
 * or read-only where the CPU may read it all. Which bytes forbid which access is kept in a shadow,
 * a byte for each. attach/kfence.c takes the faults; what they mean is judge/access.c's to decide.
 *
 * lock nests inside all others. In an NMI, and where the tool itself accesses a page, it is not
 * taken: there a page is only ever opened, which is one change of its entry in the page table.
 */
#include "kfence.h"
#include "../base/lock.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "kfence_pte.h"

#include <linux/irq_work.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <asm/cpufeature.h>
#include <asm/invpcid.h>
#include <asm/pgtable-invert.h>
#include <asm/special_insns.h>

/* Which accesses trap, as bits of a value of the shadow. Those that forbid more are greater. */
#define TRAPS_WRITES	BIT(0)
#define TRAPS_READS	BIT(1)
#define EACH_BYTE	0x0101010101010101ULL

enum shadow {
	WATCHED		= 0x10 | TRAPS_WRITES,
	SENT		= 0x20 | TRAPS_WRITES,
	RECEIVED	= 0x30 | TRAPS_WRITES | TRAPS_READS,
	BOTH_WAYS	= 0x40 | TRAPS_WRITES | TRAPS_READS,
};

static const u8 shadow_values[] = {
	[DMA_TO_DEVICE]		= SENT,
	[DMA_FROM_DEVICE]	= RECEIVED,
	[DMA_BIDIRECTIONAL]	= BOTH_WAYS,
};

/*
 * An object of KFENCE's.
 *
 * @shadow:	of each byte of its page; changed under lock, read without
 * @opened:	its page was opened for an access, and is to be closed again
 * @closings:	how often that was done since the CPU owned all of it (lock)
 * @closed:	it was closed again, and nothing trapped there since
 * @trapped_by, @trapped_ip, @trapped_addr: the access that trapped last. A hand-over sets the
 *		instruction to 0
 */
struct object {
	u8 shadow[PAGE_SIZE];
	bool opened;
	u8 closings;
	bool closed;
	const struct task_struct *trapped_by;
	unsigned long trapped_ip, trapped_addr;
} __aligned(sizeof(u64));

#define NR_OBJECTS	CONFIG_KFENCE_NUM_OBJECTS

static DEFINE_RAW_SPINLOCK(lock);
static struct object *objects;
static unsigned long pool;	/* its first byte, 0 while it is not known */
static bool held_open;		/* see dod_kfence_hold_open() */

/* The object whose page has an address, NULL if there is none. */
static struct object *object_at(unsigned long addr)
{
	/* Pairs with smp_store_release() in dod_kfence_attach(). */
	unsigned long start = smp_load_acquire(&pool), page = (addr - start) / PAGE_SIZE;

	if (!start || addr < start || page < 2 || page % 2 || page / 2 > NR_OBJECTS)
		return NULL;
	return &objects[page / 2 - 1];
}

static unsigned long address_of(const struct object *o)
{
	return pool + 2 * (o - objects + 1) * PAGE_SIZE;
}

/* === Other CPUs =========================================================== */

/*
 * What a CPU has to forget: an address, FLUSH_ALL, or nothing. Whoever finds nothing there sends
 * the interrupt, which takes it. So the csd is free then: its function is called after it was
 * unlocked.
 */
#define FLUSH_ALL	1UL

static DEFINE_PER_CPU(unsigned long, to_flush);

static void flush_everything(void)
{
	unsigned long cr4;

	if (boot_cpu_has(X86_FEATURE_INVPCID)) {
		invpcid_flush_all();
		return;
	}
	/* As __native_tlb_flush_global(), which modules cannot reach. Interrupts are off. */
	cr4 = native_read_cr4();
	asm volatile("mov %0, %%cr4" : : "r" (cr4 ^ X86_CR4_PGE) : "memory");
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

/*
 * With page table isolation the kernel's pages are not global: INVLPG would leave what is known
 * of them in other address spaces.
 */
static void flush(unsigned long what)
{
	if (what == FLUSH_ALL || boot_cpu_has(X86_FEATURE_PTI))
		flush_everything();
	else
		asm volatile("invlpg (%0)" : : "r" (what) : "memory");
}

static void flush_this_cpu(void *unused)
{
	unsigned long what = xchg(this_cpu_ptr(&to_flush), 0);

	if (what)
		flush(what);
}

/* Without an initialiser: in a module's per-CPU data, addresses are not relocated. */
static DEFINE_PER_CPU(call_single_data_t, flush_csd);

/*
 * A CPU that has a page in its TLB accesses it unnoticed until then. Without waiting, because map
 * calls come with interrupts off.
 */
static void flush_other_cpus(unsigned long addr)
{
	unsigned int cpu, self = raw_smp_processor_id();
	unsigned long *at, old;

	for_each_online_cpu(cpu) {
		if (cpu == self)
			continue;
		at = per_cpu_ptr(&to_flush, cpu);
		old = READ_ONCE(*at);
		while (!try_cmpxchg(at, &old, old ? FLUSH_ALL : addr))
			;
		/* One that goes offline forgets all. */
		if (!old && smp_call_function_single_async(cpu, per_cpu_ptr(&flush_csd, cpu)))
			WRITE_ONCE(*at, 0);
	}
}

/* === A page =============================================================== */

enum state { OPEN, READ_ONLY, CLOSED };

static pteval_t pte_in_state(pteval_t old, enum state state)
{
	pteval_t new = (old | _PAGE_PRESENT | _PAGE_RW | _PAGE_DIRTY) & ~DOD_PTE_OURS;

	if (state != OPEN)
		new |= DOD_PTE_OURS;
	/* Dirty and read-only is a shadow stack's. */
	if (state == READ_ONLY)
		new &= ~(_PAGE_RW | _PAGE_DIRTY);
	if (state == CLOSED)
		new &= ~_PAGE_PRESENT;
	return flip_protnone_guard(old, new, PTE_PFN_MASK);
}

/*
 * Returns false if KFENCE has the page unmapped, as its object was freed. With @trapped also where
 * the page is not restricted any more. Interrupts are off.
 */
static bool change_page(unsigned long addr, enum state state, bool trapped)
{
	pteval_t needed = trapped ? DOD_PTE_OURS : _PAGE_PRESENT | DOD_PTE_OURS;
	pte_t *pte = dod_kfence_pte(addr);
	pteval_t old, new;

	if (!pte)
		return false;
	old = pte_val(READ_ONCE(*pte));
	do {
		if (!(old & needed))
			return false;
		new = pte_in_state(old, state);
		if (new == old)
			return true;
	} while (!try_cmpxchg((pteval_t *)pte, &old, new));
	/* A CPU knows of no page that is not present, and finds out that it may do more. */
	if (old & _PAGE_PRESENT && old & ~new & (_PAGE_PRESENT | _PAGE_RW)) {
		flush(addr);
		flush_other_cpus(addr);
	}
	return true;
}

/* What the shadow lets the CPU do with all of the page. */
static enum state allowed_state(const struct object *o)
{
	const u64 *w = (const u64 *)o->shadow, *end = w + PAGE_SIZE / sizeof(*w);
	u64 all = 0;

	if (READ_ONCE(held_open))
		return OPEN;
	while (w < end)
		all |= *w++;
	if (all & TRAPS_READS * EACH_BYTE)
		return CLOSED;
	return all & TRAPS_WRITES * EACH_BYTE ? READ_ONLY : OPEN;
}

/* lock is held. */
static void apply_shadow(struct object *o, unsigned long addr)
{
	enum state state = allowed_state(o);

	WRITE_ONCE(o->opened, false);
	if (state == OPEN)
		o->closings = 0;
	if (!change_page(addr, state, false))
		memset(o->shadow, 0, PAGE_SIZE);
}

/* === Closing pages again ================================================== */

/*
 * An access that is legal, or was reported, opens the page for all others. It is closed again
 * soon, and when the owner of some of it changes; so often only, or what a driver keeps beside
 * a buffer would cost a fault each time.
 */
#define CLOSE_AFTER	max(HZ / 100, 1)
#define MOST_CLOSINGS	8

static void close_pages(struct work_struct *work)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < NR_OBJECTS; i++) {
		struct object *o = &objects[i];

		if (!READ_ONCE(o->opened))
			continue;
		dod_lock_irqsave(&lock, flags);
		if (o->opened && o->closings < MOST_CLOSINGS) {
			o->closings++;
			apply_shadow(o, address_of(o));
			WRITE_ONCE(o->closed, true);
		} else if (o->opened) {
			dod_count(DOD_C_KFENCE_LEFT_OPEN);
		}
		WRITE_ONCE(o->opened, false);
		dod_unlock_irqrestore(&lock, flags);
	}
}

static DECLARE_DELAYED_WORK(close_work, close_pages);

/* Timers cannot be started where a page is opened: their locks may be held. */
static void ask_to_close(struct irq_work *irq)
{
	schedule_delayed_work(&close_work, CLOSE_AFTER);
}

static struct irq_work close_irq = IRQ_WORK_INIT(ask_to_close);

/* === Faults =============================================================== */

/**
 * dod_kfence_fault() - is it this guard that forbids an access?
 * @addr: the address
 * @write: it is a write
 *
 * Return: see &enum dod_kfence_fault.
 */
enum dod_kfence_fault dod_kfence_fault(unsigned long addr, bool write)
{
	const pte_t *pte = object_at(addr) ? dod_kfence_pte(addr) : NULL;
	pteval_t val;

	if (!pte)
		return DOD_KFENCE_NOT_OURS;
	val = pte_val(READ_ONCE(*pte));
	if (val & _PAGE_PRESENT && (!write || val & _PAGE_RW))
		return DOD_KFENCE_AGAIN;
	return val & DOD_PTE_OURS ? DOD_KFENCE_TRAPPED : DOD_KFENCE_NOT_OURS;
}

/**
 * dod_kfence_is_repeated() - has this access trapped before, and could it not go ahead?
 * @addr: its address
 * @ip: the instruction
 *
 * Where an interrupt comes between the trap and the access, its page can be closed again by then.
 *
 * Return: whether the same access was the last that trapped, and its page was closed since. Also
 * true for a loop that comes back later: of that the first round was judged.
 */
bool dod_kfence_is_repeated(unsigned long addr, unsigned long ip)
{
	const struct object *o = object_at(addr);

	return o && READ_ONCE(o->closed) && READ_ONCE(o->trapped_ip) == ip &&
	       READ_ONCE(o->trapped_addr) == addr && READ_ONCE(o->trapped_by) == current;
}

/**
 * dod_kfence_open() - let an access go ahead that has trapped
 * @addr: its address
 * @ip: the instruction
 * @write: it is a write
 *
 * Takes no lock. Interrupts are off.
 */
void dod_kfence_open(unsigned long addr, unsigned long ip, bool write)
{
	struct object *o = object_at(addr);
	enum state state;

	if (!o)
		return;
	WRITE_ONCE(o->closed, false);
	WRITE_ONCE(o->trapped_by, current);
	WRITE_ONCE(o->trapped_addr, addr);
	WRITE_ONCE(o->trapped_ip, ip);
	state = write || allowed_state(o) == OPEN ? OPEN : READ_ONLY;
	if (!change_page(addr, state, true))
		return;
	WRITE_ONCE(o->opened, true);
	dod_count(DOD_C_KFENCE_OPENED);
	irq_work_queue(&close_irq);
}

/**
 * dod_kfence_hold_open() - keep all pages open, or protect them as before
 * @hold: which of both
 *
 * The image of a hibernation has no page that is reserved and not present: saveable_page() in
 * kernel/power/snapshot.c. A pool that KFENCE has had since boot is reserved.
 */
void dod_kfence_hold_open(bool hold)
{
	unsigned long flags;
	struct object *o;

	WRITE_ONCE(held_open, hold);
	/* Pairs with smp_store_release() in dod_kfence_attach(). */
	if (!smp_load_acquire(&pool))
		return;
	for (o = objects; o < objects + NR_OBJECTS; o++) {
		dod_lock_irqsave(&lock, flags);
		apply_shadow(o, address_of(o));
		dod_unlock_irqrestore(&lock, flags);
	}
}

/**
 * dod_kfence_freed() - KFENCE frees an object
 * @object: the object
 *
 * Whatever is left there belongs to nobody. Before KFENCE reads its canary.
 */
void dod_kfence_freed(const void *object)
{
	unsigned long addr = (unsigned long)object & PAGE_MASK, flags;
	struct object *o = object_at(addr);

	if (!o)
		return;
	dod_lock_irqsave(&lock, flags);
	memset(o->shadow, 0, PAGE_SIZE);
	apply_shadow(o, addr);
	dod_unlock_irqrestore(&lock, flags);
}

/* === Tasks ================================================================ */

/*
 * What stands in the struct slab of a task, if it is a pointer: that to the cache of all tasks is
 * among them. Where in it is private to mm/. Constant after load.
 */
static unsigned long task_words[sizeof(struct page) / sizeof(long)];

static void learn_tasks(void)
{
	const unsigned long *word = (const unsigned long *)virt_to_folio(current);
	int i;

	for (i = 0; i < ARRAY_SIZE(task_words); i++)
		task_words[i] = dod_is_linear((const void *)word[i]) ? word[i] : 0;
}

/*
 * The entry of every exception reads the task that runs: a fault there would cause the next one
 * before anybody could open the page. Also true, at times, of another object, whose struct slab
 * has one of the other pointers.
 */
static bool may_be_task(unsigned long addr)
{
	const unsigned long *word = (const unsigned long *)virt_to_page(addr);
	int i;

	for (i = 0; i < ARRAY_SIZE(task_words); i++)
		if (task_words[i] && READ_ONCE(word[i]) == task_words[i])
			return true;
	return false;
}

/* === What is forbidden ==================================================== */

/* A byte that is poisoned twice keeps the value that forbids more. */
static void raise(u8 *from, u8 *to, u8 value)
{
	for (; from <= to; from++)
		if (*from < value)
			WRITE_ONCE(*from, value);
}

/* Changes the shadow of what [start, last] has of objects' pages, and then these pages. */
static void change_shadow(u64 start, u64 last, void (*change)(u8 *from, u8 *to, u8 value),
			  u8 value)
{
	unsigned long flags, addr;
	struct object *o;
	u64 to;

	for (; start <= last; start = to + 1) {
		addr = (unsigned long)phys_to_virt(start);
		to = dod_page_end(start, last);
		o = object_at(addr);
		if (!o)
			continue;
		if (change == raise && may_be_task(addr)) {
			dod_count(DOD_C_UNTRAPPED_KFENCE);
			continue;
		}
		dod_lock_irqsave(&lock, flags);
		WRITE_ONCE(o->trapped_ip, 0);
		change(o->shadow + offset_in_page(start), o->shadow + offset_in_page(to), value);
		apply_shadow(o, addr & PAGE_MASK);
		dod_unlock_irqrestore(&lock, flags);
	}
}

static void clear(u8 *from, u8 *to, u8 value)
{
	memset(from, 0, to - from + 1);
}

static void clear_value(u8 *from, u8 *to, u8 value)
{
	for (; from <= to; from++)
		if (*from == value)
			WRITE_ONCE(*from, 0);
}

/* As the operations of struct dod_poison_ops, for what is in KFENCE's pool. */

/*
 * Not what is stale: the CPU may read there what it wrote, and not all its writes trap. The first
 * opens the page for others, and a CPU that has the page in its TLB writes unnoticed.
 */
void dod_kfence_poison(u64 start, u64 last, u8 dir)
{
	if (dir == DMA_NONE) {
		dod_count(DOD_C_KFENCE_STALE);
		return;
	}
	dod_count(DOD_C_KFENCE_GUARDED);
	change_shadow(start, last, raise, shadow_values[dir]);
}

/* To the byte: the rest of a granule may be another mapping's, which nobody poisons again. */
void dod_kfence_unpoison(u64 start, u64 last)
{
	change_shadow(start, last, clear, 0);
}

void dod_kfence_watch(u64 start, u64 last, bool on)
{
	change_shadow(start, last, on ? raise : clear_value, WATCHED);
}

bool dod_kfence_is_poisoned(const void *addr)
{
	const struct object *o = object_at((unsigned long)addr);
	u8 value = o ? READ_ONCE(o->shadow[offset_in_page(addr)]) : 0;

	return value && value != WATCHED;
}

struct dod_access_verdict dod_kfence_scan(unsigned long addr, unsigned long last, bool write)
{
	struct dod_access_verdict v = { .last = last };
	const struct object *o = object_at(addr);
	u8 value;

	if (!o)
		return v;
	/* What follows an object's page is none's. */
	for (last = min(last, addr | ~PAGE_MASK); addr <= last; addr++) {
		value = READ_ONCE(o->shadow[offset_in_page(addr)]);
		if (!value)
			continue;
		v.poisoned = true;
		if (!(value & (write ? TRAPS_WRITES : TRAPS_READS)))
			continue;
		if (value == WATCHED) {
			v.watched = v.watched ?: addr;
		} else if (!v.owned) {
			v.owned = addr;
			v.sent = value == SENT;
		}
	}
	return v;
}

/* === Start and stop ======================================================= */

/**
 * dod_kfence_is_ready() - has KFENCE its pool?
 *
 * It may be off at boot, and get it later. It maps all of it by pages, and then unmaps guard
 * pages, up to the last one.
 *
 * Return: whether it has.
 */
bool dod_kfence_is_ready(void)
{
	unsigned long addr, start = (unsigned long)READ_ONCE(__kfence_pool);

	if (!start)
		return false;
	for (addr = start; addr < start + KFENCE_POOL_SIZE; addr += PAGE_SIZE)
		if (!dod_kfence_pte(addr))
			return false;
	return !dod_kfence_present(virt_to_phys((void *)(addr - PAGE_SIZE)));
}

/**
 * dod_kfence_attach() - protect objects of KFENCE that a device will own
 *
 * Process context, may sleep.
 *
 * Return: false if there is no memory.
 */
bool dod_kfence_attach(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		INIT_CSD(per_cpu_ptr(&flush_csd, cpu), flush_this_cpu, NULL);
	objects = vzalloc(array_size(NR_OBJECTS, sizeof(*objects)));
	if (!objects)
		return false;
	learn_tasks();
	/* Pairs with smp_load_acquire() in object_at(). */
	smp_store_release(&pool, (unsigned long)__kfence_pool);
	WRITE_ONCE(dod_kfence_traps, true);
	return true;
}

/**
 * dod_kfence_unprotect() - open all pages
 *
 * When nothing is poisoned any more. Faults still come in.
 */
void dod_kfence_unprotect(void)
{
	struct object *o;

	WRITE_ONCE(dod_kfence_traps, false);
	for (o = objects; o && o < objects + NR_OBJECTS; o++) {
		if (allowed_state(o) == OPEN)
			continue;
		pr_err("a page of KFENCE's was left protected\n");
		dod_kfence_freed((void *)address_of(o));
	}
}

/**
 * dod_kfence_detach() - forget about KFENCE
 *
 * After dod_kfence_unprotect(), when nobody calls this file any more. Process context, may sleep.
 */
void dod_kfence_detach(void)
{
	unsigned int cpu;

	irq_work_sync(&close_irq);
	cancel_delayed_work_sync(&close_work);
	for_each_possible_cpu(cpu)
		while (READ_ONCE(*per_cpu_ptr(&to_flush, cpu)))
			schedule_timeout_uninterruptible(1);
	/* What took it, an interrupt, may still run. */
	synchronize_rcu();
	pool = 0;
	vfree(objects);
	objects = NULL;
}
