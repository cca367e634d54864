/*
 * id.h - a command's id: what tells it from all others of its sender.
 *
 * Of a schedule's run its name and the time it was due (input->id). The payload's "command_id", else the Correlation Data where it has ID_CORRELATION_MIN bytes or more, else the host's own. A sender who repeats a
 * command and wants it to count once repeats its id. Packet identifier and contents are no identity: a broker hands out the lowest free identifier, so
 * two equal commands of a quiet user carry the same.
 */
#ifndef ID_H
#define ID_H

#include "cashew.h"

enum { ID_MAX = 64, ID_CORRELATION_MIN = 16 };

/* The id, 1 to ID_MAX bytes; made once in a run. Never NULL: "" where the run has failed, as it does where "command_id" is no such text. */
const char *id_of(cashew_command *cmd);

/* Whether the sender has given one; where it is a bad one the run has failed. */
bool id_is_given(cashew_command *cmd);

#endif
