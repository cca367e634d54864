/*
 * broker_parts.h - hosts and devices of a broker of the case's own, and that a host serves there.
 *
 * Include it in one source file.
 */
#ifndef BROKER_PARTS_H
#define BROKER_PARTS_H

#include "harness.h"

static inline struct device *connect_device(struct harness *h, const struct broker *broker, const char *user)
{
	struct device *device = device_new(h, user);
	device->broker = broker;
	device_connect(device);
	return device;
}

static inline struct host *new_host(struct harness *h, const struct broker *broker)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, broker);
	return host;
}

static inline void assert_serves(struct harness *h, const struct broker *broker)
{
	struct device *phone = connect_device(h, broker, "68946");
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	device_disconnect(phone);
}

#endif
