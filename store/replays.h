/*
 * replays.h - a dead letter becomes a command again.
 *
 * An insert into parked_commands, then a delete of the letter. A crash in between leaves both, and the next replay finds the command there and
 * removes the letter.
 */
#ifndef REPLAYS_H
#define REPLAYS_H

#include "dead_letters.h"

/*
 * Makes a parked command of the letter, due now, for the lane (its client id), behind what the user has parked there by now, and removes the letter.
 * The command says that it was replayed, so a host runs it also where it would not run another copy of it (suspects.h).
 * Replaying the same letter twice parks it once: the command's id is derived from the letter's. position: store_now_us(), growing from one letter to
 * the next. 0, also where the letter is gone already; or a store error.
 */
STORE_USE_RESULT int replay_dead_letter(
	struct store_client *client, const struct dead_letter *letter, const char *lane, int64_t position);

#endif
