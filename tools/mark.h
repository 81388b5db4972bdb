/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Begin and end of what scripts/profile/plugin.c counts: instructions that do nothing, and
 * that no compiler makes. The kernel's own programs have none of them.
 */
#ifndef DMA_OWNER_DEBUG_MARK_H
#define DMA_OWNER_DEBUG_MARK_H

#if defined(__x86_64__)
#define MARK_BEGIN()	asm volatile("nopl 0x444f4401(%%rax)" ::: "memory")
#define MARK_END()	asm volatile("nopl 0x444f4402(%%rax)" ::: "memory")
#elif defined(__aarch64__)
#define MARK_BEGIN()	asm volatile("hint #0x71" ::: "memory")
#define MARK_END()	asm volatile("hint #0x72" ::: "memory")
#else
#define MARK_BEGIN()	do { } while (0)
#define MARK_END()	do { } while (0)
#endif

#endif
