/*
 * access.h - who may do what at the broker: pure functions over a client's identity, topics and client ids.
 *
 * An identity is the text that the plugin gives to the broker as the client's user name once its token is
 * verified: "user:68946" or "handler:cashewd". The broker keeps it with the session, so the rules hold for a
 * client that is offline too, for its last will, and after a restart of the broker. No function allocates:
 * one of them runs for each message and each subscriber.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#define ACCESS_USER    "user:"
#define ACCESS_HANDLER "handler:"

/* Large enough for any identity and its NUL. */
enum { ACCESS_IDENTITY_SIZE = 80 };

/* The user id of a device's identity; NULL for a handler's, and for any other text and NULL. */
const char *access_user(const char *identity);

/* Whether it is the identity of a handler. */
bool access_is_handler(const char *identity);

/* Whether the topic is a command without its user id: 1 to 64 of a-z and _, one level. */
bool access_topic_bare(const char *topic);

/* Whether that client may publish to the topic (also a bare command: then the plugin puts the user id in front) ... */
bool access_publish(const char *identity, const char *topic);

/* ... be sent a message on the topic ... */
bool access_receive(const char *identity, const char *topic);

/* ... subscribe to the filter, which may begin with $share/{group}/. */
bool access_subscribe(const char *identity, const char *filter);

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
