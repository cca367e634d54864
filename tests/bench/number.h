/* number.h - numbers on the command lines of the load generators. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdbool.h>
#include <stdlib.h>

/* False: it is no number, there is something behind it, or it is less than min or more than max. */
static inline bool parse_number(const char *text, double min, double max, double *ret_value)
{
	char *end;
	const double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		return false;
	*ret_value = value;
	return true;
}

#endif
