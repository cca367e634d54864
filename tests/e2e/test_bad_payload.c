/*
 * test_bad_payload.c - payloads and fields that cannot be right: the sender gets command_rejected with a
 * reason, nothing is stored, nothing dies, and the next command is answered.
 */
#include "harness.h"
#include <stdlib.h>
#include <string.h>

struct bad {
	const char *title, *command;
	const char *payload;
	size_t size;	    /* 0: that of the text */
	const char *reason; /* a part of what the sender must be told */
};

#define CONTACT	    "request_contact"
#define BYTES(text) text, sizeof(text) - 1 /* what a NUL does not end */

static const struct bad cases[] = {
	{"empty", CONTACT, "", 0, "empty"},
	{"not JSON", CONTACT, "apples, please", 0, "JSON"},
	{"half of an object", CONTACT, "{\"contact_id\":\"23412\"", 0, "JSON"},
	{"something after the value", CONTACT, "{\"contact_id\":\"23412\"} {}", 0, "JSON"},
	{"an array where an object is needed", CONTACT, "[\"23412\"]", 0, "object"},
	{"a text where an object is needed", CONTACT, "\"23412\"", 0, "object"},
	{"null", CONTACT, "null", 0, "object"},
	{"a field is missing", CONTACT, "{\"contact\":\"23412\"}", 0, "contact_id"},
	{"a field is null", CONTACT, "{\"contact_id\":null}", 0, "contact_id"},
	{"a number for a text", CONTACT, "{\"contact_id\":23412}", 0, "contact_id"},
	{"an operator of MongoDB's", CONTACT, "{\"contact_id\":{\"$gt\":\"\"}}", 0, "contact_id"},
	{"extended JSON", CONTACT, "{\"contact_id\":{\"$oid\":\"5f0000000000000000000000\"}}", 0,
		"contact_id"},
	{"a slash in a user id", CONTACT, "{\"contact_id\":\"23412/x\"}", 0, "contact_id"},
	{"a plus in a user id", CONTACT, "{\"contact_id\":\"+\"}", 0, "contact_id"},
	{"a hash in a user id", CONTACT, "{\"contact_id\":\"#\"}", 0, "contact_id"},
	{"an empty user id", CONTACT, "{\"contact_id\":\"\"}", 0, "contact_id"},
	{"a user id with a space", CONTACT, "{\"contact_id\":\"23 412\"}", 0, "contact_id"},
	{"a duplicate field", CONTACT, "{\"contact_id\":\"1\",\"contact_id\":\"2\"}", 0, "JSON"},
	{"NUL between values", CONTACT, BYTES("{\"contact_id\":\0\"23412\"}"), "JSON"},
	{"NUL at the end", CONTACT, BYTES("{\"contact_id\":\"23412\"}\0"), "a NUL byte behind the value"},
	{"a byte order mark", CONTACT, "\xef\xbb\xbf{\"contact_id\":\"23412\"}", 0, "byte order mark"},
	{"NUL in a text", CONTACT,
		BYTES("{\"contact_id\":\"23\0"
		      "412\"}"),
		"JSON"},
	{"NUL in a text, escaped", CONTACT, "{\"contact_id\":\"23\\u0000412\"}", 0, "JSON"},
	{"bad UTF-8", CONTACT, "{\"contact_id\":\"\xc3\x28\"}", 0, "JSON"},
	{"half of a surrogate pair", CONTACT, "{\"contact_id\":\"\\ud800\"}", 0, "half a surrogate pair"},
	{"an integer over 64 bits", "get_contact_list", "{\"limit\":99999999999999999999}", 0, "64 bits"},
	{"a limit out of range", "get_contact_list", "{\"limit\":-1}", 0, "limit"},
	{"a text for a number", "get_contact_list", "{\"limit\":\"5\"}", 0, "limit"},
	{"not JSON, where any JSON will do", "ping", "pong", 0, "JSON"},
};

static void send(struct device *device, const char *command, const char *payload, size_t size)
{
	device_publish_with(device, command,
		&(struct device_publish_options){.payload = payload, .payload_size = size, .qos = 1});
}

static void assert_rejected(struct device *device, const char *title, const char *command, const char *reason)
{
	json_t *rejected = json_loads(device_expect(device, "command_rejected")->payload, 0, NULL);
	const char *told = json_string_value(json_object_get(rejected, "reason"));
	const char *told_command = json_string_value(json_object_get(rejected, "command"));
	if (!told || !strstr(told, reason))
		harness_fail("%s: the reason is \"%s\", which does not say \"%s\"", title, told ? told : "",
			reason);
	if (!told_command || strcmp(told_command, command) != 0)
		harness_fail("%s: rejected was %s", title, told_command ? told_command : "nothing");
	json_decref(rejected);
}

HARNESS_CASE(bad_payloads_are_rejected)
{
	struct database *database = harness_database(h);
	harness_host(h);
	struct device *phone = device_new(h, "68946"), *other = device_new(h, "23412");
	device_connect(phone);
	device_connect(other);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct bad *bad = &cases[i];
		send(phone, bad->command, bad->payload, bad->size ? bad->size : strlen(bad->payload));
		assert_rejected(phone, bad->title, bad->command, bad->reason);
	}
	/* Everything was acknowledged, nothing was done. */
	device_wait_all_pubacks(phone);
	assert_int_equal(other->message_count, 0);
	assert_int_equal(database_count(h, database, "contact_requests", "{}"), 0);
	assert_int_equal(database_count(h, database, "dead_letters", "{}"), 0);
	device_command(phone, "ping", "1");
	device_expect_json(phone, "pong", "1");
}

HARNESS_CASE(payload_of_one_megabyte_is_rejected)
{
	enum { MEGABYTE = 1024 * 1024 };
	struct host *host = harness_host(h);
	struct device *phone = device_new(h, "68946");
	char *payload = malloc(MEGABYTE);
	assert_non_null(payload);
	memset(payload, ' ', MEGABYTE);
	payload[0] = '"';
	payload[MEGABYTE - 1] = '"';
	device_connect(phone);
	send(phone, "ping", payload, MEGABYTE);
	assert_rejected(phone, "1 MB", "ping", "bytes");
	const size_t before_kib = host_rss_kib(host);
	for (int i = 0; i < 100; i++)
		send(phone, "ping", payload, MEGABYTE);
	free(payload);
	device_wait_count(phone, "command_rejected", 101);
	/* It is never kept. The bound leaves room for a sanitizer's quarantine of freed memory. */
	assert_in_range(host_rss_kib(host), 0, before_kib + MEMORY_SLACK_KIB);
	device_command(phone, "ping", "1");
	device_expect_json(phone, "pong", "1");
}

static char *nested(struct harness *h, size_t depth)
{
	char *text = harness_format(h, "%*s", (int)(2 * depth), "");
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return text;
}

HARNESS_CASE(payload_of_a_hundred_levels_is_rejected)
{
	harness_host(h);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_publish(phone, "ping", nested(h, 100));
	assert_rejected(phone, "100 levels", "ping", "deep");
	device_publish(phone, "ping", nested(h, 50000));
	assert_rejected(phone, "50,000 levels", "ping", "deep");
	device_publish(phone, "ping", nested(h, 20));
	device_expect_json(phone, "pong", nested(h, 20));
}

HARNESS_MAIN(HARNESS_TEST(bad_payloads_are_rejected), HARNESS_TEST(payload_of_one_megabyte_is_rejected),
	HARNESS_TEST(payload_of_a_hundred_levels_is_rejected))
