/*
 * collections.h - which collections of the database a host needs: its own, and those that its handlers name in their descriptors.
 *
 * Pure functions, any thread. A list is made once at the start, and read afterwards. Where there are more than it has places for, those beyond are left
 * out: then nobody tries whether they may be used, and all else is as it should be.
 */
#ifndef COLLECTIONS_H
#define COLLECTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct cashew_handler;

enum { COLLECTIONS_MAX = 64, COLLECTIONS_NAME_SIZE = 128 };

struct collections_need {
	char name[COLLECTIONS_NAME_SIZE];
	bool writes; /* false: it is only read */
};

/* Each name once. */
struct collections {
	size_t count;
	struct collections_need needs[COLLECTIONS_MAX];
};

/* The host's own, then those of the handlers, which end with NULL. */
void collections_of(const struct cashew_handler *const *handlers, struct collections *ret);

#endif
