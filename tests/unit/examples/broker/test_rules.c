/* test_rules.c - rules.c of the broker's plugin: which options are taken, and which do not fit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "rules.c"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char told[2048];

static void keep(enum keys_level level, const char *text)
{
	snprintf(told, sizeof(told), "%s%s", level == KEYS_ERROR ? "error: " : "", text);
}

static void values(void **state)
{
	(void)state;
	static char long_claim[CLAIM_MAX + 2], long_text[TEXT_MAX + 2];
	memset(long_claim, 'a', CLAIM_MAX + 1);
	memset(long_text, 'a', TEXT_MAX + 1);
	const struct {
		const char *name, *value;
		int error;
	} cases[] = {
		{"allow_unexpiring_tokens", "on", 0},
		{"allow_unexpiring_tokens", "off", 0},
		{"allow_unexpiring_tokens", "yes", RULES_E_UNUSABLE},
		{"claim_user", "sub", 0},
		{"claim_user", "https://example.com/user_id", 0},
		{"claim_user", "", RULES_E_UNUSABLE},
		{"claim_user", "handler", RULES_E_UNUSABLE},
		{"claim_user", "iss", RULES_E_UNUSABLE},
		{"claim_user", "exp", RULES_E_UNUSABLE},
		{"claim_user", "azp", RULES_E_UNUSABLE},
		{"claim_user", long_claim, RULES_E_UNUSABLE},
		{"claim_user", long_claim + 1, 0},
		{"issuer", "https://login.example.com/", 0},
		{"issuer", "", RULES_E_UNUSABLE},
		{"issuer", long_text, RULES_E_UNUSABLE},
		{"audience", "cashew", 0},
		{"audience", "", RULES_E_UNUSABLE},
		{"audience", long_text, RULES_E_UNUSABLE},
		{"trust_audience", "https://api.example.com, and more", 0},
		{"trust_audience", "", RULES_E_UNUSABLE},
		{"authorized_party", "app", 0},
		{"authorized_party", "", RULES_E_UNUSABLE},
		{"audiences", "cashew", RULES_E_UNKNOWN},
		{"max_lifetime", "1", 0},
		{"max_lifetime", "86400", 0},
		{"max_lifetime", "316224000", 0},
		{"max_lifetime", "316224001", RULES_E_UNUSABLE},
		{"max_lifetime", "0", RULES_E_UNUSABLE},
		{"max_lifetime", "-1", RULES_E_UNUSABLE},
		{"max_lifetime", "1h", RULES_E_UNUSABLE},
		{"max_lifetime", "", RULES_E_UNUSABLE},
		{"max_lifetime", "99999999999999999999", RULES_E_UNUSABLE},
		{"handler_names", "cashewd", 0},
		{"handler_names", "", RULES_E_UNUSABLE},
		{"handler_names", " ", RULES_E_UNUSABLE},
		{"handler_names", "a,", RULES_E_UNUSABLE},
		{"handler_names", ",a", RULES_E_UNUSABLE},
		{"handler_names", "a,,b", RULES_E_UNUSABLE},
		{"handler_names", "a b", RULES_E_UNUSABLE},
		{"handler_names", "a;b", RULES_E_UNUSABLE},
		{"handler_client_ids", "a", RULES_E_UNKNOWN},
		{"user_claim", "sub", RULES_E_UNKNOWN},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_rules rules = {.allow_unexpiring = false};
		told[0] = '\0';
		const int error = rules_option(&rules, cases[i].name, cases[i].value, keep);
		if (error != cases[i].error)
			fail_msg("%s %s: %d", cases[i].name, cases[i].value, error);
		if (error == RULES_E_UNUSABLE)
			assert_non_null(strstr(told, cases[i].name));
		rules_free(&rules);
	}
}

static void names(void **state)
{
	(void)state;
	static const struct {
		const char *value, *names;
	} cases[] = {{"cashewd", "cashewd"}, {"a,b", "a,b"}, {" a , b ,\tc ", "a,b,c"}};
	struct token_rules rules = {.allow_unexpiring = false};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(rules_option(&rules, "handler_names", cases[i].value, keep), 0);
		assert_string_equal(rules.handler_names, cases[i].names);
	}
	rules_free(&rules);
	rules_free(&rules);
	char *ids = strdup("cashewd");
	assert_int_equal(rules_names("handler_client_ids", " a, b", &ids, keep), 0);
	assert_string_equal(ids, "a,b");
	assert_int_equal(rules_names("handler_client_ids", "a b", &ids, keep), RULES_E_UNUSABLE);
	assert_non_null(strstr(told, "plugin_opt_handler_client_ids: expected names"));
	assert_string_equal(ids, "a,b");
	free(ids);
}

/* Those that may be given several times, each text as it stands. */
static void lists(void **state)
{
	(void)state;
	static const char *const names_of_lists[] = {"audience", "trust_audience", "authorized_party"};
	for (size_t i = 0; i < COUNT(names_of_lists); i++) {
		const char *name = names_of_lists[i];
		struct token_rules rules = {.allow_unexpiring = false};
		for (size_t j = 0; j < TOKEN_TEXTS_MAX; j++) {
			char value[32];
			snprintf(value, sizeof(value), "%s, %zu", name, j);
			assert_int_equal(rules_option(&rules, name, value, keep), 0);
		}
		assert_int_equal(rules_option(&rules, name, "one more", keep), RULES_E_UNUSABLE);
		assert_non_null(strstr(told, "expected no more than 16 of it"));
		const struct token_texts *const all[] = {&rules.audiences, &rules.trusted, &rules.parties};
		for (size_t j = 0; j < COUNT(all); j++)
			assert_int_equal(all[j]->count, i == j ? TOKEN_TEXTS_MAX : 0);
		char last[32];
		snprintf(last, sizeof(last), "%s, %d", name, TOKEN_TEXTS_MAX - 1);
		assert_string_equal(all[i]->texts[TOKEN_TEXTS_MAX - 1], last);
		rules_free(&rules);
		assert_int_equal(rules.audiences.count + rules.trusted.count + rules.parties.count, 0);
	}
}

static void together(void **state)
{
	(void)state;
	static const struct {
		struct token_rules rules;
		size_t files;
		int error;
		const char *told;
	} cases[] = {
		{{.allow_unexpiring = false}, 0, 0, ""},
		{{.allow_unexpiring = true}, 0, 0, "tokens without exp are accepted"},
		{{.allow_unexpiring = true, .lifetime_max_s = 1}, 0, RULES_E_UNUSABLE, "contradict"},
		{{.issuer = "i", .audiences = {1, {"a"}}}, 1, 0, ""},
		{{.issuer = "i"}, 1, RULES_E_UNUSABLE,
			"plugin_opt_issuer and plugin_opt_audience are needed"},
		{{.audiences = {1, {"a"}}}, 1, RULES_E_UNUSABLE,
			"plugin_opt_issuer and plugin_opt_audience are needed"},
		{{.issuer = "i"}, 0, 0, ""},
		{{.audiences = {1, {"a"}}, .trusted = {1, {"b"}}, .parties = {1, {"c"}}}, 0, 0, ""},
		{{.trusted = {1, {"b"}}}, 0, RULES_E_UNUSABLE, "plugin_opt_audience, which is missing"},
		{{.parties = {1, {"c"}}}, 0, RULES_E_UNUSABLE, "plugin_opt_audience, which is missing"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct keys_options keys = {.file_count = cases[i].files};
		told[0] = '\0';
		assert_int_equal(rules_check(&cases[i].rules, &keys, keep), cases[i].error);
		assert_non_null(strstr(told, cases[i].told));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(names),
		cmocka_unit_test(lists), cmocka_unit_test(together)};
	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
