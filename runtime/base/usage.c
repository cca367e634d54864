/* usage.c - see usage.h. */
#include "usage.h"

#include <stdarg.h>

int usage_wrong(FILE *problems, const char *command, const char *format, ...)
{
	va_list arguments;
	fprintf(problems, "%s: ", command);
	va_start(arguments, format);
	vfprintf(problems, format, arguments);
	va_end(arguments);
	fprintf(problems, "; see %s --help\n", command);
	return USAGE_E_WRONG;
}
