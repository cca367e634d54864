/* Tests of cashewd.c: `cashewd healthcheck`, and a secret in a file of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashewd_parts.h"
#include "own_folder.h"

/* What listens is asked in the test of the whole program; here, that it cannot be. */
static void test_healthcheck(void **state)
{
	(void)state;
	static const struct {
		const char *arguments[4], *env;
		int code;
		const char *error;
	} cases[] = {
		{{"healthcheck"}, "METRICS_ADDR=off\n", 1,
			"cashewd healthcheck: METRICS_ADDR=off: the pages are switched off"},
		{{"healthcheck", "--ready"}, "METRICS_ADDR=\n", 1,
			"cashewd healthcheck: METRICS_ADDR=: the pages are switched off"},
		{{"healthcheck"}, "METRICS_ADDR=127.0.0.1:0\n", 1,
			"cashewd healthcheck: METRICS_ADDR=127.0.0.1:0: that means any port that is free"},
		{{"healthcheck"}, "METRICS_ADDR=127.0.0.1\n", 1,
			"cashewd healthcheck: METRICS_ADDR=127.0.0.1: expected an address of this machine and a port"},
		/* Port 1: nobody listens there. Other settings are not its business, and are not told again and again. */
		{{"healthcheck"}, "METRICS_ADDR=0.0.0.0:1\nWORKERS=none\nBROKER_TLS=off\n", 1,
			"cashewd healthcheck: http://127.0.0.1:1/healthz: "},
		{{"healthcheck", "--ready"}, "METRICS_ADDR=127.0.0.1:1\n", 1,
			"cashewd healthcheck: http://127.0.0.1:1/readyz: "},
		{{"healthcheck"}, "nonsense\n", 1, ".env:1: this line is neither NAME=value nor a comment"},
		{{"healthcheck", "--env-file", "missing.env"}, "", 1,
			"missing.env: cannot be opened: No such file or directory"},
		{{"healthcheck", "--redy"}, "", 64, "see cashewd healthcheck --help"},
		{{"healthcheck", "ready"}, "", 64,
			"cashewd healthcheck: unexpected argument 'ready'; see cashewd healthcheck --help"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unlink(".env");
		write_file(".env", cases[i].env, 0600);
		run_in(no_environment, &got, cases[i].arguments);
		assert_int_equal(got.code, cases[i].code);
		assert_string_equal(got.out, "");
		assert_holds(got.err, cases[i].error);
		assert_null(strstr(got.err, "WORKERS"));
	}
}

/* A secret in a file of its own: used, masked, and not looked for in two places. */
static void test_secret_file(void **state)
{
	(void)state;
	write_file(".env", "BROKER_HOST=localhost\nMONGO_DB_URL=mongodb://127.0.0.1\nJWT_SECRET_FILE=in\n",
		0600);
	write_file("in", SECRET "\n", 0600);
	RUN(&got, "--check");
	assert_string_equal(got.err, "");
	assert_int_equal(got.code, 0);
	assert_holds(got.out, "JWT_SECRET=********\n");
	assert_null(strstr(got.out, SECRET));
	char secret[] = "JWT_SECRET=" SECRET;
	char *const environment[] = {secret, NULL};
	run_in(environment, &got, (const char *const[]){"--check", NULL});
	assert_int_equal(got.code, 78);
	assert_holds(got.err, ".env:3: JWT_SECRET_FILE: JWT_SECRET is set as well: expected one of them\n");
	assert_null(strstr(got.err, SECRET));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_healthcheck),
		IN_FOLDER(test_secret_file),
	};
	return cmocka_run_group_tests_name("cashewd healthcheck", tests, NULL, NULL);
}
