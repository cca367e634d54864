/*
 * pool.c - see worker_pool.h. One mutex per queue, held for a few pointer writes. A command goes
 * straight to an idle worker, if there is one: to the one that became idle last, whose stack and caches are
 * warm.
 */
#include "pool.h"

#include "board.h"
#include "command.h"
#include "crash.h"
#include "lane.h"
#include "log.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WORKER_STACK_SIZE = 1024 * 1024 };

/* Giving way to a worker pays where handlers are short. It costs a change of threads, so where it was in vain
 * so many times in a row, only every so many-th chance is taken, until one pays again. */
enum { LET_RUN_IN_VAIN = 4, LET_RUN_EVERY = 64 };

struct queue {
	struct command *first, **end;
};

struct worker {
	struct worker_pool *pool;
	struct worker_context context;
	pthread_t thread;
	struct worker *idle_next;
	struct command *job; /* handed over before `wake` is posted; NULL: stop */
	sem_t wake;
};

struct worker_pool {
	pthread_mutex_t out_mutex;
	struct queue out; /* under out_mutex, as the next three: what no worker was free for */
	struct worker *idle;
	bool held; /* written by the I/O thread alone */
	bool stopping;

	pthread_mutex_t back_mutex;
	struct queue back; /* under back_mutex */

	struct queue submitted; /* the I/O thread's own, until it kicks */
	bool woke_one;		/* a worker; the I/O thread's own, since the last worker_pool_let_run() */
	unsigned in_vain;	/* the I/O thread's own: calls of worker_pool_let_run() since one has paid */
	_Atomic bool sleeping;	/* the I/O thread is in poll(), or about to be */
	_Atomic bool woken;	/* by worker_pool_wake(), since the last worker_pool_sleep() */
	int fd;
	unsigned worker_count;
	struct worker *workers;
};

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){.end = &queue->first};
}

static void queue_append(struct queue *queue, struct command *command)
{
	command->job_next = NULL;
	*queue->end = command;
	queue->end = &command->job_next;
}

static struct command *queue_take_all(struct queue *queue)
{
	struct command *first = queue->first;
	queue_init(queue);
	return first;
}

static void wake_sleeper(struct worker_pool *pool)
{
	/* Sequentially consistent, as in worker_pool_sleep(): either the sleeper sees what is queued, or we
	 * see the sleeper. */
	if (!atomic_exchange(&pool->sleeping, false))
		return;
	const uint64_t one = 1;
	if (write(pool->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

void worker_pool_wake(struct worker_pool *pool)
{
	/* What the caller has to tell is in no queue of ours, so it may have been looked for already. */
	atomic_store(&pool->woken, true);
	wake_sleeper(pool);
}

static struct command *queue_take(struct queue *queue)
{
	struct command *command = queue->first;
	if (command == NULL)
		return NULL;
	queue->first = command->job_next;
	if (queue->first == NULL)
		queue->end = &queue->first;
	return command;
}

/* Waits for the next command; NULL: the pool stops. */
static struct command *next_job(struct worker *worker)
{
	struct worker_pool *pool = worker->pool;
	pthread_mutex_lock(&pool->out_mutex);
	struct command *command = pool->held ? NULL : queue_take(&pool->out);
	if (command != NULL || pool->stopping) {
		pthread_mutex_unlock(&pool->out_mutex);
		return command;
	}
	worker->idle_next = pool->idle;
	pool->idle = worker;
	pthread_mutex_unlock(&pool->out_mutex);
	while (sem_wait(&worker->wake) != 0)
		continue;
	return worker->job;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct worker_pool *pool = worker->pool;
	struct command *command;
	struct crash_stack stack;

	/* Without a stack for signal handlers an overflow kills without saying what it was. */
	if (crash_thread_begin(&stack, worker->context.slot) != 0)
		log_warn("no_signal_stack", "a worker has no memory for a stack for signal handlers");
	while ((command = next_job(worker)) != NULL) {
		worker_do(&worker->context, command);
		pthread_mutex_lock(&pool->back_mutex);
		queue_append(&pool->back, command);
		pthread_mutex_unlock(&pool->back_mutex);
		wake_sleeper(pool);
	}
	crash_thread_end(&stack);
	return NULL;
}

/* Stops and joins the first `count` workers. */
static void stop_workers(struct worker_pool *pool, unsigned count)
{
	pthread_mutex_lock(&pool->out_mutex);
	pool->stopping = true;
	for (struct worker *worker = pool->idle; worker != NULL; worker = worker->idle_next) {
		worker->job = NULL;
		sem_post(&worker->wake);
	}
	pthread_mutex_unlock(&pool->out_mutex);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(pool->workers[i].thread, NULL);
		sem_destroy(&pool->workers[i].wake);
		worker_states_free(&pool->workers[i].context);
	}
}

static int start_worker(struct worker *worker)
{
	int rc = worker_states_new(&worker->context);
	if (rc != 0)
		return rc;
	sem_init(&worker->wake, 0, 0);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK_SIZE);
	rc = -pthread_create(&worker->thread, &attributes, work, worker);
	pthread_attr_destroy(&attributes);
	if (rc != 0) {
		sem_destroy(&worker->wake);
		worker_states_free(&worker->context);
	}
	return rc;
}

int worker_pool_new(const struct worker_context *context, unsigned workers, struct worker_pool **ret)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	pthread_mutex_init(&pool->out_mutex, NULL);
	pthread_mutex_init(&pool->back_mutex, NULL);
	queue_init(&pool->out);
	queue_init(&pool->back);
	queue_init(&pool->submitted);
	pool->workers = calloc(workers, sizeof(*pool->workers));
	pool->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int rc = pool->workers == NULL ? -ENOMEM : pool->fd < 0 ? -errno : 0;
	for (; rc == 0 && pool->worker_count < workers; pool->worker_count++) {
		struct worker *worker = &pool->workers[pool->worker_count];
		*worker = (struct worker){.pool = pool, .context = *context};
		worker->context.states = NULL;
		if (context->slot != NULL)
			worker->context.slot = context->slot + pool->worker_count + 1;
		if (context->runs != NULL)
			worker->context.runs = context->runs + pool->worker_count + 1;
		rc = start_worker(worker);
		if (rc != 0)
			break;
	}
	if (rc != 0) {
		worker_pool_free(pool);
		return rc;
	}
	*ret = pool;
	return 0;
}

void worker_pool_free(struct worker_pool *pool)
{
	if (pool == NULL)
		return;
	stop_workers(pool, pool->worker_count);
	if (pool->fd >= 0)
		close(pool->fd);
	pthread_mutex_destroy(&pool->out_mutex);
	pthread_mutex_destroy(&pool->back_mutex);
	free(pool->workers);
	free(pool);
}

void worker_pool_submit(struct worker_pool *pool, struct command *command)
{
	queue_append(&pool->submitted, command);
}

/* Moves what was submitted into the queue, and gives the first ones to idle workers. */
static void hand_out(struct worker_pool *pool, bool held)
{
	struct worker *woken = NULL;
	pthread_mutex_lock(&pool->out_mutex);
	pool->held = held;
	if (pool->submitted.first != NULL) {
		*pool->out.end = pool->submitted.first;
		pool->out.end = pool->submitted.end;
		queue_init(&pool->submitted);
	}
	while (!held && pool->idle != NULL && pool->out.first != NULL) {
		struct worker *worker = pool->idle;
		pool->idle = worker->idle_next;
		worker->job = queue_take(&pool->out);
		worker->idle_next = woken;
		woken = worker;
	}
	pthread_mutex_unlock(&pool->out_mutex);
	while (woken != NULL) {
		/* Once posted, the worker may put itself into the idle list again. */
		struct worker *worker = woken;
		woken = worker->idle_next;
		sem_post(&worker->wake);
		pool->woke_one = true;
	}
}

static bool nothing_back(struct worker_pool *pool)
{
	pthread_mutex_lock(&pool->back_mutex);
	const bool nothing = pool->back.first == NULL;
	pthread_mutex_unlock(&pool->back_mutex);
	return nothing;
}

bool worker_pool_let_run(struct worker_pool *pool)
{
	if (!pool->woke_one)
		return false;
	pool->woke_one = false;
	if (pool->in_vain++ >= LET_RUN_IN_VAIN && pool->in_vain % LET_RUN_EVERY != 0)
		return false;
	sched_yield();
	if (nothing_back(pool))
		return false;
	pool->in_vain = 0;
	return true;
}

void worker_pool_kick(struct worker_pool *pool)
{
	if (pool->submitted.first != NULL)
		hand_out(pool, pool->held);
}

void worker_pool_hold(struct worker_pool *pool, bool hold)
{
	if (pool->held != hold)
		hand_out(pool, hold);
}

struct command *worker_pool_collect(struct worker_pool *pool)
{
	pthread_mutex_lock(&pool->back_mutex);
	struct command *finished = queue_take_all(&pool->back);
	pthread_mutex_unlock(&pool->back_mutex);
	return finished;
}

static void split_queue(struct queue *queue, const struct lane *lane, struct queue *taken)
{
	struct command *command = queue_take_all(queue), *next;
	for (; command != NULL; command = next) {
		next = command->job_next;
		const bool take = command->lane == lane && command->state == COMMAND_RUNNING &&
				  command->origin != COMMAND_FROM_STORE;
		queue_append(take ? taken : queue, command);
	}
}

struct command *worker_pool_take_back(struct worker_pool *pool, const struct lane *lane)
{
	struct queue taken;
	queue_init(&taken);
	split_queue(&pool->submitted, lane, &taken);
	pthread_mutex_lock(&pool->out_mutex);
	split_queue(&pool->out, lane, &taken);
	pthread_mutex_unlock(&pool->out_mutex);
	return taken.first;
}

bool worker_pool_sleep(struct worker_pool *pool)
{
	atomic_store(&pool->sleeping, true);
	const bool nothing = nothing_back(pool);
	return !atomic_exchange(&pool->woken, false) && nothing;
}

void worker_pool_awake(struct worker_pool *pool, bool readable)
{
	atomic_store(&pool->sleeping, false);
	uint64_t count;
	if (readable && read(pool->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
}

int worker_pool_fd(const struct worker_pool *pool)
{
	return pool->fd;
}
