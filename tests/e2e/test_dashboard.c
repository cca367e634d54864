/*
 * test_dashboard.c - what the dashboard and the alerts of examples/containers name is what a running cashewd tells: each metric, each label and each
 * value of a label.
 *
 * Programs of several kinds run one after the other, since a host without schedules tells nothing of schedules. tests/containers/metrics then looks
 * for all names in what they told together.
 */
#include "harness.h"
#include "scrape.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct told {
	struct scrape *scrape;
	const char *text;
};

static bool tells(void *context)
{
	const struct told *told = context;
	scrape_metrics(told->scrape);
	return strstr(told->scrape->body, told->text);
}

static void append_metrics(
	FILE *file, struct harness *h, const char *program, const char *handlers, const char *text)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, program);
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_set(host, "HANDLERS", handlers);
	host_set(host, "TICK_FOLDER", harness_folder(h));
	host_start(host);
	host_wait_ready(host);
	struct told told = {.scrape = scrape_new(h, host), .text = text};
	harness_wait(h, tells, &told, "the metrics to have %s", text);
	assert_int_equal(fputs(told.scrape->body, file) >= 0, 1);
	host_stop(host);
}

HARNESS_CASE(all_that_it_names_is_there)
{
	const char *path = harness_path(h, "metrics");
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	append_metrics(file, h, CASHEWD_PATH, "", "cashewd_ready 1\n");
	append_metrics(file, h, CASHEWD_SCHEDULES_PATH, "test_daily", "\ncashewd_schedule_overdue_seconds{");
	assert_int_equal(fclose(file), 0);
	const char *command = harness_format(h, "'%s/tests/containers/metrics' '%s'", SOURCE_DIR, path);
	const int status = system(command);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		harness_fail("%s: status %d", command, status);
	/* And it would say something. */
	const char *nothing =
		harness_format(h, "'%s/tests/containers/metrics' /dev/null >/dev/null", SOURCE_DIR);
	assert_int_not_equal(system(nothing), 0);
}

HARNESS_MAIN(HARNESS_TEST(all_that_it_names_is_there))
