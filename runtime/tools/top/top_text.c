/* top_text.c - see top_text.h. */
#include "top_text.h"

#include "clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct top_text top_text_count(int64_t count)
{
	struct top_text ret;
	if (count < 10000000)
		snprintf(ret.text, sizeof(ret.text), "%" PRId64, count);
	else if (count < 10000000000)
		snprintf(ret.text, sizeof(ret.text), "%.1fM", (double)count / 1e6);
	else
		snprintf(ret.text, sizeof(ret.text), "%.1fG", (double)count / 1e9);
	return ret;
}

struct top_text top_text_bytes(int64_t bytes)
{
	struct top_text ret;
	if (bytes == 0)
		snprintf(ret.text, sizeof(ret.text), "-");
	else if (bytes < INT64_C(1000) << 20)
		snprintf(ret.text, sizeof(ret.text), "%.1f MB", (double)bytes / (1 << 20));
	else
		snprintf(ret.text, sizeof(ret.text), "%.1f GB", (double)bytes / (1 << 30));
	return ret;
}

struct top_text top_text_rate(int64_t count, double seconds)
{
	struct top_text ret;
	const double rate = seconds > 0 ? (double)count / seconds : 0;
	const int digits = count == 0 || rate >= 99.95 ? 0 : (rate >= 9.995 ? 1 : 2);
	snprintf(ret.text, sizeof(ret.text), "%.*f", digits, rate < 1e12 ? rate : 1e12);
	return ret;
}

struct top_text top_text_duration(double ms)
{
	struct top_text ret;
	const int64_t s = ms < 4e15 ? (int64_t)(ms / 1000) : INT64_C(4000000000000);
	if (!(ms > 0))
		snprintf(ret.text, sizeof(ret.text), "0ms");
	else if (ms < 999.5)
		snprintf(ret.text, sizeof(ret.text), "%.*fms", ms < 9.995 ? 2 : (ms < 99.95 ? 1 : 0), ms);
	else if (ms < 59950)
		snprintf(ret.text, sizeof(ret.text), "%.1fs", ms / 1000);
	else if (s < 3600)
		snprintf(ret.text, sizeof(ret.text), "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(ret.text, sizeof(ret.text), "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
	else
		snprintf(ret.text, sizeof(ret.text), "%" PRId64 "d%02dh", s / 86400, (int)(s / 3600 % 24));
	return ret;
}

struct top_text top_text_clock(int64_t unix_ms)
{
	struct top_text ret;
	char iso[CLOCK_ISO_SIZE];
	clock_iso(unix_ms, iso);
	/* With a blank between date and time, for people. */
	if (iso[0] == '?')
		snprintf(ret.text, sizeof(ret.text), "?");
	else
		snprintf(ret.text, sizeof(ret.text), "%.10s %s", iso, iso + 11);
	return ret;
}
