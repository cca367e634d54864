/*
 * test_renewed.c - files that are renewed while a host runs: certificates, authorities and the token count without a restart and without SIGHUP; and
 * what is said of a certificate of the host's own that ends.
 */
#include "harness_private.h"
#include "own_certificate.h"
#include "port.h"
#include "token.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = OWN_CERTIFICATE_DAY_S, HOUR_S = 3600, EXIT_FAILED = 1 };

/* Into the place of what is there, in one moment. */
static void replace_file(struct harness *h, const char *from, const char *to)
{
	const char *fresh = harness_format(h, "%s.new", to);
	harness_write_file(h, fresh, harness_read_file(h, from));
	assert_int_equal(rename(fresh, to), 0);
}

/* ---- The broker ---- */

static void write_token(struct harness *h, const char *path, const char *secret)
{
	char *token = NULL;
	assert_int_equal(token_sign_handler(secret, "cashewd", time(NULL), HOUR_S, &token), 0);
	harness_write_file(h, path, token);
	free(token);
}

HARNESS_CASE(broker_files_are_read_anew)
{
	struct broker *broker = harness_broker(h);
	const char *good = broker_ca_file(broker), *authority = harness_path(h, "authority.pem"),
		   *token = harness_path(h, "token");
	const char *other =
		harness_format(h, "%.*s/other-authority.crt", (int)(strrchr(good, '/') - good), good);
	replace_file(h, good, authority);
	write_token(h, token, HARNESS_SECRET);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "BROKER_CA_FILE", authority);
	host_set(host, "HANDLER_TOKEN_FILE", token);
	host_start(host);
	host_wait_ready(host);
	/* A broker with a certificate of another authority, and a token that it does not take. */
	write_token(h, token, "another-secret-of-forty-bytes-0123456789");
	broker_stop(broker);
	broker_set_certificate(broker, BROKER_OTHER_CA);
	broker_start(broker);
	while (!strstr(json_string_value(json_object_get(host_expect_log(host, "broker_unreachable",
								 "connection", "main", "reason", "*"),
			       "reason")),
		"certificate"))
		continue;
	replace_file(h, other, authority);
	while (!strstr(json_string_value(json_object_get(host_expect_log(host, "broker_unreachable",
								 "connection", "main", "reason", "*"),
			       "reason")),
		"HANDLER_TOKEN_FILE"))
		continue;
	write_token(h, token, HARNESS_SECRET);
	host_wait_ready(host);
	assert_int_equal(host_count_log(host, "host_started"), 1);
	host_stop(host);
}

HARNESS_CASE(own_certificate_that_ends_is_told)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	const char *certificate = harness_path(h, "client.crt"), *key = harness_path(h, "client.key");
	host_set(host, "BROKER_CERT_FILE", certificate);
	host_set(host, "BROKER_KEY_FILE", key);
	own_certificate_write(certificate, key, "client", 3 * DAY_S + HOUR_S, "w");
	host_start(host);
	const json_t *record = host_expect_log(host, "own_certificate_ends", "level", "warn", "setting",
		"BROKER_CERT_FILE", "file", certificate, "end", "*");
	assert_non_null(strstr(json_string_value(json_object_get(record, "end")), ", in 3 days"));
	host_wait_ready(host);
	host_stop(host);
	own_certificate_write(certificate, key, "client", -HOUR_S, "w");
	host_start(host);
	record = host_expect_log(host, "own_certificate_ended", "level", "error", "setting",
		"BROKER_CERT_FILE", "file", certificate, "end", "*");
	assert_non_null(strstr(json_string_value(json_object_get(record, "end")), "ended on 20"));
	host_wait_ready(host);
	host_stop(host);
}

HARNESS_CASE(broker_that_refuses_an_own_certificate_is_told_of_by_its_name)
{
	const char *client = harness_path(h, "client.crt"), *key = harness_path(h, "client.key");
	own_certificate_write(client, key, "client", -HOUR_S, "w");
	/* This line belongs to the last listener, which is the one for devices. */
	struct broker *broker =
		harness_broker_with(h, &(struct broker_options){.extra = "require_certificate true\n"});
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, broker);
	host_set(host, "BROKER_CERT_FILE", client);
	host_set(host, "BROKER_KEY_FILE", key);
	host_set(host, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	host_start(host);
	/* Now and then the broker's reset is faster than what it has said before. */
	const char *reason;
	do
		reason = json_string_value(json_object_get(
			host_expect_log(host, "broker_unreachable", "reason", "*"), "reason"));
	while (!strstr(reason, client));
	if (!strstr(reason, "which ended on 20"))
		harness_fail("%s", reason);
	host_stop(host);
}

/* ---- The database, behind TLS ---- */

struct relayed {
	struct harness_process process;
	const char *server, *client_authorities, *authorities, *client, *ready, *log, *url;
	const char *argv[8];
};

static bool is_ready(void *context)
{
	const struct relayed *relayed = context;
	return access(relayed->ready, F_OK) == 0;
}

static void relay_start(struct harness *h, struct relayed *relayed)
{
	const struct process_options options = {.argv = relayed->argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = relayed->log,
		.death_signal = SIGKILL};
	(void)unlink(relayed->ready);
	if (process_start(&relayed->process.process, &options) != 0)
		harness_fail("the relay could not be started");
	harness_wait(h, is_ready, relayed, "the relay to listen");
}

/* All its connections end. */
static void relay_restart(struct harness *h, struct relayed *relayed)
{
	relayed->process.process.awaited = true;
	process_signal(&relayed->process.process, SIGKILL);
	if (!process_reap(&relayed->process.process, HARNESS_TIMEOUT_MS))
		harness_fail("the relay did not end");
	relay_start(h, relayed);
}

/* Certificates for both sides, each of which vouches for itself; those of the host's side as they were renewed. */
static void make_certificates(
	struct harness *h, struct relayed *relayed, const char *name, long client_ends_in_s)
{
	const char *server = harness_path(h, "server-%s.pem", name),
		   *client = harness_path(h, "client-%s.pem", name);
	own_certificate_write(server, server, harness_format(h, "server %s", name), 100L * DAY_S, "w");
	own_certificate_write(client, client, harness_format(h, "client %s", name), client_ends_in_s, "w");
	replace_file(h, server, relayed->server);
	replace_file(h, client, relayed->client_authorities);
}

static void renew(struct harness *h, struct relayed *relayed, const char *name)
{
	replace_file(h, harness_path(h, "server-%s.pem", name), relayed->authorities);
	replace_file(h, harness_path(h, "client-%s.pem", name), relayed->client);
}

static struct relayed *relayed_database(struct harness *h, long client_ends_in_s)
{
	struct relayed *relayed = harness_alloc(h, sizeof(*relayed));
	const int port = port_reserve();
	assert_true(port > 0);
	const char *target = strrchr(database_url(harness_database(h)), ':') + 1;
	*relayed = (struct relayed){.process = {.name = "the relay"},
		.server = harness_path(h, "server.pem"),
		.client_authorities = harness_path(h, "client-authorities.pem"),
		.authorities = harness_path(h, "authorities.pem"),
		.client = harness_path(h, "client.pem"),
		.ready = harness_path(h, "relay-ready"),
		.log = harness_path(h, "relay.log")};
	relayed->url = harness_format(h,
		"mongodb://localhost:%d/?tls=true&tlsCAFile=%s&tlsCertificateKeyFile=%s&serverSelectionTimeoutMS=2000",
		port, relayed->authorities, relayed->client);
	const char *const argv[] = {"python3", SOURCE_DIR "/tests/e2e/tls_relay.py",
		harness_format(h, "%d", port), target, relayed->server, relayed->client_authorities,
		relayed->ready, NULL};
	memcpy(relayed->argv, argv, sizeof(argv));
	harness_add_process(h, &relayed->process);
	harness_watch_folder(h, harness_folder(h));
	make_certificates(h, relayed, "first", client_ends_in_s);
	renew(h, relayed, "first");
	relay_start(h, relayed);
	return relayed;
}

static struct host *relayed_host(struct harness *h, const struct relayed *relayed)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "MONGO_DB_URL", relayed->url);
	host_set(host, "MONGO_DB_NAME", harness_database_name(h));
	return host;
}

HARNESS_CASE(database_files_are_read_anew)
{
	struct relayed *relayed = relayed_database(h, 50L * DAY_S);
	struct host *host = relayed_host(h, relayed);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	/* Renewed on both sides, one after the other: what is connected goes on. */
	make_certificates(h, relayed, "second", 60L * DAY_S);
	renew(h, relayed, "second");
	host_expect_log(host, "store_renewed");
	device_command(phone, "get_more_apples", "{}");
	device_wait_count(phone, "got_apples", 2);
	assert_int_equal(host_count_log(host, "store_away"), 0);
	/* And what is connected anew has to show the new one. */
	relay_restart(h, relayed);
	device_command(phone, "request_contact", "{\"contact_id\":\"23412\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 1);
	/* Renewed while the database cannot be reached with what was there. */
	make_certificates(h, relayed, "third", 70L * DAY_S);
	relay_restart(h, relayed);
	host_expect_log(host, "store_away");
	renew(h, relayed, "third");
	host_expect_log(host, "store_up");
	host_wait_ready(host);
	device_command(phone, "request_contact", "{\"contact_id\":\"777\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 2);
	assert_int_equal(host_count_log(host, "host_started"), 1);
	assert_int_equal(host_count_log(host, "reloading"), 0);
	host_stop(host);
}

HARNESS_CASE(database_files_that_do_not_work_leave_those_that_do)
{
	struct relayed *relayed = relayed_database(h, 50L * DAY_S);
	struct host *host = relayed_host(h, relayed);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "request_contact", "{\"contact_id\":\"1\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 1);
	/* A client's certificate that the server does not know. */
	const char *stranger = harness_path(h, "stranger.pem");
	own_certificate_write(stranger, stranger, "stranger", 60L * DAY_S, "w");
	replace_file(h, stranger, relayed->client);
	host_expect_log(host, "store_not_renewed", "reason", "*");
	device_command(phone, "request_contact", "{\"contact_id\":\"2\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 2);
	assert_int_equal(host_count_log(host, "store_renewed"), 0);
	/* Those that work are good for new connections, too. */
	relay_restart(h, relayed);
	device_command(phone, "request_contact", "{\"contact_id\":\"3\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 3);
	harness_write_file(h, relayed->client, "rubbish");
	const json_t *record;
	do
		record = host_expect_log(host, "store_not_renewed", "reason", "*");
	while (!strstr(
		json_string_value(json_object_get(record, "reason")), "client.pem, holds no certificate"));
	renew(h, relayed, "first");
	host_expect_log(host, "store_renewed");
	device_command(phone, "request_contact", "{\"contact_id\":\"4\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 4);
	assert_int_equal(host_count_log(host, "store_not_renewed"), 2);
	host_stop(host);
}

HARNESS_CASE(own_certificate_for_the_database_that_ends_is_told)
{
	struct relayed *relayed = relayed_database(h, 13L * DAY_S + HOUR_S);
	struct host *host = relayed_host(h, relayed);
	host_start(host);
	host_expect_log(host, "own_certificate_ends", "setting", "MONGO_DB_URL", "file", relayed->client);
	host_wait_ready(host);
	host_stop(host);
}

/* ---- The doctor ---- */

static const char *examine(struct harness *h, struct host *doctor, int expected)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "20", NULL};
	const char *output = harness_format(h, "%s/cashewd.log", host_folder(doctor));
	(void)unlink(output);
	host_set_arguments(doctor, arguments);
	host_start(doctor);
	assert_int_equal(host_wait_exit(doctor), expected);
	return harness_read_file(h, output);
}

static void expect_words(const char *text, const char *words)
{
	if (!strstr(text, words))
		harness_fail("it does not say \"%s\":\n%s", words, text);
}

HARNESS_CASE(doctor_names_own_certificates_that_end)
{
	struct relayed *relayed = relayed_database(h, 13L * DAY_S + HOUR_S);
	struct host *doctor = relayed_host(h, relayed);
	const char *certificate = harness_path(h, "mine.crt"), *key = harness_path(h, "mine.key");
	own_certificate_write(certificate, key, "mine", -HOUR_S, "w");
	host_set(doctor, "BROKER_CERT_FILE", certificate);
	host_set(doctor, "BROKER_KEY_FILE", key);
	const char *text = examine(h, doctor, EXIT_FAILED);
	expect_words(text, harness_format(h, "this host's own certificate, BROKER_CERT_FILE=%s, ended on 20",
				   certificate));
	expect_words(
		text, harness_format(h, "this host's own certificate, tlsCertificateKeyFile=%s, ends on 20",
			      relayed->client));
	expect_words(text, ", in 13 days");
}

HARNESS_MAIN(HARNESS_TEST(broker_files_are_read_anew), HARNESS_TEST(own_certificate_that_ends_is_told),
	HARNESS_TEST(broker_that_refuses_an_own_certificate_is_told_of_by_its_name),
	HARNESS_TEST(database_files_are_read_anew),
	HARNESS_TEST(database_files_that_do_not_work_leave_those_that_do),
	HARNESS_TEST(own_certificate_for_the_database_that_ends_is_told),
	HARNESS_TEST(doctor_names_own_certificates_that_end))
