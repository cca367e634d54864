/* test_users.c - users.c: lines, turns, and a user's own time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "failing_malloc.h"
#include "users.h"

static struct users *users;

static int begin(void **state)
{
	(void)state;
	users = users_new();
	assert_non_null(users);
	return 0;
}

static int end(void **state)
{
	(void)state;
	users_free(users);
	return 0;
}

static struct user *get(const char *name)
{
	return users_get(users, users_key(name, strlen(name)), name, strlen(name));
}

static struct user *find(const char *name)
{
	return users_find(users, users_key(name, strlen(name)), name, strlen(name));
}

/* Commands by letter. */
static struct command commands[26];

static struct command *command_of(char name)
{
	return &commands[name - 'a'];
}

/* Capitals are from the store; `state` holds for all. */
static struct command *add(struct user *user, char name, enum command_state state)
{
	const bool stored = name < 'a';
	struct command *command = command_of((char)(name | 0x20));
	*command = (struct command){.origin = stored ? COMMAND_FROM_STORE : COMMAND_FROM_BROKER,
		.state = state,
		.input.payload_size = 1UL << ((name | 0x20) - 'a')};
	if (stored)
		user_insert(user, command);
	else
		user_append(user, command);
	return command;
}

/* The line, with what is through in brackets, must be consistent both ways. */
static void expect(const struct user *user, const char *line, char turn)
{
	char text[128] = "";
	size_t size = 0;
	unsigned waiting = 0;
	size_t waiting_bytes = 0;
	const struct command *before = NULL, *first_open = NULL;
	for (const struct command *command = user->first; command;
		before = command, command = command->user_next) {
		assert_ptr_equal(command->user_previous, before);
		assert_ptr_equal(command->user, user);
		const char name = (char)('a' + (command - commands));
		size += (size_t)snprintf(
			text + size, sizeof(text) - size, command->through ? "(%c)" : "%c", name);
		const bool waits = !command->through && command->origin != COMMAND_FROM_STORE;
		waiting += waits;
		waiting_bytes += waits ? command->input.payload_size : 0;
		if (!first_open && !command->through)
			first_open = command;
	}
	assert_ptr_equal(user->last, before);
	assert_string_equal(text, line);
	assert_ptr_equal(user->turn, first_open);
	assert_ptr_equal(user->turn, turn != '\0' ? command_of(turn) : NULL);
	assert_int_equal(user->waiting, waiting);
	assert_int_equal(user->waiting_bytes, waiting_bytes);
}

static void test_names(void **state)
{
	char long_name[200];
	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_null(find("a"));
	struct user *a = get("a"), *n = get(long_name);
	assert_ptr_equal(get("a"), a);
	assert_ptr_equal(find(long_name), n);
	assert_string_equal(n->name, long_name);
	/* Names that are beginnings of others, under one key. */
	struct user *ab = users_get(users, a->key, "ab", 2);
	assert_ptr_not_equal(ab, a);
	assert_ptr_equal(users_get(users, a->key, "ab", 2), ab);
	assert_ptr_equal(users_find(users, a->key, "abc", 2), ab);
	assert_null(users_find(users, a->key, "abc", 3));
	assert_ptr_equal(users_find(users, a->key, "a", 1), a);
	assert_int_not_equal(users_key("", 0), 0);
}

static void test_line(void **state)
{
	(void)state;
	struct user *user = get("u");
	expect(user, "", '\0');
	add(user, 'a', COMMAND_WAITING);
	add(user, 'b', COMMAND_WAITING);
	add(user, 'c', COMMAND_WAITING);
	expect(user, "abc", 'a');
	user_through(user, command_of('b')); /* out of turn: rejected before it ran */
	expect(user, "a(b)c", 'a');
	user_through(user, command_of('b'));
	expect(user, "a(b)c", 'a');
	user_through(user, command_of('a'));
	expect(user, "(a)(b)c", 'c');
	user_remove(user, command_of('b'));
	expect(user, "(a)c", 'c');
	user_remove(user, command_of('c')); /* without having been through */
	expect(user, "(a)", '\0');
	add(user, 'd', COMMAND_WAITING);
	expect(user, "(a)d", 'd');
	user_remove(user, command_of('a'));
	user_remove(user, command_of('d'));
	expect(user, "", '\0');
	assert_null(command_of('a')->user);
}

/* What is from the store was earlier than what waits; what has begun keeps its turn. */
static void test_insert(void **state)
{
	static const struct {
		const char *name;
		enum command_state first, second;
		bool first_through;
		const char *line;
		char turn;
	} cases[] = {
		{"before those that wait", COMMAND_WAITING, COMMAND_WAITING, false, "xyab", 'x'},
		{"behind one that runs", COMMAND_RUNNING, COMMAND_WAITING, false, "axyb", 'a'},
		{"behind one that is tried again", COMMAND_RETRYING, COMMAND_WAITING, false, "axyb", 'a'},
		{"behind one that is through", COMMAND_COMMITTING, COMMAND_WAITING, true, "(a)xyb", 'x'},
		{"behind those that are being stored", COMMAND_STORING, COMMAND_STORING, false, "abxy", 'a'},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin(state);
		struct user *user = get("u");
		struct command *a = add(user, 'a', cases[i].first);
		add(user, 'b', cases[i].second);
		if (cases[i].first_through)
			user_through(user, a);
		add(user, 'X', COMMAND_WAITING);
		add(user, 'Y', COMMAND_WAITING);
		expect(user, cases[i].line, cases[i].turn);
		end(state);
	}
	begin(state);
	struct user *user = get("u");
	add(user, 'X', COMMAND_WAITING); /* nobody else is there */
	add(user, 'Y', COMMAND_WAITING);
	expect(user, "xy", 'x');
	end(state);
}

static void test_stored(void **state)
{
	(void)state;
	struct user *user = get("u");
	struct command *a = add(user, 'a', COMMAND_RUNNING);
	add(user, 'b', COMMAND_WAITING);
	user_stored(user, a);
	assert_int_equal(a->origin, COMMAND_FROM_STORE);
	expect(user, "ab", 'a');
	user_through(user, a);
	expect(user, "(a)b", 'b');
	struct command *b = command_of('b');
	user_through(user, b);
	user_stored(user, b); /* it is through, and waits for its deletion */
	expect(user, "(a)(b)", '\0');
}

/* Only what the one whose turn it is runs, or waits to be tried again. */
static void test_active(void **state)
{
	(void)state;
	struct user *user = get("u");
	assert_int_equal(user_active_us(user, 1000000), 0);
	struct command *a = add(user, 'a', COMMAND_RUNNING);
	struct command *b = add(user, 'b', COMMAND_RUNNING);
	assert_int_equal(user_active_us(user, 5000000), 0); /* no worker has it */
	atomic_store(&b->begun_us, 1000000);
	assert_int_equal(user_active_us(user, 5000000), 0); /* not its turn */
	atomic_store(&a->begun_us, 5000000);
	assert_int_equal(user_active_us(user, 5300000), 300000);
	assert_int_equal(user_active_us(user, 4900000), 0); /* it has begun after this turn of the loop */
	atomic_store(&a->waits.total_us, 120000);
	assert_int_equal(user_active_us(user, 5300000), 180000); /* it has waited for the store */
	atomic_store(&a->waits.since_us, 5250000);
	assert_int_equal(user_active_us(user, 5300000), 130000); /* and does so again */
	assert_int_equal(user_active_us(user, 7000000), 880000); /* a second counts */
	atomic_store(&a->waits.since_us, 0);
	atomic_store(&a->waits.total_us, 0);
	user->active_us = 1000000;
	assert_int_equal(user_active_us(user, 5300000), 1300000);
	a->state = COMMAND_RETRYING;
	a->retry_since_ms = 5400;
	a->retry_at_ms = 5600;
	assert_int_equal(user_active_us(user, 5500000), 1100000);
	a->retry_at_ms = INT64_MAX; /* until the store answers */
	assert_int_equal(user_active_us(user, 5500000), 1000000);
	a->state = COMMAND_COMMITTING;
	assert_int_equal(user_active_us(user, 5500000), 1000000);
}

static void visit_and_drop(void *context, struct user *user)
{
	++*(unsigned *)context;
	users_drop_idle(user);
}

static void test_drop_idle(void **state)
{
	enum { COUNT = 5000 };
	(void)state;
	struct user *user = get("u");
	add(user, 'a', COMMAND_WAITING);
	users_drop_idle(user);
	assert_ptr_equal(find("u"), user);
	user_remove(user, command_of('a'));
	user->in_turn = true;
	users_drop_idle(user);
	assert_ptr_equal(find("u"), user);
	user->in_turn = false;
	struct backlog *backlog = (struct backlog *)&commands[0]; /* not looked at */
	user->backlog = backlog;
	users_drop_idle(user);
	assert_ptr_equal(find("u"), user);
	user->backlog = NULL;
	user->active_us = 77;
	users_drop_idle(user);
	assert_null(find("u"));
	assert_int_equal(get("u")->active_us, 0); /* nothing is left of it */
	users_drop_idle(find("u"));
	/* Many, of all lengths, some of whose keys meet; each is visited once, and may go meanwhile. */
	for (unsigned round = 0; round < 3; round++) {
		char name[100];
		for (unsigned i = 0; i < COUNT; i++) {
			snprintf(name, sizeof(name), "%0*u", 1 + (int)(i % 90), i);
			get(name);
		}
		unsigned visited = 0;
		users_each(users, visit_and_drop, &visited);
		assert_int_equal(visited, COUNT);
		visited = 0;
		users_each(users, visit_and_drop, &visited);
		assert_int_equal(visited, 0);
	}
}

static void test_no_memory(void **state)
{
	(void)state;
	failing_malloc_start(1, true);
	struct users *none = users_new();
	struct user *user = get("u");
	assert_true(failing_malloc_stop());
	assert_null(none);
	assert_null(user);
	assert_null(find("u"));
	assert_non_null(get("u"));
	users_free(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_line),
		cmocka_unit_test(test_insert),
		TEST(test_stored),
		TEST(test_active),
		TEST(test_drop_idle),
		TEST(test_no_memory),
	};
	return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
