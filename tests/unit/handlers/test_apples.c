/* test_apples.c - handlers/get_apples.c, get_more_apples.c and get_more_apples_stored.c. */
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

extern const struct cashew_handler cashew_handler_get_apples, cashew_handler_get_more_apples,
	cashew_handler_get_more_apples_stored;

static const struct {
	const struct cashew_handler *handler;
	const char *topic, *apples;
	bool light;
} handlers[] = {
	{&cashew_handler_get_apples, "68946/get_apples", "[\"red\",\"yellow\",\"blue\"]", true},
	{&cashew_handler_get_more_apples, "68946/get_more_apples", "[\"green\",\"black\",\"purple\"]", true},
	{&cashew_handler_get_more_apples_stored, "68946/get_more_apples", "[\"orange\",\"pink\",\"white\"]",
		false},
};

static void apples_come(void **state)
{
	(void)state;
	static const char *const payloads[] = {"{}", " { } ", "{\"whatever\":[1]}", "{}"};
	struct cashew_test *t = cashew_test_new();
	for (size_t h = 0; h < COUNT(handlers); h++) {
		assert_int_equal(handlers[h].handler->light, handlers[h].light);
		for (size_t i = 0; i < COUNT(payloads); i++) {
			assert_int_equal(
				cashew_test_deliver(t, handlers[h].handler, handlers[h].topic, payloads[i]),
				CALL_DONE);
			assert_int_equal(cashew_test_event_count(t), 1);
			check_event(t, 0, "68946/got_apples", handlers[h].apples);
		}
	}
	cashew_test_free(t);
}

static void bad_payloads(void **state)
{
	(void)state;
	static const struct handler_refusal refusals[] = {
		{"", "the payload is empty: expected a JSON object"},
		{"[]", "the payload is a list: expected a JSON object"},
		{"\"{}\"", "the payload is a text: expected a JSON object"},
		{"{", "the payload is not JSON: line 1, column 1: it ends too early"},
		{"apples", "the payload is not JSON: line 1, column 6: unexpected characters"},
	};
	for (size_t h = 0; h < COUNT(handlers); h++)
		handler_refuses(handlers[h].handler, handlers[h].topic, refusals, COUNT(refusals));
}

/* Where there are some, they are all. */
static void an_empty_store_is_given_three(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	struct store *store = cashew_test_fake_store(t);
	static const char *const left[] = {"[\"orange\",\"pink\",\"white\"]", "[\"orange\",\"white\"]"};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cashew_test_deliver(t, &cashew_handler_get_more_apples_stored,
					 "68946/get_more_apples", "{}"),
			CALL_DONE);
		check_event(t, 0, "68946/got_apples", left[i]);
		assert_int_equal(fake_store_count(store, "apples"), 3 - i);
		fake_store_remove(store, "apples", "pink");
	}
	cashew_test_free(t);
}

static void check_stored(struct cashew_test *t)
{
	assert_int_equal(cashew_test_event_count(t), 1);
	check_event(t, 0, "68946/got_apples", "[\"orange\",\"pink\",\"white\"]");
}

static const struct handler_case stored = {
	&cashew_handler_get_more_apples_stored, "68946/get_more_apples", "{ }", NULL, check_stored};

static void the_store_fails(void **state)
{
	(void)state;
	handler_survives_store_failures(&stored);
}

static void out_of_memory(void **state)
{
	(void)state;
	handler_survives_out_of_memory(&stored);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apples_come),
		cmocka_unit_test(bad_payloads),
		cmocka_unit_test(an_empty_store_is_given_three),
		cmocka_unit_test(the_store_fails),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("handlers of apples", tests, NULL, NULL);
}
