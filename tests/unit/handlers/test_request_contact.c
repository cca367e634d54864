/* test_request_contact.c - handlers/request_contact.c; at the same time as others:
 * test_races.c. */
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

extern const struct cashew_handler cashew_handler_request_contact;

#define REQUEST "{\"contact_id\":\"23412\"}"

static void nothing_known(struct store_client *store)
{
	(void)store;
}

static void asked_by_the_other(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "23412", "68946"), 0);
}

static void contacts_already(struct store_client *store)
{
	assert_int_equal(contact_add(store, "68946", "23412"), 0);
}

static void check_requested(struct cashew_test *t)
{
	struct store *store = cashew_test_fake_store(t);
	assert_int_equal(cashew_test_event_count(t), 1);
	check_event(t, 0, "23412/contact_requested", "{\"user_id\":\"68946\"}");
	assert_true(fake_store_has_request(store, "68946", "23412"));
	assert_int_equal(fake_store_requests(store), 1);
	assert_int_equal(fake_store_contacts(store), 0);
}

static void check_pair(struct cashew_test *t)
{
	struct store *store = cashew_test_fake_store(t);
	assert_true(fake_store_has_contact(store, "68946", "23412"));
	assert_true(fake_store_has_contact(store, "23412", "68946"));
	assert_int_equal(fake_store_contacts(store), 2);
	assert_int_equal(fake_store_requests(store), 0);
}

/* The two last events of a pair. */
static void check_both_told(struct cashew_test *t, size_t first)
{
	assert_int_equal(cashew_test_event_count(t), first + 2);
	check_event(t, first, "23412/contact_approved", "{\"contact_id\":\"68946\"}");
	check_event(t, first + 1, "68946/contact_approved", "{\"contact_id\":\"23412\"}");
}

static void check_contacts_already(struct cashew_test *t)
{
	check_pair(t);
	check_both_told(t, 0);
}

/* The events of a pair made at once; when the command comes again after the pair was made, there is no
 * request any more. */
static void check_both_want_it(struct cashew_test *t)
{
	check_pair(t);
	const bool again = cashew_test_event_count(t) == 2;
	if (!again)
		check_event(t, 0, "23412/contact_requested", "{\"user_id\":\"68946\"}");
	check_both_told(t, again ? 0 : 1);
}

static const struct handler_case cases[] = {
	{&cashew_handler_request_contact, "68946/request_contact", REQUEST, nothing_known, check_requested},
	{&cashew_handler_request_contact, "68946/request_contact", REQUEST, contacts_already,
		check_contacts_already},
	{&cashew_handler_request_contact, "68946/request_contact", REQUEST, asked_by_the_other,
		check_both_want_it},
};

static void repeated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_repeats(&cases[i]);
}

/* An accept_contact or remove_contact that a crash cut in two will be run again, and needs the request to
 * stand. */
static void half_a_pair_is_no_contact(void **state)
{
	(void)state;
	static const char *const halves[][2] = {{"68946", "23412"}, {"23412", "68946"}};
	for (size_t i = 0; i < COUNT(halves); i++) {
		struct cashew_test *t = handler_case_begin(&cases[1]);
		fake_store_forget_contact(cashew_test_fake_store(t), halves[i][0], halves[i][1]);
		assert_int_equal(cashew_test_deliver(t, &cashew_handler_request_contact,
					 "68946/request_contact", REQUEST),
			CALL_DONE);
		assert_int_equal(cashew_test_event_count(t), 1);
		check_event(t, 0, "23412/contact_requested", "{\"user_id\":\"68946\"}");
		assert_true(fake_store_has_request(cashew_test_fake_store(t), "68946", "23412"));
		cashew_test_free(t);
	}
}

static void both_want_it(void **state)
{
	(void)state;
	struct cashew_test *t = handler_case_begin(&cases[2]);
	handler_case_deliver(t, &cases[2], "at first");
	assert_int_equal(cashew_test_event_count(t), 3);
	cashew_test_free(t);
}

static void to_the_response_topic(void **state)
{
	(void)state;
	struct cashew_test *t = handler_case_begin(&cases[2]);
	cashew_test_set_response_topic(t, "68946/answers");
	assert_int_equal(
		cashew_test_deliver(t, &cashew_handler_request_contact, "68946/request_contact", REQUEST),
		CALL_DONE);
	check_event(t, 0, "23412/contact_requested", "{\"user_id\":\"68946\"}");
	check_event(t, 1, "23412/contact_approved", "{\"contact_id\":\"68946\"}");
	check_event(t, 2, "68946/answers", "{\"contact_id\":\"23412\"}");
	cashew_test_free(t);
}

static void bad_contact_ids(void **state)
{
	(void)state;
	handler_refuses_bad_contact_ids(&cashew_handler_request_contact, "68946/request_contact",
		"contact_id is your own user id: expected another user's");
}

static void the_longest_user_id(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	assert_int_equal(cashew_test_deliver(t, &cashew_handler_request_contact, "68946/request_contact",
				 "{\"contact_id\":\"" SIXTY_FOUR_CHARACTERS "\"}"),
		CALL_DONE);
	check_event(t, 0, SIXTY_FOUR_CHARACTERS "/contact_requested", "{\"user_id\":\"68946\"}");
	cashew_test_free(t);
}

static void the_store_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_survives_store_failures(&cases[i]);
}

static void out_of_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_survives_out_of_memory(&cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated),
		cmocka_unit_test(half_a_pair_is_no_contact),
		cmocka_unit_test(both_want_it),
		cmocka_unit_test(to_the_response_topic),
		cmocka_unit_test(bad_contact_ids),
		cmocka_unit_test(the_longest_user_id),
		cmocka_unit_test(the_store_fails),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("handler request_contact", tests, NULL, NULL);
}
