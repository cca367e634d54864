/* Tests of settings_secrets.c: which secrets stand in settings and in an environment. */
#include "settings_outcome.h"

static char found[1024];
static unsigned visits, fails_at; /* 0: never */

static int collect(const char *secret)
{
	if (++visits == fails_at)
		return -EIO;
	const size_t size = strlen(found);
	snprintf(found + size, sizeof(found) - size, "%s|", secret);
	return 0;
}

static void begin(unsigned fail)
{
	found[0] = '\0';
	visits = 0;
	fails_at = fail;
}

static void test_of_settings(void **state)
{
	(void)state;
	static const struct {
		const char *url, *expected;
	} cases[] = {
		{"mongodb://h:27017/?w=1", ""},
		{"mongodb://user@h/", ""},
		{"mongodb://user:p%40ss@h1,h2/db?a=b&c=d", "p%40ss|"},
		{"mongodb://user:p@ss/w?rd@h/", "p@ss/w?rd|"},
		{"mongodb+srv://user:@h", "|"},
		{"mongodb://h/?tls=true&tlsCertificateKeyFilePassword=hunter2&w=1", "hunter2|"},
		{"mongodb://u:p@h/?authMechanismProperties=SERVICE_NAME:mongodb,AWS_SESSION_TOKEN:hunter2&w=1",
			"p|hunter2|"},
		{"mongodb://h/?authMechanismProperties=SERVICE_NAME:mongodb", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got = read_with(ENOUGH
			"JWT_HANDLER_SECRET=fedcba9876543210fedcba9876543210\nLOGGLY_TOKEN=l0g\nAPPLES_KEY=0rchard\n",
			no_environment, own_handlers);
		assert_int_equal(got.result, 0);
		got.settings.mongo_db_url = cases[i].url;
		char expected[256];
		snprintf(expected, sizeof(expected),
			"0123456789abcdef0123456789abcdef|fedcba9876543210fedcba9876543210|l0g|0rchard|%s",
			cases[i].expected);
		begin(0);
		assert_int_equal(settings_secrets(&got.settings, collect), 0);
		assert_string_equal(found, expected);
		for (unsigned fail = 1, all = visits; fail <= all; fail++) {
			begin(fail);
			assert_int_equal(settings_secrets(&got.settings, collect), -EIO);
			assert_int_equal(visits, fail);
		}
	}
}

/* The password as it is meant, and what the proxy gets. */
static void test_of_broker_proxy(void **state)
{
	(void)state;
	static const struct {
		const char *url, *expected;
	} cases[] = {
		{"http://proxy:3128", ""},
		{"http://Aladdin:open%20sesame@proxy:3128", "open sesame|QWxhZGRpbjpvcGVuIHNlc2FtZQ==|"},
		{"http://u:bad/one@proxy:3128", ""}, /* never in settings that were read */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(ENOUGH, no_environment, plain_handlers);
		got.settings.broker_proxy = cases[i].url;
		begin(0);
		assert_int_equal(settings_secrets(&got.settings, collect), 0);
		const char *last = found + strlen(found) - strlen(cases[i].expected);
		assert_string_equal(last, cases[i].expected);
		for (unsigned fail = 1, all = visits; fail <= all; fail++) {
			begin(fail);
			assert_int_equal(settings_secrets(&got.settings, collect), -EIO);
			assert_int_equal(visits, fail);
		}
	}
}

static void test_of_proxies(void **state)
{
	(void)state;
	static const struct {
		const char *variable, *expected;
	} cases[] = {
		{"https_proxy=http://svc:S3same#1@proxy.example:3128", "svc:S3same#1|S3same#1|"},
		{"HTTPS_PROXY=svc:pass@word@proxy", "svc:pass@word|pass@word|"},
		{"all_proxy=socks5h://user@proxy/", ""},
		{"all_proxy=socks5h://ghp_a1b2@proxy/", "ghp_a1b2|"},
		{"Some_Proxy=http://a:b@c", "a:b|b|"},
		{"https_proxy=http://proxy.example:3128", ""},
		{"https_proxy=", ""},
		{"no_proxy=localhost,@", "localhost,|"},
		{"https_proxy", ""},
		{"proxy=http://a:b@c", ""},
		{"BROKER_PROXY=http://a:b@c", ""}, /* is a setting */
		{"https_proxy_user=http://a:b@c", ""},
		{"a_name_that_is_much_too_long_to_be_one_of_a_proxy=http://a:b@c", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char variable[128], path[] = "PATH=/a:b@c";
		snprintf(variable, sizeof(variable), "%s", cases[i].variable);
		begin(0);
		assert_int_equal(settings_proxy_secrets((char *[]){path, variable, NULL}, collect), 0);
		assert_string_equal(found, cases[i].expected);
		begin(1);
		assert_int_equal(settings_proxy_secrets((char *[]){path, variable, NULL}, collect),
			cases[i].expected[0] != '\0' ? -EIO : 0);
	}
	begin(0);
	assert_int_equal(settings_proxy_secrets(NULL, collect), 0);
	assert_int_equal(visits, 0);
}

static void test_names_of_proxies(void **state)
{
	(void)state;
	static const char *const names[] = {"http_proxy", "HTTPS_PROXY", "All_Proxy", "no_proxy"},
				 *const others[] = {"PROXY", "MY_PROXY", "https_proxy_", "_proxy", ""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(settings_is_proxy(names[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(settings_is_proxy(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_settings),
		cmocka_unit_test(test_of_broker_proxy),
		cmocka_unit_test(test_of_proxies),
		cmocka_unit_test(test_names_of_proxies),
	};
	return cmocka_run_group_tests_name("settings_secrets", tests, NULL, NULL);
}
