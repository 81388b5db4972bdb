// SPDX-License-Identifier: GPL-2.0
/*
 * What a sync or an unmap finds while a lock is held, kept until no lock is held and it can
 * be reported. No locks here; where the physical lock must be held, it says so.
 */
#include "internal.h"

/* The mapping may end before it is reported; dod_pool_put() is to free the copy. */
struct dod_mapping *dod_copy_mapping(const struct dod_mapping *m)
{
	struct dod_mapping *copy = dod_pool_get(&dod_mapping_pool);

	if (copy)
		*copy = *m;
	else
		dod_count(DOD_C_FINDINGS_POOL_EMPTY);
	return copy;
}

/* A sync of a part splits the range of one write, which is reported once. */
static bool is_same_write(const struct dod_pending *p, const struct dod_pending *lost)
{
	return lost && p->write.addr == lost->write.addr &&
	       p->write.who.when == lost->write.who.when && p->write.who.pid == lost->write.who.pid;
}

/*
 * The writes pending to [start, last] are lost: copies them. @was_owned: those that trapped
 * while the device owned the memory (rule 4), else those after a sync for the CPU (rule 6b).
 * The physical lock of the mapping is held.
 */
void dod_result_add_lost(struct dod_content_result *result, struct dod_mapping *m, u64 start,
			 u64 last, bool was_owned)
{
	struct dod_range *r;

	for_each_range(r, m, start, last) {
		u64 from = max(r->start, start), to = min(r->last, last);
		struct dod_pending *copy;

		if (r->state != DOD_PENDING || was_owned != (r->dir == DMA_TO_DEVICE) ||
		    !dod_pending_wrote(pending_of(r), from, to) ||
		    is_same_write(pending_of(r), result->lost))
			continue;
		copy = dod_pending_copy(pending_of(r));
		if (!copy)
			continue;
		copy->range.start = from;
		copy->range.last = to;
		copy->next = result->lost;
		result->lost = copy;
	}
}

static void report_lost(const struct dod_call *call, struct dod_content_result *result,
			const struct dod_mapping *m, enum dod_lost how)
{
	struct dod_pending *p, *next;

	for (p = result->lost; p; p = next) {
		next = p->next;
		if (m)
			dod_judge_ops.write_lost(p, m, how, call->caller);
		dod_pending_put(p);
	}
}

/* One untouched entry of a list is no fault: count over the whole list. */
static void note_unwritten(const struct dod_call *call, struct dod_content_result *result,
			   const struct dod_mapping *m)
{
	struct dod_unwritten *u = call->unwritten;

	if (likely(!u))
		return;
	u->touched |= result->touched;
	if (!(result->types & BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING)))
		return;
	result->types &= ~BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING);
	u->bytes += result->untouched;
	if (!u->m && m) {
		u->from = result->from;
		u->m = dod_copy_mapping(m);
	}
}

/* All entries of a list were compared, and the device wrote nothing to @u->m. No lock is held. */
noinline void dod_report_list(const struct dod_call *call, struct dod_unwritten *u)
{
	struct dod_content_result result = {
		.types = BIT_ULL(DOD_R_DEVICE_WROTE_NOTHING),
		.from = u->from,
		.untouched = u->bytes,
	};

	if (!u->touched)
		dod_judge_ops.content_report(&result, u->m, call->caller);
	dod_pool_put(&dod_mapping_pool, u->m);
}

/* What a sync has found. No lock is held. */
void dod_report_sync(const struct dod_call *call, struct dod_content_result *result)
{
	if (likely(!call->unwritten && !result_any(result)))
		return;
	note_unwritten(call, result, result->m);
	if ((result->types & BIT_ULL(DOD_R_FREE_WHILE_MAPPED)) && result->m)
		dod_judge_ops.memory_freed(result->m, &result->freed, "when it was synced");
	else if (result->types && result->m)
		dod_judge_ops.content_report(result, result->m, call->caller);
	report_lost(call, result, result->m, DOD_LOST_AT_SYNC);
	if (result->m)
		dod_pool_put(&dod_mapping_pool, result->m);
}

/* What an unmap has found of a mapping that only the caller can end. No lock is held. */
void dod_report_unmap(const struct dod_call *call, struct dod_content_result *result,
		      const struct dod_mapping *m)
{
	note_unwritten(call, result, m);
	if (result->types)
		dod_judge_ops.content_report(result, m, call->caller);
	report_lost(call, result, m, DOD_LOST_AT_UNMAP);
}
