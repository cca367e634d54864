/*
 * Tests of loggly.c: every line that goes in is shipped, in the spool, set aside or counted as lost, whatever the server and the end of the process do.
 */
#include "loggly.h"

#include "loggly_case.h"
#include "loggly_parts.h"

/* ---- Cases ---- */

static void test_ships(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.batch_size = 10000;
	struct loggly *l = open_loggly(&with);
	put_lines(l, 1000);
	loggly_put(l, "{\"n\":1}\n\n{\"n\":2}", 16);
	wait_shipped(l, 1002);
	put_lines(l, 10);
	struct loggly_figures f;
	struct bulk_counts counts;
	loggly_close(l, CLOSE_MS, &f);
	bulk_server_counts(p.server, &counts);
	assert_int_equal(f.shipped, 1012);
	assert_adds_up(&f);
	assert_int_equal(count_taken(false), 1010);
	assert_int_equal(counts.connections, 1);
	assert_in_range(counts.largest, 1000, 10000);
	assert_int_equal(counts.taken, counts.requests);
	loggly_close(NULL, 0, NULL);
}

/* Lines collect for a second unless they fill a request. */
static void test_batches_by_time_and_size(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.batch_ms = 1000 * 1000;
	with.batch_size = 10000;
	with.memory = 16000;
	gate.restless = true;
	struct loggly *l = open_loggly(&with);
	struct bulk_counts counts;
	put_lines(l, 20);
	/* Not due, not full: nothing leaves, whatever else wakes the thread. */
	hold_thread();
	let_thread_go();
	hold_thread();
	let_thread_go();
	bulk_server_counts(p.server, &counts);
	assert_int_equal(counts.requests, 0);
	put_lines(l, 150);
	assert_true(bulk_server_wait(p.server, 1, PARTS_TIMEOUT_MS));
	struct loggly_figures f;
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, p.put);
	assert_adds_up(&f);
}

static void test_failures_are_retried(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct bulk_answer answer;
		unsigned total_ms;
	} cases[] = {
		{"408", {.status = 408, .times = 3}},
		{"429", {.status = 429, .times = 3}},
		{"429 with Retry-After", {.status = 429, .header = "Retry-After: 1"}},
		{"500", {.status = 500, .times = 8}},
		{"503", {.status = 503, .times = 3}},
		{"silent", {.manner = BULK_SILENT}, 300},
		{"slow", {.delay_ms = 600}, 300},
		{"dead before the answer", {.manner = BULK_CUTS_REQUEST, .times = 3}},
		{"dead in the status", {.manner = BULK_CUTS_STATUS, .times = 3}},
		{"dead in the answer", {.manner = BULK_CUTS_ANSWER, .times = 3}},
	};
	uint64_t emitted = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		struct loggly_options with = options();
		if (cases[i].total_ms != 0)
			with.total_ms = cases[i].total_ms;
		struct loggly *l = open_loggly(&with);
		answer(&cases[i].answer);
		put_lines(l, 100);
		emitted += 100;
		wait_log("loggly_away", (unsigned)i + 1);
		put_lines(l, 100);
		emitted += 100;
		wait_shipped(l, emitted);
		wait_log("loggly_back", (unsigned)i + 1);
		struct loggly_figures f;
		loggly_close(l, CLOSE_MS, &f);
		assert_int_equal(f.emitted, emitted);
		assert_int_equal(f.shipped, emitted);
		assert_adds_up(&f);
		assert_int_equal(count_taken(true), p.put);
		/* Said once, however often it was tried. */
		assert_int_equal(count_log("loggly_away"), i + 1);
	}
}

static void test_retry_after_is_kept(void **state)
{
	(void)state;
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	struct bulk_counts counts;
	answer(&(struct bulk_answer){.status = 429, .header = "Retry-After: 3600"});
	put_lines(l, 10);
	wait_log("loggly_away", 1);
	wait_spooled(l, 10);
	struct loggly_figures f;
	/* Nor is it tried before the end. */
	loggly_close(l, CLOSE_MS, &f);
	bulk_server_counts(p.server, &counts);
	assert_int_equal(counts.requests, 1);
	assert_int_equal(f.spooled, 10);
	assert_adds_up(&f);
	char *log = read_log();
	assert_non_null(strstr(log, "\"pause_ms\":3600000"));
	free(log);
}

static void test_too_large(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.batch_ms = 200;
	struct loggly *l = open_loggly(&with);
	struct bulk_counts counts;
	answer(&(struct bulk_answer){.status = 413, .times = 3});
	put_lines(l, 800);
	wait_shipped(l, 800);
	bulk_server_counts(p.server, &counts);
	/* An eighth first, then more and more. */
	assert_in_range(counts.taken, 4, 8);
	assert_int_equal(count_taken(false), 800);
	assert_int_equal(count_log("loggly_set_aside"), 0);
	/* One alone that is too large. */
	answer(&(struct bulk_answer){.status = 413, .times = 1});
	put_lines(l, 1);
	wait_log("loggly_set_aside", 1);
	put_lines(l, 5);
	wait_shipped(l, 805);
	struct loggly_figures f;
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, 805);
	assert_int_equal(f.aside, 1);
	assert_adds_up(&f);
	assert_int_equal(count_taken(false), 805);
}

static void test_bad_batches_are_set_aside(void **state)
{
	(void)state;
	for (unsigned with_spool = 0; with_spool < 2; with_spool++) {
		struct loggly_options with = options();
		if (!with_spool)
			with.spool_folder = NULL;
		struct loggly *l = open_loggly(&with);
		answer(&(struct bulk_answer){.status = 400, .body = "bad JSON from " PARTS_TOKEN});
		put_lines(l, 20);
		wait_log("loggly_set_aside", with_spool + 1);
		put_lines(l, 20);
		struct loggly_figures f;
		loggly_close(l, CLOSE_MS, &f);
		assert_true(with_spool ? f.aside >= 1 : f.lost_disk >= 1);
		assert_int_equal(f.emitted, 40);
		assert_int_equal(f.shipped + f.aside + f.lost_disk, 40);
		assert_adds_up(&f);
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct bulk_answer answers[] = {
		{.status = 401, .times = 3},
		{.status = 403, .times = 3},
		{.status = 307, .header = "Location: /bulk/elsewhere/tag/test/", .times = 3},
	};
	for (unsigned i = 0; i < 3; i++) {
		struct loggly_options with = options();
		struct loggly *l = open_loggly(&with);
		struct loggly_figures before;
		struct bulk_counts counts;
		loggly_read(l, &before);
		answer(&answers[i]);
		put_lines(l, 50);
		wait_log("loggly_refused", i + 1);
		/* It goes on spooling, and tries again after the pause. */
		put_lines(l, 50);
		wait_shipped(l, (i + 1) * 100);
		struct loggly_figures f;
		loggly_close(l, CLOSE_MS, &f);
		assert_int_equal(f.shipped, (i + 1) * 100);
		assert_adds_up(&f);
		assert_int_equal(count_log("loggly_refused"), i + 1);
		bulk_server_counts(p.server, &counts);
		assert_string_equal(counts.path, "/bulk/" PARTS_TOKEN "/tag/test/");
	}
	assert_int_equal(count_taken(false), p.put);
}

static void test_refused_at_the_end(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.pause_ms = 1000 * 1000;
	struct loggly *l = open_loggly(&with);
	answer(&(struct bulk_answer){.status = 403});
	put_lines(l, 50);
	wait_log("loggly_refused", 1);
	put_lines(l, 50);
	wait_spooled(l, 100);
	struct loggly_figures f;
	struct bulk_counts counts;
	loggly_close(l, CLOSE_MS, &f);
	bulk_server_counts(p.server, &counts);
	assert_int_equal(counts.requests, 1);
	assert_int_equal(f.spooled, 100);
	assert_adds_up(&f);
}

static void test_wrong_certificates(void **state)
{
	(void)state;
	static const char *const certificates[] = {"expired.crt", "wrong-name.crt", "other-ca.crt"};
	const unsigned port = bulk_server_port(p.server);
	for (unsigned i = 0; i < 3; i++) {
		bulk_server_stop(p.server);
		p.server = server_start(port, certificates[i], false, &p.taken);
		struct loggly_options with = options();
		struct loggly *l = open_loggly(&with);
		put_lines(l, 10);
		wait_log("loggly_away", i + 1);
		wait_spooled(l, (i + 1) * 10);
		struct loggly_figures f;
		struct bulk_counts counts;
		loggly_close(l, CLOSE_MS, &f);
		bulk_server_counts(p.server, &counts);
		assert_int_equal(counts.requests, 0);
		assert_int_equal(f.spooled, (i + 1) * 10);
		assert_adds_up(&f);
	}
}

static void test_the_next_run_ships_the_rest(void **state)
{
	(void)state;
	const unsigned port = bulk_server_port(p.server);
	bulk_server_stop(p.server);
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	put_lines(l, 5000);
	wait_log("loggly_away", 1);
	put_lines(l, 5000);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.spooled, 10000);
	assert_adds_up(&f);
	p.server = server_start(port, "server.crt", false, &p.taken);
	l = open_loggly(&with);
	put_lines(l, 1);
	wait_shipped(l, 10001);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	assert_int_equal(count_taken(false), 10001);
}

static void test_closing(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.batch_ms = 1000 * 1000;
	/* What waits for its second is sent at once. */
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	put_lines(l, 10);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, 10);
	/* A server that takes its time gets as much as was said, and the spool has the rest. */
	l = open_loggly(&with);
	answer(&(struct bulk_answer){.manner = BULK_SILENT});
	put_lines(l, 10);
	loggly_close(l, 200, &f);
	assert_int_equal(f.shipped, 10);
	assert_int_equal(f.spooled, 10);
	assert_adds_up(&f);
	/* Without a spool it is lost, and counted. */
	with.spool_folder = NULL;
	l = open_loggly(&with);
	answer(&(struct bulk_answer){.manner = BULK_SILENT});
	put_lines(l, 10);
	loggly_close(l, 200, &f);
	assert_int_equal(f.lost_disk, 10);
	assert_adds_up(&f);
}

static void test_a_huge_line(void **state)
{
	(void)state;
	enum { HUGE = 1500 * 1000 };
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	char *line = malloc(HUGE);
	assert_non_null(line);
	memset(line, 'x', HUGE);
	memcpy(line, "{\"message\":\"", 12);
	memcpy(line + HUGE - 3, "\"}\n", 3);
	put_lines(l, 1);
	loggly_put(l, line, HUGE);
	loggly_put(l, line, HUGE - 3); /* torn, and without its end */
	put_lines(l, 1);
	struct loggly_figures f;
	struct bulk_counts counts;
	wait_shipped(l, 2);
	loggly_close(l, CLOSE_MS, &f);
	bulk_server_counts(p.server, &counts);
	assert_in_range(counts.largest, 890000, 1000000);
	assert_adds_up(&f);
	assert_int_equal(f.emitted, 4);
	assert_int_equal(f.shipped + f.lost_memory, 4);
	assert_int_equal(count_taken(false), 2);
	assert_non_null(strstr(p.taken.lines, "\"cut\":true,\"cut_from\":1499999}"));
	free(line);
}

int main(int count, char **values)
{
	if (count == 2)
		cmocka_set_test_filter(values[1]);
	const struct CMUnitTest tests[] = {
		TEST(test_ships),
		TEST(test_batches_by_time_and_size),
		TEST(test_failures_are_retried),
		TEST(test_retry_after_is_kept),
		TEST(test_too_large),
		TEST(test_bad_batches_are_set_aside),
		TEST(test_refused),
		TEST(test_refused_at_the_end),
		TEST(test_wrong_certificates),
		TEST(test_the_next_run_ships_the_rest),
		TEST(test_closing),
		TEST(test_a_huge_line),
	};
	return cmocka_run_group_tests_name("loggly", tests, parts_setup, parts_teardown);
}
