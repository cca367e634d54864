/*
 * letters_contract.c - what store.h promises of dead letters, as cases that the stand-in and the real store
 * both pass.
 *
 * Every case begins with an empty, prepared store and a client of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "opened.h"
#include "parked_commands.h"
#include "replays.h"
#include <cmocka.h>
#include <string.h>

/* The database's. */
static int64_t now_ms(void)
{
	return store_now_ms(store);
}

static struct dead_letter sample(const char *user, const char *handler)
{
	struct dead_letter letter = {
		.topic = "1/request_contact",
		.payload = "{\"contact_id\":\"2\"}",
		.payload_size = 18,
		.correlation = "\0\xff",
		.correlation_size = 2,
		.response_topic = "1/answers",
		.user = user,
		.handler = handler,
		.reason = "it said so",
		.attempts = 3,
		.crashes = 2,
		.host = "cashewd",
		.keep_days = 90,
	};

	letter.id = store_new_id();
	return letter;
}

/* No two in the same millisecond, so that their order is known. */
static void add(const struct dead_letter *letter)
{
	const int64_t start = now_ms();

	assert_int_equal(dead_letter_add(client, letter), 0);
	while (now_ms() == start)
		;
}

/* ---- lists ---- */

enum { LETTERS_MAX = 400 };

struct letters {
	struct store_id ids[LETTERS_MAX];
	int64_t when_ms[LETTERS_MAX];
	size_t payload_sizes[LETTERS_MAX];
	size_t count;
	size_t stop_after; /* 0: never */
};

static bool note(const struct dead_letter *letter, void *context)
{
	struct letters *letters = context;

	assert_true(letters->count < LETTERS_MAX);
	letters->ids[letters->count] = letter->id;
	letters->when_ms[letters->count] = letter->when_ms;
	letters->payload_sizes[letters->count] = letter->payload_size;
	letters->count++;
	return letters->count != letters->stop_after;
}

/* In memory that lives until the next call. */
static struct letters *list(const struct dead_letter_query *query, size_t stop_after)
{
	static struct letters letters;

	letters.count = 0;
	letters.stop_after = stop_after;
	assert_int_equal(dead_letter_list(client, query, note, &letters), 0);
	return &letters;
}

/* ---- get ---- */

static void test_comes_back_as_it_was(void **state)
{
	struct dead_letter cases[3] = {sample("1", "h"), sample("1", "h"), sample("1", "h")}, *found;

	(void)state;
	cases[1] = (struct dead_letter){.topic = "x", .user = "", .handler = "", .reason = "", .host = ""};
	cases[1].id = store_new_id();
	cases[2].payload_size = 4;
	cases[2].payload_cut_from = 18;
	cases[2].correlation_size = 0;
	for (size_t i = 0; i < 3; i++) {
		const struct dead_letter *letter = &cases[i];
		const int64_t before = now_ms();

		add(letter);
		assert_int_equal(dead_letter_get(client, &letter->id, &found), 0);
		assert_memory_equal(&found->id, &letter->id, sizeof(found->id));
		assert_string_equal(found->topic, letter->topic);
		assert_int_equal(found->payload_size, letter->payload_size);
		if (letter->payload)
			assert_memory_equal(found->payload, letter->payload, letter->payload_size);
		assert_int_equal(found->payload_cut_from, letter->payload_cut_from);
		assert_int_equal(found->correlation == NULL, letter->correlation == NULL);
		assert_int_equal(found->correlation_size, letter->correlation_size);
		if (letter->correlation_size > 0)
			assert_memory_equal(
				found->correlation, letter->correlation, letter->correlation_size);
		if (letter->response_topic)
			assert_string_equal(found->response_topic, letter->response_topic);
		else
			assert_null(found->response_topic);
		assert_string_equal(found->user, letter->user);
		assert_string_equal(found->handler, letter->handler);
		assert_string_equal(found->reason, letter->reason);
		assert_int_equal(found->attempts, letter->attempts);
		assert_int_equal(found->crashes, letter->crashes);
		assert_string_equal(found->host, letter->host);
		assert_in_range(found->when_ms, before, now_ms());
		assert_int_equal(found->expires_ms,
			letter->keep_days > 0 ? found->when_ms + INT64_C(90) * 24 * 3600 * 1000 : 0);
		dead_letter_free(found);
	}
	dead_letter_free(NULL);
	cases[0].id = store_new_id();
	found = NULL;
	assert_int_equal(dead_letter_get(client, &cases[0].id, &found), STORE_E_NOT_FOUND);
	assert_null(found);
}

/* ---- list, count, drop_all ---- */

/* Of whom the letters of a case are: user, handler. */
static const char *const given[][2] = {
	{"1", "a"}, {"2", "a"}, {"1", "b"}, {"", ""}, {"2", "b"}, {"1", "a"}, {"3", "c"}};
enum { GIVEN = sizeof(given) / sizeof(given[0]) };

static struct dead_letter given_letters[GIVEN];
static int64_t given_when[GIVEN];

static void add_given(void)
{
	const struct letters *letters;

	for (size_t i = 0; i < GIVEN; i++) {
		given_letters[i] = sample(given[i][0], given[i][1]);
		add(&given_letters[i]);
	}
	letters = list(&(struct dead_letter_query){.oldest_first = true}, 0);
	assert_int_equal(letters->count, GIVEN);
	memcpy(given_when, letters->when_ms, sizeof(given_when));
}

static const struct {
	const char *name;
	struct dead_letter_query query;
	int since, until; /* the letter with that number; -1: none */
	const char *expected;
} queries[] = {
	{"all", {0}, -1, -1, "6543210"},
	{"oldest first", {.oldest_first = true}, -1, -1, "0123456"},
	{"a user", {.user = "1"}, -1, -1, "520"},
	{"a handler", {.handler = "a"}, -1, -1, "510"},
	{"both", {.user = "1", .handler = "a", .oldest_first = true}, -1, -1, "05"},
	{"no user", {.user = ""}, -1, -1, "3"},
	{"no handler", {.handler = ""}, -1, -1, "3"},
	{"an unknown user", {.user = "4"}, -1, -1, ""},
	{"since", {.oldest_first = true}, 4, -1, "456"},
	{"until", {.oldest_first = true}, -1, 2, "012"},
	{"from to", {0}, 2, 4, "432"},
	{"a user's since", {.user = "1"}, 1, -1, "52"},
	{"a handler's until", {.handler = "a"}, -1, 4, "10"},
};
enum { QUERIES = sizeof(queries) / sizeof(queries[0]) };

static struct dead_letter_query query_of(size_t i)
{
	struct dead_letter_query query = queries[i].query;

	query.since_ms = queries[i].since >= 0 ? given_when[queries[i].since] : 0;
	query.until_ms = queries[i].until >= 0 ? given_when[queries[i].until] : 0;
	return query;
}

static void assert_letters(const struct letters *letters, const char *expected)
{
	assert_int_equal(letters->count, strlen(expected));
	for (size_t i = 0; i < letters->count; i++)
		assert_memory_equal(
			&letters->ids[i], &given_letters[expected[i] - '0'].id, sizeof(letters->ids[i]));
}

static void test_list(void **state)
{
	(void)state;
	assert_int_equal(list(&(struct dead_letter_query){0}, 0)->count, 0);
	add_given();
	for (size_t i = 0; i < QUERIES; i++) {
		struct dead_letter_query query = query_of(i);
		const size_t count = strlen(queries[i].expected);
		char first_two[3] = "";
		uint64_t counted;

		print_message("  %s\n", queries[i].name);
		assert_letters(list(&query, 0), queries[i].expected);
		assert_int_equal(dead_letter_count(client, &query, &counted), 0);
		assert_int_equal(counted, count);
		query.limit = 2;
		memcpy(first_two, queries[i].expected, count < 2 ? count : 2);
		assert_letters(list(&query, 0), first_two);
	}
	assert_int_equal(list(&(struct dead_letter_query){0}, 3)->count, 3);
}

static void test_list_without_payloads(void **state)
{
	struct dead_letter letter = sample("1", "h");
	struct dead_letter_query query = {0};

	(void)state;
	add(&letter);
	assert_int_equal(list(&query, 0)->payload_sizes[0], 18);
	query.no_payload = true;
	assert_int_equal(list(&query, 0)->payload_sizes[0], 0);
}

/* More than a server sends in its first batch (101), and in the order that they came, also those of the same
 * millisecond. */
static void test_many_letters(void **state)
{
	static struct store_id ids[250];
	const struct letters *letters;

	(void)state;
	for (int i = 0; i < 250; i++) {
		const struct dead_letter letter = sample("1", "h");

		ids[i] = letter.id;
		assert_int_equal(dead_letter_add(client, &letter), 0);
	}
	letters = list(&(struct dead_letter_query){.oldest_first = true}, 0);
	assert_int_equal(letters->count, 250);
	for (int i = 0; i < 250; i++)
		assert_memory_equal(&letters->ids[i], &ids[i], sizeof(ids[i]));
}

static void test_drop_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < QUERIES; i++) {
		struct dead_letter_query query, all = {0};
		uint64_t dropped = 99, left;

		print_message("  %s\n", queries[i].name);
		(void)close_store(NULL);
		assert_int_equal(open_store(NULL), 0);
		add_given();
		query = query_of(i);
		assert_int_equal(dead_letter_drop_all(client, &query, &dropped), 0);
		assert_int_equal(dropped, strlen(queries[i].expected));
		assert_int_equal(dead_letter_count(client, &query, &left), 0);
		assert_int_equal(left, 0);
		assert_int_equal(dead_letter_count(client, &all, &left), 0);
		assert_int_equal(left, GIVEN - dropped);
	}
}

static void test_drop(void **state)
{
	(void)state;
	add_given();
	assert_int_equal(dead_letter_drop(client, &given_letters[2].id), 0);
	assert_int_equal(dead_letter_drop(client, &given_letters[2].id), STORE_E_NOT_FOUND);
	assert_letters(list(&(struct dead_letter_query){.oldest_first = true}, 0), "013456");
}

/* ---- replay ---- */

static const struct backlog_lease lease = {"owner", 20000};

static struct parked_command *claim(void)
{
	struct parked_batch batch;

	assert_int_equal(parked_commands_claim(client, "cashewd", "1", &lease, 0, 0, &batch), 0);
	assert_int_equal(batch.count, 1);
	struct parked_command *command = batch.commands[0];
	batch.commands[0] = NULL;
	parked_batch_free(&batch);
	return command;
}

static void finish(const struct parked_command *command)
{
	struct parked_batch batch;

	assert_int_equal(parked_commands_finish(client,
				 &(struct parked_finish){.user = "1", .done = &command->id, .count = 1}, 1),
		0);
	assert_int_equal(parked_commands_claim(client, "cashewd", "1", &lease, 0, 0, &batch), PARKED_E_NONE);
}

static void test_replay(void **state)
{
	struct dead_letter letter = sample("1", "h");
	struct parked_user *users;
	size_t count;

	(void)state;
	add(&letter);
	const int64_t position = store_now_us(store);
	assert_int_equal(replay_dead_letter(client, &letter, "cashewd", position), 0);
	assert_int_equal(backend_dead_letters(store), 0);
	/* A host that runs is told of it. */
	assert_int_equal(parked_commands_due(client, NULL, 0, 0, 10, &users, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(users[0].user, "1");
	parked_users_free(users, count);
	struct parked_command *found = claim();
	assert_string_equal(found->topic, letter.topic);
	assert_string_equal(found->lane, "cashewd");
	assert_int_equal(found->position, position);
	assert_int_equal(found->payload_size, letter.payload_size);
	assert_memory_equal(found->payload, letter.payload, letter.payload_size);
	assert_int_equal(found->correlation_size, 2);
	assert_memory_equal(found->correlation, letter.correlation, 2);
	assert_string_equal(found->response_topic, "1/answers");
	assert_int_equal(found->attempts, 0);
	assert_int_equal(found->crashes, 0);
	assert_true(found->replayed);
	assert_int_equal(found->settled_count, 0);
	assert_string_equal(found->end, "done");
	finish(found);
	parked_command_free(found);
}

/* What a crash between the two halves of a replay leaves, and what two who replay at once do. */
static void test_replay_twice_is_once(void **state)
{
	struct dead_letter letter = sample("1", "h");

	(void)state;
	add(&letter);
	assert_int_equal(replay_dead_letter(client, &letter, "cashewd", 1000), 0);
	assert_int_equal(dead_letter_add(client, &letter), 0);
	assert_int_equal(replay_dead_letter(client, &letter, "cashewd", 1001), 0);
	assert_int_equal(replay_dead_letter(client, &letter, "cashewd", 1002), 0);
	assert_int_equal(backend_dead_letters(store), 0);
	struct parked_command *found = claim();
	assert_int_equal(found->position, 1000);
	finish(found);
	parked_command_free(found);
}

/* A command that dies again under its own id can be replayed time and again. */
static void test_replay_of_a_replay(void **state)
{
	struct dead_letter letter = sample("1", "h");

	(void)state;
	for (int i = 0; i < 4; i++) {
		add(&letter);
		assert_int_equal(replay_dead_letter(client, &letter, "cashewd", 1000 + i), 0);
		struct parked_command *found = claim();
		assert_memory_not_equal(&found->id, &letter.id, sizeof(letter.id));
		finish(found);
		letter.id = found->id;
		parked_command_free(found);
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_comes_back_as_it_was),
		CASE(test_list),
		CASE(test_list_without_payloads),
		CASE(test_many_letters),
		CASE(test_drop_all),
		CASE(test_drop),
		CASE(test_replay),
		CASE(test_replay_twice_is_once),
		CASE(test_replay_of_a_replay),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
