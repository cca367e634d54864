/*
 * fake_store.h - the stand-in store: the functions of store.h and the other headers of store/ over memory, linked in place
 * of store/, and what a test may ask and make of it.
 *
 * It passes the contract suite that the real store passes. A test tells it to fail, and looks at its
 * documents with the functions below. Any thread; each call is atomic.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "dead_letters.h"
#include "hosts.h"
#include "parked_commands.h"
#include "replays.h"
#include "store.h"
#include <stdio.h>

/* An empty store; taken down by store_close(). store_open() makes the same, whatever the URL. Never NULL: a test does not go on without memory. */
struct store *fake_store_new(void);

/* From now on store_open() asks this first, on its thread, and answers what it answers, unless that is 0. NULL: no longer. */
void fake_store_before_open(int (*before)(const char *url, char *message));

/* ---- failures ----
 * An operation is a call of a function of store/ that takes a client and answers a store error. */

/* The next `times` operations answer store_error, and nothing is done. */
void fake_store_fail_next(struct store *store, int store_error, unsigned times);

/* After `skip` operations that work, one answers store_error, and nothing is done. */
void fake_store_fail_at(struct store *store, unsigned skip, int store_error);

/* After `skip` operations that work, one is done but answers STORE_E_AWAY, as when the connection breaks
 * before the answer has come. */
void fake_store_lose_answer_at(struct store *store, unsigned skip);

/* Before each operation, the thread that makes it calls before(context), without the lock: to wait there. Set
 * it while no other thread uses the store; NULL: no longer. */
void fake_store_before_operation(struct store *store, void (*before)(void *context), void *context);

/* How many operations there were. */
unsigned fake_store_operations(struct store *store);

/* From now on store_rights_try() is refused that collection, a text that outlives this; NULL: none. How often it was called so far. */
void fake_store_refuse(struct store *store, const char *collection);
unsigned fake_store_trials(struct store *store);

/* From now on store_rights_refusals() tells of one more. */
void fake_store_note_refusal(void);

/* ---- documents ---- */

struct _bson_t;

/* Makes or replaces the document with that _id, as somebody else would who has the database. */
void fake_store_put(struct store *store, const char *collection, const struct _bson_t *document);

/* A copy of the document with that _id, to be destroyed; false: there is none. */
bool fake_store_get(
	struct store *store, const char *collection, const char *id, struct _bson_t *ret_document);

/* Nothing happens where there is none. */
void fake_store_remove(struct store *store, const char *collection, const char *id);

size_t fake_store_count(struct store *store, const char *collection);

/* Visits every document of every collection of the handlers', by collection in the order of their first use, then by _id. */
void fake_store_visit(struct store *store,
	void (*visit)(void *context, const char *collection, const struct _bson_t *document), void *context);

/* Once, where the next upsert has found no document and is about to make one, the thread that makes it calls before(context), without the lock: what
 * another does there makes it a duplicate, as on a server that does not serialise. */
void fake_store_before_insert(struct store *store, void (*before)(void *context), void *context);

/* Those of the handlers of contacts. */
bool fake_store_has_contact(struct store *store, const char *user, const char *contact);
bool fake_store_has_request(struct store *store, const char *from, const char *to);
/* Takes contact out of user's list only: what a crash in the middle of adding or removing a pair leaves. */
void fake_store_forget_contact(struct store *store, const char *user, const char *contact);
size_t fake_store_contacts(struct store *store); /* documents: two for a pair of contacts */
size_t fake_store_requests(struct store *store);
size_t fake_store_dead_letters(struct store *store);

/* Dead letter number i, from 0, in the order they came; NULL where there is none. Lives until it is dropped. */
const struct dead_letter *fake_store_dead_letter(struct store *store, size_t i);

size_t fake_store_parked(struct store *store); /* parked commands */

/* Parked command number i, from 0, by user, lane and position; NULL where there is none. Lives
 * until the next operation on parked commands. */
const struct parked_command *fake_store_parked_command(struct store *store, size_t i);

/* In whose name that one is leased; NULL: nobody's. Lives as long. */
const char *fake_store_backlog_owner(struct store *store, size_t i);

/* Who holds the lease on a client id by now; NULL: nobody. Lives until the next operation on it. */
const char *fake_store_active_host(struct store *store, const char *client_id);

/* ---- time ---- */

/* So much time passes at the database: leases end, what waits becomes due. */
void fake_store_pass(struct store *store, int64_t ms);

/* Every document in one line, for the message of a failed test. */
void fake_store_dump(struct store *store, FILE *out);

#endif
