// SPDX-License-Identifier: GPL-2.0
/*
 * Torture: the workers. A batch of steps runs in a task, with bottom halves or interrupts off, in
 * a tasklet, a timer or a hard interrupt. Between batches memory is allocated and freed, at times
 * while it is mapped.
 */

#include <linux/delay.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../kunit/one_access.h"
#include "torture.h"

bool stopped, paused;
atomic_t parked;
DECLARE_WAIT_QUEUE_HEAD(parking);

/* === Contexts ============================================================= */

static void on_tasklet(struct tasklet_struct *tasklet)
{
	struct worker *w = container_of(tasklet, struct worker, tasklet);

	run_steps(w);
	complete(&w->done);
}

static void on_timer(struct timer_list *timer)
{
	struct worker *w = container_of(timer, struct worker, timer);

	run_steps(w);
	complete(&w->done);
}

static enum hrtimer_restart on_hrtimer(struct hrtimer *timer)
{
	struct worker *w = container_of(timer, struct worker, hrtimer);

	run_steps(w);
	complete(&w->done);
	return HRTIMER_NORESTART;
}

static void on_irq_work(struct irq_work *work)
{
	struct worker *w = container_of(work, struct worker, irq_work);

	run_steps(w);
	complete(&w->done);
}

void start_contexts(struct worker *w)
{
	init_completion(&w->done);
	tasklet_setup(&w->tasklet, on_tasklet);
	timer_setup(&w->timer, on_timer, 0);
	dod_hrtimer_setup(&w->hrtimer, on_hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	w->irq_work = IRQ_WORK_INIT_HARD(on_irq_work);
}

void stop_contexts(struct worker *w)
{
	if (!w->irq_work.func)
		return;
	tasklet_kill(&w->tasklet);
	hrtimer_cancel(&w->hrtimer);
	irq_work_sync(&w->irq_work);
}

static void run_batch(struct worker *w)
{
	unsigned long flags;

	w->context = rnd(w, NR_CONTEXTS);
	/* A report takes milliseconds here. */
	w->steps = 1 + rnd(w, w->context == IN_TASK ? 64 : 12);
	w->batches[w->context]++;
	reinit_completion(&w->done);

	switch (w->context) {
	case IN_TASK:
		run_steps(w);
		return;
	case BH_OFF:
		local_bh_disable();
		run_steps(w);
		local_bh_enable();
		return;
	case IRQS_OFF:
		local_irq_save(flags);
		run_steps(w);
		local_irq_restore(flags);
		return;
	case IN_TASKLET:
		tasklet_schedule(&w->tasklet);
		break;
	case IN_TIMER:
		mod_timer(&w->timer, jiffies + 1);
		break;
	case IN_HRTIMER:
		hrtimer_start(&w->hrtimer, ns_to_ktime(rnd(w, 500000)), HRTIMER_MODE_REL_HARD);
		break;
	default:
		irq_work_queue(&w->irq_work);
	}
	wait_for_completion(&w->done);
}

/* === Memory =============================================================== */

static void allocate(struct worker *w, struct buffer *b)
{
	unsigned int size = 1 + rnd(w, 1U << (3 + rnd(w, 11)));

	b->source = rnd(w, 4) ? KMALLOC : PAGES;
	if (b->source == KMALLOC) {
		b->size = min(size, MAX_SIZE);
		b->mem = kmalloc(b->size, GFP_KERNEL | __GFP_NOWARN);
	} else {
		b->order = rnd(w, 2);
		b->size = PAGE_SIZE << b->order;
		b->mem = b->size > MAX_SIZE ? NULL :
			 (u8 *)__get_free_pages(GFP_KERNEL | __GFP_NOWARN, b->order);
	}
	/* Objects of KFENCE are not poisoned. */
	if (b->mem && is_kfence_address(b->mem)) {
		torture_free(b);
		b->mem = NULL;
	}
	if (b->mem)
		torture_fill(b->mem, b->size);
	count(w, b->mem ? BUFFERS : NO_MEMORY);
}

/* Is a write to some of a granule pending, of whichever mapping? */
static bool is_pending(const struct buffer *b, size_t g)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live && (m->pending.byte[g] | m->hazy.byte[g]))
			return true;
	return false;
}

/*
 * How many reports the free of a buffer has, of mappings that are known @least so well: one
 * of each mapping whose device owns something. The rest of a granule to which a write is
 * pending may count, and so may stale bytes.
 */
static int reports_of_free(const struct buffer *b, u32 now, enum knowledge least)
{
	const struct map *m;
	unsigned int i;
	int n = 0;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		for (i = 0; m->live && knows(m, now) >= least && i < m->nr; i++) {
			size_t g = m->segment[i].start / GRANULE;
			size_t last = (m->segment[i].start + m->segment[i].size - 1) / GRANULE;

			for (; g <= last; g++)
				if (least == KNOWN ?
				    m->owned.byte[g] && !is_pending(b, g) :
				    m->owned.byte[g] | m->stale.byte[g])
					break;
			n += g <= last;
		}
	return n;
}

/* Only while the tool is not loaded or unloaded: it sees frees later than maps. */
static void free_while_mapped(struct worker *w, struct buffer *b)
{
	int least, most, reports;
	struct map *m;

	down_read(&state_sem);
	if (PROMISE(state) == LOOSE) {
		up_read(&state_sem);
		return;
	}
	least = reports_of_free(b, state, KNOWN);
	most = reports_of_free(b, state, MAYBE);
	begin_want(w, "free-while-mapped", "torture_free", b->mem, b->size);
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			expect_loss(w, b, m, 0, b->size, state);
	torture_free(b);
	wait_for_report(w);
	reports = end_want(w);
	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			check_loss(w, b, m, state, state);
	if (reports < least || reports > most) {
		struct access all = { .size = b->size };

		count(w, reports < least ? MISSES : FALSE_REPORTS);
		fail_access(w, reports < least ? "missed free" : "false report of a free", b,
			    &all, reports, state, state);
	}
	w->counters[FREES] += least;
	w->counters[EITHER_REPORTED] += reports - least;
	unmap_all(w, b);
	up_read(&state_sem);
	clear_stale(b);
	b->mem = NULL;
}

static bool is_mapped(const struct buffer *b)
{
	const struct map *m;

	for (m = b->map; m < b->map + NR_MAPS; m++)
		if (m->live)
			return true;
	return false;
}

static void renew(struct worker *w, struct buffer *b)
{
	w->context = IN_TASK;
	if (b->source == WINDOW)
		return;
	if (!b->mem) {
		allocate(w, b);
		return;
	}
	if (is_mapped(b) && !rnd(w, 8)) {
		free_while_mapped(w, b);
		return;
	}
	unmap_all(w, b);
	torture_free(b);
	clear_stale(b);
	b->mem = NULL;
}

/* Around the border of 2 MiB, at which the tool divides memory. */
struct page *make_window(struct buffer *b)
{
	unsigned int order = get_order(SZ_4M);
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	if (!block)
		return NULL;
	b->source = WINDOW;
	b->size = 4096;
	b->mem = (u8 *)page_address(block) + SZ_2M - b->size / 2;
	memset(b->mem, WRITTEN, b->size);
	return block;
}

int work(void *arg)
{
	struct worker *w = arg;

	set_user_nice(current, MAX_NICE);
	while (!kthread_should_stop()) {
		if (READ_ONCE(paused) || READ_ONCE(stopped)) {
			atomic_inc(&parked);
			wake_up_all(&parking);
			wait_event_idle(parking, kthread_should_stop() ||
					(!READ_ONCE(paused) && !READ_ONCE(stopped)));
			atomic_dec(&parked);
			continue;
		}
		run_batch(w);
		if (!rnd(w, 3) && !READ_ONCE(stopped))
			renew(w, &w->buffer[rnd(w, NR_BUFFERS)]);
		if (!rnd(w, 4))
			usleep_range(100, 1000);
		cond_resched();
	}
	return 0;
}
