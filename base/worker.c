// SPDX-License-Identifier: GPL-2.0
/* Work that can be asked for in any context. No locks here. */
#include "worker.h"

/**
 * dod_worker_ask() - for DEFINE_DOD_WORKER()
 * @irq: of a worker
 *
 * Context: irq_work.
 */
void dod_worker_ask(struct irq_work *irq)
{
	struct dod_worker *worker = container_of(irq, struct dod_worker, irq);

	queue_work(worker->queue ?: system_wq, &worker->work);
}

/**
 * dod_worker_wake() - have the work done soon
 * @worker: the worker
 *
 * Context: any, with any lock held.
 */
void dod_worker_wake(struct dod_worker *worker)
{
	irq_work_queue(&worker->irq);
}

/**
 * dod_worker_cancel() - have the work not done, or wait until it is
 * @worker: the worker; nobody wakes it any more
 *
 * Context: process, may sleep.
 */
void dod_worker_cancel(struct dod_worker *worker)
{
	irq_work_sync(&worker->irq);
	cancel_work_sync(&worker->work);
}
