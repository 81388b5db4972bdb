// SPDX-License-Identifier: GPL-2.0
/*
 * Is the tool at work? After the first thing that it cannot cope with, nothing is poisoned
 * and nothing is reported any more. The system goes on, and the module can be unloaded.
 * No locks here: the one that changes dod_armed describes the reason.
 */
#include "../dma_owner_debug.h"
#include "compat.h"
#include "lock.h"
#include "state.h"
#include "worker.h"

#include <linux/stacktrace.h>

bool dod_armed;
bool dod_panicking;

DEFINE_PER_CPU(unsigned int, dod_quiet);

static struct {
	const char *what;
	bool broken;		/* a bug of the tool, with @frames */
	unsigned long frames[16];
	unsigned int nr;
	void (*stop)(bool broken);
} stopped;

static void stop_now(struct work_struct *work)
{
	stopped.stop(stopped.broken);
}

static DEFINE_DOD_WORKER(stop_worker, stop_now);

/**
 * dod_stop() - something that the tool needs is gone: stop
 * @why: what is gone
 *
 * Says so once, and later, because locks may be held here. Called in any context but NMI.
 */
void dod_stop(const char *why)
{
	if (!xchg(&dod_armed, false))
		return;
	stopped.what = why;
	dod_worker_wake(&stop_worker);
}

/**
 * dod_broken() - something inside is inconsistent: stop
 * @what: what was found
 *
 * A mistake of the tool must not be reported as a driver's. As dod_stop() otherwise.
 */
void dod_broken(const char *what)
{
	if (!xchg(&dod_armed, false))
		return;
	stopped.what = what;
	stopped.broken = true;
	stopped.nr = stack_trace_save(stopped.frames, ARRAY_SIZE(stopped.frames), 0);
	dod_worker_wake(&stop_worker);
}

/* Print why the tool has stopped. Called in process context, by @stop of dod_state_start(). */
void dod_state_explain(void)
{
	unsigned int i;

	if (!stopped.broken) {
		pr_err("stopped: %s. No memory is guarded any more; nothing else is affected. Unload the module and load it again to go on.\n",
		       stopped.what);
		return;
	}
	for (i = 0; i < stopped.nr; i++)
		pr_err(" %pS\n", (void *)stopped.frames[i]);
	WARN(1, "dma_owner_debug: %s, as seen above. This is a bug of the tool, which stops working now; nothing else is affected.\n",
	     stopped.what);
}

/* Called first. @stop removes all poison in process context, once the tool must not go on. */
void dod_state_start(void (*stop)(bool broken))
{
	stopped.stop = stop;
}

/* Return when @stop of dod_state_start() does not run any more. May sleep. */
void dod_state_stop(void)
{
	dod_worker_cancel(&stop_worker);
}
