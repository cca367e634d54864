/*
 * cashewd.c - the program: options, settings, the log, then the supervisor until it is told to stop. The
 * supervisor starts a second program, cashewd-host (cashewd_host.c).
 *
 * Happy path: close the process's doors (no core dumps, private files), read and check the settings, pick the
 * handlers, open the log, supervisor_run(). Failure: a wrong option exits with 64, settings or handlers that
 * cannot be used with 78 after every problem was told on standard error, memory that runs out at start with
 * 70.
 */
#include "asyncapi.h"
#include "cashewd_dead_letters.h"
#include "cashewd_doctor.h"
#include "cashewd_healthcheck.h"
#include "cashewd_schedules.h"
#include "cashewd_top.h"
#include "check.h"
#include "configuration.h"
#include "exit_codes.h"
#include "handler_table.h"
#include "hardening.h"
#include "log.h"
#include "log_secret.h"
#include "output.h"
#include "routes.h"
#include "settings.h"
#include "store.h"
#include "supervisor.h"
#include "told_to_stop.h"

#include <errno.h>
#include <getopt.h>
#include <mongoc/mongoc.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_CLOSE_MS = 2000, AGAIN_MS = 500, WHEN_SIZE = 96 };

/* What the program is asked to do. */
enum task {
	TASK_RUN,
	TASK_CHECK,
	TASK_LIST,
	TASK_CHECK_HANDLERS,
	TASK_ASYNCAPI,
	TASK_HELP,
	TASK_HELP_SETTINGS,
	TASK_VERSION,
	TASK_MARKDOWN,
	TASK_EXAMPLE,
};

struct arguments {
	enum task task;
	const char *env_file;
	bool env_file_given;
	bool dev;
};

/* A terminal's: 24 lines of 80 columns. */
static void print_help(void)
{
	puts("Usage: cashewd [OPTION]...\n"
	     "       cashewd doctor|top|dead-letters|schedules|healthcheck ... (each: --help)\n"
	     "       cashewd asyncapi      writes what handlers take and send as AsyncAPI 3\n"
	     "\n"
	     "A handler runtime host for MQTT with MongoDB persistence. Runs a handler for\n"
	     "each command from the broker, sends the events that it causes, and acknowledges\n"
	     "the command only when all of that is durably done.\n"
	     "\n"
	     "  --check              check the settings, show them without secrets, and exit\n"
	     "  --list-handlers      show the handlers that are built in\n"
	     "  --check-handlers     check their descriptors, as the build does\n"
	     "  --env-file FILE      read settings from FILE, which must exist, not from .env\n"
	     "  --dev                at SIGHUP, go on with the cashewd-host that is there then\n"
	     "  --settings-env       write a commented .env; --settings-markdown: a table\n"
	     "  --help, --version    --help settings explains every setting\n"
	     "\n"
	     "Settings are read from .env in the working directory; the environment wins\n"
	     "over it. JWT_SECRET, BROKER_HOST and MONGO_DB_URL must be set.\n"
	     "\n"
	     "SIGTERM, SIGINT: finish what runs, acknowledge it, exit; the second one leaves\n"
	     "it to the broker. SIGHUP: read .env again, and go on with a fresh host.\n"
	     "\n"
	     "Exit codes: 0 stopped as told, 64 wrong option, 70 internal failure, 74 output\n"
	     "failed, 78 wrong settings or handlers.");
}

static void print_version(void)
{
	int major, minor, revision;
	mosquitto_lib_version(&major, &minor, &revision);
	printf("cashewd %s\nlibmosquitto %d.%d.%d, libmongoc %s, jansson %s\n", CASHEW_VERSION, major, minor,
		revision, mongoc_get_version(), jansson_version_str());
}

static const char *payload_name(const struct cashew_shape *payload)
{
	return payload ? payload->name : "object";
}

/* Its topic; of a schedule, when it runs. */
static const char *when_of(const struct cashew_handler *handler, char ret[static WHEN_SIZE])
{
	if (!handler->scheduled)
		return handler->topic;
	if (handler->cron)
		snprintf(ret, WHEN_SIZE, "cron %s", handler->cron);
	else
		snprintf(ret, WHEN_SIZE, "every %u s", handler->every_s);
	return ret;
}

/* settings: NULL where they are not known. */
static void print_handlers(const struct cashew_handler *const *handlers, const struct settings *settings)
{
	int name_width = (int)strlen("handler"), topic_width = (int)strlen("topic"),
	    lane_width = (int)strlen("lane");
	for (size_t i = 0; handlers[i]; i++) {
		char when[WHEN_SIZE];
		const int name = (int)strlen(handlers[i]->name);
		const int topic = (int)strlen(when_of(handlers[i], when));
		const int lane = (int)strlen(routes_lane_name(handlers[i]));
		name_width = name > name_width ? name : name_width;
		topic_width = topic > topic_width ? topic : topic_width;
		lane_width = lane > lane_width ? lane : lane_width;
	}
	printf("%-*s  %-*s  %-*s  light  %-15s  payload\n", name_width, "handler", topic_width, "topic",
		lane_width, "lane", "deadline");
	for (size_t i = 0; handlers[i]; i++) {
		char deadline[32] = "HANDLER_TIMEOUT", when[WHEN_SIZE];
		if (handlers[i]->deadline_ms != 0)
			snprintf(deadline, sizeof(deadline), "%u ms", handlers[i]->deadline_ms);
		else if (settings)
			snprintf(deadline, sizeof(deadline), "%u ms", settings->handler_timeout_s * 1000);
		printf("%-*s  %-*s  %-*s  %-5s  %-15s  %s\n", name_width, handlers[i]->name, topic_width,
			when_of(handlers[i], when), lane_width,
			handlers[i]->scheduled ? "-" : routes_lane_name(handlers[i]),
			handlers[i]->light ? "yes" : "no", deadline,
			handlers[i]->scheduled ? "-" : payload_name(handlers[i]->payload));
	}
}

static int parse_arguments(int count, char **values, struct arguments *ret)
{
	enum { ENV_FILE = 256, DEV, TASKS };
	static const struct option options[] = {
		{"env-file", required_argument, NULL, ENV_FILE},
		{"dev", no_argument, NULL, DEV},
		{"check", no_argument, NULL, TASKS + TASK_CHECK},
		{"list-handlers", no_argument, NULL, TASKS + TASK_LIST},
		{"check-handlers", no_argument, NULL, TASKS + TASK_CHECK_HANDLERS},
		{"help", no_argument, NULL, TASKS + TASK_HELP},
		{"version", no_argument, NULL, TASKS + TASK_VERSION},
		{"settings-markdown", no_argument, NULL, TASKS + TASK_MARKDOWN},
		{"settings-env", no_argument, NULL, TASKS + TASK_EXAMPLE},
		{NULL},
	};
	struct arguments found = {.task = TASK_RUN, .env_file = ".env"};
	for (int option; (option = getopt_long(count, values, "h", options, NULL)) != -1;) {
		if (option == '?') {
			fputs("cashewd: see cashewd --help\n", stderr);
			return EXIT_USAGE;
		}
		if (option == ENV_FILE) {
			found.env_file = optarg;
			found.env_file_given = true;
		} else if (option == DEV) {
			found.dev = true;
		} else {
			found.task = option == 'h' ? TASK_HELP : (enum task)(option - TASKS);
		}
	}
	if (found.task == TASK_HELP && optind + 1 == count && strcmp(values[optind], "settings") == 0) {
		found.task = TASK_HELP_SETTINGS;
		optind++;
	}
	if (found.task == TASK_RUN && optind + 1 == count && strcmp(values[optind], "asyncapi") == 0) {
		found.task = TASK_ASYNCAPI;
		optind++;
	}
	if (optind < count) {
		fprintf(stderr, "cashewd: unexpected argument '%s'; see cashewd --help\n", values[optind]);
		return EXIT_USAGE;
	}
	*ret = found;
	return 0;
}

static int write_asyncapi(void)
{
	if (asyncapi_write(handler_table, CASHEW_VERSION, stdout) == 0 || ferror(stdout))
		return EXIT_OK; /* output_flush() tells of what could not be written */
	return output_no_memory("cashewd");
}

static void forget(const char *name)
{
	char *value = getenv(name);
	if (value)
		explicit_bzero(value, strlen(value));
	(void)unsetenv(name);
}

/* Removes secrets from the environment, where libraries, handlers and /proc/PID/environ would still see them. */
static void forget_secrets(void)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].secret || settings_table[i].url)
			forget(settings_table[i].name);
	for (size_t i = 0; handler_table[i]; i++) {
		const struct cashew_setting *setting = handler_table[i]->settings;
		for (; setting && setting->name; setting++)
			if (setting->secret)
				forget(setting->name);
	}
}

/* The driver keeps counters for a tool of its own in a file of shared memory, named by the process: a host that is killed leaves
 * it behind, and a later process of that number complains. Nobody reads them. */
static void forgo_driver_counters(void)
{
	(void)setenv("MONGOC_DISABLE_SHM", "1", true);
}

/* What the driver says to the connection string, without connecting. */
static int check_store(const struct settings *settings)
{
	char message[STORE_MESSAGE_SIZE];
	struct store *store;
	const int error = store_open(&(struct store_options){.url = settings->mongo_db_url,
					     .database = settings->mongo_db_name,
					     .app_name = settings->client_id,
					     .pool_size = settings->workers,
					     .work_ms = settings->handler_timeout_s * 1000},
		&store, message);
	if (error == STORE_E_AWAY) {
		fprintf(stderr, "MONGO_DB_URL: %s (cashewd waits until it can be looked up)\n", message);
		return 0;
	}
	if (error != 0) {
		log_secret_hide(message);
		fprintf(stderr, "MONGO_DB_URL: %s\n", message);
		return EXIT_CONFIG;
	}
	fputs(store_notes(store), stderr);
	printf("\ndatabase: %s\n", store_database_name(store));
	store_close(store);
	return 0;
}

static int check(const struct configuration *configuration)
{
	fputs(configuration->warnings, stderr);
	settings_print(&configuration->settings, stdout);
	putchar('\n');
	print_handlers(configuration->handlers, &configuration->settings);
	const int error = check_store(&configuration->settings);
	if (error == 0)
		puts("\nok");
	return error;
}

/* A copy of the environment before the secrets are removed from it: SIGHUP lays it on top of .env again. NULL when out of memory. */
static char **copy_environment(void)
{
	size_t count = 0;
	while (environ[count])
		count++;
	char **copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(environ[i]);
		if (!copy[i])
			return NULL;
	}
	return copy;
}

static void free_environment(char **copy)
{
	for (char **at = copy; *at; at++) {
		explicit_bzero(*at, strlen(*at));
		free(*at);
	}
	free(copy);
}

/* The log needs a thread: where there is none now (ulimit -u, pids.max) it is waited for. */
static int open_log(const struct settings *settings)
{
	const struct log_options options = {.fd = STDERR_FILENO,
		.format = (enum log_format)settings->log_format,
		.level = (enum log_level)settings->log_level};
	int error = log_open(&options);
	if (error == -EAGAIN)
		fprintf(stderr, "cashewd: the log's thread cannot be started now, and is waited for: %s\n",
			strerror(-error));
	while (error == -EAGAIN && !told_to_stop()) {
		(void)poll(NULL, 0, AGAIN_MS);
		error = log_open(&options);
	}
	return error;
}

static int run(const struct arguments *arguments, char **environment, struct configuration *configuration)
{
	const int error = open_log(&configuration->settings);
	if (error == -EAGAIN)
		return EXIT_OK;
	if (error != 0) {
		fprintf(stderr, "cashewd: the log's thread cannot be started: %s\n", strerror(-error));
		return EXIT_SOFTWARE;
	}
	const int code = supervisor_run(&(const struct configuration_source){.env_file = arguments->env_file,
						.env_file_must_exist = arguments->env_file_given,
						.environment = environment,
						.handlers = handler_table},
		configuration, arguments->dev);
	log_close(LOG_CLOSE_MS);
	return code;
}

static int configure_and(const struct arguments *arguments)
{
	__attribute__((cleanup(configuration_free))) struct configuration configuration = {.handlers = NULL};
	char **environment = copy_environment();
	if (!environment)
		return output_no_memory("cashewd");
	int code = configuration_read(&(const struct configuration_source){.env_file = arguments->env_file,
					      .env_file_must_exist = arguments->env_file_given,
					      .environment = environ,
					      .handlers = handler_table},
		stderr, &configuration);
	forget_secrets();
	forgo_driver_counters();
	if (code == EXIT_CONFIG && told_to_stop()) /* while the settings were read: no fault of theirs */
		code = EXIT_OK;
	else if (code == EXIT_CONFIG)
		fputs("cashewd: not started: the settings cannot be used\n", stderr);
	else if (code == 0 && arguments->task == TASK_CHECK)
		code = check(&configuration);
	else if (code == 0)
		code = run(arguments, environment, &configuration);
	free_environment(environment);
	return code;
}

int main(int count, char **values)
{
	struct arguments arguments;
	if (count > 1 && strcmp(values[1], "dead-letters") == 0) {
		hardening_apply();
		return cashewd_dead_letters(count - 1, values + 1, handler_table, forget_secrets);
	}
	if (count > 1 && strcmp(values[1], "schedules") == 0) {
		hardening_apply();
		return cashewd_schedules(count - 1, values + 1, handler_table, forget_secrets);
	}
	if (count > 1 && strcmp(values[1], "doctor") == 0) {
		hardening_apply();
		return cashewd_doctor(count - 1, values + 1, handler_table, forget_secrets);
	}
	if (count > 1 && strcmp(values[1], "top") == 0) {
		hardening_apply();
		return cashewd_top(count - 1, values + 1, forget_secrets);
	}
	if (count > 1 && strcmp(values[1], "healthcheck") == 0) {
		hardening_apply();
		return cashewd_healthcheck(count - 1, values + 1);
	}
	int code = parse_arguments(count, values, &arguments);
	if (code != 0)
		return code;
	/* Before anything else, so that one that comes early is an orderly end as well. */
	if (arguments.task == TASK_RUN)
		supervisor_block_signals();
	switch (arguments.task) {
	case TASK_RUN:
	case TASK_CHECK:
		hardening_apply();
		code = configure_and(&arguments);
		break;
	case TASK_LIST: print_handlers(handler_table, NULL); break;
	case TASK_CHECK_HANDLERS:
		code = check_handlers(handler_table, stderr) > 0 ? EXIT_CONFIG : EXIT_OK;
		break;
	case TASK_ASYNCAPI: code = write_asyncapi(); break;
	case TASK_HELP: print_help(); break;
	case TASK_HELP_SETTINGS: settings_help(stdout); break;
	case TASK_VERSION: print_version(); break;
	case TASK_MARKDOWN: settings_markdown(stdout); break;
	case TASK_EXAMPLE: settings_example(stdout); break;
	}
	return output_flush("cashewd", code);
}
