/* test_worker_pool.c - pool.c with the real worker.c: every command is run once and comes back,
 * none is forgotten while the I/O thread sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "command.h"
#include "fake_store.h"
#include "pool.h"
#include "settings.h"

enum { HANG_MS = 60000 }; /* nothing here takes that long unless it was forgotten */

/* ---- The handlers: what a command does stands in its payload ---- */

struct job {
	struct command command;
	atomic_uint runs;
	bool gated;
};

static sem_t begun, gate;
static atomic_uint inits, finis, refused_init;

static cashew_result work(cashew_command *cmd)
{
	size_t size;
	struct job *job;
	memcpy(&job, cashew_payload(cmd, &size), sizeof(job));
	job->runs++;
	if (!job->gated)
		return CASHEW_DONE;
	sem_post(&begun);
	sem_wait(&gate);
	return CASHEW_DONE;
}

static int init(void **ret_state)
{
	if (++inits == refused_init)
		return 1;
	*ret_state = malloc(1);
	return *ret_state != NULL ? 0 : 1;
}

static void fini(void *state)
{
	finis++;
	free(state);
}

static const struct cashew_handler handler = {.name = "work",
	.topic = "+/work",
	.handle = work,
	.payload = CASHEW_BYTES,
	.init = init,
	.fini = fini};
static const struct cashew_handler *const handlers[] = {&handler, NULL};
static const struct route route = {.filter = "+/work", .handler_count = 1, .handlers = {0}};
static const struct routes routes = {.handlers = handlers, .handler_count = 1};
static const struct settings settings = {.handler_timeout_s = 10, .payload_max = 1024};
static _Atomic size_t event_max = 1024;
static struct worker_context context = {.routes = &routes, .settings = &settings, .event_max = &event_max};
static char lane_a, lane_b;

static struct job *new_jobs(size_t count)
{
	struct job *jobs = calloc(count, sizeof(*jobs));
	assert_non_null(jobs);
	for (size_t i = 0; i < count; i++) {
		struct command *command = &jobs[i].command;
		struct job **self = malloc(sizeof(struct job *) + 1);
		assert_non_null(self);
		*self = &jobs[i];
		command->lane = (struct lane *)(void *)&lane_a;
		command->route = &route;
		command->input = (struct call_input){.topic = "u/work",
			.user = "u",
			.command = "work",
			.payload = self,
			.payload_size = sizeof(struct job *)};
		command->events_end = &command->events;
		command->state = COMMAND_RUNNING;
		arena_init(&command->arena, NULL, 0);
	}
	return jobs;
}

static void free_jobs(struct job *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		arena_free(&jobs[i].command.arena);
		free((void *)(uintptr_t)jobs[i].command.input.payload);
	}
	free(jobs);
}

static int begin(void **state)
{
	(void)state;
	inits = finis = refused_init = 0;
	context.store = fake_store_new();
	return sem_init(&begun, 0, 0) + sem_init(&gate, 0, 0);
}

static int end(void **state)
{
	(void)state;
	store_close(context.store);
	return sem_destroy(&begun) + sem_destroy(&gate);
}

static struct worker_pool *new_pool(unsigned workers)
{
	struct worker_pool *pool = NULL;
	assert_int_equal(worker_pool_new(&context, workers, &pool), 0);
	assert_non_null(pool);
	return pool;
}

/* What the I/O thread does when it has nothing to do. */
static void sleep_until_woken(struct worker_pool *pool)
{
	struct pollfd ready = {.fd = worker_pool_fd(pool), .events = POLLIN};
	const bool asleep = worker_pool_sleep(pool);
	const int count = poll(&ready, 1, asleep ? HANG_MS : 0);
	assert_return_code(count, errno);
	if (asleep && count == 0)
		fail_msg("the I/O thread is not woken");
	worker_pool_awake(pool, (ready.revents & POLLIN) != 0);
}

/* Waits until that many have come back, in the order in which they come; returns the first. */
static struct command *collect(struct worker_pool *pool, size_t count)
{
	struct command *first = NULL, **at = &first;
	while (count > 0) {
		sleep_until_woken(pool);
		for (*at = worker_pool_collect(pool); *at != NULL; at = &(*at)->job_next) {
			assert_int_not_equal(count, 0);
			count--;
		}
	}
	return first;
}

static size_t length(const struct command *command)
{
	size_t count = 0;
	for (; command != NULL; command = command->job_next)
		count++;
	return count;
}

static void test_order(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	struct worker_pool *pool = new_pool(1);
	struct job *jobs = new_jobs(COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		worker_pool_submit(pool, &jobs[i].command);
		if (i % 7 == 0)
			worker_pool_kick(pool);
	}
	worker_pool_kick(pool);
	const struct command *command = collect(pool, COUNT);
	for (size_t i = 0; i < COUNT; i++, command = command->job_next) {
		assert_ptr_equal(command, &jobs[i].command);
		assert_int_equal(jobs[i].runs, 1);
		assert_int_equal(command->settled, 1);
		assert_int_equal(command->attempts, 1);
	}
	assert_null(worker_pool_collect(pool));
	worker_pool_free(pool);
	free_jobs(jobs, COUNT);
}

/* While it holds nothing is begun, and what was submitted meanwhile goes to all workers afterwards, in order. */
static void test_hold(void **state)
{
	(void)state;
	enum { WORKERS = 4, COUNT = 100 };
	struct worker_pool *pool = new_pool(WORKERS);
	struct job *jobs = new_jobs(WORKERS + COUNT);
	/* One runs when the hold begins, and comes back. */
	jobs[0].gated = true;
	worker_pool_submit(pool, &jobs[0].command);
	worker_pool_kick(pool);
	sem_wait(&begun);
	worker_pool_hold(pool, true);
	for (size_t i = 1; i < WORKERS + COUNT; i++) {
		jobs[i].gated = i <= WORKERS;
		worker_pool_submit(pool, &jobs[i].command);
		worker_pool_kick(pool);
	}
	sem_post(&gate);
	assert_ptr_equal(collect(pool, 1), &jobs[0].command);
	for (size_t i = 1; i < WORKERS + COUNT; i++)
		assert_int_equal(jobs[i].runs, 0);
	worker_pool_hold(pool, true);
	worker_pool_hold(pool, false);
	for (size_t i = 0; i < WORKERS; i++)
		sem_wait(&begun);
	for (size_t i = 1; i <= WORKERS; i++)
		assert_int_equal(jobs[i].runs, 1);
	for (size_t i = 0; i < WORKERS; i++)
		sem_post(&gate);
	assert_int_equal(length(collect(pool, WORKERS + COUNT - 1)), WORKERS + COUNT - 1);
	for (size_t i = 1; i < WORKERS + COUNT; i++)
		assert_int_equal(jobs[i].runs, 1);
	worker_pool_free(pool);
	free_jobs(jobs, WORKERS + COUNT);
}

/* It may stop while it holds. */
static void test_stop_while_held(void **state)
{
	(void)state;
	struct worker_pool *pool = new_pool(2);
	worker_pool_hold(pool, true);
	worker_pool_free(pool);
	assert_int_equal(finis, 2);
}

/* Nothing is begun before it is kicked, and one kick is enough for all workers. */
static void test_kick(void **state)
{
	(void)state;
	enum { WORKERS = 4 };
	struct worker_pool *pool = new_pool(WORKERS);
	struct job *jobs = new_jobs(WORKERS);
	worker_pool_kick(pool);
	for (size_t i = 0; i < WORKERS; i++) {
		jobs[i].gated = true;
		worker_pool_submit(pool, &jobs[i].command);
	}
	/* All come back to who has kicked nothing yet. */
	assert_int_equal(length(worker_pool_take_back(pool, (struct lane *)(void *)&lane_a)), WORKERS);
	for (size_t i = 0; i < WORKERS; i++)
		worker_pool_submit(pool, &jobs[i].command);
	worker_pool_kick(pool);
	/* Each has a worker of its own: all begin though none ends. */
	for (size_t i = 0; i < WORKERS; i++)
		sem_wait(&begun);
	assert_null(worker_pool_collect(pool));
	for (size_t i = 0; i < WORKERS; i++)
		sem_post(&gate);
	assert_int_equal(length(collect(pool, WORKERS)), WORKERS);
	worker_pool_free(pool);
	free_jobs(jobs, WORKERS);
}

static void stress(unsigned workers, size_t count, size_t window)
{
	struct worker_pool *pool = new_pool(workers);
	struct job *jobs = new_jobs(count);
	size_t submitted = 0, returned = 0;
	unsigned chance = 1;
	while (returned < count) {
		chance = chance * 1103515245 + 12345;
		for (size_t burst = chance >> 16 & 15; burst > 0 && submitted < count; burst--)
			if (submitted - returned < window)
				worker_pool_submit(pool, &jobs[submitted++].command);
		worker_pool_kick(pool);
		/* With nothing under way there is nobody to wake it. */
		if (submitted > returned && !worker_pool_let_run(pool))
			sleep_until_woken(pool);
		struct command *command = worker_pool_collect(pool);
		returned += length(command);
		for (; command != NULL; command = command->job_next)
			assert_int_equal(command->settled, 1);
	}
	assert_int_equal(returned, count);
	/* Also those that slept with their last job behind them have not run it once more when they stop. */
	worker_pool_free(pool);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(jobs[i].runs, 1);
		assert_int_equal(jobs[i].command.attempts, 1);
	}
	free_jobs(jobs, count);
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
	struct worker_pool *pool;
	sem_t seen;
	atomic_uint told;
};

static void *wake_often(void *argument)
{
	struct waker *waker = argument;
	for (unsigned i = 0; i < WAKES; i++) {
		waker->told++;
		worker_pool_wake(waker->pool);
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
	worker_pool_wake(waker.pool);
	assert_false(worker_pool_sleep(waker.pool));
	worker_pool_awake(waker.pool, false);
	assert_true(worker_pool_sleep(waker.pool));
	worker_pool_awake(waker.pool, false);

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
	worker_pool_free(waker.pool);
}

/* Who is awake is not woken. */
static void test_not_woken(void **state)
{
	(void)state;
	struct worker_pool *pool = new_pool(1);
	struct job *jobs = new_jobs(2);
	struct pollfd ready = {.fd = worker_pool_fd(pool), .events = POLLIN};
	jobs[1].gated = true;
	worker_pool_submit(pool, &jobs[0].command);
	worker_pool_submit(pool, &jobs[1].command);
	worker_pool_kick(pool);
	/* When the second one has begun, all is over with the first. */
	sem_wait(&begun);
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_false(worker_pool_sleep(pool));
	worker_pool_awake(pool, false);
	assert_ptr_equal(worker_pool_collect(pool), &jobs[0].command);
	assert_true(worker_pool_sleep(pool));
	sem_post(&gate);
	assert_int_equal(poll(&ready, 1, HANG_MS), 1);
	worker_pool_awake(pool, true);
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_ptr_equal(collect(pool, 1), &jobs[1].command);
	worker_pool_free(pool);
	free_jobs(jobs, 2);
}

/* It says whether there is something to collect; what is not finished in time is waited for. */
static void test_let_run(void **state)
{
	(void)state;
	enum { JOBS = 1000 };
	struct worker_pool *pool = new_pool(1);
	struct job *jobs = new_jobs(JOBS + 1);
	assert_false(worker_pool_let_run(pool));
	for (size_t i = 0; i < JOBS; i++) {
		worker_pool_submit(pool, &jobs[i].command);
		worker_pool_kick(pool);
		if (worker_pool_let_run(pool)) {
			assert_ptr_equal(worker_pool_collect(pool), &jobs[i].command);
			/* Nobody was woken since. */
			assert_false(worker_pool_let_run(pool));
		} else {
			assert_ptr_equal(collect(pool, 1), &jobs[i].command);
		}
	}
	jobs[JOBS].gated = true;
	worker_pool_submit(pool, &jobs[JOBS].command);
	worker_pool_kick(pool);
	assert_false(worker_pool_let_run(pool));
	sem_post(&gate);
	assert_ptr_equal(collect(pool, 1), &jobs[JOBS].command);
	worker_pool_free(pool);
	free_jobs(jobs, JOBS + 1);
}

/* ---- What has not begun comes back ---- */

static void test_take_back(void **state)
{
	(void)state;
	enum { COUNT = 10 };
	const struct lane *a = (struct lane *)(void *)&lane_a, *b = (struct lane *)(void *)&lane_b;
	struct worker_pool *pool = new_pool(2);
	struct job *jobs = new_jobs(COUNT);
	/* 0 1: begun; 2 .. 6: in the workers' queue; 7 .. 9: not kicked. 3 8: of another lane; 4 9: to be
	 * buried. */
	jobs[0].gated = jobs[1].gated = true;
	jobs[3].command.lane = jobs[8].command.lane = (struct lane *)(void *)&lane_b;
	jobs[4].command.state = jobs[9].command.state = COMMAND_BURYING;
	for (size_t i = 4; i < COUNT; i += 5) {
		struct dead_letter *letter = &jobs[i].command.letter;
		*letter = (struct dead_letter){.topic = "u/work",
			.payload = "",
			.user = "u",
			.handler = "",
			.reason = "",
			.host = ""};
		dead_letter_new_id(letter->id);
	}
	for (size_t i = 0; i < COUNT; i++) {
		worker_pool_submit(pool, &jobs[i].command);
		if (i == 1) {
			worker_pool_kick(pool);
			sem_wait(&begun);
			sem_wait(&begun);
		}
		if (i == 6)
			worker_pool_kick(pool);
	}
	static const size_t taken[] = {7, 2, 5, 6};
	const struct command *command = worker_pool_take_back(pool, a);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++, command = command->job_next)
		assert_ptr_equal(command, &jobs[taken[i]].command);
	assert_null(command);
	assert_null(worker_pool_take_back(pool, a));
	command = worker_pool_take_back(pool, b);
	assert_ptr_equal(command, &jobs[8].command);
	assert_ptr_equal(command->job_next, &jobs[3].command);
	assert_null(command->job_next->job_next);

	/* The rest goes on, and the queues are whole. */
	worker_pool_submit(pool, &jobs[2].command);
	worker_pool_kick(pool);
	sem_post(&gate);
	sem_post(&gate);
	assert_int_equal(length(collect(pool, 5)), 5);
	static const unsigned runs[COUNT] = {1, 1, 1, 0, 0, 0, 0, 0, 0, 0};
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(jobs[i].runs, runs[i]);
	assert_int_equal(fake_store_dead_letters(context.store), 2);
	worker_pool_free(pool);
	free_jobs(jobs, COUNT);
}

/* ---- Beginning and end ---- */

static void test_stop(void **state)
{
	(void)state;
	worker_pool_free(NULL);
	/* busy ones end first; the others sleep, or have not come to it yet. */
	for (unsigned busy = 0; busy <= 4; busy++) {
		inits = finis = 0;
		struct worker_pool *pool = new_pool(4);
		struct job *jobs = new_jobs(4);
		for (unsigned i = 0; i < busy; i++) {
			jobs[i].gated = true;
			worker_pool_submit(pool, &jobs[i].command);
		}
		worker_pool_kick(pool);
		for (unsigned i = 0; i < busy; i++)
			sem_wait(&begun);
		for (unsigned i = 0; i < busy; i++)
			sem_post(&gate);
		worker_pool_free(pool);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(jobs[i].runs, i < busy ? 1 : 0);
		assert_int_equal(inits, 4);
		assert_int_equal(finis, 4);
		free_jobs(jobs, 4);
	}
}

static void test_init_refuses(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 5; n++) {
		inits = finis = 0;
		refused_init = n;
		struct worker_pool *pool = NULL;
		if (n <= 4) {
			assert_int_equal(worker_pool_new(&context, 4, &pool), -ECANCELED);
			assert_null(pool);
		} else {
			pool = new_pool(4);
			worker_pool_free(pool);
		}
		assert_int_equal(finis, n - 1);
	}
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_order),
		WITH_STORE(test_hold),
		WITH_STORE(test_stop_while_held),
		WITH_STORE(test_kick),
		WITH_STORE(test_stress),
		WITH_STORE(test_wake),
		WITH_STORE(test_not_woken),
		WITH_STORE(test_let_run),
		WITH_STORE(test_take_back),
		WITH_STORE(test_stop),
		WITH_STORE(test_init_refuses),
	};
	return cmocka_run_group_tests_name("worker_pool", tests, NULL, NULL);
}
