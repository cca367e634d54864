/*
 * append - appends the number of a command to its user's list of effects, and answers with it: what `tests/bench/run recovery` reads
 * the order of effects from.
 *
 * {"list": "r1", "n": 17} inserts {_id: "r1/{user}/{when}", n: 17} into bench_effects and sends appended {"n": 17}. `when` is
 * this machine's CLOCK_MONOTONIC in nanoseconds, with leading zeros. Commands of one user run one at a time, so the order of the
 * times is the order of the effects, over all hosts of one machine. Not idempotent, on purpose: each run leaves a trace.
 */
#include <cashew.h>
#include <mongoc/mongoc.h>
#include <time.h>
#include <unistd.h>

CASHEW_STRUCT(append_input, (user, list), (integer, n, .min = 1, .max = INT32_MAX));

CASHEW_STRUCT(appended, (integer, n));

static cashew_result append(cashew_command *cmd)
{
	const struct append_input *in = cashew_input(cmd, append_input);
	const char *const away = cashew_setting(cmd, "APPEND_AWAY_FILE");
	struct timespec now;
	bson_error_t error = {0};

	if (away[0] != '\0' && access(away, F_OK) == 0)
		return CASHEW_RETRY;
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return CASHEW_RETRY;
	const char *const id = cashew_format(cmd, "%s/%s/%018lld", in->list, cashew_user(cmd),
		(long long)now.tv_sec * 1000000000 + now.tv_nsec);
	mongoc_database_t *const database = cashew_database(cmd);
	if (!cashew_ok(cmd) || !database)
		return CASHEW_RETRY;
	mongoc_collection_t *const effects = mongoc_database_get_collection(database, "bench_effects");
	bson_t *const effect = BCON_NEW("_id", BCON_UTF8(id), "n", BCON_INT64(in->n));
	const bool inserted = mongoc_collection_insert_one(effects, effect, NULL, NULL, &error);

	bson_destroy(effect);
	mongoc_collection_destroy(effects);
	(void)cashew_mongo(cmd, inserted, &error);
	return cashew_reply(cmd, appended, .n = in->n);
}

static const struct cashew_setting settings[] = {
	{.name = "APPEND_AWAY_FILE",
		.default_value = "",
		.help = "While that file exists append fails for now, as one does whose own service is away."},
	{0}};

CASHEW_HANDLER(append, .settings = settings, .payload = CASHEW_PAYLOAD(append_input),
	.events = CASHEW_EVENTS(appended));
