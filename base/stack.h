/* SPDX-License-Identifier: GPL-2.0 */
/* The stack of a call, who called, and the names of functions. */
#ifndef DOD_STACK_H
#define DOD_STACK_H

#include "../dma_owner_debug.h"

/* Where a function was called, and the caller's registers when it has returned. */
struct dod_site {
	unsigned long ip, sp, bp;
};

unsigned int dod_stack_save(const struct dod_site *caller, unsigned long *frames,
			    unsigned int depth);
int dod_stack_start(void);
void dod_stack_stop(void);

void dod_note_who(struct dod_who *who);
const char *dod_function_name(unsigned long ip, char *buf, size_t size);

#endif /* DOD_STACK_H */
