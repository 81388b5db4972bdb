// SPDX-License-Identifier: GPL-2.0
/*
 * The guard of kernels in which nothing can trap an access: what is wrong is seen by
 * the calls of the DMA API, by content, and by frees.
 *
 * KASAN with tags is such a kernel, too. It compares the tag in a pointer with that
 * of the memory; with software tags a byte per 16, and all its values are KASAN's own:
 * 0 to 0xfd are given to memory at random, 0xfe is memory that was freed and redzones
 * as well, and a pointer with 0xff, as from page_address(), is never checked
 * (include/linux/kasan-tags.h, kasan_check_range() in mm/kasan/sw_tags.c). A tag of
 * ours could not be told from KASAN's: clearing it would revive what was freed
 * meanwhile. Hardware has four bits for it, all of them used likewise, and after its
 * first find does not look any more (do_tag_recovery() in arch/arm64/mm/fault.c).
 *
 * No locks here.
 */
#include "../dma_owner_debug.h"
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/mapped_pages.h"
#include "../base/memory.h"
#include "../base/pagemarks.h"
#include "../base/params.h"
#include "../base/pool.h"
#include "../base/stack.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../base/worker.h"
#include "guard.h"

#define TAGS (IS_ENABLED(CONFIG_KASAN_SW_TAGS) || IS_ENABLED(CONFIG_KASAN_HW_TAGS))

static int start(void)
{
	return 0;
}

static void stop(void)
{
}

const struct dod_poison_ops dod_poison_ops = {
	.poison = dod_guard_blind_poison,
	.unpoison = dod_guard_blind_unpoison,
	.is_poisoned = dod_guard_blind_is_poisoned,
};

const struct dod_mem_ops dod_mem_ops = {
	.classify = dod_memory_classify,
	.accessible_bytes = dod_guard_blind_accessible_bytes,
	.object_size = dod_guard_blind_object_size,
	.first_bad_byte = dod_guard_blind_first_bad_byte,
};

const struct dod_guard dod_guard = {
	.name = TAGS ? "nothing (KASAN with tags: no tag is free to mark a device's "
		       "memory with, CONFIG_KASAN_GENERIC would do)" : "nothing",
	.means = "accesses are not trapped (no cpu-read, no cpu-write); mappings, "
		 "content, frees and leaks are checked, but " DOD_BLIND_MEANS,
	.unseen = "The device wrote there, or the CPU did: this kernel does not trap CPU accesses.",
	.start = start,
	.stop = stop,
};
