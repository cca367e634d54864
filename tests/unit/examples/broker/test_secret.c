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
		const char *oddity;	     /* a part of it; NULL: none */
	} cases[] = {
		{BYTES(LONG), false, LONG, NULL},
		{BYTES(LONG "\n"), false, LONG, NULL},
		{BYTES(LONG "\r\n"), false, LONG, NULL},
		{BYTES(LONG "\n\n"), false, LONG "\n", NULL, "ends with a blank or a line end"},
		{BYTES(LONG "\r"), false, LONG, NULL},
		{BYTES(" " LONG " "), false, " " LONG " ", NULL, "begins with a blank"},
		{BYTES("\"" LONG "\"\n"), false, "\"" LONG "\"", NULL, "begins and ends with a quote"},
		{BYTES("\xef\xbb\xbf" LONG "\r\n"), false, "\xef\xbb\xbf" LONG, NULL, "byte order mark"},
		{BYTES("${JWT_SECRET_OF_PRODUCTION_BROKER}"), false, "${JWT_SECRET_OF_PRODUCTION_BROKER}",
			NULL, "${}"},
		{BYTES("short\n"), true, "short", NULL},
		{BYTES("0123456789abcdef0123456789abcde\n"), false, NULL, "has 31 bytes: HS256 wants 32"},
		{BYTES(""), false, NULL, "is empty"},
		{BYTES("\n"), true, NULL, "is empty"},
		{BYTES(LONG "\0" LONG), false, NULL, "holds a NUL byte"},
		{BYTES("\0"), true, NULL, "holds a NUL byte"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *secret = NULL, reason[SECRET_REASON_SIZE] = "";
		struct secret_notes notes = {.readable_by_others = true};
		write_bytes(cases[i].bytes, cases[i].size);
		const int error =
			secret_read(SECRET_USERS, path, cases[i].allow_short, &secret, &notes, reason);
		if (cases[i].secret) {
			assert_int_equal(error, 0);
			assert_string_equal(secret, cases[i].secret);
			assert_int_equal(notes.oddity != NULL, cases[i].oddity != NULL);
			if (cases[i].oddity)
				assert_non_null(strstr(notes.oddity, cases[i].oddity));
			assert_false(notes.readable_by_others);
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
	struct secret_notes notes;
	write_bytes(bytes, SECRET_MAX);
	assert_int_equal(secret_read(SECRET_USERS, path, false, &secret, &notes, reason), 0);
	assert_int_equal(strlen(secret), SECRET_MAX);
	secret_free(secret);
	for (size_t more = 1; more <= 9; more++) {
		write_bytes(bytes, SECRET_MAX + more);
		assert_int_equal(
			secret_read(SECRET_USERS, path, false, &secret, &notes, reason), SECRET_E_UNUSABLE);
		assert_non_null(strstr(reason, "is larger than"));
	}
}

static void others_can_read(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	struct secret_notes notes = {.readable_by_others = false};
	write_bytes(BYTES(LONG));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(secret_read(SECRET_USERS, path, false, &secret, &notes, reason), 0);
	assert_true(notes.readable_by_others);
	secret_free(secret);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(secret_read(SECRET_USERS, path, false, &secret, &notes, reason), 0);
	assert_false(notes.readable_by_others);
	secret_free(secret);
}

static void others_can_change_it(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		bool foreign;
		const char *doubt; /* a part of it; "": none */
	} cases[] = {{0600, false, ""}, {0640, false, ""},
		{0660, false, "others can write to it (mode 0660)"},
		{0606, false, "others can write to it (mode 0606)"},
		{0600, true, "it belongs to another user (uid 65534)"}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *secret = NULL, reason[SECRET_REASON_SIZE];
		struct secret_notes notes = {.oddity = NULL};
		if (cases[i].foreign && geteuid() != 0)
			continue;
		write_bytes(BYTES(LONG));
		assert_int_equal(chmod(path, cases[i].mode), 0);
		assert_int_equal(chown(path, cases[i].foreign ? 65534 : geteuid(), (gid_t)-1), 0);
		assert_int_equal(secret_read(SECRET_USERS, path, false, &secret, &notes, reason), 0);
		assert_non_null(strstr(notes.doubt, cases[i].doubt));
		assert_int_equal(notes.doubt[0] == '\0', cases[i].doubt[0] == '\0');
		secret_free(secret);
	}
}

static void one_character(void **state)
{
	(void)state;
	static const char *const secrets[] = {LONG, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < COUNT(secrets); i++) {
		char *secret = NULL, reason[SECRET_REASON_SIZE];
		struct secret_notes notes;
		write_bytes(secrets[i], strlen(secrets[i]));
		assert_int_equal(secret_read(SECRET_USERS, path, false, &secret, &notes, reason), 0);
		assert_int_equal(notes.repeats, i == 1);
		secret_free(secret);
	}
}

static void no_file(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	struct secret_notes notes;
	assert_int_equal(secret_read(SECRET_USERS, "/nowhere/secret", false, &secret, &notes, reason),
		SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "/nowhere/secret cannot be read: No such file or directory"));
	assert_int_equal(
		secret_read(SECRET_USERS, "/tmp", false, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "/tmp cannot be read: Is a directory"));
	assert_int_equal(
		secret_read(SECRET_USERS, "/dev/null", false, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "/dev/null is not a regular file"));
	/* It has no other end, and must not be waited for. */
	char fifo[] = "/tmp/cashew-fifo-test-XXXXXX";
	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(secret_read(SECRET_USERS, fifo, false, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_int_equal(unlink(fifo), 0);
	assert_non_null(strstr(reason, "is not a regular file"));
}

static void environment(void **state)
{
	(void)state;
	char *secret = NULL, reason[SECRET_REASON_SIZE];
	struct secret_notes notes = {.readable_by_others = true};
	setenv("JWT_SECRET", LONG, 1);
	assert_int_equal(secret_read(SECRET_USERS, NULL, false, &secret, &notes, reason), 0);
	assert_string_equal(secret, LONG);
	assert_false(notes.readable_by_others);
	secret_free(secret);
	/* As in a file. */
	setenv("JWT_SECRET", "'" LONG "'\n", 1);
	assert_int_equal(secret_read(SECRET_USERS, NULL, false, &secret, &notes, reason), 0);
	assert_string_equal(secret, "'" LONG "'");
	assert_non_null(strstr(notes.oddity, "begins and ends with a quote"));
	secret_free(secret);
	setenv("JWT_SECRET", "\n", 1);
	assert_int_equal(secret_read(SECRET_USERS, NULL, true, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "JWT_SECRET is empty"));
	setenv("JWT_SECRET", "", 1);
	assert_int_equal(secret_read(SECRET_USERS, NULL, true, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "JWT_SECRET is empty"));
	unsetenv("JWT_SECRET");
	assert_int_equal(secret_read(SECRET_USERS, NULL, true, &secret, &notes, reason), SECRET_E_UNUSABLE);
	assert_non_null(strstr(reason, "JWT_SECRET is not set"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, make_file, remove_file),
		cmocka_unit_test_setup_teardown(sizes, make_file, remove_file),
		cmocka_unit_test_setup_teardown(others_can_read, make_file, remove_file),
		cmocka_unit_test_setup_teardown(others_can_change_it, make_file, remove_file),
		cmocka_unit_test_setup_teardown(one_character, make_file, remove_file),
		cmocka_unit_test_setup_teardown(no_file, make_file, remove_file),
		cmocka_unit_test_setup_teardown(environment, make_file, remove_file),
	};
	return cmocka_run_group_tests_name("broker_secret", tests, NULL, NULL);
}
