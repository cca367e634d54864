/* test_token_filters.c - token_filters.c, and the tokens that are locked by it: which lists a token may have, and what they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "token_filters.h"
#include "token_maker.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW	     1795000000
#define SECRET	     "secret-0123456789abcdef0123456789"
#define HEADER	     "{\"alg\":\"HS256\"}"

static int verify(const char *token, struct token_identity *ret_identity, char *reason)
{
	return token_verify(SECRET, token, strlen(token), NOW, false, ret_identity, reason);
}

/* The token whose handler has the name "a" and these members. */
static char *token_of(const char *members, const char *beside)
{
	const struct maker_signer signer = {.secret = SECRET, .digest = EVP_sha256()};
	char *claims = NULL;
	assert_true(asprintf(&claims, "{\"handler\":{\"name\":\"a\"%s},\"exp\":1795003600%s}", members,
			    beside) > 0);
	char *token = maker_token(HEADER, claims, &signer);
	free(claims);
	return token;
}

static void assert_lists(
	const char *members, const char *beside, const char *filters, const char *expected_reason)
{
	struct token_identity identity = {.filters = NULL};
	char reason[TOKEN_REASON_SIZE] = "", *token = token_of(members, beside);
	const int error = verify(token, &identity, reason);
	free(token);
	if (error != (expected_reason ? TOKEN_E_REFUSED : 0) ||
		(expected_reason && !strstr(reason, expected_reason)))
		fail_msg("%s: %d \"%s\", expected \"%s\"", members, error, reason,
			expected_reason ? expected_reason : "");
	if (!expected_reason && filters)
		assert_string_equal(identity.filters, filters);
	else
		assert_null(identity.filters);
	token_identity_clear(&identity);
	assert_null(identity.filters);
}

static void good_lists(void **state)
{
	(void)state;
	static const struct {
		const char *members, *filters;
	} cases[] = {
		{"", NULL},
		{",\"subscribe\":[]", " subscribe"},
		{",\"publish\":[]", " publish"},
		{",\"publish\":[],\"subscribe\":[]", " subscribe publish"},
		{",\"subscribe\":[\"+/get_apples\",\"#\"],\"publish\":[\"+/+\"]",
			" subscribe 12:+/get_apples 1:# publish 3:+/+"},
		{",\"subscribe\":[\"+/a b\",\"+/7:x y\"]", " subscribe 5:+/a b 7:+/7:x y"},
		{",\"subscribe\":[\"+/\\u00e4\\u20ac\"]", " subscribe 7:+/\xc3\xa4\xe2\x82\xac"},
		{",\"subscribe\":[\"/\",\"//\",\"a/#\"]", " subscribe 1:/ 2:// 3:a/#"},
		{",\"Subscribe\":1,\"topics\":[]", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_lists(cases[i].members, "", cases[i].filters, NULL);
}

static void odd_lists(void **state)
{
	(void)state;
	static const struct {
		const char *members, *beside, *reason;
	} cases[] = {
		{",\"subscribe\":\"+/a\"", "", "the token's handler.subscribe is not a list"},
		{",\"subscribe\":null", "", "handler.subscribe is not a list"},
		{",\"publish\":{\"0\":\"+/a\"}", "", "the token's handler.publish is not a list"},
		{",\"subscribe\":[\"+/a\",7]", "", "handler.subscribe[1] is not a text"},
		{",\"publish\":[[\"+/a\"]]", "", "handler.publish[0] is not a text"},
		{",\"publish\":[null]", "", "handler.publish[0] is not a text"},
		{",\"subscribe\":[\"\"]", "", "handler.subscribe[0] is empty"},
		{",\"subscribe\":[\"+/a+\"]", "", "handler.subscribe[0] is no topic filter: + stands alone"},
		{",\"subscribe\":[\"+a/b\"]", "", "is no topic filter"},
		{",\"subscribe\":[\"a/#b\"]", "", "is no topic filter"},
		{",\"subscribe\":[\"a/b#\"]", "", "is no topic filter"},
		{",\"subscribe\":[\"a/#/b\"]", "", "is no topic filter"},
		{",\"subscribe\":[\"++\"]", "", "is no topic filter"},
		{",\"subscribe\":[\"$share/g/+/a\"]", "", "handler.subscribe[0] begins with $"},
		{",\"subscribe\":[\"$SYS/#\"]", "", "begins with $"},
		{",\"subscribe\":[\"+/a\\n\"]", "", "handler.subscribe[0] has a control character"},
		{",\"subscribe\":[\"+/\\u007f\"]", "", "has a control character"},
		{",\"subscribe\":[\"+/\\u0085\"]", "", "has a control character"},
		{",\"subscribe\":[\"+/\\u0000\"]", "", "claims segment is not a JSON object"},
		{",\"subscribe\":[\"+/\xff\"]", "", "claims segment is not a JSON object"},
		{",\"subscribe\":[\"+/\xc3\"]", "", "claims segment is not a JSON object"},
		{",\"subscribe\":[\"+/\\ud800\"]", "", "claims segment is not a JSON object"},
		{",\"subscribe\":[],\"subscribe\":[\"#\"]", "", "duplicate"},
		/* Whoever wrote these thinks that the token is locked. */
		{"", ",\"subscribe\":[\"+/a\"]", "the token's subscribe stands beside handler"},
		{",\"subscribe\":[\"+/a\"]", ",\"publish\":[]", "the token's publish stands beside handler"},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_lists(cases[i].members, cases[i].beside, NULL, cases[i].reason);
}

/* As many as may be, and one more; as long as may be, and one byte more. */
static void limits(void **state)
{
	(void)state;
	for (size_t more = 0; more <= 1; more++) {
		char list[3000] = ",\"publish\":[\"a\"", one[TOKEN_FILTER_SIZE_MAX + 64];
		for (size_t i = 1; i < TOKEN_FILTERS_MAX + more; i++)
			strcat(list, ",\"a\"");
		strcat(list, "]");
		const size_t begin = (size_t)sprintf(one, ",\"publish\":[\"");
		memset(one + begin, 'x', TOKEN_FILTER_SIZE_MAX + more);
		strcpy(one + begin + TOKEN_FILTER_SIZE_MAX + more, "\"]");
		char *expected = NULL;
		assert_true(asprintf(&expected, " publish %d:%.*s", TOKEN_FILTER_SIZE_MAX,
				    TOKEN_FILTER_SIZE_MAX, one + begin) > 0);
		assert_lists(one, "", expected, more ? "handler.publish[0] has more than 1024 bytes" : NULL);
		free(expected);
		struct token_identity identity = {.filters = NULL};
		char reason[TOKEN_REASON_SIZE] = "", *token = token_of(list, "");
		assert_int_equal(verify(token, &identity, reason), more ? TOKEN_E_REFUSED : 0);
		if (more)
			assert_string_equal(reason, "the token's handler.publish has more than 256 filters");
		else
			assert_int_equal(strlen(identity.filters),
				strlen(" publish") + (size_t)TOKEN_FILTERS_MAX * strlen(" 1:a"));
		token_identity_clear(&identity);
		free(token);
	}
}

/* A user's token has no such lists: they are nobody's business there. */
static void of_users(void **state)
{
	(void)state;
	const struct maker_signer signer = {.secret = SECRET, .digest = EVP_sha256()};
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE];
	char *token = maker_token(HEADER, "{\"user_id\":\"1\",\"subscribe\":7,\"exp\":1795003600}", &signer);
	assert_int_equal(verify(token, &identity, reason), 0);
	assert_false(identity.is_handler);
	assert_null(identity.filters);
	free(token);
}

/* ---- Signed ones ---- */

static const char *const apples[] = {"+/get_apples", "+/ping"}, *const events[] = {"+/#"};

static void signed_tokens(void **state)
{
	(void)state;
	static const struct {
		struct token_topics topics;
		const char *filters;
	} cases[] = {
		{{apples, 2, events, 1}, " subscribe 12:+/get_apples 6:+/ping publish 3:+/#"},
		{{apples, 0, NULL, 0}, " subscribe"},
		{{NULL, 0, apples, 1}, " publish 12:+/get_apples"},
		{{NULL, 0, NULL, 0}, NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "", *token = NULL;
		assert_int_equal(token_sign_locked_handler(
					 SECRET, "apples", &cases[i].topics, NOW, 60, &token, reason),
			0);
		assert_int_equal(verify(token, &identity, reason), 0);
		assert_true(identity.is_handler);
		assert_string_equal(identity.name, "apples");
		assert_int_equal(identity.expires, NOW + 60);
		if (cases[i].filters)
			assert_string_equal(identity.filters, cases[i].filters);
		else
			assert_null(identity.filters);
		token_identity_clear(&identity);
		free(token);
	}
}

static void what_cannot_be_signed(void **state)
{
	(void)state;
	static const char *const odd[] = {"+/get_apples", "$SYS/#"}, *const no_text[] = {"+/\xc3("};
	static char wide[200][32];
	static const char *many[200];
	for (size_t i = 0; i < COUNT(many); i++) {
		snprintf(wide[i], sizeof(wide[i]), "+/a_command_of_many_%zu", i);
		many[i] = wide[i];
	}
	static const struct {
		const char *name;
		struct token_topics topics;
		int error;
		const char *reason;
	} cases[] = {
		{"a/b", {apples, 2, NULL, 0}, -EINVAL, ""},
		{"a", {odd, 2, NULL, 0}, TOKEN_E_REFUSED, "handler.subscribe[1] begins with $"},
		{"a", {NULL, 0, no_text, 1}, TOKEN_E_REFUSED, "handler.publish[0] is not UTF-8"},
		{"a", {many, 200, NULL, 0}, TOKEN_E_REFUSED, "more than 4096 bytes"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char untouched[] = "untouched", *token = untouched, reason[TOKEN_REASON_SIZE] = "";
		assert_int_equal(token_sign_locked_handler(
					 SECRET, cases[i].name, &cases[i].topics, NOW, 60, &token, reason),
			cases[i].error);
		assert_non_null(strstr(reason, cases[i].reason));
		assert_ptr_equal(token, untouched);
	}
}

/* ---- Memory ---- */

/* Each allocation fails, alone and with all later ones; what leaks, a sanitizer tells. */
static void out_of_memory(void **state)
{
	(void)state;
	const struct token_topics topics = {apples, 2, events, 1};
	char *good = token_of(",\"subscribe\":[\"+/get_apples\"]", "");
	for (int and_after = 0; and_after <= 1; and_after++) {
		size_t n = 1;
		for (bool failed = true; failed && n < 1000; n++) {
			char *token = NULL, reason[TOKEN_REASON_SIZE] = "";
			failing_malloc_start(n, and_after == 1);
			const int error =
				token_sign_locked_handler(SECRET, "a", &topics, NOW, 60, &token, reason);
			failed = failing_malloc_stop();
			assert_int_equal(error, failed ? -ENOMEM : 0);
			assert_int_equal(token != NULL, !failed);
			free(token);
		}
		assert_in_range(n, 6, 999);
		n = 1;
		for (bool failed = true; failed && n < 1000; n++) {
			struct token_identity identity = {.filters = NULL};
			char reason[TOKEN_REASON_SIZE] = "";
			failing_malloc_start(n, and_after == 1);
			const int error = verify(good, &identity, reason);
			failed = failing_malloc_stop();
			assert_int_equal(error, failed ? -ENOMEM : 0);
			if (!failed)
				assert_string_equal(identity.filters, " subscribe 12:+/get_apples");
			token_identity_clear(&identity);
		}
		assert_in_range(n, 6, 999);
	}
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lists),
		cmocka_unit_test(odd_lists),
		cmocka_unit_test(limits),
		cmocka_unit_test(of_users),
		cmocka_unit_test(signed_tokens),
		cmocka_unit_test(what_cannot_be_signed),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("token_filters", tests, NULL, NULL);
}
