/*
 * arrival.c - see arrival.h.
 */
#include "arrival.h"

#include "board.h"
#include "clock.h"
#include "context.h"
#include "dispatch.h"
#include "failpoint.h"
#include "fingerprint.h"
#include "lane.h"
#include "log.h"
#include "random.h"
#include "settings.h"
#include "topic.h"
#include "unpromised.h"
#include "users.h"
#include <endian.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

enum {
	PROPERTY_MAX =
		256, /* bytes of Correlation Data and Response Topic each: they come back with each event */
	USER_BYTES = 1024 * 1024, /* of payloads of one user that wait: an eighth of what stops all lanes */
};

/* What is known of a message before it is a command. */
struct arrival {
	const char *topic;
	size_t user_size;
	const void *payload; /* NULL: it was too large to be read */
	size_t payload_size;
	const void *correlation;
	uint16_t correlation_size;
	const char *response_topic; /* NULL: none */
	const char *refusal;	    /* why its properties are not taken; NULL: they are */
	uint64_t number;	    /* of its place, or LANE_NO_PLACE */
	uint16_t mid;
	int qos;
	uint64_t user_key, fingerprint;
};

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
	if (!list)
		return true;
	const bool correlates = mosquitto_property_read_binary(
		list, MQTT_PROP_CORRELATION_DATA, &ret->correlation, &ret->correlation_size, false);
	const bool responds =
		mosquitto_property_read_string(list, MQTT_PROP_RESPONSE_TOPIC, &ret->response_topic, false);
	return (!correlates || ret->correlation || ret->correlation_size == 0) &&
	       (!responds || ret->response_topic);
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

/* Who it is among equals. Never 0. */
static uint64_t identity_of(const struct host_lane *home, const struct arrival *arrival)
{
	const uint64_t identity =
		(arrival->fingerprint ^ home->key ^ arrival->mid) * UINT64_C(0x9e3779b97f4a7c15);
	return identity != 0 ? identity : 1;
}

/* An ObjectId, as every command gets one and few need it: the driver's way asks for the process's number each time. The seconds, five bytes of chance, and
 * a count: so many do not come in a second. */
static void make_id(struct host *host, unsigned char ret_id[static 12])
{
	if (host->made_ids++ == 0)
		random_bytes(host->id_chance, sizeof(host->id_chance));
	const uint32_t parts[] = {htobe32((uint32_t)(clock_unix_ms() / 1000)), htobe32(host->made_ids)};
	memcpy(ret_id, &parts[0], 4);
	memcpy(ret_id + 4, host->id_chance, sizeof(host->id_chance));
	memcpy(ret_id + 9, (const unsigned char *)&parts[1] + 1, 3);
}

/* All that came with the message stands in one block with the command, with room for a few small events behind it. A
 * payload that is too large is not kept: it is going to be rejected. NULL when out of memory. */
static struct command *new_command(struct host_lane *home, const struct arrival *arrival)
{
	struct host *host = home->host;
	const size_t topic_size = strlen(arrival->topic);
	const size_t payload_size = arrival->payload && arrival->payload_size <= host->settings->payload_max
					    ? arrival->payload_size
					    : 0;
	const size_t response_size = arrival->response_topic ? strlen(arrival->response_topic) : 0;
	const size_t texts = topic_size + arrival->user_size + payload_size + response_size +
			     arrival->correlation_size + 5;
	struct command *command = malloc(sizeof(*command) + texts + COMMAND_ARENA_SIZE);
	if (!command)
		return NULL;
	memset(command, 0, sizeof(*command));
	char *at = (char *)(command + 1);
	const char *topic = append(&at, arrival->topic, topic_size);
	command->job.run = worker_job;
	command->home = home;
	command->origin = arrival->number != LANE_NO_PLACE ? COMMAND_FROM_BROKER : COMMAND_UNPROMISED;
	command->input = (struct call_input){
		.topic = topic,
		.user = append(&at, arrival->topic, arrival->user_size),
		.command = arrival->user_size > 0 ? topic + arrival->user_size + 1 : topic,
		.payload = append(&at, arrival->payload, payload_size),
		.payload_size = payload_size,
		.response_topic =
			arrival->response_topic ? append(&at, arrival->response_topic, response_size) : NULL,
		.attempt = 1,
	};
	if (arrival->correlation)
		command->correlation = append(&at, arrival->correlation, arrival->correlation_size);
	command->correlation_size = arrival->correlation_size;
	command->input.correlation = command->correlation;
	command->input.correlation_size = command->correlation_size;
	make_id(host, command->input.made_id);
	command->payload_cut_from = arrival->payload_size - payload_size;
	command->fingerprint = arrival->fingerprint;
	if (arrival->number != LANE_NO_PLACE)
		command->identity = identity_of(home, arrival);
	arena_init(&command->arena, at, COMMAND_ARENA_SIZE);
	command->events_end = &command->events;
	command->handler = "";
	command->arrived_ms = host->now_ms;
	host->commands++;
	host->bytes += payload_size;
	return command;
}

static void ignore_retained(struct host *host, const char *topic)
{
	board_count(&host->board->account.ignored, 1);
	if (board_read(&host->board->account.ignored) == 1)
		log_warn("retained_ignored",
			"a retained command is ignored, as all will be: it would run again at every start; clear it by publishing "
			"an empty retained message",
			LOG_TEXT("topic", topic));
}

/* The same packet identifier once more on one link: a copy that came too early, or a broker that has lost count. */
static void same_identifier(struct lane *lane, const struct arrival *arrival)
{
	const struct place *place = lane_held_place(lane, arrival->mid);
	if (place && (place->fingerprint != arrival->fingerprint || place->user != arrival->user_key))
		lane_give_up(lane, "the broker uses a packet identifier for two messages at once");
}

/* A copy of what is known. */
static bool takes_over(struct host_lane *home, const struct arrival *arrival, bool dup)
{
	const struct place *place = lane_take_copy(
		home->lane, arrival->number, arrival->mid, dup, arrival->user_key, arrival->fingerprint);
	if (!place)
		return false;
	board_count(&home->host->board->account.joined, 1);
	log_debug("command_joined", "a redelivered command is known, and not run twice",
		LOG_TEXT("topic", arrival->topic),
		LOG_TEXT("state",
			command_state_name(place->command ? place->command->state : COMMAND_SETTLED)));
	return true;
}

/* With a place, unless it has none, and in its user's line. NULL: there is no memory. */
static struct command *take(struct host_lane *home, const struct arrival *arrival)
{
	struct host *host = home->host;
	failpoint("command_read");
	struct command *command = new_command(home, arrival);
	struct user *user = users_get(home->users, arrival->user_key, arrival->topic, arrival->user_size);
	struct place *place = NULL;
	if (command && user && arrival->number != LANE_NO_PLACE)
		place = lane_hold(
			home->lane, arrival->number, arrival->mid, arrival->user_key, arrival->fingerprint);
	if (!command || !user || (arrival->number != LANE_NO_PLACE && !place)) {
		if (command)
			dispatch_forget(host, command);
		else if (arrival->number == LANE_NO_PLACE)
			unpromised_end(home);
		if (user)
			users_drop_idle(user);
		lane_give_up(home->lane, "out of memory");
		return NULL;
	}
	command->place = place;
	if (place)
		place->command = command;
	command->active_before_us = user_active_us(user, host->now_ms * 1000);
	user_append(user, command);
	return command;
}

/* What one user has waiting is bounded in number and in bytes; the first is never too large. */
static bool too_many_wait(const struct host *host, const struct user *user)
{
	return user->waiting > host->settings->user_window ||
	       (user->waiting > 1 && user->waiting_bytes > USER_BYTES);
}

static void begin(struct host_lane *home, struct command *command, const struct arrival *arrival)
{
	struct host *host = home->host;
	const size_t payload_size = arrival->payload_size;
	command->route = routes_find(home->routes, command->input.topic);
	if (command->input.user[0] == '\0') {
		dispatch_die(host, command,
			"the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -");
		return;
	}
	if (!command->route)
		lane_unsubscribe_stale(home->lane, command->input.topic);
	if (payload_size > host->settings->payload_max) {
		const char *reason = arena_format(&command->arena, "the payload is %zu bytes: %zu at most",
			payload_size, host->settings->payload_max);
		dispatch_reject(host, command, reason ? reason : "the payload is too large");
	} else if (!command->route) {
		dispatch_die(host, command, "no handler wants this topic");
	} else if (arrival->refusal) {
		dispatch_reject(host, command, arrival->refusal);
	} else if (too_many_wait(host, command->user)) {
		dispatch_reject(
			host, command, "too many of your commands are waiting: send this one again later");
	} else {
		dispatch_begin(host, command);
	}
}

/* Properties that are too large are not kept: the rejection would carry them back. */
static void judge_properties(struct arrival *arrival)
{
	if (arrival->correlation_size > PROPERTY_MAX)
		arrival->refusal = "the Correlation Data has more than 256 bytes";
	else if (arrival->response_topic && strlen(arrival->response_topic) > PROPERTY_MAX)
		arrival->refusal = "the Response Topic has more than 256 bytes";
	if (!arrival->refusal)
		return;
	arrival->correlation = NULL;
	arrival->correlation_size = 0;
	arrival->response_topic = NULL;
}

static void arrive(struct host_lane *home, struct arrival *arrival, bool dup)
{
	arrival->user_size = topic_user_size(arrival->topic);
	arrival->user_key = users_key(arrival->topic, arrival->user_size);
	arrival->fingerprint =
		fingerprint(arrival->topic, arrival->payload, arrival->payload ? arrival->payload_size : 0,
			arrival->correlation, arrival->correlation_size);
	if (arrival->number == LANE_NO_PLACE && arrival->qos == 1) {
		same_identifier(home->lane, arrival);
		return;
	}
	if (arrival->number != LANE_NO_PLACE && takes_over(home, arrival, dup))
		return;
	judge_properties(arrival);
	struct command *command = take(home, arrival);
	if (command)
		begin(home, command, arrival);
}

/* False: it is not to be run, and that is all. */
static bool admit(struct host_lane *home, const struct mosquitto_message *message, uint64_t number)
{
	if (message->retain) {
		ignore_retained(home->host, message->topic);
		if (number != LANE_NO_PLACE && !lane_hold_settled(home->lane, number, (uint16_t)message->mid))
			lane_give_up(home->lane, "out of memory");
		return false;
	}
	return number != LANE_NO_PLACE || message->qos == 1 ||
	       unpromised_admit(home, message->topic, message->qos);
}

void arrival_message(void *owner, const struct mosquitto_message *message, const mosquitto_property *list,
	uint64_t number, bool dup)
{
	struct host_lane *home = owner;
	struct properties properties;
	struct arrival arrival = {
		.topic = message->topic,
		.payload = message->payload ? message->payload : "",
		.payload_size = (size_t)message->payloadlen,
		.number = number,
		.mid = (uint16_t)message->mid,
		.qos = message->qos,
	};
	if (!admit(home, message, number))
		return;
	if (properties_read(list, &properties)) {
		arrival.correlation = properties.correlation;
		arrival.correlation_size = properties.correlation_size;
		arrival.response_topic = properties.response_topic;
		arrive(home, &arrival, dup);
	} else {
		if (number == LANE_NO_PLACE && message->qos != 1)
			unpromised_end(home);
		lane_give_up(home->lane, "out of memory");
	}
	properties_free(&properties);
}

void arrival_oversized(void *owner, const struct mosquitto_message *message, uint64_t number, bool dup)
{
	struct host_lane *home = owner;
	struct arrival arrival = {
		.topic = message->topic,
		.payload_size = (size_t)message->payloadlen,
		.number = number,
		.mid = (uint16_t)message->mid,
		.qos = message->qos,
	};
	if (admit(home, message, number))
		arrive(home, &arrival, dup);
}
