/*
 * cashew_token.c - the program cashew-token: makes tokens for users and handlers, and says what a token says.
 *
 * Happy path: `cashew-token user 68946 --expires 1h` prints a token, signed with JWT_SECRET, and nothing
 * else. `cashew-token show` reads a token from standard input, so that it never stands in a list of
 * processes. `exchange` and `jwks` are tools/provider's. Failure modes, each with a line on standard error: a wrong command line (exit code 64), a secret
 * that is missing, empty or short or a .env that cannot be read (78), a token that is refused (1), standard
 * output that cannot be written (74), no memory (70).
 */
#include "cashew_token_exchange.h"
#include "cashew_token_jwks.h"
#include "clock.h"
#include "duration.h"
#include "exit_codes.h"
#include "hardening.h"
#include "output.h"
#include "provider_options.h"
#include "settings.h"
#include "settings_file.h"
#include "small_file.h"
#include "token.h"
#include "token_filters.h"
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

enum task { TASK_USER, TASK_HANDLER, TASK_SHOW };

/* What a handler is locked to; without a filter: nothing. */
struct filters {
	const char *texts[TOKEN_FILTERS_MAX];
	size_t count;
};

struct arguments {
	enum task task;
	const char *name;
	int64_t lifetime_s; /* 0: not given */
	const char *env_file;
	bool env_file_given;
	struct filters subscribe, publish, client_ids;
};

static const char help[] =
	"Usage: cashew-token user ID [--expires TIME]       a token for a user's devices\n"
	"       cashew-token handler NAME [--expires TIME]  one that acts for all users\n"
	"       cashew-token show                           what the token on standard\n"
	"                                                   input says, and whether the\n"
	"                                                   broker would accept it\n"
	"       cashew-token exchange, jwks                 of a provider: see --help\n"
	"\n"
	"  --expires TIME    from now on, 1h by default: 90s, 15m, 1h or 30d\n"
	"  --subscribe FILTER, --publish FILTER, --client-id ID   locks for a handler\n"
	"  --env-file FILE   read secrets from FILE, which must exist, instead of .env\n"
	"  --help, --version\n"
	"\n"
	"The secret is JWT_SECRET of the environment, else of .env in the working\n"
	"directory, or of the file that JWT_SECRET_FILE names: 32 bytes or more, unless\n"
	"ALLOW_SHORT_SECRET=on. For handlers it is JWT_HANDLER_SECRET where that is set.\n"
	"ID and NAME: 1 to 64 of A-Z a-z 0-9 . _ | -\n"
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

static void filter_add(struct filters *filters, const char *filter)
{
	if (filters->count == TOKEN_FILTERS_MAX)
		usage_fail("%d filters of a kind at most", TOKEN_FILTERS_MAX);
	filters->texts[filters->count++] = filter;
}

static void options_parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"expires", required_argument, NULL, 'e'},
		{"subscribe", required_argument, NULL, 's'},
		{"publish", required_argument, NULL, 'p'},
		{"client-id", required_argument, NULL, 'c'},
		{"env-file", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			arguments->lifetime_s = duration_read(optarg);
			if (arguments->lifetime_s == 0)
				usage_fail("--expires: " DURATION_EXPECTED);
			break;
		case 's': filter_add(&arguments->subscribe, optarg); break;
		case 'p': filter_add(&arguments->publish, optarg); break;
		case 'c': filter_add(&arguments->client_ids, optarg); break;
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

static bool locks(const struct arguments *arguments)
{
	return arguments->subscribe.count + arguments->publish.count + arguments->client_ids.count > 0;
}

static void arguments_parse(int argc, char **argv, struct arguments *ret)
{
	*ret = (struct arguments){.env_file = ".env"};
	options_parse(argc, argv, ret);
	const char *task = argv[optind], *name = task ? argv[optind + 1] : NULL;
	if (!task)
		usage_fail("expected user, handler, show, exchange or jwks");
	if (strcmp(task, "show") == 0) {
		ret->task = TASK_SHOW;
		if (name || ret->lifetime_s != 0 || locks(ret))
			usage_fail("show takes nothing but a token on standard input");
		return;
	}
	if (strcmp(task, "user") != 0 && strcmp(task, "handler") != 0)
		usage_fail("%s: expected user, handler, show, exchange or jwks, in front", task);
	ret->task = task[0] == 'u' ? TASK_USER : TASK_HANDLER;
	if (ret->task == TASK_USER && locks(ret))
		usage_fail(
			"--subscribe, --publish and --client-id are for handlers: a user has the topics below its id");
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

/* A copy of those bytes, which are a secret, once they have been looked at. */
static int secret_take(const struct settings_file *file, const char *name, const char *secret, size_t size,
	char **ret_secret)
{
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

/* The secret of that name, or of the file that NAME_FILE names; *ret_secret stays NULL where it is empty or not set. */
static int secret_read(const struct settings_file *file, const char *name, char **ret_secret)
{
	char file_name[64], *bytes = NULL;
	const char *secret = setting(file, name);
	size_t size = secret ? value_text_secret_size(secret, strlen(secret)) : 0;
	snprintf(file_name, sizeof(file_name), "%s_FILE", name);
	const char *path = setting(file, file_name);
	if (!path || path[0] == '\0')
		return size > 0 ? secret_take(file, name, secret, size, ret_secret) : 0;
	if (size > 0) {
		fprintf(stderr, "cashew-token: %s and %s are both set: expected one of them\n", name,
			file_name);
		return EXIT_CONFIG;
	}
	int error = settings_secret_file(path, file_name, stderr, stderr, &bytes, &size);
	if (error != 0)
		return error == SETTINGS_E_INVALID ? EXIT_CONFIG : EXIT_SOFTWARE;
	error = secret_take(file, name, bytes, size, ret_secret);
	small_file_free(bytes, size);
	return error;
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
	char *token = NULL, reason[TOKEN_REASON_SIZE];
	const struct filters *subscribe = &arguments->subscribe, *publish = &arguments->publish,
			     *client_ids = &arguments->client_ids;
	const struct token_topics topics = {.subscribe = subscribe->count > 0 ? subscribe->texts : NULL,
		.subscribe_count = subscribe->count,
		.publish = publish->count > 0 ? publish->texts : NULL,
		.publish_count = publish->count,
		.client_ids = client_ids->count > 0 ? client_ids->texts : NULL,
		.client_ids_count = client_ids->count};
	const char *secret = secrets->handlers ? secrets->handlers : secrets->users;
	int error = arguments->task == TASK_USER ? token_sign_user(secret, arguments->name, time(NULL),
							   arguments->lifetime_s, &token)
						 : token_sign_locked_handler(secret, arguments->name, &topics,
							   time(NULL), arguments->lifetime_s, &token, reason);
	if (error == TOKEN_E_REFUSED) {
		fprintf(stderr, "cashew-token: brokers would refuse it: %s\n", reason);
		return EXIT_USAGE;
	}
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
	struct token_identity identity = {.filters = NULL};
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
	printf("accepted: %s %s, until %s%s\n", identity.is_handler ? "handler" : "user",
		identity.is_handler ? identity.name : identity.user_id, expires,
		identity.filters ? ", locked to topics" : "");
	token_identity_clear(&identity);
	return output_flush("cashew-token", EXIT_OK);
}

/* exchange and jwks. */
static int provider(int argc, char **argv)
{
	struct provider_options options;
	const int code = provider_options_parse(argc, argv, &options);
	if (code != PROVIDER_OPTIONS_GO_ON)
		return code;
	if (!options.is_exchange)
		return cashew_token_jwks(&options);
	const struct arguments arguments = {
		.task = TASK_USER, .env_file = options.env_file, .env_file_given = options.env_file_given};
	struct settings_file file = {0};
	__attribute__((cleanup(secrets_free))) struct secrets secrets = {.users = NULL};
	int exit_code = secrets_find(&arguments, &file, &secrets);
	settings_file_free(&file);
	if (exit_code != 0)
		return exit_code;
	char token[TOKEN_SIZE_MAX + 64];
	return cashew_token_exchange(&options, secrets.users, token, token_read(token));
}

int main(int argc, char **argv)
{
	/* Neither a core dump nor another process of this user's may show the secret. */
	hardening_apply();
	if (provider_options_are_meant(argc, argv))
		return provider(argc, argv);
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
