/*
 * test_metrics.c - what an operator's monitoring sees: numbers that are those of what was sent, that outlive
 * a host that is killed, and that promtool has nothing to say about; and a readiness that tells what is
 * missing.
 */
#include "account.h"
#include "port.h"
#include "relay.h"
#include "scrape.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LOAD = 400, REJECTED = 30, EXIT_NOT_FOUND = 127 };

static struct host *start_at(struct harness *h, enum host_program program, const char *address)
{
	struct host *host = host_new(h, program);
	host_set(host, "METRICS_ADDR", address);
	host_start(host);
	host_wait_ready(host);
	return host;
}

/* Prometheus's own opinion: it prints what is wrong or bad style, and exits with something else than 0. */
static void lint(const struct scrape *scrape)
{
	FILE *promtool = popen("promtool check metrics 2>&1 >/dev/null", "w");
	assert_non_null(promtool);
	assert_int_equal(fputs(scrape->body, promtool) >= 0, 1);
	const int status = pclose(promtool);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		harness_fail("promtool check metrics does not like it: status %d", status);
}

static bool promtool_is_here(void)
{
	return system("command -v promtool >/dev/null 2>&1") == 0;
}

static void send_load(struct device *phone, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		device_publish(phone, i % 2 == 0 ? "get_apples" : "ping", "{}");
}

HARNESS_CASE(numbers_are_those_of_what_was_sent)
{
	struct host *host = start_at(h, HOST_PRODUCT, "127.0.0.1:0");
	struct scrape *scrape = scrape_new(h, host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	send_load(phone, LOAD);
	for (unsigned i = 0; i < REJECTED; i++)
		device_publish(phone, "get_apples", "no JSON");
	/* While they are under way. */
	for (unsigned i = 0; i < 20; i++)
		scrape_metrics(scrape);
	scrape_wait_value(scrape, "cashewd_acknowledgements_total{lane=\"main\"}", LOAD + REJECTED);
	/* What is so at the moment is told a little later than what is counted. */
	scrape_wait_value(scrape, "cashewd_events_awaiting", 0);
	scrape_wait_value(scrape, "cashewd_held_commands{lane=\"main\"}", 0);
	scrape_wait_value(scrape, "cashewd_commands_in_flight", 0);

	static const struct {
		const char *series;
		double value;
	} expected[] = {
		{"cashewd_commands_total{end=\"done\"}", LOAD},
		{"cashewd_commands_total{end=\"rejected\"}", REJECTED},
		{"cashewd_commands_total{end=\"dead\"}", 0},
		{"cashewd_handler_commands_total{handler=\"ping\",end=\"done\"}", LOAD / 2},
		{"cashewd_handler_runs_total{handler=\"ping\",end=\"done\"}", LOAD / 2},
		{"cashewd_handler_runs_total{handler=\"get_apples\",end=\"done\"}", LOAD / 2},
		{"cashewd_handler_runs_total{handler=\"get_apples\",end=\"rejected\"}", REJECTED},
		{"cashewd_handler_commands_total{handler=\"get_apples\",end=\"rejected\"}", REJECTED},
		{"cashewd_handler_duration_seconds_count{handler=\"get_apples\"}", LOAD / 2 + REJECTED},
		{"cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"+Inf\"}",
			LOAD / 2 + REJECTED},
		{"cashewd_handler_runs_total{handler=\"request_contact\",end=\"done\"}", 0},
		{"cashewd_events_total{end=\"acknowledged\"}", LOAD + REJECTED},
		{"cashewd_events_total{end=\"refused\"}", 0},
		{"cashewd_events_awaiting", 0},
		{"cashewd_queue_depth", 0},
		{"cashewd_connection_state{connection=\"main\",state=\"up\"}", 1},
		{"cashewd_connection_state{connection=\"egress\",state=\"up\"}", 1},
		{"cashewd_connections_opened_total{connection=\"main\"}", 1},
		{"cashewd_connections_lost_total{connection=\"main\"}", 0},
		{"cashewd_store_up", 1},
		{"cashewd_store_writable", 1},
		{"cashewd_ready", 1},
		{"cashewd_host_up", 1},
		{"cashewd_hosts_started_total", 1},
		{"cashewd_workers", 8},
		{"cashewd_loggly_on", 0},
	};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (scrape_value(scrape, expected[i].series) != expected[i].value)
			harness_fail("%s is %g, expected %g", expected[i].series,
				scrape_value(scrape, expected[i].series), expected[i].value);
	assert_true(scrape_value(scrape, "cashewd_hold_seconds_count{lane=\"main\"}") >= 1);
	assert_true(scrape_value(scrape, "process_resident_memory_bytes{process=\"host\"}") > 1e6);
	assert_true(scrape_value(scrape, "cashewd_subscriptions{lane=\"main\"}") ==
		    scrape_value(scrape, "cashewd_subscriptions_granted{lane=\"main\"}"));
}

HARNESS_CASE(promtool_has_nothing_to_say)
{
	if (!promtool_is_here()) {
		print_message("skipped: promtool is not here (examples/packages/install checks brings it)\n");
		skip();
	}
	struct host *host = start_at(h, HOST_WITH_TEST_HANDLERS, "127.0.0.1:0");
	struct scrape *scrape = scrape_new(h, host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	scrape_metrics(scrape);
	lint(scrape);
	send_load(phone, LOAD);
	device_publish(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	scrape_wait_value(scrape, "cashewd_handler_running{handler=\"test_gate\"}", 1);
	assert_true(scrape_value(scrape, "cashewd_commands_in_flight") >= 1);
	lint(scrape);
	assert_true(strstr(scrape->head, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	/* And it would say something. */
	assert_int_not_equal(system("echo 'bad_metricTotal 1' | promtool check metrics >/dev/null 2>&1"), 0);
}

HARNESS_CASE(counters_outlive_a_host_that_is_killed)
{
	struct host *host = start_at(h, HOST_PRODUCT, "127.0.0.1:0");
	host_may_die(host);
	struct scrape *scrape = scrape_new(h, host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	for (unsigned round = 1; round <= 2; round++) {
		send_load(phone, LOAD);
		scrape_metrics(scrape);
		host_signal_child(host, SIGKILL);
		for (unsigned i = 0; i < 20; i++)
			scrape_metrics(scrape);
		scrape_wait_value(scrape, "cashewd_host_ends_total{how=\"killed\"}", round);
		host_wait_ready(host);
		/* All of them, by whichever host. */
		scrape_wait_value(scrape, "cashewd_commands_in_flight", 0);
		device_command(phone, "get_contact_list", "{}");
		device_expect(phone, "contact_list");
		scrape_wait_value(scrape,
			"cashewd_handler_commands_total{handler=\"get_contact_list\",end=\"done\"}", round);
	}
	scrape_metrics(scrape);
	assert_true(scrape_value(scrape, "cashewd_commands_total{end=\"done\"}") >= 2 * LOAD);
	assert_true(
		scrape_value(scrape, "cashewd_handler_runs_total{handler=\"ping\",end=\"done\"}") >= LOAD);
	assert_true(scrape_value(scrape, "cashewd_hosts_started_total") == 3);
	assert_true(scrape_value(scrape, "cashewd_connections_opened_total{connection=\"main\"}") == 3);
	assert_true(scrape_value(scrape, "cashewd_host_up") == 1);
}

HARNESS_CASE(a_crash_has_the_handlers_name)
{
	struct host *host = start_at(h, HOST_WITH_TEST_HANDLERS, "127.0.0.1:0");
	host_may_die(host);
	struct scrape *scrape = scrape_new(h, host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "test_crash", "{\"how\":\"segv\"}");
	device_expect(phone, "calm");
	scrape_wait_value(scrape, "cashewd_handler_deaths_total{handler=\"test_crash\",kind=\"crashed\"}", 1);
	assert_true(scrape_value(scrape, "cashewd_host_ends_total{how=\"crashed\"}") == 1);
	assert_true(scrape_value(scrape,
			    "cashewd_handler_deaths_total{handler=\"test_crash\",kind=\"hung\"}") == 0);
}

HARNESS_CASE(a_backlog_and_a_lost_session_show)
{
	struct host *host = start_at(h, HOST_WITH_TEST_HANDLERS, "127.0.0.1:0");
	struct scrape *scrape = scrape_new(h, host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	scrape_wait_value(scrape, "cashewd_backlogs", 0);
	device_command(phone, "test_flaky", "{\"gate\":\"a\"}");
	scrape_wait_value(scrape, "cashewd_backlogs", 1);
	device_disconnect(phone);
	/* The broker comes back with its sessions, and then without. */
	broker_stop(harness_broker(h));
	broker_start(harness_broker(h));
	scrape_wait_value(scrape, "cashewd_connections_opened_total{connection=\"main\"}", 2);
	assert_true(scrape_value(scrape, "cashewd_sessions_lost_total{lane=\"main\"}") == 0);
	broker_kill(harness_broker(h));
	broker_forget(harness_broker(h));
	broker_start(harness_broker(h));
	scrape_wait_value(scrape, "cashewd_sessions_lost_total{lane=\"main\"}", 1);
	host_expect_log(host, "session_lost", "connection", "main");
	assert_int_equal(host_count_log(host, "session_lost", "connection", "main"), 1);
	host_wait_ready(host);
	gate_open(h, host, "a");
	scrape_wait_value(scrape, "cashewd_backlogs", 0);
}

HARNESS_CASE(ready_says_what_is_missing)
{
	struct database *database = harness_own_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_database(host, database);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_start(host);
	struct scrape *scrape = scrape_new(h, host);
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
	scrape_wait_page(scrape, "/healthz", 200, "ok\n");
	broker_stop(harness_broker(h));
	scrape_wait_page(scrape, "/readyz", 503, "broker: lane main: not connected");
	scrape_wait_page(scrape, "/readyz", 503, "broker: egress: not connected");
	scrape_wait_page(scrape, "/healthz", 200, "ok\n");
	broker_start(harness_broker(h));
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
	database_pause(database);
	scrape_wait_page(scrape, "/readyz", 503, "store: it does not answer");
	scrape_wait_page(scrape, "/healthz", 200, "ok\n");
	database_resume(database);
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
}

/* A host that has nothing to do, since there is no store, is not one that hangs. What is missing is named alone. */
HARNESS_CASE(ready_takes_no_idle_host_for_one_that_hangs)
{
	enum { HANGS_MS = 10000 };
	struct database *database = harness_own_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_database(host, database);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	database_stop(database);
	host_start(host);
	struct scrape *scrape = scrape_new(h, host);
	host_expect_log(host, "store_away");
	scrape_wait_page(scrape, "/readyz", 503, "store: it does not answer");
	harness_watch(h, HANGS_MS + 2000);
	assert_true(scrape_page(scrape, "/readyz"));
	assert_int_equal(scrape->status, 503);
	assert_null(strstr(scrape->body, "has not turned"));
}

/* As with a full disk, or rights that are missing: it answers every question, and takes no write. Here a rule
 * of the collection refuses it. */
HARNESS_CASE(ready_needs_a_store_that_takes_writes)
{
	database_command(h, harness_database(h),
		"{\"create\":\"hosts\",\"validator\":{\"never\":{\"$exists\":true}}}");
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_start(host);
	struct scrape *scrape = scrape_new(h, host);
	host_expect_log(host, "store_refuses_writes");
	/* Nor may it be active: it cannot write its lease. What is sent waits at the broker. */
	scrape_wait_page(scrape, "/readyz", 503, "store: it answers, but does not take writes\n");
	assert_int_equal(host_count_log(host, "active"), 0);
	assert_int_equal(host_count_log(host, "broker_connected", "connection", "main"), 0);
	scrape_wait_value(scrape, "cashewd_store_writable", 0);
	assert_true(scrape_value(scrape, "cashewd_store_up") == 1);
	database_command(h, harness_database(h), "{\"drop\":\"hosts\"}");
	host_expect_log(host, "store_takes_writes");
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
	database_wait_count(h, harness_database(h), "hosts", "{\"_id\":\"cashewd\"}", 1);
}

/* A role that is missing for one collection: the host is not ready, the page names it, and what would need it waits at the broker. */
HARNESS_CASE(ready_needs_each_collection)
{
	const char *url = database_url(harness_database(h));
	struct relay *relay = relay_new(h, (unsigned)strtoul(strrchr(url, ':') + 1, NULL, 10));
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_set(host, "MONGO_DB_URL", harness_format(h, "mongodb://127.0.0.1:%u/", relay_port(relay)));
	relay_refuse(relay, "contact_requests");
	host_start(host);
	struct scrape *scrape = scrape_new(h, host);
	host_expect_log(host, "collection_refused", "collection", "contact_requests", "reason", "*");
	scrape_wait_page(
		scrape, "/readyz", 503, "store: it refuses this host the collection contact_requests\n");
	scrape_wait_value(scrape, "cashewd_store_refused", 1);
	assert_int_equal(host_count_log(host, "active"), 0);
	relay_refuse(relay, NULL);
	host_expect_log(host, "collection_granted", "collection", "contact_requests");
	host_wait_ready(host);
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
	scrape_wait_value(scrape, "cashewd_store_refused", 0);
	struct device *phone = device_new(h, "68946"), *contact = device_new(h, "23412");
	device_connect(phone);
	device_connect(contact);
	/* It is taken away again while the host runs: whoever needs it first shows that. */
	relay_refuse(relay, "contacts");
	device_command(phone, "request_contact", "{\"contact_id\":\"23412\"}");
	host_expect_log(host, "collection_refused", "collection", "contacts");
	scrape_wait_page(scrape, "/readyz", 503, "store: it refuses this host the collection contacts\n");
	relay_refuse(relay, NULL);
	device_expect_json(contact, "contact_requested", "{\"user_id\":\"68946\"}");
	scrape_wait_page(scrape, "/readyz", 200, "ready\n");
	assert_int_equal(database_count(h, harness_database(h), "dead_letters", "{}"), 0);
	/* What was tried has left nothing. */
	assert_int_equal(database_count(h, harness_database(h), "contacts", "{}"), 0);
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
	host_stop(host);
}

HARNESS_CASE(a_port_that_is_taken_is_a_warning)
{
	const char *address = harness_format(h, "127.0.0.1:%d", port_reserve());
	struct host *first = start_at(h, HOST_PRODUCT, address);
	struct host *second = host_new(h, HOST_PRODUCT);
	host_set(second, "METRICS_ADDR", address);
	host_set(second, "CLIENT_ID", "cashewd-second");
	host_start(second);
	host_expect_log(
		second, "metrics_failed", "setting", "METRICS_ADDR", "reason", "Address already in use");
	host_wait_ready(second);
	host_stop(first);
	host_expect_log(second, "metrics_on", "address", address);
	assert_int_equal(host_count_log(second, "metrics_failed"), 1);
}

HARNESS_CASE(another_address_at_sighup)
{
	const char *address = harness_format(h, "127.0.0.1:%d", port_reserve());
	struct host *host = start_at(h, HOST_PRODUCT, "127.0.0.1:0");
	struct scrape *before = scrape_new(h, host);
	scrape_metrics(before);
	host_set(host, "METRICS_ADDR", address);
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	struct scrape *after = scrape_new(h, host);
	assert_false(scrape_page(before, "/metrics"));
	scrape_wait_page(after, "/readyz", 200, "ready\n");
	host_set(host, "METRICS_ADDR", "off");
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "metrics_off");
	assert_false(scrape_page(after, "/metrics"));
}

/* A browser here that is led to the pages by a stranger's name sees none of them. */
HARNESS_CASE(names_that_lead_here)
{
	const char *address = harness_format(h, "127.0.0.1:%d", port_reserve());
	struct host *host = start_at(h, HOST_PRODUCT, address);
	struct scrape *scrape = scrape_new(h, host);
	scrape->asked_as = "host1.example.com";
	static const char *const pages[] = {"/metrics", "/healthz", "/readyz", "/status"};
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		scrape_wait_page(scrape, pages[i], 403, "METRICS_HOSTS");
	host_set(host, "METRICS_HOSTS", "host1.example.com");
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	scrape_wait_page(scrape, "/healthz", 200, "ok\n");
	scrape_wait_page(scrape, "/status", 403, "clients on the same machine");
}

HARNESS_MAIN(HARNESS_TEST(numbers_are_those_of_what_was_sent), HARNESS_TEST(promtool_has_nothing_to_say),
	HARNESS_TEST(counters_outlive_a_host_that_is_killed), HARNESS_TEST(a_crash_has_the_handlers_name),
	HARNESS_TEST(a_backlog_and_a_lost_session_show), HARNESS_TEST(ready_says_what_is_missing),
	HARNESS_TEST(ready_takes_no_idle_host_for_one_that_hangs),
	HARNESS_TEST(ready_needs_a_store_that_takes_writes), HARNESS_TEST(ready_needs_each_collection),
	HARNESS_TEST(a_port_that_is_taken_is_a_warning), HARNESS_TEST(another_address_at_sighup),
	HARNESS_TEST(names_that_lead_here))
