/*
 * kit_documents.c - the documents of a test, on whatever store it is linked with: by store_documents.h, as handlers see them through cashew.h.
 *
 * What a test stores or looks at is JSON; the collection's declaration says which member is a time, which are bytes, and which make the _id. Members
 * that are not declared are left out of what is shown. Failure: a collection or a member that no handler declares ends the test, in words.
 */
#include "kit_private.h"

#include "handler_table.h"
#include "store_documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENTS_MAX = 10000, ID_SIZE = 1024 };

/* ---- Declarations ---- */

static const struct cashew_collection *named(
	const struct cashew_collection *const *collections, const char *name)
{
	for (; collections && *collections; collections++)
		if (strcmp((*collections)->name, name) == 0)
			return *collections;
	return NULL;
}

static const struct cashew_collection *declared(struct kit_place place, const char *name)
{
	for (size_t i = 0; handler_table[i]; i++) {
		const struct cashew_collection *found = named(handler_table[i]->collections, name);
		if (!found)
			found = named(handler_table[i]->reads, name);
		if (found)
			return found;
	}
	kit_fail(place,
		"no handler has a collection \"%s\": expected one of a CASHEW_COLLECTION() that a handler names",
		name);
}

static const struct cashew_member *member_of(const struct cashew_collection *collection, const char *name)
{
	for (size_t i = 0; i < collection->shape->count; i++)
		if (strcmp(collection->shape->members[i].name, name) == 0)
			return &collection->shape->members[i];
	return NULL;
}

/* ---- The _id ---- */

struct id {
	char text[ID_SIZE];
	size_t size;
};

static void add_part(struct id *id, const char *part)
{
	if (id->size > 0)
		id->text[id->size++] = '/';
	for (; *part && id->size < ID_SIZE - 4; part++) {
		if (*part == '/' || *part == '%')
			id->size += (size_t)snprintf(id->text + id->size, 4, "%%%02X", (unsigned)*part);
		else
			id->text[id->size++] = *part;
	}
	id->text[id->size] = '\0';
}

static void make_id(struct kit_place place, const struct cashew_collection *collection,
	const json_t *document, struct id *ret)
{
	*ret = (struct id){.size = 0};
	for (size_t i = 0; i < collection->shape->count; i++) {
		const struct cashew_member *member = &collection->shape->members[i];
		const json_t *value = json_object_get(document, member->name);
		char number[32];
		int64_t ms;
		if (!member->key)
			continue;
		if (!value)
			kit_fail(place, "the document has no %s, which is part of the _id of \"%s\"",
				member->name, collection->name);
		if (member->kind == CASHEW_K_time && json_is_string(value) &&
			kit_json_time(json_string_value(value), &ms))
			snprintf(number, sizeof(number), "%lld", (long long)ms);
		else
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		add_part(ret, json_is_string(value) && member->kind != CASHEW_K_time
				      ? json_string_value(value)
				      : number);
	}
}

/* ---- Visiting ---- */

/* Calls visit() for each document of each collection that handlers declare. */
static void visit_collection(struct kit *t, const char *name,
	void (*visit)(void *context, const char *collection, const bson_t *document), void *context)
{
	struct store_client *client = store_acquire(t->store);
	bson_t filter = BSON_INITIALIZER, reply;
	bson_iter_t documents;
	bool more;
	const struct store_query query = {.collection = name, .filter = &filter, .limit = DOCUMENTS_MAX};
	if (store_documents_find(client, &query, &reply, &documents, &more) != 0)
		kit_fail(t->board->place, "\"%s\" cannot be read: %s", name, store_last_error(client));
	while (bson_iter_next(&documents)) {
		const uint8_t *bytes;
		uint32_t size;
		bson_t document;
		bson_iter_document(&documents, &size, &bytes);
		if (!bson_init_static(&document, bytes, size))
			abort();
		visit(context, name, &document);
	}
	bson_destroy(&reply);
	store_release(client);
}

static void visit_all(struct kit *t,
	void (*visit)(void *context, const char *collection, const bson_t *document), void *context)
{
	json_t *seen = kit_memory(json_object());
	kit_break_aside(true);
	for (size_t i = 0; handler_table[i]; i++) {
		const struct cashew_collection *const *lists[] = {
			handler_table[i]->collections, handler_table[i]->reads};
		for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++)
			for (size_t n = 0; lists[k] && lists[k][n]; n++) {
				const char *name = lists[k][n]->name;
				if (!json_object_get(seen, name))
					visit_collection(t, name, visit, context);
				json_object_set_new(seen, name, json_true());
			}
	}
	kit_break_aside(false);
	json_decref(seen);
}

/* ---- Documents ---- */

/* Its declared members. */
static json_t *json_of_document(
	const struct cashew_collection *collection, const bson_t *document, const char **ret_id)
{
	json_t *json = kit_memory(json_object());
	bson_iter_t member;
	*ret_id = "?";
	if (!bson_iter_init(&member, document))
		abort();
	while (bson_iter_next(&member)) {
		if (strcmp(bson_iter_key(&member), "_id") == 0 && BSON_ITER_HOLDS_UTF8(&member))
			*ret_id = bson_iter_utf8(&member, NULL);
		else if (member_of(collection, bson_iter_key(&member)))
			json_object_set_new(json, bson_iter_key(&member), kit_bson_json(&member));
	}
	return json;
}

struct reading {
	struct kit *t;
	json_t *all;
};

static void read_document(void *context, const char *name, const bson_t *document)
{
	struct reading *reading = context;
	const char *id;
	json_t *json = json_of_document(declared(reading->t->board->place, name), document, &id);
	if (!json_object_get(reading->all, name))
		json_object_set_new(reading->all, name, json_object());
	json_object_set_new(json_object_get(reading->all, name), id, json);
}

json_t *kit_documents_all(struct kit *t)
{
	struct reading reading = {.t = t, .all = kit_memory(json_object())};
	visit_all(t, read_document, &reading);
	return reading.all;
}

json_t *kit_documents_find(struct kit *t, const char *collection, const char *id)
{
	struct reading reading = {.t = t, .all = kit_memory(json_object())};
	(void)declared(t->board->place, collection);
	kit_break_aside(true);
	visit_collection(t, collection, read_document, &reading);
	kit_break_aside(false);
	json_t *document = json_incref(json_object_get(json_object_get(reading.all, collection), id));
	json_decref(reading.all);
	return document;
}

static bson_t *set_of(
	struct kit_place place, const struct cashew_collection *collection, const json_t *document)
{
	bson_t *update = bson_new(), set;
	const char *name;
	json_t *value;
	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	json_object_foreach((json_t *)(uintptr_t)document, name, value)
	{
		const struct cashew_member *member = member_of(collection, name);
		if (!member)
			kit_fail(place, "\"%s\" has no member \"%s\": %s:%d declares it", collection->name,
				name, collection->shape->file, collection->shape->line);
		kit_bson_append(place, &set, member, value);
	}
	bson_append_document_end(update, &set);
	return update;
}

void kit_documents_put(struct kit *t, const char *name, const json_t *document)
{
	const struct kit_place place = t->board->place;
	const struct cashew_collection *collection = declared(place, name);
	struct id id;
	make_id(place, collection, document, &id);
	bson_t *filter = BCON_NEW("_id", BCON_UTF8(id.text)), *update = set_of(place, collection, document);
	struct store_client *client = store_acquire(t->store);
	const struct store_modification modification = {
		.collection = name, .filter = filter, .update = update, .upsert = true};
	bson_t reply;
	bson_iter_t written;
	kit_break_aside(true);
	if (store_documents_modify(client, &modification, &reply, &written) != 0)
		kit_fail(place, "\"%s\" cannot be written: %s", name, store_last_error(client));
	kit_break_aside(false);
	bson_destroy(&reply);
	store_release(client);
	bson_destroy(filter);
	bson_destroy(update);
}

/* ---- All of them as they are, and again ---- */

static void keep(void *context, const char *collection, const bson_t *document)
{
	struct kit_copy **copies = context, *copy = kit_memory(malloc(sizeof(*copy)));
	*copy = (struct kit_copy){.next = *copies, .collection = collection, .document = bson_copy(document)};
	*copies = copy;
}

struct kit_copy *kit_documents_keep(struct kit *t)
{
	struct kit_copy *copies = NULL;
	visit_all(t, keep, &copies);
	return copies;
}

void kit_documents_forget(struct kit_copy *copies)
{
	for (struct kit_copy *copy = copies, *next; copy; copy = next) {
		next = copy->next;
		bson_destroy(copy->document);
		free(copy);
	}
}

static void write_one(
	struct kit *t, const char *collection, enum store_statement_kind kind, const bson_t *document)
{
	struct store_client *client = store_acquire(t->store);
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set = BSON_INITIALIZER;
	bson_iter_t member;
	if (!bson_iter_init(&member, document))
		abort();
	while (bson_iter_next(&member))
		bson_append_iter(
			strcmp(bson_iter_key(&member), "_id") == 0 ? &filter : &set, NULL, -1, &member);
	BSON_APPEND_DOCUMENT(&update, "$set", &set);
	struct store_statement statement = {
		.kind = kind, .filter = &filter, .update = kind == STORE_REMOVE ? NULL : &update};
	const struct store_statement *failed;
	if (store_documents_write(client, collection, &statement, &failed) != 0)
		kit_fail(t->board->place, "\"%s\" cannot be written: %s", collection,
			store_last_error(client));
	bson_destroy(&set);
	bson_destroy(&filter);
	bson_destroy(&update);
	store_release(client);
}

void kit_documents_bring_back(struct kit *t, const struct kit_copy *copies)
{
	struct kit_copy *now = kit_documents_keep(t);
	kit_break_aside(true);
	for (const struct kit_copy *copy = now; copy; copy = copy->next)
		write_one(t, copy->collection, STORE_REMOVE, copy->document);
	for (const struct kit_copy *copy = copies; copy; copy = copy->next)
		write_one(t, copy->collection, STORE_UPSERT, copy->document);
	kit_break_aside(false);
	kit_documents_forget(now);
}
