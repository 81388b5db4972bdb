/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the kernel calls the tool, and nothing else. dma_owner_debug.c calls these in this order:
 *
 *	dod_traps_start()		before anything can be poisoned: poison that nobody
 *					expects is a report of KASAN's
 *	dod_hooks_start()
 *	dod_kfence_start()		objects of KFENCE are poisoned from then on
 *	...
 *	dod_hooks_stop_to_device()	then dod_owner_stop_guarding(): nothing is poisoned
 *	dod_hooks_stop()
 *	dod_kfence_stop()
 *	dod_traps_stop()
 *
 * Process context, may sleep.
 */
#ifndef DOD_ATTACH_H
#define DOD_ATTACH_H

#include "../guard/kfence.h"

#include <linux/errno.h>
#include <linux/types.h>

/* kasan.c or kcsan.c, as Kbuild chooses the guard. Without one there is nothing to start. */
#if (IS_ENABLED(CONFIG_KASAN_GENERIC) && IS_ENABLED(CONFIG_KPROBES)) || IS_ENABLED(CONFIG_KCSAN)
int dod_traps_start(void);
void dod_traps_stop(void);
#else
static inline int dod_traps_start(void)
{
	return 0;
}

static inline void dod_traps_stop(void) {}
#endif

#if IS_ENABLED(CONFIG_DYNAMIC_FTRACE)
struct ftrace_ops;

void dod_unhook(struct ftrace_ops *ops);
int dod_hooks_start(unsigned int *nr);
void dod_hooks_stop_to_device(void);
void dod_hooks_stop(void);
#else
static inline int dod_hooks_start(unsigned int *nr)
{
	return -EOPNOTSUPP;
}

static inline void dod_hooks_stop_to_device(void) {}
static inline void dod_hooks_stop(void) {}
#endif

#ifdef DOD_KFENCE_GUARD
void dod_kfence_start(void);
void dod_kfence_stop(void);
#else
static inline void dod_kfence_start(void)
{
	if (IS_ENABLED(CONFIG_KFENCE) && dod_params.kfence && kfence_sample_interval)
		pr_info("objects of KFENCE are not trapped: only on x86_64 with CONFIG_DYNAMIC_FTRACE_WITH_REGS=y and without KCSAN\n");
}

static inline void dod_kfence_stop(void) {}
#endif

int dod_tracepoints_start(void);
void dod_tracepoints_stop(void);

#endif /* DOD_ATTACH_H */
