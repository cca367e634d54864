/*
 * handler_run.c - runs a handler in a test: see handler_run.h.
 *
 * Everything around the handler is the real thing: call.c, payload.c, arena.c and settings.c; only the store
 * is the stand-in. The arena has no first buffer, so that each piece of memory is malloc's and a sanitizer
 * sees a byte written behind it.
 */
#include "handler_run.h"

#include "settings.h"
#include "setup.h"
#include "store.h"
#include "timetable.h"
#include "topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_SETTINGS_MAX = 32 };

struct cashew_test {
	struct store *store;
	bool owns_store;
	struct store_client *client;
	struct arena arena;
	/* what is delivered */
	const struct cashew_handler *handler;
	void *state; /* of that handler */
	struct call_input input;
	struct cashew_command cmd;
	char *topic, *user, *payload; /* of a schedule: user is its id */
	/* how */
	struct settings settings;
	bool settings_read;
	char *environment[OWN_SETTINGS_MAX + 1];
	size_t own_count, event_max;
};

__attribute__((noreturn, format(printf, 1, 2))) static void broken(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("cashew_test: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	abort();
}

static void *owned(void *memory)
{
	if (!memory)
		broken("out of memory");
	return memory;
}

/* A copy on the heap, followed by a NUL. */
static char *copied(const void *bytes, size_t size)
{
	char *copy = owned(malloc(size + 1));
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	return copy;
}

/* What must be set for the settings to be read at all; the handler's own ones follow. */
static const char *const host_settings[] = {
	"JWT_SECRET=a secret for tests, long enough for the check",
	"BROKER_HOST=localhost",
	"MONGO_DB_URL=mongodb://localhost",
	"MONGO_DB_NAME=test",
};

struct cashew_test *cashew_test_new_on(struct store *store)
{
	struct cashew_test *t = owned(calloc(1, sizeof(*t)));
	for (size_t i = 0; i < sizeof(host_settings) / sizeof(host_settings[0]); i++)
		t->environment[t->own_count++] = copied(host_settings[i], strlen(host_settings[i]));
	t->store = store;
	t->client = store_acquire(store);
	t->input.attempt = 1;
	arena_init(&t->arena, NULL, 0);
	return t;
}

void cashew_test_own_store(struct cashew_test *t)
{
	t->owns_store = true;
}

static void forget_command(struct cashew_test *t)
{
	arena_free(&t->arena);
	arena_init(&t->arena, NULL, 0);
	free(t->topic);
	free(t->user);
	free(t->payload);
	t->topic = t->user = t->payload = NULL;
	t->cmd = (struct cashew_command){.events = NULL};
	if (t->settings_read)
		settings_free(&t->settings);
	t->settings_read = false;
}

static void take_handler(struct cashew_test *t, const struct cashew_handler *handler)
{
	if (t->handler == handler)
		return;
	if (t->handler)
		setup_fini(t->handler, t->state);
	t->handler = handler;
	t->state = NULL;
	char reason[SETUP_REASON_SIZE];
	if (handler && setup_init(handler, &t->settings, &t->state, reason) != 0)
		broken("init of handler %s: %s", handler->name, reason);
}

void cashew_test_free(struct cashew_test *t)
{
	if (!t)
		return;
	take_handler(t, NULL);
	forget_command(t);
	arena_free(&t->arena);
	store_release(t->client);
	if (t->owns_store)
		store_close(t->store);
	for (size_t i = 0; i < t->own_count; i++)
		free(t->environment[i]);
	free(t);
}

void cashew_test_set(struct cashew_test *t, const char *name, const char *value)
{
	if (t->own_count == OWN_SETTINGS_MAX)
		broken("more than %d settings", OWN_SETTINGS_MAX);
	const size_t size = strlen(name) + 1 + strlen(value);
	char *setting = owned(malloc(size + 1));
	snprintf(setting, size + 1, "%s=%s", name, value);
	t->environment[t->own_count++] = setting;
}

void cashew_test_set_event_max(struct cashew_test *t, size_t event_max)
{
	t->event_max = event_max;
}

void cashew_test_set_response_topic(struct cashew_test *t, const char *response_topic)
{
	t->input.response_topic = response_topic;
}

void cashew_test_set_attempt(struct cashew_test *t, unsigned attempt)
{
	t->input.attempt = attempt;
}

void cashew_test_set_correlation(struct cashew_test *t, const void *correlation, size_t size)
{
	t->input.correlation = correlation;
	t->input.correlation_size = (uint16_t)size;
}

unsigned cashew_test_retry_after_ms(const struct cashew_test *t)
{
	return t->cmd.retry_after_ms;
}

static void begin_command(struct cashew_test *t, const struct cashew_handler *handler)
{
	forget_command(t);
	const struct cashew_handler *const handlers[] = {handler, NULL};
	if (settings_read("", t->environment, handlers, stderr, stderr, &t->settings) != 0)
		broken("the settings of handler %s could not be read", handler->name);
	t->settings_read = true;
	take_handler(t, handler);
	t->input.slot_ms = t->input.since_ms = 0;
	t->input.id = NULL;
	/* what the run sets is filled with garbage: call_run() promises not to look at it */
	memset(&t->cmd, 0xa5, sizeof(t->cmd));
	t->cmd.input = &t->input;
	t->cmd.handler = handler;
	t->cmd.settings = &t->settings;
	t->cmd.arena = &t->arena;
	t->cmd.store = t->store;
	t->cmd.state = t->state;
	t->cmd.event_max = t->event_max ? t->event_max : t->settings.event_max;
}

void cashew_test_prepare(struct cashew_test *t, const struct cashew_handler *handler, const char *topic,
	const void *payload, size_t size)
{
	const size_t user_size = topic_user_size(topic);
	if (user_size == 0 || !topic_matches(handler->topic, topic))
		broken("handler %s listens on %s: not on \"%s\"", handler->name, handler->topic, topic);
	begin_command(t, handler);
	t->topic = copied(topic, strlen(topic));
	t->user = copied(topic, user_size);
	t->payload = copied(payload, size);
	t->input.topic = t->topic;
	t->input.user = t->user;
	t->input.command = t->topic + user_size + 1;
	t->input.payload = t->payload;
	t->input.payload_size = size;
}

enum call_end cashew_test_run_schedule(
	struct cashew_test *t, const struct cashew_handler *handler, int64_t slot_ms, int64_t since_ms)
{
	char topic[TIMETABLE_TOPIC_SIZE], payload[TIMETABLE_PAYLOAD_SIZE], id[TIMETABLE_ID_SIZE];
	begin_command(t, handler);
	timetable_topic(handler->name, topic);
	timetable_payload(slot_ms, since_ms, payload);
	timetable_id(handler->name, slot_ms, id);
	t->topic = copied(topic, strlen(topic));
	t->user = copied(id, strlen(id));
	t->payload = copied(payload, strlen(payload));
	t->input.topic = t->topic;
	t->input.user = "";
	t->input.command = t->topic + strlen(TIMETABLE_TOPIC);
	t->input.payload = t->payload;
	t->input.payload_size = strlen(payload);
	t->input.slot_ms = slot_ms;
	t->input.since_ms = since_ms;
	t->input.id = t->user;
	return cashew_test_run(t);
}

enum call_end cashew_test_run(struct cashew_test *t)
{
	return call_run(&t->cmd);
}

enum call_end cashew_test_deliver_bytes(struct cashew_test *t, const struct cashew_handler *handler,
	const char *topic, const void *payload, size_t size)
{
	cashew_test_prepare(t, handler, topic, payload, size);
	return cashew_test_run(t);
}

enum call_end cashew_test_deliver(
	struct cashew_test *t, const struct cashew_handler *handler, const char *topic, const char *payload)
{
	return cashew_test_deliver_bytes(t, handler, topic, payload, strlen(payload));
}

static const struct call_event *event_at(const struct cashew_test *t, size_t i)
{
	const struct call_event *event = t->cmd.events;
	while (event && i-- > 0)
		event = event->next;
	return event;
}

size_t cashew_test_event_count(const struct cashew_test *t)
{
	size_t count = 0;
	for (const struct call_event *event = t->cmd.events; event; event = event->next)
		count++;
	return count;
}

const char *cashew_test_event_topic(const struct cashew_test *t, size_t i)
{
	const struct call_event *event = event_at(t, i);
	return event ? event->topic : NULL;
}

const char *cashew_test_event_payload(const struct cashew_test *t, size_t i)
{
	const struct call_event *event = event_at(t, i);
	return event ? event->payload : NULL;
}

size_t cashew_test_event_size(const struct cashew_test *t, size_t i)
{
	const struct call_event *event = event_at(t, i);
	return event ? event->payload_size : 0;
}

const char *cashew_test_reason(const struct cashew_test *t)
{
	return t->cmd.reason;
}

bool cashew_test_store_away(const struct cashew_test *t)
{
	return t->cmd.store_away;
}

struct store_client *cashew_test_store(struct cashew_test *t)
{
	return t->client;
}

struct store *cashew_test_fake_store(struct cashew_test *t)
{
	return t->store;
}
