/*
 * fake_store.c - the stand-in store: see fake_store.h.
 *
 * Documents of handlers' collections, dead letters and parked commands have files of their own. All is behind one lock. Every operation begins with fake_operation_begin(), where failures are put in.
 * What an error of the driver means is judged by the real store's table, store_error.c, which is linked into
 * this one too.
 */
#include "fake_store.h"
#include "fake_store_private.h"
#include <bson/bson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- operations ---- */

/* 0 with the lock held: to be ended by fake_operation_end(). Or what the test wants it to answer. */
int fake_operation_begin(struct store_client *client)
{
	struct store *store = client->store;

	if (store->before)
		store->before(store->before_context);
	pthread_mutex_lock(&store->lock);
	store->operations++;
	client->answer_lost = false;
	if (store->failure.times == 0)
		return 0;
	if (store->failure.skip > 0) {
		store->failure.skip--;
		return 0;
	}
	store->failure.times--;
	client->last_error = "the test wants it to fail";
	if (store->failure.done) {
		client->answer_lost = true;
		return 0;
	}
	pthread_mutex_unlock(&store->lock);
	return store->failure.store_error;
}

int fake_operation_end(struct store_client *client, int r)
{
	pthread_mutex_unlock(&client->store->lock);
	return client->answer_lost ? STORE_E_AWAY : r;
}

/* ---- store.h ---- */

static int (*before_open)(const char *url, char *message);

void fake_store_before_open(int (*before)(const char *url, char *message))
{
	before_open = before;
}

int store_open(const struct store_options *options, struct store **ret_store,
	char message[static STORE_MESSAGE_SIZE])
{
	message[0] = '\0';
	const int error = before_open ? before_open(options->url, message) : 0;
	if (error != 0)
		return error;
	struct store *store = checked(calloc(1, sizeof(*store)));

	pthread_mutex_init(&store->lock, NULL);
	*ret_store = store;
	return 0;
}

const char *store_database_name(const struct store *store)
{
	(void)store;
	return STORE_DATABASE;
}

const char *store_notes(const struct store *store)
{
	(void)store;
	return "";
}

/* It has no connections, and so no files. */
const char *store_certificate_file(const struct store *store)
{
	(void)store;
	return NULL;
}

int store_renew(struct store *store, bool answers, char message[static STORE_MESSAGE_SIZE])
{
	(void)store, (void)answers, (void)message;
	return 0;
}

struct store *fake_store_new(void)
{
	char message[STORE_MESSAGE_SIZE];
	const struct store_options options = {.url = "", .database = ""};
	struct store *store;

	if (store_open(&options, &store, message) != 0)
		abort();
	return store;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->clients > 0)
		abort();
	fake_letters_free_all(store);
	fake_parked_free_all(store);
	fake_hosts_free_all(store);
	fake_documents_free_all(store);
	fake_schedules_free_all(store);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

int store_prepare(struct store_client *client)
{
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	return fake_operation_end(client, 0);
}

int store_ping(struct store_client *client)
{
	const int r = fake_operation_begin(client);

	return r != 0 ? r : fake_operation_end(client, 0);
}

static int64_t now_us(const struct store *store)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + store->ahead_ms * 1000;
}

int64_t fake_now_ms(const struct store *store)
{
	return now_us(store) / 1000;
}

int64_t store_now_us(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	const int64_t us = now_us(store);
	pthread_mutex_unlock(&store->lock);
	return us;
}

bool store_wall_clock_ahead_ms(struct store *store, int64_t *ret_ms)
{
	pthread_mutex_lock(&store->lock);
	*ret_ms = -store->ahead_ms;
	pthread_mutex_unlock(&store->lock);
	return true;
}

int64_t store_now_ms(struct store *store)
{
	return store_now_us(store) / 1000;
}

struct store_client *store_acquire(struct store *store)
{
	struct store_client *client = checked(calloc(1, sizeof(*client)));

	client->store = store;
	client->last_error = "";
	pthread_mutex_lock(&store->lock);
	store->clients++;
	pthread_mutex_unlock(&store->lock);
	return client;
}

void store_release(struct store_client *client)
{
	pthread_mutex_lock(&client->store->lock);
	client->store->clients--;
	pthread_mutex_unlock(&client->store->lock);
	free(client);
}

struct _mongoc_database_t *store_database(struct store_client *client)
{
	(void)client;
	return NULL;
}

const char *store_last_error(const struct store_client *client)
{
	return client->last_error;
}

char *fake_text_copy(const char *text)
{
	return checked(strdup(text ? text : ""));
}

void *fake_bytes_copy(const void *bytes, size_t size)
{
	char *copy = checked(calloc(1, size + 1));

	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

void fake_forget(const void *copy)
{
	free((void *)(uintptr_t)copy);
}

/* ---- fake_store.h ---- */

static void fail(struct store *store, unsigned skip, unsigned times, int store_error, bool done)
{
	pthread_mutex_lock(&store->lock);
	store->failure.skip = skip;
	store->failure.times = times;
	store->failure.store_error = store_error;
	store->failure.done = done;
	pthread_mutex_unlock(&store->lock);
}

void fake_store_fail_next(struct store *store, int store_error, unsigned times)
{
	fail(store, 0, times, store_error, false);
}

void fake_store_fail_at(struct store *store, unsigned skip, int store_error)
{
	fail(store, skip, 1, store_error, false);
}

void fake_store_lose_answer_at(struct store *store, unsigned skip)
{
	fail(store, skip, 1, STORE_E_AWAY, true);
}

void fake_store_before_operation(struct store *store, void (*before)(void *context), void *context)
{
	store->before = before;
	store->before_context = context;
}

unsigned fake_store_operations(struct store *store)
{
	unsigned operations;

	pthread_mutex_lock(&store->lock);
	operations = store->operations;
	pthread_mutex_unlock(&store->lock);
	return operations;
}

void fake_store_pass(struct store *store, int64_t ms)
{
	pthread_mutex_lock(&store->lock);
	store->ahead_ms += ms;
	pthread_mutex_unlock(&store->lock);
}

static const char *pair_id(char id[static 160], const char *first, const char *second)
{
	snprintf(id, 160, "%s/%s", first, second);
	return id;
}

static bool has(struct store *store, const char *collection, const char *id)
{
	bson_t document;
	const bool found = fake_store_get(store, collection, id, &document);

	if (found)
		bson_destroy(&document);
	return found;
}

bool fake_store_has_contact(struct store *store, const char *user, const char *contact)
{
	char id[160];

	return has(store, "contacts", pair_id(id, user, contact));
}

bool fake_store_has_request(struct store *store, const char *from, const char *to)
{
	char id[160];

	return has(store, "contact_requests", pair_id(id, to, from));
}

void fake_store_forget_contact(struct store *store, const char *user, const char *contact)
{
	char id[160];

	fake_store_remove(store, "contacts", pair_id(id, user, contact));
}

size_t fake_store_contacts(struct store *store)
{
	return fake_store_count(store, "contacts");
}

size_t fake_store_requests(struct store *store)
{
	return fake_store_count(store, "contact_requests");
}

void fake_store_dump(struct store *store, FILE *out)
{
	pthread_mutex_lock(&store->lock);
	fake_letters_dump(store, out);
	fake_parked_dump(store, out);
	fake_documents_dump(store, out);
	pthread_mutex_unlock(&store->lock);
}
