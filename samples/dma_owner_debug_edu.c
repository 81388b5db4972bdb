// SPDX-License-Identifier: GPL-2.0
/*
 * Driver for QEMU's "edu" PCI device that does real streaming DMA, right and
 * wrong, on request. In /sys/kernel/debug/dma_owner_debug_edu/<pci name>/ are
 *
 *   run	write the name of a step to it
 *   steps	the steps that can be done with this device, one per line, with tabs
 *		between: name, type of the report it must produce or "none",
 *		parameters of dma_owner_debug that must be set meanwhile, as
 *		name=value with a space between, or "-", and what it does
 *	skipped	the other steps: name and reason, with a tab between
 *	leave	write 1 to it: a mapping that the driver never unmaps
 *
 * edu->lock is held while a step runs: the device does one transfer at a time.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/kfence.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../base/compat.h"

#define EDU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8

/* Registers in BAR 0; see docs/specs/edu in QEMU. */
#define EDU_ID			0x00	/* 0xRRrr00ed */
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_START	BIT(0)	/* reads as 1 until the transfer ends */
#define EDU_DMA_CMD_FROM_EDU	BIT(1)

/* The memory in the device. QEMU aborts if a transfer leaves it. */
#define EDU_MEM			0x40000
#define EDU_MEM_SIZE		4096

/* A transfer takes 100 ms; an emulated, instrumented machine can be slow. */
#define EDU_TIMEOUT_MS		10000

/* What one transfer of a step moves, and the word that wrong steps touch. */
#define EDU_LEN			1024
#define EDU_WORD		4

/* So that half of it is in one page, and half in the next. */
#define EDU_HALF		(EDU_LEN / 2)
#define EDU_MIDDLE		(PAGE_SIZE - EDU_HALF)

/* The cache lines of most machines that are not coherent. */
#define EDU_CACHE_LINE		64

#define EDU_MAX_DEVICES		8
#define EDU_DEFAULT_MASK_BITS	28

static unsigned int mask_bits[EDU_MAX_DEVICES] = {
	[0 ... EDU_MAX_DEVICES - 1] = EDU_DEFAULT_MASK_BITS,
};
module_param_array(mask_bits, uint, NULL, 0444);
MODULE_PARM_DESC(mask_bits,
		 "address bits of each edu device in the order of lspci: what its dma_mask= says, which the driver cannot ask (default: 28, as QEMU's)");

static unsigned int kfence_tries;
module_param(kfence_tries, uint, 0644);
MODULE_PARM_DESC(kfence_tries,
		 "allocations at most until a buffer is one of KFENCE's objects, whose accesses dma_owner_debug can trap without KASAN (default: 0, no buffer is)");

struct edu {
	struct device *dev;
	void __iomem *regs;
	/* Its address lines. */
	unsigned int bits;
	/* Held while a step runs. Protects seed. */
	struct mutex lock;
	/* Makes the data of each transfer different from the one before. */
	u32 seed;
};

/*
 * A buffer on its way through a transfer. After an error the helpers do nothing more, so a
 * step reads from top to bottom; edu_finish() returns the error.
 */
struct edu_buf {
	u32 *words;
	/* What edu_finish() frees. */
	void *mem;
	/* Which data the device is to leave in it; 0 for any. */
	u32 seed;
	dma_addr_t dma;
	/* 0 if not mapped. */
	size_t len;
	enum dma_data_direction dir;
	int err;
};

/* Parameters of dma_owner_debug without which a step would not be reported. */
enum edu_param {
	EDU_PARAM_NONE,
	EDU_PARAM_NONCOHERENT,	/* most machines with QEMU's edu are coherent */
	EDU_PARAM_WATCH,	/* the same, and it looks at few writes otherwise */
	EDU_PARAM_CANARY,	/* it leaves memory alone otherwise */
	EDU_PARAM_LATE,		/* a transfer takes as long as it looks at freed memory */
	EDU_PARAM_WIRES,	/* only we know how many the device has */
};

/**
 * struct edu_step - one thing the driver can be asked to do
 * @name: what to write to "run"
 * @expect: type of the one report it must produce, or "none"
 * @run: does it; returns 0, or a negative errno if the transfer failed or did
 *	not leave the right data
 * @what: a sentence that says what is done, and what is wrong about it
 * @why_not: returns why it cannot be done, or cannot be reported, with this device in
 *	this kernel, or NULL; itself NULL if there is no such case
 * @param: what must be set for the report
 */
struct edu_step {
	const char *name;
	const char *expect;
	int (*run)(struct edu *edu);
	const char *what;
	const char *(*why_not)(struct edu *edu);
	enum edu_param param;
};

static struct dentry *edu_debugfs;

/* === The device =========================================================== */

/* Starts the transfer of @len bytes between @addr and byte @pos of the device. */
static void edu_dma_start(struct edu *edu, enum dma_data_direction dir,
			  dma_addr_t addr, size_t pos, size_t len)
{
	u64 cmd = EDU_DMA_CMD_START;

	if (dir == DMA_FROM_DEVICE) {
		cmd |= EDU_DMA_CMD_FROM_EDU;
		writeq(EDU_MEM + pos, edu->regs + EDU_DMA_SRC);
		writeq(addr, edu->regs + EDU_DMA_DST);
	} else {
		writeq(addr, edu->regs + EDU_DMA_SRC);
		writeq(EDU_MEM + pos, edu->regs + EDU_DMA_DST);
	}
	writeq(len, edu->regs + EDU_DMA_COUNT);
	writeq(cmd, edu->regs + EDU_DMA_CMD);
}

static int edu_dma_wait(struct edu *edu)
{
	u32 cmd;

	if (!readl_poll_timeout(edu->regs + EDU_DMA_CMD, cmd, !(cmd & EDU_DMA_CMD_START),
				USEC_PER_MSEC, EDU_TIMEOUT_MS * USEC_PER_MSEC))
		return 0;

	/*
	 * The transfer cannot be cancelled, and the caller is about to free
	 * the buffer: cut the device off from memory, for good.
	 */
	pci_clear_master(to_pci_dev(edu->dev));
	dev_err(edu->dev, "DMA did not end within %d ms; reload the driver\n",
		EDU_TIMEOUT_MS);
	return -ETIMEDOUT;
}

static int edu_dma(struct edu *edu, enum dma_data_direction dir,
		   dma_addr_t addr, size_t pos, size_t len)
{
	edu_dma_start(edu, dir, addr, pos, len);
	return edu_dma_wait(edu);
}

/* === Buffers ============================================================== */

static u32 edu_data(u32 seed, size_t i)
{
	return (seed << 16 | i) * 2654435761U;
}

static void edu_fill(u32 *words, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++)
		words[i] = edu_data(seed, i);
}

/* Where the data of @seed end: at @len, in whole words, if all of it is there. */
static size_t edu_right_bytes(const u32 *words, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++) {
		if (words[i] != edu_data(seed, i))
			break;
	}

	return i * sizeof(*words);
}

static int edu_verify(struct edu *edu, const u32 *words, size_t len, u32 seed)
{
	size_t at = edu_right_bytes(words, len, seed), i = at / sizeof(*words);

	if (i == len / sizeof(*words))
		return 0;

	dev_err(edu->dev, "wrong data at byte %zu: %08x instead of %08x\n",
		at, words[i], edu_data(seed, i));
	return -EIO;
}

static void edu_check(struct edu *edu, struct edu_buf *buf, size_t len)
{
	if (!buf->err)
		buf->err = edu_verify(edu, buf->words, len, buf->seed);
}

/*
 * The most allocations that a buffer of this step has taken to be KFENCE's; UINT_MAX if
 * one is not. Steps of several devices at once would mix theirs: nothing else would break.
 */
static unsigned int edu_tries;

/*
 * Zeroed, and of KFENCE only if that was asked for: it takes one allocation per sample
 * interval, which is about the time of a transfer. Without KASAN, dma_owner_debug traps
 * accesses to its objects only; with KASAN, to all others. It is so little memory that
 * waiting for it is better than an error path in each step.
 */
static void *edu_alloc(size_t size)
{
	bool wanted = kfence_tries && size <= PAGE_SIZE;
	unsigned int tries = 1;
	void *p = kzalloc(size, GFP_KERNEL | __GFP_NOFAIL);

	while (is_kfence_address(p) != wanted && !(wanted && tries >= kfence_tries)) {
		kfree(p);
		cond_resched();
		p = kzalloc(size, GFP_KERNEL | __GFP_NOFAIL);
		tries++;
	}
	if (wanted)
		edu_tries = max(edu_tries, is_kfence_address(p) ? tries : UINT_MAX);

	return p;
}

/* Zeroed, and not of KFENCE: where the step is about what is beside it. */
static void *edu_alloc_plain(size_t size)
{
	void *p = kzalloc(size, GFP_KERNEL | __GFP_NOFAIL);

	while (is_kfence_address(p)) {
		kfree(p);
		cond_resched();
		p = kzalloc(size, GFP_KERNEL | __GFP_NOFAIL);
	}

	return p;
}

static struct edu_buf edu_buffer(size_t size)
{
	void *p = edu_alloc(size);

	return (struct edu_buf){ .words = p, .mem = p };
}

/* A buffer with new data for the device. */
static struct edu_buf edu_message(struct edu *edu, size_t size)
{
	struct edu_buf buf = edu_buffer(size);

	buf.seed = ++edu->seed;
	edu_fill(buf.words, size, buf.seed);
	return buf;
}

static void edu_mapped(struct edu *edu, struct edu_buf *buf, dma_addr_t dma, size_t len,
		       enum dma_data_direction dir)
{
	buf->err = dma_mapping_error(edu->dev, dma);
	if (buf->err) {
		dev_err(edu->dev, "cannot map %zu bytes\n", len);
		return;
	}
	buf->dma = dma;
	buf->len = len;
	buf->dir = dir;
}

/* These are inlined because reports name the function that maps, unmaps, or syncs. */
static __always_inline void edu_map(struct edu *edu, struct edu_buf *buf, size_t len,
				    enum dma_data_direction dir)
{
	if (!buf->err)
		edu_mapped(edu, buf, dma_map_single(edu->dev, buf->words, len, dir), len, dir);
}

static __always_inline void edu_map_page(struct edu *edu, struct edu_buf *buf, struct page *page,
					 size_t len, enum dma_data_direction dir)
{
	size_t offset = offset_in_page(buf->words);

	if (!buf->err)
		edu_mapped(edu, buf, dma_map_page(edu->dev, page, offset, len, dir), len, dir);
}

static __always_inline void edu_for_cpu(struct edu *edu, struct edu_buf *buf)
{
	if (buf->len)
		dma_sync_single_for_cpu(edu->dev, buf->dma, buf->len, buf->dir);
}

static __always_inline void edu_for_device(struct edu *edu, struct edu_buf *buf)
{
	if (buf->len)
		dma_sync_single_for_device(edu->dev, buf->dma, buf->len, buf->dir);
}

/* Unmaps, and compares what the device has written. */
static __always_inline void edu_unmap(struct edu *edu, struct edu_buf *buf)
{
	if (!buf->len)
		return;
	dma_unmap_single(edu->dev, buf->dma, buf->len, buf->dir);
	if (buf->seed && buf->dir == DMA_FROM_DEVICE)
		edu_check(edu, buf, buf->len);
	buf->len = 0;
}

static __always_inline int edu_finish(struct edu *edu, struct edu_buf *buf)
{
	edu_unmap(edu, buf);
	kfree(buf->mem);
	return buf->err;
}

static void edu_start(struct edu *edu, struct edu_buf *buf)
{
	if (!buf->err)
		edu_dma_start(edu, buf->dir, buf->dma, 0, buf->len);
}

static void edu_wait(struct edu *edu, struct edu_buf *buf)
{
	if (!buf->err)
		buf->err = edu_dma_wait(edu);
}

/* A transfer that need not be the one that @buf is mapped for. */
static void edu_transfer_as(struct edu *edu, struct edu_buf *buf, enum dma_data_direction dir,
			    size_t len)
{
	if (!buf->err)
		buf->err = edu_dma(edu, dir, buf->dma, 0, len);
}

static void edu_transfer(struct edu *edu, struct edu_buf *buf)
{
	edu_transfer_as(edu, buf, buf->dir, buf->len);
}

/* Puts new data into the device's memory at @pos, without a fault. */
static int edu_store(struct edu *edu, size_t pos, u32 *seed)
{
	struct edu_buf buf = edu_message(edu, EDU_LEN);

	*seed = buf.seed;
	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	if (!buf.err)
		buf.err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, pos, EDU_LEN);
	return edu_finish(edu, &buf);
}

/* Are the data of @seed at the start of the device's memory? */
static int edu_fetch(struct edu *edu, u32 seed)
{
	struct edu_buf buf = edu_buffer(EDU_LEN);

	buf.seed = seed;
	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	return edu_finish(edu, &buf);
}

/* A buffer for data that the device has. */
static struct edu_buf edu_result(struct edu *edu, size_t size)
{
	struct edu_buf buf = edu_buffer(size);

	buf.err = edu_store(edu, 0, &buf.seed);
	return buf;
}

/*
 * Allocates blocks until there are two that @fit, and keeps these. For a moment that
 * may be most of the memory; this is a machine for tests.
 */
static int edu_alloc_two(struct edu *edu, gfp_t gfp, unsigned int order,
			 bool (*fit)(struct edu *edu, u64 one, u64 two), struct page *two[2])
{
	struct page *page, *other;
	LIST_HEAD(blocks);
	int nr;

	two[0] = NULL;
	for (nr = 0; nr < 512 && !two[0]; nr++) {
		page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | gfp, order);
		if (!page)
			break;
		list_for_each_entry(other, &blocks, lru) {
			bool before = fit(edu, page_to_phys(other), page_to_phys(page));

			if (!before && !fit(edu, page_to_phys(page), page_to_phys(other)))
				continue;
			two[0] = before ? other : page;
			two[1] = before ? page : other;
			list_del(&other->lru);
			break;
		}
		if (!two[0])
			list_add(&page->lru, &blocks);
	}
	list_for_each_entry_safe(page, other, &blocks, lru)
		__free_pages(page, order);

	return two[0] ? 0 : -ENOMEM;
}

/* === Right ================================================================ */

static int edu_step_right(struct edu *edu)
{
	u32 seed;

	return edu_store(edu, 0, &seed) ?: edu_fetch(edu, seed);
}

static int edu_step_right_sync(struct edu *edu)
{
	struct edu_buf tx = edu_message(edu, EDU_LEN), rx = edu_buffer(EDU_LEN);
	u32 *copy = edu_alloc(EDU_LEN);
	int round;

	edu_map(edu, &tx, EDU_LEN, DMA_TO_DEVICE);
	edu_map(edu, &rx, EDU_LEN, DMA_FROM_DEVICE);
	for (round = 0; round < 3 && !tx.err && !rx.err; round++) {
		edu_for_cpu(edu, &tx);
		rx.seed = ++edu->seed;
		edu_fill(tx.words, EDU_LEN, rx.seed);
		edu_for_device(edu, &tx);

		/* The device only reads this buffer, so the CPU may read it, too. */
		edu_start(edu, &tx);
		memcpy(copy, tx.words, EDU_LEN);
		edu_wait(edu, &tx);
		if (!tx.err)
			tx.err = edu_verify(edu, copy, EDU_LEN, rx.seed);

		edu_transfer(edu, &rx);
		edu_for_cpu(edu, &rx);
		edu_check(edu, &rx, EDU_LEN);
		edu_for_device(edu, &rx);
	}

	kfree(copy);
	edu_finish(edu, &rx);
	return edu_finish(edu, &tx) ?: rx.err;
}

/*
 * A driver that asks whether it has to sync, and skips what it need not do: the
 * network stack's page_pool does.
 */
static int edu_step_right_no_sync(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);
	bool need_sync;

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	need_sync = !buf.err && dma_need_sync(edu->dev, buf.dma);

	edu_transfer(edu, &buf);
	if (need_sync)
		edu_for_cpu(edu, &buf);
	edu_check(edu, &buf, EDU_LEN);
	if (need_sync)
		edu_for_device(edu, &buf);

	if (!buf.err)
		buf.err = edu_store(edu, 0, &buf.seed);
	edu_transfer(edu, &buf);
	return edu_finish(edu, &buf);
}

/* A transmit ring: mapped once, written, and synced for the device each time. */
static int edu_step_right_for_device(struct edu *edu)
{
	struct edu_buf buf = edu_message(edu, EDU_LEN);
	u32 *copy = edu_alloc(EDU_LEN);
	int round;

	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	for (round = 0; round < 3 && !buf.err; round++) {
		buf.seed = ++edu->seed;
		edu_fill(copy, EDU_LEN, buf.seed);
		memcpy(buf.words, copy, EDU_LEN);
		edu_for_device(edu, &buf);
		edu_transfer(edu, &buf);
		if (!buf.err)
			buf.err = edu_fetch(edu, buf.seed);
	}

	kfree(copy);
	return edu_finish(edu, &buf);
}

/* === Wrong accesses ======================================================= */

static int edu_step_read_before_sync(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	READ_ONCE(buf.words[EDU_WORD]);
	edu_for_cpu(edu, &buf);
	return edu_finish(edu, &buf);
}

static int edu_step_write_after_map(struct edu *edu)
{
	struct edu_buf buf = edu_message(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	WRITE_ONCE(buf.words[EDU_WORD], 0);
	edu_transfer(edu, &buf);
	return edu_finish(edu, &buf);
}

static int edu_step_forgotten_sync(struct edu *edu)
{
	struct edu_buf buf = edu_message(edu, EDU_LEN), next = edu_message(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	edu_transfer(edu, &buf);
	memcpy(buf.words, next.words, EDU_LEN);
	edu_transfer(edu, &buf);
	edu_finish(edu, &next);
	return edu_finish(edu, &buf);
}

static int edu_step_write_while_receiving(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_start(edu, &buf);
	WRITE_ONCE(buf.words[EDU_WORD], 0);
	edu_wait(edu, &buf);
	return edu_finish(edu, &buf);
}

/*
 * Whether a device is done, its registers say, or its interrupt. It is done so often that
 * a sanitizer that looks now and then sees it.
 */
static int edu_step_poll_memory(struct edu *edu)
{
	int round, err = 0;

	for (round = 0; round < 25 && !err; round++) {
		struct edu_buf buf = edu_result(edu, EDU_LEN);
		unsigned long end = jiffies + msecs_to_jiffies(200);

		edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
		edu_start(edu, &buf);
		/* It never comes if the transfer is bounced. */
		while (!READ_ONCE(buf.words[EDU_LEN / sizeof(u32) - 1]) &&
		       time_before(jiffies, end)) {
			udelay(10);
			cond_resched();
		}
		edu_wait(edu, &buf);
		err = edu_finish(edu, &buf);
	}

	return err;
}

static int edu_step_memcpy_before_unmap(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);
	u32 *copy = edu_alloc(EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	memcpy(copy, buf.words, EDU_LEN);
	kfree(copy);
	return edu_finish(edu, &buf);
}

#define EDU_SG_ENTRIES 2

/* The device knows no lists: one transfer for each of the mapped segments. */
static int edu_receive_sg(struct edu *edu, struct scatterlist *sgl, int nents)
{
	struct scatterlist *sg;
	size_t pos = 0;
	int i, err = 0;

	for_each_sg(sgl, sg, nents, i) {
		err = err ?: edu_dma(edu, DMA_FROM_DEVICE, sg_dma_address(sg), pos, sg_dma_len(sg));
		pos += sg_dma_len(sg);
	}

	return err;
}

static int edu_step_sg_read_before_unmap(struct edu *edu)
{
	struct edu_buf bufs[EDU_SG_ENTRIES];
	struct scatterlist sgl[EDU_SG_ENTRIES];
	int i, nents, err = 0;

	static_assert(EDU_SG_ENTRIES * EDU_LEN <= EDU_MEM_SIZE);

	sg_init_table(sgl, EDU_SG_ENTRIES);
	for (i = 0; i < EDU_SG_ENTRIES; i++) {
		bufs[i] = edu_buffer(EDU_LEN);
		sg_set_buf(&sgl[i], bufs[i].words, EDU_LEN);
		err = err ?: edu_store(edu, i * EDU_LEN, &bufs[i].seed);
	}

	nents = err ? 0 : dma_map_sg(edu->dev, sgl, EDU_SG_ENTRIES, DMA_FROM_DEVICE);
	if (nents) {
		err = edu_receive_sg(edu, sgl, nents);
		READ_ONCE(bufs[1].words[EDU_WORD]);
		dma_unmap_sg(edu->dev, sgl, EDU_SG_ENTRIES, DMA_FROM_DEVICE);
	}

	for (i = 0; i < EDU_SG_ENTRIES; i++) {
		err = err ?: edu_verify(edu, bufs[i].words, EDU_LEN, bufs[i].seed);
		kfree(bufs[i].mem);
	}
	return err;
}

/* === Pages that are linked into a range of DMA addresses ================== */

static const char *edu_no_link(struct edu *edu)
{
	struct dma_iova_state state = {};

	if (!dma_iova_try_alloc(edu->dev, &state, 0, PAGE_SIZE))
		return "dma_iova_link() needs an IOMMU, and Linux 6.16";
	dma_iova_free(edu->dev, &state);
	return NULL;
}

/* Two pages: a transfer crosses from the first to the second. */
static struct edu_buf edu_two_pages(struct edu *edu)
{
	struct edu_buf buf = edu_buffer(2 * PAGE_SIZE);

	buf.words = buf.mem + EDU_MIDDLE;
	return buf;
}

static __always_inline bool edu_link(struct edu *edu, struct edu_buf *buf,
				     struct dma_iova_state *state, enum dma_data_direction dir)
{
	phys_addr_t phys = virt_to_phys(buf->mem);
	size_t done = 0;

	if (buf->err)
		return false;
	if (!dma_iova_try_alloc(edu->dev, state, phys, 2 * PAGE_SIZE)) {
		buf->err = -EOPNOTSUPP;
		return false;
	}
	while (done < 2 * PAGE_SIZE && !buf->err) {
		buf->err = dma_iova_link(edu->dev, state, phys + done, done, PAGE_SIZE, dir, 0);
		if (!buf->err)
			done += PAGE_SIZE;
	}
	if (!buf->err)
		buf->err = dma_iova_sync(edu->dev, state, 0, done);
	if (buf->err)
		dma_iova_destroy(edu->dev, state, done, dir, 0);
	buf->dma = state->addr + EDU_MIDDLE;
	return !buf->err;
}

/* Out with dma_iova_unlink(), and in with dma_iova_destroy(). */
static int edu_step_right_linked(struct edu *edu)
{
	struct edu_buf buf = edu_two_pages(edu);
	struct dma_iova_state state = {};
	size_t at;

	buf.seed = ++edu->seed;
	edu_fill(buf.words, EDU_LEN, buf.seed);
	if (edu_link(edu, &buf, &state, DMA_TO_DEVICE)) {
		edu_transfer_as(edu, &buf, DMA_TO_DEVICE, EDU_LEN);
		edu_check(edu, &buf, EDU_LEN);
		for (at = 0; at < 2 * PAGE_SIZE; at += PAGE_SIZE) {
			dma_iova_unlink(edu->dev, &state, at, PAGE_SIZE, DMA_TO_DEVICE, 0);
			memset(buf.mem + at, 0, PAGE_SIZE);
		}
		dma_iova_free(edu->dev, &state);
	}
	if (edu_link(edu, &buf, &state, DMA_FROM_DEVICE)) {
		edu_transfer_as(edu, &buf, DMA_FROM_DEVICE, EDU_LEN);
		dma_iova_destroy(edu->dev, &state, 2 * PAGE_SIZE, DMA_FROM_DEVICE, 0);
		edu_check(edu, &buf, EDU_LEN);
	}
	return edu_finish(edu, &buf);
}

/* The driver unlinks what it thinks is all. */
static int edu_step_read_linked(struct edu *edu)
{
	struct edu_buf buf = edu_two_pages(edu);
	struct dma_iova_state state = {};
	u32 *copy = edu_alloc(EDU_LEN);

	buf.err = edu_store(edu, 0, &buf.seed);
	if (edu_link(edu, &buf, &state, DMA_FROM_DEVICE)) {
		edu_transfer_as(edu, &buf, DMA_FROM_DEVICE, EDU_LEN);
		dma_iova_unlink(edu->dev, &state, 0, PAGE_SIZE, DMA_FROM_DEVICE, 0);
		memcpy(copy, buf.words, EDU_LEN);
		dma_iova_unlink(edu->dev, &state, PAGE_SIZE, PAGE_SIZE, DMA_FROM_DEVICE, 0);
		dma_iova_free(edu->dev, &state);
		edu_check(edu, &buf, EDU_LEN);
	}
	kfree(copy);
	return edu_finish(edu, &buf);
}

/* === Cache lines ========================================================== */

/*
 * What a driver may keep of a channel: the device writes to @rx only. On machines that
 * are not coherent some kernels have the device write smaller buffers elsewhere, and
 * copy them (CONFIG_DMA_BOUNCE_UNALIGNED_KMALLOC).
 */
struct edu_channel {
	u64 packets;
	u32 rx[EDU_LEN / 4 / sizeof(u32)];
	u64 errors;
};

/* The first @len bytes of what the device has received, while nobody counts. */
static __always_inline int edu_receive_packet(struct edu *edu, size_t len)
{
	struct edu_channel *ch = edu_alloc_plain(sizeof(*ch));
	struct edu_buf buf = { .words = ch->rx, .mem = ch };

	buf.err = edu_store(edu, 0, &buf.seed);
	edu_map(edu, &buf, len, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	return edu_finish(edu, &buf);
}

static int edu_step_right_bounced(struct edu *edu)
{
	return edu_receive_packet(edu, 32);
}

static int edu_step_cacheline_sharing(struct edu *edu)
{
	return edu_receive_packet(edu, sizeof_field(struct edu_channel, rx));
}

/* In a page nobody can tell who uses the rest of a line, before it is used. */
static int edu_step_shared_line_write(struct edu *edu)
{
	unsigned long page = get_zeroed_page(GFP_KERNEL | __GFP_NOFAIL);
	struct edu_channel *ch = (void *)page + PAGE_SIZE / 2;
	struct edu_buf buf = { .words = ch->rx };

	buf.err = edu_store(edu, 0, &buf.seed);
	edu_map(edu, &buf, sizeof(ch->rx), DMA_FROM_DEVICE);
	edu_start(edu, &buf);
	WRITE_ONCE(ch->packets, 1);
	edu_wait(edu, &buf);
	edu_unmap(edu, &buf);
	if (!buf.err && ch->packets != 1)
		buf.err = -EIO;
	free_page(page);
	return buf.err;
}

/* In a slab object, which has an end, also where no write traps. */
static int edu_step_write_after_received(struct edu *edu)
{
	u32 *words = edu_alloc_plain(EDU_LEN), *last = words + EDU_LEN / sizeof(*words) - 1;
	struct edu_buf buf = { .words = words, .mem = words };

	buf.err = edu_store(edu, 0, &buf.seed);
	edu_map(edu, &buf, EDU_LEN - 4 * sizeof(*words), DMA_FROM_DEVICE);
	edu_start(edu, &buf);
	WRITE_ONCE(*last, 1);
	edu_wait(edu, &buf);
	edu_unmap(edu, &buf);
	if (!buf.err && *last != 1)
		buf.err = -EIO;
	return edu_finish(edu, &buf);
}

/*
 * A loop-back test that receives into the second half of what it sends. Exactly the
 * same bytes both ways would lose nothing: engines that work in place do that.
 */
static int edu_step_overlapping_mapping(struct edu *edu)
{
	struct edu_buf tx = edu_message(edu, EDU_LEN);
	struct edu_buf rx = { .words = tx.words + EDU_HALF / sizeof(u32) };

	edu_map(edu, &tx, EDU_LEN, DMA_TO_DEVICE);
	rx.err = tx.err;
	edu_map(edu, &rx, EDU_HALF, DMA_FROM_DEVICE);
	edu_transfer(edu, &tx);
	edu_transfer(edu, &rx);
	edu_unmap(edu, &rx);
	edu_unmap(edu, &tx);
	rx.err = rx.err ?: edu_verify(edu, tx.words, EDU_HALF, tx.seed);
	rx.err = rx.err ?: edu_verify(edu, rx.words, EDU_HALF, tx.seed);
	return edu_finish(edu, &tx) ?: rx.err;
}

/* === What memory is mapped ================================================ */

/* A message that is not a multiple of what the device likes to get. */
#define EDU_SHORT_LEN (EDU_LEN - 24)

static int edu_step_out_of_bounds_map(struct edu *edu)
{
	struct edu_buf buf = edu_message(edu, EDU_SHORT_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	edu_transfer_as(edu, &buf, DMA_TO_DEVICE, EDU_SHORT_LEN);
	return edu_finish(edu, &buf);
}

/* Past the end of the slab object, which is known without KASAN, too. */
static int edu_step_map_past_object(struct edu *edu)
{
	void *p = edu_alloc_plain(EDU_LEN);
	struct edu_buf buf = { .words = p, .mem = p, .seed = ++edu->seed };

	edu_fill(buf.words, EDU_LEN, buf.seed);
	edu_map(edu, &buf, EDU_LEN + EDU_LEN / 4, DMA_TO_DEVICE);
	edu_transfer_as(edu, &buf, DMA_TO_DEVICE, EDU_LEN);
	return edu_finish(edu, &buf);
}

/*
 * The third of four pages: what is before it cannot be the first page of an allocation that it
 * is a part of. Nobody else can have it in between, and the device is not told.
 */
static int edu_step_map_freed_page(struct edu *edu)
{
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOFAIL, 2);
	struct edu_buf buf = {};
	unsigned long flags;

	split_page(pages, 2);
	local_irq_save(flags);
	__free_page(pages + 2);
	edu_map_page(edu, &buf, pages + 2, EDU_LEN, DMA_TO_DEVICE);
	local_irq_restore(flags);
	edu_unmap(edu, &buf);
	__free_page(pages);
	__free_page(pages + 1);
	__free_page(pages + 3);
	return buf.err;
}

/* The device is not told: others may have that memory by now. */
static int edu_step_use_after_free_map(struct edu *edu)
{
	struct edu_buf buf = edu_buffer(EDU_LEN);

	kfree(buf.mem);
	buf.mem = NULL;
	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	return edu_finish(edu, &buf);
}

/* A careful author, who knows that virt_to_page() does not do for all stacks. */
static int edu_step_stack_buffer(struct edu *edu)
{
	/* So that it does not cross a page. */
	u32 command[8] __aligned(sizeof(u32) * 8);
	struct edu_buf buf = { .words = command };

	edu_fill(command, sizeof(command), ++edu->seed);
	edu_map_page(edu, &buf, is_vmalloc_addr(command) ? vmalloc_to_page(command) :
		     virt_to_page(command), sizeof(command), DMA_TO_DEVICE);
	edu_transfer(edu, &buf);
	return edu_finish(edu, &buf);
}

/*
 * virt_to_page() of what is not in the linear map. With a virtual memory map it
 * is a wrong address; with another memory model it can crash before anybody maps
 * anything, and with CONFIG_DEBUG_VIRTUAL it is a BUG().
 */
static const char *edu_no_wrong_page(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) && !IS_ENABLED(CONFIG_DEBUG_VIRTUAL))
		return NULL;
	return "virt_to_page() of such an address crashes this kernel";
}

/* The device is not told: the address has nothing to do with the buffer. */
static int edu_step_vmalloc_buffer(struct edu *edu)
{
	struct edu_buf buf = { .words = vmalloc(EDU_LEN) };

	if (!buf.words)
		return -ENOMEM;

	/* A smaller mask would make the wrong address an error of the map. */
	buf.err = dma_set_mask(edu->dev, DMA_BIT_MASK(64));
	edu_map_page(edu, &buf, virt_to_page(buf.words), EDU_LEN, DMA_TO_DEVICE);
	edu_unmap(edu, &buf);
	dma_set_mask(edu->dev, DMA_BIT_MASK(edu->bits));
	vfree(buf.words);
	return buf.err;
}

static const char edu_greeting[] = "good morning";

/* On x86 the wrong page is one below 2 GiB: if there is one, it has an address. */
static const char *edu_no_image(struct edu *edu)
{
	u64 phys;

	if (IS_ENABLED(CONFIG_DEBUG_VIRTUAL))
		return edu_no_wrong_page(edu);
	phys = __pa((unsigned long)edu_greeting);
	if (phys >= DMA_BIT_MASK(edu->bits))
		return "what the kernel takes for its address is out of the device's reach";
	if (!pfn_valid(PHYS_PFN(phys)))
		return edu_no_wrong_page(edu);
	return IS_ENABLED(CONFIG_DMA_API_DEBUG) ? NULL :
	       "only dma-debug is told the address; what the kernel makes of it is other memory";
}

/* The device is not told: the address has nothing to do with the greeting. */
static int edu_step_image_buffer(struct edu *edu)
{
	struct edu_buf buf = { .words = (u32 *)edu_greeting };

	edu_map(edu, &buf, sizeof(edu_greeting), DMA_TO_DEVICE);
	return edu_finish(edu, &buf);
}

#define EDU_SHAMBLES_ORDER 1

static bool edu_follow(struct edu *edu, u64 one, u64 two)
{
	return one + (PAGE_SIZE << EDU_SHAMBLES_ORDER) == two;
}

/*
 * Half of the message is in the last page of one allocation, half of it in a page
 * elsewhere, as in memory of vmalloc(). After the first page is an allocation that has
 * nothing to do with it; here it is ours as well.
 */
static int edu_step_not_contiguous(struct edu *edu)
{
	struct edu_buf message = { .seed = ++edu->seed }, got = { };
	struct page *two[2], *pages[2];
	void *area;

	message.err = edu_alloc_two(edu, __GFP_COMP | __GFP_ZERO, EDU_SHAMBLES_ORDER, edu_follow,
				    two);
	if (message.err)
		return message.err;
	pages[0] = two[0] + (1 << EDU_SHAMBLES_ORDER) - 1;
	pages[1] = two[0];
	area = vmap(pages, ARRAY_SIZE(pages), VM_MAP, PAGE_KERNEL);
	if (!area) {
		got.err = -ENOMEM;
		goto free;
	}
	message.words = area + EDU_MIDDLE;
	edu_fill(message.words, EDU_LEN, message.seed);

	edu_map_page(edu, &message, vmalloc_to_page(message.words), EDU_LEN, DMA_TO_DEVICE);
	edu_transfer(edu, &message);
	edu_unmap(edu, &message);

	/* What did the device get? */
	got.words = page_address(two[1]);
	got.err = message.err;
	edu_map(edu, &got, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &got);
	edu_unmap(edu, &got);
	if (!got.err) {
		size_t right = edu_right_bytes(got.words, EDU_LEN, message.seed);

		dev_info(edu->dev,
			 "of the message of %d bytes the device got %zu, and then those of another allocation\n",
			 EDU_LEN, right);
		if (right != EDU_HALF)
			got.err = -EIO;
	}

	vunmap(area);
free:
	__free_pages(two[0], EDU_SHAMBLES_ORDER);
	__free_pages(two[1], EDU_SHAMBLES_ORDER);
	return got.err;
}

/* === What the device does ================================================= */

/* Big blocks: there are not so many of them to look through. */
#define EDU_FAR_ORDER 9

static bool edu_truncates(struct edu *edu, u64 one, u64 two)
{
	return one != two && (one & DMA_BIT_MASK(edu->bits)) == two;
}

/*
 * The device drops the bits of an address for which it has no wires, and writes
 * to some other memory. Here that is ours as well.
 */
static int edu_step_mask_exceeded(struct edu *edu)
{
	struct edu_buf buf = { }, victim = { .seed = ++edu->seed };
	struct page *two[2];

	buf.err = edu_alloc_two(edu, 0, EDU_FAR_ORDER, edu_truncates, two);
	if (buf.err)
		return buf.err;
	buf.words = page_address(two[0]);
	victim.words = page_address(two[1]);

	/* Other memory might be out of reach. */
	edu_fill(victim.words, EDU_LEN, victim.seed);
	edu_map(edu, &victim, EDU_LEN, DMA_TO_DEVICE);
	edu_transfer(edu, &victim);
	edu_unmap(edu, &victim);
	memset(victim.words, 0, EDU_LEN);
	memset(buf.words, 0, EDU_LEN);

	buf.err = victim.err ?: dma_set_mask(edu->dev, DMA_BIT_MASK(64));
	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	edu_unmap(edu, &buf);
	if (!buf.err && (memchr_inv(buf.words, 0, EDU_LEN) ||
			 edu_right_bytes(victim.words, EDU_LEN, victim.seed) != EDU_LEN)) {
		dev_err(edu->dev, "the data did not go to 0x%llx\n", (u64)page_to_phys(two[1]));
		buf.err = -EIO;
	} else if (!buf.err) {
		dev_info(edu->dev, "the data went to 0x%llx instead of 0x%llx, over another buffer\n",
			 (u64)page_to_phys(two[1]), (u64)buf.dma);
	}

	dma_set_mask(edu->dev, DMA_BIT_MASK(edu->bits));
	__free_pages(two[0], EDU_FAR_ORDER);
	__free_pages(two[1], EDU_FAR_ORDER);
	return buf.err;
}

/* The driver has mixed up its buffers: the device writes its result to a message. */
static int edu_step_to_device_changed(struct edu *edu)
{
	struct edu_buf buf;
	u32 seed;
	int err;

	err = edu_store(edu, 0, &seed);
	if (err)
		return err;
	buf = edu_message(edu, EDU_LEN);
	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	edu_transfer_as(edu, &buf, DMA_FROM_DEVICE, EDU_LEN / 4);
	edu_unmap(edu, &buf);

	/* Not if an IOMMU or a bounce buffer is in between. */
	dev_info(edu->dev, "of the message of %d bytes the device has overwritten %zu\n",
		 EDU_LEN, edu_right_bytes(buf.words, EDU_LEN / 4, seed));
	return edu_finish(edu, &buf);
}

/* On kernels before 6.6 the tool knows only the rest of eight bytes to be padding. */
#define EDU_ODD_LEN (EDU_LEN - 23)

/* The device is told the size of the slab's slot, as ksize() would say it. */
static int edu_step_device_overrun(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_ODD_LEN);

	edu_map(edu, &buf, EDU_ODD_LEN, DMA_FROM_DEVICE);
	edu_transfer_as(edu, &buf, DMA_FROM_DEVICE, EDU_LEN);
	return edu_finish(edu, &buf);
}

static int edu_step_missing_sync_for_device(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	edu_for_cpu(edu, &buf);
	edu_check(edu, &buf, EDU_LEN);
	/* The mark: it has been seen. */
	WRITE_ONCE(buf.words[EDU_WORD], 0);
	buf.seed = 0;
	return edu_finish(edu, &buf);
}

/* The bit that says which way is missing: the device reads what it is to write. */
static int edu_step_device_wrote_nothing(struct edu *edu)
{
	void *p = edu_alloc_plain(EDU_LEN);
	struct edu_buf buf = { .words = p, .mem = p };

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer_as(edu, &buf, DMA_TO_DEVICE, EDU_LEN);
	return edu_finish(edu, &buf);
}

static int edu_step_free_while_mapped(struct edu *edu)
{
	struct edu_buf buf = edu_message(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_TO_DEVICE);
	edu_transfer(edu, &buf);
	kfree(buf.mem);
	buf.mem = NULL;
	return edu_finish(edu, &buf);
}

/* The buffer is used once more after its end, as where an interrupt comes late. */
static int edu_step_never_mapped(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	edu_transfer(edu, &buf);
	if (!buf.err) {
		dma_unmap_single(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
		dma_sync_single_for_cpu(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
		buf.len = 0;
	}
	return edu_finish(edu, &buf);
}

/* Longer than a transfer, and than the tool needs to see what has changed. */
#define EDU_LATE_MS	300

/* Where a late write does no harm: the allocators have their own data before it. */
#define EDU_LATE_AT	(EDU_LEN / 2 + 64)

/* A timeout: the driver gives up, and does not stop the device, which writes a moment later. */
static int edu_step_late_device_write(struct edu *edu)
{
	struct edu_buf buf = edu_result(edu, EDU_LEN);
	int err;

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	if (buf.err)
		return edu_finish(edu, &buf);
	edu_dma_start(edu, DMA_FROM_DEVICE, buf.dma + EDU_LATE_AT, EDU_LATE_AT,
		      EDU_LEN - EDU_LATE_AT);
	buf.seed = 0;
	err = edu_finish(edu, &buf);
	msleep(EDU_LATE_MS);
	return edu_dma_wait(edu) ?: err;
}

/* Allocated and written as in edu_step_device_overrun(), where nobody maps anything. */
static int edu_step_coherent_overrun(struct edu *edu)
{
	dma_addr_t dma;
	void *p = dma_alloc_coherent(edu->dev, EDU_ODD_LEN, &dma, GFP_KERNEL);
	u32 seed;
	int err;

	if (!p)
		return -ENOMEM;
	err = edu_store(edu, 0, &seed) ?: edu_dma(edu, DMA_FROM_DEVICE, dma, 0, EDU_LEN);
	dma_free_coherent(edu->dev, EDU_ODD_LEN, p, dma);
	return err;
}

/* === Steps ================================================================ */

/* What is free is known, and stays so for a while. */
static const char *edu_no_quarantine(struct edu *edu)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(edu->dev);

	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		return "without KASAN, a freed object is as any other in its slab";
	return !domain || domain->type == IOMMU_DOMAIN_IDENTITY ? NULL :
	       "behind an IOMMU the device does not reach what is unmapped";
}

/*
 * What is not seen, and why. KASAN traps accesses to all memory, and its shadow says which
 * memory is whose; the rest is what there is without it.
 */
static const char *edu_no_kasan(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return NULL;
	return "accesses to pages trap with KASAN only; to what is kmalloc()'s, with KFENCE, too";
}

/* A single access to what is kmalloc()'s is noticed. */
static const char *edu_no_trap(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC) || kfence_tries)
		return NULL;
	return "accesses trap with KASAN, or with objects of KFENCE";
}

/* The size that was asked for is known. */
static const char *edu_no_asked_size(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC) || kfence_tries)
		return NULL;
	return "without KASAN or KFENCE, what was asked for ends where the slab's object ends";
}

/* And what is past it is looked at. */
static const char *edu_no_size(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return NULL;
	return "without KASAN, what was asked for ends where the slab's object ends";
}

/* What the CPU owns is watched. */
static const char *edu_no_watch(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return NULL;
	return "without KASAN, writes to what the CPU owns do not trap";
}

/* What is freed is known. */
static const char *edu_no_free(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC) || kfence_tries)
		return NULL;
	return "without KASAN or KFENCE, a freed object is as any other in its slab";
}

/* A free page is told from one in use. */
static const char *edu_no_freed_page(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC) || !DOD_FROZEN_PAGES)
		return NULL;
	return "without KASAN, a free page is as some that are in use, since Linux 6.14";
}

static const char *edu_no_trapped_link(struct edu *edu)
{
	return edu_no_link(edu) ?: edu_no_kasan(edu);
}

/* One of many accesses is, by chance. */
static const char *edu_no_races(struct edu *edu)
{
	if (IS_ENABLED(CONFIG_KCSAN))
		return NULL;
	return "for KCSAN, which finds one of many accesses";
}

static const char *edu_not_bounced(struct edu *edu)
{
	if (dev_is_dma_coherent(edu->dev))
		return "for devices that are not cache-coherent";
	return IS_ENABLED(CONFIG_DMA_BOUNCE_UNALIGNED_KMALLOC) ? NULL :
	       "this kernel does not bounce small buffers";
}

/* Is there memory that the device's wires do not reach, and that it is told to use? */
static const char *edu_all_in_reach(struct edu *edu)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(edu->dev);

	if (dma_get_required_mask(edu->dev) <= DMA_BIT_MASK(edu->bits))
		return "the device reaches all of the memory";
	return !domain || domain->type == IOMMU_DOMAIN_IDENTITY ? NULL :
	       "the IOMMU gives the device addresses that it reaches";
}

static const struct edu_step edu_steps[] = {
	{ "right", "none", edu_step_right,
	  "Right: map, let the device read the data, unmap; map another buffer, let it write the data there, unmap, compare.",
	  NULL },
	{ "right-sync", "none", edu_step_right_sync,
	  "Right: use two long-lived mappings three times, with the syncs they need; read the DMA_TO_DEVICE one while the device owns it.",
	  NULL },
	{ "right-no-sync", "none", edu_step_right_no_sync,
	  "Right: ask dma_need_sync(), and leave out the syncs of a long-lived mapping if it says no.",
	  NULL },
	{ "right-for-device", "none", edu_step_right_for_device,
	  "Right: write three messages into one long-lived mapping, each with dma_sync_single_for_device(), and none with dma_sync_single_for_cpu().",
	  NULL },
	{ "right-bounced", "none", edu_step_right_bounced,
	  "Right on this kernel: let the device write 32 bytes into the middle of a struct: so few are bounced.",
	  edu_not_bounced },
	{ "read-before-sync", "cpu-read", edu_step_read_before_sync,
	  "Wrong: the device wrote its result; the driver reads it before dma_sync_single_for_cpu().",
	  edu_no_trap },
	{ "write-after-map", "cpu-write", edu_step_write_after_map,
	  "Wrong: the driver maps a message for the device and then changes it.",
	  edu_no_trap },
	{ "forgotten-sync", "cpu-write", edu_step_forgotten_sync,
	  "Wrong: the driver copies its second message into a long-lived mapping and starts the device without dma_sync_single_for_device().",
	  edu_no_trap },
	{ "write-while-receiving", "cpu-write", edu_step_write_while_receiving,
	  "Wrong: the driver writes into a buffer that the device is writing to.",
	  edu_no_trap },
	{ "poll-memory", "cpu-read", edu_step_poll_memory,
	  "Wrong: the driver reads each of 25 buffers again and again, until what the device writes last is there.",
	  edu_no_races },
	{ "memcpy-before-unmap", "cpu-read", edu_step_memcpy_before_unmap,
	  "Wrong: the driver copies the device's result with memcpy() before dma_unmap_single().",
	  edu_no_trap },
	{ "sg-read-before-unmap", "cpu-read", edu_step_sg_read_before_unmap,
	  "Wrong: the driver reads the second entry of a scatterlist before dma_unmap_sg().",
	  edu_no_trap },
	{ "right-linked", "none", edu_step_right_linked,
	  "Right: link two pages to one range of DMA addresses, let the device read across both, unlink; once more the other way, compare.",
	  edu_no_link },
	{ "read-linked", "cpu-read", edu_step_read_linked,
	  "Wrong: the driver reads the result from two pages, and has called dma_iova_unlink() for only the first.",
	  edu_no_trapped_link },
	{ "cacheline-sharing", "cacheline-sharing", edu_step_cacheline_sharing,
	  "Wrong: the driver lets the device write into the middle of a struct, between counters.",
	  NULL, EDU_PARAM_NONCOHERENT },
	{ "shared-line-write", "shared-line-write", edu_step_shared_line_write,
	  "Wrong: the driver counts a packet beside the buffer that the device is writing to.",
	  edu_no_kasan, EDU_PARAM_NONCOHERENT },
	{ "write-after-received", "shared-line-write", edu_step_write_after_received,
	  "Wrong: the driver keeps a mark after the buffer that the device is writing to, in its last cache line.",
	  NULL, EDU_PARAM_NONCOHERENT },
	{ "overlapping-mapping", "overlapping-mapping", edu_step_overlapping_mapping,
	  "Wrong: the driver receives into the second half of a message while the message is still mapped for sending.",
	  NULL, EDU_PARAM_NONCOHERENT },
	{ "out-of-bounds-map", "out-of-bounds-map", edu_step_out_of_bounds_map,
	  "Wrong: the driver rounds the length of its message up, and maps more than it has allocated.",
	  edu_no_asked_size },
	{ "map-past-object", "out-of-bounds-map", edu_step_map_past_object,
	  "Wrong: the driver maps a quarter more than it has allocated.",
	  NULL },
	{ "map-freed-page", "use-after-free-map", edu_step_map_freed_page,
	  "Wrong: the driver maps a page that it has freed.",
	  edu_no_freed_page },
	{ "use-after-free-map", "use-after-free-map", edu_step_use_after_free_map,
	  "Wrong: the driver maps a message that it has freed.",
	  edu_no_free },
	{ "stack-buffer", "stack-buffer", edu_step_stack_buffer,
	  "Wrong: the driver sends a command from a local variable.",
	  NULL },
	{ "image-buffer", "image-buffer", edu_step_image_buffer,
	  "Wrong: the driver sends a static const message.",
	  edu_no_image },
	{ "vmalloc-buffer", "vmalloc-buffer", edu_step_vmalloc_buffer,
	  "Wrong: the driver maps what it was passed with virt_to_page(), and was passed vmalloc() memory.",
	  edu_no_wrong_page },
	{ "not-contiguous", "not-contiguous", edu_step_not_contiguous,
	  "Wrong: the driver was passed memory as of vmalloc(), takes its first page with vmalloc_to_page(), and maps more than that page.",
	  NULL },
	{ "never-mapped", "never-mapped", edu_step_never_mapped,
	  "Wrong: the driver unmaps the result, and then syncs it for the CPU.",
	  NULL },
	{ "coherent-overrun", "coherent-overrun", edu_step_coherent_overrun,
	  "Wrong: the driver allocates 1001 bytes of coherent memory, and tells the device to write 1024.",
	  NULL },
	{ "late-device-write", "late-device-write", edu_step_late_device_write,
	  "Wrong: the driver does not wait for the device, unmaps the result and frees it; then the device writes it.",
	  edu_no_quarantine, EDU_PARAM_LATE },
	{ "mask-exceeded", "mask-exceeded", edu_step_mask_exceeded,
	  "Wrong: the driver claims 64 address bits for a device that has fewer, in a machine with more memory than it was tested with.",
	  edu_all_in_reach, EDU_PARAM_WIRES },
	{ "to-device-changed", "to-device-changed", edu_step_to_device_changed,
	  "Wrong: the driver tells the device to write its result to where a message is, which is mapped DMA_TO_DEVICE.",
	  NULL },
	{ "device-overrun", "device-overrun", edu_step_device_overrun,
	  "Wrong: the driver allocates and maps 1001 bytes, and tells the device to write 1024.",
	  edu_no_size },
	{ "missing-sync-for-device", "missing-sync-for-device", edu_step_missing_sync_for_device,
	  "Wrong: the driver syncs the result for the CPU, writes a mark into it, and unmaps it without dma_sync_single_for_device().",
	  edu_no_watch, EDU_PARAM_WATCH },
	{ "device-wrote-nothing", "device-wrote-nothing", edu_step_device_wrote_nothing,
	  "Wrong: the driver tells the device the wrong direction: it reads the buffer instead of writing to it.",
	  NULL, EDU_PARAM_CANARY },
	{ "free-while-mapped", "free-while-mapped", edu_step_free_while_mapped,
	  "Wrong: the driver frees a message before it unmaps it.",
	  NULL },
};

static const char *edu_why_not(struct edu *edu, const struct edu_step *step)
{
	return step->why_not ? step->why_not(edu) : NULL;
}

/* === DebugFS interface ==================================================== */

static ssize_t run_write(struct file *file, const char __user *ubuf,
			 size_t count, loff_t *ppos)
{
	struct edu *edu = file->private_data;
	const struct edu_step *step = edu_steps;
	char line[64], *name;
	int err;

	if (count >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, ubuf, count))
		return -EFAULT;
	line[count] = '\0';
	name = strim(line);

	while (strcmp(step->name, name)) {
		if (++step == edu_steps + ARRAY_SIZE(edu_steps)) {
			dev_err(edu->dev, "unknown step '%s': see the file steps\n", name);
			return -EINVAL;
		}
	}
	if (edu_why_not(edu, step)) {
		dev_err(edu->dev, "step '%s' cannot be done: %s\n", name, edu_why_not(edu, step));
		return -EOPNOTSUPP;
	}

	mutex_lock(&edu->lock);
	edu_tries = 0;
	err = step->run(edu);
	if (edu_tries == UINT_MAX) {
		dev_err(edu->dev, "none of %u allocations was of KFENCE\n", kfence_tries);
		err = err ?: -EAGAIN;
	} else if (edu_tries) {
		dev_info(edu->dev, "its buffers are KFENCE's objects, after at most %u of %u tries\n",
			 edu_tries, kfence_tries);
	}
	mutex_unlock(&edu->lock);

	return err ?: count;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = run_write,
};

static void edu_show_param(struct seq_file *seq, struct edu *edu, enum edu_param param)
{
	bool lines = dev_is_dma_coherent(edu->dev) &&
		     (param == EDU_PARAM_NONCOHERENT || param == EDU_PARAM_WATCH);

	if (lines)
		seq_printf(seq, "noncoherent=%d", EDU_CACHE_LINE);
	if (param == EDU_PARAM_WATCH)
		seq_printf(seq, "%swatch_writes=1", lines ? " " : "");
	else if (param == EDU_PARAM_CANARY)
		seq_puts(seq, "canary=1");
	else if (param == EDU_PARAM_LATE)
		seq_puts(seq, "late_ms=1000");
	else if (param == EDU_PARAM_WIRES)
		seq_printf(seq, "wires=%s:%u", dev_name(edu->dev), edu->bits);
	else if (!lines)
		seq_puts(seq, "-");
}

static int steps_show(struct seq_file *seq, void *unused)
{
	const struct edu_step *step;
	struct edu *edu = seq->private;

	for (step = edu_steps; step < edu_steps + ARRAY_SIZE(edu_steps); step++) {
		if (edu_why_not(edu, step))
			continue;
		seq_printf(seq, "%s\t%s\t", step->name, step->expect);
		edu_show_param(seq, edu, step->param);
		seq_printf(seq, "\t%s\n", step->what);
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(steps);

static int skipped_show(struct seq_file *seq, void *unused)
{
	const struct edu_step *step;
	struct edu *edu = seq->private;
	const char *why;

	for (step = edu_steps; step < edu_steps + ARRAY_SIZE(edu_steps); step++) {
		why = edu_why_not(edu, step);
		if (why)
			seq_printf(seq, "%s\t%s\n", step->name, why);
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(skipped);

/* Wrong, and never made good: not a step, because it stays after its end. */
static int edu_leave(void *data, u64 unused)
{
	struct edu_buf buf = edu_buffer(EDU_LEN);
	struct edu *edu = data;

	edu_map(edu, &buf, EDU_LEN, DMA_FROM_DEVICE);
	if (!buf.err)
		dev_info(edu->dev, "left a mapping at %pad\n", &buf.dma);

	return buf.err;
}
DEFINE_SIMPLE_ATTRIBUTE(leave_fops, NULL, edu_leave, "%llu\n");

static void edu_remove_debugfs(void *dir)
{
	debugfs_remove(dir);
}

/* === PCI driver =========================================================== */

/* Counts the devices before @pdev, so that it stays the same over a rebind. */
static unsigned int edu_mask_bits(struct pci_dev *pdev)
{
	struct pci_dev *other = NULL;
	unsigned int nr = 0;

	while ((other = pci_get_device(EDU_VENDOR_ID, EDU_DEVICE_ID, other))) {
		if (other == pdev)
			break;
		nr++;
	}
	pci_dev_put(other);

	return nr < EDU_MAX_DEVICES ? mask_bits[nr] : EDU_DEFAULT_MASK_BITS;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	unsigned int bits = edu_mask_bits(pdev);
	struct device *dev = &pdev->dev;
	struct dentry *dir;
	struct edu *edu;
	int err;

	if (!bits || bits > 64)
		return dev_err_probe(dev, -EINVAL, "mask_bits is %u, must be 1 to 64\n", bits);

	edu = devm_kzalloc(dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;

	edu->dev = dev;
	edu->bits = bits;
	mutex_init(&edu->lock);

	err = pcim_enable_device(pdev);
	if (err)
		return dev_err_probe(dev, err, "cannot enable the device\n");

	edu->regs = devm_ioremap_resource(dev, &pdev->resource[0]);
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	if ((readl(edu->regs + EDU_ID) & 0xffff) != 0xed)
		return dev_err_probe(dev, -ENODEV, "not QEMU's edu device\n");

	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(bits));
	if (err)
		return dev_err_probe(dev, err, "no DMA with %u address bits\n", bits);

	pci_set_master(pdev);

	dir = debugfs_create_dir(pci_name(pdev), edu_debugfs);
	debugfs_create_file("run", 0200, dir, edu, &run_fops);
	debugfs_create_file("steps", 0400, dir, edu, &steps_fops);
	debugfs_create_file("skipped", 0400, dir, edu, &skipped_fops);
	debugfs_create_file("leave", 0200, dir, edu, &leave_fops);

	return devm_add_action_or_reset(dev, edu_remove_debugfs, dir);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR_ID, EDU_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_ids,
	.probe = edu_probe,
};

static int __init edu_init(void)
{
	int err;

	edu_debugfs = debugfs_create_dir(KBUILD_MODNAME, NULL);
	err = pci_register_driver(&edu_driver);
	if (err)
		debugfs_remove(edu_debugfs);

	return err;
}

static void __exit edu_exit(void)
{
	pci_unregister_driver(&edu_driver);
	debugfs_remove(edu_debugfs);
}

module_init(edu_init);
module_exit(edu_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The DMA owner debug authors");
MODULE_DESCRIPTION("Sample for dma_owner_debug: right and wrong DMA with QEMU's edu device");
