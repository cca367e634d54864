/*
 * mqtt_packet.h - MQTT packets as bytes: what a server reads and writes, 3.1.1 and 5.0, for the scripted
 * broker.
 *
 * mqtt_decode() turns the first whole packet of a buffer into a struct; mqtt_encode() makes one packet's
 * bytes. Both follow OASIS MQTT 5.0 chapters 2 and 3; a packet of 3.1.1 is one without properties and reason
 * codes.
 */
#ifndef MQTT_PACKET_H
#define MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH,
};

enum { MQTT_TEXT_MAX = 256, MQTT_FILTERS_MAX = 32 };

/* One property: a number, or text or binary data. Of a user property only the value is kept. */
struct mqtt_property {
	uint8_t id;
	uint32_t number;
	char text[MQTT_TEXT_MAX]; /* cut; followed by a NUL */
	size_t text_size;
};

struct mqtt_packet {
	enum mqtt_type type;
	uint16_t mid;
	struct mqtt_property *properties; /* owned */
	size_t property_count;

	/* CONNECT */
	uint8_t protocol; /* 4: 3.1.1, 5: 5.0 */
	bool clean_start;
	uint16_t keepalive_s;
	char client_id[MQTT_TEXT_MAX];
	char user_name[MQTT_TEXT_MAX];

	/* CONNACK, PUBACK, DISCONNECT ... */
	bool session_present;
	uint8_t reason;

	/* PUBLISH */
	bool duplicate, retain;
	uint8_t qos;
	char topic[MQTT_TEXT_MAX];
	uint8_t *payload; /* owned where it was decoded */
	size_t payload_size;

	/* SUBSCRIBE, UNSUBSCRIBE; codes also of SUBACK, UNSUBACK */
	char (*filters)[MQTT_TEXT_MAX];	   /* owned; MQTT_FILTERS_MAX of them */
	uint8_t options[MQTT_FILTERS_MAX]; /* QoS in the lowest two bits, Retain Handling in bits 4 and 5 */
	uint8_t codes[MQTT_FILTERS_MAX];
	size_t filter_count;
};

/*
 * Decodes the packet at the start of `bytes`; protocol is the connection's (a CONNECT brings its own).
 * Returns how many bytes it takes, 0 if it is not whole yet, -1 if it is malformed. *ret_packet's payload is
 * freed with free().
 */
long mqtt_decode(const uint8_t *bytes, size_t size, uint8_t protocol, struct mqtt_packet *ret_packet);

/* Frees what a decoded packet owns. */
void mqtt_packet_free(struct mqtt_packet *packet);

/* The packet's bytes, freed with free(). CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT. */
uint8_t *mqtt_encode(const struct mqtt_packet *packet, uint8_t protocol, size_t *ret_size);

/* A property by its identifier (MQTT 5.0 section 2.2.2.2); NULL: it is not there. */
const struct mqtt_property *mqtt_property(const struct mqtt_packet *packet, uint8_t id);

/* Adds one to a packet that will be encoded; its properties are freed with free(). */
void mqtt_add_number(struct mqtt_packet *packet, uint8_t id, uint32_t number);
void mqtt_add_text(struct mqtt_packet *packet, uint8_t id, const char *text);

const char *mqtt_type_name(enum mqtt_type type);

#endif
