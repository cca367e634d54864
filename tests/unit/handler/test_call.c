/*
 * test_call.c - call.c: how a run of a handler ends, and what becomes of payload, events and memory. What a
 * handler calls is tested in test_cashew.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "call_parts.h"
#include "handler_run.h"
#include "log_secret.h"
#include "settings.h"

/* ---- Ends ---- */

static void ends(void **state)
{
	(void)state;
	static const struct {
		const struct cashew_handler *handler;
		int result;
		enum call_end end;
		size_t events;
		const char *reason;
	} cases[] = {
		{&bare, CASHEW_DONE, CALL_DONE, 1, NULL},
		{&bare, CASHEW_RETRY, CALL_RETRY, 0, "handler bare asked to be run again and gave no reason"},
		{&bare, CASHEW_REJECT, CALL_REJECTED, 1,
			"handler bare rejected the command and gave no reason"},
		{&bare, CASHEW_FAIL, CALL_FAILED, 0, "handler bare failed and gave no reason"},
		{&bare, 99, CALL_FAILED, 0, "handler bare returned 99, which is no cashew_result"},
		{&bare, 0, CALL_FAILED, 0, "handler bare returned 0, which is no cashew_result"},
		{&bare, -1, CALL_FAILED, 0, "handler bare returned -1, which is no cashew_result"},
		{&reasoned, CASHEW_RETRY, CALL_RETRY, 0, "the store could not do it now"},
		{&reasoned, CASHEW_REJECT, CALL_REJECTED, 1, "no apples on day 7"},
		{&reasoned, CASHEW_FAIL, CALL_FAILED, 0, "no tree of size 8"},
		/* the first failure stays, whatever is returned */
		{&changing, CASHEW_DONE, CALL_REJECTED, 1, "a reason for the sender"},
		{&changing, CASHEW_REJECT, CALL_REJECTED, 1, "a reason for the sender"},
		{&changing, CASHEW_RETRY, CALL_REJECTED, 1, "a reason for the sender"},
		{&changing, CASHEW_FAIL, CALL_REJECTED, 1, "a reason for the sender"},
		{&changing, 5, CALL_REJECTED, 1, "a reason for the sender"},
	};
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < COUNT(cases); i++) {
		next_result = cases[i].result;
		const enum call_end end = cashew_test_deliver(t, cases[i].handler, "68946/act", "{}");
		const char *reason = cashew_test_reason(t);
		if (end != cases[i].end || cashew_test_event_count(t) != cases[i].events)
			fail_msg("%s, %d: ended as %d with %zu events", cases[i].handler->name, next_result,
				end, cashew_test_event_count(t));
		if (cases[i].reason ? !reason || strcmp(reason, cases[i].reason) != 0 : reason != NULL)
			fail_msg("%s, %d: '%s'", cases[i].handler->name, next_result,
				reason ? reason : "(none)");
		if (end == CALL_REJECTED)
			assert_string_equal(cashew_test_event_topic(t, 0), "68946/command_rejected");
		if (end == CALL_DONE && cases[i].events)
			assert_string_equal(cashew_test_event_topic(t, 0), "68946/happened");
		assert_false(cashew_test_store_away(t));
	}
	cashew_test_free(t);
}

/* ---- Payloads ---- */

static const struct cashew_handler
	of_object = {.name = "of_object", .topic = "+/#", .handle = bare_result},
	of_json = {.name = "of_json", .topic = "+/#", .handle = bare_result, .payload = CASHEW_ANY_JSON},
	of_bytes = {.name = "of_bytes", .topic = "+/#", .handle = bare_result, .payload = CASHEW_BYTES};

static void payloads(void **state)
{
	(void)state;
	static const struct {
		const struct cashew_handler *handler;
		const char *payload;
		size_t size;
		const char *reason; /* NULL: the handler is run */
	} cases[] = {
		{&of_object, "{}", 2, NULL},
		{&of_object, " {\"a\":{}}", 9, NULL},
		{&of_object, "", 0, "the payload is empty: expected a JSON object"},
		{&of_object, "[]", 2, "the payload is a list: expected a JSON object"},
		{&of_object, "\"a\"", 3, "the payload is a text: expected a JSON object"},
		{&of_object, "7", 1, "the payload is an integer: expected a JSON object"},
		{&of_object, "null", 4, "the payload is null: expected a JSON object"},
		{&of_object, "{}{", 3,
			"the payload is not JSON: line 1, column 3: something follows the value"},
		{&of_object, "{}\0", 3,
			"the payload is not JSON: line 1, column 3: a NUL byte behind the value"},
		{&of_object, "apples", 6, "the payload is not JSON: line 1, column 6: unexpected characters"},
		{&of_json, "{}", 2, NULL},
		{&of_json, "[1]", 3, NULL},
		{&of_json, "null", 4, NULL},
		{&of_json, "", 0, "the payload is empty: expected JSON"},
		{&of_json, "apples", 6, "the payload is not JSON: line 1, column 6: unexpected characters"},
		{&of_bytes, "", 0, NULL},
		{&of_bytes, "\0\xff", 2, NULL},
	};
	struct cashew_test *t = cashew_test_new();
	next_result = CASHEW_DONE;
	for (size_t i = 0; i < COUNT(cases); i++) {
		runs = 0;
		const enum call_end end = cashew_test_deliver_bytes(
			t, cases[i].handler, "68946/act", cases[i].payload, cases[i].size);
		const char *reason = cashew_test_reason(t);
		if (!cases[i].reason) {
			if (end != CALL_DONE || runs != 1)
				fail_msg("%s '%s': %d '%s'", cases[i].handler->name, cases[i].payload, end,
					reason);
			continue;
		}
		if (end != CALL_REJECTED || runs != 0)
			fail_msg("%s '%s': %d", cases[i].handler->name, cases[i].payload, end);
		if (strcmp(reason, cases[i].reason) != 0)
			fail_msg("%s '%s': '%s'", cases[i].handler->name, cases[i].payload, reason);
	}
	cashew_test_free(t);
}

static void payloads_too_large(void **state)
{
	(void)state;
	static const struct cashew_handler *const handlers[] = {&of_object, &of_json, &of_bytes};
	enum { LARGE = 1048576 };
	char *large = malloc(LARGE);
	assert_non_null(large);
	memset(large, ' ', LARGE);
	memcpy(large, "{}", 2);
	struct cashew_test *t = cashew_test_new();
	cashew_test_set(t, "PAYLOAD_MAX", "131072");
	for (size_t i = 0; i < COUNT(handlers); i++) {
		runs = 0;
		assert_int_equal(
			cashew_test_deliver_bytes(t, handlers[i], "68946/act", large, LARGE), CALL_REJECTED);
		assert_string_equal(cashew_test_reason(t), "the payload is 1048576 bytes: 131072 at most");
		assert_int_equal(runs, 0);
		assert_int_equal(
			cashew_test_deliver_bytes(t, handlers[i], "68946/act", large, 131072), CALL_DONE);
	}
	cashew_test_free(t);
	free(large);
}

/* ---- Rejections ---- */

static const char *next_reason;

static cashew_result rejects(cashew_command *cmd)
{
	return cashew_reject(cmd, "%s", next_reason);
}

static const struct cashew_handler rejecting = {.name = "rejecting", .topic = "+/#", .handle = rejects};

static void rejections(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *reason, *event;
	} cases[] = {
		{"68946/act", "no", "{\"command\":\"act\",\"reason\":\"no\"}"},
		{"68946/act/now", "a \"quote\"\n",
			"{\"command\":\"act/now\",\"reason\":\"a \\\"quote\\\"\\n\"}"},
		{"68946/caf\xc3\xa9", "\xf0\x9f\x8d\x8e",
			"{\"command\":\"caf\xc3\xa9\",\"reason\":\"\xf0\x9f\x8d\x8e\"}"},
		{"68946/act", "bad \xff bytes \xc3", "{\"command\":\"act\",\"reason\":\"bad ? bytes ?\"}"},
		{"68946/act", "", "{\"command\":\"act\",\"reason\":\"\"}"},
	};
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < COUNT(cases); i++) {
		next_reason = cases[i].reason;
		assert_int_equal(cashew_test_deliver(t, &rejecting, cases[i].topic, "{}"), CALL_REJECTED);
		assert_int_equal(cashew_test_event_count(t), 1);
		assert_string_equal(cashew_test_event_topic(t, 0), "68946/command_rejected");
		assert_string_equal(cashew_test_event_payload(t, 0), cases[i].event);
		assert_int_equal(cashew_test_event_size(t, 0), strlen(cases[i].event));
	}
	/* no room for the event: nobody would learn of it, so it is kept */
	next_reason = "no";
	cashew_test_set_event_max(t, 20);
	assert_int_equal(cashew_test_deliver(t, &rejecting, "68946/act", "{}"), CALL_FAILED);
	assert_string_equal(cashew_test_reason(t), "event command_rejected is 31 bytes: 20 at most");
	assert_int_equal(cashew_test_event_count(t), 0);
	cashew_test_free(t);
}

/* A server or a library has repeated one, and the handler passes it on. */
static void rejections_hold_no_secret(void **state)
{
	(void)state;
	static const char *const reasons[] = {"cannot log in to mongodb://u:hunter2-and-more@h/",
		"cannot log in with HUNTER2-AND-MORE", "hunter2%2Dand%2Dmore"};
	struct cashew_test *t = cashew_test_new();
	assert_int_equal(log_secret_add("hunter2-and-more"), 0);
	for (size_t i = 0; i < COUNT(reasons); i++) {
		next_reason = reasons[i];
		assert_int_equal(cashew_test_deliver(t, &rejecting, "68946/act", "{}"), CALL_REJECTED);
		assert_non_null(strstr(cashew_test_event_payload(t, 0), "********"));
		assert_null(strcasestr(cashew_test_event_payload(t, 0), "hunter2"));
	}
	log_secret_forget();
	cashew_test_free(t);
}

static void reject_without_a_handler(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, NULL, 0);
	const struct settings settings = {.payload_max = 1000};
	const struct call_input input = {
		.topic = "68946/act", .user = "68946", .command = "act", .payload = "", .attempt = 1};
	struct cashew_command cmd;
	memset(&cmd, 0xa5, sizeof(cmd));
	cmd.input = &input;
	cmd.handler = NULL;
	cmd.settings = &settings;
	cmd.arena = &arena;
	cmd.event_max = 1000;
	assert_int_equal(call_reject(&cmd, "nobody listens"), CALL_REJECTED);
	assert_string_equal(cmd.reason, "nobody listens");
	assert_string_equal(cmd.events->topic, "68946/command_rejected");
	assert_string_equal(cmd.events->payload, "{\"command\":\"act\",\"reason\":\"nobody listens\"}");
	assert_null(cmd.events->next);
	arena_free(&arena);
}

/* ---- Response Topics ---- */

static cashew_result replies_and_sends(cashew_command *cmd)
{
	runs++;
	cashew_event_text(cmd, NULL, "answered", "1");
	cashew_event_text(cmd, "23412", "told", "2");
	cashew_event_text(cmd, cashew_user(cmd), "told", "3");
	return next_result == CASHEW_DONE ? CASHEW_DONE : cashew_reject(cmd, "no");
}

static const struct cashew_handler answering = {
	.name = "answering", .topic = "+/act", .handle = replies_and_sends};

static void response_topics(void **state)
{
	(void)state;
	static const struct {
		const char *response_topic, *reply; /* NULL: refused */
	} cases[] = {
		{NULL, "68946/answered"},
		{"68946/inbox/1", "68946/inbox/1"},
		{"23412/inbox", NULL},
		{"68946", NULL},
		{"68946/+", NULL},
		{"", NULL},
	};
	struct cashew_test *t = cashew_test_new();
	next_result = CASHEW_DONE;
	for (size_t i = 0; i < COUNT(cases); i++) {
		runs = 0;
		cashew_test_set_response_topic(t, cases[i].response_topic);
		const enum call_end end = cashew_test_deliver(t, &answering, "68946/act", "{}");
		if (cases[i].reply) {
			assert_int_equal(end, CALL_DONE);
			assert_int_equal(cashew_test_event_count(t), 3);
			assert_string_equal(cashew_test_event_topic(t, 0), cases[i].reply);
			assert_string_equal(cashew_test_event_topic(t, 1), "23412/told");
			assert_string_equal(cashew_test_event_topic(t, 2), "68946/told");
			assert_string_equal(cashew_test_event_payload(t, 0), "1");
			assert_string_equal(cashew_test_event_payload(t, 1), "2");
			assert_string_equal(cashew_test_event_payload(t, 2), "3");
		} else {
			assert_int_equal(end, CALL_REJECTED);
			assert_int_equal(runs, 0);
			assert_string_equal(cashew_test_reason(t),
				"the Response Topic is not one below 68946/: expected a topic of the sender's own");
			assert_int_equal(cashew_test_event_count(t), 1);
			assert_string_equal(cashew_test_event_topic(t, 0), "68946/command_rejected");
		}
	}
	/* a rejection goes where every device listens */
	next_result = CASHEW_REJECT;
	cashew_test_set_response_topic(t, "68946/inbox/1");
	assert_int_equal(cashew_test_deliver(t, &answering, "68946/act", "{}"), CALL_REJECTED);
	assert_int_equal(cashew_test_event_count(t), 1);
	assert_string_equal(cashew_test_event_topic(t, 0), "68946/command_rejected");
	cashew_test_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		cmocka_unit_test(payloads),
		cmocka_unit_test(payloads_too_large),
		cmocka_unit_test(rejections),
		cmocka_unit_test(rejections_hold_no_secret),
		cmocka_unit_test(reject_without_a_handler),
		cmocka_unit_test(response_topics),
	};
	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
