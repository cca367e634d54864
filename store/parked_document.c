/* parked_document.c - a parked command as a document: see parked_document.h. */
#include "parked_document.h"
#include <string.h>

/* How long after it was written somebody should look at one that is behind others. */
enum { BEHIND_MS = 5 * 60 * 1000 };

/* ---- Writing ---- */

void parked_append_progress(bson_t *document, const struct parked_command *command)
{
	bson_t names;

	BSON_APPEND_ARRAY_BEGIN(document, "settled", &names);
	for (size_t i = 0; i < command->settled_count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer, sizeof(buffer));
		store_append_text(&names, place, command->settled[i]);
	}
	bson_append_array_end(document, &names);
	store_append_text(document, "end", command->end);
	BSON_APPEND_INT64(document, "attempts", command->attempts);
	BSON_APPEND_INT64(document, "crashes", command->crashes);
	store_append_text(document, "handler", command->handler);
	store_append_reason(document, command->reason);
}

void parked_append_lease(bson_t *document, const struct backlog_lease *lease, int64_t now_ms)
{
	BSON_APPEND_DATE_TIME(document, "not_before", now_ms + lease->lease_ms);
	BSON_APPEND_DATE_TIME(document, "lease_until", now_ms + lease->lease_ms);
	store_append_text(document, "claimed_by", lease->owner);
}

void parked_document_of(bson_t *document, const struct parked_command *command,
	const struct backlog_lease *lease, int64_t now_ms)
{
	store_append_id(document, &command->id);
	store_append_text(document, "user_id", command->user);
	store_append_text(document, "lane", command->lane);
	BSON_APPEND_INT64(document, "position", command->position);
	store_append_text(document, "topic", command->topic);
	store_append_bytes(document, "payload", command->payload, command->payload_size);
	BSON_APPEND_INT64(document, "bytes", (int64_t)(command->payload_size + command->correlation_size));
	if (command->correlation)
		store_append_bytes(document, "correlation", command->correlation, command->correlation_size);
	if (command->response_topic)
		store_append_text(document, "response_topic", command->response_topic);
	parked_append_progress(document, command);
	if (command->replayed)
		BSON_APPEND_BOOL(document, "replayed", true);
	if (lease) {
		parked_append_lease(document, lease, now_ms);
	} else if (command->behind) {
		BSON_APPEND_DATE_TIME(document, "not_before", now_ms + BEHIND_MS);
		BSON_APPEND_BOOL(document, "behind", true);
	} else {
		BSON_APPEND_DATE_TIME(document, "not_before", now_ms + command->due_in_ms);
	}
}

/* ---- Reading ---- */

/* A command together with what its pointers point into. */
struct held {
	struct parked_command command; /* first: see parked_command_free() */
	bson_t *document;
	unsigned char *payload; /* with a NUL behind it */
	const char *settled[];
};

static size_t settled_of(const bson_t *document, const char **names)
{
	bson_iter_t iter, elements;
	size_t count = 0;

	if (!bson_iter_init_find(&iter, document, "settled") || !BSON_ITER_HOLDS_ARRAY(&iter) ||
		!bson_iter_recurse(&iter, &elements))
		return 0;
	while (bson_iter_next(&elements)) {
		if (!BSON_ITER_HOLDS_UTF8(&elements))
			continue;
		if (names)
			names[count] = bson_iter_utf8(&elements, NULL);
		count++;
	}
	return count;
}

static bool flag_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && bson_iter_as_bool(&iter);
}

struct parked_command *parked_command_of(bson_t *document, int64_t now_ms)
{
	const size_t settled = settled_of(document, NULL);
	struct held *held = bson_malloc0(sizeof(*held) + settled * sizeof(held->settled[0]));
	struct parked_command *command = &held->command;

	held->document = document;
	command->id = store_id_of(document);
	command->lane = store_text_of(document, "lane", "");
	command->user = store_text_of(document, "user_id", "");
	command->topic = store_text_of(document, "topic", "");
	command->position = store_number_of(document, "position");
	const void *payload = store_bytes_of(document, "payload", &command->payload_size);
	held->payload = bson_malloc0(command->payload_size + 1);
	if (command->payload_size > 0)
		memcpy(held->payload, payload, command->payload_size);
	command->payload = held->payload;
	command->correlation = store_bytes_of(document, "correlation", &command->correlation_size);
	command->response_topic = store_text_of(document, "response_topic", NULL);
	command->settled_count = settled_of(document, held->settled);
	command->settled = held->settled;
	command->end = store_text_of(document, "end", "");
	command->attempts = (unsigned)store_number_of(document, "attempts");
	command->crashes = (unsigned)store_number_of(document, "crashes");
	command->replayed = flag_of(document, "replayed");
	command->handler = store_text_of(document, "handler", "");
	command->reason = store_text_of(document, "reason", "");
	command->behind = flag_of(document, "behind");
	if (!command->behind && store_date_of(document, "not_before") != INT64_MIN)
		command->due_in_ms = store_date_of(document, "not_before") - now_ms;
	return command;
}

void parked_command_free(struct parked_command *command)
{
	struct held *held = (struct held *)command;

	if (!held)
		return;
	bson_destroy(held->document);
	bson_free(held->payload);
	bson_free(held);
}

void parked_append_user(bson_t *filter, const char *lane, const char *user)
{
	store_append_text(filter, "lane", lane);
	BSON_APPEND_NULL(filter, "done");
	store_append_text(filter, "user_id", user);
}

int64_t parked_claimable_in_ms(const bson_t *first, const char *owner, int64_t now_ms)
{
	const char *claimed_by = store_text_of(first, "claimed_by", NULL);
	const int64_t lease_until_ms = store_date_of(first, "lease_until");
	const int64_t not_before_ms = store_date_of(first, "not_before");

	if (claimed_by && strcmp(claimed_by, owner) == 0)
		return 0;
	if (claimed_by && lease_until_ms > now_ms)
		return lease_until_ms - now_ms;
	if (flag_of(first, "behind") || not_before_ms <= now_ms)
		return 0;
	return not_before_ms - now_ms;
}
