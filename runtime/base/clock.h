/*
 * clock.h - what time it is, and how long to wait. Any thread.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* The monotonic clock in milliseconds. */
int64_t host_clock_ms(void);

/* Unix time in milliseconds. */
int64_t host_unix_ms(void);

/* A random time between half of it and all of it, so that what failed together is not tried again in step. */
int64_t host_jitter_ms(unsigned ms);

#endif
