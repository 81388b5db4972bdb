/* SPDX-License-Identifier: GPL-2.0 */
/* Entries of the page tables that map KFENCE's pool. */
#ifndef DOD_GUARD_KFENCE_PTE_H
#define DOD_GUARD_KFENCE_PTE_H

#include <linux/pgtable.h>

/*
 * In an entry that this guard has restricted: what is not present without it was unmapped by
 * KFENCE. The kernel has no use for the bit in its own page tables (SOFTW1 is CPA_DEBUG's, SOFTW3
 * that of pages that must stay small), and KFENCE changes no bit but that of presence.
 */
#define DOD_PTE_OURS	_PAGE_SOFTW2

/* KFENCE maps its pool by 4 KiB. Returns NULL while it has not. */
static inline pte_t *dod_kfence_pte(unsigned long addr)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);

	return pte && level == PG_LEVEL_4K ? pte : NULL;
}

#endif /* DOD_GUARD_KFENCE_PTE_H */
