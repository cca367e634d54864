/*
 * hang - never returns the first time that a user's {"n": 17} runs, and answers "hung" when it runs again: a handler that hangs once.
 * That it ran stands in bench_hangs.
 */
#include <cashew.h>
#include <mongoc/mongoc.h>
#include <unistd.h>

CASHEW_STRUCT(hang_input, (integer, n, .min = 1, .max = INT32_MAX));

CASHEW_STRUCT(hung, (integer, n));

static cashew_result hang(cashew_command *cmd)
{
	const int64_t number = cashew_input(cmd, hang_input)->n;
	bson_error_t error = {0};

	const char *const id = cashew_format(cmd, "%s/%lld", cashew_user(cmd), (long long)number);
	mongoc_database_t *const database = cashew_database(cmd);
	if (!cashew_ok(cmd) || !database)
		return CASHEW_RETRY;
	mongoc_collection_t *const hangs = mongoc_database_get_collection(database, "bench_hangs");
	bson_t *const document = BCON_NEW("_id", BCON_UTF8(id));
	const bool first = mongoc_collection_insert_one(hangs, document, NULL, NULL, &error);

	bson_destroy(document);
	mongoc_collection_destroy(hangs);
	while (first)
		(void)pause();
	if (error.code != MONGOC_ERROR_DUPLICATE_KEY)
		return cashew_mongo(cmd, false, &error);
	return cashew_reply(cmd, hung, .n = number);
}

CASHEW_HANDLER(
	hang, .payload = CASHEW_PAYLOAD(hang_input), .events = CASHEW_EVENTS(hung), .deadline_ms = 5000);
