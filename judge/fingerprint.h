/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fingerprints of memory: 32 bits for a block of up to DOD_BLOCK bytes. By the processor's CRC
 * where it has one that needs no FPU, else by a multiplication, in three instructions a word
 * instead of one. They need not withstand an attacker, only notice bytes that changed.
 *
 * No function of lib/: those are instrumented, and the memory is poisoned. In-line, because this
 * is most of what content costs, and so that KUnit can try both on one machine.
 *
 * Not by h = h * K + word, in two instructions: no bit of a word reaches a lower one, so whatever
 * K is, changes of the top bits of two words would cancel out.
 */
#ifndef DOD_FINGERPRINT_H
#define DOD_FINGERPRINT_H

#include "../base/compat.h"
#include "../base/params.h"

#include <linux/bitops.h>
#include <linux/hash.h>

/* @at need not be aligned. @crc is a constant: only true if dod_has_crc(). */
static __always_inline u64 dod_hash_word(u64 h, const u8 *at, bool crc)
{
	if (crc)
		return dod_crc_word(h, at);
	return rol64(h ^ get_unaligned((const u64 *)at), 29) * GOLDEN_RATIO_64;
}

/*
 * content.c remembers the low 16 bits. Those of a CRC differ for certain if one byte of a block
 * does. Of products it is the upper bits that all bits of all words reach.
 */
static __always_inline u32 dod_hash_end(u64 h, bool crc)
{
	return crc ? h : (h ^ h >> 32) * GOLDEN_RATIO_64 >> 32;
}

/* A block of DOD_BLOCK bytes. */
static __always_inline u32 dod_hash_block(const u8 *p, bool crc)
{
	u64 h = 0;

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

/* The @nr bytes of a block, of which the last of a mapping may have less than DOD_BLOCK. */
static __always_inline u32 dod_hash_bytes(const u8 *p, unsigned int nr, bool crc)
{
	u64 h = 0, rest = 0;

	if (likely(nr == DOD_BLOCK))
		return dod_hash_block(p, crc);
	for (; nr >= sizeof(u64); nr -= sizeof(u64), p += sizeof(u64))
		h = dod_hash_word(h, p, crc);
	while (nr--)
		rest = rest << 8 | *p++;
	return dod_hash_end(dod_hash_word(h, (const u8 *)&rest, crc), crc);
}

#endif /* DOD_FINGERPRINT_H */
