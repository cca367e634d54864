/* test_get_contact_list.c - handlers/get_contact_list.c, get_contact_requests.c and contact_page.h. */
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

#include <regex.h>

extern const struct cashew_handler cashew_handler_get_contact_list, cashew_handler_get_contact_requests;

/* Both handlers are the same but for names: every test runs on both. */
static const struct list {
	const struct cashew_handler *handler;
	const char *topic, *event, *items, *id, *at;
	int (*add)(struct store_client *store, const char *other, const char *user);
} lists[] = {
	{&cashew_handler_get_contact_list, "68946/get_contact_list", "68946/contact_list", "contacts",
		"contact_id", "since", contact_add},
	{&cashew_handler_get_contact_requests, "68946/get_contact_requests", "68946/contact_requests",
		"contact_requests", "user_id", "requested_at", contact_request_add},
};

/* user0001, user0002 ... and somebody else's, which must not show. */
static void add_users(struct cashew_test *t, const struct list *list, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		char user[20];
		snprintf(user, sizeof(user), "user%04u", i);
		assert_int_equal(list->add(cashew_test_store(t), user, "68946"), 0);
	}
	assert_int_equal(list->add(cashew_test_store(t), "stranger", "68945"), 0);
	assert_int_equal(list->add(cashew_test_store(t), "stranger", "689460"), 0);
}

/* Delivers and reads the event; *ret_next is "" where next is null. The number of items, from user `first`
 * on. */
static unsigned page_of(struct cashew_test *t, const struct list *list, const char *payload, unsigned first,
	char ret_next[static 65])
{
	const enum call_end end = cashew_test_deliver(t, list->handler, list->topic, payload);
	if (end != CALL_DONE)
		fail_msg("%s %s: ended as %d: %s", list->topic, payload, end, cashew_test_reason(t));
	assert_int_equal(cashew_test_event_count(t), 1);
	assert_string_equal(cashew_test_event_topic(t, 0), list->event);
	json_t *event = json_loads(cashew_test_event_payload(t, 0), 0, NULL);
	assert_int_equal(json_object_size(event), 2);
	const json_t *items = json_object_get(event, list->items), *next = json_object_get(event, "next");
	assert_true(json_is_array(items));
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		char user[20];
		snprintf(user, sizeof(user), "user%04u", first + (unsigned)i);
		assert_int_equal(json_object_size(item), 2);
		assert_string_equal(json_string_value(json_object_get(item, list->id)), user);
		assert_int_equal(json_string_length(json_object_get(item, list->at)), 24);
	}
	assert_true(json_is_null(next) || json_is_string(next));
	strcpy(ret_next, json_is_null(next) ? "" : json_string_value(next));
	const unsigned count = (unsigned)json_array_size(items);
	json_decref(event);
	return count;
}

static void pages(void **state)
{
	(void)state;
	static const struct {
		unsigned users;
		const char *payload;
		unsigned first, count;
		const char *next;
	} cases[] = {
		{0, "{}", 1, 0, ""},
		{1, "{}", 1, 1, ""},
		{3, "{\"limit\":null,\"after\":null}", 1, 3, ""},
		{99, "{}", 1, 99, ""},
		{100, "{}", 1, 100, ""},
		{101, "{}", 1, 100, "user0100"},
		{101, "{\"after\":\"user0100\"}", 101, 1, ""},
		{101, "{\"after\":\"user0101\"}", 102, 0, ""},
		{101, "{\"after\":\"user\"}", 1, 100, "user0100"},
		{101, "{\"after\":\"user00005\"}", 1, 100, "user0100"},
		{101, "{\"after\":\"zzz\"}", 1, 0, ""},
		{5, "{\"limit\":1}", 1, 1, "user0001"},
		{5, "{\"limit\":4,\"after\":\"user0001\"}", 2, 4, ""},
		{5, "{\"limit\":3,\"after\":\"user0001\"}", 2, 3, "user0004"},
		{501, "{\"limit\":500}", 1, 500, "user0500"},
		{500, "{\"limit\":500}", 1, 500, ""},
	};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		const struct list *list = &lists[i % 2];
		struct cashew_test *t = cashew_test_new();
		add_users(t, list, cases[i / 2].users);
		char next[65];
		const unsigned count = page_of(t, list, cases[i / 2].payload, cases[i / 2].first, next);
		if (count != cases[i / 2].count || strcmp(next, cases[i / 2].next) != 0)
			fail_msg("%s of %u, %s: %u, next '%s'", list->topic, cases[i / 2].users,
				cases[i / 2].payload, count, next);
		cashew_test_free(t);
	}
}

static void matches(const char *pattern, const char *text)
{
	regex_t regex;
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&regex, text, 0, NULL, 0) != 0)
		fail_msg("%s: expected %s", text, pattern);
	regfree(&regex);
}

#define TIME "20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9][0-9][0-9]Z"

static void the_exact_text(void **state)
{
	(void)state;
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < COUNT(lists); i++) {
		add_users(t, &lists[i], 3);
		assert_int_equal(cashew_test_deliver(t, lists[i].handler, lists[i].topic, "{}"), CALL_DONE);
		char pattern[1000];
		snprintf(pattern, sizeof(pattern),
			"^\\{\"%s\":\\[\\{\"%s\":\"user0001\",\"%s\":\"" TIME
			"\"\\},\\{\"%s\":\"user0002\",\"%s\":\"" TIME
			"\"\\},\\{\"%s\":\"user0003\",\"%s\":\"" TIME "\"\\}\\],\"next\":null\\}$",
			lists[i].items, lists[i].id, lists[i].at, lists[i].id, lists[i].at, lists[i].id,
			lists[i].at);
		matches(pattern, cashew_test_event_payload(t, 0));
	}
	cashew_test_free(t);
}

/* A small event_max: pages end early, none is too large, and all of them together are the whole list. */
static void pages_fit_the_event(void **state)
{
	(void)state;
	static const size_t sizes[] = {200, 250, 300, 511, 512, 1000, 4000};
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		const struct list *list = &lists[i % 2];
		struct cashew_test *t = cashew_test_new();
		add_users(t, list, 57);
		cashew_test_set_event_max(t, sizes[i / 2]);
		char payload[200] = "{}", next[65];
		unsigned seen = 0, rounds = 0;
		do {
			const unsigned count = page_of(t, list, payload, seen + 1, next);
			assert_true(cashew_test_event_size(t, 0) <= sizes[i / 2]);
			assert_true(count > 0);
			seen += count;
			rounds++;
			snprintf(payload, sizeof(payload), "{\"after\":\"%s\"}", next);
		} while (next[0]);
		assert_int_equal(seen, 57);
		assert_true(sizes[i / 2] == 4000 || rounds > 1);
		cashew_test_free(t);
	}
}

static void not_even_one_fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct cashew_test *t = cashew_test_new();
		add_users(t, &lists[i], 2);
		cashew_test_set_event_max(t, 60);
		assert_int_equal(cashew_test_deliver(t, lists[i].handler, lists[i].topic, "{}"), CALL_FAILED);
		assert_non_null(strstr(cashew_test_reason(t), ": 60 at most"));
		cashew_test_free(t);
	}
}

/* The longest names, ids and a full page: what is written stays inside of what was asked for (a sanitizer
 * would tell). */
static void the_largest_page(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct cashew_test *t = cashew_test_new();
		for (unsigned n = 0; n < 501; n++) {
			char user[65];
			snprintf(user, sizeof(user), "%04u%s", n, &SIXTY_FOUR_CHARACTERS[4]);
			assert_int_equal(lists[i].add(cashew_test_store(t), user, "68946"), 0);
		}
		assert_int_equal(cashew_test_deliver(t, lists[i].handler, lists[i].topic, "{\"limit\":500}"),
			CALL_DONE);
		static const char next[] = "\"next\":\"0499" TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS
			TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS "\"}";
		const char *text = cashew_test_event_payload(t, 0);
		assert_string_equal(text + cashew_test_event_size(t, 0) - strlen(next), next);
		cashew_test_free(t);
	}
}

#define A_TOKEN	 "a text of 1 to 1024 bytes"
#define NO_PLACE "after is no place in a list: expected \"next\" of a page before"

static void bad_input(void **state)
{
	(void)state;
	static const struct handler_refusal refusals[] = {
		{"{\"limit\":0}", "limit is 0: expected an integer from 1 to 500"},
		{"{\"limit\":501}", "limit is 501: expected an integer from 1 to 500"},
		{"{\"limit\":-1}", "limit is -1: expected an integer from 1 to 500"},
		{"{\"limit\":\"10\"}", "limit is a text: expected an integer from 1 to 500"},
		{"{\"limit\":10.0}", "limit is a number with a fraction: expected an integer from 1 to 500"},
		{"{\"limit\":{\"$gt\":\"\"}}", "limit is an object: expected an integer from 1 to 500"},
		{"{\"after\":7}", "after is an integer: expected " A_TOKEN},
		{"{\"after\":{\"$gt\":\"\"}}", "after is an object: expected " A_TOKEN},
		{"{\"after\":\"\"}", "after is empty: expected " A_TOKEN},
		{"{\"after\":\"a/b\"}", NO_PLACE},
		{"{\"after\":\"#\"}", NO_PLACE},
		{"{\"after\":\"a%2F\"}", NO_PLACE},
		{"{\"after\":\"" SIXTY_FOUR_CHARACTERS "a\"}", NO_PLACE},
		{"[]", "the payload is a list: expected a JSON object"},
		{"", "the payload is empty: expected a JSON object"},
	};
	for (size_t i = 0; i < COUNT(lists); i++) {
		assert_false(lists[i].handler->light);
		handler_refuses(lists[i].handler, lists[i].topic, refusals, COUNT(refusals));
	}
}

static void two_contacts(struct store_client *store)
{
	assert_int_equal(contact_add(store, "68946", "a"), 0);
	assert_int_equal(contact_add(store, "68946", "b"), 0);
}

static void two_requests(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "a", "68946"), 0);
	assert_int_equal(contact_request_add(store, "b", "68946"), 0);
}

static void check_one_of_two(struct cashew_test *t)
{
	assert_int_equal(cashew_test_event_count(t), 1);
	const char *text = cashew_test_event_payload(t, 0);
	assert_non_null(strstr(text, "\"a\""));
	assert_null(strstr(text, "\"b\""));
	assert_non_null(strstr(text, "\"next\":\"a\"}"));
}

static const struct handler_case cases[] = {
	{&cashew_handler_get_contact_list, "68946/get_contact_list", "{\"limit\":1}", two_contacts,
		check_one_of_two},
	{&cashew_handler_get_contact_requests, "68946/get_contact_requests", "{\"limit\":1}", two_requests,
		check_one_of_two},
};

static void repeated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		handler_repeats(&cases[i]);
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
		cmocka_unit_test(pages),
		cmocka_unit_test(the_exact_text),
		cmocka_unit_test(pages_fit_the_event),
		cmocka_unit_test(not_even_one_fits),
		cmocka_unit_test(the_largest_page),
		cmocka_unit_test(bad_input),
		cmocka_unit_test(repeated),
		cmocka_unit_test(the_store_fails),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name(
		"handlers get_contact_list and get_contact_requests", tests, NULL, NULL);
}
