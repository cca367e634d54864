/*
 * connections.h - the clients that are connected, and when their tokens expire.
 *
 * Happy path: connections_add() once a client's token is verified, connections_remove() when it disconnects,
 * and connections_close_expired() now and then. The broker's one thread. Nothing of the broker's is read through
 * the client pointers: they are keys. However many there are, each of these costs some dozen comparisons. Failure modes: no memory for one more.
 */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include "token.h"

#include <stdbool.h>

struct mosquitto;

struct connection {
	const struct mosquitto *client; /* the key */
	int64_t expires;		/* its token's exp */
	struct token_identity identity; /* what its token says; the plugin's */
	struct connection *next;	/* of those that were taken out together */
	size_t place;			/* where it stands in the heap */
	char client_id[];
};

struct connections {
	void *tree;		  /* of tsearch(3), by client */
	struct connection **heap; /* the same; none expires before the one at (its place - 1) / 2 */
	size_t count, room;	  /* of the heap */
};

void connections_init(struct connections *connections);
void connections_free(struct connections *connections);

/* Adds the client; one that is there already is replaced. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int connections_add(struct connections *connections,
	const struct mosquitto *client, const char *client_id, int64_t expires);

/* NULL if it is not there. */
struct connection *connections_find(struct connections *connections, const struct mosquitto *client);

/* Nothing happens if it is not there. */
void connections_remove(struct connections *connections, const struct mosquitto *client);

/*
 * Takes those out whose tokens have expired, the first ones first, and has `close` called for each, whose it is until close() returns. How many they were.
 * Tokens that were handed out together end together, and to close a connection costs the broker about as much as to bring a message: so it goes on for
 * CONNECTIONS_TURN_US at most, the last close() on top, and the rest is for the next call. `now` is in seconds since 1970.
 */
enum { CONNECTIONS_TURN_US = 2000 };
size_t connections_close_expired(struct connections *connections, int64_t now,
	void (*close)(struct connection *connection, void *context), void *context);

/* Takes out all connections that are wanted: a list by `next`, to be freed one by one. NULL if there are none. One walk over all. */
struct connection *connections_take_wanted(struct connections *connections,
	bool (*wanted)(const struct connection *connection, const void *context), const void *context);

#endif
