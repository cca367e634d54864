/*
 * unpromised.h - commands that carry no promise: QoS 0, and QoS 2 of an old subscription. They are run, counted, bounded,
 * and told once; no broker sends them again. I/O thread only.
 */
#ifndef UNPROMISED_H
#define UNPROMISED_H

#include <stdbool.h>

struct command;
struct host;
struct host_lane;

/* One has come. False: as many are under way as the window has room for, or USER_WINDOW of its user's, and it is dropped. */
bool unpromised_admit(struct host_lane *home, const char *topic, int qos);

/* One is gone, whatever came of it. */
void unpromised_end(struct host_lane *home);

/* Tells of one that is dropped: the first at once, of those that follow only their number, once in ten seconds. user:
 * NULL: not known. */
void unpromised_dropped(
	struct host *host, const char *topic, const char *user, unsigned attempt, const char *reason);

#endif
