/*
 * effects.h - what the handler test_effect has done for a user: the effects that its commands have left, in their order.
 *
 * They stand in a file of the host's folder, which outlives every process, so a test sees them whatever was killed.
 */
#ifndef EFFECTS_H
#define EFFECTS_H

#include "harness.h"

/* The user's effects so far, separated by blanks: "x b x b". Lives as long as the case. */
const char *effects_of(struct harness *h, const struct host *host, const char *user);

/* Waits until the user has so many effects, or more. */
#define effects_wait(h, host, user, count) effects_wait_at(__FILE__, __LINE__, h, host, user, count)
void effects_wait_at(const char *file, int line, struct harness *h, const struct host *host, const char *user,
	size_t count);

/* Waits until there are as many as in `expected`, and fails the test if they are others: "x b x b". */
#define effects_expect(h, host, user, expected) effects_expect_at(__FILE__, __LINE__, h, host, user, expected)
void effects_expect_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *user, const char *expected);

/*
 * Fails the test unless the user's effects so far are in order (order.h), none of what was sent is missing, and without_kill, no step skips
 * ahead. `sent`: what was sent, in that order, each another one: "x b".
 */
#define effects_check(h, host, user, sent, without_kill) \
	effects_check_at(__FILE__, __LINE__, h, host, user, sent, without_kill)
void effects_check_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *user, const char *sent, bool without_kill);

#endif
