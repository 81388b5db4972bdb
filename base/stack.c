// SPDX-License-Identifier: GPL-2.0
/*
 * The stack of a call of the DMA API from its caller outwards, who called, and the names
 * of functions. No locks here; all may be called in any context, dod_stack_save() not in NMI.
 */
#include "stack.h"
#include "compat.h"
#include "lock.h"

#include <linux/kernel.h>
#include <linux/stacktrace.h>
#include <linux/string.h>

/**
 * dod_stack_save_all() - dod_stack_save(), by the kernel's unwinder
 * @caller: the caller
 * @frames: filled in
 * @depth: how many at most
 *
 * It begins here: without the frames inside of the caller.
 *
 * Return: how many there are, at least 1.
 */
noinline unsigned int dod_stack_save_all(const struct dod_site *caller, struct dod_frame *frames,
					 unsigned int depth)
{
	unsigned long all[DOD_MAP_FRAMES + 8] DOD_UNINITIALIZED;
	unsigned long flags = dod_quiet_begin();
	unsigned int nr, i;

	nr = stack_trace_save(all, depth + 8, 0);
	dod_quiet_end(flags);
	for (i = 0; i < nr && all[i] != caller->ip; i++)
		;
	if (i == nr) {
		/* An unreliable unwinder. The caller at least is known. */
		frames[0] = dod_frame_pack(caller->ip);
		return 1;
	}
	nr = min(nr - i, depth);
	dod_frames_pack(frames, all + i, nr);
	return nr;
}

/**
 * dod_function_name() - the function or variable that an address is in, as %ps prints it
 * @ip: the address
 * @buf: for the name
 * @size: its size
 *
 * Return: @buf.
 */
const char *dod_function_name(unsigned long ip, char *buf, size_t size)
{
	unsigned long flags = dod_quiet_begin();

	snprintf(buf, size, "%ps", (void *)ip);
	dod_quiet_end(flags);
	return buf;
}
