/*
 * stored.c - a handler's way to the store, and what the store's answers mean to it: see stored.h and cashew.h.
 *
 * Happy path: the first call takes a client, which the run gives back. Failure: the answer is the end that it asks for. A handler that must not wait
 * and asks for the store is broken: the program ends.
 */
#include "stored.h"

#include "call.h"
#include "ends.h"
#include "log.h"
#include "store.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdlib.h>

/* A mistake in the handler's source that its first run shows, in a test or in the host: there is nothing to answer it with. */
__attribute__((noreturn)) static void handler_broken(const cashew_command *cmd, const char *message)
{
	log_error("handler_broken", message, LOG_TEXT("handler", cmd->handler->name));
	log_close(1000);
	abort();
}

struct store_client *stored_client(cashew_command *cmd)
{
	if (!cmd->client) {
		if (cmd->handler->light)
			handler_broken(cmd,
				"a handler that is .light asked for the store: it would make all others wait");
		if (!cmd->store)
			handler_broken(cmd, "a handler asked for the store where it is run without one");
		cmd->client = store_acquire(cmd->store);
	}
	return cmd->client;
}

struct _mongoc_database_t *cashew_database(cashew_command *cmd)
{
	return store_database(stored_client(cmd));
}

/* details: the driver's words, may be empty. */
static cashew_result result_of(cashew_command *cmd, int store_error, const char *details)
{
	if (ends_failed(cmd))
		return ends_result(cmd);
	const char *colon = details[0] ? ": " : "";
	switch (store_error) {
	case 0: return CASHEW_DONE;
	case -ENOMEM: return ends_out_of_memory(cmd);
	case STORE_E_AWAY:
		cmd->store_away = true;
		return ends_as(cmd, CASHEW_RETRY, "the store is away%s%s", colon, details);
	case STORE_E_TRANSIENT:
		return ends_as(cmd, CASHEW_RETRY, "the store could not do it now%s%s", colon, details);
	case STORE_E_NOT_FOUND:
		return ends_as(cmd, CASHEW_FAIL, "the store has no such document%s%s", colon, details);
	case STORE_E_PERMANENT: return ends_as(cmd, CASHEW_FAIL, "the store refused it%s%s", colon, details);
	case STORE_E_DUPLICATE:
		return ends_as(
			cmd, CASHEW_FAIL, "the store has a document with that key%s%s", colon, details);
	default: return ends_as(cmd, CASHEW_FAIL, "the store answered %d%s%s", store_error, colon, details);
	}
}

cashew_result stored_result(cashew_command *cmd, int store_error)
{
	return result_of(cmd, store_error, store_error && cmd->client ? store_last_error(cmd->client) : "");
}

cashew_result cashew_mongo(cashew_command *cmd, bool succeeded, const struct _bson_error_t *error)
{
	return succeeded ? result_of(cmd, 0, "")
			 : result_of(cmd, store_classify(NULL, error), error->message);
}

cashew_result cashew_mongo_write(cashew_command *cmd, bool succeeded, const struct _bson_t *reply,
	const struct _bson_error_t *error, unsigned flags)
{
	const char *words = "";
	const int store_error = store_classify_write(succeeded, reply, error, &words);
	if (store_error == STORE_E_DUPLICATE && flags & CASHEW_DUPLICATE_IS_DONE)
		return result_of(cmd, 0, "");
	return result_of(cmd, store_error, words);
}
