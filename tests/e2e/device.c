/* device.c - see device.h. */
#include "harness_private.h"
#include "panic.h"
#include "token.h"
#include <mqtt_protocol.h>
#include <string.h>
#include <time.h>

enum { TOKEN_LIFETIME_S = 3600, MISC_EVERY_MS = 500 };

/* ---- libmosquitto's callbacks ---- */

static void on_connect(
	struct mosquitto *mosquitto, void *context, int reason, int flags, const mosquitto_property *p)
{
	struct device *device = context;
	(void)mosquitto;
	(void)flags;
	(void)p;
	device->connack = reason;
	device->connected = reason == 0;
}

static void on_disconnect(struct mosquitto *mosquitto, void *context, int reason, const mosquitto_property *p)
{
	struct device *device = context;
	(void)mosquitto;
	(void)reason;
	(void)p;
	device->connected = false;
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int mid, int count, const int *granted,
	const mosquitto_property *p)
{
	struct device *device = context;
	(void)mosquitto;
	(void)mid;
	(void)p;
	device->granted = count > 0 ? granted[0] : MQTT_RC_UNSPECIFIED;
}

static void on_publish(
	struct mosquitto *mosquitto, void *context, int mid, int reason, const mosquitto_property *p)
{
	struct device *device = context;
	(void)mosquitto;
	(void)p;
	/* The latest first: packet identifiers come round again. */
	for (size_t i = device->published_count; i-- > 0;) {
		struct device_published *published = &device->published[i];
		if (published->mid == mid && published->reason < 0) {
			published->reason = reason;
			device->acknowledged_count++;
			return;
		}
	}
}

static void on_message(struct mosquitto *mosquitto, void *context, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	struct device *device = context;
	(void)mosquitto;
	if (device->message_count == device->message_capacity) {
		device->message_capacity = device->message_capacity ? 2 * device->message_capacity : 16;
		device->messages = panic_if_null(reallocarray(
			device->messages, device->message_capacity, sizeof(device->messages[0])));
	}
	struct device_message *kept = &device->messages[device->message_count++];
	*kept = (struct device_message){.topic = panic_if_null(strdup(message->topic)),
		.payload = panic_if_null(calloc(1, (size_t)message->payloadlen + 1)),
		.payload_size = (size_t)message->payloadlen,
		.qos = message->qos,
		.retain = message->retain,
		.at_ms = harness_now_ms()};
	if (message->payloadlen > 0)
		memcpy(kept->payload, message->payload, kept->payload_size);
	void *correlation = NULL;
	uint16_t size = 0;
	if (mosquitto_property_read_binary(
		    properties, MQTT_PROP_CORRELATION_DATA, &correlation, &size, false)) {
		kept->correlation = panic_if_null(calloc(1, (size_t)size + 1));
		if (size > 0)
			memcpy(kept->correlation, correlation, size);
		kept->correlation_size = size;
		free(correlation);
	}
}

/* ---- As a part of the harness ---- */

static size_t device_prepare(void *self, struct pollfd *polls, size_t room)
{
	const struct device *device = self;
	const int fd = device->mosquitto ? mosquitto_socket(device->mosquitto) : -1;
	if (fd < 0 || room == 0)
		return 0;
	polls[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	if (mosquitto_want_write(device->mosquitto))
		polls[0].events |= POLLOUT;
	return 1;
}

static void device_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct device *device = self;
	if (count == 0)
		return;
	/* What they return is also told to on_disconnect(). A TLS handshake advances in mosquitto_loop_read()
	 * only. */
	if (polls[0].revents != 0)
		(void)mosquitto_loop_read(device->mosquitto, 1);
	if (mosquitto_want_write(device->mosquitto))
		(void)mosquitto_loop_write(device->mosquitto, 1);
	const int64_t now = harness_now_ms();
	if (now >= device->misc_ms) {
		device->misc_ms = now + MISC_EVERY_MS;
		(void)mosquitto_loop_misc(device->mosquitto);
	}
}

static void device_free(void *self)
{
	struct device *device = self;
	mosquitto_destroy(device->mosquitto);
	for (size_t i = 0; i < device->message_count; i++) {
		free(device->messages[i].topic);
		free(device->messages[i].payload);
		free(device->messages[i].correlation);
	}
	free(device->messages);
	free(device->published);
}

static struct device *new_device(struct harness *h, const char *user, char *token)
{
	static unsigned number;
	struct device *device = harness_alloc(h, sizeof(*device));
	*device = (struct device){.user = harness_format(h, "%s", user),
		.client_id = harness_format(h, "%s:%u", user, ++number),
		.token = harness_format(h, "%s", token),
		.broker = harness_broker(h),
		.keepalive_s = 600,
		.connack = -1,
		.harness = h,
		.part = {.self = device,
			.prepare = device_prepare,
			.serve = device_serve,
			.free = device_free}};
	free(token);
	harness_add(h, &device->part);
	return device;
}

struct device *device_new(struct harness *h, const char *user)
{
	char *token;
	if (token_sign_user(HARNESS_SECRET, user, (int64_t)time(NULL), TOKEN_LIFETIME_S, &token) != 0)
		harness_fail("no token for user %s", user);
	return new_device(h, user, token);
}

struct device *device_new_handler(struct harness *h, const char *name)
{
	char *token;
	if (token_sign_handler(HARNESS_SECRET, name, (int64_t)time(NULL), TOKEN_LIFETIME_S, &token) != 0)
		harness_fail("no token for handler %s", name);
	struct device *device = new_device(h, name, token);
	device->quiet = true;
	return device;
}

/* ---- Connecting ---- */

static void check(struct device *device, int result, const char *what)
{
	if (result != MOSQ_ERR_SUCCESS)
		harness_fail("device %s: %s: %s", device->client_id, what, mosquitto_strerror(result));
}

static void device_configure(struct device *device)
{
	struct mosquitto *m = mosquitto_new(device->client_id, !device->keep_session, device);
	panic_if_null(m);
	mosquitto_destroy(device->mosquitto);
	device->mosquitto = m;
	mosquitto_connect_v5_callback_set(m, on_connect);
	mosquitto_disconnect_v5_callback_set(m, on_disconnect);
	mosquitto_subscribe_v5_callback_set(m, on_subscribe);
	mosquitto_publish_v5_callback_set(m, on_publish);
	mosquitto_message_v5_callback_set(m, on_message);
	check(device,
		mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION,
			device->mqtt311 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5),
		"protocol version");
	/* As much as a test sends at once: the limit is the broker's, not the library's. */
	check(device, mosquitto_int_option(m, MOSQ_OPT_SEND_MAXIMUM, 65535), "send maximum");
	if (device->plain_port == 0 && broker_ca_file(device->broker))
		check(device, mosquitto_tls_set(m, broker_ca_file(device->broker), NULL, NULL, NULL, NULL),
			"TLS");
	if (device->token)
		check(device, mosquitto_username_pw_set(m, "JWT", device->token), "user name and token");
}

/* Connected and sure of it, or gone. */
static bool connect_settled(void *context)
{
	const struct device *device = context;
	return device->connack >= 0 || mosquitto_socket(device->mosquitto) < 0;
}

/* Whether the TCP connection came to be. */
static bool device_open(struct device *device)
{
	device_configure(device);
	mosquitto_property *properties = NULL;
	if (device->keep_session && !device->mqtt311)
		check(device,
			mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600),
			"session");
	device->connack = -1;
	const int result = mosquitto_connect_bind_v5(device->mosquitto,
		device->plain_host ? device->plain_host : "localhost",
		(int)(device->plain_port ? device->plain_port : broker_port(device->broker)),
		device->keepalive_s, NULL, properties);
	mosquitto_property_free_all(&properties);
	return result == MOSQ_ERR_SUCCESS;
}

void device_begin_connect(struct device *device)
{
	if (!device_open(device))
		harness_fail("device %s: no connection", device->client_id);
}

int device_try_connect_at(const char *file, int line, struct device *device)
{
	if (!device_open(device))
		return -1;
	harness_wait_at(file, line, device->harness, connect_settled, device, HARNESS_TIMEOUT_MS,
		"the broker to answer device %s", device->client_id);
	if (device->connack == 0 && !device->quiet) {
		const char *filter = harness_format(device->harness, "%s/#", device->user);
		const int granted = device_subscribe_at(file, line, device, filter, 1);
		if (granted != 1)
			harness_fail_at(file, line, "device %s: subscribing to %s got %d", device->client_id,
				filter, granted);
	}
	return device->connack;
}

void device_connect_at(const char *file, int line, struct device *device)
{
	const int reason = device_try_connect_at(file, line, device);
	if (reason != 0)
		harness_fail_at(file, line, "device %s: the broker refused it, or closed (%d)",
			device->client_id, reason);
}

static bool link_closed(void *context)
{
	const struct device *device = context;
	return mosquitto_socket(device->mosquitto) < 0;
}

void device_disconnect(struct device *device)
{
	check(device, mosquitto_disconnect(device->mosquitto), "DISCONNECT");
	harness_wait(device->harness, link_closed, device, "device %s to disconnect", device->client_id);
}

void device_drop(struct device *device)
{
	mosquitto_destroy(device->mosquitto);
	device->mosquitto = NULL;
	device->connected = false;
}

static bool subscription_answered(void *context)
{
	const struct device *device = context;
	return device->granted >= 0;
}

int device_subscribe_at(const char *file, int line, struct device *device, const char *filter, int qos)
{
	/* No Local is a protocol error in a shared subscription (MQTT 5.0 section 3.8.3.1). */
	const bool shared = strncmp(filter, "$share/", 7) == 0;
	const int options = device->mqtt311 || shared ? 0 : MQTT_SUB_OPT_NO_LOCAL;
	device->granted = -1;
	check(device, mosquitto_subscribe_v5(device->mosquitto, NULL, filter, qos, options, NULL),
		"SUBSCRIBE");
	harness_wait_at(file, line, device->harness, subscription_answered, device, HARNESS_TIMEOUT_MS,
		"the SUBACK of device %s for %s", device->client_id, filter);
	return device->granted;
}

/* ---- Publishing ---- */

size_t device_publish_with(
	struct device *device, const char *command, const struct device_publish_options *options)
{
	mosquitto_property *properties = NULL;
	char topic[256];
	if (!options->topic)
		snprintf(topic, sizeof(topic), "%s/%s", device->user, command);
	if (options->response_topic)
		check(device,
			mosquitto_property_add_string(
				&properties, MQTT_PROP_RESPONSE_TOPIC, options->response_topic),
			"response topic");
	if (options->correlation)
		check(device,
			mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
				options->correlation, (uint16_t)strlen(options->correlation)),
			"correlation data");
	int mid;
	const int result = mosquitto_publish_v5(device->mosquitto, &mid,
		options->topic ? options->topic : topic, (int)options->payload_size, options->payload,
		options->qos, options->retain, properties);
	mosquitto_property_free_all(&properties);
	check(device, result, "PUBLISH");
	if (device->published_count == device->published_capacity) {
		device->published_capacity = device->published_capacity ? 2 * device->published_capacity : 16;
		device->published = panic_if_null(reallocarray(
			device->published, device->published_capacity, sizeof(device->published[0])));
	}
	const size_t place = device->published_count++;
	/* QoS 0 is never acknowledged: on_publish() came already, or comes when it was written. */
	device->published[place] =
		(struct device_published){.mid = mid, .reason = options->qos == 0 ? 0 : -1};
	device->acknowledged_count += options->qos == 0;
	return place;
}

size_t device_publish(struct device *device, const char *command, const char *payload)
{
	const struct device_publish_options options = {
		.payload = payload, .payload_size = strlen(payload), .qos = 1};
	return device_publish_with(device, command, &options);
}

struct puback_wait {
	const struct device *device;
	size_t place;
};

static bool puback_came(void *context)
{
	const struct puback_wait *wait = context;
	return wait->device->published[wait->place].reason >= 0;
}

int device_wait_puback_at(const char *file, int line, struct device *device, size_t place)
{
	struct puback_wait wait = {.device = device, .place = place};
	harness_wait_at(file, line, device->harness, puback_came, &wait, HARNESS_TIMEOUT_MS,
		"a PUBACK for device %s", device->client_id);
	return device->published[place].reason;
}

static bool all_pubacks_came(void *context)
{
	const struct device *device = context;
	return device->acknowledged_count == device->published_count;
}

void device_wait_all_pubacks_at(const char *file, int line, struct device *device)
{
	harness_wait_at(file, line, device->harness, all_pubacks_came, device, HARNESS_TIMEOUT_MS,
		"%zu PUBACKs for device %s", device->published_count, device->client_id);
}

int device_publish_answered(struct device *device, const char *topic, const char *payload)
{
	const struct device_publish_options options = {
		.topic = topic, .payload = payload, .payload_size = strlen(payload), .qos = 1};
	return device_wait_puback(device, device_publish_with(device, NULL, &options));
}

void device_barrier(struct device *sender, struct device *receiver, const char *topic)
{
	assert_in_range(
		device_publish_answered(sender, topic, "barrier"), 0, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	device_expect(receiver, topic);
}

size_t device_count_on(const struct device *device, const char *topic)
{
	size_t count = 0;
	for (size_t i = 0; i < device->message_count; i++)
		count += strcmp(device->messages[i].topic, topic) == 0;
	return count;
}

void device_command_at(
	const char *file, int line, struct device *device, const char *command, const char *payload)
{
	const int reason =
		device_wait_puback_at(file, line, device, device_publish(device, command, payload));
	/* 0x10: taken, though nobody is subscribed just now. */
	if (reason >= 0x80)
		harness_fail_at(file, line, "device %s: the broker refused %s with 0x%02x", device->client_id,
			command, (unsigned)reason);
}

/* ---- What arrives ---- */

static bool is_on(const struct device *device, const struct device_message *message, const char *event)
{
	if (strchr(event, '/'))
		return strcmp(message->topic, event) == 0;
	const size_t size = strlen(device->user);
	return strncmp(message->topic, device->user, size) == 0 && message->topic[size] == '/' &&
	       strcmp(message->topic + size + 1, event) == 0;
}

struct event_wait {
	const struct device *device;
	const char *event;
	size_t count;
	struct device_message *found;
};

static bool event_came(void *context)
{
	struct event_wait *wait = context;
	for (size_t i = 0; i < wait->device->message_count; i++) {
		struct device_message *message = &wait->device->messages[i];
		if (!message->taken && is_on(wait->device, message, wait->event)) {
			wait->found = message;
			return true;
		}
	}
	return false;
}

const struct device_message *device_expect_at(
	const char *file, int line, struct device *device, const char *event)
{
	struct event_wait wait = {.device = device, .event = event};
	harness_wait_at(file, line, device->harness, event_came, &wait, HARNESS_TIMEOUT_MS,
		"%s to arrive at device %s", event, device->client_id);
	wait.found->taken = true;
	return wait.found;
}

const struct device_message *device_expect_json_at(
	const char *file, int line, struct device *device, const char *event, const char *json)
{
	const struct device_message *message = device_expect_at(file, line, device, event);
	json_t *expected = json_loads(json, JSON_DECODE_ANY, NULL);
	json_t *found = json_loadb(message->payload, message->payload_size, JSON_DECODE_ANY, NULL);
	const bool equal = expected && json_equal(expected, found) == 1;
	json_decref(expected);
	json_decref(found);
	if (!equal)
		harness_fail_at(
			file, line, "%s came with %s, expected was %s", event, message->payload, json);
	return message;
}

size_t device_count(const struct device *device, const char *event)
{
	size_t count = 0;
	for (size_t i = 0; i < device->message_count; i++)
		count += is_on(device, &device->messages[i], event);
	return count;
}

static bool enough_events(void *context)
{
	const struct event_wait *wait = context;
	return device_count(wait->device, wait->event) >= wait->count;
}

void device_wait_count_at(const char *file, int line, struct device *device, const char *event, size_t count)
{
	struct event_wait wait = {.device = device, .event = event, .count = count};
	harness_wait_at(file, line, device->harness, enough_events, &wait, HARNESS_TIMEOUT_MS,
		"%zu messages on %s at device %s", count, event, device->client_id);
}
