/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module parameters, one row each. They are read with READ_ONCE(dod_params.NAME) where they
 * matter; all but kfence and the pool's can change at any time.
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

struct dod_params {
#define DOD_PARAM(name, type, ...)	type name;
#include "params_list.h"
};

extern struct dod_params dod_params;

extern const struct kernel_param_ops dod_fault_ops, dod_content_ops, dod_content_max_ops,
	dod_noncoherent_ops, dod_count_ops, dod_percent_ops, dod_map_frames_ops;

int dod_param_set_list(const char *val, const struct kernel_param *kp,
		       int (*apply)(const char *text));
int dod_param_get_list(char *buf, const struct kernel_param *kp);

#endif /* DOD_PARAMS_H */
