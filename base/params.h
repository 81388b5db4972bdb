/* SPDX-License-Identifier: GPL-2.0 */
/* The module parameters that rooms read. */
#ifndef DOD_PARAMS_H
#define DOD_PARAMS_H

#include <linux/types.h>

/* What the parameter content can be, in the order of its names. */
enum dod_content_param {
	DOD_CONTENT_OFF,
	DOD_CONTENT_SAMPLE,
	DOD_CONTENT_ON,
};

/**
 * struct dod_params - the module parameters that others read
 *
 * @panic:	fault=panic
 * @strict:	report the idioms of permissive.h, too
 * @trap_user:	poison memory that user space or the page cache can reach
 * @dedup:	report a (type, access, mapping) once
 * @report_burst: reports per 5 s, 0 for no limit
 * @kunit_fail:	a report fails the running KUnit test
 * @untested_after: seconds of use after which a device that claims more than 32
 *		address bits should have used one of them
 * @noncoherent: judge every device as if it were not coherent, with cache lines
 *		of this size; 0 judges each as it is
 * @pending_after: seconds after which a write that nobody syncs is noted
 * @content:	enum dod_content_param: know the content of which mappings
 * @content_sample: of one in so many, where @content says so
 * @content_max: of so many bytes
 * @canary:	fill what devices are to write with a pattern
 * @watch_cpu:	percent of a CPU that a guard that acts by itself may use
 * @watch_recent: percent of its looks that go to what devices got last
 * @watch_writes: remember what the CPU writes to one of so many ranges that it gets
 *		by a sync; 0 for none
 */
struct dod_params {
	bool panic;
	bool strict;
	bool trap_user;
	bool dedup;
	unsigned int report_burst;
	bool kunit_fail;
	unsigned int noncoherent;
	unsigned int untested_after;
	unsigned int pending_after;
	u8 content;
	unsigned int content_sample;
	unsigned int content_max;
	unsigned int watch_writes;
	bool canary;
	unsigned int watch_cpu;
	unsigned int watch_recent;
};

extern struct dod_params dod_params;

#endif /* DOD_PARAMS_H */
