/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tool does on this CPU is no driver's business: KASAN and interrupts off, and
 * locks that say so.
 */
#ifndef DOD_LOCK_H
#define DOD_LOCK_H

#include <linux/irqflags.h>
#include <linux/kasan.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

/*
 * How deep this CPU is in the tool's own business: in a judgement, or with a lock held.
 * What it then accesses is no driver's access. The kernel's functions that judging and
 * printing need are instrumented, and a wrong mapping can hold what they work on:
 * without this, the report of such an access would make the next one.
 *
 * Changed with interrupts off only. NMIs that come meanwhile count as the tool's: their
 * accesses are let through, and counted.
 */
DECLARE_PER_CPU(unsigned int, dod_quiet);

static inline void dod_quiet_inc(void)
{
	raw_cpu_inc(dod_quiet);
}

static inline void dod_quiet_dec(void)
{
	raw_cpu_dec(dod_quiet);
}

/**
 * dod_kasan_is_off() - does KASAN see nothing of what this CPU does now?
 *
 * Context: any.
 */
static inline bool dod_kasan_is_off(void)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(current->kasan_depth) > 0;
#else
	return false;
#endif
}

/**
 * dod_quiet_begin() - this CPU is about to judge, format, print or unwind
 *
 * KASAN finds nothing on this CPU until dod_quiet_end(), and interrupts are off: the
 * accesses of interrupts, and of the tasks that would run next, are not missed for it.
 * As local_irq_save(), but what traces interrupts is instrumented, too, and comes after
 * KASAN is off. Nests.
 *
 * Context: any.
 *
 * Return: for dod_quiet_end().
 */
static inline unsigned long dod_quiet_begin(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	kasan_disable_current();
	dod_quiet_inc();
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_off();
	return flags;
}

/**
 * dod_quiet_end() - back to the kernel's business
 * @flags: what dod_quiet_begin() returned
 *
 * Context: as dod_quiet_begin() left it.
 */
static inline void dod_quiet_end(unsigned long flags)
{
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_on();
	dod_quiet_dec();
	kasan_enable_current();
	raw_local_irq_restore(flags);
}

/*
 * raw_spin_lock_irqsave() and its like, but in line: the kernel's functions have KASAN
 * check each access to the lock itself, which is two thirds of what they cost. Where
 * locks are debugged they are the kernel's. All of ours are taken with interrupts off.
 */
#if defined(CONFIG_DEBUG_SPINLOCK) || defined(CONFIG_LOCKDEP)
#define dod_lock_raw(lock)			raw_spin_lock(lock)
#define dod_unlock_raw(lock)			raw_spin_unlock(lock)
#else
#define dod_lock_raw(lock)			arch_spin_lock(&(lock)->raw_lock)
#define dod_unlock_raw(lock)			arch_spin_unlock(&(lock)->raw_lock)
#endif

/* Whoever holds a lock must not be judged: the judge would wait for that lock. */
#define dod_lock(lock)							\
do {									\
	dod_quiet_inc();						\
	dod_lock_raw(lock);						\
} while (0)
#define dod_unlock(lock)						\
do {									\
	dod_unlock_raw(lock);						\
	dod_quiet_dec();						\
} while (0)
#define dod_lock_irqsave(lock, flags)					\
do {									\
	local_irq_save(flags);						\
	dod_lock(lock);							\
} while (0)
#define dod_unlock_irqrestore(lock, flags)				\
do {									\
	dod_unlock(lock);						\
	local_irq_restore(flags);					\
} while (0)

#endif /* DOD_LOCK_H */
