// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events of trace.h. What they say is gathered under the lock of a mapping, by
 * owner/handover.c, but emitted without a lock of ours: with tp_printk an event is printed, and a
 * console's driver may map memory itself. So the order of events of several CPUs is not that of
 * the locks; the events of one record are in order, for it begins before its mapping can be found,
 * and ends before its record is free.
 *
 * Context: any but NMI, no lock of ours held.
 */
#include "internal.h"
#include "../base/stats.h"

#include <linux/percpu.h>
#include <linux/string.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

EXPORT_TRACEPOINT_SYMBOL_GPL(owner);
EXPORT_TRACEPOINT_SYMBOL_GPL(device_owned);
EXPORT_TRACEPOINT_SYMBOL_GPL(report);

/* Somebody listens to owner or device_owned. */
DEFINE_STATIC_KEY_FALSE(dod_trace_key);

/* Counts who listens, the history and the profile while they are on. The history is, at first. */
DEFINE_STATIC_KEY_TRUE(dod_observed_key);

/*
 * Which bytes are in dod_device.owned: those of mappings with this generation. It changes when
 * somebody begins to listen, because nothing is counted before. It is never 0, as a new record's.
 */
u8 dod_trace_generation = 1;

/* An event of this CPU is being printed. Interrupts are off meanwhile. */
static DEFINE_PER_CPU(bool, emitting);

#define TRACK_CHARS	80
#define SLICE_CHARS	48

/**
 * dod_trace_reg() - somebody begins to listen. Process context, as of the next two
 * Return: 0.
 */
int dod_trace_reg(void)
{
	static_branch_inc(&dod_trace_key);
	dod_observe(true);
	return 0;
}

/**
 * dod_trace_unreg() - nobody listens any more
 */
void dod_trace_unreg(void)
{
	dod_observe(false);
	static_branch_dec(&dod_trace_key);
}

/**
 * dod_trace_reg_counter() - somebody begins to listen to device_owned
 * Return: 0.
 */
int dod_trace_reg_counter(void)
{
	WRITE_ONCE(dod_trace_generation, dod_trace_generation % U8_MAX + 1);
	return dod_trace_reg();
}

static void put_track(char *track, const struct dod_turn *t)
{
	scnprintf(track, TRACK_CHARS, "%s dma 0x%llx", t->device->name, t->dma_addr);
}

static void put_slice(char *slice, const struct dod_turn *t, u64 owned)
{
	const char *dir = dod_report_dir(t->dir);

	scnprintf(slice, SLICE_CHARS, "device %s %llu B", dir + strlen("DMA_"), owned);
}

/*
 * The slice of a mapping ends where another number of bytes begins. What follows a sync for the
 * CPU of a part is the rest: its first piece stands for it, whose owner has not changed.
 */
static void emit_owner(const struct dod_turn *t)
{
	static const char * const calls[] = {
		[DOD_API_MAP] = "map", [DOD_API_UNMAP] = "unmap",
		[DOD_API_SYNC_FOR_CPU] = "sync for the CPU",
		[DOD_API_SYNC_FOR_DEVICE] = "sync for the device",
	};
	bool grows = t->after > t->before;
	char track[TRACK_CHARS], slice[SLICE_CHARS];

	if (t->before == t->after && t->quiet)
		return;
	put_track(track, t);
	if (t->before == t->after) {
		trace_owner('I', calls[t->api], track, t, t->first, t->len);
		return;
	}
	if (t->before) {
		put_slice(slice, t, t->before);
		trace_owner('E', slice, track, t, t->first, t->len);
	}
	if (t->after) {
		put_slice(slice, t, t->after);
		trace_owner('B', slice, track, t, grows ? t->first : t->left_first,
			    grows ? t->len : t->left_len);
	}
}

/* The counter and its generation are one word: nobody adds to the sum of another. */
#define SUM_BITS	56

static u64 add_to_sum(struct dod_device *device, u8 generation, u64 by)
{
	u64 mask = BIT_ULL(SUM_BITS) - 1, first = (u64)generation << SUM_BITS, sum;
	s64 old = atomic64_read(&device->owned), new;

	do {
		sum = (u64)old >> SUM_BITS == generation ? old & mask : 0;
		sum = (sum + by) & mask;
		new = first | sum;
	} while (!atomic64_try_cmpxchg(&device->owned, &old, new));
	return sum;
}

/* Without @emits it is in the sum all the same: the next event has it. */
static void emit_counter(const struct dod_turn *t, bool emits)
{
	u64 sum;

	/* It was gathered for another listener. */
	if (t->generation != READ_ONCE(dod_trace_generation))
		return;
	sum = add_to_sum(t->device, t->generation, t->after - t->counted);
	if (emits && t->after != t->counted)
		trace_device_owned(t->device->name, sum);
}

/**
 * dod_trace_uncount() - a device owns less than before, which is no event
 * @device: the device
 * @generation: with which the bytes were counted
 * @bytes: how many
 *
 * Context: with any locks of ours held.
 */
void dod_trace_uncount(struct dod_device *device, u8 generation, u64 bytes)
{
	if (generation == READ_ONCE(dod_trace_generation))
		add_to_sum(device, generation, -bytes);
}

/* Returns false if this CPU emits an event already: what a console's driver does is no event. */
static bool begin_emitting(unsigned long *flags)
{
	local_irq_save(*flags);
	if (__this_cpu_read(emitting)) {
		local_irq_restore(*flags);
		dod_count(DOD_C_EVENTS_NESTED);
		return false;
	}
	__this_cpu_write(emitting, true);
	return true;
}

static void end_emitting(unsigned long flags)
{
	__this_cpu_write(emitting, false);
	local_irq_restore(flags);
}

/**
 * dod_trace_turn() - emit the events of a call
 * @t: what it has changed; nothing afterwards
 */
noinline void dod_trace_turn(struct dod_turn *t)
{
	unsigned long flags;
	bool emits = begin_emitting(&flags);

	if (emits && trace_owner_enabled())
		emit_owner(t);
	/* Whether anybody listens yet: who begins to has counted from before that on. */
	emit_counter(t, emits && trace_device_owned_enabled());
	if (emits)
		end_emitting(flags);
	t->device = NULL;
}

#define TITLE_CHARS	200

/* The line below the bar, without "BUG: DMA_OWNER: ". */
static void put_title(char *title, const struct text *t)
{
	static const char prefix[] = "BUG: DMA_OWNER: ";
	const char *at = strnstr(t->chars, prefix, t->len);
	size_t size;

	at = at ? at + strlen(prefix) : t->chars + t->len;
	size = strnchr(at, t->chars + t->len - at, '\n') - at;
	strscpy(title, at, min_t(size_t, size + 1, TITLE_CHARS));
}

/* Emits the event of a report that is to be printed. */
void dod_trace_report(const struct text *text, const struct report *r)
{
	const struct dod_mapping *m = r->m;
	struct dod_turn t = { .device = m->device, .dma_addr = m->dma_addr, .index = m->index };
	char title[TITLE_CHARS], track[TRACK_CHARS];
	u64 start, last;
	unsigned long flags;

	if (!trace_report_enabled() || !begin_emitting(&flags))
		return;
	put_title(title, text);
	strscpy(track, m->device->name, sizeof(track));
	/* If not, the call has not come that far. */
	if (m->dma_addr != DMA_MAPPING_ERROR) {
		put_track(track, &t);
		dod_bytes_of_report(r, &start, &last);
		t.first = start - m->start;
		t.len = last - start + 1;
		t.phys = start;
		t.dma_addr += t.first;
	} else {
		t.dma_addr = 0;
		t.index = 0;
	}
	if (r->culprit < r->stack.nr && !r->stack.names)
		t.caller = dod_frame_address(&r->stack, r->culprit);
	else if (r->culprit >= r->stack.nr)
		t.caller = dod_report_map_frame(m);
	trace_report(title, track, &t);
	end_emitting(flags);
}
