/* SPDX-License-Identifier: GPL-2.0 */
/* Records of writes that wait for a sync_for_device. */
#ifndef DOD_PENDING_H
#define DOD_PENDING_H

#include "../dma_owner_debug.h"

void dod_pending_put(struct dod_pending *p);
bool dod_pending_any(void);

#endif /* DOD_PENDING_H */
