// SPDX-License-Identifier: GPL-2.0
/* The counters, for each CPU. No locks here; all may be called in any context. */
#include "stats.h"

#include <linux/atomic.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/time64.h>

DEFINE_PER_CPU(long [DOD_COUNTER_COUNT], dod_counters);

static atomic64_t longest_wait;

/**
 * dod_counter_read() - sum of a counter over the CPUs
 * @counter: which
 *
 * Return: the sum; exact only while nobody counts.
 */
long dod_counter_read(enum dod_counter counter)
{
	unsigned int cpu;
	long sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(dod_counters, cpu)[counter]);
	return sum;
}

/**
 * dod_counter_name() - the name of a counter in debugfs
 * @counter: which
 *
 * Return: the name.
 */
const char *dod_counter_name(enum dod_counter counter)
{
	static const char * const names[] = {
#define DOD_COUNTER(id, name, ...)	\
		[DOD_C_##id] = name,
#include "counters.h"
	};

	return names[counter];
}

/**
 * dod_counters_reset() - forget the events of the self-test
 *
 * Called before any others.
 */
void dod_counters_reset(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		memset(per_cpu(dod_counters, cpu), 0, sizeof(dod_counters));
}

/**
 * dod_count_wait() - count that a hook has waited until a watch was over
 * @ns: how long
 */
void dod_count_wait(u64 ns)
{
	s64 longest = atomic64_read(&longest_wait);

	dod_count(DOD_C_WATCH_WAITS);
	while (longest < (s64)ns && !atomic64_try_cmpxchg(&longest_wait, &longest, ns))
		;
}

/**
 * dod_longest_wait_us() - the longest of these waits
 *
 * Return: microseconds.
 */
long dod_longest_wait_us(void)
{
	return div_u64(atomic64_read(&longest_wait), NSEC_PER_USEC);
}
