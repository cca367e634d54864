/*
 * log_lines.h - for tests: what a part logs is kept, and can be looked at.
 *
 * Include it in one source file, behind cmocka.h.
 */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include "log.h"
#include <string.h>

static char log_lines[1 << 20]; /* one behind the other */
static size_t log_lines_size;

static inline void log_lines_add(void *context, const char *text, size_t size)
{
	(void)context;
	assert_true(log_lines_size + size < sizeof(log_lines));
	memcpy(log_lines + log_lines_size, text, size);
	log_lines_size += size;
	log_lines[log_lines_size] = '\0';
}

/* From now on, without what was kept before; and no more. */
static inline void log_lines_keep(void)
{
	log_lines_size = 0;
	log_lines[0] = '\0';
	log_set_tap(log_lines_add, NULL);
}

static inline void log_lines_leave(void)
{
	log_set_tap(NULL, NULL);
}

/* How often the text stands in them. */
static inline unsigned log_lines_count(const char *text)
{
	unsigned found = 0;
	for (const char *at = log_lines; (at = strstr(at, text)); at++)
		found++;
	return found;
}

#endif
