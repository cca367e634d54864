/*
 * test_doctor.c - `cashewd doctor`: what it finds where all is well, and where one thing is wrong, in words
 * and by its exit code.
 */
#include "harness.h"
#include "port.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	static const char *const arguments[] = {"doctor", "--json", NULL};
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set_arguments(host, arguments);
	return host;
}

static struct visit examine(struct harness *h, struct host *doctor)
{
	struct visit visit = {.host = doctor};
	json_error_t error;
	host_start(doctor);
	visit.code = host_wait_exit(doctor);
	const char *text = output(h, doctor);
	assert_null(strstr(text, HARNESS_SECRET));
	visit.json = json_loads(text, 0, &error);
	if (visit.json == NULL)
		harness_fail("its output is no JSON: %s\n%s", error.text, text);
	assert_int_equal(visit.code == 0, json_is_true(json_object_get(visit.json, "ok")));
	return visit;
}

/* The first line of that check with that outcome, which has the text in what was seen; NULL: there is none.
 */
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

HARNESS_CASE(broker_name_is_unknown)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_HOST", "broker.invalid");
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_name", "broker.invalid");
	forget(&visit);
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
	HARNESS_TEST(broker_name_is_unknown), HARNESS_TEST(settings_that_are_wrong),
	HARNESS_TEST(options_that_are_wrong), HARNESS_TEST(text_for_people_has_no_colours_in_a_file))
