/* test_storing.c - storing.c: each kind does what its function of the store does, here and on the threads of a pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "fake_case.h"
#include "fake_store.h"
#include "storing.h"

static struct parked_command command_at(int64_t position)
{
	return (struct parked_command){.id = store_new_id(),
		.lane = "cashewd",
		.user = "1",
		.topic = "1/x",
		.position = position,
		.payload = "payload",
		.payload_size = 7,
		.end = "done",
		.handler = "",
		.reason = ""};
}

static struct storing storing_of(enum storing_kind kind)
{
	struct storing storing;
	storing_begin(&storing, kind, &store);
	assert_ptr_equal(storing.owner, &store);
	storing.lane = "cashewd";
	storing.user = "1";
	storing.lease = (struct backlog_lease){.owner = "me", .lease_ms = 20000};
	return storing;
}

static void run(struct storing *storing, int expected)
{
	storing_run(storing, client);
	assert_int_equal(storing->error, expected);
}

static void append(const struct parked_command *commands, size_t count, bool leased)
{
	const struct parked_command *pointers[8];
	for (size_t i = 0; i < count; i++)
		pointers[i] = &commands[i];
	struct storing storing = storing_of(STORING_APPEND);
	storing.commands = pointers;
	storing.count = count;
	storing.leased = leased;
	run(&storing, 0);
}

/* A backlog from its beginning to its end. */
static void test_backlog(void **state)
{
	(void)state;
	struct parked_command commands[] = {command_at(1), command_at(2), command_at(3)};
	append(commands, 3, true);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	assert_null(fake_store_backlog_owner(store, 1));

	struct storing claim = storing_of(STORING_CLAIM);
	run(&claim, 0);
	assert_int_equal(claim.batch.count, 3);
	assert_false(claim.batch.more);
	assert_memory_equal(claim.batch.commands[2]->payload, "payload", 8);
	parked_batch_free(&claim.batch);

	struct storing finish = storing_of(STORING_FINISH);
	finish.done = &commands[0].id;
	finish.count = 1;
	finish.next = &commands[1].id;
	finish.leased = true;
	run(&finish, 0);
	assert_int_equal(fake_store_parked(store), 2);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");

	struct storing renew = storing_of(STORING_RENEW);
	renew.next = &commands[1].id;
	run(&renew, 0);
	renew.lease.owner = "other";
	run(&renew, PARKED_E_LATER);

	struct storing postpone = storing_of(STORING_POSTPONE);
	commands[1].attempts = 3;
	commands[1].reason = "busy";
	postpone.first = &commands[1];
	postpone.delay_ms = 5000;
	run(&postpone, 0);
	assert_null(fake_store_backlog_owner(store, 0));
	assert_int_equal(fake_store_parked_command(store, 0)->attempts, 3);
	claim = storing_of(STORING_CLAIM);
	run(&claim, PARKED_E_LATER);
	assert_in_range(claim.batch.later_ms, 1, 5000);
	fake_store_pass(store, 5000);
	run(&claim, 0);
	assert_string_equal(claim.batch.commands[0]->reason, "busy");
	parked_batch_free(&claim.batch);

	struct storing release = storing_of(STORING_RELEASE);
	release.next = &commands[1].id;
	run(&release, 0);
	assert_null(fake_store_backlog_owner(store, 0));

	const struct store_id rest[] = {commands[1].id, commands[2].id};
	finish = storing_of(STORING_FINISH);
	finish.done = rest;
	finish.count = 2;
	run(&finish, 0);
	run(&finish, 0);
	claim = storing_of(STORING_CLAIM);
	run(&claim, PARKED_E_NONE);
}

/* What fails says so, and can be repeated. */
static void test_failures(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < STORING_KINDS; kind++) {
		const struct parked_command command = command_at(1);
		const struct parked_command *const commands[] = {&command};
		const struct dead_letter letter = {.id = store_new_id(),
			.topic = "1/x",
			.payload = "",
			.user = "1",
			.handler = "",
			.reason = "",
			.host = ""};
		print_message("  %s\n", storing_kind_name(kind));
		append(&command, 1, true);
		struct storing storing = storing_of(kind);
		storing.commands = commands;
		storing.count = 1;
		storing.done = storing.next = &command.id;
		storing.first = &command;
		storing.letter = &letter;
		fake_store_fail_next(store, STORE_E_AWAY, 1);
		run(&storing, STORE_E_AWAY);
		assert_null(storing.batch.commands);
		fake_store_lose_answer_at(store, 0);
		run(&storing, STORE_E_AWAY);
		assert_null(storing.batch.commands);
		run(&storing, 0);
		parked_batch_free(&storing.batch);
		storing = storing_of(STORING_FINISH);
		storing.done = &command.id;
		storing.count = 1;
		run(&storing, 0);
	}
	assert_int_equal(fake_store_dead_letters(store), 1);
}

/* It says which of them is refused. */
static void test_append_refused(void **state)
{
	(void)state;
	struct parked_command commands[] = {command_at(1), command_at(2), command_at(3)};
	const struct parked_command *const pointers[] = {&commands[0], &commands[1], &commands[2]};
	commands[1].payload_size = 16 * 1024 * 1024; /* looked at by its size alone */
	struct storing storing = storing_of(STORING_APPEND);
	storing.commands = pointers;
	storing.count = 3;
	run(&storing, STORE_E_PERMANENT);
	assert_int_equal(storing.failed, 1);
	assert_int_equal(fake_store_parked(store), 1);
}

/* What the database refuses as it is gets another chance without what a phone put into it. */
static void test_bury_refused(void **state)
{
	static const struct {
		const char *name;
		unsigned refusals;
		size_t letters;
		int error;
	} cases[] = {
		{"once", 1, 1, 0},
		{"twice", 2, 0, STORE_E_PERMANENT},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dead_letter letter = {.id = store_new_id(),
			.topic = "u/abc",
			.payload = "payload",
			.payload_size = 7,
			.correlation = "c",
			.correlation_size = 1,
			.response_topic = "u/answers",
			.user = "u",
			.handler = "a",
			.reason = "never",
			.attempts = 2,
			.host = "cashewd"};
		print_message("  %s\n", cases[i].name);
		struct storing storing = storing_of(STORING_BURY);
		storing.letter = &letter;
		fake_store_fail_next(store, STORE_E_PERMANENT, cases[i].refusals);
		run(&storing, cases[i].error);
		assert_int_equal(fake_store_dead_letters(store), cases[i].letters);
		if (cases[i].letters == 0)
			continue;
		const struct dead_letter *kept = fake_store_dead_letter(store, 0);
		assert_string_equal(kept->reason, "never");
		assert_int_equal(kept->payload_size, 0);
		assert_int_equal(kept->payload_cut_from, 7);
		assert_null(kept->correlation);
		assert_null(kept->response_topic);
		assert_int_equal(dead_letter_drop(client, &letter.id), 0);
	}
}

/* ---- Together ---- */

enum { USERS = 3 };

struct together {
	struct parked_command commands[USERS][2];
	const struct parked_command *pointers[USERS][2];
	struct storing storings[USERS];
	char names[USERS][8];
};

/* Two commands of each user. */
static void together_of(struct together *together, enum storing_kind kind)
{
	for (size_t i = 0; i < USERS; i++) {
		struct storing *storing = &together->storings[i];
		snprintf(together->names[i], sizeof(together->names[i]), "%zu", i + 1);
		if (kind == STORING_APPEND) {
			for (size_t j = 0; j < 2; j++) {
				together->commands[i][j] = command_at((int64_t)(2 * i + j + 1));
				together->commands[i][j].user = together->names[i];
				together->pointers[i][j] = &together->commands[i][j];
			}
		}
		*storing = storing_of(kind);
		storing->user = together->names[i];
		storing->commands = together->pointers[i];
		storing->done = &together->commands[i][0].id;
		storing->next = &together->commands[i][1].id;
		storing->leased = kind == STORING_FINISH;
		storing->count = kind == STORING_FINISH ? 1 : 2;
		if (i > 0) {
			assert_true(storing_joins(&together->storings[0], storing));
			together->storings[i - 1].job.next = &storing->job;
		}
	}
}

static void expect_errors(const struct together *together, int first, int second, int third)
{
	assert_int_equal(together->storings[0].error, first);
	assert_int_equal(together->storings[1].error, second);
	assert_int_equal(together->storings[2].error, third);
}

/* One operation for all of them. */
static void test_together(void **state)
{
	struct together together;
	(void)state;
	together_of(&together, STORING_APPEND);
	fake_store_fail_at(store, 1, STORE_E_AWAY); /* a second one would fail */
	storing_run(&together.storings[0], client);
	expect_errors(&together, 0, 0, 0);
	assert_int_equal(store_ping(client), STORE_E_AWAY);
	assert_int_equal(fake_store_parked(store), 2 * USERS);
	together_of(&together, STORING_FINISH);
	fake_store_fail_at(store, 1, STORE_E_AWAY);
	storing_run(&together.storings[0], client);
	expect_errors(&together, 0, 0, 0);
	assert_int_equal(store_ping(client), STORE_E_AWAY);
	assert_int_equal(fake_store_parked(store), USERS);
	for (size_t i = 0; i < USERS; i++)
		assert_string_equal(fake_store_backlog_owner(store, i), "me");
}

/* Where the store does not answer none is known to be done, and all are repeated; what is refused is one's own. */
static void test_together_fails(void **state)
{
	struct together together;
	(void)state;
	for (unsigned kind = STORING_APPEND; kind <= STORING_FINISH;
		kind += STORING_FINISH - STORING_APPEND) {
		together_of(&together, kind);
		fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
		storing_run(&together.storings[0], client);
		expect_errors(&together, STORE_E_TRANSIENT, STORE_E_TRANSIENT, STORE_E_TRANSIENT);
		fake_store_lose_answer_at(store, 0);
		storing_run(&together.storings[0], client);
		expect_errors(&together, STORE_E_AWAY, STORE_E_AWAY, STORE_E_AWAY);
		storing_run(&together.storings[0], client);
		expect_errors(&together, 0, 0, 0);
		assert_int_equal(fake_store_parked(store), kind == STORING_APPEND ? 2 * USERS : USERS);
	}
	together_of(&together, STORING_APPEND);
	together.commands[1][1].payload_size = 16 * 1024 * 1024; /* looked at by its size alone */
	storing_run(&together.storings[0], client);
	expect_errors(&together, 0, STORE_E_PERMANENT, 0);
	assert_int_equal(together.storings[1].failed, 1);
	assert_int_equal(fake_store_parked(store), USERS + 5);
}

static void test_joins(void **state)
{
	static const struct {
		const char *name;
		enum storing_kind first, other;
		size_t count;
		bool leased, alone, scheduled, joins;
	} cases[] = {
		{"appends", STORING_APPEND, STORING_APPEND, .count = 1, .joins = true},
		{"finishes", STORING_FINISH, STORING_FINISH, .count = 1, .leased = true, .joins = true},
		{"of one kind only", STORING_APPEND, STORING_FINISH, .count = 1},
		{"a claim has an answer of its own", STORING_CLAIM, STORING_CLAIM, .count = 1},
		{"nor does a lease that is kept", STORING_RENEW, STORING_RENEW, .count = 1},
		{"what steps aside takes a lease", STORING_APPEND, STORING_APPEND, .count = 1,
			.leased = true},
		{"what was too much before", STORING_FINISH, STORING_FINISH, .count = 1, .alone = true},
		{"a schedule's end", STORING_FINISH, STORING_FINISH, .count = 1, .scheduled = true},
		{"many", STORING_APPEND, STORING_APPEND, .count = 17},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct storing plain = storing_of(cases[i].first), other = storing_of(cases[i].other);
		print_message("  %s\n", cases[i].name);
		other.count = cases[i].count;
		other.leased = cases[i].leased;
		other.alone = cases[i].alone;
		other.schedule = cases[i].scheduled ? "hourly" : NULL;
		assert_int_equal(storing_joins(&plain, &other), cases[i].joins);
		assert_int_equal(storing_joins(&other, &plain), cases[i].joins);
	}
}

/* On a pool's threads, with clients of theirs. */
static void test_pool(void **state)
{
	enum { COUNT = 50 };
	(void)state;
	static struct parked_command commands[COUNT];
	const struct parked_command *pointers[COUNT];
	struct storing storings[COUNT];
	struct pool *pool = NULL;
	assert_int_equal(storing_pool_new(store, 2, &pool), 0);
	for (size_t i = 0; i < COUNT; i++) {
		commands[i] = command_at((int64_t)i + 1);
		pointers[i] = &commands[i];
		storings[i] = storing_of(STORING_APPEND);
		storings[i].commands = &pointers[i];
		storings[i].count = 1;
		pool_submit(pool, &storings[i].job);
	}
	pool_kick(pool);
	for (size_t collected = 0; collected < COUNT;) {
		struct pollfd ready = {.fd = pool_fd(pool), .events = POLLIN};
		const bool asleep = pool_sleep(pool);
		assert_return_code(poll(&ready, 1, asleep ? 60000 : 0), errno);
		pool_awake(pool, (ready.revents & POLLIN) != 0);
		for (const struct job *job = pool_collect(pool); job; job = job->next) {
			assert_int_equal(((const struct storing *)job)->error, 0);
			collected++;
		}
	}
	pool_free(pool);
	assert_int_equal(fake_store_parked(store), COUNT);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fake_case_begin, fake_case_end)

/* How far a schedule is comes first: should that fail, its run is still there. */
static void test_schedule(void **state)
{
	(void)state;
	const char *const name = "hourly";
	struct schedule_state before;
	struct parked_command command = command_at(1);
	command.user = "$schedule/hourly";
	assert_int_equal(schedule_found(client, name, 2000, 1000), 0);
	assert_int_equal(schedules_read(client, &name, 1, "me", &before), 0);
	assert_int_equal(schedule_begin(client, &(struct schedule_run){.name = name,
							.before = &before,
							.slot_ms = 3000,
							.since_ms = 2000,
							.id = command.id,
							.owner = "me"}),
		0);
	append(&command, 1, false);
	struct storing finish = storing_of(STORING_FINISH);
	finish.user = command.user;
	finish.done = &command.id;
	finish.count = 1;
	finish.schedule = name;
	finish.schedule_outcome = (struct schedule_outcome){.end = "dead", .events = 2, .ran_ms = 30};
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	run(&finish, STORE_E_TRANSIENT);
	assert_int_equal(fake_store_parked(store), 1);
	fake_store_fail_at(store, 1, STORE_E_AWAY);
	run(&finish, STORE_E_AWAY);
	assert_int_equal(fake_store_parked(store), 1);
	for (int i = 0; i < 2; i++) {
		run(&finish, 0);
		assert_int_equal(fake_store_parked(store), 0);
		assert_int_equal(schedules_read(client, &name, 1, "me", &before), 0);
		assert_false(before.open);
		assert_string_equal(before.end, "dead");
		assert_int_equal(before.events, 2);
		assert_int_equal(before.ran_ms, 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_backlog),
		WITH_STORE(test_failures),
		WITH_STORE(test_append_refused),
		WITH_STORE(test_bury_refused),
		WITH_STORE(test_schedule),
		WITH_STORE(test_together),
		WITH_STORE(test_together_fails),
		cmocka_unit_test(test_joins),
		WITH_STORE(test_pool),
	};
	return cmocka_run_group_tests_name("storing", tests, NULL, NULL);
}
