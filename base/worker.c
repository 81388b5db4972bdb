// SPDX-License-Identifier: GPL-2.0
/* Work that can be asked for in any context. No locks here. */
#include "worker.h"

/* The irq_work of each worker: see DEFINE_DOD_WORKER(). */
void dod_worker_ask(struct irq_work *irq)
{
	struct dod_worker *worker = container_of(irq, struct dod_worker, irq);

	schedule_work(&worker->work);
}

/* Have the work done soon. Called in any context, with any lock held. */
void dod_worker_wake(struct dod_worker *worker)
{
	irq_work_queue(&worker->irq);
}

/* Have the work not done, or wait until it is; nobody wakes it any more. May sleep. */
void dod_worker_cancel(struct dod_worker *worker)
{
	irq_work_sync(&worker->irq);
	cancel_work_sync(&worker->work);
}
