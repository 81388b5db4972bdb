// SPDX-License-Identifier: GPL-2.0
/*
 * The pools of base/: objects for hooks that may not allocate. Here a pool of its own has few
 * objects, so that what takes a hundred thousand mappings elsewhere happens at once.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "../base/pool.h"
#include "kt.h"

#define SIZE 64

/* Where a test keeps the objects that it has taken: a free one may be written to. */
struct taken {
	struct dod_pool pool;
	struct taken_object {
		struct taken_object *next;
		unsigned long mark;
	} *first;
	unsigned int nr, wrong;
};

static struct taken *pool_new(struct kunit *test, unsigned int reserve, unsigned int max)
{
	struct taken *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t);
	KUNIT_ASSERT_EQ(test, dod_pool_init(&t->pool, SIZE, reserve, max), 0);
	return t;
}

/* As much is free as was allocated, or an object is lost or in two lists. */
static void pool_end(struct kunit *test, struct taken *t)
{
	KUNIT_EXPECT_EQ(test, t->nr, 0);
	KUNIT_EXPECT_EQ(test, t->wrong, 0);
	KUNIT_EXPECT_EQ(test, dod_pool_nr_free(&t->pool), atomic_long_read(&t->pool.total));
	dod_pool_destroy(&t->pool);
}

/* Marks it: an object that somebody else has, too, loses its mark. */
static bool take(struct taken *t)
{
	struct taken_object *obj = dod_pool_get(&t->pool);

	if (!obj)
		return false;
	obj->mark = (unsigned long)obj ^ ++t->nr;
	obj->next = t->first;
	t->first = obj;
	return true;
}

static struct taken_object *let_go(struct taken *t)
{
	struct taken_object *obj = t->first;

	t->first = obj->next;
	t->wrong += obj->mark != ((unsigned long)obj ^ t->nr--);
	/* Whoever has it after that may find it so. */
	obj->mark = 0;
	return obj;
}

static void put_back(struct taken *t)
{
	dod_pool_put(&t->pool, let_go(t));
}

/* Returns up to @nr at once. */
static void put_back_list(struct taken *t, unsigned int nr)
{
	struct dod_pool_list list = {};

	for (; nr && t->nr; nr--)
		dod_pool_list_add(&list, let_go(t));
	dod_pool_put_list(&t->pool, &list);
	t->wrong += list.nr;
}

static void put_all(struct taken *t)
{
	while (t->nr)
		put_back(t);
}

/* Takes up to @nr at once: how many there were. */
static unsigned int take_list(struct taken *t, unsigned int nr)
{
	struct taken_object *obj = dod_pool_get_list(&t->pool, nr), *next;
	unsigned int before = t->nr;

	for (; obj; obj = next) {
		next = dod_pool_next(obj);
		obj->mark = (unsigned long)obj ^ ++t->nr;
		obj->next = t->first;
		t->first = obj;
	}
	return t->nr - before;
}

/* Never more than asked for, and none twice, until a CPU has no more. */
static void taken_by_lists(struct kunit *test)
{
	/* So many that each CPU has several. */
	unsigned int all = max(1000U, 128 * num_possible_cpus());
	struct taken *t = pool_new(test, all, all);
	unsigned int got, nr = 1, most = 0, too_many = 0;
	bool left;

	/* What other CPUs have is not for this one. */
	preempt_disable();
	while ((got = take_list(t, nr))) {
		too_many += got > nr;
		most = max(most, got);
		nr = nr % 9 + 1;
	}
	left = take(t);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, too_many, 0);
	KUNIT_EXPECT_GT(test, most, 1);
	KUNIT_EXPECT_FALSE(test, left);
	KUNIT_EXPECT_EQ(test, dod_pool_nr_free(&t->pool), 0);
	KUNIT_EXPECT_EQ(test, t->nr, all);
	put_all(t);
	pool_end(test, t);
}

/* Lists come back whole: of every length, more than a CPU keeps, and none at all. */
static void returned_by_lists(struct kunit *test)
{
	struct taken *t = pool_new(test, 1000, 1000);
	unsigned int nr, round, left;

	for (round = 0; round < 20; round++) {
		while (take(t))
			;
		for (nr = 0; t->nr; nr = (nr + 1) % 40) {
			left = t->nr;
			put_back_list(t, nr == 39 ? 500 : nr);
			t->wrong += nr && t->nr >= left;
		}
		KUNIT_EXPECT_EQ(test, dod_pool_nr_free(&t->pool), 1000);
	}
	pool_end(test, t);
}

/* More than there may be are not there, and after their return all are there again. */
static void all_taken_and_returned(struct kunit *test)
{
	struct taken *t = pool_new(test, 1000, 1000);
	int round;

	for (round = 0; round < 3; round++) {
		unsigned long end = jiffies + 5 * HZ;

		/* What other CPUs were given back by put_all(), the worker collects. */
		while (t->nr < 1000 && time_before(jiffies, end))
			if (!take(t))
				msleep(20);
		KUNIT_EXPECT_EQ(test, t->nr, 1000);
		KUNIT_EXPECT_FALSE(test, take(t));
		KUNIT_EXPECT_EQ(test, dod_pool_nr_free(&t->pool), 0);
		put_all(t);
		KUNIT_EXPECT_EQ(test, dod_pool_nr_free(&t->pool), 1000);
	}
	pool_end(test, t);
}

static void put_some_here(void *taken)
{
	struct taken *t = taken;
	int i;

	for (i = 0; i < 100 && t->nr; i++)
		put_back(t);
}

static int other_cpu(void)
{
	return cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
}

/* One CPU maps and another unmaps: every object goes round, and none is allocated for that. */
static void returned_elsewhere_taken_again(struct kunit *test)
{
	struct taken *t;
	int round, i, missing = 0;

	KT_REQUIRES(test, num_online_cpus() > 1);
	t = pool_new(test, 500, 4000);
	for (round = 0; round < 1000; round++) {
		preempt_disable();
		for (i = 0; i < 100; i++)
			missing += !take(t);
		smp_call_function_single(other_cpu(), put_some_here, t, true);
		preempt_enable();
	}
	KUNIT_EXPECT_EQ(test, missing, 0);
	/* Both have less than two batches, the depot has half of its reserve or more. */
	KUNIT_EXPECT_LE(test, atomic_long_read(&t->pool.total), 2000);
	put_all(t);
	pool_end(test, t);
}

/* What idle CPUs keep for themselves is taken from them when nothing else is left. */
static void kept_elsewhere_taken(struct kunit *test)
{
	unsigned long end = jiffies + 5 * HZ;
	unsigned int at_once;
	struct taken *t;

	KT_REQUIRES(test, num_online_cpus() > 1);
	t = pool_new(test, 800, 800);
	/* What is kept here it finds anyway. */
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	/* The worker does not begin before something is missing. */
	while (t->nr < 800 && take(t))
		;
	smp_call_function_single(other_cpu(), put_some_here, t, true);
	put_all(t);
	while (take(t))
		;
	at_once = t->nr;
	while (t->nr < 800 && time_before(jiffies, end))
		if (!take(t))
			msleep(20);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	KUNIT_EXPECT_EQ(test, t->nr, 800);
	/* Or the test does not show anything. */
	KUNIT_EXPECT_LT(test, at_once, 800);
	put_all(t);
	pool_end(test, t);
}

/* Nothing else runs on this CPU but interrupts: they bring enough. */
static void refilled_without_worker(struct kunit *test)
{
	struct taken *t;
	int i, missing = 0;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "Test requires: interrupts may allocate");
	t = pool_new(test, 1000, 200000);
	preempt_disable();
	for (i = 0; i < 50000; i++)
		missing += !take(t);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, missing, 0);
	put_all(t);
	pool_end(test, t);
}

/* With interrupts off there is at least half of the reserve, and soon there is again. */
static void refilled_after_irqs_off(struct kunit *test)
{
	struct taken *t = pool_new(test, 1000, 100000);
	unsigned long end = jiffies + 5 * HZ, flags;
	unsigned int had;
	int round;

	for (round = 0; round < 3; round++) {
		local_irq_save(flags);
		while (t->nr < 50000 && take(t))
			;
		local_irq_restore(flags);
		had = t->nr;
		/* The worker of another CPU may add to it meanwhile. */
		KUNIT_EXPECT_GE(test, had, (round + 1) * 500);
		if (num_online_cpus() == 1)
			KUNIT_EXPECT_LT(test, had, (round + 1) * 2000);
		while (dod_pool_nr_free(&t->pool) <= 500 && time_before(jiffies, end))
			msleep(20);
		KUNIT_EXPECT_GT(test, dod_pool_nr_free(&t->pool), 500);
	}
	put_all(t);
	pool_end(test, t);
}

struct pool_user {
	struct kt_thread thread;
	struct dod_pool *pool;
};

/* Takes and returns more, or less, than a batch. */
static int use(void *user)
{
	struct dod_pool *pool = ((struct pool_user *)user)->pool;
	struct taken_object *obj, *first = NULL;
	int round, i, errors = 0;

	for (round = 0; round < 2000; round++) {
		for (i = 0; i < 1 + round * 7 % 200; i++) {
			obj = dod_pool_get(pool);
			if (!obj)
				continue;
			obj->mark = (unsigned long)user;
			obj->next = first;
			first = obj;
		}
		while (first) {
			obj = first;
			first = obj->next;
			errors += obj->mark != (unsigned long)user;
			dod_pool_put(pool, obj);
		}
		cond_resched();
	}
	return errors;
}

static void use_in_irq(void *pool)
{
	struct taken_object *obj[3];
	int i;

	for (i = 0; i < ARRAY_SIZE(obj); i++)
		obj[i] = dod_pool_get(pool);
	while (i--)
		if (obj[i])
			dod_pool_put(pool, obj[i]);
}

/* Tasks on all CPUs, and interrupts at any instant: nobody has what somebody else has. */
static void shared_by_tasks_and_irqs(struct kunit *test)
{
	struct taken *t = pool_new(test, 300, 600);
	struct pool_user *u = kunit_kcalloc(test, 4, sizeof(*u), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, u);
	for (i = 0; i < 4; i++) {
		u[i].pool = &t->pool;
		kt_thread_start(&u[i].thread, use, &u[i]);
	}
	for (i = 0; i < 1000; i++) {
		on_each_cpu(use_in_irq, &t->pool, true);
		cond_resched();
	}
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, kt_thread_join(&u[i].thread), 0);
	pool_end(test, t);
}

static struct kunit_case pool_cases[] = {
	KUNIT_CASE(all_taken_and_returned),
	KUNIT_CASE(taken_by_lists),
	KUNIT_CASE(returned_by_lists),
	KUNIT_CASE(returned_elsewhere_taken_again),
	KUNIT_CASE(kept_elsewhere_taken),
	KUNIT_CASE(refilled_without_worker),
	KUNIT_CASE(refilled_after_irqs_off),
	KUNIT_CASE(shared_by_tasks_and_irqs),
	{}
};

KT_SUITE(pool);
