/* test_provider_address.c - provider_address.c: which issuers are taken, and where their discovery documents are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "provider_address.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BEHIND	     "/.well-known/openid-configuration"

static void issuers(void **state)
{
	(void)state;
	static const struct {
		const char *issuer, *oddity; /* NULL: none */
	} cases[] = {
		{"https://example.eu.auth0.com/", NULL},
		{"https://keycloak.example:8443/realms/a%20b", NULL},
		{"https://[::1]:8443", NULL},
		{"https://example.com/a@b", NULL},
		{"http://example.com", "https://"},
		{"HTTPS://example.com", "https://"},
		{"example.com", "https://"},
		{"file:///etc/passwd", "https://"},
		{"", "https://"},
		{"https://", "no host"},
		{"https:///realms/a", "no host"},
		{"https://:8443", "no host"},
		{"https://?a", "no host"},
		{"https://user:secret@example.com", "user name"},
		{"https://example.com/?a=b", "query"},
		{"https://example.com/#a", "fragment"},
		{"https://example.com/a b", "character"},
		{"https://example.com/\n", "character"},
		{"https://example.com/\xc3\xbc", "character"},
		{"https://example.com\\@evil.example", "character"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *oddity = provider_address_issuer_oddity(cases[i].issuer);
		if (!oddity != !cases[i].oddity || (oddity && !strstr(oddity, cases[i].oddity)))
			fail_msg("\"%s\": %s", cases[i].issuer, oddity ? oddity : "fine");
	}
	/* Where keys are there may be a query. */
	assert_null(provider_address_oddity("https://example.com/keys?p=b2c"));
}

static void length(void **state)
{
	(void)state;
	char issuer[PROVIDER_ADDRESS_MAX + 2];
	memset(issuer, 'a', sizeof(issuer));
	memcpy(issuer, "https://", 8);
	issuer[PROVIDER_ADDRESS_MAX + 1] = '\0';
	assert_non_null(provider_address_issuer_oddity(issuer));
	issuer[PROVIDER_ADDRESS_MAX] = '\0';
	assert_null(provider_address_issuer_oddity(issuer));
	char address[PROVIDER_ADDRESS_DISCOVERY_SIZE];
	provider_address_discovery(issuer, address);
	assert_int_equal(strlen(address), PROVIDER_ADDRESS_MAX + strlen(BEHIND));
}

static void discovery(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"https://example.com", "https://example.com" BEHIND},
		{"https://example.com/", "https://example.com" BEHIND},
		{"https://example.com/realms/a", "https://example.com/realms/a" BEHIND},
		{"https://example.com/realms/a/", "https://example.com/realms/a" BEHIND},
		{"https://example.com//", "https://example.com/" BEHIND},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char address[PROVIDER_ADDRESS_DISCOVERY_SIZE];
		provider_address_discovery(cases[i][0], address);
		assert_string_equal(address, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issuers),
		cmocka_unit_test(length),
		cmocka_unit_test(discovery),
	};
	return cmocka_run_group_tests_name("provider_address", tests, NULL, NULL);
}
