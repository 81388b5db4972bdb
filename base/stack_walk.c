// SPDX-License-Identifier: GPL-2.0
/*
 * The stack of a call on riscv and 32-bit arm, where the kernel's unwinder, which begins in the
 * tool, does not find the caller of a hooked function: ftrace's entry code makes no frame.
 *
 * No locks here; to be called in any context but NMI.
 */
#include "compat.h"
#include "lock.h"
#include "memory.h"
#include "stack.h"

#include <linux/align.h>

#ifdef CONFIG_ARM
#include <asm/stacktrace.h>

struct frames {
	struct dod_frame *frame;
	unsigned int nr, depth;
};

static bool add_frame(void *data, unsigned long ip)
{
	struct frames *f = data;

	f->frame[f->nr++] = dod_frame_pack(ip);
	return f->nr < f->depth;
}

/* By the kernel's unwinder, which here can begin where it is told to. */
static unsigned int walk(const struct dod_site *caller, struct dod_frame *frames,
			 unsigned int depth)
{
	struct stackframe at = {
		.fp = caller->bp,
		.sp = caller->sp,
		.lr = caller->ip,
		.pc = caller->ip,
	};
	struct frames f = { .frame = frames, .depth = depth };
	unsigned long flags;

	if (!caller->sp)
		return 0;
	flags = dod_quiet_begin();
	walk_stackframe(&at, add_frame, &f);
	dod_quiet_end(flags);
	return f.nr;
}
#else
/* Where a function saved its caller's frame pointer, followed by its return address. */
static const unsigned long *record_of(unsigned long fp)
{
	return (const unsigned long *)fp - 2;
}

/*
 * ftrace's entry code keeps the frame pointer. So the first frame outside the tool is that of the
 * caller, which the stack pointer tells apart.
 *
 * The outermost frames are of code without a frame, which leaves anything in the register: stay on
 * the stack, go only outwards, and read without a fault.
 */
static bool next_frame(unsigned long *fp, unsigned long *ip)
{
	const unsigned long *record = record_of(*fp);
	unsigned long outer;

	if (!*fp || !IS_ALIGNED(*fp, sizeof(long)) || !dod_read_word(record + 1, ip) ||
	    !dod_read_word(record, &outer))
		return false;
	*fp = outer > *fp && outer - *fp < THREAD_SIZE ? outer : 0;
	return true;
}

static unsigned int walk(const struct dod_site *caller, struct dod_frame *frames,
			 unsigned int depth)
{
	unsigned long fp = (unsigned long)__builtin_frame_address(0), ip;
	unsigned int nr = 0;

	while ((unsigned long)record_of(fp) < caller->sp)
		if (!next_frame(&fp, &ip) || !fp)
			return 0;
	ip = caller->ip;
	do {
		frames[nr] = dod_frame_pack(ip);
	} while (dod_frame_ip(frames[nr]) && ++nr < depth && next_frame(&fp, &ip));
	return nr;
}
#endif

/**
 * dod_walk_save() - dod_stack_save(), from the caller on
 * @caller: the caller, and its stack pointer after the call
 * @frames: filled in: return addresses, from the caller outwards
 * @depth: how many at most
 *
 * Return: how many there are, 0 if the caller's frame is not found.
 */
unsigned int dod_walk_save(const struct dod_site *caller, struct dod_frame *frames,
			   unsigned int depth)
{
	return walk(caller, frames, depth);
}
