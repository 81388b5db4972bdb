/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The directory dma_owner_debug in debugfs, and the file stats. Other rooms add their
 * files and gauges.
 */
#ifndef DOD_DEBUGFS_H
#define DOD_DEBUGFS_H

#include <linux/fs.h>

/* First, and last: between the two, files may be added. */
void dod_debugfs_start(const char *guard);
void dod_debugfs_stop(void);

void dod_debugfs_add(const char *name, umode_t mode, const struct file_operations *fops);
void dod_debugfs_add_gauge(const char *name, long (*read)(void));

#endif /* DOD_DEBUGFS_H */
