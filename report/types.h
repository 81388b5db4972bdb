/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report types and the notes, a row each: DOD_TYPE(id, name, loses, hint, field...). Included
 * wherever something is made of them, as kernel/sched/features.h is: the enum, and the
 * table of struct report_type in text.c, which says what the fields are. The order is
 * that of the lines in stats.
 */

/* An access may come too early, or after the end of a mapping that was forgotten. */
#define HINT_OVER "; if the transfer is over, the unmap is missing."

#define HINT_LINKED \
	"memory of dma_iova_link() cannot be synced for the CPU: make this access before dma_iova_link(), or after dma_iova_unlink() or dma_iova_destroy()."

/* An importer has no scatterlist to sync, and the exporter knows who else maps it. */
#define HINT_DMA_BUF \
	"call dma_buf_begin_cpu_access() before this access and dma_buf_end_cpu_access() after it: this is memory of a dma-buf, which importers do not sync themselves; if the transfer is over, dma_buf_unmap_attachment() is missing."

DOD_TYPE(CPU_READ, "cpu-read", LOSES_EARLY,
	 "when the device is done, call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() before the device uses the buffer again, or access it after the unmap"
	 HINT_OVER, .hint_linked = HINT_LINKED, .hint_dma_buf = HINT_DMA_BUF)
DOD_TYPE(CPU_WRITE, "cpu-write", LOSES_EARLY,
	 "call dma_sync_%s_for_cpu() before this access and dma_sync_%s_for_device() after it"
	 HINT_OVER, .hint_receiving =
	 "the device writes here until it is done: wait for that, and call dma_sync_%s_for_cpu() before this access, or access it after the unmap"
	 HINT_OVER, .hint_sending =
	 "wait until the device is done with what was there, or use a second buffer; call dma_sync_%s_for_device() after this write; if the transfer is over, unmap the buffer before this write.",
	 .hint_linked = HINT_LINKED, .hint_dma_buf = HINT_DMA_BUF)
DOD_TYPE(SHARED_LINE_WRITE, "shared-line-write", LOSES_LINES,
	 "allocate the buffer separately, or align it and its size to dma_get_cache_alignment(): where caches are not coherent, one of the two writes is lost.",
)
DOD_TYPE(CACHELINE_SHARING, "cacheline-sharing", LOSES_LINES,
	 "allocate the buffer separately, or align it and its size to dma_get_cache_alignment(). In a struct, make it and the member after it ____cacheline_aligned, or put it between __dma_from_device_group_begin() and _end() if this kernel has them.",
)
DOD_TYPE(OVERLAPPING_MAPPING, "overlapping-mapping", LOSES_COPIES,
	 "unmap one before mapping the other, or map the memory once, DMA_BIDIRECTIONAL.")
DOD_TYPE(OUT_OF_BOUNDS_MAP, "out-of-bounds-map", LOSES_EVERYWHERE,
	 "map no more bytes than were allocated.")
DOD_TYPE(USE_AFTER_FREE_MAP, "use-after-free-map", LOSES_EVERYWHERE,
	 "keep the memory allocated until it is unmapped. With slub_debug=U on the kernel command line, a report shows who allocated the object.",
)
DOD_TYPE(VMALLOC_BUFFER, "vmalloc-buffer", LOSES_EVERYWHERE,
	 "use kmalloc() memory, or map the pages one by one: vmalloc_to_page(), or sg_alloc_table_from_pages().",
)
DOD_TYPE(STACK_BUFFER, "stack-buffer", LOSES_STATIC,
	 "use kmalloc() memory: a stack shares cache lines with other data, and may be outside of the linear map.",
)
DOD_TYPE(IMAGE_BUFFER, "image-buffer", LOSES_STATIC,
	 "copy the data to kmalloc() memory with kmemdup(): static variables must not be mapped.")
DOD_TYPE(NOT_CONTIGUOUS, "not-contiguous", LOSES_EVERYWHERE,
	 "map the pages one by one, as a scatterlist: pages that follow each other in vmalloc space need not be contiguous in memory.",
)
DOD_TYPE(MASK_EXCEEDED, "mask-exceeded", LOSES_ADDRESS,
	 "tell the kernel how many address bits the device really has: dma_set_mask_and_coherent(), or dma-ranges of its bus.",
)
DOD_TYPE(TO_DEVICE_CHANGED, "to-device-changed", LOSES_CHANGE,
	 "the device wrote to a buffer that it may only read, or kernel code did so unseen. Device: check the address that it was programmed with, or map the buffer DMA_FROM_DEVICE or DMA_BIDIRECTIONAL. Kernel code: call dma_sync_%s_for_cpu() before the write and dma_sync_%s_for_device() after it, and flush what it writes through another alias.",
)
DOD_TYPE(DEVICE_OVERRUN, "device-overrun", LOSES_EVERYWHERE,
	 "program the device with the length that is mapped, or allocate and map the length that it is programmed with.",
)
DOD_TYPE(COHERENT_OVERRUN, "coherent-overrun", LOSES_PAST_PAGE,
	 "program the device with the length that was allocated, or allocate what it is programmed with: the next buffer may end where its page does. If user space may write there, map the pages with dma_mmap_coherent().",
)
DOD_TYPE(MISSING_SYNC_FOR_DEVICE, "missing-sync-for-device", LOSES_COPIES,
	 "call dma_sync_%s_for_device() after this write, or write after the unmap: where caches are not coherent, or the buffer is bounced, the unmap or the next sync for the CPU discards it.",
)
DOD_TYPE(DEVICE_WROTE_NOTHING, "device-wrote-nothing", LOSES_UNWRITTEN,
	 "check the address and length that the device was programmed with, its mask, and whether it was done. An error, a short answer, and the end of a ring leave a buffer as it was: if the driver sees that, switch this off for it, off_drivers=device-wrote-nothing:<driver>.",
)
DOD_TYPE(MASK_NEVER_SET, "mask-never-set", ADVICE,
	 "if the device can do more, call dma_set_mask_and_coherent() in probe")
DOD_TYPE(MASK_WIDER_THAN_BUS, "mask-wider-than-bus", ADVICE,
	 "the smaller one counts; memory above it is bounced")
DOD_TYPE(MASK_UNTESTED, "mask-untested", ADVICE,
	 "test it on a machine with more memory")
DOD_TYPE(CONFIG_NOT_INHERITED, "dma-config-not-inherited", ADVICE,
	 "map with the parent, or copy its configuration: of_dma_configure() with the parent's node",
)
DOD_TYPE(WRITE_NEVER_SYNCED, "write-never-synced", ADVICE,
	 "if the device needs it, call dma_sync_single_for_device() after the write")
DOD_TYPE(NEIGHBOURS_EXPOSED, "neighbours-exposed", ADVICE,
	 "give buffers that the device writes pages of their own, if it is not to be trusted")
DOD_TYPE(MANY_SMALL_MAPS, "many-small-maps", ADVICE,
	 "dma_pool, dma_alloc_coherent() or a copy into a buffer that stays mapped costs less")
DOD_TYPE(MAPPED_AGAIN, "mapped-again", ADVICE,
	 "map it once, and call dma_sync_*_for_cpu() and dma_sync_*_for_device() for each transfer")
DOD_TYPE(MAPPED_IN_PIECES, "mapped-in-pieces", ADVICE,
	 "map all of it at once, and sync the pieces")
DOD_TYPE(MOSTLY_BOUNCED, "mostly-bounced", ADVICE,
	 "if the device can do more, set a wider mask; else allocate the memory with GFP_DMA32 or dma_alloc_pages()")
DOD_TYPE(NO_PAGE_POOL, "no-page-pool", ADVICE,
	 "a page_pool keeps its pages mapped")
DOD_TYPE(FREE_WHILE_MAPPED, "free-while-mapped", LOSES_UNSTOPPED,
	 "stop the device, then %s(), then free.", .ending = true)
DOD_TYPE(NEVER_MAPPED, "never-mapped", LOSES_CHANGE,
	 "pass the address that dma_map_%s() has returned, with the same device, as long as the mapping lasts: an address of the CPU's is none of the device's, and a mapping is unmapped once.",
)
DOD_TYPE(LATE_DEVICE_WRITE, "late-device-write", LOSES_EVERYWHERE,
	 "stop the device, or wait until it is done, before %s(): it writes to memory that belongs to whoever allocates it next.",
	 .ending = true)
DOD_TYPE(LEAK_AT_UNBIND, "leak-at-unbind", LOSES_UNSTOPPED,
	 "stop the device and unmap all that was mapped, with %s(), before remove() returns.",
	 .ending = true)
DOD_TYPE(OWNED_AT_SHUTDOWN, "owned-at-shutdown", LOSES_UNSTOPPED,
	 "stop the device in the driver's shutdown(), with pci_clear_master() if it is a PCI device: it would write into the memory of what boots next. %s() is not needed there.",
	 .ending = true)

#undef HINT_OVER
#undef HINT_LINKED
#undef HINT_DMA_BUF
#undef DOD_TYPE
