/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fingerprints of memory: 32 bits for a block of up to DOD_BLOCK bytes. By the processor's CRC
 * where it has one that needs no FPU, else by products, in three instructions a word instead of
 * one. They need not withstand an attacker, only notice bytes that changed.
 *
 * No function of lib/: those are instrumented, and the memory is poisoned. In-line, because this
 * is most of what content costs, and so that KUnit can try both on one machine.
 *
 * All of a product counts, not only its lower half, as in h = (h ^ word) * K or h * K + word: there
 * no bit reaches a lower one, and changes of one bit in each of two words can cancel out.
 */
#ifndef DOD_FINGERPRINT_H
#define DOD_FINGERPRINT_H

#include "../base/compat.h"
#include "../base/params.h"

#include <linux/hash.h>

/* Both halves of the product of @h and a constant. */
static __always_inline u64 dod_fold(u64 h)
{
#ifdef __SIZEOF_INT128__
	__uint128_t product = (__uint128_t)h * GOLDEN_RATIO_64;

	return product ^ product >> 64;
#else
	u64 product = (u64)(u32)h * GOLDEN_RATIO_32;

	return (u32)product ^ product >> 32;
#endif
}

/* @at need not be aligned. @crc is a constant: true only if dod_has_crc(). */
static __always_inline u64 dod_hash_word(u64 h, const u8 *at, bool crc)
{
	u64 word;

	if (crc)
		return dod_crc_word(h, at);
	word = get_unaligned((const u64 *)at);
#ifndef __SIZEOF_INT128__
	h = dod_fold(h ^ word >> 32);
#endif
	return dod_fold(h ^ word);
}

/* Products must not begin with zero, of which leading zeros would make nothing else. */
static __always_inline u64 dod_hash_begin(bool crc)
{
	return crc ? 0 : GOLDEN_RATIO_64;
}

/* content.c remembers the low 16 bits. Those of a CRC differ for certain if one byte does. */
static __always_inline u32 dod_hash_end(u64 h, bool crc)
{
	return crc ? h : h ^ h >> 32;
}

/* A block of DOD_BLOCK bytes. */
static __always_inline u32 dod_hash_block(const u8 *p, bool crc)
{
	u64 h = dod_hash_begin(crc);

	BUILD_BUG_ON(DOD_BLOCK != 8 * sizeof(u64));
	h = dod_hash_word(h, p, crc);
	h = dod_hash_word(h, p + 8, crc);
	h = dod_hash_word(h, p + 16, crc);
	h = dod_hash_word(h, p + 24, crc);
	h = dod_hash_word(h, p + 32, crc);
	h = dod_hash_word(h, p + 40, crc);
	h = dod_hash_word(h, p + 48, crc);
	h = dod_hash_word(h, p + 56, crc);
	return dod_hash_end(h, crc);
}

/* The @nr bytes of a block: the last one of a mapping may have less than DOD_BLOCK. */
static __always_inline u32 dod_hash_bytes(const u8 *p, unsigned int nr, bool crc)
{
	u64 h = dod_hash_begin(crc), rest = 0;

	if (likely(nr == DOD_BLOCK))
		return dod_hash_block(p, crc);
	for (; nr >= sizeof(u64); nr -= sizeof(u64), p += sizeof(u64))
		h = dod_hash_word(h, p, crc);
	while (nr--)
		rest = rest << 8 | *p++;
	return dod_hash_end(dod_hash_word(h, (const u8 *)&rest, crc), crc);
}

#endif /* DOD_FINGERPRINT_H */
