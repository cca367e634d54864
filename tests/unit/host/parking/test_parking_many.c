/* test_parking_many.c - parking.c: thousands of backlogs, as many as may be claimed at once, and no memory for a job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "failing_malloc.h"
#include "fake_store.h"
#include "parking.h"
#include "parking_parts.h"
#include "parking_private.h"
#include "place.h"
#include "record.h"
#include "users.h"

/* ---- Many ---- */

static void test_many_due(void **state)
{
	enum { USERS = 100, AT_ONCE = CLAIMED_MAX };
	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		fill(name, 1);
		find(name);
	}
	parking_serve(parking, false, now_ms += PARKING_WALK_MS);
	assert_int_equal(queued, 0); /* not while it may not */
	serve(0);
	assert_int_equal(queued, AT_ONCE);
	work_all();
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	unsigned finished = 0;
	for (unsigned turns = 0; parking->backlogs && turns < USERS; turns++) {
		for (struct backlog *backlog = parking->backlogs; backlog; backlog = backlog->next) {
			if (!backlog->memory.first)
				continue;
			done(backlog->memory.first);
			finished++;
		}
		work_all();
		serve(PARKING_WALK_MS);
		work_all();
		assert_true(parking->claimed <= AT_ONCE);
	}
	assert_int_equal(finished, USERS);
	assert_int_equal(fake_store_parked(store), 0);
}

/* As many as may be claimed at once have stepped aside, and twice as many: the others are claimed all the same. */
static void test_many_aside(void **state)
{
	enum { ASIDE = 128, USERS = 70, AT_ONCE = CLAIMED_MAX };
	(void)state;
	struct command *slow[ASIDE];
	for (unsigned i = 0; i < ASIDE; i++) {
		char name[8];
		snprintf(name, sizeof(name), "s%u", i);
		slow[i] = step_aside(user_of(name), "slow");
	}
	work_all();
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		fill(name, 1);
		find(name);
	}
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, AT_ONCE);
	assert_int_equal(parking->claimed, ASIDE + AT_ONCE);
	work_all();
	/* What was behind one that had stepped aside is claimed, and counts like any other. */
	store_one(slow[0]->user, "b", 0, true);
	work_all();
	done(slow[0]);
	work_all();
	assert_int_equal(parking->counted, AT_ONCE + 1);
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	for (unsigned i = 1; i < ASIDE; i++)
		done(slow[i]);
	work_all();
	for (unsigned turns = 0; parking->backlogs && turns < 10; turns++) {
		for (struct backlog *backlog = parking->backlogs; backlog; backlog = backlog->next)
			if (backlog->memory.first)
				done(backlog->memory.first);
		work_all();
		serve(PARKING_WALK_MS);
		work_all();
	}
	assert_null(parking->backlogs);
	assert_int_equal(parking->claimed, 0);
	assert_int_equal(parking->counted, 0);
}

/* Ten thousand that rest are not looked at in each turn. */
static void test_many_rest(void **state)
{
	enum { USERS = 10000, REST_MS = 60000 };
	(void)state;
	struct backlog *one = NULL;
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		one = backlog_of(user_of(name));
		parking_found(parking, one, now_ms + REST_MS);
	}
	const int64_t due_ms = now_ms + REST_MS;
	serve(PARKING_WALK_MS);
	assert_int_equal(parking_due_ms(parking), due_ms);
	one->due_ms = now_ms; /* behind its back: a walk would find it */
	for (unsigned i = 0; i < 1000; i++)
		serve(1);
	assert_false(one->in_line);
	assert_int_equal(queued, 0);
	assert_int_equal(parking_due_ms(parking), due_ms);
	now_ms = due_ms;
	parking_serve(parking, false, now_ms);
	assert_true(one->in_line);
}

/* ---- No memory ---- */

/* A job that could not be made is made by the next walk. */
static void test_no_memory(void **state)
{
	static const enum storing_kind kinds[] = {STORING_APPEND, STORING_CLAIM, STORING_FINISH,
		STORING_POSTPONE, STORING_RENEW, STORING_RELEASE};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const enum storing_kind kind = kinds[i];
		print_message("  %s\n", storing_kind_name(kind));
		const struct routes routes = {0};
		struct user *user = user_of("u");
		struct command *command = kind == STORING_APPEND ? new_command(user, "1", 0, false) : NULL;
		struct backlog *backlog = backlog_of(user);
		if (kind != STORING_APPEND) {
			fill("u", 2);
			parking_found(parking, backlog, now_ms);
		}
		if (kind != STORING_APPEND && kind != STORING_CLAIM) {
			serve(PARKING_WALK_MS);
			work(STORING_CLAIM);
			command = backlog->memory.first;
		}
		if (kind == STORING_FINISH) {
			done(command);
			now_ms += PARKING_FINISH_MS;
		} else if (kind == STORING_POSTPONE) {
			assert_true(record_make(command, &routes, &(struct record_terms){.delay_ms = 1000}));
			command->state = COMMAND_STORING;
		} else if (kind == STORING_RENEW) {
			now_ms += PARKING_LEASE_MS / 2;
		}
		failing_malloc_start(1, true);
		if (kind == STORING_APPEND)
			parking_store(parking, backlog, command);
		else if (kind == STORING_POSTPONE)
			parking_postpone(parking, command, 1000);
		else if (kind == STORING_RELEASE)
			parking_stop(parking);
		serve(PARKING_WALK_MS);
		serve(PARKING_WALK_MS);
		assert_true(failing_malloc_stop());
		assert_int_equal(queued, 0);
		assert_true(parking_due_ms(parking) <= now_ms + PARKING_WALK_MS);
		forget_told();
		serve(PARKING_WALK_MS);
		work(kind);
		expect(outcomes[kind].after);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* No backlog, no dead letter; no memory for what was read: it is read once more. */
static void test_no_memory_elsewhere(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct command *command = new_command(user, "x", 0, false);
	const struct dead_letter letter = {.id = store_new_id()};
	failing_malloc_start(1, true);
	assert_null(parking_backlog(parking, user, NULL, "lane", false));
	assert_int_not_equal(parking_bury(parking, command, &letter), 0);
	failing_malloc_stop();
	assert_null(user->backlog);
	let_go(command);
	no_memory_for_commands = true;
	struct backlog *backlog = claim("u", 2);
	expect(". ");
	no_memory_for_commands = false;
	work(STORING_CLAIM);
	expect("<1 <2 . ");
	assert_int_equal(backlog->memory.count, 2);
	clean_up();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_due),
		TEST(test_many_aside),
		TEST(test_many_rest),
		TEST(test_no_memory),
		TEST(test_no_memory_elsewhere),
	};
	return cmocka_run_group_tests_name("parking_many", tests, NULL, NULL);
}
