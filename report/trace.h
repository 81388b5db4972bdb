/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trace events: who owns which bytes, and what is reported. The fields follow Perfetto's
 * convention for kernel track events, so that its UI draws them as they are; a mapping is a track,
 * and has one slice at a time, for as long as its device owns some of it.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dma_owner

#if !defined(DOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DOD_TRACE_H

#include <linux/tracepoint.h>

#include "report.h"

#ifndef DOD_TRACE_CALLS
#define DOD_TRACE_CALLS							\
	{ DOD_API_MAP,			"map" },			\
	{ DOD_API_UNMAP,		"unmap" },			\
	{ DOD_API_SYNC_FOR_CPU,		"sync_for_cpu" },		\
	{ DOD_API_SYNC_FOR_DEVICE,	"sync_for_device" },		\
	{ DOD_API_NO_SYNC,		"no_sync_needed" }

/* By number: trace-cmd knows neither %c nor 'B', and no quotation marks in a format. */
#define DOD_TRACE_TYPES { 66, "B" }, { 69, "E" }, { 73, "I" }

int dod_trace_reg(void);
void dod_trace_unreg(void);
int dod_trace_reg_counter(void);
#endif

/* For those who read the format: they have no names of enums. */
TRACE_DEFINE_ENUM(DOD_API_MAP);
TRACE_DEFINE_ENUM(DOD_API_UNMAP);
TRACE_DEFINE_ENUM(DOD_API_SYNC_FOR_CPU);
TRACE_DEFINE_ENUM(DOD_API_SYNC_FOR_DEVICE);
TRACE_DEFINE_ENUM(DOD_API_NO_SYNC);

/*
 * After 'B' the device owns @len bytes from @first of the mapping on, after 'E' the CPU does. 'I'
 * is a call that has changed no owner. @slice says how many bytes of all the device owns.
 */
TRACE_EVENT_FN(owner,
	TP_PROTO(char type, const char *slice, const char *track, const struct dod_turn *turn,
		 u32 first, u32 len),
	TP_ARGS(type, slice, track, turn, first, len),

	TP_STRUCT__entry(
		__field(char,		track_event_type)
		__string(slice_name,	slice)
		__string(track_name,	track)
		__field(u32,		scope_mapping)
		__field(u64,		dma)
		__field(u64,		phys)
		__field(u32,		first)
		__field(u32,		len)
		__field(unsigned long,	caller)
		__field(u8,		call)
	),

	TP_fast_assign(
		__entry->track_event_type = type;
		dod_assign_str(slice_name, slice);
		dod_assign_str(track_name, track);
		__entry->scope_mapping = turn->index;
		__entry->dma = turn->dma_addr + first;
		__entry->phys = turn->phys + first;
		__entry->first = first;
		__entry->len = len;
		__entry->caller = turn->caller;
		__entry->call = turn->api;
	),

	TP_printk("%s slice=%s track=%s mapping=%u dma=0x%llx phys=0x%llx first=%u len=%u call=%s caller=%pS",
		  __print_symbolic(__entry->track_event_type, DOD_TRACE_TYPES),
		  __get_str(slice_name), __get_str(track_name),
		  __entry->scope_mapping, __entry->dma, __entry->phys, __entry->first,
		  __entry->len, __print_symbolic(__entry->call, DOD_TRACE_CALLS),
		  (void *)__entry->caller),

	dod_trace_reg, dod_trace_unreg
);

/* Bytes that a device owns, of mappings that changed hands since somebody listens. */
TRACE_EVENT_FN(device_owned,
	TP_PROTO(const char *track, u64 bytes),
	TP_ARGS(track, bytes),

	TP_STRUCT__entry(
		__string(track_name,	track)
		__field(u64,		counter_value)
	),

	TP_fast_assign(
		dod_assign_str(track_name, track);
		__entry->counter_value = bytes;
	),

	TP_printk("track=%s value=%llu", __get_str(track_name), __entry->counter_value),

	dod_trace_reg_counter, dod_trace_unreg
);

/* A report that goes to the log. @turn: its bytes. */
TRACE_EVENT(report,
	TP_PROTO(const char *title, const char *track, const struct dod_turn *turn),
	TP_ARGS(title, track, turn),

	TP_STRUCT__entry(
		__field(char,		track_event_type)
		__string(slice_name,	title)
		__string(track_name,	track)
		__field(u32,		scope_mapping)
		__field(u64,		dma)
		__field(u64,		phys)
		__field(u32,		first)
		__field(u32,		len)
		__field(unsigned long,	caller)
	),

	TP_fast_assign(
		__entry->track_event_type = 'I';
		dod_assign_str(slice_name, title);
		dod_assign_str(track_name, track);
		__entry->scope_mapping = turn->index;
		__entry->dma = turn->dma_addr;
		__entry->phys = turn->phys;
		__entry->first = turn->first;
		__entry->len = turn->len;
		__entry->caller = turn->caller;
	),

	TP_printk("%s slice=%s track=%s mapping=%u dma=0x%llx phys=0x%llx first=%u len=%u caller=%pS",
		  __print_symbolic(__entry->track_event_type, DOD_TRACE_TYPES),
		  __get_str(slice_name), __get_str(track_name),
		  __entry->scope_mapping, __entry->dma, __entry->phys, __entry->first,
		  __entry->len, (void *)__entry->caller)
);

#endif /* DOD_TRACE_H */

/* Kbuild has the folder searched, wherever it is. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
