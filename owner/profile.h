/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How memory is mapped, by device and call site: counted by owner/ as it is mapped, summed up and
 * shown by judge/advice.c when somebody asks. The parameter profile switches it.
 */
#ifndef DOD_PROFILE_H
#define DOD_PROFILE_H

#include "../dma_owner_debug.h"

#include <linux/bitops.h>
#include <linux/jump_label.h>
#include <linux/percpu.h>

struct seq_file;

/* Powers of two: bin n counts what is at least 2^n, and less than 2^(n+1). */
#define DOD_PROFILE_BINS	64

static inline unsigned int dod_profile_bin(u64 value)
{
	return fls64(value | 1) - 1;
}

/* Why not all pages of a mapping can trap, by the first reason that applies. */
enum dod_untrapped {
	DOD_UNTRAPPED_NOT_RAM,	/* memory that the tool must not touch */
	DOD_UNTRAPPED_BAD,	/* it was not allocated */
	DOD_UNTRAPPED_SOME,	/* some pages can */
	DOD_UNTRAPPED_USER,	/* user space or the page cache can reach it */
	DOD_UNTRAPPED_SPECIAL,	/* reserved, of a stack, or KFENCE's */
	DOD_UNTRAPPED_OWN_DATA,	/* its driver's own data (rule 11) */
	DOD_UNTRAPPED_NO_SYNC,	/* its driver may skip syncs, and was told so */
	DOD_UNTRAPPED_COUNT
};

/**
 * struct dod_profile - what a CPU has counted of a call site, or the sum of all
 *
 * @sizes:	mappings, by their size in bytes
 * @times:	those that have ended, by how long they were mapped, in ns; the last bin is for
 *		less than nothing, for clocks of CPUs may differ
 * @bytes:	of all mappings
 * @slab:	how many were of slab memory
 * @again:	of these, those that begin where the one before them did, on the same CPU
 * @onward:	those that begin their own size after that
 * @bounced:	mappings with a bounce buffer; not known behind an IOMMU
 * @beyond:	those of @bounced whose memory ends above what the device can reach
 * @syncs_cpu:	syncs for the CPU, of each mapping that they concern
 * @syncs_device: syncs for the device
 * @bytes_cpu:	bytes of the former
 * @bytes_device: bytes of the latter
 * @untrapped:	mappings not all of whose pages can trap
 * @when:	local_clock() of the last mapping, of any CPU in a sum
 * @start:	first byte of the last mapping of slab memory
 */
struct dod_profile {
	u64 sizes[DOD_PROFILE_BINS], times[DOD_PROFILE_BINS], bytes;
	u64 slab, again, onward, bounced, beyond;
	u64 syncs_cpu, syncs_device, bytes_cpu, bytes_device;
	u64 untrapped[DOD_UNTRAPPED_COUNT];
	/* What follows is not summed up. */
	u64 when, start;
};

/**
 * struct dod_map_place - a call site of a device, and what was counted there
 *
 * @m:		of its first mapping: device, stack, kind, direction, attributes. No more is set
 * @ip:		the driver's frame that names it
 * @since:	local_clock() when counting began
 * @sum:	of all CPUs
 */
struct dod_map_place {
	struct dod_mapping m;
	unsigned long ip;
	u64 since;
	struct dod_profile sum;
};

DECLARE_STATIC_KEY_FALSE(dod_profiling);

unsigned int dod_profile_read(struct dod_map_place *places, unsigned int room);
void dod_profile_add(struct dod_profile *sum, const struct dod_profile *p);
void dod_profile_switch(bool on);
unsigned int dod_profile_trapped(const struct dod_profile *p);
void dod_profile_show_trapped(struct seq_file *seq, const struct dod_profile *p);
u64 dod_profile_maps(const struct dod_profile *p);
u64 dod_profile_ended(const struct dod_profile *p);

#endif /* DOD_PROFILE_H */
