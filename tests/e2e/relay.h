/*
 * relay.h - stands in front of a broker, over plain TCP, and lets through only MQTT 3.1.1.
 *
 * It reads the protocol level of each CONNECT. To MQTT 5 it answers as a broker that does not know it:
 * CONNACK in the form of 3.1.1 with return code 1, "unacceptable protocol version", and closes. All else
 * passes both ways unread.
 */
#ifndef RELAY_H
#define RELAY_H

#include "harness.h"

struct relay;

/* Listens on a port of its own and relays to 127.0.0.1:target_port until the case ends. */
struct relay *relay_new(struct harness *h, unsigned target_port);
unsigned relay_port(const struct relay *relay);

/* How many CONNECTs of MQTT 5 were refused. */
size_t relay_refused(const struct relay *relay);

#endif
