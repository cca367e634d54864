/*
 * order.h - the order of one user's effects: what every test and ledger asks of them.
 *
 * A user sends 1, 2, 3 .. count. Each has its effect at least once, and what is run again is a suffix of what was sent, whole and in order. So:
 * - nothing is missing, and there is nothing that was not sent;
 * - the first effects are in the order of sending: a number that appears for the first time is higher than all before it;
 * - the last effects are in the order of sending: after a number's last appearance only higher ones have theirs;
 * - without a kill no step skips ahead: after n comes n + 1 at most. (A host that was killed has forgotten what it knew: what it finds in the
 *   store and what comes again may then stand side by side.)
 */
#ifndef ORDER_H
#define ORDER_H

#include <stdbool.h>
#include <stddef.h>

enum order_rules {
	ORDER_STEPS = 1, /* no step skips ahead */
};

enum { ORDER_REASON_SIZE = 200 };

/* Whether that is how it is; if not, ret_reason says what is wrong first. The effects are numbers from 1 to count, as they came. */
bool order_holds(const unsigned *effects, size_t size, unsigned count, enum order_rules rules,
	char ret_reason[static ORDER_REASON_SIZE]);

#endif
