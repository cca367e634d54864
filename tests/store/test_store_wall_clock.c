/*
 * test_store_wall_clock.c - what the store writes on a machine whose clock is wrong: every date in the database is of the database's time, whichever
 * function is the first that a client calls.
 *
 * The linker leads the store's calls of clock_gettime() here (--wrap); the driver and the server keep the true clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "database.h"
#include "dead_letters.h"
#include "hosts.h"
#include "parked_commands.h"
#include "replays.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* DUE_MS: since when the command is due, so that two clients' ideas of the database's time need not agree to the millisecond. */
enum { LEASE_MS = 20000, NEAR_MS = 60000, DUE_MS = 5000, KEEP_DAYS = 90, PINGS = 5 };

static const int64_t DAY_S = 86400;

static struct database database;
/* They know what time it is there, and look at what others write. */
static struct store *knowing_store;
static struct store_client *knowing;
static int64_t ahead_s; /* of the wall clock, as the store sees it */

/* Their names are the linker's. */
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	const int error = __real_clock_gettime(clock, ret);

	if (clock == CLOCK_REALTIME)
		ret->tv_sec += ahead_s;
	return error;
}

static int64_t true_ms(void)
{
	struct timespec now;

	__real_clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- What is written ---- */

static const struct store_id command_id = {{1, 2, 3}}, letter_id = {{4, 5, 6}};
static const struct backlog_lease lease = {"me", LEASE_MS};

static struct dead_letter letter_of(void)
{
	return (struct dead_letter){.id = letter_id,
		.topic = "1/x",
		.user = "1",
		.handler = "x",
		.reason = "r",
		.host = "h",
		.keep_days = KEEP_DAYS};
}

static int add_letter(struct store_client *client)
{
	const struct dead_letter letter = letter_of();

	return dead_letter_add(client, &letter);
}

/* It parks, and removes. */
static int replay(struct store_client *client)
{
	const struct dead_letter letter = letter_of();

	return replay_dead_letter(client, &letter, "cashewd", 1);
}

static struct parked_command command_of(void)
{
	return (struct parked_command){.id = command_id,
		.lane = "cashewd",
		.user = "1",
		.topic = "1/x",
		.position = 1,
		.end = "done",
		.handler = "",
		.reason = "",
		.due_in_ms = -DUE_MS};
}

static int append_with(struct store_client *client, const struct backlog_lease *with)
{
	const struct parked_command command = command_of();
	const struct parked_command *const commands[] = {&command};
	size_t failed;

	return parked_commands_append(client, commands, 1, with, &failed);
}

static int append(struct store_client *client)
{
	return append_with(client, NULL);
}

static int append_leased(struct store_client *client)
{
	return append_with(client, &lease);
}

static int claim(struct store_client *client)
{
	struct parked_batch batch;
	const int error = parked_commands_claim(client, "cashewd", "1", &lease, 0, 0, &batch);

	parked_batch_free(&batch);
	return error;
}

static int finish(struct store_client *client)
{
	return parked_commands_finish(
		client, &(struct parked_finish){.user = "1", .next = &command_id, .lease = &lease}, 1);
}

static int postpone(struct store_client *client)
{
	const struct parked_command command = command_of();

	return parked_commands_postpone(client, &command, "me", 1000);
}

static int renew(struct store_client *client)
{
	return parked_commands_renew(client, "1", &command_id, &lease);
}

static int release(struct store_client *client)
{
	return parked_commands_release(client, "1", &command_id, "me");
}

static int hold(struct store_client *client)
{
	struct host_lease ret;

	return host_lease_hold(client, "cashewd", "me", LEASE_MS, &ret);
}

/* ---- Looking at it ---- */

/* Every date of the document is near to now; that of the letter's end, after its days. Returns how many there are. */
static size_t assert_dates_near(const bson_t *document)
{
	bson_iter_t iter;
	size_t count = 0;

	assert_true(bson_iter_init(&iter, document));
	while (bson_iter_next(&iter)) {
		const char *name = bson_iter_key(&iter);
		int64_t from_now_ms;

		if (!BSON_ITER_HOLDS_DATE_TIME(&iter))
			continue;
		from_now_ms = bson_iter_date_time(&iter) - true_ms();
		if (strcmp(name, "expires") == 0)
			from_now_ms -= KEEP_DAYS * DAY_S * 1000;
		if (llabs(from_now_ms) > NEAR_MS)
			fail_msg("%s is %lld ms from now", name, (long long)from_now_ms);
		count++;
	}
	return count;
}

/* In a store of its own, which has asked nothing yet. */
static int call(int (*operation)(struct store_client *client))
{
	const struct store_options options = {.url = database.url,
		.database = store_database_name(knowing_store),
		.app_name = "cashew test",
		.pool_size = 1};
	char message[STORE_MESSAGE_SIZE];
	struct store *own;

	assert_int_equal(store_open(&options, &own, message), 0);
	struct store_client *first = store_acquire(own);
	const int error = operation(first);
	store_release(first);
	store_close(own);
	return error;
}

static void empty(void)
{
	static const char *const names[] = {"dead_letters", "parked_commands", "hosts"};
	bson_t all = BSON_INITIALIZER;
	bson_error_t error;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		mongoc_collection_t *collection =
			mongoc_database_get_collection(store_database(knowing), names[i]);

		if (!mongoc_collection_delete_many(collection, &all, NULL, NULL, &error))
			fail_msg("%s: %s", names[i], error.message);
		mongoc_collection_destroy(collection);
	}
	bson_destroy(&all);
}

/* How many dates are in the collection, which are all near. */
static size_t look(const char *collection_name)
{
	mongoc_collection_t *collection =
		mongoc_database_get_collection(store_database(knowing), collection_name);
	bson_t all = BSON_INITIALIZER;
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, &all, NULL, NULL);
	const bson_t *document;
	size_t dates = 0;

	while (mongoc_cursor_next(cursor, &document))
		dates += assert_dates_near(document);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&all);
	mongoc_collection_destroy(collection);
	return dates;
}

static void test_dates(void **state)
{
	static const struct {
		const char *name;
		int (*before)(struct store_client *client); /* with a clock that is right; NULL: nothing */
		int (*operation)(struct store_client *client);
		const char *collection;
		size_t dates; /* that are there then */
	} cases[] = {
		{"dead_letter_add", NULL, add_letter, "dead_letters", 2},
		{"replay_dead_letter", NULL, replay, "parked_commands", 1},
		{"parked_commands_append", NULL, append, "parked_commands", 1},
		{"parked_commands_append with a lease", NULL, append_leased, "parked_commands", 2},
		{"parked_commands_claim", append, claim, "parked_commands", 2},
		{"parked_commands_finish", append, finish, "parked_commands", 2},
		{"parked_commands_postpone", append, postpone, "parked_commands", 1},
		{"parked_commands_renew", append_leased, renew, "parked_commands", 2},
		{"parked_commands_release", append_leased, release, "parked_commands", 1},
		{"host_lease_hold", NULL, hold, "hosts", 2},
	};
	static const int64_t clocks_s[] = {7200, -120 * 86400};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t clock = 0; clock < sizeof(clocks_s) / sizeof(clocks_s[0]); clock++) {
			print_message("  %s, the clock ahead by %lld s\n", cases[i].name,
				(long long)clocks_s[clock]);
			empty();
			ahead_s = 0;
			if (cases[i].before)
				assert_int_equal(cases[i].before(knowing), 0);
			ahead_s = clocks_s[clock];
			assert_int_equal(call(cases[i].operation), 0);
			assert_int_equal(look(cases[i].collection), cases[i].dates);
		}
	}
	ahead_s = 0;
}

/* What is due, and until when a lease holds, is asked by the same time. */
static int ask(struct store_client *asking)
{
	struct parked_user *users;
	struct host_lease held;
	size_t count;

	assert_int_equal(parked_commands_due(asking, NULL, 0, 0, 0, &users, &count), 0);
	assert_int_equal(count, 1);
	parked_users_free(users, count);
	assert_int_equal(parked_commands_due(asking, NULL, 0, NEAR_MS, 0, &users, &count), 0);
	assert_int_equal(count, 0);
	parked_users_free(users, count);
	assert_int_equal(host_lease_hold(asking, "cashewd", "another", LEASE_MS, &held), 0);
	assert_false(held.ours);
	assert_in_range(held.free_in_ms, 1, LEASE_MS);
	return 0;
}

static void test_questions(void **state)
{
	static const int64_t clocks_s[] = {-7200, 0, 7200};

	(void)state;
	for (size_t clock = 0; clock < sizeof(clocks_s) / sizeof(clocks_s[0]); clock++) {
		int64_t ahead_ms = 0;

		empty();
		assert_int_equal(append(knowing), 0);
		assert_int_equal(hold(knowing), 0);
		ahead_s = clocks_s[clock];
		assert_int_equal(call(ask), 0);
		/* And by how much this machine's clock differs is known. */
		assert_true(store_wall_clock_ahead_ms(knowing_store, &ahead_ms));
		assert_true(llabs(ahead_ms - ahead_s * 1000) < 1000);
		ahead_s = 0;
	}
}

static int start(void **state)
{
	(void)state;
	database_start(&database, false);
	knowing_store = database_open(&database, NULL);
	knowing = store_acquire(knowing_store);
	/* The quickest answer counts. */
	for (int i = 0; i < PINGS; i++)
		if (store_ping(knowing) != 0)
			return -1;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	store_release(knowing);
	store_close(knowing_store);
	database_stop(&database);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dates), cmocka_unit_test(test_questions)};

	return cmocka_run_group_tests_name("store_wall_clock", tests, start, stop);
}
