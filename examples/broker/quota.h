/*
 * quota.h - no device hurts another: how much each user id may do at the broker, however many connections and tokens it has, and how often an
 * address may fail to log in.
 *
 * Happy path: each function says whether what a user is about to do is within its quota, and counts it. What is refused is counted too, and reported
 * in one line a minute and user: the first refusal at once. Rates are token buckets that survive reconnects; a bucket that is full lets even a
 * message pass that is larger than all of it, and is in debt then.
 * Failure modes: a user of whom nothing can be kept, since there is no memory or as many users as there is room for are connected, is refused.
 * A flood of user ids takes no more than that room: those who were not seen for longest are forgotten, which gives them fresh quotas.
 *
 * Nothing of mosquitto is called from here but by the callbacks, so the tests bring their own clock. The broker's one thread.
 * Times are milliseconds of a clock that never goes back.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include "quota_limits.h"
#include "quota_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUOTA_CLIENT_ID_MAX = 256, /* bytes; longer ones are refused: each session's is kept */
	QUOTA_USERS_MAX = 100000,
	QUOTA_ADDRESSES_MAX = 20000,
	QUOTA_LINE_SIZE = 512
};

/* What is refused. */
enum quota_kind {
	QUOTA_MESSAGES,	     /* too many messages */
	QUOTA_BYTES,	     /* too many bytes */
	QUOTA_RETAINED,	     /* a retained message */
	QUOTA_CLOSED,	     /* a connection that went on all the same, and was closed */
	QUOTA_SUBSCRIPTIONS, /* the session has as many as it may */
	QUOTA_CONNECTS,	     /* too many connects lately */
	QUOTA_CONNECTIONS,   /* too many at once */
	QUOTA_SESSIONS,	     /* too many client ids whose sessions stay, or one that is too long */
	QUOTA_LOGINS,	     /* of an address: too many failed */
	QUOTA_KINDS
};

/* How long a client's session lasts, as far as the broker tells its plugins. */
enum quota_session_kind {
	QUOTA_SESSION_ENDS,   /* with its connection: MQTT 3.1.1 with clean session */
	QUOTA_SESSION_STAYS,  /* MQTT 3.1.1 without */
	QUOTA_SESSION_UNKNOWN /* MQTT 5: plugins are not told the expiry interval. It counts as staying once its connection is gone and it is there */
};

struct quota_callbacks {
	/* A line for the log, without a line end. */
	void (*report)(const char *line, void *context);
	/* Whether the broker has a session of that client id, which is not connected. */
	bool (*session_exists)(const char *client_id, void *context);
	void *context;
};

struct quota {
	struct quota_limits limits;
	struct quota_callbacks callbacks;
	struct quota_table users, addresses;
	uint64_t refused[QUOTA_KINDS]; /* since the start */
};

/* The limits are copied. 0 or -ENOMEM; quota_free() is fine after either, and for one that is all zero. */
__attribute__((warn_unused_result)) int quota_init(struct quota *quota, const struct quota_limits *limits,
	const struct quota_callbacks *callbacks, size_t users_max, size_t addresses_max);
void quota_free(struct quota *quota);

/* Whether the user may publish a message of so many bytes, its topic counted; properties come later, by quota_properties(). */
bool quota_publish(struct quota *quota, const char *user, size_t size, bool retain, int64_t now_ms);

/* Counts the bytes of a message's properties, which the broker shows only after it has asked whether the message may pass. */
void quota_properties(struct quota *quota, const char *user, size_t size, int64_t now_ms);

/* Whether a session of the user that has so many subscriptions may make one more. */
bool quota_subscribe(struct quota *quota, const char *user, int count, int64_t now_ms);

/* Whether the user may connect once more now: to be asked once its token is verified, whatever becomes of the connection. */
bool quota_connect(struct quota *quota, const char *user, int64_t now_ms);

/*
 * Whether the user may have one more connection, with that client id. `client` is a key, nothing is read through it. A client id that is connected
 * already costs nothing: the broker closes the older connection.
 */
bool quota_session_begin(struct quota *quota, const char *user, const char *client_id, const void *client,
	enum quota_session_kind kind, int64_t now_ms);

/* The connection has ended. Nothing happens if it is none of the user's, or its client id has another one by now. */
void quota_session_end(struct quota *quota, const char *user, const char *client_id, const void *client);

/*
 * Something that the user wanted to publish or subscribe to was refused, for its quota or because it is not allowed. Whether the connection is to be
 * closed now: it goes on regardless, and each refusal costs the broker as much as a message. A kilobyte of it counts as one more.
 */
bool quota_refused(struct quota *quota, const char *user, size_t size, int64_t now_ms);

/* Whether a line of its own about something that the user was refused may go into the log: five, and then one a minute. */
bool quota_may_log(struct quota *quota, const char *user, int64_t now_ms);

/* Whether somebody from that address may try to log in. Exempt ones always may. */
bool quota_login(struct quota *quota, const char *address, int64_t now_ms);

/* A login from that address has failed. Whether a line about it may go into the log: as often as logins may fail, exempt ones too. */
bool quota_login_failed(struct quota *quota, const char *address, int64_t now_ms);

/* To be called once a second: reports what is left to report, and forgets who has done nothing for two minutes and has no session. */
void quota_sweep(struct quota *quota, int64_t now_ms);

/* What was refused since the start, for the log: "nothing", or "12 messages over the rate, 3 connects". */
void quota_total(const struct quota *quota, char ret_line[QUOTA_LINE_SIZE]);

#endif
