/*
 * test_ships_log.c - what is logged arrives at Loggly, for which cashew-loggly stands in: also the last words
 * of a host that was killed, what is said when stopping, and, once it is back, what was logged while it was
 * away.
 */
#include "harness_private.h"
#include "log_follow.h"
#include "port.h"
#include <dirent.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Would be seen wherever it stands. */
#define TOKEN "0123-canary-4567"

struct loggly_server {
	struct harness *harness;
	struct harness_process process;
	const char *events_path, *output, *folder;
	int port;
	struct log_follow events;
};

/* ---- The server ---- */

static struct loggly_server *server_new(struct harness *h)
{
	struct loggly_server *server = harness_alloc(h, sizeof(*server));
	server->harness = h;
	server->events_path = harness_path(h, "events");
	server->output = harness_path(h, "loggly.log");
	server->folder = dirname(harness_format(h, "%s", broker_ca_file(harness_broker(h))));
	server->port = port_reserve();
	server->process.name = "cashew-loggly";
	assert_true(server->port > 0);
	harness_watch_folder(h, harness_folder(h));
	log_follow_open(&server->events, server->events_path);
	harness_add_process(h, &server->process);
	return server;
}

static bool server_ready(void *context)
{
	return access(harness_path(context, "loggly.env"), F_OK) == 0;
}

static void server_start(struct loggly_server *server)
{
	struct harness *h = server->harness;
	const char *const argv[] = {BINARY_DIR "/cashew-loggly", "--certificate",
		harness_format(h, "%s/server.crt", server->folder), "--key",
		harness_format(h, "%s/server.key", server->folder), "--port",
		harness_format(h, "%d", server->port), "--events", server->events_path, "--ready",
		harness_path(h, "loggly.env"), NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = server->output,
		.death_signal = SIGKILL};
	(void)unlink(harness_path(h, "loggly.env"));
	assert_int_equal(process_start(&server->process.process, &options), 0);
	harness_wait(h, server_ready, h, "cashew-loggly to be ready");
}

static bool server_gone(void *context)
{
	struct loggly_server *server = context;
	return process_reap(&server->process.process, 0);
}

static void server_stop(struct loggly_server *server)
{
	server->process.process.awaited = true;
	process_signal(&server->process.process, SIGTERM);
	harness_wait(server->harness, server_gone, server, "cashew-loggly to end");
	assert_int_equal(process_exit_code(&server->process.process), 0);
}

struct event_wait {
	struct loggly_server *server;
	const char *event;
	va_list conditions;
	json_t *found;
};

static bool event_came(void *context)
{
	struct event_wait *wait = context;
	wait->found = log_follow_take(&wait->server->events, wait->event, wait->conditions);
	return wait->found;
}

/* As host_expect_log(): what the server got. */
__attribute__((sentinel)) static json_t *expect_event(struct loggly_server *server, const char *event, ...)
{
	struct event_wait wait = {.server = server, .event = event};
	va_start(wait.conditions, event);
	harness_wait(server->harness, event_came, &wait, "\"%s\" at Loggly", event);
	va_end(wait.conditions);
	return wait.found;
}

__attribute__((sentinel)) static size_t count_events(struct loggly_server *server, const char *event, ...)
{
	va_list conditions;
	va_start(conditions, event);
	const size_t count = log_follow_count(&server->events, event, conditions);
	va_end(conditions);
	return count;
}

/* Every event says when, where, and which it is; none came twice. */
static void check_events(struct loggly_server *server)
{
	log_follow_read(&server->events);
	json_t *ids = json_object();
	char host_name[256] = "";
	gethostname(host_name, sizeof(host_name) - 1);
	for (size_t i = 0; i < server->events.count; i++) {
		const json_t *event = server->events.records[i].json;
		const char *id = json_string_value(json_object_get(event, "event_id"));
		assert_non_null(id);
		assert_null(json_object_get(ids, id));
		json_object_set_new(ids, id, json_true());
		assert_string_equal(json_string_value(json_object_get(event, "host")), host_name);
		assert_int_equal(json_string_length(json_object_get(event, "timestamp")), 24);
		assert_true(json_is_string(json_object_get(event, "level")));
		assert_true(json_is_string(json_object_get(event, "event")));
	}
	json_decref(ids);
	log_follow_close(&server->events);
}

/* ---- The host ---- */

static struct host *new_host(struct harness *h, struct loggly_server *server)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "LOGGLY_TOKEN", TOKEN);
	host_set(host, "LOGGLY_SUBDOMAIN", "apples");
	host_set(host, "LOGGLY_URL", harness_format(h, "https://127.0.0.1:%d", server->port));
	host_set(host, "LOGGLY_CA_FILE", harness_format(h, "%s/ca.crt", server->folder));
	return host;
}

static void start(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
}

static struct device *ping(struct harness *h, const char *payload)
{
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_publish(phone, "ping", payload);
	device_expect_json(phone, "pong", payload);
	return phone;
}

static size_t count_spool_files(struct host *host)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/log-spool", host_folder(host));
	DIR *folder = opendir(path);
	size_t count = 0;
	for (const struct dirent *entry; folder && (entry = readdir(folder));)
		count += strstr(entry->d_name, ".spool") != NULL;
	if (folder)
		closedir(folder);
	return count;
}

/* ---- Cases ---- */

HARNESS_CASE(events_arrive_and_the_rest_when_stopping)
{
	struct loggly_server *server = server_new(h);
	server_start(server);
	struct host *host = new_host(h, server);
	start(host);
	host_expect_log(host, "loggly_on", "logs", "https://apples.loggly.com/search");
	(void)ping(h, "\"secret pear\"");
	const json_t *done =
		expect_event(server, "command_done", "user", "68946", "topic", "68946/ping", NULL);
	assert_non_null(json_object_get(done, "handler"));
	assert_non_null(json_object_get(done, "attempt"));
	(void)expect_event(server, "ready", NULL);
	host_stop(host);
	/* The last thing that is said before the way to Loggly is closed. */
	(void)expect_event(server, "stopped", "done", "1", NULL);
	const json_t *account = host_expect_log(host, "loggly_closed", "spooled", "0", "lost", "0");
	log_follow_read(&server->events);
	assert_int_equal(json_integer_value(json_object_get(account, "shipped")), server->events.count);
	assert_false(host_wrote(host, TOKEN));
	assert_false(host_wrote(host, "secret pear"));
	check_events(server);
	server_stop(server);
	assert_int_equal(count_spool_files(host), 0);
}

HARNESS_CASE(last_words_of_a_killed_host)
{
	struct loggly_server *server = server_new(h);
	server_start(server);
	struct host *host = new_host(h, server);
	start(host);
	host_may_die(host);
	/* What it says right before it dies: the answer is there as soon as that is said. */
	(void)ping(h, "1");
	host_signal_child(host, SIGKILL);
	(void)expect_event(server, "command_done", "topic", "68946/ping", NULL);
	(void)expect_event(server, "host_died", "how", "SIGKILL", NULL);
	(void)expect_event(server, "ready", NULL);
	(void)expect_event(server, "ready", NULL);
	host_stop(host);
	check_events(server);
	server_stop(server);
}

HARNESS_CASE(what_was_logged_while_loggly_was_away)
{
	struct loggly_server *server = server_new(h);
	struct host *host = new_host(h, server);
	start(host);
	host_expect_log(host, "loggly_away");
	(void)ping(h, "1");
	host_stop(host);
	const json_t *account = host_expect_log(host, "loggly_closed", "shipped", "0", "lost", "0");
	assert_int_equal(json_integer_value(json_object_get(account, "spooled")),
		json_integer_value(json_object_get(account, "emitted")));
	assert_true(count_spool_files(host) > 0);
	server_start(server);
	start(host);
	(void)expect_event(server, "stopped", "done", "1", NULL);
	(void)expect_event(server, "ready", NULL);
	(void)expect_event(server, "ready", NULL);
	host_stop(host);
	host_expect_log(host, "loggly_closed", "spooled", "0", "lost", "0");
	assert_int_equal(count_events(server, "stopped", NULL), 2);
	check_events(server);
	server_stop(server);
}

/* The supervisor is killed while Loggly is away: what it had spooled arrives from the next one. */
HARNESS_CASE(a_killed_supervisor)
{
	struct loggly_server *server = server_new(h);
	struct host *host = new_host(h, server);
	start(host);
	host_expect_log(host, "loggly_away");
	/* It has come into the spool once a later request has failed as well, or a second has gone by. */
	harness_watch(h, 2500);
	host_kill(host);
	assert_true(count_spool_files(host) > 0);
	server_start(server);
	start(host);
	(void)expect_event(server, "host_started", "number", "1", NULL);
	(void)expect_event(server, "ready", NULL);
	(void)expect_event(server, "ready", NULL);
	host_stop(host);
	const json_t *account = host_expect_log(host, "loggly_closed", "spooled", "0");
	assert_int_equal(json_integer_value(json_object_get(account, "emitted")),
		json_integer_value(json_object_get(account, "shipped")) +
			json_integer_value(json_object_get(account, "lost")));
	check_events(server);
	server_stop(server);
}

HARNESS_CASE(payloads_only_where_they_are_wanted)
{
	struct loggly_server *server = server_new(h);
	server_start(server);
	struct host *host = new_host(h, server);
	host_set(host, "LOG_PAYLOADS", "on");
	start(host);
	(void)ping(h, "\"a pear\"");
	(void)expect_event(server, "command_done", "payload", "\"a pear\"", NULL);
	host_stop(host);
	check_events(server);
	server_stop(server);
}

HARNESS_CASE(without_a_token)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	start(host);
	host_stop(host);
	assert_int_equal(host_count_log(host, "loggly_off"), 1);
	assert_int_equal(access(harness_format(h, "%s/log-spool", host_folder(host)), F_OK), -1);
}

/* SIGHUP: the new settings hold for shipping, too, and nothing is lost in between. */
HARNESS_CASE(new_settings)
{
	struct loggly_server *server = server_new(h);
	server_start(server);
	struct host *host = new_host(h, server);
	host_set(host, "LOGGLY_TOKEN", "");
	start(host);
	host_expect_log(host, "loggly_off");
	host_set(host, "LOGGLY_TOKEN", TOKEN);
	host_write_env(host);
	kill(host_pid(host), SIGHUP);
	host_expect_log(host, "loggly_on");
	(void)expect_event(server, "reloaded", NULL);
	host_set(host, "LOGGLY_TAGS", "other");
	host_write_env(host);
	kill(host_pid(host), SIGHUP);
	host_expect_log(host, "loggly_on", "tags", "other");
	host_expect_log(host, "loggly_closed", "lost", "0");
	(void)expect_event(server, "reloaded", NULL);
	host_stop(host);
	(void)expect_event(server, "stopped", NULL);
	check_events(server);
	server_stop(server);
}

HARNESS_MAIN(HARNESS_TEST(events_arrive_and_the_rest_when_stopping),
	HARNESS_TEST(last_words_of_a_killed_host), HARNESS_TEST(what_was_logged_while_loggly_was_away),
	HARNESS_TEST(a_killed_supervisor), HARNESS_TEST(payloads_only_where_they_are_wanted),
	HARNESS_TEST(without_a_token), HARNESS_TEST(new_settings))
