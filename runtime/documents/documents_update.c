/*
 * documents_update.c - cashew_update(): its verbs as MongoDB's operators.
 *
 * set $set, max $max, min $min, init $setOnInsert, inc $inc; if_equal and if_least are conditions of the filter. A member that is none is removed
 * ($unset). What a struct reads as 0 where a member is missing is 0 for the conditions, too. With inc or if_ the write counts once for each command
 * (documents_once.c); without them it can be repeated as it is.
 */
#include "documents_private.h"

#include <errno.h>
#include <string.h>

struct changing {
	struct documents *d;
	const struct documents_target *target;
	size_t count;
	const struct cashew_change *changes;
};

static const char *const verbs[] = {
	[CASHEW_V_key] = "key",
	[CASHEW_V_set] = "set",
	[CASHEW_V_max] = "max",
	[CASHEW_V_min] = "min",
	[CASHEW_V_init] = "init",
	[CASHEW_V_inc] = "inc",
	[CASHEW_V_if_equal] = "if_equal",
	[CASHEW_V_if_least] = "if_least",
	[CASHEW_V_from] = "from",
	[CASHEW_V_before] = "before",
};

static bool is_guard(const struct cashew_change *change)
{
	return change->verb == CASHEW_V_if_equal || change->verb == CASHEW_V_if_least;
}

static bool is_ordered(const struct cashew_member *member)
{
	return member->kind == CASHEW_K_integer || member->kind == CASHEW_K_number ||
	       member->kind == CASHEW_K_time;
}

/* NULL, or what is wrong with this verb of that member. */
static const char *objection(const struct cashew_member *member, enum cashew_verb verb)
{
	if (verb == CASHEW_V_from || verb == CASHEW_V_before)
		return "is for cashew_list()";
	if (member->key)
		return "changes a key: expected a member that is none";
	if (verb == CASHEW_V_inc && member->kind != CASHEW_K_integer)
		return "is for integers";
	if ((verb == CASHEW_V_max || verb == CASHEW_V_min || verb == CASHEW_V_if_least) &&
		!is_ordered(member))
		return "is for integers, numbers and times";
	if (verb == CASHEW_V_if_equal && (member->kind == CASHEW_K_json || member->kind == CASHEW_K_bytes))
		return "is not for JSON and bytes";
	return NULL;
}

static int mistake(struct documents *d, const struct cashew_collection *collection,
	const struct cashew_change *change, const char *words)
{
	return documents_failed(d, DOCUMENTS_E_MISTAKE, "%s, (%s, %s, ..): %s", collection->name,
		verbs[change->verb], documents_member(collection->shape, change->offset)->name, words);
}

/* Copies the keys' values into the struct: they stand first, each once, and are all. */
static int read_keys(struct documents *d, const struct cashew_collection *collection, size_t count,
	const struct cashew_change *changes, void *ret_struct)
{
	struct documents_keys keys;
	documents_id_keys(collection->shape, &keys);
	documents_empty_struct(collection->shape, ret_struct);
	for (size_t i = 0; i < keys.count; i++) {
		if (i >= count || changes[i].verb != CASHEW_V_key ||
			changes[i].offset != keys.members[i]->offset)
			return documents_failed(d, DOCUMENTS_E_MISTAKE,
				"%s: expected all keys first, in their order: (key, %s, ..)",
				collection->name, keys.members[i]->name);
		const enum cashew_kind kind = keys.members[i]->kind;
		const bool is_text = kind == CASHEW_K_text || kind == CASHEW_K_user;
		memcpy((char *)ret_struct + changes[i].offset, changes[i].value,
			is_text ? sizeof(const char *) : sizeof(int64_t));
	}
	return 0;
}

/* Each member is changed once at most, and each verb fits its member. */
static int check_changes(struct documents *d, const struct cashew_collection *collection, size_t count,
	const struct cashew_change *changes, size_t keys)
{
	for (size_t i = keys; i < count; i++) {
		const struct cashew_change *change = &changes[i];
		if (change->verb == CASHEW_V_key)
			return mistake(d, collection, change, "expected keys first, and each once");
		const char *words =
			objection(documents_member(collection->shape, change->offset), change->verb);
		if (words)
			return mistake(d, collection, change, words);
		for (size_t before = keys; before < i; before++)
			if (changes[before].offset == change->offset &&
				is_guard(&changes[before]) == is_guard(change))
				return mistake(d, collection, change, "names a member for the second time");
	}
	return 0;
}

/* ---- guards ---- */

/* Whether a member that is missing is read as this value. */
static bool reads_as_missing(const struct cashew_member *member, const void *value)
{
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: return !*(const char *const *)value || **(const char *const *)value == '\0';
	case CASHEW_K_integer: return *(const int64_t *)value == (member->optional ? member->otherwise : 0);
	case CASHEW_K_number: return *(const double *)value == 0;
	case CASHEW_K_boolean: return !*(const bool *)value;
	case CASHEW_K_time: return *(const cashew_time *)value == 0;
	case CASHEW_K_bytes:
	case CASHEW_K_json: break;
	}
	return false;
}

/* {$in: [value, null]} */
static bool append_equal(bson_t *guards, const struct cashew_member *member, const void *value, char *words)
{
	bson_t in, list;
	if (!reads_as_missing(member, value))
		return documents_append_value(guards, member->name, member, value, words);
	BSON_APPEND_DOCUMENT_BEGIN(guards, member->name, &in);
	BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
	BSON_APPEND_NULL(&list, "0");
	const bool none = documents_is_none(member, value);
	const bool appended = none || documents_append_value(&list, "1", member, value, words);
	bson_append_array_end(&in, &list);
	bson_append_document_end(guards, &in);
	return appended;
}

static bool missing_is_least(const struct cashew_member *member, const void *value)
{
	if (member->kind == CASHEW_K_number)
		return 0 >= *(const double *)value;
	const int64_t missing = member->kind == CASHEW_K_integer && member->optional ? member->otherwise : 0;
	return missing >= *(const int64_t *)value;
}

/* {$gte: value}, or, where a missing member counts, {$not: {$lt: value}} */
static bool append_least(bson_t *guards, const struct cashew_member *member, const void *value, char *words)
{
	const bool missing = missing_is_least(member, value);
	bson_t condition, not ;
	BSON_APPEND_DOCUMENT_BEGIN(guards, member->name, &condition);
	bool appended;
	if (missing) {
		BSON_APPEND_DOCUMENT_BEGIN(&condition, "$not", &not );
		appended = documents_append_value(&not, "$lt", member, value, words);
		bson_append_document_end(&condition, &not );
	} else {
		appended = documents_append_value(&condition, "$gte", member, value, words);
	}
	bson_append_document_end(guards, &condition);
	return appended;
}

static int append_guards(const struct changing *c, bson_t *guards)
{
	const struct cashew_collection *collection = c->target->collection;
	char words[DOCUMENTS_WORDS_SIZE];
	for (size_t i = 0; i < c->count; i++) {
		const struct cashew_change *change = &c->changes[i];
		const struct cashew_member *member = documents_member(collection->shape, change->offset);
		const bool appended = !is_guard(change) ||
				      (change->verb == CASHEW_V_if_equal
						      ? append_equal(guards, member, change->value, words)
						      : append_least(guards, member, change->value, words));
		if (!appended)
			return mistake(c->d, collection, change, words);
	}
	return 0;
}

/* ---- operators ---- */

/* Appends the members of that verb. absent: where those of it go that are none; NULL: they are left out. */
static int append_members(const struct changing *c, enum cashew_verb verb, bson_t *into, bson_t *absent)
{
	const struct cashew_collection *collection = c->target->collection;
	char words[DOCUMENTS_WORDS_SIZE];
	for (size_t i = 0; i < c->count; i++) {
		const struct cashew_change *change = &c->changes[i];
		const struct cashew_member *member = documents_member(collection->shape, change->offset);
		if (change->verb != verb)
			continue;
		const bool can_be_absent =
			member->optional || member->kind == CASHEW_K_time || member->kind == CASHEW_K_json;
		if (can_be_absent && documents_is_none(member, change->value)) {
			if (absent)
				BSON_APPEND_BOOL(absent, member->name, true);
			continue;
		}
		/* what is added has no bounds of its own */
		if (verb == CASHEW_V_inc)
			BSON_APPEND_INT64(into, member->name, *(const int64_t *)change->value);
		else if (!documents_append_value(into, member->name, member, change->value, words))
			return mistake(c->d, collection, change, words);
	}
	return 0;
}

static int append_operator(const struct changing *c, bson_t *update, const char *name, enum cashew_verb verb)
{
	bson_t fields = BSON_INITIALIZER, absent = BSON_INITIALIZER;
	const int error = append_members(c, verb, &fields, verb == CASHEW_V_set ? &absent : NULL);
	if (!bson_empty(&fields))
		BSON_APPEND_DOCUMENT(update, name, &fields);
	if (!bson_empty(&absent))
		BSON_APPEND_DOCUMENT(update, "$unset", &absent);
	bson_destroy(&fields);
	bson_destroy(&absent);
	return error;
}

static int append_update(const struct changing *c, const void *keys, bson_t *update)
{
	bson_t fields;
	int error = append_operator(c, update, "$set", CASHEW_V_set);
	if (!error)
		error = append_operator(c, update, "$max", CASHEW_V_max);
	if (!error)
		error = append_operator(c, update, "$min", CASHEW_V_min);
	if (error)
		return error;
	BSON_APPEND_DOCUMENT_BEGIN(update, "$setOnInsert", &fields);
	documents_append_identity(&fields, c->target, keys);
	error = append_members(c, CASHEW_V_init, &fields, NULL);
	bson_append_document_end(update, &fields);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &fields);
	if (!error)
		error = append_members(c, CASHEW_V_inc, &fields, NULL);
	BSON_APPEND_INT64(&fields, "_v", 1);
	bson_append_document_end(update, &fields);
	return error;
}

static int write_changes(
	const struct changing *c, const void *keys, bool once, bool guarded, const void **ret)
{
	bson_t update = BSON_INITIALIZER, guards = BSON_INITIALIZER;
	const struct documents_once counted = {.target = c->target,
		.update = &update,
		.guards = guarded ? &guards : NULL,
		.may_insert = !guarded};
	int error = append_update(c, keys, &update);
	if (!error)
		error = append_guards(c, &guards);
	if (!error)
		error = once ? documents_write_once(c->d, &counted, ret)
			     : documents_write_always(c->d, c->target, &update, ret);
	bson_destroy(&update);
	bson_destroy(&guards);
	return error;
}

int documents_update(struct documents *d, const struct cashew_collection *collection, size_t count,
	const struct cashew_change *changes, const void **ret)
{
	DOCUMENTS_TARGET target = {.id = NULL};
	void *keys = arena_alloc(d->memory, collection->shape->size);
	bool once = false, guarded = false;
	int error = keys ? read_keys(d, collection, count, changes, keys) : -ENOMEM;
	if (!error)
		error = documents_target(d, collection, keys, &target);
	if (!error)
		error = check_changes(d, collection, count, changes, target.keys.count);
	if (error)
		return error;
	const struct changing c = {d, &target, count - target.keys.count, changes + target.keys.count};
	for (size_t i = 0; i < c.count; i++) {
		guarded = guarded || is_guard(&c.changes[i]);
		once = once || guarded || c.changes[i].verb == CASHEW_V_inc;
	}
	return write_changes(&c, keys, once, guarded, ret);
}
