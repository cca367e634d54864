/* test_packet.c - packet.c: every length that a fixed header can say, every packet cut at every byte, and what is not MQTT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "mqtt_bytes.h"
#include "packet.h"

/* The bytes in a block of just their size, so that a sanitizer sees what is read behind them. */
static uint8_t *exact(const uint8_t *bytes, size_t size)
{
	uint8_t *block = malloc(size > 0 ? size : 1);
	assert_non_null(block);
	memcpy(block, bytes, size);
	return block;
}

static void fixed_headers(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t bytes[6];
		size_t size;
		int error;
		size_t header_size, packet_size;
	} cases[] = {
		{"nothing", {0}, 0, PACKET_E_INCOMPLETE, 0, 0},
		{"type 0", {0x00, 0x00}, 2, PACKET_E_MALFORMED, 0, 0},
		{"type 0, one byte", {0x0f}, 1, PACKET_E_MALFORMED, 0, 0},
		{"no length", {0x30}, 1, PACKET_E_INCOMPLETE, 0, 0},
		{"length 0", {0xd0, 0x00}, 2, 0, 2, 2},
		{"length 127", {0x30, 0x7f}, 2, 0, 2, 129},
		{"length 128", {0x30, 0x80, 0x01}, 3, 0, 3, 131},
		{"length 128, cut", {0x30, 0x80}, 2, PACKET_E_INCOMPLETE, 0, 0},
		{"length 16383", {0x30, 0xff, 0x7f}, 3, 0, 3, 16386},
		{"length 16384", {0x30, 0x80, 0x80, 0x01}, 4, 0, 4, 16388},
		{"length 2097151", {0x30, 0xff, 0xff, 0x7f}, 4, 0, 4, 2097155},
		{"length 2097152", {0x30, 0x80, 0x80, 0x80, 0x01}, 5, 0, 5, 2097157},
		{"length 268435455", {0x30, 0xff, 0xff, 0xff, 0x7f}, 5, 0, 5, 268435460},
		{"three bytes of length, all go on", {0x30, 0xff, 0xff, 0xff}, 4, PACKET_E_INCOMPLETE, 0, 0},
		{"four bytes of length, all go on", {0x30, 0xff, 0xff, 0xff, 0xff}, 5, PACKET_E_MALFORMED, 0,
			0},
		{"type 15", {0xf0, 0x00}, 2, 0, 2, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct packet packet = {.size = 77};
		uint8_t *bytes = exact(cases[i].bytes, cases[i].size);
		const int error = packet_read(bytes, cases[i].size, &packet);
		if (error != cases[i].error)
			fail_msg("%s: %d", cases[i].name, error);
		if (error == 0 &&
			(packet.header_size != cases[i].header_size || packet.size != cases[i].packet_size ||
				packet.type != bytes[0] >> 4 || packet.flags != (bytes[0] & 15u)))
			fail_msg("%s: type %d, header %zu, size %zu", cases[i].name, (int)packet.type,
				packet.header_size, packet.size);
		if (error != 0)
			assert_int_equal(packet.size, 77);
		free(bytes);
	}
}

/* Whole, its parts are read; cut anywhere before the payload, more is wanted. */
static void publish_cut_at_every_byte(void **state)
{
	(void)state;
	static const struct {
		const char *name, *topic;
		unsigned qos, mid;
		bool dup;
		size_t fill;
	} cases[] = {
		{"QoS 0", "68946/ping", 0, 0, false, 10},
		{"QoS 1", "68946/ping", 1, 1, false, 10},
		{"QoS 1 with DUP", "68946/ping", 1, 65535, true, 10},
		{"QoS 2", "68946/ping", 2, 256, false, 300},
		{"no payload", "a", 1, 9, false, 0},
		{"no topic", "", 1, 9, false, 0},
		{"no topic at QoS 0", "", 0, 0, false, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mqtt_bytes made = {0};
		mqtt_publish(&made, cases[i].qos, cases[i].dup, cases[i].mid, cases[i].topic, cases[i].fill);
		for (size_t size = 0; size <= made.size; size++) {
			struct packet packet;
			struct packet_publish publish;
			uint8_t *bytes = exact(made.block, size);
			int error = packet_read(bytes, size, &packet);
			const size_t head = made.size - cases[i].fill;
			if (error == 0) {
				assert_int_equal(packet.size, made.size);
				error = packet_read_publish(&packet, bytes, size, &publish);
			}
			if (error != (size < head ? PACKET_E_INCOMPLETE : 0))
				fail_msg("%s, %zu bytes of %zu: %d", cases[i].name, size, made.size, error);
			if (error == 0) {
				assert_int_equal(publish.qos, cases[i].qos);
				assert_int_equal(publish.mid, cases[i].mid);
				assert_int_equal(publish.dup, cases[i].dup);
				assert_int_equal(publish.topic_size, strlen(cases[i].topic));
				assert_memory_equal(publish.topic, cases[i].topic, publish.topic_size);
			}
			free(bytes);
		}
		mqtt_bytes_free(&made);
	}
}

static void publishes_that_are_malformed(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t bytes[12];
		size_t size;
	} cases[] = {
		{"QoS 3", {0x36, 5, 0, 1, 'a', 0, 1}, 7},
		{"no room for the topic's length", {0x32, 1, 0}, 3},
		{"no body", {0x30, 0}, 2},
		{"a topic longer than the packet", {0x30, 4, 0, 3, 'a', 'b'}, 6},
		{"a topic longer than the packet, not there yet", {0x30, 4, 0xff, 0xff}, 4},
		{"no room for the packet identifier", {0x32, 4, 0, 2, 'a', 'b'}, 6},
		{"half a packet identifier", {0x32, 5, 0, 2, 'a', 'b', 0}, 7},
		{"packet identifier 0", {0x32, 5, 0, 1, 'a', 0, 0}, 7},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct packet packet;
		struct packet_publish publish;
		uint8_t *bytes = exact(cases[i].bytes, cases[i].size);
		assert_int_equal(packet_read(bytes, cases[i].size, &packet), 0);
		if (packet_read_publish(&packet, bytes, cases[i].size, &publish) != PACKET_E_MALFORMED)
			fail_msg("%s: taken", cases[i].name);
		free(bytes);
	}
}

static void pubacks(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t bytes[8];
		int error;
		uint16_t mid;
	} cases[] = {
		{"of both versions", {0x40, 2, 0x12, 0x34}, 0, 0x1234},
		{"with a reason code", {0x40, 3, 0, 7, 0x10}, 0, 7},
		{"with properties", {0x40, 4, 0xff, 0xff, 0x10, 0}, 0, 65535},
		{"half a packet identifier", {0x40, 1, 7}, PACKET_E_MALFORMED, 0},
		{"empty", {0x40, 0}, PACKET_E_MALFORMED, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct packet packet;
		uint16_t mid = 0;
		const size_t size = cases[i].bytes[1] + 2u;
		uint8_t *bytes = exact(cases[i].bytes, size);
		assert_int_equal(packet_read(bytes, size, &packet), 0);
		if (packet_read_puback(&packet, bytes, &mid) != cases[i].error || mid != cases[i].mid)
			fail_msg("%s: %u", cases[i].name, mid);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_headers),
		cmocka_unit_test(publish_cut_at_every_byte),
		cmocka_unit_test(publishes_that_are_malformed),
		cmocka_unit_test(pubacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
