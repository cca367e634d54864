/*
 * documents.h - documents of handlers' collections, for one run of one handler: what cashew_find(), cashew_put() and the others do.
 *
 * Happy path: documents_begin(), then any of the others, and documents_end(). Reads and counted changes go to the store at once; what is added,
 * put and removed waits, as long as it is of one collection, and goes out as one ordered write before the next read, by documents_flush() at last.
 * The functions are the same on the real store and the stand-in: both are store_documents.h.
 *
 * A document is {_id: "its/keys", its members, _v: how often it was written, _once: the notes of commands that were counted}. Those that are there
 * need neither _v nor _once. A struct is made from a document (documents_bson.h) and lives until documents_end().
 *
 * Failure: a store error (cashew_store.h), -ENOMEM or one of enum documents_error, with d->reason in words where it is one of these; the caller
 * calls nothing more than documents_end() then. One thread at a time.
 */
#ifndef DOCUMENTS_H
#define DOCUMENTS_H

#include "arena.h"
#include "cashew.h"
#include "store.h"

enum documents_error {
	DOCUMENTS_E_MISTAKE =
		100,	     /* the handler's source or its values: it will not do better the next time */
	DOCUMENTS_E_STORED,  /* a document is not as it is declared */
	DOCUMENTS_E_CHANGED, /* somebody changed what this run has read: run again */
	DOCUMENTS_E_TOKEN,   /* "after" is not what a page has given */
};

enum { DOCUMENTS_LIST_MAX = 10000 };

struct documents_read;
struct documents_json;
struct documents_noted;
struct store_statement;

struct documents {
	/* set by documents_begin() */
	struct arena *memory;
	const char *note; /* "handler/user/command id"; NULL: the command has none of its sender's */
	unsigned notes_max;
	/* set by the caller before the others: who waits for the database */
	struct store_client *client;
	/* set on failure, in the memory */
	const char *reason;
	/* private */
	struct documents_read *reads;
	struct documents_json *jsons;
	struct documents_noted *noted;
	const char *waiting_collection; /* NULL: nothing waits */
	struct store_statement *waiting, **waiting_end;
	size_t waiting_size, waiting_count;
};

/* note outlives the run. notes_max: how many notes a document keeps. */
void documents_begin(struct documents *d, struct arena *memory, const char *note, unsigned notes_max);

/* Frees what was read. What waits is dropped. */
void documents_end(struct documents *d);

/* Writes what waits. */
STORE_USE_RESULT int documents_flush(struct documents *d);

/* keys: the struct, of which only the keys are looked at. 0 and *ret: the document, or NULL where there is none. */
STORE_USE_RESULT int documents_find(
	struct documents *d, const struct cashew_collection *collection, const void *keys, const void **ret);

/* These wait. */
STORE_USE_RESULT int documents_add(
	struct documents *d, const struct cashew_collection *collection, const void *document);
STORE_USE_RESULT int documents_remove(
	struct documents *d, const struct cashew_collection *collection, const void *keys);

/* once: it is written once for each command, at once; else it waits. *ret: the document as it is then. */
STORE_USE_RESULT int documents_put(struct documents *d, const struct cashew_collection *collection,
	const void *document, bool once, const void **ret);

/* *ret: the document as it is then; NULL: a guard (if_) does not hold. */
STORE_USE_RESULT int documents_update(struct documents *d, const struct cashew_collection *collection,
	size_t count, const struct cashew_change *changes, const void **ret);

/* *ret: an array of *ret_count structs; NULL where there are none. */
STORE_USE_RESULT int documents_list(struct documents *d, const struct cashew_collection *collection,
	unsigned limit, size_t count, const struct cashew_change *changes, const void **ret,
	size_t *ret_count);

/*
 * The documents of a page, in the order of their keys, the first of which are given: behind the token `after` (NULL: from the first), limit + 1 at
 * most. Calls visit() with each; it answers whether it has taken it, and is asked no more after false. *ret_more: there are more behind those taken.
 */
struct documents_page {
	const struct cashew_collection *collection;
	size_t count;
	const struct cashew_change *changes;
	const char *after;
	unsigned limit;
	bool (*visit)(void *context, const void *document);
	void *context;
};
STORE_USE_RESULT int documents_page(struct documents *d, const struct documents_page *page, bool *ret_more);

/* What to pass as `after` for the page behind this document. NULL when out of memory. */
const char *documents_page_token(
	struct documents *d, const struct documents_page *page, const void *document);

#endif
