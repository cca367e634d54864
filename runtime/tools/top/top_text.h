/*
 * top_text.h - numbers as `cashewd top` shows them: short, and of any size that a document may hold. Pure
 * code.
 */
#ifndef TOP_TEXT_H
#define TOP_TEXT_H

#include <stdint.h>

struct top_text {
	char text[48];
};

/* "9374012", "12.3M" */
struct top_text top_text_count(int64_t count);

/* "13.9 MB"; "-" for 0, which means not known. */
struct top_text top_text_bytes(int64_t bytes);

/* So many in that time, for each second: "813", "26.5", "2.00", "0" */
struct top_text top_text_rate(int64_t count, double seconds);

/* "0.42ms", "13ms", "7.5s", "2m05s", "3h12m", "4d06h"; "0ms" for what is negative. */
struct top_text top_text_duration(double ms);

/* "2026-11-23 12:00:00Z" */
struct top_text top_text_clock(int64_t unix_ms);

#endif
