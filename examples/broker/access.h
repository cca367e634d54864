/*
 * access.h - who may do what at the broker: pure functions over a client's identity, topics and client ids.
 *
 * An identity is the text that the plugin gives to the broker as the client's user name once its token is verified: "user:68946 until 1795000000", or
 * "handler:cashewd until 1795000000 subscribe 12:+/get_apples publish 3:+/#" with the topics that a handler is locked to (token_filters.h). The broker
 * keeps it with the session, so the rules hold for a client that is offline too, for its last will, and after a restart of the broker. Happy path:
 * access_write() at the connect, then access_read() for what the broker asks, and the rules. No function allocates: one of them runs for each message
 * and each subscriber. Failure modes: a text that is no identity may do nothing.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "token_filters.h"
#include "topic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCESS_USER    "user:"
#define ACCESS_HANDLER "handler:"

/* Large enough for any identity and its NUL. */
enum { ACCESS_IDENTITY_SIZE = TOKEN_FILTERS_TEXT_MAX + 128 };

struct access {
	bool is_handler;
	char name[USER_ID_MAX +
		  1];  /* the user id of a device; the name of a handler; "": nobody, who may do nothing */
	int64_t until; /* the token's end, seconds since 1970; INT64_MAX: it has none */
	const char *filters; /* in the text: what a handler is locked to; NULL: nothing */
};

/* Writes the identity of a verified token, which has not been cleared. */
void access_write(const struct token_identity *identity, char ret_text[static ACCESS_IDENTITY_SIZE]);

/* Whether the text, which may be NULL, is an identity. The access points into it; false: it is nobody's. */
bool access_read(const char *text, struct access *ret_access);

/* The user id of a device; NULL for a handler and for nobody. */
const char *access_user(const struct access *access);

/* Whether the topic is a command without its user id: 1 to 64 of a-z and _, one level. */
bool access_topic_bare(const char *topic);

/* Whether that client may publish to the topic (also a bare command: then the plugin puts the user id in front) ... */
bool access_publish(const struct access *access, const char *topic);

/* ... be sent a message on the topic ... */
bool access_receive(const struct access *access, const char *topic);

/* ... subscribe to the filter, which may begin with $share/{group}/. */
bool access_subscribe(const struct access *access, const char *filter);

/*
 * How many of the client id's first bytes are the user id that it belongs to. Each client id belongs to one
 * user id, whoever asks: so no user can take over the session of another. It is what stands before the first
 * character that no user id can hold
 * ("68946/phone", "anna-maria:phone"). Where there is none: a UUID that is all of it or is followed by -
 * ("...-phone"), or what stands before the first - ("68946-my-phone"), or all of it ("68946"). 0: it belongs
 * to nobody.
 */
size_t access_client_id_owner_size(const char *client_id);

/* Whether the client id belongs to that user id. */
bool access_client_id_allowed(const char *client_id, const char *user);

/* Whether the client id is kept for handlers: one of the names (separated by commas), or one with - or a
 * character that no user id can hold behind it. */
bool access_client_id_reserved(const char *client_id, const char *names);

#endif
