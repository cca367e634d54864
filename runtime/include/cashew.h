/*
 * cashew.h - everything a handler needs.
 *
 * A handler is one function in one file of handlers/: it is given a command ("68946/get_apples"), may read
 * and write MongoDB, sends events, and says how it ended. The file's name is the handler's name; nothing
 * else is edited. The smallest one:
 *
 *	#include <cashew.h>
 *
 *	static cashew_result get_apples(cashew_command *cmd)
 *	{
 *		return cashew_reply(cmd, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
 *	}
 *
 *	CASHEW_HANDLER(.topic = "+/get_apples", .handle = get_apples, .light = true);
 *
 * Rules of the house:
 * - A command may run more than once: the host or the broker may crash before it is acknowledged. So write handlers that can be repeated: insert by a
 *   derived _id, upsert, set, delete.
 * - Commands of one user run one at a time, in order; those of different users run in parallel.
 * - What a function here returns by pointer lives until the handler returns. There is nothing to free and nothing to lock.
 * - Events leave only when the handler returned CASHEW_DONE, and the command is acknowledged only when the
 *   broker has them.
 * - Out of memory is sticky: every later call on the same command fails too, so straight-line code is right.
 *
 * All functions here are called from the thread that runs the handler, and only until it returns.
 */
#ifndef CASHEW_H
#define CASHEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cashew_command cashew_command;

/* How a handler ends. Anything else is garbage, and makes the command a dead letter. */
typedef enum cashew_result {
	CASHEW_DONE = 1,   /* the work is durably done: publish the events, then acknowledge */
	CASHEW_RETRY = 2,  /* a transient failure: run it again a little later, with the same command */
	CASHEW_REJECT = 3, /* the command is bad: the sender gets command_rejected. Made by cashew_reject() */
	CASHEW_FAIL = 4,   /* it can never succeed: keep it as a dead letter. Made by cashew_fail() */
} cashew_result;

#define CASHEW_USE_RESULT __attribute__((warn_unused_result))

/*
 * CASHEW_TRY(expression): goes on if the expression is CASHEW_DONE, else returns its value from the handler:
 *	CASHEW_TRY(cashew_text(cmd, "colour", &colour));
 */
#define CASHEW_TRY(expression)                                        \
	do {                                                          \
		const cashew_result cashew_try_result = (expression); \
		if (cashew_try_result != CASHEW_DONE)                 \
			return cashew_try_result;                     \
	} while (0)

/* ---- The command ---- */

/* The sender's user id: the first level of the topic, which the broker has verified. Never NULL. */
const char *cashew_user(const cashew_command *cmd);

/* The whole topic, "68946/get_apples". */
const char *cashew_topic(const cashew_command *cmd);

/*
 * Which attempt this is: 1 at first, one more each time the command is run again after CASHEW_RETRY. A command that is still not done after a second is
 * kept in the store; all its attempts of that second count as one, so its first run from the store is attempt 2.
 */
unsigned cashew_attempt(const cashew_command *cmd);

/* The payload's bytes as they came; *ret_size is their number. They are followed by a NUL that is not counted. */
const void *cashew_payload(const cashew_command *cmd, size_t *ret_size);

/* The payload as JSON, borrowed and read-only; NULL for a handler with .payload = CASHEW_BYTES. */
const json_t *cashew_json(const cashew_command *cmd);

/*
 * Typed access to the fields of a payload that is an object. A field that is missing, null or of another type
 * gives CASHEW_REJECT with a reason that names the field, what was expected and what was found;
 * *ret_... is untouched then. The optional ones leave *ret_... as it is, and give CASHEW_DONE, where the
 * field is missing or null.
 */
CASHEW_USE_RESULT cashew_result cashew_text(cashew_command *cmd, const char *field, const char **ret_text);
CASHEW_USE_RESULT cashew_result cashew_text_optional(
	cashew_command *cmd, const char *field, const char **ret_text);
CASHEW_USE_RESULT cashew_result cashew_integer(
	cashew_command *cmd, const char *field, int64_t min, int64_t max, int64_t *ret_integer);
CASHEW_USE_RESULT cashew_result cashew_integer_optional(
	cashew_command *cmd, const char *field, int64_t min, int64_t max, int64_t *ret_integer);
CASHEW_USE_RESULT cashew_result cashew_boolean(cashew_command *cmd, const char *field, bool *ret_boolean);
CASHEW_USE_RESULT cashew_result cashew_boolean_optional(
	cashew_command *cmd, const char *field, bool *ret_boolean);

/* A text that is a user id: 1 to 64 of A-Z a-z 0-9 . _ | -. Safe in a topic and in a derived _id. */
CASHEW_USE_RESULT cashew_result cashew_user_id(cashew_command *cmd, const char *field, const char **ret_user);
CASHEW_USE_RESULT cashew_result cashew_user_id_optional(
	cashew_command *cmd, const char *field, const char **ret_user);

/* ---- Events ---- */

/*
 * An event to the sender: "{sender}/{event}", or to the command's MQTT 5 Response Topic. An event's name is a
 * past tense, 1 to 64 of a-z 0-9 _. The payload is copied: JSON text for _reply, a JSON value for _reply_json
 * (the reference is stolen, also on failure), any bytes for _reply_bytes. A NULL payload counts as out of
 * memory, so json_pack() and cashew_format() can stand in the call. CASHEW_DONE when the event is collected;
 * CASHEW_FAIL for a bad event name or an event larger than cashew_event_max(); CASHEW_RETRY when out of
 * memory. Return its value to end with it.
 */
CASHEW_USE_RESULT cashew_result cashew_reply(cashew_command *cmd, const char *event, const char *json_text);
CASHEW_USE_RESULT cashew_result cashew_reply_json(cashew_command *cmd, const char *event, json_t *json);
CASHEW_USE_RESULT cashew_result cashew_reply_bytes(
	cashew_command *cmd, const char *event, const void *bytes, size_t size);

/* The same to another user: "{user}/{event}". CASHEW_FAIL also where user is no user id. */
CASHEW_USE_RESULT cashew_result cashew_send(
	cashew_command *cmd, const char *user, const char *event, const char *json_text);
CASHEW_USE_RESULT cashew_result cashew_send_json(
	cashew_command *cmd, const char *user, const char *event, json_t *json);
CASHEW_USE_RESULT cashew_result cashew_send_bytes(
	cashew_command *cmd, const char *user, const char *event, const void *bytes, size_t size);

/* The largest payload in bytes that an event may have: what the broker takes in one packet, EVENT_MAX at most. */
size_t cashew_event_max(const cashew_command *cmd);

/* ---- Ends ---- */

/* "return cashew_reject(cmd, ...)": the sender gets command_rejected {command, reason}. printf style; the
 * reason is for the sender's eyes and is cut at 500 bytes. */
CASHEW_USE_RESULT cashew_result cashew_reject(cashew_command *cmd, const char *reason, ...)
	__attribute__((format(printf, 2, 3)));

/* "return cashew_fail(cmd, ...)": the command becomes a dead letter with that reason; the sender sees nothing. */
CASHEW_USE_RESULT cashew_result cashew_fail(cashew_command *cmd, const char *reason, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- The store ---- */

/*
 * cashew_store(): the store for the typed functions of cashew_store.h. Never NULL: when the database is away, the typed functions say so.
 * cashew_database(): the whole database, for those who know MongoDB. NULL with the tests' stand-in store.
 * A time is best written by the database itself ($currentDate): this machine's clock may be wrong, and set while nobody looks.
 * A connection is taken from the pool at the first call. A handler that is .light must not call either: all other commands would wait, so the call aborts.
 */
struct store_client;
struct _mongoc_database_t;
struct store_client *cashew_store(cashew_command *cmd);
struct _mongoc_database_t *cashew_database(cashew_command *cmd);

/*
 * What the store answered, as a result: 0 is CASHEW_DONE; the database away, a transient error or out of memory is CASHEW_RETRY; anything else is
 * CASHEW_FAIL. A handler that cares about a condition (STORE_E_NOT_FOUND) looks at the error before it calls this.
 *
 * cashew_mongo() is the same for a call of your own on cashew_database(): pass what it returned and its bson_error_t. A duplicate key is CASHEW_FAIL:
 * another command may have made that document, as two users who take one nickname.
 *
 * cashew_mongo_write() is for writes of your own, and sees more: pass the reply, too, which the driver's write functions fill (a bson_t that you
 * bson_destroy() after the call; NULL where there is none). Then a write that is not as durable as it should be is CASHEW_RETRY even where the driver
 * tells of another error first, and so is what the server labels as passing. With CASHEW_DUPLICATE_IS_DONE a duplicate key is CASHEW_DONE: for an
 * insert whose _id is derived from the command, so that only this command's own earlier attempt can have made the document.
 */
struct _bson_t;
struct _bson_error_t;
enum cashew_write_flags { CASHEW_DUPLICATE_IS_DONE = 1 };
CASHEW_USE_RESULT cashew_result cashew_stored(cashew_command *cmd, int store_error);
CASHEW_USE_RESULT cashew_result cashew_mongo(
	cashew_command *cmd, bool succeeded, const struct _bson_error_t *error);
CASHEW_USE_RESULT cashew_result cashew_mongo_write(cashew_command *cmd, bool succeeded,
	const struct _bson_t *reply, const struct _bson_error_t *error, unsigned flags);

/* ---- Memory, log, settings, state ---- */

/* size bytes, zeroed, aligned for any type, that live until the handler returns. NULL when out of memory. */
void *cashew_alloc(cashew_command *cmd, size_t size) __attribute__((alloc_size(2)));

/* printf into such memory. NULL when out of memory. */
char *cashew_format(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A log line with the command's user, topic, handler and attempt. Never blocks. Never log what a payload holds. */
void cashew_log(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cashew_warn(cashew_command *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value of one of the handler's own settings (see .settings below): never NULL for a declared one. */
const char *cashew_setting(const cashew_command *cmd, const char *name);

/* The state that .init made for this worker thread; NULL without .init. */
void *cashew_state(const cashew_command *cmd);

/* ---- The descriptor ---- */

/* What the payload must be for the handler to be called; other payloads are rejected before. */
enum cashew_payload {
	CASHEW_OBJECT = 0, /* a JSON object: the default */
	CASHEW_ANY_JSON,   /* any JSON value */
	CASHEW_BYTES,	   /* anything, also nothing; it is not parsed */
};

/* A setting of a handler's own, read from .env and the environment. An array of them ends with {0}. */
struct cashew_setting {
	const char *name;	   /* capitals, as in the environment: "APPLES_LIMIT" */
	const char *default_value; /* NULL: it must be set */
	bool secret;		   /* masked wherever settings are shown */
	const char *help;	   /* one sentence */
};

struct cashew_handler {
	const char *name;			   /* filled in by CASHEW_HANDLER: the file's name */
	const char *topic;			   /* an MQTT topic filter: "+/", then the command */
	cashew_result (*handle)(cashew_command *); /* the handler */
	bool light; /* never waits (no store, no file): may run on the I/O thread */
	enum cashew_payload payload;
	const char *lane;     /* a broker session of its own, for slow work; NULL: "main" */
	unsigned deadline_ms; /* longer counts as hung; 0: HANDLER_TIMEOUT */
	/* Names of the database's collections that it uses, separated by commas; with ":read" behind the name of one that it only reads:
	 * "contacts, apples:read". Where the database refuses the host one of them, the host is not ready (/readyz names it), and commands wait at
	 * the broker instead of becoming dead letters. NULL: none is looked at. */
	const char *collections;
	/* State of each thread that runs handlers. init sets *ret_state and returns 0; where it returns anything else the host does not start. fini is called
	 * with that state at the end, never where there is no init. */
	int (*init)(void **ret_state);
	void (*fini)(void *state);
	const struct cashew_setting *settings; /* own settings, ended by {0}; NULL: none */
};

/* Last in a handler's file. The build defines the two names from the file's name. */
#define CASHEW_HANDLER(...)                                       \
	extern const struct cashew_handler CASHEW_HANDLER_SYMBOL; \
	const struct cashew_handler CASHEW_HANDLER_SYMBOL = {.name = CASHEW_HANDLER_NAME, __VA_ARGS__}

#endif
