/*
 * test_store_away.c - the database is not there: at the start, later, in whatever way. The host says so,
 * acknowledges nothing, and carries on by itself when it is back.
 */
#include "account.h"
#include "harness.h"
#include "scripted_broker.h"
#include <string.h>

enum { COMMANDS = 100 };

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

/* A host whose session the broker has, with a database of the case's own. */
static struct host *start_host(struct harness *h)
{
	(void)harness_own_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_start(host);
	host_wait_ready(host);
	return host;
}

/* Each to another user: every one of them must leave a document. */
static void request_contacts(struct harness *h, struct device *device, int first)
{
	for (int i = first; i < first + COMMANDS; i++)
		device_publish(
			device, "request_contact", harness_format(h, "{\"contact_id\":\"contact-%03d\"}", i));
	device_wait_all_pubacks(device);
}

static void assert_requests(struct harness *h, int count)
{
	json_t *found;
	database_wait_count(h, harness_database(h), "contact_requests", "{}", (size_t)count);
	found = database_find(h, harness_database(h), "contact_requests", "{}");
	for (int i = 0; i < count; i++)
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(found, (size_t)i), "_id")),
			harness_format(h, "contact-%03d/68946", i));
	json_decref(found);
}

/* Watches for a moment. */
static void assert_unanswered(struct harness *h, const struct device *device)
{
	harness_watch(h, 500);
	assert_int_equal(device->message_count, 0);
}

HARNESS_CASE(away_at_the_start)
{
	struct host *host = start_host(h);
	struct database *database = harness_database(h);
	host_stop(host);
	database_stop(database);
	host_start(host);
	host_expect_log(host, "store_away", "level", "error", "reason", "*");
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "ping", "1");
	device_command(phone, "get_apples", "{}");
	request_contacts(h, phone, 0);
	assert_unanswered(h, phone);
	/* Told once, not again and again. */
	assert_int_equal(host_count_log(host, "store_away"), 1);
	database_start(database);
	host_wait_ready(host);
	device_expect_json(phone, "pong", "1");
	device_expect(phone, "got_apples");
	assert_requests(h, COMMANDS);
}

HARNESS_CASE(never_there_is_no_reason_to_end)
{
	struct database *database = harness_own_database_stopped(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_start(host);
	host_expect_log(host, "store_away");
	harness_watch(h, 5000);
	assert_true(host_running(host));
	database_start(database);
	host_wait_ready(host);
	/* The indexes and apples that it makes at the start are there. */
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "get_more_apples", "{}");
	device_wait_count(phone, "got_apples", 2);
	database_wait_count(h, database, "apples", "{}", 3);
}

HARNESS_CASE(stopped_later)
{
	struct host *host = start_host(h);
	struct database *database = harness_database(h);
	struct device *phone = connect_device(h, "68946");
	request_contacts(h, phone, 0);
	assert_requests(h, COMMANDS);
	database_stop(database);
	host_expect_log(host, "store_away");
	host_expect_log(host, "not_ready");
	request_contacts(h, phone, COMMANDS);
	device_command(phone, "ping", "1");
	assert_unanswered(h, phone);
	const size_t rss_kib = host_rss_kib(host);
	database_start(database);
	host_wait_ready(host);
	device_expect_json(phone, "pong", "1");
	assert_requests(h, 2 * COMMANDS);
	assert_in_range(host_rss_kib(host), 1, rss_kib + MEMORY_SLACK_KIB);
}

/* With commands in flight at the very moment; it comes back once that was noticed. */
static void gone_amid_commands(
	struct harness *h, void (*away)(struct database *database), void (*back)(struct database *database))
{
	struct host *host = start_host(h);
	struct database *database = harness_database(h);
	struct device *phone = connect_device(h, "68946");
	host_expect_log(host, "store_up"); /* of the start */
	for (int i = 0; i < COMMANDS; i++)
		device_publish(
			phone, "request_contact", harness_format(h, "{\"contact_id\":\"contact-%03d\"}", i));
	device_wait_puback(phone, 0);
	away(database);
	host_expect_log(host, "store_away");
	/* Longer than the driver's time-outs, and than the keepalive lets acknowledgements be held. */
	harness_watch(h, 22000);
	back(database);
	host_expect_log(host, "store_up");
	device_wait_all_pubacks(phone);
	assert_requests(h, COMMANDS);
	host_stop(host);
	/* Each was acknowledged once: nothing is left, and nothing died. */
	const struct account account = account_read(host);
	assert_int_equal(account.done, COMMANDS);
	assert_int_equal(account.dead, 0);
	assert_int_equal(account.rejected, 0);
}

HARNESS_CASE(killed_amid_commands)
{
	gone_amid_commands(h, database_kill, database_start);
}

HARNESS_CASE(paused_amid_commands)
{
	gone_amid_commands(h, database_pause, database_resume);
}

HARNESS_CASE(stop_while_it_is_away)
{
	struct host *host = start_host(h);
	database_pause(harness_database(h));
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "request_contact", "{\"contact_id\":\"1\"}");
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	/* STOP_TIMEOUT is 12 s. */
	assert_in_range(harness_now_ms() - from_ms, 0, 20000);
	database_resume(harness_database(h));
	host_start(host);
	host_wait_ready(host);
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 1);
}

/* ---- Every packet seen ---- */

static struct host *start_scripted(
	struct harness *h, struct scripted_broker *broker, struct scripted_pair *ret_links)
{
	(void)harness_own_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_start(host);
	*ret_links = scripted_welcome(broker, NULL);
	host_wait_ready(host);
	return host;
}

HARNESS_CASE(connection_is_dropped_unacknowledged_and_opened_when_it_is_back)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start_scripted(h, broker, &links);
	database_kill(harness_database(h));
	scripted_publish(links.ingress,
		&(struct scripted_publish){
			.mid = 7, .topic = "1/request_contact", .payload = "{\"contact_id\":\"2\"}"});
	/* One rule for the lane: those that need no database wait as well. */
	scripted_publish(
		links.ingress, &(struct scripted_publish){.mid = 8, .topic = "1/ping", .payload = "1"});
	scripted_expect_close(links.ingress);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	assert_int_equal(scripted_count(links.ingress, MQTT_DISCONNECT), 0);
	host_expect_log(host, "store_away");
	/* The egress connection needs no database. */
	assert_true(links.egress->fd >= 0);

	database_start(harness_database(h));
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	assert_true(scripted_is_ingress(links.ingress));
	scripted_publish(links.ingress, &(struct scripted_publish){.mid = 7,
						.duplicate = true,
						.topic = "1/request_contact",
						.payload = "{\"contact_id\":\"2\"}"});
	for (;;) {
		const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
		scripted_puback(links.egress, event->mid, 0);
		if (strcmp(event->topic, "2/contact_requested") == 0)
			break;
	}
	(void)scripted_expect_puback(links.ingress, 7);
	assert_int_equal(database_count(h, harness_database(h), "contact_requests", "{}"), 1);
}

HARNESS_CASE(dead_letter_that_cannot_be_written_is_not_acknowledged)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	(void)start_scripted(h, broker, &links);
	database_kill(harness_database(h));
	scripted_publish(links.ingress,
		&(struct scripted_publish){.mid = 7, .topic = "1/no_such_command", .payload = "1"});
	scripted_expect_close(links.ingress);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	database_start(harness_database(h));
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	scripted_publish(links.ingress,
		&(struct scripted_publish){
			.mid = 7, .duplicate = true, .topic = "1/no_such_command", .payload = "1"});
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_string_equal(event->topic, "1/command_failed");
	assert_int_equal(database_count(h, harness_database(h), "dead_letters", "{}"), 1);
	scripted_puback(links.egress, event->mid, 0);
	(void)scripted_expect_puback(links.ingress, 7);
	assert_int_equal(
		database_count(h, harness_database(h), "dead_letters", "{\"topic\":\"1/no_such_command\"}"),
		1);
}

HARNESS_MAIN(HARNESS_TEST(away_at_the_start), HARNESS_TEST(never_there_is_no_reason_to_end),
	HARNESS_TEST(stopped_later), HARNESS_TEST(killed_amid_commands), HARNESS_TEST(paused_amid_commands),
	HARNESS_TEST(stop_while_it_is_away),
	HARNESS_TEST(connection_is_dropped_unacknowledged_and_opened_when_it_is_back),
	HARNESS_TEST(dead_letter_that_cannot_be_written_is_not_acknowledged))
