/*
 * connection.h - one MQTT link of the host after another: opened without blocking, reopened for ever, dropped at will.
 *
 * Happy path: connection_new(), connection_want(true); then the I/O loop calls connection_poll() before poll() and
 * connection_serve() after it, connection_read() while there is something to read, and connection_flush() once per turn; the
 * owner hears of it through its callbacks. Failure modes: whatever ends a link, the owner's `down` is called once, and the next
 * one is opened after a delay that doubles, with jitter: to CONNECTION_DELAY_MAX_MS within the first minute of an outage, and
 * to CONNECTION_DELAY_LATER_MS after that.
 *
 *             want            delay over            CONNACK       disconnect, drop, leave
 *     IDLE ---------> WAITING -----------> OPENING ----------> UP -----------> CLOSING
 *      ^                ^  ^                  |                 |                 |
 *      |   not wanted   |  +--- failed -------+                 |                 |
 *      +----------------+------------------- lost --------------+                 |
 *      +----------------+--- the broker has closed, or took too long -------------+
 *
 *      broker <-- way.h <-- gate.h <-- wire.c: libmosquitto, on a socket pair --> the owner
 *
 * Every link has a way, a gate and a libmosquitto instance of its own, and its end destroys them: nothing that was queued for
 * one link (a PUBACK above all, which would acknowledge another message) can ever leave on the next. I/O thread only.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <mosquitto.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct resolver;
struct settings;

enum connection_state {
	CONNECTION_IDLE,
	CONNECTION_WAITING,
	CONNECTION_OPENING,
	CONNECTION_UP,
	CONNECTION_CLOSING
};

enum {
	CONNECTION_DELAY_MIN_MS = 100,
	CONNECTION_DELAY_MAX_MS = 1000,
	CONNECTION_DELAY_LATER_MS = 10000,
	CONNECTION_OPEN_MS = 8000,     /* from the lookup of the name to the CONNACK */
	CONNECTION_FAREWELL_MS = 5000, /* until the broker has read what was written, and closed */
};

#define CONNECTION_NO_PLACE UINT64_MAX

/* What a CONNACK said; for MQTT 3.1.1 the values that stand for "no limit". */
struct connection_terms {
	bool session_present;
	bool mqtt5;
	unsigned keepalive_s;
	unsigned receive_maximum;  /* publishes to the broker that may be unacknowledged */
	uint32_t packet_max;	   /* bytes; UINT32_MAX: no limit */
	unsigned qos_max;	   /* of publishes to the broker */
	uint32_t session_expiry_s; /* how long it keeps the session; SESSION_EXPIRY where it says nothing */
	bool wildcards;		   /* in filters */
	bool shared;		   /* subscriptions may be; under MQTT 3.1.1 nobody says */
};

/* How a link ended. */
struct connection_end {
	const char *
		reason; /* in words; "": it was not wanted any more. The connection's, until the next link opens */
	bool reached; /* the broker was sent a CONNECT */
	int connack;  /* reason code of its CONNACK; -1: none came */
	bool mqtt5;   /* the version of the next link: another one where this one's was refused */
};

/* Who logs in, where that is not the handler. */
struct connection_login {
	const char *password; /* with the user name BROKER_USER; NULL: neither is sent */
};

/* down() is called once for each loss. All are called from within the functions below. A callback must not end its own
 * connection but by connection_fail(). up and down are required, the others where such things come. */
struct connection_owner {
	void (*up)(void *owner, const struct connection_terms *terms);
	void (*down)(void *owner, bool was_up);
	/* place: the number of the place that the message has on this link, counted from 0; CONNECTION_NO_PLACE at QoS 0 and 2, and
	 * for a packet identifier whose place is held. dup: as it stands in the packet. */
	void (*message)(void *owner, const struct mosquitto_message *message,
		const mosquitto_property *properties, uint64_t place, bool dup);
	/* A PUBLISH that is too large was skipped. The message has no payload, and its payloadlen is the size of the packet. place, dup: as
	 * above. At QoS 2 it is acknowledged by the link. */
	void (*oversized)(void *owner, const struct mosquitto_message *message, uint64_t place, bool dup);
	/* The first so many of the places held are released: their PUBACKs are on their way. */
	void (*released)(void *owner, size_t count);
	void (*published)(void *owner, int mid, int reason_code);
	void (*subscribed)(void *owner, int mid, int granted_count, const int *granted);
	void (*unsubscribed)(void *owner, int mid, const mosquitto_property *properties);
};

struct connection_options {
	const char *label; /* for the log: "main", "egress" */
	const char *client_id;
	bool persistent; /* a session that outlives the link: clean start off, SESSION_EXPIRY */
	bool tries;	 /* persistent, under MQTT 5: a DISCONNECT ends the session as well */
	bool holds;	 /* PUBACKs are held until their places are settled */
	unsigned
		window; /* places at most: the Receive Maximum, and where reading stops; 0: the protocol's default */
	const struct connection_login *login; /* NULL: the handler, with the token that comes with the way */
	_Atomic bool *
		old_version; /* beyond this host: the broker has welcomed us under MQTT 3.1.1, which is tried first then; NULL: MQTT 5 is */
	const struct settings *settings;
	struct resolver *resolver;
	const struct connection_owner *callbacks;
	void *owner;
};

/* 0 and *ret, or -ENOMEM. The options' pointers outlive the connection. */
__attribute__((warn_unused_result)) int connection_new(
	const struct connection_options *options, struct connection **ret);

/* Closes without a DISCONNECT and without acknowledging anything more. NULL is fine. */
void connection_free(struct connection *connection);

/* Whether it should be open: false closes it at once and keeps it closed. Wanted again, it opens at once, or after a delay if
 * the last link did not last. */
void connection_want(struct connection *connection, bool want, int64_t now_ms);

/* Drops the link without acknowledging what is held, and opens it again after a delay. A persistent session's connection is
 * CLOSING before that, until the broker has read what was written and closed as well, CONNECTION_FAREWELL_MS at most; down()
 * is called at the end of it. */
void connection_drop(struct connection *connection, int64_t now_ms);

/* The same, but keeps it closed until it is wanted. */
void connection_leave(struct connection *connection, int64_t now_ms);

/* Sends DISCONNECT after everything that is queued, and does not open again. No place is held. A persistent session's
 * connection is CLOSING then; another one is IDLE at once. */
void connection_disconnect(struct connection *connection);

/* Ends the link at the next connection_serve() or connection_flush(), for that reason. May be called from callbacks. */
void connection_fail(struct connection *connection, const char *reason);

/* The link was of use, however short it lasts: its end begins an outage of its own, with the shortest delay. */
void connection_served(struct connection *connection);

/* What to poll for. read: whether the owner wants to read an UP connection; while opening it sees to itself. fd -1: nothing. That the
 * broker hangs up is noticed in any case; what came before can be read on for 100 ms.
 * The next connection_serve() awaits an answer to a PINGREQ only where something could be read. */
void connection_poll(struct connection *connection, bool read, struct pollfd *ret_poll);

/* When it next needs connection_serve() for its own sake. */
int64_t connection_due_ms(const struct connection *connection);

/* Advances opening, time-outs, reconnects, the keepalive and what could not be written before. While UP, reading is the
 * owner's. */
void connection_serve(struct connection *connection, short revents, int64_t now_ms);

/* Reads a burst, and calls the owner's callbacks for it; true if there may be more at once. UP only. */
bool connection_read(struct connection *connection);

/* Whether something can be read of which poll() cannot tell. */
bool connection_pending(const struct connection *connection);

/* Once per turn: PUBACKs whose places are settled, and all that libmosquitto has queued, are written. UP only. */
void connection_flush(struct connection *connection);

/* The command of that place has settled. UP only. */
void connection_settle(struct connection *connection, uint64_t place);

/* Places held. */
size_t connection_held(const struct connection *connection);

enum connection_state connection_state(const struct connection *connection);

/* How the last link ended; while there is one, what is known of it. For down(), and until the next one opens. */
void connection_ended(const struct connection *connection, struct connection_end *ret);

/* Since when it is up; INT64_MAX: it is not. */
int64_t connection_up_since_ms(const struct connection *connection);

/* The same, but INT64_MAX also where the broker has closed it and nobody has read so far. */
int64_t connection_alive_since_ms(const struct connection *connection);

/* The libmosquitto instance, for publish, subscribe and unsubscribe; NULL unless UP. */
struct mosquitto *connection_mosquitto(const struct connection *connection);

#endif
