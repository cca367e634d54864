/* test_accept_contact.c - handlers/accept_contact.c. */
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

extern const struct cashew_handler cashew_handler_accept_contact;

#define ACCEPT "{\"contact_id\":\"23412\"}"

static void asked(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "23412", "68946"), 0);
}

static void asked_each_other(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "23412", "68946"), 0);
	assert_int_equal(contact_request_add(store, "68946", "23412"), 0);
}

static void contacts_already(struct store_client *store)
{
	assert_int_equal(contact_add(store, "68946", "23412"), 0);
}

/* A crash came between adding the contact and removing the request. */
static void contacts_with_the_request_left(struct store_client *store)
{
	contacts_already(store);
	asked(store);
}

static void check(struct cashew_test *t)
{
	struct store *store = cashew_test_fake_store(t);
	assert_int_equal(cashew_test_event_count(t), 1);
	check_event(t, 0, "23412/contact_approved", "{\"contact_id\":\"68946\"}");
	assert_true(fake_store_has_contact(store, "68946", "23412"));
	assert_true(fake_store_has_contact(store, "23412", "68946"));
	assert_int_equal(fake_store_contacts(store), 2);
	assert_int_equal(fake_store_requests(store), 0);
}

static const struct handler_case cases[] = {
	{&cashew_handler_accept_contact, "68946/accept_contact", ACCEPT, asked, check},
	{&cashew_handler_accept_contact, "68946/accept_contact", ACCEPT, asked_each_other, check},
	{&cashew_handler_accept_contact, "68946/accept_contact", ACCEPT, contacts_already, check},
	{&cashew_handler_accept_contact, "68946/accept_contact", ACCEPT, contacts_with_the_request_left,
		check},
};

static void repeated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_repeats(&cases[i]);
}

static void nobody_asked(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	struct store_client *store = cashew_test_store(t);
	/* others ask, also the other way round: that is no request of 23412 to 68946 */
	assert_int_equal(contact_request_add(store, "68946", "23412"), 0);
	assert_int_equal(contact_request_add(store, "23412", "5"), 0);
	assert_int_equal(contact_request_add(store, "5", "68946"), 0);
	assert_int_equal(contact_add(store, "23412", "5"), 0);
	assert_int_equal(
		cashew_test_deliver(t, &cashew_handler_accept_contact, "68946/accept_contact", ACCEPT),
		CALL_REJECTED);
	assert_int_equal(cashew_test_event_count(t), 1);
	check_event(t, 0, "68946/command_rejected",
		"{\"command\":\"accept_contact\",\"reason\":\"23412 has not asked to be your contact\"}");
	assert_int_equal(fake_store_requests(cashew_test_fake_store(t)), 3);
	assert_int_equal(fake_store_contacts(cashew_test_fake_store(t)), 2);
	cashew_test_free(t);
}

static void bad_contact_ids(void **state)
{
	(void)state;
	handler_refuses_bad_contact_ids(&cashew_handler_accept_contact, "68946/accept_contact",
		"contact_id is your own user id: expected that of the user who asked");
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
		cmocka_unit_test(nobody_asked),
		cmocka_unit_test(bad_contact_ids),
		cmocka_unit_test(the_store_fails),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("handler accept_contact", tests, NULL, NULL);
}
