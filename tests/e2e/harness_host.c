/* harness_host.c - the program under test. See harness.h. */
#include "harness_private.h"
#include "log_follow.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum { SETTINGS_MAX = 64, ARGUMENTS_MAX = 16 };

struct pair {
	const char *name, *value;
};

struct host {
	struct harness *harness;
	struct host *next;
	struct harness_process process;
	const char *program, *folder, *output;
	struct pair settings[SETTINGS_MAX], environment[SETTINGS_MAX];
	const char *arguments[ARGUMENTS_MAX];
	bool env_written;
	size_t started_at; /* what the log held at the last start */
	bool may_die;	   /* the process that runs handlers is expected to */
	struct log_follow log;
};

/* ---- Settings ---- */

static void pair_set(struct harness *h, struct pair *pairs, const char *name, const char *value)
{
	size_t i = 0;
	while (i < SETTINGS_MAX && pairs[i].name && strcmp(pairs[i].name, name) != 0)
		i++;
	if (i == SETTINGS_MAX)
		harness_fail("more than %d settings", SETTINGS_MAX);
	pairs[i].name = harness_format(h, "%s", name);
	pairs[i].value = value ? harness_format(h, "%s", value) : NULL;
}

void host_set(struct host *host, const char *name, const char *value)
{
	pair_set(host->harness, host->settings, name, value);
	host->env_written = false;
}

void host_set_environment(struct host *host, const char *name, const char *value)
{
	pair_set(host->harness, host->environment, name, value);
}

void host_set_arguments(struct host *host, const char *const *arguments)
{
	size_t count = 0;
	while (arguments[count] && count < ARGUMENTS_MAX - 1) {
		host->arguments[count] = arguments[count];
		count++;
	}
	host->arguments[count] = NULL;
}

void host_use_program(struct host *host, const char *path)
{
	host->program = harness_format(host->harness, "%s", path);
}

void host_use_broker(struct host *host, const struct broker *broker)
{
	/* By name: the certificate holds it, and the address may be the wrong family's. */
	host_set(host, "BROKER_HOST", "localhost");
	host_set(host, "BROKER_PORT", harness_format(host->harness, "%u", broker_handler_port(broker)));
	host_set(host, "BROKER_TLS", broker_ca_file(broker) ? "on" : "off");
	host_set(host, "BROKER_CA_FILE", broker_ca_file(broker));
	host_set(host, "BROKER_TRANSPORT", broker_is_websocket(broker) ? "websocket" : NULL);
}

void host_use_database(struct host *host, const struct database *database)
{
	host_set(host, "MONGO_DB_URL", database_url(database));
	host_set(host, "MONGO_DB_NAME", harness_database_name(host->harness));
}

struct host *host_new(struct harness *h, enum host_program program)
{
	struct host *host = harness_alloc(h, sizeof(*host));
	unsigned number = 1;
	for (const struct host *other = h->hosts; other; other = other->next)
		number++;
	host->harness = h;
	host->program = program == HOST_PRODUCT ? CASHEWD_PATH : CASHEWD_TEST_PATH;
	host->process.name = "cashewd";
	host->folder = harness_path(h, "host-%u", number);
	host->output = harness_format(h, "%s/cashewd.log", host->folder);
	if (mkdir(host->folder, 0700) != 0)
		harness_fail("%s could not be made: %s", host->folder, strerror(errno));
	harness_watch_folder(h, host->folder);
	log_follow_open(&host->log, host->output);
	harness_add_process(h, &host->process);
	host->next = h->hosts;
	h->hosts = host;

	host_use_broker(host, harness_broker(h));
	host_use_database(host, harness_database(h));
	host_set(host, "JWT_SECRET", HARNESS_SECRET);
	host_set(host, "CLIENT_ID", "cashewd");
	host_set(host, "LOG_LEVEL", "debug");
	host_set(host, "LOG_FORMAT", "json");
	host_set(host, "METRICS_ADDR", "off");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* A sanitizer's own memory is no measure. */
	host_set(host, "HOST_RSS_MAX", "0");
#endif
	return host;
}

void host_set_program(struct host *host, const char *path)
{
	host->program = path;
}

struct host *harness_host(struct harness *h)
{
	if (!h->host) {
		h->host = host_new(h, HOST_PRODUCT);
		host_start(h->host);
		host_wait_ready(h->host);
	}
	return h->host;
}

const char *host_folder(const struct host *host)
{
	return host->folder;
}

void host_write_env(struct host *host)
{
	struct harness *h = host->harness;
	const char *text = "";
	for (size_t i = 0; i < SETTINGS_MAX && host->settings[i].name; i++)
		if (host->settings[i].value)
			text = harness_format(
				h, "%s%s='%s'\n", text, host->settings[i].name, host->settings[i].value);
	harness_write_file(h, harness_format(h, "%s/.env", host->folder), text);
	host->env_written = true;
}

/* ---- Life ---- */

void host_start(struct host *host)
{
	const char *argv[ARGUMENTS_MAX + 1] = {host->program};
	const char *environment[2 * SETTINGS_MAX] = {NULL};
	size_t count = 0;
	if (!host->env_written)
		host_write_env(host);
	for (size_t i = 0; host->arguments[i]; i++)
		argv[i + 1] = host->arguments[i];
	for (const char *const *inherited = process_environment(); *inherited; inherited++)
		environment[count++] = *inherited;
	for (size_t i = 0; i < SETTINGS_MAX && host->environment[i].name; i++)
		if (host->environment[i].value)
			environment[count++] = harness_format(host->harness, "%s=%s",
				host->environment[i].name, host->environment[i].value);
	const struct process_options options = {.argv = argv,
		.environment = environment,
		.folder = host->folder,
		.output = host->output,
		.death_signal = SIGKILL};
	if (host->process.process.pid > 0)
		harness_fail("the host runs already");
	log_follow_read(&host->log);
	host->started_at = host->log.count;
	const int error = process_start(&host->process.process, &options);
	if (error != 0)
		harness_fail("%s could not be started: %s", host->program, strerror(-error));
}

void host_wait_ready_at(const char *file, int line, struct host *host)
{
	host_expect_log_at(file, line, host, "ready", NULL);
}

static bool host_gone(void *context)
{
	struct host *host = context;
	return process_reap(&host->process.process, 0);
}

int host_wait_exit_at(const char *file, int line, struct host *host)
{
	host->process.process.awaited = true;
	harness_wait_at(file, line, host->harness, host_gone, host, HARNESS_TIMEOUT_MS, "cashewd to exit");
	return process_exit_code(&host->process.process);
}

void host_signal(struct host *host, int signal)
{
	host->process.process.awaited = true;
	process_signal(&host->process.process, signal);
}

void host_stop_at(const char *file, int line, struct host *host)
{
	host_signal(host, SIGTERM);
	const int code = host_wait_exit_at(file, line, host);
	if (code != 0)
		harness_fail_at(file, line, "cashewd exited with %d after SIGTERM", code);
}

void host_kill(struct host *host)
{
	host_signal(host, SIGKILL);
	(void)host_wait_exit(host);
}

pid_t host_child_pid(struct host *host)
{
	log_follow_read(&host->log);
	for (size_t i = host->log.count; host_running(host) && i-- > host->started_at;) {
		const json_t *json = host->log.records[i].json;
		const char *event = json_string_value(json_object_get(json, "event"));
		if (event && strcmp(event, "host_started") == 0)
			return (pid_t)json_integer_value(json_object_get(json, "pid"));
	}
	return 0;
}

/* The log may still tell of the one before. */
bool host_child_running(struct host *host)
{
	const pid_t pid = host_child_pid(host);
	return pid != 0 && kill(pid, 0) == 0;
}

static bool child_there(void *context)
{
	return host_child_running(context);
}

void host_signal_child(struct host *host, int signal)
{
	harness_wait(host->harness, child_there, host, "cashewd to start its host");
	kill(host_child_pid(host), signal);
}

void host_may_die(struct host *host)
{
	host->may_die = true;
}

/* The supervisor first, that it does not see the other stopped. */
void host_pause(struct host *host)
{
	process_signal(&host->process.process, SIGSTOP);
	host_signal_child(host, SIGSTOP);
}

void host_resume(struct host *host)
{
	const pid_t child = host_child_pid(host);
	if (child != 0)
		kill(child, SIGCONT);
	process_signal(&host->process.process, SIGCONT);
}

bool host_running(struct host *host)
{
	return !process_reap(&host->process.process, 0);
}

pid_t host_pid(const struct host *host)
{
	return host->process.process.pid;
}

/* A sanitizer that ends a process with its report is never expected: these are its exit codes. */
static bool died_unexpectedly(struct host *host)
{
	static const char *const reports[] = {"exit code 1", "exit code 23", "exit code 66"};
	if (!host->may_die)
		return host_count_log(host, "host_died") > 0;
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
		if (host_count_log(host, "host_died", "how", reports[i], "blamed", "0") > 0)
			return true;
	return false;
}

void host_end_all(struct harness *h)
{
	for (struct host *host = h->hosts; host; host = host->next) {
		if (host_running(host)) {
			host_resume(host);
			host_signal(host, h->passed ? SIGTERM : SIGKILL);
			const bool ended = harness_wait_for(h, host_gone, host, HARNESS_TIMEOUT_MS);
			if (h->passed && (!ended || process_exit_code(&host->process.process) != 0)) {
				h->passed = false;
				print_error("at the end of the case cashewd was to exit with 0 after "
					    "SIGTERM, and %s\n",
					ended ? "exited with another code" : "did not exit");
			}
		}
		if (h->passed && died_unexpectedly(host)) {
			h->passed = false;
			print_error("the case did not expect that the host dies so, and it did\n");
		}
		log_follow_close(&host->log);
	}
}

/* ---- What it uses ---- */

size_t host_rss_kib(struct host *host)
{
	return process_rss_kib(host_child_pid(host));
}

size_t host_descriptors(struct host *host)
{
	return process_descriptors(host_child_pid(host));
}

/* ---- The log ---- */

struct log_wait {
	struct host *host;
	const char *event, *text;
	va_list conditions;
	size_t count;
	json_t *found;
};

static bool record_came(void *context)
{
	struct log_wait *wait = context;
	wait->found = log_follow_take(&wait->host->log, wait->event, wait->conditions);
	return wait->found;
}

json_t *host_expect_log_at(const char *file, int line, struct host *host, const char *event, ...)
{
	struct log_wait wait = {.host = host, .event = event};
	va_start(wait.conditions, event);
	harness_wait_at(file, line, host->harness, record_came, &wait, HARNESS_TIMEOUT_MS,
		"\"%s\" in cashewd's log", event);
	va_end(wait.conditions);
	return wait.found;
}

size_t host_count_log_of(struct host *host, const char *event, ...)
{
	va_list conditions;
	va_start(conditions, event);
	const size_t count = log_follow_count(&host->log, event, conditions);
	va_end(conditions);
	return count;
}

static bool enough_records(void *context)
{
	struct log_wait *wait = context;
	return log_follow_count(&wait->host->log, wait->event, wait->conditions) >= wait->count;
}

void host_wait_log_count_at(
	const char *file, int line, struct host *host, size_t count, const char *event, ...)
{
	struct log_wait wait = {.host = host, .event = event, .count = count};
	va_start(wait.conditions, event);
	harness_wait_at(file, line, host->harness, enough_records, &wait, HARNESS_TIMEOUT_MS,
		"%zu times \"%s\" in cashewd's log", count, event);
	va_end(wait.conditions);
}

bool host_wrote(struct host *host, const char *text)
{
	log_follow_read(&host->log);
	for (size_t i = 0; i < host->log.count; i++) {
		const char *key;
		json_t *value;
		json_object_foreach(host->log.records[i].json, key,
			value) if (json_is_string(value) &&
				   strstr(json_string_value(value), text)) return true;
	}
	return false;
}

static bool text_came(void *context)
{
	const struct log_wait *wait = context;
	return host_wrote(wait->host, wait->text);
}

void host_expect_text_at(const char *file, int line, struct host *host, const char *text)
{
	struct log_wait wait = {.host = host, .text = text};
	harness_wait_at(file, line, host->harness, text_came, &wait, HARNESS_TIMEOUT_MS,
		"\"%s\" in what cashewd writes", text);
}
