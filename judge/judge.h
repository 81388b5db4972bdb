/* SPDX-License-Identifier: GPL-2.0 */
/* What is a fault. */
#ifndef DOD_JUDGE_H
#define DOD_JUDGE_H

#include <linux/mempool.h>

#include "../dma_owner_debug.h"
#include "../report/report.h"


void dod_checks_start(void);
void dod_checks_single(const struct dod_mapping *m, const void *addr);
bool dod_checks_before(const struct dod_call *call, struct dod_mapping *m);
void dod_checks_after(const struct dod_call *call, const struct dod_mapping *m);
bool dod_checks_own_data(const struct dod_mapping *m);
bool dod_checks_own_lines(const struct dod_call *call, const struct dod_mapping *m);
int dod_checks_set_wires(const char *val);
u64 dod_checks_wires(const struct dod_device *d);


void dod_lifecycle_free(const void *ptr, unsigned long ip);
void dod_lifecycle_pool_free(void *element, const mempool_t *pool, unsigned long ip);
void dod_lifecycle_freed(const struct dod_mapping *m, const struct dod_range *range,
			 const char *found);
void dod_lifecycle_reused(const struct dod_mapping *leak, const struct dod_range *range,
			  const struct dod_mapping *m);
void dod_lifecycle_see(const struct bus_type *bus);
void dod_lifecycle_shutdown(void);
void dod_lookup_start(void);
bool dod_lifecycle_lookup(const char *device, u64 dma_addr, char *text, size_t size);
int dod_lifecycle_start(void);
void dod_lifecycle_stop(void);

void dod_pending_report(const struct dod_pending *p, const struct dod_mapping *m,
			enum dod_lost how, unsigned long at);
void dod_pending_look(void);
void dod_pending_look_start(void);
void dod_pending_look_stop(void);

void dod_access_report(enum dod_report_type type, const struct dod_access *access,
		       const struct dod_mapping *m, const struct dod_range *range);
void dod_access_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range);
bool dod_access_is_watchable(const struct dod_mapping *m, u8 dir);
bool dod_access_note_write(const struct dod_access *access, u8 dir,
			   struct dod_write *write);
int dod_access_start(void);
void dod_access_stop(void);

#endif /* DOD_JUDGE_H */
