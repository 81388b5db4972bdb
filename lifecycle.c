// SPDX-License-Identifier: GPL-2.0
/*
 * Lifecycle: memory that is freed while a device owns it. The allocators say so
 * through tracepoints, before KASAN looks at the shadow.
 *
 * Runs in any context, also inside the allocators' callers' locks, but never with
 * a lock of ours held; takes those of the owner. The marks are atomic.
 */
#include "dma_owner_debug.h"

#include <linux/instruction_pointer.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

static const struct dod_guard *guard;

/* === Marks ================================================================ */

/*
 * Almost all memory that is freed was never mapped, and must not pay: how many
 * live mappings have to do with the pages of a hash value. A mapping inside one
 * folio is counted at the folio's head, where the free of an object looks; one
 * over several folios at each of its pages. Too large ones make all frees look.
 */
#define MARK_BITS	16
#define NR_MARKS	BIT(MARK_BITS)
#define MARKED_PAGES	512

/* dod_mapping.mark: an index of the array, or one of these. */
#define MARK_EACH	((u32)NR_MARKS)
#define MARK_ALL	((u32)NR_MARKS + 1)

static atomic_t marks[NR_MARKS];
static atomic_t nr_unmarked;

static atomic_t *mark_of(unsigned long pfn)
{
	return &marks[pfn & (NR_MARKS - 1)];
}

/* Called for each free: some ten instructions. */
static bool is_marked(unsigned long pfn)
{
	return atomic_read(mark_of(pfn));
}

static void mark(const struct dod_mapping *m, int by)
{
	unsigned long pfn;

	if (m->mark < NR_MARKS)
		atomic_add(by, &marks[m->mark]);
	else if (m->mark == MARK_ALL)
		atomic_add(by, &nr_unmarked);
	else
		for (pfn = PHYS_PFN(m->start); pfn <= PHYS_PFN(m->last); pfn++)
			atomic_add(by, mark_of(pfn));
}

/**
 * dod_lifecycle_mark() - memory is mapped: its free must not go unseen
 * @m: the mapping, of RAM
 *
 * Context: any.
 */
void dod_lifecycle_mark(struct dod_mapping *m)
{
	unsigned long first = PHYS_PFN(m->start), last = PHYS_PFN(m->last);
	struct folio *folio = page_folio(pfn_to_page(first));

	m->slab = folio_test_slab(folio);
	if (folio == page_folio(pfn_to_page(last)))
		m->mark = folio_pfn(folio) & (NR_MARKS - 1);
	else if (last - first < MARKED_PAGES)
		m->mark = MARK_EACH;
	else
		m->mark = MARK_ALL;
	mark(m, 1);
}

/**
 * dod_lifecycle_unmark() - memory is not mapped any more
 * @m: the mapping
 *
 * Its folio may be gone, or have been split, since.
 *
 * Context: any.
 */
void dod_lifecycle_unmark(const struct dod_mapping *m)
{
	mark(m, -1);
}

/* === Frees ================================================================ */

static void report_frees(u64 start, u64 last, bool object, unsigned long ip)
{
	struct dod_free f = {
		.addr = (unsigned long)phys_to_virt(start),
		.size = last - start + 1,
		.ip = ip,
	};
	struct dod_mapping m;
	struct dod_range range;

	while (dod_owner_free(&start, last, object, &m, &range)) {
		/*
		 * The page of an object that was freed before, in a way that has
		 * no tracepoint: whoever frees the page has nothing to do with it.
		 */
		if (m.slab && !object)
			dod_count(DOD_C_UNJUDGED_FREE);
		else if (READ_ONCE(dod_armed))
			dod_report_free(&f, &m, &range);
	}
}

/*
 * How long the object is, KASAN knows: as long as it is accessible. Nothing of it
 * is if it was freed before, and that is KASAN's to report.
 */
static noinline void free_object(const void *ptr, struct folio *folio,
				 unsigned long ip)
{
	u64 start = virt_to_phys((void *)ptr);
	u64 end = PFN_PHYS(folio_pfn(folio)) + folio_size(folio), size;

	size = guard->alive(start, end - 1, true);
	if (size && !in_nmi())
		report_frees(start, start + size - 1, true, ip);
}

/* kfree(call_site, ptr), kmem_cache_free(call_site, ptr, cache) */
static void on_free_object(void *data, unsigned long call_site, const void *ptr)
{
	struct folio *folio;

	if (ZERO_OR_NULL_PTR(ptr))
		return;
	folio = virt_to_folio(ptr);
	if (is_marked(folio_pfn(folio)) || is_marked(PHYS_PFN(virt_to_phys((void *)ptr))) ||
	    atomic_read(&nr_unmarked))
		free_object(ptr, folio, _RET_IP_);
}

/* mm_page_free(page, order): of a folio, or of pages that never were one */
static void on_free_pages(void *data, struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + BIT(order), i;

	for (i = pfn; i < end && !is_marked(i); i++)
		;
	if (likely(i == end && !atomic_read(&nr_unmarked)) ||
	    PageHighMem(page) || in_nmi())
		return;
	report_frees(PFN_PHYS(pfn), PFN_PHYS(end) - 1, false, _RET_IP_);
}

/* === Start and stop ======================================================= */

/* Not all are exported to modules: found by name. */
static struct probe {
	const char *name;
	void *function;
	bool optional;
	struct tracepoint *tp;
} probes[] = {
	{ "kfree", on_free_object },
	{ "kmem_cache_free", on_free_object },
	{ "mm_page_free", on_free_pages },
};

static void find_tracepoint(struct tracepoint *tp, void *ignore)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tp = tp;
}

static void detach_probes(unsigned int nr)
{
	while (nr--)
		if (probes[nr].tp)
			tracepoint_probe_unregister(probes[nr].tp,
						    probes[nr].function, NULL);
	tracepoint_synchronize_unregister();
}

static int attach_probes(void)
{
	unsigned int i;
	int err;

	for_each_kernel_tracepoint(find_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!probes[i].tp && probes[i].optional)
			continue;
		err = probes[i].tp ?
		      tracepoint_probe_register(probes[i].tp,
						probes[i].function, NULL) :
		      -ENOENT;
		if (err) {
			pr_err("cannot load: cannot attach to tracepoint %s, error %d\n",
			       probes[i].name, err);
			detach_probes(i);
			return err;
		}
	}
	return 0;
}

/**
 * dod_lifecycle_start() - watch what becomes of mapped memory
 * @with: the guard in force
 *
 * Context: process, may sleep; after the hooks.
 *
 * Return: 0, or an error after a line that says what is missing.
 */
int dod_lifecycle_start(const struct dod_guard *with)
{
	guard = with;
	return attach_probes();
}

/**
 * dod_lifecycle_stop() - watch no more
 *
 * Context: process, may sleep; before the hooks go.
 */
void dod_lifecycle_stop(void)
{
	detach_probes(ARRAY_SIZE(probes));
}
