/* mqtt_packet.c - see mqtt_packet.h. */
#include "mqtt_packet.h"
#include "panic.h"
#include <stdlib.h>
#include <string.h>

/* How a property's value stands in a packet (MQTT 5.0 section 2.2.2.2). */
enum property_kind { KIND_NONE, KIND_BYTE, KIND_TWO, KIND_FOUR, KIND_VARINT, KIND_BYTES, KIND_PAIR };

static const uint8_t kinds[] = {[0x01] = KIND_BYTE,
	[0x02] = KIND_FOUR,
	[0x03] = KIND_BYTES,
	[0x08] = KIND_BYTES,
	[0x09] = KIND_BYTES,
	[0x0b] = KIND_VARINT,
	[0x11] = KIND_FOUR,
	[0x12] = KIND_BYTES,
	[0x13] = KIND_TWO,
	[0x15] = KIND_BYTES,
	[0x16] = KIND_BYTES,
	[0x17] = KIND_BYTE,
	[0x18] = KIND_FOUR,
	[0x19] = KIND_BYTE,
	[0x1a] = KIND_BYTES,
	[0x1c] = KIND_BYTES,
	[0x1f] = KIND_BYTES,
	[0x21] = KIND_TWO,
	[0x22] = KIND_TWO,
	[0x23] = KIND_TWO,
	[0x24] = KIND_BYTE,
	[0x25] = KIND_BYTE,
	[0x26] = KIND_PAIR,
	[0x27] = KIND_FOUR,
	[0x28] = KIND_BYTE,
	[0x29] = KIND_BYTE,
	[0x2a] = KIND_BYTE};

static enum property_kind kind_of(uint8_t id)
{
	return id < sizeof(kinds) ? (enum property_kind)kinds[id] : KIND_NONE;
}

static struct mqtt_property *mqtt_add(struct mqtt_packet *packet)
{
	packet->properties = panic_if_null(
		reallocarray(packet->properties, packet->property_count + 1, sizeof(packet->properties[0])));
	struct mqtt_property *property = &packet->properties[packet->property_count++];
	memset(property, 0, sizeof(*property));
	return property;
}

void mqtt_packet_free(struct mqtt_packet *packet)
{
	free(packet->properties);
	free(packet->filters);
	free(packet->payload);
}

/* ---- Reading. Running over the end sets `bad`, and everything read from then on is 0. ---- */

struct reader {
	const uint8_t *next, *end;
	bool bad;
};

static uint32_t read_number(struct reader *reader, size_t size)
{
	uint32_t number = 0;
	if ((size_t)(reader->end - reader->next) < size) {
		reader->bad = true;
		return 0;
	}
	while (size-- > 0)
		number = number << 8 | *reader->next++;
	return number;
}

static uint32_t read_varint(struct reader *reader)
{
	uint32_t number = 0, byte, shift = 0;
	do {
		byte = read_number(reader, 1);
		number |= (byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0 && shift < 28);
	return number;
}

/* Text or binary data with its size in front; cut to the room there is, and ended by a NUL. */
static size_t read_text(struct reader *reader, char text[static MQTT_TEXT_MAX])
{
	const size_t size = read_number(reader, 2);
	if ((size_t)(reader->end - reader->next) < size)
		reader->bad = true;
	if (reader->bad)
		return 0;
	const size_t kept = size < MQTT_TEXT_MAX - 1 ? size : MQTT_TEXT_MAX - 1;
	memcpy(text, reader->next, kept);
	text[kept] = '\0';
	reader->next += size;
	return size;
}

static void read_property(struct reader *reader, struct mqtt_property *property)
{
	property->id = (uint8_t)read_number(reader, 1);
	switch (kind_of(property->id)) {
	case KIND_NONE: reader->bad = true; break;
	case KIND_BYTE: property->number = read_number(reader, 1); break;
	case KIND_TWO: property->number = read_number(reader, 2); break;
	case KIND_FOUR: property->number = read_number(reader, 4); break;
	case KIND_VARINT: property->number = read_varint(reader); break;
	case KIND_PAIR:
		read_text(reader, property->text); /* and the value, as below */
		__attribute__((fallthrough));
	case KIND_BYTES: property->text_size = read_text(reader, property->text); break;
	}
}

static void read_properties(struct reader *reader, uint8_t protocol, struct mqtt_packet *packet)
{
	if (protocol < 5 || reader->next == reader->end)
		return;
	const uint32_t size = read_varint(reader);
	if ((size_t)(reader->end - reader->next) < size) {
		reader->bad = true;
		return;
	}
	const uint8_t *end = reader->next + size;
	while (reader->next < end && !reader->bad) {
		struct mqtt_property property = {0};
		read_property(reader, &property);
		*mqtt_add(packet) = property;
	}
}

static void read_connect(struct reader *reader, struct mqtt_packet *packet)
{
	char ignored[MQTT_TEXT_MAX];
	read_text(reader, ignored);
	packet->protocol = (uint8_t)read_number(reader, 1);
	const uint32_t flags = read_number(reader, 1);
	packet->clean_start = (flags & 0x02) != 0;
	packet->keepalive_s = (uint16_t)read_number(reader, 2);
	read_properties(reader, packet->protocol, packet);
	read_text(reader, packet->client_id);
	if ((flags & 0x04) != 0) { /* a will: the host has none, so nothing of it is kept */
		struct mqtt_packet will = {0};
		read_properties(reader, packet->protocol, &will);
		free(will.properties);
		read_text(reader, ignored);
		read_text(reader, ignored);
	}
	if ((flags & 0x80) != 0)
		read_text(reader, packet->user_name);
}

static void read_publish(struct reader *reader, uint8_t flags, uint8_t protocol, struct mqtt_packet *packet)
{
	packet->duplicate = (flags & 0x08) != 0;
	packet->qos = (flags >> 1) & 3;
	packet->retain = (flags & 0x01) != 0;
	read_text(reader, packet->topic);
	if (packet->qos > 0)
		packet->mid = (uint16_t)read_number(reader, 2);
	read_properties(reader, protocol, packet);
	if (reader->bad)
		return;
	packet->payload_size = (size_t)(reader->end - reader->next);
	packet->payload = panic_if_null(calloc(1, packet->payload_size + 1));
	memcpy(packet->payload, reader->next, packet->payload_size);
	reader->next = reader->end;
}

static void read_filters(struct reader *reader, uint8_t protocol, bool options, struct mqtt_packet *packet)
{
	packet->mid = (uint16_t)read_number(reader, 2);
	packet->filters = panic_if_null(calloc(MQTT_FILTERS_MAX, sizeof(packet->filters[0])));
	read_properties(reader, protocol, packet);
	while (reader->next < reader->end && !reader->bad && packet->filter_count < MQTT_FILTERS_MAX) {
		read_text(reader, packet->filters[packet->filter_count]);
		if (options)
			packet->options[packet->filter_count] = (uint8_t)read_number(reader, 1);
		packet->filter_count++;
	}
}

static void read_body(struct reader *reader, uint8_t flags, uint8_t protocol, struct mqtt_packet *packet)
{
	switch (packet->type) {
	case MQTT_CONNECT: read_connect(reader, packet); break;
	case MQTT_PUBLISH: read_publish(reader, flags, protocol, packet); break;
	case MQTT_SUBSCRIBE: read_filters(reader, protocol, true, packet); break;
	case MQTT_UNSUBSCRIBE: read_filters(reader, protocol, false, packet); break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP: packet->mid = (uint16_t)read_number(reader, 2); __attribute__((fallthrough));
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		if (reader->next < reader->end)
			packet->reason = (uint8_t)read_number(reader, 1);
		read_properties(reader, protocol, packet);
		break;
	case MQTT_PINGREQ: break;
	case MQTT_CONNACK:
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
	case MQTT_PINGRESP: reader->bad = true; break; /* a server's to send, not to get */
	}
}

long mqtt_decode(const uint8_t *bytes, size_t size, uint8_t protocol, struct mqtt_packet *ret_packet)
{
	if (size < 2)
		return 0;
	uint32_t remaining = 0, shift = 0;
	size_t head = 1;
	do {
		if (head == size)
			return 0;
		if (shift == 28)
			return -1;
		remaining |= (uint32_t)(bytes[head] & 0x7f) << shift;
		shift += 7;
	} while ((bytes[head++] & 0x80) != 0);
	if (size - head < remaining)
		return 0;

	struct reader reader = {.next = bytes + head, .end = bytes + head + remaining};
	memset(ret_packet, 0, sizeof(*ret_packet));
	ret_packet->type = (enum mqtt_type)(bytes[0] >> 4);
	read_body(&reader, bytes[0] & 0x0f, protocol, ret_packet);
	if (reader.bad) {
		mqtt_packet_free(ret_packet);
		return -1;
	}
	return (long)(head + remaining);
}

/* ---- Writing ---- */

struct writer {
	uint8_t *bytes;
	size_t size, capacity;
};

static void write_bytes(struct writer *writer, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	if (writer->capacity - writer->size < size) {
		writer->capacity = 2 * writer->capacity + size;
		writer->bytes = panic_if_null(realloc(writer->bytes, writer->capacity));
	}
	memcpy(writer->bytes + writer->size, bytes, size);
	writer->size += size;
}

static void write_number(struct writer *writer, uint32_t number, size_t size)
{
	while (size-- > 0) {
		const uint8_t byte = (uint8_t)(number >> (8 * size));
		write_bytes(writer, &byte, 1);
	}
}

static void write_varint(struct writer *writer, size_t number)
{
	do {
		write_number(writer, (uint32_t)(number & 0x7f) | (number > 0x7f ? 0x80 : 0), 1);
		number >>= 7;
	} while (number > 0);
}

static void write_text(struct writer *writer, const char *text, size_t size)
{
	write_number(writer, (uint32_t)size, 2);
	write_bytes(writer, text, size);
}

static void write_properties(struct writer *writer, const struct mqtt_packet *packet, uint8_t protocol)
{
	if (protocol < 5)
		return;
	struct writer properties = {0};
	for (size_t i = 0; i < packet->property_count; i++) {
		const struct mqtt_property *property = &packet->properties[i];
		write_number(&properties, property->id, 1);
		switch (kind_of(property->id)) {
		case KIND_BYTE: write_number(&properties, property->number, 1); break;
		case KIND_TWO: write_number(&properties, property->number, 2); break;
		case KIND_FOUR: write_number(&properties, property->number, 4); break;
		case KIND_VARINT: write_varint(&properties, property->number); break;
		case KIND_BYTES: write_text(&properties, property->text, property->text_size); break;
		case KIND_PAIR:
		case KIND_NONE: abort(); /* no test sends one */
		}
	}
	write_varint(writer, properties.size);
	write_bytes(writer, properties.bytes, properties.size);
	free(properties.bytes);
}

/* Reason code and properties at the end of an acknowledgement: MQTT 5 only. */
static void write_reason(struct writer *body, const struct mqtt_packet *packet, uint8_t protocol)
{
	if (protocol < 5)
		return;
	write_number(body, packet->reason, 1);
	write_properties(body, packet, protocol);
}

static uint8_t write_body(struct writer *body, const struct mqtt_packet *packet, uint8_t protocol)
{
	switch (packet->type) {
	case MQTT_CONNACK:
		write_number(body, packet->session_present, 1);
		write_number(body, packet->reason, 1);
		write_properties(body, packet, protocol);
		break;
	case MQTT_PUBLISH:
		write_text(body, packet->topic, strlen(packet->topic));
		if (packet->qos > 0)
			write_number(body, packet->mid, 2);
		write_properties(body, packet, protocol);
		write_bytes(body, packet->payload, packet->payload_size);
		return (uint8_t)(packet->duplicate << 3 | packet->qos << 1 | packet->retain);
	case MQTT_PUBACK:
		write_number(body, packet->mid, 2);
		write_reason(body, packet, protocol);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		write_number(body, packet->mid, 2);
		write_properties(body, packet, protocol);
		if (packet->type == MQTT_SUBACK || protocol >= 5)
			write_bytes(body, packet->codes, packet->filter_count);
		break;
	case MQTT_PINGRESP: break;
	case MQTT_DISCONNECT: write_reason(body, packet, protocol); break;
	case MQTT_CONNECT:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
	case MQTT_PINGREQ:
	case MQTT_AUTH: abort(); /* nothing that the scripted broker sends */
	}
	return 0;
}

uint8_t *mqtt_encode(const struct mqtt_packet *packet, uint8_t protocol, size_t *ret_size)
{
	struct writer body = {0}, whole = {0};
	const uint8_t flags = write_body(&body, packet, protocol);
	write_number(&whole, (uint32_t)packet->type << 4 | flags, 1);
	write_varint(&whole, body.size);
	write_bytes(&whole, body.bytes, body.size);
	free(body.bytes);
	*ret_size = whole.size;
	return whole.bytes;
}

/* ---- Properties, names ---- */

const struct mqtt_property *mqtt_property(const struct mqtt_packet *packet, uint8_t id)
{
	for (size_t i = 0; i < packet->property_count; i++)
		if (packet->properties[i].id == id)
			return &packet->properties[i];
	return NULL;
}

void mqtt_add_number(struct mqtt_packet *packet, uint8_t id, uint32_t number)
{
	*mqtt_add(packet) = (struct mqtt_property){.id = id, .number = number};
}

void mqtt_add_text(struct mqtt_packet *packet, uint8_t id, const char *text)
{
	struct mqtt_property *property = mqtt_add(packet);
	property->id = id;
	property->text_size = strlen(text);
	if (property->text_size >= MQTT_TEXT_MAX)
		abort();
	memcpy(property->text, text, property->text_size + 1);
}

const char *mqtt_type_name(enum mqtt_type type)
{
	static const char *const names[16] = {"?", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC",
		"PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP",
		"DISCONNECT", "AUTH"};
	return names[(unsigned)type & 15];
}
