/*
 * mqtt_bytes.h - MQTT packets as bytes, for tests of what lies below libmosquitto: made one behind the other in one block.
 */
#ifndef MQTT_BYTES_H
#define MQTT_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mqtt_bytes {
	uint8_t *block;
	size_t size, room;
};

static inline void mqtt_raw(struct mqtt_bytes *bytes, const void *more, size_t size)
{
	if (bytes->size + size > bytes->room) {
		bytes->room = (bytes->size + size) * 2;
		bytes->block = realloc(bytes->block, bytes->room);
		assert(bytes->block);
	}
	if (size > 0)
		memcpy(bytes->block + bytes->size, more, size);
	bytes->size += size;
}

/* So many are gone from the beginning. */
static inline void mqtt_gone(struct mqtt_bytes *bytes, size_t size)
{
	if (size > 0)
		memmove(bytes->block, bytes->block + size, bytes->size - size);
	bytes->size -= size;
}

/* The fixed header. */
static inline void mqtt_head(struct mqtt_bytes *bytes, unsigned first, size_t length)
{
	uint8_t head[5] = {(uint8_t)first};
	size_t at = 1;
	do {
		head[at++] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
		length >>= 7;
	} while (length > 0);
	mqtt_raw(bytes, head, at);
}

static inline void mqtt_word(struct mqtt_bytes *bytes, unsigned word)
{
	mqtt_raw(bytes, (const uint8_t[]){(uint8_t)(word >> 8), (uint8_t)word}, 2);
}

/* mqtt5: with an empty property list. fill: bytes behind the text of the payload. */
static inline void mqtt_publish_of(struct mqtt_bytes *bytes, bool mqtt5, unsigned qos, bool dup, unsigned mid,
	const char *topic, const char *payload, size_t fill)
{
	const size_t topic_size = strlen(topic), payload_size = strlen(payload);
	mqtt_head(bytes, 0x30 | (dup ? 8 : 0) | qos << 1,
		2 + topic_size + (qos > 0 ? 2 : 0) + mqtt5 + payload_size + fill);
	mqtt_word(bytes, (unsigned)topic_size);
	mqtt_raw(bytes, topic, topic_size);
	if (qos > 0)
		mqtt_word(bytes, mid);
	if (mqtt5)
		mqtt_raw(bytes, "", 1);
	mqtt_raw(bytes, payload, payload_size);
	for (size_t i = 0; i < fill; i++)
		mqtt_raw(bytes, "x", 1);
}

static inline void mqtt_publish(
	struct mqtt_bytes *bytes, unsigned qos, bool dup, unsigned mid, const char *topic, size_t fill)
{
	mqtt_publish_of(bytes, false, qos, dup, mid, topic, "", fill);
}

/* One that holds nothing but a packet identifier: PUBACK, PUBREC .. */
static inline void mqtt_with_mid(struct mqtt_bytes *bytes, unsigned first, unsigned mid)
{
	mqtt_head(bytes, first, 2);
	mqtt_word(bytes, mid);
}

static inline void mqtt_bytes_free(struct mqtt_bytes *bytes)
{
	free(bytes->block);
	*bytes = (struct mqtt_bytes){0};
}

#endif
