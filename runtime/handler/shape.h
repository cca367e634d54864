/*
 * shape.h - JSON and the structs that CASHEW_STRUCT declares, both ways.
 *
 * Nothing is lost on the way: integers are exact, times have their milliseconds, bytes are base64 (RFC 4648, 4) and back. What does not fit is refused
 * with the member's name, what was found and what was expected. Pure functions but for the arena; any thread.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include "cashew.h"

struct arena;

enum { SHAPE_MEMBERS_MAX = 24, SHAPE_REASON_SIZE = 300, SHAPE_EXPECTED_SIZE = 160 };

/*
 * The JSON object as the struct, in the arena. Its texts are the JSON's own, so the struct lives as long as both. Members that the shape does not have
 * are no matter. NULL, and why in ret_reason, for the sender's eyes; "" when out of memory.
 */
const void *shape_read(const struct cashew_shape *shape, const json_t *object, struct arena *arena,
	char ret_reason[static SHAPE_REASON_SIZE]);

/* The struct of what is not there: texts are "" (optional ones NULL), all else is 0. Never NULL: out of memory it is one in which every text is "". */
const void *shape_nothing(const struct cashew_shape *shape, struct arena *arena);

/* The member's name in JSON. */
static inline const char *shape_name(const struct cashew_member *member)
{
	return member->as ? member->as : member->name;
}

/* "an integer from 1 to 100": what a member must be. */
void shape_expected(const struct cashew_member *member, char ret[static SHAPE_EXPECTED_SIZE]);

/* Where JSON text grows: zero but for the arena. */
struct shape_text {
	struct arena *arena;
	char *bytes; /* no NUL behind them until shape_text_end() */
	size_t size, room;
};

/* Appends them. Out of memory is the arena's to say. */
void shape_text_add(struct shape_text *text, const char *bytes, size_t size);

/*
 * Appends the struct as a JSON object, without the members whose bit is set in `without`. What is optional and not there is left out. False, and why in
 * ret_reason, where a member is no JSON: a text that is not UTF-8 or is NULL and not optional, a number that is infinite.
 */
bool shape_write(struct shape_text *text, const struct cashew_shape *shape, const void *value,
	uint32_t without, char ret_reason[static SHAPE_REASON_SIZE]);

/* The text, with a NUL behind it; NULL when out of memory. */
const char *shape_text_end(struct shape_text *text);

#endif
