/*
 * cashew.h - everything a handler needs.
 *
 * A handler is one function in one file of handlers/. It is given a command ("68946/wash_dishes"), reads and
 * writes documents, sends events, and says how it ended. The file's name is the handler's name and its topic.
 *
 *	#include <cashew.h>
 *
 *	CASHEW_COLLECTION(dishes, "dishes",             declares struct dishes: a document of "dishes"
 *		(user, user_id, .key = true),
 *		(integer, total));
 *	CASHEW_STRUCT(wash, (integer, count, .min = 1, .max = 100));
 *	CASHEW_STRUCT(dishes_washed, (integer, total)); an event's name is its struct's name
 *
 *	static cashew_result wash_dishes(cashew_command *cmd)
 *	{
 *		const struct wash *in = cashew_input(cmd, wash);
 *		const struct dishes *d = cashew_update(cmd, dishes,
 *			(key, user_id, cashew_user(cmd)), (inc, total, in->count));
 *		return cashew_reply(cmd, dishes_washed, .total = d->total);
 *	}
 *
 *	CASHEW_HANDLER(wash_dishes, .needs_id = true, .payload = CASHEW_PAYLOAD(wash),
 *		.events = CASHEW_EVENTS(dishes_washed), .collections = CASHEW_COLLECTIONS(dishes));
 *
 * Five rules:
 * 1. A command may run again. All writes below can be repeated: what they say is what the document is then.
 * 2. The first failure stays. After it every call does nothing and answers as if nothing were there, and
 *    whatever you return, the handler ends as that failure wants. So write straight on; only before an effect
 *    outside (an HTTP call, a file) ask cashew_ok().
 * 3. Commands of one user run one at a time, in order; those of different users in parallel.
 * 4. Events leave when the handler has returned CASHEW_DONE; then the command is acknowledged.
 * 5. What a pointer from here points at lives until the handler returns. Nothing to free, nothing to lock.
 * Lower case is a call, upper case a declaration at file scope. Texts are UTF-8, times milliseconds UTC.
 */
#ifndef CASHEW_H
#define CASHEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cashew_command cashew_command;
typedef int64_t cashew_time; /* milliseconds since 1970, UTC; 0: none */

typedef enum cashew_result {
	CASHEW_DONE = 1,   /* durably done: publish the events, then acknowledge */
	CASHEW_RETRY = 2,  /* not now: again later, with the same command. Made by cashew_retry() */
	CASHEW_REJECT = 3, /* the command is bad: the sender is told. Made by cashew_reject() */
	CASHEW_FAIL = 4,   /* it can never succeed: dead letter. Made by cashew_fail() */
} cashew_result;

/* ---- Structs: payloads, events, documents ---- */

/*
 * CASHEW_STRUCT(name, (kind, member, options..), ..) declares `struct name` and what the world may put into
 * it. At most 24 members. As a payload it is checked before the handler runs; as an event it is named so.
 *
 *	kind     member's type    as JSON                       as BSON
 *	text     const char *     string                        string
 *	user     const char *     string that is a user id      string
 *	integer  int64_t          integer                       int64
 *	number   double           number                        double
 *	boolean  bool             true, false                   bool
 *	time     cashew_time      "2026-01-31T12:00:00.000Z"    date
 *	bytes    cashew_bytes     string, base64                binary
 *	json     const json_t *   anything                      document, array ..
 *
 *	.min, .max   of an integer; of a text its bytes, 1 and 1024 unless given; of bytes their number, 0 and 65536
 *	.optional    may be missing or null: the member is then .otherwise, NULL or 0. What is so is left out of JSON
 *	.otherwise   of an integer
 *	.as          its name in JSON, where that is another than the member's: "user_id"
 *	.help        a sentence for `cashewd asyncapi`
 */
#define CASHEW_STRUCT(name, ...) CASHEW_STRUCT_(name, __VA_ARGS__)

/*
 * CASHEW_COLLECTION(name, "collection", (kind, member, options..), ..): the same for the documents of a
 * collection. Further options:
 *	.key      part of the _id, in the order they stand: "68946/23412". The first should be a user's id: it is
 *	          the shard key. text, user, integer (>= 0) or time; a / or % within a text is escaped
 *	.index    CASHEW_WITHIN: cashew_list() can order by it within the first key; CASHEW_ACROSS: in all
 *	.expires  a time after which the database removes the document
 * Indexes are made before the first command is taken. Members that are not declared stay untouched.
 */
#define CASHEW_COLLECTION(name, collection, ...) CASHEW_COLLECTION_(name, collection, __VA_ARGS__)

/* CASHEW_PAGE(name, collection): declares the event of cashew_reply_page(). */
#define CASHEW_PAGE(name, collection) CASHEW_PAGE_(name, collection)

/* CASHEW_ANY_EVENT(name, help): an event without a struct, of cashew_event_text() and the like, for .events. */
#define CASHEW_ANY_EVENT(name, help) CASHEW_ANY_EVENT_(name, help)

/* ---- The command ---- */

/* The sender, verified by the broker. "" for a schedule. */
const char *cashew_user(const cashew_command *cmd);

/*
 * What tells this command from all others of its sender, 1 to 64 bytes: the payload's "command_id"; else the
 * Correlation Data, where it has 16 bytes or more; else one that the host made when the command came, which is
 * another when the host dies and it comes again. With .needs_id it is the sender's, or the command is rejected.
 * Of a schedule: "name/2026-01-31T12:00:00.000Z". Good as an Idempotency-Key.
 */
const char *cashew_id(const cashew_command *cmd);

/* The payload: `const struct wash *in = cashew_input(cmd, wash)`. Never NULL. */
#define cashew_input(cmd, name) name##_of_(cashew_input_(CASHEW_AT_(cmd), &name##_shape))

/* As it came: the JSON, NULL of CASHEW_BYTES; the bytes, behind which is a NUL; the topic. */
const json_t *cashew_json(const cashew_command *cmd);
const void *cashew_payload(const cashew_command *cmd, size_t *ret_size);
const char *cashew_topic(const cashew_command *cmd);
/* 1 at the first run; those before the command is parked count once. */
unsigned cashew_attempt(const cashew_command *cmd);

/* Now, by the database's clock; the same throughout a run. */
cashew_time cashew_now(const cashew_command *cmd);

/* Of a schedule: the time this run was due, and that of the run before it; the same when the run is repeated. From
 * run to run they join without gap or overlap, also over a time away. */
cashew_time cashew_slot(const cashew_command *cmd);
cashew_time cashew_since(const cashew_command *cmd);

/* ---- Ends ---- */

/* Whether nothing has failed so far; what is still to be written is written first. Ask before an effect outside. */
bool cashew_ok(cashew_command *cmd);

/* `return` one of these, or what cashew_reply() gives. After a failure they all return that failure. */
cashew_result cashew_done(cashew_command *cmd);
cashew_result cashew_reject(cashew_command *cmd, const char *reason, ...)
	__attribute__((format(printf, 2, 3)));
cashew_result cashew_fail(cashew_command *cmd, const char *reason, ...) __attribute__((format(printf, 2, 3)));
/* after_ms: not before; 0: the host's own back-off. */
cashew_result cashew_retry(cashew_command *cmd, unsigned after_ms, const char *reason, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- Events ---- */

/* cashew_reply(cmd, dishes_washed, .total = 3): to the sender, or to his Response Topic. CASHEW_DONE, or the
 * failure. */
#define cashew_reply(cmd, event, ...) \
	cashew_event_(CASHEW_AT_(cmd), NULL, &event##_shape, &(const struct event){__VA_ARGS__})

/* The same to another user. NULL is nobody: a failure. */
#define cashew_send(cmd, user, event, ...) \
	cashew_event_(                     \
		CASHEW_AT_(cmd), cashew_receiver_(user), &event##_shape, &(const struct event){__VA_ARGS__})

/* Documents of a collection, in the order of their keys, as {"contacts": [..], "next": null}: from
 * after, at most limit, as many as fit an event. The first keys are given: (key, user_id, me). "next" is what
 * to pass as after. Handlers take .payload = CASHEW_PAYLOAD(cashew_page) for {"after"?, "limit"?}. */
#define cashew_reply_page(cmd, event, collection, ...)                          \
	cashew_page_(CASHEW_AT_(cmd), &event##_shape, &collection##_collection, \
		CASHEW_CHANGES_(collection, __VA_ARGS__))

/* Without a struct: JSON text; a value whose reference is stolen; any bytes. user NULL: the sender. */
cashew_result cashew_event_text(cashew_command *cmd, const char *user, const char *event, const char *json);
cashew_result cashew_event_json(cashew_command *cmd, const char *user, const char *event, json_t *json);
cashew_result cashew_event_bytes(
	cashew_command *cmd, const char *user, const char *event, const void *bytes, size_t size);

/* ---- Documents ---- */
/* One document is one atomic write. Two documents: order them so that doing both again repairs a crash in
 * between. Writes reach the database in their order, before the next read, the next effect or the end. */

/* const struct contact *c = cashew_find(cmd, contact, .user_id = me, .contact_id = other): all keys.
 * NULL when there is none. */
#define cashew_find(cmd, name, ...) \
	name##_of_(cashew_find_(CASHEW_AT_(cmd), &name##_collection, &(const struct name){__VA_ARGS__}))

/* Makes the document unless its key is there: whoever is first keeps it. Who that was, cashew_find() tells:
 * compare, as in strcmp(doc->owner, me), and a second run says the same. */
#define cashew_add(cmd, name, ...) \
	cashew_add_(CASHEW_AT_(cmd), &name##_collection, &(const struct name){__VA_ARGS__})

/* cashew_put(cmd, dishes, &d): writes all members, and says what the document is now. If this run has read it and
 * somebody changed it since, the handler is run again. With .needs_id it is written once for each command, like inc
 * below: reply with what this says, not with what you wrote. */
#define cashew_put(cmd, name, ...) \
	name##_of_(cashew_put_(CASHEW_AT_(cmd), &name##_collection, name##_is_(__VA_ARGS__)))

/* Nothing happens where there is none. */
#define cashew_remove(cmd, name, ...) \
	cashew_remove_(CASHEW_AT_(cmd), &name##_collection, &(const struct name){__VA_ARGS__})

/*
 * Changes members and says what the document is now; makes it where it is missing.
 *	(key, member, value)            all keys, first
 *	(set, ..)  (max, ..)  (min, ..) the new value; the greater; the smaller
 *	(init, ..)                      only where the document is made
 *	(inc, ..)                       adds, once for each command
 *	(if_equal, ..) (if_least, ..)   only where the member equals value, is value or more; else NULL
 * With inc or if_ the handler has .needs_id, and the document notes the command's id in the same write: a command
 * that comes again finds its note, changes nothing, and gets the document. A document keeps its last USER_WINDOW
 * notes, and takes one from a command: put all its incs into one call. Never NULL without if_.
 */
#define cashew_update(cmd, name, ...) \
	name##_of_(cashew_update_(CASHEW_AT_(cmd), &name##_collection, CASHEW_CHANGES_(name, __VA_ARGS__)))

/*
 * The first limit documents, 10,000 at most, *ret_count of them, in order:
 *	(key, member, value)   the first keys
 *	(from, member, value)  (before, member, value)   >= and <; that member gives the order. Needs .index
 */
#define cashew_list(cmd, name, limit, ret_count, ...) \
	name##_of_(cashew_list_(                      \
		CASHEW_AT_(cmd), &name##_collection, limit, ret_count, CASHEW_CHANGES_(name, __VA_ARGS__)))

/* The driver's database for everything else, and what its answer means: DONE, or the failure. A duplicate key
 * is a failure; look at the error first where it is not. In tests it is a real database or the test says so. */
struct _mongoc_database_t *cashew_database(cashew_command *cmd);
struct _bson_error_t;
cashew_result cashew_mongo(cashew_command *cmd, bool succeeded, const struct _bson_error_t *error);

/* The same for a write, with the reply that the driver's write functions fill (NULL: none), and sees more: a write that is not as durable as it
 * should be is run again even where another error is told first. CASHEW_DUPLICATE_IS_DONE: for an insert whose _id only this command can have made. */
struct _bson_t;
enum cashew_write_flags { CASHEW_DUPLICATE_IS_DONE = 1 };
cashew_result cashew_mongo_write(cashew_command *cmd, bool succeeded, const struct _bson_t *reply,
	const struct _bson_error_t *error, unsigned flags);

/* ---- Memory, log, settings, state ---- */

/* Memory that is zero, and a text as printf() makes it. Both live until the handler has returned. NULL after a failure; a text is "" then. */
void *cashew_alloc(cashew_command *cmd, size_t size) __attribute__((alloc_size(2)));
const char *cashew_format(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line in the log, with the command's user, topic and handler: as information, or as a warning. */
void cashew_log(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cashew_warn(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text of a struct as JSON: cashew_text_of(cmd, dog, in). */
#define cashew_text_of(cmd, name, value) cashew_text_of_(CASHEW_AT_(cmd), &name##_shape, name##_is_(value))
/* The value of a setting of the handler's own, one of its .settings. It lives as long as the program. */
const char *cashew_setting(const cashew_command *cmd, const char *name);
/* What .init made for this thread; NULL: the handler has no .init. */
void *cashew_state(const cashew_command *cmd);

struct cashew_setting {
	const char *name, *default_value; /* "DOG_URL"; NULL: must be set */
	bool secret; /* hidden wherever it would be shown; NAME_FILE may name a file that holds it */
	const char *help;
};

/* What load and init are given. */
typedef struct cashew_setup cashew_setup;
/* As cashew_setting(). cashew_setup_failed() says why it cannot go on, in a line; its result is to be returned. */
const char *cashew_setup_setting(const cashew_setup *setup, const char *name);
int cashew_setup_failed(cashew_setup *setup, const char *reason, ...) __attribute__((format(printf, 2, 3)));

/* ---- The descriptor ---- */

struct cashew_handler {
	const char *name, *file; /* filled in */
	int line;
	cashew_result (*handle)(cashew_command *);	    /* first in CASHEW_HANDLER() */
	const char *topic;				    /* unless given "+/" and the name */
	const struct cashew_shape *payload;		    /* NULL: any JSON object */
	const struct cashew_shape *const *events;	    /* what it may send */
	const struct cashew_collection *const *collections; /* what it reads and writes */
	const struct cashew_collection *const *reads;	    /* what it only reads */
	bool needs_id;			       /* a command without an id of its sender's is rejected */
	bool light;			       /* never waits: no documents, no files */
	const char *lane;		       /* a broker session of its own, for slow work */
	unsigned deadline_ms;		       /* longer counts as hung; 0: HANDLER_TIMEOUT */
	const struct cashew_setting *settings; /* ended by {0} */
	int (*load)(cashew_setup *);	       /* once per process; not 0: cashewd does not start */
	int (*init)(cashew_setup *, void **ret_state); /* once per worker thread */
	void (*fini)(void *state);
	/* of a schedule */
	unsigned every_s; /* 3600: each full hour, UTC */
	const char *cron; /* "30 4 * * 1-5", UTC */
	bool skip_missed; /* else, after a time away, it runs once for all it missed */
	bool scheduled;	  /* filled in */
};

#define CASHEW_PAYLOAD(name)	(&name##_shape)
#define CASHEW_ANY_JSON		(&cashew_any_json_shape)
#define CASHEW_BYTES		(&cashew_bytes_shape)
#define CASHEW_EVENTS(...)	CASHEW_EVENTS_(__VA_ARGS__)
#define CASHEW_COLLECTIONS(...) CASHEW_COLLECTIONS_(__VA_ARGS__)

/* Last in a handler's file: CASHEW_HANDLER(function, .member = value, ..). */
#define CASHEW_HANDLER(...) CASHEW_DESCRIPTOR_(.topic = "+/" CASHEW_HANDLER_NAME, .handle = __VA_ARGS__)

/* Runs by the clock instead of a command, once for all hosts: CASHEW_SCHEDULE(function, .every_s = 3600). It has no
 * sender: cashew_send() only. */
#define CASHEW_SCHEDULE(...) CASHEW_DESCRIPTOR_(.scheduled = true, .handle = __VA_ARGS__)

#include "cashew_macros.h"

#endif
