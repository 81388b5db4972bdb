/* SPDX-License-Identifier: GPL-2.0 */
/* The stack of a call, who called, and the names of functions. */
#ifndef DOD_STACK_H
#define DOD_STACK_H

#include "../dma_owner_debug.h"
#include "compat.h"

#include <linux/sched/clock.h>

/*
 * Return addresses are kept as offsets of 32 bits: the kernel and its modules lie within 2 GiB, on
 * x86_64 in the uppermost. So does what BPF programs are compiled to, but not on arm64, where it
 * is anywhere: of such a frame only this is kept.
 */
#if BITS_PER_LONG == 32 || defined(CONFIG_X86_64)
#define DOD_FRAME_BASE	0UL
#else
#define DOD_FRAME_BASE	((unsigned long)dma_map_page_attrs)
#endif

static inline struct dod_frame dod_frame_pack(unsigned long ip)
{
	long off = ip - DOD_FRAME_BASE;
	struct dod_frame frame = { off };

	return frame.off == off ? frame : (struct dod_frame){};
}

/* The return address; 0 if it was not within reach. */
static inline unsigned long dod_frame_ip(struct dod_frame frame)
{
	return frame.off ? DOD_FRAME_BASE + frame.off : 0;
}

static inline void dod_frames_pack(struct dod_frame *frames, const unsigned long *ips,
				   unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		frames[i] = dod_frame_pack(ips[i]);
}

unsigned int dod_stack_save_all(const struct dod_site *caller, struct dod_frame *frames,
				unsigned int depth);
const char *dod_function_name(unsigned long ip, char *buf, size_t size);

/* stack_orc.c. dma_owner_debug.c starts and stops it. */
#ifdef DOD_UNWINDS_ORC
unsigned int dod_orc_save(const struct dod_site *caller, struct dod_frame *frames,
			  unsigned int depth);
int dod_orc_start(void);
void dod_orc_stop(void);
#else
static inline unsigned int dod_orc_save(const struct dod_site *caller,
					struct dod_frame *frames, unsigned int depth)
{
	return 0;
}

static inline int dod_orc_start(void)
{
	return 0;
}

static inline void dod_orc_stop(void) {}
#endif

/* stack_walk.c */
#ifdef DOD_WALKS_STACK
unsigned int dod_walk_save(const struct dod_site *caller, struct dod_frame *frames,
			   unsigned int depth);
#else
static inline unsigned int dod_walk_save(const struct dod_site *caller,
					 struct dod_frame *frames, unsigned int depth)
{
	return 0;
}
#endif

/**
 * dod_stack_save() - who called the caller of a function?
 * @caller: the caller, and its stack and frame pointer after the call
 * @frames: filled in: return addresses, from the caller outwards; has room for an even number
 * @depth: how many at most, up to DOD_MAP_FRAMES
 *
 * Return: how many there are, at least 1.
 */
static inline unsigned int dod_stack_save(const struct dod_site *caller, struct dod_frame *frames,
					  unsigned int depth)
{
	return dod_orc_save(caller, frames, depth) ?: dod_walk_save(caller, frames, depth) ?:
	       dod_stack_save_all(caller, frames, depth);
}

/* Fills in who does something now, but for the number of frames. */
static inline void dod_note_who(struct dod_who *who)
{
	who->when = local_clock();
	who->pid = task_pid_nr(current);
	who->cpu = raw_smp_processor_id();
	__builtin_memcpy(who->comm, current->comm, sizeof(who->comm));
	who->comm[sizeof(who->comm) - 1] = '\0';
}

#endif /* DOD_STACK_H */
