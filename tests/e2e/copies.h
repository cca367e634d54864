/*
 * copies.h - a host before a scripted broker that sends things again: what tests of copies and their order stand on.
 *
 * Users u and v send commands to test_effect (tests/e2e/handlers/test_effect.c), which tells how often and in which order they were run. A command
 * of v whose event the broker withholds holds its place, and with it all PUBACKs behind it, for as long as a test likes. A PUBACK is lost by
 * copies_cut(): the host has written it, and the broker sends its command again all the same.
 */
#ifndef COPIES_H
#define COPIES_H

#include "effects.h"
#include "scripted_broker.h"

struct copies {
	struct harness *h;
	struct scripted_broker *broker;
	struct host *host;
	struct scripted_pair links;
};

/* A command to test_effect; `more` is the rest of its payload: ",\"hold\":\"g\"". */
struct copy {
	uint16_t mid;
	const char *user, *n, *more;
	bool duplicate;
};

/* Its setting-up without the start: for tests that change settings. Then copies_start(). */
void copies_new(struct harness *h, bool mqtt311, struct copies *ret_copies);
void copies_start(struct copies *copies);

/* What the egress PUBACKs from now on: all but what goes to that user; NULL: all, and what was withheld. */
void copies_withhold(struct copies *copies, const char *user);

void copies_send(struct copies *copies, struct copy copy);

/* All of them, in this order, ended by one without a user; again: with DUP, as they come after a lost link. */
void copies_send_all(struct copies *copies, const struct copy *all, bool again);

/* Resets the ingress; the host connects anew, and finds its session or not. */
void copies_cut(struct copies *copies, bool session_present);

/* kill -9 of the process that runs handlers; the next host connects, and finds its session. What is withheld is so again. */
void copies_kill(struct copies *copies);

/* Waits for the PUBACKs of all packet identifiers from the first to the last, in this order, on the ingress as it is now. */
#define copies_expect_pubacks(copies, first, last) \
	copies_expect_pubacks_at(__FILE__, __LINE__, copies, first, last)
void copies_expect_pubacks_at(
	const char *file, int line, struct copies *copies, uint16_t first, uint16_t last);

/* Waits until so many commands are in the database, and not done. */
#define copies_wait_parked(copies, count) \
	database_wait_count(              \
		(copies)->h, harness_database((copies)->h), "parked_commands", "{\"done\":null}", count)

/* A case under both versions of MQTT. */
#define COPIES_CASE(name)                          \
	static void name##_with(struct copies *c); \
	HARNESS_CASE(name)                         \
	{                                          \
		struct copies copies;              \
		copies_new(h, false, &copies);     \
		name##_with(&copies);              \
	}                                          \
	HARNESS_CASE(name##_mqtt311)               \
	{                                          \
		struct copies copies;              \
		copies_new(h, true, &copies);      \
		name##_with(&copies);              \
	}                                          \
	static void name##_with(struct copies *c)

#define COPIES_TEST(name) HARNESS_TEST(name), HARNESS_TEST(name##_mqtt311)

#endif
