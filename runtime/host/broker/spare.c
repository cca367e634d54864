/* spare.c - see spare.h. */
#include "spare.h"

#include <stdlib.h>

enum { SPARE_MAX = 4096 };

struct place *spare_take(struct spare *spare)
{
	struct place *place = spare->first;
	if (!place)
		return malloc(sizeof(*place));
	spare->first = place->next;
	spare->count--;
	return place;
}

void spare_give(struct spare *spare, struct place *place)
{
	if (spare->count == SPARE_MAX) {
		free(place);
		return;
	}
	place->next = spare->first;
	spare->first = place;
	spare->count++;
}

void spare_free(struct spare *spare)
{
	for (struct place *place = spare->first, *next; place; place = next) {
		next = place->next;
		free(place);
	}
	*spare = (struct spare){.count = 0};
}
