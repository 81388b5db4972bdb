/* SPDX-License-Identifier: GPL-2.0 */
/* The stack of a call, who called, and the names of functions. */
#ifndef DOD_STACK_H
#define DOD_STACK_H

#include "../dma_owner_debug.h"
#include "compat.h"

/* Where a function was called, and the caller's registers when it has returned. */
struct dod_site {
	unsigned long ip, sp, bp;
};

unsigned int dod_stack_save(const struct dod_site *caller, unsigned long *frames,
			    unsigned int depth);
void dod_note_who(struct dod_who *who);
const char *dod_function_name(unsigned long ip, char *buf, size_t size);

/* stack_orc.c. dma_owner_debug.c starts and stops it. */
#ifdef DOD_UNWINDS_ORC
unsigned int dod_orc_save(const struct dod_site *caller, unsigned long *frames, unsigned int depth);
int dod_orc_start(void);
void dod_orc_stop(void);
#else
static inline unsigned int dod_orc_save(const struct dod_site *caller, unsigned long *frames,
					unsigned int depth)
{
	return 0;
}

static inline int dod_orc_start(void)
{
	return 0;
}

static inline void dod_orc_stop(void) {}
#endif

#endif /* DOD_STACK_H */
