// SPDX-License-Identifier: GPL-2.0
/*
 * The values of the module parameters, and how they are written and read.
 *
 * param_lock serialises writers and readers of lists; wires_lock and devices_lock nest in it.
 * All functions are called in process context, and may sleep.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "params.h"

#include <linux/log2.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/sysfs.h>

struct dod_params dod_params = {
#define DOD_PARAM(name, type, value, ...)	.name = value,
#include "params_list.h"
};

static DEFINE_MUTEX(param_lock);

static const char * const fault_names[] = {
	[DOD_FAULT_REPORT] = "report",
	[DOD_FAULT_PANIC] = "panic",
};

static const char * const content_names[] = {
	[DOD_CONTENT_OFF] = "off",
	[DOD_CONTENT_SAMPLE] = "sample",
	[DOD_CONTENT_ON] = "on",
};

/* One of the names above. */
#define DEFINE_NAME_OPS(name, all)						\
static int name##_set(const char *val, const struct kernel_param *kp)		\
{										\
	int i = sysfs_match_string(name##_names, val);				\
										\
	if (i < 0) {								\
		pr_err(#name " is " all ", not \"%.*s\"\n",			\
		       (int)strcspn(val, "\n"), val);				\
		return -EINVAL;							\
	}									\
	WRITE_ONCE(dod_params.name, i);						\
	return 0;								\
}										\
										\
static int name##_get(char *buf, const struct kernel_param *kp)			\
{										\
	return sysfs_emit(buf, "%s\n", name##_names[dod_params.name]);		\
}										\
										\
const struct kernel_param_ops dod_##name##_ops = {				\
	.set = name##_set,							\
	.get = name##_get,							\
}

DEFINE_NAME_OPS(fault, "\"report\" or \"panic\"");
DEFINE_NAME_OPS(content, "\"off\", \"sample\" or \"on\"");

static int noncoherent_set(const char *val, const struct kernel_param *kp)
{
	unsigned int line;

	if (kstrtouint(val, 0, &line) ||
	    (line && (!is_power_of_2(line) || line < 8 || line > 1024))) {
		pr_err("noncoherent is 0, or the size of a cache line: a power of two from 8 to 1024, not \"%.*s\"\n",
		       (int)strcspn(val, "\n"), val);
		return -EINVAL;
	}
	WRITE_ONCE(dod_params.noncoherent, line);
	return 0;
}

const struct kernel_param_ops dod_noncoherent_ops = {
	.set = noncoherent_set,
	.get = param_get_uint,
};

/* Numbers from @min to @max. */
#define DEFINE_UINT_OPS(name, min, max)						\
static int name##_set(const char *val, const struct kernel_param *kp)		\
{										\
	return param_set_uint_minmax(val, kp, min, max);			\
}										\
										\
const struct kernel_param_ops dod_##name##_ops = {				\
	.set = name##_set,							\
	.get = param_get_uint,							\
}

DEFINE_UINT_OPS(count, 1, 1 << 24);
DEFINE_UINT_OPS(percent, 0, 100);
DEFINE_UINT_OPS(map_frames, 1, DOD_MAP_FRAMES);
DEFINE_UINT_OPS(content_max, 2 * DOD_BLOCK, DOD_BLOCKS * DOD_BLOCK);

/**
 * dod_param_set_list() - write a &struct dod_list
 * @val: the new text
 * @kp: the parameter
 * @apply: puts a text in force, or returns an error; called with param_lock held
 *
 * Return: 0 or an error, which leaves everything as it was.
 */
int dod_param_set_list(const char *val, const struct kernel_param *kp,
		       int (*apply)(const char *text))
{
	struct dod_list *list = kp->arg, new;
	size_t len = strcspn(val, "\n");
	int err;

	/* What is read must be what is in force, and can be written again. */
	if (len >= sizeof(new.text) || (val[len] && val[len + 1])) {
		pr_err("%s is one line of at most %zu characters\n", kp->name,
		       sizeof(new.text) - 1);
		return -EINVAL;
	}
	strscpy(new.text, val, len + 1);
	mutex_lock(&param_lock);
	err = apply(new.text);
	if (!err)
		strscpy(list->text, new.text, sizeof(list->text));
	mutex_unlock(&param_lock);
	return err;
}

/**
 * dod_param_get_list() - read a &struct dod_list
 * @buf: a page for the text
 * @kp: the parameter
 *
 * Return: the length of the text.
 */
int dod_param_get_list(char *buf, const struct kernel_param *kp)
{
	const struct dod_list *list = kp->arg;
	int len;

	mutex_lock(&param_lock);
	len = sysfs_emit(buf, "%s\n", list->text);
	mutex_unlock(&param_lock);
	return len;
}

/**
 * dma_owner_debug_param_set() - write a parameter as through sysfs
 * @name: of the parameter
 * @val: as it would be written
 *
 * For the KUnit suites, which run without a file system.
 *
 * Return: 0, -ENOENT if there is no such parameter, -EPERM if it cannot be
 * changed at run time, or what the parameter says to the value.
 */
int dma_owner_debug_param_set(const char *name, const char *val)
{
	const struct kernel_param *kp;
	int err = -ENOENT;

	kernel_param_lock(THIS_MODULE);
	for (kp = DOD_FIRST_PARAM; kp < DOD_END_OF_PARAMS; kp++) {
		size_t prefix = strlen(DOD_PARAM_PREFIX);

		if (strncmp(kp->name, DOD_PARAM_PREFIX, prefix) || strcmp(kp->name + prefix, name))
			continue;
		err = kp->perm & 0200 ? kp->ops->set(val, kp) : -EPERM;
		break;
	}
	kernel_param_unlock(THIS_MODULE);
	return err;
}
EXPORT_SYMBOL_GPL(dma_owner_debug_param_set);
