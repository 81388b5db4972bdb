/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One instrumented load or store of 1 to 16 bytes, for functions that reports are to
 * name: each test module has its own. Inlined, so that they add no frame. No locks.
 */
#ifndef DMA_OWNER_DEBUG_ONE_ACCESS_H
#define DMA_OWNER_DEBUG_ONE_ACCESS_H

#include <linux/compiler.h>
#include <linux/string.h>
#include <linux/types.h>

#ifdef CONFIG_ARCH_SUPPORTS_INT128
#define SIXTEEN_BYTES unsigned __int128
#else
#define SIXTEEN_BYTES struct { u64 half[2]; }
#endif

/* What one_store() writes. */
#define WRITTEN 0x5a

static __always_inline void one_load(const void *p, size_t size)
{
	SIXTEEN_BYTES v;

	OPTIMIZER_HIDE_VAR(p);
	switch (size) {
	case 1:
		READ_ONCE(*(const u8 *)p);
		break;
	case 2:
		READ_ONCE(*(const u16 *)p);
		break;
	case 4:
		READ_ONCE(*(const u32 *)p);
		break;
	case 8:
		READ_ONCE(*(const u64 *)p);
		break;
	default:
		v = *(typeof(v) *)p;
		barrier_data(&v);
	}
}

static __always_inline void one_store(void *p, size_t size)
{
	SIXTEEN_BYTES v;

	memset(&v, WRITTEN, sizeof(v));
	OPTIMIZER_HIDE_VAR(p);
	switch (size) {
	case 1:
		WRITE_ONCE(*(u8 *)p, 0x5a);
		break;
	case 2:
		WRITE_ONCE(*(u16 *)p, 0x5a5a);
		break;
	case 4:
		WRITE_ONCE(*(u32 *)p, 0x5a5a5a5a);
		break;
	case 8:
		WRITE_ONCE(*(u64 *)p, 0x5a5a5a5a5a5a5a5aULL);
		break;
	default:
		*(typeof(v) *)p = v;
	}
}

#endif /* DMA_OWNER_DEBUG_ONE_ACCESS_H */
