/* SPDX-License-Identifier: GPL-2.0 */
/* Where the kernel calls the tool: hooks, probes, and the test of them at load. */
#ifndef DOD_ATTACH_H
#define DOD_ATTACH_H

#include "../dma_owner_debug.h"

#if IS_ENABLED(CONFIG_DYNAMIC_FTRACE)
int dod_hooks_start(unsigned int *nr);
void dod_hooks_stop_giving(void);
void dod_hooks_stop(void);
bool dod_hooks_selftest_access(const struct dod_mapping *m, bool write);
bool dod_hooks_rmw_is_write(void);
#else
static inline int dod_hooks_start(unsigned int *nr)
{
	return -EOPNOTSUPP;
}

static inline void dod_hooks_stop_giving(void) {}
static inline void dod_hooks_stop(void) {}
static inline bool dod_hooks_selftest_access(const struct dod_mapping *m, bool write)
{
	return false;
}

static inline bool dod_hooks_rmw_is_write(void)
{
	return false;
}
#endif

int dod_tracepoints_start(void);
void dod_tracepoints_stop(void);

#endif /* DOD_ATTACH_H */
