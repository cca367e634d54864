/*
 * Tests of loggly.c: every line that goes in is shipped, in the spool, set aside or counted as lost, whatever
 * the server, the disk and the end of the process do; and a call never waits for any of them.
 */
#include "loggly.h"

#include "log.h"
#include "log_spool.h"
#include "loggly_parts.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLOSE_MS = 5000, SPOOL_MAX = 64 << 20, CHILD_LINES = 4000 };

/* ---- A thread that can be held up ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold, held;
	bool restless; /* the thread comes by often, without being woken */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

CURLMcode __real_curl_multi_poll(CURLM *, struct curl_waitfd *, unsigned, int, int *);
CURLMcode __wrap_curl_multi_poll(CURLM *, struct curl_waitfd *, unsigned, int, int *);

CURLMcode __wrap_curl_multi_poll(
	CURLM *multi, struct curl_waitfd *more, unsigned count, int timeout_ms, int *ready)
{
	pthread_mutex_lock(&gate.lock);
	gate.held = gate.hold;
	pthread_cond_broadcast(&gate.changed);
	while (gate.hold)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.held = false;
	if (gate.restless && timeout_ms > 10)
		timeout_ms = 10;
	pthread_mutex_unlock(&gate.lock);
	return __real_curl_multi_poll(multi, more, count, timeout_ms, ready);
}

/* The thread that ships stands still from now on. */
static void hold_thread(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.hold = true;
	while (!gate.held)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void let_thread_go(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.hold = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* ---- What a case stands on ---- */

static struct parts {
	struct taken taken;
	struct bulk_server *server;
	char url[64], spool[128], log_path[128];
	int log_fd;
	unsigned put; /* lines so far: each has its number */
} p;

static int each_setup(void **state)
{
	(void)state;
	static unsigned number;
	gate.restless = false;
	p = (struct parts){.taken = {.lock = PTHREAD_MUTEX_INITIALIZER}};
	p.server = server_start(0, "server.crt", false, &p.taken);
	snprintf(p.url, sizeof(p.url), "https://127.0.0.1:%u", bulk_server_port(p.server));
	snprintf(p.spool, sizeof(p.spool), "%s/spool-%u", parts_folder, ++number);
	snprintf(p.log_path, sizeof(p.log_path), "%s/log-%u", parts_folder, number);
	p.log_fd = open(p.log_path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	return log_open(
		&(struct log_options){.fd = p.log_fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_DEBUG});
}

/* What the program says of itself so far; the caller frees it. */
static char *read_log(void)
{
	struct stat status;
	assert_return_code(fstat(p.log_fd, &status), errno);
	char *text = calloc(1, (size_t)status.st_size + 1);
	assert_non_null(text);
	assert_true(pread(p.log_fd, text, (size_t)status.st_size, 0) == status.st_size);
	return text;
}

static unsigned count_log(const char *event)
{
	char pattern[64], *text = read_log();
	unsigned count = 0;
	snprintf(pattern, sizeof(pattern), "\"event\":\"%s\"", event);
	for (const char *at = text; (at = strstr(at, pattern)) != NULL; at++)
		count++;
	free(text);
	return count;
}

static void wait_log(const char *event, unsigned count)
{
	while (count_log(event) < count)
		sched_yield();
}

static int each_teardown(void **state)
{
	(void)state;
	log_close(10000);
	char *text = read_log();
	const bool leaked = strstr(text, PARTS_TOKEN);
	if (leaked)
		print_error("the token stands in the log:\n%s", text);
	free(text);
	close(p.log_fd);
	bulk_server_stop(p.server);
	free(p.taken.lines);
	return leaked ? -1 : 0;
}

/* Everything that a second or minutes would be spent on is quick. */
static struct loggly_options options(void)
{
	return (struct loggly_options){.url = p.url,
		.token = PARTS_TOKEN,
		.tags = "test",
		.ca_file = parts_path("ca.crt"),
		.spool_folder = p.spool,
		.spool_max = SPOOL_MAX,
		.host_name = "host",
		.batch_ms = 10,
		.connect_ms = 10000,
		.total_ms = 20000,
		.retry_first_ms = 5,
		.retry_max_ms = 20,
		.pause_ms = 50,
		.disk_ms = 20,
		.tell_ms = 20};
}

static struct loggly *open_loggly(const struct loggly_options *with)
{
	struct loggly *l = NULL;
	assert_int_equal(loggly_open(with, &l), 0);
	return l;
}

static void put_lines(struct loggly *l, unsigned count)
{
	char line[128];
	for (unsigned i = 0; i < count; i++) {
		const int size =
			snprintf(line, sizeof(line), "{\"event\":\"line\",\"number\":%u}\n", p.put++);
		loggly_put(l, line, (size_t)size);
	}
}

static void answer(const struct bulk_answer *with)
{
	bulk_server_answer(p.server, with);
}

static uint64_t lost(const struct loggly_figures *f)
{
	return f->lost_memory + f->lost_spool + f->lost_disk + f->lost_killed;
}

static void assert_adds_up(const struct loggly_figures *f)
{
	assert_int_equal(f->emitted, f->shipped + f->spooled + f->aside + lost(f));
	assert_int_equal(f->in_memory, 0);
}

/* What the server has: how many different numbers. Checks that every event is whole, and that those which
 * came twice have one id. */
static unsigned count_taken(bool twice_allowed)
{
	char(*ids)[40] = calloc(p.put + 1, sizeof(*ids));
	unsigned count = 0;
	assert_non_null(ids);
	pthread_mutex_lock(&p.taken.lock);
	for (char *at = p.taken.lines, *end; at && (end = strchr(at, '\n')) != NULL; at = end + 1) {
		json_t *json = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		assert_string_equal(json_string_value(json_object_get(json, "host")), "host");
		const char *id = json_string_value(json_object_get(json, "event_id"));
		const json_t *number = json_object_get(json, "number");
		assert_non_null(id);
		if (number) {
			char *known = ids[json_integer_value(number)];
			assert_true(json_integer_value(number) < p.put);
			if (known[0] == '\0')
				count++;
			else
				assert_true(twice_allowed && strcmp(known, id) == 0);
			snprintf(known, sizeof(ids[0]), "%s", id);
		}
		json_decref(json);
	}
	pthread_mutex_unlock(&p.taken.lock);
	free(ids);
	return count;
}

static void wait_shipped(struct loggly *l, uint64_t count)
{
	struct loggly_figures f;
	do {
		sched_yield();
		loggly_read(l, &f);
	} while (f.shipped < count);
}

static void wait_spooled(struct loggly *l, uint64_t count)
{
	struct loggly_figures f;
	do {
		sched_yield();
		loggly_read(l, &f);
	} while (f.spooled < count);
}

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

/* ---- A call never waits: shown by what stands still meanwhile ---- */

static void test_never_blocked_by_a_dead_thread(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.memory = 100000;
	gate.restless = true;
	struct loggly *l = open_loggly(&with);
	hold_thread();
	/* Far more than there is room for; the thread takes nothing, and every call returns. */
	put_lines(l, 20000);
	struct loggly_figures f;
	loggly_read(l, &f);
	assert_int_equal(f.emitted, 20000);
	assert_in_range(f.lost_memory, 15000, 20000);
	assert_int_equal(f.in_memory, 20000 - f.lost_memory);
	assert_int_equal(f.shipped, 0);
	let_thread_go();
	/* What was lost is told. */
	wait_log("loggly_lost", 1);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, f.emitted - f.lost_memory);
	assert_adds_up(&f);
	char *log = read_log(), told[64];
	snprintf(told, sizeof(told), "\"events\":%" PRIu64 ",", f.lost_memory);
	assert_non_null(strstr(log, told));
	free(log);
}

static void test_never_blocked_by_a_silent_server(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.memory = 100000;
	with.batch_size = 20000;
	with.spool_folder = NULL;
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	answer(&(struct bulk_answer){.manner = BULK_SILENT});
	put_lines(l, 1);
	assert_true(bulk_server_wait(p.server, 1, PARTS_TIMEOUT_MS));
	do {
		put_lines(l, 1000);
		loggly_read(l, &f);
	} while (f.lost_memory < 5000);
	assert_int_equal(f.shipped, 0);
	assert_true(f.in_memory > 100);
	loggly_close(l, 100, &f);
	assert_adds_up(&f);
	assert_int_equal(f.lost_memory + f.lost_disk, f.emitted);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
	assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), errno);
}

/* The server is away and the disk takes nothing more: what fits stays in memory, the rest is counted; when
 * both are back, all that was not lost arrives. */
static void fill(struct loggly *l, unsigned port, void (*make_room)(void))
{
	struct loggly_figures f;
	do {
		put_lines(l, 1000);
		loggly_read(l, &f);
	} while (f.lost_memory < 5000);
	wait_log("log_spool_failed", 1);
	const uint64_t spooled = f.spooled;
	put_lines(l, 1000);
	make_room();
	wait_spooled(l, spooled + 1);
	p.server = server_start(port, "server.crt", false, &p.taken);
	wait_log("loggly_back", 1);
	put_lines(l, 100);
	do {
		sched_yield();
		loggly_read(l, &f);
	} while (f.in_memory > 0 || f.spooled > 0);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, f.emitted - f.lost_memory);
	assert_int_equal(f.lost_disk + f.lost_spool + f.lost_killed + f.aside, 0);
	assert_adds_up(&f);
	assert_int_equal(count_taken(true), f.shipped);
}

static void no_limit(void)
{
	limit_files(0);
}

static void test_never_blocked_by_a_full_disk(void **state)
{
	(void)state;
	const unsigned port = bulk_server_port(p.server);
	bulk_server_stop(p.server);
	signal(SIGXFSZ, SIG_IGN);
	struct loggly_options with = options();
	with.memory = 100000;
	struct loggly *l = open_loggly(&with);
	put_lines(l, 1);
	wait_log("loggly_away", 1);
	limit_files(8192);
	fill(l, port, no_limit);
}

static char mounted[100];
static bool may_mount; /* where nobody else sees it */

static void empty_disk(void)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/ballast", mounted);
	assert_return_code(unlink(path), errno);
}

static void test_never_blocked_by_a_full_file_system(void **state)
{
	(void)state;
	const unsigned port = bulk_server_port(p.server);
	snprintf(mounted, sizeof(mounted), "%s/disk", parts_folder);
	if (!may_mount || mkdir(mounted, 0700) != 0 ||
		mount("none", mounted, "tmpfs", 0, "size=4m,mode=0700") != 0) {
		print_message("skipped: nothing can be mounted here (%s)\n", strerror(errno));
		skip();
	}
	snprintf(p.spool, sizeof(p.spool), "%s/spool", mounted);
	bulk_server_stop(p.server);
	struct loggly_options with = options();
	with.memory = 100000;
	struct loggly *l = open_loggly(&with);
	put_lines(l, 1);
	wait_spooled(l, 1);
	char path[200];
	static const char block[4096];
	snprintf(path, sizeof(path), "%s/ballast", mounted);
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
	fill(l, port, empty_disk);
	assert_return_code(umount2(mounted, MNT_DETACH), errno);
}

/* ---- The spool's lock, its limit ---- */

static void test_a_spool_that_is_in_use(void **state)
{
	(void)state;
	struct log_spool *other = NULL;
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = p.spool, .limit = SPOOL_MAX, .segment_size = 1000},
				 &other),
		0);
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	wait_log("log_spool_failed", 1);
	answer(&(struct bulk_answer){.status = 503, .times = 3});
	put_lines(l, 100);
	wait_shipped(l, 100);
	/* Once the other lets go, it is used. */
	log_spool_close(other);
	answer(&(struct bulk_answer){.status = 503, .header = "Retry-After: 3600"});
	put_lines(l, 100);
	wait_spooled(l, 100);
	struct loggly_figures f;
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, 100);
	assert_int_equal(f.spooled, 100);
	assert_adds_up(&f);
	assert_int_equal(count_log("log_spool_failed"), 1);
}

static void test_a_full_spool_drops_its_oldest(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.spool_max = 200000;
	with.batch_size = 10000;
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f = {.emitted = 0};
	answer(&(struct bulk_answer){.status = 503, .header = "Retry-After: 3600"});
	put_lines(l, 1);
	wait_log("loggly_away", 1);
	do {
		put_lines(l, f.in_memory < 1000 ? 100 : 0);
		sched_yield();
		loggly_read(l, &f);
	} while (f.lost_spool < 3000);
	wait_log("loggly_lost", 1);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	assert_true(f.spooled > 500);
	/* The next run ships the newest. */
	l = open_loggly(&with);
	const uint64_t left = f.spooled;
	wait_shipped(l, left);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	assert_int_equal(count_taken(false), left);
	char last[64];
	snprintf(last, sizeof(last), "\"number\":%u}\n", p.put - 1);
	assert_non_null(strstr(p.taken.lines, last));
}

/* ---- Killed ---- */

/* The program again, as what is killed: logs numbers until then. */
static int child(char **values)
{
	const unsigned first = (unsigned)strtoul(values[4], NULL, 10);
	_Atomic unsigned *done = MAP_FAILED;
	const int fd = open(values[5], O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (done == MAP_FAILED)
		return 1;
	snprintf(p.url, sizeof(p.url), "%s", values[2]);
	snprintf(p.spool, sizeof(p.spool), "%s", values[3]);
	snprintf(parts_folder, sizeof(parts_folder), "%s", values[6]);
	struct loggly_options with = options();
	with.batch_size = 5000;
	struct loggly *l = open_loggly(&with);
	for (p.put = first;;) {
		struct loggly_figures f;
		loggly_read(l, &f);
		if (f.in_memory > 1000 || p.put - first > CHILD_LINES)
			sched_yield();
		else
			put_lines(l, 1);
		*done = p.put;
	}
}

static pid_t start_child(const char *done_path, unsigned first)
{
	char number[16], mode[] = "child";
	snprintf(number, sizeof(number), "%u", first);
	char *const values[] = {program_invocation_name, mode, p.url, p.spool, number,
		(char *)(uintptr_t)done_path, parts_folder, NULL};
	pid_t pid;
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, values, environ), 0);
	return pid;
}

/* Rounds of being killed while the server takes, fails and breaks off. After each the account knows of every
 * line that was logged; and no line is gone that it does not know of. */
static void test_killed(void **state)
{
	(void)state;
	enum { ROUNDS = 12 };
	char done_path[160];
	snprintf(done_path, sizeof(done_path), "%s-done", p.spool);
	const int fd = open(done_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_return_code(ftruncate(fd, sizeof(unsigned)), errno);
	_Atomic unsigned *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(done != MAP_FAILED);
	close(fd);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct bulk_counts counts;
		bulk_server_counts(p.server, &counts);
		answer(&(struct bulk_answer){.status = 503, .times = 1 + round % 3});
		answer(&(struct bulk_answer){.manner = round % 2 ? BULK_CUTS_ANSWER : BULK_CUTS_REQUEST});
		const pid_t pid = start_child(done_path, *done);
		assert_true(bulk_server_wait(p.server, counts.requests + 1 + 2 * round, PARTS_TIMEOUT_MS));
		kill(pid, SIGKILL);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		/* The one that it was at may have been counted. */
		p.put = *done + 1;
		struct log_spool *spool = NULL;
		assert_int_equal(log_spool_open(
					 &(struct log_spool_options){
						 .folder = p.spool, .limit = SPOOL_MAX, .segment_size = 5000},
					 &spool),
			0);
		const struct log_account *a = log_spool_account(spool);
		assert_int_equal(a->emitted, a->shipped + a->spooled + a->aside + a->lost_memory +
						     a->lost_spool + a->lost_disk + a->lost_killed);
		assert_in_range(a->emitted, *done, *done + round + 1);
		log_spool_close(spool);
	}
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	do {
		sched_yield();
		loggly_read(l, &f);
		/* The account is not there before the spool has been read. */
	} while (f.emitted < *done || f.spooled > 0 || f.in_memory > 0);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	const unsigned arrived = count_taken(true);
	print_message("%u put, %u arrived, %" PRIu64 " shipped, %" PRIu64 " lost in memory, %" PRIu64
		      " in kills\n",
		*done, arrived, f.shipped, f.lost_memory, f.lost_killed);
	/* A request that was taken and whose answer no one read any more is counted as lost, and arrived. */
	assert_true(arrived >= f.shipped);
	assert_true(arrived + lost(&f) >= *done);
	munmap(done, sizeof(*done));
	unlink(done_path);
}

static void test_pauses(void **state)
{
	(void)state;
	static const struct {
		unsigned failures, limit_ms;
	} cases[] = {{1, 1000}, {2, 2000}, {3, 4000}, {9, 256000}, {10, 300000}, {1000, 300000}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, cases[i].limit_ms),
			cases[i].limit_ms);
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, cases[i].limit_ms + 1), 0);
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, 17), 17);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, each_setup, each_teardown)

int main(int count, char **values)
{
	if (count == 7 && strcmp(values[1], "child") == 0)
		return child(values);
	may_mount = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
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
		TEST(test_never_blocked_by_a_dead_thread),
		TEST(test_never_blocked_by_a_silent_server),
		TEST(test_never_blocked_by_a_full_disk),
		TEST(test_never_blocked_by_a_full_file_system),
		TEST(test_a_spool_that_is_in_use),
		TEST(test_a_full_spool_drops_its_oldest),
		TEST(test_killed),
		cmocka_unit_test(test_pauses),
	};
	return cmocka_run_group_tests_name("loggly", tests, parts_setup, parts_teardown);
}
