/*
 * test_demo.c - examples/demo/run: that it plays its stories, tells others where its parts are, and leaves no
 * process behind, however and whenever it ends. It uses the programs of this build folder, and builds
 * nothing.
 */
#include "harness_private.h"
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 16, CHILDREN_MAX = 64, OUTPUT_MAX = 64 * 1024, GOING_MS = 2000 };

struct demo {
	struct harness *harness;
	struct harness_process process;
	const char *folder, *state, *output;
	char *text;	     /* what it wrote so far */
	const char *awaited; /* a text that it is to write */
};

/* ---- A demo ---- */

/* Starts one in a session of its own, as a terminal's shell would; further arguments are ended by NULL. */
static struct demo *demo_start(struct harness *h, const char *name, const char *const *environment, ...)
{
	struct demo *demo = harness_alloc(h, sizeof(*demo));
	demo->harness = h;
	demo->folder = harness_path(h, "%s", name);
	demo->state = harness_format(h, "%s/state", demo->folder);
	demo->output = harness_format(h, "%s/output.log", demo->folder);
	demo->text = harness_alloc(h, OUTPUT_MAX);
	demo->process.name = "the demo";
	demo->process.process.awaited = true;
	assert_int_equal(mkdir(demo->folder, 0700), 0);
	harness_watch_folder(h, demo->folder);

	const char *argv[ARGUMENTS_MAX] = {"setsid", SOURCE_DIR "/examples/demo/run", "--no-install",
		"--port", "0", "--state", demo->state, "--build", BINARY_DIR};
	size_t count = 9;
	va_list arguments;
	va_start(arguments, environment);
	do
		argv[count] = va_arg(arguments, const char *);
	while (argv[count++] && count < ARGUMENTS_MAX);
	va_end(arguments);

	const struct process_options options = {.argv = argv,
		.environment = environment ? environment : process_environment(),
		.folder = demo->folder,
		.output = demo->output,
		.death_signal = SIGTERM};
	assert_int_equal(process_start(&demo->process.process, &options), 0);
	demo->process.process.awaited = true;
	harness_add_process(h, &demo->process);
	return demo;
}

static const char *demo_text(struct demo *demo)
{
	FILE *file = fopen(demo->output, "re");
	if (!file)
		return ""; /* it has yet to open it */
	demo->text[fread(demo->text, 1, OUTPUT_MAX - 1, file)] = '\0';
	fclose(file);
	return demo->text;
}

static bool demo_ended(void *context)
{
	struct demo *demo = context;
	return process_reap(&demo->process.process, 0);
}

static bool demo_wrote_or_ended(void *context)
{
	struct demo *demo = context;
	return strstr(demo_text(demo), demo->awaited) || demo_ended(demo);
}

static void demo_wait_text(struct demo *demo, const char *text)
{
	demo->awaited = text;
	harness_wait(demo->harness, demo_wrote_or_ended, demo, "the demo to write \"%s\"", text);
	if (!strstr(demo_text(demo), text))
		harness_fail("the demo ended before it wrote \"%s\"", text);
}

static int demo_wait_exit(struct demo *demo)
{
	harness_wait(demo->harness, demo_ended, demo, "the demo to end");
	return process_exit_code(&demo->process.process);
}

/* As Ctrl-C in its terminal does it, or to it alone. */
static void demo_signal(struct demo *demo, int signal, bool whole_group)
{
	const pid_t pid = demo->process.process.pid;
	if (pid > 0)
		assert_int_equal(kill(whole_group ? -pid : pid, signal), 0);
}

static void assert_wrote(struct demo *demo, const char *text)
{
	if (!strstr(demo_text(demo), text))
		harness_fail("the demo did not write \"%s\"", text);
}

static bool env_exists(struct demo *demo)
{
	return access(harness_format(demo->harness, "%s/env", demo->state), F_OK) == 0;
}

/* ---- What is left behind: the harness makes orphans this process's children ---- */

struct children {
	int pids[CHILDREN_MAX];
	size_t count;
};

static bool runs(int pid)
{
	char path[64], state = 'Z';
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state != 'Z' && state != 'X';
}

static void children_read(struct children *children)
{
	char path[64];
	int pid;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	children->count = 0;
	while (children->count < CHILDREN_MAX && fscanf(file, "%d", &pid) == 1)
		if (runs(pid))
			children->pids[children->count++] = pid;
	fclose(file);
	assert_true(children->count < CHILDREN_MAX);
}

static bool only_those_before(void *context)
{
	const struct children *before = context;
	struct children now;
	children_read(&now);
	for (size_t i = 0; i < now.count; i++) {
		size_t k = 0;
		while (k < before->count && before->pids[k] != now.pids[i])
			k++;
		if (k == before->count)
			return false;
	}
	return true;
}

/* What was killed a moment ago may take another to go. */
static void assert_nothing_left(struct harness *h, struct children *before)
{
	if (!harness_wait_for(h, only_those_before, before, GOING_MS))
		harness_fail("the demo left processes behind");
}

/* ---- Cases ---- */

static void assert_stories(struct demo *demo)
{
	assert_wrote(demo, "9 apples of 9 colours");
	assert_wrote(demo, "68946 and 23412 have each other on their contact lists");
	assert_wrote(demo, "Loggly would have got ");
}

HARNESS_CASE(stories_are_played)
{
	struct children before;
	children_read(&before);
	struct demo *demo = demo_start(h, "demo", NULL, "--quick", NULL);
	assert_int_equal(demo_wait_exit(demo), 0);
	assert_nothing_left(h, &before);
	assert_stories(demo);
	assert_false(env_exists(demo));
	/* Not on a terminal: no colours, nothing overwritten. */
	for (const char *c = demo_text(demo); *c; c++)
		assert_true(*c == '\n' || !iscntrl((unsigned char)*c));
}

HARNESS_CASE(signals_at_any_moment_leave_nothing)
{
	static const struct {
		const char *name, *moment; /* what the demo has just written */
		int signal;
		bool whole_group;
		int exit_code;
		const char *option;
	} rows[] = {
		{"at the start", "starting the broker", SIGINT, true, 130, "--quick"},
		{"broker is there", "the broker is ready", SIGINT, true, 130, "--quick"},
		{"database is there", "the database is ready", SIGTERM, false, 143, "--quick"},
		{"cashewd starts", "starting cashewd", SIGINT, true, 130, "--quick"},
		{"before the first command", "is connected", SIGINT, true, 130, NULL},
		{"between the stories", "9 apples", SIGTERM, true, 143, NULL},
		{"the terminal goes", "two phones", SIGHUP, true, 129, NULL},
		{"kept, not ready yet", "starting cashewd", SIGINT, false, 130, "--keep"},
		{"kept", "everything runs", SIGINT, true, 0, "--keep"},
	};
	enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
	struct demo *demos[COUNT];
	struct children before;

	children_read(&before);
	for (size_t i = 0; i < COUNT; i++)
		demos[i] = demo_start(h, rows[i].name, NULL, rows[i].option, NULL);
	size_t to_signal = COUNT;
	bool signalled[COUNT] = {false};
	while (to_signal > 0) {
		for (size_t i = 0; i < COUNT; i++) {
			if (signalled[i] || !strstr(demo_text(demos[i]), rows[i].moment))
				continue;
			demo_signal(demos[i], rows[i].signal, rows[i].whole_group);
			signalled[i] = true;
			to_signal--;
		}
		for (size_t i = 0; i < COUNT; i++)
			if (!signalled[i] && demo_ended(demos[i]))
				harness_fail("%s: the demo ended before that", rows[i].name);
		harness_watch(h, 10);
	}
	for (size_t i = 0; i < COUNT; i++) {
		const int code = demo_wait_exit(demos[i]);
		if (code != rows[i].exit_code)
			harness_fail("%s: exit code %d, expected %d", rows[i].name, code, rows[i].exit_code);
		assert_false(env_exists(demos[i]));
	}
	assert_nothing_left(h, &before);
}

HARNESS_CASE(second_signal_hurries)
{
	struct children before;
	children_read(&before);
	struct demo *demo = demo_start(h, "demo", NULL, NULL);
	demo_wait_text(demo, "is connected");
	/* A database that does not answer to SIGTERM would hold a patient stop up for 20 s. */
	const int database = atoi(strstr(strstr(demo_text(demo), "the database is ready"), "pid ") + 4);
	assert_int_equal(kill(database, SIGSTOP), 0);
	demo_signal(demo, SIGINT, true);
	demo_wait_text(demo, "stopping everything");
	const int64_t start = harness_now_ms();
	demo_signal(demo, SIGINT, true);
	assert_int_equal(demo_wait_exit(demo), 130);
	assert_true(harness_now_ms() - start < 10000);
	assert_nothing_left(h, &before);
}

/* The value of NAME in STATE/env, as a shell reads it. */
static const char *env_value(struct demo *demo, const char *name)
{
	struct harness *h = demo->harness;
	const char *output = harness_path(h, "value-%s", name);
	const char *script = harness_format(h, "set -eu; . '%s/env'; printf %%s \"$%s\"", demo->state, name);
	char *value = harness_alloc(h, OUTPUT_MAX);
	(void)unlink(output);
	assert_int_equal(
		harness_execute(demo->folder, output, (const char *[]){"sh", "-c", script, NULL}), 0);
	FILE *file = fopen(output, "re");
	assert_non_null(file);
	value[fread(value, 1, OUTPUT_MAX - 1, file)] = '\0';
	fclose(file);
	return value;
}

/* It goes before cashewd is started, and comes when that is ready. */
static bool env_is_anew(void *context)
{
	return strstr(demo_text(context), "cashewd is started anew") && env_exists(context);
}

HARNESS_CASE(kept_demo_tells_where_it_is)
{
	static const char *const processes[] = {"CASHEWD_PID", "BROKER_PID", "DATABASE_PID", "DEMO_PID"};
	struct children before;
	struct stat info;

	children_read(&before);
	struct demo *demo = demo_start(h, "demo", NULL, "--keep", "--quick", NULL);
	demo_wait_text(demo, "everything runs until");
	assert_stories(demo);
	assert_int_equal(stat(harness_format(h, "%s/env", demo->state), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	for (size_t i = 0; i < sizeof(processes) / sizeof(processes[0]); i++)
		assert_true(runs(atoi(env_value(demo, processes[i]))));
	assert_true(strlen(env_value(demo, "JWT_SECRET")) >= 32);
	assert_true(strncmp(env_value(demo, "MONGO_DB_URL"), "mongodb://", 10) == 0);
	assert_true(*env_value(demo, "MONGO_DB_NAME") != '\0');

	/* With what stands there, a device of someone else's can talk to it. */
	const char *ask = harness_format(h,
		"set -eua; . '%s/env'; \"$DEMO_BUILD/cashew-token\" user someone --expires 1h >token; "
		"\"$DEMO_BUILD/cashew-device\" --token-file token send get_apples --event got_apples",
		demo->state);
	assert_int_equal(
		harness_execute(demo->folder, demo->output, (const char *[]){"sh", "-c", ask, NULL}), 0);
	assert_wrote(demo, "<- someone/got_apples");
	const char *look = harness_format(h,
		"set -eu; . '%s/env'; \"$DEMO_BUILD/cashewd\" top --once --addr \"$METRICS_ADDR\"",
		demo->state);
	assert_int_equal(
		harness_execute(demo->folder, demo->output, (const char *[]){"sh", "-c", look, NULL}), 0);
	assert_wrote(demo, "host     running, ready for ");

	/* What has ended can be started again. */
	assert_int_equal(kill(atoi(env_value(demo, "CASHEWD_PID")), SIGTERM), 0);
	demo_wait_text(demo, "the cashewd (pid ");
	demo_signal(demo, SIGUSR1, false);
	harness_wait(h, env_is_anew, demo, "cashewd to be started again");
	assert_true(runs(atoi(env_value(demo, "CASHEWD_PID"))));

	demo_signal(demo, SIGTERM, false);
	assert_int_equal(demo_wait_exit(demo), 0);
	assert_false(env_exists(demo));
	assert_nothing_left(h, &before);
}

HARNESS_CASE(two_run_side_by_side)
{
	struct children before;
	children_read(&before);
	struct demo *first = demo_start(h, "first", NULL, "--quick", NULL);
	struct demo *second = demo_start(h, "second", NULL, "--quick", NULL);
	demo_wait_text(first, "starting");
	/* A third one with the state of the first is refused before it touches anything. */
	struct demo *third = demo_start(h, "third", NULL, "--state", first->state, NULL);
	assert_int_equal(demo_wait_exit(third), 64);
	assert_wrote(third, "another demo runs with");
	assert_int_equal(demo_wait_exit(first), 0);
	assert_int_equal(demo_wait_exit(second), 0);
	assert_stories(first);
	assert_stories(second);
	assert_nothing_left(h, &before);
}

HARNESS_CASE(database_of_ones_own_may_remember)
{
	const char *environment[ARGUMENTS_MAX] = {NULL};
	size_t count = 0;
	for (const char *const *inherited = process_environment(); *inherited; inherited++)
		environment[count++] = *inherited;
	environment[count++] = harness_format(h, "MONGO_DB_URL=%s", database_url(harness_database(h)));
	environment[count++] = harness_format(h, "MONGO_DB_NAME=%s", harness_database_name(h));
	assert_true(count < ARGUMENTS_MAX);

	for (int i = 0; i < 2; i++) {
		struct demo *demo = demo_start(h, i == 0 ? "first" : "again", environment, "--quick", NULL);
		assert_int_equal(demo_wait_exit(demo), 0);
		assert_stories(demo);
	}
	assert_int_equal(database_count(h, harness_database(h), "contacts", "{}"), 2);
}

/* This process's environment with some settings more, ended by NULL, that come first where both are there. */
static const char *const *environment_with(struct harness *h, const char *const *more)
{
	const char *const *inherited = process_environment();
	size_t count = 0, before = 0;
	while (inherited[before])
		before++;
	const char **all = harness_alloc(h, (before + ARGUMENTS_MAX + 1) * sizeof(*all));
	for (; *more; more++)
		all[count++] = *more;
	const size_t own = count;
	for (size_t i = 0; i < before; i++) {
		bool anew = false;
		for (size_t k = 0; k < own; k++) {
			const size_t name = (size_t)(strchr(all[k], '=') - all[k]) + 1;
			anew = anew || strncmp(inherited[i], all[k], name) == 0;
		}
		if (!anew)
			all[count++] = inherited[i];
	}
	return all;
}

/* Whoever plays with a kept demo has its STATE/env in his shell. */
HARNESS_CASE(env_of_an_earlier_demo_is_no_setting)
{
	const char *const left[] = {"MONGO_DB_URL=mongodb://127.0.0.1:1", "MONGO_DB_NAME=gone",
		"DEMO_DATABASE_URL=mongodb://127.0.0.1:1", NULL};
	struct demo *demo = demo_start(h, "next", environment_with(h, left), "--quick", NULL);
	assert_int_equal(demo_wait_exit(demo), 0);
	assert_stories(demo);
	/* Which database that was, in words. */
	assert_wrote(demo, "the database is ready: ");
	if (strstr(demo_text(demo), "SecantusDB")) {
		assert_wrote(demo, "a stand-in that speaks MongoDB's protocol");
		assert_wrote(demo, "your own instead: put mongod on PATH, or set MONGO_DB_URL");
	}
}

HARNESS_CASE(settings_of_handlers_reach_it)
{
	const char *const own[] = {"A_HANDLERS_OWN=42", "WORKERS=77", NULL};
	struct demo *demo = demo_start(h, "demo", environment_with(h, own), "--keep", "--quick", NULL);
	demo_wait_text(demo, "everything runs until");
	/* Only root may look: the process is hardened. */
	FILE *file = fopen(harness_format(h, "/proc/%s/environ", env_value(demo, "CASHEWD_PID")), "re");
	if (file) {
		char *text = harness_alloc(h, OUTPUT_MAX);
		const size_t size = fread(text, 1, OUTPUT_MAX, file);
		fclose(file);
		assert_true(size == 0 || memmem(text, size, "A_HANDLERS_OWN=42", 17));
		assert_null(memmem(text, size, "WORKERS=", 8));
	}
	demo_signal(demo, SIGINT, true);
	assert_int_equal(demo_wait_exit(demo), 0);
}

static void write_program(struct harness *h, const char *name, const char *text)
{
	const char *path = harness_path(h, "programs/%s", name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

/* Nothing of a message is cut off, however long it is; and where nothing may be installed it says what is missing. */
HARNESS_CASE(messages_are_whole)
{
	assert_int_equal(mkdir(harness_path(h, "programs"), 0700), 0);
	write_program(h, "mosquitto", "#!/bin/sh\nprintf 'it is %0400d, is it\\n' 1 >&2\nexit 1\n");
	write_program(h, "dpkg-query", "#!/bin/sh\nexit 1\n");
	const char *const path[] = {
		harness_format(h, "PATH=%s:%s", harness_path(h, "programs"), getenv("PATH")), NULL};
	struct demo *demo = demo_start(h, "demo", environment_with(h, path), "--quick", NULL);
	assert_int_equal(demo_wait_exit(demo), 1);
	assert_wrote(demo, "FAILED: the broker did not start");
	assert_wrote(demo, "0001, is it");
	assert_wrote(demo, "these packages are missing: ");
	assert_wrote(demo, "libmosquitto-dev");
}

HARNESS_CASE(failures_are_told)
{
	static const struct {
		const char *name, *option, *value;
		int exit_code;
		const char *told;
	} rows[] = {
		{"nothing is built", "--build", "/nonexistent", 1, "/nonexistent/cashewd is not there"},
		{"port is no number", "--port", "many", 64, "--port many: expected a number from 0 to 65535"},
		{"port is too large", "--port", "65536", 64,
			"--port 65536: expected a number from 0 to 65535"},
		{"state is something else", "--state", SOURCE_DIR, 64,
			"is neither empty nor the state of a demo"},
		{"state cannot be made", "--state", "/proc/cashewd-demo", 64,
			"/proc/cashewd-demo cannot be written: give another folder with --state"},
		{"unknown option", "--fast", NULL, 64, "unknown argument --fast"},
		{"value is missing", "--state", NULL, 64, "--state needs a value"},
	};
	struct children before;
	children_read(&before);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct demo *demo = demo_start(h, rows[i].name, NULL, rows[i].option, rows[i].value, NULL);
		const int code = demo_wait_exit(demo);
		if (code != rows[i].exit_code)
			harness_fail("%s: exit code %d, expected %d", rows[i].name, code, rows[i].exit_code);
		assert_wrote(demo, rows[i].told);
	}

	/* A port that is taken: here, by a demo that runs. */
	struct demo *first = demo_start(h, "first", NULL, "--keep", "--quick", NULL);
	demo_wait_text(first, "everything runs until");
	struct demo *second = demo_start(h, "second", NULL, "--port", env_value(first, "BROKER_PORT"), NULL);
	assert_int_equal(demo_wait_exit(second), 1);
	assert_wrote(second, "FAILED: the broker did not start");
	assert_wrote(second, harness_format(h, "port %s is taken", env_value(first, "BROKER_PORT")));
	demo_signal(first, SIGINT, true);
	assert_int_equal(demo_wait_exit(first), 0);
	assert_nothing_left(h, &before);
}

HARNESS_MAIN(HARNESS_TEST(stories_are_played), HARNESS_TEST(signals_at_any_moment_leave_nothing),
	HARNESS_TEST(second_signal_hurries), HARNESS_TEST(kept_demo_tells_where_it_is),
	HARNESS_TEST(two_run_side_by_side), HARNESS_TEST(database_of_ones_own_may_remember),
	HARNESS_TEST(env_of_an_earlier_demo_is_no_setting), HARNESS_TEST(settings_of_handlers_reach_it),
	HARNESS_TEST(messages_are_whole), HARNESS_TEST(failures_are_told))
