/*
 * lane.h - a lane: one broker session from which commands come, and the places of those whose PUBACKs are held.
 *
 * Happy path: lane_want(); the owner hears of each message and gives it a place by lane_hold(), or takes over the place
 * of a copy by lane_take_copy(). When the command has settled: lane_settle(). The PUBACKs of all places up to the first
 * unsettled one leave with the next lane_flush(). Failure modes: whatever ends the link, its places are kept for the
 * copies that come on the next one (copies.h), and the owner hears nothing of it but that the lane is not ready.
 *
 * The lane reports, and decides nothing: its owner is loop.c. I/O thread only.
 */
#ifndef LANE_H
#define LANE_H

#include "place.h"
#include "routes.h"
#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct figures;
struct lane;
struct resolver;
struct settings;

struct lane_owner {
	/* A message. number: its place's on this link, or LANE_NO_PLACE. dup: as the broker has marked it. */
	void (*message)(void *owner, const struct mosquitto_message *message,
		const mosquitto_property *properties, uint64_t number, bool dup);
	/* One that is too large to be read: it has no payload, and its payloadlen is the size of the packet. */
	void (*oversized)(void *owner, const struct mosquitto_message *message, uint64_t number, bool dup);
	/* A place is going to be freed: its PUBACK has left (released), or its copy is not awaited any more. Its command,
	 * where it has one, goes on. */
	void (*freed)(void *owner, const struct place *place, bool released);
};

struct lane_options {
	const struct settings *settings;
	const struct route_lane *routes;
	const struct host_groups *former_groups; /* see former.h; NULL: none */
	struct figures *figures;		 /* on the board */
	struct resolver *resolver;
	const struct lane_owner *callbacks;
	void *owner;
};

#define LANE_NO_PLACE UINT64_MAX

/* The options' pointers outlive the lane. 0 and *ret, or -ENOMEM. */
__attribute__((warn_unused_result)) int lane_new(const struct lane_options *options, struct lane **ret);

/* Every place is freed, each with a last freed(). NULL is fine. */
void lane_free(struct lane *lane);

/* Whether it should be connected. False lets go of the link without acknowledging anything more. */
void lane_want(struct lane *lane, bool want, int64_t now_ms);

/* Ends the link at the end of this turn; it is opened again. May be called from within the callbacks. reason: for the
 * log; static. */
void lane_give_up(struct lane *lane, const char *reason);

/* What to poll for; reads: whether its owner can take more. */
void lane_poll(struct lane *lane, bool reads, struct pollfd *ret_poll);
int64_t lane_due_ms(const struct lane *lane, bool reads);
void lane_serve(struct lane *lane, short revents, bool reads, int64_t now_ms);

/* Once per turn of the loop, after everything else: PUBACKs whose turn it is leave. */
void lane_flush(struct lane *lane, int64_t now_ms);

/* Writes into the board how things stand. Once per turn of the loop. standby: another host is active under this client id. */
void lane_tell(const struct lane *lane, bool standby);

/* ---- Places ---- */

/* A new place for the message that is being told. NULL when out of memory. */
struct place *lane_hold(
	struct lane *lane, uint64_t number, uint16_t mid, uint64_t user, uint64_t fingerprint);

/* The same, for one that is acknowledged and not run. False when out of memory. */
__attribute__((warn_unused_result)) bool lane_hold_settled(struct lane *lane, uint64_t number, uint16_t mid);

/* The message that is being told is a copy: its place, with the command of the first. NULL: it is none, or one that is
 * not known; then nothing is kept of its user any more. A message without DUP ends the time of copies. */
struct place *lane_take_copy(
	struct lane *lane, uint64_t number, uint16_t mid, bool dup, uint64_t user, uint64_t fingerprint);

/* Whether a place of this link holds that packet identifier; that place. */
struct place *lane_held_place(const struct lane *lane, uint16_t mid);

/* Its command has settled: its PUBACK may leave. end: enum command_end. */
void lane_settle(struct lane *lane, struct place *place, unsigned end);

/* The oldest place that has not settled; NULL: all have. */
const struct place *lane_oldest(const struct lane *lane);

/* Whether the broker seems to wait for it: nothing has come for a while, and many settled places are held behind it. */
bool lane_stalls(const struct lane *lane, int64_t now_ms);
/* When that may be so, if nothing comes; INT64_MAX: it may not. */
int64_t lane_stalls_at_ms(const struct lane *lane);

/* Whether for a second nothing came and nothing was released, though it would read. */
bool lane_is_idle(const struct lane *lane, int64_t now_ms);

/* Whether those who are done wait for the one that is not (head-of-line blocking): many places could be released but for the oldest, of so many users
 * who have something to do. Where all wait alike, for a processor or for what all their handlers need, or where parked ones are all that has settled,
 * it is not: who went into the store then would help nobody, and cost all. A lane that stalls or is idle is: there is time to write, and the broker may
 * wait for it. */
bool lane_is_blocked(const struct lane *lane, size_t users, int64_t now_ms);

/* How many places it holds: messages of the broker that are not acknowledged yet. */
size_t lane_held(const struct lane *lane);

/* Counts a command that steps aside. */
void lane_stepped_aside(struct lane *lane);

/* ---- State ---- */

/* Connected, and every filter granted at QoS 1. */
bool lane_ready(const struct lane *lane);

/* Since when its connection is up, which the broker has not closed; INT64_MAX: it is not. */
int64_t lane_alive_since_ms(const struct lane *lane);

/* Reads no more; when no place is left the session is left by DISCONNECT. */
void lane_stop(struct lane *lane, int64_t now_ms);
/* Whether it has left. */
bool lane_stopped(const struct lane *lane);
/* Closes at once; what it holds is left to the broker, unacknowledged. Returns how many places that were. */
size_t lane_abandon(struct lane *lane, int64_t now_ms);

/* Another host may be active: nothing more is read or released, and what is held or kept is forgotten. All of it comes again,
 * there or here, and is run. The lane stays closed until it is wanted. */
void lane_stand_by(struct lane *lane, int64_t now_ms);

/* The session's, by which its parked commands are found in the store. */
const char *lane_client_id(const struct lane *lane);

/* A command came on a topic that no handler wants: the session still holds an old filter. */
void lane_unsubscribe_stale(struct lane *lane, const char *topic);

#endif
