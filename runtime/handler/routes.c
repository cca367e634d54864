/*
 * routes.c - see host_routes.h. A lookup compares the command's name with a handful of literals;
 * wildcards take the slow way.
 */
#include "routes.h"

#include "exit_codes.h"
#include "host.h"
#include "settings.h"
#include "topic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *lane_name(const struct cashew_handler *handler)
{
	return handler->lane != NULL ? handler->lane : "main";
}

static unsigned check_deadline(const struct cashew_handler *handler, FILE *problems)
{
	if (handler->deadline_ms <= SETTINGS_HANDLER_TIMEOUT_MAX_S * 1000)
		return 0;
	fprintf(problems, "handler %s: .deadline_ms = %u: expected %d or less, which is %d s\n", handler->name, handler->deadline_ms,
		SETTINGS_HANDLER_TIMEOUT_MAX_S * 1000, SETTINGS_HANDLER_TIMEOUT_MAX_S);
	return 1;
}

static unsigned check_handler(const struct cashew_handler *handler, FILE *problems)
{
	unsigned found = check_deadline(handler, problems);
	if (handler->handle == NULL) {
		fprintf(problems, "handler %s: .handle is missing\n", handler->name);
		found++;
	}
	if (handler->topic != NULL && topic_filter_shared(handler->topic)) {
		fprintf(problems,
			"handler %s: .topic = \"%s\": a shared subscription would break up the order of a "
			"user's "
			"commands: expected a topic filter like \"+/get_apples\"\n",
			handler->name, handler->topic);
		found++;
	} else if (handler->topic == NULL || !topic_filter_valid(handler->topic)) {
		fprintf(problems,
			"handler %s: .topic = \"%s\": expected an MQTT topic filter like \"+/get_apples\"\n",
			handler->name, handler->topic != NULL ? handler->topic : "");
		found++;
	}
	if (handler->lane != NULL && !topic_event_valid(handler->lane)) {
		fprintf(problems, "handler %s: .lane = \"%s\": expected 1 to 64 of a-z 0-9 _\n",
			handler->name, handler->lane);
		found++;
	}
	return found;
}

/* Within a lane each command must come once: equal filters share a subscription, overlapping ones would bring
 * it twice. */
static unsigned check_overlaps(const struct cashew_handler *const *selected, FILE *problems)
{
	unsigned found = 0;
	for (size_t i = 0; selected[i] != NULL; i++) {
		unsigned same = 0;
		for (size_t j = 0; selected[j] != NULL; j++) {
			const struct cashew_handler *a = selected[i], *b = selected[j];
			if (strcmp(lane_name(a), lane_name(b)) != 0)
				continue;
			if (strcmp(a->topic, b->topic) == 0) {
				same++;
			} else if (j > i && topic_filters_overlap(a->topic, b->topic)) {
				fprintf(problems,
					"handlers %s and %s: their filters \"%s\" and \"%s\" overlap in lane "
					"%s, so a command would "
					"arrive twice: use the same filter, or a .lane of its own for one of "
					"them\n",
					a->name, b->name, a->topic, b->topic, lane_name(a));
				found++;
			}
		}
		if (same > ROUTE_HANDLERS_MAX) {
			fprintf(problems, "topic \"%s\" has %u handlers: %d at most\n", selected[i]->topic,
				same, ROUTE_HANDLERS_MAX);
			found++;
		}
	}
	return found;
}

int host_select_handlers(const struct settings *settings, const struct cashew_handler *const *handlers,
	FILE *problems, const struct cashew_handler ***ret_selected)
{
	size_t count = 0, chosen = 0;
	unsigned found = 0;
	while (handlers[count] != NULL)
		count++;
	const struct cashew_handler **selected = calloc(count + 1, sizeof(*selected));
	if (selected == NULL) {
		fputs("out of memory\n", problems);
		return EXIT_SOFTWARE;
	}
	for (size_t i = 0; i < count; i++)
		if (settings->handlers[0] == '\0' ||
			settings_list_holds(settings->handlers, handlers[i]->name))
			selected[chosen++] = handlers[i];
	if (chosen == 0) {
		fprintf(problems, "HANDLERS=%s selects no handler: --list-handlers shows their names\n",
			settings->handlers);
		found++;
	}
	for (size_t i = 0; i < chosen; i++)
		found += check_handler(selected[i], problems);
	if (found == 0)
		found = check_overlaps(selected, problems);
	if (found != 0) {
		free(selected);
		return EXIT_CONFIG;
	}
	*ret_selected = selected;
	return 0;
}

static struct route_lane *find_lane(struct routes *routes, const char *name)
{
	for (size_t i = 0; i < routes->lane_count; i++)
		if (strcmp(routes->lanes[i].name, name) == 0)
			return &routes->lanes[i];
	struct route_lane *lane = &routes->lanes[routes->lane_count];
	lane->routes = calloc(routes->handler_count, sizeof(*lane->routes));
	if (lane->routes == NULL)
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
		if (strncmp(handler->topic, "+/", 2) == 0 && strpbrk(handler->topic + 2, "+#") == NULL)
			route->literal_size = strlen(handler->topic + 2);
	}
	route->handlers[route->handler_count++] = index;
	route->light = route->light && handler->light;
}

int routes_new(const struct cashew_handler *const *handlers, struct routes *ret)
{
	struct routes routes = {.handlers = handlers};
	while (handlers[routes.handler_count] != NULL)
		routes.handler_count++;
	routes.lanes = calloc(routes.handler_count, sizeof(*routes.lanes));
	if (routes.lanes == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < routes.handler_count; i++) {
		struct route_lane *lane = find_lane(&routes, lane_name(handlers[i]));
		if (lane == NULL) {
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
	const size_t rest = slash != NULL ? strlen(slash + 1) : 0;
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
