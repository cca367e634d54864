/*
 * log_line.h - an event of the log as one line: of text for people, or of JSON. Any thread, no allocation; secrets
 * (log_secret.h) are hidden.
 *
 * Control characters and bytes that are no UTF-8 are escaped, texts are cut at 1 KiB, and what does not fit
 * into the line is left out with a sign that it was, so that the result is one whole line, whatever the texts
 * hold.
 */
#ifndef LOG_LINE_H
#define LOG_LINE_H

#include "log_field.h"

#include <stddef.h>
#include <time.h>

enum { LOG_LINE_SIZE = 8192, LOG_LINE_TEXT_MAX = 1024 };

/* What a line says. */
struct log_line {
	struct timespec time; /* CLOCK_REALTIME */
	enum log_level level;
	const char *event;
	const char *message;
	const struct log_field *fields;
	size_t count;
};

/* "2026-11-23 07:04:06.123 INFO  broker_connected: connected to the broker  broker=127.0.0.1 port=8883", in local time; returns its size with the line end. */
size_t log_line_text(const struct log_line *line, bool colours, char ret[static LOG_LINE_SIZE]);

/* {"timestamp":"2026-11-23T07:04:06.123Z","level":"info","event":..,"message":..,fields}; returns its size with the line end. */
size_t log_line_json(const struct log_line *line, char ret[static LOG_LINE_SIZE]);

#endif
