/* Tests of notify.c: a real socket in the manager's place, by path and by abstract name; what is in the environment and what is not taken for it. */
#include "notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/cashewd-test-XXXXXX";

/* Listens at that address, as NOTIFY_SOCKET has it */
static int listen_at(const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_return_code(fd, errno);
	memcpy(address.sun_path, text, strlen(text));
	if (text[0] == '@')
		address.sun_path[0] = '\0';
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text));
	assert_return_code(bind(fd, (const struct sockaddr *)&address, size), errno);
	return fd;
}

static void assert_got(int fd, const char *expected)
{
	char text[256];
	const ssize_t size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_return_code(size, errno);
	text[size] = '\0';
	assert_string_equal(text, expected);
}

static void set(const char *name, const char *value)
{
	assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void test_nobody(void **state)
{
	(void)state;
	struct notify notify;
	const char *const addresses[] = {NULL, ""};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		set("NOTIFY_SOCKET", addresses[i]);
		set("WATCHDOG_USEC", "1000000");
		assert_int_equal(notify_open(&notify), 0);
		assert_int_equal(notify.fd, -1);
		assert_int_equal(notify.feed_ms, 0);
		assert_int_equal(notify_send(&notify, "READY=1"), 0);
		notify_close(&notify);
	}
}

/* The longest of both kinds fill the address to its last byte. */
static void test_addresses(void **state)
{
	(void)state;
	char path[128], abstract[64], long_path[109], long_abstract[109];
	snprintf(path, sizeof(path), "%s/notify", folder);
	snprintf(abstract, sizeof(abstract), "@cashewd-test-%d", (int)getpid());
	const int begun = snprintf(long_path, sizeof(long_path), "%s/", folder);
	memset(long_path + begun, 'p', sizeof(long_path) - 1 - (size_t)begun);
	const int begun_abstract =
		snprintf(long_abstract, sizeof(long_abstract), "@cashewd-test-long-%d-", (int)getpid());
	memset(long_abstract + begun_abstract, 'a', sizeof(long_abstract) - 1 - (size_t)begun_abstract);
	long_path[108] = long_abstract[108] = '\0';
	const char *const addresses[] = {path, abstract, long_path, long_abstract};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const int manager = listen_at(addresses[i]);
		struct notify notify;
		set("NOTIFY_SOCKET", addresses[i]);
		assert_int_equal(notify_open(&notify), 0);
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_int_equal(notify_send(&notify, "READY=1\nSTATUS=ready"), 0);
		assert_got(manager, "READY=1\nSTATUS=ready");
		notify_close(&notify);
		close(manager);
		if (addresses[i][0] == '/')
			assert_return_code(unlink(addresses[i]), errno);
	}
}

static void test_bad_addresses(void **state)
{
	(void)state;
	char too_long[110];
	memset(too_long, '/', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	const char *const addresses[] = {"notify", "vsock:2:1234", "/", "@", too_long};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct notify notify;
		set("NOTIFY_SOCKET", addresses[i]);
		assert_int_equal(notify_open(&notify), NOTIFY_E_ADDRESS);
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_int_equal(notify_send(&notify, "READY=1"), 0);
		notify_close(&notify);
	}
}

static void test_watchdog(void **state)
{
	char own[24], other[24];
	snprintf(own, sizeof(own), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	const struct {
		const char *name, *usec, *pid;
		int error;
		int64_t feed_ms;
	} cases[] = {
		{"none", NULL, NULL, 0, 0},
		{"none, with a process", NULL, own, 0, 0},
		{"this process's", "30000000", own, 0, 15000},
		{"nobody in particular", "30000000", NULL, 0, 15000},
		{"another process's", "30000000", other, 0, 0},
		{"shorter than two milliseconds", "1", own, 0, 1},
		{"never", "0", own, NOTIFY_E_WATCHDOG, 0},
		{"no number", "30s", own, NOTIFY_E_WATCHDOG, 0},
		{"below nothing", "-30000000", own, NOTIFY_E_WATCHDOG, 0},
		{"too large a number", "99999999999999999999999", own, NOTIFY_E_WATCHDOG, 0},
		{"no process", "30000000", "init", NOTIFY_E_WATCHDOG, 0},
	};
	(void)state;
	char path[128];
	snprintf(path, sizeof(path), "%s/notify", folder);
	const int manager = listen_at(path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct notify notify;
		print_message("  %s\n", cases[i].name);
		set("NOTIFY_SOCKET", path);
		set("WATCHDOG_USEC", cases[i].usec);
		set("WATCHDOG_PID", cases[i].pid);
		assert_int_equal(notify_open(&notify), cases[i].error);
		assert_int_equal(notify.feed_ms, cases[i].feed_ms);
		assert_null(getenv("WATCHDOG_USEC"));
		assert_null(getenv("WATCHDOG_PID"));
		/* A watchdog that is not understood costs nothing else. */
		assert_int_equal(notify_send(&notify, "READY=1"), 0);
		assert_got(manager, "READY=1");
		notify_close(&notify);
	}
	close(manager);
	assert_return_code(unlink(path), errno);
}

/* A manager that has gone is an error of the call, and so is one that does not read: nothing waits. */
static void test_not_taken(void **state)
{
	(void)state;
	char path[128];
	struct notify notify;
	snprintf(path, sizeof(path), "%s/notify", folder);
	set("NOTIFY_SOCKET", path);
	assert_int_equal(notify_open(&notify), 0);
	assert_int_equal(notify_send(&notify, "READY=1"), -ENOENT);
	const int manager = listen_at(path);
	int error = 0;
	for (unsigned i = 0; i < 100000 && error == 0; i++)
		error = notify_send(&notify, "WATCHDOG=1");
	assert_int_equal(error, -EAGAIN);
	close(manager);
	assert_int_equal(notify_send(&notify, "READY=1"), -ECONNREFUSED);
	/* One that was started anew under the same name is told. */
	assert_return_code(unlink(path), errno);
	const int next = listen_at(path);
	assert_int_equal(notify_send(&notify, "READY=1"), 0);
	assert_got(next, "READY=1");
	close(next);
	assert_return_code(unlink(path), errno);
	notify_close(&notify);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_not_taken),
	};
	return cmocka_run_group_tests_name("notify", tests, make_folder, remove_folder);
}
