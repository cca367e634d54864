/*
 * parked_document.h - inside of store/: a parked command as a document,
 * {_id: ObjectId, user_id, lane, position, topic, payload: binary, bytes, correlation: binary, response_topic, settled: [names of handlers], end,
 * attempts, crashes, replayed, handler, reason, not_before: date, behind, claimed_by, lease_until: date}.
 *
 * The first of a user on a lane is the one with the lowest position. `not_before` says when somebody should look at it: when it is due; while it is
 * leased, when the lease ends; of one that is behind others, some minutes after it was written, in case those before it went without a word of it.
 * So one index finds all that somebody should look at, and nothing that is in good hands.
 *
 * Earlier versions wrote `done` instead of removing a document: such a tombstone is not looked at, and goes by the index that that version has made. Their
 * documents have no `behind` and no `bytes`, and `not_before` is when they are due, leased or not.
 */
#ifndef PARKED_DOCUMENT_H
#define PARKED_DOCUMENT_H

#include "parked_commands.h"

#include "store_document.h"

/* The whole document of a command that is appended. lease: NULL for none. */
void parked_document_of(bson_t *document, const struct parked_command *command,
	const struct backlog_lease *lease, int64_t now_ms);

/* The fields that a postponement changes. */
void parked_append_progress(bson_t *document, const struct parked_command *command);

/* The fields that a lease consists of. */
void parked_append_lease(bson_t *document, const struct backlog_lease *lease, int64_t now_ms);

/* Takes the document over. To be freed by parked_command_free(). */
struct parked_command *parked_command_of(bson_t *document, int64_t now_ms);

/* {lane, done: null, user_id}, the beginning of an index: all that a user has parked there. */
void parked_append_user(bson_t *filter, const char *lane, const char *user);

/* What the first of a user is like for somebody who wants to claim it: 0, it may be; or for how many milliseconds not. */
int64_t parked_claimable_in_ms(const bson_t *first, const char *owner, int64_t now_ms);

#endif
