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
 *	leave	write anything to it: a mapping that the driver never unmaps
 *
 * edu->lock is held while a step runs: the device does one transfer at a time.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
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
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_START	BIT(0)	/* reads as 1 until the transfer ends */
#define EDU_DMA_CMD_FROM_EDU	BIT(1)
#define EDU_DMA_CMD_IRQ		BIT(2)
#define EDU_IRQ_DMA		0x100

/* The memory in the device. QEMU aborts if a transfer leaves it. */
#define EDU_MEM			0x40000
#define EDU_MEM_SIZE		4096

/* A transfer takes 100 ms; an emulated, instrumented machine can be slow. */
#define EDU_TIMEOUT_MS		10000

/* What one transfer of a step moves, and the word that wrong steps touch. */
#define EDU_LEN			1024
#define EDU_WORD		4

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

struct edu {
	struct device *dev;
	void __iomem *regs;
	/* Without an interrupt the end of a transfer is polled for. */
	bool has_irq;
	/* Its address lines. */
	unsigned int bits;
	struct completion done;
	/* Held while a step runs. Protects seed. */
	struct mutex lock;
	/* Makes the data of each transfer different from the one before. */
	u32 seed;
};

/* A buffer of EDU_LEN bytes, mapped for one direction. */
struct edu_buf {
	u32 *words;
	dma_addr_t dma;
	enum dma_data_direction dir;
	/* Of the data the buffer has, or gets from the device. */
	u32 seed;
};

/* Parameters of dma_owner_debug without which a step would not be reported. */
enum edu_param {
	EDU_PARAM_NONE,
	EDU_PARAM_NONCOHERENT,	/* most machines with QEMU's edu are coherent */
	EDU_PARAM_WATCH,	/* the same, and it looks at few writes otherwise */
	EDU_PARAM_CANARY,	/* it leaves memory alone otherwise */
	EDU_PARAM_WIRES,	/* only we know how many the device has */
};

/**
 * struct edu_step - one thing the driver can be asked to do
 * @name: what to write to "run"
 * @what: a sentence that says what is done, and what is wrong about it
 * @expect: type of the one report it must produce, or "none"
 * @param: what must be set for that
 * @possible: whether it can be done with this device, in this kernel; NULL for
 *	always
 * @run: does it; returns 0, or a negative errno if the transfer failed or did
 *	not leave the right data
 */
struct edu_step {
	const char *name;
	const char *what;
	const char *expect;
	enum edu_param param;
	bool (*possible)(struct edu *edu);
	int (*run)(struct edu *edu);
};

static struct dentry *edu_debugfs;

/* === The device =========================================================== */

static irqreturn_t edu_irq(int irq, void *data)
{
	struct edu *edu = data;
	u32 status = readl(edu->regs + EDU_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;

	writel(status, edu->regs + EDU_IRQ_ACK);
	if (status & EDU_IRQ_DMA)
		complete(&edu->done);

	return IRQ_HANDLED;
}

/* Starts the transfer of @len bytes between @addr and byte @pos of the device. */
static void edu_dma_start(struct edu *edu, enum dma_data_direction dir,
			  dma_addr_t addr, size_t pos, size_t len)
{
	u64 cmd = EDU_DMA_CMD_START;

	if (edu->has_irq)
		cmd |= EDU_DMA_CMD_IRQ;
	reinit_completion(&edu->done);

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

	if (edu->has_irq) {
		if (wait_for_completion_timeout(&edu->done,
						msecs_to_jiffies(EDU_TIMEOUT_MS)))
			return 0;
	} else if (!readl_poll_timeout(edu->regs + EDU_DMA_CMD, cmd,
				       !(cmd & EDU_DMA_CMD_START),
				       USEC_PER_MSEC,
				       EDU_TIMEOUT_MS * USEC_PER_MSEC)) {
		return 0;
	}

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

static void edu_fill_part(u32 *words, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++)
		words[i] = edu_data(seed, i);
}

static void edu_fill(u32 *words, u32 seed)
{
	edu_fill_part(words, EDU_LEN, seed);
}

/* Where the data of @seed end: @len if all of it is there. */
static size_t edu_right_bytes(const u32 *words, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++) {
		if (words[i] != edu_data(seed, i))
			break;
	}

	return i * sizeof(*words);
}

/* Whole words only. */
static int edu_verify_part(struct edu *edu, const u32 *words, size_t len, u32 seed)
{
	size_t at = edu_right_bytes(words, len, seed), i = at / sizeof(*words);

	if (i == len / sizeof(*words))
		return 0;

	dev_err(edu->dev, "wrong data at byte %zu: %08x instead of %08x\n",
		at, words[i], edu_data(seed, i));
	return -EIO;
}

static int edu_verify(struct edu *edu, const u32 *words, u32 seed)
{
	return edu_verify_part(edu, words, EDU_LEN, seed);
}

/*
 * KFENCE takes one allocation per sample interval, which is about the time of a
 * transfer, and dma_owner_debug does not trap accesses to its objects: left to
 * chance, most of the wrong steps would go unreported.
 */
static void *edu_alloc(size_t size)
{
	void *p = kzalloc(size, GFP_KERNEL);

	while (is_kfence_address(p)) {
		kfree(p);
		p = kzalloc(size, GFP_KERNEL);
	}

	return p;
}

/* Gives @buf new memory, with new data in it if the device is to read it. */
static int edu_map(struct edu *edu, struct edu_buf *buf,
		   enum dma_data_direction dir)
{
	buf->words = edu_alloc(EDU_LEN);
	if (!buf->words)
		return -ENOMEM;

	buf->dir = dir;
	buf->seed = ++edu->seed;
	if (dir != DMA_FROM_DEVICE)
		edu_fill(buf->words, buf->seed);

	buf->dma = dma_map_single(edu->dev, buf->words, EDU_LEN, dir);
	if (dma_mapping_error(edu->dev, buf->dma)) {
		dev_err(edu->dev, "cannot map a buffer of %d bytes\n", EDU_LEN);
		kfree(buf->words);
		return -ENOMEM;
	}

	return 0;
}

static void edu_unmap_and_free(struct edu *edu, struct edu_buf *buf)
{
	dma_unmap_single(edu->dev, buf->dma, EDU_LEN, buf->dir);
	kfree(buf->words);
}

/* Reports name the function that maps: let it be the one that is wrong. */
static __always_inline int edu_map_at(struct edu *edu, void *p, size_t len,
				      enum dma_data_direction dir, dma_addr_t *dma)
{
	*dma = dma_map_single(edu->dev, p, len, dir);
	return dma_mapping_error(edu->dev, *dma);
}

/* Puts the data of @seed into the device's memory at @pos, without a fault. */
static int edu_store(struct edu *edu, size_t pos, u32 *seed)
{
	struct edu_buf buf;
	int err;

	err = edu_map(edu, &buf, DMA_TO_DEVICE);
	if (err)
		return err;

	err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, pos, EDU_LEN);
	*seed = buf.seed;
	edu_unmap_and_free(edu, &buf);

	return err;
}

/* Maps @buf for data that edu_receive_end() will look for in it. */
static int edu_receive_begin(struct edu *edu, struct edu_buf *buf)
{
	u32 seed;
	int err;

	err = edu_store(edu, 0, &seed);
	if (err)
		return err;

	err = edu_map(edu, buf, DMA_FROM_DEVICE);
	if (err)
		return err;

	buf->seed = seed;
	return 0;
}

/* @err: what the transfer said. */
static int edu_receive_end(struct edu *edu, struct edu_buf *buf, int err)
{
	dma_unmap_single(edu->dev, buf->dma, EDU_LEN, DMA_FROM_DEVICE);
	if (!err)
		err = edu_verify(edu, buf->words, buf->seed);
	kfree(buf->words);

	return err;
}

/* Has the device the data of @seed at the start of its memory? */
static int edu_verify_device(struct edu *edu, u32 seed)
{
	struct edu_buf buf;
	int err;

	err = edu_map(edu, &buf, DMA_FROM_DEVICE);
	if (err)
		return err;

	buf.seed = seed;
	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	return edu_receive_end(edu, &buf, err);
}

/* Does the last of the blocks lie to one of the others as it should? */
static bool edu_find_two(struct edu *edu, bool (*fit)(struct edu *edu, u64 one, u64 two),
			 struct page *const *blocks, unsigned int nr, struct page *two[2])
{
	u64 last = page_to_phys(blocks[nr - 1]);
	unsigned int i;

	for (i = 0; i < nr - 1; i++) {
		bool before = fit(edu, page_to_phys(blocks[i]), last);

		if (!before && !fit(edu, last, page_to_phys(blocks[i])))
			continue;
		two[0] = before ? blocks[i] : blocks[nr - 1];
		two[1] = before ? blocks[nr - 1] : blocks[i];
		return true;
	}

	return false;
}

/*
 * Allocates blocks until there are two that @fit, and keeps these. For a moment that
 * may be most of the memory; this is a machine for tests.
 */
static int edu_alloc_two(struct edu *edu, gfp_t gfp, unsigned int order,
			 bool (*fit)(struct edu *edu, u64 one, u64 two),
			 struct page *two[2])
{
	const unsigned int most = 512;
	struct page **blocks;
	unsigned int nr = 0;
	bool found = false;

	blocks = kcalloc(most, sizeof(*blocks), GFP_KERNEL);
	if (!blocks)
		return -ENOMEM;

	while (nr < most && !found) {
		blocks[nr] = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | gfp, order);
		if (!blocks[nr])
			break;
		found = edu_find_two(edu, fit, blocks, ++nr, two);
	}
	while (nr--) {
		if (!found || (blocks[nr] != two[0] && blocks[nr] != two[1]))
			__free_pages(blocks[nr], order);
	}
	kfree(blocks);

	return found ? 0 : -ENOMEM;
}

/* === Right ================================================================ */

static int edu_step_right(struct edu *edu)
{
	struct edu_buf buf;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;

	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	return edu_receive_end(edu, &buf, err);
}

/* One round of edu_step_right_sync(); @copy has room for EDU_LEN bytes. */
static int edu_round_trip(struct edu *edu, struct edu_buf *tx,
			  struct edu_buf *rx, u32 *copy)
{
	u32 seed = ++edu->seed;
	int err;

	dma_sync_single_for_cpu(edu->dev, tx->dma, EDU_LEN, DMA_TO_DEVICE);
	edu_fill(tx->words, seed);
	dma_sync_single_for_device(edu->dev, tx->dma, EDU_LEN, DMA_TO_DEVICE);

	/* The device only reads this buffer, so the CPU may read it, too. */
	edu_dma_start(edu, DMA_TO_DEVICE, tx->dma, 0, EDU_LEN);
	memcpy(copy, tx->words, EDU_LEN);
	err = edu_verify(edu, tx->words, seed);
	err = edu_dma_wait(edu) ?: err;
	if (err)
		return err;

	err = edu_dma(edu, DMA_FROM_DEVICE, rx->dma, 0, EDU_LEN);
	if (err)
		return err;

	dma_sync_single_for_cpu(edu->dev, rx->dma, EDU_LEN, DMA_FROM_DEVICE);
	err = edu_verify(edu, rx->words, seed);
	if (!err)
		err = edu_verify(edu, copy, seed);
	dma_sync_single_for_device(edu->dev, rx->dma, EDU_LEN, DMA_FROM_DEVICE);

	return err;
}

static int edu_step_right_sync(struct edu *edu)
{
	struct edu_buf tx, rx;
	unsigned int round;
	u32 *copy;
	int err;

	copy = kmalloc(EDU_LEN, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	err = edu_map(edu, &tx, DMA_TO_DEVICE);
	if (err)
		goto free_copy;

	err = edu_map(edu, &rx, DMA_FROM_DEVICE);
	if (err)
		goto free_tx;

	for (round = 0; round < 3 && !err; round++)
		err = edu_round_trip(edu, &tx, &rx, copy);

	edu_unmap_and_free(edu, &rx);
free_tx:
	edu_unmap_and_free(edu, &tx);
free_copy:
	kfree(copy);
	return err;
}

/*
 * A driver that asks whether it has to sync, and skips what it need not do: the
 * network stack's page_pool does.
 */
static int edu_step_right_no_sync(struct edu *edu)
{
	struct edu_buf buf;
	bool need_sync;
	u32 seed;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;
	need_sync = dma_need_sync(edu->dev, buf.dma);

	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	if (err)
		goto out;
	if (need_sync)
		dma_sync_single_for_cpu(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
	err = edu_verify(edu, buf.words, buf.seed);
	if (need_sync)
		dma_sync_single_for_device(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
	if (err)
		goto out;

	err = edu_store(edu, 0, &seed);
	if (err)
		goto out;
	buf.seed = seed;
	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
out:
	return edu_receive_end(edu, &buf, err);
}

/* A transmit ring: mapped once, written, and synced for the device each time. */
static int edu_step_right_for_device(struct edu *edu)
{
	struct edu_buf buf;
	unsigned int round;
	u32 *copy;
	int err;

	copy = kmalloc(EDU_LEN, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	err = edu_map(edu, &buf, DMA_TO_DEVICE);
	if (err)
		goto free_copy;

	for (round = 0; round < 3 && !err; round++) {
		buf.seed = ++edu->seed;
		edu_fill(copy, buf.seed);
		memcpy(buf.words, copy, EDU_LEN);
		dma_sync_single_for_device(edu->dev, buf.dma, EDU_LEN, DMA_TO_DEVICE);
		err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, 0, EDU_LEN);
		if (!err)
			err = edu_verify_device(edu, buf.seed);
	}

	edu_unmap_and_free(edu, &buf);
free_copy:
	kfree(copy);
	return err;
}

/* === Wrong ================================================================ */

static noinline u32 edu_read_result_too_early(const u32 *words)
{
	return READ_ONCE(words[EDU_WORD]);
}

static int edu_step_read_before_sync(struct edu *edu)
{
	struct edu_buf buf;
	u32 result;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;

	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	result = edu_read_result_too_early(buf.words);
	dma_sync_single_for_cpu(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
	dev_dbg(edu->dev, "read %08x, is %08x\n", result, buf.words[EDU_WORD]);

	return edu_receive_end(edu, &buf, err);
}

static noinline void edu_write_message_after_map(u32 *words)
{
	WRITE_ONCE(words[EDU_WORD], 0);
}

static int edu_step_write_after_map(struct edu *edu)
{
	struct edu_buf buf;
	int err;

	err = edu_map(edu, &buf, DMA_TO_DEVICE);
	if (err)
		return err;

	edu_write_message_after_map(buf.words);
	err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, 0, EDU_LEN);
	edu_unmap_and_free(edu, &buf);

	return err;
}

static noinline void edu_next_message_without_sync(u32 *words, const u32 *next)
{
	memcpy(words, next, EDU_LEN);
}

static int edu_step_forgotten_sync(struct edu *edu)
{
	struct edu_buf buf;
	u32 *next;
	int err;

	next = kmalloc(EDU_LEN, GFP_KERNEL);
	if (!next)
		return -ENOMEM;
	edu_fill(next, ++edu->seed);

	err = edu_map(edu, &buf, DMA_TO_DEVICE);
	if (err)
		goto free_next;

	err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, 0, EDU_LEN);
	if (err)
		goto free_buf;

	edu_next_message_without_sync(buf.words, next);
	err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, 0, EDU_LEN);

free_buf:
	edu_unmap_and_free(edu, &buf);
free_next:
	kfree(next);
	return err;
}

/* Whether a device is done, its registers say, or its interrupt. */
static noinline bool edu_poll_result(const u32 *words)
{
	return READ_ONCE(words[EDU_LEN / sizeof(*words) - 1]);
}

static int edu_receive_polling(struct edu *edu)
{
	unsigned long end = jiffies + msecs_to_jiffies(300);
	struct edu_buf buf;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;

	edu_dma_start(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	/* It never comes if the transfer is bounced. */
	while (!edu_poll_result(buf.words) && time_before(jiffies, end)) {
		udelay(10);
		cond_resched();
	}
	err = edu_dma_wait(edu);

	return edu_receive_end(edu, &buf, err);
}

/* So often that one who looks now and then sees it. */
static int edu_step_poll_memory(struct edu *edu)
{
	int round, err = 0;

	for (round = 0; round < 25 && !err; round++)
		err = edu_receive_polling(edu);

	return err;
}

static noinline void edu_write_while_receiving(u32 *words)
{
	WRITE_ONCE(words[EDU_WORD], 0);
}

static int edu_step_write_while_receiving(struct edu *edu)
{
	struct edu_buf buf;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;

	edu_dma_start(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	edu_write_while_receiving(buf.words);
	err = edu_dma_wait(edu);

	return edu_receive_end(edu, &buf, err);
}

static noinline void edu_copy_result_before_unmap(u32 *copy, const u32 *words)
{
	memcpy(copy, words, EDU_LEN);
}

static int edu_step_memcpy_before_unmap(struct edu *edu)
{
	struct edu_buf buf;
	u32 *copy;
	int err;

	copy = kmalloc(EDU_LEN, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	err = edu_receive_begin(edu, &buf);
	if (err)
		goto free_copy;

	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	edu_copy_result_before_unmap(copy, buf.words);
	err = edu_receive_end(edu, &buf, err);

free_copy:
	kfree(copy);
	return err;
}

static noinline u32 edu_read_sg_entry_before_unmap(struct scatterlist *sg)
{
	const u32 *words = sg_virt(sg);

	return READ_ONCE(words[EDU_WORD]);
}

#define EDU_SG_ENTRIES 2

/* The device knows no lists: one transfer for each of the mapped segments. */
static int edu_receive_sg(struct edu *edu, struct sg_table *sgt)
{
	struct scatterlist *sg;
	size_t pos = 0;
	int err, i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		err = edu_dma(edu, DMA_FROM_DEVICE, sg_dma_address(sg), pos,
			      sg_dma_len(sg));
		if (err)
			return err;
		pos += sg_dma_len(sg);
	}

	return 0;
}

static int edu_step_sg_read_before_unmap(struct edu *edu)
{
	u32 *words[EDU_SG_ENTRIES] = { };
	u32 seed[EDU_SG_ENTRIES];
	struct scatterlist *sg;
	struct sg_table sgt;
	int err, i;

	static_assert(EDU_SG_ENTRIES * EDU_LEN <= EDU_MEM_SIZE);

	err = sg_alloc_table(&sgt, EDU_SG_ENTRIES, GFP_KERNEL);
	if (err)
		return err;

	for_each_sgtable_sg(&sgt, sg, i) {
		words[i] = edu_alloc(EDU_LEN);
		err = words[i] ? edu_store(edu, i * EDU_LEN, &seed[i]) : -ENOMEM;
		if (err)
			goto free;
		sg_set_buf(sg, words[i], EDU_LEN);
	}

	err = dma_map_sgtable(edu->dev, &sgt, DMA_FROM_DEVICE, 0);
	if (err)
		goto free;

	err = edu_receive_sg(edu, &sgt);
	edu_read_sg_entry_before_unmap(sg_next(sgt.sgl));
	dma_unmap_sgtable(edu->dev, &sgt, DMA_FROM_DEVICE, 0);

	for (i = 0; i < EDU_SG_ENTRIES && !err; i++)
		err = edu_verify(edu, words[i], seed[i]);

free:
	for (i = 0; i < EDU_SG_ENTRIES; i++)
		kfree(words[i]);
	sg_free_table(&sgt);
	return err;
}

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
	struct edu_channel *ch;
	dma_addr_t dma;
	u32 seed;
	int err;

	ch = edu_alloc(sizeof(*ch));
	if (!ch)
		return -ENOMEM;

	err = edu_store(edu, 0, &seed);
	if (err)
		goto free;

	err = edu_map_at(edu, ch->rx, len, DMA_FROM_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_FROM_DEVICE, dma, 0, len);
	dma_unmap_single(edu->dev, dma, len, DMA_FROM_DEVICE);
	if (!err)
		err = edu_verify_part(edu, ch->rx, len, seed);

free:
	kfree(ch);
	return err;
}

static bool edu_bounces_small(struct edu *edu)
{
	return !dev_is_dma_coherent(edu->dev) &&
	       IS_ENABLED(CONFIG_DMA_BOUNCE_UNALIGNED_KMALLOC);
}

static int edu_step_right_bounced(struct edu *edu)
{
	return edu_receive_packet(edu, 32);
}

static int edu_step_cacheline_sharing(struct edu *edu)
{
	return edu_receive_packet(edu, sizeof_field(struct edu_channel, rx));
}

static noinline void edu_count_packet_while_receiving(struct edu_channel *ch)
{
	WRITE_ONCE(ch->packets, 1);
}

/* In a page nobody can tell who uses the rest of a line, before it is used. */
static int edu_step_shared_line_write(struct edu *edu)
{
	struct edu_channel *ch;
	unsigned long page;
	dma_addr_t dma;
	u32 seed;
	int err;

	page = get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	ch = (void *)page + PAGE_SIZE / 2;

	err = edu_store(edu, 0, &seed);
	if (err)
		goto free;

	err = edu_map_at(edu, ch->rx, sizeof(ch->rx), DMA_FROM_DEVICE, &dma);
	if (err)
		goto free;
	edu_dma_start(edu, DMA_FROM_DEVICE, dma, 0, sizeof(ch->rx));
	edu_count_packet_while_receiving(ch);
	err = edu_dma_wait(edu);
	dma_unmap_single(edu->dev, dma, sizeof(ch->rx), DMA_FROM_DEVICE);
	if (!err)
		err = edu_verify_part(edu, ch->rx, sizeof(ch->rx), seed);
	if (!err && ch->packets != 1)
		err = -EIO;

free:
	free_page(page);
	return err;
}

/*
 * A loop-back test that receives into the second half of what it sends. Exactly the
 * same bytes both ways would lose nothing: engines that work in place do that.
 */
static int edu_step_overlapping_mapping(struct edu *edu)
{
	u32 seed = ++edu->seed;
	dma_addr_t tx, rx;
	u32 *words, *half;
	int err;

	words = edu_alloc(EDU_LEN);
	if (!words)
		return -ENOMEM;
	edu_fill(words, seed);
	half = words + EDU_LEN / 2 / sizeof(*words);

	err = edu_map_at(edu, words, EDU_LEN, DMA_TO_DEVICE, &tx);
	if (err)
		goto free;
	err = edu_map_at(edu, half, EDU_LEN / 2, DMA_FROM_DEVICE, &rx);
	if (err)
		goto unmap_tx;

	err = edu_dma(edu, DMA_TO_DEVICE, tx, 0, EDU_LEN);
	if (!err)
		err = edu_dma(edu, DMA_FROM_DEVICE, rx, 0, EDU_LEN / 2);

	dma_unmap_single(edu->dev, rx, EDU_LEN / 2, DMA_FROM_DEVICE);
unmap_tx:
	dma_unmap_single(edu->dev, tx, EDU_LEN, DMA_TO_DEVICE);
	if (!err)
		err = edu_verify_part(edu, words, EDU_LEN / 2, seed);
	if (!err)
		err = edu_verify_part(edu, half, EDU_LEN / 2, seed);
free:
	kfree(words);
	return err;
}

/* A message that is not a multiple of what the device likes to get. */
#define EDU_SHORT_LEN (EDU_LEN - 24)

static int edu_step_out_of_bounds_map(struct edu *edu)
{
	dma_addr_t dma;
	u32 *words;
	int err;

	words = edu_alloc(EDU_SHORT_LEN);
	if (!words)
		return -ENOMEM;
	edu_fill_part(words, EDU_SHORT_LEN, ++edu->seed);

	err = edu_map_at(edu, words, EDU_LEN, DMA_TO_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_TO_DEVICE, dma, 0, EDU_SHORT_LEN);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);

free:
	kfree(words);
	return err;
}

/* The device is not told: others may have that memory by now. */
static int edu_step_use_after_free_map(struct edu *edu)
{
	dma_addr_t dma;
	u32 *words;
	int err;

	words = edu_alloc(EDU_LEN);
	if (!words)
		return -ENOMEM;
	kfree(words);

	err = edu_map_at(edu, words, EDU_LEN, DMA_TO_DEVICE, &dma);
	if (!err)
		dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);

	return err;
}

/* A careful author, who knows that virt_to_page() does not do for all stacks. */
static int edu_step_stack_buffer(struct edu *edu)
{
	/* So that it does not cross a page. */
	u32 command[8] __aligned(sizeof(u32) * 8);
	struct page *page;
	dma_addr_t dma;
	int err;

	edu_fill_part(command, sizeof(command), ++edu->seed);
	page = is_vmalloc_addr(command) ? vmalloc_to_page(command) : virt_to_page(command);
	dma = dma_map_page(edu->dev, page, offset_in_page(command), sizeof(command),
			   DMA_TO_DEVICE);
	err = dma_mapping_error(edu->dev, dma);
	if (err)
		return err;

	err = edu_dma(edu, DMA_TO_DEVICE, dma, 0, sizeof(command));
	dma_unmap_page(edu->dev, dma, sizeof(command), DMA_TO_DEVICE);

	return err;
}

/*
 * virt_to_page() of what is not in the linear map. With a virtual memory map it
 * is a wrong address; with another memory model it can crash before anybody maps
 * anything, and with CONFIG_DEBUG_VIRTUAL it is a BUG().
 */
static bool edu_can_have_wrong_page(struct edu *edu)
{
	return IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) && !IS_ENABLED(CONFIG_DEBUG_VIRTUAL);
}

/* The device is not told: the address has nothing to do with the buffer. */
static int edu_step_vmalloc_buffer(struct edu *edu)
{
	dma_addr_t dma;
	u32 *words;
	int err;

	words = vmalloc(EDU_LEN);
	if (!words)
		return -ENOMEM;

	/* A smaller mask would make the wrong address an error of the map. */
	err = dma_set_mask(edu->dev, DMA_BIT_MASK(64));
	if (err)
		goto free;
	dma = dma_map_page(edu->dev, virt_to_page(words), offset_in_page(words), EDU_LEN,
			   DMA_TO_DEVICE);
	err = dma_mapping_error(edu->dev, dma);
	if (!err)
		dma_unmap_page(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);
	dma_set_mask(edu->dev, DMA_BIT_MASK(edu->bits));

free:
	vfree(words);
	return err;
}

static const char edu_greeting[] = "good morning";

/* On x86 the wrong page is one below 2 GiB: if there is one, it has an address. */
static bool edu_can_map_image(struct edu *edu)
{
	u64 phys;

	if (IS_ENABLED(CONFIG_DEBUG_VIRTUAL))
		return false;
	phys = __pa((unsigned long)edu_greeting);
	return phys < DMA_BIT_MASK(edu->bits) &&
	       (edu_can_have_wrong_page(edu) || pfn_valid(PHYS_PFN(phys)));
}

/* The device is not told: the address has nothing to do with the greeting. */
static int edu_step_image_buffer(struct edu *edu)
{
	dma_addr_t dma;
	int err;

	err = edu_map_at(edu, (void *)edu_greeting, sizeof(edu_greeting), DMA_TO_DEVICE, &dma);
	if (!err)
		dma_unmap_single(edu->dev, dma, sizeof(edu_greeting), DMA_TO_DEVICE);

	return err;
}

#define EDU_SHAMBLES_ORDER 1

static bool edu_follow(struct edu *edu, u64 one, u64 two)
{
	return one + (PAGE_SIZE << EDU_SHAMBLES_ORDER) == two;
}

/*
 * Half of the message is in the last page of one allocation, half of it in a page
 * elsewhere, as in memory of vmalloc(). Behind the first page is an allocation that
 * has nothing to do with it; here it is ours as well.
 */
static int edu_step_not_contiguous(struct edu *edu)
{
	struct page *two[2], *pages[2];
	dma_addr_t dma;
	size_t right;
	void *area;
	u32 *words;
	int err;

	err = edu_alloc_two(edu, __GFP_COMP | __GFP_ZERO, EDU_SHAMBLES_ORDER, edu_follow, two);
	if (err)
		return err;
	pages[0] = two[0] + (1 << EDU_SHAMBLES_ORDER) - 1;
	pages[1] = two[0];
	area = vmap(pages, ARRAY_SIZE(pages), VM_MAP, PAGE_KERNEL);
	if (!area) {
		err = -ENOMEM;
		goto free;
	}
	words = area + PAGE_SIZE - EDU_LEN / 2;
	edu_fill(words, ++edu->seed);

	dma = dma_map_page(edu->dev, vmalloc_to_page(words), offset_in_page(words), EDU_LEN,
			   DMA_TO_DEVICE);
	err = dma_mapping_error(edu->dev, dma);
	if (err)
		goto unmap_area;
	err = edu_dma(edu, DMA_TO_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_page(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);
	if (err)
		goto unmap_area;

	/* What did the device get? */
	words = page_address(two[1]);
	err = edu_map_at(edu, words, EDU_LEN, DMA_FROM_DEVICE, &dma);
	if (err)
		goto unmap_area;
	err = edu_dma(edu, DMA_FROM_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_FROM_DEVICE);
	if (err)
		goto unmap_area;
	right = edu_right_bytes(words, EDU_LEN, edu->seed);
	dev_info(edu->dev,
		 "of the message of %d bytes the device got %zu, and then those of another allocation\n",
		 EDU_LEN, right);
	if (right != EDU_LEN / 2)
		err = -EIO;

unmap_area:
	vunmap(area);
free:
	__free_pages(two[0], EDU_SHAMBLES_ORDER);
	__free_pages(two[1], EDU_SHAMBLES_ORDER);
	return err;
}

/* Two pages at one range of bus addresses, of which a transfer takes the middle. */
struct edu_linked {
	struct dma_iova_state state;
	enum dma_data_direction dir;
	u32 *pages[2];
};

#define EDU_HALF	(EDU_LEN / 2)
#define EDU_MIDDLE	(PAGE_SIZE - EDU_HALF)

static bool edu_can_link(struct edu *edu)
{
	struct dma_iova_state state = {};

	if (!dma_iova_try_alloc(edu->dev, &state, 0, PAGE_SIZE))
		return false;
	dma_iova_free(edu->dev, &state);
	return true;
}

static u32 *edu_linked_half(const struct edu_linked *linked, int i)
{
	return i ? linked->pages[1] : linked->pages[0] + EDU_MIDDLE / sizeof(u32);
}

static void edu_linked_free(struct edu_linked *linked)
{
	int i;

	for (i = 0; i < 2; i++)
		free_page((unsigned long)linked->pages[i]);
}

/* Gives two new pages to the device, with the data of @words in their middle. */
static __always_inline int edu_link(struct edu *edu, struct edu_linked *linked,
				    enum dma_data_direction dir, const u32 *words)
{
	int i, err = 0;

	linked->dir = dir;
	for (i = 0; i < 2; i++)
		linked->pages[i] = (u32 *)get_zeroed_page(GFP_KERNEL);
	if (!linked->pages[0] || !linked->pages[1]) {
		edu_linked_free(linked);
		return -ENOMEM;
	}
	for (i = 0; i < 2; i++)
		memcpy(edu_linked_half(linked, i), (char *)words + i * EDU_HALF, EDU_HALF);

	if (!dma_iova_try_alloc(edu->dev, &linked->state,
				virt_to_phys(linked->pages[0]), 2 * PAGE_SIZE)) {
		edu_linked_free(linked);
		return -EOPNOTSUPP;
	}
	for (i = 0; i < 2 && !err; i++)
		err = dma_iova_link(edu->dev, &linked->state,
				    virt_to_phys(linked->pages[i]), i * PAGE_SIZE,
				    PAGE_SIZE, dir, 0);
	if (err)
		i--;
	else
		err = dma_iova_sync(edu->dev, &linked->state, 0, 2 * PAGE_SIZE);
	if (err) {
		dma_iova_destroy(edu->dev, &linked->state, i * PAGE_SIZE, dir, 0);
		edu_linked_free(linked);
	}

	return err;
}

static int edu_linked_dma(struct edu *edu, struct edu_linked *linked)
{
	return edu_dma(edu, linked->dir, linked->state.addr + EDU_MIDDLE, 0, EDU_LEN);
}

static void edu_linked_read(const struct edu_linked *linked, u32 *words)
{
	int i;

	for (i = 0; i < 2; i++)
		memcpy((char *)words + i * EDU_HALF, edu_linked_half(linked, i), EDU_HALF);
}

/* Out with dma_iova_unlink(), and in with dma_iova_destroy(). */
static int edu_step_right_linked(struct edu *edu)
{
	u32 seed = ++edu->seed, *words = edu_alloc(EDU_LEN);
	struct edu_linked linked;
	int err;

	if (!words)
		return -ENOMEM;

	edu_fill(words, seed);
	err = edu_link(edu, &linked, DMA_TO_DEVICE, words);
	if (err)
		goto free;
	err = edu_linked_dma(edu, &linked);
	edu_linked_read(&linked, words);
	dma_iova_unlink(edu->dev, &linked.state, 0, PAGE_SIZE, linked.dir, 0);
	memset(linked.pages[0], 0, PAGE_SIZE);
	dma_iova_unlink(edu->dev, &linked.state, PAGE_SIZE, PAGE_SIZE, linked.dir, 0);
	memset(linked.pages[1], 0, PAGE_SIZE);
	dma_iova_free(edu->dev, &linked.state);
	edu_linked_free(&linked);
	if (err)
		goto free;

	memset(words, 0, EDU_LEN);
	err = edu_link(edu, &linked, DMA_FROM_DEVICE, words);
	if (err)
		goto free;
	err = edu_linked_dma(edu, &linked);
	dma_iova_destroy(edu->dev, &linked.state, 2 * PAGE_SIZE, linked.dir, 0);
	edu_linked_read(&linked, words);
	edu_linked_free(&linked);
	if (!err)
		err = edu_verify(edu, words, seed);
free:
	kfree(words);
	return err;
}

/* The driver unlinks what it thinks is all. */
static int edu_step_read_linked(struct edu *edu)
{
	u32 seed, *words = edu_alloc(EDU_LEN);
	struct edu_linked linked;
	int err;

	if (!words)
		return -ENOMEM;

	err = edu_store(edu, 0, &seed);
	if (!err)
		err = edu_link(edu, &linked, DMA_FROM_DEVICE, words);
	if (err)
		goto free;
	err = edu_linked_dma(edu, &linked);
	dma_iova_unlink(edu->dev, &linked.state, 0, PAGE_SIZE, linked.dir, 0);
	edu_linked_read(&linked, words);
	dma_iova_unlink(edu->dev, &linked.state, PAGE_SIZE, PAGE_SIZE, linked.dir, 0);
	dma_iova_free(edu->dev, &linked.state);
	edu_linked_free(&linked);
	if (!err)
		err = edu_verify(edu, words, seed);
free:
	kfree(words);
	return err;
}

/* Is there memory that the device's wires do not reach, and that it is given? */
static bool edu_can_exceed_wires(struct edu *edu)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(edu->dev);

	return dma_get_required_mask(edu->dev) > DMA_BIT_MASK(edu->bits) &&
	       (!domain || domain->type == IOMMU_DOMAIN_IDENTITY);
}

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
	u32 *words, *victim, seed = ++edu->seed;
	dma_addr_t dma;
	struct page *two[2];
	int err;

	err = edu_alloc_two(edu, 0, EDU_FAR_ORDER, edu_truncates, two);
	if (err)
		return err;
	words = page_address(two[0]);
	victim = page_address(two[1]);

	/* Other memory might be out of reach. */
	edu_fill(victim, seed);
	err = edu_map_at(edu, victim, EDU_LEN, DMA_TO_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_TO_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);
	if (err)
		goto free;
	memset(victim, 0, EDU_LEN);
	memset(words, 0, EDU_LEN);

	err = dma_set_mask(edu->dev, DMA_BIT_MASK(64));
	if (err)
		goto free;
	err = edu_map_at(edu, words, EDU_LEN, DMA_FROM_DEVICE, &dma);
	if (err)
		goto reset_mask;
	err = edu_dma(edu, DMA_FROM_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_FROM_DEVICE);
	if (err)
		goto reset_mask;

	if (!memchr_inv(words, 0, EDU_LEN) &&
	    edu_right_bytes(victim, EDU_LEN, seed) == EDU_LEN) {
		dev_info(edu->dev, "the data went to 0x%llx instead of 0x%llx, over another buffer\n",
			 (u64)page_to_phys(two[1]), (u64)dma);
	} else {
		dev_err(edu->dev, "the data did not go to 0x%llx\n",
			(u64)page_to_phys(two[1]));
		err = -EIO;
	}

reset_mask:
	dma_set_mask(edu->dev, DMA_BIT_MASK(edu->bits));
free:
	__free_pages(two[0], EDU_FAR_ORDER);
	__free_pages(two[1], EDU_FAR_ORDER);
	return err;
}

/* The driver has mixed up its buffers: the device writes its result to a message. */
static int edu_step_to_device_changed(struct edu *edu)
{
	dma_addr_t dma;
	size_t right;
	u32 *words;
	u32 seed;
	int err;

	err = edu_store(edu, 0, &seed);
	if (err)
		return err;
	words = edu_alloc(EDU_LEN);
	if (!words)
		return -ENOMEM;
	edu_fill(words, ++edu->seed);

	err = edu_map_at(edu, words, EDU_LEN, DMA_TO_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_FROM_DEVICE, dma, 0, EDU_LEN / 4);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_TO_DEVICE);

	/* Not if an IOMMU or a bounce buffer is in between. */
	right = edu_right_bytes(words, EDU_LEN / 4, seed);
	dev_info(edu->dev, "of the message of %d bytes the device has overwritten %zu\n",
		 EDU_LEN, right);

free:
	kfree(words);
	return err;
}

/* On kernels before 6.6 the tool knows only the rest of eight bytes to be padding. */
#define EDU_ODD_LEN (EDU_LEN - 23)

/* The device is told the size of the slab's slot, as ksize() would say it. */
static int edu_step_device_overrun(struct edu *edu)
{
	dma_addr_t dma;
	u32 *words;
	u32 seed;
	int err;

	err = edu_store(edu, 0, &seed);
	if (err)
		return err;
	words = edu_alloc(EDU_ODD_LEN);
	if (!words)
		return -ENOMEM;

	err = edu_map_at(edu, words, EDU_ODD_LEN, DMA_FROM_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_FROM_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_single(edu->dev, dma, EDU_ODD_LEN, DMA_FROM_DEVICE);
	if (!err)
		err = edu_verify_part(edu, words, round_down(EDU_ODD_LEN, 4),
				      seed);

free:
	kfree(words);
	return err;
}

static noinline void edu_mark_result_as_seen(u32 *words)
{
	WRITE_ONCE(words[EDU_WORD], 0);
}

static int edu_step_missing_sync_for_device(struct edu *edu)
{
	struct edu_buf buf;
	int err;

	err = edu_receive_begin(edu, &buf);
	if (err)
		return err;

	err = edu_dma(edu, DMA_FROM_DEVICE, buf.dma, 0, EDU_LEN);
	dma_sync_single_for_cpu(edu->dev, buf.dma, EDU_LEN, DMA_FROM_DEVICE);
	if (!err)
		err = edu_verify(edu, buf.words, buf.seed);
	edu_mark_result_as_seen(buf.words);
	edu_unmap_and_free(edu, &buf);

	return err;
}

/* The bit that says which way is missing: the device reads what it is to write. */
static int edu_step_device_wrote_nothing(struct edu *edu)
{
	dma_addr_t dma;
	u32 *words;
	int err;

	words = edu_alloc(EDU_LEN);
	if (!words)
		return -ENOMEM;

	err = edu_map_at(edu, words, EDU_LEN, DMA_FROM_DEVICE, &dma);
	if (err)
		goto free;
	err = edu_dma(edu, DMA_TO_DEVICE, dma, 0, EDU_LEN);
	dma_unmap_single(edu->dev, dma, EDU_LEN, DMA_FROM_DEVICE);

free:
	kfree(words);
	return err;
}

/* The barrier keeps this function in the stack. */
static noinline void edu_free_message_too_early(u32 *words)
{
	kfree(words);
	barrier();
}

static int edu_step_free_while_mapped(struct edu *edu)
{
	struct edu_buf buf;
	int err;

	err = edu_map(edu, &buf, DMA_TO_DEVICE);
	if (err)
		return err;

	err = edu_dma(edu, DMA_TO_DEVICE, buf.dma, 0, EDU_LEN);
	edu_free_message_too_early(buf.words);
	dma_unmap_single(edu->dev, buf.dma, EDU_LEN, DMA_TO_DEVICE);

	return err;
}

/* === Steps ================================================================ */

/* A single access is noticed; so is what is wrong with memory, by KASAN's shadow. */
static bool edu_traps(struct edu *edu)
{
	return IS_ENABLED(CONFIG_KASAN_GENERIC);
}

static bool edu_traps_linked(struct edu *edu)
{
	return edu_traps(edu) && edu_can_link(edu);
}

/* One of many accesses is, by chance. */
static bool edu_races(struct edu *edu)
{
	return IS_ENABLED(CONFIG_KCSAN);
}

static const struct edu_step edu_steps[] = {
	{
		.name = "right",
		.what =
			"Right: map, let the device read the data, unmap; map another buffer, let it write the data there, unmap, compare.",
		.expect = "none",
		.run = edu_step_right,
	}, {
		.name = "right-sync",
		.what =
			"Right: use two long-lived mappings three times, with the syncs they need; read the DMA_TO_DEVICE one while the device owns it.",
		.expect = "none",
		.run = edu_step_right_sync,
	}, {
		.name = "right-no-sync",
		.what =
			"Right: ask dma_need_sync(), and leave out the syncs of a long-lived mapping if it says no.",
		.expect = "none",
		.run = edu_step_right_no_sync,
	}, {
		.name = "right-for-device",
		.what =
			"Right: write three messages into one long-lived mapping, each with dma_sync_single_for_device(), and none with dma_sync_single_for_cpu().",
		.expect = "none",
		.run = edu_step_right_for_device,
	}, {
		.name = "right-bounced",
		.what =
			"Right on this kernel: let the device write 32 bytes into the middle of a struct: so few are bounced.",
		.expect = "none",
		.possible = edu_bounces_small,
		.run = edu_step_right_bounced,
	}, {
		.name = "read-before-sync",
		.what =
			"Wrong: the device wrote its result; the driver reads it before dma_sync_single_for_cpu().",
		.expect = "cpu-read",
		.possible = edu_traps,
		.run = edu_step_read_before_sync,
	}, {
		.name = "write-after-map",
		.what =
			"Wrong: the driver maps a message for the device and then changes it.",
		.expect = "cpu-write",
		.possible = edu_traps,
		.run = edu_step_write_after_map,
	}, {
		.name = "forgotten-sync",
		.what =
			"Wrong: the driver copies its second message into a long-lived mapping and starts the device without dma_sync_single_for_device().",
		.expect = "cpu-write",
		.possible = edu_traps,
		.run = edu_step_forgotten_sync,
	}, {
		.name = "write-while-receiving",
		.what =
			"Wrong: the driver writes into a buffer that the device is writing to.",
		.expect = "cpu-write",
		.possible = edu_traps,
		.run = edu_step_write_while_receiving,
	}, {
		.name = "poll-memory",
		.what =
			"Wrong: the driver reads each of 25 buffers again and again, until what the device writes last is there.",
		.expect = "cpu-read",
		.possible = edu_races,
		.run = edu_step_poll_memory,
	}, {
		.name = "memcpy-before-unmap",
		.what =
			"Wrong: the driver copies the device's result with memcpy() before dma_unmap_single().",
		.expect = "cpu-read",
		.possible = edu_traps,
		.run = edu_step_memcpy_before_unmap,
	}, {
		.name = "sg-read-before-unmap",
		.what =
			"Wrong: the driver reads the second entry of a scatterlist before dma_unmap_sg().",
		.expect = "cpu-read",
		.possible = edu_traps,
		.run = edu_step_sg_read_before_unmap,
	}, {
		.name = "right-linked",
		.what =
			"Right: link two pages to one range of bus addresses, let the device read across both, unlink; once more the other way, compare.",
		.expect = "none",
		.possible = edu_can_link,
		.run = edu_step_right_linked,
	}, {
		.name = "read-linked",
		.what =
			"Wrong: the driver reads the result from two pages, and has called dma_iova_unlink() for only the first.",
		.expect = "cpu-read",
		.possible = edu_traps_linked,
		.run = edu_step_read_linked,
	}, {
		.name = "cacheline-sharing",
		.what =
			"Wrong: the driver lets the device write into the middle of a struct, between counters.",
		.expect = "cacheline-sharing",
		.param = EDU_PARAM_NONCOHERENT,
		.possible = edu_traps,
		.run = edu_step_cacheline_sharing,
	}, {
		.name = "shared-line-write",
		.what =
			"Wrong: the driver counts a packet beside the buffer that the device is writing to.",
		.expect = "shared-line-write",
		.param = EDU_PARAM_NONCOHERENT,
		.possible = edu_traps,
		.run = edu_step_shared_line_write,
	}, {
		.name = "overlapping-mapping",
		.what =
			"Wrong: the driver receives into the second half of a message while the message is still mapped for sending.",
		.expect = "overlapping-mapping",
		.param = EDU_PARAM_NONCOHERENT,
		.run = edu_step_overlapping_mapping,
	}, {
		.name = "out-of-bounds-map",
		.what =
			"Wrong: the driver rounds the length of its message up, and maps more than it has allocated.",
		.expect = "out-of-bounds-map",
		.possible = edu_traps,
		.run = edu_step_out_of_bounds_map,
	}, {
		.name = "use-after-free-map",
		.what =
			"Wrong: the driver maps a message that it has freed.",
		.expect = "use-after-free-map",
		.possible = edu_traps,
		.run = edu_step_use_after_free_map,
	}, {
		.name = "stack-buffer",
		.what =
			"Wrong: the driver sends a command from a local variable.",
		.expect = "stack-buffer",
		.run = edu_step_stack_buffer,
	}, {
		.name = "image-buffer",
		.what =
			"Wrong: the driver sends a static const message.",
		.expect = "image-buffer",
		.possible = edu_can_map_image,
		.run = edu_step_image_buffer,
	}, {
		.name = "vmalloc-buffer",
		.what =
			"Wrong: the driver maps what it was passed with virt_to_page(), and was passed vmalloc() memory.",
		.expect = "vmalloc-buffer",
		.possible = edu_can_have_wrong_page,
		.run = edu_step_vmalloc_buffer,
	}, {
		.name = "not-contiguous",
		.what =
			"Wrong: the driver was passed memory as of vmalloc(), takes its first page with vmalloc_to_page(), and maps more than that page.",
		.expect = "not-contiguous",
		.run = edu_step_not_contiguous,
	}, {
		.name = "mask-exceeded",
		.what =
			"Wrong: the driver claims 64 address bits for a device that has fewer, in a machine with more memory than it was tested with.",
		.expect = "mask-exceeded",
		.param = EDU_PARAM_WIRES,
		.possible = edu_can_exceed_wires,
		.run = edu_step_mask_exceeded,
	}, {
		.name = "to-device-changed",
		.what =
			"Wrong: the driver tells the device to write its result to where a message is, which is mapped DMA_TO_DEVICE.",
		.expect = "to-device-changed",
		.run = edu_step_to_device_changed,
	}, {
		.name = "device-overrun",
		.what =
			"Wrong: the driver allocates and maps 1001 bytes, and tells the device to write 1024.",
		.expect = "device-overrun",
		.possible = edu_traps,
		.run = edu_step_device_overrun,
	}, {
		.name = "missing-sync-for-device",
		.what =
			"Wrong: the driver gets the result with dma_sync_single_for_cpu(), writes a mark into it, and unmaps it without giving it back.",
		.expect = "missing-sync-for-device",
		.param = EDU_PARAM_WATCH,
		.possible = edu_traps,
		.run = edu_step_missing_sync_for_device,
	}, {
		.name = "device-wrote-nothing",
		.what =
			"Wrong: the driver tells the device the wrong direction: it reads the buffer instead of writing to it.",
		.expect = "device-wrote-nothing",
		.param = EDU_PARAM_CANARY,
		.run = edu_step_device_wrote_nothing,
	}, {
		.name = "free-while-mapped",
		.what =
			"Wrong: the driver frees a message before it unmaps it.",
		.expect = "free-while-mapped",
		.run = edu_step_free_while_mapped,
	},
};

static bool edu_can_do(struct edu *edu, const struct edu_step *step)
{
	return !step->possible || step->possible(edu);
}

static const struct edu_step *edu_find_step(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edu_steps); i++) {
		if (!strcmp(edu_steps[i].name, name))
			return &edu_steps[i];
	}

	return NULL;
}

static void edu_refuse_step(struct edu *edu, const char *name)
{
	size_t i, len = 0, size = 1024;
	char *known = kzalloc(size, GFP_KERNEL);

	if (!known)
		return;

	for (i = 0; i < ARRAY_SIZE(edu_steps); i++)
		len += scnprintf(known + len, size - len, " %s", edu_steps[i].name);
	dev_err(edu->dev, "unknown step '%s'; known are:%s\n", name, known);
	kfree(known);
}

/* === DebugFS interface ==================================================== */

static ssize_t run_write(struct file *file, const char __user *ubuf,
			 size_t count, loff_t *ppos)
{
	struct edu *edu = file->private_data;
	const struct edu_step *step;
	char line[64], *name;
	int err;

	if (count >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, ubuf, count))
		return -EFAULT;
	line[count] = '\0';
	name = strim(line);

	step = edu_find_step(name);
	if (!step) {
		edu_refuse_step(edu, name);
		return -EINVAL;
	}

	if (!edu_can_do(edu, step)) {
		dev_err(edu->dev, "step '%s' cannot be done with this device and kernel\n",
			name);
		return -EOPNOTSUPP;
	}

	mutex_lock(&edu->lock);
	err = step->run(edu);
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
	switch (param) {
	case EDU_PARAM_NONE:
		seq_puts(seq, "-");
		break;
	case EDU_PARAM_NONCOHERENT:
		if (dev_is_dma_coherent(edu->dev))
			seq_printf(seq, "noncoherent=%d", EDU_CACHE_LINE);
		else
			seq_puts(seq, "-");
		break;
	case EDU_PARAM_WATCH:
		if (dev_is_dma_coherent(edu->dev))
			seq_printf(seq, "noncoherent=%d ", EDU_CACHE_LINE);
		seq_puts(seq, "watch_writes=1");
		break;
	case EDU_PARAM_CANARY:
		seq_puts(seq, "canary=1");
		break;
	case EDU_PARAM_WIRES:
		seq_printf(seq, "wires=%s:%u", dev_name(edu->dev), edu->bits);
		break;
	}
}

static int steps_show(struct seq_file *seq, void *unused)
{
	const struct edu_step *step;
	struct edu *edu = seq->private;

	for (step = edu_steps; step < edu_steps + ARRAY_SIZE(edu_steps); step++) {
		if (!edu_can_do(edu, step))
			continue;
		seq_printf(seq, "%s\t%s\t", step->name, step->expect);
		edu_show_param(seq, edu, step->param);
		seq_printf(seq, "\t%s\n", step->what);
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(steps);

/* Wrong, and never made good: not a step, because it stays after its end. */
static ssize_t leave_write(struct file *file, const char __user *ubuf,
			   size_t count, loff_t *ppos)
{
	struct edu *edu = file->private_data;
	struct edu_buf buf;
	int err;

	mutex_lock(&edu->lock);
	err = edu_map(edu, &buf, DMA_FROM_DEVICE);
	mutex_unlock(&edu->lock);
	if (!err)
		dev_info(edu->dev, "left a mapping at %pad\n", &buf.dma);

	return err ?: count;
}

static const struct file_operations leave_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = leave_write,
};

static void edu_remove_debugfs(void *dir)
{
	debugfs_remove(dir);
}

/* === PCI driver =========================================================== */

/* Returns whether the device has an interrupt; it works without. */
static bool edu_request_irq(struct edu *edu, struct pci_dev *pdev)
{
	int err;

	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	if (err > 0)
		err = devm_request_irq(edu->dev, pci_irq_vector(pdev, 0),
				       edu_irq, 0, KBUILD_MODNAME, edu);
	if (err)
		dev_info(edu->dev, "no MSI (error %d), polling instead\n", err);

	return !err;
}

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
	init_completion(&edu->done);
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
	edu->has_irq = edu_request_irq(edu, pdev);

	dir = debugfs_create_dir(pci_name(pdev), edu_debugfs);
	debugfs_create_file("run", 0200, dir, edu, &run_fops);
	debugfs_create_file("steps", 0400, dir, edu, &steps_fops);
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
