/* scripted_mongo_commands.c - see scripted_mongo.h: what kind of command one is, and an error as the answer to any. */
#include "scripted_mongo.h"

#include <string.h>

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

bool scripted_mongo_writes(const char *name)
{
	static const char *const names[] = {
		"insert", "update", "delete", "findAndModify", "createIndexes", NULL};
	return is_one_of(name, names);
}

bool scripted_mongo_reads(const char *name)
{
	static const char *const names[] = {
		"find", "aggregate", "count", "distinct", "listIndexes", "listCollections", NULL};
	return is_one_of(name, names);
}

void scripted_mongo_failure(bson_t *reply, int code, const char *message)
{
	BSON_APPEND_INT32(reply, "ok", 0);
	BSON_APPEND_INT32(reply, "code", code);
	BSON_APPEND_UTF8(reply, "errmsg", message);
}
