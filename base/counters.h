/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counters: DOD_COUNTER(enumerator, name in debugfs, what is counted), in the order of
 * the file stats. Included wherever something is made of them. No include guard.
 */
DOD_COUNTER(MAPS, "maps", "Mappings that began.")
DOD_COUNTER(MAPS_BOUNCED, "maps_bounced", "Mappings with a bounce buffer, as far as is known.")
DOD_COUNTER(MAPS_LINKED, "maps_linked", "Mappings that dma_iova_link() made.")
DOD_COUNTER(UNMAPS, "unmaps", "Mappings that ended.")
DOD_COUNTER(SYNCS_FOR_CPU, "syncs_for_cpu", "Calls of dma_sync_*_for_cpu().")
DOD_COUNTER(SYNCS_FOR_DEVICE, "syncs_for_device", "Calls of dma_sync_*_for_device().")
DOD_COUNTER(ALLOWED_READS, "allowed_reads", "Trapped reads of DMA_TO_DEVICE memory: legal.")
DOD_COUNTER(ALLOWED_IDIOMS, "allowed_idioms", "Faults that are not reported, as known exceptions.")
DOD_COUNTER(TRAPS_TOO_LATE, "traps_too_late", "Trapped accesses to what the CPU owns meanwhile.")
DOD_COUNTER(TRAPS_IN_NMI, "traps_in_nmi", "Trapped accesses in an NMI, which are not checked.")
DOD_COUNTER(TRAPS_NESTED, "traps_nested", "Trapped accesses of the tool itself.")
DOD_COUNTER(KFENCE_GUARDED, "kfence_guarded",
	    "How often memory in a KFENCE object was protected because a device owns it.")
DOD_COUNTER(KFENCE_STALE, "kfence_stale",
	    "How often stale bytes of a KFENCE object were left alone: writes there may not trap.")
DOD_COUNTER(KFENCE_BESIDE, "kfence_beside",
	    "Trapped accesses to KFENCE objects beside what a device owns of them: legal.")
DOD_COUNTER(KFENCE_OVERREAD, "kfence_overread",
	    "Reads of a word whose first byte is the CPU's, and a later one not: taken as legal.")
DOD_COUNTER(KFENCE_UNSIZED, "kfence_unsized",
	    "Such accesses of unknown size, which may touch what the device owns as well.")
DOD_COUNTER(KFENCE_OPENED, "kfence_opened",
	    "Pages of KFENCE objects that were opened for an access, and for others until closed.")
DOD_COUNTER(KFENCE_LEFT_OPEN, "kfence_left_open",
	    "Those that were not closed any more, after so many accesses.")
DOD_COUNTER(MISSED_TRAPS, "missed_traps", "KASAN reports about the tool's poison.")
DOD_COUNTER(UNMATCHED_UNMAPS, "unmatched_unmaps", "Unmaps without a known mapping.")
DOD_COUNTER(UNMATCHED_SYNCS, "unmatched_syncs", "Syncs without a known mapping.")
DOD_COUNTER(UNJUDGED_UNMATCHED, "unjudged_unmatched",
	    "Unmatched unmaps and syncs whose memory may have been mapped unseen, or need not be mapped.")
DOD_COUNTER(UNTRACKED_POOL_EMPTY, "untracked_pool_empty", "Map calls without a free record.")
DOD_COUNTER(UNTRACKED_FAILED_MAP, "untracked_failed_map", "Map calls that failed.")
DOD_COUNTER(UNTRACKED_MMIO, "untracked_mmio", "Map calls for MMIO.")
DOD_COUNTER(UNTRACKED_COHERENT, "untracked_require_coherent",
	    "Map calls with DMA_ATTR_REQUIRE_COHERENT.")
DOD_COUNTER(UNTRACKED_NOT_RAM, "untracked_not_ram", "Mappings of memory the tool must not touch.")
DOD_COUNTER(UNTRACKED_SKIPPED, "untracked_syncs_skipped",
	    "Map calls of devices whose syncs and unmaps may be skipped.")
DOD_COUNTER(UNTRACKED_NO_DEVICE, "untracked_no_device", "Map calls of devices without a record.")
DOD_COUNTER(UNTRAPPED_USER, "untrapped_user_pages",
	    "Pages that user space or the page cache can reach.")
DOD_COUNTER(UNTRAPPED_RESERVED, "untrapped_reserved_pages", "Reserved pages.")
DOD_COUNTER(UNTRAPPED_KFENCE, "untrapped_kfence", "Pages of KFENCE's pool: tasks, or all.")
DOD_COUNTER(UNTRAPPED_STACK, "untrapped_stack", "Pages of a task's stack.")
DOD_COUNTER(UNTRAPPED_SUB_GRANULE, "untrapped_sub_granule",
	    "Ranges with an edge inside a granule that the device does not own whole.")
DOD_COUNTER(UNTRAPPED_NO_SYNC, "untrapped_no_sync_needed",
	    "Mappings for which dma_need_sync() returned false.")
DOD_COUNTER(UNTRAPPED_OWN_DATA, "untrapped_own_data",
	    "DMA_TO_DEVICE mappings that contain their driver's own data.")
DOD_COUNTER(UNPROFILED, "unprofiled_maps",
	    "Map calls whose place had no room in the profile.")
DOD_COUNTER(RANGES_EXHAUSTED, "ranges_exhausted", "Ranges without a record: the CPU owns them.")
DOD_COUNTER(UNJUDGED_CONTIGUITY, "unjudged_contiguity",
	    "Mappings of pages that may be of several allocations.")
DOD_COUNTER(UNJUDGED_SHARED_PAGE, "unjudged_shared_page",
	    "Cache lines whose rest is in a page that is no slab memory.")
DOD_COUNTER(UNJUDGED_OBJECT_REST, "unjudged_object_rest",
	    "Last cache lines that end in the same slab object.")
DOD_COUNTER(UNJUDGED_OBJECT, "unjudged_object",
	    "Mappings of slab objects whose bounds are not known.")
DOD_COUNTER(UNJUDGED_SHADOW, "unjudged_shadow", "Mappings with unknown values of KASAN's shadow.")
DOD_COUNTER(UNJUDGED_FREE, "unjudged_free", "Frees of mapped memory that could not be checked.")
DOD_COUNTER(UNJUDGED_CONTENT, "unjudged_content",
	    "DMA_TO_DEVICE mappings of memory that the CPU may legally write to.")
DOD_COUNTER(UNTRACKED_STALE, "untracked_stale", "Unmaps whose stale bytes are not remembered.")
DOD_COUNTER(STALE_MAPPINGS, "stale_mappings", "Mappings that ended and left stale bytes.")
DOD_COUNTER(FINISHED_RANGES, "finished_ranges",
	    "Parts that the CPU may write to since the part before was synced for it.")
DOD_COUNTER(STALE_DOUBTED, "stale_doubted", "Reads of stale bytes that may be written unseen.")
DOD_COUNTER(PENDING_WRITES, "pending_writes", "Writes of the CPU that wait for a sync.")
DOD_COUNTER(PENDING_POOL_EMPTY, "pending_pool_empty", "Such writes without a free record.")
DOD_COUNTER(FINDINGS_POOL_EMPTY, "findings_pool_empty", "Faults without a free record.")
DOD_COUNTER(SYNCS_IDLE, "syncs_idle", "Syncs in the wrong direction, which do nothing.")
DOD_COUNTER(RACES_PENDING, "kcsan_races_pending",
	    "Races that KCSAN reported and that are no fault yet.")
DOD_COUNTER(CONTENT_GIVEN_BACK, "content_given_back",
	    "Syncs for the device of content that had changed unseen.")
DOD_COUNTER(CONTENT_MAPPINGS, "content_mappings", "DMA_TO_DEVICE mappings with fingerprints.")
DOD_COUNTER(CONTENT_PARTIAL, "content_partial", "Those that are longer than content_max.")
DOD_COUNTER(CONTENT_SHARED, "content_shared",
	    "Times that another mapping lets a device write to such memory.")
DOD_COUNTER(CONTENT_DOUBTED, "content_doubted",
	    "Comparisons left out because the content may have changed unseen.")
DOD_COUNTER(CONTENT_POOL_EMPTY, "content_pool_empty", "Mappings without a record for content.")
DOD_COUNTER(CONTENT_EDGES, "content_shared_lines", "Rests of cache lines that were copied.")
DOD_COUNTER(WATCHED_RANGES, "watched_ranges", "Ranges whose first write by the CPU was waited for.")
DOD_COUNTER(UNJUDGED_COHERENT, "unjudged_coherent",
	    "dma_alloc_coherent() buffers after whose end nothing is looked at, or no longer.")
DOD_COUNTER(UNJUDGED_LATE, "unjudged_late",
	    "Unmaps of memory that is not looked at after its free, for want of a slot.")
DOD_COUNTER(LATE_WATCHED, "late_watched",
	    "Memory that was unmapped and freed, and whose content is compared for a while.")
DOD_COUNTER(LATE_GIVEN_UP, "late_given_up",
	    "Unmapped memory that was not freed in time, or whose writer would not be known.")
DOD_COUNTER(CANARIES, "canaries", "Ranges that were filled with the pattern.")
DOD_COUNTER(UNJUDGED_CANARY, "unjudged_canary", "Ranges that could not be filled or compared.")
DOD_COUNTER(UNWATCHED_BUSES, "unwatched_buses", "Devices on buses whose unbinds are not seen.")
DOD_COUNTER(REPORTS_SHOWN, "reports_shown", "Faults that were printed.")
DOD_COUNTER(REPORTS_DEDUPLICATED, "reports_deduplicated", "Faults that had been printed before.")
DOD_COUNTER(REPORTS_RATELIMITED, "reports_ratelimited", "Faults beyond report_burst.")
DOD_COUNTER(REPORTS_FILTERED, "reports_filtered", "Faults and notes that a filter switched off.")
DOD_COUNTER(REPORTS_NESTED, "reports_nested", "Faults of printing a report.")
DOD_COUNTER(REPORTS_NO_BUFFER, "reports_no_buffer", "Faults while too many waited to be printed.")
DOD_COUNTER(REPORTS_UNLISTED, "reports_unlisted",
	    "Reports of faults for which the file reports had no room.")
DOD_COUNTER(EVENTS_NESTED, "events_nested", "Trace events that were left out while their CPU emitted one.")
DOD_COUNTER(NOTES_SHOWN, "notes_shown", "Notes that were printed.")
DOD_COUNTER(KASAN_ANNOTATED, "kasan_reports_annotated", "KASAN reports with the owner added.")
DOD_COUNTER(KCSAN_ANNOTATED, "kcsan_reports_annotated", "KCSAN reports with the owner added.")
DOD_COUNTER(WATCHES, "kcsan_watches", "Times that KCSAN was asked to watch memory.")
DOD_COUNTER(WATCHES_UNFIT, "kcsan_watches_unfit", "Pieces of memory that must not be watched.")
DOD_COUNTER(WATCH_WAITS, "kcsan_waits", "Hooks that waited until a watch was over.")
DOD_COUNTER(WATCH_GIVE_UPS, "kcsan_wait_give_ups", "Hooks that waited too long, and went on.")

#undef DOD_COUNTER
