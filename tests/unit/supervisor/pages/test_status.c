/* test_status.c - status.c: what the board holds, as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "clock.h"
#include "log_secret.h"
#include "status.h"

struct fixture {
	struct board *board;
	int fd;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	*state = f;
	return board_new(&f->board, &f->fd);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	board_unmap(f->board);
	close(f->fd);
	test_free(f);
	return 0;
}

static json_t *status_of(const struct fixture *f, int64_t now_ms)
{
	json_t *json = status_document(f->board, &(const struct status_facts){.version = "0.1.0",
							 .host_state = "running",
							 .now_ms = now_ms,
							 .supervisor_started_ms = 1000,
							 .host_started_ms = 2000,
							 .unix_ms = 77,
							 .supervisor_rss = 5,
							 .host_rss = 6});
	assert_non_null(json);
	/* It can be sent. */
	char *text = json_dumps(json, JSON_COMPACT);
	assert_non_null(text);
	free(text);
	return json;
}

static void expect_part(json_t *json, const char *key, const char *expected)
{
	json_error_t error;
	json_t *part = json_loads(expected, 0, &error);
	char *found = json_dumps(json_object_get(json, key), JSON_ENCODE_ANY);
	if (!part || !json_equal(json_object_get(json, key), part))
		fail_msg("%s is %s, expected was %s %s", key, found, expected, !part ? error.text : "");
	json_decref(part);
	free(found);
}

static json_int_t number(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void test_empty(void **state)
{
	const struct fixture *f = *state;
	json_t *json = status_of(f, 5000);
	assert_string_equal(json_string_value(json_object_get(json, "cashewd")), "0.1.0");
	assert_int_equal(number(json, "unix_ms"), 77);
	assert_int_equal(number(json, "clock_ms"), 5000);
	assert_int_equal(number(json_object_get(json, "supervisor"), "pid"), getpid());
	assert_int_equal(json_array_size(json_object_get(json, "bounds_us")), FIGURES_BOUNDS);
	expect_part(json, "lanes", "[]");
	expect_part(json, "handlers", "[]");
	expect_part(json, "running", "[]");
	expect_part(json, "host",
		"{\"state\":\"running\",\"ready\":false,\"standby\":false,\"pid\":0,\"number\":0,\"running_ms\":0,\"rss_bytes\":6,\"workers\":0,\"stopped\":0,\"crashed\":0,\"hung\":0,\"killed\":0,\"not_begun\":0,\"too_large\":0}");
	json_decref(json);
}

static void test_counters(void **state)
{
	const struct fixture *f = *state;
	struct board *board = f->board;
	board_count(&board->account.done, 9);
	board_count(&board->account.rejected, 8);
	board_count(&board->account.dead, 7);
	board_count(&board->account.parked, 6);
	board_count(&board->account.joined, 5);
	board_count(&board->account.ignored, 4);
	board_count(&board->account.qos0, 3);
	board_count(&board->account.qos0_dropped, 2);
	board_count(&board->account.left, 1);
	board_mark_buried(board, 1, 0);
	assert_int_equal(board_near_add(board, 1, 0), 1);
	assert_int_equal(board_near_add(board, 2, 0), 1);
	FIGURES_SET(board->figures.now.commands, 11);
	FIGURES_SET(board->figures.now.jobs, 12);
	FIGURES_SET(board->figures.now.parked, 13);
	FIGURES_SET(board->figures.hosts.pid, 4711);
	FIGURES_SET(board->figures.hosts.crashed, 2);
	FIGURES_SET(board->figures.log_dropped, 99);
	json_t *json = status_of(f, 5000);
	expect_part(json, "commands",
		"{\"suspects\":1,\"near\":2,\"done\":9,\"rejected\":8,\"dead\":7,\"parked\":6,\"joined\":5,\"ignored\":4,\"qos0\":3,\"qos0_dropped\":2,\"left\":1,\"in_flight\":11,\"with_workers\":12,\"from_store\":13}");
	const json_t *host = json_object_get(json, "host");
	assert_int_equal(number(host, "pid"), 4711);
	assert_int_equal(number(host, "running_ms"), 3000);
	assert_int_equal(number(host, "crashed"), 2);
	assert_int_equal(number(json, "log_dropped"), 99);
	json_decref(json);
}

static void test_lanes(void **state)
{
	const struct fixture *f = *state;
	struct figures *figures = &f->board->figures;
	struct figures_lane *main_lane = &figures->lanes[figures_lane_place(figures, "main")];
	struct figures_lane *gone = &figures->lanes[figures_lane_place(figures, "gone")];
	FIGURES_SET(gone->here, false);
	FIGURES_SET(main_lane->connection.state, 3);
	figures_up(&main_lane->connection, 4000);
	FIGURES_SET(main_lane->filters, 9);
	FIGURES_SET(main_lane->granted, 8);
	FIGURES_SET(main_lane->held, 120);
	FIGURES_SET(main_lane->unsettled, 3);
	FIGURES_SET(main_lane->stepped_aside, 4);
	FIGURES_SET(main_lane->oldest_ms, 6000); /* of later than now, by a clock that is coarse */
	figures_observe(&main_lane->hold, 7);
	json_t *json = status_of(f, 5000);
	expect_part(json, "lanes",
		"[{\"name\":\"main\",\"connection\":{\"state\":\"up\",\"standby\":false,\"up_ms\":1000,\"opened\":1,\"lost\":0},\"filters\":9,\"granted\":8,\"held\":120,\"unsettled\":3,\"oldest_ms\":0,\"dropped\":0,\"acknowledged\":0,\"stepped_aside\":4,\"hold\":{\"sum_us\":7,\"counts\":[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}]");
	FIGURES_SET(main_lane->connection.standby, true);
	json_t *standby = status_of(f, 5000);
	assert_true(json_is_true(json_object_get(json_object_get(standby, "host"), "standby")));
	json_decref(json);
	json_decref(standby);
}

/* A collection that the database refuses: named while it does. */
static void test_store(void **state)
{
	const struct fixture *f = *state;
	struct figures *figures = &f->board->figures;
	figures_need_collection(figures, 0, "hosts");
	figures_need_collection(figures, 1, "contacts");
	figures_refuse_collection(figures, 1);
	json_t *json = status_of(f, 5000);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "store"), "refused")), "contacts");
	json_decref(json);
	figures_refuse_collection(figures, FIGURES_COLLECTIONS);
	json = status_of(f, 5000);
	assert_null(json_object_get(json_object_get(json, "store"), "refused"));
	json_decref(json);
}

static void enter(struct board *board, unsigned slot, const char *handler, const char *topic)
{
	board_slot_enter(&board->slots[slot], &(const struct board_entry){.handler = handler,
						      .topic = topic,
						      .fingerprint = 1,
						      .attempt = 2,
						      .deadline_ms = 10000});
}

static void test_schedules(void **state)
{
	const struct fixture *f = *state;
	struct figures *figures = &f->board->figures;
	json_t *json = status_of(f, 5000);
	expect_part(json, "schedules", "[]");
	json_decref(json);
	struct figures_schedule *hourly = &figures->schedules[figures_schedule_place(figures, "hourly")];
	(void)figures_schedule_place(figures, "elsewhere");
	FIGURES_SET(hourly->here, true);
	FIGURES_SET(hourly->slot_ms, 3000);
	FIGURES_SET(hourly->next_ms, 6000);
	FIGURES_SET(hourly->open, true);
	FIGURES_SET(hourly->end, FIGURES_RUN_DONE);
	FIGURES_SET(hourly->overdue_ms, 4000);
	FIGURES_SET(hourly->begun, 2);
	FIGURES_SET(hourly->skipped, 1);
	json = status_of(f, 5000);
	expect_part(json, "schedules",
		"[{\"name\":\"hourly\",\"slot_ms\":3000,\"next_ms\":6000,\"running\":true,\"end\":\"done\",\"overdue_ms\":1000,\"begun\":2,\"skipped\":1}]");
	json_decref(json);
}

static void test_runs(void **state)
{
	const struct fixture *f = *state;
	struct board *board = f->board;
	struct figures *figures = &board->figures;
	const unsigned apples = figures_handler_place(figures, "get_apples");
	const unsigned ping = figures_handler_place(figures, "ping");
	bool first;
	figures_use_rows(figures, 4);
	figures_add(&figures->runs[0][apples].ends[0], 5);
	figures_add(&figures->runs[3][apples].ends[0], 2);
	figures_add(&figures->runs[3][apples].ends[3], 1);
	figures_observe(&figures->runs[3][apples].durations, 20);
	FIGURES_SET(figures->handlers[ping].hung, 4);
	enter(board, 1, "get_apples", "1/get_apples");
	enter(board, 2, "get_apples", "2/get_apples");
	enter(board, 3, "ping", "3/ping");
	const int64_t now_ms = clock_ms();
	board->slots[1].run.started_ms = now_ms - 10;
	board->slots[2].run.started_ms = now_ms - 3000;
	board->slots[3].run.started_ms = now_ms - 20000;
	board_slot_leave(&board->slots[1]);
	enter(board, 1, "get_apples", "1/get_apples");
	board->slots[1].run.started_ms = now_ms - 10;
	assert_true(board_slot_expire(&board->slots[3], now_ms, 0, &first));

	/* a dead host runs nothing */
	json_t *dead = status_of(f, now_ms);
	expect_part(dead, "running", "[]");
	json_decref(dead);

	FIGURES_SET(figures->hosts.pid, 4711);
	json_t *json = status_of(f, now_ms);
	expect_part(json, "running",
		"[{\"handler\":\"ping\",\"topic\":\"3/ping\",\"attempt\":2,\"running_ms\":20000,\"deadline_ms\":10000,\"alone\":false,\"overdue\":true},{\"handler\":\"get_apples\",\"topic\":\"2/get_apples\",\"attempt\":2,\"running_ms\":3000,\"deadline_ms\":10000,\"alone\":false,\"overdue\":false},{\"handler\":\"get_apples\",\"topic\":\"1/get_apples\",\"attempt\":2,\"running_ms\":10,\"deadline_ms\":10000,\"alone\":false,\"overdue\":false}]");
	expect_part(json, "handlers",
		"[{\"name\":\"get_apples\",\"here\":true,\"running\":2,\"done\":7,\"rejected\":0,\"retried\":0,\"failed\":1,\"runs\":8,\"crashed\":0,\"hung\":0,\"durations\":{\"sum_us\":20,\"counts\":[0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}},{\"name\":\"ping\",\"here\":true,\"running\":1,\"done\":0,\"rejected\":0,\"retried\":0,\"failed\":0,\"runs\":0,\"crashed\":0,\"hung\":4,\"durations\":{\"sum_us\":0,\"counts\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}]");
	json_decref(json);
}

/* Topics of any bytes: what was cut within a character, what is no UTF-8 at all. */
static void test_topics(void **state)
{
	static const struct {
		const char *topic, *shown;
	} cases[] = {
		{"1/\xc3\xa4", "1/\xc3\xa4"},
		{"1/x\xc3", "1/x"},
		{"1/x\xf0\x9f\x8d", "1/x"},
		{"1/\xff\xff\xff\xff\xff.", "1/\\xff\\xff\\xff\\xff\\xff."},
		{"1/\x1b[31m", "1/\x1b[31m"},
		{"1/k4n4ry%2Dsecret/x", "1/********/x"},
	};
	assert_int_equal(log_secret_add("k4n4ry-secret"), 0);
	const struct fixture *f = *state;
	figures_use_rows(&f->board->figures, 2);
	FIGURES_SET(f->board->figures.hosts.pid, 4711);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enter(f->board, 1, "any", cases[i].topic);
		json_t *json = status_of(f, clock_ms());
		const json_t *run = json_array_get(json_object_get(json, "running"), 0);
		assert_string_equal(json_string_value(json_object_get(run, "topic")), cases[i].shown);
		json_decref(json);
		board_slot_leave(&f->board->slots[1]);
	}
	log_secret_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lanes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_schedules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_topics, setup, teardown),
	};
	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
