/*
 * dispatch_store.c - see dispatch.h: commands that go into the store, and those that come from it.
 *
 * A command may be written only when everything earlier of its user is settled (may_be_stored()): else its effects would
 * come after a later one's. What comes behind it goes behind it (dispatch_follow()). What parking reports ends in the
 * functions at the end.
 */
#include "dispatch.h"

#include "context.h"
#include "dispatch_private.h"
#include "lane.h"
#include "log.h"
#include "record.h"
#include "settings.h"
#include "store.h"
#include "topic.h"
#include "unpromised.h"
#include "users.h"
#include <stdio.h>
#include <stdlib.h>

enum {
	BURY_AGAIN_MS = 300000, /* a dead letter that the database refuses */
	WAIT_MS = 400,		/* where memory has run out */
	UNBURIED_MS = 10000,	/* where it can be neither buried nor kept beside */
	CROWD_MIN = 8,		/* users with a backlog .. */
	CROWD_PART = 4,		/* .. and one of so many */
};

/* ---- Into the store ---- */

/* The next place in the order of what a lane has in the store. */
static int64_t next_position(const struct host *host, struct host_lane *home)
{
	const int64_t now_us = store_now_us(host->store);
	home->last_position = now_us > home->last_position ? now_us : home->last_position + 1;
	return home->last_position;
}

/* Its record is made and handed to parking. False when out of memory: nothing has changed. */
static bool store_new(
	struct host *host, struct command *command, unsigned attempts, unsigned delay_ms, bool behind)
{
	struct host_lane *home = command->home;
	struct backlog *backlog =
		parking_backlog(host->parking, command->user, home, lane_client_id(home->lane), false);
	if (!backlog)
		return false;
	const struct record_terms terms = {
		.lane_id = backlog->lane_id,
		.position = next_position(host, home),
		.attempts = attempts,
		.delay_ms = delay_ms,
		.behind = behind || backlog->written,
	};
	if (!record_make(command, &host->routes, &terms))
		return false;
	command->backlog = backlog;
	return true;
}

/* Whether its effects, as it stands, come after all that its user has sent before: then it may go on from the store. */
static bool may_be_stored(const struct host *host, const struct command *command)
{
	return command->origin == COMMAND_FROM_BROKER && command->user->first == command &&
	       !command->stepping && !command->unsteppable && host->store_up;
}

/* It is run again later, from the store. False: it stays as it is. */
bool dispatch_park(struct host *host, struct command *command, unsigned attempts, unsigned delay_ms)
{
	if (!may_be_stored(host, command) || !store_new(host, command, attempts, delay_ms, false))
		return false;
	dispatch_unlink_retry(command);
	command_move(command, COMMAND_STORING);
	command->backlog->feared |= command->crashes > 0;
	struct place *place = command->place;
	if (command->marked && place && !command->backlog->after) {
		command->backlog->after = place;
		place->delays = command->backlog;
	}
	record_log(command);
	parking_store(host->parking, command->backlog, command);
	return true;
}

void dispatch_postpone(struct host *host, struct command *command, unsigned attempts, unsigned delay_ms)
{
	dispatch_unlink_retry(command);
	if (!command->backlog) { /* its lease was lost while it ran: it is run again by whoever has its document */
		dispatch_leave_line(host, command);
		return;
	}
	const struct record_terms terms = {.attempts = attempts, .delay_ms = delay_ms};
	if (!record_make(command, &host->routes, &terms)) {
		dispatch_wait(host, command, WAIT_MS);
		return;
	}
	command_move(command, COMMAND_STORING);
	command->backlog->feared |= command->crashes > 0;
	record_log(command);
	parking_postpone(host->parking, command, delay_ms);
}

/* A run has failed for now, and it is not tried again where it is. False: it cannot be parked now. */
bool dispatch_run_later(struct host *host, struct command *command)
{
	const unsigned attempts = command->base_attempts + 1;
	if (command->origin == COMMAND_FROM_BROKER && !may_be_stored(host, command))
		return false;
	if (attempts >= host->settings->max_attempts) {
		/* Those in place count once. */
		command->attempts = attempts;
		dispatch_unlink_retry(command);
		dispatch_die(host, command, command->reason);
		return true;
	}
	unsigned delay_ms = record_delay_ms(attempts);
	if (command->retry_after_ms > delay_ms)
		delay_ms = command->retry_after_ms;
	if (command->origin == COMMAND_FROM_BROKER)
		return dispatch_park(host, command, attempts, delay_ms);
	dispatch_postpone(host, command, attempts, delay_ms);
	return true;
}

/* It runs on; from now on as a command from the store. */
void dispatch_step_aside(struct host *host, struct command *command)
{
	if (!may_be_stored(host, command) || host->stopping || command->user->backlog)
		return;
	if (command->state == COMMAND_RETRYING) {
		/* While events are refused they are sent again, and no handler runs again for them. */
		if (command->retry_at_ms != INT64_MAX && !command->refused && !command->tried_alone)
			(void)dispatch_run_later(host, command);
		return;
	}
	command->stepping = true;
	if (!store_new(host, command, command->base_attempts, 0, false)) {
		command->stepping = false;
		return;
	}
	command->backlog->stepped_aside = true;
	parking_store(host->parking, command->backlog, command);
	lane_stepped_aside(command->home->lane);
	log_debug("stepped_aside", "a command runs for long: it goes on from the store",
		LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic));
	dispatch_next_of(host, command->user);
}

/* Where so many have backlogs, these would not get shorter if all that comes went behind them: a command costs more by the store. So it waits in memory,
 * while there is room, unless its backlog itself waits for a time. */
static bool waits_in_crowd(const struct host *host, const struct command *command)
{
	const struct lane *lane = command->home->lane;
	const size_t backlogs = parking_backlog_count(host->parking);
	const bool room = lane_held(lane) * 2 < host->settings->window;
	return backlogs >= CROWD_MIN && backlogs * CROWD_PART >= users_count(command->user->users) &&
	       parking_is_due(host->parking, command->user->backlog) &&
	       host->now_ms - command->arrived_ms < DISPATCH_HOLD_MAX_MS &&
	       !lane_is_idle(lane, host->now_ms) && (room || !dispatch_hinders(host, command));
}

/* While the store is slow they wait, as all do: to write them would make it slower. */
void dispatch_follow(struct host *host, struct user *user, int64_t hold_ms)
{
	struct command *command = user->turn, *next;
	/* One that runs outside the store may still have to go there: nothing may be written before it. */
	const bool outside = command && command->origin != COMMAND_FROM_STORE && !command->stepping &&
			     (command->state == COMMAND_RUNNING || command->state == COMMAND_RETRYING);
	/* Nor before it is known that the database takes the backlog's first document: should it refuse that one, these can run. */
	if (outside || !user->backlog->written)
		return;
	while (command && (command->origin == COMMAND_FROM_STORE || command->state != COMMAND_WAITING))
		command = command->user_next;
	if (!command || !host->store_up ||
		(parking_lets_wait(host->parking, user->backlog) &&
			dispatch_held_ms(host, command) < hold_ms) ||
		waits_in_crowd(host, command))
		return;
	for (; command; command = next) {
		next = command->user_next;
		if (command->through || command->state != COMMAND_WAITING || command->tried_alone)
			continue;
		if (command->origin == COMMAND_UNPROMISED) {
			unpromised_dropped(host, command->input.topic, command->input.user, 0,
				"an earlier command of its user waits in the store");
			user_remove(user, command);
			dispatch_forget(host, command);
			continue;
		}
		if (!command->reason)
			command->reason = "an earlier command of its user waits in the store";
		if (!store_new(host, command, 0, 0, true))
			return;
		command_move(command, COMMAND_STORING);
		parking_store(host->parking, command->backlog, command);
	}
}

/* ---- Reports of parking ---- */

static void on_stored(void *owner, struct command *command, bool refused)
{
	struct host *host = owner;
	if (refused && command->stepping) {
		command->stepping = false;
		command->unsteppable = true;
		command->backlog = NULL;
		if (command->state == COMMAND_FINISHING)
			dispatch_settle(host, command, command->end);
	} else if (refused) {
		command->backlog = NULL;
		const char *reason = arena_format(&command->arena,
			"%s; and the database refuses to keep it for later", command->reason);
		dispatch_die(host, command, reason ? reason : "the database refuses to keep it for later");
	} else if (command->stepping) {
		command->stepping = false;
		user_stored(command->user, command);
		parking_add(host->parking, command->backlog, command);
		dispatch_settle_place(command, COMMAND_PARKED);
		if (command->state == COMMAND_FINISHING)
			parking_done(host->parking, command);
		else
			dispatch_next_of(host, command->user);
	} else {
		dispatch_settle(host, command, COMMAND_PARKED);
	}
}

/* Its lane's; or that of another one of this host's, where the handler has moved to a lane of its own, or the command is
 * another host's. */
static void find_route(struct host *host, struct command *command)
{
	if (command->schedule) {
		command->route = routes_find_schedule(&host->routes, command->input.topic);
		return;
	}
	command->route = routes_find(command->home->routes, command->input.topic);
	for (size_t i = 0; !command->route && i < host->lane_count; i++) {
		command->route = routes_find(host->lanes[i].routes, command->input.topic);
		if (command->route)
			command->home = &host->lanes[i];
	}
}

static bool on_read(void *owner, struct backlog *backlog, struct parked_command *document)
{
	struct host *host = owner;
	struct command *command = calloc(1, sizeof(*command) + COMMAND_ARENA_SIZE);
	if (!command)
		return false;
	arena_init(&command->arena, command + 1, COMMAND_ARENA_SIZE);
	command->job.run = worker_job;
	command->home = backlog->home;
	command->origin = COMMAND_FROM_STORE;
	command->document = document;
	command->events_end = &command->events;
	command->arrived_ms = host->now_ms;
	record_read(command);
	find_route(host, command);
	record_read_progress(command, &host->routes);
	host->commands++;
	host->bytes += command->input.payload_size;
	user_insert(backlog->user, command);
	parking_add(host->parking, backlog, command);
	if (!command->route && !backlog->foreign)
		command_settle_all(command, COMMAND_DEAD,
			command->schedule ? "there is no such schedule any more"
					  : "no handler wants the topic any more");
	else if (command->schedule && !record_schedule_readable(command))
		command_settle_all(command, COMMAND_DEAD,
			"its payload does not say when it was due: expected {\"since\": .., \"slot\": ..}");
	return true;
}

void dispatch_backlog_found(struct host *host, struct host_lane *home, const char *lane_id,
	const char *user_id, int64_t due_in_ms)
{
	char name[ROUTE_CLIENT_ID_SIZE + USER_ID_MAX + 2];
	const int size = home ? snprintf(name, sizeof(name), "%s", user_id)
			      : snprintf(name, sizeof(name), "%s/%s", lane_id, user_id);
	if (size < 0 || (size_t)size >= sizeof(name))
		return; /* of a client id that no host of this program can have */
	struct users *users = home ? home->users : host->foreign;
	struct user *user = users_get(users, users_key(name, (size_t)size), name, (size_t)size);
	struct backlog *backlog =
		user ? parking_backlog(host->parking, user, home ? home : &host->lanes[0], lane_id, !home)
		     : NULL;
	if (backlog)
		parking_found(host->parking, backlog, host->now_ms + (due_in_ms > 0 ? due_in_ms : 0));
	else if (user)
		users_drop_idle(user);
}

static void on_claimed(void *owner, struct backlog *backlog)
{
	dispatch_next_of(owner, backlog->user);
}

static void on_finished(void *owner, struct command *command)
{
	dispatch_settle(owner, command, command->end);
}

static void on_given_back(void *owner, struct command *command)
{
	struct host *host = owner;
	command->backlog = NULL;
	if (command->state == COMMAND_WAITING || command->state == COMMAND_STORING ||
		command->state == COMMAND_RETRYING) {
		dispatch_unlink_retry(command);
		dispatch_leave_line(host, command);
	} else if (command->state == COMMAND_FINISHING)
		dispatch_settle(host, command, command->end);
}

static void on_over(void *owner, struct user *user)
{
	dispatch_next_of(owner, user);
}

static void on_buried(void *owner, struct command *command, int error)
{
	struct host *host = owner;
	if (error == 0) {
		dispatch_buried(host, command);
		return;
	}
	/* The database refuses the letter itself: a rule of the collection, or a right that is missing. The command is
	 * kept beside it until somebody has put that right. */
	command_move(command, COMMAND_RETRYING);
	if (command->origin == COMMAND_FROM_STORE && command->backlog)
		dispatch_postpone(host, command, command->base_attempts, BURY_AGAIN_MS);
	else if (!dispatch_park(host, command, command->base_attempts, BURY_AGAIN_MS))
		dispatch_wait(host, command, UNBURIED_MS);
}

static void on_away(void *owner)
{
	dispatch_store_away(owner);
}

const struct parking_owner dispatch_parking_owner = {
	.stored = on_stored,
	.read = on_read,
	.claimed = on_claimed,
	.finished = on_finished,
	.given_back = on_given_back,
	.over = on_over,
	.buried = on_buried,
	.away = on_away,
};
