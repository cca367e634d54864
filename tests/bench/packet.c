/* packet.c - see packet.h. */
#include "packet.h"

#include <string.h>

size_t packet_length(unsigned char *out, size_t length)
{
	size_t used = 0;

	do {
		out[used] = (unsigned char)(length & 127);
		length >>= 7;
		if (length != 0)
			out[used] |= 128;
		used++;
	} while (length != 0);
	return used;
}

size_t packet_u16(unsigned char *out, size_t value)
{
	out[0] = (unsigned char)(value >> 8);
	out[1] = (unsigned char)value;
	return 2;
}

static size_t write_text(unsigned char *out, const char *text, size_t size)
{
	(void)packet_u16(out, size);
	memcpy(out + 2, text, size);
	return 2 + size;
}

size_t packet_connect(unsigned char *out, const struct packet_connect *connect)
{
	static const char user_name[] = "JWT";
	const size_t user_size = sizeof(user_name) - 1, id_size = strlen(connect->client_id);
	const size_t token_size = connect->token ? strlen(connect->token) : 0;
	const bool keeps = connect->session_expiry_s != 0;
	size_t used = 0;

	out[used++] = 0x10;
	used += packet_length(out + used,
		10 + (keeps ? 6 : 1) + 2 + id_size + (connect->token ? 4 + user_size + token_size : 0));
	used += write_text(out + used, "MQTT", 4);
	out[used++] = 5;
	out[used++] = (unsigned char)((keeps ? 0 : 0x02) |
				      (connect->token ? 0xC0 : 0)); /* Clean Start; user name and password */
	used += packet_u16(out + used, connect->keepalive_s);
	out[used++] = keeps ? 5 : 0; /* properties; without one Receive Maximum is 65,535 */
	if (keeps) {
		out[used++] = 0x11; /* Session Expiry Interval */
		used += packet_u16(out + used, connect->session_expiry_s >> 16);
		used += packet_u16(out + used, connect->session_expiry_s & 0xFFFF);
	}
	used += write_text(out + used, connect->client_id, id_size);
	if (connect->token) {
		used += write_text(out + used, user_name, user_size);
		used += write_text(out + used, connect->token, token_size);
	}
	return used;
}

size_t packet_publish(unsigned char *out, uint16_t id, const char *topic, size_t topic_size,
	const void *payload, size_t payload_size)
{
	size_t used = 0;

	out[used++] = 0x32; /* QoS 1 */
	used += packet_length(out + used, 2 + topic_size + 2 + 1 + payload_size);
	used += write_text(out + used, topic, topic_size);
	used += packet_u16(out + used, id);
	out[used++] = 0; /* no properties */
	memcpy(out + used, payload, payload_size);
	return used + payload_size;
}

size_t packet_publish_respond(unsigned char *out, uint16_t id, const char *topic, size_t topic_size,
	const char *response_topic, size_t response_size, const void *payload, size_t payload_size)
{
	const size_t properties_size = 1 + 2 + response_size;
	unsigned char length[4];
	const size_t length_size = packet_length(length, properties_size);
	size_t used = 0;

	out[used++] = 0x32; /* QoS 1 */
	used += packet_length(out + used, 2 + topic_size + 2 + length_size + properties_size + payload_size);
	used += write_text(out + used, topic, topic_size);
	used += packet_u16(out + used, id);
	memcpy(out + used, length, length_size);
	used += length_size;
	out[used++] = 0x08;
	used += write_text(out + used, response_topic, response_size);
	memcpy(out + used, payload, payload_size);
	return used + payload_size;
}

size_t packet_puback(unsigned char *out, uint16_t id)
{
	out[0] = 0x40;
	out[1] = 2;
	return 2 + packet_u16(out + 2, id);
}

size_t packet_disconnect(unsigned char *out)
{
	out[0] = 0xE0;
	out[1] = 0;
	return 2;
}

size_t packet_subscribe_begin(unsigned char *out, uint16_t id, size_t filters_size)
{
	size_t used = 0;

	out[used++] = 0x82;
	used += packet_length(out + used, 2 + 1 + filters_size);
	used += packet_u16(out + used, id);
	out[used++] = 0; /* no properties */
	return used;
}

size_t packet_filter_size(const char *filter)
{
	return 2 + strlen(filter) + 1;
}

size_t packet_filter(unsigned char *out, const char *filter, unsigned options)
{
	const size_t used = write_text(out, filter, strlen(filter));

	out[used] = (unsigned char)options;
	return used + 1;
}

/* A variable byte integer: bytes used, 0 where incomplete, -1 where it is longer than four bytes. */
static int read_length(const unsigned char *in, size_t size, size_t *ret_length)
{
	size_t length = 0;

	for (unsigned at = 0; at < 4; at++) {
		if (at >= size)
			return 0;
		length |= (size_t)(in[at] & 127) << (7 * at);
		if ((in[at] & 128) == 0) {
			*ret_length = length;
			return (int)at + 1;
		}
	}
	return -1;
}

static unsigned read_u16(const unsigned char *in)
{
	return (unsigned)in[0] << 8 | in[1];
}

/* Skips the properties at *body; false where they do not fit. */
static bool skip_properties(const unsigned char **body, const unsigned char *end)
{
	size_t length;
	const int used = read_length(*body, (size_t)(end - *body), &length);

	if (used <= 0 || length > (size_t)(end - *body) - (size_t)used)
		return false;
	*body += (size_t)used + length;
	return true;
}

/* The one property of a CONNACK that matters here. Those that mosquitto sends are known; behind an unknown
 * one it is not looked for. */
static unsigned find_receive_maximum(const unsigned char *at, const unsigned char *end)
{
	while (at < end) {
		switch (*at) {
		case 0x21: return end - at >= 3 ? read_u16(at + 1) : 65535;
		case 0x22: /* Topic Alias Maximum */
		case 0x13: /* Server Keep Alive */ at += 3; break;
		case 0x24: /* Maximum QoS */
		case 0x25: /* Retain Available */
		case 0x28: /* Wildcard, Subscription Identifier, Shared Subscription Available */
		case 0x29:
		case 0x2A: at += 2; break;
		case 0x11: /* Session Expiry Interval */
		case 0x27: /* Maximum Packet Size */ at += 5; break;
		default: return 65535;
		}
	}
	return 65535;
}

static bool read_publish(const unsigned char *body, const unsigned char *end, struct packet *packet)
{
	if (end - body < 2)
		return false;
	packet->topic_size = read_u16(body);
	body += 2;
	if ((size_t)(end - body) < packet->topic_size + (packet->qos > 0 ? 2 : 0))
		return false;
	packet->topic = (const char *)body;
	body += packet->topic_size;
	if (packet->qos > 0) {
		packet->id = (uint16_t)read_u16(body);
		body += 2;
	}
	if (!skip_properties(&body, end))
		return false;
	packet->payload = body;
	packet->payload_size = (size_t)(end - body);
	return true;
}

static bool read_body(const unsigned char *body, const unsigned char *end, struct packet *packet)
{
	const size_t size = (size_t)(end - body);

	switch (packet->type) {
	case PACKET_PUBLISH: return read_publish(body, end, packet);
	case PACKET_CONNACK:
		if (size < 2)
			return false;
		packet->reason = body[1];
		packet->receive_maximum = size > 3 ? find_receive_maximum(body + 3, end) : 65535;
		return true;
	case PACKET_PUBACK:
		if (size < 2)
			return false;
		packet->id = (uint16_t)read_u16(body);
		packet->reason = size > 2 ? body[2] : 0;
		return true;
	case PACKET_SUBACK:
		if (size < 2)
			return false;
		packet->id = (uint16_t)read_u16(body);
		body += 2;
		if (!skip_properties(&body, end))
			return false;
		packet->payload = body;
		packet->payload_size = (size_t)(end - body);
		return true;
	case PACKET_DISCONNECT: packet->reason = size > 0 ? body[0] : 0; return true;
	default: return true;
	}
}

long packet_read(const unsigned char *in, size_t size, struct packet *ret_packet)
{
	size_t length;

	if (size < 2)
		return 0;
	const int used = read_length(in + 1, size - 1, &length);
	if (used <= 0)
		return used;
	const size_t whole = 1 + (size_t)used + length;
	if (size < whole)
		return 0;
	*ret_packet =
		(struct packet){.type = in[0] >> 4, .duplicate = (in[0] & 8) != 0, .qos = (in[0] >> 1) & 3};
	return read_body(in + 1 + used, in + whole, ret_packet) ? (long)whole : -1;
}
