/*
 * clock.c - see clock.h.
 */
#include "clock.h"

#include <stdbool.h>
#include <stdio.h>

static int64_t read_us(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_unix_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t clock_unix_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_jitter_ms(unsigned ms)
{
	return ms - random_below(ms / 2 + 1);
}

unsigned backoff_ms(unsigned failures, unsigned min_ms, unsigned max_ms)
{
	uint64_t wait_ms = min_ms;
	for (unsigned i = 0; i < failures && wait_ms < max_ms; i++)
		wait_ms *= 2;
	return wait_ms < max_ms ? (unsigned)wait_ms : max_ms;
}

void clock_timespec_in(int64_t ms, struct timespec *ret)
{
	const int64_t wait_ms = ms > 0 ? ms : 0;
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += (time_t)(wait_ms / 1000);
	ret->tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_sec++;
		ret->tv_nsec -= 1000000000;
	}
}

/* Only a date that no clock ever showed has no such form. */
static bool write_date(int64_t seconds, char ret[static CLOCK_ISO_SIZE])
{
	const time_t time = (time_t)seconds;
	struct tm tm;
	return gmtime_r(&time, &tm) && tm.tm_year >= -1900 && tm.tm_year <= 9999 - 1900 &&
	       strftime(ret, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &tm) != 0;
}

static void write_iso(int64_t unix_ms, bool milliseconds, char ret[static CLOCK_ISO_SIZE])
{
	char date[CLOCK_ISO_SIZE];
	int64_t seconds = unix_ms / 1000, rest = unix_ms % 1000;
	if (rest < 0) {
		seconds--;
		rest += 1000;
	}
	if (!write_date(seconds, date))
		snprintf(ret, CLOCK_ISO_SIZE, "?");
	else if (milliseconds)
		snprintf(ret, CLOCK_ISO_SIZE, "%.19s.%03dZ", date, (int)rest);
	else
		snprintf(ret, CLOCK_ISO_SIZE, "%.19sZ", date);
}

void clock_iso(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE])
{
	write_iso(unix_ms, false, ret);
}

void clock_iso_ms(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE])
{
	write_iso(unix_ms, true, ret);
}
