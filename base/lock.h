/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tool's own accesses must not be reported: KASAN and interrupts are off on this CPU
 * while it checks, formats, prints or unwinds, and whoever holds one of its locks says so.
 */
#ifndef DOD_LOCK_H
#define DOD_LOCK_H

#include <linux/irqflags.h>
#include <linux/kasan.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

/*
 * How deep this CPU is in the tool: between dod_quiet_begin() and dod_quiet_end(), or with
 * a lock held. The kernel's functions that the tool calls are instrumented, and a wrong
 * mapping can contain what they work on: without this, the report of such an access would
 * cause the next report.
 *
 * Changed with interrupts off only. NMIs meanwhile count as the tool: their accesses are
 * let through, and counted.
 */
DECLARE_PER_CPU(unsigned int, dod_quiet);

/* Is KASAN off for the current task? */
static inline bool dod_kasan_is_off(void)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(current->kasan_depth) > 0;
#else
	return false;
#endif
}

/**
 * dod_quiet_begin() - this CPU is about to check, format, print or unwind
 *
 * KASAN is off until dod_quiet_end(). So are interrupts, or the accesses of interrupts and
 * of other tasks would be missed. As local_irq_save(), but what traces interrupts is
 * instrumented, too: it is called after KASAN is off. Nests.
 *
 * Return: for dod_quiet_end(), which is called as this left the CPU.
 */
static inline unsigned long dod_quiet_begin(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	kasan_disable_current();
	raw_cpu_inc(dod_quiet);
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_off();
	return flags;
}

/**
 * dod_quiet_end() - this CPU leaves the tool
 * @flags: what dod_quiet_begin() returned
 */
static inline void dod_quiet_end(unsigned long flags)
{
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_on();
	raw_cpu_dec(dod_quiet);
	kasan_enable_current();
	raw_local_irq_restore(flags);
}

/*
 * As raw_spin_lock_irqsave(), but in line: in the kernel's function KASAN checks each
 * access to the lock, which is two thirds of its cost. Kernels that debug locks use the
 * kernel's functions. All locks of ours are taken with interrupts off.
 */
#if defined(CONFIG_DEBUG_SPINLOCK) || defined(CONFIG_LOCKDEP)
#define dod_lock_raw(lock)			raw_spin_lock(lock)
#define dod_unlock_raw(lock)			raw_spin_unlock(lock)
#else
#define dod_lock_raw(lock)			arch_spin_lock(&(lock)->raw_lock)
#define dod_unlock_raw(lock)			arch_spin_unlock(&(lock)->raw_lock)
#endif

/* An access of a lock's holder must not be checked: the check would wait for that lock. */
#define dod_lock(lock)							\
do {									\
	raw_cpu_inc(dod_quiet);						\
	dod_lock_raw(lock);						\
} while (0)
#define dod_unlock(lock)						\
do {									\
	dod_unlock_raw(lock);						\
	raw_cpu_dec(dod_quiet);						\
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
