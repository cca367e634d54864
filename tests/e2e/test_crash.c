/*
 * test_crash.c - handlers that crash or hang: the log says which handler, on which command; the next host
 * goes on with everybody's commands, and nothing is lost.
 */
#include "account.h"
#include "harness.h"
#include <signal.h>
#include <string.h>

/* A sanitizer writes on where the handler has left off. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BEGUN_LINES = 0 };
#else
enum { BEGUN_LINES = 1 };
#endif

struct crash {
	const char *how;
	const char *topic;
	const char *what; /* told in the log */
	bool hung;
};

struct phones {
	struct device *victim, *other;
};

static struct host *start(struct harness *h, struct phones *ret)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_may_die(host);
	host_start(host);
	host_wait_ready(host);
	ret->victim = device_new(h, "68946");
	ret->other = device_new(h, "23412");
	device_connect(ret->victim);
	device_connect(ret->other);
	return host;
}

/* Whether the log names all that there is to name, and the next host runs the command to its end. */
static void crash(struct harness *h, const struct crash *kind)
{
	struct phones phones;
	struct host *host = start(h, &phones);
	const pid_t first = host_child_pid(host);
	device_command(phones.victim, kind->topic, harness_format(h, "{\"how\":\"%s\"}", kind->how));
	const json_t *told = host_expect_log(host, kind->hung ? "handler_hung" : "handler_crashed", "handler",
		kind->topic, "topic", harness_format(h, "68946/%s", kind->topic), "user", "68946", "attempt",
		"1", "what", kind->what, "crashes", "1");
	const char *backtrace = json_string_value(json_object_get(told, "backtrace"));
	if (strcmp(kind->how, "thread_exit") != 0)
		assert_non_null(strstr(backtrace ? backtrace : "", "cashewd-test-host("));
	host_expect_log(host, "host_died", "blamed", "1");
	/* What the handler had printed is in the log, each line one of it; the beginning of one where a crash could still be noticed. */
	assert_int_equal(host_count_log(host, "host_output", "message",
				 harness_format(h, "about to end by %s", kind->how)),
		1);
	if (BEGUN_LINES && strcmp(kind->how, "thread_exit") != 0)
		assert_int_equal(
			host_count_log(host, "host_output", "message", harness_format(h, "%s is", kind->how)),
			1);
	/* Somebody else is served by the next host. */
	device_command(phones.other, "ping", "1");
	host_wait_ready(host);
	device_expect(phones.other, "pong");
	device_expect(phones.victim, "calm");
	assert_int_not_equal(host_child_pid(host), first);
	assert_int_equal(host_count_log(host, "host_died"), 1);
	/* A command was to blame, so there was no reason to wait. */
	assert_int_equal(host_count_log(host, "host_delayed"), 0);
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.done, 2);
	assert_int_equal(account.left_to_the_broker, 0);
}

#define CRASH_CASE(name, ...)                                   \
	HARNESS_CASE(name)                                      \
	{                                                       \
		static const struct crash kind = {__VA_ARGS__}; \
		crash(h, &kind);                                \
	}

CRASH_CASE(sigsegv, "segv", "test_crash", "SIGSEGV", false)
CRASH_CASE(abort_called, "abort", "test_crash", "SIGABRT", false)
CRASH_CASE(stack_overflow, "overflow", "test_crash", "SIGSEGV", false)
CRASH_CASE(exit_called, "exit", "test_crash", "exit(3)", false)
CRASH_CASE(hang_in_a_worker, "hang", "test_crash", "hung", true)
CRASH_CASE(endless_loop_in_a_worker, "spin", "test_crash", "hung", true)
CRASH_CASE(thread_that_ends_in_a_worker, "thread_exit", "test_crash", "hung", true)
CRASH_CASE(sigsegv_in_a_light_handler, "segv", "test_crash_light", "SIGSEGV", false)
CRASH_CASE(exit_called_in_a_light_handler, "exit", "test_crash_light", "exit(3)", false)
CRASH_CASE(hang_in_a_light_handler, "hang", "test_crash_light", "hung", true)

/* What runs beside the one that crashes is not to blame, and comes to its end. */
HARNESS_CASE(others_that_ran_are_not_to_blame)
{
	struct phones phones;
	struct host *host = start(h, &phones);
	device_command(phones.other, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	device_command(phones.victim, "test_crash", "{\"how\":\"segv\"}");
	host_expect_log(host, "host_died", "blamed", "1", "near", "0");
	gate_wait_runs(h, host, "a", 2);
	gate_open(h, host, "a");
	device_expect(phones.other, "gate_passed");
	device_expect(phones.victim, "calm");
	assert_int_equal(host_count_log(host, "handler_crashed"), 1);
}

/* Without a mark, all that ran were near, and nobody is to blame. */
HARNESS_CASE(end_without_a_mark)
{
	static const char *const hows[] = {"kill", "_exit"};
	struct phones phones;
	struct host *host = start(h, &phones);
	for (int i = 0; i < 2; i++) {
		const char *gate = i == 0 ? "a" : "b";
		device_command(phones.other, "test_gate", harness_format(h, "{\"gate\":\"%s\"}", gate));
		gate_wait_runs(h, host, gate, 1);
		device_command(phones.victim, "test_crash",
			harness_format(h, "{\"how\":\"%s\",\"times\":%d}", hows[i], i + 1));
		host_expect_log(host, "host_died", "how", i == 0 ? "SIGKILL" : "exit code 3", "blamed", "0",
			"near", "2");
		gate_wait_runs(h, host, gate, 2);
		gate_open(h, host, gate);
		device_expect(phones.other, "gate_passed");
		device_expect(phones.victim, "calm");
	}
	assert_int_equal(host_count_log(host, "handler_crashed"), 0);
	/* Each host that died had acknowledged something, or was the first. */
	assert_int_equal(host_count_log(host, "host_delayed"), 0);
}

/* A store that does not answer is no handler's fault, however long they wait for it. */
HARNESS_CASE(handler_that_waits_for_the_store_is_not_hung)
{
	struct database *database = harness_own_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_database(host, database);
	host_set(host, "HANDLER_TIMEOUT", "1");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946"), *contact = device_new(h, "23412");
	device_connect(phone);
	device_connect(contact);
	database_pause(database);
	device_command(phone, "request_contact", "{\"contact_id\":\"23412\"}");
	host_expect_log(host, "store_away");
	database_resume(database);
	device_expect_json(contact, "contact_requested", "{\"user_id\":\"68946\"}");
	assert_int_equal(host_count_log(host, "handler_hung"), 0);
}

/* Nor is one that was stopped, with the whole host. */
HARNESS_CASE(stopped_host_is_not_hung)
{
	struct phones phones;
	struct host *host = start(h, &phones);
	host_set(host, "HANDLER_TIMEOUT", "1");
	host_stop(host);
	host_start(host);
	host_wait_ready(host);
	device_command(phones.victim, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	host_signal_child(host, SIGSTOP);
	harness_watch(h, 4000);
	gate_open(h, host, "a");
	host_signal_child(host, SIGCONT);
	device_expect(phones.victim, "gate_passed");
	assert_int_equal(host_count_log(host, "host_died"), 0);
	assert_int_equal(gate_runs(h, host, "a"), 1);
}

HARNESS_MAIN(HARNESS_TEST(sigsegv), HARNESS_TEST(abort_called), HARNESS_TEST(stack_overflow),
	HARNESS_TEST(exit_called), HARNESS_TEST(hang_in_a_worker), HARNESS_TEST(endless_loop_in_a_worker),
	HARNESS_TEST(thread_that_ends_in_a_worker), HARNESS_TEST(sigsegv_in_a_light_handler),
	HARNESS_TEST(exit_called_in_a_light_handler), HARNESS_TEST(hang_in_a_light_handler),
	HARNESS_TEST(others_that_ran_are_not_to_blame), HARNESS_TEST(end_without_a_mark),
	HARNESS_TEST(handler_that_waits_for_the_store_is_not_hung), HARNESS_TEST(stopped_host_is_not_hung))
