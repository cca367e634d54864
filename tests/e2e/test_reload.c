/*
 * test_reload.c - SIGHUP: settings that do not pass a trial within five seconds leave the host that runs at work, and the log says why. The trial also
 * asks the broker for what the new token has to be allowed.
 */
#include "harness.h"
#include "port.h"
#include "relay.h"
#include "scripted_broker.h"
#include "token.h"
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIAL_MS = 5000, MARGIN_MS = 8000 /* a machine that has much else to do */ };

struct scene {
	struct harness *h;
	struct host *host;
	struct device *phone;
	pid_t first;
	size_t pongs;
};

static struct scene begin(struct harness *h)
{
	struct scene scene = {.h = h, .host = host_new(h, HOST_PRODUCT), .phone = device_new(h, "68946")};
	host_start(scene.host);
	host_wait_ready(scene.host);
	device_connect(scene.phone);
	scene.first = host_child_pid(scene.host);
	return scene;
}

/* The case's host with one setting changed, or two; given by SIGHUP. */
static void reload_with(struct scene *scene, const char *const pairs[][2])
{
	struct host *other = host_new(scene->h, HOST_PRODUCT);
	for (size_t i = 0; pairs[i][0]; i++)
		host_set(other, pairs[i][0], pairs[i][1]);
	host_write_env(other);
	const char *env = harness_format(scene->h, "%s/.env", host_folder(scene->host));
	assert_int_equal(rename(harness_format(scene->h, "%s/.env", host_folder(other)), env), 0);
	host_signal(scene->host, SIGHUP);
}

static void expect_reason(struct host *host, const char *words)
{
	const int64_t from_ms = harness_now_ms();
	const json_t *record = host_expect_log(host, "reload_failed", "reason", "*");
	const char *reason = json_string_value(json_object_get(record, "reason"));
	assert_in_range(harness_now_ms() - from_ms, 0, TRIAL_MS + MARGIN_MS);
	if (!strstr(reason, words))
		harness_fail("the reason is: %s", reason);
}

static void expect_failed(struct scene *scene, const char *words)
{
	expect_reason(scene->host, words);
	device_command(scene->phone, "ping", "1");
	device_wait_count(scene->phone, "pong", ++scene->pongs);
	assert_int_equal(host_child_pid(scene->host), scene->first);
	assert_int_equal(host_count_log(scene->host, "reloaded"), 0);
	assert_int_equal(host_count_log(scene->host, "session_taken_over"), 0);
}

static void fails(struct harness *h, const char *const pairs[][2], const char *words)
{
	struct scene scene = begin(h);
	reload_with(&scene, pairs);
	expect_failed(&scene, words);
	host_stop(scene.host);
}

static const char *free_port(struct harness *h)
{
	const int port = port_reserve();
	assert_true(port > 0);
	return harness_format(h, "%d", port);
}

HARNESS_CASE(bad_setting)
{
	fails(h, (const char *const[][2]){{"WORKERS", "many"}, {NULL}}, "WORKERS=many");
}

HARNESS_CASE(bad_token)
{
	fails(h, (const char *const[][2]){{"JWT_SECRET", "another-secret-of-forty-bytes-0123456789"}, {NULL}},
		"the broker refuses the connection");
}

HARNESS_CASE(bad_token_file)
{
	const char *path =
		harness_write_file(h, harness_path(h, "token"), "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.eyJ\n");
	fails(h, (const char *const[][2]){{"HANDLER_TOKEN_FILE", path}, {NULL}}, "HANDLER_TOKEN_FILE");
}

HARNESS_CASE(broker_that_is_not_there)
{
	fails(h, (const char *const[][2]){{"BROKER_PORT", free_port(h)}, {NULL}},
		"the broker cannot be used with the new settings: Connection refused");
}

HARNESS_CASE(broker_that_does_not_answer)
{
	struct relay *relay = relay_new(h, broker_port(harness_broker(h)));
	relay_set(relay, RELAY_BLACK_HOLE, 0);
	fails(h,
		(const char *const[][2]){{"BROKER_PORT", harness_format(h, "%u", relay_port(relay))}, {NULL}},
		"the broker cannot be used with the new settings: it does not answer within 5 s");
}

HARNESS_CASE(authority_of_another_broker)
{
	const char *good = broker_ca_file(harness_broker(h));
	fails(h,
		(const char *const[][2]){{"BROKER_CA_FILE", harness_format(h, "%.*s/other-authority.crt",
								    (int)(strrchr(good, '/') - good), good)},
			{NULL}},
		"the broker's certificate is refused");
}

HARNESS_CASE(file_that_is_no_certificate)
{
	fails(h, (const char *const[][2]){{"BROKER_CA_FILE", "/etc/hostname"}, {NULL}}, "/etc/hostname");
}

HARNESS_CASE(database_that_is_not_there)
{
	fails(h,
		(const char *const[][2]){
			{"MONGO_DB_URL", harness_format(h, "mongodb://127.0.0.1:%s", free_port(h))}, {NULL}},
		"the database cannot be used with the new settings: ping: No suitable servers found");
}

HARNESS_CASE(database_that_does_not_answer)
{
	struct relay *relay =
		relay_new(h, (unsigned)atoi(strrchr(database_url(harness_database(h)), ':') + 1));
	relay_set(relay, RELAY_BLACK_HOLE, 0);
	fails(h,
		(const char *const[][2]){
			{"MONGO_DB_URL", harness_format(h, "mongodb://127.0.0.1:%u", relay_port(relay))},
			{NULL}},
		"the database cannot be used with the new settings");
}

HARNESS_CASE(database_url_that_cannot_be_used)
{
	fails(h,
		(const char *const[][2]){
			{"MONGO_DB_URL", "mongodb://user:correct-horse@127.0.0.1:1/?tls=perhaps"}, {NULL}},
		"MONGO_DB_URL");
}

/* ---- Rights ---- */

/* A file with a handler's token that may do no more than that; the lists end with NULL. */
static const char *token_file(struct harness *h, const char *const *subscribe, const char *const *publish)
{
	struct token_topics topics = {.subscribe = subscribe, .publish = publish};
	while (subscribe[topics.subscribe_count])
		topics.subscribe_count++;
	while (publish[topics.publish_count])
		topics.publish_count++;
	char *token = NULL, reason[TOKEN_REASON_SIZE] = "";
	if (token_sign_locked_handler(
		    HARNESS_SECRET, "cashewd", &topics, (int64_t)time(NULL), 3600, &token, reason) != 0)
		harness_fail("no token: %s", reason);
	const char *path = harness_write_file(h, harness_path(h, "token"), harness_format(h, "%s\n", token));
	free(token);
	return path;
}

static const char *const everything[] = {"+/#", NULL};

HARNESS_CASE(token_that_may_not_subscribe)
{
	static const char *const most[] = {"+/get_apples", "+/ping", "+/get_contact_list", NULL};
	struct scene scene = begin(h);
	reload_with(&scene,
		(const char *const[][2]){{"HANDLER_TOKEN_FILE", token_file(h, most, everything)}, {NULL}});
	expect_failed(
		&scene, "the broker cannot be used with the new settings: the token may not subscribe to +/");
	assert_int_equal(host_count_log(scene.host, "subscription_refused"), 0);
	host_stop(scene.host);
}

HARNESS_CASE(token_that_may_not_publish)
{
	static const char *const few[] = {"+/pong", "+/command_failed", "+/command_rejected", NULL};
	struct scene scene = begin(h);
	reload_with(&scene,
		(const char *const[][2]){{"HANDLER_TOKEN_FILE", token_file(h, everything, few)}, {NULL}});
	expect_failed(&scene,
		"the broker cannot be used with the new settings: the token may not publish to trial_");
	host_stop(scene.host);
}

static bool is_of_the_trial(const char *topic)
{
	return strncmp(topic, "trial_", strlen("trial_")) == 0;
}

/* Commands go on while the rights are tried, and each runs once. Who subscribes to all sees what is tried: events alone, of a user whom nobody has. */
HARNESS_CASE(token_that_may_do_what_is_needed)
{
	enum { PINGS = 50 };
	struct scene scene = begin(h);
	struct device *all = device_new_handler(h, "all");
	device_connect(all);
	assert_int_equal(device_subscribe(all, "#", 1), 1);
	reload_with(&scene, (const char *const[][2]){
				    {"HANDLER_TOKEN_FILE", token_file(h, everything, everything)}, {NULL}});
	for (size_t i = 0; i < PINGS; i++)
		device_command(scene.phone, "ping", "1");
	host_expect_log(scene.host, "reloaded");
	device_wait_count(scene.phone, "pong", PINGS);
	host_expect_log(scene.host, "ready");
	device_command(scene.phone, "ping", "1");
	device_wait_count(scene.phone, "pong", PINGS + 1);
	device_wait_count(all, "68946/pong", PINGS + 1);
	size_t tried = 0;
	for (size_t i = 0; i < all->message_count; i++) {
		const char *topic = all->messages[i].topic;
		tried += is_of_the_trial(topic);
		assert_false(is_of_the_trial(topic) && strcmp(strchr(topic, '/'), "/ping") == 0);
	}
	/* Those that the handlers declare, and the host's own two. */
	assert_true(tried > 2);
	host_stop(scene.host);
	assert_int_equal(device_count(scene.phone, "pong"), PINGS + 1);
}

/* A host at a broker of a script, and its signal to try the same settings. */
static struct host *begin_scripted(struct harness *h, struct scripted_broker *broker)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_start(host);
	scripted_welcome(broker, NULL);
	host_wait_ready(host);
	host_signal(host, SIGHUP);
	return host;
}

/* The trial's next link. */
static struct scripted_link *accept_trial(struct scripted_broker *broker, bool grants)
{
	struct scripted_link *trial = scripted_accept(broker);
	assert_non_null(strstr(trial->connect->client_id, "-trial-"));
	trial->grants = grants;
	scripted_connack(trial, false, 0);
	return trial;
}

/* Some brokers have no other word for it, and it may be another fault: so it is tried again until the time is over. */
HARNESS_CASE(broker_that_closes_where_it_should_refuse)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = begin_scripted(h, broker);
	const pid_t first = host_child_pid(host);
	struct scripted_link *trial = accept_trial(broker, false);
	scripted_expect(trial, MQTT_SUBSCRIBE);
	scripted_close(trial);
	accept_trial(broker, false);
	expect_reason(host, "it ends the connection when asked to subscribe to +/");
	assert_int_equal(host_child_pid(host), first);
	host_stop(host);
}

/* Whatever is wrong on the first link, on the next one everything may be granted. */
HARNESS_CASE(broker_that_closes_once)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = begin_scripted(h, broker);
	struct scripted_link *trial = accept_trial(broker, false);
	scripted_expect(trial, MQTT_SUBSCRIBE);
	scripted_close(trial);
	trial = accept_trial(broker, true);
	scripted_settle(trial, NULL);
	scripted_expect(trial, MQTT_DISCONNECT);
	scripted_welcome(broker, NULL);
	host_expect_log(host, "reloaded");
	host_stop(host);
}

HARNESS_CASE(broker_that_refuses_an_event)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = begin_scripted(h, broker);
	struct scripted_link *trial = accept_trial(broker, true);
	const struct mqtt_packet *event = scripted_expect(trial, MQTT_PUBLISH);
	assert_true(is_of_the_trial(event->topic));
	scripted_puback(trial, event->mid, MQTT_RC_QUOTA_EXCEEDED);
	expect_reason(host, "the token may not publish to trial_");
	host_stop(host);
}

/* Which has a word for a filter that is refused, and none for an event: so none is tried. */
HARNESS_CASE(broker_that_speaks_mqtt_311)
{
	struct scripted_broker *broker = scripted_new(h);
	scripted_only_mqtt311(broker);
	struct host *host = begin_scripted(h, broker);
	struct scripted_link *trial = accept_trial(broker, false);
	scripted_suback(trial, scripted_expect(trial, MQTT_SUBSCRIBE), 0x80);
	expect_reason(host, "the token may not subscribe to +/");
	host_signal(host, SIGHUP);
	trial = accept_trial(broker, true);
	scripted_expect(trial, MQTT_DISCONNECT);
	assert_int_equal(scripted_count(trial, MQTT_PUBLISH), 0);
	scripted_welcome(broker, NULL);
	host_expect_log(host, "reloaded");
	host_stop(host);
}

/* ---- Good ones ---- */

/* One that passes after one that does not, and two signals in a row. */
HARNESS_CASE(good_settings)
{
	struct scene scene = begin(h);
	reload_with(&scene, (const char *const[][2]){{"BROKER_PORT", free_port(h)}, {NULL}});
	host_expect_log(scene.host, "reloading");
	host_signal(scene.host, SIGHUP);
	expect_failed(&scene, "the broker cannot be used");
	expect_failed(&scene, "the broker cannot be used");
	reload_with(&scene, (const char *const[][2]){{"WORKERS", "3"}, {NULL}});
	host_expect_log(scene.host, "reloaded");
	host_expect_log(scene.host, "ready", "workers", "3");
	assert_int_not_equal(host_child_pid(scene.host), scene.first);
	device_command(scene.phone, "ping", "1");
	device_wait_count(scene.phone, "pong", ++scene.pongs);
	assert_int_equal(host_count_log(scene.host, "reload_failed"), 2);
	host_stop(scene.host);
}

/* The file is read again with the settings: a new secret needs no restart. */
HARNESS_CASE(secret_in_a_file)
{
	const char *secret = harness_write_file(h, "jwt_secret", HARNESS_SECRET "\n");
	struct scene scene = {.h = h, .host = host_new(h, HOST_PRODUCT), .phone = device_new(h, "68946")};
	host_set(scene.host, "JWT_SECRET", NULL);
	host_set(scene.host, "JWT_SECRET_FILE", secret);
	host_start(scene.host);
	host_wait_ready(scene.host);
	device_connect(scene.phone);
	scene.first = host_child_pid(scene.host);
	harness_write_file(h, secret, "another-secret-of-forty-bytes-0123456789\n");
	host_signal(scene.host, SIGHUP);
	expect_failed(&scene, "the broker refuses the connection");
	harness_write_file(h, secret, HARNESS_SECRET "\n");
	host_signal(scene.host, SIGHUP);
	host_expect_log(scene.host, "reloaded");
	host_wait_ready(scene.host);
	assert_false(host_wrote(scene.host, HARNESS_SECRET));
	host_stop(scene.host);
}

HARNESS_MAIN(HARNESS_TEST(bad_setting), HARNESS_TEST(bad_token), HARNESS_TEST(bad_token_file),
	HARNESS_TEST(broker_that_is_not_there), HARNESS_TEST(broker_that_does_not_answer),
	HARNESS_TEST(authority_of_another_broker), HARNESS_TEST(file_that_is_no_certificate),
	HARNESS_TEST(database_that_is_not_there), HARNESS_TEST(database_that_does_not_answer),
	HARNESS_TEST(database_url_that_cannot_be_used), HARNESS_TEST(token_that_may_not_subscribe),
	HARNESS_TEST(token_that_may_not_publish), HARNESS_TEST(token_that_may_do_what_is_needed),
	HARNESS_TEST(broker_that_closes_where_it_should_refuse), HARNESS_TEST(broker_that_closes_once),
	HARNESS_TEST(broker_that_refuses_an_event), HARNESS_TEST(broker_that_speaks_mqtt_311),
	HARNESS_TEST(good_settings), HARNESS_TEST(secret_in_a_file))
