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

CASHEW_COLLECTION(apple, "apples", (user, user_id, .key = true), (integer, count));
CASHEW_COLLECTION(pear, "pears", (user, user_id, .key = true), (integer, count));
CASHEW_COLLECTION(letter, "dead_letters", (user, user_id, .key = true), (integer, count));
CASHEW_COLLECTION(appl, "appl", (user, user_id, .key = true), (integer, count));

static const struct cashew_handler nothing, apples = {.collections = CASHEW_COLLECTIONS(apple)},
					    only_reads = {.reads = CASHEW_COLLECTIONS(apple)},
					    both = {.collections = CASHEW_COLLECTIONS(apple, pear)},
					    letters = {.reads = CASHEW_COLLECTIONS(letter)},
					    beginning = {.collections = CASHEW_COLLECTIONS(appl, apple)},
					    reads = {.reads = CASHEW_COLLECTIONS(apple, pear)},
					    writes = {.collections = CASHEW_COLLECTIONS(pear)};

static void test_needs(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const struct cashew_handler *first, *second;
		const char *expected;
	} cases[] = {
		{"none", &nothing, &nothing, OWN},
		{"one", &apples, &nothing, OWN "apples "},
		{"only read", &only_reads, &nothing, OWN "apples:read "},
		{"two handlers", &apples, &writes, OWN "apples pears "},
		{"each once", &both, &apples, OWN "apples pears "},
		{"one that another handler writes", &only_reads, &apples, OWN "apples "},
		{"the other way round", &apples, &only_reads, OWN "apples "},
		{"several, of which one is written", &reads, &writes, OWN "apples:read pears "},
		{"the host's own", &letters, &nothing, OWN},
		{"a name's beginning", &beginning, &nothing, OWN "appl apples "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cashew_handler *const handlers[] = {cases[i].first, cases[i].second, NULL};
		struct collections collections;
		char text[1024];
		print_message("  %s\n", cases[i].name);
		collections_of(handlers, &collections);
		write(&collections, text, sizeof(text));
		assert_string_equal(text, cases[i].expected);
	}
}

/* Those that run by the clock need one more of the host's own. */
static void test_schedules(void **state)
{
	(void)state;
	const struct cashew_handler hourly = {.scheduled = true, .every_s = 3600};
	const struct cashew_handler *const handlers[] = {&apples, &hourly, &hourly, NULL};
	struct collections collections;
	char text[1024];
	collections_of(handlers, &collections);
	write(&collections, text, sizeof(text));
	assert_string_equal(text, OWN "apples schedules ");
}

/* More than there is room for; a name that is too long. */
static void test_many(void **state)
{
	(void)state;
	enum { COUNT = 2 * COLLECTIONS_MAX };
	static char names[COUNT][16], too_long[COLLECTIONS_NAME_SIZE + 1];
	static struct cashew_collection many[COUNT];
	static const struct cashew_collection *list[COUNT + 1];
	memset(too_long, 'c', sizeof(too_long) - 1);
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "c%d", i);
		many[i].name = i == 0 ? too_long : names[i];
		list[i] = &many[i];
	}
	const struct cashew_handler handler = {.collections = list};
	struct collections collections;
	collections_of((const struct cashew_handler *const[]){&handler, NULL}, &collections);
	assert_int_equal(collections.count, COLLECTIONS_MAX);
	assert_string_equal(collections.needs[3].name, "c1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests_name("collections", tests, NULL, NULL);
}
