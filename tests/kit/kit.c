/*
 * kit.c - one test: delivers commands, and looks at what they left. See cashew_test.h.
 *
 * Happy path: test_deliver() runs each handler that listens on the topic, by handler_run.h, and keeps the events and the worst end; test_event() and the
 * others take what they expect. Failure: kit_fail() at the first thing that is not so, also at the next command, or the test's end, for what nobody
 * has expected.
 */
#include "kit_private.h"

#include "handler_table.h"
#include "topic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char begin_time[] = "2026-01-31T12:00:00Z";

void kit_fail(struct kit_place place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fflush(stdout);
	fprintf(stderr, "%s:%d: ", place.file, place.line);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	fflush(stderr);
	_Exit(EXIT_FAILURE);
}

void *kit_memory(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

char *kit_copy(const char *text)
{
	return kit_memory(strdup(text));
}

/* Where the test is: also what a crash is told with. */
static struct kit_place at(struct kit *t, const char *file, int line)
{
	t->board->place = (struct kit_place){file, line};
	return t->board->place;
}

/* ---- Life ---- */

struct kit *kit_new(struct kit_board *board)
{
	struct kit *t = kit_memory(calloc(1, sizeof(*t)));
	int64_t now_ms = 0;
	t->board = board;
	t->store = kit_store_new();
	t->run = cashew_test_new_on(t->store);
	if (!kit_json_time(begin_time, &now_ms))
		abort();
	kit_set_clock(now_ms);
	return t;
}

void kit_forget_events(struct kit *t)
{
	for (struct kit_event *event = t->events, *next; event; event = next) {
		next = event->next;
		free(event->topic);
		free(event->payload);
		free(event);
	}
	t->events = NULL;
}

const char *kit_end_name(enum call_end end)
{
	switch (end) {
	case CALL_DONE: return "is done";
	case CALL_REJECTED: return "is rejected";
	case CALL_RETRY: return "is to be run again";
	case CALL_FAILED: return "is dead";
	}
	return "?";
}

/* Nothing of the last command may be left that nobody has looked at. */
static void expect_nothing_left(struct kit *t)
{
	if (t->topic && t->end != CALL_DONE && !t->ended_as_expected)
		kit_fail(t->place, "%s %s: %s", t->topic, kit_end_name(t->end), t->reason);
	for (const struct kit_event *event = t->events; event; event = event->next)
		if (!event->expected && !t->events_may_stay)
			kit_fail(t->place, "event %s %s, expected by no test_event()", event->topic,
				event->payload);
}

void kit_end(struct kit *t)
{
	expect_nothing_left(t);
	kit_forget_events(t);
	kit_services_free(t);
	kit_slots_free(t);
	cashew_test_free(t->run);
	kit_store_remove(t->store);
	for (struct kit_setting *setting = t->settings, *next; setting; setting = next) {
		next = setting->next;
		free(setting->name);
		free(setting->value);
		free(setting);
	}
	free(t->topic);
	free(t->payload);
	free(t->reason);
	free(t);
}

/* The last one that was set holds: the first of the list. */
static void set_again(struct cashew_test *run, const struct kit_setting *setting)
{
	if (!setting)
		return;
	set_again(run, setting->next);
	cashew_test_set(run, setting->name, setting->value);
}

/* A host has its settings from its start on. */
static void set(struct kit *t, const char *name, const char *value)
{
	struct kit_setting *setting = kit_memory(calloc(1, sizeof(*setting)));
	*setting =
		(struct kit_setting){.next = t->settings, .name = kit_copy(name), .value = kit_copy(value)};
	t->settings = setting;
	cashew_test_free(t->run);
	t->run = cashew_test_new_on(t->store);
	set_again(t->run, t->settings);
}

void kit_end_host(struct kit *t)
{
	cashew_test_free(t->run);
	t->run = NULL;
	t->store = kit_store_close(t->store);
}

void kit_begin_host(struct kit *t)
{
	t->store = kit_store_open(t->store);
	t->run = cashew_test_new_on(t->store);
	set_again(t->run, t->settings);
}

/* ---- Deliveries ---- */

static void take_events(struct kit *t)
{
	struct kit_event **end = &t->events;
	while (*end)
		end = &(*end)->next;
	for (size_t i = 0; i < cashew_test_event_count(t->run); i++) {
		struct kit_event *event = kit_memory(calloc(1, sizeof(*event)));
		event->topic = kit_copy(cashew_test_event_topic(t->run, i));
		event->size = cashew_test_event_size(t->run, i);
		event->payload = kit_memory(malloc(event->size + 1));
		memcpy(event->payload, cashew_test_event_payload(t->run, i), event->size + 1);
		*end = event;
		end = &event->next;
	}
}

/* As bad as the worst of several handlers: a command is dead before it is to be run again, and that before it is rejected. */
static int badness(enum call_end end)
{
	static const int of[] = {[CALL_DONE] = 0, [CALL_REJECTED] = 1, [CALL_RETRY] = 2, [CALL_FAILED] = 3};
	return of[end];
}

static void run_handler(struct kit *t, const struct cashew_handler *handler)
{
	snprintf(t->board->topic, sizeof(t->board->topic), "%s", t->topic);
	const enum call_end end =
		t->slot ? cashew_test_run_schedule(t->run, handler, t->slot->slot_ms, t->slot->since_ms)
			: cashew_test_deliver(t->run, handler, t->topic, t->payload);
	t->board->topic[0] = '\0';
	/* That a sender is told of it is not the handler's doing. */
	if (end != CALL_REJECTED)
		take_events(t);
	if (badness(end) <= badness(t->end))
		return;
	t->end = end;
	free(t->reason);
	t->reason = kit_copy(cashew_test_reason(t->run) ? cashew_test_reason(t->run) : "");
}

void kit_deliver(struct kit *t)
{
	size_t listening = 0;
	if (!t->slot && topic_user_size(t->topic) == 0)
		kit_fail(t->board->place,
			"\"%s\" is no command's topic: expected a user's id, then / and the command, as in 68946/ping",
			t->topic);
	kit_forget_events(t);
	free(t->reason);
	t->reason = NULL;
	t->end = CALL_DONE;
	t->place = t->board->place;
	t->ended_as_expected = t->events_may_stay = false;
	if (t->slot) {
		run_handler(t, t->slot->schedule);
		return;
	}
	for (size_t i = 0; handler_table[i]; i++) {
		if (handler_table[i]->scheduled || !topic_matches(handler_table[i]->topic, t->topic))
			continue;
		run_handler(t, handler_table[i]);
		listening++;
	}
	if (listening == 0)
		kit_fail(t->place, "no handler listens on %s", t->topic);
}

void kit_take_command(struct kit *t, const char *file, int line, const char *topic, const char *payload)
{
	expect_nothing_left(t);
	at(t, file, line);
	char *text = kit_json_text(payload), *copy = kit_copy(topic);
	free(t->topic);
	free(t->payload);
	t->topic = copy;
	t->payload = text;
	t->slot = NULL;
}

void kit_take_run(struct kit *t, struct kit_place place, struct kit_slot *slot)
{
	kit_take_command(t, place.file, place.line, slot->schedule->name, "{}");
	t->slot = slot;
}

void cashew_test_deliver_(cashew_test *t, const char *file, int line, const char *topic, const char *payload)
{
	kit_take_command(t, file, line, topic, payload);
	kit_deliver(t);
}

void cashew_test_again_(cashew_test *t, const char *file, int line)
{
	const struct kit_place place = at(t, file, line);
	if (!t->topic)
		kit_fail(
			place, "there is no command that could come again: expected a test_deliver() before");
	kit_deliver(t);
}

/* ---- What is there before ---- */

void cashew_test_store_(
	cashew_test *t, const char *file, int line, const char *collection, const char *document)
{
	const struct kit_place place = at(t, file, line);
	json_t *json = kit_json(place, document);
	if (!json_is_object(json))
		kit_fail(place, "a document is an object: expected {'member':value}");
	kit_documents_put(t, collection, json);
	json_decref(json);
}

void cashew_test_clock_(cashew_test *t, const char *file, int line, const char *time)
{
	const struct kit_place place = at(t, file, line);
	int64_t now_ms = 0;
	if (!kit_json_time(time, &now_ms))
		kit_fail(place, "%s is no time: expected one as 2026-01-31T12:00:00Z", time);
	kit_set_clock(now_ms);
}

void cashew_test_set_(cashew_test *t, const char *file, int line, const char *setting, const char *value)
{
	const struct kit_place place = at(t, file, line);
	for (size_t i = 0; handler_table[i]; i++)
		for (const struct cashew_setting *s = handler_table[i]->settings; s && s->name; s++)
			if (strcmp(s->name, setting) == 0) {
				set(t, setting, value);
				return;
			}
	kit_fail(place, "%s is a setting of no handler: expected one of those in a handler's .settings",
		setting);
}

/* ---- What must be there after ---- */

static bool same_payload(const struct kit_event *event, const json_t *expected)
{
	json_t *found = kit_json_of(event->payload, event->size);
	const bool same = found && json_equal(found, expected);
	json_decref(found);
	return same;
}

void cashew_test_event_(cashew_test *t, const char *file, int line, const char *topic, const char *payload)
{
	const struct kit_place place = at(t, file, line);
	json_t *expected = kit_json(place, payload);
	char *text = kit_json_dump(expected);
	if (!t->topic)
		kit_fail(place, "no event %s: no command has come", topic);
	if (t->end != CALL_DONE)
		kit_fail(place, "%s %s: %s; expected the event %s %s", t->topic, kit_end_name(t->end),
			t->reason, topic, text);
	struct kit_event *event = t->events;
	while (event && (event->expected || strcmp(event->topic, topic) != 0))
		event = event->next;
	if (!event) {
		const struct kit_event *other = t->events;
		while (other && other->expected)
			other = other->next;
		if (other)
			kit_fail(place, "event %s %s, expected %s %s", other->topic, other->payload, topic,
				text);
		kit_fail(place, "no event, expected %s %s", topic, text);
	}
	if (!same_payload(event, expected))
		kit_fail(place, "event %s %s, expected %s", topic, event->payload, text);
	event->expected = true;
	free(text);
	json_decref(expected);
}

void cashew_test_end_(cashew_test *t, const char *file, int line, int result, const char *reason)
{
	static const enum call_end ends[] = {[CASHEW_DONE] = CALL_DONE,
		[CASHEW_RETRY] = CALL_RETRY,
		[CASHEW_REJECT] = CALL_REJECTED,
		[CASHEW_FAIL] = CALL_FAILED};
	const struct kit_place place = at(t, file, line);
	const enum call_end expected = ends[result];
	if (!t->topic)
		kit_fail(place, "no command has come");
	if (t->end != expected)
		kit_fail(place, "%s %s%s%s, expected that it %s: %s", t->topic, kit_end_name(t->end),
			t->reason ? ": " : "", t->reason ? t->reason : "", kit_end_name(expected), reason);
	if (!strstr(t->reason, reason))
		kit_fail(place, "%s %s: %s, expected: %s", t->topic, kit_end_name(t->end), t->reason, reason);
	t->ended_as_expected = true;
}

/* The members of found that expected has too, for messages. */
static char *same_members(const json_t *found, json_t *expected)
{
	json_t *part = kit_memory(json_object());
	const char *name;
	json_t *value;
	json_object_foreach(expected, name, value) if (json_object_get(found, name))
		json_object_set(part, name, json_object_get(found, name));
	char *text = kit_json_dump(part);
	json_decref(part);
	return text;
}

void cashew_test_document_(cashew_test *t, const char *file, int line, const char *collection, const char *id,
	const char *document)
{
	const struct kit_place place = at(t, file, line);
	json_t *found = kit_documents_find(t, collection, id);
	if (!document) {
		if (found)
			kit_fail(place, "document %s %s is there: %s, expected none", collection, id,
				kit_json_dump(found));
		return;
	}
	json_t *expected = kit_json(place, document), *value;
	char *text = kit_json_dump(expected);
	const char *name;
	if (!found)
		kit_fail(place, "no document %s %s, expected %s", collection, id, text);
	json_object_foreach(expected, name, value) if (!json_equal(value, json_object_get(found, name)))
		kit_fail(place, "document %s %s %s, expected %s", collection, id,
			same_members(found, expected), text);
	free(text);
	json_decref(expected);
	json_decref(found);
}
