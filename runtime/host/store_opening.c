/*
 * store_opening.c - see store_opening.h.
 *
 * A lookup belongs to two: who waits for it, and its thread, which cannot be stopped. Whoever leaves last frees it.
 */
#include "store_opening.h"

#include "log.h"
#include "loop.h"
#include "settings.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STOPS_MAX = 2 };

struct store_options store_opening_options(const struct settings *settings)
{
	return (struct store_options){
		.url = settings->mongo_db_url,
		.database = settings->mongo_db_name,
		.app_name = settings->client_id,
		/* the watch, and the I/O thread's light handlers */
		.pool_size = settings->workers + LOOP_STORING_THREADS + 2,
		.work_ms = settings->handler_timeout_s * 1000,
	};
}

struct lookup {
	struct store_options options;
	_Atomic int owners;
	int event; /* readable when it has ended */
	int error; /* the rest is the thread's until then */
	struct store *store;
	char message[STORE_MESSAGE_SIZE];
};

static void lookup_leave(struct lookup *lookup)
{
	if (atomic_fetch_sub(&lookup->owners, 1) > 1)
		return;
	store_close(lookup->store);
	close(lookup->event);
	free(lookup);
}

static void *lookup_run(void *context)
{
	struct lookup *lookup = context;
	lookup->error = store_open(&lookup->options, &lookup->store, lookup->message);
	(void)eventfd_write(lookup->event, 1);
	lookup_leave(lookup);
	return NULL;
}

static int lookup_new(const struct store_options *options, struct lookup **ret)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return -ENOMEM;
	lookup->options = *options;
	atomic_init(&lookup->owners, 1);
	lookup->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lookup->event < 0) {
		const int error = -errno;
		free(lookup);
		return error;
	}
	*ret = lookup;
	return 0;
}

/* Sleeps until the event, if there is one, or a stop, or for so long where wait_ms is not negative. */
static bool is_stopped(int event, const struct pollfd *stops, size_t stop_count, int wait_ms)
{
	struct pollfd polls[1 + STOPS_MAX] = {{.fd = event, .events = POLLIN}};
	if (stop_count > STOPS_MAX)
		abort();
	if (stop_count > 0)
		memcpy(polls + 1, stops, stop_count * sizeof(*stops));
	while (poll(polls, 1 + stop_count, wait_ms) < 0 && errno == EINTR)
		continue;
	for (size_t i = 0; i < stop_count; i++)
		if (polls[1 + i].revents != 0)
			return true;
	return false;
}

/* store_open() on a thread: its result, or what kept the thread from starting; nothing where *ret_stopped. */
static int open_on_thread(const struct store_options *options, const struct pollfd *stops, size_t stop_count,
	struct store **ret_store, char message[static STORE_MESSAGE_SIZE], bool *ret_stopped)
{
	struct lookup *lookup = NULL;
	pthread_t thread;
	int error = lookup_new(options, &lookup);
	if (error != 0)
		return error;
	atomic_store(&lookup->owners, 2);
	error = pthread_create(&thread, NULL, lookup_run, lookup);
	if (error != 0) {
		atomic_store(&lookup->owners, 1);
		lookup_leave(lookup);
		return -error;
	}
	*ret_stopped = is_stopped(lookup->event, stops, stop_count, -1);
	if (*ret_stopped) {
		pthread_detach(thread);
	} else {
		pthread_join(thread, NULL);
		error = lookup->error;
		memcpy(message, lookup->message, STORE_MESSAGE_SIZE);
		if (error == 0)
			*ret_store = lookup->store;
		lookup->store = NULL;
	}
	lookup_leave(lookup);
	return error;
}

static void log_refused(const char *reason)
{
	log_error("bad_setting",
		"MONGO_DB_URL cannot be used: expected a connection string that MongoDB's driver understands, like "
		"mongodb://user:password@host:27017",
		LOG_TEXT("setting", "MONGO_DB_URL"), LOG_TEXT("reason", reason));
}

int store_opening_wait(const struct store_options *options, unsigned again_ms, const struct pollfd *stops,
	size_t stop_count, struct store **ret_store)
{
	const bool looks_up = strncmp(options->url, "mongodb+srv://", 14) == 0;
	for (bool told = false;; told = true) {
		char message[STORE_MESSAGE_SIZE] = "out of memory";
		bool stopped = false;
		const int error =
			looks_up ? open_on_thread(options, stops, stop_count, ret_store, message, &stopped)
				 : store_open(options, ret_store, message);
		if (stopped)
			return STORE_OPENING_E_STOPPED;
		if (error <= 0)
			return error;
		if (error != STORE_E_AWAY) {
			log_refused(message);
			return STORE_OPENING_E_REFUSED;
		}
		if (!told)
			log_error("store_away",
				"the name in MONGO_DB_URL cannot be looked up now: it is tried again, and the host begins when it can be",
				LOG_TEXT("reason", message));
		if (is_stopped(-1, stops, stop_count, (int)again_ms))
			return STORE_OPENING_E_STOPPED;
	}
}

int store_opening_try(
	const struct store_options *options, struct store **ret_store, char reason[static STORE_MESSAGE_SIZE])
{
	const int error = store_open(options, ret_store, reason);
	if (error <= 0)
		return error;
	return error == STORE_E_AWAY ? STORE_OPENING_E_AWAY : STORE_OPENING_E_REFUSED;
}
