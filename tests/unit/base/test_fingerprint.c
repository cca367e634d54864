/* test_fingerprint.c - fingerprint.c: which commands are told apart, and that what is in the database stays valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "fingerprint.h"
#include <stdio.h>
#include <string.h>

static void fingerprints(void **state)
{
	static const struct {
		const char *topic, *payload, *correlation;
	} commands[] = {
		{"1/ping", "", NULL},
		{"1/ping", "", ""},
		{"1/ping", "1", NULL},
		{"1/ping", "2", NULL},
		{"1/ping", "", "1"},
		{"1/pin", "g", NULL},
		{"1/ping1", "", NULL},
		{"2/ping", "1", NULL},
		{"1/ping", "12345678", NULL},
		{"1/ping", "123456781", NULL},
		{"1/ping", "1234567812345678", NULL},
		{"1/ping", "12345678", "12345678"},
		{"1/ping", "{\"n\":1}", NULL},
		{"1/ping", "{\"n\":2}", NULL},
	};
	enum { COUNT = sizeof(commands) / sizeof(commands[0]) };
	uint64_t keys[COUNT];
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		const char *correlation = commands[i].correlation;
		keys[i] = fingerprint(commands[i].topic, commands[i].payload, strlen(commands[i].payload),
			correlation, correlation ? strlen(correlation) : 0);
		assert_int_not_equal(keys[i], 0);
		for (size_t k = 0; k < i; k++)
			if (keys[i] == keys[k])
				fail_msg("commands %zu and %zu have the same key", k, i);
	}
	/* It is kept in the database, so it must not change from one build to the next. */
	assert_int_equal(fingerprint("68946/get_apples", "{}", 2, NULL, 0), UINT64_C(0x57fb48b8a1e6f997));
}

static void fingerprints_of_neighbours_scatter(void **state)
{
	(void)state;
	unsigned char seen[1 << 14] = {0};
	unsigned collisions = 0;
	char payload[16];
	for (int i = 0; i < 4096; i++) {
		const int size = snprintf(payload, sizeof(payload), "%d", i);
		unsigned char *place = &seen[fingerprint("1/ping", payload, (size_t)size, NULL, 0) >> 50];
		collisions += *place;
		*place = 1;
	}
	/* 4096 balls into 16384 places: some 470 land on another. */
	assert_in_range(collisions, 350, 600);
}

static void texts_scatter(void **state)
{
	(void)state;
	/* The published values of FNV-1a, folded. */
	static const struct {
		const char *text;
		uint64_t hash;
	} cases[] = {{"", UINT64_C(0xcbf29ce484222325)}, {"a", UINT64_C(0xaf63dc4c8601ec8c)},
		{"foobar", UINT64_C(0x85944171f73967e8)}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(fingerprint_text(cases[i].text, strlen(cases[i].text)) ==
			    (cases[i].hash ^ (cases[i].hash >> 32)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fingerprints),
		cmocka_unit_test(fingerprints_of_neighbours_scatter),
		cmocka_unit_test(texts_scatter),
	};
	return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
