// SPDX-License-Identifier: GPL-2.0
/*
 * Which dma-bufs user space can reach: it writes to what it has mapped at any time, also
 * to what a device only reads. Only devices and drivers know of the others.
 *
 * A mapping does not tell which dma-buf it is of. Whoever maps an attachment does so in
 * dma_buf_map_attachment(), whose begin is hooked, and in one task.
 *
 * No locks: each entry of a table is one word, and one that was overwritten means that
 * nothing is known.
 */
#include "internal.h"

#include <linux/dma-buf.h>

/*
 * By its number, which counts the dma-bufs there ever were: the last one with such a
 * number that user space has mapped.
 */
#define LENT_BITS	12
static u32 lent[1 << LENT_BITS];

/* What each task maps: half a pointer to it, and half the number of the dma-buf. */
#define TASK_BITS	6
static u64 mapping[1 << TASK_BITS];

static bool any_mapping;

/* All hooks that tell of dma-bufs are there; constant after load. */
static bool all_hooked;

/* Never 0, which stands for none. */
static u32 number_of(const struct dma_buf *buf)
{
	return (u32)file_inode(buf->file)->i_ino ?: 1;
}

static u64 *mapping_of_current(void)
{
	return &mapping[hash_ptr(current, TASK_BITS)];
}

/* Of two with one entry the newer one is kept: see dod_dmabuf_is_lent(). */
static void lend(u32 number)
{
	u32 *entry = &lent[number % ARRAY_SIZE(lent)], old = READ_ONCE(*entry);

	while (!old || (s32)(number - old) > 0)
		if (try_cmpxchg(entry, &old, number))
			break;
}

/* Has its exporter a file of its own, through which user space can map it? */
static bool is_reached_otherwise(const struct dma_buf *buf)
{
	char name[DOD_NAME_CHARS];

	dod_function_name((unsigned long)buf->ops->map_dma_buf, name, sizeof(name));
	return dod_is_lending_exporter(name);
}

void dod_dmabuf_start(bool seen)
{
	all_hooked = seen;
}

void dod_dmabuf_map(const struct dma_buf *buf)
{
	u32 number = number_of(buf);

	if (READ_ONCE(lent[number % ARRAY_SIZE(lent)]) != number &&
	    (mapping_mapped(buf->file->f_mapping) || is_reached_otherwise(buf)))
		lend(number);
	WRITE_ONCE(*mapping_of_current(), (u64)(unsigned long)current << 32 | number);
	if (!READ_ONCE(any_mapping))
		WRITE_ONCE(any_mapping, true);
}

void dod_dmabuf_mmap(const struct dma_buf *buf)
{
	lend(number_of(buf));
}

u32 dod_dmabuf_of_current(void)
{
	u64 word;

	if (likely(!READ_ONCE(any_mapping)))
		return 0;
	word = READ_ONCE(*mapping_of_current());
	return word >> 32 == (u32)(unsigned long)current ? (u32)word : 0;
}

bool dod_dmabuf_is_lent(u32 number)
{
	u32 entry = READ_ONCE(lent[number % ARRAY_SIZE(lent)]);

	return !number || !all_hooked || (entry && (s32)(entry - number) >= 0);
}
