/* test_basic.c - the main job: commands in, handlers on MongoDB, events out, under MQTT 5 and 3.1.1. */
#include "harness.h"

HARNESS_CASE(ping_is_answered_with_the_same_payload)
{
	static const char *const payloads[] = {
		"{}", "[1, 2.5, null]", "\"text\"", "7", "true", "{\"a\":{\"b\":[\"\\u00e4\"]}}"};
	harness_host(h);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		device_command(phone, "ping", payloads[i]);
		device_expect_json(phone, "pong", payloads[i]);
	}
}

HARNESS_MAIN(HARNESS_TEST(ping_is_answered_with_the_same_payload))
