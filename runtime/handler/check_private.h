/*
 * check_private.h - what the files of check.h share and nobody else sees.
 */
#ifndef CHECK_PRIVATE_H
#define CHECK_PRIVATE_H

#include "cashew.h"
#include <stdio.h>

struct check {
	FILE *problems;
	unsigned found;
};

/* A problem: a line. file NULL: where it stands is not known. */
void check_tell(struct check *check, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- check_shape.c ---- */

/* The handler's payload, events and collections. */
void check_shapes(struct check *check, const struct cashew_handler *handler);

/* Those of all handlers beside each other. */
void check_same_collections(struct check *check, const struct cashew_handler *const *handlers);

#endif
