/*
 * packet.h - where an MQTT packet begins and ends, and what of a PUBLISH can be read without knowing MQTT any further.
 *
 * Pure functions over bytes; nothing is copied or kept. The formats are those of MQTT 3.1.1 and 5.0, section 2.1 (fixed header,
 * the same in both) and 3.3.2 (variable header of PUBLISH).
 */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types of section 2.1.2, as they stand in the upper half of the first byte. */
enum packet_type {
	PACKET_CONNECT = 1,
	PACKET_CONNACK = 2,
	PACKET_PUBLISH = 3,
	PACKET_PUBACK = 4,
	PACKET_PUBREC = 5,
	PACKET_PINGREQ = 12,
	PACKET_PINGRESP = 13,
};

enum packet_error {
	PACKET_E_INCOMPLETE = 1, /* more bytes are needed */
	PACKET_E_MALFORMED = 2,	 /* what comes is not MQTT */
};

enum { PACKET_HEADER_MAX = 5 };

struct packet {
	enum packet_type type;
	unsigned flags;	    /* the lower half of the first byte */
	size_t header_size; /* of the fixed header */
	size_t size;	    /* of all of it, which need not be there yet */
};

/* What stands before the payload. topic points into the packet and is not ended by a NUL. */
struct packet_publish {
	const char *topic;
	size_t topic_size;
	unsigned qos;
	bool dup, retain;
	uint16_t mid; /* the packet identifier; 0 at QoS 0 */
};

/* Reads the fixed header. 0 and *ret; PACKET_E_INCOMPLETE; PACKET_E_MALFORMED. */
__attribute__((warn_unused_result)) int packet_read(const uint8_t *bytes, size_t size, struct packet *ret);

/* Reads a PUBLISH as far as its packet identifier. size: of what is there, which may be less than all of it. The same. */
__attribute__((warn_unused_result)) int packet_read_publish(
	const struct packet *packet, const uint8_t *bytes, size_t size, struct packet_publish *ret);

/* The packet identifier of a PUBACK. The same. */
__attribute__((warn_unused_result)) int packet_read_puback(
	const struct packet *packet, const uint8_t *bytes, uint16_t *ret_mid);

#endif
