/*
 * promise_phone.h - a client for tests of the promise that lives through whatever happens to the broker.
 *
 * Happy path: phone_new(), wait until phone_ready(), phone_publish(); what arrives is handed to a callback at
 * once and not kept. It connects by itself, again and again, with the same persistent session under MQTT 5
 * over TLS, and what the broker has not PUBACKed is sent again then. A device has a user's token and
 * subscribes to {user}/#; the observer has a handler's token, as a host has, and subscribes to events of all
 * users: on its one connection they arrive in the order in which the host has sent them.
 */
#ifndef PROMISE_PHONE_H
#define PROMISE_PHONE_H

#include "harness.h"

struct phone;

struct phone_options {
	const char *user; /* NULL: the observer */
	const char *const
		*filters; /* what to subscribe to, ended by NULL; No Local keeps own messages away */
	/* Called from libmosquitto's callbacks: they must not fail the test, only note why it is to fail. */
	void (*event)(void *context, const char *topic, const char *payload, size_t size,
		const char *correlation); /* "" where there is none */
	void (*puback)(void *context, int mid, int reason);
	void *context;
};

struct phone *phone_new(struct harness *h, const struct phone_options *options);

/* Connected, and all subscriptions granted at QoS 1. */
bool phone_ready(const struct phone *phone);

/* When it last became ready (harness_now_ms()). */
int64_t phone_ready_since_ms(const struct phone *phone);

/* Sends at QoS 1, and returns the packet identifier. Only where phone_ready(). */
int phone_publish(struct phone *phone, const char *topic, const char *payload, const char *correlation);

#endif
