/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters: every event, and every reason for which memory is not tracked, not trapped or
 * not checked. Silence must be countable. No locks here; all may be called in any context.
 */
#ifndef DOD_STATS_H
#define DOD_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

/* X(enumerator, line of the file stats in debugfs, what is counted), in the file's order. */
#define DOD_COUNTERS(X)										\
	X(MAPS, "maps", "Mappings that began.")							\
	X(MAPS_BOUNCED, "maps_bounced", "Mappings with a bounce buffer, as far as is known.")	\
	X(MAPS_LINKED, "maps_linked", "Mappings that dma_iova_link() made.")			\
	X(UNMAPS, "unmaps", "Mappings that ended.")						\
	X(SYNCS_FOR_CPU, "syncs_for_cpu", "Calls of dma_sync_*_for_cpu().")			\
	X(SYNCS_FOR_DEVICE, "syncs_for_device", "Calls of dma_sync_*_for_device().")		\
	X(ALLOWED_READS, "allowed_reads", "Trapped reads of DMA_TO_DEVICE memory: legal.")	\
	X(ALLOWED_IDIOMS, "allowed_idioms", "Faults that are not reported, as known exceptions.") \
	X(TRAPS_TOO_LATE, "traps_too_late", "Trapped accesses to what the CPU owns meanwhile.")	\
	X(TRAPS_IN_NMI, "traps_in_nmi", "Trapped accesses in an NMI, which are not checked.")	\
	X(TRAPS_NESTED, "traps_nested", "Trapped accesses of the tool itself.")			\
	X(MISSED_TRAPS, "missed_traps", "KASAN reports about the tool's poison.")		\
	X(UNMATCHED_UNMAPS, "unmatched_unmaps", "Unmaps without a known mapping.")		\
	X(UNMATCHED_SYNCS, "unmatched_syncs", "Syncs without a known mapping.")			\
	X(UNTRACKED_POOL_EMPTY, "untracked_pool_empty", "Map calls without a free record.")	\
	X(UNTRACKED_FAILED_MAP, "untracked_failed_map", "Map calls that failed.")		\
	X(UNTRACKED_MMIO, "untracked_mmio", "Map calls for MMIO.")				\
	X(UNTRACKED_COHERENT, "untracked_require_coherent",					\
	  "Map calls with DMA_ATTR_REQUIRE_COHERENT.")						\
	X(UNTRACKED_NOT_RAM, "untracked_not_ram", "Mappings of memory the tool must not touch.") \
	X(UNTRACKED_NO_DEVICE, "untracked_no_device", "Map calls of devices without a record.")	\
	X(UNTRAPPED_USER, "untrapped_user_pages",						\
	  "Pages that user space or the page cache can reach.")					\
	X(UNTRAPPED_RESERVED, "untrapped_reserved_pages", "Reserved pages.")			\
	X(UNTRAPPED_KFENCE, "untrapped_kfence", "Pages of KFENCE's pool.")			\
	X(UNTRAPPED_STACK, "untrapped_stack", "Pages of a task's stack.")			\
	X(UNTRAPPED_SUB_GRANULE, "untrapped_sub_granule",					\
	  "Ranges with an edge inside a granule that the device does not own whole.")		\
	X(UNTRAPPED_NO_SYNC, "untrapped_no_sync_needed",					\
	  "Mappings for which dma_need_sync() returned false.")					\
	X(UNTRAPPED_OWN_DATA, "untrapped_own_data",						\
	  "DMA_TO_DEVICE mappings that contain their driver's own data.")			\
	X(RANGES_EXHAUSTED, "ranges_exhausted", "Ranges without a record: the CPU owns them.")	\
	X(UNJUDGED_CONTIGUITY, "unjudged_contiguity",						\
	  "Mappings of pages that may be of several allocations.")				\
	X(UNJUDGED_SHARED_PAGE, "unjudged_shared_page",						\
	  "Cache lines whose rest is in a page that is no slab memory.")			\
	X(UNJUDGED_OBJECT_REST, "unjudged_object_rest",						\
	  "Last cache lines that end in the same slab object.")					\
	X(UNJUDGED_SHADOW, "unjudged_shadow", "Mappings with unknown values of KASAN's shadow.") \
	X(UNJUDGED_FREE, "unjudged_free", "Frees of mapped memory that could not be checked.")	\
	X(UNJUDGED_CONTENT, "unjudged_content",							\
	  "DMA_TO_DEVICE mappings of memory that the CPU may legally write to.")		\
	X(UNTRACKED_STALE, "untracked_stale", "Unmaps whose stale bytes are not remembered.")	\
	X(STALE_MAPPINGS, "stale_mappings", "Mappings that ended and left stale bytes.")	\
	X(FINISHED_RANGES, "finished_ranges",							\
	  "Parts that the CPU may write to since the part before was synced for it.")		\
	X(STALE_DOUBTED, "stale_doubted", "Reads of stale bytes that may be written unseen.")	\
	X(PENDING_WRITES, "pending_writes", "Writes of the CPU that wait for a sync.")		\
	X(PENDING_POOL_EMPTY, "pending_pool_empty", "Such writes without a free record.")	\
	X(FINDINGS_POOL_EMPTY, "findings_pool_empty", "Faults without a free record.")		\
	X(SYNCS_IDLE, "syncs_idle", "Syncs in the wrong direction, which do nothing.")		\
	X(RACES_PENDING, "kcsan_races_pending",							\
	  "Races that KCSAN reported and that are no fault yet.")				\
	X(CONTENT_GIVEN_BACK, "content_given_back",						\
	  "Syncs for the device of content that had changed unseen.")				\
	X(CONTENT_MAPPINGS, "content_mappings", "DMA_TO_DEVICE mappings with fingerprints.")	\
	X(CONTENT_PARTIAL, "content_partial", "Those that are longer than content_max.")	\
	X(CONTENT_SHARED, "content_shared",							\
	  "Times that another mapping lets a device write to such memory.")			\
	X(CONTENT_DOUBTED, "content_doubted",							\
	  "Comparisons left out because the content may have changed unseen.")			\
	X(CONTENT_POOL_EMPTY, "content_pool_empty", "Mappings without a record for content.")	\
	X(CONTENT_EDGES, "content_shared_lines", "Rests of cache lines that were copied.")	\
	X(WATCHED_RANGES, "watched_ranges", "Ranges whose first write by the CPU was waited for.") \
	X(CANARIES, "canaries", "Ranges that were filled with the pattern.")			\
	X(UNJUDGED_CANARY, "unjudged_canary", "Ranges that could not be filled or compared.")	\
	X(UNWATCHED_BUSES, "unwatched_buses", "Devices on buses whose unbinds are not seen.")	\
	X(REPORTS_SHOWN, "reports_shown", "Faults that were printed.")				\
	X(REPORTS_DEDUPLICATED, "reports_deduplicated", "Faults that had been printed before.")	\
	X(REPORTS_RATELIMITED, "reports_ratelimited", "Faults beyond report_burst.")		\
	X(REPORTS_FILTERED, "reports_filtered", "Faults and notes that a filter switched off.")	\
	X(REPORTS_NESTED, "reports_nested", "Faults of printing a report.")			\
	X(REPORTS_NO_BUFFER, "reports_no_buffer", "Faults while too many waited to be printed.") \
	X(NOTES_SHOWN, "notes_shown", "Notes that were printed.")				\
	X(KASAN_ANNOTATED, "kasan_reports_annotated", "KASAN reports with the owner added.")	\
	X(KCSAN_ANNOTATED, "kcsan_reports_annotated", "KCSAN reports with the owner added.")	\
	X(WATCHES, "kcsan_watches", "Times that KCSAN was asked to watch memory.")		\
	X(WATCHES_UNFIT, "kcsan_watches_unfit", "Pieces of memory that must not be watched.")	\
	X(WATCH_WAITS, "kcsan_waits", "Hooks that waited until a watch was over.")		\
	X(WATCH_GIVE_UPS, "kcsan_wait_give_ups", "Hooks that waited too long, and went on.")

#define DOD_COUNTER_ENUM(id, ...)	DOD_C_##id,
enum dod_counter {
	DOD_COUNTERS(DOD_COUNTER_ENUM)
	DOD_COUNTER_COUNT
};

DECLARE_PER_CPU(long [DOD_COUNTER_COUNT], dod_counters);

/**
 * dod_count() - count an event
 * @counter: which
 */
static inline void dod_count(enum dod_counter counter)
{
	this_cpu_inc(dod_counters[counter]);
}

long dod_counter_read(enum dod_counter counter);
const char *dod_counter_name(enum dod_counter counter);
void dod_counters_reset(void);
void dod_count_wait(u64 ns);
long dod_longest_wait_us(void);

#endif /* DOD_STATS_H */
