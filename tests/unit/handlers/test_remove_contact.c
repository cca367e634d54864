/* test_remove_contact.c - handlers/remove_contact.c and decline_contact.c. */
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

extern const struct cashew_handler cashew_handler_remove_contact, cashew_handler_decline_contact;

#define OTHER "{\"contact_id\":\"23412\"}"

/* What the commands must leave alone stands beside what they remove. */
static void neighbours(struct store_client *store)
{
	assert_int_equal(contact_add(store, "68946", "5"), 0);
	assert_int_equal(contact_request_add(store, "68946", "23412"), 0);
	assert_int_equal(contact_request_add(store, "5", "68946"), 0);
}

static void contacts(struct store_client *store)
{
	neighbours(store);
	assert_int_equal(contact_add(store, "68946", "23412"), 0);
}

static void asked(struct store_client *store)
{
	neighbours(store);
	assert_int_equal(contact_request_add(store, "23412", "68946"), 0);
}

static void check_neighbours(struct cashew_test *t)
{
	struct store *store = cashew_test_fake_store(t);
	assert_true(fake_store_has_contact(store, "68946", "5"));
	assert_true(fake_store_has_contact(store, "5", "68946"));
	assert_int_equal(fake_store_contacts(store), 2);
	assert_true(fake_store_has_request(store, "68946", "23412"));
	assert_true(fake_store_has_request(store, "5", "68946"));
	assert_int_equal(fake_store_requests(store), 2);
	assert_int_equal(cashew_test_event_count(t), 1);
}

static void check_removed(struct cashew_test *t)
{
	check_neighbours(t);
	check_event(t, 0, "23412/contact_removed", "{\"contact_id\":\"68946\"}");
}

static void check_declined(struct cashew_test *t)
{
	check_neighbours(t);
	check_event(t, 0, "23412/contact_declined", "{\"contact_id\":\"68946\"}");
}

static const struct handler_case cases[] = {
	{&cashew_handler_remove_contact, "68946/remove_contact", OTHER, contacts, check_removed},
	{&cashew_handler_remove_contact, "68946/remove_contact", OTHER, neighbours, check_removed},
	{&cashew_handler_decline_contact, "68946/decline_contact", OTHER, asked, check_declined},
	{&cashew_handler_decline_contact, "68946/decline_contact", OTHER, neighbours, check_declined},
};

static void repeated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_repeats(&cases[i]);
}

static void bad_contact_ids(void **state)
{
	(void)state;
	handler_refuses_bad_contact_ids(&cashew_handler_remove_contact, "68946/remove_contact",
		"contact_id is your own user id: expected a contact's");
	handler_refuses_bad_contact_ids(&cashew_handler_decline_contact, "68946/decline_contact",
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
		cmocka_unit_test(bad_contact_ids),
		cmocka_unit_test(the_store_fails),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("handlers remove_contact and decline_contact", tests, NULL, NULL);
}
