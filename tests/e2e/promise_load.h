/*
 * promise_load.h - the load of a test of the promise: phones that send contact commands, a few hundred a
 * second.
 *
 * Happy path: load_new(), wait until load_ready(), load_run(true); commands are then sent whenever the test
 * waits for something. What is sent next follows from the seed and from what has happened: a request is
 * accepted once it has reached the phone that is asked. Declining and removing waits for the next stage of
 * the ledger: handlers of different users run in parallel, so when the host is killed and a request comes
 * again together with its refusal, which of them is the last to be handled is open.
 *
 * A command that was open when the broker was killed, and was PUBACKed, is sent again when no event of it
 * has come. No other ever is.
 */
#ifndef PROMISE_LOAD_H
#define PROMISE_LOAD_H

#include "promise_ledger.h"

struct load;

/* Dice that a seed repeats. */
struct dice {
	uint64_t state;
};

/* 0 .. sides - 1 */
unsigned dice_roll(struct dice *dice, unsigned sides);

struct load *load_new(struct harness *h, struct ledger *ledger, struct dice *dice, unsigned rate_per_s);

/* All phones and the observer are connected and subscribed. */
bool load_ready(const struct load *load);

/* Whether to send commands; those that wait to be sent again are in any case. */
void load_run(struct load *load, bool run);

/* How many commands a second from now on. */
void load_rate(struct load *load, unsigned rate_per_s);

/* So many of a hundred commands from now on get into trouble for a while: those who run them ask to be run
 * again, for up to 1.5 seconds; some have left their effect already. Only with the handler unsteady. */
void load_unsteady(struct load *load, unsigned percent);

/* Sends one that crashes its handler so often. The phones are ready. */
void load_crash(struct load *load, unsigned crashes);

/* Sends one that hangs so often. */
void load_hang(struct load *load, unsigned hangs);

/* Sends one ping. The phones are ready. */
void load_ping(struct load *load);

#endif
