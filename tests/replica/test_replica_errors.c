/*
 * test_replica_errors.c - one command to the database goes wrong, in each way in which a replica set that changes its primary lets it: the errors of
 * members that step down, end, or cannot say that the others have it; and the network, cut before the command, after it, or within its answer.
 *
 * Whatever it is, it is repeated until it is answered: the sender has his event, effects are there once, also those of handlers that add to what is
 * there (count_up, transfer), and nothing becomes a dead letter that should not. All in one case, on one host, command after command.
 */
#include "account.h"
#include "replica_set.h"
#include <string.h>
#include <time.h>

/* ---- What goes wrong ---- */

static const struct {
	const char *name;
	enum replica_fault_kind kind;
	int code;
	bool like_others; /* not tried with what takes seconds */
} faults[] = {
	{"NotWritablePrimary", REPLICA_REFUSED, 10107},
	{"InterruptedDueToReplStateChange", REPLICA_REFUSED, 11602, true},
	{"ShutdownInProgress", REPLICA_REFUSED, 91, true},
	{"PrimarySteppedDown", REPLICA_REFUSED, 189, true},
	{"done, NotWritablePrimary", REPLICA_INTERRUPTED, 10107, true},
	{"done, InterruptedDueToReplStateChange", REPLICA_INTERRUPTED, 11602},
	{"done, ShutdownInProgress", REPLICA_INTERRUPTED, 91, true},
	{"done, PrimarySteppedDown", REPLICA_INTERRUPTED, 189, true},
	{"WriteConcernTimeout", REPLICA_NOT_DURABLE, 64},
	{"the write concern's ShutdownInProgress", REPLICA_NOT_DURABLE, 91, true},
	{"cut before it is done", REPLICA_CUT_BEFORE, 0},
	{"cut within the answer", REPLICA_CUT_AMID, 0},
	{"cut before the answer", REPLICA_CUT_AFTER, 0},
	{"all connections cut", REPLICA_ALL_CUT, 0},
};

/* ---- Commands, and what they leave ---- */

/* The user whose phone hears the events. */
#define PHONE "68946"

struct errors {
	struct harness *h;
	struct database *database;
	struct replica_set *set;
	struct device *phone, *sender;
	unsigned number;  /* of the command, from 1 */
	const char *user; /* "u-NUMBER": whoever has nothing yet */
	size_t counted, transferred;
};

struct event {
	const struct errors *test;
	const char *topic, *text;
};

/* It may come twice. */
static bool has_come(void *context)
{
	const struct event *event = context;
	const struct device *phone = event->test->phone;
	for (size_t i = 0; i < phone->message_count; i++)
		if (strcmp(phone->messages[i].topic, event->topic) == 0 &&
			strstr(phone->messages[i].payload, event->text))
			return true;
	return false;
}

static void send(const struct errors *test, const char *user, const char *command, const char *payload)
{
	assert_int_equal(device_publish_answered(
				 test->sender, harness_format(test->h, "%s/%s", user, command), payload),
		0);
}

static void wait_event(const struct errors *test, const char *name, const char *text)
{
	struct event event = {test, harness_format(test->h, PHONE "/%s", name), text};
	harness_wait(test->h, has_come, &event, "the event %s with %s", name, text);
}

static void assert_documents(
	const struct errors *test, const char *collection, const char *filter, size_t count)
{
	const size_t found = database_count(test->h, test->database, collection, filter);
	if (found != count)
		harness_fail("%s: %zu documents %s, where %zu should be", collection, found, filter, count);
}

/* "u-7", in quotes: no beginning of another. */
static const char *quoted(const struct errors *test)
{
	return harness_format(test->h, "\"%s\"", test->user);
}

static void request(struct errors *test)
{
	send(test, test->user, "request_contact", "{\"contact_id\":\"" PHONE "\"}");
	wait_event(test, "contact_requested", quoted(test));
	assert_documents(test, "contact_requests",
		harness_format(test->h, "{\"user_id\":\"" PHONE "\",\"from\":\"%s\"}", test->user), 1);
}

static void accept_contact(struct errors *test)
{
	struct harness *h = test->h;
	const char *user = test->user;
	database_command(h, test->database,
		harness_format(h,
			"{\"insert\":\"contact_requests\",\"documents\":[{\"_id\":\"%s/" PHONE
			"\",\"user_id\":\"%s\",\"from\":\"" PHONE
			"\",\"requested_at\":{\"$date\":\"2026-01-31T12:00:00Z\"}}]}",
			user, user));
	send(test, user, "accept_contact", "{\"contact_id\":\"" PHONE "\"}");
	wait_event(test, "contact_approved", quoted(test));
	assert_documents(test, "contacts",
		harness_format(h, "{\"user_id\":\"" PHONE "\",\"contact_id\":\"%s\"}", user), 1);
	assert_documents(test, "contacts",
		harness_format(h, "{\"user_id\":\"%s\",\"contact_id\":\"" PHONE "\"}", user), 1);
	assert_documents(test, "contact_requests", harness_format(h, "{\"user_id\":\"%s\"}", user), 0);
}

/* What it adds is added once. */
static void count_up(struct errors *test)
{
	send(test, PHONE, "count_up",
		harness_format(
			test->h, "{\"number\":%u,\"command_id\":\"c%u\"}", test->number, test->number));
	wait_event(test, "counted", harness_format(test->h, ":%u}", test->number));
	test->counted++;
	assert_documents(test, "counters",
		harness_format(test->h, "{\"_id\":\"" PHONE "\",\"total\":%zu}", test->counted), 1);
}

static void transfer(struct errors *test)
{
	send(test, PHONE, "transfer",
		harness_format(
			test->h, "{\"number\":%u,\"command_id\":\"t%u\"}", test->number, test->number));
	wait_event(test, "transferred", harness_format(test->h, ":%u}", test->number));
	test->transferred++;
	assert_documents(test, "purses",
		harness_format(test->h, "{\"name\":\"pocket\",\"coins\":-%zu}", test->transferred), 1);
	assert_documents(test, "purses",
		harness_format(test->h, "{\"name\":\"jar\",\"coins\":%zu}", test->transferred), 1);
}

/* It cannot be done for more than a second, and another's is done behind it: so it is parked, and done from the store. */
static void park(struct errors *test)
{
	enum { TROUBLE_MS = 1300 };
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	const long long until_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 + TROUBLE_MS;
	send(test, test->user, "unsteady",
		harness_format(test->h,
			"{\"contact_id\":\"" PHONE "\",\"until\":%lld,\"early\":0,\"crashes\":0,\"hangs\":0}",
			until_ms));
	send(test, PHONE, "ping", "1");
	wait_event(test, "contact_requested", quoted(test));
	assert_documents(test, "contact_requests",
		harness_format(test->h, "{\"user_id\":\"" PHONE "\",\"from\":\"%s\"}", test->user), 1);
	database_wait_count(test->h, test->database, "parked_commands", "{}", 0);
}

static bool has_letter(void *context)
{
	const struct errors *test = context;
	return database_has(test->h, test->database, "dead_letters",
		harness_format(test->h, "{\"user_id\":\"%s\"}", test->user));
}

/* What is stored is no number to add to: it will not be one the next time either. */
static void die(struct errors *test)
{
	database_command(test->h, test->database,
		harness_format(test->h,
			"{\"insert\":\"counters\",\"documents\":[{\"_id\":\"%s\",\"total\":\"many\"}]}",
			test->user));
	send(test, test->user, "count_up", "{\"number\":1,\"command_id\":\"d\"}");
	harness_wait(test->h, has_letter, test, "a dead letter of %s", test->user);
}

static const struct {
	const char *name;
	void (*run)(struct errors *test);
	const char *command, *collection; /* what goes wrong of it */
} situations[] = {
	{"request_contact adds the request", request, "update", "contact_requests"},
	{"accept_contact looks for the request", accept_contact, "find", "contact_requests"},
	{"accept_contact adds the contacts", accept_contact, "update", "contacts"},
	{"accept_contact removes the request", accept_contact, "delete", "contact_requests"},
	{"count_up adds", count_up, "findAndModify", "counters"},
	{"transfer adds", transfer, "findAndModify", "purses"},
	{"a command is parked", park, "insert", "parked_commands"},
	{"a backlog is read", park, "find", "parked_commands"},
	{"a backlog is leased", park, "update", "parked_commands"},
	{"what is parked is done", park, "delete", "parked_commands"},
	{"a dead letter is written", die, "insert", "dead_letters"},
};

/* ---- All of them ---- */

enum { TRIES = 10 };

static void try_one(struct errors *test, size_t situation, size_t fault)
{
	const char *command = situations[situation].command;
	const struct replica_fault broken = {.command = command,
		.collection = situations[situation].collection,
		.kind = faults[fault].kind,
		.code = faults[fault].code,
		.times = 1};
	/* No member waits for others to have what was only read. */
	if (broken.kind == REPLICA_NOT_DURABLE && strcmp(command, "find") == 0)
		return;
	if (faults[fault].like_others && situations[situation].run == park)
		return;
	const int64_t began_ms = harness_now_ms();
	replica_set_break(test->set, &broken);
	/* What steps aside instead of being parked goes on without being read or leased. */
	for (unsigned tries = 0; replica_set_broken(test->set) == 0; tries++) {
		if (tries == TRIES)
			harness_fail("no %s of %s", command, broken.collection);
		test->number++;
		test->user = harness_format(test->h, "u-%u", test->number);
		situations[situation].run(test);
	}
	print_message("replica: %s, %s: %lld ms\n", situations[situation].name, faults[fault].name,
		(long long)(harness_now_ms() - began_ms));
}

HARNESS_CASE(whatever_goes_wrong_it_is_done_once)
{
	struct errors test = {.h = h, .database = harness_own_database(h)};
	test.set = replica_set_new(h, test.database);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set_program(host, CASHEWD_FAILPOINTS_PATH);
	host_set(host, "MONGO_DB_URL", replica_set_url(test.set));
	host_start(host);
	host_wait_ready(host);
	test.phone = device_new(h, PHONE);
	test.sender = device_new_handler(h, "sender");
	device_connect(test.phone);
	device_connect(test.sender);
	for (size_t situation = 0; situation < sizeof(situations) / sizeof(situations[0]); situation++)
		for (size_t fault = 0; fault < sizeof(faults) / sizeof(faults[0]); fault++)
			try_one(&test, situation, fault);
	database_wait_count(h, test.database, "parked_commands", "{}", 0);
	host_stop(host);
	assert_int_equal(account_read(host).rejected, 0);
	/* Only what die() has sent. */
	assert_documents(&test, "dead_letters", "{\"handler\":{\"$ne\":\"count_up\"}}", 0);
	assert_documents(&test, "dead_letters", "{\"user_id\":\"" PHONE "\"}", 0);
}

HARNESS_MAIN(HARNESS_TEST(whatever_goes_wrong_it_is_done_once))
