/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module parameters, one row each. Rooms read them with READ_ONCE(dod_params.NAME)
 * where they matter; all but the pool's can change at any time.
 */
#ifndef DOD_PARAMS_H
#define DOD_PARAMS_H

#include <linux/moduleparam.h>
#include <linux/types.h>

/* What "fault" can be, in the order of its names. */
enum dod_fault {
	DOD_FAULT_REPORT,
	DOD_FAULT_PANIC,
};

/* What "content" can be, in the order of its names. */
enum dod_content_param {
	DOD_CONTENT_OFF,
	DOD_CONTENT_SAMPLE,
	DOD_CONTENT_ON,
};

/* Content is compared by blocks of so many bytes, at most so many of a mapping. */
#define DOD_BLOCK	64U
#define DOD_BLOCKS	64U

/* A list that is read as it was written. */
struct dod_list {
	char text[512];
};

/*
 * X(name, type, value at load, operations, permissions, description)
 *
 * Operations are the kernel's, those below, or, where a change concerns other rooms, those
 * of dma_owner_debug.c, which makes the parameters out of this table.
 */
#define DOD_PARAMS(X)										\
	X(fault, u8, DOD_FAULT_REPORT, dod_fault_ops, 0600,					\
	  "after a report: \"report\" goes on, \"panic\" panics (default: report)")		\
	X(strict, bool, false, param_ops_bool, 0600,						\
	  "go by the letter of the DMA API: report also its known departures, and what "	\
	  "loses nothing, or not yet (default: N)")						\
	X(trap_user, bool, false, param_ops_bool, 0600,						\
	  "trap also in memory that user space or the page cache can reach, where legal "	\
	  "races exist (default: N)")								\
	X(off_types, struct dod_list, {}, off_types_ops, 0600,					\
	  "report types to switch off, comma-separated (default: none)")			\
	X(off_drivers, struct dod_list, {}, off_drivers_ops, 0600,				\
	  "drivers not to report, as [type:]glob, comma-separated (default: none)")		\
	X(off_devices, struct dod_list, {}, off_devices_ops, 0600,				\
	  "devices not to report, as [type:]glob, comma-separated (default: none)")		\
	X(dedup, bool, true, dedup_ops, 0600,							\
	  "report the same fault once; writing it forgets what was reported (default: Y)")	\
	X(report_burst, unsigned int, 20, param_ops_uint, 0600,					\
	  "most reports in 5 s, 0 for no limit (default: 20)")					\
	X(kunit_fail, bool, true, param_ops_bool, 0600,						\
	  "a report fails the KUnit test that runs (default: Y)")				\
	X(noncoherent, unsigned int, 0, dod_noncoherent_ops, 0600,				\
	  "check all devices as if they were not cache-coherent, with lines of so many "	\
	  "bytes; 0 checks each as it is (default: 0)")						\
	X(untested_after, unsigned int, 60, param_ops_uint, 0600,				\
	  "seconds of use without an address above 4 GiB, after which a wider mask is "		\
	  "noted as untested (default: 60)")							\
	X(pending_after, unsigned int, 60, pending_after_ops, 0600,				\
	  "seconds after which a write to a DMA_TO_DEVICE mapping that nobody syncs is "	\
	  "noted (default: 60)")								\
	X(wires, struct dod_list, {}, wires_ops, 0600,						\
	  "address lines that devices really have, as <device or driver glob>:<bits>, "		\
	  "comma-separated (default: none)")							\
	X(content, u8, DOD_CONTENT_ON, dod_content_ops, 0600,					\
	  "notice what changes content unseen: \"off\", \"sample\" for one mapping in "		\
	  "content_sample, \"on\" for all (default: on)")					\
	X(content_sample, unsigned int, 16, dod_count_ops, 0600,				\
	  "with content=sample, compare one mapping in so many (default: 16)")			\
	X(content_max, unsigned int, 4096, dod_content_max_ops, 0600,				\
	  "most bytes of a mapping that are compared, half of them at each end, 128 to "	\
	  "4096 (default: 4096)")								\
	X(watch_writes, unsigned int, 64, param_ops_uint, 0600,					\
	  "with devices that are not coherent, or are checked as such: remember the CPU's "	\
	  "first write to one of so many ranges synced for it, 1 for all, 0 for none "		\
	  "(default: 64)")									\
	X(canary, bool, false, param_ops_bool, 0600,						\
	  "fill DMA_FROM_DEVICE memory with a pattern before the device owns it, and "		\
	  "report what comes back untouched: changes what drivers find in buffers that the "	\
	  "device did not use (default: N)")							\
	X(watch_cpu, unsigned int, 20, dod_percent_ops, 0600,					\
	  "with KCSAN, percent of a CPU's time that watching for wrong accesses may take, "	\
	  "0 to stop (default: 20)")								\
	X(watch_recent, unsigned int, 75, dod_percent_ops, 0600,				\
	  "with KCSAN, percent of the watches that go to what was mapped or synced last, "	\
	  "the others to any mapping (default: 75)")						\
	X(pool_reserve, unsigned int, 8192, dod_count_ops, 0400,				\
	  "records kept free for new mappings (default: 8192)")					\
	X(pool_max, unsigned int, 1048576, dod_count_ops, 0400,					\
	  "most records to allocate (default: 1048576)")

#define DOD_PARAM_FIELD(name, type, ...)	type name;
struct dod_params {
	DOD_PARAMS(DOD_PARAM_FIELD)
};

extern struct dod_params dod_params;

extern const struct kernel_param_ops dod_fault_ops, dod_content_ops, dod_content_max_ops,
	dod_noncoherent_ops, dod_count_ops, dod_percent_ops;

int dod_param_set_list(const char *val, const struct kernel_param *kp,
		       int (*apply)(const char *text));
int dod_param_get_list(char *buf, const struct kernel_param *kp);

#endif /* DOD_PARAMS_H */
