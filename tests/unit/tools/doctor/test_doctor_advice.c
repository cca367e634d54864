/* test_doctor_advice.c - doctor_advice.c: what to do about what a database says: by its code, not for all of them the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashew_store.h"
#include "doctor_advice.h"
#include <stdbool.h>
#include <string.h>

static void test_by_code(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int error, code;
		const char *words, *part;
		bool rights; /* it tells of the role */
	} cases[] = {
		{"Unauthorized", STORE_E_TRANSIENT, 13, "not authorized on x", "readWrite", true},
		{"Atlas", STORE_E_TRANSIENT, 8000, "user is not allowed", "readWrite", true},
		{"AuthenticationFailed", STORE_E_AWAY, 18, "Authentication failed.", "authSource", false},
		{"InvalidNamespace", STORE_E_PERMANENT, 73, "Invalid namespace", "MONGO_DB_NAME", false},
		{"DatabaseDifferCase", STORE_E_PERMANENT, 13297, "db already exists", "upper and lower case",
			false},
		{"NotImplemented", STORE_E_PERMANENT, 238, "not implemented yet", "docs/operations.md",
			false},
		{"CommandNotFound", STORE_E_PERMANENT, 59, "no such command", "docs/operations.md", false},
		{"CommandNotSupported", STORE_E_PERMANENT, 115, "not supported", "docs/operations.md", false},
		{"a field that is not known", STORE_E_PERMANENT, 40415, "unknown field", "docs/operations.md",
			false},
		{"no apiVersion", STORE_E_PERMANENT, 498870, "The apiVersion parameter is required",
			"requireApiVersion", false},
		{"no apiVersion, said to the driver", STORE_E_AWAY, 0,
			"No suitable servers found: [The apiVersion parameter is required]",
			"requireApiVersion", false},
		{"apiStrict", STORE_E_PERMANENT, 323, "not in API Version 1", "requireApiVersion", false},
		{"UnsatisfiableWriteConcern", STORE_E_TRANSIENT, 100, "Not enough data-bearing nodes",
			"w=majority", false},
		{"WriteConcernTimeout", STORE_E_TRANSIENT, 64, "waiting for replication timed out",
			"down or behind", false},
		{"NotWritablePrimary", STORE_E_TRANSIENT, 10107, "not primary", "rs.status()", false},
		{"OutOfDiskSpace", STORE_E_TRANSIENT, 14031, "no space", "no room", false},
		{"CommandNotSupportedOnView", STORE_E_PERMANENT, 166, "is a view", "no ordinary collection",
			false},
		{"retryable writes", STORE_E_PERMANENT, 301, "Retryable writes are not supported",
			"retryWrites=true", false},
		{"UserWritesBlocked", STORE_E_TRANSIENT, 371, "User writes blocked", "let nobody write",
			false},
		{"nothing answers", STORE_E_AWAY, 0, "No suitable servers found", "is it running", false},
		{"passing, of another code", STORE_E_TRANSIENT, 112, "WriteConflict", "cannot now", false},
		{"for good, of another code", STORE_E_PERMANENT, 96, "OperationFailed", "its log", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		const struct doctor_advice advice =
			doctor_advice_of(cases[i].error, cases[i].code, cases[i].words);
		assert_non_null(advice.text);
		const char *after = advice.after_name ? advice.after_name : "";
		if (!strstr(advice.text, cases[i].part) && !strstr(after, cases[i].part))
			fail_msg("%s ...%s", advice.text, after);
		assert_int_equal(strstr(advice.text, "role") != NULL, cases[i].rights);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_code)};
	return cmocka_run_group_tests_name("doctor_advice", tests, NULL, NULL);
}
