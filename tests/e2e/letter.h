/* letter.h - the dead letter that a command has become, as it stands in the database. */
#ifndef LETTER_H
#define LETTER_H

#include "harness.h"

enum { LETTER_ANY_ATTEMPTS = 1000000 };

/* What is expected. NULL, LETTER_ANY_ATTEMPTS: not looked at. */
struct letter {
	const char *topic;
	const char *handler;
	const char *reason; /* a part of it */
	const char *payload;
	size_t payload_size; /* 0: that of the text */
	unsigned attempts;
};

/*
 * Waits for the dead letter of that topic, which must be the only one of the topic, and compares. The user is
 * the topic's first level, the host is "cashewd"; the id and the time must be there.
 */
#define letter_expect(h, database, ...) \
	letter_expect_at(__FILE__, __LINE__, h, database, &(struct letter){__VA_ARGS__})
void letter_expect_at(const char *file, int line, struct harness *h, struct database *database,
	const struct letter *letter);

/* All dead letters of the case. */
size_t letter_count(struct harness *h, struct database *database);

#endif
