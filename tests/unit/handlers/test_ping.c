/* test_ping.c - handlers/ping.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#define FAILING_MALLOC_ONLY /* the stand-in store has its memory always */
#include "failing_malloc.h"
#include "handler_cases.h"

extern const struct cashew_handler cashew_handler_ping;

static void pong_has_the_same_bytes(void **state)
{
	(void)state;
	static const char *const payloads[] = {
		"{}", "{\"n\": 1 }", "[1,2,3]", "\"caf\xc3\xa9\"", "7", "true", "null", " 1.50 "};
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < 2 * COUNT(payloads); i++) {
		assert_int_equal(cashew_test_deliver(t, &cashew_handler_ping, "68946/ping", payloads[i / 2]),
			CALL_DONE);
		assert_int_equal(cashew_test_event_count(t), 1);
		check_event(t, 0, "68946/pong", payloads[i / 2]);
	}
	cashew_test_free(t);
}

static void bad_payloads(void **state)
{
	(void)state;
	static const struct handler_refusal refusals[] = {
		{"", "the payload is empty: expected JSON"},
		{"hello", "the payload is not JSON: line 1, column 5: unexpected characters"},
		{"{}}", "the payload is not JSON: line 1, column 3: something follows the value"},
	};
	handler_refuses(&cashew_handler_ping, "68946/ping", refusals, COUNT(refusals));
}

static void the_event_is_too_large(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	cashew_test_set_event_max(t, 5);
	assert_int_equal(cashew_test_deliver(t, &cashew_handler_ping, "68946/ping", "[1,2]"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(t, &cashew_handler_ping, "68946/ping", "[1,23]"), CALL_FAILED);
	assert_string_equal(cashew_test_reason(t), "event pong is 6 bytes: 5 at most");
	cashew_test_free(t);
}

static void to_the_response_topic(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	cashew_test_set_response_topic(t, "68946/answers/1");
	assert_int_equal(cashew_test_deliver(t, &cashew_handler_ping, "68946/ping", "1"), CALL_DONE);
	check_event(t, 0, "68946/answers/1", "1");
	cashew_test_free(t);
}

static void check_pong(struct cashew_test *t)
{
	assert_int_equal(cashew_test_event_count(t), 1);
	check_event(t, 0, "68946/pong", "{\"list\":[1,\"two\",3.5]}");
}

static void out_of_memory(void **state)
{
	(void)state;
	handler_survives_out_of_memory(&(struct handler_case){
		&cashew_handler_ping, "68946/ping", "{\"list\":[1,\"two\",3.5]}", NULL, check_pong});
}

static void is_light(void **state)
{
	(void)state;
	assert_true(cashew_handler_ping.light);
	assert_string_equal(cashew_handler_ping.name, "ping");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pong_has_the_same_bytes),
		cmocka_unit_test(bad_payloads),
		cmocka_unit_test(the_event_is_too_large),
		cmocka_unit_test(to_the_response_topic),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(is_light),
	};
	return cmocka_run_group_tests_name("handler ping", tests, NULL, NULL);
}
