/*
 * documents_contract.c - what documents.h promises of documents there and back, of ids and indexes, as cases that the stand-in and the real store both
 * pass.
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
#include <stdlib.h>
#include <string.h>

/* ---- there and back ---- */

static void test_everything_there_and_back(void **state)
{
	static const unsigned char bytes[] = {0, 1, 255, 0};
	json_t *json = json_loads(
		"{\"a\":[1,-2.5,\"x\",true,null,{\"\":{}},9223372036854775807],\"b\":[]}", 0, NULL);
	const struct everything e = {.user_id = "68946",
		.a_text = "\xc3\xa4/%$.\"",
		.a_user = "a|b",
		.an_integer = INT64_MIN,
		.another = INT64_MAX,
		.a_number = 0.1,
		.a_boolean = true,
		.a_time = 1769860800001,
		.some_bytes = {bytes, sizeof(bytes)},
		.some_json = json};
	const void *put = NULL;
	(void)state;
	assert_good(documents_put(&d, &everything_collection, &e, false, &put));
	assert_string_equal(((const struct everything *)put)->a_text, e.a_text);
	const struct everything *f = FOUND(everything, .user_id = "68946");
	assert_non_null(f);
	assert_string_equal(f->user_id, "68946");
	assert_string_equal(f->a_text, e.a_text);
	assert_string_equal(f->a_user, e.a_user);
	assert_true(
		f->an_integer == INT64_MIN && f->another == INT64_MAX && f->a_number == 0.1 && f->a_boolean);
	assert_int_equal(f->a_time, e.a_time);
	assert_int_equal(f->some_bytes.size, sizeof(bytes));
	assert_memory_equal(f->some_bytes.data, bytes, sizeof(bytes));
	assert_true(json_equal(f->some_json, json));
	json_decref(json);
}

static void test_what_is_none_is_left_out(void **state)
{
	const void *put = NULL;
	(void)state;
	assert_good(documents_put(&d, &everything_collection,
		&(const struct everything){.user_id = "1", .a_text = "x", .a_time = 5}, false, &put));
	assert_good(documents_flush(&d));
	assert_raw("everything", "1", "a_text");
	assert_good(documents_put(
		&d, &everything_collection, &(const struct everything){.user_id = "1"}, false, &put));
	assert_good(documents_flush(&d));
	assert_null(strstr(raw("everything", "1"), "a_text"));
	assert_null(strstr(raw("everything", "1"), "a_time"));
	const struct everything *f = FOUND(everything, .user_id = "1");
	assert_null(f->a_text);
	assert_null(f->some_json);
	assert_null(f->some_bytes.data);
	assert_int_equal(f->another, 0);
	/* written by somebody who knows only a part of it */
	stored("everything",
		"{\"_id\":\"2\",\"an_integer\":3,\"a_number\":4,\"unknown\":[1],\"a_text\":null}");
	f = FOUND(everything, .user_id = "2");
	assert_string_equal(f->user_id, "2"); /* of the _id */
	assert_int_equal(f->an_integer, 3);
	assert_true(f->a_number == 4);
	assert_int_equal(f->another, 7);
	/* members that are not declared stay */
	assert_good(documents_put(&d, &everything_collection, f, false, &put));
	assert_good(documents_flush(&d));
	assert_raw("everything", "2", "unknown");
}

static void test_wrong_in_the_store(void **state)
{
	static const struct {
		const char *field, *words;
	} cases[] = {
		{"\"an_integer\":\"3\"", "everything 1: an_integer is a text: expected an integer"},
		{"\"an_integer\":1.5", "an_integer is a double that is no integer"},
		{"\"an_integer\":{\"$numberDouble\":\"1e300\"}", "an_integer is a double that is no integer"},
		{"\"an_integer\":{\"$numberDouble\":\"NaN\"}", "an_integer is a double that is no integer"},
		{"\"a_number\":{\"$numberLong\":\"9007199254740993\"}", "an integer that no double holds"},
		{"\"a_number\":true", "a_number is a boolean: expected a number"},
		{"\"a_text\":7", "a_text is an integer: expected a text"},
		{"\"a_text\":\"a\\u0000b\"", "a_text is a text with a NUL"},
		{"\"a_user\":\"a/b\"", "a_user is another text: expected a user id"},
		{"\"a_boolean\":0", "a_boolean is an integer: expected a boolean"},
		{"\"a_time\":5", "a_time is an integer: expected a date"},
		{"\"some_bytes\":\"AAA=\"", "some_bytes is a text: expected binary"},
		{"\"some_json\":{\"a\":{\"$date\":\"2026-01-31T12:00:00Z\"}}",
			"some_json holds a value that JSON has not"},
		{"\"some_json\":{\"$numberDouble\":\"Infinity\"}",
			"some_json holds a number that JSON has not"},
		{"\"some_json\":[\"a\\u0000b\"]", "some_json holds a text with a NUL"},
		{"\"user_id\":3", "user_id is an integer: expected a user id"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const void *document;
		char json[256];
		snprintf(json, sizeof(json), "{\"_id\":\"1\",%s}", cases[i].field);
		stored("everything", json);
		run_as("x/1/1");
		assert_refused(documents_find(&d, &everything_collection,
				       &(const struct everything){.user_id = "1"}, &document),
			DOCUMENTS_E_STORED, cases[i].words);
	}
}

static void test_wrong_in_the_handler(void **state)
{
	static const unsigned char bad[] = {'a', 0xff, 0};
	json_t *with_nul = json_stringn("a\0b", 3);
	json_t *deep = json_array();
	for (int i = 0; i < 200; i++) {
		json_t *outer = json_array();
		json_array_append_new(outer, deep);
		deep = outer;
	}
	const struct {
		struct everything e;
		const char *words;
	} cases[] = {
		{{.user_id = NULL}, "everything, a key: user_id is NULL"},
		{{.user_id = "a/b"}, "user_id is no user id"},
		{{.user_id = ""}, "user_id is no user id"},
		{{.user_id = "1", .a_text = (const char *)bad}, "everything 1: a_text is no UTF-8"},
		{{.user_id = "1", .some_json = with_nul}, "some_json holds a text with a NUL"},
		{{.user_id = "1", .some_json = deep}, "some_json holds more than 100 levels"},
		{{.user_id = "1", .some_bytes = {bad, 65537}},
			"some_bytes has 65537 bytes: expected 0 to 65536"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const void *put;
		run_as("x/1/1");
		assert_refused(documents_put(&d, &everything_collection, &cases[i].e, false, &put),
			DOCUMENTS_E_MISTAKE, cases[i].words);
		assert_refused(documents_add(&d, &everything_collection, &cases[i].e), DOCUMENTS_E_MISTAKE,
			cases[i].words);
	}
	json_decref(with_nul);
	json_decref(deep);
}

static void test_17_megabytes(void **state)
{
	const size_t size = 17 * 1024 * 1024;
	char *text = malloc(size + 1);
	const struct everything *e = NULL;
	const void *put;
	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = '\0';
	assert_refused(documents_put(&d, &everything_collection,
			       &(const struct everything){.user_id = "1", .a_text = text}, false, &put),
		DOCUMENTS_E_MISTAKE, "everything 1: 1782");
	run_as("x/1/2");
	assert_refused(ADD(everything, .user_id = "1", .a_text = text), DOCUMENTS_E_MISTAKE, "16 MB at most");
	run_as("x/1/3");
	assert_refused(UPDATE(everything, &e, (key, user_id, "1"), (set, a_text, text)), DOCUMENTS_E_MISTAKE,
		"16 MB at most");
	/* one that grows too large in the server */
	text[15 * 1024 * 1024] = '\0';
	run_as("x/1/4");
	assert_good(ADD(everything, .user_id = "1", .a_text = text));
	assert_good(documents_flush(&d));
	json_t *two = json_stringn(text, 2 * 1024 * 1024);
	run_as("x/1/5");
	/* one of the stand-in databases does not say why */
	const int grown = UPDATE(everything, &e, (key, user_id, "1"), (set, some_json, two));
	assert_true(grown == STORE_E_PERMANENT ||
		    (grown == STORE_E_TRANSIENT && strstr(d.reason, "internal server error")));
	json_decref(two);
	free(text);
}

/* ---- ids ---- */

static void test_ids(void **state)
{
	(void)state;
	assert_good(ADD(name, .name = "rex/2", .owner = "1"));
	assert_good(ADD(name, .name = "rex%2F2", .owner = "2"));
	assert_good(ADD(name, .name = "%", .owner = "3"));
	assert_good(ADD(visit, .user_id = "1", .number = 0, .at = 1769860800000, .place = "here"));
	assert_good(ADD(contact, .user_id = "68946", .contact_id = "23412", .since = 1));
	assert_string_equal(FOUND(name, .name = "rex/2")->owner, "1");
	assert_string_equal(FOUND(name, .name = "rex%2F2")->owner, "2");
	assert_string_equal(FOUND(name, .name = "%")->name, "%");
	assert_string_equal(FOUND(visit, .user_id = "1", .number = 0, .at = 1769860800000)->place, "here");
	assert_null(FOUND(visit, .user_id = "1", .number = 1, .at = 1769860800000));
	assert_raw("names", "rex%2F2", "\"owner\" : \"1\"");
	assert_raw("names", "rex%252F2", "\"owner\" : \"2\"");
	assert_raw("names", "%25", "\"name\" : \"%\"");
	assert_raw("visits", "1/0/2026-01-31T12:00:00.000Z", "\"number\" : 0");
	assert_raw("contacts", "68946/23412", "\"user_id\" : \"68946\"");
	assert_raw("contacts", "68946/23412", "\"contact_id\" : \"23412\"");
	/* a document of one key need not have it as a field */
	stored("names", "{\"_id\":\"a%2Fb\",\"owner\":\"9\"}");
	assert_string_equal(FOUND(name, .name = "a/b")->name, "a/b");
	const void *document;
	assert_refused(documents_find(&d, &visit_collection,
			       &(const struct visit){.user_id = "1", .number = -1, .at = 1}, &document),
		DOCUMENTS_E_MISTAKE, "number is -1: expected 0");
	assert_refused(
		documents_find(&d, &visit_collection, &(const struct visit){.user_id = "1"}, &document),
		DOCUMENTS_E_MISTAKE, "at is no time");
	assert_refused(documents_find(&d, &name_collection, &(const struct name){.name = ""}, &document),
		DOCUMENTS_E_MISTAKE, "name has 0 bytes: expected 1 to 30");
}

/* ---- indexes ---- */

static void test_indexes_that_are_wanted(void **state)
{
	const struct cashew_handler a = {.collections = CASHEW_COLLECTIONS(dishes, contact, visit)},
				    b = {.reads = CASHEW_COLLECTIONS(contact, name)};
	const struct cashew_handler *const handlers[] = {&a, &b, NULL};
	static const char *const wanted[] = {"dishes last_at _id", "contacts user_id contact_id",
		"contacts user_id since _id", "visits user_id number at"};
	size_t count;
	(void)state;
	struct store_wanted_index *indexes = documents_indexes(handlers, &count);
	assert_int_equal(count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < count; i++) {
		char text[256];
		snprintf(text, sizeof(text), "%s", indexes[i].collection);
		for (size_t k = 0; indexes[i].keys[k]; k++)
			strcat(strcat(text, " "), indexes[i].keys[k]);
		assert_string_equal(text, wanted[i]);
	}
	store_want_indexes(store, indexes, count);
	assert_int_equal(documents_want_indexes(store, handlers), 0); /* instead of those */
	assert_good(store_prepare(client));
	assert_good(store_prepare(client));
	add_contacts("1", 3);
	assert_good(documents_flush(&d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_everything_there_and_back),
		CASE(test_what_is_none_is_left_out),
		CASE(test_wrong_in_the_store),
		CASE(test_wrong_in_the_handler),
		CASE(test_17_megabytes),
		CASE(test_ids),
		CASE(test_indexes_that_are_wanted),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
