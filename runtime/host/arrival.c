/*
 * arrival.c - see host_arrival.h.
 */
#include "arrival.h"

#include "board.h"
#include "command.h"
#include "context.h"
#include "failpoint.h"
#include "host_group.h"
#include "lane.h"
#include "log.h"
#include "settings.h"
#include "suspects.h"
#include "topic.h"
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

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
	size_t user_size, const struct properties *properties, uint64_t key)
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
	command->origin = message->qos > 0 ? COMMAND_FROM_BROKER : COMMAND_UNPROMISED;
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
	command->payload_cut_from = size - payload_size;
	arena_init(&command->arena, at, COMMAND_ARENA_SIZE);
	command->key = key;
	command->events_end = &command->events;
	command->handler = "";
	lane_host(lane)->commands++;
	return command;
}

/* One more; whether it is the first. */
static bool count_first(_Atomic uint64_t *counter)
{
	board_count(counter, 1);
	return board_read(counter) == 1;
}

static void ignore_retained(struct host *host, const struct mosquitto_message *message)
{
	if (count_first(&host->board->account.ignored))
		log_warn("retained_ignored",
			"a retained command is ignored, as all will be: it would run again at every start; "
			"clear it by publishing "
			"an empty retained message",
			LOG_TEXT("topic", message->topic));
}

void arrival_dropped(
	struct host *host, const char *topic, const char *user, unsigned attempt, const char *reason)
{
	board_count(&host->board->account.qos0_dropped, 1);
	const uint64_t untold = ++host->qos0_dropped - host->qos0_dropped_told;
	if (host->qos0_dropped_told > 0 && host->now_ms < host->qos0_dropped_told_ms + ARRIVAL_DROPPED_LOG_MS)
		return;
	host->qos0_dropped_told = host->qos0_dropped;
	host->qos0_dropped_told_ms = host->now_ms;
	log_warn("qos0_dropped", "a QoS 0 command is dropped: no broker sends it again",
		LOG_INT("dropped", untold), LOG_TEXT("topic", topic), LOG_TEXT("user", user),
		LOG_INT("attempt", attempt), LOG_TEXT("reason", reason));
}

static bool admit_unacknowledged(struct lane *lane, const struct mosquitto_message *message)
{
	struct host *host = lane_host(lane);
	if (count_first(&host->board->account.qos0))
		log_warn("qos0_command",
			"a command came at QoS 0, which carries no promise; further ones are not logged",
			LOG_TEXT("topic", message->topic));
	if (lane_add_unacknowledged(lane))
		return true;
	arrival_dropped(host, message->topic, NULL, 0, "too many are waiting");
	return false;
}

/* A redelivered copy of what is known under its packet identifier. Anything else has taken that over. */
static bool joins(struct lane *lane, const struct mosquitto_message *message, size_t user_size, uint64_t key)
{
	struct held *first = lane_in_flight(lane, (uint16_t)message->mid);
	if (first == NULL)
		return false;
	char user[USER_ID_MAX + 1];
	memcpy(user, message->topic, user_size);
	user[user_size] = '\0';
	if (first->key != key || first->user != group_user_key(user)) {
		lane_unlist(lane, first);
		return false;
	}
	board_count(&lane_host(lane)->board->account.joined, 1);
	const enum command_state state = first->command != NULL ? first->command->state : COMMAND_SETTLED;
	log_debug("command_joined", "a redelivered command joined the first, which is not run twice",
		LOG_TEXT("user", user), LOG_TEXT("topic", message->topic),
		LOG_TEXT("state", command_state_name(state)));
	lane_join(lane, first);
	return true;
}

/* A redelivered copy of a command that was parked before the lane connected: the store has it, so that the
 * PUBACK which is queued for it may leave with whatever leaves next. */
static bool is_parked(struct lane *lane, struct command *command)
{
	struct parked_copy copy;
	if (command->mid == 0 || !lane_awaits_parked(lane) ||
		!lane_take_parked(lane, command->mid, command->key, &copy))
		return false;
	command->ahead = copy.before;
	if (command->ahead)
		return false;
	lane_acknowledge_parked(lane, &copy);
	board_count(&lane_host(lane)->board->account.joined, 1);
	log_info("command_joined", "a redelivered command is parked already, and not run twice",
		LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic));
	command_destroy(command);
	return true;
}

/* True: it is known to kill the host, and has been dealt with. */
static bool is_given_up(struct command *command)
{
	if (!board_marks_any(lane_host(command->lane)->board) && !board_near_any(lane_host(command->lane)->board))
		return false;
	if (command->origin == COMMAND_FROM_BROKER)
		return suspects_judge(command);
	if (board_mark_find(lane_host(command->lane)->board, command->key) == NULL)
		return false;
	arrival_dropped(lane_host(command->lane), command->input.topic, command->input.user, 0,
		"it may have killed the host before");
	command_destroy(command);
	return true;
}

/* The message as a command in the lane's group. NULL: it is a copy of one, or there is no memory. */
static struct command *take_command(struct lane *lane, const struct mosquitto_message *message,
	const mosquitto_property *list, size_t user_size)
{
	struct properties properties;
	struct command *command = NULL;
	if (properties_read(list, &properties)) {
		const uint64_t key = board_key(message->topic, message->payload, (size_t)message->payloadlen,
			properties.correlation, properties.correlation_size);
		if (message->qos > 0 && joins(lane, message, user_size, key)) {
			properties_free(&properties);
			return NULL;
		}
		failpoint("command_read");
		command = new_command(lane, message, user_size, &properties, key);
	}
	properties_free(&properties);
	if (command != NULL && is_parked(lane, command))
		return NULL;
	if (command != NULL && (command->mid == 0 || lane_attach(lane, command) == 0))
		return command;
	if (command != NULL)
		command_destroy(command);
	else if (message->qos == 0)
		lane_remove_unacknowledged(lane);
	lane_give_up(lane, "out of memory");
	return NULL;
}

void arrival_take(
	struct lane *lane, const struct mosquitto_message *message, const mosquitto_property *properties)
{
	struct host *host = lane_host(lane);
	if (message->retain) {
		ignore_retained(host, message);
		return;
	}
	if (message->qos == 0 && !admit_unacknowledged(lane, message))
		return;
	const size_t user_size = topic_user_size(message->topic);
	struct command *command = take_command(lane, message, properties, user_size);
	if (command == NULL)
		return;
	command->route = routes_find(lane_routes(lane), command->input.topic);
	if (user_size == 0) {
		command_die(
			command, "the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -");
		return;
	}
	if (command->route == NULL)
		lane_unsubscribe_stale(lane, command->input.topic);
	if ((size_t)message->payloadlen > host->settings->payload_max) {
		const char *reason = arena_format(&command->arena, "the payload is %d bytes: %zu at most",
			message->payloadlen, host->settings->payload_max);
		command_reject(command, reason != NULL ? reason : "the payload is too large");
	} else if (command->route == NULL) {
		command_die(command, "no handler wants this topic");
	} else if (!is_given_up(command)) {
		command_dispatch(command);
	}
}
