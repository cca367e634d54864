/*
 * test_doctor.c - `cashewd doctor`: what it finds where all is well, and where one thing is wrong, in words
 * and by its exit code.
 */
#include "harness_private.h"
#include "port.h"
#include "scripted_broker.h"
#include "scripted_mongo.h"
#include "token.h"
#include "wall_clock.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

/* One run of it. */
struct visit {
	struct host *host; /* its settings, working directory and output */
	int code;
	json_t *json;
};

static char *read_all(struct harness *h, const char *path)
{
	FILE *file = fopen(path, "re");
	char buffer[64 * 1024];
	assert_non_null(file);
	buffer[fread(buffer, 1, sizeof(buffer) - 1, file)] = '\0';
	fclose(file);
	return harness_format(h, "%s", buffer);
}

static const char *output(struct harness *h, const struct host *host)
{
	return read_all(h, harness_format(h, "%s/cashewd.log", host_folder(host)));
}

/* A doctor with the settings that a host would have. */
static struct host *doctor_new(struct harness *h)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "30", NULL};
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set_arguments(host, arguments);
	return host;
}

/* What one says that was started. */
static struct visit conclude(struct harness *h, struct host *doctor)
{
	struct visit visit = {.host = doctor};
	json_error_t error;
	visit.code = host_wait_exit(doctor);
	const char *text = output(h, doctor);
	assert_null(strstr(text, HARNESS_SECRET));
	visit.json = json_loads(text, 0, &error);
	if (visit.json == NULL)
		harness_fail("its output is no JSON: %s\n%s", error.text, text);
	assert_int_equal(visit.code == 0, json_is_true(json_object_get(visit.json, "ok")));
	return visit;
}

static struct visit examine(struct harness *h, struct host *doctor)
{
	(void)unlink(harness_format(h, "%s/cashewd.log", host_folder(doctor)));
	host_start(doctor);
	return conclude(h, doctor);
}

/* The first line of that check with that outcome, which has the text in what was seen; NULL: there is none. */
static const json_t *line_of(
	const struct visit *visit, const char *check, const char *outcome, const char *text)
{
	size_t i;
	const json_t *line;
	json_array_foreach(json_object_get(visit->json, "checks"), i, line)
	{
		if (strcmp(json_string_value(json_object_get(line, "check")), check) == 0 &&
			strcmp(json_string_value(json_object_get(line, "outcome")), outcome) == 0 &&
			strstr(json_string_value(json_object_get(line, "seen")), text) != NULL)
			return line;
	}
	return NULL;
}

#define HANDLERS_SECRET "h8Xq-2mVw7_Tc4Nd9Zb1Kf6Gj3Rs5Lp0"
#define expect_line(visit, check, outcome, text)                                                            \
	do {                                                                                                \
		if (line_of(visit, check, outcome, text) == NULL)                                           \
			harness_fail("there is no line \"%s %s\" with \"%s\" in\n%s", outcome, check, text, \
				output(h, (visit)->host));                                                  \
	} while (0)

/* A line that fails, and says what to do. */
#define expect_failure(visit, check, text)                                                       \
	do {                                                                                     \
		expect_line(visit, check, "fail", text);                                         \
		assert_int_equal((visit)->code, EXIT_FAILED);                                    \
		assert_non_null(json_object_get(line_of(visit, check, "fail", text), "advice")); \
	} while (0)

static void forget(struct visit *visit)
{
	json_decref(visit->json);
	visit->json = NULL;
}

/* ---- The way to the broker ---- */

HARNESS_CASE(way_to_the_broker_is_good)
{
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "settings", "ok", "CLIENT_ID=cashewd");
	expect_line(&visit, "broker_name", "ok", "localhost is ");
	expect_line(&visit, "broker_tcp", "ok", "answers");
	expect_line(&visit, "broker_tls", "ok", "TLSv1.");
	forget(&visit);
}

HARNESS_CASE(certificates_that_are_wrong)
{
	static const struct {
		enum broker_certificate certificate;
		const char *told;
	} cases[] = {{BROKER_EXPIRED, "ended on "}, {BROKER_WRONG_NAME, "not for localhost"},
		{BROKER_OTHER_CA, "does not vouch for"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct broker *broker =
			broker_new(h, &(struct broker_options){.certificate = cases[i].certificate});
		broker_start(broker);
		struct host *doctor = doctor_new(h);
		host_use_broker(doctor, broker);
		struct visit visit = examine(h, doctor);
		expect_failure(&visit, "broker_tls", cases[i].told);
		forget(&visit);
		broker_kill(broker);
	}
}

HARNESS_CASE(broker_speaks_plain_mqtt_on_the_port)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = true});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_tls", "without TLS");
	forget(&visit);
}

HARNESS_CASE(broker_is_away)
{
	struct host *doctor = doctor_new(h);
	broker_stop(harness_broker(h));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_tcp", "Connection refused");
	expect_line(&visit, "broker_tls", "skip", "needs broker_tcp");
	forget(&visit);
}

HARNESS_CASE(broker_is_silent)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "3", NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	broker_pause(harness_broker(h));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tcp", "ok", "answers");
	expect_failure(&visit, "broker_tls", "no answer in time");
	forget(&visit);
	broker_resume(harness_broker(h));
}

HARNESS_CASE(broker_insists_on_a_certificate)
{
	const char *ca = broker_ca_file(harness_broker(h));
	struct broker *broker = broker_new(
		h, &(struct broker_options){
			   .extra = harness_format(h, "cafile %s\nrequire_certificate true\n", ca)});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	/* The listener that these lines are about. */
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tls", "warn", "asks for a certificate");
	expect_failure(&visit, "broker_login", "");
	forget(&visit);
}

/* As Debian's mosquitto is set up: the broker waits for the acknowledgement of TCP. */
HARNESS_CASE(broker_holds_small_packets_back)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.extra = "set_tcp_nodelay false\n"});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "round_trip", "warn", "holds a small packet back");
	const json_t *line = line_of(&visit, "round_trip", "warn", "");
	assert_non_null(strstr(json_string_value(json_object_get(line, "advice")), "set_tcp_nodelay true"));
	forget(&visit);
}

HARNESS_CASE(broker_name_is_unknown)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_HOST", "broker.invalid");
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_name", "broker.invalid");
	forget(&visit);
}

/* ---- What the broker grants and refuses ---- */

static bool broker_keeps(struct harness *h, const struct broker *broker, const char *text)
{
	const char *log = broker_log(broker);
	const char *path = harness_format(h, "%.*s/data/mosquitto.db", (int)(strrchr(log, '/') - log), log);
	char buffer[256 * 1024];
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	const size_t size = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	assert_true(size < sizeof(buffer));
	return memmem(buffer, size, text, strlen(text)) != NULL;
}

HARNESS_CASE(running_host_is_not_disturbed)
{
	struct host *host = harness_host(h);
	const size_t connected = host_count_log(host, "broker_connected");
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "token", "ok", "signed with JWT_SECRET");
	expect_line(&visit, "token", "warn", "JWT_SECRET signs handlers' tokens");
	expect_line(&visit, "broker_login", "ok", "MQTT 5");
	expect_line(&visit, "subscriptions", "ok", "all ");
	expect_line(&visit, "retained", "ok", "no retained");
	expect_line(&visit, "session", "ok", "a host answers ping");
	expect_line(&visit, "strangers", "ok", "refused");
	expect_line(&visit, "user_login", "ok", "accepted");
	expect_line(&visit, "access", "ok", "another user's topics are refused");
	expect_line(&visit, "access", "ok", "commands arrive");
	expect_line(&visit, "round_trip", "ok", "reaches a user");
	expect_line(&visit, "database", "ok", "MongoDB ");
	expect_line(
		&visit, "database", "ok", harness_format(h, "the database is %s", harness_database_name(h)));
	expect_line(&visit, "database_writes", "ok", "w=majority, journal=true");
	expect_line(&visit, "rights", "ok", "all 6 collections that the handlers and the host need");
	expect_line(&visit, "collections", "ok", "6 collections are ordinary");
	expect_line(&visit, "indexes", "ok", "all ");
	expect_line(&visit, "waiting", "ok", "0 parked commands, 0 dead letters");
	assert_int_equal(visit.code, 0);
	forget(&visit);

	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "get_apples", "{}");
	device_expect_json(phone, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
	assert_int_equal(host_count_log(host, "broker_connected"), connected);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	assert_int_equal(host_count_log(host, "standby"), 0);
	/* The broker kept the host's session, and nothing of the doctor's. */
	device_disconnect(phone);
	host_stop(host);
	broker_stop(harness_broker(h));
	assert_true(broker_keeps(h, harness_broker(h), "cashewd"));
	assert_false(broker_keeps(h, harness_broker(h), "doctor"));
}

HARNESS_CASE(running_host_is_asked_whether_it_is_ready)
{
	const char *address = harness_format(h, "127.0.0.1:%d", port_reserve());
	struct host *doctor = doctor_new(h);
	host_set(doctor, "METRICS_ADDR", address);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "host", "skip", "nobody listens");
	forget(&visit);

	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "METRICS_ADDR", address);
	host_start(host);
	host_wait_ready(host);
	visit = examine(h, doctor);
	expect_line(&visit, "host", "ok", "is ready");
	forget(&visit);

	broker_stop(harness_broker(h));
	host_expect_log(host, "broker_lost");
	visit = examine(h, doctor);
	expect_failure(&visit, "host", "is not ready: broker: ");
	forget(&visit);
	broker_start(harness_broker(h));
}

HARNESS_CASE(session_without_a_host)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "10", NULL};
	struct host *doctor = doctor_new(h);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "session", "warn", "no session");
	forget(&visit);

	host_stop(harness_host(h));
	doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	visit = examine(h, doctor);
	expect_line(&visit, "session", "warn", "nobody answers");
	forget(&visit);
}

HARNESS_CASE(token_is_refused)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "JWT_SECRET", "Zt4-8oTq_Qx8Kp2Vw6Jd0Rn3Gs7Bh1Mf");
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_login", "refuses the handler's token");
	expect_line(&visit, "access", "skip", "needs user_login");
	forget(&visit);
}

HARNESS_CASE(token_from_a_file)
{
	static const struct {
		int64_t age_s, lifetime_s;
		const char *outcome, *told;
	} cases[] = {{100, 90 * 86400, "ok", "holds for 89 days"}, {0, 3600, "warn", "minutes"},
		{7200, 3600, "fail", "ended "}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *token = NULL;
		assert_int_equal(token_sign_handler(HARNESS_SECRET, "cashewd", time(NULL) - cases[i].age_s,
					 cases[i].lifetime_s, &token),
			0);
		struct host *doctor = doctor_new(h);
		host_set(doctor, "HANDLER_TOKEN_FILE",
			harness_write_file(h, harness_format(h, "%s/token", host_folder(doctor)), token));
		host_set(doctor, "JWT_SECRET", NULL);
		free(token);
		struct visit visit = examine(h, doctor);
		expect_line(&visit, "token", cases[i].outcome, cases[i].told);
		if (strcmp(cases[i].outcome, "fail") == 0)
			expect_line(&visit, "broker_login", "skip", "needs token");
		else
			expect_line(&visit, "user_login", "skip", "JWT_SECRET is not set");
		forget(&visit);
	}
}

HARNESS_CASE(retained_command_is_told)
{
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	const size_t place = device_publish_with(phone, "get_apples",
		&(struct device_publish_options){
			.payload = "{}", .payload_size = 2, .qos = 1, .retain = true});
	assert_int_equal(device_wait_puback(phone, place) & 0x80, 0);
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "retained", "warn", "1 retained command waits");
	expect_line(&visit, "retained", "warn", "68946/get_apples");
	forget(&visit);
}

HARNESS_CASE(broker_speaks_only_mqtt_3)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.only_mqtt311 = true});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tls", "ok", "on this machine");
	expect_line(&visit, "broker_login", "warn", "3.1.1 only");
	expect_line(&visit, "session", "skip", "3.1.1");
	/* No PUBACK says so. */
	expect_line(&visit, "access", "ok", "dropped without a word");
	forget(&visit);
}

/* One that is to ask a broker of the test's own, and is at it. */
static struct host *start_scripted(struct harness *h, struct scripted_broker *broker, const char *timeout_s)
{
	const char *const arguments[] = {"doctor", "--json", "--timeout", timeout_s, NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	scripted_use(doctor, broker);
	host_set(doctor, "WINDOW", "123");
	host_set(doctor, "KEEPALIVE", "77");
	host_start(doctor);
	return doctor;
}

/* It says CONNECT as the host does, but for a session that outlives it. */
HARNESS_CASE(broker_does_too_little_for_the_host)
{
	enum { SESSION_EXPIRY_INTERVAL = 0x11, RECEIVE_MAXIMUM = 0x21 };
	/* MQTT 5: Maximum QoS 0, Wildcard Subscription Available 0 */
	static const uint8_t connack[] = {0x20, 7, 0, 0, 4, 0x24, 0, 0x28, 0};
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = start_scripted(h, broker, "30");
	struct scripted_link *link = scripted_accept(broker);
	assert_int_equal(link->protocol, 5);
	assert_true(link->connect->clean_start);
	assert_null(mqtt_property(link->connect, SESSION_EXPIRY_INTERVAL));
	assert_non_null(mqtt_property(link->connect, RECEIVE_MAXIMUM));
	assert_int_equal(mqtt_property(link->connect, RECEIVE_MAXIMUM)->number, 123);
	assert_int_equal(link->connect->keepalive_s, 77);
	assert_string_equal(link->connect->user_name, "JWT");
	assert_int_equal(strncmp(link->connect->client_id, "cashewd-doctor-", strlen("cashewd-doctor-")), 0);
	scripted_send_bytes(link, connack, sizeof(connack));
	struct visit visit = conclude(h, doctor);
	expect_failure(&visit, "broker_login", "does not do QoS 1");
	expect_failure(&visit, "broker_login", "does not do wildcards");
	expect_line(&visit, "subscriptions", "skip", "needs broker_login");
	forget(&visit);
	scripted_expect(link, MQTT_DISCONNECT);
}

/* So does the host find out that a broker does not speak MQTT 5. */
HARNESS_CASE(broker_closes_mqtt_5_without_a_word)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = start_scripted(h, broker, "30");
	for (int i = 0; i < 2; i++) {
		struct scripted_link *link = scripted_accept(broker);
		assert_int_equal(link->protocol, 5);
		scripted_close(link);
	}
	struct scripted_link *link = scripted_accept(broker);
	assert_int_equal(link->protocol, 4);
	scripted_close_port(broker);
	scripted_connack(link, false, 0);
	scripted_expect(link, MQTT_SUBSCRIBE);
	scripted_close(link);
	struct visit visit = conclude(h, doctor);
	expect_line(&visit, "broker_login", "ok", "MQTT 3.1.1");
	expect_line(&visit, "broker_login", "warn", "3.1.1 only");
	expect_failure(&visit, "subscriptions", "closed it");
	forget(&visit);
}

HARNESS_CASE(broker_does_not_answer_connect)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = start_scripted(h, broker, "2");
	(void)scripted_accept(broker);
	struct visit visit = conclude(h, doctor);
	expect_failure(&visit, "broker_login", "does not answer CONNECT: no CONNACK came in time");
	forget(&visit);
}

HARNESS_CASE(broker_says_why_it_ends_the_connection)
{
	enum { ADMINISTRATIVE_ACTION = 0x98 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = start_scripted(h, broker, "30");
	struct scripted_link *link = scripted_accept(broker);
	scripted_connack(link, false, 0);
	scripted_expect(link, MQTT_SUBSCRIBE);
	scripted_close_port(broker);
	scripted_disconnect(link, ADMINISTRATIVE_ACTION);
	struct visit visit = conclude(h, doctor);
	expect_failure(&visit, "subscriptions", "the broker closed it: Administrative action");
	/* Not to be reached is not to be refused. */
	expect_line(&visit, "session", "fail", "not there any more: Connection refused");
	expect_line(&visit, "strangers", "warn",
		"a client without a token is let in could not be found out: Connection refused");
	expect_line(&visit, "user_login", "fail", "not there any more: Connection refused");
	forget(&visit);
}

/* A broker that says nothing to a stranger has not refused it. */
HARNESS_CASE(strangers_are_not_answered)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = start_scripted(h, broker, "2");
	struct scripted_link *handler = scripted_welcome_one(broker, NULL);
	struct scripted_link *forged = scripted_accept(broker), *nobody = scripted_accept(broker);
	assert_string_equal(forged->connect->user_name, "JWT");
	assert_string_equal(nobody->connect->user_name, "");
	struct visit visit = conclude(h, doctor);
	expect_line(&visit, "strangers", "warn", "another secret gets no answer");
	expect_line(&visit, "strangers", "warn", "without a token gets no answer");
	forget(&visit);
	scripted_expect(handler, MQTT_DISCONNECT);
}

/* A mosquitto that lets everybody in and everybody do everything. */
struct open_broker {
	struct harness_process process;
	unsigned port;
};

static bool listens(void *context)
{
	const struct open_broker *broker = context;
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)broker->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool connected = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return connected;
}

static unsigned start_open_broker(struct harness *h)
{
	struct open_broker *broker = harness_alloc(h, sizeof(*broker));
	const int port = port_reserve();
	assert_true(port > 0);
	broker->port = (unsigned)port;
	broker->process.name = "the open broker";
	const char *const argv[] = {MOSQUITTO_PATH, "-c",
		harness_write_file(h, harness_path(h, "open.conf"),
			harness_format(h, "listener %d 127.0.0.1\nallow_anonymous true\n", port)),
		NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = harness_path(h, "open.log"),
		.death_signal = SIGKILL};
	assert_int_equal(process_start(&broker->process.process, &options), 0);
	harness_add_process(h, &broker->process);
	harness_wait(h, listens, broker, "the open broker to listen");
	return broker->port;
}

HARNESS_CASE(handlers_have_a_secret_of_their_own)
{
	const struct broker_options options = {
		.extra = harness_format(h, "plugin_opt_handler_secret_file %s\n",
			harness_write_file(h, "handlers", HANDLERS_SECRET))};
	harness_broker_with(h, &options);
	struct host *doctor = doctor_new(h);
	host_set(doctor, "JWT_HANDLER_SECRET", HANDLERS_SECRET);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "token", "ok", "signed with JWT_HANDLER_SECRET");
	expect_line(&visit, "broker_login", "ok", "MQTT 5");
	expect_line(&visit, "strangers", "ok", "refused");
	expect_line(&visit, "user_login", "ok", "accepted");
	assert_null(strstr(output(h, doctor), "JWT_SECRET signs handlers' tokens"));
	assert_null(strstr(output(h, doctor), HANDLERS_SECRET));
	forget(&visit);
	/* The host that does not know of it gets in no more. */
	host_set(doctor, "JWT_HANDLER_SECRET", NULL);
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_login", "refuses the handler's token");
	forget(&visit);
}

HARNESS_CASE(broker_that_keeps_nobody_apart_is_a_security_hole)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", start_open_broker(h)));
	host_set(doctor, "BROKER_TLS", "off");
	host_set(doctor, "BROKER_CA_FILE", NULL);
	host_set(doctor, "JWT_HANDLER_SECRET", HANDLERS_SECRET);
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "strangers", "SECURITY HOLE: a token signed with another secret");
	expect_failure(&visit, "strangers", "SECURITY HOLE: a handler's token signed with JWT_SECRET");
	expect_failure(&visit, "strangers", "SECURITY HOLE: a client without a token");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to doctor_");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to +/doctor_");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to #");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may publish");
	assert_null(line_of(&visit, "access", "ok", "are refused"));
	forget(&visit);
}

/* What the doctor sends would be run by it. */
HARNESS_CASE(handler_that_takes_everything_is_spared)
{
	struct host *host = host_new(h, HOST_PRODUCT), *doctor = doctor_new(h);
	host_use_program(host, BINARY_DIR "/cashewd-overlap");
	host_set(host, "HANDLERS", "test_everything");
	host_start(host);
	host_wait_ready(host);
	host_use_program(doctor, BINARY_DIR "/cashewd-overlap");
	host_set(doctor, "HANDLERS", "test_everything");
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "subscriptions", "ok", "all 1 ");
	expect_line(&visit, "session", "skip", "ping");
	expect_line(&visit, "strangers", "skip", "takes every topic");
	expect_line(&visit, "access", "skip", "takes every topic");
	expect_line(&visit, "round_trip", "skip", "takes every topic");
	forget(&visit);
	host_stop(host);
	host_expect_log(host, "stopped", "done", "0");
}

/* ---- The database ---- */

HARNESS_CASE(database_is_away)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(h, "mongodb://user:hush-hush@127.0.0.1:%d/", port_reserve()));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "database", "cannot be used");
	expect_line(&visit, "indexes", "skip", "needs database");
	/* The rest is looked at. */
	expect_line(&visit, "access", "ok", "refused");
	assert_null(strstr(output(h, doctor), "hush-hush"));
	forget(&visit);
}

HARNESS_CASE(database_before_the_first_start)
{
	struct host *doctor = doctor_new(h);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "indexes", "ok", "has none of the ");
	assert_int_equal(visit.code, 0);
	forget(&visit);
	/* It made nothing. */
	assert_int_equal(database_count(h, harness_database(h), "apples", "{}"), 0);
	visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "ok", "has none of the ");
	forget(&visit);
}

HARNESS_CASE(indexes_that_are_wrong)
{
	struct database *database = harness_database(h);
	database_command(h, database,
		"{\"createIndexes\": \"dead_letters\", \"indexes\": [{\"key\": {\"expires\": 1}, \"name\": "
		"\"expires_1\"}]}");
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "warn", "in the way of expires_1");
	forget(&visit);
	database_command(h, database, "{\"drop\": \"dead_letters\"}");
	database_command(h, database,
		"{\"createIndexes\": \"apples\", \"indexes\": [{\"key\": {\"position\": 1}, \"name\": "
		"\"position_1\"}]}");
	visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "warn", "indexes are not there: contacts.");
	assert_int_equal(visit.code, 0);
	forget(&visit);
}

HARNESS_CASE(write_concern_that_is_weak)
{
	struct host *doctor = doctor_new(h);
	const char *url = database_url(harness_database(h));
	host_set(doctor, "MONGO_DB_URL", harness_format(h, "%s/?w=1&journal=false", url));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "database_writes", "ok", "w=1, journal=false");
	expect_line(&visit, "database_writes", "warn", "journal=false");
	forget(&visit);
}

/* ---- A server that answers as the case says ---- */

struct script {
	const char *command, *collection; /* NULL: whatever it is about */
	int code;			  /* 0: `reply` is the answer */
	const char *words, *reply;
};

static enum scripted_mongo_answer follow(
	void *context, const char *name, const bson_t *command, bson_t *reply)
{
	const struct script *script = context;
	bson_iter_t iter;
	if (strcmp(name, script->command) != 0 ||
		(script->collection != NULL &&
			(!bson_iter_init(&iter, command) || !bson_iter_next(&iter) ||
				!BSON_ITER_HOLDS_UTF8(&iter) ||
				strcmp(bson_iter_utf8(&iter, NULL), script->collection) != 0)))
		return SCRIPTED_MONGO_USUAL;
	if (script->code != 0) {
		scripted_mongo_failure(reply, script->code, script->words);
		return SCRIPTED_MONGO_REPLY;
	}
	bson_error_t error;
	bson_t *answer = bson_new_from_json((const uint8_t *)script->reply, -1, &error);
	assert_non_null(answer);
	bson_concat(reply, answer);
	bson_destroy(answer);
	return SCRIPTED_MONGO_REPLY;
}

static struct visit examine_scripted(struct harness *h, const struct script *script)
{
	struct scripted_mongo *server = scripted_mongo_start(
		&(struct scripted_mongo_options){.hook = follow, .context = (void *)(uintptr_t)script});
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL", harness_format(h, "mongodb://%s/", scripted_mongo_address(server)));
	struct visit visit = examine(h, doctor);
	scripted_mongo_stop(server);
	return visit;
}

static const char *advice_of(const struct visit *visit, const char *check, const char *text)
{
	const json_t *line = line_of(visit, check, "fail", text);
	const char *advice = json_string_value(json_object_get(line, "advice"));
	return advice != NULL ? advice : "(none)";
}

/* Not every error is one of rights. */
HARNESS_CASE(database_that_refuses_for_one_reason_or_another)
{
	static const struct {
		struct script script;
		const char *check, *advice;
		bool role;
	} cases[] = {
		{{"delete", "dead_letters", 13, "not authorized on x", NULL}, "database_writes",
			"the role readWrite on", true},
		{{"find", "contacts", 13, "not authorized on x", NULL}, "rights", "the role readWrite on",
			true},
		{{"delete", NULL, 73, "Invalid namespace specified", NULL}, "database_writes",
			"set MONGO_DB_NAME", false},
		{{"delete", NULL, 238, "not implemented yet", NULL}, "database_writes",
			"The README says which servers", false},
		{{"aggregate", NULL, 59, "no such command", NULL}, "waiting", "The README says which servers",
			false},
		{{"listIndexes", NULL, 498870, "The apiVersion parameter is required", NULL}, "indexes",
			"requireApiVersion", false},
		{{"listCollections", NULL, 13, "not authorized on x", NULL}, "collections",
			"the role readWrite on", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct visit visit = examine_scripted(h, &cases[i].script);
		expect_failure(&visit, cases[i].check, cases[i].script.words);
		const char *advice = advice_of(&visit, cases[i].check, cases[i].script.words);
		if (strstr(advice, cases[i].advice) == NULL ||
			(strstr(advice, "role") != NULL) != cases[i].role)
			harness_fail("%s %d: %s", cases[i].check, cases[i].script.code, advice);
		forget(&visit);
	}
}

/* It refuses the first question, which is the driver's: nothing is left of its answer but the words. */
HARNESS_CASE(database_that_insists_on_a_stable_api)
{
	struct scripted_mongo *server = scripted_mongo_start(&(struct scripted_mongo_options){
		.hello_code = 498870, .hello_words = "The apiVersion parameter is required"});
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(
			h, "mongodb://%s/?serverSelectionTimeoutMS=500", scripted_mongo_address(server)));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "database", "apiVersion");
	assert_non_null(strstr(advice_of(&visit, "database", "apiVersion"), "requireApiVersion"));
	forget(&visit);
	scripted_mongo_stop(server);
}

#define LISTED(options)                                                                                          \
	"{\"ok\":1,\"cursor\":{\"id\":{\"$numberLong\":\"0\"},\"ns\":\"x.$cmd.listCollections\",\"firstBatch\":" \
	"[{\"name\":\"contacts\"," options "}]}}"

HARNESS_CASE(collections_that_are_not_ordinary)
{
	static const struct {
		const char *reply, *outcome, *seen;
	} cases[] = {
		{LISTED("\"options\":{}"), "ok", "1 collection is ordinary"},
		{LISTED("\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":2}}"), "fail",
			"the users Bob and bob are one there"},
		{LISTED("\"type\":\"view\",\"options\":{}"), "fail", "contacts is a view"},
		{LISTED("\"options\":{\"capped\":true}"), "fail", "contacts is capped"},
		{LISTED("\"options\":{\"validator\":{\"a\":1}}"), "warn", "contacts has a validator"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct script script = {.command = "listCollections", .reply = cases[i].reply};
		struct visit visit = examine_scripted(h, &script);
		expect_line(&visit, "collections", cases[i].outcome, cases[i].seen);
		forget(&visit);
	}
}

/* Two servers that answer as a replica set; the URL names the one that is not the primary. */
HARNESS_CASE(replica_set_is_named)
{
	struct scripted_mongo_options options = {.set_name = "rs0"};
	struct scripted_mongo *primary = scripted_mongo_start(&options);
	options.secondary = true;
	struct scripted_mongo *secondary = scripted_mongo_start(&options);
	struct scripted_mongo *const members[] = {primary, secondary, NULL};
	scripted_mongo_members(primary, members);
	scripted_mongo_members(secondary, members);
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(h, "mongodb://%s/shop?maxPoolSize=7", scripted_mongo_address(secondary)));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "database", "ok",
		harness_format(h, "replica set rs0 of 2 (%s, %s)", scripted_mongo_address(primary),
			scripted_mongo_address(secondary)));
	expect_line(&visit, "database", "warn", "maxPoolSize has no effect");
	expect_line(&visit, "database", "warn", "its database shop has no effect");
	expect_line(&visit, "database_writes", "ok", "w=majority");
	forget(&visit);
	doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(h, "mongodb://%s/?directConnection=true", scripted_mongo_address(primary)));
	visit = examine(h, doctor);
	expect_line(&visit, "database", "warn", "directConnection=true");
	forget(&visit);
	scripted_mongo_stop(primary);
	scripted_mongo_stop(secondary);
}

HARNESS_CASE(parked_commands_that_nobody_takes)
{
	database_command(h, harness_database(h),
		"{\"insert\": \"parked_commands\", \"documents\": [{\"_id\": 1, \"lane\": \"cashewd\", "
		"\"user_id\": \"68946\", \"topic\": \"68946/ping\", \"position\": {\"$numberLong\": \"1\"}, "
		"\"done\": null, \"not_before\": {\"$date\": {\"$numberLong\": \"1000\"}}}]}");
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "waiting", "ok", "1 parked command, ");
	expect_line(&visit, "waiting", "warn", "1 user on cashewd for a minute, 68946's");
	forget(&visit);
}

/* ---- Loggly ---- */

#define LOGGLY_TOKEN "0123-canary-4567"

static bool loggly_ready(void *context)
{
	return access(harness_path(context, "loggly.env"), F_OK) == 0;
}

/* What stands in for it; its port. It takes every token. */
static int start_loggly(struct harness *h, struct harness_process **ret_process)
{
	const char *ca = broker_ca_file(harness_broker(h));
	const char *folder = harness_format(h, "%.*s", (int)(strrchr(ca, '/') - ca), ca);
	struct harness_process *process = harness_alloc(h, sizeof(*process));
	const int port = port_reserve();
	const char *const argv[] = {BINARY_DIR "/cashew-loggly", "--certificate",
		harness_format(h, "%s/server.crt", folder), "--key",
		harness_format(h, "%s/server.key", folder), "--port", harness_format(h, "%d", port),
		"--events", harness_path(h, "events"), "--ready", harness_path(h, "loggly.env"), NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = harness_path(h, "loggly.log"),
		.death_signal = SIGKILL};
	assert_true(port > 0);
	process->name = "cashew-loggly";
	harness_watch_folder(h, harness_folder(h));
	assert_int_equal(process_start(&process->process, &options), 0);
	harness_add_process(h, process);
	harness_wait(h, loggly_ready, h, "cashew-loggly to be ready");
	*ret_process = process;
	return port;
}

static struct visit examine_loggly(
	struct harness *h, const char *url, const char *ca_file, const char *option)
{
	const char *const arguments[] = {"doctor", "--json", "--timeout", "30", option, NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	host_set(doctor, "LOGGLY_TOKEN", LOGGLY_TOKEN);
	host_set(doctor, "LOGGLY_URL", url);
	host_set(doctor, "LOGGLY_CA_FILE", ca_file);
	struct visit visit = examine(h, doctor);
	assert_null(strstr(output(h, doctor), LOGGLY_TOKEN));
	expect_line(&visit, "spool", "ok", "will be made");
	return visit;
}

HARNESS_CASE(loggly_is_reached)
{
	struct harness_process *process;
	const int port = start_loggly(h, &process);
	const char *ca = broker_ca_file(harness_broker(h));
	const char *url = harness_format(h, "https://localhost:%d", port);

	struct visit visit = examine_loggly(h, url, ca, NULL);
	expect_line(&visit, "loggly", "ok", "answers over TLS");
	forget(&visit);
	assert_null(strstr(read_all(h, harness_path(h, "events")), "doctor"));

	visit = examine_loggly(h, url, ca, "--send-loggly-event");
	expect_line(&visit, "loggly", "ok", "has taken an event");
	forget(&visit);
	assert_non_null(strstr(read_all(h, harness_path(h, "events")), "\"event\":\"doctor\""));

	/* The system's authorities know nothing of this one. */
	visit = examine_loggly(h, url, NULL, NULL);
	expect_failure(&visit, "loggly", "cannot be reached");
	forget(&visit);

	process->process.awaited = true;
	process_signal(&process->process, SIGKILL);
	assert_true(process_reap(&process->process, HARNESS_TIMEOUT_MS));
	visit = examine_loggly(h, url, ca, NULL);
	expect_failure(&visit, "loggly", "cannot be reached");
	forget(&visit);
}

/* By whose time what is kept, and by how much it differs. */
HARNESS_CASE(clocks_that_differ)
{
	static const struct {
		int64_t ahead_ms;
		const char *told; /* NULL: nothing */
	} cases[] = {
		{0, NULL},
		{4000, NULL},
		{-4000, NULL},
		{10500, "this machine's clock is 10 seconds ahead of the database's"},
		{-10500, "this machine's clock is 10 seconds behind the database's"},
		{-30 * 60 * 1000, "this machine's clock is 30 minutes behind the database's"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *doctor = doctor_new(h);
		wall_clock_use_token(h, doctor);
		wall_clock_set(doctor, cases[i].ahead_ms);
		struct visit visit = examine(h, doctor);
		const json_t *line = line_of(&visit, "database", "warn", "clock");
		if (!cases[i].told)
			assert_null(line);
		else
			expect_line(&visit, "database", "warn", cases[i].told);
		forget(&visit);
	}
}

/* ---- The command itself ---- */

HARNESS_CASE(settings_that_are_wrong)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "KEEPALIVE", "5");
	struct visit visit = examine(h, doctor);
	assert_int_equal(visit.code, EXIT_CONFIG);
	expect_line(&visit, "settings", "fail", "KEEPALIVE=5");
	expect_line(&visit, "broker_tcp", "skip", "needs settings");
	forget(&visit);
}

HARNESS_CASE(options_that_are_wrong)
{
	static const char *const cases[][4] = {
		{"doctor", "--timeout", "0", NULL}, {"doctor", "--nonsense", NULL}, {"doctor", "me", NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *doctor = doctor_new(h);
		host_set_arguments(doctor, cases[i]);
		host_start(doctor);
		assert_int_equal(host_wait_exit(doctor), EXIT_USAGE);
		host_expect_text(doctor, "--help");
	}
}

HARNESS_CASE(text_for_people_has_no_colours_in_a_file)
{
	static const char *const arguments[] = {"doctor", NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	host_set(doctor, "BROKER_PORT", "1");
	host_start(doctor);
	assert_int_equal(host_wait_exit(doctor), EXIT_FAILED);
	const char *text = output(h, doctor);
	assert_non_null(strstr(text, "ok    settings"));
	assert_non_null(strstr(text, "fail  broker_tcp"));
	assert_non_null(strstr(text, "-> "));
	assert_non_null(strstr(text, " failed, "));
	assert_null(strchr(text, '\033'));
}

HARNESS_MAIN(HARNESS_TEST(way_to_the_broker_is_good), HARNESS_TEST(certificates_that_are_wrong),
	HARNESS_TEST(broker_speaks_plain_mqtt_on_the_port), HARNESS_TEST(broker_is_away),
	HARNESS_TEST(broker_is_silent), HARNESS_TEST(broker_insists_on_a_certificate),
	HARNESS_TEST(broker_holds_small_packets_back), HARNESS_TEST(broker_name_is_unknown),
	HARNESS_TEST(handler_that_takes_everything_is_spared), HARNESS_TEST(running_host_is_not_disturbed),
	HARNESS_TEST(running_host_is_asked_whether_it_is_ready), HARNESS_TEST(session_without_a_host),
	HARNESS_TEST(token_is_refused), HARNESS_TEST(token_from_a_file),
	HARNESS_TEST(handlers_have_a_secret_of_their_own), HARNESS_TEST(retained_command_is_told),
	HARNESS_TEST(broker_speaks_only_mqtt_3), HARNESS_TEST(broker_does_too_little_for_the_host),
	HARNESS_TEST(broker_closes_mqtt_5_without_a_word), HARNESS_TEST(broker_does_not_answer_connect),
	HARNESS_TEST(broker_says_why_it_ends_the_connection), HARNESS_TEST(strangers_are_not_answered),
	HARNESS_TEST(broker_that_keeps_nobody_apart_is_a_security_hole), HARNESS_TEST(database_is_away),
	HARNESS_TEST(database_before_the_first_start), HARNESS_TEST(indexes_that_are_wrong),
	HARNESS_TEST(write_concern_that_is_weak), HARNESS_TEST(replica_set_is_named),
	HARNESS_TEST(database_that_refuses_for_one_reason_or_another),
	HARNESS_TEST(collections_that_are_not_ordinary), HARNESS_TEST(database_that_insists_on_a_stable_api),
	HARNESS_TEST(parked_commands_that_nobody_takes), HARNESS_TEST(loggly_is_reached),
	HARNESS_TEST(clocks_that_differ), HARNESS_TEST(settings_that_are_wrong),
	HARNESS_TEST(options_that_are_wrong), HARNESS_TEST(text_for_people_has_no_colours_in_a_file))
