/*
 * broker_names.c - see broker_names.h. A list is short and read seldom: nothing is kept of it.
 */
#include "broker_names.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

size_t broker_names_count(const char *names)
{
	size_t count = 1;
	for (; *names != '\0'; names++)
		count += *names == ',';
	return count;
}

void broker_names_at(const char *names, size_t number, char ret[static BROKER_NAME_SIZE])
{
	for (number %= broker_names_count(names); number > 0; number--)
		names = strchr(names, ',') + 1;
	const size_t size = strcspn(names, ",");
	const size_t kept = size < BROKER_NAME_SIZE ? size : BROKER_NAME_SIZE - 1;
	memcpy(ret, names, kept);
	ret[kept] = '\0';
}

/* A colon alone is before a port; an address of IPv6 has several. */
static bool is_plain(const char *name)
{
	const char *colon = strchr(name, ':');
	return !strstr(name, "://") && name[strcspn(name, " \t/@[]")] == '\0' &&
	       (!colon || strchr(colon + 1, ':'));
}

static bool stands_before(const char *names, size_t number, const char *name)
{
	char other[BROKER_NAME_SIZE];
	for (size_t i = 0; i < number; i++) {
		broker_names_at(names, i, other);
		if (strcasecmp(other, name) == 0)
			return true;
	}
	return false;
}

const char *broker_names_problem(const char *names)
{
	char name[BROKER_NAME_SIZE];
	const size_t count = broker_names_count(names);
	if (count > BROKER_NAMES_MAX)
		return "8 names at most";
	for (size_t i = 0; i < count; i++) {
		broker_names_at(names, i, name);
		if (name[0] == '\0')
			return "a name before and after each comma";
		if (strlen(name) == BROKER_NAME_SIZE - 1)
			return "names of fewer than 255 bytes";
		if (!is_plain(name))
			return "a host name or an address alone, or several separated by commas without blanks; the port, one for all, goes into BROKER_PORT";
		if (stands_before(names, i, name))
			return "each name once";
	}
	return NULL;
}
