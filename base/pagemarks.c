// SPDX-License-Identifier: GPL-2.0
/*
 * Which call allocated a page, where the kernel keeps that: CONFIG_MEM_ALLOC_PROFILING
 * has a mark for the first page of each allocation, and for each page of one that was
 * split. Two single pages with different marks are not of one allocation.
 *
 * The functions that read a mark are not there for modules. Where marks lie is: behind
 * what a memory section points to, a record for each page. How long a record is depends
 * on what else the kernel keeps there, and is found out with pages that have a mark of
 * our own, which proves at the same time that marks are what is read.
 *
 * No locks here. Marks of pages that somebody maps do not change.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "mapped_pages.h"
#include "memory.h"
#include "pagemarks.h"
#include "params.h"
#include "pool.h"
#include "stack.h"
#include "state.h"
#include "stats.h"
#include "worker.h"

#include <linux/mm.h>
#include <linux/uaccess.h>

#if defined(CONFIG_MEM_ALLOC_PROFILING) && defined(CONFIG_SPARSEMEM)
#include <linux/gfp.h>
#include <linux/page_ext.h>
#include <linux/pgalloc_tag.h>

/* Kernels have up to four clients of such records, of less than 100 bytes each. */
#define LONGEST_RECORD	1024U

/* Bytes from the record of a page to that of the next one; 0 if marks are not known. */
static unsigned int stride;

/* Also where nothing is: the length of a record is guessed at first. */
static const void *read_word(unsigned long at)
{
	unsigned long word;

	pagefault_disable();
	__get_kernel_nofault(&word, (const void *)at, unsigned long, fault);
	pagefault_enable();
	return (const void *)word;
fault:
	pagefault_enable();
	return NULL;
}

static const void *read_mark(unsigned long pfn, unsigned int step)
{
	const void *mark = NULL;
	unsigned long base;

	/* Memory that is unplugged takes its records with it, after a grace period. */
	rcu_read_lock();
	base = (unsigned long)READ_ONCE(__pfn_to_section(pfn)->page_ext);
	/* The lowest bit says that they are going. */
	if (base && !(base & 1))
		mark = read_word(base + step * pfn + page_alloc_tagging_ops.offset);
	rcu_read_unlock();
	return mark;
}

static struct page *alloc_marked(const void **mark)
{
	DEFINE_ALLOC_TAG(poison);

	*mark = &poison.ct;
	return alloc_hooks_tag(&poison, alloc_pages_noprof(GFP_KERNEL | __GFP_NOWARN, 0));
}

static bool all_are(const void *mark, struct page **page, unsigned int nr, unsigned int step)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (read_mark(page_to_pfn(page[i]), step) != mark)
			return false;
	return true;
}

/**
 * dod_pagemarks_start() - find out whether the kernel keeps marks, and where
 *
 * Context: process, may sleep.
 */
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

/**
 * dod_pagemarks_look() - are there still marks?
 *
 * Everybody may switch them off (vm.mem_profiling). Pages then keep what they have, also
 * if they are allocated anew: from then on nothing is known, whatever becomes of it.
 *
 * Context: process, may sleep; from time to time.
 */
void dod_pagemarks_look(void)
{
	unsigned int step = READ_ONCE(stride);
	struct page *page;
	const void *mark;

	if (!step)
		return;
	page = alloc_marked(&mark);
	if (page && !all_are(mark, &page, 1, step)) {
		WRITE_ONCE(stride, 0);
		pr_notice("pages are not marked by who allocates them any more (vm.mem_profiling): not-contiguous does not judge single pages\n");
	}
	if (page)
		__free_page(page);
}

/**
 * dod_pagemarks_known() - does the kernel tell whose pages are?
 *
 * Context: any.
 */
bool dod_pagemarks_known(void)
{
	return READ_ONCE(stride);
}

/**
 * dod_pagemark() - which call allocated a page?
 * @pfn: the page, which exists
 *
 * Context: any.
 *
 * Return: something to compare, NULL if it is not known.
 */
const void *dod_pagemark(unsigned long pfn)
{
	unsigned int step = READ_ONCE(stride);
	const void *mark = step ? read_mark(pfn, step) : NULL;

	/* What was allocated before there were marks can have one that says just that. */
	return (unsigned long)mark < PAGE_SIZE ? NULL : mark;
}
#else
void dod_pagemarks_start(void) {}
void dod_pagemarks_look(void) {}
bool dod_pagemarks_known(void)
{
	return false;
}

const void *dod_pagemark(unsigned long pfn)
{
	return NULL;
}
#endif
