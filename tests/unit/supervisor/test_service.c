/* Tests of service.c: what the manager is told of hosts that start, stand by, are replaced and end; a socket in its place. */
#include "service.h"

#include "board.h"
#include "clock.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST_PID = 1000, SECOND_PID = 1001, FEED_MS = 500 };

static char folder[] = "/tmp/cashewd-test-XXXXXX";
static char path[64];
static struct board *board;
static int board_fd, manager;
static struct service service;

static int listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, path);
	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (const struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

/* The next datagram; "" where there is none. */
static const char *told(void)
{
	static char text[1024];
	const ssize_t size = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[size > 0 ? size : 0] = '\0';
	return text;
}

/* A host that takes commands. */
static void be_ready(int32_t pid)
{
	struct figures *figures = &board->figures;
	struct figures_lane *lane = &figures->lanes[figures_lane_place(figures, "main")];
	FIGURES_SET(lane->filters, 1);
	FIGURES_SET(lane->granted, 1);
	FIGURES_SET(lane->connection.state, FIGURES_CONNECTION_UP);
	FIGURES_SET(lane->connection.standby, false);
	FIGURES_SET(figures->egress.connection.state, FIGURES_CONNECTION_UP);
	FIGURES_SET(figures->hosts.pid, pid);
	FIGURES_SET(figures->now.turned_ms, clock_ms());
	FIGURES_SET(figures->now.store_up, true);
	FIGURES_SET(figures->store.writable, true);
	atomic_store(&board->store_seen_ms, clock_ms());
	atomic_store(&board->host_up, 1);
}

static void stand_by(void)
{
	struct figures_lane *lane = &board->figures.lanes[0];
	FIGURES_SET(lane->connection.state, 0);
	FIGURES_SET(lane->connection.standby, true);
}

static void lose_store(void)
{
	FIGURES_SET(board->figures.now.store_up, false);
}

static int begin(void **state)
{
	(void)state;
	if (board_new(&board, &board_fd) != 0)
		return -1;
	manager = listen_here();
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "1000000", 1), 0);
	service_open(&service, board, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	service_close(&service);
	close(manager);
	unlink(path);
	board_unmap(board);
	close(board_fd);
	return 0;
}

#define STORE_AWAY "store: it does not answer, or is no primary"

static void start(void)
{
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
}

static void test_start(void **state)
{
	(void)state;
	service_look(&service, CHILD_WAITING, false);
	assert_string_equal(told(), "STATUS=not ready: host: none is running");
	/* Nothing new is nothing told. */
	service_look(&service, CHILD_WAITING, false);
	assert_string_equal(told(), "");
	be_ready(FIRST_PID);
	service_look(&service, CHILD_STARTING, false);
	assert_string_equal(told(), "STATUS=not ready: host: it is starting");
	lose_store();
	FIGURES_SET(board->figures.egress.connection.state, 1);
	service_look(&service, CHILD_RUNNING, false);
	assert_non_null(strstr(told(), "STATUS=not ready: broker: egress: not connected ("));
	start();
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "");
	/* Once and for all. */
	lose_store();
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=not ready: " STORE_AWAY);
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=ready");
}

static void test_several_reasons(void **state)
{
	(void)state;
	be_ready(FIRST_PID);
	lose_store();
	FIGURES_SET(board->figures.now.stopping, true);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=not ready: host: it is stopping; " STORE_AWAY);
	FIGURES_SET(board->figures.now.stopping, false);
}

static void test_standby(void **state)
{
	(void)state;
	be_ready(FIRST_PID);
	stand_by();
	service_look(&service, CHILD_STARTING, false);
	assert_non_null(strstr(told(), "STATUS=not ready: "));
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "READY=1\nSTATUS=standby: another host is active under this client id");
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=ready");
}

static void begin_reload(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t from_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	int64_t at_us = 0;
	service_reloading(&service);
	const char *lines = told();
	assert_int_equal(sscanf(lines, "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &at_us), 1);
	assert_in_range(at_us, from_us, from_us + INT64_C(60000000));
}

static void test_reload(void **state)
{
	(void)state;
	start();
	begin_reload();
	service_look(&service, CHILD_RUNNING, true);
	assert_string_equal(told(), "STATUS=reading the settings again; ready");
	/* The old host still takes commands, which is not the end of it. */
	service_look(&service, CHILD_REPLACING, false);
	assert_string_equal(
		told(), "STATUS=reading the settings again; not ready: host: a fresh one follows");
	be_ready(SECOND_PID);
	lose_store();
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=reading the settings again; not ready: " STORE_AWAY);
	be_ready(SECOND_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "");
}

/* The host that was there goes on, whether it takes commands now or not. */
static void test_reload_fails(void **state)
{
	(void)state;
	start();
	lose_store();
	begin_reload();
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(),
		"READY=1\nSTATUS=the last reload failed, see reload_failed in the log; not ready: " STORE_AWAY);
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "STATUS=the last reload failed, see reload_failed in the log; ready");
	begin_reload();
	be_ready(SECOND_PID);
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
}

static void test_reload_before_it_is_ready(void **state)
{
	(void)state;
	service_reloading(&service);
	assert_string_equal(told(), "");
	start();
}

static void test_stop(void **state)
{
	(void)state;
	start();
	begin_reload();
	service_stopping(&service, 22000);
	assert_string_equal(told(),
		"STOPPING=1\nEXTEND_TIMEOUT_USEC=27000000\nSTATUS=stopping: what runs is brought to its end");
	be_ready(SECOND_PID);
	service_look(&service, CHILD_STOPPING, false);
	service_reloading(&service);
	assert_string_equal(told(), "");
}

static void test_watchdog(void **state)
{
	static const struct {
		int64_t now_ms;
		const char *told;
		int64_t due_ms;
	} turns[] = {
		{0, "WATCHDOG=1", FEED_MS},
		{FEED_MS - 1, "", FEED_MS},
		{FEED_MS, "WATCHDOG=1", 2 * FEED_MS},
		{FEED_MS + 1, "", 2 * FEED_MS},
		{10 * FEED_MS, "WATCHDOG=1", 11 * FEED_MS},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		service_feed(&service, turns[i].now_ms);
		assert_string_equal(told(), turns[i].told);
		assert_int_equal(service_due_ms(&service), turns[i].due_ms);
	}
	/* One that was not taken comes again before it is too late. */
	unlink(path);
	service_feed(&service, 11 * FEED_MS);
	assert_in_range(service_due_ms(&service), 11 * FEED_MS + 1, 12 * FEED_MS - 1);
	service_close(&service);
	service_open(&service, board, 0);
	assert_int_equal(service_due_ms(&service), INT64_MAX);
}

/* What was not taken is told again, in its order. */
static void test_manager_that_is_away(void **state)
{
	(void)state;
	close(manager);
	unlink(path);
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	manager = listen_here();
	service_look(&service, CHILD_RUNNING, false);
	assert_string_equal(told(), "READY=1\nSTATUS=ready");

	close(manager);
	unlink(path);
	service_reloading(&service);
	be_ready(SECOND_PID);
	service_look(&service, CHILD_RUNNING, false);
	manager = listen_here();
	service_look(&service, CHILD_RUNNING, false);
	assert_int_equal(strncmp(told(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_string_equal(told(), "READY=1\nSTATUS=ready");

	close(manager);
	unlink(path);
	service_stopping(&service, 22000);
	manager = listen_here();
	service_look(&service, CHILD_STOPPING, false);
	assert_int_equal(strncmp(told(), "STOPPING=1\n", 11), 0);
	service_look(&service, CHILD_STOPPING, false);
	assert_string_equal(told(), "");
}

static void test_nobody(void **state)
{
	(void)state;
	service_close(&service);
	service_open(&service, board, 0);
	be_ready(FIRST_PID);
	service_look(&service, CHILD_RUNNING, false);
	service_reloading(&service);
	service_look(&service, CHILD_RUNNING, false);
	service_stopping(&service, 22000);
	service_look(&service, CHILD_STOPPING, false);
	assert_string_equal(told(), "");
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/notify", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_start),
		TEST(test_several_reasons),
		TEST(test_standby),
		TEST(test_reload),
		TEST(test_reload_fails),
		TEST(test_reload_before_it_is_ready),
		TEST(test_stop),
		TEST(test_watchdog),
		TEST(test_manager_that_is_away),
		TEST(test_nobody),
	};
	return cmocka_run_group_tests_name("service", tests, make_folder, remove_folder);
}
