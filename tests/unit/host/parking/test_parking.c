/* test_parking.c - parking.c and parking_job.c: the way into a backlog and out of it, giving back, stepping aside. Failures and many: test_parking_*.c. */
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

/* ---- Commands: the payload is the name ---- */

/* Another host takes the backlog after our lease has ended. */
static void steal(const char *user)
{
	const struct backlog_lease lease = {.owner = "other", .lease_ms = PARKING_LEASE_MS};
	struct parked_batch batch;
	fake_store_pass(store, PARKING_LEASE_MS + 1);
	struct store_client *client = store_acquire(store);
	assert_int_equal(parked_commands_claim(client, "lane", user, &lease, 0, 0, &batch), 0);
	store_release(client);
	parked_batch_free(&batch);
}

/* ---- The way in and out ---- */

static void test_in_and_out(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 1000, false);
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	assert_int_equal(queued, 1);
	work(STORING_APPEND);
	expect("+a ");
	assert_int_equal(parking_due_ms(parking), now_ms + PARKING_WALK_MS);
	work_followers();
	expect("+b +c ");
	assert_int_equal(fake_store_parked(store), 3);
	serve(900);
	assert_int_equal(queued, 0);
	fake_store_pass(store, 1000);
	serve(100);
	assert_false(parking_idle(parking));
	work(STORING_CLAIM);
	expect("<a <b <c . ");
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	assert_int_equal(parking_claimed_count(parking), 3);
	assert_int_equal(parking_backlog_count(parking), 1);
	struct backlog *backlog = user->backlog;
	done(first_open(backlog));
	done(first_open(backlog));
	assert_int_equal(queued, 0); /* not yet, and not for each of them */
	serve(PARKING_FINISH_MS - 1 - now_ms % PARKING_FINISH_MS);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	work(STORING_FINISH);
	expect("-a -b ");
	assert_int_equal(fake_store_parked(store), 1);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	done(first_open(backlog));
	work(STORING_FINISH); /* the last one at once */
	expect("-c over:u ");
	assert_int_equal(fake_store_parked(store), 0);
	assert_int_equal(parking_claimed_count(parking), 0);
	assert_true(parking_idle(parking));
	assert_null(parking->backlogs);
	assert_int_equal(parking_backlog_count(parking), 0);
}

static void test_batches(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 250);
	static const size_t sizes[] = {100, 100, 50};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parking_claimed_count(parking), sizes[i]);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		work(STORING_FINISH);
		if (i < 2)
			work(STORING_CLAIM);
	}
	assert_int_equal(fake_store_parked(store), 0);
	assert_non_null(strstr(told, "-249 -250 over:u "));
	assert_non_null(strstr(told, "-99 -100 <101 <102 "));
}

/* New ones behind a claimed backlog: read after it, in order; while they are written nothing new waits in memory for long. */
static void test_behind(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 1);
	expect("<1 . ");
	assert_true(parking_lets_wait(parking, backlog));
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	store_one(backlog->user, "b", 0, true);
	work_followers();
	expect("+b ");
	assert_false(parking_lets_wait(parking, backlog)); /* the store has more */
	store_one(backlog->user, "c", 0, true);
	done(first);
	work(STORING_FINISH);
	expect("-1 ");
	work(STORING_APPEND); /* nothing else is left to do: it does not wait for others */
	expect("+c ");
	work(STORING_CLAIM);
	expect("<b <c . ");
	done(first_open(backlog));
	done(first_open(backlog));
	work(STORING_FINISH);
	expect("-b -c over:u ");
}

/* What is done of several users is deleted at the same moments, so that it can go together. */
static void test_moments(void **state)
{
	(void)state;
	struct backlog *one = claim("u", 3), *two = claim("v", 3);
	serve(PARKING_FINISH_MS - now_ms % PARKING_FINISH_MS + 10);
	done(first_open(one));
	serve(30);
	done(first_open(two));
	serve(PARKING_FINISH_MS - 41);
	assert_int_equal(queued, 0);
	serve(1);
	assert_int_equal(queued, 2);
	const struct storing *first = (const struct storing *)queue;
	assert_true(storing_joins(first, (const struct storing *)queue->next));
	work(STORING_FINISH);
	work(STORING_FINISH);
	parking_stop(parking);
	work_all();
}

/* Nothing waits for a walk that does not come any more. */
static void test_followers_at_a_stop(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 60000, false);
	work(STORING_APPEND);
	store_one(user, "b", 0, true);
	assert_int_equal(queued, 0);
	parking_stop(parking);
	work(STORING_APPEND);
	expect("+a +b ");
	store_one(user, "c", 0, true);
	work(STORING_APPEND);
	expect("+c ");
}

static void test_lets_wait(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 60000, false);
	work_all();
	assert_false(parking_lets_wait(parking, user->backlog)); /* for too long */
	parking_found(parking, user->backlog, now_ms + 500);
	assert_true(parking_lets_wait(parking, user->backlog));
	struct place place = {.delays = user->backlog};
	user->backlog->after = &place;
	assert_false(parking_lets_wait(parking, user->backlog));
	user->backlog->after = NULL;
	for (unsigned i = 0; i < PARKING_WAITING_MAX; i++) {
		assert_true(parking_lets_wait(parking, user->backlog));
		store_one(user, "b", 0, true);
	}
	assert_false(parking_lets_wait(parking, user->backlog));
	work_followers();
	parking_stop(parking);
	assert_false(parking_lets_wait(parking, user->backlog));
}

/* ---- Giving back ---- */

static void test_postpone(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 4);
	expect("<1 <2 <3 <4 . ");
	done(first_open(backlog));
	struct command *second = first_open(backlog);
	const struct routes routes = {0};
	second->reason = "busy";
	second->handler = "h";
	assert_true(record_make(second, &routes, &(struct record_terms){.attempts = 7, .delay_ms = 5000}));
	second->state = COMMAND_STORING;
	parking_postpone(parking, second, 5000);
	assert_false(parking_lets_wait(parking, backlog));
	work(STORING_FINISH); /* what is before it, at once */
	expect("-1 ");
	work(STORING_POSTPONE);
	expect(">2 >3 >4 ");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_int_equal(fake_store_parked_command(store, 0)->attempts, 7);
	assert_string_equal(fake_store_parked_command(store, 0)->reason, "busy");
	assert_null(fake_store_backlog_owner(store, 0));
	assert_int_equal(parking_claimed_count(parking), 0);
	serve(4000);
	assert_int_equal(queued, 0);
	fake_store_pass(store, 5000);
	serve(1000);
	work(STORING_CLAIM);
	expect("<2 <3 <4 . ");
	parking_stop(parking);
	work(STORING_RELEASE);
	expect(">2 >3 >4 ");
}

static void test_lease(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 3);
	expect("<1 <2 <3 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	fake_store_pass(store, PARKING_LEASE_MS - 1);
	serve(PARKING_LEASE_MS / 2 - 1);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	work(STORING_RENEW);
	expect("");
	serve(PARKING_LEASE_MS / 2 - 1);
	assert_int_equal(queued, 0);
	steal("u");
	serve(1 + PARKING_WALK_MS);
	work(STORING_RENEW);
	expect(">1 >2 >3 ");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_int_equal(parking_claimed_count(parking), 0);
	let_go(first);
	/* The other one's lease is not ours to take. */
	serve(PARKING_LEASE_MS + PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_in_range(backlog->due_ms, now_ms + 1, now_ms + PARKING_LEASE_MS);
	fake_store_pass(store, PARKING_LEASE_MS);
	serve(PARKING_LEASE_MS);
	work(STORING_CLAIM);
	expect("<1 <2 <3 . ");
	parking_stop(parking);
	work_all();
}

/* Another host has done all of it meanwhile. */
static void test_found_nothing(void **state)
{
	(void)state;
	find("u");
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("over:u ");
	assert_true(parking_idle(parking));
}

static void test_stop(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 3);
	expect("<1 <2 <3 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	fill("v", 1);
	find("v");
	serve(PARKING_WALK_MS);
	parking_stop(parking);
	expect(">2 >3 ");
	work(STORING_CLAIM); /* v's, that was under way: nothing of it is begun */
	expect("<1 >1 ");
	work(STORING_RELEASE);
	assert_false(parking_idle(parking));
	done(first);
	work(STORING_FINISH);
	expect("-1 ");
	assert_true(parking_idle(parking));
	assert_int_equal(fake_store_parked(store), 3);
	for (size_t i = 0; i < 3; i++)
		assert_null(fake_store_backlog_owner(store, i));
	serve(PARKING_LEASE_MS);
	assert_int_equal(queued, 0);
}

/* ---- Stepping aside ---- */

static void test_step_aside(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct command *slow = step_aside(user, "slow");
	struct backlog *backlog = user->backlog;
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	assert_false(parking_lets_wait(parking, backlog));
	work(STORING_APPEND);
	expect("+slow ");
	assert_int_equal(backlog->state, BACKLOG_CLAIMED);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	work_followers();
	expect("+b +c ");
	assert_null(fake_store_backlog_owner(store, 1));
	fake_store_pass(store, PARKING_LEASE_MS / 2);
	serve(PARKING_LEASE_MS / 2);
	work(STORING_RENEW);
	assert_int_equal(queued, 0); /* what is behind it waits, however long it takes */
	done(slow);
	work(STORING_FINISH);
	work(STORING_CLAIM);
	expect("-slow <b <c . ");
	assert_true(parking_lets_wait(parking, backlog)); /* what has stepped aside is through */
	done(first_open(backlog));
	done(first_open(backlog));
	work(STORING_FINISH);
	expect("-b -c over:u ");
}

/* It has ended before its document was written, or that was refused. */
static void test_step_aside_ends(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	done(slow);
	work(STORING_APPEND);
	expect("+slow ");
	work(STORING_FINISH);
	expect("-slow over:u ");
	slow = step_aside(user_of("u"), "slow");
	slow->record->written.payload_size = 16 * 1024 * 1024;
	work(STORING_APPEND);
	expect("!slow over:u ");
	assert_true(parking_idle(parking));
}

/* ---- After a place ---- */

static void test_after_place(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	struct place place = {.delays = user->backlog};
	user->backlog->after = &place;
	work_all();
	expect("+a ");
	serve(5000);
	assert_int_equal(queued, 0);
	parking_place_freed(parking, user->backlog);
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("<a . ");
	clean_up();
}

/* A backlog that ends leaves no place that knows of it. */
static void test_after_place_ends(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct place place = {.delays = find("u")};
	user->backlog->after = &place;
	parking_drop_all(parking);
	expect("over:u ");
	assert_null(place.delays);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_and_out),
		TEST(test_batches),
		TEST(test_behind),
		TEST(test_moments),
		TEST(test_followers_at_a_stop),
		TEST(test_lets_wait),
		TEST(test_postpone),
		TEST(test_lease),
		TEST(test_found_nothing),
		TEST(test_stop),
		TEST(test_step_aside),
		TEST(test_step_aside_ends),
		TEST(test_after_place),
		TEST(test_after_place_ends),
	};
	return cmocka_run_group_tests_name("parking", tests, NULL, NULL);
}
