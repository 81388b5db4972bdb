/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plain C that reads and writes, as drivers do. Two objects have these functions: rmw.c,
 * built as the documentation says, and rmw_once.c, built as a driver whose author does not
 * know of it.
 */
#ifndef DMA_OWNER_DEBUG_KUNIT_RMW_H
#define DMA_OWNER_DEBUG_KUNIT_RMW_H

#include "kt.h"

struct rmw_words {
	u32 count, flags;
	u32 kind : 3, state : 5, rest : 24;
};

#define RMW_DEFINE(_prefix)						\
kt_noinline void _prefix##_add(struct rmw_words *w)			\
{									\
	w->count += 1;							\
	barrier();							\
}									\
									\
kt_noinline void _prefix##_or(struct rmw_words *w)			\
{									\
	w->flags |= 1;							\
	barrier();							\
}									\
									\
kt_noinline void _prefix##_bit_field(struct rmw_words *w)		\
{									\
	w->state = 5;							\
	barrier();							\
}

#define RMW_DECLARE(_prefix)						\
	void _prefix##_add(struct rmw_words *w);			\
	void _prefix##_or(struct rmw_words *w);				\
	void _prefix##_bit_field(struct rmw_words *w)

RMW_DECLARE(test_rmw);
RMW_DECLARE(test_once);

#endif /* DMA_OWNER_DEBUG_KUNIT_RMW_H */
