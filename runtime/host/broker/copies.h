/*
 * copies.h - which of what the broker sends again is known.
 *
 * What a broker sends again is a suffix, in order, of what it has sent. To run all of it once more, in order, is what
 * at-least-once means. The danger is a torn suffix: some commands are recognised and dropped, while an earlier one of the
 * same user is run again; then an older effect overwrites a newer one. Hence one rule:
 *
 *    A copy is known only as long as every one of its user's before it was known, and only until its PUBACK has been
 *    released.
 *
 * When a link ends, its places that were not released are kept. On the next link each PUBLISH with DUP is looked for
 * among them, by packet identifier, user and fingerprint, from behind the last match on. Found: it takes over that
 * place's command, in whatever state. Not found: it is a new command, and all that is kept of its user is void. The first
 * PUBLISH without DUP, or a session that is not there any more, ends this.
 *
 * Nothing of this is written to the store: after the death of a host all that comes again is new. I/O thread only.
 */
#ifndef COPIES_H
#define COPIES_H

#include "place.h"

struct copies;

/* forget: called for each place that is kept no more, to be freed by the callee; its command, if it has one, goes on.
 * NULL when out of memory. */
struct copies *copies_new(void (*forget)(void *owner, struct place *place), void *owner);
void copies_free(struct copies *copies);

/* A link has ended: its places, in order, stand before the rest of those that were kept already. Takes them over. */
void copies_keep(struct copies *copies, struct places *places);

/* Whether anything is kept. */
bool copies_any(const struct copies *copies);

/* A PUBLISH with DUP: the place that it is a copy of, taken out, the caller's; or NULL. Then nothing of its user is kept
 * any more. */
struct place *copies_take(struct copies *copies, uint16_t mid, uint64_t user, uint64_t fingerprint);

/* No more copies come. */
void copies_end(struct copies *copies);

#endif
