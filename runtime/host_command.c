/*
 * host_command.c - see host_command.h.
 */
#include "host_command.h"

#include "host_arrival.h"
#include "host_context.h"
#include "host_egress.h"
#include "host_lane.h"
#include "host_users.h"
#include "log.h"
#include "settings.h"
#include "worker_pool.h"
#include <stdlib.h>
#include <string.h>

enum { RETRY_DELAY_MIN_MS = 25, RETRY_DOUBLINGS_MAX = 4 };

#define TO(state) (1u << COMMAND_##state)

/* The diagram in host_command.h, as a table: which states may follow which. */
static const unsigned next_states[COMMAND_STATES] = {
	[COMMAND_WAITING] = TO(RUNNING) | TO(COMMITTING) | TO(BURYING),
	[COMMAND_RUNNING] = TO(WAITING) | TO(RETRYING) | TO(COMMITTING) | TO(BURYING) | TO(SETTLED),
	[COMMAND_RETRYING] = TO(RUNNING) | TO(COMMITTING),
	[COMMAND_COMMITTING] = TO(RETRYING) | TO(BURYING) | TO(SETTLED),
	[COMMAND_BURYING] = TO(RETRYING) | TO(SETTLED),
	[COMMAND_SETTLED] = 0,
};

static const char *const state_names[COMMAND_STATES] = {
	[COMMAND_WAITING] = "waiting",
	[COMMAND_RUNNING] = "running",
	[COMMAND_RETRYING] = "retrying",
	[COMMAND_COMMITTING] = "committing",
	[COMMAND_BURYING] = "burying",
	[COMMAND_SETTLED] = "settled",
};

static const char *const end_names[COMMAND_ENDS] = {
	[COMMAND_DONE] = "done",
	[COMMAND_REJECTED] = "rejected",
	[COMMAND_DEAD] = "dead",
};

static void move(struct command *command, enum command_state next)
{
	if ((next_states[command->state] & (1u << next)) == 0)
		abort();
	command->state = next;
}

static struct host *host_of(const struct command *command)
{
	return lane_host(command->lane);
}

/* ---- The end --------------------------------------------------------------------------------------------
 */

static void destroy(struct command *command)
{
	if (command->mid == 0)
		lane_remove_unacknowledged(command->lane);
	host_of(command)->commands--;
	arena_free(&command->arena);
	free(command);
}

void command_release(struct command *command)
{
	if (command->state == COMMAND_SETTLED && !command->attached && !command->listed)
		destroy(command);
}

static void settle(struct command *command)
{
	move(command, COMMAND_SETTLED);
	if (command->end == COMMAND_DEAD)
		log_error("dead_letter", "a command was given up and kept as a dead letter",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", command->handler), LOG_INT("attempt", command->attempts),
			LOG_TEXT("reason", command->reason));
	/* It may stand in the group for a while yet, and needs its events no more. */
	arena_free(&command->arena);
	lane_settled(command->lane, command);
	command_release(command);
}

/* To the worker pool, which has it until command_returned() or command_take_back(). */
static void submit(struct command *command)
{
	host_of(command)->jobs++;
	worker_pool_submit(host_of(command)->pool, command);
}

static void bury(struct command *command)
{
	struct host *host = host_of(command);
	move(command, COMMAND_BURYING);
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
		.host = host->settings->client_id,
		.keep_days = host->settings->dead_letter_days,
	};
	dead_letter_new_id(command->letter.id);
	submit(command);
}

/* ---- Turns and retries ----------------------------------------------------------------------------------
 */

static void start(struct command *command)
{
	move(command, COMMAND_RUNNING);
	submit(command);
}

/* Its handlers are through with it: the next one of its user may start. */
static void end_turn(struct command *command)
{
	if (command->user == NULL)
		return;
	struct command *next = users_dequeue(lane_users(command->lane), command);
	if (next != NULL)
		start(next);
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
	lane_unlist(command->lane, command);
	destroy(command);
}

void command_take_back(struct command *command)
{
	host_of(command)->jobs--;
	move(command, COMMAND_WAITING);
}

/* Whether its acknowledgement is lost with its connection, or it has none: then a retry is the broker's, or
 * nobody's. */
static bool detached(const struct command *command)
{
	return !command->attached;
}

static void retry_later(struct command *command)
{
	struct host *host = host_of(command);
	move(command, COMMAND_RETRYING);
	if (command->store_away)
		host_store_away(host);
	if (command->failing_since_ms == 0)
		command->failing_since_ms = host->now_ms;
	const unsigned tries = command->attempts > 0 ? command->attempts - 1 : 0;
	const unsigned doublings = tries < RETRY_DOUBLINGS_MAX ? tries : RETRY_DOUBLINGS_MAX;
	command->retry_at_ms = host->now_ms + host_jitter_ms(RETRY_DELAY_MIN_MS << doublings);
	const bool spent = command->retry_at_ms - command->failing_since_ms > COMMAND_RETRY_MS;
	if (detached(command) && (spent || command->mid != 0 || command->store_away)) {
		if (command->mid == 0)
			arrival_dropped(host, command->input.topic, command->input.user, command->attempts,
				command->reason);
		end_turn(command);
		command_forget(command);
		return;
	}
	if (spent) {
		/* It stays where it is until the lane is dropped, at the end of this turn of the loop. */
		log_warn("retries_spent",
			"a transient failure lasts: the command is left to the broker, which sends it again",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", command->handler), LOG_INT("attempt", command->attempts),
			LOG_TEXT("reason", command->reason));
		lane_give_up(command->lane, "a command's retries are spent");
		command->retry_at_ms = INT64_MAX;
	}
	link_retry(command);
}

/* ---- Events ---------------------------------------------------------------------------------------------
 */

static void publish(struct command *command, struct call_event *events)
{
	struct egress *egress = host_of(command)->egress;
	move(command, COMMAND_COMMITTING);
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
		settle(command);
	}
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

/* ---- Runs -----------------------------------------------------------------------------------------------
 */

static void after_run(struct command *command)
{
	if (all_settled(command))
		end_turn(command);
	advance(command);
}

static void after_burial(struct command *command)
{
	if (command->bury_error == 0) {
		settle(command);
		return;
	}
	/* A dead letter that cannot be written is the store's failure: the lane is dropped, and the command
	 * comes again. */
	move(command, COMMAND_RETRYING);
	host_store_away(host_of(command));
	if (detached(command))
		command_forget(command);
	else
		lane_give_up(command->lane, "a dead letter cannot be written");
}

void command_returned(struct command *command)
{
	host_of(command)->jobs--;
	if (command->state == COMMAND_BURYING)
		after_burial(command);
	else
		after_run(command);
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
	start(command);
}

/* ---- Ends without a run ------------------------------------------------------------------------------
 */

static void settle_all(struct command *command, enum command_end end, const char *reason)
{
	if (command->route != NULL)
		command->settled = UINT32_MAX >> (32 - command->route->handler_count);
	command->end = end;
	command->reason = reason;
}

/* There is no memory to handle it: it waits, in no queue, until its lane is dropped. */
static void leave_to_broker(struct command *command)
{
	lane_give_up(command->lane, "out of memory");
	if (!command->attached)
		command_forget(command);
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
		leave_to_broker(command);
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
	move(command, COMMAND_RUNNING);
	worker_run(&host->light, command);
	if (all_settled(command) || users_enqueue(lane_users(command->lane), command, 1, &turn) == 0) {
		advance(command);
		return;
	}
	move(command, COMMAND_WAITING);
	leave_to_broker(command);
}

void command_dispatch(struct command *command)
{
	const struct host *host = host_of(command);
	struct lane_users *users = lane_users(command->lane);
	if (command->route->light && !users_busy(users, command->input.user, strlen(command->input.user))) {
		run_light(command);
		return;
	}
	bool turn = false;
	const int rc = users_enqueue(users, command, host->settings->user_window, &turn);
	if (rc == USERS_E_FULL)
		command_reject(command, "too many of your commands are waiting: send this one again later");
	else if (rc != 0)
		leave_to_broker(command);
	else if (turn)
		start(command);
}

const char *command_state_name(enum command_state state)
{
	return state_names[state];
}

const char *command_end_name(enum command_end end)
{
	return end_names[end];
}
