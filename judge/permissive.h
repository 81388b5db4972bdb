/* SPDX-License-Identifier: GPL-2.0 */
/* What departs from the letter of the DMA API, and is not reported (rule 11). */
#ifndef DOD_PERMISSIVE_H
#define DOD_PERMISSIVE_H

#include "../dma_owner_debug.h"

/* Names as %ps prints them, "function [module]", without losing the module. */
#define DOD_NAME_CHARS	192

/**
 * dod_is_function() - is it a function of the kernel's own, or split from it by the compiler?
 * @function: as %ps names it
 * @name: that function
 *
 * Return: false for functions of that name in a module.
 */
static inline bool dod_is_function(const char *function, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(function, name, len) && !strchr(function, '[') &&
	       (!function[len] || function[len] == '+' || function[len] == '.');
}

/**
 * dod_permitted() - may a function access memory that a device owns?
 * @function: the function, as %ps names it
 * @caller: who called it, "" if that is not known
 * @dir: how the device owns the memory; DMA_NONE for stale bytes
 * @strict: only what works for the device itself
 *
 * Return: whether one of the rows says so.
 */
bool dod_permitted(const char *function, const char *caller, u8 dir, bool strict);

/**
 * dod_acts_for_caller() - does a function access memory only for who has called it?
 * @function: the function, as %ps names it
 *
 * Return: true for memcpy(), checksums and the like, of the kernel's own.
 */
bool dod_acts_for_caller(const char *function);

/**
 * dod_mapped_by_idiom() - has a function that may access the memory mapped it for itself?
 * @m: the mapping, or a copy of it
 * @dir: how the device owns the memory
 *
 * Return: whether one is in its stack. For accesses that are reported before it is known who
 * makes them.
 */
bool dod_mapped_by_idiom(const struct dod_mapping *m, u8 dir);

/**
 * dod_map_permitted() - is a mapping not to be reported?
 * @type: what it would be reported as, enum dod_report_type
 * @m: the mapping, or a copy of it
 *
 * Return: whether one of the rows is in its stack. Only before a report: this looks up the
 * names of all frames.
 */
bool dod_map_permitted(u8 type, const struct dod_mapping *m);

/**
 * dod_is_lending_exporter() - can user space write to an exporter's dma-bufs unseen?
 * @function: the exporter's map_dma_buf(), as %ps names it
 *
 * Return: true for drivers whose own files map the memory.
 */
bool dod_is_lending_exporter(const char *function);

/**
 * dod_is_own_data() - is the driver's own data in what it maps DMA_TO_DEVICE?
 * @m: the mapping, or a copy of it; its device may be gone
 *
 * Asked when it is mapped and again before a report: drivers may set their driver data later.
 *
 * Return: true if the mapping is to be excused, and not to be poisoned.
 */
bool dod_is_own_data(const struct dod_mapping *m);

/* The same for a mapping that is being made. */
bool dod_maps_own_data(const struct dod_call *call, const struct dod_mapping *m);

#endif /* DOD_PERMISSIVE_H */
