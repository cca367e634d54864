/* test_call_memory.c - call.c: runs without memory, runs that allocate nothing, how long they take, and many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <pthread.h>

#include "call_parts.h"
#include "handler_run.h"
#define FAILING_MALLOC_ONLY /* the stand-in store has its memory always */
#include "failing_malloc.h"
#include "settings.h"

/* ---- Memory and time ---- */

static cashew_result runs_out_and_says(cashew_command *cmd)
{
	cashew_event_text(cmd, NULL, "happened", "1");
	volatile size_t too_much = PTRDIFF_MAX;
	if (cashew_alloc(cmd, too_much))
		return CASHEW_FAIL;
	return (cashew_result)next_result;
}

static void out_of_memory_is_retried(void **state)
{
	(void)state;
	static const int results[] = {CASHEW_DONE, CASHEW_RETRY, CASHEW_REJECT, CASHEW_FAIL, 99};
	static const struct cashew_handler greedy = {
		.name = "greedy", .topic = "+/act", .handle = runs_out_and_says};
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < COUNT(results); i++) {
		next_result = results[i];
		assert_int_equal(cashew_test_deliver(t, &greedy, "68946/act", "{}"), CALL_RETRY);
		assert_string_equal(cashew_test_reason(t), "out of memory");
		assert_int_equal(cashew_test_event_count(t), 0);
		/* another run on the same arena starts afresh */
		cashew_test_prepare(t, &greedy, "68946/act", "{}", 2);
		assert_int_equal(cashew_test_run(t), CALL_RETRY);
		assert_int_equal(cashew_test_run(t), CALL_RETRY);
	}
	cashew_test_free(t);
}

CASHEW_STRUCT(of_a_contact, (user, contact_id), (bytes, picture, .optional = true));

/* Each way to a rejection, with each allocation failing: it is retried and gives the same rejection then. */
static void out_of_memory_while_rejecting(void **state)
{
	(void)state;
	static const struct cashew_handler picky = {.name = "picky",
		.topic = "+/#",
		.handle = bare_result,
		.payload = CASHEW_PAYLOAD(of_a_contact)};
	static const struct {
		const char *payload, *response_topic;
	} cases[] = {
		{"{}", NULL},
		{"{\"contact_id\":[1,2,3]}", NULL},
		{"{\"contact_id\":\"1\",\"picture\":\"AAA\"}", NULL},
		{"{\"contact_id\":\"caf\xc3\xa9\"}", NULL},
		{"", NULL},
		{"[1]", NULL},
		{"{", NULL},
		{"{}", "23412/inbox"},
	};
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		const char *payload = cases[i / 2].payload;
		cashew_test_set_response_topic(t, cases[i / 2].response_topic);
		bool failed = true;
		size_t n = 1;
		for (; failed && n < 1000; n++) {
			/* the bad byte makes the command's name go through another path */
			cashew_test_prepare(t, &picky, "68946/act\xff", payload, strlen(payload));
			failing_malloc_start(n, i % 2 == 1);
			const enum call_end end = cashew_test_run(t);
			failed = failing_malloc_stop();
			/* a text that could not be made into JSON is tried once more, so one failure may be
			 * survived */
			if (end != CALL_REJECTED && !(failed && end == CALL_RETRY))
				fail_msg("'%s', allocation %zu: ended as %d", payload, n, end);
			assert_int_equal(cashew_test_event_count(t), end == CALL_REJECTED);
			assert_int_equal(cashew_test_run(t), CALL_REJECTED);
			assert_non_null(strstr(
				cashew_test_event_payload(t, 0), "{\"command\":\"act?\",\"reason\":\""));
		}
		assert_false(failed);
		assert_true(n > 3);
	}
	cashew_test_free(t);
}

static void the_next_run_has_memory_again(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, NULL, 0);
	const struct settings settings = {.payload_max = 1000};
	const struct call_input input = {.topic = "68946/act",
		.user = "68946",
		.command = "act",
		.payload = "{}",
		.payload_size = 2,
		.attempt = 1};
	struct cashew_command cmd = {
		.input = &input, .handler = &bare, .settings = &settings, .arena = &arena, .event_max = 1000};
	next_result = CASHEW_DONE;
	arena.out_of_memory = true;
	assert_int_equal(call_run(&cmd), CALL_DONE);
	assert_string_equal(cmd.events->topic, "68946/happened");
	arena_free(&arena);
}

static cashew_result takes_a_while(cashew_command *cmd)
{
	(void)cmd;
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 3000000);
	return CASHEW_DONE;
}

/* The host's part of a light command: the arena begins in the command's own block. */
static void run_in_a_buffer(const struct cashew_handler *handler, const char *payload,
	struct cashew_command *cmd, unsigned char *buffer, size_t size, struct arena *arena)
{
	static const struct settings settings = {.payload_max = 131072};
	static struct call_input input;
	input = (struct call_input){.topic = "68946/act",
		.user = "68946",
		.command = "act",
		.payload = payload,
		.payload_size = strlen(payload),
		.attempt = 1};
	arena_init(arena, buffer, size);
	*cmd = (struct cashew_command){.input = &input,
		.handler = handler,
		.settings = &settings,
		.arena = arena,
		.event_max = 1000};
	assert_int_equal(call_run(cmd), CALL_DONE);
}

extern const struct cashew_handler cashew_handler_get_apples;

static void the_light_path_allocates_nothing(void **state)
{
	(void)state;
	unsigned char buffer[512];
	struct arena arena;
	struct cashew_command cmd;
	/* the empty object that all share is made by the first */
	run_in_a_buffer(&cashew_handler_get_apples, "{}", &cmd, buffer, sizeof(buffer), &arena);
	failing_malloc_start(0, false);
	run_in_a_buffer(&cashew_handler_get_apples, "{}", &cmd, buffer, sizeof(buffer), &arena);
	failing_malloc_stop();
	assert_int_equal(failing_malloc.calls, 0);
	assert_null(arena.chunks);
	assert_string_equal(cmd.events->payload, "[\"red\",\"yellow\",\"blue\"]");
}

CASHEW_STRUCT(of_many_kinds, (text, name), (user, friend), (integer, age, .max = 30), (number, weight),
	(boolean, tame), (time, since));

static cashew_result knows_it(cashew_command *cmd)
{
	const struct of_many_kinds *in = cashew_input(cmd, of_many_kinds);
	assert_string_equal(in->name, "Rex");
	assert_int_equal(in->since, INT64_C(1769860800000));
	return cashew_done(cmd);
}

static size_t allocations_of(const struct cashew_handler *handler)
{
	static const char payload[] =
		"{\"name\":\"Rex\",\"friend\":\"23412\",\"age\":7,\"weight\":1.5,\"tame\":true,"
		"\"since\":\"2026-01-31T12:00:00.000Z\"}";
	unsigned char buffer[512];
	struct arena arena;
	struct cashew_command cmd;
	failing_malloc_start(0, false);
	run_in_a_buffer(handler, payload, &cmd, buffer, sizeof(buffer), &arena);
	failing_malloc_stop();
	return failing_malloc.calls;
}

/* The struct lies in the run's own memory, and its texts are the JSON's: what is allocated is jansson's. */
static void a_struct_allocates_nothing_more(void **state)
{
	(void)state;
	static const struct cashew_handler plain = {.name = "plain", .topic = "+/act", .handle = bare_result},
					   typed = {.name = "typed",
						   .topic = "+/act",
						   .handle = knows_it,
						   .payload = CASHEW_PAYLOAD(of_many_kinds)};
	next_result = CASHEW_DONE;
	const size_t of_jansson = allocations_of(&plain);
	assert_true(of_jansson > 0);
	assert_int_equal(allocations_of(&typed), of_jansson);
}

static void duration(void **state)
{
	(void)state;
	static const struct cashew_handler slow = {.name = "slow", .topic = "+/act", .handle = takes_a_while};
	unsigned char buffer[512];
	struct arena arena;
	struct cashew_command cmd;
	run_in_a_buffer(&slow, "{}", &cmd, buffer, sizeof(buffer), &arena);
	assert_in_range(cmd.duration_us, 3000, 60000000);
}

static void *many_runs(void *failed)
{
	static const struct settings settings = {.payload_max = 131072};
	static const struct call_input input = {.topic = "68946/get_apples",
		.user = "68946",
		.command = "get_apples",
		.payload = "{}",
		.payload_size = 2,
		.attempt = 1};
	for (unsigned i = 0; i < 1000; i++) {
		unsigned char buffer[512];
		struct arena arena;
		arena_init(&arena, buffer, sizeof(buffer));
		struct cashew_command cmd = {.input = &input,
			.handler = &cashew_handler_get_apples,
			.settings = &settings,
			.arena = &arena,
			.event_max = 1000};
		if (call_run(&cmd) != CALL_DONE)
			*(bool *)failed = true;
		arena_free(&arena);
	}
	return NULL;
}

/* First in main(), where the object that all share is not there yet; worth running under ThreadSanitizer. */
static void threads_run_at_once(void **state)
{
	(void)state;
	pthread_t threads[4];
	bool failed[COUNT(threads)] = {false};
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_runs, &failed[i]), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_false(failed[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_run_at_once),
		cmocka_unit_test(out_of_memory_is_retried),
		cmocka_unit_test(out_of_memory_while_rejecting),
		cmocka_unit_test(the_next_run_has_memory_again),
		cmocka_unit_test(the_light_path_allocates_nothing),
		cmocka_unit_test(a_struct_allocates_nothing_more),
		cmocka_unit_test(duration),
	};
	return cmocka_run_group_tests_name("call_memory", tests, NULL, NULL);
}
