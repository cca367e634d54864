/*
 * dispatch_time.c - see dispatch.h: what happens because time passes, or because the store is away or back.
 *
 * Retries stand in one list, of which the earliest is known: it is walked only when that is due, and not more often than
 * every RETRY_STEP_MS, so that ten thousand that wait cost little. Places are walked from the oldest unsettled one, as far
 * as they have been held for long.
 */
#include "dispatch.h"

#include "context.h"
#include "dispatch_private.h"
#include "lane.h"
#include "pool.h"
#include "store_watch.h"
#include "users.h"

enum {
	LOOK_MS = 50,	    /* between two looks at places that are held for long */
	STALL_LOOK_MS = 20, /* the same, while the broker seems to wait */
	RETRY_STEP_MS = 5,
};

/* ---- Retries ---- */

static void link_retry(struct command **list, struct command *command)
{
	command->retry_next = *list;
	if (*list)
		(*list)->retry_link = &command->retry_next;
	command->retry_link = list;
	*list = command;
}

void dispatch_unlink_retry(struct command *command)
{
	if (!command->retry_link)
		return;
	*command->retry_link = command->retry_next;
	if (command->retry_next)
		command->retry_next->retry_link = command->retry_link;
	command->retry_link = NULL;
	command->retry_next = NULL;
}

void dispatch_wait(struct host *host, struct command *command, unsigned delay_ms)
{
	if (command->state != COMMAND_RETRYING)
		command_move(command, COMMAND_RETRYING);
	command->retry_since_ms = host->now_ms;
	command->retry_at_ms = host->now_ms + delay_ms;
	if (command->retry_at_ms < host->retries_at_ms)
		host->retries_at_ms = command->retry_at_ms;
	link_retry(&host->retrying, command);
}

/* What they need is there again: nobody waits for the end of his pause, who was not told how long it has to be. */
void dispatch_retry_now(struct host *host, const struct route *route)
{
	for (struct command *command = host->retrying; command; command = command->retry_next)
		if (command->route == route && !command->refused && command->retry_after_ms == 0)
			command->retry_at_ms = host->now_ms;
	host->retries_at_ms = host->now_ms;
}

/* Until the store answers again: no attempt, and nobody's time. */
void dispatch_shelve(struct host *host, struct command *command)
{
	command_move(command, COMMAND_RETRYING);
	command->retry_at_ms = INT64_MAX;
	link_retry(&host->shelved, command);
}

/* ---- What is due ---- */

static void run_retry(struct host *host, struct command *command)
{
	dispatch_unlink_retry(command);
	if (command->user->turn == command && command->retry_at_ms != INT64_MAX)
		command->user->active_us += (host->now_ms - command->retry_since_ms) * 1000;
	dispatch_try_again(host, command);
}

static void run_retries(struct host *host)
{
	if (host->now_ms < host->retries_at_ms || suspects_quiet(&host->suspects, host->now_ms))
		return;
	host->retries_at_ms = INT64_MAX;
	struct command *due = NULL;
	for (struct command *command = host->retrying, *next; command; command = next) {
		next = command->retry_next;
		if (host->now_ms < command->retry_at_ms) {
			if (command->retry_at_ms < host->retries_at_ms)
				host->retries_at_ms = command->retry_at_ms;
			continue;
		}
		dispatch_unlink_retry(command);
		link_retry(&due, command);
	}
	if (host->retries_at_ms < host->now_ms + RETRY_STEP_MS)
		host->retries_at_ms = host->now_ms + RETRY_STEP_MS;
	while (due)
		run_retry(host, due);
}

int64_t dispatch_held_ms(const struct host *host, const struct command *command)
{
	return (user_active_us(command->user, host->now_ms * 1000) - command->active_before_us) / 1000;
}

static int64_t hold_ms_of(const struct host *host, const struct host_lane *home)
{
	return lane_is_blocked(home->lane, users_count(home->users), host->now_ms) ? DISPATCH_HOLD_MS
										   : DISPATCH_HOLD_MAX_MS;
}

bool dispatch_hinders(const struct host *host, const struct command *command)
{
	return hold_ms_of(host, command->home) == DISPATCH_HOLD_MS ||
	       host->now_ms - command->arrived_ms >= DISPATCH_HOLD_MAX_MS;
}

/* The command of a place that has been held for long. Where the lane stalls it need not be its user's doing, but writing it down must help: it
 * waits neither for a worker nor for the store. */
static void look_at(struct host *host, struct command *command, bool stalls)
{
	struct user *user = command->user;
	const int64_t hold_ms = stalls ? STALL_LOOK_MS : DISPATCH_HOLD_MS;
	if (command->state == COMMAND_WAITING && (user->backlog || user->turn == command))
		dispatch_next_held(host, user, hold_ms);
	else if (user->turn == command && (dispatch_held_ms(host, command) >= hold_ms ||
						  (stalls && command->state != COMMAND_RUNNING)))
		dispatch_step_aside(host, command);
}

static void look_at_places(struct host *host, const struct host_lane *home)
{
	struct lane *lane = home->lane;
	const int64_t hold_ms = hold_ms_of(host, home);
	const bool stalls = lane_stalls(lane, host->now_ms);
	const struct place *place = lane_oldest(lane), *next;
	if (place && stalls && place->command)
		look_at(host, place->command, true);
	/* A command that steps aside leaves its place where it is. */
	for (place = lane_oldest(lane); place && host->now_ms - place->arrived_us / 1000 >= hold_ms;
		place = next) {
		next = place->next;
		if (place->command)
			look_at(host, place->command, false);
	}
}

static int64_t places_due_ms(const struct host *host)
{
	int64_t due_ms = INT64_MAX;
	for (size_t i = 0; i < host->lane_count; i++) {
		const struct place *oldest = lane_oldest(host->lanes[i].lane);
		if (!oldest)
			continue;
		const int64_t held_ms = oldest->arrived_us / 1000 + DISPATCH_HOLD_MS + 1;
		const int64_t stalls_ms = lane_stalls_at_ms(host->lanes[i].lane);
		due_ms = held_ms < due_ms ? held_ms : due_ms;
		due_ms = stalls_ms < due_ms ? stalls_ms : due_ms;
	}
	return due_ms < host->places_at_ms && due_ms != INT64_MAX ? host->places_at_ms : due_ms;
}

void dispatch_serve(struct host *host)
{
	struct command *alone =
		suspects_serve(&host->suspects, host->board, pool_busy(host->pool) > 0, host->now_ms);
	if (alone)
		dispatch_start_alone(host, alone);
	run_retries(host);
	if (host->now_ms < places_due_ms(host))
		return;
	host->places_at_ms = host->now_ms + LOOK_MS;
	for (size_t i = 0; i < host->lane_count; i++) {
		if (lane_stalls_at_ms(host->lanes[i].lane) != INT64_MAX)
			host->places_at_ms = host->now_ms + STALL_LOOK_MS;
		look_at_places(host, &host->lanes[i]);
	}
}

int64_t dispatch_due_ms(const struct host *host)
{
	int64_t due_ms = places_due_ms(host);
	const int64_t suspects_ms = suspects_due_ms(&host->suspects, host->now_ms);
	due_ms = suspects_ms < due_ms ? suspects_ms : due_ms;
	const bool quiet = suspects_quiet(&host->suspects, host->now_ms);
	return !quiet && host->retries_at_ms < due_ms ? host->retries_at_ms : due_ms;
}

/* ---- The store ---- */

void dispatch_store_away(struct host *host)
{
	host->store_up = false;
	store_watch_suspect(host->store_watch);
}

void dispatch_store_back(struct host *host)
{
	parking_store_back(host->parking);
	while (host->shelved)
		run_retry(host, host->shelved);
}

/* ---- Standby ---- */

/* What has begun goes on, and what comes of it is the other host's to see. */
static void forget_waiting(void *context, struct user *user)
{
	struct host *host = context;
	user->in_turn = true; /* nobody's turn comes meanwhile */
	for (struct command *command = user->first, *next; command; command = next) {
		next = command->user_next;
		const bool waits = command->state == COMMAND_WAITING || command->state == COMMAND_RETRYING;
		if (!waits || command->origin == COMMAND_FROM_STORE || command->stepping)
			continue;
		dispatch_unlink_retry(command);
		dispatch_leave_line(host, command);
	}
	user->in_turn = false;
	users_drop_idle(user);
}

void dispatch_stand_by(struct host *host)
{
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_stand_by(host->lanes[i].lane, host->now_ms);
		users_each(host->lanes[i].users, forget_waiting, host);
	}
	parking_drop_all(host->parking);
}
