/* test_collections.c - collections.c: what a host needs of the database, by its handlers' descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashew.h"
#include "collections.h"
#include <stdio.h>
#include <string.h>

static void write(const struct collections *collections, char *ret, size_t room)
{
	size_t used = 0;
	for (size_t i = 0; i < collections->count; i++)
		used += (size_t)snprintf(ret + used, room - used, "%s%s ", collections->needs[i].name,
			collections->needs[i].writes ? "" : ":read");
	ret[used] = '\0';
}

#define OWN "hosts dead_letters parked_commands "

static void test_needs(void **state)
{
	(void)state;
	static const struct {
		const char *name, *first, *second, *expected;
	} cases[] = {
		{"none", NULL, NULL, OWN},
		{"an empty text", "", " , ", OWN},
		{"one", "contacts", NULL, OWN "contacts "},
		{"two handlers", "contacts,\tcontact_requests", "apples:read",
			OWN "contacts contact_requests apples:read "},
		{"each once", "contacts, contacts", "contacts", OWN "contacts "},
		{"one that another handler writes", "apples:read", "apples", OWN "apples "},
		{"the other way round", "apples", "apples:read", OWN "apples "},
		{"the host's own", "dead_letters:read", NULL, OWN},
		{"a word that is none counts as writing", "apples:write,a:reading", NULL, OWN "apples a "},
		{"a name's beginning", "contact, contacts", NULL, OWN "contact contacts "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cashew_handler first = {.collections = cases[i].first},
					    second = {.collections = cases[i].second};
		const struct cashew_handler *const handlers[] = {&first, &second, NULL};
		struct collections collections;
		char text[1024];
		print_message("  %s\n", cases[i].name);
		collections_of(handlers, &collections);
		write(&collections, text, sizeof(text));
		assert_string_equal(text, cases[i].expected);
	}
}

/* More than there is room for; a name that is too long. */
static void test_many(void **state)
{
	(void)state;
	char list[COLLECTIONS_NAME_SIZE + 2000];
	struct collections collections;
	size_t used = (size_t)snprintf(list, sizeof(list), "%0*d,", COLLECTIONS_NAME_SIZE, 1);
	for (int i = 0; i < 2 * COLLECTIONS_MAX; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "c%d,", i);
	const struct cashew_handler handler = {.collections = list};
	collections_of((const struct cashew_handler *const[]){&handler, NULL}, &collections);
	assert_int_equal(collections.count, COLLECTIONS_MAX);
	assert_string_equal(collections.needs[3].name, "c0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests_name("collections", tests, NULL, NULL);
}
