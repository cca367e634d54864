/*
 * connection.h - one MQTT connection of the host: opened without blocking, reopened for ever, dropped at
 * will.
 *
 * Happy path: connection_new(), connection_want(true); then the I/O loop calls connection_poll() before
 * poll(), and connection_serve() after it; the owner hears of it through its callbacks. Failure modes:
 * whatever ends the connection, the owner's `down` is called once, and the connection is opened again after a
 * delay that doubles, with jitter, up to CONNECTION_DELAY_MAX_MS.
 *
 *             want            delay over            CONNACK       disconnect, drop, leave
 *     IDLE ---------> WAITING -----------> OPENING ----------> UP -----------> CLOSING
 *      ^                ^  ^                  |                 |                 |
 *      |   not wanted   |  +--- failed -------+                 |                 |
 *      +----------------+------------------- lost --------------+                 |
 *      +----------------+--- the broker has closed, or took too long -------------+
 *
 * Every opening is a new libmosquitto instance, and every end destroys it: nothing that was queued for one
 * connection (a PUBACK above all, which would acknowledge another message) can ever leave on the next.
 * libmosquitto is told that it is driven by threads, so that packets are written only by connection_flush().
 * All functions: the I/O thread only.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct settings;
struct host_tls;
struct connection;

enum connection_state {
	CONNECTION_IDLE,
	CONNECTION_WAITING,
	CONNECTION_OPENING,
	CONNECTION_UP,
	CONNECTION_CLOSING
};

enum {
	CONNECTION_DELAY_MIN_MS = 100,
	CONNECTION_DELAY_MAX_MS = 10000,
	CONNECTION_OPEN_MS = 8000,     /* TCP, TLS and CONNACK together */
	CONNECTION_FAREWELL_MS = 5000, /* a broker on a busy machine needs a second for a large group */
};

/* What a CONNACK said; for MQTT 3.1.1 the values that stand for "no limit". */
struct connection_terms {
	bool session_present;
	bool mqtt5;
	unsigned keepalive_s;
	unsigned receive_maximum; /* publishes to the broker that may be unacknowledged */
	uint32_t packet_max;	  /* bytes; UINT32_MAX: no limit */
};

/* down() is called once for each loss; a takeover that is noticed only when it is due to be opened again is
 * told by a second down(owner, false, true). Called from within the functions below. A callback must not end
 * its own connection: no drop, want(false), disconnect, free. up and down are required. */
struct connection_owner {
	void (*up)(void *owner, const struct connection_terms *terms);
	void (*down)(void *owner, bool was_up, bool taken_over);
	void (*message)(
		void *owner, const struct mosquitto_message *message, const mosquitto_property *properties);
	void (*published)(void *owner, int mid, int reason_code);
	void (*subscribed)(void *owner, int mid, int granted_count, const int *granted);
	void (*unsubscribed)(void *owner, int mid, const mosquitto_property *properties);
	/* Whether it may be opened now that it is due: asked until it may. NULL: it always may. */
	bool (*may_open)(void *owner);
	/* Since when another connection of this host's to the same broker is up; INT64_MAX: it is not. For a
	 * persistent session: tells a takeover that the broker is silent about, see host_takeover.h. */
	int64_t (*witness)(void *owner);
};

struct connection_options {
	const char *label; /* for the log: "main", "egress" */
	const char *client_id;
	bool persistent; /* a session that outlives the connection: clean start off, SESSION_EXPIRY */
	unsigned receive_maximum; /* of what the broker may send ahead; 0: the protocol's default */
	const struct settings *settings;
	struct host_tls *tls; /* NULL: plain TCP */
	const struct connection_owner *callbacks;
	void *owner;
};

/* 0 and *ret, or -ENOMEM. The options' pointers outlive the connection. */
__attribute__((warn_unused_result)) int connection_new(
	const struct connection_options *options, struct connection **ret);

/* Closes without a DISCONNECT and without acknowledging anything more. NULL is fine. */
void connection_free(struct connection *connection);

/* Whether it should be open: false closes it at once and keeps it closed. Wanted again, it opens at once, or
 * with backoff if the last link did not last. */
void connection_want(struct connection *connection, bool want, int64_t now_ms);

/*
 * Drops the link without acknowledging what is held, and opens it again with backoff. A persistent session's
 * connection is CLOSING before that, until the broker has read what was written and
 * closed as well, CONNECTION_FAREWELL_MS at most; down() is called at the end of it.
 */
void connection_drop(struct connection *connection, int64_t now_ms);

/* The same, but keeps it closed until it is wanted. */
void connection_leave(struct connection *connection, int64_t now_ms);

/*
 * Sends DISCONNECT after everything that is queued, and does not open again. Nothing held may be unfinished.
 * A persistent session's connection is CLOSING then, until the broker has closed as well,
 * CONNECTION_FAREWELL_MS at most; another one is IDLE at once.
 */
void connection_disconnect(struct connection *connection);

/* The link was of use, however short it lasts: the one after it opens with the shortest delay. */
void connection_served(struct connection *connection);

/* What to poll for. read, write: what the owner wants of an UP connection; while opening it sees to itself.
 * fd -1: nothing. */
void connection_poll(const struct connection *connection, bool read, bool write, struct pollfd *ret_poll);

/* When it next needs connection_serve() for its own sake. */
int64_t connection_due_ms(const struct connection *connection);

/* Advances opening, time-outs and reconnects. While UP it only notices a broken link: the owner reads and
 * flushes. */
void connection_serve(struct connection *connection, short revents, int64_t now_ms);

/* Reads one packet or one TLS record; true if there may be more. Owner's callbacks are called. UP only. */
bool connection_read(struct connection *connection);

/* Whether OpenSSL holds decrypted bytes, of which poll() cannot tell. */
bool connection_pending(const struct connection *connection);

/* Writes everything that is queued, as far as the socket takes it: with held acknowledgements this releases
 * them all. many: several packets are queued and should travel in full segments. UP only. */
void connection_flush(struct connection *connection, bool many);

/* Whether something is queued that the socket has not taken yet. */
bool connection_want_write(const struct connection *connection);

/* libmosquitto's keepalive: may queue a PINGREQ and flushes it. Only while nothing is held. */
void connection_keepalive(struct connection *connection);

enum connection_state connection_state(const struct connection *connection);

/* Since when it is up; INT64_MAX: it is not. */
int64_t connection_up_since_ms(const struct connection *connection);

/* The same, but INT64_MAX also where the broker has closed it and nobody has read so far. */
int64_t connection_alive_since_ms(const struct connection *connection);
const char *connection_state_name(enum connection_state state);

/* The libmosquitto instance, for publish, subscribe and unsubscribe; NULL unless UP. */
struct mosquitto *connection_mosquitto(const struct connection *connection);

#endif
