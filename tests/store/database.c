/* database.c - see database.h. */
#include "database.h"
#include "port.h"
#include <errno.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where the server has to be installed first, it may take that long. */
enum { START_TIMEOUT_S = 150, STOP_TIMEOUT_MS = 20000 };

__attribute__((format(printf, 2, 3), noreturn)) static void give_up(
	const struct database *database, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (see run.log and log in %s)\n", database->folder);
	abort();
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void database_restart(struct database *database)
{
	char port[16], env[128], log[128];
	const char *const argv[] = {SOURCE_DIR "/examples/database/run", "--kind", "own", "--state",
		database->folder, "--port", port, "--test-commands", NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = database->folder,
		.output = log,
		.death_signal = SIGKILL};
	const time_t until = seconds() + START_TIMEOUT_S;

	snprintf(port, sizeof(port), "%d", database->port);
	snprintf(env, sizeof(env), "%s/env", database->folder);
	snprintf(log, sizeof(log), "%s/run.log", database->folder);
	unlink(env);
	if (process_start(&database->process, &options) != 0)
		give_up(database, "the database's script could not be started");
	/* Each round waits for the end of the process, and looks for the file that says it is ready. */
	while (access(env, F_OK) < 0)
		if (process_reap(&database->process, 10) || seconds() > until)
			give_up(database, "the database did not start");
}

void database_start(struct database *database, bool own)
{
	const char *given = getenv("MONGO_DB_URL");

	*database = (struct database){.port = -1};
	if (given && given[0] != '\0' && !own) {
		database->url = strdup(given);
		return;
	}
	strcpy(database->folder, "/tmp/cashew-store-XXXXXX");
	if (!mkdtemp(database->folder))
		give_up(database, "no folder for the database: %s", strerror(errno));
	database->port = port_reserve();
	if (database->port < 0)
		give_up(database, "no port for the database: %s", strerror(-database->port));
	if (asprintf(&database->url, "mongodb://127.0.0.1:%d", database->port) < 0)
		abort();
	database_restart(database);
}

void database_signal(struct database *database, int signal)
{
	int status;

	process_signal(&database->process, signal);
	/* The signal stops one of its threads after the other. */
	if (signal == SIGSTOP && waitpid(database->process.pid, &status, WUNTRACED) != database->process.pid)
		give_up(database, "the database does not stop: %s", strerror(errno));
	if (signal == SIGKILL && !process_reap(&database->process, STOP_TIMEOUT_MS))
		give_up(database, "the database does not die");
}

const char *database_name(const struct database *database)
{
	static char name[64];

	snprintf(name, sizeof(name), "cashew_test_%d_%u", (int)getpid(), database->names);
	return name;
}

struct store *database_open(struct database *database, const struct store_options *options)
{
	struct store_options with_name = options ? *options : (struct store_options){.pool_size = 8};
	char message[STORE_MESSAGE_SIZE];
	struct store *store;

	database->names++;
	if (!with_name.url)
		with_name.url = database->url;
	if (!with_name.app_name)
		with_name.app_name = "cashew test";
	with_name.database = database_name(database);
	if (store_open(&with_name, &store, message) != 0)
		give_up(database, "the store does not open: %s", message);
	return store;
}

char *database_url_with(const struct database *database, const char *option)
{
	/* mongodb://hosts, mongodb://hosts/database, mongodb://hosts/?options */
	const char *hosts = strstr(database->url, "://") + 3;
	const char *joint = strchr(hosts, '?') ? "&" : strchr(hosts, '/') ? "?" : "/?";
	char *url;

	if (asprintf(&url, "%s%s%s", database->url, joint, option) < 0)
		abort();
	return url;
}

/* A server of our own goes with its folder; another one is left as it was found. */
static void drop_databases(struct database *database)
{
	mongoc_client_t *client = mongoc_client_new(database->url);

	for (; database->names > 0; database->names--) {
		mongoc_database_t *handle = mongoc_client_get_database(client, database_name(database));
		bson_error_t error;

		if (!mongoc_database_drop(handle, &error))
			fprintf(stderr, "%s was not dropped: %s\n", database_name(database), error.message);
		mongoc_database_destroy(handle);
	}
	mongoc_client_destroy(client);
}

void database_stop(struct database *database)
{
	char *command;

	if (database->port < 0) {
		drop_databases(database);
	} else {
		database_signal(database, SIGKILL);
		if (asprintf(&command, "rm -rf -- '%s'", database->folder) < 0 || system(command) != 0)
			abort();
		free(command);
	}
	free(database->url);
}
