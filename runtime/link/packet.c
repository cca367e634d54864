/*
 * packet.c - see packet.h.
 */
#include "packet.h"

enum { LENGTH_BYTES_MAX = 4, RETAIN_FLAG = 1, DUP_FLAG = 8 };

int packet_read(const uint8_t *bytes, size_t size, struct packet *ret)
{
	size_t length = 0;
	if (size == 0)
		return PACKET_E_INCOMPLETE;
	if (bytes[0] >> 4 == 0)
		return PACKET_E_MALFORMED;
	for (size_t i = 0; i < LENGTH_BYTES_MAX; i++) {
		if (i + 1 >= size)
			return PACKET_E_INCOMPLETE;
		length |= (size_t)(bytes[i + 1] & 0x7f) << (7 * i);
		if ((bytes[i + 1] & 0x80) != 0)
			continue;
		*ret = (struct packet){
			.type = (enum packet_type)(bytes[0] >> 4),
			.flags = bytes[0] & 0x0f,
			.header_size = i + 2,
			.size = i + 2 + length,
		};
		return 0;
	}
	return PACKET_E_MALFORMED;
}

static uint16_t read_word(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

int packet_read_publish(
	const struct packet *packet, const uint8_t *bytes, size_t size, struct packet_publish *ret)
{
	const unsigned qos = packet->flags >> 1 & 3;
	size_t at = packet->header_size + 2;
	if (qos == 3 || at > packet->size)
		return PACKET_E_MALFORMED;
	if (at > size)
		return PACKET_E_INCOMPLETE;
	const size_t topic_size = read_word(bytes + packet->header_size), topic_at = at;
	at += topic_size + (qos > 0 ? 2 : 0);
	if (at > packet->size)
		return PACKET_E_MALFORMED;
	if (at > size)
		return PACKET_E_INCOMPLETE;
	const uint16_t mid = qos > 0 ? read_word(bytes + topic_at + topic_size) : 0;
	if (qos > 0 && mid == 0)
		return PACKET_E_MALFORMED;
	*ret = (struct packet_publish){
		.topic = (const char *)bytes + topic_at,
		.topic_size = topic_size,
		.qos = qos,
		.dup = (packet->flags & DUP_FLAG) != 0,
		.retain = (packet->flags & RETAIN_FLAG) != 0,
		.mid = mid,
	};
	return 0;
}

int packet_read_puback(const struct packet *packet, const uint8_t *bytes, uint16_t *ret_mid)
{
	if (packet->size < packet->header_size + 2)
		return PACKET_E_MALFORMED;
	*ret_mid = read_word(bytes + packet->header_size);
	return 0;
}
