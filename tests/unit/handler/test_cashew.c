/* test_cashew.c - cashew.c: what a handler calls. How its run ends is tested in test_call.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cashew_parts.h"
#include "contact_documents.h"
#include "handler_run.h"
#include "log.h"
#include "stored.h"

#define TEN	   "aaaaaaaaaa"
#define SIXTY_FOUR TEN TEN TEN TEN TEN TEN "aaaa"

/* ---- The command ---- */

static cashew_result looks_at_the_command(cashew_command *cmd)
{
	size_t size = 0;
	assert_string_equal(cashew_user(cmd), "68946");
	assert_string_equal(cashew_topic(cmd), "68946/act/now");
	assert_int_equal(cashew_attempt(cmd), 3);
	assert_string_equal(cashew_payload(cmd, &size), "{\"a\":1}");
	assert_int_equal(size, 7);
	assert_int_equal(json_integer_value(json_object_get(cashew_json(cmd), "a")), 1);
	assert_null(cashew_state(cmd));
	return CASHEW_DONE;
}

static cashew_result has_no_json(cashew_command *cmd)
{
	assert_null(cashew_json(cmd));
	return CASHEW_DONE;
}

static cashew_result has_an_empty_object(cashew_command *cmd)
{
	assert_true(json_is_object(cashew_json(cmd)));
	assert_int_equal(json_object_size(cashew_json(cmd)), 0);
	return CASHEW_DONE;
}

static void the_command(void **state)
{
	(void)state;
	static const struct cashew_handler
		looking = {.name = "looking", .topic = "+/#", .handle = looks_at_the_command},
		bytes = {.name = "bytes", .topic = "+/#", .handle = has_no_json, .payload = CASHEW_BYTES},
		empty = {.name = "empty", .topic = "+/#", .handle = has_an_empty_object};
	assert_int_equal(cashew_test_deliver(t, &bytes, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(t, &empty, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(t, &empty, "68946/act", "{ }"), CALL_DONE);
	cashew_test_set_attempt(t, 3);
	assert_int_equal(cashew_test_deliver(t, &looking, "68946/act/now", "{\"a\":1}"), CALL_DONE);
}

/* ---- Events ---- */

static cashew_result sends_all_kinds(cashew_command *cmd)
{
	char volatile_text[] = "[1]", volatile_bytes[] = "a\0b";
	cashew_event_text(cmd, NULL, "one", volatile_text);
	cashew_event_json(cmd, NULL, "two", json_pack("{s:s, s:[i]}", "a", "\xc3\xa9\"", "b", 7));
	cashew_event_bytes(cmd, NULL, "three", volatile_bytes, 3);
	cashew_event_text(cmd, "23412", "four", volatile_text);
	cashew_event_json(cmd, "23412", "five", json_string("x"));
	cashew_event_bytes(cmd, "23412", "six", NULL, 0);
	memset(volatile_text, 'x', sizeof(volatile_text));
	memset(volatile_bytes, 'x', sizeof(volatile_bytes));
	return CASHEW_DONE;
}

static void events(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *payload;
		size_t size;
	} expected[] = {
		{"68946/one", "[1]", 3},
		{"68946/two", "{\"a\":\"\xc3\xa9\\\"\",\"b\":[7]}", 20},
		{"68946/three", "a\0b", 3},
		{"23412/four", "[1]", 3},
		{"23412/five", "\"x\"", 3},
		{"23412/six", "", 0},
	};
	static const struct cashew_handler sending = {
		.name = "sending", .topic = "+/act", .handle = sends_all_kinds};
	assert_int_equal(cashew_test_deliver(t, &sending, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_event_count(t), COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_string_equal(cashew_test_event_topic(t, i), expected[i].topic);
		assert_int_equal(cashew_test_event_size(t, i), expected[i].size);
		assert_memory_equal(
			cashew_test_event_payload(t, i), expected[i].payload, expected[i].size + 1);
	}
	assert_null(cashew_test_event_topic(t, COUNT(expected)));
}

static const char *event_user, *event_name;
static size_t event_size;
static enum { AS_TEXT, AS_JSON, AS_BYTES } event_kind;

/* user NULL: a reply */
static cashew_result sends_one(cashew_command *cmd)
{
	static char text[3000];
	memset(text, '1', event_size);
	text[event_size] = '\0';
	if (event_kind == AS_JSON) {
		/* event_size bytes with its quotes */
		json_t *json = json_stringn(text, event_size - 2);
		return cashew_event_json(cmd, event_user, event_name, json);
	}
	if (event_kind == AS_BYTES)
		return cashew_event_bytes(cmd, event_user, event_name, text, event_size);
	return cashew_event_text(cmd, event_user, event_name, text);
}

static void events_refused(void **state)
{
	(void)state;
	static const struct {
		const char *user, *event;
		size_t size;
		const char *reason; /* NULL: done */
	} cases[] = {
		{NULL, "happened", 1000, NULL},
		{"23412", "happened", 1000, NULL},
		{NULL, "happened", 1001, "event happened is 1001 bytes: 1000 at most"},
		{"23412", "happened", 2000, "event happened is 2000 bytes: 1000 at most"},
		{NULL, "", 2, "\"\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{NULL, "Happened", 2, "\"Happened\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"23412", "a/b", 2, "\"a/b\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"23412", "#", 2, "\"#\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"", "happened", 2, "event happened has no valid user id to go to"},
		{"+", "happened", 2, "event happened has no valid user id to go to"},
		{"a/b", "happened", 2, "event happened has no valid user id to go to"},
		{SIXTY_FOUR "a", "happened", 2, "event happened has no valid user id to go to"},
		{SIXTY_FOUR, SIXTY_FOUR, 2, NULL},
	};
	static const struct cashew_handler sending = {
		.name = "sending", .topic = "+/act", .handle = sends_one};
	cashew_test_set_event_max(t, 1000);
	for (size_t i = 0; i < 3 * COUNT(cases); i++) {
		event_kind = (int)(i % 3);
		event_user = cases[i / 3].user;
		event_name = cases[i / 3].event;
		event_size = cases[i / 3].size;
		const char *reason = cases[i / 3].reason;
		const enum call_end end = cashew_test_deliver(t, &sending, "68946/act", "{}");
		if (end != (reason ? CALL_FAILED : CALL_DONE))
			fail_msg("%s, %s, %zu: ended as %d", event_user, event_name, event_size, end);
		if (reason && strcmp(cashew_test_reason(t), reason) != 0)
			fail_msg("%s, %s, %zu: '%s'", event_user, event_name, event_size,
				cashew_test_reason(t));
		assert_int_equal(cashew_test_event_count(t), reason ? 0 : 1);
		assert_int_equal(cashew_test_event_size(t, 0), reason ? 0 : event_size);
	}
}

/* ---- Reasons ---- */

static const char *long_reason;
static bool as_failure;

static cashew_result gives_a_long_reason(cashew_command *cmd)
{
	return as_failure ? cashew_fail(cmd, "%s", long_reason) : cashew_reject(cmd, "%s", long_reason);
}

static void reasons_are_cut(void **state)
{
	(void)state;
	static const struct {
		const char *name, *tail; /* after 497 bytes */
		size_t size;
	} cases[] = {
		{"shorter", "", 497},
		{"500 bytes", "abc", 500},
		{"501 bytes", "abcd", 500},
		{"a character of two bytes at the end",
			"a\xc3\xa9"
			"b",
			500},
		{"a character of two bytes cut", "ab\xc3\xa9", 499},
		{"a character of three bytes at the end",
			"\xe2\x82\xac"
			"b",
			500},
		{"a character of three bytes cut", "ab\xe2\x82\xac", 499},
		{"a character of three bytes cut later", "a\xe2\x82\xac", 498},
		{"a character of four bytes cut", "\xf0\x9f\x8d\x8e", 497},
		{"a character of four bytes cut early", "ab\xf0\x9f\x8d\x8e", 499},
		{"no UTF-8 at all", "\x80\x80\x80\x80\x80", 500},
	};
	static const struct cashew_handler wordy = {
		.name = "wordy", .topic = "+/act", .handle = gives_a_long_reason};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		char text[600];
		memset(text, 'x', 497);
		strcpy(text + 497, cases[i / 2].tail);
		long_reason = text;
		as_failure = i % 2 == 1;
		assert_int_equal(cashew_test_deliver(t, &wordy, "68946/act", "{}"),
			as_failure ? CALL_FAILED : CALL_REJECTED);
		if (strlen(cashew_test_reason(t)) != cases[i / 2].size)
			fail_msg("%s: %zu bytes", cases[i / 2].name, strlen(cashew_test_reason(t)));
		assert_memory_equal(cashew_test_reason(t), text, cases[i / 2].size);
		if (!as_failure) {
			json_t *event = json_loads(cashew_test_event_payload(t, 0), 0, NULL);
			assert_non_null(event);
			json_decref(event);
		}
	}
}

/* ---- Memory, settings, state ---- */

static cashew_result takes_memory(cashew_command *cmd)
{
	const char *text = cashew_format(cmd, "%s has %d apples", cashew_user(cmd), 7);
	unsigned char *zeroed = cashew_alloc(cmd, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(zeroed[i], 0);
	assert_string_equal(text, "68946 has 7 apples");
	/* a NULL in the place of a payload counts as out of memory, and that is sticky */
	assert_int_equal(cashew_event_text(cmd, NULL, "happened", NULL), CASHEW_RETRY);
	assert_int_equal(cashew_event_text(cmd, NULL, "happened", "1"), CASHEW_RETRY);
	assert_int_equal(cashew_event_json(cmd, NULL, "happened", json_integer(1)), CASHEW_RETRY);
	assert_int_equal(cashew_event_json(cmd, "23412", "happened", NULL), CASHEW_RETRY);
	assert_int_equal(cashew_event_text(cmd, NULL, "happened", "1"), CASHEW_RETRY);
	assert_int_equal(cashew_event_bytes(cmd, NULL, "happened", "1", 1), CASHEW_RETRY);
	assert_int_equal(cashew_event_json(cmd, NULL, "happened", json_integer(1)), CASHEW_RETRY);
	assert_int_equal(cashew_retry(cmd, 5, "no"), CASHEW_RETRY);
	assert_int_equal(cashew_done(cmd), CASHEW_RETRY);
	assert_false(cashew_ok(cmd));
	assert_int_equal(cashew_reject(cmd, "no"), CASHEW_RETRY);
	assert_int_equal(cashew_fail(cmd, "no"), CASHEW_RETRY);
	assert_int_equal(stored_result(cmd, 0), CASHEW_RETRY);
	assert_null(cashew_alloc(cmd, 1));
	assert_string_equal(cashew_format(cmd, "x"), "");
	return CASHEW_DONE;
}

static void memory(void **state)
{
	(void)state;
	static const struct cashew_handler taking = {
		.name = "taking", .topic = "+/act", .handle = takes_memory};
	assert_int_equal(cashew_test_deliver(t, &taking, "68946/act", "{}"), CALL_RETRY);
	assert_string_equal(cashew_test_reason(t), "out of memory");
}

static cashew_result tells_its_settings(cashew_command *cmd)
{
	return cashew_event_text(cmd, NULL, "told",
		cashew_format(cmd, "%s %s", cashew_setting(cmd, "APPLES_LIMIT"),
			cashew_setting(cmd, "APPLES_KEY")));
}

static void settings_of_its_own(void **state)
{
	(void)state;
	static const struct cashew_setting own[] = {
		{.name = "APPLES_LIMIT", .default_value = "12", .help = "How many."},
		{.name = "APPLES_KEY", .secret = true, .help = "A key."},
		{0},
	};
	static const struct cashew_handler telling = {
		.name = "telling", .topic = "+/act", .handle = tells_its_settings, .settings = own};
	cashew_test_set(t, "APPLES_KEY", "k");
	assert_int_equal(cashew_test_deliver(t, &telling, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(t, 0), "12 k");
	cashew_test_set(t, "APPLES_LIMIT", "3");
	assert_int_equal(cashew_test_deliver(t, &telling, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(t, 0), "3 k");
}

static unsigned states_alive;

static int state_init(cashew_setup *setup, void **ret_state)
{
	(void)setup;
	*ret_state = calloc(1, sizeof(int));
	states_alive++;
	return *ret_state ? 0 : -1;
}

static void state_fini(void *state)
{
	free(state);
	states_alive--;
}

static cashew_result counts(cashew_command *cmd)
{
	int *count = cashew_state(cmd);
	return cashew_event_text(cmd, NULL, "counted", cashew_format(cmd, "%d", ++*count));
}

static void state_of_a_thread(void **state)
{
	(void)state;
	static const struct cashew_handler counting = {.name = "counting",
		.topic = "+/act",
		.handle = counts,
		.init = state_init,
		.fini = state_fini};
	struct cashew_test *own = cashew_test_new();
	assert_int_equal(cashew_test_deliver(own, &counting, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(own, &counting, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(own, 0), "2");
	assert_int_equal(states_alive, 1);
	cashew_test_free(own);
	assert_int_equal(states_alive, 0);
}

/* ---- Log ---- */

static cashew_result logs(cashew_command *cmd)
{
	cashew_log(cmd, "looked at %d trees", 7);
	cashew_warn(cmd, "%2000d", 1);
	return CASHEW_DONE;
}

static void check_log_line(const char *line, const char *level)
{
	json_t *json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "level")), level);
	assert_string_equal(json_string_value(json_object_get(json, "event")), "handler_message");
	assert_string_equal(json_string_value(json_object_get(json, "user")), "68946");
	assert_string_equal(json_string_value(json_object_get(json, "topic")), "68946/act");
	assert_string_equal(json_string_value(json_object_get(json, "handler")), "logging");
	assert_int_equal(json_integer_value(json_object_get(json, "attempt")), 2);
	json_decref(json);
}

static void log_lines(void **state)
{
	(void)state;
	static const struct cashew_handler logging = {.name = "logging", .topic = "+/act", .handle = logs};
	int out[2];
	assert_int_equal(pipe(out), 0);
	const struct log_options options = {.fd = out[1], .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO};
	assert_int_equal(log_open(&options), 0);
	cashew_test_set_attempt(t, 2);
	assert_int_equal(cashew_test_deliver(t, &logging, "68946/act", "{}"), CALL_DONE);
	log_close(10000);
	close(out[1]);
	FILE *lines = fdopen(out[0], "r");
	char line[8192];
	assert_non_null(fgets(line, sizeof(line), lines));
	check_log_line(line, "info");
	assert_non_null(strstr(line, "looked at 7 trees"));
	assert_non_null(fgets(line, sizeof(line), lines));
	check_log_line(line, "warn");
	assert_null(fgets(line, sizeof(line), lines));
	fclose(lines);
}

/* ---- What a handler must not do ---- */

static cashew_result wants_the_store(cashew_command *cmd)
{
	return stored_result(cmd, contact_add(stored_client(cmd), "a", "b"));
}

static void a_light_handler_may_not_wait(void **state)
{
	(void)state;
	static const struct cashew_handler light = {
		.name = "hasty", .topic = "+/act", .handle = wants_the_store, .light = true};
	int out[2];
	assert_int_equal(pipe(out), 0);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(out[1], STDERR_FILENO);
		_exit(cashew_test_deliver(t, &light, "68946/act", "{}"));
	}
	close(out[1]);
	char said[2000] = "";
	size_t size = 0;
	ssize_t more;
	while (size < sizeof(said) - 1 && (more = read(out[0], said + size, sizeof(said) - 1 - size)) > 0)
		size += (size_t)more;
	close(out[0]);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "a handler that is .light asked for the store"));
	assert_non_null(strstr(said, "hasty"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reasons_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(settings_of_its_own, set_up, tear_down),
		cmocka_unit_test(state_of_a_thread),
		cmocka_unit_test_setup_teardown(log_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_light_handler_may_not_wait, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("cashew", tests, NULL, NULL);
}
