/*
 * log_field.c - see log_field.h.
 */
#include "log_field.h"

#include <stddef.h>
#include <string.h>

static const char *const level_names[] = {[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug"};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_of(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}
