/*
 * test_no_secrets.c - secrets stay where they were put. Each is a word that stands nowhere else; cashewd is
 * led through what can go wrong, and then everything that it wrote is searched for the words: its log and
 * what it said, its spool, what Loggly got, the output of every command, its processes' arguments and
 * environments.
 *
 * Payloads are secrets here too, but for `dead-letters show`, which is asked for one.
 */
#include "bulk_server.h"
#include "harness_private.h"
#include "port.h"
#include "secret_search.h"
#include "token.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LIFETIME_S = 3600, RUN_MS = 60000 };

/* ---- Loggly ---- */

struct loggly {
	struct bulk_server *server;
	FILE *events;
};

static void take_events(void *context, const char *lines, size_t size)
{
	struct loggly *loggly = context;
	(void)fwrite(lines, 1, size, loggly->events);
	fflush(loggly->events);
}

static void loggly_stop(struct loggly *loggly)
{
	bulk_server_stop(loggly->server);
	fclose(loggly->events);
}

/* The folder with the broker's. */
static const char *certificates(struct harness *h)
{
	return dirname(harness_format(h, "%s", broker_ca_file(harness_broker(h))));
}

/* Its certificates are the broker's. It refuses in every way, repeating what it was asked for. */
static struct loggly *loggly_start(struct harness *h)
{
	static const struct bulk_answer answers[] = {
		{.status = 400, .body = "bad: /bulk/" LOGGLY "/tag/cashewd/"},
		{.status = 200},
		{.status = 503, .body = LOGGLY},
		{.manner = BULK_CUTS_ANSWER},
		{.status = 403, .body = "no such token: " LOGGLY, .times = 1000},
	};
	struct loggly *loggly = harness_alloc(h, sizeof(*loggly));
	loggly->events = fopen(harness_path(h, "loggly.events"), "we");
	assert_non_null(loggly->events);
	assert_int_equal(bulk_server_start(
				 &(const struct bulk_server_options){
					 .certificate = harness_format(h, "%s/server.crt", certificates(h)),
					 .key = harness_format(h, "%s/server.key", certificates(h)),
					 .take = take_events,
					 .context = loggly},
				 &loggly->server),
		0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		bulk_server_answer(loggly->server, &answers[i]);
	return loggly;
}

/* ---- The host ---- */

/* With that password; %2D is what the driver makes a - of. */
static const char *url_with(struct harness *h, struct database *database, const char *password)
{
	return harness_format(h, "mongodb://k4n4ry:of%%2D%s@%s/?authSource=%s", password,
		database_url(database) + strlen("mongodb://"), harness_database_name(h));
}

static void write_token(struct harness *h, struct host *host, const char *secret)
{
	char *token;
	assert_int_equal(token_sign_handler(secret, "cashewd", time(NULL), LIFETIME_S, &token), 0);
	harness_write_file(h, harness_format(h, "%s/handler.token", host_folder(host)), token);
	free(token);
}

/* With every secret that there is; the JWT_SECRET is there as well, but not used. */
static struct host *new_host(struct harness *h, struct database *database, struct loggly *loggly)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_may_die(host);
	host_set(host, "MONGO_DB_URL", url_with(h, database, PASSWORD));
	host_set(host, "HANDLER_TOKEN_FILE", "handler.token");
	write_token(h, host, HARNESS_SECRET);
	host_set(host, "CRASH_LIMIT", "1");
	host_set(host, "LOGGLY_TOKEN", LOGGLY);
	host_set(host, "LOGGLY_URL",
		harness_format(h, "https://127.0.0.1:%u", bulk_server_port(loggly->server)));
	host_set(host, "LOGGLY_CA_FILE", harness_format(h, "%s/ca.crt", certificates(h)));
	return host;
}

static struct database *start_database(struct harness *h)
{
	struct database *database = harness_own_database(h);
	database_command(
		h, database, "{\"createUser\": \"k4n4ry\", \"pwd\": \"of-" PASSWORD "\", \"roles\": []}");
	return database;
}

/* ---- Faults ---- */

static void handlers_fail(struct harness *h, struct host *host)
{
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "ping", "\"" PAYLOAD "\"");
	device_expect(phone, "pong");
	/* Of a parser's message, too. */
	device_command(phone, "request_contact", "{\"contact_id\":" PAYLOAD "}");
	device_expect(phone, "command_rejected");
	device_command(phone, "request_contact", "{\"contact_id\":{\"" PAYLOAD "\":1}}");
	device_expect(phone, "command_rejected");
	device_command(phone, "test_fail", "{\"note\":\"" PAYLOAD "\"}");
	host_expect_log(host, "dead_letter", "handler", "test_fail");
	device_command(phone, "test_garbage", "{\"note\":\"" PAYLOAD "\"}");
	host_expect_log(host, "dead_letter", "handler", "test_garbage");
	device_command(phone, "test_crash", "{\"how\":\"segv\",\"note\":\"" PAYLOAD "\"}");
	host_expect_log(host, "handler_crashed");
	host_expect_log(host, "dead_letter", "handler", "test_crash");
	host_wait_ready(host);
}

/* Each as the whole .env or laid over the good one. */
static void settings_are_bad(struct harness *h, struct host *host, struct database *database)
{
	static const struct {
		const char *name, *value;
	} rows[] = {
		{"JWT_SECRET", BAD},
		{"MONGO_DB_URL", "mongodb://user:" BAD "@127.0.0.1:1/?tls=perhaps"},
		{"MONGO_DB_URL", "mongodb://user:a:" BAD "@127.0.0.1:1"},
		{"MONGO_DB_URL", "mongodb://user:" BAD "%zz@127.0.0.1:1"},
		{"MONGO_DB_URL", "user:" BAD "@127.0.0.1:1"},
		{"MONGO_DB_URL", "postgres://user:" BAD "@127.0.0.1"},
		{"BROKER_PROXY", "http://user:" BAD "@127.0.0.1"},
		{"BROKER_PROXY", "http://user:a/" BAD "@127.0.0.1:1"},
		{"BROKER_PROXY", "socks5://user:" BAD "@127.0.0.1:1"},
		{"BROKER_PROXY_FILE", "http://user:" BAD "@127.0.0.1:1"},
		{"LOGGLY_TOKEN", BAD "/../"},
		{"LOGGLY_URL", "https://user:" BAD "@127.0.0.1"},
		/* Misspelt, so nothing says that it is a secret. */
		{"JWT_SECERT", BAD},
		{"LOGLY_TOKEN", BAD},
		/* The token in place of its file's name. */
		{"HANDLER_TOKEN_FILE", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30." BAD},
	};
	static const char *const files[] = {
		"JWT_SECRET\n" BAD "\n",
		"JWT_SECRET=" BAD "\n" BAD "==\n",
		"JWT_SECRET='" BAD "\n",
		"JWT_SECRET=\"" BAD "\n",
		BAD "\n",
		"JWT_SECRET=" BAD "\nJWT_SECRET=" BAD "\n",
	};
	const char *env = harness_format(h, "%s/.env", host_folder(host));
	/* With it JWT_SECRET is not looked at. */
	host_set(host, "HANDLER_TOKEN_FILE", NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		host_set(host, rows[i].name, rows[i].value);
		host_write_env(host);
		host_signal(host, SIGHUP);
		host_expect_log(host, "reload_failed");
		host_set(host, rows[i].name, NULL);
		host_set(host, "JWT_SECRET", HARNESS_SECRET);
		host_set(host, "MONGO_DB_URL", url_with(h, database, PASSWORD));
		host_set(host, "LOGGLY_TOKEN", LOGGLY);
		if (strcmp(rows[i].name, "LOGGLY_URL") == 0)
			host_set(host, "LOGGLY_URL", "https://127.0.0.1:1");
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		harness_write_file(h, env, files[i]);
		host_signal(host, SIGHUP);
		host_expect_log(host, "reload_failed");
	}
	host_write_env(host);
}

static void database_goes(struct harness *h, struct host *host, struct database *database)
{
	database_may_end(database);
	database_kill(database);
	host_expect_log(host, "store_away");
	search_processes(h, host);
	database_start(database);
	host_expect_log(host, "store_up");
}

/* What the supervisor serves, each page as a file. */
static void fetch_pages(struct harness *h, unsigned port)
{
	static const char *const pages[] = {"metrics", "healthz", "readyz", "status", "no-such-page"};
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		const struct sockaddr_in address = {.sin_family = AF_INET,
			.sin_port = htons((uint16_t)port),
			.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
		const char *request = harness_format(
			h, "GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", pages[i]);
		char block[4096];
		size_t total = 0;
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_return_code(fd, errno);
		assert_return_code(connect(fd, (const struct sockaddr *)&address, sizeof(address)), errno);
		assert_int_equal(write(fd, request, strlen(request)), strlen(request));
		FILE *file = fopen(harness_path(h, "page %s", pages[i]), "we");
		assert_non_null(file);
		for (ssize_t got; (got = read(fd, block, sizeof(block))) > 0; total += (size_t)got)
			(void)fwrite(block, 1, (size_t)got, file);
		fclose(file);
		close(fd);
		assert_in_range(total, 1, FILE_MAX);
	}
}

/* ---- Commands ---- */

static int run_command_with(
	struct host *host, const char *output, const char *const *arguments, const char *variable)
{
	const char *environment[32];
	size_t count = 0;
	for (const char *const *inherited = process_environment(); *inherited; inherited++)
		environment[count++] = *inherited;
	environment[count++] = variable; /* NULL: no more */
	environment[count] = NULL;
	const char *argv[16] = {CASHEWD_TEST_PATH};
	for (size_t i = 0; arguments[i]; i++)
		argv[i + 1] = arguments[i];
	struct process process;
	const struct process_options options = {.argv = argv,
		.environment = environment,
		.folder = host_folder(host),
		.output = output,
		.death_signal = SIGKILL};
	if (process_start(&process, &options) != 0 || !process_reap(&process, RUN_MS))
		harness_fail("cashewd %s did not end", arguments[0]);
	return process_exit_code(&process);
}

/* Those that read settings, or tell of them. */
static const struct command {
	const char *arguments[8];
	bool succeeds; /* with good settings */
} commands[] = {
	{{"--check"}, true},
	{{"--help"}, true},
	{{"--version"}, true},
	{{"--list-handlers"}, true},
	{{"--settings-env"}, true},
	{{"--settings-markdown"}, true},
	{{"--no-such-option"}, false},
	{{"doctor"}, false},
	{{"doctor", "--json"}, false},
	{{"doctor", "--send-loggly-event"}, false},
	{{"top", "--once"}, false},
	{{"dead-letters", "list"}, true},
	{{"dead-letters", "list", "--json", "--limit", "1"}, false},
	{{"dead-letters", "show", "650000000000000000000001"}, false},
	{{"dead-letters", "replay", "--handler", "test_fail"}, true},
	{{"dead-letters", "drop", "--all", "--yes"}, true},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* Each leaves its output, called by its name, to be searched. */
static void run_commands(struct harness *h, struct host *host, const char *when, bool settings_good)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const char *name = commands[i].arguments[0];
		if (commands[i].arguments[1])
			name = harness_format(h, "%s %s", name, commands[i].arguments[1]);
		/* This one holds payloads, as it should. */
		if (commands[i].arguments[2] && strcmp(commands[i].arguments[2], "--json") == 0)
			name = "dead-letters show as list";
		const int code = run_command_with(
			host, harness_path(h, "output %s %s", when, name), commands[i].arguments, NULL);
		if (settings_good && commands[i].succeeds && code != 0) {
			harness_print_tail(harness_path(h, "output %s %s", when, name));
			harness_fail("cashewd %s, %s: exit code %d", name, when, code);
		}
	}
}

/* ---- Cases ---- */

/* All that the hosts and the commands have left. */
static void search_all(struct harness *h, struct host *const *hosts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		files_searched = 0;
		search_folder(h, host_folder(hosts[i]), true);
		assert_true(files_searched > 0);
	}
	search_folder(h, harness_folder(h), false);
}

HARNESS_CASE(faults_tell_no_secret)
{
	struct database *database = start_database(h);
	struct loggly *loggly = loggly_start(h);
	struct host *host = new_host(h, database, loggly);
	const int port = port_reserve();
	assert_in_range(port, 1, 65535);
	host_set(host, "METRICS_ADDR", harness_format(h, "127.0.0.1:%d", port));
	host_start(host);
	host_wait_ready(host);
	search_processes(h, host);
	handlers_fail(h, host);
	fetch_pages(h, (unsigned)port);
	host_expect_log(host, "loggly_set_aside");
	host_signal_child(host, SIGKILL);
	host_wait_ready(host);
	search_processes(h, host);
	database_goes(h, host, database);
	host_wait_ready(host);
	settings_are_bad(h, host, database);
	host_expect_log(host, "loggly_refused");
	run_commands(h, host, "running", true);
	search_processes(h, host);
	host_stop(host);
	run_commands(h, host, "stopped", true);
	harness_write_file(
		h, harness_format(h, "%s/.env", host_folder(host)), "JWT_SECRET=" BAD "\n" BAD "\n");
	run_commands(h, host, "misconfigured", false);
	loggly_stop(loggly);

	search_all(h, &host, 1);
	/* Its log, and a spool in which something is set aside; and each command's output. */
	assert_in_range(files_searched, 3 + 3 * COMMANDS, 1000);
	assert_true(search_file(harness_path(h, "loggly.events")));
}

/* What is refused is not repeated, neither by a host nor by the commands that try it out. */
HARNESS_CASE(refused_secrets_are_not_told)
{
	struct database *database = start_database(h);
	struct loggly *loggly = loggly_start(h);
	struct host *hosts[3];
	for (size_t i = 0; i < 3; i++)
		hosts[i] = new_host(h, database, loggly);
	host_set(hosts[0], "MONGO_DB_URL", url_with(h, database, BAD));
	host_set(hosts[1], "HANDLER_TOKEN_FILE", NULL);
	host_set(hosts[1], "JWT_SECRET", FOREIGN);
	write_token(h, hosts[2], FOREIGN);
	for (size_t i = 0; i < 3; i++) {
		host_set(hosts[i], "CLIENT_ID", harness_format(h, "cashewd-%zu", i));
		host_start(hosts[i]);
		host_expect_log(hosts[i], i == 0 ? "store_away" : "broker_unreachable");
		run_commands(h, hosts[i], harness_format(h, "refused %zu", i), false);
		search_processes(h, hosts[i]);
		/* A wrong password is no reason to say the same once a second. */
		print_message("%zu lines of the driver\n", host_count_log(hosts[i], "mongodb_driver"));
		assert_in_range(host_count_log(hosts[i], "mongodb_driver"), 0, 10);
		host_stop(hosts[i]);
	}
	loggly_stop(loggly);
	search_all(h, hosts, 3);
}

/* A # in a password is no end of it; libcurl, which takes it for one, repeats the whole variable in its own words. */
HARNESS_CASE(passwords_of_proxies_are_not_told)
{
	static const struct {
		const char *variable, *value;
	} cases[] = {
		{"https_proxy", "http://svc:S3#1" PROXY "@proxy.invalid:3128"},
		{"ALL_PROXY", "http://" PROXY ":S3 1@proxy.invalid:no-port"},
	};
	static const char *const doctor[] = {"doctor", "--send-loggly-event", "--timeout", "2", NULL};
	struct database *database = start_database(h);
	struct loggly *loggly = loggly_start(h);
	struct host *hosts[2];
	for (size_t i = 0; i < 2; i++) {
		hosts[i] = new_host(h, database, loggly);
		host_set(hosts[i], "CLIENT_ID", harness_format(h, "cashewd-%zu", i));
		host_set_environment(hosts[i], cases[i].variable, cases[i].value);
		host_start(hosts[i]);
		const json_t *away = host_expect_log(hosts[i], "loggly_away");
		print_message("%s\n", json_string_value(json_object_get(away, "reason")));
		(void)run_command_with(hosts[i], harness_path(h, "output doctor %zu", i), doctor,
			harness_format(h, "%s=%s", cases[i].variable, cases[i].value));
		host_stop(hosts[i]);
	}
	loggly_stop(loggly);
	search_all(h, hosts, 2);
	assert_in_range(files_searched, 3, 1000);
}

/* ---- Other processes of the same user ---- */

/* Whoever has this capability may look into every process, so nobody here has it from now on, nor gets it by
 * starting a program. */
static void give_up_looking_everywhere(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0);
	assert_return_code(syscall(SYS_capget, &header, data), errno);
	data[0].effective &= ~(1U << CAP_SYS_PTRACE);
	data[0].permitted &= ~(1U << CAP_SYS_PTRACE);
	data[0].inheritable &= ~(1U << CAP_SYS_PTRACE);
	assert_return_code(syscall(SYS_capset, &header, data), errno);
}

/* The link to its program is asked for by the rules of ptrace(). */
static bool may_look(struct harness *h, pid_t pid)
{
	char path[PATH_MAX];
	const ssize_t size = readlink(harness_format(h, "/proc/%d/exe", (int)pid), path, sizeof(path));
	if (size < 0 && errno != EACCES && errno != EPERM)
		harness_fail("/proc/%d/exe: %s", (int)pid, strerror(errno));
	return size >= 0;
}

/* The last case, for what it gives up. A process into which nobody looks leaves no core dump either, whatever
 * the limit. */
HARNESS_CASE(nobody_of_the_same_user_looks_in)
{
	give_up_looking_everywhere();
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	/* Into any other one they do. */
	struct process other;
	assert_int_equal(
		process_start(&other,
			&(const struct process_options){.argv = (const char *const[]){"sleep", "1000", NULL},
				.environment = process_environment(),
				.folder = harness_folder(h),
				.output = harness_path(h, "sleep"),
				.death_signal = SIGKILL}),
		0);
	assert_true(may_look(h, other.pid));
	other.awaited = true;
	process_signal(&other, SIGKILL);
	assert_true(process_reap(&other, RUN_MS));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("not looked at: builds with a sanitizer let it look in\n");
#else
	assert_false(may_look(h, host_pid(host)));
	assert_false(may_look(h, host_child_pid(host)));
#endif
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(faults_tell_no_secret), HARNESS_TEST(refused_secrets_are_not_told),
	HARNESS_TEST(passwords_of_proxies_are_not_told), HARNESS_TEST(nobody_of_the_same_user_looks_in))
