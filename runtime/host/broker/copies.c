/*
 * copies.c - see copies.h. A list in order, and chains by packet identifier and by user, so that neither a copy that is
 * known nor one that is not costs more when ten thousand are kept.
 */
#include "copies.h"

#include <stdlib.h>

enum { BUCKETS = 1024 };

struct copies {
	struct places kept; /* their numbers rise */
	uint64_t next;	    /* what is taken has that number or a higher one */
	struct place *by_mid[BUCKETS], *by_user[BUCKETS];
	void (*forget)(void *owner, struct place *place);
	void *owner;
};

struct copies *copies_new(void (*forget)(void *owner, struct place *place), void *owner)
{
	struct copies *copies = calloc(1, sizeof(*copies));
	if (!copies)
		return NULL;
	copies->forget = forget;
	copies->owner = owner;
	return copies;
}

void copies_free(struct copies *copies)
{
	if (!copies)
		return;
	copies_end(copies);
	free(copies);
}

static void take_out(struct copies *copies, struct place *place)
{
	struct place **at = &copies->by_mid[place->mid % BUCKETS];
	while (*at != place)
		at = &(*at)->mid_next;
	*at = place->mid_next;
	at = &copies->by_user[place->user % BUCKETS];
	while (*at != place)
		at = &(*at)->user_next;
	*at = place->user_next;
	places_remove(&copies->kept, place);
}

static void drop(struct copies *copies, struct place *place)
{
	take_out(copies, place);
	copies->forget(copies->owner, place);
}

/* Numbers from 0 on, and the chains anew. Each chain has its places in order, so that the first that fits is the right
 * one. */
static void index_all(struct copies *copies)
{
	for (size_t i = 0; i < BUCKETS; i++)
		copies->by_mid[i] = copies->by_user[i] = NULL;
	uint64_t number = copies->kept.count;
	for (struct place *place = copies->kept.last; place; place = place->previous) {
		place->number = --number;
		place->mid_next = copies->by_mid[place->mid % BUCKETS];
		copies->by_mid[place->mid % BUCKETS] = place;
		place->user_next = copies->by_user[place->user % BUCKETS];
		copies->by_user[place->user % BUCKETS] = place;
	}
	copies->next = 0;
}

/* Those that were passed over on the link that has ended cannot come any more: the broker repeats in order. */
static void drop_passed(struct copies *copies)
{
	while (copies->kept.first && copies->kept.first->number < copies->next)
		drop(copies, copies->kept.first);
}

void copies_keep(struct copies *copies, struct places *places)
{
	drop_passed(copies);
	if (places->first) {
		for (struct place *place = places->first; place; place = place->next)
			place->kept = true;
		places->last->next = copies->kept.first;
		if (copies->kept.first)
			copies->kept.first->previous = places->last;
		else
			copies->kept.last = places->last;
		copies->kept.first = places->first;
		copies->kept.count += places->count;
		*places = (struct places){0};
	}
	index_all(copies);
}

bool copies_any(const struct copies *copies)
{
	return copies->kept.count > 0;
}

static void void_user(struct copies *copies, uint64_t user)
{
	for (struct place *place = copies->by_user[user % BUCKETS], *next; place; place = next) {
		next = place->user_next;
		if (place->user == user)
			drop(copies, place);
	}
}

struct place *copies_take(struct copies *copies, uint16_t mid, uint64_t user, uint64_t fingerprint)
{
	struct place *place = copies->by_mid[mid % BUCKETS];
	while (place && (place->number < copies->next || place->mid != mid || place->user != user ||
				place->fingerprint != fingerprint))
		place = place->mid_next;
	if (!place) {
		void_user(copies, user);
		return NULL;
	}
	copies->next = place->number + 1;
	take_out(copies, place);
	place->kept = false;
	return place;
}

void copies_end(struct copies *copies)
{
	while (copies->kept.first)
		drop(copies, copies->kept.first);
	copies->next = 0;
}
