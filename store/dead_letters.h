/*
 * dead_letters.h - commands that were given up, kept for people to look at: to be read, dropped, or replayed (replays.h).
 *
 * Happy path: dead_letter_add() when a command is given up; dead_letter_list() or dead_letter_get() to read, dead_letter_drop() to remove. All can
 * be repeated. What a function says is one of the store's errors (cashew_store.h); store_last_error() has the words.
 */
#ifndef DEAD_LETTERS_H
#define DEAD_LETTERS_H

#include "store.h"

/* A command that was given up. */
struct dead_letter {
	struct store_id id; /* made by store_new_id(): the same letter is never stored twice */
	const char *topic;
	const void *payload; /* raw; stored as BSON binary */
	size_t payload_size;
	size_t payload_cut_from; /* its true size where `payload` is not all of it; 0: it is */
	const void *correlation; /* NULL: none */
	size_t correlation_size;
	const char *response_topic; /* NULL: none */
	const char *user;	    /* "" where the topic holds no valid one */
	const char *handler;	    /* "" where no handler wants the topic */
	const char *reason;
	unsigned attempts; /* how often a handler was run */
	unsigned crashes;
	const char *host;   /* who gave it up: the client id */
	unsigned keep_days; /* after which the database removes it; 0: never */
	/* of a letter that is read */
	int64_t when_ms;    /* Unix time */
	int64_t expires_ms; /* 0: never */
};

/* Inserts into dead_letters; 0 also when that id is already there. `when` is the time of the call. A payload
 * that fits into no document is cut. */
STORE_USE_RESULT int dead_letter_add(struct store_client *client, const struct dead_letter *letter);

/* Which letters, and in what order. Zeroes: all, the newest first. */
struct dead_letter_query {
	const char *handler; /* "": those that no handler wanted; NULL: any */
	const char *user;    /* likewise */
	int64_t since_ms;    /* given up at that time or later */
	int64_t until_ms;    /* or earlier; 0: any time */
	/* of a list */
	bool oldest_first;
	bool no_payload; /* payload, correlation and response topic are not read */
	unsigned limit;	 /* 0: none */
};

/* Called once per letter, in order; it lives until the call returns. Returns false to stop early. */
typedef bool (*dead_letter_visitor)(const struct dead_letter *letter, void *context);

/* What was visited before a failure stays visited. */
STORE_USE_RESULT int dead_letter_list(struct store_client *client, const struct dead_letter_query *query,
	dead_letter_visitor visit, void *context);

/* How many the query finds, whatever its limit. 0 or a store error. */
STORE_USE_RESULT int dead_letter_count(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count);

/* STORE_E_NOT_FOUND where there is none. *ret_letter is freed by dead_letter_free(). */
STORE_USE_RESULT int dead_letter_get(
	struct store_client *client, const struct store_id *id, struct dead_letter **ret_letter);
void dead_letter_free(struct dead_letter *letter);

/* Removes one; STORE_E_NOT_FOUND where there is none. */
STORE_USE_RESULT int dead_letter_drop(struct store_client *client, const struct store_id *id);

/* Removes all that are asked for, whatever the limit. */
STORE_USE_RESULT int dead_letter_drop_all(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count);

#endif
