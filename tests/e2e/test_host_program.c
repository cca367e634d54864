/*
 * test_host_program.c - cashewd-host is a program of its own: where cashewd looks for it, what it says when
 * it is not there, what an upgrade of the files does to a cashewd that runs, and which libraries it does not
 * load.
 */
#include "harness_private.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_SOFTWARE = 70, BLOCK_SIZE = 64 * 1024 };

static void copy_program(const char *from, const char *to)
{
	static char block[BLOCK_SIZE];
	const int source = open(from, O_RDONLY | O_CLOEXEC);
	assert_return_code(source, errno);
	const int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	assert_return_code(target, errno);
	for (ssize_t size; (size = read(source, block, sizeof(block))) > 0;)
		assert_int_equal(write(target, block, (size_t)size), size);
	close(source);
	close(target);
}

/* cashewd alone, as PREFIX/bin/cashewd. */
static const char *install_supervisor(struct harness *h)
{
	assert_return_code(mkdir(harness_path(h, "bin"), 0755), errno);
	const char *program = harness_path(h, "bin/cashewd");
	copy_program(CASHEWD_PATH, program);
	return program;
}

static struct host *start_installed(struct harness *h, const char *program)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, program);
	host_start(host);
	return host;
}

static void assert_serves(struct harness *h, const char *user)
{
	struct device *phone = device_new(h, user);
	device_connect(phone);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
}

HARNESS_CASE(missing_host_program_is_told)
{
	static const struct {
		const char *title, *reason;
		mode_t mode; /* 0: it is not there */
	} cases[] = {
		{"not there", "No such file or directory", 0},
		{"not executable", "Permission denied", 0644},
	};
	const char *program = install_supervisor(h);
	const char *missing = harness_path(h, "bin/cashewd-host");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].mode != 0) {
			copy_program(CASHEWD_PATH "-host", missing);
			assert_return_code(chmod(missing, cases[i].mode), errno);
		}
		struct host *host = start_installed(h, program);
		const int code = host_wait_exit(host);
		if (code != EXIT_SOFTWARE)
			harness_fail("%s: exit code %d", cases[i].title, code);
		host_expect_log(host, "start_failed");
		host_expect_text(host, "cashewd-host, the program that runs the handlers, cannot be used: ");
		host_expect_text(host, harness_format(h, "%s: %s", missing, cases[i].reason));
		host_expect_text(host, "libexec/cashewd-host: No such file or directory");
	}
}

HARNESS_CASE(host_program_in_libexec_is_found)
{
	const char *program = install_supervisor(h);
	assert_return_code(mkdir(harness_path(h, "libexec"), 0755), errno);
	copy_program(CASHEWD_PATH "-host", harness_path(h, "libexec/cashewd-host"));
	struct host *host = start_installed(h, program);
	host_wait_ready(host);
	assert_serves(h, "68946");
	host_stop(host);
}

/* What replaces the files of a cashewd that runs is not started by it: neither after a crash nor by SIGHUP. */
HARNESS_CASE(upgrade_does_not_reach_what_runs)
{
	const char *program = install_supervisor(h), *beside = harness_path(h, "bin/cashewd-host");
	copy_program(CASHEWD_PATH "-host", beside);
	struct host *host = start_installed(h, program);
	host_may_die(host);
	host_wait_ready(host);
	const char *other = harness_write_file(h, "other", "#!/bin/sh\nexit 99\n");
	assert_return_code(chmod(other, 0755), errno);
	assert_return_code(rename(other, beside), errno);
	host_signal_child(host, SIGKILL);
	host_expect_log(host, "host_died");
	host_wait_ready(host);
	assert_serves(h, "68946");
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	host_wait_ready(host);
	host_stop(host);
	/* The next start takes what is there then. */
	host_start(host);
	assert_int_equal(host_wait_exit(host), 99);
}

/* With --dev it is started by SIGHUP, if it passes the trial. */
HARNESS_CASE(dev_takes_what_was_built_at_sighup)
{
	const char *program = install_supervisor(h), *beside = harness_path(h, "bin/cashewd-host");
	copy_program(CASHEWD_PATH "-host", beside);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, program);
	host_set_arguments(host, (const char *const[]){"--dev", NULL});
	host_start(host);
	host_wait_ready(host);
	const pid_t first = host_child_pid(host);

	const char *other = harness_write_file(h, "other", "#!/bin/sh\nexit 99\n");
	assert_return_code(chmod(other, 0755), errno);
	assert_return_code(rename(other, beside), errno);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reload_failed", "reason", "their trial ended with code 99");
	assert_return_code(unlink(beside), errno);
	host_signal(host, SIGHUP);
	const json_t *failed = host_expect_log(host, "reload_failed", "reason", "*");
	const char *reason = json_string_value(json_object_get(failed, "reason"));
	if (!strstr(reason, harness_format(h, "%s: No such file or directory", beside)))
		harness_fail("the reason is: %s", reason);
	assert_int_equal(host_child_pid(host), first);
	assert_serves(h, "68946");

	copy_program(CASHEWD_PATH "-host", beside);
	host_signal(host, SIGHUP);
	host_expect_log(host, "reloaded");
	host_wait_ready(host);
	assert_int_not_equal(host_child_pid(host), first);
	char runs[PATH_MAX];
	const ssize_t size = readlink(
		harness_format(h, "/proc/%d/exe", (int)host_child_pid(host)), runs, sizeof(runs) - 1);
	assert_return_code(size, errno);
	runs[size] = '\0';
	assert_string_equal(runs, beside); /* not "... (deleted)" */
	assert_serves(h, "23412");
	host_stop(host);
}

HARNESS_CASE(host_program_by_hand_is_refused)
{
	static const char *const arguments[][2] = {{NULL}, {"--trial"}, {"--help"}, {"extra"}};
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		struct host *host = host_new(h, HOST_PRODUCT);
		host_use_program(host, CASHEWD_PATH "-host");
		host_set_arguments(host, arguments[i]);
		host_start(host);
		assert_int_equal(host_wait_exit(host), EXIT_USAGE);
		host_expect_text(host, "cashewd --help");
	}
}

/* The libraries that a program loads, those of its libraries too. */
static const char *libraries_of(struct harness *h, const char *program)
{
	const char *output = harness_path(h, "%s.libraries", strrchr(program, '/') + 1);
	struct process process;
	const struct process_options options = {.argv = (const char *const[]){"ldd", program, NULL},
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = output,
		.death_signal = SIGKILL};
	if (process_start(&process, &options) != 0 || !process_reap(&process, HARNESS_TIMEOUT_MS) ||
		process_exit_code(&process) != 0)
		harness_fail("ldd %s: exit code %d", program, process_exit_code(&process));
	return harness_read_file(h, output);
}

/* Each takes memory as soon as it is loaded: that of libcurl and all that it brings is 4 MB. */
HARNESS_CASE(host_loads_nothing_that_only_the_supervisor_needs)
{
	static const char *const not_wanted[] = {"libcurl", "libgnutls", "libldap", "libmicrohttpd"};
	const char *supervisor = libraries_of(h, CASHEWD_PATH), *host = libraries_of(h, CASHEWD_PATH "-host");
	assert_non_null(strstr(supervisor, "libcurl"));
	assert_non_null(strstr(host, "libmosquitto"));
	for (size_t i = 0; i < sizeof(not_wanted) / sizeof(not_wanted[0]); i++)
		if (strstr(host, not_wanted[i]))
			harness_fail("cashewd-host loads %s:\n%s", not_wanted[i], host);
}

HARNESS_MAIN(HARNESS_TEST(missing_host_program_is_told), HARNESS_TEST(host_program_in_libexec_is_found),
	HARNESS_TEST(upgrade_does_not_reach_what_runs), HARNESS_TEST(dev_takes_what_was_built_at_sighup),
	HARNESS_TEST(host_program_by_hand_is_refused),
	HARNESS_TEST(host_loads_nothing_that_only_the_supervisor_needs))
