/*
 * test_cashew_documents.c - cashew_documents.c: documents as a handler sees them: which end a failure is, what a handler may go on with, and that each
 * operation on the store may fail, or be done without an answer. What the store then holds is tested by documents_contract.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#define FAILING_MALLOC_ONLY /* the stand-in store has its memory always */
#include "failing_malloc.h"
#include "handler_cases.h"

#include <bson/bson.h>

/* Behind handler_cases.h, where t is a parameter. */
#include "cashew_parts.h"

CASHEW_COLLECTION(dishes, "dishes", (user, user_id, .key = true), (integer, total), (text, note),
	(text, remark, .optional = true));
CASHEW_COLLECTION(wallet, "wallets", (user, user_id, .key = true), (integer, coins));
CASHEW_STRUCT(washed, (integer, total));

/* The handler's descriptor, in the place where the build would put it. */
#define HANDLER(function, ...)                                                      \
	static const struct cashew_handler handler_##function = {.name = #function, \
		.file = "test.c",                                                   \
		.line = 1,                                                          \
		.topic = "+/" #function,                                            \
		.handle = function,                                                 \
		.events = CASHEW_EVENTS(washed),                                    \
		__VA_ARGS__}

static void stored(struct store *store, const char *collection, const char *json)
{
	bson_error_t error;
	bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (!document)
		fail_msg("%s: %s", json, error.message);
	fake_store_put(store, collection, document);
	bson_destroy(document);
}

static int64_t number(struct store *store, const char *collection, const char *id, const char *field)
{
	bson_t document;
	bson_iter_t iter;
	int64_t found = -1;
	if (!fake_store_get(store, collection, id, &document))
		return -2;
	if (bson_iter_init_find(&iter, &document, field))
		found = bson_iter_as_int64(&iter);
	bson_destroy(&document);
	return found;
}

/* ---- handlers ---- */

static cashew_result wash(cashew_command *cmd)
{
	const struct dishes *d =
		cashew_update(cmd, dishes, (key, user_id, cashew_user(cmd)), (inc, total, 3));
	return cashew_reply(cmd, washed, .total = d->total);
}
HANDLER(wash, .needs_id = true, .collections = CASHEW_COLLECTIONS(dishes));

static cashew_result wash_without_id(cashew_command *cmd)
{
	return wash(cmd);
}
HANDLER(wash_without_id, .collections = CASHEW_COLLECTIONS(dishes));

static cashew_result wash_undeclared(cashew_command *cmd)
{
	cashew_remove(cmd, wallet, .user_id = "1");
	return CASHEW_DONE;
}
HANDLER(wash_undeclared, .collections = CASHEW_COLLECTIONS(dishes), .reads = CASHEW_COLLECTIONS(wallet));

static cashew_result boost(cashew_command *cmd)
{
	const struct dishes *old = cashew_find(cmd, dishes, .user_id = cashew_user(cmd));
	struct dishes d = old ? *old : (struct dishes){.user_id = cashew_user(cmd), .note = ""};
	d.total = 2 * d.total + 1;
	return cashew_reply(cmd, washed, .total = cashew_put(cmd, dishes, &d)->total);
}
HANDLER(boost, .needs_id = true, .collections = CASHEW_COLLECTIONS(dishes));

/* Coins go from one document to another: the first write takes them once, the second gives them once. */
static cashew_result pay(cashew_command *cmd)
{
	const struct wallet *mine = cashew_update(
		cmd, wallet, (key, user_id, cashew_user(cmd)), (if_least, coins, 10), (inc, coins, -10));
	if (!mine)
		return cashew_reject(cmd, "you have no 10 coins");
	const struct wallet *theirs = cashew_update(cmd, wallet, (key, user_id, "23412"), (inc, coins, 10));
	return cashew_reply(cmd, washed, .total = theirs->coins);
}
HANDLER(pay, .needs_id = true, .collections = CASHEW_COLLECTIONS(wallet));

/* Whatever fails, it goes on, and nothing is there. */
static cashew_result goes_on(cashew_command *cmd)
{
	const struct dishes *d = cashew_find(cmd, dishes, .user_id = cashew_user(cmd));
	if (d)
		return cashew_reply(cmd, washed, .total = d->total);
	size_t count = 7;
	assert_null(cashew_list(cmd, dishes, 10, &count, (key, user_id, cashew_user(cmd))));
	assert_int_equal(count, 0);
	d = cashew_update(cmd, dishes, (key, user_id, "1"), (set, total, 5));
	assert_non_null(d);
	assert_string_equal(d->note, "");
	assert_null(d->remark);
	assert_int_equal(d->total, 0);
	d = cashew_put(cmd, dishes, &(const struct dishes){.user_id = "1", .note = "x"});
	assert_string_equal(d->note, "");
	assert_false(cashew_ok(cmd));
	return cashew_reply(cmd, washed, .total = d->total);
}
HANDLER(goes_on, .collections = CASHEW_COLLECTIONS(dishes));

static cashew_result adds_and_rejects(cashew_command *cmd)
{
	cashew_add(cmd, dishes, .user_id = "1", .total = 1, .note = "");
	return cashew_reject(cmd, "no");
}
HANDLER(adds_and_rejects, .collections = CASHEW_COLLECTIONS(dishes));

static struct store *others_store;

static cashew_result puts_what_others_changed(cashew_command *cmd)
{
	const struct dishes *old = cashew_find(cmd, dishes, .user_id = "1");
	if (others_store)
		stored(others_store, "dishes", "{\"_id\":\"1\",\"total\":50,\"_v\":9}");
	others_store = NULL;
	struct dishes d = *old;
	d.total++;
	return cashew_reply(cmd, washed, .total = cashew_put(cmd, dishes, &d)->total);
}
HANDLER(puts_what_others_changed, .collections = CASHEW_COLLECTIONS(dishes));

static cashew_result keyless(cashew_command *cmd)
{
	cashew_find(cmd, dishes, .total = 3);
	return CASHEW_DONE;
}
HANDLER(keyless, .reads = CASHEW_COLLECTIONS(dishes));

/* ---- ends ---- */

static void deliver(
	const struct cashew_handler *handler, const char *payload, enum call_end end, const char *reason)
{
	char topic[80];
	snprintf(topic, sizeof(topic), "68946/%s", handler->name);
	const enum call_end ended = cashew_test_deliver(t, handler, topic, payload);
	const char *why = cashew_test_reason(t) ? cashew_test_reason(t) : "";
	if (ended != end || !strstr(why, reason))
		fail_msg("%s: ended as %d: %s", topic, ended, why);
	if (end != CALL_DONE && end != CALL_REJECTED)
		assert_int_equal(cashew_test_event_count(t), 0);
}

static void mistakes_name_the_line(void **state)
{
	(void)state;
	deliver(&handler_wash_without_id, "{}", CALL_FAILED, "test_cashew_documents.c:");
	deliver(&handler_wash_without_id, "{}", CALL_FAILED, "expected .needs_id = true");
	deliver(&handler_wash_undeclared, "{}", CALL_FAILED, "test_cashew_documents.c:");
	deliver(&handler_wash_undeclared, "{}", CALL_FAILED,
		"collection wallets is not among those that handler wash_undeclared says it writes: expected .collections = CASHEW_COLLECTIONS(wallet)");
	deliver(&handler_keyless, "{}", CALL_FAILED, "dishes, a key: user_id is NULL");
}

static void after_a_failure_nothing_is_there(void **state)
{
	(void)state;
	struct store *store = cashew_test_fake_store(t);
	stored(store, "dishes", "{\"_id\":\"68946\",\"total\":\"three\"}");
	deliver(&handler_goes_on, "{}", CALL_FAILED, "dishes 68946: total is a text: expected an integer");
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	deliver(&handler_goes_on, "{}", CALL_RETRY, "the store is away");
	assert_true(cashew_test_store_away(t));
	fake_store_fail_next(store, STORE_E_PERMANENT, 1);
	deliver(&handler_goes_on, "{}", CALL_FAILED, "the store refused it");
	assert_int_equal(number(store, "dishes", "1", "total"), -2);
}

static void what_waits_is_written_before_any_end(void **state)
{
	(void)state;
	struct store *store = cashew_test_fake_store(t);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	deliver(&handler_adds_and_rejects, "{}", CALL_RETRY, "the store could not do it now");
	deliver(&handler_adds_and_rejects, "{}", CALL_REJECTED, "no");
	assert_int_equal(number(store, "dishes", "1", "total"), 1);
}

static void what_others_changed_is_run_again(void **state)
{
	(void)state;
	struct store *store = cashew_test_fake_store(t);
	stored(store, "dishes", "{\"_id\":\"1\",\"total\":4,\"_v\":8}");
	others_store = store;
	deliver(&handler_puts_what_others_changed, "{}", CALL_RETRY, "was changed by another command");
	deliver(&handler_puts_what_others_changed, "{}", CALL_DONE, "");
	assert_int_equal(number(store, "dishes", "1", "total"), 51);
	assert_int_equal(number(store, "dishes", "1", "_v"), 10);
}

/* ---- once, whatever happens ---- */

static void check_washed(struct cashew_test *test)
{
	check_event(test, 0, "68946/washed", "{\"total\":3}");
	assert_int_equal(number(cashew_test_fake_store(test), "dishes", "68946", "total"), 3);
}

static void check_boosted(struct cashew_test *test)
{
	check_event(test, 0, "68946/washed", "{\"total\":1}");
	assert_int_equal(number(cashew_test_fake_store(test), "dishes", "68946", "total"), 1);
}

static void check_paid(struct cashew_test *test)
{
	check_event(test, 0, "68946/washed", "{\"total\":10}");
	assert_int_equal(number(cashew_test_fake_store(test), "wallets", "68946", "coins"), 5);
	assert_int_equal(number(cashew_test_fake_store(test), "wallets", "23412", "coins"), 10);
}

static const struct handler_case cases[] = {
	{&handler_wash, "68946/wash", "{\"command_id\":\"w1\"}", NULL, check_washed},
	{&handler_boost, "68946/boost", "{\"command_id\":\"w1\"}", NULL, check_boosted},
};

static void counted_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		handler_repeats(&cases[i]);
		handler_survives_store_failures(&cases[i]);
		handler_survives_out_of_memory(&cases[i]);
	}
}

static enum call_end until_it_ends(struct cashew_test *test, const char *payload)
{
	enum call_end end = CALL_RETRY;
	for (int i = 0; i < 3 && end == CALL_RETRY; i++)
		end = cashew_test_deliver(test, &handler_pay, "68946/pay", payload);
	return end;
}

/* Each operation of a transfer fails, or its answer is lost; the command comes again until it is done. */
static void a_transfer_is_exact(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8; n++)
		for (int lost = 0; lost < 2; lost++) {
			struct cashew_test *test = cashew_test_new();
			struct store *store = cashew_test_fake_store(test);
			stored(store, "wallets", "{\"_id\":\"68946\",\"coins\":15}");
			if (lost)
				fake_store_lose_answer_at(store, n);
			else
				fake_store_fail_at(store, n, STORE_E_AWAY);
			for (int i = 0; i < 3; i++) {
				assert_int_equal(until_it_ends(test, "{\"command_id\":\"p1\"}"), CALL_DONE);
				check_paid(test);
			}
			assert_int_equal(until_it_ends(test, "{\"command_id\":\"p2\"}"), CALL_REJECTED);
			assert_string_equal(cashew_test_reason(test), "you have no 10 coins");
			cashew_test_free(test);
		}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(mistakes_name_the_line),
		CASE(after_a_failure_nothing_is_there),
		CASE(what_waits_is_written_before_any_end),
		CASE(what_others_changed_is_run_again),
		cmocka_unit_test(counted_once),
		cmocka_unit_test(a_transfer_is_exact),
	};
	return cmocka_run_group_tests_name("cashew_documents", tests, NULL, NULL);
}
