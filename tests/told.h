/*
 * told.h - for tests: what a part was told or did, in words, one behind the other.
 *
 * Include it in one source file, behind cmocka.h.
 */
#ifndef TOLD_H
#define TOLD_H

#include <stdarg.h>
#include <stdio.h>

static char told[256 * 1024];
static size_t told_size;

__attribute__((format(printf, 1, 2))) static inline void tell(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	told_size += (size_t)vsnprintf(told + told_size, sizeof(told) - told_size, format, arguments);
	va_end(arguments);
	assert_true(told_size < sizeof(told));
}

static inline void forget_told(void)
{
	told_size = 0;
	told[0] = '\0';
}

/* That and no more; it is forgotten. */
static inline void expect(const char *expected)
{
	assert_string_equal(told, expected);
	forget_told();
}

#endif
