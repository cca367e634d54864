/* test_routes.c - routes.c and select.c: which handlers run, which descriptors are refused, and which route a
 * topic takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "exit_codes.h"
#include "routes.h"
#include "select.h"
#include "settings.h"

static cashew_result nothing(cashew_command *cmd)
{
	(void)cmd;
	return CASHEW_DONE;
}

#define HANDLER(handler, filter, ...)                  \
	static const struct cashew_handler handler = { \
		.name = #handler, .topic = filter, .handle = nothing, ##__VA_ARGS__}

HANDLER(ping, "+/ping", .light = true);
HANDLER(apples, "+/get_apples", .light = true);
HANDLER(stored, "+/get_apples");
HANDLER(also_light, "+/ping", .light = true);
HANDLER(slow, "+/slow", .lane = "slow");
HANDLER(slow_too, "+/slow_too", .lane = "slow");
HANDLER(fruit, "+/fruit/+");
HANDLER(everything, "+/#");
HANDLER(one_level, "+/+");
HANDLER(elsewhere, "+/#", .lane = "archive");
HANDLER(in_main, "+/in_main", .lane = "main");
HANDLER(of_one, "68946/fruit");
HANDLER(of_the_broker, "$SYS/broker/uptime");
HANDLER(no_topic, NULL);
HANDLER(bad_topic, "+/a#");
HANDLER(shared, "$share/hosts/+/ping");
HANDLER(bad_lane, "+/lane", .lane = "Slow Lane");
HANDLER(in_an_hour, "+/patient", .deadline_ms = 3600000);
HANDLER(in_an_hour_and_more, "+/patient", .deadline_ms = 3600001);
HANDLER(in_49_days, "+/patient", .deadline_ms = UINT32_MAX);
static const struct cashew_handler hourly = {
	.name = "hourly", .handle = nothing, .scheduled = true, .every_s = 3600};
static const struct cashew_handler nightly = {
	.name = "nightly", .handle = nothing, .scheduled = true, .cron = "30 4 * * *"};
static const struct cashew_handler never = {.name = "never",
	.file = "handlers/never.c",
	.line = 7,
	.handle = nothing,
	.scheduled = true,
	.cron = "30 2 30 2 *"};
static const struct cashew_handler no_time = {.name = "no_time",
	.file = "handlers/no_time.c",
	.line = 3,
	.handle = nothing,
	.scheduled = true,
	.needs_id = true};
static const struct cashew_handler no_schedule = {.name = "no_schedule",
	.file = "handlers/no_schedule.c",
	.line = 9,
	.topic = "+/no_schedule",
	.handle = nothing,
	.every_s = 60};
static const struct cashew_handler no_function = {.name = "no_function", .topic = "+/nothing"};

#define LIST(...) ((const struct cashew_handler *const[]){__VA_ARGS__, NULL})

/* What select_handlers() made of it: the names that it picked, or what it told. */
struct selection {
	int code;
	char names[256];
	char *problems;
};

static struct selection select_with(
	const struct settings *settings, const struct cashew_handler *const *handlers)
{
	struct selection selection = {.names = ""};
	const struct cashew_handler **selected = NULL;
	size_t size;
	FILE *problems = open_memstream(&selection.problems, &size);
	assert_non_null(problems);
	selection.code = select_handlers(settings, handlers, problems, &selected);
	fclose(problems);
	if (selection.code != 0) {
		assert_null(selected);
		return selection;
	}
	for (size_t i = 0; selected[i]; i++) {
		const size_t used = strlen(selection.names);
		snprintf(selection.names + used, sizeof(selection.names) - used, "%s%s", i > 0 ? " " : "",
			selected[i]->name);
	}
	free(selected);
	return selection;
}

static const struct cashew_handler *const four[] = {&ping, &apples, &stored, &slow, NULL};

static void test_selection(void **state)
{
	(void)state;
	static const struct {
		const char *handlers, *names;
	} cases[] = {
		{"", "ping apples stored slow"},
		{"apples", "apples"},
		{"slow,ping", "ping slow"},
		{" stored , apples\t", "apples stored"},
		{"ping,ping", "ping"},
		{"pin,ping_,stored", "stored"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct settings settings = {.handlers = cases[i].handlers, .keepalive_s = 60};
		struct selection selection = select_with(&settings, four);
		assert_int_equal(selection.code, 0);
		assert_string_equal(selection.names, cases[i].names);
		assert_string_equal(selection.problems, "");
		free(selection.problems);
	}
}

static void test_refused(void **state)
{
	(void)state;
	const struct {
		const struct cashew_handler *const *handlers;
		const char *chosen;
		const char *problems;
	} cases[] = {
		{four, "pear", "HANDLERS=pear selects no handler: --list-handlers shows their names\n"},
		{LIST(&no_function), "", "handler no_function: .handle is missing\n"},
		{LIST(&no_topic), "",
			"handler no_topic: .topic = \"\": expected an MQTT topic filter like \"+/get_apples\"\n"},
		{LIST(&ping, &bad_topic, &bad_lane), "",
			"handler bad_topic: .topic = \"+/a#\": expected an MQTT topic filter like \"+/get_apples\"\n"
			"handler bad_lane: .lane = \"Slow Lane\": expected 1 to 64 of a-z 0-9 _\n"},
		{LIST(&shared), "",
			"handler shared: .topic = \"$share/hosts/+/ping\": a shared subscription would break up the order of a user's commands: "
			"expected a topic filter like \"+/get_apples\"\n"},
		{LIST(&bad_lane), "",
			"handler bad_lane: .lane = \"Slow Lane\": expected 1 to 64 of a-z 0-9 _\n"},
		{LIST(&ping, &apples, &everything), "",
			"handlers ping and everything: their filters \"+/ping\" and \"+/#\" overlap in lane main, so a command would arrive twice: "
			"use the same filter, or a .lane of its own for one of them\n"
			"handlers apples and everything: their filters \"+/get_apples\" and \"+/#\" overlap in lane main, so a command would arrive "
			"twice: use the same filter, or a .lane of its own for one of them\n"},
		{LIST(&one_level, &in_main), "",
			"handlers one_level and in_main: their filters \"+/+\" and \"+/in_main\" overlap in lane main, so a command would arrive "
			"twice: use the same filter, or a .lane of its own for one of them\n"},
		{LIST(&in_an_hour_and_more), "",
			"handler in_an_hour_and_more: .deadline_ms = 3600001: expected 3600000 or less, which is 3600 s\n"},
		{LIST(&ping, &never, &no_time, &no_schedule), "",
			"handlers/never.c:7: schedule never: .cron = \"30 2 30 2 *\": it never fires: none of its months has such a day, expected "
			"one that comes\n"
			"handlers/no_time.c:3: schedule no_time: .needs_id is for commands: a schedule has no sender\n"
			"handlers/no_time.c:3: schedule no_time: when it runs is not said: expected .every_s = 3600 or .cron = \"30 4 * * *\"\n"
			"handlers/no_schedule.c:9: handler no_schedule: .every_s, .cron and .skip_missed are for schedules: expected "
			"CASHEW_SCHEDULE(no_schedule, ..)\n"},
		{LIST(&in_49_days), "",
			"handler in_49_days: .deadline_ms = 4294967295: expected 3600000 or less, which is 3600 s\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct settings settings = {.handlers = cases[i].chosen};
		struct selection selection = select_with(&settings, cases[i].handlers);
		assert_string_equal(selection.problems, cases[i].problems);
		assert_int_equal(selection.code, EXIT_CONFIG);
		free(selection.problems);
	}
}

static void test_not_refused(void **state)
{
	(void)state;
	const struct {
		const struct cashew_handler *const *handlers;
		const char *chosen;
		const char *names;
	} cases[] = {
		{LIST(&ping, &everything), "ping", "ping"},
		{LIST(&ping, &bad_topic), "ping", "ping"},
		{LIST(&ping, &also_light), "", "ping also_light"},
		{LIST(&ping, &elsewhere, &slow), "", "ping elsewhere slow"},
		{LIST(&of_one, &fruit), "", "of_one fruit"},
		{LIST(&in_an_hour), "", "in_an_hour"},
		{LIST(&hourly, &everything, &nightly), "", "hourly everything nightly"},
		{LIST(&ping, &never), "ping", "ping"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct settings settings = {.handlers = cases[i].chosen};
		struct selection selection = select_with(&settings, cases[i].handlers);
		assert_string_equal(selection.problems, "");
		assert_int_equal(selection.code, 0);
		assert_string_equal(selection.names, cases[i].names);
		free(selection.problems);
	}
}

/* A route holds its handlers as bits of 32. */
static void test_handlers_of_one_topic(void **state)
{
	(void)state;
	static struct cashew_handler many[ROUTE_HANDLERS_MAX + 1];
	const struct cashew_handler *list[ROUTE_HANDLERS_MAX + 2] = {NULL};
	const struct settings settings = {.handlers = "", .keepalive_s = 60};
	for (size_t i = 0; i < ROUTE_HANDLERS_MAX; i++) {
		many[i] = ping;
		list[i] = &many[i];
	}
	struct selection selection = select_with(&settings, list);
	assert_int_equal(selection.code, 0);
	free(selection.problems);
	struct routes routes;
	assert_int_equal(routes_new(list, &routes), 0);
	assert_int_equal(routes.lanes[0].route_count, 1);
	assert_int_equal(routes.lanes[0].routes[0].handler_count, ROUTE_HANDLERS_MAX);
	assert_int_equal(routes.lanes[0].routes[0].handlers[31], 31);
	routes_free(&routes);

	many[ROUTE_HANDLERS_MAX] = ping;
	list[ROUTE_HANDLERS_MAX] = &many[ROUTE_HANDLERS_MAX];
	selection = select_with(&settings, list);
	assert_int_equal(selection.code, EXIT_CONFIG);
	static const char line[] = "topic \"+/ping\" has 33 handlers: 32 at most\n";
	assert_int_equal(strncmp(selection.problems, line, strlen(line)), 0);
	free(selection.problems);
}

static void test_lanes(void **state)
{
	(void)state;
	struct routes routes;
	assert_int_equal(
		routes_new(LIST(&ping, &slow, &apples, &in_main, &stored, &slow_too, &also_light), &routes),
		0);
	assert_int_equal(routes.handler_count, 7);
	assert_int_equal(routes.lane_count, 2);
	const struct route_lane *lane = &routes.lanes[0];
	assert_string_equal(lane->name, "main");
	assert_int_equal(lane->route_count, 3);
	assert_string_equal(lane->routes[0].filter, "+/ping");
	assert_int_equal(lane->routes[0].handler_count, 2);
	assert_int_equal(lane->routes[0].handlers[0], 0);
	assert_int_equal(lane->routes[0].handlers[1], 6);
	assert_true(lane->routes[0].light);
	/* Light only where all its handlers are. */
	assert_string_equal(lane->routes[1].filter, "+/get_apples");
	assert_int_equal(lane->routes[1].handler_count, 2);
	assert_int_equal(lane->routes[1].handlers[0], 2);
	assert_int_equal(lane->routes[1].handlers[1], 4);
	assert_false(lane->routes[1].light);
	assert_string_equal(lane->routes[2].filter, "+/in_main");
	lane = &routes.lanes[1];
	assert_string_equal(lane->name, "slow");
	assert_int_equal(lane->route_count, 2);
	assert_int_equal(lane->routes[1].handlers[0], 5);
	char client_id[ROUTE_CLIENT_ID_SIZE];
	routes_client_id(&routes.lanes[0], "fruit-shop", client_id);
	assert_string_equal(client_id, "fruit-shop");
	routes_client_id(&routes.lanes[1], "fruit-shop", client_id);
	assert_string_equal(client_id, "fruit-shop-slow");
	routes_free(&routes);
	assert_null(routes.lanes);
}

static void test_find(void **state)
{
	(void)state;
	struct routes literals, wildcards, whole;
	assert_int_equal(routes_new(LIST(&ping, &apples, &fruit, &of_one), &literals), 0);
	assert_int_equal(routes_new(LIST(&one_level, &fruit), &wildcards), 0);
	assert_int_equal(routes_new(LIST(&everything), &whole), 0);
	const struct {
		const struct routes *routes;
		const char *topic, *filter; /* NULL: none */
	} cases[] = {
		{&literals, "68946/ping", "+/ping"},
		{&literals, "68946/get_apples", "+/get_apples"},
		{&literals, "/ping", "+/ping"},
		{&literals, "68946/get_apple", NULL},
		{&literals, "68946/get_apples_", NULL},
		{&literals, "68946/ping/ping", NULL},
		{&literals, "68946/", NULL},
		{&literals, "68946", NULL},
		{&literals, "ping", NULL},
		{&literals, "68946/fruit", "68946/fruit"},
		{&literals, "23412/fruit", NULL},
		{&literals, "68946/fruit/apple", "+/fruit/+"},
		{&literals, "68946/fruit/apple/red", NULL},
		{&literals, "68946/pong", NULL},
		{&wildcards, "68946/anything", "+/+"},
		{&wildcards, "68946/fruit/", "+/fruit/+"},
		{&wildcards, "68946/a/b", NULL},
		{&whole, "68946/a/b/c", "+/#"},
		{&whole, "68946", "+/#"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct route *route = routes_find(&cases[i].routes->lanes[0], cases[i].topic);
		if (!route || !cases[i].filter) {
			assert_true(!route && !cases[i].filter);
			continue;
		}
		assert_string_equal(route->filter, cases[i].filter);
	}
	routes_free(&literals);
	routes_free(&wildcards);
	routes_free(&whole);
}

/* What a token has to allow: each filter once, of all lanes. */
static void test_filters(void **state)
{
	(void)state;
	static const char *const expected[] = {"+/ping", "+/get_apples", "+/#", "+/slow"};
	struct routes routes;
	const char **filters = NULL;
	size_t count = 0;
	assert_int_equal(
		routes_new(LIST(&ping, &apples, &elsewhere, &stored, &of_the_broker, &slow, &everything),
			&routes),
		0);
	assert_int_equal(routes_filters(&routes, &filters, &count), 0);
	assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < count; i++) {
		size_t found = 0;
		for (size_t j = 0; j < count; j++)
			found += strcmp(filters[j], expected[i]) == 0;
		if (found != 1)
			fail_msg("%s is there %zu times", expected[i], found);
	}
	free(filters);
	routes_free(&routes);
}

/* Each lane in a group of its own: every lane has to get every command. */
static void test_shared(void **state)
{
	(void)state;
	static const struct {
		size_t lane, route;
		const char *filter, *plain, *topic;
	} cases[] = {
		{0, 0, "$share/g/+/ping", "+/ping", "1/ping"},
		{0, 1, "$share/g/+/fruit/+", "+/fruit/+", "1/fruit/a"},
		{0, 2, "$SYS/broker/uptime", "$SYS/broker/uptime", "$SYS/broker/uptime"},
		{1, 0, "$share/g-slow/+/slow", "+/slow", "1/slow"},
	};
	struct routes routes;
	const char **filters = NULL;
	size_t count = 0;
	assert_int_equal(routes_new(LIST(&ping, &slow, &fruit, &of_the_broker, &hourly), &routes), 0);
	assert_int_equal(routes_share(&routes, ""), 0);
	assert_string_equal(routes.lanes[0].routes[0].filter, "+/ping");
	assert_int_equal(routes_share(&routes, "g"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct route *route = &routes.lanes[cases[i].lane].routes[cases[i].route];
		assert_string_equal(route->filter, cases[i].filter);
		assert_string_equal(route_plain(route), cases[i].plain);
		assert_ptr_equal(routes_find(&routes.lanes[cases[i].lane], cases[i].topic), route);
		assert_null(routes_find(&routes.lanes[cases[i].lane], route->filter + 1));
	}
	assert_null(routes_find(&routes.lanes[0], "1/pink"));
	assert_string_equal(routes.schedules.routes[0].filter, "$schedule/hourly");
	/* A token is for the filters themselves. */
	assert_int_equal(routes_filters(&routes, &filters, &count), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(filters[i], "+/", 2);
	free(filters);
	routes_free(&routes);
}

static void test_schedules(void **state)
{
	(void)state;
	struct routes routes;
	assert_int_equal(routes_new(LIST(&ping, &hourly, &everything, &nightly), &routes), 0);
	assert_int_equal(routes.lane_count, 1);
	assert_int_equal(routes.lanes[0].route_count, 2);
	const struct route *route = routes_find_schedule(&routes, "$schedule/nightly");
	assert_non_null(route);
	assert_int_equal(route->handler_count, 1);
	assert_int_equal(route->handlers[0], 3);
	assert_false(route->light);
	assert_ptr_not_equal(routes_find_schedule(&routes, "$schedule/hourly"), route);
	static const char *const others[] = {"$schedule/night", "$schedule/", "68946/nightly", "nightly", ""};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_null(routes_find_schedule(&routes, others[i]));
	/* No filter of a command's takes them. */
	assert_null(routes_find(&routes.lanes[0], "$schedule/nightly"));
	routes_free(&routes);
	/* Without a command there is an empty lane, for the store's sake. */
	assert_int_equal(routes_new(LIST(&hourly), &routes), 0);
	assert_int_equal(routes.lane_count, 1);
	assert_string_equal(routes.lanes[0].name, "main");
	assert_int_equal(routes.lanes[0].route_count, 0);
	routes_free(&routes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_refused),
		cmocka_unit_test(test_handlers_of_one_topic),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_schedules),
	};
	return cmocka_run_group_tests_name("host_routes", tests, NULL, NULL);
}
