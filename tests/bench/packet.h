/*
 * packet.h - the few MQTT 5 packets (OASIS MQTT 5.0, section 3) that the load generator sends and reads, at
 * QoS 1.
 *
 * Writers append to a buffer that has room (PACKET_OVERHEAD and the texts) and return the number of bytes.
 * The reader looks at one packet at a time and copies nothing. It trusts the broker as far as sizes go, but
 * never reads beyond the packet.
 */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACKET_OVERHEAD = 32 };
enum packet_type {
	PACKET_CONNACK = 2,
	PACKET_PUBLISH = 3,
	PACKET_PUBACK = 4,
	PACKET_SUBACK = 9,
	PACKET_DISCONNECT = 14,
};

struct packet {
	unsigned type;		  /* enum packet_type, or another that the caller refuses */
	bool duplicate;		  /* of a PUBLISH */
	unsigned qos;		  /* of a PUBLISH */
	uint16_t id;		  /* of PUBLISH at QoS 1, PUBACK, SUBACK */
	unsigned reason;	  /* of CONNACK, PUBACK, DISCONNECT */
	unsigned receive_maximum; /* of CONNACK */
	const char *topic;	  /* of a PUBLISH; not followed by a NUL */
	size_t topic_size;
	const unsigned char *payload; /* of a PUBLISH; of a SUBACK the reason codes */
	size_t payload_size;
};

/* A Variable Byte Integer (MQTT 5.0, 1.5.5), up to 4 bytes, and a Two Byte Integer (1.5.2). How many bytes were written. */
size_t packet_length(unsigned char *out, size_t length);
size_t packet_u16(unsigned char *out, size_t value);

/* What a CONNECT says. */
struct packet_connect {
	const char *client_id;
	unsigned keepalive_s;
	const char *token;	   /* the password, with the user name "JWT"; NULL: neither */
	unsigned session_expiry_s; /* 0: a clean start, and the session ends with the connection */
};

/* Needs PACKET_OVERHEAD bytes, and those of client id and token. */
size_t packet_connect(unsigned char *out, const struct packet_connect *connect);
size_t packet_publish(unsigned char *out, uint16_t id, const char *topic, size_t topic_size,
	const void *payload, size_t payload_size);

/* The same with a Response Topic (MQTT 5.0, 3.3.2.3.5), which needs its bytes besides. */
size_t packet_publish_respond(unsigned char *out, uint16_t id, const char *topic, size_t topic_size,
	const char *response_topic, size_t response_size, const void *payload, size_t payload_size);
size_t packet_puback(unsigned char *out, uint16_t id);
size_t packet_disconnect(unsigned char *out);

/* SUBSCRIBE: packet_subscribe_begin(), then packet_filter() for each, of filters_size bytes in all as
 * packet_filter_size() says. */
size_t packet_subscribe_begin(unsigned char *out, uint16_t id, size_t filters_size);
size_t packet_filter(unsigned char *out, const char *filter, unsigned options);
size_t packet_filter_size(const char *filter);

/* Reads the packet at `in`: its size in bytes; 0 where it is not complete yet; -1 where it is malformed. */
long packet_read(const unsigned char *in, size_t size, struct packet *ret_packet);

#endif
