/*
 * connections.h - the clients that are connected, and when their tokens expire.
 *
 * Happy path: connections_add() once a client's token is verified, connections_remove() when it disconnects,
 * and connections_expired() now and then. The broker's one thread. Nothing of the broker's is read through
 * the client pointers: they are keys.
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
	char client_id[];
};

struct connections {
	void *tree;	  /* of tsearch(3), by client */
	int64_t earliest; /* no token expires before; INT64_MAX: none is known */
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

/* Takes out one connection whose token has expired: free() it. NULL if there is none. Cheap while there is none. */
struct connection *connections_take_expired(struct connections *connections, int64_t now);

/* Takes out all connections that are wanted: a list by `next`, to be freed one by one. NULL if there are none. One walk. */
struct connection *connections_take_wanted(struct connections *connections,
	bool (*wanted)(const struct connection *connection, const void *context), const void *context);

#endif
