/* Tests of settings_secret_file.c: secrets in files of their own, which NAME_FILE names. */
#include "failing_malloc.h"
#include "settings_outcome.h"

#define LONG_SECRET "0123456789abcdef0123456789abcdef"
#define OWN	    "APPLES_KEY=hunter2\n"

static char folder[] = "/tmp/cashewd-secret-XXXXXX";
static char path[64], fifo[64];

static void write_secret(const char *bytes, size_t size, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, size), size);
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
}

/* In the text the first %s, if there is one, is the file's path. */
static const char *with_path(const char *format, char ret[static 1024])
{
	const char *at = strstr(format, "%s");
	if (!at)
		return format;
	snprintf(ret, 1024, "%.*s%s%s", (int)(at - format), format, path, at + 2);
	return ret;
}

static void test_found(void **state)
{
	static const struct {
		const char *name;
		const char *secret; /* what the file holds */
		const char *file, *environment;
		const char *setting, *expected;
	} cases[] = {
		{"named in .env", LONG_SECRET, BROKER URL OWN "JWT_SECRET_FILE=%s\n", NULL, "JWT_SECRET",
			LONG_SECRET},
		{"named in the environment", LONG_SECRET, BROKER URL OWN, "JWT_SECRET_FILE=%s", "JWT_SECRET",
			LONG_SECRET},
		{"the environment's name counts", LONG_SECRET,
			BROKER URL OWN "JWT_SECRET_FILE=/nonexistent/secret\n", "JWT_SECRET_FILE=%s",
			"JWT_SECRET", LONG_SECRET},
		{"a line end", LONG_SECRET "\n", BROKER URL OWN "JWT_SECRET_FILE=%s\n", NULL, "JWT_SECRET",
			LONG_SECRET},
		{"a line end of Windows", LONG_SECRET "\r\n", BROKER URL OWN "JWT_SECRET_FILE=%s\n", NULL,
			"JWT_SECRET", LONG_SECRET},
		{"an empty setting is none", LONG_SECRET, BROKER URL OWN "JWT_SECRET=\nJWT_SECRET_FILE=%s\n",
			NULL, "JWT_SECRET", LONG_SECRET},
		{"an empty name is none", "", ENOUGH OWN "JWT_SECRET_FILE=\n", NULL, "JWT_SECRET",
			LONG_SECRET},
		{"handlers' secret", LONG_SECRET "x", ENOUGH OWN "JWT_HANDLER_SECRET_FILE=%s\n", NULL,
			"JWT_HANDLER_SECRET", LONG_SECRET "x"},
		{"connection string", "mongodb://u:p@127.0.0.1/\n",
			SECRET BROKER OWN "MONGO_DB_URL_FILE=%s\n", NULL, "MONGO_DB_URL",
			"mongodb://u:p@127.0.0.1/"},
		{"proxy", "http://u:p@127.0.0.1:3128\n", ENOUGH OWN "BROKER_PROXY_FILE=%s\n", NULL,
			"BROKER_PROXY", "http://u:p@127.0.0.1:3128"},
		{"token of Loggly", "abc-def\n", ENOUGH OWN "LOGGLY_TOKEN_FILE=%s\n", NULL, "LOGGLY_TOKEN",
			"abc-def"},
		{"a handler's own secret", "hunter3\n", ENOUGH "APPLES_KEY_FILE=%s\n", NULL, "APPLES_KEY",
			"hunter3"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[1024], variable[1024] = "";
		print_message("  %s\n", cases[i].name);
		write_secret(cases[i].secret, strlen(cases[i].secret), 0600);
		if (cases[i].environment)
			strcpy(variable, with_path(cases[i].environment, (char[1024]){""}));
		char *const environment[] = {variable, NULL};
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(with_path(cases[i].file, file), environment, own_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, "");
		const char *found = settings_own_value(&got.settings, cases[i].setting);
		for (size_t k = 0; k < settings_count; k++)
			if (strcmp(settings_table[k].name, cases[i].setting) == 0)
				found = *(const char **)((char *)&got.settings + settings_table[k].offset);
		assert_string_equal(found, cases[i].expected);
	}
}

static char large[64 * 1024 + 2];

static void test_problems(void **state)
{
	static const struct {
		const char *name;
		const char *secret; /* what the file holds */
		size_t size;	    /* of that; 0: as long as the text is */
		const char *file;
		const char *problem; /* all of them */
	} cases[] = {
		{"both", LONG_SECRET, 0, ENOUGH OWN "JWT_SECRET_FILE=%s\n",
			".env:5: JWT_SECRET_FILE: JWT_SECRET is set as well: expected one of them\n"},
		{"both of a handler's", "hunter3", 0, ENOUGH OWN "APPLES_KEY_FILE=%s\n",
			".env:5: APPLES_KEY_FILE: APPLES_KEY is set as well: expected one of them\n"},
		{"empty", "", 0, BROKER URL OWN "JWT_SECRET_FILE=%s\n",
			".env:4: JWT_SECRET_FILE=%s: it is empty: expected a secret, as text\n"},
		{"a line end alone", "\n", 0, BROKER SECRET OWN "MONGO_DB_URL_FILE=%s\n",
			".env:4: MONGO_DB_URL_FILE=%s: it is empty: expected a secret, as text\n"},
		{"a NUL byte",
			"0123456789abcdef\0"
			"0123456789abcdef",
			33, BROKER URL OWN "JWT_SECRET_FILE=%s\n",
			".env:4: JWT_SECRET_FILE=%s: it holds a NUL byte: expected a secret, as text\n"},
		{"too large", large, sizeof(large) - 1, BROKER URL OWN "JWT_SECRET_FILE=%s\n",
			".env:4: JWT_SECRET_FILE=%s: it is larger than 64 KiB: expected a file that holds a secret and nothing else\n"},
		{"more than the setting takes", large, 257, ENOUGH OWN "LOGGLY_TOKEN_FILE=%s\n",
			"%s:1: LOGGLY_TOKEN: expected 0 to 256 bytes of A-Z a-z 0-9 . _ | -\n"},
		{"too short a secret", "hunter4\n", 0, BROKER URL OWN "JWT_SECRET_FILE=%s\n",
			"JWT_SECRET: it has 7 bytes: expected 32 or more (openssl rand -base64 48 makes one); for trials ALLOW_SHORT_SECRET=on accepts "
			"it\n"},
		{"missing", "", 0, BROKER URL OWN "JWT_SECRET_FILE=%s.gone\n",
			".env:4: JWT_SECRET_FILE=%s.gone: it cannot be read: No such file or directory\n"},
		{"missing, of a handler", "", 0, ENOUGH "APPLES_KEY_FILE=%s.gone\n",
			".env:4: APPLES_KEY_FILE=%s.gone: it cannot be read: No such file or directory\n"},
		{"a folder", "", 0, BROKER URL OWN "JWT_SECRET_FILE=/tmp\n",
			".env:4: JWT_SECRET_FILE=/tmp: it is not a regular file: expected one, since it is read again at SIGHUP\n"},
		{"the secret itself", "", 0, BROKER URL OWN "JWT_SECRET_FILE=/3same+abcdef0123456789abcdef\n",
			".env:4: JWT_SECRET_FILE: it cannot be read: No such file or directory (its name is not shown, as it may be the secret itself)\n"},
		{"the connection string itself", "", 0,
			BROKER SECRET OWN "MONGO_DB_URL_FILE=mongodb://u:3same@h/\n",
			".env:4: MONGO_DB_URL_FILE: it cannot be read: No such file or directory (its name is not shown, as it may be the secret itself)\n"},
		{"nearly the name", "", 0, ENOUGH OWN "JWT_SECRET_FIL=x\n",
			".env:5: JWT_SECRET_FIL: there is no setting of that name; did you mean JWT_SECRET_FILE?\n"},
		{"a file for what is no secret", "", 0,
			ENOUGH OWN "HANDLER_NAME_FILE=x\nAPPLES_LIMIT_FILE=x\n",
			".env:5: HANDLER_NAME_FILE: there is no setting of that name; did you mean HANDLER_TOKEN_FILE?\n"
			".env:6: APPLES_LIMIT_FILE: there is no setting of that name; did you mean APPLES_LIMIT?\n"},
	};
	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[1024], problem[1024];
		const size_t size = cases[i].size > 0 ? cases[i].size : strlen(cases[i].secret);
		print_message("  %s\n", cases[i].name);
		write_secret(cases[i].secret, size, 0600);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(with_path(cases[i].file, file), no_environment, own_handlers);
		assert_string_equal(got.problems, with_path(cases[i].problem, problem));
		assert_int_equal(got.result, SETTINGS_E_INVALID);
		assert_null(strstr(got.warnings, "hunter"));
		assert_null(strstr(got.warnings, "3same"));
	}
}

/* Nobody waits for what is to be written into it. */
static void test_fifo(void **state)
{
	(void)state;
	char file[256], problem[256];
	snprintf(file, sizeof(file), BROKER URL OWN "JWT_SECRET_FILE=%s\n", fifo);
	snprintf(problem, sizeof(problem),
		".env:4: JWT_SECRET_FILE=%s: it is not a regular file: expected one, since it is read again at SIGHUP\n",
		fifo);
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(file, no_environment, own_handlers);
	assert_string_equal(got.problems, problem);
}

static void test_rights(void **state)
{
	static const struct {
		mode_t mode;
		const char *warning;
	} cases[] = {
		{0600, ""},
		{0400, ""},
		{0440, ""},
		{0644, "JWT_SECRET_FILE=%s: everybody can read it (mode 0644), and it holds a secret: chmod o-r it\n"},
		{0620, "JWT_SECRET_FILE=%s: others can write to it (mode 0620): chmod go-w it\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[1024], warning[1024];
		write_secret(LONG_SECRET, strlen(LONG_SECRET), cases[i].mode);
		__attribute__((cleanup(outcome_free))) struct outcome got = read_with(
			with_path(BROKER URL OWN "JWT_SECRET_FILE=%s\n", file), no_environment, own_handlers);
		assert_int_equal(got.result, 0);
		assert_string_equal(got.warnings, with_path(cases[i].warning, warning));
	}
}

static unsigned visited;

static int visit(const char *secret)
{
	visited += strcmp(secret, LONG_SECRET) == 0;
	return 0;
}

/* What is read is a secret as any other: masked, hidden from the log, handed to the host; and read anew each time. */
static void test_is_a_secret(void **state)
{
	(void)state;
	char file[1024], *text = NULL;
	size_t size;
	write_secret(LONG_SECRET "\n", strlen(LONG_SECRET) + 1, 0600);
	with_path(BROKER URL OWN "JWT_SECRET_FILE=%s\n", file);
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(file, no_environment, own_handlers);
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	settings_print(&got.settings, out);
	fclose(out);
	assert_int_equal(strncmp(text, "JWT_SECRET=********\n", 20), 0);
	assert_null(strstr(text, LONG_SECRET));
	free(text);
	visited = 0;
	assert_int_equal(settings_secrets(&got.settings, visit), 0);
	assert_int_equal(visited, 1);
	out = open_memstream(&text, &size);
	assert_non_null(out);
	settings_write(&got.settings, out);
	fclose(out);
	assert_non_null(memmem(text, size, "JWT_SECRET=" LONG_SECRET, strlen("JWT_SECRET=" LONG_SECRET) + 1));
	assert_null(memmem(text, size, "JWT_SECRET_FILE", strlen("JWT_SECRET_FILE")));
	free(text);

	write_secret(LONG_SECRET "again", strlen(LONG_SECRET "again"), 0600);
	__attribute__((cleanup(outcome_free))) struct outcome again =
		read_with(file, no_environment, own_handlers);
	assert_string_equal(again.settings.jwt_secret, LONG_SECRET "again");
}

/* A program that needs a few settings finds their secrets in the same way. */
static void test_read_some(void **state)
{
	(void)state;
	static const char *const names[] = {"MONGO_DB_URL", NULL};
	char variable[128], other[] = "JWT_SECRET_FILE=/nonexistent/secret";
	struct settings settings;
	write_secret("mongodb://u:p@h/\n", 17, 0600);
	snprintf(variable, sizeof(variable), "MONGO_DB_URL_FILE=%s", path);
	char *const environment[] = {variable, other, NULL};
	assert_int_equal(
		settings_read_some("/nonexistent/.env", environment, names, stderr, stderr, &settings), 0);
	assert_string_equal(settings.mongo_db_url, "mongodb://u:p@h/");
	settings_free(&settings);
}

/* A name that is cashewd's is no handler's; a handler's that only looks like one stays the handler's. */
static void test_declarations(void **state)
{
	(void)state;
	static const struct cashew_setting stolen[] = {
		{.name = "JWT_SECRET_FILE", .default_value = ""}, {.name = NULL}};
	static const struct cashew_setting pair[] = {{.name = "KEY", .secret = true, .default_value = "none"},
		{.name = "KEY_FILE", .default_value = "/nonexistent/key"}, {.name = NULL}};
	static const struct cashew_handler thief = {.name = "thief", .settings = stolen};
	static const struct cashew_handler lock = {.name = "lock", .settings = pair};
	const struct cashew_handler *const thieves[] = {&thief, NULL}, *const locks[] = {&lock, NULL};
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH, no_environment, thieves);
	assert_string_equal(got.problems,
		"handler thief declares a setting JWT_SECRET_FILE: that is a setting of cashewd's own\n");
	__attribute__((cleanup(outcome_free))) struct outcome kept =
		read_with(ENOUGH "KEY_FILE=/nonexistent/other\n", no_environment, locks);
	assert_string_equal(kept.problems, "");
	assert_string_equal(settings_own_value(&kept.settings, "KEY"), "none");
	assert_string_equal(settings_own_value(&kept.settings, "KEY_FILE"), "/nonexistent/other");
}

/* Each allocation fails, alone and with all later ones; what leaks, a sanitizer tells. */
static void test_out_of_memory(void **state)
{
	(void)state;
	FILE *null = fopen("/dev/null", "we");
	assert_non_null(null);
	char variable[128], secret[] = SECRET, broker[] = "BROKER_HOST=localhost",
			    url[] = "MONGO_DB_URL=mongodb://h";
	secret[strcspn(secret, "\n")] = '\0';
	write_secret("hunter2\n", 8, 0600);
	snprintf(variable, sizeof(variable), "APPLES_KEY_FILE=%s", path);
	char *const environment[] = {variable, secret, broker, url, NULL};
	for (unsigned i = 0; i < 2; i++) {
		bool failed = true;
		size_t n = 1;
		for (; failed; n++) {
			struct settings settings;
			failing_malloc_start(n, i == 1);
			const int result = settings_read(
				"/nonexistent/.env", environment, own_handlers, null, null, &settings);
			failed = failing_malloc_stop();
			if (result != (failed ? -ENOMEM : 0))
				fail_msg("allocation %zu: %d", n, result);
			if (!failed)
				settings_free(&settings);
		}
		/* The declarations, the names, the file's bytes, the secret, the texts; and one call more, in which none failed. */
		assert_int_equal(n - 1, 5 + 1);
	}
	fclose(null);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/secret", folder);
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	return mkfifo(fifo, 0600);
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	unlink(fifo);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_is_a_secret),
		cmocka_unit_test(test_read_some),
		cmocka_unit_test(test_declarations),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests_name("secrets in files", tests, make_folder, remove_folder);
}
