/* test_dispatch_store.c - dispatch_store.c: into the store and back: parking, postponing, backlogs, dead letters, and a store that is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "host_parts.h"
#include "replays.h"
#include "schedules.h"

#define ASKED "handler one asked to be run again and gave no reason"

/* ---- Into the store ---- */

/* What fails for a second is parked, and goes on from the store with the attempts that it has had. */
static void test_parked(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:r");
	const int64_t since_ms = host.now_ms;
	while (!storers.first) {
		work_all();
		pass(5);
		assert_true(host.now_ms < since_ms + 2000);
	}
	assert_in_range(host.now_ms - since_ms, 500, 1100);
	assert_string_equal(state_of(place), "storing");
	assert_int_equal(release(), 0);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	assert_int_equal(release(), 1);
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_int_equal(fake_store_parked_command(host.store, 0)->attempts, 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->reason, ASKED);
	assert_int_equal(host.commands, 0);
	/* Until it has been tried as often as may be. */
	live(3600 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(fake_store_dead_letters(host.store), 1);
	assert_string_equal(fake_store_dead_letter(host.store, 0)->reason, ASKED);
	assert_int_equal(host.commands, 0);
}

/* A handler says not before when: within the second it waits in memory, beyond that in the store, and never shorter. */
static void test_retry_after(void **state)
{
	(void)state;
	send_command("u/one", "x:w.");
	work();
	for (int64_t since_ms = host.now_ms; host.now_ms < since_ms + 295;) {
		pass(5);
		assert_null(workers.first);
	}
	pass(10);
	work();
	expect("x x ");
	assert_int_equal(host.commands, 0);

	const struct place *place = send_command("u/one", "y:W.");
	work();
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	assert_string_equal(fake_store_parked_command(host.store, 0)->reason, "told to wait");
	forget_told();
	live(59000);
	expect("");
	live(5000);
	expect("y ");
	assert_int_equal(fake_store_parked(host.store), 0);
}

/* The id that the host makes is the same when the command comes from the store; another command has another one. */
static void test_made_id(void **state)
{
	(void)state;
	char id[3][80], rest[80];
	send_command("u/one", "x:Ii");
	work();
	store_all();
	live(65000);
	send_command("u/one", "y:i");
	work();
	assert_int_equal(sscanf(told, "x %79s x %79s y %79s %79s", id[0], id[1], id[2], rest), 3);
	assert_string_equal(id[0], id[1]);
	assert_string_not_equal(id[0], id[2]);
	assert_int_equal(strlen(id[0]), 24);
	forget_told();
}

/* Which handlers are through with it is kept: they do not run again. */
static void test_parked_progress(void **state)
{
	(void)state;
	send_command("u/two", "x:e:rrrrrrrrrrrrrrrrrrrr.");
	for (unsigned i = 0; !storers.first && i < 1000; i++) {
		work_all();
		puback_all();
		pass(5);
	}
	store_all();
	assert_int_equal(fake_store_parked_command(host.store, 0)->settled_count, 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->settled[0], "first");
	assert_string_equal(fake_store_parked_command(host.store, 0)->handler, "second");
	forget_told();
	live(600 * 1000);
	assert_null(strstr(told, "xA"));
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(fake_store_dead_letters(host.store), 0);
}

/* Parked only when what its user has sent before is settled. It waits for its next run when that happens, and that is not due
 * before places are looked at (LOOK_MS): one that runs at that moment steps aside, which is test_step_aside_ends(). */
static void test_parked_after_the_earlier(void **state)
{
	(void)state;
	send_command("u/one", "a:e");
	const struct place *place = send_command("u/one", "b:r");
	for (unsigned i = 0; i < 1000 || place->command->retry_at_ms <= host.now_ms + 100; i++) {
		pass(5);
		work_all();
	}
	assert_int_equal(storers.count, 0);
	assert_string_equal(state_of(place), "retrying");
	answer(NULL, false);
	/* Its last delay may be a long one. */
	for (unsigned i = 0; i < 400 && !storers.first; i++) {
		pass(5);
		work_all();
	}
	assert_string_equal(state_of(place), "storing");
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
}

/* What comes behind a backlog goes behind it, and everything takes effect in the order of sending. */
static void test_behind(void **state)
{
	(void)state;
	const struct place *first = send_command("u/one", "a:rrrrrrrrrrrrrrr.");
	const struct place *second = send_command("u/one", "b:.");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	assert_string_equal(state_of(first), "parked");
	const struct place *third = send_command("u/one", "c:.");
	/* Whether the backlog is claimed by then is chance. Its first command goes on failing, for ever longer. */
	for (unsigned i = 0; i < 500 && strcmp(state_of(third), "parked") != 0; i++) {
		pass(20);
		work_all();
		store_all();
	}
	assert_string_equal(state_of(second), "parked");
	assert_string_equal(state_of(third), "parked");
	assert_int_equal(fake_store_parked(host.store), 3);
	live(300 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
	assert_null(strstr(told, "b a "));
}

/* A backlog of three: while the first is postponed again and again, those behind it wait. */
static void test_postponed(void **state)
{
	(void)state;
	send_command("u/one", "a:rrrrrrrrrrrrrrrrrrrrrrrr.");
	for (unsigned i = 0; !storers.first && i < 1000; i++) {
		work_all();
		pass(5);
	}
	store_all();
	send_command("u/one", "b:.");
	send_command("u/one", "c:.");
	for (unsigned i = 0; i < 500 && fake_store_parked(host.store) < 3; i++) {
		pass(20);
		work_all();
		store_all();
	}
	assert_int_equal(fake_store_parked(host.store), 3);
	forget_told();
	unsigned postponed = 0;
	for (unsigned i = 0; i < 60000 && fake_store_parked(host.store) == 3; i++) {
		pass(10);
		work_all();
		postponed += storers.first && ((struct storing *)storers.first)->kind == STORING_POSTPONE;
		store_all();
		assert_true(
			fake_store_parked(host.store) == 3 ? !strchr(told, 'b') && !strchr(told, 'c') : true);
	}
	assert_int_not_equal(postponed, 0);
	live(1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
}

/* Where the database refuses the document, it is a dead letter. */
static void test_parking_refused(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:r");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	fake_store_fail_next(host.store, STORE_E_PERMANENT, 1);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "burying");
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_string_equal(fake_store_dead_letter(host.store, 0)->reason,
		ASKED "; and the database refuses to keep it for later");
}

/* Where it refuses the letter, the command is kept beside it, and buried when that is put right. */
static void test_letter_refused(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:f");
	work();
	fake_store_fail_next(host.store, STORE_E_PERMANENT, 2);
	store_next(STORING_BURY);
	assert_string_equal(state_of(place), "storing");
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	live(290 * 1000);
	assert_int_equal(fake_store_dead_letters(host.store), 0);
	live(20 * 1000);
	assert_int_equal(fake_store_dead_letters(host.store), 1);
	assert_int_equal(fake_store_parked(host.store), 0);
	expect("x "); /* it has not run again */
}

/* ---- From the store ---- */

/* New commands wait in memory behind what is going to be over at once, and are written when it takes long. */
static void test_followers(void **state)
{
	(void)state;
	send_command("u/one", "a:rrrrrrrrrrrr.");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	fake_store_pass(host.store, 10000);
	pass(10000);
	store_next(STORING_CLAIM);
	forget_told();
	struct command *a = do_begin();
	const struct place *short_wait = send_command("u/one", "b:.");
	pass(500);
	assert_string_equal(state_of(short_wait), "waiting");
	assert_int_equal(storers.count, 0);
	pass(600);
	assert_string_equal(state_of(short_wait), "storing");
	store_all();
	const struct place *later = send_command("u/one", "c:.");
	pass(20);
	store_all();
	assert_string_equal(
		state_of(later), "parked"); /* the store has more: nothing waits in memory behind that */
	do_end(a);
	live(600 * 1000);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
	assert_int_equal(host.commands, 0);
	assert_int_equal(fake_store_parked(host.store), 0);
}

/* QoS 0 behind a backlog: no promise, and no place in the store. */
static void test_unpromised_behind(void **state)
{
	(void)state;
	send_command("u/one", "a:r");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	forget_told();
	arrive_as("u/one", "p:.", 0, false, false, 0, false);
	assert_int_equal(home.unpromised, 1); /* it may be over at once */
	users_find(line, users_key("u", 1), "u", 1)->backlog->due_ms = host.now_ms + 60000;
	arrive_as("u/one", "q:.", 0, false, false, 0, false);
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	assert_int_equal(host.unpromised.dropped, 2);
}

/* Another host has taken the backlog while its first ran: whatever becomes of it here, its document stays that one's. */
static void test_lease_lost(void **state)
{
	static const char *const payloads[] = {"a:rrrrrrrrrrrr.", "a:rrrrrrrrrrrrf", "a:r"};
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		print_message("  %s\n", payloads[i]);
		begin_host(state);
		send_command("u/one", payloads[i]);
		while (!storers.first) {
			work_all();
			pass(5);
		}
		store_all();
		pass(10000);
		store_next(STORING_CLAIM);
		struct command *command = do_begin();
		struct store_client *client = store_acquire(host.store);
		const struct backlog_lease lease = {.owner = "other", .lease_ms = 1000000};
		struct parked_batch batch;
		fake_store_pass(host.store, PARKING_LEASE_MS + 1);
		assert_int_equal(parked_commands_claim(client, "cashewd", "u", &lease, 0, 0, &batch), 0);
		parked_batch_free(&batch);
		store_release(client);
		pass(PARKING_LEASE_MS);
		store_next(STORING_RENEW);
		assert_int_equal(parking_claimed_count(host.parking), 0);
		do_end(command);
		for (unsigned k = 0; k < 1000; k++) {
			pass(5);
			work_all();
			store_all();
			puback_all();
		}
		assert_int_equal(host.commands, 0);
		assert_int_equal(fake_store_parked(host.store), 1);
		assert_string_equal(fake_store_backlog_owner(host.store, 0), "other");
		end_host(state);
	}
}

/* A command of another host's lane, which no handler of this one wants, is left as it is. */
static void test_foreign(void **state)
{
	(void)state;
	struct store_client *client = store_acquire(host.store);
	static const char *const topics[] = {"u/none", "v/one"};
	for (size_t i = 0; i < 2; i++) {
		const char user[] = {topics[i][0], '\0'};
		const struct parked_command command = {.id = store_new_id(),
			.lane = "elsewhere",
			.user = user,
			.topic = topics[i],
			.position = 1,
			.payload = "x:.",
			.payload_size = 3,
			.end = "done",
			.handler = "",
			.reason = "",
			.attempts = 2};
		const struct parked_command *const commands[] = {&command};
		size_t failed;
		assert_int_equal(parked_commands_append(client, commands, 1, NULL, &failed), 0);
		dispatch_backlog_found(&host, NULL, "elsewhere", user, 0);
	}
	store_release(client);
	live(1000);
	expect("x ");
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->topic, "u/none");
	assert_int_equal(fake_store_parked_command(host.store, 0)->attempts, 2);
	assert_null(fake_store_backlog_owner(host.store, 0));
	assert_int_equal(host.commands, 0);
}

/* No memory to postpone it: it is not taken for done. */
static void test_foreign_without_memory(void **state)
{
	(void)state;
	struct store_client *client = store_acquire(host.store);
	const struct parked_command document = {.id = store_new_id(),
		.lane = "elsewhere",
		.user = "u",
		.topic = "u/none",
		.position = 1,
		.payload = "x:.",
		.payload_size = 3,
		.end = "done",
		.handler = "",
		.reason = ""};
	const struct parked_command *const documents[] = {&document};
	size_t failed;
	assert_int_equal(parked_commands_append(client, documents, 1, NULL, &failed), 0);
	store_release(client);
	dispatch_backlog_found(&host, NULL, "elsewhere", "u", 0);
	pass(100);
	struct job *job = pool_take(&storers);
	job->run(job, host.store);
	failing_malloc_start(2, true); /* the first one is for the command */
	parking_returned(host.parking, job);
	assert_true(failing_malloc_stop());
	/* It is given back as it was; the lease, when there is memory. */
	assert_int_equal(storers.count, 0);
	assert_int_equal(host.commands, 0);
	live(1000);
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_int_equal(host.commands, 0);
}

/* ---- The store is away ---- */

/* What a handler met is no attempt, and nobody's time. */
static void test_store_away(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:sss.");
	for (unsigned i = 0; i < 3; i++) {
		struct command *command = do_begin();
		do_end(command);
		assert_string_equal(state_of(place), "retrying");
		assert_int_equal(command->attempts, 0);
		assert_false(host.store_up);
		assert_int_equal(suspected, i + 1);
		pass(60000);
		assert_int_equal(workers.count, 0);
		assert_int_equal(storers.count, 0);
		host.store_up = true;
		dispatch_store_back(&host);
		assert_int_equal(workers.count, 1);
	}
	work();
	assert_string_equal(state_of(place), "done");
	expect("x x x x ");
}

/* A storing job that is not answered: the command stays, and goes on when the store is back. */
static void test_storing_away(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:f");
	work();
	fake_store_lose_answer_at(host.store, 0);
	store_next(STORING_BURY);
	assert_false(host.store_up);
	assert_string_equal(state_of(place), "burying");
	parking_store_back(host.parking);
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_int_equal(fake_store_dead_letters(host.store), 1);
}

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		TEST(test_parked),
		TEST(test_retry_after),
		TEST(test_made_id),
		TEST(test_parked_progress),
		TEST(test_parked_after_the_earlier),
		TEST(test_behind),
		TEST(test_postponed),
		TEST(test_parking_refused),
		TEST(test_letter_refused),
		TEST(test_followers),
		TEST(test_unpromised_behind),
		cmocka_unit_test(test_lease_lost),
		TEST(test_foreign),
		TEST(test_foreign_without_memory),
		TEST(test_store_away),
		TEST(test_storing_away),
	};
	return cmocka_run_group_tests_name("dispatch_store", tests, NULL, NULL);
}
