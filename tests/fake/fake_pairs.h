/*
 * fake_pairs.h - inside of the stand-in store: documents about two users, in an array sorted by the owner,
 * then by the other, in the order of their bytes. Not thread-safe; out of memory aborts.
 */
#ifndef FAKE_PAIRS_H
#define FAKE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { PAIR_USER_MAX = 64 };

struct pair {
	char owner[PAIR_USER_MAX + 1];
	char other[PAIR_USER_MAX + 1];
	int64_t at_ms;
};

struct pairs {
	struct pair *items; /* sorted by owner, then by other */
	size_t count;
	size_t room;
};

/* Tests do not go on without memory. */
static inline void *checked(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

bool pairs_have(const struct pairs *pairs, const char *owner, const char *other);

/* Does nothing where the pair is there; its time is that of the first call. now_ms: the database's time. */
void pairs_add(struct pairs *pairs, const char *owner, const char *other, int64_t now_ms);

void pairs_remove(struct pairs *pairs, const char *owner, const char *other);

/* A copy of an owner's pairs after the other user `after` (NULL: from the start), at most limit, to be freed. */
struct pair *pairs_page(
	const struct pairs *pairs, const char *owner, const char *after, unsigned limit, size_t *ret_count);

#endif
