/* SPDX-License-Identifier: GPL-2.0 */
/* Which call allocated a page, where the kernel keeps that. */
#ifndef DOD_PAGEMARKS_H
#define DOD_PAGEMARKS_H

#include <linux/types.h>

void dod_pagemarks_start(void);
void dod_pagemarks_check(void);
bool dod_pagemarks_known(void);
const void *dod_pagemark(unsigned long pfn);

#endif /* DOD_PAGEMARKS_H */
