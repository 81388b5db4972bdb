// SPDX-License-Identifier: GPL-2.0
/*
 * Is the tool at work, and with which parameters? No locks here.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "mapped_pages.h"
#include "memory.h"
#include "pagemarks.h"
#include "params.h"
#include "pool.h"
#include "stack.h"
#include "state.h"
#include "stats.h"
#include "worker.h"

bool dod_armed;
bool dod_panicking;

DEFINE_PER_CPU(unsigned int, dod_quiet);

struct dod_params dod_params = {
	.dedup = true,
	.report_burst = 20,
	.kunit_fail = true,
	.content = DOD_CONTENT_ON,
	.content_sample = 16,
	.untested_after = 60,
	.pending_after = 60,
	.content_max = DOD_BLOCK * DOD_BLOCKS,
	.watch_writes = 64,
	.watch_cpu = 20,
	.watch_recent = 75,
};
