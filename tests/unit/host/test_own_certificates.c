/* Tests of own_certificates.c: what is told of which file, and how often. */
#include "own_certificates.h"

#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "e2e/own_certificate.h"

enum { DAY_S = OWN_CERTIFICATE_DAY_S };

static char folder[] = "/tmp/cashewd-test-XXXXXX", path[64];
static char told[4096];

static void take(void *context, const char *lines, size_t size)
{
	(void)context;
	const size_t used = strlen(told);
	assert_true(used + size < sizeof(told));
	memcpy(told + used, lines, size);
	told[used + size] = '\0';
}

static void expect(struct own_certificates *own, int64_t now_ms, int64_t now_s, const char *event)
{
	told[0] = '\0';
	own_certificates_look(own, now_ms, now_s);
	if (!event) {
		assert_string_equal(told, "");
		return;
	}
	if (!strstr(told, event) || !strstr(told, path) || !strstr(told, "BROKER_CERT_FILE"))
		fail_msg("%s is not told in: %s", event, told);
	assert_null(strchr(strchr(told, '\n') + 1, '\n'));
}

static void test_life_of_a_certificate(void **state)
{
	(void)state;
	const int64_t now_s = time(NULL);
	int64_t now_ms = 1000;
	struct own_certificates own = {
		.of = {{.setting = "BROKER_CERT_FILE", .path = path}, {.setting = "MONGO_DB_URL"}}};
	/* None yet: whoever connects with it tells. */
	expect(&own, now_ms, now_s, NULL);
	own_certificate_write(path, NULL, "one", 20L * DAY_S, "w");
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s, NULL);
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 7 * DAY_S, "own_certificate_ends\"");
	assert_non_null(strstr(told, ", in 13 days"));
	/* Once a day. */
	for (int minutes = 0; minutes < 24 * 60 - 1; minutes++)
		expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 7 * DAY_S, NULL);
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 8 * DAY_S, "own_certificate_ends\"");
	/* At once where it is another matter. */
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 21 * DAY_S, "own_certificate_ended\"");
	assert_non_null(strstr(told, "\"level\":\"error\""));
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 21 * DAY_S, NULL);
	own_certificate_write(path, NULL, "two", 90L * DAY_S, "w");
	/* Not looked at before its time. */
	expect(&own, now_ms + OWN_CERTIFICATES_EVERY_MS - 1, now_s + 21 * DAY_S, NULL);
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 21 * DAY_S, "own_certificate_renewed\"");
	expect(&own, now_ms += OWN_CERTIFICATES_EVERY_MS, now_s + 21 * DAY_S, NULL);
}

static void test_no_certificates(void **state)
{
	(void)state;
	struct own_certificates own = {.of = {{.setting = "BROKER_CERT_FILE", .path = ""}, {.path = NULL}}};
	expect(&own, 1000, time(NULL), NULL);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/client.pem", folder);
	log_set(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	log_set_tap(take, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_set_tap(NULL, NULL);
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_a_certificate),
		cmocka_unit_test(test_no_certificates),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
