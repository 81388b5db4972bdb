/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA owner debug: the contract that its rooms share. The mapping record, the
 * tables of counters and report types, the guard interface. For more info see
 * Documentation/dma_owner_debug.rst.
 *
 * Locks, outermost first; all are raw spinlocks taken with interrupts off:
 *
 *   bus shard               the index by bus address
 *     bus wide              records whose bus addresses cross a region boundary
 *       phys shard          the index by physical address, and the shadow of the
 *                           regions that hash to the shard
 *         phys wide         records that cross a region boundary
 *           pool shard      free records and ranges; the rings of ended records
 *
 * None of them is held while anything is printed, and none is taken in a panic.
 */
#ifndef DMA_OWNER_DEBUG_H
#define DMA_OWNER_DEBUG_H

#include <linux/dma-mapping.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#undef pr_fmt
#define pr_fmt(fmt) "dma_owner_debug: " fmt

/* === Judging ============================================================== */

/*
 * How deep this CPU is in the tool's own business: in a judgement, or with a lock held.
 * What it then accesses is no driver's access. The kernel's functions that judging and
 * printing need are instrumented, and a wrong mapping can hold what they work on:
 * without this, the report of such an access would make the next one.
 *
 * Changed with interrupts off only. NMIs that come meanwhile count as the tool's: their
 * accesses are let through, and counted.
 */
DECLARE_PER_CPU(unsigned int, dod_judging);

static inline void dod_judging_inc(void)
{
	raw_cpu_inc(dod_judging);
}

static inline void dod_judging_dec(void)
{
	raw_cpu_dec(dod_judging);
}

/**
 * dod_kasan_is_off() - does KASAN see nothing of what this CPU does now?
 *
 * Context: any.
 */
static inline bool dod_kasan_is_off(void)
{
#ifdef CONFIG_KASAN_GENERIC
	return READ_ONCE(current->kasan_depth) > 0;
#else
	return false;
#endif
}

/**
 * dod_judge_begin() - this CPU is about to judge, format, print or unwind
 *
 * KASAN finds nothing on this CPU until dod_judge_end(), and interrupts are off: the
 * accesses of interrupts, and of the tasks that would run next, are not missed for it.
 * As local_irq_save(), but what traces interrupts is instrumented, too, and comes after
 * KASAN is off. Nests.
 *
 * Context: any.
 *
 * Return: for dod_judge_end().
 */
static inline unsigned long dod_judge_begin(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	kasan_disable_current();
	dod_judging_inc();
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_off();
	return flags;
}

/**
 * dod_judge_end() - back to the kernel's business
 * @flags: what dod_judge_begin() returned
 *
 * Context: as dod_judge_begin() left it.
 */
static inline void dod_judge_end(unsigned long flags)
{
	if (!raw_irqs_disabled_flags(flags))
		trace_hardirqs_on();
	dod_judging_dec();
	kasan_enable_current();
	raw_local_irq_restore(flags);
}

/* === Locks ================================================================ */

/*
 * raw_spin_lock_irqsave() and its like, but in line: the kernel's functions have KASAN
 * check each access to the lock itself, which is two thirds of what they cost. Where
 * locks are debugged they are the kernel's. All of ours are taken with interrupts off.
 */
#if defined(CONFIG_DEBUG_SPINLOCK) || defined(CONFIG_LOCKDEP)
#define dod_lock_raw(lock)			raw_spin_lock(lock)
#define dod_unlock_raw(lock)			raw_spin_unlock(lock)
#else
#define dod_lock_raw(lock)			arch_spin_lock(&(lock)->raw_lock)
#define dod_unlock_raw(lock)			arch_spin_unlock(&(lock)->raw_lock)
#endif

/* Whoever holds a lock must not be judged: the judge would wait for that lock. */
#define dod_lock(lock)							\
do {									\
	dod_judging_inc();						\
	dod_lock_raw(lock);						\
} while (0)
#define dod_unlock(lock)						\
do {									\
	dod_unlock_raw(lock);						\
	dod_judging_dec();						\
} while (0)
#define dod_lock_irqsave(lock, flags)					\
do {									\
	local_irq_save(flags);						\
	dod_lock(lock);							\
} while (0)
#define dod_unlock_irqrestore(lock, flags)				\
do {									\
	dod_unlock(lock);						\
	local_irq_restore(flags);					\
} while (0)

/* === Workers ============================================================== */

/**
 * struct dod_worker - work that can be asked for in any context
 *
 * Not by queue_work(): it takes locks of the kernel's, with which memory may be mapped
 * or touched, by a driver or by the console that a message is printed to.
 *
 * @irq:	asks where that can be done
 * @work:	what is to be done
 * @queue:	where, NULL for the system's
 */
struct dod_worker {
	struct irq_work irq;
	struct work_struct work;
	struct workqueue_struct *queue;
};

#define DEFINE_DOD_WORKER(name, function)				\
	struct dod_worker name = {					\
		.irq = IRQ_WORK_INIT(dod_worker_ask),			\
		.work = __WORK_INITIALIZER(name.work, function),	\
	}

void dod_worker_ask(struct irq_work *irq);
void dod_worker_wake(struct dod_worker *worker);
void dod_worker_cancel(struct dod_worker *worker);

/* === Counters ============================================================= */

/*
 * Every event, and every reason for which memory is not tracked or an access
 * not trapped: silence must be countable. The names are in debugfs.c.
 */
enum dod_counter {
	DOD_C_MAPS,
	DOD_C_MAPS_BOUNCED,
	DOD_C_MAPS_LINKED,
	DOD_C_UNMAPS,
	DOD_C_SYNCS_FOR_CPU,
	DOD_C_SYNCS_FOR_DEVICE,
	DOD_C_ALLOWED_READS,
	DOD_C_ALLOWED_IDIOMS,
	DOD_C_TRAPS_TOO_LATE,
	DOD_C_TRAPS_IN_NMI,
	DOD_C_TRAPS_NESTED,
	DOD_C_MISSED_TRAPS,
	DOD_C_UNMATCHED_UNMAPS,
	DOD_C_UNMATCHED_SYNCS,
	DOD_C_UNTRACKED_POOL_EMPTY,
	DOD_C_UNTRACKED_FAILED_MAP,
	DOD_C_UNTRACKED_MMIO,
	DOD_C_UNTRACKED_COHERENT,
	DOD_C_UNTRACKED_NOT_RAM,
	DOD_C_UNTRACKED_NO_DEVICE,
	DOD_C_UNTRAPPED_USER,
	DOD_C_UNTRAPPED_RESERVED,
	DOD_C_UNTRAPPED_KFENCE,
	DOD_C_UNTRAPPED_STACK,
	DOD_C_UNTRAPPED_SUB_GRANULE,
	DOD_C_UNTRAPPED_NO_SYNC,
	DOD_C_UNTRAPPED_OWN_DATA,
	DOD_C_RANGES_EXHAUSTED,
	DOD_C_UNJUDGED_CONTIGUITY,
	DOD_C_UNJUDGED_SHARED_PAGE,
	DOD_C_UNJUDGED_OBJECT_REST,
	DOD_C_UNJUDGED_SHADOW,
	DOD_C_UNJUDGED_FREE,
	DOD_C_UNJUDGED_CONTENT,
	DOD_C_UNTRACKED_STALE,
	DOD_C_STALE_MAPPINGS,
	DOD_C_FINISHED_RANGES,
	DOD_C_STALE_DOUBTED,
	DOD_C_PENDING_WRITES,
	DOD_C_PENDING_POOL_EMPTY,
	DOD_C_FINDINGS_POOL_EMPTY,
	DOD_C_SYNCS_IDLE,
	DOD_C_RACES_PENDING,
	DOD_C_CONTENT_GIVEN_BACK,
	DOD_C_CONTENT_MAPPINGS,
	DOD_C_CONTENT_PARTIAL,
	DOD_C_CONTENT_SHARED,
	DOD_C_CONTENT_DOUBTED,
	DOD_C_CONTENT_POOL_EMPTY,
	DOD_C_CONTENT_EDGES,
	DOD_C_WATCHED_RANGES,
	DOD_C_CANARIES,
	DOD_C_UNJUDGED_CANARY,
	DOD_C_UNWATCHED_BUSES,
	DOD_C_REPORTS_SHOWN,
	DOD_C_REPORTS_DEDUPLICATED,
	DOD_C_REPORTS_RATELIMITED,
	DOD_C_REPORTS_FILTERED,
	DOD_C_REPORTS_NESTED,
	DOD_C_REPORTS_NO_BUFFER,
	DOD_C_NOTES_SHOWN,
	DOD_C_KASAN_ANNOTATED,
	DOD_C_KCSAN_ANNOTATED,
	DOD_C_WATCHES,
	DOD_C_WATCHES_UNFIT,
	DOD_C_WATCH_WAITS,
	DOD_C_WATCH_GIVE_UPS,
	DOD_COUNTER_COUNT
};

/* === Report types ========================================================= */

/* What can be wrong. Names, hints and all that is printed: report.c. */
enum dod_report_type {
	DOD_R_CPU_READ,
	DOD_R_CPU_WRITE,
	DOD_R_SHARED_LINE_WRITE,
	DOD_R_CACHELINE_SHARING,
	DOD_R_OVERLAPPING_MAPPING,
	DOD_R_OUT_OF_BOUNDS_MAP,
	DOD_R_USE_AFTER_FREE_MAP,
	DOD_R_VMALLOC_BUFFER,
	DOD_R_STACK_BUFFER,
	DOD_R_IMAGE_BUFFER,
	DOD_R_NOT_CONTIGUOUS,
	DOD_R_MASK_EXCEEDED,
	DOD_R_TO_DEVICE_CHANGED,
	DOD_R_DEVICE_OVERRUN,
	DOD_R_MISSING_SYNC_FOR_DEVICE,
	DOD_R_DEVICE_WROTE_NOTHING,
	DOD_R_MASK_NEVER_SET,
	DOD_R_MASK_WIDER_THAN_BUS,
	DOD_R_MASK_UNTESTED,
	DOD_R_CONFIG_NOT_INHERITED,
	DOD_R_WRITE_NEVER_SYNCED,
	DOD_R_FREE_WHILE_MAPPED,
	DOD_R_LEAK_AT_UNBIND,
	DOD_R_OWNED_AT_SHUTDOWN,
	DOD_REPORT_COUNT
};

/* === The mapping record =================================================== */

#define DOD_MAP_FRAMES	16
#define DOD_SYNC_FRAMES	6

/* Which calls made a mapping; decides what its reports and hints name. */
enum dod_kind {
	DOD_SINGLE,	/* dma_map_single(), dma_map_page() */
	DOD_SG,		/* an entry of a scatterlist */
	DOD_PAGES,	/* dma_alloc_pages() */
	DOD_IOVA,	/* dma_iova_link() */
};

/* Somebody did something: recorded in the caller's context, never changed. */
struct dod_who {
	u64 when;			/* local_clock(), ns */
	pid_t pid;
	u16 cpu;
	u16 nr_frames;
	char comm[TASK_COMM_LEN];
};

/* A call of the DMA API with an address at which no mapping is. */
enum dod_unmatched_call {
	DOD_UNMAP,
	DOD_SYNC_CALL,
	DOD_UNMATCHED_COUNT
};

/**
 * struct dod_unmatched - the last such call
 *
 * @version:	odd while the rest is written, 0 if there was none
 * @when:	local_clock()
 * @dma_addr:	the address
 * @caller:	its return address
 */
struct dod_unmatched {
	u32 version;
	u64 when, dma_addr;
	unsigned long caller;
};

/*
 * A device as it is named in reports. Copied, because a mapping that was leaked
 * outlives its device. Entries are never freed while the module is loaded.
 */
struct dod_device {
	struct hlist_node node;		/* devices_lock; read under RCU */
	const struct device *dev;	/* identity only, never dereferenced */
	const void *driver;		/* identity of the last driver seen */
	char name[48];
	char driver_name[32];
	char module[MODULE_NAME_LEN];	/* of that driver, "" if it is built in */
	u64 since;			/* local_clock() of the first mapping */
	/* As of the last map, for readers; written without a lock. */
	u64 mask, bus_limit, highest;
	u64 wires;			/* devices_lock; U64_MAX: not declared */
	struct dod_unmatched unmatched[DOD_UNMATCHED_COUNT];
	unsigned long noted;		/* bits: advice given, by type; atomic */
	u16 binding;			/* counts bindings and their ends; lifecycle.c's */
	bool coherent;
};

/* What is known of a byte range of a mapping, apart from that it is the CPU's. */
enum dod_state {
	DOD_OWNED,	/* the device owns it */
	DOD_STALE,	/* the device is done with it, but it was not synced for the CPU */
	DOD_PENDING,	/* the CPU wrote to it, and the device has not got that */
};

/**
 * struct dod_range - a node of dod_mapping.ranges
 *
 * @rb:		its place there
 * @start:	first byte, physical
 * @last:	last byte, physical
 * @subtree_last: greatest @last in the subtree
 * @dir:	direction of the call that handed it over
 * @state:	enum dod_state
 * @leads:	it begins where a hand-over began
 * @taken:	it is pending, and what the CPU has not written of it was synced for it
 */
struct dod_range {
	struct rb_node rb;
	u64 start, last;
	u64 subtree_last;
	u8 dir, state;
	bool leads, taken;
};

/*
 * What is looked for among the mappings of some memory, of which there can be thousands.
 * A bit that is set may be wrong, one that is not set is right.
 */
enum dod_mapping_kind {
	DOD_KIND_SENT_CONTENT	= BIT(0),	/* @content, DMA_TO_DEVICE */
	DOD_KIND_CONTENT	= BIT(1),	/* @content, the others */
	DOD_KIND_PENDING	= BIT(2),	/* @pending */
	DOD_KIND_WRITABLE	= BIT(3),	/* the device may write to it */
	DOD_KIND_LONE		= BIT(4),	/* not @shared */
	DOD_KIND_STALE		= BIT(5),	/* @ranges may have stale ones */
};

/**
 * struct dod_mapping - one mapping: a physically contiguous run of memory that
 * a device can reach at one bus address
 *
 * @phys_rb:	node of the index by physical address (phys shard or wide lock)
 * @start:	first byte, physical; constant
 * @last:	last byte, physical, of what may be guarded: up to the first byte that
 *		the memory checks found bad; constant
 * @phys_sum:	of the subtree, the greatest @last << 8 and all @kinds (phys shard or wide
 *		lock)
 * @dma_rb:	node of the index by bus address (bus shard or wide lock)
 * @dma_addr:	first byte as the device sees it; constant
 * @dma_last:	last byte as the device sees it, of all that was mapped; less than
 *		@dma_addr if the size makes it wrap. See dod_size(). Constant
 * @dma_max:	greatest @dma_last in the subtree (bus shard or wide lock)
 * @ended_by:	return address of the unmap call, once it has ended
 * @ranges:	what is not the CPU's alone, as disjoint &struct dod_range (phys lock)
 * @first:	the first range, so that most mappings need no other
 * @dev:	identity of the device; constant, never dereferenced
 * @device:	its names
 * @group:	the entry of the same dma_map_sg() call that leads; itself if it
 *		is the leader. Constant
 * @next:	the next entry of the same call; constant once the leader is in
 *		the bus index
 * @content:	what is known of its content, NULL if nothing is; never to be
 *		followed in a copy (phys lock)
 * @ended:	local_clock() when it was unmapped, 0 while it is live. One that is in
 *		the physical index all the same has left stale bytes (rule 3b)
 * @idle_sync:	return address of the last sync for the CPU that handed nothing over,
 *		because it was called with DMA_TO_DEVICE (phys lock)
 * @sync_off:	where the last sync_for_device began, as offset into the mapping
 * @sync_len:	and its length, 0 if there was none (phys lock)
 * @kind:	enum dod_kind; constant
 * @dir:	enum dma_data_direction of the map call; constant
 * @line:	size of the cache lines that the device shares with the CPU, 0 if
 *		it is coherent or the memory is bounced; constant
 * @trap:	enum dod_trap: whether the guard may poison it (phys lock)
 * @kinds:	bits of enum dod_mapping_kind (phys lock)
 * @spanning:	it crosses a region boundary: see owner.c; constant
 * @not_ram:	memory that the tool must not touch; not in the physical index
 * @bounced:	the kernel may copy to and from a bounce buffer; constant
 * @owned_at_map:	mapped without DMA_ATTR_SKIP_CPU_SYNC; constant
 * @in_dma_index:	whether @dma_rb is in its index (bus lock)
 * @first_used:	whether @first is in @ranges (phys lock)
 * @slab:	slab memory; constant
 * @freed:	its memory was freed: whatever is called, nobody owns any of it
 *		(phys lock). Or it was not allocated when it was mapped
 * @leaked:	its driver was unbound and has left it (phys lock)
 * @was_owned:	the device owned some of it when it was freed (phys lock)
 * @unseen:	how often the DMA API had been called where KASAN is off, when some of it
 *		became stale: see owner.c (phys lock)
 * @suspect:	the driver has made it whose probe() failed (phys lock)
 * @freed_looks: how many looks at all mappings have found it @freed and @was_owned, up to
 *		2 (phys lock)
 * @near_stack: some of its memory may be of a task's stack; constant
 * @edges:	it begins or ends inside a cache line that counts; constant
 * @own_lines:	its first line begins with it, and the others go by that: rule 10; constant
 * @unfit:	some of its memory was not allocated when it was mapped; constant
 * @shared:	another mapping gave some of its memory to a device, or it some of
 *		the other's, while both were live (phys lock)
 * @pending:	@ranges has pending ones (phys lock, read without)
 * @binding:	@device's when it was mapped: which of its drivers did; constant
 * @mark:	where it is marked: see lifecycle.c; constant
 * @dmabuf:	of which dma-buf it is, if its task was mapping one: see dmabuf.c; constant
 * @map:	who mapped it, with @map_frames
 * @sync:	who last gave a part of it to the device, with @sync_frames
 *		(phys lock)
 * @map_frames:	stack of the map call, from the driver or the DMA core outwards
 * @sync_frames: stack of the last sync_for_device
 */
struct dod_mapping {
	struct rb_node phys_rb;
	u64 start, last, phys_sum;
	struct rb_node dma_rb;
	u64 dma_addr, dma_last;
	union {
		u64 dma_max;
		unsigned long ended_by;
	};
	struct rb_root_cached ranges;
	struct dod_range first;

	const struct device *dev;
	struct dod_device *device;
	struct dod_mapping *group, *next;
	struct dod_content *content;
	u64 ended;
	unsigned long idle_sync;
	u32 sync_off, sync_len;
	u16 line;
	u8 kind, dir, trap, kinds;
	bool spanning, not_ram, bounced, owned_at_map, slab, unfit, near_stack, own_lines, edges;
	bool in_dma_index, first_used, freed, shared, pending;
	/* One byte, which all change under the phys lock. */
	bool suspect : 1, leaked : 1, was_owned : 1;
	u8 freed_looks : 2;
	u8 unseen;
	u16 binding;
	u32 mark, dmabuf;

	struct dod_who map, sync;
	unsigned long map_frames[DOD_MAP_FRAMES];
	unsigned long sync_frames[DOD_SYNC_FRAMES];
};

static_assert(sizeof(struct dod_mapping) <= 512);

/**
 * dod_memory_goes_on() - is there a struct page, if there is one for the page before?
 * @pfn: the page
 *
 * Memory has them in pieces of 2 MiB at least (SUBSECTION_SIZE in linux/mmzone.h).
 *
 * Context: any.
 */
static inline bool dod_memory_goes_on(unsigned long pfn)
{
	return pfn % (SZ_2M / PAGE_SIZE) || pfn_valid(pfn);
}

/**
 * dod_folio_last() - the last page of what a page was allocated with
 * @pfn: the page, of memory
 *
 * Pages without __GFP_COMP are each one of their own.
 *
 * Context: any. Of what was freed the answer can be any, and is not less than @pfn.
 */
static inline unsigned long dod_folio_last(unsigned long pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	if (!folio_test_large(folio))
		return pfn;
	return max(pfn, folio_pfn(folio) + folio_nr_pages(folio) - 1);
}

/**
 * dod_line_of() - where a cache line begins
 * @m: a mapping that has lines
 * @phys: a byte of the line, not before @m if the lines are the mapping's own
 *
 * Context: any.
 */
static inline u64 dod_line_of(const struct dod_mapping *m, u64 phys)
{
	u64 from = m->own_lines ? m->start : 0;

	return from + round_down(phys - from, m->line);
}

/* The size in bytes as the call gave it; what is known of the memory can be less. */
static inline u64 dod_size(const struct dod_mapping *m)
{
	return m->dma_last - m->dma_addr + 1;
}

static inline u64 dod_dma_last(const struct dod_mapping *m)
{
	return m->dma_last < m->dma_addr ? U64_MAX : m->dma_last;
}

/* === Content ============================================================== */

/**
 * struct dod_sum - what is the case with the bytes of a mapping
 *
 * @owned:	how many the device owns
 * @writable:	how many of these it may write
 * @pending:	how many the CPU wrote that the device is to get (rule 4)
 * @since:	local_clock() of the oldest such write
 * @writer:	the instruction that made it
 */
struct dod_sum {
	u64 owned, writable, pending, since;
	unsigned long writer;
};

#define DOD_BLOCK	64U
#define DOD_BLOCKS	64U
#define DOD_BYTES_AFTER	64U

/**
 * struct dod_write - a write of the CPU, recorded in its context
 *
 * @addr:	first byte written
 * @size:	bytes
 * @who:	who wrote, with @frames
 * @frames:	the stack, from the write outwards
 */
struct dod_write {
	unsigned long addr;
	size_t size;
	struct dod_who who;
	unsigned long frames[DOD_MAP_FRAMES];
};

/**
 * struct dod_pending - a range that the CPU wrote, and the device has not got
 *
 * @range:	the range, of state DOD_PENDING: whole granules, where they are in one range
 * @next:	in a list of what was lost
 * @wrote_first: first byte, physical, that is known to have been written
 * @wrote_last:	last one
 * @wrote_bytes: which bytes of each granule between them are, as bits
 * @synced_by:	return address of the sync for the CPU before it; 0 if the device owned
 *		the range
 * @write:	the first write
 */
struct dod_pending {
	struct dod_range range;
	struct dod_pending *next;
	u64 wrote_first, wrote_last;
	u8 wrote_bytes;
	unsigned long synced_by;
	struct dod_write write;
};

/* How the device is known not to get it any more. */
enum dod_lost {
	DOD_LOST_AT_SYNC,	/* a sync for the CPU, which a bounce buffer copies over it */
	DOD_LOST_AT_UNMAP,
	DOD_LOST_AT_FREE,
};

struct dod_pending *dod_pending_get(const struct dod_write *write);
struct dod_pending *dod_pending_copy(const struct dod_pending *p);
void dod_pending_put(struct dod_pending *p);
bool dod_pending_wrote(const struct dod_pending *p, u64 start, u64 last);
void dod_pending_report(const struct dod_pending *p, const struct dod_mapping *m,
			enum dod_lost how, unsigned long at);
void dod_pending_look(void);
int dod_pending_start(unsigned int reserve, unsigned int max);
void dod_pending_stop(void);

/**
 * struct dod_content - what is known of a mapping's content (phys lock)
 *
 * @valid:	bits: the slots of @block that hold
 * @slots:	how many slots there are; constant
 * @head:	how many of them are blocks from the start on, the others are those
 *		at the end; constant
 * @invalidations:	how often content was doubted before it was mapped; constant
 * @skipped:	how many blocks in the middle have none; constant
 * @changed:	bits: the slots of blocks that had changed when the CPU got them by a sync,
 *		and were not given back since
 * @nr_after:	how many bytes of @bytes hold
 * @watching:	the CPU's writes to [@watch, @watch_last] are to be known
 * @canary:	what the device gets is filled with a pattern first; constant
 * @filled:	[@fill, @fill_last] was, and is the device's since
 * @after:	address of the first byte of @bytes
 * @edges:	what shares the first and the last cache line, NULL if nothing is known;
 *		see edges.c
 * @block:	fingerprints of blocks of DOD_BLOCK bytes that the device owns and
 *		may only read
 * @bytes:	bytes behind what the device may write, that nobody may write to
 * @state:	what the guard said of their granules
 * @fill:	first byte that was filled
 * @fill_last:	last one
 * @watch:	first byte that the CPU got with dma_sync_*_for_cpu()
 * @watch_last:	last one
 * @synced_by:	return address of that call
 */
struct dod_content {
	u64 valid;
	u8 slots, head, nr_after;
	bool watching, canary, filled;
	u32 invalidations;
	u64 changed, skipped, after;
	struct dod_edges *edges;
	/* What follows is not cleared. By the direction of the mapping: */
	union {
		u32 block[DOD_BLOCKS];
		struct {
			u8 bytes[DOD_BYTES_AFTER];
			u8 state[DOD_BYTES_AFTER / 8 + 1];
			u64 fill, fill_last;
			u64 watch, watch_last;
			unsigned long synced_by;
		};
	};
};

/**
 * struct dod_edge_change - what changed beside a buffer, in its first or last line
 *
 * @after:	it follows the buffer
 * @nr:		how many bytes changed
 * @first:	physical address of the first of them
 * @last:	and of the last
 * @was:	what the first was
 * @is:		what it is
 */
struct dod_edge_change {
	bool after;
	unsigned int nr;
	u64 first, last;
	u8 was, is;
};

/**
 * struct dod_content_result - what was found while a lock was held
 *
 * @types:	bits of enum dod_report_type; the rest counts only for what is set
 * @blocks:	how many blocks changed
 * @from:	offset of the first byte of the first of them
 * @to:		offset of the last byte of the last of them
 * @untouched:	how many bytes the device left alone, and where they begin: @from
 * @touched:	the device wrote to what had been filled with a pattern
 * @overrun:	how many bytes changed behind the buffer
 * @far:	how far behind it the first of them is, from 0
 * @was:	what that byte was
 * @is:		what it is
 * @lost:	writes that the device will not get
 * @freed:	what was freed, unseen, while the device owned it
 * @edge:	what changed in a line that the device shares with others
 * @m:		a copy of the mapping, if it may have ended since
 */
struct dod_content_result {
	u32 types;
	unsigned int blocks;
	u64 from, to, untouched;
	unsigned int overrun, far;
	u8 was, is;
	bool touched;
	struct dod_pending *lost;
	struct dod_range freed;
	struct dod_edge_change edge;
	struct dod_mapping *m;
};

struct dod_access;
struct dod_call;
struct dod_guard;

void dod_content_begin(const struct dod_call *call, struct dod_mapping *m);
void dod_content_end(struct dod_mapping *m);
void dod_content_to_device(struct dod_mapping *m, u64 start, u64 last,
			   const struct dod_range *range, bool fresh, bool shared,
			   bool writable);
void dod_content_overlap(struct dod_mapping *m, u64 start, u64 last,
			 bool writable);
void dod_content_written(struct dod_mapping *m, u64 start, u64 last);
void dod_content_watch(const struct dod_call *call, struct dod_mapping *m,
		       u64 start, u64 last);
bool dod_content_watches(const struct dod_mapping *m, u64 *start, u64 *last);
void dod_content_to_cpu(const struct dod_call *call, struct dod_mapping *m,
			u64 start, u64 last, bool unmap, struct dod_content_result *found);
void dod_content_report(const struct dod_content_result *found,
			const struct dod_mapping *m, unsigned long at);
void dod_content_invalidate_all(void);
bool dod_content_was_invalidated(const struct dod_content *c);
struct dod_content *dod_content_of(struct dod_mapping *m);
int dod_content_start(const struct dod_guard *guard, unsigned int reserve,
		      unsigned int max);
void dod_content_stop(void);

bool dod_edges_known(const struct dod_mapping *m, bool after);
void dod_edges_copy(struct dod_mapping *m, bool after, u64 start, u64 last);
void dod_edges_forget(struct dod_mapping *m, u64 start, u64 last);
void dod_edges_drop(struct dod_mapping *m, bool after);
void dod_edges_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		      struct dod_content_result *found);
void dod_edges_end(struct dod_content *c);
void dod_edges_report(const struct dod_content_result *found, const struct dod_mapping *m,
		      unsigned long at);
int dod_edges_start(unsigned int max);
void dod_edges_stop(void);

void dod_reads_note(u64 phys, size_t size, unsigned long ip);
void dod_reads_describe(u64 start, u64 last, u64 since, const struct dod_mapping *m,
			char *text, size_t size);

struct dma_buf;

void dod_dmabuf_map(const struct dma_buf *buf);
void dod_dmabuf_mmap(const struct dma_buf *buf);
u32 dod_dmabuf_of_current(void);
bool dod_dmabuf_is_lent(u32 number);

/* === Guard ================================================================ */

enum dod_trap {
	DOD_TRAP_ALL,	/* every page may be guarded */
	DOD_TRAP_SOME,	/* ask for each page */
	DOD_TRAP_NONE,	/* no page may be guarded */
};

/**
 * struct dod_guard - what notices an access to memory that a device owns
 *
 * One in each kernel; guard_*.c and Kbuild say which. What has a default may be NULL.
 *
 * @name:	as the load banner shows it
 * @means:	and behind that, what it means; NULL if everything works
 * @unseen:	what is to be said of content that it did not see being changed
 * @traps:	each access traps at once, and @is_poisoned can be asked
 * @start:	get ready to notice; called before the first @poison
 * @stop:	after the last @unpoison; returns when no trap can run any more
 * @classify:	which memory of a new mapping may be guarded; counts what may not
 * @poison:	guard what the device owns of [start, last] from now on, or with
 *		DMA_NONE what is stale: it may be written and not read. Only whole
 *		granules inside the range, and the partial granule in which the
 *		mapping ends. Phys lock held, in the context of who hands it over
 * @unpoison:	stop guarding every granule that [start, last] touches. Phys lock
 *		held
 * @wait_unwatched:	after @unpoison, when no lock of ours is held and before the CPU may
 *		access [start, last]: return when nothing notices that any more.
 *		Default: that is so at once
 * @is_poisoned:	whether the granule of a linear-map address is guarded
 * @poison_line_edge:	let nobody write what is alive of [start, last], which touches the
 *		mapping on one side, from there on outwards. Phys lock held.
 *		Default: they may
 * @accessible_bytes:	how many bytes on that side of [start, last] are accessible, from
 *		the mapping outwards; guarded ones are. Too few where that is not
 *		known
 * @object_size:	how many bytes an object has that is being freed; 0 if it is not alive
 * @first_bad_byte: the first byte of a range that must not be accessed for a
 *		reason of the sanitizer's own, and what it is; NULL if there is
 *		none, or if that cannot be told
 * @redzone_bytes:	how many bytes behind a mapping nobody may write to, and which is
 *		the first; not what the allocator or the sanitizer keeps there.
 *		Default: it is not known
 * @freed:	whether some of a range was freed, as far as one granule of each page
 *		tells. Default: it is not known
 * @state:	what the sanitizer itself makes of the granule of a byte: to be
 *		compared only. Comes with @redzone_bytes
 * @watch:	tell dod_owner_write() of writes to the whole granules of
 *		[start, last], unless they are guarded; or not any more. Phys lock
 *		held. Default: it cannot
 */
struct dod_guard {
	const char *name, *means, *unseen;
	bool traps;
	int (*start)(void);
	void (*stop)(void);
	enum dod_trap (*classify)(const struct dod_mapping *m);
	void (*poison)(const struct dod_mapping *m, u64 start, u64 last, u8 dir);
	void (*unpoison)(u64 start, u64 last);
	void (*wait_unwatched)(u64 start, u64 last);
	bool (*is_poisoned)(const void *addr);
	void (*poison_line_edge)(const struct dod_mapping *m, u64 start, u64 last);
	u64 (*accessible_bytes)(u64 start, u64 last, bool after);
	u64 (*object_size)(const void *addr);
	const char *(*first_bad_byte)(u64 start, u64 last, u64 *bad, bool *freed);
	unsigned int (*redzone_bytes)(const struct dod_mapping *m, unsigned int most,
				      u64 *start);
	bool (*freed)(u64 start, u64 last);
	u8 (*state)(u64 phys);
	void (*watch)(u64 start, u64 last, bool on);
};

extern const struct dod_guard dod_guard;

enum dod_counter dod_guard_untrapped(u64 phys);
u64 dod_guard_page_end(u64 phys, u64 last);
enum dod_trap dod_guard_classify(const struct dod_mapping *m);
bool dod_guard_may_change(u64 phys);
static inline u8 *dod_kfence_pool(void)
{
#ifdef CONFIG_KFENCE
	return __kfence_pool;
#else
	return NULL;
#endif
}

/**
 * dod_guard_is_kfence() - is some of a range memory of KFENCE's?
 * @start: first byte, physical
 * @last: last byte
 *
 * Then it is to be read by dod_guard_read().
 *
 * Context: any.
 */
static inline bool dod_guard_is_kfence(u64 start, u64 last)
{
#ifdef CONFIG_KFENCE
	u8 *pool = dod_kfence_pool(), *first = phys_to_virt(start);

	return pool && first < pool + KFENCE_POOL_SIZE && first + (last - start) >= pool;
#else
	return false;
#endif
}

bool dod_guard_read(u64 start, u8 *to, unsigned int nr);
const char *dod_guard_kfence_hole(u64 start, u64 last, u64 *bad, bool *freed);

/* Of guards that mark nothing. */
#define DOD_BLIND_MEANS \
	"checks that read KASAN's shadow are off (out-of-bounds-map, use-after-free-map, shared-line-write, device-overrun, missing-sync-for-device, cacheline-sharing with slab objects)"

void dod_guard_blind_poison(const struct dod_mapping *m, u64 start, u64 last,
			    u8 dir);
void dod_guard_blind_unpoison(u64 start, u64 last);
bool dod_guard_blind_is_poisoned(const void *addr);
u64 dod_guard_blind_accessible_bytes(u64 start, u64 last, bool after);
u64 dod_guard_blind_object_size(const void *addr);
const char *dod_guard_blind_first_bad_byte(u64 start, u64 last, u64 *bad,
					   bool *freed);

/* === Stacks =============================================================== */

/* Where a function was called, and the caller's registers when it has returned. */
struct dod_site {
	unsigned long ip, sp, bp;
};

unsigned int dod_stack_save(const struct dod_site *caller, unsigned long *frames,
			    unsigned int depth);
int dod_stack_start(void);
void dod_stack_stop(void);

/* === Events, hooks.c to owner.c =========================================== */

/* A call of dma_sync_*_for_device(). */
struct dod_sync {
	struct dod_who who;
	unsigned long frames[DOD_SYNC_FRAMES];
};

/**
 * struct dod_call - one call of the DMA API, as the hooks saw it
 *
 * @dev:	the device
 * @dir:	the direction of this call
 * @kind:	the family the call belongs to
 * @attrs:	DMA_ATTR_* of a map call and of an unmap call
 * @to_device:	a map call that hands the memory over at once
 * @allocated:	a map call of the memory's allocation, which has a mask of its own:
 *		see checks.c
 * @wrong:	a map call of memory that is not the driver's: its virtual address was
 *		reported, and led there by mistake
 * @frees:	an unmap call that frees the memory, too
 * @caller:	return address of the hooked function
 * @sp:		the caller's stack pointer after the call
 * @bp:		and its frame pointer
 * @leader:	first record of this call, NULL before it
 * @tail:	last record of this call
 * @dropped:	records ran out in the middle: nothing of this call is tracked
 * @sync:	who calls, if it gives memory to the device, and is no map call
 * @unwritten:	for a list, what the device did not write of it
 */
struct dod_call {
	struct device *dev;
	enum dma_data_direction dir;
	enum dod_kind kind;
	unsigned long attrs;
	bool to_device, allocated, wrong, frees;
	unsigned long caller, sp, bp;

	struct dod_mapping *leader, *tail;
	bool dropped;
	const struct dod_sync *sync;
	struct dod_unwritten *unwritten;
};

void dod_owner_note_who(struct dod_who *who);
bool dod_owner_map_single(struct dod_call *call, const void *addr, u64 size);
void dod_owner_map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr,
		   u64 ram, bool bounced);
void dod_owner_map_end(struct dod_call *call);
void dod_owner_unmap(struct dod_call *call, u64 dma_addr, u64 size,
		     struct scatterlist *sg, int nents);
void dod_owner_sync_for_cpu(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_sync_prepare(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_sync_for_device(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_iova_to_device(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_iova_end(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_no_sync(struct dod_call *call, u64 dma_addr);
void dod_owner_sync_sg_for_cpu(struct dod_call *call, struct scatterlist *sg,
			       int nents);
void dod_owner_sync_sg_prepare(struct dod_call *call, struct scatterlist *sg,
			       int nents);
void dod_owner_sync_sg_for_device(struct dod_call *call, struct scatterlist *sg,
				  int nents);

/* === Look-ups ============================================================= */

void dod_owner_note_unseen(void);
bool dod_owner_find(u64 phys, bool write, struct dod_mapping *copy,
		    struct dod_range *range);
bool dod_owner_find_guardable(u64 start, u64 *last, struct dod_mapping *copy,
			      struct dod_range *range);
void dod_owner_guard_again(u64 phys);
void dod_owner_seen_write(u64 phys, u64 size);
void dod_owner_seen_edge_write(u64 phys, u64 last);
bool dod_owner_excuse(u64 phys, const struct dod_mapping *copy);
bool dod_owner_write(const struct dod_access *access, const struct dod_write *record);
bool dod_owner_find_edge(u64 phys, struct dod_mapping *copy,
			 struct dod_range *range);
bool dod_owner_find_other(const struct dod_mapping *m, u64 start, u64 last,
			  bool writable, struct dod_mapping *copy);
u64 dod_owner_up_to_group(const struct dod_mapping *m, u64 start, u64 last,
			  bool after);
bool dod_owner_find_mapping(u64 phys, u64 near, struct dod_mapping *copy);
struct dod_device *dod_owner_device(const struct device *dev, const char *name);
int dod_owner_next_device(int skip, struct dod_device *copy);
bool dod_owner_find_dma(const struct device *dev, u64 dma_addr, u64 near,
			struct dod_mapping *copy);
void dod_owner_set_wires(void);
unsigned int dod_owner_note_suspects(const struct device *dev, u16 binding,
				     const struct device_driver *driver);
bool dod_owner_next(unsigned int *shard, u64 *start, unsigned int *skip,
		    struct dod_mapping *copy, struct dod_sum *sum);

/**
 * struct dod_freed - a mapping whose memory is being freed
 *
 * @m:		a copy of it
 * @owned:	the device owns some of that memory: @range
 * @range:	what it owns
 * @lost:	writes that the device will not get
 */
struct dod_freed {
	struct dod_mapping m;
	bool owned;
	struct dod_range range;
	struct dod_pending *lost;
};

bool dod_owner_free(u64 *start, u64 last, bool object, struct dod_freed *freed);
void dod_owner_free_end(u64 start, u64 last);
void dod_owner_mark_leaked(const struct dod_mapping *copy);
bool dod_owner_next_freed(unsigned int *shard, u64 *start, struct dod_mapping *copy,
			  struct dod_range *range);

int dod_owner_start(const struct dod_guard *guard, unsigned int reserve,
		    unsigned int max);
void dod_owner_stop(void);
void dod_owner_stop_guarding(void);
long dod_owner_live(void);

/* === Pool ================================================================= */

struct dod_pool_shard;

/**
 * struct dod_pool - objects that a hook can take in any context
 *
 * @size:	of an object, bytes
 * @blocks:	the pages that they are cut out of, by their lru
 * @uncut:	the rest of the newest block
 * @nr_uncut:	and how many objects there are in it
 * @shards:	one free list per possible CPU
 * @nr_shards:	how many
 * @reserve:	objects to keep free
 * @max:	most objects to allocate
 * @low:	a list that is not longer is a reason to see how many are free
 * @step:	when its length is a multiple of this
 * @total:	objects allocated
 * @refill:	what fills it up
 */
struct dod_pool {
	size_t size;
	struct list_head blocks;
	void *uncut;
	unsigned int nr_uncut;
	struct dod_pool_shard *shards;
	unsigned int nr_shards;
	unsigned int reserve, max, low, step;
	atomic_long_t total;
	struct dod_worker refill;
};

int dod_pool_init(struct dod_pool *pool, size_t size, unsigned int reserve,
		  unsigned int max);
void dod_pool_destroy(struct dod_pool *pool);
void *dod_pool_get(struct dod_pool *pool);
void dod_pool_put(struct dod_pool *pool, void *obj);
long dod_pool_free(const struct dod_pool *pool);

extern struct dod_pool dod_mapping_pool;

/* === Checks =============================================================== */

/**
 * struct dod_finding - what a check found about a mapping
 *
 * @type:	what is wrong
 * @at:		return address of the call that found it; 0 for the map call
 * @text:	sentences that say what was found, with a newline after each
 * @addr:	the buffer's address where that is not in the linear map, else 0
 * @object:	an address whose object is to be named, NULL for none
 * @other:	the other party, NULL if there is none
 * @freed:	what the first bad byte is in has been freed
 * @bad:	the first byte that must not be accessed; for checks.c, as what follows
 * @what:	what it is in, NULL if there is none
 * @ram:	after how many bytes the mapping leaves RAM then, 0 if it does not
 * @next:	the first byte of another allocation, 0 if there is none
 */
struct dod_finding {
	enum dod_report_type type;
	unsigned long at;
	char text[512];
	unsigned long addr;
	const void *object;
	struct dod_mapping *other;
	bool freed;
	u64 bad;
	const char *what;
	u64 ram, next;
};

void dod_checks_start(const struct dod_guard *guard);
u16 dod_checks_line(struct device *dev);
bool dod_checks_on_stack(const struct page *page);
bool dod_checks_near_stack(u64 start, u64 last);
bool dod_checks_bounced(struct device *dev, u64 phys, u64 dma_addr);
bool dod_checks_linear(const void *addr);
void dod_checks_single(const struct dod_mapping *m, const void *addr);
bool dod_checks_before(const struct dod_call *call, struct dod_mapping *m);
void dod_checks_after(const struct dod_call *call, const struct dod_mapping *m);
bool dod_checks_own_data(const struct dod_mapping *m);
bool dod_checks_own_lines(const struct dod_call *call, const struct dod_mapping *m);
int dod_checks_set_wires(const char *val);
u64 dod_checks_wires(const struct dod_device *d);

void dod_pagemarks_start(void);
void dod_pagemarks_look(void);
bool dod_pagemarks_known(void);
const void *dod_pagemark(unsigned long pfn);

/* === Lifecycle ============================================================ */

void dod_lifecycle_mark(struct dod_mapping *m);
void dod_lifecycle_unmark(const struct dod_mapping *m);
void dod_lifecycle_free(const void *ptr, unsigned long ip);
void dod_lifecycle_pool_free(void *element, const mempool_t *pool, unsigned long ip);
void dod_lifecycle_freed(const struct dod_mapping *m, const struct dod_range *range,
			 const char *found);
void dod_lifecycle_reused(const struct dod_mapping *leak, const struct dod_range *range,
			  const struct dod_mapping *m);
void dod_lifecycle_see(const struct bus_type *bus);
void dod_lifecycle_shutdown(void);
bool dod_lifecycle_lookup(const char *device, u64 dma_addr, char *text, size_t size);
int dod_lifecycle_start(const struct dod_guard *guard);
void dod_lifecycle_stop(void);

/* === Reports ============================================================== */

/* What the filter parameters go by, in the order of their names. */
enum dod_filter_by {
	DOD_BY_TYPE,	/* off_types */
	DOD_BY_DRIVER,	/* off_drivers */
	DOD_BY_DEVICE,	/* off_devices */
	DOD_BY_COUNT
};

/**
 * struct dod_access - the CPU access that a guard trapped
 *
 * @addr:	first byte accessed
 * @size:	bytes accessed
 * @write:	a write
 * @bad:	physical address of the first byte that a device owns
 * @ip:		return address of the access, as the compiler gave it
 */
struct dod_access {
	unsigned long addr;
	size_t size;
	bool write;
	u64 bad;
	unsigned long ip;
};

#define DOD_RACE_FRAMES	32
#define DOD_RACE_CHARS	120

/**
 * struct dod_race - the CPU access of a race that KCSAN has reported
 *
 * @addr:	first byte accessed
 * @size:	bytes accessed
 * @write:	a write
 * @pid:	of the task that did it, -1 in an interrupt
 * @cpu:	where
 * @when:	local_clock() when KCSAN began to say so
 * @nr_frames:	how many of @frames there are
 * @frames:	as KCSAN printed them, from the access outwards
 */
struct dod_race {
	unsigned long addr;
	size_t size;
	bool write;
	int pid, cpu;
	u64 when;
	unsigned int nr_frames;
	char frames[DOD_RACE_FRAMES][DOD_RACE_CHARS];
};

void dod_report_access(const struct dod_access *access,
		       const struct dod_mapping *m,
		       const struct dod_range *range);
void dod_report_race(const struct dod_race *race, const struct dod_mapping *m,
		     const struct dod_range *range);
bool dod_report_is_watchable(const struct dod_mapping *m, u8 dir);
void dod_report_fail_raced_test(void);
void dod_report_shared_line(const struct dod_access *access,
			    const struct dod_mapping *m,
			    const struct dod_range *range);

/**
 * struct dod_free - memory is being freed
 *
 * @addr:	its first byte
 * @size:	bytes
 * @ip:		return address into the function that frees it
 * @found:	it was freed some time ago, unseen: when that was found; else NULL
 */
struct dod_free {
	unsigned long addr;
	u64 size;
	unsigned long ip;
	const char *found;
};

/**
 * struct dod_leak - mappings that were made in one place and are left
 *
 * @m:		a copy of one of them
 * @nr:		how many
 * @bytes:	in all
 */
struct dod_leak {
	struct dod_mapping m;
	unsigned int nr;
	u64 bytes;
};

/**
 * struct dod_leaks - mappings of a device that are left
 *
 * @type:	at what occasion
 * @text:	sentences that say what was found, with a newline after each
 * @all:	of all mappings; @all.m is not used
 * @nr:		how many places
 * @places:	largest first
 */
struct dod_leaks {
	enum dod_report_type type;
	char text[320];
	struct dod_leak all;
	unsigned int nr;
	struct dod_leak places[32];
};

void dod_report_leaks(const struct dod_leaks *leaks);
void dod_report_free(const struct dod_free *f, const struct dod_mapping *m,
		     const struct dod_range *range);
void dod_report_mapping(const struct dod_finding *f,
			const struct dod_mapping *m);
bool dod_report_note(enum dod_report_type type, struct dod_device *device,
		     const char *fmt, ...) __printf(3, 4);
bool dod_report_is_filtered(enum dod_report_type type,
			    const struct dod_device *device);
bool dod_report_note_write(const struct dod_access *access, u8 dir,
			   struct dod_write *write);
void dod_report_lost_write(const struct dod_mapping *m, const struct dod_pending *p,
			   enum dod_lost how, unsigned long at);
void dod_report_note_unmatched(struct dod_device *device,
			       enum dod_unmatched_call what, u64 dma_addr,
			       unsigned long caller);
void dod_report_annotate(const struct dod_mapping *m, u64 phys);
void dod_report_annotate_missed(void);
void dod_report_forget(void);
int dod_report_start(void);
void dod_report_stop(void);
const char *dod_function_name(unsigned long ip, char *buf, size_t size);
unsigned long dod_report_map_frame(const struct dod_mapping *m);
const char *dod_report_name(enum dod_report_type type);
const char *dod_report_dir(u8 dir);
bool dod_report_is_advice(enum dod_report_type type);
long dod_report_count(enum dod_report_type type);
int dod_report_set_filter(enum dod_filter_by by, const char *val);

extern u32 dod_types_off;	/* bits; report.c */

/**
 * dod_report_is_off() - is a type off everywhere?
 * @type: the type
 *
 * What is only there to find it need not be done.
 *
 * Context: any.
 */
static inline bool dod_report_is_off(enum dod_report_type type)
{
	return READ_ONCE(dod_types_off) & BIT(type);
}

/* === Front door =========================================================== */

/* What the parameter content can be, in the order of its names. */
enum dod_content_param {
	DOD_CONTENT_OFF,
	DOD_CONTENT_SAMPLE,
	DOD_CONTENT_ON,
};

/**
 * struct dod_params - the module parameters that others read
 *
 * @panic:	fault=panic
 * @strict:	report the idioms of permissive.h, too
 * @trap_user:	poison memory that user space or the page cache can reach
 * @dedup:	report a (type, access, mapping) once
 * @report_burst: reports per 5 s, 0 for no limit
 * @kunit_fail:	a report fails the running KUnit test
 * @untested_after: seconds of use after which a device that claims more than 32
 *		address bits should have used one of them
 * @noncoherent: judge every device as if it were not coherent, with cache lines
 *		of this size; 0 judges each as it is
 * @pending_after: seconds after which a write that nobody syncs is noted
 * @content:	enum dod_content_param: know the content of which mappings
 * @content_sample: of one in so many, where @content says so
 * @content_max: of so many bytes
 * @canary:	fill what devices are to write with a pattern
 * @watch_cpu:	percent of a CPU that a guard that acts by itself may use
 * @watch_recent: percent of its looks that go to what devices got last
 * @watch_writes: remember what the CPU writes to one of so many ranges that it gets
 *		by a sync; 0 for none
 */
struct dod_params {
	bool panic;
	bool strict;
	bool trap_user;
	bool dedup;
	unsigned int report_burst;
	bool kunit_fail;
	unsigned int noncoherent;
	unsigned int untested_after;
	unsigned int pending_after;
	u8 content;
	unsigned int content_sample;
	unsigned int content_max;
	unsigned int watch_writes;
	bool canary;
	unsigned int watch_cpu;
	unsigned int watch_recent;
};

extern struct dod_params dod_params;

/* False until every hook works and from the moment the module is to go. */
extern bool dod_armed;

/* From the moment the kernel panics; set by hooks.c and report.c. */
extern bool dod_panicking;

/**
 * dod_in_panic() - is the kernel dying?
 *
 * Other CPUs were stopped wherever they were: no lock of ours is to be had. A console's
 * driver may still map memory.
 *
 * Context: any.
 */
static inline bool dod_in_panic(void)
{
	return unlikely(READ_ONCE(dod_panicking));
}

/**
 * dod_may_lock() - may a lock of ours be taken here?
 *
 * Context: any.
 */
static inline bool dod_may_lock(void)
{
	return !in_nmi() && !dod_in_panic();
}

/**
 * dod_ago() - how long ago something happened
 * @now: local_clock()
 * @when: what it was then, on any CPU
 *
 * The clocks of two CPUs may differ by a little.
 *
 * Return: nanoseconds, 0 for what seems to be in the future.
 */
static inline u64 dod_ago(u64 now, u64 when)
{
	return (s64)(now - when) > 0 ? now - when : 0;
}

void dod_broken(const char *what);
void dod_stop(const char *why);

void dod_count(enum dod_counter counter);
void dod_counters_reset(void);
long dod_counter_read(enum dod_counter counter);
void dod_count_wait(u64 ns);

#if IS_ENABLED(CONFIG_DYNAMIC_FTRACE)
int dod_hooks_start(const struct dod_guard *guard, unsigned int *nr);
bool dod_hooks_are_stuck(void);
void dod_hooks_stop_giving(void);
void dod_hooks_stop(void);
bool dod_hooks_selftest_access(const struct dod_mapping *m, bool write);
bool dod_hooks_rmw_is_write(void);
bool dod_hooks_see_dmabufs(void);
#else
static inline int dod_hooks_start(const struct dod_guard *guard,
				  unsigned int *nr)
{
	return -EOPNOTSUPP;
}

static inline bool dod_hooks_are_stuck(void)
{
	return false;
}

static inline void dod_hooks_stop_giving(void) {}
static inline void dod_hooks_stop(void) {}
static inline bool dod_hooks_selftest_access(const struct dod_mapping *m, bool write)
{
	return false;
}

static inline bool dod_hooks_rmw_is_write(void)
{
	return false;
}

static inline bool dod_hooks_see_dmabufs(void)
{
	return false;
}
#endif

void dod_debugfs_start(void);
void dod_debugfs_stop(void);

/* For the KUnit suites, which run without a file system. */
int dma_owner_debug_param_set(const char *name, const char *val);
long dma_owner_debug_count(const char *name);
void dma_owner_debug_flush(void);

#endif /* DMA_OWNER_DEBUG_H */
