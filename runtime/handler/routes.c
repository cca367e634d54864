/*
 * routes.c - see routes.h. A lookup compares the command's name with a handful of literals;
 * wildcards take the slow way.
 */
#include "routes.h"

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

int routes_new(const struct cashew_handler *const *handlers, struct routes *ret)
{
	struct routes routes = {.handlers = handlers};
	while (handlers[routes.handler_count])
		routes.handler_count++;
	routes.lanes = calloc(routes.handler_count, sizeof(*routes.lanes));
	if (!routes.lanes)
		return -ENOMEM;
	for (unsigned i = 0; i < routes.handler_count; i++) {
		struct route_lane *lane = find_lane(&routes, routes_lane_name(handlers[i]));
		if (!lane) {
			routes_free(&routes);
			return -ENOMEM;
		}
		add_handler(lane, handlers[i], i);
	}
	*ret = routes;
	return 0;
}

void routes_free(struct routes *routes)
{
	for (size_t i = 0; i < routes->lane_count; i++)
		free(routes->lanes[i].routes);
	free(routes->lanes);
	*routes = (struct routes){0};
}

const struct route *routes_find(const struct route_lane *lane, const char *topic)
{
	const char *slash = strchr(topic, '/');
	const size_t rest = slash ? strlen(slash + 1) : 0;
	for (size_t i = 0; i < lane->route_count; i++) {
		const struct route *route = &lane->routes[i];
		if (route->literal_size != 0) {
			if (route->literal_size == rest && memcmp(route->filter + 2, slash + 1, rest) == 0)
				return route;
		} else if (topic_matches(route->filter, topic)) {
			return route;
		}
	}
	return NULL;
}

void routes_client_id(
	const struct route_lane *lane, const char *base, char ret_client_id[static ROUTE_CLIENT_ID_SIZE])
{
	const bool is_main = strcmp(lane->name, "main") == 0;
	snprintf(ret_client_id, ROUTE_CLIENT_ID_SIZE, "%s%s%s", base, is_main ? "" : "-",
		is_main ? "" : lane->name);
}
