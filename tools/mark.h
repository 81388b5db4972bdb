/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Begin and end of what scripts/profile/plugin.c counts: instructions that do nothing, and
 * that no compiler makes.
 */
#ifndef DMA_OWNER_DEBUG_MARK_H
#define DMA_OWNER_DEBUG_MARK_H

static inline void mark_begin(void)
{
#if defined(__x86_64__)
	asm volatile("nopl 0x444f4401(%%rax)" ::: "memory");
#elif defined(__aarch64__)
	asm volatile("hint #0x71" ::: "memory");
#endif
}

static inline void mark_end(void)
{
#if defined(__x86_64__)
	asm volatile("nopl 0x444f4402(%%rax)" ::: "memory");
#elif defined(__aarch64__)
	asm volatile("hint #0x72" ::: "memory");
#endif
}

#endif
