/*
 * test_doctor.c - `cashewd doctor`: what it finds of the database, of Loggly and clocks, and what it says of its command line. Of the broker:
 * test_doctor_way.c, test_doctor_broker.c.
 */
#include "doctor_parts.h"
#include "harness_private.h"
#include "port.h"
#include "replica_set.h"
#include "scripted_broker.h"
#include "scripted_mongo.h"
#include "wall_clock.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- The database ---- */

HARNESS_CASE(database_is_away)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(h, "mongodb://user:hush-hush@127.0.0.1:%d/", port_reserve()));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "database", "cannot be used");
	expect_line(&visit, "indexes", "skip", "needs database");
	/* The rest is looked at. */
	expect_line(&visit, "access", "ok", "refused");
	assert_null(strstr(output(h, doctor), "hush-hush"));
	forget(&visit);
}

HARNESS_CASE(database_before_the_first_start)
{
	struct host *doctor = doctor_new(h);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "indexes", "ok", "has none of the ");
	assert_int_equal(visit.code, 0);
	forget(&visit);
	/* It made nothing. */
	assert_int_equal(database_count(h, harness_database(h), "apples", "{}"), 0);
	visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "ok", "has none of the ");
	forget(&visit);
}

HARNESS_CASE(indexes_that_are_wrong)
{
	struct database *database = harness_database(h);
	database_command(h, database,
		"{\"createIndexes\": \"dead_letters\", \"indexes\": [{\"key\": {\"expires\": 1}, \"name\": "
		"\"expires_1\"}]}");
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "warn", "in the way of expires_1");
	forget(&visit);
	database_command(h, database, "{\"drop\": \"dead_letters\"}");
	database_command(h, database,
		"{\"createIndexes\": \"apples\", \"indexes\": [{\"key\": {\"position\": 1, \"_id\": 1}, \"name\": "
		"\"position_1__id_1\"}]}");
	visit = examine(h, doctor_new(h));
	expect_line(&visit, "indexes", "warn", "indexes are not there: dead_letters.");
	assert_int_equal(visit.code, 0);
	forget(&visit);
}

HARNESS_CASE(write_concern_that_is_weak)
{
	struct host *doctor = doctor_new(h);
	const char *url = database_url(harness_database(h));
	host_set(doctor, "MONGO_DB_URL", harness_format(h, "%s/?w=1&journal=false", url));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "database_writes", "ok", "w=1, journal=false");
	expect_line(&visit, "database_writes", "warn", "journal=false");
	forget(&visit);
}

/* ---- A server that answers as the case says ---- */

struct script {
	const char *command, *collection; /* NULL: whatever it is about */
	int code;			  /* 0: `reply` is the answer */
	const char *words, *reply;
};

static enum scripted_mongo_answer follow(
	void *context, const char *name, const bson_t *command, bson_t *reply)
{
	const struct script *script = context;
	bson_iter_t iter;
	if (strcmp(name, script->command) != 0 ||
		(script->collection && (!bson_iter_init(&iter, command) || !bson_iter_next(&iter) ||
					       !BSON_ITER_HOLDS_UTF8(&iter) ||
					       strcmp(bson_iter_utf8(&iter, NULL), script->collection) != 0)))
		return SCRIPTED_MONGO_USUAL;
	if (script->code != 0) {
		scripted_mongo_failure(reply, script->code, script->words);
		return SCRIPTED_MONGO_REPLY;
	}
	bson_error_t error;
	bson_t *answer = bson_new_from_json((const uint8_t *)script->reply, -1, &error);
	assert_non_null(answer);
	bson_concat(reply, answer);
	bson_destroy(answer);
	return SCRIPTED_MONGO_REPLY;
}

static struct visit examine_scripted(struct harness *h, const struct script *script)
{
	struct scripted_mongo *server = scripted_mongo_start(
		&(struct scripted_mongo_options){.hook = follow, .context = (void *)(uintptr_t)script});
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL", harness_format(h, "mongodb://%s/", scripted_mongo_address(server)));
	struct visit visit = examine(h, doctor);
	scripted_mongo_stop(server);
	return visit;
}

static const char *advice_of(const struct visit *visit, const char *check, const char *text)
{
	const json_t *line = line_of(visit, check, "fail", text);
	const char *advice = json_string_value(json_object_get(line, "advice"));
	return advice ? advice : "(none)";
}

/* Not every error is one of rights. */
HARNESS_CASE(database_that_refuses_for_one_reason_or_another)
{
	static const struct {
		struct script script;
		const char *check, *advice;
		bool role;
	} cases[] = {
		{{"delete", "dead_letters", 13, "not authorized on x", NULL}, "database_writes",
			"the role readWrite on", true},
		{{"find", "contacts", 13, "not authorized on x", NULL}, "rights", "the role readWrite on",
			true},
		{{"delete", NULL, 73, "Invalid namespace specified", NULL}, "database_writes",
			"set MONGO_DB_NAME", false},
		{{"delete", NULL, 238, "not implemented yet", NULL}, "database_writes",
			"docs/operations.md says which", false},
		{{"aggregate", NULL, 59, "no such command", NULL}, "waiting", "docs/operations.md says which",
			false},
		{{"listIndexes", NULL, 498870, "The apiVersion parameter is required", NULL}, "indexes",
			"requireApiVersion", false},
		{{"listCollections", NULL, 13, "not authorized on x", NULL}, "collections",
			"the role readWrite on", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct visit visit = examine_scripted(h, &cases[i].script);
		expect_failure(&visit, cases[i].check, cases[i].script.words);
		const char *advice = advice_of(&visit, cases[i].check, cases[i].script.words);
		if (!strstr(advice, cases[i].advice) || (strstr(advice, "role") != NULL) != cases[i].role)
			harness_fail("%s %d: %s", cases[i].check, cases[i].script.code, advice);
		forget(&visit);
	}
}

/* It refuses the first question, which is the driver's: nothing is left of its answer but the words. */
HARNESS_CASE(database_that_insists_on_a_stable_api)
{
	struct scripted_mongo *server = scripted_mongo_start(&(struct scripted_mongo_options){
		.hello_code = 498870, .hello_words = "The apiVersion parameter is required"});
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL",
		harness_format(
			h, "mongodb://%s/?serverSelectionTimeoutMS=500", scripted_mongo_address(server)));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "database", "apiVersion");
	assert_non_null(strstr(advice_of(&visit, "database", "apiVersion"), "requireApiVersion"));
	forget(&visit);
	scripted_mongo_stop(server);
}

#define LISTED(options)                                                                                          \
	"{\"ok\":1,\"cursor\":{\"id\":{\"$numberLong\":\"0\"},\"ns\":\"x.$cmd.listCollections\",\"firstBatch\":" \
	"[{\"name\":\"contacts\"," options "}]}}"

HARNESS_CASE(collections_that_are_not_ordinary)
{
	static const struct {
		const char *reply, *outcome, *seen;
	} cases[] = {
		{LISTED("\"options\":{}"), "ok", "1 collection is ordinary"},
		{LISTED("\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":2}}"), "fail",
			"the users Bob and bob are one there"},
		{LISTED("\"type\":\"view\",\"options\":{}"), "fail", "contacts is a view"},
		{LISTED("\"options\":{\"capped\":true}"), "fail", "contacts is capped"},
		{LISTED("\"options\":{\"validator\":{\"a\":1}}"), "warn", "contacts has a validator"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct script script = {.command = "listCollections", .reply = cases[i].reply};
		struct visit visit = examine_scripted(h, &script);
		expect_line(&visit, "collections", cases[i].outcome, cases[i].seen);
		forget(&visit);
	}
}

static struct host *doctor_of(struct harness *h, const char *url)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "MONGO_DB_URL", url);
	return doctor;
}

/* The URL names one that is not the primary. */
HARNESS_CASE(replica_set_is_named)
{
	struct replica_set *set = replica_set_new(h, harness_database(h));
	const char *primary = replica_set_address(set, 0), *secondary = replica_set_address(set, 1);
	struct visit visit =
		examine(h, doctor_of(h, harness_format(h, "mongodb://%s/shop?maxPoolSize=7", secondary)));
	expect_line(&visit, "database", "ok",
		harness_format(h, "replica set " REPLICA_SET_NAME " of 3 (%s, %s, %s)", primary, secondary,
			replica_set_address(set, 2)));
	expect_line(&visit, "database", "warn", "maxPoolSize has no effect");
	expect_line(&visit, "database", "warn", "its database shop has no effect");
	expect_line(&visit, "database_writes", "ok", "w=majority");
	assert_int_equal(visit.code, 0);
	forget(&visit);
	visit = examine(h, doctor_of(h, harness_format(h, "mongodb://%s/?directConnection=true", primary)));
	expect_line(&visit, "database", "warn", "directConnection=true");
	forget(&visit);
	replica_set_step_down(set);
	visit = examine(h, doctor_of(h, replica_set_url(set)));
	expect_failure(&visit, "database", "cannot be used");
	forget(&visit);
	replica_set_elect(set, 2);
	visit = examine(h, doctor_of(h, replica_set_url(set)));
	expect_line(&visit, "database", "ok", "replica set " REPLICA_SET_NAME " of 3");
	expect_line(&visit, "database_writes", "ok", "w=majority");
	forget(&visit);
}

HARNESS_CASE(router_is_named)
{
	struct replica_set *router = replica_set_new_router(h, harness_database(h));
	struct visit visit = examine(h, doctor_of(h, replica_set_url(router)));
	expect_line(&visit, "database", "ok", ", sharded, ");
	expect_line(&visit, "database_writes", "ok", "w=majority");
	assert_int_equal(visit.code, 0);
	forget(&visit);
}

HARNESS_CASE(parked_commands_that_nobody_takes)
{
	database_command(h, harness_database(h),
		"{\"insert\": \"parked_commands\", \"documents\": [{\"_id\": 1, \"lane\": \"cashewd\", "
		"\"user_id\": \"68946\", \"topic\": \"68946/ping\", \"position\": {\"$numberLong\": \"1\"}, "
		"\"done\": null, \"not_before\": {\"$date\": {\"$numberLong\": \"1000\"}}}]}");
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "waiting", "ok", "1 parked command, ");
	expect_line(&visit, "waiting", "warn", "1 user on cashewd for a minute, 68946's");
	forget(&visit);
}

/* ---- Loggly ---- */

#define LOGGLY_TOKEN "0123-canary-4567"

static bool loggly_ready(void *context)
{
	return access(harness_path(context, "loggly.env"), F_OK) == 0;
}

/* What stands in for it; its port. It takes every token. */
static int start_loggly(struct harness *h, struct harness_process **ret_process)
{
	const char *ca = broker_ca_file(harness_broker(h));
	const char *folder = harness_format(h, "%.*s", (int)(strrchr(ca, '/') - ca), ca);
	struct harness_process *process = harness_alloc(h, sizeof(*process));
	const int port = port_reserve();
	const char *const argv[] = {BINARY_DIR "/cashew-loggly", "--certificate",
		harness_format(h, "%s/server.crt", folder), "--key",
		harness_format(h, "%s/server.key", folder), "--port", harness_format(h, "%d", port),
		"--events", harness_path(h, "events"), "--ready", harness_path(h, "loggly.env"), NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = harness_path(h, "loggly.log"),
		.death_signal = SIGKILL};
	assert_true(port > 0);
	process->name = "cashew-loggly";
	harness_watch_folder(h, harness_folder(h));
	assert_int_equal(process_start(&process->process, &options), 0);
	harness_add_process(h, process);
	harness_wait(h, loggly_ready, h, "cashew-loggly to be ready");
	*ret_process = process;
	return port;
}

static struct visit examine_loggly(
	struct harness *h, const char *url, const char *ca_file, const char *option)
{
	const char *const arguments[] = {"doctor", "--json", "--timeout", "30", option, NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	host_set(doctor, "LOGGLY_TOKEN", LOGGLY_TOKEN);
	host_set(doctor, "LOGGLY_URL", url);
	host_set(doctor, "LOGGLY_CA_FILE", ca_file);
	struct visit visit = examine(h, doctor);
	assert_null(strstr(output(h, doctor), LOGGLY_TOKEN));
	expect_line(&visit, "spool", "ok", "will be made");
	return visit;
}

HARNESS_CASE(loggly_is_reached)
{
	struct harness_process *process;
	const int port = start_loggly(h, &process);
	const char *ca = broker_ca_file(harness_broker(h));
	const char *url = harness_format(h, "https://localhost:%d", port);

	struct visit visit = examine_loggly(h, url, ca, NULL);
	expect_line(&visit, "loggly", "ok", "answers over TLS");
	forget(&visit);
	assert_null(strstr(harness_read_file(h, harness_path(h, "events")), "doctor"));

	visit = examine_loggly(h, url, ca, "--send-loggly-event");
	expect_line(&visit, "loggly", "ok", "has taken an event");
	forget(&visit);
	assert_non_null(strstr(harness_read_file(h, harness_path(h, "events")), "\"event\":\"doctor\""));

	/* The system's authorities know nothing of this one. */
	visit = examine_loggly(h, url, NULL, NULL);
	expect_failure(&visit, "loggly", "cannot be reached");
	forget(&visit);

	process->process.awaited = true;
	process_signal(&process->process, SIGKILL);
	assert_true(process_reap(&process->process, HARNESS_TIMEOUT_MS));
	visit = examine_loggly(h, url, ca, NULL);
	expect_failure(&visit, "loggly", "cannot be reached");
	forget(&visit);
}

/* By whose time what is kept, and by how much it differs. */
HARNESS_CASE(clocks_that_differ)
{
	static const struct {
		int64_t ahead_ms;
		const char *told; /* NULL: nothing */
	} cases[] = {
		{0, NULL},
		{4000, NULL},
		{-4000, NULL},
		{10500, "this machine's clock is 10 seconds ahead of the database's"},
		{-10500, "this machine's clock is 10 seconds behind the database's"},
		{-30 * 60 * 1000, "this machine's clock is 30 minutes behind the database's"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *doctor = doctor_new(h);
		wall_clock_use_token(h, doctor);
		wall_clock_set(doctor, cases[i].ahead_ms);
		struct visit visit = examine(h, doctor);
		const json_t *line = line_of(&visit, "database", "warn", "clock");
		if (!cases[i].told)
			assert_null(line);
		else
			expect_line(&visit, "database", "warn", cases[i].told);
		forget(&visit);
	}
}

/* ---- The command itself ---- */

HARNESS_CASE(settings_that_are_wrong)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "KEEPALIVE", "5");
	struct visit visit = examine(h, doctor);
	assert_int_equal(visit.code, EXIT_CONFIG);
	expect_line(&visit, "settings", "fail", "KEEPALIVE=5");
	expect_line(&visit, "broker_tcp", "skip", "needs settings");
	forget(&visit);
}

HARNESS_CASE(options_that_are_wrong)
{
	static const char *const cases[][4] = {
		{"doctor", "--timeout", "0", NULL}, {"doctor", "--nonsense", NULL}, {"doctor", "me", NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *doctor = doctor_new(h);
		host_set_arguments(doctor, cases[i]);
		host_start(doctor);
		assert_int_equal(host_wait_exit(doctor), EXIT_USAGE);
		host_expect_text(doctor, "--help");
	}
}

HARNESS_CASE(text_for_people_has_no_colours_in_a_file)
{
	static const char *const arguments[] = {"doctor", NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	host_set(doctor, "BROKER_PORT", "1");
	host_start(doctor);
	assert_int_equal(host_wait_exit(doctor), EXIT_FAILED);
	const char *text = output(h, doctor);
	assert_non_null(strstr(text, "ok    settings"));
	assert_non_null(strstr(text, "fail  broker_tcp"));
	assert_non_null(strstr(text, "-> "));
	assert_non_null(strstr(text, " failed, "));
	assert_null(strchr(text, '\033'));
}

HARNESS_MAIN(HARNESS_TEST(database_is_away), HARNESS_TEST(database_before_the_first_start),
	HARNESS_TEST(indexes_that_are_wrong), HARNESS_TEST(write_concern_that_is_weak),
	HARNESS_TEST(replica_set_is_named), HARNESS_TEST(router_is_named),
	HARNESS_TEST(database_that_refuses_for_one_reason_or_another),
	HARNESS_TEST(collections_that_are_not_ordinary), HARNESS_TEST(database_that_insists_on_a_stable_api),
	HARNESS_TEST(parked_commands_that_nobody_takes), HARNESS_TEST(loggly_is_reached),
	HARNESS_TEST(clocks_that_differ), HARNESS_TEST(settings_that_are_wrong),
	HARNESS_TEST(options_that_are_wrong), HARNESS_TEST(text_for_people_has_no_colours_in_a_file))
