/*
 * copies_parts.h - places and copies that tests make.
 *
 * Include it in one source file.
 */
#ifndef COPIES_PARTS_H
#define COPIES_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "copies.h"

/* ---- The rule, case by case ---- */

static struct copies *copies;

static struct place *make(char name, uint16_t mid, uint64_t user, uint64_t fingerprint)
{
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	*place = (struct place){.end = (uint8_t)name, .mid = mid, .user = user, .fingerprint = fingerprint};
	return place;
}

#endif
