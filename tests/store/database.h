/*
 * database.h - a real database for a test: examples/database/run in a folder of the test's own, or
 * MONGO_DB_URL.
 *
 * Happy path: database_start(), database_url(), database_stop(). What goes wrong prints a line and ends the
 * test. Every database name a test asks for is new, and dropped by database_stop().
 */
#ifndef DATABASE_H
#define DATABASE_H

#include "process.h"
#include "store.h"

struct database {
	struct process process;
	char folder[64];
	char *url;
	int port;
	unsigned names;
};

/* With MONGO_DB_URL set, and `own` false, that server is used: so the suite can be run against any MongoDB. */
void database_start(struct database *database, bool own);

/* Starts the server again on its data and port, after its end; returns once it answers. */
void database_restart(struct database *database);

/* Sends a signal to the server itself; returns when it has stopped (SIGSTOP) or ended (SIGKILL). */
void database_signal(struct database *database, int signal);

void database_stop(struct database *database);

/* A store in a database with a new name, not prepared. options->url and options->database need not be set;
 * NULL: the defaults, and a pool of 8. */
struct store *database_open(struct database *database, const struct store_options *options);

/* The server's URL with one more option, to be freed. */
char *database_url_with(const struct database *database, const char *option);

/* The name that the last database_open() took. Lives until the next call. */
const char *database_name(const struct database *database);

#endif
