/* test_dead_letters_replayed.c - `cashewd dead-letters replay` beside a host: what is replayed is run, may die again, and may kill again. */
#include "dead_letters_parts.h"
#include "harness.h"
#include "letter.h"
#include <signal.h>
#include <string.h>

/* ---- The whole way ---- */

/* A handler gives a command up; replayed as it was it dies again; with what it should have said, and where no
 * broker is, it is run. */
HARNESS_CASE(a_replayed_command_is_run)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_start(host);
	host_wait_ready(host);
	add_letters(h);
	struct device *asks = device_new(h, "1"), *asked = device_new(h, "2");
	device_connect(asks);
	device_connect(asked);
	expect(run(h, "replay", ID_1), 0, "1 dead letter replayed\n", "");
	device_expect_json(asked, "contact_requested", "{\"user_id\":\"1\"}");
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
	assert_int_equal(count(h, "contact_requests"), 1);
	/* its user goes on as before */
	device_command(asks, "ping", "1");
	device_expect(asks, "pong");
	assert_int_equal(letter_count(h, harness_database(h)), 4);
	host_stop(host);
}

HARNESS_CASE(a_replayed_command_dies_again)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	write_env(h, database_url(harness_database(h)));
	struct device *phone = device_new(h, "1");
	device_connect(phone);
	device_command(phone, "test_fail", "{\"a\":1}");
	host_wait_log_count(host, 1, "dead_letter", "handler", "test_fail");
	json_t *all = parsed(run(h, "list", "--json"));
	const char *id = harness_format(h, "%s", text_of(json_array_get(all, 0), "id"));
	assert_string_equal(text_of(json_array_get(all, 0), "payload"), "{\"a\":1}");
	json_decref(all);
	/* the product does not have that handler */
	expect(run(h, "replay", id), DATA, "0 dead letters replayed\n", "no handler wants its topic");
	expect(run_in(h, CASHEWD_TEST_PATH, (const char *const[]){"replay", id, NULL}), 0,
		"1 dead letter replayed\n", "");
	host_wait_log_count(host, 2, "dead_letter", "handler", "test_fail");
	all = parsed(run(h, "list", "--json"));
	assert_int_equal(json_array_size(all), 1);
	assert_string_not_equal(text_of(json_array_get(all, 0), "id"), id);
	assert_string_equal(text_of(json_array_get(all, 0), "payload"), "{\"a\":1}");
	json_decref(all);
	host_stop(host);
}

/* It has killed the host so often that it is dead, and its copies are, for ten minutes: until somebody replays it, or cashewd is started anew, as it is for a
 * mended program. */
HARNESS_CASE(what_killed_the_host_is_run_when_it_is_replayed)
{
	static const char payload[] = "{\"how\":\"segv\",\"times\":3}";
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_may_die(host);
	host_start(host);
	host_wait_ready(host);
	write_env(h, database_url(harness_database(h)));
	struct device *phone = device_new(h, "1");
	device_connect(phone);
	for (int i = 1; i <= 2; i++) {
		device_command(phone, "test_crash", payload);
		host_wait_log_count(host, (size_t)i, "dead_letter", "handler", "test_crash");
	}
	assert_int_equal(host_count_log(host, "handler_crashed"), 3);
	json_t *all = parsed(run(h, "list", "--json"));
	assert_int_equal(json_array_size(all), 2);
	/* the newest first: the copy's */
	assert_non_null(strstr(text_of(json_array_get(all, 0), "reason"), "less than 10 minutes after that"));
	assert_null(strstr(text_of(json_array_get(all, 1), "reason"), "10 minutes"));
	const char *id = harness_format(h, "%s", text_of(json_array_get(all, 0), "id"));
	json_decref(all);
	/* It is calm by now, as if its handler had been mended. */
	expect(run_in(h, CASHEWD_TEST_PATH, (const char *const[]){"replay", id, NULL}), 0,
		"1 dead letter replayed\n", "");
	device_expect(phone, "calm");
	device_command(phone, "test_crash", payload);
	device_expect(phone, "calm");
	assert_int_equal(letter_count(h, harness_database(h)), 1);
	host_stop(host);
}

HARNESS_CASE(what_killed_the_host_is_run_by_another_one)
{
	static const char payload[] = "{\"how\":\"segv\",\"times\":3}";
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_may_die(host);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "1");
	device_connect(phone);
	device_command(phone, "test_crash", payload);
	host_wait_log_count(host, 1, "dead_letter", "handler", "test_crash");
	/* The same supervisor's next host is the same program. */
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	host_expect_log(host, "host_stopped");
	device_command(phone, "test_crash", payload);
	host_wait_log_count(host, 2, "dead_letter", "handler", "test_crash");
	host_stop(host);
	host_start(host);
	host_wait_ready(host);
	device_command(phone, "test_crash", payload);
	device_expect(phone, "calm");
	assert_int_equal(host_count_log(host, "handler_crashed"), 3);
	assert_int_equal(letter_count(h, harness_database(h)), 2);
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(a_replayed_command_is_run), HARNESS_TEST(a_replayed_command_dies_again),
	HARNESS_TEST(what_killed_the_host_is_run_when_it_is_replayed),
	HARNESS_TEST(what_killed_the_host_is_run_by_another_one))
