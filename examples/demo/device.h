/*
 * device.h - a device: what a phone or a web page does to talk to cashewd. Written to be read and copied.
 *
 * Happy path: device_open(), devices_run() until device_ready(), device_send() a command, devices_run() until
 * its event came, device_close(). One thread; every device of the process is driven by devices_run(). What a
 * device has to do, and this one does:
 * - It shows its token as the password of the user "JWT", over TLS, to a broker whose certificate it has
 * verified.
 * - It subscribes to "{its user id}/#", and counts as ready only when the broker has granted that.
 * - It reconnects when the connection breaks, and subscribes again: its session ends with its connection.
 * - It repeats a command whose event does not come: handlers can be repeated, and a broker that is killed may
 * lose a few messages that it has acknowledged. An event may likewise come twice. Failure modes: a connection
 * that breaks is made again, silently after the first word about it; a broker that refuses the token, the
 * subscription or a command, and a certificate that does not verify, are final: device_refused().
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <jansson.h>
#include <stdbool.h>

struct device;

/* Called for each event that comes: {user}/{event}. The payload is borrowed, and NULL where it is not JSON. */
typedef void device_event_fn(void *context, struct device *device, const char *event, json_t *payload);

struct device_options {
	const char *host;
	int port;
	bool tls;
	const char *ca_file; /* the authority that the broker's certificate is verified against; NULL: the
				system's */
	const char *token;   /* made by cashew-token; it says who the user is */
	device_event_fn *on_event;
	void *context;
};

/* Makes the device; devices_run() connects it. The options' texts are copied. NULL after a word on standard error. */
struct device *device_open(const struct device_options *options);

/* Says goodbye to the broker and frees the device. */
void device_close(struct device *device);

/* "68946": from the token. */
const char *device_user(const struct device *device);

/* Whether it is connected and its subscription is granted. */
bool device_ready(const struct device *device);

/* Whether the broker refused something for good, so that waiting on is of no use. */
bool device_refused(const struct device *device);

/*
 * Publishes a command at QoS 1: to "request_contact", which the demo broker makes "68946/request_contact",
 * or, with any broker, to "68946/request_contact" itself. While there is no connection it is not sent: send
 * it again later.
 */
void device_send(struct device *device, const char *topic, const char *payload);

/* Reads and writes on behalf of all devices for timeout_ms at most; returns early when something happened. */
void devices_run(int timeout_ms);

/* A clock that only goes forward. */
long device_clock_us(void);
long device_clock_ms(void);

#endif
