/*
 * routes.h - which handlers run for which topic: the lanes, their filters, and the handlers of each
 * filter.
 *
 * Made once at start from the handlers' descriptors; read by all threads afterwards.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "cashew.h"
#include <stddef.h>

enum { ROUTE_HANDLERS_MAX = 32, ROUTE_LANE_DEFAULT_SIZE = 5, ROUTE_CLIENT_ID_SIZE = 160 };

/* A filter and its handlers. */
struct route {
	const char *filter;
	size_t literal_size; /* of what follows "+/" in the filter, where that holds no wildcard; else 0 */
	bool light;	     /* all of its handlers are */
	unsigned handler_count;
	unsigned handlers[ROUTE_HANDLERS_MAX]; /* indexes into struct routes.handlers */
};

struct route_lane {
	const char *name;
	struct route *routes;
	size_t route_count;
};

struct routes {
	const struct cashew_handler *const *handlers;
	size_t handler_count;
	struct route_lane *lanes;
	size_t lane_count;
	struct route_lane schedules; /* by the topics of timetable.h; no session of the broker's is theirs */
};

/* The route of a schedule's runs in the store, or NULL when no handler here has that schedule. */
const struct route *routes_find_schedule(const struct routes *routes, const char *topic);

/* The lane that a handler asks for; "main" where it names none. */
const char *routes_lane_name(const struct cashew_handler *handler);

/* handlers: ended by NULL, as select_handlers() returned them; outlives the routes. There is a lane at least, if an empty one. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int routes_new(
	const struct cashew_handler *const *handlers, struct routes *ret);
void routes_free(struct routes *routes);

/* The route of a topic, or NULL when no handler of the lane wants it. Filters of a lane do not overlap. */
const struct route *routes_find(const struct route_lane *lane, const char *topic);

/*
 * The filters of all lanes, each once, without those that begin with $, which no token grants: what a handler's token has to allow. 0 and *ret_filters,
 * freed with free(), its texts the handlers'; -ENOMEM.
 */
__attribute__((warn_unused_result)) int routes_filters(
	const struct routes *routes, const char ***ret_filters, size_t *ret_count);

/* The client id of a lane's session: that of the settings for the lane main, with the lane's name behind it for others. */
void routes_client_id(
	const struct route_lane *lane, const char *base, char ret_client_id[static ROUTE_CLIENT_ID_SIZE]);

#endif
