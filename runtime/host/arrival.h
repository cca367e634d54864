/*
 * arrival.h - a command as it comes from the broker: what it is, and what becomes of it first.
 *
 * A retained command is ignored. A copy of a command whose place is kept takes that place over (copies.h). Any other
 * becomes a struct command with a place of its own, at the end of its user's line, and dispatch.c goes on; it ends
 * without a run where it is too large or its user has too many waiting (rejected), or where no handler wants it (dead).
 * Without memory the lane is dropped, and it comes again. I/O thread only.
 */
#ifndef ARRIVAL_H
#define ARRIVAL_H

#include <mosquitto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a lane tells its owner (lane.h), who is the struct host_lane. */
void arrival_message(void *owner, const struct mosquitto_message *message,
	const mosquitto_property *properties, uint64_t number, bool dup);
void arrival_oversized(void *owner, const struct mosquitto_message *message, uint64_t number, bool dup);

#endif
