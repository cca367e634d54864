/* test_store_url.c - database URLs and names: what is refused and how, what is filled in, and that no
 * password is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "log.h"
#include "store_url.h"
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_refused(void **state)
{
	static const struct {
		const char *name;
		const char *url;
		const char *database;
		const char *words;
	} cases[] = {
		{"empty", "", "cashew", "mongodb://127.0.0.1:27017"},
		{"another protocol", "https://user:sesame@host/", "cashew", "mongodb+srv://"},
		{"no host", "mongodb://", "cashew", "not valid"},
		{"bad port", "mongodb://host:99999", "cashew", "not valid"},
		{"bad port behind a password", "mongodb://user:sesame@host:99999/", "cashew", "not valid"},
		{"slash in the password", "mongodb://user:ses/ame@host/", "cashew", "percent-encoded"},
		{"at sign in the password", "mongodb://user:sesame@2@host/", "cashew", "percent-encoded"},
		{"colon in the password", "mongodb://user:ses:ame@host/", "cashew", "percent-encoded"},
		{"question mark in the password", "mongodb://user:sesame?x@host/", "cashew",
			"percent-encoded"},
		{"at sign in an option", "mongodb://host/?appname=sesame@home", "cashew", "percent-encoded"},
		{"bad escape in the password", "mongodb://user:sesame%zz@host/", "cashew", "percent-encoded"},
		{"time-out that is no number", "mongodb://host/?socketTimeoutMS=soon", "cashew",
			"sockettimeoutms"},
		{"unacknowledged writes", "mongodb://host/?w=0", "cashew", "w=majority"},
		{"authority that is not there", "mongodb://host/?tls=true&tlsCAFile=/nowhere/ca.pem",
			"cashew", "/nowhere/ca.pem"},
		{"authority that is no certificate", "mongodb://host/?tls=true&tlsCAFile=/etc/hostname",
			"cashew", "/etc/hostname, holds no certificate"},
		{"authority that is no file", "mongodb://host/?tls=true&tlsCAFile=/dev/null", "cashew",
			"/dev/null, cannot be read: it is not a regular file"},
		{"two SRV hosts", "mongodb+srv://a.example.com,b.example.com/", "cashew", "not valid"},
		{"dot in the URL's name", "mongodb://host/a.b", "", "database"},
		{"long name in the URL",
			"mongodb://host/0123456789012345678901234567890123456789012345678901234567890123", "",
			"1 to 63 bytes of UTF-8"},
		{"dot in the name", "mongodb://host", "a.b", "1 to 63 bytes of UTF-8"},
		{"space in the name", "mongodb://host", "a b", "1 to 63 bytes of UTF-8"},
		{"slash in the name", "mongodb://host", "a/b", "1 to 63 bytes of UTF-8"},
		{"dollar in the name", "mongodb://host", "$cmd", "1 to 63 bytes of UTF-8"},
		{"long name", "mongodb://host",
			"0123456789012345678901234567890123456789012345678901234567890123",
			"1 to 63 bytes of UTF-8"},
		{"name that is no UTF-8", "mongodb://host", "\xe4pfel", "\"\\xe4pfel\" is not valid"},
		{"name in the URL that is no UTF-8", "mongodb://host/%e4pfel", "", "Invalid database name"},
		{"MongoDB's own", "mongodb://host", "admin", "MongoDB's own"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_options options = {.url = cases[i].url,
			.database = cases[i].database,
			.app_name = "test",
			.pool_size = 1};
		struct store *store = NULL;
		char message[STORE_MESSAGE_SIZE];

		print_message("  %s\n", cases[i].name);
		assert_int_equal(store_open(&options, &store, message), STORE_E_PERMANENT);
		assert_null(store);
		if (!strstr(message, cases[i].words))
			fail_msg("\"%s\" does not say \"%s\"", message, cases[i].words);
		assert_null(strstr(message, "ses"));
	}
}

static void test_accepted(void **state)
{
	static const char *const urls[] = {
		"mongodb://127.0.0.1",
		"mongodb://127.0.0.1:27017,127.0.0.2:27018/?replicaSet=rs0",
		"mongodb://user:p%40ss%2Fword@localhost/?authSource=admin&tls=true",
		"mongodb://user:password@[::1]:27017/other?appname=mine&readPreference=secondary",
		"mongodb://host/?thisOptionDoesNotExist=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		char long_name[300];
		const struct store_options options = {
			.url = urls[i], .database = "cashew", .app_name = long_name, .pool_size = 2};
		struct store *store = NULL;
		char message[STORE_MESSAGE_SIZE];

		memset(long_name, 'x', sizeof(long_name) - 1);
		long_name[sizeof(long_name) - 1] = '\0';
		print_message("  %s\n", urls[i]);
		assert_int_equal(store_open(&options, &store, message), 0);
		store_close(store);
	}
}

static void test_defaults(void **state)
{
	static const struct {
		const char *name;
		const char *url;
		int32_t selection, connect, socket, wait;
		int32_t w;
		bool journal;
		int64_t wtimeout;
		unsigned work_ms;
	} cases[] = {
		{"nothing said", "mongodb://host", 3000, 2000, 8000, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY,
			true, 5000},
		{"work that takes long", "mongodb://host", 3000, 2000, 8000, 2000,
			MONGOC_WRITE_CONCERN_W_MAJORITY, true, 5000, 10000},
		{"shorter work", "mongodb://host", 3000, 2000, 4000, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY,
			true, 2500, 6000},
		{"short work", "mongodb://host", 3000, 2000, 1000, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY,
			true, 625, 2000},
		{"short work, time-outs said", "mongodb://host/?socketTimeoutMS=3&wtimeoutMS=7", 3000, 2000,
			3, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY, true, 7, 2000},
		{"time-outs said",
			"mongodb://host/"
			"?serverSelectionTimeoutMS=1&connectTimeoutMS=2&socketTimeoutMS=3&waitQueueTimeoutMS="
			"4",
			1, 2, 3, 4, MONGOC_WRITE_CONCERN_W_MAJORITY, true, 5000},
		{"concern said", "mongodb://host/?w=2&journal=false&wtimeoutMS=7", 3000, 2000, 8000, 2000, 2,
			false, 7},
		{"work that takes long, writes tried twice", "mongodb://host/?retryWrites=true", 3000, 2000,
			4000, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY, true, 2500, 10000},
		{"shorter work, reads tried twice", "mongodb://host/?retryReads=true", 3000, 2000, 2000, 2000,
			MONGOC_WRITE_CONCERN_W_MAJORITY, true, 1250, 6000},
		{"what the default is, said", "mongodb://host/?retryWrites=false&retryReads=false", 3000,
			2000, 8000, 2000, MONGOC_WRITE_CONCERN_W_MAJORITY, true, 5000, 10000},
		{"no end to waiting is none", "mongodb://host/?socketTimeoutMS=0", 3000, 2000, 4000, 2000,
			MONGOC_WRITE_CONCERN_W_MAJORITY, true, 2500, 6000},
		{"case of the option", "mongodb://host/?SOCKETtimeoutms=9", 3000, 2000, 9, 2000,
			MONGOC_WRITE_CONCERN_W_MAJORITY, true, 5000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char message[STORE_MESSAGE_SIZE];
		struct store_notes notes = {.text = ""};
		const mongoc_write_concern_t *concern;
		mongoc_uri_t *uri;

		print_message("  %s\n", cases[i].name);
		assert_int_equal(store_url_parse(cases[i].url, cases[i].work_ms, &uri, &notes, message), 0);
		assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, -1),
			cases[i].selection);
		assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, -1),
			cases[i].connect);
		assert_int_equal(
			mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, -1), cases[i].socket);
		assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, -1),
			cases[i].wait);
		concern = mongoc_uri_get_write_concern(uri);
		assert_int_equal(mongoc_write_concern_get_w(concern), cases[i].w);
		assert_int_equal(mongoc_write_concern_get_journal(concern), cases[i].journal);
		assert_int_equal(mongoc_write_concern_get_wtimeout_int64(concern), cases[i].wtimeout);
		mongoc_uri_destroy(uri);
	}
}

static void test_database_and_notes(void **state)
{
	static const struct {
		const char *name;
		const char *url;
		const char *wanted;
		const char *database;
		const char *note; /* a part of the only one; NULL: there is none */
	} cases[] = {
		{"nothing said", "mongodb://host", "", "cashew", NULL},
		{"nothing said, with a slash", "mongodb://host/?w=1", "", "cashew", NULL},
		{"the setting alone", "mongodb://host/", "orchard", "orchard", NULL},
		{"the URL alone", "mongodb://host/shop_production", "", "shop_production", NULL},
		{"both, the same", "mongodb://host/shop", "shop", "shop", NULL},
		{"both, and the setting counts", "mongodb://host/shop", "orchard", "orchard",
			"MONGO_DB_URL: its database shop has no effect"},
		{"for the user alone", "mongodb://u:sesame@host/admin", "", "cashew", NULL},
		{"for the user alone, with a setting", "mongodb://u:sesame@host/people", "orchard", "orchard",
			NULL},
		{"for the user, or for documents", "mongodb://u:sesame@host/shop", "", "shop",
			"set MONGO_DB_NAME"},
		{"for documents, as the user is elsewhere", "mongodb://u:sesame@host/shop?authSource=admin",
			"", "shop", NULL},
		{"for nothing", "mongodb://u:sesame@host/shop?authSource=admin", "orchard", "orchard",
			"MONGO_DB_URL: its database shop has no effect"},
		{"MongoDB's own", "mongodb://host/local", "", "cashew", "is MongoDB's own"},
		{"the pool's size", "mongodb://host/?maxPoolSize=5", "", "cashew",
			"maxPoolSize has no effect"},
		{"the pool's least size", "mongodb://host/?minPoolSize=5", "", "cashew",
			"minPoolSize has no effect"},
		{"reads", "mongodb://host/?readPreference=secondaryPreferred", "", "cashew",
			"readPreference has no effect"},
		{"reads as they are", "mongodb://host/?readPreference=primary", "", "cashew", NULL},
		{"no end to waiting", "mongodb://host/?socketTimeoutMS=0", "", "cashew",
			"socketTimeoutMS=0 has no effect: an operation may take 8000 ms"},
		{"waiting that outlives a handler", "mongodb://host/?socketTimeoutMS=10000", "", "cashew",
			"socketTimeoutMS=10000 is not less than the 10000 ms of HANDLER_TIMEOUT"},
		{"waiting that does not", "mongodb://host/?socketTimeoutMS=9999", "", "cashew", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_options options = {.url = cases[i].url,
			.database = cases[i].wanted,
			.app_name = "test",
			.pool_size = 1,
			.work_ms = 10000};
		char message[STORE_MESSAGE_SIZE];
		struct store *store;

		print_message("  %s\n", cases[i].name);
		assert_int_equal(store_open(&options, &store, message), 0);
		const char *notes = store_notes(store);
		assert_string_equal(store_database_name(store), cases[i].database);
		if (!cases[i].note) {
			assert_string_equal(notes, "");
		} else {
			if (!strstr(notes, cases[i].note))
				fail_msg("%s", notes);
			/* one line, whole */
			assert_ptr_equal(strchr(notes, '\n'), notes + strlen(notes) - 1);
			assert_null(strstr(notes, "sesame"));
		}
		store_close(store);
	}
}

/* What the driver says of a URL while it parses it goes to the log, but not a piece of the password. */
static void test_log_has_no_password(void **state)
{
	static const char *const urls[] = {
		"mongodb://user:ses/ame@host/",
		"mongodb://user:ses%zzame@host/",
		"mongodb://user:sesame@2@host/",
		"mongodb://user:sesame?x@host/?bogusOption=1",
		"mongodb://user:sesame@host/?bogusOption=1",
	};
	char text[8192] = "";
	const int fd = memfd_create("log", 0);
	const struct log_options log = {.fd = fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_DEBUG};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(log_open(&log), 0);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const struct store_options options = {.url = urls[i], .database = "cashew", .pool_size = 1};
		struct store *store = NULL;
		char message[STORE_MESSAGE_SIZE];

		if (store_open(&options, &store, message) == 0)
			store_close(store);
	}
	log_close(1000);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	close(fd);
	/* the driver does write there */
	assert_non_null(strstr(text, "bogusoption"));
	assert_null(strstr(text, "ses"));
	assert_null(strstr(text, "ame@"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_database_and_notes),
		cmocka_unit_test(test_log_has_no_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
