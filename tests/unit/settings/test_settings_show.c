/* Tests of settings_show.c, and of .env.example, which must agree with the table of settings. */
#include "settings_outcome.h"

static char *printed(const struct settings *settings)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	settings_print(settings, out);
	fclose(out);
	return text;
}

static void test_print(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got = read_with(SECRET BROKER
		"MONGO_DB_URL=mongodb://u:hunter2@h/\nAPPLES_KEY=hunter3\nLOGGLY_TOKEN=hunter4\n"
		"BROKER_PROXY=http://p:hunter5@h:3128\n",
		no_environment, own_handlers);
	assert_string_equal(got.problems, "");
	char *text = printed(&got.settings);
	static const char expected[] =
		"JWT_SECRET=********\nJWT_HANDLER_SECRET=\nHANDLER_NAME=cashewd\nHANDLER_TOKEN_FILE=\nTOKEN_LIFETIME=3600\nALLOW_SHORT_SECRET=off\n"
		"BROKER_HOST=localhost\nBROKER_PORT=8883\nBROKER_TLS=on\nBROKER_TRANSPORT=tcp\nBROKER_PATH=/mqtt\nBROKER_PROXY=http://p:********@h:3128\nBROKER_CA_FILE=\nBROKER_CERT_FILE=\nBROKER_KEY_FILE=\n"
		"BROKER_USER=JWT\nCLIENT_ID=cashewd\nSHARED_GROUP=\nKEEPALIVE=60\nSESSION_EXPIRY=604800\nSTANDBY_RETRY=30\n"
		"MONGO_DB_URL=mongodb://u:********@h/\nMONGO_DB_NAME=\nDEAD_LETTER_DAYS=90\nHANDLERS=\nWORKERS=8\nHANDLER_TIMEOUT=10\n"
		"STOP_TIMEOUT=12\nMAX_ATTEMPTS=10\nCRASH_LIMIT=3\nHOST_RSS_MAX=134217728\n"
		"WINDOW=8000\nUSER_WINDOW=500\nPAYLOAD_MAX=131072\n"
		"EVENT_MAX=131072\nLOG_LEVEL=info\nLOG_FORMAT=auto\nLOG_PAYLOADS=off\nLOGGLY_TOKEN=********\n"
		"LOGGLY_SUBDOMAIN=\nLOGGLY_TAGS=cashewd\nLOGGLY_URL=https://logs-01.loggly.com\nLOGGLY_CA_FILE=\n"
		"LOG_SPOOL_DIR=log-spool\nLOG_SPOOL_MAX=268435456\nMETRICS_ADDR=127.0.0.1:9883\nMETRICS_HOSTS=\n"
		"APPLES_LIMIT=3\nAPPLES_KEY=********\n";
	assert_string_equal(text, expected);
	free(text);
}

/* Another process reads as its environment what was written, secrets as they are, and has the same. */
static void test_write(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got = read_with(SECRET BROKER
		"MONGO_DB_URL=mongodb://u:hunter2@h/\nAPPLES_KEY=\"hunter 3\\n\\n\"\nWORKERS=3\nPAYLOAD_MAX=1M\n"
		"BROKER_TLS=off\nLOG_LEVEL=debug\nWINDOW=9000\nBROKER_PROXY=http://p:hunter5@h:3128\n",
		no_environment, own_handlers);
	assert_string_equal(got.problems, "");
	char *text = NULL, *variables[100] = {NULL};
	size_t size = 0, count = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	settings_write(&got.settings, out);
	fclose(out);
	for (char *at = text; at < text + size; at += strlen(at) + 1)
		variables[count++] = at;
	struct settings same;
	assert_int_equal(settings_read(NULL, variables, own_handlers, stderr, stderr, &same), 0);
	assert_string_equal(same.jwt_secret, got.settings.jwt_secret);
	assert_string_equal(same.mongo_db_url, "mongodb://u:hunter2@h/");
	assert_string_equal(same.broker_proxy, "http://p:hunter5@h:3128");
	/* One line end is none of a secret's, and what is handed on loses no other one. */
	assert_string_equal(settings_own_value(&same, "APPLES_KEY"), "hunter 3\n");
	assert_int_equal(same.payload_max, 1 << 20);
	char *before = printed(&got.settings), *after = printed(&same);
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(text);
	settings_free(&same);
}

static void test_masked_urls(void **state)
{
	(void)state;
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{"mongodb://h:27017/?w=1", "mongodb://h:27017/?w=1"},
		{"mongodb://user@h/", "mongodb://user@h/"},
		{"mongodb://user:p@h1,h2/db?a=b&c=d", "mongodb://user:********@h1,h2/db?a=b&c=d"},
		{"mongodb://user:p@ss/w?rd@h/", "mongodb://user:********@h/"},
		{"mongodb+srv://user:p@h", "mongodb+srv://user:********@h"},
		{"mongodb://h/?tls=true&tlsCertificateKeyFilePassword=hunter2&w=1",
			"mongodb://h/?tls=true&tlsCertificateKeyFilePassword=********&w=1"},
		{"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
			"mongodb://h/?authMechanismProperties=********"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(ENOUGH, no_environment, plain_handlers);
		got.settings.mongo_db_url = cases[i].url;
		char *text = printed(&got.settings);
		char line[200];
		snprintf(line, sizeof(line), "\nMONGO_DB_URL=%s\n", cases[i].shown);
		assert_non_null(strstr(text, line));
		free(text);
	}
}

static char *written(void (*write_to)(FILE *))
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	write_to(out);
	fclose(out);
	return text;
}

static void test_help(void **state)
{
	(void)state;
	char *help = written(settings_help), *markdown = written(settings_markdown);
	for (size_t i = 0; i < settings_count; i++) {
		char name[64];
		snprintf(name, sizeof(name), "\n  %s ", settings_table[i].name);
		assert_non_null(strstr(help, name));
		snprintf(name, sizeof(name), "\n| `%s` | ", settings_table[i].name);
		assert_non_null(strstr(markdown, name));
	}
	for (const char *line = help; *line != '\0'; line += strcspn(line, "\n") + 1)
		assert_in_range(strcspn(line, "\n"), 0, 80);
	free(help);
	free(markdown);
}

/* Every setting of the table stands once in .env.example: commented out with its default, or for one that
 * must be set with an example. With the defaults switched on it is read as if they were left out. */
static void test_example(void **state)
{
	(void)state;
	FILE *file = fopen(SOURCE_DIR "/.env.example", "re");
	assert_non_null(file);
	static char text[64 * 1024], uncommented[64 * 1024];
	const size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_in_range(size, 1, sizeof(text) - 2);
	char *made = written(settings_example);
	assert_string_equal(text, made);
	free(made);

	size_t at = 0, found = 0, set = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (line[0] == '#' && line[1] == ' ')
			continue;
		const bool is_comment = line[0] == '#';
		const struct setting *setting = &settings_table[found++];
		char expected[200];
		snprintf(expected, sizeof(expected), "%s=%s", setting->name,
			setting->default_value ? setting->default_value : setting->example);
		assert_string_equal(line + is_comment, expected);
		assert_true(
			is_comment || !setting->default_value || strcmp(setting->name, "JWT_SECRET") == 0);
		set += !is_comment;
		at += (size_t)snprintf(uncommented + at, sizeof(uncommented) - at, "%s\n", line + is_comment);
	}
	assert_int_equal(found, settings_count);
	assert_int_equal(set, 3);

	char secret[] = SECRET;
	secret[strcspn(secret, "\n")] = '\0';
	char *const environment[] = {secret, NULL};
	__attribute__((cleanup(outcome_free))) struct outcome all =
		read_with(uncommented, environment, plain_handlers);
	assert_string_equal(all.problems, "");
	__attribute__((cleanup(outcome_free))) struct outcome few =
		read_with("BROKER_HOST=mqtt.example.com\nMONGO_DB_URL=mongodb://127.0.0.1:27017\n",
			environment, plain_handlers);
	assert_string_equal(few.problems, "");
	char *all_text = printed(&all.settings), *few_text = printed(&few.settings);
	assert_string_equal(all_text, few_text);
	free(all_text);
	free(few_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_masked_urls),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_example),
	};
	return cmocka_run_group_tests_name("settings shown", tests, NULL, NULL);
}
