/*
 * spare.h - places that are free, kept for the next ones: a lane makes and frees thousands a second.
 *
 * All-zero is an empty store. I/O thread only.
 */
#ifndef SPARE_H
#define SPARE_H

#include "place.h"

struct spare {
	struct place *first; /* linked by next */
	size_t count;
};

/* One whose contents are undefined; NULL when out of memory. */
struct place *spare_take(struct spare *spare);

/* Keeps the place, or frees it where enough are kept. */
void spare_give(struct spare *spare, struct place *place);

/* Frees all that are kept. */
void spare_free(struct spare *spare);

#endif
