/* SPDX-License-Identifier: GPL-2.0 */
/* What can be read in debugfs. */
#ifndef DOD_DEBUGFS_H
#define DOD_DEBUGFS_H

void dod_debugfs_start(void);
void dod_debugfs_stop(void);

#endif /* DOD_DEBUGFS_H */
