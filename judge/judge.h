/* SPDX-License-Identifier: GPL-2.0 */
/* What is a fault. */
#ifndef DOD_JUDGE_H
#define DOD_JUDGE_H

#include <linux/mempool.h>

#include "../dma_owner_debug.h"
#include "../report/report.h"


void dod_map_checks_start(void);
void dod_checks_single(const struct dod_mapping *m, const void *addr);
bool dod_checks_before(const struct dod_call *call, struct dod_mapping *m);
void dod_checks_after(const struct dod_call *call, const struct dod_mapping *m);
bool dod_checks_own_data(const struct dod_mapping *m);
bool dod_checks_own_lines(const struct dod_call *call, const struct dod_mapping *m);
int dod_wires_set(const char *val);
u64 dod_checks_wires(const struct dod_device *d);


void dod_free_object(const void *ptr, unsigned long ip);
void dod_free_to_pool(void *element, const mempool_t *pool, unsigned long ip);
void dod_lifecycle_freed(const struct dod_mapping *m, const struct dod_range *range,
			 const char *found);
void dod_lifecycle_reused(const struct dod_mapping *leak, const struct dod_range *range,
			  const struct dod_mapping *m);
void dod_lifecycle_see(const struct bus_type *bus);
void dod_check_shutdown(void);
bool dod_describe_dma_addr(const char *device, u64 dma_addr, char *text, size_t size);
int dod_lifecycle_start(void);
void dod_lifecycle_stop(void);

void dod_pending_report(const struct dod_pending *p, const struct dod_mapping *m,
			enum dod_lost how, unsigned long at);
void dod_scan_writes_now(void);
void dod_pending_look_start(void);
void dod_pending_look_stop(void);

#endif /* DOD_JUDGE_H */
