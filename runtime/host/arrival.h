/*
 * arrival.h - a command as it comes from the broker: what it is, and what becomes of it first.
 *
 * A retained command is ignored. A redelivered copy joins its first, by packet identifier, topic, payload and
 * Correlation Data; one of a command that was parked is acknowledged. Any other becomes a struct command in
 * the lane's group, and is run here and now (light), queued for the workers behind its user's earlier ones,
 * or ended without a run: rejected where it is too large or its user has too many waiting, dead where no
 * handler wants it or it has killed the host too often. Without memory it is left to the broker, and the lane
 * is dropped. I/O thread only.
 */
#ifndef ARRIVAL_H
#define ARRIVAL_H

enum { ARRIVAL_DROPPED_LOG_MS = 10000 };

struct host;
struct lane;
struct mosquitto_message;
typedef struct mqtt5__property mosquitto_property;

/* A command of the lane's connection has arrived. */
void arrival_take(
	struct lane *lane, const struct mosquitto_message *message, const mosquitto_property *properties);

/* Tells of a QoS 0 command that is dropped: the first at once, of those that follow only their number, once
 * in ARRIVAL_DROPPED_LOG_MS. */
void arrival_dropped(
	struct host *host, const char *topic, const char *user, unsigned attempt, const char *reason);

#endif
