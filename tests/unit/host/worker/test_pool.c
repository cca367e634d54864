/* test_pool.c - pool.c: every job is run once and comes back, none is forgotten while the I/O thread sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "pool.h"

enum { HANG_MS = 60000 }; /* nothing here takes that long unless it was forgotten */

/* ---- The jobs ---- */

struct task {
	struct job job;
	atomic_uint runs;
	bool gated;
	void *context; /* that it ran with */
};

static sem_t begun, gate;
static atomic_uint opened, closed, entered, left, refused;

static void work(struct job *job, void *context)
{
	struct task *task = (struct task *)job;
	task->runs++;
	task->context = context;
	if (!task->gated)
		return;
	sem_post(&begun);
	sem_wait(&gate);
}

static int open_thread(void *owner, unsigned thread, void **ret_context)
{
	assert_ptr_equal(owner, &opened);
	assert_int_equal(thread, opened);
	if (++opened == refused)
		return -ECANCELED;
	*ret_context = malloc(1);
	return *ret_context ? 0 : -ENOMEM;
}

static void close_thread(void *owner, void *context)
{
	assert_ptr_equal(owner, &opened);
	closed++;
	free(context);
}

static void enter(void *context)
{
	entered += context != NULL;
}

static void leave(void *context)
{
	left += context != NULL;
}

static struct task *new_tasks(size_t count)
{
	struct task *tasks = calloc(count, sizeof(*tasks));
	assert_non_null(tasks);
	for (size_t i = 0; i < count; i++)
		tasks[i].job.run = work;
	return tasks;
}

static bool (*joins)(const struct job *first, const struct job *other);

static int begin(void **state)
{
	(void)state;
	opened = closed = entered = left = refused = 0;
	joins = NULL;
	return sem_init(&begun, 0, 0) + sem_init(&gate, 0, 0);
}

static int end(void **state)
{
	(void)state;
	return sem_destroy(&begun) + sem_destroy(&gate);
}

static int try_pool(unsigned threads, struct pool **ret)
{
	const struct pool_options options = {.threads = threads,
		.owner = &opened,
		.open = open_thread,
		.close = close_thread,
		.joins = joins,
		.enter = enter,
		.leave = leave};
	return pool_new(&options, ret);
}

static struct pool *new_pool(unsigned threads)
{
	struct pool *pool = NULL;
	assert_int_equal(try_pool(threads, &pool), 0);
	assert_non_null(pool);
	return pool;
}

/* What the I/O thread does when it has nothing to do. */
static void sleep_until_woken(struct pool *pool)
{
	struct pollfd ready = {.fd = pool_fd(pool), .events = POLLIN};
	const bool asleep = pool_sleep(pool);
	const int count = poll(&ready, 1, asleep ? HANG_MS : 0);
	assert_return_code(count, errno);
	if (asleep && count == 0)
		fail_msg("the I/O thread is not woken");
	pool_awake(pool, (ready.revents & POLLIN) != 0);
}

/* Waits until that many have come back, in the order in which they come; returns the first. */
static struct job *collect(struct pool *pool, size_t count)
{
	struct job *first = NULL, **at = &first;
	while (count > 0) {
		sleep_until_woken(pool);
		for (*at = pool_collect(pool); *at; at = &(*at)->next) {
			assert_int_not_equal(count, 0);
			count--;
		}
	}
	return first;
}

static size_t length(const struct job *job)
{
	size_t count = 0;
	for (; job; job = job->next)
		count++;
	return count;
}

static void test_order(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	struct pool *pool = new_pool(1);
	struct task *tasks = new_tasks(COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		pool_submit(pool, &tasks[i].job);
		if (i % 7 == 0)
			pool_kick(pool);
	}
	pool_kick(pool);
	const struct job *job = collect(pool, COUNT);
	for (size_t i = 0; i < COUNT; i++, job = job->next) {
		assert_ptr_equal(job, &tasks[i].job);
		assert_int_equal(tasks[i].runs, 1);
	}
	assert_null(pool_collect(pool));
	pool_free(pool);
	free(tasks);
}

/* While it holds nothing is begun, and what was submitted meanwhile goes to all workers afterwards, in order. */
static void test_hold(void **state)
{
	(void)state;
	enum { WORKERS = 4, COUNT = 100 };
	struct pool *pool = new_pool(WORKERS);
	struct task *tasks = new_tasks(WORKERS + COUNT);
	/* One runs when the hold begins, and comes back. */
	tasks[0].gated = true;
	pool_submit(pool, &tasks[0].job);
	pool_kick(pool);
	sem_wait(&begun);
	pool_hold(pool, true);
	for (size_t i = 1; i < WORKERS + COUNT; i++) {
		tasks[i].gated = i <= WORKERS;
		pool_submit(pool, &tasks[i].job);
		pool_kick(pool);
	}
	sem_post(&gate);
	assert_ptr_equal(collect(pool, 1), &tasks[0].job);
	for (size_t i = 1; i < WORKERS + COUNT; i++)
		assert_int_equal(tasks[i].runs, 0);
	pool_hold(pool, true);
	pool_hold(pool, false);
	for (size_t i = 0; i < WORKERS; i++)
		sem_wait(&begun);
	for (size_t i = 1; i <= WORKERS; i++)
		assert_int_equal(tasks[i].runs, 1);
	for (size_t i = 0; i < WORKERS; i++)
		sem_post(&gate);
	assert_int_equal(length(collect(pool, WORKERS + COUNT - 1)), WORKERS + COUNT - 1);
	for (size_t i = 1; i < WORKERS + COUNT; i++)
		assert_int_equal(tasks[i].runs, 1);
	pool_free(pool);
	free(tasks);
}

/* ---- Together ---- */

/* Those of a kind: gated or not; the one that is run says how many came with it. */
static bool same_kind(const struct job *first, const struct job *other)
{
	return ((const struct task *)first)->gated == ((const struct task *)other)->gated;
}

static void work_together(struct job *job, void *context)
{
	((struct task *)job)->context = context;
	for (unsigned place = 1; job; job = job->next)
		((struct task *)job)->runs = place++;
}

/* Whatever waits and joins is run by one call, in the order in which it waited; the rest keeps its order. */
static void test_together(void **state)
{
	enum { COUNT = 200, TOGETHER = 64 };
	(void)state;
	joins = same_kind;
	struct pool *pool = new_pool(1);
	struct task *tasks = new_tasks(COUNT);
	pool_hold(pool, true);
	for (size_t i = 0; i < COUNT; i++) {
		tasks[i].gated = i % 4 == 3;
		tasks[i].job.run = work_together;
		pool_submit(pool, &tasks[i].job);
	}
	pool_kick(pool);
	pool_hold(pool, false);
	assert_int_equal(length(collect(pool, COUNT)), COUNT);
	unsigned of_kind[2] = {0};
	for (size_t i = 0; i < COUNT; i++) {
		const unsigned place = of_kind[tasks[i].gated]++ % TOGETHER + 1;
		assert_int_equal(tasks[i].runs, place);
		assert_int_equal(tasks[i].context != NULL, place == 1);
	}
	pool_free(pool);
	free(tasks);
}

/* It may stop while it holds. */
static void test_stop_while_held(void **state)
{
	(void)state;
	struct pool *pool = new_pool(2);
	pool_hold(pool, true);
	pool_free(pool);
	assert_int_equal(closed, 2);
}

/* Nothing is begun before it is kicked, and one kick is enough for all workers. */
static void test_kick(void **state)
{
	(void)state;
	enum { WORKERS = 4 };
	struct pool *pool = new_pool(WORKERS);
	struct task *tasks = new_tasks(WORKERS);
	pool_kick(pool);
	for (size_t i = 0; i < WORKERS; i++) {
		tasks[i].gated = true;
		pool_submit(pool, &tasks[i].job);
	}
	pool_kick(pool);
	/* Each has a worker of its own: all begin though none ends. */
	for (size_t i = 0; i < WORKERS; i++)
		sem_wait(&begun);
	assert_null(pool_collect(pool));
	for (size_t i = 0; i < WORKERS; i++)
		sem_post(&gate);
	assert_int_equal(length(collect(pool, WORKERS)), WORKERS);
	pool_free(pool);
	free(tasks);
}

static void stress(unsigned workers, size_t count, size_t window)
{
	opened = 0;
	struct pool *pool = new_pool(workers);
	struct task *tasks = new_tasks(count);
	size_t submitted = 0, returned = 0;
	unsigned chance = 1;
	while (returned < count) {
		chance = chance * 1103515245 + 12345;
		for (size_t burst = chance >> 16 & 15; burst > 0 && submitted < count; burst--)
			if (submitted - returned < window)
				pool_submit(pool, &tasks[submitted++].job);
		pool_kick(pool);
		/* With nothing under way there is nobody to wake it. */
		if (submitted > returned && !pool_let_run(pool))
			sleep_until_woken(pool);
		struct job *job = pool_collect(pool);
		returned += length(job);
	}
	assert_int_equal(returned, count);
	/* Also those that slept with their last job behind them have not run it once more when they stop. */
	pool_free(pool);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(tasks[i].runs, 1);
	free(tasks);
}

static void test_stress(void **state)
{
	(void)state;
	static const struct {
		unsigned workers;
		size_t count, window;
	} cases[] = {{1, 20000, 1}, {2, 20000, 2}, {4, 20000, 64}, {8, 20000, 3}, {32, 20000, 500}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		stress(cases[i].workers, cases[i].count, cases[i].window);
}

/* ---- Other threads wake the I/O thread ---- */

enum { WAKES = 20000 };

struct waker {
	struct pool *pool;
	sem_t seen;
	atomic_uint told;
};

static void *wake_often(void *argument)
{
	struct waker *waker = argument;
	for (unsigned i = 0; i < WAKES; i++) {
		waker->told++;
		pool_wake(waker->pool);
		sem_wait(&waker->seen);
	}
	return NULL;
}

/* What is told goes through no queue of the pool's: the I/O thread must look again, whenever it is woken. */
static void test_wake(void **state)
{
	(void)state;
	struct waker waker = {.pool = new_pool(1)};
	/* Before it sleeps: it must not fall asleep. */
	pool_wake(waker.pool);
	assert_false(pool_sleep(waker.pool));
	pool_awake(waker.pool, false);
	assert_true(pool_sleep(waker.pool));
	pool_awake(waker.pool, false);

	assert_int_equal(sem_init(&waker.seen, 0, 0), 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
	for (unsigned seen = 0; seen < WAKES;) {
		if (waker.told == seen) {
			sleep_until_woken(waker.pool);
			continue;
		}
		seen++;
		sem_post(&waker.seen);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	sem_destroy(&waker.seen);
	pool_free(waker.pool);
}

/* Who is awake is not woken. */
static void test_not_woken(void **state)
{
	(void)state;
	struct pool *pool = new_pool(1);
	struct task *tasks = new_tasks(2);
	struct pollfd ready = {.fd = pool_fd(pool), .events = POLLIN};
	tasks[1].gated = true;
	pool_submit(pool, &tasks[0].job);
	pool_submit(pool, &tasks[1].job);
	pool_kick(pool);
	/* When the second one has begun, all is over with the first. */
	sem_wait(&begun);
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_false(pool_sleep(pool));
	pool_awake(pool, false);
	assert_ptr_equal(pool_collect(pool), &tasks[0].job);
	assert_true(pool_sleep(pool));
	sem_post(&gate);
	assert_int_equal(poll(&ready, 1, HANG_MS), 1);
	pool_awake(pool, true);
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_ptr_equal(collect(pool, 1), &tasks[1].job);
	pool_free(pool);
	free(tasks);
}

/* It says whether there is something to collect; what is not closedhed in time is waited for. */
static void test_let_run(void **state)
{
	(void)state;
	enum { JOBS = 1000 };
	struct pool *pool = new_pool(1);
	struct task *tasks = new_tasks(JOBS + 1);
	assert_false(pool_let_run(pool));
	for (size_t i = 0; i < JOBS; i++) {
		pool_submit(pool, &tasks[i].job);
		pool_kick(pool);
		if (pool_let_run(pool)) {
			assert_ptr_equal(pool_collect(pool), &tasks[i].job);
			/* Nobody was woken since. */
			assert_false(pool_let_run(pool));
		} else {
			assert_ptr_equal(collect(pool, 1), &tasks[i].job);
		}
	}
	tasks[JOBS].gated = true;
	pool_submit(pool, &tasks[JOBS].job);
	pool_kick(pool);
	assert_false(pool_let_run(pool));
	sem_post(&gate);
	assert_ptr_equal(collect(pool, 1), &tasks[JOBS].job);
	pool_free(pool);
	free(tasks);
}

/* ---- Beginning and end ---- */

static void test_stop(void **state)
{
	(void)state;
	pool_free(NULL);
	/* busy ones end first; the others sleep, or have not come to it yet. */
	for (unsigned busy = 0; busy <= 4; busy++) {
		opened = closed = 0;
		struct pool *pool = new_pool(4);
		struct task *tasks = new_tasks(4);
		for (unsigned i = 0; i < busy; i++) {
			tasks[i].gated = true;
			pool_submit(pool, &tasks[i].job);
		}
		pool_kick(pool);
		for (unsigned i = 0; i < busy; i++)
			sem_wait(&begun);
		for (unsigned i = 0; i < busy; i++)
			sem_post(&gate);
		pool_free(pool);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(tasks[i].runs, i < busy ? 1 : 0);
		assert_int_equal(opened, 4);
		assert_int_equal(closed, 4);
		assert_int_equal(entered, 4 * (busy + 1));
		assert_int_equal(left, 4 * (busy + 1));
		free(tasks);
	}
}

/* A thread that cannot begin ends those that have. */
static void test_open_refuses(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 5; n++) {
		opened = closed = 0;
		refused = n;
		struct pool *pool = NULL;
		if (n <= 4) {
			assert_int_equal(try_pool(4, &pool), -ECANCELED);
			assert_null(pool);
		} else {
			pool = new_pool(4);
			pool_free(pool);
		}
		assert_int_equal(closed, n - 1);
	}
}

#define WITH_THREADS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_THREADS(test_order),
		WITH_THREADS(test_hold),
		WITH_THREADS(test_together),
		WITH_THREADS(test_stop_while_held),
		WITH_THREADS(test_kick),
		WITH_THREADS(test_stress),
		WITH_THREADS(test_wake),
		WITH_THREADS(test_not_woken),
		WITH_THREADS(test_let_run),
		WITH_THREADS(test_stop),
		WITH_THREADS(test_open_refuses),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
