/*
 * kit_break.c - between a handler and the store: counts the operations, breaks one of them, and says what time it is.
 *
 * The linker leads the calls of these functions of the store's here first (--wrap) and calls the store's own __real_..., so it is the same on the
 * stand-in and on a real database. One that fails has not been done; one whose answer is lost has, and both say that the store is away.
 */
#include "kit_private.h"

#include "store_documents.h"

static struct {
	unsigned operations;
	bool armed, done;
	unsigned at; /* the number of the operation that breaks */
	bool aside;
	int64_t now_ms;
} state;

void kit_set_clock(int64_t now_ms)
{
	state.now_ms = now_ms;
}

int64_t kit_clock(void)
{
	return state.now_ms;
}

unsigned kit_operations(void)
{
	return state.operations;
}

void kit_break(unsigned skip, bool done)
{
	state.armed = true;
	state.done = done;
	state.at = state.operations + skip;
}

void kit_break_aside(bool aside)
{
	state.aside = aside;
}

/* What becomes of an operation that begins. */
enum fate { GOES, FAILS, LOSES_ITS_ANSWER };

static enum fate begin(void)
{
	if (state.aside)
		return GOES;
	const bool breaks = state.armed && state.operations == state.at;
	state.operations++;
	if (!breaks)
		return GOES;
	state.armed = false;
	return state.done ? LOSES_ITS_ANSWER : FAILS;
}

/* Their names are the linker's. */
#define WRAPPED(type, name, parameters) \
	type __real_##name parameters;  \
	type __wrap_##name parameters;  \
	type __wrap_##name parameters

WRAPPED(int64_t, store_now_ms, (struct store * store))
{
	(void)store;
	(void)__real_store_now_ms;
	return state.now_ms;
}

WRAPPED(int, store_documents_find,
	(struct store_client * client, const struct store_query *query, bson_t *ret_reply,
		bson_iter_t *ret_documents, bool *ret_more))
{
	const enum fate fate = begin();
	if (fate == FAILS)
		return STORE_E_AWAY;
	const int error = __real_store_documents_find(client, query, ret_reply, ret_documents, ret_more);
	if (fate == GOES || error != 0)
		return error;
	bson_destroy(ret_reply);
	return STORE_E_AWAY;
}

WRAPPED(int, store_documents_modify,
	(struct store_client * client, const struct store_modification *modification, bson_t *ret_reply,
		bson_iter_t *ret_document))
{
	const enum fate fate = begin();
	if (fate == FAILS)
		return STORE_E_AWAY;
	const int error = __real_store_documents_modify(client, modification, ret_reply, ret_document);
	if (fate == GOES || error != 0)
		return error;
	bson_destroy(ret_reply);
	return STORE_E_AWAY;
}

WRAPPED(int, store_documents_write,
	(struct store_client * client, const char *collection, const struct store_statement *first,
		const struct store_statement **ret_failed))
{
	const enum fate fate = begin();
	if (fate == FAILS)
		return STORE_E_AWAY;
	const int error = __real_store_documents_write(client, collection, first, ret_failed);
	return fate == GOES || error != 0 ? error : STORE_E_AWAY;
}
