/* SPDX-License-Identifier: GPL-2.0 */
/* Work that can be asked for in any context. */
#ifndef DOD_WORKER_H
#define DOD_WORKER_H

#include <linux/irq_work.h>
#include <linux/workqueue.h>

/**
 * struct dod_worker - work that can be asked for in any context
 *
 * Not by queue_work(): it takes locks of the kernel's, with which memory may be mapped
 * or touched, by a driver or by the console that a message is printed to.
 *
 * @irq:	asks where that can be done
 * @work:	what is to be done
 * @queue:	where, NULL for the system's
 */
struct dod_worker {
	struct irq_work irq;
	struct work_struct work;
	struct workqueue_struct *queue;
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
