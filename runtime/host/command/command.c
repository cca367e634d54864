/*
 * command.c - see host_command.h.
 */
#include "command.h"

#include "arrival.h"
#include "context.h"
#include "egress.h"
#include "host_group.h"
#include "lane.h"
#include "log.h"
#include "parking.h"
#include "pool.h"
#include "settings.h"
#include "store.h"
#include "users.h"
#include <stdlib.h>
#include <string.h>

enum { RETRY_DELAY_MIN_MS = 25, RETRY_DOUBLINGS_MAX = 4 };

_Static_assert((int)COMMAND_ENDS == FIGURES_ENDS, "the figures count all ends");

#define TO(state) (1u << COMMAND_##state)

/* The diagram in command.h, as a table: which states may follow which. */
static const unsigned next_states[COMMAND_STATES] = {
	[COMMAND_CLAIMING] = TO(WAITING),
	[COMMAND_WAITING] = TO(RUNNING) | TO(COMMITTING) | TO(BURYING) | TO(PARKING) | TO(FINISHING),
	[COMMAND_RUNNING] = TO(WAITING) | TO(RETRYING) | TO(COMMITTING) | TO(BURYING) | TO(PARKING) |
			    TO(FINISHING) | TO(SETTLED),
	[COMMAND_RETRYING] = TO(RUNNING) | TO(COMMITTING),
	[COMMAND_COMMITTING] = TO(RETRYING) | TO(BURYING) | TO(PARKING) | TO(FINISHING) | TO(SETTLED),
	[COMMAND_PARKING] = TO(RETRYING) | TO(BURYING) | TO(SETTLED),
	[COMMAND_BURYING] = TO(RETRYING) | TO(PARKING) | TO(FINISHING) | TO(SETTLED),
	[COMMAND_FINISHING] = TO(SETTLED),
	[COMMAND_SETTLED] = 0,
};

static const char *const state_names[COMMAND_STATES] = {
	[COMMAND_CLAIMING] = "claiming",
	[COMMAND_WAITING] = "waiting",
	[COMMAND_RUNNING] = "running",
	[COMMAND_RETRYING] = "retrying",
	[COMMAND_COMMITTING] = "committing",
	[COMMAND_PARKING] = "parking",
	[COMMAND_BURYING] = "burying",
	[COMMAND_FINISHING] = "finishing",
	[COMMAND_SETTLED] = "settled",
};

static const char *const end_names[COMMAND_ENDS] = {
	[COMMAND_DONE] = "done",
	[COMMAND_REJECTED] = "rejected",
	[COMMAND_DEAD] = "dead",
	[COMMAND_PARKED] = "parked",
};

void command_move(struct command *command, enum command_state next)
{
	if ((next_states[command->state] & (1u << next)) == 0)
		abort();
	command->state = next;
}

static struct host *host_of(const struct command *command)
{
	return lane_host(command->lane);
}

/* ---- The end ---- */

void command_destroy(struct command *command)
{
	if (command->origin == COMMAND_UNPROMISED)
		lane_remove_unacknowledged(command->lane);
	host_of(command)->commands--;
	arena_free(&command->arena);
	parked_command_free(command->parked);
	free(command);
}

void command_count(struct host *host, enum command_end end)
{
	board_count_command(host->board, end);
}

/* By handler, and at once: whether and when the broker hears of it is the account's matter. */
static void count_settled(const struct command *command)
{
	const struct host *host = host_of(command);
	for (unsigned i = 0; command->route != NULL && i < command->route->handler_count; i++)
		figures_add(&host->board->figures.handlers[host->places[command->route->handlers[i]]]
				     .commands[command->end],
			1);
}

void command_settle(struct command *command)
{
	command_move(command, COMMAND_SETTLED);
	count_settled(command);
	if (command->end == COMMAND_DEAD)
		log_error("dead_letter", "a command was given up and kept as a dead letter",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", command->handler), LOG_INT("attempt", command->attempts),
			LOG_TEXT("reason", command->reason));
	if (command->suspect && command->end != COMMAND_PARKED)
		board_mark_clear(host_of(command)->board, command->key);
	board_near_forget(host_of(command)->board, command->key);
	if (command->origin == COMMAND_FROM_STORE) {
		if (command->end != COMMAND_PARKED)
			command_count(host_of(command), command->end);
		parking_settled(command);
	} else {
		lane_settled(command->lane, command);
	}
	command_destroy(command);
}

/* Nothing is left to do but to be acknowledged: to the broker, or in the store. */
static void complete(struct command *command)
{
	if (command->origin == COMMAND_FROM_STORE)
		parking_finish(command);
	else
		command_settle(command);
}

void command_submit(struct command *command)
{
	host_of(command)->jobs++;
	worker_pool_submit(host_of(command)->pool, command);
}

/* The same each time the command is buried, should the host die before it is finished in the store; and not
 * that of the command itself. An ObjectId holds a random number in its bytes 4 to 8: the letter has the next
 * one. */
static void derive_letter_id(const unsigned char id[static 12], unsigned char ret_id[static 12])
{
	memcpy(ret_id, id, 12);
	for (size_t i = 8; i >= 4 && ++ret_id[i] == 0; i--)
		continue;
}

static void bury(struct command *command)
{
	struct host *host = host_of(command);
	command_move(command, COMMAND_BURYING);
	command->letter = (struct dead_letter){
		.topic = command->input.topic,
		.payload = command->input.payload,
		.payload_size = command->input.payload_size,
		.payload_cut_from = command->payload_cut_from,
		.correlation = command->correlation,
		.correlation_size = command->correlation_size,
		.response_topic = command->input.response_topic,
		.user = command->input.user,
		.handler = command->handler,
		.reason = command->reason,
		.attempts = command->attempts,
		.crashes = command->crashes,
		.host = host->settings->client_id,
		.keep_days = host->settings->dead_letter_days,
	};
	if (command->parked != NULL)
		derive_letter_id(command->parked->id, command->letter.id);
	else
		dead_letter_new_id(command->letter.id);
	command_submit(command);
}

/* ---- Turns and retries ---- */

void command_start(struct command *command)
{
	command_move(command, COMMAND_RUNNING);
	command_submit(command);
}

static void begin_turn(struct command *command)
{
	if (parking_wanted(command))
		parking_put(command, 0);
	else
		command_start(command);
}

void command_end_turn(struct command *command)
{
	if (command->user == NULL)
		return;
	struct command *next = users_dequeue(lane_users(command->lane), command);
	if (next != NULL)
		begin_turn(next);
}

static void link_retry(struct command *command)
{
	struct host *host = host_of(command);
	command->retry_next = host->retrying;
	if (host->retrying != NULL)
		host->retrying->retry_link = &command->retry_next;
	command->retry_link = &host->retrying;
	host->retrying = command;
}

static void unlink_retry(struct command *command)
{
	if (command->retry_link == NULL)
		return;
	*command->retry_link = command->retry_next;
	if (command->retry_next != NULL)
		command->retry_next->retry_link = command->retry_link;
	command->retry_link = NULL;
}

void command_forget(struct command *command)
{
	if (command->state != COMMAND_WAITING && command->state != COMMAND_RETRYING)
		abort();
	unlink_retry(command);
	lane_forget(command->lane, command);
	command_destroy(command);
}

void command_take_back(struct command *command)
{
	host_of(command)->jobs--;
	command_move(command, COMMAND_WAITING);
}

/* Whether its acknowledgement is lost with its connection, or it has none: then a retry is the broker's, or
 * nobody's. */
static bool detached(const struct command *command)
{
	return command->held == NULL || !command->held->attached;
}

/* A QoS 0 command, or one whose connection is gone: then the broker sends it again. */
static void drop(struct command *command)
{
	command_move(command, COMMAND_RETRYING);
	if (command->origin == COMMAND_UNPROMISED)
		arrival_dropped(host_of(command), command->input.topic, command->input.user,
			command->attempts, command->reason);
	command_end_turn(command);
	command_forget(command);
}

static void retry_later(struct command *command)
{
	struct host *host = host_of(command);
	if (command->store_away)
		host_store_away(host);
	if (command->origin == COMMAND_FROM_STORE) {
		if (command->store_away)
			parking_forget(command);
		else
			parking_retry(command);
		return;
	}
	if (command->failing_since_ms == 0)
		command->failing_since_ms = host->now_ms;
	const unsigned tries = command->attempts > 0 ? command->attempts - 1 : 0;
	const unsigned doublings = tries < RETRY_DOUBLINGS_MAX ? tries : RETRY_DOUBLINGS_MAX;
	command->retry_at_ms = host->now_ms + host_jitter_ms(RETRY_DELAY_MIN_MS << doublings);
	const bool spent = command->retry_at_ms - command->failing_since_ms > COMMAND_RETRY_MS;
	if (detached(command) && (spent || command->mid != 0 || command->store_away)) {
		drop(command);
	} else if (spent && !command->store_away) {
		parking_retry(command);
	} else {
		command_move(command, COMMAND_RETRYING);
		link_retry(command);
	}
}

void command_leave(struct command *command, const char *reason)
{
	if (command->state != COMMAND_WAITING)
		command_move(command, COMMAND_RETRYING);
	lane_give_up(command->lane, reason);
	if (!detached(command))
		return;
	command_end_turn(command);
	command_forget(command);
}

/* ---- Events ---- */

static void publish(struct command *command, struct call_event *events)
{
	struct egress *egress = host_of(command)->egress;
	command_move(command, COMMAND_COMMITTING);
	for (struct call_event *event = events, *next; event != NULL; event = next) {
		next = event->next;
		command->events_pending++;
		egress_publish(egress, command, event);
	}
}

static bool all_settled(const struct command *command)
{
	const unsigned count = command->route != NULL ? command->route->handler_count : 0;
	return count == 0 || command->settled == UINT32_MAX >> (32 - count);
}

/* What follows a run, or the last PUBACK of its events. */
static void advance(struct command *command)
{
	if (command->events != NULL) {
		struct call_event *events = command->events;
		command->events = NULL;
		command->events_end = &command->events;
		publish(command, events);
	} else if (command->refused != NULL || !all_settled(command)) {
		retry_later(command);
	} else if (command->end == COMMAND_DEAD) {
		bury(command);
	} else {
		complete(command);
	}
}

void command_resume(struct command *command)
{
	if (all_settled(command))
		advance(command);
	else
		command_start(command);
}

void command_event_ended(
	struct command *command, struct call_event *event, const char *reason, bool permanent)
{
	command->events_pending--;
	if (reason != NULL && permanent && command->end != COMMAND_DEAD) {
		command->end = COMMAND_DEAD;
		command->reason = arena_format(&command->arena, "event %s: %s", event->topic, reason);
		if (command->reason == NULL)
			command->reason = "an event was refused";
		if (command->route != NULL && command->route->handler_count == 1)
			command->handler =
				host_of(command)->routes.handlers[command->route->handlers[0]]->name;
	} else if (reason != NULL && !permanent) {
		/* Behind the others: they are sent again in their order. */
		struct call_event **end = &command->refused;
		while (*end != NULL)
			end = &(*end)->next;
		event->next = NULL;
		*end = event;
		if (command->end != COMMAND_DEAD)
			command->reason = "an event was refused for now";
	}
	if (command->events_pending == 0)
		advance(command);
}

/* ---- Runs ---- */

static void after_run(struct command *command)
{
	if (all_settled(command))
		command_end_turn(command);
	advance(command);
}

static bool may_be_parked(const struct command *command)
{
	return command->origin == COMMAND_FROM_STORE ||
	       (command->origin == COMMAND_FROM_BROKER && !detached(command) &&
		       command->input.user[0] != '\0');
}

static void after_burial(struct command *command)
{
	if (command->store_error == 0) {
		complete(command);
		return;
	}
	/* The database refuses the letter itself: a rule of the collection, or a right that is missing. The
	 * command is kept beside it, where it holds up nobody else, until somebody has put that right. */
	if (command->store_error == STORE_E_PERMANENT && !command->unburied && may_be_parked(command)) {
		command->unburied = true;
		parking_bury_later(command);
		return;
	}
	/* Else it is the store's failure: the lane is dropped, and the command comes again. */
	host_store_away(host_of(command));
	if (command->origin == COMMAND_FROM_STORE)
		parking_forget(command);
	else
		command_leave(command, "a dead letter cannot be written");
}

void command_returned(struct command *command)
{
	host_of(command)->jobs--;
	switch (command->state) {
	case COMMAND_RUNNING: after_run(command); break;
	case COMMAND_BURYING: after_burial(command); break;
	case COMMAND_PARKING: parking_stored(command); break;
	case COMMAND_CLAIMING: parking_claimed(command); break;
	case COMMAND_FINISHING: parking_finished(command); break;
	case COMMAND_WAITING:
	case COMMAND_RETRYING:
	case COMMAND_COMMITTING:
	case COMMAND_SETTLED:
	case COMMAND_STATES: abort();
	}
}

void command_retry(struct command *command)
{
	unlink_retry(command);
	if (command->refused != NULL) {
		struct call_event *events = command->refused;
		command->refused = NULL;
		command->attempts++;
		publish(command, events);
		return;
	}
	command_start(command);
}

/* ---- Ends without a run ---- */

static void settle_all(struct command *command, enum command_end end, const char *reason)
{
	if (command->route != NULL)
		command->settled = UINT32_MAX >> (32 - command->route->handler_count);
	command->end = end;
	command->reason = reason;
}

void command_die(struct command *command, const char *reason)
{
	settle_all(command, COMMAND_DEAD, reason);
	advance(command);
}

void command_reject(struct command *command, const char *reason)
{
	struct host *host = host_of(command);
	struct cashew_command call = {
		.input = &command->input,
		.settings = host->settings,
		.arena = &command->arena,
		.event_max = host->settings->event_max,
	};
	settle_all(command, COMMAND_REJECTED, reason);
	log_info("command_rejected", "a command was rejected before any handler ran",
		LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
		LOG_TEXT("reason", reason));
	const enum call_end end = call_reject(&call, reason);
	if (end == CALL_RETRY) {
		command_leave(command, "out of memory");
		return;
	}
	if (end == CALL_FAILED) {
		/* The event is too large, and will be the next time. */
		command_die(command, call.reason);
		return;
	}
	command->events = call.events;
	command->events_end = call.events_end;
	advance(command);
}

/* Runs it here and now. When it wants a retry it keeps its user's turn from here on like any other. */
static void run_light(struct command *command)
{
	struct host *host = host_of(command);
	bool turn = false;
	command_move(command, COMMAND_RUNNING);
	worker_run(&host->light, command);
	if (all_settled(command) || users_enqueue(lane_users(command->lane), command, 1, &turn) == 0) {
		advance(command);
		return;
	}
	command_leave(command, "out of memory");
}

void command_dispatch(struct command *command)
{
	const struct host *host = host_of(command);
	struct lane_users *users = lane_users(command->lane);
	const bool now = !command->suspect && (host->parked.count == 0 || !parking_wanted(command));
	if (command->route->light && now &&
		!users_busy(users, command->input.user, strlen(command->input.user))) {
		run_light(command);
		return;
	}
	bool turn = false;
	const int rc = users_enqueue(users, command, host->settings->user_window, &turn);
	if (rc == USERS_E_FULL)
		command_reject(command, "too many of your commands are waiting: send this one again later");
	else if (rc != 0)
		command_leave(command, "out of memory");
	else if (turn)
		begin_turn(command);
}

const char *command_state_name(enum command_state state)
{
	return state_names[state];
}

const char *command_end_name(enum command_end end)
{
	return end_names[end];
}
