/*
 * cashew_token.c - the program cashew-token: makes tokens for users and handlers, and says what a token says.
 *
 * Happy path: `cashew-token user 68946 --expires 1h` prints a token, signed with JWT_SECRET, and nothing
 * else. `cashew-token show` reads a token from standard input, so that it never stands in a list of
 * processes. Failure modes, each with a line on standard error: a wrong command line (exit code 64), a secret
 * that is missing, empty or short or a .env that cannot be read (78), a token that is refused (1), standard
 * output that cannot be written (74), no memory (70).
 */
#include "clock.h"
#include "exit_codes.h"
#include "hardening.h"
#include "output.h"
#include "settings_file.h"
#include "token.h"
#include "token_verify.h"
#include "topic.h"
#include "value_text.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const int64_t lifetime_max_s = (int64_t)36500 * 24 * 3600;

enum task { TASK_USER, TASK_HANDLER, TASK_SHOW };

struct arguments {
	enum task task;
	const char *name;
	int64_t lifetime_s; /* 0: not given */
	const char *env_file;
	bool env_file_given;
};

static const char help[] =
	"Usage: cashew-token user ID [--expires TIME]       a token for a user's devices\n"
	"       cashew-token handler NAME [--expires TIME]  one for a handler, which acts\n"
	"                                                   for all users\n"
	"       cashew-token show                           what the token on standard\n"
	"                                                   input says, and whether the\n"
	"                                                   broker would accept it\n"
	"\n"
	"  --expires TIME    from now on, 1h by default: 90s, 15m, 1h or 30d\n"
	"  --env-file FILE   read secrets from FILE, which must exist, instead of .env\n"
	"  --help, --version\n"
	"\n"
	"The secret is JWT_SECRET of the environment, else of .env in the working\n"
	"directory: 32 bytes or more, unless ALLOW_SHORT_SECRET=on stands beside it. For\n"
	"handlers it is JWT_HANDLER_SECRET where that is set. ID and NAME: 1 to 64 of\n"
	"A-Z a-z 0-9 . _ | -\n"
	"\n"
	"A token is all that a device needs to act for its user: hand it to nobody else,\n"
	"and put it into no argument, which others on the machine see. For mosquitto_sub:\n"
	"  (umask 077; echo \"-P $(cashew-token user 68946)\" > ~/.config/mosquitto_sub)\n"
	"  mosquitto_sub -h HOST -p 8883 -i 68946-phone -u JWT -t '68946/#' -v\n"
	"\n"
	"Exit codes: 0, 1 the broker would refuse it, 64 wrong command line, 70 internal\n"
	"failure, 74 output failed, 78 no usable secret.\n";

/* ---- The command line ---- */

__attribute__((format(printf, 1, 2), noreturn)) static void usage_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("cashew-token: ", stderr);
	vfprintf(stderr, format, arguments);
	fputs(" (see cashew-token --help)\n", stderr);
	va_end(arguments);
	exit(EXIT_USAGE);
}

/* 90s, 15m, 1h, 30d; 0 if it is none of these. */
static int64_t duration_parse(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 9 || strlen(text) != digits + 1)
		return 0;
	int64_t number = strtoll(text, NULL, 10);
	switch (text[digits]) {
	case 's': return number;
	case 'm': return number * 60;
	case 'h': return number * 3600;
	case 'd': return number * 24 * 3600;
	default: return 0;
	}
}

static void options_parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"expires", required_argument, NULL, 'e'},
		{"env-file", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			arguments->lifetime_s = duration_parse(optarg);
			if (arguments->lifetime_s < 1 || arguments->lifetime_s > lifetime_max_s) {
				usage_fail(
					"--expires: expected a number and s, m, h or d, up to 36500d, as in 1h");
			}
			break;
		case 'f':
			arguments->env_file = optarg;
			arguments->env_file_given = true;
			break;
		case 'h': fputs(help, stdout); exit(output_flush("cashew-token", EXIT_OK));
		case 'v': puts("cashew-token " CASHEW_VERSION); exit(output_flush("cashew-token", EXIT_OK));
		case ':': usage_fail("%s needs a value", argv[optind - 1]);
		default: usage_fail("unknown option");
		}
	}
}

static void arguments_parse(int argc, char **argv, struct arguments *ret)
{
	*ret = (struct arguments){.env_file = ".env"};
	options_parse(argc, argv, ret);
	const char *task = argv[optind], *name = task ? argv[optind + 1] : NULL;
	if (!task)
		usage_fail("expected user, handler or show");
	if (strcmp(task, "show") == 0) {
		ret->task = TASK_SHOW;
		if (name || ret->lifetime_s != 0)
			usage_fail("show takes nothing but a token on standard input");
		return;
	}
	if (strcmp(task, "user") != 0 && strcmp(task, "handler") != 0)
		usage_fail("%s: expected user, handler or show", task);
	ret->task = task[0] == 'u' ? TASK_USER : TASK_HANDLER;
	ret->name = name;
	if (ret->lifetime_s == 0)
		ret->lifetime_s = 3600;
	if (!name || argv[optind + 2])
		usage_fail("%s: expected one %s", task, ret->task == TASK_USER ? "user id" : "name");
	if (!topic_user_valid(name, strlen(name))) {
		usage_fail(
			"%s: expected 1 to %d of A-Z a-z 0-9 . _ | -, not \"%s\"", task, USER_ID_MAX, name);
	}
}

/* ---- The secret ---- */

/* What the environment, else the file, says; NULL: neither says anything. */
static const char *setting(const struct settings_file *file, const char *name)
{
	const char *value = getenv(name);
	if (value)
		return value;
	const struct settings_entry *entry = settings_file_find(file, name);
	return entry ? entry->value : NULL;
}

/* As cashewd reads a switch. */
static bool switched_on(const char *value)
{
	static const char *const words[] = {"on", "true", "yes", "1"};
	bool on = false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && value; i++)
		on = on || strcasecmp(value, words[i]) == 0;
	return on;
}

struct secrets {
	char *users;	/* NULL: none */
	char *handlers; /* NULL: the users' */
};

static void secrets_free(struct secrets *secrets)
{
	char *const texts[] = {secrets->users, secrets->handlers};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i])
			explicit_bzero(texts[i], strlen(texts[i]));
		free(texts[i]);
	}
}

/* The secret of that name; *ret_secret stays NULL where it is empty or not set. */
static int secret_read(const struct settings_file *file, const char *name, char **ret_secret)
{
	const char *secret = setting(file, name);
	const size_t size = secret ? value_text_secret_size(secret, strlen(secret)) : 0;
	if (size == 0)
		return 0;
	if (size < TOKEN_SECRET_MIN && !switched_on(setting(file, "ALLOW_SHORT_SECRET"))) {
		fprintf(stderr,
			"cashew-token: %s has %zu bytes: expected %d or more; for trials ALLOW_SHORT_SECRET=on accepts it\n",
			name, size, TOKEN_SECRET_MIN);
		return EXIT_CONFIG;
	}
	const char *oddity = value_text_oddity(secret, size);
	if (oddity)
		fprintf(stderr, "cashew-token: %s: the value %s: it is taken as it stands\n", name, oddity);
	*ret_secret = strndup(secret, size);
	return *ret_secret ? 0 : EXIT_SOFTWARE;
}

/* *ret_secrets is the caller's, also on failure. */
static int secrets_find(
	const struct arguments *arguments, struct settings_file *file, struct secrets *ret_secrets)
{
	if (arguments->env_file_given && !settings_file_exists(arguments->env_file, stderr))
		return EXIT_CONFIG;
	int error = settings_file_read(arguments->env_file, stderr, stderr, file);
	if (error != 0)
		return error == SETTINGS_FILE_E_INVALID ? EXIT_CONFIG : EXIT_SOFTWARE;
	if (arguments->task != TASK_USER)
		error = secret_read(file, "JWT_HANDLER_SECRET", &ret_secrets->handlers);
	if (error == 0 && !(arguments->task == TASK_HANDLER && ret_secrets->handlers))
		error = secret_read(file, "JWT_SECRET", &ret_secrets->users);
	if (error != 0)
		return error;
	if (!ret_secrets->users && !ret_secrets->handlers) {
		fprintf(stderr,
			"cashew-token: JWT_SECRET is %s: set it in the environment or in %s (openssl rand -base64 48 makes one)\n",
			setting(file, "JWT_SECRET") ? "empty" : "not set", arguments->env_file);
		settings_file_tell_missing(arguments->env_file, stderr);
		return EXIT_CONFIG;
	}
	return 0;
}

/* ---- What it does ---- */

static int make(const struct arguments *arguments, const struct secrets *secrets)
{
	char *token = NULL;
	const char *secret = secrets->handlers ? secrets->handlers : secrets->users;
	int error = arguments->task == TASK_USER ? token_sign_user(secret, arguments->name, time(NULL),
							   arguments->lifetime_s, &token)
						 : token_sign_handler(secret, arguments->name, time(NULL),
							   arguments->lifetime_s, &token);
	if (error != 0) {
		fprintf(stderr, "cashew-token: the token could not be signed: %s\n", strerror(-error));
		return EXIT_SOFTWARE;
	}
	puts(token);
	free(token);
	return output_flush("cashew-token", EXIT_OK);
}

/* Standard input without the white space around it; one byte more than a token may have, so that a larger one is refused as such. */
static size_t token_read(char token[static TOKEN_SIZE_MAX + 64])
{
	size_t size = fread(token, 1, TOKEN_SIZE_MAX + 63, stdin);
	while (size > 0 && memchr(" \t\r\n", token[size - 1], 4))
		size--;
	return size;
}

static int key_add(
	struct token_keys *keys, const char *secret, bool for_users, bool for_handlers, char *reason)
{
	struct token_key key;
	const int error = secret ? token_key_from_secret(secret, &key, reason) : 0;
	if (error != 0 || !secret)
		return error;
	key.for_users = for_users;
	key.for_handlers = for_handlers;
	return token_keys_add(keys, &key, reason);
}

/* As a broker would that has these secrets, and no more. */
static int verify(const struct secrets *secrets, const char *token, size_t size,
	struct token_identity *ret_identity, char reason[static TOKEN_REASON_SIZE])
{
	static const struct token_rules rules;
	struct token_keys keys = {.count = 0};
	char words[TOKEN_REASON_SIZE];
	int error = key_add(&keys, secrets->users, true, !secrets->handlers, words);
	if (error == 0)
		error = key_add(&keys, secrets->handlers, false, true, words);
	if (error == TOKEN_E_REFUSED)
		(void)snprintf(reason, TOKEN_REASON_SIZE, "JWT_SECRET or JWT_HANDLER_SECRET %.100s", words);
	if (error == 0)
		error = token_verify_with(&keys, &rules, token, size, time(NULL), ret_identity, reason);
	token_keys_clear(&keys);
	return error;
}

static int show(const struct secrets *secrets)
{
	char token[TOKEN_SIZE_MAX + 64], reason[TOKEN_REASON_SIZE], *header = NULL, *claims = NULL;
	size_t size = token_read(token);
	int error = token_show(token, size, &header, &claims, reason);
	if (error == 0)
		printf("header: %s\nclaims: %s\n", header, claims);
	free(header);
	free(claims);
	struct token_identity identity;
	const bool has_secret = secrets->users || secrets->handlers;
	if (error == 0 && has_secret)
		error = verify(secrets, token, size, &identity, reason);
	if (error == -ENOMEM) {
		fprintf(stderr, "cashew-token: out of memory\n");
		return EXIT_SOFTWARE;
	}
	if (error == TOKEN_E_REFUSED) {
		printf("refused: %s\n", reason);
		return output_flush("cashew-token", EXIT_OK) != EXIT_OK ? EXIT_IO : EXIT_FAILED;
	}
	if (!has_secret)
		return output_flush("cashew-token", EXIT_OK);
	static const int64_t calendar_end = INT64_C(253402300799); /* of the year 9999 */
	char expires[CLOCK_ISO_SIZE] = "a day beyond the calendar";
	if (identity.expires <= calendar_end)
		clock_iso(identity.expires * 1000, expires);
	printf("accepted: %s %s, until %s\n", identity.is_handler ? "handler" : "user",
		identity.is_handler ? identity.name : identity.user_id, expires);
	return output_flush("cashew-token", EXIT_OK);
}

int main(int argc, char **argv)
{
	/* Neither a core dump nor another process of this user's may show the secret. */
	hardening_apply();
	struct arguments arguments;
	arguments_parse(argc, argv, &arguments);
	struct settings_file file = {0};
	__attribute__((cleanup(secrets_free))) struct secrets secrets = {.users = NULL};
	int exit_code = secrets_find(&arguments, &file, &secrets);
	if (arguments.task == TASK_SHOW) {
		int shown = show(&secrets);
		exit_code = exit_code != 0 ? exit_code : shown;
	} else if (exit_code == 0) {
		exit_code = make(&arguments, &secrets);
	}
	settings_file_free(&file);
	return exit_code;
}
