/* test_copies.c - copies.c: the rule by name, case by case. Every interleaving: test_copies_interleavings.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "copies.h"
#include "copies_parts.h"

/* ---- The rule, case by case ---- */

enum { U = 5, V = 1024 + 5 /* the same bucket */ };

static char forgotten[64];

static void forget(void *owner, struct place *place)
{
	assert_ptr_equal(owner, forgotten);
	snprintf(
		forgotten + strlen(forgotten), sizeof(forgotten) - strlen(forgotten), "%c", (char)place->end);
	free(place);
}

/* A link ends with these places: a name, an identifier, u or v, a content: "a1uX b2vY". */
static void keep(const char *text)
{
	struct places places = {0};
	for (; *text != '\0'; text += text[4] == ' ' ? 5 : 4)
		places_append(&places,
			make(text[0], (uint16_t)(text[1] - '0'), text[2] == 'u' ? U : V, (uint64_t)text[3]));
	copies_keep(copies, &places);
	assert_null(places.first);
	assert_int_equal(places.count, 0);
}

/* A copy "1uX": the name of what it is a copy of, or 0. */
static char comes(const char *text)
{
	struct place *place =
		copies_take(copies, (uint16_t)(text[0] - '0'), text[1] == 'u' ? U : V, (uint64_t)text[2]);
	const char name = place ? (char)place->end : '-';
	if (place)
		assert_false(place->kept);
	free(place);
	return name;
}

/* Links are separated by "|", what is kept at the end of the first by ":"; what comes is a copy, "." is a PUBLISH without DUP. */
static void cases(void **state)
{
	(void)state;
	static const struct {
		const char *name, *kept, *come, *known, *forgotten;
	} table[] = {
		{"all come again", "a1uX b2uX c3vX", "1uX 2uX 3vX", "abc", ""},
		{"the first was released", "b2uX c3uX", "1uX 2uX 3uX", "---", "bc"},
		{"the first of u was released, v goes on", "b2uX c3vX d4uX e5vX", "1uX 2uX 3vX 4uX 5vX",
			"--c-e", "bd"},
		{"another content", "a1uX b2uX", "1uY 2uX", "--", "ab"},
		{"another user", "a1uX b2uX", "1vX 1uX 2uX", "-ab", ""},
		{"another identifier", "a1uX", "2uX 1uX", "--", "a"},
		{"equal contents", "a1uX b2uX c3uX", "1uX 2uX 3uX", "abc", ""},
		{"one identifier twice", "a1uX b1uX", "1uX 1uX 1uX", "ab-", ""},
		{"one that came already does not come again", "a1uX b2uX", "2uX 1uX 2uX", "b--", "a"},
		{"an end forgets", "a1uX b2vX", "1uX . 2vX", "a-", "b"},
		{"nothing is kept", "", "1uX 2vX", "--", ""},
		{"what waits behind the match stays", "a1uX b2uX c3uX", "1uX", "a", ""},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char known[16] = "";
		forgotten[0] = '\0';
		copies = copies_new(forget, forgotten);
		assert_non_null(copies);
		keep(table[i].kept);
		assert_int_equal(copies_any(copies), table[i].kept[0] != '\0');
		for (const char *at = table[i].come; *at != '\0';) {
			if (*at == '.') {
				copies_end(copies);
				assert_false(copies_any(copies));
				at += 2;
				continue;
			}
			known[strlen(known) + 1] = '\0', known[strlen(known)] = comes(at);
			at += at[3] == ' ' ? 4 : 3;
		}
		if (strcmp(known, table[i].known) != 0 || strcmp(forgotten, table[i].forgotten) != 0)
			fail_msg("%s: known %s, forgotten %s", table[i].name, known, forgotten);
		copies_free(copies);
	}
}

/* A link that ends in the middle: its places, then the rest. Those that were passed over are gone. */
static void a_link_ends_in_the_middle(void **state)
{
	(void)state;
	forgotten[0] = '\0';
	copies = copies_new(forget, forgotten);
	keep("a1uX b2vX c3uX d4vX");
	struct place *a = copies_take(copies, 1, U, 'X'), *c = copies_take(copies, 3, U, 'X');
	assert_true(a && c && a->end == 'a' && c->end == 'c');
	struct places places = {0};
	places_append(&places, a);
	places_append(&places, c);
	places_append(&places, make('e', 5, U, 'X'));
	copies_keep(copies, &places);
	assert_string_equal(forgotten, "b");
	assert_int_equal(comes("1uX"), 'a');
	assert_int_equal(comes("3uX"), 'c');
	assert_int_equal(comes("5uX"), 'e');
	assert_int_equal(comes("4vX"), 'd');
	assert_false(copies_any(copies));
	copies_free(copies);
}

/* Ends without anything having come, again and again. */
static void links_that_end_at_once(void **state)
{
	(void)state;
	forgotten[0] = '\0';
	copies = copies_new(forget, forgotten);
	keep("a1uX b2uX");
	keep(""), keep(""), keep("");
	assert_int_equal(comes("1uX"), 'a');
	keep("");
	assert_int_equal(comes("2uX"), 'b');
	keep("c3uX");
	copies_free(copies);
	assert_string_equal(forgotten, "c");
}

/* Ten thousand, all of one content and few identifiers: each is found, in order. */
static void ten_thousand(void **state)
{
	(void)state;
	struct places places = {0};
	forgotten[0] = '\0';
	copies = copies_new(forget, forgotten);
	for (unsigned i = 0; i < 10000; i++) {
		struct place *place = make('x', (uint16_t)(i * 7), i % 3, 1);
		place->arrived_us = i;
		places_append(&places, place);
	}
	copies_keep(copies, &places);
	for (unsigned i = 0; i < 10000; i++) {
		struct place *place = copies_take(copies, (uint16_t)(i * 7), i % 3, 1);
		assert_non_null(place);
		assert_int_equal(place->arrived_us, i);
		free(place);
	}
	assert_false(copies_any(copies));
	copies_free(copies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases),
		cmocka_unit_test(a_link_ends_in_the_middle),
		cmocka_unit_test(links_that_end_at_once),
		cmocka_unit_test(ten_thousand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
