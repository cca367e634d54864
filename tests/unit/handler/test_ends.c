/* test_ends.c - ends.c and events.c: the first failure stays, and what events of structs are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashew_parts.h"
#include "ends.h"
#include "handler_run.h"
#include "stored.h"

CASHEW_STRUCT(happened, (integer, n), (text, name, .optional = true));
CASHEW_STRUCT(undeclared, (integer, n));
CASHEW_STRUCT(other_input, (text, name), (integer, n));

/* ---- The first failure stays ---- */

static enum first { REJECTS, FAILS, RETRIES, BAD_EVENT, NO_EVENT, BAD_TEXT, OTHER_STRUCT, NOBODY } first;
static bool was_ok;

static void fail_first(cashew_command *cmd)
{
	switch (first) {
	case REJECTS: cashew_reject(cmd, "no %s today", "apples"); break;
	case FAILS: cashew_fail(cmd, "never"); break;
	case RETRIES: cashew_retry(cmd, 30000, "the dog service: %d", 503); break;
	case BAD_EVENT: cashew_event_text(cmd, NULL, "A", "1"); break;
	case NO_EVENT: cashew_reply(cmd, undeclared, .n = 1); break;
	case BAD_TEXT: cashew_reply(cmd, happened, .name = "\xff"); break;
	case NOBODY: cashew_send(cmd, NULL, happened, .n = 1); break;
	case OTHER_STRUCT: assert_string_equal(cashew_input(cmd, other_input)->name, ""); break;
	}
}

/* Each call after the first failure returns it, and does nothing. */
static cashew_result goes_on(cashew_command *cmd)
{
	assert_true(cashew_ok(cmd));
	assert_int_equal(cashew_reply(cmd, happened, .n = 1), CASHEW_DONE);
	fail_first(cmd);
	was_ok = cashew_ok(cmd);
	const cashew_result result = cashew_done(cmd);
	assert_int_not_equal(result, CASHEW_DONE);
	assert_int_equal(cashew_reject(cmd, "later"), result);
	assert_int_equal(cashew_fail(cmd, "later"), result);
	assert_int_equal(cashew_retry(cmd, 1, "later"), result);
	assert_int_equal(cashew_reply(cmd, happened, .n = 2), result);
	assert_int_equal(cashew_send(cmd, "23412", happened, .n = 2), result);
	assert_int_equal(cashew_event_text(cmd, NULL, "happened", "3"), result);
	assert_int_equal(cashew_event_json(cmd, NULL, "happened", json_integer(3)), result);
	assert_int_equal(stored_result(cmd, STORE_E_AWAY), result);
	assert_string_equal(cashew_text_of(cmd, happened, &(struct happened){.n = 3}), "");
	assert_string_equal(cashew_format(cmd, "x"), "");
	assert_null(cashew_alloc(cmd, 1));
	return CASHEW_DONE;
}

static const struct cashew_handler going = {
	.name = "going", .topic = "+/act", .handle = goes_on, .events = CASHEW_EVENTS(happened)};

static void the_first_failure_stays(void **state)
{
	(void)state;
	static const struct {
		enum first first;
		enum call_end end;
		unsigned after_ms;
		const char *reason; /* behind file and line */
	} cases[] = {
		{REJECTS, CALL_REJECTED, 0, "no apples today"},
		{FAILS, CALL_FAILED, 0, "never"},
		{RETRIES, CALL_RETRY, 30000, "the dog service: 503"},
		{BAD_EVENT, CALL_FAILED, 0, "\"A\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{NO_EVENT, CALL_FAILED, 0,
			": event undeclared is not among those that handler going says it sends: expected .events = "
			"CASHEW_EVENTS(undeclared)"},
		{BAD_TEXT, CALL_FAILED, 0, ": struct happened: name has bytes that are not UTF-8"},
		{NOBODY, CALL_FAILED, 0, "event happened has no valid user id to go to"},
		{OTHER_STRUCT, CALL_FAILED, 0,
			": cashew_input(cmd, other_input): expected .payload = CASHEW_PAYLOAD(other_input) of handler going"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		first = cases[i].first;
		const enum call_end end = cashew_test_deliver(t, &going, "68946/act", "{}");
		const char *reason = cashew_test_reason(t);
		if (end != cases[i].end)
			fail_msg("%d: ended as %d: %s", first, end, reason);
		assert_false(was_ok);
		assert_false(cashew_test_store_away(t));
		assert_int_equal(cashew_test_retry_after_ms(t), cases[i].after_ms);
		const bool placed = cases[i].reason[0] == ':';
		const char *at = placed ? strstr(reason, cases[i].reason) : reason;
		if (!at || strcmp(at, cases[i].reason) != 0)
			fail_msg("%d: %s", first, reason);
		if (placed)
			assert_non_null(strstr(reason, "test_ends.c:"));
		assert_int_equal(cashew_test_event_count(t), end == CALL_REJECTED);
	}
}

/* ---- What waits to be written ---- */

static unsigned flushes;
static cashew_result flush_answer;

static void flush(cashew_command *cmd)
{
	cmd->flush = NULL;
	flushes++;
	if (flush_answer != CASHEW_DONE)
		(void)ends_as(cmd, flush_answer, "the write failed");
}

static cashew_result (*way_out)(cashew_command *cmd);

static cashew_result lets_it_wait(cashew_command *cmd)
{
	cmd->flush = flush;
	return way_out(cmd);
}

static cashew_result out_by_ok(cashew_command *cmd)
{
	return cashew_ok(cmd) ? CASHEW_DONE : CASHEW_FAIL;
}

static cashew_result out_by_reject(cashew_command *cmd)
{
	return cashew_reject(cmd, "no");
}

static cashew_result out_by_return(cashew_command *cmd)
{
	(void)cmd;
	return CASHEW_DONE;
}

/* Whatever way a handler takes out, it is written once; and where that fails, that is the end. */
static void what_waits_is_written_first(void **state)
{
	(void)state;
	static const struct {
		cashew_result (*way_out)(cashew_command *cmd);
		enum call_end end;
	} cases[] = {
		{cashew_done, CALL_DONE},
		{out_by_ok, CALL_DONE},
		{out_by_return, CALL_DONE},
		{out_by_reject, CALL_REJECTED},
	};
	static const struct cashew_handler waiting = {
		.name = "waiting", .topic = "+/act", .handle = lets_it_wait};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		way_out = cases[i / 2].way_out;
		flush_answer = i % 2 == 0 ? CASHEW_DONE : CASHEW_RETRY;
		flushes = 0;
		assert_int_equal(cashew_test_deliver(t, &waiting, "68946/act", "{}"),
			i % 2 == 0 ? cases[i / 2].end : CALL_RETRY);
		assert_int_equal(flushes, 1);
		if (i % 2 == 1)
			assert_string_equal(cashew_test_reason(t), "the write failed");
	}
}

/* ---- Events of structs ---- */

static cashew_result sends_structs(cashew_command *cmd)
{
	char name[] = "R\"x";
	cashew_reply(cmd, happened, .n = INT64_MAX, .name = name);
	memset(name, 'x', sizeof(name) - 1);
	cashew_reply(cmd, happened);
	cashew_event_bytes(cmd, NULL, "text", cashew_text_of(cmd, happened, &(struct happened){.n = -1}), 8);
	return cashew_send(cmd, "23412", happened, .n = 2);
}

static const struct cashew_handler sending = {
	.name = "sending", .topic = "+/act", .handle = sends_structs, .events = CASHEW_EVENTS(happened)};

static void events_of_structs(void **state)
{
	(void)state;
	static const char *const expected[][2] = {
		{"68946/happened", "{\"n\":9223372036854775807,\"name\":\"R\\\"x\"}"},
		{"68946/happened", "{\"n\":0}"},
		{"68946/text", "{\"n\":-1}"},
		{"23412/happened", "{\"n\":2}"},
	};
	assert_int_equal(cashew_test_deliver(t, &sending, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_event_count(t), COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_string_equal(cashew_test_event_topic(t, i), expected[i][0]);
		assert_string_equal(cashew_test_event_payload(t, i), expected[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_failure_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_waits_is_written_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_of_structs, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
