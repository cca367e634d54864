/*
 * ticks.h - the lines that the runs of the tests' schedules leave in the file `ticks` of the case's folder, and what the next runs are told there
 * (tests/e2e/handlers/schedules/). Happy path: ticks_wait(), then ticks_expect_joined(). What is not as it should be ends the case.
 */
#ifndef TICKS_H
#define TICKS_H

#include "harness.h"

enum { TICKS_EVERY_MS = 1000, TICKS_MAX = 200 };

struct tick {
	int64_t since_ms, slot_ms;
	unsigned attempt;
	char id[80];
};

/* The runs of that schedule so far, at most TICKS_MAX; how many there are. */
size_t ticks_of(struct harness *h, const char *name, struct tick ticks[static TICKS_MAX]);
size_t ticks_count(struct harness *h, const char *name);

/* Waits until there are so many. */
void ticks_wait(struct harness *h, const char *name, size_t count);

/* Each run of test_tick begins where the one before ended, or is that one again; how many were. */
size_t ticks_expect_joined(struct harness *h);

/* Its runs that are one of those before them again, wherever. */
size_t ticks_count_repeated(struct harness *h);

/* What its next runs do: test_tick.c. */
void ticks_set_mode(struct harness *h, const char *mode);

/* The next run waits, and is there, until the mode ends. */
void ticks_hold(struct harness *h);
void ticks_end_hold(struct harness *h);

#endif
