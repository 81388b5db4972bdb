/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trap path. attach/ calls it for each access that a guard noticed: dod_access_trapped()
 * and dod_access_allow_read() while the access waits, dod_access_race() after the fact.
 */
#ifndef DOD_ACCESS_H
#define DOD_ACCESS_H

#include "../guard/guard.h"
#include "../report/report.h"

int dod_access_start(void);
void dod_access_stop(void);

void dod_access_trapped(struct dod_access *access, struct dod_access_verdict *v);
void dod_access_allow_read(unsigned long addr, size_t size, unsigned long ip);

bool dod_access_is_watchable(const struct dod_mapping *m, u8 dir);
void dod_access_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range);

/**
 * struct dod_selftest - a device whose accesses are counted and not reported
 *
 * @dev:	the device, while the self-test runs; else NULL
 * @traps:	how many of its accesses have trapped
 * @write_traps: how many of these were writes
 * @rmw_is_write: the kernel's compiler checks the write of x |= y; known once accesses trapped
 */
struct dod_selftest {
	const struct device *dev;
	unsigned int traps, write_traps;
	bool rmw_is_write;
};

extern struct dod_selftest dod_selftest;

#endif /* DOD_ACCESS_H */
