/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA owner debug: the types that all folders share. For more info see Documentation/design.rst.
 *
 * Locks, outermost first. All are raw spinlocks, taken with interrupts off (base/lock.h):
 *
 *   DMA page                mappings by DMA address, of devices that memory is translated for
 *     DMA region            those of several pages
 *       DMA spanning        those of several regions
 *         page              mappings by physical address, and the shadow of the page
 *           region          those of several pages, and the shadow of these pages
 *             spanning      those of several regions
 *               readers_lock  who reads ended mappings
 *               pool depot  free objects that no CPU has for itself
 *   devices_lock            names of devices
 *     wires_lock            the parameter wires
 *     pool depot
 *
 * Files have locks of their own, inside of which no other is taken. None of ours is held
 * while anything is printed, and none is taken in a panic or an NMI.
 */
#ifndef DMA_OWNER_DEBUG_H
#define DMA_OWNER_DEBUG_H

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/types.h>

#undef pr_fmt
#define pr_fmt(fmt) "dma_owner_debug: " fmt

#define DOD_VERSION	"1.1"

/* Which pages of a mapping may be poisoned. */
enum dod_trap {
	DOD_TRAP_ALL,
	DOD_TRAP_SOME,	/* dod_memory_can_trap() says which */
	DOD_TRAP_NONE,
};

/* What the pages of a mapping are, as bits: found in one pass when it is made. */
enum dod_memory_facts {
	DOD_MEM_SLAB	= BIT(0),	/* slab memory */
	DOD_MEM_USER	= BIT(1),	/* user space or the page cache can reach it (rule 8) */
	DOD_MEM_LARGE	= BIT(2),	/* of a compound page */
	DOD_MEM_SEVERAL	= BIT(3),	/* of more than one folio */
	DOD_MEM_APART	= BIT(4),	/* these may be of different allocations */
	DOD_MEM_ODD	= BIT(5),	/* not RAM, reserved, free, KFENCE's, a stack, or cut off */
	DOD_MEM_GOOD	= BIT(6),	/* the checks found all of it accessible */
};

/* The most frames of a stack that are kept. Even numbers: see base/stack_orc.c. */
#define DOD_MAP_FRAMES	12
#define DOD_SYNC_FRAMES	6
#define DOD_WRITE_FRAMES	16

/* Where a function was called, and the caller's registers when it has returned. */
struct dod_site {
	unsigned long ip, sp, bp;
};

/* A return address, packed: see base/stack.h. */
struct dod_frame {
#if BITS_PER_LONG == 32 || defined(CONFIG_X86_64) || defined(CONFIG_ARM64) || defined(CONFIG_RISCV)
	s32 off;
#else
	long off;	/* modules can be anywhere */
#endif
};

/* Which calls made a mapping; decides what its reports and hints name. */
enum dod_kind {
	DOD_SINGLE,	/* dma_map_single(), dma_map_page() */
	DOD_SG,		/* an entry of a scatterlist */
	DOD_PAGES,	/* dma_alloc_pages() */
	DOD_IOVA,	/* dma_iova_link() */
	DOD_COHERENT,	/* dma_alloc_coherent(): no mapping, but described as one in a report */
};

/* Somebody did something: recorded in the caller's context, never changed. */
struct dod_who {
	u64 when;			/* local_clock(), ns */
	pid_t pid;
	u16 cpu;
	u16 nr_frames;
	char comm[TASK_COMM_LEN];
};

/* Calls of the DMA API by which memory changes hands, as the trace events have them. */
enum dod_api {
	DOD_API_MAP,
	DOD_API_UNMAP,
	DOD_API_SYNC_FOR_CPU,
	DOD_API_SYNC_FOR_DEVICE,
	DOD_API_NO_SYNC,	/* the kernel lets the driver skip syncs: nobody knows the owner */
};

/* A call of the DMA API with an address that no mapping has. */
enum dod_unmatched_call {
	DOD_UNMAP,
	DOD_SYNC_CALL,
	DOD_UNMATCHED_COUNT
};

/**
 * struct dod_unmatched - the last such call of a device
 *
 * @version:	odd while the rest is written, 0 if there was none
 * @when:	local_clock()
 * @dma_addr:	the address
 * @caller:	return address of the call
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
	struct hlist_node node;		/* devices_lock, read without */
	const struct device *dev;	/* identity only, never dereferenced */
	const void *driver;		/* identity of the last driver seen */
	char name[48];
	char driver_name[32];
	char module[MODULE_NAME_LEN];	/* of that driver, "" if it is built in */
	u64 since;			/* local_clock() of the first mapping, 0 before it */
	/* As of the last map, for readers; written without a lock. */
	u64 mask, bus_limit, highest;
	u64 wires;			/* devices_lock; U64_MAX: not declared */
	struct dod_unmatched unmatched[DOD_UNMATCHED_COUNT];
	DECLARE_BITMAP(noted, 64);	/* notes printed, by type; atomic */
	atomic64_t owned;		/* bytes that it owns, while that is traced */
	atomic_t nr_reports;		/* faults found, shown or not; not those filtered out */
	u16 binding;			/* counts when drivers were bound and unbound */
	u8 name_size;			/* of @name, as far as it is compared */
	bool coherent;
	bool translated;		/* by an IOMMU, when the driver was bound */
	bool untrusted;			/* an IOMMU's driver bounces parts of pages for it */
	bool lost_track;		/* something was mapped that the tool does not track */
};

/* The state of a byte range of a mapping; the CPU owns all bytes that are in no range. */
enum dod_state {
	DOD_OWNED,	/* the device owns it */
	DOD_STALE,	/* the device is done with it, but it was not synced for the CPU */
	DOD_PENDING,	/* the CPU wrote it, and no sync_for_device has covered it yet */
};

/**
 * struct dod_range - a node of dod_mapping.ranges
 *
 * @rb:		its place there
 * @start:	first byte, physical
 * @last:	last byte, physical
 * @dir:	direction of the call that made the device the owner
 * @state:	enum dod_state
 * @leads:	its first byte is the first one of that call (rule 6b)
 * @rest_synced: it is pending, and a sync for the CPU has covered the bytes of its
 *		granules that the CPU has not written
 */
struct dod_range {
	struct rb_node rb;
	u64 start, last;
	u8 dir, state;
	bool leads, rest_synced;
};

/**
 * struct dod_handover - a sync that changed who owns bytes of a mapping
 *
 * @when:	local_clock(); 0 if there was none
 * @first:	offset of its first byte in the mapping
 * @how:	its length and the kind of the call: see handover_how()
 * @by:		the caller
 *
 * Packed, for there are two in each record.
 */
struct dod_handover {
	u64 when;
	u32 first, how;
	struct dod_frame by;
} __packed __aligned(4);

/*
 * Kinds of mappings, by which the index finds some among thousands of the same memory. A
 * mapping of a kind has its bit set; the bit may also be set for no reason.
 */
enum dod_mapping_kind {
	DOD_KIND_SENT_CONTENT	= BIT(0),	/* @content, DMA_TO_DEVICE */
	DOD_KIND_CONTENT	= BIT(1),	/* @content, other directions */
	DOD_KIND_PENDING	= BIT(2),	/* @pending */
	DOD_KIND_WRITABLE	= BIT(3),	/* the device may write to it */
	DOD_KIND_LONE		= BIT(4),	/* not @shared */
	DOD_KIND_STALE		= BIT(5),	/* @ranges has stale ones */
};

/**
 * struct dod_mapping - one mapping: a physically contiguous run of memory that a device can
 * reach at one DMA address
 *
 * "Physical lock" is the area of the mapping, "DMA lock" the lock of its tree in the index by
 * DMA address: see owner/index.h. A field without a lock is constant once the mapping is
 * indexed.
 *
 * @phys_rb:	node of the physical index (physical lock)
 * @start:	first byte, physical
 * @last:	last byte, physical, of what may be poisoned: up to the first bad byte that the
 *		checks of the memory found
 * @phys_sum:	of the subtree, the greatest @last << 8 and all @kinds (physical lock)
 * @dma_rb:	node of the DMA index (DMA lock)
 * @ended:	local_clock() when it was unmapped, once it has ended
 * @dma_addr:	first byte as the device sees it
 * @dma_last:	last byte as the device sees it, of all that was mapped; less than @dma_addr if
 *		the size makes it wrap. See dod_size()
 * @dma_max:	greatest @dma_last in the subtree (DMA lock)
 * @ended_by:	return address of the unmap call, once it has ended
 * @ranges:	the bytes that the CPU does not own, or owns with a write pending, as disjoint
 *		&struct dod_range (physical lock)
 * @first:	the first range, so that most mappings need no other
 * @dev:	identity of the device, never dereferenced
 * @device:	its names
 * @group:	the leader, which is the first entry of the same dma_map_sg() call; may be itself
 * @next:	the next entry of the same call; constant once the leader is linked
 * @spare:	a range that is not in @ranges, but is kept for the next one, or NULL (physical
 *		lock)
 * @content:	what is known of its content, NULL if nothing is; not to be followed in a copy
 *		(physical lock)
 * @idle_sync:	return address of the last sync for the CPU that did nothing, because it was
 *		called with DMA_TO_DEVICE (physical lock)
 * @sync_off:	where the last sync_for_device began, as offset into the mapping
 * @sync_len:	and its length, 0 if there was none (physical lock)
 * @line:	size of the cache lines that the device shares with the CPU, 0 if it is coherent
 *		or the memory is bounced
 * @kind:	enum dod_kind
 * @dir:	enum dma_data_direction of the map call
 * @trap:	enum dod_trap: whether the guard may poison it (physical lock)
 * @kinds:	bits of enum dod_mapping_kind (physical lock)
 * @spanning:	it crosses a region boundary: see owner/index.h
 * @in_page:	it is in one page, and so are its lines
 * @direct:	its DMA address tells where its memory is: not in the index by DMA address
 * @not_ram:	memory that the tool must not touch; not in the physical index
 * @bounced:	the kernel may copy to and from a bounce buffer
 * @owned_at_map: mapped without DMA_ATTR_SKIP_CPU_SYNC
 * @slab:	slab memory
 * @unfit:	some of its memory was not allocated when it was mapped
 * @memory:	bits of enum dod_memory_facts, of more than one page if any of them is so
 * @own_lines:	its cache lines are counted from its first byte: rule 10
 * @edges:	it begins or ends inside a cache line that is shared with the CPU
 * @linked:	unmaps and syncs find it by its DMA address (physical lock if @direct, else DMA
 *		lock)
 * @first_used:	whether @first is in @ranges (physical lock)
 * @freed:	its memory was freed, so that nobody owns any of it whatever is called; or it was
 *		not allocated when it was mapped (physical lock)
 * @shared:	the device of another mapping owned some of the memory, or this device some of
 *		that one's, while both were live (physical lock)
 * @pending:	@ranges has pending ones (physical lock, read without)
 * @suspect:	the driver whose probe() failed has made it (physical lock)
 * @leaked:	its driver was unbound and has left it (physical lock)
 * @was_owned:	the device owned some of it when it was freed (physical lock)
 * @freed_scans: how many scans have found it @freed and @was_owned, up to 2 (physical lock)
 * @sync_kind:	enum dod_kind of the last sync_for_device, while the history is on (physical lock)
 * @forgot_sync: the history does not remember all syncs (physical lock)
 * @slice_open:	it was freed while its slice was open in a trace (physical lock)
 * @has_ended:	it was unmapped. If it is indexed all the same, some of it is stale (rule 3b)
 * @unseen:	how often the DMA API had been called where KASAN is off, when some of it became
 *		stale: see owner/poison.c (physical lock)
 * @binding:	of @device when it was mapped: which of its drivers did
 * @cpu_at_map:	the CPU owned it after the map call
 * @traced:	of which trace its bytes are counted: see report/trace.c (physical lock)
 * @site:	where owner/profile.c counts it, 0 if nowhere; constant once its call has returned
 * @counted_at: where base/mapped_pages.c counts it
 * @dmabuf:	of which dma-buf it is, if its task was mapping one: see judge/dmabuf.c
 * @index:	tells records apart, in trace events
 * @map:	who mapped it, with @map_frames
 * @sync:	who last synced some of it for the device, with @sync_frames (physical lock)
 * @map_frames:	stack of the map call, from the driver or the DMA core outwards
 * @sync_frames: stack of the last sync_for_device
 * @sync_before: the sync for the device before @sync (physical lock)
 * @other_sync:	the last sync that is not one of those: for the CPU, nearly always (physical lock)
 */
struct dod_mapping {
	struct rb_node phys_rb;
	u64 start, last, phys_sum;
	union {
		struct rb_node dma_rb;
		u64 ended;
	};
	u64 dma_addr, dma_last;
	union {
		u64 dma_max;
		unsigned long ended_by;
	};
	struct rb_root ranges;
	struct dod_range first;

	const struct device *dev;
	struct dod_device *device;
	struct dod_mapping *group, *next;
	struct dod_range *spare;
	struct dod_content *content;
	u32 sync_off, sync_len;
	struct dod_frame idle_sync;
	u16 line;
	u8 kind, dir, trap, kinds, memory;
	bool spanning, owned_at_map;
	bool in_page, direct, linked, pending;
	/* One byte: constant, and rarely set. */
	u8 slab : 1, unfit : 1, own_lines : 1, edges : 1, not_ram : 1, bounced : 1, cpu_at_map : 1;
	/* One byte: all change under the physical lock. */
	u8 first_used : 1, freed : 1, shared : 1, suspect : 1, leaked : 1, was_owned : 1;
	u8 freed_scans : 2, forgot_sync : 1, slice_open : 1;
	u8 unseen, traced, sync_kind;
	bool has_ended;
	u16 binding, site;
	u32 counted_at, dmabuf, index;

	struct dod_who map, sync;
	struct dod_frame map_frames[DOD_MAP_FRAMES];
	struct dod_frame sync_frames[DOD_SYNC_FRAMES];
	struct dod_handover sync_before, other_sync;
};

/* With what is known of the content, a live mapping takes less than 512 bytes on average. */
static_assert(sizeof(struct dod_frame) > sizeof(s32) || sizeof(struct dod_mapping) <= 424);

/**
 * dod_line_of() - where a cache line begins
 * @m: a mapping that has lines
 * @phys: a byte of the line, not before @m if the lines are the mapping's own
 *
 * Return: the first byte of the line, physical.
 */
static inline u64 dod_line_of(const struct dod_mapping *m, u64 phys)
{
	u64 from = m->own_lines ? m->start : 0;

	return from + round_down(phys - from, m->line);
}

/* The size in bytes, as the caller passed it; [@start, @last] can be less. */
static inline u64 dod_size(const struct dod_mapping *m)
{
	return m->dma_last - m->dma_addr + 1;
}

/* The last byte as the device sees it, also where the size makes it wrap. */
static inline u64 dod_dma_last(const struct dod_mapping *m)
{
	return m->dma_last < m->dma_addr ? U64_MAX : m->dma_last;
}

/* Bytes for each byte of KASAN's shadow. */
#define DOD_GRANULE	8

/**
 * struct dod_write - a write of the CPU, recorded where it was made
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
	struct dod_frame frames[DOD_WRITE_FRAMES];
};

/**
 * struct dod_pending - a range that the CPU wrote, and no sync_for_device has covered yet
 *
 * @range:	the range, of state DOD_PENDING: whole granules, where they are in one range
 * @next:	in a list of lost writes
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

/**
 * dod_pending_wrote() - is some of a range known to have been written?
 * @p: the record of the write
 * @start: first byte, physical
 * @last: last byte
 *
 * A pending range is whole granules, and so may be longer. The physical lock of its mapping
 * is held, or @p is a copy.
 *
 * Return: whether it is.
 */
static inline bool dod_pending_wrote(const struct dod_pending *p, u64 start, u64 last)
{
	start = max(start, p->wrote_first);
	last = min(last, p->wrote_last);
	for (; start <= last; start++)
		if (p->wrote_bytes & BIT(start % DOD_GRANULE))
			return true;
	return false;
}

/* The call after which a pending write cannot reach the device any more. */
enum dod_lost {
	DOD_LOST_AT_SYNC,	/* for the CPU: a bounce buffer is copied over the write */
	DOD_LOST_AT_UNMAP,
	DOD_LOST_AT_FREE,
};

/* A call of dma_sync_*_for_device(). */
struct dod_sync {
	struct dod_who who;
	struct dod_frame frames[DOD_SYNC_FRAMES];
};

/**
 * struct dod_call - one call of the DMA API, as the hooks see it
 *
 * @dev:	the device
 * @dir:	enum dma_data_direction of this call
 * @kind:	enum dod_kind: the family the call belongs to
 * @to_device:	a map call after which the device owns the memory
 * @allocated:	a map call of the memory's allocation: see judge/map_mask.c for its mask
 * @wrong:	a map call of memory that is not the driver's: its virtual address was reported,
 *		and led there by mistake
 * @plain:	a map call of memory that can be plain: see owner/map.c
 * @frees:	an unmap call that frees the memory, too
 * @dropped:	there were too few records: nothing of this call is tracked
 * @memory:	of what is being mapped, bits of enum dod_memory_facts
 * @runs:	of a list: how many records its runs may still need, at most
 * @attrs:	DMA_ATTR_* of a map or unmap call
 * @caller:	return address of the hooked function
 * @site:	the same, with the caller's registers
 * @records:	free ones for the next runs, by dod_pool_next()
 * @leader:	first mapping of this call, NULL before it
 * @tail:	last mapping of this call
 * @event:	the row of what it does to mapped memory, unless it is a map or unmap call
 * @when:	local_clock(), for a sync for the CPU and dma_iova_sync(), if the history is on
 * @sync:	who calls, for a sync_for_device
 * @unwritten:	for a list, what the device did not write of it
 */
struct dod_call {
	struct device *dev;
	u8 dir, kind;
	bool to_device, allocated, wrong, plain, frees, dropped;
	unsigned int runs;
	unsigned long attrs;
	u8 memory;
	union {
		unsigned long caller;
		struct dod_site site;
	};

	struct dod_mapping *records, *leader, *tail;
	const struct dod_transition *event;
	u64 when;
	const struct dod_sync *sync;
	struct dod_unwritten *unwritten;
};

/**
 * struct dod_access - a CPU access that a guard trapped
 *
 * @addr:	first byte accessed
 * @size:	bytes accessed
 * @or_more:	there may be more of them
 * @write:	a write
 * @fault:	of a page: @ip is where the access is, in memcpy() for example
 * @bad:	physical address of the first byte that a device owns
 * @ip:		return address of the access, as the compiler gave it
 */
struct dod_access {
	unsigned long addr;
	size_t size;
	bool or_more, write, fault;
	u64 bad;
	unsigned long ip;
};

/**
 * dod_ago() - how long ago something happened
 * @now: local_clock()
 * @when: local_clock() then, on any CPU; clocks may differ by a little
 *
 * Return: nanoseconds, 0 for what seems to be in the future.
 */
static inline u64 dod_ago(u64 now, u64 when)
{
	return (s64)(now - when) > 0 ? now - when : 0;
}

/* Exported for the KUnit suites, which run without a file system. */
int dma_owner_debug_param_set(const char *name, const char *val);
long dma_owner_debug_count(const char *name);
void dma_owner_debug_flush(void);
void dma_owner_debug_reports(char *buf, size_t size);
int dma_owner_debug_exposure(const struct device *dev, char *buf, size_t size);

#endif /* DMA_OWNER_DEBUG_H */
