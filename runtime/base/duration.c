/* duration.c - see duration.h. */
#include "duration.h"

#include <stdlib.h>
#include <string.h>

static const int64_t day_s = 24 * 3600, days_max = 36500;

int64_t duration_read(const char *text)
{
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 10 || strlen(text) != digits + 1)
		return 0;
	int64_t number = strtoll(text, NULL, 10);
	switch (text[digits]) {
	case 's': break;
	case 'm': number *= 60; break;
	case 'h': number *= 3600; break;
	case 'd': number *= day_s; break;
	default: return 0;
	}
	return number <= days_max * day_s ? number : 0;
}
