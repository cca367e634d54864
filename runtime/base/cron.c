/*
 * cron.c - see cron.h. A field becomes a set of bits; a time is looked for day by day, and within a day minute by minute.
 *
 * Leap days make the longest search: 29 February on one day of the week comes after forty years at the latest (2096 to 2136 for one), which are
 * 15,000 steps.
 */
#include "cron.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	FIELDS = 5,
	MINUTE_MS = 60000,
	DAY_MINUTES = 1440,
	DAY_S = 86400,
	SEARCH_DAYS = 41 * 366,
	WORD_SIZE = 64,
};

struct field {
	const char *name;
	const char *const *names; /* of values from .min on; NULL: it has none */
	int min, max;
	const char *expected;
};

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY };

static const struct field fields[FIELDS] = {
	[MINUTE] = {"minute", NULL, 0, 59, "0 to 59"},
	[HOUR] = {"hour", NULL, 0, 23, "0 to 23"},
	[DAY] = {"day of the month", NULL, 1, 31, "1 to 31"},
	[MONTH] = {"month", month_names, 1, 12, "1 to 12 or jan to dec"},
	[WEEKDAY] = {"day of the week", weekday_names, 0, 7, "0 to 7 or sun to sat"},
};

/* ---- Parsing ---- */

/* A number or a name at *at, which moves behind it. -1: there is none. */
static int read_value(const struct field *field, const char **at)
{
	const size_t size = strspn(*at, "0123456789");
	if (size > 0) {
		const int value = size <= 3 ? atoi(*at) : field->max + 1;
		*at += size;
		return value;
	}
	for (int i = 0; field->names && field->names[i]; i++)
		if (strncasecmp(*at, field->names[i], 3) == 0 && !isalnum((unsigned char)(*at)[3])) {
			*at += 3;
			return field->min + i;
		}
	return -1;
}

/* "*", "5", "1-5", with a step behind what is not a single value. What is wrong with it, or NULL. */
static const char *read_part(const struct field *field, const char *part, uint64_t *bits)
{
	const char *at = part;
	int from = field->min, to = field->max, step = 1;
	bool range = *at == '*';
	if (range) {
		at++;
	} else {
		from = to = read_value(field, &at);
		if (*at == '-') {
			at++;
			range = true;
			to = read_value(field, &at);
			/* friday to sunday */
			if (field == &fields[WEEKDAY] && to == 0 && from > 0)
				to = 7;
		}
		if (from < field->min || from > field->max || to < field->min || to > field->max)
			return "is no such value";
		if (from > to)
			return "ends before it begins";
	}
	if (*at == '/') {
		if (!range)
			return "has a step behind a single value, not behind * or a range";
		at++;
		step = strspn(at, "0123456789") > 0 ? atoi(at) : 0;
		at += strspn(at, "0123456789");
		if (step < 1 || step > field->max)
			return "has a step that is none";
	}
	if (*at != '\0')
		return "has something behind it";
	for (int value = from; value <= to; value += step)
		*bits |= UINT64_C(1) << value;
	return NULL;
}

static int read_field(
	const struct field *field, const char *text, uint64_t *ret_bits, char reason[static CRON_REASON_SIZE])
{
	char list[WORD_SIZE], *rest = list;
	*ret_bits = 0;
	snprintf(list, sizeof(list), "%s", text);
	for (char *part; (part = strsep(&rest, ","));) {
		const char *wrong = part[0] != '\0' ? read_part(field, part, ret_bits) : "is empty";
		if (!wrong)
			continue;
		snprintf(reason, CRON_REASON_SIZE, "the %s \"%s\" %s: expected *, or values from %s",
			field->name, part, wrong, field->expected);
		return CRON_E_BAD;
	}
	return 0;
}

/* Whether some month has a day that fits; the day of the week follows within forty years. */
static bool ever_fires(const struct cron *cron)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (cron->either_day)
		return true;
	for (int month = 1; month <= 12; month++)
		if ((cron->months & (UINT32_C(1) << month)) != 0 &&
			(cron->days & ((UINT32_C(2) << lengths[month - 1]) - 1)) != 0)
			return true;
	return false;
}

/* Cuts the line into words. False: they are not five. */
static bool split(const char *line, char words[FIELDS][WORD_SIZE])
{
	static const char blanks[] = " \t";
	size_t count = 0;
	for (const char *at = line + strspn(line, blanks); *at != '\0'; at += strspn(at, blanks)) {
		const size_t size = strcspn(at, blanks);
		if (count == FIELDS || size >= WORD_SIZE)
			return false;
		memcpy(words[count], at, size);
		words[count++][size] = '\0';
		at += size;
	}
	return count == FIELDS;
}

int cron_parse(const char *line, struct cron *ret, char ret_reason[static CRON_REASON_SIZE])
{
	char words[FIELDS][WORD_SIZE];
	uint64_t bits[FIELDS];
	if (!split(line, words)) {
		snprintf(ret_reason, CRON_REASON_SIZE,
			"expected five fields, minute hour day month weekday, as in \"30 4 * * 1-5\"");
		return CRON_E_BAD;
	}
	for (int i = 0; i < FIELDS; i++)
		if (read_field(&fields[i], words[i], &bits[i], ret_reason) != 0)
			return CRON_E_BAD;
	/* Sunday has two numbers. */
	bits[WEEKDAY] = (bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f;
	const struct cron cron = {
		.minutes = bits[MINUTE],
		.hours = (uint32_t)bits[HOUR],
		.days = (uint32_t)bits[DAY],
		.months = (uint32_t)bits[MONTH],
		.weekdays = (uint32_t)bits[WEEKDAY],
		.either_day = words[DAY][0] != '*' && words[WEEKDAY][0] != '*',
	};
	if (!ever_fires(&cron)) {
		snprintf(ret_reason, CRON_REASON_SIZE,
			"it never fires: none of its months has such a day, expected one that comes");
		return CRON_E_BAD;
	}
	*ret = cron;
	return 0;
}

/* ---- Times ---- */

/* day: since 1970. */
static bool day_fits(const struct cron *cron, int64_t day)
{
	const time_t at = (time_t)(day * DAY_S);
	struct tm date;
	if (!gmtime_r(&at, &date) || (cron->months & (UINT32_C(2) << date.tm_mon)) == 0)
		return false;
	const bool in_month = (cron->days & (UINT32_C(1) << date.tm_mday)) != 0;
	const bool in_week = (cron->weekdays & (UINT32_C(1) << date.tm_wday)) != 0;
	return cron->either_day ? in_month || in_week : in_month && in_week;
}

static bool minute_fits(const struct cron *cron, int minute)
{
	return (cron->hours & (UINT32_C(1) << (minute / 60))) != 0 &&
	       (cron->minutes & (UINT64_C(1) << (minute % 60))) != 0;
}

/* The first minute that fits from that one on, in the direction of step, 1 or -1. Since 1970. */
static int64_t find(const struct cron *cron, int64_t minute, int step)
{
	int64_t day = minute / DAY_MINUTES - (minute % DAY_MINUTES < 0);
	int at = (int)(minute - day * DAY_MINUTES);
	for (int i = 0; i<SEARCH_DAYS; i++, day += step, at = step> 0 ? 0 : DAY_MINUTES - 1) {
		if (!day_fits(cron, day))
			continue;
		for (; at >= 0 && at < DAY_MINUTES; at += step)
			if (minute_fits(cron, at))
				return day * DAY_MINUTES + at;
	}
	abort(); /* cron_parse() has refused such a line */
}

static int64_t minute_of(int64_t at_ms)
{
	return at_ms / MINUTE_MS - (at_ms % MINUTE_MS < 0);
}

int64_t cron_after(const struct cron *cron, int64_t at_ms)
{
	return find(cron, minute_of(at_ms) + 1, 1) * MINUTE_MS;
}

int64_t cron_latest(const struct cron *cron, int64_t at_ms)
{
	return find(cron, minute_of(at_ms), -1) * MINUTE_MS;
}
