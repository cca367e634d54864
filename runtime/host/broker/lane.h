/*
 * lane.h - a lane: one broker session from which commands come, and the acknowledgements that it holds
 * back.
 *
 * The commands read since the last flush are the lane's group (host_group.h): while one of them is unsettled
 * nothing is written to the connection, so no PUBACK leaves; when the last one settles, all leave at once and
 * in order. At the group's age limit the lane drops the connection without acknowledging and keeps the
 * results: the broker sends the commands again, and the copies join the first. I/O thread only.
 */
#ifndef LANE_H
#define LANE_H

#include "routes.h"
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct held;
struct lane_users;
struct host;
struct lane;
struct parked_copy;
struct parked_marks;

__attribute__((warn_unused_result)) int lane_new(
	struct host *host, const struct route_lane *routes, struct lane **ret);

/* Forgets everything; no worker runs a command of it any more. */
void lane_free(struct lane *lane);

void lane_poll(struct lane *lane, struct pollfd *ret_poll);
int64_t lane_due_ms(struct lane *lane);
void lane_serve(struct lane *lane, short revents);

/* Releases the acknowledgements if the group has drained. Called once per turn of the loop, after everything
 * else. */
void lane_flush(struct lane *lane);

/* Whether it should be connected: while the store answers, and the host does not stop. Dropping acknowledges
 * nothing. */
void lane_want(struct lane *lane, bool want);

/* Drops the connection without acknowledging; it comes again with backoff. Not from within its own callbacks:
 * it is done by the next lane_flush(). reason: for the log. */
void lane_give_up(struct lane *lane, const char *reason);

/* Whether it waits for PUBACKs of events to release its group, which then must not be read late. */
bool lane_waits(const struct lane *lane);

/* Connected, and every filter granted at QoS 1. */
bool lane_ready(const struct lane *lane);

/* Since when its connection is up, which the broker has not closed; INT64_MAX: it is not. */
int64_t lane_alive_since_ms(const struct lane *lane);

/* Writes into the board how things stand. Once per turn of the loop. */
void lane_tell(struct lane *lane);

/* Stops reading; the group drains, is flushed, and the session is left by DISCONNECT. */
void lane_stop(struct lane *lane);
/* Whether it has left. */
bool lane_stopped(const struct lane *lane);
/* Closes at once; what its group holds is left to the broker, unacknowledged. */
void lane_abandon(struct lane *lane);

struct host *lane_host(const struct lane *lane);
const struct route_lane *lane_routes(const struct lane *lane);

/* The session's, by which its parked commands are found in the store. */
const char *lane_client_id(const struct lane *lane);

/* What the lane has parked has been read from the store, as it must be before each connecting: then the lane
 * may connect. Takes the marks over. */
void lane_loaded(struct lane *lane, struct parked_marks *marks);

/* ---- For command.c ---- */

/* Puts a new command into the group and the in-flight table. -ENOMEM. */
__attribute__((warn_unused_result)) int lane_attach(struct lane *lane, struct command *command);

/* What is known under that packet identifier, or NULL. */
struct held *lane_in_flight(const struct lane *lane, uint16_t mid);
/* It is a redelivered copy, whose PUBACK is held with the others. */
void lane_join(struct lane *lane, struct held *held);
/* It is not, so that from now on the packet identifier means another command. */
void lane_unlist(struct lane *lane, struct held *held);

/* The command has settled, and is going to be freed. */
void lane_settled(struct lane *lane, struct command *command);

/* The command is going to be freed without an end. It is in no group. */
void lane_forget(struct lane *lane, struct command *command);

/* Whether a copy of a command that is parked may come: it was parked before the lane connected, and the
 * broker is still sending again what was not acknowledged. */
bool lane_awaits_parked(const struct lane *lane);
/* Whether it is such a copy, or was run before one was parked. Each is known once. */
bool lane_take_parked(struct lane *lane, uint16_t mid, uint64_t key, struct parked_copy *ret);
/* Such a copy is acknowledged with what is read now. */
void lane_acknowledge_parked(struct lane *lane, const struct parked_copy *copy);
/* Whether a backlog of the lane's that is held for that position must not be claimed yet. Before what is
 * parked has been read, that is all of them: what they are held for is not known. */
bool lane_holds(const struct lane *lane, int64_t held_position);

/* The commands of its user that came before it on this connection, each as parked_before_write() has it, into
 * room for `max` of them. Returns how many there are. */
size_t lane_before(struct lane *lane, const struct command *command, unsigned char *ret, size_t max);

/* Whether a command of its user that came later, on the same connection, has begun. */
bool lane_overtaken(const struct lane *lane, const struct command *command);

/* The next place in the order of what is parked: microseconds of Unix time that only grow. */
int64_t lane_next_position(struct lane *lane);

/* The order within each user. */
struct lane_users *lane_users(struct lane *lane);

/* A command came on a topic that no handler wants: the session still holds an old filter. */
void lane_unsubscribe_stale(struct lane *lane, const char *topic);

/* Counts the commands that are not acknowledged (QoS 0): false when as many run as the window holds. */
bool lane_add_unacknowledged(struct lane *lane);
void lane_remove_unacknowledged(struct lane *lane);

#endif
