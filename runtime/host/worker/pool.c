/*
 * pool.c - see pool.h. One mutex per queue, held for a few pointer writes. A job goes straight to an idle thread, if there is one: to the one that
 * became idle last, whose stack and caches are warm.
 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_SIZE = 1024 * 1024 };

/* Giving way to a thread pays where jobs are short. It costs a change of threads, so where it was in vain
 * so many times in a row, only every so many-th chance is taken, until one pays again. */
enum { LET_RUN_IN_VAIN = 4, LET_RUN_EVERY = 64 };

enum { TOGETHER_MAX = 64 }; /* jobs by one call */

struct queue {
	struct job *first, **end;
};

struct thread {
	struct pool *pool;
	void *context;
	pthread_t id;
	struct thread *idle_next;
	struct job *job; /* handed over before `wake` is posted; NULL: stop */
	sem_t wake;
};

struct pool {
	struct pool_options options;
	pthread_mutex_t out_mutex;
	struct queue out;    /* under out_mutex, as the next five: what no thread was free for */
	struct queue urgent; /* the same, before all else, and also while held */
	struct thread *idle;
	unsigned idle_count;
	bool held; /* written by the I/O thread alone */
	bool stopping;

	pthread_mutex_t back_mutex;
	struct queue back; /* under back_mutex */

	struct queue submitted;	    /* the I/O thread's own, until it kicks */
	struct queue submitted_now; /* the same */
	bool woke_one;		    /* a thread; the I/O thread's own, since the last pool_let_run() */
	unsigned in_vain;	    /* the I/O thread's own: calls of pool_let_run() since one has paid */
	_Atomic bool sleeping;	    /* the I/O thread is in poll(), or about to be */
	_Atomic bool woken;	    /* by pool_wake(), since the last pool_sleep() */
	int fd;
	unsigned thread_count;
	struct thread *threads;
};

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){.end = &queue->first};
}

static void queue_append(struct queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->end = job;
	queue->end = &job->next;
}

static struct job *queue_take_all(struct queue *queue)
{
	struct job *first = queue->first;
	queue_init(queue);
	return first;
}

static void queue_move(struct queue *to, struct queue *from)
{
	if (!from->first)
		return;
	*to->end = from->first;
	to->end = from->end;
	queue_init(from);
}

static void wake_sleeper(struct pool *pool)
{
	/* Sequentially consistent, as in pool_sleep(): either the sleeper sees what is queued, or we
	 * see the sleeper. */
	if (!atomic_exchange(&pool->sleeping, false))
		return;
	const uint64_t one = 1;
	if (write(pool->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

void pool_wake(struct pool *pool)
{
	/* What the caller has to tell is in no queue of ours, so it may have been looked for already. */
	atomic_store(&pool->woken, true);
	wake_sleeper(pool);
}

static struct job *queue_take(struct queue *queue)
{
	struct job *job = queue->first;
	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->end = &queue->first;
	job->next = NULL;
	return job;
}

/* Takes what joins the job out of the queue, and links it behind it, in the order in which it waited. */
static void take_joined(struct pool *pool, struct job *job)
{
	struct job *last = job;
	unsigned count = 1;
	if (!pool->options.joins(job, job))
		return; /* however many wait */
	for (struct job **at = &pool->out.first; *at && count < TOGETHER_MAX;) {
		struct job *other = *at;
		if (!pool->options.joins(job, other)) {
			at = &other->next;
			continue;
		}
		*at = other->next;
		if (!other->next)
			pool->out.end = at;
		last->next = other;
		last = other;
		last->next = NULL;
		count++;
	}
}

/* Under out_mutex. */
static struct job *take_next(struct pool *pool)
{
	struct job *job = queue_take(&pool->urgent);
	if (job || pool->held)
		return job;
	job = queue_take(&pool->out);
	if (job && pool->options.joins)
		take_joined(pool, job);
	return job;
}

/* Waits for the next job; NULL: the pool stops. */
static struct job *next_job(struct thread *thread)
{
	struct pool *pool = thread->pool;
	pthread_mutex_lock(&pool->out_mutex);
	struct job *job = take_next(pool);
	if (job || pool->stopping) {
		pthread_mutex_unlock(&pool->out_mutex);
		return job;
	}
	thread->idle_next = pool->idle;
	pool->idle = thread;
	pool->idle_count++;
	pthread_mutex_unlock(&pool->out_mutex);
	while (sem_wait(&thread->wake) != 0)
		continue;
	return thread->job;
}

static void *work(void *argument)
{
	struct thread *thread = argument;
	struct pool *pool = thread->pool;
	struct job *job;

	if (pool->options.enter)
		pool->options.enter(thread->context);
	while ((job = next_job(thread))) {
		job->run(job, thread->context);
		pthread_mutex_lock(&pool->back_mutex);
		for (struct job *next; job; job = next) {
			next = job->next;
			queue_append(&pool->back, job);
		}
		pthread_mutex_unlock(&pool->back_mutex);
		wake_sleeper(pool);
	}
	if (pool->options.leave)
		pool->options.leave(thread->context);
	return NULL;
}

static void close_thread(struct pool *pool, struct thread *thread)
{
	sem_destroy(&thread->wake);
	if (pool->options.close)
		pool->options.close(pool->options.owner, thread->context);
}

/* Stops and joins those that were started. */
static void stop_threads(struct pool *pool)
{
	pthread_mutex_lock(&pool->out_mutex);
	pool->stopping = true;
	for (struct thread *thread = pool->idle; thread; thread = thread->idle_next) {
		thread->job = NULL;
		sem_post(&thread->wake);
	}
	pthread_mutex_unlock(&pool->out_mutex);
	for (unsigned i = 0; i < pool->thread_count; i++) {
		pthread_join(pool->threads[i].id, NULL);
		close_thread(pool, &pool->threads[i]);
	}
}

static int start_thread(struct pool *pool, unsigned number)
{
	struct thread *thread = &pool->threads[number];
	*thread = (struct thread){.pool = pool};
	int error =
		pool->options.open ? pool->options.open(pool->options.owner, number, &thread->context) : 0;
	if (error != 0)
		return error;
	sem_init(&thread->wake, 0, 0);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	error = -pthread_create(&thread->id, &attributes, work, thread);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		close_thread(pool, thread);
	return error;
}

int pool_new(const struct pool_options *options, struct pool **ret)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	pthread_mutex_init(&pool->out_mutex, NULL);
	pthread_mutex_init(&pool->back_mutex, NULL);
	queue_init(&pool->out);
	queue_init(&pool->back);
	queue_init(&pool->submitted);
	queue_init(&pool->submitted_now);
	queue_init(&pool->urgent);
	pool->threads = calloc(options->threads, sizeof(*pool->threads));
	pool->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int error = !pool->threads ? -ENOMEM : pool->fd < 0 ? -errno : 0;
	while (error == 0 && pool->thread_count < options->threads) {
		error = start_thread(pool, pool->thread_count);
		if (error == 0)
			pool->thread_count++;
	}
	if (error != 0) {
		pool_free(pool);
		return error;
	}
	*ret = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	stop_threads(pool);
	if (pool->fd >= 0)
		close(pool->fd);
	pthread_mutex_destroy(&pool->out_mutex);
	pthread_mutex_destroy(&pool->back_mutex);
	free(pool->threads);
	free(pool);
}

void pool_submit(struct pool *pool, struct job *job)
{
	queue_append(&pool->submitted, job);
}

void pool_submit_now(struct pool *pool, struct job *job)
{
	queue_append(&pool->submitted_now, job);
}

unsigned pool_busy(struct pool *pool)
{
	pthread_mutex_lock(&pool->out_mutex);
	const unsigned busy = pool->thread_count - pool->idle_count;
	pthread_mutex_unlock(&pool->out_mutex);
	return busy;
}

/* Moves what was submitted into the queue, and gives the first ones to idle threads. */
static void hand_out(struct pool *pool, bool held)
{
	struct thread *woken = NULL;
	pthread_mutex_lock(&pool->out_mutex);
	pool->held = held;
	queue_move(&pool->urgent, &pool->submitted_now);
	queue_move(&pool->out, &pool->submitted);
	while (pool->idle && (pool->urgent.first || (!held && pool->out.first))) {
		struct thread *thread = pool->idle;
		pool->idle = thread->idle_next;
		pool->idle_count--;
		thread->job = take_next(pool);
		thread->idle_next = woken;
		woken = thread;
	}
	pthread_mutex_unlock(&pool->out_mutex);
	while (woken) {
		/* Once posted, the thread may put itself into the idle list again. */
		struct thread *thread = woken;
		woken = thread->idle_next;
		sem_post(&thread->wake);
		pool->woke_one = true;
	}
}

static bool nothing_back(struct pool *pool)
{
	pthread_mutex_lock(&pool->back_mutex);
	const bool nothing = !pool->back.first;
	pthread_mutex_unlock(&pool->back_mutex);
	return nothing;
}

bool pool_let_run(struct pool *pool)
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

void pool_kick(struct pool *pool)
{
	if (pool->submitted.first || pool->submitted_now.first)
		hand_out(pool, pool->held);
}

void pool_hold(struct pool *pool, bool hold)
{
	if (pool->held != hold)
		hand_out(pool, hold);
}

struct job *pool_collect(struct pool *pool)
{
	pthread_mutex_lock(&pool->back_mutex);
	struct job *finished = queue_take_all(&pool->back);
	pthread_mutex_unlock(&pool->back_mutex);
	return finished;
}

bool pool_sleep(struct pool *pool)
{
	atomic_store(&pool->sleeping, true);
	const bool nothing = nothing_back(pool);
	return !atomic_exchange(&pool->woken, false) && nothing;
}

void pool_awake(struct pool *pool, bool readable)
{
	atomic_store(&pool->sleeping, false);
	uint64_t count;
	if (readable && read(pool->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
}

int pool_fd(const struct pool *pool)
{
	return pool->fd;
}
