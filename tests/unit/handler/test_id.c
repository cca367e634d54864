/* test_id.c - id.c: what tells a command from all others, and cashew_now(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "fake_store.h"
#include "handler_run.h"
#include "settings.h"
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEN	     "aaaaaaaaaa"
#define SIXTY_FOUR   TEN TEN TEN TEN TEN TEN "aaaa"
#define UUID	     "2f1e4a3c-0b7d-4c58-9e5f-7c1d2a3b4c5d"
#define EXPECTED     ": expected a text of 1 to 64 bytes, another one for each command"

static struct cashew_test *t;
static char seen[200];

static cashew_result tells_its_id(cashew_command *cmd)
{
	snprintf(seen, sizeof(seen), "%s", cashew_id(cmd));
	assert_ptr_equal(cashew_id(cmd), cashew_id(cmd));
	return cashew_done(cmd);
}

static const struct cashew_handler
	telling = {.name = "telling", .topic = "+/act", .handle = tells_its_id},
	needing = {.name = "needing", .topic = "+/act", .handle = tells_its_id, .needs_id = true},
	of_any = {.name = "of_any", .topic = "+/act", .handle = tells_its_id, .payload = CASHEW_ANY_JSON},
	of_bytes = {.name = "of_bytes", .topic = "+/act", .handle = tells_its_id, .payload = CASHEW_BYTES};

static void ids(void **state)
{
	(void)state;
	static const char made[] = "000000000000000000000000"; /* the test's input has none but zeros */
	static const struct {
		const struct cashew_handler *handler;
		const char *payload, *correlation;
		size_t size;
		const char *id;	    /* NULL: rejected */
		const char *reason; /* then */
	} cases[] = {
		{&telling, "{\"command_id\":\"w1\"}", NULL, 0, "w1", NULL},
		{&needing, "{\"command_id\":\"w1\"}", NULL, 0, "w1", NULL},
		{&needing, "{\"command_id\":\"" SIXTY_FOUR "\"}", NULL, 0, SIXTY_FOUR, NULL},
		{&needing, "{\"command_id\":\"w1\"}", UUID, 36, "w1", NULL},
		{&needing, "{}", UUID, 36, UUID, NULL},
		{&needing, "{\"command_id\":null}", UUID, 36, UUID, NULL},
		{&needing, "{}", "0123456789abcdef", 16, "0123456789abcdef", NULL},
		/* SHA-256 of sixteen NULs and of 65 times "a" */
		{&needing, "{}", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, "374708fff7719dd5979ec875d56cd228",
			NULL},
		{&needing, "{}", SIXTY_FOUR "a", 65, "635361c48bb9eab14198e76ea8ab7f1a", NULL},
		{&telling, "{}", NULL, 0, made, NULL},
		{&telling, "{}", "short", 5, made, NULL},
		{&of_any, "[1]", NULL, 0, made, NULL},
		{&of_bytes, "{\"command_id\":\"w1\"}", NULL, 0, made, NULL},
		{&of_bytes, "", UUID, 36, UUID, NULL},
		{&needing, "{}", "short", 5, NULL,
			"command_id is missing" EXPECTED " and the same when the command is sent again"},
		{&needing, "{\"command_id\":\"\"}", NULL, 0, NULL, "command_id is empty" EXPECTED},
		{&needing, "{\"command_id\":\"\"}", UUID, 36, NULL, "command_id is empty" EXPECTED},
		{&needing, "{\"command_id\":7}", NULL, 0, NULL, "command_id is an integer" EXPECTED},
		{&needing, "{\"command_id\":\"" SIXTY_FOUR "a\"}", NULL, 0, NULL,
			"command_id is 65 bytes long" EXPECTED},
		{&needing, "{\"command_id\":\"a\\u0000b\"}", NULL, 0, NULL,
			"the payload is not JSON: line 1, column 24: a NUL character"},
		{&telling, "{\"command_id\":[]}", NULL, 0, NULL, "command_id is a list" EXPECTED},
	};
	t = cashew_test_new();
	for (size_t i = 0; i < COUNT(cases); i++) {
		cashew_test_set_correlation(t, cases[i].correlation, cases[i].size);
		const enum call_end end =
			cashew_test_deliver(t, cases[i].handler, "68946/act", cases[i].payload);
		const char *reason = cashew_test_reason(t);
		if (end != (cases[i].id ? CALL_DONE : CALL_REJECTED))
			fail_msg("case %zu: ended as %d: %s", i, end, reason ? reason : "");
		if (cases[i].id && strcmp(seen, cases[i].id) != 0)
			fail_msg("case %zu: %s", i, seen);
		if (cases[i].reason && strcmp(reason, cases[i].reason) != 0)
			fail_msg("case %zu: %s", i, reason);
	}
	cashew_test_free(t);
}

/* A schedule's run comes with its own. */
static void ids_of_schedules(void **state)
{
	(void)state;
	struct arena arena;
	const struct settings settings = {.payload_max = 1000};
	const struct call_input input = {.topic = "",
		.user = "",
		.command = "",
		.payload = "{}",
		.payload_size = 2,
		.id = "telling/2026-01-31T12:00:00.000Z"};
	struct cashew_command cmd = {
		.input = &input, .handler = &telling, .settings = &settings, .arena = &arena};
	arena_init(&arena, NULL, 0);
	assert_int_equal(call_run(&cmd), CALL_DONE);
	assert_string_equal(seen, input.id);
	arena_free(&arena);
}

static cashew_time now_seen;

static cashew_result looks_at_the_clock(cashew_command *cmd)
{
	now_seen = cashew_now(cmd);
	fake_store_pass(cashew_test_fake_store(t), 5000);
	assert_true(cashew_now(cmd) == now_seen);
	return cashew_done(cmd);
}

/* The database's, and throughout a run the same. */
static void now(void **state)
{
	(void)state;
	static const struct cashew_handler looking = {
		.name = "looking", .topic = "+/act", .handle = looks_at_the_clock};
	t = cashew_test_new();
	assert_int_equal(cashew_test_deliver(t, &looking, "68946/act", "{}"), CALL_DONE);
	const cashew_time before = now_seen;
	assert_int_equal(cashew_test_deliver(t, &looking, "68946/act", "{}"), CALL_DONE);
	assert_in_range(now_seen - before, 5000, 65000);
	cashew_test_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids), cmocka_unit_test(ids_of_schedules), cmocka_unit_test(now)};
	return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
