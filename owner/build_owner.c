// SPDX-License-Identifier: GPL-2.0
/*
 * All of owner/ as one unit, as kernel/sched/build_policy.c: every map call runs through most
 * of these files, and calls between them cost less. make DOD_SPLIT=1 compiles each by itself.
 */
#define DOD_BUILD_OWNER

#include "device.c"
#include "free.c"
#include "handover.c"
#include "index.c"
#include "lookup.c"
#include "map.c"
#include "overlap.c"
#include "owner.c"
#include "poison.c"
#include "ranges.c"
#include "record.c"
#include "result.c"
#include "show.c"
#include "sync.c"
#include "unmap.c"
#include "write.c"
