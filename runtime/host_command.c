/*
 * host_command.c - see host_command.h.
 */
#include "host_command.h"

#include "failpoint.h"
#include "host_context.h"
#include "host_egress.h"
#include "host_lane.h"
#include "host_users.h"
#include "log.h"
#include "settings.h"
#include "topic.h"
#include "worker_pool.h"
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
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
		.user = command->input.user,
		.handler = command->handler,
		.reason = command->reason,
		.attempts = command->attempts,
		.host = host->settings->client_id,
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

static void unlink_retry(struct command *command)
{
	struct command **at = &host_of(command)->retrying;
	while (*at != NULL && *at != command)
		at = &(*at)->retry_next;
	if (*at == command)
		*at = command->retry_next;
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
	const int64_t delay_ms = RETRY_DELAY_MIN_MS
				 << (tries < RETRY_DOUBLINGS_MAX ? tries : RETRY_DOUBLINGS_MAX);
	command->retry_at_ms = host->now_ms + delay_ms;
	const bool spent = command->retry_at_ms - command->failing_since_ms > COMMAND_RETRY_MS;
	if (detached(command) && (spent || command->mid != 0 || command->store_away)) {
		if (command->mid == 0)
			log_warn("qos0_dropped",
				"a QoS 0 command is dropped: it failed, and no broker sends it again",
				LOG_TEXT("topic", command->input.topic),
				LOG_INT("attempt", command->attempts), LOG_TEXT("reason", command->reason));
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
	command->retry_next = host->retrying;
	host->retrying = command;
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

/* ---- Arrival --------------------------------------------------------------------------------------------
 */

static bool same_correlation(const struct command *command, const mosquitto_property *properties)
{
	void *data = NULL;
	uint16_t size = 0;
	if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &size, false) ==
		NULL)
		return command->correlation == NULL;
	const bool same = command->correlation != NULL && command->correlation_size == size &&
			  (size == 0 || memcmp(command->correlation, data, size) == 0);
	free(data);
	return same;
}

static bool same(const struct command *command, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	return command->input.payload_size == (size_t)message->payloadlen &&
	       strcmp(command->input.topic, message->topic) == 0 &&
	       (message->payloadlen == 0 ||
		       memcmp(command->input.payload, message->payload, (size_t)message->payloadlen) == 0) &&
	       same_correlation(command, properties);
}

/* What a command keeps of its MQTT 5 properties; freed by properties_free(). */
struct properties {
	void *correlation; /* NULL: none */
	uint16_t correlation_size;
	char *response_topic; /* NULL: none */
};

/* False when out of memory. */
static bool properties_read(const mosquitto_property *list, struct properties *ret)
{
	*ret = (struct properties){0};
	if (list == NULL)
		return true;
	const bool correlates = mosquitto_property_read_binary(list, MQTT_PROP_CORRELATION_DATA,
					&ret->correlation, &ret->correlation_size, false) != NULL;
	const bool responds = mosquitto_property_read_string(
				      list, MQTT_PROP_RESPONSE_TOPIC, &ret->response_topic, false) != NULL;
	return (!correlates || ret->correlation != NULL || ret->correlation_size == 0) &&
	       (!responds || ret->response_topic != NULL);
}

static void properties_free(struct properties *properties)
{
	free(properties->correlation);
	free(properties->response_topic);
}

/* Appends bytes and a NUL at *at. */
static char *append(char **at, const void *bytes, size_t size)
{
	char *copy = *at;
	if (size > 0)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	*at = copy + size + 1;
	return copy;
}

/* All that came with the message stands in one block with the command, with room for a few small events
 * behind it. A payload that is too large is not kept: it is going to be rejected. */
static struct command *new_command(struct lane *lane, const struct mosquitto_message *message,
	size_t user_size, const struct properties *properties)
{
	const size_t topic_size = strlen(message->topic), size = (size_t)message->payloadlen;
	const size_t payload_size = size <= lane_host(lane)->settings->payload_max ? size : 0;
	const size_t response_size =
		properties->response_topic != NULL ? strlen(properties->response_topic) : 0;
	const size_t texts =
		topic_size + user_size + payload_size + response_size + properties->correlation_size + 5;
	struct command *command = malloc(sizeof(*command) + texts + COMMAND_ARENA_SIZE);
	if (command == NULL)
		return NULL;
	memset(command, 0, sizeof(*command));
	char *at = (char *)(command + 1);
	const char *topic = append(&at, message->topic, topic_size);
	command->lane = lane;
	command->mid = message->qos > 0 ? (uint16_t)message->mid : 0;
	command->input = (struct call_input){
		.topic = topic,
		.user = append(&at, message->topic, user_size),
		.command = user_size > 0 ? topic + user_size + 1 : topic,
		.payload = append(&at, message->payload, payload_size),
		.payload_size = payload_size,
		.response_topic = properties->response_topic != NULL
					  ? append(&at, properties->response_topic, response_size)
					  : NULL,
		.attempt = 1,
	};
	if (properties->correlation != NULL)
		command->correlation = append(&at, properties->correlation, properties->correlation_size);
	command->correlation_size = properties->correlation_size;
	arena_init(&command->arena, at, COMMAND_ARENA_SIZE);
	command->events_end = &command->events;
	command->handler = "";
	lane_host(lane)->commands++;
	return command;
}

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

static void die(struct command *command, const char *reason)
{
	settle_all(command, COMMAND_DEAD, reason);
	advance(command);
}

static void reject(struct command *command, const char *reason)
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
		die(command, call.reason);
		return;
	}
	command->events = call.events;
	command->events_end = call.events_end;
	advance(command);
}

/* Runs it here if it is light and nothing of its user is before it, else queues it for the workers. */
static void dispatch(struct command *command)
{
	struct host *host = host_of(command);
	struct lane_users *users = lane_users(command->lane);
	if (command->route->light && !users_busy(users, command->input.user, strlen(command->input.user))) {
		move(command, COMMAND_RUNNING);
		worker_run(&host->light, command);
		if (all_settled(command)) {
			advance(command);
			return;
		}
		/* It wants a retry: from here on it keeps its user's turn like any other. */
		move(command, COMMAND_WAITING);
	}
	bool turn = false;
	const int rc = users_enqueue(users, command, host->settings->user_window, &turn);
	if (rc == USERS_E_FULL)
		reject(command, "too many of your commands are waiting: send this one again later");
	else if (rc != 0)
		leave_to_broker(command);
	else if (turn)
		start(command);
}

static void ignore_retained(struct host *host, const struct mosquitto_message *message)
{
	if (host->account.ignored++ == 0)
		log_warn("retained_ignored",
			"a retained command is ignored, as all will be: it would run again at every start; "
			"clear it by publishing "
			"an empty retained message",
			LOG_TEXT("topic", message->topic));
}

static bool admit_unacknowledged(struct lane *lane, const struct mosquitto_message *message)
{
	struct host *host = lane_host(lane);
	if (host->account.qos0++ == 0)
		log_warn("qos0_command",
			"a command came at QoS 0, which carries no promise; further ones are not logged",
			LOG_TEXT("topic", message->topic));
	if (lane_add_unacknowledged(lane))
		return true;
	log_warn("qos0_dropped", "a QoS 0 command is dropped: too many are waiting",
		LOG_TEXT("topic", message->topic));
	return false;
}

/* A redelivered copy: the same packet identifier, topic, payload and Correlation Data. Anything else has
 * taken that identifier over. */
static bool joins(
	struct lane *lane, const struct mosquitto_message *message, const mosquitto_property *properties)
{
	struct command *first = lane_in_flight(lane, (uint16_t)message->mid);
	if (first == NULL)
		return false;
	if (same(first, message, properties)) {
		lane_join(lane, first);
		return true;
	}
	lane_unlist(lane, first);
	command_release(first);
	return false;
}

void command_arrive(
	struct lane *lane, const struct mosquitto_message *message, const mosquitto_property *properties)
{
	struct host *host = lane_host(lane);
	if (message->retain) {
		ignore_retained(host, message);
		return;
	}
	if (message->qos == 0 && !admit_unacknowledged(lane, message))
		return;
	if (message->qos > 0 && joins(lane, message, properties))
		return;
	failpoint("command_read");
	const size_t user_size = topic_user_size(message->topic);
	struct properties kept;
	struct command *command =
		properties_read(properties, &kept) ? new_command(lane, message, user_size, &kept) : NULL;
	properties_free(&kept);
	if (command == NULL) {
		if (message->qos == 0)
			lane_remove_unacknowledged(lane);
		lane_give_up(lane, "out of memory");
		return;
	}
	if (command->mid != 0)
		lane_attach(lane, command);
	command->route = routes_find(lane_routes(lane), command->input.topic);
	if (user_size == 0) {
		die(command, "the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -");
		return;
	}
	if (command->route == NULL)
		lane_unsubscribe_stale(lane, command->input.topic);
	if ((size_t)message->payloadlen > host->settings->payload_max) {
		const char *reason = arena_format(&command->arena, "the payload is %d bytes: %zu at most",
			message->payloadlen, host->settings->payload_max);
		reject(command, reason != NULL ? reason : "the payload is too large");
	} else if (command->route == NULL) {
		die(command, "no handler wants this topic");
	} else {
		dispatch(command);
	}
}

const char *command_state_name(enum command_state state)
{
	return state_names[state];
}

const char *command_end_name(enum command_end end)
{
	return end_names[end];
}
