// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of the hook table that are tracepoints of the DMA API, where there is no
 * CONFIG_DMA_API_DEBUG: finds them and attaches their probes, which stand in map.c and sync.c.
 *
 * Process context, may sleep. No locks.
 */
#include "attach.h"
#include "hooks.h"

#if DOD_BY_EVENTS
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/dma.h>

/* The compiler is to compare the prototypes, which the table does not keep. */
static void check_prototypes(void)
{
#if DOD_MAPS_PHYS
	check_trace_callback_type_dma_map_phys(dod_probe_map);
#else
	check_trace_callback_type_dma_map_page(dod_probe_map);
	check_trace_callback_type_dma_map_resource(dod_probe_map_resource);
#endif
	check_trace_callback_type_dma_map_sg(dod_probe_map_sg);
	check_trace_callback_type_dma_alloc_pages(dod_probe_alloc_pages);
	check_trace_callback_type_dma_alloc(dod_probe_alloc_coherent);
	check_trace_callback_type_dma_alloc_sgt(dod_probe_alloc_sgt);
	check_trace_callback_type_dma_sync_single_for_device(dod_probe_sync_for_device);
	check_trace_callback_type_dma_sync_sg_for_device(dod_probe_sync_sg_for_device);
}

/* None is exported to modules: found by name. */
static void find_tracepoint(struct tracepoint *tp, void *hook_of_it)
{
	struct hook *hook = hook_of_it;

	if (!strcmp(tp->name, hook->function))
		hook->tp = tp;
}

static int attach_probe(struct hook *hook)
{
	int err;

	for_each_kernel_tracepoint(find_tracepoint, hook);
	err = hook->tp ? tracepoint_probe_register(hook->tp, hook->probe, hook) : -ENOENT;
	if (err) {
		pr_err("cannot load: cannot attach to tracepoint %s, error %d\n",
		       hook->function, err);
		hook->tp = NULL;
	}
	return err;
}

/* Attaches all probes; returns an error after a line that says what is missing. */
int dod_events_start(void)
{
	unsigned int i;
	int err;

	check_prototypes();
	for (i = 0; i < NR_HOOKS; i++) {
		if (dod_hooks[i].missing || !dod_hooks[i].probe)
			continue;
		err = attach_probe(&dod_hooks[i]);
		if (err) {
			dod_events_stop();
			return err;
		}
	}
	return 0;
}

/* No probe runs any more afterwards. */
void dod_events_stop(void)
{
	unsigned int i;

	for (i = 0; i < NR_HOOKS; i++)
		if (dod_hooks[i].tp) {
			tracepoint_probe_unregister(dod_hooks[i].tp, dod_hooks[i].probe,
						    &dod_hooks[i]);
			dod_hooks[i].tp = NULL;
		}
	tracepoint_synchronize_unregister();
}
#endif /* DOD_BY_EVENTS */
