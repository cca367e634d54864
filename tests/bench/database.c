/*
 * database - the database's part of the benchmark.
 *
 *	database prepare URL NAME USERS CONTACTS
 *		a fresh database NAME: indexes, and for each of the users b0, b1 .. so many contacts and so many requests
 *	database run URL NAME MODE THREADS SECONDS RUN
 *		the database alone: the store operations of request_contact or get_contact_list from so many threads, without broker
 *		or host; one line of JSON
 *	database queries URL NAME USERS
 *		the median time of each of the store's operations, one at a time; one line of JSON
 *	database effects URL NAME LIST
 *		what the handler append has left of the list: lines of USER WHEN NUMBER
 *
 * Failure: a message on standard error and exit code 1; 2 for bad arguments.
 */
#include "contact_documents.h"
#include "contacts_plain.h"
#include "histogram.h"
#include "store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 512, DEVICES = 200, ROUNDS = 400, BULK = 10000 };

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "database: %s: %s\n", what, why);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static struct store *open_store(const char *url, const char *name)
{
	const struct store_options options = {
		.url = url, .database = name, .app_name = "bench", .pool_size = 1};
	char message[STORE_MESSAGE_SIZE];
	struct store *store;

	if (store_open(&options, &store, message) != 0)
		die("open", message);
	return store;
}

/* ---- prepare ---- */

static void insert_bulk(mongoc_bulk_operation_t *bulk)
{
	bson_error_t error;
	bson_t reply;

	if (mongoc_bulk_operation_execute(bulk, &reply, &error) == 0)
		die("insert", error.message);
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(bulk);
}

/* {_id: "<owner>/<other>", user_id: owner, OTHER: other, SINCE: date} for `count` others of each owner. */
static void insert_pairs(mongoc_collection_t *collection, const char *other_name, const char *since_name,
	const char *prefix, unsigned owners, unsigned count)
{
	mongoc_bulk_operation_t *bulk = NULL;
	const uint64_t all = (uint64_t)owners * count;

	for (uint64_t at = 0; at < all; at++) {
		const unsigned owner = (unsigned)(at / count), other = (unsigned)(at % count);
		char user[16], contact[16], id[40];
		if (!bulk)
			bulk = mongoc_collection_create_bulk_operation_with_opts(collection, NULL);
		(void)snprintf(user, sizeof(user), "b%u", owner);
		(void)snprintf(contact, sizeof(contact), "%s%05u", prefix, other);
		(void)snprintf(id, sizeof(id), "%s/%s", user, contact);
		bson_t *const document = BCON_NEW("_id", BCON_UTF8(id), "user_id", BCON_UTF8(user),
			other_name, BCON_UTF8(contact), since_name, BCON_DATE_TIME(1700000000000LL + other));
		mongoc_bulk_operation_insert(bulk, document);
		bson_destroy(document);
		if (at % BULK == BULK - 1 || at + 1 == all) {
			insert_bulk(bulk);
			bulk = NULL;
		}
	}
}

static void drop_database(struct contacts *contacts, const char *name)
{
	mongoc_database_t *const database = mongoc_client_get_database(contacts->client, name);
	bson_error_t error;

	if (!mongoc_database_drop(database, &error))
		die("drop", error.message);
	mongoc_database_destroy(database);
}

static int drop(const char *url, const char *name)
{
	struct contacts contacts;

	contacts_open(&contacts, contacts_pool(url, 1), name);
	drop_database(&contacts, name);
	return 0;
}

static int prepare(const char *url, const char *name, unsigned users, unsigned contacts_each)
{
	mongoc_client_pool_t *const pool = contacts_pool(url, 1);
	struct store *const store = open_store(url, name);
	struct contacts contacts;

	contacts_open(&contacts, pool, name);
	drop_database(&contacts, name);
	struct store_client *const client = store_acquire(store);
	if (contact_documents_want_indexes(store) != 0 || store_prepare(client) != 0 ||
		apples_add(client) != 0)
		die("prepare", store_last_error(client));
	store_release(client);
	insert_pairs(contacts.contacts, "contact_id", "since", "p", users, contacts_each);
	insert_pairs(contacts.requests, "from", "requested_at", "q", users, contacts_each);
	store_close(store);
	return 0;
}

/* ---- run ---- */

struct job {
	mongoc_client_pool_t *pool;
	const char *database, *run;
	bool list; /* get_contact_list, else request_contact */
	unsigned index;
	uint64_t measure_from, stop;
	struct histogram latency;
};

static void *job_run(void *context)
{
	struct job *const job = context;
	char text[CONTACTS_TEXT_SIZE], from[16], to[48];
	struct contacts contacts;
	unsigned round = 0;

	contacts_open(&contacts, job->pool, job->database);
	for (;;) {
		const uint64_t begin = now_ns();
		if (begin >= job->stop)
			return NULL;
		(void)snprintf(from, sizeof(from), "b%u", (job->index * 31 + round) % DEVICES);
		(void)snprintf(to, sizeof(to), "c%s-%u-%u", job->run, job->index, round++);
		if (job->list)
			(void)contacts_page(&contacts, from, text);
		else
			contacts_request(&contacts, from, to);
		if (begin >= job->measure_from)
			histogram_add(&job->latency, now_ns() - begin);
	}
}

static void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned at = 0; at < HISTOGRAM_BUCKETS; at++)
		into->buckets[at] += from->buckets[at];
	into->count += from->count;
	into->max = from->max > into->max ? from->max : into->max;
}

static int run(char **arguments)
{
	const char *const mode = arguments[2];
	const unsigned threads = (unsigned)atoi(arguments[3]);
	const double seconds = atof(arguments[4]);
	static struct histogram all;
	pthread_t handles[THREADS_MAX];

	if (threads < 1 || threads > THREADS_MAX || !(seconds > 0))
		die("run", "expected 1 to 512 threads and a time in seconds");
	struct job *const jobs = calloc(threads, sizeof(*jobs));
	if (!jobs)
		die("run", "out of memory");
	mongoc_client_pool_t *const pool = contacts_pool(arguments[0], threads);
	const uint64_t begin = now_ns() + 500000000; /* half a second to connect */
	for (unsigned at = 0; at < threads; at++) {
		jobs[at] = (struct job){.pool = pool,
			.database = arguments[1],
			.run = arguments[5],
			.list = strcmp(mode, "get_contact_list") == 0,
			.index = at,
			.measure_from = begin,
			.stop = begin + (uint64_t)(seconds * 1e9)};
		if (pthread_create(&handles[at], NULL, job_run, &jobs[at]) != 0)
			die("run", "cannot start a thread");
	}
	for (unsigned at = 0; at < threads; at++) {
		(void)pthread_join(handles[at], NULL);
		histogram_merge(&all, &jobs[at].latency);
	}
	free(jobs);
	struct timespec cpu;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("{\"mode\":\"%s\",\"seconds\":%.3f,\"commands\":%llu,\"per_second\":%.1f,\"p50_ms\":%.3f,"
	       "\"p99_ms\":%.3f,"
	       "\"max_ms\":%.3f,\"lost\":0,\"extra\":0,\"load_cpu_s\":%.3f,\"cpu_s\":{}}\n",
		mode, seconds, (unsigned long long)all.count, (double)all.count / seconds,
		(double)histogram_quantile(&all, 0.5) / 1e6, (double)histogram_quantile(&all, 0.99) / 1e6,
		(double)all.max / 1e6, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	return 0;
}

/* ---- queries ---- */

static bool skip_contact(const struct store_contact *item, void *count)
{
	(void)item;
	(*(unsigned *)count)++;
	return true;
}

static bool skip_apple(const char *colour, void *count)
{
	(void)colour;
	(*(unsigned *)count)++;
	return true;
}

/* One operation of the store; `round` chooses documents. Returns what the store returned. */
typedef int (*operation)(struct store_client *client, const char *user, unsigned round, unsigned *ret_items);

static int op_contact_find(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char contact[16];

	(void)ret_items;
	(void)snprintf(contact, sizeof(contact), "p%05u", round % 100);
	return contact_find(client, user, contact);
}

static int op_contact_list(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	(void)round;
	return contact_list(client, user, NULL, 100, skip_contact, ret_items);
}

static int op_contact_list_after(
	struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	(void)round;
	return contact_list(client, user, "p00049", 100, skip_contact, ret_items);
}

static int op_request_find(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char from[16];

	(void)ret_items;
	(void)snprintf(from, sizeof(from), "q%05u", round % 100);
	return contact_request_find(client, from, user);
}

static int op_request_list(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	(void)round;
	return contact_request_list(client, user, NULL, 100, skip_contact, ret_items);
}

static int op_request_add(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char from[16];

	(void)ret_items;
	(void)snprintf(from, sizeof(from), "new%u", round);
	return contact_request_add(client, from, user);
}

static int op_request_remove(
	struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char from[16];

	(void)ret_items;
	(void)snprintf(from, sizeof(from), "new%u", round);
	return contact_request_remove(client, from, user);
}

static int op_contact_add(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char contact[16];

	(void)ret_items;
	(void)snprintf(contact, sizeof(contact), "new%u", round);
	return contact_add(client, user, contact);
}

static int op_contact_remove(
	struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	char contact[16];

	(void)ret_items;
	(void)snprintf(contact, sizeof(contact), "new%u", round);
	return contact_remove(client, user, contact);
}

static int op_apple_list(struct store_client *client, const char *user, unsigned round, unsigned *ret_items)
{
	(void)user, (void)round;
	return apple_list(client, 3, skip_apple, ret_items);
}

static const struct {
	const char *name;
	operation run;
	unsigned items; /* visited by each call */
} operations[] = {
	{"contact_find", op_contact_find, 0},
	{"contact_list of 100", op_contact_list, 100},
	{"contact_list of 50 behind 50", op_contact_list_after, 50},
	{"contact_request_find", op_request_find, 0},
	{"contact_request_list of 100", op_request_list, 100},
	{"contact_request_add", op_request_add, 0},
	{"contact_request_remove", op_request_remove, 0},
	{"contact_add", op_contact_add, 0},
	{"contact_remove", op_contact_remove, 0},
	{"apple_list", op_apple_list, 3},
};

static int queries(const char *url, const char *name, unsigned users)
{
	struct store *const store = open_store(url, name);
	struct store_client *const client = store_acquire(store);
	static struct histogram latency;

	printf("{");
	for (size_t at = 0; at < sizeof(operations) / sizeof(operations[0]); at++) {
		latency = (struct histogram){0};
		for (unsigned round = 0; round < ROUNDS; round++) {
			unsigned items = 0;
			char user[16];
			(void)snprintf(user, sizeof(user), "b%u", (round * 37) % users);
			const uint64_t begin = now_ns();
			const int error = operations[at].run(client, user, round, &items);
			if (error != 0)
				die(operations[at].name,
					error == STORE_E_NOT_FOUND ? "not found" : store_last_error(client));
			if (items != operations[at].items)
				die(operations[at].name,
					"visited another number of documents than there should be");
			histogram_add(&latency, now_ns() - begin);
		}
		printf("%s\"%s\":%.4f", at > 0 ? "," : "", operations[at].name,
			(double)histogram_quantile(&latency, 0.5) / 1e6);
	}
	printf("}\n");
	store_release(client);
	store_close(store);
	return 0;
}

/* ---- effects ---- */

static int effects(const char *url, const char *name, const char *list)
{
	mongoc_client_t *const client = mongoc_client_new(url);
	bson_error_t error = {0};
	char from[128], to[128];

	if (!client)
		die("effects", "the connection string is bad");
	(void)snprintf(from, sizeof(from), "%s/", list);
	(void)snprintf(to, sizeof(to), "%s0", list); /* the character behind the slash */
	bson_t *const filter = BCON_NEW("_id", "{", "$gte", BCON_UTF8(from), "$lt", BCON_UTF8(to), "}");
	mongoc_collection_t *const collection = mongoc_client_get_collection(client, name, "bench_effects");
	mongoc_cursor_t *const cursor = mongoc_collection_find_with_opts(collection, filter, NULL, NULL);

	for (const bson_t *effect; mongoc_cursor_next(cursor, &effect);) {
		bson_iter_t id, number;
		if (!bson_iter_init_find(&id, effect, "_id") || !bson_iter_init_find(&number, effect, "n"))
			die("effects", "a document without _id or n");
		const char *const user = strchr(bson_iter_utf8(&id, NULL), '/') + 1;
		const char *const when = strrchr(user, '/');
		printf("%.*s %s %lld\n", (int)(when - user), user, when + 1,
			(long long)bson_iter_as_int64(&number));
	}
	if (mongoc_cursor_error(cursor, &error))
		die("effects", error.message);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	bson_destroy(filter);
	mongoc_client_destroy(client);
	return 0;
}

int main(int argc, char **argv)
{
	const char *const what = argc > 1 ? argv[1] : "";
	int result = 2;

	mongoc_init();
	if (strcmp(what, "prepare") == 0 && argc == 6)
		result = prepare(argv[2], argv[3], (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]));
	else if (strcmp(what, "run") == 0 && argc == 8)
		result = run(argv + 2);
	else if (strcmp(what, "drop") == 0 && argc == 4)
		result = drop(argv[2], argv[3]);
	else if (strcmp(what, "queries") == 0 && argc == 5 && atoi(argv[4]) > 0)
		result = queries(argv[2], argv[3], (unsigned)atoi(argv[4]));
	else if (strcmp(what, "effects") == 0 && argc == 5)
		result = effects(argv[2], argv[3], argv[4]);
	else
		(void)fprintf(stderr, "usage: bench-database prepare URL NAME USERS CONTACTS | drop URL NAME "
				      "| run URL NAME MODE "
				      "THREADS SECONDS RUN |\n"
				      "                queries URL NAME USERS | effects URL NAME LIST\n");
	mongoc_cleanup();
	return result;
}
