/*
 * relay.h - stands between a program and a server, over TCP, and is the network between them: a good one, or
 * one that fails in a chosen way.
 *
 * Happy path: relay_new(), let the program connect to relay_port() instead of the server's; then relay_set()
 * for what lasts, relay_cut() and relay_half_open() for what happens once. Bytes pass unread and in order; an
 * end that is closed closes the other, once all has passed that was on its way. Where the server cannot be
 * reached, the program's connection is closed at once.
 *
 * It can also stand for a broker that knows only MQTT 3.1.1: then it reads the protocol level of each
 * CONNECT, and answers to MQTT 5 with a CONNACK in the form of 3.1.1, return code 1, "unacceptable protocol
 * version", and closes.
 */
#ifndef RELAY_H
#define RELAY_H

#include "harness.h"

struct relay;

enum relay_mode {
	RELAY_PASS,
	RELAY_BLACK_HOLE, /* connections are taken, and stay; nothing passes. What was sent passes later */
	RELAY_DELAY,	  /* everything passes so much later */
	RELAY_DELAY_UP, /* what the program writes passes so much later: a reset loses all that it wrote in that time */
	RELAY_BYTES,	   /* each byte is a packet of its own */
	RELAY_LOSE_REPLIES /* of each link, the next from the server but never the first (a handshake) is
			      swallowed, and the link cut */
};

/* Listens on a port of its own and relays to 127.0.0.1:target_port until the case ends. */
struct relay *relay_new(struct harness *h, unsigned target_port);
unsigned relay_port(const struct relay *relay);

/* From now on; delay_ms is for RELAY_DELAY, in each direction, and for
 * RELAY_DELAY_UP. */
void relay_set(struct relay *relay, enum relay_mode mode, int delay_ms);

/* Ends all links, at both ends: as a close, or as a reset that also throws away what was on its way. Returns
 * how many. */
size_t relay_cut(struct relay *relay, bool reset);

/*
 * Closes one end of all links, the program's or the server's. The other is told nothing: what it sends is
 * swallowed, until it gives up. Returns how many.
 */
enum relay_end { RELAY_PROGRAM, RELAY_SERVER };
size_t relay_half_open(struct relay *relay, enum relay_end closed);

/* Closes what is left of such links. */
void relay_end_half_open(struct relay *relay);

/* How many links there are with both ends, and with only one. */
size_t relay_links(const struct relay *relay);
size_t relay_half_open_links(const struct relay *relay);

/* How many replies were swallowed. */
size_t relay_lost_replies(const struct relay *relay);

/*
 * Waits for one request to a database: a command on a collection, "delete" on "parked_commands", but no trial of rights (store_rights.h). Of the first link on which it comes, the
 * reply is swallowed and the link cut, once; or of each such link nothing passes any more in one direction: neither the request and what
 * follows it, or no reply. RELAY_NO_TRAP lets pass what was withheld. relay_trapped(): how many such requests have come.
 */
enum relay_trap { RELAY_NO_TRAP, RELAY_LOSE_REPLY, RELAY_WITHHOLD_REQUEST, RELAY_WITHHOLD_REPLY };
void relay_set_trap(struct relay *relay, enum relay_trap trap, const char *command, const char *collection);
size_t relay_trapped(const struct relay *relay);

/* From now on each request to a database that is about this collection is answered here, as by a server that does not let the user at it: Unauthorized, code
 * 13. NULL: no longer. */
void relay_refuse(struct relay *relay, const char *collection);

/* Lets through only MQTT 3.1.1, and counts the CONNECTs of MQTT 5 that were refused. */
void relay_allow_only_mqtt311(struct relay *relay);
size_t relay_refused(const struct relay *relay);

#endif
