/* test_http_address.c - http_address.c: what METRICS_ADDR may be, and whose requests are this machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "http_address.h"
#include <string.h>

static void test_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *expected; /* NULL: refused; "off" */
		bool loopback;
	} cases[] = {
		{"127.0.0.1:9883", "127.0.0.1:9883", true},
		{"127.8.9.10:1", "127.8.9.10:1", true},
		{"localhost:9883", "127.0.0.1:9883", true},
		{"LocalHost:0", "127.0.0.1:0", true},
		{"0.0.0.0:65535", "0.0.0.0:65535", false},
		{"192.168.1.2:9883", "192.168.1.2:9883", false},
		{"[::1]:9883", "[::1]:9883", true},
		{"[::]:9883", "[::]:9883", false},
		{"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", true},
		{"[2001:db8::7]:80", "[2001:db8::7]:80", false},
		{"", "off", false},
		{"off", "off", false},
		{"OFF", "off", false},
		{"on", NULL, false},
		{"9883", NULL, false},
		{":9883", NULL, false},
		{"127.0.0.1", NULL, false},
		{"127.0.0.1:", NULL, false},
		{"127.0.0.1:65536", NULL, false},
		{"127.0.0.1:-1", NULL, false},
		{"127.0.0.1:+1", NULL, false},
		{"127.0.0.1: 1", NULL, false},
		{"127.0.0.1:1 ", NULL, false},
		{" 127.0.0.1:1", NULL, false},
		{"127.0.0.1:000009883", NULL, false},
		{"127.1:9883", NULL, false},
		{"127.0.0.256:9883", NULL, false},
		{"::1:9883", NULL, false},
		{"[::1]", NULL, false},
		{"[::1]9883", NULL, false},
		{"[]:9883", NULL, false},
		{"[", NULL, false},
		{"[:1", NULL, false},
		{"]:1", NULL, false},
		{"[127.0.0.1]:9883", NULL, false},
		{"[fe80::1%lo]:9883", NULL, false},
		{"metrics.example.com:9883", NULL, false},
		{"http://127.0.0.1:9883", NULL, false},
		{"127.0.0.1:9883/metrics", NULL, false},
		{"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:9883", NULL, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_address address = {.off = false};
		char text[HTTP_ADDRESS_TEXT_SIZE];
		print_message("  \"%s\"\n", cases[i].text);
		const int error = http_address_read(cases[i].text, &address);
		assert_int_equal(error, cases[i].expected ? 0 : HTTP_ADDRESS_E_BAD);
		if (error != 0)
			continue;
		assert_int_equal(address.off, cases[i].expected[0] == 'o');
		if (address.off)
			continue;
		http_address_write((const struct sockaddr *)&address.socket, text);
		assert_string_equal(text, cases[i].expected);
		assert_int_equal(http_address_is_loopback((const struct sockaddr *)&address.socket),
			cases[i].loopback);
	}
}

/* A name that somebody else has given to this machine's address is not local. */
static void test_host_header(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		bool local;
	} cases[] = {
		{"localhost", true},
		{"localhost:9883", true},
		{"127.0.0.1", true},
		{"127.0.0.1:9883", true},
		{"[::1]", true},
		{"[::1]:9883", true},
		{"", false},
		{"off", false},
		{"evil.example.com", false},
		{"evil.example.com:9883", false},
		{"localhost.evil.example.com", false},
		{"127.0.0.1.evil.example.com", false},
		{"192.168.1.2:9883", false},
		{"::1", false},
		{"a name that is longer than any address can be and is followed by a port:80", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  \"%s\"\n", cases[i].host);
		assert_int_equal(http_address_host_is_local(cases[i].host), cases[i].local);
	}
}

/* A name with a dot is ours only if we say so: it may be a stranger's, who lets it lead here. */
static void test_host_is_ours(void **state)
{
	(void)state;
	static const struct {
		const char *host, *names;
		bool ours;
	} cases[] = {
		{"127.0.0.1:9883", "", true},
		{"192.168.1.2:9883", "", true},
		{"192.168.1.2", "", true},
		{"[::1]", "", true},
		{"[fe80::1]:9883", "", true},
		{"localhost:9883", "", true},
		{"cashewd", "", true},
		{"cashewd_1:9883", "", true},
		{"evil.example.com", "", false},
		{"evil.example.com:9883", "", false},
		{"evil.", "", false},
		{"localhost.evil.example.com", "", false},
		{"127.0.0.1.evil.example.com", "", false},
		{"127.1", "", false},
		{"host1.example.com", "host1.example.com", true},
		{"HOST1.example.com:9883", "host2.example.com, host1.example.com", true},
		{"host1.example.com", "host1.example.com.evil, xhost1.example.com", false},
		{"host1.example", "host1.example.com", false},
		{"", "", false},
		{":9883", "", false},
		{"x:", "", false},
		{"x:y", "", false},
		{"x:1:2", "", false},
		{"::1", "", false},
		{"[::1", "", false},
		{"[x]", "", false},
		{"[::1]x", "", false},
		{"a b", "a b", false},
		{"x/y", "", false},
		{"\xc3\xa4", "", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  \"%s\" of \"%s\"\n", cases[i].host, cases[i].names);
		assert_int_equal(http_address_host_is_ours(cases[i].host, cases[i].names), cases[i].ours);
	}
	char longest[300];
	memset(longest, 'a', sizeof(longest));
	longest[253] = '\0';
	assert_true(http_address_host_is_ours(longest, ""));
	longest[253] = 'a';
	longest[254] = '\0';
	assert_false(http_address_host_is_ours(longest, ""));
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *names;
		bool plain;
	} cases[] = {
		{"", true},
		{"host1.example.com", true},
		{" a.b ,c.d,, ", true},
		{"http://a.b", false},
		{"a.b:9883", false},
		{"*.example.com", false},
		{"a.b;c.d", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  \"%s\"\n", cases[i].names);
		assert_int_equal(http_address_names_plain(cases[i].names), cases[i].plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_host_header),
		cmocka_unit_test(test_host_is_ours),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
