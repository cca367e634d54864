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

enum {
	ROUTE_HANDLERS_MAX = 32,
	ROUTE_LANE_DEFAULT_SIZE = 5,
	ROUTE_CLIENT_ID_SIZE = 160,
	ROUTE_GROUP_SIZE = 160
};

/* A filter and its handlers. */
struct route {
	const char *filter;  /* as it is subscribed to */
	size_t prefix_size;  /* of "$share/{group}/" at the filter's beginning; 0: it is not shared */
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

/*
 * Makes the filters of all lanes shared ones (MQTT 5.0 section 4.8.2), in the group that routes_group() names: for hosts of other client ids that divide
 * the commands. Filters that begin with $ stay as they are. group: a name of settings; "" does nothing. 0, or -ENOMEM, after which routes_free() is
 * all that may be done. Once, before anybody else reads the routes.
 */
__attribute__((warn_unused_result)) int routes_share(struct routes *routes, const char *group);

/* The route's filter without the group. */
const char *route_plain(const struct route *route);

/* The group that a lane's filters are shared in: each lane must get every command, so only the main one's is the setting itself. */
void routes_group(const struct route_lane *lane, const char *group, char ret_group[static ROUTE_GROUP_SIZE]);

/* "$share/{group}/{filter}" with the lane's group, freed with free(); NULL when out of memory. */
char *routes_shared_filter(const struct route_lane *lane, const char *group, const char *filter);

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
 * The filters of all lanes, each once and without a group, but none that begins with $, which no token grants: what a handler's token has to allow. 0
 * and *ret_filters, freed with free(), its texts the handlers' or, where they are shared, the routes'; -ENOMEM.
 */
__attribute__((warn_unused_result)) int routes_filters(
	const struct routes *routes, const char ***ret_filters, size_t *ret_count);

/* The client id of a lane's session: that of the settings for the lane main, with the lane's name behind it for others. */
void routes_client_id(
	const struct route_lane *lane, const char *base, char ret_client_id[static ROUTE_CLIENT_ID_SIZE]);

#endif
