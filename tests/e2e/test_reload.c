/*
 * test_reload.c - SIGHUP: settings that do not pass a trial within five seconds leave the host that runs at work, and the log says why.
 */
#include "harness.h"
#include "port.h"
#include "relay.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	for (size_t i = 0; pairs[i][0] != NULL; i++)
		host_set(other, pairs[i][0], pairs[i][1]);
	host_write_env(other);
	const char *env = harness_format(scene->h, "%s/.env", host_folder(scene->host));
	assert_int_equal(rename(harness_format(scene->h, "%s/.env", host_folder(other)), env), 0);
	host_signal(scene->host, SIGHUP);
}

static void expect_failed(struct scene *scene, const char *words)
{
	const int64_t from_ms = harness_now_ms();
	const json_t *record = host_expect_log(scene->host, "reload_failed", "reason", "*");
	const char *reason = json_string_value(json_object_get(record, "reason"));
	assert_in_range(harness_now_ms() - from_ms, 0, TRIAL_MS + MARGIN_MS);
	if (strstr(reason, words) == NULL)
		harness_fail("the reason is: %s", reason);
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

HARNESS_MAIN(HARNESS_TEST(bad_setting), HARNESS_TEST(bad_token), HARNESS_TEST(bad_token_file),
	HARNESS_TEST(broker_that_is_not_there), HARNESS_TEST(broker_that_does_not_answer),
	HARNESS_TEST(authority_of_another_broker), HARNESS_TEST(file_that_is_no_certificate),
	HARNESS_TEST(database_that_is_not_there), HARNESS_TEST(database_that_does_not_answer),
	HARNESS_TEST(database_url_that_cannot_be_used), HARNESS_TEST(good_settings))
