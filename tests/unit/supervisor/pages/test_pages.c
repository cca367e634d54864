/* test_pages.c - pages.c: when the program is healthy, and when it is ready. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "clock.h"
#include "pages.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct board *board;
static int board_fd;
static struct view view;

/* A host that is ready: two lanes, one filter each. */
static int begin(void **state)
{
	(void)state;
	if (board_new(&board, &board_fd) != 0)
		return -1;
	view_init(&view, board);
	struct figures *figures = &board->figures;
	const char *const names[] = {"main", "slow"};
	for (unsigned i = 0; i < 2; i++) {
		struct figures_lane *lane = &figures->lanes[figures_lane_place(figures, names[i])];
		FIGURES_SET(lane->filters, 1);
		FIGURES_SET(lane->granted, 1);
		FIGURES_SET(lane->connection.state, FIGURES_CONNECTION_UP);
	}
	FIGURES_SET(figures->egress.connection.state, FIGURES_CONNECTION_UP);
	FIGURES_SET(figures->hosts.pid, getpid());
	FIGURES_SET(figures->now.turned_ms, clock_ms());
	FIGURES_SET(figures->now.store_up, true);
	FIGURES_SET(figures->store.writable, true);
	atomic_store(&board->store_seen_ms, clock_ms());
	atomic_store(&board->host_up, 1);
	return 0;
}

static int end(void **state)
{
	(void)state;
	view_destroy(&view);
	board_unmap(board);
	close(board_fd);
	return 0;
}

static unsigned ask(const char *path, char **ret_text)
{
	size_t size;
	FILE *out = open_memstream(ret_text, &size);
	const struct http_page *page = pages_table;
	while (strcmp(page->path, path) != 0)
		page++;
	const unsigned status = page->write(&view, out);
	assert_int_equal(fclose(out), 0);
	return status;
}

static void expect(const char *path, unsigned status, const char *text)
{
	char *found = NULL;
	assert_int_equal(ask(path, &found), status);
	assert_string_equal(found, text);
	free(found);
}

static void test_ready(void **state)
{
	(void)state;
	expect("/readyz", HTTP_OK, "ready\n");
}

static void no_host(void)
{
	FIGURES_SET(board->figures.hosts.pid, 0);
}
static void host_starts(void)
{
	atomic_store(&board->host_up, 0);
}
static void first_turn_to_come(void)
{
	FIGURES_SET(board->figures.now.turned_ms, 0);
}
static void host_stops(void)
{
	FIGURES_SET(board->figures.now.stopping, true);
}
static void egress_opens(void)
{
	FIGURES_SET(board->figures.egress.connection.state, 2);
}
static void lane_waits(void)
{
	FIGURES_SET(board->figures.lanes[1].connection.state, 1);
}
static void lane_stands_by(void)
{
	FIGURES_SET(board->figures.lanes[0].connection.state, 1);
	FIGURES_SET(board->figures.lanes[0].connection.standby, true);
}
static void filter_refused(void)
{
	FIGURES_SET(board->figures.lanes[0].filters, 3);
}
static void store_away(void)
{
	FIGURES_SET(board->figures.now.store_up, false);
}
static void store_silent(void)
{
	atomic_store(&board->store_seen_ms, clock_ms() - PAGES_STORE_MS - 1000);
}
static void store_full(void)
{
	FIGURES_SET(board->figures.store.writable, false);
}
static void collection_refused(void)
{
	figures_need_collection(&board->figures, 0, "hosts");
	figures_need_collection(&board->figures, 1, "contacts");
	figures_refuse_collection(&board->figures, 1);
	store_full();
}
static void other_lane(void)
{
	FIGURES_SET(board->figures.lanes[1].here, false);
	FIGURES_SET(board->figures.lanes[1].connection.state, 0);
}
static void all_at_once(void)
{
	egress_opens();
	lane_waits();
	store_full();
}

static void test_not_ready(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*change)(void);
		const char *text;
	} cases[] = {
		{"no host", no_host, "host: none is running\n"},
		{"a host that starts", host_starts, "host: it is starting\n"},
		{"a host before its first turn", first_turn_to_come, "host: it is starting\n"},
		{"a host that stops", host_stops, "host: it is stopping\n"},
		{"no way for events", egress_opens, "broker: egress: not connected (opening)\n"},
		{"one lane of two", lane_waits, "broker: lane slow: not connected (waiting)\n"},
		{"a standby", lane_stands_by,
			"broker: lane main: another host has the session: waiting as its standby\n"},
		{"a filter refused", filter_refused, "broker: lane main: 1 of 3 subscriptions granted\n"},
		{"the store away", store_away, "store: it does not answer, or is no primary\n"},
		{"the store silent", store_silent, "store: it does not answer, or is no primary\n"},
		{"the store's disk full", store_full, "store: it answers, but does not take writes\n"},
		{"a collection refused", collection_refused,
			"store: it refuses this host the collection contacts\n"},
		{"a lane of an earlier host", other_lane, NULL},
		{"several things", all_at_once,
			"broker: egress: not connected (opening)\nbroker: lane slow: not connected (waiting)\n"
			"store: it answers, but does not take writes\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		assert_int_equal(begin(NULL), 0);
		cases[i].change();
		if (cases[i].text)
			expect("/readyz", HTTP_UNAVAILABLE, cases[i].text);
		else
			expect("/readyz", HTTP_OK, "ready\n");
		expect("/healthz", HTTP_OK, "ok\n");
		end(NULL);
	}
}

static void test_host_hangs(void **state)
{
	(void)state;
	char *text = NULL;
	FIGURES_SET(board->figures.now.turned_ms, clock_ms() - PAGES_HOST_MS - 1000);
	assert_int_equal(ask("/readyz", &text), HTTP_UNAVAILABLE);
	assert_non_null(strstr(text, "host: its I/O thread has not turned for 1"));
	free(text);
	expect("/healthz", HTTP_OK, "ok\n");
}

static void test_supervisor_hangs(void **state)
{
	(void)state;
	char *text = NULL;
	FIGURES_SET(view.turned_ms, clock_ms() - PAGES_SUPERVISOR_MS - 1000);
	assert_int_equal(ask("/healthz", &text), HTTP_UNAVAILABLE);
	assert_non_null(strstr(text, "the supervisor's loop has not turned for "));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ready, begin, end),
		cmocka_unit_test(test_not_ready),
		cmocka_unit_test_setup_teardown(test_host_hangs, begin, end),
		cmocka_unit_test_setup_teardown(test_supervisor_hangs, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
