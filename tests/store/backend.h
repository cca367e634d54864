/* backend.h - what the contract suite needs to know of the store it is run against. */
#ifndef BACKEND_H
#define BACKEND_H

#include "store.h"

/* Once, around all cases. */
void backend_start(void);
void backend_stop(void);

/* A store without documents, not prepared, closed by store_close(). */
struct store *backend_open(void);

/* So much time passes at the database: leases end, what waits becomes due. */
void backend_pass(struct store *store, int64_t ms);

/* How many dead letters there are; -1 when they cannot be counted. */
long backend_dead_letters(struct store *store);

#endif
