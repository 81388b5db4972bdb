// SPDX-License-Identifier: GPL-2.0
/*
 * What a report says of each kind of fault: the line below the title, the stack, the
 * device and its memory, and how the memory came to be the device's.
 *
 * No locks. Context of all functions, where not said otherwise: as for text.c.
 */
#include "internal.h"
#include "../base/params.h"
#include "../base/stack.h"

#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/clock.h>
#include <linux/string.h>

static unsigned long virt(u64 phys)
{
	return (unsigned long)phys_to_virt(phys);
}

/* Where a mapping ends as it was asked for, however much of that is memory of its own. */
static unsigned long virt_end(const struct dod_mapping *m)
{
	return virt(m->start) + (unsigned long)dod_size(m);
}

/* mem_dump_obj() prints: see print_text() in report.c. */
static void put_object(struct text *t, const void *addr)
{
	if (!addr || !virt_addr_valid(addr) || !folio_test_slab(virt_to_folio(addr)))
		return;
	t->object = addr;
	t->object_at = t->len;
}

/* === The device and its memory ============================================ */

/**
 * dod_report_note_unmatched() - remember the last call of the API whose address is of no
 * mapping: a later report can be due to it
 * @device: the device
 * @what: the call
 * @dma_addr: the address
 * @caller: its return address
 */
void dod_report_note_unmatched(struct dod_device *device, enum dod_unmatched_call what,
			       u64 dma_addr, unsigned long caller)
{
	struct dod_unmatched *u = &device->unmatched[what];
	u32 version = READ_ONCE(u->version);

	/* Of two at the same time one is as good as the other. */
	if (version % 2 || cmpxchg(&u->version, version, version + 1) != version)
		return;
	u->when = local_clock();
	u->dma_addr = dma_addr;
	u->caller = caller;
	/* Pairs with smp_load_acquire() in read_unmatched(). */
	smp_store_release(&u->version, version + 2);
}

/* Returns false if there is none, or it is just being written. */
static bool read_unmatched(const struct dod_unmatched *u, struct dod_unmatched *copy)
{
	/* Pairs with smp_store_release() in dod_report_note_unmatched(). */
	u32 version = smp_load_acquire(&u->version);

	*copy = *u;
	/* Pairs with cmpxchg() there. */
	smp_rmb();
	return version && version % 2 == 0 && READ_ONCE(u->version) == version;
}

/* Calls that matched no mapping since @m was mapped: one may have been meant for it. */
static void put_unmatched(struct text *t, const struct dod_mapping *m)
{
	static const char * const what[] = { [DOD_UNMAP] = "An unmap", [DOD_SYNC_CALL] = "A sync" };
	struct dod_unmatched u;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(what); i++) {
		if (!read_unmatched(&m->device->unmatched[i], &u) || !dod_ago(u.when, m->map.when))
			continue;
		dod_put(t, " %s of dma 0x%llx matched no mapping, %llu ms ago in %pS\n",
			what[i], u.dma_addr, div_u64(dod_ago(t->now, u.when), NSEC_PER_MSEC),
			(void *)u.caller);
	}
}

static void put_device_state(struct text *t, const struct dod_mapping *m)
{
	dod_put(t, " The device is %scache-coherent, its mask is 0x%llx.\n",
		m->device->coherent ? "" : "not ", m->device->mask);
	put_unmatched(t, m);
}

/* "Device foo 0000:00:03.0 owns 1514 bytes, DMA_TO_DEVICE", and where they are. */
static void put_bytes(struct text *t, const struct dod_mapping *m, const char *does, u64 size,
		      u8 dir, unsigned long addr, u64 dma_addr)
{
	/* If not, the call has not come that far. */
	bool is_mapped = dma_addr != DMA_MAPPING_ERROR;

	dod_put(t, "\nDevice %s %s %s %llu bytes%s%s\n", m->device->driver_name, m->device->name,
		does, size, is_mapped ? ", " : "", is_mapped ? dod_report_dir(dir) : "");
	dod_put(t, " [%lx, %lx)", addr, addr + (unsigned long)size);
	if (is_mapped)
		dod_put(t, ", dma 0x%llx", dma_addr);
}

static void put_mapping(struct text *t, const struct dod_mapping *m, const char *does,
			unsigned long addr)
{
	put_bytes(t, m, does, dod_size(m), m->dir, addr, m->dma_addr);
}

/* What the device owns of a mapping, and where in it something happened. */
static void put_range(struct text *t, const struct report *r, const u64 *at)
{
	const struct dod_mapping *m = r->m;
	u64 start = max(r->range->start, m->start);
	u64 size = min(r->range->last, m->last) - start + 1;

	put_bytes(t, m, r->range->state == DOD_OWNED ? "owns" : "may have written", size,
		  r->range->dir, virt(start), m->dma_addr + (start - m->start));
	if (at && *at >= m->start && *at <= m->last)
		dod_put(t, "; the access is %llu bytes into the buffer", *at - m->start);
	dod_put(t, "\n");
	if (size != dod_size(m))
		dod_put(t, " They are part of a buffer of %llu bytes, [%lx, %lx).\n",
			dod_size(m), virt(m->start), virt_end(m));
	if (at && *at < m->start)
		dod_put(t, " The access is %llu bytes before the buffer, in its first cache line of %u bytes.\n",
			m->start - *at, m->line);
	else if (at && *at > m->last)
		dod_put(t, " The access is %llu bytes after the buffer, in its last cache line of %u bytes.\n",
			*at - m->last, m->line);
	put_device_state(t, m);
	if (m->has_ended)
		dod_put(t, " Never synced for the CPU: unmapped with DMA_ATTR_SKIP_CPU_SYNC in %pS\n",
			(void *)m->ended_by);
	else if (r->range->state == DOD_STALE)
		dod_put(t, " Not synced for the CPU: the last sync ended before these bytes.\n");
	if (m->idle_sync.off)
		dod_put(t, " The last sync for the CPU was DMA_TO_DEVICE, so it did nothing, in %pS\n",
			(void *)dod_frame_ip(m->idle_sync));
}

/* Sentences, each with a newline, unless the last did not fit. */
static void put_lines(struct text *t, const char *lines)
{
	size_t len = strlen(lines);

	dod_put(t, "%s%s", lines, len && lines[len - 1] != '\n' ? "\n" : "");
}

static void put_mapped(struct text *t, const struct dod_mapping *m)
{
	dod_put_who(t, m->kind == DOD_PAGES ? "Allocated with dma_alloc_pages()" : "Mapped",
		    &m->map, m->map_frames);
}

/* === Bytes ================================================================ */

#define MAP_COLUMNS	64

static bool are_at(const struct dod_bytes *bytes, u64 at)
{
	return at - bytes->start < bytes->nr;
}

/*
 * Whose the bytes of the cache line around @at are, a row for each 64 of them: the
 * mapping's, those of @others, which @mark stands for, or neither. And which are accessed.
 */
static void put_cache_line(struct text *t, const struct dod_mapping *m, u64 at, char mark,
			   struct dod_bytes others, struct dod_bytes access)
{
	struct dod_bytes mine = { m->start, m->last - m->start + 1 };
	u64 row = dod_line_of(m, at), end = row + m->line;
	char whose[MAP_COLUMNS], accessed[MAP_COLUMNS + 1];
	unsigned int nr, i;

	for (; row < end; row += nr) {
		nr = min_t(u64, end - row, MAP_COLUMNS);
		for (i = 0; i < nr; i++)
			whose[i] = are_at(&mine, row + i) ? 'D' :
				   are_at(&others, row + i) ? mark : '.';
		dod_put(t, " %lx: %.*s\n", virt(row), nr, whose);
		memset(accessed, 0, sizeof(accessed));
		for (i = nr; i--; )
			accessed[i] = are_at(&access, row + i) ? '^' : accessed[i + 1] ? ' ' : 0;
		if (accessed[0])
			dod_put(t, "%*s%s\n", (int)(2 * sizeof(long) + 3), "", accessed);
	}
}

/* The last line, or the first if that is the one. */
static void put_line_of_other(struct text *t, const struct dod_mapping *m,
			      const struct dod_mapping *other)
{
	bool first = other->last >= dod_line_of(m, m->start) && other->start < m->start;

	dod_put(t, "The cache line (D: this mapping's, o: the other one's):\n");
	put_cache_line(t, m, first ? m->start : m->last, 'o',
		       (struct dod_bytes){ other->start, other->last - other->start + 1 },
		       (struct dod_bytes){});
}

static void put_bytes_of_finding(struct text *t, const struct report *r)
{
	const struct dod_finding *f = r->finding;
	const struct dod_change *c = &f->change;
	unsigned int i;

	if (f->type == DOD_R_CACHELINE_SHARING && f->other) {
		put_line_of_other(t, r->m, f->other);
	} else if (f->type == DOD_R_CACHELINE_SHARING) {
		dod_put(t, "The cache lines (D: the device's, c: the CPU's, .: neither):\n");
		for (i = 0; i < 2; i++)
			if (f->shared[i].nr)
				put_cache_line(t, r->m, i ? r->m->last : r->m->start, 'c',
					       f->shared[i], (struct dod_bytes){});
	} else if ((f->type == DOD_R_DEVICE_OVERRUN || f->type == DOD_R_SHARED_LINE_WRITE ||
		    f->type == DOD_R_LATE_DEVICE_WRITE) && c->nr) {
		dod_put(t, "Bytes from %lx on:\n was: %*ph\n is:  %*ph\n", virt(c->start),
			c->nr, c->was, c->nr, c->is);
	}
}

/* === History ============================================================== */

/* Which bytes a report is about, physical: some of the mapping's, for the access can be beside. */
void dod_bytes_of_report(const struct report *r, u64 *start, u64 *last)
{
	const struct dod_mapping *m = r->m;
	u64 from = r->range ? max(r->range->start, m->start) : m->start;
	u64 to = r->range ? min(r->range->last, m->last) : m->last;
	u64 at = from, size = to - from + 1;

	if (r->kind == &dod_kind_access) {
		at = r->access->bad;
		size = virt_to_phys((void *)r->access->addr) + r->access->size - at;
	} else if (r->kind == &dod_kind_race) {
		at = virt_to_phys((void *)r->race->addr);
		size = r->race->size;
	} else if (r->kind == &dod_kind_lost_write) {
		at = max(r->lost->range.start, r->lost->wrote_first);
		size = min(r->lost->range.last, r->lost->wrote_last) - at + 1;
	}
	*start = clamp(at, from, to);
	*last = clamp(at + max(size, 1ULL) - 1, *start, to);
}

/* "dma_sync_single_for_cpu()" */
static void put_api(char *name, size_t size, const struct dod_history_line *line)
{
	static const char * const map[] = {
		[DOD_SINGLE] = "dma_map_single", [DOD_SG] = "dma_map_sg",
		[DOD_PAGES] = "dma_alloc_pages", [DOD_IOVA] = "dma_iova_link",
	};

	if (line->api == DOD_API_MAP)
		snprintf(name, size, "%s()", map[line->kind]);
	else if (line->api == DOD_API_UNMAP)
		snprintf(name, size, "%s()", dod_ending(line->kind));
	else if (line->kind == DOD_IOVA)
		snprintf(name, size, "dma_iova_sync()");
	else
		snprintf(name, size, "dma_sync_%s_for_%s()", line->kind == DOD_SG ? "sg" : "single",
			 line->api == DOD_API_SYNC_FOR_CPU ? "cpu" : "device");
}

static void put_history(struct text *t, const struct report *r)
{
	struct dod_history_line lines[DOD_HISTORY_LINES];
	char names[DOD_HISTORY_LINES][32] = {};
	unsigned int i, nr, width = 0;
	u64 start, last;

	if (!READ_ONCE(dod_params.history))
		return;
	dod_bytes_of_report(r, &start, &last);
	nr = dod_history_ops.get(r->m, start, last, lines);
	for (i = 0; i < nr; i++) {
		if (lines[i].api != DOD_API_NO_SYNC)
			put_api(names[i], sizeof(names[i]), &lines[i]);
		width = max_t(unsigned int, width, strlen(names[i]));
	}
	if (nr)
		dod_put(t, "History of these bytes, newest first:\n");
	for (i = 0; i < nr; i++) {
		bool to_device = lines[i].api == DOD_API_MAP ||
				 lines[i].api == DOD_API_SYNC_FOR_DEVICE;

		if (lines[i].api == DOD_API_NO_SYNC) {
			dod_put(t, " (not all syncs of this mapping are remembered)\n");
			continue;
		}
		dod_put(t, " ");
		dod_put_ago(t, lines[i].when);
		dod_put(t, "  to the %s  %-*s  %pS\n", to_device ? "device" : "CPU   ", width,
			names[i], (void *)lines[i].by);
	}
}

/* === Kinds ================================================================ */

/* The end of a head. */
static void put_by(struct text *t, const char *comm, int pid, unsigned int cpu)
{
	dod_put(t, " by task %s/%d on cpu %u\n", comm, pid, cpu);
}

static void put_by_current(struct text *t)
{
	put_by(t, current->comm, task_pid_nr(current), raw_smp_processor_id());
}

static void put_access(struct text *t, bool write, const char *least, size_t size,
		       unsigned long addr)
{
	dod_put(t, "%s of size %s%zu at %lx", write ? "Write" : "Read", least, size, addr);
}

static void head_of_access(struct text *t, const struct report *r)
{
	const struct dod_access *a = r->access;

	put_access(t, a->write, a->or_more ? "at least " : "", a->size, a->addr);
	put_by_current(t);
}

static void body_of_access(struct text *t, const struct report *r)
{
	const struct dod_access *a = r->access;

	dod_put_stack(t, &r->stack);
	put_range(t, r, &a->bad);
	if (r->type == DOD_R_SHARED_LINE_WRITE) {
		dod_put(t, "The cache line (D: the device's, c: the CPU's, ^: the access):\n");
		put_cache_line(t, r->m, a->bad, 'c',
			       (struct dod_bytes){ dod_line_of(r->m, a->bad), r->m->line },
			       (struct dod_bytes){ virt_to_phys((void *)a->addr), a->size });
	}
	put_object(t, (void *)a->addr);
}

/* The last sync for the device, unless it was of another part: that has nothing to do with it. */
static void put_sync(struct text *t, const struct report *r)
{
	const struct dod_mapping *m = r->m;
	u64 sync_off = m->start + m->sync_off;
	char what[48];

	if (!r->range || !m->sync_len || sync_off > r->range->last ||
	    sync_off + m->sync_len <= r->range->start)
		return;
	snprintf(what, sizeof(what), "\nLast dma_sync_%s_for_device()", dod_family(m));
	dod_put_who(t, what, &m->sync, m->sync_frames);
}

/* How the memory came to be the device's. */
static void tail_of_access(struct text *t, const struct report *r)
{
	dod_put(t, "\n");
	put_mapped(t, r->m);
	put_sync(t, r);
	put_history(t, r);
}

const struct report_kind dod_kind_access = {
	head_of_access, body_of_access, tail_of_access, dod_culprit_frame,
};

static void head_of_race(struct text *t, const struct report *r)
{
	const struct dod_race *race = r->race;
	char comm[TASK_COMM_LEN] = "?";
	struct task_struct *task;

	put_access(t, race->write, "", race->size, race->addr);
	/* The task has gone on since. */
	rcu_read_lock();
	task = pid_task(find_pid_ns(race->pid, &init_pid_ns), PIDTYPE_PID);
	if (task)
		strscpy(comm, task->comm, sizeof(comm));
	rcu_read_unlock();
	if (race->pid < 0)
		dod_put(t, " by an interrupt on cpu %d\n", race->cpu);
	else
		put_by(t, comm, race->pid, race->cpu);
}

static void body_of_race(struct text *t, const struct report *r)
{
	u64 at = max_t(u64, virt_to_phys((void *)r->race->addr), r->range->start);

	dod_put_stack(t, &r->stack);
	put_range(t, r, &at);
	put_object(t, (void *)r->race->addr);
}

const struct report_kind dod_kind_race = {
	head_of_race, body_of_race, tail_of_access, dod_culprit_frame,
};

static void head_of_free(struct text *t, const struct report *r)
{
	if (r->free->found)
		dod_put(t, "Found %s,", r->free->found);
	else
		dod_put(t, "Free of %llu bytes at %lx", r->free->size, r->free->addr);
	put_by_current(t);
}

static void body_of_free(struct text *t, const struct report *r)
{
	const struct dod_mapping *m = r->m;

	if (!r->free->found)
		dod_put_stack(t, &r->stack);
	put_range(t, r, NULL);
	if (m->leaked)
		dod_put(t, "Driver %s was unbound from device %s, and has left this memory mapped.\n",
			m->device->driver_name, m->device->name);
	else if (r->free->found)
		dod_put(t, "The memory at %lx was freed by a function that is not hooked, as for kfree_rcu().\n",
			r->free->addr);
	if (!r->free->found && r->culprit == r->stack.nr)
		dod_put(t, "This code frees for every driver: the title names where the memory was mapped.\n");
}

const struct report_kind dod_kind_free = {
	head_of_free, body_of_free, tail_of_access, dod_culprit_frame_of_free,
};

static void head_of_leaks(struct text *t, const struct report *r)
{
	dod_put(t, "%.*s\n", (int)strcspn(r->leaks->text, "\n"), r->leaks->text);
}

#define PLACES_SHOWN	8

static void body_of_leaks(struct text *t, const struct report *r)
{
	const struct dod_leaks *l = r->leaks;
	unsigned int i, nr = l->all.nr;
	u64 bytes = l->all.bytes;

	dod_put(t, "\n");
	put_lines(t, strchrnul(l->text, '\n') + 1);
	put_device_state(t, &l->places[0].m);
	for (i = 0; i < min(l->nr, PLACES_SHOWN); i++) {
		const struct dod_leak *leak = &l->places[i];
		const struct dod_mapping *m = &leak->m;

		nr -= leak->nr;
		bytes -= leak->bytes;
		dod_put(t, "\n%u mapping%s of %llu bytes%s, %s\n", leak->nr,
			leak->nr == 1 ? "" : "s", leak->bytes,
			leak->nr == 1 ? "" : " in all, one of them", dod_report_dir(m->dir));
		dod_put(t, " [%lx, %lx), dma 0x%llx\n", virt(m->start), virt_end(m), m->dma_addr);
		put_mapped(t, m);
	}
	if (nr)
		dod_put(t, "\nAnd %u of %llu bytes, mapped elsewhere.\n", nr, bytes);
}

const struct report_kind dod_kind_leaks = { head_of_leaks, body_of_leaks };

static void head_of_finding(struct text *t, const struct report *r)
{
	const struct dod_who *who = &r->m->map;

	dod_put(t, "%s of size %llu at %lx", r->m->kind == DOD_COHERENT ? "Allocation" : "Map",
		dod_size(r->m), r->finding->addr ?: virt(r->m->start));
	put_by(t, who->comm, who->pid, who->cpu);
}

static void body_of_finding(struct text *t, const struct report *r)
{
	const struct dod_finding *f = r->finding;
	const struct dod_mapping *m = r->m;
	struct stack stack = dod_stack_of_caller(&m->map, m->map_frames);

	dod_put_stack(t, &stack);
	/* An address outside of the linear map has no other one. */
	put_mapping(t, m, m->kind == DOD_COHERENT ? "allocated" :
		    f->at || m->has_ended ? "mapped" : "maps", f->addr ?: virt(m->start));
	dod_put(t, "\n");
	put_device_state(t, m);
	put_lines(t, f->text);
	put_bytes_of_finding(t, r);
	if (f->at)
		dod_put(t, "Found when the buffer came back to the CPU, in %pS\n", (void *)f->at);
	put_object(t, f->object);
}

static void tail_of_finding(struct text *t, const struct report *r)
{
	const struct dod_mapping *other = r->finding->other;

	if (!other)
		return;
	dod_put(t, "\nThe other mapping: device %s %s, %llu bytes, %s\n",
		other->device->driver_name, other->device->name, dod_size(other),
		dod_report_dir(other->dir));
	dod_put(t, " [%lx, %lx), dma 0x%llx\n", virt(other->start), virt_end(other),
		other->dma_addr);
	dod_put_who(t, "Mapped", &other->map, other->map_frames);
}

const struct report_kind dod_kind_finding = { head_of_finding, body_of_finding, tail_of_finding };

static void head_of_unmatched(struct text *t, const struct report *r)
{
	const struct dod_who *who = &r->m->map;

	dod_put(t, "%s of size %llu at dma 0x%llx", r->what == DOD_UNMAP ? "Unmap" : "Sync",
		dod_size(r->m), r->m->dma_addr);
	put_by(t, who->comm, who->pid, who->cpu);
}

static void body_of_unmatched(struct text *t, const struct report *r)
{
	const struct dod_mapping *m = r->m;
	struct stack stack = dod_stack_of_caller(&m->map, m->map_frames);

	dod_put_stack(t, &stack);
	dod_put(t, "\nDevice %s %s has nothing mapped at dma 0x%llx\n", m->device->driver_name,
		m->device->name, m->dma_addr);
	put_device_state(t, m);
	put_lines(t, r->finding->text);
	put_object(t, r->finding->object);
}

static void tail_of_unmatched(struct text *t, const struct report *r)
{
	const struct dod_mapping *last = r->finding->other;

	if (!last)
		return;
	dod_put(t, "\nMapped there last: device %s %s, %llu bytes, %s\n", last->device->driver_name,
		last->device->name, dod_size(last), dod_report_dir(last->dir));
	dod_put(t, " [%lx, %lx), dma 0x%llx\n", virt(last->start), virt_end(last),
		last->dma_addr);
	dod_put(t, "Unmapped (");
	dod_put_ago(t, last->ended);
	dod_put(t, ") in %pS\n", (void *)last->ended_by);
	put_mapped(t, last);
}

const struct report_kind dod_kind_unmatched = {
	head_of_unmatched, body_of_unmatched, tail_of_unmatched,
};

/* Is the first write, which is remembered of a loop, one that was lost? */
static bool is_first_lost(const struct dod_pending *p)
{
	u64 start = virt_to_phys((void *)p->write.addr);

	return dod_pending_wrote(p, max(start, p->range.start),
				 min(start + p->write.size - 1, p->range.last));
}

/* Where what was lost begins, and how many bytes it is in one piece. */
static unsigned long lost_bytes(const struct dod_pending *p, size_t *size)
{
	u64 start = max(p->range.start, p->wrote_first);
	u64 last = min(p->range.last, p->wrote_last), end;

	if (is_first_lost(p)) {
		*size = p->write.size;
		return p->write.addr;
	}
	while (start < last && !dod_pending_wrote(p, start, start))
		start++;
	for (end = start; end < last && dod_pending_wrote(p, end + 1, end + 1); end++)
		;
	*size = end - start + 1;
	return virt(start);
}

static void head_of_lost_write(struct text *t, const struct report *r)
{
	const struct dod_who *who = &r->lost->write.who;
	size_t size;
	unsigned long addr = lost_bytes(r->lost, &size);

	put_access(t, true, "", size, addr);
	put_by(t, who->comm, who->pid, who->cpu);
}

static void body_of_lost_write(struct text *t, const struct report *r)
{
	const struct dod_pending *p = r->lost;
	const struct dod_mapping *m = r->m;
	size_t size;
	unsigned long addr = lost_bytes(p, &size);

	dod_put_stack(t, &r->stack);
	put_mapping(t, m, "mapped", virt(m->start));
	if (addr >= virt(m->start))
		dod_put(t, "; the write is %lu bytes into the buffer", addr - virt(m->start));
	dod_put(t, "\n");
	put_device_state(t, m);
	if (!is_first_lost(p))
		dod_put(t, "It is one of several there; the first was of %zu bytes at %lx.\n",
			p->write.size, p->write.addr);
	if (p->synced_by)
		dod_put(t, "Synced for the CPU in %pS\n", (void *)p->synced_by);
	dod_put(t, "No dma_sync_%s_for_device() before ", dod_family(m));
	if (r->how == DOD_LOST_AT_FREE)
		dod_put(t, "the memory was freed in ");
	else if (r->how == DOD_LOST_AT_SYNC)
		dod_put(t, "dma_sync_%s_for_cpu() in ", dod_family(m));
	else
		dod_put(t, "%s() in ", dod_ending(m->kind));
	dod_put(t, "%pS\n", (void *)r->lost_by);
	if (r->how != DOD_LOST_AT_FREE)
		put_object(t, (void *)addr);
}

const struct report_kind dod_kind_lost_write = {
	head_of_lost_write, body_of_lost_write, tail_of_access, dod_culprit_frame,
};
