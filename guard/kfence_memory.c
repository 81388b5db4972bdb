// SPDX-License-Identifier: GPL-2.0
/*
 * What KFENCE tells about memory, whatever guards. Each object of KFENCE's has a page of its own,
 * which is mapped while the object is allocated. The pages of freed objects, and the guard pages
 * between objects, are not mapped. No locks.
 */
#include "kfence.h"

#ifdef DOD_KFENCE_GUARD
#include "kfence_pte.h"
#endif

/**
 * dod_kfence_present() - is a page of KFENCE's pool there?
 * @phys: a byte of it
 *
 * Return: whether KFENCE has it mapped; what the KFENCE guard makes of that does not count.
 */
bool dod_kfence_present(u64 phys)
{
#ifdef DOD_KFENCE_GUARD
	const pte_t *pte = dod_kfence_pte((unsigned long)phys_to_virt(phys));

	return pte && pte_val(READ_ONCE(*pte)) & (_PAGE_PRESENT | DOD_PTE_OURS);
#else
	u8 byte;

	return dod_memory_read(phys, &byte, 1);
#endif
}

/**
 * dod_kfence_hole() - is some of a range a page that KFENCE has unmapped?
 * @start: first byte, physical
 * @last: last byte
 * @bad: filled in: the first byte that is not there
 * @freed: filled in: it is of an object that was freed
 *
 * Return: what that byte is in, NULL if all is there.
 */
const char *dod_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed)
{
	u64 pool, page;

	if (!dod_is_kfence(start, last))
		return NULL;
	pool = virt_to_phys(dod_kfence_pool());
	for (page = max(round_down(start, PAGE_SIZE), pool); page <= last; page += PAGE_SIZE) {
		if (!dod_is_kfence(page, page))
			return NULL;
		if (dod_kfence_present(page))
			continue;
		*bad = max(page, start);
		/* Objects are in every second page, after the first two. */
		*freed = page - pool >= 2 * PAGE_SIZE && !((page - pool) / PAGE_SIZE % 2);
		return *freed ? "a freed object of KFENCE's" : "a guard page of KFENCE's";
	}
	return NULL;
}
