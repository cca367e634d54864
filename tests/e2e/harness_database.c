/* harness_database.c - the database of a case, run by examples/database/run, and a client to look into it.
 * See harness.h. */
#include "harness_private.h"
#include "panic.h"
#include "port.h"
#include <errno.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct database {
	struct harness *harness; /* of the case that owns it; NULL: the program's */
	struct harness_process process;
	struct harness_part part;
	char *state, *env, *log, *url;
	int port;
	mongoc_client_t *client;
};

static struct database *shared;

/* ---- Starting and stopping ---- */

static void database_init(struct database *database, const char *state)
{
	database->port = port_reserve();
	if (database->port < 0)
		harness_fail("no port for the database: %s", strerror(-database->port));
	if (asprintf(&database->state, "%s", state) < 0 || asprintf(&database->env, "%s/env", state) < 0 ||
		asprintf(&database->log, "%s/run.log", state) < 0 ||
		asprintf(&database->url, "mongodb://127.0.0.1:%d", database->port) < 0)
		abort();
	if (mkdir(database->state, 0700) != 0)
		harness_fail("%s could not be made: %s", database->state, strerror(errno));
	database->process.name = "the database";
}

static void database_spawn(struct database *database)
{
	char *port;
	if (asprintf(&port, "%d", database->port) < 0)
		abort();
	const char *const argv[] = {SOURCE_DIR "/examples/database/run", "--kind", "own", "--state",
		database->state, "--port", port, NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = database->state,
		.output = database->log,
		.death_signal = SIGKILL};
	/* What an earlier start has said would pass for this one's word. */
	unlink(database->env);
	if (process_start(&database->process.process, &options) != 0)
		harness_fail("the database's script could not be started");
	free(port);
}

static bool database_answers(void *context)
{
	const struct database *database = context;
	return access(database->env, R_OK) == 0;
}

static void database_end(struct database *database)
{
	database->process.process.awaited = true;
	process_signal(&database->process.process, SIGKILL);
	process_reap(&database->process.process, HARNESS_TIMEOUT_MS);
	mongoc_client_destroy(database->client);
	free(database->state);
	free(database->env);
	free(database->log);
	free(database->url);
}

void database_end_shared(void)
{
	if (!shared)
		return;
	database_end(shared);
	free(shared);
	shared = NULL;
}

struct database *harness_database(struct harness *h)
{
	if (h->database)
		return h->database;
	if (!shared) {
		struct database *database = panic_if_null(calloc(1, sizeof(*database)));
		database_init(database, harness_format(h, "%s/database", harness_group_folder));
		shared = database;
		harness_watch_folder(h, database->state);
		database_spawn(database);
		/* Not noticed as a part of this case: it outlives it. */
		if (!harness_wait_for(h, database_answers, database, HARNESS_TIMEOUT_MS)) {
			harness_print_tail(database->log);
			harness_fail("the database did not start");
		}
	}
	h->database = shared;
	return shared;
}

static void free_own(void *self)
{
	database_end(self);
}

struct database *harness_own_database_stopped(struct harness *h)
{
	if (h->own_database)
		return h->own_database;
	struct database *database = harness_alloc(h, sizeof(*database));
	database_init(database, harness_path(h, "database"));
	database->harness = h;
	database->part = (struct harness_part){.self = database, .free = free_own};
	harness_add(h, &database->part);
	harness_add_process(h, &database->process);
	harness_watch_folder(h, database->state);
	h->database = h->own_database = database;
	return database;
}

struct database *harness_own_database(struct harness *h)
{
	const bool is_new = !h->own_database;
	struct database *database = harness_own_database_stopped(h);
	if (is_new)
		database_start(database);
	return database;
}

const char *database_url(const struct database *database)
{
	return database->url;
}

/* The program's database is there for other cases too. */
static struct harness *database_owner(const struct database *database)
{
	if (!database->harness)
		harness_fail("a test that stops the database takes harness_own_database()");
	return database->harness;
}

void database_start(struct database *database)
{
	struct harness *h = database_owner(database);
	database_spawn(database);
	harness_wait(h, database_answers, database, "the database to answer");
}

static void database_signal_and_wait(struct database *database, int signal)
{
	(void)database_owner(database);
	database->process.process.awaited = true;
	process_signal(&database->process.process, signal);
	if (!process_reap(&database->process.process, HARNESS_TIMEOUT_MS))
		harness_fail("the database did not end after signal %d", signal);
	unlink(database->env);
}

void database_stop(struct database *database)
{
	database_signal_and_wait(database, SIGTERM);
}

void database_kill(struct database *database)
{
	database_signal_and_wait(database, SIGKILL);
}

void database_pause(struct database *database)
{
	(void)database_owner(database);
	process_signal(&database->process.process, SIGSTOP);
}

void database_resume(struct database *database)
{
	process_signal(&database->process.process, SIGCONT);
}

bool database_running(struct database *database)
{
	return !process_reap(&database->process.process, 0);
}

void database_may_end(struct database *database)
{
	database->process.process.awaited = true;
}

const char *database_folder(const struct database *database)
{
	return database->state;
}

/* ---- Looking into it ---- */

const char *harness_database_name(struct harness *h)
{
	return h->database_name;
}

static mongoc_client_t *database_client(struct database *database)
{
	if (!database->client) {
		char *url;
		if (asprintf(&url, "%s/?serverSelectionTimeoutMS=30000&socketTimeoutMS=30000",
			    database->url) < 0)
			abort();
		database->client = panic_if_null(mongoc_client_new(url));
		free(url);
	}
	return database->client;
}

static bson_t *parse(const char *json)
{
	bson_error_t error;
	bson_t *bson = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (!bson)
		harness_fail("%s is not Extended JSON: %s", json, error.message);
	return bson;
}

/* Calls visit, which may be NULL, with each of the documents; their number. */
static size_t find(struct harness *h, struct database *database, const char *collection, const char *filter,
	const char *options, void (*visit)(void *context, const bson_t *document), void *context)
{
	mongoc_collection_t *found =
		mongoc_client_get_collection(database_client(database), h->database_name, collection);
	bson_t *query = parse(filter), *how = parse(options);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(found, query, how, NULL);
	const bson_t *document;
	bson_error_t error;
	size_t count = 0;
	for (; mongoc_cursor_next(cursor, &document); count++)
		if (visit)
			visit(context, document);
	const bool failed = mongoc_cursor_error(cursor, &error);
	mongoc_cursor_destroy(cursor);
	bson_destroy(query);
	bson_destroy(how);
	mongoc_collection_destroy(found);
	if (failed)
		harness_fail("find in %s: %s", collection, error.message);
	return count;
}

static void append_document(void *context, const bson_t *document)
{
	char *text = bson_as_relaxed_extended_json(document, NULL);
	json_array_append_new(context, json_loads(text, 0, NULL));
	bson_free(text);
}

json_t *database_find(
	struct harness *h, struct database *database, const char *collection, const char *filter)
{
	json_t *documents = json_array();
	(void)find(h, database, collection, filter, "{\"sort\":{\"_id\":1}}", append_document, documents);
	return documents;
}

bool database_has(struct harness *h, struct database *database, const char *collection, const char *filter)
{
	return find(h, database, collection, filter, "{\"projection\":{\"_id\":1},\"limit\":1}", NULL, NULL) >
	       0;
}

size_t database_count(
	struct harness *h, struct database *database, const char *collection, const char *filter)
{
	return find(h, database, collection, filter, "{\"projection\":{\"_id\":1}}", NULL, NULL);
}

void database_wait_count_at(const char *file, int line, struct harness *h, struct database *database,
	const char *collection, const char *filter, size_t count)
{
	/* The server tells nobody when a document comes, so it is asked again and again. */
	const int64_t end = harness_now_ms() + HARNESS_TIMEOUT_MS;
	size_t found;
	while ((found = database_count(h, database, collection, filter)) != count) {
		if (harness_now_ms() > end)
			harness_fail_at(file, line, "waited for %zu documents %s in %s; there are %zu", count,
				filter, collection, found);
		harness_watch(h, 20);
	}
}

static bool run_command(
	struct harness *h, struct database *database, const char *command, bson_error_t *ret_error)
{
	bson_t *bson = parse(command), reply;
	const bool succeeded = mongoc_client_command_simple(
		database_client(database), h->database_name, bson, NULL, &reply, ret_error);
	bson_iter_t errors;
	const bool refused = succeeded && bson_iter_init_find(&errors, &reply, "writeErrors");
	if (refused)
		snprintf(ret_error->message, sizeof(ret_error->message), "writeErrors");
	bson_destroy(bson);
	bson_destroy(&reply);
	return succeeded && !refused;
}

void database_command(struct harness *h, struct database *database, const char *command)
{
	bson_error_t error;
	if (!run_command(h, database, command, &error))
		harness_fail("the database answers to %s: %s", command, error.message);
}

bool database_try_command(struct harness *h, struct database *database, const char *command)
{
	bson_error_t error;
	return run_command(h, database, command, &error);
}
