/*
 * database_name.c - see database_name.h.
 */
#include "database_name.h"

#include "text_line.h"
#include <string.h>

bool database_name_plain(const char *name)
{
	return !strpbrk(name, "/\\. \"$*<>:|?") && text_is_utf8(name, strlen(name));
}

bool database_name_reserved(const char *name)
{
	return strcmp(name, "admin") == 0 || strcmp(name, "local") == 0 || strcmp(name, "config") == 0;
}
