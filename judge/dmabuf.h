/* SPDX-License-Identifier: GPL-2.0 */
/* Which dma-bufs user space can reach. */
#ifndef DOD_DMABUF_H
#define DOD_DMABUF_H

#include <linux/types.h>

struct dma_buf;

void dod_dmabuf_map(const struct dma_buf *buf);
void dod_dmabuf_mmap(const struct dma_buf *buf);
u32 dod_dmabuf_of_current(void);
void dod_dmabuf_start(bool seen);
bool dod_dmabuf_is_lent(u32 number);

#endif /* DOD_DMABUF_H */
