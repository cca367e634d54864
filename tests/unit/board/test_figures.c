/* test_figures.c - figures.c: counters by threads of their own, places by name, what stays when a host dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "figures.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	struct board *board;
	struct figures *figures;
	int fd;
};

static struct fixture fixture;

static int begin(void **state)
{
	(void)state;
	if (board_new(&fixture.board, &fixture.fd) != 0)
		return -1;
	fixture.figures = &fixture.board->figures;
	return 0;
}

static int end(void **state)
{
	(void)state;
	board_unmap(fixture.board);
	close(fixture.fd);
	return 0;
}

/* ---- Histograms ---- */

static void test_bucket_of(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint64_t us;
		unsigned bucket;
	} cases[] = {
		{"nothing at all", 0, 0},
		{"a bound belongs to its bucket", 10, 0},
		{"just above", 11, 1},
		{"a millisecond", 1000, 6},
		{"the last bound", 30000000, FIGURES_BOUNDS - 1},
		{"above all bounds", 30000001, FIGURES_BOUNDS},
		{"beyond 32 bits", UINT64_C(5000000000), FIGURES_BOUNDS},
	};
	uint64_t sum_us = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct figures_histogram *histogram = &fixture.figures->store.latency;
		struct figures_times before, after;
		print_message("  %s\n", cases[i].name);
		figures_read_times(histogram, &before);
		figures_observe(histogram, cases[i].us);
		figures_read_times(histogram, &after);
		sum_us += cases[i].us;
		assert_int_equal(after.count, i + 1);
		assert_int_equal(after.sum_us, sum_us);
		assert_int_equal(after.counts[cases[i].bucket], before.counts[cases[i].bucket] + 1);
	}
	for (unsigned i = 1; i < FIGURES_BOUNDS; i++)
		assert_true(figures_bounds_us[i] > figures_bounds_us[i - 1]);
}

static void test_quantile(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct figures_times times;
		double share, expected;
	} cases[] = {
		{"none", {.count = 0}, 0.5, 0},
		{"half of the first bucket", {.counts = {100}, .count = 100}, 0.5, 5},
		{"all of it", {.counts = {100}, .count = 100}, 1, 10},
		{"between two", {.counts = {50, 50}, .count = 100}, 0.75, 17.5},
		{"an empty one between", {.counts = {50, 0, 50}, .count = 100}, 0.99, 49.5},
		{"beyond all bounds", {.counts = {[FIGURES_BOUNDS] = 3}, .count = 3}, 0.5, 30000000},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		assert_float_equal(
			figures_quantile_us(&cases[i].times, cases[i].share), cases[i].expected, 0.001);
	}
}

/* ---- Rows ---- */

enum { THREADS = 4, RUNS = 10000 };

static void *run_much(void *argument)
{
	struct figures_runs *runs = argument;
	for (unsigned i = 0; i < RUNS; i++) {
		figures_add(&runs->ends[i % FIGURES_ENDS], 1);
		figures_observe(&runs->durations, 20);
	}
	return NULL;
}

/* A reader meanwhile never sees a figure fall. */
static void test_threads_add_up(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	const unsigned place = figures_handler_place(fixture.figures, "get_apples");
	struct figures_run_sum sum = {.ends = {0}};
	figures_use_rows(fixture.figures, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, run_much, &fixture.figures->runs[i][place]), 0);
	for (uint64_t seen = 0; seen < (uint64_t)THREADS * RUNS; seen = sum.durations.count) {
		figures_read_runs(fixture.figures, place, &sum);
		assert_true(sum.durations.count >= seen);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	figures_read_runs(fixture.figures, place, &sum);
	for (unsigned i = 0; i < FIGURES_ENDS; i++)
		assert_int_equal(sum.ends[i], THREADS * RUNS / FIGURES_ENDS);
	assert_int_equal(sum.durations.counts[1], THREADS * RUNS);
	assert_int_equal(sum.durations.sum_us, UINT64_C(20) * THREADS * RUNS);
}

static void test_rows_that_no_thread_had(void **state)
{
	(void)state;
	const unsigned place = figures_handler_place(fixture.figures, "one");
	struct figures_run_sum sum;
	figures_use_rows(fixture.figures, 3);
	figures_add(&fixture.figures->runs[2][place].ends[0], 1);
	/* A host with fewer threads follows: what the third one has counted stays. */
	figures_use_rows(fixture.figures, 1);
	figures_read_runs(fixture.figures, place, &sum);
	assert_int_equal(sum.ends[0], 1);
	/* The other side has written nonsense. */
	FIGURES_SET(fixture.figures->rows, UINT32_MAX);
	figures_read_runs(fixture.figures, place, &sum);
	assert_int_equal(sum.ends[0], 1);
}

/* ---- Places ---- */

static void test_places(void **state)
{
	(void)state;
	struct figures *figures = fixture.figures;
	const unsigned one = figures_handler_place(figures, "one"),
		       two = figures_handler_place(figures, "two");
	assert_int_not_equal(one, two);
	assert_int_equal(figures_handler_place(figures, "one"), one);
	assert_int_equal(figures_handler_count(figures), 2);
	assert_int_equal(figures_handler_find(figures, "two"), two);
	assert_int_equal(figures_handler_find(figures, "three"), -1);
	assert_string_equal(figures->handlers[two].name, "two");
	assert_true(FIGURES_GET(figures->handlers[one].here));
	assert_int_equal(figures_lane_place(figures, "main"), 0);
	assert_int_equal(figures_lane_place(figures, "slow"), 1);
	assert_int_equal(figures_lane_count(figures), 2);

	char name[FIGURES_NAME_SIZE * 2];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	const unsigned cut = figures_handler_place(figures, name);
	assert_int_equal(strlen(figures->handlers[cut].name), FIGURES_NAME_SIZE - 1);
	assert_int_equal(figures_handler_place(figures, name), cut);
}

static void test_more_than_places(void **state)
{
	(void)state;
	struct figures *figures = fixture.figures;
	char name[FIGURES_NAME_SIZE];
	for (unsigned i = 0; i < FIGURES_HANDLERS + 10; i++) {
		snprintf(name, sizeof(name), "handler_%u", i);
		assert_int_equal(figures_handler_place(figures, name),
			i < FIGURES_HANDLERS ? i : (unsigned)FIGURES_HANDLERS - 1);
	}
	assert_int_equal(figures_handler_count(figures), FIGURES_HANDLERS);
	assert_string_equal(figures->handlers[FIGURES_HANDLERS - 2].name, "handler_126");
	assert_string_equal(figures->handlers[FIGURES_HANDLERS - 1].name, FIGURES_OTHERS);
	/* The other side has written nonsense. */
	FIGURES_SET(figures->handler_count, UINT32_MAX);
	assert_int_equal(figures_handler_count(figures), FIGURES_HANDLERS);
	assert_int_equal(figures_handler_place(figures, "one more"), FIGURES_HANDLERS - 1);
}

/* ---- Hosts that die ---- */

static void tell(struct figures *figures)
{
	struct figures_lane *lane = &figures->lanes[figures_lane_place(figures, "main")];
	const unsigned place = figures_handler_place(figures, "one");
	figures_use_rows(figures, 2);
	figures_add(&figures->runs[1][place].ends[0], 3);
	figures_add(&figures->handlers[place].commands[0], 3);
	figures_up(&lane->connection, 1000);
	FIGURES_SET(lane->connection.state, 3);
	FIGURES_SET(lane->held, 7);
	figures_observe(&lane->hold, 5000);
	figures_add(&lane->stepped_aside, 1);
	figures_up(&figures->egress.connection, 1000);
	FIGURES_SET(figures->egress.awaiting, 4);
	figures_add(&figures->egress.published, 9);
	FIGURES_SET(figures->now.ready, true);
	FIGURES_SET(figures->now.jobs, 5);
	FIGURES_SET(figures->log_dropped, 2);
}

static void test_counters_outlive_a_host(void **state)
{
	(void)state;
	struct figures *figures = fixture.figures;
	for (unsigned hosts = 1; hosts <= 2; hosts++) {
		const pid_t child = fork();
		if (child == 0) {
			struct board *same;
			if (board_map(fixture.fd, &same) != 0)
				_exit(1);
			tell(&same->figures);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_true(FIGURES_GET(figures->now.ready));
		board_clear_host(fixture.board);

		struct figures_run_sum sum;
		struct figures_times hold;
		const struct figures_lane *lane = &figures->lanes[0];
		assert_int_equal(figures_lane_count(figures), 1);
		figures_read_runs(figures, 0, &sum);
		figures_read_times(&lane->hold, &hold);
		assert_int_equal(sum.ends[0], 3 * hosts);
		assert_int_equal(figures->handlers[0].commands[0], 3 * hosts);
		assert_int_equal(lane->connection.opened, hosts);
		assert_int_equal(hold.count, hosts);
		assert_int_equal(lane->stepped_aside, hosts);
		assert_int_equal(figures->egress.published, 9 * hosts);
		assert_int_equal(figures->log_dropped, 2);

		assert_false(figures->handlers[0].here);
		assert_false(lane->here);
		assert_int_equal(lane->connection.state, 0);
		assert_int_equal(lane->connection.since_ms, 0);
		assert_int_equal(lane->held, 0);
		assert_int_equal(figures->egress.awaiting, 0);
		assert_false(figures->now.ready);
		assert_int_equal(figures->now.jobs, 0);
	}
}

static void test_connections(void **state)
{
	(void)state;
	struct figures_connection *connection = &fixture.figures->egress.connection;
	figures_up(connection, 1000);
	figures_down(connection, true, true);
	assert_true(connection->standby);
	assert_int_equal(connection->since_ms, 0);
	figures_down(connection, false, false);
	assert_int_equal(connection->lost, 1);
	figures_down(connection, false, true);
	figures_up(connection, 2000);
	assert_false(connection->standby);
	assert_int_equal(connection->since_ms, 2000);
	assert_int_equal(connection->opened, 2);
	assert_int_equal(connection->lost, 1);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(figures_connection_state_name(3), "up");
	assert_string_equal(figures_connection_state_name(FIGURES_CONNECTION_STATES), "?");
}

/* The name of what is refused, until a host has died. */
static void test_collections(void **state)
{
	(void)state;
	struct figures *figures = fixture.figures;
	char longest[2 * FIGURES_NAME_SIZE];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(figures_refused_collection(figures));
	figures_need_collection(figures, 0, "hosts");
	figures_need_collection(figures, FIGURES_COLLECTIONS - 1, longest);
	figures_need_collection(figures, FIGURES_COLLECTIONS, "beyond");
	assert_null(figures_refused_collection(figures));
	figures_refuse_collection(figures, 0);
	assert_string_equal(figures_refused_collection(figures), "hosts");
	figures_refuse_collection(figures, FIGURES_COLLECTIONS - 1);
	assert_int_equal(strlen(figures_refused_collection(figures)), FIGURES_NAME_SIZE - 1);
	figures_refuse_collection(figures, FIGURES_COLLECTIONS);
	assert_null(figures_refused_collection(figures));
	/* What a host that is dying may have written there. */
	FIGURES_SET(figures->store.refused, UINT32_MAX);
	assert_null(figures_refused_collection(figures));
	figures_refuse_collection(figures, 0);
	memset(figures->store.needed[0], 'y', FIGURES_NAME_SIZE);
	assert_string_equal(figures_refused_collection(figures), FIGURES_OTHERS);
	figures_clear_host(figures);
	assert_null(figures_refused_collection(figures));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bucket_of, begin, end),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test_setup_teardown(test_threads_add_up, begin, end),
		cmocka_unit_test_setup_teardown(test_rows_that_no_thread_had, begin, end),
		cmocka_unit_test_setup_teardown(test_places, begin, end),
		cmocka_unit_test_setup_teardown(test_more_than_places, begin, end),
		cmocka_unit_test_setup_teardown(test_counters_outlive_a_host, begin, end),
		cmocka_unit_test_setup_teardown(test_connections, begin, end),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_collections, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
