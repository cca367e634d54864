/*
 * log_field.h - what a line of the log is made of: its level, and fields of a name and a value. Any thread.
 */
#ifndef LOG_FIELD_H
#define LOG_FIELD_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* "error", "warn", "info" or "debug": as lines have it, and as LOG_LEVEL takes it. */
const char *log_level_name(enum log_level level);

/* The level of that name in *ret; false, and *ret untouched, where there is none. */
bool log_level_of(const char *name, enum log_level *ret);

/* One name and value of a line. A NULL text is left out. The texts stay the caller's. */
struct log_field {
	const char *name;
	enum { LOG_FIELD_TEXT, LOG_FIELD_INTEGER, LOG_FIELD_REAL } kind;
	union {
		const char *text;
		int64_t integer;
		double real;
	};
};

#define LOG_TEXT(field_name, value) \
	((struct log_field){.name = (field_name), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_INT(field_name, value) \
	((struct log_field){.name = (field_name), .kind = LOG_FIELD_INTEGER, .integer = (int64_t)(value)})
#define LOG_REAL(field_name, value) \
	((struct log_field){.name = (field_name), .kind = LOG_FIELD_REAL, .real = (value)})

#endif
