/* SPDX-License-Identifier: GPL-2.0 */
/* Is the tool at work, has it stopped by itself, is the kernel dying? */
#ifndef DOD_STATE_H
#define DOD_STATE_H

#include <linux/preempt.h>
#include <linux/types.h>

/* False until every hook works, after the tool has stopped, and before it is unloaded. */
extern bool dod_armed;

/* From the moment the kernel panics; set by attach/ and report/. */
extern bool dod_panicking;

/*
 * Is the kernel dying? Then other CPUs were stopped wherever they were, maybe with a lock of ours
 * held. A console's driver may still map memory.
 */
static inline bool dod_in_panic(void)
{
	return unlikely(READ_ONCE(dod_panicking));
}

/* May a lock of ours be taken here? */
static inline bool dod_may_lock(void)
{
	return !in_nmi() && !dod_in_panic();
}

/* Called from any folder when the tool must not go on. */
void dod_broken(const char *what);
void dod_stop(const char *why);

/* For dma_owner_debug.c. */
void dod_state_start(void (*stop)(bool broken));
void dod_state_explain(void);
void dod_state_stop(void);

#endif /* DOD_STATE_H */
