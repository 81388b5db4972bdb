/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Our values in KASAN's shadow, and what attach/kasan.c asks about them. All functions can be
 * called in any context; inlines call no function that may be probed or instrumented.
 */
#ifndef DOD_GUARD_KASAN_H
#define DOD_GUARD_KASAN_H

#include "guard.h"

#include <linux/compiler.h>
#include <linux/kasan.h>

struct kprobe;

/*
 * All our values are >= 0x80 and used by no kernel: see mm/kasan/kasan.h. The direction can be
 * read without a lock.
 *
 *   0xd1, 0xd2, 0xd3	a whole granule, TO_DEVICE, FROM_DEVICE, BIDIRECTIONAL
 *   0xd4		the CPU owns it, in a cache line that a device writes: read, do not write
 *   0xd5		the CPU owns it, and its next write is recorded
 *   0xd6		stale, it was never synced for the CPU: write, do not read
 *   0x80 | dir << 3 | n	a granule in which the mapping ends and so does its memory: n of
 *			its bytes are accessible, dir is 1, 2, 3 as above
 */
#define SHADOW_TO_DEVICE	0xd1
#define SHADOW_FROM_DEVICE	0xd2
#define SHADOW_BIDIRECTIONAL	0xd3
#define SHADOW_EDGE		0xd4
#define SHADOW_WATCHED		0xd5
#define SHADOW_STALE		0xd6
#define SHADOW_DIR		0x03
#define SHADOW_TAIL		0x80
#define SHADOW_TAIL_DIR_SHIFT	3
#define SHADOW_TAIL_BYTES	0x07

#define GRANULE			BIT(KASAN_SHADOW_SCALE_SHIFT)

static inline u8 *shadow_of(const void *addr)
{
	return kasan_mem_to_shadow(addr);
}

static inline u8 shadow_at(u64 phys)
{
	return READ_ONCE(*shadow_of(phys_to_virt(phys)));
}

static inline bool is_whole(u8 value)
{
	return value >= SHADOW_TO_DEVICE && value <= SHADOW_STALE;
}

static inline u8 tail_value(u8 whole, u8 bytes)
{
	return SHADOW_TAIL | (whole & SHADOW_DIR) << SHADOW_TAIL_DIR_SHIFT | bytes;
}

static inline u8 tail_bytes(u8 value)
{
	return value & SHADOW_TAIL_BYTES;
}

static inline bool is_tail(u8 value)
{
	return value >= tail_value(SHADOW_TO_DEVICE, 1) &&
	       value <= tail_value(SHADOW_BIDIRECTIONAL, 7) && tail_bytes(value);
}

static inline bool is_ours(u8 value)
{
	return is_whole(value) || is_tail(value);
}

/* Is it the value of memory that the device only reads? */
static inline bool is_sent(u8 value)
{
	return value == SHADOW_TO_DEVICE ||
	       (is_tail(value) && value == tail_value(SHADOW_TO_DEVICE, tail_bytes(value)));
}

static inline bool is_ours_at(unsigned long addr)
{
	return is_ours(READ_ONCE(*shadow_of((void *)addr)));
}

/* A read by one instruction of memory that the device only reads. */
static inline bool is_allowed_read(const void *addr, size_t size)
{
	return size <= GRANULE && READ_ONCE(*shadow_of(addr)) == SHADOW_TO_DEVICE &&
	       READ_ONCE(*shadow_of(addr + size - 1)) == SHADOW_TO_DEVICE;
}

/* So many words of shadow are checked before any of them is changed. */
#define SHADOW_WORDS	8

static inline bool words_are_zero(const unsigned long *w)
{
	return !(w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]);
}

bool dod_kasan_set_breakpoint(const struct kprobe *p);
bool dod_kasan_lost_breakpoint(void);
struct dod_access_verdict dod_kasan_classify_access(const struct dod_access *access,
						    unsigned long caller);

#endif /* DOD_GUARD_KASAN_H */
