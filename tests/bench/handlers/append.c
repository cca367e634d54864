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

static cashew_result append(cashew_command *cmd)
{
	const char *list = NULL;
	int64_t number = 0;
	struct timespec now;
	bson_error_t error = {0};

	CASHEW_TRY(cashew_user_id(cmd, "list", &list));
	CASHEW_TRY(cashew_integer(cmd, "n", 1, INT32_MAX, &number));
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return CASHEW_RETRY;
	const char *const id = cashew_format(cmd, "%s/%s/%018lld", list, cashew_user(cmd),
		(long long)now.tv_sec * 1000000000 + now.tv_nsec);
	mongoc_database_t *const database = cashew_database(cmd);
	if (!id || !database)
		return CASHEW_RETRY;
	mongoc_collection_t *const effects = mongoc_database_get_collection(database, "bench_effects");
	bson_t *const effect = BCON_NEW("_id", BCON_UTF8(id), "n", BCON_INT64(number));
	const bool inserted = mongoc_collection_insert_one(effects, effect, NULL, NULL, &error);

	bson_destroy(effect);
	mongoc_collection_destroy(effects);
	CASHEW_TRY(cashew_mongo(cmd, inserted, &error));
	return cashew_reply_json(cmd, "appended", json_pack("{s:I}", "n", (json_int_t)number));
}

CASHEW_HANDLER(.topic = "+/append", .handle = append);
