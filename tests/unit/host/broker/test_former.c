/* test_former.c - former.c, with a stand-in for libmosquitto's UNSUBSCRIBE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <mosquitto.h>

#include "connection.h"
#include "former.h"
#include "hosts.h"
#include "routes.h"

/* ---- libmosquitto ---- */

static char instance[1];
static char sent[1024];
static int answer;

int mosquitto_unsubscribe_multiple(struct mosquitto *mosquitto, int *mid, int count,
	char *const *const filters, const mosquitto_property *properties)
{
	assert_ptr_equal(mosquitto, instance);
	assert_null(properties);
	for (int i = 0; i < count; i++)
		snprintf(sent + strlen(sent), sizeof(sent) - strlen(sent), "%s ", filters[i]);
	*mid = 7;
	return answer;
}

static struct mosquitto *mosquitto_instance(void)
{
	return (struct mosquitto *)(void *)instance;
}

/* ---- A lane's filters ---- */

static char old_name[] = "old", older_name[] = "older";
static char *former_names[] = {old_name, older_name};
static const struct host_groups none = {.count = 0};
static const struct host_groups two = {.names = former_names, .count = 2};
static struct route plain_routes[] = {{.filter = "+/a"}, {.filter = "$SYS/x"}};
static struct route shared_routes[] = {{.filter = "$share/g/+/a", .prefix_size = 9}, {.filter = "$SYS/x"}};
static const struct route_lane plain_lane = {.name = "main", .routes = plain_routes, .route_count = 2};
static const struct route_lane shared_lane = {.name = "main", .routes = shared_routes, .route_count = 2};
static const struct route_lane slow_lane = {.name = "slow", .routes = plain_routes, .route_count = 2};

static void expect(const char *text)
{
	assert_string_equal(sent, text);
	sent[0] = '\0';
}

static void test_unsubscribes(void **state)
{
	(void)state;
	static const struct {
		const struct route_lane *lane;
		const char *group;
		const struct host_groups *groups;
		bool session_present;
		const char *unsubscribed;
	} cases[] = {
		{&plain_lane, "", NULL, true, ""},
		{&plain_lane, "", &none, true, ""},
		{&plain_lane, "", &two, true, "$share/old/+/a $share/older/+/a "},
		{&plain_lane, "", &two, false, ""},
		{&slow_lane, "", &two, true, "$share/old-slow/+/a $share/older-slow/+/a "},
		{&shared_lane, "g", NULL, true, "+/a "},
		{&shared_lane, "g", &two, true, "+/a $share/old/+/a $share/older/+/a "},
		{&shared_lane, "g", &two, false, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct former former = {
			.routes = cases[i].lane, .group = cases[i].group, .groups = cases[i].groups};
		const struct connection_terms terms = {
			.session_present = cases[i].session_present, .shared = true};
		assert_true(former_begin(&former, &terms));
		expect("");
		former_end(&former, mosquitto_instance());
		assert_int_equal(former.mid, cases[i].unsubscribed[0] != '\0' ? 7 : 0);
		expect(cases[i].unsubscribed);
		/* Once on a link, and again on the next. */
		former_end(&former, mosquitto_instance());
		expect("");
		assert_true(former_begin(&former, &terms));
		former_end(&former, mosquitto_instance());
		expect(cases[i].unsubscribed);
	}
}

static void test_cannot_be_sent(void **state)
{
	(void)state;
	struct former former = {.routes = &plain_lane, .group = "", .groups = &two};
	const struct connection_terms terms = {.session_present = true, .shared = true};
	assert_true(former_begin(&former, &terms));
	answer = MOSQ_ERR_NO_CONN;
	former_end(&former, mosquitto_instance());
	answer = MOSQ_ERR_SUCCESS;
	assert_int_equal(former.mid, 0);
	sent[0] = '\0';
}

static void test_not_available(void **state)
{
	(void)state;
	struct former former = {.routes = &shared_lane, .group = "g"};
	const struct connection_terms terms = {.session_present = true, .shared = false};
	assert_false(former_begin(&former, &terms));
	former.routes = &plain_lane;
	former.group = "";
	assert_true(former_begin(&former, &terms));
}

static void test_stale(void **state)
{
	(void)state;
	char long_topic[300] = "u/";
	memset(long_topic + 2, 'x', 290);
	struct former former = {.routes = &plain_lane, .group = ""};
	former_drop(&former, mosquitto_instance(), "u/gone");
	expect("");
	former.groups = &two;
	former_drop(&former, mosquitto_instance(), "u/gone");
	expect("$share/old/+/gone $share/older/+/gone ");
	former.group = "g";
	former_drop(&former, mosquitto_instance(), "u/gone/a");
	expect("$share/g/+/gone/a $share/old/+/gone/a $share/older/+/gone/a ");
	former_drop(&former, mosquitto_instance(), "nothing");
	former_drop(&former, mosquitto_instance(), long_topic);
	expect("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unsubscribes),
		cmocka_unit_test(test_cannot_be_sent),
		cmocka_unit_test(test_not_available),
		cmocka_unit_test(test_stale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
