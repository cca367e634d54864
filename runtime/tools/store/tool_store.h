/*
 * tool_store.h - the database as a tool of cashewd's uses it: by itself, with one connection, and with people reading what went wrong.
 *
 * Happy path: tool_store_settings(), tool_store_open(), the tool's work, tool_store_close(). Failure: each function says on standard error what it was,
 * without a secret in it, and returns the exit code. Main thread.
 */
#ifndef TOOL_STORE_H
#define TOOL_STORE_H

#include "settings.h"
#include "store.h"
#include <stdbool.h>

/* All zeros before anything is done: tool_store_close() is fine from there on. */
struct tool_store {
	struct settings settings;
	struct store *store;
	struct store_client *client;
};

/*
 * Reads those settings whose names are given, ended by NULL: MONGO_DB_URL and MONGO_DB_NAME, and what the tool needs besides. must_exist: it is a problem
 * where env_file is missing. What is secret of them is from then on hidden by log_secret_hide(). 0 or an exit code.
 */
__attribute__((warn_unused_result)) int tool_store_settings(
	struct tool_store *tool, const char *env_file, bool must_exist, const char *const *names);

/* Opens the store and takes its client. app_name: how the server's log calls it. 0 or an exit code. */
__attribute__((warn_unused_result)) int tool_store_open(struct tool_store *tool, const char *app_name);

/* After a function of the client's that failed: says what the store says of it. Returns EXIT_UNAVAILABLE. */
int tool_store_failed(const struct tool_store *tool);

/* Gives the client back, closes the store and frees the settings. */
void tool_store_close(struct tool_store *tool);

#endif
