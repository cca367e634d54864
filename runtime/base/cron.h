/*
 * cron.h - the five fields of a cron line, and the times that it names, in UTC.
 *
 * Happy path: cron_parse() once, then cron_after() and cron_latest(). Failure: a line that is none, or that no day ever fits ("30 2 30 2 *"), is
 * refused with words that say which field, and what was expected. Pure functions, any thread.
 *
 *	minute 0-59   hour 0-23   day of the month 1-31   month 1-12 or jan-dec   day of the week 0-7 or sun-sat, 0 and 7 are Sunday
 *
 * Each is *, a value, a range 1-5, either of * and a range with a step, or a list of those: 0,30 or 8-18/2. Where neither the day of the month nor the
 * day of the week begins with *, a day that fits one of both will do; else it has to fit both (crontab(5)).
 */
#ifndef CRON_H
#define CRON_H

#include <stdbool.h>
#include <stdint.h>

enum { CRON_E_BAD = 501 };

enum { CRON_REASON_SIZE = 200 };

/* A bit for each value. */
struct cron {
	uint64_t minutes;
	uint32_t hours, days, months, weekdays; /* days and months from bit 1 on; Sunday is bit 0 */
	bool either_day;			/* a day of the month or one of the week */
};

/* 0, or CRON_E_BAD with the reason; *ret is untouched then. */
__attribute__((warn_unused_result)) int cron_parse(
	const char *line, struct cron *ret, char ret_reason[static CRON_REASON_SIZE]);

/* The first time that the line names after that time; and the last one that is not after it. Milliseconds since 1970, UTC; always a full minute. */
int64_t cron_after(const struct cron *cron, int64_t at_ms);
int64_t cron_latest(const struct cron *cron, int64_t at_ms);

#endif
