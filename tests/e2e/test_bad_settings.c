/*
 * test_bad_settings.c - settings that cannot be right: the program says what, where, and what was expected,
 * and does not start; settings that are merely careless get a warning.
 */
#include "harness.h"
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_CONFIG = 78 };

/* Nothing of a secret may be written, whatever is wrong with it. */
#define SHORT_SECRET  "hush-hush"
#define PASSWORD      "correct-horse"
#define SECRET_IN_URL "mongodb://user:" PASSWORD "@127.0.0.1:1/?tls=perhaps"

struct bad {
	const char *title;
	const char *name, *value; /* laid over good settings; NULL value: left out */
	const char *told[3];	  /* what must be said */
};

static const struct bad cases[] = {
	{"unknown key", "KEEPALIFE", "60", {".env:", "KEEPALIFE", "did you mean KEEPALIVE"}},
	{"missing broker", "BROKER_HOST", NULL, {"BROKER_HOST", "not set"}},
	{"missing database", "MONGO_DB_URL", NULL, {"MONGO_DB_URL", "not set"}},
	{"bad database url", "MONGO_DB_URL", "http://127.0.0.1", {"MONGO_DB_URL", "mongodb://"}},
	{"password in a bad url", "MONGO_DB_URL", SECRET_IN_URL, {"MONGO_DB_URL", "expected", "tls"}},
	{"out of range", "KEEPALIVE", "5", {"KEEPALIVE", "from 10 to 65535"}},
	{"not a number", "WORKERS", "many", {"WORKERS", "many", "number"}},
	{"neither on nor off", "BROKER_TLS", "perhaps", {"BROKER_TLS", "on", "off"}},
	{"empty secret", "JWT_SECRET", "", {"JWT_SECRET", "empty"}},
	{"short secret", "JWT_SECRET", SHORT_SECRET, {"JWT_SECRET", "32"}},
	{"no such handler", "HANDLERS", "ping,pong", {"HANDLERS", "pong"}},
	{"timeout over an hour", "HANDLER_TIMEOUT", "3601", {"HANDLER_TIMEOUT"}},
	{"small window", "WINDOW", "19", {"WINDOW", "20 to 65535"}},
	{"certificate without key", "BROKER_CERT_FILE", "/dev/null", {"BROKER_KEY_FILE"}},
	{"authority that is no file", "BROKER_CA_FILE", "/nonexistent/ca.crt",
		{"BROKER_CA_FILE", "/nonexistent/ca.crt"}},
	{"authority that is no certificate", "BROKER_CA_FILE", "/etc/hostname", {"/etc/hostname"}},
	{"token file that is not there", "HANDLER_TOKEN_FILE", "/nonexistent/token", {"HANDLER_TOKEN_FILE"}},
};

static void assert_silent_about_secrets(struct host *host)
{
	assert_false(host_wrote(host, SHORT_SECRET));
	assert_false(host_wrote(host, PASSWORD));
	assert_false(host_wrote(host, HARNESS_SECRET));
}

HARNESS_CASE(bad_values_keep_it_from_starting)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *host = host_new(h, HOST_PRODUCT);
		host_set(host, cases[i].name, cases[i].value);
		host_start(host);
		const int code = host_wait_exit(host);
		if (code != EXIT_CONFIG)
			harness_fail("%s: exit code %d", cases[i].title, code);
		for (size_t j = 0; j < 3 && cases[i].told[j]; j++)
			if (!host_wrote(host, cases[i].told[j]))
				harness_fail("%s: it did not say \"%s\"", cases[i].title, cases[i].told[j]);
		assert_silent_about_secrets(host);
	}
}

HARNESS_CASE(all_problems_are_told_at_once)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "KEEPALIVE", "0");
	host_set(host, "BROKER_PORT", "123456");
	host_set(host, "LOG_LEVEL", "loud");
	host_start(host);
	assert_int_equal(host_wait_exit(host), EXIT_CONFIG);
	host_expect_text(host, "KEEPALIVE");
	host_expect_text(host, "BROKER_PORT");
	host_expect_text(host, "LOG_LEVEL");
}

HARNESS_CASE(environment_lies_on_top_and_is_checked_too)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set_environment(host, "KEEPALIVE", "1");
	/* The rest of the environment belongs to others. */
	host_set_environment(host, "KEEPALIFE", "1");
	host_start(host);
	assert_int_equal(host_wait_exit(host), EXIT_CONFIG);
	host_expect_text(host, "KEEPALIVE");
	assert_false(host_wrote(host, "KEEPALIFE"));
}

HARNESS_CASE(env_that_cannot_be_read)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_write_env(host);
	const char *env = harness_format(h, "%s/.env", host_folder(host));
	/* A folder: root, too, cannot read that as a file. */
	assert_int_equal(unlink(env), 0);
	assert_int_equal(mkdir(env, 0700), 0);
	host_start(host);
	assert_int_equal(host_wait_exit(host), EXIT_CONFIG);
	host_expect_text(host, ".env: cannot be read");
}

HARNESS_CASE(env_that_others_can_read_is_warned_of)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_write_env(host);
	assert_int_equal(chmod(harness_format(h, "%s/.env", host_folder(host)), 0644), 0);
	host_start(host);
	host_wait_ready(host);
	assert_true(host_wrote(host, "others can read it"));
	assert_silent_about_secrets(host);
}

/* No fault of the settings: it may pass. */
HARNESS_CASE(name_that_cannot_be_looked_up_is_waited_for)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	static const char *const check[] = {"--check", NULL}, *const none[] = {NULL};
	host_set(host, "MONGO_DB_URL", "mongodb+srv://user:" PASSWORD "@database.example.invalid");
	host_set_arguments(host, check);
	host_start(host);
	assert_int_equal(host_wait_exit(host), 0);
	host_expect_text(host, "waits until it can be looked up");
	host_set_arguments(host, none);
	host_start(host);
	host_expect_log(host, "store_away");
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	assert_silent_about_secrets(host);
}

HARNESS_CASE(short_secret_is_taken_when_told_so)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	static const char *const check[] = {"--check", NULL};
	host_set(host, "JWT_SECRET", SHORT_SECRET);
	host_set(host, "ALLOW_SHORT_SECRET", "on");
	host_set_arguments(host, check);
	host_start(host);
	assert_int_equal(host_wait_exit(host), 0);
	assert_silent_about_secrets(host);

	/* An empty one never. */
	host = host_new(h, HOST_PRODUCT);
	host_set(host, "JWT_SECRET", "");
	host_set(host, "ALLOW_SHORT_SECRET", "on");
	host_set_arguments(host, check);
	host_start(host);
	assert_int_equal(host_wait_exit(host), EXIT_CONFIG);
}

HARNESS_CASE(overlapping_filters_keep_it_from_starting)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, BINARY_DIR "/cashewd-overlap");
	host_start(host);
	assert_int_equal(host_wait_exit(host), EXIT_CONFIG);
	host_expect_text(host, "test_everything");
	host_expect_text(host, "+/#");
	host_expect_text(host, "+/get_apples");

	/* Alone it is fine: HANDLERS runs a subset. */
	host = host_new(h, HOST_PRODUCT);
	host_use_program(host, BINARY_DIR "/cashewd-overlap");
	host_set(host, "HANDLERS", "test_everything");
	host_start(host);
	host_wait_ready(host);
}

HARNESS_MAIN(HARNESS_TEST(bad_values_keep_it_from_starting), HARNESS_TEST(all_problems_are_told_at_once),
	HARNESS_TEST(environment_lies_on_top_and_is_checked_too), HARNESS_TEST(env_that_cannot_be_read),
	HARNESS_TEST(env_that_others_can_read_is_warned_of), HARNESS_TEST(short_secret_is_taken_when_told_so),
	HARNESS_TEST(name_that_cannot_be_looked_up_is_waited_for),
	HARNESS_TEST(overlapping_filters_keep_it_from_starting))
