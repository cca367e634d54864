/*
 * connections.c - the clients that are connected: see connections.h.
 *
 * A balanced tree of the C library's finds them by client. A binary heap has the one whose token expires first on top: tokens that were handed out
 * together end together, and a walk through all for each of them would stop the broker for as many seconds as it has ten thousands of clients.
 */
#include "connections.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM_MIN = 64 };

static int connection_compare(const void *a, const void *b)
{
	const struct connection *first = a, *second = b;
	return first->client < second->client ? -1 : first->client > second->client;
}

void connections_init(struct connections *connections)
{
	*connections = (struct connections){.tree = NULL};
}

void connections_free(struct connections *connections)
{
	tdestroy(connections->tree, free);
	free(connections->heap);
	connections_init(connections);
}

/* ---- The heap ---- */

static void heap_put(struct connections *connections, size_t place, struct connection *connection)
{
	connections->heap[place] = connection;
	connection->place = place;
}

/* Puts the connection where it belongs, at the place or above. */
static void heap_rise(struct connections *connections, size_t place, struct connection *connection)
{
	while (place > 0 && connections->heap[(place - 1) / 2]->expires > connection->expires) {
		heap_put(connections, place, connections->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	heap_put(connections, place, connection);
}

/* The same, at the place or below. */
static void heap_sink(struct connections *connections, size_t place, struct connection *connection)
{
	for (size_t below; (below = 2 * place + 1) < connections->count; place = below) {
		if (below + 1 < connections->count &&
			connections->heap[below + 1]->expires < connections->heap[below]->expires)
			below++;
		if (connections->heap[below]->expires >= connection->expires)
			break;
		heap_put(connections, place, connections->heap[below]);
	}
	heap_put(connections, place, connection);
}

static void heap_remove(struct connections *connections, const struct connection *connection)
{
	const size_t place = connection->place;
	struct connection *last = connections->heap[--connections->count];
	if (last == connection)
		return;
	if (last->expires < connection->expires)
		heap_rise(connections, place, last);
	else
		heap_sink(connections, place, last);
}

static bool heap_has_room(struct connections *connections)
{
	if (connections->count < connections->room)
		return true;
	const size_t room = connections->room > 0 ? 2 * connections->room : ROOM_MIN;
	struct connection **heap = reallocarray(connections->heap, room, sizeof(struct connection *));
	if (!heap)
		return false;
	connections->heap = heap;
	connections->room = room;
	return true;
}

/* ---- Clients ---- */

struct connection *connections_find(struct connections *connections, const struct mosquitto *client)
{
	const struct connection key = {.client = client};
	struct connection *const *node = tfind(&key, &connections->tree, connection_compare);
	return node ? *node : NULL;
}

static void take(struct connections *connections, struct connection *connection)
{
	tdelete(connection, &connections->tree, connection_compare);
	heap_remove(connections, connection);
}

void connections_remove(struct connections *connections, const struct mosquitto *client)
{
	struct connection *connection = connections_find(connections, client);
	if (connection) {
		take(connections, connection);
		free(connection);
	}
}

int connections_add(struct connections *connections, const struct mosquitto *client, const char *client_id,
	int64_t expires)
{
	connections_remove(connections, client);
	size_t id_size = strlen(client_id) + 1;
	struct connection *connection =
		heap_has_room(connections) ? calloc(1, sizeof(*connection) + id_size) : NULL;
	if (!connection)
		return -ENOMEM;
	connection->client = client;
	connection->expires = expires;
	memcpy(connection->client_id, client_id, id_size);
	if (!tsearch(connection, &connections->tree, connection_compare)) {
		free(connection);
		return -ENOMEM;
	}
	heap_rise(connections, connections->count++, connection);
	return 0;
}

static int64_t now_us(void)
{
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

size_t connections_close_expired(struct connections *connections, int64_t now,
	void (*close)(struct connection *connection, void *context), void *context)
{
	size_t count = 0;
	if (connections->count == 0 || now < connections->heap[0]->expires)
		return 0;
	const int64_t until_us = now_us() + CONNECTIONS_TURN_US;
	do {
		struct connection *expired = connections->heap[0];
		take(connections, expired);
		close(expired, context);
		free(expired);
		count++;
	} while (connections->count > 0 && now >= connections->heap[0]->expires && now_us() < until_us);
	return count;
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
		take(connections, connection);
	return visit.first;
}
