/* test_doctor_broker.c - `cashewd doctor`: what the broker grants and refuses; what it lets others do: test_doctor_access.c. */
#include "doctor_parts.h"
#include "harness_private.h"
#include "port.h"
#include "scripted_broker.h"
#include "token.h"
#include "wall_clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
	return memmem(buffer, size, text, strlen(text));
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
	expect_line(&visit, "names", "ok", "a user id may have . and | (doctor.a|");
	expect_line(&visit, "names", "ok", "a user named like CLIENT_ID, cashewd,");
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
	(void)scripted_welcome_one(broker, NULL); /* how long are sessions kept? */
	struct scripted_link *forged = scripted_accept(broker), *nobody = scripted_accept(broker);
	assert_string_equal(forged->connect->user_name, "JWT");
	assert_string_equal(nobody->connect->user_name, "");
	struct visit visit = conclude(h, doctor);
	expect_line(&visit, "strangers", "warn", "another secret gets no answer");
	expect_line(&visit, "strangers", "warn", "without a token gets no answer");
	forget(&visit);
	scripted_expect(handler, MQTT_DISCONNECT);
}

/* The session that it asks for is none of the host's, and has ended when it has seen. */
HARNESS_CASE(broker_keeps_sessions_for_less)
{
	enum { SESSION_EXPIRY_INTERVAL = 0x11, NOT_AUTHORIZED = 0x87 };
	static const struct {
		uint32_t granted_s;
		const char *advice; /* NULL: nothing is said */
	} cases[] = {{7200, "or set SESSION_EXPIRY=7200 "}, {5, "or set SESSION_EXPIRY=60 "}, {0, NULL},
		{604800, NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct scripted_welcome welcome = {.session_expiry_interval = cases[i].granted_s};
		struct scripted_broker *broker = scripted_new(h);
		struct host *doctor = doctor_new(h);
		scripted_use(doctor, broker);
		host_set(doctor, "HANDLERS", "ping");
		host_start(doctor);
		struct scripted_link *handler = scripted_welcome_one(broker, NULL);
		assert_null(mqtt_property(handler->connect, SESSION_EXPIRY_INTERVAL));
		const struct mqtt_packet *end = scripted_expect(handler, MQTT_PUBLISH);
		scripted_puback(handler, end->mid, 0);
		scripted_publish(
			handler, &(struct scripted_publish){.mid = 1, .topic = end->topic, .payload = "end"});

		struct scripted_link *session = scripted_welcome_one(broker, &welcome);
		assert_int_equal(mqtt_property(session->connect, SESSION_EXPIRY_INTERVAL)->number, 604800);
		assert_string_not_equal(session->connect->client_id, handler->connect->client_id);
		assert_string_not_equal(session->connect->client_id, "cashewd");
		const struct mqtt_packet *disconnect = scripted_expect(session, MQTT_DISCONNECT);
		assert_non_null(mqtt_property(disconnect, SESSION_EXPIRY_INTERVAL));
		assert_int_equal(mqtt_property(disconnect, SESSION_EXPIRY_INTERVAL)->number, 0);
		assert_int_equal(scripted_count(session, MQTT_SUBSCRIBE), 0);

		scripted_puback(handler, scripted_expect(handler, MQTT_PUBLISH)->mid, 0x10);
		for (int strangers = 0; strangers < 3; strangers++)
			scripted_connack(scripted_accept(broker), false, NOT_AUTHORIZED);
		struct visit visit = conclude(h, doctor);
		const json_t *line = line_of(&visit, "session", "warn",
			harness_format(h, "less time than SESSION_EXPIRY: for %u s, not 604800 s",
				(unsigned)cases[i].granted_s));
		assert_int_equal(line != NULL, cases[i].advice != NULL);
		if (line)
			assert_non_null(
				strstr(json_string_value(json_object_get(line, "advice")), cases[i].advice));
		expect_line(&visit, "session", "warn", "no session at the broker takes commands");
		forget(&visit);
	}
}

/* A token from a file that is locked to what a host needs, and what the doctor does. */
HARNESS_CASE(token_from_a_file_may_be_locked)
{
	static const char *const filters[] = {"+/ping", "+/get_apples", "+/doctor_probe", "+/pong"},
				 *const events[] = {"+/#"};
	struct host *doctor = doctor_new(h);
	host_set(doctor, "HANDLERS", "ping,get_apples");
	host_set(doctor, "HANDLER_TOKEN_FILE", harness_path(h, "token"));
	for (size_t i = 0; i < 2; i++) {
		const size_t count = i == 0 ? sizeof(filters) / sizeof(filters[0]) : 1;
		const struct token_topics topics = {filters, count, events, 1};
		char *token = NULL, reason[TOKEN_REASON_SIZE];
		assert_int_equal(token_sign_locked_handler(HARNESS_SECRET, "cashewd", &topics,
					 (int64_t)time(NULL), 3600 * 24 * 60, &token, reason),
			0);
		harness_write_file(h, "token", token);
		free(token);
		struct visit visit = examine(h, doctor);
		expect_line(&visit, "broker_login", "ok", "is accepted");
		if (i == 0) {
			expect_line(&visit, "subscriptions", "ok", "all 2 ");
			expect_line(&visit, "access", "ok", "commands arrive");
			expect_line(&visit, "round_trip", "ok", "reaches a user");
			expect_line(&visit, "names", "ok", "a user id may have . and |");
		} else {
			expect_failure(&visit, "subscriptions", "+/get_apples (lane main) is refused");
		}
		forget(&visit);
	}
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

HARNESS_MAIN(HARNESS_TEST(token_from_a_file_may_be_locked),
	HARNESS_TEST(handler_that_takes_everything_is_spared), HARNESS_TEST(running_host_is_not_disturbed),
	HARNESS_TEST(running_host_is_asked_whether_it_is_ready), HARNESS_TEST(session_without_a_host),
	HARNESS_TEST(token_is_refused), HARNESS_TEST(token_from_a_file),
	HARNESS_TEST(retained_command_is_told), HARNESS_TEST(broker_speaks_only_mqtt_3),
	HARNESS_TEST(broker_does_too_little_for_the_host), HARNESS_TEST(broker_closes_mqtt_5_without_a_word),
	HARNESS_TEST(broker_does_not_answer_connect), HARNESS_TEST(broker_says_why_it_ends_the_connection),
	HARNESS_TEST(broker_keeps_sessions_for_less), HARNESS_TEST(strangers_are_not_answered))
