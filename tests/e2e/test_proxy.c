/*
 * test_proxy.c - hosts whose way to the broker goes through an HTTP proxy, tinyproxy: all is as without it, also where the proxy dies, and what it refuses
 * is told. Devices go to the broker as they always do.
 */
#include "broker_parts.h"
#include "doctor_parts.h"
#include "harness.h"
#include "http_proxy.h"
#include "pings.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN	 "cashewd open-s3same"
#define GOOD	 "cashewd:open-s3same"
#define BAD	 "cashewd:open-barley"
#define PASSWORD "s3same"

static struct http_proxy *start_proxy(struct harness *h, const char *login)
{
	struct http_proxy *proxy = http_proxy_new(h, login);
	http_proxy_start(proxy);
	return proxy;
}

static struct broker *start_broker(struct harness *h, const struct broker_options *options)
{
	struct broker *broker = broker_new(h, options);
	broker_start(broker);
	return broker;
}

static struct host *start_host(struct harness *h, const struct broker *broker, const char *url)
{
	struct host *host = new_host(h, broker);
	host_set(host, "BROKER_PROXY", url);
	host_start(host);
	return host;
}

static const char *place_of(struct harness *h, const struct broker *broker)
{
	return harness_format(h, "localhost:%u", broker_handler_port(broker));
}

static const char *reason_of(const json_t *record)
{
	return json_string_value(json_object_get(record, "reason"));
}

/* ---- All is as without it ---- */

static void story(struct harness *h, const struct broker_options *options)
{
	struct broker *broker = start_broker(h, options);
	struct http_proxy *proxy = start_proxy(h, LOGIN);
	struct host *host = start_host(h, broker, http_proxy_url(proxy, GOOD));
	host_wait_ready(host);
	struct device *phone = connect_device(h, broker, "68946");
	device_command(phone, "get_apples", "{}");
	device_expect_json(phone, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	/* Commands and events. */
	assert_in_range(http_proxy_count(proxy, place_of(h, broker)), 2, 10);
	host_stop(host);
	assert_false(host_wrote(host, PASSWORD));
}

HARNESS_CASE(story_over_tls)
{
	story(h, NULL);
}

HARNESS_CASE(story_without_tls)
{
	story(h, &(struct broker_options){.plain = true});
}

HARNESS_CASE(story_over_websocket)
{
	story(h, &(struct broker_options){.websocket = true});
}

/* That variable is for Loggly; nobody listens there. */
HARNESS_CASE(https_proxy_is_not_the_brokers)
{
	struct host *host = new_host(h, harness_broker(h));
	host_set_environment(host, "https_proxy", "http://127.0.0.1:1");
	host_set_environment(host, "ALL_PROXY", "http://127.0.0.1:1");
	host_start(host);
	host_wait_ready(host);
	assert_serves(h, harness_broker(h));
}

/* ---- Nothing is lost ---- */

HARNESS_CASE(proxy_is_killed_and_comes_back)
{
	struct broker *broker = harness_broker(h);
	struct http_proxy *proxy = start_proxy(h, LOGIN);
	struct host *host = start_host(h, broker, http_proxy_url(proxy, GOOD));
	host_wait_ready(host);
	struct pings pings = {.phone = connect_device(h, broker, "68946")};
	pings_send(h, pings.phone, 0, PINGS / 2);
	device_wait_count(pings.phone, "pong", 1);
	http_proxy_kill(proxy);
	host_expect_log(host, "broker_lost", "connection", "main");
	host_expect_log(host, "broker_unreachable", "connection", "main", "reason",
		harness_format(h, "the proxy 127.0.0.1:%u: Connection refused", http_proxy_port(proxy)));
	pings_send(h, pings.phone, PINGS / 2, PINGS);
	http_proxy_start(proxy);
	host_wait_ready(host);
	harness_wait(h, pings_answered, &pings, "answers to all %d pings", PINGS);
	assert_int_equal(host_count_log(host, "session_lost"), 0);
}

/* ---- What it refuses ---- */

/* Where nobody listens, as the proxy finds out; then it is the next one's turn. */
HARNESS_CASE(second_name_is_tried)
{
	struct http_proxy *proxy = start_proxy(h, NULL);
	struct host *host = new_host(h, harness_broker(h));
	host_set(host, "BROKER_HOST", "127.99.99.99,localhost");
	host_set(host, "BROKER_PROXY", http_proxy_url(proxy, NULL));
	host_start(host);
	const json_t *record =
		host_expect_log(host, "broker_unreachable", "connection", "main", "broker", "127.99.99.99");
	assert_non_null(
		strstr(reason_of(record), " answered HTTP 500 (Unable to connect) to CONNECT 127.99.99.99:"));
	host_expect_log(host, "broker_connected", "connection", "main", "broker", "localhost");
	host_wait_ready(host);
	assert_serves(h, harness_broker(h));
}

/* And SIGHUP brings the right login, or none that is worse. */
HARNESS_CASE(login_is_refused_until_it_is_right)
{
	struct http_proxy *proxy = start_proxy(h, LOGIN);
	struct host *host = start_host(h, harness_broker(h), http_proxy_url(proxy, NULL));
	const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_non_null(strstr(reason_of(record), " answered HTTP 407 ("));
	assert_non_null(
		strstr(reason_of(record), "it wants a login: set BROKER_PROXY to http://USER:PASSWORD@"));

	host_set(host, "BROKER_PROXY", http_proxy_url(proxy, GOOD));
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_wait_ready(host);
	assert_serves(h, harness_broker(h));

	host_set(host, "BROKER_PROXY", http_proxy_url(proxy, BAD));
	host_write_env(host);
	host_signal(host, SIGHUP);
	record = host_expect_log(host, "reload_failed");
	assert_non_null(
		strstr(reason_of(record), "it does not take the user and the password in BROKER_PROXY"));
	assert_serves(h, harness_broker(h));
	host_stop(host);
	assert_false(host_wrote(host, PASSWORD));
	assert_false(host_wrote(host, "barley"));
}

/* What is behind it is not the broker of the certificate. */
HARNESS_CASE(certificate_must_be_the_brokers)
{
	struct broker *broker = start_broker(h, &(struct broker_options){.certificate = BROKER_WRONG_NAME});
	struct http_proxy *proxy = start_proxy(h, NULL);
	struct host *host = start_host(h, broker, http_proxy_url(proxy, NULL));
	const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_non_null(strstr(reason_of(record), "certificate is not for localhost"));
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

/* ---- The doctor ---- */

HARNESS_CASE(doctor_goes_the_same_way)
{
	struct http_proxy *proxy = start_proxy(h, LOGIN);
	struct host *doctor = doctor_new(h);
	harness_broker(h);
	host_set(doctor, "BROKER_HOST", "127.99.99.99,localhost");
	host_set(doctor, "BROKER_PROXY", http_proxy_url(proxy, GOOD));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_name", "ok", "the host in BROKER_PROXY, 127.0.0.1 is an address");
	expect_line(&visit, "broker_tcp", "ok",
		harness_format(h, "the proxy 127.0.0.1 port %u answers", http_proxy_port(proxy)));
	expect_line(&visit, "broker_tcp", "warn", "to CONNECT 127.99.99.99:");
	expect_line(&visit, "broker_tcp", "ok", "connects to localhost port ");
	expect_line(&visit, "broker_tls", "ok", "TLSv1.");
	expect_line(&visit, "broker_login", "ok", "is accepted");
	expect_line(&visit, "access", "ok", "commands arrive");
	assert_int_equal(visit.code, 0);
	assert_null(strstr(output(h, doctor), PASSWORD));
	forget(&visit);
}

HARNESS_CASE(doctor_says_which_step_fails)
{
	struct http_proxy *proxy = start_proxy(h, LOGIN);
	struct host *doctor = doctor_new(h);
	harness_broker(h);
	host_set(doctor, "BROKER_PROXY", http_proxy_url(proxy, BAD));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tcp", "ok", "the proxy 127.0.0.1 port ");
	expect_line(
		&visit, "broker_tcp", "fail", "it does not take the user and the password in BROKER_PROXY");
	expect_line(&visit, "broker_tls", "skip", "needs broker_tcp");
	assert_null(strstr(output(h, doctor), "barley"));
	forget(&visit);

	host_set(doctor, "BROKER_PROXY", "http://proxy.invalid:3128");
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_name", "the host in BROKER_PROXY, proxy.invalid: ");
	forget(&visit);

	http_proxy_kill(proxy);
	host_set(doctor, "BROKER_PROXY", http_proxy_url(proxy, GOOD));
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_tcp", "Connection refused");
	forget(&visit);
}

HARNESS_MAIN(HARNESS_TEST(story_over_tls), HARNESS_TEST(story_without_tls),
	HARNESS_TEST(story_over_websocket), HARNESS_TEST(https_proxy_is_not_the_brokers),
	HARNESS_TEST(proxy_is_killed_and_comes_back), HARNESS_TEST(second_name_is_tried),
	HARNESS_TEST(login_is_refused_until_it_is_right), HARNESS_TEST(certificate_must_be_the_brokers),
	HARNESS_TEST(doctor_goes_the_same_way), HARNESS_TEST(doctor_says_which_step_fails))
