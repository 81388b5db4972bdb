/* SPDX-License-Identifier: GPL-2.0 */
/* Work that can be asked for in any context. */
#ifndef DOD_WORKER_H
#define DOD_WORKER_H

#include <linux/irq_work.h>
#include <linux/workqueue.h>

/**
 * struct dod_worker - work that can be asked for in any context
 *
 * queue_work() needs locks of the kernel. Their holder may be a driver that maps memory,
 * or the console that prints our message: so the work is queued from an irq_work.
 *
 * @irq:	queues @work
 * @work:	what is to be done
 */
struct dod_worker {
	struct irq_work irq;
	struct work_struct work;
};

#define DEFINE_DOD_WORKER(name, function)				\
	struct dod_worker name = {					\
		.irq = IRQ_WORK_INIT(dod_worker_ask),			\
		.work = __WORK_INITIALIZER(name.work, function),	\
	}

void dod_worker_ask(struct irq_work *irq);
void dod_worker_wake(struct dod_worker *worker);
void dod_worker_cancel(struct dod_worker *worker);

#endif /* DOD_WORKER_H */
