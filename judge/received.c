// SPDX-License-Identifier: GPL-2.0
/*
 * What a device wrote, and what it did not write. Redzones past the end of a receive buffer
 * must not change (device-overrun); canaries, patterns in the buffer, must be overwritten
 * (device-wrote-nothing).
 *
 * No lock of its own: as content.c.
 */
#include "internal.h"

/* Of a device behind an IOMMU only that knows whether it writes to the buffer itself. */
static bool is_bounced(const struct dod_call *call, const struct dod_mapping *m)
{
	return m->bounced && dod_is_bounced(call->dev, m->start, m->dma_addr, true);
}

/* The shadow of byte @i of a redzone; the first granule may be a partial one. */
static u8 *state_of(struct dod_content *c, unsigned int i)
{
	return &c->state[(c->redzone % DOD_GRANULE + i) / DOD_GRANULE];
}

void dod_redzone_begin(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_content *c;
	unsigned int nr, i;
	u64 start;

	/* To read it on a device that is not coherent would pull a line into the cache. */
	if (!m->device->coherent || dod_report_is_off(DOD_R_DEVICE_OVERRUN) ||
	    is_bounced(call, m) || dod_is_kfence(m->start, m->last))
		return;
	nr = dod_mem_ops.redzone_bytes(m, DOD_BYTES_AFTER, &start);
	c = nr ? dod_content_get(m) : NULL;
	if (!c)
		return;
	c->redzone = start;
	c->redzone_nr = nr;
	for (i = 0; i < nr; i++) {
		c->bytes[i] = READ_ONCE(*(u8 *)phys_to_virt(start + i));
		/* Of each granule once. */
		if (!i || IS_ALIGNED(start + i, DOD_GRANULE))
			*state_of(c, i) = dod_mem_ops.state(start + i);
	}
}

void dod_redzone_end(struct dod_mapping *m, struct dod_content_result *found)
{
	struct dod_content *c = m->content;
	unsigned int i;

	found->overrun = 0;
	for (i = 0; i < c->redzone_nr; i++) {
		u64 at = c->redzone + i;
		u8 is = READ_ONCE(*(u8 *)phys_to_virt(at));

		if (likely(is == c->bytes[i]))
			continue;
		/* The object was resized, or is another one by now. */
		if (*state_of(c, i) != dod_mem_ops.state(at))
			continue;
		if (dod_content_was_invalidated(c)) {
			dod_count(DOD_C_CONTENT_DOUBTED);
			return;
		}
		if (!found->overrun++) {
			found->far = at - m->last - 1;
			dod_change_show(&found->bytes, at, c->bytes + i, c->redzone_nr - i);
		}
	}
	if (found->overrun)
		found->types |= BIT_ULL(DOD_R_DEVICE_OVERRUN);
}

void dod_redzone_report(const struct dod_content_result *found,
			const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = {
		.type = DOD_R_DEVICE_OVERRUN,
		.at = at,
		.object = phys_to_virt(m->start),
		.change = found->bytes,
	};

	dod_finding_add(&f, "%u byte%s past the end of the buffer changed while it was mapped. First: end+%u, was 0x%02x, is 0x%02x.\n",
			found->overrun, found->overrun == 1 ? "" : "s",
			found->far, found->bytes.was[0], found->bytes.is[0]);
	dod_report_mapping(&f, m);
}

#define CANARY	0xcadab1e5cadab1e5ULL

static u8 canary_byte(u64 phys)
{
	return CANARY >> phys % sizeof(u64) * 8;
}

/*
 * Not where the device would not write to this memory, and not where the pattern would
 * stay in the cache: on a device that is not coherent it would be written back over what
 * comes in. Nor in memory that KFENCE can take away.
 *
 * And not past the end of an object: a guard without a shadow knows that a mapping is not too
 * long only of a slab object, and of pages that were allocated as one.
 */
static bool may_be_filled(const struct dod_call *call, const struct dod_mapping *m)
{
	if (!m->device->coherent || is_bounced(call, m) || dod_is_kfence(m->start, m->last))
		return false;
	if (dod_mem_ops.redzone_bytes)
		return true;
	if (!folio_test_slab(dod_folio(m->start)) &&
	    !page_ref_count(pfn_to_page(PHYS_PFN(m->start))))
		return false;
	return dod_mem_ops.accessible(m) &&
	       PHYS_PFN(m->last) <= dod_folio_last(PHYS_PFN(m->start));
}

void dod_canary_begin(const struct dod_call *call, struct dod_mapping *m)
{
	if (m->dir != DMA_FROM_DEVICE || m->spanning ||
	    dod_report_is_off(DOD_R_DEVICE_WROTE_NOTHING) || !READ_ONCE(dod_armed))
		return;
	if (!may_be_filled(call, m))
		dod_count(DOD_C_UNJUDGED_CANARY);
	else if (!dod_report_is_filtered(DOD_R_DEVICE_WROTE_NOTHING, m->device) &&
		 dod_content_get(m))
		m->content->canary = true;
}

void dod_canary_to_device(struct dod_content *c, u64 start, u64 last, bool alone)
{
	u64 at;

	c->filled = alone;
	if (!alone)
		return;
	for (at = start; at <= last; at++)
		WRITE_ONCE(*(u8 *)phys_to_virt(at), canary_byte(at));
	c->fill = start;
	c->fill_last = last;
	dod_count(DOD_C_CANARIES);
}

static bool is_untouched(const struct dod_content *c)
{
	u64 at;

	for (at = c->fill; at <= c->fill_last; at++)
		if (READ_ONCE(*(u8 *)phys_to_virt(at)) != canary_byte(at))
			return false;
	return true;
}

void dod_canary_to_cpu(struct dod_mapping *m, u64 start, u64 last, bool unmap,
		       struct dod_content_result *found)
{
	struct dod_content *c = m->content;

	if (start > c->fill_last || last < c->fill)
		return;
	c->filled = false;
	/* A sync of a part tells nothing of the rest. */
	if ((start != c->fill || last != c->fill_last) &&
	    !(unmap && start <= c->fill && last >= c->fill_last))
		return;
	if (dod_content_was_invalidated(c) || !is_untouched(c)) {
		found->touched = true;
		return;
	}
	found->types |= BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING);
	found->from = c->fill - m->start;
	found->untouched = c->fill_last - c->fill + 1;
}

void dod_canary_report(const struct dod_content_result *found,
		       const struct dod_mapping *m, unsigned long at)
{
	struct dod_finding f = { .type = DOD_R_DEVICE_WROTE_NOTHING, .at = at };

	if (dod_map_permitted(f.type, m)) {
		dod_count(DOD_C_UNJUDGED_CANARY);
		return;
	}
	dod_finding_add(&f, "The device wrote none of bytes %llu to %llu (canary=1).\n",
			found->from, found->from + found->untouched - 1);
	dod_report_mapping(&f, m);
}
