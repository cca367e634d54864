/*
 * dead_letters_parts.h - runs of `cashewd dead-letters`, and what they said.
 *
 * Include it in one source file.
 */
#ifndef DEAD_LETTERS_PARTS_H
#define DEAD_LETTERS_PARTS_H

#include "harness.h"
#include "letter.h"
#include "process.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 16, ENVIRONMENT_MAX = 16, RUN_MS = 30000 };
enum { WRONG = 64, DATA = 65, NO_INPUT = 66, UNAVAILABLE = 69, CONFIG = 78 };

#define ID_1 "650000000000000000000001"
#define ID_2 "650000000000000000000002"
#define ID_3 "650000000000000000000003"
#define ID_4 "650000000000000000000004"
#define ID_5 "650000000000000000000005"

/* ---- Running the program ---- */

struct answer {
	int code;
	char *out, *error;
};

/* In the case's folder, whose .env has the database. The shell is there to part the two outputs. */
static struct answer run_in(struct harness *h, const char *program, const char *const *arguments)
{
	const char *out = harness_path(h, "out"), *error = harness_path(h, "error");
	const char *script = harness_format(h, "exec \"$0\" dead-letters \"$@\" >'%s'", out);
	const char *argv[ARGUMENTS_MAX + 8] = {"/bin/sh", "-c", script, program};
	size_t count = 4;
	for (; *arguments; arguments++)
		argv[count++] = *arguments;
	struct process process = {.pid = 0};
	unlink(out);
	unlink(error);
	if (process_start(&process, &(struct process_options){.argv = argv,
					    .environment = process_environment(),
					    .folder = harness_folder(h),
					    .output = error,
					    .death_signal = SIGKILL}) != 0)
		harness_fail("the program could not be started");
	if (!process_reap(&process, RUN_MS)) {
		process_signal(&process, SIGKILL);
		harness_fail("the program did not end");
	}
	return (struct answer){.code = process_exit_code(&process),
		.out = harness_read_file(h, out),
		.error = harness_read_file(h, error)};
}

#define run(h, ...) run_in(h, CASHEWD_PATH, (const char *const[]){__VA_ARGS__, NULL})

#define expect(answer, expected_code, part_of_out, part_of_error) \
	expect_at(__FILE__, __LINE__, answer, expected_code, part_of_out, part_of_error)
static void expect_at(
	const char *file, int line, struct answer answer, int code, const char *out, const char *error)
{
	if (answer.code != code)
		harness_fail_at(file, line, "exit code %d, expected was %d: %s%s", answer.code, code,
			answer.out, answer.error);
	if (!strstr(answer.out, out) || (out[0] == '\0' && answer.out[0] != '\0'))
		harness_fail_at(file, line, "\"%s\" is not in the output \"%s\"", out, answer.out);
	if (!strstr(answer.error, error) || (error[0] == '\0' && answer.error[0] != '\0'))
		harness_fail_at(file, line, "\"%s\" is not in what it said \"%s\"", error, answer.error);
}

static json_t *parsed(struct answer answer)
{
	json_error_t error;
	json_t *json = json_loads(answer.out, 0, &error);
	if (answer.code != 0 || !json)
		harness_fail("exit code %d, %s: %s%s", answer.code, error.text, answer.out, answer.error);
	return json;
}

static const char *text_of(const json_t *json, const char *field)
{
	const char *text = json_string_value(json_object_get(json, field));
	return text ? text : "(none)";
}

/* ---- Letters ---- */

static void write_env(struct harness *h, const char *url)
{
	harness_write_file(h, ".env",
		harness_format(h, "MONGO_DB_URL=%s\nMONGO_DB_NAME=%s\nPAYLOAD_MAX=64\n", url,
			harness_database_name(h)));
}

/* The letter is `hours` old. payload: in base64. */
static void add_letter(struct harness *h, const char *id, const char *topic, const char *user,
	const char *handler, int hours, const char *payload, const char *more)
{
	const long long when = ((long long)time(NULL) - 3600LL * hours) * 1000;
	database_command(h, harness_database(h),
		harness_format(h,
			"{\"insert\":\"dead_letters\",\"documents\":[{\"_id\":{\"$oid\":\"%s\"},"
			"\"topic\":\"%s\",\"user_id\":\"%s\",\"handler\":\"%s\",\"reason\":\"it said "
			"\\u001b[31mso\",\"payload\":{\"$binary\":{\"base64\":\"%s\",\"subType\":\"00\"}},"
			"\"attempts\":3,\"crashes\":1,\"host\":\"cashewd\","
			"\"when\":{\"$date\":{\"$numberLong\":\"%lld\"}}%s}]}",
			id, topic, user, handler, payload, when, more));
}

#define CONTACT_2 "eyJjb250YWN0X2lkIjoiMiJ9" /* {"contact_id":"2"} */

static void add_letters(struct harness *h)
{
	write_env(h, database_url(harness_database(h)));
	add_letter(h, ID_1, "1/request_contact", "1", "request_contact", 50, CONTACT_2,
		",\"expires\":{\"$date\":\"2999-01-01T00:00:00Z\"},\"response_topic\":\"1/answers\","
		"\"correlation\":{\"$binary\":{\"base64\":\"AAE=\",\"subType\":\"00\"}}");
	add_letter(h, ID_2, "2/get_apples", "2", "get_apples", 30, "AAH/G1tt", "");
	add_letter(h, ID_3, "2/request_contact", "2", "request_contact", 10, "",
		",\"payload_cut_from\":{\"$numberLong\":\"5000\"}");
	add_letter(h, ID_4, "1/no_such_command", "1", "", 1, "e30=", "");
	add_letter(h, ID_5, "no_user", "", "", 0, "e30=", "");
}

static size_t count(struct harness *h, const char *collection)
{
	return database_count(h, harness_database(h), collection, "{}");
}

#endif
