/*
 * settings_outcome.h - reads settings from a given .env and environment, for the tests of settings*.c: what
 * came of it, and handlers with settings of their own. Include it in one source file per program.
 */
#ifndef SETTINGS_OUTCOME_H
#define SETTINGS_OUTCOME_H

#include "cashew.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "JWT_SECRET=0123456789abcdef0123456789abcdef\n"
#define BROKER "BROKER_HOST=localhost\n"
#define URL    "MONGO_DB_URL=mongodb://127.0.0.1\n"
#define ENOUGH SECRET BROKER URL

static const struct cashew_setting apple_settings[] = {
	{.name = "APPLES_LIMIT", .default_value = "3", .help = "How many."},
	{.name = "APPLES_KEY", .secret = true, .help = "Key of the orchard."},
	{.name = NULL},
};
static const struct cashew_setting pear_settings[] = {
	{.name = "APPLES_LIMIT", .default_value = "3", .help = "How many."},
	{.name = NULL},
};
static const struct cashew_handler ping = {.name = "ping", .topic = "+/ping"};
static const struct cashew_handler get_apples = {.name = "get_apples", .topic = "+/get_apples"};
static const struct cashew_handler apples = {
	.name = "apples", .topic = "+/apples", .settings = apple_settings};
static const struct cashew_handler pears = {.name = "pears", .topic = "+/pears", .settings = pear_settings};
static const struct cashew_handler *const plain_handlers[] = {&ping, &get_apples, NULL};
static const struct cashew_handler *const own_handlers[] = {&ping, &apples, &pears, NULL};

/* What reading came to. Freed by outcome_free(). */
struct outcome {
	int result;
	struct settings settings;
	char *problems, *warnings;
	char folder[sizeof("/tmp/cashewd-test-XXXXXX")]; /* in which it was read */
};

static inline void outcome_free(struct outcome *outcome)
{
	settings_free(&outcome->settings);
	free(outcome->problems);
	free(outcome->warnings);
}

/* Reads a file ".env" (NULL: there is none) with that environment, in a folder of its own. */
static inline struct outcome read_with(
	const char *file, char *const *environment, const struct cashew_handler *const *handlers)
{
	char folder[] = "/tmp/cashewd-test-XXXXXX";
	assert_non_null(mkdtemp(folder));
	assert_return_code(chdir(folder), errno);
	if (file) {
		const int fd = open(".env", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_return_code(fd, errno);
		assert_int_equal(write(fd, file, strlen(file)), strlen(file));
		close(fd);
	}
	struct outcome outcome = {.settings.block = NULL};
	strcpy(outcome.folder, folder);
	size_t size;
	FILE *problems = open_memstream(&outcome.problems, &size);
	FILE *warnings = open_memstream(&outcome.warnings, &size);
	assert_non_null(problems);
	assert_non_null(warnings);
	outcome.result = settings_read(".env", environment, handlers, problems, warnings, &outcome.settings);
	fclose(problems);
	fclose(warnings);
	if (file)
		assert_return_code(unlink(".env"), errno);
	assert_return_code(chdir("/"), errno);
	assert_return_code(rmdir(folder), errno);
	return outcome;
}

static char no_environment_end[] = "";
static char *const no_environment[] = {no_environment_end, NULL};

#endif
