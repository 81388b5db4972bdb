// SPDX-License-Identifier: GPL-2.0
/*
 * The guard of kernels in which nothing can trap an access: faults are found by the calls
 * of the DMA API, by content and by frees. No locks.
 *
 * KASAN with tags is such a kernel, too. It compares the tag in a pointer with that of the
 * memory. Software tags are a byte for 16 bytes, and KASAN uses all values itself: 0 to 0xfd
 * are random tags of allocated memory, 0xfe is freed memory and redzones, and a pointer with
 * 0xff, as from page_address(), is never checked (include/linux/kasan-tags.h,
 * kasan_check_range() in mm/kasan/sw_tags.c). A tag of ours could not be told from KASAN's,
 * and clearing it would make memory accessible that was freed meanwhile. Hardware tags have
 * four bits, all in use as well, and stop checking after the first report
 * (do_tag_recovery() in arch/arm64/mm/fault.c).
 */
#include "guard.h"
#include "kfence.h"

#define TAGS (IS_ENABLED(CONFIG_KASAN_SW_TAGS) || IS_ENABLED(CONFIG_KASAN_HW_TAGS))

/* Objects of KFENCE are all that can be poisoned. */
static void poison(const struct dod_mapping *m, u64 start, u64 last, u8 dir, bool fresh)
{
	if (unlikely(m->memory & DOD_MEM_ODD) && dod_is_kfence(start, last))
		dod_kfence_poison(start, last, dir);
}

static void unpoison(u64 start, u64 last, bool alone)
{
	if (unlikely(!alone) && dod_is_kfence(start, last))
		dod_kfence_unpoison(start, last);
}

const struct dod_poison_ops dod_poison_ops = {
	.poison = poison,
	.unpoison = unpoison,
	.is_poisoned = dod_kfence_is_poisoned,
	.scan_shadow = dod_kfence_scan,
};

const struct dod_guard dod_guard = {
	.name = TAGS ? "nothing (KASAN with tags: no tag is free to mark a device's "
		       "memory with, CONFIG_KASAN_GENERIC would do)" : "nothing",
	.means = "accesses are not trapped (no cpu-read, no cpu-write); mappings, "
		 "content, frees and leaks are checked; " DOD_NO_SHADOW_MEANS,
	.unseen = "The device wrote there, or the CPU did: this kernel does not trap CPU accesses.",
};
