/* former.c - see former.h. */
#include "former.h"

#include "connection.h"
#include "hosts.h"
#include "log.h"
#include "routes.h"

#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILTER_SIZE = 256 };

/* What an UNSUBSCRIBE is to name. */
struct names {
	char **filters;
	size_t count, room;
	bool no_memory;
};

static void add(struct names *names, char *filter)
{
	if (filter && names->count < names->room)
		names->filters[names->count++] = filter;
	else {
		free(filter);
		names->no_memory = true;
	}
}

/* A filter in every group but the lane's own. */
static void add_shared(struct names *names, const struct former *former, const char *filter)
{
	for (size_t i = 0; former->groups && i < former->groups->count; i++)
		add(names, routes_shared_filter(former->routes, former->groups->names[i], filter));
}

/* The packet identifier; 0: there is nothing to send, or it cannot be. */
static int unsubscribe(struct names *names, struct mosquitto *mosquitto)
{
	int mid = 0;
	if (!names->no_memory && names->count > 0 &&
		mosquitto_unsubscribe_multiple(mosquitto, &mid, (int)names->count, names->filters, NULL) !=
			MOSQ_ERR_SUCCESS)
		mid = 0;
	for (size_t i = 0; i < names->count; i++)
		free(names->filters[i]);
	free(names->filters);
	return mid;
}

static struct names names_new(const struct former *former, size_t filters)
{
	/* Each plain, and in every group. */
	const size_t room = filters * ((former->groups ? former->groups->count : 0) + 1);
	struct names names = {.room = room, .filters = calloc(room + 1, sizeof(*names.filters))};
	names.no_memory = !names.filters;
	if (names.no_memory)
		names.room = 0;
	return names;
}

bool former_begin(struct former *former, const struct connection_terms *terms)
{
	former->mid = 0;
	former->wanted = terms->session_present;
	if (former->group[0] == '\0' || terms->shared)
		return true;
	log_error("shared_unavailable",
		"the broker says that it does not do shared subscriptions, so the lane subscribes to nothing: leave SHARED_GROUP empty, or take a "
		"broker that does them",
		LOG_TEXT("lane", former->routes->name), LOG_TEXT("shared_group", former->group));
	return false;
}

void former_end(struct former *former, struct mosquitto *mosquitto)
{
	if (!former->wanted)
		return;
	former->wanted = false;
	struct names names = names_new(former, former->routes->route_count);
	for (size_t i = 0; i < former->routes->route_count; i++) {
		const struct route *route = &former->routes->routes[i];
		const char *plain = route_plain(route);
		if (route->prefix_size > 0)
			add(&names, strdup(plain));
		if (plain[0] != '$')
			add_shared(&names, former, plain);
	}
	former->mid = unsubscribe(&names, mosquitto);
}

void former_drop(const struct former *former, struct mosquitto *mosquitto, const char *topic)
{
	char filter[FILTER_SIZE];
	const char *rest = strchr(topic, '/');
	if (!rest || (size_t)snprintf(filter, sizeof(filter), "+%s", rest) >= sizeof(filter))
		return;
	struct names names = names_new(former, 1);
	if (former->group[0] != '\0')
		add(&names, routes_shared_filter(former->routes, former->group, filter));
	add_shared(&names, former, filter);
	(void)unsubscribe(&names, mosquitto);
}
