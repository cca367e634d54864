/*
 * egress.h - events on their way to the broker: one connection that is never held, and every event until
 * its PUBACK.
 *
 * Happy path: egress_publish(); the event waits its turn in the broker's Receive Maximum, is sent at QoS 1,
 * and its owner hears of the PUBACK by ended(), with the command. The events stay in their commands' arenas;
 * all of them stand in one list in the order in which they were published. When the connection is lost, those
 * that were sent are sent again, in order, on the next one: libmosquitto's own queue is thrown away with the
 * instance.
 *
 * Failure modes: an event refused by its PUBACK (MQTT 5) or too large for the broker ends at once. A broker
 * that answers an event by closing the connection (3.1.1 knows no other refusal) would be sent it for ever.
 * So losses count against the event that is the first unacknowledged one, until there is a PUBACK: where the
 * connection was not dropped by ourselves, and a lane's connection to the same broker lives on, which was up
 * before the event was sent; otherwise it is the broker that went away, or the way to it. After
 * SUSPECT_LOSSES of them events go one at a time, and the one with which CONDEMN_LOSSES were lost is refused.
 * What this cannot tell is a broker that closes on every event and leaves the lanes alone: its events become
 * dead letters one by one, at the pace of the reconnects. I/O thread only.
 */
#ifndef EGRESS_H
#define EGRESS_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EGRESS_READ_MS = 5 };

struct call_event;
struct egress;
struct figures_egress;
struct resolver;
struct settings;

struct egress_options {
	const struct settings *settings;
	struct resolver *resolver;
	struct figures_egress *figures; /* on the board */
	_Atomic size_t *event_max;	/* what the broker takes: written whenever it is connected */
	/* What became of an event; once for each. reason: NULL when the broker has PUBACKed it; permanent: it would be refused
	 * again. Never from within egress_publish(). */
	void (*ended)(void *owner, struct call_event *event, const char *reason, bool permanent);
	/* Since when a lane's connection to the same broker lives, at most; INT64_MAX: none does. */
	int64_t (*witness)(void *owner);
	void *owner;
};

/* The options' pointers outlive it. 0 and *ret, or -ENOMEM. */
__attribute__((warn_unused_result)) int egress_new(const struct egress_options *options, struct egress **ret);
void egress_free(struct egress *egress);

/* Starts connecting. */
void egress_start(struct egress *egress);

/* Takes the event, with all that struct call_event says of its cause. It lives until ended(). */
void egress_publish(struct egress *egress, struct call_event *event);

/* While nobody waits for them, PUBACKs are read with whatever else wakes the thread, or EGRESS_READ_MS after the first event: a
 * wake-up for each would cost as much as the rest of a command. urgent: nothing else goes on. */
void egress_poll(struct egress *egress, bool urgent, int64_t now_ms, struct pollfd *ret_poll);
int64_t egress_due_ms(const struct egress *egress);
void egress_serve(struct egress *egress, short revents, int64_t now_ms);

/* Sends what egress_publish() has collected. */
void egress_flush(struct egress *egress);

/* Whether so many bytes of events wait that handlers had better not make more; it stays so until half of them
 * are gone. */
bool egress_full(struct egress *egress);

/* Whether no event waits for its PUBACK. */
bool egress_idle(const struct egress *egress);
bool egress_up(const struct egress *egress);

/* Writes into the board how things stand. Once per turn of the loop. */
void egress_tell(const struct egress *egress);

/* Since when it is connected; INT64_MAX: it is not. */
int64_t egress_up_since_ms(const struct egress *egress);

/* DISCONNECT, and no more connecting. */
void egress_stop(struct egress *egress);

#endif
