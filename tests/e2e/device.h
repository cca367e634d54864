/*
 * device.h - a phone's part in a test: a client of the broker's, over libmosquitto, with a user token of its
 * own.
 *
 * Happy path: device_new(), change its fields, device_connect(), device_publish(), device_expect(). It
 * subscribes to all topics under its user id as it connects (MQTT 5's No Local keeps its own commands away),
 * answers at QoS 1, and keeps what arrives until it is expected. Included by harness.h.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "harness.h"

#include <mosquitto.h>

struct device_message {
	char *topic;
	char *payload; /* followed by a NUL */
	size_t payload_size;
	int qos;
	bool retain;
	bool duplicate;
	bool taken;
	char *correlation; /* MQTT 5 Correlation Data, followed by a NUL; NULL: none */
	size_t correlation_size;
	int64_t at_ms; /* harness_now_ms() when it arrived */
};

/* Of a publish of the device's. */
struct device_published {
	int mid;
	int reason; /* -1: not acknowledged yet; else the PUBACK's reason code (0 under MQTT 3.1.1) */
};

struct device {
	/* May be changed before device_connect(). */
	const char *user;
	const char *client_id; /* "{user}:{number}" */
	const char *token;     /* a user token of one hour; NULL: connects without user name and password */
	const struct broker *broker; /* the case's default broker */
	const char *plain_host;	     /* connect there instead, without TLS: a scripted broker */
	unsigned plain_port;
	bool mqtt311;
	bool keep_session; /* clean start off, a session of one hour */
	bool quiet;	   /* subscribes to nothing by itself */
	int keepalive_s;

	/* To be read. */
	bool connected;
	int connack; /* reason code of the last CONNACK; -1: none came */
	struct device_message *messages;
	size_t message_count, message_capacity;
	struct device_published *published;
	size_t published_count, published_capacity, acknowledged_count;

	/* Private. */
	struct harness *harness;
	struct harness_part part;
	struct mosquitto *mosquitto;
	int granted; /* of the last SUBACK; -1: none yet */
	int64_t misc_ms;
};

struct device *device_new(struct harness *h, const char *user);

/* With the token of a handler of that name instead, which may publish and subscribe for all users. It
 * subscribes to nothing. */
struct device *device_new_handler(struct harness *h, const char *name);

/* Connects, subscribes, and waits for both. Again after device_drop() or a lost connection: the same session. */
#define device_connect(device) device_connect_at(__FILE__, __LINE__, device)
void device_connect_at(const char *file, int line, struct device *device);

/* The CONNACK's reason code, or -1 if the connection ended without one. Subscribes only if it was 0. */
#define device_try_connect(device) device_try_connect_at(__FILE__, __LINE__, device)
int device_try_connect_at(const char *file, int line, struct device *device);

/* Begins to connect, and waits for nothing. Neither does it subscribe. */
void device_begin_connect(struct device *device);

void device_disconnect(struct device *device); /* with DISCONNECT */
void device_drop(struct device *device);       /* closes the socket without a word */

/* The SUBACK's reason code or granted QoS. */
#define device_subscribe(device, filter, qos) device_subscribe_at(__FILE__, __LINE__, device, filter, qos)
int device_subscribe_at(const char *file, int line, struct device *device, const char *filter, int qos);

/*
 * Sends a command at QoS 1 to {user}/{command} and returns its place in device->published; it waits for
 * nothing, but what is queued leaves while the test waits for anything.
 */
size_t device_publish(struct device *device, const char *command, const char *payload);

struct device_publish_options {
	const char *topic;   /* the whole topic; NULL: {user}/{command} */
	const void *payload; /* with size, where `bytes` is set; else the text given is sent */
	size_t payload_size;
	int qos;
	bool retain;
	const char *response_topic; /* MQTT 5; NULL: none */
	const char *correlation;    /* MQTT 5; NULL: none */
};
size_t device_publish_with(
	struct device *device, const char *command, const struct device_publish_options *options);

/* How many messages on that topic have come, taken or not. */
size_t device_count_on(const struct device *device, const char *topic);

/* Waits for the PUBACK and returns its reason code. */
#define device_wait_puback(device, place) device_wait_puback_at(__FILE__, __LINE__, device, place)
int device_wait_puback_at(const char *file, int line, struct device *device, size_t place);

/* Waits until the broker has acknowledged everything that was published at QoS 1. */
#define device_wait_all_pubacks(device) device_wait_all_pubacks_at(__FILE__, __LINE__, device)
void device_wait_all_pubacks_at(const char *file, int line, struct device *device);

/* device_publish(), and waits for a PUBACK without an error. */
#define device_command(device, command, payload) \
	device_command_at(__FILE__, __LINE__, device, command, payload)
void device_command_at(
	const char *file, int line, struct device *device, const char *command, const char *payload);

/* Publishes on a whole topic at QoS 1 and waits for the PUBACK: its reason code. */
int device_publish_answered(struct device *device, const char *topic, const char *payload);

/*
 * When it returns, everything that the broker was sent for the receiver before has come: a broker is one thread, and what it sends to a client stays in
 * order. The sender may publish on the topic, and the receiver is sent what is published there, which may be nobody else.
 */
void device_barrier(struct device *sender, struct device *receiver, const char *topic);

/* Waits for the first message on {user}/{event} that was not taken yet, and takes it. event may be a whole
 * topic. */
#define device_expect(device, event) device_expect_at(__FILE__, __LINE__, device, event)
const struct device_message *device_expect_at(
	const char *file, int line, struct device *device, const char *event);

/* The same; its payload must be equal to `json` as JSON. */
#define device_expect_json(device, event, json) device_expect_json_at(__FILE__, __LINE__, device, event, json)
const struct device_message *device_expect_json_at(
	const char *file, int line, struct device *device, const char *event, const char *json);

/* How many have come on {user}/{event}, taken or not; waits until there are as many or more. */
size_t device_count(const struct device *device, const char *event);
#define device_wait_count(device, event, count) device_wait_count_at(__FILE__, __LINE__, device, event, count)
void device_wait_count_at(const char *file, int line, struct device *device, const char *event, size_t count);

#endif
