/*
 * nearest.c - see nearest.h.
 */
#include "nearest.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* The number of single-character changes from a to b, upper and lower case alike. */
static unsigned distance(const char *a, const char *b)
{
	enum { SIZE = 64 };
	unsigned row[SIZE + 1];
	const size_t size = strlen(b);
	if (size > SIZE || strlen(a) > SIZE)
		return SIZE;
	for (unsigned j = 0; j <= size; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0'; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= size; j++) {
			const unsigned above = row[j];
			const unsigned change = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
			const unsigned drop = (above < row[j - 1] ? above : row[j - 1]) + 1;
			row[j] = change < drop ? change : drop;
			diagonal = above;
		}
	}
	return row[size];
}

const char *nearest_name(const char *mistyped, const char *const *names)
{
	const char *found = NULL;
	unsigned least = (unsigned)strnlen(mistyped, 64) / 3;
	least = (least < 2 ? 2 : least) + 1;
	for (size_t i = 0; names[i]; i++) {
		const unsigned steps = distance(mistyped, names[i]);
		/* A name of which nothing is left is not near: "TZ" is no mistyped "TTL". */
		if (steps < least && steps < strlen(names[i]) && steps < strlen(mistyped)) {
			least = steps;
			found = names[i];
		}
	}
	return found;
}
