/* test_database_name.c - database_name.c: which names a database may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "database_name.h"

static void names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool plain, reserved;
	} cases[] = {{"orchard", true, false}, {"", true, false}, {"a-b_c", true, false},
		{"a.b", false, false}, {"a b", false, false}, {"a/b", false, false}, {"a\\b", false, false},
		{"a\"b", false, false}, {"a$b", false, false}, {"a*b", false, false}, {"a<b", false, false},
		{"a>b", false, false}, {"a:b", false, false}, {"a|b", false, false}, {"a?b", false, false},
		{"admin", true, true}, {"local", true, true}, {"config", true, true}, {"Admin", true, false},
		{"admin2", true, false}, {"\xc3\xa4pfel", true, false}, {"\xe4pfel", false, false},
		{"\xc3", false, false}, {"\xed\xa0\x80", false, false}, {"\xff\xfe", false, false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (database_name_plain(cases[i].name) != cases[i].plain)
			fail_msg("\"%s\": plain", cases[i].name);
		if (database_name_reserved(cases[i].name) != cases[i].reserved)
			fail_msg("\"%s\": reserved", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names)};
	return cmocka_run_group_tests_name("database_name", tests, NULL, NULL);
}
