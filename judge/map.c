// SPDX-License-Identifier: GPL-2.0
/*
 * The map-time checks: what is wrong with a mapping that is being made. One table, one
 * row a check; the functions of the rows are in map_*.c, by what they look at.
 *
 * To add a check: write a function of type dod_check_fn next to its kin, declare it in
 * internal.h, and add a row to its stage in checks[].
 *
 * Context: any but NMI, in the hooks, no lock of ours held.
 */
#include "internal.h"

/* When a check runs, and so what it may look at. */
enum stage {
	NOT_RAM,	/* it is not in the linear map: only the address is known */
	MEMORY,		/* before the memory is poisoned */
	OTHERS,		/* the whole call is in the index: compare with other mappings */
	ALONE,		/* after OTHERS, if that found nothing: check the rest of the lines */
	ADVICE,		/* a note once a device, never a report */
};

/* The first row of a stage that finds a fault ends the stage. */
static const struct check {
	enum dod_report_type type;
	dod_check_fn *find;
} checks[][8] = {
	[NOT_RAM] = {
		/* map_kind.c: memory that must not be mapped at all */
		{ DOD_R_STACK_BUFFER, dod_check_vmalloc_stack },
		{ DOD_R_IMAGE_BUFFER, dod_check_kernel_image },
		{ DOD_R_IMAGE_BUFFER, dod_check_module_image },
		{ DOD_R_IMAGE_BUFFER, dod_check_image_in_vmalloc },
		{ DOD_R_VMALLOC_BUFFER, dod_check_vmalloc },
	},
	[MEMORY] = {
		{ DOD_R_STACK_BUFFER, dod_check_stack },
		{ DOD_R_IMAGE_BUFFER, dod_check_kernel_image },
		/* map_bounds.c: memory that is not, or not all, of one live allocation */
		{ DOD_R_USE_AFTER_FREE_MAP, dod_check_bad_byte },
		{ DOD_R_OUT_OF_BOUNDS_MAP, dod_check_bad_byte },
		{ DOD_R_NOT_CONTIGUOUS, dod_check_not_contiguous },
		/* map_mask.c: addresses that the device cannot reach */
		{ DOD_R_MASK_EXCEEDED, dod_check_mask },
	},
	/* map_lines.c: who else uses the bytes, or the cache lines */
	[OTHERS] = {
		{ DOD_R_OVERLAPPING_MAPPING, dod_check_overlap },
		{ DOD_R_CACHELINE_SHARING, dod_check_line_of_other_mapping },
	},
	[ALONE] = {
		{ DOD_R_CACHELINE_SHARING, dod_check_line_neighbours },
	},
	/* map_mask.c */
	[ADVICE] = {
		{ DOD_R_MASK_NEVER_SET, dod_check_mask_never_set },
		{ DOD_R_MASK_WIDER_THAN_BUS, dod_check_mask_wider_than_bus },
		{ DOD_R_MASK_UNTESTED, dod_check_mask_untested },
		{ DOD_R_CONFIG_NOT_INHERITED, dod_check_config_not_inherited },
	},
};

#define for_each_check(c, stage) \
	for (c = checks[stage]; c < checks[stage] + ARRAY_SIZE(checks[stage]) && c->find; c++)

/* The types of each stage, as bits; constant after load. */
static u64 types_of[ARRAY_SIZE(checks)];

static bool is_stage_off(enum stage stage)
{
	return !(types_of[stage] & ~READ_ONCE(dod_types_off));
}

/* Returns whether there was a report. */
static bool run(enum stage stage, const struct dod_mapping *m, struct dod_finding *f)
{
	const struct check *c;

	if (is_stage_off(stage))
		return false;
	f->text[0] = '\0';
	for_each_check(c, stage) {
		f->type = c->type;
		if (dod_report_is_off(c->type) || !c->find(m, f))
			continue;
		dod_report_mapping(f, m);
		return true;
	}
	return false;
}

/* Not by an initialiser, which would clear the text for each mapping. */
static void finding_begin(struct dod_finding *f, const struct dod_call *call)
{
	f->call = call;
	f->at = 0;
	f->addr = 0;
	f->object = NULL;
	f->other = NULL;
	f->what = NULL;
	f->next = 0;
}

static noinline void __advise(const struct dod_call *call, const struct dod_mapping *m)
{
	struct dod_finding f DOD_UNINITIALIZED;
	const struct check *c;

	finding_begin(&f, call);
	for_each_check(c, ADVICE) {
		if (dod_report_is_off(c->type) || test_bit(c->type, m->device->noted))
			continue;
		f.text[0] = '\0';
		if (c->find(m, &f))
			dod_report_note(c->type, m->device, "%s", f.text);
	}
}

static __always_inline void advise(const struct dod_call *call, const struct dod_mapping *m)
{
	/* What is to be said of an entry of a list was said of the first, unless it is bounced. */
	if (likely(call->leader && !m->bounced))
		return;
	if (!is_stage_off(ADVICE) && unlikely(!dod_needs_no_advice(call, m)))
		__advise(call, m);
}

void dod_finding_add(struct dod_finding *f, const char *fmt, ...)
{
	unsigned long flags = dod_quiet_begin();
	size_t len = strlen(f->text);
	va_list args;

	va_start(args, fmt);
	vscnprintf(f->text + len, sizeof(f->text) - len, fmt, args);
	va_end(args);
	dod_quiet_end(flags);
}

/* Cuts the mapping before its first byte outside its own allocation. */
static bool end_at_bad_byte(struct dod_mapping *m, const struct dod_finding *f)
{
	u64 end;

	if (likely(!f->what && !f->next))
		return true;
	end = min(f->what ? f->bad : U64_MAX, f->next ?: U64_MAX);
	m->freed = end == m->start;
	m->last = m->freed ? m->start : end - 1;
	return false;
}

/*
 * Fast path, the same as dod_scan_memory() by what is known of the pages: no byte of the mapping
 * is bad, and all are of one allocation. Memory that is not there, or was cut off, is odd.
 */
static __always_inline bool is_good_memory(const struct dod_mapping *m)
{
	return !(m->memory & DOD_MEM_ODD) &&
	       !(m->kind == DOD_SINGLE && (m->memory & DOD_MEM_APART)) &&
	       (!dod_mem_ops.accessible || dod_mem_ops.accessible(m));
}

static noinline bool check_memory(const struct dod_call *call, struct dod_mapping *m)
{
	struct dod_finding f DOD_UNINITIALIZED;

	finding_begin(&f, call);
	if (likely(!m->not_ram))
		dod_scan_memory(m, &f);
	run(m->not_ram ? NOT_RAM : MEMORY, m, &f);
	advise(call, m);
	return end_at_bad_byte(m, &f);
}

/* The same as dod_check_mask(), of most mappings. */
static __always_inline bool is_in_reach(const struct dod_call *call, const struct dod_mapping *m)
{
	const struct dod_device *d = m->device;
	u64 last = dod_dma_last(m);

	return !call->allocated && last <= d->mask && last <= READ_ONCE(d->wires) &&
	       (!d->bus_limit || last <= d->bus_limit);
}

bool dod_check_before(const struct dod_call *call, struct dod_mapping *m)
{
	if (unlikely(!is_good_memory(m) ||
		     !(is_stage_off(MEMORY) || is_in_reach(call, m))))
		return check_memory(call, m);
	advise(call, m);
	return true;
}

void dod_check_after(const struct dod_call *call, const struct dod_mapping *m)
{
	struct dod_mapping other DOD_UNINITIALIZED;
	struct dod_finding f DOD_UNINITIALIZED;

	if (!m->line || m->trap != DOD_TRAP_ALL || !call->to_device ||
	    (call->attrs & DOD_ATTR_OWN_LINES))
		return;
	finding_begin(&f, call);
	f.other = &other;
	if (run(OTHERS, m, &f))
		return;
	f.other = NULL;
	run(ALONE, m, &f);
}

void dod_map_checks_start(void)
{
	const struct check *c;
	unsigned int stage;

	for (stage = 0; stage < ARRAY_SIZE(checks); stage++)
		for_each_check(c, stage)
			types_of[stage] |= BIT_ULL(c->type);
	dod_learn_images();
	dod_learn_devres();
}
