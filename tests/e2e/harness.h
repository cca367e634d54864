/*
 * harness.h - what every end-to-end test stands on: a real broker, a real database, the real program,
 *devices.
 *
 * A test program is tests/e2e/test_NAME.c:
 *
 *	HARNESS_CASE(apples_arrive)
 *	{
 *		harness_host(h);
 *		struct device *phone = device_new(h, "68946");
 *		device_connect(phone);
 *		device_publish(phone, "get_apples", "{}");
 *		device_expect_json(phone, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
 *	}
 *
 *	HARNESS_MAIN(HARNESS_TEST(apples_arrive))
 *
 * Each program has a temporary folder and each case one inside it, for settings, data and logs of its parts.
 *Ports are free ones (port.h), so programs run side by side. What a case starts is ended after it: programs
 *under test by SIGTERM, and they must exit with 0 (this is where a sanitizer's report comes out); all else by
 *SIGKILL. When a case fails, its parts' logs are printed, and its folder is kept and named. Everything dies
 *with the test (PR_SET_PDEATHSIG).
 *
 * One thread does it all. Whatever waits, waits in harness_wait(), which meanwhile serves the devices, the
 *scripted brokers and the logs; a wait ends when what it is for has happened, never after a guessed time.
 *HARNESS_TIMEOUT_MS only keeps a failing test from hanging. A part that ends by itself fails the wait at
 *once. Functions that do not return an error fail the test instead.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

struct harness;

enum { HARNESS_TIMEOUT_MS = 60000 };

/* How much a program may seem to grow without a leak: a sanitizer keeps freed memory for a while. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_SLACK_KIB (400 * 1024)
#else
#define MEMORY_SLACK_KIB (16 * 1024)
#endif

/* The key that tokens are signed with, everywhere. */
/* Of no words: what is like a secret the log does not show. */
#define HARNESS_SECRET "k7Wq-3vXz9_Rb5Nc1Td8Yf2Hj6Lm4Ps0"

/* ---- Cases ---- */

#define HARNESS_CASE(name)                            \
	static void name##_body(struct harness *h);   \
	static void name(void **state)                \
	{                                             \
		harness_run_case(state, name##_body); \
	}                                             \
	static void name##_body(struct harness *h)

#define HARNESS_TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

/* The program's main(). Its argument, if any, names the cases to run: a pattern with * and ?. */
#define HARNESS_MAIN(...)                                                                            \
	int main(int argc, char **argv)                                                              \
	{                                                                                            \
		const struct CMUnitTest tests[] = {__VA_ARGS__};                                     \
		(void)argc;                                                                          \
		harness_program(argv);                                                               \
		return cmocka_run_group_tests_name(                                                  \
			harness_program_name(), tests, harness_group_setup, harness_group_teardown); \
	}

void harness_program(char **argv);
const char *harness_program_name(void);
int harness_group_setup(void **state);
int harness_group_teardown(void **state);
int harness_setup(void **state);
int harness_teardown(void **state);
void harness_run_case(void **state, void (*body)(struct harness *h));

/* ---- Waiting ---- */

/* Monotonic time. */
int64_t harness_now_ms(void);

/*
 * Serves everything until the condition holds, and fails the test after timeout_ms, or when a part has died
 * meanwhile; `what` ends the sentence "waited for". The _at functions here and below are called through the
 * macros, so that a failure names the line.
 */
typedef bool (*harness_condition)(void *context);
#define harness_wait(h, condition, context, ...) \
	harness_wait_at(__FILE__, __LINE__, h, condition, context, HARNESS_TIMEOUT_MS, __VA_ARGS__)
void harness_wait_at(const char *file, int line, struct harness *h, harness_condition condition,
	void *context, int timeout_ms, const char *what, ...) __attribute__((format(printf, 7, 8)));

/* The same, but tells whether the condition came to hold in that time. For what must not happen: then as
 * short as can be. */
bool harness_wait_for(struct harness *h, harness_condition condition, void *context, int timeout_ms);

/* Serves everything for that time: to let something happen that must not. Never to wait for something. */
void harness_watch(struct harness *h, int for_ms);

__attribute__((noreturn, format(printf, 3, 4))) void harness_fail_at(
	const char *file, int line, const char *format, ...);
#define harness_fail(...) harness_fail_at(__FILE__, __LINE__, __VA_ARGS__)

/* The case's folder; a path in it (lives as long as the case); a file in it, written anew. */
const char *harness_folder(struct harness *h);
const char *harness_path(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *harness_write_file(struct harness *h, const char *name, const char *text);

/* All that is in a file, up to a NUL byte; a path, as harness_path() has it. Lives as long as the case. */
char *harness_read_file(struct harness *h, const char *path);

/* Memory that lives as long as the case. */
char *harness_format(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Parts that are served while waiting: how devices, logs and scripted brokers plug in ---- */

struct harness_part {
	struct harness_part *next;
	void *self;
	/* Describes what to poll for, in up to `room` entries; returns their number. NULL: nothing. */
	size_t (*prepare)(void *self, struct pollfd *polls, size_t room);
	/* After the poll; the entries are those that prepare() filled in. NULL: it is not served. */
	void (*serve)(void *self, const struct pollfd *polls, size_t count);
	/* Called at the end of the case, in reverse order. */
	void (*free)(void *self);
};

void harness_add(struct harness *h, struct harness_part *part);

/* Whether the body of the running case has come to its end. */
bool harness_passed(const struct harness *h);

/* ---- The database (examples/database/run) ---- */

/*
 * The program's database is started at the first call and shared by its cases, each of which has a database
 * name of its own. A case that stops it or kills it takes one of its own.
 */
struct database;
struct database *harness_database(struct harness *h);
struct database *harness_own_database(struct harness *h);

/* Not started yet, for tests that begin without a server. Then database_start(). */
struct database *harness_own_database_stopped(struct harness *h);

const char *database_url(const struct database *database);
void database_start(struct database
		*database); /* and waits until it answers; again: with the same data, on the same port */
void database_stop(struct database *database);	/* SIGTERM, and waits */
void database_kill(struct database *database);	/* SIGKILL, and waits */
void database_pause(struct database *database); /* SIGSTOP */
void database_resume(struct database *database);
bool database_running(struct database *database);
void database_may_end(struct database *database); /* by itself: that fails no wait then */
const char *database_folder(const struct database *database);

/* The case's database name. */
const char *harness_database_name(struct harness *h);

/* Documents of a collection that match a filter in MongoDB's Extended JSON, from a client of the test's own. */
size_t database_count(
	struct harness *h, struct database *database, const char *collection, const char *filter);

/* Whether there is one. Costs the server nothing, however many there are. */
bool database_has(struct harness *h, struct database *database, const char *collection, const char *filter);

/* The same documents as an array, in relaxed Extended JSON, ordered by _id; a new reference. */
json_t *database_find(
	struct harness *h, struct database *database, const char *collection, const char *filter);

/* Waits until that many documents match. */
#define database_wait_count(h, database, collection, filter, count) \
	database_wait_count_at(__FILE__, __LINE__, h, database, collection, filter, count)
void database_wait_count_at(const char *file, int line, struct harness *h, struct database *database,
	const char *collection, const char *filter, size_t count);

/* Runs a command, given as Extended JSON, on the case's database: {"drop": "apples"}. */
void database_command(struct harness *h, struct database *database, const char *command);

/* The same, where it may fail; whether it was done. */
bool database_try_command(struct harness *h, struct database *database, const char *command);

/* ---- The broker (mosquitto with the token plugin, run by examples/broker/run) ---- */

/* How the certificate that the broker shows is wrong. */
enum broker_certificate { BROKER_GOOD, BROKER_EXPIRED, BROKER_WRONG_NAME, BROKER_OTHER_CA };

struct broker_options {
	bool websocket; /* hosts go to a listener of their own that speaks WebSockets, over TLS unless it is plain */
	bool plain;	     /* clients go to a plain TCP port instead of the one with TLS */
	bool no_persistence; /* keeps nothing on disk: restarted, it has forgotten all sessions */
	bool only_mqtt311;   /* refuses MQTT 5, as an old broker does; plain */
	bool example_limits; /* the limits and quotas of examples/broker; else there are none, so that tests may flood the host */
	enum broker_certificate certificate;
	const char *extra; /* lines added to mosquitto.conf, each ended by \n; NULL: none */
};

struct broker;

/* The case's default broker, started at the first call: TLS, with the plugin, persistent. */
struct broker *harness_broker(struct harness *h);

/* The same, set up otherwise; the first call decides. */
struct broker *harness_broker_with(struct harness *h, const struct broker_options *options);

/* Another broker, not started. Options may be NULL. */
struct broker *broker_new(struct harness *h, const struct broker_options *options);

void broker_start(
	struct broker *broker); /* and waits until it listens; again: on the same port, with what it kept */
void broker_stop(struct broker *broker); /* SIGTERM, and waits: connections close, what it keeps is written */
void broker_kill(struct broker *broker); /* SIGKILL, and waits */
void broker_pause(struct broker *broker); /* SIGSTOP: a black hole that still takes connections */
void broker_resume(struct broker *broker);
void broker_forget(struct broker *broker); /* deletes what it kept on disk; stopped */

/* Has it write what it keeps to the disk now, and waits until that is done. It writes by itself only now and then, so a kill costs what has
 * changed since; without a save at a known time it may come back in a state of long ago. It is persistent, and runs. */
void broker_save(struct broker *broker);
void broker_set_certificate(
	struct broker *broker, enum broker_certificate certificate); /* for the next start */
unsigned broker_port(const struct broker *broker);
unsigned broker_handler_port(
	const struct broker *broker); /* where hosts go: their own listener, unless it is plain */
bool broker_is_websocket(const struct broker *broker);	 /* of hosts' listener */
const char *broker_ca_file(const struct broker *broker); /* NULL: plain */
const char *broker_log(const struct broker *broker);	 /* the file */

/* In how many of its log's lines, of all its lives, the text stands; and waits until those are so many. */
size_t broker_count_log(const struct broker *broker, const char *text);
void broker_wait_log(struct harness *h, const struct broker *broker, const char *text, size_t count);
pid_t broker_pid(const struct broker *broker);

/* ---- The program under test: cashewd ---- */

/* HOST_WITH_TEST_HANDLERS: the same program with the handlers of tests/e2e/handlers/ beside the product's. */
enum host_program { HOST_PRODUCT, HOST_WITH_TEST_HANDLERS };

struct host;

/*
 * A host, not started, with the settings that the case's broker, database and HARNESS_SECRET make, CLIENT_ID
 * "cashewd", LOG_LEVEL "debug" and LOG_FORMAT "json". Broker and database are not started by this.
 */
struct host *host_new(struct harness *h, enum host_program program);

/* Runs the program at that path instead: another build of it. */
void host_set_program(struct host *host, const char *path);

/* The case's default host: the product, started and ready at the first call. */
struct host *harness_host(struct harness *h);

/* Another program than that of host_new(); its path. */
void host_use_program(struct host *host, const char *path);
void host_use_broker(struct host *host, const struct broker *broker);
void host_use_database(struct host *host, const struct database *database);
void host_set(
	struct host *host, const char *name, const char *value); /* NULL: leaves the setting out of .env */

/* The same, for the environment instead of .env. */
void host_set_environment(struct host *host, const char *name, const char *value);

/* The arguments after the program's name, ended by NULL; the strings live as long as the host. */
void host_set_arguments(struct host *host, const char *const *arguments);

/* Its working directory, where .env is. */
const char *host_folder(const struct host *host);

void host_write_env(
	struct host *host); /* writes .env without starting: host_start() then keeps it as it is */
void host_start(struct host *host);
#define host_wait_ready(host) host_wait_ready_at(__FILE__, __LINE__, host)
void host_wait_ready_at(const char *file, int line, struct host *host); /* connected and subscribed */
#define host_stop(host) host_stop_at(__FILE__, __LINE__, host)
void host_stop_at(const char *file, int line, struct host *host); /* SIGTERM; it must exit with 0 */
#define host_wait_exit(host) host_wait_exit_at(__FILE__, __LINE__, host)
int host_wait_exit_at(const char *file, int line, struct host *host); /* its exit code; 128 + signal */
void host_signal(struct host *host, int signal); /* SIGTERM, SIGINT, SIGKILL: then host_wait_exit() */
void host_kill(struct host *host);		 /* SIGKILL, and waits */

/* cashewd is two processes: these mean the first, the supervisor, whose end is the other's as well; SIGSTOP
 * and SIGCONT mean both. host_child_pid(): the process that runs handlers, the one that was started last; 0:
 * none yet. A case in which that one dies says so, or fails at its end. */
pid_t host_child_pid(struct host *host);
void host_signal_child(struct host *host, int signal);
void host_may_die(struct host *host);
void host_pause(struct host *host);
void host_resume(struct host *host);
bool host_running(struct host *host);
pid_t host_pid(const struct host *host);
size_t host_rss_kib(struct host *host); /* of the process that runs handlers, as the next */
size_t host_descriptors(struct host *host);
bool host_child_running(struct host *host);

/*
 * The log, by the name of the event and pairs of field and value as texts ("*": anything):
 * host_expect_log(host, "dead_letter", "handler", "broken"). _expect_ waits for a record that was not taken
 * before, takes it and returns it, borrowed. _count_ counts all so far; host_wait_log_count() waits until
 * there are as many, or more. They span restarts of the host.
 */
#define host_expect_log(host, ...) host_expect_log_at(__FILE__, __LINE__, host, __VA_ARGS__, NULL)
#define host_count_log(host, ...)  host_count_log_of(host, __VA_ARGS__, NULL)
#define host_wait_log_count(host, count, ...) \
	host_wait_log_count_at(__FILE__, __LINE__, host, count, __VA_ARGS__, NULL)
json_t *host_expect_log_at(const char *file, int line, struct host *host, const char *event, ...)
	__attribute__((sentinel));
size_t host_count_log_of(struct host *host, const char *event, ...) __attribute__((sentinel));
void host_wait_log_count_at(const char *file, int line, struct host *host, size_t count, const char *event,
	...) __attribute__((sentinel));

/* Whether a text stands anywhere in what it wrote so far; waits for it. For what is not a JSON line: problems
 * at the start. */
bool host_wrote(struct host *host, const char *text);
#define host_expect_text(host, text) host_expect_text_at(__FILE__, __LINE__, host, text)
void host_expect_text_at(const char *file, int line, struct host *host, const char *text);

#include "device.h"

#endif
