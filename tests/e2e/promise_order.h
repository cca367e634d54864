/* promise_order.h - what promise_ledger.c and promise_order.c share of a ledger's trails. */
#ifndef PROMISE_ORDER_H
#define PROMISE_ORDER_H

#include "promise_ledger.h"

/* An effect of that command was seen. */
void ledger_trail_add(struct ledger_trail *trail, unsigned number);

/* The next stage begins: nothing has been seen. */
void ledger_trails_begin(struct ledger *ledger);

#endif
