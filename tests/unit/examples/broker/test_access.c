/* test_access.c - access.c of the broker's plugin: identities, and what a locked handler may do. What devices and other handlers may is in
 * tests/e2e/test_broker_plugin.c, where a broker asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "access.c"

#define ROWS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Identities ---- */

static void written_and_read(void **state)
{
	(void)state;
	char filters[] = " subscribe 12:+/get_apples publish 3:+/#";
	const struct {
		struct token_identity identity;
		const char *text;
	} cases[] = {
		{{.user_id = "auth0|5f-7.A_z", .expires = INT64_MAX}, "user:auth0|5f-7.A_z"},
		{{.user_id = "68946", .expires = 1795000000}, "user:68946 until 1795000000"},
		{{.user_id = "68946", .expires = INT64_MAX - 1}, "user:68946 until 9223372036854775806"},
		{{.is_handler = true, .name = "cashewd", .expires = INT64_MAX}, "handler:cashewd"},
		{{.is_handler = true, .name = "cashewd", .expires = 1}, "handler:cashewd until 1"},
		{{.is_handler = true, .name = "cashewd", .expires = 1795000000, .filters = filters},
			"handler:cashewd until 1795000000 subscribe 12:+/get_apples publish 3:+/#"},
		{{.is_handler = true, .name = "a", .expires = INT64_MAX, .filters = filters},
			"handler:a subscribe 12:+/get_apples publish 3:+/#"},
	};
	for (size_t i = 0; i < ROWS(cases); i++) {
		const struct token_identity *identity = &cases[i].identity;
		char text[ACCESS_IDENTITY_SIZE];
		struct access access;
		access_write(identity, text);
		assert_string_equal(text, cases[i].text);
		assert_true(access_read(text, &access));
		assert_int_equal(access.is_handler, identity->is_handler);
		assert_string_equal(access.name, identity->is_handler ? identity->name : identity->user_id);
		assert_int_equal(access.until, identity->expires);
		if (identity->filters)
			assert_string_equal(access.filters, filters);
		else
			assert_null(access.filters);
		assert_ptr_equal(access_user(&access), identity->is_handler ? NULL : access.name);
	}
}

static void nobody_may_do_nothing(void **state)
{
	(void)state;
	static const char *const texts[] = {NULL, "", "JWT", "user", "user:", "handler:", "user: until 1",
		"User:1", "user:1/2", "user:a b/", "handler:+", "68946", " user:1",
		"user:0123456789012345678901234567890123456789012345678901234567890123x"};
	for (size_t i = 0; i < ROWS(texts); i++) {
		struct access access;
		const bool is_one = access_read(texts[i], &access);
		if (is_one != (i == 9)) /* "user:a": a blank ends an id, and what is behind it says nothing */
			fail_msg("\"%s\" is taken for an identity", texts[i] ? texts[i] : "NULL");
		if (is_one)
			continue;
		assert_null(access_user(&access));
		assert_false(access_publish(&access, "get_apples"));
		assert_false(access_publish(&access, "/x"));
		assert_false(access_publish(&access, "1/x"));
		assert_false(access_receive(&access, "1/x"));
		assert_false(access_subscribe(&access, "#"));
		assert_false(access_subscribe(&access, "1/x"));
	}
}

/* ---- Locked handlers ---- */

static void locked_handlers(void **state)
{
	(void)state;
	enum { SUBSCRIBE, RECEIVE, PUBLISH };
	static const char apples[] =
		"handler:apples until 1795000000 subscribe 12:+/get_apples 5:7/a/# 5:5/+/b 5:9/+/c publish 12:+/got_apples 3:1/+";
	static const char silent[] = "handler:apples subscribe publish";
	static const char listener[] = "handler:apples subscribe 1:#";
	static const char teller[] = "handler:apples publish 3:+/+";
	static const char own_session[] =
		"handler:apples subscribe 12:+/get_apples publish client_ids 6:apples";
	static const struct {
		const char *text;
		int what;
		const char *topic;
		bool may;
	} cases[] = {
		{own_session, SUBSCRIBE, "+/get_apples", true},
		{own_session, SUBSCRIBE, "+/get_contact_list", false},
		{own_session, RECEIVE, "1/get_apples", true},
		{own_session, RECEIVE, "1/get_contact_list",
			true}, /* by a subscription that it has from before */
		{own_session, RECEIVE, "$SYS/x", false},
		{own_session, RECEIVE, "x", false},
		{own_session, PUBLISH, "1/got_apples", false},
		{apples, SUBSCRIBE, "+/get_apples", true},
		{apples, SUBSCRIBE, "68946/get_apples", true},
		{apples, SUBSCRIBE, "$share/g/+/get_apples", true},
		{apples, SUBSCRIBE, "$share/g/68946/get_apples", true},
		{apples, SUBSCRIBE, "+/get_contact_list", false},
		{apples, SUBSCRIBE, "$share/g/+/get_contact_list", false},
		{apples, SUBSCRIBE, "$share/+/get_apples", false}, /* the group would be + */
		{apples, SUBSCRIBE, "$share/get_apples", false},
		{apples, SUBSCRIBE, "$share//+/get_apples", false},
		{apples, SUBSCRIBE, "#", false},
		{apples, SUBSCRIBE, "+/#", false},
		{apples, SUBSCRIBE, "+/+", false},
		{apples, SUBSCRIBE, "+", false},
		{apples, SUBSCRIBE, "+/get_apple", false},
		{apples, SUBSCRIBE, "+/get_apples2", false},
		{apples, SUBSCRIBE, "+/get_apples/x", false},
		{apples, SUBSCRIBE, "+/get_apples/#", false},
		{apples, SUBSCRIBE, "1/+", false},
		{apples, SUBSCRIBE, "7/a/#", true},
		{apples, SUBSCRIBE, "7/a/+/x/#", true},
		{apples, SUBSCRIBE, "7/a/+", true},
		{apples, SUBSCRIBE, "7/a", true}, /* # matches its parent level too */
		{apples, SUBSCRIBE, "7/#", false},
		{apples, SUBSCRIBE, "7/ab", false},
		{apples, SUBSCRIBE, "7/+", false},
		{apples, SUBSCRIBE, "+/a/#", false},
		{apples, SUBSCRIBE, "5/x/b", true},
		{apples, SUBSCRIBE, "5/+/b", true},
		{apples, SUBSCRIBE, "5/#", false},
		{apples, SUBSCRIBE, "9/x/c", true},
		{apples, SUBSCRIBE, "9/+/c", true},
		{apples, SUBSCRIBE, "8/x/c", false},
		{apples, SUBSCRIBE, "$SYS/#", false},
		{apples, RECEIVE, "68946/get_apples", true},
		{apples, RECEIVE, "68946/get_contact_list", false},
		{apples, RECEIVE, "7/a", true},
		{apples, RECEIVE, "7/a/b/c", true},
		{apples, RECEIVE, "7/a/", true},
		{apples, RECEIVE, "7/ab", false},
		{apples, RECEIVE, "get_apples", false},
		{apples, RECEIVE, "a b/get_apples", false}, /* no user id */
		{apples, RECEIVE, "/get_apples", false},
		{apples, PUBLISH, "68946/got_apples", true},
		{apples, PUBLISH, "68946/get_apples", false},
		{apples, PUBLISH, "1/anything", true},
		{apples, PUBLISH, "1/any/thing", false},
		{apples, PUBLISH, "got_apples", false},
		{silent, SUBSCRIBE, "+/get_apples", false},
		{silent, RECEIVE, "1/get_apples", false},
		{silent, PUBLISH, "1/got_apples", false},
		/* A list that is not there locks nothing. */
		{listener, SUBSCRIBE, "#", true},
		{listener, SUBSCRIBE, "+/get_contact_list", true},
		{listener, SUBSCRIBE, "$SYS/#", false},
		{listener, PUBLISH, "1/a/b", true},
		{teller, SUBSCRIBE, "#", true},
		{teller, RECEIVE, "1/a/b", true},
		{teller, PUBLISH, "1/a", true},
		{teller, PUBLISH, "1/a/b", false},
		/* A user's identity has no lists, whatever stands there. */
		{"user:1 until 5 subscribe 1:#", SUBSCRIBE, "#", false},
		{"user:1 until 5 publish 3:2/a", PUBLISH, "2/a", false},
		{"user:1 until 5 publish", PUBLISH, "1/a", true},
	};
	for (size_t i = 0; i < ROWS(cases); i++) {
		struct access access;
		assert_true(access_read(cases[i].text, &access));
		const bool may = cases[i].what == SUBSCRIBE ? access_subscribe(&access, cases[i].topic)
				 : cases[i].what == RECEIVE ? access_receive(&access, cases[i].topic)
							    : access_publish(&access, cases[i].topic);
		if (may != cases[i].may)
			fail_msg("%s: %s: %d", cases[i].text, cases[i].topic, may);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_and_read),
		cmocka_unit_test(nobody_may_do_nothing),
		cmocka_unit_test(locked_handlers),
	};
	return cmocka_run_group_tests_name("broker_access", tests, NULL, NULL);
}
