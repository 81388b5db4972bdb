/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What attach/kcsan.c, whose thread watches memory for the devices, shares with the guard: which
 * range it watches now, and which ranges devices came to own last.
 */
#ifndef DOD_GUARD_KCSAN_H
#define DOD_GUARD_KCSAN_H

#include "guard.h"

#define DOD_NOWHERE	U64_MAX

/**
 * struct dod_kcsan_watch - the range that is watched now
 *
 * Written by the thread, but for @wanted and @given_up; read without a lock.
 *
 * @start:	first byte, physical, or DOD_NOWHERE
 * @last:	last byte
 * @printing:	KCSAN has found something, and watches no more
 * @wanted:	somebody waits for the end
 * @given_up:	local_clock() when somebody last stopped waiting, 0 for never
 */
struct dod_kcsan_watch {
	u64 start, last;
	bool printing, wanted;
	u64 given_up;
};

extern struct dod_kcsan_watch dod_kcsan_watch;

#define DOD_KCSAN_RECENT	16	/* ranges of each CPU */

bool dod_kcsan_recent(unsigned int cpu, unsigned int i, u64 *start, u64 *last);

#endif /* DOD_GUARD_KCSAN_H */
