/* test_parking_standby.c - parking.c: what is dropped, and what is not, when this host is no longer the active one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "fake_store.h"
#include "parking.h"
#include "parking_parts.h"
#include "parking_private.h"
#include "place.h"
#include "record.h"
#include "users.h"

/* ---- Standby ---- */

/* Nothing of the user is known any more. */
static void expect_nothing_left(void)
{
	assert_null(parking->backlogs);
	assert_true(parking_idle(parking));
	assert_int_equal(parking_claimed_count(parking), 0);
	assert_int_equal(parking->counted, 0);
}

/* Of what is told when a backlog is dropped with a job of that kind under way: what has not begun goes at once, .. */
static const char *const dropped_at_once[STORING_KINDS] = {
	[STORING_FINISH] = ">2 ",
	[STORING_POSTPONE] = ">2 ",
	[STORING_RENEW] = ">1 >2 ",
};

static void test_drop_all(void **state)
{
	/* .. and the rest when it comes back. */
	static const char *const then[STORING_KINDS] = {
		[STORING_CLAIM] = "over:u ",
		[STORING_FINISH] = "-1 over:u ",
		[STORING_POSTPONE] = ">1 over:u ",
		[STORING_RENEW] = "over:u ",
		[STORING_RELEASE] = "over:u ",
	};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_BURY; kind++) {
		print_message("  %s\n", storing_kind_name(kind));
		until(kind);
		expect(outcomes[kind].before);
		parking_drop_all(parking);
		expect(dropped_at_once[kind] ? dropped_at_once[kind] : "");
		work(kind);
		if (kind == STORING_APPEND) {
			/* It was written: it stays known. */
			expect("+1 ");
			assert_int_equal(user_of("u")->backlog->state, BACKLOG_RESTING);
		} else {
			expect(then[kind]);
			expect_nothing_left();
		}
		end(NULL);
		begin(NULL);
	}
}

/* What was not answered before another host may have taken over is not done after that, neither when the store answers again nor after a pause. It
 * comes back before (it waits to be repeated), or after. */
static void test_drop_unanswered(void **state)
{
	static const char *const forgotten[STORING_KINDS] = {
		[STORING_APPEND] = ">1 ",
		[STORING_CLAIM] = "over:u ",
		[STORING_FINISH] = ">1 >2 over:u ",
		[STORING_POSTPONE] = ">1 >2 over:u ",
		[STORING_RENEW] = ">1 >2 over:u ",
		[STORING_RELEASE] = "over:u ",
	};
	static const struct {
		const char *name;
		int error; /* 0: it is done, and the answer is lost */
		bool late; /* it comes back when all has been dropped */
	} cases[] = {{"away", STORE_E_AWAY, false}, {"answer lost", 0, false},
		{"cannot now", STORE_E_TRANSIENT, false}, {"away, late", STORE_E_AWAY, true},
		{"answer lost, late", 0, true}, {"cannot now, late", STORE_E_TRANSIENT, true}};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_BURY; kind++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			print_message("  %s, %s\n", storing_kind_name(kind), cases[i].name);
			until(kind);
			expect(outcomes[kind].before);
			if (cases[i].late) {
				parking_drop_all(parking);
				if (dropped_at_once[kind])
					assert_string_equal(told, dropped_at_once[kind]);
			}
			if (cases[i].error != 0)
				fake_store_fail_next(store, cases[i].error, 1);
			else
				fake_store_lose_answer_at(store, 0);
			work(kind);
			const bool away = cases[i].error != STORE_E_TRANSIENT;
			if (!cases[i].late) {
				expect(away ? "away " : "");
				parking_drop_all(parking);
				expect(forgotten[kind]);
			}
			parking_serve(parking, false, now_ms += 2000);
			parking_store_back(parking);
			assert_int_equal(queued, 0);
			assert_true(parking_idle(parking));
			forget_told();
			if (kind == STORING_APPEND) {
				/* It is looked whether it was written, before anything else of the user. */
				assert_non_null(user_of("u")->backlog);
				serve(PARKING_WALK_MS);
				work(STORING_CLAIM);
				expect(cases[i].error == 0 ? "<1 . " : "over:u ");
				if (cases[i].error == 0)
					clean_up();
			} else {
				expect_nothing_left();
			}
			end(NULL);
			begin(NULL);
		}
	}
}

/* A dead letter is nobody's backlog. */
static void test_drop_bury(void **state)
{
	(void)state;
	until(STORING_BURY);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_BURY);
	expect("away ");
	parking_drop_all(parking);
	parking_store_back(parking);
	work(STORING_BURY);
	expect("buried:x:0 ");
	assert_int_equal(fake_store_dead_letters(store), 1);
}

/* What waits to be written is the broker's; what comes when this host is active again is written as ever. */
static void test_drop_to_store(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	parking_drop_all(parking);
	expect(">b >c ");
	store_one(user, "d", 0, true);
	work(STORING_APPEND);
	expect("+a ");
	work_followers();
	expect("+d ");
	assert_int_equal(fake_store_parked(store), 2);
	clean_up();
}

/* Idle ones go at once; what runs goes on without its document. */
static void test_drop_idle(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 2);
	expect("<1 <2 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	find("v");
	parking_drop_all(parking);
	assert_true(strcmp(told, "over:v >1 >2 over:u ") == 0 || strcmp(told, ">1 >2 over:u over:v ") == 0);
	assert_null(first->backlog);
	assert_null(first->user->backlog);
	let_go(first);
	assert_true(parking_idle(parking));
}

/* One that steps aside meanwhile is no longer in memory of a backlog that is gone. */
static void test_drop_stepping(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	parking_drop_all(parking);
	expect("");
	work(STORING_APPEND);
	expect("+slow >slow ");
	assert_null(slow->backlog);
	assert_int_equal(parking_claimed_count(parking), 0);
	let_go(slow);
}

/* One whose document has not been answered runs on, and has none. */
static void test_drop_stepping_unanswered(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	store_one(slow->user, "b", 0, true);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	expect("away ");
	parking_drop_all(parking);
	expect("!slow >b ");
	parking_store_back(parking);
	assert_int_equal(queued, 0);
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("over:u ");
	expect_nothing_left();
}

/* This host is active again before the job has come back: what was found then is not forgotten. */
static void test_drop_and_found(void **state)
{
	static const enum storing_kind kinds[] = {
		STORING_CLAIM, STORING_FINISH, STORING_POSTPONE, STORING_RENEW};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		print_message("  %s\n", storing_kind_name(kinds[i]));
		until(kinds[i]);
		parking_drop_all(parking);
		find("u");
		forget_told();
		work(kinds[i]);
		assert_null(strstr(told, "over"));
		fake_store_pass(store, PARKING_LEASE_MS);
		serve(PARKING_WALK_MS);
		work(STORING_CLAIM);
		assert_non_null(strstr(told, "<2 . "));
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_drop_all),
		TEST(test_drop_unanswered),
		TEST(test_drop_bury),
		TEST(test_drop_to_store),
		TEST(test_drop_stepping_unanswered),
		TEST(test_drop_idle),
		TEST(test_drop_stepping),
		TEST(test_drop_and_found),
	};
	return cmocka_run_group_tests_name("parking_standby", tests, NULL, NULL);
}
