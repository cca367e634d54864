/*
 * connections.c - the clients that are connected: see connections.h.
 *
 * A balanced tree of the C library's holds them; the earliest expiry is remembered, so that a look for
 * expired ones costs a comparison while there are none, and a walk through the tree otherwise.
 */
#include "connections.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int connection_compare(const void *a, const void *b)
{
	const struct connection *first = a, *second = b;
	return first->client < second->client ? -1 : first->client > second->client;
}

void connections_init(struct connections *connections)
{
	*connections = (struct connections){.earliest = INT64_MAX};
}

void connections_free(struct connections *connections)
{
	tdestroy(connections->tree, free);
	connections_init(connections);
}

struct connection *connections_find(struct connections *connections, const struct mosquitto *client)
{
	const struct connection key = {.client = client};
	struct connection *const *node = tfind(&key, &connections->tree, connection_compare);
	return node ? *node : NULL;
}

void connections_remove(struct connections *connections, const struct mosquitto *client)
{
	struct connection *connection = connections_find(connections, client);
	if (connection) {
		tdelete(connection, &connections->tree, connection_compare);
		free(connection);
	}
}

int connections_add(struct connections *connections, const struct mosquitto *client, const char *client_id,
	int64_t expires)
{
	connections_remove(connections, client);
	size_t id_size = strlen(client_id) + 1;
	struct connection *connection = calloc(1, sizeof(*connection) + id_size);
	if (!connection)
		return -ENOMEM;
	connection->client = client;
	connection->expires = expires;
	memcpy(connection->client_id, client_id, id_size);
	if (!tsearch(connection, &connections->tree, connection_compare)) {
		free(connection);
		return -ENOMEM;
	}
	if (expires < connections->earliest)
		connections->earliest = expires;
	return 0;
}

/* The connection whose token expires first. */
static void earliest_visit(const void *node, VISIT order, void *context)
{
	struct connection *connection = *(struct connection *const *)node, **earliest = context;
	if ((order == postorder || order == leaf) &&
		(!*earliest || connection->expires < (*earliest)->expires))
		*earliest = connection;
}

struct connection *connections_take_expired(struct connections *connections, int64_t now)
{
	if (now < connections->earliest)
		return NULL;
	struct connection *earliest = NULL;
	twalk_r(connections->tree, earliest_visit, &earliest);
	connections->earliest = earliest ? earliest->expires : INT64_MAX;
	if (!earliest || now < earliest->expires)
		return NULL;
	tdelete(earliest, &connections->tree, connection_compare);
	return earliest;
}

struct wanted_visit {
	bool (*wanted)(const struct connection *connection, const void *context);
	const void *context;
	struct connection *first;
};

/* A tree must not change while it is walked through. */
static void wanted_visit(const void *node, VISIT order, void *context)
{
	struct wanted_visit *visit = context;
	struct connection *connection = *(struct connection *const *)node;
	if ((order != postorder && order != leaf) || !visit->wanted(connection, visit->context))
		return;
	connection->next = visit->first;
	visit->first = connection;
}

struct connection *connections_take_wanted(struct connections *connections,
	bool (*wanted)(const struct connection *connection, const void *context), const void *context)
{
	struct wanted_visit visit = {.wanted = wanted, .context = context};
	twalk_r(connections->tree, wanted_visit, &visit);
	for (struct connection *connection = visit.first; connection; connection = connection->next)
		tdelete(connection, &connections->tree, connection_compare);
	return visit.first;
}
