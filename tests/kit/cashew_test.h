/*
 * cashew_test.h - tests of handlers, without broker and database.
 *
 * A test delivers commands by their topics, as the broker does; every handler of the build is there. Payloads and documents are JSON, in which ' may
 * stand for ". An expectation that does not hold prints FILE:LINE, what was found and what was expected, and ends the test. Each test is a process of
 * its own, on an empty store, at 2026-01-31T12:00:00Z: a handler that crashes fails its test alone. A file tests/handlers/wash_dishes.c:
 *
 *	#include <cashew_test.h>
 *
 *	CASHEW_TEST(counts_a_command_once)
 *	{
 *		test_deliver(t, "68946/wash_dishes", "{'command_id':'w1','count':3}");
 *		test_again(t);
 *		test_event(t, "68946/dishes_washed", "{'total':3}");
 *	}
 *
 * `cashew test wash_dishes` runs it. With CASHEW_TEST_DATABASE=1 in the environment the tests run on a real database.
 */
#ifndef CASHEW_TEST_H
#define CASHEW_TEST_H

#include <stddef.h>

typedef struct kit cashew_test;

/* A test; there is no list of them. What a delivery leaves and nobody expects fails the test: an event, or another end than done. */
#define CASHEW_TEST(name)                                                           \
	static void cashew_test_of_##name(cashew_test *t);                          \
	__attribute__((constructor)) static void cashew_add_##name(void)            \
	{                                                                           \
		cashew_test_add_(#name, __FILE__, __LINE__, cashew_test_of_##name); \
	}                                                                           \
	static void cashew_test_of_##name(cashew_test *t)

/* ---- What happens ---- */

/* A command comes, and every handler that listens on its topic runs. */
#define test_deliver(t, topic, payload) cashew_test_deliver_(t, __FILE__, __LINE__, topic, payload)

/* The last command comes again, to a host that knows nothing of it: what it had left to expect is forgotten. */
#define test_again(t) cashew_test_again_(t, __FILE__, __LINE__)

/* A schedule's run that is due at the clock. */
#define test_run(t, schedule) cashew_test_run_(t, __FILE__, __LINE__, schedule)

/*
 * A command, and each thing that can happen to it: each operation on the store fails, or is done and the host dies before it knows; then the command
 * comes again. Documents and events must be those of an undisturbed run, which is what is there afterwards.
 */
#define test_survives(t, topic, payload) cashew_test_survives_(t, __FILE__, __LINE__, topic, payload)

/* ---- What is there before ---- */

#define test_store(t, collection, document) cashew_test_store_(t, __FILE__, __LINE__, collection, document)
/* "2026-01-31T17:05:00.000Z": from now on it is then. */
#define test_clock(t, time) cashew_test_clock_(t, __FILE__, __LINE__, time)
/* A setting of a handler's own. */
#define test_set(t, setting, value) cashew_test_set_(t, __FILE__, __LINE__, setting, value)
/* The setting names a service of this test's, on 127.0.0.1, that answers so. */
#define test_service(t, setting, status, body) \
	cashew_test_service_(t, __FILE__, __LINE__, setting, status, body)

/* ---- What must be there after ---- */

/* Of the events to that topic which nobody has expected yet, the first. */
#define test_event(t, topic, payload) cashew_test_event_(t, __FILE__, __LINE__, topic, payload)
/* How the last command ended, and words of the reason. */
#define test_rejected(t, reason) cashew_test_end_(t, __FILE__, __LINE__, 3, reason)
#define test_retried(t, reason)	 cashew_test_end_(t, __FILE__, __LINE__, 2, reason)
#define test_dead(t, reason)	 cashew_test_end_(t, __FILE__, __LINE__, 4, reason)
/* At least these members. */
#define test_document(t, collection, id, document) \
	cashew_test_document_(t, __FILE__, __LINE__, collection, id, document)
#define test_no_document(t, collection, id) cashew_test_document_(t, __FILE__, __LINE__, collection, id, NULL)
/* What the service was asked last: the body of the request. */
#define test_asked(t, body) cashew_test_asked_(t, __FILE__, __LINE__, body)

/* ---- What the macros call ---- */

void cashew_test_add_(const char *name, const char *file, int line, void (*test)(cashew_test *));
void cashew_test_deliver_(cashew_test *t, const char *file, int line, const char *topic, const char *payload);
void cashew_test_again_(cashew_test *t, const char *file, int line);
void cashew_test_run_(cashew_test *t, const char *file, int line, const char *schedule);
void cashew_test_survives_(
	cashew_test *t, const char *file, int line, const char *topic, const char *payload);
void cashew_test_store_(
	cashew_test *t, const char *file, int line, const char *collection, const char *document);
void cashew_test_clock_(cashew_test *t, const char *file, int line, const char *time);
void cashew_test_set_(cashew_test *t, const char *file, int line, const char *setting, const char *value);
void cashew_test_service_(
	cashew_test *t, const char *file, int line, const char *setting, int status, const char *body);
void cashew_test_event_(cashew_test *t, const char *file, int line, const char *topic, const char *payload);
void cashew_test_end_(cashew_test *t, const char *file, int line, int result, const char *reason);
void cashew_test_document_(cashew_test *t, const char *file, int line, const char *collection, const char *id,
	const char *document);
void cashew_test_asked_(cashew_test *t, const char *file, int line, const char *body);

#endif
