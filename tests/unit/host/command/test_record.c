/* test_record.c - record.c: a command as a document, and a document as a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "failing_malloc.h"
#include "fake_store.h"
#include "fingerprint.h"
#include "record.h"

static const struct cashew_handler one = {.name = "one", .topic = "+/x"},
				   two = {.name = "two", .topic = "+/x"},
				   three = {.name = "three", .topic = "+/x"};
static const struct cashew_handler *const handlers[] = {&one, &two, &three, NULL};
static struct routes routes;
static const struct route *route;

static int begin(void **state)
{
	(void)state;
	assert_int_equal(routes_new(handlers, &routes), 0);
	route = routes_find(&routes.lanes[0], "u/x");
	assert_non_null(route);
	assert_int_equal(route->handler_count, 3);
	return 0;
}

static int end(void **state)
{
	(void)state;
	routes_free(&routes);
	return 0;
}

static const struct record_terms terms = {
	.lane_id = "lane", .position = 42, .attempts = 3, .delay_ms = 700, .behind = true};

static struct command new_command(void)
{
	return (struct command){
		.route = route,
		.input = {.topic = "u/x",
			.user = "u",
			.payload = "a\0b",
			.payload_size = 3,
			.response_topic = "u/r",
			.made_id = "made of 12.."},
		.correlation = "c\0",
		.correlation_size = 2,
		.state = COMMAND_RETRYING,
		.handler = "two",
		.reason = "busy",
		.end = COMMAND_REJECTED,
		.settled = 5,
		.crashes = 2,
	};
}

static void test_new(void **state)
{
	(void)state;
	struct command command = new_command();
	assert_true(record_make(&command, &routes, &terms));
	const struct parked_command *written = &command.record->written;
	assert_memory_equal(written->id.bytes, "made of 12..", 12);
	assert_string_equal(written->lane, "lane");
	assert_string_equal(written->user, "u");
	assert_string_equal(written->topic, "u/x");
	assert_int_equal(written->position, 42);
	assert_int_equal(written->payload_size, 3);
	assert_memory_equal(written->payload, "a\0b", 3);
	assert_int_equal(written->correlation_size, 2);
	assert_memory_equal(written->correlation, "c\0", 2);
	assert_string_equal(written->response_topic, "u/r");
	assert_int_equal(written->settled_count, 2);
	assert_string_equal(written->settled[0], "one");
	assert_string_equal(written->settled[1], "three");
	assert_string_equal(written->end, "rejected");
	assert_int_equal(written->attempts, 3);
	assert_int_equal(written->crashes, 2);
	assert_int_equal(written->due_in_ms, 700);
	assert_true(written->behind);
	assert_string_equal(written->handler, "two");
	assert_string_equal(written->reason, "busy");
	/* The same document once more, when it is written anew: with what has come to it since. */
	const struct store_id id = written->id;
	command.settled = 7;
	command.reason = NULL;
	assert_true(record_make(&command, &routes,
		&(struct record_terms){.lane_id = "other", .position = 99, .attempts = 4}));
	written = &command.record->written;
	assert_memory_equal(&written->id, &id, sizeof(id));
	assert_string_equal(written->lane, "lane");
	assert_int_equal(written->position, 42);
	assert_int_equal(written->attempts, 4);
	assert_int_equal(written->due_in_ms, 0);
	assert_false(written->behind);
	assert_int_equal(written->settled_count, 3);
	assert_string_equal(written->reason, "");
	free(command.record);
}

/* Whether what the handlers have come to is written. */
static void test_progress(void **state)
{
	static struct call_event event;
	static const struct {
		const char *name;
		enum command_state state;
		bool stepping;
		unsigned pending;
		bool refused, unsent;
		bool progress, reason;
	} cases[] = {
		{"retried", COMMAND_RETRYING, false, 0, false, false, true, true},
		{"back from its worker", COMMAND_RUNNING, false, 0, false, false, true, true},
		{"a worker has it", COMMAND_RUNNING, true, 0, false, false, false, false},
		{"events are not PUBACKed", COMMAND_COMMITTING, false, 2, false, false, false, true},
		{"events were refused", COMMAND_RETRYING, false, 0, true, false, false, true},
		{"events were not sent yet", COMMAND_RUNNING, false, 0, false, true, false, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		struct command command = new_command();
		command.state = cases[i].state;
		command.stepping = cases[i].stepping;
		command.events_pending = cases[i].pending;
		command.refused = cases[i].refused ? &event : NULL;
		command.events = cases[i].unsent ? &event : NULL;
		assert_true(record_make(&command, &routes, &terms));
		const struct parked_command *written = &command.record->written;
		assert_int_equal(written->settled_count, cases[i].progress ? 2 : 0);
		assert_string_equal(written->end, cases[i].progress ? "rejected" : "done");
		assert_string_equal(written->reason, cases[i].reason ? "busy" : "");
		assert_string_equal(written->handler, cases[i].reason ? "two" : "");
		free(command.record);
	}
}

/* Both ways: what was written is what is read, but for what no handler is here for. */
static void test_read(void **state)
{
	static const char *const settled[] = {"three", "gone"};
	struct parked_command document = {
		.id = {.bytes = {1, 2, 3}},
		.lane = "lane",
		.user = "u",
		.topic = "u/x/y",
		.payload = "payload",
		.payload_size = 7,
		.correlation = "cc",
		.correlation_size = 2,
		.response_topic = "u/r",
		.settled = settled,
		.settled_count = 2,
		.end = "rejected",
		.attempts = 4,
		.crashes = 1,
		.handler = "one",
		.reason = "busy",
	};
	(void)state;
	struct command command = {.document = &document};
	record_read(&command);
	assert_string_equal(command.input.topic, "u/x/y");
	assert_string_equal(command.input.command, "x/y");
	assert_string_equal(command.input.user, "u");
	assert_string_equal(command.input.payload, "payload");
	assert_int_equal(command.input.payload_size, 7);
	assert_string_equal(command.input.response_topic, "u/r");
	assert_int_equal(command.correlation_size, 2);
	assert_int_equal(command.fingerprint, fingerprint("u/x/y", "payload", 7, "cc", 2));
	assert_int_not_equal(command.identity, 0);
	assert_int_equal(command.base_attempts, 4);
	assert_int_equal(command.attempts, 4);
	assert_int_equal(command.crashes, 1);
	assert_string_equal(command.handler, "one");
	assert_string_equal(command.reason, "busy");
	record_read_progress(&command, &routes); /* without a route */
	assert_int_equal(command.settled, 0);
	assert_int_equal(command.end, COMMAND_REJECTED);
	command.route = route;
	record_read_progress(&command, &routes);
	assert_int_equal(command.settled, 4);
	/* And back, with one more that is through. */
	command.settled |= 1;
	command.end = COMMAND_DEAD;
	assert_true(record_make(&command, &routes, &(struct record_terms){.attempts = 5, .delay_ms = 100}));
	const struct parked_command *written = &command.record->written;
	assert_memory_equal(&written->id, &document.id, sizeof(document.id));
	assert_string_equal(written->user, "u");
	assert_int_equal(written->attempts, 5);
	assert_int_equal(written->settled_count, 2);
	assert_string_equal(written->settled[0], "one");
	assert_string_equal(written->settled[1], "three");
	assert_string_equal(written->end, "dead");
	free(command.record);
	/* Other documents of equal content are others. */
	struct parked_command other = document;
	other.id.bytes[11] = 9;
	struct command equal = {.document = &other};
	record_read(&equal);
	assert_int_equal(equal.fingerprint, command.fingerprint);
	assert_int_not_equal(equal.identity, command.identity);
}

/* A schedule's run says from when to when it goes, and has no sender. */
static void test_read_schedule(void **state)
{
	(void)state;
	char payload[] = "{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.000Z\"}";
	struct parked_command document = {.topic = "$schedule/hourly",
		.user = "$schedule/hourly",
		.payload = payload,
		.payload_size = strlen(payload),
		.end = "done",
		.handler = "",
		.reason = ""};
	struct command command = {.document = &document};
	arena_init(&command.arena, NULL, 0);
	record_read(&command);
	assert_string_equal(command.schedule, "hourly");
	assert_true(record_schedule_readable(&command));
	assert_string_equal(command.input.user, "");
	assert_string_equal(command.input.command, "hourly");
	assert_string_equal(command.input.id, "hourly/2026-01-31T12:00:00.000Z");
	assert_int_equal(command.input.slot_ms, INT64_C(1769860800000));
	assert_int_equal(command.input.since_ms, INT64_C(1769857200000));
	arena_free(&command.arena);
	payload[12] = 'x';
	command = (struct command){.document = &document};
	arena_init(&command.arena, NULL, 0);
	record_read(&command);
	assert_string_equal(command.schedule, "hourly");
	assert_false(record_schedule_readable(&command));
	/* What a device may publish is none. */
	document.topic = "schedule/hourly";
	command = (struct command){.document = &document};
	record_read(&command);
	assert_null(command.schedule);
	assert_string_equal(command.input.user, "$schedule/hourly");
}

/* Of one whose events were refused: what its document said before. */
static void test_read_refused(void **state)
{
	static const char *const settled[] = {"three"};
	static struct call_event event;
	(void)state;
	struct parked_command document = {.topic = "u/x",
		.user = "u",
		.payload = "",
		.settled = settled,
		.settled_count = 1,
		.end = "done",
		.handler = "",
		.reason = ""};
	struct command command = {.document = &document, .route = route};
	record_read(&command);
	record_read_progress(&command, &routes);
	command.settled = 7;
	command.refused = &event;
	assert_true(record_make(&command, &routes, &(struct record_terms){.attempts = 1}));
	assert_int_equal(command.record->written.settled_count, 1);
	assert_string_equal(command.record->written.settled[0], "three");
	free(command.record);
}

/* From a second to five minutes, doubling, half of it by chance. */
static void test_delays(void **state)
{
	static const unsigned most_ms[] = {
		1000, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};
	(void)state;
	for (unsigned i = 0; i < sizeof(most_ms) / sizeof(most_ms[0]); i++)
		for (unsigned k = 0; k < 100; k++)
			assert_in_range(record_delay_ms(i), most_ms[i] / 2, most_ms[i]);
	assert_in_range(record_delay_ms(UINT32_MAX), 150000, 300000);
}

/* Nothing has changed then. */
static void test_no_memory(void **state)
{
	(void)state;
	struct command command = new_command();
	assert_true(record_make(&command, &routes, &terms));
	struct record *before = command.record;
	failing_malloc_start(1, true);
	const bool made = record_make(&command, &routes, &terms);
	assert_true(failing_malloc_stop());
	assert_false(made);
	assert_ptr_equal(command.record, before);
	free(before);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new),
		TEST(test_progress),
		TEST(test_read),
		TEST(test_read_schedule),
		TEST(test_read_refused),
		TEST(test_delays),
		TEST(test_no_memory),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
