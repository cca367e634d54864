/*
 * doctor_link.h - a connection of the doctor's to the broker, whose every step waits for its answer, within a
 * time-out.
 *
 * Happy path: doctor_link_open(), then subscribe, publish and wait, doctor_link_close(). The way to the broker, TLS, token
 * and CONNECT are the host's (connection.h), so that what is seen here is what the host meets; but the session is clean and
 * ends with the link, unless one is asked for. While one link waits, all that are open are served, so that a message sent by one is taken by another.
 * Failure modes: LINK_CLOSED where the broker has ended the link, LINK_SILENT where it does not answer in time;
 * link->reason says which and why. A link that is over stays so until doctor_link_again().
 */
#ifndef DOCTOR_LINK_H
#define DOCTOR_LINK_H

#include "connection.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mosquitto_message;
struct resolver;
struct settings;

enum { LINK_REASON_SIZE = 320, LINK_CLOSED = -1, LINK_SILENT = -2 };

struct doctor_link_options {
	const struct settings *settings;
	struct resolver *resolver;
	const char *client_id;
	const struct connection_login
		*login;	     /* NULL: the handler's token. It need not outlive doctor_link_open() */
	unsigned timeout_ms; /* of each step */
	bool keeps; /* asks for a session that is kept for SESSION_EXPIRY; doctor_link_close() ends it */
};

struct doctor_link {
	/* To be read. */
	bool up;		       /* CONNACK said yes, and it lives */
	bool over;		       /* it ended, or never began */
	bool silent;		       /* it is over since no CONNACK came in time */
	bool mqtt5;		       /* the version it speaks, or tried last */
	bool reached;		       /* the broker was sent a CONNECT, once at least */
	int connack;		       /* its reason code; -1: there was none */
	char reason[LINK_REASON_SIZE]; /* why it is not up */
	struct connection_terms terms; /* what CONNACK said; once it was up */
	/* Called for each message that comes; may be set at any time. */
	void (*message)(void *context, const struct mosquitto_message *message);
	void *context;

	/* Private. */
	struct doctor_link_options options;
	struct connection_login login; /* what the options point to */
	struct connection *connection;
	unsigned unanswered; /* attempts that ended without CONNACK */
	int mid, answer;     /* of the packet that waits for its answer */
	struct doctor_link *next;
};

/* Waits for CONNACK; the host's way of finding out which version the broker speaks included. 0 and *ret, which need not be
 * up; -ENOMEM. The options' texts, settings and resolver outlive it. */
__attribute__((warn_unused_result)) int doctor_link_open(
	const struct doctor_link_options *options, struct doctor_link **ret);

/* Opens a link anew that the broker has ended; whether it is up. It has no subscriptions then, and nobody listens. */
bool doctor_link_again(struct doctor_link **link);

/* With DISCONNECT, where it is up. NULL is fine. */
void doctor_link_close(struct doctor_link *link);

/* The granted QoS or the reason code of SUBACK; LINK_CLOSED, LINK_SILENT. options: of MQTT 5; 0. */
int doctor_link_subscribe(struct doctor_link *link, const char *filter, int qos, int options);
int doctor_link_unsubscribe(struct doctor_link *link, const char *filter);

/* At QoS 1; the reason code of PUBACK, which MQTT 3.1.1 has not; LINK_CLOSED, LINK_SILENT. expiry_s: under
 * MQTT 5, after which the broker forgets it; 0: never. */
int doctor_link_publish(
	struct doctor_link *link, const char *topic, const char *payload, bool retain, unsigned expiry_s);

/*
 * How this machine's TCP acknowledges what the broker sends on this link: at once, beginning with what has come already, or late, when it sends
 * something itself or after some 40 ms. Holds for a moment only (tcp(7), TCP_QUICKACK). A link that is not up is left alone.
 */
void doctor_link_acknowledge(struct doctor_link *link, bool at_once);

/* Serves all links until the condition holds; false where it does not come to hold in that time. */
bool doctor_link_wait(bool (*condition)(void *context), void *context, unsigned timeout_ms);

/* What a code of the functions above means, in words. */
const char *doctor_link_words(const struct doctor_link *link, int code);

#endif
