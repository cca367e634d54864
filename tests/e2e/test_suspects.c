/*
 * test_suspects.c - commands that kill the host whenever they are run: each becomes a dead letter after
 * CRASH_LIMIT crashes and is not run again, and everybody else is served meanwhile.
 */
#include "account.h"
#include "harness.h"
#include "letter.h"
#include <signal.h>
#include <sys/stat.h>

/* A second by design; a sanitizer makes the next host slow to start. */
#ifdef __SANITIZE_ADDRESS__
enum { OTHERS_WAIT_MS = 10000 };
#elif defined(__SANITIZE_THREAD__)
enum { OTHERS_WAIT_MS = 10000 };
#else
enum { OTHERS_WAIT_MS = 1000 };
#endif

enum { CRASH_LIMIT = 3 };

struct scene {
	struct harness *h;
	struct host *host;
	struct device *victim, *other;
};

static struct scene begin(struct harness *h)
{
	struct scene scene = {.h = h, .host = host_new(h, HOST_WITH_TEST_HANDLERS)};
	host_may_die(scene.host);
	host_start(scene.host);
	host_wait_ready(scene.host);
	scene.victim = device_new(h, "68946");
	scene.other = device_new(h, "23412");
	device_connect(scene.victim);
	device_connect(scene.other);
	return scene;
}

static void crash(struct scene *scene, const char *command, const char *how)
{
	device_command(
		scene->victim, command, harness_format(scene->h, "{\"how\":\"%s\",\"times\":1000}", how));
}

static size_t crashes(const struct scene *scene)
{
	struct stat status;
	const char *path = harness_format(scene->h, "%s/crashes", host_folder(scene->host));
	return stat(path, &status) == 0 ? (size_t)status.st_size : 0;
}

static void expect_letter(const struct scene *scene, const char *command, const char *what, unsigned attempts)
{
	letter_expect(scene->h, harness_database(scene->h),
		.topic = harness_format(scene->h, "68946/%s", command), .handler = command,
		.reason = harness_format(scene->h, "handler %s killed the host 3 times: %s", command, what),
		.attempts = attempts);
	json_t *found = database_find(scene->h, harness_database(scene->h), "dead_letters", "{}");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(found, 0), "crashes")), 3);
	json_decref(found);
	database_wait_count(scene->h, harness_database(scene->h), "parked_commands", "{\"done\":null}", 0);
}

/* It is not run again, neither in this life of the host nor in the next. */
static void assert_given_up(struct scene *scene, size_t count)
{
	assert_int_equal(crashes(scene), count);
	device_command(scene->victim, "ping", "\"after\"");
	device_expect_json(scene->victim, "pong", "\"after\"");
	host_stop(scene->host);
	host_start(scene->host);
	host_wait_ready(scene->host);
	device_command(scene->victim, "ping", "\"again\"");
	device_expect_json(scene->victim, "pong", "\"again\"");
	assert_int_equal(crashes(scene), count);
	assert_int_equal(letter_count(scene->h, harness_database(scene->h)), 1);
	host_stop(scene->host);
	assert_int_equal(account_read(scene->host).left_to_the_broker, 0);
}

/* What its user sent after it is done in its turn. */
static void crashes_too_often(struct harness *h, const char *command, const char *how, const char *what)
{
	struct scene scene = begin(h);
	crash(&scene, command, how);
	device_command(scene.victim, "ping", "\"behind\"");
	expect_letter(&scene, command, what, 3);
	device_expect_json(scene.victim, "pong", "\"behind\"");
	assert_int_equal(device_count(scene.victim, "calm"), 0);
	host_wait_log_count(scene.host, 1, "dead_letter", "handler", command);
	assert_given_up(&scene, 3);
}

HARNESS_CASE(crashes_are_limited)
{
	crashes_too_often(h, "test_crash", "segv", "SIGSEGV");
}

HARNESS_CASE(crashes_of_a_light_handler_are_limited)
{
	crashes_too_often(h, "test_crash_light", "abort", "SIGABRT");
}

HARNESS_CASE(hangs_are_limited)
{
	crashes_too_often(h, "test_crash", "hang", "hung");
}

struct answer {
	const struct device *device;
	size_t count;
};

static bool answered(void *context)
{
	const struct answer *answer = context;
	return device_count(answer->device, "pong") >= answer->count;
}

/* Whoever else sends a command has to wait for a second at most: for the next host, and while the suspect is
 * being tried. One that hangs takes two seconds each time. */
static void others_are_served(struct harness *h, const char *how)
{
	struct scene scene = begin(h);
	crash(&scene, "test_crash", how);
	int64_t longest_ms = 0;
	struct answer answer = {.device = scene.other};
	while (letter_count(h, harness_database(h)) == 0) {
		const int64_t start_ms = harness_now_ms();
		device_publish(scene.other, "ping", "1");
		answer.count++;
		harness_wait(h, answered, &answer, "%zu pings to be answered", answer.count);
		const int64_t took_ms = harness_now_ms() - start_ms;
		longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
	}
	print_message("%s: the other user waited for %d ms at most, in %zu pings\n", how, (int)longest_ms,
		answer.count);
	assert_int_equal(crashes(&scene), 3);
	assert_in_range(longest_ms, 0, OTHERS_WAIT_MS);
	assert_given_up(&scene, 3);
}

HARNESS_CASE(others_are_served_between_crashes)
{
	others_are_served(h, "segv");
}

HARNESS_CASE(others_are_served_while_a_suspect_hangs)
{
	others_are_served(h, "hang");
}

/* A kill leaves no mark, and blames nobody the first times: who ran at each of several is tried alone, and then it is found; the others come
 * to their end, and pay nothing. */
HARNESS_CASE(culprit_is_found_without_a_mark)
{
	struct scene scene = begin(h);
	device_command(scene.other, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, scene.host, "a", 1);
	crash(&scene, "test_crash", "kill");
	gate_open(h, scene.host, "a");
	device_expect(scene.other, "gate_passed");
	expect_letter(&scene, "test_crash", "SIGKILL", LETTER_ANY_ATTEMPTS);
	/* Without a mark as often as with one, at most. */
	assert_in_range(crashes(&scene), CRASH_LIMIT + 1, 2 * CRASH_LIMIT);
	assert_int_equal(host_count_log(scene.host, "command_parked", "user", "23412"), 0);
	assert_given_up(&scene, crashes(&scene));
}

/* A command from the database that runs when its host is killed: the next host of the same supervisor has its
 * claim, and need not wait for the end of the lease. */
HARNESS_CASE(claim_passes_to_the_next_host)
{
	struct scene scene = begin(h);
	device_command(scene.victim, "test_flaky", "{\"gate\":\"a\",\"hold\":\"held\"}");
	device_command(scene.victim, "ping", "1");
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", 2);
	gate_open(h, scene.host, "a");
	gate_wait_runs(h, scene.host, "held", 1);
	const int64_t start_ms = harness_now_ms();
	host_signal_child(scene.host, SIGKILL);
	gate_wait_runs(h, scene.host, "held", 2);
	/* The lease is 20 s. */
	assert_true(harness_now_ms() - start_ms < 15000);
	assert_int_equal(device_count(scene.victim, "pong"), 0);
	gate_open(h, scene.host, "held");
	device_expect(scene.victim, "flaky_passed");
	device_expect(scene.victim, "pong");
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", 0);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
	host_stop(scene.host);
}

HARNESS_MAIN(HARNESS_TEST(crashes_are_limited), HARNESS_TEST(crashes_of_a_light_handler_are_limited),
	HARNESS_TEST(hangs_are_limited), HARNESS_TEST(others_are_served_between_crashes),
	HARNESS_TEST(others_are_served_while_a_suspect_hangs), HARNESS_TEST(culprit_is_found_without_a_mark),
	HARNESS_TEST(claim_passes_to_the_next_host))
