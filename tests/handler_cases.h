/*
 * handler_cases.h - what every handler that uses the store must stand, as functions for its test: bad user
 * ids, each of its store operations failing in each way, each allocation failing. Include failing_malloc.h
 * before.
 */
#ifndef HANDLER_CASES_H
#define HANDLER_CASES_H

#include "contact_documents.h"
#include "fake_store.h"
#include "handler_run.h"
#include "store.h"
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A command that a handler carries out. */
struct handler_case {
	const struct cashew_handler *handler;
	const char *topic, *payload;
	/* Stores what the command finds; may be NULL. */
	void (*arrange)(struct store_client *store);
	/* Fails the test unless the store is as it must be once the command is done, and the events are
	 * right. */
	void (*check)(struct cashew_test *t);
};

static inline struct cashew_test *handler_case_begin(const struct handler_case *c)
{
	struct cashew_test *t = cashew_test_new();
	if (c->arrange)
		c->arrange(cashew_test_store(t));
	return t;
}

static inline void handler_case_deliver(struct cashew_test *t, const struct handler_case *c, const char *when)
{
	const enum call_end end = cashew_test_deliver(t, c->handler, c->topic, c->payload);
	if (end != CALL_DONE)
		fail_msg("%s: ended as %d: %s", when, end, cashew_test_reason(t));
	c->check(t);
}

/* Done once, and done again: the second delivery leaves what the first left. */
static inline void handler_repeats(const struct handler_case *c)
{
	struct cashew_test *t = handler_case_begin(c);
	handler_case_deliver(t, c, "at first");
	const size_t contacts = fake_store_contacts(cashew_test_fake_store(t)),
		     requests = fake_store_requests(cashew_test_fake_store(t));
	handler_case_deliver(t, c, "again");
	assert_int_equal(fake_store_contacts(cashew_test_fake_store(t)), contacts);
	assert_int_equal(fake_store_requests(cashew_test_fake_store(t)), requests);
	cashew_test_free(t);
}

/* Each operation on the store fails in each way, or is done without an answer; then the command comes again. */
static inline void handler_survives_store_failures(const struct handler_case *c)
{
	static const struct {
		const char *name;
		int error; /* 0: done, but the answer is lost */
		enum call_end end;
		bool away;
	} failures[] = {
		{"store away", STORE_E_AWAY, CALL_RETRY, true},
		{"answer lost", 0, CALL_RETRY, true},
		{"transient", STORE_E_TRANSIENT, CALL_RETRY, false},
		{"permanent", STORE_E_PERMANENT, CALL_FAILED, false},
	};
	struct cashew_test *t = handler_case_begin(c);
	const unsigned before = fake_store_operations(cashew_test_fake_store(t));
	assert_int_equal(cashew_test_deliver(t, c->handler, c->topic, c->payload), CALL_DONE);
	const unsigned operations = fake_store_operations(cashew_test_fake_store(t)) - before;
	cashew_test_free(t);
	assert_true(operations > 0);

	for (size_t f = 0; f < COUNT(failures); f++) {
		for (unsigned n = 0; n < operations; n++) {
			char when[100];
			snprintf(when, sizeof(when), "%s at operation %u of %u", failures[f].name, n + 1,
				operations);
			t = handler_case_begin(c);
			if (failures[f].error)
				fake_store_fail_at(cashew_test_fake_store(t), n, failures[f].error);
			else
				fake_store_lose_answer_at(cashew_test_fake_store(t), n);
			const enum call_end end = cashew_test_deliver(t, c->handler, c->topic, c->payload);
			if (end != failures[f].end || cashew_test_store_away(t) != failures[f].away)
				fail_msg("%s: ended as %d", when, end);
			if (cashew_test_event_count(t) != 0 || !cashew_test_reason(t))
				fail_msg("%s: left events, or no reason", when);
			handler_case_deliver(t, c, when);
			cashew_test_free(t);
		}
	}
}

/* Each allocation fails, alone and with all later ones; then the command comes again. */
static inline void handler_survives_out_of_memory(const struct handler_case *c)
{
	for (unsigned i = 0; i < 2; i++) {
		bool failed = true;
		size_t n = 1;
		for (; failed && n < 10000; n++) {
			char when[100];
			snprintf(when, sizeof(when), "allocation %zu failed", n);
			struct cashew_test *t = handler_case_begin(c);
			cashew_test_prepare(t, c->handler, c->topic, c->payload, strlen(c->payload));
			failing_malloc_start(n, i == 1);
			const enum call_end end = cashew_test_run(t);
			failed = failing_malloc_stop();
			if (end != (failed ? CALL_RETRY : CALL_DONE))
				fail_msg("%s: ended as %d: %s", when, end, cashew_test_reason(t));
			if (failed && (cashew_test_event_count(t) != 0 ||
					      strcmp(cashew_test_reason(t), "out of memory") != 0))
				fail_msg("%s: left events, or '%s'", when, cashew_test_reason(t));
			handler_case_deliver(t, c, when);
			cashew_test_free(t);
		}
		assert_false(failed);
		assert_true(n > 2);
	}
}

/* A payload that the handler rejects before it touches the store. */
struct handler_refusal {
	const char *payload, *reason;
};

static inline void handler_refuses(const struct cashew_handler *handler, const char *topic,
	const struct handler_refusal *refusals, size_t count)
{
	struct cashew_test *t = cashew_test_new();
	for (size_t i = 0; i < count; i++) {
		const enum call_end end = cashew_test_deliver(t, handler, topic, refusals[i].payload);
		if (end != CALL_REJECTED)
			fail_msg("%s: ended as %d", refusals[i].payload, end);
		if (strcmp(cashew_test_reason(t), refusals[i].reason) != 0)
			fail_msg("%s: '%s'", refusals[i].payload, cashew_test_reason(t));
		assert_int_equal(cashew_test_event_count(t), 1);
		assert_int_equal(fake_store_operations(cashew_test_fake_store(t)), 0);
	}
	cashew_test_free(t);
}

#define TEN_CHARACTERS "aaaaaaaaaa"
#define SIXTY_FOUR_CHARACTERS \
	TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS TEN_CHARACTERS "aaaa"
#define A_USER_ID "a user id, 1 to 64 of A-Z a-z 0-9 . _ | -"

/* For a handler that takes {"contact_id": user id}; the sender is 68946. */
static inline void handler_refuses_bad_contact_ids(
	const struct cashew_handler *handler, const char *topic, const char *oneself_reason)
{
	const struct handler_refusal refusals[] = {
		{"{\"contact_id\":\"68946\"}", oneself_reason},
		{"{}", "contact_id is missing: expected " A_USER_ID},
		{"{\"contact_id\":null}", "contact_id is null: expected " A_USER_ID},
		{"{\"contact_id\":23412}", "contact_id is an integer: expected " A_USER_ID},
		{"{\"contact_id\":true}", "contact_id is a boolean: expected " A_USER_ID},
		{"{\"contact_id\":[\"23412\"]}", "contact_id is a list: expected " A_USER_ID},
		{"{\"contact_id\":{\"$gt\":\"\"}}", "contact_id is an object: expected " A_USER_ID},
		{"{\"contact_id\":\"\"}", "contact_id is empty: expected " A_USER_ID},
		{"{\"contact_id\":\"a/b\"}", "contact_id has other characters in it: expected " A_USER_ID},
		{"{\"contact_id\":\"+\"}", "contact_id has other characters in it: expected " A_USER_ID},
		{"{\"contact_id\":\"#\"}", "contact_id has other characters in it: expected " A_USER_ID},
		{"{\"contact_id\":\"$SYS\"}", "contact_id has other characters in it: expected " A_USER_ID},
		{"{\"contact_id\":\"" SIXTY_FOUR_CHARACTERS "a\"}",
			"contact_id is 65 bytes long: expected " A_USER_ID},
		{"{\"contact_id\":\"23412\",\"contact_id\":\"a\"}",
			"the payload is not JSON: line 1, column 34: a key that was there before"},
		{"[\"23412\"]", "the payload is a list: expected a JSON object"},
		{"", "the payload is empty: expected a JSON object"},
	};
	handler_refuses(handler, topic, refusals, COUNT(refusals));
}

/* Event number i is exactly that. */
static inline void check_event(const struct cashew_test *t, size_t i, const char *topic, const char *payload)
{
	if (i >= cashew_test_event_count(t))
		fail_msg("there are %zu events: no %s", cashew_test_event_count(t), topic);
	assert_string_equal(cashew_test_event_topic(t, i), topic);
	assert_string_equal(cashew_test_event_payload(t, i), payload);
}

#endif
