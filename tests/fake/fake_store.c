/*
 * fake_store.c - the stand-in store: see fake_store.h.
 *
 * Documents about two users are kept in sorted arrays; dead letters and parked commands have files of their
 * own. All is behind one lock. Every operation begins with fake_operation_begin(), where failures are put in.
 * What an error of the driver means is judged by the real store's table, store_error.c, which is linked into
 * this one too.
 */
#include "fake_store.h"
#include "fake_store_private.h"
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

static int refused(struct store_client *client)
{
	client->last_error = "expected user ids of 1 to 64 of A-Z a-z 0-9 . _ | -";
	return STORE_E_PERMANENT;
}

/* ---- pairs ---- */

static bool user_id_valid(const char *user)
{
	const size_t size =
		strspn(user, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._|-");

	return size > 0 && size <= PAIR_USER_MAX && user[size] == '\0';
}

static int list(struct store_client *client, const struct pairs *pairs, const char *owner, const char *after,
	unsigned limit, store_contact_visitor visit, void *context)
{
	struct pair *page;
	size_t count;
	int r;

	if (limit == 0)
		return 0;
	if (limit > STORE_LIST_MAX)
		limit = STORE_LIST_MAX;
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	page = pairs_page(pairs, owner, after, limit, &count);
	r = fake_operation_end(client, 0);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct store_contact item = {.user_id = page[i].other, .at_ms = page[i].at_ms};

		if (!visit(&item, context))
			break;
	}
	free(page);
	return r;
}

static int find(struct store_client *client, const struct pairs *pairs, const char *owner, const char *other)
{
	int r;

	if (!user_id_valid(owner) || !user_id_valid(other))
		return refused(client);
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	return fake_operation_end(client, pairs_have(pairs, owner, other) ? 0 : STORE_E_NOT_FOUND);
}

/* ---- cashew_store.h ---- */

int contact_request_add(struct store_client *client, const char *from, const char *to)
{
	int r;

	if (!user_id_valid(from) || !user_id_valid(to))
		return refused(client);
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	pairs_add(&client->store->requests, to, from);
	return fake_operation_end(client, 0);
}

int contact_request_find(struct store_client *client, const char *from, const char *to)
{
	return find(client, &client->store->requests, to, from);
}

int contact_request_remove(struct store_client *client, const char *from, const char *to)
{
	int r;

	if (!user_id_valid(from) || !user_id_valid(to))
		return refused(client);
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	pairs_remove(&client->store->requests, to, from);
	return fake_operation_end(client, 0);
}

int contact_request_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	return list(client, &client->store->requests, user, after, limit, visit, context);
}

int contact_add(struct store_client *client, const char *a, const char *b)
{
	int r;

	if (!user_id_valid(a) || !user_id_valid(b))
		return refused(client);
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	pairs_add(&client->store->contacts, a, b);
	pairs_add(&client->store->contacts, b, a);
	return fake_operation_end(client, 0);
}

int contact_find(struct store_client *client, const char *user, const char *contact)
{
	return find(client, &client->store->contacts, user, contact);
}

int contact_remove(struct store_client *client, const char *a, const char *b)
{
	int r;

	if (!user_id_valid(a) || !user_id_valid(b))
		return refused(client);
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	pairs_remove(&client->store->contacts, a, b);
	pairs_remove(&client->store->contacts, b, a);
	return fake_operation_end(client, 0);
}

int contact_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	return list(client, &client->store->contacts, user, after, limit, visit, context);
}

int apple_list(struct store_client *client, unsigned limit, store_apple_visitor visit, void *context)
{
	static const char *const colours[] = {"orange", "pink", "white"};
	size_t count;
	int r;

	if (limit == 0)
		return 0;
	r = fake_operation_begin(client);
	if (r != 0)
		return r;
	count = client->store->apples ? sizeof(colours) / sizeof(colours[0]) : 0;
	r = fake_operation_end(client, 0);
	for (size_t i = 0; r == 0 && i < count && i < limit; i++)
		if (!visit(colours[i], context))
			break;
	return r;
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

struct store *fake_store_new(void)
{
	char message[STORE_MESSAGE_SIZE];
	const struct store_options options = {.url = "", .database = ""};
	struct store *store;

	if (store_open(&options, &store, message) != 0)
		abort();
	store->apples = true;
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
	free(store->contacts.items);
	free(store->requests.items);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

int store_prepare(struct store_client *client)
{
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	client->store->apples = true;
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

static bool has(struct store *store, const struct pairs *pairs, const char *owner, const char *other)
{
	bool found;

	pthread_mutex_lock(&store->lock);
	found = pairs_have(pairs, owner, other);
	pthread_mutex_unlock(&store->lock);
	return found;
}

bool fake_store_has_contact(struct store *store, const char *user, const char *contact)
{
	return has(store, &store->contacts, user, contact);
}

bool fake_store_has_request(struct store *store, const char *from, const char *to)
{
	return has(store, &store->requests, to, from);
}

void fake_store_forget_contact(struct store *store, const char *user, const char *contact)
{
	pthread_mutex_lock(&store->lock);
	pairs_remove(&store->contacts, user, contact);
	pthread_mutex_unlock(&store->lock);
}

static size_t count_of(struct store *store, const size_t *count)
{
	size_t copy;

	pthread_mutex_lock(&store->lock);
	copy = *count;
	pthread_mutex_unlock(&store->lock);
	return copy;
}

size_t fake_store_contacts(struct store *store)
{
	return count_of(store, &store->contacts.count);
}

size_t fake_store_requests(struct store *store)
{
	return count_of(store, &store->requests.count);
}

void fake_store_dump(struct store *store, FILE *out)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->contacts.count; i++)
		fprintf(out, "contacts %s/%s\n", store->contacts.items[i].owner,
			store->contacts.items[i].other);
	for (size_t i = 0; i < store->requests.count; i++)
		fprintf(out, "contact_requests %s/%s\n", store->requests.items[i].owner,
			store->requests.items[i].other);
	fake_letters_dump(store, out);
	fake_parked_dump(store, out);
	pthread_mutex_unlock(&store->lock);
}
