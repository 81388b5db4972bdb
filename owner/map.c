// SPDX-License-Identifier: GPL-2.0
/*
 * Map calls (rule 1). One call may map several runs of memory: it makes a mapping of each,
 * and an unmap finds none of them before all are there. No lock is held at entry; the
 * area of the new mapping is locked last.
 */
#include "internal.h"

/* An unmap finds a list by its first entry: no half of it may stay. Nobody knows of it yet. */
static noinline void drop_call(struct dod_call *call)
{
	struct dod_mapping *m, *next;

	dod_owner_lose_track(call->dev);
	/* Nobody knows what the device writes there. */
	if (call->dir != DMA_TO_DEVICE)
		dod_judge_ops.content_invalidate_all();
	for (m = call->leader; m; m = next) {
		next = m->next;
		profile_unmap(m, local_clock());
		dod_end_unlinked(m);
		dod_pool_put(&dod_mapping_pool, m);
	}
	__dod_records_put(call);
	call->leader = NULL;
	call->dropped = true;
}

/* Not before the self-test is over, nor after the tool has stopped because it is broken. */
static bool checks_enabled(void)
{
	return READ_ONCE(dod_armed);
}

/* Kept apart: the record on the stack is large, and hardly ever needed. */
static noinline void check_single(const struct dod_call *call, const void *addr, u64 size)
{
	struct dod_mapping m = {
		.dev = call->dev,
		.device = dod_device_get(call->dev),
		.dma_addr = DMA_MAPPING_ERROR,
		.kind = DOD_SINGLE,
		.dir = DMA_NONE,
	};

	if (!m.device) {
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
		return;
	}
	m.start = dod_wrong_phys(addr);
	m.last = m.start + size - 1;
	m.dma_last = m.dma_addr + size - 1;
	dod_note_caller(call, &m.map, m.map_frames, READ_ONCE(dod_params.map_frames));
	dod_judge_ops.map_single(&m, addr);
}

/**
 * dod_owner_map_single() - dma_map_single() is about to map memory outside of the linear map
 * @call: the call
 * @addr: the address the driver passed
 * @size: bytes
 *
 * At its entry: later only a page is known, a wrong one.
 */
void dod_owner_map_single(const struct dod_call *call, const void *addr, u64 size)
{
	if (size && checks_enabled())
		check_single(call, addr, size);
}

/* Where the memory is, and which lines the device shares with the CPU. */
static void describe(const struct dod_call *call, struct dod_mapping *m, u64 phys, u64 size,
		     u64 ram, bool bounced)
{
	m->start = phys;
	m->last = phys + min((ram ?: size) - 1, U64_MAX - phys);
	m->not_ram = !ram;
	m->bounced = bounced;
	m->line = ram ? dod_device_line(call->dev) : 0;
	if (m->line && bounced && dod_is_bounced(call->dev, phys, m->dma_addr, true))
		m->line = 0;
	if (m->line && dod_judge_ops.has_own_lines(call, m))
		m->own_lines = true;
	if (bounced && !READ_ONCE(dod_any_bounced))
		WRITE_ONCE(dod_any_bounced, true);
	m->memory = ram ? call->memory : DOD_MEM_ODD;
}

/*
 * Most memory is plain: all of it is in one page, and there, and its device is coherent and reaches
 * it at the address that it has. Of such a mapping there is less to find out. This is what the
 * call tells, for all of a list.
 */
static bool maps_plain(const struct dod_call *call)
{
	return !call->wrong && call->kind != DOD_IOVA && !call->dev->dma_range_map &&
	       !dod_device_line(call->dev);
}

/*
 * Then place() would find that it is direct, in one page and without edges. Asked anew for each
 * entry of a list: meanwhile the tool may have stopped.
 */
static __always_inline bool is_plain(const struct dod_call *call, u64 phys, u64 size, u64 ram,
				     bool bounced)
{
	return call->plain && checks_enabled() && ram == size &&
	       size <= PAGE_SIZE - offset_in_page(phys) &&
	       !bounced && !(call->memory & DOD_MEM_ODD);
}

/* In which index it is to be, and which of its lines others use. @good: by the checks. */
static void place(const struct dod_call *call, struct dod_mapping *m, bool good)
{
	if (has_whole_lines(m) && (dod_line_of(m, m->start) != m->start ||
				   dod_line_of(m, m->last) + m->line - 1 != m->last)) {
		m->edges = true;
		if (m->line > READ_ONCE(dod_widest_line))
			WRITE_ONCE(dod_widest_line, m->line);
	}
	/* What the checks found good is accessible. */
	if (!m->not_ram && !good && dod_mem_ops.freed && dod_mem_ops.freed(m->start, m->last))
		m->unfit = true;
	m->in_page = !crosses_page(m->start, dod_lines_last(m));
	m->spanning = crosses_region(m->start, m->last);
	/*
	 * Not where some of it is nobody's: then its DMA addresses do not tell its memory. Not of
	 * a device with ranges: the driver core forgets them at an unbind, and an unmap may follow.
	 * Not of the zero page: mappings by other devices would be between those of this one.
	 */
	m->direct = !m->bounced && !m->not_ram && m->kind != DOD_IOVA &&
		    !(m->memory & DOD_MEM_ODD) && !call->dev->dma_range_map &&
		    dma_to_phys(call->dev, m->dma_last) == m->last;
}

/* Decides what may be poisoned and compared. @good: no check has found a fault. */
static __always_inline void classify(const struct dod_call *call, struct dod_mapping *m, bool good)
{
	if (m->dir == DMA_TO_DEVICE && m->trap != DOD_TRAP_NONE &&
	    dod_judge_ops.maps_own_data(call, m)) {
		dod_count(DOD_C_UNTRAPPED_OWN_DATA);
		m->trap = DOD_TRAP_NONE;
	}
	/* Do not fingerprint unallocated memory: the allocator may write to it. */
	if (good && m->trap == DOD_TRAP_ALL)
		dod_judge_ops.content_begin(call, m);

	if (m->dir != DMA_TO_DEVICE)
		m->kinds |= DOD_KIND_WRITABLE;
	if (m->content)
		m->kinds |= m->dir == DMA_TO_DEVICE ? DOD_KIND_SENT_CONTENT : DOD_KIND_CONTENT;
}

/* A map call reports what the driver has configured; written only where it changed. */
static __always_inline void note_config(struct dod_device *d, struct device *dev)
{
	u64 mask = dma_get_mask(dev), limit = dev->bus_dma_limit;
	bool coherent = dev_is_dma_coherent(dev);

	/* A mask is not 0: this is also the first mapping. */
	if (unlikely((d->mask ^ mask) | (d->bus_limit ^ limit) | (d->coherent ^ coherent))) {
		if (!d->since)
			d->since = local_clock();
		WRITE_ONCE(d->mask, mask);
		WRITE_ONCE(d->bus_limit, limit);
		WRITE_ONCE(d->coherent, coherent);
	}
}

/**
 * dod_owner_describe_call() - a call as if it were a mapping, for a report
 * @call: the call
 * @dma_addr: the address that it was given, or has returned
 * @size: bytes
 * @m: filled in; it is in no index, and nothing is known of its memory
 *
 * Return: false if there are too many devices.
 */
bool dod_owner_describe_call(const struct dod_call *call, u64 dma_addr, u64 size,
			     struct dod_mapping *m)
{
	struct dod_device *device = dod_device_get(call->dev);

	if (!device)
		return false;
	note_config(device, call->dev);
	memset(m, 0, sizeof(*m));
	m->dev = call->dev;
	m->device = device;
	m->group = m;
	m->dma_addr = dma_addr;
	m->dma_last = dma_addr + size - 1;
	m->kind = call->kind;
	m->dir = call->dir;
	m->not_ram = true;
	m->binding = READ_ONCE(device->binding);
	dod_note_caller(call, &m->map, m->map_frames, READ_ONCE(dod_params.map_frames));
	return true;
}

/* index_memory() of a plain mapping, which has ranges and others around it only in its page. */
static __always_inline void index_plain(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_area a DOD_UNINITIALIZED;
	bool lone;

	if (unlikely(atomic_read(&dod_nr_leaked)))
		dod_check_reuse(m);
	dod_mapped_pages_add(m);
	if (!call->to_device) {
		m->cpu_at_map = true;
		dod_stale_forget(m->start, m->last);
	}
	dod_area_lock_page(&a, m->start);
	lone = dod_index_first(a.page, m) || !dod_index_phys(&a, m);
	if (likely(call->to_device)) {
		stale_drop(&a, m->start, m->last);
		first_range_new(m, m->start, m->last);
		overlap_to_device(&a, m, m->start, m->last, true, lone);
		if (m->trap != DOD_TRAP_NONE)
			dod_poison_plain(m, lone && !m->shared);
	}
	dod_area_unlock_page(&a);
}

/* From now on look-ups by physical address find it, and the device may own it. */
static void index_memory(const struct dod_call *call, struct dod_mapping *m)
{
	bool to_device = call->to_device && !m->freed, lone;
	struct dod_area a DOD_UNINITIALIZED;
	u64 last = m->last;

	if (unlikely(atomic_read(&dod_nr_leaked)) && checks_enabled())
		dod_check_reuse(m);
	dod_mapped_pages_add(m);
	m->cpu_at_map = !to_device;
	if (!call->to_device || m->spanning)
		dod_stale_forget(m->start, m->last);
	dod_area_lock_new(&a, m);
	lone = !dod_index_phys(&a, m);
	if (to_device && m->spanning) {
		dod_ranges_to_device(m, m->start, &last, m->dir);
		overlap_to_device(&a, m, m->start, m->last, false, lone);
	} else if (to_device) {
		dod_to_device_single(&a, m, m->start, last, m->dir, lone);
		if (unlikely(m->edges))
			dod_copy_edges(&a, m);
	}
	dod_area_unlock(&a);
	/* Nobody can end it yet. */
	if (to_device && m->spanning) {
		dod_overlap_spanning(m->start, m->last);
		if (m->trap != DOD_TRAP_NONE)
			dod_poison_spanning(m->start, m->last);
	}
}

/* @next: it is not the first one of the call. */
static __always_inline void append(struct dod_call *call, struct dod_mapping *m, bool next)
{
	if (next)
		call->tail->next = m;
	else
		call->leader = m;
	call->tail = m;
}

/*
 * A mapping that was described, and perhaps shortened by the checks. @good: they found no fault, or
 * there were none, if not @checked.
 */
static void map_checked(struct dod_call *call, struct dod_mapping *m, bool checked, bool good)
{
	place(call, m, checked && good);
	m->trap = m->not_ram || m->freed ? DOD_TRAP_NONE : dod_memory_classify(m);
	classify(call, m, good);
	append(call, m, call->leader);
	if (!m->not_ram)
		index_memory(call, m);
}

static noinline void map_described(struct dod_call *call, struct dod_mapping *m)
{
	bool checked = checks_enabled() && !call->wrong;
	bool good = !checked || dod_judge_ops.map_before(call, m);

	if (checked && good && !(m->memory & DOD_MEM_ODD))
		m->memory |= DOD_MEM_GOOD;
	map_checked(call, m, checked, good);
}

/* @m is new. @leader: NULL if it is the first one of the call. */
static __always_inline void map_memory(struct dod_call *call, struct dod_mapping *m,
				       const struct dod_mapping *leader, u64 phys, u64 size,
				       u64 ram, bool bounced)
{
	if (m->device->highest < dod_dma_last(m))
		WRITE_ONCE(m->device->highest, dod_dma_last(m));
	if (unlikely(!is_plain(call, phys, size, ram, bounced))) {
		describe(call, m, phys, size, ram, bounced);
		map_described(call, m);
		return;
	}
	m->start = phys;
	m->last = phys + size - 1;
	m->memory = call->memory;
	if (unlikely(!dod_judge_ops.map_before(call, m))) {
		map_checked(call, m, true, false);
		return;
	}
	m->memory |= DOD_MEM_GOOD;
	m->in_page = true;
	m->direct = true;
	m->trap = dod_memory_classify(m);
	classify(call, m, true);
	append(call, m, leader);
	index_plain(call, m);
}

static noinline void map_next(struct dod_call *call, u64 phys, u64 size, u64 dma_addr, u64 ram,
			      bool bounced)
{
	struct dod_mapping *leader = call->leader, *m;

	m = dod_record_next(call, leader, dma_addr, size);
	if (likely(m)) {
		map_memory(call, m, leader, phys, size, ram, bounced);
		profile_map_next(call, m, leader, size);
		return;
	}
	dod_count(DOD_C_UNTRACKED_POOL_EMPTY);
	drop_call(call);
}

/**
 * dod_owner_map() - a device can reach memory from now on
 * @call: the call; one call may map several runs of memory
 * @phys: first byte
 * @size: bytes
 * @dma_addr: first byte as the device sees it
 * @ram: so many bytes may be touched; the rest, or if it is 0 all, is only for the unmap
 * @bounced: the kernel may copy the memory to and from a bounce buffer
 *
 * Rule 1: the device owns the memory if call->to_device. dod_owner_map_end() must follow.
 */
void dod_owner_map(struct dod_call *call, u64 phys, u64 size, u64 dma_addr, u64 ram, bool bounced)
{
	struct dod_device *device;
	struct dod_mapping *m;

	if (!size || call->dropped)
		return;
	if (call->leader) {
		map_next(call, phys, size, dma_addr, ram, bounced);
		return;
	}
	device = dod_device_get(call->dev);
	m = device ? dod_record_new(call, device, dma_addr, size) : NULL;
	if (unlikely(!m)) {
		dod_count(device ? DOD_C_UNTRACKED_POOL_EMPTY : DOD_C_UNTRACKED_NO_DEVICE);
		drop_call(call);
		return;
	}
	/* All entries of a list are mapped with one configuration. */
	note_config(device, call->dev);
	call->plain = maps_plain(call);
	map_memory(call, m, NULL, phys, size, ram, bounced);
	profile_map(call, m, size);
}

/**
 * dod_owner_map_end() - all runs of memory of a call are mapped
 * @call: the call
 *
 * Only now unmaps can find them: another CPU may unmap an equal mapping of the same device
 * at any time, and either of the two may end. The leader, by which a list is found, is last.
 */
void dod_owner_map_end(struct dod_call *call)
{
	struct dod_mapping *m, *next, *leader = call->leader;

	if (!leader)
		return;
	if (call->records)
		__dod_records_put(call);
	if (checks_enabled() && dod_device_line(call->dev))
		for (m = leader; m; m = m->next)
			dod_judge_ops.map_after(call, m);
	if (dod_is_traced())
		dod_trace_map(call);
	for (m = leader->next; m; m = next) {
		next = m->next;
		dod_link(m);
	}
	dod_link(leader);
}
