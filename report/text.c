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

/* On which machines a fault of a type loses data. */
enum loses {
	ADVICE,			/* it is no fault */
	LOSES_EARLY,		/* copies, and everywhere while the transfer runs */
	LOSES_CHANGE,		/* so, too, or an IOMMU stops the device */
	LOSES_LINES,		/* caches that are not coherent */
	LOSES_COPIES,		/* these, or bounce buffers */
	LOSES_STATIC,		/* caches, or everywhere if it is not in the linear map */
	LOSES_EVERYWHERE,
	LOSES_UNSTOPPED,
	LOSES_ADDRESS,
	LOSES_UNWRITTEN,
};

/**
 * struct report_type - a row of the table of types
 *
 * @name:	in the title and in the parameters
 * @loses:	on which machines it loses data
 * @hint:	what to do; "%s" becomes the family of calls that made the
 *		mapping, "single" or "sg", or the function that ends it
 * @hint_receiving: what to do where the device only writes, if that is different
 * @hint_sending: what to do where the device only reads, if that is different
 * @hint_linked: what to do with memory of dma_iova_link(), if that is different
 * @hint_dma_buf: what to do with a buffer of another driver's, if that is different
 * @ending:	"%s" is that function
 */
struct report_type {
	const char *name;
	enum loses loses;
	const char *hint;
	const char *hint_receiving;
	const char *hint_sending;
	const char *hint_linked;
	const char *hint_dma_buf;
	bool ending;
};

static const struct report_type types[] = {
#define DOD_TYPE(id, name, loses, ...)	\
	[DOD_R_##id] = { name, loses, __VA_ARGS__ },
#include "types.h"
};

/**
 * dod_report_name() - a type as titles and parameters spell it
 * @type: the type
 *
 * Return: the name.
 */
const char *dod_report_name(enum dod_report_type type)
{
	return types[type].name;
}

/**
 * dod_report_is_advice() - is a type a note, and no fault?
 * @type: the type
 *
 * Return: whether it is.
 */
bool dod_report_is_advice(enum dod_report_type type)
{
	return types[type].loses == ADVICE;
}

/* What a note advises. */
const char *dod_report_hint(enum dod_report_type type)
{
	return types[type].hint;
}

/* === Pieces =============================================================== */

/* What does not fit is left out, up to the end, for which there is TEXT_END. */
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

/* Parsers of reports look for this line before the first stack. */
void dod_put_call_trace(struct text *t)
{
	if (!t->traced)
		dod_put(t, "Call Trace:\n");
	t->traced = true;
}

void dod_put_frames(struct text *t, const unsigned long *frames, unsigned int nr)
{
	unsigned int i;

	dod_put_call_trace(t);
	if (!nr)
		dod_put(t, " (stack is not available)\n");
	for (i = 0; i < nr; i++)
		dod_put(t, " %pS\n", (void *)frames[i]);
}

void dod_put_who(struct text *t, const char *what, const struct dod_who *who,
		 const unsigned long *frames)
{
	u64 when = who->when, ago = dod_ago(t->now, when);
	unsigned int skip = dod_frames_skip_core(frames, who->nr_frames);
	u32 when_us = do_div(when, NSEC_PER_SEC) / NSEC_PER_USEC;
	u32 ago_us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

	dod_put(t, "%s by task %s/%d on cpu %u at %llu.%06us (%llu.%06us ago):\n",
		what, who->comm, who->pid, who->cpu, when, when_us, ago, ago_us);
	dod_put_frames(t, frames + skip, who->nr_frames - skip);
}

/**
 * dod_report_dir() - the name of a direction
 * @dir: the direction
 *
 * Return: as drivers spell it.
 */
const char *dod_report_dir(u8 dir)
{
	switch (dir) {
	case DMA_TO_DEVICE:
		return "DMA_TO_DEVICE";
	case DMA_FROM_DEVICE:
		return "DMA_FROM_DEVICE";
	default:
		return "DMA_BIDIRECTIONAL";
	}
}

const char *dod_family(const struct dod_mapping *m)
{
	return m->kind == DOD_SG ? "sg" : "single";
}

const char *dod_ending(const struct dod_mapping *m)
{
	switch (m->kind) {
	case DOD_SG:
		return "dma_unmap_sg";
	case DOD_PAGES:
		return "dma_free_pages";
	case DOD_IOVA:
		return "dma_iova_destroy";
	default:
		return "dma_unmap_single";
	}
}

/* === What it costs ======================================================== */

static enum loses loses(const struct report *r)
{
	enum loses l = types[r->type].loses;

	/* The device is done with it. */
	if (l == LOSES_EARLY && r->range && r->range->state == DOD_STALE)
		return LOSES_COPIES;
	if (l == LOSES_STATIC &&
	    (r->m->not_ram || (r->kind == &dod_kind_finding && r->finding->addr)))
		return LOSES_EVERYWHERE;
	return l;
}

/* Is it on this machine that data are lost? */
static const char *here(enum loses l, const struct dod_mapping *m)
{
	bool bounced = m->bounced && l != LOSES_LINES && l != LOSES_STATIC;

	if (!m->device->coherent)
		return "On this machine.";
	if (bounced && !m->device->translated)
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
		[LOSES_UNWRITTEN] = "on every machine, if the driver uses what was not written.",
	};
	enum loses l = loses(r);

	if ((l == LOSES_LINES || l == LOSES_COPIES) && r->m->device->coherent && r->m->line)
		dod_put(t, "Simulated: this device is cache-coherent (noncoherent=%u).\n",
			r->m->line);
	else if (l < LOSES_EVERYWHERE)
		dod_put(t, "Loses data: %s %s\n", on[l], here(l, r->m));
	else
		dod_put(t, "Loses data: %s\n", on[l]);
}

/* === The machine ========================================================== */

/* As dump_stack() has it, "" if nothing is known. */
static char hardware[88];

/**
 * dod_report_start() - learn the name of the machine
 *
 * Not later: the device tree has a lock, which may be held where a fault is found.
 *
 * Context: process.
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
		bool is_set = test_taint(i);

		set[i] = is_set ? flags[i] : i ? ' ' : 'G';
		tainted |= is_set;
	}
	dod_put(t, "%s%s", tainted ? "Tainted: " : "Not tainted", tainted ? set : "");
}

/* In the order and the words of dump_stack(). */
static void put_machine(struct text *t)
{
	dod_put(t, "\nCPU: %d UID: %u PID: %d Comm: %s ", raw_smp_processor_id(),
		__kuid_val(current_euid()), task_pid_nr(current), current->comm);
	put_taint(t);
	dod_put(t, " %s\n", init_utsname()->release);
	if (*hardware)
		dod_put(t, "Hardware name: %s\n", hardware);
}

/* === The whole ============================================================ */

static const char *hint_of(enum dod_report_type type, u8 dir,
			   const struct dod_mapping *m)
{
	if (m->kind == DOD_IOVA && types[type].hint_linked)
		return types[type].hint_linked;
	if (types[type].hint_dma_buf && dod_frames_of_dma_buf(m))
		return types[type].hint_dma_buf;
	if (dir == DMA_FROM_DEVICE && types[type].hint_receiving)
		return types[type].hint_receiving;
	if (dir == DMA_TO_DEVICE && types[type].hint_sending)
		return types[type].hint_sending;
	return types[type].hint;
}

#define HINT_CHARS	512
#define HINT_COLUMNS	76

/* Broken at blanks, the lines after the first indented. */
static void put_hint(struct text *t, const struct report *r)
{
	u8 dir = r->range ? r->range->dir : r->m->dir;
	const char *name = types[r->type].ending ? dod_ending(r->m) : dod_family(r->m);
	const char *label = "Hint: ";
	char hint[HINT_CHARS], *line = hint;

	snprintf(hint, sizeof(hint), hint_of(r->type, dir, r->m), name, name);
	for (;;) {
		size_t room = HINT_COLUMNS - strlen(label), len = strlen(line);
		char *end = line + room;

		if (len <= room)
			break;
		while (end > line && *end != ' ')
			end--;
		if (end == line)
			end = line + strcspn(line, " ");
		if (!*end)
			break;
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
	const struct stack *s = &r->stack;

	dod_put(t, BAR "BUG: DMA_OWNER: %s in ", types[r->type].name);
	if (r->culprit >= s->nr)
		dod_put(t, "%pS\n", (void *)dod_report_map_frame(r->m));
	else if (s->frames)
		dod_put(t, "%pS\n", (void *)s->frames[r->culprit]);
	else
		dod_put(t, "%s\n", s->names[r->culprit]);
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
	/* That report has had its stack. */
	t->traced = true;
	dod_put(t, "DMA owner: device %s %s, %s, %llu bytes at dma 0x%llx\n",
		m->device->driver_name, m->device->name, dod_report_dir(m->dir),
		dod_size(m), m->dma_addr);
	if (phys < m->start)
		dod_put(t, "DMA owner: the address is %llu bytes before the buffer\n",
			m->start - phys);
	else if (phys > m->last)
		dod_put(t, "DMA owner: the address is %llu bytes after the buffer\n",
			phys - m->last);
	else
		dod_put(t, "DMA owner: the address is %llu bytes into the buffer\n",
			phys - m->start);
	dod_put_who(t, "DMA owner: mapped", &m->map, m->map_frames);
	if (m->ended) {
		u64 ago = dod_ago(t->now, m->ended);
		u32 us = do_div(ago, NSEC_PER_SEC) / NSEC_PER_USEC;

		dod_put(t, "DMA owner: unmapped %llu.%06us ago by:\n", ago, us);
		dod_put(t, " %pS\n", (void *)m->ended_by);
	}
}
