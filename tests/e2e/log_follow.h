/*
 * log_follow.h - a log of JSON lines that another process is writing, read while it grows.
 *
 * Lines that are not JSON objects (a sanitizer's report, a last word on standard error) are kept as {"line":
 * text}. Records are numbered by their order and may be taken once each: see log_follow_take().
 */
#ifndef LOG_FOLLOW_H
#define LOG_FOLLOW_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct log_follow {
	int fd; /* -1: not open yet */
	char *path;
	char *rest; /* the beginning of a line whose end is not written yet */
	size_t rest_size;
	struct log_record {
		json_t *json;
		bool taken;
	} * records;
	size_t count, capacity;
};

/* The file need not exist yet. */
void log_follow_open(struct log_follow *log, const char *path);
void log_follow_close(struct log_follow *log);

/* Reads what has been written since. */
void log_follow_read(struct log_follow *log);

/*
 * Conditions are pairs of texts, field and value, ended by NULL. A value matches a text that is equal, an
 * integer that is written so, or "true" and "false"; "*" matches anything that is there.
 */
bool log_follow_matches(const json_t *record, const char *event, va_list conditions);

/* The first record of that event which matches and was not taken yet; it is taken then. NULL: none so far.
 * Borrowed. */
json_t *log_follow_take(struct log_follow *log, const char *event, va_list conditions);

/* How many records match, taken or not. */
size_t log_follow_count(struct log_follow *log, const char *event, va_list conditions);

#endif
