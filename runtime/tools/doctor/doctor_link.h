/*
 * doctor_link.h - a connection of the doctor's to the broker, whose every step waits for its answer, within a
 * time-out.
 *
 * Happy path: doctor_link_open(), then subscribe, publish and wait, doctor_link_close(). The session is clean
 * and ends with the connection. While one link waits, all that are open are served, so that a message sent by
 * one is taken by another. Failure modes: LINK_CLOSED where the broker has ended the connection, LINK_SILENT
 * where it does not answer in time; link->reason says which and why.
 */
#ifndef DOCTOR_LINK_H
#define DOCTOR_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mosquitto;
struct mosquitto_message;
struct settings;
struct ssl_ctx_st;

enum { LINK_REASON_SIZE = 256, LINK_CLOSED = -1, LINK_SILENT = -2 };

struct doctor_link_options {
	const struct settings *settings;
	struct ssl_ctx_st *tls; /* NULL: without */
	bool ipv4;	      /* the name's addresses of IPv6 are passed over */
	bool mqtt5;
	const char *client_id;
	const char *password; /* a token, with the user name "JWT"; NULL: neither */
	unsigned timeout_ms;  /* of each step */
};

struct doctor_link {
	/* To be read. */
	bool up;		       /* CONNACK said yes, and it lives */
	bool over;		       /* it ended, or never began */
	int connack;		       /* its reason code; -1: there was none */
	int disconnect;		       /* reason code of the broker's DISCONNECT; 0: there was none */
	char reason[LINK_REASON_SIZE]; /* why it is not up */
	/* What CONNACK said (MQTT 5). */
	bool session_present;
	unsigned receive_maximum, keepalive_s, qos_maximum;
	bool wildcards;
	/* Called for each message that comes; may be set at any time. */
	void (*message)(void *context, const struct mosquitto_message *message);
	void *context;

	/* Private. */
	struct doctor_link_options options;
	struct mosquitto *mosquitto;
	bool connected;	 /* TCP */
	int mid, answer; /* of the packet that waits for its answer */
	struct doctor_link *next;
};

/* Waits for CONNACK. 0 and *ret, which need not be up; -ENOMEM. */
__attribute__((warn_unused_result)) int doctor_link_open(
	const struct doctor_link_options *options, struct doctor_link **ret);

/* With DISCONNECT, where it is up. NULL is fine. */
void doctor_link_close(struct doctor_link *link);

/* The granted QoS or the reason code of SUBACK; LINK_CLOSED, LINK_SILENT. options: of MQTT 5; 0. */
int doctor_link_subscribe(struct doctor_link *link, const char *filter, int qos, int options);
int doctor_link_unsubscribe(struct doctor_link *link, const char *filter);

/* At QoS 1; the reason code of PUBACK, which MQTT 3.1.1 has not; LINK_CLOSED, LINK_SILENT. expiry_s: under
 * MQTT 5, after which the broker forgets it; 0: never. */
int doctor_link_publish(
	struct doctor_link *link, const char *topic, const char *payload, bool retain, unsigned expiry_s);

/* Serves all links until the condition holds; false where it does not come to hold in that time. */
bool doctor_link_wait(bool (*condition)(void *context), void *context, unsigned timeout_ms);

/* What a code of the functions above means, in words. */
const char *doctor_link_words(const struct doctor_link *link, int code);

#endif
