/*
 * cashewd_doctor.c - runs the checks of `cashewd doctor` and prints what they say: see print_help().
 *
 * Happy path: read the options and the settings, run the checks of the table in order, printing each as it
 * ends, say how many were what. A check whose need has failed is skipped and says so. Failure: something that
 * a check failed makes the exit code 1, settings that cannot be used make it 78. A running host notices
 * nothing: the doctor's client ids and user ids are its own and new each time, its sessions end with it.
 */
#include "cashewd_doctor.h"

#include "configuration.h"
#include "doctor.h"
#include "doctor_print.h"
#include "exit_codes.h"
#include "log.h"
#include "output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_S = 5, TIMEOUT_MAX_S = 300 };

struct options {
	const char *env_file;
	bool env_file_given, json, send_loggly_event, help;
	unsigned timeout_s;
};

/* What a check needs: another one that did not fail, by its place in the table. */
enum check_id {
	CHECK_SETTINGS,
	CHECK_FILES,
	CHECK_LIMITS,
	CHECK_SPOOL,
	CHECK_TOKEN,
	CHECK_NAME,
	CHECK_TCP,
	CHECK_TLS,
	CHECK_LOGIN,
	CHECK_SUBSCRIPTIONS,
	CHECK_RETAINED,
	CHECK_SESSION,
	CHECK_HOST,
	CHECK_STRANGERS,
	CHECK_USER_LOGIN,
	CHECK_ACCESS,
	CHECK_ROUND_TRIP,
	CHECK_NAMES,
	CHECK_DATABASE,
	CHECK_WRITES,
	CHECK_RIGHTS,
	CHECK_COLLECTIONS,
	CHECK_INDEXES,
	CHECK_WAITING,
	CHECK_SCHEDULES,
	CHECK_LOGGLY,
	CHECKS,
};

static const struct check {
	const char *name;
	void (*run)(struct doctor *doctor);
	enum check_id needs[2]; /* CHECK_SETTINGS, which all the others need, fills up */
} checks[CHECKS] = {
	[CHECK_SETTINGS] = {"settings", doctor_check_settings, {0}},
	[CHECK_FILES] = {"files", doctor_check_files, {0}},
	[CHECK_LIMITS] = {"limits", doctor_check_limits, {0}},
	[CHECK_SPOOL] = {"spool", doctor_check_spool, {0}},
	[CHECK_TOKEN] = {"token", doctor_check_token, {0}},
	[CHECK_NAME] = {"broker_name", doctor_check_name, {0}},
	[CHECK_TCP] = {"broker_tcp", doctor_check_tcp, {CHECK_NAME}},
	[CHECK_TLS] = {"broker_tls", doctor_check_tls, {CHECK_TCP}},
	[CHECK_LOGIN] = {"broker_login", doctor_check_login, {CHECK_TLS, CHECK_TOKEN}},
	[CHECK_SUBSCRIPTIONS] = {"subscriptions", doctor_check_subscriptions, {CHECK_LOGIN}},
	[CHECK_RETAINED] = {"retained", doctor_check_retained, {CHECK_SUBSCRIPTIONS}},
	[CHECK_SESSION] = {"session", doctor_check_session, {CHECK_LOGIN}},
	[CHECK_HOST] = {"host", doctor_check_host, {0}},
	[CHECK_STRANGERS] = {"strangers", doctor_check_strangers, {CHECK_LOGIN}},
	[CHECK_USER_LOGIN] = {"user_login", doctor_check_user_login, {CHECK_LOGIN}},
	[CHECK_ACCESS] = {"access", doctor_check_access, {CHECK_USER_LOGIN}},
	[CHECK_ROUND_TRIP] = {"round_trip", doctor_check_round_trip, {CHECK_USER_LOGIN}},
	[CHECK_NAMES] = {"names", doctor_check_names, {CHECK_USER_LOGIN}},
	[CHECK_DATABASE] = {"database", doctor_check_database, {0}},
	[CHECK_WRITES] = {"database_writes", doctor_check_writes, {CHECK_DATABASE}},
	[CHECK_RIGHTS] = {"rights", doctor_check_rights, {CHECK_DATABASE}},
	[CHECK_COLLECTIONS] = {"collections", doctor_check_collections, {CHECK_DATABASE}},
	[CHECK_INDEXES] = {"indexes", doctor_check_indexes, {CHECK_DATABASE}},
	[CHECK_WAITING] = {"waiting", doctor_check_waiting, {CHECK_DATABASE}},
	[CHECK_SCHEDULES] = {"schedules", doctor_check_schedules, {CHECK_DATABASE}},
	[CHECK_LOGGLY] = {"loggly", doctor_check_loggly, {0}},
};

static void print_help(void)
{
	puts("Usage: cashewd doctor [OPTION]...\n"
	     "\n"
	     "Checks what the host stands on, in order: settings, files and limits, the way\n"
	     "to the broker, TLS, the token, what the broker grants the handlers and refuses\n"
	     "to others, the database, Loggly. Each finding is a line: ok, warn, fail or\n"
	     "skip, and below it what to do.\n"
	     "\n"
	     "It can run beside a host and does not disturb it: its sessions at the broker\n"
	     "are its own, new each time; it subscribes to what the handlers subscribe to for\n"
	     "a moment, and drops the commands that it is sent; the database is only read,\n"
	     "and told to write what changes nothing.\n"
	     "\n"
	     "  --timeout S          how long a single step may take (default 5)\n"
	     "  --json               all findings as one JSON object\n"
	     "  --send-loggly-event  send one event, to see whether LOGGLY_TOKEN is accepted\n"
	     "  --env-file FILE      read settings from FILE instead of .env\n"
	     "  --help\n"
	     "\n"
	     "Run it as the user, in the folder, with the environment of cashewd itself.\n"
	     "\n"
	     "Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 64\n"
	     "wrong option, 70 internal failure, 74 output failed, 78 wrong settings.");
}

/* getopt_long() has said what is wrong where text is NULL. */
static int wrong(const char *what, const char *text)
{
	if (text)
		fprintf(stderr, "cashewd doctor: %s '%s'\n", what, text);
	fputs("cashewd doctor: see cashewd doctor --help\n", stderr);
	return EXIT_USAGE;
}

static int parse_options(int count, char **values, struct options *ret)
{
	enum { ENV_FILE = 256, JSON, TIMEOUT, LOGGLY, HELP };
	static const struct option long_options[] = {
		{"env-file", required_argument, NULL, ENV_FILE},
		{"json", no_argument, NULL, JSON},
		{"timeout", required_argument, NULL, TIMEOUT},
		{"send-loggly-event", no_argument, NULL, LOGGLY},
		{"help", no_argument, NULL, HELP},
		{NULL},
	};
	struct options options = {.env_file = ".env", .timeout_s = TIMEOUT_S};
	char program[] = "cashewd doctor";
	values[0] = program;
	for (int option; (option = getopt_long(count, values, "h", long_options, NULL)) != -1;) {
		switch (option) {
		case ENV_FILE:
			options.env_file = optarg;
			options.env_file_given = true;
			break;
		case JSON: options.json = true; break;
		case TIMEOUT:
			options.timeout_s = (unsigned)strtoul(optarg, NULL, 10);
			if (strspn(optarg, "0123456789") != strlen(optarg) || strlen(optarg) > 3 ||
				options.timeout_s == 0 || options.timeout_s > TIMEOUT_MAX_S)
				return wrong("--timeout: expected 1 to 300 seconds, not", optarg);
			break;
		case LOGGLY: options.send_loggly_event = true; break;
		case 'h':
		case HELP: options.help = true; break;
		default: return wrong(NULL, NULL);
		}
	}
	if (optind < count)
		return wrong("unexpected argument", values[optind]);
	*ret = options;
	return 0;
}

static const struct check *failed_need(const struct check *check, const bool *passed)
{
	if (check != &checks[CHECK_SETTINGS] && !passed[CHECK_SETTINGS])
		return &checks[CHECK_SETTINGS];
	for (size_t i = 0; i < sizeof(check->needs) / sizeof(check->needs[0]); i++)
		if (check->needs[i] != CHECK_SETTINGS && !passed[check->needs[i]])
			return &checks[check->needs[i]];
	return NULL;
}

static void run_checks(struct doctor *doctor, bool print)
{
	const bool colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	bool passed[CHECKS] = {false};
	int width = 0;
	for (size_t i = 0; i < CHECKS; i++)
		width = (int)strlen(checks[i].name) > width ? (int)strlen(checks[i].name) : width;
	for (size_t i = 0; i < CHECKS; i++) {
		const struct check *need = failed_need(&checks[i], passed);
		const size_t before = doctor->line_count;
		doctor->check = checks[i].name;
		doctor->outcome = DOCTOR_OK;
		if (need)
			doctor_skip(doctor, "needs %s", need->name);
		else
			checks[i].run(doctor);
		passed[i] = !need && doctor->outcome != DOCTOR_FAIL;
		for (size_t j = before; print && j < doctor->line_count; j++)
			doctor_print_line(&doctor->lines[j], width, colours, stdout);
		if (print)
			fflush(stdout);
	}
}

static int print_json(const struct doctor *doctor)
{
	json_t *json = doctor_json(doctor->lines, doctor->line_count);
	const int r = json ? json_dumpf(json, stdout, JSON_INDENT(2)) : -1;
	json_decref(json);
	fputc('\n', stdout);
	if (r == 0)
		return 0;
	return output_no_memory("cashewd");
}

/* In a group of the doctor's own, so that no command of the hosts' group comes here. */
static int make_routes(struct doctor *doctor)
{
	const char *shared_group = doctor->configuration->settings.shared_group;
	char random[DOCTOR_USER_SIZE];
	int error = routes_new(doctor->configuration->handlers, &doctor->routes);
	if (error != 0 || shared_group[0] == '\0')
		return error;
	doctor_random_name(random, "doctor-", 8);
	snprintf(doctor->group, sizeof(doctor->group), "%s-%s", shared_group, random);
	return routes_share(&doctor->routes, doctor->group);
}

static int examine(struct doctor *doctor, const struct options *options, int settings_code)
{
	const struct configuration *configuration = doctor->configuration;
	if (configuration && make_routes(doctor) != 0)
		return output_no_memory("cashewd");
	run_checks(doctor, !options->json);
	const struct doctor_totals totals = doctor_totals(doctor->lines, doctor->line_count);
	int code = totals.failed > 0 ? EXIT_FAILED : 0;
	if (!options->json)
		doctor_print_totals(&totals, stdout);
	else if (print_json(doctor) != 0)
		code = EXIT_SOFTWARE;
	doctor_clear(doctor);
	return settings_code != 0 ? settings_code : code;
}

static int run(const struct options *options, const struct cashew_handler *const *handlers,
	void (*forget_secrets)(void))
{
	__attribute__((cleanup(configuration_free))) struct configuration configuration = {.handlers = NULL};
	char *problems = NULL;
	size_t size;
	FILE *stream = open_memstream(&problems, &size);
	struct doctor *doctor = calloc(1, sizeof(*doctor));
	int code = EXIT_SOFTWARE;
	/* The parts that the host has too log what the doctor says in its own words. */
	log_set(LOG_FORMAT_AUTO, LOG_LEVEL_ERROR);
	if (stream)
		code = configuration_read(&(const struct configuration_source){.env_file = options->env_file,
						  .env_file_must_exist = options->env_file_given,
						  .environment = environ,
						  .handlers = handlers},
			stream, &configuration);
	forget_secrets();
	if (!stream || fclose(stream) != 0 || !doctor || code == EXIT_SOFTWARE) {
		code = output_no_memory("cashewd");
	} else {
		doctor->configuration = code == 0 ? &configuration : NULL;
		doctor->env_file = options->env_file;
		doctor->problems = problems;
		doctor->timeout_ms = options->timeout_s * 1000;
		doctor->send_loggly_event = options->send_loggly_event;
		code = examine(doctor, options, code);
	}
	free(doctor);
	free(problems);
	return code;
}

int cashewd_doctor(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void))
{
	struct options options;
	int code = parse_options(count, values, &options);
	if (code != 0)
		return code;
	if (options.help)
		print_help();
	else
		code = run(&options, handlers, forget_secrets);
	return output_flush("cashewd", code);
}
