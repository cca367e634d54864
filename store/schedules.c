/*
 * schedules.c - how far each schedule has come:
 * {_id: the schedule's name, slot: date, since: date, run: ObjectId, open, by: who began it, begun_at: date, ended_at: date, end, events, ms,
 * asked: ObjectId, question: ObjectId}.
 *
 * A run begins by one update whose filter names the run before, so of many hosts that see the same one begins the next. It ends by one whose filter
 * names the run itself, so a copy that comes late ends nothing.
 */
#include "schedules.h"

#include "store_document.h"
#include <string.h>

static const enum store_collection collection = STORE_SCHEDULES;

/* ---- Reading ---- */

static bool oid_of(const bson_t *document, const char *field, struct store_id *ret)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, document, field) || !BSON_ITER_HOLDS_OID(&iter))
		return false;
	memcpy(ret->bytes, bson_iter_oid(&iter)->bytes, sizeof(ret->bytes));
	return true;
}

static void copy_text(char *to, size_t size, const char *text)
{
	(void)bson_strncpy(to, text, size);
}

static void read_state(const bson_t *document, const char *owner, struct schedule_state *state)
{
	bson_iter_t iter;

	state->known = true;
	state->damaged = store_date_of(document, "slot") == INT64_MIN ||
			 store_date_of(document, "since") == INT64_MIN ||
			 !oid_of(document, "run", &state->run);
	if (state->damaged)
		return;
	state->slot_ms = store_date_of(document, "slot");
	state->since_ms = store_date_of(document, "since");
	state->open = bson_iter_init_find(&iter, document, "open") && bson_iter_as_bool(&iter);
	state->ours = strcmp(store_text_of(document, "by", ""), owner) == 0;
	state->begun_ms = store_date_of(document, "begun_at");
	state->ended_ms = store_date_of(document, "ended_at");
	copy_text(state->end, sizeof(state->end), store_text_of(document, "end", ""));
	state->events = (unsigned)store_number_of(document, "events");
	state->ran_ms = (unsigned)store_number_of(document, "ms");
	state->asked = oid_of(document, "asked", &state->asks);
	(void)oid_of(document, "question", &state->question);
}

struct reading {
	struct schedule_state *states;
	size_t count;
	const char *owner;
};

static bool take(const bson_t *document, void *context)
{
	const struct reading *reading = context;
	const char *name = store_text_of(document, "_id", "");

	for (size_t i = 0; i < reading->count; i++)
		if (strcmp(reading->states[i].name, name) == 0)
			read_state(document, reading->owner, &reading->states[i]);
	return true;
}

int schedules_read(struct store_client *client, const char *const *names, size_t count, const char *owner,
	struct schedule_state *ret_states)
{
	struct reading reading = {ret_states, count, owner};
	bson_t filter = BSON_INITIALIZER, in, list;

	if (!client->mongo)
		return STORE_E_AWAY;
	BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &in);
	BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
	for (size_t i = 0; i < count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer, sizeof(buffer));
		store_append_text(&list, place, names[i]);
		ret_states[i] = (struct schedule_state){.begun_ms = INT64_MIN, .ended_ms = INT64_MIN};
		copy_text(ret_states[i].name, sizeof(ret_states[i].name), names[i]);
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(&filter, &in);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, NULL, NULL);
	bson_destroy(&filter);
	return store_iterate(client, collection, cursor, take, &reading);
}

/* ---- Writing ---- */

static void append_oid(bson_t *document, const char *field, const struct store_id *id)
{
	bson_oid_t oid;

	bson_oid_init_from_data(&oid, id->bytes);
	BSON_APPEND_OID(document, field, &oid);
}

/* One update; *ret_matched: its filter found the document. Destroys both. 0 or a store error. */
static int update(struct store_client *client, const char *action, bson_t *filter, bson_t *change,
	const bson_t *options, bool *ret_matched)
{
	bson_error_t driver;
	bson_iter_t iter;
	bson_t reply;

	if (!client->mongo) {
		bson_destroy(filter);
		bson_destroy(change);
		return STORE_E_AWAY;
	}
	const bool updated = mongoc_collection_update_one(
		store_client_collection(client, collection), filter, change, options, &reply, &driver);
	bson_destroy(filter);
	bson_destroy(change);
	*ret_matched = bson_iter_init_find(&iter, &reply, "matchedCount") && bson_iter_as_int64(&iter) > 0;
	return store_write_result(client, collection, action, updated, &reply, &driver);
}

int schedule_found(struct store_client *client, const char *name, int64_t slot_ms, int64_t since_ms)
{
	bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
	const struct store_id id = store_new_id();
	bool matched;

	store_append_text(&filter, "_id", name);
	BSON_APPEND_DOCUMENT_BEGIN(&change, "$setOnInsert", &set);
	BSON_APPEND_DATE_TIME(&set, "slot", slot_ms);
	BSON_APPEND_DATE_TIME(&set, "since", since_ms);
	append_oid(&set, "run", &id);
	BSON_APPEND_BOOL(&set, "open", false);
	bson_append_document_end(&change, &set);
	return update(client, "found", &filter, &change, store_upsert_options(client->store), &matched);
}

int schedule_begin(struct store_client *client, const struct schedule_run *run)
{
	bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
	bool matched;
	int error = store_know_time(client);

	if (error != 0) {
		bson_destroy(&filter);
		bson_destroy(&change);
		return error;
	}
	store_append_text(&filter, "_id", run->name);
	append_oid(&filter, "run", &run->before->run);
	BSON_APPEND_BOOL(&filter, "open", false);
	if (run->before->asked)
		append_oid(&filter, "asked", &run->before->asks);
	BSON_APPEND_DOCUMENT_BEGIN(&change, "$set", &set);
	BSON_APPEND_DATE_TIME(&set, "slot", run->slot_ms);
	BSON_APPEND_DATE_TIME(&set, "since", run->since_ms);
	append_oid(&set, "run", &run->id);
	BSON_APPEND_BOOL(&set, "open", true);
	store_append_text(&set, "by", run->owner);
	BSON_APPEND_DATE_TIME(&set, "begun_at", store_now_ms(client->store));
	if (run->before->asked)
		append_oid(&set, "question", &run->before->asks);
	bson_append_document_end(&change, &set);
	BCON_APPEND(&change, "$unset", "{", run->before->asked ? "asked" : "question", BCON_UTF8(""), "}");
	error = update(client, "begin", &filter, &change, NULL, &matched);
	return error == 0 && !matched ? SCHEDULE_E_TAKEN : error;
}

int schedule_end(struct store_client *client, const char *name, const struct store_id *run,
	const struct schedule_outcome *outcome)
{
	bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
	bool matched;
	const int error = store_know_time(client);

	if (error != 0) {
		bson_destroy(&filter);
		bson_destroy(&change);
		return error;
	}
	store_append_text(&filter, "_id", name);
	append_oid(&filter, "run", run);
	BSON_APPEND_BOOL(&filter, "open", true);
	BSON_APPEND_DOCUMENT_BEGIN(&change, "$set", &set);
	BSON_APPEND_BOOL(&set, "open", false);
	BSON_APPEND_DATE_TIME(&set, "ended_at", store_now_ms(client->store));
	store_append_text(&set, "end", outcome->end);
	BSON_APPEND_INT64(&set, "events", outcome->events);
	BSON_APPEND_INT64(&set, "ms", outcome->ran_ms);
	bson_append_document_end(&change, &set);
	return update(client, "end", &filter, &change, NULL, &matched);
}

int schedule_ask(struct store_client *client, const char *name, const struct store_id *question)
{
	bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
	bool matched;

	store_append_text(&filter, "_id", name);
	BSON_APPEND_DOCUMENT_BEGIN(&change, "$set", &set);
	append_oid(&set, "asked", question);
	bson_append_document_end(&change, &set);
	const int error = update(client, "ask", &filter, &change, NULL, &matched);
	return error == 0 && !matched ? STORE_E_NOT_FOUND : error;
}

int schedule_unask(
	struct store_client *client, const char *name, const struct store_id *question, bool *ret_taken)
{
	bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER;
	bool matched;

	store_append_text(&filter, "_id", name);
	append_oid(&filter, "asked", question);
	BCON_APPEND(&change, "$unset", "{", "asked", BCON_UTF8(""), "}");
	const int error = update(client, "unask", &filter, &change, NULL, &matched);
	if (error == 0)
		*ret_taken = matched;
	return error;
}
