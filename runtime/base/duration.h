/*
 * duration.h - how long, as people write it in a command line: 90s, 15m, 1h, 30d. Pure, any thread.
 */
#ifndef DURATION_H
#define DURATION_H

#include <stdint.h>

#define DURATION_EXPECTED "expected a number and s, m, h or d, up to 36500d, as in 1h"

/* The seconds, 1 to those of 36500 days; 0 if it is no such text. */
int64_t duration_read(const char *text);

#endif
