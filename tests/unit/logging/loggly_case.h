/*
 * loggly_case.h - what a case of shipping stands on: a server, a folder, and a thread that can be held up (--wrap=curl_multi_poll).
 *
 * Include it in one source file.
 */
#ifndef LOGGLY_CASE_H
#define LOGGLY_CASE_H

#include "loggly.h"

#include "log.h"
#include "loggly_parts.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <sys/stat.h>
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
static inline void hold_thread(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.hold = true;
	while (!gate.held)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static inline void let_thread_go(void)
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
	for (const char *at = text; (at = strstr(at, pattern)); at++)
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
	for (char *at = p.taken.lines, *end; at && (end = strchr(at, '\n')); at = end + 1) {
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

static inline void wait_shipped(struct loggly *l, uint64_t count)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, each_setup, each_teardown)

#endif
