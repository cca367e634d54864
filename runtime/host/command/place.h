/*
 * place.h - what is known of one PUBLISH at QoS 1 whose PUBACK is held.
 *
 * A lane's places stand in the order of arrival, and their PUBACKs leave in that order. Most of their commands have
 * settled long before the oldest one does: the command is freed then, and these bytes stand for it. I/O thread only.
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;

struct place {
	uint64_t number;	 /* on its link, from 0; of a kept one: its rank */
	uint64_t fingerprint;	 /* of topic, payload, correlation */
	uint64_t user;		 /* users_key() */
	struct command *command; /* NULL: it has settled */
	struct backlog *delays;	 /* a backlog that waits until this PUBACK has left; NULL: none */
	struct place *next, *previous;
	struct place *mid_next, *user_next; /* of a kept one: in the buckets of copies.c */
	int64_t arrived_us;		    /* monotonic */
	uint16_t mid;			    /* the broker's packet identifier */
	uint8_t end;			    /* settled: enum command_end */
	bool settled;
	bool ignored; /* a retained message: acknowledged, and no command */
	bool kept;    /* its link has ended before it was released */
};

/* In order. */
struct places {
	struct place *first, *last;
	size_t count;
};

static inline void places_append(struct places *places, struct place *place)
{
	place->next = NULL;
	place->previous = places->last;
	if (places->last)
		places->last->next = place;
	else
		places->first = place;
	places->last = place;
	places->count++;
}

static inline void places_remove(struct places *places, struct place *place)
{
	if (place->previous)
		place->previous->next = place->next;
	else
		places->first = place->next;
	if (place->next)
		place->next->previous = place->previous;
	else
		places->last = place->previous;
	places->count--;
}

#endif
