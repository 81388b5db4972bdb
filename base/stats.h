/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of what happened, and of every reason for which memory is not tracked, not trapped or
 * not checked. A user must be able to see why nothing was reported. No locks here; all may be
 * called in any context.
 */
#ifndef DOD_STATS_H
#define DOD_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

enum dod_counter {
#define DOD_COUNTER(id, ...)	DOD_C_##id,
#include "counters.h"
	DOD_COUNTER_COUNT
};

DECLARE_PER_CPU(long [DOD_COUNTER_COUNT], dod_counters);

static inline void dod_count(enum dod_counter counter)
{
	this_cpu_inc(dod_counters[counter]);
}

long dod_counter_read(enum dod_counter counter);
const char *dod_counter_name(enum dod_counter counter);
void dod_counters_reset(void);
void dod_count_wait(u64 ns);
long dod_longest_wait_us(void);

#endif /* DOD_STATS_H */
