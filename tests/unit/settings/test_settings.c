/* Tests of settings.c and settings_check.c: which values are taken from where. Values that are wrong: test_settings_bad.c. */
#include "failing_malloc.h"
#include "settings_outcome.h"

#define LONG_SECRET "0123456789abcdef0123456789abcdef"

static void test_no_file(void **state)
{
	(void)state;
	char secret[] = "JWT_SECRET=" LONG_SECRET, broker[] = "BROKER_HOST=h",
	     url[] = "MONGO_DB_URL=mongodb://h";
	char workers[] = "WORKERS=0", expected[256];
	char *const whole[] = {secret, broker, url, NULL}, *const no_broker[] = {secret, url, NULL},
		    *const no_secret[] = {broker, url, NULL},
		    *const wrong[] = {secret, broker, url, workers, NULL};
	char *const *const cases[] = {no_broker, no_secret};
	for (size_t i = 0; i < 2; i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(NULL, cases[i], plain_handlers);
		assert_int_equal(got.result, SETTINGS_E_INVALID);
		snprintf(expected, sizeof(expected),
			"\nthere is no .env in %s: cashewd --settings-env > .env makes one to start from\n",
			got.folder);
		assert_non_null(strstr(got.problems, expected));
	}
	/* Not where it is not missed. */
	__attribute__((cleanup(outcome_free))) struct outcome good = read_with(NULL, whole, plain_handlers);
	assert_string_equal(good.problems, "");
	assert_string_equal(good.warnings, "");
	__attribute__((cleanup(outcome_free))) struct outcome bad = read_with(NULL, wrong, plain_handlers);
	assert_string_equal(bad.problems, "environment: WORKERS=0: expected a number from 1 to 512\n");
}

static void test_defaults(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH, no_environment, plain_handlers);
	assert_string_equal(got.problems, "");
	assert_string_equal(got.warnings, "");
	assert_int_equal(got.result, 0);
	const struct settings *s = &got.settings;
	assert_string_equal(s->jwt_secret, "0123456789abcdef0123456789abcdef");
	assert_string_equal(s->handler_name, "cashewd");
	assert_string_equal(s->handler_token_file, "");
	assert_int_equal(s->token_lifetime_s, 3600);
	assert_false(s->allow_short_secret);
	assert_string_equal(s->broker_host, "localhost");
	assert_int_equal(s->broker_port, 8883);
	assert_true(s->broker_tls);
	assert_string_equal(s->broker_ca_file, "");
	assert_string_equal(s->broker_cert_file, "");
	assert_string_equal(s->broker_key_file, "");
	assert_string_equal(s->client_id, "cashewd");
	assert_int_equal(s->keepalive_s, 60);
	assert_int_equal(s->session_expiry_s, 604800);
	assert_int_equal(s->standby_retry_s, 30);
	assert_string_equal(s->mongo_db_url, "mongodb://127.0.0.1");
	assert_string_equal(s->mongo_db_name, "");
	assert_string_equal(s->handlers, "");
	assert_int_equal(s->workers, 8);
	assert_int_equal(s->handler_timeout_s, 10);
	assert_int_equal(s->stop_timeout_s, 12);
	assert_int_equal(s->window, 8000);
	assert_int_equal(s->user_window, 500);
	assert_int_equal(s->payload_max, 131072);
	assert_int_equal(s->event_max, 131072);
	assert_int_equal(s->log_level, 2);
	assert_int_equal(s->log_format, 0);
	assert_string_equal(s->loggly_token, "");
	assert_string_equal(s->loggly_subdomain, "");
	assert_string_equal(s->loggly_tags, "cashewd");
	assert_string_equal(s->loggly_url, "https://logs-01.loggly.com");
	assert_string_equal(s->log_spool_dir, "log-spool");
	assert_int_equal(s->log_spool_max, 268435456);
	assert_false(s->log_payloads);
}

static void test_values(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got = read_with(
		"JWT_SECRET='short'\nALLOW_SHORT_SECRET=Yes\n" URL
		"BROKER_HOST=fe80::1\nBROKER_TLS=false\nBROKER_PORT=01883\n"
		"SESSION_EXPIRY=4294967294\nPAYLOAD_MAX=64k\nEVENT_MAX=1M\nLOG_LEVEL=DEBUG\n"
		"LOG_FORMAT=json\nKEEPALIVE=10\nHANDLER_TIMEOUT=3600\nWINDOW=20\nHANDLERS=get_apples , ping\n",
		no_environment, plain_handlers);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.result, 0);
	const struct settings *s = &got.settings;
	assert_string_equal(s->jwt_secret, "short");
	assert_true(s->allow_short_secret);
	assert_string_equal(s->broker_host, "fe80::1");
	assert_false(s->broker_tls);
	assert_int_equal(s->broker_port, 1883);
	assert_int_equal(s->session_expiry_s, 4294967294);
	assert_int_equal(s->payload_max, 65536);
	assert_int_equal(s->event_max, 1048576);
	assert_int_equal(s->log_level, 3);
	assert_int_equal(s->log_format, 2);
	/* Neither is bound to the other. */
	assert_int_equal(s->keepalive_s, 10);
	assert_int_equal(s->handler_timeout_s, 3600);
	assert_int_equal(s->window, 20);
	assert_string_equal(s->handlers, "get_apples , ping");
	assert_int_equal(s->broker_transport, BROKER_TRANSPORT_TCP);
	assert_string_equal(s->broker_path, "/mqtt");
	assert_string_equal(s->broker_proxy, "");
}

static void test_websocket(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH "BROKER_TRANSPORT=WebSocket\nBROKER_PATH=/a/b?c=%20d\n", no_environment,
			plain_handlers);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.settings.broker_transport, BROKER_TRANSPORT_WEBSOCKET);
	assert_string_equal(got.settings.broker_path, "/a/b?c=%20d");
	static const struct {
		const char *value, *told;
	} bad[] = {{"mqtt", "begins with /"}, {"/a b", "begins with /"}, {"'/a#b'", "begins with /"},
		{"/\303\244", "begins with /"}, {"\"/a\\nX: y\"", "without control characters"},
		{"/a\\b", "begins with /"}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text), ENOUGH "BROKER_PATH=%s\n", bad[i].value);
		__attribute__((cleanup(outcome_free))) struct outcome refused =
			read_with(text, no_environment, plain_handlers);
		assert_non_null(strstr(refused.problems, "BROKER_PATH"));
		assert_non_null(strstr(refused.problems, bad[i].told));
	}
	__attribute__((cleanup(outcome_free))) struct outcome other =
		read_with(ENOUGH "BROKER_TRANSPORT=quic\n", no_environment, plain_handlers);
	assert_non_null(strstr(other.problems, "BROKER_TRANSPORT=quic: expected one of"));
}

static void test_environment_wins(void **state)
{
	(void)state;
	char texts[][48] = {"PATH=/bin", "BROKER_PORTS=1", "BROKER_PORT=1884", "HANDLER_NAMES",
		"HANDLERS=", "KEEPALIVE=5"};
	char *const environment[] = {texts[0], texts[1], texts[2], texts[3], texts[4], NULL};
	char *const bad_environment[] = {texts[5], NULL};
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH "BROKER_PORT=nonsense\nHANDLERS=ping\n", environment, plain_handlers);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.result, 0);
	assert_int_equal(got.settings.broker_port, 1884);
	assert_string_equal(got.settings.handlers, "");
	__attribute__((cleanup(outcome_free))) struct outcome bad =
		read_with(ENOUGH, bad_environment, plain_handlers);
	assert_string_equal(bad.problems, "environment: KEEPALIVE=5: expected a number from 10 to 65535 s\n");
}

static void test_warnings(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH "KEEPALIVE=30\nBROKER_TLS=off\nBROKER_CA_FILE=/dev/null\nKEEPALIVE=40\n",
			no_environment, plain_handlers);
	assert_string_equal(got.problems, "");
	assert_string_equal(got.warnings,
		".env:4: KEEPALIVE is set again in line 7: the last one counts\n"
		"BROKER_TLS=off: BROKER_CA_FILE, BROKER_CERT_FILE and BROKER_KEY_FILE are not used\n");
	assert_int_equal(got.settings.keepalive_s, 40);
}

/* For one version they bring a warning that names what to do, and no refusal. */
static void test_retired(void **state)
{
	static const struct {
		const char *file;
		const char *environment[3];
		const char *warnings;
		unsigned window;
	} cases[] = {
		{ENOUGH "GROUP_MAX=7\n", {NULL},
			".env:4: GROUP_MAX is no setting any more and does nothing: remove it; WINDOW says how many commands may be held unacknowledged.\n",
			8000},
		{ENOUGH "GROUP_MAX=\nWINDOW=21\nGROUP_MS=rubbish\n", {NULL},
			".env:4: GROUP_MAX is no setting any more and does nothing: remove it; WINDOW says how many commands may be held "
			"unacknowledged.\n"
			".env:6: GROUP_MS is no setting any more and does nothing: remove it; each acknowledgement leaves as soon as those of the "
			"commands before it may.\n",
			21},
		{ENOUGH, {"GROUP_MS=250", "PATH=/bin"},
			"environment: GROUP_MS is no setting any more and does nothing: remove it; each acknowledgement leaves as soon as those of "
			"the commands before it may.\n",
			8000},
		{ENOUGH "WINDOW=0\n", {NULL},
			".env:4: WINDOW=0 counts as 8000: remove it, or set 20 to 65535\n", 8000},
		{ENOUGH "WINDOW=30\n", {"WINDOW=0"},
			"environment: WINDOW=0 counts as 8000: remove it, or set 20 to 65535\n", 8000},
		{ENOUGH "WINDOW=0\n", {"WINDOW=65535"}, "", 65535},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *environment[3] = {NULL};
		for (size_t n = 0; n < 3 && cases[i].environment[n]; n++)
			environment[n] = (char *)(uintptr_t)cases[i].environment[n];
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(cases[i].file, environment, plain_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, cases[i].warnings);
		assert_int_equal(got.result, 0);
		assert_int_equal(got.settings.window, cases[i].window);
	}
}

/* A handler may call its own setting as it likes. */
static void test_retired_name_of_a_handler(void **state)
{
	static const struct cashew_setting settings[] = {
		{.name = "GROUP_MAX", .default_value = "1"}, {.name = NULL}};
	static const struct cashew_handler grouping = {
		.name = "grouping", .topic = "+/grouping", .settings = settings};
	const struct cashew_handler *const handlers[] = {&grouping, NULL};
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH "GROUP_MAX=7\n", no_environment, handlers);
	assert_string_equal(got.problems, "");
	assert_string_equal(got.warnings, "");
	assert_string_equal(settings_own_value(&got.settings, "GROUP_MAX"), "7");
}

/* Quotes in a .env are the file's, as dotenv reads it; those of docker --env-file are the value's. */
static void test_odd_values(void **state)
{
	static const struct {
		const char *file;
		const char *environment; /* NULL: none */
		const char *secret, *url;
		const char *warnings;
	} cases[] = {
		{ENOUGH, NULL, LONG_SECRET, "mongodb://127.0.0.1", ""},
		{BROKER URL "JWT_SECRET=\"" LONG_SECRET "\"\n", NULL, LONG_SECRET, "mongodb://127.0.0.1", ""},
		{BROKER URL "JWT_SECRET=\"" LONG_SECRET "\\n\"\n", NULL, LONG_SECRET, "mongodb://127.0.0.1",
			""},
		{BROKER URL, "JWT_SECRET=" LONG_SECRET "\r\n", LONG_SECRET, "mongodb://127.0.0.1", ""},
		{SECRET BROKER, "MONGO_DB_URL=mongodb://h\n", LONG_SECRET, "mongodb://h", ""},
		{BROKER URL, "JWT_SECRET=" LONG_SECRET "\n\n", LONG_SECRET "\n", "mongodb://127.0.0.1",
			"environment: JWT_SECRET: the value ends with a blank or a line end: it is taken as it stands\n"},
		{BROKER URL, "JWT_SECRET=\"" LONG_SECRET "\"", "\"" LONG_SECRET "\"", "mongodb://127.0.0.1",
			"environment: JWT_SECRET: the value begins and ends with a quote: it is taken as it stands\n"},
		{BROKER URL "JWT_SECRET='\"" LONG_SECRET "\"'\n", NULL, "\"" LONG_SECRET "\"",
			"mongodb://127.0.0.1",
			".env:3: JWT_SECRET: the value begins and ends with a quote: it is taken as it stands\n"},
		{BROKER URL "JWT_SECRET=' " LONG_SECRET "'\n", NULL, " " LONG_SECRET, "mongodb://127.0.0.1",
			".env:3: JWT_SECRET: the value begins with a blank or a line end: it is taken as it stands\n"},
		{BROKER SECRET "MONGO_DB_URL=mongodb://u:${PASSWORD}@h\n", NULL, LONG_SECRET,
			"mongodb://u:${PASSWORD}@h",
			".env:3: MONGO_DB_URL: the value holds a name in ${} or $(), which nothing replaces here: it is taken as it stands\n"
			"MONGO_DB_URL: the password and all data go to another machine without TLS: add tls=true to its options\n"},
		{ENOUGH "HANDLER_NAME=x\n", "LOG_SPOOL_DIR='log spool'", LONG_SECRET, "mongodb://127.0.0.1",
			"environment: LOG_SPOOL_DIR: the value begins and ends with a quote: it is taken as it stands\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *const environment[] = {(char *)(uintptr_t)cases[i].environment, NULL};
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(cases[i].file, environment, plain_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, cases[i].warnings);
		assert_string_equal(got.settings.jwt_secret, cases[i].secret);
		assert_string_equal(got.settings.mongo_db_url, cases[i].url);
	}
	char key[] = "APPLES_KEY='hunter2'\n", limit[] = "APPLES_LIMIT=4\n";
	char *const environment[] = {key, limit, NULL};
	__attribute__((cleanup(outcome_free))) struct outcome own =
		read_with(ENOUGH, environment, own_handlers);
	assert_string_equal(own.warnings,
		"environment: APPLES_LIMIT: the value ends with a blank or a line end: it is taken as it stands\n"
		"environment: APPLES_KEY: the value begins and ends with a quote: it is taken as it stands\n");
	assert_string_equal(settings_own_value(&own.settings, "APPLES_KEY"), "'hunter2'");
	assert_string_equal(settings_own_value(&own.settings, "APPLES_LIMIT"), "4\n");
}

/* A .env is often shared with compose. What is nearly one of ours is refused, see bad_cases. */
static void test_others_names(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got = read_with(ENOUGH
		"TZ=Europe/Berlin\n\nCOMPOSE_PROJECT_NAME=orchard\nnpm_config_registry=http://127.0.0.1\nMONGO_INITDB_ROOT_PASSWORD=hunter2\n"
		"GROUP_MX=7\nHOST=h\nPORT=1\nPUID=1000\nDOMAIN=example.com\n",
		no_environment, own_handlers);
	assert_string_equal(got.problems,
		"APPLES_KEY: it is not set, and handler apples needs it. Key of the orchard.\n");
	assert_string_equal(got.warnings,
		".env:4: TZ is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:6: COMPOSE_PROJECT_NAME is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:7: what stands before the = is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:8: MONGO_INITDB_ROOT_PASSWORD is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:9: GROUP_MX is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:10: HOST is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:11: PORT is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:12: PUID is no setting of cashewd, and not used (--help settings lists them)\n"
		".env:13: DOMAIN is no setting of cashewd, and not used (--help settings lists them)\n");
}

static void test_own(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome missing =
		read_with(ENOUGH, no_environment, own_handlers);
	assert_string_equal(missing.problems,
		"APPLES_KEY: it is not set, and handler apples needs it. Key of the orchard.\n");

	__attribute__((cleanup(outcome_free))) struct outcome unused =
		read_with(ENOUGH "HANDLERS=ping\n", no_environment, own_handlers);
	assert_string_equal(unused.problems, "");
	assert_string_equal(settings_own_value(&unused.settings, "APPLES_LIMIT"), "3");
	assert_string_equal(settings_own_value(&unused.settings, "APPLES_KEY"), "");

	char limit[] = "APPLES_LIMIT=5";
	char *const environment[] = {limit, NULL};
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH "APPLES_LIMIT=4\nAPPLES_KEY=hunter2\n", environment, own_handlers);
	assert_string_equal(got.problems, "");
	assert_string_equal(settings_own_value(&got.settings, "APPLES_LIMIT"), "5");
	assert_string_equal(settings_own_value(&got.settings, "APPLES_KEY"), "hunter2");
	assert_null(settings_own_value(&got.settings, "JWT_SECRET"));

	__attribute__((cleanup(outcome_free))) struct outcome mistyped =
		read_with(ENOUGH "APPLES_LIMITS=4\nHANDLERS=ping\n", no_environment, own_handlers);
	assert_string_equal(mistyped.problems,
		".env:4: APPLES_LIMITS: there is no setting of that name; did you mean APPLES_LIMIT?\n");
}

static void test_bad_declarations(void **state)
{
	(void)state;
	static const struct cashew_setting stolen[] = {
		{.name = "JWT_SECRET", .default_value = ""}, {.name = NULL}};
	static const struct cashew_setting lower[] = {{.name = "limit", .default_value = ""}, {.name = NULL}};
	static const struct cashew_setting other[] = {
		{.name = "APPLES_LIMIT", .default_value = "4"}, {.name = NULL}};
	static const struct cashew_handler thief = {.name = "thief", .settings = stolen};
	static const struct cashew_handler small = {.name = "small", .settings = lower};
	static const struct cashew_handler plums = {.name = "plums", .settings = other};
	const struct cashew_handler *const handlers[] = {&pears, &thief, &small, &plums, NULL};
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(ENOUGH, no_environment, handlers);
	assert_int_equal(got.result, SETTINGS_E_INVALID);
	assert_string_equal(got.problems,
		"handler thief declares a setting JWT_SECRET: that is a setting of cashewd's own\n"
		"handler small declares a setting limit: expected a name of A-Z 0-9 _ that begins with a letter\n"
		"handler plums declares the setting APPLES_LIMIT otherwise than another handler does\n");
}

/* Each allocation fails, alone and with all later ones; what leaks, a sanitizer tells. */
/* A program that needs a few of them is not held up by the others. */
static void test_read_some(void **state)
{
	static const char *const names[] = {"MONGO_DB_URL", "MONGO_DB_NAME", NULL};
	static const struct {
		const char *name;
		const char *environment[5];
		const char *problem; /* a part of it; NULL: none */
	} cases[] = {
		{"what is needed", {"MONGO_DB_URL=mongodb://127.0.0.1", "MONGO_DB_NAME=orchard"}, NULL},
		{"others that are wrong",
			{"MONGO_DB_URL=mongodb://127.0.0.1", "MONGO_DB_NAME=orchard", "WORKERS=none",
				"JWT_SECRET=short"},
			NULL},
		{"one that is missing", {"MONGO_DB_NAME=orchard"}, "MONGO_DB_URL: it is not set"},
		{"one that is wrong", {"MONGO_DB_URL=", "MONGO_DB_NAME="}, "MONGO_DB_URL: it is empty"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings settings = {.block = NULL};
		char *environment[5] = {NULL}, *problems;
		for (size_t n = 0; n < 4 && cases[i].environment[n]; n++)
			environment[n] = (char *)(uintptr_t)cases[i].environment[n];
		size_t size;
		FILE *out = open_memstream(&problems, &size);
		assert_non_null(out);
		print_message("  %s\n", cases[i].name);
		const int result =
			settings_read_some("/nonexistent/.env", environment, names, out, out, &settings);
		fclose(out);
		if (cases[i].problem) {
			assert_int_equal(result, SETTINGS_E_INVALID);
			assert_non_null(strstr(problems, cases[i].problem));
		} else {
			assert_int_equal(result, 0);
			assert_string_equal(problems, "");
			assert_string_equal(settings.mongo_db_name, "orchard");
			assert_string_equal(settings.jwt_secret, "");
			assert_int_equal(settings.workers, 8);
		}
		settings_free(&settings);
		free(problems);
	}
}

static void test_out_of_memory(void **state)
{
	(void)state;
	char path[] = "/tmp/cashewd-test-XXXXXX";
	const int fd = mkstemp(path);
	assert_return_code(fd, errno);
	/* More entries than the first block of them holds. */
	static const char text[] = ENOUGH "APPLES_KEY=a\nMONGO_DB_URL=\"mongodb://h\\n\"\n";
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(write(fd, "APPLES_KEY=b\n", 13), 13);
	close(fd);
	FILE *null = fopen("/dev/null", "we");
	assert_non_null(null);

	for (unsigned i = 0; i < 2; i++) {
		bool failed = true;
		size_t n = 1;
		for (; failed; n++) {
			struct settings settings, untouched;
			memset(&settings, 0x5a, sizeof(settings));
			untouched = settings;
			failing_malloc_start(n, i == 1);
			const int result =
				settings_read(path, no_environment, own_handlers, null, null, &settings);
			failed = failing_malloc_stop();
			if (result != (failed ? -ENOMEM : 0))
				fail_msg("allocation %zu: %d", n, result);
			if (failed)
				assert_memory_equal(&settings, &untouched, sizeof(settings));
			else
				settings_free(&settings);
		}
		/* The file's bytes, its entries, twice, the declarations, the names, a value without its line end, the texts; and one
		 * call more, in which none failed. */
		assert_int_equal(n - 1, 7 + 1);
	}
	fclose(null);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_websocket),
		cmocka_unit_test(test_environment_wins),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_retired),
		cmocka_unit_test(test_retired_name_of_a_handler),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_others_names),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_bad_declarations),
		cmocka_unit_test(test_read_some),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
