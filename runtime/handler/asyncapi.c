/*
 * asyncapi.c - see asyncapi.h.
 *
 * Happy path: each handler adds the channel of its command, and those of its events, where they are not there yet; a struct becomes a JSON Schema. The
 * document tells what cashewd does: it receives commands and sends events. Failure: jansson takes a NULL that another of its functions gave for out of
 * memory, so one look at the end is enough.
 */
#include "asyncapi.h"

#include "cashew.h"
#include "shape.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The parts of the document that grow. */
struct document {
	json_t *channels, *operations, *messages;
	bool failed;
};

static void put(struct document *document, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		document->failed = true;
}

/* ---- Schemas ---- */

static void put_bound(struct document *document, json_t *schema, const char *key, int64_t bound)
{
	if (bound != INT64_MIN && bound != INT64_MAX)
		put(document, schema, key, json_integer(bound));
}

static json_t *schema_of_kind(struct document *document, const struct cashew_member *member)
{
	json_t *schema = NULL;
	switch (member->kind) {
	case CASHEW_K_text:
		/* a character has a byte at least */
		schema = json_pack("{s:s}", "type", "string");
		put_bound(document, schema, "minLength", member->min > 0);
		put_bound(document, schema, "maxLength", member->max);
		return schema;
	case CASHEW_K_user:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9._|-]{1,64}$");
	case CASHEW_K_integer:
		schema = json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
		put_bound(document, schema, "minimum", member->min);
		put_bound(document, schema, "maximum", member->max);
		return schema;
	case CASHEW_K_number: return json_pack("{s:s}", "type", "number");
	case CASHEW_K_boolean: return json_pack("{s:s}", "type", "boolean");
	case CASHEW_K_time: return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case CASHEW_K_bytes: return json_pack("{s:s, s:s}", "type", "string", "contentEncoding", "base64");
	case CASHEW_K_json: return json_object();
	}
	return NULL;
}

static json_t *schema_of_member(struct document *document, const struct cashew_member *member)
{
	json_t *schema = schema_of_kind(document, member);
	if (member->help)
		put(document, schema, "description", json_string(member->help));
	if (member->kind == CASHEW_K_integer && member->optional)
		put(document, schema, "default", json_integer(member->otherwise));
	return schema;
}

/* keys_needed: false: keys may be left out, as in a page, of which all documents have the same first ones. */
static json_t *schema_of(struct document *document, const struct cashew_shape *shape, bool keys_needed)
{
	json_t *schema = json_pack("{s:s, s:{}}", "type", "object", "properties"), *required = json_array();
	json_t *properties = json_object_get(schema, "properties");
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		put(document, properties, shape_name(member), schema_of_member(document, member));
		if (member->optional || (member->key && !keys_needed))
			continue;
		if (json_array_append_new(required, json_string(shape_name(member))) != 0)
			document->failed = true;
	}
	if (json_array_size(required) > 0)
		put(document, schema, "required", required);
	else
		json_decref(required);
	return schema;
}

static json_t *schema_of_page(struct document *document, const struct cashew_collection *collection)
{
	json_t *items = schema_of(document, collection->shape, false);
	return json_pack("{s:s, s:{s:{s:s, s:o}, s:{s:[s,s]}}, s:[s,s]}", "type", "object", "properties",
		collection->name, "type", "array", "items", items, "next", "type", "string", "null",
		"required", collection->name, "next");
}

static void add_command_id(struct document *document, json_t *schema, const struct cashew_handler *handler)
{
	const char *help =
		handler->needs_id
			? "Another one for each command, the same when it is sent again. Needed, unless the "
			  "Correlation Data has 16 bytes or more."
			: "Another one for each command, the same when it is sent again.";
	put(document, json_object_get(schema, "properties"), "command_id",
		json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1, "maxLength", 64,
			"description", help));
}

/* ---- Messages, channels, operations ---- */

static json_t *message_of_payload(struct document *document, const struct cashew_handler *handler)
{
	const struct cashew_shape *shape = handler->payload;
	if (shape == CASHEW_BYTES)
		return json_pack(
			"{s:s, s:s}", "name", handler->name, "contentType", "application/octet-stream");
	if (shape == CASHEW_ANY_JSON)
		return json_pack("{s:s, s:{}}", "name", handler->name, "payload");
	json_t *schema = shape ? schema_of(document, shape, true)
			       : json_pack("{s:s, s:{}}", "type", "object", "properties");
	add_command_id(document, schema, handler);
	return json_pack("{s:s, s:o}", "name", handler->name, "payload", schema);
}

static json_t *message_of_event(struct document *document, const struct cashew_shape *event)
{
	if (event->page_of)
		return json_pack("{s:s, s:o}", "name", event->name, "payload",
			schema_of_page(document, event->page_of));
	if (event->count > 0)
		return json_pack(
			"{s:s, s:o}", "name", event->name, "payload", schema_of(document, event, true));
	return json_pack("{s:s, s:s, s:{}}", "name", event->name, "summary", event->help ? event->help : "",
		"payload");
}

/* "+/a/#" is "{user}/a/{rest}". Room for a filter of that size. */
static json_t *address_of(const char *filter)
{
	json_t *address = json_string("");
	for (const char *at = filter; *at && address; at++) {
		const char *level = at == filter ? "{user}" : *at == '+' ? "{level}" : "{rest}";
		json_t *longer = *at == '+' || *at == '#'
					 ? json_sprintf("%s%s", json_string_value(address), level)
					 : json_sprintf("%s%c", json_string_value(address), *at);
		json_decref(address);
		address = longer;
	}
	return address;
}

static json_t *parameters_of(struct document *document, const char *address)
{
	static const char *const parameters[][3] = {
		{"user", "{user}", "The user's id, 1 to 64 of A-Z a-z 0-9 . _ | -"},
		{"level", "{level}", "A level of the topic."},
		{"rest", "{rest}", "The rest of the topic."},
	};
	json_t *found = json_object();
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		if (address && strstr(address, parameters[i][1]))
			put(document, found, parameters[i][0],
				json_pack("{s:s}", "description", parameters[i][2]));
	return found;
}

/* A message of a channel, which is made where it is not there; key: "command.NAME" or "event.NAME". */
static void add_message(struct document *document, const char *key, const char *name, const char *action,
	json_t *address, json_t *message)
{
	put(document, document->messages, key, message);
	json_t *reference = json_sprintf("#/components/messages/%s", key);
	put(document, document->channels, key,
		json_pack("{s:o, s:o, s:{s:{s:o}}}", "address", address, "parameters",
			parameters_of(document, json_string_value(address)), "messages", name, "$ref",
			reference));
	put(document, document->operations, key,
		json_pack("{s:s, s:{s:o}, s:[{s:o}]}", "action", action, "channel", "$ref",
			json_sprintf("#/channels/%s", key), "messages", "$ref",
			json_sprintf("#/channels/%s/messages/%s", key, name)));
}

static void add_command(struct document *document, const struct cashew_handler *handler)
{
	char key[128];
	snprintf(key, sizeof(key), "command.%.100s", handler->name);
	add_message(document, key, handler->name, "receive", address_of(handler->topic),
		message_of_payload(document, handler));
}

static void add_event(struct document *document, const char *name, json_t *message)
{
	char key[128];
	snprintf(key, sizeof(key), "event.%.100s", name);
	if (json_object_get(document->channels, key)) {
		json_decref(message);
		return;
	}
	add_message(document, key, name, "send", json_sprintf("{user}/%s", name), message);
}

static void add_own_events(struct document *document)
{
	add_event(document, "command_rejected",
		json_pack("{s:s, s:s, s:{s:s, s:{s:{s:s}, s:{s:s}}, s:[s,s]}}", "name", "command_rejected",
			"summary", "The command is bad: what was expected stands in the reason.", "payload",
			"type", "object", "properties", "command", "type", "string", "reason", "type",
			"string", "required", "command", "reason"));
	add_event(document, "command_failed",
		json_pack("{s:s, s:s, s:{s:s, s:{s:{s:s}}, s:[s]}}", "name", "command_failed", "summary",
			"The command cannot be done, and is kept for the operator.", "payload", "type",
			"object", "properties", "command", "type", "string", "required", "command"));
}

int asyncapi_write(const struct cashew_handler *const *handlers, const char *version, FILE *file)
{
	struct document document = {
		.channels = json_object(), .operations = json_object(), .messages = json_object()};
	for (size_t i = 0; handlers[i]; i++) {
		if (!handlers[i]->scheduled)
			add_command(&document, handlers[i]);
		for (const struct cashew_shape *const *at = handlers[i]->events; at && *at; at++)
			add_event(&document, (*at)->name, message_of_event(&document, *at));
	}
	add_own_events(&document);
	json_t *json = json_pack("{s:s, s:{s:s, s:s}, s:s, s:o, s:o, s:{s:o}}", "asyncapi", "3.0.0", "info",
		"title", "cashewd", "version", version, "defaultContentType", "application/json", "channels",
		document.channels, "operations", document.operations, "components", "messages",
		document.messages);
	char *text = document.failed ? NULL : json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	if (!text)
		return -ENOMEM;
	fprintf(file, "%s\n", text);
	free(text);
	return 0;
}
