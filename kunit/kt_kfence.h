/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites about KFENCE share. An access opens a page for those that follow; the next owner
 * closes it, or 10 ms.
 */
#ifndef DMA_OWNER_DEBUG_KUNIT_KT_KFENCE_H
#define DMA_OWNER_DEBUG_KUNIT_KT_KFENCE_H

#include "kt.h"

#define KT_KFENCE_SIZE 256

/* Longer than a page stays open. */
#define CLOSED_AGAIN 50

/*
 * On a machine under load the page can be closed again before the access is made again, which
 * then is reported twice: each once for dedup=1, which also forgets what was reported.
 */
#define EXPECT_TRAPPED(test, type, fn, addr, size) do {			\
	KUNIT_EXPECT_STREQ(test, kt_take_report(type, fn, addr, size), ""); \
	dma_owner_debug_param_set("dedup", "1");			\
} while (0)

static inline void kt_expect_titled(struct kunit *test, const char *title)
{
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	KUNIT_EXPECT_TRUE_MSG(test, kt_has(title), "%s", kt_line(0));
	dma_owner_debug_param_set("dedup", "1");
}

static inline long kt_nr_opened(void)
{
	return dma_owner_debug_count("kfence_opened");
}

int kt_kfence_init(struct kunit *test);
u8 *kt_protected_object(struct kunit *test);
void kt_until_closed(const u8 *buf);
void kt_expect_unprotected(struct kunit *test, u8 *buf);

#endif /* DMA_OWNER_DEBUG_KUNIT_KT_KFENCE_H */
