// SPDX-License-Identifier: GPL-2.0
/*
 * Which call allocated a page, where the kernel keeps that: CONFIG_MEM_ALLOC_PROFILING
 * has a mark for the first page of each allocation, and for each page of one that was
 * split. Two single pages with different marks are not of one allocation.
 *
 * Modules cannot call the functions that read a mark, but can see where marks are: a
 * memory section points to records, one for each page, with the mark at a known offset.
 * How long a record is depends on what else the kernel keeps there. It is found with
 * pages that have a mark of our own, which also proves that what is read are marks.
 *
 * No locks here. Marks of mapped pages do not change. dod_pagemarks_start() and _check() may sleep,
 * the others are called in any context.
 */
#include "../dma_owner_debug.h"
#include "memory.h"
#include "pagemarks.h"

#if defined(CONFIG_MEM_ALLOC_PROFILING) && defined(CONFIG_SPARSEMEM)
#include <linux/gfp.h>
#include <linux/page_ext.h>
#include <linux/pgalloc_tag.h>

/* Kernels have up to four clients of such records, of less than 100 bytes each. */
#define LONGEST_RECORD	1024U

/* Bytes from the record of a page to that of the next one; 0 if there are no marks. */
static unsigned int stride;

static const void *read_mark(unsigned long pfn, unsigned int step)
{
	unsigned long base, mark;
	const void *at;

	/* The records of memory that is unplugged are freed after a grace period. */
	rcu_read_lock();
	base = (unsigned long)READ_ONCE(__pfn_to_section(pfn)->page_ext);
	at = (const void *)(base + step * pfn + page_alloc_tagging_ops.offset);
	/*
	 * The lowest bit says that the records are going. Nothing may be there: at first
	 * @step is a guess.
	 */
	if (!base || base & 1 || !dod_read_word(at, &mark))
		mark = 0;
	rcu_read_unlock();
	return (const void *)mark;
}

static struct page *alloc_marked(const void **mark)
{
	DEFINE_ALLOC_TAG(ours);

	*mark = &ours.ct;
	return alloc_hooks_tag(&ours, alloc_pages_noprof(GFP_KERNEL | __GFP_NOWARN, 0));
}

static bool all_are(const void *mark, struct page **page, unsigned int nr, unsigned int step)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (read_mark(page_to_pfn(page[i]), step) != mark)
			return false;
	return true;
}

/* Find out whether the kernel keeps marks, and where. */
void dod_pagemarks_start(void)
{
	unsigned int nr, step, found = 0;
	struct page *page[8];
	const void *mark;

	for (nr = 0; nr < ARRAY_SIZE(page); nr++) {
		page[nr] = alloc_marked(&mark);
		if (!page[nr])
			break;
	}
	step = ALIGN(page_alloc_tagging_ops.offset + sizeof(mark), sizeof(long));
	for (; nr == ARRAY_SIZE(page) && step <= LONGEST_RECORD; step += sizeof(long))
		if (all_are(mark, page, nr, step)) {
			found = step;
			break;
		}
	while (nr)
		__free_page(page[--nr]);
	WRITE_ONCE(stride, found);
}

/*
 * Called from time to time: are there still marks? They can be switched off (vm.mem_profiling).
 * Pages then keep the marks they have, also when they are allocated anew, so that marks mean
 * nothing from then on.
 */
void dod_pagemarks_check(void)
{
	unsigned int step = READ_ONCE(stride);
	struct page *page;
	const void *mark;

	if (!step)
		return;
	page = alloc_marked(&mark);
	if (page && !all_are(mark, &page, 1, step)) {
		WRITE_ONCE(stride, 0);
		pr_notice("pages are not marked by who allocates them any more (vm.mem_profiling): not-contiguous does not check single pages\n");
	}
	if (page)
		__free_page(page);
}

/* Does the kernel say who allocated a page? */
bool dod_pagemarks_known(void)
{
	return READ_ONCE(stride);
}

/**
 * dod_pagemark() - which call allocated a page?
 * @pfn: the page, which exists
 *
 * Return: something to compare, NULL if it is not known.
 */
const void *dod_pagemark(unsigned long pfn)
{
	unsigned int step = READ_ONCE(stride);
	const void *mark = step ? read_mark(pfn, step) : NULL;

	/* A small number says that the page was allocated before there were marks. */
	return (unsigned long)mark < PAGE_SIZE ? NULL : mark;
}
#else
void dod_pagemarks_start(void) {}
void dod_pagemarks_check(void) {}
bool dod_pagemarks_known(void)
{
	return false;
}

const void *dod_pagemark(unsigned long pfn)
{
	return NULL;
}
#endif
