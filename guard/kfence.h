/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guard on KFENCE: pages of its objects that a device owns are protected. It works beside the
 * guard on KASAN, and beside none; those call it for memory in KFENCE's pool. All functions may
 * be called in any context, and take at most the lock of kfence.c, which is the innermost one.
 */
#ifndef DOD_GUARD_KFENCE_H
#define DOD_GUARD_KFENCE_H

#include "../base/memory.h"
#include "guard.h"

/* As Kbuild has it. Elsewhere attach/ would not learn the address of an access: design.rst. */
#if defined(CONFIG_X86_64) && defined(CONFIG_KFENCE) && \
	defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && !defined(CONFIG_KCSAN)
#define DOD_KFENCE_GUARD
#endif

/* What became of a page, for the fault that an access to it has caused. */
enum dod_kfence_fault {
	DOD_KFENCE_NOT_OURS,	/* the page is not protected by this guard */
	DOD_KFENCE_AGAIN,	/* it was, and the access is possible now */
	DOD_KFENCE_TRAPPED,	/* it is */
};

#ifdef DOD_KFENCE_GUARD
bool dod_kfence_is_ready(void);
bool dod_kfence_attach(void);
void dod_kfence_unprotect(void);
void dod_kfence_detach(void);
enum dod_kfence_fault dod_kfence_fault(unsigned long addr, bool write);
bool dod_kfence_is_repeated(unsigned long addr, unsigned long ip);
void dod_kfence_open(unsigned long addr, unsigned long ip, bool write);
void dod_kfence_hold_open(bool hold);
void dod_kfence_freed(const void *object);

void dod_kfence_poison(u64 start, u64 last, u8 dir);
void dod_kfence_unpoison(u64 start, u64 last);
void dod_kfence_watch(u64 start, u64 last, bool on);
bool dod_kfence_is_poisoned(const void *addr);
struct dod_access_verdict dod_kfence_scan(unsigned long addr, unsigned long last, bool write);
#else
static inline void dod_kfence_poison(u64 start, u64 last, u8 dir) {}
static inline void dod_kfence_unpoison(u64 start, u64 last) {}
static inline void dod_kfence_watch(u64 start, u64 last, bool on) {}

static inline bool dod_kfence_is_poisoned(const void *addr)
{
	return false;
}

static inline struct dod_access_verdict dod_kfence_scan(unsigned long addr, unsigned long last,
							bool write)
{
	return (struct dod_access_verdict){ .last = last };
}
#endif

/* kfence_memory.c: with every guard. */
bool dod_kfence_present(u64 phys);
const char *dod_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed);

#endif /* DOD_GUARD_KFENCE_H */
