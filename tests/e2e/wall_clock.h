/*
 * wall_clock.h - a program under test on a machine whose clock is wrong.
 *
 * The clock is shifted by a library that is preloaded (tests/shifted_clock/). The database, the broker, the devices and the test keep the true one.
 */
#ifndef WALL_CLOCK_H
#define WALL_CLOCK_H

#include "harness.h"

/* The program's wall clock is ahead by that much; less than 0: behind. The first time before the program is started, then whenever it is to change. */
void wall_clock_set(struct host *host, int64_t ahead_ms);

/* A token that the broker takes for 90 days, in place of those that the program would sign: they are dated by its clock. */
void wall_clock_use_token(struct harness *h, struct host *host);

/* The true time in milliseconds since 1970, UTC. */
int64_t wall_clock_now_ms(void);

#endif
