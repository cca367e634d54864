/*
 * documents_lists_contract.c - what documents.h promises of lists and their pages, as cases that the stand-in and the real store both pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "backend.h"
#include "documents.h"
#include "documents_indexes.h"
#include "documents_parts.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- list ---- */

static void test_list(void **state)
{
	const struct contact *c = NULL;
	size_t count = 77;
	(void)state;
	assert_good(LIST(contact, 10, &c, &count, (key, user_id, "1")));
	assert_null(c);
	assert_int_equal(count, 0);
	add_contacts("1", 20);
	add_contacts("10", 3);
	assert_good(LIST(contact, 10, &c, &count, (key, user_id, "1")));
	assert_int_equal(count, 10);
	assert_string_equal(c[9].contact_id, "u00009");
	assert_good(LIST(
		contact, 10, &c, &count, (key, user_id, "1"), (from, since, 1003), (before, since, 1006)));
	assert_int_equal(count, 3);
	assert_true(c[0].since == 1003 && c[2].since == 1005);
	assert_good(LIST(contact, 10, &c, &count, (key, user_id, "1"), (from, contact_id, "u00018")));
	assert_int_equal(count, 2);
	assert_good(LIST(contact, 0, &c, &count, (key, user_id, "1")));
	assert_int_equal(count, 0);
	assert_good(LIST(contact, 10, &c, &count, (key, user_id, "1"), (key, contact_id, "u00003")));
	assert_int_equal(count, 1);
	const struct name *n;
	for (int i = 0; i < 4; i++) {
		const char text[] = {(char)('d' - i), '\0'};
		assert_good(ADD(name, .name = text, .owner = "1"));
	}
	assert_good(LIST(name, 3, &n, &count, (key, name, "b")));
	assert_int_equal(count, 1);
	assert_string_equal(n[0].name, "b");
}

static void test_list_of_ten_thousand(void **state)
{
	const struct contact *c = NULL;
	size_t count;
	(void)state;
	enum { COUNT = 10001 };
	static bson_t *documents[COUNT];
	for (int i = 0; i < COUNT; i++) {
		char other[16], id[32];
		snprintf(other, sizeof(other), "u%05d", i);
		snprintf(id, sizeof(id), "1/%s", other);
		documents[i] = BCON_NEW(
			"_id", BCON_UTF8(id), "user_id", BCON_UTF8("1"), "contact_id", BCON_UTF8(other));
	}
	backend_insert(store, "contacts", documents, COUNT);
	for (int i = 0; i < COUNT; i++)
		bson_destroy(documents[i]);
	assert_good(LIST(contact, 20000, &c, &count, (key, user_id, "1")));
	assert_int_equal(count, 10000);
	assert_string_equal(c[0].contact_id, "u00000");
	assert_string_equal(c[9999].contact_id, "u09999");
}

static void test_mistakes_of_lists(void **state)
{
	const struct contact *c;
	const struct dishes *dish;
	size_t count;
	(void)state;
	assert_refused(
		LIST(contact, 1, &c, &count, (key, contact_id, "1")), DOCUMENTS_E_MISTAKE, "the first keys");
	assert_refused(LIST(contact, 1, &c, &count, (from, since, 1)), DOCUMENTS_E_MISTAKE, "CASHEW_ACROSS");
	assert_refused(
		LIST(dishes, 1, &dish, &count, (from, total, 1)), DOCUMENTS_E_MISTAKE, "total has no .index");
	assert_refused(LIST(dishes, 1, &dish, &count, (key, user_id, "1"), (from, last_at, 1)),
		DOCUMENTS_E_MISTAKE, "CASHEW_WITHIN");
	assert_refused(LIST(dishes, 1, &dish, &count, (from, last_at, 1), (before, total, 1)),
		DOCUMENTS_E_MISTAKE, "of one member");
	assert_refused(LIST(dishes, 1, &dish, &count, (set, last_at, 1)), DOCUMENTS_E_MISTAKE, "only");
}

/* ---- pages ---- */

struct seen {
	char text[256];
	const char *next;
	const struct documents_page *page;
};

static bool see_contact(void *context, const void *document)
{
	struct seen *seen = context;
	strcat(strcat(seen->text, ((const struct contact *)document)->contact_id), " ");
	seen->next = documents_page_token(&d, seen->page, document);
	return true;
}

static int page_of(const char *after, unsigned limit, struct seen *seen, bool *ret_more)
{
	static const char *user = "1";
	const struct cashew_change key = {CASHEW_V_key, offsetof(struct contact, user_id), &user};
	const struct documents_page page = {.collection = &contact_collection,
		.count = 1,
		.changes = &key,
		.after = after,
		.limit = limit,
		.visit = see_contact,
		.context = seen};
	*seen = (struct seen){.page = &page};
	*ret_more = false;
	return documents_page(&d, &page, ret_more);
}

static void test_pages(void **state)
{
	static const char *const bad[] = {"", "a/b", "a%", "a%2f", "a b", "\xff", "a%00"};
	struct seen seen;
	bool more;
	(void)state;
	add_contacts("1", 5);
	add_contacts("10", 2);
	assert_good(page_of(NULL, 2, &seen, &more));
	assert_string_equal(seen.text, "u00000 u00001 ");
	assert_true(more);
	assert_string_equal(seen.next, "u00001");
	assert_good(page_of(seen.next, 3, &seen, &more));
	assert_string_equal(seen.text, "u00002 u00003 u00004 ");
	assert_false(more);
	assert_good(page_of("zzz", 3, &seen, &more));
	assert_string_equal(seen.text, "");
	assert_false(more);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(
			page_of(bad[i], 2, &seen, &more), DOCUMENTS_E_TOKEN, "\"next\" of a page before");
	/* what a page has shown was not read: the handler has not seen it */
	const void *put = NULL;
	stored("contacts", "{\"_id\":\"1/u00000\",\"user_id\":\"1\",\"contact_id\":\"u00000\",\"_v\":5}");
	assert_good(page_of(NULL, 2, &seen, &more));
	assert_good(documents_put(&d, &contact_collection,
		&(const struct contact){.user_id = "1", .contact_id = "u00000", .since = 3}, false, &put));
	assert_good(documents_flush(&d));
	assert_raw("contacts", "1/u00000", "\"_v\" : 6");
}

static bool see_visit(void *context, const void *document)
{
	struct seen *seen = context;
	const struct visit *visit = document;
	snprintf(seen->text + strlen(seen->text), 32, "%d.%d ", (int)visit->number, (int)visit->at);
	seen->next = documents_page_token(&d, seen->page, document);
	return true;
}

/* Two keys are left: the token holds both. */
static void test_pages_of_two_keys(void **state)
{
	const char *user = "1";
	const struct cashew_change key = {CASHEW_V_key, offsetof(struct visit, user_id), &user};
	struct documents_page page = {
		.collection = &visit_collection, .count = 1, .changes = &key, .limit = 2, .visit = see_visit};
	char all[256] = "";
	bool more = true;
	(void)state;
	for (int i = 0; i < 9; i++)
		assert_good(ADD(visit, .user_id = "1", .number = 9 + i / 3, .at = 1 + i % 3));
	while (more) {
		struct seen seen = {.page = &page};
		page.context = &seen;
		more = false;
		assert_good(documents_page(&d, &page, &more));
		strcat(all, seen.text);
		page.after = seen.next;
	}
	assert_string_equal(all, "9.1 9.2 9.3 10.1 10.2 10.3 11.1 11.2 11.3 ");
	page.after = "10/2026-13-31T12:00:00.000Z";
	struct seen seen = {.page = &page};
	page.context = &seen;
	assert_refused(documents_page(&d, &page, &more), DOCUMENTS_E_TOKEN, "after");
	page.after = "10";
	assert_refused(documents_page(&d, &page, &more), DOCUMENTS_E_TOKEN, "after");
	page.after = "010/1970-01-01T00:00:00.001Z";
	assert_refused(documents_page(&d, &page, &more), DOCUMENTS_E_TOKEN, "after");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_list),
		CASE(test_list_of_ten_thousand),
		CASE(test_mistakes_of_lists),
		CASE(test_pages),
		CASE(test_pages_of_two_keys),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
