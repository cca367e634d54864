/*
 * clock.c - see clock.h.
 */
#include "clock.h"

#include <string.h>

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

enum { DAY_S = 86400, DAYS_OF_400_YEARS = 146097, DAYS_TO_1970 = 719468 /* from March 1 of the year 0 */ };

static char *write_digits(char *to, unsigned number, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; number /= 10)
		to[i] = (char)('0' + number % 10);
	return to + digits;
}

/*
 * "2026-11-23", by the Gregorian calendar's cycle of 400 years, which are taken to begin with March: then a leap day is the last of its year. Events
 * are full of times, and the C library's functions take a microsecond for each. NULL for a year that has no four digits.
 */
static char *write_date(char *to, int64_t days)
{
	const int64_t since = days + DAYS_TO_1970;
	const int64_t cycle = (since >= 0 ? since : since - (DAYS_OF_400_YEARS - 1)) / DAYS_OF_400_YEARS;
	const unsigned day_of_cycle = (unsigned)(since - cycle * DAYS_OF_400_YEARS);
	const unsigned year_of_cycle =
		(day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
	const unsigned day = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
	const unsigned month = (5 * day + 2) / 153; /* 0 is March */
	const int64_t year = year_of_cycle + cycle * 400 + (month >= 10);
	if (year < 0 || year > 9999)
		return NULL;
	to = write_digits(to, (unsigned)year, 4);
	*to++ = '-';
	to = write_digits(to, month < 10 ? month + 3 : month - 9, 2);
	*to++ = '-';
	return write_digits(to, day - (153 * month + 2) / 5 + 1, 2);
}

static int64_t divide_down(int64_t number, int64_t by)
{
	return number / by - (number % by < 0);
}

static void write_iso(int64_t unix_ms, bool milliseconds, char ret[static CLOCK_ISO_SIZE])
{
	const int64_t seconds = divide_down(unix_ms, 1000), days = divide_down(seconds, DAY_S);
	const unsigned second = (unsigned)(seconds - days * DAY_S);
	char *at = write_date(ret, days);
	if (!at) {
		memcpy(ret, "?", 2);
		return;
	}
	*at++ = 'T';
	at = write_digits(at, second / 3600, 2);
	*at++ = ':';
	at = write_digits(at, second / 60 % 60, 2);
	*at++ = ':';
	at = write_digits(at, second % 60, 2);
	if (milliseconds) {
		*at++ = '.';
		at = write_digits(at, (unsigned)(unix_ms - seconds * 1000), 3);
	}
	memcpy(at, "Z", 2);
}

void clock_iso(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE])
{
	write_iso(unix_ms, false, ret);
}

void clock_iso_ms(int64_t unix_ms, char ret[static CLOCK_ISO_SIZE])
{
	write_iso(unix_ms, true, ret);
}

/* As many digits as that, within those bounds. */
static bool read_digits(const char **at, size_t count, int min, int max, int *ret)
{
	int number = 0;
	for (size_t i = 0; i < count; i++) {
		const char digit = (*at)[i];
		if (digit < '0' || digit > '9')
			return false;
		number = number * 10 + (digit - '0');
	}
	*at += count;
	*ret = number;
	return number >= min && number <= max;
}

static bool read_char(const char **at, char expected)
{
	if (**at != expected)
		return false;
	++*at;
	return true;
}

/* A dot and digits, of which all behind the third are 0; or nothing. */
static bool read_fraction(const char **at, int *ret_ms)
{
	int ms = 0, unit = 100;
	if (!read_char(at, '.')) {
		*ret_ms = 0;
		return true;
	}
	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9'; ++*at) {
		if (unit == 0 && **at != '0')
			return false;
		ms += (**at - '0') * unit;
		unit /= 10;
	}
	*ret_ms = ms;
	return true;
}

static bool read_offset(const char **at, int *ret_minutes)
{
	int hours = 0, minutes = 0;
	if (read_char(at, 'Z')) {
		*ret_minutes = 0;
		return true;
	}
	const int sign = **at == '-' ? -1 : 1;
	if (!read_char(at, '+') && !read_char(at, '-'))
		return false;
	if (!read_digits(at, 2, 0, 23, &hours) || !read_char(at, ':') || !read_digits(at, 2, 0, 59, &minutes))
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

bool clock_read(const char *text, size_t size, int64_t *ret_unix_ms)
{
	char copy[64];
	struct tm tm = {.tm_isdst = 0};
	int ms = 0, offset = 0;
	if (size >= sizeof(copy) || memchr(text, '\0', size))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	const char *at = copy;
	const bool read = read_digits(&at, 4, 1, 9999, &tm.tm_year) && read_char(&at, '-') &&
			  read_digits(&at, 2, 1, 12, &tm.tm_mon) && read_char(&at, '-') &&
			  read_digits(&at, 2, 1, 31, &tm.tm_mday) && read_char(&at, 'T') &&
			  read_digits(&at, 2, 0, 23, &tm.tm_hour) && read_char(&at, ':') &&
			  read_digits(&at, 2, 0, 59, &tm.tm_min) && read_char(&at, ':') &&
			  read_digits(&at, 2, 0, 59, &tm.tm_sec) && read_fraction(&at, &ms) &&
			  read_offset(&at, &offset) && *at == '\0';
	if (!read)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	const int day = tm.tm_mday;
	const int64_t seconds = timegm(&tm);
	/* timegm() makes the 31st of June the 1st of July */
	if (tm.tm_mday != day)
		return false;
	*ret_unix_ms = (seconds - offset * INT64_C(60)) * 1000 + ms;
	return true;
}
