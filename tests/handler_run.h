/*
 * handler_run.h - runs a handler in a test without broker or database.
 *
 * A command is delivered the way the host does it: the payload is parsed behind the same limits, the handler runs, its result becomes an end. The store is
 * the stand-in of tests/fake/ (fake_store.h), which keeps documents in memory and can be told to fail. From the test of the handler request_contact
 * (tests/unit/handlers/test_request_contact.c):
 *
 *	#include "handler_run.h"
 *	extern const struct cashew_handler cashew_handler_request_contact;
 *
 *	struct cashew_test *t = cashew_test_new();
 *	assert_int_equal(cashew_test_deliver(t, &cashew_handler_request_contact, "68946/request_contact",
 *		"{\"contact_id\":\"23412\"}"), CALL_DONE);
 *	assert_int_equal(cashew_test_event_count(t), 1);
 *	assert_string_equal(cashew_test_event_topic(t, 0), "23412/contact_requested");
 *	assert_string_equal(cashew_test_event_payload(t, 0), "{\"user_id\":\"68946\"}");
 *	assert_int_equal(contact_request_find(cashew_test_store(t), "68946", "23412"), 0);
 *	cashew_test_free(t);
 *
 * The ends are those of call.h: CALL_DONE, CALL_REJECTED, CALL_RETRY, CALL_FAILED. A rejected command has one event, "{user}/command_rejected". Mistakes
 * in the test itself (a topic that the handler does not listen on) print a line and abort. One thread per struct cashew_test.
 */
#ifndef HANDLER_RUN_H
#define HANDLER_RUN_H

#include "call.h"
#include "cashew.h"
#include "cashew_store.h"

struct cashew_test;

/* An empty store, no events. Owned by the caller; cashew_test_free() takes everything down. */
struct cashew_test *cashew_test_new(void);
/* The same on a store of the caller's that outlives it: one without apples, or one that several commands
 * share. */
struct cashew_test *cashew_test_new_on(struct store *store);
/* cashew_test_free() closes the store, too. */
void cashew_test_own_store(struct cashew_test *t);
void cashew_test_free(struct cashew_test *t);

/* ---- What the next deliveries are like ---- */

/* The value of one of the handler's own settings; without it the default of its descriptor. */
void cashew_test_set(struct cashew_test *t, const char *name, const char *value);

/* The largest payload that an event may have; without it the default of EVENT_MAX. */
void cashew_test_set_event_max(struct cashew_test *t, size_t event_max);

/* The MQTT 5 Response Topic of the command; NULL, as at the start: none. Kept as a pointer. */
void cashew_test_set_response_topic(struct cashew_test *t, const char *response_topic);

/* What cashew_attempt() says: 1 at the start. */
void cashew_test_set_attempt(struct cashew_test *t, unsigned attempt);

/* ---- Deliveries ---- */

/* Runs the handler on a command and says how it ended. What the last delivery left (events, reason) is gone;
 * what it stored stays. init and fini of the handler's descriptor run around the deliveries. */
enum call_end cashew_test_deliver(
	struct cashew_test *t, const struct cashew_handler *handler, const char *topic, const char *payload);

/* The same with a payload of any bytes. */
enum call_end cashew_test_deliver_bytes(struct cashew_test *t, const struct cashew_handler *handler,
	const char *topic, const void *payload, size_t size);

/* The same in two steps, for a test that does something in between: with failing_malloc.h, let malloc fail. */
void cashew_test_prepare(struct cashew_test *t, const struct cashew_handler *handler, const char *topic,
	const void *payload, size_t size);
enum call_end cashew_test_run(struct cashew_test *t);

/* A run of a schedule: due at slot_ms, the run before it at since_ms; Unix time. */
enum call_end cashew_test_run_schedule(
	struct cashew_test *t, const struct cashew_handler *handler, int64_t slot_ms, int64_t since_ms);

/* The Correlation Data of the deliveries that follow; NULL: none. It is not copied. */
void cashew_test_set_correlation(struct cashew_test *t, const void *correlation, size_t size);

/* ---- What the last delivery left ---- */

/* When the handler wants to be run again, at the earliest; 0: it does not say. */
unsigned cashew_test_retry_after_ms(const struct cashew_test *t);

/* The events that would be published, in their order. */
size_t cashew_test_event_count(const struct cashew_test *t);

/* Event number i, from 0: its topic, and its payload followed by a NUL. NULL where there is no such event. */
const char *cashew_test_event_topic(const struct cashew_test *t, size_t i);
const char *cashew_test_event_payload(const struct cashew_test *t, size_t i);
size_t cashew_test_event_size(const struct cashew_test *t, size_t i);

/* Why it ended so; NULL with CALL_DONE. */
const char *cashew_test_reason(const struct cashew_test *t);

/* Whether the handler found the store away. */
bool cashew_test_store_away(const struct cashew_test *t);

/* ---- The store ---- */

/* A client of the stand-in store, for the functions of cashew_store.h: to store what the handler should find,
 * and to look what it left. Lives as long as t. */
struct store_client *cashew_test_store(struct cashew_test *t);

/* The stand-in store itself, for the functions of fake_store.h. */
struct store *cashew_test_fake_store(struct cashew_test *t);

#endif
