// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's tracepoints: frees, and accesses that an IOMMU has stopped.
 *
 * Takes no locks. Probes run in any context. Start and stop may sleep.
 */
#include "attach.h"
#include "../judge/judge.h"

#include <linux/instruction_pointer.h>
#include <linux/tracepoint.h>
#include <trace/events/iommu.h>
#include <trace/events/kmem.h>

/* A probe has the prototype of its tracepoint, after @data: kCFI panics at another. */
static void on_kfree(void *data, unsigned long call_site, const void *ptr)
{
	dod_free_object(ptr, _RET_IP_);
}

static void on_kmem_cache_free(void *data, unsigned long call_site, const void *ptr,
			       const struct kmem_cache *cache)
{
	dod_free_object(ptr, _RET_IP_);
}

/* Of a folio, or of pages that never were one. */
static void on_mm_page_free(void *data, struct page *page, unsigned int order)
{
	dod_free_pages(page, order, _RET_IP_);
}

static void on_io_page_fault(void *data, struct device *dev, unsigned long iova, int flags)
{
	dod_iommu_fault(dev, iova);
}

/* Not all are exported to modules: found by name. */
static struct probe {
	const char *name;
	void *function;
	bool optional;
	struct tracepoint *tp;
} probes[] = {
	{ "kfree", on_kfree },
	{ "kmem_cache_free", on_kmem_cache_free },
	{ "mm_page_free", on_mm_page_free },
	{ "io_page_fault", on_io_page_fault, .optional = true },
};

/* The compiler is to compare the prototypes, which the table does not keep. */
static void check_prototypes(void)
{
	check_trace_callback_type_kfree(on_kfree);
	check_trace_callback_type_kmem_cache_free(on_kmem_cache_free);
	check_trace_callback_type_mm_page_free(on_mm_page_free);
	check_trace_callback_type_io_page_fault(on_io_page_fault);
}

static void find_tracepoint(struct tracepoint *tp, void *ignore)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tp = tp;
}

static void detach(unsigned int nr)
{
	while (nr--)
		if (probes[nr].tp)
			tracepoint_probe_unregister(probes[nr].tp, probes[nr].function, NULL);
	tracepoint_synchronize_unregister();
}

/**
 * dod_tracepoints_start() - see frees and IOMMU faults; called before dod_judge_start()
 *
 * Return: 0, or an error after a line that says what is missing.
 */
int dod_tracepoints_start(void)
{
	unsigned int i;
	int err;

	check_prototypes();
	for_each_kernel_tracepoint(find_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!probes[i].tp && probes[i].optional)
			continue;
		err = probes[i].tp ? tracepoint_probe_register(probes[i].tp, probes[i].function,
							       NULL) : -ENOENT;
		if (err) {
			pr_err("cannot load: cannot attach to tracepoint %s, error %d\n",
			       probes[i].name, err);
			detach(i);
			return err;
		}
	}
	return 0;
}

/* No probe runs any more afterwards. */
void dod_tracepoints_stop(void)
{
	detach(ARRAY_SIZE(probes));
}
