// SPDX-License-Identifier: GPL-2.0
/* The counters, for each CPU. No locks here; all may be called in any context. */
#include "stats.h"

#include <linux/atomic.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/time64.h>

DEFINE_PER_CPU(long [DOD_COUNTER_COUNT], dod_counters);

static atomic64_t longest_wait;

/* A counter, summed over the CPUs; exact only while nobody counts. */
long dod_counter_read(enum dod_counter counter)
{
	unsigned int cpu;
	long sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(dod_counters, cpu)[counter]);
	return sum;
}

/* The name of a counter in debugfs. */
const char *dod_counter_name(enum dod_counter counter)
{
	static const char * const names[] = {
#define DOD_COUNTER(id, name, ...)	\
		[DOD_C_##id] = name,
#include "counters.h"
	};

	return names[counter];
}

/* Forget what the self-test counted. Called before anything else counts. */
void dod_counters_reset(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		memset(per_cpu(dod_counters, cpu), 0, sizeof(dod_counters));
}

/* Count that a hook has waited @ns until a watch was over. */
void dod_count_wait(u64 ns)
{
	s64 longest = atomic64_read(&longest_wait);

	dod_count(DOD_C_WATCH_WAITS);
	while (longest < (s64)ns && !atomic64_try_cmpxchg(&longest_wait, &longest, ns))
		;
}

/* The longest of these waits, in microseconds. */
long dod_longest_wait_us(void)
{
	return div_u64(atomic64_read(&longest_wait), NSEC_PER_USEC);
}
