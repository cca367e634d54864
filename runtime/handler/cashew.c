/*
 * cashew.c - what a handler calls: see cashew.h. The run around it is in call.c.
 *
 * Happy path: fields are looked up in the parsed payload where it stands, events are copied into the
 * command's arena. Failure: every function that returns a cashew_result leaves a reason in the command, which
 * call_run() uses when the handler ends with that result. Once the arena is out of memory, every function
 * answers CASHEW_RETRY.
 */
#include "cashew.h"

#include "call.h"
#include "log.h"
#include "payload.h"
#include "settings.h"
#include "store.h"
#include "topic.h"

#include <bson/bson.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = 500, LOG_MESSAGE_SIZE = 1024 };

/* ---- The command ---- */

const char *cashew_user(const cashew_command *cmd)
{
	return cmd->input->user;
}

const char *cashew_topic(const cashew_command *cmd)
{
	return cmd->input->topic;
}

unsigned cashew_attempt(const cashew_command *cmd)
{
	return cmd->input->attempt;
}

const void *cashew_payload(const cashew_command *cmd, size_t *ret_size)
{
	*ret_size = cmd->input->payload_size;
	return cmd->input->payload;
}

const json_t *cashew_json(const cashew_command *cmd)
{
	return cmd->json;
}

/* ---- Ends ---- */

static bool out_of_memory_already(const cashew_command *cmd)
{
	return cmd->arena->out_of_memory || cmd->scratch.out_of_memory;
}

static cashew_result out_of_memory(cashew_command *cmd)
{
	cmd->arena->out_of_memory = true;
	return CASHEW_RETRY;
}

/* How many of the bytes stay when a UTF-8 text is cut there: the start of a character that was cut goes too. */
static size_t whole_characters(const char *text, size_t size)
{
	size_t lead = size;
	while (lead > 0 && size - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
		lead--;
	if (lead == 0)
		return size;
	const unsigned char c = (unsigned char)text[lead - 1];
	const size_t wanted = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
	return size - (lead - 1) < wanted ? lead - 1 : size;
}

__attribute__((format(printf, 3, 0))) static cashew_result give_reason_list(
	cashew_command *cmd, cashew_result result, const char *format, va_list arguments)
{
	char text[REASON_MAX + 1];
	const int wanted = vsnprintf(text, sizeof(text), format, arguments);
	size_t size = wanted < 0 ? 0 : (size_t)wanted;
	if (size > REASON_MAX)
		size = whole_characters(text, REASON_MAX);
	char *reason = arena_copy(cmd->arena, text, size);
	if (!reason)
		return CASHEW_RETRY;
	cmd->reason = reason;
	cmd->reason_of = result;
	return result;
}

__attribute__((format(printf, 3, 4))) static cashew_result give_reason(
	cashew_command *cmd, cashew_result result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	result = give_reason_list(cmd, result, format, arguments);
	va_end(arguments);
	return result;
}

cashew_result cashew_reject(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const cashew_result result = give_reason_list(cmd, CASHEW_REJECT, format, arguments);
	va_end(arguments);
	return result;
}

cashew_result cashew_fail(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const cashew_result result = give_reason_list(cmd, CASHEW_FAIL, format, arguments);
	va_end(arguments);
	return result;
}

/* ---- Fields of the payload ---- */

/* CASHEW_DONE and the value, which is NULL only where an optional field is missing or null. */
static cashew_result field_find(
	cashew_command *cmd, const char *field, bool optional, const char *expected, const json_t **ret_value)
{
	if (out_of_memory_already(cmd))
		return CASHEW_RETRY;
	if (!cmd->json)
		return cashew_fail(cmd, "handler %s looks for %s in a payload that it takes as bytes",
			cmd->handler->name, field);
	if (!json_is_object(cmd->json))
		return cashew_reject(
			cmd, "the payload is %s: expected a JSON object", payload_type_name(cmd->json));
	const json_t *value = json_object_get(cmd->json, field);
	if (!value || json_is_null(value)) {
		if (!optional)
			return cashew_reject(
				cmd, "%s is %s: expected %s", field, payload_type_name(value), expected);
		value = NULL;
	}
	*ret_value = value;
	return CASHEW_DONE;
}

static cashew_result wrong_type(
	cashew_command *cmd, const char *field, const json_t *value, const char *expected)
{
	return cashew_reject(cmd, "%s is %s: expected %s", field, payload_type_name(value), expected);
}

static cashew_result text_read(
	cashew_command *cmd, const char *field, bool optional, const char *expected, const char **ret_text)
{
	const json_t *value = NULL;
	CASHEW_TRY(field_find(cmd, field, optional, expected, &value));
	if (!value)
		return CASHEW_DONE;
	if (!json_is_string(value))
		return wrong_type(cmd, field, value, expected);
	*ret_text = json_string_value(value);
	return CASHEW_DONE;
}

cashew_result cashew_text(cashew_command *cmd, const char *field, const char **ret_text)
{
	return text_read(cmd, field, false, "a text", ret_text);
}

cashew_result cashew_text_optional(cashew_command *cmd, const char *field, const char **ret_text)
{
	return text_read(cmd, field, true, "a text", ret_text);
}

static cashew_result integer_read(
	cashew_command *cmd, const char *field, bool optional, int64_t min, int64_t max, int64_t *ret_integer)
{
	const json_t *value = NULL;
	CASHEW_TRY(field_find(cmd, field, optional, "an integer", &value));
	if (!value)
		return CASHEW_DONE;
	if (!json_is_integer(value))
		return wrong_type(cmd, field, value, "an integer");
	const int64_t integer = json_integer_value(value);
	if (integer < min || integer > max)
		return cashew_reject(cmd,
			"%s is %" PRId64 ": expected an integer from %" PRId64 " to %" PRId64, field, integer,
			min, max);
	*ret_integer = integer;
	return CASHEW_DONE;
}

cashew_result cashew_integer(
	cashew_command *cmd, const char *field, int64_t min, int64_t max, int64_t *ret_integer)
{
	return integer_read(cmd, field, false, min, max, ret_integer);
}

cashew_result cashew_integer_optional(
	cashew_command *cmd, const char *field, int64_t min, int64_t max, int64_t *ret_integer)
{
	return integer_read(cmd, field, true, min, max, ret_integer);
}

static cashew_result boolean_read(cashew_command *cmd, const char *field, bool optional, bool *ret_boolean)
{
	const json_t *value = NULL;
	CASHEW_TRY(field_find(cmd, field, optional, "a boolean", &value));
	if (!value)
		return CASHEW_DONE;
	if (!json_is_boolean(value))
		return wrong_type(cmd, field, value, "a boolean");
	*ret_boolean = json_is_true(value);
	return CASHEW_DONE;
}

cashew_result cashew_boolean(cashew_command *cmd, const char *field, bool *ret_boolean)
{
	return boolean_read(cmd, field, false, ret_boolean);
}

cashew_result cashew_boolean_optional(cashew_command *cmd, const char *field, bool *ret_boolean)
{
	return boolean_read(cmd, field, true, ret_boolean);
}

static cashew_result user_id_read(
	cashew_command *cmd, const char *field, bool optional, const char **ret_user)
{
	static const char expected[] = "a user id, 1 to 64 of A-Z a-z 0-9 . _ | -";
	const char *user = NULL;
	CASHEW_TRY(text_read(cmd, field, optional, expected, &user));
	if (!user)
		return CASHEW_DONE;
	const size_t size = strlen(user);
	if (size == 0)
		return cashew_reject(cmd, "%s is empty: expected %s", field, expected);
	if (size > USER_ID_MAX)
		return cashew_reject(cmd, "%s is %zu bytes long: expected %s", field, size, expected);
	if (!topic_user_valid(user, size))
		return cashew_reject(cmd, "%s has other characters in it: expected %s", field, expected);
	*ret_user = user;
	return CASHEW_DONE;
}

cashew_result cashew_user_id(cashew_command *cmd, const char *field, const char **ret_user)
{
	return user_id_read(cmd, field, false, ret_user);
}

cashew_result cashew_user_id_optional(cashew_command *cmd, const char *field, const char **ret_user)
{
	return user_id_read(cmd, field, true, ret_user);
}

/* ---- Events ---- */

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
	if (out_of_memory_already(cmd))
		return CASHEW_RETRY;
	if (!topic_event_valid(event))
		return cashew_fail(
			cmd, "\"%s\" is no name of an event: expected 1 to 64 of a-z 0-9 _", event);
	if (user && !topic_user_valid(user, strlen(user)))
		return cashew_fail(cmd, "event %s has no valid user id to go to", event);
	if (size > cmd->event_max || size > UINT32_MAX)
		return cashew_fail(cmd, "event %s is %zu bytes: %zu at most", event, size, cmd->event_max);
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
		return out_of_memory(cmd);
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
	CASHEW_TRY(event_check(cmd, user, event, size));
	return event_add(cmd, user, event, arena_copy(cmd->arena, bytes, size), size);
}

static cashew_result text_send(
	cashew_command *cmd, const char *user, const char *event, const char *json_text)
{
	return json_text ? bytes_send(cmd, user, event, json_text, strlen(json_text)) : out_of_memory(cmd);
}

static cashew_result json_send(cashew_command *cmd, const char *user, const char *event, const json_t *json)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	/* jansson answers 0 only when it is out of memory: it cannot hold what has no text */
	const size_t size = json ? json_dumpb(json, NULL, 0, flags) : 0;
	if (size == 0)
		return out_of_memory(cmd);
	CASHEW_TRY(event_check(cmd, user, event, size));
	char *text = arena_alloc(cmd->arena, size + 1);
	if (!text || json_dumpb(json, text, size, flags) != size)
		return out_of_memory(cmd);
	return event_add(cmd, user, event, text, size);
}

cashew_result cashew_reply(cashew_command *cmd, const char *event, const char *json_text)
{
	return text_send(cmd, NULL, event, json_text);
}

cashew_result cashew_reply_json(cashew_command *cmd, const char *event, json_t *json)
{
	const cashew_result result = json_send(cmd, NULL, event, json);
	json_decref(json);
	return result;
}

cashew_result cashew_reply_bytes(cashew_command *cmd, const char *event, const void *bytes, size_t size)
{
	return bytes_send(cmd, NULL, event, bytes, size);
}

cashew_result cashew_send(cashew_command *cmd, const char *user, const char *event, const char *json_text)
{
	return user ? text_send(cmd, user, event, json_text) : out_of_memory(cmd);
}

cashew_result cashew_send_json(cashew_command *cmd, const char *user, const char *event, json_t *json)
{
	const cashew_result result = user ? json_send(cmd, user, event, json) : out_of_memory(cmd);
	json_decref(json);
	return result;
}

cashew_result cashew_send_bytes(
	cashew_command *cmd, const char *user, const char *event, const void *bytes, size_t size)
{
	return user ? bytes_send(cmd, user, event, bytes, size) : out_of_memory(cmd);
}

size_t cashew_event_max(const cashew_command *cmd)
{
	return cmd->event_max;
}

/* ---- The store ---- */

/* A mistake in the handler's source that its first run shows, in a test or in the host: there is nothing to answer it with. */
__attribute__((noreturn)) static void handler_broken(const cashew_command *cmd, const char *message)
{
	log_error("handler_broken", message, LOG_TEXT("handler", cmd->handler->name));
	log_close(1000);
	abort();
}

struct store_client *cashew_store(cashew_command *cmd)
{
	if (!cmd->client) {
		if (cmd->handler->light)
			handler_broken(cmd,
				"a handler that is .light asked for the store: it would make all others wait");
		if (!cmd->store)
			handler_broken(cmd, "a handler asked for the store where it is run without one");
		cmd->client = store_acquire(cmd->store);
	}
	return cmd->client;
}

struct _mongoc_database_t *cashew_database(cashew_command *cmd)
{
	return store_database(cashew_store(cmd));
}

/* details: the driver's words, may be empty. */
static cashew_result store_result(cashew_command *cmd, int store_error, const char *details)
{
	if (out_of_memory_already(cmd))
		return CASHEW_RETRY;
	const char *colon = details[0] ? ": " : "";
	switch (store_error) {
	case 0: return CASHEW_DONE;
	case -ENOMEM: return out_of_memory(cmd);
	case STORE_E_AWAY:
		cmd->store_away = true;
		return give_reason(cmd, CASHEW_RETRY, "the store is away%s%s", colon, details);
	case STORE_E_TRANSIENT:
		return give_reason(cmd, CASHEW_RETRY, "the store could not do it now%s%s", colon, details);
	case STORE_E_NOT_FOUND:
		return give_reason(cmd, CASHEW_FAIL, "the store has no such document%s%s", colon, details);
	case STORE_E_PERMANENT:
		return give_reason(cmd, CASHEW_FAIL, "the store refused it%s%s", colon, details);
	case STORE_E_DUPLICATE:
		return give_reason(
			cmd, CASHEW_FAIL, "the store has a document with that key%s%s", colon, details);
	default:
		return give_reason(
			cmd, CASHEW_FAIL, "the store answered %d%s%s", store_error, colon, details);
	}
}

cashew_result cashew_stored(cashew_command *cmd, int store_error)
{
	return store_result(
		cmd, store_error, store_error && cmd->client ? store_last_error(cmd->client) : "");
}

cashew_result cashew_mongo(cashew_command *cmd, bool succeeded, const struct _bson_error_t *error)
{
	return succeeded ? store_result(cmd, 0, "")
			 : store_result(cmd, store_classify(NULL, error), error->message);
}

cashew_result cashew_mongo_write(cashew_command *cmd, bool succeeded, const struct _bson_t *reply,
	const struct _bson_error_t *error, unsigned flags)
{
	const char *words = "";
	const int store_error = store_classify_write(succeeded, reply, error, &words);
	if (store_error == STORE_E_DUPLICATE && flags & CASHEW_DUPLICATE_IS_DONE)
		return store_result(cmd, 0, "");
	return store_result(cmd, store_error, words);
}

/* ---- Memory, log, settings, state ---- */

/* Out of memory in one place is out of memory in all. */
static struct arena *scratch(cashew_command *cmd)
{
	cmd->scratch.out_of_memory = out_of_memory_already(cmd);
	return &cmd->scratch;
}

void *cashew_alloc(cashew_command *cmd, size_t size)
{
	return arena_alloc(scratch(cmd), size);
}

char *cashew_format(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = arena_format_list(scratch(cmd), format, arguments);
	va_end(arguments);
	return text;
}

__attribute__((format(printf, 3, 0))) static void log_list(
	const cashew_command *cmd, enum log_level level, const char *format, va_list arguments)
{
	if (!log_enabled(level))
		return;
	char message[LOG_MESSAGE_SIZE];
	vsnprintf(message, sizeof(message), format, arguments);
	LOG_EVENT(level, "handler_message", message, LOG_TEXT("user", cmd->input->user),
		LOG_TEXT("topic", cmd->input->topic), LOG_TEXT("handler", cmd->handler->name),
		LOG_INT("attempt", cmd->input->attempt));
}

void cashew_log(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	log_list(cmd, LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void cashew_warn(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	log_list(cmd, LOG_LEVEL_WARN, format, arguments);
	va_end(arguments);
}

const char *cashew_setting(const cashew_command *cmd, const char *name)
{
	return settings_own_value(cmd->settings, name);
}

void *cashew_state(const cashew_command *cmd)
{
	return cmd->state;
}
