/*
 * broker_log.h - what the broker says that it has sent to a client and what came back, read from mosquitto's
 * log (log_type debug and information), while it grows.
 *
 * It is the other end's word on the host's acknowledgements: how many have arrived, and which commands are
 * still in flight. Packet identifiers are void once the broker starts again.
 */
#ifndef BROKER_LOG_H
#define BROKER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct broker_log {
	FILE *file;
	const char *client;
	size_t sent, acknowledged; /* PUBLISH at QoS 1 to the client, PUBACK from it */
	size_t in_flight;	   /* sent, and not acknowledged since */
	bool mids[65536];	   /* those in flight */
};

/* Both texts live as long as this. false: the file cannot be read. */
bool broker_log_open(struct broker_log *log, const char *path, const char *client);
void broker_log_read(struct broker_log *log);
void broker_log_close(struct broker_log *log);

#endif
