// SPDX-License-Identifier: GPL-2.0
/*
 * What linux/string.h calls in code that KASAN does not instrument, and 32-bit arm does not export.
 * The functions without underscores are not instrumented either, where the compiler gives those
 * that are a prefix: the tool does not load elsewhere.
 */
#include <linux/string.h>

#undef memcpy
#undef memmove
#undef memset

void *__memcpy(void *to, const void *from, size_t n)
{
	return memcpy(to, from, n);
}

void *__memmove(void *to, const void *from, size_t n)
{
	return memmove(to, from, n);
}

void *__memset(void *to, int c, size_t n)
{
	return memset(to, c, n);
}
