/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who owns which byte. attach/ calls the events, as the kernel calls the DMA API; judge/ calls
 * the look-ups, from a trap, from its checks and from its scans. Context: any but NMI, where
 * nothing else is said. No lock of ours is held.
 */
#ifndef DOD_OWNER_H
#define DOD_OWNER_H

#include "../dma_owner_debug.h"

struct scatterlist;

extern struct dod_pool dod_mapping_pool;

/* The state of a mapping: how many bytes are in which. */
struct dod_sum {
	bool leads;		/* an unmap ends it, by its DMA address; not a later list entry */
	u64 owned, writable;	/* by the device; and how many of these it may write */
	u64 pending;		/* wait for a sync_for_device after a write (rule 4) */
	u64 since;		/* local_clock() of the oldest such write */
	unsigned long writer;	/* the instruction that made it */
};

/* An event, apart from map and unmap, that can change who owns mapped memory. */
enum dod_event {
	DOD_SYNC_FOR_CPU,	/* dma_sync_*_for_cpu(), at its entry: before a bounce copy */
	DOD_SYNC_PREPARE,	/* dma_sync_*_for_device(), at its entry: before a bounce copy */
	DOD_SYNC_FOR_DEVICE,	/* dma_sync_*_for_device(), at its end */
	DOD_SYNC_IOVA,		/* dma_iova_sync(): by dod_owner_iova_to_device() */
	DOD_NO_SYNC_NEEDED,	/* dma_need_sync() has told a driver that it may skip syncs */
	DOD_SYNCS_SKIPPED,	/* the kernel skips those of the device, also if it is bounced */
};

/* Some memory may be bounced; until then, DOD_SYNC_PREPARE has nothing to do. */
extern bool dod_any_bounced;

void dod_owner_map_single(const struct dod_call *call, const void *addr, u64 size);
void dod_owner_map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr, u64 ram, bool bounced);
void dod_owner_map_end(struct dod_call *call);
void dod_owner_unmap(struct dod_call *call, u64 dma_addr, u64 size,
		     struct scatterlist *sg, int nents);
void dod_owner_sync(struct dod_call *call, enum dod_event event, u64 dma_addr, u64 size);
void dod_owner_sync_sg(struct dod_call *call, enum dod_event event, struct scatterlist *sg,
		       int nents);
void dod_owner_iova_to_device(struct dod_call *call, u64 dma_addr, u64 size);
void dod_owner_iova_end(struct dod_call *call, u64 dma_addr, u64 size);

void dod_owner_apply_history(void);
void dod_owner_note_unseen(void);
bool dod_owner_find(u64 phys, bool write, struct dod_mapping *copy, struct dod_range *range);
bool dod_owner_find_guardable(u64 start, u64 *last, struct dod_mapping *copy,
			      struct dod_range *range);
void dod_owner_repoison(u64 phys);
void dod_owner_seen_write(u64 phys, u64 size);
void dod_owner_seen_edge_write(u64 phys, u64 last);
bool dod_owner_excuse(u64 phys, const struct dod_mapping *copy);
bool dod_owner_write(const struct dod_access *access, const struct dod_write *record);
bool dod_owner_find_edge(u64 phys, struct dod_mapping *copy, struct dod_range *range);
bool dod_owner_find_other(const struct dod_mapping *m, u64 start, u64 last, bool writable,
			  struct dod_mapping *copy);
u64 dod_owner_up_to_group(const struct dod_mapping *m, u64 start, u64 last, bool after);
bool dod_owner_find_mapping(const struct device *dev, u64 at, u64 near, struct dod_mapping *copy);
bool dod_owner_find_ended(const struct device *dev, u64 at, struct dod_mapping *copy);
struct dod_device *dod_owner_device(const struct device *dev, const char *name);
void dod_owner_add_device(const struct device *dev);
void dod_owner_remove_device(const struct device *dev);
bool dod_owner_sees_all(const struct device *dev);
void dod_owner_lose_track(const struct device *dev);
bool dod_owner_describe_call(const struct dod_call *call, u64 dma_addr, u64 size,
			     struct dod_mapping *m);
bool dod_owner_is_mapped(const struct device *dev, u64 dma_addr, u64 phys, u64 last);
int dod_owner_next_device(int skip, struct dod_device *copy);
void dod_owner_set_wires(void);
unsigned int dod_owner_note_suspects(const struct device *dev, u16 binding,
				     const struct device_driver *driver);
void dod_pending_put(struct dod_pending *p);
bool dod_pending_any(void);
bool dod_owner_next(unsigned int *shard, u64 *start, unsigned int *skip,
		    struct dod_mapping *copy, struct dod_sum *sum);

/* A mapping whose memory is being freed. */
struct dod_freed {
	struct dod_mapping m;		/* a copy of it */
	bool owned;			/* the device owns some of that memory: @range */
	struct dod_range range;
	struct dod_pending *lost;	/* writes that no sync_for_device covered */
};

bool dod_owner_free(u64 *start, u64 last, bool object, struct dod_freed *freed);
void dod_owner_free_end(u64 start, u64 last);
void dod_owner_mark_leaked(const struct dod_mapping *copy);
bool dod_owner_next_freed(unsigned int *shard, u64 *start, struct dod_mapping *copy,
			  struct dod_range *range);

int dod_owner_start(unsigned int reserve, unsigned int max);
void dod_owner_stop(void);
void dod_owner_stop_guarding(void);
void dod_owner_show_start(void);

#endif /* DOD_OWNER_H */
