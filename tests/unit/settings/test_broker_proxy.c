/* test_broker_proxy.c - broker_proxy.c: what BROKER_PROXY may be, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "broker_proxy.h"

static void test_good(void **state)
{
	(void)state;
	static const struct {
		const char *url, *host;
		unsigned port;
		const char *password, *basic;
	} cases[] = {
		{"http://proxy.example.com:3128", "proxy.example.com", 3128, "", ""},
		{"HTTP://10.0.0.1:1", "10.0.0.1", 1, "", ""},
		{"http://[2001:db8::1]:65535", "2001:db8::1", 65535, "", ""},
		/* RFC 7617, section 2 */
		{"http://Aladdin:open%20sesame@proxy:8080", "proxy", 8080, "open sesame",
			"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		{"http://test:123%C2%A3@p:1", "p", 1, "123\xc2\xa3", "dGVzdDoxMjPCow=="},
		{"http://u:%3a%2F%3f%23%5B%5d%40%25@[::1]:3128", "::1", 3128, ":/?#[]@%", "dTo6Lz8jW11AJQ=="},
		{"http://u:a:b&c=$d;e@p:1", "p", 1, "a:b&c=$d;e", "dTphOmImYz0kZDtl"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct broker_proxy proxy;
		const char *problem = broker_proxy_read(cases[i].url, &proxy);
		if (problem)
			fail_msg("%s: expected %s", cases[i].url, problem);
		assert_string_equal(proxy.host, cases[i].host);
		assert_int_equal(proxy.port, cases[i].port);
		assert_string_equal(proxy.password, cases[i].password);
		assert_string_equal(proxy.basic, cases[i].basic);
		broker_proxy_clear(&proxy);
		assert_string_equal(proxy.password, "");
		assert_string_equal(proxy.basic, "");
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const struct {
		const char *url, *expected;
	} cases[] = {
		{"proxy:3128", "another kind"},
		{"https://proxy:3128", "another kind"},
		{"socks5://u:hunter2@proxy:3128", "another kind"},
		{"http:/proxy:3128", "another kind"},
		{"", "another kind"},
		{"http://", "the host is"},
		{"http://:3128", "the host is"},
		{"http://u:hunter2@:3128", "the host is"},
		{"http://pro xy:3128", "the host is"},
		{"http://pr\303\266xy:3128", "the host is"},
		{"http://::1:3128", "the host is"},
		{"http://[::1:3128", "the host is"},
		{"http://[proxy]:3128", "the host is"},
		{"http://[127.0.0.1]:3128", "the host is"},
		{"http://[::1%25eth0]:3128", "the host is"},
		{"http://proxy", "the port is"},
		{"http://proxy:", "the port is"},
		{"http://[::1]", "the port is"},
		{"http://proxy:0", "the port is"},
		{"http://proxy:65536", "the port is"},
		{"http://proxy:99999999999", "the port is"},
		{"http://proxy:+1", "the port is"},
		{"http://proxy:3128/", "the port is"},
		{"http://proxy:3128?a=b", "the port is"},
		{"http://proxy/a", "the port is"},
		{"http://u:hunter2@proxy", "the port is"},
		{"http://user@proxy:3128", "neither user"},
		{"http://@proxy:3128", "neither user"},
		{"http://:hunter2@proxy:3128", "neither user"},
		{"http://user:@proxy:3128", "neither user"},
		{"http://us%3Aer:hunter2@proxy:3128", "neither user"},
		{"http://u:hunter@2@proxy:3128", "neither user"},
		{"http://u:hunter/2@proxy:3128", "neither user"},
		{"http://u:hunter#2@proxy:3128", "neither user"},
		{"http://u:hunter 2@proxy:3128", "neither user"},
		{"http://u:hunter%@proxy:3128", "neither user"},
		{"http://u:hunter%2@proxy:3128", "neither user"},
		{"http://u:hunter%2g@proxy:3128", "neither user"},
		{"http://u:hunter%002@proxy:3128", "neither user"},
		{"http://u:hunter%0d%0aX:y@proxy:3128", "neither user"},
		{"http://u:hunter%7f@proxy:3128", "neither user"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct broker_proxy proxy;
		const char *problem = broker_proxy_read(cases[i].url, &proxy);
		if (!problem || !strstr(problem, cases[i].expected))
			fail_msg("%s: %s", cases[i].url, problem ? problem : "nothing is wrong with it");
		assert_null(strstr(problem, "hunter"));
		assert_string_equal(proxy.password, "");
	}
}

/* As long as can be, and longer. */
static void test_long(void **state)
{
	(void)state;
	char url[BROKER_PROXY_URL_MAX + 2], host[400];
	struct broker_proxy proxy;
	const size_t size = (size_t)snprintf(url, sizeof(url), "http://u:");
	static const char end[] = "@h:1";
	memset(url + size, 'x', sizeof(url) - size);
	memcpy(url + BROKER_PROXY_URL_MAX - strlen(end), end, sizeof(end));
	assert_null(broker_proxy_read(url, &proxy));
	assert_int_equal(strlen(proxy.password), BROKER_PROXY_URL_MAX - size - strlen(end));
	assert_in_range(strlen(proxy.basic), 2700, BROKER_PROXY_BASIC_SIZE - 1);
	url[BROKER_PROXY_URL_MAX - strlen(end)] = 'x';
	memcpy(url + BROKER_PROXY_URL_MAX + 1 - strlen(end), end, sizeof(end));
	assert_non_null(broker_proxy_read(url, &proxy));
	memset(host, 'x', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	for (size_t i = 0; i <= 1; i++) {
		snprintf(url, sizeof(url), "http://%.*s:1", (int)(BROKER_NAME_SIZE - 1 + i), host);
		assert_int_equal(broker_proxy_read(url, &proxy) != NULL, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_long)};
	return cmocka_run_group_tests_name("broker_proxy", tests, NULL, NULL);
}
