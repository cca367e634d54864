/*
 * test_old_documents.c - documents of contacts, requests and apples as versions before wrote them, without _v and without a field for a key that is
 * the _id: they are read, and kept as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "fake_store.h"
#include "handler_run.h"
#include <bson/bson.h>

extern const struct cashew_handler cashew_handler_get_contact_list, cashew_handler_get_contact_requests,
	cashew_handler_accept_contact, cashew_handler_request_contact, cashew_handler_remove_contact,
	cashew_handler_get_more_apples_stored;

static const struct {
	const char *collection, *json;
} documents[] = {
	{"contacts", "{\"_id\":\"68946/23412\",\"user_id\":\"68946\",\"contact_id\":\"23412\",\"since\":"
		     "{\"$date\":\"2025-03-04T05:06:07.089Z\"}}"},
	{"contacts", "{\"_id\":\"23412/68946\",\"user_id\":\"23412\",\"contact_id\":\"68946\",\"since\":"
		     "{\"$date\":\"2025-03-04T05:06:07.089Z\"}}"},
	{"contact_requests", "{\"_id\":\"68946/777\",\"user_id\":\"68946\",\"from\":\"777\",\"requested_at\":"
			     "{\"$date\":\"2025-03-04T05:06:07.000Z\"}}"},
	{"apples", "{\"_id\":\"white\",\"position\":3}"},
	{"apples", "{\"_id\":\"orange\",\"position\":1}"},
	{"apples", "{\"_id\":\"pink\",\"position\":2}"},
};
enum { DOCUMENTS = sizeof(documents) / sizeof(documents[0]) };

static struct cashew_test *begin(void)
{
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < DOCUMENTS; i++) {
		bson_error_t error;
		bson_t *document = bson_new_from_json((const uint8_t *)documents[i].json, -1, &error);
		if (!document)
			fail_msg("%s: %s", documents[i].json, error.message);
		fake_store_put(cashew_test_fake_store(t), documents[i].collection, document);
		bson_destroy(document);
	}
	return t;
}

static char *kept(struct cashew_test *t)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fake_store_dump(cashew_test_fake_store(t), out);
	fclose(out);
	return text;
}

static void deliver(struct cashew_test *t, const struct cashew_handler *handler, const char *topic,
	const char *payload, const char *event)
{
	if (cashew_test_deliver(t, handler, topic, payload) != CALL_DONE)
		fail_msg("%s: %s", topic, cashew_test_reason(t));
	assert_string_equal(cashew_test_event_payload(t, 0), event);
}

static void they_are_read(void **state)
{
	(void)state;
	struct cashew_test *t = begin();
	char *before = kept(t);
	deliver(t, &cashew_handler_get_contact_list, "68946/get_contact_list", "{}",
		"{\"contacts\":[{\"contact_id\":\"23412\",\"since\":\"2025-03-04T05:06:07.089Z\"}],\"next\":null}");
	deliver(t, &cashew_handler_get_contact_requests, "68946/get_contact_requests", "{}",
		"{\"contact_requests\":[{\"user_id\":\"777\",\"requested_at\":\"2025-03-04T05:06:07.000Z\"}],"
		"\"next\":null}");
	deliver(t, &cashew_handler_get_more_apples_stored, "68946/get_more_apples", "{}",
		"[\"orange\",\"pink\",\"white\"]");
	/* contacts already: nothing is made */
	deliver(t, &cashew_handler_request_contact, "68946/request_contact", "{\"contact_id\":\"23412\"}",
		"{\"contact_id\":\"68946\"}");
	/* asked already: the request stays that of before */
	deliver(t, &cashew_handler_request_contact, "777/request_contact", "{\"contact_id\":\"68946\"}",
		"{\"user_id\":\"777\"}");
	char *after = kept(t);
	assert_string_equal(after, before);
	free(before);
	free(after);
	cashew_test_free(t);
}

static void they_are_changed(void **state)
{
	(void)state;
	struct cashew_test *t = begin();
	deliver(t, &cashew_handler_accept_contact, "68946/accept_contact", "{\"contact_id\":\"777\"}",
		"{\"contact_id\":\"68946\"}");
	assert_false(fake_store_has_request(cashew_test_fake_store(t), "777", "68946"));
	assert_true(fake_store_has_contact(cashew_test_fake_store(t), "68946", "777"));
	deliver(t, &cashew_handler_remove_contact, "23412/remove_contact", "{\"contact_id\":\"68946\"}",
		"{\"contact_id\":\"23412\"}");
	assert_int_equal(fake_store_contacts(cashew_test_fake_store(t)), 2);
	cashew_test_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_read),
		cmocka_unit_test(they_are_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
