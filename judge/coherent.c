// SPDX-License-Identifier: GPL-2.0
/*
 * What follows a buffer of dma_alloc_coherent() in its last page (coherent-overrun). The kernel
 * allocates whole pages, and clears all of them: what is not zero there when the buffer is freed
 * was written by the device, or by its driver, past the end. Nothing is filled in, so zeros
 * that are written there are not noticed: user space may get to see these pages, and drivers
 * may count on finding zeros.
 *
 * Whoever maps whole pages, as mmap() does, may write there: such buffers are looked at no more.
 *
 * blocks_lock protects the table, and the memory of the buffers in it from being freed. Nothing
 * nests in it but the pool's lock.
 */
#include "internal.h"

#define NR_BLOCKS	1024	/* slots, by the hash of the address */
#define BLOCK_PROBES	16	/* and how many of them a buffer may be in */

static struct block {
	const void *addr;		/* as the CPU sees it; NULL: none */
	unsigned long last_pfn;		/* its last page */
	struct dod_mapping *m;		/* who has allocated what */
} blocks[NR_BLOCKS];			/* blocks_lock */
static unsigned int nr_blocks;		/* blocks_lock, read without */
static DEFINE_RAW_SPINLOCK(blocks_lock);

/* The one at @addr, or a free slot for NULL; NULL if there is none. */
static struct block *find_block(const void *addr, const void *wanted)
{
	unsigned int at = hash_ptr(addr, ilog2(NR_BLOCKS)), i;

	for (i = 0; i < BLOCK_PROBES; i++)
		if (blocks[(at + i) % NR_BLOCKS].addr == wanted)
			return &blocks[(at + i) % NR_BLOCKS];
	return NULL;
}

/* blocks_lock held. Returns the record, for the caller to put. */
static struct dod_mapping *remove_block(struct block *b)
{
	struct dod_mapping *m = b->m;

	b->addr = NULL;
	WRITE_ONCE(nr_blocks, nr_blocks - 1);
	return m;
}

/* The bytes after the buffer. */
static unsigned int slack(const struct dod_mapping *m)
{
	return PAGE_SIZE - offset_in_page(dod_size(m));
}

/* The end of a buffer's pages, as it was found. */
struct overrun {
	struct dod_mapping *m;		/* the record; NULL if all is as it was */
	const void *addr;
	unsigned int nr, first, last;	/* bytes that are not zero, by their distance from the end */
	u8 bytes[DOD_BYTES_SHOWN];	/* from @first on */
};

/* False if some of the page is not there any more. By words: not all memory is cached. */
static bool find_written(const void *addr, const struct dod_mapping *m, struct overrun *o)
{
	const u8 *end = addr + dod_size(m), *page_end = end + slack(m), *at;
	unsigned long word;
	unsigned int i, n;

	o->nr = 0;
	for (at = PTR_ALIGN_DOWN(end, sizeof(word)); at < page_end; at += sizeof(word)) {
		if (!dod_read_word(at, &word))
			return false;
		if (likely(!word))
			continue;
		for (i = at < end ? end - at : 0; i < sizeof(word); i++) {
			u8 byte = ((u8 *)&word)[i];

			n = at + i - end;
			if (byte && !o->nr++) {
				o->first = n;
				memset(o->bytes, 0, sizeof(o->bytes));
			}
			if (byte)
				o->last = n;
			if (o->nr && n - o->first < DOD_BYTES_SHOWN)
				o->bytes[n - o->first] = byte;
		}
	}
	return true;
}

/*
 * Memory that may be of a pool of the device's own is whatever firmware has put there, and how
 * operations of a bus round sizes is not known.
 */
static bool can_watch(struct device *dev)
{
#ifdef CONFIG_DMA_DECLARE_COHERENT
	if (dev->dma_mem)
		return false;
#endif
	return dod_maps_directly(dev) || dod_dma_domain(dev);
}

/* The page that the buffer ends in, 0 if it is none of the kernel's allocator. */
static unsigned long last_pfn_of(const void *last)
{
	unsigned long pfn = is_vmalloc_addr(last) ? vmalloc_to_pfn(last) :
			    dod_is_linear(last) ? PHYS_PFN(dod_linear_to_phys(last)) : 0;

	return pfn && pfn_valid(pfn) && !PageReserved(pfn_to_page(pfn)) ? pfn : 0;
}

/**
 * dod_coherent_alloc() - a coherent buffer was allocated that does not fill its last page
 * @call: the call
 * @addr: the buffer, as the CPU sees it
 * @dma_addr: the buffer, as the device sees it
 * @size: bytes
 */
void dod_coherent_alloc(const struct dod_call *call, const void *addr, u64 dma_addr, u64 size)
{
	struct dod_mapping *m = NULL;
	struct block *b = NULL;
	unsigned long flags, pfn;
	struct overrun was;

	if (!READ_ONCE(dod_armed) || dod_report_is_off(DOD_R_COHERENT_OVERRUN))
		return;
	pfn = can_watch(call->dev) ? last_pfn_of(addr + size - 1) : 0;
	if (pfn)
		m = dod_pool_get(&dod_mapping_pool);
	if (!m || !dod_owner_describe_call(call, dma_addr, size, m) ||
	    !find_written(addr, m, &was) || was.nr)
		goto out;
	m->start = PFN_PHYS(pfn) + offset_in_page(size - 1) - (size - 1);
	m->last = m->start + size - 1;
	dod_lock_irqsave(&blocks_lock, flags);
	/* One at that address was freed unseen: nothing is known of it. */
	while ((b = find_block(addr, addr)))
		dod_pool_put(&dod_mapping_pool, remove_block(b));
	b = find_block(addr, NULL);
	if (b) {
		*b = (struct block){ .addr = addr, .last_pfn = pfn, .m = m };
		WRITE_ONCE(nr_blocks, nr_blocks + 1);
		m = NULL;
	}
	dod_unlock_irqrestore(&blocks_lock, flags);
out:
	if (!b)
		dod_count(DOD_C_UNJUDGED_COHERENT);
	if (m)
		dod_pool_put(&dod_mapping_pool, m);
}

/*
 * The buffer cannot be freed meanwhile. Sets o->m if the record is the caller's to report and put.
 * False if nothing is to be told of the buffer any more.
 */
static bool check_block(const struct block *b, struct overrun *o)
{
	const struct folio *folio = dod_folio(PFN_PHYS(b->last_pfn));

	o->m = NULL;
	/* By a function that is not hooked, user space has it, too. */
	if (folio_mapped((struct folio *)folio) || !find_written(b->addr, b->m, o)) {
		dod_count(DOD_C_UNJUDGED_COHERENT);
		return false;
	}
	if (o->nr) {
		o->addr = b->addr;
		o->m = b->m;
	}
	return true;
}

static noinline void report_overrun(const struct overrun *o, const char *found, unsigned long ip)
{
	struct dod_finding f = { .type = DOD_R_COHERENT_OVERRUN, .addr = (unsigned long)o->addr };

	dod_finding_add(&f, "%u of the %u bytes that follow it in its last page were written. They were zero.\n",
			o->nr, slack(o->m));
	dod_finding_add(&f, "From end+%u on there is: %*ph\n", o->first,
			(int)min(o->last - o->first + 1, DOD_BYTES_SHOWN), o->bytes);
	if (ip)
		dod_finding_add(&f, "Found when it was freed, in %pS\n", (void *)ip);
	else
		dod_finding_add(&f, "Found %s.\n", found);
	if (READ_ONCE(dod_armed))
		dod_report_mapping(&f, o->m);
	dod_pool_put(&dod_mapping_pool, o->m);
}

/**
 * dod_coherent_free() - a coherent buffer is about to be freed
 * @addr: the buffer
 * @ip: return address of the call
 */
void dod_coherent_free(const void *addr, unsigned long ip)
{
	struct block *b, found = {};
	struct overrun o = {};
	unsigned long flags;

	if (!addr || !READ_ONCE(nr_blocks))
		return;
	dod_lock_irqsave(&blocks_lock, flags);
	b = find_block(addr, addr);
	if (b) {
		found = *b;
		remove_block(b);
	}
	dod_unlock_irqrestore(&blocks_lock, flags);
	if (!found.addr)
		return;
	/* Nobody else knows of it now, and it is freed after this. */
	check_block(&found, &o);
	if (o.m)
		report_overrun(&o, NULL, ip);
	else
		dod_pool_put(&dod_mapping_pool, found.m);
}

/* Not where user space, or another device, gets whole pages. */
static void lend(const void *addr, unsigned long pfn, unsigned long nr)
{
	unsigned long flags;
	struct block *b;

	if (!READ_ONCE(nr_blocks))
		return;
	dod_lock_irqsave(&blocks_lock, flags);
	for (b = blocks; b < blocks + NR_BLOCKS; b++)
		if (b->addr && (addr ? b->addr == addr : b->last_pfn - pfn < nr)) {
			dod_count(DOD_C_UNJUDGED_COHERENT);
			dod_pool_put(&dod_mapping_pool, remove_block(b));
		}
	dod_unlock_irqrestore(&blocks_lock, flags);
}

/**
 * dod_coherent_lent() - the pages of a coherent buffer are mapped elsewhere, as by mmap()
 * @addr: the buffer
 */
void dod_coherent_lent(const void *addr)
{
	if (addr)
		lend(addr, 0, 0);
}

/**
 * dod_coherent_lent_pages() - pages are mapped to user space
 * @pfn: the first one
 * @nr: how many
 */
void dod_coherent_lent_pages(unsigned long pfn, unsigned long nr)
{
	lend(NULL, pfn, nr);
}

/* A buffer that does not fill its last page was allocated, and is not looked at. */
void dod_coherent_unseen(void)
{
	if (READ_ONCE(dod_armed) && !dod_report_is_off(DOD_R_COHERENT_OVERRUN))
		dod_count(DOD_C_UNJUDGED_COHERENT);
}

/* All buffers, or those of a device. One at a time: a lock is not held for long. */
static void check_all(const struct device *dev, const char *found)
{
	struct overrun o = {};
	unsigned long flags;
	struct block *b;

	for (b = blocks; b < blocks + NR_BLOCKS && READ_ONCE(nr_blocks); b++) {
		if (!READ_ONCE(dod_armed))
			return;
		o.m = NULL;
		dod_lock_irqsave(&blocks_lock, flags);
		if (b->addr && (!dev || b->m->dev == dev)) {
			if (!check_block(b, &o))
				dod_pool_put(&dod_mapping_pool, remove_block(b));
			else if (o.m)
				remove_block(b);
		}
		dod_unlock_irqrestore(&blocks_lock, flags);
		if (o.m)
			report_overrun(&o, found, 0);
	}
}

void dod_coherent_unbound(const struct device *dev)
{
	check_all(dev, "when the driver was unbound");
}

/* A line of stats: reading it looks at all buffers. */
static long watched(void)
{
	check_all(NULL, "when stats was read");
	return READ_ONCE(nr_blocks);
}

void dod_coherent_start(void)
{
	dod_debugfs_add_gauge("coherent_watched", watched);
}

void dod_coherent_stop(void)
{
	struct block *b;

	for (b = blocks; b < blocks + NR_BLOCKS; b++)
		if (b->addr)
			dod_pool_put(&dod_mapping_pool, remove_block(b));
}
