/*
 * routes.c - see routes.h. A lookup compares the command's name with a handful of literals;
 * wildcards take the slow way.
 */
#include "routes.h"

#include "timetable.h"
#include "topic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *routes_lane_name(const struct cashew_handler *handler)
{
	return handler->lane ? handler->lane : "main";
}

static struct route_lane *find_lane(struct routes *routes, const char *name)
{
	for (size_t i = 0; i < routes->lane_count; i++)
		if (strcmp(routes->lanes[i].name, name) == 0)
			return &routes->lanes[i];
	struct route_lane *lane = &routes->lanes[routes->lane_count];
	lane->routes = calloc(routes->handler_count, sizeof(*lane->routes));
	if (!lane->routes)
		return NULL;
	lane->name = name;
	routes->lane_count++;
	return lane;
}

static void add_handler(struct route_lane *lane, const struct cashew_handler *handler, unsigned index)
{
	struct route *route = lane->routes;
	while (route < lane->routes + lane->route_count && strcmp(route->filter, handler->topic) != 0)
		route++;
	if (route == lane->routes + lane->route_count) {
		lane->route_count++;
		route->filter = handler->topic;
		route->light = true;
		if (strncmp(handler->topic, "+/", 2) == 0 && !strpbrk(handler->topic + 2, "+#"))
			route->literal_size = strlen(handler->topic + 2);
	}
	route->handlers[route->handler_count++] = index;
	route->light = route->light && handler->light;
}

/* Each has a route of its own, whose filter is its runs' topic. */
static int add_schedule(struct routes *routes, const struct cashew_handler *handler, unsigned index)
{
	struct route_lane *lane = &routes->schedules;
	char topic[TIMETABLE_TOPIC_SIZE];
	timetable_topic(handler->name, topic);
	char *filter = strdup(topic);
	if (!filter)
		return -ENOMEM;
	lane->routes[lane->route_count++] =
		(struct route){.filter = filter, .handler_count = 1, .handlers = {index}};
	return 0;
}

static int add(struct routes *routes, unsigned index)
{
	const struct cashew_handler *handler = routes->handlers[index];
	if (handler->scheduled)
		return add_schedule(routes, handler, index);
	struct route_lane *lane = find_lane(routes, routes_lane_name(handler));
	if (!lane)
		return -ENOMEM;
	add_handler(lane, handler, index);
	return 0;
}

int routes_new(const struct cashew_handler *const *handlers, struct routes *ret)
{
	struct routes routes = {.handlers = handlers};
	while (handlers[routes.handler_count])
		routes.handler_count++;
	routes.lanes = calloc(routes.handler_count + 1, sizeof(*routes.lanes));
	routes.schedules.name = "schedules";
	routes.schedules.routes = calloc(routes.handler_count, sizeof(*routes.schedules.routes));
	int error = routes.lanes && routes.schedules.routes ? 0 : -ENOMEM;
	for (unsigned i = 0; i < routes.handler_count && error == 0; i++)
		error = add(&routes, i);
	/* Where there are schedules alone: they go by the name of a lane in the store. */
	if (error == 0 && routes.lane_count == 0 && !find_lane(&routes, "main"))
		error = -ENOMEM;
	if (error != 0) {
		routes_free(&routes);
		return error;
	}
	*ret = routes;
	return 0;
}

void routes_free(struct routes *routes)
{
	for (size_t i = 0; i < routes->lane_count; i++) {
		const struct route_lane *lane = &routes->lanes[i];
		for (size_t j = 0; j < lane->route_count; j++)
			if (lane->routes[j].prefix_size > 0)
				free((void *)(uintptr_t)lane->routes[j].filter);
		free(lane->routes);
	}
	free(routes->lanes);
	for (size_t i = 0; i < routes->schedules.route_count; i++)
		free((void *)(uintptr_t)routes->schedules.routes[i].filter);
	free(routes->schedules.routes);
	*routes = (struct routes){0};
}

/* ---- Shared subscriptions ---- */

void routes_group(const struct route_lane *lane, const char *group, char ret_group[static ROUTE_GROUP_SIZE])
{
	routes_client_id(lane, group, ret_group);
}

char *routes_shared_filter(const struct route_lane *lane, const char *group, const char *filter)
{
	char own[ROUTE_GROUP_SIZE];
	char *shared = NULL;
	routes_group(lane, group, own);
	return asprintf(&shared, "$share/%s/%s", own, filter) < 0 ? NULL : shared;
}

int routes_share(struct routes *routes, const char *group)
{
	if (group[0] == '\0')
		return 0;
	for (size_t i = 0; i < routes->lane_count; i++) {
		const struct route_lane *lane = &routes->lanes[i];
		for (size_t j = 0; j < lane->route_count; j++) {
			struct route *route = &lane->routes[j];
			if (route->filter[0] == '$')
				continue;
			const char *shared = routes_shared_filter(lane, group, route->filter);
			if (!shared)
				return -ENOMEM;
			route->prefix_size = strlen(shared) - strlen(route->filter);
			route->filter = shared;
		}
	}
	return 0;
}

const char *route_plain(const struct route *route)
{
	return route->filter + route->prefix_size;
}

/* ---- Looking ---- */

const struct route *routes_find(const struct route_lane *lane, const char *topic)
{
	const char *slash = strchr(topic, '/');
	const size_t rest = slash ? strlen(slash + 1) : 0;
	for (size_t i = 0; i < lane->route_count; i++) {
		const struct route *route = &lane->routes[i];
		if (route->literal_size != 0) {
			if (route->literal_size == rest &&
				memcmp(route_plain(route) + 2, slash + 1, rest) == 0)
				return route;
		} else if (topic_matches(route_plain(route), topic)) {
			return route;
		}
	}
	return NULL;
}

const struct route *routes_find_schedule(const struct routes *routes, const char *topic)
{
	for (size_t i = 0; i < routes->schedules.route_count; i++)
		if (strcmp(routes->schedules.routes[i].filter, topic) == 0)
			return &routes->schedules.routes[i];
	return NULL;
}

void routes_client_id(
	const struct route_lane *lane, const char *base, char ret_client_id[static ROUTE_CLIENT_ID_SIZE])
{
	const bool is_main = strcmp(lane->name, "main") == 0;
	snprintf(ret_client_id, ROUTE_CLIENT_ID_SIZE, "%s%s%s", base, is_main ? "" : "-",
		is_main ? "" : lane->name);
}

static bool holds(const char *const *texts, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

int routes_filters(const struct routes *routes, const char ***ret_filters, size_t *ret_count)
{
	const char **filters = calloc(routes->handler_count + 1, sizeof(*filters));
	size_t count = 0;
	if (!filters)
		return -ENOMEM;
	for (size_t i = 0; i < routes->lane_count; i++) {
		const struct route_lane *lane = &routes->lanes[i];
		for (size_t j = 0; j < lane->route_count; j++) {
			const char *filter = route_plain(&lane->routes[j]);
			if (filter[0] != '$' && !holds(filters, count, filter))
				filters[count++] = filter;
		}
	}
	*ret_filters = filters;
	*ret_count = count;
	return 0;
}
