/*
 * check_shape.c - structs, events and collections that cannot be used: see check.h.
 */
#include "check_private.h"

#include "shape.h"
#include "topic.h"
#include <inttypes.h>
#include <string.h>

static const char *const kind_names[] = {
	[CASHEW_K_text] = "text",
	[CASHEW_K_user] = "user",
	[CASHEW_K_integer] = "integer",
	[CASHEW_K_number] = "number",
	[CASHEW_K_boolean] = "boolean",
	[CASHEW_K_time] = "time",
	[CASHEW_K_bytes] = "bytes",
	[CASHEW_K_json] = "json",
};

/* Tells of a member, with the line of its struct. */
#define TELL(check, shape, member, text, ...)                                                            \
	check_tell(check, (shape)->file, (shape)->line, "struct %s: (%s, %s, ..): " text, (shape)->name, \
		kind_names[(member)->kind], (member)->name, ##__VA_ARGS__)

static bool has_bounds(enum cashew_kind kind)
{
	return kind == CASHEW_K_text || kind == CASHEW_K_integer || kind == CASHEW_K_bytes;
}

static void check_bounds(
	struct check *check, const struct cashew_shape *shape, const struct cashew_member *member)
{
	const bool sized = member->kind == CASHEW_K_text || member->kind == CASHEW_K_bytes;
	const bool of_user = member->kind == CASHEW_K_user && (member->min != 1 || member->max != 64);
	const bool of_others = !has_bounds(member->kind) && member->kind != CASHEW_K_user &&
			       (member->min != 0 || member->max != 0);
	if (of_user || of_others)
		TELL(check, shape, member, ".min and .max are for integer, text and bytes");
	else if (member->min > member->max)
		TELL(check, shape, member, ".min = %" PRId64 " is more than .max = %" PRId64, member->min,
			member->max);
	else if (sized && member->min < 0)
		TELL(check, shape, member, ".min = %" PRId64 ": expected a number of bytes", member->min);
	if (member->otherwise == 0)
		return;
	if (member->kind != CASHEW_K_integer || !member->optional)
		TELL(check, shape, member, ".otherwise is for an integer that is .optional");
	else if (member->otherwise < member->min || member->otherwise > member->max)
		TELL(check, shape, member, ".otherwise = %" PRId64 " is not from .min to .max",
			member->otherwise);
}

static bool is_name(const char *name)
{
	const size_t size = strlen(name);
	return size > 0 && size <= 64 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == size;
}

static void check_members(struct check *check, const struct cashew_shape *shape, bool of_collection)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		check_bounds(check, shape, member);
		if (member->as && !is_name(member->as))
			TELL(check, shape, member, ".as = \"%s\": expected 1 to 64 of a-z A-Z 0-9 _",
				member->as);
		for (size_t j = 0; j < i && !of_collection; j++)
			if (strcmp(shape_name(member), shape_name(&shape->members[j])) == 0)
				TELL(check, shape, member, "member %s is \"%s\" in JSON, too",
					shape->members[j].name, shape_name(member));
		if (!of_collection && (member->key || member->index != 0 || member->expires))
			TELL(check, shape, member,
				".key, .index and .expires are for documents: expected CASHEW_COLLECTION(%s, ..)",
				shape->name);
	}
}

/* ---- Events ---- */

static void check_events(struct check *check, const struct cashew_handler *handler)
{
	static const char *const ours[] = {"command_rejected", "command_failed"};
	for (const struct cashew_shape *const *at = handler->events; at && *at; at++) {
		const struct cashew_shape *event = *at;
		if (!topic_event_valid(event->name))
			check_tell(check, event->file, event->line,
				"event %s: an event is named as its struct: expected 1 to 64 of a-z 0-9 _",
				event->name);
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (strcmp(event->name, ours[i]) == 0)
				check_tell(check, event->file, event->line,
					"event %s is the host's own: expected another name", event->name);
		if (!event->page_of)
			check_members(check, event, false);
	}
}

/* ---- Collections ---- */

static bool may_be_key(enum cashew_kind kind)
{
	return kind == CASHEW_K_text || kind == CASHEW_K_user || kind == CASHEW_K_integer ||
	       kind == CASHEW_K_time;
}

static bool may_be_index(enum cashew_kind kind)
{
	return kind != CASHEW_K_json && kind != CASHEW_K_bytes;
}

static void check_document_member(
	struct check *check, const struct cashew_shape *shape, const struct cashew_member *member)
{
	if (member->name[0] == '_')
		TELL(check, shape, member, "names that begin with _ are the host's own in a document");
	if (member->key && !may_be_key(member->kind))
		TELL(check, shape, member, "a key is text, user, integer or time");
	if (member->key && member->optional)
		TELL(check, shape, member, "a key is always there: it cannot be .optional");
	if (member->index != 0 && !may_be_index(member->kind))
		TELL(check, shape, member, "what is .index has an order: expected another kind");
	if (member->index != 0 && member->index != CASHEW_WITHIN && member->index != CASHEW_ACROSS)
		TELL(check, shape, member, ".index = %d: expected CASHEW_WITHIN or CASHEW_ACROSS",
			member->index);
	if (member->expires && member->kind != CASHEW_K_time)
		TELL(check, shape, member, ".expires is for a time");
}

static void check_name(struct check *check, const struct cashew_collection *collection)
{
	static const char *const ours[] = {"hosts", "dead_letters", "parked_commands", "schedules"};
	const struct cashew_shape *shape = collection->shape;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(collection->name, ours[i]) == 0)
			check_tell(check, shape->file, shape->line,
				"struct %s: the collection \"%s\" is the host's own: expected another name",
				shape->name, collection->name);
	if (strncmp(collection->name, "system.", 7) == 0 || strchr(collection->name, '$') ||
		collection->name[0] == '.' || collection->name[strlen(collection->name) - 1] == '.')
		check_tell(check, shape->file, shape->line,
			"struct %s: MongoDB takes no collection \"%s\": expected a name without $, a dot at an end, and "
			"\"system.\" before it",
			shape->name, collection->name);
}

static void check_collection(struct check *check, const struct cashew_collection *collection)
{
	const struct cashew_shape *shape = collection->shape;
	bool key_may_follow = true, has_key = false;
	check_name(check, collection);
	check_members(check, shape, true);
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		check_document_member(check, shape, member);
		if (member->key && !key_may_follow)
			TELL(check, shape, member, "keys come first: expected it above those that are none");
		key_may_follow = key_may_follow && member->key;
		has_key = has_key || member->key;
	}
	if (!has_key)
		check_tell(check, shape->file, shape->line,
			"struct %s: no member is a key: expected one with .key = true, which is a document's _id",
			shape->name);
}

static void check_listed(struct check *check, const struct cashew_collection *const *listed)
{
	for (; listed && *listed; listed++)
		check_collection(check, *listed);
}

void check_shapes(struct check *check, const struct cashew_handler *handler)
{
	if (handler->payload)
		check_members(check, handler->payload, false);
	check_events(check, handler);
	check_listed(check, handler->collections);
	check_listed(check, handler->reads);
}

/* ---- One collection, declared twice ---- */

static bool same_member(const struct cashew_member *a, const struct cashew_member *b)
{
	return strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->key == b->key &&
	       a->index == b->index && a->expires == b->expires;
}

static bool same_shape(const struct cashew_shape *a, const struct cashew_shape *b)
{
	if (a == b)
		return true;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_member(&a->members[i], &b->members[i]))
			return false;
	return true;
}

/* The first declaration of that collection among all handlers; then each other one is held against it. */
static const struct cashew_collection *first_of(
	const struct cashew_handler *const *handlers, const char *name)
{
	for (size_t i = 0; handlers[i]; i++) {
		const struct cashew_collection *const *const lists[] = {
			handlers[i]->collections, handlers[i]->reads};
		for (size_t j = 0; j < 2; j++)
			for (const struct cashew_collection *const *at = lists[j]; at && *at; at++)
				if (strcmp((*at)->name, name) == 0)
					return *at;
	}
	return NULL;
}

static void check_same(struct check *check, const struct cashew_handler *const *handlers,
	const struct cashew_collection *const *listed)
{
	for (; listed && *listed; listed++) {
		const struct cashew_shape *shape = (*listed)->shape;
		const struct cashew_shape *other = first_of(handlers, (*listed)->name)->shape;
		if (!same_shape(shape, other))
			check_tell(check, shape->file, shape->line,
				"struct %s: the collection \"%s\" is declared with other members at %s:%d (struct %s): expected "
				"one declaration, in a header that both include",
				shape->name, (*listed)->name, other->file, other->line, other->name);
	}
}

void check_same_collections(struct check *check, const struct cashew_handler *const *handlers)
{
	for (size_t i = 0; handlers[i]; i++) {
		check_same(check, handlers, handlers[i]->collections);
		check_same(check, handlers, handlers[i]->reads);
	}
}
