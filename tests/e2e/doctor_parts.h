/*
 * doctor_parts.h - a doctor with the settings that a host would have, and the lines of what it says.
 *
 * Include it in one source file.
 */
#ifndef DOCTOR_PARTS_H
#define DOCTOR_PARTS_H

#include "harness_private.h"
#include "scripted_broker.h"
#include "wall_clock.h"
#include <string.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

/* One run of it. */
struct visit {
	struct host *host; /* its settings, working directory and output */
	int code;
	json_t *json;
};

static const char *output(struct harness *h, const struct host *host)
{
	return harness_read_file(h, harness_format(h, "%s/cashewd.log", host_folder(host)));
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
	if (!visit.json)
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
			strstr(json_string_value(json_object_get(line, "seen")), text))
			return line;
	}
	return NULL;
}

#define expect_line(visit, check, outcome, text)                                                            \
	do {                                                                                                \
		if (!line_of(visit, check, outcome, text))                                                  \
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

#endif
