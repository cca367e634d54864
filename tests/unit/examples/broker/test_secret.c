/* test_secret.c - secret.c of the broker's plugin: where the secret comes from, and what is no secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "secret.c"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LONG	     "0123456789abcdef0123456789abcdef"

static char path[] = "/tmp/cashew-secret-test-XXXXXX";

static int make_file(void **state)
{
	(void)state;
	strcpy(path + sizeof(path) - sizeof("XXXXXX"), "XXXXXX");
	const int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	unsetenv("JWT_SECRET");
	return unlink(path);
}

static void write_bytes(const char *bytes, size_t size)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void files(void **state)
{
	(void)state;
#define BYTES(text) text, sizeof(text) - 1
	static const struct {
		const char *bytes;
		size_t size;
		bool allow_short;
		const char *secret, *reason; /* one of them */
	} cases[] = {
		{BYTES(LONG), false, LONG, NULL},
		{BYTES(LONG "\n"), false, LONG, NULL},
		{BYTES(LONG "\r\n"), false, LONG, NULL},
		{BYTES(LONG "\n\n"), false, LONG "\n", NULL},
		{BYTES(" " LONG " "), false, " " LONG " ", NULL},
		{BYTES("short\n"), true, "short", NULL},
		{BYTES("0123456789abcdef0123456789abcde\n"), false, NULL, "has 31 bytes: HS256 wants 32"},
		{BYTES(""), false, NULL, "is empty"},
		{BYTES("\n"), true, NULL, "is empty"},
		{BYTES(LONG "\0" LONG), false, NULL, "holds a NUL byte"},
		{BYTES("\0"), true, NULL, "holds a NUL byte"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *secret = NULL, reason[SECRET_REASON_SIZE] = "";
		bool others = true;
		write_bytes(cases[i].bytes, cases[i].size);
		const int error = secret_read(path, cases[i].allow_short, &secret, &others, reason);
		if (cases[i].secret) {
			assert_int_equal(error, 0);
			assert_string_equal(secret, cases[i].secret);
			assert_false(others);
		} else {
			assert_int_equal(error, SECRET_E_UNUSABLE);
			assert_non_null(strstr(reason, cases[i].reason));
			assert_null(strstr(reason, "0123"));
			assert_null(secret);
		}
		secret_free(secret);
	}
}

static void sizes(void **state)
{
	(void)state;
	static char bytes[SECRET_MAX + 10];
	memset(bytes, 'x', sizeof(bytes));
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	bool others;
	write_bytes(bytes, SECRET_MAX);
	assert_int_equal(secret_read(path, false, &secret, &others, reason), 0);
	assert_int_equal(strlen(secret), SECRET_MAX);
	secret_free(secret);
	for (size_t more = 1; more <= 9; more++) {
		write_bytes(bytes, SECRET_MAX + more);
		assert_int_equal(secret_read(path, false, &secret, &others, reason), SECRET_E_UNUSABLE);
		assert_non_null(strstr(reason, "is larger than"));
	}
}

static void others_can_read(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	bool others = false;
	write_bytes(BYTES(LONG));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(secret_read(path, false, &secret, &others, reason), 0);
	assert_true(others);
	secret_free(secret);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(secret_read(path, false, &secret, &others, reason), 0);
	assert_false(others);
	secret_free(secret);
}

static void no_file(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	bool others;
	assert_int_equal(secret_read("/nowhere/secret", false, &secret, &others, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "/nowhere/secret cannot be read: No such file or directory"));
	assert_int_equal(secret_read("/tmp", false, &secret, &others, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "/tmp cannot be read: Is a directory"));
}

static void environment(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	bool others = true;
	setenv("JWT_SECRET", LONG, 1);
	assert_int_equal(secret_read(NULL, false, &secret, &others, reason), 0);
	assert_string_equal(secret, LONG);
	assert_false(others);
	secret_free(secret);
	setenv("JWT_SECRET", "", 1);
	assert_int_equal(secret_read(NULL, true, &secret, &others, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "JWT_SECRET is empty"));
	unsetenv("JWT_SECRET");
	assert_int_equal(secret_read(NULL, true, &secret, &others, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "JWT_SECRET is not set"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, make_file, remove_file),
		cmocka_unit_test_setup_teardown(sizes, make_file, remove_file),
		cmocka_unit_test_setup_teardown(others_can_read, make_file, remove_file),
		cmocka_unit_test_setup_teardown(no_file, make_file, remove_file),
		cmocka_unit_test_setup_teardown(environment, make_file, remove_file),
	};
	return cmocka_run_group_tests_name("broker_secret", tests, NULL, NULL);
}
