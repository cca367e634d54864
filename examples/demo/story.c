/* story.c - see story.h. */
#include "story.h"
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { REPEAT_US = 3000000, TEXT_SIZE = 4096, COMMAND_SIZE = 100, TOPIC_SIZE = 200, LINGER_MS = 30 };

/* ---- Showing ---- */

static void say(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct story *story, const char *format, ...)
{
	va_list arguments, copy;
	va_start(arguments, format);
	va_copy(copy, arguments);
	vprintf(format, arguments);
	if (story->log)
		vfprintf(story->log, format, copy);
	va_end(copy);
	va_end(arguments);
}

static void end_line(struct story *story)
{
	say(story, "\n");
	fflush(stdout);
	if (story->log)
		fflush(story->log);
}

/* What came from elsewhere is shown as text, never as control sequences for the terminal. */
static void clean(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

static void show_apple(struct story *story, const char *colour)
{
	/* Of the 256 colours that terminals have in common. */
	static const struct {
		const char *name;
		int code;
	} codes[] = {{"red", 196}, {"yellow", 226}, {"blue", 33}, {"green", 40}, {"black", 240},
		{"purple", 129}, {"orange", 208}, {"white", 231}, {"pink", 218}, {"brown", 130},
		{"gold", 220}, {"golden", 220}, {"gray", 248}, {"grey", 248}, {"silver", 252},
		{"turquoise", 45}, {"cyan", 51}, {"violet", 99}, {"magenta", 201}, {"crimson", 161},
		{"olive", 142}, {"teal", 37}, {"lime", 118}};
	char name[STORY_NAME_SIZE];
	int code = -1;

	snprintf(name, sizeof(name), "%s", colour);
	clean(name);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(name, codes[i].name) == 0)
			code = codes[i].code;
	if (story->log)
		fprintf(story->log, " %s", name);
	if (story->colours && code >= 0)
		printf(" \x1b[38;5;%dm%s %s\x1b[0m ", code, story->utf8 ? "●" : "o", name);
	else
		printf(" %s", name);
}

static void write_json(json_t *json, char ret_text[static TEXT_SIZE + 1])
{
	size_t size = 0;
	if (json)
		size = json_dumpb(json, ret_text, TEXT_SIZE, JSON_ENCODE_ANY | JSON_COMPACT);
	else
		strcpy(ret_text, "(not JSON)");
	if (json)
		ret_text[size < TEXT_SIZE ? size : TEXT_SIZE] = '\0';
	clean(ret_text);
}

static void show_json(struct story *story, json_t *json)
{
	char text[TEXT_SIZE + 1];
	write_json(json, text);
	say(story, " %s", text);
}

/* "<- 68946/got_apples     ["red"]      2.8 ms" */
static void show_event_by_topic(
	struct story *story, const struct device *device, const char *event, json_t *payload)
{
	char topic[TOPIC_SIZE], text[TEXT_SIZE + 1];
	snprintf(topic, sizeof(topic), "%s/%s", device_user(device), event);
	clean(topic);
	write_json(payload, text);
	if (story->sent_at_us > 0)
		say(story, "<- %-19s  %-76s  %.1f ms", topic, text,
			(double)(device_clock_us() - story->sent_at_us) / 1000);
	else
		say(story, "<- %-19s  %s", topic, text);
	end_line(story);
}

static void show_command(
	struct story *story, const struct device *from, const char *command, const char *payload, bool again)
{
	const char *note = again ? "  (repeated)" : "";
	char topic[TOPIC_SIZE];
	const bool whole = strchr(command, '/');
	snprintf(topic, sizeof(topic), "%s%s%s", whole ? "" : device_user(from), whole ? "" : "/", command);
	if (story->by_topic)
		say(story, "-> %-19s  %s%s", topic, payload, note);
	else
		say(story, "  %-8s -> %-21s %s%s", device_user(from), command, payload, note);
	end_line(story);
}

static void show_event(
	struct story *story, const struct device *device, const char *event, json_t *payload, bool again)
{
	char name[STORY_NAME_SIZE];

	if (story->by_topic) {
		show_event_by_topic(story, device, event, payload);
		return;
	}
	snprintf(name, sizeof(name), "%s", event);
	clean(name);
	say(story, "  %-8s <- %-21s", device_user(device), name);
	if (strcmp(event, "got_apples") == 0 && json_is_array(payload)) {
		for (size_t i = 0; i < json_array_size(payload); i++) {
			const char *colour = json_string_value(json_array_get(payload, i));
			show_apple(story, colour ? colour : "(no colour)");
		}
	} else {
		show_json(story, payload);
	}
	if (again)
		say(story, "  (again)");
	else if (story->sent_at_us > 0)
		say(story, "  (%.1f ms)", (double)(device_clock_us() - story->sent_at_us) / 1000);
	end_line(story);
}

/* ---- What comes ---- */

/* Whether there was a new colour among them. */
static bool add_apples(struct story *story, json_t *apples)
{
	bool new = false;
	for (size_t i = 0; i < json_array_size(apples); i++) {
		const char *colour = json_string_value(json_array_get(apples, i));
		size_t k = 0;
		while (colour && k < story->kinds && strcmp(story->colours_seen[k], colour) != 0)
			k++;
		if (!colour || k < story->kinds || k == STORY_COLOURS_MAX)
			continue;
		snprintf(story->colours_seen[story->kinds++], STORY_NAME_SIZE, "%s", colour);
		new = true;
	}
	if (new)
		story->apples += json_array_size(apples);
	return new;
}

/* Whether the user's id is a text anywhere in the payload: {"contact_id":"23412"}, or a list of contacts. */
static bool names_user(json_t *payload, const char *user)
{
	if (json_is_string(payload))
		return strcmp(json_string_value(payload), user) == 0;
	for (size_t i = 0; i < json_array_size(payload); i++)
		if (names_user(json_array_get(payload, i), user))
			return true;
	for (void *field = json_object_iter(payload); field; field = json_object_iter_next(payload, field))
		if (names_user(json_object_iter_value(field), user))
			return true;
	return false;
}

void story_event(void *context, struct device *device, const char *event, json_t *payload)
{
	struct story *story = context;
	const struct expectation *expectation = &story->expectation;
	const bool again = strcmp(event, "got_apples") == 0 && !add_apples(story, payload);

	show_event(story, device, event, payload, again);
	const bool bad_end = strcmp(event, "command_rejected") == 0 || strcmp(event, "command_failed") == 0;
	if (bad_end && (!expectation->event || strcmp(expectation->event, event) != 0)) {
		story->rejected = true;
		return;
	}
	if (device == expectation->at && (!expectation->event || strcmp(event, expectation->event) == 0) &&
		(!expectation->contact || names_user(payload, expectation->contact)) &&
		story->kinds >= expectation->kinds)
		story->came = true;
}

/* ---- What is sent ---- */

static bool refused(const struct story *story)
{
	for (size_t i = 0; i < story->count; i++)
		if (device_refused(story->devices[i]))
			return true;
	return false;
}

static bool ready(const struct story *story)
{
	for (size_t i = 0; i < story->count; i++)
		if (!device_ready(story->devices[i]))
			return false;
	return true;
}

static bool late(const struct story *story)
{
	return device_clock_ms() >= story->deadline_at;
}

static bool connect_all(struct story *story)
{
	while (!ready(story)) {
		if (refused(story))
			return false;
		if (late(story)) {
			fprintf(stderr, "cashew-device: no connection to the broker within the deadline\n");
			return false;
		}
		devices_run(100);
	}
	for (size_t i = 0; i < story->count && !story->by_topic; i++) {
		say(story, "  %-8s is connected", device_user(story->devices[i]));
		end_line(story);
	}
	return true;
}

static void run_until(long at)
{
	for (long left; (left = at - device_clock_ms()) > 0;)
		devices_run((int)left);
}

/* Sends a command, again every REPEAT_US, until what it is to bring about has come. */
static bool ask(struct story *story, struct device *from, const char *command, const char *payload,
	struct expectation expectation)
{
	run_until(device_clock_ms() + story->pause_ms);
	story->expectation = expectation;
	story->came = story->rejected = false;
	for (bool again = false; !story->came; again = true) {
		show_command(story, from, command, payload, again);
		story->sent_at_us = device_clock_us();
		device_send(from, command, payload);
		while (!story->came && (story->once || device_clock_us() < story->sent_at_us + REPEAT_US)) {
			if (story->rejected || refused(story))
				return false;
			if (late(story)) {
				fprintf(stderr, "cashew-device: %s waited in vain for %s\n",
					device_user(expectation.at),
					expectation.event ? expectation.event : "an event");
				return false;
			}
			devices_run(100);
		}
	}
	return true;
}

/* ---- The stories ---- */

bool story_apples(struct story *story)
{
	struct device *phone = story->devices[0];
	char more[COMMAND_SIZE];

	/* With the user id in front it is a topic for any broker. The demo's broker adds it where it is missing. */
	snprintf(more, sizeof(more), "%s/get_more_apples", device_user(phone));

	/* Two handlers answer the second one, with three apples each. */
	if (!connect_all(story) ||
		!ask(story, phone, "get_apples", "{}", (struct expectation){phone, "got_apples", .kinds = 3}))
		return false;
	story->pause_ms /= 3;
	if (!ask(story, phone, more, "{}", (struct expectation){phone, "got_apples", .kinds = 9}))
		return false;
	say(story, "%zu apples of %zu colours", story->apples, story->kinds);
	end_line(story);
	return story->kinds == 9;
}

bool story_contacts(struct story *story, bool afresh)
{
	struct device *a = story->devices[0], *b = story->devices[1];
	const char *user_a = device_user(a), *user_b = device_user(b);
	char with_a[COMMAND_SIZE], with_b[COMMAND_SIZE];

	snprintf(with_a, sizeof(with_a), "{\"contact_id\":\"%s\"}", user_a);
	snprintf(with_b, sizeof(with_b), "{\"contact_id\":\"%s\"}", user_b);
	if (!connect_all(story))
		return false;
	if (afresh &&
		!ask(story, a, "remove_contact", with_b, (struct expectation){b, "contact_removed", user_a}))
		return false;
	if (!ask(story, a, "request_contact", with_b, (struct expectation){b, "contact_requested", user_a}) ||
		!ask(story, b, "accept_contact", with_a,
			(struct expectation){a, "contact_approved", user_b}) ||
		!ask(story, a, "get_contact_list", "{}", (struct expectation){a, "contact_list", user_b}) ||
		!ask(story, b, "get_contact_list", "{}", (struct expectation){b, "contact_list", user_a}))
		return false;
	say(story, "%s and %s have each other on their contact lists", user_a, user_b);
	end_line(story);
	return true;
}

bool story_listen(struct story *story)
{
	if (connect_all(story))
		while (!refused(story))
			devices_run(1000);
	return false;
}

bool story_send(struct story *story, const char *command, const char *payload, const char *event)
{
	story->by_topic = true;
	if (!connect_all(story) || !ask(story, story->devices[0], command, payload,
					   (struct expectation){story->devices[0], event}))
		return false;
	run_until(device_clock_ms() + LINGER_MS); /* there may be more than one */
	return true;
}
