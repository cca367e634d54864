/*
 * connection_private.h - what connection.c, opening.c and closing.c share and nobody else
 * sees.
 */
#ifndef CONNECTION_PRIVATE_H
#define CONNECTION_PRIVATE_H

#include "connection.h"
#include "takeover.h"

enum { REASON_SIZE = 320 };

struct connection {
	struct connection_options options;
	enum connection_state state;
	struct mosquitto *mosquitto;
	bool wanted;
	bool held_back;		/* WAITING: its owner does not let it open yet */
	bool mqtt5;		/* the version of the next opening, and of this one */
	bool ipv4;		/* OPENING: IPv6 has failed; UP: so it was */
	bool connected;		/* OPENING: TCP is through */
	bool collects;		/* over TLS: writes collect until tls_flush() */
	bool more;		/* over TLS: the last read did not come to an end of what is there */
	bool connack;		/* a CONNACK came, whatever it said */
	bool spoke_mqtt5;	/* a CONNACK has welcomed us under MQTT 5, on this link or an earlier one */
	int server_reason;	/* reason code of the broker's DISCONNECT; 0: none */
	unsigned failures;	/* in a row, for the delay */
	unsigned silent_closes; /* closed before a CONNACK, in a row */
	int64_t due_ms;
	int farewell_fd; /* CLOSING: the socket once more, as libmosquitto closes its own; else -1 */
	int64_t up_since_ms;
	unsigned keepalive_s; /* UP: ours, or the broker's Server Keep Alive */
	struct takeover takeover;
	int64_t now_ms;		  /* of the call we are in */
	char reason[REASON_SIZE]; /* why it ended, as far as a callback knows */
};

/* ---- connection.c ---- */

/* Has libmosquitto call the owner's callbacks, by way of the connection's. */
void connection_listen(struct connection *connection);

/* Writes what is queued, as far as the socket takes it. False if that was the end of the link. */
__attribute__((warn_unused_result)) bool connection_write(struct connection *connection);

/* ---- opening.c ---- */

/* WAITING becomes OPENING, or the link ends at once. */
void opening_start(struct connection *connection);

/* Something has happened on the socket: TCP, the TLS handshake, CONNECT and CONNACK go on. */
void opening_advance(struct connection *connection, short revents);

/* Starts anew under IPv4, if it is an address of IPv6 that does not answer. */
bool opening_try_ipv4(struct connection *connection);

/* The link ends before its CONNACK: the next one may have to speak the other version of MQTT. */
void opening_choose_version(struct connection *connection);

/* ---- closing.c ---- */

/* The link is over: tells log and owner, and is WAITING for the next one if that is wanted, else IDLE. */
void closing_end(struct connection *connection, const char *reason);

/* Ends the link if libmosquitto's return code says that it is over. */
bool closing_over(struct connection *connection, int rc);

/* The broker has closed a link that was UP. */
void closing_note(struct connection *connection);

/* Whether the link that is due to be opened was another host's doing: then it waits on. */
bool closing_stands_by(struct connection *connection);

/* Ends a link without writing anything more: by way of CLOSING where the session is persistent. */
void closing_let_go(struct connection *connection, const char *reason);

/* CLOSING goes on. */
void closing_advance(struct connection *connection, short revents);

#endif
