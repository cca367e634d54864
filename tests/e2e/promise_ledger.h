/*
 * promise_ledger.h - what a test of the promise has sent, and what must have become of it.
 *
 * Each command carries "{user}:{number}" as its Correlation Data, which the host copies to the events it
 * causes: so each event is booked under the command that caused it, and must be one that this command causes.
 * A command is complete when the broker has PUBACKed it, the observer has seen an event of it, and where that
 * went to a user who has a phone, the phone too. Of each user the first events must appear in the order of the
 * commands' numbers, and so must the last ones (order.h), and the dates of their effects, and the lines that
 * append leaves (tests/fault/handlers/append.c); where no host died, without a step that skips ahead. When all
 * commands are complete, the store must hold exactly the documents that they leave: ledger_check_store().
 *
 * Not the host's fault is what a kill -9 of the broker costs: it PUBACKs before it has written, and comes back
 * as it was when it last wrote. Commands that were not complete then are sent again by their senders, as
 * devices do, and what was sent in that stage before the kill may come again at any time: it is left out of
 * the order. The broker is saved as a stage begins, so that nothing of an earlier one comes again.
 *
 * What goes wrong is noted in ledger->violation: events are booked within libmosquitto's callbacks, where a
 * test cannot fail.
 */
#ifndef PROMISE_LEDGER_H
#define PROMISE_LEDGER_H

#include "harness.h"

enum {
	LEDGER_USERS = 40, /* with a phone each; 64 at most */
	LEDGER_NAME_SIZE = 32,
	LEDGER_PAYLOAD_SIZE = 160,
	LEDGER_CRASH_LIMIT = 3, /* CRASH_LIMIT: who crashes as often becomes a dead letter */
};

/* A command, and what it is to cause. */
enum ledger_kind {
	LEDGER_ASK,	 /* request_contact, of a contact without a phone, whom nobody else asks */
	LEDGER_UNSTEADY, /* the same by a handler that fails for a while, or crashes
			    (tests/fault/handlers/unsteady.c) */
	LEDGER_REQUEST,	 /* request_contact, of another user */
	LEDGER_ACCEPT,	 /* accept_contact ... */
	LEDGER_DECLINE,	 /* decline_contact, of a request that is there */
	LEDGER_REMOVE,	 /* remove_contact, of a contact */
	LEDGER_LIST,	 /* get_contact_list: all whom the sender has accepted since the last settlement */
	LEDGER_REQUESTS, /* get_contact_requests */
	LEDGER_PING,
	LEDGER_APPEND, /* leaves a line (tests/fault/handlers/append.c) */
	LEDGER_COUNT, /* adds 1 to the sender's counter, with a command_id (tests/fault/handlers/count_up.c) */
	LEDGER_TRANSFER, /* a coin goes from one of the sender's documents to another (transfer.c there) */
	LEDGER_REFUSED,	 /* input that is rejected, and leaves nothing */
	LEDGER_KINDS
};

/* Of an unsteady command's handler. */
struct ledger_trouble {
	int64_t until_ms; /* Unix time: it asks to be run again until then ... */
	bool early;	  /* ... and leaves its effect all the same */
	unsigned crashes;
	bool hangs; /* instead: it stands still until its process is ended */
};

struct ledger_command {
	unsigned user, number; /* number: from 1, in the order sent */
	enum ledger_kind kind;
	unsigned other;		       /* user; LEDGER_REFUSED: which bad input */
	unsigned stage;		       /* the ledger's when it was sent */
	struct ledger_trouble trouble; /* LEDGER_UNSTEADY */
	uint64_t accepted;	       /* LEDGER_LIST: a bit for each user who must be in it */
	int mid;		       /* of its latest PUBLISH */
	int64_t sent_ms;	       /* the latest */
	unsigned seen;		       /* events at the observer */
	bool acknowledged;	       /* PUBACKed */
	bool received;		       /* by a phone */
	bool broker_killed;	       /* while it was not complete */
	bool complete;
	char effect_at[LEDGER_NAME_SIZE]; /* LEDGER_ASK: the date in its document, once that was looked at */
};

/* Numbers of a user's commands of this stage, as their effects were seen. */
struct ledger_trail {
	unsigned *numbers;
	size_t count, capacity;
};

struct ledger_user {
	char name[LEDGER_NAME_SIZE];
	struct ledger_command **commands; /* by number - 1 */
	size_t count, capacity;
	size_t first_open;   /* all before are complete */
	size_t first_unseen; /* all before were seen by the observer */
	uint64_t accepted;   /* since the last settlement */
	size_t stage_first;  /* the first command of this stage, by number - 1 */
	size_t killed_count; /* how many there were when the broker was killed in this stage */
	struct ledger_trail events, lines;
};

/* Two users, a < b: what their commands, once complete, leave in the store. */
struct ledger_pair {
	bool contacts;
	bool asked[2];	/* [0]: a request of a; [1]: of b */
	unsigned stage; /* of the latest command */
};

struct ledger_figures {
	size_t commands, by_kind[LEDGER_KINDS];
	size_t events;	   /* at the observer */
	size_t duplicates; /* of these, of a command that had one already */
	size_t dead;	   /* commands that must become dead letters */
	size_t repeats;	   /* commands sent again after a kill of the broker */
};

struct ledger {
	struct harness *harness;
	struct ledger_user users[LEDGER_USERS];
	struct ledger_pair pairs[LEDGER_USERS][LEDGER_USERS]; /* [a][b], a < b */
	struct ledger_figures figures;
	size_t open;	      /* commands that are not complete */
	unsigned stage;	      /* one more after each settlement, from 1 */
	const char *stranger; /* a user who is in no ledger: events to him are not looked at; NULL: none */
	char violation[600];
	long lines_end; /* what was read of the lines that append leaves */
	FILE *history; /* history.txt in the case's folder: what was sent, what came, what was done to whom */
};

/* Lives as long as the case. */
struct ledger *ledger_new(struct harness *h);

struct ledger_pair *ledger_pair_of(struct ledger *ledger, unsigned user, unsigned other);

/* Enters a command that is about to be sent, and what it leaves. */
struct ledger_command *ledger_enter(
	struct ledger *ledger, unsigned user, enum ledger_kind kind, unsigned other);

struct ledger_command *ledger_enter_unsteady(
	struct ledger *ledger, unsigned user, const struct ledger_trouble *trouble);

/* Whether it must become a dead letter: its event says that it has failed, and it leaves no effect. */
bool ledger_is_dead(const struct ledger_command *command);

/* How to send it. */
const char *ledger_command_name(const struct ledger_command *command);
void ledger_write_payload(const struct ledger *ledger, const struct ledger_command *command,
	char payload[static LEDGER_PAYLOAD_SIZE]);

/* The contact of a LEDGER_ASK. */
void ledger_write_contact(const struct ledger_command *command, char contact[static LEDGER_NAME_SIZE]);

/* What comes back: a PUBACK; an event, at the observer or at a phone. */
void ledger_puback(struct ledger *ledger, unsigned user, int mid, int reason);
void ledger_event(struct ledger *ledger, bool observer, const char *topic, const char *payload, size_t size,
	const char *correlation);

/* It is being sent, for the first time or again. */
void ledger_sent(struct ledger *ledger, struct ledger_command *command, int mid);

/* A line for the history: what was done to whom. */
void ledger_note(struct ledger *ledger, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The broker is being killed. */
void ledger_broker_killed(struct ledger *ledger);

/*
 * Fails the test if the effects of a user's commands of this stage are not in order, by the events that the observer has seen and by the lines
 * that append has left in that file. without_kill: nor may a step skip ahead. All commands are complete. Before ledger_check_store().
 */
void ledger_check_order(struct ledger *ledger, const char *lines, bool without_kill);

/* Whether the broker was killed in this stage. */
bool ledger_was_broker_killed(const struct ledger *ledger);

/* How many commands have dead letters, one or more; fails the test at one that no command should leave. */
size_t ledger_dead_commands(struct ledger *ledger, struct database *database);

/* Fails the test if the store holds anything else than it should; all commands are complete, and the host has
 * flushed. Begins the next stage. */
void ledger_check_store(struct ledger *ledger, struct database *database);

/* For a failed test: the first commands that are not complete, on standard error. */
void ledger_print_open(const struct ledger *ledger);

#endif
