/*
 * connection_private.h - what connection.c, opening.c, wire.c and closing.c share and nobody else sees. Order:
 * closing < wire < opening < connection.
 */
#ifndef CONNECTION_PRIVATE_H
#define CONNECTION_PRIVATE_H

#include "broker_names.h"
#include "connection.h"
#include "gate.h"
#include "settings.h"
#include "way.h"

enum { REASON_SIZE = 320 };

struct connection {
	struct connection_options options;
	enum connection_state state;
	struct way *way;   /* of this link; NULL: there is none */
	struct gate *gate; /* the same; from OPENING on, when the way is open */
	struct mosquitto *mosquitto;
	int local_fd; /* our end of the socket pair; -1: none */
	bool wanted;
	size_t number;		     /* of the broker that the next link is tried with: broker_names.h */
	char host[BROKER_NAME_SIZE]; /* its name */
	struct settings settings;    /* those of the options, but for this name; of this link or the last */
	bool mqtt5;		     /* the version of the next opening, and of this one */
	bool reached;		     /* the way was open, and a CONNECT is on it */
	int connack;		     /* reason code of the CONNACK; -1: none came */
	bool spoke_mqtt5;	/* a CONNACK has welcomed us under MQTT 5, on this link or an earlier one */
	bool reads;		/* the last connection_poll() asked whether something can be read */
	bool more;		/* what was read has not been told to the end */
	bool failed;		/* it is to end for `reason` */
	bool disconnects;	/* CLOSING: with a DISCONNECT */
	int server_reason;	/* reason code of the broker's DISCONNECT; 0: none */
	unsigned failures;	/* in a row, for the delay */
	unsigned silent_closes; /* closed before a CONNACK, in a row */
	int64_t due_ms;
	int64_t outage_ms; /* since when there is no link that lasted; 0: there is one */
	int64_t up_since_ms;
	int64_t thirsty_ms; /* no read before that: there was no memory for it; 0: there is */
	int64_t hung_up_ms; /* since when we know that the broker has, while nothing was read; 0: we do not */
	int64_t settled_ms; /* since when PUBACKs could leave; 0: none can */
	int64_t now_ms;	    /* of the call we are in */
	char reason[REASON_SIZE]; /* why it ends, as far as a callback knows; once it is over: why it ended */
};

/* ---- closing.c ---- */

/* The link is over: tells log and owner, and is WAITING for the next one if that is wanted, else IDLE. */
void closing_end(struct connection *connection, const char *reason);

/* The same, where the link ends before its CONNACK: the next one may have to speak the other version of MQTT. */
void closing_end_unwelcome(struct connection *connection, const char *reason);

/* Ends the link if libmosquitto's return code says that it is over. */
bool closing_over(struct connection *connection, int code);

/* Ends a link without acknowledging anything more: by way of CLOSING where the session is persistent. */
void closing_let_go(struct connection *connection, const char *reason);

/* CLOSING goes on. */
void closing_advance(struct connection *connection, short revents);

/* Writes what the gate has for the broker, as far as that takes it. False: that was the end of the link. */
__attribute__((warn_unused_result)) bool closing_write(struct connection *connection);

/* The same, where nothing follows. */
void closing_write_out(struct connection *connection);

/* ---- wire.c ---- */

/* Makes the libmosquitto instance of this link, on a socket pair, and has it queue a CONNECT. False: the link has ended. */
__attribute__((warn_unused_result)) bool wire_open(struct connection *connection);

/* A peer that is gone without a word is found by TCP, also while nothing is read: after 1.5 times the keepalive, as a broker gives up
 * its clients (MQTT 5.0 section 3.1.2.10). 0: not before the system's own time is over. */
void wire_watch_peer(const struct connection *connection, unsigned keepalive_s);

/* Where to put what the broker has sent, and how much fits. 0: nothing can be read now, nor looked for before some ms are over. */
size_t wire_room(struct connection *connection, uint8_t **ret_bytes);

/* Hands what the gate has to libmosquitto, which tells it, and takes what that writes. True: there is more to be told at once.
 * False also where the link has ended. */
bool wire_tell(struct connection *connection);

/* Takes what libmosquitto has queued. False: the link has ended. */
__attribute__((warn_unused_result)) bool wire_take(struct connection *connection);

/* ---- opening.c ---- */

/* WAITING becomes OPENING, or the link ends at once. */
void opening_start(struct connection *connection);

/* Something has happened, or time has passed: the way, CONNECT and CONNACK go on. */
void opening_advance(struct connection *connection, short revents);

#endif
