/* Tests of settings_risks.c: what can be used and should not be is a warning each, and what is all right is none. */
#include "settings_outcome.h"

#define A_40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CLEAR \
	"MONGO_DB_URL: the password and all data go to another machine without TLS: add tls=true to its options\n"
#define UNVERIFIED(option)                                                                          \
	"MONGO_DB_URL: " option "=true: whoever is on the way can answer in the database's place, " \
	"and learn what is in it: name the server's authority by tlsCAFile instead\n"

static void test_secrets(void **state)
{
	(void)state;
	static const struct {
		const char *name, *file, *warnings;
	} cases[] = {
		{"a good one", ENOUGH, ""},
		{"one character", "JWT_SECRET=" A_40 "\n" BROKER URL,
			"JWT_SECRET: it is one character, 40 times, which is quickly guessed: make one with openssl rand -base64 48\n"},
		{"one character but for one", "JWT_SECRET=" A_40 "b\n" BROKER URL, ""},
		{"handlers' secret", ENOUGH "JWT_HANDLER_SECRET=" A_40 "\n",
			"JWT_HANDLER_SECRET: it is one character, 40 times, which is quickly guessed: make one with openssl rand -base64 48\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(cases[i].file, no_environment, plain_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, cases[i].warnings);
	}
}

static void test_ways_to_the_broker(void **state)
{
	(void)state;
	static const struct {
		const char *host, *tls;
		bool warned;
		const char *proxy;
	} cases[] = {
		{"localhost", "off", false},
		{"127.0.0.1", "off", false},
		{"127.1.2.3", "off", false},
		{"::1", "off", false},
		{"broker.example.com", "on", false},
		{"broker.example.com", "off", true},
		{"broker", "off", true},
		{"192.168.1.2", "off", true},
		{"localhost.example.com", "off", true},
		{"fe80::1", "off", true},
		{"localhost,127.0.0.1,::1", "off", false},
		{"localhost,broker", "off", true},
		{"localhost", "off", false, "http://u:hunter2@127.0.0.1:3128"},
		{"localhost", "off", true, "http://u:hunter2@proxy:3128"},
		{"broker", "off", true, "http://localhost:3128"},
		{"broker", "on", false, "http://proxy:3128"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[256], warning[256] = "";
		snprintf(file, sizeof(file), SECRET URL "BROKER_HOST=%s\nBROKER_TLS=%s\nBROKER_PROXY=%s\n",
			cases[i].host, cases[i].tls, cases[i].proxy ? cases[i].proxy : "");
		if (cases[i].warned)
			snprintf(warning, sizeof(warning),
				"BROKER_TLS=off: this host's token and all commands can be read on the way to %s: set up TLS at the broker\n",
				cases[i].host);
		print_message("  %s %s\n", cases[i].host, cases[i].tls);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(file, no_environment, plain_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, warning);
	}
}

static void test_ways_to_the_database(void **state)
{
	(void)state;
	static const struct {
		const char *url, *warnings;
	} cases[] = {
		{"mongodb://127.0.0.1", ""},
		{"mongodb://u:hunter2@127.0.0.1:27017/?w=1", ""},
		{"mongodb://u:hunter2@localhost,[::1]:2,%2Ftmp%2Fmongodb.sock/db", ""},
		{"mongodb://db.example.com", ""},
		{"mongodb://u@db.example.com", ""},
		{"mongodb://u:hunter2@db.example.com", CLEAR},
		{"mongodb://u:hunter2@localhost,db.example.com/db?w=1", CLEAR},
		{"mongodb://u:hunter2@[fe80::1]:27017/", CLEAR},
		{"mongodb://u:hunter2@db.example.com/?tls=true", ""},
		{"mongodb://u:hunter2@db.example.com/?w=1&SSL=TRUE", ""},
		{"mongodb://u:hunter2@db.example.com/?tlsCAFile=/etc/ca.pem", ""},
		{"mongodb://u:hunter2@db.example.com/?tlsCAFile=/etc/ca.pem&tls=false", CLEAR},
		{"mongodb://u:hunter2@db.example.com/?tls=false", CLEAR},
		{"mongodb+srv://u:hunter2@db.example.com/", ""},
		{"mongodb+srv://u:hunter2@db.example.com/?tls=false", CLEAR},
		{"mongodb+srv://db.example.com/?tlsInsecure=true", UNVERIFIED("tlsInsecure")},
		{"mongodb://db.example.com/?tls=true&tlsInsecure=true", UNVERIFIED("tlsInsecure")},
		{"mongodb://db.example.com/?tls=true&tlsinsecure=True&w=1", UNVERIFIED("tlsInsecure")},
		{"mongodb://u:hunter2@db.example.com/?tlsAllowInvalidCertificates=true",
			UNVERIFIED("tlsAllowInvalidCertificates")},
		{"mongodb://db.example.com/?tlsAllowInvalidHostnames=true",
			UNVERIFIED("tlsAllowInvalidHostnames")},
		{"mongodb://db.example.com/?sslAllowInvalidCertificates=true",
			UNVERIFIED("sslAllowInvalidCertificates")},
		{"mongodb://db.example.com/?tlsInsecure=false", ""},
		{"mongodb://127.0.0.1/?tls=true&tlsInsecure=true", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[256];
		snprintf(file, sizeof(file), SECRET BROKER "MONGO_DB_URL=%s\n", cases[i].url);
		print_message("  %s\n", cases[i].url);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(file, no_environment, plain_handlers);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, cases[i].warnings);
		assert_null(strstr(got.warnings, "hunter2"));
	}
}

/* Files of a name each that hold a secret, or whom to trust. */
static void test_files(void **state)
{
	(void)state;
	static const char *const names[] = {
		"HANDLER_TOKEN_FILE", "BROKER_CA_FILE", "BROKER_KEY_FILE", "LOGGLY_CA_FILE"};
	static const struct {
		mode_t mode;
		bool foreign;
		const char *warning; /* NULL: none */
	} cases[] = {
		{0600, false, NULL},
		{0644, false, NULL},
		{0666, false, "others can write to it (mode 0666): chmod go-w it"},
		{0660, false, "others can write to it (mode 0660): chmod go-w it"},
		{0600, true,
			"it belongs to another user (uid 65534), who can change it: chown it to the one that runs this"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
			char path[] = "/tmp/cashewd-test-XXXXXX", file[512], warning[256] = "";
			if (cases[i].foreign && geteuid() != 0)
				continue;
			const int fd = mkstemp(path);
			assert_return_code(fd, errno);
			assert_int_equal(write(fd, "a.b.c\n", 6), 6);
			assert_return_code(fchmod(fd, cases[i].mode), errno);
			if (cases[i].foreign)
				assert_return_code(fchown(fd, 65534, (gid_t)-1), errno);
			close(fd);
			snprintf(file, sizeof(file), ENOUGH "%s=%s\n%s", names[n], path,
				n == 2 ? "BROKER_CERT_FILE=/dev/null\n" : "");
			if (cases[i].warning)
				snprintf(warning, sizeof(warning), "%s=%s: %s\n", names[n], path,
					cases[i].warning);
			__attribute__((cleanup(outcome_free))) struct outcome got =
				read_with(file, no_environment, plain_handlers);
			assert_return_code(unlink(path), errno);
			print_message("  %04o %s\n", (unsigned)cases[i].mode, names[n]);
			assert_string_equal(got.problems, "");
			assert_string_equal(got.warnings, warning);
		}
}

/* The log's spool, which refuses what others can put files into. */
static void test_spool(void **state)
{
	(void)state;
	static const struct {
		const char *name, *token;
		mode_t mode;
		bool link;
		const char *warning; /* NULL: none */
	} cases[] = {
		{"private", "hunter2", 0700, false, NULL},
		{"not used", "", 0777, false, NULL},
		{"all can write", "hunter2", 0777, false,
			"others can write to it (mode 0777): chmod go-w it"},
		{"all can write, sticky", "hunter2", 01777, false,
			"others can write to it (mode 1777): chmod go-w it"},
		{"a link", "hunter2", 0700, true, "it is a link: name the folder itself"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char folder[] = "/tmp/cashewd-test-XXXXXX", link[64], file[512], warning[256] = "";
		assert_non_null(mkdtemp(folder));
		assert_return_code(chmod(folder, cases[i].mode), errno);
		snprintf(link, sizeof(link), "%s-link", folder);
		if (cases[i].link)
			assert_return_code(symlink(folder, link), errno);
		const char *path = cases[i].link ? link : folder;
		snprintf(file, sizeof(file), ENOUGH "LOGGLY_TOKEN=%s\nLOG_SPOOL_DIR=%s\n", cases[i].token,
			path);
		if (cases[i].warning)
			snprintf(warning, sizeof(warning),
				"LOG_SPOOL_DIR=%s: %s; until then what cannot be shipped stays in memory\n",
				path, cases[i].warning);
		print_message("  %s\n", cases[i].name);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(file, no_environment, plain_handlers);
		if (cases[i].link)
			assert_return_code(unlink(link), errno);
		assert_return_code(rmdir(folder), errno);
		assert_string_equal(got.problems, "");
		assert_string_equal(got.warnings, warning);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_ways_to_the_broker),
		cmocka_unit_test(test_ways_to_the_database),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_spool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
