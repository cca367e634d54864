/* test_fake_store.c - what the stand-in store does beyond the contract: failures on request, looking at
 * documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "fake_store.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fake_case.h"

static void test_fail_next(void **state)
{
	(void)state;
	fake_store_fail_next(store, STORE_E_TRANSIENT, 2);
	assert_int_equal(contact_add(client, "1", "2"), STORE_E_TRANSIENT);
	assert_string_not_equal(store_last_error(client), "");
	assert_int_equal(contact_find(client, "1", "2"), STORE_E_TRANSIENT);
	assert_int_equal(contact_find(client, "1", "2"), STORE_E_NOT_FOUND);
	assert_int_equal(fake_store_contacts(store), 0);
	assert_int_equal(fake_store_operations(store), 3);
}

static void test_fail_at(void **state)
{
	(void)state;
	fake_store_fail_at(store, 1, STORE_E_AWAY);
	assert_int_equal(contact_request_add(client, "1", "2"), 0);
	assert_int_equal(contact_request_add(client, "3", "2"), STORE_E_AWAY);
	assert_int_equal(contact_request_add(client, "4", "2"), 0);
	assert_true(fake_store_has_request(store, "1", "2"));
	assert_false(fake_store_has_request(store, "3", "2"));
	assert_true(fake_store_has_request(store, "4", "2"));
	assert_false(fake_store_has_request(store, "2", "1"));
	assert_int_equal(fake_store_requests(store), 2);
}

static void test_lost_answer(void **state)
{
	(void)state;
	fake_store_lose_answer_at(store, 0);
	assert_int_equal(contact_add(client, "1", "2"), STORE_E_AWAY);
	assert_true(fake_store_has_contact(store, "1", "2"));
	assert_true(fake_store_has_contact(store, "2", "1"));
	assert_int_equal(fake_store_contacts(store), 2);
	assert_int_equal(contact_add(client, "1", "2"), 0);
	assert_int_equal(fake_store_contacts(store), 2);
}

static void test_dead_letter_is_a_copy(void **state)
{
	char payload[] = "{\"a\":1}";
	struct dead_letter letter = {.topic = "1/x",
		.payload = payload,
		.payload_size = sizeof(payload) - 1,
		.user = "1",
		.handler = "x",
		.reason = "garbage",
		.attempts = 2,
		.host = "cashewd"};
	const struct dead_letter *kept;

	(void)state;
	letter.id = store_new_id();
	assert_null(fake_store_dead_letter(store, 0));
	assert_int_equal(dead_letter_add(client, &letter), 0);
	memset(payload, 0, sizeof(payload));
	assert_int_equal(fake_store_dead_letters(store), 1);
	kept = fake_store_dead_letter(store, 0);
	assert_string_equal(kept->topic, "1/x");
	assert_string_equal(kept->payload, "{\"a\":1}");
	assert_int_equal(kept->payload_size, 7);
	assert_string_equal(kept->reason, "garbage");
	assert_int_equal(kept->attempts, 2);
	assert_memory_equal(&kept->id, &letter.id, sizeof(letter.id));
	assert_null(fake_store_dead_letter(store, 1));
}

static void test_dump(void **state)
{
	struct dead_letter letter = {
		.topic = "1/x", .user = "1", .handler = "x", .reason = "why", .host = "h"};
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	letter.id = store_new_id();
	assert_int_equal(contact_add(client, "1", "2"), 0);
	assert_int_equal(contact_request_add(client, "3", "1"), 0);
	assert_int_equal(dead_letter_add(client, &letter), 0);
	fake_store_dump(store, out);
	fclose(out);
	assert_non_null(strstr(text, "dead_letters 1/x, handler \"x\": why\n"));
	assert_non_null(strstr(text, "contacts { \"_id\" : \"1/2\""));
	assert_non_null(strstr(text, "contacts { \"_id\" : \"2/1\""));
	assert_non_null(strstr(text, "contact_requests { \"_id\" : \"1/3\""));
	free(text);
}

static void test_no_database_handle(void **state)
{
	(void)state;
	assert_null(store_database(client));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_case_begin, fake_case_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_fail_next),
		CASE(test_fail_at),
		CASE(test_lost_answer),
		CASE(test_dead_letter_is_a_copy),
		CASE(test_dump),
		CASE(test_no_database_handle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
