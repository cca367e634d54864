/*
 * clock.h - what time it is, how long to wait, and how a time is written.
 *
 * Any thread; nothing here fails. Times are of two kinds: those of the monotonic clock, which only differences are taken of, and Unix time,
 * which is written down. A wall clock may jump, so no wait is measured by it.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "random.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in milliseconds. Two threads, and two processes of one machine, see the same clock. */
int64_t clock_ms(void);

/* CLOCK_MONOTONIC in microseconds: to measure how long something takes. */
int64_t clock_us(void);

/* Unix time in milliseconds. */
int64_t clock_unix_ms(void);

/* Unix time in microseconds. */
int64_t clock_unix_us(void);

/* A random time between half of `ms` and all of it, so that what failed together is not tried again in step. */
int64_t clock_jitter_ms(unsigned ms);

/*
 * How long to wait where `failures` of the same have gone before: min_ms where it is none, and twice as long for each, max_ms at most. No chance is in
 * it: see clock_jitter_ms().
 */
unsigned backoff_ms(unsigned failures, unsigned min_ms, unsigned max_ms);

/* The moment in `ms` milliseconds on CLOCK_MONOTONIC, as pthread_cond_clockwait() takes it. Less than 0 counts as 0. */
void clock_timespec_in(int64_t ms, struct timespec *ret);

enum { CLOCK_ISO_SIZE = 32 };

/* Unix time in milliseconds as ISO 8601 in UTC, to the second: "2026-11-23T07:04:06Z". "?" for a year that has no four digits. */
void clock_iso(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE]);

/* The same to the millisecond: "2026-11-23T07:04:06.123Z". */
void clock_iso_ms(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE]);

/*
 * The way back: a time as RFC 3339, 5.6 has it, "2026-11-23T07:04:06.123Z": with a T and a Z or an offset, in the years 0001 to 9999, and with no more
 * than milliseconds that are not 0. False for anything else; a leap second is no Unix time. *ret_unix_ms is untouched then.
 */
bool clock_read(const char *text, size_t size, int64_t *ret_unix_ms);

#endif
