/*
 * check.c - see check.h. Structs, events and collections are in check_shape.c.
 *
 * Each check tells every problem that it finds, so that one build shows them all.
 */
#include "check.h"

#include "check_private.h"
#include "settings.h"
#include "timetable.h"
#include "topic.h"
#include <stdarg.h>

void check_tell(struct check *check, const char *file, int line, const char *format, ...)
{
	va_list arguments;
	if (file)
		fprintf(check->problems, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(check->problems, format, arguments);
	va_end(arguments);
	fputc('\n', check->problems);
	check->found++;
}

static void check_topic(struct check *check, const struct cashew_handler *handler)
{
	const char *topic = handler->topic;
	if (topic && topic_filter_shared(topic))
		check_tell(check, handler->file, handler->line,
			"handler %s: .topic = \"%s\": a shared subscription would break up the order of a user's "
			"commands: expected a topic filter like \"+/get_apples\"",
			handler->name, topic);
	else if (!topic || !topic_filter_valid(topic))
		check_tell(check, handler->file, handler->line,
			"handler %s: .topic = \"%s\": expected an MQTT topic filter like \"+/get_apples\"",
			handler->name, topic ? topic : "");
}

static void check_deadline(struct check *check, const struct cashew_handler *handler)
{
	if (handler->deadline_ms > SETTINGS_HANDLER_TIMEOUT_MAX_S * 1000)
		check_tell(check, handler->file, handler->line,
			"handler %s: .deadline_ms = %u: expected %d or less, which is %d s", handler->name,
			handler->deadline_ms, SETTINGS_HANDLER_TIMEOUT_MAX_S * 1000,
			SETTINGS_HANDLER_TIMEOUT_MAX_S);
}

/* A schedule is run by the clock: nobody has sent it anything. */
static void check_schedule(struct check *check, const struct cashew_handler *handler)
{
	const struct {
		const char *member;
		bool given;
	} of_commands[] = {
		{".topic", handler->topic},
		{".payload", handler->payload},
		{".needs_id", handler->needs_id},
		{".light", handler->light},
		{".lane", handler->lane},
	};
	for (size_t i = 0; i < sizeof(of_commands) / sizeof(of_commands[0]); i++)
		if (of_commands[i].given)
			check_tell(check, handler->file, handler->line,
				"schedule %s: %s is for commands: a schedule has no sender", handler->name,
				of_commands[i].member);
	char reason[TIMETABLE_REASON_SIZE];
	struct timetable timetable;
	if (timetable_of(handler, &timetable, reason) != 0)
		check_tell(check, handler->file, handler->line, "schedule %s: %s", handler->name, reason);
}

static void check_command(struct check *check, const struct cashew_handler *handler)
{
	check_topic(check, handler);
	if (handler->every_s != 0 || handler->cron || handler->skip_missed)
		check_tell(check, handler->file, handler->line,
			"handler %s: .every_s, .cron and .skip_missed are for schedules: expected CASHEW_SCHEDULE(%s, ..)",
			handler->name, handler->name);
	if (handler->needs_id && handler->payload == CASHEW_BYTES)
		check_tell(check, handler->file, handler->line,
			"handler %s: .needs_id with CASHEW_BYTES: the id is the payload's \"command_id\" for most senders",
			handler->name);
	if (handler->light && (handler->collections || handler->reads))
		check_tell(check, handler->file, handler->line,
			"handler %s: .light with collections: all others would wait for the database",
			handler->name);
}

static void check_one(struct check *check, const struct cashew_handler *handler)
{
	check_deadline(check, handler);
	if (!handler->handle)
		check_tell(
			check, handler->file, handler->line, "handler %s: .handle is missing", handler->name);
	if (handler->scheduled)
		check_schedule(check, handler);
	else
		check_command(check, handler);
	if (handler->lane && !topic_event_valid(handler->lane))
		check_tell(check, handler->file, handler->line,
			"handler %s: .lane = \"%s\": expected 1 to 64 of a-z 0-9 _", handler->name,
			handler->lane);
	if (handler->fini && !handler->init)
		check_tell(check, handler->file, handler->line,
			"handler %s: .fini without .init: it would never be called", handler->name);
	check_shapes(check, handler);
}

unsigned check_handler(const struct cashew_handler *handler, FILE *problems)
{
	struct check check = {.problems = problems};
	check_one(&check, handler);
	return check.found;
}

unsigned check_handlers(const struct cashew_handler *const *handlers, FILE *problems)
{
	struct check check = {.problems = problems};
	for (size_t i = 0; handlers[i]; i++)
		check_one(&check, handlers[i]);
	check_same_collections(&check, handlers);
	return check.found;
}
