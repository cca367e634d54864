/* test_topic.c - topic.c: user ids, event names, filters, what they match and where they overlap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "topic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEN	     "aaaaaaaaaa"
#define SIXTY_FOUR   TEN TEN TEN TEN TEN TEN "aaaa"

static void user_ids(void **state)
{
	(void)state;
	static const struct {
		const char *user;
		bool valid;
	} cases[] = {
		{"68946", true},
		{"a", true},
		{"auth0|5f-7.A_z", true},
		{SIXTY_FOUR, true},
		{"", false},
		{SIXTY_FOUR "a", false},
		{"a/b", false},
		{"+", false},
		{"#", false},
		{"$SYS", false},
		{"a b", false},
		{"a@b", false},
		{"a:b", false},
		{"a[", false},
		{"caf\xc3\xa9", false},
		{"a\n", false},
		{"a{", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_user_valid(cases[i].user, strlen(cases[i].user)) != cases[i].valid)
			fail_msg("user id '%s'", cases[i].user);
	assert_false(topic_user_valid("a\0b", 3));
	assert_true(topic_user_valid("ab/c", 2));
}

static void event_names(void **state)
{
	(void)state;
	static const struct {
		const char *event;
		bool valid;
	} cases[] = {
		{"got_apples", true},
		{"v2", true},
		{SIXTY_FOUR, true},
		{"", false},
		{SIXTY_FOUR "a", false},
		{"Got", false},
		{"a/b", false},
		{"+", false},
		{"#", false},
		{"a-b", false},
		{"a b", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_event_valid(cases[i].event) != cases[i].valid)
			fail_msg("event '%s'", cases[i].event);
}

static void first_levels(void **state)
{
	(void)state;
	static const struct {
		const char *topic;
		size_t size;
	} cases[] = {
		{"68946/get_apples", 5},
		{"68946/a/b", 5},
		{"68946//", 5},
		{SIXTY_FOUR "/x", 64},
		{"68946/", 0},
		{"68946", 0},
		{"/get_apples", 0},
		{"", 0},
		{"/", 0},
		{"$SYS/broker", 0},
		{"a b/get_apples", 0},
		{SIXTY_FOUR "a/x", 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_user_size(cases[i].topic) != cases[i].size)
			fail_msg("topic '%s': %zu", cases[i].topic, topic_user_size(cases[i].topic));
}

static void filters(void **state)
{
	(void)state;
	static const struct {
		const char *filter;
		bool valid;
	} cases[] = {
		{"+/get_apples", true},
		{"#", true},
		{"+", true},
		{"+/#", true},
		{"a/+/b/#", true},
		{"/", true},
		{"a//b", true},
		{"$SYS/#", true},
		{"", false},
		{"a+", false},
		{"+a/b", false},
		{"a/b+/c", false},
		{"a#", false},
		{"a/b#", false},
		{"#/a", false},
		{"+/#/a", false},
		{"#/", false},
		{"++", false},
		{"$share/group/+/get_apples", false},
		{"$share/", false},
		{"$share", false},
		{"$shared/#", true},
		{"+/$share/a", true},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_filter_valid(cases[i].filter) != cases[i].valid)
			fail_msg("filter '%s'", cases[i].filter);
	static char longest[65537];
	memset(longest, 'a', 65535);
	assert_true(topic_filter_valid(longest));
	longest[65535] = 'a';
	assert_false(topic_filter_valid(longest));
}

static void matches(void **state)
{
	(void)state;
	static const struct {
		const char *filter, *topic;
		bool matches;
	} cases[] = {
		{"+/get_apples", "68946/get_apples", true},
		{"+/get_apples", "68946/get_apples/now", false},
		{"+/get_apples", "68946/get_more_apples", false},
		{"+/get_apples", "68946/get_apple", false},
		{"+/get_apples", "68946", false},
		{"+/get_apples", "/get_apples", true},
		{"+/get_apples", "$SYS/get_apples", false},
		{"$SYS/get_apples", "$SYS/get_apples", true},
		{"#", "68946/get_apples", true},
		{"#", "a", true},
		{"#", "$SYS/a", false},
		{"+/#", "a/b/c", true},
		{"+/#", "a", true},
		{"+/#", "$SYS/a", false},
		{"a/#", "a", true},
		{"a/#", "a/", true},
		{"a/#", "ab", false},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+/c", "a/b/c", true},
		{"a/+/c", "a/b/d", false},
		{"a//c", "a//c", true},
		{"a//c", "a/b/c", false},
		{"a/$b/+", "a/$b/c", true},
		{"a/+", "a/$b", true},
		{"+", "", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_matches(cases[i].filter, cases[i].topic) != cases[i].matches)
			fail_msg("'%s' on '%s'", cases[i].filter, cases[i].topic);
}

static void overlaps(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool overlap;
	} cases[] = {
		{"+/#", "+/get_apples", true},
		{"+/get_apples", "+/get_apples", true},
		{"+/get_apples", "+/get_more_apples", false},
		{"+/get_apples", "+/get_apples/now", false},
		{"+/get_apples/#", "+/get_apples", true},
		{"+/get_apples/+", "+/get_apples", false},
		{"a/+", "+/b", true},
		{"a/+", "b/+", false},
		{"a/+/c", "+/b/+", true},
		{"a/+/c", "+/b/d", false},
		{"#", "a", true},
		{"#", "+/+/+", true},
		{"#", "#", true},
		{"+", "#", true},
		{"+", "+/+", false},
		{"a/#", "a", true},
		{"a/#", "+", true},
		{"a/#", "b/#", false},
		{"a/b/#", "a/+", true},
		{"$SYS/#", "#", false},
		{"$SYS/#", "+/#", false},
		{"$SYS/#", "$SYS/+", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/a", "+/a", false},
		{"a/$b", "a/+", true},
		{"/", "+/+", true},
		{"/", "+", false},
		{"a/", "a/+", true},
		{"ab", "a", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (topic_filters_overlap(cases[i].a, cases[i].b) != cases[i].overlap)
			fail_msg("'%s' and '%s'", cases[i].a, cases[i].b);
		if (topic_filters_overlap(cases[i].b, cases[i].a) != cases[i].overlap)
			fail_msg("'%s' and '%s', the other way round", cases[i].a, cases[i].b);
	}
}

/* Every pair of filters over a small alphabet against every topic: the overlap is exactly what the matches
 * say. */
static void overlaps_are_what_matches_say(void **state)
{
	(void)state;
	static const char *const filter_levels[] = {"a", "$b", "", "+", "#"}, *const topic_levels[] = {
										      "a", "$b", ""};
	char filters_made[200][16], topics[200][16];
	size_t filter_count = 0, topic_count = 0;
	for (size_t depth = 1, total = 5; depth <= 3; depth++, total *= 5) {
		for (size_t n = 0; n < total; n++) {
			char text[16] = "";
			for (size_t level = 0, rest = n; level < depth; level++, rest /= 5) {
				strcat(text, level ? "/" : "");
				strcat(text, filter_levels[rest % 5]);
			}
			if (topic_filter_valid(text))
				strcpy(filters_made[filter_count++], text);
		}
	}
	/* one level deeper than the filters, for what # matches */
	for (size_t depth = 1, total = 3; depth <= 4; depth++, total *= 3) {
		for (size_t n = 0; n < total; n++) {
			char text[16] = "";
			for (size_t level = 0, rest = n; level < depth; level++, rest /= 3) {
				strcat(text, level ? "/" : "");
				strcat(text, topic_levels[rest % 3]);
			}
			strcpy(topics[topic_count++], text);
		}
	}
	assert_in_range(filter_count, 90, 200);
	assert_int_equal(topic_count, 3 + 9 + 27 + 81);
	for (size_t a = 0; a < filter_count; a++) {
		for (size_t b = 0; b < filter_count; b++) {
			bool both = false;
			for (size_t t = 0; t < topic_count && !both; t++)
				both = topic_matches(filters_made[a], topics[t]) &&
				       topic_matches(filters_made[b], topics[t]);
			/* both match the empty topic, which MQTT does not allow: refusing the pair does no
			 * harm */
			const bool empty =
				strcmp(filters_made[a], "+") == 0 && strcmp(filters_made[b], "/#") == 0;
			const bool empty_too =
				strcmp(filters_made[b], "+") == 0 && strcmp(filters_made[a], "/#") == 0;
			if (!empty && !empty_too &&
				topic_filters_overlap(filters_made[a], filters_made[b]) != both)
				fail_msg(
					"'%s' and '%s': expected %d", filters_made[a], filters_made[b], both);
		}
	}
}

static void response_topics(void **state)
{
	(void)state;
	static const struct {
		const char *response, *user;
		bool allowed;
	} cases[] = {
		{"68946/answers", "68946", true},
		{"68946/answers/1", "68946", true},
		{"68946/", "68946", false},
		{"68946", "68946", false},
		{"6894/answers", "68946", false},
		{"689467/answers", "68946", false},
		{"23412/answers", "68946", false},
		{"68946/+", "68946", false},
		{"68946/a/#", "68946", false},
		{"68946/a+", "68946", false},
		{"", "68946", false},
		{"/68946/a", "68946", false},
		{"$share/68946/a", "68946", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (topic_response_allowed(cases[i].response, cases[i].user) != cases[i].allowed)
			fail_msg("'%s' of %s", cases[i].response, cases[i].user);
	static char longest[65537] = "68946/";
	memset(longest + 6, 'a', 65535 - 6);
	assert_true(topic_response_allowed(longest, "68946"));
	longest[65535] = 'a';
	assert_false(topic_response_allowed(longest, "68946"));
}

/* Nothing of it can fail for want of memory: it takes none. */
static int nothing_was_allocated(void **state)
{
	(void)state;
	return failing_malloc.calls == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_ids),
		cmocka_unit_test(event_names),
		cmocka_unit_test(first_levels),
		cmocka_unit_test(filters),
		cmocka_unit_test(matches),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(overlaps_are_what_matches_say),
		cmocka_unit_test(response_topics),
	};
	return cmocka_run_group_tests_name("topic", tests, NULL, nothing_was_allocated);
}
