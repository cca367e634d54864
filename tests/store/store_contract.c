/*
 * store_contract.c - what store.h and cashew_store.h promise, as cases that the stand-in and the real store
 * both pass.
 *
 * Every case begins with an empty, prepared store and a client of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "dead_letters.h"
#define OPENED_WANT(store) contact_documents_want_indexes(store)
#include "opened.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "store_pages.h"

#define USER_64 "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

/* ---- requests and contacts ---- */

static void test_request_twice_is_one(void **state)
{
	struct page *page;
	int64_t first;

	(void)state;
	assert_int_equal(contact_request_add(client, "68946", "23412"), 0);
	page = list_page(contact_request_list, "23412", NULL, 10, 0);
	assert_int_equal(page->count, 1);
	assert_string_equal(page->users[0], "68946");
	first = page->at_ms[0];
	assert_true(first > 1577836800000); /* 2020 */
	for (int i = 0; i < 5; i++)
		assert_int_equal(contact_request_add(client, "68946", "23412"), 0);
	page = list_page(contact_request_list, "23412", NULL, 10, 0);
	assert_int_equal(page->count, 1);
	assert_int_equal(page->at_ms[0], first);
}

static void test_request_has_a_direction(void **state)
{
	(void)state;
	assert_int_equal(contact_request_add(client, "68946", "23412"), 0);
	assert_int_equal(contact_request_find(client, "68946", "23412"), 0);
	assert_int_equal(contact_request_find(client, "23412", "68946"), STORE_E_NOT_FOUND);
	assert_int_equal(list_page(contact_request_list, "68946", NULL, 10, 0)->count, 0);
	assert_int_equal(contact_request_remove(client, "23412", "68946"), 0);
	assert_int_equal(contact_request_find(client, "68946", "23412"), 0);
}

static void test_request_removed_twice(void **state)
{
	(void)state;
	assert_int_equal(contact_request_remove(client, "68946", "23412"), 0);
	assert_int_equal(contact_request_add(client, "68946", "23412"), 0);
	assert_int_equal(contact_request_add(client, "68947", "23412"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(contact_request_remove(client, "68946", "23412"), 0);
		assert_int_equal(contact_request_find(client, "68946", "23412"), STORE_E_NOT_FOUND);
		assert_int_equal(contact_request_find(client, "68947", "23412"), 0);
	}
}

static void test_contact_is_both_ways(void **state)
{
	int64_t since;

	(void)state;
	assert_int_equal(contact_find(client, "68946", "23412"), STORE_E_NOT_FOUND);
	assert_int_equal(contact_add(client, "68946", "23412"), 0);
	since = list_page(contact_list, "23412", NULL, 10, 0)->at_ms[0];
	for (int i = 0; i < 3; i++) {
		assert_int_equal(contact_add(client, "68946", "23412"), 0);
		assert_int_equal(contact_add(client, "23412", "68946"), 0);
	}
	assert_int_equal(contact_find(client, "68946", "23412"), 0);
	assert_int_equal(contact_find(client, "23412", "68946"), 0);
	assert_int_equal(list_page(contact_list, "68946", NULL, 10, 0)->count, 1);
	assert_int_equal(list_page(contact_list, "23412", NULL, 10, 0)->count, 1);
	assert_int_equal(list_page(contact_list, "23412", NULL, 10, 0)->at_ms[0], since);
	/* a contact is not a request */
	assert_int_equal(contact_request_find(client, "68946", "23412"), STORE_E_NOT_FOUND);
}

static void test_contact_removed_twice(void **state)
{
	(void)state;
	assert_int_equal(contact_remove(client, "68946", "23412"), 0);
	assert_int_equal(contact_add(client, "68946", "23412"), 0);
	assert_int_equal(contact_add(client, "68946", "3"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(contact_remove(client, "23412", "68946"), 0);
		assert_int_equal(contact_find(client, "68946", "23412"), STORE_E_NOT_FOUND);
		assert_int_equal(contact_find(client, "23412", "68946"), STORE_E_NOT_FOUND);
		assert_int_equal(contact_find(client, "68946", "3"), 0);
		assert_int_equal(contact_find(client, "3", "68946"), 0);
	}
}

static void test_refused_user_ids(void **state)
{
	static const struct {
		const char *name;
		const char *user;
	} cases[] = {
		{"empty", ""},
		{"slash", "1/2"},
		{"plus", "1+2"},
		{"number sign", "#"},
		{"space", "1 2"},
		{"dollar", "$gt"},
		{"newline", "1\n"},
		{"not ASCII", "\xc3\xa9"},
		{"65 bytes", USER_64 "x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *user = cases[i].user;

		print_message("  %s\n", cases[i].name);
		assert_int_equal(contact_request_add(client, user, "1"), STORE_E_PERMANENT);
		assert_int_equal(contact_request_add(client, "1", user), STORE_E_PERMANENT);
		assert_int_equal(contact_request_find(client, "1", user), STORE_E_PERMANENT);
		assert_int_equal(contact_request_remove(client, user, "1"), STORE_E_PERMANENT);
		assert_int_equal(contact_add(client, user, "1"), STORE_E_PERMANENT);
		assert_int_equal(contact_add(client, "1", user), STORE_E_PERMANENT);
		assert_int_equal(contact_find(client, "1", user), STORE_E_PERMANENT);
		assert_int_equal(contact_remove(client, "1", user), STORE_E_PERMANENT);
	}
	assert_int_equal(list_page(contact_list, "1", NULL, 10, 0)->count, 0);
	assert_int_equal(list_page(contact_request_list, "1", NULL, 10, 0)->count, 0);
}

/* ---- lists ---- */

/* In the order of their bytes. */
static const char *const ordered_users[] = {"-", "-.", ".", "0", "1", "1-", "1.", "10", "12", "123", "1_",
	"1|", "2", "A", "B", "Z", "_", "a", "a-b", "a.b", "a_b", "a|b", "b", "z", "|", "||"};
enum { ORDERED_USERS = sizeof(ordered_users) / sizeof(ordered_users[0]) };

static void add_ordered_users(const char *user)
{
	/* 7 and the number of users have no common divisor: each comes once, in another order. */
	for (size_t i = 0; i < ORDERED_USERS; i++) {
		const char *other = ordered_users[(i * 7 + 3) % ORDERED_USERS];

		assert_int_equal(contact_add(client, user, other), 0);
		assert_int_equal(contact_request_add(client, other, user), 0);
	}
}

static void test_list_is_ordered(void **state)
{
	static list_function *const lists[] = {contact_list, contact_request_list};

	(void)state;
	add_ordered_users("me");
	for (size_t i = 0; i < 2; i++) {
		const struct page *page = list_page(lists[i], "me", NULL, 100, 0);

		assert_int_equal(page->count, ORDERED_USERS);
		for (size_t n = 0; n < ORDERED_USERS; n++)
			assert_string_equal(page->users[n], ordered_users[n]);
	}
}

static void test_list_pages_have_all(void **state)
{
	static const unsigned limits[] = {1, 2, 3, ORDERED_USERS - 1, ORDERED_USERS, ORDERED_USERS + 1};

	(void)state;
	add_ordered_users("me");
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		char after[65] = "";
		size_t seen = 0;

		for (;;) {
			const struct page *page =
				list_page(contact_list, "me", seen > 0 ? after : NULL, limits[i], 0);

			assert_true(page->count <= limits[i]);
			for (size_t n = 0; n < page->count; n++)
				assert_string_equal(page->users[n], ordered_users[seen + n]);
			if (page->count == 0)
				break;
			seen += page->count;
			strcpy(after, page->users[page->count - 1]);
		}
		assert_int_equal(seen, ORDERED_USERS);
	}
}

static void test_list_limits(void **state)
{
	static const struct {
		const char *name;
		const char *after;
		unsigned limit;
		size_t stop_after;
		size_t count;
		const char *first;
	} cases[] = {
		{"none wanted", NULL, 0, 0, 0, NULL},
		{"one", NULL, 1, 0, 1, "-"},
		{"more than there are", NULL, 500, 0, ORDERED_USERS, "-"},
		{"more than a page can have", NULL, UINT32_MAX, 0, ORDERED_USERS, "-"},
		{"after one that is there", "1", 3, 0, 3, "1-"},
		{"after one that is not", "11", 2, 0, 2, "12"},
		{"after the last", "||", 10, 0, 0, NULL},
		{"stopped by the visitor", NULL, 100, 5, 5, "-"},
	};

	(void)state;
	add_ordered_users("me");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct page *page;

		print_message("  %s\n", cases[i].name);
		page = list_page(contact_list, "me", cases[i].after, cases[i].limit, cases[i].stop_after);
		assert_int_equal(page->count, cases[i].count);
		if (cases[i].first)
			assert_string_equal(page->users[0], cases[i].first);
	}
}

/* More than a server sends in its first batch when it is not told how many are wanted (101). */
static void test_list_is_one_batch(void **state)
{
	char user[16];
	const struct page *page;

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(user, sizeof(user), "u%03d", i);
		assert_int_equal(contact_request_add(client, user, "me"), 0);
	}
	assert_int_equal(list_page(contact_request_list, "me", NULL, 250, 0)->count, 250);
	page = list_page(contact_request_list, "me", "u149", 500, 0);
	assert_int_equal(page->count, 150);
	assert_string_equal(page->users[0], "u150");
	assert_string_equal(page->users[149], "u299");
}

static void test_users_that_begin_alike(void **state)
{
	(void)state;
	assert_int_equal(contact_add(client, "1", "23"), 0);
	assert_int_equal(contact_add(client, "12", "3"), 0);
	assert_int_equal(contact_request_add(client, "9", "1"), 0);
	assert_int_equal(contact_request_add(client, "8", "12"), 0);
	assert_int_equal(contact_request_add(client, "7", "1|2"), 0);
	assert_int_equal(contact_request_add(client, "6", "1.2"), 0);
	assert_int_equal(list_page(contact_list, "1", NULL, 10, 0)->count, 1);
	assert_int_equal(list_page(contact_list, "12", NULL, 10, 0)->count, 1);
	assert_int_equal(contact_find(client, "1", "3"), STORE_E_NOT_FOUND);
	assert_int_equal(contact_find(client, "12", "23"), STORE_E_NOT_FOUND);
	assert_string_equal(list_page(contact_request_list, "1", NULL, 10, 0)->users[0], "9");
	assert_int_equal(list_page(contact_request_list, "1", NULL, 10, 0)->count, 1);
	assert_string_equal(list_page(contact_request_list, "12", NULL, 10, 0)->users[0], "8");
	assert_int_equal(contact_remove(client, "1", "23"), 0);
	assert_int_equal(contact_find(client, "12", "3"), 0);
}

static void test_longest_user_ids(void **state)
{
	static const char other[] = "ABC"
				    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY";

	(void)state;
	assert_int_equal(strlen(USER_64), 64);
	assert_int_equal(strlen(other), 64);
	assert_int_equal(contact_add(client, USER_64, other), 0);
	assert_int_equal(contact_find(client, other, USER_64), 0);
	assert_string_equal(list_page(contact_list, other, NULL, 10, 0)->users[0], USER_64);
	assert_int_equal(contact_remove(client, USER_64, other), 0);
	assert_int_equal(contact_find(client, other, USER_64), STORE_E_NOT_FOUND);
}

/* ---- apples ---- */

struct colours {
	char text[64];
	size_t stop_at;
	size_t count;
};

static bool note_colour(const char *colour, void *context)
{
	struct colours *colours = context;

	strcat(colours->text, colour);
	strcat(colours->text, " ");
	return ++colours->count != colours->stop_at;
}

static void test_apples(void **state)
{
	static const struct {
		const char *name;
		unsigned limit;
		size_t stop_at;
		const char *expected;
	} cases[] = {
		{"none wanted", 0, 0, ""},
		{"one", 1, 0, "orange "},
		{"three", 3, 0, "orange pink white "},
		{"more than there are", 100, 0, "orange pink white "},
		{"stopped by the visitor", 100, 2, "orange pink "},
	};

	(void)state;
	for (int again = 0; again < 2; again++)
		assert_int_equal(apples_add(client), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct colours colours = {.stop_at = cases[i].stop_at};

		print_message("  %s\n", cases[i].name);
		assert_int_equal(apple_list(client, cases[i].limit, note_colour, &colours), 0);
		assert_string_equal(colours.text, cases[i].expected);
	}
}

static void test_nothing_before_prepare(void **state)
{
	struct store *fresh = backend_open();
	struct store_client *fresh_client = store_acquire(fresh);
	struct colours colours = {.count = 0};

	(void)state;
	assert_int_equal(store_ping(fresh_client), 0);
	assert_int_equal(apple_list(fresh_client, 10, note_colour, &colours), 0);
	assert_int_equal(colours.count, 0);
	assert_int_equal(contact_find(fresh_client, "1", "2"), STORE_E_NOT_FOUND);
	assert_string_equal(store_last_error(fresh_client), "");
	store_release(fresh_client);
	store_close(fresh);
}

/* ---- dead letters ---- */

static void test_dead_letters(void **state)
{
	static unsigned char large[1024 * 1024];
	static const struct {
		const char *name;
		struct dead_letter letter;
	} cases[] = {
		{"usual", {.topic = "1/get_apples",
				  .payload = "{}",
				  .payload_size = 2,
				  .user = "1",
				  .handler = "get_apples",
				  .reason = "it said so",
				  .attempts = 3,
				  .host = "cashewd"}},
		{"no payload, no user, no handler", {.topic = "+/x",
							    .payload = NULL,
							    .user = "",
							    .handler = "",
							    .reason = "",
							    .host = ""}},
		{"1 MB of zeroes", {.topic = "1/x",
					   .payload = large,
					   .payload_size = sizeof(large),
					   .user = "1",
					   .handler = "h",
					   .reason = "r",
					   .attempts = UINT32_MAX,
					   .host = "h"}},
		{"texts that are not UTF-8", {.topic = "1/\xff\xfe",
						     .payload = "\xff\0\x80",
						     .payload_size = 3,
						     .user = "1",
						     .handler = "\xc3",
						     .reason = "\xed\xa0\x80",
						     .host = "\x80"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dead_letter letter = cases[i].letter;

		print_message("  %s\n", cases[i].name);
		letter.id = store_new_id();
		for (int times = 0; times < 3; times++)
			assert_int_equal(dead_letter_add(client, &letter), 0);
		assert_int_equal(backend_dead_letters(store), i + 1);
	}
	/* another id is another letter */
	{
		struct dead_letter letter = cases[0].letter;

		letter.id = store_new_id();
		assert_int_equal(dead_letter_add(client, &letter), 0);
		assert_int_equal(backend_dead_letters(store), sizeof(cases) / sizeof(cases[0]) + 1);
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_request_twice_is_one),
		CASE(test_request_has_a_direction),
		CASE(test_request_removed_twice),
		CASE(test_contact_is_both_ways),
		CASE(test_contact_removed_twice),
		CASE(test_refused_user_ids),
		CASE(test_list_is_ordered),
		CASE(test_list_pages_have_all),
		CASE(test_list_limits),
		CASE(test_list_is_one_batch),
		CASE(test_users_that_begin_alike),
		CASE(test_longest_user_ids),
		CASE(test_apples),
		CASE(test_nothing_before_prepare),
		CASE(test_dead_letters),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
