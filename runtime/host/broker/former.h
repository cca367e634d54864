/*
 * former.h - the filters that a lane's session may still have from a time of another SHARED_GROUP, or of none: the broker would send every command by
 * both.
 *
 * Happy path: former_begin() when a link is up, former_end() when all filters are granted: then the session's others are unsubscribed, in one packet,
 * and not before: no command finds the session without any filter. A session that is new has none. Where commands come that no handler wants,
 * former_drop() unsubscribes their filter in every group. Failure modes: what cannot be sent is sent on the next link; until then commands come twice.
 * I/O thread only.
 */
#ifndef FORMER_H
#define FORMER_H

#include <stdbool.h>

struct connection_terms;
struct host_groups;
struct mosquitto;
struct route_lane;

struct former {
	const struct route_lane *routes;
	const char *group; /* SHARED_GROUP; "": none */
	const struct host_groups *
		groups; /* others that the session was in; NULL: none is known. Filled before the link opens */
	bool wanted;	/* on this link: the session was there before it, and they are not unsubscribed yet */
	int mid;	/* of the UNSUBSCRIBE; 0: none was sent */
};

/* A link is up. Whether the lane may subscribe: not where the broker says that it does not do shared subscriptions, which is told. */
bool former_begin(struct former *former, const struct connection_terms *terms);

/* All filters of the lane are granted. */
void former_end(struct former *former, struct mosquitto *mosquitto);

/* The same for a filter of no handler's, "+/{command}" for a command's topic, in this group and all others. */
void former_drop(const struct former *former, struct mosquitto *mosquitto, const char *topic);

#endif
