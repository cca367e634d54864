/*
 * test_service.c - what a service manager learns of cashewd, by a socket in the manager's place: sd_notify(3), end to end. And what a container's
 * engine learns by `cashewd healthcheck`.
 */
#include "harness.h"
#include "harness_private.h"
#include "port.h"
#include "scrape.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES_MAX = 4096, MESSAGE_SIZE = 2048 };

/* A datagram, and when it was read. */
struct message {
	char *lines;
	int64_t at_us;
	bool taken;
};

struct manager {
	struct harness *h;
	int fd;
	struct message messages[MESSAGES_MAX];
	size_t count;
};

/* ---- The manager ---- */

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static size_t manager_prepare(void *self, struct pollfd *polls, size_t room)
{
	const struct manager *manager = self;
	assert_true(room > 0);
	polls[0] = (struct pollfd){.fd = manager->fd, .events = POLLIN};
	return 1;
}

static void manager_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct manager *manager = self;
	char text[MESSAGE_SIZE];
	(void)polls;
	(void)count;
	for (ssize_t size; (size = recv(manager->fd, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0;) {
		assert_true(manager->count < MESSAGES_MAX);
		text[size] = '\0';
		manager->messages[manager->count++] =
			(struct message){.lines = harness_format(manager->h, "%s", text), .at_us = now_us()};
	}
}

static void manager_free(void *self)
{
	const struct manager *manager = self;
	close(manager->fd);
}

/* Listens at an address as NOTIFY_SOCKET has it. */
static struct manager *manager_new(struct harness *h, const char *address)
{
	struct manager *manager = harness_alloc(h, sizeof(*manager));
	struct harness_part *part = harness_alloc(h, sizeof(*part));
	struct sockaddr_un socket_address = {.sun_family = AF_UNIX};
	const size_t size = strlen(address);
	if (size > sizeof(socket_address.sun_path))
		harness_fail("the address of the manager is too long: %s", address);
	memcpy(socket_address.sun_path, address, size);
	if (address[0] == '@')
		socket_address.sun_path[0] = '\0';
	*manager = (struct manager){.h = h, .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
	assert_return_code(manager->fd, errno);
	assert_return_code(bind(manager->fd, (const struct sockaddr *)&socket_address,
				   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
		errno);
	*part = (struct harness_part){
		.self = manager, .prepare = manager_prepare, .serve = manager_serve, .free = manager_free};
	harness_add(h, part);
	return manager;
}

/* The line of the message that begins so, without that; NULL: it has none. */
static char *value_of(struct harness *h, const struct message *message, const char *begin)
{
	for (const char *line = message->lines; line; line = strchr(line, '\n')) {
		line += line[0] == '\n';
		if (strncmp(line, begin, strlen(begin)) == 0)
			return harness_format(
				h, "%.*s", (int)strcspn(line + strlen(begin), "\n"), line + strlen(begin));
	}
	return NULL;
}

static size_t count_of(const struct manager *manager, const char *begin)
{
	size_t count = 0;
	for (size_t i = 0; i < manager->count; i++)
		count += value_of(manager->h, &manager->messages[i], begin) ? 1 : 0;
	return count;
}

struct expectation {
	struct manager *manager;
	const char *begin, *part; /* of the line, and what is in it */
	const struct message *found;
};

/* The first that was not taken; those before it are then taken as well, so that what is expected comes in that order. */
static bool is_there(void *context)
{
	struct expectation *expected = context;
	struct manager *manager = expected->manager;
	for (size_t i = 0; i < manager->count && !expected->found; i++) {
		const char *value = manager->messages[i].taken
					    ? NULL
					    : value_of(manager->h, &manager->messages[i], expected->begin);
		if (value && strstr(value, expected->part))
			expected->found = &manager->messages[i];
	}
	for (size_t i = 0; expected->found && i < manager->count; i++) {
		manager->messages[i].taken = true;
		if (&manager->messages[i] == expected->found)
			break;
	}
	return expected->found;
}

static const struct message *expect(struct manager *manager, const char *begin, const char *part)
{
	struct expectation expected = {.manager = manager, .begin = begin, .part = part};
	harness_wait(manager->h, is_there, &expected, "the manager to be told %s...%s", begin, part);
	return expected.found;
}

static struct host *managed_host(struct harness *h, const char *address)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set_environment(host, "NOTIFY_SOCKET", address);
	return host;
}

/* The case's host with one setting changed; given by SIGHUP. */
static void reload_with(struct harness *h, struct host *host, const char *name, const char *value)
{
	struct host *other = host_new(h, HOST_PRODUCT);
	host_set(other, name, value);
	host_write_env(other);
	assert_int_equal(rename(harness_format(h, "%s/.env", host_folder(other)),
				 harness_format(h, "%s/.env", host_folder(host))),
		0);
	host_signal(host, SIGHUP);
}

/* ---- The cases ---- */

/* READY=1 is said when commands are taken, and once; what comes later stands in STATUS. */
HARNESS_CASE(ready_means_ready)
{
	const char *address = harness_path(h, "notify");
	struct manager *manager = manager_new(h, address);
	struct broker *broker = broker_new(h, NULL);
	struct host *host = managed_host(h, address);
	host_use_broker(host, broker);
	host_start(host);
	expect(manager, "STATUS=", "broker: lane main: not connected");
	assert_int_equal(count_of(manager, "READY=1"), 0);
	broker_start(broker);
	/* In the same message, so that nobody reads the one without the other. */
	assert_string_equal(expect(manager, "READY=1", "")->lines, "READY=1\nSTATUS=ready");
	host_expect_log(host, "ready");

	broker_stop(broker);
	expect(manager, "STATUS=", "not ready: broker: ");
	broker_start(broker);
	expect(manager, "STATUS=ready", "");
	assert_int_equal(count_of(manager, "READY=1"), 1);
	assert_int_equal(count_of(manager, "WATCHDOG="), 0);

	host_signal(host, SIGTERM);
	const char *extend = value_of(h, expect(manager, "STOPPING=1", ""), "EXTEND_TIMEOUT_USEC=");
	assert_non_null(extend);
	/* STOP_TIMEOUT, ten seconds until the host is killed, and some for the log. */
	assert_int_equal(atoll(extend), (12 + 10 + 5) * 1000000);
	assert_int_equal(host_wait_exit(host), 0);
	assert_int_equal(count_of(manager, "READY=1"), 1);
	assert_int_equal(host_count_log(host, "notify_failed"), 0);
}

HARNESS_CASE(reload_begins_and_ends)
{
	const char *address = harness_path(h, "notify");
	struct manager *manager = manager_new(h, address);
	struct host *host = managed_host(h, address);
	host_start(host);
	expect(manager, "READY=1", "");

	const pid_t first = host_child_pid(host);
	const int64_t from_us = now_us();
	reload_with(h, host, "WORKERS", "3");
	const struct message *reloading = expect(manager, "RELOADING=1", "");
	const char *began = value_of(h, reloading, "MONOTONIC_USEC=");
	assert_non_null(began);
	assert_in_range(atoll(began), from_us, reloading->at_us);
	expect(manager, "READY=1", "");
	/* Of the fresh host, which is ready. */
	host_expect_log(host, "ready", "workers", "3");
	assert_int_not_equal(host_child_pid(host), first);

	reload_with(h, host, "WORKERS", "many");
	expect(manager, "RELOADING=1", "");
	const char *status = value_of(h, expect(manager, "READY=1", ""), "STATUS=");
	assert_string_equal(status, "the last reload failed, see reload_failed in the log; ready");
	host_wait_log_count(host, 1, "reload_failed");

	/* Another signal while the settings are being tried out, or just after. */
	reload_with(h, host, "BROKER_PORT", harness_format(h, "%d", port_reserve()));
	expect(manager, "RELOADING=1", "");
	host_signal(host, SIGHUP);
	expect(manager, "RELOADING=1", "");
	expect(manager, "READY=1", "");
	host_wait_log_count(host, 3, "reload_failed");

	reload_with(h, host, "WORKERS", "4");
	expect(manager, "RELOADING=1", "");
	assert_string_equal(value_of(h, expect(manager, "READY=1", ""), "STATUS="), "ready");
	host_stop(host);
}

/* A standby does what it is there for. */
HARNESS_CASE(standby_is_ready)
{
	const char *address = harness_format(h, "@cashewd-e2e-%d-standby", (int)getpid());
	(void)harness_host(h);
	struct manager *manager = manager_new(h, address);
	struct host *second = managed_host(h, address);
	host_start(second);
	assert_string_equal(value_of(h, expect(manager, "READY=1", ""), "STATUS="),
		"standby: another host is active under this client id");
	host_stop(harness_host(h));
	expect(manager, "STATUS=ready", "");
	assert_int_equal(count_of(manager, "READY=1"), 1);
	host_stop(second);
}

/* Runs cashewd with WATCHDOG_PID as systemd sets it, its own. */
static void use_own_pid(struct harness *h, struct host *host)
{
	const char *script = harness_write_file(h, harness_path(h, "cashewd-with-pid"),
		"#!/bin/sh\nWATCHDOG_PID=$$ exec \"$CASHEWD\" \"$@\"\n");
	assert_return_code(chmod(script, 0700), errno);
	host_set_environment(host, "CASHEWD", CASHEWD_PATH);
	host_use_program(host, script);
}

struct feeds {
	const struct manager *manager;
	size_t count;
};

static bool fed(void *context)
{
	const struct feeds *feeds = context;
	return count_of(feeds->manager, "WATCHDOG=1") >= feeds->count;
}

/* Its loop feeds the watchdog twice in the time that it is given; while the loop does not turn nobody does. */
HARNESS_CASE(watchdog_is_fed_by_the_loop)
{
	enum { WATCHDOG_MS = 800, FEEDS = 10 };
	const char *address = harness_path(h, "notify");
	struct manager *manager = manager_new(h, address);
	struct host *host = managed_host(h, address);
	host_set_environment(host, "WATCHDOG_USEC", harness_format(h, "%d", WATCHDOG_MS * 1000));
	use_own_pid(h, host);
	host_start(host);
	const int64_t from_us = now_us();
	struct feeds feeds = {.manager = manager, .count = FEEDS};
	harness_wait(h, fed, &feeds, "the watchdog to be fed");
	/* Not more often than is asked for: the first comes at once. */
	assert_true(now_us() - from_us >= (FEEDS - 1) * (WATCHDOG_MS / 2 - 10) * INT64_C(1000));

	assert_return_code(kill(host_pid(host), SIGSTOP), errno);
	harness_watch(h, WATCHDOG_MS / 2); /* what was sent before */
	const size_t before = count_of(manager, "WATCHDOG=1");
	harness_watch(h, 2 * WATCHDOG_MS);
	assert_int_equal(count_of(manager, "WATCHDOG=1"), before);
	assert_return_code(kill(host_pid(host), SIGCONT), errno);
	feeds.count = before + 2;
	harness_wait(h, fed, &feeds, "the watchdog to be fed again");
	host_stop(host);
}

/* A variable that is another process's, as a shell in between leaves it. */
HARNESS_CASE(watchdog_of_another_process)
{
	const char *address = harness_path(h, "notify");
	struct manager *manager = manager_new(h, address);
	struct host *host = managed_host(h, address);
	host_set_environment(host, "WATCHDOG_USEC", "100000");
	host_set_environment(host, "WATCHDOG_PID", "1");
	host_start(host);
	expect(manager, "READY=1", "");
	host_stop(host);
	assert_int_equal(count_of(manager, "WATCHDOG=1"), 0);
}

/* A manager that cannot be told costs a line in the log; one that comes back is told what it has missed. */
HARNESS_CASE(manager_comes_late)
{
	const char *address = harness_path(h, "notify");
	struct host *host = managed_host(h, address);
	host_start(host);
	host_expect_log(host, "notify_failed", "reason", "No such file or directory");
	host_wait_ready(host);
	struct manager *manager = manager_new(h, address);
	expect(manager, "READY=1", "");
	assert_int_equal(host_count_log(host, "notify_failed"), 1);
	host_stop(host);
}

HARNESS_CASE(address_of_another_kind)
{
	struct host *host = managed_host(h, "vsock:2:1234");
	host_start(host);
	host_expect_log(host, "notify_failed");
	host_wait_ready(host);
	host_stop(host);
}

/* ---- healthcheck ---- */

/* Runs it in the host's folder, where .env is; its exit code, and what it has said. */
static int check(struct harness *h, struct host *host, const char *option, const char **ret_text)
{
	const char *said = harness_path(h, "said");
	const char *const argv[] = {CASHEWD_PATH, "healthcheck", option, NULL};
	static char text[4096];
	(void)remove(said);
	const int code = harness_execute(host_folder(host), said, argv);
	FILE *file = fopen(said, "re");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	*ret_text = text;
	return code;
}

HARNESS_CASE(healthcheck)
{
	struct broker *broker = broker_new(h, NULL);
	struct host *host = host_new(h, HOST_PRODUCT);
	const char *text;
	host_use_broker(host, broker);
	host_set(host, "METRICS_ADDR", harness_format(h, "127.0.0.1:%d", port_reserve()));
	host_write_env(host);
	assert_int_equal(check(h, host, NULL, &text), 1);
	assert_non_null(strstr(text, "cashewd healthcheck: http://127.0.0.1:"));
	assert_non_null(strstr(text, "connect"));

	host_start(host);
	struct scrape *scrape = scrape_new(h, host);
	assert_int_equal(check(h, host, NULL, &text), 0);
	assert_string_equal(text, "ok\n");
	scrape_wait_page(scrape, "/readyz", 503, "broker: lane main: not connected");
	assert_int_equal(check(h, host, "--ready", &text), 1);
	assert_non_null(strstr(text, "/readyz answers 503: "));
	assert_non_null(strstr(text, "broker: lane main: not connected"));

	broker_start(broker);
	scrape_wait_page(scrape, "/readyz", 200, "ready");
	assert_int_equal(check(h, host, "--ready", &text), 0);
	assert_string_equal(text, "ready\n");
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(ready_means_ready), HARNESS_TEST(reload_begins_and_ends),
	HARNESS_TEST(standby_is_ready), HARNESS_TEST(watchdog_is_fed_by_the_loop),
	HARNESS_TEST(watchdog_of_another_process), HARNESS_TEST(manager_comes_late),
	HARNESS_TEST(address_of_another_kind), HARNESS_TEST(healthcheck))
