/*
 * stored.h - the store of a command that is being run, for what is built on it: documents, and a handler's own calls to the driver (cashew.h).
 *
 * The thread that runs the command.
 */
#ifndef STORED_H
#define STORED_H

#include "cashew.h"

struct store_client;

/* The command's client, acquired at the first call; the run gives it back. Never NULL: when the database is away, the store's functions say so. In a
 * handler that is .light, or is run without a store, the program ends: all other commands would wait. */
struct store_client *stored_client(cashew_command *cmd);

/* What the store answered, as an end: 0 is CASHEW_DONE; the database away, a transient error or -ENOMEM is CASHEW_RETRY; anything else is CASHEW_FAIL. */
__attribute__((warn_unused_result)) cashew_result stored_result(cashew_command *cmd, int store_error);

#endif
