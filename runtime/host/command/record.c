/*
 * record.c - see record.h.
 */
#include "record.h"

#include "clock.h"
#include "command.h"
#include "fingerprint.h"
#include "log.h"
#include "timetable.h"
#include <stdlib.h>
#include <string.h>

enum { DELAY_MS = 1000, DELAY_MAX_MS = 300000 };

unsigned record_delay_ms(unsigned attempts)
{
	return (unsigned)clock_jitter_ms(backoff_ms(attempts > 0 ? attempts - 1 : 0, DELAY_MS, DELAY_MAX_MS));
}

static struct parked_command new_document(const struct command *command, const struct record_terms *terms)
{
	struct store_id id;
	memcpy(id.bytes, command->input.made_id, sizeof(id.bytes));
	return (struct parked_command){
		.id = id,
		.lane = terms->lane_id,
		.user = command->input.user,
		.topic = command->input.topic,
		.position = terms->position,
		.payload = command->input.payload,
		.payload_size = command->input.payload_size,
		.correlation = command->correlation,
		.correlation_size = command->correlation_size,
		.response_topic = command->input.response_topic,
		.end = command_end_name(COMMAND_DONE),
		.handler = "",
		.reason = "",
	};
}

/* The handlers that are through with it. While events are not PUBACKed, or were refused, it is not known whose they are, so
 * those of before count: should the host die, they run again for their events. */
static void write_progress(const struct command *command, const struct routes *routes, struct record *record)
{
	record->written.crashes = command->crashes;
	record->written.handler = command->handler;
	record->written.reason = command->reason ? command->reason : "";
	if (command->refused || command->events || command->events_pending > 0)
		return;
	const struct route *route = command->route;
	record->written.settled = record->settled;
	record->written.settled_count = 0;
	for (unsigned i = 0; route && i < route->handler_count; i++)
		if ((command->settled & (UINT32_C(1) << i)) != 0)
			record->settled[record->written.settled_count++] =
				routes->handlers[route->handlers[i]]->name;
	record->written.end = command_end_name(command->end);
}

bool record_make(struct command *command, const struct routes *routes, const struct record_terms *terms)
{
	struct record *record = calloc(1, sizeof(*record));
	if (!record)
		return false;
	if (command->record) {
		*record = *command->record;
		if (record->written.settled)
			record->written.settled = record->settled;
	} else if (command->document) {
		record->written = *command->document;
	} else {
		record->written = new_document(command, terms);
	}
	record->written.attempts = terms->attempts;
	record->written.due_in_ms = terms->delay_ms;
	record->written.behind = terms->behind;
	if (!command->stepping)
		write_progress(command, routes, record);
	free(command->record);
	command->record = record;
	return true;
}

/* When it was due. What is no payload of ours is told by record_schedule_readable(). */
static void read_schedule(struct command *command)
{
	struct call_input *input = &command->input;
	char id[TIMETABLE_ID_SIZE];
	input->user = "";
	if (!timetable_payload_read(input->payload, input->payload_size, &input->slot_ms, &input->since_ms))
		return;
	timetable_id(command->schedule, input->slot_ms, id);
	input->id = arena_copy(&command->arena, id, strlen(id));
}

bool record_schedule_readable(const struct command *command)
{
	return command->input.id;
}

void record_read(struct command *command)
{
	const struct parked_command *document = command->document;
	const char *slash = strchr(document->topic, '/');
	command->input = (struct call_input){
		.topic = document->topic,
		.user = document->user,
		.command = slash ? slash + 1 : document->topic,
		.payload = document->payload,
		.payload_size = document->payload_size,
		.response_topic = document->response_topic,
		.correlation = document->correlation,
		.correlation_size = (uint16_t)document->correlation_size,
		.attempt = 1,
	};
	memcpy(command->input.made_id, document->id.bytes, sizeof(document->id.bytes));
	command->correlation = document->correlation;
	command->correlation_size = (uint16_t)document->correlation_size;
	command->fingerprint = fingerprint(document->topic, document->payload, document->payload_size,
		document->correlation, document->correlation_size);
	command->schedule = timetable_name_of(document->topic);
	if (command->schedule)
		read_schedule(command);
	command->identity = fingerprint_text((const char *)document->id.bytes, sizeof(document->id.bytes));
	command->base_attempts = command->attempts = document->attempts;
	command->crashes = document->crashes;
	command->handler = document->handler;
	command->reason = document->reason;
}

static bool is_settled(const struct parked_command *document, const char *handler)
{
	for (size_t i = 0; i < document->settled_count; i++)
		if (strcmp(document->settled[i], handler) == 0)
			return true;
	return false;
}

void record_read_progress(struct command *command, const struct routes *routes)
{
	const struct parked_command *document = command->document;
	const struct route *route = command->route;
	for (unsigned i = 0; route && i < route->handler_count; i++)
		if (is_settled(document, routes->handlers[route->handlers[i]]->name))
			command->settled |= UINT32_C(1) << i;
	for (enum command_end end = COMMAND_DONE; end <= COMMAND_DEAD; end++)
		if (strcmp(document->end, command_end_name(end)) == 0)
			command->end = end;
}

void record_log(const struct command *command)
{
	const struct parked_command *written = &command->record->written;
	char not_before[CLOCK_ISO_SIZE];
	/* By the log's clock; the document's is the database's. */
	clock_iso(clock_unix_ms() + written->due_in_ms, not_before);
	/* Those behind it are as many as its user sends. */
	LOG_EVENT(written->behind ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "command_parked",
		"a command is kept in the store and tried again later", LOG_TEXT("user", command->input.user),
		LOG_TEXT("topic", command->input.topic), LOG_TEXT("handler", written->handler),
		LOG_INT("attempts", written->attempts), LOG_TEXT("reason", written->reason),
		LOG_TEXT("not_before", not_before));
}
