/*
 * test_metrics.c - metrics.c: what the board holds stands in the text, once and as it
 * should. That promtool has nothing to say about the text is tested with the program (test_metrics).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "clock.h"
#include "http_server.h"
#include "metrics.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct board *board;
static int board_fd;
static struct view view;
static char *text;

static int begin(void **state)
{
	(void)state;
	if (board_new(&board, &board_fd) != 0)
		return -1;
	view_init(&view, board);
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	view_destroy(&view);
	board_unmap(board);
	close(board_fd);
	return 0;
}

static void scrape(void)
{
	size_t size;
	free(text);
	text = NULL;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(metrics_write(&view, out), HTTP_OK);
	assert_int_equal(fclose(out), 0);
}

/* The value of a series, whose line begins with that and a blank; NULL: there is none. */
static const char *find(const char *series)
{
	const size_t size = strlen(series);
	for (const char *line = text; line && *line != '\0';) {
		if (strncmp(line, series, size) == 0 && line[size] == ' ')
			return line + size + 1;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return NULL;
}

static void expect(const char *series, const char *value)
{
	const char *found = find(series);
	if (!found)
		fail_msg("there is no %s", series);
	if (strncmp(found, value, strlen(value)) != 0 || found[strlen(value)] != '\n')
		fail_msg("%s is %.*s, expected %s", series, (int)strcspn(found, "\n"), found, value);
}

static void test_handlers(void **state)
{
	(void)state;
	struct figures *figures = &board->figures;
	const unsigned place = figures_handler_place(figures, "get_apples");
	figures_use_rows(figures, 3);
	figures_add(&figures->runs[0][place].ends[0], 5);
	figures_add(&figures->runs[2][place].ends[0], 2);
	figures_add(&figures->runs[2][place].ends[2], 1);
	figures_observe(&figures->runs[0][place].durations, 7);
	figures_observe(&figures->runs[2][place].durations, 2000);
	figures_observe(&figures->runs[2][place].durations, 60000000);
	figures_add(&figures->handlers[place].commands[3], 4);
	figures_add(&figures->handlers[place].hung, 1);
	board_slot_enter(&board->slots[1],
		&(const struct board_entry){.handler = "get_apples", .topic = "1/get_apples"});
	FIGURES_SET(figures->now.jobs, 9);
	FIGURES_SET(figures->now.backlogs, 5);
	scrape();
	expect("cashewd_handler_runs_total{handler=\"get_apples\",end=\"done\"}", "7");
	expect("cashewd_handler_runs_total{handler=\"get_apples\",end=\"retry\"}", "1");
	expect("cashewd_handler_runs_total{handler=\"get_apples\",end=\"failed\"}", "0");
	expect("cashewd_handler_commands_total{handler=\"get_apples\",end=\"parked\"}", "4");
	expect("cashewd_handler_deaths_total{handler=\"get_apples\",kind=\"hung\"}", "1");
	expect("cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"1e-05\"}", "1");
	expect("cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"0.001\"}", "1");
	expect("cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"0.0025\"}", "2");
	expect("cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"30\"}", "2");
	expect("cashewd_handler_duration_seconds_bucket{handler=\"get_apples\",le=\"+Inf\"}", "3");
	expect("cashewd_handler_duration_seconds_count{handler=\"get_apples\"}", "3");
	expect("cashewd_handler_duration_seconds_sum{handler=\"get_apples\"}", "60.002007");
	expect("cashewd_handler_running{handler=\"get_apples\"}", "1");
	expect("cashewd_queue_depth", "8");
	expect("cashewd_backlogs", "5");
	board_clear_host(board);
	scrape();
	expect("cashewd_backlogs", "0");
}

/* Handlers' names are files' names, but a lane is called as its author likes. */
static void test_names_are_escaped(void **state)
{
	(void)state;
	(void)figures_lane_place(&board->figures, "a \"b\" \\ c\nd");
	scrape();
	expect("cashewd_lane_drops_total{lane=\"a \\\"b\\\" \\\\ c\\nd\"}", "0");
}

static void test_lanes(void **state)
{
	(void)state;
	struct figures *figures = &board->figures;
	struct figures_lane *lane = &figures->lanes[figures_lane_place(figures, "main")];
	struct figures_lane *old = &figures->lanes[figures_lane_place(figures, "old")];
	FIGURES_SET(figures->hosts.pid, getpid());
	atomic_store(&board->host_up, 1);
	FIGURES_SET(old->here, false);
	figures_add(&old->acknowledged, 12);
	FIGURES_SET(lane->connection.state, FIGURES_CONNECTION_UP);
	FIGURES_SET(lane->held, 40);
	FIGURES_SET(lane->unsettled, 3);
	FIGURES_SET(lane->oldest_ms, clock_ms() - 3600 * 1000);
	figures_add(&lane->stepped_aside, 6);
	figures_add(&lane->dropped, 2);
	figures_add(&lane->sessions_lost, 4);
	FIGURES_SET(lane->session_expiry_s, 7200);
	FIGURES_SET(lane->filters, 11);
	FIGURES_SET(lane->granted, 10);
	figures_observe(&lane->hold, 250000);
	scrape();
	expect("cashewd_held_commands{lane=\"main\"}", "40");
	expect("cashewd_unsettled_commands{lane=\"main\"}", "3");
	expect("cashewd_subscriptions{lane=\"main\"}", "11");
	expect("cashewd_subscriptions_granted{lane=\"main\"}", "10");
	expect("cashewd_hold_seconds_count{lane=\"main\"}", "1");
	expect("cashewd_hold_seconds_bucket{lane=\"main\",le=\"0.25\"}", "1");
	expect("cashewd_hold_seconds_bucket{lane=\"main\",le=\"0.1\"}", "0");
	expect("cashewd_stepped_aside_total{lane=\"main\"}", "6");
	expect("cashewd_lane_drops_total{lane=\"main\"}", "2");
	expect("cashewd_sessions_lost_total{lane=\"main\"}", "4");
	expect("cashewd_session_expiry_seconds{lane=\"main\"}", "7200");
	expect("cashewd_connection_state{connection=\"main\",state=\"up\"}", "1");
	expect("cashewd_connection_state{connection=\"main\",state=\"waiting\"}", "0");
	expect("cashewd_connection_state{connection=\"egress\",state=\"idle\"}", "1");
	assert_in_range(
		strtol(find("cashewd_oldest_unsettled_seconds{lane=\"main\"}"), NULL, 10), 3600, 3700);
	/* What an earlier host had: its counters stay, its state does not. */
	expect("cashewd_acknowledgements_total{lane=\"old\"}", "12");
	assert_null(find("cashewd_held_commands{lane=\"old\"}"));
	assert_null(find("cashewd_connection_state{connection=\"old\",state=\"idle\"}"));

	FIGURES_SET(lane->connection.standby, true);
	FIGURES_SET(lane->connection.state, 1);
	scrape();
	expect("cashewd_connection_state{connection=\"main\",state=\"standby\"}", "1");
	expect("cashewd_connection_state{connection=\"main\",state=\"waiting\"}", "0");

	/* The host is dead: nothing is missing meanwhile. */
	FIGURES_SET(figures->hosts.pid, 0);
	board_clear_host(board);
	scrape();
	expect("cashewd_held_commands{lane=\"main\"}", "0");
	expect("cashewd_oldest_unsettled_seconds{lane=\"main\"}", "0");
	expect("cashewd_stepped_aside_total{lane=\"main\"}", "6");
	expect("cashewd_connection_state{connection=\"main\",state=\"idle\"}", "1");
	expect("cashewd_host_up", "0");
}

static void test_schedules(void **state)
{
	(void)state;
	scrape();
	assert_null(strstr(text, "cashewd_schedule"));
	struct figures_schedule *schedule =
		&board->figures.schedules[figures_schedule_place(&board->figures, "hourly")];
	FIGURES_SET(schedule->begun, 3);
	FIGURES_SET(schedule->skipped, 1);
	scrape();
	/* This host is not the active one: it does not know. */
	assert_null(find("cashewd_schedule_next_slot_seconds{schedule=\"hourly\"}"));
	expect("cashewd_schedule_runs_begun_total{schedule=\"hourly\"}", "3");
	expect("cashewd_schedule_slots_skipped_total{schedule=\"hourly\"}", "1");
	FIGURES_SET(schedule->here, true);
	FIGURES_SET(schedule->slot_ms, INT64_C(1769860800000));
	FIGURES_SET(schedule->next_ms, INT64_C(1769864400500));
	FIGURES_SET(schedule->open, true);
	FIGURES_SET(schedule->end, FIGURES_RUN_DEAD);
	scrape();
	expect("cashewd_schedule_last_slot_seconds{schedule=\"hourly\"}", "1769860800");
	expect("cashewd_schedule_next_slot_seconds{schedule=\"hourly\"}", "1769864400.5");
	expect("cashewd_schedule_overdue_seconds{schedule=\"hourly\"}", "0");
	expect("cashewd_schedule_running{schedule=\"hourly\"}", "1");
	expect("cashewd_schedule_last_run_dead{schedule=\"hourly\"}", "1");
	FIGURES_SET(schedule->overdue_ms, clock_ms() - 70000);
	scrape();
	const char *late = find("cashewd_schedule_overdue_seconds{schedule=\"hourly\"}");
	assert_non_null(late);
	assert_in_range((int)strtod(late, NULL), 70, 130);
	board_clear_host(board);
	scrape();
	assert_null(find("cashewd_schedule_overdue_seconds{schedule=\"hourly\"}"));
	expect("cashewd_schedule_runs_begun_total{schedule=\"hourly\"}", "3");
}

static void test_account_and_log(void **state)
{
	(void)state;
	board_count(&board->account.done, 1000000000001);
	board_count(&board->account.joined, 3);
	board_mark_buried(board, 1, 0);
	FIGURES_SET(board->figures.log_dropped, 17);
	view.shipping = true;
	view.loggly = (struct loggly_figures){
		.emitted = 9, .shipped = 4, .spooled = 2, .lost_disk = 3, .spool_bytes = 4097};
	scrape();
	expect("cashewd_commands_total{end=\"done\"}", "1000000000001");
	expect("cashewd_commands_joined_total", "3");
	expect("cashewd_suspects", "1");
	expect("cashewd_log_lines_dropped_total{process=\"host\"}", "17");
	expect("cashewd_loggly_on", "1");
	expect("cashewd_loggly_events_emitted_total", "9");
	expect("cashewd_loggly_events_spooled", "2");
	expect("cashewd_loggly_spool_bytes", "4097");
	expect("cashewd_loggly_events_lost_total{where=\"disk\"}", "3");
	assert_non_null(strstr(text, "\ncashewd_build_info{version=\""));
}

/* The CPU time of hosts does not fall when one ends, though another begins at nothing. */
static void test_processes(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		char byte;
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	FIGURES_SET(board->figures.hosts.pid, child);
	scrape();
	assert_true(strtod(find("process_resident_memory_bytes{process=\"host\"}"), NULL) > 0);
	assert_true(strtod(find("process_resident_memory_bytes{process=\"supervisor\"}"), NULL) > 0);
	const double started_s = strtod(find("process_start_time_seconds{process=\"host\"}"), NULL);
	assert_true(started_s > (double)time(NULL) - 3600 && started_s < (double)time(NULL) + 60);
	view.hosts_cpu_s = 1000;
	close(ends[1]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	scrape();
	expect("process_cpu_seconds_total{process=\"host\"}", "1000.00");
	assert_null(find("process_resident_memory_bytes{process=\"host\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_handlers, begin, end),
		cmocka_unit_test_setup_teardown(test_names_are_escaped, begin, end),
		cmocka_unit_test_setup_teardown(test_lanes, begin, end),
		cmocka_unit_test_setup_teardown(test_schedules, begin, end),
		cmocka_unit_test_setup_teardown(test_account_and_log, begin, end),
		cmocka_unit_test_setup_teardown(test_processes, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
