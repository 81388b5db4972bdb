// SPDX-License-Identifier: GPL-2.0
/*
 * What a report says, section by section, in the order in which it is read: what happened,
 * what it costs, where, to whose memory, and what to do. Formats into a text, prints
 * nothing.
 *
 * No locks. Context of all functions, where not said otherwise: any, with any locks of the
 * kernel held, KASAN off.
 */
#include "internal.h"

#include <linux/cred.h>
#include <linux/dmi.h>
#include <linux/of.h>
#include <linux/panic.h>
#include <linux/string.h>
#include <linux/utsname.h>

/* === Types ================================================================ */

const struct report_type dod_types[] = {
#define DOD_TYPE(id, name, loses, ...)	\
	[DOD_R_##id] = { name, loses, __VA_ARGS__ },
#include "types.h"
};

/* === Pieces =============================================================== */

/* Text that does not fit is dropped; TEXT_END bytes are kept free for the last lines. */
void dod_put(struct text *t, const char *fmt, ...)
{
	unsigned int room = TEXT_SIZE - TEXT_END - t->len;
	va_list args;
	int n;

	if (t->cut)
		return;
	va_start(args, fmt);
	n = vsnprintf(t->chars + t->len, room, fmt, args);
	va_end(args);
	if (n < room)
		t->len += n;
	else
		t->cut = true;
}

static void put_frame(struct text *t, const char *indent, const struct stack *stack, unsigned int i)
{
	unsigned long ip = stack->names ? 0 : dod_frame_address(stack, i);

	if (ip)
		dod_put(t, "%s%pS\n", indent, (void *)ip);
	else
		dod_put(t, "%s%s\n", indent, stack->names ? stack->names[i] : UNKNOWN_CODE);
}

void dod_put_stack(struct text *t, const struct stack *stack)
{
	unsigned int i;

	/* Parsers of reports look for this line before the first stack. */
	if (!t->traced)
		dod_put(t, "Call Trace:\n");
	t->traced = true;
	if (!stack->nr)
		dod_put(t, " (stack is not available)\n");
	for (i = 0; i < stack->nr; i++)
		put_frame(t, " ", stack, i);
}

/* "0.001203s ago" */
void dod_put_ago(struct text *t, u64 when)
{
	u64 ago = dod_ago(t->now, when);
	u32 us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

	dod_put(t, "%llu.%06us ago", ago, us);
}

void dod_put_who(struct text *t, const char *what, const struct dod_who *who,
		 const struct dod_frame *frames)
{
	struct stack stack = dod_stack_of_caller(who, frames);
	u64 when = who->when;
	u32 us = do_div(when, NSEC_PER_SEC) / NSEC_PER_USEC;

	dod_put(t, "%s by task %s/%d on cpu %u at %llu.%06us (",
		what, who->comm, who->pid, who->cpu, when, us);
	dod_put_ago(t, who->when);
	dod_put(t, "):\n");
	dod_put_stack(t, &stack);
}

/**
 * dod_report_dir() - the name of a direction, as drivers spell it
 * @dir: the direction
 * Return: the name.
 */
const char *dod_report_dir(u8 dir)
{
	return dir == DMA_TO_DEVICE ? "DMA_TO_DEVICE" :
	       dir == DMA_FROM_DEVICE ? "DMA_FROM_DEVICE" : "DMA_BIDIRECTIONAL";
}

const char *dod_family(const struct dod_mapping *m)
{
	return m->kind == DOD_SG ? "sg" : "single";
}

const char *dod_ending(enum dod_kind kind)
{
	static const char * const calls[] = {
		[DOD_SINGLE] = "dma_unmap_single",
		[DOD_SG] = "dma_unmap_sg",
		[DOD_PAGES] = "dma_free_pages",
		[DOD_IOVA] = "dma_iova_destroy",
		[DOD_COHERENT] = "dma_free_coherent",
	};

	return calls[kind];
}

/* === What it costs ======================================================== */

static enum loses loses(const struct report *r)
{
	enum loses l = dod_types[r->type].loses;

	/* The device is done with it. */
	if (l == LOSES_EARLY && r->range && r->range->state == DOD_STALE)
		return LOSES_COPIES;
	if (l == LOSES_STATIC &&
	    (r->m->not_ram || (r->kind == &dod_kind_finding && r->finding->addr)))
		return LOSES_EVERYWHERE;
	return l;
}

/* Is it on this machine that data are lost? */
static const char *here(enum loses l, const struct report *r)
{
	const struct dod_mapping *m = r->m;
	bool bounced = m->bounced && l != LOSES_LINES && l != LOSES_STATIC;

	/* Nothing is mapped: it is the device that tells. */
	if (r->kind == &dod_kind_unmatched) {
		if (!m->device->coherent || m->device->translated)
			return "On this machine.";
		return r->finding->other && r->finding->other->bounced ?
		       "Perhaps on this machine." : "Not on this machine.";
	}
	if (!m->device->coherent || (bounced && !m->device->translated))
		return "On this machine.";
	/* Nobody knows what an IOMMU bounces, or who changed the bytes. */
	if (bounced || l == LOSES_CHANGE)
		return "Perhaps on this machine.";
	if (l == LOSES_EARLY)
		return "On this machine while the transfer runs.";
	return "Not on this machine.";
}

static void put_loses(struct text *t, const struct report *r)
{
	static const char * const on[] = {
		[LOSES_EARLY] = "with bounce buffers or non-coherent caches.",
		[LOSES_CHANGE] = "with bounce buffers, an IOMMU or non-coherent caches.",
		[LOSES_LINES] = "with non-coherent caches.",
		[LOSES_COPIES] = "with bounce buffers or non-coherent caches.",
		[LOSES_STATIC] = "with non-coherent caches.",
		[LOSES_EVERYWHERE] = "on every machine.",
		[LOSES_UNSTOPPED] = "on every machine, if the device is not stopped.",
		[LOSES_ADDRESS] = "where memory is out of the device's reach. On this machine.",
		[LOSES_PAST_PAGE] = "where it is written past the end of the page, too.",
		[LOSES_UNWRITTEN] = "on every machine, if the driver uses what was not written.",
	};
	enum loses l = loses(r);

	if ((l == LOSES_LINES || l == LOSES_COPIES) && r->m->device->coherent && r->m->line)
		dod_put(t, "Simulated: this device is cache-coherent (noncoherent=%u).\n",
			r->m->line);
	else if (l < LOSES_EVERYWHERE)
		dod_put(t, "Loses data: %s %s\n", on[l], here(l, r));
	else
		dod_put(t, "Loses data: %s\n", on[l]);
}

/* === The machine ========================================================== */

/* As dump_stack() has it, "" if nothing is known. */
static char hardware[88];

/**
 * dod_report_start() - learn the name of the machine
 *
 * In process context, and not later: the device tree has a lock, which may be held where a
 * fault is found.
 */
void dod_report_start(void)
{
	const char *model, *board = dmi_get_system_info(DMI_BOARD_NAME);
	struct device_node *root;

	if (dmi_get_system_info(DMI_PRODUCT_NAME)) {
		snprintf(hardware, sizeof(hardware), "%s %s%s%s, BIOS %s %s",
			 dmi_get_system_info(DMI_SYS_VENDOR) ?: "",
			 dmi_get_system_info(DMI_PRODUCT_NAME), board ? "/" : "", board ?: "",
			 dmi_get_system_info(DMI_BIOS_VERSION) ?: "",
			 dmi_get_system_info(DMI_BIOS_DATE) ?: "");
		return;
	}
	root = of_find_node_by_path("/");
	if (root && !of_property_read_string(root, "model", &model))
		strscpy(hardware, model, sizeof(hardware));
	of_node_put(root);
}

/* print_tainted() is not for modules. */
static void put_taint(struct text *t)
{
	static const char flags[] = "PFSRMBUDAWCIOELKXTNJ";
	char set[sizeof(flags)] = "";
	bool tainted = false;
	unsigned int i;

	for (i = 0; i < min_t(unsigned int, TAINT_FLAGS_COUNT, sizeof(flags) - 1); i++) {
		set[i] = test_taint(i) ? flags[i] : i ? ' ' : 'G';
		tainted |= test_taint(i);
	}
	dod_put(t, "%s%s", tainted ? "Tainted: " : "Not tainted", tainted ? set : "");
}

/* In the order and the words of dump_stack(). */
static void put_machine(struct text *t)
{
	dod_put(t, "\nCPU: %d UID: %u PID: %d Comm: %s ", raw_smp_processor_id(),
		__kuid_val(current_euid()), task_pid_nr(current), current->comm);
	put_taint(t);
	dod_put(t, " %s %.*s\n", init_utsname()->release,
		(int)strcspn(init_utsname()->version, " "), init_utsname()->version);
	if (*hardware)
		dod_put(t, "Hardware name: %s\n", hardware);
}

/* === The whole ============================================================ */

static const char *hint_of(const struct report *r)
{
	const struct report_type *type = &dod_types[r->type];
	u8 dir = r->range ? r->range->dir : r->m->dir;

	if (r->m->kind == DOD_IOVA && type->hint_linked)
		return type->hint_linked;
	if (type->hint_dma_buf && dod_frames_of_dma_buf(r->m))
		return type->hint_dma_buf;
	if (dir == DMA_FROM_DEVICE && type->hint_receiving)
		return type->hint_receiving;
	if (dir == DMA_TO_DEVICE && type->hint_sending)
		return type->hint_sending;
	return type->hint;
}

#define HINT_CHARS	512
#define HINT_COLUMNS	70	/* after the label */

/* Broken at blanks, the lines after the first indented. */
static void put_hint(struct text *t, const struct report *r)
{
	const char *name = dod_types[r->type].ending ? dod_ending(r->m->kind) : dod_family(r->m);
	const char *label = "Hint: ";
	char hint[HINT_CHARS], *line = hint;

	snprintf(hint, sizeof(hint), hint_of(r), name, name);
	while (strlen(line) > HINT_COLUMNS) {
		char *end = line + HINT_COLUMNS;

		/* No word is that long. */
		while (end > line && *end != ' ')
			end--;
		dod_put(t, "%s%.*s\n", label, (int)(end - line), line);
		label = "      ";
		line = end + 1;
	}
	dod_put(t, "%s%s\n", label, line);
}

/* What the tool let happen: a report may look like a crash. */
static const char *what_went_on(const struct text *t, const struct report *r)
{
	if (t->panic)
		return "fault=panic.";
	if (r->kind == &dod_kind_access || r->kind == &dod_kind_race)
		return "the access went ahead.";
	if (r->kind == &dod_kind_free)
		return "the memory was freed.";
	return "the kernel goes on.";
}

#define BAR "==================================================================\n"

/* The last lines are there whatever was left out: readers go by them. */
static void put_end(struct text *t, const struct report *r)
{
	t->len += scnprintf(t->chars + t->len, TEXT_SIZE - t->len,
			    "%sdma_owner_debug " DOD_VERSION ": %s See Documentation/usage.rst\n" BAR,
			    t->cut ? "\nThe rest of this report did not fit.\n" : "",
			    what_went_on(t, r));
}

static void put_title(struct text *t, const struct report *r)
{
	dod_put(t, BAR "BUG: DMA_OWNER: %s in ", dod_types[r->type].name);
	if (r->culprit >= r->stack.nr)
		dod_put(t, "%pS\n", (void *)dod_report_map_frame(r->m));
	else
		put_frame(t, "", &r->stack, r->culprit);
}

/* Formats a whole report. */
void dod_text_report(struct text *t, const struct report *r)
{
	put_title(t, r);
	r->kind->head(t, r);
	put_loses(t, r);
	put_machine(t);
	r->kind->body(t, r);
	if (r->kind->tail)
		r->kind->tail(t, r);
	dod_put(t, "\n");
	put_hint(t, r);
	put_end(t, r);
}

/* Formats what is said of a mapping inside of a KASAN report about @phys. */
void dod_text_annotation(struct text *t, const struct dod_mapping *m, u64 phys)
{
	bool is_before = phys < m->start, is_after = phys > m->last;

	/* That report has had its stack. */
	t->traced = true;
	dod_put(t, "DMA owner: device %s %s, %s, %llu bytes at dma 0x%llx\n",
		m->device->driver_name, m->device->name, dod_report_dir(m->dir), dod_size(m),
		m->dma_addr);
	dod_put(t, "DMA owner: the address is %llu bytes %s the buffer\n",
		is_before ? m->start - phys : is_after ? phys - m->last : phys - m->start,
		is_before ? "before" : is_after ? "after" : "into");
	dod_put_who(t, "DMA owner: mapped", &m->map, m->map_frames);
	if (m->has_ended) {
		dod_put(t, "DMA owner: unmapped ");
		dod_put_ago(t, m->ended);
		dod_put(t, " by:\n %pS\n", (void *)m->ended_by);
	}
}
