/* test_cashew_token.c - cashew_token.c: the program's command line, where it finds the secret, what it
 * prints, its exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "own_folder.h"
#include "token.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PROGRAM	     BINARY_DIR "/cashew-token"
#define SECRET	     "0123456789abcdef0123456789abcdef"
#define OTHER	     "fedcba9876543210fedcba9876543210"

/* ---- Running it ---- */

static void write_file(const char *path, const char *text)
{
	unlink(path);
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void read_file(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	ret[fread(ret, 1, size - 1, file)] = '\0';
	fclose(file);
}

struct outcome {
	int code; /* -1: killed */
	char out[8192], err[8192];
};

/* Arguments and settings of the environment are words, separated by spaces. out NULL: to the file "out". */
static void run(
	const char *arguments, const char *settings, const char *input, const char *out, struct outcome *ret)
{
	char words[1024], *argv[32] = {strdup(PROGRAM)}, *environment[32] = {NULL};
	/* A sanitizer's build keeps the driver's library, which complains of what one that was killed has left. */
	static char no_counters[] = "MONGOC_DISABLE_SHM=1";
	size_t argument_count = 1, setting_count = 0;
	environment[setting_count++] = no_counters;
	snprintf(words, sizeof(words), "%s", arguments);
	for (char *next = words, *word; (word = strsep(&next, " "));)
		if (word[0] != '\0')
			argv[argument_count++] = word;
	char pairs[1024], sanitizer[512];
	snprintf(pairs, sizeof(pairs), "%s", settings);
	for (char *next = pairs, *word; (word = strsep(&next, " "));)
		if (word[0] != '\0')
			environment[setting_count++] = word;
	if (getenv("ASAN_OPTIONS")) {
		snprintf(sanitizer, sizeof(sanitizer), "ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
		environment[setting_count] = sanitizer;
	}
	write_file("in", input);
	unlink("out");
	posix_spawn_file_actions_t files;
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	posix_spawn_file_actions_addopen(&files, 0, "in", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, out ? out : "out", O_WRONLY | O_CREAT, 0600);
	posix_spawn_file_actions_addopen(&files, 2, "err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	pid_t pid;
	int status;
	assert_int_equal(posix_spawn(&pid, PROGRAM, &files, NULL, argv, environment), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	posix_spawn_file_actions_destroy(&files);
	free(argv[0]);
	*ret = (struct outcome){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1};
	if (!out)
		read_file("out", ret->out, sizeof(ret->out));
	read_file("err", ret->err, sizeof(ret->err));
}

/* ---- Making tokens ---- */

static void tokens(void **state)
{
	(void)state;
	static const struct {
		const char *arguments, *settings, *dotenv, *other_env;
		const char *secret, *name;
		bool handler;
		int64_t lifetime_s;
	} cases[] = {
		{"user 68946", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "68946", false, 3600},
		{"user 68946 --expires 90s", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "68946", false, 90},
		{"user 68946 --expires 15m", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "68946", false, 900},
		{"--expires 1h user 68946", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "68946", false, 3600},
		{"user --expires=30d auth0|5f-7.A_z", "JWT_SECRET=" SECRET, NULL, NULL, SECRET,
			"auth0|5f-7.A_z", false, 30 * 86400},
		{"user 1 --expires 36500d", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "1", false,
			36500LL * 86400},
		{"user -- -1", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "-1", false, 3600},
		{"handler cashewd --expires 2d", "JWT_SECRET=" SECRET, NULL, NULL, SECRET, "cashewd", true,
			2 * 86400},
		{"user 1", "", "JWT_SECRET=" SECRET "\n", NULL, SECRET, "1", false, 3600},
		{"user 1", "", "JWT_SECRET='a # secret = of more than 32 bytes'\n", NULL,
			"a # secret = of more than 32 bytes", "1", false, 3600},
		{"user 1", "JWT_SECRET=" OTHER, "JWT_SECRET=" SECRET "\n", NULL, OTHER, "1", false, 3600},
		{"user 1 --env-file other.env", "", "JWT_SECRET=" SECRET "\n", "JWT_SECRET=" OTHER "\n",
			OTHER, "1", false, 3600},
		/* One line end, as a secret's file has it, is no part of the secret. */
		{"user 1", "JWT_SECRET=" SECRET "\n", NULL, NULL, SECRET, "1", false, 3600},
		{"user 1", "", "JWT_SECRET=\"" SECRET "\\r\\n\"", NULL, SECRET, "1", false, 3600},
		{"user 1", "JWT_SECRET_FILE=other.env", NULL, SECRET "\n", SECRET, "1", false, 3600},
		{"user 1", "", "JWT_SECRET=\nJWT_SECRET_FILE=other.env\n", SECRET, SECRET, "1", false, 3600},
		{"handler a", "JWT_SECRET=" SECRET " JWT_HANDLER_SECRET_FILE=other.env", NULL, OTHER, OTHER,
			"a", true, 3600},
		{"user 1", "JWT_SECRET=s ALLOW_SHORT_SECRET=on", NULL, NULL, "s", "1", false, 3600},
		{"user 1", "", "JWT_SECRET=s\nALLOW_SHORT_SECRET=on\n", NULL, "s", "1", false, 3600},
		{"handler a", "JWT_SECRET=" SECRET " JWT_HANDLER_SECRET=" OTHER, NULL, NULL, OTHER, "a", true,
			3600},
		{"handler a", "JWT_HANDLER_SECRET=" OTHER, NULL, NULL, OTHER, "a", true, 3600},
		{"handler a", "JWT_HANDLER_SECRET=", "JWT_SECRET=" SECRET "\n", NULL, SECRET, "a", true,
			3600},
		{"user 1", "JWT_SECRET=" SECRET " JWT_HANDLER_SECRET=" OTHER, NULL, NULL, SECRET, "1", false,
			3600},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		unlink(".env");
		if (cases[i].dotenv)
			write_file(".env", cases[i].dotenv);
		if (cases[i].other_env)
			write_file("other.env", cases[i].other_env);
		struct outcome outcome;
		const int64_t before = time(NULL);
		run(cases[i].arguments, cases[i].settings, "", NULL, &outcome);
		if (outcome.code != 0)
			fail_msg("case %zu: exit code %d: %s", i, outcome.code, outcome.err);
		assert_string_equal(outcome.err, "");
		const size_t size = strcspn(outcome.out, "\n");
		assert_string_equal(outcome.out + size, "\n");
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "";
		if (token_verify(cases[i].secret, outcome.out, size, time(NULL), false, &identity, reason) !=
			0)
			fail_msg("case %zu: %s", i, reason);
		assert_int_equal(identity.is_handler, cases[i].handler);
		assert_string_equal(cases[i].handler ? identity.name : identity.user_id, cases[i].name);
		assert_in_range(
			identity.expires, before + cases[i].lifetime_s, time(NULL) + cases[i].lifetime_s);
	}
}

static void locked_handlers(void **state)
{
	(void)state;
	static const struct {
		const char *arguments, *filters;
	} cases[] = {
		{"handler a --subscribe +/ping", " subscribe 6:+/ping"},
		{"handler a --subscribe +/ping --publish +/+ --subscribe=1/#",
			" subscribe 6:+/ping 3:1/# publish 3:+/+"},
		{"--publish +/pong handler a", " publish 6:+/pong"},
	};
	unlink(".env");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome outcome, shown;
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "";
		run(cases[i].arguments, "JWT_SECRET=" SECRET, "", NULL, &outcome);
		assert_int_equal(outcome.code, 0);
		assert_int_equal(token_verify(SECRET, outcome.out, strcspn(outcome.out, "\n"), time(NULL),
					 false, &identity, reason),
			0);
		assert_string_equal(identity.filters, cases[i].filters);
		token_identity_clear(&identity);
		run("show", "JWT_SECRET=" SECRET, outcome.out, NULL, &shown);
		assert_int_equal(shown.code, 0);
		assert_non_null(strstr(shown.out, ", locked to topics\n"));
	}
}

/* It counts, and is warned of. */
static void odd_secret(void **state)
{
	(void)state;
	struct outcome outcome;
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE] = "";
	unlink(".env");
	run("user 1", "JWT_SECRET='" SECRET "'\n", "", NULL, &outcome);
	assert_int_equal(outcome.code, 0);
	assert_non_null(strstr(outcome.err, "JWT_SECRET: the value begins and ends with a quote"));
	assert_null(strstr(outcome.err, SECRET));
	const size_t size = strcspn(outcome.out, "\n");
	assert_int_equal(
		token_verify("'" SECRET "'", outcome.out, size, time(NULL), false, &identity, reason), 0);
}

/* ---- What is refused ---- */

static void refusals(void **state)
{
	(void)state;
	static const struct {
		const char *arguments, *settings, *dotenv;
		int code;
		const char *error;
	} cases[] = {
		{"", "JWT_SECRET=" SECRET, NULL, 64, "expected user, handler, show, exchange or jwks"},
		{"guest 1", "JWT_SECRET=" SECRET, NULL, 64,
			"guest: expected user, handler, show, exchange or jwks"},
		{"user", "JWT_SECRET=" SECRET, NULL, 64, "expected one user id"},
		{"user 1 2", "JWT_SECRET=" SECRET, NULL, 64, "expected one user id"},
		{"handler", "JWT_SECRET=" SECRET, NULL, 64, "expected one name"},
		{"user 1/2", "JWT_SECRET=" SECRET, NULL, 64, "not \"1/2\""},
		{"user +", "JWT_SECRET=" SECRET, NULL, 64, "A-Z a-z 0-9"},
		{"handler a:b", "JWT_SECRET=" SECRET, NULL, 64, "A-Z a-z 0-9"},
		{"user 1 --expires", "JWT_SECRET=" SECRET, NULL, 64, "--expires needs a value"},
		{"user 1 --expires 1", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires h", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires 0s", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires -1h", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires 1.5h", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires 1w", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires 36501d", "JWT_SECRET=" SECRET, NULL, 64, "--expires: expected a number"},
		{"user 1 --expires 99999999999999999999s", "JWT_SECRET=" SECRET, NULL, 64,
			"--expires: expected"},
		{"user 1 --secret x", "JWT_SECRET=" SECRET, NULL, 64, "unknown option"},
		{"show x", "JWT_SECRET=" SECRET, NULL, 64, "show takes nothing"},
		{"show --expires 1h", "JWT_SECRET=" SECRET, NULL, 64, "show takes nothing"},
		{"show --subscribe +/ping", "JWT_SECRET=" SECRET, NULL, 64, "show takes nothing"},
		{"user 1 --subscribe +/ping", "JWT_SECRET=" SECRET, NULL, 64, "are for handlers"},
		{"user 1 --publish 1/ping", "JWT_SECRET=" SECRET, NULL, 64, "are for handlers"},
		{"handler a --subscribe", "JWT_SECRET=" SECRET, NULL, 64, "--subscribe needs a value"},
		{"handler a --subscribe a#", "JWT_SECRET=" SECRET, NULL, 64,
			"handler.subscribe[0] is no topic filter"},
		{"handler a --publish +/x --publish $SYS/#", "JWT_SECRET=" SECRET, NULL, 64,
			"brokers would refuse it: the token's handler.publish[1] begins with $"},
		{"user 1", "", NULL, 78, "JWT_SECRET is not set"},
		{"user 1", "", NULL, 78, "there is no .env in /tmp/"},
		{"user 1", "", "LOG_LEVEL=debug\n", 78, "JWT_SECRET is not set"},
		{"user 1", "JWT_SECRET=", NULL, 78, "JWT_SECRET is empty"},
		{"user 1", "JWT_SECRET=", "JWT_SECRET=" SECRET "\n", 78, "JWT_SECRET is empty"},
		{"user 1", "JWT_SECRET=0123456789abcdef0123456789abcde", NULL, 78,
			"31 bytes: expected 32 or more"},
		{"user 1", "JWT_SECRET=s ALLOW_SHORT_SECRET=off", NULL, 78, "1 bytes"},
		{"user 1", "JWT_SECRET= ALLOW_SHORT_SECRET=on", NULL, 78, "JWT_SECRET is empty"},
		{"user 1", "JWT_HANDLER_SECRET=" SECRET, NULL, 78, "JWT_SECRET is not set"},
		{"handler a", "JWT_HANDLER_SECRET=s JWT_SECRET=" SECRET, NULL, 78,
			"JWT_HANDLER_SECRET has 1 bytes"},
		{"user 1", "", "JWT_SECRET " SECRET "\n", 78, ".env"},
		{"user 1", "JWT_SECRET_FILE=./gone", NULL, 78,
			"JWT_SECRET_FILE=./gone: it cannot be read: No such file or directory"},
		{"user 1", "JWT_SECRET_FILE=" SECRET, NULL, 78, "its name is not shown"},
		{"user 1", "JWT_SECRET_FILE=.env", "#\n", 78, "has 1 bytes: expected 32 or more"},
		{"user 1", "JWT_SECRET_FILE=.env JWT_SECRET=" SECRET, "#\n", 78,
			"JWT_SECRET and JWT_SECRET_FILE are both set"},
		{"user 1 --env-file missing.env", "JWT_SECRET=" SECRET, NULL, 78,
			"missing.env: cannot be opened: No such file"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		unlink(".env");
		if (cases[i].dotenv)
			write_file(".env", cases[i].dotenv);
		struct outcome outcome;
		run(cases[i].arguments, cases[i].settings, "", NULL, &outcome);
		if (outcome.code != cases[i].code || !strstr(outcome.err, cases[i].error))
			fail_msg("case %zu: exit code %d: %s", i, outcome.code, outcome.err);
		assert_string_equal(outcome.out, "");
		assert_null(strstr(outcome.err, "0123456789"));
	}
}

/* ---- show ---- */

static char *token_made(const char *secret, int64_t age_s)
{
	char *token = NULL;
	assert_int_equal(token_sign_user(secret, "68946", time(NULL) - age_s, 3600, &token), 0);
	return token;
}

static void shown(void **state)
{
	(void)state;
	static const struct {
		const char *secret; /* it is signed with; NULL: `raw` is shown */
		const char *raw, *before, *behind;
		int64_t age_s;
		const char *settings;
		int code;
		const char *out;
	} cases[] = {
		{SECRET, NULL, "", "", 0, "JWT_SECRET=" SECRET, 0, "\naccepted: user 68946, until 20"},
		{SECRET, NULL, "", "\n", 0, "JWT_SECRET=" SECRET, 0,
			"\"user_id\": \"68946\"}\naccepted: user 68946"},
		{SECRET, NULL, "", " \r\n\n", 0, "JWT_SECRET=" SECRET, 0,
			"header: {\"alg\": \"HS256\", \"typ\": \"JWT\"}\n"},
		{SECRET, NULL, "", "", 3600, "JWT_SECRET=" SECRET, 1, "\nrefused: the token has expired\n"},
		{OTHER, NULL, "", "", 0, "JWT_SECRET=" SECRET, 1,
			"\nrefused: the token's signature does not match"},
		{SECRET, NULL, " ", "", 0, "JWT_SECRET=" SECRET, 1,
			"refused: the token's header is not base64url\n"},
		{SECRET, NULL, "", "", 0, "", 78,
			"header: {\"alg\": \"HS256\", \"typ\": \"JWT\"}\nclaims: {\"exp\": "},
		{NULL, "", "", "", 0, "JWT_SECRET=" SECRET, 1, "refused: the token is empty\n"},
		{NULL, "eyJhbGciOiJub25lIn0.e30.AA", "", "", 0, "JWT_SECRET=" SECRET, 1,
			"header: {\"alg\": \"none\"}\nclaims: {}\nrefused: the token's alg is not one that users' tokens are accepted with\n"},
		{SECRET, NULL, "", "", 0, "JWT_SECRET=" SECRET " JWT_HANDLER_SECRET=" OTHER, 0,
			"\naccepted: user 68946, until 20"},
		{SECRET, NULL, "", "", 0, "JWT_SECRET=" OTHER " JWT_HANDLER_SECRET=" SECRET, 1,
			"\nrefused: the token's signature does not match"},
		{SECRET, NULL, "", "", 0, "JWT_HANDLER_SECRET=" SECRET, 1,
			"\nrefused: the token's alg is not one that users'"},
		{SECRET, NULL, "", "", 0, "JWT_SECRET=" SECRET " JWT_HANDLER_SECRET=" SECRET, 1,
			"\nrefused: JWT_SECRET or JWT_HANDLER_SECRET is the same secret"},
	};
	unlink(".env");
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token =
			cases[i].secret ? token_made(cases[i].secret, cases[i].age_s) : strdup(cases[i].raw);
		char input[2048];
		snprintf(input, sizeof(input), "%s%s%s", cases[i].before, token, cases[i].behind);
		struct outcome outcome;
		run("show", cases[i].settings, input, NULL, &outcome);
		if (outcome.code != cases[i].code || !strstr(outcome.out, cases[i].out))
			fail_msg("case %zu: exit code %d: %s%s", i, outcome.code, outcome.out, outcome.err);
		free(token);
	}
	static char large[100000];
	memset(large, 'A', sizeof(large) - 1);
	struct outcome outcome;
	run("show", "JWT_SECRET=" SECRET, large, NULL, &outcome);
	assert_int_equal(outcome.code, 1);
	assert_string_equal(outcome.out, "refused: the token is larger than 4096 bytes\n");
}

static void help_and_version(void **state)
{
	(void)state;
	struct outcome outcome;
	run("--help", "", "", NULL, &outcome);
	assert_int_equal(outcome.code, 0);
	assert_non_null(strstr(outcome.out, "cashew-token user ID [--expires TIME]"));
	size_t lines = 0;
	for (const char *line = outcome.out; *line != '\0'; line += strcspn(line, "\n") + 1, lines++)
		assert_in_range(strcspn(line, "\n"), 0, 80);
	assert_in_range(lines, 1, 24);
	/* No example puts a token where everybody on the machine sees it. The shell's own echo has no arguments that others see. */
	assert_null(strstr(outcome.out, "-P \"$("));
	assert_null(strstr(outcome.out, "--pw"));
	run("--version", "", "", NULL, &outcome);
	assert_int_equal(outcome.code, 0);
	assert_int_equal(strncmp(outcome.out, "cashew-token 0.", 15), 0);
}

static void output_that_cannot_be_written(void **state)
{
	(void)state;
	static const char *const arguments[] = {"user 1", "show", "--help", "--version"};
	for (size_t i = 0; i < COUNT(arguments); i++) {
		struct outcome outcome;
		run(arguments[i], "JWT_SECRET=" SECRET, "", "/dev/full", &outcome);
		assert_int_equal(outcome.code, 74);
		assert_non_null(strstr(outcome.err, "standard output cannot be written"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tokens, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(locked_handlers, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(odd_secret, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(refusals, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(shown, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(help_and_version, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(output_that_cannot_be_written, enter_folder, leave_folder),
	};
	return cmocka_run_group_tests_name("cashew_token", tests, NULL, NULL);
}
