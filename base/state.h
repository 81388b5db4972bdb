/* SPDX-License-Identifier: GPL-2.0 */
/* Is the tool at work, has it stopped, is the kernel dying? */
#ifndef DOD_STATE_H
#define DOD_STATE_H

#include <linux/preempt.h>
#include <linux/types.h>

/* False until every hook works and from the moment the module is to go. */
extern bool dod_armed;

/* From the moment the kernel panics; set by hooks.c and report.c. */
extern bool dod_panicking;

/**
 * dod_in_panic() - is the kernel dying?
 *
 * Other CPUs were stopped wherever they were: no lock of ours is to be had. A console's
 * driver may still map memory.
 *
 * Context: any.
 */
static inline bool dod_in_panic(void)
{
	return unlikely(READ_ONCE(dod_panicking));
}

/**
 * dod_may_lock() - may a lock of ours be taken here?
 *
 * Context: any.
 */
static inline bool dod_may_lock(void)
{
	return !in_nmi() && !dod_in_panic();
}

void dod_broken(const char *what);
void dod_stop(const char *why);

#endif /* DOD_STATE_H */
