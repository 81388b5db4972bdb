/* SPDX-License-Identifier: GPL-2.0 */
/* Records of writes that a device is to get. */
#ifndef DOD_PENDING_H
#define DOD_PENDING_H

#include "../dma_owner_debug.h"

struct dod_pending *dod_pending_get(const struct dod_write *write);
struct dod_pending *dod_pending_copy(const struct dod_pending *p);
void dod_pending_put(struct dod_pending *p);
bool dod_pending_any(void);
int dod_pending_start(unsigned int reserve, unsigned int max);
void dod_pending_stop(void);

#endif /* DOD_PENDING_H */
