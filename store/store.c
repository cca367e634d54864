/*
 * store.c - the pool of connections, what its clients share, and what each has of its own; what they read is in store_read.c.
 *
 * The driver's pool (store_pools.h) makes the connections and watches the servers. Each of its clients stays in a struct
 * store_client of ours, together with the collection handles made for it, and those wait in a list: last
 * used, first taken, so that connections stay warm and a thread costs no more than it uses. Taking one waits
 * for waitQueueTimeoutMS at most; then it is the client `away`, which has no connection and answers
 * STORE_E_AWAY to everything.
 */
#include "clock.h"
#include "driver_log.h"
#include "store_client.h"
#include "store_clock.h"
#include "store_describe.h"
#include "store_error.h"
#include "store_indexes.h"
#include "store_pools.h"
#include "store_url.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct store {
	mongoc_uri_t *uri;
	char *database;
	struct store_notes notes;
	bson_t upsert;
	bson_t upsert_any, update_any;
	bson_t unordered;
	unsigned wait_ms;
	struct store_clock clock;
	atomic_bool sharded;
	struct store_wanted_index *wanted;
	size_t wanted_count;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t released;
	struct store_pools pools;
	struct store_client *free;
	unsigned waiting;
	unsigned taken;
	unsigned size;
	struct store_client away;
	struct store_client clients[];
};

static const char *const collection_names[STORE_COLLECTIONS] = {
	[STORE_DEAD_LETTERS] = "dead_letters",
	[STORE_PARKED_COMMANDS] = "parked_commands",
	[STORE_HOSTS] = "hosts",
	[STORE_SCHEDULES] = "schedules",
};

/* ---- the driver ---- */

/*
 * The driver cannot be started again after mongoc_cleanup(), so that is left to the end of the process. Its
 * counters are in shared memory named after the process, for a tool that few have, and would stay there for
 * ever when the process is killed: so the name goes at once.
 */
static void driver_start(void)
{
	char counters[32];
	driver_log_begin();
	mongoc_init();
	snprintf(counters, sizeof(counters), "/mongoc-%d", (int)getpid());
	(void)shm_unlink(counters);
}

/* ---- the pool ---- */

/* Cuts the name where the driver would refuse it. */
static void set_app_name(mongoc_uri_t *uri, const char *app_name)
{
	char name[MONGOC_HANDSHAKE_APPNAME_MAX + 1];

	snprintf(name, sizeof(name), "%s", app_name);
	(void)mongoc_uri_set_appname(uri, name);
}

static int make_pool(
	struct store *store, const struct store_options *options, char message[static STORE_MESSAGE_SIZE])
{
	mongoc_uri_t *uri = store->uri;

	if (!mongoc_uri_get_appname(uri) && options->app_name)
		set_app_name(uri, options->app_name);
	store->wait_ms = (unsigned)mongoc_uri_get_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, 2000);
	return store_pools_open(&store->pools, uri, store->size, message);
}

static struct store *store_new(const struct store_options *options, const char *database)
{
	struct store *store;
	pthread_condattr_t attributes;

	store = calloc(1, sizeof(*store) + options->pool_size * sizeof(store->clients[0]));
	if (!store)
		return NULL;
	store->database = strdup(database);
	if (!store->database) {
		free(store);
		return NULL;
	}
	if (pthread_condattr_init(&attributes) != 0 ||
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
		pthread_cond_init(&store->released, &attributes) != 0 ||
		pthread_mutex_init(&store->lock, NULL) != 0)
		abort(); /* glibc fails none of these */
	pthread_condattr_destroy(&attributes);
	store_clock_init(&store->clock);
	bson_init(&store->upsert);
	BSON_APPEND_BOOL(&store->upsert, "upsert", true);
	bson_init(&store->upsert_any);
	BSON_APPEND_BOOL(&store->upsert_any, "upsert", true);
	BSON_APPEND_BOOL(&store->upsert_any, "validate", false);
	bson_init(&store->update_any);
	BSON_APPEND_BOOL(&store->update_any, "validate", false);
	bson_init(&store->unordered);
	BSON_APPEND_BOOL(&store->unordered, "ordered", false);
	store->size = options->pool_size;
	for (unsigned i = store->size; i-- > 0;) {
		store->clients[i].store = store;
		store->clients[i].next = store->free;
		store->free = &store->clients[i];
	}
	store->away.store = store;
	return store;
}

int store_open(const struct store_options *options, struct store **ret_store,
	char message[static STORE_MESSAGE_SIZE])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct store_notes notes = {.text = ""};
	const char *database;
	mongoc_uri_t *uri;
	struct store *store;
	int r;

	snprintf(message, STORE_MESSAGE_SIZE, "out of memory");
	pthread_once(&once, driver_start);
	if (options->pool_size == 0)
		abort();
	r = store_url_parse(options->url, options->work_ms, &uri, &notes, message);
	if (r != 0)
		return r;
	r = store_url_database(uri, options->database, &database, &notes, message);
	store = r == 0 ? store_new(options, database) : NULL;
	if (!store) {
		mongoc_uri_destroy(uri);
		return r != 0 ? r : -ENOMEM;
	}
	store->uri = uri;
	store->notes = notes;
	r = make_pool(store, options, message);
	if (r != 0) {
		store_close(store);
		return r;
	}
	snprintf(store->away.last_error, sizeof(store->away.last_error),
		"none of the %u connections was free within %u ms", store->size, store->wait_ms);
	*ret_store = store;
	return 0;
}

/* It has no connection then. The lock is held, or nobody else has the store. */
static void client_clear(struct store_client *client)
{
	for (size_t i = 0; i < STORE_COLLECTIONS; i++) {
		mongoc_collection_destroy(client->collections[i]);
		client->collections[i] = NULL;
	}
	for (size_t i = 0; i < STORE_NAMED; i++) {
		mongoc_collection_destroy(client->named[i].collection);
		bson_free(client->named[i].name);
		client->named[i] = (struct store_named){.name = NULL};
	}
	mongoc_database_destroy(client->database);
	client->database = NULL;
	if (client->mongo)
		store_pools_leave(client->pool, client->mongo);
	client->mongo = NULL;
}

static bool is_of_before(const struct store *store, const struct store_client *client)
{
	return client->mongo && client->pool != store->pools.current;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->taken > 0)
		abort();
	for (unsigned i = 0; i < store->size; i++)
		client_clear(&store->clients[i]);
	store_pools_close(&store->pools);
	mongoc_uri_destroy(store->uri);
	bson_destroy(&store->upsert);
	bson_destroy(&store->upsert_any);
	bson_destroy(&store->update_any);
	bson_destroy(&store->unordered);
	pthread_cond_destroy(&store->released);
	pthread_mutex_destroy(&store->lock);
	store_clock_destroy(&store->clock);
	free(store->wanted);
	free(store->database);
	free(store);
}

/* Waits until a client is free or the time is up. The lock is held. */
static void wait_for_free(struct store *store)
{
	struct timespec until;

	clock_timespec_in(store->wait_ms, &until);
	store->waiting++;
	while (!store->free && pthread_cond_timedwait(&store->released, &store->lock, &until) == 0)
		;
	store->waiting--;
}

/* It has joined its pool, which holds as many as there are of ours, so this never waits. */
static void connect_client(struct store_client *client)
{
	client->mongo = mongoc_client_pool_pop(client->pool->driver);
	if (client->mongo)
		return;
	pthread_mutex_lock(&client->store->lock);
	store_pools_leave(client->pool, NULL);
	pthread_mutex_unlock(&client->store->lock);
}

struct store_client *store_acquire(struct store *store)
{
	struct store_client *client;

	pthread_mutex_lock(&store->lock);
	if (!store->free)
		wait_for_free(store);
	client = store->free;
	if (client) {
		store->free = client->next;
		store->taken++;
		if (is_of_before(store, client))
			client_clear(client);
		if (!client->mongo)
			client->pool = store_pools_join(&store->pools);
	}
	pthread_mutex_unlock(&store->lock);
	if (!client)
		return &store->away;
	if (!client->mongo)
		connect_client(client);
	client->last_error[0] = '\0';
	client->last_code = 0;
	return client;
}

void store_release(struct store_client *client)
{
	struct store *store = client->store;
	bool wake;

	if (client == &store->away)
		return;
	pthread_mutex_lock(&store->lock);
	client->next = store->free;
	store->free = client;
	store->taken--;
	wake = store->waiting > 0;
	pthread_mutex_unlock(&store->lock);
	if (wake)
		pthread_cond_signal(&store->released);
}

/* What waits for its next use would keep pools of before, and their connections. */
static void leave_pools_of_before(struct store *store)
{
	struct store_pool *done;

	pthread_mutex_lock(&store->lock);
	for (struct store_client *client = store->free; client; client = client->next)
		if (is_of_before(store, client))
			client_clear(client);
	done = store_pools_done(&store->pools);
	pthread_mutex_unlock(&store->lock);
	store_pools_free(done);
}

int store_renew(struct store *store, bool answers, char message[static STORE_MESSAGE_SIZE])
{
	bool refused;
	struct store_pool *fresh = store_pools_renewed(&store->pools, answers, &refused, message);

	if (fresh) {
		pthread_mutex_lock(&store->lock);
		store_pools_replace(&store->pools, fresh);
		pthread_mutex_unlock(&store->lock);
	}
	leave_pools_of_before(store);
	return fresh ? STORE_RENEWED : refused ? STORE_NOT_RENEWED : 0;
}

const char *store_certificate_file(const struct store *store)
{
	return mongoc_uri_get_option_as_utf8(store->uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL);
}

/* ---- a client ---- */

const char *store_collection_name(enum store_collection collection)
{
	return collection_names[collection];
}

const bson_t *store_upsert_options(const struct store *store)
{
	return &store->upsert;
}

const bson_t *store_any_options(const struct store *store, bool upsert)
{
	return upsert ? &store->upsert_any : &store->update_any;
}

const bson_t *store_unordered_options(const struct store *store)
{
	return &store->unordered;
}

void store_want_indexes(struct store *store, struct store_wanted_index *indexes, size_t count)
{
	free(store->wanted);
	store->wanted = indexes;
	store->wanted_count = count;
}

const struct store_wanted_index *store_wanted_indexes(const struct store *store, size_t *ret_count)
{
	*ret_count = store->wanted_count;
	return store->wanted;
}

const char *store_database_name(const struct store *store)
{
	return store->database;
}

mongoc_client_t *store_patient_client(const struct store *store)
{
	mongoc_uri_t *uri = mongoc_uri_copy(store->uri);
	const int64_t socket_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0);
	const int64_t ms = socket_ms * STORE_PATIENCE;
	mongoc_client_t *client;
	bson_error_t error;

	(void)mongoc_uri_set_option_as_int32(
		uri, MONGOC_URI_SOCKETTIMEOUTMS, ms < INT32_MAX ? (int32_t)ms : INT32_MAX);
	client = mongoc_client_new_from_uri_with_error(uri, &error);
	mongoc_uri_destroy(uri);
	if (client)
		(void)mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
	return client;
}

const char *store_notes(const struct store *store)
{
	return store->notes.text;
}

int64_t store_now_us(struct store *store)
{
	return store_clock_now_us(&store->clock);
}

int64_t store_now_ms(struct store *store)
{
	return store_now_us(store) / 1000;
}

bool store_wall_clock_ahead_ms(struct store *store, int64_t *ret_ms)
{
	int64_t us;

	if (!store_clock_wall_ahead_us(&store->clock, &us))
		return false;
	*ret_ms = us / 1000;
	return true;
}

bool store_is_sharded(const struct store *store)
{
	return atomic_load_explicit(&store->sharded, memory_order_relaxed);
}

int store_know_time(struct store_client *client)
{
	if (!client->mongo)
		return STORE_E_AWAY;
	return store_clock_known(&client->store->clock) ? 0 : store_ping(client);
}

struct _mongoc_database_t *store_database(struct store_client *client)
{
	if (client->mongo && !client->database)
		client->database = mongoc_client_get_database(client->mongo, client->store->database);
	return client->database;
}

mongoc_collection_t *store_client_collection(struct store_client *client, enum store_collection collection)
{
	if (!client->collections[collection])
		client->collections[collection] = mongoc_client_get_collection(
			client->mongo, client->store->database, collection_names[collection]);
	return client->collections[collection];
}

mongoc_collection_t *store_client_named(struct store_client *client, const char *name)
{
	for (size_t i = 0; i < STORE_NAMED; i++)
		if (client->named[i].name && strcmp(client->named[i].name, name) == 0)
			return client->named[i].collection;
	struct store_named *named = &client->named[client->named_next++ % STORE_NAMED];
	mongoc_collection_destroy(named->collection);
	bson_free(named->name);
	named->name = bson_strdup(name); /* aborts where there is no memory, as all the driver's do */
	named->collection = mongoc_client_get_collection(client->mongo, client->store->database, name);
	return named->collection;
}

/* The driver does not say that it found a server, and took it for none because it is not of the set. */
static void tell_unanswered(struct store_client *client, const bson_error_t *error)
{
	const char *set = mongoc_uri_get_replica_set(client->store->uri);
	const bool not_found = set && error->domain == MONGOC_ERROR_SERVER_SELECTION;

	snprintf(client->last_error, sizeof(client->last_error), "ping: %s%s%s%s", error->message,
		not_found ? " (only members of the replica set " : "", not_found ? set : "",
		not_found ? " count, as the database URL says replicaSet)" : "");
	store_note_code(client, error);
}

int store_ping(struct store_client *client)
{
	bson_t command = BSON_INITIALIZER, reply;
	bson_error_t error;
	bson_iter_t iter;
	bool writable;

	if (!client->mongo)
		return STORE_E_AWAY;
	BSON_APPEND_INT32(&command, "hello", 1);
	const int64_t asked_us = store_clock_here_us();
	if (!mongoc_client_command_simple(client->mongo, "admin", &command, NULL, &reply, &error)) {
		const int r = store_classify_read(&reply, &error);

		bson_destroy(&command);
		bson_destroy(&reply);
		tell_unanswered(client, &error);
		return r;
	}
	/* Before the time: who knows that, knows this. */
	const bool sharded = bson_iter_init_find(&iter, &reply, "msg") && BSON_ITER_HOLDS_UTF8(&iter) &&
			     strcmp(bson_iter_utf8(&iter, NULL), "isdbgrid") == 0;
	atomic_store_explicit(&client->store->sharded, sharded, memory_order_relaxed);
	if (bson_iter_init_find(&iter, &reply, "localTime") && BSON_ITER_HOLDS_DATE_TIME(&iter))
		store_clock_note(
			&client->store->clock, asked_us, store_clock_here_us(), bson_iter_date_time(&iter));
	writable = bson_iter_init_find(&iter, &reply, "isWritablePrimary") && bson_iter_as_bool(&iter);
	bson_destroy(&command);
	bson_destroy(&reply);
	if (!writable) {
		snprintf(client->last_error, sizeof(client->last_error),
			"ping: the server is not a writable primary");
		client->last_code = 0;
		return STORE_E_TRANSIENT;
	}
	return 0;
}
