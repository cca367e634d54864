/*
 * test_supervisor.c - cashewd is two processes: what becomes of the one when something happens to the other,
 * and what SIGHUP does.
 */
#include "account.h"
#include "harness.h"
#include "scrape.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_CONFIG = 78, PINGS = 10 };

static struct host *start(struct harness *h)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	return host;
}

static struct device *phone_of(struct harness *h, const char *user)
{
	struct device *phone = device_new(h, user);
	device_connect(phone);
	return phone;
}

/* An orphan becomes a child of this program, and a zombie until its end. */
static bool process_gone(void *context)
{
	char path[64], state = 'X';
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(const pid_t *)context);
	FILE *file = fopen(path, "re");
	if (!file)
		return true;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(file);
	return state == 'Z' || state == 'X';
}

/* The text of a file of the host's in /proc; NULs are line ends. */
static const char *read_process_file(struct harness *h, pid_t pid, const char *name)
{
	enum { SIZE = 64 * 1024 };
	char *text = harness_format(h, "%*s", SIZE, "");
	const int file = open(harness_format(h, "/proc/%d/%s", (int)pid, name), O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return NULL;
	ssize_t size = 0;
	for (ssize_t got; (got = read(file, text + size, (size_t)(SIZE - size))) > 0; size += got)
		continue;
	close(file);
	for (ssize_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = '\n';
	text[size] = '\0';
	return text;
}

/* ---- Deaths ---- */

HARNESS_CASE(host_that_is_killed_is_started_again_and_nothing_is_lost)
{
	gate_keeps_places(h);
	struct host *host = start(h);
	host_may_die(host);
	struct device *phone = phone_of(h, "68946"), *other = phone_of(h, "23412");
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (int i = 0; i < PINGS; i++)
		device_command(other, "ping", harness_format(h, "%d", i));
	device_wait_count(other, "pong", PINGS);
	const pid_t first = host_child_pid(host);
	host_signal_child(host, SIGKILL);
	host_expect_log(host, "host_died", "how", "SIGKILL", "blamed", "0", "near", "1");
	/* All come again: the first held the PUBACKs of those behind it. */
	gate_wait_runs(h, host, "a", 2);
	device_wait_count(other, "pong", (size_t)2 * PINGS);
	assert_int_not_equal(host_child_pid(host), first);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	host_stop(host);
	/* The account is that of both hosts. */
	const struct account account = account_read(host);
	assert_int_equal(account.done, PINGS + 1);
	assert_int_equal(account.left_to_the_broker, 0);
}

HARNESS_CASE(host_goes_with_its_supervisor)
{
	struct host *host = start(h);
	struct device *phone = phone_of(h, "68946");
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	pid_t child = host_child_pid(host);
	host_kill(host);
	harness_wait(h, process_gone, &child, "the host to go with its supervisor");
	host_start(host);
	gate_wait_runs(h, host, "a", 2);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	host_stop(host);
	assert_int_equal(account_read(host).done, 1);
}

/* The first is followed at once; each of the others waits longer than the one before. */
HARNESS_CASE(host_that_keeps_dying_is_delayed)
{
	struct host *host = start(h);
	host_may_die(host);
	for (int i = 0; i < 4; i++) {
		host_signal_child(host, SIGKILL);
		host_expect_log(host, "host_died");
		if (i > 0)
			host_expect_log(host, "host_delayed", "ms", harness_format(h, "%d", 50 << i));
		host_expect_log(host, "host_started", "number", harness_format(h, "%d", i + 2));
	}
	host_wait_ready(host);
	assert_int_equal(host_count_log(host, "host_delayed"), 3);
}

struct progress {
	struct scrape *scrape;
	double acknowledged;
};

static bool has_acknowledged_more(void *context)
{
	const struct progress *progress = context;
	scrape_metrics(progress->scrape);
	return scrape_value(progress->scrape, "cashewd_acknowledgements_total{lane=\"main\"}") >
	       progress->acknowledged;
}

/* Whoever has acknowledged something did its work: the next one comes at once, however often that is. */
HARNESS_CASE(host_that_dies_after_work_is_not_delayed)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_start(host);
	host_wait_ready(host);
	host_may_die(host);
	struct device *phone = phone_of(h, "68946");
	struct progress progress = {.scrape = scrape_new(h, host)};
	for (int i = 0; i < 4; i++) {
		device_command(phone, "ping", harness_format(h, "%d", i));
		harness_wait(h, has_acknowledged_more, &progress, "an acknowledgement");
		host_signal_child(host, SIGKILL);
		host_expect_log(host, "host_died");
		host_expect_log(host, "host_started", "number", harness_format(h, "%d", i + 2));
		scrape_metrics(progress.scrape);
		progress.acknowledged =
			scrape_value(progress.scrape, "cashewd_acknowledgements_total{lane=\"main\"}");
	}
	host_wait_ready(host);
	assert_int_equal(host_count_log(host, "host_delayed"), 0);
}

/* As a service manager does that signals every process. */
HARNESS_CASE(signal_for_both_drains)
{
	struct host *host = start(h);
	struct device *phone = phone_of(h, "68946");
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	host_signal_child(host, SIGTERM);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping");
	harness_watch(h, 300);
	assert_int_equal(host_count_log(host, "stopping_now"), 0);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	assert_int_equal(host_wait_exit(host), 0);
	assert_int_equal(account_read(host).done, 1);
}

HARNESS_CASE(host_that_is_told_to_stop_alone_is_replaced)
{
	struct host *host = start(h);
	host_signal_child(host, SIGTERM);
	host_expect_log(host, "host_stopped");
	host_wait_ready(host);
	host_stop(host);
	assert_int_equal(host_count_log(host, "stopped"), 1);
}

HARNESS_CASE(stop_while_no_host_runs)
{
	struct host *host = start(h);
	host_may_die(host);
	for (int i = 0; i < 6; i++) {
		host_signal_child(host, SIGKILL);
		if (i > 0)
			host_expect_log(host, "host_delayed", "ms", harness_format(h, "%d", 50 << i));
		if (i < 5)
			host_expect_log(host, "host_started", "number", harness_format(h, "%d", i + 2));
	}
	host_stop(host);
	host_expect_log(host, "stopped");
}

/* Whether main() has begun, which is the first thing that it does. A sanitizer blocks all signals for a
 * moment before. */
static bool sigterm_blocked(void *context)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)host_pid(context));
	FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	if (status)
		fclose(status);
	return (mask >> (SIGTERM - 1) & 1) != 0 && (mask >> (SIGUSR1 - 1) & 1) == 0;
}

HARNESS_CASE(signal_in_the_first_moment_is_an_orderly_end)
{
	for (int i = 0; i < 20; i++) {
		struct host *host = host_new(h, HOST_PRODUCT);
		host_start(host);
		while (!sigterm_blocked(host))
			harness_watch(h, 1);
		harness_watch(h, 10 * i);
		host_signal(host, SIGTERM);
		assert_int_equal(host_wait_exit(host), 0);
	}
}

HARNESS_CASE(wedged_worker_does_not_hold_up_the_exit)
{
	gate_keeps_places(h);
	struct host *host = start(h);
	struct device *phone = phone_of(h, "68946");
	device_command(phone, "test_gate", "{\"gate\":\"never\"}");
	gate_wait_runs(h, host, "never", 1);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping");
	const int64_t from_ms = harness_now_ms();
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	assert_in_range(harness_now_ms() - from_ms, 0, 8000);
	assert_int_equal(account_read(host).left_to_the_broker, 1);
}

/* ---- Secrets ---- */

HARNESS_CASE(secrets_are_in_no_environment_and_no_argument)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "JWT_SECRET", NULL);
	host_set_environment(host, "JWT_SECRET", HARNESS_SECRET);
	host_start(host);
	host_wait_ready(host);
	const pid_t pids[] = {host_pid(host), host_child_pid(host)};
	for (int i = 0; i < 2; i++) {
		static const char *const files[] = {"environ", "cmdline"};
		for (int k = 0; k < 2; k++) {
			/* Only root can read them. */
			const char *text = read_process_file(h, pids[i], files[k]);
			if (text) {
				assert_null(strstr(text, HARNESS_SECRET));
				assert_null(strstr(text, database_url(harness_database(h))));
			}
		}
	}
	/* The supervisor has kept it for itself. */
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	host_wait_ready(host);
	assert_false(host_wrote(host, HARNESS_SECRET));
	host_stop(host);
}

/* ---- SIGHUP ---- */

HARNESS_CASE(sighup_goes_on_with_new_settings)
{
	struct host *host = start(h);
	struct device *phone = phone_of(h, "68946");
	const pid_t first = host_child_pid(host);
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	host_set(host, "WORKERS", "3");
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	/* The old one finishes what it has read. */
	host_expect_log(host, "stopping");
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	host_expect_log(host, "host_stopped");
	host_expect_log(host, "ready", "workers", "3");
	assert_int_not_equal(host_child_pid(host), first);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(gate_runs(h, host, "a"), 1);
	host_stop(host);
	assert_int_equal(account_read(host).done, 2);
}

HARNESS_CASE(sighup_with_bad_settings_changes_nothing)
{
	static const struct {
		const char *name, *value, *told;
	} rows[] = {
		{"WORKERS", "many", "WORKERS=many"},
		{"KEEPALIFE", "60", "did you mean KEEPALIVE"},
		{"HANDLERS", "ping,pong", "there is no handler pong"},
		/* What only a host can see. */
		{"BROKER_CA_FILE", "/etc/hostname", "/etc/hostname"},
		{"MONGO_DB_URL", "mongodb://user:correct-horse@127.0.0.1:1/?tls=perhaps", "tls"},
	};
	struct host *host = start(h);
	struct device *phone = phone_of(h, "68946");
	const pid_t first = host_child_pid(host);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host *other = host_new(h, HOST_WITH_TEST_HANDLERS);
		host_set(other, rows[i].name, rows[i].value);
		host_write_env(other);
		const char *env = harness_format(h, "%s/.env", host_folder(host));
		assert_int_equal(rename(harness_format(h, "%s/.env", host_folder(other)), env), 0);
		host_signal(host, SIGHUP);
		host_expect_log(host, "reload_failed");
		host_expect_text(host, rows[i].told);
	}
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(host_child_pid(host), first);
	assert_int_equal(host_count_log(host, "reloaded"), 0);
	assert_false(host_wrote(host, "correct-horse"));
	/* And good ones afterwards do. */
	host_write_env(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	host_wait_ready(host);
	host_stop(host);
}

/* ---- .env is no regular file ---- */

/* Opening waits for the reader. */
static void *write_fifo(void *context)
{
	const char *const *paths = context; /* from, to */
	char text[8192];
	const int from = open(paths[0], O_RDONLY | O_CLOEXEC), to = open(paths[1], O_WRONLY | O_CLOEXEC);
	const ssize_t size = read(from, text, sizeof(text));
	if (size <= 0 || write(to, text, (size_t)size) != size)
		abort();
	close(from);
	close(to);
	return NULL;
}

HARNESS_CASE(env_that_is_a_fifo_is_read_at_start_and_sighup_changes_nothing)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	const char *paths[] = {harness_format(h, "%s/written", host_folder(host)),
		harness_format(h, "%s/.env", host_folder(host))};
	pthread_t writer;
	host_write_env(host);
	assert_int_equal(rename(paths[1], paths[0]), 0);
	assert_int_equal(mkfifo(paths[1], 0600), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_fifo, paths), 0);
	host_start(host);
	host_wait_ready(host);
	pthread_join(writer, NULL);
	const pid_t first = host_child_pid(host);
	host_signal(host, SIGHUP);
	host_expect_log(host, "bad_setting");
	host_expect_log(host, "reload_failed");
	host_expect_text(host, "it is read at start only");
	struct device *phone = phone_of(h, "68946");
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(host_child_pid(host), first);
	host_stop(host);
}

HARNESS_CASE(stop_while_a_fifo_is_waited_for)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	const char *env = harness_format(h, "%s/.env", host_folder(host));
	host_write_env(host);
	assert_int_equal(unlink(env), 0);
	assert_int_equal(mkfifo(env, 0600), 0);
	host_start(host);
	/* This waits until the program has opened it to read. */
	const int writer = open(env, O_WRONLY | O_CLOEXEC);
	assert_true(writer >= 0);
	host_signal(host, SIGINT);
	assert_int_equal(host_wait_exit(host), 0);
	host_expect_text(host, "not waited for any longer: told to stop");
	close(writer);
}

/* ---- Children of others ---- */

static bool no_such_process(void *context)
{
	return kill(*(const pid_t *)context, 0) != 0 && errno == ESRCH;
}

/* As process 1 of a container it is left the children of others; here it becomes the parent of some by exec(). */
HARNESS_CASE(children_of_others_are_reaped)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	const char *folder = host_folder(host), *gate = harness_format(h, "%s/gate", folder);
	const char *script = harness_write_file(h, harness_format(h, "%s/script", folder),
		harness_format(h,
			"#!/bin/sh\n(exit 0) & echo $! >one\n(read x <gate) & echo $! >two\nexec \"" BINARY_DIR
			"/cashewd\" \"$@\"\n"));
	assert_int_equal(mkfifo(gate, 0600), 0);
	assert_int_equal(chmod(script, 0700), 0);
	host_use_program(host, script);
	host_start(host);
	host_wait_ready(host);
	pid_t pids[2] = {0};
	static const char *const files[] = {"one", "two"};
	for (size_t i = 0; i < 2; i++) {
		int pid = 0;
		FILE *file = fopen(harness_format(h, "%s/%s", folder, files[i]), "re");
		assert_non_null(file);
		assert_int_equal(fscanf(file, "%d", &pid), 1);
		fclose(file);
		pids[i] = pid;
	}
	harness_wait(h, no_such_process, &pids[0], "what ended before the start to be reaped");
	assert_int_equal(kill(pids[1], 0), 0);
	const int writer = open(gate, O_WRONLY | O_CLOEXEC);
	assert_true(writer >= 0);
	close(writer);
	harness_wait(h, no_such_process, &pids[1], "what ended later to be reaped");
	host_stop(host);
}

/* ---- Text ---- */

HARNESS_CASE(log_is_text_where_that_is_asked_for)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "LOG_FORMAT", "text");
	host_start(host);
	host_expect_text(host, "INFO  host_started: the host is started  pid=");
	host_expect_text(host, "INFO  ready: connected, subscribed, and the store answers  handlers=");
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	host_expect_text(host, "INFO  stopped  done=0");
}

/* ---- Memory ---- */

HARNESS_CASE(host_that_leaks_is_replaced)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "HOST_RSS_MAX", "600M");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = phone_of(h, "68946");
	const pid_t first = host_child_pid(host);
	for (int i = 0; i < 6; i++) {
		device_command(phone, "test_leak", "{\"mib\":100}");
		device_expect(phone, "leaked");
	}
	host_expect_log(host, "host_replaced", "rss", "*", "limit", "629145600");
	host_expect_log(host, "host_stopped");
	host_wait_ready(host);
	assert_int_not_equal(host_child_pid(host), first);
	assert_int_equal(host_count_log(host, "host_died"), 0);
	host_stop(host);
	assert_int_equal(account_read(host).done, 6);
}

HARNESS_MAIN(HARNESS_TEST(host_that_is_killed_is_started_again_and_nothing_is_lost),
	HARNESS_TEST(host_goes_with_its_supervisor), HARNESS_TEST(host_that_keeps_dying_is_delayed),
	HARNESS_TEST(host_that_dies_after_work_is_not_delayed), HARNESS_TEST(signal_for_both_drains),
	HARNESS_TEST(host_that_is_told_to_stop_alone_is_replaced), HARNESS_TEST(stop_while_no_host_runs),
	HARNESS_TEST(signal_in_the_first_moment_is_an_orderly_end),
	HARNESS_TEST(wedged_worker_does_not_hold_up_the_exit),
	HARNESS_TEST(secrets_are_in_no_environment_and_no_argument),
	HARNESS_TEST(sighup_goes_on_with_new_settings),
	HARNESS_TEST(sighup_with_bad_settings_changes_nothing),
	HARNESS_TEST(env_that_is_a_fifo_is_read_at_start_and_sighup_changes_nothing),
	HARNESS_TEST(stop_while_a_fifo_is_waited_for), HARNESS_TEST(children_of_others_are_reaped),
	HARNESS_TEST(log_is_text_where_that_is_asked_for), HARNESS_TEST(host_that_leaks_is_replaced))
