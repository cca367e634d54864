/* fake_pairs.c - see fake_pairs.h. */
#include "fake_pairs.h"
#include <string.h>

static int pair_compare(const struct pair *pair, const char *owner, const char *other)
{
	const int owners = strcmp(pair->owner, owner);

	return owners != 0 ? owners : strcmp(pair->other, other);
}

/* The place of the first pair that is not less. */
static size_t pairs_place(const struct pairs *pairs, const char *owner, const char *other)
{
	size_t low = 0, high = pairs->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (pair_compare(&pairs->items[middle], owner, other) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool pairs_have(const struct pairs *pairs, const char *owner, const char *other)
{
	const size_t place = pairs_place(pairs, owner, other);

	return place < pairs->count && pair_compare(&pairs->items[place], owner, other) == 0;
}

void pairs_add(struct pairs *pairs, const char *owner, const char *other, int64_t now_ms)
{
	const size_t place = pairs_place(pairs, owner, other);
	struct pair *pair;

	if (pairs_have(pairs, owner, other))
		return;
	if (pairs->count == pairs->room) {
		pairs->room = pairs->room > 0 ? 2 * pairs->room : 16;
		pairs->items = checked(realloc(pairs->items, pairs->room * sizeof(pairs->items[0])));
	}
	memmove(&pairs->items[place + 1], &pairs->items[place],
		(pairs->count - place) * sizeof(pairs->items[0]));
	pairs->count++;
	pair = &pairs->items[place];
	memset(pair, 0, sizeof(*pair));
	strcpy(pair->owner, owner);
	strcpy(pair->other, other);
	pair->at_ms = now_ms;
}

void pairs_remove(struct pairs *pairs, const char *owner, const char *other)
{
	const size_t place = pairs_place(pairs, owner, other);

	if (!pairs_have(pairs, owner, other))
		return;
	pairs->count--;
	memmove(&pairs->items[place], &pairs->items[place + 1],
		(pairs->count - place) * sizeof(pairs->items[0]));
}

struct pair *pairs_page(
	const struct pairs *pairs, const char *owner, const char *after, unsigned limit, size_t *ret_count)
{
	size_t place = pairs_place(pairs, owner, after ? after : "");
	size_t count = 0;
	struct pair *page;

	if (after && place < pairs->count && pair_compare(&pairs->items[place], owner, after) == 0)
		place++;
	while (count < limit && place + count < pairs->count &&
		strcmp(pairs->items[place + count].owner, owner) == 0)
		count++;
	page = checked(calloc(count + 1, sizeof(*page)));
	if (count > 0)
		memcpy(page, &pairs->items[place], count * sizeof(*page));
	*ret_count = count;
	return page;
}
