/* test_parking_failures.c - parking.c and parking_job.c: the store is away, cannot now, or refuses what is written or changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
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

/* ---- The store is away ---- */

/* Each kind is repeated, as it was, until it is answered: nothing was done, or the answer was lost. */
static void test_away(void **state)
{
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_KINDS; kind++) {
		for (int lost = 0; lost < 2; lost++) {
			print_message(
				"  %s, %s\n", storing_kind_name(kind), lost ? "answer lost" : "not done");
			until(kind);
			expect(outcomes[kind].before);
			for (int again = 0; again < 2; again++) {
				if (lost)
					fake_store_lose_answer_at(store, 0);
				else
					fake_store_fail_next(store, STORE_E_AWAY, 1);
				work(kind);
				expect("away ");
				assert_false(parking_idle(parking));
				serve(PARKING_WALK_MS);
				assert_int_equal(queued, 0); /* not before the store answers again */
				parking_store_back(parking);
				assert_int_equal(queued, 1);
			}
			work(kind);
			expect(outcomes[kind].after);
			assert_int_equal(fake_store_parked(store), outcomes[kind].parked);
			assert_int_equal(fake_store_dead_letters(store), kind == STORING_BURY);
			clean_up();
			end(NULL);
			begin(NULL);
		}
	}
}

/* ---- The store cannot now ---- */

/* Each kind is repeated, as it was, after a pause that doubles; the store is not called away. */
static void test_transient(void **state)
{
	static const int64_t pauses_ms[] = {50, 100, 200, 400, 800, 1000, 1000};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_KINDS; kind++) {
		print_message("  %s\n", storing_kind_name(kind));
		until(kind);
		expect(outcomes[kind].before);
		for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
			fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
			work(kind);
			expect("");
			assert_false(parking_idle(parking));
			serve(0);
			assert_int_equal(queued, 0);
			assert_in_range(parking->repeat_at_ms - now_ms, pauses_ms[i] / 2, pauses_ms[i]);
			assert_true(parking_due_ms(parking) <= parking->repeat_at_ms);
			serve(parking->repeat_at_ms - now_ms - 1);
			assert_int_equal(queued, 0);
			serve(1);
			assert_int_equal(queued, 1);
		}
		work(kind);
		expect(outcomes[kind].after);
		assert_int_equal(fake_store_parked(store), outcomes[kind].parked);
		assert_int_equal(parking->repeat_at_ms, INT64_MAX);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* What pauses is not forgotten over what waits for the store, nor the other way round. */
static void test_transient_and_away(void **state)
{
	(void)state;
	store_one(user_of("u"), "a", 60000, false);
	store_one(user_of("v"), "b", 60000, false);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	expect("away ");
	serve(0);
	serve(50);
	work(STORING_APPEND);
	expect("+b ");
	serve(10000);
	assert_int_equal(queued, 0);
	parking_store_back(parking);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	parking_store_back(parking); /* before the pause has begun */
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	expect("away ");
	store_one(user_of("w"), "c", 60000, false);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	serve(0);
	serve(50);
	work(STORING_APPEND);
	expect("+c ");
	serve(10000);
	assert_int_equal(queued, 0);
	parking_store_back(parking);
	work(STORING_APPEND);
	expect("+a ");
	clean_up();
}

static size_t count_of(enum storing_kind kind)
{
	assert_int_equal(next_kind(), kind);
	return ((const struct storing *)queue)->count;
}

static size_t next_count(void)
{
	return count_of(STORING_FINISH);
}

/* Deletions that fail are tried with half as many, in order; when they work, with more. */
static void test_finish_less(void **state)
{
	static const int errors[] = {
		STORE_E_TRANSIENT, STORE_E_AWAY, STORE_E_TRANSIENT, STORE_E_AWAY, STORE_E_AWAY};
	static const size_t counts[] = {100, 50, 25, 12, 10}, more[] = {10, 20, 30, 40};
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct backlog *backlog = claim("u", 120);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			assert_int_equal(next_count(), counts[i]);
			if (lost && i > 1)
				fake_store_lose_answer_at(store, 0);
			else
				fake_store_fail_next(store, errors[i], 1);
			parking_returned(parking, do_next());
			parking_store_back(parking);
		}
		told_size = 0;
		for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
			assert_int_equal(next_count(), more[i]);
			work(STORING_FINISH);
			if (!lost && i < 3)
				assert_string_equal(fake_store_backlog_owner(store, 0), "me");
		}
		assert_int_equal(fake_store_parked(store), 20);
		assert_int_equal(fake_store_parked_command(store, 0)->position, 101);
		assert_memory_equal(told, "-1 -2 -3 ", 9);
		assert_non_null(strstr(told, "-39 -40 -41 "));
		work(STORING_CLAIM);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		work(STORING_FINISH);
		assert_non_null(strstr(told, "-120 over:u "));
		assert_true(parking_idle(parking));
		end(NULL);
		begin(NULL);
	}
}

/* The same of what is written: in order, and what is not tried again goes before what has come since. */
static void test_append_less(void **state)
{
	enum { COUNT = 120 };
	static const int errors[] = {STORE_E_TRANSIENT, STORE_E_AWAY, STORE_E_AWAY, STORE_E_TRANSIENT};
	static const size_t counts[] = {COUNT, 60, 30, 15}, more[] = {10, 20, 30, 40};
	char name[8];
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "0", 60000, false);
	work(STORING_APPEND);
	for (unsigned i = 1; i <= COUNT; i++) {
		snprintf(name, sizeof(name), "%u", i);
		store_one(user, name, 0, true);
	}
	serve(PARKING_WALK_MS);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		assert_int_equal(count_of(STORING_APPEND), counts[i]);
		if (i == 2)
			fake_store_lose_answer_at(store, 0);
		else
			fake_store_fail_next(store, errors[i], 1);
		parking_returned(parking, do_next());
		assert_int_equal(fake_store_parked(store), i < 2 ? 1 : 31);
		parking_store_back(parking);
		store_one(user, "later", 0, true);
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		assert_int_equal(count_of(STORING_APPEND), more[i]);
		work(STORING_APPEND);
		serve(PARKING_WALK_MS);
	}
	work(STORING_APPEND);
	assert_int_equal(fake_store_parked(store), 1 + COUNT + 4);
	for (unsigned i = 1; i < COUNT; i++)
		assert_true(fake_store_parked_command(store, i)->position <
			    fake_store_parked_command(store, i + 1)->position);
	assert_non_null(strstr(told, "+119 +120 +later +later "));
	/* What was too much does not go together with others'. */
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	store_one(user, "last", 0, true);
	serve(PARKING_WALK_MS);
	parking_returned(parking, do_next());
	parking_store_back(parking);
	assert_false(storing_joins((const struct storing *)queue, (const struct storing *)queue));
	work(STORING_APPEND);
}

/* ---- Refused ---- */

static void test_refused(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	store_one(user, "b", 0, true);
	struct command *huge = store_one(user, "c", 0, true);
	huge->record->written.payload_size = 16 * 1024 * 1024; /* looked at by its size alone */
	store_one(user, "d", 0, true);
	work(STORING_APPEND);
	store_one(user, "e", 0, true); /* behind what is being written */
	expect("+a ");
	work_followers();
	expect("+b !c ");
	work_followers();
	expect("+d +e ");
	assert_int_equal(fake_store_parked(store), 4);
}

/* The only one is refused: there is no backlog. */
static void test_refused_first(void **state)
{
	(void)state;
	struct command *huge = store_one(user_of("u"), "a", 0, false);
	huge->record->written.payload_size = 16 * 1024 * 1024;
	work(STORING_APPEND);
	expect("!a over:u ");
	assert_true(parking_idle(parking));
}

/* ---- A change is refused ---- */

/* The log goes to standard error, as it is not open. */
static void refuse(enum storing_kind kind)
{
	char text[4096];
	fake_store_fail_next(store, STORE_E_PERMANENT, 1);
	assert_int_equal(next_kind(), kind);
	const int log_fd = memfd_create("log", MFD_CLOEXEC), stderr_fd = dup(STDERR_FILENO);
	assert_int_equal(dup2(log_fd, STDERR_FILENO), STDERR_FILENO);
	parking_returned(parking, do_next());
	assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
	const ssize_t size = pread(log_fd, text, sizeof(text) - 1, 0);
	assert_true(size > 0);
	text[size] = '\0';
	refusals_logged += strstr(text, "refuses to delete parked commands") != NULL;
	close(stderr_fd);
	close(log_fd);
}

/* What is done and cannot be deleted stays, and so does our lease; new ones are written behind it; it is told once. */
static void test_finish_refused(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 4);
	expect("<1 <2 <3 <4 . ");
	done(first_open(backlog));
	done(first_open(backlog));
	serve(PARKING_FINISH_MS + PARKING_WALK_MS);
	refuse(STORING_FINISH);
	expect("");
	assert_int_equal(fake_store_parked(store), 4);
	assert_int_equal(backlog->memory.count, 4);
	done(first_open(backlog));
	serve(PARKING_FINISH_MS + PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	store_one(backlog->user, "b", 0, true);
	work_followers();
	expect("+b ");
	fake_store_pass(store, PARKING_LEASE_MS / 2);
	serve(PARKING_REFUSED_MS - 2 * PARKING_FINISH_MS - 3 * PARKING_WALK_MS);
	assert_int_equal(next_kind(), STORING_RENEW); /* meanwhile it is kept */
	work(STORING_RENEW);
	expect("");
	serve(2 * (PARKING_FINISH_MS + PARKING_WALK_MS));
	assert_int_equal(next_count(), 3);
	refuse(STORING_FINISH);
	serve(PARKING_REFUSED_MS - 1);
	if (next_kind() == STORING_RENEW)
		work(STORING_RENEW);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	assert_int_equal(next_count(), 3);
	work(STORING_FINISH);
	expect("-1 -2 -3 ");
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	done(first_open(backlog));
	work(STORING_FINISH);
	work(STORING_CLAIM);
	expect("-4 <b . ");
	done(first_open(backlog));
	refuse(STORING_FINISH); /* again, after it was taken in between */
	assert_int_equal(refusals_logged, 2);
	serve(PARKING_REFUSED_MS);
	work_all();
	serve(PARKING_WALK_MS);
	work_all();
	expect("-b over:u ");
}

/* An attempt that cannot be written down is not made: what failed is not run again before. */
static void test_postpone_refused(void **state)
{
	(void)state;
	until(STORING_POSTPONE);
	expect("<1 <2 . ");
	struct backlog *backlog = user_of("u")->backlog;
	refuse(STORING_POSTPONE);
	expect("");
	assert_int_equal(backlog->state, BACKLOG_CLAIMED);
	serve(PARKING_REFUSED_MS - 1);
	if (next_kind() == STORING_RENEW)
		work(STORING_RENEW);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	refuse(STORING_POSTPONE);
	work(STORING_RENEW); /* the lease is kept meanwhile */
	serve(PARKING_REFUSED_MS + PARKING_WALK_MS);
	work(STORING_POSTPONE);
	expect(">1 >2 ");
	assert_int_equal(refusals_logged, 1);
	assert_int_equal(fake_store_parked_command(store, 0)->attempts, 1);
	assert_null(fake_store_backlog_owner(store, 0));
}

/* The lease holds as long as it was taken for: it is renewed within that, or given up at its end. */
static void test_renew_refused(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		until(STORING_RENEW);
		expect("<1 <2 . ");
		const int64_t ends_ms = user_of("u")->backlog->leased_ms + PARKING_LEASE_MS;
		for (int again = 0; again < 3; again++) {
			refuse(STORING_RENEW);
			serve(PARKING_RETRY_MS - 1);
			assert_int_equal(queued, 0);
			serve(1 + PARKING_WALK_MS);
		}
		expect("");
		if (taken) {
			work(STORING_RENEW);
			serve(PARKING_LEASE_MS / 2 - 1);
			assert_int_equal(queued, 0);
			serve(1 + PARKING_WALK_MS);
			work(STORING_RENEW);
			expect("");
		} else {
			while (now_ms < ends_ms) {
				expect("");
				refuse(STORING_RENEW);
				serve(PARKING_RETRY_MS + PARKING_WALK_MS);
			}
			if (queued > 0)
				refuse(STORING_RENEW);
			expect(">1 >2 ");
		}
		assert_int_equal(refusals_logged, 1);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* A lease that cannot be given back ends by itself: the host does not wait for that. */
static void test_release_refused(void **state)
{
	(void)state;
	until(STORING_RELEASE);
	refuse(STORING_RELEASE);
	assert_true(parking_idle(parking));
	assert_int_equal(fake_store_parked(store), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_away),
		TEST(test_transient),
		TEST(test_transient_and_away),
		TEST(test_finish_less),
		TEST(test_append_less),
		TEST(test_refused),
		TEST(test_refused_first),
		TEST(test_finish_refused),
		TEST(test_postpone_refused),
		TEST(test_renew_refused),
		TEST(test_release_refused),
	};
	return cmocka_run_group_tests_name("parking_failures", tests, NULL, NULL);
}
