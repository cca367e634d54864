/*
 * events.c - what a handler calls to send an event: see cashew.h.
 *
 * Happy path: name, receiver and size are checked, and the payload is copied into the command's arena. Failure: a mistake of the handler's ends the run.
 */
#include "cashew.h"

#include "call.h"
#include "ends.h"
#include "shape.h"
#include "topic.h"

#include <string.h>

/* "{user}/{event}" in the arena; NULL when out of memory. */
static const char *event_topic(cashew_command *cmd, const char *user, const char *event)
{
	const size_t user_size = strlen(user), event_size = strlen(event);
	char *topic = arena_alloc(cmd->arena, user_size + 1 + event_size + 1);
	if (!topic)
		return NULL;
	memcpy(topic, user, user_size);
	topic[user_size] = '/';
	memcpy(topic + user_size + 1, event, event_size);
	return topic;
}

/* What is checked before a payload is copied. user NULL: the sender. */
static cashew_result event_check(cashew_command *cmd, const char *user, const char *event, size_t size)
{
	if (ends_failed(cmd))
		return ends_result(cmd);
	if (!topic_event_valid(event))
		return ends_as(cmd, CASHEW_FAIL,
			"\"%s\" is no name of an event: expected 1 to 64 of a-z 0-9 _", event);
	if (!user && !cmd->input->user[0])
		return ends_as(cmd, CASHEW_FAIL,
			"event %s has nobody to go to: a schedule has no sender: expected cashew_send()",
			event);
	if (user && !topic_user_valid(user, strlen(user)))
		return ends_as(cmd, CASHEW_FAIL, "event %s has no valid user id to go to", event);
	if (size > cmd->event_max || size > UINT32_MAX)
		return ends_as(
			cmd, CASHEW_FAIL, "event %s is %zu bytes: %zu at most", event, size, cmd->event_max);
	return CASHEW_DONE;
}

/* payload lies in the arena and is NULL when that is out of memory. */
static cashew_result event_add(
	cashew_command *cmd, const char *user, const char *event, const void *payload, size_t size)
{
	struct call_event *added = arena_alloc(cmd->arena, sizeof(*added));
	const char *topic = user			 ? event_topic(cmd, user, event)
			    : cmd->input->response_topic ? cmd->input->response_topic
							 : event_topic(cmd, cmd->input->user, event);
	if (!added || !topic || !payload)
		return ends_out_of_memory(cmd);
	added->topic = topic;
	added->payload = payload;
	added->payload_size = (uint32_t)size;
	*cmd->events_end = added;
	cmd->events_end = &added->next;
	return CASHEW_DONE;
}

static cashew_result bytes_send(
	cashew_command *cmd, const char *user, const char *event, const void *bytes, size_t size)
{
	const cashew_result checked = event_check(cmd, user, event, size);
	return checked == CASHEW_DONE ? event_add(cmd, user, event, arena_copy(cmd->arena, bytes, size), size)
				      : checked;
}

static cashew_result json_send(cashew_command *cmd, const char *user, const char *event, const json_t *json)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	/* jansson answers 0 only when it is out of memory: it cannot hold what has no text */
	const size_t size = json ? json_dumpb(json, NULL, 0, flags) : 0;
	if (size == 0)
		return ends_out_of_memory(cmd);
	const cashew_result checked = event_check(cmd, user, event, size);
	if (checked != CASHEW_DONE)
		return checked;
	char *text = arena_alloc(cmd->arena, size + 1);
	if (!text || json_dumpb(json, text, size, flags) != size)
		return ends_out_of_memory(cmd);
	return event_add(cmd, user, event, text, size);
}

cashew_result cashew_event_text(cashew_command *cmd, const char *user, const char *event, const char *json)
{
	return json ? bytes_send(cmd, user, event, json, strlen(json)) : ends_out_of_memory(cmd);
}

cashew_result cashew_event_json(cashew_command *cmd, const char *user, const char *event, json_t *json)
{
	const cashew_result result = json_send(cmd, user, event, json);
	json_decref(json);
	return result;
}

cashew_result cashew_event_bytes(
	cashew_command *cmd, const char *user, const char *event, const void *bytes, size_t size)
{
	return bytes_send(cmd, user, event, bytes, size);
}

/* A handler's struct may be declared in a header, and so be there once for each of its files: the name tells. */
static bool declared(const struct cashew_handler *handler, const struct cashew_shape *shape)
{
	for (const struct cashew_shape *const *at = handler->events; at && *at; at++)
		if (*at == shape || strcmp((*at)->name, shape->name) == 0)
			return true;
	return false;
}

/* The struct as JSON in the run's own memory; NULL where the run has failed. */
static const char *struct_text(cashew_command *cmd, const char *file, int line,
	const struct cashew_shape *shape, const void *value, size_t *ret_size)
{
	char reason[SHAPE_REASON_SIZE];
	struct shape_text text = {.arena = &cmd->scratch};
	if (ends_failed(cmd))
		return NULL;
	if (!shape_write(&text, shape, value, 0, reason)) {
		(void)ends_mistake(cmd, file, line, "struct %s: %s", shape->name, reason);
		return NULL;
	}
	const char *json = shape_text_end(&text);
	*ret_size = text.size;
	return json;
}

cashew_result cashew_event_(cashew_command *cmd, const char *file, int line, const char *user,
	const struct cashew_shape *shape, const void *value)
{
	size_t size = 0;
	if (!declared(cmd->handler, shape))
		return ends_mistake(cmd, file, line,
			"event %s is not among those that handler %s says it sends: expected .events = CASHEW_EVENTS(%s)",
			shape->name, cmd->handler->name, shape->name);
	const char *json = struct_text(cmd, file, line, shape, value, &size);
	return json ? bytes_send(cmd, user, shape->name, json, size) : ends_result(cmd);
}

const char *cashew_text_of_(
	cashew_command *cmd, const char *file, int line, const struct cashew_shape *shape, const void *value)
{
	size_t size;
	const char *json = struct_text(cmd, file, line, shape, value, &size);
	return json ? json : "";
}
