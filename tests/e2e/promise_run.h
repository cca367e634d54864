/*
 * promise_run.h - what tests of the promise share: a broker, a database, a host, phones that send, a ledger
 * of what must become of it, and the steps between two faults.
 *
 * Happy path: promise_set_up(), promise_start_host(), load_run(), a fault, promise_settle(),
 * promise_stop_host(), and again. Whatever does not hold fails the test. Only the dice decide when and where,
 * so a seed repeats it, but for the machine's timing.
 */
#ifndef PROMISE_RUN_H
#define PROMISE_RUN_H

#include "promise_load.h"

struct promise {
	struct harness *harness;
	struct database *database;
	struct broker *broker;
	struct host *host;
	struct ledger *ledger;
	struct load *load;
	struct dice dice;      /* what is done, and when */
	struct dice load_dice; /* what is sent: the first must not depend on how many commands there were */
	unsigned workers;      /* 0: as many as the host has by default */
	size_t kills;	       /* of either process */
	size_t deaths;	       /* of the process that runs handlers, which the supervisor has seen */
	size_t killed_before;  /* kills and deaths before this stage */
	size_t ended; /* commands, by the accounts of what has stopped; of what was killed it is lost */
	long log_end; /* what promise_check_log() has read */
};

/* A place of runtime/base/failpoint.h, and which time it is passed to die at, at a few hundred commands a second:
 * commands pass some hundred times in that time. */
struct promise_place {
	const char *name;
	unsigned least, most;
};

enum { PROMISE_PLACES = 8 };
extern const struct promise_place promise_places[PROMISE_PLACES];

/* What cashewd's two processes hold. */
struct promise_holdings {
	struct {
		size_t rss_kib, descriptors;
	} host, supervisor;
};

/*
 * Makes ledger and phones, and waits for them; the host runs once, so that its session is there before the
 * first command: the broker would keep none for it. Harness, database, broker, host, dice are set, and the
 * first three run.
 */
void promise_set_up(struct promise *promise, unsigned rate_per_s);

/* Fails the test if something was noted that must not be. */
void promise_check(const struct promise *promise);

/* Waits until all phones are connected. */
void promise_wait_for_phones(struct promise *promise);

/* Lets everything run on for a while of a length that the dice decide. */
void promise_run_on(struct promise *promise, unsigned least_ms, unsigned most_ms);

/* Stops sending, and waits until every command has come to its end, also in the store. What comes again is in
 * front of a ping that is then sent, so the host has read it as well. `after` is for messages. */
void promise_settle(struct promise *promise, const char *after);

/* failpoint: NULL, or "name:N" (runtime/base/failpoint.h). */
void promise_start_host(struct promise *promise, const char *failpoint);
void promise_kill_host(struct promise *promise); /* the supervisor, and with it the process it has started */

/* kill -9 of the process that runs handlers; the supervisor will start another, and that is waited for. */
void promise_kill_child(struct promise *promise);

/* "name:N", where the dice choose N. */
const char *promise_choose_failpoint(struct promise *promise, const struct promise_place *place);

/* Waits until the host has died there. */
void promise_wait_death(struct promise *promise, const char *failpoint);

/*
 * Ends what the host has read, so that nothing comes again later, and compares the store with the ledger,
 * which begins its next stage. A broker that was too slow to read the last acknowledgements sends their
 * commands again: another host takes them then.
 */
void promise_stop_host(struct promise *promise);

struct promise_holdings promise_hold(struct promise *promise);

/* Fails the test if a process holds clearly more than before: half of MEMORY_SLACK_KIB, or more descriptors
 * than the connections of workers that were not needed before. */
void promise_check_growth(struct promise *promise, const char *fault, const struct promise_holdings *before);

/*
 * Reads what the host has written since the last call, prints how many warnings and errors it holds by their
 * names, and fails the test if there is one that faults do not explain: `more` are names of further ones that
 * are no surprise, ended by NULL.
 */
void promise_check_log(struct promise *promise, const char *const *more);

#endif
